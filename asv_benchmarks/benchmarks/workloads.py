"""The work that benchmarks do: digit-like data, networks, and the same epoch in plain NumPy."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import numpy as np

import fastbp
from fastbp import SGD, Dense, Network, Trainer

SEED_NETWORK = (784, 16, 16, 10)
TURN = 0.1  # seconds, about: after a pause, the second thread may wake on the CPU of the first, and be moved late


def parse(cell: str) -> tuple[tuple[int, ...], int]:
    """Layer sizes and batch size of a cell, which is named as in scripts/compare_peers.py: ``784-16-16-10/100``."""
    sizes, batch_size = cell.split("/")
    return tuple(int(size) for size in sizes.split("-")), int(batch_size)


def samples(cell: str) -> int:
    """Samples of an epoch: fewer for wide networks, so that one takes 1 to 400 ms."""
    return 6000 if max(parse(cell)[0][1:]) < 512 else 2000


def digits_like(n: int, n_in: int = 784) -> tuple[np.ndarray, np.ndarray]:
    """Images with MNIST's share of ink, 19 % in a connected blob, and labels: no download, the same everywhere."""
    rng = np.random.default_rng(0)
    side = int(n_in**0.5)
    rows, columns = np.mgrid[:side, :side] / side - 0.5
    angle, stretch = rng.uniform(0, np.pi, (n, 1, 1)), rng.uniform(0.04, 0.08, (n, 1, 1))
    along = np.cos(angle) * columns + np.sin(angle) * rows
    across = np.cos(angle) * rows - np.sin(angle) * columns
    ink = np.exp(-((across / stretch) ** 2) - (along / 0.3) ** 2)
    images = np.where(ink > 0.1, ink * 255, 0).astype(np.uint8)
    return images.reshape(n, side * side), (angle.ravel() / np.pi * 10).astype(np.int64)


def network(sizes: tuple[int, ...] = SEED_NETWORK, dtype: str = "float32") -> Network:
    """A sigmoid network with the video's cost."""
    return Network(sizes[0], [Dense(n, "sigmoid") for n in sizes[1:]], cost="sum_of_squares", dtype=dtype)


def trainer(net: Network, batch_size: int = 100, n_threads: int | None = None, optimizer: object = None) -> Trainer:
    """A trainer of plain SGD, unless told otherwise."""
    return Trainer(net, optimizer or SGD(0.1), batch_size=batch_size, n_threads=n_threads)


def numpy_epoch(net: Network, x: np.ndarray, targets: np.ndarray, batch_size: int, rate: float = 0.1) -> None:
    """The same epoch as users write it with NumPy: float32, BLAS products, one mini-batch after the other."""
    weights, biases = [w.copy() for w in net.weights], [b.copy() for b in net.biases]
    order = np.random.default_rng(1).permutation(len(x))
    for start in range(0, len(x), batch_size):
        rows = order[start : start + batch_size]
        a = [x[rows]]
        for w, b in zip(weights, biases, strict=True):
            a.append(1 / (1 + np.exp(-(a[-1] @ w + b))))
        delta = 2 * (a[-1] - targets[rows]) * a[-1] * (1 - a[-1]) / np.float32(len(rows))
        for layer in range(len(weights) - 1, -1, -1):
            step_w, step_b = rate * (a[layer].T @ delta), rate * delta.sum(0)
            if layer:
                delta = (delta @ weights[layer].T) * a[layer] * (1 - a[layer])
            weights[layer] -= step_w
            biases[layer] -= step_b


def timed(work: Callable[[], object], repeats: int) -> float:
    """Seconds of one call, averaged over some."""
    begun = time.perf_counter()
    for _ in range(repeats):
        work()
    return (time.perf_counter() - begun) / repeats


def interleaved_ratio(ours: Callable[[], object], other: Callable[[], object], rounds: int = 5) -> float:
    """Median over some rounds of time(ours) / time(other), measured in turns: noise hits both alike."""
    works = [(work, max(1, round(TURN / timed(work, 2)))) for work in (ours, other)]
    times = [[timed(*work) for work in works] for _ in range(rounds)]
    return round(statistics.median(first / second for first, second in times), 4)


def ready(dtype: str = "float32") -> None:
    """Compile before anything is timed."""
    fastbp.warmup((dtype,))
