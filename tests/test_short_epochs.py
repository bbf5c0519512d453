"""Short epochs, many to a slice: nobody who does not look in between may tell them from those one by one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fastbp
from fastbp import SGD, Adam, Dense, Dropout, Network, Trainer, schedules
from fastbp.fitting import Fit
from fastbp.hooks import Callback
from fastbp.pace import Pace

N = 37


class Looks(Callback):
    """One that wants every epoch: slices end with them."""

    def on_epoch_begin(self, trainer: Trainer, epoch: int, history: fastbp.History) -> None:
        """Look."""


@pytest.fixture
def slices(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many epochs each slice had, as they come."""
    found: list[int] = []
    advance = Fit._advance

    def noted(fit: Fit, threads: int, samples: int, epochs: int) -> None:
        found.append(epochs)
        advance(fit, threads, samples, epochs)

    monkeypatch.setattr(Fit, "_advance", noted)
    return found


def interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def trained(data: tuple[np.ndarray, ...], *, looks: bool, fits: tuple[int, ...] = (9,), **settings: Any) -> Trainer:
    optimizer = settings.pop("optimizer", SGD(0.3))
    weights = settings.pop("weights", None)
    layers = settings.pop("layers", [Dense(6, "tanh"), Dense(3, "softmax")])
    trainer = Trainer(Network(5, layers, seed=3), optimizer, seed=4, **settings)
    for epochs in fits:
        trainer.fit(*data, epochs=epochs, callbacks=[Looks()] if looks else [], sample_weight=weights)
    return trainer


SETTINGS: list[dict[str, Any]] = [
    {"batch_size": 8},
    {"batch_size": 1},
    {"batch_size": N},
    {"batch_size": 100},
    {"batch_size": 8, "shuffle": False},
    {"batch_size": 7, "fits": (1, 4, 4)},
    {"batch_size": 7, "optimizer": Adam(0.01, l2=0.01)},
    {"batch_size": 7, "weights": np.linspace(0.0, 2.0, N)},
    {"batch_size": 7, "layers": [Dropout(0.2), Dense(6, "tanh"), Dropout(0.5), Dense(3, "softmax")]},
]


@pytest.mark.parametrize("settings", SETTINGS, ids=lambda settings: ",".join(settings) + str(settings["batch_size"]))
def test_the_same_bits_and_the_same_history(
    settings: dict[str, Any], rng: np.random.Generator, slices: list[int]
) -> None:
    data = rng.normal(size=(N, 5)), rng.integers(0, 3, N)
    one_by_one = trained(data, looks=True, **settings)
    assert set(slices) == {1}
    slices.clear()
    at_once = trained(data, looks=False, **settings)
    assert max(slices) > 1
    np.testing.assert_array_equal(at_once.network.get_parameters(), one_by_one.network.get_parameters())
    assert at_once.history.cost == one_by_one.history.cost
    assert at_once.history.accuracy == one_by_one.history.accuracy
    assert len(at_once.history.seconds) == 9
    assert min(at_once.history.seconds) > 0
    assert at_once.updates == one_by_one.updates
    assert at_once._rng.bit_generator.state == one_by_one._rng.bit_generator.state


def test_a_schedule_goes_on_from_epoch_to_epoch(rng: np.random.Generator, slices: list[int]) -> None:
    data = rng.normal(size=(N, 5)), rng.integers(0, 3, N)
    rates = SGD(schedules.exponential(0.5, 0.95))
    one_by_one, at_once = (trained(data, looks=looks, batch_size=8, optimizer=rates) for looks in (True, False))
    np.testing.assert_array_equal(at_once.network.get_parameters(), one_by_one.network.get_parameters())


@pytest.mark.parametrize(("batch_size", "rate"), [(10, 2.3), (N, 2.3), (N, 5.0)])
def test_what_diverges_says_where_and_keeps_what_was_good(
    batch_size: int, rate: float, rng: np.random.Generator, slices: list[int]
) -> None:
    """Also where an epoch's first batch finds that what the one before it ended with is no good."""
    x, y = rng.normal(size=(N, 1)), rng.normal(size=N)
    found = []
    for looks in (True, False):
        trainer = Trainer(Network(1, [Dense(1, "identity")], seed=0), SGD(rate), batch_size=batch_size, seed=5)
        with pytest.raises(fastbp.TrainingDiverged) as caught, np.errstate(all="ignore"):
            trainer.fit(x, y, epochs=10_000, callbacks=[Looks()] if looks else [])
        found.append(
            (str(caught.value), trainer.updates, trainer.history.cost, trainer.network.get_parameters().tolist())
        )
    assert max(slices) > 1
    assert found[0] == found[1]
    message, updates, costs, _ = found[0]
    assert updates == -(-N // batch_size) * len(costs)
    assert len(costs) > 1
    assert f"keeps its parameters of update {updates}." in message


def test_what_interrupts_a_slice_takes_back_all_of_its_epochs(
    rng: np.random.Generator, slices: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    data = rng.normal(size=(N, 5)), rng.integers(0, 3, N)
    whole, trainer = (trained(data, looks=False, batch_size=8, fits=(2,)) for _ in range(2))
    whole.fit(*data, epochs=7)
    with monkeypatch.context() as patch:
        patch.setattr(Pace, "record", interrupt)
        with pytest.raises(KeyboardInterrupt):
            trainer.fit(*data, epochs=7)
    assert slices[-1] > 1
    assert (trainer.updates, len(trainer.history.cost), trainer.run.done) == (10, 2, 0)
    trainer.fit(*data, epochs=7)
    np.testing.assert_array_equal(trainer.network.get_parameters(), whole.network.get_parameters())
    assert trainer.history.cost == whole.history.cost


def test_time_and_epochs_still_end_a_fit(rng: np.random.Generator) -> None:
    data = rng.normal(size=(N, 5)), rng.integers(0, 3, N)
    trainer = Trainer(Network(5, [Dense(3, "softmax")], seed=0), batch_size=8)
    assert len(trainer.fit(*data, epochs=2500).cost) == 2500
    history = trainer.fit(*data, epochs=10**9, max_seconds=0.3)
    assert history.ended_by == "max_seconds"
    assert len(history.cost) > 2500
    assert history.unfinished == 0
