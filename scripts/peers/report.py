"""The comparison as a table for the terminal, as Markdown and as JSON."""

from __future__ import annotations

import json
import math
import statistics
from pathlib import Path
from typing import Any

from .cells import EXTRA, Cell
from .measure import best_of, ratios, split

NAMES = {
    "numpy": "NumPy",
    "torch": "PyTorch",
    "torch-compile": "torch.compile",
    "jax": "JAX",
    "sklearn": "scikit-learn",
}
FAIRNESS = (
    "Everyone has the same samples, initial weights, cost, batch size and float32, and at most the same number of CPUs,"
    " to which its process is bound; each result was compared before anything was timed.",
    "Favours fastbp: it gathers uint8 images inside its kernels, and may skip pixels that are zero; its data are real"
    " digits, 81 % zeros. JAX gathers uint8 inside its jit too, NumPy where that is faster for it; PyTorch and"
    " scikit-learn get images already converted to float32.",
    "Favours the peers: targets already one-hot, buffers and compiled functions kept from turn to turn, no checks of"
    " the arguments and no history, both of which fastbp's fit includes. Where fastbp is given T threads, the best peer"
    " is the best of those with up to T.",
    "scikit-learn trains squares through identity outputs only, so it takes part in linear-output, 4-32-16-4 and"
    " forward. OPENBLAS_CORETYPE and OPENBLAS_L2_SIZE are removed from every process: NumPy is faster without.",
)


def display(key: str) -> str:
    """``jax/2`` as the table says it.

    >>> display("jax/2")
    'JAX, 2'
    """
    name, threads = split(key)
    return f"{NAMES.get(name, name)}, {threads}"


def duration(seconds: float) -> str:
    """Three digits and a unit.

    >>> duration(0.0157), duration(9.8e-6), duration(2.331)
    ('15.7 ms', '9.80 us', '2.33 s')
    """
    unit, scale = next((u, s) for u, s in (("s", 1.0), ("ms", 1e-3), ("us", 1e-6)) if seconds >= s or u == "us")
    value = seconds / scale
    digits = max(0, 2 - int(math.log10(max(value, 1.0))))
    return f"{value:.{digits}f} {unit}"


def table(results: dict[str, Any]) -> str:
    """The ratios, 80 columns wide; where fastbp was not timed, the peers' times alone."""
    lines = [f"{'cell':<21}{'threads':>7}  {'fastbp':>9}  {'best peer':<16}{'time':>9}  {'ratio':>8}"]
    for name, record in results["cells"].items():
        rows = ratios(record)
        for row in rows:
            lines.append(
                f"{name:<21}{row['threads']:>7}  {duration(row['fastbp']):>9}  {display(row['best']):<16}"
                f"{duration(row['peer']):>9}  {row['ratio']:>8.2f}"
            )
        if not rows:
            for key, times in record["seconds"].items():
                time = duration(statistics.median(times))
                lines.append(f"{name:<21}{'':>7}  {'-':>9}  {display(key):<16}{time:>9}  {'-':>8}")
    return "\n".join(lines)


def summary(results: dict[str, Any]) -> str:
    """The geometric means, and the cells where two threads cost more than one."""
    by_threads: dict[int, list[float]] = {}
    slower = []
    for name, record in results["cells"].items():
        rows = ratios(record)
        for row in [] if name in EXTRA else rows:
            by_threads.setdefault(row["threads"], []).append(row["ratio"])
        if len(rows) > 1 and rows[-1]["fastbp"] > 1.05 * rows[0]["fastbp"]:
            slower.append(f"{name} ({rows[-1]['fastbp'] / rows[0]['fastbp']:.2f} times)")
    lines = []
    for threads, values in sorted(by_threads.items()):
        mean = statistics.geometric_mean(values)
        lines.append(f"geometric mean of {len(values)} cells, {threads} thread{'s' * (threads > 1)}: {mean:.2f}")
    if len(by_threads) > 1:
        lines.append(f"more than 5 % slower with more threads: {', '.join(slower) or 'none'}")
    return "\n".join(lines)


def markdown(results: dict[str, Any], cells: dict[str, Cell]) -> str:
    """Every peer's median and the ratio to the best, with the command, the machine and the versions."""
    peers = [name for name in results["peers"] if name != "fastbp"]
    versions = ", ".join(f"{name} {found}" for name, found in results["peers"].items())
    lines = [
        f"`{results['command']}`, {results['date']}",
        f"{results['machine']}; {versions}; {results['data']}.",
        "Times are of an epoch of 60,000 samples unless the cell says otherwise; behind a peer's time its threads.",
        "",
        "| cell | threads | fastbp | " + " | ".join(NAMES[peer] for peer in peers) + " | best peer : fastbp |",
        "|---|---|---|" + "---|" * (len(peers) + 1),
    ]
    for name, record in results["cells"].items():
        unit = cells[name].unit[0]
        what = name if unit == name or "epoch" in unit else f"{name}: {unit}"
        for row in ratios(record):
            bests = [best_of(record, peer, row["threads"]) for peer in peers]
            times = [f"{duration(best[0])} ({best[1]})" if best else "" for best in bests]
            entries = [what, str(row["threads"]), duration(row["fastbp"]), *times, f"{row['ratio']:.2f}"]
            lines.append(f"| {' | '.join(entries)} |")
    lines += ["", *summary(results).splitlines(), "", *[f"* {note}" for note in FAIRNESS]]
    for name, record in results["cells"].items():
        lines += [f"* {name}: {display(key)} left out: {why}" for key, why in record["left_out"].items()]
    return "\n".join(lines) + "\n"


def write(results: dict[str, Any], cells: dict[str, Cell], folder: Path) -> list[Path]:
    """Write peers.json, peers.md and, where matplotlib is installed, peers.png and roofline.png."""
    folder.mkdir(parents=True, exist_ok=True)
    written = [folder / "peers.json", folder / "peers.md"]
    written[0].write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    written[1].write_text(markdown(results, cells), encoding="utf-8")
    try:
        from . import chart
    except ImportError as error:
        print(f"no charts: {error}")
        return written
    return written + chart.draw(results, cells, folder)
