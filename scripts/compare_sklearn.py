"""fastbp's estimators beside scikit-learn's, on the same data, in turns: python scripts/compare_sklearn.py

    pip install -e ".[sklearn,examples]"
    python scripts/compare_sklearn.py                          # all tasks, about two minutes
    python scripts/compare_sklearn.py --tasks mnist-float32    # one of them
    python scripts/compare_sklearn.py --list

Each estimator has its defaults (hidden 100, relu, Adam, batch 200, alpha 1e-4) and all CPUs that it may use. A round
fits scikit-learn's, then fastbp's, with the same seed; the table has the medians over the rounds, of a fit's time over
its epochs and of the accuracy on test samples, and the ratio of the times. Peak memory is that of another process which
does nothing but make the data and fit once.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import resource
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from typing import Any

import numpy as np
import scipy.sparse
import sklearn.neural_network

import fastbp
from fastbp import DataError, datasets, estimators

# scikit-learn is to be as fast as its NumPy can be here: no choice of kernel or cache size that a machine came with.
SLOWING = {"OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE"}
PEERS = {"scikit-learn": sklearn.neural_network.MLPClassifier, "fastbp": estimators.MLPClassifier}


@dataclass(frozen=True)
class Data:
    """What a task trains on, and what it is tested on."""

    x: Any
    y: np.ndarray
    test_x: Any
    test_y: np.ndarray


def mnist(dtype: str) -> Data:
    """Handwritten digits, 784 numbers from 0 to 1: MNIST, or 5,000 of them where it cannot be had."""
    try:
        train, test = datasets.load("mnist")
    except DataError:
        print("MNIST is not here and cannot be downloaded: these are 5,000 of its digits", file=sys.stderr)
        train, test = datasets.load("mnist-5k")
    x, test_x = ((split.x.reshape(len(split.x), -1) / 255).astype(dtype) for split in (train, test))
    return Data(x, train.y, test_x, test.y)


def sparse(dtype: str) -> Data:
    """20,000 texts, as it were, of 50 words out of 10,000, and 2,000 more; classes by a line through them."""
    rng = np.random.default_rng(0)
    x = scipy.sparse.random(22_000, 10_000, density=0.005, format="csr", dtype=dtype, rng=rng)
    y = x @ rng.standard_normal(10_000) > 0
    return Data(x[:20_000], y[:20_000], x[20_000:], y[20_000:])


def small(dtype: str) -> Data:
    """100 samples of 10 features: what whoever trains ten thousand networks trains each on."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((1100, 10)).astype(dtype)
    y = x[:, 0] * x[:, 1] > 0
    return Data(x[:100], y[:100], x[100:], y[100:])


# name: its data, epochs, rounds
TASKS: dict[str, tuple[Callable[[], Data], int, int]] = {
    "mnist-float32": (lambda: mnist("float32"), 20, 3),
    "mnist-float64": (lambda: mnist("float64"), 20, 3),
    "sparse-float32": (lambda: sparse("float32"), 3, 3),
    "sparse-float64": (lambda: sparse("float64"), 3, 3),
    "small-float64": (lambda: small("float64"), 200, 9),
}


def fitted(peer: str, data: Data, epochs: int, seed: int) -> tuple[Any, float]:
    """A model trained for ``epochs``, and the seconds that an epoch took."""
    model = PEERS[peer](max_iter=epochs, random_state=seed, n_iter_no_change=epochs)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it has not converged
        begun = time.perf_counter()
        model.fit(data.x, data.y)
    return model, (time.perf_counter() - begun) / model.n_iter_


def compare(name: str, epochs: int | None, rounds: int | None) -> dict[str, tuple[float, float]]:
    """For each peer: (seconds an epoch, accuracy in %), medians over the rounds."""
    make, usual_epochs, usual_rounds = TASKS[name]
    data, epochs, rounds = make(), epochs or usual_epochs, rounds or usual_rounds
    some = Data(data.x[:400], data.y[:400], data.test_x, data.test_y)
    for peer in PEERS:  # compiles, imports, starts threads
        fitted(peer, some, 2, 0)
    seconds: dict[str, list[float]] = {peer: [] for peer in PEERS}
    right: dict[str, list[float]] = {peer: [] for peer in PEERS}
    for seed in range(rounds):
        for peer in PEERS:
            model, took = fitted(peer, data, epochs, seed)
            seconds[peer].append(took)
            right[peer].append(100 * float(np.mean(model.predict(data.test_x) == data.test_y)))
            print(f"{name}, seed {seed}: {peer} {took:.4g} s an epoch, {right[peer][-1]:.2f} %", file=sys.stderr)
    return {peer: (median(seconds[peer]), median(right[peer])) for peer in PEERS}


def _peak(name: str, peer: str, epochs: int, queue: Any) -> None:
    fitted(peer, TASKS[name][0](), epochs, 0)
    queue.put(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024))


def peak_memory(name: str, peer: str) -> int:
    """Bytes that another process needed at most to make the data and fit for two epochs."""
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    process = context.Process(target=_peak, args=(name, peer, 2, queue))
    process.start()
    process.join()
    if process.exitcode:
        raise SystemExit(f"{name}: {peer} failed in a process of its own")
    return int(queue.get())


def shown(seconds: float) -> str:
    """A time in three digits."""
    return (
        f"{seconds:.3g} s"
        if seconds >= 1
        else f"{1e3 * seconds:.3g} ms"
        if seconds >= 1e-3
        else f"{1e6 * seconds:.0f} us"
    )


def main(argv: list[str] | None = None) -> None:
    """Measure and print a table, 80 columns wide."""
    parser = argparse.ArgumentParser(description="Compare fastbp's estimators with scikit-learn's.")
    parser.add_argument("--tasks", nargs="+", default=list(TASKS), choices=list(TASKS), metavar="TASK")
    parser.add_argument("--epochs", type=int, help="of every fit; each task has its own number")
    parser.add_argument("--rounds", type=int, help="fits of each; each task has its own number")
    parser.add_argument("--no-memory", action="store_true", help="do not measure peak memory")
    parser.add_argument("--list", action="store_true", help="list the tasks and leave")
    options = parser.parse_args(argv)
    if options.list:
        print("\n".join(TASKS))
        return
    if any(number is not None and number < 1 for number in (options.epochs, options.rounds)):
        parser.error("--epochs, --rounds: a number of 1 or more")
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    memory = {name: ["-", "-"] for name in options.tasks}
    if not options.no_memory:  # first: a child's peak counts from what its parent has when it begins
        memory = {name: [f"{peak_memory(name, peer) / 1e6:.0f}" for peer in PEERS] for name in options.tasks}
    rows = []
    for name in options.tasks:
        (theirs, their_accuracy), (ours, our_accuracy) = compare(name, options.epochs, options.rounds).values()
        rows.append(
            f"{name:<15}{shown(theirs):>14}{shown(ours):>11}{theirs / ours:>7.2f}"
            f"{their_accuracy:>12.2f}{our_accuracy:>8.2f}{memory[name][0]:>7}{memory[name][1]:>6}"
        )
    print(f"fastbp {fastbp.__version__}, scikit-learn {sklearn.__version__}, NumPy {np.__version__}, {cpus} CPUs")
    print(f"{'':<15}{'an epoch of':>14}{'':>18}{'accuracy, %, of':>20}{'peak MB':>13}")
    print(f"{'':<15}{'scikit-learn':>14}{'fastbp':>11}{'ratio':>7}{'sk.':>12}{'fastbp':>8}{'sk.':>7}{'fbp':>6}")
    print("\n".join(rows))


if __name__ == "__main__":
    if SLOWING & os.environ.keys():  # NumPy reads them when it is imported: begin again without them
        kept = {name: value for name, value in os.environ.items() if name not in SLOWING}
        os.execve(sys.executable, [sys.executable, *sys.argv], kept)
    main()
