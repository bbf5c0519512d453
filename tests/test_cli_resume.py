"""fastbp train with checkpoints: --checkpoint-every, --resume, --max-seconds and --patience."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from fastbp import Network, Trainer, cli

if TYPE_CHECKING:
    from cli_runs import Refused, Train


pytestmark = pytest.mark.usefixtures("slices_of_one_batch")


@pytest.fixture
def stopped(train: Train, tmp_path: Path) -> Path:
    """The folder of a run that was stopped within its first epoch."""
    out = tmp_path / "stopped"
    assert train(out, "--quiet", "--seed", "5", "--checkpoint-every", "2", "--max-seconds", "1e-9") == 0
    assert Trainer.load(out / "checkpoint.npz").place.done == 10
    return out


def resume(folder: Path, *options: str) -> int:
    """The exit status of going on."""
    return cli.main(["train", "--resume", str(folder), "--quiet", *options])


def test_resume_needs_the_folder_only(stopped: Path, train: Train, tmp_path: Path) -> None:
    assert resume(stopped, "--max-seconds", "1e-9") == 0
    assert Trainer.load(stopped / "checkpoint.npz").place.done == 20
    assert resume(stopped) == 0
    assert train(tmp_path / "whole", "--quiet", "--seed", "5") == 0
    runs = [Network.load(folder / "model.npz").get_parameters() for folder in (stopped, tmp_path / "whole")]
    np.testing.assert_array_equal(*runs)
    histories = [json.loads((folder / "history.json").read_text()) for folder in (stopped, tmp_path / "whole")]
    assert all(history.pop("seconds") for history in histories)
    assert histories[0] == histories[1]
    assert sorted(set(os.listdir(stopped)) - set(os.listdir(tmp_path / "whole"))) == [
        "checkpoint.json",
        "checkpoint.npz",
    ]


def test_more_epochs(stopped: Path) -> None:
    assert resume(stopped, "--epochs", "9", "--threads", "1") == 0
    assert len(json.loads((stopped / "history.json").read_text())["cost"]) == 9


def test_more_epochs_are_remembered(stopped: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert resume(stopped, "--epochs", "9", "--max-seconds", "1e-9") == 0
    assert resume(stopped) == 0
    assert len(json.loads((stopped / "history.json").read_text())["cost"]) == 9
    assert "nothing" not in capsys.readouterr().err
    for options in ([], ["--epochs", "3"]):
        assert resume(stopped, *options) == 0
        assert "has 9 epochs already: nothing was left to do (--epochs 19 would go on)" in capsys.readouterr().err
        assert json.loads((stopped / "config.json").read_text())["epochs"] == 9


def test_other_settings_are_refused_and_change_nothing(stopped: Path, refused: Refused) -> None:
    before = {path: path.read_bytes() for path in stopped.iterdir()}
    assert "batch_size was 10, now 20" in refused(resume(stopped, "--batch-size", "20"), 1)
    assert "layers was 8 relu, 3 softmax, now 9 relu, 3 softmax" in refused(resume(stopped, "--layers", "36,9,3"), 1)
    assert "training samples was all" in refused(resume(stopped, "--patience", "2"), 1)
    assert "--out" in refused(resume(stopped, "--out", str(stopped)), 2)
    assert {path: path.read_bytes() for path in stopped.iterdir()} == before


def test_killed_before_the_first_checkpoint(
    stopped: Path, train: Train, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (stopped / "checkpoint.npz").unlink()
    assert resume(stopped) == 0
    assert "beginning from the first epoch" in capsys.readouterr().err
    assert len(Trainer.load(stopped / "checkpoint.npz").history.cost) == 8


def test_nothing_to_resume(tmp_path: Path, train: Train, stopped: Path, refused: Refused) -> None:
    assert "--checkpoint-every" in refused(resume(tmp_path), 2)
    (stopped / "checkpoint.json").write_text("{")
    assert "checkpoint.json" in refused(resume(stopped), 1)


def test_a_run_without_checkpoints_leaves_none_of_an_earlier_one(stopped: Path, train: Train) -> None:
    assert train(stopped, "--quiet") == 0
    assert sorted(os.listdir(stopped)) == ["config.json", "curve.png", "history.json", "model.npz"]


def test_a_new_run_does_not_go_on_from_an_earlier_ones_checkpoint(
    stopped: Path, train: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(self: Trainer, path: Path) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "save", die)
        assert train(stopped, "--quiet", "--seed", "6", "--checkpoint-every", "1") == 130
    assert not (stopped / "checkpoint.npz").exists()
    assert json.loads((stopped / "checkpoint.json").read_text())["seed"] == 6


def test_a_checkpoint_that_cannot_be_written_loses_nothing(
    train: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refused: Refused
) -> None:
    def full(self: Trainer, path: Path) -> None:
        raise OSError(28, "No space left on device", str(path))

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "save", full)
        err = refused(train(tmp_path / "part", "--quiet", "--checkpoint-every", "2"), 1)
        assert f"checkpoint.npz: No space left on device; what was learnt is in {tmp_path / 'part'}" in err
        patch.setattr(Network, "save", full)  # nor can the run: the first error is what is told
        err = refused(train(tmp_path / "none", "--quiet", "--checkpoint-every", "2"), 1)
        assert "checkpoint.npz: No space left" in err
        assert "learnt" not in err
    assert train(tmp_path / "whole", "--quiet", "--epochs", "2") == 0
    runs = [Network.load(tmp_path / name / "model.npz").get_parameters() for name in ("part", "whole")]
    np.testing.assert_array_equal(*runs)
    assert len(json.loads((tmp_path / "part" / "history.json").read_text())["cost"]) == 2


def test_patience(train: Train, tmp_path: Path) -> None:
    options = ["--patience", "1", "--epochs", "500", "--learning-rate", "0.5"]
    assert train(tmp_path, "--quiet", *options) == 0
    history = json.loads((tmp_path / "history.json").read_text())
    assert history["ended_by"] == "EarlyStopping"
    assert history["validation_cost"][-1] >= min(history["validation_cost"])
    assert len(history["cost"]) == np.argmin(history["validation_cost"]) + 2


@pytest.mark.parametrize(
    "options",
    [
        ["--checkpoint-every", "0"],
        ["--checkpoint-every", "5m"],
        ["--checkpoint-every", "0s"],
        ["--max-seconds", "0"],
        ["--max-seconds", "nan"],
        ["--patience", "0"],
    ],
)
def test_bad_options(options: list[str], refused: Refused) -> None:
    err = refused(cli.main(["train", *options]), 2)
    assert options[0] in err
    assert options[1] in err
