"""What a sample leaves behind on its way forward and back, handed out: every layer's activations and deltas.

A task that runs on a block's deltas as those of persample.py do. Whoever asks something new of each sample can then
ask it in NumPy, of n rows as long as the network has units, instead of n gradients.
"""

from __future__ import annotations

from .._jit import carray
from .memory import copy_bytes, size_of, unit_of
from .minibatch import chunk_start
from .persample import row_of


def states(theta, run_at, layers_at, tiles_at, chunk):
    """Task: rows of a_0, delta_0, a_1, delta_1, ..., a_L into ``run.out``, where a_0 is the input and L the layers."""
    one, run = unit_of(theta), carray(run_at, 1)[0]
    layers, size = carray(layers_at, run.n_layers), size_of(one)
    last = layers[run.n_layers - 1]
    width = last.n_out
    for l in range(run.n_layers):  # noqa: E741
        width += layers[l].n_in + layers[l].n_out
    for r in range(chunk_start(run, chunk), chunk_start(run, chunk + 1)):
        out = run.out + size * (run.first + r) * width
        for l in range(run.n_layers):  # noqa: E741
            layer = layers[l]
            a, d = row_of(one, run, layer, r)
            copy_bytes(a, out, size * layer.n_in)
            copy_bytes(d, out + size * layer.n_in, size * layer.n_out)
            out += size * (layer.n_in + layer.n_out)
        copy_bytes(run.acts + size * (last.a + r * last.ld), out, size * last.n_out)
