"""One matrix product for everything: C = init + A B, with any stride for A.

The three products of backpropagation differ only in where their operands lie (kernels/dense.py):

    forward    z[s, :] = b + sum over i of a[s, i] W[i, :]            A = a      walks rows s, sums over i
    delta      d[s, :] =     sum over j of delta[s, j] W^T[j, :]      A = delta  walks rows s, sums over j
    gradient   g[i, :] =     sum over s of a[s, i] delta[s, :]        A = a      walks columns i, sums over s

The product is computed in blocks of ROWS rows by 2 vectors that stay in registers for the whole sum: an
element of A is broadcast to all lanes, multiplied with two vectors of B, and added. For 8 rows by 2 vectors that
is 16 independent chains of multiply-adds per 10 loads, which is enough to keep both FMA units of the CPU busy.
Every element of C is summed over k in order, starting from init, so its bits depend neither on the number of lanes
nor on how rows and columns are cut among threads.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

from .._jit import VECTOR_REGISTERS, cgutils, intrinsic, ir, njit, types
from .simd import I64, Vector, emit_fma, emit_load, emit_load_splat, emit_prefetch, emit_splat, emit_store

# 8 x 2 accumulators, 2 vectors of B and a broadcast fit 32 registers; with 16 registers 8 x 2 would spill.
ROWS = 8 if VECTOR_REGISTERS >= 32 else 4
# Blocks for the rows that remain. Each height more costs 0.3 s of compilation; so callers whose buffers have room for
# whole blocks round up instead (``whole_rows``).
HEIGHTS = (8, 4, 1) if ROWS == 8 else (4, 1)
# Rows that share a mask in masked_matmul, whatever ROWS is.
MASKED_ROWS = 8
# What full blocks read so many steps later is prefetched: rows of W or of activations that no first-level cache holds.
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
    """Emit the loop over k = 0 .. steps - 1."""
    with cgutils.for_range(b, steps) as loop:
        yield loop.index


@contextmanager
def _marked_steps(b: Any, masks: Any, upcoming: Any) -> Iterator[Any]:
    """Emit the loop over those k whose bit is set in ``masks``, (address of 64-bit words, how many).

    While it works on word w it asks for the w-th cache line at each of MASKED_ROWS addresses at ``upcoming``, if not 0.
    """
    address, words = masks
    left = cgutils.alloca_once(b, I64)
    with cgutils.for_range(b, words) as loop:
        word = b.load(b.inttoptr(b.add(address, b.mul(loop.index, I64(8))), I64.as_pointer()), typ=I64)
        b.store(word, left)
        first = b.mul(loop.index, I64(64))
        with b.if_then(b.icmp_signed("!=", upcoming, I64(0))):
            for r in range(MASKED_ROWS):
                at = b.load(b.inttoptr(b.add(upcoming, I64(8 * r)), I64.as_pointer()), typ=I64)
                emit_prefetch(b, b.add(at, first), level=2)
        test, body, done = (b.append_basic_block(name) for name in ("bits", "bit", "no_bits"))
        b.branch(test)
        b.position_at_end(test)
        word = b.load(left)
        b.cbranch(b.icmp_unsigned("!=", word, I64(0)), body, done)
        b.position_at_end(body)
        yield b.add(first, b.cttz(word, ir.Constant(ir.IntType(1), 1)))
        b.store(b.and_(word, b.sub(word, I64(1))), left)
        b.branch(test)
        b.position_at_end(done)


@contextmanager
def _unless_idle(b: Any, eta: Any, init_row: Any, masks: Any) -> Iterator[None]:
    """Emit what follows for blocks that change something: a step by a product that is zero does not."""
    address, words = masks
    some = cgutils.alloca_once_value(b, I64(0))
    with cgutils.for_range(b, words) as loop:
        word = b.load(b.inttoptr(b.add(address, b.mul(loop.index, I64(8))), I64.as_pointer()), typ=I64)
        b.store(b.or_(b.load(some), word), some)
    is_step = b.and_(b.fcmp_ordered(">", eta, eta.type(0.0)), b.icmp_signed("==", init_row, I64(0)))
    with b.if_then(b.not_(b.and_(is_step, b.icmp_signed("==", b.load(some), I64(0))))):
        yield


def _emit_finish(b: Any, vec: Vector, blocks: Any, eta: Any, c: Any) -> None:
    """Write the sums to C; or with eta subtract eta times them: SGD, rounded as kernels/update.py does."""
    size = vec.lanes * vec.dtype.bitwidth // 8
    places = [
        (b.load(total), b.add(c[0], b.add(b.mul(c[1], I64(r)), I64(size * v))))
        for r, row in enumerate(blocks)
        for v, total in enumerate(row)
    ]
    with b.if_else(b.fcmp_unordered("!=", eta, eta.type(0.0))) as (step, put):
        with step:
            etas = emit_splat(b, vec, eta)
            for total, at in places:
                emit_store(b, vec, b.fsub(emit_load(b, vec, at), b.fmul(etas, total)), at)
        with put:
            for total, at in places:
                emit_store(b, vec, total, at)


def _emit_block(
    b: Any, vec: Vector, rows: int, vectors: int, a: Any, bm: Any, init: Any, c: Any, eta: Any, steps: Any, ahead: int
) -> None:
    """``rows`` x ``vectors`` of C in registers; a, bm, init, c are (address, stride[, stride]) in bytes.

    What step k + ``ahead`` reads is prefetched at step k, unless ``ahead`` is 0.
    """
    size = vec.lanes * vec.dtype.bitwidth // 8
    (a0, a_row, a_k), (b0, b_k), (i0, i_row) = a, bm, init
    a_rows = [b.add(a0, b.mul(a_row, I64(r))) for r in range(rows)]
    accumulators = [
        [
            cgutils.alloca_once_value(b, emit_load(b, vec, b.add(i0, b.add(b.mul(i_row, I64(r)), I64(size * v)))))
            for v in range(vectors)
        ]
        for r in range(rows)
    ]
    a_ahead, b_ahead = (b.mul(stride, I64(ahead)) for stride in (a_k, b_k))
    with steps as k:
        a_offset, b_address = b.mul(k, a_k), b.add(b0, b.mul(k, b_k))
        columns = [emit_load(b, vec, b.add(b_address, I64(size * v))) for v in range(vectors)]
        if ahead:
            emit_prefetch(b, b.add(b.add(a0, a_offset), a_ahead))
            for line in range(0, size * vectors, 64):
                emit_prefetch(b, b.add(b.add(b_address, I64(line)), b_ahead))
        for r in range(rows):
            x = emit_load_splat(b, vec, b.add(a_rows[r], a_offset))
            for v in range(vectors):
                b.store(emit_fma(b, x, columns[v], b.load(accumulators[r][v])), accumulators[r][v])
    _emit_finish(b, vec, accumulators, eta, c)


def _emit_blocks(
    b: Any, vec: Vector, operands: Any, shape: Any, eta: Any, heights: tuple[int, ...], steps: Any, masks: Any = None
) -> None:
    """The loops over columns and rows around the block, widest and tallest blocks first.

    ``heights``: of the blocks, in rows. ``steps(row)`` makes the loop over k of the blocks that begin at ``row``, and
    ``masks(row)`` says where their masks are.
    """
    (am, bm, im, cm), (n_rows, n_columns) = operands, shape
    column, row = cgutils.alloca_once_value(b, I64(0)), cgutils.alloca_once(b, I64)
    for vectors in (2, 1):
        with while_room(b, column, vectors * vec.lanes, n_columns) as j:
            right = b.mul(j, I64(vec.dtype.bitwidth // 8))
            b.store(I64(0), row)
            for height in heights:
                with while_room(b, row, height, n_rows) as r:
                    block = (
                        (b.add(am[0], b.mul(am[1], r)), am[1], am[2]),
                        (b.add(bm[0], right), bm[1]),
                        (b.add(b.add(im[0], b.mul(im[1], r)), right), im[1]),
                        (b.add(b.add(cm[0], b.mul(cm[1], r)), right), cm[1]),
                    )
                    with nullcontext() if masks is None else _unless_idle(b, eta, im[1], masks(r)):
                        ahead = AHEAD if masks is None and (height, vectors) == (ROWS, 2) else 0
                        _emit_block(b, vec, height, vectors, *block, eta, steps(r), ahead)


@intrinsic
def _matmul(tc: Any, one: Any, a: Any, b: Any, init: Any, c: Any, rows: Any, width: Any, k: Any, eta: Any) -> Any:
    def codegen(ctx: Any, bld: Any, sig: Any, args: Any) -> Any:
        operands = [cgutils.unpack_tuple(bld, t) for t in args[1:5]]
        _emit_blocks(bld, Vector(one), operands, args[5:7], args[8], HEIGHTS, lambda row: _every_step(bld, args[7]))
        return ctx.get_dummy_value()

    return types.void(one, a, b, init, c, rows, width, k, one), codegen


@intrinsic
def _masked_matmul(
    tc: Any, one: Any, a: Any, b: Any, init: Any, c: Any, rows: Any, width: Any, masks: Any, eta: Any
) -> Any:
    def codegen(ctx: Any, bld: Any, sig: Any, args: Any) -> Any:
        operands = [cgutils.unpack_tuple(bld, t) for t in args[1:5]]
        address, group, words, upcoming = cgutils.unpack_tuple(bld, args[7])

        def masks_of(row: Any) -> Any:
            mask_row = bld.mul(bld.lshr(row, I64(MASKED_ROWS.bit_length() - 1)), group)
            return bld.add(address, mask_row), words

        def steps(row: Any) -> Any:
            some = bld.icmp_signed("!=", upcoming, I64(0))
            of_group = bld.add(upcoming, bld.and_(bld.mul(row, I64(8)), I64(-8 * MASKED_ROWS)))
            return _marked_steps(bld, masks_of(row), bld.select(some, of_group, upcoming))

        _emit_blocks(bld, Vector(one), operands, args[5:7], args[8], (ROWS, 1), steps, masks_of)
        return ctx.get_dummy_value()

    return types.void(one, a, b, init, c, rows, width, masks, one), codegen


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
def masked_matmul(one, a, b, init, c, rows, width, masks, eta):
    """``matmul`` that skips each k for which A is zero in a whole group of MASKED_ROWS rows.

    ``masks``: (address, bytes a group, words a group, upcoming): a group's 64-bit words have a bit set for every k at
    which one of its rows is not zero. What is skipped would have added 0 times a number: the bits are those of
    ``matmul``. ``upcoming``: 0, or the address of an address a row, from where on the work after this will read: it is
    prefetched here, bit by bit, as a CPU has 16 lines or so under way at a time, and waits when asked for more; and no
    further than the second-level cache, as it is not needed soon.
    With an eta above 0 and a single ``init`` row (of zeros, then) a group without a bit is not even touched.
    """
    _masked_matmul(one, a, b, init, c, rows, width, masks, eta)


@njit
def whole_rows(rows, height):
    """``rows`` rounded up to whole blocks: a few rows too many are cheaper than some one by one. A single one stays."""
    return rows if rows == 1 else (rows + height - 1) // height * height
