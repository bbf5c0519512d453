"""Networks that the tests of the exchange share: every activation, in hidden layers and in the last."""

from __future__ import annotations

import json
import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from fastbp import Dense, Network
from fastbp.kernels.activations import CODES, LAST_ONLY

ACTIVATIONS = sorted(CODES)
N_IN = 5


def make(activation: str, dtype: str = "float32") -> Network:
    """A network with the activation wherever it may be, a layer without biases, and biases that are not zero."""
    hidden = "tanh" if activation in LAST_ONLY else activation
    layers = [Dense(7, hidden), Dense(4, hidden, bias=False), Dense(3, activation)]
    network = Network(N_IN, layers, cost="poisson" if activation == "exp" else "sum_of_squares", dtype=dtype)
    network.set_parameters(np.random.default_rng(7).normal(0.0, 0.8, network.n_parameters))
    return network


def samples(n: int, dtype: str = "float32") -> NDArray[np.floating[Any]]:
    """Samples of which some drive every activation far out."""
    x = np.random.default_rng(8).normal(0.0, 1.0, (n, N_IN))
    x[n // 2 :] *= 30.0
    return x.astype(dtype)


def spoil(network: Network, tensor: str) -> Network:
    """Put a NaN into ``weights[1]``, or another tensor."""
    name, _, index = tensor.rstrip("]").partition("[")
    getattr(network, name)[int(index)].flat[2] = np.nan
    return network


class Trap:
    """Unpickling it would fail the test."""

    def __reduce__(self) -> tuple[object, ...]:
        return (pytest.fail, ("a file was unpickled",))


TRAP = pickle.dumps(Trap())


def assert_nothing_written(folder: Path, name: str, write: Any) -> None:
    """A network with NaN, a missing folder and a full disk: an error, and neither a file nor a half of one."""
    good = folder / name
    good.write_bytes(b"an earlier file")
    for tensor in "weights[1]", "biases[2]":
        with pytest.raises(ValueError, match=rf"net\.{tensor[:-3]}\[{tensor[-2]}\]: got NaN"):
            write(spoil(make("tanh"), tensor), good)
    with pytest.raises(OSError, match="nowhere"):
        write(make("tanh"), folder / "nowhere" / name)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError(28, "No space left on device")))
        with pytest.raises(OSError, match="No space"):
            write(make("tanh"), good)
    assert good.read_bytes() == b"an earlier file"
    assert os.listdir(folder) == [name]


def metadata_of(config: Any, version: Any = 1) -> dict[str, str]:
    """The metadata of a safetensors file of ours."""
    return {"fastbp": json.dumps({"version": version, "config": config})}
