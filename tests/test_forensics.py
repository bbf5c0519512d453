"""What is said of samples from their deltas, against gradients that the oracle forms one by one."""

from __future__ import annotations

import itertools
import tracemalloc
from typing import Any

import numpy as np
import pytest
from conftest import Build, simple, targets_for
from reference import OUTPUTS, Reference

from fastbp import SGD, Dense, Network, Trainer, forensics
from fastbp.forensics import SampleForensics, confusion_matrix, layer_norms, sample_forensics
from fastbp.gradient_log import GradientLog

# Another order of the sums and another exp: some units in the last place of numbers up to about 100.
CLOSE: dict[str, Any] = {"rtol": 1e-11, "atol": 1e-11}
# The same in float32, which has half as many digits.
CLOSE32: dict[str, Any] = {"rtol": 1e-4, "atol": 1e-4}


def layer_slices(oracle: Reference) -> list[slice]:
    """Each layer's place in the flat parameters."""
    ends, n_in = [0], oracle.n_in
    for n, _, bias in oracle.layers:
        ends.append(ends[-1] + (n_in + bias) * n)
        n_in = n
    return [slice(a, b) for a, b in itertools.pairwise(ends)]


def assert_found(found: SampleForensics, oracle: Reference, x: Any, y: Any, direction: Any, close: Any) -> None:
    """Every array against gradients that are formed."""
    gradients = oracle.per_sample_gradients(x, y)
    norms, length = np.linalg.norm(gradients, axis=1), np.linalg.norm(direction)
    np.testing.assert_allclose(found.costs, oracle.costs(x, y), **close)
    np.testing.assert_allclose(found.norms, norms, **close)
    np.testing.assert_allclose(found.dots, gradients @ direction, **close)
    np.testing.assert_allclose(found.cosines, gradients @ direction / (norms * length), **close)
    np.testing.assert_allclose(found.gradient.flat, gradients.mean(axis=0), **close)
    for layer, part in enumerate(layer_slices(oracle)):
        rows, along = gradients[:, part], direction[part]
        np.testing.assert_allclose(found.layer_norms[:, layer], np.linalg.norm(rows, axis=1), **close)
        np.testing.assert_allclose(found.layer_dots[:, layer], rows @ along, **close)
        lengths = np.linalg.norm(rows, axis=1) * np.linalg.norm(along)
        np.testing.assert_allclose(found.layer_cosines[:, layer], rows @ along / lengths, **close)


@pytest.mark.parametrize(("activation", "cost", "n_out"), OUTPUTS)
def test_every_output_pair(activation: str, cost: str, n_out: int, build: Build, rng: np.random.Generator) -> None:
    network, oracle = build(4, [(17, "tanh", False), (n_out, activation, True)], cost)
    x, y = rng.normal(size=(9, 4)), targets_for(cost, 9, n_out, rng)
    assert_found(sample_forensics(network, x, y), oracle, x, y, oracle.gradient(x, y), CLOSE)


def test_float32_bytes_and_chunks(build: Build, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    network, oracle = build(30, simple([5, 4, 3], "softplus", "softmax"), "cross_entropy", "float32")
    x, y = rng.integers(0, 256, (50, 5, 6)).astype(np.uint8), rng.integers(0, 3, 50)
    whole = sample_forensics(network, x, y)
    assert_found(whole, oracle, x, y, oracle.gradient(x, y), CLOSE32)
    monkeypatch.setattr(forensics, "CHUNK_NUMBERS", 7 * 60)
    assert_found(sample_forensics(network, x, y), oracle, x, y, oracle.gradient(x, y), CLOSE32)
    monkeypatch.setattr(forensics, "CHUNK_NUMBERS", 1)
    np.testing.assert_allclose(sample_forensics(network, x[:3], y[:3]).norms, whole.norms[:3], rtol=1e-6)


def test_a_network_of_one_layer_and_targets_that_are_no_classes(build: Build, rng: np.random.Generator) -> None:
    network, oracle = build(4, simple([3], "", "sigmoid"), "cross_entropy")
    x, y = rng.normal(size=(5, 4)), rng.uniform(size=(5, 3))
    assert_found(sample_forensics(network, x, y), oracle, x, y, oracle.gradient(x, y), CLOSE)


def test_against_the_gradient_of_other_samples(build: Build, rng: np.random.Generator) -> None:
    network, oracle = build(4, simple([5, 3], "gelu", "softmax"), "cross_entropy")
    x, y, x2, y2 = rng.normal(size=(6, 4)), [0, 1, 2, 0, 1, 2], rng.normal(size=(4, 4)), [2, 1, 0, 1]
    gradient = network.gradient(x2, y2)
    for direction in (gradient, gradient.flat, gradient.flat.tolist()):
        found = sample_forensics(network, x, y, direction)
        assert_found(found, oracle, x, np.array(y), oracle.gradient(x2, np.array(y2)), CLOSE)


def test_a_step_changes_each_cost_as_its_dot_product_says(build: Build, rng: np.random.Generator) -> None:
    network, _ = build(4, simple([5, 3], "tanh", "softmax"), "cross_entropy")
    x, y, step = rng.normal(size=(9, 4)), rng.integers(0, 3, 9), 1e-5
    before = sample_forensics(network, x, y)
    network.set_parameters(network.get_parameters() - step * before.gradient.flat)
    change = sample_forensics(network, x, y).costs - before.costs
    # First order: what is left is curvature, a step smaller than the slopes.
    np.testing.assert_allclose(change / step, -before.dots, atol=20 * step)


def test_the_worst_come_first() -> None:
    network = Network(1, [Dense(1, "identity", initializer="zeros", bias=False)], cost="half_sum_of_squares")
    x, y = [[1.0], [1.0], [1.0], [-1.0], [1.0]], [2.0, 1.0, 4.0, 3.0, 1.0]
    found = sample_forensics(network, x, y)  # gradients -2, -1, -4, 3, -1: -1 on average
    assert found.hardest(3).tolist() == [2, 3, 0]
    assert found.most_conflicting(2).tolist() == [3, 1]
    assert found.most_conflicting(99).tolist() == [3, 1, 4, 0, 2]
    np.testing.assert_array_equal(found.cosines, [1, 1, 1, -1, 1])


def test_the_noise_scale_is_made_of_unbiased_estimates(build: Build, rng: np.random.Generator) -> None:
    network, oracle = build(3, simple([2], "", "tanh"), "sum_of_squares")
    x, y = rng.normal(size=(4, 3)), rng.normal(size=(4, 2))
    gradients = oracle.per_sample_gradients(x, y)
    mean = gradients.mean(axis=0)
    variance = np.mean(np.sum((gradients - mean) ** 2, axis=1))
    # All ways to draw two of the four samples, with replacement: averaged over them, no bias is left.
    draws = [list(pair) for pair in itertools.product(range(4), repeat=2)]
    found = [sample_forensics(network, x[draw], y[draw]) for draw in draws]
    assert np.mean([f.gradient_square for f in found]) == pytest.approx(mean @ mean, rel=1e-12)
    assert np.mean([f.gradient_variance for f in found]) == pytest.approx(variance, rel=1e-12)
    whole = sample_forensics(network, x, y)
    assert whole.gradient_variance == pytest.approx(variance * 4 / 3, rel=1e-12)
    assert whole.noise_scale == pytest.approx(whole.gradient_variance / whole.gradient_square)


def test_signal_that_noise_hides_and_noise_that_is_not_there() -> None:
    network = Network(1, [Dense(1, "identity", initializer="zeros")], cost="half_sum_of_squares")
    assert sample_forensics(network, [[1.0], [1.0]], [1.0, -1.0]).noise_scale == np.inf
    assert sample_forensics(network, [[1.0], [1.0]], [1.0, 1.0]).noise_scale == 0.0
    assert sample_forensics(network, [[1.0], [1.0]], [0.0, 0.0]).cosines.tolist() == [0.0, 0.0]  # no slope anywhere
    with pytest.raises(ValueError, match="x: got 1 sample, expected 2 or more"):
        _ = sample_forensics(network, [[1.0]], [1.0]).noise_scale


def test_memory_is_for_a_chunk_of_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    network = Network(100, [Dense(50), Dense(3, "softmax")])
    x, y = np.ones((20_000, 100), np.uint8), np.zeros(20_000, np.int64)
    monkeypatch.setattr(forensics, "CHUNK_NUMBERS", 1 << 16)
    sample_forensics(network, x, y)  # what is kept for the next time
    tracemalloc.start()
    sample_forensics(network, x, y)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # All gradients would take 416 MB, all activations 16; the arrays of the result take 1.
    assert peak < 8e6


def test_the_log_begins_before_training_and_goes_on_with_it(build: Build, rng: np.random.Generator) -> None:
    network, _ = build(4, simple([5, 3], "tanh", "softmax"), "cross_entropy")
    x, y = rng.normal(size=(9, 4)), rng.integers(0, 3, 9)
    before, log = sample_forensics(network, x, y), GradientLog(network, x, y)
    history = Trainer(network, SGD(0.5), batch_size=3).fit(x, y, epochs=4, callbacks=[log])
    after = sample_forensics(network, x, y)
    assert len(history.cost) == 4
    assert len(log.sample_norms) == len(log.layer_norms) == len(log.noise_scales) == 5
    for at, found in ((0, before), (-1, after)):
        np.testing.assert_array_equal(log.sample_norms[at], found.norms)
        np.testing.assert_array_equal(log.layer_norms[at], layer_norms(found.gradient))
        assert log.noise_scales[at] == found.noise_scale
        assert np.linalg.norm(log.layer_norms[at]) == pytest.approx(np.linalg.norm(found.gradient.flat))
    assert not np.array_equal(log.sample_norms[0], log.sample_norms[-1])


def test_a_log_of_another_network_is_noticed_before_training() -> None:
    trainer, x, y = Trainer(Network(4, [Dense(3, "softmax")])), np.eye(4), [0, 1, 2, 0]
    with pytest.raises(ValueError, match="net: got another network"):
        trainer.fit(x, y, callbacks=[GradientLog(NETWORK, x, y)])
    assert trainer.updates == 0


@pytest.mark.parametrize("n_out", [1, 3])
def test_confusion_counts_every_sample_once(n_out: int, build: Build, rng: np.random.Generator) -> None:
    network, _ = build(4, simple([n_out], "", "sigmoid"), "cross_entropy")
    x, classes = rng.normal(size=(40, 4)), rng.integers(0, max(n_out, 2), 40)
    said = network.classify(x)
    expected = np.zeros((max(n_out, 2), max(n_out, 2)), np.int64)
    for pair in zip(classes, said, strict=True):
        expected[pair] += 1
    targets = np.eye(3)[classes] if n_out == 3 else classes[:, np.newaxis] * 1.0
    np.testing.assert_array_equal(confusion_matrix(network, x, classes), expected)
    np.testing.assert_array_equal(confusion_matrix(network, x, targets), expected)


NETWORK = Network(4, [Dense(3, "softmax")])


@pytest.mark.parametrize(
    ("x", "y", "direction", "message"),
    [
        (np.zeros((2, 5)), [0, 1], None, "x: got shape"),
        (np.zeros((2, 4)), [0, 3], None, "y: got class 3"),
        (np.zeros((2, 4)), [0, 1], np.zeros(14), r"direction: got shape \(14,\), expected \(15,\)"),
        (np.zeros((2, 4)), [0, 1], ["a"] * 15, "direction: got dtype"),
        (np.zeros((2, 4)), [0, 1], [np.nan] * 15, "direction: got NaN"),
    ],
)
def test_what_does_not_fit(x: Any, y: Any, direction: Any, message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        sample_forensics(NETWORK, x, y, direction)


def test_a_log_of_one_sample_says_so_before_training() -> None:
    with pytest.raises(ValueError, match="x: got 1 sample"):
        GradientLog(NETWORK, np.zeros((1, 4)), [0])
