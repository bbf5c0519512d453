"""Samples from files that people have: pictures, and arrays saved by NumPy."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastbp.errors import DataError, MissingExtraError


def read_samples(path: Path, n_in: int) -> tuple[NDArray[Any], str]:
    """Read the samples in a file: one from a picture, any number from a .npy file.

    Parameters
    ----------
    path : Path
        A file that ends in ``.npy``, or a picture of any kind that Pillow reads.
    n_in : int
        Inputs of the network.

    Returns
    -------
    x : (n, n_in) ndarray
        uint8 from a picture; from a .npy file whatever it holds.
    note : str
        What was done to a picture that the user may not expect; empty where nothing was.

    Raises
    ------
    DataError
        The file is missing, damaged, or does not fit the network.
    MissingExtraError
        Pillow is not installed.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     np.save(f"{folder}/digits.npy", np.zeros((5, 28, 28), np.uint8))
    ...     x, note = read_samples(Path(folder, "digits.npy"), 784)
    >>> x.shape, note
    ((5, 784), '')
    """
    if not path.is_file():
        raise DataError(f"{path}: {'not a file' if path.exists() else 'no such file'}")
    if path.suffix.lower() == ".npy":
        return _read_npy(path, n_in), ""
    return _as_input(_read_gray(path), path, n_in)


def _read_npy(path: Path, n_in: int) -> NDArray[Any]:
    try:
        x = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"{path}: not an array that NumPy can load without pickle ({error})") from error
    if not isinstance(x, np.ndarray):
        raise DataError(f"{path}: an archive of several arrays; save one with numpy.save")
    single = x.size == n_in and (x.ndim == 1 or x.shape[-1] != n_in)  # (n_in,), or (rows, columns) of one image
    n = 1 if single else len(x) if x.ndim else 0
    if n == 0 or x.size != n * n_in:
        raise DataError(f"{path}: shape {x.shape}; this network takes (n, {n_in}), n being 1 or more")
    return x.reshape(n, n_in)


def _read_gray(path: Path) -> NDArray[np.uint8]:
    """Read a picture as (rows, columns) uint8; what is transparent takes the ground that its ink shows up on."""
    try:
        from PIL import Image, ImageOps
    except ImportError as error:
        raise MissingExtraError("pillow", "examples", "reading a picture") from error
    try:
        with Image.open(path) as opened:
            if opened.mode == "F" or (opened.mode == "I" and opened.format not in ("PNG", "PPM")):  # those have 16 bits
                raise ValueError(
                    "32 bits a pixel, of which none is known to be white; 8 or 16 would do, or a .npy file"
                )
            picture = ImageOps.exif_transpose(opened)  # a phone's camera says which side is up
            if picture.mode.startswith("I"):  # 16 bits a pixel, which Pillow's own conversion would clip
                return (np.asarray(picture).astype(np.int64) // 257).clip(0, 255).astype(np.uint8)
            gray, alpha = (np.asarray(band, np.float64) for band in picture.convert("RGBA").convert("LA").split())
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise DataError(f"{path}: not a picture that can be read ({error})") from error
    opaque = alpha / 255.0
    ground = 255.0 if (gray * opaque).sum() < 127.5 * opaque.sum() else 0.0
    return np.rint(gray * opaque + ground * (1.0 - opaque)).astype(np.uint8)


def _as_input(gray: NDArray[np.uint8], path: Path, n_in: int) -> tuple[NDArray[np.uint8], str]:
    """Turn a picture into a sample as MNIST has them: light on dark, and of the network's size."""
    notes = []
    border = np.concatenate([gray[0], gray[-1], gray[:, 0], gray[:, -1]])
    if np.median(border) > 127:
        gray = 255 - gray
        notes.append("dark on light, so inverted")
    side = math.isqrt(n_in)
    if side * side == n_in and gray.shape != (side, side):
        notes.append(f"{gray.shape[1]} x {gray.shape[0]} pixels, so resized to {side} x {side}")
        gray = _resize(gray, side)
    if gray.size != n_in:
        raise DataError(f"{path}: {gray.shape[1]} x {gray.shape[0]} pixels; this network takes {n_in}")
    return gray.reshape(1, n_in), "; ".join(notes)


def _resize(gray: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """Put a picture into the middle of a black square, which keeps its proportions, and scale that."""
    from PIL import Image

    picture = Image.fromarray(gray)
    square = Image.new("L", (max(picture.size),) * 2)
    square.paste(picture, ((square.width - picture.width) // 2, (square.height - picture.height) // 2))
    return np.asarray(square.resize((side, side), Image.Resampling.LANCZOS))
