"""A mini-batch in two phases, and the loops that run them on all threads.

    phase 1, ``samples``   a chunk of the batch's samples: gather, forward, cost, and back to every layer's delta
    phase 2, ``tiles``     a tile of the parameters: its gradient summed over all samples, then its update

Within a phase no task touches what another one writes, so there is nothing to lock, to reduce or to zero; and since
every sum runs over its samples in a fixed order inside one task, the bits do not depend on the number of threads.

Each phase is compiled once a dtype, as a C function, and reached through its address. The drivers that call
them, serial or with ``prange``, know only addresses: they are compiled once for all.
"""

from __future__ import annotations

import math
from functools import cache
from typing import Any

from .._jit import carray, from_dtype, intrinsic, ir, njit, parallel, prange, serial, types
from .activations import activate, scale_by_slope
from .costs import cost_and_delta
from .dense import dense_delta, dense_forward, dense_gradient, panel_width, refresh_transpose
from .gather import gather_inputs, gather_targets
from .layout import COST, DELTA, LAYER, RUN, TILE
from .simd import (
    copy_bytes,
    equal_bits,
    greater_bits,
    lanes_of,
    load,
    load_int,
    load_scalar,
    number,
    size_of,
    splat,
    store_int,
    store_scalar,
    unit_of,
)
from .update import ADAM, is_online, online_update, update

# Chunks begin at multiples of the microkernel's rows, so that only the last one has a remainder.
ROW_GROUP = 8
# Up to this width the first layer's W stays in the second-level cache beside all else: 784 x 64 numbers are 200 KiB.
SMALL_WIDTH = 64


@cache
def signature(scalar: Any) -> Any:
    """The C signature of a task: (theta, run, layers, tiles, task number); theta's type is the dtype to work in."""
    records = [types.CPointer(from_dtype(kind)) for kind in (RUN, LAYER, TILE)]
    return types.void(types.CPointer(scalar), *records, types.int64)


@intrinsic
def call(tc: Any, work: Any, run: Any, layers: Any, tiles: Any, task: Any) -> Any:
    """Call the task function at address ``work``."""

    def codegen(ctx: Any, b: Any, sig: Any, args: Any) -> Any:
        pointer = ir.IntType(8).as_pointer()
        fnty = ir.FunctionType(ir.VoidType(), [pointer] * 4 + [ir.IntType(64)])
        addresses = [b.inttoptr(a, pointer) for a in (args[1], args[1], args[2], args[3])]
        b.call(b.inttoptr(args[0], fnty.as_pointer()), [*addresses, args[4]])
        return ctx.get_dummy_value()

    return types.void(*[types.int64] * 5), codegen


@intrinsic
def run_pointer(tc: Any, at: Any) -> Any:
    """The RUN record at an address. Drivers get a plain int: numba takes 10 us to look at a record array's type."""
    pointer = types.CPointer(from_dtype(RUN))
    return pointer(types.int64), lambda ctx, b, sig, args: b.inttoptr(args[0], ctx.get_value_type(pointer))


# ---------------------------------------------------------------- phase 1
@njit
def largest(one, row, n):
    """Where in a row of n numbers the largest is, the first of equals."""
    size, best = size_of(one), 0
    for j in range(1, n):
        if load_scalar(one, row + size * j) > load_scalar(one, row + size * best):
            best = j
    return best


@njit
def is_right(one, outputs, label, n):
    """Whether the first of the largest of n outputs is at ``label``; on vectors, as branches would be unforeseeable."""
    size, lanes = size_of(one), lanes_of(one)
    top = splat(load_scalar(one, outputs + size * label))
    for j in range(0, n, lanes):
        row = load(one, outputs + size * j)
        rivals = equal_bits(row, top)
        rivals &= (1 << max(0, min(lanes, label - j))) - 1
        rivals |= greater_bits(row, top) & ((1 << min(lanes, n - j)) - 1)
        if rivals:
            return False
    return True


@njit
def is_hit(one, outputs, targets, label, n):
    """Whether a sample was classified right; with one output, on the same side of 1/2 as its target."""
    if n == 1:
        return (load_scalar(one, outputs) >= 0.5) == (load_scalar(one, targets) >= 0.5)
    return is_right(one, outputs, label if label >= 0 else largest(one, targets, n), n)


@njit
def judge(one, run, layer, chunk, r0, r1):
    """Costs, hits and output deltas of rows r0 to r1 of the last layer."""
    size, correct, total = size_of(one), 0, 0.0
    column_costs = run.column_costs + 2 * size * chunk * layer.width
    scale_row = column_costs + size * layer.width
    for j in range(layer.width):
        store_scalar(number(one, 0.0), column_costs + size * j)
        store_scalar(number(one, run.scale if j < layer.n_out else 0.0), scale_row + size * j)
    for r in range(r0, r1):
        label, row = gather_targets(one, run, layer, r), r * layer.ld
        z, a = run.acts + size * (layer.z + row), run.acts + size * (layer.a + row)
        targets = run.targets + size * r * layer.width
        addresses = (z, a, run.deltas + size * (layer.d + row), targets)
        cost_and_delta(one, run.cost, layer.activation, addresses, scale_row, column_costs, layer.n_out, layer.width)
        if run.count_hits:
            correct += is_hit(one, a, targets, label, layer.n_out)
    for j in range(layer.n_out):
        total += load_scalar(one, column_costs + size * j)
    store_scalar(total, run.costs + 8 * chunk)
    store_int(correct, run.correct + 8 * chunk)


@njit
def chunk_start(run, chunk):
    """The first row of a chunk; the chunk after the last one starts behind the last row."""
    groups = (run.rows + ROW_GROUP - 1) // ROW_GROUP
    return min(run.rows, groups * chunk // run.chunks * ROW_GROUP)


@njit
def first_layer(one, run, layer, r0, r1):
    """Gather rows r0 to r1 and compute the first layer's z, a few rows at a time where W is small.

    Then the rows are still in the first-level cache when they are multiplied. A large W should rather be read once.
    """
    step = ROW_GROUP if layer.width <= SMALL_WIDTH else r1 - r0
    for start in range(r0, r1, step):
        stop = min(start + step, r1)
        for r in range(start, stop):
            gather_inputs(one, run, layer, r)
        dense_forward(one, run, layer, start, stop)


@njit
def forward(one, run, layers, r0, r1):
    """Gather rows r0 to r1 and compute every layer's activations."""
    size = size_of(one)
    for l in range(run.n_layers):  # noqa: E741 - l is the layer, in every book
        layer = layers[l]
        if l == 0:
            first_layer(one, run, layer, r0, r1)
        else:
            dense_forward(one, run, layer, r0, r1)
        z, a = run.acts + size * (layer.z + r0 * layer.ld), run.acts + size * (layer.a + r0 * layer.ld)
        activate(one, layer.activation, z, a, size * layer.ld, r1 - r0, layer.n_out, layer.width)


@njit
def backward(one, run, layers, r0, r1):
    """From the output delta back: delta_before = (delta W^T) f'(z_before)."""
    size = size_of(one)
    for l in range(run.n_layers - 1, 0, -1):  # noqa: E741
        layer, before = layers[l], layers[l - 1]
        dense_delta(one, run, layer, before, r0, r1)
        row = r0 * before.ld
        d, a, z = run.deltas + size * (before.d + row), run.acts + size * (before.a + row), before.z + row
        scale_by_slope(one, before.activation, d, a, run.acts + size * z, size * before.ld, r1 - r0, before.width)


def samples(theta, run_at, layers_at, tiles_at, chunk):
    """Phase 1 for one chunk of the block's samples."""
    one, run = unit_of(theta), carray(run_at, 1)[0]
    layers = carray(layers_at, run.n_layers)
    last = layers[run.n_layers - 1]
    r0, r1 = chunk_start(run, chunk), chunk_start(run, chunk + 1)
    forward(one, run, layers, r0, r1)
    size = size_of(one)
    if run.out:
        for r in range(r0, r1):
            target = run.out + size * (run.first + r) * last.n_out
            copy_bytes(run.acts + size * (last.a + r * last.ld), target, size * last.n_out)
    if run.what >= COST:
        judge(one, run, last, chunk, r0, r1)
    if run.what >= DELTA:
        backward(one, run, layers, r0, r1)


# ---------------------------------------------------------------- phase 2
def tiles(theta, run_at, layers_at, tiles_at, task):
    """Phase 2 for one tile: its gradient over the block and, after the batch's last block, its update."""
    one, run = unit_of(theta), carray(run_at, 1)[0]
    tile = carray(tiles_at, run.n_tiles)[task]
    layer = carray(layers_at, run.n_layers)[tile.layer]
    panel = layer.w + tile.j0 * (layer.n_in + 1)
    width = panel_width(layer.width, tile.j0)
    if run.update and is_online(run):
        online_update(one, run, layer, tile, panel, width)
    else:
        dense_gradient(one, run, layer, tile, run.grad + size_of(one) * panel)
        if not run.update:
            return
        update(one, run, panel + tile.i0 * width, (tile.i1 - tile.i0) * width, True)
        if tile.bias:
            update(one, run, panel + layer.n_in * width, width, False)
    if layer.wt >= 0:
        refresh_transpose(one, run, layer, tile.j0, tile.i0, tile.i1)


# ---------------------------------------------------------------- the drivers
@njit
def start_block(run, first, rows):
    """Point the run at ``rows`` samples from ``first``, cut into chunks of about ``chunk_rows``."""
    run.first = first
    run.rows = rows
    run.chunks = max(1, (rows + run.chunk_rows // 2) // run.chunk_rows)


@njit
def start_update(run, k):
    """Set what depends on the update's number: the learning rate, and Adam's corrections for its zero start."""
    run.updates += 1
    run.eta = load_scalar(1.0, run.learning_rates + 8 * k)
    if run.optimizer == ADAM:
        run.correction1 = 1.0 / (1.0 - run.beta1**run.updates)
        run.correction2 = 1.0 / (1.0 - run.beta2**run.updates)


@njit
def collect(run):
    """Add the chunks' costs and hits to the run's, in order; whether the cost is still finite."""
    for c in range(run.chunks):
        run.total_cost += load_scalar(1.0, run.costs + 8 * c)
        run.total_correct += load_int(run.correct + 8 * c)
    return math.isfinite(run.total_cost)


def _run(at, start, stop, threads):
    """Work through the samples at places ``start`` to ``stop`` of the order, a batch after the other.

    ``at`` is the address of the RUN record, which says what to compute: activations only, costs, the gradient, or
    (where there are learning rates) one update a batch. A batch larger than the work space goes through it in blocks;
    the gradient is kept between them and the last one updates. The flat parameters are packed first, and updated ones
    go back only if the cost was finite to the end: what diverges leaves no trace. Returns the first place not done:
    ``stop``, or where updates stopped because the cost was no longer finite.
    """
    run = carray(run_pointer(at), 1)[0]
    # Plain numbers for the prange bodies: numba cannot hand them a record.
    layers, tile_table, samples_work, tiles_work = run.layers, run.tiles, run.samples_work, run.tiles_work
    k = 0
    run.stop = stop
    for task in range(run.n_layers):
        call(run.pack_work, at, layers, tile_table, task)
    for batch_start in range(start, stop, run.batch):
        batch_stop = min(stop, batch_start + run.batch)
        run.scale = 1.0 / (batch_stop - batch_start) if run.average else 1.0
        if run.learning_rates:
            start_update(run, k)
            k += 1
        for block_start in range(batch_start, batch_stop, run.block):
            start_block(run, block_start, min(run.block, batch_stop - block_start))
            run.keep_gradient = block_start > batch_start
            run.update = run.learning_rates != 0 and block_start + run.rows == batch_stop
            tasks = run.chunks
            for t in prange(threads):
                for task in range(t, tasks, threads):
                    call(samples_work, at, layers, tile_table, task)
            finite = collect(run) if run.what >= COST else True
            if run.learning_rates and not finite:
                return batch_start
            if run.what >= DELTA:
                tasks = run.n_tiles
                for t in prange(threads):
                    for task in range(t, tasks, threads):
                        call(tiles_work, at, layers, tile_table, task)
    if run.what >= DELTA:
        for task in range(run.n_layers):
            call(run.unpack_work, at, layers, tile_table, task)
    return stop


def _for_each(at, work, tasks, threads):
    """Call the task function at address ``work`` for tasks 0, 1, ..."""
    run = carray(run_pointer(at), 1)[0]
    layers, tile_table = run.layers, run.tiles
    for t in prange(threads):
        for task in range(t, tasks, threads):
            call(work, at, layers, tile_table, task)


# A thread takes every so-many-th task, the same ones each time: its tiles of the parameters stay in its own cache.
run_serial, run_parallel = serial(_run), parallel(_run)
for_each_serial, for_each_parallel = serial(_for_each), parallel(_for_each)
