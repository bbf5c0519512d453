"""Dropout: some of a layer's inputs are left out while it trains, others for each sample and each update.

    m_i = 0 with probability ``rate``, else 1 / (1 - rate)        "inverted": the mean of m is 1
    z   = (a_in m) W + b                                          g = (a_in m)^T delta
    d_in = (delta W^T) m                                          Srivastava et al. (2014), section 4

f' comes from what f gave, so the layer before keeps its own a, and a_in m lies in rows of its own. The masks are not
kept: on the way back they are drawn again.

They come from a generator that has a counter and no state: SplitMix64 (Steele, Lea & Flood 2014), begun at a mix of
the layer's key, which the seed makes, the number of the update and the sample's place in the batch. So they are the
same for any threads, lanes, blocks and slices, and a training that goes on later needs nothing but seed and update.

``drop`` is a C function of its own, reached through its address: who has no dropout neither compiles it nor has its
code in the middle of the kernels.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from .._jit import carray, from_dtype, intrinsic, ir, njit, types, uint64
from .layout import LAYER, RUN
from .memory import lanes_of, load, number, size_of, store, unit_of
from .simd import where_bits

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


def drop(theta, run_at, layer_at, r0, r1, source, target, j0, j1):
    """Multiply rows r0 to r1, columns j0 to j1, with the masks of a layer's inputs; j0 a multiple of 16.

    ``source`` and ``target`` are the addresses of row r0, of a_in or of dC/da_in; they may be the same.
    """
    one, run, layer = unit_of(theta), carray(run_at, 1)[0], carray(layer_at, 1)[0]
    size, scale = size_of(one), number(one, layer.drop_scale)
    for r in range(r0, r1):
        stream, row = stream_of(run, layer, r), size * layer.ld_in * (r - r0)
        for word in range(j0 // 64, (j1 + 63) // 64):
            kept, first = survivors(stream, word, layer.drop_rate), 64 * word
            for j in range(max(j0, first), min(j1, first + 64), lanes_of(one)):
                x = load(one, source + row + size * j) * scale
                store(where_bits(kept >> uint64(j - first), x), target + row + size * j)


@cache
def signature(scalar: Any) -> Any:
    """The C signature of ``drop``; theta's type is the dtype to work in."""
    records = [types.CPointer(from_dtype(kind)) for kind in (RUN, LAYER)]
    return types.void(types.CPointer(scalar), *records, *[types.int64] * 6)


@intrinsic
def _call_drop(
    tc: Any, at: Any, run: Any, layer: Any, r0: Any, r1: Any, source: Any, target: Any, j0: Any, j1: Any
) -> Any:
    def codegen(ctx: Any, b: Any, sig: Any, args: Any) -> Any:
        pointer = ir.IntType(8).as_pointer()
        fnty = ir.FunctionType(ir.VoidType(), [pointer] * 3 + [ir.IntType(64)] * 6)
        records = [b.inttoptr(a, pointer) for a in (args[1], args[1], args[2])]
        b.call(b.inttoptr(args[0], fnty.as_pointer()), [*records, *args[3:]])
        return ctx.get_dummy_value()

    return types.void(*[types.int64] * 9), codegen


@njit
def drop_rows(run, layer, r0, r1, source, target, j0, j1):
    """Call ``drop``, which the workspace of a training with dropout has compiled."""
    _call_drop(run.drop, run.at, layer.at, r0, r1, source, target, j0, j1)
