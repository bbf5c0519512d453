"""fastbp, through the interface that its users have: Network, Trainer.fit, net.gradient, net.forward.

A fit is timed as a whole and divided by its epochs: checking the arguments, the shuffles and the history are in it.
"""

from __future__ import annotations

from typing import Any

from fastbp import SGD, Adam, Dense, Network, Trainer

from .work import Array, Work


class FastbpPeer:
    """A network, one trainer that shuffles and one that does not, and the data as it is on disk."""

    def __init__(self, work: Work, threads: int) -> None:
        cell = work.cell
        self.raw, self.y = work.raw, work.y if work.labels is None else work.labels
        layers = [Dense(n, f) for n, f in zip(cell.sizes[1:], cell.activations, strict=True)]
        self.net = Network(cell.sizes[0], layers, cost=cell.cost, dtype="float32", seed=0)
        for layer, (w, b) in enumerate(work.parameters):
            self.net.weights[layer][...] = w
            self.net.biases[layer][...] = b
        optimizer = {"sgd": SGD, "adam": Adam}[cell.optimizer]
        self.trainers = {}
        for shuffle in (False, True):
            settings: dict[str, Any] = {"batch_size": cell.batch, "n_threads": threads, "shuffle": shuffle}
            self.trainers[shuffle] = Trainer(self.net, optimizer(cell.learning_rate), **settings)
        self.full_batch = cell.full_batch

    def train(self, epochs: int, shuffle: bool) -> None:
        """Epochs of mini-batches from the uint8 images."""
        self.trainers[shuffle and not self.full_batch].fit(self.raw, self.y, epochs=epochs)

    def gradient(self) -> Array:
        """The gradient of the averaged cost, flat."""
        return self.net.gradient(self.raw, self.y).flat

    def forward(self) -> Array:
        """(n, n_out) outputs."""
        return self.net.forward(self.raw)

    def parameters(self) -> list[tuple[Array, Array]]:
        """Weights and biases of every layer."""
        return list(zip(self.net.weights, self.net.biases, strict=True))
