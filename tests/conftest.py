"""What several tests share: a network beside its slow oracle, and data of every kind that it takes."""

from __future__ import annotations

import signal
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from reference import Reference

import fastbp
from fastbp import pace

pytest_plugins = ["cli_runs"]

Layers = list[tuple[int, str, bool]]
Build = Callable[..., tuple["fastbp.Network", Reference]]


@pytest.fixture
def rng() -> np.random.Generator:
    """The same numbers for every test."""
    return np.random.default_rng(2024)


@pytest.fixture(autouse=True, scope="session")
def ctrl_c() -> None:
    """Have SIGINT mean Ctrl-C: a shell that starts the tests in the background has it ignored, and so would ``fit``."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def slices_of_one_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the trainer come back to Python after every mini-batch."""
    monkeypatch.setattr(pace.Pace, "choose", lambda self, batch_size: (1, batch_size))


@pytest.fixture
def build(rng: np.random.Generator) -> Build:
    """Return ``build(n_in, layers, cost, dtype)``: a network with random biases too, and the oracle with its theta."""

    def build(n_in: int, layers: Layers, cost: str, dtype: str = "float64") -> tuple[fastbp.Network, Reference]:
        dense = [fastbp.Dense(n, activation, bias=bias) for n, activation, bias in layers]
        network = fastbp.Network(n_in, dense, cost=cost, dtype=dtype, seed=0)
        # About 1 / sqrt(n_in) would keep z near 1; 0.5 does for the few units of a test, and leaves no saturation.
        network.set_parameters(rng.normal(0.0, 0.5, network.n_parameters).astype(dtype))
        return network, Reference(n_in, layers, cost, network.get_parameters().astype(np.float64))

    return build


def simple(sizes: list[int], hidden: str, output: str, bias: bool = True) -> Layers:
    """The layers of a plain network: ``sizes`` units each, one activation for all hidden ones."""
    return [(n, hidden, bias) for n in sizes[:-1]] + [(sizes[-1], output, bias)]


def targets_for(cost: str, n: int, n_out: int, rng: np.random.Generator) -> NDArray[np.generic]:
    """Targets that suit a cost: integer classes where there are two outputs or more, numbers where there is one."""
    if n_out > 1:
        return rng.integers(0, n_out, n)
    if cost == "poisson":
        return rng.poisson(2.0, n).astype(np.float64)
    return rng.integers(0, 2, n).astype(np.float64) if cost == "cross_entropy" else rng.normal(size=n)
