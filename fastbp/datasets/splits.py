"""Samples and their labels, and the ways of dividing them."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastbp.scalars import count, positive


class Split(NamedTuple):
    """Samples with their labels; it unpacks to ``x, y, name, source``.

    Attributes
    ----------
    x : (n, n_in) ndarray
        Samples as they are on disk: uint8 pixels, or float32 or float64 where a folder of one's own holds those.
    y : (n,) int64 ndarray
        Classes, from 0.
    name : str
        The data set's name.
    source : str
        Where it was read from: a folder, a URL or a package.

    Examples
    --------
    >>> data = Split(np.zeros((10, 784), np.uint8), np.arange(10), "zeros", "memory")
    >>> data
    Split('zeros': 10 samples of 784 uint8, from memory)
    >>> x, y, *_ = data
    >>> x.shape, y.dtype
    ((10, 784), dtype('int64'))
    """

    x: NDArray[Any]
    y: NDArray[np.int64]
    name: str
    source: str

    def __repr__(self) -> str:
        n, n_in = self.x.shape
        return f"Split({self.name!r}: {n} samples of {n_in} {self.x.dtype}, from {self.source})"

    def take(self, n: int) -> Split:
        """Return the first ``n`` samples, as views.

        Raises
        ------
        TypeError, ValueError
            ``n`` is no whole number from 1 to the number of samples.

        Examples
        --------
        >>> Split(np.zeros((10, 784), np.uint8), np.arange(10), "zeros", "memory").take(3).y
        array([0, 1, 2])
        """
        if count("n", n) > len(self.x):
            raise ValueError(f"n: got {n}; {self.name} has 1 to {len(self.x)} samples to take")
        return self._replace(x=self.x[:n], y=self.y[:n])

    def split(self, fraction: float, seed: int = 0) -> tuple[Split, Split]:
        """Hold out a random ``fraction`` of the samples, for validation; both parts keep the order they had.

        Parameters
        ----------
        fraction : float
            Between 0 and 1, of the samples to hold out; rounded, at least 1.
        seed : int
            Which samples: the same seed holds out the same.

        Returns
        -------
        rest, held_out : Split
            Copies, that share no sample.

        Raises
        ------
        TypeError, ValueError
            ``fraction`` is not between 0 and 1, or would leave a part empty; ``seed`` is not 0 or more.

        Examples
        --------
        >>> data = Split(np.zeros((10, 784), np.uint8), np.arange(10), "zeros", "memory")
        >>> rest, held_out = data.split(0.2)
        >>> len(rest.x), len(held_out.x)
        (8, 2)
        """
        n = len(self.x)
        n_held = max(1, round(n * positive("fraction", fraction, below=1)))
        if n_held == n:
            raise ValueError(f"fraction: got {fraction}, expected one that leaves samples of the {n} in both parts")
        held = np.zeros(n, bool)
        held[np.random.default_rng(count("seed", seed, 0)).permutation(n)[:n_held]] = True
        return (self._replace(x=self.x[~held], y=self.y[~held]), self._replace(x=self.x[held], y=self.y[held]))


def stratified(y: NDArray[np.int64], every: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Divide samples into train and test: of each class, each ``every``-th sample is for the test.

    No random numbers, so no NumPy can change the outcome. Both parts take the classes in turn, so that any
    number of first samples is balanced too.

    Parameters
    ----------
    y : (n,) int64 ndarray
        Classes.
    every : int
        2 or more.

    Returns
    -------
    train, test : (n_train,) and (n_test,) ndarrays
        Indices into ``y``.

    Examples
    --------
    >>> train, test = stratified(np.array([0, 0, 0, 0, 1, 1, 1, 1]), every=2)
    >>> train, test
    (array([0, 4, 2, 6]), array([1, 5, 3, 7]))
    """
    by_class = np.argsort(y, kind="stable")
    first = np.searchsorted(y[by_class], y[by_class])
    rank = np.empty(len(y), np.intp)
    rank[by_class] = np.arange(len(y)) - first
    order = np.lexsort((y, rank))
    held = rank[order] % every == every - 1
    return order[~held], order[held]
