"""Vectors, numbers and bits to and from memory. Addresses are int64 and count bytes."""

from __future__ import annotations

from typing import Any

from .._jit import cgutils, intrinsic, ir, njit, types
from .layout import PAD, PANEL, TILE_NUMBERS
from .simd import (
    I32,
    I64,
    Vector,
    emit_constant,
    emit_load,
    emit_pairwise,
    emit_prefetch,
    emit_splat,
    emit_store,
)


@intrinsic
def load(tc: Any, one: Any, address: Any) -> Any:
    """The vector at ``address``."""
    vec = Vector(one)
    return vec(one, types.int64), lambda ctx, b, sig, args: emit_load(b, vec, args[1])


def _emit_first(b: Any, vec: Vector, count: Any) -> Any:
    """For each lane, whether its number is below ``count``, an int64."""
    lanes = ir.VectorType(I32, vec.lanes)
    # In 32 bits, where the CPU compares all lanes at once; clamped, as a count may be huge or below 0.
    most = b.select(b.icmp_signed("<", count, I64(vec.lanes)), count, I64(vec.lanes))
    some = b.trunc(b.select(b.icmp_signed(">", most, I64(0)), most, I64(0)), I32)
    undefined = ir.Constant(lanes, ir.Undefined)
    counts = b.shuffle_vector(b.insert_element(undefined, some, I32(0)), undefined, ir.Constant(lanes, [0] * vec.lanes))
    return b.icmp_signed("<", ir.Constant(lanes, list(range(vec.lanes))), counts)


@intrinsic
def load_first(tc: Any, one: Any, address: Any, count: Any, fill: Any) -> Any:
    """The first ``count`` numbers from ``address`` on, ``fill`` in the lanes behind them; no other memory is read."""
    vec = Vector(one)

    def codegen(ctx: Any, b: Any, sig: Any, args: Any) -> Any:
        mask = _emit_first(b, vec, args[2])
        fnty = ir.FunctionType(vec.ir, [vec.ir.as_pointer(), I32, mask.type, vec.ir])
        name = f"llvm.masked.load.v{vec.lanes}f{vec.dtype.bitwidth}.p0"
        fill = emit_splat(b, vec, ctx.cast(b, args[3], sig.args[3], one))
        pointer = b.inttoptr(args[1], vec.ir.as_pointer())
        fn = cgutils.get_or_insert_function(b.module, fnty, name)
        return b.call(fn, [pointer, I32(vec.dtype.bitwidth // 8), mask, fill])

    return vec(one, types.int64, types.int64, fill), codegen


@intrinsic
def store_first(tc: Any, vec: Any, address: Any, count: Any) -> Any:
    """Write the first ``count`` lanes of ``vec`` to ``address``, and no other memory."""

    def codegen(ctx: Any, b: Any, sig: Any, args: Any) -> Any:
        mask = _emit_first(b, vec, args[2])
        fnty = ir.FunctionType(ir.VoidType(), [vec.ir, vec.ir.as_pointer(), I32, mask.type])
        fn = cgutils.get_or_insert_function(b.module, fnty, f"llvm.masked.store.v{vec.lanes}f{vec.dtype.bitwidth}.p0")
        b.call(fn, [args[0], b.inttoptr(args[1], vec.ir.as_pointer()), I32(vec.dtype.bitwidth // 8), mask])
        return ctx.get_dummy_value()

    return types.void(vec, types.int64, types.int64), codegen


@intrinsic
def first_lanes(tc: Any, value: Any, count: Any) -> Any:
    """``value``, a scalar, in the first ``count`` lanes, and 0 in the others."""
    vec = Vector(value)

    def codegen(ctx: Any, b: Any, sig: Any, args: Any) -> Any:
        return b.select(_emit_first(b, vec, args[1]), emit_splat(b, vec, args[0]), emit_constant(vec, 0.0))

    return vec(value, types.int64), codegen


@intrinsic
def first_of(tc: Any, x: Any, count: Any) -> Any:
    """The first ``count`` lanes of ``x``, and 0 in the others."""

    def codegen(ctx: Any, b: Any, sig: Any, args: Any) -> Any:
        return b.select(_emit_first(b, x, args[1]), args[0], emit_constant(x, 0.0))

    return x(x, types.int64), codegen


@intrinsic
def one_hot(tc: Any, one: Any, lane: Any) -> Any:
    """1 in one lane and 0 in the others; 0 in all where there is no such lane."""
    vec = Vector(one)

    def codegen(ctx: Any, b: Any, sig: Any, args: Any) -> Any:
        upto, below = _emit_first(b, vec, b.add(args[1], I64(1))), _emit_first(b, vec, args[1])
        return b.select(b.xor(upto, below), emit_constant(vec, 1.0), emit_constant(vec, 0.0))

    return vec(one, types.int64), codegen


@intrinsic
def largest_lane(tc: Any, x: Any) -> Any:
    """The largest number of a vector without NaN."""

    def larger(b: Any, x: Any, y: Any) -> Any:
        return b.select(b.fcmp_ordered(">", x, y), x, y)

    def codegen(ctx: Any, b: Any, sig: Any, args: Any) -> Any:
        return emit_pairwise(b, x, args[0], larger)

    return x.dtype(x), codegen


@intrinsic
def load_like(tc: Any, vec: Any, address: Any) -> Any:
    """The vector at ``address``, of the same type as ``vec``."""
    return vec(vec, types.int64), lambda ctx, b, sig, args: emit_load(b, vec, args[1])


@intrinsic
def store(tc: Any, vec: Any, address: Any) -> Any:
    """Write ``vec`` to ``address``."""

    def codegen(ctx: Any, b: Any, sig: Any, args: Any) -> Any:
        emit_store(b, vec, args[0], args[1])
        return ctx.get_dummy_value()

    return types.void(vec, types.int64), codegen


@intrinsic
def splat(tc: Any, scalar: Any) -> Any:
    """``scalar`` in every lane."""
    vec = Vector(scalar)
    return vec(scalar), lambda ctx, b, sig, args: emit_splat(b, vec, args[0])


@intrinsic
def load_column(tc: Any, one: Any, address: Any, step: Any) -> Any:
    """As many numbers as a vector has lanes, ``step`` bytes apart."""
    vec = Vector(one)

    def codegen(ctx: Any, b: Any, sig: Any, args: Any) -> Any:
        column = ir.Constant(vec.ir, ir.Undefined)
        for r in range(vec.lanes):
            at = b.inttoptr(b.add(args[1], b.mul(args[2], I64(r))), vec.scalar_ir.as_pointer())
            column = b.insert_element(column, b.load(at, typ=vec.scalar_ir), I32(r))
        return column

    return vec(one, types.int64, types.int64), codegen


@intrinsic
def load_scalar(tc: Any, one: Any, address: Any) -> Any:
    """The one number at ``address``."""

    def codegen(ctx: Any, b: Any, sig: Any, args: Any) -> Any:
        kind = Vector(one).scalar_ir
        return b.load(b.inttoptr(args[1], kind.as_pointer()), typ=kind)

    return one(one, types.int64), codegen


@intrinsic
def store_scalar(tc: Any, value: Any, address: Any) -> Any:
    """Write one number to ``address``."""

    def codegen(ctx: Any, b: Any, sig: Any, args: Any) -> Any:
        b.store(args[0], b.inttoptr(args[1], args[0].type.as_pointer()))
        return ctx.get_dummy_value()

    return types.void(value, types.int64), codegen


@intrinsic
def load_bytes(tc: Any, one: Any, address: Any) -> Any:
    """As many bytes as a vector has lanes, converted to its dtype: 0 to 255."""
    vec = Vector(one)

    def codegen(ctx: Any, b: Any, sig: Any, args: Any) -> Any:
        kind = ir.VectorType(ir.IntType(8), vec.lanes)
        raw = b.load(b.inttoptr(args[1], kind.as_pointer()), typ=kind)
        raw.align = 1
        return b.sitofp(b.zext(raw, ir.VectorType(I32, vec.lanes)), vec.ir)

    return vec(one, types.int64), codegen


@intrinsic
def load_byte(tc: Any, address: Any) -> Any:
    """The byte at ``address``, 0 to 255, as an int64."""

    def codegen(ctx: Any, b: Any, sig: Any, args: Any) -> Any:
        raw = b.load(b.inttoptr(args[0], ir.IntType(8).as_pointer()), typ=ir.IntType(8))
        return b.zext(raw, I64)

    return types.int64(types.int64), codegen


@intrinsic
def load_int(tc: Any, address: Any) -> Any:
    """The int64 at ``address``."""
    return types.int64(types.int64), lambda ctx, b, sig, args: b.load(b.inttoptr(args[0], I64.as_pointer()), typ=I64)


@intrinsic
def store_int(tc: Any, value: Any, address: Any) -> Any:
    """Write an int64 to ``address``."""

    def codegen(ctx: Any, b: Any, sig: Any, args: Any) -> Any:
        b.store(args[0], b.inttoptr(args[1], I64.as_pointer()))
        return ctx.get_dummy_value()

    return types.void(types.int64, types.int64), codegen


@intrinsic
def copy_bytes(tc: Any, source: Any, target: Any, count: Any) -> Any:
    """memcpy"""

    def codegen(ctx: Any, b: Any, sig: Any, args: Any) -> Any:
        pointer = ir.IntType(8).as_pointer()
        cgutils.raw_memcpy(b, b.inttoptr(args[1], pointer), b.inttoptr(args[0], pointer), args[2], 1)
        return ctx.get_dummy_value()

    return types.void(types.int64, types.int64, types.int64), codegen


@intrinsic
def transpose_block(tc: Any, one: Any, source: Any, source_row: Any, target: Any, target_row: Any) -> Any:
    """Write the transpose of a square of lanes x lanes numbers; addresses, and bytes from row to row.

    A transpose is log2(lanes) perfect shuffles: each interleaves row r with row r + lanes / 2.
    """
    vec = Vector(one)
    n = vec.lanes

    def codegen(ctx: Any, b: Any, sig: Any, args: Any) -> Any:
        _, source, source_row, target, target_row = args
        rows = [emit_load(b, vec, b.add(source, b.mul(source_row, I64(r)))) for r in range(n)]
        indices = ir.VectorType(I32, n)
        low, high = (ir.Constant(indices, [h * n // 2 + i // 2 + i % 2 * n for i in range(n)]) for h in (0, 1))
        for _ in range(n.bit_length() - 1):
            pairs = [(rows[r], rows[r + n // 2]) for r in range(n // 2)]
            rows = [b.shuffle_vector(x, y, mask) for x, y in pairs for mask in (low, high)]
        for r, row in enumerate(rows):
            emit_store(b, vec, row, b.add(target, b.mul(target_row, I64(r))))
        return ctx.get_dummy_value()

    integer = types.int64
    return types.void(one, integer, integer, integer, integer), codegen


@intrinsic
def lowest_bit(tc: Any, word: Any) -> Any:
    """The place of the lowest bit that is set in a word other than 0."""
    return types.int64(types.int64), lambda ctx, b, sig, args: b.cttz(args[0], ir.Constant(ir.IntType(1), 1))


@intrinsic
def equal_bits(tc: Any, x: Any, y: Any) -> Any:
    """A bit for each lane: whether x == y there."""

    def codegen(ctx: Any, b: Any, sig: Any, args: Any) -> Any:
        return b.zext(b.bitcast(b.fcmp_ordered("==", *args), ir.IntType(x.lanes)), I64)

    return types.int64(x, y), codegen


@intrinsic
def store_byte(tc: Any, value: Any, address: Any) -> Any:
    """Write the low 8 bits of an int64 to ``address``."""

    def codegen(ctx: Any, b: Any, sig: Any, args: Any) -> Any:
        byte = ir.IntType(8)
        b.store(b.trunc(args[0], byte), b.inttoptr(args[1], byte.as_pointer()))
        return ctx.get_dummy_value()

    return types.void(types.int64, types.int64), codegen


@intrinsic
def prefetch(tc: Any, address: Any) -> Any:
    """Ask for the cache line at ``address``; any address is safe."""

    def codegen(ctx: Any, b: Any, sig: Any, args: Any) -> Any:
        emit_prefetch(b, args[0])
        return ctx.get_dummy_value()

    return types.void(types.int64), codegen


@intrinsic
def prefetch_far(tc: Any, address: Any) -> Any:
    """As ``prefetch``, but as far as the second-level cache: there nothing is pushed out of the first."""

    def codegen(ctx: Any, b: Any, sig: Any, args: Any) -> Any:
        emit_prefetch(b, args[0], level=2)
        return ctx.get_dummy_value()

    return types.void(types.int64), codegen


@intrinsic
def scratch_tile(tc: Any, one: Any) -> Any:
    """Room on the stack of who asks for it: a tile of the gradient, 8 rows of deltas in a panel, a list of places."""
    words = (TILE_NUMBERS + 8 * PANEL) * one.bitwidth // 64 + (TILE_NUMBERS // PAD + 64) // 4

    def codegen(ctx: Any, b: Any, sig: Any, args: Any) -> Any:
        with b.goto_entry_block():  # numba's own alloca_once would fill it with zeros
            room = b.alloca(ir.ArrayType(I64, words))
        room.align = 64
        return b.ptrtoint(room, I64)

    return types.int64(one), codegen


@intrinsic
def lanes_of(tc: Any, one: Any) -> Any:
    """How many numbers of the dtype of ``one`` a vector holds: a constant when compiled."""
    return types.int64(one), lambda ctx, b, sig, args: I64(Vector(one).lanes)


@intrinsic
def size_of(tc: Any, one: Any) -> Any:
    """Bytes of a number of the dtype of ``one``: a constant when compiled."""
    return types.int64(one), lambda ctx, b, sig, args: I64(one.bitwidth // 8)


@intrinsic
def number(tc: Any, one: Any, value: Any) -> Any:
    """``value`` as a scalar of the dtype of ``one``."""
    return one(one, value), lambda ctx, b, sig, args: ctx.cast(b, args[1], value, one)


@intrinsic
def unit_of(tc: Any, pointer: Any) -> Any:
    """1 as a number of the dtype that ``pointer`` points to."""
    one = pointer.dtype
    return one(pointer), lambda ctx, b, sig, args: ir.Constant(Vector(one).scalar_ir, 1.0)


@njit
def clear(one, start, stop):
    """Write zeros, whole vectors, from one address to another."""
    zero = splat(number(one, 0.0))
    for at in range(start, stop, size_of(one) * lanes_of(one)):
        store(zero, at)
