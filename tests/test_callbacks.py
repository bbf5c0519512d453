"""Callbacks: what they see, what they may do, and that their mistakes leave the trainer in order."""

from __future__ import annotations

import copy
import csv
import math
import pickle
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fastbp import SGD, Dense, History, Network, Trainer
from fastbp.callbacks import Callback, Checkpoint, CSVLogger, EarlyStopping, LambdaCallback, ProgressBar

X = np.random.default_rng(0).normal(size=(40, 5))
Y = np.arange(40) % 3


def make(**options: Any) -> Trainer:
    """A trainer of four mini-batches an epoch."""
    network = Network(5, [Dense(6, "tanh"), Dense(3, "softmax")], seed=0)
    return Trainer(network, SGD(0.1, momentum=0.9), **{"batch_size": 10, **options})


class Recorder(Callback):
    """Writes down every hook, into a list that several may share."""

    def __init__(self, name: str = "", log: list[str] | None = None) -> None:
        self.name, self.log = name, [] if log is None else log

    def on_train_begin(self, trainer: Trainer, history: History) -> None:
        self.log.append(f"{self.name}train begins")

    def on_train_end(self, trainer: Trainer, history: History) -> None:
        self.log.append(f"{self.name}train ends by {history.ended_by}")

    def on_epoch_begin(self, trainer: Trainer, epoch: int, history: History) -> None:
        self.log.append(f"{self.name}{epoch} begins after {len(history.cost)}")

    def on_epoch_end(self, trainer: Trainer, epoch: int, history: History) -> None:
        self.log.append(f"{self.name}{epoch} ends after {len(history.cost)}")

    def on_slice_end(self, trainer: Trainer, history: History) -> None:
        self.log.append(f"{self.name}slice {trainer.run.done} {history.ended_by}".rstrip())


class Broken(Callback):
    """Raises in one hook."""

    def __init__(self, hook: str) -> None:
        def fail(*_: Any) -> None:
            raise RuntimeError(hook)

        setattr(self, hook, fail)


def test_the_hooks_come_in_order() -> None:
    recorder = Recorder()
    trainer = make(batch_size=40)
    trainer.fit(X, Y, epochs=2, callbacks=[recorder])
    assert recorder.log == [
        "train begins",
        "0 begins after 0",
        "0 ends after 1",
        "slice 40",
        "1 begins after 1",
        "1 ends after 2",
        "slice 80 epochs",
        "train ends by epochs",
    ]
    assert (trainer.run.epochs, trainer.run.samples, trainer.run.validated) == (2, 40, False)


@pytest.mark.usefixtures("slices_of_one_batch")
def test_slices_within_an_epoch() -> None:
    recorder = Recorder()
    make().fit(X, Y, epochs=1, callbacks=[recorder])
    assert [line for line in recorder.log if "slice" in line] == ["slice 10", "slice 20", "slice 30", "slice 40 epochs"]


@pytest.mark.parametrize("true", [True, np.True_], ids=["Python", "NumPy"])
@pytest.mark.parametrize("hook", ["on_train_begin", "on_epoch_begin", "on_epoch_end"])
def test_a_hook_that_returns_true_ends_the_training(hook: str, true: Any) -> None:
    callback, recorder = LambdaCallback(**{hook: lambda *_: true}), Recorder()
    history = make().fit(X, Y, epochs=5, callbacks=[callback, recorder])
    assert history.ended_by == "LambdaCallback"
    assert len(history.cost) == (hook == "on_epoch_end")
    assert recorder.log[-1] == "train ends by LambdaCallback"


def test_a_true_array_is_not_an_answer() -> None:
    history = make().fit(X, Y, epochs=3, callbacks=[lambda *_: np.ones(3), lambda *_: 1])
    assert len(history.cost) == 3


HOOKS = ["on_train_begin", "on_epoch_begin", "on_epoch_end", "on_slice_end", "on_train_end"]


@pytest.mark.parametrize("hook", HOOKS)
@pytest.mark.usefixtures("slices_of_one_batch")
def test_after_an_error_the_others_end_and_the_training_can_go_on(hook: str) -> None:
    log: list[str] = []
    trainer, alone = make(), make()
    with pytest.raises(RuntimeError, match=hook):
        trainer.fit(X, Y, epochs=2, callbacks=[Recorder("a: ", log), Broken(hook), Recorder("b: ", log)])
    begun = [line.partition(":")[0] for line in log if "train begins" in line]
    ended = [line.partition(":")[0] for line in log if "train ends" in line]
    assert begun == (["a"] if hook == "on_train_begin" else ["a", "b"])
    assert ended == begun[::-1]
    assert trainer.history.ended_by == ("epochs" if hook == "on_train_end" else "RuntimeError")
    if left := 3 - len(trainer.history.cost):
        trainer.fit(X, Y, epochs=left)
    alone.fit(X, Y, epochs=3)
    np.testing.assert_array_equal(trainer.network.get_parameters(), alone.network.get_parameters())
    assert trainer.history.cost == alone.history.cost
    assert trainer.history.accuracy == alone.history.accuracy


@pytest.mark.usefixtures("slices_of_one_batch")
@pytest.mark.parametrize("options", [{}, {"label_smoothing": 0.1}, {"shuffle": False}, {"batch_size": 40}])
def test_what_a_callback_writes_into_y_counts_from_the_next_epoch_on(options: dict[str, Any]) -> None:
    y, again = Y.copy(), (Y + 1) % 3
    changes = [LambdaCallback(on_slice_end=lambda *_: y.__setitem__(slice(None), again))]
    changing, plain = make(**options), make(**options)
    changing.fit(X, y, epochs=2, callbacks=changes)
    for classes in (Y, again):
        plain.fit(X, classes, epochs=1)
    np.testing.assert_array_equal(changing.network.get_parameters(), plain.network.get_parameters())


@pytest.mark.parametrize("options", [{}, {"label_smoothing": 0.1}, {"shuffle": False}])
@pytest.mark.parametrize("bad", [3, -1, 1 << 40])
def test_a_class_that_there_is_not_reaches_no_kernel(bad: int, options: dict[str, Any]) -> None:
    """It is an address that there is not."""
    y, trainer, plain = Y.copy(), make(**options), make(**options)
    with pytest.raises(ValueError, match=f"y: got class {bad}, expected whole numbers from 0 to 2"):
        trainer.fit(X, y, epochs=2, callbacks=[lambda *_: y.fill(bad)])
    assert trainer.history.ended_by == "ValueError"
    plain.fit(X, Y, epochs=1)
    np.testing.assert_array_equal(trainer.network.get_parameters(), plain.network.get_parameters())


@pytest.mark.usefixtures("slices_of_one_batch")
def test_an_epoch_that_was_left_unfinished_goes_on() -> None:
    trainer, alone, recorder = make(), make(), Recorder()

    def interrupt(trainer: Trainer, history: History) -> None:
        if trainer.run.done == 60 and not history.ended_by:
            signal.raise_signal(signal.SIGINT)

    history = trainer.fit(X, Y, epochs=3, callbacks=[LambdaCallback(on_slice_end=interrupt)])
    assert (history.interrupted, history.ended_by) == (True, "Ctrl-C")
    assert len(history.cost) == 1
    assert history.unfinished == 0.5
    history = trainer.fit(X, Y, epochs=2, callbacks=[recorder])
    assert "0 begins" not in recorder.log[1]  # that epoch had begun before
    assert (history.interrupted, history.ended_by, history.unfinished) == (False, "epochs", 0.0)
    assert history.cost == alone.fit(X, Y, epochs=3).cost
    np.testing.assert_array_equal(trainer.network.get_parameters(), alone.network.get_parameters())


@pytest.mark.parametrize("hook", ["on_epoch_begin", "on_epoch_end", "on_slice_end"])
@pytest.mark.parametrize(
    ("given", "changed"),
    [
        ((SGD(0.1), 1), {"batch_size": 10}),  # from online SGD, which has more learning rates, and kernels of its own
        ((SGD(0.1), 10), {"batch_size": 1}),
        ((SGD(0.1), 4), {"batch_size": 20}),
        ((SGD(0.1, momentum=0.9), 10), {"optimizer": SGD(0.1, momentum=0.5, l2=0.1)}),
        ((SGD(0.1), 10), {"limits": {"clip_norm": 0.01, "clip_sample_norm": None, "max_norm": None}}),
    ],
)
@pytest.mark.usefixtures("slices_of_one_batch")
def test_what_a_callback_changes_of_the_trainer_counts_from_the_next_slice_on(
    hook: str, given: tuple[SGD, int], changed: dict[str, Any]
) -> None:
    def new() -> Trainer:
        return Trainer(Network(5, [Dense(6, "tanh"), Dense(3, "softmax")]), given[0], batch_size=given[1])

    def change(trainer: Trainer, *_: Any) -> None:
        for name, value in changed.items():
            setattr(trainer, name, value)

    expected = new()
    if hook == "on_slice_end":
        expected.fit(X, Y, epochs=3, max_seconds=1e-9)  # a batch
    elif hook == "on_epoch_end":
        expected.fit(X, Y, epochs=1)
    change(expected)
    expected.fit(X, Y, epochs=3 - len(expected.history.cost))
    trainer = new()
    trainer.fit(X, Y, epochs=3, callbacks=[LambdaCallback(**{hook: change})])
    assert (trainer.network.get_parameters() == expected.network.get_parameters()).all()
    assert (trainer.updates, trainer.history.cost) == (expected.updates, expected.history.cost)


@pytest.mark.usefixtures("slices_of_one_batch")
def test_an_unfinished_epoch_does_not_go_on_with_other_samples() -> None:
    trainer = make()
    trainer.fit(X, Y, epochs=1, max_seconds=1e-9)
    assert 0 < trainer.history.unfinished < 1
    for x, y in [(X + 1, Y), (X, (Y + 1) % 3), (X[:30], Y[:30])]:
        before = trainer.updates
        with pytest.warns(UserWarning, match="other samples"):
            trainer.fit(x, y, epochs=1)
        assert trainer.updates - before == len(x) // 10  # all of them
        trainer.fit(X, Y, epochs=1, max_seconds=1e-9)
        assert trainer.place.done == 10


def test_max_seconds() -> None:
    history = make().fit(X, Y, epochs=10**9, max_seconds=0.05)
    assert history.ended_by == "max_seconds"
    assert not history.interrupted
    assert make().fit(X, Y, epochs=2, max_seconds=1e9).ended_by == "epochs"
    with pytest.raises(ValueError, match=r"max_seconds: got 0, expected"):
        make().fit(X, Y, max_seconds=0)


# ---------------------------------------------------------------- EarlyStopping
def script(trainer: Trainer, values: list[float]) -> Callback:
    """Put these numbers into the history, an epoch each, in place of the validation cost."""

    def write(trainer: Trainer, epoch: int, history: History) -> None:
        history.validation_cost[-1] = values[epoch]

    return LambdaCallback(on_epoch_end=write)


NAN, INF = math.nan, math.inf


@pytest.mark.parametrize(
    ("options", "values", "epochs", "best"),
    [
        ({"patience": 2}, [3, 2, 2, 2, 9], 4, 1),
        ({"patience": 2}, [3, 2, 2.5, 1.9, 5, 5, 9], 6, 3),
        ({"patience": 1}, [3, 3, 9], 2, 0),
        ({"patience": 2, "min_delta": 0.5}, [3, 2.8, 2.4, 2.3, 2.2, 9], 5, 2),
        ({"patience": 2, "mode": "max"}, [1, 2, 3, 3, 2, 9], 5, 2),
        ({"patience": 2}, [NAN, INF, 9, 9], 2, -1),
        ({"patience": 2}, [3, NAN, 2, NAN, NAN, 9], 5, 2),
        ({"patience": 2}, [5, 4, 3, 2, 1], 5, 4),
    ],
)
def test_early_stopping(options: dict[str, Any], values: list[float], epochs: int, best: int) -> None:
    trainer, parameters = make(), []
    stop = EarlyStopping(**options, restore_best=True)
    keep = LambdaCallback(on_epoch_end=lambda *_: parameters.append(trainer.network.get_parameters()))
    history = trainer.fit(X, Y, epochs=len(values), validation=(X, Y), callbacks=[script(trainer, values), keep, stop])
    assert len(history.cost) == epochs
    assert history.ended_by == ("EarlyStopping" if epochs < len(values) else "epochs")
    assert stop.best_epoch == best
    assert best < 0 or stop.best == values[best]
    np.testing.assert_array_equal(trainer.network.get_parameters(), parameters[best])  # -1: none was better, the last


def test_early_stopping_keeps_the_last_parameters_unless_asked() -> None:
    trainer, alone = make(), make()
    stop = EarlyStopping(patience=2)
    trainer.fit(X, Y, epochs=9, validation=(X, Y), callbacks=[script(trainer, [1.0, 2.0, 3.0]), stop])
    alone.fit(X, Y, epochs=3)
    np.testing.assert_array_equal(trainer.network.get_parameters(), alone.network.get_parameters())


def test_accuracies_should_be_large_and_costs_small() -> None:
    trainer = make()
    stop = EarlyStopping("accuracy", patience=200)
    trainer.fit(X, Y, epochs=60, callbacks=[stop])
    assert stop.best == max(trainer.history.accuracy) > trainer.history.accuracy[0]
    stop = EarlyStopping("cost", patience=200)
    trainer.fit(X, Y, epochs=20, callbacks=[stop])
    assert stop.best == min(trainer.history.cost[-20:])  # that of the first fit is forgotten


@pytest.mark.parametrize("make_callback", [EarlyStopping, lambda: Checkpoint("never.npz", best_only=True)])
def test_nothing_to_monitor_is_noticed_before_training(make_callback: Any) -> None:
    trainer = make()
    before = trainer.network.get_parameters()
    with pytest.raises(ValueError, match=r"monitor: got 'validation_cost', but there is nothing to validate on"):
        trainer.fit(X, Y, epochs=1, callbacks=[make_callback()])
    np.testing.assert_array_equal(trainer.network.get_parameters(), before)


@pytest.mark.parametrize(
    ("call", "named"),
    [
        (lambda: EarlyStopping("validation_costs"), "monitor.*did you mean 'validation_cost'"),
        (lambda: EarlyStopping(patience=0), "patience: got 0"),
        (lambda: EarlyStopping(min_delta=-1), "min_delta: got -1"),
        (lambda: EarlyStopping(min_delta="1"), "min_delta: got '1'"),
        (lambda: EarlyStopping(mode="up"), "mode: got 'up'"),
        (lambda: Checkpoint("a", every_epochs=0), "every_epochs: got 0"),
        (lambda: Checkpoint("a", every_seconds=-1), "every_seconds: got -1"),
        (lambda: Checkpoint("a", every_seconds=1, best_only=True), "every_seconds: got 1 with best_only"),
        (lambda: Checkpoint("a", every_epochs=5, best_only=True), "every_epochs: got 5 with best_only"),
        (lambda: Checkpoint("a", monitor="validation_accuracy"), "best_only: got False, but monitor"),
        (lambda: Checkpoint("a", mode="max"), "best_only: got False, but monitor 'validation_cost' and mode 'max'"),
        (lambda: Checkpoint("a", best_only="no"), "best_only: got 'no', expected True or False"),  # type: ignore[arg-type]
        (lambda: EarlyStopping(restore_best="False"), "restore_best: got 'False'"),  # type: ignore[arg-type]
        (lambda: Checkpoint("a", best_only=True, monitor="loss"), "monitor: unknown name 'loss'"),
        (lambda: LambdaCallback(on_epoch_ends=print), "hook.*did you mean 'on_epoch_end'"),
        (lambda: LambdaCallback(on_epoch_end=3), "on_epoch_end: got 3"),
        (lambda: make().fit(X, Y, callbacks=[3]), "callbacks: got 3"),
        (lambda: make().fit(X, Y, callbacks=[EarlyStopping]), "callbacks: got <class"),
        (lambda: make().fit(X, Y, callbacks=EarlyStopping()), "callbacks: got <"),
        (lambda: make().fit(X, Y, max_seconds="1"), "max_seconds: got '1'"),
        (lambda: make().fit(X, Y, validation_split=1.0), r"validation_split: got 1\.0"),
        (lambda: make().fit(X, Y, validation_split=True), "validation_split: got True"),
        (lambda: make().fit(X, Y, validation_split=0.1, validation=(X, Y)), "validation_split.*beside validation"),
        (lambda: make().fit(X[:1], Y[:1], validation_split=0.5), "validation_split.*one sample"),
    ],
)
def test_bad_arguments_are_named(call: Any, named: str) -> None:
    with pytest.raises((ValueError, TypeError), match=named):
        call()


def test_the_best_checkpoint_is_the_best_of_all_fits(tmp_path: Path) -> None:
    trainer, path = make(), tmp_path / "best"
    for values, best in [([3.0, 1.0, 2.0], 2), ([2.0, 1.5], 2), ([0.5], 6)]:
        keep = Checkpoint(path, best_only=True)
        trainer.fit(X, Y, epochs=len(values), validation=(X, Y), callbacks=[script(trainer, values), keep])
        trainer.save(tmp_path / "last")
        assert len(Trainer.load(path).history.cost) == best
        trainer = Trainer.load(tmp_path / "last")


# ---------------------------------------------------------------- CSVLogger, ProgressBar
def test_the_csv_is_the_history(tmp_path: Path) -> None:
    trainer, path = make(), tmp_path / "log.csv"
    trainer.fit(X, Y, epochs=2, callbacks=[CSVLogger(path)])
    history = trainer.fit(X, Y, epochs=2, validation=(X, Y), callbacks=[CSVLogger(path)])
    rows = list(csv.DictReader(path.read_text().splitlines()))
    assert [row["epoch"] for row in rows] == ["1", "2", "3", "4"]
    for name in ("cost", "accuracy", "seconds"):
        assert [float(row[name]) for row in rows] == getattr(history, name)
    assert [row["validation_cost"] for row in rows] == ["", "", *map(repr, history.validation_cost[2:])]


def test_epochs_without_validation_have_nan(tmp_path: Path) -> None:
    trainer, path, stop = make(), tmp_path / "log.csv", EarlyStopping()
    history = trainer.fit(X, Y, epochs=1, callbacks=[CSVLogger(path)])
    assert history.validation_cost == history.validation_accuracy == []
    trainer.fit(X, Y, epochs=2, validation=(X, Y), callbacks=[CSVLogger(path)])
    trainer.fit(X, Y, epochs=2, callbacks=[CSVLogger(path)])
    trainer.fit(X, Y, epochs=1, validation=(X, Y), callbacks=[CSVLogger(path), stop])
    for values in (history.validation_cost, history.validation_accuracy):
        np.testing.assert_array_equal(np.isfinite(values), [False, True, True, False, False, True])
    assert history.validation_cost[stop.best_epoch] == stop.best
    rows = list(csv.DictReader(path.read_text().splitlines()))
    cells = ["" if math.isnan(value) else repr(value) for value in history.validation_cost]
    assert [row["validation_cost"] for row in rows] == cells


@pytest.mark.parametrize("before", [0, 2])
def test_the_csv_has_the_epoch_whose_end_another_callback_broke(before: int, tmp_path: Path) -> None:
    def fail(trainer: Trainer, epoch: int, history: History) -> None:
        assert epoch < before

    path = tmp_path / "log.csv"
    with pytest.raises(AssertionError):
        make().fit(X, Y, epochs=5, callbacks=[fail, CSVLogger(path)])
    assert len(path.read_text().splitlines()) == 1 + before + 1


@pytest.mark.skipif(sys.platform == "win32", reason="no file that is always full")
def test_a_full_disk_names_the_file_that_found_it() -> None:
    with pytest.raises(OSError, match=r"No space left on device: '/dev/full'"):
        make().fit(X, Y, callbacks=[CSVLogger("/dev/full")])
    with pytest.raises(OSError, match=r"No space left on device: '/dev/full'"):
        make().save("/dev/full")


def test_a_full_disk_leaves_whole_rows_in_the_csv(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")
    path, (limit, most) = tmp_path / "log.csv", resource.getrlimit(resource.RLIMIT_FSIZE)

    def fill(trainer: Trainer, epoch: int, history: History) -> None:
        if epoch == 1:
            resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 20, most))

    def free(*_: Any) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, most))
        assert len(path.read_text().splitlines()) == 2  # and the CSVLogger's end, which comes after, tries again

    full = LambdaCallback(on_epoch_begin=fill, on_train_end=free)
    with pytest.raises(OSError, match="too large"):
        make().fit(X, Y, epochs=5, callbacks=[CSVLogger(path), full])
    assert [row["epoch"] for row in csv.DictReader(path.read_text().splitlines())] == ["1", "2"]


def test_a_fit_that_is_refused_leaves_an_older_csv(tmp_path: Path) -> None:
    path, trainer = tmp_path / "log.csv", make()
    trainer.fit(X, Y, epochs=2)
    path.write_text("older")
    with pytest.raises(ValueError, match="monitor"):
        trainer.fit(X, Y, callbacks=[CSVLogger(path), EarlyStopping()])
    assert path.read_text() == "older"


@pytest.mark.parametrize("kind", [CSVLogger, Checkpoint])
def test_a_folder_that_is_not_there_ends_the_fit_before_it_begins(kind: Any, tmp_path: Path) -> None:
    trainer = make()
    with pytest.raises(FileNotFoundError, match=r"nowhere"):
        trainer.fit(X, Y, callbacks=[kind(tmp_path / "nowhere" / "file")])
    assert trainer.updates == 0


def test_a_callback_may_put_another_history_in_its_place() -> None:
    """The fit ends all the same: it counts what the new one has."""
    slices = []

    def forget(trainer: Trainer, epoch: int, history: History) -> None:
        if len(slices) == 0:
            trainer.history = History()

    def count(trainer: Trainer, history: History) -> None:
        slices.append(history)
        assert len(slices) < 9  # or it would never end

    trainer = make()
    trainer.fit(X, Y, epochs=3, callbacks=[forget, LambdaCallback(on_slice_end=count)])
    assert (len(slices), len(trainer.history.cost), trainer.history.ended_by) == (4, 3, "epochs")


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda given: pickle.loads(pickle.dumps(given))])
def test_what_is_copied_has_no_file_and_no_bar(copied: Callable[[Any], Any], tmp_path: Path) -> None:
    log, bar, copies = CSVLogger(tmp_path / "log.csv"), ProgressBar(), []
    copying = LambdaCallback(on_slice_end=lambda *_: copies.append(copied([log, bar])))
    make().fit(X, Y, epochs=1, callbacks=[log, bar, copying])
    for callbacks in [*copies, copied([log, bar])]:
        make().fit(X, Y, epochs=1, callbacks=callbacks)
        assert len((tmp_path / "log.csv").read_text().splitlines()) == 2


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda given: pickle.loads(pickle.dumps(given))])
def test_a_copy_of_a_trainer_goes_on_without_the_callbacks_of_its_fit(copied: Callable[[Any], Any]) -> None:
    trainer, copies = make(), []
    trainer.fit(X, Y, epochs=2, callbacks=[lambda trainer, epoch, history: copies.append(copied(trainer))])
    assert copies[0]._callbacks == ()
    assert copies[0].fit(X, Y, epochs=1).cost == trainer.history.cost


@pytest.mark.skipif(sys.platform == "win32", reason="no file that is always full")
@pytest.mark.parametrize("with_tqdm", [True, False])
def test_a_bar_that_cannot_be_shown_stops_nothing(with_tqdm: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if with_tqdm:
        pytest.importorskip("tqdm")
    else:
        monkeypatch.setitem(sys.modules, "tqdm", None)
    for stream in (open("/dev/full", "w", buffering=1), None):  # noqa: SIM115 - closing it fails
        monkeypatch.setattr(sys, "stderr", stream)
        assert make().fit(X, Y, epochs=2, progress=True).ended_by == "epochs"
        if stream is not None:
            with suppress(OSError):
                stream.close()


@pytest.mark.parametrize("with_tqdm", [True, False])
def test_progress_is_a_callback(
    with_tqdm: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if with_tqdm:
        pytest.importorskip("tqdm")
    else:
        monkeypatch.setitem(sys.modules, "tqdm", None)
    shown = []
    for options in ({"progress": True}, {"callbacks": [ProgressBar()]}):
        make().fit(X, Y, epochs=2, validation=(X, Y), **options)
        out, err = capsys.readouterr()
        assert out == ""
        assert "epoch 2/2" in err
        assert "validation accuracy" in err
        shown.append(err)
    if not with_tqdm:
        assert shown[0] == shown[1]
        assert len(shown[0].splitlines()) == 2
