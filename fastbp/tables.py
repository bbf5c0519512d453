"""What kernels are told of a network: a table of its layers, one of its tiles, and how samples are cut.

Samples at work together are a **block**; a task takes a **chunk** of one through a narrow network; in a large batch a
few **parts** of one have gradients of their own, in a smaller one its inputs may be cut into **slices**. All depend on
the network and the batch alone, and so do the bits.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise, product

import numpy as np

from . import plan
from .kernels import activations, costs
from .kernels.layout import LAYER, PANEL, TILE, TILE_NUMBERS, leading_dimension, packed_size, pad
from .kernels.rows import TASK_ROWS, tasks_of
from .layers import Dense
from .lazy import lazy

# A block's activations should stay in the second-level cache, and give every thread chunks enough. In a wide network
# they may be more: its weights, which are read once a block, are more still.
BLOCK_NUMBERS, WIDE_BLOCK_NUMBERS, BLOCK_ROWS = 1 << 18, 1 << 20, 2048
# Samples a chunk: rows enough to reuse a panel of W while it is in the cache, chunks enough for the threads. Costs
# are added up chunk by chunk.
CHUNK_ROWS, MOST_CHUNK_ROWS, CHUNK_SECONDS = 24, 64, 4e-6
# A block's samples are cut into parts, each with a gradient of its own, so that a thread sums what it computed itself
# (docs/experiments.md). Parts are large, and their gradients fit the cache and are less than the inputs.
PART_ROWS, MOST_PARTS, PARTS_BYTES = 120, 4, 1 << 20
# Or, where a batch is too small for parts and a narrow network's inputs are many, these are cut (kernels/slices.py):
# in batches that one thread needs so long for that a second one is worth three meetings.
SLICES, SLICED_INPUTS, SLICED_SECONDS = 2, 512, 5e-6
# Tiles of a wide network stand in the order of so many segments of the stages forward: in teams of 2, and mostly of
# 4, each thread updates what it reads.
SEGMENTS = 4
# What one thread does, measured roughly: multiply-adds a second, and seconds a sample beside them.
RATE, SAMPLE_SECONDS = 1.5e11, 5e-8


@dataclass(frozen=True)
class Shape:
    """All that the tables depend on."""

    n_in: int
    layers: tuple[Dense, ...]
    cost: str
    dtype: np.dtype

    @property
    def sizes(self) -> list[int]:
        """n_in, and every layer's number of units."""
        return [self.n_in, *(layer.n for layer in self.layers)]

    @lazy
    def multiply_adds(self) -> int:
        """Per sample, of a gradient: forward, gradient, and the deltas of all layers but the first."""
        products = [a * b for a, b in zip(self.sizes, self.sizes[1:], strict=False)]
        return 3 * sum(products) - products[0]

    @lazy
    def sample_seconds(self) -> float:
        """About what one thread needs for a sample of a large batch."""
        return SAMPLE_SECONDS + self.multiply_adds / RATE

    @lazy
    def packed(self) -> int:
        """Numbers that all parameters take in panels."""
        return sum(packed_size(n_in + 1, n) for n_in, n in zip(self.sizes, self.sizes[1:], strict=False))

    @lazy
    def is_wide(self) -> bool:
        """Whether tasks share out columns, not samples (plan.py)."""
        return plan.is_wide(pad(n) for n in self.sizes[1:])

    @lazy
    def block_rows(self) -> int:
        """The most samples of a block."""
        numbers = sum(leading_dimension(n, self.dtype.itemsize) for n in self.sizes)
        most = WIDE_BLOCK_NUMBERS if self.is_wide else BLOCK_NUMBERS
        return min(BLOCK_ROWS, max(64, most // numbers // 8 * 8))

    @lazy
    def has_slices(self) -> bool:
        """Whether there are batches whose inputs are cut into slices."""
        return self.n_in >= SLICED_INPUTS and not self.is_wide

    @lazy
    def slice_inputs(self) -> int:
        """The inputs of a slice; the last one may have fewer."""
        return pad(-(-self.n_in // (SLICES if self.has_slices else 1)))

    @lazy
    def slice_words(self) -> int:
        """64-bit words with a bit for each input of a slice."""
        return -(-self.slice_inputs // 64)

    @lazy
    def ld_slice(self) -> int:
        """Numbers from one sample's inputs to the next's, where slices lie apart."""
        return leading_dimension(64 * self.slice_words, self.dtype.itemsize) if self.has_slices else 0

    def chunk_rows(self, batch: int) -> int:
        """About how many samples of a batch are a chunk.

        Where the inputs are cut into slices, so are the samples: each of two threads takes one chunk through the rest.
        """
        least, rows = max(CHUNK_ROWS, int(CHUNK_SECONDS / self.sample_seconds)), min(batch, self.block_rows)
        if self.slices(batch) > 1:
            return max(least, -(-rows // SLICES))
        return min(MOST_CHUNK_ROWS, max(least, rows // 8))

    def is_chunk(self, rows: int) -> bool:
        """Whether so few samples are a single chunk."""
        return 2 * rows < 3 * self.chunk_rows(rows)

    def parts(self, batch: int) -> int:
        """How many parts of a block have gradients of their own."""
        if self.is_wide:
            return 1
        rows = min(batch, self.block_rows)
        most = rows // PART_ROWS, rows * self.n_in // self.packed, PARTS_BYTES // (self.packed * self.dtype.itemsize)
        return max(1, min(MOST_PARTS, *most))

    def slices(self, batch: int) -> int:
        """How many slices of the inputs are summed on their own: 1 where samples are cut into parts, or are few."""
        is_worth_it = batch > 1 and batch * self.sample_seconds >= SLICED_SECONDS
        return SLICES if self.has_slices and self.parts(batch) == 1 and is_worth_it else 1


def layer_table(
    shape: Shape, rows: int, online: bool = False, dropout_seed: int | None = None
) -> tuple[np.ndarray, dict[str, int]]:
    """The LAYER records of a network whose buffers hold ``rows`` samples, and numbers of each of these buffers."""
    itemsize, last = shape.dtype.itemsize, len(shape.layers) - 1
    table = np.zeros(last + 1, LAYER)
    ld_in, a_in = leading_dimension(shape.n_in, itemsize), 0
    acts, deltas, flat, w, wt, n_in = max(ld_in, SLICES * shape.ld_slice) * rows, 0, 0, 0, 0, shape.n_in
    for index, layer in enumerate(shape.layers):
        code = activations.CODES[str(layer.activation)]
        ld = leading_dimension(layer.n, itemsize)
        drop = _dropout(index, layer.dropout, dropout_seed)
        if index > 0 and drop[0]:
            a_in, acts = acts, acts + ld_in * rows
        z = a = acts
        if code in activations.KEEPS_Z or (index == last and shape.cost in costs.GOES_WITH):
            acts = a = acts + ld * rows
        first = index == 0
        has_wt = not first and not online  # nothing flows back through the first layer
        sizes, weights = (n_in, layer.n, pad(layer.n), layer.bias, code), (flat, w, wt if has_wt else -1)
        table[index] = (first, *sizes, *weights, a_in, ld_in, z, a, deltas, ld, 0, *drop)
        acts, deltas = acts + ld * rows, deltas + ld * rows
        flat, w = flat + layer.n_parameters(n_in), w + packed_size(n_in + 1, layer.n)
        wt += packed_size(layer.n, n_in) if has_wt else 0
        n_in, ld_in, a_in = layer.n, ld, a
    table["at"] = table.ctypes.data + LAYER.itemsize * np.arange(last + 1)
    return table, {"acts": acts, "deltas": deltas, "theta": w, "wt": wt}


def _dropout(index: int, rate: float, seed: int | None) -> tuple[int, int, float]:
    """A layer's numbers for ``kernels/dropout.py``: its rate's digits, its masks' key, and what they hold but 0."""
    if seed is None or not rate:
        return 0, 0, 1.0
    key = np.random.SeedSequence([seed, index]).generate_state(1, np.uint64)
    digits = np.array(rate * 2.0**64, np.uint64)
    return int(digits.view(np.int64)), int(key.view(np.int64)[0]), 1 / (1 - rate)


def _tile_rows(begin: int, end: int, width: int) -> list[tuple[int, int]]:
    """Rows begin to end of a panel in tiles of about the same height: (from, to)."""
    words = -(-(end - begin) // 64)
    tiles = -(-64 * words * width // TILE_NUMBERS)
    starts = [begin + 64 * (words * k // tiles) for k in range(tiles)]
    return list(zip(starts, [*starts[1:], end], strict=True))


def _segment(task: int, tasks: int) -> int:
    """Which of SEGMENTS segments of a stage has a task (``kernels/team.py``)."""
    return ((task + 1) * SEGMENTS - 1) // tasks


def _owner(tile: tuple[int, ...], layer: np.void, by_rows: bool) -> int:
    """The segment of a stage forward that reads a tile of a wide network; the middle one, where a single task does."""
    index, j0, i0, *_ = tile
    if by_rows and index:
        return _segment(i0 // TASK_ROWS, tasks_of(int(layer["n_in"])))
    panels = -(-int(layer["width"]) // PANEL)
    return _segment(j0 // PANEL, panels) if panels > 1 else SEGMENTS // 2


def tile_table(shape: Shape, layers: np.ndarray, by_rows: bool) -> np.ndarray:
    """TILE records of every layer's panels.

    Within a layer those of the same rows follow each other, so that a thread needs few of the inputs at a time. In a
    wide network those stand together that one thread reads forward, panels or rows (plan.py), later layers first. In a
    narrow one the larger ones come first, but where there are slices of inputs: then none has rows of two; the first
    slice's are in the first half of all, filled up with small ones of later layers, and the second slice's in the other
    half, with the rest: of a small batch the second thread has the later layers (kernels/slices.py).
    """
    tiles: list[tuple[int, ...]] = []
    ends = [shape.slice_inputs] if shape.has_slices else []
    for index, layer in enumerate(layers):
        n_in, bias, width = int(layer["n_in"]), int(layer["bias"]), min(PANEL, int(layer["width"]))
        cuts = [0, *(ends if index == 0 else []), n_in]
        rows = [tile for cut in pairwise(cuts) for tile in _tile_rows(*cut, width)]
        columns = range(0, int(layer["width"]), PANEL)
        for (i, end), j in product(rows, columns):
            tiles.append((index, j, i, end, bias and end == n_in))
    if shape.has_slices:
        inputs = [tile for tile in tiles if tile[0] == 0]
        others = sorted(tiles[len(inputs) :], key=lambda tile: tile[3] - tile[2])
        first_slice = sum(tile[3] <= ends[0] for tile in inputs)
        before = max(0, len(tiles) // 2 - first_slice)
        tiles = others[:before] + inputs + others[before:]
    elif shape.is_wide:
        tiles.sort(key=lambda tile: (_owner(tile, layers[tile[0]], by_rows), -tile[0], tile[2]))
    else:
        tiles.sort(key=lambda tile: tile[2] - tile[3])
    return np.array(tiles, TILE)
