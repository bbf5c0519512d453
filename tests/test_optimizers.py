"""Optimizers against their textbook formulas, update by update, and what is left when one diverges."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import reference
from conftest import Build, simple

import fastbp
from fastbp import optimizers, schedules

UPDATES = 6


def falling(update: int) -> float:
    """A schedule that no constant imitates; the first update is number 0."""
    return 0.02 / (1 + update)


PLAIN: list[tuple[str, dict[str, Any]]] = [
    ("SGD", {}),
    ("SGD", {"momentum": 0.9}),
    ("SGD", {"momentum": 0.9, "nesterov": True}),
    ("RMSprop", {}),
    ("RMSprop", {"decay": 0.7, "epsilon": 1e-3}),
    ("Adam", {}),
    ("Adam", {"beta1": 0.8, "beta2": 0.9, "epsilon": 1e-3}),
    ("AdamW", {}),
    ("AdamW", {"weight_decay": 0.3}),
]
PENALTIES: list[dict[str, float]] = [{}, {"l1": 0.02}, {"l2": 0.3}, {"l1": 0.02, "l2": 0.3}]
RATES: list[float | Callable[[int], float]] = [0.02, falling]


def test_none_is_forgotten() -> None:
    exported = {
        name
        for name in fastbp.__all__
        if isinstance(kind := getattr(fastbp, name), type)
        and issubclass(kind, fastbp.Optimizer)
        and kind is not fastbp.Optimizer
    }
    assert exported == {kind.__name__ for kind in optimizers.OPTIMIZERS.values()} == {name for name, _ in PLAIN}


def oracle_of(name: str, options: dict[str, Any]) -> reference.SGD | reference.RMSprop | reference.Adam:
    """The textbook's optimizer with the same settings; AdamW decays by 0.01 unless told."""
    if name == "AdamW":
        return reference.Adam(**{"weight_decay": 0.01, **options})
    made: reference.SGD | reference.RMSprop | reference.Adam = getattr(reference, name)(**options)
    return made


def label(value: object) -> str:
    """A readable test id."""
    return json.dumps(value) if isinstance(value, dict) else getattr(value, "__name__", str(value))


@pytest.mark.parametrize("rate", RATES, ids=label)
@pytest.mark.parametrize("penalty", PENALTIES, ids=label)
@pytest.mark.parametrize(("name", "options"), PLAIN, ids=label)
def test_full_batch_updates(
    name: str,
    options: dict[str, Any],
    penalty: dict[str, float],
    rate: float | Callable[[int], float],
    build: Build,
    rng: np.random.Generator,
) -> None:
    network, oracle = build(5, [(17, "tanh", True), (4, "sigmoid", False), (3, "softmax", True)], "cross_entropy")
    x, y = rng.normal(size=(21, 5)), rng.integers(0, 3, 21)
    optimizer = getattr(fastbp, name)(learning_rate=rate, **options, **penalty)
    fastbp.Trainer(network, optimizer, batch_size=21).fit(x, y, epochs=UPDATES)
    start = oracle.theta
    want = reference.train(oracle, oracle_of(name, options), [(x, y)] * UPDATES, rate, **penalty)
    # float64: some 1e-15 a gradient, divided by sqrt of its mean square in the adaptive ones.
    np.testing.assert_allclose(network.get_parameters(), want, rtol=0, atol=1e-10)
    assert np.abs(want - start).max() > 1e-3


@pytest.mark.parametrize(("name", "options"), PLAIN, ids=label)
def test_mini_batches_and_their_remainder(
    name: str, options: dict[str, Any], build: Build, rng: np.random.Generator
) -> None:
    network, oracle = build(5, simple([6, 3], "tanh", "softmax"), "cross_entropy")
    x, y = rng.normal(size=(20, 5)), rng.integers(0, 3, 20)
    optimizer = getattr(fastbp, name)(learning_rate=falling, l2=0.1, **options)
    fastbp.Trainer(network, optimizer, batch_size=8, shuffle=False).fit(x, y, epochs=2)
    batches = [(x[at : at + 8], y[at : at + 8]) for at in (0, 8, 16)] * 2  # 8, 8 and the 4 that are left over
    want = reference.train(oracle, oracle_of(name, options), batches, falling, l2=0.1)
    np.testing.assert_allclose(network.get_parameters(), want, rtol=0, atol=1e-10)


@pytest.mark.parametrize(("name", "options"), PLAIN, ids=label)
def test_float32_follows(name: str, options: dict[str, Any], build: Build, rng: np.random.Generator) -> None:
    network, oracle = build(5, simple([6, 3], "tanh", "softmax"), "cross_entropy", "float32")
    x, y = rng.normal(size=(20, 5)).astype(np.float32), rng.integers(0, 3, 20)
    optimizer = getattr(fastbp, name)(learning_rate=0.02, l1=0.01, l2=0.1, **options)
    fastbp.Trainer(network, optimizer, batch_size=20).fit(x, y, epochs=UPDATES)
    want = reference.train(oracle, oracle_of(name, options), [(x, y)] * UPDATES, 0.02, l1=0.01, l2=0.1)
    # Six updates of 0.02 at most, each wrong by a gradient's 1e-5 or so; where g is near zero Adam magnifies it.
    np.testing.assert_allclose(network.get_parameters(), want, rtol=0, atol=1e-4)


@pytest.mark.parametrize("batch_size", [1, 2, 3])
def test_online_updates(batch_size: int, build: Build, rng: np.random.Generator) -> None:
    x = rng.normal(size=(11, 70)) * (rng.random((11, 70)) < 0.05)  # small batches may take another road when sparse
    for name, options in [("SGD", {}), ("SGD", {"momentum": 0.9}), ("Adam", {})]:
        network, oracle = build(70, simple([6, 3], "relu", "softmax"), "cross_entropy")
        y = rng.integers(0, 3, 11)
        optimizer = getattr(fastbp, name)(learning_rate=0.02, l2=0.01, **options)
        fastbp.Trainer(network, optimizer, batch_size=batch_size, shuffle=False).fit(x, y, epochs=2)
        batches = [(x[at : at + batch_size], y[at : at + batch_size]) for at in range(0, 11, batch_size)] * 2
        want = reference.train(oracle, oracle_of(name, options), batches, 0.02, l2=0.01)
        np.testing.assert_allclose(network.get_parameters(), want, rtol=0, atol=1e-10)


@pytest.mark.parametrize("name", ["SGD", "Adam"])
def test_a_batch_larger_than_any_block(name: str, build: Build, rng: np.random.Generator) -> None:
    network, oracle = build(3, simple([4, 2], "tanh", "softmax"), "cross_entropy")
    x, y = rng.normal(size=(3000, 3)), rng.integers(0, 2, 3000)
    optimizer = getattr(fastbp, name)(learning_rate=0.02)
    fastbp.Trainer(network, optimizer, batch_size=2500, shuffle=False).fit(x, y, epochs=1)
    want = reference.train(oracle, oracle_of(name, {}), [(x[:2500], y[:2500]), (x[2500:], y[2500:])], 0.02)
    np.testing.assert_allclose(network.get_parameters(), want, rtol=0, atol=1e-10)


def test_a_zero_weight_has_no_l1_slope() -> None:
    layers = [fastbp.Dense(2, "identity", initializer="zeros")]
    network = fastbp.Network(3, layers, cost="sum_of_squares", dtype="float64")
    fastbp.Trainer(network, fastbp.SGD(0.1, l1=1.0), batch_size=4).fit(np.ones((4, 3)), np.zeros((4, 2)), epochs=2)
    assert (network.get_parameters() == 0).all()


def test_defaults_are_adam_and_textbook_settings(build: Build, rng: np.random.Generator) -> None:
    x, y = rng.normal(size=(20, 5)), rng.integers(0, 3, 20)
    layers = simple([6, 3], "tanh", "softmax")
    for optimizer, textbook in [
        (None, reference.Adam()),
        (fastbp.Adam(), reference.Adam()),
        (fastbp.AdamW(), reference.Adam(weight_decay=0.01)),
        (fastbp.RMSprop(), reference.RMSprop()),
    ]:
        network, oracle = build(5, layers, "cross_entropy")
        fastbp.Trainer(network, optimizer, batch_size=20).fit(x, y, epochs=3)
        want = reference.train(oracle, textbook, [(x, y)] * 3, 0.001)
        np.testing.assert_allclose(network.get_parameters(), want, rtol=0, atol=1e-10)


def test_a_schedule_is_asked_once_an_update_in_order(build: Build, rng: np.random.Generator) -> None:
    asked: list[int] = []

    def schedule(update: int) -> float:
        asked.append(update)
        return 0.01

    network, _ = build(5, simple([3], "tanh", "softmax"), "cross_entropy")
    trainer = fastbp.Trainer(network, fastbp.SGD(schedule), batch_size=4)
    x, y = rng.normal(size=(10, 5)), rng.integers(0, 3, 10)
    trainer.fit(x, y, epochs=2)
    trainer.fit(x, y, epochs=1)  # goes on counting
    assert sorted(set(asked)) == list(range(9))


SCHEDULES = {
    "cosine": schedules.cosine(0.1, 9, 0.01),
    "step": schedules.step(0.1, 3),
    "exponential": schedules.exponential(0.1, 0.9),
    "warmup": schedules.warmup(0.1, 4),
    "warmup and cosine": schedules.warmup(schedules.cosine(0.1, 9), 4),
}


@pytest.mark.parametrize("name", SCHEDULES)
def test_schedules_travel_to_other_processes(name: str) -> None:
    again = pickle.loads(pickle.dumps(SCHEDULES[name]))
    assert [again(k) for k in range(20)] == [SCHEDULES[name](k) for k in range(20)]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("last_good", [12, 14, 15])  # at the beginning, in the middle, at the end of an epoch
@pytest.mark.parametrize(("name", "options"), PLAIN, ids=label)
def test_divergence_keeps_the_last_good_parameters(
    name: str, options: dict[str, Any], last_good: int, dtype: str, rng: np.random.Generator
) -> None:
    x, y = rng.normal(size=(40, 5)), rng.normal(size=(40, 2))
    layers = [fastbp.Dense(6, "relu"), fastbp.Dense(2, "identity")]
    network = fastbp.Network(5, layers, cost="sum_of_squares", dtype=dtype, seed=0)
    giant = 1e30 if dtype == "float32" else 1e200  # its square overflows
    optimizer = getattr(fastbp, name)(learning_rate=lambda update: 1e-3 if update < last_good else giant, **options)
    trainer = fastbp.Trainer(network, optimizer, batch_size=10)
    trainer.fit(x, y, epochs=1)
    good = network.get_parameters()
    with pytest.raises(fastbp.TrainingDiverged, match="learning_rate"):
        trainer.fit(x, y, epochs=50)
    kept = network.get_parameters()
    assert np.isfinite(kept).all()
    assert np.isfinite(network.cost(x, y))
    assert np.abs(kept - good).max() < 1.0  # from before the giant steps


def test_divergence_with_one_update_an_epoch(rng: np.random.Generator) -> None:
    x, y = rng.normal(size=(40, 5)), rng.normal(size=(40, 2))
    layers = [fastbp.Dense(6, "relu"), fastbp.Dense(2, "identity")]
    network = fastbp.Network(5, layers, cost="sum_of_squares", seed=0)
    with pytest.raises(fastbp.TrainingDiverged, match="learning_rate"):
        fastbp.Trainer(network, fastbp.SGD(10.0), batch_size=40).fit(x, y, epochs=50)
    assert np.isfinite(network.cost(x, y))
