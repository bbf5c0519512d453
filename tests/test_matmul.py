"""The matrix product, for every stride that backpropagation walks, and those over lists of inputs that are not zero."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray

from fastbp._jit import COMPRESSES, LANES, serial
from fastbp.kernels.matmul import GROUP, listed_clear, listed_matmul, listed_outer, listed_step, matmul

Floats = NDArray[np.floating]
SIZES = [*range(1, 18), 20, 25]
STEPS = [0, 1, 2, 3, 7, 16, 40]
SENTINEL = -12345.0


@serial
def product(one, a, b, init, c, rows, width, k, eta):
    matmul(one, a, b, init, c, rows, width, k, eta)


@serial
def listed_product(one, a, b, init, c, rows, width, places):
    listed_matmul(one, a, b, init, c, rows, width, places)


@serial
def outer_product(one, a, b, init, c, w, rows, width, places, eta):
    listed_outer(one, a, b, init, c, w, rows, width, places, eta)


@serial
def step(one, c, g, width, places, eta):
    listed_step(one, c, g, width, places, eta)
    listed_clear(one, g, width, places)


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


def multiply(a: Floats, b: Floats, init: Floats, walk: Walk = WALKS[0]) -> Floats:
    """``init + a @ b`` by the kernels; an ``init`` of one dimension is a bias, of two it is C itself, in place."""
    (rows, k), width = a.shape, b.shape[1]
    c = np.full((rows + 1, width + 3), SENTINEL, a.dtype)  # a frame around C, to see that nothing is written there
    target = (c.ctypes.data, c.strides[0])
    start = target if init.ndim == 2 else (init.ctypes.data, 0)
    if init.ndim == 2:
        c[:rows, :width] = init
    memory, walked = laid_out(a, walk)  # held on to: an address keeps nothing alive
    other, one = (b.ctypes.data, b.strides[0]), a.dtype.type(1)
    product(one, walked, other, start, target, rows, width, k, one - one)
    assert (c[rows:] == SENTINEL).all()
    assert (c[:, width:] == SENTINEL).all()
    del memory
    return c[:rows, :width].copy()


class Listed(NamedTuple):
    """A group's inputs as lists.py leaves them: the 8 of an entry side by side, packed where the CPU packs."""

    x: Floats
    places: NDArray[np.uint16]

    @property
    def where(self) -> tuple[int, int]:
        return self.places.ctypes.data, len(self.places)


def listed(a: Floats) -> Listed:
    """Up to 8 rows of A with NaN wherever nothing may look; rows that are missing to four are zeros."""
    rows, places = len(a), np.flatnonzero((a != 0).any(axis=0)).astype(np.uint16)
    x = np.full((len(places) if COMPRESSES else a.shape[1], GROUP), np.nan, a.dtype)
    x[:, : fours(rows)] = 0
    x[slice(None) if COMPRESSES else places, :rows] = a[:, places].T
    return Listed(x, places)


def fours(rows: int) -> int:
    return -(-rows // 4) * 4


def sparse(rows: int, k: int, density: float, dtype: type, rng: np.random.Generator) -> Floats:
    return (rng.normal(size=(rows, k)) * (rng.random((rows, k)) < density)).astype(dtype)


def framed(c: Floats, rows: int) -> Floats:
    """C in a frame, to see that nothing is written there."""
    frame = np.full((rows + 1, c.shape[1] + 3), SENTINEL, c.dtype)
    frame[: len(c), : c.shape[1]] = c
    return frame


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
@pytest.mark.parametrize("rows", range(1, GROUP + 1))
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_list_changes_no_bit(dtype: type, rows: int, density: float, rng: np.random.Generator) -> None:
    for width in widths(dtype):
        for k in (1, 40, 63, 64, 65, 130):
            a, b = sparse(rows, k, density, dtype, rng), rng.normal(size=(k, width)).astype(dtype)
            init, group = rng.normal(size=width).astype(dtype), listed(a)
            c = framed(np.zeros((0, width), dtype), fours(rows))
            matrices = (b.ctypes.data, b.strides[0]), (init.ctypes.data, 0), (c.ctypes.data, c.strides[0])
            listed_product(dtype(1), group.x.ctypes.data, *matrices, min(GROUP, rows + 3), width, group.where)
            np.testing.assert_array_equal(bits(c[:rows, :width]), bits(multiply(a, b, init)))
            assert (c[fours(rows) :] == SENTINEL).all()
            assert (c[:, width:] == SENTINEL).all()


def add_outer(
    group: Listed, delta: Floats, c: Floats, init: Floats | None = None, w: Floats | None = None, eta: float = 0
) -> None:
    """A group's outer products of inputs and deltas by the kernels, into C or W, from C on or from a row ``init``."""
    rows, width = delta.shape
    padded = np.concatenate([delta, np.zeros((fours(rows) - rows, width), delta.dtype)])
    start = (c.ctypes.data, c.strides[0]) if init is None else (init.ctypes.data, 0)
    matrices = (padded.ctypes.data, padded.strides[0]), start, (c.ctypes.data, c.strides[0])
    weights = 0 if w is None else w.ctypes.data
    one, sizes = delta.dtype.type(1), (min(GROUP, rows + 3), width)
    outer_product(one, group.x.ctypes.data, *matrices, weights, *sizes, group.where, delta.dtype.type(eta))


@pytest.mark.parametrize("density", [0.0, 0.02, 0.2, 1.0])
@pytest.mark.parametrize("rows", range(1, GROUP + 1))
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_lists_outer_products_are_the_gradient(
    dtype: type, rows: int, density: float, rng: np.random.Generator
) -> None:
    """To the bits of the product that walks A's columns, and added to what is there; what is not listed stays."""
    for width in widths(dtype):
        for k in (1, 40, 130):
            a, delta = sparse(rows, k, density, dtype, rng), rng.normal(size=(rows, width)).astype(dtype)
            before, group = rng.normal(size=(k, width)).astype(dtype), listed(a)
            c = framed(before, k)
            add_outer(group, delta, c)
            want = multiply(a.T.copy(), delta, before)
            np.testing.assert_array_equal(bits(c[group.places, :width]), bits(want[group.places]))
            idle = np.setdiff1d(np.arange(k), group.places)
            np.testing.assert_array_equal(c[idle, :width], before[idle])
            assert (c[k:] == SENTINEL).all()
            assert (c[:, width:] == SENTINEL).all()


@pytest.mark.parametrize("rows", range(1, GROUP + 1))
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_outer_products_begin_where_they_are_told_to(dtype: type, rows: int, rng: np.random.Generator) -> None:
    """At one row for all, whatever C holds."""
    for width in widths(dtype):
        a, delta = sparse(rows, 40, 0.2, dtype, rng), rng.normal(size=(rows, width)).astype(dtype)
        init, group, c = (
            rng.normal(size=width).astype(dtype),
            listed(a),
            framed(np.full((40, width), np.nan, dtype), 40),
        )
        add_outer(group, delta, c, init=init)
        want = multiply(a.T.copy(), delta, np.tile(init, (40, 1)))
        np.testing.assert_array_equal(bits(c[group.places, :width]), bits(want[group.places]))


@pytest.mark.parametrize("rows", range(1, GROUP + 1))
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_outer_products_step_in_the_same_walk(dtype: type, rows: int, rng: np.random.Generator) -> None:
    """W -= eta (C + A B), as the product and then the update round it, in the rows that are listed."""
    for width in widths(dtype):
        a, delta = sparse(rows, 40, 0.2, dtype, rng), rng.normal(size=(rows, width)).astype(dtype)
        before, w, eta = (
            rng.normal(size=(40, width)).astype(dtype),
            rng.normal(size=(40, width)).astype(dtype),
            dtype(0.3),
        )
        group, stepped = listed(a), framed(w, 40)
        add_outer(group, delta, framed(before, 40), w=stepped, eta=eta)
        want = w - eta * multiply(a.T.copy(), delta, before)
        np.testing.assert_array_equal(bits(stepped[group.places, :width]), bits(want[group.places]))
        idle = np.setdiff1d(np.arange(40), group.places)
        np.testing.assert_array_equal(stepped[idle, :width], w[idle])
        np.testing.assert_array_equal(stepped[40:], SENTINEL)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_what_is_not_listed_is_not_looked_at(dtype: type, rng: np.random.Generator) -> None:
    """NaN in a row of B reaches every row of a group that lists it, and no other group."""
    a, b = np.zeros((8, 70), dtype), rng.normal(size=(70, widths(dtype)[-1])).astype(dtype)
    a[3, 1], b[66] = 1, np.nan
    zeros, c = np.zeros(b.shape[1], dtype), np.full((8, b.shape[1]), SENTINEL, dtype)
    matrices = (b.ctypes.data, b.strides[0]), (zeros.ctypes.data, 0), (c.ctypes.data, c.strides[0])
    for ink in (0, 1):
        a[0, 66] = ink
        group = listed(a)
        listed_product(dtype(1), group.x.ctypes.data, *matrices, 8, b.shape[1], group.where)
        assert np.isnan(c).all() == bool(ink)
        assert np.isnan(c).any() == bool(ink)
        if not ink:
            np.testing.assert_array_equal(c[3], b[1])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("rows", [1, 8, 21])
def test_a_step_is_the_product_and_then_the_update(dtype: type, rows: int, rng: np.random.Generator) -> None:
    a = sparse(rows, 40, 0.1, dtype, rng)
    b, w, eta = rng.normal(size=(40, 32)).astype(dtype), rng.normal(size=(rows, 32)).astype(dtype), dtype(0.3)
    zeros, gradient = np.zeros(32, dtype), multiply(a, b, np.zeros(32, dtype))
    strides = (a.ctypes.data, *a.strides), (b.ctypes.data, b.strides[0]), (zeros.ctypes.data, 0)
    stepped = w.copy()
    product(dtype(1), *strides, (stepped.ctypes.data, stepped.strides[0]), rows, 32, 40, eta)
    np.testing.assert_array_equal(stepped, w - eta * gradient)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_step_of_listed_rows(dtype: type, rng: np.random.Generator) -> None:
    """W -= eta g in the rows that a list names, whose g is zero then; in no other."""
    for width in widths(dtype):
        g, w, eta = rng.normal(size=(40, width)).astype(dtype), rng.normal(size=(40, width)).astype(dtype), dtype(0.3)
        places, total, stepped = np.array([0, 3, 4, 39], np.uint16), framed(g, 40), framed(w, 40)
        matrices = (stepped.ctypes.data, stepped.strides[0]), (total.ctypes.data, total.strides[0])
        step(dtype(1), *matrices, width, (places.ctypes.data, len(places)), eta)
        w[places] -= eta * g[places]
        g[places] = 0
        np.testing.assert_array_equal(stepped, framed(w, 40))
        np.testing.assert_array_equal(total, framed(g, 40))
