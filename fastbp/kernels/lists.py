"""Where a few samples' inputs are not zero: lists, which the first layer's products walk.

81 % of MNIST's pixels are 0, and 0 adds nothing to a sum. A GROUP of 8 samples shares a list of the inputs that one of
them has: 46 % of MNIST's pixels. So the products are still those of 8 rows at once, and skip what is zero in all:

    forward    z[r] += sum over k of a[k, r] W[place[k]]           8 rows of z in registers, over the list's entries k
    gradient   g[place[k]] += sum over r of a[k, r] delta[r]       8 rows of delta in registers, for every entry k

A list is ``run.list_words`` + 1 numbers that say with which entry each 64 inputs begin, as many words with a bit for
each of these inputs, and then the places, 16 bits each. Beside it stand the inputs, the 8 of an entry side by side, so
that one address reaches all of them. With AVX-512 VBMI2 one instruction packs 64 bytes, 16 floats, or 32 places: there
k counts entries, and only what is listed is read again. On other CPUs k is the place itself.

The bits are the same as without lists. Online SGD has lists of one sample, and packs on any CPU (online.py); there the
list decides which of four sums an input goes to, and the data alone decide whether there is a list.
"""

from __future__ import annotations

from .._jit import COMPRESSES, LANES, inlined, njit
from .gather import convert, has_bytes, is_listed_as_it_lies, prefetch_word, prefetched_in_lists, source_of
from .layout import UINT8
from .marks import (
    compress_bytes,
    compress_numbers,
    compress_rows,
    count_bits,
    load_place,
    nonzero_bits,
    nonzero_byte_bits,
    spread_bytes,
    spread_numbers,
    store_places,
    union_of_bytes,
)
from .matmul import GROUP
from .memory import (
    copy_bytes,
    lanes_of,
    load_byte,
    load_int,
    load_scalar,
    number,
    size_of,
    store_byte,
    store_int,
    store_scalar,
)
from .slices import first_input, first_word, inputs_at, words_of

# Zeros are skipped among so many inputs or more: a word of a list has 64.
FEWEST_INPUTS = 64
# Chains of multiply-adds of a row (online.py): two vectors of 4 chains keep both FMA units busy at a latency of 4.
CHAINS = 4


@njit
def list_of(run, piece, group):
    """The list of a slice of the inputs and a group of samples: (address of its beginnings, of its places)."""
    at = run.lists + run.list_bytes * (piece * (run.block // GROUP) + group)
    return at, at + 8 * (2 * run.list_words + 1)


@njit
def every_input(run):
    """The list of all inputs of any layer."""
    return run.every_input, run.every_input + 8 * (2 * run.list_words + 1)


@njit
def inputs_of(one, run, piece, group):
    """Where the inputs of a slice and a group stand, 8 to an entry."""
    return run.listed + size_of(one) * GROUP * 64 * run.list_words * (piece * (run.block // GROUP) + group)


@inlined
def union(one, sources, rows, start, from_bytes):
    """A bit for each of the inputs ``start`` to ``start`` + 63: whether it is other than zero in one of a few rows."""
    bits = 0
    if from_bytes:
        for r in range(0, rows, 4):
            bits |= union_of_bytes(sources + 8 * r, start)
    else:
        for r in range(rows):
            bits |= nonzero_bits(one, load_int(sources + 8 * r) + size_of(one) * start)
    return bits


@inlined
def pack(one, bits, sources, rows, start, to, ld, from_bytes):
    """Move those of 64 inputs of a few rows, rounded up to whole fours, whose bit is set to rows from ``to`` on."""
    for r in range(0, rows, 4):
        if from_bytes:
            compress_rows(bits, sources + 8 * r, start, to + ld * r, ld)
        else:
            for q in range(r, r + 4):
                compress_numbers(one, bits, load_int(sources + 8 * q) + size_of(one) * start, to + ld * q)


@njit
def spread(one, packed, ld, count, target, from_bytes):
    """Put the first ``count`` inputs of 8 rows side by side, those that were packed, or all; bytes are converted."""
    entry = size_of(one) * GROUP
    if from_bytes:
        for k in range(0, count, 4 * LANES):
            spread_bytes(one, packed + k, ld, target + entry * k)
    else:
        for k in range(0, count, lanes_of(one)):
            spread_numbers(one, packed + size_of(one) * k, ld, target + entry * k)


@njit
def spread_one_by_one(one, sources, places, count, target):
    """Put the listed numbers of the 8 rows whose addresses are at ``sources`` side by side."""
    size = size_of(one)
    for k in range(count):
        place = load_place(places + 2 * k)
        at = target + size * GROUP * (k if COMPRESSES else place)
        for r in range(GROUP):
            store_scalar(load_scalar(one, load_int(sources + 8 * r) + size * place), at + size * r)


@njit
def list_group(one, run, layer, piece, r0, r1):
    """List the inputs of a slice that are not zero in one of rows r0 to r1, a group, and put these side by side.

    In place of rows that are missing to a whole group there is the first one. Data that lies as kernels can take it is
    read where it lies; then the rows' own place in ``acts`` is free, and what is packed goes there.
    """
    size, w0, w1 = size_of(one), first_word(run, piece), first_word(run, piece + 1)
    i0, i1 = first_input(run, piece), first_input(run, piece + 1)
    ld, row = size * layer.ld_in, run.acts + size * (inputs_at(run, layer, piece) + r0 * layer.ld_in)
    from_bytes, packs = has_bytes(run, layer), COMPRESSES and is_listed_as_it_lies(one, run, layer)
    begins, places = list_of(run, piece, r0 // GROUP)
    sources, entry, front, itemsize = source_of(run, piece, r0), 0, row + size * i0, 1 if from_bytes else size
    for r in range(r1 - r0, GROUP):
        store_int(load_int(sources), sources + 8 * r)
    stop = cut = i0
    for w in range(w0, w1):
        if stop == cut:  # a slice begins, if only the tiles' (slices.py)
            cut = min(i1, cut + run.slice_inputs)
        first, stop = stop, min(stop + 64, cut)
        missing, start = first + 64 - stop, stop - 64
        bits = union(one, sources, r1 - r0, start, from_bytes) >> missing
        if missing:
            bits &= (1 << (64 - missing)) - 1
        if prefetched_in_lists(run):
            prefetch_word(run, source_of(run, piece + run.slices, r0), r1 - r0, first)
        store_int(entry, begins + 8 * (w - w0))
        store_int(bits, begins + 8 * (run.list_words + 1 + w - w0))
        store_places(bits, first, places + 2 * entry)
        if packs:
            pack(one, bits << missing, sources, r1 - r0, start, front + itemsize * entry, ld, from_bytes)
        entry += count_bits(bits)
    store_int(entry, begins + 8 * (w1 - w0))
    target = inputs_of(one, run, piece, r0 // GROUP)
    if packs:
        spread(one, front, ld, entry, target, from_bytes)
    elif from_bytes:
        for r in range(GROUP):
            copy_bytes(load_int(sources + 8 * r) + i0, front + ld * r, i1 - i0)
        spread(one, front, ld, i1 - i0, target, from_bytes)
    else:
        spread_one_by_one(one, sources, places, entry, target - (0 if COMPRESSES else size * GROUP * i0))


@njit
def list_sample(one, run, layer):
    """List the inputs of the only sample that are not zero, and pack them at its row's front.

    CHAINS zeros stand behind the list.
    """
    words, entry, size = (run.n_in + 63) // 64, 0, size_of(one)
    begins, places = list_of(run, 0, 0)
    row, source = run.acts + size * layer.a_in, load_int(run.sources)
    packed = row + size * layer.ld_in  # one sample leaves the next row free
    for w in range(words):
        start = min(64 * w + 64, run.n_in) - 64  # the last inputs may be fewer; there are FEWEST_INPUTS or more
        missing = 64 * w - start
        bits = (nonzero_byte_bits(source + start) if source else nonzero_bits(one, row + size * start)) >> missing
        if missing:
            bits &= (1 << (64 - missing)) - 1
        store_int(entry, begins + 8 * w)
        store_places(bits, 64 * w, places + 2 * entry)
        if COMPRESSES and source:
            compress_bytes(bits << missing, source + start, packed + entry)
        entry += count_bits(bits)
    store_int(entry, begins + 8 * words)
    store_int(0, places + 2 * entry)
    if source:
        if not COMPRESSES:
            for k in range(entry):
                store_byte(load_byte(source + load_place(places + 2 * k)), packed + k)
        convert(one, UINT8, packed, row, entry)
    else:
        for k in range(entry):
            store_scalar(load_scalar(one, row + size * load_place(places + 2 * k)), row + size * k)
    for k in range(entry, entry + CHAINS):
        store_scalar(number(one, 0.0), row + size * k)


@njit
def listed_inputs(one, run, piece, r, words):
    """What the inputs of some words, (from, to), are for a product, of the group at row r.

    Where they stand, and the (places, how many).
    """
    w0 = first_word(run, piece)
    begins, places = list_of(run, piece, r // GROUP)
    start, stop = load_int(begins + 8 * (words[0] - w0)), load_int(begins + 8 * (words[1] - w0))
    k = start if COMPRESSES else -first_input(run, piece)  # the place counts from the first of all inputs
    return inputs_of(one, run, piece, r // GROUP) + size_of(one) * GROUP * k, (places + 2 * start, stop - start)


@njit
def marks_of(run, piece, r, w):
    """Where a group's bits of a word of inputs are."""
    return list_of(run, piece, r // GROUP)[0] + 8 * (run.list_words + 1 + w - first_word(run, piece))


@njit
def list_marked(run, piece, rows, but, inputs, places):
    """List which inputs a group of some rows lists, and the one at row ``but`` does not; how many these are.

    ``rows`` and ``inputs`` are pairs, from and to; ``places`` is where the list goes.
    """
    entry, (r0, r1), (i0, i1) = 0, rows, inputs
    w0, w1 = words_of(run, i0, i1)
    for w in range(w0, w1):
        bits, at = 0, marks_of(run, piece, r0, w)
        for _ in range(r0, r1, GROUP):
            bits |= load_int(at)
            at += run.list_bytes
        bits &= ~load_int(marks_of(run, piece, but, w))
        store_places(bits, i0 + 64 * (w - w0), places + 2 * entry)
        entry += count_bits(bits)
    return entry
