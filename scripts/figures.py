"""What the scripts that reproduce published figures share: the table, its checks, pictures, and the way out.

Such a script measures, puts each number beside the published one and beside what it must be, and ends with exit
status 1 if one is not what it must be. A table of 80 columns is built row by row, as the numbers come in:

>>> report = Report("An example")
An example
----------
                                     measured  published  must be
>>> report.check("accuracy, %", 95.2, published="95.42", low=95.12)
accuracy, %                             95.20      95.42  >= 95.12       ok
>>> report.note("epochs", "30")
epochs                                     30
>>> report.exit_status()
all 1 checks passed
0
"""

from __future__ import annotations

import argparse
import io
import math
import sys
import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from train_mnist import load_digits

from fastbp import DataError, History, MissingExtraError, TrainingDiverged, datasets
from fastbp.archive import atomic_write
from fastbp.datasets import Split

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DPI = 100


class Report:
    """Rows of what was measured, what was published and what must be; it remembers which were not."""

    def __init__(self, title: str) -> None:
        self._checks, self._section = 0, ""
        self.failed: list[str] = []
        print(f"{title}\n{'-' * len(title)}")
        self._row("", "measured", "published", "must be")

    def section(self, title: str) -> None:
        """Print a line that the following rows, which are indented, belong to."""
        self._section = title
        print(title)

    def note(self, name: str, measured: str, published: str = "") -> None:
        """Print a row that nothing is asked of."""
        self._row(name, measured, published, "")

    def check(
        self, name: str, measured: float, published: str = "", low: float = -math.inf, high: float = math.inf
    ) -> None:
        """Print a row and check that ``low <= measured <= high``; NaN is never right."""
        bounds = f"{low:.4g}..{high:.4g}" if math.isfinite(low) else f"<= {high:.4g}"
        bounds = bounds if math.isfinite(high) else f">= {low:.4g}"
        text = f"{measured:,}" if isinstance(measured, int) else f"{measured:#.4g}"
        self._judge(name, text, published, bounds, low <= measured <= high)

    def same(self, name: str, measured: object, published: object) -> None:
        """Print a row and check that what was measured is what was published."""
        self._judge(name, str(measured), str(published), "the same", measured == published)

    def exit_status(self) -> int:
        """Say how many checks passed, and which did not: 0 if all did, else 1."""
        if not self.failed:
            print(f"all {self._checks} checks passed")
            return 0
        print(f"{len(self.failed)} of {self._checks} checks FAILED: {'; '.join(self.failed)}")
        return 1

    def _judge(self, name: str, measured: str, published: str, must_be: str, right: bool) -> None:
        self._checks += 1
        if not right:
            self.failed.append(f"{self._section}: {name.strip()}" if name.startswith(" ") else name)
        self._row(name, measured, published, must_be, "ok" if right else "FAILED")

    def _row(self, name: str, measured: str, published: str, must_be: str, verdict: str = "") -> None:
        print(f"{name:34} {measured:>10} {published:>10}  {must_be:14} {verdict}".rstrip(), flush=True)


def say(text: str) -> None:
    """Print a line that is no figure on standard error, where it does not disturb the table."""
    print(text, file=sys.stderr, flush=True)


def arguments(documentation: str, name: str, argv: Sequence[str] | None) -> argparse.Namespace:
    """Read ``--out FOLDER`` and ``--quick``; the folder is made, so that one that cannot be is known at once."""
    paragraphs = "\n\n".join(textwrap.fill(paragraph, 79) for paragraph in documentation.split("\n\n"))
    parser = argparse.ArgumentParser(description=paragraphs, formatter_class=argparse.RawDescriptionHelpFormatter)
    default = Path("runs") / name
    parser.add_argument("--out", type=Path, default=default, help=f"folder for the pictures (default: {default})")
    parser.add_argument("--quick", action="store_true", help="less of everything, in seconds; fewer checks")
    options = parser.parse_args(argv)
    options.out.mkdir(parents=True, exist_ok=True)
    return options


def digits(quick: bool) -> tuple[Split, Split]:
    """MNIST, or what ``train_mnist.py`` takes where it is missing; if it need only be quick, mnist-5k."""
    return datasets.load("mnist-5k") if quick else load_digits()


def new_figure(width: float, height: float) -> Figure | None:
    """A figure of so many inches that belongs to no window; None, and a line, where matplotlib is not installed."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        say(str(MissingExtraError("matplotlib", "examples", "drawing the picture")))
        return None
    return Figure(figsize=(width, height), dpi=DPI, layout="constrained")


def save_figure(figure: Figure, path: Path) -> None:
    """Write a PNG file, whole or not at all, and say where."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    atomic_write(path, buffer.getvalue())
    say(f"saved {path}")


def whole(history: History) -> History:
    """The history of a training that Ctrl-C did not cut short: a figure from half a run would be a wrong one."""
    if history.interrupted:
        raise KeyboardInterrupt
    return history


def run(main: Callable[[], int]) -> Any:
    """Leave with ``main``'s exit status; with one line where the machine lacks something, and 130 after Ctrl-C."""
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        say("interrupted")
        sys.exit(130)
    except (DataError, MissingExtraError, TrainingDiverged, OSError) as error:
        say(f"{Path(sys.argv[0]).name}: {error}")
        sys.exit(1)
