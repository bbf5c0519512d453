"""Online SGD: one sample an update. There is nothing to sum over samples, so a layer is a walk forward and one back:

    z    = b + sum over i of a_i W[i]          forward
    d_i  = sum over j of delta_j W[i, j]       dC/da of unit i of the layer before, from the row as it was
    W[i] -= eta a_i delta                      the gradient of one sample is an outer product

Nothing else needs W^T, so none is kept; and at the first layer, which has none before it, rows whose input is zero are
not touched at all. On 784-800-800-10 this reads and writes a third less than the two phases of a mini-batch do.

A list names the rows: places, and beside them the numbers there, of the inputs that are not zero (lists.py); or of
all. A single row of z is one chain of multiply-adds, each waiting for the one before it; so forward sums CHAINS of
them, entries 0, CHAINS, 2 CHAINS, ... of the list in the first, and adds these up in pairs. The sum over j has PAD
partial sums, columns 0, PAD, 2 PAD, ... in the first, which are added up first half plus second half, again and again;
the shuffles that this takes serve as many rows at once as a vector has lanes. These orders do not depend on the lanes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .._jit import cgutils, intrinsic, ir, njit, types
from .dense import panel_width
from .layout import PAD, PANEL
from .lists import CHAINS, every_input, list_of
from .marks import load_place
from .matmul import while_room
from .memory import first_of, lanes_of, load, load_int, load_scalar, number, size_of, store
from .simd import (
    I16,
    I32,
    I64,
    Vector,
    emit_constant,
    emit_fma,
    emit_load,
    emit_load_splat,
    emit_splat,
    emit_store,
    fma,
)


def _emit_sum(b: Any, values: list[Any]) -> Any:
    """The sum of some vectors: first half plus second half, again and again."""
    while len(values) > 1:
        half = len(values) // 2
        values = [b.fadd(x, y) for x, y in zip(values[:half], values[half:], strict=True)]
    return values[0]


def _sum_masks(vec: Vector, span: int) -> tuple[list[int], list[int]]:
    """Shuffles of two vectors, of rows ``span`` lanes each, to the first and to the second halves of all these rows.

    They stay inside 16 bytes where they can: that is one instruction, with no table of places.
    """
    near = 128 // vec.dtype.bitwidth
    block, half = vec.lanes if span > near else near, span // 2
    places = [
        vec.lanes * which + row + lane
        for start in range(0, vec.lanes, block)
        for which in (0, 1)
        for row in range(start, start + block, span)
        for lane in range(half)
    ]
    return places, [place + half for place in places]


def _emit_row_sums(b: Any, vec: Vector, rows: list[Any]) -> Any:
    """The sum over each of as many vectors as there are lanes, one a lane: first half plus second half, and again."""

    def fold(values: list[Any], combine: Callable[[Any, Any, list[int], list[int]], Any]) -> Any:
        span = vec.lanes
        while span > 1:
            values = [combine(x, y, *_sum_masks(vec, span)) for x, y in zip(values[::2], values[1::2], strict=True)]
            span //= 2
        return values[0]

    def emit(x: Any, y: Any, *masks: list[int]) -> Any:
        places = ir.VectorType(I32, vec.lanes)
        return b.fadd(*(b.shuffle_vector(x, y, ir.Constant(places, mask)) for mask in masks))

    # Which vector ends up in which lane: shuffle their numbers.
    order = fold([[r] * vec.lanes for r in range(vec.lanes)], lambda x, y, first, _: [(x + y)[k] for k in first])
    return fold([row for _, row in sorted(zip(order, rows, strict=True), key=lambda pair: pair[0])], emit)


@intrinsic
def row_dots(tc: Any, one: Any, w: Any, panel: Any, i: Any, delta: Any, width: Any, x: Any, eta: Any) -> Any:
    """W[i + r] . delta for as many rows r as there are lanes; ``width`` columns in panels ``panel`` bytes apart.

    With eta and the address x of the rows' inputs, and not None, then W[i + r] -= eta x[r] delta.
    """
    vec = Vector(one)
    size, step = vec.dtype.bitwidth // 8, not isinstance(eta, types.NoneType)

    def codegen(ctx: Any, b: Any, sig: Any, args: Any) -> Any:
        _, w, panel, i, delta, width, x, eta = args
        zero, parts = emit_constant(vec, 0.0), PAD // vec.lanes
        sums = [[cgutils.alloca_once_value(b, zero) for _ in range(parts)] for _ in range(vec.lanes)]
        for first in (0, vec.lanes // 2):  # half of them at a time: 8 sums, which any CPU has registers for
            column, base = cgutils.alloca_once_value(b, I64(0)), cgutils.alloca_once_value(b, w)
            for columns in (PANEL, PANEL // 2):  # the last panel may be half as wide
                with while_room(b, column, columns, width) as j:
                    start = b.add(b.load(base), b.mul(i, I64(columns * size)))
                    for c in range(0, columns, vec.lanes):
                        d = emit_load(b, vec, b.add(delta, b.mul(b.add(j, I64(c)), I64(size))))
                        change = b.fmul(emit_splat(b, vec, b.fneg(eta)), d) if step else None
                        for r in range(first, first + vec.lanes // 2):
                            total, at = sums[r][c // vec.lanes % parts], b.add(start, I64(size * (columns * r + c)))
                            value = emit_load(b, vec, at)
                            b.store(emit_fma(b, vec, value, d, b.load(total)), total)
                            if step:
                                factor = emit_load_splat(b, vec, b.add(x, I64(size * r)))
                                emit_store(b, vec, emit_fma(b, vec, change, factor, value), at)
                    b.store(b.add(b.load(base), panel), base)
        return _emit_row_sums(b, vec, [_emit_sum(b, [b.load(total) for total in row]) for row in sums])

    return vec(one, *[types.int64] * 5, x, eta), codegen


def _emit_chains(b: Any, vec: Vector, x: Any, places: Any, count: Any, w: Any, row: Any, sums: Any) -> None:
    """sums[c][v] += x[k] W[place[k]] for the entries k of a list, in chain k modulo CHAINS."""
    size = vec.dtype.bitwidth // 8

    def add(k: Any, chain: Any) -> None:
        place = b.load(b.inttoptr(b.add(places, b.mul(k, I64(2))), I16.as_pointer()), typ=I16)
        factor, at = emit_load_splat(b, vec, b.add(x, b.mul(k, I64(size)))), b.add(w, b.mul(b.zext(place, I64), row))
        for v, total in enumerate(chain):
            w_row = emit_load(b, vec, b.add(at, I64(vec.lanes * size * v)))
            b.store(emit_fma(b, vec, factor, w_row, b.load(total)), total)

    entry = cgutils.alloca_once_value(b, I64(0))
    with while_room(b, entry, CHAINS, count) as k:
        for c, chain in enumerate(sums):
            add(b.add(k, I64(c)), chain)
    with while_room(b, entry, 1, count) as k:
        add(k, sums[0])


@intrinsic
def row_product(
    tc: Any, one: Any, x: Any, places: Any, count: Any, w: Any, row: Any, bias: Any, z: Any, width: Any
) -> Any:
    """z = bias + sum over k of x[k] W[place[k]], ``width`` columns of a panel whose rows are ``row`` bytes."""
    vec = Vector(one)

    def codegen(ctx: Any, b: Any, sig: Any, args: Any) -> Any:
        _, x, places, count, w, row, bias, z, width = args
        column = cgutils.alloca_once_value(b, I64(0))
        for vectors in (2, 1):
            with while_room(b, column, vectors * vec.lanes, width) as j:
                right = b.mul(j, I64(vec.dtype.bitwidth // 8))
                zero = emit_constant(vec, 0.0)
                sums = [[cgutils.alloca_once_value(b, zero) for _ in range(vectors)] for _ in range(CHAINS)]
                _emit_chains(b, vec, x, places, count, b.add(w, right), row, sums)
                for v in range(vectors):
                    at = b.add(right, I64(vec.lanes * vec.dtype.bitwidth // 8 * v))
                    total = _emit_sum(b, [b.load(chain[v]) for chain in sums])
                    emit_store(b, vec, b.fadd(emit_load(b, vec, b.add(bias, at)), total), b.add(z, at))
        return ctx.get_dummy_value()

    return types.void(one, *[types.int64] * 8), codegen


@njit
def listed(one, run, layer):
    """The inputs: (address of the numbers, address of their places, how many).

    All of them; or, of the first layer, those that are not zero, and some of the zeros behind their list, for a whole
    number of steps of all chains. Where it ends is nothing that a branch could be guessed by.
    """
    begins, places, count = 0, every_input(run)[1], layer.n_in
    if run.skip_zeros and layer.first:
        begins, places = list_of(run, 0, 0)
        count = (load_int(begins + 8 * ((layer.n_in + 63) // 64)) + CHAINS - 1) // CHAINS * CHAINS
    return run.acts + size_of(one) * layer.a_in, places, count


@njit
def online_forward(one, run, layer, j0, j1):
    """z of the only sample, columns j0 to j1, whole panels."""
    size, (x, places, count) = size_of(one), listed(one, run, layer)
    for j in range(j0, j1, PANEL):
        width = panel_width(layer.width, j)
        w, row = run.theta + size * (layer.w + j * (layer.n_in + 1)), size * width
        row_product(one, x, places, count, w, row, w + row * layer.n_in, run.acts + size * (layer.z + j), width)


@njit
def step_vectors(one, run, x, places, count, w, row, delta):
    """W[i] -= eta x_i delta for the listed rows i, the last one first, in the one or two vectors from w and delta on.

    ``row``: bytes from a row of W to the next. Delta stays in registers.
    """
    size, second, eta = size_of(one), size_of(one) * lanes_of(one), number(one, run.eta)
    d, e = -eta * load(one, delta), -eta * load(one, delta + second)
    for k in range(count - 1, -1, -1):
        at, factor = w + row * load_place(places + 2 * k), load_scalar(one, x + size * k)
        store(fma(d, factor, load(one, at)), at)
        if row > second:
            store(fma(e, factor, load(one, at + second)), at + second)


@njit
def step_rows(one, run, layer, x, places, count, j0, j1):
    """W[i] -= eta x_i delta for the listed rows i, columns j0 to j1, whole panels.

    From the last number that the way forward read to the first: what was read last is still in the first-level cache,
    and so is what the next sample begins with.
    """
    size, delta = size_of(one), run.deltas + size_of(one) * layer.d
    for j in range(j0 + (j1 - j0 - 1) // PANEL * PANEL, j0 - 1, -PANEL):
        width = panel_width(layer.width, j)
        w = run.theta + size * (layer.w + j * (layer.n_in + 1))
        for v in range((width - 1) // (2 * lanes_of(one)) * 2 * lanes_of(one), -1, -2 * lanes_of(one)):
            step_vectors(one, run, x, places, count, w + size * v, size * width, delta + size * (j + v))


@njit
def step_bias(one, run, layer, j0, j1):
    """b -= eta delta, columns j0 to j1"""
    size, eta = size_of(one), number(one, run.eta)
    for j in range(j0, j1, lanes_of(one)):
        panel = j // PANEL * PANEL
        at = layer.w + panel * (layer.n_in + 1) + panel_width(layer.width, panel) * layer.n_in + j - panel
        b = run.theta + size * at
        store(load(one, b) - eta * load(one, run.deltas + size * (layer.d + j)), b)


@njit
def online_layer(one, run, layer, before_d, rows, columns):
    """Update rows and columns, each (from, to), of a layer's W.

    And dC/da of all these units of the layer before, to ``before_d`` unless 0: then columns are all of them, and else
    rows are.
    """
    (i0, i1), (j0, j1) = rows, columns
    size, lanes, stop = size_of(one), lanes_of(one), min(i1, layer.n_in)
    if before_d:
        w, panel, delta = run.theta + size * layer.w, size * PANEL * (layer.n_in + 1), run.deltas + size * layer.d
        for i in range(i0, stop, lanes):
            x = run.acts + size * (layer.a_in + i)
            if i + lanes <= stop:
                d = row_dots(one, w, panel, i, delta, layer.width, x, number(one, run.eta))
                store(d, before_d + size * i)
            else:
                d = row_dots(one, w, panel, i, delta, layer.width, None, None)
                store(first_of(d, stop - i), before_d + size * i)
                step_rows(one, run, layer, x, every_input(run)[1] + 2 * i, stop - i, j0, j1)
    else:
        x, places, count = listed(one, run, layer)
        step_rows(one, run, layer, x, places, count, j0, j1)
    if i1 > layer.n_in and layer.bias:
        step_bias(one, run, layer, j0, j1)
