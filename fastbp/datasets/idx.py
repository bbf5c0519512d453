"""The IDX file format, in which MNIST comes: read with suspicion, written whole or not at all.

A file is two zero bytes, a byte for the type, a byte for the number of dimensions, each dimension
as a big-endian uint32, then the items, big-endian, last dimension fastest. It may be gzipped.
"""

from __future__ import annotations

import gzip
import hashlib
import math
import os
import struct
import zlib
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from fastbp.archive import atomic_write
from fastbp.errors import DataError

_TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
_CODES = {np.dtype(text).newbyteorder("="): code for code, text in _TYPES.items()}
_GZIP_MAGIC = b"\x1f\x8b"
# A gzip file cannot grow to more than this many times its size: deflate's shortest code is 2 bits for 258 bytes.
_MAX_INFLATION = 1032
_MAX_DIMENSIONS = 32  # what every NumPy that we take can hold
_CHUNK = 1 << 20


def read_idx(path: str | os.PathLike[str], *, max_bytes: int | None = None) -> NDArray[Any]:
    """Read an IDX file, gzipped or not (the content tells, not the name).

    The header is held against the length of the file before anything is allocated; of a gzipped file
    no more is inflated than its header claims.

    Parameters
    ----------
    path : path
        The file.
    max_bytes : int, optional
        Refuse a file that is longer than this after decompression, header included.

    Returns
    -------
    ndarray
        Of the shape and type in the header (uint8 images stay uint8), native byte order, writable.

    Raises
    ------
    DataError
        The file is missing, unreadable, truncated, corrupt, too long or not IDX; the message names it.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_idx(f"{folder}/labels.gz", np.array([7, 2, 1], np.uint8))
    ...     read_idx(f"{folder}/labels.gz")
    array([7, 2, 1], dtype=uint8)
    """
    if not os.path.isfile(path):  # before open, which would wait for ever on a pipe
        raise DataError(f"{path}: {'not a file' if os.path.exists(path) else 'no such file'}")
    try:
        with open(path, "rb") as file:
            return decode(file, os.fspath(path), os.fstat(file.fileno()).st_size, max_bytes)
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}") from error


def decode(file: BinaryIO, name: str, n_stored: int, max_bytes: int | None = None) -> NDArray[Any]:
    """Read an IDX file of ``n_stored`` bytes from an open, seekable ``file``; ``name`` is for messages.

    Examples
    --------
    >>> import io
    >>> content = bytes([0, 0, 8, 1, 0, 0, 0, 2, 5, 6])
    >>> decode(io.BytesIO(content), "labels", len(content))
    array([5, 6], dtype=uint8)
    """
    gzipped = file.read(2) == _GZIP_MAGIC
    file.seek(0)
    try:
        if not gzipped:
            return _decode(file, name, n_stored, max_bytes, exact=True)
        with gzip.GzipFile(fileobj=file) as stream:
            return _decode(stream, name, n_stored * _MAX_INFLATION, max_bytes, exact=False)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"{name}: truncated or corrupt gzip file ({error}); get it again") from error


def _decode(stream: Any, name: str, available: int, max_bytes: int | None, *, exact: bool) -> NDArray[Any]:
    """Read header and items; ``available`` is the length of the stream, or a bound on it where not ``exact``."""
    shape, dtype = _read_header(stream, name)
    n_header = 4 + 4 * len(shape)
    n_items_bytes = math.prod(shape) * dtype.itemsize  # Python's integers: a hostile header cannot overflow them
    claim = f"{name}: its header claims {shape} items of {dtype.name}, {n_header + n_items_bytes} bytes in all"
    if max_bytes is not None and n_header + n_items_bytes > max_bytes:
        raise DataError(f"{claim}, more than the {max_bytes} allowed")
    if n_header + n_items_bytes > available:
        raise DataError(f"{claim}; the file is truncated or corrupt: it holds at most {available}; get it again")
    if exact and n_header + n_items_bytes < available:
        raise DataError(f"{claim}, yet {available - n_header - n_items_bytes} more follow; get it again")
    # A dimension of 0 hides how large the others are; NumPy refuses a shape whose strides would not fit.
    if math.prod(max(size, 1) for size in shape) * dtype.itemsize > np.iinfo(np.intp).max:
        raise DataError(f"{claim}, a shape that no array can have")
    raw = np.empty(n_items_bytes, np.uint8)
    _fill(stream, raw, name, claim)
    if stream.read(1):  # past the last member this also makes gzip compare its CRC-32
        raise DataError(f"{claim}, yet more follow; get it again")
    items = raw.view(dtype).reshape(shape)
    native = dtype.newbyteorder("=")
    return items.view(native) if dtype == native else items.astype(native)


def _read_header(stream: Any, name: str) -> tuple[tuple[int, ...], np.dtype[Any]]:
    magic = stream.read(4)
    if len(magic) < 4:
        raise DataError(f"{name}: {len(magic)} bytes are too few for an IDX header; get it again")
    code, n_dimensions = magic[2], magic[3]
    if magic[:2] != b"\0\0":
        raise DataError(f"{name}: not an IDX file: it begins with {magic!r}, not with two zero bytes")
    if code not in _TYPES:
        known = ", ".join(f"0x{c:02X}" for c in _TYPES)
        raise DataError(f"{name}: not an IDX file: type code 0x{code:02X} is none of {known}")
    if not 1 <= n_dimensions <= _MAX_DIMENSIONS:
        raise DataError(f"{name}: {n_dimensions} dimensions; an IDX file has 1 to {_MAX_DIMENSIONS} here")
    sizes = stream.read(4 * n_dimensions)
    if len(sizes) < 4 * n_dimensions:
        raise DataError(f"{name}: ends within its header of {n_dimensions} dimensions; get it again")
    return struct.unpack(f">{n_dimensions}I", sizes), np.dtype(_TYPES[code])


def _fill(stream: Any, raw: NDArray[np.uint8], name: str, claim: str) -> None:
    view, n_read = raw.data, 0
    while n_read < len(view):
        got = stream.readinto(view[n_read : n_read + _CHUNK])
        if not got:
            raise DataError(f"{claim}; the file is truncated: {len(view) - n_read} are missing; get it again")
        n_read += got


def _encode(array: NDArray[Any]) -> tuple[bytes, NDArray[Any]]:
    code = _CODES.get(array.dtype.newbyteorder("="))
    if code is None:
        known = ", ".join(dtype.name for dtype in _CODES)
        raise TypeError(f"array: IDX has no {array.dtype}; convert it with astype to one of {known}")
    if not 1 <= array.ndim <= _MAX_DIMENSIONS or max(array.shape) >= 1 << 32:
        raise ValueError(f"array: shape {array.shape}; IDX takes 1 to {_MAX_DIMENSIONS} dimensions below 2**32")
    header = struct.pack(f">BBBB{array.ndim}I", 0, 0, code, array.ndim, *array.shape)
    return header, np.ascontiguousarray(array, _TYPES[code]).reshape(-1)


def digest(array: NDArray[Any]) -> str:
    """Return the SHA-256 that ``array`` has as an uncompressed IDX file.

    Header and items follow from the array alone, so this checks a file that was read without a second reading.

    Examples
    --------
    >>> digest(np.array([7, 2, 1], np.uint8))[:16]
    'e10ef6244367a3de'
    """
    header, items = _encode(array)
    sha = hashlib.sha256(header)
    sha.update(items.view(np.uint8).data)
    return sha.hexdigest()


def write_idx(path: str | os.PathLike[str], array: NDArray[Any]) -> None:
    """Write ``array`` as an IDX file, gzipped where the name ends in ``.gz``; whole, or not at all.

    Parameters
    ----------
    path : path
        The file; its folder must exist. One that is there is replaced in one step.
    array : ndarray
        uint8, int8, int16, int32, float32 or float64; 1 dimension or more. Images are (n, rows, columns) uint8,
        labels (n,) uint8.

    Raises
    ------
    TypeError, ValueError
        IDX cannot hold the type or the shape.
    OSError
        The file cannot be written; what was there before is still there.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_idx(f"{folder}/images", np.zeros((2, 28, 28), np.uint8))
    ...     read_idx(f"{folder}/images").shape
    (2, 28, 28)
    """
    header, items = _encode(np.asarray(array))
    if os.fspath(path).endswith(".gz"):
        atomic_write(path, gzip.compress(header + items.tobytes(), mtime=0))  # no clock: the same bytes every time
    else:
        atomic_write(path, header, items.data)
