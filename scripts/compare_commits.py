"""Whether a change made fastbp slower: two commits side by side, each from its own source tree, in turns.

    pip install -e .
    python scripts/compare_commits.py                       # the working tree against HEAD~1, a minute
    python scripts/compare_commits.py HEAD                  # against the last commit: what is not committed
    python scripts/compare_commits.py HEAD~3 HEAD --factor 1.05 --cells adam '784-100-10/*'

The base is checked out into a temporary folder, which is removed whatever happens. Each side runs in a process of its
own with a kernel cache of its own, on the synthetic digits of this script's own tree. The two take turns; what counts
is the median over the rounds of head's time by base's time just before it. A cell that then looks slower than the
factor gets twice as many rounds again, and counts with all. What the base cannot do yet is named and left out.

Exit status: 0 where nothing is slower than the factor, 1 where something is, where the head cannot do what the base
can, or where nothing could be compared, 2 for a usage error.
"""

from __future__ import annotations

import argparse
import fnmatch
import importlib
import json
import math
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from peers.measure import Worker, start
from peers.worker import answers, bind, cpus

ROOT = Path(__file__).resolve().parents[1]
TURN = 0.1  # seconds, about; long beside the 4 ms that a scheduler may take away
REST = 0.02  # the last turn's OpenMP threads spin for some milliseconds before they sleep
Work = Callable[[], object]


EPOCHS = ("16-16-10/1", "16-16-10/10", "16-16-10/100", "100-10/100", "512-512-10/100", "800-800-10/1")
# name: (a benchmark of asv_benchmarks/, its parameters)
CELLS: dict[str, tuple[str, ...]] = {
    **{f"784-{name}": ("training.Epoch.time_epoch", f"784-{name}") for name in EPOCHS},
    "adam": ("training.Optimizers.time_epoch", "Adam", "float32"),
    "4-32-16-4": ("training.FullBatch.time_adam_step",),
    "gradient": ("calls.SmallGradient.time_gradient",),
    "forward": ("calls.Digits.time_forward",),
}


def load(tree: str, cell: str) -> Work:
    """A cell's work; ImportError where Python would take fastbp from elsewhere than ``tree``."""
    import fastbp

    found = Path(fastbp.__file__).resolve()
    if not found.is_relative_to(Path(tree).resolve()):
        raise ImportError(f"imports {found} instead")
    name, *parameters = CELLS[cell]
    module, group, method = name.split(".")
    benchmark = getattr(importlib.import_module(f"benchmarks.{module}"), group)()
    benchmark.setup(*parameters)
    return partial(getattr(benchmark, method), *parameters)


def timed(work: Work, repeats: int) -> float:
    """Seconds of one call, averaged over some."""
    begun = time.perf_counter()
    for _ in range(repeats):
        work()
    return (time.perf_counter() - begun) / repeats


def serve(tree: str, threads: int) -> None:
    """Time fastbp from the source tree ``tree``: a line of JSON for each request on stdin, until it ends."""
    bind(threads)
    channel = answers()
    work: Work = list
    for line in sys.stdin:
        request = json.loads(line)
        try:
            if "cell" in request:
                work = load(tree, request["cell"])
                timed(work, 2)  # compiles, and warms
            reply: dict[str, Any] = {"seconds": timed(work, request.get("repeats", 1))}
        except Exception as error:
            reply = {"error": f"{type(error).__name__}: {error}"}
        channel.write(json.dumps(reply) + "\n")


class Failed(Exception):
    """Who could not do a cell, and why."""


class Side(Worker):
    """The process of one side, ``base`` or ``head``."""

    def __init__(self, name: str, tree: Path, cache: Path, threads: int) -> None:
        self.name = name
        paths = [str(tree), str(ROOT / "scripts"), str(ROOT / "asv_benchmarks"), os.environ.get("PYTHONPATH")]
        own = {"NUMBA_CACHE_DIR": str(cache), "FASTBP_QUIET": "1", "PYTHONPATH": os.pathsep.join(filter(None, paths))}
        code = f"import compare_commits; compare_commits.serve({str(tree)!r}, {threads})"
        self.process = start("-c", code, environment=os.environ | own)

    def seconds(self, **request: Any) -> float:
        """Time a ``cell`` for the first time, or ``repeats`` calls of it; `Failed` with who and why."""
        time.sleep(REST)
        reply = self.ask(**request)
        if "error" in reply:
            raise Failed(self.name, reply["error"])
        return float(reply["seconds"])


@dataclass
class Result:
    """What was found for one cell: (base, head) seconds of every round, or who failed and why."""

    cell: str
    pairs: list[tuple[float, float]] = field(default_factory=list)
    failed: str = ""
    why: str = ""

    @property
    def ratio(self) -> float:
        """Head's time by base's, the median of the rounds.

        >>> Result("adam", [(2.0, 3.0), (4.0, 4.0), (1.0, 1.25)]).ratio
        1.25
        """
        return statistics.median(head / base for base, head in self.pairs)


def measure(cell: str, base: Side, head: Side, rounds: int, factor: float) -> Result:
    """Time one cell on both sides in turns."""
    result = Result(cell)
    try:
        repeats = max(1, round(TURN / base.seconds(cell=cell)))
        head.seconds(cell=cell)
        for k in range(3 * rounds):
            if k == rounds and result.ratio <= factor:
                break
            result.pairs.append((base.seconds(repeats=repeats), head.seconds(repeats=repeats)))
    except Failed as error:
        return Result(cell, failed=error.args[0], why=error.args[1])
    return result


def table(results: list[Result]) -> str:
    """What was measured, a line a cell; no line is longer than 80 characters."""
    lines = [f"{'cell':<20}{'base':>12}{'head':>12}{'head / base':>14}{'of all rounds':>18}"]
    for result in results:
        if result.failed:
            said = f"{result.cell:<20}left out, {result.failed} cannot: {result.why}"
            lines.append(textwrap.fill(said, 80, subsequent_indent=" " * 20))
            continue
        base, head = (statistics.median(times) * 1e3 for times in zip(*result.pairs, strict=True))
        ratios = [second / first for first, second in result.pairs]
        spread = f"{min(ratios):.2f} to {max(ratios):.2f}"
        lines.append(f"{result.cell:<20}{base:>9.3f} ms{head:>9.3f} ms{result.ratio:>14.3f}{spread:>18}")
    return "\n".join(lines)


def verdict(results: list[Result], factor: float) -> tuple[str, int]:
    """One sentence, and the exit status.

    >>> verdict([Result("adam", [(2.0, 2.4)]), Result("forward", [(2.0, 2.0)])], 1.1)
    ('slower by more than 1.10: adam (1.20)', 1)
    >>> verdict([Result("adam", failed="base", why="no Adam"), Result("forward", [(2.0, 2.0)])], 1.1)
    ('no cell is slower by more than 1.10', 0)
    """
    slow = [f"{result.cell} ({result.ratio:.2f})" for result in results if result.pairs and result.ratio > factor]
    broken = [result.cell for result in results if result.failed == "head"]
    parts = [f"slower by more than {factor:.2f}: {', '.join(slow)}"] if slow else []
    parts += [f"head cannot do what base can: {', '.join(broken)}"] if broken else []
    parts += ["nothing could be compared"] * all(result.failed == "base" for result in results)
    return "; ".join(parts) or f"no cell is slower by more than {factor:.2f}", int(bool(parts))


def git(*arguments: str) -> str:
    """What a git command prints; ValueError with what it complains of."""
    try:
        command = ["git", "-C", str(ROOT), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError) as error:  # no command git, or it complains
        raise ValueError(str(getattr(error, "stderr", error)).strip()) from error


@contextmanager
def source(revision: str | None, folder: Path) -> Iterator[Path]:
    """The source tree of a commit, checked out into ``folder`` for as long as it is needed; None: the working tree."""
    if revision is None:
        yield ROOT
        return
    try:
        git("worktree", "add", "--detach", str(folder), revision)
        yield folder
    finally:
        with suppress(ValueError):  # interrupted before git knew of it
            git("worktree", "remove", "--force", "--force", str(folder))


def arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Is a commit slower than another?", epilog="See this file's head.")
    parser.add_argument("base", nargs="?", default="HEAD~1", metavar="BASE", help="the commit before (HEAD~1)")
    parser.add_argument("head", nargs="?", metavar="HEAD", help="the commit that may be slower (the working tree)")
    parser.add_argument("--factor", type=float, default=1.10, help="how much slower is too slow (1.10)")
    parser.add_argument("--cells", nargs="+", default=["*"], metavar="CELL", help=f"of {', '.join(CELLS)}; or globs")
    parser.add_argument("--rounds", type=int, default=7, help="turns of each side; the median counts (7)")
    parser.add_argument("--threads", type=int, default=cpus(), help=f"CPUs that each side may use ({cpus()})")
    options = parser.parse_args(argv)
    for pattern in options.cells:
        if not fnmatch.filter(CELLS, pattern):
            parser.error(f"--cells: nothing matches {pattern!r}; there are {', '.join(CELLS)}")
    options.cells = [name for name in CELLS if any(fnmatch.fnmatch(name, pattern) for pattern in options.cells)]
    for name, most in (("factor", math.inf), ("rounds", math.inf), ("threads", cpus())):
        if not 1 <= getattr(options, name) <= most:
            parser.error(f"--{name}: 1 to {most}, not {getattr(options, name)}")
    for name in ("base", "head"):
        revision = getattr(options, name)
        try:
            found = "the working tree" if revision is None else git("log", "-1", "--format=%h %s", revision, "--")
            setattr(options, f"{name}_is", f"{name}: {found}"[:80])
        except ValueError as error:
            parser.error(f"{name.upper()}: {error} (a shallow clone lacks old commits: git fetch --unshallow)")
    return options


def compare(options: argparse.Namespace) -> list[Result]:
    """Check out, start both sides, time every cell; leave nothing behind."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="fastbp-compare-")))
        sides = []
        for name in ("base", "head"):
            tree = stack.enter_context(source(getattr(options, name), folder / name))
            sides.append(Side(name, tree, folder / f"numba-{name}", options.threads))
            stack.callback(sides[-1].close)
        results = []
        for k, cell in enumerate(options.cells, 1):
            print(f"{k} of {len(options.cells)}: {cell}", "(compiling first)" * (k == 1), file=sys.stderr)
            results.append(measure(cell, sides[0], sides[1], options.rounds, options.factor))
        return results


def main(argv: list[str] | None = None) -> int:
    """Compare two commits; the exit status."""
    options = arguments(argv)
    print(options.base_is, options.head_is, sep="\n", flush=True)
    try:
        results = compare(options)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    sentence, status = verdict(results, options.factor)
    print(table(results), sentence, sep="\n")
    return status


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # as Ctrl-C does: through every finally
    sys.exit(main())
