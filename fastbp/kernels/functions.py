"""exp, expm1, tanh and log1p on vectors.

numba has had no vector ``exp`` since 0.62, and its scalar one is a call per element, so they are written out here, as
polynomials. Their largest errors over the whole range, in units of the last place of normal results
(tests/test_simd.py): exp 1, expm1 1.2, tanh and log1p 2, and 1 / (1 + exp(-z)) 2.5.
"""

from __future__ import annotations

import math
from typing import Any

from .._jit import intrinsic, ir
from .simd import Vector, emit_call, emit_constant, emit_fma


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
    n = emit_call(b, vec, "rint", b.fmul(x, emit_constant(vec, 1 / math.log(2))))
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
        half = emit_call(b, x, "floor", b.fmul(n, emit_constant(x, 0.5)))
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
        p, scale = _scaled(b, x, b.fmul(emit_call(b, x, "fabs", args[0]), emit_constant(x, -2.0)))
        below, above = emit_fma(b, scale, p, b.fsub(scale, one)), emit_fma(b, scale, p, b.fadd(scale, one))
        return emit_call(b, x, "copysign", b.fdiv(below, above), args[0])

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
