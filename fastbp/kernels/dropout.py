"""Dropout: some of a layer's inputs are left out while it trains, others for each sample and each update.

    m_i = 0 with probability ``rate``, else 1 / (1 - rate)        "inverted": the mean of m is 1
    z   = (a_in m) W + b                                          g = (a_in m)^T delta
    d_in = (delta W^T) m                                          Srivastava et al. (2014), section 4

f' comes from what f gave, so the layer before keeps its own a, and a_in m lies in rows of its own. The masks are not
kept: on the way back they are drawn again.

They come from a generator that has a counter and no state: SplitMix64 (Steele, Lea & Flood 2014), begun at a mix of
the layer's key, which the seed makes, the number of the update and the sample's place in the batch. So they are the
same for any threads, lanes, blocks and slices, and a training that goes on later needs nothing but seed and update.
"""

from __future__ import annotations

from .._jit import njit, uint64
from .simd import lanes_of, load, number, size_of, store, where_bits

GAMMA = 0x9E3779B97F4A7C15


@njit
def mix(x):
    """SplitMix64's output function: every bit of x changes half of the result's."""
    x = (x ^ (x >> uint64(30))) * uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> uint64(27))) * uint64(0x94D049BB133111EB)
    return x ^ (x >> uint64(31))


@njit
def stream_of(run, layer, r):
    """Where the generator begins for the inputs that the block's sample r has at a layer, in this update."""
    update = mix(uint64(layer.drop_key) + uint64(run.updates))
    return mix(update + uint64(run.first + r - run.batch_start))


@njit
def survivors(stream, word, rate):
    """A bit for each of the inputs 64 word, ...: whether a random number of its own is not below the rate.

    ``rate`` holds the binary digits behind the point. One draw is a digit of 64 numbers; each is compared with the
    rate's until it differs, which takes one draw for a rate of 1/2, and about 8 for any other.
    """
    kept, undecided = uint64(0), ~uint64(0)
    counter, digits = stream + uint64(GAMMA) * uint64(64 * word), uint64(rate)
    while undecided and digits:
        counter += uint64(GAMMA)
        ones = mix(counter)
        if digits >> uint64(63):
            undecided &= ones
        else:
            kept |= undecided & ones
            undecided &= ~ones
        digits <<= uint64(1)
    return kept | undecided


@njit
def drop_rows(one, run, layer, r0, r1, source, target, j0, j1):
    """Multiply rows r0 to r1, columns j0 to j1, with the masks of a layer's inputs; j0 a multiple of a panel.

    ``source`` and ``target`` are the addresses of row r0, of a_in or of dC/da_in; they may be the same.
    """
    size, scale = size_of(one), number(one, layer.drop_scale)
    for r in range(r0, r1):
        stream, row = stream_of(run, layer, r), size * layer.ld_in * (r - r0)
        for word in range(j0 // 64, (j1 + 63) // 64):
            kept, first = survivors(stream, word, layer.drop_rate), 64 * word
            for j in range(max(j0, first), min(j1, first + 64), lanes_of(one)):
                x = load(one, source + row + size * j) * scale
                store(where_bits(kept >> uint64(j - first), x), target + row + size * j)
