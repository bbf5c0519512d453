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
from .activations import SOFTMAX, slope
from .simd import (
    absolute,
    exp,
    lanes_of,
    load,
    load_scalar,
    log1p,
    number,
    size_of,
    store,
    store_scalar,
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
def _squares(one, factor, code, row, scale, column_costs, width):
    """Squared differences: cost into ``column_costs``, delta = factor 2 (a - t) f'(z) scale into the row's d."""
    z, a, d, t = row
    for j in range(0, width * size_of(one), lanes_of(one) * size_of(one)):
        activation = load(one, a + j)
        error = activation - load(one, t + j)
        store(load(one, column_costs + j) + factor * error * error, column_costs + j)
        gradient = (2.0 * factor) * error * load(one, scale + j)
        store(gradient * slope(code, activation, load(one, z + j)), d + j)


@njit
def _squares_of_softmax(one, factor, row, scale, column_costs, n, width):
    """The same through softmax, whose outputs all depend on every z: delta_j = a_j (e_j - sum_k a_k e_k)."""
    _, a, d, t = row
    size, mean = size_of(one), number(one, 0.0)
    for j in range(0, n * size, size):
        activation = load_scalar(one, a + j)
        error = activation - load_scalar(one, t + j)
        column_cost = load_scalar(one, column_costs + j) + number(one, factor) * error * error
        store_scalar(column_cost, column_costs + j)
        mean += activation * error
    for j in range(0, width * size, lanes_of(one) * size):
        activation = load(one, a + j)
        error = activation - load(one, t + j) - mean
        store((2.0 * factor) * activation * error * load(one, scale + j), d + j)


@njit
def _binary_cross_entropy(one, row, scale, column_costs, width):
    """max(z, 0) - t z + log(1 + e^-|z|), which is the cross-entropy of sigmoid(z); delta = a - t."""
    z, a, d, t = row
    for j in range(0, width * size_of(one), lanes_of(one) * size_of(one)):
        zj, tj = load(one, z + j), load(one, t + j)
        cost = where_negative(zj, 0.0, zj) - tj * zj + log1p(exp(-absolute(zj)))
        store(load(one, column_costs + j) + cost, column_costs + j)
        store((load(one, a + j) - tj) * load(one, scale + j), d + j)


@njit
def _categorical_cross_entropy(one, row, scale, column_costs, n, width):
    """sum_j t_j (log sum_k e^(z_k) - z_j), the cross-entropy of softmax(z); delta = a sum(t) - t."""
    z, a, d, t = row
    size, total, top = size_of(one), number(one, 0.0), 0
    for j in range(0, n * size, size):
        if load_scalar(one, a + j) > load_scalar(one, a + top):
            top = j
    log_sum = load_scalar(one, z + top) - number(one, math.log(load_scalar(one, a + top)))  # the largest a: not 0
    for j in range(0, n * size, size):
        tj = load_scalar(one, t + j)
        total += tj
        if tj != 0.0:
            cost = load_scalar(one, column_costs + j) + tj * (log_sum - load_scalar(one, z + j))
            store_scalar(cost, column_costs + j)
    for j in range(0, width * size, lanes_of(one) * size):
        store((load(one, a + j) * total - load(one, t + j)) * load(one, scale + j), d + j)


@njit
def cost_and_delta(one, cost, code, row, scale, column_costs, n, width):
    """Add one sample's cost to ``column_costs`` and write its output delta.

    ``row`` holds the addresses of the sample's (z, a, delta, target), each ``width`` numbers long; ``scale`` is a row
    of factors for delta: 1 / batch size for the n real outputs, 0 for the padding.
    """
    if cost == CROSS_ENTROPY:
        if code == SOFTMAX:
            _categorical_cross_entropy(one, row, scale, column_costs, n, width)
        else:
            _binary_cross_entropy(one, row, scale, column_costs, width)
    elif code == SOFTMAX:
        _squares_of_softmax(one, square_factor(cost, n), row, scale, column_costs, n, width)
    else:
        _squares(one, square_factor(cost, n), code, row, scale, column_costs, width)
