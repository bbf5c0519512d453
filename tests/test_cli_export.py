"""fastbp export: a saved network for other programs, from the shell."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from fastbp import Network, cli

if TYPE_CHECKING:
    from cli_runs import Bars, Refused

PACKAGES = {"onnx": "onnx", "safetensors": "safetensors", "torch": "safetensors", "c": "numpy"}


@pytest.fixture
def copied(model: Path, tmp_path: Path) -> Path:
    """The saved network of a good run, alone in its folder."""
    copy = tmp_path / "model.npz"
    copy.write_bytes(model.read_bytes())
    return copy


@pytest.mark.parametrize(
    ("to", "suffix"), [("onnx", "onnx"), ("safetensors", "safetensors"), ("torch", "safetensors"), ("c", "c")]
)
def test_every_format(to: str, suffix: str, copied: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip(PACKAGES[to])
    path = copied.with_suffix(f".{suffix}")
    assert cli.main(["export", str(copied), "--to", to, "--json"]) == 0
    out, err = capsys.readouterr()
    result = json.loads(out)
    assert err == ""
    assert (result["file"], result["format"], result["bytes"]) == (str(path), to, path.stat().st_size)
    assert sorted(os.listdir(copied.parent)) == sorted(["model.npz", path.name])
    write = {"onnx": Network.to_onnx, "c": Network.to_c}.get(to, Network.to_safetensors)
    write(Network.load(copied), copied.parent / "same")
    assert path.read_bytes() == (copied.parent / "same").read_bytes()
    assert cli.main(["export", str(copied), "--to", to, "--out", str(copied.parent / "other")]) == 0  # a second run
    out, _ = capsys.readouterr()
    assert str(copied.parent / "other") in out
    assert (copied.parent / "other").read_bytes() == path.read_bytes()


def test_uint8_and_a_name(copied: Path, tmp_path: Path) -> None:
    out = tmp_path / "bars.c"
    options = ["--out", str(out), "--input-dtype", "uint8", "--name", "bars"]
    assert cli.main(["export", str(copied), "--to", "c", *options]) == 0
    assert "int bars_classify(const unsigned char x[36]);" in out.read_text()


def test_what_torch_prints_runs(copied: Path, bars: Bars, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("torch")
    pytest.importorskip("safetensors")
    assert cli.main(["export", str(copied), "--to", "torch"]) == 0
    code = capsys.readouterr().out
    x = bars(20, 5)[0].reshape(20, 36)
    np.save(copied.parent / "x.npy", x)
    code += (
        "\nimport numpy, torch\n"
        f"x = torch.from_numpy(numpy.load({str(copied.parent / 'x.npy')!r})).float() / 255\n"
        "print(model(x).argmax(dim=1).tolist())\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == Network.load(copied).classify(x).tolist()


def test_help_fits_80_columns(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        cli.main(["export", "--help"])
    text = capsys.readouterr().out
    assert "onnx, safetensors, c, torch" in text
    assert max(map(len, text.splitlines())) <= 80


USAGE: dict[str, str] = {
    "export": "model",
    "export {model}": "--to",
    "export {model} --to onxx": "--to: .*'onnx'",
    "export {model} --to c --out {model}": "--out: .*the model itself",
    "export {model} --to c --name 2nd": "--name: got '2nd'",
    "export {model} --to c --input-dtype int8": "--input-dtype: .*'uint8'",
    "export {model} --to torch --input-dtype uint8": "--input-dtype: not of --to torch",
    "export {model} --to onnx --name digits": "--name: not of --to onnx",
}


@pytest.mark.parametrize("line", USAGE)
def test_usage_errors(line: str, copied: Path, refused: Refused) -> None:
    before = copied.read_bytes()
    err = refused(cli.main(line.format(model=copied).split()), 2)
    assert re.search(USAGE[line], err), err
    assert copied.read_bytes() == before
    assert os.listdir(copied.parent) == ["model.npz"]


def test_what_is_wrong_with_files(copied: Path, tmp_path: Path, refused: Refused) -> None:
    for line, message in {
        f"export {tmp_path}/absent.npz --to c": "absent.npz: No such file",
        f"export {copied} --to c --out {tmp_path}/nowhere/a.c": "nowhere/a.c: No such file",
        f"export {copied} --to c --out {tmp_path}": "Is a directory",
    }.items():
        assert message in refused(cli.main(line.split()), 1)


def test_a_missing_package(copied: Path, refused: Refused, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    err = refused(cli.main(["export", str(copied), "--to", "onnx"]), 1)
    assert err == 'fastbp export: to_onnx needs the package onnx: pip install "fastbp[exchange]"\n'
