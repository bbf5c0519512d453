"""Batches of a narrow network with many inputs: these are cut into slices, which a team's threads share out."""

from __future__ import annotations

import threading
from itertools import permutations
from typing import Any

import numpy as np
import pytest
import reference
from conftest import Build, simple
from launched import train

from fastbp import SGD, Adam, Dense, Dropout, Network, Trainer, _threads
from fastbp._jit import carray, serial
from fastbp.kernels.launch import run_pointer
from fastbp.kernels.layout import DELTA, LINE, PANEL, RUN, TILE_NUMBERS
from fastbp.kernels.slices import WAITS, is_last_piece
from fastbp.tables import PART_ROWS, SLICED_INPUTS, Shape
from fastbp.workspace import Workspace

TOLERANCE = {"float64": 1e-11, "float32": 2e-5}  # as in test_gradients
ODD = SLICED_INPUTS + 3 * 64 + 5  # slices of 368 inputs, 5 words and 48 more, and of 341
SIZES = [17, 40, 100, 2 * PART_ROWS - 1]  # the first is a single chunk of samples
KINDS = ["uint8", "sparse", "dense"]
pairs_of_threads = pytest.mark.skipif(_threads.available() < 2, reason="one CPU")


def data(kind: str, n: int, n_in: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Inputs and classes; zeros are skipped in those that are mostly zero."""
    x = rng.normal(size=(n, n_in))
    if kind != "dense":
        x *= rng.random((n, n_in)) < 0.05
    y = rng.integers(0, 3, n)
    return (np.abs(60 * x).astype(np.uint8) if kind == "uint8" else x), y


def pair(n_in: int, dtype: str, build: Build) -> tuple[Network, reference.Reference]:
    network, oracle = build(n_in, simple([40, 3], "tanh", "softmax"), "cross_entropy", dtype)
    network.set_parameters(network.get_parameters() / 8)
    oracle.theta = oracle.theta / 8
    return network, oracle


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("n_in", [SLICED_INPUTS, ODD])
@pytest.mark.parametrize("n", SIZES)
def test_a_gradient_of_sliced_inputs(
    n: int, n_in: int, kind: str, dtype: str, build: Build, rng: np.random.Generator
) -> None:
    network, oracle = pair(n_in, dtype, build)
    x, y = data(kind, n, n_in, rng)
    x = x if kind == "uint8" else x.astype(dtype)
    assert network._shape.slices(n) == 2
    want = oracle.gradient(x / 255 if kind == "uint8" else x, y)
    np.testing.assert_allclose(network.gradient(x, y).flat, want, rtol=0, atol=TOLERANCE[dtype] * np.abs(want).max())
    assert network._spare[-1]["skip_zeros"] == (kind != "dense")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("n", [9, 2 * PART_ROWS])
def test_tiles_end_with_slices_where_a_batch_has_none(
    n: int, kind: str, build: Build, rng: np.random.Generator
) -> None:
    network, oracle = pair(ODD, "float64", build)
    x, y = data(kind, n, ODD, rng)
    assert network._shape.slices(n) == 1
    oracle.theta = oracle.theta - 0.1 * oracle.gradient(x / 255 if kind == "uint8" else x, y)
    Trainer(network, SGD(0.1), batch_size=n, shuffle=False).fit(x, y, epochs=1)
    np.testing.assert_allclose(network.get_parameters(), oracle.theta, rtol=0, atol=1e-11)


def test_a_chunk_is_work_for_as_many_threads_as_it_has_slices() -> None:
    workspace = Workspace(Network(ODD, [Dense(40), Dense(3)])._shape, 100)
    assert [workspace.threads_worth(4, rows) for rows in (8, 17, 100)] == [1, 2, 4]
    assert workspace.threads_worth(1, 17) == 1


@pytest.mark.parametrize(
    ("n_in", "width", "batch", "slices"),
    [
        (ODD, 40, 100, 2),
        (ODD, 40, 17, 2),
        (SLICED_INPUTS - 1, 40, 100, 1),
        (ODD, 300, 100, 1),
        (ODD, 40, 8, 1),
        (ODD, 255, 1, 1),
        (ODD, 40, 1000, 1),
    ],
    ids=["sliced", "a single chunk", "few inputs", "a wide network", "little work", "one sample", "parts instead"],
)
def test_which_batches_have_slices(n_in: int, width: int, batch: int, slices: int) -> None:
    shape = Network(n_in, [Dense(width), Dense(3)])._shape
    assert shape.slices(batch) == slices


@pytest.mark.parametrize("n_in", [3, 64, 70, SLICED_INPUTS, ODD, 784, 1000])
@pytest.mark.parametrize("widths", [(16, 3), (17, 90), (48, 200, 5), (300, 3)])
def test_tiles_cover_the_parameters_once(n_in: int, widths: tuple[int, ...]) -> None:
    """And are no larger than the room for one, begin where a list says how far it is, and have rows of one slice."""
    workspace = Workspace(Network(n_in, [Dense(width) for width in widths])._shape, 100)
    seen = [np.zeros((layer["n_in"], layer["width"]), int) for layer in workspace.layers]
    cut = workspace.shape.slice_inputs if workspace.shape.has_slices else 0
    for layer, j, start, stop, _ in workspace.tiles.tolist():
        width = min(PANEL, seen[layer].shape[1] - j)
        seen[layer][start:stop, j : j + width] += 1
        assert (start - (cut if layer == 0 and start >= cut else 0)) % 64 == 0
        assert (stop - start) * width <= TILE_NUMBERS
        assert layer > 0 or stop <= cut or start >= cut
    assert all((tiles == 1).all() for tiles in seen)


@pairs_of_threads
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("optimizer", [SGD(0.3), SGD(0.3, momentum=0.5, l2=1e-3), Adam(0.01)], ids=repr)
@pytest.mark.parametrize("limits", [{}, {"clip_norm": 0.05}, {"clip_sample_norm": 0.05}, {"max_norm": 0.8}], ids=str)
def test_threads_train_to_the_same_bits(
    kind: str, optimizer: Any, limits: dict[str, float], build: Build, rng: np.random.Generator
) -> None:
    x, y = data(kind, 330, ODD, rng)
    start, found = pair(ODD, "float32", build)[0].get_parameters(), []
    for threads in (1, 2, 3):
        network = pair(ODD, "float32", build)[0]
        network.set_parameters(start)
        found.append(train(network, optimizer, limits, x, y, 100, threads))
        np.testing.assert_array_equal(found[0], found[-1])
    assert np.abs(found[0] - start).max() > 1e-4


@pairs_of_threads
def test_only_a_team_takes_slices_apart(rng: np.random.Generator) -> None:
    x, y = data("sparse", 100, ODD, rng)
    network = Network(ODD, [Dense(20), Dense(3)])
    workspace = Workspace(network._shape, 100)
    (inputs, targets), grad = network._samples(x, y), np.empty(network.n_parameters, np.float32)
    workspace.point_at(inputs, targets)
    workspace.prepare(DELTA, 100, network._theta, grad=grad)
    for threads, apart in ((2, 1), (1, 0)):
        workspace.launch(0, 100, threads)
        assert workspace["apart"] == apart


@pairs_of_threads
def test_dropped_inputs_are_the_same_in_slices(rng: np.random.Generator) -> None:
    x, y = data("dense", 230, ODD, rng)
    found = []
    for threads in (1, 2):
        network = Network(ODD, [Dropout(0.4), Dense(20, "tanh"), Dense(3, "softmax")], seed=1)
        found.append(train(network, SGD(0.1), {}, x, y, 100, threads))
    np.testing.assert_array_equal(*found)


@pytest.mark.parametrize("kind", KINDS)
def test_steps_are_those_of_the_oracle(kind: str, build: Build, rng: np.random.Generator) -> None:
    network, oracle = pair(ODD, "float64", build)
    x, y = data(kind, 130, ODD, rng)
    for batch in (slice(0, 90), slice(90, None)):  # the last batch is a single chunk, and has the stages of the others
        some = x[batch] / 255 if kind == "uint8" else x[batch]
        oracle.theta = oracle.theta - 0.1 * oracle.gradient(some, y[batch])
    Trainer(network, SGD(0.1), batch_size=90, shuffle=False).fit(x, y, epochs=1)
    np.testing.assert_allclose(network.get_parameters(), oracle.theta, rtol=0, atol=1e-11)


def test_a_teams_member_has_the_tiles_of_its_slice() -> None:
    """Half of the tiles lie in the first slice, but for those of later layers: each thread takes half of them."""
    for width in (16, 100):
        workspace = Workspace(Network(784, [Dense(width), Dense(16), Dense(10)])._shape, 100)
        half = len(workspace.tiles) // 2
        first = {int(tile["i0"]) for tile in workspace.tiles[:half] if tile["layer"] == 0}
        second = {int(tile["i0"]) for tile in workspace.tiles[half:] if tile["layer"] == 0}
        assert max(first) < 400 == min(second)


def test_later_layers_tiles_are_those_of_the_second_slices_thread() -> None:
    """But for small ones, so that both have half of the tiles."""
    tiles = Workspace(Network(784, [Dense(128), Dense(64), Dense(10)])._shape, 10).tiles
    later = [int(tile["layer"]) for tile in tiles[len(tiles) // 2 :] if tile["layer"]]
    assert later == [1, 1]


@serial
def is_last(at, piece, chunk):
    return is_last_piece(carray(run_pointer(at), 1)[0], piece, chunk)


class Counted:
    """A run record of which ``is_last_piece`` needs the slices, the chunks, and the count of slices that are done."""

    def __init__(self, slices: int, chunks: int) -> None:
        self.run, self.costs = np.zeros(1, RUN), np.zeros(LINE // 8 * chunks, np.int64)
        self.run["slices"], self.run["chunks"], self.run["costs"] = slices, chunks, self.costs.ctypes.data

    def goes_on(self, piece: int, chunk: int = 0) -> bool:
        return bool(is_last(self.run.ctypes.data, piece, chunk))

    def done(self, chunk: int = 0) -> int:
        return int(self.costs[LINE // 8 * chunk + 1])


@pytest.mark.parametrize("chunks", [1, 2])
@pytest.mark.parametrize("order", [*permutations(range(2)), *permutations(range(3))])
def test_who_brings_the_last_slice_goes_on(order: tuple[int, ...], chunks: int) -> None:
    counted = Counted(len(order), chunks)
    assert [counted.goes_on(piece) for piece in order] == [False] * (len(order) - 1) + [True]
    assert counted.done() == 0


def test_a_single_chunk_is_left_to_who_waits_for_it() -> None:
    counted = Counted(2, 1)
    counted.costs[1] = 1 + WAITS  # as the second slice's task leaves it while it waits
    assert not counted.goes_on(0)
    assert counted.done() == 2 + WAITS


def test_one_of_two_threads_goes_on() -> None:
    counted, going = Counted(2, 1), np.zeros((2, 2000), bool)

    def work(piece: int) -> None:
        for batch in range(2000):
            going[piece, batch] = counted.goes_on(piece)
            both.wait()

    both = threading.Barrier(2)
    members = [threading.Thread(target=work, args=(piece,)) for piece in range(2)]
    for member in members:
        member.start()
    for member in members:
        member.join()
    np.testing.assert_array_equal(going.sum(axis=0), 1)
    assert counted.done() == 0


@pytest.mark.parametrize(("batch", "chunks"), [(35, 1), (36, 2), (100, 2), (239, 2)])
def test_a_sliced_batch_has_a_chunk_for_each_of_two_threads(batch: int, chunks: int) -> None:
    """But where it is small: then half of it is not worth a chunk."""
    workspace = Workspace(Network(784, [Dense(16), Dense(16), Dense(10)])._shape, batch)
    workspace.point_at(np.zeros((batch, 784), np.uint8), np.zeros((batch, 10), np.float32))
    workspace.prepare(DELTA, batch, np.zeros(13002, np.float32))
    workspace.launch(0, batch, 1)
    assert (workspace["slices"], workspace["chunks"]) == (2, chunks)


@pytest.mark.parametrize("batch", [300, 500, 1000])
def test_so_has_each_block_of_a_batch_that_is_larger_than_one(batch: int) -> None:
    """One thread alone took every block through the later layers: two took 1.25 times as long."""
    shape = Network(784, [Dense(128), Dense(64), Dense(10)])._shape
    assert (shape.block_rows, shape.slices(batch)) == (264, 2)
    assert shape.chunk_rows(batch) == shape.block_rows / 2


@pairs_of_threads
@pytest.mark.parametrize("chunks", [1, 2, 3, 5])
def test_every_chunk_goes_on_once(chunks: int, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whichever slice of a chunk is done last: costs and hits of a team are those of one thread, batch after batch."""
    n = 24 * chunks
    monkeypatch.setattr(Shape, "chunk_rows", lambda self, batch: 24)
    x, y = data("uint8", 6 * n, ODD, rng)
    network = Network(ODD, [Dense(40), Dense(3, "softmax")], seed=1)
    found = []
    for threads in (1, 2, 3):
        workspace, theta = Workspace(network._shape, n), network.get_parameters()
        inputs, targets = network._samples(x, y)
        workspace.point_at(inputs, targets)
        workspace.prepare(DELTA, n, theta)
        rates = np.full(6, 0.1)
        workspace["learning_rates"] = rates.ctypes.data
        assert workspace.launch(0, 6 * n, threads) == 6 * n
        assert workspace["chunks"] == chunks
        found.append(workspace.totals())
    assert found[0] == found[1] == found[2]
