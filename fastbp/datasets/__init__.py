"""Data sets: by name, checked to the last byte, or from a folder of one's own.

A name is looked for in ``$FASTBP_DATA/<name>/``, in the user's cache folder (``$FASTBP_DATA_CACHE/<name>/`` where that
is set), in the folder of Debian's packages, and then downloaded, or taken from the package that carries it.
"""

from __future__ import annotations

import importlib.util
import os
import time
from pathlib import Path
from threading import TIMEOUT_MAX
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastbp.datasets import local
from fastbp.datasets.catalog import CATALOG, NAMES, Entry
from fastbp.datasets.idx import digest, read_idx, write_idx
from fastbp.datasets.mirrors import download
from fastbp.datasets.splits import Split
from fastbp.errors import DataError, unknown_name
from fastbp.scalars import positive

__all__ = ["Available", "Split", "available", "fetch", "load", "read_idx", "write_idx"]

TIME_LIMIT = 300.0


class Available(NamedTuple):
    """A line of ``available()``: a data set's name, what it is, and where it is found (None: to be downloaded)."""

    name: str
    description: str
    found: str | None


def load(name_or_folder: str | os.PathLike[str], *, time_limit: float = TIME_LIMIT) -> tuple[Split, Split]:
    """Load a data set.

    Parameters
    ----------
    name_or_folder : str or path
        ``mnist``, ``fashion-mnist``, ``mnist-5k`` or ``digits``; or a folder with the four IDX files
        (``train-images-idx3-ubyte``, ``train-labels-idx1-ubyte``, ``t10k-images-idx3-ubyte``,
        ``t10k-labels-idx1-ubyte``, each with or without ``.gz``). A ``Path`` is always a folder.
    time_limit : float
        Seconds that a download may take in all.

    Returns
    -------
    train, test : Split
        ``x`` is (n, n_in) uint8, n_in 784 for all but ``digits``, whose images have 64; ``y`` is (n,) int64.

    Raises
    ------
    DataError
        A file is missing, damaged or not what its name says, or cannot be downloaded.
    MissingExtraError
        It takes a package that is not installed.
    ValueError
        There is neither a data set nor a folder of that name.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for part, n in ("train", 6), ("t10k", 2):
    ...         write_idx(f"{folder}/{part}-images-idx3-ubyte.gz", np.zeros((n, 28, 28), np.uint8))
    ...         write_idx(f"{folder}/{part}-labels-idx1-ubyte.gz", np.arange(n, dtype=np.uint8))
    ...     train, test = load(folder)
    >>> train.x.shape, train.x.dtype, test.y
    ((6, 784), dtype('uint8'), array([0, 1]))
    """
    entry = CATALOG.get(name_or_folder) if isinstance(name_or_folder, str) else None
    if entry is not None:
        arrays, where = _obtain(entry, time_limit)
        return _pair(arrays, entry.name, str(where))
    if not isinstance(name_or_folder, (str, os.PathLike)):
        raise TypeError(f"name_or_folder: got {name_or_folder!r}, expected the name of a data set, or a folder")
    folder = Path(name_or_folder).expanduser()
    if folder.is_dir():
        return _pair(_read_folder(folder), folder.resolve().name, str(folder))
    if isinstance(name_or_folder, str) and os.path.basename(name_or_folder) == name_or_folder:
        raise unknown_name("name_or_folder", name_or_folder, CATALOG)
    raise DataError(f"name_or_folder: there is no folder {folder}")


def fetch(name: str, *, time_limit: float = TIME_LIMIT) -> Path:
    """Make sure that a data set is on this machine, and return its folder.

    Parameters
    ----------
    name : str
        As for ``load``.
    time_limit : float
        Seconds that a download may take in all.

    Returns
    -------
    Path
        The folder with its four IDX files, all of them checked.

    Raises
    ------
    DataError, MissingExtraError
        As for ``load``; also where no folder can be written.
    ValueError
        There is no data set of that name.

    Examples
    --------
    >>> fetch("minst")
    Traceback (most recent call last):
    ValueError: name: unknown name 'minst'; did you mean 'mnist'? Known: digits, fashion-mnist, mnist, mnist-5k
    """
    if not isinstance(name, str) or name not in CATALOG:
        raise unknown_name("name", name, CATALOG)
    where = _obtain(CATALOG[name], time_limit)[1]
    if isinstance(where, Path):
        return where
    raise DataError(
        f"{name}: got it from {where}, but could not keep it in {local.cache_folder(name)}; "
        "set FASTBP_DATA_CACHE to a folder that can be written"
    )


def available() -> list[Available]:
    """List the data sets that have a name, and where each is found on this machine.

    Examples
    --------
    >>> [item.name for item in available()]
    ['mnist', 'fashion-mnist', 'mnist-5k', 'digits']
    """
    return [Available(entry.name, entry.description, _found(entry)) for entry in CATALOG.values()]


def _found(entry: Entry) -> str | None:
    for folder in local.folders(entry.name):
        if local.find_all(folder, NAMES):
            return str(folder)
    if entry.package and importlib.util.find_spec(entry.package):
        return f"package {entry.package}"
    return None


def _obtain(entry: Entry, time_limit: float) -> tuple[list[NDArray[Any]], Path | str]:
    """Return the four arrays, checked, and the folder that holds them, or, where none does, their origin."""
    time_limit = positive("time_limit", time_limit, below=TIMEOUT_MAX)
    for folder in local.folders(entry.name):
        if paths := local.find_all(folder, NAMES):
            found = zip(paths, entry.files, strict=True)
            return [local.read_checked(path, file, entry) for path, file in found], folder
    if entry.build is None:
        return _download(entry, time.monotonic() + time_limit)
    arrays = list(entry.build())
    if [digest(array) for array in arrays] != [file.sha256 for file in entry.files]:
        raise DataError(
            f"{entry.name}: the samples in the installed package {entry.package} are not those that fastbp knows; "
            f"install another version of {entry.package}, or take another data set"
        )
    kept = [local.keep(array, file, entry) for array, file in zip(arrays, entry.files, strict=True)]
    return arrays, _folder(kept) or f"package {entry.package}"


def _download(entry: Entry, deadline: float) -> tuple[list[NDArray[Any]], Path | str]:
    """Download what the cache folder lacks; each file is kept as soon as it is checked."""
    cache = local.cache_folder(entry.name)
    arrays: list[NDArray[Any]] = []
    kept: list[Path | None] = []
    for file in entry.files:
        if cache and (path := local.find(cache, file.name)):  # an earlier download got this far
            arrays.append(local.read_checked(path, file, entry))
            kept.append(path)
            continue
        try:
            array = download(entry, file, deadline)
        except DataError as error:
            looked = ", ".join(map(str, local.folders(entry.name)))
            raise DataError(
                f"{entry.name}: its files are not in {looked}, and could not be downloaded ({error}); "
                "put them there, or set FASTBP_DATA to the folder that has them in a subfolder of that name"
            ) from error
        arrays.append(array)
        kept.append(local.keep(array, file, entry))
    return arrays, _folder(kept) or entry.mirrors[0]


def _folder(kept: list[Path | None]) -> Path | None:
    return kept[0].parent if kept[0] and all(kept) else None


def _read_folder(folder: Path) -> list[NDArray[Any]]:
    paths = {name: local.find(folder, name) for name in NAMES}
    if missing := [name for name, path in paths.items() if path is None]:
        raise DataError(f"{folder}: no file {', '.join(missing)} in it, with or without .gz")
    return [read_idx(path) for path in paths.values() if path]


def _pair(arrays: list[NDArray[Any]], name: str, source: str) -> tuple[Split, Split]:
    train = _split(arrays[0], arrays[1], NAMES[0], name, source)
    test = _split(arrays[2], arrays[3], NAMES[2], name, source)
    if train.x.shape[1] != test.x.shape[1]:
        raise DataError(f"{source}: {train.x.shape[1]} pixels in the training images, {test.x.shape[1]} in the test's")
    if train.x.dtype != test.x.dtype:  # uint8 is scaled, floats are not
        raise DataError(f"{source}: {train.x.dtype} in the training images, {test.x.dtype} in the test's")
    return train, test


def _split(images: NDArray[Any], labels: NDArray[Any], file: str, name: str, source: str) -> Split:
    """Join images and labels that belong together; ``file``, the images' name, is for messages."""
    where = f"{source}: {file}"
    if images.ndim < 2 or images.size == 0:
        raise DataError(f"{where}: shape {images.shape}; images are (n, rows, columns), one or more")
    if images.dtype not in (np.uint8, np.float32, np.float64):
        raise DataError(f"{where}: {images.dtype} items; images are uint8, float32 or float64")
    if labels.ndim != 1 or labels.dtype.kind not in "ui":
        raise DataError(f"{where}: its labels are {labels.dtype} of shape {labels.shape}; they must be (n,) integers")
    if len(images) != len(labels):
        raise DataError(f"{where}: {len(images)} images, but {len(labels)} labels; they must be as many")
    if labels.min() < 0:
        raise DataError(f"{where}: has a label {labels.min()}; classes count from 0")
    return Split(images.reshape(len(images), -1), labels.astype(np.int64), name, source)
