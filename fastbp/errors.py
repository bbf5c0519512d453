"""The exceptions that users catch, and what is said of an unknown name.

Bad arguments are plain ``TypeError`` and ``ValueError``; these classes are for what goes wrong
with files, with optional packages and with a run.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class DataError(ValueError):
    """A data file is missing, truncated, corrupt, or not what its name says."""


class CheckpointError(ValueError):
    """A saved network or training is truncated, corrupt, of a newer version, or not one of ours."""


class TrainingDiverged(ArithmeticError):
    """The cost became NaN or infinite; the network keeps the last good parameters."""


class MissingExtraError(ImportError):
    """An optional package is not installed; the message names the extra that brings it."""

    def __init__(self, package: str, extra: str, purpose: str) -> None:
        super().__init__(f'{purpose} needs the package {package}: pip install "fastbp[{extra}]"', name=package)
        self._given = package, extra, purpose

    def __reduce__(self) -> tuple[type[MissingExtraError], tuple[str, str, str]]:
        return type(self), self._given


def unknown_name(argument: str, got: object, known: Iterable[str]) -> ValueError:
    """Build the error for a name that is not in ``known``, with the nearest one that is.

    Examples
    --------
    >>> str(unknown_name("activation", "sigmoyd", ["relu", "sigmoid"]))
    "activation: unknown name 'sigmoyd'; did you mean 'sigmoid'? Known: relu, sigmoid"
    """
    known = sorted(known)
    near = difflib.get_close_matches(str(got).lower(), known, n=1)
    hint = f" did you mean {near[0]!r}?" if near else ""
    return ValueError(f"{argument}: unknown name {got!r};{hint} Known: {', '.join(known)}")
