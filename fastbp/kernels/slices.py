"""The first layer's inputs in slices, so that each thread of a team keeps its own part of x and of W.

The gradient of W takes every sample's inputs. Where threads share out samples, half of x crosses from core to core in
every batch. Where they share out inputs less does: a thread gathers its slice of all samples' inputs, multiplies it
with its rows of W, sums the gradient of these rows and updates them. What crosses is z and delta:

    z = (b + sum over the first slice's i of a_i W[i]) + (sum over the second's of a_i W[i])

A team's task is a slice of a chunk of samples. Who brings a chunk's last one takes it through the rest of the network.
Where a batch is a single chunk, who did the last slice waits a moment for the others and goes on: so it is mostly the
same thread, and later layers' parameters and activations stay in its cache. One thread, which takes both slices of a
chunk at once, adds up in the same order: the bits are the same. In a team each slice's inputs lie apart, in rows of
their own: a CPU that reads a row to its end fetches what lies behind it, too, and would take it from the other core. So
do the lists. Slices begin at a multiple of 16, and are equal but for that; with each of them begins a new 64-bit word
of the lists, also where a batch is not cut into slices.
"""

from __future__ import annotations

from .._jit import njit
from .layout import LINE
from .memory import store_int
from .team import load_shared, relax, subtract_shared

# What stands beside the number of slices that are done while somebody waits for the others, and looks before that one
# gives up: 0.7 us on machine G of docs/performance.md.
WAITS, LOOKS = 1 << 32, 64


@njit
def first_input(run, piece):
    """The first input of a slice; of the one after the last, the number of inputs."""
    return piece * run.slice_inputs if piece < run.slices else run.n_in


@njit
def words_of_slice(run):
    """The words of a slice; the last one may have fewer."""
    return (run.slice_inputs + 63) // 64


@njit
def first_word(run, piece):
    """The first word of a slice; of the one after the last, the number of words."""
    return piece * words_of_slice(run) if piece < run.slices else word_of(run, run.n_in - 1) + 1


@njit
def word_of(run, i):
    """The word that has a bit for input i."""
    cut = 1 if i >= run.slice_inputs else 0  # there are two at most, and a division is slow
    return cut * words_of_slice(run) + (i - cut * run.slice_inputs) // 64


@njit
def words_of(run, i0, i1):
    """The words of inputs i0 to i1, from and to: one begins at i0, and one ends at i1."""
    return word_of(run, i0), word_of(run, i1 - 1) + 1


@njit
def slice_of(run, i):
    """The slice that has input i."""
    return min(i // run.slice_inputs, run.slices - 1)


@njit
def columns_of(run, layer, piece):
    """The inputs of a slice, from and to; all of another layer's."""
    if layer.first:
        return first_input(run, piece), first_input(run, piece + 1)
    return 0, layer.n_in


@njit
def inputs_at(run, layer, piece):
    """Where the inputs of the block's first sample begin, in numbers; or would, if all lay as this slice's do."""
    if layer.first and run.apart:
        return layer.a_in + piece * run.block * layer.ld_in - first_input(run, piece)
    return layer.a_in


@njit
def piece_of(run, task):
    """The slice and the chunk of samples that are a task's; every other slice begins with the last chunk.

    So of two threads each comes to the other's first chunks last, and finds that slice done.
    """
    piece, chunk = task // run.chunks, task % run.chunks
    return piece, run.chunks - 1 - chunk if piece % 2 else chunk


@njit
def is_last_piece(run, piece, chunk):
    """Count a slice of a chunk as done; whether its task takes the chunk through the network. One of them does."""
    done = run.costs + LINE * chunk + 8
    if run.chunks == 1 and piece == run.slices - 1:
        if not others_came(run, done):
            return False
    elif subtract_shared(-1, done) + 1 != run.slices:
        return False
    store_int(0, done)
    return True


@njit
def others_came(run, done):
    """Count a single chunk's last slice as done, and wait a moment for the others; whether they are done, too.

    While WAITS stands beside the count, who comes last leaves the chunk to who waits.
    """
    all_done = run.slices + WAITS
    looks = 0 if subtract_shared(-1 - WAITS, done) + 1 < run.slices else LOOKS
    while looks < LOOKS and load_shared(done) != all_done:
        relax()
        looks += 1
    return subtract_shared(WAITS, done) == all_done
