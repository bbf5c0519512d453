"""The order of an epoch, drawn in a kernel, as an epoch of a small network takes but a few milliseconds.

Each number of 0 to n - 1 is put in a place among those before it, or behind them, and what stood there moves to the
end (Fisher & Yates 1938, from the inside out). Places come from the generator of dropout.py, begun at a key: the high
32 bits of a draw, times how many places there are, over 2^32 (Lemire 2019); so no place is likelier than another by
more than n / 2^32 of its share.
"""

from __future__ import annotations

from .._jit import int64, serial, uint64
from .dropout import GAMMA, mix
from .memory import load_int, store_int


@serial
def write_permutation(at, n, key):
    """Write 0 to n - 1 in a random order, which ``key`` decides, as int64 numbers to an address; n at most 2^32."""
    counter = uint64(key)
    for i in range(n):
        counter += uint64(GAMMA)
        place = at + 8 * int64(((mix(counter) >> uint64(32)) * uint64(i + 1)) >> uint64(32))
        store_int(load_int(place), at + 8 * i)
        store_int(i, place)
