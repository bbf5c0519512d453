"""One sample's explanation, against the oracle's forward and backward pass."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from conftest import Build, simple, targets_for
from numpy.typing import NDArray
from reference import ACTIVATIONS, OUTPUTS, Reference, inputs

import fastbp
from fastbp import Dense, Network

# Another order of the sums and another exp: some units in the last place of numbers up to about 10.
CLOSE: dict[str, Any] = {"rtol": 1e-11, "atol": 1e-13}


def with_biases(oracle: Reference) -> Reference:
    """The same network with zero biases where it has none, so that every delta is a bias's gradient (BP3)."""
    theta = np.concatenate([part.ravel() for layer in oracle.unpack() for part in layer])
    return Reference(oracle.n_in, [(n, name, True) for n, name, _ in oracle.layers], oracle.cost_name, theta)


def assert_explains(network: Network, oracle: Reference, x: NDArray[Any], y: Any) -> None:
    """Every array of ``explain`` against the oracle's, for one sample."""
    e, samples, answers = fastbp.explain(network, x, y), np.asarray(x)[np.newaxis], np.asarray(y)[np.newaxis]
    z, a = oracle.forward_sample(inputs(samples)[0])
    flat, full = oracle.gradient_sample, with_biases(oracle)
    target = np.eye(network.n_out)[y] if np.ndim(y) == 0 and network.n_out > 1 else np.reshape(y, network.n_out)
    gradients = Reference(full.n_in, full.layers, full.cost_name, full.gradient_sample(a[0], target)).unpack()
    for got, want in [(e.z, z), (e.a, a), (e.delta, [b for _, b in gradients])]:
        assert len(got) == len(want)
        for one, other in zip(got, want, strict=True):
            assert one.dtype == np.float64
            np.testing.assert_allclose(one, other, **CLOSE)
    nudges = [part.ravel() for pair in zip(e.weight_nudges, e.bias_nudges, strict=True) for part in pair]
    np.testing.assert_allclose(np.concatenate(nudges), -flat(a[0], target), **CLOSE)
    for nudge, (weights, _), (_, delta) in zip(e.activation_nudges, full.unpack(), gradients, strict=True):
        np.testing.assert_allclose(nudge, -(weights @ delta), **CLOSE)
    np.testing.assert_allclose(e.cost, oracle.costs(samples, answers)[0], **CLOSE)
    np.testing.assert_array_equal(e.target, target)
    np.testing.assert_array_equal(e.output, e.a[-1])
    np.testing.assert_allclose(e.output_nudges, target - a[-1], **CLOSE)


@pytest.mark.parametrize(("activation", "cost", "n_out"), OUTPUTS)
def test_every_output_pair(activation: str, cost: str, n_out: int, build: Build, rng: np.random.Generator) -> None:
    network, oracle = build(4, simple([5, n_out], "tanh", activation), cost)
    assert_explains(network, oracle, rng.normal(size=4), targets_for(cost, 1, n_out, rng)[0])


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_every_hidden_activation_with_and_without_biases(
    activation: str, build: Build, rng: np.random.Generator
) -> None:
    network, oracle = build(
        4, [(17, activation, False), (3, activation, True), (2, "identity", False)], "sum_of_squares"
    )
    assert_explains(network, oracle, rng.normal(size=4), rng.normal(size=2))
    assert [len(b) for b in fastbp.explain(network, np.ones(4), 1).bias_nudges] == [0, 3, 0]


def test_a_float32_network_is_explained_in_float64_and_not_changed(build: Build, rng: np.random.Generator) -> None:
    network, oracle = build(4, simple([5, 3], "sigmoid", "sigmoid"), "sum_of_squares", "float32")
    before = network.get_parameters()
    assert_explains(network, oracle, rng.normal(size=4).astype(np.float32), 2)
    np.testing.assert_array_equal(network.get_parameters(), before)


@pytest.mark.parametrize("shape", [(12,), (3, 4), (1, 12)])
def test_an_image_is_one_sample(shape: tuple[int, ...], build: Build, rng: np.random.Generator) -> None:
    network, oracle = build(12, simple([5, 3], "sigmoid", "softmax"), "cross_entropy")
    image = rng.integers(0, 256, 12).astype(np.uint8)
    assert_explains(network, oracle, image, 1)
    e = fastbp.explain(network, image.reshape(shape), np.int64(1))
    np.testing.assert_array_equal(e.a[0], image / 255)
    np.testing.assert_array_equal(e.z[1], fastbp.explain(network, image, 1).z[1])


def test_plain_lists_of_whole_numbers(build: Build) -> None:
    network, oracle = build(2, simple([3, 2], "tanh", "softmax"), "cross_entropy")
    np.testing.assert_allclose(fastbp.explain(network, [2, 3], 0).output, oracle.forward(np.array([[2.0, 3.0]]))[0])


def test_a_list_of_pixels_is_scaled_as_an_array_is(build: Build) -> None:
    network, _ = build(4, simple([3, 2], "tanh", "softmax"), "cross_entropy")
    image = np.array([0, 255, 128, 7], np.uint8)
    assert fastbp.explain(network, list(image), 1).cost == fastbp.explain(network, image, 1).cost


def test_the_mean_of_all_nudges_is_the_descent_direction(build: Build, rng: np.random.Generator) -> None:
    network, _ = build(4, simple([5, 3], "gelu", "softmax"), "cross_entropy")
    x, y = rng.normal(size=(9, 4)), rng.integers(0, 3, 9)
    nudges = [fastbp.explain(network, one, label) for one, label in zip(x, y, strict=True)]
    gradient = network.gradient(x, y)
    for layer in range(2):
        mean = np.mean([e.weight_nudges[layer] for e in nudges], axis=0)
        np.testing.assert_allclose(mean, -gradient.weights[layer], **CLOSE)


def test_following_the_nudges_to_the_input_lowers_the_cost(build: Build, rng: np.random.Generator) -> None:
    network, _ = build(4, simple([5, 3], "tanh", "identity"), "half_sum_of_squares")
    x, step = rng.normal(size=4), 1e-4
    e = fastbp.explain(network, x, 2)
    nudge = e.activation_nudges[0]
    gain = e.cost - network.cost(x + step * nudge, 2)
    assert gain == pytest.approx(step * (nudge @ nudge), rel=1e-2)  # first order; the curvature takes 1e-4 of it


def test_the_most_sensitive_parameters(build: Build, rng: np.random.Generator) -> None:
    network, _ = build(4, [(5, "tanh", False), (3, "sigmoid", True)], "sum_of_squares")
    x = rng.normal(size=4) * [1, 0, 1, 1]  # nothing comes of input 1: no slope, and no part in the median
    gradient, parameters = network.gradient(x, 2), network.get_parameters()
    sizes = np.abs(gradient.flat)
    top = fastbp.explain(network, x, 2).most_sensitive(100)
    assert len(top) == network.n_parameters
    np.testing.assert_allclose([abs(p.nudge) for p in top], np.sort(sizes)[::-1], **CLOSE)
    assert np.count_nonzero(sizes) == network.n_parameters - 5
    median = np.median(sizes[sizes > 0])
    for p in top:
        place = gradient.biases[p.layer] if p.is_bias else gradient.weights[p.layer][p.row]
        value = network.biases[p.layer] if p.is_bias else network.weights[p.layer][p.row]
        assert p.is_bias == (p.row == len(network.weights[p.layer]))
        np.testing.assert_allclose(
            [p.nudge, p.times_median], [-place[p.column], abs(place[p.column]) / median], **CLOSE
        )
        assert p.value == value[p.column]
        assert p.value in parameters
    assert {(p.layer, p.row, p.column) for p in top if p.is_bias} == {(1, 5, 0), (1, 5, 1), (1, 5, 2)}
    assert fastbp.explain(network, x, 2).most_sensitive(2) == top[:2]


def test_where_nothing_has_a_slope_nothing_is_more_sensitive() -> None:
    network = Network(2, [Dense(1, "identity", initializer="zeros")], cost="sum_of_squares")
    assert [p.times_median for p in fastbp.explain(network, [1.0, 1.0], 0.0).most_sensitive()] == [0.0, 0.0, 0.0]


def test_what_nudges_owe_to_the_activation_they_come_from(build: Build, rng: np.random.Generator) -> None:
    network, _ = build(4, [(5, "tanh", True), (3, "sigmoid", False)], "sum_of_squares")
    e = fastbp.explain(network, rng.normal(size=4), 1)
    for layer, nudges in enumerate(e.weight_nudges):
        h = e.hebbian(layer)
        np.testing.assert_allclose(np.outer(h.activation, h.wanted), nudges, **CLOSE)
        np.testing.assert_allclose(
            np.abs(nudges) / np.abs(nudges).sum(axis=0), h.share[:, None] + np.zeros(nudges.shape)
        )
        hebb = np.outer(e.a[layer], e.a[layer + 1])
        lengths = np.linalg.norm(nudges) * np.linalg.norm(hebb)
        assert h.agreement == pytest.approx((nudges * hebb).sum() / lengths, rel=1e-12)
    assert e.hebbian(-1).agreement == e.hebbian(1).agreement
    silent = fastbp.explain(network, np.zeros(4), 1).hebbian(0)
    np.testing.assert_array_equal(silent.share, np.zeros(4))


@pytest.mark.parametrize(
    ("layer", "message"), [(2, "layer: got 2, expected 0 to 1"), (-3, "layer: got -3"), ("a", "layer: got 'a'")]
)
def test_no_such_layer(layer: Any, message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        fastbp.explain(NETWORK, np.zeros(4), 0).hebbian(layer)


@pytest.mark.parametrize("k", [0, 1.5, True])
def test_no_such_number_of_parameters(k: Any) -> None:
    with pytest.raises((TypeError, ValueError), match=f"k: got {k}"):
        fastbp.explain(NETWORK, np.zeros(4), 0).most_sensitive(k)


NETWORK = Network(4, [Dense(5, "tanh"), Dense(3, "softmax")])


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        (np.zeros(5), 0, r"x: got shape \(5,\), expected one sample of 4"),
        (np.zeros((2, 4)), 0, r"x: got shape \(2, 4\), expected one sample of 4"),
        (np.array([0, 0, np.nan, 0]), 0, "x: got NaN"),
        (np.zeros(4, np.int32), 0, "x: got dtype int32"),
        (np.zeros(4), 3, "y: got class 3"),
        (np.zeros(4), [1.0, 0.0], "y: got shape"),
        (np.zeros(4), [[0.0, 0.0, 1.0]], "y: got shape"),
        (np.zeros(4), [2], r"y: got shape \(1,\), expected a class or \(3,\) targets"),
        (np.zeros(4), "one", "y: got dtype"),
        (np.ma.masked_equal(np.arange(4.0), 2), 0, "x: got a masked array"),
        (np.zeros(4), np.ma.masked_equal([0.0, 1.0, 2.0], 2), "y: got a masked array"),
    ],
)
def test_what_is_not_one_sample(x: Any, y: Any, message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        fastbp.explain(NETWORK, x, y)
