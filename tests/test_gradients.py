"""Gradients against the oracle: every activation and cost, every kind of size, data and dtype.

Tolerances, relative to the largest entry of the gradient. float64: 1e-11, some thousand roundings of 1e-16 and an exp
good to an ulp or two. float32: 2e-5, the same count of roundings of 6e-8, which seldom all point one way.
"""

from __future__ import annotations

import numpy as np
import pytest
from conftest import Build, simple, targets_for
from numpy.typing import NDArray
from reference import ACTIVATIONS, PAIRS, Reference

import fastbp

TOLERANCE = {"float64": 1e-11, "float32": 2e-5}
ODD = [1, 2, 15, 16, 17, 33]  # about the widths of 4, 8 and 16 lanes
EXTREME = np.array([[-1000.0], [-100.0], [-20.0], [0.0], [20.0], [100.0], [1000.0]])  # of z


def assert_same(got: NDArray[np.floating], want: NDArray[np.float64], dtype: str, scale: float = 0.0) -> None:
    """Compare with the tolerance of ``dtype``, relative to the largest entry, or to ``scale`` where that is larger."""
    assert got.shape == want.shape
    assert got.dtype == dtype
    np.testing.assert_allclose(got, want, rtol=0, atol=TOLERANCE[dtype] * max(np.abs(want).max(), scale, 1e-30))


def assert_gradient(
    pair: tuple[fastbp.Network, Reference], x: NDArray[np.generic], y: NDArray[np.generic], dtype: str = "float64"
) -> None:
    """The fast gradient is the oracle's, and computing it left the parameters alone."""
    network, oracle = pair
    before = network.get_parameters()
    assert_same(network.gradient(x, y).flat, oracle.gradient(x, y), dtype)
    np.testing.assert_array_equal(network.get_parameters(), before)


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize(("activation", "cost"), PAIRS)
def test_output_activations_and_costs(
    activation: str, cost: str, dtype: str, build: Build, rng: np.random.Generator
) -> None:
    x, y = rng.normal(size=(6, 5)), rng.integers(0, 4, 6)
    assert_gradient(build(5, simple([7, 4], "tanh", activation), cost, dtype), x.astype(dtype), y, dtype)


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_hidden_activations(activation: str, dtype: str, build: Build, rng: np.random.Generator) -> None:
    x, y = rng.normal(size=(6, 5)), rng.normal(size=(6, 3))
    pair = build(5, simple([18, 6, 3], activation, "identity"), "half_sum_of_squares", dtype)
    assert_gradient(pair, x.astype(dtype), y, dtype)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("depth", [1, 2, 3, 4, 5])
def test_depths_with_and_without_bias(depth: int, bias: bool, build: Build, rng: np.random.Generator) -> None:
    x, y = rng.normal(size=(9, 4)), rng.integers(0, 3, 9)
    pair = build(4, simple([6, 17, 5, 9, 3][-depth:], "tanh", "softmax", bias), "cross_entropy")
    assert_gradient(pair, x, y)


def test_bias_in_some_layers_only(build: Build, rng: np.random.Generator) -> None:
    layers = [(6, "relu", False), (5, "sigmoid", True), (4, "tanh", False), (3, "identity", True)]
    network, oracle = build(4, layers, "mean_squared_error")
    assert network.n_parameters == 4 * 6 + 6 * 5 + 5 + 5 * 4 + 4 * 3 + 3
    assert_gradient((network, oracle), rng.normal(size=(5, 4)), rng.normal(size=(5, 3)))


@pytest.mark.parametrize("n_out", ODD)
@pytest.mark.parametrize("n_hidden", [1, 16, 17])
@pytest.mark.parametrize(("n_in", "n"), [(1, 33), (2, 1), (15, 16), (16, 15), (17, 2), (33, 17)])
def test_odd_sizes(n_in: int, n: int, n_hidden: int, n_out: int, build: Build, rng: np.random.Generator) -> None:
    pair = build(n_in, simple([n_hidden, n_out], "softplus", "sigmoid"), "cross_entropy")
    assert_gradient(pair, rng.normal(size=(n, n_in)), targets_for("cross_entropy", n, n_out, rng))


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("size", ODD)
def test_odd_sizes_in_both_dtypes(size: int, dtype: str, build: Build, rng: np.random.Generator) -> None:
    pair = build(size, simple([size, size, size], "elu", "identity"), "sum_of_squares", dtype)
    assert_gradient(pair, rng.normal(size=(size, size)), rng.normal(size=(size, size)), dtype)


@pytest.mark.parametrize("dtype", TOLERANCE)
def test_more_samples_than_any_block(dtype: str, build: Build, rng: np.random.Generator) -> None:
    x, y = rng.normal(size=(5003, 3)), rng.integers(0, 2, 5003)
    network, oracle = build(3, simple([4, 2], "gelu", "softmax"), "cross_entropy", dtype)
    rows = oracle.per_sample_gradients(x, y)
    assert_same(network.gradient(x, y).flat, rows.mean(axis=0), dtype)
    assert_same(network.per_sample_gradients(x, y), rows, dtype)
    assert_same(network.per_sample_gradient_norms(x, y), np.linalg.norm(rows, axis=1), dtype)


@pytest.mark.parametrize("dtype", TOLERANCE)
def test_wide_and_digit_like(dtype: str, build: Build, rng: np.random.Generator) -> None:
    x = rng.integers(0, 256, (37, 28, 28), dtype=np.uint8)
    x[rng.random(x.shape) < 0.93] = 0  # as many zeros in 8 images as MNIST has
    x[5:21, :9] = 0  # and rows that are zero in a whole tile of samples
    x[7] = 0  # and an empty image
    pair = build(784, simple([16, 16, 10], "sigmoid", "sigmoid"), "sum_of_squares", dtype)
    assert_gradient(pair, x, rng.integers(0, 10, 37), dtype)


@pytest.mark.parametrize("kind", ["uint8", "float32", "float64"])
@pytest.mark.parametrize("density", [0.0, 0.05, 0.1, 0.3, 1.0])
@pytest.mark.parametrize("n", [1, 40])
def test_sparse_inputs(n: int, density: float, kind: str, build: Build, rng: np.random.Generator) -> None:
    x = rng.integers(1, 256, (n, 83)) * (rng.random((n, 83)) < density)
    pair = build(83, simple([9, 3], "tanh", "softmax"), "cross_entropy")
    assert_gradient(pair, x.astype(kind) if kind == "uint8" else (x / 255).astype(kind), rng.integers(0, 3, n))


@pytest.mark.parametrize("columns", [slice(0, 3), slice(80, 83), slice(40, 41), slice(0, 83, 20)])
def test_inputs_that_only_few_columns_have(columns: slice, build: Build, rng: np.random.Generator) -> None:
    x = np.zeros((40, 83))
    x[:, columns] = rng.normal(size=x[:, columns].shape)
    assert_gradient(build(83, simple([33, 3], "tanh", "softmax"), "cross_entropy"), x, rng.integers(0, 3, 40))


@pytest.mark.parametrize("every", [2, 3, 4])
def test_a_look_at_some_samples_may_mislead(every: int, build: Build, rng: np.random.Generator) -> None:
    x = rng.normal(size=(1600, 70))
    x[::every] = 0  # whoever looks at these alone sees nothing but zeros
    assert_gradient(build(70, simple([5, 2], "tanh", "softmax"), "cross_entropy"), x, rng.integers(0, 2, 1600))


def test_layouts_of_the_inputs(build: Build, rng: np.random.Generator) -> None:
    pair = build(6, simple([5, 3], "tanh", "identity"), "sum_of_squares")
    wide, y = rng.normal(size=(14, 18)), rng.normal(size=(14, 6))
    for x, target in [
        (wide[:, ::3], y[:, ::2]),
        (wide[::-2, 4:10], y[::-2, :3]),
        (np.asfortranarray(wide[:, :6]), np.asfortranarray(y[:, :3])),
        (wide[:, :6].astype(np.float32), y[:, :3].astype(np.float32)),
        (wide[:, :6].reshape(14, 2, 3), y[:, :3]),
        (wide[:, ::3].reshape(14, 3, 2).transpose(0, 2, 1), y[:, :3]),
    ]:
        assert_gradient(pair, x, target)
        assert_gradient(pair, np.broadcast_to(x[:1], x.shape), target)


def test_labels_and_one_hot_rows_are_the_same_bits(build: Build, rng: np.random.Generator) -> None:
    network, _ = build(4, simple([5, 3], "relu", "softmax"), "cross_entropy")
    x, y = rng.normal(size=(8, 4)), rng.integers(0, 3, 8)
    want = network.gradient(x, y).flat
    for same in [y.astype(np.uint8), y.astype(np.int32), np.eye(3)[y], np.eye(3, dtype=np.float32)[y]]:
        np.testing.assert_array_equal(network.gradient(x, same).flat, want)


def test_soft_targets(build: Build, rng: np.random.Generator) -> None:
    x, y = rng.normal(size=(8, 4)), rng.dirichlet(np.ones(3), 8)
    assert_gradient(build(4, simple([5, 3], "relu", "softmax"), "cross_entropy"), x, y)
    assert_gradient(build(4, simple([5, 3], "relu", "sigmoid"), "cross_entropy"), x, y)


def test_parts_are_the_flat_gradient(build: Build, rng: np.random.Generator) -> None:
    network, _ = build(4, simple([5, 3], "tanh", "sigmoid"), "sum_of_squares")
    g = network.gradient(rng.normal(size=(8, 4)), rng.integers(0, 3, 8))
    parts = [p.ravel() for pair in zip(g.weights, g.biases, strict=True) for p in pair]
    assert [p.shape for p in g.weights] == [(4, 5), (5, 3)]
    assert [p.shape for p in g.biases] == [(5,), (3,)]
    np.testing.assert_array_equal(np.concatenate(parts), g.flat)


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize(("activation", "cost"), [("softmax", "cross_entropy"), ("tanh", "sum_of_squares")])
def test_per_sample_gradients(activation: str, cost: str, dtype: str, build: Build, rng: np.random.Generator) -> None:
    layers = [(17, "gelu", True), (5, "tanh", False), (3, activation, True)]
    network, oracle = build(6, layers, cost, dtype)
    x, y = rng.normal(size=(21, 6)).astype(dtype), rng.integers(0, 3, 21)
    rows = network.per_sample_gradients(x, y)
    assert_same(rows, oracle.per_sample_gradients(x, y), dtype)
    assert_same(rows.mean(axis=0), network.gradient(x, y).flat.astype(np.float64), dtype)
    norms = network.per_sample_gradient_norms(x, y)
    assert norms.shape == (21,)
    np.testing.assert_allclose(norms, np.linalg.norm(oracle.per_sample_gradients(x, y), axis=1), rtol=TOLERANCE[dtype])


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize(("activation", "cost"), [pair for pair in PAIRS if pair[0] != "exp"])  # e^1000 is infinite
def test_saturated_units(activation: str, cost: str, dtype: str, build: Build) -> None:
    network, oracle = build(1, [(2, activation, True)], cost, dtype)
    parameters = np.array([1.0, -0.5, 0.0, 0.25], dtype)
    network.set_parameters(parameters)
    oracle.theta = parameters.astype(np.float64)
    for at, z in enumerate(EXTREME):  # one at a time, so that a large gradient does not hide a small one
        x, y = z[None], np.array([at % 2])
        # A slope comes from a, and 1 - a is absolutely precise, not relatively; times x it is a gradient.
        assert_same(network.gradient(x, y).flat, oracle.gradient(x, y), dtype, scale=max(1.0, abs(z.item())))


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("cost", ["absolute_error", "huber"])
def test_errors_at_and_beyond_the_kinks(cost: str, dtype: str, build: Build) -> None:
    network, oracle = build(1, [(7, "identity", True)], cost, dtype)
    oracle.theta = np.append(np.zeros(7), [-3.0, -1.0, -0.25, 0.0, 0.5, 1.0, 1e4])
    network.set_parameters(oracle.theta)
    x, y = np.ones((1, 1)), np.zeros((1, 7))
    assert network.cost(x, y) == pytest.approx(oracle.costs(x, y).item(), rel=1e-6)
    np.testing.assert_array_equal(network.gradient(x, y).flat, oracle.gradient(x, y))


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_a_dead_input_has_the_slope_at_zero(activation: str, build: Build) -> None:
    network, oracle = build(3, simple([4, 2], activation, "identity"), "half_sum_of_squares")
    oracle.theta[12:16] = 0.0  # the hidden biases: z is exactly zero, where relu has its kink
    network.set_parameters(oracle.theta)
    assert_gradient((network, oracle), np.zeros((2, 3)), np.ones((2, 2)))


@pytest.mark.parametrize(("weight", "x"), [(52.0, [1.0, 0.5]), (30.0, [1e20, 0.0])])
def test_norms_of_gradients_whose_squares_float32_cannot_hold(weight: float, x: list[float]) -> None:
    network = fastbp.Network(2, [fastbp.Dense(2, "softmax")])
    network.set_parameters([weight if x[0] == 1.0 else weight / x[0], 0, 0, 0, 0, 0])
    rows = np.array([x], np.float32)
    want = np.linalg.norm(network.per_sample_gradients(rows, [0]).astype(np.float64), axis=1)
    assert want > 0
    np.testing.assert_allclose(network.per_sample_gradient_norms(rows, [0]), want, rtol=1e-6)


@pytest.mark.parametrize("activation", sorted({*ACTIVATIONS} - {"softmax", "exp"}))
def test_slopes_far_out_are_finite(activation: str) -> None:
    network = fastbp.Network(1, [fastbp.Dense(2, activation)], cost="sum_of_squares")
    network.set_parameters([1e25, -1e25, 0, 0])
    assert np.isfinite(network.gradient([[1.0]], [[0.0, 0.0]]).flat).all()
