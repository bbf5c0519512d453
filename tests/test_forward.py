"""What a network says: outputs, classes, accuracy and cost; and the parameters that it holds.

Tolerances as in test_gradients: 1e-12 in float64 and 1e-5 in float32, relative to the largest output.
"""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable

import numpy as np
import pytest
from conftest import Build, simple, targets_for
from reference import ACTIVATIONS, LAST_ONLY, PAIRS

import fastbp
from fastbp.kernels.costs import CODES

TOLERANCE = {"float64": 1e-12, "float32": 1e-5}


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("activation", [*ACTIVATIONS, *LAST_ONLY])
def test_forward(activation: str, dtype: str, build: Build, rng: np.random.Generator) -> None:
    hidden = "tanh" if activation in LAST_ONLY else activation
    cost = "poisson" if activation == "exp" else "sum_of_squares"
    network, oracle = build(5, simple([33, 7, 3], hidden, activation), cost, dtype)
    for n in (1, 2, 15, 17, 300):
        x = rng.normal(size=(n, 5)).astype(dtype)
        out, want = network.forward(x), oracle.forward(x)
        assert out.shape == (n, 3)
        assert out.dtype == dtype
        np.testing.assert_allclose(out, want, rtol=0, atol=TOLERANCE[dtype] * np.abs(want).max())


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_activations_are_faithful_over_their_range(activation: str, dtype: str) -> None:
    network = fastbp.Network(1, [fastbp.Dense(1, activation)], cost="sum_of_squares", dtype=dtype)
    network.set_parameters(np.array([1.0, 0.0]))
    z = np.concatenate([np.linspace(-40, 40, 2001), [-1e4, -1e3, -700, -89, -1e-3, 0, 1e-3, 89, 700, 1e3, 1e4]])
    z = z.astype(dtype)
    want = ACTIVATIONS[activation][0](z.astype(np.float64))
    # Absolute: far to the left gelu, elu and softplus are differences of nearly equal numbers.
    eps = np.finfo(dtype).eps
    np.testing.assert_allclose(network.forward(z[:, None])[:, 0], want, rtol=8 * eps, atol=8 * eps)


def test_softmax_of_large_z(build: Build) -> None:
    network, oracle = build(3, [(3, "softmax", False)], "cross_entropy")
    network.set_parameters(np.eye(3).ravel())
    oracle.theta = np.eye(3).ravel()
    x = np.array([[1000.0, 999.0, -1000.0], [-1e4, -1e4, -1e4], [0.0, 500.0, 0.0]])
    np.testing.assert_allclose(network.forward(x), oracle.forward(x), rtol=1e-13, atol=1e-300)
    assert network.cost(x, np.array([2, 1, 0])) == pytest.approx(oracle.costs(x, np.array([2, 1, 0])).mean(), rel=1e-13)


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize(("activation", "cost"), PAIRS)
def test_cost(activation: str, cost: str, dtype: str, build: Build, rng: np.random.Generator) -> None:
    network, oracle = build(5, simple([6, 4], "tanh", activation), cost, dtype)
    x, y = rng.normal(size=(19, 5)).astype(dtype), rng.integers(0, 4, 19)
    mean, total = network.cost(x, y), network.cost(x, y, reduction="sum")
    assert isinstance(mean, float)
    assert mean == pytest.approx(oracle.costs(x, y).mean(), rel=TOLERANCE[dtype])
    assert total == pytest.approx(oracle.costs(x, y).sum(), rel=TOLERANCE[dtype])


@pytest.mark.parametrize("cost", CODES)
def test_one_output_takes_numbers(cost: str, build: Build, rng: np.random.Generator) -> None:
    network, oracle = build(5, simple([6, 1], "tanh", "exp" if cost == "poisson" else "sigmoid"), cost)
    x, y = rng.normal(size=(9, 5)), targets_for(cost, 9, 1, rng)
    assert network.cost(x, y) == pytest.approx(oracle.costs(x, y).mean(), rel=1e-12)
    assert network.cost(x, y[:, None]) == network.cost(x, y)


def test_inputs_of_every_kind(build: Build, rng: np.random.Generator) -> None:
    network, oracle = build(784, simple([8, 3], "tanh", "softmax"), "cross_entropy", "float32")
    images = rng.integers(0, 256, (11, 28, 28), dtype=np.uint8)
    want = network.forward(images)
    np.testing.assert_allclose(want, oracle.forward(images), atol=1e-5)  # float32, sums of 784
    flat = images.reshape(11, 784)
    for same in [flat, np.asfortranarray(flat), np.repeat(flat, 2, axis=0)[::2], flat[::-1].copy()[::-1]]:
        np.testing.assert_array_equal(network.forward(same), want)
    for scaled in [flat / np.float32(255), (flat / np.float64(255)).reshape(11, 28, 28)]:
        np.testing.assert_allclose(network.forward(scaled), want, atol=1e-5)  # 1/255 rounds in another place
    flat.flags.writeable = False
    np.testing.assert_array_equal(network.forward(flat), want)


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("given", [">f4", ">f8"])
def test_inputs_of_the_other_byte_order(given: str, dtype: str, build: Build, rng: np.random.Generator) -> None:
    network, _ = build(6, simple([8, 3], "tanh", "identity"), "sum_of_squares", dtype)
    x, y = rng.integers(-3, 4, (4, 6)).astype(given), rng.integers(0, 2, (4, 3)).astype(given)
    native = x.astype(dtype), y.astype(dtype)
    np.testing.assert_array_equal(network.gradient(x, y).flat, network.gradient(*native).flat)


def test_a_single_sample(build: Build, rng: np.random.Generator) -> None:
    network, _ = build(6, simple([8, 3], "tanh", "softmax"), "cross_entropy")
    x = rng.normal(size=(4, 6))
    np.testing.assert_array_equal(network.forward(x[2]), network.forward(x)[2])
    np.testing.assert_array_equal(network.classify(x[2]), network.classify(x)[2:3])


def test_a_sample_does_not_depend_on_its_neighbours(build: Build, rng: np.random.Generator) -> None:
    network, _ = build(20, simple([17, 3], "gelu", "softmax"), "cross_entropy", "float32")
    x = rng.normal(size=(50, 20)) * (rng.random((50, 20)) < 0.2)
    alone = np.concatenate([network.forward(sample[None]) for sample in x])
    np.testing.assert_array_equal(network.forward(x), alone)


def test_classify_and_accuracy(build: Build, rng: np.random.Generator) -> None:
    network, oracle = build(5, simple([6, 4], "tanh", "softmax"), "cross_entropy")
    x, y = rng.normal(size=(60, 5)), rng.integers(0, 4, 60)
    want = oracle.forward(x).argmax(axis=1)
    assert network.classify(x).dtype == np.int64
    np.testing.assert_array_equal(network.classify(x), want)
    assert network.accuracy(x, y) == (want == y).mean()
    assert network.accuracy(x, np.eye(4)[y]) == (want == y).mean()


@pytest.mark.parametrize("n_out", [2, 16, 17, 33])
def test_the_first_of_equal_outputs_counts(n_out: int) -> None:
    layer = fastbp.Dense(n_out, "identity", initializer="zeros")
    network, x, y = fastbp.Network(3, [layer], cost="sum_of_squares"), np.ones((n_out, 3)), np.arange(n_out)
    for best in range(n_out):
        network.biases[0][:] = y >= best  # equal from here on
        assert (network.classify(x) == best).all()
        assert network.accuracy(x, y) == 1 / n_out == network.accuracy(x, np.eye(n_out))
        assert network.accuracy(x[:1], y[best : best + 1]) == 1.0


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("n_out", [2, 3, 4, 5])
def test_accuracy_with_rows_of_targets(n_out: int, dtype: str, rng: np.random.Generator) -> None:
    network = fastbp.Network(n_out, [fastbp.Dense(n_out, "identity")], cost="sum_of_squares", dtype=dtype)
    network.weights[0][:] = np.eye(n_out)  # outputs are inputs
    x, targets = rng.integers(-2, 3, (2, 203, n_out)).astype(dtype)  # many are equal
    hits = x.argmax(axis=1) == targets.argmax(axis=1)
    for n in (1, 15, 16, 17, 203):
        assert network.accuracy(x[:n], targets[:n]) == hits[:n].mean()


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("n_out", [1, 2, 4, 5, 16, 17, 70])
def test_no_sample_with_an_output_that_is_nan_is_a_hit(n_out: int, dtype: str) -> None:
    """Wherever NaN stands, and however many samples there are."""
    layer = fastbp.Dense(n_out, "identity", initializer="zeros")
    network = fastbp.Network(3, [layer], cost="sum_of_squares", dtype=dtype)
    for bad in range(n_out):
        network.biases[0][:] = np.arange(n_out)
        network.biases[0][bad] = np.nan
        for n in (1, 15, 40):
            classes = np.arange(n) % n_out
            assert network.accuracy(np.ones((n, 3)), classes) == 0
            assert network.accuracy(np.ones((n, 3)), np.eye(n_out)[classes]) == 0


def test_classify_with_one_output() -> None:
    network = fastbp.Network(1, [fastbp.Dense(1, "sigmoid")], cost="cross_entropy", dtype="float64")
    network.set_parameters(np.array([1.0, 0.0]))
    x = np.array([[-2.0], [0.0], [3.0]])  # sigmoid: 0.12, 0.5 exactly, 0.95
    np.testing.assert_array_equal(network.classify(x), [0, 1, 1])
    assert network.accuracy(x, np.array([0.0, 1.0, 0.0])) == pytest.approx(2 / 3)


def test_the_seed_network_has_13002_parameters() -> None:
    layers = [fastbp.Dense(16, "sigmoid"), fastbp.Dense(16, "sigmoid"), fastbp.Dense(10, "sigmoid")]
    assert fastbp.Network(784, layers, cost="sum_of_squares").n_parameters == 13002


def test_weights_and_biases_are_views(build: Build, rng: np.random.Generator) -> None:
    network, oracle = build(5, simple([17, 3], "tanh", "identity"), "sum_of_squares")
    x = rng.normal(size=(4, 5))
    assert [w.shape for w in network.weights] == [(5, 17), (17, 3)]
    assert [b.shape for b in network.biases] == [(17,), (3,)]
    network.weights[0][2, 3] = 1.75
    network.weights[1][...] *= -2
    network.biases[0][16] += 0.5
    oracle.theta = network.get_parameters()
    assert oracle.theta[2 * 17 + 3] == 1.75
    for at, (weights, biases) in enumerate(oracle.unpack()):
        np.testing.assert_array_equal(network.weights[at], weights)
        np.testing.assert_array_equal(network.biases[at], biases)
    np.testing.assert_allclose(network.forward(x), oracle.forward(x), rtol=1e-12, atol=1e-12)
    # The gradient goes back through the weights: a copy kept of them must not be the old one.
    y = rng.normal(size=(4, 3))
    np.testing.assert_allclose(network.gradient(x, y).flat, oracle.gradient(x, y), rtol=1e-10, atol=1e-10)


def test_get_parameters_is_a_copy_and_set_parameters_takes_it_back(build: Build, rng: np.random.Generator) -> None:
    network, _ = build(5, [(17, "tanh", False), (3, "tanh", True)], "sum_of_squares", "float32")
    theta = network.get_parameters()
    assert theta.shape == (network.n_parameters,) == (5 * 17 + 17 * 3 + 3,)
    assert theta.dtype == np.float32
    x = rng.normal(size=(4, 5))
    before = network.forward(x)
    theta[:] = 7
    np.testing.assert_array_equal(network.forward(x), before)
    network.set_parameters(theta)
    np.testing.assert_array_equal(network.get_parameters(), theta)
    assert not np.array_equal(network.forward(x), before)
    theta[:] = 8  # set_parameters copied, too
    assert (network.get_parameters() == 7).all()


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda network: pickle.loads(pickle.dumps(network))])
def test_copies_are_networks_of_their_own(
    copied: Callable[[fastbp.Network], fastbp.Network], build: Build, rng: np.random.Generator
) -> None:
    network, _ = build(5, [(17, "tanh", False), (3, "softmax", True)], "cross_entropy", "float32")
    x = rng.normal(size=(4, 5))
    before, other = network.forward(x), copied(network)
    np.testing.assert_array_equal(other.forward(x), before)
    other.weights[0][...] = 0
    np.testing.assert_array_equal(network.forward(x), before)
    assert not np.array_equal(other.forward(x), before)


def test_seeds() -> None:
    def start(seed: int) -> np.ndarray:
        return fastbp.Network(9, [fastbp.Dense(5), fastbp.Dense(3, "softmax")], seed=seed).get_parameters()

    np.testing.assert_array_equal(start(3), start(3))
    assert not np.array_equal(start(3), start(4))


def test_defaults_for_a_newcomer(rng: np.random.Generator) -> None:
    network = fastbp.Network(4, [fastbp.Dense(6), fastbp.Dense(3, "softmax")])
    x, y = rng.normal(size=(5, 4)), rng.integers(0, 3, 5)
    layers = [fastbp.Dense(6, "relu"), fastbp.Dense(3, "softmax")]
    spelt_out = fastbp.Network(4, layers, cost="cross_entropy", dtype="float32", seed=0)
    np.testing.assert_array_equal(network.forward(x), spelt_out.forward(x))
    assert network.cost(x, y) == spelt_out.cost(x, y)


@pytest.mark.parametrize(
    ("initializer", "spread"),
    [
        ("glorot_uniform", np.sqrt(2 / (200 + 100))),
        ("glorot_normal", np.sqrt(2 / (200 + 100))),
        ("he_uniform", np.sqrt(2 / 200)),
        ("he_normal", np.sqrt(2 / 200)),
        ("lecun_normal", np.sqrt(1 / 200)),
        ("normal", 1.0),
    ],
)
def test_initializers(initializer: str, spread: float) -> None:
    network = fastbp.Network(200, [fastbp.Dense(100, "relu", initializer=initializer)], cost="sum_of_squares", seed=1)
    weights = np.asarray(network.weights[0], np.float64)
    # 20,000 draws: the standard deviation's own error is 0.5 %, the mean's 0.7 % of it; five of them each.
    assert weights.std() == pytest.approx(spread, rel=0.025)
    assert abs(weights.mean()) < 0.035 * spread
    assert (network.biases[0] == 0).all()
    largest = np.abs(weights).max() / spread  # a uniform distribution ends at sqrt(3), a normal one goes on
    assert (largest < 1.74) == initializer.endswith("uniform")


def test_the_zeros_initializer() -> None:
    network = fastbp.Network(3, [fastbp.Dense(2, "sigmoid", initializer="zeros")], cost="sum_of_squares")
    assert (network.get_parameters() == 0).all()
    assert (network.forward(np.ones((1, 3))) == 0.5).all()
