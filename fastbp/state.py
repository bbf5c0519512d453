"""The state of a training, and its checkpoint: a file of ``fastbp/archive.py`` beside the network's own kind.

    header         the network's configuration; the trainer's settings; fingerprint of the data; number of updates;
                   generator; the place within the epoch
    parameters     (n_parameters,), as in a network's file
    state1 ...     (n_parameters,), the optimizer's vectors
    history.*      the history's lists
    callbacks.*    what callbacks keep

The generator is as it was before it drew the order of the epoch under way: from it and the place, the rest of the
epoch follows, whatever the number of samples.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

import numpy as np

from . import archive
from .checkpoint import TRAINING_FORMAT, TRAINING_VERSION, array_table
from .errors import CheckpointError
from .history import LISTS, History
from .optimizers import Optimizer

# What has to agree for a run to go on as if it had never stopped. Of a network, not how its weights began.
ARCHITECTURE = ("n_in", "layers", "cost", "dtype")


@dataclass
class Place:
    """Where a training is within an epoch.

    Attributes
    ----------
    done : int
        Samples of the epoch that were trained on.
    cost, correct, seconds : float, int, float
        Their summed cost, how many were classified right, and how long it took.
    generator : dict
        State of the generator before it drew the epoch's order.
    shuffled : bool, optional
        Whether its order was drawn, whatever the trainer's settings have become since; None where nothing tells.
    """

    done: int = 0
    cost: float = 0.0
    correct: int = 0
    seconds: float = 0.0
    generator: dict[str, Any] = field(default_factory=dict)
    shuffled: bool | None = None


@dataclass
class State:
    """All that a training is, as plain data and arrays.

    Attributes
    ----------
    config : dict
        ``Network.config()``.
    settings : dict
        The trainer's: the optimizer in the form of ``settings_of``, batch size, shuffling, seed, limits, smoothing.
    data : dict
        The fingerprint of the samples that the last fit was on; empty before the first.
    updates : int
    place : Place
    history : History
    parameters : (n_parameters,) ndarray
    states : list of (n_parameters,) ndarray
    callbacks : dict of str to dict of str to ndarray
        What ``Callback.state`` returned, by the callback's name.
    """

    config: dict[str, Any]
    settings: dict[str, Any]
    data: dict[str, Any]
    updates: int
    place: Place
    history: History
    parameters: np.ndarray
    states: list[np.ndarray]
    callbacks: dict[str, dict[str, np.ndarray]] = field(default_factory=dict)


def settings_of(optimizer: Optimizer, updates: int) -> dict[str, Any]:
    """An optimizer's name and numbers, as JSON can hold them.

    A schedule is known by its rates for the first update and for the last one: it need not know of any after that.

    Examples
    --------
    >>> from fastbp import SGD
    >>> settings_of(SGD(0.1), 5)["learning_rate"]
    0.1
    """
    given = {item.name: getattr(optimizer, item.name) for item in fields(optimizer)}
    numbers = {name: value.item() if isinstance(value, np.generic) else value for name, value in given.items()}
    if callable(optimizer.learning_rate):
        numbers["learning_rate"] = {str(k): float(optimizer.learning_rates(k, 1)[0]) for k in (0, max(0, updates - 1))}
    return {"optimizer": optimizer.name, **numbers}


def write(path: str | os.PathLike[str], state: State) -> None:
    """Write a checkpoint, whole or not at all.

    Raises
    ------
    TypeError, ValueError
        If a callback's state is not arrays of numbers, by names without a dot.
    OSError
        As ``archive.atomic_write``.

    Examples
    --------
    >>> write("run.npz", state)  # doctest: +SKIP
    """
    lists = {name: np.array(values, np.float64) for name, values in state.history._lists().items()}
    arrays = {f"state{k}": array for k, array in enumerate(state.states, 1)}
    arrays |= {f"history.{name}": array for name, array in lists.items()}
    for name, kept in state.callbacks.items():
        if not isinstance(kept, Mapping):
            raise TypeError(f"state of {name}: got {kept!r}, expected a dict of arrays, empty for none")
        arrays |= {f"callbacks.{name}.{key}": _numbers(name, key, given) for key, given in kept.items()}
    header = {
        "config": state.config,
        "settings": state.settings,
        "data": state.data,
        "updates": state.updates,
        "place": asdict(state.place),
        "history": {name: value for name, value in asdict(state.history).items() if name not in lists},
        "arrays": {name: [array.shape, array.dtype.name] for name, array in arrays.items()},
    }
    archive.write(path, TRAINING_FORMAT, TRAINING_VERSION, header, {"parameters": state.parameters, **arrays})


def read(path: str | os.PathLike[str]) -> State:
    """Read a checkpoint.

    Raises
    ------
    FileNotFoundError, OSError
        If there is no such file, or it cannot be opened.
    CheckpointError
        If it is truncated, corrupt, changed, written by a newer fastbp, or not a training's.

    Examples
    --------
    >>> read("absent.npz")
    Traceback (most recent call last):
    FileNotFoundError: [Errno 2] No such file or directory: 'absent.npz'
    """
    header, arrays = archive.read(path, {TRAINING_FORMAT: TRAINING_VERSION}, array_table)
    with archive.blame_the_file(path):
        callbacks: dict[str, dict[str, np.ndarray]] = {}
        for full, array in arrays.items():
            kind, _, rest = full.partition(".")
            if kind == "callbacks":
                name, _, key = rest.rpartition(".")
                callbacks.setdefault(name, {})[key] = _native(array)
        history = History(**{name: arrays[f"history.{name}"].tolist() for name in LISTS}, **header["history"])
        place = Place(**header["place"])
        generator: Any = np.random.default_rng().bit_generator
        generator.state = place.generator  # raises if it is no such thing
        parameters = _native(arrays["parameters"])
        states = [_native(array) for name, array in arrays.items() if name.startswith("state")]
        if any(vector.shape != parameters.shape or vector.dtype != parameters.dtype for vector in states):
            raise ValueError("the optimizer's vectors are not like the parameters")
        known = {name: header[name] for name in ("config", "settings", "data", "updates")}
    return State(**known, place=place, history=history, parameters=parameters, states=states, callbacks=callbacks)


def check_same(path: str | os.PathLike[str], saved: State, ours: State) -> None:
    """Refuse a checkpoint that is of another training.

    Raises
    ------
    CheckpointError
        If the network, a setting or the data differ; it names all that do.

    Examples
    --------
    >>> check_same("run.npz", saved, ours)  # doctest: +SKIP
    """
    then, now = _comparable(saved), _comparable(ours)
    found = [
        f"{name} was {_text(then.get(name))}, now {_text(now.get(name))}"
        for name in {**then, **now}
        if then.get(name) != now.get(name) and (saved.data or name not in ours.data)  # saved before any fit
    ]
    if found:
        raise CheckpointError(f"{os.fspath(path)}: a checkpoint of another training: {'; '.join(found)}")


def _comparable(state: State) -> dict[str, Any]:
    network = {name: state.config[name] for name in ARCHITECTURE}
    network["layers"] = [
        {name: value for name, value in layer.items() if name != "initializer"} for layer in network["layers"]
    ]
    return {**network, **state.settings, **state.data}


def _text(value: Any) -> str:
    """A value in few words: a network's layers by their sizes and activations."""
    if isinstance(value, list):
        rates = [f" after dropout {layer['dropout']}" if layer.get("dropout") else "" for layer in value]
        biases = ["" if layer["bias"] else " without bias" for layer in value]
        more = [rate + no for rate, no in zip(rates, biases, strict=True)]
        return ", ".join(f"{layer['n']} {layer['activation']}{rest}" for layer, rest in zip(value, more, strict=True))
    if isinstance(value, Mapping):
        return "a schedule"
    return "none" if value is None else str(value)


def _numbers(name: str, key: str, given: Any) -> np.ndarray:
    """What a callback wants to be kept, if it can be."""
    if "." in key:
        raise ValueError(f"state of {name}: got the key {key!r}, expected one without a dot")
    array = np.asarray(given)
    if array.dtype.kind not in "biufc":
        raise TypeError(f"state of {name}: got {given!r} for {key!r}, expected an array of numbers")
    return array


def _native(array: np.ndarray) -> np.ndarray:
    """A copy that can be written to, in this machine's byte order."""
    return array.astype(array.dtype.newbyteorder("="))
