"""A cost that overflows does not spoil what can still be computed."""

from __future__ import annotations

import numpy as np

import fastbp


def test_the_gradient_of_an_infinite_cost_is_still_a_gradient() -> None:
    network = fastbp.Network(1, [fastbp.Dense(1, "identity", bias=False)], cost="half_sum_of_squares")
    network.set_parameters([1e25])
    x, y = np.array([[2.0]], np.float32), np.array([0.0])
    assert network.cost(x, y) == np.inf  # (2e25)^2 / 2 is beyond float32
    for _ in range(3):  # 2 * 2e25; not what the memory happened to hold
        np.testing.assert_allclose(network.gradient(x, y).flat, [4e25], rtol=1e-6)
        np.testing.assert_allclose(network.per_sample_gradients(x, y), [[4e25]], rtol=1e-6)
