"""A mini-batch in two phases, each a task function or a few.

    phase 1, ``samples``   gather, forward, cost, and back to every layer's delta
    phase 2, ``tiles``     a tile of the parameters: its gradient summed over all samples, then its update

In a narrow network a task of phase 1 takes a chunk of the batch's samples through all layers; in a wide one a layer is
a stage, and a task one of its panels (``STAGE`` records say which; plan.py makes them). Within a stage no task touches
what another one writes, so there is nothing to lock or to zero (but for slices of the inputs, where who goes on knows
that all others are done: slices.py); and since every sum runs in a fixed order inside one task, the bits do not
depend on the number of threads.

Where a batch is large its samples are cut into parts, and phase 2 has two stages: a tile's gradient over one part, in
an array of its own, and then their sum. So a thread reads again what it wrote in phase 1, and not what others did. For
the same reason a team's tasks share out slices of the inputs, too, where a smaller batch has many (slices.py).

Each task function is compiled once a dtype, as a C function, and reached through its address (launch.py).
"""

from __future__ import annotations

from .._jit import carray, njit
from .activations import SOFTMAX, activate, scale_by_slope, softmax_row
from .costs import costs_and_deltas, needs_slope
from .dense import (
    add_slices,
    dense_delta,
    dense_forward,
    dense_gradient,
    goes_through_transpose,
    panel_width,
    refresh_transpose,
)
from .dropout import drop_rows
from .gather import gather_inputs, is_listed
from .hits import count_hits
from .launch import stages_of
from .layout import COST, FORWARD, LINE, PANEL
from .lists import list_group, list_sample
from .matmul import GROUP
from .memory import lanes_of, load, load_scalar, number, size_of, store, store_first, store_int, store_scalar, unit_of
from .online import online_forward, online_layer
from .rows import add_row_sums, multiply_rows, rows_of
from .slices import is_last_piece, piece_of
from .squares import scale, square_sum
from .update import is_plain, update

# Chunks begin at multiples of so many samples, so that only the last one has less than a whole group (lists.py).
ROW_GROUP = 8
# Up to this width the first layer's W stays in the second-level cache beside all else: 784 x 64 numbers are 200 KiB.
SMALL_WIDTH = 64
# Rows of inputs that are gathered before they are multiplied: they should still be in the first-level cache then.
CACHED_BYTES = 16384


# ---------------------------------------------------------------- phase 1
@njit
def slope_rows(one, run, layer, r0, r1, j0, j1):
    """delta = dC/da f'(z) for rows r0 to r1, columns j0 to j1 of a layer whose d holds dC/da."""
    size, row = size_of(one), r0 * layer.ld + j0
    d, a, z = run.deltas + size * (layer.d + row), run.acts + size * (layer.a + row), run.acts + size * (layer.z + row)
    scale_by_slope(one, layer.activation, d, a, z, size * layer.ld, r1 - r0, j1 - j0)


@njit
def judge(one, run, layer, chunk, r0, r1):
    """Costs, hits and output deltas of rows r0 to r1 of the last layer."""
    size, total = size_of(one), 0.0
    column_costs = run.column_costs + size * chunk * layer.width
    costs_and_deltas(one, run, layer, r0, r1, column_costs)
    if needs_slope(run.cost, layer.activation):
        slope_rows(one, run, layer, r0, r1, 0, layer.width)
    for j in range(layer.n_out):
        total += load_scalar(one, column_costs + size * j)
    store_scalar(total, run.costs + LINE * chunk)
    store_int(count_hits(one, run, layer, r0, r1) if run.count_hits else 0, run.correct + LINE * chunk)


@njit
def share_start(run, share, shares):
    """The first row of one of ``shares`` equal shares of the block; the one after the last starts behind the rows."""
    groups = (run.rows + ROW_GROUP - 1) // ROW_GROUP
    return min(run.rows, groups * share // shares * ROW_GROUP)


@njit
def chunk_start(run, chunk):
    """The first row of a chunk."""
    return share_start(run, chunk, run.chunks)


@njit
def multiply(one, run, layer, piece, r0, r1, j0, j1):
    """z of rows r0 to r1, columns j0 to j1, of a layer; of the first one's, what a slice of the inputs brings."""
    if run.every_input:
        online_forward(one, run, layer, j0, j1)
    else:
        dense_forward(one, run, layer, piece, r0, r1, j0, j1)


@njit
def multiply_inputs(one, run, layer, stage, pieces, r0, r1, j0, j1):
    """Gather slices of rows r0 to r1 of the inputs, and multiply them, as the stage asks: ``pieces``, from and to.

    A few rows at a time where W is small: then they are still in the first-level cache when they are multiplied. A
    large W should rather be read once.
    """
    step = max(1, r1 - r0)
    if layer.width <= SMALL_WIDTH and step > ROW_GROUP:
        step = max(1, CACHED_BYTES // (ROW_GROUP * size_of(one) * layer.ld_in)) * ROW_GROUP
    for start in range(r0, r1, step):
        stop = min(start + step, r1)
        if stage.gather and not run.in_place:
            gather_inputs(one, run, layer, pieces, start, stop)
            if is_listed(run) and run.every_input:
                list_sample(one, run, layer)
            elif is_listed(run):
                for piece in range(pieces[0], pieces[1]):
                    for r in range(start, stop, GROUP):
                        list_group(one, run, layer, piece, r, min(r + GROUP, stop))
        if stage.inputs:
            for piece in range(pieces[0], pieces[1]):
                multiply(one, run, layer, piece, start, stop, j0, j1)


@njit
def activate_layer(one, run, layers, l, r0, r1, j0, j1):  # noqa: E741
    """The activations of rows r0 to r1, columns j0 to j1, of layer l, from z; softmax waits for the whole row.

    Where the next layer's inputs are dropped it gets what is left of these activations beside them.
    """
    layer, size = layers[l], size_of(one)
    row = r0 * layer.ld + j0
    z, a = run.acts + size * (layer.z + row), run.acts + size * (layer.a + row)
    activate(one, layer.activation, z, a, size * layer.ld, r1 - r0, j1 - j0)
    if l + 1 < run.n_layers and layers[l + 1].drop_rate:
        after = layers[l + 1]
        source, target = layer.a + r0 * layer.ld, after.a_in + r0 * after.ld_in
        drop_rows(run, after, r0, r1, run.acts + size * source, run.acts + size * target, j0, j1)


@njit
def finish_rows(one, run, layer, r0, r1):
    """Softmax, and the outputs where they are asked for: what needs the last layer's whole rows."""
    size = size_of(one)
    for r in range(r0, r1 if layer.activation == SOFTMAX or run.what == FORWARD else r0):
        a = run.acts + size * (layer.a + r * layer.ld)
        if layer.activation == SOFTMAX:
            softmax_row(one, a, layer.n_out, layer.width)
        if run.what == FORWARD:
            out = run.out + size * (run.first + r) * layer.n_out
            for j in range(0, layer.n_out, lanes_of(one)):
                store_first(load(one, a + size * j), out + size * j, layer.n_out - j)


@njit
def through_inputs(one, run, layer, before, r0, r1, j0, j1):
    """dC/da_in, in the d of the layer before, becomes its delta: times the masks of dropout, times f'(z_before)."""
    if layer.drop_rate:
        d = run.deltas + size_of(one) * (before.d + r0 * before.ld)
        drop_rows(run, layer, r0, r1, d, d, j0, j1)
    slope_rows(one, run, before, r0, r1, j0, j1)


@njit
def panel_columns(width, panel):
    """The columns of a panel."""
    return PANEL * panel, min(PANEL * (panel + 1), width)


@njit
def complete_row_sums(one, run, layers, l, r0, r1, j0, j1):  # noqa: E741
    """z of rows r0 to r1, columns j0 to j1, of layer l, from what tasks' rows of W brought, and the activations."""
    add_row_sums(one, run, layers[l], l, r0, r1, j0, j1)
    activate_layer(one, run, layers, l, r0, r1, j0, j1)


@njit
def units_of(before, i0, i1):
    """The columns of the layer before that are the inputs of rows i0 to i1 of W; with the last row all to their end."""
    return i0, i1 if i1 < before.n_out else before.width


@njit
def forward_rows(one, run, layers, l, task):  # noqa: E741
    """What a task's rows of W bring to z of layer l; before that their inputs, where these are still sums."""
    i0, i1 = rows_of(layers[l], task)
    if l > 1:
        complete_row_sums(one, run, layers, l - 1, 0, run.rows, *units_of(layers[l - 1], i0, i1))
    multiply_rows(one, run, layers[l], l, task)


@njit
def step_layer(one, run, layers, l, stage, task):  # noqa: E741
    """Online SGD at layer l: update rows or columns of W, and bring delta to these units of the layer before."""
    layer, rows, columns = layers[l], (0, layers[l].n_in + 1), (0, layers[l].width)
    if stage.by_columns:
        columns = panel_columns(layer.width, task)
    if stage.by_rows:
        rows = rows_of(layer, task)
    if l == 0:
        online_layer(one, run, layer, 0, rows, columns)
        return
    before = layers[l - 1]
    online_layer(one, run, layer, run.deltas + size_of(one) * before.d, rows, columns)
    through_inputs(one, run, layer, before, 0, 1, *units_of(before, *rows))


def samples(theta, run_at, layers_at, tiles_at, task):
    """Phase 1, or the part of it that the stage says, for one chunk of the block's samples or for one panel."""
    one, run = unit_of(theta), carray(run_at, 1)[0]
    layers, stage = carray(layers_at, run.n_layers), carray(stages_of(run.stages), run.n_stages)[run.stage]
    r0, r1 = 0, run.rows
    chunk, piece, pieces, is_piece = task, 0, (0, run.slices), run.apart and stage.inputs
    if is_piece:
        piece, chunk = piece_of(run, task)
        pieces = piece, piece + 1
    if not stage.by_columns and run.chunks > 1:
        r0, r1 = chunk_start(run, chunk), chunk_start(run, chunk + 1)
    if stage.gather or stage.inputs:
        j0, j1 = panel_columns(layers[0].width, task) if stage.by_columns else (0, layers[0].width)
        multiply_inputs(one, run, layers[0], stage, pieces, r0, r1, j0, j1)
    if is_piece and not is_last_piece(run, piece, chunk):
        return
    for l in range(stage.forward_from, stage.forward_to):  # noqa: E741 - the layer, in every book
        if stage.by_rows:
            forward_rows(one, run, layers, l, task)
            continue
        j0, j1 = panel_columns(layers[l].width, task) if stage.by_columns else (0, layers[l].width)
        if l > 0:
            multiply(one, run, layers[l], 0, r0, r1, j0, j1)
        elif run.slices > 1:
            add_slices(one, run, layers[0], r0, r1)
        activate_layer(one, run, layers, l, r0, r1, j0, j1)
    if stage.judge:
        last = layers[run.n_layers - 1]
        if stage.by_rows:
            complete_row_sums(one, run, layers, run.n_layers - 1, r0, r1, 0, last.width)
        finish_rows(one, run, last, r0, r1)
        if run.what >= COST:
            judge(one, run, last, chunk, r0, r1)
    for l in range(stage.backward_from, stage.backward_to, -1):  # noqa: E741
        if stage.online:
            step_layer(one, run, layers, l, stage, task)
            continue
        before = layers[l - 1]
        j0, j1 = panel_columns(before.width, task) if stage.by_columns else (0, before.width)
        dense_delta(one, run, layers[l], before, r0, r1, j0, j1)
        through_inputs(one, run, layers[l], before, r0, r1, j0, j1)


# ---------------------------------------------------------------- phase 2
@njit
def measure_tile(one, run, task, tile, weights, bias, width):
    """Square a tile's gradient, whose rows and whose bias lie at these offsets, and add up."""
    size = size_of(one)
    partial = run.column_squares + size * PANEL * task
    squares = square_sum(one, run.grad + size * weights, tile.i1 - tile.i0, width, partial)
    squares += square_sum(one, run.grad + size * bias, tile.bias, width, partial)
    store_scalar(squares, run.squares + 8 * task)


@njit
def sum_tile(one, run, layer, tile, part, panel, eta):
    """The gradient of a tile over one part of the block's samples; or, with eta, W -= eta times it."""
    size = size_of(one)
    r0, r1 = share_start(run, part, run.parts), share_start(run, part + 1, run.parts)
    g = run.grad + size * (part * run.part_size + panel)
    dense_gradient(one, run, layer, tile, (r0, r1), g, run.theta + size * panel, eta)


@njit
def add_parts(one, run, start, count, eta):
    """Add up the gradients of all parts, in order, ``count`` numbers from offset ``start``: g, or W -= eta g."""
    size, part = size_of(one), size_of(one) * run.part_size
    for at in range(size * start, size * (start + count), size * lanes_of(one)):
        total = load(one, run.grad + at)
        for other in range(part, run.parts * part, part):
            total = total + load(one, run.grad + other + at)
        if eta == 0.0:
            store(total, run.grad + at)
        else:
            store(load(one, run.theta + at) - eta * total, run.theta + at)


def tiles(theta, run_at, layers_at, tiles_at, task):
    """Phase 2, or the part of it that the stage says, for one tile; of its gradient, for one tile and part of the rows.

    Its gradient over the block; and after the batch's last block the sum of its parts, its squares, where it is
    clipped, and its update.
    """
    one, run = unit_of(theta), carray(run_at, 1)[0]
    stage = carray(stages_of(run.stages), run.n_stages)[run.stage]
    tile = carray(tiles_at, run.n_tiles)[task % run.n_tiles]
    layer = carray(layers_at, run.n_layers)[tile.layer]
    panel = layer.w + tile.j0 * (layer.n_in + 1)
    width = panel_width(layer.width, tile.j0)
    rows, bias = panel + tile.i0 * width, panel + layer.n_in * width
    count, summing = (tile.i1 - tile.i0) * width, stage.gradient or stage.add_parts
    eta = number(one, run.eta if summing and stage.step and run.update and is_plain(run) else 0.0)
    if stage.gradient:
        sum_tile(one, run, layer, tile, task // run.n_tiles, panel, eta)
    if stage.add_parts and run.complete:
        add_parts(one, run, rows, count, eta)
        add_parts(one, run, bias, tile.bias * width, eta)
    if stage.measure and run.update:
        measure_tile(one, run, task, tile, rows, bias, width)
    if not (stage.step and run.update):
        return
    if run.shrink < 1.0:
        scale(one, run.grad + size_of(one) * rows, count, number(one, run.shrink))
        scale(one, run.grad + size_of(one) * bias, tile.bias * width, number(one, run.shrink))
    if eta == 0.0:
        update(one, run, rows, count, True)
        if tile.bias:
            update(one, run, bias, width, False)
    if goes_through_transpose(run, layer):
        refresh_transpose(one, run, layer, tile.j0, tile.i0, tile.i1)
