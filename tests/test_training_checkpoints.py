"""Checkpoints of a training: the same bits after any interruption, and no other training's."""

from __future__ import annotations

import io
import itertools
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import pytest

import fastbp
from fastbp import (
    SGD,
    Adam,
    CheckpointError,
    Dense,
    History,
    Network,
    Trainer,
    archive,
    optimizers,
    schedules,
)
from fastbp.callbacks import Checkpoint, EarlyStopping, LambdaCallback

X = np.random.default_rng(0).integers(0, 256, (60, 5)).astype(np.uint8)
Y = np.arange(60) % 3
OPTIMIZERS: dict[str, Callable[[], fastbp.Optimizer]] = {
    **optimizers.OPTIMIZERS,
    "momentum": lambda: SGD(0.1, momentum=0.9, l2=1e-3),
    "schedule": lambda: SGD(schedules.cosine(0.2, 40), momentum=np.float64(0.9)),
}


def make(optimizer: str = "adam", hidden: int = 6, dtype: str = "float32", **options: Any) -> Trainer:
    """A trainer of six mini-batches an epoch."""
    network = Network(5, [Dense(hidden, "tanh"), Dense(3, "softmax")], dtype=dtype, seed=0)
    return Trainer(network, OPTIMIZERS[optimizer](), **{"batch_size": 10, "seed": 7, **options})


pytestmark = pytest.mark.usefixtures("slices_of_one_batch")


def saves(folder: Path) -> LambdaCallback:
    """Save a checkpoint of its own after every slice, named by the number of updates."""
    return LambdaCallback(on_slice_end=lambda trainer, history: trainer.save(folder / str(trainer.updates)))


def assert_same(got: Trainer, want: Trainer) -> None:
    """All that a training leaves has the same bits, but for how long it took."""
    np.testing.assert_array_equal(got.network.get_parameters(), want.network.get_parameters())
    for mine, theirs in zip(got._states, want._states, strict=True):
        np.testing.assert_array_equal(mine, theirs)
    for name in ("cost", "accuracy", "validation_cost", "validation_accuracy", "ended_by", "unfinished"):
        assert getattr(got.history, name) == getattr(want.history, name), name
    assert len(got.history.seconds) == len(want.history.seconds)
    assert got.updates == want.updates
    assert got._rng.bit_generator.state == want._rng.bit_generator.state


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_resumed_after_any_mini_batch_it_ends_in_the_same_bits(optimizer: str, dtype: str, tmp_path: Path) -> None:
    alone = make(optimizer, dtype=dtype)
    alone.fit(X, Y, epochs=3, validation_split=0.2, callbacks=[saves(tmp_path)])
    names = sorted(os.listdir(tmp_path), key=int)
    assert names == [str(k) for k in range(1, 16)]
    for name in names:
        trainer = make(optimizer, dtype=dtype)
        trainer.network.set_parameters(np.zeros(trainer.network.n_parameters))  # all is taken from the file
        trainer.fit(X, Y, epochs=3, validation_split=0.2, resume=tmp_path / name)
        assert_same(trainer, alone)


@pytest.mark.parametrize("options", [{"shuffle": False}, {"batch_size": 100}, {"batch_size": 1}, {"batch_size": 7}])
def test_whatever_the_batches(options: dict[str, Any], tmp_path: Path) -> None:
    alone = make(**options)
    alone.fit(X, Y, epochs=2, callbacks=[saves(tmp_path)])
    names = sorted(os.listdir(tmp_path), key=int)
    for name in names[:: max(1, len(names) // 7)]:
        trainer = make(**options)
        trainer.fit(X, Y, epochs=2, resume=tmp_path / name)
        assert_same(trainer, alone)


def test_resuming_twice(tmp_path: Path) -> None:
    alone, path = make(), tmp_path / "run"
    alone.fit(X, Y, epochs=3)
    make().fit(X, Y, epochs=3, max_seconds=1e-9, callbacks=[Checkpoint(path)])
    for _ in range(8):
        trainer = make()
        trainer.fit(X, Y, epochs=3, max_seconds=1e-9, callbacks=[Checkpoint(path)], resume=path)
    assert trainer.updates == 9
    trainer = make()
    trainer.fit(X, Y, epochs=3, resume=path)
    assert_same(trainer, alone)


class Preempted(BaseException):
    """What a signal's handler may raise: between any two lines, most often as a launch returns."""


@contextmanager
def raising_before(line: int) -> Iterator[None]:
    """Interrupt fits before so many lines of what they do from slice to slice."""
    left = line

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        nonlocal left
        code = frame.f_code
        if Path(code.co_filename).name not in ("fitting.py", "history.py") or code.co_name in (
            "train",
            "_interruptible",
        ):
            return None
        left -= event == "line"
        if left == 0:
            raise Preempted
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        yield
    finally:
        sys.settrace(before)


@pytest.mark.parametrize("options", [{}, {"validation_split": 0.2}], ids=["plain", "validated"])
def test_what_a_signals_handler_raises_takes_back_the_slice(options: dict[str, Any], tmp_path: Path) -> None:
    alone = make()
    alone.fit(X, Y, epochs=2, **options)
    for line in itertools.count(1, 7):
        trainer, again = make(), make()
        try:
            with raising_before(line):
                trainer.fit(X, Y, epochs=2, **options)
        except Preempted:
            trainer.save(tmp_path / "run")
        else:
            break
        again.fit(X, Y, epochs=2, resume=tmp_path / "run", **options)
        assert_same(again, alone)
        if left := 2 - len(trainer.history.cost):
            trainer.fit(X, Y, epochs=left, **options)
            assert_same(trainer, alone)
    assert line > 300


def test_callbacks_go_on_too(tmp_path: Path) -> None:
    def callbacks() -> list[Any]:
        def spoil(trainer: Trainer, epoch: int, history: History) -> None:
            history.validation_cost[-1] = [3.0, 1.0, 2.0, 2.0, 2.0][epoch]

        kinds = Checkpoint(tmp_path / "best", best_only=True), EarlyStopping(patience=3, restore_best=True)
        return [spoil, *kinds]

    def run(**options: Any) -> tuple[Trainer, EarlyStopping]:
        trainer, extra = make(), callbacks()
        after = [] if options else [saves(tmp_path)]
        trainer.fit(X, Y, epochs=9, validation=(X, Y), callbacks=[*extra, *after], **options)
        return trainer, extra[-1]

    alone, stop = run()
    assert (stop.best_epoch, stop.best, alone.history.ended_by) == (1, 1.0, "EarlyStopping")
    assert len(alone.history.cost) == 5
    best = (tmp_path / "best").read_bytes()
    for updates in range(12, 31):
        trainer, stop = run(resume=tmp_path / str(updates))
        assert_same(trainer, alone)
        assert (stop.best_epoch, stop.best) == (1, 1.0)
        assert (tmp_path / "best").read_bytes() == best or updates == 12


@pytest.mark.parametrize("other", [{"monitor": "accuracy"}, {"monitor": "cost", "mode": "max"}], ids=str)
def test_early_stopping_by_something_else_begins_anew(other: dict[str, Any], tmp_path: Path) -> None:
    path, stop = tmp_path / "run", EarlyStopping(**other, patience=30)
    make().fit(X, Y, epochs=3, callbacks=[EarlyStopping("cost", restore_best=True), Checkpoint(path)])
    trainer = make()
    trainer.fit(X, Y, epochs=6, callbacks=[stop], resume=path)
    values = getattr(trainer.history, other["monitor"])[3:]
    assert stop.best == max(values)
    assert stop.best_epoch == 3 + int(np.argmax(values))


def test_a_finished_run_resumed_stays_as_it_is_or_goes_on(tmp_path: Path) -> None:
    path, longer = tmp_path / "run", make()
    make().fit(X, Y, epochs=2, callbacks=[Checkpoint(path)])
    for epochs in (1, 2):
        trainer = make()
        assert len(trainer.fit(X, Y, epochs=epochs, resume=path).cost) == 2
        assert trainer.updates == 12
    trainer = make()
    trainer.fit(X, Y, epochs=4, resume=path)
    longer.fit(X, Y, epochs=4)
    assert_same(trainer, longer)


def test_load_is_the_trainer_that_was(tmp_path: Path) -> None:
    alone = make(batch_size=20, shuffle=True, seed=3)
    alone.fit(X, Y, epochs=2, callbacks=[saves(tmp_path)])
    trainer = Trainer.load(tmp_path / "4", n_threads=1)
    assert (trainer.batch_size, trainer.shuffle, trainer.seed, trainer.n_threads) == (20, True, 3, 1)
    assert trainer.optimizer == alone.optimizer
    assert trainer.network.config() == alone.network.config()
    assert len(trainer.history.cost) == 1
    trainer.fit(X, Y, epochs=1)  # what is left of the second
    assert_same(trainer, alone)
    network = Network.load(tmp_path / "6")
    np.testing.assert_array_equal(network.get_parameters(), alone.network.get_parameters())
    with pytest.raises(ValueError, match=r"^n_threads: "):  # not the file's fault
        Trainer.load(tmp_path / "6", n_threads=0)


def test_load_with_another_optimizer(tmp_path: Path) -> None:
    path = tmp_path / "run"
    make("schedule").fit(X, Y, epochs=1, callbacks=[Checkpoint(path)])
    with pytest.raises(ValueError, match=r"optimizer: got none.*schedule"):
        Trainer.load(path)
    for wrong in (Adam(), SGD(0.1)):
        with pytest.raises(ValueError, match=r"optimizer: got .*expected an sgd with 1 state"):
            Trainer.load(path, wrong)
    trainer = Trainer.load(path, SGD(0.01, momentum=0.5))
    assert trainer.optimizer.learning_rate == 0.01
    assert trainer.updates == 6


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"hidden": 7}, r"layers was 6 tanh, 3 softmax, now 7 tanh, 3 softmax"),
        ({"dtype": "float64"}, r"dtype was float32, now float64"),
        ({"optimizer": "sgd"}, r"optimizer was adam, now sgd; learning_rate was 0\.001, now 0\.1; "),
        ({"optimizer": "schedule"}, r"optimizer was adam, now sgd; learning_rate was 0\.001, now a schedule"),
        ({"batch_size": 20}, r"batch_size was 10, now 20$"),
        ({"seed": 8}, r"seed was 7, now 8$"),
        ({"shuffle": False}, r"shuffle was True, now False$"),
        ({"batch_size": 20, "seed": 8}, r"batch_size was 10, now 20; seed was 7, now 8$"),
        ({"x": X + np.uint8(1)}, r"x was \(60, 5\) of uint8, checksum .*, now \(60, 5\) of uint8, checksum"),
        ({"x": X[:50], "y": Y[:50]}, r"x was \(60, 5\).*now \(50, 5\).*y was \(60,\) of int64"),
        ({"y": (Y + 1) % 3}, r"training: y was"),
        ({"validation_split": 0.3}, r"training samples was all, now \(42,\) of int64"),
    ],
)
@pytest.mark.parametrize("how", ["checkpoint", "save"])
def test_another_training_is_refused_by_what_differs(
    change: dict[str, Any], named: str, how: str, tmp_path: Path
) -> None:
    path, first = tmp_path / "run", make()
    first.fit(X, Y, epochs=1, callbacks=[Checkpoint(path)] if how == "checkpoint" else [])
    if how == "save":
        first.save(path)
    data = {"x": X, "y": Y} | {name: change[name] for name in ("x", "y", "validation_split") if name in change}
    trainer = make(**{name: value for name, value in change.items() if name not in data})
    before = trainer.network.get_parameters()
    with pytest.raises(CheckpointError, match=named):
        trainer.fit(**data, epochs=2, resume=path)
    np.testing.assert_array_equal(trainer.network.get_parameters(), before)
    assert (trainer.updates, trainer.history) == (0, History())
    trainer.fit(**data, epochs=1)  # as good as new
    alone = make(**{name: value for name, value in change.items() if name not in data})
    alone.fit(**data, epochs=1)
    assert_same(trainer, alone)


def test_another_schedule_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "run"
    make("schedule").fit(X, Y, epochs=2, callbacks=[Checkpoint(path)])
    trainer = Trainer(make().network, SGD(schedules.cosine(0.2, 41), momentum=0.9), batch_size=10, seed=7)
    with pytest.raises(CheckpointError, match="learning_rate was a schedule, now a schedule"):
        trainer.fit(X, Y, resume=path)


@pytest.mark.parametrize("schedule", [[0.2, 0.1, 0.05, 0.02, 0.01, 0.0].__getitem__, lambda k: 0.1 * (1 - k / 5)])
def test_a_schedule_may_end_with_the_training(schedule: Callable[[int], float], tmp_path: Path) -> None:
    path, network = tmp_path / "run", make().network
    trainer = Trainer(network, SGD(schedule), batch_size=10)
    trainer.fit(X, Y, epochs=1, callbacks=[Checkpoint(path)])
    again = Trainer(make().network, SGD(schedule), batch_size=10)
    again.fit(X, Y, epochs=1, resume=path)
    assert_same(again, trainer)
    with pytest.raises((IndexError, ValueError)):
        again.fit(X, Y, epochs=2, resume=path)


def test_missing_and_foreign_files(tmp_path: Path) -> None:
    trainer = make()
    with pytest.raises(FileNotFoundError, match="absent"):
        trainer.fit(X, Y, resume=tmp_path / "absent")
    trainer.network.save(tmp_path / "network")
    with pytest.raises(CheckpointError, match=r"network: holds 'fastbp network', expected 'fastbp training'"):
        trainer.fit(X, Y, resume=tmp_path / "network")
    (tmp_path / "text").write_text("hello")
    with pytest.raises(CheckpointError, match="text"):
        Trainer.load(tmp_path / "text")
    assert trainer.updates == 0


def test_a_flipped_bit_is_noticed_or_changes_nothing(tmp_path: Path) -> None:
    path, bad, alone = tmp_path / "run", tmp_path / "bad", make()
    make().fit(X, Y, epochs=2, max_seconds=1e-9, callbacks=[Checkpoint(path)])
    alone.fit(X, Y, epochs=2)
    whole, noticed = path.read_bytes(), 0
    places = range(0, len(whole), 61)
    for at in places:
        bad.write_bytes(whole[:at] + bytes([whole[at] ^ 0x10]) + whole[at + 1 :])
        trainer = make()
        try:
            trainer.fit(X, Y, epochs=2, resume=bad)
        except CheckpointError:
            noticed += 1
            assert trainer.updates == 0
        else:  # the bit said nothing about the training, such as the time in a zip header
            assert_same(trainer, alone)
    assert noticed > 0.5 * len(places)
    for size in [0, 1, *range(100, len(whole), len(whole) // 15), len(whole) - 1]:
        bad.write_bytes(whole[:size])
        with pytest.raises(CheckpointError):
            make().fit(X, Y, epochs=2, resume=bad)


def test_a_disk_that_is_full_keeps_the_checkpoint_before_and_what_was_learnt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, trainer, alone = tmp_path / "run", make(), make()
    trainer.fit(X, Y, epochs=1, callbacks=[Checkpoint(path)])
    before = path.read_bytes()

    def refuse(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", refuse)
        with pytest.raises(OSError, match="No space left"):
            trainer.fit(X, Y, epochs=2, callbacks=[Checkpoint(path, every_seconds=1e-9)])
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["run"]
    assert (trainer.updates, trainer.history.ended_by) == (7, "OSError")
    trainer.fit(X, Y, epochs=2)
    alone.fit(X, Y, epochs=3)
    assert_same(trainer, alone)


def test_when_a_checkpoint_is_saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    saved: list[int] = []
    monkeypatch.setattr(Trainer, "save", lambda self, path: saved.append(self.updates))

    def run(epochs: int = 5, **options: Any) -> list[int]:
        saved.clear()
        make().fit(X, Y, epochs=epochs, callbacks=[Checkpoint(tmp_path / "run", **options)])
        return list(saved)

    assert run() == [6, 12, 18, 24, 30]
    assert run(every_epochs=2) == [12, 24, 30]
    assert run(1, every_seconds=1e-9) == [1, 2, 3, 4, 5, 6]
    assert run(every_seconds=1e9) == [30]
    assert run(every_seconds=1e9, every_epochs=3) == [18, 30]
    trainer = make()
    monkeypatch.setattr(time, "monotonic", lambda: float(trainer.updates))  # a second a mini-batch
    saved.clear()
    trainer.fit(X, Y, epochs=3, callbacks=[Checkpoint(tmp_path / "run", every_seconds=4, every_epochs=2)])
    assert saved == [4, 8, 12, 16, 18]


@pytest.mark.parametrize(
    ("key", "kept", "named"),
    [
        ("a", "text", "got 'text' for 'a', expected an array of numbers"),
        ("a", None, "got None for 'a'"),
        ("a", 2**70, "got 1180591620717411303424 for 'a'"),
        ("a", np.zeros(2, "i4,f4"), "got array.* for 'a'"),
        ("a", np.array([{}]), "got array.* for 'a'"),
        ("a.b", np.zeros(2), "got the key 'a.b', expected one without a dot"),
        ("", None, "got None, expected a dict of arrays"),
    ],
)
def test_a_state_that_no_file_can_hold_keeps_the_checkpoint_before(
    key: str, kept: Any, named: str, tmp_path: Path
) -> None:
    class Keeper(LambdaCallback):
        def state(self) -> dict[str, Any]:
            return {key: kept} if key else kept  # type: ignore[no-any-return]

    path, trainer = tmp_path / "run", make()
    trainer.fit(X, Y, epochs=1, callbacks=[Checkpoint(path)])
    before = path.read_bytes()
    with pytest.raises((TypeError, ValueError), match=rf"state of Keeper\.0: {named}"):
        trainer.fit(X, Y, epochs=1, callbacks=[Checkpoint(path), Keeper()])
    assert path.read_bytes() == before


def test_what_a_killed_write_left_is_removed_later(tmp_path: Path) -> None:
    old, young = tmp_path / ".fastbp-00.tmp", tmp_path / ".fastbp-11.tmp"
    for path in (old, young):
        path.write_bytes(b"half")
    os.utime(old, (1e9, 1e9))
    archive.atomic_write(tmp_path / "a", b"whole")
    assert sorted(os.listdir(tmp_path)) == [young.name, "a"]


def test_a_file_says_what_it_is_without_fastbp(tmp_path: Path) -> None:
    make().fit(X, Y, epochs=2, callbacks=[Checkpoint(tmp_path / "run")])
    with np.load(io.BytesIO((tmp_path / "run").read_bytes()), allow_pickle=False) as arrays:
        header = json.loads(arrays["header"].item())
        assert header["format"] == "fastbp training"
        assert (header["updates"], header["settings"]["optimizer"]) == (12, "adam")
        assert arrays["parameters"].shape == arrays["state1"].shape == arrays["state2"].shape
        assert len(arrays["history.cost"]) == 2


@pytest.mark.skipif(not hasattr(os, "fork"), reason="kills children that it forked")
def test_killed_at_random_moments(tmp_path: Path) -> None:
    script = Path(__file__).parent.parent / "scripts" / "kill_and_resume.py"
    environment = {**os.environ, "TMPDIR": str(tmp_path), "PYTHONPATH": str(Path(fastbp.__file__).parent.parent)}
    command = [sys.executable, str(script), "--kills", "20"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "killed: 20," in done.stdout
    assert "the same bits" in done.stdout
