"""Inputs that lie as kernels take them are read where they are: with the bits of those that are gathered first."""

from __future__ import annotations

import numpy as np
import pytest

import fastbp
from fastbp.kernels.layout import DELTA
from fastbp.tables import BLOCK_ROWS
from fastbp.workspace import MOST_IN_PLACE, Workspace


def misaligned(x: np.ndarray) -> np.ndarray:
    """The same numbers where no number may begin: kernels gather those."""
    raw = np.empty(x.nbytes + 1, np.uint8)
    result = raw[1:].view(x.dtype).reshape(x.shape)
    result[:] = x
    return result


def framed(x: np.ndarray) -> np.ndarray:
    """The same numbers, with NaN before and behind them."""
    frame = np.full((len(x) + 2, x.shape[1]), np.nan, x.dtype)
    frame[1:-1] = x
    return frame[1:-1]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("n", [1, 2, 7, 37, BLOCK_ROWS + 3, 2 * BLOCK_ROWS + 5])
@pytest.mark.parametrize("widths", [(9, 3), (260, 3)])
def test_the_same_bits(widths: tuple[int, int], n: int, dtype: str, rng: np.random.Generator) -> None:
    net = fastbp.Network(5, [fastbp.Dense(widths[0], "tanh"), fastbp.Dense(widths[1], "softmax")], dtype=dtype, seed=1)
    x, y = rng.normal(size=(n, 5)).astype(dtype), rng.integers(0, 3, n)
    gathered, in_place = misaligned(x), framed(x)
    in_place.flags.writeable = False
    np.testing.assert_array_equal(net.gradient(in_place, y).flat, net.gradient(gathered, y).flat)
    np.testing.assert_array_equal(net.forward(in_place), net.forward(gathered))
    assert net.cost(in_place, y) == net.cost(gathered, y)
    np.testing.assert_array_equal(net.per_sample_gradients(in_place, y), net.per_sample_gradients(gathered, y))


@pytest.mark.parametrize("batch_size", [1, 16, 100])
def test_training_without_a_shuffle(batch_size: int, rng: np.random.Generator) -> None:
    x, y = rng.normal(size=(70, 5)).astype(np.float32), rng.integers(0, 3, 70)
    found = []
    for inputs in (framed(x), misaligned(x)):
        net = fastbp.Network(5, [fastbp.Dense(6, "tanh"), fastbp.Dense(3, "softmax")], seed=1)
        fastbp.Trainer(net, fastbp.SGD(0.2), batch_size, shuffle=False).fit(inputs, y, epochs=5)
        found.append(net.get_parameters())
    np.testing.assert_array_equal(*found)


def test_what_is_read_in_place(rng: np.random.Generator) -> None:
    def reads(n_in: int, x: np.ndarray, order: np.ndarray | None = None, dropout: float = 0.0) -> bool:
        net = fastbp.Network(n_in, [fastbp.Dense(3, "tanh", dropout=dropout)])
        workspace = Workspace(net._shape, 8, dropout_seed=1)
        workspace.point_at(x, None, order)
        workspace.prepare(DELTA, 8, net._theta)
        return bool(workspace["in_place"])

    x = rng.normal(size=(8, 5)).astype(np.float32)
    assert reads(5, x)
    assert not reads(5, misaligned(x))
    assert not reads(5, x.astype(np.float64))
    assert not reads(5, x, np.arange(8))
    assert not reads(5, x, dropout=0.5)
    assert not reads(MOST_IN_PLACE + 1, np.ones((8, MOST_IN_PLACE + 1), np.float32))
    assert not reads(100, np.eye(8, 100, dtype=np.float32))  # zeros are skipped: they have to be marked
