"""Training on a sparse X, which is made dense slice by slice."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

import numpy as np

from ..fitting import Run
from ..history import History
from ..hooks import Callback, as_callbacks, is_true
from ..state import Place
from ..trainer import Trainer
from .samples import Samples, slices


def train_slices(
    trainer: Trainer, samples: Samples, epochs: int, callbacks: Sequence[Any], rng: np.random.RandomState | None
) -> bool:
    """All epochs over a sparse X, made dense slice by slice, in an order from ``rng``; whether Ctrl-C ended it.

    Callbacks are told what ``Trainer.fit`` tells of a dense X; to them an epoch is one slice.
    """
    asked, n, history = as_callbacks(callbacks), samples.x.shape[0], trainer.history
    trainer.run = Run(epochs, n)
    history.interrupted, history.ended_by, epoch = False, "", 0

    def ask(callbacks: Sequence[Callback], hook: str, *where: int) -> None:
        for callback in callbacks:
            if is_true(getattr(callback, hook)(trainer, *where, history)):
                history.ended_by = type(callback).__name__

    with ExitStack() as ends:
        try:
            for callback in asked:
                ask([callback], "on_train_begin")
                ends.callback(callback.on_train_end, trainer, history)
            while not history.ended_by:
                ask(asked, "on_epoch_begin", epoch)
                if not history.ended_by:
                    _train_epoch(trainer, samples, None if rng is None else rng.permutation(n))
                    if history.interrupted:
                        history.ended_by = "Ctrl-C"
                    if not history.unfinished:
                        ask(asked, "on_epoch_end", epoch)
                        epoch += 1
                    if epoch == epochs:
                        history.ended_by = "epochs"
                for callback in asked:
                    callback.on_slice_end(trainer, history)
        except BaseException as error:
            history.ended_by = type(error).__name__
            raise
    return history.interrupted


def _train_epoch(trainer: Trainer, samples: Samples, order: np.ndarray | None) -> None:
    """Train once on all samples of a sparse X, or until Ctrl-C, and note how that went.

    A call of ``Trainer.fit`` costs some copies of all parameters, so there is one for all slices of a height: to it
    each is an epoch, and when that is over the next slice is written over it. (Weights might be copied: there, one call
    a slice.) What it notes of them goes into a history of its own.
    """
    n, history, run = samples.x.shape[0], trainer.history, trainer.run
    done, seconds, cost, right = 0, 0.0, 0.0, 0.0
    parts = slices(samples.x, trainer.batch_size, order)
    places, rows = next(parts)
    y = samples.y[places].copy()

    def refill(*_: Any) -> None:
        nonlocal places, rows
        for places, rows in parts:
            y[: len(rows)] = samples.y[places]
            return

    try:
        while done < n and not history.interrupted:
            height = len(rows)
            count = (n - done) // height if samples.weight is None else 1
            trainer.history = History()
            part = trainer.fit(rows, y[:height], count, callbacks=[refill], **samples.weights_of(places))
            history.interrupted = part.interrupted
            run.done += trainer.run.done
            seconds += sum(part.seconds)
            cost += height * sum(part.cost)
            right += height * sum(part.accuracy)
            done += height * len(part.cost)
    finally:  # where it is within a slice means nothing to the next call
        trainer.history, trainer.run, trainer.place = history, run, Place()
    history.unfinished = run.done % n / n
    if done == n:
        history.seconds.append(seconds)
        history.cost.append(cost / n)
        history.accuracy.append(right / n)
