"""Online SGD, one sample an update, has a path of its own: it must be the gradient step, zeros skipped or not."""

from __future__ import annotations

import numpy as np
import pytest

import fastbp
from fastbp._jit import serial
from fastbp.kernels import marks


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("density", [0.1, 1.0])
@pytest.mark.parametrize("n_in", [5, 64, 150])
@pytest.mark.parametrize("dtype", ["float64", "uint8"])
def test_one_sample_at_a_time_is_a_gradient_step(
    dtype: str, n_in: int, density: float, bias: bool, rng: np.random.Generator
) -> None:
    x = rng.normal(size=(9, n_in)) if dtype == "float64" else rng.integers(1, 256, (9, n_in))
    x = (x * (rng.random((9, n_in)) < density)).astype(dtype)
    y = rng.integers(0, 3, 9)
    layers = [fastbp.Dense(40, "tanh", bias=bias), fastbp.Dense(3, "softmax", bias=bias)]
    online, stepwise = (fastbp.Network(n_in, layers, dtype="float64", seed=1) for _ in range(2))
    fastbp.Trainer(online, fastbp.SGD(0.2), batch_size=1, shuffle=False).fit(x, y, epochs=2)
    for sample in [*range(9), *range(9)]:
        gradient = stepwise.gradient(x[sample : sample + 1], y[sample : sample + 1]).flat
        stepwise.set_parameters(stepwise.get_parameters() - 0.2 * gradient)
    # The delta of a hidden layer is summed in another order, so the last bits differ, and two epochs carry them on.
    np.testing.assert_allclose(online.get_parameters(), stepwise.get_parameters(), rtol=1e-11, atol=1e-14)


@serial
def write(walk, bits, address):
    if walk:
        marks._walk_places(bits, 100, address)
    else:
        marks.store_places(bits, 100, address)


@pytest.mark.parametrize("walk", [True, False])
@pytest.mark.parametrize("places", [[], [0], [63], [15, 16, 47, 48], list(range(64)), list(range(1, 64, 3))], ids=str)
def test_the_places_of_set_bits(places: list[int], walk: bool) -> None:
    bits = sum(1 << place for place in places)
    found = np.zeros(64 + 32, np.uint16)
    write(walk, bits - (1 << 64) if bits >> 63 else bits, found.ctypes.data)
    assert found[: len(places)].tolist() == [100 + place for place in places]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_an_image_without_ink_moves_biases_only(dtype: str) -> None:
    net = fastbp.Network(100, [fastbp.Dense(5, "sigmoid"), fastbp.Dense(2, "sigmoid")], dtype=dtype, seed=1)
    first, bias = net.weights[0].copy(), net.biases[0].copy()
    fastbp.Trainer(net, fastbp.SGD(0.5), batch_size=1).fit(np.zeros((3, 100), np.uint8), np.array([0, 1, 1]), epochs=1)
    np.testing.assert_array_equal(net.weights[0], first)
    assert (net.biases[0] != bias).all()


def test_more_inputs_than_a_list_has_places_for() -> None:
    x = np.zeros((2, 65537))
    x[:, [0, 65536]] = 1.0
    net = fastbp.Network(65537, [fastbp.Dense(1, "identity")], cost="half_sum_of_squares", dtype="float64", seed=1)
    before = net.weights[0].copy()
    fastbp.Trainer(net, fastbp.SGD(0.1), batch_size=1).fit(x, np.ones((2, 1)), epochs=1)
    assert np.flatnonzero(net.weights[0] != before).tolist() == [0, 65536]
