"""A dense layer's three products: forward, delta, gradient. Each is one ``matmul`` a panel, side by side here.

With a_in the layer's inputs, one row a sample, and W its weights (the layer table says where each lies):

    z     = a_in W + b             ``dense_forward``    rows r0 to r1 of a block of samples
    d_in  = delta W^T              ``dense_delta``      dC/da of the layer before, which f' then makes its delta
    g     = a_in^T delta           ``dense_gradient``   a tile of the gradient, summed over the samples in order

The bias is the last row of W, with input 1: it starts the forward sum, and its gradient is the sum of the deltas.
Where the first layer's inputs are listed (lists.py) the first and the last walk the lists, group after group.
"""

from __future__ import annotations

from .._jit import njit
from .dots import dot_rows
from .gather import is_listed
from .layout import PAD, PANEL, TILE_NUMBERS
from .lists import list_marked, listed_inputs
from .matmul import GROUP, listed_clear, listed_matmul, listed_outer, listed_step, matmul, whole_rows
from .memory import (
    clear,
    lanes_of,
    load,
    load_scalar,
    number,
    prefetch,
    scratch_tile,
    size_of,
    splat,
    store,
    store_scalar,
    transpose_block,
)
from .slices import columns_of, inputs_at, slice_of, words_of

# Samples that a gradient tile sums at once: their part of a_in and delta stays in the first-level cache.
SUM_BLOCK = 256
# Up to so many samples a batch deltas go back through W itself, where it has so many columns or more (dots.py).
FEW_ROWS, MANY_COLUMNS = 64, 256


@njit
def panel_width(width, j):
    """Columns of the panel that starts at column j of a matrix padded to ``width``."""
    return min(PANEL, width - j)


@njit
def dense_forward(one, run, layer, piece, r0, r1, j0, j1):
    """z[r] = a_in[r] W + b for rows r0 to r1 and columns j0 to j1, whole panels; or what a slice of the inputs brings.

    The first slice's goes where z belongs, b with it, and another's into ``partial``, for ``add_slices``. The first
    layer skips zero inputs where asked to. A block's buffers hold whole groups of 8 rows, and chunks begin at them:
    rows beyond r1 are nobody's. Where x serves as it lies, nothing says that there is more of it.
    """
    size, (i0, i1) = size_of(one), columns_of(run, layer, piece)
    a = run.acts + size * (inputs_at(run, layer, piece) + r0 * layer.ld_in + i0)
    z = run.acts + size * layer.z if piece == 0 else run.partial + size * (piece - 1) * run.block * layer.ld
    for j in range(j0, j1, PANEL):
        width = panel_width(layer.width, j)
        w, row = run.theta + size * (layer.w + j * (layer.n_in + 1)), size * width
        bias = (w + row * layer.n_in if piece == 0 else run.zeros, 0)
        to = (z + size * (r0 * layer.ld + j), size * layer.ld)
        if is_listed(run) and layer.first:
            words = words_of(run, i0, i1)
            for r in range(r0, r1, GROUP):
                x, places = listed_inputs(one, run, piece, r, words)
                here = (to[0] + size * layer.ld * (r - r0), to[1])
                listed_matmul(one, x, (w, row), bias, here, min(GROUP, r1 - r + 3), width, places)
        else:
            rows = r1 - r0 if run.in_place and layer.first else whole_rows(r1 - r0, 4)
            no_step = number(one, 0.0)
            matmul(one, (a, size * layer.ld_in, size), (w + row * i0, row), bias, to, rows, width, i1 - i0, no_step)


@njit
def add_slices(one, run, layer, r0, r1):
    """z[r] += what the inputs' other slices bring, for rows r0 to r1."""
    size, far = size_of(one), size_of(one) * run.block * layer.ld
    z = run.acts + size * layer.z
    for at in range(size * r0 * layer.ld, size * r1 * layer.ld, size * lanes_of(one)):
        total = load(one, z + at)
        for piece in range(run.slices - 1):
            total = total + load(one, run.partial + piece * far + at)
        store(total, z + at)


@njit
def goes_through_transpose(run, layer):
    """Whether deltas go back through W^T, which has to follow W then; else through W itself, to other bits."""
    return layer.wt >= 0 and (run.batch > FEW_ROWS or layer.width < MANY_COLUMNS)


@njit
def dense_delta(one, run, layer, before, r0, r1, j0, j1):
    """dC/da of the layer before, into its d: delta[r] W^T for rows r0 to r1 and columns j0 to j1, whole panels."""
    size, rows, n_out, no_step = size_of(one), whole_rows(r1 - r0, 4), layer.n_out, number(one, 0.0)
    a = (run.deltas + size * (layer.d + r0 * layer.ld), size * layer.ld, size)
    if not goes_through_transpose(run, layer):
        w, panel = run.theta + size * layer.w, size * PANEL * (layer.n_in + 1)
        d = (run.deltas + size * (before.d + r0 * before.ld), size * before.ld)
        dot_rows(one, w, panel, j0, min(j1, layer.n_in), a[:2], layer.width, d, r1 - r0)
        for r in range(r1 - r0):
            for i in range(layer.n_in, j1):  # the padding: what overflowed in an earlier call may have spoiled it
                store_scalar(no_step, d[0] + d[1] * r + size * i)
        return
    for i in range(j0, j1, PANEL):
        width = panel_width(before.width, i)
        wt = (run.wt + size * (layer.wt + i * n_out), size * width)
        d = (run.deltas + size * (before.d + r0 * before.ld + i), size * before.ld)
        matmul(one, a, wt, (run.zeros, 0), d, rows, width, n_out, no_step)


@njit
def sum_rows(one, address, stride, rows):
    """A vector of columns: their sums over ``rows`` rows, in four chains, as each addition waits for the one before."""
    zero, far = splat(number(one, 0.0)), 4 * stride
    a, b, c, d = zero, zero, zero, zero
    whole = address + rows // 4 * far
    for row in range(address, whole, far):
        a = a + load(one, row)
        b = b + load(one, row + stride)
        c = c + load(one, row + 2 * stride)
        d = d + load(one, row + 3 * stride)
    for row in range(whole, address + rows * stride, stride):
        a = a + load(one, row)
    return (a + b) + (c + d)


@njit
def bias_gradient(one, delta, samples, init, to, width, eta):
    """init + the sum of the deltas, (address, stride), to ``to``; with an eta other than 0 it is subtracted there."""
    address, stride = delta
    for j in range(0, size_of(one) * width, size_of(one) * lanes_of(one)):
        g = load(one, init + j) + sum_rows(one, address + j, stride, samples)
        store(g if eta == 0.0 else load(one, to + j) - eta * g, to + j)


@njit
def whole_fours(one, delta, rows, width, room):
    """Copy a few rows of deltas, (address, stride), into ``room``, and zeros behind them."""
    address, stride = delta
    size, row = size_of(one), size_of(one) * width
    for r in range(GROUP):
        for at in range(0, row, size * lanes_of(one)):
            store(load(one, address + stride * r + at) if r < rows else splat(number(one, 0.0)), room + row * r + at)
    return room, row


@njit
def prefetch_group(delta, bytes_of_row):
    """Ask for a group's deltas, (address, stride)."""
    address, stride = delta
    for row in range(address, address + stride * GROUP, stride):
        for at in range(0, bytes_of_row, 64):
            prefetch(row + at)


@njit
def sum_listed(one, run, layer, tile, rows, g, w, eta, room):
    """g[i] += the sum over ``rows``, from and to, of a_in[r, i] delta[r], for the inputs of a tile that are listed.

    With eta g[i] begins at 0 where the first group lists i, and what the last one lists goes into W: W -= eta g; g is
    right for the others only. While a group is summed the next one's deltas are asked for: half of them another core
    wrote.
    """
    size, width, piece = size_of(one), panel_width(layer.width, tile.j0), slice_of(run, tile.i0)
    (r0, r1), words, row = rows, words_of(run, tile.i0, tile.i1), size * width
    for r in range(r0, r1, GROUP):
        x, places = listed_inputs(one, run, piece, r, words)
        delta = (run.deltas + size * (layer.d + r * layer.ld + tile.j0), size * layer.ld)
        prefetch_group((delta[0] + GROUP * delta[1], delta[1]), row)
        if r + GROUP > r1:
            delta = whole_fours(one, delta, r1 - r, width, room)
        init = (run.zeros, 0) if r == r0 and eta != 0.0 else (g, row)
        step = eta if r + GROUP >= r1 else number(one, 0.0)
        listed_outer(one, x, delta, init, (g, row), w, min(GROUP, r1 - r + 3), width, places, step)


@njit
def step_by(one, w, g, start, stop, eta):
    """W -= eta g, ``start`` to ``stop`` bytes behind these addresses."""
    for at in range(start, stop, size_of(one) * lanes_of(one)):
        store(load(one, w + at) - eta * load(one, g + at), w + at)


@njit
def listed_gradient(one, run, layer, tile, r0, r1, g, w, eta):
    """What ``dense_gradient`` does to W, or its gradient, where the inputs are listed."""
    row, scratch = size_of(one) * panel_width(layer.width, tile.j0), scratch_tile(one)
    if eta != 0.0 and not run.keep_gradient:
        step_listed(one, run, layer, tile, (r0, r1), w, eta, scratch)
        return
    start, stop, room = row * tile.i0, row * tile.i1, scratch + size_of(one) * TILE_NUMBERS
    if not run.keep_gradient:
        clear(one, g + start, g + stop)
    sum_listed(one, run, layer, tile, (r0, r1), g, w, number(one, 0.0), room)
    if eta != 0.0:
        step_by(one, w, g, start, stop, eta)


@njit
def step_listed(one, run, layer, tile, rows, w, eta, scratch):
    """W -= eta g for a tile whose inputs are listed, where nobody else wants its gradient; of one row or more.

    g stays in the first-level cache, and rows of W that no sample lists are left alone. What the first group lists need
    not be 0 before, and what the last one lists goes right into W; so for a batch that is one group, the sum is all.
    """
    width, piece, (r0, r1) = panel_width(layer.width, tile.j0), slice_of(run, tile.i0), rows
    row, last = size_of(one) * width, r0 + (r1 - 1 - r0) // GROUP * GROUP
    g, room = scratch - row * tile.i0, scratch + size_of(one) * TILE_NUMBERS
    places = room + row * GROUP
    count = list_marked(run, piece, (r0 + GROUP, r1), r0, (tile.i0, tile.i1), places)
    listed_clear(one, (g, row), width, (places, count))
    sum_listed(one, run, layer, tile, rows, g, w, eta, room)
    count = list_marked(run, piece, (r0, last), last, (tile.i0, tile.i1), places)
    listed_step(one, (w, row), (g, row), width, (places, count), eta)


@njit
def dense_gradient(one, run, layer, tile, rows, g, w, eta):
    """Sum rows (r0, r1) of the block into one tile of the gradient, in a panel at g; or, with eta, step by it at w.

    It starts from what is there if ``run.keep_gradient``. Samples are summed SUM_BLOCK at a time; with eta, the last of
    them go with all before them into W: W -= eta g.
    """
    size, width, height = size_of(one), panel_width(layer.width, tile.j0), tile.i1 - tile.i0
    row, first, bias = size * width, size * width * tile.i0, size * width * layer.n_in
    r0, r1 = rows
    listed = is_listed(run) and layer.first
    if listed:
        listed_gradient(one, run, layer, tile, r0, r1, g, w, eta)
    for s0 in range(r0, max(r1, r0 + 1), SUM_BLOCK):
        keep = run.keep_gradient or s0 > r0
        samples = min(SUM_BLOCK, r1 - s0)
        step = eta if s0 + samples == r1 else number(one, 0.0)
        to = w if step != 0.0 else g
        delta = (run.deltas + size * (layer.d + s0 * layer.ld + tile.j0), size * layer.ld)
        if not listed:
            inputs = inputs_at(run, layer, slice_of(run, tile.i0))
            a = (run.acts + size * (inputs + s0 * layer.ld_in + tile.i0), size, size * layer.ld_in)
            init = (g + first, row) if keep else (run.zeros, 0)
            matmul(one, a, delta, init, (to + first, row), height, width, samples, step)
        if tile.bias:
            bias_gradient(one, delta, samples, g + bias if keep else run.zeros, to + bias, width, step)


@njit
def refresh_transpose(one, run, layer, j0, i0, i1):
    """Copy rows i0 to i1 of W's panel at column j0 into W^T; i0 a multiple of PANEL."""
    size, n_in, n_out, lanes = size_of(one), layer.n_in, layer.n_out, lanes_of(one)
    width, padded = panel_width(layer.width, j0), (n_in + PAD - 1) // PAD * PAD
    w = run.theta + size * (layer.w + j0 * (n_in + 1))
    for i in range(i0, i1, lanes):
        panel = i // PANEL * PANEL
        row = panel_width(padded, panel)
        wt = run.wt + size * (layer.wt + panel * n_out + i - panel)
        for j in range(0, min(width, n_out - j0), lanes):
            source, target = w + size * (i * width + j), wt + size * (j0 + j) * row
            if i + lanes <= i1 and j0 + j + lanes <= n_out:
                transpose_block(one, source, size * width, target, size * row)
            else:
                for p in range(min(lanes, i1 - i)):
                    for q in range(min(lanes, n_out - j0 - j)):
                        value = load_scalar(one, source + size * (p * width + q))
                        store_scalar(value, target + size * (q * row + p))
