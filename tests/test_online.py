"""Online SGD, one sample an update, has a path of its own: it must be the gradient step, zeros skipped or not."""

from __future__ import annotations

import numpy as np
import pytest

import fastbp


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("density", [0.1, 1.0])
@pytest.mark.parametrize("n_in", [5, 64, 150])
def test_one_sample_at_a_time_is_a_gradient_step(
    n_in: int, density: float, bias: bool, rng: np.random.Generator
) -> None:
    x = rng.normal(size=(9, n_in)) * (rng.random((9, n_in)) < density)
    y = rng.integers(0, 3, 9)
    layers = [fastbp.Dense(40, "tanh", bias=bias), fastbp.Dense(3, "softmax", bias=bias)]
    online, stepwise = (fastbp.Network(n_in, layers, dtype="float64", seed=1) for _ in range(2))
    fastbp.Trainer(online, fastbp.SGD(0.2), batch_size=1, shuffle=False).fit(x, y, epochs=2)
    for sample in [*range(9), *range(9)]:
        gradient = stepwise.gradient(x[sample : sample + 1], y[sample : sample + 1]).flat
        stepwise.set_parameters(stepwise.get_parameters() - 0.2 * gradient)
    # The delta of a hidden layer is summed in another order, so the last bits differ, and two epochs carry them on.
    np.testing.assert_allclose(online.get_parameters(), stepwise.get_parameters(), rtol=1e-11, atol=1e-14)
