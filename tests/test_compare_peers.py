"""scripts/compare_peers.py: that it names the right cells, and lets nobody pass who learns something else."""

from __future__ import annotations

import doctest
import importlib
import json
import os
import sys
import tomllib
from contextlib import nullcontext
from dataclasses import asdict, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "scripts"))

import compare_peers
from peers import measure, report, worker
from peers.cells import Cell, grid, select
from peers.numpy_peer import NumpyPeer
from peers.work import difference, make_work, matrix_exponential
from peers.worker import check

TINY = Cell("tiny", (6, 5, 3), 24, 4, check_repeats=3, learning_rate=0.3)
RECORD = {
    "seconds": {"fastbp/1": [2e-3], "fastbp/2": [1e-3], "numpy/1": [9e-3], "jax/1": [8e-3], "jax/2": [3e-3]},
    "left_out": {"torch/1": "learns something else"},
}
RESULTS = {
    "command": "python scripts/compare_peers.py",
    "date": "2000-01-01",
    "machine": "2 CPUs",
    "data": "full MNIST",
    "peers": {"fastbp": "0.1", "numpy": "2.0", "jax": "0.5", "torch": "2.0"},
    "cells": {"784-800-800-10/1000": RECORD},
}


GOOD = {"check": {"cost": 0.5, "norm": 1.0, "projection": 0.3}, "moved": 2.0, "seconds": 1.0}


class Fake:
    """A worker that answers what it was given."""

    def __init__(self, name: str, answer: dict[str, Any]) -> None:
        self.name, self.key, self.answer, self.threads = name, f"{name}/1", answer, 1

    def ask(self, **request: Any) -> dict[str, Any]:
        """The same answer to everything."""
        return self.answer


@pytest.mark.parametrize("module", ["cells", "measure", "report", "work"])
def test_the_examples_in_the_docstrings_run(module: str) -> None:
    result = doctest.testmod(importlib.import_module(f"peers.{module}"))
    assert result.attempted
    assert not result.failed


def test_the_grid_has_every_cell_once_and_no_remainders() -> None:
    cells = grid()
    assert len({cell.name for cell in cells}) == len(cells) == 6 * 4 + 5
    for cell in cells:
        assert 0 < cell.n <= 60_000
        assert cell.n % cell.batch == 0


def test_a_subset_is_scaled_to_an_epoch() -> None:
    cell = next(cell for cell in grid() if cell.name == "784-800-800-10/100")
    assert cell.n < 60_000
    assert cell.unit[1] * cell.n == pytest.approx(60_000)
    assert cell.flops == 6 * cell.n_weights - 2 * 784 * 800


def test_cells_are_chosen_by_name_and_glob_in_the_order_of_the_grid() -> None:
    names = [cell.name for cell in select(["forward", "784-100-10/*", "adam"], grid())]
    assert names == ["784-100-10/1", "784-100-10/10", "784-100-10/100", "784-100-10/1000", "adam", "forward"]
    assert len(select(["all"], grid())) == len(grid())
    with pytest.raises(ValueError, match="nothing matches 'sgd'"):
        select(["sgd"], grid())


@pytest.mark.parametrize(
    ("key", "value"), [("cost", 0.501), ("norm", 1.01), ("projection", -0.3), ("cost", np.nan), ("norm", np.inf)]
)
def test_a_result_that_differs_is_seen(key: str, value: float) -> None:
    expected = {"cost": 0.5, "norm": 1.0, "projection": 0.3}
    assert difference(dict(expected), expected) == 0
    assert difference({**expected, key: value}, expected) > measure.TOLERANCE


def test_a_peer_that_learns_something_else_or_fails_is_left_out() -> None:
    bad, lazy = {**GOOD, "check": {**GOOD["check"], "projection": 0.301}}, {**GOOD, "moved": 1.7}
    team: Any = [Fake("fastbp", GOOD), Fake("numpy", {**GOOD, "moved": 2.1}), Fake("torch", bad)]
    team += [Fake("torch-compile", lazy), Fake("jax", {"error": "out of memory"})]
    said: list[str] = []
    record = measure.measure(TINY, [*team, Fake("sklearn", {"unsupported": "other cost"})], 2, said.append)
    assert set(record["seconds"]) == {"fastbp/1", "numpy/1"}
    assert record["seconds"]["numpy/1"] == [pytest.approx(60_000 / 24)] * 2
    assert "learns something else" in record["left_out"]["torch/1"]
    assert "other work when it is timed" in record["left_out"]["torch-compile/1"]
    assert record["left_out"]["jax/1"] == "out of memory"
    assert record["unsupported"] == {"sklearn": "other cost"}
    assert len(said) == 4


def test_who_is_left_out_is_compared_with_the_first_that_learnt() -> None:
    other = {**GOOD, "check": {**GOOD["check"], "cost": 0.6}}
    team: Any = [Fake("fastbp", {"error": "broken"}), Fake("numpy", GOOD), Fake("jax", other)]
    record = measure.measure(TINY, team, 1, lambda text: None)
    assert record["left_out"]["fastbp/1"] == "broken"
    assert "where numpy/1 has" in record["left_out"]["jax/1"]


class Lazy(NumpyPeer):
    """Learns nothing while it is timed."""

    def train(self, epochs: int, shuffle: bool) -> None:
        """Epochs in the order of the samples only."""
        super().train(0 if shuffle else epochs, shuffle)


@pytest.mark.parametrize(("kind", "close"), [(NumpyPeer, True), (Lazy, False)])
def test_what_is_timed_is_looked_at_too(
    kind: type, close: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = {"do": "prepare", "cell": json.dumps(asdict(TINY))}
    ours = worker.answer({}, request, "fastbp", 1, tmp_path)
    monkeypatch.setattr(worker, "load", lambda name: kind)
    theirs = worker.answer({}, request, "numpy", 1, tmp_path)
    assert difference(theirs["check"], ours["check"]) < measure.TOLERANCE
    assert (abs(theirs["moved"] / ours["moved"] - 1) < measure.SHUFFLED) == close


CASES = {
    "sgd": TINY,
    "one by one": replace(TINY, batch=1, hidden="tanh"),
    "adam": replace(TINY, optimizer="adam", learning_rate=0.01, output="identity", cost="half_sum_of_squares"),
    "full batch": replace(TINY, batch=24, optimizer="adam", hidden="tanh", output="identity", learning_rate=0.01),
    "in parts": replace(TINY, n=2000, batch=2000),
    "gradient": replace(TINY, batch=24, task="gradient"),
    "forward": replace(TINY, batch=24, task="forward"),
}


@pytest.mark.filterwarnings("ignore:Stochastic Optimizer")
@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("peer", ["numpy", "torch", "jax", "sklearn"])
def test_a_peer_learns_what_fastbp_learns(
    peer: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JAX_PLATFORMS", "cuda")  # a GPU, if there is one, is not what fastbp is compared with
    pytest.importorskip(peer)
    work = make_work(CASES[name], tmp_path)
    try:
        theirs = check(worker.load(peer)(work, 1), work)
    except NotImplementedError as error:
        pytest.skip(str(error))
    assert theirs["norm"] > 1e-3
    assert difference(theirs, check(worker.load("fastbp")(work, 1), work)) < 1e-5  # float32 rounds at 6e-8, many times


def test_the_target_of_the_small_network_is_the_matrix_exponential() -> None:
    turn = np.array([[[0.0, -np.pi / 2], [np.pi / 2, 0.0]], [[1.0, 0.0], [0.0, -2.0]]])
    expected = [[[0, -1], [1, 0]], [[np.e, 0], [0, np.exp(-2)]]]
    np.testing.assert_allclose(matrix_exponential(turn), expected, atol=1e-12)


def test_a_worker_answers_from_a_process_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sklearn.py").write_text("raise ImportError('not here')\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    said: list[str] = []
    with measure.workers(["numpy", "sklearn"], [1], tmp_path, said.append) as team:
        assert [worker.key for worker in team] == ["numpy/1"]
        record = measure.measure(TINY, team, 2, said.append)
    assert said == ["left out: sklearn (not here)"]
    assert len(record["seconds"]["numpy/1"]) == 2
    assert min(record["seconds"]["numpy/1"]) > 0
    assert record["check"]["numpy/1"]["cost"] > 0


def test_a_worker_is_out_of_reach_of_ctrl_c_and_one_that_dies_is_named(tmp_path: Path) -> None:
    said: list[str] = []
    with measure.workers(["numpy", "sklearn"], [1], tmp_path, said.append) as team:
        assert all(os.getpgid(member.process.pid) != os.getpgid(0) for member in team)
        numpy = team[0]
        ask = numpy.ask

        def killed(**request: Any) -> dict[str, Any]:
            if request["do"] == "turn":
                numpy.process.kill()
                numpy.process.wait()
            return ask(**request)

        numpy.ask = killed  # type: ignore[method-assign]
        record = measure.measure(TINY, [numpy], 2, said.append)
    assert record["seconds"] == {}
    assert said == ["tiny: numpy/1 left out: its process ended with status -9"]


def test_a_turn_does_not_time_its_first_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    """What others' turns pushed out of the caches comes back in it."""
    clock, asked = [0.0], []

    def train(epochs: int, shuffle: bool) -> None:
        clock[0] += epochs * (3.0 if asked else 100.0)
        asked.append((epochs, shuffle))

    monkeypatch.setattr(worker.time, "perf_counter", lambda: clock[0])
    assert worker.turn(SimpleNamespace(train=train), replace(TINY, repeats=5)) == 3.0
    assert asked == [(1, True), (5, True)]


def test_a_peer_with_more_threads_is_not_compared_with_fastbp_on_fewer() -> None:
    assert [(row["threads"], row["best"], row["ratio"]) for row in measure.ratios(RECORD)] == [
        (1, "jax/1", pytest.approx(4.0)),
        (2, "jax/2", pytest.approx(3.0)),
    ]
    assert measure.best_of(RECORD, "numpy", 2) == (9e-3, 1)
    assert measure.best_of(RECORD, "torch", 2) is None


def test_the_table_fits_a_terminal_and_the_page_names_who_was_left_out(tmp_path: Path) -> None:
    lines = report.table(RESULTS).splitlines()
    assert len(lines) == 3
    assert max(len(line) for line in lines) <= 80
    assert "geometric mean of 1 cells, 2 threads: 3.00" in report.summary(RESULTS)
    assert "slower with more threads: none" in report.summary(RESULTS)
    page = report.markdown(RESULTS, {cell.name: cell for cell in grid()})
    assert "| 784-800-800-10/1000 | 2 | 1.00 ms | 9.00 ms (1) | 3.00 ms (2) |  | 3.00 |" in page
    assert "PyTorch, 1 left out: learns something else" in page


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("--cells", "sgd"),
        ("--threads", "0"),
        ("--rounds", "0"),
        ("--seconds", "0"),
        ("--seconds", "nan"),
        ("--seconds", "inf"),
        ("--out", __file__),
        ("--out", f"{__file__}/below"),
    ],
)
def test_a_usage_error_names_the_argument_before_anything_is_timed(name: str, value: str, capsys: Any) -> None:
    with pytest.raises(SystemExit) as left:
        compare_peers.arguments([name, value])
    assert left.value.code == 2
    assert f"error: {name}: " in capsys.readouterr().err


def test_one_cpu_is_enough_and_nobody_takes_part_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    assert compare_peers.arguments(["--peers", "jax", "numpy", "jax"]).peers == ["jax", "numpy"]
    monkeypatch.setattr(compare_peers, "cpus", lambda: 1)
    assert compare_peers.arguments([]).threads == [1]


@pytest.mark.parametrize("done", [0, 1])
def test_ctrl_c_keeps_the_cells_before_it_or_the_report_that_was_there(
    done: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    records = iter([RECORD] * done)

    def interrupted(*_: Any) -> dict[str, Any]:
        for record in records:
            return record
        raise KeyboardInterrupt

    monkeypatch.setattr(compare_peers, "measure", interrupted)
    team = [SimpleNamespace(name=name, hello={"version": "1"}) for name in ("fastbp", "numpy", "jax")]
    monkeypatch.setattr(compare_peers, "workers", lambda *_: nullcontext(team))
    monkeypatch.setattr(compare_peers, "save_mnist", lambda folder: "no data")
    monkeypatch.setattr(compare_peers, "limits", lambda threads: {"gflops": 1.0, "gbytes": 1.0})
    (tmp_path / "peers.json").write_text("earlier")
    assert compare_peers.main(["--cells", "gradient", "forward", "--out", str(tmp_path)]) == 130
    kept = (tmp_path / "peers.json").read_text()
    assert list(json.loads(kept)["cells"]) == ["gradient"] if done else kept == "earlier"
    assert ("gradient  " in capsys.readouterr().out) == bool(done)


def test_what_the_script_says_to_install_brings_digits_and_charts() -> None:
    root = Path(__file__).resolve().parents[1]
    extras = tomllib.loads((root / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert 'pip install -e ".[bench]"' in str(compare_peers.__doc__)
    assert "fastbp[examples]" in extras["bench"]
    assert {"mlxtend", "pooch", "matplotlib"} <= {name.partition(">")[0] for name in extras["examples"]}
