"""Members of a team share a launch's stages out among those who come, and wait for nobody else."""

from __future__ import annotations

import numpy as np
import pytest

import fastbp
from fastbp import _threads
from fastbp._jit import serial
from fastbp.compiled import member
from fastbp.kernels import launch
from fastbp.kernels.layout import DELTA, LINE, RUN
from fastbp.kernels.team import FINISHED, PATIENCE, leave
from fastbp.workspace import Workspace

NARROW, WIDE = (20, 9), (300, 260)
CHANGING = """
    stage work tasks batch_start first rows chunks keep_gradient complete update updates rate_at epoch_start epoch_stop
    downwards total_correct total_cost scale eta correction1 correction2 shrink
"""


def network(widths: tuple[int, ...], dtype: str = "float32") -> fastbp.Network:
    layers = [fastbp.Dense(n, "tanh") for n in widths]
    return fastbp.Network(33, [*layers, fastbp.Dense(3, "softmax")], dtype=dtype, seed=2)


@pytest.fixture
def samples(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    return rng.normal(size=(50, 33)) * (rng.random((50, 33)) < 0.7), rng.integers(0, 3, 50)


@pytest.mark.parametrize("widths", [NARROW, WIDE])
@pytest.mark.parametrize("members", [2, 3, 5])
def test_one_member_does_the_work_of_all_who_do_not_come(
    widths: tuple[int, ...], members: int, samples: tuple[np.ndarray, np.ndarray]
) -> None:
    """The serial driver sends one after the other: the first finds nobody beside it, the others nothing to do."""
    net = network(widths)
    expected = net.gradient(*samples).flat
    inputs, targets = net._samples(*samples)
    got = np.empty_like(expected)
    workspace = net._borrow(len(inputs))
    workspace.point_at(inputs, targets)
    workspace.prepare(DELTA, len(inputs), net._theta, grad=got)
    workspace.launch(0, 0, 1)
    workspace._seat(members)
    stop = launch.launch_serial(workspace._at, member(launch.together), 0, len(inputs), members)
    assert stop == len(inputs)
    np.testing.assert_array_equal(got, expected)


@serial
def looks(team, segment, stage):
    return leave(team, segment, stage)


@pytest.mark.parametrize(
    ("ticket", "waits"),
    [((7 << 32) | 2, True), (7 << 32, False), ((8 << 32) | 2, False), (FINISHED, False)],
    ids=["tasks left", "none left", "of another stage", "finished"],
)
def test_tasks_are_left_to_their_member_for_a_moment(ticket: int, waits: bool) -> None:
    """While there are some, of the stage at work."""
    team = np.zeros(3 * LINE // 8, np.int64)
    team[2 * LINE // 8] = ticket
    assert looks(team.ctypes.data, 1, 7) == (PATIENCE if waits else 0)


@pytest.mark.skipif(_threads.available() < 2, reason="one CPU")
@pytest.mark.parametrize("batch_size", [1, 7, 50])
@pytest.mark.parametrize("widths", [NARROW, WIDE])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_threads_train_to_the_same_bits(
    dtype: str, widths: tuple[int, ...], batch_size: int, samples: tuple[np.ndarray, np.ndarray]
) -> None:
    nets, rates = [network(widths, dtype) for _ in range(2)], np.full(50, 0.1)
    for threads, net in enumerate(nets, 1):
        inputs, targets = net._samples(*samples)
        workspace = Workspace(net._shape, batch_size, online=batch_size == 1)
        workspace.use_optimizer(fastbp.SGD(0.1).hyperparameters(), [])
        workspace.point_at(inputs, targets)
        workspace.prepare(DELTA, batch_size, net._theta)
        workspace["learning_rates"] = rates.ctypes.data
        for _ in range(3):  # the trainer itself would choose how many threads
            assert workspace.launch(0, len(inputs), threads) == len(inputs)
    np.testing.assert_array_equal(nets[0].get_parameters(), nets[1].get_parameters())


def test_a_launch_that_diverges_ends_for_all_members(samples: tuple[np.ndarray, np.ndarray]) -> None:
    net = network(WIDE)
    before = net.get_parameters()
    with pytest.raises(fastbp.TrainingDiverged), np.errstate(all="ignore"):
        fastbp.Trainer(net, fastbp.SGD(1e38), batch_size=5, n_threads=2).fit(*samples, epochs=50)
    assert np.isfinite(net.get_parameters()).all()
    assert before.shape == net.get_parameters().shape


def test_what_changes_from_batch_to_batch_shares_no_cache_line_with_what_does_not() -> None:
    changing = set(CHANGING.split())
    line = {name: place[1] // 64 for name, place in RUN.fields.items()}
    beside = {name for name in line if line[name] in {line[other] for other in changing}}
    assert {name for name in beside - changing if not name.startswith("_")} == set()
    workspace = Workspace(fastbp.Network(3, [fastbp.Dense(2)])._shape, 8)
    assert workspace._at % 64 == workspace["costs"] % 64 == workspace["correct"] % 64 == 0
