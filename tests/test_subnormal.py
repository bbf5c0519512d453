"""Numbers too small to be normal are 0 in kernels, and only there."""

from __future__ import annotations

import platform

import numpy as np
import pytest

from fastbp import Adam, Dense, Network, Trainer, _threads

pytestmark = pytest.mark.skipif(
    platform.machine().lower() not in ("x86_64", "amd64", "aarch64", "arm64"), reason="no way to have the CPU do it"
)
SMALL = {"float32": 1e-22, "float64": 1e-160}  # its square is subnormal


def square(small: float, dtype: str) -> np.ndarray:
    """In NumPy, in this thread."""
    return np.full(64, small, dtype) * np.full(64, small, dtype)


@pytest.mark.parametrize("n", [1, 40_000])  # one thread, or as many as there are
@pytest.mark.parametrize("dtype", SMALL)
def test_what_is_subnormal_is_0_in_kernels_and_nowhere_else(dtype: str, n: int) -> None:
    small = SMALL[dtype]
    network = Network(2, [Dense(1, "identity", bias=False)], dtype=dtype)
    network.set_parameters(np.full(2, small))
    for _ in range(2):
        assert (square(small, dtype) > 0).all()
        assert (network.forward(np.full((n, 2), small, dtype)) == 0).all()
        assert (square(small, dtype) > 0).all()


@pytest.mark.parametrize("threads", [1, 2])
def test_moments_of_what_gets_no_gradient_any_more_end(threads: int) -> None:
    """They shrink by a tenth in every update; rounding would keep them at some of the smallest numbers."""
    if threads > _threads.available():
        pytest.skip("one CPU")
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(4000, 40)).astype(np.float32), rng.integers(0, 3, 4000)
    trainer = Trainer(Network(40, [Dense(30, "tanh"), Dense(3, "softmax")]), Adam(1e-3), 200, threads)
    trainer.fit(x, y, epochs=1)
    x[:, :20] = 0
    trainer.fit(x, y, epochs=60)
    first, _ = trainer._states
    moments = np.abs(first[: 20 * 30])
    assert trainer.updates > 1000
    assert (moments == 0).all()
    assert (np.abs(first[20 * 30 : 40 * 30]) > 0).all()
