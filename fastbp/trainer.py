"""Trainer: all that a training is, in one process or in several; what a call of ``fit`` does is in ``fitting.py``."""

from __future__ import annotations

import math
import os
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from . import _threads, arguments, state
from .archive import file_name
from .errors import CheckpointError, unknown_name
from .fitting import Fit, Run
from .history import History
from .hooks import Callback, as_callbacks, named
from .model import Network, require_finite, require_network
from .optimizers import OPTIMIZERS, Adam, Optimizer
from .progress import ProgressBar
from .samples import Samples, hold_out
from .scalars import count, flag, positive
from .state import Place, State

# Kernels add a batch's samples to a place, in 64 bits.
MOST_BATCH = 1 << 62
# What a checkpoint has of a trainer, beside its optimizer's.
LIMITS = ("clip_norm", "clip_sample_norm", "max_norm")
SETTINGS = ("batch_size", "shuffle", "seed", *LIMITS, "label_smoothing")


class Limits(dict[str, float | None]):
    """Norms that a training keeps, by name, checked as they are set.

    Examples
    --------
    >>> limits = Limits()
    >>> limits["clip_norm"] = 1
    >>> limits
    {'clip_norm': 1.0}
    """

    def __setitem__(self, name: str, value: float | None) -> None:
        if name not in LIMITS:
            raise unknown_name("limits", name, LIMITS)
        super().__setitem__(name, None if value is None else positive(name, value))


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
        Of the order in which samples are taken, which are held out, and what dropout leaves out.
    shuffle : bool
        Whether every epoch takes the samples in a new order.
    clip_norm : float, optional
        The most that the Euclidean norm of a batch's gradient, all parameters together, may be: a longer one is
        scaled to it before the update (Pascanu et al. 2013). Penalties and weight decay are not part of it: they are
        added after, as with ``torch.nn.utils.clip_grad_norm_``.
    clip_sample_norm : float, optional
        The same for every sample's gradient, times its weight, before they are averaged (Abadi et al. 2016).
    max_norm : float, optional
        After every update the weights that lead into a unit, a column of W without the bias, are scaled to this
        Euclidean norm where theirs is larger, in every layer (Srivastava et al. 2014, section 5.1).
    label_smoothing : float
        From 0 to below 1: a class's targets become (1 - s) one-hot + s / n_out in training (Szegedy et al. 2016), in
        ``history.cost`` too, and nowhere else. For classes, softmax and cross_entropy only.

    Attributes
    ----------
    history : History
        Of all epochs so far.
    updates : int
        How many there were.
    place : Place
        Where it is within an epoch.
    run : Run
        What the running fit is about, for callbacks.

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
        clip_norm: float | None = None,
        clip_sample_norm: float | None = None,
        max_norm: float | None = None,
        label_smoothing: float = 0.0,
    ) -> None:
        require_network("network", network)
        self._network, self._optimizer = network, _of_kind(Adam() if optimizer is None else optimizer)
        self.batch_size = batch_size
        self.n_threads = n_threads
        self.shuffle = shuffle
        self.limits = {"clip_norm": clip_norm, "clip_sample_norm": clip_sample_norm, "max_norm": max_norm}
        self.label_smoothing = label_smoothing
        self.history = History()
        self.updates = 0
        self.seed = count("seed", seed, 0)
        self._rng = np.random.default_rng(self.seed)
        self._states = [np.zeros(network.n_parameters, network.dtype) for _ in range(self.optimizer.n_states)]
        self.place, self.run = Place(), Run()
        self._data: dict[str, Any] = {}  # the fingerprint of the last fit's samples
        self._callbacks: Sequence[Callback] = ()  # of the running fit

    @property
    def network(self) -> Network:
        """The network that is trained."""
        return self._network

    @property
    def optimizer(self) -> Optimizer:
        """How to update; one of the same kind may take its place, with other numbers."""
        return self._optimizer

    @optimizer.setter
    def optimizer(self, optimizer: Optimizer) -> None:
        self._optimizer = _of_kind(optimizer, self._optimizer.name, len(self._states))

    @property
    def batch_size(self) -> int:
        """Samples an update."""
        return self._batch_size

    @batch_size.setter
    def batch_size(self, batch_size: int) -> None:
        number = count("batch_size", batch_size)
        if number > MOST_BATCH:
            raise ValueError(f"batch_size: got {batch_size}, expected at most {MOST_BATCH}")
        self._batch_size = number

    @property
    def shuffle(self) -> bool:
        """Whether each epoch takes the samples in another order."""
        return self._shuffle

    @shuffle.setter
    def shuffle(self, shuffle: bool) -> None:
        self._shuffle = flag("shuffle", shuffle)

    @property
    def limits(self) -> Limits:
        """``clip_norm``, ``clip_sample_norm`` and ``max_norm``, None for no limit; each may be set."""
        return self._limits

    @limits.setter
    def limits(self, limits: Mapping[str, float | None]) -> None:
        checked = Limits(dict.fromkeys(LIMITS))
        for name, value in limits.items():
            checked[name] = value
        self._limits = checked

    @property
    def label_smoothing(self) -> float:
        """Which share of a class's target goes to all classes."""
        return self._label_smoothing

    @label_smoothing.setter
    def label_smoothing(self, label_smoothing: float) -> None:
        number, last = positive("label_smoothing", label_smoothing, zero=True, below=1), self.network.layers[-1]
        if number and not (self.network.cost_name == "cross_entropy" and last.activation == "softmax"):
            pair = f"{self.network.cost_name} after {last.activation}"
            raise ValueError(f"label_smoothing: got {label_smoothing} for {pair}, expected cross_entropy after softmax")
        self._label_smoothing = number

    @property
    def n_threads(self) -> int:
        """The most threads that kernels may use; None stands for all CPUs when it is set."""
        return self._n_threads

    @n_threads.setter
    def n_threads(self, n_threads: int | None) -> None:
        self._n_threads = _threads.check(n_threads)

    def fit(
        self,
        x: ArrayLike,
        y: ArrayLike,
        epochs: int = 10,
        validation: tuple[ArrayLike, ArrayLike] | None = None,
        progress: bool = False,
        callbacks: Sequence[Callback | Callable[..., Any]] = (),
        validation_split: float | None = None,
        max_seconds: float | None = None,
        resume: str | os.PathLike[str] | None = None,
        sample_weight: ArrayLike | None = None,
        class_weight: Mapping[int, float] | str | None = None,
    ) -> History:
        """Train for ``epochs`` epochs more; calling it again goes on where it stopped, also within an epoch.

        Parameters
        ----------
        x, y : array_like
            As in ``Network.cost``.
        epochs : int
            An epoch that the last fit left unfinished counts as one. With ``resume``: how many in all, counting those
            of the checkpoint.
        validation : (x, y), optional
            Evaluated after every epoch.
        progress : bool
            Show a bar on standard error.
        callbacks : sequence of Callback or callable
            See ``fastbp.callbacks``. A callable is called as ``f(trainer, epoch, history)`` after every epoch; one that
            returns True ends the training.
        validation_split : float, optional
            The share of the samples to hold out and evaluate after every epoch, above 0 and below 1, in place of
            ``validation``. Which ones depends on the trainer's seed; of classes each gives its share. What is
            trained on is not copied.
        max_seconds : float, optional
            End the training after the slice (about 0.2 s) in which so many seconds have passed since the call.
        resume : str or PathLike, optional
            A checkpoint of the same training (``Checkpoint``, ``save``): take its state, go on from there, and end in
            the same bits as if it had never stopped.
        sample_weight : array_like, (n,), optional
            Each sample's cost and gradient is multiplied by its weight, 0 or more, not all 0; a batch still divides by
            its number of samples. ``history.cost`` is weighted so, accuracy and validation are not.
        class_weight : dict of class to weight, or "balanced", optional
            Multiplied into the samples' weights. A class that the dict has not counts 1. "balanced" is n / (k n_c) for
            a class of n_c of the n samples trained on, k classes in all (as scikit-learn has it).

        Returns
        -------
        History
            Of all epochs so far, also of earlier fits; ``ended_by`` says what ended this one. Ctrl-C ends training
            after the running slice, with all that was learnt kept, and sets ``interrupted``; but not where the program
            ignores the signal or handles it itself.

        Raises
        ------
        TrainingDiverged
            If the cost or a parameter became NaN or infinite; the network keeps the last good parameters, and the
            history the epochs that led to them.
        CheckpointError
            If the checkpoint is damaged, or of another network, other settings or data; it names what differs.
        FileNotFoundError, OSError
            If the checkpoint is not there, or cannot be read.
        TypeError, ValueError
            If an argument is wrong. As before a CheckpointError, nothing is changed then.

        Examples
        --------
        >>> from fastbp import SGD, Dense
        >>> net = Network(1, [Dense(1)])
        >>> history = Trainer(net, SGD(0.1), batch_size=2).fit([[0.0], [1.0]], [1.0, 2.0], epochs=500)
        >>> net.forward([[2.0]]).round(3)
        array([[3.]], dtype=float32)
        """
        begun = time.monotonic()
        epochs = count("epochs", epochs)
        deadline = math.inf if max_seconds is None else begun + positive("max_seconds", max_seconds)
        hooks = [*([ProgressBar()] if flag("progress", progress) else []), *as_callbacks(callbacks)]
        samples, held_out = self._divide(x, y, validation, validation_split)
        samples = self._weighted(samples, sample_weight, class_weight)
        data = samples.fingerprint()
        saved = None if resume is None else self._checked(file_name(resume, "resume"), data)
        if saved is None:
            require_finite("network", self.network)
        if saved is None or len(saved.history.cost) < epochs:
            self.optimizer.learning_rates(self.updates if saved is None else saved.updates, 1)
        # Nothing was changed so far.
        if saved is not None:
            self._take(saved)
        elif self.place.done and self._data != data:
            warnings.warn("these are other samples than those of the epoch under way: a new one begins", stacklevel=2)
            self.place = Place()
        self._data, self._callbacks = data, hooks
        try:
            first = 0 if saved is not None else len(self.history.cost)
            fit = Fit(self, samples, held_out, hooks, epochs, first, deadline)
            fit.train(None if saved is None else saved.callbacks)
        finally:
            self._callbacks = ()
        return self.history

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a checkpoint: parameters, optimizer's state, generator, place within the epoch, history.

        A callback may call it in ``on_slice_end``; the callback ``Checkpoint`` does. The file is replaced as a whole.

        Raises
        ------
        TypeError, ValueError
            If a parameter is NaN or infinite: such a network must not take a good file's place. If what a callback's
            ``state`` returns is not arrays of numbers, by names without a dot.
        OSError
            If the file cannot be written; what was there before is still there.

        Examples
        --------
        >>> import tempfile
        >>> from fastbp import Dense
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     trainer = Trainer(Network(1, [Dense(1)]))
        ...     history = trainer.fit([[1.0], [2.0]], [1.0, 2.0], epochs=2)
        ...     trainer.save(f"{folder}/run.npz")
        ...     again = Trainer.load(f"{folder}/run.npz")
        >>> again.updates, bool((again.network.get_parameters() == trainer.network.get_parameters()).all())
        (2, True)
        """
        require_finite("network", self.network)
        state.write(path, self._state())

    @staticmethod
    def load(path: str | os.PathLike[str], optimizer: Optimizer | None = None, n_threads: int | None = None) -> Trainer:
        """A trainer, with a network of its own, as it was when the checkpoint was saved.

        Fitting it goes on from there, on any samples; ``fit(..., resume=path)`` makes sure that they are the same.

        Parameters
        ----------
        path : str or PathLike
        optimizer : Optimizer, optional
            One of the same kind in place of the saved one, with other numbers or a schedule. Needed where the
            learning rate was a schedule, which no file can hold.
        n_threads : int, optional
            As the trainer's.

        Raises
        ------
        FileNotFoundError, OSError, CheckpointError
            If there is no such file; if it is damaged, of a newer version, or no training's.
        TypeError, ValueError
            If the optimizer is needed and not given, or of another kind; if ``n_threads`` is not 1 or more.

        Examples
        --------
        >>> Trainer.load("absent.npz")
        Traceback (most recent call last):
        FileNotFoundError: [Errno 2] No such file or directory: 'absent.npz'
        """
        n_threads = _threads.check(n_threads)
        saved = state.read(path)
        settings = dict(saved.settings)
        name, rest = settings.pop("optimizer"), {key: settings.pop(key) for key in SETTINGS if key in settings}
        if optimizer is None and isinstance(settings["learning_rate"], dict):
            raise ValueError(f"optimizer: got none, but the learning rate was a schedule: give an {name} with one")
        if optimizer is not None:
            _of_kind(optimizer, name, len(saved.states))
        try:
            network = Network.from_config(saved.config)
            trainer = Trainer(network, optimizer or OPTIMIZERS[name](**settings), n_threads=n_threads, **rest)
            trainer._take(saved)
        except (TypeError, ValueError, LookupError) as error:
            raise CheckpointError(f"{os.fspath(path)}: corrupt, or not written by fastbp: {error}") from error
        return trainer

    # ------------------------------------------------------------ samples and state
    def _divide(
        self, x: ArrayLike, y: ArrayLike, validation: Any, validation_split: float | None
    ) -> tuple[Samples, Samples | None]:
        """What to train on, and what to validate on."""
        inputs, targets = self.network._samples(x, y)
        if self.label_smoothing and targets.ndim > 1:
            raise ValueError(f"label_smoothing: got rows of targets of shape {targets.shape} in y, expected classes")
        if validation_split is not None:
            if validation is not None:
                raise ValueError(f"validation_split: got {validation_split!r} beside validation, expected one of them")
            return hold_out(inputs, targets, validation_split, self.seed)
        held_out = None if validation is None else Samples(*self.network._samples(*_pair(validation)))
        return Samples(inputs, targets), held_out

    def _weighted(
        self, samples: Samples, sample_weight: ArrayLike | None, class_weight: Mapping[int, float] | str | None
    ) -> Samples:
        """The samples, with what each counts."""
        network, n = self.network, len(samples.inputs)
        weights = None if sample_weight is None else arguments.sample_weight(sample_weight, n, network.dtype)
        if class_weight is not None:
            of_class = arguments.class_weight(class_weight, samples.targets, network.n_out, samples.rows)
            product = of_class if weights is None else of_class * weights
            weights = arguments.converted("sample_weight, class_weight", product, network.dtype)
        if weights is not None and not weights[slice(None) if samples.rows is None else samples.rows].any():
            raise ValueError("sample_weight, class_weight: got 0 for every sample to train on, expected some above 0")
        return replace(samples, weights=weights)

    def _state(self) -> State:
        kept = {name: callback.state() for name, callback in named(self._callbacks).items()}
        generator = self.place.generator or dict(self._rng.bit_generator.state)
        return State(
            config=self.network.config(),
            settings=self._settings(self.updates),
            data=self._data,
            updates=self.updates,
            place=replace(self.place, generator=generator),
            history=self.history,
            parameters=self.network._theta,
            states=self._states,
            callbacks=kept,
        )

    def _settings(self, updates: int) -> dict[str, Any]:
        own = {"batch_size": self.batch_size, "shuffle": self.shuffle, "seed": self.seed, **self.limits}
        return state.settings_of(self.optimizer, updates) | own | {"label_smoothing": self.label_smoothing}

    def _checked(self, path: str | os.PathLike[str], data: dict[str, Any]) -> State:
        """The state in a checkpoint, if it is of this training."""
        saved = state.read(path)
        settings = self._settings(saved.updates)
        state.check_same(path, saved, replace(self._state(), settings=settings, data=data))
        return saved

    def _take(self, saved: State) -> None:
        """Become what was saved."""
        if len(saved.states) != len(self._states):
            raise CheckpointError(f"has {len(saved.states)} state vectors, expected {len(self._states)}")
        for mine, theirs in zip((self.network._theta, *self._states), (saved.parameters, *saved.states), strict=True):
            mine[:] = theirs
        self.updates, self.place, self.history = saved.updates, saved.place, saved.history
        self._data = saved.data
        self._rng.bit_generator.state = saved.place.generator

    def __getstate__(self) -> dict[str, Any]:  # a copy is in no fit, also of a trainer that is
        return {**vars(self), "_callbacks": ()}


def _of_kind(optimizer: Optimizer, name: str | None = None, n_states: int | None = None) -> Optimizer:
    """An optimizer; of a kind, where a name and a number of state vectors are given."""
    if not isinstance(optimizer, Optimizer):
        raise TypeError(f"optimizer: got {optimizer!r}, expected one like SGD(0.1) or Adam()")
    if name is not None and (optimizer.name, optimizer.n_states) != (name, n_states):
        raise ValueError(f"optimizer: got {optimizer}, expected an {name} with {n_states} state vectors: their "
                         "numbers are a part of this training")  # fmt: skip
    return optimizer


def _pair(validation: Any) -> tuple[ArrayLike, ArrayLike]:
    try:
        x, y = validation
    except (TypeError, ValueError):
        raise ValueError(f"validation: got a {type(validation).__name__}, expected a pair (x, y)") from None
    return x, y
