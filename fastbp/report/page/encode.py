"""Arrays as text that a page can hold: base64, and weights of fewer bits where 32 are too many."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastbp.model import Network

FULL = 32  # bits of a float: nothing is rounded
BITS = (FULL, *range(16, 5, -1))  # with fewer than 6, a network's outputs are no longer its own


def base64_text(array: NDArray[Any]) -> str:
    """An array's bytes, little-endian and in C order, as base64.

    Examples
    --------
    >>> base64_text(np.array([1, 2, 255], np.uint8))
    'AQL/'
    """
    return base64.b64encode(np.ascontiguousarray(array, array.dtype.newbyteorder("<")).tobytes()).decode("ascii")


def base64_size(n_bytes: int) -> int:
    """How long the base64 of so many bytes is.

    Examples
    --------
    >>> base64_size(3), base64_size(4)
    (4, 8)
    """
    return -(-n_bytes // 3) * 4


def packed_size(network: Network, bits: int) -> int:
    """How long the texts of ``packed`` are together.

    Examples
    --------
    >>> from fastbp import Dense
    >>> packed_size(Network(784, [Dense(10)]), 32), packed_size(Network(784, [Dense(10)]), 8)
    (41872, 10568)
    """
    size = 0
    for weights, biases in zip(network.weights, network.biases, strict=True):
        scales = 0 if bits == FULL else weights.shape[1]
        size += base64_size(-(-weights.size * bits // 8)) + base64_size(4 * len(biases)) + base64_size(4 * scales)
    return size


def bits_that_fit(network: Network, room: int) -> int:
    """The most bits a weight may have so that the network's texts take at most ``room`` characters; 0: too large.

    Examples
    --------
    >>> from fastbp import Dense
    >>> [bits_that_fit(Network(784, [Dense(10)]), room) for room in (50_000, 20_000, 1_000)]
    [32, 15, 0]
    """
    return next((bits for bits in BITS if packed_size(network, bits) <= room), 0)


def packed(network: Network, bits: int) -> tuple[list[dict[str, str]], Network]:
    """A network's parameters as texts, and the network that those texts hold.

    With 32 bits a weight is a float32. With fewer it is a whole number q times its unit's scale: q from
    -(2^(bits-1) - 1) to 2^(bits-1) - 1, stored as q + 2^(bits-1) - 1, the highest bit first and without gaps.

    Parameters
    ----------
    network : Network
        Not changed.
    bits : int
        Of a weight: 32, or 2 to 16. Biases are float32 always.

    Returns
    -------
    layers : list of dict
        By layer ``weights`` (n_in, n_out), ``biases`` (n_out,) or empty, ``scales`` (n_out,) or empty, as base64.
    rounded : Network
        Of float32.

    Examples
    --------
    >>> from fastbp import Dense
    >>> network = Network(1, [Dense(2)])
    >>> network.set_parameters([0.5, -3.0, 1.0, 2.0])
    >>> layers, rounded = packed(network, 8)
    >>> layers[0]["weights"], rounded.weights[0]
    ('/gA=', array([[ 0.5, -3. ]], dtype=float32))
    """
    rounded = Network.from_config(network.config() | {"dtype": "float32"})
    layers = []
    for layer, (weights, biases) in enumerate(zip(network.weights, network.biases, strict=True)):
        texts, kept = _packed_weights(weights.astype(np.float32), bits)
        rounded.weights[layer][:], rounded.biases[layer][:] = kept, biases
        layers.append({**texts, "biases": base64_text(biases.astype(np.float32))})
    return layers, rounded


def _packed_weights(weights: NDArray[np.float32], bits: int) -> tuple[dict[str, str], NDArray[np.float32]]:
    """The texts of one layer's weights, and the weights that they hold."""
    if bits == FULL:
        return {"weights": base64_text(weights), "scales": ""}, weights
    top = 2 ** (bits - 1) - 1
    largest = np.abs(weights).max(axis=0)
    scales = np.where(largest > 0, largest / top, 1.0).astype(np.float32)
    whole = np.rint(weights / scales).clip(-top, top).astype(np.int32)
    places = np.arange(bits - 1, -1, -1, dtype=np.int32)
    ones = ((whole.reshape(-1, 1) + top) >> places & 1).astype(np.uint8)
    return {"weights": base64_text(np.packbits(ones)), "scales": base64_text(scales)}, whole.astype(np.float32) * scales
