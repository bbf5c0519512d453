"""Two pictures of a comparison: how many times longer each peer takes, and where the cells stand under the roofline."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.ticker import LogLocator, NullLocator

from .cells import Cell
from .measure import best_of, ratios
from .report import NAMES

COLOURS = {"numpy": "#4C78A8", "torch": "#E45756", "torch-compile": "#F2A48F", "jax": "#54A24B", "sklearn": "#B279A2"}


def draw(results: dict[str, Any], cells: dict[str, Cell], folder: Path) -> list[Path]:
    """Write peers.png and roofline.png; a picture without anything to show is left out."""
    written = []
    for name, picture in (("peers.png", bars), ("roofline.png", roofline)):
        figure = picture(results, cells)
        if figure is not None:
            figure.savefig(folder / name, dpi=130, bbox_inches="tight")
            plt.close(figure)
            written.append(folder / name)
    return written


def bars(results: dict[str, Any], cells: dict[str, Cell]) -> Any:
    """Each peer's time over fastbp's, log scale, with the most threads measured."""
    names = [name for name, record in results["cells"].items() if ratios(record)]
    peers = [peer for peer in results["peers"] if peer != "fastbp"]
    if not names:
        return None
    figure, axes = plt.subplots(figsize=(8, 1.2 + len(names) * (0.25 + 0.13 * len(peers))))
    height = 0.8 / len(peers)
    for place, name in enumerate(names):
        record = results["cells"][name]
        row = ratios(record)[-1]
        for k, peer in enumerate(peers):
            best = best_of(record, peer, row["threads"])
            if best:
                ratio, y = best[0] / row["fastbp"], place + (k - (len(peers) - 1) / 2) * height
                axes.barh(y, ratio - 1, height * 0.9, left=1, color=COLOURS[peer], label=NAMES[peer])
                side = {"xytext": (3, 0), "ha": "left"} if ratio >= 1 else {"xytext": (-3, 0), "ha": "right"}
                axes.annotate(f"{ratio:.3g}", (ratio, y), textcoords="offset points", va="center", fontsize=6.5, **side)
    axes.axvline(1, color="black", linewidth=1)
    axes.set(xscale="log", yticks=range(len(names)), yticklabels=names, xlabel="time over fastbp's (1 = as fast)")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_locator(NullLocator())
    axes.invert_yaxis()
    axes.margins(x=0.08, y=0.01)
    axes.spines[["top", "right"]].set_visible(False)
    handles, labels = axes.get_legend_handles_labels()
    unique = dict(zip(labels, handles, strict=True))
    place_above: Any = {"loc": "lower left", "bbox_to_anchor": (0, 1)}
    axes.legend(list(unique.values()), list(unique), frameon=False, ncols=len(unique), **place_above)
    return figure


def roofline(results: dict[str, Any], cells: dict[str, Cell]) -> Any:
    """Achieved GFLOP/s against operations a byte that moves; fastbp filled, its best peer open.

    The roofs are those of memory and of multiply-adds. Who keeps parameters in a cache, or skips zeros, which count as
    operations, stands above them.
    """
    limits = results.get("limits", {})
    rows = [(name, row) for name, record in results["cells"].items() for row in ratios(record)[-1:]]
    if not rows or not limits:
        return None
    figure, axes = plt.subplots(figsize=(8, 5))
    low, high = 0.1, 2000.0
    for threads, limit in limits.items():
        knee = limit["gflops"] / limit["gbytes"]
        roof = [low * limit["gbytes"], limit["gflops"], limit["gflops"]]
        axes.plot([low, knee, high], roof, "-", color="grey", linewidth=1)
        label = (
            f"{threads} thread{'s' * (int(threads) > 1)}:\n{limit['gflops']:.0f} GFLOP/s\n{limit['gbytes']:.0f} GB/s"
        )
        axes.annotate(label, (high, limit["gflops"]), (4, 0), textcoords="offset points", va="center", fontsize=7)
    points, labels = [], []
    for name, row in rows:
        cell = cells[name]
        x, work = cell.flops / cell.bytes, 1e-9 * cell.flops * cell.n * cell.unit[1]
        points.append((work / row["fastbp"], work / row["peer"], x, name))
    for ours, theirs, x, name in sorted(points, reverse=True):
        axes.plot([x, x], [theirs, ours], "-", color="#4C78A8", alpha=0.4, linewidth=1)
        axes.plot(x, ours, "o", color="#4C78A8", markersize=5)
        axes.plot(x, theirs, "o", markerfacecolor="white", markeredgecolor="#E45756", markersize=5)
        y = ours
        while any(abs(math.log10(x / a)) < 1 and abs(math.log10(y / b)) < 0.045 for a, b in labels):
            y *= 0.97  # below the labels that are in its way
        labels.append((x, y))
        axes.text(1.1 * x, y, name, fontsize=6)
    axes.set(xscale="log", yscale="log", xlim=(low, high), ylabel="GFLOP/s")
    axes.set_xlabel("operations, zeros counted, a byte of input and of parameters, each mini-batch")
    axes.plot([], [], "o", color="#4C78A8", label="fastbp")
    axes.plot([], [], "o", markerfacecolor="white", markeredgecolor="#E45756", label="best peer")
    axes.legend(frameon=False, loc="lower right")
    axes.spines[["top", "right"]].set_visible(False)
    return figure
