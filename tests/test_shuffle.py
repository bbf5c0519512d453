"""The order of an epoch: a permutation, any as likely as any other, and the same for the same seed."""

from __future__ import annotations

from collections import Counter
from math import factorial, sqrt

import numpy as np
import pytest

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
