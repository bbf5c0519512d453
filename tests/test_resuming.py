"""Fitting again after something happened in between: Ctrl-C, a divergence, parameters set by hand."""

from __future__ import annotations

import signal
from pathlib import Path

import numpy as np
import pytest

import fastbp


@pytest.fixture
def data(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    return rng.normal(size=(40, 5)), rng.normal(size=(40, 2))


def make() -> fastbp.Network:
    layers = [fastbp.Dense(6, "relu"), fastbp.Dense(2, "identity")]
    return fastbp.Network(5, layers, cost="sum_of_squares", dtype="float64")


def test_divergence_does_not_undo_what_the_user_set(data: tuple[np.ndarray, np.ndarray]) -> None:
    network = make()
    trainer = fastbp.Trainer(network, fastbp.SGD(1e-3), batch_size=10)
    trainer.fit(*data, epochs=2)
    network.set_parameters(np.full(network.n_parameters, 1e200))
    with pytest.raises(fastbp.TrainingDiverged):
        trainer.fit(*data, epochs=1)
    assert (network.get_parameters() == 1e200).all()
    assert trainer.updates == 8


def test_ctrl_c_between_epochs_and_another_fit_are_the_uninterrupted_run(data: tuple[np.ndarray, np.ndarray]) -> None:
    whole, stopped = make(), make()
    fastbp.Trainer(whole, batch_size=10).fit(*data, epochs=4)
    trainer = fastbp.Trainer(stopped, batch_size=10)

    def interrupt(trainer: fastbp.Trainer, epoch: int, history: fastbp.History) -> None:
        if epoch == 1:
            signal.raise_signal(signal.SIGINT)

    assert trainer.fit(*data, epochs=4, callbacks=[interrupt]).interrupted
    assert not trainer.fit(*data, epochs=2).interrupted
    np.testing.assert_array_equal(whole.get_parameters(), stopped.get_parameters())


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"shuffle": True}, {"shuffle": False}),
        ({"shuffle": False}, {"shuffle": True}),
        ({"batch_size": 3}, {"batch_size": 100}),
        ({"batch_size": 3}, {"batch_size": 1}),
    ],
)
@pytest.mark.parametrize("through_a_file", [False, True])
def test_an_epoch_under_way_has_every_sample_once_whatever_is_set_meanwhile(
    before: dict[str, int], after: dict[str, int], through_a_file: bool, slices_of_one_batch: None, tmp_path: Path
) -> None:
    """Sample k has input k alone, so its row of W tells how often it came: with a rate of 1, once is 1 / batch."""
    n = 12
    network = fastbp.Network(n, [fastbp.Dense(1, "identity", initializer="zeros", bias=False)], "half_sum_of_squares")
    trainer = fastbp.Trainer(network, fastbp.SGD(1.0), **({"batch_size": 3} | before))  # type: ignore[arg-type]
    x, y = np.eye(n), np.ones(n)
    trainer.fit(x, y, epochs=1, max_seconds=1e-9)
    assert trainer.place.done == 3
    if through_a_file:
        trainer.save(tmp_path / "run.npz")
        trainer = fastbp.Trainer.load(tmp_path / "run.npz")
    for name, value in after.items():
        setattr(trainer, name, value)
    trainer.fit(x, y, epochs=1)
    size = min(trainer.batch_size, 9)
    assert sorted(trainer.network.weights[0][:, 0]) == pytest.approx(sorted([1 / 3] * 3 + [1 / size] * 9))


def test_a_weight_matrix_cannot_be_detached_by_mistake() -> None:
    with pytest.raises(TypeError):
        make().weights[0] = np.zeros((5, 6))  # type: ignore[index]
