"""Activations f(z) on vectors, and f'(z) in terms of what the forward pass left behind.

Most derivatives are cheapest from a = f(z) (sigmoid: a (1 - a)); softplus and gelu need z itself, so the layer table
keeps z for those in ``KEEPS_Z``. To add one: a code, two lines here, and a row in tests/reference.py.
"""

from __future__ import annotations

import math

from .._jit import inlined, njit
from .functions import exp, expm1, log1p, sigmoid, tanh
from .memory import first_of, lanes_of, largest_lane, load, load_first, load_scalar, number, size_of, store
from .simd import absolute, fma, where_negative

SIGMOID, TANH, RELU, LEAKY_RELU, ELU, SOFTPLUS, GELU, IDENTITY, SOFTMAX, EXP = range(10)
CODES = {
    "sigmoid": SIGMOID,
    "tanh": TANH,
    "relu": RELU,
    "leaky_relu": LEAKY_RELU,
    "elu": ELU,
    "softplus": SOFTPLUS,
    "gelu": GELU,
    "identity": IDENTITY,
    "softmax": SOFTMAX,
    "exp": EXP,
}
# Of the last layer alone: softmax needs a whole row, and e^z grows too fast for any cost but poisson, which knows z.
LAST_ONLY = frozenset({"softmax", "exp"})
KEEPS_Z = frozenset({SOFTPLUS, GELU})

LEAK = 0.01  # the slope of leaky_relu below zero, as everywhere
GELU_SLOPE, GELU_CUBIC = 0.7978845608028654, 0.044715  # sqrt(2 / pi), and Hendrycks & Gimpel (2016), eq. 3


@njit
def softplus(z):
    """log(1 + e^z) = max(z, 0) + log(1 + e^-|z|)"""
    return where_negative(z, 0.0, z) + log1p(exp(-absolute(z)))


@njit
def _gelu_gate(z):
    return tanh(GELU_SLOPE * z * fma(z * z, GELU_CUBIC, 1.0))


@inlined
def value(code, z):
    """f(z) for one vector. Softmax is identity here: it needs the whole row, see ``softmax_row``."""
    if code == SIGMOID:
        return sigmoid(z)
    if code == TANH:
        return tanh(z)
    if code == RELU:
        return where_negative(z, 0.0, z)
    if code == LEAKY_RELU:
        return where_negative(z, LEAK * z, z)
    if code == ELU:
        return where_negative(z, expm1(z), z)
    if code == SOFTPLUS:
        return softplus(z)
    if code == GELU:
        return 0.5 * z * (1.0 + _gelu_gate(z))
    if code == EXP:
        return exp(z)
    return z


@inlined
def slope(code, a, z):
    """da/dz for one vector, from a; from z where KEEPS_Z says so. At a kink: the slope to its left.

    Nobody asks for that of softmax and exp: their costs write delta itself (``costs.needs_slope``).
    """
    if code == SIGMOID:
        return a * (1.0 - a)
    if code == TANH:
        return 1.0 - a * a
    if code == RELU:
        return where_negative(-a, 1.0, 0.0)
    if code == LEAKY_RELU:
        return where_negative(-a, 1.0, LEAK)
    if code == ELU:
        return where_negative(a, a + 1.0, 1.0)
    if code == SOFTPLUS:
        return sigmoid(z)
    if code == GELU:
        t = _gelu_gate(z)
        rest = (1.0 - t * t) * z  # 0 long before z^2 overflows
        return 0.5 * (1.0 + t) + (0.5 * GELU_SLOPE) * fma(rest * z, 3.0 * GELU_CUBIC * z, rest)
    return 0.0 * a + 1.0


@njit
def row_maximum(one, row, n):
    """The largest of a row of n numbers."""
    size, lanes = size_of(one), lanes_of(one)
    top = largest_lane(load_first(one, row, n, -math.inf))
    for j in range(lanes, n, lanes):
        top = max(top, largest_lane(load_first(one, row + size * j, n - j, -math.inf)))
    return top


@njit
def softmax_row(one, a, n, width):
    """a_j = e^(z_j - max z) / sum_k e^(z_k - max z) for one sample's row of n outputs, which holds z.

    The maximum makes overflow impossible. The sum runs over j in order, whatever the lanes.
    """
    size, lanes, total = size_of(one), lanes_of(one), number(one, 0.0)
    top = row_maximum(one, a, n)
    for j in range(0, width, lanes):
        store(exp(load(one, a + j * size) - top), a + j * size)
    for j in range(n):
        total += load_scalar(one, a + j * size)
    for j in range(0, width, lanes):
        store(first_of(load(one, a + j * size) / total, n - j), a + j * size)


@njit
def activate(one, code, z, a, stride, rows, width):
    """a = f(z) for ``rows`` rows ``stride`` bytes apart; z and a may be the same memory."""
    if code == IDENTITY and z == a:
        return
    row = width * size_of(one)
    if row == stride:  # no gaps: one long row, as loops over a vector or two are mostly overhead
        row, rows = row * rows, 1
    for r in range(rows):
        for j in range(r * stride, r * stride + row, lanes_of(one) * size_of(one)):
            store(value(code, load(one, z + j)), a + j)


@njit
def scale_by_slope(one, code, d, a, z, stride, rows, width):
    """delta = dC/da f'(z): ``d`` holds dC/da and is overwritten; rows as in ``activate``."""
    if code == IDENTITY:
        return
    row = width * size_of(one)
    if row == stride:
        row, rows = row * rows, 1
    for r in range(rows):
        for j in range(r * stride, r * stride + row, lanes_of(one) * size_of(one)):
            store(load(one, d + j) * slope(code, load(one, a + j), load(one, z + j)), d + j)
