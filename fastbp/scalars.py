"""Numbers that a user gives, checked: whole ones, those above a bound, and True and False."""

from __future__ import annotations

import math
import operator
from typing import Any

import numpy as np


def count(argument: str, value: Any, least: int = 1) -> int:
    """``value`` as an int of at least ``least``, or an error that names the argument.

    Examples
    --------
    >>> count("batch_size", 100)
    100
    """
    try:
        number = operator.index(value)
    except TypeError:
        number = None
    if number is None or isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{argument}: got {value!r}, expected a whole number of {least} or more")
    if number < least:
        raise ValueError(f"{argument}: got {number}, expected a whole number of {least} or more")
    return number


def positive(argument: str, value: Any, *, zero: bool = False, below: float = math.inf) -> float:
    """``value`` as a finite float above 0, or from it, and below a bound, or an error that names the argument.

    Examples
    --------
    >>> positive("dropout", 0, zero=True, below=1)
    0.0
    """
    if below == math.inf:
        wanted = f"a finite number {'of 0 or more' if zero else 'above 0'}"
    else:
        wanted = f"a number {'from 0 to' if zero else 'above 0 and'} below {below}"
    if isinstance(value, bool) or not isinstance(value, (int, float, np.integer, np.floating)):
        raise TypeError(f"{argument}: got {value!r}, expected {wanted}")
    if not (0 < value < below or (zero and value == 0)):
        raise ValueError(f"{argument}: got {value!r}, expected {wanted}")
    try:
        return float(value)
    except OverflowError:
        raise ValueError(f"{argument}: got a number of {len(str(value))} digits, expected {wanted}") from None


def flag(argument: str, value: Any) -> bool:
    """``value`` as a bool, or an error that names the argument: of a string, say, which would be true.

    Examples
    --------
    >>> flag("shuffle", np.False_)
    False
    """
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{argument}: got {value!r}, expected True or False")
    return bool(value)
