"""The matrix product, for every stride that backpropagation walks, and the one that skips zeros."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray

from fastbp._jit import LANES, serial
from fastbp.kernels.matmul import MASKED_ROWS, masked_matmul, matmul

Floats = NDArray[np.floating]
SIZES = [*range(1, 18)]
STEPS = [0, 1, 2, 3, 7, 16, 40]
SENTINEL = -12345.0


@serial
def product(one, a, b, init, c, rows, width, k, eta):
    matmul(one, a, b, init, c, rows, width, k, eta)


@serial
def masked_product(one, a, b, init, c, rows, width, masks, eta):
    masked_matmul(one, a, b, init, c, rows, width, masks, eta)


class Walk(NamedTuple):
    """How the product walks over A: the layout of its memory, made from the (rows, k) matrix it stands for."""

    name: str
    columns: bool  # the gradient's: k from row to row of the memory
    padding: int


WALKS = [Walk("rows", False, 0), Walk("rows of a wider array", False, 3), Walk("columns", True, 5)]


def laid_out(a: Floats, walk: Walk) -> tuple[Floats, tuple[int, int, int]]:
    """A's memory, with NaN wherever nothing may look, and its (address, row stride, k stride)."""
    stored = a.T if walk.columns else a
    memory = np.full((stored.shape[0], stored.shape[1] + walk.padding), np.nan, a.dtype)
    memory[:, : stored.shape[1]] = stored
    strides = memory.strides[::-1] if walk.columns else memory.strides
    return memory, (memory.ctypes.data, *strides)


def multiply(
    a: Floats, b: Floats, init: Floats, walk: Walk = WALKS[0], masks: NDArray[np.uint64] | None = None
) -> Floats:
    """``init + a @ b`` by the kernels; an ``init`` of one dimension is a bias, of two it is C itself, in place."""
    (rows, k), width = a.shape, b.shape[1]
    c = np.full((rows + 1, width + 3), SENTINEL, a.dtype)  # a frame around C, to see that nothing is written there
    target = (c.ctypes.data, c.strides[0])
    start = target if init.ndim == 2 else (init.ctypes.data, 0)
    if init.ndim == 2:
        c[:rows, :width] = init
    memory, walked = laid_out(a, walk)  # held on to: an address keeps nothing alive
    other, one = (b.ctypes.data, b.strides[0]), a.dtype.type(1)
    if masks is None:
        product(one, walked, other, start, target, rows, width, k, one - one)
    else:
        words = masks.shape[1]
        where = (masks.ctypes.data, 8 * words, words, 0)
        masked_product(one, walked, other, start, target, rows, width, where, one - one)
    assert (c[rows:] == SENTINEL).all()
    assert (c[:, width:] == SENTINEL).all()
    del memory
    return c[:rows, :width].copy()


def masks_of(a: Floats) -> NDArray[np.uint64]:
    """(groups, words): bit k of a group's words is set where one of its rows is not zero at k."""
    groups, words = -(-a.shape[0] // MASKED_ROWS), -(-a.shape[1] // 64)
    masks = np.zeros((groups, words), np.uint64)
    for r, k in np.argwhere(a != 0):
        masks[r // MASKED_ROWS, k // 64] |= np.uint64(1) << np.uint64(k % 64)
    return masks


def widths(dtype: type) -> list[int]:
    """Every multiple of the lanes up to 48."""
    lanes = LANES * 4 // np.dtype(dtype).itemsize
    return list(range(lanes, 49, lanes))


def bits(x: Floats) -> NDArray[np.unsignedinteger]:
    return np.ascontiguousarray(x).view(f"u{x.dtype.itemsize}")


@pytest.mark.parametrize("in_place", [False, True], ids=["bias", "in place"])
@pytest.mark.parametrize("walk", WALKS, ids=lambda walk: walk.name)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_product_is_numpys(dtype: type, walk: Walk, in_place: bool, rng: np.random.Generator) -> None:
    """To (k + 1) eps (|init| + |A| |B|), the bound of any sum of k + 1 terms; twice that where NumPy rounds as much."""
    eps = np.finfo(dtype).eps * (1 if dtype == np.float32 else 2)
    for rows in SIZES:
        for width in widths(dtype):
            for k in STEPS:
                a, b = rng.normal(size=(rows, k)).astype(dtype), rng.normal(size=(k, width)).astype(dtype)
                init = rng.normal(size=(rows, width) if in_place else width).astype(dtype)
                a64, b64, init64 = (x.astype(np.float64) for x in (a, b, init))
                error = np.abs(multiply(a, b, init, walk) - (init64 + a64 @ b64))
                bound = (k + 1) * eps * (np.abs(init64) + np.abs(a64) @ np.abs(b64))
                assert (error <= bound).all(), (rows, width, k)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_sum_runs_in_order(dtype: type, rng: np.random.Generator) -> None:
    """Ones times B only add: NumPy's running sum rounds at the same places, and must give the same bits."""
    for width in widths(dtype):
        b = (rng.normal(size=(40, width)) * 10.0 ** rng.integers(-3, 4, (40, 1))).astype(dtype)
        init = rng.normal(size=width).astype(dtype)
        want = np.add.accumulate(np.vstack([init, b]))[-1]
        for row in multiply(np.ones((5, 40), dtype), b, init):
            np.testing.assert_array_equal(bits(row), bits(want))


@pytest.mark.parametrize("walk", WALKS, ids=lambda walk: walk.name)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_bits_do_not_depend_on_the_rows_at_a_time(dtype: type, walk: Walk, rng: np.random.Generator) -> None:
    for width in widths(dtype):
        a, b = rng.normal(size=(17, 40)).astype(dtype), rng.normal(size=(40, width)).astype(dtype)
        init = rng.normal(size=(17, width)).astype(dtype)
        together = multiply(a, b, init, walk)
        for r in range(17):
            alone = multiply(a[r : r + 1], b, init[r : r + 1], walk)
            np.testing.assert_array_equal(bits(alone), bits(together[r : r + 1]))


def test_one_number_for_every_row_and_k(rng: np.random.Generator) -> None:
    """Strides of 0, as the bias's gradient has them: A is ones, and the product is B's column sums."""
    lanes, one, init = LANES, np.ones(1, np.float32), np.zeros(LANES, np.float32)
    b, c = rng.integers(-9, 9, (23, lanes)).astype(np.float32), np.empty((1, lanes), np.float32)
    matrices = (one.ctypes.data, 0, 0), (b.ctypes.data, b.strides[0]), (init.ctypes.data, 0), (c.ctypes.data, 0)
    product(np.float32(1), *matrices, 1, lanes, 23, np.float32(0))
    np.testing.assert_array_equal(c[0], b.sum(axis=0))  # whole numbers: no rounding


@pytest.mark.parametrize("density", [0.0, 0.02, 0.2, 1.0])
@pytest.mark.parametrize("walk", WALKS, ids=lambda walk: walk.name)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_skipping_zeros_changes_no_bit(dtype: type, walk: Walk, density: float, rng: np.random.Generator) -> None:
    for rows in SIZES:
        for k in (1, 40, 63, 64, 65, 130):
            a = (rng.normal(size=(rows, k)) * (rng.random((rows, k)) < density)).astype(dtype)
            b = rng.normal(size=(k, widths(dtype)[2])).astype(dtype)
            init = rng.normal(size=(rows, b.shape[1])).astype(dtype)
            want, got = multiply(a, b, init, walk), multiply(a, b, init, walk, masks_of(a))
            np.testing.assert_array_equal(bits(got), bits(want))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_what_is_masked_is_not_looked_at(dtype: type, rng: np.random.Generator) -> None:
    """NaN in B is seen by exactly those groups of rows that have the k of its row."""
    a = np.zeros((17, 70), dtype)
    a[3, 1], a[9, 66], a[16, 2] = 1, 1, 1
    b = rng.normal(size=(70, widths(dtype)[-1])).astype(dtype)
    b[66] = np.nan
    got = multiply(a, b, np.zeros(b.shape[1], dtype), masks=masks_of(a))
    seen = np.isnan(got)
    np.testing.assert_array_equal(seen.all(axis=1), np.arange(17) // MASKED_ROWS == 1)
    np.testing.assert_array_equal(seen.any(axis=1), seen.all(axis=1))
    np.testing.assert_array_equal(got[3], b[1])


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("rows", [1, 8, 21])
def test_a_step_is_the_product_and_then_the_update(
    dtype: type, rows: int, masked: bool, rng: np.random.Generator
) -> None:
    a = (rng.normal(size=(rows, 40)) * (rng.random((rows, 40)) < 0.1)).astype(dtype)
    a[: rows // 2] = 0  # groups that nothing changes
    b, w, eta = rng.normal(size=(40, 32)).astype(dtype), rng.normal(size=(rows, 32)).astype(dtype), dtype(0.3)
    masks, zeros, gradient = masks_of(a), np.zeros(32, dtype), multiply(a, b, np.zeros(32, dtype))
    strides = (a.ctypes.data, *a.strides), (b.ctypes.data, b.strides[0]), (zeros.ctypes.data, 0)
    stepped = w.copy()
    where = (stepped.ctypes.data, stepped.strides[0])
    if masked:
        words = masks.shape[1]
        masked_product(dtype(1), *strides, where, rows, 32, (masks.ctypes.data, 8 * words, words, 0), eta)
    else:
        product(dtype(1), *strides, where, rows, 32, 40, eta)
    np.testing.assert_array_equal(stepped, w - eta * gradient)
