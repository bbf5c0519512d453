"""Layers: what the user says of one, and how its weights begin."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from .errors import unknown_name
from .kernels.activations import CODES
from .scalars import count, flag, positive

# name -> (standard deviation or limit of the weights, from n_in and n_out; whether normal). Limits are for uniform.
INITIALIZERS: dict[str, tuple[Callable[[int, int], float], bool]] = {
    "glorot_uniform": (lambda n_in, n_out: math.sqrt(6 / (n_in + n_out)), False),
    "glorot_normal": (lambda n_in, n_out: math.sqrt(2 / (n_in + n_out)), True),
    "he_uniform": (lambda n_in, n_out: math.sqrt(6 / n_in), False),
    "he_normal": (lambda n_in, n_out: math.sqrt(2 / n_in), True),
    "lecun_normal": (lambda n_in, n_out: math.sqrt(1 / n_in), True),
    "normal": (lambda n_in, n_out: 1.0, True),
    "zeros": (lambda n_in, n_out: 0.0, False),
}


@dataclass(frozen=True)
class Dropout:
    """Leaves each input of the layer behind it out with probability ``rate``, while a Trainer trains and only then.

    "Inverted" (Srivastava et al. 2014): what stays is divided by 1 - rate, so that nothing changes on average, and a
    trained network needs no correction. Others are left out for each sample and each update; the trainer's seed
    decides which. A network keeps the rate as its Dense's ``dropout``.

    Parameters
    ----------
    rate : float
        From 0 to below 1.

    Raises
    ------
    TypeError, ValueError
        If it is no such number.

    Examples
    --------
    >>> from fastbp import Network
    >>> Network(784, [Dropout(0.2), Dense(1024), Dropout(0.5), Dense(10, "softmax")]).layers[1].dropout
    0.5
    """

    rate: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "rate", positive("Dropout rate", self.rate, zero=True, below=1))


@dataclass(frozen=True)
class Dense:
    """A fully connected layer: a = f(a_in W + b).

    Parameters
    ----------
    n : int
        Units, that is outputs, of the layer.
    activation : str, optional
        sigmoid, tanh, relu, leaky_relu (slope 0.01), elu, softplus, gelu (tanh form), identity; on the last layer
        also softmax, and exp for the cost poisson. By default relu in hidden layers and identity in the last.
    bias : bool
        Whether the layer has biases. They begin at zero.
    initializer : str
        How the weights begin: glorot_uniform, glorot_normal (Glorot & Bengio 2010), he_uniform, he_normal (He et
        al. 2015), lecun_normal (LeCun et al. 1998), normal (N(0, 1)) or zeros.
    dropout : float
        The share of its inputs to leave out in training, 0 to below 1; a ``Dropout`` before it sets it.

    Raises
    ------
    TypeError, ValueError
        If ``n`` is not a whole number of 1 or more, a name is not known, or a rate out of range.

    Examples
    --------
    >>> Dense(16, "sigmoid")
    Dense(n=16, activation='sigmoid', bias=True, initializer='glorot_uniform', dropout=0.0)
    """

    n: int
    activation: str | None = None
    bias: bool = True
    initializer: str = "glorot_uniform"
    dropout: float = 0.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "n", count("Dense n", self.n))
        if self.activation is not None and self.activation not in list(CODES):  # also where it cannot be hashed
            raise unknown_name("activation", self.activation, CODES)
        if self.initializer not in list(INITIALIZERS):
            raise unknown_name("initializer", self.initializer, INITIALIZERS)
        object.__setattr__(self, "bias", flag("bias", self.bias))
        object.__setattr__(self, "dropout", positive("dropout", self.dropout, zero=True, below=1))

    def initial_weights(self, n_in: int, rng: np.random.Generator) -> np.ndarray:
        """Draw the weights, float64 (n_in, n).

        Examples
        --------
        >>> Dense(2, initializer="zeros").initial_weights(3, np.random.default_rng(0)).shape
        (3, 2)
        """
        size, normal = INITIALIZERS[self.initializer]
        scale = size(n_in, self.n)
        drawn = rng.standard_normal((n_in, self.n)) if normal else rng.uniform(-1.0, 1.0, (n_in, self.n))
        return scale * drawn

    def n_parameters(self, n_in: int) -> int:
        """How many weights and biases the layer has behind ``n_in`` inputs.

        Examples
        --------
        >>> Dense(16).n_parameters(784)
        12560
        """
        return (n_in + self.bias) * self.n


def views(
    flat: np.ndarray, n_in: int, layers: Iterable[Dense]
) -> tuple[tuple[np.ndarray, ...], tuple[np.ndarray, ...]]:
    """Every layer's weights (n_in, n) and biases (n,), or (0,) without, as views of a flat vector of parameters.

    Examples
    --------
    >>> weights, biases = views(np.arange(7), 2, [Dense(2, bias=False), Dense(1)])
    >>> weights[1].ravel(), biases
    (array([4, 5]), (array([], dtype=int64), array([6])))
    """
    weights: list[np.ndarray] = []
    biases: list[np.ndarray] = []
    at = 0
    for layer in layers:
        end = at + n_in * layer.n
        weights.append(flat[at:end].reshape(n_in, layer.n))
        at = end + layer.bias * layer.n
        biases.append(flat[end:at])
        n_in = layer.n
    return tuple(weights), tuple(biases)
