"""One sample through backpropagation: what every unit computed, and how the sample would like the network to change.

Layers count from 0, as in ``net.weights``; ``a`` has the input in front. Row vectors, for layer l:

    z[l] = a[l] W_l + b_l,   a[l + 1] = f(z[l])                    forward
    delta[l] = dC/dz[l]                                            backward
    weight_nudges[l] = -dC/dW_l = -outer(a[l], delta[l])
    bias_nudges[l] = -dC/db_l = -delta[l]
    activation_nudges[l] = -dC/da[l] = -W_l delta[l]               what layer l wants from the layer before it

The desired nudges are those of "What is backpropagation really doing?" (3Blue1Brown, Deep learning, chapter 3): a
positive one means that more of this weight, bias or activation would lower this sample's cost, and its size says how
much it matters. Training averages them over the samples (``explain_batch``).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from .arguments import as_array
from .model import Network, require_finite, require_network
from .scalars import count


class SensitiveParameter(NamedTuple):
    """A weight or bias, and what one sample wants of it.

    Attributes
    ----------
    layer, row, column : int
        Its place in ``net.weights[layer]``. Row n_in, one more than the weights have, stands for the bias.
    is_bias : bool
        Whether it is one.
    value : float
        What it is now.
    nudge : float
        Minus dC/dw.
    times_median : float
        |nudge| over the median |nudge| of the parameters that the cost depends on here.
    """

    layer: int
    row: int
    column: int
    is_bias: bool
    value: float
    nudge: float
    times_median: float


@dataclass(frozen=True, eq=False)
class Hebbian:
    """How one layer's weight nudges come from what fires: ``weight_nudges[i, j] = activation[i] * wanted[j]``, exactly.

    Attributes
    ----------
    activation : ndarray, (n_in,)
        a, what the weights come from.
    wanted : ndarray, (n_out,)
        -delta: by how much a unit of activation nudges each weight into unit j. Positive: z_j should be larger.
    share : ndarray, (n_in,)
        |a_i| / sum of |a|: the part of all nudging into a unit that the weights from input i get, the same for every
        unit. A quiet input's weights are left alone. All zeros where no input fires.
    agreement : float
        How far the nudges follow Hebb's own rule, "fire together, wire together", which strengthens a weight by
        a_i a_j: the cosine of the two matrices. As both have a_i in common, it is the cosine of -delta and the
        layer's own activations: 1 where the units that fire are those that should fire more, -1 where they should
        all fire less. 0 where either is all zero.
    """

    activation: np.ndarray
    wanted: np.ndarray
    share: np.ndarray
    agreement: float


@dataclass(frozen=True, eq=False)
class Explanation:
    """One sample's forward and backward pass; arrays of float64, L the number of layers.

    Attributes
    ----------
    z : list of ndarray, L of (n_out,)
        Every layer's weighted input.
    a : list of ndarray, L + 1 of (n,)
        Activations: ``a[0]`` is the input (uint8 scaled to 0..1), ``a[l + 1]`` comes from ``z[l]``.
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
    weights, biases : list of ndarray
        Copies of the parameters that the nudges belong to, in the same shapes.

    Examples
    --------
    >>> from fastbp import Dense
    >>> net = Network(2, [Dense(1, "identity", initializer="zeros")], cost="half_sum_of_squares")
    >>> e = explain(net, [4.0, -1.0], 3.0)
    >>> e.output_nudges, e.weight_nudges[0].ravel(), e.bias_nudges[0]
    (array([3.]), array([12., -3.]), array([3.]))
    """

    z: list[np.ndarray]
    a: list[np.ndarray]
    delta: list[np.ndarray]
    target: np.ndarray
    cost: float
    weight_nudges: list[np.ndarray]
    bias_nudges: list[np.ndarray]
    activation_nudges: list[np.ndarray]
    weights: list[np.ndarray]
    biases: list[np.ndarray]

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

    def most_sensitive(self, k: int = 10) -> list[SensitiveParameter]:
        """The k parameters with the largest |dC/dw|, the largest first; all of them where there are not so many.

        They are compared with the median of those whose slope is not zero: where most of an image is blank, most
        weights of the first layer make no difference at all, and the median of everything would be 0.

        Examples
        --------
        >>> from fastbp import Dense
        >>> net = Network(2, [Dense(1, "identity", initializer="zeros")], cost="half_sum_of_squares")
        >>> top = explain(net, [4.0, -1.0], 3.0).most_sensitive(1)[0]
        >>> (top.layer, top.row, top.column), top.nudge, top.times_median
        ((0, 0, 0), 12.0, 4.0)
        """
        nudges, values = _flat(self.weight_nudges, self.bias_nudges), _flat(self.weights, self.biases)
        sizes = np.abs(nudges)
        median = float(np.median(sizes[sizes > 0])) if sizes.any() else np.inf
        starts = np.cumsum([0, *(w.size + b.size for w, b in zip(self.weights, self.biases, strict=True))])
        found = []
        for at in np.argsort(-sizes, kind="stable")[: count("k", k)]:
            layer = int(np.searchsorted(starts, at, side="right")) - 1
            n_in, n_out = self.weights[layer].shape
            row, column = divmod(int(at - starts[layer]), n_out)
            numbers = float(values[at]), float(nudges[at]), float(sizes[at] / median)
            found.append(SensitiveParameter(layer, row, column, row == n_in, *numbers))
        return found

    def hebbian(self, layer: int) -> Hebbian:
        """How far each weight's nudge in a layer follows the activation it comes from.

        Parameters
        ----------
        layer : int
            0 to L - 1; -1 is the last one.

        Raises
        ------
        TypeError, ValueError
            If there is no such layer.

        Examples
        --------
        >>> from fastbp import Dense
        >>> net = Network(2, [Dense(1, "identity")], cost="half_sum_of_squares")
        >>> e = explain(net, [3.0, 1.0], 100.0)
        >>> h = e.hebbian(0)
        >>> h.share, np.allclose(e.weight_nudges[0], np.outer(h.activation, h.wanted))
        (array([0.75, 0.25]), True)
        """
        n = len(self.delta)
        if count("layer", layer, -n) >= n:
            raise ValueError(f"layer: got {layer}, expected 0 to {n - 1}")
        at = layer % n
        activation, wanted, fired = self.a[at], -self.delta[at], self.a[at + 1]
        sizes = np.abs(activation)
        lengths = np.linalg.norm(wanted) * np.linalg.norm(fired)
        return Hebbian(activation, wanted, sizes / (sizes.sum() or 1.0), float(cosine(wanted @ fired, lengths)))


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
    require_network("net", net)
    require_finite("net", net)
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
        weights=list(twin.weights),
        biases=[b if layer.bias else np.empty(0) for b, layer in zip(twin.biases, net.layers, strict=True)],
    )


def cosine(dot: ArrayLike, lengths: ArrayLike) -> np.ndarray:
    """A dot product over the product of two lengths; 0 where a vector has no length.

    Examples
    --------
    >>> cosine([6.0, 0.0], [12.0, 0.0])
    array([0.5, 0. ])
    """
    above, below = np.asarray(dot, np.float64), np.asarray(lengths, np.float64)
    return np.divide(above, below, out=np.zeros_like(above), where=below > 0)


def _flat(weights: list[np.ndarray], biases: list[np.ndarray]) -> np.ndarray:
    """In the order of ``Network.get_parameters``."""
    return np.concatenate([part.ravel() for pair in zip(weights, biases, strict=True) for part in pair])


def _one_sample(net: Network, x: ArrayLike) -> np.ndarray:
    """X as (n_in,), of its own dtype; the network checks the rest."""
    sample = as_array("x", x)
    if sample.size != net.n_in:
        raise ValueError(f"x: got shape {sample.shape}, expected one sample of {net.n_in} numbers")
    if not isinstance(x, np.ndarray) and sample.dtype.kind in "iu" and sample.dtype != np.uint8:
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
