"""Learning-rate schedules: each makes a callable of the update's number, counted from 0, that can be pickled.

A number that is out of range is a ``TypeError`` or ``ValueError`` that names it.
"""

from __future__ import annotations

import math
from functools import partial

from .optimizers import Schedule
from .scalars import count, positive


def cosine(learning_rate: float, updates: int, final: float = 0.0) -> Schedule:
    """Fall from ``learning_rate`` to ``final`` along half a cosine in ``updates`` updates (Loshchilov & Hutter 2017).

    Parameters
    ----------
    learning_rate : float
        The first update's, above 0.
    updates : int
        How many until ``final``, which it then keeps.
    final : float
        0 or more.

    Returns
    -------
    callable
        The learning rate of an update, by its number: an optimizer's ``learning_rate``.

    Examples
    --------
    >>> [round(cosine(1.0, 4)(k), 3) for k in range(6)]
    [1.0, 0.854, 0.5, 0.146, 0.0, 0.0]
    """
    positive("learning_rate", learning_rate)
    positive("final", final, zero=True)
    updates = count("updates", updates)
    return partial(_cosine, learning_rate, updates, final)


def step(learning_rate: float, every: int, factor: float = 0.1) -> Schedule:
    """Multiply by ``factor`` after every ``every`` updates.

    Parameters
    ----------
    learning_rate : float
        The first update's, above 0.
    every : int
        Updates between two steps.
    factor : float
        Above 0.

    Returns
    -------
    callable
        The learning rate of an update, by its number: an optimizer's ``learning_rate``.

    Examples
    --------
    >>> [step(1.0, 2, 0.5)(k) for k in range(5)]
    [1.0, 1.0, 0.5, 0.5, 0.25]
    """
    positive("learning_rate", learning_rate)
    positive("factor", factor)
    every = count("every", every)
    return partial(_step, learning_rate, every, factor)


def exponential(learning_rate: float, decay: float) -> Schedule:
    """``learning_rate * decay**k``.

    Parameters
    ----------
    learning_rate : float
        The first update's, above 0.
    decay : float
        Above 0, and below 1 for a rate that falls.

    Returns
    -------
    callable
        The learning rate of an update, by its number: an optimizer's ``learning_rate``.

    Examples
    --------
    >>> [exponential(1.0, 0.5)(k) for k in range(3)]
    [1.0, 0.5, 0.25]
    """
    positive("learning_rate", learning_rate)
    positive("decay", decay)
    return partial(_step, learning_rate, 1, decay)


def warmup(schedule: float | Schedule, updates: int) -> Schedule:
    """Rise in a line to ``schedule`` (a rate, or a schedule that then begins) over the first ``updates`` updates.

    Parameters
    ----------
    schedule : float or callable
        What to rise to: a rate, or a schedule, whose updates are then counted from its beginning.
    updates : int
        How many it rises.

    Returns
    -------
    callable
        The learning rate of an update, by its number: an optimizer's ``learning_rate``.

    Examples
    --------
    >>> [warmup(1.0, 4)(k) for k in range(6)]
    [0.25, 0.5, 0.75, 1.0, 1.0, 1.0]
    """
    updates = count("updates", updates)
    if not callable(schedule):
        positive("schedule", schedule)
        schedule = partial(_step, schedule, 1, 1.0)
    return partial(_warmup, schedule, updates)


def _cosine(learning_rate: float, updates: int, final: float, k: int) -> float:
    return final + (learning_rate - final) * (1 + math.cos(math.pi * min(1.0, k / updates))) / 2


def _step(learning_rate: float, every: int, factor: float, k: int) -> float:
    return learning_rate * factor ** (k // every)


def _warmup(schedule: Schedule, updates: int, k: int) -> float:
    return schedule(0) * ((k + 1) / updates) if k < updates else schedule(k - updates)
