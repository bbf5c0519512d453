"""What one sample wants: of the activations, of a layer's weights, and of which of them most."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from fastbp.explain import Explanation
from fastbp.scalars import count

from .axes import DOWN, SIGNED, UP, axes_for, plain, signed, symmetric, whole_ticks

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LONGEST = 0.3  # of the range of activations: the longest arrow of a hidden layer


def unit_nudges(e: Explanation, layer: int = -1, names: Sequence[str] | None = None, ax: Axes | None = None) -> Axes:
    """A layer's activations, and which way one sample would move each of them.

    At the output the arrows end at the targets. In other layers they are -dC/da, to scale with one another: how much
    it would help, for little, to have more of this activation.

    Parameters
    ----------
    e : Explanation
    layer : int
        As in ``e.a``: 0 is the input, -1 the output.
    names : sequence of str, optional
        Of the units; by default their numbers.

    Raises
    ------
    TypeError, ValueError
        If there is no such layer, or there are more or fewer names than units.
    MissingExtraError
        matplotlib is not installed.

    Examples
    --------
    >>> from fastbp import Dense, Network, explain
    >>> net = Network(4, [Dense(3, "tanh"), Dense(2, "softmax")])
    >>> e = explain(net, [0.1, 0.9, 0.2, 0.3], 1)
    >>> unit_nudges(e, names=["cat", "dog"]).get_ylabel()
    'activation, and target'
    """
    n = len(e.a)
    if count("layer", layer, -n) >= n:
        raise ValueError(f"layer: got {layer}, expected 0 to {n - 1}")
    at = layer % n
    a = e.a[at]
    if names is not None and len(names) != len(a):
        raise ValueError(f"names: got {len(names)}, expected {len(a)}, one a unit")
    is_output = at == n - 1
    nudges = e.output_nudges if is_output else _to_scale(e.activation_nudges[at], a)
    ax = plain(axes_for(ax, max(4.0, 1.2 + 0.42 * min(len(a), 30)), 3.6), "y")
    units = np.arange(len(a))
    visible = 0.02 * max(float(np.ptp([a, a + nudges])), 1e-30)  # what is less would be all tip and no arrow
    for wanted, colour, tip in ((nudges > visible, UP, "^"), (nudges < -visible, DOWN, "v")):
        ax.vlines(units[wanted], a[wanted], (a + nudges)[wanted], colors=colour, linewidth=3, alpha=0.85)
        ax.plot(units[wanted], (a + nudges)[wanted], tip, color=colour, markersize=7)
    ax.plot(units, a, "o", color="white", markeredgecolor="black", markersize=7, label="activation")
    ax.set(xlabel="output" if is_output else f"unit of a[{at}]", xlim=(-0.6, len(a) - 0.4))
    ax.set_ylabel("activation, and target" if is_output else "activation, and its nudge (to scale)")
    whole_ticks(ax, "x", names)
    return ax


def weight_nudges(e: Explanation, layer: int, ax: Axes | None = None) -> Axes:
    """One sample's nudges of a layer's weights, beside the two things that they are the product of.

    Left of each row is the activation that it comes from; above each column is how much more of that unit's z is
    wanted, -delta, which is the nudge of its bias too. A weight's nudge is the one times the other.

    Parameters
    ----------
    e : Explanation
    layer : int
        As in ``e.hebbian``. For a first layer that looks at an image, see ``weight_images``.

    Raises
    ------
    TypeError, ValueError
        If there is no such layer.
    MissingExtraError
        matplotlib is not installed.

    Examples
    --------
    >>> from fastbp import Dense, Network, explain
    >>> net = Network(4, [Dense(3, "tanh"), Dense(2, "softmax")])
    >>> weight_nudges(explain(net, [0.1, 0.9, 0.2, 0.3], 1), 1).get_xlabel()
    'to unit'
    """
    h = e.hebbian(layer)
    n_in, n_out = e.weight_nudges[layer].shape
    ax = axes_for(ax, 2.8 + 0.3 * min(n_out, 30), 1.8 + 0.3 * min(n_in, 30))
    signed(ax, e.weight_nudges[layer], "nudge of the weight,  $-\\partial C/\\partial W$")
    ax.set(xlabel="to unit", yticks=[])
    ax.set_aspect("auto")
    whole_ticks(ax, "x")
    before = ax.inset_axes((-1.0 / n_out, 0, 0.7 / n_out, 1))
    above = ax.inset_axes((0, 1 + 0.3 / n_in, 1, 0.7 / n_in))
    colours = {"cmap": SIGNED, **symmetric(h.activation)} if h.activation.min() < 0 else {"cmap": "gray_r", "vmin": 0}
    before.imshow(h.activation[:, np.newaxis], aspect="auto", **colours)
    above.imshow(h.wanted[np.newaxis], aspect="auto", cmap=SIGNED, **symmetric(h.wanted))
    before.set(xlabel="$a$", ylabel="from unit", xticks=[])
    above.set(xticks=[], yticks=[])
    above.set_ylabel(r"$-\delta$", rotation=0, ha="right", va="center")
    whole_ticks(before, "y")
    for strip in (before, above):
        strip.spines[:].set_color("#c0c0c0")
    ax.spines[:].set_visible(False)
    return ax


def most_sensitive(e: Explanation, k: int = 10, ax: Axes | None = None) -> Axes:
    """The k parameters that one sample's cost depends on most, and how many times more than on the median one.

    Parameters
    ----------
    e : Explanation
    k : int

    Raises
    ------
    TypeError, ValueError
        If k is not a whole number of 1 or more.
    MissingExtraError
        matplotlib is not installed.

    Examples
    --------
    >>> from fastbp import Dense, Network, explain
    >>> net = Network(4, [Dense(3, "tanh"), Dense(2, "softmax")])
    >>> ax = most_sensitive(explain(net, [0.1, 0.9, 0.2, 0.3], 1), 3)
    >>> len(ax.get_yticklabels())
    3
    """
    top = e.most_sensitive(k)
    ax = plain(axes_for(ax, 6.0, 1.2 + 0.3 * len(top)), "x")
    places = np.arange(len(top))
    times = np.array([p.times_median for p in top])
    ax.barh(places, times, height=0.62, color=[UP if p.nudge > 0 else DOWN for p in top])
    for place, p in zip(places, top, strict=True):
        text = f"{p.times_median:,.0f}" if p.times_median >= 100 else f"{p.times_median:.3g}"
        ax.annotate(text, (p.times_median, place), (4, 0), textcoords="offset points", va="center", fontsize="small")
    ax.invert_yaxis()
    whole_ticks(ax, "y", [f"layer {p.layer}: " + ("bias" if p.is_bias else f"{p.row}") + f" → {p.column}" for p in top])
    ax.set_xlabel("times as sensitive as the median parameter\n(blue wants up, red wants down)")
    ax.spines["left"].set_visible(False)
    ax.set_xlim(0, max(float(times.max()), 1e-9) * 1.12)
    return ax


def _to_scale(nudges: np.ndarray, a: np.ndarray) -> np.ndarray:
    """Nudges as lengths beside the activations a: the longest a part of their range."""
    longest = float(np.abs(nudges).max()) or 1.0
    return nudges / longest * LONGEST * (float(np.ptp(a)) or 1.0)
