"""Images side by side: the weights of units that look at an image, and samples."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from .axes import axes_for, signed

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_CAPTIONS = 49  # more of them than that are too small to read


def weight_images(
    weights: ArrayLike, label: str = "weight", shape: tuple[int, int] | None = None, ax: Axes | None = None
) -> Axes:
    """Each unit's weights as an image, all on one scale: what the unit looks for in its input.

    Parameters
    ----------
    weights : array_like, (n_in, n_units)
        Such as ``net.weights[0]``, or what one sample wants of them, ``e.weight_nudges[0]``.
    label : str
        What the colours stand for.
    shape : (height, width), optional
        Of the input images; by default they are square.

    Raises
    ------
    ValueError
        If the inputs make no such image.
    MissingExtraError
        matplotlib is not installed.

    Examples
    --------
    >>> from fastbp import Dense, Network
    >>> ax = weight_images(Network(784, [Dense(16)]).weights[0])
    >>> len(ax.texts)
    16
    """
    matrix = np.asarray(weights, np.float64)
    if matrix.ndim != 2 or matrix.size == 0:
        raise ValueError(f"weights: got shape {matrix.shape}, expected (n_in, n_units)")
    size = _image_shape("weights", len(matrix), shape)
    tiles, corners = _montage(matrix.T.reshape(-1, *size))
    ax = axes_for(ax, 6.4, 5.8)
    signed(ax, tiles, label)
    units = matrix.shape[1]
    _write_captions(ax, corners, [f"{unit}" if units <= MOST_CAPTIONS else "" for unit in range(units)])
    return ax


def sample_images(
    x: ArrayLike,
    captions: Sequence[str] | None = None,
    shape: tuple[int, int] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Samples as images, dark on white, each on its own scale and with its own caption.

    Parameters
    ----------
    x : array_like, (n, n_in) or (n, height, width)
        Such as ``test.x[found.hardest(25)]``.
    captions : sequence of str, optional
        One a sample.
    shape : (height, width), optional
        Of flat samples; by default they are square.

    Raises
    ------
    ValueError
        If the samples make no such images, or have another number of captions.
    MissingExtraError
        matplotlib is not installed.

    Examples
    --------
    >>> ax = sample_images(np.eye(3, 4), ["one", "two", "three"])
    >>> [text.get_text() for text in ax.texts]
    ['one', 'two', 'three']
    """
    images = np.asarray(x, np.float64)
    if images.ndim not in (2, 3) or images.size == 0:
        raise ValueError(f"x: got shape {images.shape}, expected (n, n_in) or (n, height, width)")
    if images.ndim == 2:
        images = images.reshape(-1, *_image_shape("x", images.shape[1], shape))
    texts = [""] * len(images) if captions is None else list(captions)
    if len(texts) != len(images):
        raise ValueError(f"captions: got {len(texts)}, expected {len(images)}, one a sample")
    low, high = images.min(axis=(1, 2), keepdims=True), images.max(axis=(1, 2), keepdims=True)
    tiles, corners = _montage((images - low) / np.where(high > low, high - low, 1.0))
    ax = axes_for(ax, 6.4, 6.4)
    ax.imshow(tiles, cmap="gray_r", interpolation="nearest", vmin=0.0, vmax=1.0)
    _write_captions(ax, corners, texts)
    return ax


def _image_shape(argument: str, n: int, shape: tuple[int, int] | None) -> tuple[int, int]:
    """The height and width of an image of n pixels: ``shape`` if it fits, else a square."""
    side = math.isqrt(n)
    if shape is None and side * side != n:
        raise ValueError(f"{argument}: got {n} inputs, which make no square image; give shape=(height, width)")
    size = (side, side) if shape is None else shape
    if np.shape(size) != (2,) or min(size) < 1 or math.prod(size) != n:
        raise ValueError(f"shape: got {shape}, expected a height and a width whose product is {n}")
    return size


def _montage(images: np.ndarray) -> tuple[np.ndarray, list[tuple[float, float]]]:
    """Put images side by side, with room above each: one array, NaN between them, and each one's upper left corner."""
    n, height, width = images.shape
    columns = math.ceil(math.sqrt(n * height / width))
    down, right = height + max(2, height // 4), width + max(1, width // 10)
    tiles = np.full((-(-n // columns) * down, min(n, columns) * right), np.nan)
    corners = []
    for index, image in enumerate(images):
        y, x = index // columns * down + down - height, index % columns * right
        tiles[y : y + height, x : x + width] = image
        corners.append((x - 0.5, y - 0.5))
    return tiles, corners


def _write_captions(ax: Axes, corners: Sequence[tuple[float, float]], captions: Sequence[str]) -> None:
    """Put a line above each image, and no axis around them."""
    for (x, y), caption in zip(corners, captions, strict=True):
        ax.text(x, y - 0.4, caption, fontsize="small", color="#404040", va="bottom", parse_math=False)
    ax.set_axis_off()
