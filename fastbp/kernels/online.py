"""Online SGD: one sample an update. There is nothing to sum over samples, so each layer's W is walked once, row by row:

    d_i  = sum over j of delta_j W[i, j]       dC/da of unit i of the layer before, from the row as it was
    W[i] -= eta (a_i delta)                    the gradient of one sample is an outer product

Nothing else needs W^T, so none is kept; and at the first layer, which has none before it, rows whose input is zero are
not touched at all. On 784-800-800-10 this reads and writes a third less than the two phases of a mini-batch do.

The sum over j has PANEL partial sums, one a column of a panel, which are added up in pairs: an order that does not
depend on the number of lanes.
"""

from __future__ import annotations

from typing import Any

from .._jit import cgutils, intrinsic, njit, types
from .dense import panel_width
from .layout import PANEL
from .matmul import while_room
from .simd import (
    I64,
    Vector,
    emit_constant,
    emit_fma,
    emit_load,
    emit_pairwise,
    emit_splat,
    emit_store,
    lanes_of,
    load,
    load_int,
    load_scalar,
    lowest_bit,
    number,
    size_of,
    store,
    store_scalar,
)


def _emit_step(b: Any, vec: Vector, eta: Any, x: Any, row: Any, delta: Any, sums: Any) -> None:
    """row -= eta (x delta) for as many vectors as there are ``sums``, to which the old row times delta is added."""
    size = vec.lanes * vec.dtype.bitwidth // 8
    for v, total in enumerate(sums):
        w, d = (emit_load(b, vec, b.add(at, I64(size * v))) for at in (row, delta))
        b.store(emit_fma(b, w, d, b.load(total)), total)
        emit_store(b, vec, b.fsub(w, b.fmul(eta, b.fmul(x, d))), b.add(row, I64(size * v)))


def _emit_pairwise_sum(b: Any, vec: Vector, values: list[Any]) -> Any:
    """The sum of all lanes of all vectors: first half plus second half, again and again."""
    while len(values) > 1:
        half = len(values) // 2
        values = [b.fadd(x, y) for x, y in zip(values[:half], values[half:], strict=True)]
    return emit_pairwise(b, vec, values[0], lambda b, x, y: b.fadd(x, y))


@intrinsic
def dot_and_step(tc: Any, one: Any, eta: Any, x: Any, w: Any, panel: Any, i: Any, delta: Any, width: Any) -> Any:
    """Row i of W, ``width`` padded columns in panels ``panel`` bytes apart from w on: W[i] . delta, then its update."""
    vec = Vector(one)
    size = vec.dtype.bitwidth // 8

    def codegen(ctx: Any, b: Any, sig: Any, args: Any) -> Any:
        _, eta, x, w, panel, i, delta, width = args
        eta, x = emit_splat(b, vec, eta), emit_splat(b, vec, x)
        sums = [cgutils.alloca_once_value(b, emit_constant(vec, 0.0)) for _ in range(PANEL // vec.lanes)]
        column, base = cgutils.alloca_once_value(b, I64(0)), cgutils.alloca_once_value(b, w)
        for columns in (PANEL, PANEL // 2):  # the last panel may be half as wide
            with while_room(b, column, columns, width) as j:
                row = b.add(b.load(base), b.mul(i, I64(columns * size)))
                _emit_step(b, vec, eta, x, row, b.add(delta, b.mul(j, I64(size))), sums[: columns // vec.lanes])
                b.store(b.add(b.load(base), panel), base)
        return _emit_pairwise_sum(b, vec, [b.load(total) for total in sums])

    return one(one, one, one, types.int64, types.int64, types.int64, types.int64, types.int64), codegen


@njit
def step_marked(one, run, layer, w, row, delta, i0, i1):
    """W[i] -= eta (a_i delta) for the inputs i0 to i1 that are marked, in the one or two vectors from w and delta on.

    ``row``: bytes from a row of W to the next. Delta stays in registers; most of what is left is finding the next bit.
    """
    size, second, eta = size_of(one), size_of(one) * lanes_of(one), number(one, run.eta)
    d, e, a = load(one, delta), load(one, delta + second), run.acts + size * layer.a_in
    for word in range(i0, i1, 64):
        bits = load_int(run.input_masks + word // 8)
        while bits:
            i = word + lowest_bit(bits)
            bits &= bits - 1
            at, x = w + row * i, load_scalar(one, a + size * i)
            store(load(one, at) - eta * (x * d), at)
            if row > second:
                store(load(one, at + second) - eta * (x * e), at + second)


@njit
def step_first_layer(one, run, layer, i0, i1):
    """Rows i0 to i1 of the first layer's W, of which those with a zero input stay as they are."""
    size, delta = size_of(one), run.deltas + size_of(one) * layer.d
    for j in range(0, layer.width, PANEL):
        width = panel_width(layer.width, j)
        w = run.theta + size * (layer.w + j * (layer.n_in + 1))
        for v in range(0, width, 2 * lanes_of(one)):
            step_marked(one, run, layer, w + size * v, size * width, delta + size * (j + v), i0, i1)


@njit
def online_layer(one, run, layer, before_d, i0, i1):
    """Update rows i0 to i1 of a layer's W; and dC/da of these units of the layer before, to ``before_d`` unless 0."""
    size, eta = size_of(one), number(one, run.eta)
    w, panel = run.theta + size * layer.w, size * PANEL * (layer.n_in + 1)
    a, delta = run.acts + size * layer.a_in, run.deltas + size * layer.d
    stop = min(i1, layer.n_in)
    if before_d:
        for i in range(i0, stop):
            x = load_scalar(one, a + size * i)
            store_scalar(dot_and_step(one, eta, x, w, panel, i, delta, layer.width), before_d + size * i)
    elif run.skip_zeros:
        step_first_layer(one, run, layer, i0, stop)
    else:
        for i in range(i0, stop):
            dot_and_step(one, eta, load_scalar(one, a + size * i), w, panel, i, delta, layer.width)
    if i1 > layer.n_in and layer.bias:
        dot_and_step(one, eta, one, w, panel, layer.n_in, delta, layer.width)
