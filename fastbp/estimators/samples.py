"""Samples with their targets and weights, dense or sparse, and some MB of them at a time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from scipy.sparse import issparse

# Dense rows at a time of a sparse X: enough that what every call costs beside its samples is little, and little
# enough to leave memory for others.
SLICE_BYTES = 1 << 27


class Samples(NamedTuple):
    """What to learn: inputs, targets as the network takes them, and weights."""

    x: Any  # (n, n_in), C-contiguous or CSR
    y: np.ndarray  # (n,) int64 classes, or (n, n_out) numbers
    weight: np.ndarray | None  # float64 (n,)
    total: float | None = None  # what the weights are relative to, where it is not their sum

    @property
    def total_weight(self) -> float:
        """The sum of the weights, or what stands for it: n without any."""
        if self.total is not None:
            return self.total
        return float(self.x.shape[0] if self.weight is None else self.weight.sum())

    def weights_of(self, places: Any) -> dict[str, Any]:
        """The argument ``sample_weight`` for some of the samples, all over ``total_weight`` / n; none without any."""
        if self.weight is None:
            return {}
        return {"sample_weight": self.weight[places] * (len(self.weight) / self.total_weight)}


def slices(x: Any, batch_size: int = 1, order: np.ndarray | None = None) -> Iterator[tuple[Any, np.ndarray]]:
    """Yield (places, dense rows) until all are done: a dense ``x`` at once, a sparse one SLICE_BYTES at a time.

    One batch is in one slice, also where it alone takes more than SLICE_BYTES.

    Parameters
    ----------
    x : ndarray or CSR matrix, (n, n_in)
    batch_size : int
        A slice holds a multiple of it, but for the last one.
    order : ndarray of int, (n,), optional
        The order to take the rows of a sparse ``x`` in.

    Yields
    ------
    places : slice or ndarray of int
        Which rows they are.
    rows : ndarray
        Overwritten when the next ones are asked for.

    Examples
    --------
    >>> from scipy.sparse import eye_array
    >>> [(places, rows.shape) for places, rows in slices(eye_array(4, 3, format="csr"))]
    [(slice(0, 4, None), (4, 3))]
    """
    if not issparse(x):
        yield slice(None), x
        return
    n, n_in = x.shape
    height = min(n, max(1, SLICE_BYTES // (n_in * x.dtype.itemsize * batch_size)) * batch_size)
    buffer = np.empty((height, n_in), x.dtype)
    for start in range(0, n, height):
        places = slice(start, min(n, start + height)) if order is None else order[start : start + height]
        rows = x[places]
        yield places, rows.toarray(out=buffer[: rows.shape[0]])
