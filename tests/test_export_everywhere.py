"""scripts/export_everywhere.py: one network, the same classes from every runtime that is here."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from fastbp import DataError, datasets
from fastbp.datasets import Split

SCRIPTS = Path(__file__).parent.parent / "scripts"


def load(name: str) -> ModuleType:
    """A script as a module."""
    spec = importlib.util.spec_from_file_location(name, SCRIPTS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def script() -> ModuleType:
    """The script as a module."""
    return load("export_everywhere")


def rows(text: str) -> dict[str, str]:
    """What is said of each runtime."""
    return {line.split()[0]: line.split(maxsplit=1)[1] for line in text.splitlines()}


def test_every_runtime_that_is_here_agrees(
    script: ModuleType, model: Path, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert script.main([str(model), "--data", str(folder), "--out", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    said = rows(out)
    assert set(script.RUNTIMES) <= set(said)
    assert all("30 of 30" in said[name] or "not here" in said[name] for name in script.RUNTIMES)
    assert max(map(len, out.splitlines()[:-1])) <= 80


def test_mnist_the_same_class_for_all_digits(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FASTBP_DATA_CACHE", str(tmp_path))
    if not any(item.found for item in datasets.available() if item.name == "mnist"):
        pytest.skip("needs the full MNIST in $FASTBP_DATA/mnist")
    load("train_mnist").main(tmp_path / "run", epochs=3)
    capsys.readouterr()
    assert script.main([str(tmp_path / "run" / "model.npz")]) == 0
    said = rows(capsys.readouterr().out)
    here = [name for name in script.RUNTIMES if "not here" not in said[name]]
    assert all("10,000 of 10,000" in said[name] for name in here)
    if not here:
        pytest.skip("needs onnxruntime, PyTorch or a C compiler")


def test_a_runtime_that_sees_something_else(
    script: ModuleType, model: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    def wrong(network: Any, x: Any, _: Path) -> Any:
        outputs = network.forward(x)
        outputs[7] = np.roll(outputs[7], 1)
        return outputs

    def absent(*_: object) -> Any:
        raise ImportError("no such thing", name="nothing")

    monkeypatch.setattr(script, "RUNTIMES", {"wrong": wrong, "absent": absent})
    assert script.main([str(model), "--data", str(folder), "--out", str(tmp_path)]) == 1
    said = rows(capsys.readouterr().out)
    assert "29 of 30" in said["wrong"]
    assert said["absent"] == "not here: needs nothing"


def test_what_is_missing_is_said_in_one_line(
    script: ModuleType, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    def load(name: str) -> tuple[Split, Split]:
        raise DataError(f"{name}: could not be downloaded")

    monkeypatch.setattr(datasets, "load", load)
    for line, message in [([str(tmp_path / "no.npz")], "no.npz"), ([str(model)], "mnist: could not be downloaded")]:
        assert script.main([*line, "--out", str(tmp_path / "out")]) == 1
        out, err = capsys.readouterr()
        assert out == ""
        assert message in err
        assert err.count("\n") == 1
    assert not (tmp_path / "out").exists()
