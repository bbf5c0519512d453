"""What every peer is handed: the same samples, targets and initial parameters; and how results are compared."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from .cells import EPOCH, Cell

Array = np.ndarray[Any, Any]
TOLERANCE = 1e-4  # float32 rounding, carried through an epoch of updates; seen: 1e-5 (784-800-800-10/1)
SHUFFLED = 0.1  # of how far training went, with orders of one's own; seen: 0.03, half the epochs: 0.13 and more


@dataclass
class Work:
    """The arrays of a cell.

    Attributes
    ----------
    raw : (n, n_in) uint8 or float32
        The samples as they are on disk. A peer may read them, or ``x``: whichever makes it faster.
    y : (n, n_out) float32
        Targets, one-hot for classes.
    labels : (n,) int64 or None
        The classes.
    parameters : list of ((n_in, n_out), (n_out,)) float32
        Initial weights and biases of every layer; a peer copies them.
    """

    cell: Cell
    raw: Array
    y: Array
    labels: Array | None
    parameters: list[tuple[Array, Array]]

    @cached_property
    def x(self) -> Array:
        """(n, n_in) float32, images scaled to 0..1."""
        return self.raw * np.float32(1 / 255) if self.raw.dtype == np.uint8 else self.raw


def save_mnist(folder: Path) -> str:
    """Write MNIST into ``folder`` for the workers, and return a note on which images these are."""
    from fastbp import datasets
    from fastbp.errors import DataError

    try:
        train, test = datasets.load("mnist")
        note = "full MNIST"
    except (DataError, OSError, ImportError) as error:
        train, test = datasets.load("mnist-5k")
        note = f"mnist-5k repeated to {EPOCH:,}: full MNIST is not at hand ({error})"
    for name, split, n in (("train", train, EPOCH), ("test", test, 10_000)):
        np.save(folder / f"{name}-x.npy", np.resize(split.x.reshape(len(split.x), -1), (n, split.x[0].size)))
        np.save(folder / f"{name}-y.npy", np.resize(split.y, n))
    return note


def make_work(cell: Cell, folder: Path) -> Work:
    """The arrays of ``cell``, the same in every process."""
    rng = np.random.default_rng(0)
    parameters = []
    for i, j in pairwise(cell.sizes):
        w, b = rng.standard_normal((i, j)) / np.sqrt(i), 0.1 * rng.standard_normal(j)
        parameters.append((w.astype(np.float32), b.astype(np.float32)))
    if cell.sizes[0] == 784:
        split = "test" if cell.task == "forward" else "train"
        raw, labels = (np.load(folder / f"{split}-{part}.npy")[: cell.n] for part in "xy")
        return Work(cell, raw, np.eye(10, dtype=np.float32)[labels], labels, parameters)
    x = rng.standard_normal((cell.n, cell.sizes[0])).astype(np.float32)
    if cell.name == "4-32-16-4":
        y = matrix_exponential(x.reshape(-1, 2, 2)).reshape(-1, 4).astype(np.float32)
    else:
        y = rng.standard_normal((cell.n, cell.sizes[-1])).astype(np.float32)
    return Work(cell, x, y, None, parameters)


def matrix_exponential(m: Array) -> Array:
    """e^m of a stack of small matrices, by its series: what the published 4-32-16-4 workload learns."""
    term = total = np.broadcast_to(np.eye(m.shape[-1]), m.shape).astype(np.float64)
    for k in range(1, 40):
        term = term @ m / k
        total = total + term
    return total


def flat(parameters: list[tuple[Array, Array]]) -> Array:
    """W1 row-major, b1, W2, b2, ... as one float64 vector."""
    return np.concatenate([np.asarray(p, dtype=np.float64).ravel() for layer in parameters for p in layer])


def cost(work: Work, parameters: list[tuple[Array, Array]]) -> float:
    """The cost, averaged over the first samples of the cell, in float64 whatever the peer computed in."""
    functions: dict[str, Callable[[Array], Array]] = {
        "sigmoid": lambda z: 0.5 + 0.5 * np.tanh(0.5 * z),
        "tanh": np.tanh,
        "identity": lambda z: z,
    }
    a = work.x[:10_000].astype(np.float64)
    for (w, b), name in zip(parameters, work.cell.activations, strict=True):
        a = functions[name](a @ w + b)
    return float(0.5 * work.cell.cost_scale * np.square(a - work.y[: len(a)]).sum(axis=1).mean())


def fingerprint(vector: Array) -> dict[str, float]:
    """Two numbers of a result: its length, and its component along a fixed random direction."""
    direction = np.random.default_rng(1).standard_normal(vector.size)
    return {
        "norm": float(np.linalg.norm(vector)),
        "projection": float(vector.ravel() @ direction / np.linalg.norm(direction) * np.sqrt(vector.size)),
    }


def difference(found: dict[str, float], expected: dict[str, float]) -> float:
    """The largest relative difference of two fingerprints; NaN counts as infinite.

    >>> round(difference({"norm": 1.0, "projection": 0.5}, {"norm": 1.0, "projection": 0.6}), 6)
    0.1
    """
    scale = {"norm": expected["norm"], "projection": expected["norm"], "cost": expected.get("cost", 1.0)}
    parts = [abs(found[key] - expected[key]) / max(abs(scale[key]), 1e-30) for key in expected]
    return max((part if np.isfinite(part) else np.inf) for part in parts)


def cell_from_json(text: str) -> Cell:
    """Undo ``json.dumps(asdict(cell))``."""
    fields = json.loads(text)
    return Cell(**{**fields, "sizes": tuple(fields["sizes"])})
