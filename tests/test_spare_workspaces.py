"""Fits that end leave their workspace to the next ones alike: to the same bits, and to one at a time."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import numpy as np
import pytest

from fastbp import SGD, Adam, AdamW, Dense, Dropout, Network, Trainer, TrainingDiverged, workspace

RNG = np.random.default_rng(3)
X, Y = RNG.random((90, 70), np.float32), RNG.integers(0, 3, 90)
Make = Callable[[], Trainer]


@pytest.fixture(autouse=True)
def _none_at_first() -> Iterator[None]:
    workspace._spare.clear()
    yield
    workspace._spare.clear()


def network(dropout: bool = False) -> Network:
    return Network(70, [Dense(20), *([Dropout(0.5)] if dropout else []), Dense(3, "softmax")], seed=1)


def fitted(make: Make, x: np.ndarray = X) -> np.ndarray:
    trainer = make()
    trainer.fit(x, Y, epochs=2)
    return trainer.network.get_parameters()


def plain() -> Trainer:
    return Trainer(network(), Adam(0.01), batch_size=16, n_threads=1)


KINDS: dict[str, Make] = {
    "plain": plain,
    "weight decay": lambda: Trainer(network(), AdamW(0.01, weight_decay=0.3), batch_size=16, n_threads=1),
    "another rate": lambda: Trainer(network(), Adam(0.05), batch_size=16, n_threads=1),
    "l2": lambda: Trainer(network(), Adam(0.01, l2=0.1), batch_size=16, n_threads=1),
    "sgd": lambda: Trainer(network(), SGD(0.1), batch_size=16, n_threads=1),
    "momentum": lambda: Trainer(network(), SGD(0.1, momentum=0.9), batch_size=16, n_threads=1),
    "another batch": lambda: Trainer(network(), Adam(0.01), batch_size=60, n_threads=1),
    "online": lambda: Trainer(network(), SGD(0.1), batch_size=1, n_threads=1),
    "two threads": lambda: Trainer(network(), Adam(0.01), batch_size=16, n_threads=2),
    "clipped": lambda: Trainer(network(), Adam(0.01), batch_size=16, n_threads=1, clip_norm=0.01),
    "max norm": lambda: Trainer(network(), Adam(0.01), batch_size=16, n_threads=1, max_norm=0.5),
    "smoothed": lambda: Trainer(network(), Adam(0.01), batch_size=16, n_threads=1, label_smoothing=0.2),
    "dropout": lambda: Trainer(network(dropout=True), Adam(0.01), batch_size=16, n_threads=1),
    "another dropout": lambda: Trainer(network(dropout=True), Adam(0.01), batch_size=16, n_threads=1, seed=7),
}


@cache
def alone(name: str) -> np.ndarray:
    workspace._spare.clear()
    return fitted(KINDS[name])


@pytest.mark.parametrize("name", KINDS)
def test_a_fit_does_not_depend_on_those_before_it(name: str) -> None:
    for other in KINDS:
        expected = alone(other)
        workspace._spare.clear()
        fitted(KINDS[name], 100 * X)
        np.testing.assert_array_equal(fitted(KINDS[other]), expected, err_msg=f"{other} after {name}")


def test_the_next_fit_alike_works_in_what_the_last_one_left(monkeypatch: pytest.MonkeyPatch) -> None:
    fitted(plain)
    monkeypatch.setattr(workspace.Workspace, "_allocate", lambda self: pytest.fail("allocates"))
    fitted(KINDS["another rate"])


def test_what_diverged_leaves_nothing() -> None:
    expected = alone("plain")
    workspace._spare.clear()
    with pytest.raises(TrainingDiverged):
        fitted(plain, np.full_like(X, 3e38))
    assert not workspace._spare
    np.testing.assert_array_equal(fitted(plain), expected)


def test_fits_at_once_share_nothing() -> None:
    expected = alone("plain")
    with ThreadPoolExecutor(4) as pool:
        for parameters in pool.map(fitted, [plain] * 40):
            np.testing.assert_array_equal(parameters, expected)
    assert len({id(kept) for _, kept in workspace._spare}) == len(workspace._spare) <= workspace.MOST_SPARE


def test_a_large_workspace_is_not_kept() -> None:
    trainer = Trainer(Network(70, [Dense(4000), Dense(3, "softmax")]), SGD(0.1), batch_size=90, n_threads=1)
    trainer.fit(X, Y, epochs=1)
    assert not workspace._spare


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_a_child_forked_while_another_thread_puts_one_by() -> None:
    with workspace._spare_lock:
        child = os.fork()
        if child == 0:
            signal.alarm(10)  # ends it, should it wait
            os._exit(0 if workspace.take_spare("none") is None else 1)
    assert os.waitpid(child, 0)[1] == 0
