"""scripts/figures.py: the table and its verdicts, and what a script does when something is missing."""

from __future__ import annotations

import doctest
import math
import sys
from pathlib import Path
from types import ModuleType

import pytest
from script_runs import load

from fastbp import DataError, History, datasets

SCRIPTS = ("welch_labs", "memorization", "nielsen", "what_backprop_does")


@pytest.fixture
def figures(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The module that the scripts share."""
    return load("figures", monkeypatch)


def test_the_example_in_its_documentation(figures: ModuleType) -> None:
    result = doctest.testmod(figures)
    assert result.attempted >= 4
    assert result.failed == 0


@pytest.mark.parametrize(
    ("measured", "low", "high", "right"),
    [(1.0, 1.0, 2.0, True), (2.0, 1.0, 2.0, True), (2.01, 1.0, 2.0, False), (0.99, 1.0, 2.0, False),
     (math.nan, -math.inf, math.inf, False), (math.inf, 0.0, 5.0, False), (3, 4, math.inf, False)],
)  # fmt: skip
def test_a_check_is_as_its_bounds_say(
    figures: ModuleType, capsys: pytest.CaptureFixture[str], measured: float, low: float, high: float, right: bool
) -> None:
    report = figures.Report("t")
    report.check("a number", measured, low=low, high=high)
    assert report.exit_status() == (0 if right else 1)
    out, _ = capsys.readouterr()
    assert ("FAILED: a number" in out) != right


def test_a_failed_row_is_named_with_its_section(figures: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    report = figures.Report("t")
    report.section("784-30-10")
    report.check("  accuracy", 1.0, low=2.0)
    report.same("shape", (2, 3), (3, 2))
    report.same("size", 6, 6)
    assert report.exit_status() == 1
    assert "2 of 3 checks FAILED: 784-30-10: accuracy; shape" in capsys.readouterr().out


def test_without_mnist_it_takes_the_digits_of_a_package(
    figures: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[str] = []

    def nothing_here(name: str) -> str:
        asked.append(name)
        if name == "mnist":
            raise DataError("mnist: could not be downloaded")
        return name

    monkeypatch.setattr(datasets, "load", nothing_here)
    monkeypatch.setattr(datasets, "available", list)
    assert figures.digits(quick=False) == "mnist-5k"
    assert asked == ["mnist", "mnist-5k"]
    assert len(capsys.readouterr().err.splitlines()) == 1
    assert figures.digits(quick=True) == "mnist-5k"
    assert asked[2:] == ["mnist-5k"]


def test_without_matplotlib_there_is_a_line_and_no_picture(
    figures: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    assert figures.new_figure(3.0, 2.0) is None
    assert "fastbp[examples]" in capsys.readouterr().err


def test_half_a_run_gives_no_figures(figures: ModuleType) -> None:
    assert figures.whole(History()) == History()
    with pytest.raises(KeyboardInterrupt):
        figures.whole(History(interrupted=True))


@pytest.mark.parametrize(
    ("raised", "status", "said"),
    [(KeyboardInterrupt(), 130, "interrupted"), (DataError("no such file"), 1, "no such file"),
     (OSError(28, "No space left on device"), 1, "No space left")],
)  # fmt: skip
def test_what_goes_wrong_is_one_line(
    figures: ModuleType, capsys: pytest.CaptureFixture[str], raised: BaseException, status: int, said: str
) -> None:
    def main() -> int:
        raise raised

    with pytest.raises(SystemExit) as left:
        figures.run(main)
    assert left.value.code == status
    err = capsys.readouterr().err
    assert said in err
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize("name", SCRIPTS)
def test_help_says_what_it_is_in_80_columns(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit) as left:
        load(name, monkeypatch).main(["--help"])
    assert left.value.code == 0
    out = capsys.readouterr().out
    assert f"scripts/{name}.py" in out
    assert "--quick" in out
    assert [line for line in out.splitlines() if len(line) > 80] == []


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_folder_that_cannot_be_made_is_known_before_anything_is_trained(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        load(name, monkeypatch).main(["--quick", "--out", str(tmp_path / "file" / "folder")])
    assert capsys.readouterr().out == ""
