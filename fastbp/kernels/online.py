"""Online SGD: one sample an update. There is nothing to sum over samples, so a layer is a walk forward and one back:

    z    = b + sum over i of a_i W[i]          forward
    d_i  = sum over j of delta_j W[i, j]       dC/da of unit i of the layer before, from the row as it was
    W[i] -= eta a_i delta                      the gradient of one sample is an outer product

Nothing else needs W^T, so none is kept; and at the first layer, which has none before it, rows whose input is zero are
not touched at all. On 784-800-800-10 this reads and writes a third less than the two phases of a mini-batch do.

Both walks take the rows that a list names: the inputs that are not zero (gather.py), or every one. A single row of z
is one chain of multiply-adds, each waiting for the one before it; so forward sums CHAINS of them, entries 0, CHAINS,
2 CHAINS, ... of the list in the first, and adds these up in pairs. The sum over j has PANEL partial sums in the same
way, one a column of a panel: orders that do not depend on the number of lanes.
"""

from __future__ import annotations

from typing import Any

from .._jit import cgutils, intrinsic, njit, types
from .dense import panel_width
from .layout import PANEL
from .matmul import while_room
from .memory import lanes_of, load, load_int, load_place, load_scalar, number, size_of, store, store_scalar
from .simd import (
    I32,
    I64,
    Vector,
    emit_constant,
    emit_fma,
    emit_load,
    emit_load_splat,
    emit_pairwise,
    emit_splat,
    emit_store,
    fma,
)

# Chains of multiply-adds of a row: two vectors of 4 chains keep both FMA units busy at a latency of 4.
CHAINS = 4


def _emit_step(b: Any, vec: Vector, eta: Any, x: Any, row: Any, delta: Any, sums: Any) -> None:
    """row -= eta (x delta) for as many vectors as there are ``sums``, to which the old row times delta is added."""
    size = vec.lanes * vec.dtype.bitwidth // 8
    for v, total in enumerate(sums):
        w, d = (emit_load(b, vec, b.add(at, I64(size * v))) for at in (row, delta))
        b.store(emit_fma(b, w, d, b.load(total)), total)
        emit_store(b, vec, b.fsub(w, b.fmul(eta, b.fmul(x, d))), b.add(row, I64(size * v)))


def _emit_sum(b: Any, values: list[Any]) -> Any:
    """The sum of some vectors: first half plus second half, again and again."""
    while len(values) > 1:
        half = len(values) // 2
        values = [b.fadd(x, y) for x, y in zip(values[:half], values[half:], strict=True)]
    return values[0]


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
        total = _emit_sum(b, [b.load(total) for total in sums])
        return emit_pairwise(b, vec, total, lambda b, x, y: b.fadd(x, y))

    return one(one, one, one, types.int64, types.int64, types.int64, types.int64, types.int64), codegen


def _emit_chains(b: Any, vec: Vector, entries: Any, count: Any, w: Any, row: Any, x: Any, sums: Any) -> None:
    """sums[c][v] += x[i] W[i] for entries i of the list, the k-th in chain k modulo CHAINS."""
    size = vec.dtype.bitwidth // 8

    def add(k: Any, chain: Any) -> None:
        place = b.inttoptr(b.add(entries, b.mul(k, I64(4))), I32.as_pointer())
        i = b.zext(b.load(place, typ=I32), I64)
        factor, at = emit_load_splat(b, vec, b.add(x, b.mul(i, I64(size)))), b.add(w, b.mul(i, row))
        for v, total in enumerate(chain):
            b.store(emit_fma(b, factor, emit_load(b, vec, b.add(at, I64(vec.lanes * size * v))), b.load(total)), total)

    entry = cgutils.alloca_once_value(b, I64(0))
    with while_room(b, entry, CHAINS, count) as k:
        for c, chain in enumerate(sums):
            add(b.add(k, I64(c)), chain)
    with while_room(b, entry, 1, count) as k:
        add(k, sums[0])


@intrinsic
def row_product(
    tc: Any, one: Any, x: Any, w: Any, row: Any, entries: Any, count: Any, bias: Any, z: Any, width: Any
) -> Any:
    """z = bias + sum over the listed i of x[i] W[i], ``width`` columns of a panel whose rows are ``row`` bytes."""
    vec = Vector(one)

    def codegen(ctx: Any, b: Any, sig: Any, args: Any) -> Any:
        _, x, w, row, entries, count, bias, z, width = args
        column = cgutils.alloca_once_value(b, I64(0))
        for vectors in (2, 1):
            with while_room(b, column, vectors * vec.lanes, width) as j:
                right = b.mul(j, I64(vec.dtype.bitwidth // 8))
                zero = emit_constant(vec, 0.0)
                sums = [[cgutils.alloca_once_value(b, zero) for _ in range(vectors)] for _ in range(CHAINS)]
                _emit_chains(b, vec, entries, count, b.add(w, right), row, x, sums)
                for v in range(vectors):
                    at = b.add(right, I64(vec.lanes * vec.dtype.bitwidth // 8 * v))
                    total = _emit_sum(b, [b.load(chain[v]) for chain in sums])
                    emit_store(b, vec, b.fadd(emit_load(b, vec, b.add(bias, at)), total), b.add(z, at))
        return ctx.get_dummy_value()

    return types.void(one, *[types.int64] * 8), codegen


@njit
def listed(run, layer, i0, i1):
    """(address, count) of the entries from i0, a multiple of 64, to i1: all inputs, or the first layer's not zero."""
    starts = run.nonzero_inputs if run.skip_zeros and layer.first else run.every_input
    start, stop = load_int(starts + 8 * (i0 // 64)), load_int(starts + 8 * ((min(i1, layer.n_in) + 63) // 64))
    return starts + 8 * (run.list_words + 1) + 4 * start, min(stop, i1) - start


@njit
def online_forward(one, run, layer, j0, j1):
    """z of the only sample, columns j0 to j1, whole panels."""
    size, (entries, count) = size_of(one), listed(run, layer, 0, layer.n_in)
    for j in range(j0, j1, PANEL):
        width = panel_width(layer.width, j)
        w, row = run.theta + size * (layer.w + j * (layer.n_in + 1)), size * width
        x, z = run.acts + size * layer.a_in, run.acts + size * (layer.z + j)
        row_product(one, x, w, row, entries, count, w + row * layer.n_in, z, width)


@njit
def step_listed(one, run, layer, w, row, delta, i0, i1):
    """W[i] -= eta a_i delta for the listed inputs i0 to i1, in the one or two vectors from w and delta on.

    ``row``: bytes from a row of W to the next. Delta stays in registers.
    """
    size, second, eta = size_of(one), size_of(one) * lanes_of(one), number(one, run.eta)
    d, e, a = -eta * load(one, delta), -eta * load(one, delta + second), run.acts + size * layer.a_in
    entries, count = listed(run, layer, i0, i1)
    for entry in range(entries, entries + 4 * count, 4):
        i = load_place(entry)
        at, x = w + row * i, load_scalar(one, a + size * i)
        store(fma(d, x, load(one, at)), at)
        if row > second:
            store(fma(e, x, load(one, at + second)), at + second)


@njit
def step_first_layer(one, run, layer, i0, i1):
    """Rows i0 to i1 of the first layer's W, of which those with a zero input stay as they are."""
    size, delta = size_of(one), run.deltas + size_of(one) * layer.d
    for j in range(0, layer.width, PANEL):
        width = panel_width(layer.width, j)
        w = run.theta + size * (layer.w + j * (layer.n_in + 1))
        for v in range(0, width, 2 * lanes_of(one)):
            step_listed(one, run, layer, w + size * v, size * width, delta + size * (j + v), i0, i1)


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
    else:
        step_first_layer(one, run, layer, i0, stop)
    if i1 > layer.n_in and layer.bias:
        dot_and_step(one, eta, one, w, panel, layer.n_in, delta, layer.width)
