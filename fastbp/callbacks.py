"""The callbacks that come with fastbp; their base, and functions as callbacks, are in ``hooks.py``."""

from __future__ import annotations

import errno
import math
import os
import time
from collections.abc import Mapping
from contextlib import suppress
from itertools import zip_longest
from typing import TYPE_CHECKING

import numpy as np

from .archive import file_name, naming_the_file
from .errors import unknown_name
from .history import LISTS, QUANTITIES, History
from .hooks import Callback, LambdaCallback
from .progress import ProgressBar
from .scalars import count, flag, positive

if TYPE_CHECKING:
    from .trainer import Trainer

__all__ = ["CSVLogger", "Callback", "Checkpoint", "EarlyStopping", "LambdaCallback", "ProgressBar"]


class _Monitor:
    """Watches one of the history's lists for a value better than all before."""

    def __init__(self, monitor: str, mode: str | None, min_delta: float = 0.0) -> None:
        if monitor not in QUANTITIES:
            raise unknown_name("monitor", monitor, QUANTITIES)
        if mode not in (None, "min", "max"):
            raise ValueError(f"mode: got {mode!r}, expected 'min', 'max', or None for what suits the monitor")
        self.name, self.min_delta = monitor, positive("min_delta", min_delta, zero=True)
        mode = mode or ("max" if monitor.endswith("accuracy") else "min")
        self.what = f"{mode}_{monitor}"
        self._worst = math.inf if mode == "min" else -math.inf
        self.best = self._worst

    def begin(self, trainer: Trainer) -> None:
        """Forget what was; and refuse a fit without what is monitored."""
        if self.name.startswith("validation") and not trainer.run.validated:
            raise ValueError(
                f"monitor: got {self.name!r}, but there is nothing to validate on: "
                "give fit validation=(x, y) or validation_split=0.1, or monitor 'cost'"
            )
        self.best = self._worst

    def improved(self, history: History, epoch: int = -1) -> bool:
        """Whether the last epoch was the best so far. NaN never is, and infinity neither."""
        value = getattr(history, self.name)[epoch]
        lower = self._worst > 0
        better = value < self.best - self.min_delta if lower else value > self.best + self.min_delta
        if better:
            self.best = value
        return bool(better)


class EarlyStopping(Callback):
    """Ends the training when it no longer gets better.

    Parameters
    ----------
    monitor : str
        validation_cost, validation_accuracy, cost or accuracy.
    patience : int
        After how many epochs without a better value to stop, 1 or more.
    min_delta : float
        By how much a value has to be better than the best one before to count, in the monitor's unit.
    restore_best : bool
        Whether to leave the network with the parameters of the best epoch, however the training ended.
    mode : str, optional
        "min" or "max": which values are better. By default small costs and large accuracies.

    Attributes
    ----------
    best : float
        The best value so far; before the first epoch infinitely bad.
    best_epoch : int
        Its epoch in the history, from 0; -1 before the first epoch.

    Raises
    ------
    TypeError, ValueError
        If an argument is out of range; by ``fit``, before it begins, if there is nothing to monitor.

    Examples
    --------
    >>> from fastbp import Dense, Network, SGD, Trainer
    >>> net = Network(1, [Dense(1)], dtype="float64")
    >>> stop = EarlyStopping("cost", patience=3, min_delta=1e-6)
    >>> history = Trainer(net, SGD(0.5)).fit([[1.0], [2.0]], [1.0, 2.0], epochs=1000, callbacks=[stop])
    >>> history.ended_by, len(history.cost) < 100
    ('EarlyStopping', True)
    """

    def __init__(
        self,
        monitor: str = "validation_cost",
        patience: int = 10,
        min_delta: float = 0.0,
        restore_best: bool = False,
        mode: str | None = None,
    ) -> None:
        self._monitor = _Monitor(monitor, mode, min_delta)
        self.patience, self.restore_best = count("patience", patience), flag("restore_best", restore_best)
        self._reset()

    def _reset(self) -> None:
        self.best_epoch, self._waited = -1, 0
        self._parameters: np.ndarray | None = None

    @property
    def best(self) -> float:
        """The best value so far; before the first epoch infinitely bad."""
        return self._monitor.best

    def on_train_begin(self, trainer: Trainer, history: History) -> None:
        self._monitor.begin(trainer)
        self._reset()

    def on_epoch_end(self, trainer: Trainer, epoch: int, history: History) -> bool:
        self._waited += 1
        if self._monitor.improved(history):
            self._waited, self.best_epoch = 0, len(history.cost) - 1
            if self.restore_best:
                self._parameters = trainer.network.get_parameters()
        return self._waited >= self.patience

    def on_train_end(self, trainer: Trainer, history: History) -> None:
        if self._parameters is not None:
            trainer.network.set_parameters(self._parameters)

    def state(self) -> dict[str, np.ndarray]:
        numbers = {self._monitor.what: self.best, "best_epoch": self.best_epoch, "waited": self._waited}
        kept = {name: np.array(number) for name, number in numbers.items()}
        return kept if self._parameters is None else {**kept, "parameters": self._parameters}

    def resume(self, state: Mapping[str, np.ndarray]) -> bool:
        if self._monitor.what not in state:  # of another quantity
            return False
        self._monitor.best = float(state[self._monitor.what])
        self.best_epoch, self._waited = int(state["best_epoch"]), int(state["waited"])
        if self.restore_best and "parameters" in state:
            self._parameters = state["parameters"]
        return self._waited >= self.patience


class Checkpoint(Callback):
    """Saves the trainer to a file as it trains, for ``fit(..., resume=path)`` and ``Trainer.load``.

    The file is replaced as a whole: a process killed at any moment leaves the one before or the one after. The last
    one is saved when the training ends, also by Ctrl-C.

    Parameters
    ----------
    path : str or PathLike
        The file; its folder must exist.
    every_epochs : int, optional
        Save after every so many epochs of a fit.
    every_seconds : float, optional
        Save when so many seconds have passed since the last time, also within an epoch. Both may be given.
    best_only : bool
        Save after an epoch that is better than all before in the history, also those of earlier fits, and at no other
        time: not with ``every_epochs`` or ``every_seconds``.
    monitor : str
        What is better, as ``EarlyStopping`` has it; only for ``best_only``.
    mode : str, optional
        The same.

    Raises
    ------
    TypeError, ValueError
        If an argument is out of range, or does not go with ``best_only``, or goes with it alone; by ``fit``, before it
        begins, if there is nothing to monitor.
    OSError
        By ``fit``: before it begins if there is no such folder, later if the file cannot be written. Then the one
        before is kept, and so is what was learnt.

    Examples
    --------
    >>> import tempfile
    >>> from fastbp import Dense, Network, Trainer
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     trainer, path = Trainer(Network(1, [Dense(1)])), f"{folder}/run.npz"
    ...     history = trainer.fit([[1.0], [2.0]], [1.0, 2.0], epochs=3, callbacks=[Checkpoint(path)])
    ...     Trainer.load(path).updates
    3
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        every_epochs: int | None = None,
        every_seconds: float | None = None,
        best_only: bool = False,
        monitor: str = "validation_cost",
        mode: str | None = None,
    ) -> None:
        if every_seconds is not None:
            positive("every_seconds", every_seconds)
        if flag("best_only", best_only):
            for name, given in (("every_epochs", every_epochs), ("every_seconds", every_seconds)):
                if given is not None:
                    raise ValueError(f"{name}: got {given!r} with best_only, which saves after the best epochs only")
        elif (monitor, mode) != ("validation_cost", None):
            raise ValueError(f"best_only: got False, but monitor {monitor!r} and mode {mode!r} are for best_only=True")
        self.path = file_name(path)
        self.every_epochs = 1 if every_epochs is None and every_seconds is None else every_epochs
        if self.every_epochs is not None:
            count("every_epochs", self.every_epochs)
        self.every_seconds, self._monitor = every_seconds, _Monitor(monitor, mode) if best_only else None
        self._due, self._saved_at = False, 0.0

    def on_train_begin(self, trainer: Trainer, history: History) -> None:
        if self._monitor is not None:
            self._monitor.begin(trainer)
            for epoch in range(len(getattr(history, self._monitor.name))):
                self._monitor.improved(history, epoch)
        _check_folder(self.path)
        self._due, self._saved_at = False, time.monotonic()

    def on_epoch_end(self, trainer: Trainer, epoch: int, history: History) -> None:
        if self._monitor is not None:
            self._due = self._monitor.improved(history)
        elif self.every_epochs is not None:
            self._due = (epoch + 1) % self.every_epochs == 0

    def on_slice_end(self, trainer: Trainer, history: History) -> None:
        waited = time.monotonic() - self._saved_at
        late = self.every_seconds is not None and waited >= self.every_seconds
        if self._due or late or (history.ended_by and self._monitor is None):
            trainer.save(self.path)
            self._due, self._saved_at = False, time.monotonic()


class CSVLogger(Callback):
    """Writes the history to a CSV file, a row an epoch, as it comes.

    The file always tells the whole history: that of earlier fits, and of the run that is resumed, too.

    Parameters
    ----------
    path : str or PathLike
        The file, replaced after the first epoch if it is there; its folder must exist.

    Raises
    ------
    OSError
        By ``fit``: before it begins if there is no such folder, later if the file cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from fastbp import Dense, Network, Trainer
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     trainer, path = Trainer(Network(1, [Dense(1)])), f"{folder}/log.csv"
    ...     history = trainer.fit([[1.0], [2.0]], [1.0, 2.0], epochs=2, callbacks=[CSVLogger(path)])
    ...     [line.split(",")[0] for line in Path(path).read_text().splitlines()]
    ['epoch', '1', '2']
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = file_name(path)

    def on_train_begin(self, trainer: Trainer, history: History) -> None:
        _check_folder(self.path)
        self._rows, self._known = 0, len(history.cost)

    def on_epoch_end(self, trainer: Trainer, epoch: int, history: History) -> None:
        columns = [getattr(history, name)[self._rows :] for name in LISTS]
        lines = [] if self._rows else ["epoch," + ",".join(LISTS)]
        for number, values in enumerate(zip_longest(*columns, fillvalue=math.nan), self._rows + 1):
            lines.append(",".join([str(number), *("" if math.isnan(value) else repr(value) for value in values)]))
        # Not opened before: a later callback may have refused the fit.
        whole = os.path.getsize(self.path) if self._rows and os.path.isfile(self.path) else 0
        try:
            with naming_the_file(self.path), open(self.path, "a" if self._rows else "w", encoding="utf-8") as file:
                file.writelines(f"{line}\n" for line in lines)
        except OSError:  # a full disk may have taken a part of a row
            with suppress(OSError):
                os.truncate(self.path, whole)
            raise
        self._rows = len(history.cost)

    def on_train_end(self, trainer: Trainer, history: History) -> None:
        if len(history.cost) > max(self._rows, self._known):  # an error in a callback before this one
            self.on_epoch_end(trainer, len(history.cost) - 1, history)


def _check_folder(path: str) -> None:
    if not os.path.isdir(os.path.dirname(os.path.realpath(path))):
        raise FileNotFoundError(errno.ENOENT, "no folder for this file", path)
