"""Training with exactly as many threads as asked for: the trainer itself would choose."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastbp import Network
from fastbp.kernels.layout import DELTA
from fastbp.workspace import Workspace


def train(
    network: Network, optimizer: Any, limits: dict[str, float], x: Any, y: Any, batch: int, threads: int
) -> np.ndarray:
    """The parameters after three epochs without shuffling, at learning rate 0.1."""
    inputs, targets = network._samples(x, y)
    workspace = Workspace(network._shape, batch, dropout_seed=5)
    states = [np.zeros_like(network.get_parameters()) for _ in range(optimizer.n_states)]
    workspace.use_optimizer(optimizer.hyperparameters(), states)
    workspace.use_limits(limits)  # type: ignore[arg-type]
    workspace.point_at(inputs, targets)
    workspace.prepare(DELTA, batch, network._theta)
    rates = np.full(len(x), 0.1)
    workspace["learning_rates"] = rates.ctypes.data
    for _ in range(3):
        assert workspace.launch(0, len(x), threads) == len(x)
    return network.get_parameters()
