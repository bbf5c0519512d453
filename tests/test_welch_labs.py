"""scripts/welch_labs.py: three students, beside the figures of the videos."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from script_runs import load, pictures, quick

pytest.importorskip("scipy")


def test_the_figures_are_those_of_the_videos(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = quick("welch_labs", tmp_path, monkeypatch, capsys)
    assert "all 13 checks passed" in out
    assert pictures(tmp_path) == ["welch_labs.png"]


def test_a_wrong_gradient_fails_the_check(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    script = load("welch_labs", monkeypatch)
    right = script.Lab.gradient
    monkeypatch.setattr(script.Lab, "gradient", lambda lab, theta: right(lab, theta) * (1 + 1e-6))
    report = script.Report("t")
    script.backpropagation(report, script.three_students(0))
    assert "part 5: gradient check" in report.failed


def test_the_students_are_scaled_as_in_the_videos(monkeypatch: pytest.MonkeyPatch) -> None:
    script = load("welch_labs", monkeypatch)
    lab = script.four_students(0)
    np.testing.assert_array_equal(lab.x, [[0.3, 1.0], [0.5, 0.2], [1.0, 0.4], [0.6, 0.3]])
    assert lab.network.n_parameters == 9
    weights = lab.network.get_parameters()
    by_hand = ((lab.network.forward(lab.x).ravel() - lab.y) ** 2).sum() / 8 + 0.5e-4 * (weights**2).sum()
    assert lab.cost(weights) == pytest.approx(by_hand, rel=1e-14)  # the same sums in another order
