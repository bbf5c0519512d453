"""Sums of squares that have the same bits for any number of lanes, and scaling by what they say (limits.py)."""

from __future__ import annotations

from .._jit import float64, njit
from .memory import lanes_of, load, load_scalar, number, size_of, splat, store
from .simd import fma


@njit
def scale(one, address, count, factor):
    """Multiply ``count`` numbers, whole vectors of them, with a factor."""
    for at in range(address, address + count * size_of(one), lanes_of(one) * size_of(one)):
        store(load(one, at) * factor, at)


@njit
def column_squares(one, address, stride, rows):
    """A vector of columns: the sums over ``rows`` rows, ``stride`` bytes apart, of their squares."""
    total = splat(number(one, 0.0))
    for row in range(rows):
        x = load(one, address + row * stride)
        total = fma(x, x, total)
    return total


@njit
def square_sum(one, address, rows, width, partial):
    """The sum of the squares of ``rows`` rows of ``width`` numbers, one behind the other; by columns in ``partial``."""
    size, total = size_of(one), 0.0
    for j in range(0, size * width, size * lanes_of(one)):
        store(column_squares(one, address + j, size * width, rows), partial + j)
    for j in range(0, size * width, size):
        total += float64(load_scalar(one, partial + j))
    return total
