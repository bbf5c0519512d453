"""d = delta W^T for a few rows of delta and a large W: each number of d is a dot product with a row of W as it lies.

Where a batch is small, W^T would be read but a few times before the update writes it anew, and to write it costs more
than to read W and to add up lanes. The sum over j has PAD partial sums, columns 0, PAD, 2 PAD, ... in the first; then
the first half of them is added to the second half, again and again: an order that depends neither on the number of
lanes nor on how rows are cut into blocks.
"""

from __future__ import annotations

from typing import Any

from .._jit import VECTOR_REGISTERS, cgutils, intrinsic, ir, types
from .layout import PAD, PANEL
from .matmul import while_room
from .simd import I32, I64, Vector, emit_constant, emit_fma, emit_load, emit_prefetch

# Rows of delta a block: callers' buffers have room for whole blocks.
SAMPLES = 4


def _emit_shuffle(b: Any, x: Any, y: Any, lanes: list[int]) -> Any:
    return b.shuffle_vector(x, y, ir.Constant(ir.VectorType(I32, len(lanes)), lanes))


def _emit_totals(b: Any, rows: list[list[Any]]) -> Any:
    """A vector of the sums of each row's PAD partial sums: a few shuffles for all rows, and not for each."""
    vectors = [vector for row in rows for vector in row]
    while len(vectors) > 1:
        both = list(range(2 * vectors[0].type.count))
        vectors = [_emit_shuffle(b, x, y, both) for x, y in zip(vectors[::2], vectors[1::2], strict=True)]
    [total], half = vectors, PAD
    while half > 1:
        half //= 2
        first = [lane for lane in range(total.type.count) if lane % (2 * half) < half]
        second = [lane + half for lane in first]
        total = b.fadd(_emit_shuffle(b, total, total, first), _emit_shuffle(b, total, total, second))
    return total


def _emit_block(b: Any, vec: Vector, rows: int, w: Any, panel: Any, i: Any, delta: Any, width: Any, d: Any) -> None:
    """SAMPLES rows of d, from ``rows`` rows of W, i and after; delta and d are (address, stride) in bytes."""
    size, parts = vec.dtype.bitwidth // 8, PAD // vec.lanes
    zero = emit_constant(vec, 0.0)
    sums = [[[cgutils.alloca_once_value(b, zero) for _ in range(parts)] for _ in range(rows)] for _ in range(SAMPLES)]
    column, base = cgutils.alloca_once_value(b, I64(0)), cgutils.alloca_once_value(b, w)
    for columns in (PANEL, PANEL // 2):  # the last panel may be half as wide
        row_bytes = columns * size
        with while_room(b, column, columns, width) as j:
            first = b.add(b.load(base), b.mul(i, I64(row_bytes)))
            for line in range(0, rows * row_bytes, 64):
                emit_prefetch(b, b.add(first, I64(rows * row_bytes + line)))  # what the next block reads
            for q in range(0, columns, vec.lanes):
                w_rows = [emit_load(b, vec, b.add(first, I64(row_bytes * r + size * q))) for r in range(rows)]
                at = b.add(delta[0], b.mul(b.add(j, I64(q)), I64(size)))
                for s, of_sample in enumerate(sums):
                    x = emit_load(b, vec, b.add(at, b.mul(delta[1], I64(s))))
                    for w_row, partial in zip(w_rows, of_sample, strict=True):
                        total = partial[q // vec.lanes % parts]
                        b.store(emit_fma(b, vec, x, w_row, b.load(total)), total)
            b.store(b.add(b.load(base), panel), base)
    for s, of_sample in enumerate(sums):
        totals = _emit_totals(b, [[b.load(total) for total in partial] for partial in of_sample])
        at = b.add(b.add(d[0], b.mul(d[1], I64(s))), b.mul(i, I64(size)))
        b.store(totals, b.inttoptr(at, totals.type.as_pointer())).align = size


@intrinsic
def dot_rows(tc: Any, one: Any, w: Any, panel: Any, i0: Any, i1: Any, delta: Any, width: Any, d: Any, rows: Any) -> Any:
    """d[s, i] = delta[s] . W[i] for ``rows`` rows s, rounded up to whole SAMPLES, and rows i0 to i1 of W.

    W has ``width`` padded columns, in panels ``panel`` bytes apart from w on; delta and d are (address, row stride).
    """
    vec = Vector(one)
    tall = max(1, VECTOR_REGISTERS // 2 // (SAMPLES * (PAD // vec.lanes)))

    def codegen(ctx: Any, b: Any, sig: Any, args: Any) -> Any:
        _, w, panel, i0, i1, delta, width, d, n_rows = args
        operands = [cgutils.unpack_tuple(b, t) for t in (delta, d)]
        row, sample = cgutils.alloca_once_value(b, i0), cgutils.alloca_once(b, I64)
        room = b.add(n_rows, I64(SAMPLES - 1))
        for height in sorted({tall, 1}, reverse=True):
            with while_room(b, row, height, i1) as i:
                b.store(I64(0), sample)
                with while_room(b, sample, SAMPLES, room) as s:
                    delta, d = ((b.add(at, b.mul(stride, s)), stride) for at, stride in operands)
                    _emit_block(b, vec, height, w, panel, i, delta, width, d)
        return ctx.get_dummy_value()

    return types.void(one, *[types.int64] * 4, delta, types.int64, d, types.int64), codegen
