"""fastbp train: what it prints, what it leaves, and what Ctrl-C and divergence keep."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from numpy.typing import NDArray

import fastbp
from fastbp import Adam, Dense, Network, Trainer, TrainingDiverged, cli, datasets
from fastbp.fitting import Fit

if TYPE_CHECKING:
    from cli_runs import Bars, Refused, Train


def parameters(folder: Path) -> NDArray[Any]:
    """The parameters that a run saved."""
    return Network.load(folder / "model.npz").get_parameters()


def test_train_says_how_it_went_and_saves_the_run(
    train: Train, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "new" / "run"
    assert train(out) == 0
    text, progress = capsys.readouterr()
    first, *_, last = text.splitlines()
    assert first.startswith("test accuracy")
    assert float(first.split()[2]) > 90
    assert last.split() == ["folder", str(out)]
    assert "epoch 8/8" in progress
    assert sorted(os.listdir(out)) == ["config.json", "curve.png", "history.json", "model.npz"]
    assert (out / "curve.png").read_bytes().startswith(b"\x89PNG")
    history = json.loads((out / "history.json").read_text())
    assert len(history["cost"]) == len(history["validation_accuracy"]) == 8
    assert history["cost"][-1] < history["cost"][0]


def test_train_in_json_prints_nothing_else(
    train: Train, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train(tmp_path, "--json", "--quiet", "--threads", "1") == 0
    text, progress = capsys.readouterr()
    assert progress == ""
    result = json.loads(text)
    assert result["test_accuracy"] > 0.9
    assert (result["epochs"], result["threads"], result["folder"]) == (8, 1, str(tmp_path))
    seconds = sum(json.loads((tmp_path / "history.json").read_text())["seconds"])
    assert result["samples_per_second"] == pytest.approx(8 * 90 / seconds)


def test_the_config_tells_every_setting(train: Train, folder: Path, tmp_path: Path) -> None:
    options = [
        "--activation",
        "sigmoid",
        "--cost",
        "sum_of_squares",
        "--momentum",
        "0.5",
        "--dtype",
        "float64",
        "--seed",
        "4",
    ]
    assert train(tmp_path, "--quiet", *options) == 0
    config = json.loads((tmp_path / "config.json").read_text())
    assert config["data"] == str(folder)
    assert config["layers"] == [36, 8, 3]
    assert config["activations"] == ["sigmoid", "sigmoid"]
    assert (config["cost"], config["dtype"], config["seed"]) == ("sum_of_squares", "float64", 4)
    assert (config["epochs"], config["batch_size"]) == (8, 10)
    sgd = config["optimizer"]
    assert (sgd["name"], sgd["momentum"], sgd["learning_rate"]) == ("sgd", 0.5, 0.02)
    assert config["fastbp"] == fastbp.__version__
    network = Network.load(tmp_path / "model.npz")
    assert (network.cost_name, network.dtype) == ("sum_of_squares", np.float64)


@pytest.mark.parametrize("optimizer", ["sgd", "rmsprop", "adam", "adamw"])
def test_train_takes_every_optimizer(optimizer: str, train: Train, tmp_path: Path) -> None:
    assert train(tmp_path, "--quiet", "--optimizer", optimizer, "--epochs", "1") == 0
    assert json.loads((tmp_path / "config.json").read_text())["optimizer"]["name"] == optimizer


def test_the_defaults_fit_the_data(
    train: Train, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.main(["train", "--data", str(folder), "--epochs", "1", "--quiet"]) == 0
    config = json.loads((tmp_path / "runs" / folder.name / "config.json").read_text())
    assert (config["layers"], config["activations"]) == ([36, 100, 3], ["relu", "softmax"])
    assert (config["cost"], config["optimizer"]["name"]) == ("cross_entropy", "adam")


def test_one_output_tells_two_classes_and_one_class_is_refused(
    bars: Bars, tmp_path: Path, refused: Refused, capsys: pytest.CaptureFixture[str]
) -> None:
    x, y = bars(60, 1)

    def run(classes: NDArray[np.uint8]) -> int:
        for part in "train", "t10k":
            datasets.write_idx(tmp_path / f"{part}-images-idx3-ubyte", x)
            datasets.write_idx(tmp_path / f"{part}-labels-idx1-ubyte", classes)
        options = "--layers 36,1 --learning-rate 0.1 --batch-size 10 --epochs 20 --quiet --json"
        return cli.main(["train", "--data", str(tmp_path), "--out", str(tmp_path / "run"), *options.split()])

    assert run((y > 0).astype(np.uint8)) == 0
    assert json.loads(capsys.readouterr().out)["test_accuracy"] > 0.9
    assert "all of class 2, expected two classes" in refused(run(np.full_like(y, 2)), 2)


def test_the_seed_decides_and_the_threads_do_not(train: Train, folder: Path, tmp_path: Path) -> None:
    for name, options in {"a": [], "b": ["--threads", "2"], "c": ["--seed", "1"]}.items():
        assert train(tmp_path / name, "--quiet", "--threads", "1", *options) == 0
    np.testing.assert_array_equal(parameters(tmp_path / "a"), parameters(tmp_path / "b"))
    data, _ = datasets.load(folder)
    for name, seed in {"a": 0, "c": 1}.items():  # the same as in Python, to the last bit
        network = Network(36, [Dense(8, "relu"), Dense(3, "softmax")], seed=seed)
        Trainer(network, Adam(0.02), batch_size=10, seed=seed).fit(data.x, data.y, epochs=8)
        np.testing.assert_array_equal(parameters(tmp_path / name), network.get_parameters())


def test_a_second_run_replaces_the_first_and_says_so(
    train: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train(tmp_path, "--quiet") == 0
    assert capsys.readouterr().err == ""
    first = parameters(tmp_path)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)  # as if not installed
    assert train(tmp_path, "--quiet", "--seed", "9") == 0
    err = capsys.readouterr().err
    assert "replacing the run" in err
    assert "matplotlib" in err
    assert not np.array_equal(parameters(tmp_path), first)
    # A curve of the first run would pass for one of the second.
    assert sorted(os.listdir(tmp_path)) == ["config.json", "history.json", "model.npz"]


@pytest.mark.skipif(sys.platform == "win32", reason="no file that is always full")
def test_notes_that_cannot_be_written_stop_nothing(
    train: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "model.npz").touch()  # "replacing the run", before the training
    stream = open("/dev/full", "w", buffering=1)  # noqa: SIM115 - closing it fails
    monkeypatch.setattr(sys, "stderr", stream)
    assert train(tmp_path) == 0
    assert Network.load(tmp_path / "model.npz").n_in == 36
    with suppress(OSError):
        stream.close()


def test_ctrl_c_keeps_what_was_learnt(
    train: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    original = Fit._end_epochs

    def interrupt(self: Fit, costs: Sequence[float], hits: Sequence[int]) -> None:
        original(self, costs, hits)
        if len(self.trainer.history.cost) == 2:
            signal.raise_signal(signal.SIGINT)

    assert train(tmp_path / "whole", "--quiet", "--epochs", "3") == 0
    monkeypatch.setattr(Fit, "_end_epochs", interrupt)
    assert train(tmp_path / "the part", "--json", "--quiet", "--checkpoint-every", "9") == 130
    out, err = capsys.readouterr()
    assert "interrupted" in err
    assert err.endswith(f"goes on with: fastbp train --resume '{tmp_path / 'the part'}'\n")
    assert json.loads(out.splitlines()[-1])["epochs"] < 8
    whole = json.loads((tmp_path / "whole" / "history.json").read_text())["cost"]
    part = json.loads((tmp_path / "the part" / "history.json").read_text())
    assert part["interrupted"] is True
    assert part["cost"][:2] == whole[:2]
    assert np.isfinite(parameters(tmp_path / "the part")).all()


def test_ctrl_c_anywhere_else(monkeypatch: pytest.MonkeyPatch, refused: Refused) -> None:
    def interrupt(_: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(datasets, "load", interrupt)
    assert "interrupted" in refused(cli.main(["train"]), 130)


def test_divergence_at_once_leaves_the_old_run(
    train: Train, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train(tmp_path, "--quiet") == 0
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    wild = [
        "--quiet",
        "--activation",
        "identity",
        "--cost",
        "sum_of_squares",
        "--optimizer",
        "sgd",
        "--learning-rate",
        "1e30",
    ]
    status = train(tmp_path, *wild)
    err = capsys.readouterr().err
    assert status == 1
    assert "learning_rate" in err.splitlines()[-1]
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_divergence_later_saves_the_last_good_network(
    train: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refused: Refused
) -> None:
    original = Trainer.fit

    def diverge(self: Trainer, x: Any, y: Any, epochs: int, **options: Any) -> None:
        original(self, x, y, epochs=2, **options)
        raise TrainingDiverged("the cost became NaN")

    monkeypatch.setattr(Trainer, "fit", diverge)
    err = refused(train(tmp_path, "--quiet"), 1)
    assert str(tmp_path) in err
    assert len(json.loads((tmp_path / "history.json").read_text())["cost"]) == 2
    assert np.isfinite(parameters(tmp_path)).all()
