"""The slow oracle: backpropagation one sample at a time, in float64, as the textbook's four equations.

Everything fast in fastbp is compared with this file, so it shares nothing with it: NumPy, clarity first, no speed.

    (BP1)  delta_L = dC/da_L * f'(z_L)                  the error of the last layer (softmax: its whole Jacobian)
    (BP2)  delta_l = (W_{l+1} delta_{l+1}) * f'(z_l)    the error, one layer back
    (BP3)  dC/db_l = delta_l
    (BP4)  dC/dW_l[i, j] = a_{l-1}[i] delta_l[j]

Letters: W (n_in, n_out), b (n_out,), z = a_in W + b, a = f(z), theta = all parameters, W1 row-major, b1, W2, b2, ...
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def sigmoid(z: Array) -> Array:
    """1 / (1 + exp(-z)), without overflow on either side."""
    return np.exp(-np.logaddexp(0.0, -z))


def gelu_inner(z: Array) -> Array:
    """The argument of the tanh in GELU's tanh form (Hendrycks and Gimpel, 2016)."""
    return np.sqrt(2.0 / np.pi) * (z + 0.044715 * z**3)


def gelu_slope(z: Array) -> Array:
    """d/dz of z/2 (1 + tanh u), with u = gelu_inner(z): the product rule, nothing else."""
    t = np.tanh(gelu_inner(z))
    du = np.sqrt(2.0 / np.pi) * (1.0 + 3.0 * 0.044715 * z**2)
    return 0.5 * (1.0 + t) + 0.5 * z * (1.0 - t**2) * du


def softmax(z: Array) -> Array:
    """exp(z) over its sum; the largest z is taken off first, which changes nothing but the overflow."""
    e = np.exp(z - z.max())
    return e / e.sum()


# name: (f(z), f'(z)); at a kink the slope is that of the left side, as in PyTorch.
ACTIVATIONS: dict[str, tuple[Callable[[Array], Array], Callable[[Array], Array]]] = {
    "sigmoid": (sigmoid, lambda z: sigmoid(z) * sigmoid(-z)),
    "tanh": (np.tanh, lambda z: 1.0 - np.tanh(z) ** 2),
    "relu": (lambda z: np.where(z > 0, z, 0.0), lambda z: np.where(z > 0, 1.0, 0.0)),
    "leaky_relu": (lambda z: np.where(z > 0, z, 0.01 * z), lambda z: np.where(z > 0, 1.0, 0.01)),
    "elu": (lambda z: np.where(z > 0, z, np.expm1(np.minimum(z, 0.0))), lambda z: np.exp(np.minimum(z, 0.0))),
    "softplus": (lambda z: np.logaddexp(0.0, z), sigmoid),
    "gelu": (lambda z: 0.5 * z * (1.0 + np.tanh(gelu_inner(z))), gelu_slope),
    "identity": (lambda z: z, np.ones_like),
}
LAST_ONLY = {"softmax": softmax, "exp": np.exp}  # activations whose slope no other layer and no other cost asks for
# name: (the cost of the errors e = a - y, dC/da).
DIFFERENCES: dict[str, tuple[Callable[[Array], Array], Callable[[Array], Array]]] = {
    "sum_of_squares": (lambda e: e**2, lambda e: 2 * e),
    "half_sum_of_squares": (lambda e: e**2 / 2, lambda e: e),
    "mean_squared_error": (lambda e: e**2 / len(e), lambda e: 2 * e / len(e)),
    "absolute_error": (np.abs, np.sign),
    "huber": (lambda e: np.where(np.abs(e) <= 1, e**2 / 2, np.abs(e) - 0.5), lambda e: np.clip(e, -1.0, 1.0)),
}
# Every activation of the last layer with every cost that goes with it.
PAIRS = [(f, c) for f in (*ACTIVATIONS, "softmax") for c in DIFFERENCES]
PAIRS += [("softmax", "cross_entropy"), ("sigmoid", "cross_entropy"), ("exp", "poisson")]
# The same with one output and with three; softmax takes two or more.
OUTPUTS = [(f, c, n_out) for f, c in PAIRS for n_out in (1, 3) if (f, n_out) != ("softmax", 1)]


def sample_cost(cost: str, activation: str, z: Array, a: Array, y: Array) -> float:
    """The cost of one sample; cross-entropy from z, so that it never takes log 0."""
    if cost == "cross_entropy" and activation == "softmax":  # -sum y log a
        log_sum = z.max() + np.log(np.exp(z - z.max()).sum())
        return float(np.sum(y * (log_sum - z)))
    if cost == "cross_entropy":  # -sum y log a + (1 - y) log(1 - a), with a = sigmoid(z)
        return float(np.sum(np.logaddexp(0.0, z) - y * z))
    if cost == "poisson":  # sum a - y log a, with a = e^z
        return float(np.sum(a - y * z))
    return float(np.sum(DIFFERENCES[cost][0](a - y)))


def output_delta(cost: str, activation: str, z: Array, a: Array, y: Array) -> Array:
    """(BP1). With cross-entropy and poisson dC/da and f'(z) cancel to a - y (softmax: if the targets add up to one)."""
    if cost == "cross_entropy":
        return a * y.sum() - y if activation == "softmax" else a - y
    if cost == "poisson":
        return a - y
    dc_da = DIFFERENCES[cost][1](a - y)
    if activation == "softmax":
        return (np.diag(a) - np.outer(a, a)) @ dc_da
    return dc_da * ACTIVATIONS[activation][1](z)


def inputs(x: NDArray[np.generic]) -> Array:
    """Samples as (n, n_in) float64; bytes are scaled to 0..1."""
    flat = np.asarray(x).reshape(len(x), -1)
    return flat / 255.0 if flat.dtype == np.uint8 else flat.astype(np.float64)


def targets(y: NDArray[np.generic], n_out: int) -> Array:
    """Targets as (n, n_out) float64: integer classes become one-hot rows."""
    y = np.asarray(y)
    if y.ndim == 1 and n_out > 1:
        return np.eye(n_out)[y]
    return y.reshape(len(y), n_out).astype(np.float64)


GAMMA, LOW = 0x9E3779B97F4A7C15, 2**64 - 1


def mix(x: int) -> int:
    """The output function of SplitMix64 (Steele, Lea and Flood, 2014), on whole numbers below 2^64."""
    x = ((x ^ x >> 30) * 0xBF58476D1CE4E5B9) & LOW
    x = ((x ^ x >> 27) * 0x94D049BB133111EB) & LOW
    return x ^ x >> 31


def dropout_mask(seed: int, update: int, place: int, layer: int, rate: float, n: int) -> Array:
    """(n,): 0 for inputs that are dropped, 1 / (1 - rate) for the others.

    An input is dropped where its random number from 0 to 1 is below the rate. 64 inputs share 53 draws: bit i of the
    k-th draw is the k-th binary digit of the number of input i.
    """
    key = int(np.random.SeedSequence([seed, layer]).generate_state(1, np.uint64)[0])
    stream = mix((mix((key + update) & LOW) + place) & LOW)
    numbers = np.empty(0)
    for start in range(0, n, 64):
        draws = [mix((stream + GAMMA * (start + k)) & LOW) for k in range(1, 54)]
        digits = np.array([[draw >> i & 1 for i in range(64)] for draw in draws])
        numbers = np.append(numbers, 0.5 ** np.arange(1, 54) @ digits)
    return (numbers[:n] >= rate) / (1 - rate)


@dataclass
class Reference:
    """A network as a list of (units, activation, bias), a flat theta, and the rates of dropout before each layer."""

    n_in: int
    layers: list[tuple[int, str, bool]]
    cost_name: str
    theta: Array = field(default_factory=lambda: np.empty(0))
    dropout: list[float] = field(default_factory=list)

    @property
    def n_out(self) -> int:
        """The units of the last layer."""
        return self.layers[-1][0]

    def is_weight(self) -> NDArray[np.bool_]:
        """(n_parameters,): True for weights, False for biases."""
        parts, n_in = [], self.n_in
        for n, _, bias in self.layers:
            parts += [np.ones(n_in * n, bool), np.zeros(n * bias, bool)]
            n_in = n
        return np.concatenate(parts)

    def unpack(self) -> list[tuple[Array, Array]]:
        """W and b of every layer; a layer without bias has b = 0."""
        layers, n_in, at = [], self.n_in, 0
        for n, _, bias in self.layers:
            weights = self.theta[at : at + n_in * n].reshape(n_in, n)
            at += n_in * n
            biases = self.theta[at : at + n] if bias else np.zeros(n)
            at += n * bias
            layers.append((weights, biases))
            n_in = n
        assert at == len(self.theta), "theta does not fit the layers"
        return layers

    def masks(self, seed: int, update: int, place: int) -> list[Array]:
        """What dropout multiplies the inputs of every layer with, for the sample at a place of the batch."""
        sizes = [self.n_in, *(n for n, _, _ in self.layers)]
        rates = enumerate(self.dropout or [0.0] * len(self.layers))
        return [dropout_mask(seed, update, place, at, rate, sizes[at]) if rate else np.ones(1) for at, rate in rates]

    def forward_sample(self, x: Array, masks: list[Array] | None = None) -> tuple[list[Array], list[Array]]:
        """Z of every layer, and a of every layer with the input in front."""
        zs, activations = [], [x]
        masks = masks or [np.ones(1)] * len(self.layers)
        for (weights, biases), (_, name, _), mask in zip(self.unpack(), self.layers, masks, strict=True):
            z = (activations[-1] * mask) @ weights + biases
            zs.append(z)
            activations.append(LAST_ONLY[name](z) if name in LAST_ONLY else ACTIVATIONS[name][0](z))
        return zs, activations

    def gradient_sample(self, x: Array, y: Array, masks: list[Array] | None = None) -> Array:
        """One sample's dC/dtheta, by the four equations; a layer's inputs are a_{l-1} times its mask."""
        masks = masks or [np.ones(1)] * len(self.layers)
        zs, activations = self.forward_sample(x, masks)
        delta = output_delta(self.cost_name, self.layers[-1][1], zs[-1], activations[-1], y)
        parts: list[Array] = []
        unpacked = self.unpack()
        for at in reversed(range(len(self.layers))):
            bias_gradient = delta if self.layers[at][2] else np.empty(0)  # (BP3)
            parts = [np.outer(activations[at] * masks[at], delta).ravel(), bias_gradient, *parts]  # (BP4)
            if at:
                slope = ACTIVATIONS[self.layers[at - 1][1]][1](zs[at - 1])
                delta = (unpacked[at][0] @ delta) * masks[at] * slope  # (BP2)
        return np.concatenate(parts)

    def forward(self, x: NDArray[np.generic]) -> Array:
        """(n, n_out): the output activations."""
        return np.array([self.forward_sample(sample)[1][-1] for sample in inputs(x)])

    def costs(self, x: NDArray[np.generic], y: NDArray[np.generic]) -> Array:
        """(n,): the cost of every sample."""
        activation, values = self.layers[-1][1], []
        for sample, target in zip(inputs(x), targets(y, self.n_out), strict=True):
            zs, activations = self.forward_sample(sample)
            values.append(sample_cost(self.cost_name, activation, zs[-1], activations[-1], target))
        return np.array(values)

    def per_sample_gradients(
        self, x: NDArray[np.generic], y: NDArray[np.generic], seed: int = 0, update: int = 0
    ) -> Array:
        """(n, n_parameters): a gradient a row, under the masks of an update where there is dropout."""
        pairs = enumerate(zip(inputs(x), targets(y, self.n_out), strict=True))
        return np.array([self.gradient_sample(*pair, self.masks(seed, update, place)) for place, pair in pairs])

    def gradient(self, x: NDArray[np.generic], y: NDArray[np.generic], weights: Array | float = 1.0) -> Array:
        """(n_parameters,): averaged over the samples, each times its weight."""
        return (np.ones(len(x)) * weights) @ self.per_sample_gradients(x, y) / len(x)


@dataclass
class SGD:
    """v = momentum v + g;  w -= lr v, or with Nesterov  w -= lr (g + momentum v)."""

    momentum: float = 0.0
    nesterov: bool = False
    velocity: Array | float = 0.0

    def step(self, theta: Array, g: Array, learning_rate: float, is_weight: NDArray[np.bool_]) -> Array:
        """Theta after one update."""
        self.velocity = self.momentum * self.velocity + g
        return theta - learning_rate * (g + self.momentum * self.velocity if self.nesterov else self.velocity)


@dataclass
class RMSprop:
    """s = decay s + (1 - decay) g^2;  w -= lr g / (sqrt(s) + epsilon)  (Tieleman and Hinton, 2012)."""

    decay: float = 0.9
    epsilon: float = 1e-8
    square: Array | float = 0.0

    def step(self, theta: Array, g: Array, learning_rate: float, is_weight: NDArray[np.bool_]) -> Array:
        """Theta after one update."""
        self.square = self.decay * self.square + (1 - self.decay) * g**2
        return theta - learning_rate * g / (np.sqrt(self.square) + self.epsilon)


@dataclass
class Adam:
    """Kingma and Ba (2015), algorithm 1; with ``weight_decay`` AdamW (Loshchilov and Hutter, 2019), weights only."""

    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8
    weight_decay: float = 0.0
    updates: int = 0
    mean: Array | float = 0.0
    square: Array | float = 0.0

    def step(self, theta: Array, g: Array, learning_rate: float, is_weight: NDArray[np.bool_]) -> Array:
        """Theta after one update."""
        self.updates += 1
        self.mean = self.beta1 * self.mean + (1 - self.beta1) * g
        self.square = self.beta2 * self.square + (1 - self.beta2) * g**2
        mean = self.mean / (1 - self.beta1**self.updates)
        square = self.square / (1 - self.beta2**self.updates)
        decayed = theta - learning_rate * self.weight_decay * theta * is_weight
        return decayed - learning_rate * mean / (np.sqrt(square) + self.epsilon)


def limited(vector: Array, norm: float) -> Array:
    """``vector``, scaled down to a Euclidean norm where it is longer."""
    length = float(np.linalg.norm(vector))
    return vector * (norm / length) if length > norm else vector


def train(
    network: Reference,
    optimizer: SGD | RMSprop | Adam,
    batches: Iterable[tuple[NDArray[np.generic], ...]],
    learning_rate: float | Callable[[int], float],
    l1: float = 0.0,
    l2: float = 0.0,
    seed: int = 0,
    clip_norm: float = np.inf,
    clip_sample_norm: float = np.inf,
    max_norm: float = np.inf,
) -> Array:
    """Update ``network`` for each (x, y) or (x, y, weights) of ``batches``.

    l1 sum|W| + l2/2 sum W^2 is added to the averaged cost; ``seed`` is that of dropout. The norms limit the averaged
    gradient without penalties, each sample's, and after an update the columns of W.
    """
    is_weight = network.is_weight()
    for update, (x, y, *weights) in enumerate(batches):
        rows = network.per_sample_gradients(x, y, seed, update + 1)
        if weights:
            rows *= weights[0][:, np.newaxis]
        gradient = np.mean([limited(row, clip_sample_norm) for row in rows], axis=0)
        gradient = limited(gradient, clip_norm)
        penalty = is_weight * (l1 * np.sign(network.theta) + l2 * network.theta)
        rate = learning_rate(update) if callable(learning_rate) else learning_rate
        network.theta = optimizer.step(network.theta, gradient + penalty, rate, is_weight)
        for weights_of_layer, _ in network.unpack():  # views of theta
            weights_of_layer[:] = np.array([limited(column, max_norm) for column in weights_of_layer.T]).T
    return network.theta
