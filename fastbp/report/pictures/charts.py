"""What many samples show: curves over the epochs, how long gradients are, how far they agree, which are mistaken."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from fastbp.errors import unknown_name
from fastbp.forensics import SampleForensics, layer_norms
from fastbp.gradient_log import GradientLog
from fastbp.history import History

from .axes import DOWN, LINES, QUIET, UP, axes_for, plain, whole_ticks

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def curve(history: History, quantity: str = "cost", ax: Axes | None = None) -> Axes:
    """Cost or accuracy against the epoch, for training and, where there is one, validation.

    Parameters
    ----------
    history : History
        What ``Trainer.fit`` returned.
    quantity : str
        "cost" or "accuracy".

    Raises
    ------
    ValueError
        If the quantity is another one.
    MissingExtraError
        matplotlib is not installed.

    Examples
    --------
    >>> from fastbp import History
    >>> curve(History(cost=[0.5, 0.2])).get_title()
    'cost'
    """
    if quantity not in ("cost", "accuracy"):
        raise unknown_name("quantity", quantity, ("cost", "accuracy"))
    ax = plain(axes_for(ax, 5.0, 3.5), "both")
    curves = {"training": getattr(history, quantity), "validation": getattr(history, f"validation_{quantity}")}
    for (label, values), colour in zip(curves.items(), LINES, strict=False):
        if values:
            ax.plot(range(1, len(values) + 1), values, marker=".", color=colour, label=label)
    ax.set(title=quantity, xlabel="epoch")
    whole_ticks(ax, "x")
    if ax.lines:
        ax.legend(frameon=False)
    return ax


def gradient_norms(log: GradientLog, ax: Axes | None = None) -> Axes:
    """How long each layer's gradient is, epoch by epoch.

    Parameters
    ----------
    log : GradientLog
        After training with it as a callback.

    Raises
    ------
    MissingExtraError
        matplotlib is not installed.

    Examples
    --------
    >>> from fastbp import Dense, Network, Trainer
    >>> net = Network(2, [Dense(4, "tanh"), Dense(2, "softmax")])
    >>> x, y = [[0.0, 1.0], [1.0, 0.0]], [0, 1]
    >>> log = GradientLog(net, x, y)
    >>> history = Trainer(net).fit(x, y, epochs=3, callbacks=[log])
    >>> len(gradient_norms(log).lines)
    2
    """
    ax = plain(axes_for(ax, 5.0, 3.5), "both")
    for layer, norms in enumerate(np.array(log.layer_norms).T):
        ax.semilogy(norms, marker=".", color=LINES[layer % len(LINES)], label=f"layer {layer}")
    ax.set(xlabel="epochs trained", ylabel="norm of the gradient")
    whole_ticks(ax, "x")
    ax.legend(frameon=False)
    return ax


def gradient_flow(found: SampleForensics, of: str = "gradient", ax: Axes | None = None) -> Axes:
    """How much of the samples' gradients reaches each layer: the middle half of the samples, and the middle 90 %.

    Parameters
    ----------
    found : SampleForensics
    of : str
        "gradient": the norm of dC/dW and dC/db, beside that of the samples' average gradient, where much of them has
        cancelled out. "delta": the norm of dC/dz, which knows nothing of how many weights a layer has.

    Raises
    ------
    ValueError
        If it is to be of something else.
    MissingExtraError
        matplotlib is not installed.

    Examples
    --------
    >>> from fastbp import Dense, Network
    >>> from fastbp.forensics import sample_forensics
    >>> net = Network(2, [Dense(4, "tanh"), Dense(2, "softmax")])
    >>> gradient_flow(sample_forensics(net, [[0.0, 1.0], [1.0, 0.0]], [0, 1])).get_xlabel()
    'layer'
    """
    rows = {"gradient": found.layer_norms, "delta": found.delta_norms}
    if of not in rows:
        raise unknown_name("of", of, rows)
    n_layers = rows[of].shape[1]
    ax = plain(axes_for(ax, 1.6 + 1.1 * n_layers, 3.8), "y")
    boxes = {"facecolor": "#d1e5f0", "edgecolor": UP}
    ax.boxplot(
        [norms[norms > 0] for norms in rows[of].T],  # a sample that a layer of relu is silent for has no place on a log
        positions=range(n_layers), widths=0.5, whis=(5, 95), showfliers=False, patch_artist=True, boxprops=boxes,
        medianprops={"color": UP, "linewidth": 2}, whiskerprops={"color": UP}, capprops={"color": UP},
    )  # fmt: skip
    if of == "gradient":
        ax.plot(layer_norms(found.gradient), "D", color=DOWN, label="the average gradient's")
        ax.legend(frameon=False)
    ax.set(yscale="log", xlabel="layer", ylabel=f"norm of each sample's {of}", xlim=(-0.6, n_layers - 0.4))
    whole_ticks(ax, "x", [str(layer) for layer in range(n_layers)])
    return ax


def agreement(cosines: ArrayLike, ax: Axes | None = None) -> Axes:
    """How far samples agree with their average: how many at each cosine, blue where a common step helps them.

    Parameters
    ----------
    cosines : array_like, (n,)
        Such as ``explain_batch(...).cosines`` or ``sample_forensics(...).cosines``.

    Raises
    ------
    ValueError
        If they are not numbers from -1 to 1.
    MissingExtraError
        matplotlib is not installed.

    Examples
    --------
    >>> agreement([0.2, 0.4, -0.1]).get_ylabel()
    'samples'
    """
    values = np.asarray(cosines, np.float64)
    if values.ndim != 1 or not len(values) or not np.all(np.abs(values) <= 1 + 1e-6):
        raise ValueError(f"cosines: got shape {values.shape}, expected (n,) numbers from -1 to 1")
    ax = plain(axes_for(ax, 5.5, 3.3), "y")
    edges = np.linspace(-1, 1, 41)
    counts, _ = np.histogram(values.clip(-1, 1), edges)
    ax.bar(edges[:-1], counts, width=0.046, align="edge", color=[DOWN] * 20 + [UP] * 20)
    ax.axvline(0, color=QUIET, linewidth=1)
    ax.set(xlabel="cosine of a sample's gradient to the average", ylabel="samples", xlim=(-1, 1))
    ax.set_title(f"{np.mean(values < 0):.0%} of the samples pull the other way", loc="left", fontsize="medium")
    return ax


def confusion(matrix: ArrayLike, names: Sequence[str] | None = None, ax: Axes | None = None) -> Axes:
    """What is taken for what: the mistakes shaded, by their share of their row; the right ones only counted.

    Parameters
    ----------
    matrix : array_like, (n_classes, n_classes)
        As ``confusion_matrix`` returns it.
    names : sequence of str, optional
        Of the classes; by default their numbers.

    Raises
    ------
    ValueError
        If the matrix is not square, or there are more or fewer names than classes.
    MissingExtraError
        matplotlib is not installed.

    Examples
    --------
    >>> ax = confusion([[9, 1], [0, 8]], ["cat", "dog"])
    >>> [text.get_text() for text in ax.texts]
    ['9', '1', '8']
    """
    counts = np.asarray(matrix)
    n = len(counts) if counts.ndim else 0
    if counts.shape != (n, n) or n == 0:
        raise ValueError(f"matrix: got shape {counts.shape}, expected (n_classes, n_classes)")
    labels = [str(i) for i in range(n)] if names is None else list(names)
    if len(labels) != n:
        raise ValueError(f"names: got {len(labels)}, expected {n}, one a class")
    ax = axes_for(ax, 1.6 + 0.5 * n, 1.2 + 0.46 * n)
    mistakes = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    np.fill_diagonal(mistakes, 0.0)
    most = float(mistakes.max()) or 1.0
    ax.imshow(mistakes, cmap="Oranges", vmin=0.0, vmax=1.4 * most)  # so that black numbers stay readable
    for (row, column), number in np.ndenumerate(counts):
        if number:
            right = row == column
            ax.text(
                column, row, f"{number}", ha="center", va="center", fontsize="small", color=QUIET if right else "black"
            )
    ax.set(xlabel="the network says", ylabel="it is")
    whole_ticks(ax, "x", labels)
    whole_ticks(ax, "y", labels)
    ax.spines[:].set_color("#c0c0c0")
    return ax
