"""A sample's cost, and the delta dC/dz of its output layer.

With a the outputs and t the targets, summed over the outputs:

    sum_of_squares        (a - t)^2                     dC/da = 2 (a - t)
    half_sum_of_squares   (a - t)^2 / 2                 dC/da = a - t
    mean_squared_error    (a - t)^2 / n_out             dC/da = 2 (a - t) / n_out
    cross_entropy         with softmax, -t log a        dC/dz = a sum(t) - t
                          with sigmoid, -t log a - (1 - t) log(1 - a)      dC/dz = a - t

The cross-entropies are computed from z, where log a needs no logarithm of a number that may have rounded to 0.
Costs are added up column by column over the samples of a chunk, in their order: no sum across lanes, so the same
bits for any number of them. To add a cost: a code, its two formulas, and a row in tests/reference.py.
"""

from __future__ import annotations

import math

from .._jit import njit
from .activations import SOFTMAX, row_maximum
from .gather import targets
from .simd import (
    absolute,
    exp,
    first_lanes,
    lanes_of,
    load,
    load_scalar,
    log1p,
    number,
    size_of,
    store,
    where_negative,
)

SUM_OF_SQUARES, HALF_SUM_OF_SQUARES, MEAN_SQUARED_ERROR, CROSS_ENTROPY = range(4)
CODES = {
    "sum_of_squares": SUM_OF_SQUARES,
    "half_sum_of_squares": HALF_SUM_OF_SQUARES,
    "mean_squared_error": MEAN_SQUARED_ERROR,
    "cross_entropy": CROSS_ENTROPY,
}


@njit
def square_factor(cost, n):
    """What a squared difference counts in the cost of a sample with ``n`` outputs."""
    if cost == HALF_SUM_OF_SQUARES:
        return 0.5
    if cost == MEAN_SQUARED_ERROR:
        return 1.0 / n
    return 1.0


@njit
def _squares(one, factor, sample, scale, column_costs, n):
    """Squared differences: cost into ``column_costs``, dC/da = factor 2 (a - t) scale into the row's d."""
    _, a, d, label, row = sample
    size = size_of(one)
    for j in range(0, n, lanes_of(one)):
        at = size * j
        error = load(one, a + at) - targets(one, label, row, j, n)
        store(load(one, column_costs + at) + factor * error * error, column_costs + at)
        store((2.0 * factor) * error * first_lanes(scale, n - j), d + at)


@njit
def _squares_of_softmax(one, factor, sample, scale, column_costs, n):
    """The same through softmax, whose outputs all depend on every z: delta_j = a_j (e_j - sum_k a_k e_k)."""
    _, a, d, label, row = sample
    size, mean = size_of(one), number(one, 0.0)
    for j in range(0, n, lanes_of(one)):
        at = size * j
        error = load(one, a + at) - targets(one, label, row, j, n)
        store(load(one, column_costs + at) + factor * error * error, column_costs + at)
        store(error, d + at)
    for j in range(0, n * size, size):
        mean += load_scalar(one, a + j) * load_scalar(one, d + j)
    for j in range(0, n, lanes_of(one)):
        at = size * j
        error = load(one, d + at) - mean
        store((2.0 * factor) * load(one, a + at) * error * first_lanes(scale, n - j), d + at)


@njit
def _binary_cross_entropy(one, sample, scale, column_costs, n):
    """max(z, 0) - t z + log(1 + e^-|z|), which is the cross-entropy of sigmoid(z); delta = a - t."""
    z, a, d, label, row = sample
    size = size_of(one)
    for j in range(0, n, lanes_of(one)):
        at = size * j
        zj, tj = load(one, z + at), targets(one, label, row, j, n)
        cost = where_negative(zj, 0.0, zj) - tj * zj + log1p(exp(-absolute(zj)))
        store(load(one, column_costs + at) + cost, column_costs + at)
        store((load(one, a + at) - tj) * first_lanes(scale, n - j), d + at)


@njit
def _categorical_cross_entropy(one, sample, scale, column_costs, n):
    """sum_j t_j (log sum_k e^(z_k) - z_j), the cross-entropy of softmax(z); delta = a sum(t) - t.

    log sum_k e^(z_k) = max z - log max a, where max a is not 0.
    """
    z, a, d, label, row = sample
    size, total = size_of(one), one
    log_sum = row_maximum(one, z, n) - number(one, math.log(row_maximum(one, a, n)))
    if label < 0:
        total = number(one, 0.0)
        for j in range(0, n * size, size):
            total += load_scalar(one, row + j)
    for j in range(0, n, lanes_of(one)):
        at = size * j
        tj = targets(one, label, row, j, n)
        # Where t is 0 there is no cost, even if z is -inf.
        cost = where_negative(-absolute(tj), tj * (log_sum - load(one, z + at)), 0.0)
        store(load(one, column_costs + at) + cost, column_costs + at)
        store((load(one, a + at) * total - tj) * first_lanes(scale, n - j), d + at)


@njit
def cost_and_delta(one, cost, code, sample, scale, column_costs, n):
    """Add one sample's cost to ``column_costs`` and write its output delta, times ``scale``.

    After squares without softmax it is dC/da that is written: f' is still to come (``needs_slope``).

    ``sample`` holds the addresses of its (z, a, delta), its class, or -1, and the address of its row of targets.
    """
    if cost == CROSS_ENTROPY:
        if code == SOFTMAX:
            _categorical_cross_entropy(one, sample, scale, column_costs, n)
        else:
            _binary_cross_entropy(one, sample, scale, column_costs, n)
    elif code == SOFTMAX:
        _squares_of_softmax(one, square_factor(cost, n), sample, scale, column_costs, n)
    else:
        _squares(one, square_factor(cost, n), sample, scale, column_costs, n)


@njit
def needs_slope(cost, code):
    """Whether what ``cost_and_delta`` wrote has still to be multiplied with f'(z)."""
    return cost != CROSS_ENTROPY and code != SOFTMAX
