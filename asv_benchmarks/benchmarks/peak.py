"""How near training comes to what the CPU can multiply and add, measured with the microkernel itself."""

from __future__ import annotations

import itertools
import time

import numpy as np

from fastbp import _jit
from fastbp.kernels.matmul import matmul

from .workloads import digits_like, network, ready, trainer

WIDTH, DEPTH, CALLS = 32, 64, 20_000


@_jit.serial
def spin(one, a, b, zeros, c, calls):
    """One 8 x 32 block over and over: its operands never leave the first-level cache."""
    for _ in range(calls):
        matmul(one, (a, 4 * DEPTH, 4), (b, 4 * WIDTH), (zeros, 0), (c, 4 * WIDTH), 8, WIDTH, DEPTH)


def peak_rate() -> float:
    """Multiply-adds a second of one core, float32: the best of seven tries."""
    a, b = np.ones((8, DEPTH), np.float32), np.ones((DEPTH, WIDTH), np.float32)
    zeros, c = np.zeros(WIDTH, np.float32), np.empty((8, WIDTH), np.float32)
    best = float("inf")
    for _ in range(8):
        begun = time.perf_counter()
        spin(np.float32(1), a.ctypes.data, b.ctypes.data, zeros.ctypes.data, c.ctypes.data, CALLS)
        best = min(best, time.perf_counter() - begun)
    return 8 * WIDTH * DEPTH * CALLS / best


class Peak:
    """The share of one core's FMA peak that an epoch on one thread uses, on inputs without a zero to skip."""

    timeout = 600
    unit = "share"
    param_names = ("sizes", "batch_size")
    params = (["784-16-16-10", "784-100-10", "784-512-512-10", "784-800-800-10"], [100, 1000])

    def setup(self, sizes: str, batch_size: int) -> None:
        ready()

    def track_share_of_peak(self, sizes: str, batch_size: int) -> float:
        widths = tuple(int(n) for n in sizes.split("-"))
        products = [a * b for a, b in itertools.pairwise(widths)]
        n = 2000
        x, y = digits_like(n)
        x = np.maximum(x, 1)
        ours = trainer(network(widths), batch_size, n_threads=1)
        seconds = min(ours.fit(x, y, epochs=5).seconds)
        return (3 * sum(products) - products[0]) * n / seconds / peak_rate()
