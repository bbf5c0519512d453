"""The samples of a fit: which of them are trained on, which are held out, and how to know them again."""

from __future__ import annotations

import math
import zlib
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from .kernels.lists import FEWEST_INPUTS
from .kernels.matmul import GROUP
from .kernels.shuffle import write_order
from .lazy import lazy
from .scalars import positive

# Of a larger x only rows spread over it are looked at: a fingerprint should take nothing beside an epoch.
FINGERPRINT_BYTES = 1 << 18
_name = cache(str)  # of a dtype, which NumPy takes longer to spell than all else of a fingerprint takes


@dataclass(frozen=True)
class Samples:
    """Inputs and targets, and which rows of them are trained on: they stay where they are, nothing is copied.

    Attributes
    ----------
    inputs, targets : ndarray
        As ``Network`` has checked them.
    rows : (n,) ndarray of int64, optional
        The rows to train on, ascending; None for all.
    weights : (len(inputs),) ndarray of the network's dtype, optional
        What each counts; None for one.

    Examples
    --------
    >>> len(Samples(np.zeros((5, 2)), np.zeros(5, np.int64), rows=np.array([0, 3])))
    2
    """

    inputs: np.ndarray
    targets: np.ndarray
    rows: np.ndarray | None = None
    weights: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.inputs) if self.rows is None else len(self.rows)

    def order(
        self, rng: np.random.Generator | None, epochs: int = 1, batch_size: int = 0, done: int = 0
    ) -> np.ndarray | None:
        """The rows in the order of so many epochs, one behind the other; None where all lie in order.

        Each epoch's order is drawn from ``rng``; without one it is as the rows lie. Those of a batch stand in the order
        of their classes, where that pays, from the batch on that begins at ``done``.

        Examples
        --------
        >>> samples = Samples(np.zeros((5, 2)), np.zeros(5, np.int64), rows=np.array([0, 3]))
        >>> samples.order(None, epochs=2)
        array([0, 3, 0, 3])
        """
        if rng is None:
            return None if self.rows is None else np.tile(self.rows, epochs)
        n, (classes, n_classes) = len(self), self._classes_for(batch_size)
        room, order = np.empty(n + n_classes + 1 if classes else 0, np.int64), np.empty(epochs * n, np.int64)
        at, room_at = order.ctypes.data, room.ctypes.data
        keys = rng.bit_generator.random_raw(epochs) >> 1  # rng.integers(1 << 63), in a fifth of the time
        for epoch, key in enumerate(keys.tolist()):
            write_order(at + order.itemsize * n * epoch, n, key, classes, n_classes, batch_size, done, room_at)
        return order if self.rows is None else self.rows[order]

    def targets_in(self, order: np.ndarray | None) -> np.ndarray:
        """The targets as kernels want them: a copy of classes, in this order, and rows of numbers as they lie.

        Examples
        --------
        >>> Samples(np.zeros((3, 2)), np.array([7, 8, 9])).targets_in(np.array([2, 0, 1]))
        array([9, 7, 8])
        """
        if self.targets.ndim > 1:
            return self.targets
        return self.targets.copy() if order is None else self.targets.take(order)

    def _classes_for(self, batch_size: int) -> tuple[int, int]:
        """The address of the classes by which batches are to be sorted, and how many there are; zeros for none.

        They are where lists of inputs are possible, and a batch has half a group of each class. Whether these inputs
        have many zeros is left out: else bits would depend on that.
        """
        most = 2 * batch_size // GROUP
        n_out = 1 if self.targets.ndim == 1 else self.targets.shape[1]
        if max(4, n_out) > most or self.inputs.shape[1] < FEWEST_INPUTS:
            return 0, 0
        classes, n_classes = self._classes
        return (classes.ctypes.data, n_classes) if n_classes <= most else (0, 0)

    @lazy
    def _classes(self) -> tuple[np.ndarray, int]:
        """The class of each sample, or its largest target, or whether its only one is above the mean; and how many.

        Classes are bytes: of more than 256 some would only be taken for the same.
        """
        targets = self.targets if self.rows is None else self.targets[self.rows]
        if targets.ndim == 1:
            classes = targets
        else:
            classes = targets.argmax(axis=1) if targets.shape[1] > 1 else targets[:, 0] > targets.mean()
        found = classes.astype(np.uint8)
        return found, int(found.max()) + 1  # of the copy: a callback may have written to y what is no class

    def fingerprint(self) -> dict[str, Any]:
        """What tells these samples from others, as plain data: shapes, dtypes and checksums.

        The checksum is over all targets, and over all inputs up to 256 KiB; of more, over rows spread evenly.

        Examples
        --------
        >>> Samples(np.zeros((5, 2)), np.zeros(5, np.int64)).fingerprint()["x"]
        '(5, 2) of float64, checksum 8e2318e6'
        """
        step = max(1, -(-self.inputs.nbytes // FINGERPRINT_BYTES))
        found = {"x": _describe(self.inputs, step), "y": _describe(self.targets)}
        found |= {} if self.weights is None else {"sample_weight": _describe(self.weights)}
        return found | {"training samples": "all" if self.rows is None else _describe(self.rows)}


def _describe(array: np.ndarray, step: int = 1) -> str:
    checksum = zlib.crc32(np.ascontiguousarray(array[::step]).data)
    return f"{array.shape} of {_name(array.dtype)}, checksum {checksum:08x}"


def hold_out(inputs: np.ndarray, targets: np.ndarray, share: float, seed: int) -> tuple[Samples, Samples]:
    """Divide samples into those to train on, which stay where they are, and copies of a share for validation.

    Which are held out depends on ``seed``, the targets and the share alone. Classes are stratified: each has its share
    among those held out, to within one sample. Targets that are not classes are drawn from plainly.

    Parameters
    ----------
    inputs, targets : ndarray
        As ``Network`` has checked them.
    share : float
        Of the samples to hold out, above 0 and below 1; at least one is held out, and one left.
    seed : int

    Raises
    ------
    TypeError, ValueError
        If ``share`` is no such number, or there is only one sample.

    Examples
    --------
    >>> training, held_out = hold_out(np.arange(10.0)[:, np.newaxis], np.repeat([0, 1], 5), 0.4, seed=0)
    >>> len(training), held_out.targets
    (6, array([0, 0, 1, 1]))
    """
    positive("validation_split", share, below=1)
    n = len(inputs)
    if n < 2:
        raise ValueError(f"validation_split: got {share!r} of one sample, expected two samples or more")
    n_held = min(n - 1, max(1, math.floor(share * n + 0.5)))
    # A stream of its own, so that the epochs' orders are those of the same seed without validation.
    rng = np.random.default_rng(np.random.SeedSequence(seed).spawn(1)[0])
    candidates = rng.permutation(n)
    if targets.ndim == 1:  # classes: side by side, so that every so-many-th is a fair share of each
        candidates = candidates[np.argsort(targets[candidates], kind="stable")]
    places = np.floor((np.arange(n_held) + rng.random()) * n / n_held).astype(np.int64)
    held = np.zeros(n, np.bool_)
    held[candidates[places]] = True
    return Samples(inputs, targets, np.flatnonzero(~held)), Samples(inputs[held], targets[held])
