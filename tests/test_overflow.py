"""A cost that overflows does not spoil what can still be computed."""

from __future__ import annotations

import numpy as np
import pytest

import fastbp


def test_the_gradient_of_an_infinite_cost_is_still_a_gradient() -> None:
    network = fastbp.Network(1, [fastbp.Dense(1, "identity", bias=False)], cost="half_sum_of_squares")
    network.set_parameters([1e25])
    x, y = np.array([[2.0]], np.float32), np.array([0.0])
    assert network.cost(x, y) == np.inf  # (2e25)^2 / 2 is beyond float32
    for _ in range(3):  # 2 * 2e25; not what the memory happened to hold
        np.testing.assert_allclose(network.gradient(x, y).flat, [4e25], rtol=1e-6)
        np.testing.assert_allclose(network.per_sample_gradients(x, y), [[4e25]], rtol=1e-6)


def test_what_an_overflow_left_in_the_padding_reaches_nobody(rng: np.random.Generator) -> None:
    """Deltas of few samples go back through W itself, which reads the padding of wide layers (dots.py)."""
    x, y = rng.random((65, 9)), np.arange(65) % 4
    layers = [fastbp.Dense(200, "tanh"), *[fastbp.Dense(300, "tanh")] * 2, fastbp.Dense(4, "softmax")]
    network = fastbp.Network(9, layers, seed=1)
    theta, want = network.get_parameters(), network.gradient(x[:42], y[:42])
    network.set_parameters(np.full_like(theta, 3e38))
    network.gradient(x, y)
    network.set_parameters(theta)
    np.testing.assert_array_equal(network.gradient(x[:42], y[:42]).flat, want.flat)


@pytest.mark.parametrize("kind", ["uint8", "float32"])
@pytest.mark.parametrize("n", [1, 3, 9, 14])
def test_what_an_overflow_left_behind_reaches_nobody(kind: str, n: int, rng: np.random.Generator) -> None:
    """Buffers hold whole groups of 8 samples: rows of an earlier call's lie behind those of a smaller one."""
    x = (rng.integers(1, 256, (16, 100)) * (rng.random((16, 100)) < 0.05)).astype(kind)
    y, layers = rng.normal(size=(16, 3)), [fastbp.Dense(5, "identity"), fastbp.Dense(3, "identity")]
    network = fastbp.Network(100, layers, cost="half_sum_of_squares", dtype="float32", seed=1)
    theta = network.get_parameters()
    network.set_parameters(np.full_like(theta, 3e38))
    assert not np.isfinite(network.gradient(x, y).flat).all()
    network.set_parameters(theta)
    want = fastbp.Network(100, layers, cost="half_sum_of_squares", dtype="float32", seed=1).gradient(x[:n], y[:n])
    np.testing.assert_array_equal(network.gradient(x[:n], y[:n]).flat, want.flat)


@pytest.mark.parametrize(
    ("batch_size", "n_hidden", "n_out"), [(1, 5, 10), (16, 260, 300)], ids=["online", "few samples of a wide network"]
)
@pytest.mark.parametrize("limits", [{}, {"clip_norm": 1e-2}])
def test_softmax_of_numbers_far_below_zero_leaves_the_padding_alone(
    batch_size: int, n_hidden: int, n_out: int, limits: dict[str, float], rng: np.random.Generator
) -> None:
    """What all of a row's z have in common makes no difference; in the padding z is 0, and exp(0 + 800) infinite."""
    x, y = rng.normal(size=(32, 4)), rng.integers(0, n_out, 32)
    trained = []
    for offset in (0.0, -800.0):
        layers = [fastbp.Dense(n_hidden, "tanh"), fastbp.Dense(n_out, "softmax")]
        network = fastbp.Network(4, layers, dtype="float64", seed=1)
        network.biases[-1][:] += offset
        fastbp.Trainer(network, fastbp.SGD(0.5), batch_size=batch_size, **limits).fit(x, y, epochs=2)  # type: ignore[arg-type]
        network.biases[-1][:] -= offset
        trained.append(network.get_parameters())
    np.testing.assert_allclose(trained[1], trained[0], rtol=1e-6, atol=1e-9)
