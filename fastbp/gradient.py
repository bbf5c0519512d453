"""Gradient: what ``Network.gradient`` returns."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .layers import Dense, views
from .lazy import lazy


@dataclass(frozen=True, init=False, eq=False)
class Gradient:
    """The gradient of the averaged cost, flat and by layer.

    Attributes
    ----------
    flat : ndarray, (n_parameters,)
        In the order of ``Network.get_parameters``.
    weights, biases : tuple of ndarray
        Views of ``flat``: ``weights[l]`` (n_in, n_out), ``biases[l]`` (n_out,), or (0,) without biases.

    Examples
    --------
    >>> from fastbp import Network
    >>> gradient = Network(2, [Dense(3), Dense(1)]).gradient([[1.0, 2.0]], [1.0])
    >>> gradient.weights[0].shape, gradient.biases[0].shape, gradient.flat.shape
    ((2, 3), (3,), (13,))
    """

    flat: np.ndarray
    n_in: int
    layers: tuple[Dense, ...]

    def __init__(self, flat: np.ndarray, n_in: int, layers: tuple[Dense, ...]) -> None:
        mine = self.__dict__  # half of what a frozen class's own way takes
        mine["flat"], mine["n_in"], mine["layers"] = flat, n_in, layers

    @lazy
    def weights(self) -> tuple[np.ndarray, ...]:
        """dC/dW of every layer."""
        return views(self.flat, self.n_in, self.layers)[0]

    @lazy
    def biases(self) -> tuple[np.ndarray, ...]:
        """dC/db of every layer."""
        return views(self.flat, self.n_in, self.layers)[1]
