"""The oracle is itself checked: against finite differences, and against numbers worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from reference import ACTIVATIONS, PAIRS, SGD, Adam, Array, Reference, RMSprop, train

STEP = 1e-6  # central differences: truncation about STEP^2, rounding about 1e-16 / STEP; both below 1e-9


def numerical(network: Reference, x: Array, y: Array) -> Array:
    """dC/dtheta by central differences, a parameter at a time."""
    theta, gradient = network.theta, np.empty_like(network.theta)
    for at in range(len(theta)):
        move = STEP * (np.arange(len(theta)) == at)
        network.theta = theta + move
        up = network.costs(x, y).mean()
        network.theta = theta - move
        gradient[at] = (up - network.costs(x, y).mean()) / (2 * STEP)
    network.theta = theta
    return gradient


def make(layers: list[tuple[int, str, bool]], cost: str, rng: np.random.Generator) -> Reference:
    """A random network with three inputs."""
    network = Reference(3, layers, cost)
    network.theta = rng.normal(0.0, 0.7, len(network.is_weight()))
    return network


@pytest.mark.parametrize(("activation", "cost"), PAIRS)
def test_output_pairs_agree_with_differences(activation: str, cost: str, rng: np.random.Generator) -> None:
    network = make([(4, "tanh", True), (3, activation, True)], cost, rng)
    x, y = rng.normal(size=(5, 3)), rng.integers(0, 3, 5)
    np.testing.assert_allclose(network.gradient(x, y), numerical(network, x, y), rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_hidden_activations_agree_with_differences(activation: str, rng: np.random.Generator) -> None:
    network = make([(4, activation, True), (3, activation, False), (2, "identity", True)], "half_sum_of_squares", rng)
    x, y = rng.normal(size=(5, 3)), rng.normal(size=(5, 2))
    np.testing.assert_allclose(network.gradient(x, y), numerical(network, x, y), rtol=1e-6, atol=1e-8)


def test_targets_that_do_not_add_up_to_one(rng: np.random.Generator) -> None:
    network = make([(3, "softmax", True)], "cross_entropy", rng)
    x, y = rng.normal(size=(4, 3)), rng.uniform(size=(4, 3))
    np.testing.assert_allclose(network.gradient(x, y), numerical(network, x, y), rtol=1e-6, atol=1e-8)


def test_one_sigmoid_by_hand() -> None:
    network = Reference(1, [(1, "sigmoid", True)], "sum_of_squares", np.zeros(2))
    x, y = np.array([[3.0]]), np.array([1.0])
    assert network.forward(x).item() == pytest.approx(0.5, rel=1e-15)
    assert network.costs(x, y).item() == pytest.approx(0.25, rel=1e-15)
    # delta = 2 (a - y) a (1 - a) = -1/4; dC/dw = x delta
    np.testing.assert_allclose(network.gradient(x, y), [-0.75, -0.25], rtol=1e-15)


def test_costs_by_hand() -> None:
    x, y = np.array([[1.0, 2.0]]), np.array([[0.0, 0.0]])
    eye = np.eye(2).ravel()
    squares = {"sum_of_squares": 5.0, "half_sum_of_squares": 2.5, "mean_squared_error": 2.5}
    for cost, value in {**squares, "absolute_error": 3.0, "huber": 0.5 + 1.5}.items():
        assert Reference(2, [(2, "identity", False)], cost, eye).costs(x, y).item() == value
    counts = Reference(2, [(2, "exp", False)], "poisson", eye)
    assert counts.costs(x, np.array([[2.0, 0.0]])).item() == pytest.approx(np.e - 2.0 + np.e**2, rel=1e-15)
    softmax = Reference(2, [(2, "softmax", False)], "cross_entropy", eye)
    assert softmax.costs(x, np.array([0])).item() == pytest.approx(np.log(1 + np.e), rel=1e-15)
    sigmoid = Reference(2, [(2, "sigmoid", False)], "cross_entropy", eye)
    assert sigmoid.costs(x, y).item() == pytest.approx(np.log1p(np.exp(1)) + np.log1p(np.exp(2)), rel=1e-15)


@pytest.mark.parametrize("activation", [*ACTIVATIONS, "softmax"])
def test_extreme_inputs_stay_finite(activation: str) -> None:
    network = Reference(2, [(2, activation, False)], "sum_of_squares", np.eye(2).ravel())
    x = np.array([[-1000.0, 1000.0], [0.0, -1000.0]])
    assert np.isfinite(network.forward(x)).all()
    assert np.isfinite(network.gradient(x, np.array([0, 1]))).all()


def test_optimizers_by_hand() -> None:
    start, g, mask = np.array([1.0]), np.array([2.0]), np.array([True])

    def twice(optimizer: SGD | RMSprop | Adam) -> float:
        once = optimizer.step(start, g, 0.1, mask)
        return optimizer.step(once, g, 0.1, mask).item()

    assert twice(SGD()) == pytest.approx(1 - 0.2 - 0.2, rel=1e-14)
    assert twice(SGD(momentum=0.5)) == pytest.approx(1 - 0.2 - 0.3, rel=1e-14)
    assert twice(SGD(momentum=0.5, nesterov=True)) == pytest.approx(1 - 0.3 - 0.35, rel=1e-14)
    # s = 0.4, then 0.76
    assert twice(RMSprop()) == pytest.approx(1 - 0.2 / 0.4**0.5 - 0.2 / 0.76**0.5, rel=1e-7)
    # A constant gradient: both bias-corrected means are exact, and every step is the learning rate.
    assert twice(Adam()) == pytest.approx(1 - 0.1 - 0.1, rel=1e-8)
    assert twice(Adam(weight_decay=0.5)) == pytest.approx((0.95 - 0.1) * 0.95 - 0.1, rel=1e-8)


def test_penalties_spare_biases() -> None:
    network = Reference(1, [(1, "identity", True)], "sum_of_squares", np.array([2.0, -3.0]))
    at_rest = (np.array([[0.0]]), np.array([-3.0]))  # the cost is zero: only the penalties move anything
    theta = train(network, SGD(), [at_rest], lambda update: 0.5 * (update + 1), l1=0.1, l2=0.2)
    np.testing.assert_allclose(theta, [2.0 - 0.5 * (0.1 + 0.4), -3.0], rtol=1e-15)


def test_penalties_are_the_slope_of_what_they_add(rng: np.random.Generator) -> None:
    l1, l2 = 0.3, 0.7
    network = make([(2, "tanh", True), (1, "identity", True)], "sum_of_squares", rng)
    x, y, start = rng.normal(size=(3, 3)), rng.normal(size=3), network.theta

    def penalty(theta: Array) -> float:
        weights = theta[network.is_weight()]
        return l1 * np.abs(weights).sum() + l2 / 2 * (weights**2).sum()

    slope = start - train(network, SGD(), [(x, y)], 1.0, l1, l2)
    network.theta = start
    moves = STEP * np.eye(len(start))
    added = [(penalty(start + move) - penalty(start - move)) / (2 * STEP) for move in moves]
    np.testing.assert_allclose(slope, numerical(network, x, y) + added, rtol=1e-6, atol=1e-8)
