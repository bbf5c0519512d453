"""Rows of a wide network's W that tasks share out: the sums that they bring, and who updates what it read."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from conftest import Build, simple

from fastbp import SGD, Dense, Network, Trainer
from fastbp.kernels.dense import FEW_ROWS
from fastbp.kernels.layout import PANEL
from fastbp.kernels.lists import CHAINS
from fastbp.kernels.rows import MOST_SAMPLES, TASK_ROWS
from fastbp.tables import layer_table, tile_table

N, N_OUT = 2 * TASK_ROWS + 45, 3


def one_after_the_other(numbers: np.ndarray, first: np.ndarray) -> np.ndarray:
    """Their sum over the first axis, each addition rounded."""
    total = first.copy()
    for row in numbers:
        total = total + row
    return total


def in_chains(numbers: np.ndarray, first: np.ndarray) -> np.ndarray:
    """The sum as online SGD has it: every CHAINS-th in a chain of its own; what is left over in the first chain."""
    whole = len(numbers) // CHAINS * CHAINS
    chains = [one_after_the_other(numbers[c:whole:CHAINS], np.zeros_like(first)) for c in range(CHAINS)]
    chains[0] = one_after_the_other(numbers[whole:], chains[0])
    return first + ((chains[0] + chains[2]) + (chains[1] + chains[3]))


def in_tasks(products: np.ndarray, bias: np.ndarray, order: Any) -> np.ndarray:
    """z = the sum of all tasks' sums; the last one's begins with b."""
    tasks = [products[start : start + TASK_ROWS] for start in range(0, N, TASK_ROWS)]
    sums = [order(task, bias if task is tasks[-1] else np.zeros_like(bias)) for task in tasks]
    return one_after_the_other(np.array(sums[1:]), sums[0])


@pytest.fixture
def net(rng: np.random.Generator) -> Network:
    """The first layer hands its inputs on; the second multiplies them."""
    net = Network(N, [Dense(N, "identity"), Dense(N_OUT, "identity")], cost="half_sum_of_squares", dtype="float32")
    net.weights[0][:] = np.eye(N)
    net.weights[1][:] = rng.normal(size=(N, N_OUT))
    return net


@pytest.mark.parametrize("n", [1, 5, MOST_SAMPLES])
def test_sums_of_a_small_batch_run_in_order(n: int, net: Network, rng: np.random.Generator) -> None:
    """Inputs are powers of 2: products are exact, so that NumPy's sums in the same order have the same bits."""
    x = (2.0 ** rng.integers(-3, 4, (1, N))).astype("f4")
    net.biases[1][:] = rng.normal(size=N_OUT)
    z = in_tasks(x.T * net.weights[1], net.biases[1], one_after_the_other)
    for sample in net.per_sample_gradients(np.repeat(x, n, axis=0), np.zeros((n, N_OUT))):
        np.testing.assert_array_equal(sample[-N_OUT:], z)  # the output's delta: e = a - t, where t is 0


def test_sums_of_online_sgd_run_in_order(net: Network, rng: np.random.Generator) -> None:
    x = (2.0 ** rng.integers(-3, 4, (1, N))).astype("f4")
    z = in_tasks(x.T * net.weights[1], net.biases[1], in_chains)  # b is 0, and then 0 - delta
    Trainer(net, SGD(1.0), batch_size=1).fit(x, np.zeros((1, N_OUT)), epochs=1)
    np.testing.assert_array_equal(net.biases[1], -z)


@pytest.mark.parametrize("width", [TASK_ROWS * 2, TASK_ROWS * 2 + 1, TASK_ROWS * 3 - 1])
@pytest.mark.parametrize("n", [1, 9, MOST_SAMPLES, MOST_SAMPLES + 1, FEW_ROWS, FEW_ROWS + 1])
def test_gradients_of_wide_networks(n: int, width: int, build: Build, rng: np.random.Generator) -> None:
    net, oracle = build(20, simple([30, width, width, 4], "gelu", "softmax"), "cross_entropy")
    x, y = rng.normal(size=(n, 20)), rng.integers(0, 4, n)
    want = oracle.gradient(x, y)
    np.testing.assert_allclose(net.gradient(x, y).flat, want, rtol=0, atol=1e-12 * np.abs(want).max())


@pytest.mark.parametrize(("by_rows", "threads"), [(True, 2), (False, 2), (False, 4)])
@pytest.mark.parametrize("width", [512, 800])
def test_a_thread_updates_what_it_reads(width: int, by_rows: bool, threads: int) -> None:
    """But for a few tiles where its segment ends; in teams of 4 tiles of more rows than a task has are two threads'."""
    shape = Network(784, [Dense(width), Dense(width), Dense(10)])._shape
    tiles = tile_table(shape, layer_table(shape, 8)[0], by_rows)

    def segment(task: int, tasks: int) -> int:
        return next(k for k in range(threads) if task < tasks * (k + 1) // threads)

    def reader(tile: np.void) -> int:
        if by_rows and tile["layer"]:
            return segment(tile["i0"] // TASK_ROWS, -(-width // TASK_ROWS))
        return segment(tile["j0"] // PANEL, width // PANEL)

    hidden = [k for k, tile in enumerate(tiles) if tile["layer"] < 2]
    assert len(hidden) > 8 * threads
    strangers = [k for k in hidden if segment(k, len(tiles)) != reader(tiles[k])]
    assert len(strangers) < len(hidden) / 8
