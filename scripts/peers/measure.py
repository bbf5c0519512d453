"""Starts a process for every peer, checks that all learn the same, and times them in turns with fastbp."""

from __future__ import annotations

import contextlib
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import Any

from .cells import Cell
from .work import SHUFFLED, TOLERANCE, difference

SCRIPTS = Path(__file__).resolve().parents[1]
# Forcing an old core type halves OpenBLAS on a CPU with AVX-512 (784 x 800 x 100: 593 us, 1089 with Haswell).
DROPPED = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")
THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
Say = Callable[[str], None]


def start(*arguments: str, environment: dict[str, str]) -> subprocess.Popen[str]:
    """A Python that is asked on its stdin. Ctrl-C is not for it, but for this process, which then ends it."""
    return subprocess.Popen(
        [sys.executable, "-P", *arguments],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment, start_new_session=True,
    )  # fmt: skip


class Worker:
    """A peer with a number of threads, in a process of its own."""

    def __init__(self, name: str, threads: int, folder: Path) -> None:
        self.name, self.threads = name, threads
        environment = {key: value for key, value in os.environ.items() if key not in DROPPED}
        environment.update(dict.fromkeys(THREAD_VARIABLES, str(threads)))
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, [str(SCRIPTS), os.environ.get("PYTHONPATH")]))
        self.process = start("-m", f"{__package__}.worker", name, str(threads), str(folder), environment=environment)

    @cached_property
    def hello(self) -> dict[str, Any]:
        """The first that it says: its version, or why it takes no part."""
        return self._read()

    @property
    def key(self) -> str:
        """``numpy/2``: the peer and its threads."""
        return f"{self.name}/{self.threads}"

    def ask(self, **request: Any) -> dict[str, Any]:
        """Send a request and wait for the answer."""
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # a worker that died is reported by _read
            self.process.stdin.write(json.dumps(request) + "\n")
            self.process.stdin.flush()
        return self._read()

    def close(self) -> None:
        """End the process at once, whatever it is doing."""
        with contextlib.suppress(BrokenPipeError), self.process:  # one that died leaves what it was asked unread
            self.process.kill()

    def _read(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            return {"error": f"its process ended with status {self.process.wait()}"}
        answer: dict[str, Any] = json.loads(line)
        return answer


@contextlib.contextmanager
def workers(names: list[str], threads: list[int], folder: Path, say: Say) -> Iterator[list[Worker]]:
    """Start every peer with every number of threads; name and leave out what is missing."""
    started: list[Worker] = []
    try:
        for name in names:
            for count in threads:
                worker = Worker(name, count, folder)
                started.append(worker)
                if "error" in worker.hello:
                    say(f"left out: {name} ({worker.hello['error']})")
                    break
        yield [worker for worker in started if "error" not in worker.hello]
    finally:
        for worker in started:
            worker.close()


def prepare(cell: Cell, team: list[Worker], say: Say) -> tuple[list[Worker], dict[str, Any]]:
    """Have everyone train from the same weights on the same batches, then shuffled; keep who agrees with the first.

    Returns
    -------
    agreed : list of Worker
    record : dict
        ``check`` by peer; ``unsupported`` and ``left_out``: why, by peer.
    """
    record: dict[str, Any] = {"check": {}, "unsupported": {}, "left_out": {}}
    agreed: list[Worker] = []
    expected: dict[str, Any] = {}
    for worker in team:
        reply = worker.ask(do="prepare", cell=json.dumps(asdict(cell)))
        if "unsupported" in reply:
            if worker.name not in record["unsupported"]:
                say(f"{cell.name}: {worker.name} takes no part: {reply['unsupported']}")
            record["unsupported"][worker.name] = reply["unsupported"]
            continue
        if "error" in reply:
            record["left_out"][worker.key] = reply["error"]
            continue
        found, went = reply["check"], {"norm": reply["moved"]}
        expected = expected or {"of": worker.key, "check": found, "went": went}
        apart, off = difference(found, expected["check"]), difference(went, expected["went"])
        record["check"][worker.key] = {**found, "apart": apart}
        where = f"where {expected['of']} has"
        if apart > TOLERANCE:
            record["left_out"][worker.key] = f"learns something else: {found}, {where} {expected['check']}"
        elif off > SHUFFLED:
            record["left_out"][worker.key] = f"does other work when it is timed: {went}, {where} {expected['went']}"
        else:
            agreed.append(worker)
    return agreed, record


def measure(cell: Cell, team: list[Worker], rounds: int, say: Say) -> dict[str, Any]:
    """Check and time one cell.

    Returns
    -------
    dict
        What ``prepare`` records, and ``seconds``: the times of all turns, by peer and threads, scaled to the cell's
        unit.
    """
    agreed, record = prepare(cell, team, say)
    ours = {worker.threads: worker for worker in agreed if worker.name == "fastbp"}
    others = [worker for worker in agreed if worker.name != "fastbp"]
    seconds: dict[str, list[float]] = {worker.key: [] for worker in agreed}
    for _ in range(rounds):
        for other in others or list(ours.values()):
            pair = [ours[other.threads], other] if other.threads in ours and others else [other]
            for worker in pair:
                time.sleep(0.02)  # the last one's OpenMP threads spin for some milliseconds before they sleep
                reply = worker.ask(do="turn")
                if "error" in reply:
                    record["left_out"][worker.key] = reply["error"]
                else:
                    seconds[worker.key].append(reply["seconds"] * cell.unit[1])
    record["seconds"] = {key: times for key, times in seconds.items() if times and key not in record["left_out"]}
    for key, reason in record["left_out"].items():
        say(f"{cell.name}: {key} left out: {reason}")
    return record


def ratios(record: dict[str, Any]) -> list[dict[str, Any]]:
    """fastbp against the best peer that uses at most as many threads, for every number of threads.

    >>> ratios({"seconds": {"fastbp/1": [1.0, 3.0, 2.0], "numpy/1": [8.0], "jax/1": [6.0], "jax/2": [4.0]}})
    [{'threads': 1, 'fastbp': 2.0, 'best': 'jax/1', 'peer': 6.0, 'ratio': 3.0}]
    """
    medians = {key: statistics.median(times) for key, times in record["seconds"].items()}
    rows = []
    for key, ours in medians.items():
        name, threads = split(key)
        fair = [k for k in medians if split(k)[0] != "fastbp" and split(k)[1] <= threads]
        if name == "fastbp" and fair:
            best = min(fair, key=medians.__getitem__)
            row = {
                "threads": threads,
                "fastbp": ours,
                "best": best,
                "peer": medians[best],
                "ratio": medians[best] / ours,
            }
            rows.append(row)
    return sorted(rows, key=lambda row: int(row["threads"]))


def best_of(record: dict[str, Any], peer: str, threads: int) -> tuple[float, int] | None:
    """(median seconds, threads used) of a peer at its best with at most ``threads``; None where it was not timed."""
    found = [
        (statistics.median(times), split(key)[1])
        for key, times in record["seconds"].items()
        if split(key)[0] == peer and split(key)[1] <= threads
    ]
    return min(found, default=None)


def split(key: str) -> tuple[str, int]:
    """``jax/2`` as a peer and its threads.

    >>> split("jax/2")
    ('jax', 2)
    """
    name, _, threads = key.rpartition("/")
    return name, int(threads)
