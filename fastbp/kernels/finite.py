"""Whether all numbers of an array are finite: one pass, with no array of truths beside it and no warning."""

from __future__ import annotations

from .._jit import float32, float64, njit, serial
from .memory import equal_bits, lanes_of, load, load_first, load_int, size_of, splat


@njit
def _all_finite(one, address, count):
    """x - x is 0 for a finite x and NaN for every other; and NaN stays in a sum."""
    size, lanes = size_of(one), lanes_of(one)
    zero = splat(one - one)
    first, second = zero, zero
    whole = count - count % (2 * lanes)
    for i in range(0, whole, 2 * lanes):
        x, y = load(one, address + size * i), load(one, address + size * (i + lanes))
        first, second = first + (x - x), second + (y - y)
    for i in range(whole, count, lanes):
        x = load_first(one, address + size * i, count - i, 0.0)
        first = first + (x - x)
    return equal_bits(first + second, zero) == (1 << lanes) - 1


@serial
def all_finite(at, count, size):
    """Whether ``count`` numbers of ``size`` bytes are finite; their address stands at ``at``."""
    if size == 8:
        return _all_finite(float64(1.0), load_int(at), count)
    return _all_finite(float32(1.0), load_int(at), count)
