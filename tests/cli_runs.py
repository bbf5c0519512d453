"""Fixtures of the tests of the fastbp command: data, a saved run, and a look at how a command failed.

conftest.py loads this file as a plugin.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from fastbp import cli, datasets

Images = NDArray[np.uint8]
Bars = Callable[[int, int], tuple[Images, Images]]
Train = Callable[..., int]
Refused = Callable[[int, int], str]


def _make_bars(n: int, seed: int) -> tuple[Images, Images]:
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 3, n).astype(np.uint8)
    x = rng.integers(0, 60, (n, 6, 6))
    x[np.arange(n), 1 + y] += 180
    return x.astype(np.uint8), y


@pytest.fixture(scope="session")
def bars() -> Bars:
    """Return ``bars(n, seed)``: n images of 6 x 6 and their classes; of three rows the bright one tells the class."""
    return _make_bars


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the four IDX files of such images."""
    folder = tmp_path_factory.mktemp("bars")
    for part, n, seed in ("train", 90, 1), ("t10k", 30, 2):
        x, y = _make_bars(n, seed)
        datasets.write_idx(folder / f"{part}-images-idx3-ubyte", x)
        datasets.write_idx(folder / f"{part}-labels-idx1-ubyte.gz", y)
    return folder


@pytest.fixture(scope="session")
def train(folder: Path) -> Train:
    """Return ``train(out, *options)``: train a small network, quickly and well; the exit status."""

    def train(out: Path, *options: str) -> int:
        quick = ["--layers", "36,8,3", "--learning-rate", "0.02", "--batch-size", "10", "--epochs", "8"]
        return cli.main(["train", "--data", str(folder), "--out", str(out), *quick, *options])

    return train


@pytest.fixture(scope="session")
def model(train: Train, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The saved network of a good run."""
    out = tmp_path_factory.mktemp("run")
    assert train(out, "--quiet") == 0
    return out / "model.npz"


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str]) -> Refused:
    """Return ``refused(status, expected)``: the one line of a command that failed, and printed no result."""

    def refused(status: int, expected: int) -> str:
        out, err = capsys.readouterr()
        assert status == expected, err
        assert out == ""
        assert err.startswith("fastbp")
        assert err.count("\n") == 1
        assert "Traceback" not in err
        return err

    return refused
