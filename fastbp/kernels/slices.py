"""The first layer's inputs in slices, so that each thread of a team keeps its own part of x and of W.

The gradient of W takes every sample's inputs. Where threads share out samples, half of x crosses from core to core in
every batch. Where they share out inputs less does: a thread gathers its slice of all samples' inputs, multiplies it
with its rows of W, sums the gradient of these rows and updates them. What crosses is z and delta:

    z = (b + sum over the first slice's i of a_i W[i]) + (sum over the second's of a_i W[i])

One thread, which takes both slices of a chunk at once, adds up in the same order: the bits are the same. In a team each
slice's inputs lie apart, in rows of their own: a CPU that reads a row to its end fetches what lies behind it, too,
and would take it from the other core. So do the lists. Slices end at whole 64-bit words of these; the last one may be
longer.
"""

from __future__ import annotations

from .._jit import njit


@njit
def first_word(run, piece):
    """The first word of a slice; of the one after the last, the number of words."""
    return piece * run.slice_words if piece < run.slices else (run.n_in + 63) // 64


@njit
def slice_of(run, w):
    """The slice that has word w."""
    return min(w // run.slice_words, run.slices - 1)


@njit
def columns_of(run, layer, piece):
    """The inputs of a slice, from and to; all of another layer's."""
    if layer.first:
        return 64 * first_word(run, piece), min(run.n_in, 64 * first_word(run, piece + 1))
    return 0, layer.n_in


@njit
def inputs_at(run, layer, piece):
    """Where the inputs of the block's first sample begin, in numbers; or would, if all lay as this slice's do."""
    if layer.first and run.apart:
        return layer.a_in + piece * run.block * layer.ld_in - 64 * first_word(run, piece)
    return layer.a_in
