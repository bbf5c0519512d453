"""The numerical check: it passes for every right gradient, and it notices a wrong one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from conftest import Build, simple
from numpy.typing import ArrayLike
from reference import ACTIVATIONS, PAIRS

import fastbp


@pytest.mark.parametrize(("activation", "cost"), PAIRS)
def test_every_output_pair_passes(activation: str, cost: str, build: Build, rng: np.random.Generator) -> None:
    network, _ = build(4, simple([5, 3], "tanh", activation), cost)
    before = network.get_parameters()
    check = fastbp.check_gradients(network, rng.normal(size=(6, 4)), rng.integers(0, 3, 6))
    assert check.passed
    assert 0 < check.max_relative_error <= 1e-7  # what CS231n calls good, in float64
    np.testing.assert_array_equal(network.get_parameters(), before)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_every_hidden_activation_passes(activation: str, build: Build, rng: np.random.Generator) -> None:
    layers = [(5, activation, True), (4, activation, False), (2, "identity", True)]
    network, _ = build(4, layers, "half_sum_of_squares")
    check = fastbp.check_gradients(network, rng.normal(size=(6, 4)), rng.normal(size=(6, 2)))
    assert check.passed
    assert check.max_relative_error <= 1e-7


def test_a_float32_network_passes_too(build: Build, rng: np.random.Generator) -> None:
    network, _ = build(4, simple([5, 3], "tanh", "softmax"), "cross_entropy", "float32")
    assert fastbp.check_gradients(network, rng.normal(size=(6, 4)), rng.integers(0, 3, 6)).passed


def test_worst_is_a_place_in_the_network(build: Build, rng: np.random.Generator) -> None:
    network, _ = build(4, simple([5, 3], "tanh", "softmax"), "cross_entropy")
    layer, row, column = fastbp.check_gradients(network, rng.normal(size=(6, 4)), rng.integers(0, 3, 6)).worst
    n_in, n_out = network.weights[layer].shape
    assert 0 <= row <= n_in  # the bias is one row more
    assert 0 <= column < n_out


class Wrong(fastbp.Network):
    """A network whose backpropagation is wrong in one parameter."""

    at, factor = 0, 1.0

    def gradient(self, x: ArrayLike, y: ArrayLike) -> fastbp.Gradient:
        """The right gradient, but for one number."""
        g = super().gradient(x, y)
        g.flat[self.at] *= self.factor
        return g


@pytest.mark.parametrize("factor", [1.00001, 0.5, 0.0, -1.0, np.nan])
@pytest.mark.parametrize(("at", "place"), [(0, (0, 0, 0)), (13, (0, 2, 3)), (22, (0, 4, 2)), (30, (1, 1, 2))])
def test_a_wrong_gradient_is_found_where_it_is(
    at: int, place: tuple[int, int, int], factor: float, monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator
) -> None:
    monkeypatch.setattr(Wrong, "at", at)
    layers = [fastbp.Dense(5, "tanh"), fastbp.Dense(3, "softmax")]
    network, x, y = Wrong(4, layers, dtype="float64"), rng.normal(size=(6, 4)), rng.integers(0, 3, 6)
    assert fastbp.check_gradients(network, x, y).passed
    monkeypatch.setattr(Wrong, "factor", factor)
    check = fastbp.check_gradients(network, x, y)
    assert not check.passed
    assert not check.max_relative_error <= 1e-7
    assert check.worst == place


def test_absolute_errors_of_nearly_zero_on_both_sides_leave_no_slope() -> None:
    network = fastbp.Network(2, [fastbp.Dense(1, initializer="zeros")], cost="absolute_error")
    check = fastbp.check_gradients(network, [[1.0, 0.0]] * 3 + [[1.0, 2.0]], [1e-7, 1e-7, -1e-7, 1.0])
    assert check.at_kink == 2  # the weight from the first input and the bias; the other sees the last sample alone
    assert check.passed


@pytest.mark.parametrize("seed", ["0", -1, 0.5, None])
def test_the_draw_wants_a_seed(seed: Any) -> None:
    with pytest.raises((TypeError, ValueError), match=r"seed: got .*, expected a whole number"):
        fastbp.check_gradients(fastbp.Network(2, [fastbp.Dense(1)]), [[1.0, 0.0]], [0.0], seed=seed)
