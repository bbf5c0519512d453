"""Data files on this machine: where they may lie, and which of them were checked before.

The cache folder of a data set holds uncompressed files, which load 20 times faster than .gz ones, and
``verified.json``: the size and time of every file whose SHA-256 was right. A file that has not changed since
is not hashed again. Nothing here needs the cache: where no folder can be written, every load checks.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from fastbp.archive import atomic_write
from fastbp.datasets.catalog import Entry, IdxFile
from fastbp.datasets.idx import digest, read_idx, write_idx
from fastbp.errors import DataError

SYSTEM_FOLDER = Path("/usr/share/datasets")  # where Debian's packages put data sets
_STAMPS = "verified.json"


def cache_folder(name: str) -> Path | None:
    """Return the folder that keeps data set ``name``, whether it exists or not; None where there is no home.

    ``FASTBP_DATA_CACHE`` overrides the platform's usual place.
    """
    if chosen := os.environ.get("FASTBP_DATA_CACHE"):
        return Path(chosen).absolute() / name
    try:
        if sys.platform == "win32":
            base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
        elif sys.platform == "darwin":
            base = Path.home() / "Library" / "Caches"
        else:
            base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    except RuntimeError:  # no home directory
        return None
    return base.absolute() / "fastbp" / "datasets" / name


def folders(name: str) -> list[Path]:
    """Return the folders to look in for data set ``name``, the first one first."""
    own = os.environ.get("FASTBP_DATA")
    places = [Path(own).absolute() / name if own else None, cache_folder(name), SYSTEM_FOLDER / name]
    return [place for place in places if place is not None]


def find(folder: Path, name: str) -> Path | None:
    """Return the file ``name`` in ``folder``: as it is, with .gz, or with the dot that some archives have in it."""
    dotted = name.replace("-idx", ".idx")
    candidates = (folder / f"{stem}{suffix}" for stem in (name, dotted) for suffix in ("", ".gz"))
    return next((path for path in candidates if path.is_file()), None)


def find_all(folder: Path, names: Iterable[str]) -> list[Path] | None:
    """Return the paths of all of ``names`` in ``folder``, or None where one is missing."""
    paths = [path for name in names if (path := find(folder, name))]
    return paths if len(paths) == len(list(names)) else None


def read_checked(path: Path, file: IdxFile, entry: Entry) -> NDArray[Any]:
    """Read ``path``, which must hold the bytes of ``file``; from the uncompressed copy where that is known to be good.

    Raises
    ------
    DataError
        The file is damaged, or is not the one that the catalogue means.
    """
    cache = cache_folder(entry.name)
    verified = _stamps(cache)
    stamp = _stamp(path, file)  # before reading: a file that changes meanwhile is checked again next time
    copy = cache / file.name if cache else path
    uncompressed = stamp is not None and stamp[0] == file.n_bytes
    if stamp and stamp == verified.get(str(path)):
        if uncompressed:
            return read_idx(path)
        if (copy_stamp := _stamp(copy, file)) and copy_stamp == verified.get(str(copy)):
            return read_idx(copy)
    try:
        array = read_idx(path, max_bytes=file.n_bytes)
    except DataError as error:
        raise DataError(f"{error} ({_advice(entry)})") from error
    check(array, file, path, entry)
    if uncompressed or keep(array, file, entry):
        _remember(cache, {str(path): stamp})
    return array


def check(array: NDArray[Any], file: IdxFile, path: Path | str, entry: Entry) -> None:
    """Raise DataError, with what would do, unless ``array`` has the SHA-256 of ``file``."""
    got = digest(array)
    if got != file.sha256:
        raise DataError(
            f"{path}: not {entry.name}'s {file.name}: its bytes, decompressed, have SHA-256 {got[:12]}..., "
            f"not {file.sha256[:12]}... ({_advice(entry)})"
        )


def _advice(entry: Entry) -> str:
    return f"delete it and run: fastbp data fetch {entry.name}; or, for data of your own, give its folder, not a name"


def keep(array: NDArray[Any], file: IdxFile, entry: Entry) -> Path | None:
    """Put a checked array into the cache folder; return its path, or None where nothing can be written."""
    cache = cache_folder(entry.name)
    if cache is None:
        return None
    path = cache / file.name
    try:
        cache.mkdir(parents=True, exist_ok=True)
        write_idx(path, array)
    except OSError:  # read-only, full, or a file where a folder should be: the cache is a convenience
        return None
    _remember(cache, {str(path): _stamp(path, file)})
    return path


def _stamp(path: Path, file: IdxFile) -> list[int | str] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return [status.st_size, status.st_mtime_ns, file.sha256]


def _stamps(cache: Path | None) -> dict[str, Any]:
    if cache is None:
        return {}
    try:
        stamps = json.loads((cache / _STAMPS).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):  # none yet, or damaged: then everything is checked again
        return {}
    return stamps if isinstance(stamps, dict) else {}


def _remember(cache: Path | None, new: dict[str, list[int | str] | None]) -> None:
    """Add to the stamps. Of two processes that do so at once one may lose its own: a check too many, later."""
    if cache is None:
        return
    with suppress(OSError):
        cache.mkdir(parents=True, exist_ok=True)
        atomic_write(cache / _STAMPS, json.dumps(_stamps(cache) | new, indent=1).encode())
