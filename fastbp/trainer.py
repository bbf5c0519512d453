"""Trainer: mini-batches, epochs, and what was learnt on the way.

Nothing of Python runs inside a slice of about a fifth of a second: one call of the compiled driver works through
many mini-batches. Between slices there is room for Ctrl-C, the progress bar, and a check that all went well.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from . import _threads
from .errors import TrainingDiverged
from .history import History
from .kernels import update
from .kernels.layout import COST, DELTA
from .layers import count
from .model import Network, _finite
from .optimizers import Adam, Optimizer
from .pace import pace_of
from .progress import Progress
from .workspace import Workspace

Callback = Callable[["Trainer", int, "History"], Any]


class Trainer:
    """Trains a network on mini-batches.

    Parameters
    ----------
    network : Network
    optimizer : Optimizer, optional
        Adam() by default.
    batch_size : int
        Samples a mini-batch; the last one of an epoch may be smaller.
    n_threads : int, optional
        By default all CPUs that the process may use. The result does not depend on it, to the last bit.
    seed : int
        Of the order in which samples are taken.
    shuffle : bool
        Whether every epoch takes the samples in a new order.

    Raises
    ------
    TypeError, ValueError
        If an argument is not of its kind, or out of range.

    Examples
    --------
    >>> from fastbp import Dense, Network, SGD
    >>> net = Network(1, [Dense(1, "identity")], cost="half_sum_of_squares", dtype="float64")
    >>> x = np.array([[0.0], [1.0], [2.0]])
    >>> history = Trainer(net, SGD(0.3), batch_size=3).fit(x, [1.0, 3.0, 5.0], epochs=300)
    >>> net.weights[0].round(3), net.biases[0].round(3)
    (array([[2.]]), array([1.]))
    """

    def __init__(
        self,
        network: Network,
        optimizer: Optimizer | None = None,
        batch_size: int = 100,
        n_threads: int | None = None,
        seed: int = 0,
        shuffle: bool = True,
    ) -> None:
        if not isinstance(network, Network):
            raise TypeError(f"network: got {network!r}, expected a Network")
        optimizer = Adam() if optimizer is None else optimizer
        if not isinstance(optimizer, Optimizer):
            raise TypeError(f"optimizer: got {optimizer!r}, expected one like SGD(0.1) or Adam()")
        self.network, self.optimizer = network, optimizer
        self.batch_size = count("batch_size", batch_size)
        self.n_threads = _threads.check(n_threads)
        self.shuffle = bool(shuffle)
        self.history = History()
        self.updates = 0
        self._rng = np.random.default_rng(count("seed", seed, 0))
        self._states = [np.zeros(network.n_parameters, network.dtype) for _ in range(optimizer.n_states)]
        self._before: tuple[int, list[np.ndarray]] | None = None  # the snapshot before the last slice
        self._stop = False

    def fit(
        self,
        x: ArrayLike,
        y: ArrayLike,
        epochs: int = 10,
        validation: tuple[ArrayLike, ArrayLike] | None = None,
        progress: bool = False,
        callbacks: Sequence[Callback] = (),
    ) -> History:
        """Train for ``epochs`` epochs more; calling it again goes on where it stopped.

        Parameters
        ----------
        x, y : array_like
            As in ``Network.cost``.
        epochs : int
        validation : (x, y), optional
            Evaluated after every epoch.
        progress : bool
            Show a bar on standard error.
        callbacks : sequence of callables ``(trainer, epoch, history)``
            Called after every epoch; one that returns True ends the training.

        Returns
        -------
        History
            Of all epochs so far, also of earlier fits. Ctrl-C ends training after the running slice, with all that
            was learnt kept, and sets ``interrupted``.

        Raises
        ------
        TrainingDiverged
            If the cost or a parameter became NaN or infinite; the network keeps the last good parameters.
        TypeError, ValueError
            If an argument is wrong; nothing is changed then.
        """
        epochs = count("epochs", epochs)
        inputs, targets = self.network._samples(x, y)
        held_out = None if validation is None else self.network._samples(*_pair(validation))
        self.optimizer.learning_rates(self.updates, 1)
        workspace = self._workspace(inputs)
        self._before = None  # the parameters may have been changed since
        done = len(self.history.cost)
        bar = Progress(progress, epochs * len(inputs), epochs)
        try:
            with self._interruptible():
                for epoch in range(epochs):
                    if self._stop:
                        break  # before an order is drawn that would go unused
                    self._epoch(workspace, inputs, targets, bar)
                    if len(self.history.cost) <= done + epoch:
                        break  # the epoch was cut short
                    self._validate(held_out)
                    bar.epoch(epoch + 1, self._latest())
                    if [True for callback in callbacks if callback(self, epoch, self.history) is True]:
                        break
        finally:
            bar.close()
        return self.history

    # ------------------------------------------------------------ the parts of a fit
    def _workspace(self, inputs: np.ndarray) -> Workspace:
        numbers = self.optimizer.hyperparameters()
        online = self.batch_size == 1 and numbers["optimizer"] == update.SGD and numbers["l1"] == numbers["l2"] == 0
        workspace = Workspace(self.network._shape, min(self.batch_size, len(inputs)), online)
        workspace.use_optimizer(numbers, self._states)
        most = workspace.threads_worth(self.n_threads, self.batch_size)
        for threads in {most, 1}:  # a launch of nothing: what compiles or starts here would be taken for slowness later
            workspace.prepare(DELTA, self.batch_size, self.network._theta)
            workspace["learning_rates"] = 0
            workspace.launch(0, 0, threads)
        self._pace = pace_of(workspace.shape, self.batch_size, most)
        return workspace

    def _epoch(self, workspace: Workspace, inputs: np.ndarray, targets: np.ndarray, bar: Progress) -> None:
        """One pass over all samples, a slice after the other."""
        n, begun, done = len(inputs), time.perf_counter(), 0
        # The order within a batch does not matter, so one batch of everything needs none.
        order = self._rng.permutation(n) if self.shuffle and self.batch_size < n else None
        workspace.point_at(inputs, targets, order)
        workspace.prepare(DELTA, self.batch_size, self.network._theta)
        while done < n and not self._stop:
            threads, samples = self._pace.choose(self.batch_size)
            stop = min(n, done + samples)
            slice_begun = time.perf_counter()
            self._slice(workspace, done, stop, threads)
            self._pace.record(threads, stop - done, time.perf_counter() - slice_begun)
            bar.advance(stop - done)
            done = stop
        if done == n:
            cost, right = workspace.totals()
            self.history.seconds.append(time.perf_counter() - begun)
            self.history.cost.append(cost / n)
            self.history.accuracy.append(right / n)

    def _slice(self, workspace: Workspace, start: int, stop: int, threads: int) -> None:
        """Train on places ``start`` to ``stop`` of the order, or go back to what was good and raise."""
        now = self._snapshot()
        updates = -(-(stop - start) // self.batch_size)
        rates = self.optimizer.learning_rates(self.updates, updates)
        workspace["learning_rates"], workspace["updates"] = rates.ctypes.data, self.updates
        reached = workspace.launch(start, stop, threads)
        if reached < stop or not _finite(self.network._theta):
            failed = self.updates + (reached - start) // self.batch_size
            # Parameters are good once a batch had a finite cost with them: the first batch here judges the last slice.
            self._restore(now if reached > start else self._before or now)
            raise TrainingDiverged(
                f"the cost or a parameter became NaN or infinite in epoch {len(self.history.cost) + 1}, at update "
                f"{failed}; the network keeps its parameters of update {self.updates}. Try a smaller learning_rate"
            )
        self._before = now
        self.updates += updates

    def _snapshot(self) -> tuple[int, list[np.ndarray]]:
        """How many updates were done, and copies of the parameters and of the optimizer's state."""
        return self.updates, [array.copy() for array in (self.network._theta, *self._states)]

    def _restore(self, snapshot: tuple[int, list[np.ndarray]]) -> None:
        self.updates, arrays = snapshot
        for array, old in zip((self.network._theta, *self._states), arrays, strict=True):
            array[:] = old

    def _validate(self, held_out: tuple[np.ndarray, np.ndarray] | None) -> None:
        if held_out is None:
            return
        n = len(held_out[0])
        total, right = self.network._pass(COST, *held_out, n_threads=self.n_threads)
        self.history.validation_cost.append(total / n)
        self.history.validation_accuracy.append(right / n)

    def _latest(self) -> dict[str, float | None]:
        """The last epoch's numbers, for the progress bar."""
        history = self.history
        return {
            "cost": history.cost[-1],
            "validation accuracy": history.validation_accuracy[-1] if history.validation_accuracy else None,
        }

    @contextmanager
    def _interruptible(self) -> Iterator[None]:
        """Turn the first Ctrl-C into a request to stop after the running slice; a second one interrupts at once."""
        self._stop = self.history.interrupted = False

        def request_stop(number: int, frame: FrameType | None) -> None:
            self._stop = self.history.interrupted = True
            signal.signal(signal.SIGINT, previous)

        if threading.current_thread() is not threading.main_thread():
            yield
            return
        previous = signal.getsignal(signal.SIGINT)
        if previous is None:  # installed by something other than Python: leave it alone
            yield
            return
        signal.signal(signal.SIGINT, request_stop)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, previous)


def _pair(validation: Any) -> tuple[ArrayLike, ArrayLike]:
    try:
        x, y = validation
    except (TypeError, ValueError):
        raise ValueError("validation: expected a pair (x, y)") from None
    return x, y
