"""Optimizers: hyper-parameters only. They never see a network; the formulas are in ``kernels/update.py``.

Every one takes ``l1`` and ``l2``: they add ``l1 * sum |W| + l2 / 2 * sum W^2`` to the averaged cost, so ``l1 sign(W)
+ l2 W`` to its gradient, over weights and never over biases. (PyTorch's ``weight_decay`` is this ``l2``, but on biases
too; scikit-learn's ``alpha`` is this ``l2`` times the batch size; Nielsen's ``lambda`` is this ``l2`` times n.)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from .kernels import update
from .scalars import flag, positive

Schedule = Callable[[int], float]


@dataclass(frozen=True, kw_only=True)
class Optimizer:
    """What all optimizers share: the learning rate, and the penalties on the weights.

    ``learning_rate`` is a number, or a callable of the update's number, counted from 0 (see ``fastbp.schedules``).

    Raises
    ------
    TypeError, ValueError
        If a number of any optimizer's is out of range.
    """

    learning_rate: float | Schedule = 0.01
    l1: float = 0.0
    l2: float = 0.0

    name: ClassVar[str]
    kernel: ClassVar[int]  # which formula of kernels/update.py
    n_states: ClassVar[int]  # vectors of the size of theta that it keeps

    def __post_init__(self) -> None:
        if not callable(self.learning_rate):
            positive("learning_rate", self.learning_rate)
        for name in ("l1", "l2"):
            positive(name, getattr(self, name), zero=True)
        self._check()

    def _check(self) -> None:
        """Check what only this optimizer has."""

    def hyperparameters(self) -> dict[str, float]:
        """The numbers that the update kernel reads, by the names of its run record.

        Examples
        --------
        >>> Adam().hyperparameters()["beta1"]
        0.9
        """
        return {"l1": self.l1, "l2": self.l2, "optimizer": self.kernel}

    def learning_rates(self, first: int, count: int) -> np.ndarray:
        """The learning rates of ``count`` updates from number ``first``: float64 (count,).

        Raises
        ------
        TypeError, ValueError
            If the schedule gives what is no number, or is negative, NaN or infinite.

        Examples
        --------
        >>> SGD(0.5).learning_rates(0, 3)
        array([0.5, 0.5, 0.5])
        """
        if not callable(self.learning_rate):
            return np.full(count, float(self.learning_rate))
        given = [self.learning_rate(k) for k in range(first, first + count)]
        try:
            rates = np.array(given, np.float64).reshape(count)
        except (TypeError, ValueError):
            raise TypeError(f"learning_rate: the schedule gave {given[0]!r} first, expected numbers") from None
        bad = np.flatnonzero(~(np.isfinite(rates) & (rates >= 0)))
        if len(bad):
            got = f"{rates[bad[0]]} for update {first + bad[0]}"
            raise ValueError(f"learning_rate: the schedule gave {got}, expected a finite number of 0 or more")
        return rates


@dataclass(frozen=True)
class SGD(Optimizer):
    """Stochastic gradient descent, with momentum if asked: v = momentum v + g, W -= learning_rate v.

    Parameters
    ----------
    learning_rate : float or callable
        Step size, above 0; or a schedule, which gives it for the update's number, counted from 0.
    momentum : float
        From 0 (plain) to below 1.
    nesterov : bool
        Step along g + momentum v instead of v (Sutskever et al. 2013, as PyTorch has it).
    l1, l2 : float
        ``l1 sum |W| + l2 / 2 sum W^2`` is added to the averaged cost; biases never count.

    Examples
    --------
    >>> SGD(learning_rate=0.5, momentum=0.9).momentum
    0.9
    """

    learning_rate: float | Schedule = 0.1
    momentum: float = 0.0
    nesterov: bool = False

    name: ClassVar[str] = "sgd"

    @property
    def kernel(self) -> int:  # type: ignore[override]
        """Plain SGD needs no state, and has a shorter formula."""
        return update.MOMENTUM if self.momentum else update.SGD

    @property
    def n_states(self) -> int:  # type: ignore[override]
        """1 with momentum, else 0."""
        return 1 if self.momentum else 0

    def _check(self) -> None:
        positive("momentum", self.momentum, zero=True, below=1)
        if flag("nesterov", self.nesterov) and not self.momentum:
            raise ValueError("nesterov: got True with momentum 0, expected a momentum above 0")

    def hyperparameters(self) -> dict[str, float]:
        return super().hyperparameters() | {"momentum": self.momentum, "nesterov": bool(self.nesterov)}


@dataclass(frozen=True)
class RMSprop(Optimizer):
    """Steps divided by a running root mean square of the gradient (Tieleman & Hinton 2012).

    Parameters
    ----------
    learning_rate : float or callable
        Step size, above 0; or a schedule, which gives it for the update's number, counted from 0.
    decay : float
        How much of the running mean square is kept at each update, 0 to below 1.
    epsilon : float
        Added to the root, so that nothing is divided by 0.
    l1, l2 : float
        ``l1 sum |W| + l2 / 2 sum W^2`` is added to the averaged cost; biases never count.

    Examples
    --------
    >>> RMSprop().decay
    0.9
    """

    learning_rate: float | Schedule = 0.001
    decay: float = 0.9
    epsilon: float = 1e-8

    name: ClassVar[str] = "rmsprop"
    kernel: ClassVar[int] = update.RMSPROP
    n_states: ClassVar[int] = 1

    def _check(self) -> None:
        positive("decay", self.decay, zero=True, below=1)
        positive("epsilon", self.epsilon)

    def hyperparameters(self) -> dict[str, float]:
        return super().hyperparameters() | {"beta2": self.decay, "epsilon": self.epsilon}


@dataclass(frozen=True)
class Adam(Optimizer):
    """Adam (Kingma & Ba 2015): running means of g and g^2, corrected for their start at zero.

    Parameters
    ----------
    learning_rate : float or callable
        Step size, above 0; or a schedule, which gives it for the update's number, counted from 0.
    beta1 : float
        How much of the running mean of g is kept at each update, 0 to below 1.
    beta2 : float
        The same of g^2.
    epsilon : float
        Added to the root, so that nothing is divided by 0.
    l1, l2 : float
        ``l1 sum |W| + l2 / 2 sum W^2`` is added to the averaged cost; biases never count.

    Examples
    --------
    >>> Adam(0.01).learning_rate
    0.01
    """

    learning_rate: float | Schedule = 0.001
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8

    name: ClassVar[str] = "adam"
    kernel: ClassVar[int] = update.ADAM
    n_states: ClassVar[int] = 2

    def _check(self) -> None:
        positive("beta1", self.beta1, zero=True, below=1)
        positive("beta2", self.beta2, zero=True, below=1)
        positive("epsilon", self.epsilon)

    def hyperparameters(self) -> dict[str, float]:
        own = {name: getattr(self, name) for name in ("beta1", "beta2", "epsilon")}
        return super().hyperparameters() | own


@dataclass(frozen=True)
class AdamW(Adam):
    """Adam with decoupled weight decay (Loshchilov & Hutter 2019): first W -= learning_rate weight_decay W.

    All else is as Adam's.

    Parameters
    ----------
    weight_decay : float
        Weights only, biases never.

    Examples
    --------
    >>> AdamW().weight_decay
    0.01
    """

    weight_decay: float = 0.01

    name: ClassVar[str] = "adamw"

    def _check(self) -> None:
        super()._check()
        positive("weight_decay", self.weight_decay, zero=True)

    def hyperparameters(self) -> dict[str, float]:
        return super().hyperparameters() | {"weight_decay": self.weight_decay}


OPTIMIZERS: dict[str, type[Optimizer]] = {kind.name: kind for kind in (SGD, RMSprop, Adam, AdamW)}
