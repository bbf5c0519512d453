"""The grid: which networks, batch sizes and tasks fastbp and its peers are timed on.

A cell is one piece of work that everyone does alike. Its name is what ``--cells`` takes: ``784-16-16-10/100``
(layer sizes / batch size, one epoch of SGD), ``adam``, ``linear-output``, ``4-32-16-4``, ``gradient``, ``forward``.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import pairwise

EPOCH = 60_000  # samples in an epoch of MNIST: times of a subset are scaled to it
LAYERS = ("784-16-16-10", "784-30-10", "784-100-10", "784-128-64-10", "784-512-512-10", "784-800-800-10")
BATCHES = (1, 10, 100, 1000)
DEFAULT = ("784-16-16-10/1", "784-16-16-10/10", "784-16-16-10/100", "784-100-10/100", "4-32-16-4", "gradient")
EXTRA = ("linear-output",)  # beside the grid, and not in its mean


@dataclass(frozen=True)
class Cell:
    """One piece of work.

    Attributes
    ----------
    name : str
        What the table and ``--cells`` call it.
    sizes : tuple of int
        Units a layer, the inputs first.
    n : int
        Samples: in an epoch, in a gradient, or in a forward pass.
    batch : int
        Samples a parameter update; divides ``n``.
    task : {"train", "gradient", "forward"}
        One epoch, one gradient of all samples, or the outputs of all samples.
    hidden, output, cost, optimizer : str
        fastbp's names of the activations, the cost and the optimizer.
    learning_rate : float
        Step size of the optimizer.
    repeats : int
        Epochs or calls in a turn; a turn's time is divided by it.
    check_repeats : int
        Epochs trained, without a shuffle, before the results are compared.
    """

    name: str
    sizes: tuple[int, ...]
    n: int
    batch: int
    task: str = "train"
    hidden: str = "sigmoid"
    output: str = "sigmoid"
    cost: str = "sum_of_squares"
    optimizer: str = "sgd"
    learning_rate: float = 0.1
    repeats: int = 5
    check_repeats: int = 1

    @property
    def activations(self) -> list[str]:
        """The activation of every layer, in order."""
        return [self.hidden] * (len(self.sizes) - 2) + [self.output]

    @property
    def full_batch(self) -> bool:
        """Whether an epoch is one update: nothing to shuffle."""
        return self.batch == self.n

    @property
    def cost_scale(self) -> float:
        """c in dC/da = c (a - y), of one sample."""
        return {"sum_of_squares": 2.0, "half_sum_of_squares": 1.0}[self.cost]

    @property
    def n_weights(self) -> int:
        """Weights of all layers, without the biases."""
        return sum(i * j for i, j in pairwise(self.sizes))

    @property
    def flops(self) -> float:
        """Floating-point operations a sample, zeros counted: 2 a weight and product, no delta for the inputs."""
        products = 1 if self.task == "forward" else 3
        return 2.0 * products * self.n_weights - (2.0 * self.sizes[0] * self.sizes[1] if products == 3 else 0.0)

    @property
    def bytes(self) -> float:
        """Bytes a sample that must move: its input as fastbp reads it, and a share of the parameters' four passes.

        The passes are the reads forward, backward and by the update, and the update's write; one when only forward.
        """
        passes = 1 if self.task == "forward" else 4
        return self.sizes[0] * (1 if self.sizes[0] == 784 else 4) + 4.0 * passes * self.n_weights / self.batch

    @property
    def unit(self) -> tuple[str, float]:
        """(what one time is of, the factor from one repeat to it)."""
        if self.task == "train" and not self.full_batch:
            return f"epoch of {EPOCH:,}", EPOCH / self.n
        return {"train": "step", "gradient": "gradient", "forward": f"{self.n:,} images"}[self.task], 1.0


def layer_sizes(text: str) -> tuple[int, ...]:
    """Read ``784-16-16-10``.

    >>> layer_sizes("784-16-16-10")
    (784, 16, 16, 10)
    """
    return tuple(int(size) for size in text.split("-"))


def sgd_cell(layers: str, batch: int, seconds: float) -> Cell:
    """One epoch of SGD on as many samples as a slow peer trains on in about ``seconds``; the same for everyone.

    >>> sgd_cell("784-16-16-10", 100, 0.6).n
    60000
    """
    cell = Cell(f"{layers}/{batch}", layer_sizes(layers), EPOCH, batch, learning_rate=min(0.5, 0.05 * batch**0.5))
    # A batch of the slowest: calls from Python, arithmetic at 200 GFLOP/s, seven passes over W at 30 GB/s.
    slow = 150e-6 + batch * cell.flops / 2e11 + 28 * cell.n_weights / 3e10
    n = min(EPOCH, max(2 * batch, 1000, round(seconds / slow * batch / 1000) * 1000))
    return replace(cell, n=n, repeats=5 if n * cell.flops < 2e10 else 2)


def grid(seconds: float = 0.6) -> list[Cell]:
    """Every cell, in the order of the table."""
    seed = layer_sizes("784-16-16-10")
    return [sgd_cell(layers, batch, seconds) for layers in LAYERS for batch in BATCHES] + [
        Cell("adam", seed, EPOCH, 100, optimizer="adam", learning_rate=0.001),
        # The one way of training on MNIST that scikit-learn shares: identity outputs with squares.
        Cell("linear-output", seed, EPOCH, 100, output="identity", cost="half_sum_of_squares", learning_rate=0.05),
        Cell("4-32-16-4", (4, 32, 16, 4), 10_000, 10_000, hidden="tanh", output="identity", cost="half_sum_of_squares",
             optimizer="adam", learning_rate=0.001, repeats=200, check_repeats=20),
        Cell("gradient", (24, 8, 2), 200, 200, task="gradient", hidden="tanh", output="identity", repeats=2000),
        Cell("forward", seed, 10_000, 10_000, task="forward", repeats=20),
    ]  # fmt: skip


def select(patterns: Iterable[str], cells: list[Cell]) -> list[Cell]:
    """The cells that any of the names or glob patterns matches; ``all`` is every one.

    Raises
    ------
    ValueError
        A pattern matches nothing.

    Examples
    --------
    >>> [cell.name for cell in select(["784-30-10/*0", "adam"], grid())]
    ['784-30-10/10', '784-30-10/100', '784-30-10/1000', 'adam']
    """
    chosen = set()
    for pattern in patterns:
        names = fnmatch.filter([cell.name for cell in cells], "*" if pattern == "all" else pattern)
        if not names:
            raise ValueError(f"--cells: nothing matches {pattern!r}; there are {', '.join(c.name for c in cells)}")
        chosen.update(names)
    return [cell for cell in cells if cell.name in chosen]
