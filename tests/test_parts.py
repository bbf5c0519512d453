"""Large batches: each part of a block's samples has its own gradient, and all are added in the end."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import reference
from conftest import Build, simple
from launched import train

from fastbp import SGD, Adam, Network, Trainer, _threads
from fastbp.tables import BLOCK_ROWS, PART_ROWS

TOLERANCE = {"float64": 1e-11, "float32": 2e-5}  # as in test_gradients
N_IN = 70  # inputs enough to skip those that are zero
SIZES = [2 * PART_ROWS, 3 * PART_ROWS + 5, BLOCK_ROWS + 1, 2 * BLOCK_ROWS + PART_ROWS + 3]


def data(n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Inputs of which most are zero, and classes."""
    return rng.normal(size=(n, N_IN)) * (rng.random((n, N_IN)) < 0.05), rng.integers(0, 3, n)


def pair(dtype: str, build: Build) -> tuple[Network, reference.Reference]:
    return build(N_IN, simple([9, 20, 3], "tanh", "softmax"), "cross_entropy", dtype)


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("n", SIZES)
def test_a_gradient_is_the_sum_of_its_parts(n: int, dtype: str, build: Build, rng: np.random.Generator) -> None:
    network, oracle = pair(dtype, build)
    x, y = data(n, rng)
    x = x.astype(dtype)
    want = oracle.gradient(x, y)
    np.testing.assert_allclose(network.gradient(x, y).flat, want, rtol=0, atol=TOLERANCE[dtype] * np.abs(want).max())


@pytest.mark.parametrize(
    ("batch_size", "parts"), [(2 * PART_ROWS - 1, 1), (2 * PART_ROWS, 2), (BLOCK_ROWS, 4), (9 * BLOCK_ROWS, 4)]
)
def test_large_batches_have_parts(batch_size: int, parts: int, build: Build) -> None:
    assert pair("float64", build)[0]._shape.parts(batch_size) == parts


@pytest.mark.skipif(_threads.available() < 2, reason="one CPU")
@pytest.mark.parametrize("optimizer", [SGD(0.3), SGD(0.3, momentum=0.5, l2=1e-3), Adam(0.01)], ids=repr)
@pytest.mark.parametrize("limits", [{}, {"clip_norm": 0.05}, {"max_norm": 0.8}], ids=str)
def test_threads_train_to_the_same_bits(
    optimizer: Any, limits: dict[str, float], build: Build, rng: np.random.Generator
) -> None:
    x, y = data(2 * BLOCK_ROWS + 600, rng)
    start, found = pair("float32", build)[0].get_parameters(), []
    for threads in (1, 2):
        network = pair("float32", build)[0]
        network.set_parameters(start)
        found.append(train(network, optimizer, limits, x, y, BLOCK_ROWS + 600, threads))
    np.testing.assert_array_equal(*found)
    assert np.abs(found[0] - start).max() > 1e-3


@pytest.mark.parametrize("limits", [{}, {"clip_norm": 0.05}], ids=str)
def test_steps_are_those_of_the_oracle(limits: dict[str, float], build: Build, rng: np.random.Generator) -> None:
    network, oracle = pair("float64", build)
    x, y = data(2 * PART_ROWS + 100, rng)
    for batch in (slice(0, 2 * PART_ROWS), slice(2 * PART_ROWS, None)):
        g = oracle.gradient(x[batch], y[batch])
        if limits:
            g *= min(1.0, limits["clip_norm"] / np.linalg.norm(g))
        oracle.theta = oracle.theta - 0.3 * g
    settings: dict[str, Any] = {"batch_size": 2 * PART_ROWS, "shuffle": False, **limits}
    Trainer(network, SGD(0.3), **settings).fit(x, y, epochs=1)
    np.testing.assert_allclose(network.get_parameters(), oracle.theta, rtol=0, atol=1e-11)
