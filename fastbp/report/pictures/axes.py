"""What all pictures have in common: where they are drawn, and in which colours."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from fastbp.errors import MissingExtraError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Blue for more, red for less, as in chapter 3's pictures; colour-blind eyes tell these two apart, and white is zero.
SIGNED, UP, DOWN = "RdBu", "#2166ac", "#b2182b"
# Colours for lines, from Okabe and Ito (2008), the dark ones first: https://jfly.uni-koeln.de/color/
LINES = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
QUIET = "#767676"  # for what should be there without being looked at; dark enough to be read on white


def axes_for(ax: Axes | None, width: float, height: float) -> Axes:
    """``ax``, or new axes in a figure of so many inches.

    Raises
    ------
    MissingExtraError
        matplotlib is not installed.

    Examples
    --------
    >>> axes_for(None, 4.0, 3.0).figure.get_size_inches().tolist()
    [4.0, 3.0]
    """
    if ax is not None:
        return ax
    try:
        from matplotlib import pyplot
    except ImportError as error:
        raise MissingExtraError("matplotlib", "examples", "drawing a picture") from error
    new: Axes = pyplot.subplots(figsize=(width, height), layout="constrained")[1]
    return new


def plain(ax: Axes, grid: Literal["x", "y", "both"] | None = None) -> Axes:
    """Take off what tells nothing, and put a quiet grid behind the rest: along "x", "y" or "both"."""
    ax.spines[["top", "right"]].set_visible(False)
    ax.spines[["left", "bottom"]].set_color(QUIET)
    if grid is not None:
        ax.grid(axis=grid, color="#e0e0e0", linewidth=0.8)
    ax.set_axisbelow(True)
    return ax


def signed(ax: Axes, values: np.ndarray, label: str) -> None:
    """Draw a matrix whose sign matters, with a bar: white is zero, and blue and red reach equally far."""
    image = ax.imshow(values, cmap=SIGNED, interpolation="nearest", **symmetric(values))
    bar = ax.figure.colorbar(image, ax=ax, shrink=0.7, aspect=25, pad=0.02)
    bar.set_label(label)
    bar.outline.set_visible(False)


def symmetric(values: np.ndarray) -> dict[str, Any]:
    """Limits for ``imshow`` with zero in the middle; NaN does not count.

    Examples
    --------
    >>> symmetric(np.array([1.0, -3.0, np.nan]))
    {'vmin': -3.0, 'vmax': 3.0}
    """
    most = float(np.nanmax(np.abs(values), initial=0.0)) or 1.0
    return {"vmin": -most, "vmax": most}


def whole_ticks(ax: Axes, axis: Literal["x", "y"], names: Sequence[str] | None = None) -> None:
    """Ticks at whole numbers along "x" or "y", with names if there are any, and no marks."""
    from matplotlib.ticker import MaxNLocator

    line = {"x": ax.xaxis, "y": ax.yaxis}[axis]
    if names is None:
        line.set_major_locator(MaxNLocator(nbins=20, integer=True))
    else:
        line.set_ticks(range(len(names)), names)
    ax.tick_params(axis=axis, length=0)
