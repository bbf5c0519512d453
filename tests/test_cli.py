"""The fastbp command but for train and predict: results, help, exit status, and one line for what is wrong."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import fastbp
from fastbp import DataError, Network, cli, datasets

if TYPE_CHECKING:
    from cli_runs import Refused, Train

COMMANDS = [
    "",
    "train",
    "evaluate",
    "predict",
    "report",
    "explain",
    "check",
    "data",
    "data list",
    "data fetch",
    "config",
]


def test_evaluate_finds_what_training_found(model: Path, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    history = json.loads((model.parent / "history.json").read_text())
    assert cli.main(["evaluate", str(model), "--data", str(folder), "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["accuracy"] == history["validation_accuracy"][-1]
    assert result["cost"] == pytest.approx(history["validation_cost"][-1], rel=1e-6)  # float32
    assert (result["samples"], result["split"]) == (30, "test")
    assert cli.main(["evaluate", str(model), "--data", str(folder), "--split", "train"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[2].split() == ["samples", "90"]
    assert lines[3].endswith("%")


def test_a_runs_folder_stands_for_its_model(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], refused: Refused
) -> None:
    printed = []
    for given in (model, model.parent):
        assert cli.main(["explain", str(given), "--sample", "3"]) == 0
        printed.append(capsys.readouterr().out)
    assert printed[0] == printed[1]
    assert str(tmp_path / "model.npz") in refused(cli.main(["evaluate", str(tmp_path)]), 1)


NETWORK = ["--layers", "5,4,3,2", "--activation", "tanh"]


def test_check_has_a_line_a_layer(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["check", *NETWORK]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:3] for line in lines[1:4]] == [["0", "5", "4"], ["1", "4", "3"], ["2", "3", "2"]]
    assert cli.main(["check", *NETWORK, "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["passed"] is True
    assert 0 < result["max_relative_error"] <= 1e-7
    assert max(layer["max_relative_error"] for layer in result["layers"]) == result["max_relative_error"]
    assert [layer["activation"] for layer in result["layers"]] == ["tanh", "tanh", "softmax"]
    assert result["parameters"] == 5 * 4 + 4 + 4 * 3 + 3 + 3 * 2 + 2
    assert cli.main(["check", *NETWORK, "--json", "--parameters", "2"]) == 0
    assert json.loads(capsys.readouterr().out)["parameters"] == 6


def test_check_fails_for_a_wrong_gradient(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    original = Network.gradient

    def wrong(self: Network, x: Any, y: Any) -> fastbp.Gradient:
        gradient = original(self, x, y)
        gradient.flat[5 * 4 + 4 + 2] *= 1.01  # in the second layer
        return gradient

    monkeypatch.setattr(Network, "gradient", wrong)
    assert cli.main(["check", *NETWORK, "--json"]) == 1
    result = json.loads(capsys.readouterr().out)
    assert result["passed"] is False
    assert [layer["passed"] for layer in result["layers"]] == [True, False, True]


def test_check_takes_a_single_output() -> None:
    assert cli.main(["check", "--layers", "4,3,1", "--activation", "sigmoid", "--cost", "sum_of_squares"]) == 0


def test_data_list(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    (folder.parent / "all").mkdir(exist_ok=True)
    monkeypatch.setenv("FASTBP_DATA", str(folder.parent / "all"))
    monkeypatch.setenv("FASTBP_DATA_CACHE", str(folder.parent / "none"))
    if not (folder.parent / "all" / "mnist").exists():
        (folder.parent / "all" / "mnist").symlink_to(folder)
    assert cli.main(["data", "list", "--json"]) == 0
    found = {item["name"]: item["found"] for item in json.loads(capsys.readouterr().out)}
    assert found["mnist"] == str(folder.parent / "all" / "mnist")
    assert found["fashion-mnist"] is None
    assert cli.main(["data", "list"]) == 0
    text = capsys.readouterr().out
    assert "not here yet" in text
    assert all(name in text for name in found)


def test_data_fetch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("sklearn")
    monkeypatch.delenv("FASTBP_DATA", raising=False)
    monkeypatch.setenv("FASTBP_DATA_CACHE", str(tmp_path))
    assert cli.main(["data", "fetch", "digits"]) == 0
    assert capsys.readouterr().out == f"{tmp_path / 'digits'}\n"
    assert len(list((tmp_path / "digits").glob("*ubyte"))) == 4


def test_data_fetch_without_a_network(monkeypatch: pytest.MonkeyPatch, refused: Refused) -> None:
    def fail(_: str) -> None:
        raise DataError("mnist: could not be downloaded")

    monkeypatch.setattr(datasets, "fetch", fail)
    assert "mnist: could not be downloaded" in refused(cli.main(["data", "fetch", "mnist"]), 1)


def test_config(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["config"]) == 0
    text = capsys.readouterr().out
    assert np.__version__ in text
    assert cli.main(["config", "--json"]) == 0
    assert np.__version__ in json.dumps(json.loads(capsys.readouterr().out))


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        cli.main(["--version"])
    assert capsys.readouterr().out == f"fastbp {fastbp.__version__}\n"


def test_versions_are_those_of_the_code_not_of_what_was_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.metadata.version", lambda name: "0.0.1")
    assert fastbp.runtime.config()["fastbp"] == fastbp.__version__
    assert fastbp.runtime.config()["numpy"] == np.__version__
    fastbp.Network(2, [fastbp.Dense(1)]).save(tmp_path / "net.npz")
    with np.load(tmp_path / "net.npz") as arrays:
        assert json.loads(arrays["header"].item())["fastbp"] == fastbp.__version__


@pytest.mark.parametrize("command", COMMANDS)
def test_help_fits_80_columns(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        cli.main([*command.split(), "--help"])
    text = capsys.readouterr().out
    assert f"usage: fastbp {command}".strip() in text
    assert max(map(len, text.splitlines())) <= 80


def test_help_offers_hidden_layers_what_they_take(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        cli.main(["train", "--help"])
    hidden, last = re.findall(r"activation NAME\s+(.*?)\(", capsys.readouterr().out, re.S)
    assert "identity" in hidden
    assert not re.search("softmax|exp", hidden)
    assert re.search(r"softmax\s+or\s+exp", last)


def test_results_fit_80_columns(
    model: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("FASTBP_DATA", raising=False)
    monkeypatch.chdir(model.parent)
    check = "check --layers 1000,1000,10 --samples 1 --parameters 5 --activation leaky_relu"
    for line in [f"evaluate model.npz --data {folder}", check, "data list", "config"]:
        assert cli.main(line.split()) == 0
    for text in capsys.readouterr().out.splitlines():
        assert len(text) <= 80 or os.sep in text, text  # a path is as long as it is


USAGE: dict[str, str] = {
    "": "COMMAND",
    "trian": "train",
    "data": "COMMAND",
    "train --epoch 3": "--epoch",
    "train --epochs 0": "--epochs",
    "train --epochs 1.5": "--epochs",
    "train --data minst": "--data: .*'mnist'",
    "train --data {tmp}/nope": "--data: .*nope.* or a folder",
    "report {run} --data ./nope": "--data: .*nope.* or a folder",
    "train --data {folder} --layers 36": "--layers",
    "train --data {folder} --layers 36,0,3": "--layers",
    "train --data {folder} --layers 36,x,3": "--layers",
    "train --data {folder} --layers 35,3": "--layers: .*36 inputs",
    "train --data {folder} --layers 36,2": "--layers: .*3 classes",
    "train --data {folder} --activation sigmoyd": "--activation: .*'sigmoid'",
    "train --data {folder} --activation softmax": "softmax",
    "train --data {folder} --output-activation max": "--output-activation",
    "train --data {folder} --cost squares": "--cost",
    "train --data {folder} --output-activation relu": "--cost|cross_entropy",
    "train --data {folder} --optimizer adm": "--optimizer: .*'adam'",
    "train --data {folder} --learning-rate -1": "--learning-rate",
    "train --data {folder} --learning-rate nan": "--learning-rate",
    "train --data {folder} --learning-rate fast": "--learning-rate",
    "train --data {folder} --momentum 1": "--momentum",
    "train --data {folder} --momentum 0.9 --optimizer adam": "--momentum",
    "train --data {folder} --batch-size 0": "--batch-size",
    "train --data {folder} --batch-size x": "--batch-size",
    "train --data {folder} --batch-size 100000000000000000000": "--batch-size: .*at most",
    "train --data {folder} --seed -1": "--seed",
    "train --data {folder} --threads 0": "--threads",
    "train --data {folder} --dtype float16": "--dtype",
    "train --data {folder} --out {model}": "--out",
    "evaluate": "model",
    "evaluate {model} --data {folder} --split half": "--split",
    "evaluate {model} --data digits": "--data: .*64 inputs",
    "predict {model}": "FILE",
    "check --layers 0": "--layers",
    "check --samples 0": "--samples",
    "check --cost cross-entropy": "--cost: .*'cross_entropy'",
    "data fetch": "name",
    "data fetch minst": "argument name: .*'mnist'",
    "config now": "now",
}


@pytest.mark.parametrize("line", USAGE)
def test_usage_errors(
    line: str, folder: Path, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refused: Refused
) -> None:
    monkeypatch.chdir(tmp_path)
    err = refused(cli.main(line.format(folder=folder, model=model, run=model.parent, tmp=tmp_path).split()), 2)
    message = err.split(": ", 1)[1]
    assert re.search(USAGE[line], message), message
    assert "--help)" in err
    assert not list(tmp_path.iterdir())  # nothing was begun


WRONG: dict[str, str] = {
    "train --data {tmp}": "train-images",
    "evaluate absent.npz --data {folder}": "absent.npz",
    "evaluate {tmp}/text.npz --data {folder}": "text.npz",
    "predict {tmp}/text.npz a.png": "text.npz",
}


@pytest.mark.parametrize("line", WRONG)
def test_other_errors(
    line: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refused: Refused
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.npz").write_text("hello")
    assert WRONG[line] in refused(cli.main(line.format(folder=folder, tmp=tmp_path).split()), 1)


def test_an_unexpected_error_is_one_line_too(
    monkeypatch: pytest.MonkeyPatch, refused: Refused, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail() -> None:
        raise RuntimeError("two\nlines")

    monkeypatch.setattr(datasets, "available", fail)
    assert "RuntimeError: two lines (--debug" in refused(cli.main(["data", "list"]), 1)
    assert cli.main(["data", "list", "--debug"]) == 1
    err = capsys.readouterr().err
    assert "Traceback" in err
    assert "in fail" in err


def test_a_full_disk(train: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refused: Refused) -> None:
    def refuse(*_: object) -> None:
        raise OSError(28, "No space left on device", "model.npz")

    monkeypatch.setattr(os, "replace", refuse)
    assert "model.npz: No space left on device" in refused(train(tmp_path, "--quiet"), 1)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("line", "status", "expected"),
    [
        ("data list >/dev/full", 1, "fastbp data list: No space left on device\n"),
        ("--help >/dev/full", 1, "fastbp: No space left on device\n"),
        ("data list >&-", 0, ""),
        ("data list 2>&-", 0, ""),
        ("data lost >&- 2>&-", 2, ""),
        ("data lost 2>/dev/full", 2, ""),
    ],
)
def test_output_that_cannot_be_written(line: str, status: int, expected: str) -> None:
    buffered = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    command = ["sh", "-c", f'exec "{sys.executable}" -m fastbp {line}']
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=buffered)
    assert (done.returncode, done.stderr) == (status, expected)


def test_a_reader_that_leaves_early() -> None:
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-W", "error", "-m", "fastbp", "data", "list"]
    done = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, text=True, check=False)
    os.close(write)
    assert (done.returncode, done.stderr) == (1, "")
