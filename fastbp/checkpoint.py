"""Networks on disk: written whole or not at all, and believed only where the checksum agrees.

A file is an uncompressed .npz without pickles, so that NumPy alone can read it. It holds

    header      JSON: format, version, the fastbp that wrote it, and ``Network.config()``
    parameters  (n_parameters,), little-endian, in the order of ``Network.get_parameters``
    sha256      of the header's bytes followed by those of the parameters

The same network gives the same bytes. Reading trusts no number in the file: nothing is allocated that the file is too
short to fill.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
import os
import secrets
import shutil
import struct
import zipfile
from contextlib import suppress
from importlib import metadata
from typing import IO, Any

import numpy as np

from .errors import CheckpointError
from .model import Network

FORMAT, VERSION = "fastbp network", 1
HEADER_BYTES = 1 << 20  # room for ten thousand layers
NPY_BYTES = 1 << 12  # more than what NumPy writes before an array's numbers
# What zipfile, json and NumPy raise over damaged files, beside ValueError and BadZipFile; a MemoryError is no damage.
DAMAGE = (TypeError, LookupError, AttributeError, ArithmeticError, RuntimeError, EOFError, OSError, struct.error)


def atomic_write(path: str | os.PathLike[str], data: bytes) -> None:
    """Write a file whole or not at all: until all of ``data`` is on the disk, the old file stays as it was.

    Parameters
    ----------
    path : str or PathLike
        Where to; the name is taken as given. Links are followed; an old file's permissions are kept.
    data : bytes
        All that the file shall hold.

    Raises
    ------
    OSError
        If the folder does not exist or cannot be written to, or the disk is full. Nothing new is left behind.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     atomic_write(os.path.join(folder, "a.txt"), b"whole")
    ...     os.listdir(folder)
    ['a.txt']
    """
    target = os.path.realpath(path)
    if os.path.exists(target) and not os.path.isfile(target):  # a device such as /dev/stdout must not be replaced
        with open(path, "wb") as device:  # and a folder says itself what is wrong
            device.write(data)
        return
    # In the same folder, so that the rename stays within a file system. Not by tempfile, which ignores the umask.
    temporary = os.path.join(os.path.dirname(target), f".fastbp-{secrets.token_hex(8)}.tmp")
    try:
        with open(temporary, "xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        if os.path.exists(target):
            shutil.copymode(target, temporary)
        os.replace(temporary, target)
    except BaseException as error:  # Ctrl-C too
        with suppress(OSError):
            os.unlink(temporary)
        if isinstance(error, OSError):  # the user never heard of the temporary file
            raise OSError(error.errno, error.strerror, os.fspath(path)) from error
        raise


def save(net: Network, path: str | os.PathLike[str]) -> None:
    """Write a network to ``path``, whole or not at all.

    Parameters
    ----------
    net : Network
        Saved with its configuration and parameters; not with a trainer's state.
    path : str or PathLike
        The file's name as given: no suffix is added.

    Raises
    ------
    ValueError
        If a parameter is NaN or infinite: such a network must not take a good file's place.
    OSError
        As ``atomic_write``.

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
    parameters = net.get_parameters()
    bad = int(np.count_nonzero(~np.isfinite(parameters)))
    if bad:
        raise ValueError(f"net: got {bad} parameters that are NaN or infinite, expected finite ones; nothing was saved")
    parameters = parameters.astype(parameters.dtype.newbyteorder("<"), copy=False)
    header = {"format": FORMAT, "version": VERSION, "fastbp": _fastbp_version(), "config": net.config()}
    text = json.dumps(header).encode()
    buffer = io.BytesIO()
    np.savez(buffer, header=np.array(text), parameters=parameters, sha256=np.array(_checksum(text, parameters)))
    atomic_write(path, buffer.getvalue())


def load(path: str | os.PathLike[str]) -> Network:
    """Read a network that ``save`` wrote.

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
    with open(path, "rb") as file:
        try:
            return _read_network(file)
        except zipfile.BadZipFile as error:
            raise CheckpointError(f"{os.fspath(path)}: not an .npz file, or truncated or corrupt: {error}") from error
        except ValueError as error:
            raise CheckpointError(f"{os.fspath(path)}: {error}") from error
        except DAMAGE as error:
            raise CheckpointError(f"{os.fspath(path)}: corrupt, or not written by fastbp: {error!r}") from error


def _read_network(file: IO[bytes]) -> Network:
    """Build the network, or raise what ``load`` turns into a CheckpointError."""
    with zipfile.ZipFile(file) as archive:
        text = _read_array(archive, "header", HEADER_BYTES).item()
        header = json.loads(text)
        if header["format"] != FORMAT:
            raise ValueError(f"holds {header['format']!r}, expected {FORMAT!r}")
        if header["version"] > VERSION:
            raise ValueError(
                f"has format version {header['version']}, and this fastbp reads up to {VERSION}: upgrade fastbp"
            )
        config = header["config"]
        n = _count_parameters(config)
        dtype = np.dtype(config["dtype"]).newbyteorder("<")
        parameters = _read_array(archive, "parameters", n * dtype.itemsize + NPY_BYTES)
        checksum = _read_array(archive, "sha256", NPY_BYTES).item()
    if parameters.shape != (n,) or parameters.dtype != dtype:
        got = f"{parameters.shape} of {parameters.dtype}"
        raise ValueError(f"the parameters are {got}, the configuration says ({n},) of {dtype}")
    if checksum != _checksum(text, parameters):
        raise ValueError("the checksum does not match: the file is corrupt, or was changed")
    net = Network.from_config(config)
    net.set_parameters(parameters)
    return net


def _read_array(archive: zipfile.ZipFile, name: str, limit: int) -> np.ndarray:
    """Read one array of at most ``limit`` bytes. ``np.load`` would allocate whatever size the array's header says."""
    try:
        info = archive.getinfo(f"{name}.npy")
    except KeyError:
        raise ValueError(f"not a network that fastbp saved: there is no {name!r} in it") from None
    if info.compress_type != zipfile.ZIP_STORED:  # so that no member is larger than the file
        raise ValueError(f"{name!r} is compressed, which fastbp never does")
    if info.file_size > limit:
        raise ValueError(f"{name!r} has {info.file_size} bytes, expected at most {limit}")
    member = io.BytesIO(archive.read(info))
    if np.lib.format.read_magic(member) != (1, 0):
        raise ValueError(f"{name!r} is not an array that fastbp saved")
    shape, _, dtype = np.lib.format.read_array_header_1_0(member)
    numbers = member.read()
    if dtype.hasobject or math.prod(shape) * dtype.itemsize != len(numbers):
        raise ValueError(f"{name!r} has {len(numbers)} bytes, which do not make shape {shape} of {dtype}")
    return np.frombuffer(numbers, dtype).reshape(shape)


def _count_parameters(config: dict[str, Any]) -> int:
    """What ``Network.n_parameters`` will be, before anything of that size is allocated."""
    total, n_in = 0, config["n_in"]
    for layer in config["layers"]:
        total += (n_in + layer["bias"]) * layer["n"]
        n_in = layer["n"]
    return int(total)


def _checksum(text: bytes, parameters: np.ndarray) -> bytes:
    return hashlib.sha256(text + parameters.tobytes()).hexdigest().encode()


def _fastbp_version() -> str:
    try:
        return metadata.version("fastbp")
    except metadata.PackageNotFoundError:  # run from its folder, not installed
        return "unknown"
