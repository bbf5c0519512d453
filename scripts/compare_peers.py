"""fastbp beside what a user would pick instead: NumPy, PyTorch, JAX and scikit-learn, on the same work.

    pip install -e ".[bench]"
    python scripts/compare_peers.py                                    # some cells, a few minutes
    python scripts/compare_peers.py --cells 784-16-16-10/100           # one cell, under a minute
    python scripts/compare_peers.py --cells all --out runs/peers       # the grid; JSON, Markdown, charts
    python scripts/compare_peers.py --list                             # the cells there are

Every peer runs in a process of its own, bound to as many CPUs as it may use. Before the clock starts, each trains from
the same initial weights on the same batches, and whoever ends elsewhere is reported and not timed; so is who then goes
another distance on shuffled ones. Then each takes its turn right after fastbp, round after round; the table shows
medians. How each peer is set up, and what other settings cost, stands in its file in ``scripts/peers/``.
"""

from __future__ import annotations

import argparse
import math
import os
import shlex
import signal
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
from peers.worker import PEERS, cpus


def arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Compare fastbp with its peers.", epilog="See the head of this file.")
    peers = [name for name in PEERS if name != "fastbp"]
    usual = [name for name in peers if name != "torch-compile"]
    parser.add_argument("--cells", nargs="+", default=list(DEFAULT), metavar="CELL", help="names, globs, or all")
    about = f"of {', '.join(peers)}; all, but torch-compile, which needs a C++ compiler, and time"
    parser.add_argument("--peers", nargs="+", default=usual, choices=peers, metavar="PEER", help=about)
    threads = [1, min(2, cpus())]
    parser.add_argument("--threads", nargs="+", type=int, default=threads, metavar="N", help="how many CPUs (1 2)")
    parser.add_argument("--rounds", type=int, default=5, help="turns of each peer; the median counts (5)")
    parser.add_argument("--seconds", type=float, default=0.6, help="an epoch of a slow peer, about: sets n (0.6)")
    parser.add_argument("--out", type=Path, metavar="DIR", help="write peers.json, peers.md and charts there")
    parser.add_argument("--list", action="store_true", help="list the cells and leave")
    options = parser.parse_args(argv)
    if not 0 < options.seconds < math.inf:
        parser.error(f"--seconds: more than 0, not {options.seconds}")
    try:
        options.cells = select(["all"] if options.list else options.cells, grid(options.seconds))
    except ValueError as error:
        parser.error(str(error))
    if min(options.threads) < 1 or max(options.threads) > cpus():
        parser.error(f"--threads: {options.threads}, but this process may use 1 to {cpus()} CPUs")
    if options.rounds < 1:
        parser.error(f"--rounds: at least 1, not {options.rounds}")
    options.peers, options.threads = list(dict.fromkeys(options.peers)), sorted(set(options.threads))
    if options.out and not options.list:
        try:
            options.out.mkdir(parents=True, exist_ok=True)
            tempfile.TemporaryFile(dir=options.out).close()
        except OSError as error:
            parser.error(f"--out: {error}")
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
        "limits": {str(threads): limits(threads) for threads in options.threads} if options.out else {},
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
                if not results["cells"]:
                    raise
                say(f"stopped in cell {k} of {len(options.cells)}: the report covers those before it")
                break
            results["cells"][cell.name] = {"n": cell.n, "repeats": cell.repeats, **record}
            say(f"{k} of {len(options.cells)}: {cell.name}, {time.perf_counter() - start:.0f} s")
    return results


def main(argv: list[str] | None = None) -> int:
    """Compare, print, write; the exit status: 130 where Ctrl-C ended it."""
    options = arguments(argv)
    if options.list:
        for cell in options.cells:
            print(f"{cell.name:<20}{cell.n:>7} samples, batch {cell.batch:>5}, {cell.optimizer:<4} {cell.task}")
        return 0
    try:
        with tempfile.TemporaryDirectory() as folder:
            results = compare(options, Path(folder))
    except KeyboardInterrupt:
        say("interrupted in the first cell or before: nothing to report")
        return 130
    print(f"{results['machine']}\n{table(results)}\n{summary(results)}\n")
    print("\n".join(textwrap.fill(note, 79, initial_indent="* ", subsequent_indent="  ") for note in FAIRNESS))
    if options.out:
        cells: dict[str, Cell] = {cell.name: cell for cell in options.cells}
        for path in write(results, cells, options.out):
            say(f"wrote {path}")
    return 0 if len(results["cells"]) == len(options.cells) else 130


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # as Ctrl-C does: through every finally
    sys.exit(main())
