"""scripts/regression.py: that both regressors are fitted and the table fits a terminal."""

from __future__ import annotations

from typing import Any

import pytest
from script_runs import load

pytest.importorskip("sklearn")


def test_both_are_fitted_and_the_table_fits_a_terminal(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    regression = load("regression", monkeypatch)
    monkeypatch.setattr(regression, "SEEDS", (0,))
    monkeypatch.setattr(regression, "BOTH", {"adam": regression.BOTH["adam"] | {"max_iter": 2}})
    monkeypatch.setattr(regression, "OWN", {"huber": regression.OWN["huber"] | {"max_iter": 2}})
    regression.main(["--samples", "40"])
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    rows = [line.split() for line in lines if line.startswith(("adam", "huber"))]
    assert [(row[0], row[3 if row[0] == "huber" else 4], row[-1] == "-") for row in rows] == [
        ("adam", "2", False),
        ("huber", "-", True),
    ] * 2


def test_too_few_samples_are_a_usage_error(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    with pytest.raises(SystemExit):
        load("regression", monkeypatch).main(["--samples", "39"])
    assert "error: --samples: 40 or more, not 39" in capsys.readouterr().err
