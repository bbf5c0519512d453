"""Clipped gradients, weights of a limited norm, and smoothed labels, against the oracle: in every plan."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import reference
from conftest import Build, simple

import fastbp
from fastbp import SGD, Adam, Dense, Dropout, Network, Trainer, _threads
from fastbp.kernels.layout import DELTA
from fastbp.workspace import Workspace

TOLERANCE = {"float64": 1e-11, "float32": 2e-5}  # as in test_gradients
WIDTHS = [(9, 20), (260, 5)]  # by chunks of samples, and by columns
N = 23
# Limits that some of what they limit exceeds and some does not.
LIMITS: list[dict[str, float]] = [
    {"clip_norm": 0.1},
    {"clip_sample_norm": 0.7},
    {"max_norm": 0.5},
    {"clip_norm": 0.1, "clip_sample_norm": 0.7, "max_norm": 0.5},
]


@pytest.fixture
def x(rng: np.random.Generator) -> np.ndarray:
    return rng.normal(size=(N, 7))


@pytest.fixture
def y(rng: np.random.Generator) -> np.ndarray:
    return rng.integers(0, 3, N)


def pair(widths: tuple[int, int], dtype: str, build: Build, bias: bool = True) -> tuple[Network, reference.Reference]:
    network, oracle = build(7, simple([*widths, 3], "tanh", "softmax", bias), "cross_entropy", dtype)
    oracle.theta = oracle.theta / 4  # float32 would carry the roundings of steep slopes from update to update
    network.set_parameters(oracle.theta)
    return network, oracle


def batches(x: np.ndarray, y: np.ndarray, size: int, *more: np.ndarray) -> list[tuple[np.ndarray, ...]]:
    return [tuple(array[at : at + size] for array in (x, y, *more)) for at in range(0, len(x), size)]


def assert_close(network: Network, want: np.ndarray) -> None:
    atol = TOLERANCE[network.dtype.name] * np.abs(want).max()
    np.testing.assert_allclose(network.get_parameters(), want, rtol=0, atol=atol)


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("batch_size", [1, 6, N])
@pytest.mark.parametrize("widths", WIDTHS)
@pytest.mark.parametrize("limits", LIMITS, ids=lambda limits: "+".join(limits))
def test_plain_steps(
    limits: dict[str, float],
    widths: tuple[int, int],
    batch_size: int,
    dtype: str,
    x: np.ndarray,
    y: np.ndarray,
    build: Build,
) -> None:
    network, oracle = pair(widths, dtype, build)
    plain = reference.Reference(7, oracle.layers, "cross_entropy", oracle.theta)
    Trainer(network, SGD(0.2), batch_size=batch_size, shuffle=False, **limits).fit(x, y, 1)  # type: ignore[arg-type]
    want = reference.train(oracle, reference.SGD(), batches(x, y, batch_size), 0.2, **limits)
    assert_close(network, want)
    without = reference.train(plain, reference.SGD(), batches(x, y, batch_size), 0.2)
    assert np.abs(want - without).max() > 1e-3  # or nothing was tested


@pytest.mark.parametrize("limits", LIMITS, ids=lambda limits: "+".join(limits))
def test_with_all_else(
    limits: dict[str, float], x: np.ndarray, y: np.ndarray, build: Build, rng: np.random.Generator
) -> None:
    network, oracle = pair((9, 20), "float64", build, bias=False)
    oracle.dropout = [0.0, 0.5, 0.2]
    dropped = Network(7, [Dense(9, "tanh", bias=False), Dropout(0.5), Dense(20, "tanh", bias=False), Dropout(0.2),
                          Dense(3, "softmax", bias=False)], dtype="float64")  # fmt: skip
    dropped.set_parameters(network.get_parameters())
    weights = rng.uniform(0.0, 3.0, N)
    trainer = Trainer(dropped, Adam(0.02, l1=0.01, l2=0.1), batch_size=6, shuffle=False, **limits)  # type: ignore[arg-type]
    trainer.fit(x, y, 2, sample_weight=weights)
    seen = batches(x, y, 6, weights) * 2
    want = reference.train(oracle, reference.Adam(), seen, 0.02, l1=0.01, l2=0.1, **limits)
    np.testing.assert_allclose(dropped.get_parameters(), want, rtol=0, atol=1e-10)  # Adam: as in test_optimizers


def test_a_batch_of_several_blocks(rng: np.random.Generator, build: Build) -> None:
    x, y = rng.normal(size=(2500, 3)), rng.integers(0, 2, 2500)
    network, oracle = build(3, simple([4, 2], "tanh", "softmax"), "cross_entropy")
    limits = {"clip_norm": 0.05, "clip_sample_norm": 0.3, "max_norm": 0.7}
    Trainer(network, SGD(0.2), batch_size=2500, **limits).fit(x, y, 1)  # type: ignore[arg-type]
    assert_close(network, reference.train(oracle, reference.SGD(), [(x, y)], 0.2, **limits))


@pytest.mark.parametrize("dtype", TOLERANCE)
def test_norms_are_kept(dtype: str, x: np.ndarray, y: np.ndarray) -> None:
    network = Network(7, [Dense(50, "relu"), Dense(3, "softmax")], dtype=dtype)
    trainer = Trainer(network, SGD(5.0), batch_size=5, max_norm=0.5)
    trainer.fit(x, y, 5)
    lengths = np.concatenate([np.linalg.norm(weights, axis=0) for weights in network.weights])
    assert lengths.max() <= 0.5 * (1 + 10 * np.finfo(dtype).eps)
    assert (lengths > 0.4999).any()
    before = network.get_parameters()
    Trainer(network, SGD(1.0), batch_size=N, clip_norm=0.01).fit(x, y, 1)
    assert np.linalg.norm(network.get_parameters() - before) == pytest.approx(0.01, rel=1e-4)


def test_what_is_short_enough_keeps_its_bits(x: np.ndarray, y: np.ndarray) -> None:
    nets = [Network(7, [Dense(40, "relu"), Dense(3, "softmax")]) for _ in range(2)]
    for net, limit in zip(nets, (None, 1e6), strict=True):
        Trainer(net, SGD(0.1, momentum=0.9), 5, clip_norm=limit, clip_sample_norm=limit, max_norm=limit).fit(x, y, 3)
    np.testing.assert_array_equal(nets[0].get_parameters(), nets[1].get_parameters())


@pytest.mark.skipif(_threads.available() < 2, reason="one CPU")
@pytest.mark.parametrize("widths", WIDTHS)
def test_threads_train_to_the_same_bits(widths: tuple[int, int], x: np.ndarray, y: np.ndarray) -> None:
    nets = [Network(7, [*(Dense(n, "tanh") for n in widths), Dense(3, "softmax")]) for _ in range(2)]
    rates = np.full(N, 0.2)
    for threads, net in enumerate(nets, 1):
        inputs, targets = net._samples(x, y)
        workspace = Workspace(net._shape, 7)
        workspace.use_optimizer(SGD(0.2).hyperparameters(), [])
        workspace.use_limits(LIMITS[-1])  # type: ignore[arg-type]
        workspace.point_at(inputs, targets)
        workspace.prepare(DELTA, 7, net._theta)
        workspace["learning_rates"] = rates.ctypes.data
        assert workspace.launch(0, N, threads) == N
    np.testing.assert_array_equal(nets[0].get_parameters(), nets[1].get_parameters())


# ---------------------------------------------------------------- smoothed labels
@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("batch_size", [1, 6])
@pytest.mark.parametrize("widths", WIDTHS)
def test_label_smoothing(
    widths: tuple[int, int], batch_size: int, dtype: str, x: np.ndarray, y: np.ndarray, build: Build
) -> None:
    network, oracle = pair(widths, dtype, build)
    smooth = 0.7 * np.eye(3)[y] + 0.1
    first = oracle.costs(x[:batch_size], smooth[:batch_size]).mean()
    trainer = Trainer(network, SGD(0.2), batch_size=batch_size, shuffle=False, label_smoothing=0.3)
    trainer.fit(x[:batch_size], y[:batch_size], 1, validation=(x, y))
    assert trainer.history.cost[0] == pytest.approx(first, rel=TOLERANCE[dtype])
    assert trainer.history.validation_cost[0] == network.cost(x, y)  # of the labels as they are
    trainer.fit(x, y, 1)
    assert trainer.history.accuracy[1] > 0.0
    seen = [(x[:batch_size], smooth[:batch_size]), *batches(x, smooth, batch_size)]
    assert_close(network, reference.train(oracle, reference.SGD(), seen, 0.2))


def test_hits_are_counted_by_class(x: np.ndarray, y: np.ndarray) -> None:
    nets = [Network(7, [Dense(3, "softmax")], seed=1) for _ in range(2)]
    histories = [
        Trainer(net, SGD(1e-9), N, label_smoothing=share).fit(x, y, 1)
        for net, share in zip(nets, (0, 0.6), strict=True)
    ]
    assert histories[0].accuracy == histories[1].accuracy


# ---------------------------------------------------------------- settings
BAD: list[Any] = [0, -1.0, np.nan, np.inf, "1", True]


@pytest.mark.parametrize("argument", ["clip_norm", "clip_sample_norm", "max_norm"])
@pytest.mark.parametrize("value", BAD)
def test_bad_limits(argument: str, value: Any) -> None:
    with pytest.raises((TypeError, ValueError), match=rf"^{argument}: got .*, expected a finite number above 0"):
        Trainer(Network(4, [Dense(3)]), **{argument: value})


@pytest.mark.parametrize("value", [-0.1, 1.0, np.nan, "0.1", None, True])
def test_bad_label_smoothing(value: Any) -> None:
    with pytest.raises((TypeError, ValueError), match=r"^label_smoothing: got .*, expected a number from 0"):
        Trainer(Network(4, [Dense(3, "softmax")]), label_smoothing=value)


def test_settings_are_checked_when_they_are_set_later() -> None:
    trainer = Trainer(Network(4, [Dense(3, "softmax")]), clip_norm=2.0)
    with pytest.raises(ValueError, match=r"^clip_norm: got -1, expected a finite number above 0"):
        trainer.limits["clip_norm"] = -1
    with pytest.raises(TypeError, match=r"^max_norm: got 'a', expected"):
        trainer.limits = {"max_norm": "a"}  # type: ignore[dict-item]
    with pytest.raises(ValueError, match=r"^limits: unknown name 'clipnorm'"):
        trainer.limits["clipnorm"] = 1.0
    with pytest.raises(ValueError, match=r"^label_smoothing: got 5, expected a number from 0 to below 1"):
        trainer.label_smoothing = 5
    with pytest.raises(TypeError, match=r"^shuffle: got 'False', expected True or False"):
        trainer.shuffle = "False"  # type: ignore[assignment]
    assert trainer.limits == {"clip_norm": 2.0, "clip_sample_norm": None, "max_norm": None}
    assert (trainer.label_smoothing, trainer.shuffle) == (0.0, True)
    trainer.limits = {"max_norm": 3}
    assert trainer.limits == {"clip_norm": None, "clip_sample_norm": None, "max_norm": 3.0}


def test_label_smoothing_wants_classes(x: np.ndarray, y: np.ndarray) -> None:
    for layer, cost in [(Dense(3, "sigmoid"), None), (Dense(3, "softmax"), "sum_of_squares")]:
        with pytest.raises(ValueError, match=r"label_smoothing: got 0\.1 for .*, expected cross_entropy after softmax"):
            Trainer(Network(7, [layer], cost=cost), label_smoothing=0.1)
    with pytest.raises(ValueError, match=r"label_smoothing: got rows of targets of shape \(23, 3\) in y"):
        Trainer(Network(7, [Dense(3, "softmax")]), label_smoothing=0.1).fit(x, np.eye(3)[y])


def test_a_checkpoint_has_the_settings(x: np.ndarray, y: np.ndarray, tmp_path: Path) -> None:
    settings: dict[str, Any] = {**LIMITS[-1], "label_smoothing": 0.1}
    whole, first = (Trainer(Network(7, [Dense(9), Dense(3, "softmax")]), batch_size=5, **settings) for _ in range(2))
    whole.fit(x, y, 3)
    first.fit(x, y, 1)
    first.save(tmp_path / "run.npz")
    again = Trainer.load(tmp_path / "run.npz")
    again.fit(x, y, 2)
    np.testing.assert_array_equal(again.network.get_parameters(), whole.network.get_parameters())
    other = Trainer(Network(7, [Dense(9), Dense(3, "softmax")]), batch_size=5, **{**settings, "max_norm": None})
    with pytest.raises(fastbp.CheckpointError, match=r"max_norm was 0\.5, now none"):
        other.fit(x, y, 3, resume=tmp_path / "run.npz")
