"""exp, expm1, tanh, sigmoid and log1p on vectors.

numba has had no vector ``exp`` since 0.62, and its scalar one is a call per element, so they are written out here, as
polynomials. Their largest errors over the whole range, in units of the last place of normal results
(tests/test_simd.py): exp and expm1 1.1, tanh and log1p 2, and sigmoid 2.5.
"""

from __future__ import annotations

import math
from typing import Any

from .._jit import intrinsic, ir
from .simd import Vector, emit_call, emit_constant, emit_fma


def _at_least(b: Any, vec: Vector, x: Any, bound: float) -> Any:
    """x, or bound if that is more; an ordered comparison, so that a NaN stays a NaN."""
    low = emit_constant(vec, bound)
    return b.select(b.fcmp_ordered("<", x, low), low, x)


def _at_most(b: Any, vec: Vector, x: Any, bound: float) -> Any:
    """x, or bound if that is less; a NaN stays a NaN."""
    high = emit_constant(vec, bound)
    return b.select(b.fcmp_ordered(">", x, high), high, x)


def _horner(b: Any, vec: Vector, x: Any, coefficients: list[float]) -> Any:
    """c[0] + c[1] x + c[2] x^2 + ..."""
    value = emit_constant(vec, coefficients[-1])
    for c in reversed(coefficients[:-1]):
        value = emit_fma(b, vec, value, x, emit_constant(vec, c))
    return value


# e^x = 2^n e^r with n = round(x / ln 2) and |r| <= ln 2 / 2. The coefficients, from Remez's exchange, are those of
# (e^r - 1 - r) / r^2 that err least in r^2 times it: by 3.5e-9 (float32) and 4.2e-18 (float64), below a tenth of half
# an ulp of 1.
# r = x - n ln 2 needs ln 2 in two parts, of which the first has so few bits that n times it is exact.
_EXP_TAIL = {
    32: [0.5000000089754691, 0.16666521780817384, 0.04166621731684439, 0.008368615354820514, 0.001394990895213862],
    64: [
        0.500000000000001,
        0.16666666666666696,
        0.0416666666665336,
        0.008333333333309113,
        0.0013888888942855968,
        0.00019841269913863994,
        2.480149380066258e-05,
        2.7557219047276644e-06,
        2.7630025582918636e-07,
        2.5117087070601136e-08,
    ],
}
_LN2_HIGH = {32: 0.693359375, 64: 0.6931471803691238}
_LN2_LOW = {32: -2.12194440054690583e-4, 64: 1.9082149292705877e-10}
_EXP_BOUND = {32: 110.0, 64: 760.0}  # beyond it e^x is 0 or inf, in any rounding
_MANTISSA, _BIAS = {32: 23, 64: 52}, {32: 127, 64: 1023}


def _shifter(vec: Vector) -> ir.Constant:
    """So large a number that a sum with it is a whole one, whose lowest bits are those of what was added, plus bias."""
    bits = vec.dtype.bitwidth
    return emit_constant(vec, 1.5 * 2.0 ** _MANTISSA[bits] + _BIAS[bits])


def _power_of_two(b: Any, vec: Vector, shifted: Any) -> Any:
    """2^n of n + ``_shifter``, by moving n + bias to where the exponent is; 0 for n = -bias."""
    ints = ir.VectorType(vec.int_ir, vec.lanes)
    mantissa = ir.Constant(ints, [_MANTISSA[vec.dtype.bitwidth]] * vec.lanes)
    return b.bitcast(b.shl(b.bitcast(shifted, ints), mantissa), vec.ir)


def _reduce(b: Any, vec: Vector, x: Any) -> tuple[Any, Any, Any]:
    """(e^r - 1, n, n + ``_shifter``)"""
    bits, shifter = vec.dtype.bitwidth, _shifter(vec)
    shifted = emit_fma(b, vec, x, emit_constant(vec, 1 / math.log(2)), shifter)
    n = b.fsub(shifted, shifter)
    high, low = emit_fma(b, vec, n, emit_constant(vec, -_LN2_HIGH[bits]), x), emit_constant(vec, -_LN2_LOW[bits])
    r = emit_fma(b, vec, n, low, high)
    square, tail = b.fmul(r, r), _horner(b, vec, r, _EXP_TAIL[bits])
    if bits == 32:
        return emit_fma(b, vec, square, tail, r), n, shifted
    lost = emit_fma(b, vec, n, low, b.fsub(high, r))  # to rounding; without it tanh errs by up to 2.1 ulp
    return b.fadd(r, emit_fma(b, vec, square, tail, lost)), n, shifted


@intrinsic
def exp(tc: Any, x: Any) -> Any:
    """e^x; inf above the range, 0 below it, NaN for NaN.

    2^n is applied in two halves, so that results next to overflow come out right, and subnormal ones where these
    are not taken for 0 (subnormal.py).
    """

    def codegen(ctx: Any, b: Any, sig: Any, args: Any) -> Any:
        bound, shifter = _EXP_BOUND[x.dtype.bitwidth], _shifter(x)
        p, n, _ = _reduce(b, x, _at_most(b, x, _at_least(b, x, args[0], -bound), bound))
        half = emit_fma(b, x, n, emit_constant(x, 0.5), shifter)
        rest = b.fadd(b.fsub(n, b.fsub(half, shifter)), shifter)
        value = b.fadd(p, emit_constant(x, 1.0))
        return b.fmul(b.fmul(value, _power_of_two(b, x, half)), _power_of_two(b, x, rest))

    return x(x), codegen


def _scaled(b: Any, vec: Vector, x: Any) -> tuple[Any, Any]:
    """(e^r - 1, 2^n) for x <= 0; n ends at -bias, where 2^n is 0: what is hardly a normal number, if one, becomes 0."""
    p, _, shifted = _reduce(b, vec, _at_least(b, vec, x, -_BIAS[vec.dtype.bitwidth] * math.log(2)))
    return p, _power_of_two(b, vec, shifted)


@intrinsic
def expm1(tc: Any, x: Any) -> Any:
    """e^x - 1 for x <= 0, without losing the digits of a small x: 2^n (e^r - 1) + (2^n - 1)."""

    def codegen(ctx: Any, b: Any, sig: Any, args: Any) -> Any:
        p, scale = _scaled(b, x, args[0])
        return emit_fma(b, x, scale, p, b.fsub(scale, emit_constant(x, 1.0)))

    return x(x), codegen


@intrinsic
def tanh(tc: Any, x: Any) -> Any:
    """tanh |x| = (1 - e^y) / (1 + e^y) with y = -2 |x|; no cancellation for small x, no overflow for large.

    Both are sums of 2^n (e^r - 1), so that each is rounded once.
    """

    def codegen(ctx: Any, b: Any, sig: Any, args: Any) -> Any:
        one = emit_constant(x, 1.0)
        p, scale = _scaled(b, x, b.fmul(emit_call(b, x, "fabs", args[0]), emit_constant(x, -2.0)))
        below, above = emit_fma(b, x, scale, p, b.fsub(scale, one)), emit_fma(b, x, scale, p, b.fadd(scale, one))
        return emit_call(b, x, "copysign", b.fdiv(below, above), args[0])

    return x(x), codegen


@intrinsic
def sigmoid(tc: Any, x: Any) -> Any:
    """1 / (1 + e^-x); for x < 0 the same as e^x / (1 + e^x), so that e^-|x| will do, which one 2^n scales exactly."""

    def codegen(ctx: Any, b: Any, sig: Any, args: Any) -> Any:
        one, negative = emit_constant(x, 1.0), b.fcmp_ordered("<", args[0], emit_constant(x, 0.0))
        p, scale = _scaled(b, x, b.fneg(emit_call(b, x, "fabs", args[0])))
        power = emit_fma(b, x, scale, p, scale)
        return b.fdiv(b.select(negative, power, one), b.fadd(power, one))

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
        return emit_fma(b, u, b.fmul(square, s), tail, double)

    return u(u), codegen
