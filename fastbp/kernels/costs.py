"""A sample's cost, and the delta dC/dz of its output layer.

With a the outputs, t the targets and e = a - t, summed over the outputs:

    sum_of_squares        e^2                           dC/da = 2 e
    half_sum_of_squares   e^2 / 2                       dC/da = e
    mean_squared_error    e^2 / n_out                   dC/da = 2 e / n_out
    absolute_error        |e|                           dC/da = sign(e), 0 at 0
    huber                 e^2 / 2 where |e| <= 1, else |e| - 1/2             Huber (1964), with his k = 1
                                                        dC/da = e, limited to -1 and 1
    cross_entropy         with softmax, -t log a        dC/dz = a sum(t) - t
                          with sigmoid, -t log a - (1 - t) log(1 - a)      dC/dz = a - t
    poisson               with exp, a - t log a         dC/dz = a - t

poisson is the negative log likelihood of a count t whose mean is a = e^z, but for log t!, which no parameter changes.
It and the cross-entropies are computed from z, where log a needs no logarithm of a number that may have rounded to 0.
Costs are added up column by column over the samples of a chunk, in their order: no sum across lanes, so the same
bits for any number of them. To add a cost: a code, its two formulas, and a row in tests/reference.py.
"""

from __future__ import annotations

import math

from .._jit import inlined, njit
from .activations import SOFTMAX, row_maximum
from .gather import targets
from .simd import (
    absolute,
    copysign,
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

SUM_OF_SQUARES, HALF_SUM_OF_SQUARES, MEAN_SQUARED_ERROR, ABSOLUTE_ERROR, HUBER, CROSS_ENTROPY, POISSON = range(7)
CODES = {
    "sum_of_squares": SUM_OF_SQUARES,
    "half_sum_of_squares": HALF_SUM_OF_SQUARES,
    "mean_squared_error": MEAN_SQUARED_ERROR,
    "absolute_error": ABSOLUTE_ERROR,
    "huber": HUBER,
    "cross_entropy": CROSS_ENTROPY,
    "poisson": POISSON,
}
# Costs computed from z, and the activations that they are computed through; exp goes with no other cost.
GOES_WITH = {"cross_entropy": ("softmax", "sigmoid"), "poisson": ("exp",)}


@njit
def square_factor(cost, n):
    """What a squared difference counts in the cost of a sample with ``n`` outputs."""
    if cost == HALF_SUM_OF_SQUARES:
        return 0.5
    if cost == MEAN_SQUARED_ERROR:
        return 1.0 / n
    return 1.0


@inlined
def bounded(cost, error):
    """dC/da of absolute_error and huber: the error, limited to -1 and 1, or its sign."""
    if cost == ABSOLUTE_ERROR:
        return where_negative(-absolute(error), copysign(0.0 * error + 1.0, error), error)
    return where_negative(1.0 - absolute(error), copysign(0.0 * error + 1.0, error), error)


@njit
def _differences(one, cost, sample, scale, column_costs, n):
    """Costs of a - t: into ``column_costs``, and dC/da, times ``scale``, into the row's d."""
    _, a, d, label, row, weight = sample
    size, factor = size_of(one), square_factor(cost, n)
    squares = cost in (SUM_OF_SQUARES, HALF_SUM_OF_SQUARES, MEAN_SQUARED_ERROR)
    for j in range(0, n, lanes_of(one)):
        at = size * j
        error = load(one, a + at) - targets(one, label, row, j, n)
        if squares:
            value, slope = factor * error * error, (2.0 * factor) * error
        else:
            slope = bounded(cost, error)
            value = slope * (error - 0.5 * slope) if cost == HUBER else absolute(error)
        store(load(one, column_costs + at) + weight * value, column_costs + at)
        store(slope * first_lanes(scale, n - j), d + at)


@njit
def _through_softmax(one, sample, n):
    """dC/da in the row's d becomes delta: as all outputs depend on every z, a_j (dC/da_j - sum_k a_k dC/da_k)."""
    _, a, d, _, _, _ = sample
    size, mean = size_of(one), number(one, 0.0)
    for j in range(0, n * size, size):
        mean += load_scalar(one, a + j) * load_scalar(one, d + j)
    for j in range(0, n * size, lanes_of(one) * size):
        store(load(one, a + j) * (load(one, d + j) - mean), d + j)


@njit
def _binary_cross_entropy(one, sample, scale, column_costs, n):
    """max(z, 0) - t z + log(1 + e^-|z|), which is the cross-entropy of sigmoid(z); delta = a - t."""
    z, a, d, label, row, weight = sample
    size = size_of(one)
    for j in range(0, n, lanes_of(one)):
        at = size * j
        zj, tj = load(one, z + at), targets(one, label, row, j, n)
        cost = where_negative(zj, 0.0, zj) - tj * zj + log1p(exp(-absolute(zj)))
        store(load(one, column_costs + at) + weight * cost, column_costs + at)
        store((load(one, a + at) - tj) * first_lanes(scale, n - j), d + at)


@njit
def _poisson(one, sample, scale, column_costs, n):
    """a - t z, where a = e^z; delta = a - t."""
    z, a, d, label, row, weight = sample
    size = size_of(one)
    for j in range(0, n, lanes_of(one)):
        at = size * j
        aj, tj = load(one, a + at), targets(one, label, row, j, n)
        store(load(one, column_costs + at) + weight * (aj - tj * load(one, z + at)), column_costs + at)
        store((aj - tj) * first_lanes(scale, n - j), d + at)


@njit
def _categorical_cross_entropy(one, sample, scale, column_costs, n):
    """sum_j t_j (log sum_k e^(z_k) - z_j), the cross-entropy of softmax(z); delta = a sum(t) - t.

    log sum_k e^(z_k) = max z - log max a, where max a is not 0.
    """
    z, a, d, label, row, weight = sample
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
        store(load(one, column_costs + at) + weight * cost, column_costs + at)
        store((load(one, a + at) * total - tj) * first_lanes(scale, n - j), d + at)


@njit
def cost_and_delta(one, cost, code, sample, scale, column_costs, n):
    """Add one sample's cost to ``column_costs`` and write its output delta, times ``scale``.

    After differences without softmax it is dC/da that is written: f' is still to come (``needs_slope``).

    ``sample`` holds the addresses of its (z, a, delta), its class, or -1, the address of its row of targets, and what
    it counts; ``scale`` is that over the samples of the batch.
    """
    if cost == POISSON:
        _poisson(one, sample, scale, column_costs, n)
    elif cost != CROSS_ENTROPY:
        _differences(one, cost, sample, scale, column_costs, n)
        if code == SOFTMAX:
            _through_softmax(one, sample, n)
    elif code == SOFTMAX:
        _categorical_cross_entropy(one, sample, scale, column_costs, n)
    else:
        _binary_cross_entropy(one, sample, scale, column_costs, n)


@njit
def needs_slope(cost, code):
    """Whether what ``cost_and_delta`` wrote has still to be multiplied with f'(z)."""
    return cost != CROSS_ENTROPY and cost != POISSON and code != SOFTMAX
