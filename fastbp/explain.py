"""One sample through backpropagation: what every unit computed, and how the sample would like the network to change.

Layers count from 0, as in ``net.weights``; ``a`` has the input in front. Row vectors, for layer l:

    z[l] = a[l] W_l + b_l,   a[l + 1] = f(z[l])                    forward
    delta[l] = dC/dz[l]                                            backward
    weight_nudges[l] = -dC/dW_l = -outer(a[l], delta[l])
    bias_nudges[l] = -dC/db_l = -delta[l]
    activation_nudges[l] = -dC/da[l] = -W_l delta[l]               what layer l wants from the layer before it

The desired nudges are those of "What is backpropagation really doing?" (3Blue1Brown, Deep learning, chapter 3): a
positive one means that more of this weight, bias or activation would lower this sample's cost, and its size says how
much it matters. Training averages them over the samples.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike

from .model import Network


@dataclass(frozen=True, eq=False)
class Explanation:
    """One sample's forward and backward pass; arrays of float64, L the number of layers.

    Attributes
    ----------
    z : list of ndarray, L of (n_out,)
        Every layer's weighted input.
    a : list of ndarray, L + 1 of (n,)
        Activations: ``a[0]`` is the input (uint8 scaled to 0..1), ``a[l + 1]`` comes of ``z[l]``.
    delta : list of ndarray, L of (n_out,)
        dC/dz.
    target : ndarray, (n_out of the last layer,)
        What the output should have been; a class as a one-hot vector.
    cost : float
        Of this sample.
    weight_nudges : list of ndarray, L of (n_in, n_out)
        -dC/dW.
    bias_nudges : list of ndarray, L of (n_out,), or (0,) in a layer without biases
        -dC/db.
    activation_nudges : list of ndarray, L of (n_in,)
        -dC/da of each layer's input: ``activation_nudges[l]`` belongs to ``a[l]``.
    """

    z: list[np.ndarray]
    a: list[np.ndarray]
    delta: list[np.ndarray]
    target: np.ndarray
    cost: float
    weight_nudges: list[np.ndarray]
    bias_nudges: list[np.ndarray]
    activation_nudges: list[np.ndarray]

    @property
    def output(self) -> np.ndarray:
        """The last activations, ``a[-1]``."""
        return self.a[-1]

    @property
    def output_nudges(self) -> np.ndarray:
        """Target minus output: which outputs want up (positive) or down, and how far.

        How hard the cost pulls at each is ``-delta[-1]``, on the scale of z.
        """
        nudges: np.ndarray = self.target - self.output
        return nudges


def explain(net: Network, x: ArrayLike, y: ArrayLike) -> Explanation:
    """Follow one sample forward and back through a network.

    Parameters
    ----------
    net : Network
        Not changed. The numbers are those of a float64 network with the same parameters.
    x : array_like, (n_in,), or an image of n_in pixels
        One sample; uint8 (scaled by 1/255), float32 or float64.
    y : int, or array_like (n_out,)
        Its class, or its targets; with one output also a number.

    Returns
    -------
    Explanation
        Lists of arrays by layer: ``z``, ``a``, ``delta``, and the desired nudges.

    Raises
    ------
    TypeError, ValueError
        If x is not one sample of the network, or y does not fit.

    Examples
    --------
    >>> from fastbp import Dense
    >>> net = Network(2, [Dense(1, "identity", initializer="zeros")], cost="half_sum_of_squares")
    >>> e = explain(net, [2.0, -1.0], 3.0)
    >>> e.output, e.output_nudges, e.cost
    (array([0.]), array([3.]), 4.5)
    >>> e.weight_nudges[0].ravel(), e.bias_nudges[0]
    (array([ 6., -3.]), array([3.]))
    """
    sample = _one_sample(net, x)
    twin = _twin(net)
    gradient = twin.gradient(sample, y)  # of one sample; so every gradient of a bias is a delta
    cost = twin.cost(sample, y)
    z, a = _forward(twin, sample / 255.0 if sample.dtype == np.uint8 else sample.astype(np.float64))
    delta = gradient.biases
    is_class = np.ndim(y) == 0 and net.n_out > 1
    target = np.eye(net.n_out)[int(np.asarray(y))] if is_class else np.array(y, np.float64).reshape(net.n_out)
    return Explanation(
        z=z,
        a=a,
        delta=list(delta),
        target=target,
        cost=cost,
        weight_nudges=[-g for g in gradient.weights],
        bias_nudges=[-d if layer.bias else np.empty(0) for d, layer in zip(delta, net.layers, strict=True)],
        activation_nudges=[-(w @ d) for w, d in zip(twin.weights, delta, strict=True)],
    )


def _one_sample(net: Network, x: ArrayLike) -> np.ndarray:
    """X as (n_in,), of its own dtype; the network checks the rest."""
    sample = np.asarray(x)
    if sample.size != net.n_in:
        raise ValueError(f"x: got shape {sample.shape}, expected one sample of {net.n_in} numbers")
    if not isinstance(x, np.ndarray) and sample.dtype.kind in "iu":
        sample = sample.astype(np.float64)  # a list of whole numbers, as Network takes it
    return sample.reshape(-1)


def _twin(net: Network) -> Network:
    """The same network in float64, with a zero bias where a layer has none."""
    layers = [replace(layer, bias=True) for layer in net.layers]
    twin = Network(net.n_in, layers, net.cost_name, "float64")
    for to, weights in zip(twin.weights, net.weights, strict=True):
        to[:] = weights
    for to, biases in zip(twin.biases, net.biases, strict=True):
        to[:] = biases if len(biases) else 0.0
    return twin


def _forward(net: Network, sample: np.ndarray) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Every layer's z, and every activation with the input in front: each layer as a network of its own."""
    z, a = [], [sample]
    for layer, weights, biases in zip(net.layers, net.weights, net.biases, strict=True):
        z.append(a[-1] @ weights + biases)
        alone = Network(len(a[-1]), [layer], dtype="float64")
        alone.weights[0][:], alone.biases[0][:] = weights, biases
        a.append(alone.forward(a[-1]))
    return z, a
