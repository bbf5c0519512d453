"""scripts/nielsen.py: his settings, and the verdict over his figures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from script_runs import load, pictures, quick

from fastbp.datasets import Split

pytest.importorskip("mlxtend")


def test_it_trains_and_draws(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = quick("nielsen", tmp_path, monkeypatch, capsys)
    assert "784-30-10, cross-entropy, eta 0.5, lambda 5, 30 epochs" in out
    assert pictures(tmp_path) == ["nielsen.png"]


@pytest.mark.parametrize(("better", "failed"), [(-0.31, 2), (-0.29, 0)])
def test_his_figures_less_three_tenths_are_the_bar(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], better: float, failed: int
) -> None:
    script = load("nielsen", monkeypatch)
    recipe = script.RECIPES[0]
    monkeypatch.setattr(script, "train", lambda recipe, *_: np.array([50.0, recipe.published + better, 60.0]))
    digits = Split(np.zeros((script.N_TRAIN, 1), np.uint8), np.zeros(script.N_TRAIN, np.int64), "mnist", "memory")
    report = script.Report("t")
    script.compare(report, recipe, (digits, digits), quick=False)
    assert len(report.failed) == failed
    assert "95.42" in capsys.readouterr().out
