"""One matrix product for everything: C = init + A B, with any stride for A.

The three products of backpropagation differ only in where their operands lie (kernels/dense.py):

    forward    z[s, :] = b + sum over i of a[s, i] W[i, :]            A = a      walks rows s, sums over i
    delta      d[s, :] =     sum over j of delta[s, j] W^T[j, :]      A = delta  walks rows s, sums over j
    gradient   g[i, :] =     sum over s of a[s, i] delta[s, :]        A = a      walks columns i, sums over s

The product is computed in blocks of up to 12 rows by 2 vectors that stay in registers for the whole sum: an element
of A is broadcast to all lanes, multiplied with two vectors of B, and added. For 12 rows by 2 vectors that is 24
independent chains of multiply-adds per 14 loads, which is enough to keep both FMA units of the CPU busy.
Every element of C is summed over k in order, starting from init, so its bits depend neither on the number of lanes
nor on how rows and columns are cut among threads.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from .._jit import COMPRESSES, VECTOR_REGISTERS, cgutils, intrinsic, ir, njit, types
from .simd import (
    I16,
    I64,
    Vector,
    emit_constant,
    emit_fma,
    emit_load,
    emit_load_splat,
    emit_opaque,
    emit_prefetch,
    emit_splat,
    emit_store,
)

# By how many vectors a block is wide: its rows, and those of the blocks for what remains. 12 x 2 accumulators, two
# vectors of B and a broadcast fit 32 registers, 4 x 2 fit 16; one vector takes more rows, for chains enough. Each
# height more takes compilation; so callers whose buffers have room for whole blocks round up (``whole_rows``).
Heights = dict[int, tuple[int, ...]]
HEIGHTS: Heights = {2: (12, 8, 4, 1), 1: (16, 8, 4, 1)} if VECTOR_REGISTERS >= 32 else {2: (4, 1), 1: (8, 4, 1)}
# Samples that share a list (lists.py).
GROUP = 8
# The same of products over lists, whose rows are a group's, rounded up to whole fours.
LISTED_HEIGHTS: Heights = dict.fromkeys((2, 1), (8, 4) if VECTOR_REGISTERS >= 32 else (4,))
# What blocks two vectors wide read so many steps later is prefetched: rows of W or of activations that no first-level
# cache holds.
AHEAD = 8


@contextmanager
def while_room(b: Any, counter: Any, step: int, limit: Any) -> Iterator[Any]:
    """Emit ``while counter + step <= limit: ...; counter += step`` and hand out the counter's value."""
    test = b.append_basic_block("while")
    body = b.append_basic_block("do")
    done = b.append_basic_block("done")
    b.branch(test)
    b.position_at_end(test)
    value = b.load(counter)
    b.cbranch(b.icmp_signed("<=", b.add(value, I64(step)), limit), body, done)
    b.position_at_end(body)
    yield value
    b.store(b.add(value, I64(step)), counter)
    b.branch(test)
    b.position_at_end(done)


@contextmanager
def _every_step(b: Any, steps: Any) -> Iterator[Any]:
    """Emit the loop over k = 0 .. steps - 1: (k of A, k of B)."""
    with cgutils.for_range(b, steps) as loop:
        yield loop.index, loop.index


@contextmanager
def _listed_steps(b: Any, places: Any) -> Iterator[Any]:
    """Emit the loop over a list, (address of its places, how many): (k of A, k of B).

    Of B it is the place; of A, where the CPU packs, the entry.
    """
    address, count = places
    with cgutils.for_range(b, count) as loop:
        place = b.load(b.inttoptr(b.add(address, b.mul(loop.index, I64(2))), I16.as_pointer()), typ=I16)
        k = b.zext(place, I64)
        yield loop.index if COMPRESSES else k, k


def _emit_finish(b: Any, vec: Vector, sums: list[tuple[Any, Any, Any]], eta: Any) -> None:
    """Write sums, (vector, where to, where weights are); or with an eta other than 0 or None W -= eta times them."""

    def put() -> None:
        for total, at, _ in sums:
            emit_store(b, vec, total, at)

    if eta is None:
        put()
        return
    with b.if_else(b.fcmp_unordered("!=", eta, eta.type(0.0))) as (steps, puts):
        with steps:  # rounded as kernels/update.py does it
            etas = emit_splat(b, vec, eta)
            for total, _, at in sums:
                emit_store(b, vec, b.fsub(emit_load(b, vec, at), b.fmul(etas, total)), at)
        with puts:
            put()


def _emit_multiples(b: Any, stride: Any, count: int) -> list[Any]:
    """0 to ``count`` - 1 times a stride, each as an address adds it: a register, times 1, 2, 4 or 8.

    LLVM would reach a row from the one before, by additions: those take the ports that multiply-adds need.
    """
    if isinstance(stride, ir.Constant):
        return [I64(r * stride.constant) for r in range(count)]
    odd = {r: emit_opaque(b, b.mul(stride, I64(r))) for r in range(1, count, 2)}
    twos = [(r & -r).bit_length() - 1 for r in range(1, count)]
    return [I64(0), *(b.shl(odd[r >> n], I64(n)) for r, n in enumerate(twos, 1))]


def _emit_block(b: Any, vec: Vector, rows: int, vectors: int, operands: Any, eta: Any, steps: Any, ahead: int) -> None:
    """``rows`` x ``vectors`` of C in registers; the operands A, B, init and C are (address, stride[, stride]) in bytes.

    What step k + ``ahead`` reads is prefetched at step k, unless ``ahead`` is 0.
    """
    size = vec.lanes * vec.dtype.bitwidth // 8
    (a0, a_row, a_k), (b0, b_k), (i0, i_row), c = operands
    a_rows = _emit_multiples(b, a_row, rows)
    accumulators = [
        [
            cgutils.alloca_once_value(b, emit_load(b, vec, b.add(i0, b.add(b.mul(i_row, I64(r)), I64(size * v)))))
            for v in range(vectors)
        ]
        for r in range(rows)
    ]
    a_ahead, b_ahead = (b.mul(stride, I64(ahead)) for stride in (a_k, b_k))
    with steps as (k, place):
        a_address, b_address = b.add(a0, b.mul(k, a_k)), b.add(b0, b.mul(place, b_k))
        columns = [emit_load(b, vec, b.add(b_address, I64(size * v))) for v in range(vectors)]
        if ahead:
            emit_prefetch(b, b.add(a_address, a_ahead))
            for line in range(0, size * vectors, 64):
                emit_prefetch(b, b.add(b.add(b_address, I64(line)), b_ahead))
        for r in range(rows):
            x = emit_load_splat(b, vec, b.add(a_address, a_rows[r]))
            for v in range(vectors):
                b.store(emit_fma(b, vec, x, columns[v], b.load(accumulators[r][v])), accumulators[r][v])
    sums = []
    for r, row in enumerate(accumulators):
        for v, total in enumerate(row):
            at = b.add(c[0], b.add(b.mul(c[1], I64(r)), I64(size * v)))
            sums.append((b.load(total), at, at))
    _emit_finish(b, vec, sums, eta)


def _emit_blocks(b: Any, vec: Vector, shape: Any, heights: Heights, emit: Callable[[int, int, Any, Any], None]) -> None:
    """The loops over columns and rows, widest and tallest blocks first: ``emit(height, vectors, row, byte)``."""
    n_rows, n_columns = shape
    column, row = cgutils.alloca_once_value(b, I64(0)), cgutils.alloca_once(b, I64)
    for vectors, rows in heights.items():
        with while_room(b, column, vectors * vec.lanes, n_columns) as j:
            right = b.mul(j, I64(vec.dtype.bitwidth // 8))
            b.store(I64(0), row)
            for height in rows:
                with while_room(b, row, height, n_rows) as r:
                    emit(height, vectors, r, right)


def _emit_product(
    b: Any, vec: Vector, operands: Any, shape: Any, eta: Any, heights: Heights, steps: Any, ahead: int
) -> None:
    """C = init + A B, block by block; ``steps()`` makes a block's loop over k."""
    am, bm, im, cm = operands

    def emit(height: int, vectors: int, r: Any, right: Any) -> None:
        block = (
            (b.add(am[0], b.mul(am[1], r)), am[1], am[2]),
            (b.add(bm[0], right), bm[1]),
            (b.add(b.add(im[0], b.mul(im[1], r)), right), im[1]),
            (b.add(b.add(cm[0], b.mul(cm[1], r)), right), cm[1]),
        )
        _emit_block(b, vec, height, vectors, block, eta, steps(), ahead if vectors == 2 else 0)

    _emit_blocks(b, vec, shape, heights, emit)


def _emit_outer(b: Any, vec: Vector, rows: int, vectors: int, operands: Any, eta: Any, places: Any) -> None:
    """C[place, :] = init[place, :] + sum over ``rows`` rows of A[r, k] B[r, :], B in registers, for a list's entries k.

    Or, as ``_emit_finish`` does it, W[place, :], whose stride is C's.
    """
    size = vec.lanes * vec.dtype.bitwidth // 8
    (a0, a_row, a_k), (b0, b_row), (i0, i_row), (c0, c_row), w0 = operands
    a_rows = [b.add(a0, b.mul(a_row, I64(r))) for r in range(rows)]
    deltas = [
        [emit_load(b, vec, b.add(b.add(b0, b.mul(b_row, I64(r))), I64(size * v))) for v in range(vectors)]
        for r in range(rows)
    ]
    with _listed_steps(b, places) as (k, place):
        start, offset, a_offset = b.add(i0, b.mul(place, i_row)), b.mul(place, c_row), b.mul(k, a_k)
        totals = [emit_load(b, vec, b.add(start, I64(size * v))) for v in range(vectors)]
        for a_address, delta in zip(a_rows, deltas, strict=True):
            x = emit_load_splat(b, vec, b.add(a_address, a_offset))
            totals = [emit_fma(b, vec, x, d, total) for d, total in zip(delta, totals, strict=True)]
        c, w = b.add(c0, offset), b.add(w0, offset)
        sums = [(total, b.add(c, I64(size * v)), b.add(w, I64(size * v))) for v, total in enumerate(totals)]
        _emit_finish(b, vec, sums, eta)


@intrinsic
def _matmul(tc: Any, one: Any, a: Any, b: Any, init: Any, c: Any, rows: Any, width: Any, k: Any, eta: Any) -> Any:
    def codegen(ctx: Any, bld: Any, sig: Any, args: Any) -> Any:
        operands = [cgutils.unpack_tuple(bld, t) for t in args[1:5]]
        _emit_product(bld, Vector(one), operands, args[5:7], args[8], HEIGHTS, lambda: _every_step(bld, args[7]), AHEAD)
        return ctx.get_dummy_value()

    return types.void(one, a, b, init, c, rows, width, k, one), codegen


def _listed_strides(one: Any) -> tuple[Any, Any]:
    """From row to row of a group's inputs, and from k to k: constants, so that one address reaches all 8."""
    size = one.bitwidth // 8
    return I64(size), I64(GROUP * size)


@intrinsic
def _listed_matmul(tc: Any, one: Any, a: Any, b: Any, init: Any, c: Any, rows: Any, width: Any, places: Any) -> Any:
    def codegen(ctx: Any, bld: Any, sig: Any, args: Any) -> Any:
        *operands, places = (cgutils.unpack_tuple(bld, t) for t in (*args[2:5], args[7]))
        x = args[1], *_listed_strides(one)
        steps = lambda: _listed_steps(bld, places)  # noqa: E731
        _emit_product(bld, Vector(one), (x, *operands), args[5:7], None, LISTED_HEIGHTS, steps, 0)
        return ctx.get_dummy_value()

    return types.void(one, a, b, init, c, rows, width, places), codegen


@intrinsic
def _listed_outer(
    tc: Any, one: Any, a: Any, b: Any, init: Any, c: Any, w: Any, rows: Any, width: Any, places: Any, eta: Any
) -> Any:
    least = LISTED_HEIGHTS[1][-1]

    def codegen(ctx: Any, bld: Any, sig: Any, args: Any) -> Any:
        vec, n_rows = Vector(one), args[6]
        bm, im, cm, places = (cgutils.unpack_tuple(bld, t) for t in (*args[2:5], args[8]))
        a_row, a_k = _listed_strides(one)

        def emit(height: int, vectors: int, r: Any, right: Any) -> None:
            is_first = bld.icmp_signed("==", r, I64(0))
            is_last = bld.icmp_signed(">", bld.add(r, I64(height + least)), n_rows)
            start, stride = (bld.select(is_first, x, y) for x, y in zip(im, cm, strict=True))
            operands = (
                (bld.add(args[1], bld.mul(a_row, r)), a_row, a_k),
                (bld.add(bld.add(bm[0], bld.mul(bm[1], r)), right), bm[1]),
                (bld.add(start, right), stride),
                (bld.add(cm[0], right), cm[1]),
                bld.add(args[5], right),
            )
            _emit_outer(bld, vec, height, vectors, operands, bld.select(is_last, args[9], args[9].type(0.0)), places)

        _emit_blocks(bld, vec, args[6:8], LISTED_HEIGHTS, emit)
        return ctx.get_dummy_value()

    return types.void(one, a, b, init, c, w, rows, width, places, one), codegen


def _emit_rows(b: Any, vec: Vector, width: Any, places: Any, emit: Callable[[Any, Any], None]) -> None:
    """Let ``emit(place, byte)`` do something to every vector of the rows that a list names."""
    column = cgutils.alloca_once_value(b, I64(0))
    with while_room(b, column, vec.lanes, width) as j, _listed_steps(b, places) as (_, place):
        emit(place, b.mul(j, I64(vec.dtype.bitwidth // 8)))


@intrinsic
def _listed_clear(tc: Any, one: Any, c: Any, width: Any, places: Any) -> Any:
    def codegen(ctx: Any, b: Any, sig: Any, args: Any) -> Any:
        vec = Vector(one)
        (c0, row), places = (cgutils.unpack_tuple(b, args[k]) for k in (1, 3))

        def emit(place: Any, right: Any) -> None:
            emit_store(b, vec, emit_constant(vec, 0.0), b.add(b.add(c0, b.mul(place, row)), right))

        _emit_rows(b, vec, args[2], places, emit)
        return ctx.get_dummy_value()

    return types.void(one, c, width, places), codegen


@intrinsic
def _listed_step(tc: Any, one: Any, c: Any, g: Any, width: Any, places: Any, eta: Any) -> Any:
    def codegen(ctx: Any, b: Any, sig: Any, args: Any) -> Any:
        vec = Vector(one)
        (c0, c_row), (g0, g_row), places = (cgutils.unpack_tuple(b, args[k]) for k in (1, 2, 4))
        etas = emit_splat(b, vec, args[5])

        def emit(place: Any, right: Any) -> None:
            at = b.add(b.add(c0, b.mul(place, c_row)), right)
            total = emit_load(b, vec, b.add(b.add(g0, b.mul(place, g_row)), right))
            emit_store(b, vec, b.fsub(emit_load(b, vec, at), b.fmul(etas, total)), at)

        _emit_rows(b, vec, args[3], places, emit)
        return ctx.get_dummy_value()

    return types.void(one, c, g, width, places, one), codegen


@njit
def matmul(one, a, b, init, c, rows, width, k, eta):
    """C[r, v] = init[r, v] + sum over k of A[r, k] B[k, v], for ``rows`` rows and ``width`` columns.

    With an eta other than 0 it is C -= eta (init + A B): a gradient goes into the weights without being written.

    Every operand is a tuple of an address and strides in bytes, all int64: ``a`` (address, row stride, k stride),
    ``b`` (address, k stride), ``init`` (address, row stride; 0 repeats one row, as a bias does) and ``c`` (address,
    row stride). ``init`` and ``c`` may be the same memory. ``width`` is a multiple of the lanes of a vector.
    """
    _matmul(one, a, b, init, c, rows, width, k, eta)


@njit
def listed_matmul(one, a, b, init, c, rows, width, places):
    """C = init + A B over those k that a list names, ``places`` (address of 16-bit numbers, how many); rows by fours.

    ``a`` is the address of A's numbers, GROUP rows side by side; where the CPU packs, of these k only (lists.py). What
    is not listed would have added 0 times a number: the bits are those of ``matmul``.
    """
    _listed_matmul(one, a, b, init, c, rows, width, places)


@njit
def listed_outer(one, a, b, init, c, w, rows, width, places, eta):
    """C[k, v] = init[k, v] + sum over rows r of A[r, k] B[r, v], for those k that a list names: a few rows' gradient.

    Row after row, as ``matmul`` adds them, to the same bits; with an eta other than 0 it is W -= eta (init + A B), and
    C is scratch. ``a`` and ``rows`` as above; ``b``, ``init`` and ``c`` (address, row stride); ``w`` is the address of
    W, whose stride is C's.
    """
    _listed_outer(one, a, b, init, c, w, rows, width, places, eta)


@njit
def listed_clear(one, c, width, places):
    """Zeros into the rows of C, (address, row stride), that a list names."""
    _listed_clear(one, c, width, places)


@njit
def listed_step(one, c, g, width, places, eta):
    """C -= eta G in the rows that a list names, rounded as ``matmul`` does it."""
    _listed_step(one, c, g, width, places, eta)


@njit
def whole_rows(rows, height):
    """``rows`` rounded up to whole blocks: a few rows too many are cheaper than some one by one. A single one stays."""
    return rows if rows == 1 else (rows + height - 1) // height * height
