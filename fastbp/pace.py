"""Pace: how long a slice of training is, and on how many threads, by what earlier slices took."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from functools import lru_cache

from .tables import RATE, Shape

SLICE_SECONDS = 0.2
TRIAL_SECONDS, TRIAL_BATCHES = 0.01, 8
# Of the time, at most, for trials of more threads than are at work; and of fewer, which lose more by it.
TRIAL_SHARE, DOWN_SHARE = 0.04, 0.01
MORE_PAY = 1.05


class Pace:
    """Chooses how many threads a slice gets, and how many samples, by what earlier slices took.

    Whether a second thread pays depends on more than the work: on other programs, on how far apart the CPUs' caches
    are, on the threading layer. The bits do not depend on it. So each number is tried for a moment, the fastest one
    taken, and the others are tried again as long as that takes no more than a small share of the time. One thread is
    preferred where more bring less than MORE_PAY: what they measured was luck then, and others can use the CPUs.
    """

    def __init__(self, options: Sequence[int], guess: float) -> None:
        # Seconds and samples a second of the last slices: the best of them counts, as anything can only slow one down.
        self._measured: dict[int, deque[tuple[float, float]]] = {threads: deque(maxlen=2) for threads in options}
        self._guess, self._seconds, self._trial_seconds = guess, 0.0, 0.0

    def _rates(self) -> tuple[dict[int, float], int]:
        """Samples a second with each number of threads, 0 where it is not known, and the number to take."""
        # Copied, as fits alike in other Python threads write there.
        rates = {threads: max((rate for _, rate in [*kept]), default=0.0) for threads, kept in self._measured.items()}
        return rates, max(rates, key=lambda threads: rates[threads] * (MORE_PAY if threads == 1 else 1.0))

    def choose(self, batch_size: int) -> tuple[int, int]:
        """(Threads, samples) of the next slice: whole batches for about SLICE_SECONDS, or for a trial."""
        rates, best = self._rates()
        others = [threads for threads in rates if threads != best]
        untried = [threads for threads, rate in rates.items() if rate == 0]
        rate = rates[best] or self._guess
        share = TRIAL_SHARE if best == min(rates) else DOWN_SHARE
        if untried or (others and self._trial_seconds < share * self._seconds):
            trial = (untried or others)[0]
            return trial, max(TRIAL_BATCHES, int(rate * TRIAL_SECONDS / batch_size)) * batch_size
        return best, max(1, int(rate * SLICE_SECONDS / batch_size)) * batch_size

    def record(self, threads: int, samples: int, seconds: float) -> None:
        """Note what a slice took.

        One that is much shorter than a trial, as at the end of a fit, says how long threads take to wake up, and no
        more: it counts only where there are none but such.
        """
        self._seconds += seconds
        if threads != self._rates()[1]:
            self._trial_seconds += seconds
        kept = self._measured[threads]
        if seconds >= min(TRIAL_SECONDS, max((took for took, _ in [*kept]), default=0.0)) / 2:
            kept.append((seconds, samples / max(seconds, 1e-9)))


@lru_cache(maxsize=256)
def pace_of(shape: Shape, batch_size: int, threads: int) -> Pace:
    """The pace of all fits alike: whoever trains many small networks pays for the trials once."""
    return Pace([threads, 1] if threads > 1 else [1], RATE / shape.multiply_adds)
