"""scripts/compare_commits.py: that it sees a slow commit, names what cannot be compared, and leaves nothing behind."""

from __future__ import annotations

import doctest
import importlib
import os
import shutil
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "scripts"))

import compare_commits
from compare_commits import CELLS, Failed, Result, Side

needs_git = pytest.mark.skipif(shutil.which("git") is None, reason="needs git")


class Fake:
    """A side on which every cell takes as long as it is told, and the listed ones fail."""

    def __init__(self, name: str, seconds: float, fails: tuple[str, ...] = ()) -> None:
        self.name, self.took, self.fails, self.turns = name, seconds, fails, 0

    def seconds(self, **request: Any) -> float:
        """The same for every turn."""
        if request.get("cell") in self.fails:
            raise Failed(self.name, "no such class" + " at all" * 9)
        self.turns += 1
        return self.took

    def close(self) -> None:
        """Nothing to end."""


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository of one commit in place of this one."""
    root = tmp_path / "repository"
    identity = ["-c", "user.name=n", "-c", "user.email=e", "-c", "commit.gpgsign=false"]
    (root / "fastbp").mkdir(parents=True)
    (root / "fastbp" / "__init__.py").write_text("")
    for command in (["init", "-q"], ["add", "-A"], [*identity, "commit", "-qm", "The first"]):
        subprocess.run(["git", "-C", str(root), *command], check=True)
    monkeypatch.setattr(compare_commits, "ROOT", root)
    return root


def run(monkeypatch: pytest.MonkeyPatch, base: Fake, head: Fake, *options: str) -> int:
    """Run the script between two fakes."""
    monkeypatch.setattr(compare_commits, "Side", lambda name, *_: {"base": base, "head": head}[name])
    return compare_commits.main(["HEAD", *options])


def worktrees(root: Path) -> int:
    """How many working trees git knows of."""
    done = subprocess.run(["git", "-C", str(root), "worktree", "list"], capture_output=True, text=True, check=True)
    return len(done.stdout.splitlines())


def test_the_examples_in_the_docstrings_run() -> None:
    result = doctest.testmod(compare_commits)
    assert result.attempted
    assert not result.failed


@pytest.mark.parametrize("cell", CELLS)
def test_a_cell_is_a_benchmark_that_asv_runs_too(cell: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).resolve().parents[1] / "asv_benchmarks"))
    monkeypatch.setattr("os.environ", os.environ.copy())  # what benchmarks set there is for asv's processes
    name, *parameters = CELLS[cell]
    module, group, method = name.split(".")
    benchmark = getattr(importlib.import_module(f"benchmarks.{module}"), group)
    assert callable(getattr(benchmark, method))
    assert len(parameters) == len(getattr(benchmark, "params", ()))
    assert all(value in allowed for value, allowed in zip(parameters, getattr(benchmark, "params", ()), strict=True))


@needs_git
@pytest.mark.parametrize(("took", "status", "turns"), [(1.05, 0, 3), (0.5, 0, 3), (1.2, 1, 9)])
def test_a_slower_head_fails_after_a_second_look(
    took: float, status: int, turns: int, repository: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    head = Fake("head", took)
    assert run(monkeypatch, Fake("base", 1.0), head, "--cells", "adam", "--rounds", "3") == status
    assert head.turns == 1 + turns
    assert ("slower by more than 1.10: adam (1.20)" in capsys.readouterr().out) == bool(status)
    assert worktrees(repository) == 1


@needs_git
@pytest.mark.parametrize(("who", "fails", "status"), [("base", 1, 0), ("base", len(CELLS), 1), ("head", 1, 1)])
def test_what_the_base_lacks_is_left_out_and_what_the_head_lacks_fails(
    who: str, fails: int, status: int, repository: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    sides = {name: Fake(name, 1.0, tuple(CELLS)[:fails] if name == who else ()) for name in ("base", "head")}
    assert run(monkeypatch, sides["base"], sides["head"]) == status
    lines = capsys.readouterr().out.splitlines()
    assert max(len(line) for line in lines) <= 80
    assert sum(f"left out, {who} cannot: no such class" in line for line in lines) == fails


@needs_git
@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, ValueError])
def test_the_checkout_is_removed_whatever_happens(error: type[BaseException], repository: Path, tmp_path: Path) -> None:
    (repository / "fastbp" / "__init__.py").write_text("not committed")
    with suppress(error), compare_commits.source("HEAD", tmp_path / "base") as tree:
        assert (tree / "fastbp" / "__init__.py").read_text() == ""
        assert worktrees(repository) == 2
        (tree / "left").touch()
        raise error
    assert worktrees(repository) == 1
    assert not (tmp_path / "base").exists()


@needs_git
@pytest.mark.usefixtures("repository")
@pytest.mark.parametrize(
    ("argv", "named"),
    [
        (["nowhere"], "BASE"),
        (["HEAD", ""], "HEAD"),
        (["HEAD", "--cells=sgd"], "--cells"),
        (["HEAD", "--factor=nan"], "--factor"),
        (["HEAD", "--rounds=0"], "--rounds"),
        (["HEAD", "--threads=0"], "--threads"),
    ],
)
def test_a_usage_error_names_the_argument(argv: list[str], named: str, capsys: Any) -> None:
    with pytest.raises(SystemExit) as left:
        compare_commits.main(argv)
    assert left.value.code == 2
    assert f"error: {named}:" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("source", "message"),
    [("print('noise')", "cannot import name .* from 'fastbp'"), (None, "imports .*fastbp.__init__.py instead")],
)
def test_a_side_says_what_its_tree_lacks(
    source: str | None, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(compare_commits.ROOT))
    if source is not None:
        (tmp_path / "fastbp").mkdir()
        (tmp_path / "fastbp" / "__init__.py").write_text(source)
    side = Side("base", tmp_path, tmp_path / "numba", 1)
    try:
        with pytest.raises(Failed, match=message):
            side.seconds(cell="forward")
    finally:
        side.close()
    assert side.process.returncode is not None


def test_a_side_whose_process_dies_is_named_and_harms_no_other_cell(tmp_path: Path) -> None:
    (tmp_path / "fastbp").mkdir()
    (tmp_path / "fastbp" / "__init__.py").write_text("import os; os._exit(3)")
    side = Side("head", tmp_path, tmp_path / "numba", 1)
    for cell in ("forward", "gradient"):
        with pytest.raises(Failed, match="its process ended with status 3"):
            side.seconds(cell=cell)
    side.close()


def test_the_table_shows_medians_and_the_spread() -> None:
    pairs = [(1.0, 1.5), (2.0, 2.0), (1.0, 1.25)]
    line = compare_commits.table([Result("adam", pairs)]).splitlines()[1]
    assert line.split() == ["adam", "1000.000", "ms", "1500.000", "ms", "1.250", "1.00", "to", "1.50"]
