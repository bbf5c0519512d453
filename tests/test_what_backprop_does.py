"""scripts/what_backprop_does.py: the walk for a 2."""

from __future__ import annotations

from pathlib import Path

import pytest
from script_runs import load, pictures, quick

pytest.importorskip("mlxtend")


def test_everything_adds_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = quick("what_backprop_does", tmp_path, monkeypatch, capsys)
    assert "all 20 checks passed" in out
    assert out.count("should be") == 2  # the outputs of the untrained network and of the trained one
    assert pictures(tmp_path) == ["average.png", "layer_before.png", "outputs.png", "weights.png"]


def test_nudges_that_are_no_nudges_are_found_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    script = load("what_backprop_does", monkeypatch)
    right = script.flat
    monkeypatch.setattr(script, "flat", lambda one: -right(one))
    assert script.main(["--quick", "--out", str(tmp_path)]) == 1
    assert "average of 100: -gradient" in capsys.readouterr().out.splitlines()[-1]
