"""Networks on disk: a file of ``fastbp/archive.py`` whose header holds ``Network.config()``, and whose one array is

    parameters  (n_parameters,), in the order of ``Network.get_parameters``

A training checkpoint (``fastbp/state.py``) holds the same and more, so that a network can be read from it too.
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from . import archive
from .archive import Table
from .errors import CheckpointError
from .model import Network, require_finite

FORMAT, VERSION = "fastbp network", 1
TRAINING_FORMAT, TRAINING_VERSION = "fastbp training", 1


def save(net: Network, path: str | os.PathLike[str]) -> None:
    """Write a network to ``path``, whole or not at all.

    Parameters
    ----------
    net : Network
        Saved with its configuration and parameters; not with a trainer's state (see ``Trainer.save``).
    path : str or PathLike
        The file's name as given: no suffix is added.

    Raises
    ------
    ValueError
        If a parameter is NaN or infinite: such a network must not take a good file's place.
    OSError
        As ``archive.atomic_write``.

    Examples
    --------
    >>> import tempfile
    >>> from fastbp import Dense
    >>> net = Network(2, [Dense(1)], seed=3)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save(net, os.path.join(folder, "net.npz"))
    ...     again = load(os.path.join(folder, "net.npz"))
    >>> bool((again.get_parameters() == net.get_parameters()).all())
    True
    """
    require_finite("net", net)
    archive.write(path, FORMAT, VERSION, {"config": net.config()}, {"parameters": net.get_parameters()})


def load(path: str | os.PathLike[str]) -> Network:
    """Read a network that ``save`` wrote, or that of a training checkpoint.

    Parameters
    ----------
    path : str or PathLike
        The file.

    Returns
    -------
    Network
        With the same bits in its parameters.

    Raises
    ------
    FileNotFoundError, OSError
        If there is no such file, or it cannot be opened.
    CheckpointError
        If it is truncated, corrupt, changed, written by a newer fastbp, or not one of ours.

    Examples
    --------
    >>> load("absent.npz")
    Traceback (most recent call last):
    FileNotFoundError: [Errno 2] No such file or directory: 'absent.npz'
    """
    header, arrays = archive.read(path, {FORMAT: VERSION, TRAINING_FORMAT: TRAINING_VERSION}, array_table)
    with archive.blame_the_file(path):
        net, parameters = Network.from_config(header["config"]), arrays["parameters"]
    try:  # not what may go wrong where a kernel is compiled
        net.set_parameters(parameters)
    except ValueError as error:
        raise CheckpointError(f"{os.fspath(path)}: {error}") from error
    return net


def array_table(header: dict[str, Any]) -> Table:
    """The arrays that a file has by its header: the parameters, and in a checkpoint those under ``arrays``.

    Examples
    --------
    >>> array_table({"config": {"n_in": 2, "layers": [{"n": 1, "bias": True}], "dtype": "float32"}})
    {'parameters': ((3,), dtype('float32'))}
    """
    config = header["config"]
    more = {name: (tuple(shape), np.dtype(dtype)) for name, (shape, dtype) in header.get("arrays", {}).items()}
    return {"parameters": ((_count_parameters(config),), np.dtype(config["dtype"])), **more}


def _count_parameters(config: dict[str, Any]) -> int:
    """What ``Network.n_parameters`` will be, before anything of that size is allocated."""
    total, n_in = 0, config["n_in"]
    for layer in config["layers"]:
        total += (n_in + layer["bias"]) * layer["n"]
        n_in = layer["n"]
    return int(total)
