"""Properties computed once, without a lock."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

from fastbp.lazy import lazy


def test_instances_do_not_wait_for_each_other() -> None:
    """Those of Python 3.11's cached_property do; and its lock stays locked in a child that is forked meanwhile."""
    both = Barrier(2)

    class Thing:
        @lazy
        def number(self) -> int:
            return both.wait(10)

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(lambda thing: thing.number, [Thing(), Thing()])) == [0, 1]


def test_it_is_computed_once() -> None:
    class Thing:
        times = 0

        @lazy
        def number(self) -> int:
            """How often it was computed."""
            self.times += 1
            return self.times

    thing = Thing()
    assert (thing.number, thing.number, Thing().number) == (1, 1, 1)
    assert Thing.number.__doc__ == "How often it was computed."
