"""Which numbers are not zero, as bits of 64-bit words; their places, as a list; and these numbers packed.

With AVX-512 VBMI2 one instruction moves the chosen ones of 64 bytes, or of 32 places, to the front.
"""

from __future__ import annotations

from typing import Any

from .._jit import COMPRESSES, LANES, cgutils, intrinsic, ir, njit, types
from .memory import lowest_bit
from .simd import I16, I32, I64, Vector, emit_constant, emit_load, emit_prefetch, emit_store


@intrinsic
def nonzero_bits(tc: Any, one: Any, address: Any) -> Any:
    """A bit for each of the 64 numbers from ``address`` on: whether it is other than zero (NaN is)."""
    vec = Vector(one)

    def codegen(ctx: Any, b: Any, sig: Any, args: Any) -> Any:
        bits, size = I64(0), vec.dtype.bitwidth // 8
        for j in range(0, 64, vec.lanes):
            marked = b.fcmp_unordered("!=", emit_load(b, vec, b.add(args[1], I64(size * j))), emit_constant(vec, 0.0))
            some = b.zext(b.bitcast(marked, ir.IntType(vec.lanes)), I64)
            bits = b.or_(bits, b.shl(some, I64(j)))
        return bits

    return types.int64(one, types.int64), codegen


def _emit_bytes(b: Any, address: Any, lanes: int = 64) -> Any:
    kind = ir.VectorType(ir.IntType(8), lanes)
    raw = b.load(b.inttoptr(address, kind.as_pointer()), typ=kind)
    raw.align = 1
    return raw


@intrinsic
def nonzero_byte_bits(tc: Any, address: Any) -> Any:
    """A bit for each of the 64 bytes from ``address`` on: whether it is other than zero."""

    def codegen(ctx: Any, b: Any, sig: Any, args: Any) -> Any:
        raw = _emit_bytes(b, args[0])
        return b.bitcast(b.icmp_unsigned("!=", raw, ir.Constant(raw.type, [0] * 64)), I64)

    return types.int64(types.int64), codegen


def _emit_addresses(b: Any, table: Any, offset: Any) -> list[Any]:
    """The 4 addresses from ``table`` on, and ``offset`` bytes further."""
    places = [b.inttoptr(b.add(table, I64(8 * r)), I64.as_pointer()) for r in range(4)]
    return [b.add(b.load(place, typ=I64), offset) for place in places]


@intrinsic
def union_of_bytes(tc: Any, table: Any, offset: Any) -> Any:
    """A bit for each of 64 bytes: whether it is other than zero ``offset`` from one of the 4 addresses at ``table``."""

    def codegen(ctx: Any, b: Any, sig: Any, args: Any) -> Any:
        first, *others = (_emit_bytes(b, at) for at in _emit_addresses(b, *args))
        for other in others:
            first = b.or_(first, other)
        return b.bitcast(b.icmp_unsigned("!=", first, ir.Constant(first.type, [0] * 64)), I64)

    return types.int64(types.int64, types.int64), codegen


@intrinsic
def prefetch_rows(tc: Any, table: Any, offset: Any) -> Any:
    """Ask for the cache lines ``offset`` from the 4 addresses at ``table``, as far as the second-level cache.

    There they push nothing out of the first.
    """

    def codegen(ctx: Any, b: Any, sig: Any, args: Any) -> Any:
        for at in _emit_addresses(b, *args):
            emit_prefetch(b, at, level=2)
        return ctx.get_dummy_value()

    return types.void(types.int64, types.int64), codegen


@intrinsic
def count_bits(tc: Any, word: Any) -> Any:
    """How many bits of a word are set."""
    return types.int64(types.int64), lambda ctx, b, sig, args: b.ctpop(args[0])


@intrinsic
def load_place(tc: Any, address: Any) -> Any:
    """The uint16 at ``address``, as an int64."""

    def codegen(ctx: Any, b: Any, sig: Any, args: Any) -> Any:
        return b.zext(b.load(b.inttoptr(args[0], I16.as_pointer()), typ=I16), I64)

    return types.int64(types.int64), codegen


def _emit_compress(b: Any, values: Any, bits: Any, address: Any) -> None:
    """AVX-512 moves those lanes of 64 bytes whose bit is set to the front; ``bits``: as many as lanes."""
    lanes, kind = values.type.count, values.type
    chosen = ir.VectorType(ir.IntType(1), lanes)
    element = kind.element.intrinsic_name
    fn = cgutils.get_or_insert_function(
        b.module, ir.FunctionType(kind, [kind, kind, chosen]), f"llvm.x86.avx512.mask.compress.v{lanes}{element}"
    )
    mask = b.bitcast(bits, chosen)
    packed = b.call(fn, [values, ir.Constant(kind, ir.Undefined), mask])
    b.store(packed, b.inttoptr(address, kind.as_pointer())).align = 1


@intrinsic
def compress_bytes(tc: Any, bits: Any, source: Any, target: Any) -> Any:
    """Write those of the 64 bytes from ``source`` on whose bit is set to ``target``, where 64 bytes are lost."""

    def codegen(ctx: Any, b: Any, sig: Any, args: Any) -> Any:
        _emit_compress(b, _emit_bytes(b, args[1]), args[0], args[2])
        return ctx.get_dummy_value()

    return types.void(bits, source, target), codegen


@intrinsic
def compress_rows(tc: Any, bits: Any, table: Any, offset: Any, target: Any, row: Any) -> Any:
    """``compress_bytes`` from ``offset`` behind each of the 4 addresses at ``table``, to rows ``row`` bytes apart."""

    def codegen(ctx: Any, b: Any, sig: Any, args: Any) -> Any:
        bits, table, offset, target, row = args
        for r, at in enumerate(_emit_addresses(b, table, offset)):
            _emit_compress(b, _emit_bytes(b, at), bits, b.add(target, b.mul(row, I64(r))))
        return ctx.get_dummy_value()

    return types.void(*[types.int64] * 5), codegen


@intrinsic
def compress_numbers(tc: Any, one: Any, bits: Any, source: Any, target: Any) -> Any:
    """``compress_bytes`` of 64 numbers: where they are written a vector's lanes are lost behind them."""
    vec = Vector(one)

    def codegen(ctx: Any, b: Any, sig: Any, args: Any) -> Any:
        _, bits, source, at = args
        size = vec.dtype.bitwidth // 8
        for j in range(0, 64, vec.lanes):
            here = b.trunc(b.lshr(bits, I64(j)), ir.IntType(vec.lanes))
            _emit_compress(b, emit_load(b, vec, b.add(source, I64(size * j))), here, at)
            at = b.add(at, b.mul(b.zext(b.ctpop(here), I64), I64(size)))
        return ctx.get_dummy_value()

    return types.void(one, bits, source, target), codegen


@intrinsic
def _compress_places(tc: Any, bits: Any, first: Any, address: Any) -> Any:
    """32 places at a time."""
    places = ir.VectorType(I16, 32)

    def codegen(ctx: Any, b: Any, sig: Any, args: Any) -> Any:
        bits, first, at = args
        undefined = ir.Constant(places, ir.Undefined)
        some = b.insert_element(undefined, b.trunc(first, I16), I32(0))
        firsts = b.shuffle_vector(some, undefined, ir.Constant(ir.VectorType(I32, 32), [0] * 32))
        for start in (0, 32):
            here = b.trunc(b.lshr(bits, I64(start)), I32)
            _emit_compress(b, b.add(firsts, ir.Constant(places, list(range(start, start + 32)))), here, at)
            at = b.add(at, b.shl(b.zext(b.ctpop(here), I64), I64(1)))
        return ctx.get_dummy_value()

    return types.void(bits, first, address), codegen


@intrinsic
def _store_place(tc: Any, value: Any, address: Any) -> Any:
    def codegen(ctx: Any, b: Any, sig: Any, args: Any) -> Any:
        b.store(b.trunc(args[0], I16), b.inttoptr(args[1], I16.as_pointer()))
        return ctx.get_dummy_value()

    return types.void(types.int64, types.int64), codegen


@njit
def _walk_places(bits, first, address):
    """8 places at a time, set or not: how many are is nothing that a branch could be guessed by."""
    while bits:
        for k in range(8):
            _store_place(first + lowest_bit(bits), address + 2 * k)
            bits &= bits - 1
        address += 16


# Writes ``first`` + the place of each bit that is set in a word, as uint16, to ``address``: (bits, first, address).
# What lies in the 32 numbers behind them is lost.
store_places = _compress_places if COMPRESSES else _walk_places


def _emit_interleave(b: Any, rows: list[Any]) -> list[Any]:
    """8 vectors of bytes side by side: the r-th result has entries 2 r and 2 r + 1 of each 16 bytes, 8 bytes each.

    Three perfect shuffles, which stay inside 16 bytes: that is one instruction a vector.
    """
    n, indices = rows[0].type.count, ir.VectorType(I32, rows[0].type.count)
    low, high = (
        ir.Constant(indices, [start + h + i // 2 + i % 2 * n for start in range(0, n, 16) for i in range(16)])
        for h in (0, 8)
    )
    for _ in range(3):
        rows = [b.shuffle_vector(x, y, mask) for x, y in zip(rows[:4], rows[4:], strict=True) for mask in (low, high)]
    return rows


@intrinsic
def spread_bytes(tc: Any, one: Any, source: Any, row: Any, target: Any) -> Any:
    """4 LANES bytes of each of 8 rows, ``row`` bytes apart: the 8 side by side, converted to 0 to 1."""
    vec = Vector(one)

    def codegen(ctx: Any, b: Any, sig: Any, args: Any) -> Any:
        _, source, row, target = args
        rows = [_emit_bytes(b, b.add(source, b.mul(row, I64(r))), 4 * LANES) for r in range(8)]
        scale, size = emit_constant(vec, 1.0 / 255.0), vec.dtype.bitwidth // 8
        for r, pair in enumerate(_emit_interleave(b, rows)):
            for start in range(0, 4 * LANES, vec.lanes):
                some = ir.Constant(ir.VectorType(I32, vec.lanes), list(range(start, start + vec.lanes)))
                raw = b.zext(b.shuffle_vector(pair, pair, some), ir.VectorType(I32, vec.lanes))
                at = 8 * (start // 16 * 16 + 2 * r) + start % 16
                emit_store(b, vec, b.fmul(b.sitofp(raw, vec.ir), scale), b.add(target, I64(size * at)))
        return ctx.get_dummy_value()

    return types.void(one, source, row, target), codegen


@intrinsic
def spread_numbers(tc: Any, one: Any, source: Any, row: Any, target: Any) -> Any:
    """A vector of numbers of each of 8 rows, ``row`` bytes apart: the 8 side by side. Three perfect shuffles."""
    vec = Vector(one)

    def codegen(ctx: Any, b: Any, sig: Any, args: Any) -> Any:
        _, source, row, target = args
        n, size = vec.lanes, vec.dtype.bitwidth // 8
        rows = [emit_load(b, vec, b.add(source, b.mul(row, I64(r)))) for r in range(8)]
        low, high = (
            ir.Constant(ir.VectorType(I32, n), [h + i // 2 + i % 2 * n for i in range(n)]) for h in (0, n // 2)
        )
        for _ in range(3):
            pairs = zip(rows[:4], rows[4:], strict=True)
            rows = [b.shuffle_vector(x, y, mask) for x, y in pairs for mask in (low, high)]
        for r, some in enumerate(rows):
            emit_store(b, vec, some, b.add(target, I64(size * n * r)))
        return ctx.get_dummy_value()

    return types.void(one, source, row, target), codegen
