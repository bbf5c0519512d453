"""The history of what is tracked, from asv's results in this repository: a table, or a chart.

    asv run --bench track_ HEAD^!                                # adds a commit; see README.md
    python history.py                                            # the latest commits, as many as fit
    python history.py --chart ../docs/images/tracked.svg

Only what one machine measured, with one version of Python, numba and NumPy, stands side by side. What an older version
of a benchmark measured is left out, as asv does too.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).resolve().parent / ".asv" / "results"
NAME, COLUMN = 35, 9  # characters of a table's first column, and of the others
TICKS = 6  # commits named below a picture
# What asv calls a number: what it is called here, and its factor and power. Less is better to asv, more to people.
SHOWN_AS = {
    "track_time_over_numpy": ("times as fast as NumPy, one thread", 1.0, -1),
    "track_two_threads_over_one": ("times as fast on two threads as on one", 1.0, -1),
    "track_time_over_fma_limit": ("share of the FMA peak, one thread", 1.0, -1),
    "track_peak_memory": ("peak memory, MB", 1e-6, 1),
}


@dataclass
class Series:
    """What one machine measured with one version of each package.

    Attributes
    ----------
    title : str
        The machine and the versions.
    commits : list of (str, str)
        Hash and date of each, in order.
    lines : dict of dict of list
        By benchmark, then by its parameters ("" where it has none): a number for each commit, None where there is none.
    """

    title: str
    commits: list[tuple[str, str]]
    lines: dict[str, dict[str, list[float | None]]]


def labels(params: list[list[str]]) -> list[str]:
    """One label for each combination of parameters, in asv's order.

    >>> labels([["'SGD'", "'Adam'"], ["1", "2"]])
    ['SGD 1', 'SGD 2', 'Adam 1', 'Adam 2']
    >>> labels([])
    ['']
    """
    return [" ".join(value.strip("'") for value in values) for values in product(*params)]


def shown_as(benchmark: dict[str, Any]) -> tuple[str, float, int]:
    """What a benchmark's numbers are called, and the factor and power that they are shown with.

    >>> shown_as({"name": "processes.Process.track_import", "unit": "seconds"})
    ('import, seconds', 1.0, 1)
    """
    name = benchmark["name"].rpartition(".")[2]
    words = name.removeprefix("track_").replace("_", " ")
    return SHOWN_AS.get(name, (f"{words}, {benchmark['unit']}", 1.0, 1))


def values(benchmark: dict[str, Any], commit: dict[str, Any]) -> dict[str, float | None]:
    """A commit's number for every label: None where it failed, was not run, or ran in another version or on others."""
    numbers, params, version = (commit["results"].get(benchmark["name"]) or [None, [], None])[:3]
    if numbers is None or version != benchmark["version"]:
        numbers, params = [], [[]]
    _, factor, power = shown_as(benchmark)
    found = {label: factor * number**power for label, number in zip(labels(params), numbers, strict=True) if number}
    return {label: found.get(label) for label in labels(benchmark["params"])}


def read(path: Path) -> Any:
    """What a file of asv's holds, None for its NaN: what was not run; ValueError names it where that is not JSON."""
    try:
        return json.loads(path.read_text(encoding="utf-8"), parse_constant=lambda nan: None)
    except ValueError as error:
        raise ValueError(f"{path}: not JSON ({error})") from error


def series(title: str, commits: list[dict[str, Any]], tracked: list[dict[str, Any]]) -> Series:
    """The numbers of some commits, by benchmark and label."""
    lines: dict[str, dict[str, list[float | None]]] = {}
    for benchmark in tracked:
        columns = [values(benchmark, commit) for commit in commits]
        lines[shown_as(benchmark)[0]] = {label: [column[label] for column in columns] for label in columns[0]}
    days = [time.strftime("%y-%m-%d", time.gmtime(commit["date"] / 1e3)) for commit in commits]
    return Series(title, [(commit["commit_hash"][:8], day) for commit, day in zip(commits, days, strict=True)], lines)


def history(results: Path) -> list[Series]:
    """Everything that is tracked, the series with the latest commit last; ValueError where there is nothing."""
    files = [path for path in results.glob("*/*.json") if path.name != "machine.json"]
    known = read(results / "benchmarks.json")
    tracked = [entry for entry in known.values() if isinstance(entry, dict) and entry["type"] == "track"]
    tracked.sort(key=lambda entry: not entry["params"])  # what has one number only comes last
    groups: dict[str, list[dict[str, Any]]] = {}
    for commit in sorted(map(read, files), key=lambda commit: commit["date"]):
        if all(number is None for entry in tracked for number in values(entry, commit).values()):
            continue  # asv keeps what else it ran, too
        about = commit["params"]
        versions = ", ".join(f"{name} {about.get(name, '?')}" for name in ("python", "numba", "numpy"))
        groups.setdefault(f"{about['machine']}: {about.get('cpu', '?')}; {versions}", []).append(commit)
    if not groups:
        raise ValueError(f"no results in {results}: asv run --bench track_ HEAD^!")
    latest_last = sorted(groups.items(), key=lambda item: item[1][-1]["date"])
    return [series(title, commits, tracked) for title, commits in latest_last]


def table(found: Series, width: int) -> Iterator[str]:
    """A line for each value, a column for each of the latest commits, as many as fit."""
    last = max(1, (width - NAME) // COLUMN)
    yield found.title
    for row in zip(*found.commits[-last:], strict=True):
        yield " " * NAME + "".join(f"{word:>{COLUMN}}" for word in row)
    for benchmark, lines in found.lines.items():
        if "" not in lines:
            yield benchmark
        for label, numbers in lines.items():
            cells = ("-" if number is None else f"{number:.3g}" for number in numbers[-last:])
            yield f"{'  ' + label if label else benchmark:<{NAME}}" + "".join(f"{cell:>{COLUMN}}" for cell in cells)


def chart(found: Series, path: Path) -> None:
    """A picture for each benchmark, a line for each of its parameters, commits from left to right."""
    import matplotlib

    matplotlib.use("Agg")
    small = {"svg.fonttype": "none", "font.sans-serif": ["DejaVu Sans"]}  # text as text, and no list of other fonts
    matplotlib.rcParams.update(small | {"svg.hashsalt": "fastbp", "font.size": 7})
    import matplotlib.pyplot as plt
    from matplotlib.lines import Line2D
    from matplotlib.ticker import LogLocator, NullLocator

    labelled = {label for lines in found.lines.values() for label in lines if label}
    names = sorted(labelled, key=lambda label: [int(number) for number in re.findall(r"\d+", label)])
    colours = {name: plt.get_cmap("tab10")(k % 10) for k, name in enumerate(names)}
    rows = -(-(len(found.lines) + 1) // 4)
    figure, grid = plt.subplots(rows, 4, figsize=(10, 2.5 * rows), layout="constrained", squeeze=False)
    for axes, (benchmark, lines) in zip(grid.flat, found.lines.items(), strict=False):
        for label, numbers in lines.items():
            heights = [float("nan") if number is None else number for number in numbers]
            axes.plot(heights, "o-", color=colours.get(label, "black"), markersize=3, linewidth=1)
        axes.set_title(benchmark, fontsize=8)
        axes.spines[["top", "right"]].set_visible(False)
        ticks = range(0, len(found.commits), -(-len(found.commits) // TICKS))
        axes.set_xticks(list(ticks), [found.commits[k][0] for k in ticks], rotation=30, ha="right")
        if "NumPy" in benchmark:
            axes.set_yscale("log")
            axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axes.yaxis.set_major_formatter("{x:g}")
            axes.yaxis.set_minor_locator(NullLocator())
        else:
            axes.set_ylim(0, 1.1 * axes.get_ylim()[1])
    for axes in grid.flat[len(found.lines) :]:
        axes.axis("off")
    handles = [Line2D([], [], color=colours[name], marker="o", markersize=3, label=name) for name in names]
    grid.flat[-1].legend(handles=handles, frameon=False, loc="center left", title="layers / batch size")
    first, last = found.commits[0][1], found.commits[-1][1]
    figure.suptitle(f"{found.title}; commits of 20{first} to 20{last}", fontsize=8)
    unfinished = path.with_name(path.name + ".unfinished")
    try:
        figure.savefig(unfinished, format="svg", metadata={"Date": None})
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)
        plt.close(figure)


def main(argv: list[str] | None = None) -> int:
    """Print the tables, or draw the latest series; the exit status."""
    parser = argparse.ArgumentParser(description="What is tracked, over time.", epilog="See this file's head.")
    parser.add_argument("--chart", type=Path, metavar="FILE", help="draw the series with the latest commit, as SVG")
    parser.add_argument("--results", type=Path, default=RESULTS, metavar="DIR", help="asv's results (.asv/results)")
    options = parser.parse_args(argv)
    try:
        every = history(options.results)
        if options.chart:
            chart(every[-1], options.chart)
        else:
            width = shutil.get_terminal_size().columns
            print("\n\n".join("\n".join(table(found, width)) for found in every))
    except (OSError, ValueError, ImportError) as error:
        print(f"history.py: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
