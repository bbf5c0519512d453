"""fastbp beside what a user would pick instead: NumPy, PyTorch, JAX and scikit-learn, on the same work.

    pip install -e ".[bench]"
    python scripts/compare_peers.py                                    # some cells, a few minutes
    python scripts/compare_peers.py --cells 784-16-16-10/100           # one cell, under a minute
    python scripts/compare_peers.py --cells all --out runs/peers       # the grid; JSON, Markdown, charts
    python scripts/compare_peers.py --list                             # the cells there are

Every peer runs in a process of its own, bound to as many CPUs as it may use. Before the clock starts, each trains from
the same initial weights on the same batches, and whoever ends elsewhere is reported and not timed. Then each takes its
turn right after fastbp, round after round; the table shows medians. How each peer is set up, and what other settings
cost, stands in its file in ``scripts/peers/``.
"""

from __future__ import annotations

import argparse
import os
import shlex
import sys
import tempfile
import textwrap
import time
from pathlib import Path
from typing import Any

from peers.cells import DEFAULT, Cell, grid, select
from peers.machine import describe, limits
from peers.measure import measure, workers
from peers.report import FAIRNESS, summary, table, write
from peers.work import save_mnist
from peers.worker import PEERS


def arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Compare fastbp with its peers.", epilog="See the head of this file.")
    peers = [name for name in PEERS if name not in ("fastbp", "torch-compile")]
    parser.add_argument("--cells", nargs="+", default=list(DEFAULT), metavar="CELL", help="names, globs, or all")
    parser.add_argument("--peers", nargs="+", default=peers, choices=[*peers, "torch-compile"], help="with whom")
    parser.add_argument("--compile", action="store_true", help="torch.compile too: needs a C++ compiler, and time")
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2], help="how many CPUs, one or more numbers")
    parser.add_argument("--rounds", type=int, default=5, help="turns of each peer; the median counts")
    parser.add_argument("--seconds", type=float, default=0.6, help="an epoch of a slow peer, about: sets n")
    parser.add_argument("--out", type=Path, metavar="DIR", help="write peers.json, peers.md and charts there")
    parser.add_argument("--list", action="store_true", help="list the cells and leave")
    options = parser.parse_args(argv)
    try:
        options.cells = select(["all"] if options.list else options.cells, grid(options.seconds))
    except ValueError as error:
        parser.error(str(error))
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if min(options.threads) < 1 or max(options.threads) > cpus:
        parser.error(f"--threads: {options.threads}, but this process may use 1 to {cpus} CPUs")
    if options.rounds < 1:
        parser.error(f"--rounds: at least 1, not {options.rounds}")
    if options.compile and "torch-compile" not in options.peers:
        options.peers.append("torch-compile")
    return options


def say(text: str) -> None:
    """Progress and notes, on stderr."""
    print(text, file=sys.stderr, flush=True)


def compare(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Time every cell; everything that the reports need."""
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    if load > 0.5:
        say(f"other processes keep {load:.1f} CPUs busy: with two threads, times may then be many times too long")
    try:
        data = save_mnist(folder)
    except ImportError as error:
        raise SystemExit(f'fastbp, or what it needs, is not installed ({error}): pip install -e ".[bench]"') from error
    results: dict[str, Any] = {
        "command": shlex.join(["python", *sys.argv]),
        "date": time.strftime("%Y-%m-%d"),
        "machine": describe(),
        "data": data,
        "cells": {},
    }
    with workers(["fastbp", *options.peers], options.threads, folder, say) as team:
        results["peers"] = {worker.name: worker.hello["version"] for worker in team}
        say(", ".join(f"{name} {found}" for name, found in results["peers"].items()))
        for k, cell in enumerate(options.cells, 1):
            start = time.perf_counter()
            try:
                record = measure(cell, team, options.rounds, say)
            except KeyboardInterrupt:
                say(f"stopped in cell {k} of {len(options.cells)}: the report covers those before it")
                break
            results["cells"][cell.name] = {"n": cell.n, "repeats": cell.repeats, **record}
            say(f"{k} of {len(options.cells)}: {cell.name}, {time.perf_counter() - start:.0f} s")
    return results


def main() -> None:
    """Compare, print, write."""
    options = arguments()
    if options.list:
        for cell in options.cells:
            print(f"{cell.name:<20}{cell.n:>7} samples, batch {cell.batch:>5}, {cell.optimizer:<4} {cell.task}")
        return
    with tempfile.TemporaryDirectory() as folder:
        results = compare(options, Path(folder))
    print(f"{results['machine']}\n{table(results)}\n{summary(results)}\n")
    print("\n".join(textwrap.fill(note, 79, initial_indent="* ", subsequent_indent="  ") for note in FAIRNESS))
    if options.out:
        results["limits"] = {str(threads): limits(threads) for threads in options.threads}
        cells: dict[str, Cell] = {cell.name: cell for cell in options.cells}
        for path in write(results, cells, options.out):
            say(f"wrote {path}")


if __name__ == "__main__":
    main()
