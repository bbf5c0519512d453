"""Files written whole or not at all, and believed only where the checksum agrees.

Networks and training checkpoints are both such files: an uncompressed .npz without pickles, so that NumPy alone can
read it. It holds

    header   JSON: format, version, the fastbp that wrote it, and whatever describes the arrays
    ...      the arrays, little-endian
    sha256   of the header's bytes followed by those of the arrays in their order

The same contents give the same bytes. Reading trusts no number in the file: nothing is allocated that the file is too
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
import time
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from tokenize import TokenError
from typing import Any

import numpy as np

from . import __version__
from .errors import CheckpointError

HEADER_BYTES = 1 << 20  # room for ten thousand layers
NPY_BYTES = 1 << 12  # more than what NumPy writes before an array's numbers
# What zipfile, json and NumPy raise over damaged files, beside ValueError and BadZipFile; a MemoryError is no damage.
DAMAGE = (TypeError, LookupError, AttributeError, ArithmeticError, RuntimeError, EOFError, OSError, struct.error,
          SyntaxError, TokenError)  # fmt: skip
# No write takes as long: a temporary file of this age was left by a process that was killed.
STALE_SECONDS = 3600

# What a header says that the arrays are: (shape, dtype) by name, in their order.
Table = Mapping[str, tuple[tuple[int, ...], np.dtype]]


def file_name(path: str | os.PathLike[str], argument: str = "path") -> str:
    """A path as a string; a TypeError for anything else, as numbers would be taken for open files.

    Examples
    --------
    >>> file_name(Path("net.npz"))
    'net.npz'
    """
    if not isinstance(path, (str, os.PathLike)):
        raise TypeError(f"{argument}: got {path!r}, expected a file's name: a str or a PathLike")
    return os.fspath(path)


@contextmanager
def naming_the_file(path: str) -> Iterator[None]:
    """Have an OSError name this file: one of writing names none, and of a temporary file the user never heard.

    Examples
    --------
    >>> with naming_the_file("log.csv"):
    ...     raise OSError(28, "No space left on device")
    Traceback (most recent call last):
    OSError: [Errno 28] No space left on device: 'log.csv'
    """
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, error.strerror, path) from error


def atomic_write(path: str | os.PathLike[str], *parts: bytes | memoryview) -> None:
    """Write a file whole or not at all: until all of its parts are on the disk, the old file stays as it was.

    Parameters
    ----------
    path : str or PathLike
        Where to; the name is taken as given. Links are followed; an old file's permissions are kept.
    *parts : bytes or memoryview
        All that the file shall hold, one behind the other.

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
    path = file_name(path)
    if os.path.exists(path) and not os.path.isfile(path):  # a device or a pipe such as /dev/stdout: nothing to replace
        with naming_the_file(path), open(path, "wb") as device:  # a folder says itself what is wrong
            device.writelines(parts)
        return
    target = os.path.realpath(path)
    # In the same folder, so that the rename stays within a file system. Not by tempfile, which ignores the umask.
    folder = os.path.dirname(target)
    temporary = os.path.join(folder, f".fastbp-{secrets.token_hex(8)}.tmp")
    try:
        with naming_the_file(path):
            with open(temporary, "xb") as file:
                file.writelines(parts)
                file.flush()
                os.fsync(file.fileno())
            if os.path.exists(target):
                shutil.copymode(target, temporary)
            os.replace(temporary, target)
    except BaseException:  # Ctrl-C too
        with suppress(OSError):
            os.unlink(temporary)
        raise
    _remove_stale(folder)


def _remove_stale(folder: str) -> None:
    """Remove what processes left that were killed while they wrote."""
    for left in Path(folder).glob(".fastbp-*.tmp"):
        with suppress(OSError):
            if time.time() - left.stat().st_mtime > STALE_SECONDS:
                left.unlink()


def write(
    path: str | os.PathLike[str], kind: str, version: int, header: Mapping[str, Any], arrays: Mapping[str, np.ndarray]
) -> None:
    """Write ``header`` and ``arrays`` to ``path``, whole or not at all.

    Parameters
    ----------
    path : str or PathLike
        The file's name as given: no suffix is added.
    kind, version : str, int
        What the file is, and the version of how it is laid out.
    header : mapping
        Anything that JSON takes; it has to tell the arrays' names, shapes and dtypes to the reader.
    arrays : mapping of str to ndarray
        Numbers, not objects.

    Raises
    ------
    ValueError
        If the header is larger than a reader would take.
    OSError
        As ``atomic_write``.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write(f"{folder}/a", "notes", 1, {"n": 2}, {"values": np.ones(2)})
    ...     header, arrays = read(f"{folder}/a", {"notes": 1}, lambda h: {"values": ((h["n"],), np.dtype("f8"))})
    >>> header["n"], arrays["values"]
    (2, array([1., 1.]))
    """
    stored = {name: array.astype(array.dtype.newbyteorder("<"), "C", copy=False) for name, array in arrays.items()}
    text = json.dumps({"format": kind, "version": version, "fastbp": __version__, **header}).encode()
    if len(text) > HEADER_BYTES - NPY_BYTES:
        raise ValueError(f"header: got {len(text)} bytes, expected at most {HEADER_BYTES - NPY_BYTES}")
    buffer, checksum = io.BytesIO(), _checksum(text, stored.values())
    np.savez(buffer, header=np.array(text), **stored, sha256=np.array(checksum))  # type: ignore[arg-type]
    atomic_write(path, buffer.getvalue())


def read(
    path: str | os.PathLike[str], versions: Mapping[str, int], table: Callable[[dict[str, Any]], Table]
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Read the header and the arrays of a file that ``write`` wrote.

    Parameters
    ----------
    path : str or PathLike
    versions : mapping of str to int
        The kinds of file that would do, and the newest version of each that this fastbp knows.
    table : callable
        Takes the header, returns what arrays there are.

    Raises
    ------
    FileNotFoundError, OSError
        If there is no such file, or it cannot be opened.
    CheckpointError
        If it is truncated, corrupt, changed, written by a newer fastbp, or not one of ours.

    Examples
    --------
    >>> read("absent", {"notes": 1}, lambda header: {})
    Traceback (most recent call last):
    FileNotFoundError: [Errno 2] No such file or directory: 'absent'
    """
    with open(file_name(path), "rb") as file, blame_the_file(path), zipfile.ZipFile(file) as archive:
        text = _read_array(archive, "header", HEADER_BYTES).item()
        header = json.loads(text)
        if header["format"] not in versions:
            raise ValueError(f"holds {header['format']!r}, expected {' or '.join(map(repr, versions))}")
        known = versions[header["format"]]
        if header["version"] > known:
            raise ValueError(
                f"has format version {header['version']}, and this fastbp reads up to {known}: upgrade fastbp"
            )
        arrays = {}
        for name, (shape, dtype) in table(header).items():
            stored = dtype.newbyteorder("<")
            array = _read_array(archive, name, math.prod(shape) * dtype.itemsize + NPY_BYTES)
            if array.shape != shape or array.dtype != stored:
                got = f"{array.shape} of {array.dtype}"
                raise ValueError(f"{name!r} is {got}, the header says {shape} of {stored}")
            arrays[name] = array
        if _read_array(archive, "sha256", NPY_BYTES).item() != _checksum(text, arrays.values()):
            raise ValueError("the checksum does not match: the file is corrupt, or was changed")
    return header, arrays


@contextmanager
def blame_the_file(path: str | os.PathLike[str]) -> Iterator[None]:
    """Turn whatever making sense of a file raises into a CheckpointError that names the file.

    Examples
    --------
    >>> with blame_the_file("net.npz"):
    ...     {}["header"]
    Traceback (most recent call last):
    fastbp.errors.CheckpointError: net.npz: corrupt, or not written by fastbp: KeyError('header')
    """
    try:
        yield
    except zipfile.BadZipFile as error:
        raise CheckpointError(f"{os.fspath(path)}: not an .npz file, or truncated or corrupt: {error}") from error
    except ValueError as error:
        raise CheckpointError(f"{os.fspath(path)}: {error}") from error
    except DAMAGE as error:
        raise CheckpointError(f"{os.fspath(path)}: corrupt, or not written by fastbp: {error!r}") from error


def _read_array(archive: zipfile.ZipFile, name: str, limit: int) -> np.ndarray:
    """Read one array of at most ``limit`` bytes. ``np.load`` would allocate whatever size the array's header says."""
    try:
        info = archive.getinfo(f"{name}.npy")
    except KeyError:
        raise ValueError(f"not a file that fastbp saved: there is no {name!r} in it") from None
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


def _checksum(text: bytes, arrays: Iterable[np.ndarray]) -> bytes:
    digest = hashlib.sha256(text)
    for array in arrays:
        digest.update(array.tobytes())
    return digest.hexdigest().encode()
