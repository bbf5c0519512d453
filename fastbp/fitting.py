"""One fit: epochs cut into slices, with callbacks, Ctrl-C and a look at the parameters between them.

Nothing of Python runs inside a slice of about a fifth of a second: one call of the compiled driver works through
many mini-batches, and through many short epochs where nobody wants to look in between. After every slice the trainer's
state is whole: it can be saved, or fitted again from there. What interrupts a slice, such as an error that a signal's
handler raises, takes back all of it.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from types import FrameType
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from . import arguments
from .errors import TrainingDiverged
from .hooks import Callback, is_true, named, watches_epochs
from .kernels import update
from .kernels.layout import COST, DELTA
from .pace import Pace, pace_of
from .samples import Samples
from .state import Place
from .workspace import MOST_LISTED, Workspace, put_by, take_spare

if TYPE_CHECKING:
    from .trainer import Trainer


Snapshot = tuple[int, int, list[np.ndarray]]  # updates, epochs in the history, parameters and states

# Places of a slice that has several epochs: their order takes 8 bytes each.
MOST_PLACES = 1 << 20


@dataclass
class Run:
    """What the running fit is about, for callbacks: ``trainer.run``.

    Attributes
    ----------
    epochs : int
        How many the fit is to do; those before a resumed fit count.
    samples : int
        Of an epoch.
    validated : bool
        Whether every epoch ends with a validation.
    done : int
        Samples trained on, of ``epochs * samples``.
    """

    epochs: int = 0
    samples: int = 0
    validated: bool = False
    done: int = 0


class Fit:
    """The work of one ``Trainer.fit``, whose arguments are checked.

    Parameters
    ----------
    trainer : Trainer
    samples : Samples
        What to train on.
    held_out : Samples, optional
        What to validate on.
    callbacks : sequence of Callback
    epochs : int
        How many to do.
    first : int
        How many epochs the history has that do not count.
    deadline : float
        When to end, by ``time.monotonic``.
    """

    def __init__(
        self,
        trainer: Trainer,
        samples: Samples,
        held_out: Samples | None,
        callbacks: Sequence[Callback],
        epochs: int,
        first: int,
        deadline: float,
    ) -> None:
        self.trainer, self.samples, self.held_out = trainer, samples, held_out
        self.callbacks, self.first, self.deadline = callbacks, first, deadline
        self.run = trainer.run = Run(epochs, len(samples), held_out is not None)
        self.workspace, self.pace = self._workspace()
        self._order: np.ndarray | None = None
        self._targets = samples.targets
        self._before: Snapshot | None = None  # the snapshot before the last slice
        self._stop = ""  # what wants the training to end
        self._count()

    def train(self, kept: Mapping[str, Mapping[str, np.ndarray]] | None = None) -> None:
        """Train until something ends it; ``kept``: what a checkpoint has of the callbacks."""
        trainer, history = self.trainer, self.trainer.history
        history.interrupted, history.ended_by = False, ""
        with self._interruptible(), ExitStack() as ends:
            try:
                for callback in self.callbacks:
                    self._ask([callback], "on_train_begin")
                    ends.callback(callback.on_train_end, trainer, history)
                for name, callback in named(self.callbacks).items():
                    if kept and name in kept and is_true(callback.resume(kept[name])):
                        self._stop = type(callback).__name__
                self._settle()
                if not history.ended_by and trainer.place.done:
                    self._prepare()
                while not trainer.history.ended_by:  # a callback may have put another one in its place
                    self._step()
                put_by(self._kind, self.workspace)
            except BaseException as error:
                history.ended_by = type(error).__name__
                raise

    # ------------------------------------------------------------ the parts
    def _wanted(self) -> tuple[Any, ...]:
        """All that a workspace for the trainer as it is now depends on: a callback may change it between two slices."""
        trainer, shape, batch_size = self.trainer, self.trainer.network._shape, self.trainer.batch_size
        numbers, rows = trainer.optimizer.hyperparameters(), min(batch_size, len(self.samples))
        plain = numbers["optimizer"] == update.SGD and numbers["l1"] == numbers["l2"] == 0
        online = batch_size == 1 and plain and not any(trainer.limits.values()) and max(shape.sizes) <= MOST_LISTED
        seed = trainer.seed if any(layer.dropout for layer in shape.layers) else None
        settings = (*numbers.items(), *trainer.limits.items(), trainer.label_smoothing, trainer.n_threads)
        return shape, rows, online, seed, settings

    def _workspace(self) -> tuple[Workspace, Pace]:
        """What to work in, left by a fit alike or new, and at which pace."""
        trainer, batch_size = self.trainer, self.trainer.batch_size
        self._kind = self._wanted()
        shape, rows, online, seed, _ = self._kind
        spare = take_spare(self._kind)
        workspace = spare or Workspace(shape, rows, online, seed)
        workspace.use_optimizer(trainer.optimizer.hyperparameters(), trainer._states)
        if spare is None:
            workspace.use_limits(trainer.limits)
            if trainer.label_smoothing:
                workspace.use_smoothing(trainer.label_smoothing)
        most = workspace.threads_worth(trainer.n_threads, batch_size)
        if spare is None:  # launches of nothing: what compiles or starts here would be taken for slowness later
            for threads in {most, 1}:
                workspace.prepare(DELTA, batch_size, trainer.network._theta)
                workspace["learning_rates"] = 0
                workspace.launch(0, 0, threads)
        return workspace, pace_of(shape, batch_size, most)

    def _step(self) -> None:
        """Train a slice, and do what its end brings with it."""
        epochs, begins = 1, not self.trainer.place.done
        if begins:
            self._ask(self.callbacks, "on_epoch_begin", self._epochs_done())
        if not self._stop:
            changed = len(self.callbacks) > 0 and self._wanted() != self._kind
            if changed:
                self.workspace, self.pace = self._workspace()
            threads, samples = self.pace.choose(self.trainer.batch_size)
            if begins:
                epochs = self._epochs_at_once(samples)
            if begins or changed:
                self._prepare(epochs)
            self._advance(threads, samples, epochs)
        if not self._stop and time.monotonic() >= self.deadline:  # never before a slice: every fit gets on
            self._stop = "max_seconds"
        self._settle()
        for callback in self.callbacks:
            callback.on_slice_end(self.trainer, self.trainer.history)

    def _epochs_at_once(self, samples: int) -> int:
        """How many whole epochs the next slice of about so many samples has: one, where somebody looks in between."""
        if self.held_out is not None or any(watches_epochs(callback) for callback in self.callbacks):
            return 1
        return max(1, min(self.run.epochs - self._epochs_done(), min(samples, MOST_PLACES) // self.run.samples))

    def _advance(self, threads: int, samples: int, epochs: int) -> None:
        """Train on as many samples as about a fifth of a second allows; end the epochs whose last ones they were."""
        begun, trainer, place, n = time.perf_counter(), self.trainer, self.trainer.place, self.run.samples
        now = self._snapshot()
        stop = epochs * n if epochs > 1 else min(n, place.done + samples)
        try:
            reached = self._launch(place.done, stop, threads)
            if reached < stop or not arguments.finite(trainer.network._theta):
                self._diverge(reached, stop, threads, now)
            took = time.perf_counter() - begun
            self.pace.record(threads, stop - place.done, took)
            cost, correct = self.workspace.totals()
            trainer.place = replace(place, done=stop, cost=cost, correct=correct, seconds=place.seconds + took)
            if stop >= n:
                self._end_epochs(*(self.workspace.epoch_totals() if epochs > 1 else ([cost], [correct])))
            self._count()
        except TrainingDiverged:  # went back to what was good
            raise
        except BaseException:  # of a signal's handler, or of the validation: the slice has not been
            self._restore(now)
            trainer.place = place
            self._count()
            raise
        self._before = now
        if stop >= n:
            self._ask(self.callbacks, "on_epoch_end", self._epochs_done() - 1)

    def _prepare(self, epochs: int = 1) -> None:
        """Draw the order of the epochs to come, or draw one again where a fit goes on within it."""
        begun, trainer, place = time.perf_counter(), self.trainer, self.trainer.place
        if place.generator:
            trainer._rng.bit_generator.state = place.generator
        else:
            place.generator = dict(trainer._rng.bit_generator.state)
        if not place.done or place.shuffled is None:
            # The order within a batch does not matter, so one batch of everything needs none.
            place.shuffled = trainer.shuffle and trainer.batch_size < self.run.samples
        samples, rng = self.samples, trainer._rng if place.shuffled else None
        self._order = samples.order(rng, epochs, trainer.batch_size, place.done)
        self._targets = samples.targets_in(self._order)
        if self._targets.ndim == 1:  # a callback may have written to y, and a wrong class could crash a kernel
            arguments.check_classes(self._targets, trainer.network._shape.sizes[-1])
        self.workspace.point_at(samples.inputs, self._targets, self._order, samples.weights)
        self.workspace.prepare(DELTA, trainer.batch_size, trainer.network._theta)
        self.workspace.expect_epochs(epochs, self.run.samples)
        place.seconds += time.perf_counter() - begun

    def _diverge(self, reached: int, stop: int, threads: int, now: Snapshot) -> NoReturn:
        """Go back to what was good, and raise."""
        begun, trainer, n = time.perf_counter(), self.trainer, self.run.samples
        place, failed = trainer.place, int(self.workspace["updates"]) - (reached < stop)
        epoch = len(trainer.history.cost) + min(reached, stop - 1) // n + 1
        # Parameters are good once a batch had a finite cost with them: the first batch here judges the last slice.
        self._restore(now if reached > place.done else self._before or now)
        good = (reached - 1) // n
        if good > 0:  # whole epochs, whose last parameters the next one found good: they end as they did before
            self._launch(0, good * n, threads)
            costs, hits = self.workspace.epoch_totals()
            trainer.place = replace(place, seconds=place.seconds + time.perf_counter() - begun)
            self._end_epochs(costs[:good], hits[:good])
        trainer.place = Place()
        raise TrainingDiverged(
            f"the cost or a parameter became NaN or infinite in epoch {epoch}, at update {failed}; the network "
            f"keeps its parameters of update {trainer.updates}. Try a smaller learning_rate"
        )

    def _launch(self, start: int, stop: int, threads: int) -> int:
        """Send places ``start`` to ``stop`` through the kernels; the first place not done."""
        trainer, n = self.trainer, self.run.samples
        updates = -(-min(stop - start, n) // trainer.batch_size) * max(1, stop // n)
        rates = trainer.optimizer.learning_rates(trainer.updates, updates)
        self.workspace["learning_rates"], self.workspace["updates"] = rates.ctypes.data, trainer.updates
        self.workspace["total_cost"], self.workspace["total_correct"] = trainer.place.cost, trainer.place.correct
        reached = self.workspace.launch(start, stop, threads)
        trainer.updates += updates
        return reached

    def _snapshot(self) -> Snapshot:
        """How many updates and epochs there were, and copies of the parameters and of the optimizer's state."""
        trainer = self.trainer
        arrays = [array.copy() for array in (trainer.network._theta, *trainer._states)]
        return trainer.updates, len(trainer.history.cost), arrays

    def _restore(self, snapshot: Snapshot) -> None:
        self.trainer.updates, epochs, arrays = snapshot
        for array, old in zip((self.trainer.network._theta, *self.trainer._states), arrays, strict=True):
            array[:] = old
        for values in self.trainer.history._lists().values():
            del values[epochs:]

    def _end_epochs(self, costs: Sequence[float], hits: Sequence[int]) -> None:
        """Write down what the epochs of a slice, or the one that it ended, brought."""
        trainer, place, n = self.trainer, self.trainer.place, self.run.samples
        brought = {"cost": [cost / n for cost in costs], "accuracy": [correct / n for correct in hits]}
        brought["seconds"] = [place.seconds / len(costs)] * len(costs)
        if self.held_out is not None:
            held = self.held_out
            total, right = trainer.network._pass(COST, held.inputs, held.targets, n_threads=trainer.n_threads)
            brought |= {"validation_cost": [total / len(held)], "validation_accuracy": [right / len(held)]}
        trainer.history._add(**brought)
        trainer.place = Place()

    # ------------------------------------------------------------ when to end
    def _epochs_done(self) -> int:
        return len(self.trainer.history.cost) - self.first

    def _count(self) -> None:
        """Tell callbacks, and the history, how far it got."""
        done = self.trainer.place.done
        self.run.done = self._epochs_done() * self.run.samples + done
        self.trainer.history.unfinished = done / self.run.samples

    def _settle(self) -> None:
        """Decide whether the training ends here, once, so that whoever saves the trainer now knows it."""
        if self._epochs_done() >= self.run.epochs:
            self._stop = "epochs"
        self.trainer.history.ended_by = self._stop

    def _ask(self, callbacks: Sequence[Callback], hook: str, *epoch: int) -> None:
        """Call a hook of all callbacks; one that returns True ends the training."""
        for callback in callbacks:
            if is_true(getattr(callback, hook)(self.trainer, *epoch, self.trainer.history)):
                self._stop = type(callback).__name__

    @contextmanager
    def _interruptible(self) -> Iterator[None]:
        """Turn the first Ctrl-C into a request to stop after the running slice; a second one interrupts at once."""

        def request_stop(number: int, frame: FrameType | None) -> None:
            self._stop, self.trainer.history.interrupted = "Ctrl-C", True
            signal.signal(signal.SIGINT, previous)

        if threading.current_thread() is not threading.main_thread():
            yield
            return
        previous: Any = signal.getsignal(signal.SIGINT)
        if previous is not signal.default_int_handler:  # ignored, or whoever handles it knows what to do
            yield
            return
        signal.signal(signal.SIGINT, request_stop)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, previous)
