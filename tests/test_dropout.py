"""Dropout against the oracle, which draws the same masks a unit at a time: in every plan, for any number of threads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import reference
from conftest import Build, simple
from reference import ACTIVATIONS, dropout_mask

import fastbp
from fastbp import SGD, Adam, Dense, Dropout, Network, Trainer, _threads
from fastbp.kernels.layout import DELTA
from fastbp.workspace import Workspace

TOLERANCE = {"float64": 1e-11, "float32": 2e-5}  # as in test_gradients
NARROW, WIDE = (70, 20), (260, 70)  # by chunks of samples, and by columns
N = 23


def layers(widths: tuple[int, int], rates: tuple[float, ...] = (0.2, 0.5, 0.3), hidden: str = "tanh") -> list[Any]:
    dense = [*(Dense(n, hidden) for n in widths), Dense(3, "softmax")]
    return [entry for rate, layer in zip(rates, dense, strict=True) for entry in (Dropout(rate), layer)]


@pytest.fixture
def y(rng: np.random.Generator) -> np.ndarray:
    return rng.integers(0, 3, N)


def train_both(
    x: np.ndarray, y: np.ndarray, given: list[Any], batch_size: int, dtype: str, build: Build
) -> tuple[np.ndarray, np.ndarray]:
    """Parameters after an epoch, and the oracle's."""
    network = Network(x.shape[1], given, dtype=dtype, seed=5)
    plain = [(layer.n, str(layer.activation), True) for layer in network.layers]
    oracle = reference.Reference(x.shape[1], plain, "cross_entropy", network.get_parameters().astype(np.float64))
    oracle.dropout = [layer.dropout for layer in network.layers]
    Trainer(network, SGD(0.1), batch_size=batch_size, seed=7, shuffle=False).fit(x, y, 1)
    batches = [(x[at : at + batch_size], y[at : at + batch_size]) for at in range(0, N, batch_size)]
    return network.get_parameters(), reference.train(oracle, reference.SGD(), batches, 0.1, seed=7)


def assert_close(got: np.ndarray, want: np.ndarray) -> None:
    np.testing.assert_allclose(got, want, rtol=0, atol=TOLERANCE[got.dtype.name] * np.abs(want).max())


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("density", [0.05, 1.0])  # zeros are skipped, or not
@pytest.mark.parametrize("batch_size", [1, 6, N])
@pytest.mark.parametrize("widths", [NARROW, WIDE])
def test_training(
    widths: tuple[int, int],
    batch_size: int,
    density: float,
    dtype: str,
    y: np.ndarray,
    build: Build,
    rng: np.random.Generator,
) -> None:
    x = rng.normal(size=(N, 100)) * (rng.random((N, 100)) < density)
    assert_close(*train_both(x, y, layers(widths), batch_size, dtype, build))


def test_bytes(y: np.ndarray, build: Build, rng: np.random.Generator) -> None:
    x = rng.integers(0, 256, (N, 28, 28), dtype=np.uint8)
    x[rng.random(x.shape) < 0.95] = 0
    for batch_size in 1, 9:
        assert_close(*train_both(x.reshape(N, 784), y, layers(NARROW), batch_size, "float64", build))


@pytest.mark.parametrize("hidden", ACTIVATIONS)
def test_slopes_come_from_what_was_not_dropped(
    hidden: str, y: np.ndarray, build: Build, rng: np.random.Generator
) -> None:
    for batch_size in 1, N:
        given = layers((9, 17), (0.0, 0.4, 0.6), hidden)
        assert_close(*train_both(rng.normal(size=(N, 5)), y, given, batch_size, "float64", build))


@pytest.mark.parametrize("rates", [(0.5, 0.0, 0.0), (0.0, 0.5, 0.0), (0.0, 0.0, 0.9), (0.0, 1 - 2**-40, 0.25)])
def test_rates(rates: tuple[float, ...], y: np.ndarray, build: Build, rng: np.random.Generator) -> None:
    assert_close(*train_both(rng.normal(size=(N, 5)), y, layers(NARROW, rates), 6, "float64", build))


def test_more_samples_than_a_block(build: Build, rng: np.random.Generator) -> None:
    x, y = rng.normal(size=(1500, 5)), rng.integers(0, 3, 1500)
    network = Network(5, layers((4, 3)), dtype="float64", seed=1)
    oracle = reference.Reference(5, simple([4, 3, 3], "tanh", "softmax"), "cross_entropy", network.get_parameters())
    oracle.dropout = [0.2, 0.5, 0.3]
    Trainer(network, SGD(0.1), batch_size=1500).fit(x, y, 1)
    assert_close(network.get_parameters(), reference.train(oracle, reference.SGD(), [(x, y)], 0.1))


@pytest.mark.parametrize("rate", [0.001, 0.2, 0.5, 0.8])
def test_masks_have_their_rate_and_no_pattern(rate: float) -> None:
    n = 130
    places = [(0, 1, 0, 0), (1, 1, 0, 0), (0, 2, 0, 0), (0, 1, 1, 0), (0, 1, 0, 1)]  # each differs in one number
    masks = np.array([
        [dropout_mask(seed, update, 10 * place + more, layer, rate, n) > 0 for more in range(200)]
        for seed, update, place, layer in places
    ])  # fmt: skip
    sigma = np.sqrt(rate * (1 - rate) / (200 * n))
    np.testing.assert_allclose(1 - masks.mean(axis=(1, 2)), rate, rtol=0, atol=4 * sigma)
    np.testing.assert_allclose(1 - masks.mean(axis=(0, 1)), rate, rtol=0, atol=5 * sigma * np.sqrt(n / 5))
    if rate > 0.01:
        flat = masks.reshape(5, -1) - (1 - rate)
        correlation = np.corrcoef(flat) - np.eye(5)
        assert np.abs(correlation[[0, 0, 0], [1, 2, 4]]).max() < 4 / np.sqrt(200 * n)


def test_outside_training_nothing_is_dropped(y: np.ndarray, rng: np.random.Generator) -> None:
    x = rng.normal(size=(N, 6))
    with_it = Network(6, layers(NARROW), seed=3)
    without = Network(6, [layer for layer in layers(NARROW) if isinstance(layer, Dense)], seed=3)
    Trainer(with_it, SGD(0.1)).fit(x, y, 2)
    without.set_parameters(with_it.get_parameters())
    np.testing.assert_array_equal(with_it.forward(x), without.forward(x))
    np.testing.assert_array_equal(with_it.gradient(x, y).flat, without.gradient(x, y).flat)
    assert with_it.cost(x, y) == without.cost(x, y)
    assert fastbp.check_gradients(with_it, x, y, n_parameters=10).passed


@pytest.mark.skipif(_threads.available() < 2, reason="one CPU")
@pytest.mark.parametrize("batch_size", [1, 7, 50])
@pytest.mark.parametrize("widths", [NARROW, WIDE])
def test_threads_and_slices_train_to_the_same_bits(
    widths: tuple[int, int], batch_size: int, rng: np.random.Generator
) -> None:
    x, y = rng.normal(size=(50, 33)) * (rng.random((50, 33)) < 0.7), rng.integers(0, 3, 50)
    nets, rates = [Network(33, layers(widths), seed=2) for _ in range(3)], np.full(50, 0.1)
    pieces = [(0, 50)] if batch_size == 50 else [(0, 7), (7, 28), (28, 50)]
    for net, threads, slices in zip(nets, (1, 2, 1), ([(0, 50)], [(0, 50)], pieces), strict=True):
        inputs, targets = net._samples(x, y)
        workspace = Workspace(net._shape, batch_size, online=batch_size == 1, dropout_seed=4)
        workspace.use_optimizer(SGD(0.1).hyperparameters(), [])
        workspace.point_at(inputs, targets)
        workspace.prepare(DELTA, batch_size, net._theta)
        workspace["learning_rates"] = rates.ctypes.data
        for start, stop in slices:
            workspace["updates"] = -(-start // batch_size)
            assert workspace.launch(start, stop, threads) == stop
    for net in nets[1:]:
        np.testing.assert_array_equal(net.get_parameters(), nets[0].get_parameters())


def test_a_resumed_training_draws_the_masks_that_were_to_come(
    y: np.ndarray, rng: np.random.Generator, tmp_path: Path
) -> None:
    x = rng.normal(size=(N, 6))
    whole, first = (Trainer(Network(6, layers(NARROW), seed=3), Adam(0.01), batch_size=5, seed=9) for _ in range(2))
    whole.fit(x, y, 4)
    first.fit(x, y, 2)
    first.save(tmp_path / "run.npz")
    again = Trainer.load(tmp_path / "run.npz")
    assert [layer.dropout for layer in again.network.layers] == [0.2, 0.5, 0.3]
    again.fit(x, y, 2)
    np.testing.assert_array_equal(again.network.get_parameters(), whole.network.get_parameters())
    other = Trainer(Network(6, layers(NARROW, (0.2, 0.5, 0.4)), seed=3), Adam(0.01), batch_size=5, seed=9)
    with pytest.raises(fastbp.CheckpointError, match=r"3 softmax after dropout 0\.3, now .* dropout 0\.4"):
        other.fit(x, y, 4, resume=tmp_path / "run.npz")


def test_a_network_keeps_its_rates(tmp_path: Path) -> None:
    network = Network(6, [Dropout(0.25), Dense(4), Dense(2, "softmax", dropout=0.5)])
    assert [(layer.n, layer.dropout) for layer in network.layers] == [(4, 0.25), (2, 0.5)]
    network.save(tmp_path / "net.npz")
    for same in Network.load(tmp_path / "net.npz"), Network.from_config(network.config()), eval(repr(network)):
        assert [layer.dropout for layer in same.layers] == [0.25, 0.5]
    config = network.config()
    del config["layers"][0]["dropout"]  # as files of before have it
    assert Network.from_config(config).layers[0].dropout == 0


@pytest.mark.parametrize("rate", [-0.1, 1.0, 2, np.nan, "0.5", None, True])
def test_bad_rates(rate: Any) -> None:
    for make, argument in [(Dropout, "Dropout rate"), (lambda rate: Dense(3, dropout=rate), "dropout")]:
        with pytest.raises((TypeError, ValueError), match=f"^{argument}: got .*, expected"):
            make(rate)


@pytest.mark.parametrize(
    "bad",
    [
        Dropout(0.5),
        [Dropout(0.5)],
        [Dense(3), Dropout(0.5)],
        [Dropout(0.2), Dropout(0.5), Dense(3)],
        [Dropout(0.2), Dense(3, dropout=0.5)],
        [Dropout, Dense(3)],
    ],
)
def test_bad_places(bad: Any) -> None:
    with pytest.raises((TypeError, ValueError), match=r"^layers: got "):
        Network(4, bad)
