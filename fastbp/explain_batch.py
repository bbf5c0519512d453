"""Many samples at once: what each would change, beside their average, which is the step that training takes.

Every sample pulls the weights its own way; only the average is the negative gradient of the cost (3Blue1Brown, Deep
learning, chapter 3). How far a sample agrees with it is the cosine of the angle between the two. Here every sample's
nudges are in memory; for more samples than fit there, see ``forensics``.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike

from .explain import cosine
from .model import Network, require_network

MOST_NUMBERS = 1 << 27  # 1 GiB of float64
# Of the largest nudge of any sample: thousands of float64 roundings, and far below anything that a mistake would leave.
TOLERANCE = 1e-11


@dataclass(frozen=True, eq=False)
class BatchExplanation:
    """What each of n samples wants of every parameter, and what all of them want together; arrays of float64.

    Attributes
    ----------
    nudges : ndarray, (n, n_parameters)
        Each sample's -dC/dtheta, in the order of ``Network.get_parameters``.
    average : ndarray, (n_parameters,)
        Their mean: the negative gradient of the averaged cost, as was checked.
    cosines : ndarray, (n,)
        How far each sample agrees with the average, -1 to 1; 0 where either is all zero.
    layer_cosines : ndarray, (n, L)
        The same, each layer by itself.
    gradient_error : float
        How far the average is from minus ``Network.gradient``: their largest difference, relative to the largest
        nudge of any sample.

    Examples
    --------
    >>> from fastbp import Dense
    >>> net = Network(1, [Dense(1, "identity", initializer="zeros")], cost="half_sum_of_squares")
    >>> batch = explain_batch(net, [[2.0], [1.0]], [1.0, 3.0])
    >>> batch.average, batch.weight_nudges[0].shape
    (array([2.5, 2. ]), (2, 1, 1))
    """

    nudges: np.ndarray
    average: np.ndarray
    cosines: np.ndarray
    layer_cosines: np.ndarray
    gradient_error: float
    network: Network = field(repr=False)

    @property
    def weight_nudges(self) -> list[np.ndarray]:
        """The samples' -dC/dW by layer: L views of (n, n_in, n_out)."""
        return [view for view, _ in self._layers(self.nudges)]

    @property
    def bias_nudges(self) -> list[np.ndarray]:
        """The samples' -dC/db by layer: L views of (n, n_out), or (n, 0) in a layer without biases."""
        return [view for _, view in self._layers(self.nudges)]

    @property
    def average_weight_nudges(self) -> list[np.ndarray]:
        """The average by layer: L views of (n_in, n_out)."""
        return [view[0] for view, _ in self._layers(self.average[np.newaxis])]

    @property
    def average_bias_nudges(self) -> list[np.ndarray]:
        """The average by layer: L views of (n_out,), or (0,)."""
        return [view[0] for _, view in self._layers(self.average[np.newaxis])]

    def _layers(self, rows: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
        return [
            (rows[:, a:b].reshape(len(rows), *weights.shape), rows[:, b:c])
            for (a, b, c), weights in zip(_cuts(self.network), self.network.weights, strict=True)
        ]


def explain_batch(net: Network, x: ArrayLike, y: ArrayLike) -> BatchExplanation:
    """What every sample of a mini-batch wants, beside what their average does.

    Parameters
    ----------
    net : Network
        Not changed. The numbers are those of a float64 network with the same parameters.
    x, y : array_like
        As in ``Network.cost``; n times ``net.n_parameters`` must not exceed 2^27, which is 1 GiB.

    Returns
    -------
    BatchExplanation
        ``nudges`` (n, n_parameters), ``average``, ``cosines``, and views by layer.

    Raises
    ------
    TypeError, ValueError
        If x or y do not fit the network, or there are too many samples.
    ArithmeticError
        If the average is not the negative gradient, which would be an error in fastbp, or an overflow.

    Examples
    --------
    >>> from fastbp import Dense
    >>> net = Network(1, [Dense(1, "identity", initializer="zeros")], cost="half_sum_of_squares")
    >>> batch = explain_batch(net, [[2.0], [1.0]], [1.0, 3.0])
    >>> batch.nudges.tolist(), batch.average.tolist()
    ([[2.0, 1.0], [3.0, 3.0]], [2.5, 2.0])
    >>> batch.cosines.round(3)
    array([0.978, 0.994])
    """
    require_network("net", net)
    twin = Network.from_config({**net.config(), "dtype": "float64"})
    twin.set_parameters(net.get_parameters())
    inputs, targets = twin._samples(x, y)
    most = MOST_NUMBERS // net.n_parameters
    if len(inputs) > most:
        raise ValueError(
            f"x: got {len(inputs)} samples of {net.n_parameters} nudges each, expected at most {most} samples; "
            "sample_forensics looks at any number of them"
        )
    nudges = twin.per_sample_gradients(inputs, targets)
    np.negative(nudges, out=nudges)
    average = nudges.mean(axis=0)
    # The gradient is summed by other kernels, tile by tile, so that comparing says something.
    largest = max(-nudges.min(), nudges.max())
    error = np.abs(average + twin.gradient(inputs, targets).flat).max() / (largest or 1.0)
    if not error <= TOLERANCE:
        raise ArithmeticError(f"the average nudge is not the negative gradient: they differ by {error:.1e}")
    cuts = [(a, c) for a, _, c in _cuts(net)]
    dots = np.stack([nudges[:, a:c] @ average[a:c] for a, c in cuts], axis=1)
    squares = np.stack([np.einsum("sp,sp->s", nudges[:, a:c], nudges[:, a:c]) for a, c in cuts], axis=1)
    average_squares = np.array([average[a:c] @ average[a:c] for a, c in cuts])
    return BatchExplanation(
        nudges=nudges,
        average=average,
        cosines=cosine(dots.sum(axis=1), np.sqrt(squares.sum(axis=1) * average_squares.sum())),
        layer_cosines=cosine(dots, np.sqrt(squares * average_squares)),
        gradient_error=float(error),
        network=net,
    )


def _cuts(net: Network) -> list[tuple[int, int, int]]:
    """Where each layer's weights begin and end, and where its biases end, in the flat parameters."""
    cuts, at = [], 0
    for weights, biases in zip(net.weights, net.biases, strict=True):
        cuts.append((at, at + weights.size, at + weights.size + biases.size))
        at = cuts[-1][-1]
    return cuts
