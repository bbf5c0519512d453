"""The order of an epoch: a permutation, any as likely as any other, and the same for the same seed.

And where samples of a batch stand by their classes, batches are as random as they are without.
"""

from __future__ import annotations

from collections import Counter
from math import factorial, sqrt

import numpy as np
import pytest

from fastbp import SGD, Dense, History, Network, Trainer
from fastbp.callbacks import LambdaCallback
from fastbp.samples import Samples


def orders(n: int, count: int, seed: int) -> np.ndarray:
    """So many orders of n samples, one after the other: (count, n)."""
    samples, rng = Samples(np.zeros((n, 1)), np.zeros(n, np.int64)), np.random.default_rng(seed)
    return np.array([samples.order(rng) for _ in range(count)])


@pytest.mark.parametrize("n", [1, 2, 63, 10_000])
def test_every_sample_comes_once(n: int) -> None:
    for order in orders(n, 3, seed=1):
        assert order.dtype == np.int64
        np.testing.assert_array_equal(np.sort(order), np.arange(n))


def test_orders_depend_on_the_seed_and_the_epoch() -> None:
    first, second = orders(50, 2, seed=1)
    assert (first != second).any()
    np.testing.assert_array_equal(orders(50, 2, seed=1), [first, second])
    assert (orders(50, 1, seed=2)[0] != first).any()


@pytest.mark.parametrize("rows", [None, np.array([2, 3, 5, 7, 11])])
def test_epochs_drawn_at_once_are_those_drawn_one_by_one(rows: np.ndarray | None) -> None:
    samples = Samples(np.zeros((12, 1)), np.zeros(12, np.int64), rows)
    at_once, one_by_one = np.random.default_rng(5), np.random.default_rng(5)
    drawn = np.concatenate([samples.order(one_by_one) for _ in range(4)])
    np.testing.assert_array_equal(samples.order(at_once, epochs=4), drawn)
    assert at_once.bit_generator.state == one_by_one.bit_generator.state


def off(counts: np.ndarray) -> float:
    """By how many standard deviations chi squared is off where all counts should be alike."""
    expected, freedom = counts.mean(), counts.size - 1
    return float((((counts - expected) ** 2).sum() / expected - freedom) / sqrt(2 * freedom))


def test_any_order_is_as_likely_as_any_other() -> None:
    seen = Counter(map(tuple, orders(5, 60_000, seed=3).tolist()))
    assert len(seen) == factorial(5)
    assert abs(off(np.array(list(seen.values())))) < 4


def test_any_sample_is_as_likely_in_any_place() -> None:
    drawn = orders(40, 20_000, seed=4)
    counts = np.array([np.bincount(column, minlength=40) for column in drawn.T])
    assert abs(off(counts)) < 5
    after = np.bincount((drawn[:, 1:] - drawn[:, :-1]).ravel() % 40, minlength=40)[1:]  # who follows whom
    assert abs(off(after)) < 4


# ---------------------------------------------------------------- by classes
def digits(n: int, kind: str = "classes", rows: np.ndarray | None = None) -> Samples:
    """Samples of 4 classes, with inputs enough for lists."""
    classes = np.random.default_rng(0).integers(0, 4, n)
    targets = {"classes": classes, "one-hot": np.eye(4)[classes], "column": classes[:, np.newaxis] / 4.0}
    return Samples(np.zeros((n, 64), np.uint8), targets[kind], rows)


def batches(order: np.ndarray | None, batch_size: int, done: int = 0) -> list[np.ndarray]:
    """The batches of an order from place ``done`` on."""
    assert order is not None
    return np.split(order[done:], range(batch_size, len(order) - done, batch_size))


@pytest.mark.parametrize("kind", ["classes", "one-hot", "column"])
@pytest.mark.parametrize("rows", [None, np.arange(5, 1000, 3)])
def test_samples_of_a_batch_stand_in_the_order_of_their_classes(kind: str, rows: np.ndarray | None) -> None:
    samples, rng = digits(1003, kind, rows), np.random.default_rng(5)
    order = samples.order(rng, epochs=2, batch_size=30)
    assert order is not None
    everything = np.arange(1003) if rows is None else rows
    first, second = order.reshape(2, len(everything))
    assert (first != second).any()
    for epoch in (first, second):
        np.testing.assert_array_equal(np.sort(epoch), everything)
        for batch in batches(epoch, 30):
            classes = digits(1003).targets[batch] // (2 if kind == "column" else 1)  # above the mean, or not
            np.testing.assert_array_equal(classes, np.sort(classes))


@pytest.mark.parametrize(("n_in", "batch_size", "kind"), [(63, 30, "classes"), (64, 15, "classes"), (64, 15, "column")])
def test_they_do_not_where_nothing_is_gained(n_in: int, batch_size: int, kind: str) -> None:
    """Too few inputs for lists, too few samples of a class in a batch, or a batch of less than two groups."""
    full = digits(500, kind)
    samples = Samples(full.inputs[:, :n_in], full.targets)
    plain, others = (samples.order(np.random.default_rng(5), 2, size) for size in (0, batch_size))
    np.testing.assert_array_equal(plain, others)


def test_batches_have_the_samples_that_they_have_without() -> None:
    samples = digits(500)
    plain, by_class = (samples.order(np.random.default_rng(5), 1, size) for size in (0, 40))
    for one, other in zip(batches(plain, 40), batches(by_class, 40), strict=True):
        np.testing.assert_array_equal(np.sort(one), np.sort(other))


@pytest.mark.parametrize(("before", "after"), [(0, 30), (40, 30), (40, 0), (16, 100)])
def test_an_epoch_goes_on_with_other_batches_and_no_sample_comes_twice(before: int, after: int) -> None:
    """What was done before is what the order up to there says, whatever the batches are later."""
    samples, done = digits(500), 80
    first = samples.order(np.random.default_rng(5), 1, before)
    rest = samples.order(np.random.default_rng(5), 1, after, done)
    assert first is not None
    assert rest is not None
    np.testing.assert_array_equal(np.sort(first[:done]), np.sort(rest[:done]))
    if after:
        for batch in batches(rest, after, done):
            assert (np.diff(digits(500).targets[batch]) >= 0).all()
    later = samples.order(np.random.default_rng(5), 1, after, done + after)
    np.testing.assert_array_equal(later, rest)


@pytest.mark.parametrize("bad", [-1, 1 << 40, 300])
def test_classes_that_there_are_not_are_sorted_too(bad: int) -> None:
    """They are refused after the order is drawn: sorting must not take them for places, however many they seem."""
    samples = digits(1000)
    samples.targets[7:900:13] = bad
    for batch_size in (100, 2000):
        order = samples.order(np.random.default_rng(5), 1, batch_size)
        np.testing.assert_array_equal(np.sort(order), np.arange(1000))  # type: ignore[type-var, arg-type]
        classes, n_classes = samples._classes
        assert classes.max() < n_classes <= 256


def test_targets_of_more_outputs_than_a_batch_has_room_for_are_not_looked_at() -> None:
    """An autoencoder's, say: to find the largest of each row would take longer than an epoch."""
    samples = Samples(np.zeros((500, 64)), np.zeros((500, 64)))
    samples.order(np.random.default_rng(5), 1, 100)
    assert "_classes" not in vars(samples)
    assert samples.order(np.random.default_rng(5), 1, 256) is not None
    assert "_classes" in vars(samples)


@pytest.mark.usefixtures("slices_of_one_batch")
@pytest.mark.parametrize("sizes", [(8, 16), (16, 8), (24, 32), (1, 20)])
def test_a_training_whose_batches_change_within_an_epoch_takes_every_sample_once(sizes: tuple[int, int]) -> None:
    """Sample i has an input of its own, so that row i of W moves when it is taken."""

    def change(trainer: Trainer, history: History) -> None:
        trainer.batch_size = sizes[1]

    network = Network(144, [Dense(3, "softmax")], dtype="float64")
    before = network.weights[0].copy()
    trainer = Trainer(network, SGD(1.0), batch_size=sizes[0], seed=1)
    trainer.fit(np.eye(144), np.arange(144) % 3, epochs=1, callbacks=[LambdaCallback(on_slice_end=change)])
    assert trainer.updates == 1 + -(-(144 - sizes[0]) // sizes[1])
    assert (np.abs(network.weights[0] - before).sum(axis=1) > 1e-3).all()
