"""From the data as it is to a block of samples that kernels work on: gather, convert, and note where zeros are.

81 % of MNIST's pixels are 0, and 0 adds nothing to a sum. So while a sample is copied, its non-zero inputs are marked
in bit masks, and the first layer's products skip what is zero for a whole group (``masked_matmul``):

    forward    8 samples share a mask over the inputs: 46 % of MNIST's pixels are non-zero in one of 8 digits
    gradient   8 neighbouring inputs share a mask over the samples: 40 % of samples have ink in one of 8 pixels

The masks cost about as much as copying the sample, and the result has the same bits as without them. Online SGD, which
has one sample at a time, lists its inputs instead (online.py).
"""

from __future__ import annotations

from .._jit import COMPRESSES, float32, float64, njit
from .dropout import drop_rows
from .layout import CLASSES, FLOAT32, ROWS, SMOOTHED, UINT8
from .matmul import MASKED_ROWS
from .memory import (
    compress_bytes,
    count_bits,
    lanes_of,
    load,
    load_byte,
    load_bytes,
    load_first,
    load_int,
    load_place,
    load_scalar,
    nonzero_bits,
    nonzero_byte_bits,
    nonzero_eights,
    number,
    one_hot,
    prefetch,
    size_of,
    store,
    store_byte,
    store_int,
    store_places,
    store_scalar,
)
from .slices import first_word, group_row, inputs_at, slice_of, words_of

SCALE = 1.0 / 255.0
# Rows come in random order, which no hardware prefetcher can guess: ask for the one that this thread will take in the
# next batch, at the same place; where a batch is tiny, or too large for the cache, for the one 8 samples ahead. Rows of
# bytes are asked for line by line while the first layer is multiplied (masked_matmul).
AHEAD, MOST_AHEAD = 8, 256
# Chains of multiply-adds of a row (online.py): two vectors of 4 chains keep both FMA units busy at a latency of 4.
CHAINS = 4


@njit
def sample_at(run, r):
    """Which sample of the data is the block's r-th, in the order of its epoch."""
    place = run.first + r
    return load_int(run.order + 8 * place) if run.order else place - run.epoch_start


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
def prefetched_in_product(run):
    """Whether the first layer's product prefetches the rows to come, and not who gathers."""
    return run.skip_zeros and run.x_kind == UINT8 and not run.nonzero_inputs


@njit
def prefetch_upcoming(run, pieces, r, row_bytes, start, stop):
    """Prefetch the row that this thread will take after sample r, bytes ``start`` to ``stop``; or note where it is."""
    ahead = run.batch if AHEAD <= run.batch <= MOST_AHEAD else AHEAD
    is_more = run.first + r + ahead < run.stop
    at = run.x + sample_at(run, r + ahead if is_more else r) * row_bytes
    if prefetched_in_product(run):
        for piece in range(pieces[0], pieces[1]):
            store_int(at + 64 * first_word(run, piece), run.upcoming + 8 * (piece * run.block + r))
    elif is_more and run.order:
        for line in range(start, stop, 64):
            prefetch(at + line)
        if run.y_kind != ROWS:
            prefetch(run.y + 8 * sample_at(run, r + ahead))


@njit
def gather_inputs(one, run, layer, pieces, r0, r1):
    """Copy the slices ``pieces``, (from, to), of rows r0 to r1 of the inputs, as numbers of the network's dtype."""
    itemsize, size = 1 << (run.x_kind + 1) if run.x_kind else 1, size_of(one)
    i0, i1 = 64 * first_word(run, pieces[0]), min(run.n_in, 64 * first_word(run, pieces[1]))
    row_bytes, start, stop = run.n_in * itemsize, i0 * itemsize, i1 * itemsize
    rows, ld = run.acts + size * inputs_at(run, layer, pieces[0]), size * layer.ld_in
    bytes_suffice = run.x_kind == UINT8 and not layer.drop_rate
    is_listed = run.skip_zeros and run.nonzero_inputs != 0
    for r in range(r0, r1):
        prefetch_upcoming(run, pieces, r, row_bytes, start, stop)
        source, target = run.x + sample_at(run, r) * row_bytes, rows + ld * r
        if not (is_listed and bytes_suffice):
            convert(one, run.x_kind, source + start, target + size * i0, i1 - i0)
        if layer.drop_rate:
            drop_rows(run, layer, r, r + 1, target, target, i0, i1)
        source = source if bytes_suffice else 0
        if is_listed:  # one sample leaves the next row free
            list_inputs(one, run, source, target, target + ld)
        elif run.skip_zeros:
            for piece in range(pieces[0], pieces[1]):
                mark_sample(one, run, piece, source, target, r)


@njit
def input_bits(one, run, source, row, w):
    """Which of the inputs 64 w to 64 w + 63 are not zero: from the sample's bytes, or, if 0, its row of activations.

    The last inputs may be fewer: then the last 64 bytes are looked at (kernels skip zeros of 64 inputs or more).
    """
    rest = min(64, run.n_in - 64 * w)
    if rest == 64:
        return nonzero_byte_bits(source + 64 * w) if source else nonzero_bits(one, row + size_of(one) * 64 * w)
    if source:
        return (nonzero_byte_bits(source + run.n_in - 64) >> (64 - rest)) & ((1 << rest) - 1)
    return nonzero_bits(one, row + size_of(one) * 64 * w) & ((1 << rest) - 1)


@njit
def mark_sample(one, run, piece, source, row, r):
    """Note which inputs of sample r are not zero: from its bytes at ``source``, or, if 0, from its row of activations.

    For each group of 8 samples, ``input_masks`` has 64-bit words over the slice's inputs, and ``group_bytes`` for each
    such word a byte a sample, with a bit for each 8 inputs; phase 2 turns those into masks over the samples. What a
    group writes lies together: two threads that write into one cache line take turns to own it; that cost half of
    phase 1.
    """
    w0, w1 = first_word(run, piece), first_word(run, piece + 1)
    whole, earlier = min(w1, run.n_in // 64) if source else w0, -1 if r % MASKED_ROWS else 0
    at = group_row(run, piece, r // MASKED_ROWS) - 8 * w0
    shared, group_bytes = run.input_masks + at, run.group_bytes + at + r % MASKED_ROWS
    for w in range(w0, whole):
        store_int((load_int(shared + 8 * w) & earlier) | nonzero_byte_bits(source + 64 * w), shared + 8 * w)
        store_byte(nonzero_eights(source + 64 * w), group_bytes + 8 * w)
    for w in range(whole, w1):
        bits = input_bits(one, run, source, row, w)
        store_int((load_int(shared + 8 * w) & earlier) | bits, shared + 8 * w)
        store_byte(bytes_marked(bits), group_bytes + 8 * w)


@njit
def list_inputs(one, run, source, row, packed):
    """List the inputs of the only sample that are not zero: numbers at the row's front, places, where a word's begin.

    From its bytes at ``source``, or, if 0, from its row of activations. CHAINS zeros stand behind the list.
    """
    words, entry, size = (run.n_in + 63) // 64, 0, size_of(one)
    places = run.nonzero_inputs + 8 * (run.list_words + 1)
    for w in range(words):
        bits = input_bits(one, run, source, row, w)
        store_int(entry, run.nonzero_inputs + 8 * w)
        store_places(bits, 64 * w, places + 2 * entry)
        if COMPRESSES and source:
            rest = max(0, 64 * w + 64 - run.n_in)
            compress_bytes(bits << rest, source + 64 * w - rest, packed + entry)
        entry += count_bits(bits)
    store_int(entry, run.nonzero_inputs + 8 * words)
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
def bytes_marked(bits):
    """8 bits that say which of the 8 bytes of a word are not zero (Warren, Hacker's Delight, 6-1)."""
    low = 0x7F7F7F7F7F7F7F7F
    high_bits = (((bits & low) + low) | bits) & ~low
    return (((high_bits >> 7) & 0x0101010101010101) * 0x0102040810204080) >> 56


@njit
def transpose_bits(x):
    """Transpose an 8 x 8 matrix of bits: bit b of byte s becomes bit s of byte b (Hacker's Delight, 7-3)."""
    swap = (x ^ (x >> 7)) & 0x00AA00AA00AA00AA
    x = x ^ swap ^ (swap << 7)
    swap = (x ^ (x >> 14)) & 0x0000CCCC0000CCCC
    x = x ^ swap ^ (swap << 14)
    swap = (x ^ (x >> 28)) & 0x00000000F0F0F0F0
    return x ^ swap ^ (swap << 28)


@njit
def mark_samples(run, w, r0, r1, masks, words):
    """Masks over rows r0 to r1 for each of the 8 groups of inputs 64 w to 64 w + 63: ``words`` words a group."""
    piece = slice_of(run, w)
    at, row = run.group_bytes + group_row(run, piece, 0) + 8 * (w - first_word(run, piece)), 8 * words_of(run)
    for word in range(8 * words):
        store_int(0, masks + 8 * word)
    for s in range(r0, r1, 8):
        marks = load_int(at + row * (s // MASKED_ROWS))
        if s + 8 > r1:
            marks &= (1 << (8 * (r1 - s))) - 1
        marks = transpose_bits(marks)
        for group in range(8):
            store_byte(marks >> (8 * group), masks + 8 * words * group + (s - r0) // 8)


@njit
def label_of(run, r):
    """The class of the block's sample r, or -1 where it has a row of targets."""
    return load_int(run.y + 8 * sample_at(run, r)) if run.y_kind == CLASSES else -1


@njit
def weight_of(one, run, r):
    """What the block's sample r counts: its cost and its gradient are multiplied by it."""
    return load_scalar(one, run.sample_weights + size_of(one) * sample_at(run, r)) if run.sample_weights else one


@njit
def targets_at(one, run, layer, r):
    """The address of the block's sample r's row of targets: its own, or its class's."""
    if run.y_kind == SMOOTHED:
        return run.class_rows + size_of(one) * load_int(run.y + 8 * sample_at(run, r)) * layer.n_out
    return run.y + size_of(one) * sample_at(run, r) * layer.n_out


@njit
def targets(one, label, row, j, n):
    """The vector of targets of outputs j, j + 1, ...: 1 at the class ``label``, or from the ``row`` of n targets."""
    return one_hot(one, label - j) if label >= 0 else load_first(one, row + size_of(one) * j, n - j, 0.0)
