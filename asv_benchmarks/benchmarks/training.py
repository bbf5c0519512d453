"""How long training takes, and how that compares with NumPy and with the CPU's peak."""

from __future__ import annotations

import numpy as np

from fastbp import SGD, Adam, AdamW, RMSprop

from .workloads import SEED_NETWORK, digits_like, interleaved_ratio, network, numpy_epoch, ready, trainer

N = 6000
OPTIMIZERS = {
    "SGD": SGD(0.1),
    "momentum": SGD(0.1, momentum=0.9),
    "nesterov": SGD(0.1, momentum=0.9, nesterov=True),
    "RMSprop": RMSprop(),
    "Adam": Adam(),
    "AdamW": AdamW(),
}


class Epoch:
    """An epoch of 6,000 samples over networks, batch sizes and threads."""

    param_names = ("sizes", "batch_size", "n_threads")
    params = (
        ["784-16-16-10", "784-100-10", "784-800-800-10"],
        [1, 10, 100, 1000],
        [1, 2],
    )

    def setup(self, sizes: str, batch_size: int, n_threads: int) -> None:
        self.n = N // 10 if "800" in sizes else N
        self.x, self.y = digits_like(self.n)
        ready()
        net = network(tuple(int(n) for n in sizes.split("-")))
        self.trainer = trainer(net, batch_size, n_threads)

    def time_epoch(self, sizes: str, batch_size: int, n_threads: int) -> None:
        self.trainer.fit(self.x, self.y, epochs=1)


class Optimizers:
    """An epoch of the seed network with every optimizer, in both dtypes."""

    param_names = ("optimizer", "dtype")
    params = (list(OPTIMIZERS), ["float32", "float64"])

    def setup(self, optimizer: str, dtype: str) -> None:
        self.x, self.y = digits_like(N)
        ready()
        self.trainer = trainer(network(dtype=dtype), optimizer=OPTIMIZERS[optimizer])

    def time_epoch(self, optimizer: str, dtype: str) -> None:
        self.trainer.fit(self.x, self.y, epochs=1)


class Ratios:
    """Ratios measured in turns in one process."""

    timeout = 600

    def setup(self) -> None:
        self.x, self.y = digits_like(N)
        self.x32 = (self.x / 255).astype(np.float32)
        self.targets = np.eye(10, dtype=np.float32)[self.y]
        ready()
        self.net = network(SEED_NETWORK)

    def track_epoch_over_numpy(self) -> float:
        """How many times faster an epoch is than NumPy's, batch 100, all threads."""
        ours = trainer(self.net)
        theirs = lambda: numpy_epoch(self.net, self.x32, self.targets, 100)  # noqa: E731
        return interleaved_ratio(theirs, lambda: ours.fit(self.x, self.y, epochs=1))

    def track_one_thread_over_two(self) -> float:
        """How many times faster two threads are than one, batch 100."""
        one, two = trainer(self.net, n_threads=1), trainer(self.net, n_threads=2)
        return interleaved_ratio(lambda: one.fit(self.x, self.y, epochs=1), lambda: two.fit(self.x, self.y, epochs=1))


Ratios.track_epoch_over_numpy.unit = "x"
Ratios.track_one_thread_over_two.unit = "x"
