"""Hooks: where a callback may have its say while a network is trained.

    on_train_begin, on_train_end      once a fit
    on_epoch_begin, on_epoch_end      around every epoch
    on_slice_end                      about every fifth of a second: when all else is done, and all is consistent

A hook that returns True ends the training, but for the last of an epoch's: ``on_slice_end`` and ``on_train_end`` come
after the decision. Whatever goes wrong in a callback, every ``on_train_end`` still runs, the last one first, and the
trainer can be fitted again from where it stands.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .errors import unknown_name
from .history import History

if TYPE_CHECKING:
    from .trainer import Trainer


class Callback:
    """The base of all callbacks: hooks that do nothing. Take what you need.

    In every hook ``trainer.network`` is what was learnt so far, ``trainer.run`` what the fit is about, and ``history``
    what the epochs brought; ``epoch`` counts from 0.

    Examples
    --------
    >>> class Print(Callback):
    ...     def on_epoch_end(self, trainer, epoch, history):
    ...         print(f"{epoch}: {history.cost[-1]:.3f}")
    >>> from fastbp import Dense, Network, Trainer
    >>> trainer = Trainer(Network(1, [Dense(1, initializer="zeros")]))
    >>> history = trainer.fit([[1.0]], [1.0], epochs=1, callbacks=[Print()])
    0: 0.500
    """

    def on_train_begin(self, trainer: Trainer, history: History) -> bool | None:
        """Before the first epoch of a fit; an error here ends the fit before anything is trained."""

    def on_train_end(self, trainer: Trainer, history: History) -> None:
        """When a fit is over, however it ended (``history.ended_by``)."""

    def on_epoch_begin(self, trainer: Trainer, epoch: int, history: History) -> bool | None:
        """Before an epoch's first sample, not where a fit goes on within an epoch."""

    def on_epoch_end(self, trainer: Trainer, epoch: int, history: History) -> bool | None:
        """After an epoch and its validation; ``history`` has its numbers."""

    def on_slice_end(self, trainer: Trainer, history: History) -> None:
        """After every slice, and after ``on_epoch_end`` where it ended an epoch: the time to save the trainer.

        Where the training ends here, ``history.ended_by`` says why.
        """

    def state(self) -> dict[str, np.ndarray]:
        """What a checkpoint has to keep of this callback; arrays of numbers by name, which has no dot."""
        return {}

    def resume(self, state: Mapping[str, np.ndarray]) -> bool | None:
        """Take back what ``state`` returned; after ``on_train_begin`` where a fit is resumed, which True ends."""


class LambdaCallback(Callback):
    """Functions as hooks. A plain function among ``callbacks`` is one for ``on_epoch_end``.

    Parameters
    ----------
    on_train_begin, on_train_end, on_slice_end : callable, optional
        ``f(trainer, history)``
    on_epoch_begin, on_epoch_end : callable, optional
        ``f(trainer, epoch, history)``

    Raises
    ------
    TypeError
        If a name is no hook's, or what is given is not callable.

    Examples
    --------
    >>> LambdaCallback(on_train_end=lambda trainer, history: print(history.ended_by)).on_train_end(None, History())
    <BLANKLINE>
    """

    def __init__(self, **hooks: Callable[..., Any] | None) -> None:
        known = [name for name in vars(Callback) if name.startswith("on_")]
        for name, function in hooks.items():
            if name not in known:
                raise TypeError(str(unknown_name("hook", name, known)))
            if function is not None and not callable(function):
                raise TypeError(f"{name}: got {function!r}, expected a function")
            if function is not None:
                setattr(self, name, function)


def as_callbacks(callbacks: Sequence[Callback | Callable[..., Any]]) -> list[Callback]:
    """Callbacks, plain functions ``(trainer, epoch, history)`` turned into ones for the end of an epoch.

    Raises
    ------
    TypeError
        If there is something else among them.

    Examples
    --------
    >>> as_callbacks([lambda trainer, epoch, history: True])[0].on_epoch_end(None, 0, None)
    True
    """
    try:
        given = list(callbacks)
    except TypeError:
        raise TypeError(f"callbacks: got {callbacks!r}, expected a list of callbacks or functions") from None
    for callback in given:
        if isinstance(callback, type) or not (isinstance(callback, Callback) or callable(callback)):
            raise TypeError(f"callbacks: got {callback!r} among them, expected callbacks or functions")
    return [c if isinstance(c, Callback) else LambdaCallback(on_epoch_end=c) for c in given]


def is_true(answer: Any) -> bool:
    """Whether a hook's answer ends the training: True does, also NumPy's, and nothing else.

    Examples
    --------
    >>> is_true(True), is_true(np.mean([1.0, 3.0]) < 5), is_true(1), is_true(None)
    (True, True, False, False)
    """
    return isinstance(answer, bool | np.bool_) and bool(answer)


def watches_epochs(callback: Callback) -> bool:
    """Whether a callback wants to be asked before or after every epoch.

    Examples
    --------
    >>> watches_epochs(Callback()), watches_epochs(LambdaCallback(on_epoch_end=print))
    (False, True)
    """
    hooks = "on_epoch_begin", "on_epoch_end"
    return any(getattr(getattr(callback, hook), "__func__", None) is not getattr(Callback, hook) for hook in hooks)


def named(callbacks: Sequence[Callback]) -> dict[str, Callback]:
    """Callbacks by the names under which a checkpoint keeps their states: class, and number among those of the class.

    Examples
    --------
    >>> list(named([Callback(), LambdaCallback(), Callback()]))
    ['Callback.0', 'LambdaCallback.0', 'Callback.1']
    """
    kinds = [type(callback).__name__ for callback in callbacks]
    return {f"{kind}.{kinds[:k].count(kind)}": callbacks[k] for k, kind in enumerate(kinds)}
