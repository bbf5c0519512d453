"""Delta times W^T with W as it lies, in panels: a dot product for every number."""

from __future__ import annotations

import numpy as np
import pytest

from fastbp import Dense, Network
from fastbp._jit import serial
from fastbp.kernels.dense import FEW_ROWS, MANY_COLUMNS
from fastbp.kernels.dots import SAMPLES, dot_rows
from fastbp.kernels.layout import PAD, PANEL

SENTINEL = -12345.0


@serial
def dots(one, w, panel, i0, i1, delta, width, d, rows):
    dot_rows(one, w, panel, i0, i1, delta, width, d, rows)


def panels(w):
    """W's panels of 32 columns, the last one half as wide where that is enough."""
    return np.concatenate([w[:, j : j + PANEL].ravel() for j in range(0, w.shape[1], PANEL)])


def in_order(products):
    """Their sum over the last axis: PAD partial sums, then first half plus second half."""
    sums = np.zeros((*products.shape[:-1], PAD), products.dtype)
    for j in range(0, products.shape[-1], PAD):
        sums += products[..., j : j + PAD]
    while sums.shape[-1] > 1:
        half = sums.shape[-1] // 2
        sums = sums[..., :half] + sums[..., half:]
    return sums[..., 0]


@pytest.mark.parametrize("width", [16, 32, 48, 256, 272])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_sums_run_in_the_order_that_is_promised(dtype: type, width: int, rng: np.random.Generator) -> None:
    """Deltas are powers of 2: products are exact, so that NumPy's sums in the same order have the same bits."""
    for rows, (i0, i1) in ((1, (0, 37)), (4, (3, 8)), (10, (32, 37)), (13, (0, 32))):
        w = rng.normal(size=(37, width)).astype(dtype)
        delta = (2.0 ** rng.integers(-3, 4, (rows + SAMPLES, width))).astype(dtype)
        d, packed = np.full((rows + SAMPLES, 40), SENTINEL, dtype), panels(w)
        operands = ((x.ctypes.data, x.strides[0]) for x in (delta, d))
        dots(dtype(1), packed.ctypes.data, 37 * PANEL * w.itemsize, i0, i1, next(operands), width, next(operands), rows)
        np.testing.assert_array_equal(d[:rows, i0:i1], in_order(delta[:rows, None] * w[i0:i1]))
        assert (np.delete(d, range(i0, i1), axis=1) == SENTINEL).all()
        assert (d[-(-rows // SAMPLES) * SAMPLES :] == SENTINEL).all()


def test_small_batches_of_wide_networks_take_it_and_large_ones_do_not(rng: np.random.Generator) -> None:
    """A sample's delta, alone and among many: the same number in another order of sums."""
    wide = MANY_COLUMNS + 5
    net = Network(5, [Dense(37, "tanh"), Dense(wide, "tanh"), Dense(2)], cost="half_sum_of_squares", dtype="float32")
    x, y = rng.normal(size=(FEW_ROWS + 1, 5)).astype("f4"), rng.normal(size=(FEW_ROWS + 1, 2)).astype("f4")
    many = net.per_sample_gradients(x, y)
    few = np.concatenate([net.per_sample_gradients(x[k : k + 7], y[k : k + 7]) for k in range(0, len(x), 7)])
    np.testing.assert_allclose(few, many, rtol=1e-4, atol=1e-6)
    assert (few != many).any()
