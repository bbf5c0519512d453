"""Many samples' nudges and their average, against the oracle's gradients, one sample at a time."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from conftest import Build, simple, targets_for
from reference import PAIRS

import fastbp
from fastbp import Dense, Network
from fastbp.explain_batch import explain_batch

# Another order of the sums and another exp: some units in the last place of numbers up to about 10.
CLOSE: dict[str, Any] = {"rtol": 1e-11, "atol": 1e-12}
# float32's parameters are float64's exactly; float32's own gradients have its rounding.
CLOSE32: dict[str, Any] = {"rtol": 1e-4, "atol": 1e-5}


@pytest.mark.parametrize(("activation", "cost"), PAIRS[::4])
def test_nudges_are_negative_gradients(activation: str, cost: str, build: Build, rng: np.random.Generator) -> None:
    network, oracle = build(4, [(5, "tanh", False), (3, activation, True)], cost)
    x, y = rng.normal(size=(7, 4)), targets_for(cost, 7, 3, rng)
    batch = explain_batch(network, x, y)
    np.testing.assert_allclose(batch.nudges, -oracle.per_sample_gradients(x, y), **CLOSE)
    np.testing.assert_allclose(batch.average, -oracle.gradient(x, y), **CLOSE)
    assert 0 <= batch.gradient_error < 1e-12
    for s in range(7):
        e = fastbp.explain(network, x[s], y[s])
        for layer in range(2):
            np.testing.assert_allclose(batch.weight_nudges[layer][s], e.weight_nudges[layer], **CLOSE)
            np.testing.assert_allclose(batch.bias_nudges[layer][s], e.bias_nudges[layer], **CLOSE)
    gradient = network.gradient(x, y)
    for layer in range(2):
        np.testing.assert_allclose(batch.average_weight_nudges[layer], -gradient.weights[layer], **CLOSE)
        np.testing.assert_allclose(batch.average_bias_nudges[layer], -gradient.biases[layer], **CLOSE)


def test_a_float32_network_on_images(build: Build, rng: np.random.Generator) -> None:
    network, _ = build(12, simple([5, 3], "relu", "softmax"), "cross_entropy", "float32")
    x, y = rng.integers(0, 256, (6, 3, 4)).astype(np.uint8), rng.integers(0, 3, 6)
    batch = explain_batch(network, x, y)
    assert batch.nudges.dtype == np.float64
    np.testing.assert_allclose(batch.nudges, -network.per_sample_gradients(x, y), **CLOSE32)
    np.testing.assert_allclose(batch.average, -network.gradient(x, y).flat, **CLOSE32)


def test_how_far_samples_agree(build: Build, rng: np.random.Generator) -> None:
    network, oracle = build(4, simple([5, 3], "tanh", "softmax"), "cross_entropy")
    x, y = rng.normal(size=(7, 4)), rng.integers(0, 3, 7)
    gradients, average = oracle.per_sample_gradients(x, y), oracle.gradient(x, y)

    def cosines(part: slice) -> Any:
        rows, mean = gradients[:, part], average[part]
        return rows @ mean / (np.linalg.norm(rows, axis=1) * np.linalg.norm(mean))

    batch = explain_batch(network, x, y)
    np.testing.assert_allclose(batch.cosines, cosines(slice(None)), **CLOSE)
    np.testing.assert_allclose(batch.layer_cosines[:, 0], cosines(slice(0, 25)), **CLOSE)
    np.testing.assert_allclose(batch.layer_cosines[:, 1], cosines(slice(25, None)), **CLOSE)
    assert batch.layer_cosines.shape == (7, 2)
    np.testing.assert_allclose(explain_batch(network, x[0], y[0]).cosines, [1.0])


def test_a_sample_that_wants_nothing_agrees_with_nobody() -> None:
    network = Network(1, [Dense(1, "identity", initializer="zeros")], cost="sum_of_squares")
    batch = explain_batch(network, [[1.0], [1.0]], [0.0, 1.0])
    np.testing.assert_array_equal(batch.cosines, [0.0, 1.0])
    np.testing.assert_array_equal(explain_batch(network, [[1.0]], [0.0]).layer_cosines, [[0.0]])


def test_the_average_is_really_compared_with_the_gradient(build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    network, _ = build(4, simple([5, 3], "tanh", "softmax"), "cross_entropy")
    honest = Network.per_sample_gradients

    def slightly_wrong(self: Network, x: Any, y: Any) -> Any:
        rows = honest(self, x, y)
        rows[0, 3] += 1e-8
        return rows

    monkeypatch.setattr(Network, "per_sample_gradients", slightly_wrong)
    with pytest.raises(ArithmeticError, match="not the negative gradient"):
        explain_batch(network, np.ones((3, 4)), [0, 1, 2])


def test_more_samples_than_memory_should_hold() -> None:
    network = Network(784, [Dense(16), Dense(10, "softmax")])
    with pytest.raises(ValueError, match=r"x: got 60000 samples of 12730 nudges each, expected at most 10543 samples"):
        explain_batch(network, np.zeros((60000, 784), np.uint8), np.zeros(60000, np.int64))


@pytest.mark.parametrize(
    ("x", "y", "message"), [(np.zeros((2, 5)), [0, 1], "x: got shape"), (np.zeros((2, 4)), [0, 3], "y: got class 3")]
)
def test_what_does_not_fit(x: Any, y: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        explain_batch(Network(4, [Dense(3, "softmax")]), x, y)
