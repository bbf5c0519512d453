"""A network layer by layer, checked, as every format writes it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from ..arguments import converted
from ..errors import unknown_name
from ..layers import Dense
from ..model import Network

INPUT_DTYPES = ("uint8", "float32", "float64")
PIXEL = 1.0 / 255.0  # what a uint8 input is multiplied by, in fastbp and in every file written here


class Part(NamedTuple):
    """A layer: a = f(a_in W + b)."""

    weights: np.ndarray  # (n_in, n_out)
    biases: np.ndarray | None  # (n_out,)
    activation: str


def parts(net: Network) -> list[Part]:
    """Every layer of a network, its numbers checked before anything is written.

    Raises
    ------
    ValueError
        If a weight or a bias is NaN or infinite; the layer is named.

    Examples
    --------
    >>> net = Network(2, [Dense(3), Dense(1)])
    >>> net.biases[1][0] = np.nan
    >>> parts(net)
    Traceback (most recent call last):
    ValueError: net.biases[1]: got NaN or infinity, expected finite numbers
    """
    return [
        Part(
            converted(f"net.weights[{index}]", weights, net.dtype),
            converted(f"net.biases[{index}]", biases, net.dtype) if layer.bias else None,
            str(layer.activation),
        )
        for index, (layer, weights, biases) in enumerate(zip(net.layers, net.weights, net.biases, strict=True))
    ]


def torch_names(layers: Iterable[Dense]) -> list[str]:
    """What ``torch.nn.Sequential`` would call each layer's linear module: the number of modules before it.

    An activation is a module of its own, as is dropout; identity is none.

    Examples
    --------
    >>> torch_names([Dense(3, "relu"), Dense(3, "identity"), Dense(2, "softmax", dropout=0.5)])
    ['0', '2', '4']
    """
    names, at = [], 0
    for layer in layers:
        at += layer.dropout > 0
        names.append(str(at))
        at += 1 if layer.activation == "identity" else 2
    return names


def input_dtype_of(net: Network, input_dtype: str | None) -> np.dtype:
    """The dtype of what an exported network is given: the network's own, unless uint8 or another float is asked for.

    Examples
    --------
    >>> input_dtype_of(Network(2, [Dense(1)]), None)
    dtype('float32')
    """
    if input_dtype is None:
        return net.dtype
    if input_dtype not in INPUT_DTYPES:
        raise unknown_name("input_dtype", input_dtype, INPUT_DTYPES)
    return np.dtype(input_dtype)
