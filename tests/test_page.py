"""The page's file: what is in it, what it says it lacks, how large it is, and what may not get into it."""

from __future__ import annotations

import html.parser
import json
import re
import runpy
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import fastbp
from fastbp import Dense, Network, cli, datasets, report
from fastbp.report.page import LARGEST

if TYPE_CHECKING:
    from cli_runs import Bars, Refused, Train


def data_of(path: Path) -> dict[str, Any]:
    """What the page's script element holds, as a browser finds it: up to the first end tag."""
    found = re.search(r'<script type="application/json" id="data">(.*?)</script', path.read_text(), re.S)
    assert found
    return dict(json.loads(found[1]))


class Elements(html.parser.HTMLParser):
    """The tags of a page, and every address that it names."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href", "action", "data")]


def elements(path: Path) -> Elements:
    """Parse a page as a browser would."""
    found = Elements()
    found.feed(path.read_text())
    return found


@pytest.fixture
def network() -> Network:
    """A small network on images of 6 x 6."""
    return Network(36, [Dense(8, "tanh"), Dense(3, "softmax")], seed=1)


def test_a_run_becomes_a_page(model: Path, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["report", str(model.parent), "--data", str(folder), "--json"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    result, page = json.loads(out), model.parent / "report.html"
    assert (result["page"], result["bytes"]) == (str(page), page.stat().st_size)
    data, history = data_of(page), json.loads((model.parent / "history.json").read_text())
    assert data["history"].pop("epochs") == list(range(1, 9))
    assert data["history"] == {name: [float(f"{value:.6g}") for value in history[name]] for name in data["history"]}
    assert len(data["history"]) == 4
    confusion = np.array(data["confusion"])
    assert confusion.sum() == 30
    assert np.trace(confusion) / 30 == pytest.approx(result["test_accuracy"])
    assert len(data["batch"]["y"]) == 90
    assert dict(data["facts"])["epochs"] == "8"
    assert data["notes"] == []
    assert data["title"].startswith("36-8-3 on bars")


def test_the_run_names_its_data_itself(model: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert cli.main(["report", str(model.parent), "--out", str(tmp_path / "a.html")]) == 0
    assert capsys.readouterr().err == ""
    assert "confusion" in data_of(tmp_path / "a.html")


def test_a_run_names_a_folder_of_a_catalogues_name(
    bars: Bars, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "digits").mkdir()
    for part in "train", "t10k":
        x, y = bars(20, 1)
        datasets.write_idx(tmp_path / f"digits/{part}-images-idx3-ubyte", np.tile(x[:, :4, :4], 2).repeat(2, axis=1))
        datasets.write_idx(tmp_path / f"digits/{part}-labels-idx1-ubyte", y)  # 64 inputs and fewer classes, as digits
    monkeypatch.chdir(tmp_path)
    own = ["train", "--data", "./digits", "--layers", "64,10", "--epochs", "1", "--quiet", "--out", "own"]
    assert cli.main(own) == 0
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    capsys.readouterr()
    for command in "report ../own", "explain ../own/model.npz", "evaluate ../own/model.npz --split train":
        assert cli.main([*command.split(), "--json"]) == 0
        out, err = capsys.readouterr()
        assert err == ""
        assert json.loads(out)["data"] == "digits"
    assert json.loads(out)["samples"] == 20
    assert sum(map(sum, data_of(tmp_path / "own/report.html")["confusion"])) == 20


def test_the_page_loads_nothing(network: Network, tmp_path: Path) -> None:
    report.save_page(tmp_path / "a.html", network)
    found = elements(tmp_path / "a.html")
    assert found.addresses == ["data:,"]
    assert found.tags.count("script") == 2
    assert "link" in found.tags
    assert "default-src 'none'" in (tmp_path / "a.html").read_text()


def test_names_stay_text(network: Network, tmp_path: Path) -> None:
    evil = "</script><script>alert(1)</script></title><img src=x onerror=alert(2)>{{js}}<!--"
    report.save_page(tmp_path / "a.html", network, title=evil, facts=[(evil, evil)])
    report.save_page(tmp_path / "b.html", network, title="plain", facts=[("plain", "plain")])
    assert elements(tmp_path / "a.html").tags == elements(tmp_path / "b.html").tags
    assert data_of(tmp_path / "a.html")["title"] == evil
    assert len((tmp_path / "a.html").read_text()) < len((tmp_path / "b.html").read_text()) + 10 * len(evil)


def test_the_hardest_come_first(network: Network, bars: Bars, tmp_path: Path) -> None:
    x, y = bars(50, 4)
    report.save_page(tmp_path / "a.html", network, test=(x, y.astype(np.int64)))
    hardest = data_of(tmp_path / "a.html")["hardest"]
    costs = [network.cost(x[i].reshape(1, 36), [int(y[i])]) for i in range(50)]
    assert hardest["index"] == np.argsort(costs)[::-1][: len(hardest["index"])].tolist()
    assert hardest["y"] == y[hardest["index"]].tolist()
    assert hardest["predicted"] == network.classify(x)[hardest["index"]].tolist()


@pytest.mark.parametrize(
    ("cost", "activation"),
    [("cross_entropy", "sigmoid"), ("sum_of_squares", "identity"), ("huber", "identity"), ("poisson", "exp")],
)
@pytest.mark.parametrize("n_out", [1, 3])
def test_the_hardest_by_every_kind_of_cost(cost: str, activation: str, n_out: int, rng: np.random.Generator) -> None:
    network = Network(4, [Dense(n_out, activation)], cost=cost, seed=2)
    x, y = 3 * rng.normal(size=(20, 4)), rng.integers(0, max(2, n_out), 20)
    found = report.page.gather.errors_data(network, x, y)["hardest"]["index"]
    costs = [network.cost(x[i : i + 1], y[i : i + 1] if n_out > 1 else y[i : i + 1].astype(float)) for i in range(20)]
    np.testing.assert_array_equal(found, np.argsort(-np.array(costs), kind="stable"))


def test_a_run_without_its_history_says_so(train: Train, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert train(tmp_path, "--quiet") == 0
    (tmp_path / "history.json").unlink()
    (tmp_path / "config.json").unlink()
    capsys.readouterr()
    assert cli.main(["report", str(tmp_path)]) == 0
    err, notes = capsys.readouterr().err, data_of(tmp_path / "report.html")["notes"]
    assert "--data" in err
    assert "no history" in err
    assert len(notes) == 2
    assert "no curves" in notes[0]
    assert "no samples" in notes[1]
    assert "history" not in data_of(tmp_path / "report.html")


def test_a_history_with_holes(network: Network, tmp_path: Path) -> None:
    history = {"cost": [1.0, float("nan"), float("inf")], "accuracy": "none", "validation_cost": [None, "a", 2]}
    report.save_page(tmp_path / "a.html", network, history=history)
    curves = {"cost": [1.0, None, None], "validation_cost": [None, None, 2.0]}
    assert data_of(tmp_path / "a.html")["history"] == curves | {"epochs": [1, 2, 3]}


def test_a_long_history_leaves_room_for_the_network(network: Network, tmp_path: Path, rng: np.random.Generator) -> None:
    history = {name: rng.uniform(size=100_000).tolist() for name in ("cost", "validation_cost")}
    history["validation_cost"].pop()  # the last epoch was not validated
    notes = report.save_page(tmp_path / "a.html", network, history=history)
    data = data_of(tmp_path / "a.html")
    assert data["network"]["bits"] == 32
    assert notes[0] == "The curves show 2,000 of 100,000 epochs."
    epochs = data["history"]["epochs"]
    assert epochs == list(range(50, 100_001, 50))
    np.testing.assert_allclose(data["history"]["cost"], np.array(history["cost"])[49::50], rtol=5e-6)  # six digits
    assert len(data["history"]["validation_cost"]) == 1_999


def test_many_classes_have_no_confusion_matrix(tmp_path: Path, rng: np.random.Generator) -> None:
    for n, has in (100, True), (101, False):
        network = Network(3, [Dense(n, "softmax")], seed=0)
        notes = report.save_page(tmp_path / "a.html", network, test=(rng.normal(size=(9, 3)), rng.integers(0, n, 9)))
        assert ("confusion" in data_of(tmp_path / "a.html")) == has
        assert ("101 classes are too many for a confusion matrix." in notes) != has
        assert data_of(tmp_path / "a.html")["hardest"]["y"]


def test_inputs_that_are_no_image(tmp_path: Path, rng: np.random.Generator) -> None:
    network = Network(3, [Dense(4, "tanh"), Dense(2, "softmax")])
    notes = report.save_page(tmp_path / "a.html", network, test=(rng.normal(size=(9, 3)), rng.integers(0, 2, 9)))
    data = data_of(tmp_path / "a.html")
    assert any("no square image" in note for note in notes)
    assert data["network"]["side"] == 0
    assert data["batch"]["type"] == "float32"
    assert data["confusion"]


def test_a_label_without_an_output_is_named(
    network: Network, model: Path, folder: Path, bars: Bars, tmp_path: Path, refused: Refused
) -> None:
    x, _ = bars(2, 4)
    for bad in ({"test": (x, [0, 3])}, {"batch": (x, [0, 3])}, {"sample": (x[0], 3)}):
        with pytest.raises(ValueError, match="got class 3, expected whole numbers from 0 to 2"):
            report.save_page(tmp_path / "a.html", network, **bad)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"y: got float64 of shape \(2,\)"):
        report.save_page(tmp_path / "a.html", network, test=(x, [0.0, 1.0]))
    arguments = ["explain", str(model), "--data", str(folder), "--out", str(tmp_path / "a.html")]
    assert "argument --label: got 3, but the network has outputs for 0 to 2" in refused(
        cli.main([*arguments, "--label", "3"]), 2
    )
    assert "argument --sample: got 30, expected 0 to 29" in refused(cli.main([*arguments, "--sample", "30"]), 2)
    assert not list(tmp_path.iterdir())


def test_explain_prints_what_the_library_finds(
    model: Path, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "one.html"
    arguments = ["explain", str(model), "--data", str(folder), "--sample", "3", "--label", "2"]
    assert cli.main([*arguments, "--json", "--out", str(page)]) == 0
    result = json.loads(capsys.readouterr().out)
    split = fastbp.datasets.load(folder)[1]
    e = fastbp.explain(Network.load(model), split.x[3], 2)
    assert result["cost"] == e.cost
    assert result["output_nudges"] == e.output_nudges.tolist()
    assert (result["class"], result["label"]) == (split.y[3], 2)
    data = data_of(page)
    assert (data["sample"]["y"], "history" in data, "confusion" in data) == ([2], False, False)
    assert cli.main(arguments) == 0
    assert len(capsys.readouterr().out.splitlines()) == 7 + 2 + 3


@pytest.mark.parametrize(("sizes", "bits"), [((784, 100, 10), 32), ((784, 800, 800, 10), range(6, 17))])
def test_wide_networks_stay_below_the_limit(sizes: tuple[int, ...], bits: Any, tmp_path: Path) -> None:
    network = Network(sizes[0], [Dense(n, "relu") for n in sizes[1:]], seed=0)
    x, y = np.random.default_rng(0).integers(0, 256, (300, 784)).astype(np.uint8), np.arange(300) % 10
    notes = report.save_page(tmp_path / "a.html", network, test=(x, y))
    data = data_of(tmp_path / "a.html")["network"]
    assert (tmp_path / "a.html").stat().st_size <= LARGEST
    if bits == 32:
        assert data["bits"] == 32
        return
    assert data["bits"] in bits
    assert f"rounded to {data['bits']} bits each. On 300 samples" in notes[-1]
    rounded = fastbp.report.page.gather.packed(network, data["bits"])[1]
    worst = np.abs(rounded.forward(x).astype(np.float64) - network.forward(x)).max()
    assert data["largest_change"] == pytest.approx(worst)
    assert 0 < worst < 0.05


def test_too_wide_a_network_says_so_and_shows_its_weights(tmp_path: Path) -> None:
    network = Network(784, [Dense(5000, "relu"), Dense(10, "softmax")], seed=0)
    notes = report.save_page(tmp_path / "a.html", network, test=(np.zeros((3, 784), np.uint8), [1, 2, 3]))
    data = data_of(tmp_path / "a.html")
    assert "do not fit" in notes[-1]
    assert "parameters" not in data["network"]
    assert len(data["pictures"]["units"]) == 48
    assert data["hardest"]["predicted"]
    assert (tmp_path / "a.html").stat().st_size <= LARGEST


def test_a_page_is_whole_or_not_there(network: Network, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = tmp_path / "a.html"
    page.write_text("old")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", full)
        with pytest.raises(OSError, match="No space left"):
            report.save_page(page, network)
    assert page.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["a.html"]


def test_what_is_wrong_with_a_run_is_named(
    model: Path, folder: Path, tmp_path: Path, refused: Refused, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "there is no model.npz in it" in refused(cli.main(["report", str(tmp_path)]), 2)
    (tmp_path / "model.npz").write_bytes(model.read_bytes())
    for text, message in {"{": "not JSON", "[]": "holds a list"}.items():
        (tmp_path / "history.json").write_text(text)
        assert message in refused(cli.main(["report", str(tmp_path)]), 1)
    (tmp_path / "history.json").unlink()
    arguments = ["report", str(tmp_path), "--data", str(folder)]
    assert "is a folder" in refused(cli.main([*arguments, "--out", str(tmp_path)]), 2)
    assert "no folder" in refused(cli.main([*arguments, "--out", str(tmp_path / "x" / "a.html")]), 2)
    (tmp_path / "config.json").write_text(json.dumps({"data": "gone", "source": str(tmp_path / "gone")}))
    assert cli.main(["report", str(tmp_path)]) == 0
    assert "--data names another" in capsys.readouterr().err


def test_the_same_run_gives_the_same_page(network: Network, tmp_path: Path) -> None:
    for name in "ab":
        report.save_page(tmp_path / name, network, title="x")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_the_packed_page_is_installed() -> None:
    web = Path(report.page.__file__).parent / "web"
    listed = (Path(fastbp.__file__).parents[1] / "pyproject.toml").read_text()
    assert '"report/page/web/*"' in listed
    assert {path.stem for path in web.glob("*.js")} == set(report.page.SCRIPTS)


def test_drawing_the_guides_pictures_says_what_it_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("playwright", "playwright.sync_api"):
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(SystemExit, match=r"playwright.*browser"):
        runpy.run_path(str(Path(__file__).parent.parent / "scripts" / "draw_page.py"))
