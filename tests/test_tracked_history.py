"""asv_benchmarks/: that what is tracked keeps its history, and that history.py shows it as it was measured."""

from __future__ import annotations

import copy
import doctest
import importlib
import json
import os
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

FOLDER = Path(__file__).resolve().parents[1] / "asv_benchmarks"
RATIO = "training.Ratios.track_time_over_numpy"
MEMORY = "processes.Process.track_peak_memory"
KNOWN = {
    RATIO: {"name": RATIO, "type": "track", "unit": "of NumPy's time", "version": "1", "params": [["'a/1'", "'a/10'"]]},
    MEMORY: {"name": MEMORY, "type": "track", "unit": "bytes", "version": "1", "params": []},
    "time": {"name": "calls.time_forward", "type": "time", "unit": "seconds", "version": "0", "params": []},
    "version": 2,
}
DAY = 86_400_000  # milliseconds
COMMIT = {
    "commit_hash": "0123456789abcdef",
    "date": 20_000 * DAY,
    "params": {"machine": "box", "cpu": "Fast 1", "python": "3.11", "numba": "0.61", "numpy": "2.0"},
    "results": {RATIO: [[0.25, None], [["'a/1'", "'a/10'"]], "1"], MEMORY: [[2.5e8], [], "1"]},
}


@pytest.fixture
def history(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script, as a module."""
    monkeypatch.syspath_prepend(str(FOLDER))
    monkeypatch.setenv("COLUMNS", "80")
    return importlib.import_module("history")


def results(folder: Path, *changes: dict[str, Any]) -> Path:
    """Write asv's files for commits a day apart, each with changes to the first."""
    (folder / "box").mkdir(parents=True)
    (folder / "benchmarks.json").write_text(json.dumps(KNOWN))
    (folder / "box" / "machine.json").write_text("{}")
    for day, change in enumerate(changes):
        commit = copy.deepcopy(COMMIT) | {"commit_hash": f"{day:08d}abc", "date": (20_000 + day) * DAY} | change
        (folder / "box" / f"{9 - day}.json").write_text(json.dumps(commit))
    return folder


def test_the_examples_in_the_docstrings_run(history: ModuleType) -> None:
    result = doctest.testmod(history)
    assert result.attempted
    assert not result.failed


def test_the_table_has_a_column_a_commit_in_order_and_inverts_times(
    history: ModuleType, tmp_path: Path, capsys: Any
) -> None:
    slower = {"results": {RATIO: [[0.5, 0.125], COMMIT["results"][RATIO][1], "1"]}}
    assert history.main(["--results", str(results(tmp_path, {}, slower))]) == 0
    assert [line.split() for line in capsys.readouterr().out.splitlines()] == [
        ["box:", "Fast", "1;", "python", "3.11,", "numba", "0.61,", "numpy", "2.0"],
        ["00000000", "00000001"],
        ["24-10-04", "24-10-05"],
        ["times", "as", "fast", "as", "NumPy,", "one", "thread"],
        ["a/1", "4", "2"],
        ["a/10", "-", "8"],
        ["peak", "memory,", "MB", "250", "-"],
    ]


def test_what_another_version_or_other_parameters_measured_is_left_out(history: ModuleType, tmp_path: Path) -> None:
    memory = {MEMORY: COMMIT["results"][MEMORY]}
    old = {"results": memory | {RATIO: [[0.5, 0.5], [["'a/1'", "'a/10'"]], "0"]}}
    other = {"results": {RATIO: [[0.5, 0.2], [["'b/1'", "'a/10'"]], "1"]}}
    failed = {"results": memory | {RATIO: [None, [["'a/1'", "'a/10'"]], "1"]}}
    chosen = {"results": {RATIO: [[float("nan"), 0.5], [["'a/1'", "'a/10'"]], "1"]}}  # as asv run --bench writes it
    (found,) = history.history(results(tmp_path, old, other, failed, chosen))
    assert found.lines["times as fast as NumPy, one thread"] == {"a/1": [None] * 4, "a/10": [None, 5.0, None, 2.0]}


def test_a_commit_of_which_nothing_is_tracked_has_no_column(history: ModuleType, tmp_path: Path) -> None:
    timed = {"results": {"calls.time_forward": [[0.001], [], "0"]}, "params": COMMIT["params"] | {"machine": "mine"}}
    (found,) = history.history(results(tmp_path, {}, timed))
    assert found.title.startswith("box")


def test_another_machine_or_version_has_a_table_of_its_own(history: ModuleType, tmp_path: Path) -> None:
    newer = {"params": COMMIT["params"] | {"numba": "0.62"}}
    found = history.history(results(tmp_path, {}, newer, {}))
    assert [[commit for commit, _ in series.commits] for series in found] == [["00000001"], ["00000000", "00000002"]]
    assert "numba 0.62" in found[0].title


def test_the_latest_commits_fit_a_terminal(history: ModuleType, tmp_path: Path, capsys: Any) -> None:
    history.main(["--results", str(results(tmp_path, *[{}] * 9))])
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[1].split() == [f"{day:08d}" for day in range(4, 9)]


def test_a_chart_is_whole_or_not_there(history: ModuleType, tmp_path: Path, capsys: Any) -> None:
    pytest.importorskip("matplotlib")
    folder = results(tmp_path / "results", {}, {})
    assert history.main(["--results", str(folder), "--chart", str(tmp_path / "chart.svg")]) == 0
    picture = (tmp_path / "chart.svg").read_text()
    assert "a/10" in picture
    assert "00000001" in picture
    assert history.main(["--results", str(folder), "--chart", str(folder)]) == 1
    assert "results" in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["chart.svg", "results"]


@pytest.mark.parametrize(("broken", "message"), [(None, "no results in"), ("{", "0.json: not JSON")])
def test_what_cannot_be_read_is_named(
    broken: str | None, message: str, history: ModuleType, tmp_path: Path, capsys: Any
) -> None:
    folder = results(tmp_path)
    if broken is not None:
        (folder / "box" / "0.json").write_text(broken)
    assert history.main(["--results", str(folder)]) == 1
    assert message in capsys.readouterr().err


def test_what_the_repository_keeps_is_read_and_is_of_this_suite(history: ModuleType) -> None:
    every = history.history(FOLDER / ".asv" / "results")
    newest = every[-1].lines
    assert {"times as fast as NumPy, one thread", "share of the FMA peak, one thread"} <= newest.keys()
    assert any(number is not None for lines in newest.values() for numbers in lines.values() for number in numbers)


@pytest.fixture
def suite(monkeypatch: pytest.MonkeyPatch) -> list[ModuleType]:
    """The files of benchmarks; what they set in the environment is for asv's processes."""
    monkeypatch.syspath_prepend(str(FOLDER))
    monkeypatch.setattr("os.environ", os.environ.copy())
    return [importlib.import_module(f"benchmarks.{path.stem}") for path in sorted(FOLDER.glob("benchmarks/[a-z]*.py"))]


def test_an_edit_does_not_drop_a_history(suite: list[ModuleType]) -> None:
    groups = {group for module in suite for group in vars(module).values() if isinstance(group, type)}
    tracked = {group for group in groups if any(name.startswith("track_") for name in vars(group))}
    assert {group.__name__ for group in tracked} >= {"Peak", "Process", "Ratios"}
    assert all(isinstance(vars(group).get("version"), str) for group in tracked)


def test_a_ratio_is_ours_by_the_others(suite: list[ModuleType], monkeypatch: pytest.MonkeyPatch) -> None:
    workloads = suite[-1]
    clock = [0.0]
    monkeypatch.setattr(workloads.time, "perf_counter", lambda: clock[0])

    def wait(seconds: float) -> Any:
        def work() -> None:
            clock[0] += seconds

        return work

    assert workloads.interleaved_ratio(wait(0.5), wait(2.0)) == 0.25
    assert workloads.parse("784-16-10/100") == ((784, 16, 10), 100)
