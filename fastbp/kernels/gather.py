"""From the data as it is to a block of samples that kernels work on: gather and convert, targets and weights too.

Where most inputs are zero lists.py takes over: there only what is listed is converted.
"""

from __future__ import annotations

from .._jit import float32, float64, inlined, njit
from .dropout import drop_rows
from .layout import CLASSES, FLOAT32, SMOOTHED, UINT8
from .marks import prefetch_rows
from .memory import (
    lanes_of,
    load,
    load_byte,
    load_bytes,
    load_first,
    load_int,
    load_scalar,
    number,
    one_hot,
    prefetch,
    prefetch_far,
    size_of,
    store,
    store_int,
    store_scalar,
)
from .slices import first_input, inputs_at

SCALE = 1.0 / 255.0
# Rows come in random order, which no hardware prefetcher can guess: ask for the one that this thread will take in the
# next batch, at the same place; where a batch is tiny, or too large for the cache, for the one 8 samples ahead. Rows of
# bytes are asked for line by line while lists are made (lists.py).
AHEAD, MOST_AHEAD = 8, 256


@njit
def place_of(run, r):
    """The place of the block's r-th sample in the launch's order, or, without one, in the data."""
    return run.first + r if run.order else run.first + r - run.epoch_start


@njit
def sample_at(run, r):
    """Which sample of the data is the block's r-th."""
    return load_int(run.order + 8 * place_of(run, r)) if run.order else place_of(run, r)


@njit
def convert(one, kind, source, target, count):
    """Write ``count`` inputs from ``source`` as numbers of the network's dtype; bytes become 0 to 1."""
    size, lanes = size_of(one), lanes_of(one)
    if (kind == FLOAT32) == (size == 4) and kind != UINT8:
        whole = count - count % lanes
        for i in range(0, whole, lanes):
            store(load(one, source + size * i), target + size * i)
        if whole < count:
            store(load_first(one, source + size * whole, count - whole, 0.0), target + size * whole)
    elif kind == UINT8:
        whole = count - count % lanes
        for i in range(0, whole, lanes):
            store(load_bytes(one, source + i) * SCALE, target + size * i)
        for i in range(whole, count):
            store_scalar(number(one, load_byte(source + i)) * number(one, SCALE), target + size * i)
    elif kind == FLOAT32:
        for i in range(count):
            store_scalar(number(one, load_scalar(float32(1), source + 4 * i)), target + size * i)
    else:
        for i in range(count):
            store_scalar(number(one, load_scalar(float64(1), source + 8 * i)), target + size * i)


@njit
def is_listed(run):
    """Whether the first layer's products walk lists (lists.py); what looks at one sample alone wants whole rows."""
    return run.skip_zeros and not run.by_sample


@njit
def has_bytes(run, layer):
    """Whether lists are made from the data's bytes, which are converted after that."""
    return run.x_kind == UINT8 and not layer.drop_rate


@njit
def is_listed_as_it_lies(one, run, layer):
    """Whether lists are made from the data, and not from rows that it is copied to: bytes, or the network's dtype."""
    is_own = (run.x_kind == FLOAT32) == (size_of(one) == 4) and not run.every_input
    return is_listed(run) and (run.x_kind == UINT8 or is_own) and not layer.drop_rate


@njit
def prefetched_in_lists(run):
    """Whether rows to come are prefetched while lists are made, word by word, and not by who gathers."""
    return is_listed(run) and not run.every_input


@njit
def source_of(run, piece, r):
    """Where to note the address of row r's bytes for a slice; and, behind those of all, of the row after it."""
    return run.sources + 8 * (piece * run.block + r)


@njit
def itemsize_of(run):
    """Bytes of an input as it lies in the data."""
    return 1 << (run.x_kind + 1) if run.x_kind else 1


@inlined
def prefetch_word(run, sources, rows, first):
    """Prefetch 64 inputs, ``first`` and after, of the rows whose addresses are at ``sources``, rounded up to fours."""
    for line in range(first * itemsize_of(run), (first + 64) * itemsize_of(run), 64):
        for r in range(0, rows, 4):
            prefetch_rows(sources + 8 * r, line)


@njit
def prefetch_upcoming(run, pieces, r, row_bytes, start, stop):
    """Prefetch the row that this thread will take after sample r, bytes ``start`` to ``stop``; or note where it is."""
    ahead = run.batch if AHEAD <= run.batch <= MOST_AHEAD else AHEAD
    is_more = run.first + r + ahead < run.stop
    at = run.x + sample_at(run, r + ahead if is_more else r) * row_bytes
    if prefetched_in_lists(run):
        for piece in range(pieces[0], pieces[1]):
            store_int(at, source_of(run, piece + run.slices, r))
    elif is_more and run.order:
        for line in range(at + start, at + stop, 64):
            if run.every_input:  # online learning takes one so soon that the second level would be too far
                prefetch(line)
            else:
                prefetch_far(line)


@njit
def gather_inputs(one, run, layer, pieces, r0, r1):
    """Copy the slices ``pieces``, (from, to), of rows r0 to r1 of the inputs, as numbers of the network's dtype.

    Where lists are made from the data as it lies, note where it is instead; and where rows are, for other lists.
    """
    itemsize, size = itemsize_of(run), size_of(one)
    i0, i1 = first_input(run, pieces[0]), first_input(run, pieces[1])
    row_bytes, start, stop = run.n_in * itemsize, i0 * itemsize, i1 * itemsize
    rows, ld = run.acts + size * inputs_at(run, layer, pieces[0]), size * layer.ld_in
    as_it_lies = is_listed_as_it_lies(one, run, layer)
    for r in range(r0, r1):
        prefetch_upcoming(run, pieces, r, row_bytes, start, stop)
        source, target = run.x + sample_at(run, r) * row_bytes, rows + ld * r
        if not as_it_lies:
            convert(one, run.x_kind, source + start, target + size * i0, i1 - i0)
        if layer.drop_rate:
            drop_rows(run, layer, r, r + 1, target, target, i0, i1)
        for piece in range(pieces[0], pieces[1]):
            store_int(source if as_it_lies else 0 if run.every_input else target, source_of(run, piece, r))


@njit
def label_of(run, r):
    """The class of the block's sample r, or -1 where it has a row of targets; classes lie in the launch's order."""
    return load_int(run.y + 8 * place_of(run, r)) if run.y_kind == CLASSES else -1


@njit
def weight_of(one, run, r):
    """What the block's sample r counts: its cost and its gradient are multiplied by it."""
    return load_scalar(one, run.sample_weights + size_of(one) * sample_at(run, r)) if run.sample_weights else one


@njit
def targets_at(one, run, layer, r):
    """The address of the block's sample r's row of targets: its own, or its class's."""
    if run.y_kind == SMOOTHED:
        return run.class_rows + size_of(one) * load_int(run.y + 8 * place_of(run, r)) * layer.n_out
    return run.y + size_of(one) * sample_at(run, r) * layer.n_out


@njit
def targets(one, label, row, j, n):
    """The vector of targets of outputs j, j + 1, ...: 1 at the class ``label``, or from the ``row`` of n targets."""
    return one_hot(one, label - j) if label >= 0 else load_first(one, row + size_of(one) * j, n - j, 0.0)
