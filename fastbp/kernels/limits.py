"""Limits that a training may set: on a gradient's norm before its update, and on every unit's weights after it.

    clip_norm           g *= min(1, c / |g|), g all of the batch's averaged gradient        Pascanu et al. (2013)
    clip_sample_norm    the same to each sample's gradient, before they are averaged         Abadi et al. (2016)
    max_norm            W[:, j] *= min(1, c / |W[:, j]|), biases left alone                  Srivastava et al. (2014)

Here are the tasks of the last two; the first is a part of ``minibatch.tiles``, in two stages then.
"""

from __future__ import annotations

import math

from .._jit import carray
from .dense import goes_through_transpose, panel_width, refresh_transpose
from .layout import PANEL
from .memory import lanes_of, largest_lane, load, number, size_of, store, unit_of
from .minibatch import chunk_start
from .persample import row_of, sample_square
from .simd import sqrt, where_negative
from .squares import column_squares, scale


def clip_samples(theta, run_at, layers_at, tiles_at, chunk):
    """Task: scale the deltas of each sample of a chunk whose gradient is longer than ``clip_sample_norm``."""
    one, run = unit_of(theta), carray(run_at, 1)[0]
    layers = carray(layers_at, run.n_layers)
    most = run.clip_sample_norm * run.scale  # deltas are divided by the samples of the batch already
    for r in range(chunk_start(run, chunk), chunk_start(run, chunk + 1)):
        norm = math.sqrt(sample_square(one, run, layers, r))
        if norm > most:
            for l in range(run.n_layers):  # noqa: E741
                _, d = row_of(one, run, layers[l], r)
                scale(one, d, layers[l].width, number(one, most / norm))


def shorten(theta, run_at, layers_at, tiles_at, panel):
    """Task: after an update, scale the columns of a panel of W that are longer than ``max_norm``."""
    one, run = unit_of(theta), carray(run_at, 1)[0]
    layers, l = carray(layers_at, run.n_layers), 0  # noqa: E741
    if not run.update:
        return
    while PANEL * panel >= layers[l].width:
        panel -= (layers[l].width + PANEL - 1) // PANEL
        l += 1  # noqa: E741
    layer, size, most = layers[l], size_of(one), number(one, run.max_norm)
    j0 = PANEL * panel
    width = panel_width(layer.width, j0)
    w, stride = run.theta + size * (layer.w + j0 * (layer.n_in + 1)), size * width
    changed = False
    for column in range(w, w + stride, size * lanes_of(one)):
        norm = sqrt(column_squares(one, column, stride, layer.n_in))
        if largest_lane(norm) > most:
            factor = where_negative(most - norm, most / norm, 1.0)
            for row in range(column, column + layer.n_in * stride, stride):
                store(load(one, row) * factor, row)
            changed = True
    if changed and goes_through_transpose(run, layer):
        refresh_transpose(one, run, layer, j0, 0, layer.n_in)
