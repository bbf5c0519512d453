"""Training on a sparse X, which is made dense slice by slice."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..history import History
from ..hooks import as_callbacks, is_true
from ..trainer import Trainer
from .samples import Samples, slices


def train_slices(
    trainer: Trainer, samples: Samples, epochs: int, callbacks: Sequence[Any], rng: np.random.RandomState | None
) -> bool:
    """All epochs over a sparse X, made dense slice by slice, in an order from ``rng``; whether Ctrl-C ended it."""
    history, asked = History(), as_callbacks(callbacks)

    def wanted(hook: str, *where: int) -> bool:
        """Whether a callback wants to stop."""
        return True in [is_true(getattr(callback, hook)(trainer, *where, history)) for callback in asked]

    stop = wanted("on_train_begin")
    try:
        for epoch in range(epochs):
            if stop or wanted("on_epoch_begin", epoch):
                break
            order = None if rng is None else rng.permutation(samples.x.shape[0])
            if not _train_epoch(trainer, samples, order, history):
                return True
            stop = wanted("on_epoch_end", epoch)
    finally:
        wanted("on_train_end")
    return False


def _train_epoch(trainer: Trainer, samples: Samples, order: np.ndarray | None, history: History) -> bool:
    """Train once on all samples of a sparse X, and note how that went; False where Ctrl-C ended it.

    A call of ``Trainer.fit`` costs some copies of all parameters, so there is one for all slices of a height: to it
    each is an epoch, and when that is over the next slice is written over it. (Weights might be copied: there, one call
    a slice.)
    """
    n, done, seconds, cost, right = samples.x.shape[0], 0, 0.0, 0.0, 0.0
    parts = slices(samples.x, trainer.batch_size, order)
    places, rows = next(parts)
    y = samples.y[places].copy()

    def refill(*_: Any) -> None:
        nonlocal places, rows
        for places, rows in parts:
            y[: len(rows)] = samples.y[places]
            return

    while done < n:
        height = len(rows)
        count = (n - done) // height if samples.weight is None else 1
        part = trainer.fit(rows, y[:height], count, callbacks=[refill], **samples.weights_of(places))
        if part.interrupted:
            return False
        seconds += sum(part.seconds[-count:])
        cost += height * sum(part.cost[-count:])
        right += height * sum(part.accuracy[-count:])
        done += height * count
    history.seconds.append(seconds)
    history.cost.append(cost / n)
    history.accuracy.append(right / n)
    return True
