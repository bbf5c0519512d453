"""How many threads a slice gets, and how many samples."""

from __future__ import annotations

import pytest

from fastbp.pace import DOWN_SHARE, MORE_PAY, SLICE_SECONDS, TRIAL_BATCHES, TRIAL_SHARE, Pace

GUESS = 1e3  # samples a second: so few that a trial has as many batches as any has


def measured(rates: dict[int, float], seconds: float = 1.0) -> Pace:
    """A pace that knows what each number of threads does in a second."""
    pace = Pace(list(rates), GUESS)
    for threads, rate in rates.items():
        pace.record(threads, int(rate * seconds), seconds)
    return pace


def test_every_number_is_tried_for_some_batches() -> None:
    pace, tried = Pace([4, 1], GUESS), []
    for _ in range(2):
        threads, samples = pace.choose(10)
        assert samples == TRIAL_BATCHES * 10
        pace.record(threads, samples, 1.0)
        tried.append(threads)
    assert sorted(tried) == [1, 4]


@pytest.mark.parametrize(
    ("gain", "threads"), [(0.5, 1), (1.0, 1), (MORE_PAY - 0.01, 1), (MORE_PAY + 0.01, 2), (1.9, 2)]
)
def test_more_threads_have_to_pay(gain: float, threads: int) -> None:
    pace = measured({2: gain * 1e6, 1: 1e6})
    pace._trial_seconds = pace._seconds  # no further trial is due
    chosen, samples = pace.choose(100)
    assert chosen == threads
    assert samples % 100 == 0
    assert samples == pytest.approx({1: 1.0, 2: gain}[threads] * 1e6 * SLICE_SECONDS, rel=1e-3)


@pytest.mark.parametrize(("gain", "least", "share"), [(2.0, 0.0, DOWN_SHARE), (0.5, DOWN_SHARE, TRIAL_SHARE)])
def test_the_others_are_tried_again_now_and_then(gain: float, least: float, share: float) -> None:
    rates = {2: gain * 1e6, 1: 1e6}
    pace, tried = measured(rates, seconds=0.01), 0.0
    for _ in range(2000):
        threads, samples = pace.choose(100)
        seconds = samples / rates[threads]
        pace.record(threads, samples, seconds)
        tried += seconds * (rates[threads] < max(rates.values()))
    assert least * pace._seconds < tried < 1.5 * share * pace._seconds


def test_slices_much_shorter_than_a_trial_do_not_decide() -> None:
    pace = measured({2: 2e6, 1: 1e6})
    for _ in range(3):  # as long as waking up takes
        pace.record(2, 100, 0.001)
    pace._trial_seconds = pace._seconds
    assert pace.choose(100)[0] == 2


def test_where_all_slices_are_short_they_do() -> None:
    pace = measured({2: 1e5, 1: 2e5}, seconds=0.001)
    assert pace._rates()[1] == 1
    pace.record(2, 400, 0.001)
    assert pace._rates()[1] == 2
