"""fastbp predict: pictures and arrays become the samples that the network knows."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from numpy.typing import NDArray

from fastbp import Dense, Network, cli
from fastbp.cli.images import read_samples

if TYPE_CHECKING:
    from cli_runs import Bars, Images, Refused


def picture(path: Path, gray: NDArray[Any], size: tuple[int, int] | None = None) -> str:
    """Save a picture, enlarged where asked."""
    image = pytest.importorskip("PIL.Image")
    made = image.fromarray(gray)
    (made if size is None else made.resize(size, 0)).save(path)
    return str(path)


def predicted(model: Path, *files: str, capsys: pytest.CaptureFixture[str]) -> tuple[list[Any], str]:
    """What predict finds, and what it notes on stderr."""
    assert cli.main(["predict", str(model), *files, "--json"]) == 0
    out, err = capsys.readouterr()
    return json.loads(out), err


def test_predict_several_files(model: Path, bars: Bars, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    x, _ = bars(4, 3)
    np.save(tmp_path / "many.npy", x)
    np.save(tmp_path / "rows.npy", x.reshape(4, 36))
    np.save(tmp_path / "image.npy", x[1])
    np.save(tmp_path / "row.npy", x[2].ravel())
    names = ["many.npy", "rows.npy", "image.npy", "row.npy"]
    files = [*(str(tmp_path / name) for name in names), picture(tmp_path / "a.png", x[3])]
    found, err = predicted(model, *files, capsys=capsys)
    network = Network.load(model)
    samples = x.reshape(4, 36)[[0, 1, 2, 3, 0, 1, 2, 3, 1, 2, 3]]
    assert err == ""
    assert [item["class"] for item in found] == network.classify(samples).tolist()
    np.testing.assert_array_equal([item["outputs"] for item in found], network.forward(samples))
    assert [item["index"] for item in found] == [0, 1, 2, 3, 0, 1, 2, 3, 0, 0, 0]
    assert cli.main(["predict", str(model), *files]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 11
    label, top = found[2]["class"], found[2]["outputs"][found[2]["class"]]
    assert lines[2] == f"{files[0]}[2]: {label} ({top:.3f})"
    assert lines[-1].startswith(f"{files[-1]}: {found[-1]['class']} (")


def test_json_has_null_for_infinity(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    network = Network(36, [Dense(1, "exp")], seed=0)
    network.biases[0][:] = 1e4
    network.save(tmp_path / "model.npz")
    np.save(tmp_path / "a.npy", np.zeros(36))
    assert predicted(tmp_path / "model.npz", str(tmp_path / "a.npy"), capsys=capsys)[0][0]["outputs"] == [None]
    assert cli.main(["predict", str(tmp_path / "model.npz"), str(tmp_path / "a.npy")]) == 0
    assert capsys.readouterr().out.endswith("(inf)\n")


def test_a_name_that_stdout_cannot_spell(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    np.save(tmp_path / "\N{EURO SIGN}.npy", np.zeros(36))
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(io.BytesIO(), encoding="ascii"))
    assert cli.main(["predict", str(model), str(tmp_path / "\N{EURO SIGN}.npy")]) == 0
    assert b"/\\u20ac.npy: " in sys.stdout.buffer.getvalue()  # type: ignore[attr-defined]


PICTURES: dict[str, Callable[[Images], NDArray[Any]]] = {
    "gray": lambda x: x,
    "dark on light": lambda x: 255 - x,
    "colour": lambda x: np.stack([x, x, x], axis=-1),
    "16 bits": lambda x: x.astype(np.uint16) * 257,
    "white ink on nothing": lambda x: np.stack([np.full_like(x, 255)] * 3 + [x], axis=-1),
    "black ink on nothing": lambda x: np.stack([np.zeros_like(x)] * 3 + [x], axis=-1),
}


@pytest.mark.parametrize("kind", PICTURES)
def test_every_kind_of_picture_becomes_the_same_sample(
    kind: str, model: Path, bars: Bars, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    x = bars(1, 5)[0]
    found, err = predicted(model, picture(tmp_path / "a.png", PICTURES[kind](x[0])), capsys=capsys)
    np.testing.assert_array_equal(found[0]["outputs"], Network.load(model).forward(x)[0])
    assert ("inverted" in err) == (kind in ("dark on light", "black ink on nothing"))


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])  # none, half a turn, a quarter to the left, one to the right
def test_a_photograph_is_seen_as_the_camera_was_held(orientation: int, tmp_path: Path, bars: Bars) -> None:
    image = pytest.importorskip("PIL.Image")
    exif, x = image.Exif(), bars(1, 5)[0][0]
    exif[0x0112] = orientation
    turned = np.rot90(x, {1: 0, 3: 2, 6: 1, 8: 3}[orientation])
    image.fromarray(np.ascontiguousarray(turned)).save(tmp_path / "a.png", exif=exif)
    np.testing.assert_array_equal(read_samples(tmp_path / "a.png", 36)[0].reshape(6, 6), x)


def test_a_picture_is_resized_in_its_proportions(tmp_path: Path, bars: Bars) -> None:
    x = bars(1, 5)[0][0]
    square, note = read_samples(Path(picture(tmp_path / "square.png", x, (60, 60))), 36)
    assert "60 x 60 pixels, so resized to 6 x 6" in note
    narrow, _ = read_samples(Path(picture(tmp_path / "narrow.png", x[:, 2:4], (20, 60))), 36)
    # Every pixel became 10 x 10: only the filter's reach into neighbours, some 200 apart, keeps it from coming back.
    np.testing.assert_allclose(square.reshape(6, 6), x, atol=40)
    padded = np.where([0, 0, 1, 1, 0, 0], x, 0)
    np.testing.assert_allclose(narrow.reshape(6, 6), padded, atol=40)


def damaged_png(path: Path) -> None:
    """A PNG cut in its middle."""
    picture(path, np.random.default_rng(0).integers(0, 256, (60, 60), np.uint8))
    path.write_bytes(path.read_bytes()[:2000])


BAD_FILES: dict[str, tuple[str, Callable[[Path], object]]] = {
    "missing": ("a.png", lambda path: None),
    "a folder": ("a.png", lambda path: path.mkdir()),
    "not a picture": ("a.png", lambda path: path.write_text("hello")),
    "an empty picture": ("a.png", lambda path: path.touch()),
    "cut": ("a.png", damaged_png),
    "32 bits a pixel": ("a.tif", lambda path: picture(path, np.full((6, 6), 255, np.int32))),
    "floats": ("a.tif", lambda path: picture(path, np.ones((6, 6), np.float32))),
    "not npy": ("a.npy", lambda path: path.write_text("hello")),
    "an empty npy": ("a.npy", lambda path: path.touch()),
    "objects": ("a.npy", lambda path: np.save(path, np.array([{}, {}], dtype=object), allow_pickle=True)),
    "too wide": ("a.npy", lambda path: np.save(path, np.zeros((2, 37)))),
    "no samples": ("a.npy", lambda path: np.save(path, np.zeros((0, 36)))),
    "a number": ("a.npy", lambda path: np.save(path, np.float64(3))),
    "NaN": ("a.npy", lambda path: np.save(path, np.full((1, 36), np.nan))),
    "text": ("a.npy", lambda path: np.save(path, np.full((1, 36), "a"))),
}


@pytest.mark.parametrize("kind", BAD_FILES)
def test_predict_names_a_bad_file(kind: str, model: Path, tmp_path: Path, refused: Refused) -> None:
    name, make = BAD_FILES[kind]
    make(tmp_path / name)
    np.save(tmp_path / "good.npy", np.zeros((1, 36)))
    files = [str(tmp_path / "good.npy"), str(tmp_path / name)]
    assert f"{tmp_path / name}:" in refused(cli.main(["predict", str(model), *files]), 1)
