"""Between the user's flat arrays and the panels that kernels work on (layout.py has the picture)."""

from __future__ import annotations

from .._jit import carray, njit
from .dense import goes_through_transpose, panel_width, refresh_transpose
from .layout import PANEL
from .memory import lanes_of, load, load_first, size_of, store, store_first, unit_of


@njit
def pack_matrix(one, layer, flat, packed):
    """Copy a layer's W and b from ``flat`` (row-major W, then b) into panels; padding and a missing bias are 0."""
    size, n_in, n_out = size_of(one), layer.n_in, layer.n_out
    for j in range(0, layer.width, PANEL):
        width = panel_width(layer.width, j)
        columns = min(width, n_out - j)
        for i in range(n_in + 1):
            row = packed + size * (layer.w + j * (n_in + 1) + i * width)
            source = flat + size * (layer.flat + i * n_out + j)
            real = columns if i < n_in or layer.bias else 0
            for q in range(0, width, lanes_of(one)):
                store(load_first(one, source + size * q, real - q, 0.0), row + size * q)


@njit
def unpack_matrix(one, layer, packed, flat):
    """The way back: the panels' real columns into ``flat``."""
    size, n_in, n_out = size_of(one), layer.n_in, layer.n_out
    for j in range(0, layer.width, PANEL):
        width = panel_width(layer.width, j)
        columns = min(width, n_out - j)
        for i in range(n_in + layer.bias):
            row = packed + size * (layer.w + j * (n_in + 1) + i * width)
            target = flat + size * (layer.flat + i * n_out + j)
            for q in range(0, columns, lanes_of(one)):
                store_first(load(one, row + size * q), target + size * q, columns - q)


def pack(theta, run_at, layers_at, tiles_at, l):  # noqa: E741
    """Task: bring layer l's parameters and optimizer state from their flat arrays, and make W^T."""
    one, run = unit_of(theta), carray(run_at, 1)[0]
    layer = carray(layers_at, run.n_layers)[l]
    pack_matrix(one, layer, run.flat_theta, run.theta)
    if run.flat_state1:
        pack_matrix(one, layer, run.flat_state1, run.state1)
    if run.flat_state2:
        pack_matrix(one, layer, run.flat_state2, run.state2)
    if goes_through_transpose(run, layer):
        for j in range(0, layer.width, PANEL):
            refresh_transpose(one, run, layer, j, 0, layer.n_in)


def unpack(theta, run_at, layers_at, tiles_at, l):  # noqa: E741
    """Task: put layer l's results into their flat arrays: the gradient where asked for, else what an update changed."""
    one, run = unit_of(theta), carray(run_at, 1)[0]
    layer = carray(layers_at, run.n_layers)[l]
    if run.flat_grad:
        unpack_matrix(one, layer, run.grad, run.flat_grad)
    if run.learning_rates:
        unpack_matrix(one, layer, run.theta, run.flat_theta)
        if run.flat_state1:
            unpack_matrix(one, layer, run.state1, run.flat_state1)
        if run.flat_state2:
            unpack_matrix(one, layer, run.state2, run.flat_state2)
