"""Which samples are hard, which pull against the others, and how noisy a mini-batch is: from deltas alone.

Sample s's gradient for a layer is the outer product of a_in[s] and delta[s], with delta[s] itself for the biases. So
what one wants to know of it needs no gradient, of which 60,000 would take gigabytes:

    |g_s|^2 = sum over the layers of |delta|^2 (|a_in|^2 + 1)
    g_s . G = sum over the layers of (a_in G_W + G_b) . delta

So all of MNIST's 60,000 images through 784-16-16-10 take about a second, and memory for one chunk of them at a time.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike

from . import arguments
from .explain import cosine
from .gradient import Gradient
from .kernels.costs import GOES_WITH
from .kernels.layout import DELTA
from .kernels.states import states
from .model import Network, require_network
from .scalars import count

CHUNK_NUMBERS = 1 << 22  # activations and deltas at hand at a time


@dataclass(frozen=True, eq=False)
class SampleForensics:
    """What ``sample_forensics`` found: a row a sample, a column a layer.

    Attributes
    ----------
    costs : ndarray of float64, (n,)
        Each sample's own cost.
    layer_norms : ndarray of float64, (n, L)
        The Euclidean norm of each sample's gradient, layer by layer.
    delta_norms : ndarray of float64, (n, L)
        The same of dC/dz.
    layer_dots : ndarray of float64, (n, L)
        The dot product of each sample's gradient with ``direction``, layer by layer.
    gradient : Gradient
        The samples' average.
    direction : Gradient
        What each sample was compared with: ``gradient``, unless another one was given.

    Examples
    --------
    >>> from fastbp import Dense
    >>> net = Network(1, [Dense(1, "identity", initializer="zeros")], cost="half_sum_of_squares")
    >>> found = sample_forensics(net, [[0.75], [0.75]], [4.0, -4.0])  # two that want the opposite
    >>> found.norms, found.gradient.flat, found.noise_scale
    (array([5., 5.]), array([0., 0.], dtype=float32), inf)
    """

    costs: np.ndarray
    layer_norms: np.ndarray
    delta_norms: np.ndarray
    layer_dots: np.ndarray
    gradient: Gradient = field(repr=False)
    direction: Gradient = field(repr=False)

    @property
    def norms(self) -> np.ndarray:
        """The norm of each sample's gradient, (n,)."""
        norms: np.ndarray = np.linalg.norm(self.layer_norms, axis=1)
        return norms

    @property
    def dots(self) -> np.ndarray:
        """Each sample's gradient times ``direction``, (n,).

        A small step of learning rate eta against ``direction`` lowers the sample's cost by eta times this; where it
        is negative, the step raises it.
        """
        dots: np.ndarray = self.layer_dots.sum(axis=1)
        return dots

    @property
    def cosines(self) -> np.ndarray:
        """How far each sample agrees with ``direction``, -1 to 1, (n,); 0 where either is all zero."""
        return cosine(self.dots, self.norms * _norm(self.direction.flat))

    @property
    def layer_cosines(self) -> np.ndarray:
        """The same, each layer by itself: (n, L)."""
        return cosine(self.layer_dots, self.layer_norms * layer_norms(self.direction))

    def hardest(self, k: int = 10) -> np.ndarray:
        """Which k samples cost most, the worst first: (k,) int64, or fewer where there are not so many."""
        return np.argsort(-self.costs, kind="stable")[: count("k", k)]

    def most_conflicting(self, k: int = 10) -> np.ndarray:
        """Which k samples a step against ``direction`` helps least, that is with the smallest ``dots``: (k,) int64.

        The first ones are those that it harms most. That also asks how much a sample cares; ``cosines`` do not.
        """
        return np.argsort(self.dots, kind="stable")[: count("k", k)]

    @property
    def gradient_square(self) -> float:
        """|G|^2, estimated without bias: (n |average|^2 - mean of |g_s|^2) / (n - 1).

        The average of n samples is longer than the true gradient G by what noise is left in it. With few samples the
        estimate may even be negative.
        """
        n, mean = len(self._squares), float(self._squares.mean())
        return (n * _norm(self.gradient.flat) ** 2 - mean) / (n - 1)

    @property
    def gradient_variance(self) -> float:
        """tr(Sigma), the variance of one sample's gradient summed over the parameters, estimated without bias.

        (mean of |g_s|^2 - |average|^2) n / (n - 1).
        """
        n, mean = len(self._squares), float(self._squares.mean())
        return max(0.0, (mean - _norm(self.gradient.flat) ** 2) * n / (n - 1))

    @property
    def noise_scale(self) -> float:
        """The gradient noise scale, B_simple = tr(Sigma) / |G|^2, in samples; infinite where |G|^2 is not above 0.

        In a mini-batch of so many samples, signal and noise are equally large. Far smaller ones mostly follow the
        noise; far larger ones cost more than they teach. Two unbiased estimates, whose quotient is not quite.

        References
        ----------
        McCandlish, Kaplan, Amodei and the OpenAI Dota Team, "An Empirical Model of Large-Batch Training"
        (arXiv:1812.06162, 2018), eq. 2.9 and appendix A.1 with B_small = 1 and B_big = n.
        """
        signal = self.gradient_square
        return self.gradient_variance / signal if signal > 0 else np.inf

    @property
    def _squares(self) -> np.ndarray:
        if len(self.costs) < 2:
            raise ValueError("x: got 1 sample, expected 2 or more to tell signal from noise")
        return self.norms**2


def sample_forensics(
    net: Network, x: ArrayLike, y: ArrayLike, direction: Gradient | ArrayLike | None = None
) -> SampleForensics:
    """Look at every sample's cost and gradient, without forming the gradients.

    Parameters
    ----------
    net : Network
        Not changed.
    x, y : array_like
        As in ``Network.cost``.
    direction : Gradient or array_like (n_parameters,), optional
        What the samples' gradients are compared with: by default their average. The gradient of other samples tells
        which of these would help, or harm, those.

    Returns
    -------
    SampleForensics
        ``costs``, ``norms``, ``dots``, ``cosines``, each (n,); ``hardest(k)``, ``most_conflicting(k)``;
        ``noise_scale``.

    Raises
    ------
    TypeError, ValueError
        If x, y or direction do not fit the network.

    Examples
    --------
    >>> from fastbp import Dense
    >>> net = Network(1, [Dense(1, "identity", initializer="zeros")], cost="half_sum_of_squares")
    >>> found = sample_forensics(net, [[1.0], [1.0], [2.0]], [1.0, 2.0, -1.0])
    >>> found.costs, found.dots.round(3)
    (array([0.5, 2. , 0.5]), array([ 1.   ,  2.   , -1.333]))
    >>> found.hardest(1), found.most_conflicting(1)
    (array([1]), array([2]))
    """
    require_network("net", net)
    inputs, targets = net._samples(x, y)
    gradient = net.gradient(inputs, targets)
    along = gradient if direction is None else _direction(net, direction)
    costs, shape = np.empty(len(inputs)), (len(inputs), len(net.layers))
    norms, delta_norms, dots = np.empty(shape), np.empty(shape), np.empty(shape)
    for part, a, delta in _states(net, inputs, targets):
        costs[part] = _costs(net, a, targets[part])
        for l, layer in enumerate(net.layers):  # noqa: E741
            square, delta_square = _square_sums(a[l]) + layer.bias, _square_sums(delta[l])
            delta_norms[part, l] = np.sqrt(delta_square)
            norms[part, l] = np.sqrt(delta_square * square)
            pull = a[l] @ along.weights[l] + (along.biases[l] if layer.bias else 0)
            dots[part, l] = np.einsum("sj,sj->s", pull, delta[l], dtype=np.float64)
    return SampleForensics(costs, norms, delta_norms, dots, gradient, along)


def confusion_matrix(net: Network, x: ArrayLike, y: ArrayLike) -> np.ndarray:
    """How many samples of each class were taken for each: (n_classes, n_classes) int64.

    Row: what y says; column: what the network says. A network with one output has the classes 0 and 1.

    Parameters
    ----------
    net : Network
    x, y : array_like
        As in ``Network.accuracy``.

    Raises
    ------
    TypeError, ValueError
        If x or y do not fit the network.

    Examples
    --------
    >>> from fastbp import Dense
    >>> net = Network(1, [Dense(1, "identity")], cost="sum_of_squares")
    >>> net.set_parameters([1.0, 0.0])
    >>> confusion_matrix(net, [[0.1], [0.2], [0.9]], [0.0, 1.0, 1.0])
    array([[1, 0],
           [1, 1]])
    """
    require_network("net", net)
    inputs, targets = net._samples(x, y)
    n_classes, says = max(net.n_out, 2), targets
    if targets.ndim == 2:
        says = targets.argmax(axis=1) if net.n_out > 1 else (targets[:, 0] >= 0.5).astype(np.int64)
    pairs = np.bincount(says * n_classes + net.classify(inputs), minlength=n_classes**2)
    return pairs.reshape(n_classes, n_classes)


def layer_norms(gradient: Gradient) -> np.ndarray:
    """The Euclidean norm of a gradient, layer by layer: (L,) float64.

    Examples
    --------
    >>> from fastbp import Dense
    >>> net = Network(1, [Dense(1, "identity", initializer="zeros")], cost="half_sum_of_squares")
    >>> layer_norms(net.gradient([[0.75]], [4.0]))
    array([5.])
    """
    parts = zip(gradient.weights, gradient.biases, strict=True)
    return np.array([np.hypot(_norm(weights), _norm(biases)) for weights, biases in parts])


# ---------------------------------------------------------------- the work
def _states(
    net: Network, inputs: np.ndarray, targets: np.ndarray
) -> Iterator[tuple[slice, list[np.ndarray], list[np.ndarray]]]:
    """A chunk of samples after the other: which, their L + 1 activations with the input in front, their L deltas."""
    sizes = net._shape.sizes
    widths = [n for pair in itertools.pairwise(sizes) for n in pair] + sizes[-1:]
    rows = max(1, CHUNK_NUMBERS // sum(widths))
    for start in range(0, len(inputs), rows):
        part = slice(start, min(start + rows, len(inputs)))
        out = np.empty((part.stop - part.start, sum(widths)), net.dtype)
        net._pass(DELTA, inputs[part], targets[part], each=states, out=out)
        pieces = np.split(out, np.cumsum(widths)[:-1], axis=1)
        yield part, pieces[::2], pieces[1::2]


def _costs(net: Network, a: list[np.ndarray], targets: np.ndarray) -> np.ndarray:
    """Each sample's cost, by the formulas of ``kernels/costs.py``; there they are added up on the way."""
    t = np.eye(net.n_out)[targets] if targets.ndim == 1 else targets.astype(np.float64)
    if net.cost_name not in GOES_WITH:
        e = np.abs(a[-1] - t)
        if net.cost_name in ("absolute_error", "huber"):
            each = e if net.cost_name == "absolute_error" else np.where(e <= 1, e * e / 2, e - 0.5)
            return np.asarray(each.sum(axis=1))
        factors = {"sum_of_squares": 1.0, "half_sum_of_squares": 0.5, "mean_squared_error": 1 / net.n_out}
        return _square_sums(e) * factors[net.cost_name]
    z = (a[-2] @ net.weights[-1] + (net.biases[-1] if net.layers[-1].bias else 0)).astype(np.float64)
    if net.cost_name == "poisson":
        costs = a[-1] - t * z
    elif net.layers[-1].activation == "softmax":
        costs = t * (np.logaddexp.reduce(z, axis=1, keepdims=True) - z)
    else:
        costs = np.logaddexp(0.0, z) - t * z
    total: np.ndarray = costs.sum(axis=1)
    return total


def _direction(net: Network, given: Gradient | ArrayLike) -> Gradient:
    flat = given.flat if isinstance(given, Gradient) else given
    return Gradient(arguments.parameters("direction", flat, net.n_parameters, net.dtype), net.n_in, net.layers)


def _square_sums(rows: np.ndarray) -> np.ndarray:
    """Each row's squared length, in float64."""
    sums: np.ndarray = np.einsum("si,si->s", rows, rows, dtype=np.float64)
    return sums


def _norm(array: np.ndarray) -> float:
    return float(np.linalg.norm(array.astype(np.float64)))
