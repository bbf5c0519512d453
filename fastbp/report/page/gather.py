"""What the page shows of a network, as plain data that JSON can hold."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastbp.forensics import confusion_matrix, sample_forensics
from fastbp.history import QUANTITIES
from fastbp.model import Network
from fastbp.report.page.encode import FULL, base64_text, packed

SAMPLE_BYTES = 400_000  # that each set of samples may take: 510 images of 28 x 28
MOST_CLASSES = 100  # of a confusion matrix: a table of more cells than 10,000 is not for the eye
MOST_POINTS = 2_000  # of a curve, more than a screen's pixels
TINY = float(np.finfo(np.float64).tiny)


def checked_samples(network: Network, x: ArrayLike, y: ArrayLike) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Samples as (n, n_in) uint8 or float32, and their labels as (n,) integers.

    Raises
    ------
    TypeError, ValueError
        If the network cannot take them, or has no output for a label.

    Examples
    --------
    >>> from fastbp import Dense
    >>> checked_samples(Network(4, [Dense(2, "softmax")]), np.ones((1, 4)), [2])
    Traceback (most recent call last):
    ValueError: y: got class 2, expected whole numbers from 0 to 1
    """
    labels = np.asarray(y)
    samples = network._inputs(x)[0]
    if labels.dtype.kind not in "iu" or labels.shape != (len(samples),):
        raise ValueError(f"y: got {labels.dtype} of shape {labels.shape}, expected ({len(samples)},) whole numbers")
    top = max(network.n_out, 2) - 1  # one output tells 0 from 1
    bad = labels[(labels < 0) | (labels > top)]
    if len(bad):
        raise ValueError(f"y: got class {bad[0]}, expected whole numbers from 0 to {top}")
    return samples if samples.dtype == np.uint8 else samples.astype(np.float32), labels.astype(np.int64)


def image_side(network: Network) -> int:
    """How many pixels an input image is wide and high; 0 where the inputs are no square of 5 x 5 or more.

    Examples
    --------
    >>> from fastbp import Dense
    >>> image_side(Network(784, [Dense(10)])), image_side(Network(4, [Dense(2)]))
    (28, 0)
    """
    side = math.isqrt(network.n_in)
    return side if side >= 5 and side * side == network.n_in else 0


def samples_data(
    network: Network, x: NDArray[Any], y: NDArray[np.int64], which: ArrayLike | None = None, limit: int = 100
) -> dict[str, Any]:
    """Some of the samples, with their labels, their places in the data set and what the network makes of them.

    Examples
    --------
    >>> from fastbp import Dense
    >>> samples_data(Network(2, [Dense(2)]), np.zeros((3, 2), np.uint8), np.array([0, 1, 1]), [2])
    {'type': 'uint8', 'x': 'AAA=', 'y': [1], 'index': [2], 'predicted': [0]}
    """
    n = max(1, min(limit, SAMPLE_BYTES // (x.shape[1] * x.itemsize)))
    index = (np.arange(len(x)) if which is None else np.asarray(which))[:n]
    return {
        "type": str(x.dtype),
        "x": base64_text(x[index]),
        "y": y[index].tolist(),
        "index": index.tolist(),
        "predicted": network.classify(x[index]).tolist(),
    }


def errors_data(network: Network, x: NDArray[Any], y: NDArray[np.int64], hardest: int = 40) -> dict[str, Any]:
    """The confusion matrix, (true, predicted), and the samples with the highest cost, the highest first.

    With more than 100 classes there is no matrix.

    Examples
    --------
    >>> from fastbp import Dense
    >>> network = Network(2, [Dense(2, "softmax", initializer="zeros")])
    >>> found = errors_data(network, np.zeros((3, 2), np.uint8), np.array([0, 1, 1]))
    >>> found["confusion"], found["hardest"]["y"]
    ([[1, 0], [2, 0]], [0, 1, 1])
    """
    order = sample_forensics(network, x, y).hardest(len(x))
    found = {"hardest": samples_data(network, x, y, order, hardest)}
    return found if network.n_out > MOST_CLASSES else found | {"confusion": confusion_matrix(network, x, y).tolist()}


def history_data(history: Mapping[str, Any]) -> dict[str, list[Any]]:
    """The curves that have points, to six digits, and their epochs; what is no finite number becomes a gap.

    Of more than 2,000 epochs every second is taken, or third, or whatever leaves no more; the last one always.

    Examples
    --------
    >>> history_data({"cost": [0.5, float("nan")], "accuracy": [], "seconds": [1.0, 1.0]})
    {'cost': [0.5, None], 'epochs': [1, 2]}
    """
    found = {name: history.get(name) for name in QUANTITIES}
    lists = {name: values for name, values in found.items() if isinstance(values, list) and values}
    if not lists:
        return {}
    n = max(map(len, lists.values()))
    step = -(-n // MOST_POINTS)
    taken = range((n - 1) % step, n, step)
    curves = {name: [_short(values[at]) for at in taken if at < len(values)] for name, values in lists.items()}
    return curves | {"epochs": [at + 1 for at in taken]}


def _short(value: Any) -> float | None:
    return float(f"{value:.6g}") if isinstance(value, int | float) and math.isfinite(value) else None


def network_data(network: Network) -> dict[str, Any]:
    """Everything about a network but its parameters.

    Examples
    --------
    >>> from fastbp import Dense
    >>> network_data(Network(784, [Dense(10, "softmax")]))["side"]
    28
    """
    layers = [{"n": layer.n, "activation": layer.activation, "bias": layer.bias} for layer in network.layers]
    return {
        "n_in": network.n_in,
        "side": image_side(network),
        "layers": layers,
        "cost": network.cost_name,
        "n_parameters": network.n_parameters,
    }


def description(network: Network) -> str:
    """The network in a line.

    Examples
    --------
    >>> from fastbp import Dense
    >>> description(Network(784, [Dense(16, "sigmoid"), Dense(10, "softmax")]))
    '12,730 parameters · sigmoid, softmax · cross entropy'
    """
    activations = dict.fromkeys(str(layer.activation) for layer in network.layers)
    cost = network.cost_name.replace("_", " ")
    return f"{network.n_parameters:,} parameters · {', '.join(activations)} · {cost}"


def parameters_data(network: Network, bits: int, x: NDArray[Any] | None) -> dict[str, Any]:
    """The parameters, and, measured on the samples ``x``, what rounding them to ``bits`` does to the outputs.

    Examples
    --------
    >>> from fastbp import Dense
    >>> found = parameters_data(Network(784, [Dense(10)]), 8, np.ones((5, 784), np.uint8))
    >>> sorted(found)
    ['bits', 'changed_classes', 'largest_change', 'parameters']
    """
    layers, rounded = packed(network, bits)
    data: dict[str, Any] = {"bits": bits, "parameters": layers}
    if bits < FULL and x is not None:
        change = np.abs(rounded.forward(x).astype(np.float64) - network.forward(x))
        data["largest_change"] = float(change.max())
        data["changed_classes"] = int((rounded.classify(x) != network.classify(x)).sum())
    return data


def pictures_data(network: Network, limit: int = 48) -> dict[str, Any]:
    """The first layer's weights of the units with the strongest ones, in bytes: for a network that is not in the page.

    Examples
    --------
    >>> from fastbp import Dense
    >>> pictures_data(Network(784, [Dense(100), Dense(10)]), limit=3)["units"]
    [68, 36, 79]
    """
    weights = network.weights[0]
    units = np.argsort(-np.square(weights, dtype=np.float64).sum(axis=0), kind="stable")[:limit]
    columns = weights[:, units].astype(np.float64)
    scaled = columns / np.maximum(np.abs(columns).max(axis=0), TINY)
    return {"units": units.tolist(), "x": base64_text(np.rint(127 * scaled.T).astype(np.int8))}


def script_text(data: Mapping[str, Any]) -> str:
    r"""JSON that can stand in a script element: no ``<``, so that nothing in it ends the element; ASCII only.

    Examples
    --------
    >>> script_text({"name": "</script><b>"})
    '{"name":"\\u003c/script>\\u003cb>"}'
    """
    return json.dumps(data, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")
