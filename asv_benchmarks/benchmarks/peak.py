"""How near training comes to what the CPU can multiply and add."""

from __future__ import annotations

import itertools

import numpy as np
from peers.machine import limits

from .workloads import digits_like, network, parse, ready, samples, trainer


class Peak:
    """An epoch on one thread, on inputs without a zero to skip, by one core's FMA limit."""

    timeout = 600
    unit = "of the FMA limit's time"
    version = "1"
    param_names = ("cell",)
    params = (
        [
            "784-16-16-10/100",
            "784-100-10/100",
            *(f"{layers}/{batch}" for layers in ("784-512-512-10", "784-800-800-10") for batch in (100, 1000)),
        ],
    )

    def setup(self, cell: str) -> None:
        ready()

    def track_time_over_fma_limit(self, cell: str) -> float:
        """1 is the limit: forward, delta (not of the inputs) and gradient at the rate that registers alone reach."""
        sizes, batch_size = parse(cell)
        products = [a * b for a, b in itertools.pairwise(sizes)]
        x, y = digits_like(samples(cell))
        x = np.maximum(x, 1)
        ours = trainer(network(sizes), batch_size, n_threads=1)
        # Noise only ever slows down: the best of each counts. In turns, as the clock's frequency moves.
        seconds, gflops = [], []
        for _ in range(3):
            gflops.append(limits(1)["gflops"])
            seconds += ours.fit(x, y, epochs=4).seconds
        operations = 2 * (3 * sum(products) - products[0]) * len(x)
        return round(min(seconds) * 1e9 * max(gflops) / operations, 4)
