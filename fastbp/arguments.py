"""What a network is given, checked once and here: samples, targets, weights, layers, a cost's name, a dtype.

Everything comes out as kernels take it, or an error names the argument, what was got and what would do.
"""

from __future__ import annotations

import ctypes
import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from .errors import unknown_name
from .kernels.activations import LAST_ONLY
from .kernels.costs import CODES as COSTS
from .kernels.costs import GOES_WITH
from .kernels.finite import all_finite
from .layers import Dense, Dropout

# What NumPy's C ABI puts first behind the head of an array's Python object: the address of its numbers.
_DATA_AT, _word_at = object.__basicsize__, ctypes.c_ssize_t.from_address


def address_of(array: np.ndarray | None) -> int:
    """Where an array's numbers lie, 0 for None: six times as quick as ``array.ctypes.data``.

    Examples
    --------
    >>> a = np.zeros(3)
    >>> address_of(a) == a.ctypes.data
    True
    """
    return 0 if array is None else _word_at(id(array) + _DATA_AT).value


def as_array(argument: str, given: ArrayLike) -> np.ndarray:
    """``given`` as an array; masks, which nothing here would heed, are refused.

    Examples
    --------
    >>> as_array("y", [1, 2])
    array([1, 2])
    """
    if type(given) is np.ndarray:
        return given
    masked = sys.modules.get("numpy.ma")  # which takes long to import
    if masked is not None and isinstance(given, masked.MaskedArray):
        raise TypeError(f"{argument}: got a masked array, expected one without masks, as its filled() gives")
    try:
        return np.asarray(given)
    except ValueError as error:  # rows of different lengths
        raise ValueError(f"{argument}: got what is no array: {error}") from error


def inputs(x: ArrayLike, n_in: int, dtype: np.dtype) -> tuple[np.ndarray, bool]:
    """x as (n, n_in), contiguous and finite, and whether it was a single sample.

    Examples
    --------
    >>> inputs([0, 1], 2, np.dtype("float32"))
    (array([[0., 1.]], dtype=float32), True)
    """
    array = as_array("x", x)
    if isinstance(x, (list, tuple)) and array.dtype.kind in "iu" and array.dtype != np.uint8:
        array = array.astype(np.float64)  # whole numbers; a list of images stays what it is
    kind = array.dtype.char
    if kind not in "Bfd":
        raise TypeError(f"x: got dtype {array.dtype}, expected uint8, float32 or float64")
    given, single = array.shape, array.ndim == 1
    if single:
        array = array[np.newaxis]
    elif array.ndim == 3:
        array = array.reshape(len(array), array.shape[1] * array.shape[2])
    if array.ndim != 2 or array.shape[1] != n_in:
        raise ValueError(f"x: got shape {given}, expected (n, {n_in}), or ({n_in},) for one sample")
    if len(array) == 0:
        raise ValueError(f"x: got shape {given}, expected at least one sample")
    if kind == "B":
        return np.ascontiguousarray(array), single
    # float64 that float32 cannot hold must not become infinity inside a kernel: convert it here, where it shows.
    return converted("x", array, dtype if kind == dtype.char else np.dtype(np.float32)), single


def targets(y: ArrayLike, n: int, n_out: int, cost: str, dtype: np.dtype, single: bool = False) -> np.ndarray:
    """y as (n,) int64 classes, or as (n, n_out) targets of ``dtype``; ``single``: it is that of one sample.

    Examples
    --------
    >>> targets([2.0, 0.0], 2, 3, "sum_of_squares", np.dtype("float32"))
    array([2, 0])
    """
    array = as_array("y", y)
    given = array.shape
    if single:
        array = array[np.newaxis]
    if array.dtype.kind not in "iuf":
        raise TypeError(f"y: got dtype {array.dtype}, expected whole classes or floats")
    if n_out == 1 and array.shape == (n,):
        array = array[:, np.newaxis]
    if array.shape == (n, n_out):
        found = converted("y", array, dtype)
        if cost == "cross_entropy" and (found.min() < 0 or found.max() > 1):
            low, high = found.min(), found.max()
            raise ValueError(f"y: got targets from {low:g} to {high:g}, expected 0 to 1 for cross_entropy")
        if cost == "poisson" and found.min() < 0:
            raise ValueError(f"y: got target {found.min():g}, expected 0 or more for poisson")
        return found
    if array.shape != (n,):
        if single:
            wanted = f"a class or ({n_out},) targets of one sample" if n_out > 1 else "a number, of one sample"
        else:
            wanted = f"({n},) classes or ({n}, {n_out}) targets" if n_out > 1 else f"({n},) or ({n}, 1) targets"
        raise ValueError(f"y: got shape {given}, expected {wanted}")
    if array.dtype.kind == "f":
        whole = array[array != np.rint(array)] if np.isfinite(array).all() else array[~np.isfinite(array)]
        if len(whole):
            raise ValueError(f"y: got class {whole[0]}, expected whole numbers from 0 to {n_out - 1}")
    check_classes(array, n_out)
    return np.ascontiguousarray(array, np.int64)


def check_classes(classes: np.ndarray, n_out: int) -> None:
    """Refuse classes that there are no outputs for: kernels would take them for addresses.

    Examples
    --------
    >>> check_classes(np.array([0, 2, 1]), 3)
    """
    low, high = classes.min(), classes.max()
    if low < 0 or high >= n_out:
        bad = low if low < 0 else high
        raise ValueError(f"y: got class {bad}, expected whole numbers from 0 to {n_out - 1}")


def parameters(argument: str, given: ArrayLike, n: int, dtype: np.dtype) -> np.ndarray:
    """One number for each of a network's n parameters, (n,) of ``dtype``.

    Examples
    --------
    >>> parameters("direction", [1, 0.5], 2, np.dtype("float32"))
    array([1. , 0.5], dtype=float32)
    """
    array = as_array(argument, given)
    if array.dtype.kind not in "iuf":
        raise TypeError(f"{argument}: got dtype {array.dtype}, expected floats")
    if array.shape != (n,):
        raise ValueError(f"{argument}: got shape {array.shape}, expected ({n},)")
    return converted(argument, array, dtype)


def sample_weight(given: ArrayLike, n: int, dtype: np.dtype) -> np.ndarray:
    """What each of n samples counts, (n,) of ``dtype``: 0 or more, not all 0.

    Examples
    --------
    >>> sample_weight([1, 0.5], 2, np.dtype("float32"))
    array([1. , 0.5], dtype=float32)
    """
    array = np.atleast_1d(as_array("sample_weight", given))
    if array.dtype.kind not in "biuf":
        raise TypeError(f"sample_weight: got dtype {array.dtype}, expected numbers")
    if array.shape != (n,):
        raise ValueError(f"sample_weight: got shape {array.shape}, expected ({n},)")
    weights = converted("sample_weight", array, dtype)
    if weights.min() < 0 or weights.max() == 0:
        got = f"{weights.min():g}" if weights.max() else "nothing but 0"
        raise ValueError(f"sample_weight: got {got}, expected numbers of 0 or more, not all 0")
    return weights


def class_weight(
    given: Mapping[int, float] | str, targets: np.ndarray, n_out: int, rows: np.ndarray | None = None
) -> np.ndarray:
    """What each sample counts for its class, (n,) float64.

    ``given`` has a weight for each class, 1 where it has none; "balanced" is n / (k n_c) for the n_c samples of a
    class, n in all and k classes that there are (King & Zeng 2001, as scikit-learn has it), counted over ``rows``.
    ``targets`` are classes, or with one output a column of 0 and 1.

    Examples
    --------
    >>> class_weight("balanced", np.array([0, 1, 1, 1]), 2).round(3)
    array([2.   , 0.667, 0.667, 0.667])
    """
    n_classes = max(2, n_out)
    if targets.ndim == 2 and (n_out > 1 or not np.isin(targets, (0, 1)).all()):
        got = "rows of targets" if n_out > 1 else "targets other than 0 and 1"
        raise ValueError(f"class_weight: got {got} in y, expected classes")
    classes = targets.reshape(-1).astype(np.int64)
    if isinstance(given, Mapping):
        of_class = np.ones(n_classes)
        for key, weight in given.items():
            if isinstance(key, (str, bool)) or key not in range(n_classes):
                raise ValueError(f"class_weight: got class {key!r}, expected whole numbers from 0 to {n_classes - 1}")
            if not (isinstance(weight, (int, float, np.integer, np.floating)) and 0 <= weight < math.inf):
                raise ValueError(f"class_weight: got {weight!r} for class {key}, expected a finite number of 0 or more")
            of_class[int(key)] = weight
    elif isinstance(given, str) and given == "balanced":
        counts = np.bincount(classes if rows is None else classes[rows], minlength=n_classes)
        of_class = counts.sum() / (np.count_nonzero(counts) * np.maximum(counts, 1))
    else:
        raise ValueError(f"class_weight: got {given!r}, expected 'balanced' or a dict of a weight for each class")
    weights: np.ndarray = of_class[classes]
    return weights


def converted(argument: str, array: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """A C-contiguous and finite array of ``dtype``, float32 or float64; the array itself where it is that already.

    Examples
    --------
    >>> converted("x", np.array([1e300]), np.dtype("float32"))
    Traceback (most recent call last):
    ValueError: x: got a number too large for float32, expected finite numbers
    """
    result = array
    if array.dtype != dtype or not array.flags.c_contiguous:
        with np.errstate(over="ignore"):
            result = np.ascontiguousarray(array, dtype)
    if not finite(result):
        reason = "NaN or infinity" if not np.isfinite(array).all() else f"a number too large for {dtype}"
        raise ValueError(f"{argument}: got {reason}, expected finite numbers")
    return result


def finite(array: np.ndarray) -> bool:
    """Whether all numbers of a C-contiguous array of float32 or float64 are finite.

    Examples
    --------
    >>> finite(np.array([1.0, 1e200])), finite(np.array([np.nan]))
    (True, False)
    """
    found: bool = all_finite(id(array) + _DATA_AT, array.size, array.itemsize)
    return found


def layers(given: Sequence[Dense | Dropout]) -> tuple[Dense, ...]:
    """The dense layers with every activation named and the dropout before them taken in, checked as a sequence.

    Examples
    --------
    >>> [(layer.activation, layer.dropout) for layer in layers([Dense(3), Dropout(0.5), Dense(1)])]
    [('relu', 0.0), ('identity', 0.5)]
    """
    if isinstance(given, (Dense, Dropout)):
        raise TypeError("layers: got one Dense, expected a list of them")
    try:
        given = tuple(given)
    except TypeError:
        raise TypeError(f"layers: got {given!r}, expected a list of Dense") from None
    if not given:
        raise ValueError("layers: got none, expected at least one Dense")
    dense = _dense(given)
    for index, layer in enumerate(dense[:-1]):
        if layer.activation in LAST_ONLY:
            got = f"{layer.activation} in hidden layer {index + 1}"
            raise ValueError(f"activation: got {got}, expected it only in the last layer")
    if dense[-1].activation == "softmax" and dense[-1].n == 1:
        raise ValueError("layers: got softmax of 1 unit, which is always 1, expected 2 units or more, or sigmoid")
    hidden = [replace(layer, activation=layer.activation or "relu") for layer in dense[:-1]]
    return (*hidden, replace(dense[-1], activation=dense[-1].activation or "identity"))


def _dense(given: Sequence[Dense | Dropout]) -> list[Dense]:
    """The dense layers, each with the rate of a Dropout before it."""
    found: list[Dense] = []
    for before, layer in zip((None, *given), given, strict=False):
        if not isinstance(layer, (Dense, Dropout)):
            raise TypeError(f"layers: got {layer!r}, expected Dense layers, or Dropout before one")
        if isinstance(before, Dropout) and (isinstance(layer, Dropout) or layer.dropout):
            raise ValueError(f"layers: got {before} before {layer}, expected one rate of dropout for a Dense")
        if isinstance(layer, Dense):
            found.append(replace(layer, dropout=before.rate) if isinstance(before, Dropout) else layer)
    if isinstance(given[-1], Dropout):
        raise ValueError(f"layers: got {given[-1]} last, expected a Dense behind it")
    return found


def cost(name: str | None, activation: str) -> str:
    """The cost's name, checked against the last layer's activation; by default the one that suits it.

    Examples
    --------
    >>> cost(None, "softmax"), cost(None, "exp"), cost(None, "tanh")
    ('cross_entropy', 'poisson', 'half_sum_of_squares')
    """
    suited = next((cost for cost, after in GOES_WITH.items() if activation in after), None)
    if name is None:
        return suited or "half_sum_of_squares"
    if name not in list(COSTS):
        raise unknown_name("cost", name, COSTS)
    if name in GOES_WITH and name != suited:
        expected = " or ".join(GOES_WITH[name])
        raise ValueError(f"cost: got {name} after {activation}, expected {expected} in the last layer")
    if activation == "exp" and name != "poisson":
        raise ValueError(f"cost: got {name} after exp, expected poisson: exp in the last layer goes with no other")
    return name


def float_dtype(dtype: DTypeLike) -> np.dtype:
    """float32 or float64.

    Examples
    --------
    >>> float_dtype("float64")
    dtype('float64')
    """
    try:
        found = np.dtype(dtype)
    except TypeError:
        found = None
    if found not in (np.float32, np.float64) or dtype is None:
        raise ValueError(f"dtype: got {dtype!r}, expected float32 or float64")
    return np.dtype(found)
