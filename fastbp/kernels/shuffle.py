"""The order of an epoch, drawn in a kernel, as an epoch of a small network takes but a few milliseconds.

Each number of 0 to n - 1 is put in a place among those before it, or behind them, and what stood there moves to the
end (Fisher & Yates 1938, from the inside out). Places come from the generator of dropout.py, begun at a key: the high
32 bits of a draw, times how many places there are, over 2^32 (Lemire 2019); so no place is likelier than another by
more than n / 2^32 of its share.

Samples of one class are alike, and a GROUP of 8 of them lists fewer inputs (lists.py) than 8 of any classes: of MNIST's
46 %, 42 % in batches of 100, 40 % in batches of 1,000. Where samples stand within a batch makes no difference to its
gradient, so they are sorted by class, by counting.
"""

from __future__ import annotations

from .._jit import int64, njit, serial, uint64
from .dropout import GAMMA, mix
from .memory import load_byte, load_int, store_int


@njit
def write_permutation(at, n, key):
    """Write 0 to n - 1 in a random order; n at most 2^32."""
    counter = uint64(key)
    for i in range(n):
        counter += uint64(GAMMA)
        place = at + 8 * int64(((mix(counter) >> uint64(32)) * uint64(i + 1)) >> uint64(32))
        store_int(load_int(place), at + 8 * i)
        store_int(i, place)


@njit
def sort_by_class(numbers, count, classes, n_classes, places, to):
    """Write so many numbers to an address, sorted by the class of each; ``places``: room for n_classes + 1 numbers."""
    for c in range(n_classes + 1):
        store_int(0, places + 8 * c)
    for k in range(count):
        behind = places + 8 * (load_byte(classes + load_int(numbers + 8 * k)) + 1)
        store_int(load_int(behind) + 1, behind)
    for c in range(n_classes):
        store_int(load_int(places + 8 * c) + load_int(places + 8 * (c + 1)), places + 8 * (c + 1))
    for k in range(count):
        number = load_int(numbers + 8 * k)
        mine = places + 8 * load_byte(classes + number)
        place = load_int(mine)
        store_int(number, to + 8 * place)
        store_int(place + 1, mine)


@serial
def write_order(at, n, key, classes, n_classes, batch, done, room):
    """Write 0 to n - 1 in a random order, which ``key`` decides, as int64 numbers to an address.

    With the ``classes`` of all of them, as bytes, those of a batch are sorted by these; one of the batches
    begins at place ``done``. ``room``: for n + n_classes + 1 numbers.
    """
    if not classes:
        write_permutation(at, n, key)
        return
    write_permutation(room, n, key)
    start, stop = 0, done % batch or batch
    while start < n:
        stop = min(stop, n)
        sort_by_class(room + 8 * start, stop - start, classes, n_classes, room + 8 * n, at + 8 * start)
        start, stop = stop, stop + batch
