"""What wants each sample's own gradient: tasks that run on a block's deltas, between the two phases.

Sample s's gradient for W is the outer product of a_in[s] and delta[s]; its squared norm is |delta|^2 (|a_in|^2 + 1).
Each task takes one of the chunks that phase 1 made, so these run in parallel as phase 1 did.
"""

from __future__ import annotations

import math

from .._jit import carray, float64, njit
from .memory import load_scalar, number, size_of, store_scalar, unit_of
from .minibatch import chunk_start


@njit
def row_of(one, run, layer, r):
    """Addresses of the inputs and of the deltas of the block's sample r at one layer."""
    size = size_of(one)
    a = run.acts + size * (layer.a_in + r * layer.ld_in)
    return a, run.deltas + size * (layer.d + r * layer.ld)


def gradients(theta, run_at, layers_at, tiles_at, chunk):
    """Task: rows of (n, n_parameters) gradients, flat as theta is, into ``run.out``."""
    one, run = unit_of(theta), carray(run_at, 1)[0]
    layers, size = carray(layers_at, run.n_layers), size_of(one)
    last = layers[run.n_layers - 1]
    n_parameters = last.flat + (last.n_in + last.bias) * last.n_out
    for r in range(chunk_start(run, chunk), chunk_start(run, chunk + 1)):
        for l in range(run.n_layers):  # noqa: E741
            layer = layers[l]
            a, d = row_of(one, run, layer, r)
            out = run.out + size * ((run.first + r) * n_parameters + layer.flat)
            for i in range(layer.n_in + layer.bias):
                x = load_scalar(one, a + size * i) if i < layer.n_in else one
                for j in range(layer.n_out):
                    store_scalar(x * load_scalar(one, d + size * j), out + size * (i * layer.n_out + j))


@njit
def square_sum(one, address, n):
    """Sum of n squares, in float64."""
    total = 0.0
    for i in range(n):
        value = float64(load_scalar(one, address + size_of(one) * i))
        total += value * value
    return total


@njit
def sample_square(one, run, layers, r):
    """The squared norm of the gradient of the block's sample r, in float64."""
    total = 0.0
    for l in range(run.n_layers):  # noqa: E741
        layer = layers[l]
        a, d = row_of(one, run, layer, r)
        total += square_sum(one, d, layer.n_out) * (square_sum(one, a, layer.n_in) + layer.bias)
    return total


def norms(theta, run_at, layers_at, tiles_at, chunk):
    """Task: the norm of each sample's gradient into ``run.out``, (n,)."""
    one, run = unit_of(theta), carray(run_at, 1)[0]
    layers = carray(layers_at, run.n_layers)
    for r in range(chunk_start(run, chunk), chunk_start(run, chunk + 1)):
        norm = math.sqrt(sample_square(one, run, layers, r))
        store_scalar(number(one, norm), run.out + size_of(one) * (run.first + r))
