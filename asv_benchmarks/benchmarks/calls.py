"""Single calls: gradients, forward, per-sample gradients."""

from __future__ import annotations

import numpy as np

from fastbp import Dense, Network

from .workloads import digits_like, network, ready


class SmallGradient:
    """One gradient of 24-8-2 on 200 samples, through the Python API."""

    def setup(self) -> None:
        rng = np.random.default_rng(0)
        self.x = rng.standard_normal((200, 24)).astype(np.float32)
        self.y = rng.standard_normal((200, 2)).astype(np.float32)
        self.net = Network(24, [Dense(8, "tanh"), Dense(2, "identity")], cost="half_sum_of_squares")
        self.net.gradient(self.x, self.y)

    def time_gradient(self) -> None:
        self.net.gradient(self.x, self.y)


class Digits:
    """Calls of the seed network on 10,000 images, and of per-sample gradients on 100."""

    def setup(self) -> None:
        self.x, self.y = digits_like(10_000)
        ready()
        self.net = network()
        self.time_forward(), self.time_gradient(), self.time_per_sample_gradients()
        self.time_per_sample_gradient_norms()

    def time_forward(self) -> None:
        self.net.forward(self.x)

    def time_gradient(self) -> None:
        self.net.gradient(self.x, self.y)

    def time_per_sample_gradients(self) -> None:
        self.net.per_sample_gradients(self.x[:100], self.y[:100])

    def time_per_sample_gradient_norms(self) -> None:
        self.net.per_sample_gradient_norms(self.x, self.y)
