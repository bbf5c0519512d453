"""Running the scripts that reproduce figures, in this process, where the kernels are compiled already."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType

import pytest

SCRIPTS = Path(__file__).parent.parent / "scripts"


def load(name: str, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A script as a module; it imports its neighbours as it does when it is run."""
    monkeypatch.syspath_prepend(SCRIPTS)
    return importlib.import_module(name)


def quick(name: str, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> str:
    """Run a script with --quick: all is well, no line is too long. Returns its standard output."""
    script = load(name, monkeypatch)
    status = script.main(["--quick", "--out", str(folder)])
    out, _ = capsys.readouterr()
    assert status == 0, out
    assert [line for line in out.splitlines() if len(line) > 80] == []
    assert "FAILED" not in out
    return out


def pictures(folder: Path) -> list[str]:
    """The names of the PNG files in a folder."""
    paths = sorted(folder.iterdir())
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in paths)
    return [path.name for path in paths]
