"""safetensors: a network's tensors under PyTorch's names, and in the metadata what it takes to rebuild it.

The tensors are those of ``net.to_torch().state_dict()``: "0.weight" (n_out, n_in), "0.bias" (n_out,), "2.weight", ...
The metadata has one entry, "fastbp": JSON with the format's version and ``Network.config()``. A file holds numbers
and names, nothing that could run.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from .. import arguments
from ..archive import atomic_write, blame_the_file, file_name
from ..errors import CheckpointError, MissingExtraError
from ..layers import Dense
from ..model import Network
from .parts import parts, torch_names

KEY, VERSION = "fastbp", 1
DTYPES = {"F32": "float32", "F64": "float64"}


def write(net: Network, path: str | os.PathLike[str]) -> None:
    """Write a network as a safetensors file; see ``Network.to_safetensors``.

    Examples
    --------
    >>> write(Network(2, [Dense(3, "tanh"), Dense(1)]), "net.safetensors")  # doctest: +SKIP
    """
    try:
        from safetensors.numpy import save
    except ImportError as error:
        raise MissingExtraError("safetensors", "exchange", "to_safetensors") from error
    tensors = {}
    for name, (weights, biases, _) in zip(torch_names(net.layers), parts(net), strict=True):
        tensors[f"{name}.weight"] = np.ascontiguousarray(weights.T)
        if biases is not None:
            tensors[f"{name}.bias"] = biases
    atomic_write(path, save(tensors, {KEY: json.dumps({"version": VERSION, "config": net.config()})}))


def read(path: str | os.PathLike[str], config: dict[str, Any] | None = None) -> Network:
    """Read a network from a safetensors file; see ``Network.from_safetensors``."""
    try:
        from safetensors import SafetensorError, safe_open
    except ImportError as error:
        raise MissingExtraError("safetensors", "exchange", "from_safetensors") from error
    with open(file_name(path), "rb"):  # what is wrong with the path is Python's to say
        pass
    try:
        with blame_the_file(path), safe_open(path, "numpy") as file:
            return _read_network(file, _config_in(file.metadata() or {}) if config is None else config)
    except SafetensorError as error:
        raise CheckpointError(f"{os.fspath(path)}: not a safetensors file, or truncated or corrupt: {error}") from error


def _config_in(metadata: dict[str, str]) -> dict[str, Any]:
    if KEY not in metadata:
        raise ValueError("does not say of which network it is: give config=, as Network.config() returns it")
    header: dict[str, Any] = json.loads(metadata[KEY])
    if header["version"] > VERSION:
        raise ValueError(
            f"has format version {header['version']}, and this fastbp reads up to {VERSION}: upgrade fastbp"
        )
    return dict(header["config"])


def _read_network(file: Any, config: dict[str, Any]) -> Network:
    """Build the network, or raise what ``read`` turns into a CheckpointError."""
    layers = arguments.layers([Dense(**layer) for layer in config["layers"]])
    dtype = arguments.float_dtype(config["dtype"])
    named = [replace(layer, dropout=0.0) for layer in layers]  # as where dropout is no module of its own
    if set(_shapes(config["n_in"], named)) != set(file.keys()):
        named = list(layers)
    _check_tensors(file, _shapes(config["n_in"], named), dtype)  # before anything of such a size is allocated
    net = Network.from_config(config)
    for name, weights, biases in zip(torch_names(named), net.weights, net.biases, strict=True):
        for tensor, view in (f"{name}.weight", weights.T), (f"{name}.bias", biases):
            if view.size:
                view[:] = arguments.converted(f"tensor {tensor}", file.get_tensor(tensor), dtype)
    return net


def _shapes(n_in: int, layers: Sequence[Dense]) -> dict[str, tuple[int, ...]]:
    """Every tensor's name and shape."""
    shapes: dict[str, tuple[int, ...]] = {}
    for name, layer in zip(torch_names(layers), layers, strict=True):
        shapes[f"{name}.weight"] = (layer.n, n_in)
        if layer.bias:
            shapes[f"{name}.bias"] = (layer.n,)
        n_in = layer.n
    return shapes


def _check_tensors(file: Any, shapes: dict[str, tuple[int, ...]], dtype: np.dtype) -> None:
    """Raise ValueError unless the file has the tensors in ``shapes``, all of ``dtype``, and no others."""
    found = set(file.keys())
    if missing := [name for name in shapes if name not in found]:
        raise ValueError(f"tensor {missing[0]} is missing; the network has {', '.join(shapes)}")
    if extra := sorted(found - set(shapes)):
        raise ValueError(f"tensor {extra[0]} is of no layer; the network has {', '.join(shapes)}")
    for name, shape in shapes.items():
        tensor = file.get_slice(name)
        if tuple(tensor.get_shape()) != shape:
            raise ValueError(f"tensor {name} has shape {tuple(tensor.get_shape())}, the network {shape}")
        if DTYPES.get(tensor.get_dtype()) != dtype.name:
            raise ValueError(f"tensor {name} is {tensor.get_dtype()}, the network {dtype.name}")
