"""How many samples were classified right: those whose largest output is where their largest target is.

Where an output is NaN none is the largest, and the sample is not.
"""

from __future__ import annotations

import math

from .._jit import inlined, njit
from .activations import row_maximum
from .costs import sample_of
from .layout import ROWS
from .marks import count_bits
from .memory import (
    equal_bits,
    lanes_of,
    largest_lane,
    load_column,
    load_first,
    load_scalar,
    lowest_bit,
    number,
    size_of,
    splat,
)
from .simd import where_above

# What stands for the place of the largest of a few numbers where one is NaN: no lane has it.
NO_LANE = 62
# Up to so many outputs it is quicker to look at as many samples at once as a vector has lanes.
FEW_OUTPUTS = 4


@inlined
def place_of_largest(one, row, n):
    """Where in a row of n numbers the largest is, the first of equals; with NaN among them no place that there is.

    Up to a vector's worth of numbers without branches, which nobody could foresee.
    """
    size, lanes = size_of(one), lanes_of(one)
    if n <= lanes:
        x = load_first(one, row, n, -math.inf)
        are_numbers = equal_bits(x, x) == (1 << lanes) - 1
        return lowest_bit(equal_bits(x, splat(largest_lane(x))) * are_numbers | (1 << NO_LANE))
    top, place = splat(row_maximum(one, row, n)), -1
    for j in range((n - 1) // lanes * lanes, -1, -lanes):
        x = load_first(one, row + size * j, n - j, -math.inf)
        if equal_bits(x, x) != (1 << lanes) - 1:
            return -1
        bits = equal_bits(x, top)
        if bits:
            place = j + lowest_bit(bits)
    return place


@njit
def is_hit(one, outputs, label, row, n):
    """Whether a sample was classified right; with one output, on the same side of 1/2 as its target."""
    if n == 1:
        output = load_scalar(one, outputs)
        return output == output and (output >= 0.5) == (load_scalar(one, row) >= 0.5)
    return place_of_largest(one, outputs, n) == (label if label >= 0 else place_of_largest(one, row, n))


@njit
def hits_at_once(one, outputs, step, row, n):
    """``is_hit`` for as many samples as a vector has lanes, output by output: how many it is true for.

    Outputs lie ``step`` bytes apart, from sample to sample; targets row by row.
    """
    size = size_of(one)
    a, t = load_column(one, outputs, step), load_column(one, row, size * n)
    place, wanted = splat(number(one, 0.0)), splat(number(one, 0.0))
    numbers = equal_bits(a, a)  # not NaN
    for j in range(1, n):
        x, y = load_column(one, outputs + size * j, step), load_column(one, row + size * j, size * n)
        numbers &= equal_bits(x, x)
        place, a = where_above(x, a, number(one, j), place), where_above(x, a, x, a)
        wanted, t = where_above(y, t, number(one, j), wanted), where_above(y, t, y, t)
    return count_bits(numbers & equal_bits(place, wanted))


@njit
def count_hits(one, run, layer, r0, r1):
    """How many of rows r0 to r1 were classified right by the last layer."""
    n, lanes, right, first = layer.n_out, lanes_of(one), 0, r0
    if 1 < n <= FEW_OUTPUTS and run.y_kind == ROWS and not run.order:
        first = r1 - (r1 - r0) % lanes
        for r in range(r0, first, lanes):
            _, a, _, _, target, _ = sample_of(one, run, layer, r)
            right += hits_at_once(one, a, size_of(one) * layer.ld, target, n)
    for r in range(first, r1):
        _, a, _, label, target, _ = sample_of(one, run, layer, r)
        right += is_hit(one, a, label, target, n)
    return right
