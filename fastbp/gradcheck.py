"""Numerical gradient checking: backpropagation against differences of the cost, one parameter at a time.

A slope is first measured to fourth order from both sides of a parameter. Where it disagrees with backpropagation,
it is measured again from the left alone and from the right alone:

* the three agree: the cost is smooth there, and the disagreement is backpropagation's;
* they do not: a step crossed a kink (of relu, leaky_relu, absolute_error), or the cost bends too much, so a tenth of
  the step is tried, and so on to a thousandth. At a kink (z = 0 exactly) each side has its own slope: either passes;
* they still do not, in a network that has kinks, and backpropagation gives neither: some units or errors sit at their
  kinks together, there is no slope to compare with, and the parameter is counted in ``at_kink`` instead.

A cost C is as uncertain as if its parameters had been rounded, by about u (|C| + sum |theta g|) with u the unit of
float64; a slope by that over the step. An error is taken relative to |a| + |n|, a the gradient by backpropagation and
n the measured one, but never to less than this uncertainty over the tolerance: what rounding alone does stays
below the tolerance, and a gradient that is wrong by more than rounding stays above it, however small it is.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial

import numpy as np
from numpy.typing import ArrayLike

from .model import Network, require_network
from .scalars import count, positive

# Differences of fourth order (Fornberg 1988, tables 1 and 3): steps from the parameter, weights over 12 h.
CENTRAL = {-2: 1.0, -1: -8.0, 1: 8.0, 2: -1.0}
RIGHT = {0: -25.0, 1: 48.0, 2: -36.0, 3: 16.0, 4: -3.0}
LEFT = {-steps: -weight for steps, weight in RIGHT.items()}
ROUNDINGS = 16.0  # of one cost, in units u: some for each layer's sum and exp, times the stencil's weights
SHRINK = (1.0, 0.1, 0.01, 0.001)
KINKED = frozenset({"relu", "leaky_relu", "absolute_error"})
Place = tuple[int, int, int, int]  # layer, row, column, index into the flat parameters


@dataclass(frozen=True, eq=False)
class GradientCheck:
    """What ``check_gradients`` found.

    Attributes
    ----------
    max_relative_error : float
        The largest relative error of any parameter checked; NaN if one was.
    worst : tuple of int
        (layer, row, column) of that parameter in ``net.weights[layer]``. Row n_in, one more than the weights have,
        stands for the bias.
    per_layer : tuple of float
        Each layer's largest relative error.
    at_kink : int
        How many parameters have no slope to compare with, and are left out of all errors above.
    tolerance : float
        What ``max_relative_error`` must not exceed.
    indices : ndarray of int64, (n_checked,)
        The parameters checked, as places in ``net.get_parameters()``.
    analytic, numerical, relative_errors : ndarray of float64, (n_checked,)
        Their gradients by backpropagation and by differences, and how far these are apart (0 at a kink).

    Examples
    --------
    >>> from fastbp import Dense
    >>> check = check_gradients(Network(2, [Dense(3, "tanh"), Dense(1)]), [[1.0, 2.0]], [1.0])
    >>> check.passed, len(check.indices), check.at_kink
    (True, 13, 0)
    """

    max_relative_error: float
    worst: tuple[int, int, int]
    per_layer: tuple[float, ...]
    at_kink: int
    tolerance: float
    indices: np.ndarray = field(repr=False)
    analytic: np.ndarray = field(repr=False)
    numerical: np.ndarray = field(repr=False)
    relative_errors: np.ndarray = field(repr=False)

    @property
    def passed(self) -> bool:
        """Whether all errors are within the tolerance; NaN is not, nor is nothing compared."""
        return self.max_relative_error <= self.tolerance and self.at_kink < len(self.indices)

    def __str__(self) -> str:
        at = _largest(self.relative_errors)
        layer, row, column = self.worst
        lines = [f"layer {number}: relative error {error:.1e}" for number, error in enumerate(self.per_layer)]
        lines += [f"left out, at a kink: {self.at_kink}"] if self.at_kink else []
        return "\n".join([
            f"gradient check {'passed' if self.passed else 'FAILED'}: {len(self.indices)} parameters, largest relative "
            f"error {self.max_relative_error:.1e}, tolerance {self.tolerance:.1e}",
            *lines,
            f"worst: layer {layer}, row {row}, column {column}: backpropagation {self.analytic[at]:.12g}, "
            f"differences {self.numerical[at]:.12g}",
        ])  # fmt: skip


def check_gradients(
    net: Network,
    x: ArrayLike,
    y: ArrayLike,
    epsilon: float = 1e-3,
    tolerance: float = 1e-7,
    n_parameters: int | None = None,
    seed: int = 0,
) -> GradientCheck:
    """Compare a network's gradient with differences of its cost, in float64.

    Parameters
    ----------
    net : Network
        Left as it is: a copy is checked. A float32 network is checked through a float64 copy, since float32 costs
        are too coarse for differences.
    x, y : array_like
        As in ``Network.cost``. A few samples do.
    epsilon : float
        The step. The default balances the error of the differences, about epsilon^4, with the rounding, about
        1e-16 / epsilon.
    tolerance : float
        The largest relative error that passes. Many consider 1e-7 good for a network without kinks.
    n_parameters : int, optional
        Check at most so many parameters of each layer, drawn at random. By default all: about four costs each.
    seed : int
        Of that draw.

    Returns
    -------
    GradientCheck
        With ``max_relative_error``, ``worst`` (layer, row, column; row n_in is the bias), ``passed`` and more;
        ``print`` shows a line a layer.

    Raises
    ------
    TypeError, ValueError
        If x or y do not fit the network, or another argument is not a positive number.

    Notes
    -----
    At a kink, backpropagation takes the slope to the left in every unit by itself. Where several layers sit at their
    kinks together (an all-zero sample, biases of zero, leaky_relu), that is the slope of no side, and the check may
    fail for it: give such a network other samples, or biases.

    Examples
    --------
    >>> from fastbp import Dense
    >>> net = Network(2, [Dense(3, "tanh"), Dense(1, "sigmoid")])
    >>> check = check_gradients(net, [[0.1, 0.9], [0.4, 0.2]], [0.0, 1.0])
    >>> check.passed, check.max_relative_error < 1e-7
    (True, True)
    """
    require_network("net", net)
    positive("epsilon", epsilon)
    positive("tolerance", tolerance)
    most = net.n_parameters if n_parameters is None else count("n_parameters", n_parameters)
    double = type(net).from_config({**net.config(), "dtype": "float64"})
    double.set_parameters(net.get_parameters())
    gradient = double.gradient(x, y).flat
    rng = np.random.default_rng(count("seed", seed, 0))
    rounding = _rounding(double, x, y, epsilon * rng.choice((-1.0, 1.0), double.n_parameters))
    kinked = not KINKED.isdisjoint([double.cost_name, *(layer.activation for layer in double.layers)])
    places = list(_places(double, most, rng))
    found = []
    for layer, row, column, index in places:
        cost_at = partial(_cost_at, double, x, y, layer, row, column)
        found.append(_compare(float(gradient[index]), cost_at, rounding, epsilon, tolerance))
    return _result(places, gradient, found, kinked, tolerance)


def _result(
    places: list[Place], gradient: np.ndarray, found: list[tuple[float, float, bool]], kinked: bool, tolerance: float
) -> GradientCheck:
    layers, indices = np.array([place[0] for place in places]), np.array([place[3] for place in places])
    numerical, errors, settled = np.array(found).T
    # Only a kink may excuse a slope that depends on the step; a NaN or an infinite one has no excuse.
    at_kink = kinked & (settled == 0) & np.isfinite(errors)
    errors = np.where(at_kink, 0.0, errors)
    worst = _largest(errors)
    return GradientCheck(
        max_relative_error=float(errors[worst]),
        worst=places[worst][:3],
        per_layer=tuple(float(errors[layers == layer].max()) for layer in range(layers[-1] + 1)),
        at_kink=int(at_kink.sum()),
        tolerance=tolerance,
        indices=indices,
        analytic=gradient[indices],
        numerical=numerical,
        relative_errors=errors,
    )


def _rounding(net: Network, x: ArrayLike, y: ArrayLike, step: np.ndarray) -> float:
    """The rounding of a cost, here and a step away: a cost of nearly 0 is not as exact where it is measured."""
    theta, worst = net.get_parameters(), 0.0
    for at in (theta + step, theta):
        net.set_parameters(at)
        worst = max(worst, abs(net.cost(x, y)) + float(np.abs(at) @ np.abs(net.gradient(x, y).flat)))
    return ROUNDINGS * float(np.finfo(np.float64).eps) * worst


def _places(net: Network, most: int, rng: np.random.Generator) -> Iterator[Place]:
    """Layer, row, column and flat index of all parameters, or of ``most`` drawn from each layer."""
    start = 0
    for layer, (weights, biases) in enumerate(zip(net.weights, net.biases, strict=True)):
        n, columns = weights.size + biases.size, weights.shape[1]
        chosen = range(n) if n <= most else sorted(rng.choice(n, most, replace=False).tolist())
        for index in chosen:
            yield layer, index // columns, index % columns, start + index
        start += n


def _cost_at(net: Network, x: ArrayLike, y: ArrayLike, layer: int, row: int, column: int, step: float) -> float:
    """The cost with one parameter moved by ``step``; the bias is the row after the weights."""
    weights, biases = net.weights[layer], net.biases[layer]
    line = weights[row] if row < len(weights) else biases
    before = line[column]
    line[column] = before + step
    cost = net.cost(x, y)
    line[column] = before
    return cost


def _compare(
    analytic: float, cost_at: Callable[[float], float], rounding: float, epsilon: float, tolerance: float
) -> tuple[float, float, bool]:
    """Measure one slope, as the top of this file says: the slope, the relative error of ``analytic``, if it settled."""
    slope = error = math.nan
    for h in (shrink * epsilon for shrink in SHRINK):
        floor = rounding / (h * tolerance)
        slope = _slope(cost_at, CENTRAL, h)
        error = _relative(analytic, slope, floor)
        if error <= tolerance:
            return slope, error, True
        slopes = [slope, _slope(cost_at, LEFT, h), _slope(cost_at, RIGHT, h)]
        slope = min(slopes, key=lambda one: abs(one - analytic))
        error = _relative(analytic, slope, floor)
        if error <= tolerance or _relative(min(slopes), max(slopes), floor) <= tolerance:
            return slope, error, True
    return slope, error, False


def _slope(cost_at: Callable[[float], float], stencil: dict[int, float], h: float) -> float:
    return sum(weight * cost_at(steps * h) for steps, weight in stencil.items()) / (12.0 * h)


def _relative(a: float, n: float, floor: float) -> float:
    size = max(abs(a) + abs(n), floor)
    return abs(a - n) / size if size != 0.0 else 0.0


def _largest(errors: np.ndarray) -> int:
    """Where the largest error is; NaN counts as larger than any."""
    return int(np.argmax(errors))
