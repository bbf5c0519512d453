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
bits for any number of them. To add a cost: a code, its two formulas in ``cost_of``, and a row in tests/reference.py;
where it is computed from z, a row of ``GOES_WITH`` and a place in ``needs_slope`` too.
"""

from __future__ import annotations

import math

from .._jit import inlined, njit
from .activations import SOFTMAX, row_maximum
from .functions import exp, log1p
from .gather import label_of, targets, targets_at, weight_of
from .layout import ROWS
from .memory import first_lanes, lanes_of, load, load_scalar, number, size_of, splat, store
from .simd import absolute, copysign, where_negative

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


@inlined
def sample_of(one, run, layer, r):
    """Row r: the addresses of its z, a and delta, its class or -1, the address of its row of targets, its weight"""
    size, label = size_of(one), label_of(run, r)
    row = size * r * layer.ld
    z, a, d = run.acts + size * layer.z + row, run.acts + size * layer.a + row, run.deltas + size * layer.d + row
    return z, a, d, label, targets_at(one, run, layer, r) if label < 0 else 0, weight_of(one, run, r)


@inlined
def cost_of(cost, factor, z, a, t):
    """A vector of outputs' costs and what the cost's derivative is, but for the sample's share of the average."""
    error = a - t
    if cost == CROSS_ENTROPY:  # max(z, 0) - t z + log(1 + e^-|z|), for sigmoid(z)
        return where_negative(z, 0.0, z) - t * z + log1p(exp(-absolute(z))), error
    if cost == POISSON:  # a - t z, where a = e^z
        return a - t * z, error
    if cost == ABSOLUTE_ERROR:
        return absolute(error), bounded(cost, error)
    if cost == HUBER:
        slope = bounded(cost, error)
        return slope * (error - 0.5 * slope), slope
    return factor * error * error, (2.0 * factor) * error


@njit
def output_by_output(one, run, layer, r0, r1, column_costs):
    """Costs that each output has for itself: their sums into ``column_costs``, dC/da or delta into the rows' d."""
    size, n, scale, cost = size_of(one), layer.n_out, number(one, run.scale), run.cost
    factor, ld = number(one, square_factor(cost, n)), size * layer.ld
    # Then the next sample is a step further: to look everything up again took as long as the arithmetic.
    in_rows = run.y_kind == ROWS and not (run.order or run.sample_weights)
    for j in range(0, n, lanes_of(one)):
        at, total = size * j, splat(number(one, 0.0))
        z, a, d, label, row, weight = sample_of(one, run, layer, r0)
        for r in range(r0, r1):
            if not in_rows:
                z, a, d, label, row, weight = sample_of(one, run, layer, r)
            t = targets(one, label, row, j, n)
            value, slope = cost_of(cost, factor, load(one, z + at), load(one, a + at), t)
            total = total + weight * value
            store(slope * first_lanes(scale * weight, n - j), d + at)
            z, a, d, row = z + ld, a + ld, d + ld, row + size * n
        store(total, column_costs + at)


@njit
def _through_softmax(one, a, d, n):
    """dC/da in the row's d becomes delta: as all outputs depend on every z, a_j (dC/da_j - sum_k a_k dC/da_k)."""
    size, mean = size_of(one), number(one, 0.0)
    for j in range(0, n * size, size):
        mean += load_scalar(one, a + j) * load_scalar(one, d + j)
    for j in range(0, n * size, lanes_of(one) * size):
        store(load(one, a + j) * (load(one, d + j) - mean), d + j)


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
def costs_and_deltas(one, run, layer, r0, r1, column_costs):
    """The costs of rows r0 to r1, summed by outputs into ``column_costs``, and their output deltas.

    After differences without softmax it is dC/da that is written: f' is still to come (``needs_slope``).
    """
    size, n, softmax = size_of(one), layer.n_out, layer.activation == SOFTMAX
    if not (softmax and run.cost == CROSS_ENTROPY):
        output_by_output(one, run, layer, r0, r1, column_costs)
    else:
        for j in range(0, n, lanes_of(one)):
            store(splat(number(one, 0.0)), column_costs + size * j)
    if softmax:
        for r in range(r0, r1):
            sample = sample_of(one, run, layer, r)
            if run.cost == CROSS_ENTROPY:
                _categorical_cross_entropy(one, sample, number(one, run.scale) * sample[5], column_costs, n)
            else:
                _through_softmax(one, sample[1], sample[2], n)


@njit
def needs_slope(cost, code):
    """Whether what ``costs_and_deltas`` wrote has still to be multiplied with f'(z)."""
    return cost != CROSS_ENTROPY and cost != POISSON and code != SOFTMAX
