"""A vector as wide as the CPU's registers, as a type that numba kernels compute with.

``Vector`` holds ``LANES`` float32 or half as many float64 (16, 8 or 4 float32: AVX-512, AVX, SSE). Kernels
``load`` one from an address, write ``1.0 / (1.0 + exp(-z))`` with ordinary operators, and ``store`` it. Addresses
are int64 and count bytes; ``one``, a scalar 1, tells a function which dtype it works in. Nothing here compiles
until a kernel uses it.

numba has had no vector ``exp`` since 0.62, and its scalar one is a call per element, so exp, expm1, tanh and
log1p are written out here, as polynomials on vectors. Their largest errors over the whole range, in units of the
last place of normal results (tests/test_simd.py): exp 1, expm1 1.2, tanh and log1p 2, and 1 / (1 + exp(-z)) 2.5.

Operators round as IEEE 754 says and ``fma`` fuses wherever the CPU can, so a result's bits do not depend on how many
lanes it was computed in.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import Any

from .._jit import LANES, cgutils, intrinsic, ir, lower_builtin, models, register_model, templates, types

I32, I64 = ir.IntType(32), ir.IntType(64)


class Vector(types.Type):
    """The numba type of a register of ``lanes`` numbers of one float dtype."""

    def __init__(self, dtype: Any) -> None:
        self.dtype = dtype
        self.lanes = LANES * 32 // dtype.bitwidth
        self.scalar_ir = ir.FloatType() if dtype.bitwidth == 32 else ir.DoubleType()
        self.int_ir = ir.IntType(dtype.bitwidth)
        self.ir = ir.VectorType(self.scalar_ir, self.lanes)
        super().__init__(name=f"Vector({dtype} x {self.lanes})")


@register_model(Vector)
class _VectorModel(models.PrimitiveModel):  # type: ignore[misc]
    def __init__(self, dmm: Any, fe_type: Vector) -> None:
        super().__init__(dmm, fe_type, fe_type.ir)


# ---------------------------------------------------------------- pieces of LLVM IR, for this file and matmul.py
def emit_constant(vec: Vector, value: float) -> ir.Constant:
    """``value`` in every lane."""
    return ir.Constant(vec.ir, [ir.Constant(vec.scalar_ir, value)] * vec.lanes)


def emit_load(b: Any, vec: Vector, address: Any) -> Any:
    """The vector at ``address``, aligned to its elements only."""
    value = b.load(b.inttoptr(address, vec.ir.as_pointer()), typ=vec.ir)
    value.align = vec.dtype.bitwidth // 8
    return value


def emit_store(b: Any, vec: Vector, value: Any, address: Any) -> None:
    """``value`` to ``address``, aligned to its elements only."""
    b.store(value, b.inttoptr(address, vec.ir.as_pointer())).align = vec.dtype.bitwidth // 8


def emit_splat(b: Any, vec: Vector, scalar: Any) -> Any:
    """``scalar`` in every lane."""
    undefined = ir.Constant(vec.ir, ir.Undefined)
    first = b.insert_element(undefined, scalar, I32(0))
    return b.shuffle_vector(first, undefined, ir.Constant(ir.VectorType(I32, vec.lanes), [0] * vec.lanes))


def emit_load_splat(b: Any, vec: Vector, address: Any) -> Any:
    """The one element at ``address``, in every lane (a broadcast that x86 folds into the instruction using it)."""
    scalar = b.load(b.inttoptr(address, vec.scalar_ir.as_pointer()), typ=vec.scalar_ir)
    return emit_splat(b, vec, scalar)


def emit_fma(b: Any, x: Any, y: Any, z: Any) -> Any:
    """x * y + z, fused where the CPU has the instruction.

    The ``contract`` flag leaves that to LLVM; ``llvm.fma`` would be a library call a lane on a CPU without it.
    """
    return b.fadd(b.fmul(x, y, flags=("contract",)), z, flags=("contract",))


def _call(b: Any, vec: Vector, name: str, *args: Any) -> Any:
    suffix = f"v{vec.lanes}f{vec.dtype.bitwidth}"
    fnty = ir.FunctionType(vec.ir, [vec.ir] * len(args))
    return b.call(cgutils.get_or_insert_function(b.module, fnty, f"llvm.{name}.{suffix}"), list(args))


def _clamp(b: Any, vec: Vector, x: Any, bound: float) -> Any:
    """x limited to [-bound, bound]; ordered comparisons, so that a NaN stays a NaN."""
    low, high = emit_constant(vec, -bound), emit_constant(vec, bound)
    x = b.select(b.fcmp_ordered(">", x, high), high, x)
    return b.select(b.fcmp_ordered("<", x, low), low, x)


def _horner(b: Any, vec: Vector, x: Any, coefficients: list[float]) -> Any:
    """c[0] + c[1] x + c[2] x^2 + ..."""
    value = emit_constant(vec, coefficients[-1])
    for c in reversed(coefficients[:-1]):
        value = emit_fma(b, value, x, emit_constant(vec, c))
    return value


def emit_pairwise(b: Any, vec: Vector, x: Any, combine: Callable[[Any, Any, Any], Any]) -> Any:
    """All lanes combined: first half with second half, again and again (llvm.vector.reduce goes lane by lane)."""
    lanes = vec.lanes
    while lanes > 1:
        lanes //= 2
        upper = [*range(lanes, 2 * lanes), *[0] * (vec.lanes - lanes)]
        x = combine(b, x, b.shuffle_vector(x, x, ir.Constant(ir.VectorType(I32, vec.lanes), upper)))
    return b.extract_element(x, I32(0))


# ---------------------------------------------------------------- memory
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
def nonzero_byte_bits(tc: Any, address: Any) -> Any:
    """A bit for each of the 64 bytes from ``address`` on: whether it is other than zero."""
    kind = ir.VectorType(ir.IntType(8), 64)

    def codegen(ctx: Any, b: Any, sig: Any, args: Any) -> Any:
        raw = b.load(b.inttoptr(args[0], kind.as_pointer()), typ=kind)
        raw.align = 1
        return b.bitcast(b.icmp_unsigned("!=", raw, ir.Constant(kind, [0] * 64)), I64)

    return types.int64(types.int64), codegen


@intrinsic
def lowest_bit(tc: Any, word: Any) -> Any:
    """The place of the lowest bit that is set in a word other than 0."""
    return types.int64(types.int64), lambda ctx, b, sig, args: b.cttz(args[0], ir.Constant(ir.IntType(1), 1))


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
        pointer = ir.IntType(8).as_pointer()
        fnty = ir.FunctionType(ir.VoidType(), [pointer, I32, I32, I32])
        fn = cgutils.get_or_insert_function(b.module, fnty, "llvm.prefetch.p0")
        b.call(fn, [b.inttoptr(args[0], pointer), I32(0), I32(3), I32(1)])
        return ctx.get_dummy_value()

    return types.void(types.int64), codegen


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


# ---------------------------------------------------------------- arithmetic
def _operand(ctx: Any, b: Any, vec: Vector, kind: Any, value: Any) -> Any:
    return value if isinstance(kind, Vector) else emit_splat(b, vec, ctx.cast(b, value, kind, vec.dtype))


def _binary(op: Any, instruction: str) -> None:
    """Teach numba ``op`` for two vectors, or for a vector and a number on either side."""

    def typed(self: Any, args: Any, kws: Any) -> Any:
        if len(args) == 2 and any(isinstance(a, Vector) for a in args):
            vec = next(a for a in args if isinstance(a, Vector))
            return vec(*args)
        return None

    def lower(ctx: Any, b: Any, sig: Any, args: Any) -> Any:
        vec = sig.return_type
        return getattr(b, instruction)(*(_operand(ctx, b, vec, k, v) for k, v in zip(sig.args, args, strict=True)))

    templates.infer_global(op)(type(f"Vector_{instruction}", (templates.AbstractTemplate,), {"generic": typed}))
    for pair in ((Vector, Vector), (Vector, types.Number), (types.Number, Vector)):
        lower_builtin(op, *pair)(lower)


for _op, _instruction in ((operator.add, "fadd"), (operator.sub, "fsub"), (operator.mul, "fmul")):
    _binary(_op, _instruction)
_binary(operator.truediv, "fdiv")


@templates.infer_global(operator.neg)
class _Negate(templates.AbstractTemplate):  # type: ignore[misc]
    def generic(self, args: Any, kws: Any) -> Any:
        return args[0](args[0]) if isinstance(args[0], Vector) else None


@lower_builtin(operator.neg, Vector)
def _lower_negate(ctx: Any, b: Any, sig: Any, args: Any) -> Any:
    return b.fneg(args[0])


@intrinsic
def fma(tc: Any, x: Any, y: Any, z: Any) -> Any:
    """x * y + z, rounded once where the CPU can; x a vector, y and z vectors or numbers."""

    def codegen(ctx: Any, b: Any, sig: Any, args: Any) -> Any:
        return emit_fma(b, *(_operand(ctx, b, x, k, v) for k, v in zip(sig.args, args, strict=True)))

    return x(x, y, z), codegen


@intrinsic
def sqrt(tc: Any, x: Any) -> Any:
    """Square root, correctly rounded."""
    return x(x), lambda ctx, b, sig, args: _call(b, x, "sqrt", args[0])


@intrinsic
def absolute(tc: Any, x: Any) -> Any:
    """|x|"""
    return x(x), lambda ctx, b, sig, args: _call(b, x, "fabs", args[0])


@intrinsic
def copysign(tc: Any, x: Any, y: Any) -> Any:
    """|x| with the sign of y"""
    return x(x, y), lambda ctx, b, sig, args: _call(b, x, "copysign", *args)


@intrinsic
def where_negative(tc: Any, x: Any, a: Any, b: Any) -> Any:
    """In each lane ``a`` where x < 0, else ``b`` (also where x is NaN, so that b = x keeps it)."""

    def codegen(ctx: Any, bld: Any, sig: Any, args: Any) -> Any:
        negative = bld.fcmp_ordered("<", args[0], emit_constant(x, 0.0))
        yes, no = (_operand(ctx, bld, x, k, v) for k, v in zip((a, b), args[1:], strict=True))
        return bld.select(negative, yes, no)

    return x(x, a, b), codegen


@intrinsic
def where_bits(tc: Any, bits: Any, x: Any) -> Any:
    """``x`` in the lanes whose bit is set, the lowest bit for the first lane; 0 in the others."""

    def codegen(ctx: Any, b: Any, sig: Any, args: Any) -> Any:
        lanes = b.bitcast(b.trunc(args[0], ir.IntType(x.lanes)), ir.VectorType(ir.IntType(1), x.lanes))
        return b.select(lanes, args[1], emit_constant(x, 0.0))

    return x(bits, x), codegen


# ---------------------------------------------------------------- exp and its relatives
# e^x = 2^n e^r with n = round(x / ln 2) and |r| <= ln 2 / 2 = 0.3466. The first omitted Taylor term of e^r is
# 0.3466^9 / 9! = 2e-10 (float32) and 0.3466^15 / 15! = 1e-19 (float64), below half an ulp of 1.
# r = x - n ln 2 needs ln 2 in two parts, of which the first has so few bits that n times it is exact.
_EXP_TERMS = {32: 8, 64: 14}
_LN2_HIGH = {32: 0.693359375, 64: 0.6931471803691238}
_LN2_LOW = {32: -2.12194440054690583e-4, 64: 1.9082149292705877e-10}
_EXP_BOUND = {32: 110.0, 64: 760.0}  # beyond it e^x is 0 or inf, in any rounding


def _reduce(b: Any, vec: Vector, x: Any) -> tuple[Any, Any]:
    """(e^r - 1, n as a vector of whole floats), with what r lost to rounding made good."""
    bits = vec.dtype.bitwidth
    x = _clamp(b, vec, x, _EXP_BOUND[bits])
    n = _call(b, vec, "rint", b.fmul(x, emit_constant(vec, 1 / math.log(2))))
    high, low = emit_fma(b, n, emit_constant(vec, -_LN2_HIGH[bits]), x), emit_constant(vec, -_LN2_LOW[bits])
    r = emit_fma(b, n, low, high)
    lost = emit_fma(b, n, low, b.fsub(high, r))
    tail = _horner(b, vec, r, [1 / math.factorial(k) for k in range(2, _EXP_TERMS[bits] + 1)])
    return b.fadd(r, emit_fma(b, b.fmul(r, r), tail, lost)), n


def _power_of_two(b: Any, vec: Vector, n: Any) -> Any:
    """2^n for whole n within the exponent's range, by writing the exponent's bits."""
    ints = ir.VectorType(vec.int_ir, vec.lanes)
    mantissa, bias = (23, 127) if vec.dtype.bitwidth == 32 else (52, 1023)
    biased = b.add(b.fptosi(n, ints), ir.Constant(ints, [bias] * vec.lanes))
    return b.bitcast(b.shl(biased, ir.Constant(ints, [mantissa] * vec.lanes)), vec.ir)


@intrinsic
def exp(tc: Any, x: Any) -> Any:
    """e^x; inf above the range, 0 below it, NaN for NaN.

    2^n is applied in two halves, so that results next to overflow and the subnormal ones come out right.
    """

    def codegen(ctx: Any, b: Any, sig: Any, args: Any) -> Any:
        p, n = _reduce(b, x, args[0])
        half = _call(b, x, "floor", b.fmul(n, emit_constant(x, 0.5)))
        value = b.fadd(p, emit_constant(x, 1.0))
        value = b.fmul(value, _power_of_two(b, x, half))
        return b.fmul(value, _power_of_two(b, x, b.fsub(n, half)))

    return x(x), codegen


def _scaled(b: Any, vec: Vector, x: Any) -> tuple[Any, Any]:
    """(e^r - 1, 2^n) for x <= 0. Below -50 the answers below are -1 in either dtype, and 2^n stays in range."""
    low = emit_constant(vec, -50.0)
    p, n = _reduce(b, vec, b.select(b.fcmp_ordered("<", x, low), low, x))
    return p, _power_of_two(b, vec, n)


@intrinsic
def expm1(tc: Any, x: Any) -> Any:
    """e^x - 1 for x <= 0, without losing the digits of a small x: 2^n (e^r - 1) + (2^n - 1)."""

    def codegen(ctx: Any, b: Any, sig: Any, args: Any) -> Any:
        p, scale = _scaled(b, x, args[0])
        return emit_fma(b, scale, p, b.fsub(scale, emit_constant(x, 1.0)))

    return x(x), codegen


@intrinsic
def tanh(tc: Any, x: Any) -> Any:
    """tanh |x| = (1 - e^y) / (1 + e^y) with y = -2 |x|; no cancellation for small x, no overflow for large.

    Both are sums of 2^n (e^r - 1), so that each is rounded once.
    """

    def codegen(ctx: Any, b: Any, sig: Any, args: Any) -> Any:
        one = emit_constant(x, 1.0)
        p, scale = _scaled(b, x, b.fmul(_call(b, x, "fabs", args[0]), emit_constant(x, -2.0)))
        below, above = emit_fma(b, scale, p, b.fsub(scale, one)), emit_fma(b, scale, p, b.fadd(scale, one))
        return _call(b, x, "copysign", b.fdiv(below, above), args[0])

    return x(x), codegen


@intrinsic
def log1p(tc: Any, u: Any) -> Any:
    """log(1 + u) for 0 <= u <= 1: 2 artanh(s) = 2 (s + s^3/3 + s^5/5 + ...), s = u / (2 + u) <= 1/3."""
    terms = 8 if u.dtype.bitwidth == 32 else 17

    def codegen(ctx: Any, b: Any, sig: Any, args: Any) -> Any:
        s = b.fdiv(args[0], b.fadd(args[0], emit_constant(u, 2.0)))
        square = b.fmul(s, s)
        tail = _horner(b, u, square, [2 / (2 * k + 1) for k in range(1, terms)])
        double = b.fadd(s, s)
        return emit_fma(b, b.fmul(square, s), tail, double)

    return u(u), codegen
