"""How long training takes, and how that compares with NumPy and with one thread."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from fastbp import SGD, Adam, Dense, Network, optimizers

from .workloads import digits_like, interleaved_ratio, network, numpy_epoch, parse, ready, samples, trainer

LAYERS = ("784-16-16-10", "784-100-10", "784-512-512-10", "784-800-800-10")
CELLS = [f"{layers}/{batch_size}" for layers in LAYERS for batch_size in (1, 10, 100, 1000)]
OPTIMIZERS = {
    "SGD": SGD(0.1),
    "momentum": SGD(0.1, momentum=0.9),
    "nesterov": SGD(0.1, momentum=0.9, nesterov=True),
    **{kind.__name__: kind() for kind in optimizers.OPTIMIZERS.values()},
}


class Epoch:
    """An epoch of plain SGD, 6,000 samples (2,000 where the network is wide), on all CPUs."""

    param_names = ("cell",)
    params = (CELLS,)

    def setup(self, cell: str) -> None:
        sizes, batch_size = parse(cell)
        self.x, self.y = digits_like(samples(cell))
        ready()
        self.trainer = trainer(network(sizes), batch_size)

    def time_epoch(self, cell: str) -> None:
        self.trainer.fit(self.x, self.y, epochs=1)


class Optimizers:
    """An epoch of the seed network, 6,000 samples at batch 100, with every optimizer in both dtypes."""

    param_names = ("optimizer", "dtype")
    params = (list(OPTIMIZERS), ["float32", "float64"])

    def setup(self, optimizer: str, dtype: str) -> None:
        self.x, self.y = digits_like(6000)
        ready(dtype)
        self.trainer = trainer(network(dtype=dtype), optimizer=OPTIMIZERS[optimizer])

    def time_epoch(self, optimizer: str, dtype: str) -> None:
        self.trainer.fit(self.x, self.y, epochs=1)


class FullBatch:
    """4-32-16-4 on 10,000 samples, SimpleChains' published workload."""

    def setup(self) -> None:
        rng = np.random.default_rng(0)
        self.x, self.y = rng.standard_normal((2, 10_000, 4), dtype=np.float32)
        layers = [Dense(32, "tanh"), Dense(16, "tanh"), Dense(4, "identity")]
        net = Network(4, layers, cost="half_sum_of_squares")
        self.trainer = trainer(net, batch_size=len(self.x), optimizer=Adam(0.001))
        self.time_adam_step()

    def time_adam_step(self) -> None:
        self.trainer.fit(self.x, self.y, epochs=1)


class Ratios:
    """Two times taken in turns in one process, of an epoch as in `Epoch`. Less is better, as asv has it."""

    timeout = 600
    version = "1"  # asv's default, a hash of the code, would drop the history with every edit
    param_names = ("cell",)
    params = (
        [
            *(cell for cell in CELLS if cell.startswith("784-16-16-10/")),
            "784-100-10/100",
            "784-512-512-10/10",
            "784-512-512-10/100",
            "784-800-800-10/1",
            "784-800-800-10/100",
        ],
    )

    def setup(self, cell: str) -> None:
        sizes, self.batch_size = parse(cell)
        self.x, self.y = digits_like(samples(cell))
        self.net = network(sizes)
        ready()

    def epoch(self, n_threads: int) -> Callable[[], object]:
        """An epoch of fastbp."""
        ours = trainer(self.net, self.batch_size, n_threads)
        return lambda: ours.fit(self.x, self.y, epochs=1)

    def track_time_over_numpy(self, cell: str) -> float:
        """By plain NumPy's, both on one thread."""
        x, targets = (self.x / 255).astype(np.float32), np.eye(10, dtype=np.float32)[self.y]
        return interleaved_ratio(self.epoch(1), lambda: numpy_epoch(self.net, x, targets, self.batch_size))

    def track_two_threads_over_one(self, cell: str) -> float:
        """Two threads' by one's."""
        return interleaved_ratio(self.epoch(2), self.epoch(1))


Ratios.track_time_over_numpy.unit = "of NumPy's time"
Ratios.track_two_threads_over_one.unit = "of one thread's time"
