"""Whole runs: what is learnt, what is recorded, and that the same seed gives the same bits however it runs."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from conftest import Build, simple
from numpy.typing import NDArray

import fastbp
from fastbp import optimizers

OPTIMIZERS: list[tuple[str, dict[str, Any]]] = [
    *((kind.__name__, {}) for kind in optimizers.OPTIMIZERS.values()),
    ("SGD", {"momentum": 0.9}),
    ("SGD", {"momentum": 0.9, "nesterov": True}),
]


def digits_like(n: int, rng: np.random.Generator) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Bytes, most of them zero, and three classes that they tell apart."""
    y = rng.integers(0, 3, n)
    x = rng.integers(1, 256, (n, 70)) * (rng.random((n, 70)) < 0.05)
    x[np.arange(n), 20 * y] = 255
    return x.astype(np.uint8), y


def test_it_learns_xor() -> None:
    x = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], np.float64)
    network = fastbp.Network(2, [fastbp.Dense(8, "tanh"), fastbp.Dense(2, "softmax")], seed=1)
    history = fastbp.Trainer(network, fastbp.Adam(0.05), batch_size=4).fit(x, np.array([0, 1, 1, 0]), epochs=200)
    assert network.accuracy(x, np.array([0, 1, 1, 0])) == 1.0
    assert history.cost[-1] < 0.05 < 0.4 < history.cost[0]


def test_it_learns_digits_with_the_defaults(rng: np.random.Generator) -> None:
    x, y = digits_like(600, rng)
    network = fastbp.Network(70, [fastbp.Dense(20), fastbp.Dense(3, "softmax")])
    fastbp.Trainer(network).fit(x[:500], y[:500], epochs=100)
    assert network.accuracy(x[500:], y[500:]) > 0.9  # chance: 0.33


def test_history(build: Build, rng: np.random.Generator) -> None:
    x, y = digits_like(90, rng)
    network, _ = build(70, simple([5, 3], "tanh", "softmax"), "cross_entropy")
    trainer = fastbp.Trainer(network, fastbp.SGD(0.1), batch_size=30)
    history = trainer.fit(x[:60], y[:60], epochs=3, validation=(x[60:], y[60:]))
    names = ["cost", "accuracy", "validation_cost", "validation_accuracy", "seconds"]
    for name in names:
        assert len(getattr(history, name)) == 3, name
        assert all(isinstance(value, float) for value in getattr(history, name)), name
    assert history.validation_cost[-1] == pytest.approx(network.cost(x[60:], y[60:]), rel=1e-12)
    assert history.validation_accuracy[-1] == network.accuracy(x[60:], y[60:])
    assert all(0 <= value <= 1 for value in history.accuracy)
    assert all(seconds > 0 for seconds in history.seconds)
    written = json.loads(history.to_json())
    assert [written[name] for name in names] == [getattr(history, name) for name in names]


def test_what_json_has_not_is_null() -> None:
    history = fastbp.History(cost=[1.0, 0.5], validation_cost=[float("nan"), float("inf")])
    written = json.loads(history.to_json(), parse_constant=pytest.fail)
    assert (written["cost"], written["validation_cost"]) == ([1.0, 0.5], [None, None])


def test_the_cost_of_an_epoch_is_that_of_its_mini_batches(build: Build, rng: np.random.Generator) -> None:
    network, oracle = build(4, simple([5, 3], "tanh", "softmax"), "cross_entropy")
    x, y = rng.normal(size=(12, 4)), rng.integers(0, 3, 12)
    before = oracle.costs(x, y).mean()
    history = fastbp.Trainer(network, fastbp.SGD(0.1), batch_size=12).fit(x, y, epochs=2)
    assert history.cost[0] == pytest.approx(before, rel=1e-12)  # one mini-batch, seen before its update
    assert history.cost[1] < before
    assert history.validation_cost == []


def test_the_cost_of_an_epoch_weighs_samples_not_batches(build: Build, rng: np.random.Generator) -> None:
    network, oracle = build(4, simple([5, 3], "tanh", "softmax"), "cross_entropy")
    x, y = rng.normal(size=(11, 4)), rng.integers(0, 3, 11)
    history = fastbp.Trainer(network, fastbp.SGD(1e-30), batch_size=4).fit(x, y, epochs=1)
    assert history.cost[0] == pytest.approx(oracle.costs(x, y).mean(), rel=1e-12)
    assert history.accuracy[0] == network.accuracy(x, y)


@pytest.mark.parametrize("batch_size", [1, 7, 32, 33, 500])
@pytest.mark.parametrize("shuffle", [True, False])
def test_every_sample_is_seen_once_an_epoch(batch_size: int, shuffle: bool, rng: np.random.Generator) -> None:
    # Sample i is the i-th unit vector, so it alone moves weight i, and from zero it moves it by 2 eta y_i / batch.
    n, y = 33, rng.uniform(1.0, 2.0, 33)
    layers = [fastbp.Dense(1, "identity", bias=False, initializer="zeros")]
    network = fastbp.Network(n, layers, cost="sum_of_squares", dtype="float64")
    trainer = fastbp.Trainer(network, fastbp.SGD(0.125), batch_size=batch_size, shuffle=shuffle)
    trainer.fit(np.eye(n), y, epochs=1)
    batch_of_sample = 2 * 0.125 * y / network.get_parameters()
    sizes = [min(batch_size, n - at) for at in range(0, n, batch_size)]
    want = np.repeat(sizes, sizes)  # in the order of the batches; the remainder is the last and the smallest
    if shuffle:
        want, batch_of_sample = np.sort(want), np.sort(batch_of_sample)
    np.testing.assert_allclose(batch_of_sample, want, rtol=1e-13)


def test_shuffling_follows_the_seed(rng: np.random.Generator) -> None:
    x, y = digits_like(50, rng)

    def run(**options: Any) -> NDArray[np.floating]:
        network = fastbp.Network(70, [fastbp.Dense(5, "tanh"), fastbp.Dense(3, "softmax")], seed=0)
        fastbp.Trainer(network, fastbp.SGD(0.1), batch_size=8, **options).fit(x, y, epochs=2)
        return network.get_parameters()

    np.testing.assert_array_equal(run(seed=1), run(seed=1))
    assert not np.array_equal(run(seed=1), run(seed=2))
    assert not np.array_equal(run(seed=1), run(seed=1, shuffle=False))
    np.testing.assert_array_equal(run(seed=1, shuffle=False), run(seed=2, shuffle=False))


def test_the_data_are_left_alone(build: Build, rng: np.random.Generator) -> None:
    x, y = digits_like(50, rng)
    kept = x.copy(), y.copy()
    x.flags.writeable = y.flags.writeable = False
    network, _ = build(70, simple([5, 3], "tanh", "softmax"), "cross_entropy")
    fastbp.Trainer(network, batch_size=8).fit(x, y, epochs=1)
    np.testing.assert_array_equal(x, kept[0])
    np.testing.assert_array_equal(y, kept[1])


@pytest.mark.parametrize("kind", ["images", "fortran", "strided", "one-hot", "list of labels"])
def test_every_kind_of_data_trains_to_the_same_bits(kind: str, rng: np.random.Generator) -> None:
    x, y = digits_like(50, rng)
    data: dict[str, tuple[Any, Any]] = {
        "images": (x.reshape(50, 7, 10), y),
        "fortran": (np.asfortranarray(x), y),
        "strided": (np.repeat(x, 2, axis=1)[:, ::2], np.repeat(y, 2)[::2]),
        "one-hot": (x, np.eye(3)[y]),
        "list of labels": (x, list(y)),
    }

    def run(x: Any, y: Any) -> NDArray[np.floating]:
        network = fastbp.Network(70, [fastbp.Dense(5, "tanh"), fastbp.Dense(3, "softmax")], seed=0)
        fastbp.Trainer(network, fastbp.Adam(0.01), batch_size=8).fit(x, y, epochs=2)
        return network.get_parameters()

    np.testing.assert_array_equal(run(*data[kind]), run(x, y))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("name", "options"), OPTIMIZERS)
def test_fit_twice_is_fit_longer(name: str, options: dict[str, Any], dtype: str, rng: np.random.Generator) -> None:
    x, y = digits_like(50, rng)

    def run(*fits: int) -> NDArray[np.floating]:
        network = fastbp.Network(70, [fastbp.Dense(5, "tanh"), fastbp.Dense(3, "softmax")], dtype=dtype, seed=0)
        optimizer = getattr(fastbp, name)(learning_rate=lambda update: 0.05 / (1 + update), **options)
        trainer = fastbp.Trainer(network, optimizer, batch_size=8)
        for epochs in fits:
            trainer.fit(x, y, epochs=epochs)
        return network.get_parameters()

    np.testing.assert_array_equal(run(4), run(1, 3))


def test_the_network_may_be_changed_between_fits(build: Build, rng: np.random.Generator) -> None:
    network, oracle = build(4, simple([5, 3], "tanh", "softmax"), "cross_entropy")
    x, y = rng.normal(size=(12, 4)), rng.integers(0, 3, 12)
    trainer = fastbp.Trainer(network, fastbp.SGD(0.1), batch_size=12)
    trainer.fit(x, y, epochs=1)
    network.weights[1][...] = 0.25
    oracle.theta = network.get_parameters()
    trainer.fit(x, y, epochs=1)
    np.testing.assert_allclose(network.get_parameters(), oracle.theta - 0.1 * oracle.gradient(x, y), atol=1e-13)


BITS = """
import hashlib, itertools, sys
import numpy as np
import fastbp

rng = np.random.default_rng(1)
images = (rng.integers(1, 256, (230, 600)) * (rng.random((230, 600)) < 0.05)).astype(np.uint8)
y = rng.integers(0, 3, 230)
# Wide enough for a batch of 100 to be worth several threads, also where launching them is slow.
hidden = zip([300, 65, 17, 6, 9, 4, 7], ["tanh", "sigmoid", "relu", "leaky_relu", "elu", "softplus", "gelu"])
wide = [fastbp.Dense(n, f) for n, f in hidden] + [fastbp.Dense(3, "softmax")]
sliced = [fastbp.Dense(40, "tanh"), fastbp.Dense(3, "softmax")]
optimizers = [
    lambda: fastbp.SGD(0.1, momentum=0.9, l2=0.01),
    *fastbp.optimizers.OPTIMIZERS.values(),
    lambda: fastbp.SGD(0.1, momentum=0.9, nesterov=True, l1=0.01),
]
settings = itertools.product(["float32", "float64"], [(70, wide), (600, sliced)], enumerate(optimizers))
for dtype, (n_in, layers), (at, optimizer) in settings:
    x = np.ascontiguousarray(images[:, :n_in])
    for n_threads in range(1, int(sys.argv[1]) + 1):
        for batch_size in [1, 30, 100] if at < 2 else [100]:
            network = fastbp.Network(n_in, layers, dtype=dtype, seed=0)
            trainer = fastbp.Trainer(network, optimizer(), batch_size=batch_size, n_threads=n_threads)
            history = trainer.fit(x, y, epochs=2)
            seen = network.get_parameters().tobytes() + network.gradient(x, y).flat.tobytes()
            seen += network.forward(x).tobytes() + repr(history.cost).encode()
            assert np.isfinite(network.get_parameters()).all()
            print(dtype, n_in, at, batch_size, "threads", n_threads, hashlib.sha256(seen).hexdigest())
"""


def bits(lanes: int | None, n_threads: int) -> dict[str, set[str]]:
    """Train with every optimizer in a fresh process; the hashes seen for each setting, whatever the threads."""
    environment = dict(os.environ, NUMBA_NUM_THREADS=str(n_threads))
    environment.pop("FASTBP_LANES", None)
    if lanes is not None:
        environment["FASTBP_LANES"] = str(lanes)
    command = [sys.executable, "-c", BITS, str(n_threads)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    seen: dict[str, set[str]] = {}
    for line in done.stdout.splitlines():
        setting, rest = line.split(" threads ")
        seen.setdefault(setting, set()).add(rest.split()[1])
    return seen


def test_any_lanes_and_any_threads_give_the_same_bits() -> None:
    with ThreadPoolExecutor(2) as pool:  # most of the time goes into compiling for other lanes, the first time
        seen = list(pool.map(bits, [None, 4, 8, 16], [3, 1, 1, 1]))
    # Two dtypes, two networks, SGD in two more ways; two of the optimizers with batches of 1 and 30 too.
    assert len(seen[0]) == 4 * (len(optimizers.OPTIMIZERS) + 2 + 4)
    assert all(len(hashes) == 1 for hashes in seen[0].values()), seen[0]  # threads
    assert all(other == seen[0] for other in seen[1:]), seen  # lanes


def test_python_threads_may_share_a_network(build: Build, rng: np.random.Generator) -> None:
    network, _ = build(70, simple([33, 3], "tanh", "softmax"), "cross_entropy")
    data = [(rng.normal(size=(n, 70)), rng.integers(0, 3, n)) for n in (1, 17, 300, 64, 1100, 33, 5, 500)]
    want = [network.gradient(*batch).flat for batch in data]
    with ThreadPoolExecutor(4) as pool:
        for _ in range(5):
            for got, alone in zip(pool.map(lambda batch: network.gradient(*batch).flat, data), want, strict=True):
                np.testing.assert_array_equal(got, alone)


def test_python_threads_may_train_networks_of_their_own(rng: np.random.Generator) -> None:
    x, y = digits_like(400, rng)

    def run(seed: int) -> NDArray[np.floating]:
        network = fastbp.Network(70, [fastbp.Dense(100, "tanh"), fastbp.Dense(3, "softmax")], seed=seed)
        fastbp.Trainer(network, fastbp.Adam(0.01), batch_size=200).fit(x, y, epochs=5)
        return network.get_parameters()

    want = [run(seed) for seed in range(4)]
    with ThreadPoolExecutor(4) as pool:
        for got, alone in zip(pool.map(run, range(4)), want, strict=True):
            np.testing.assert_array_equal(got, alone)


def stop_after(epochs: int, how: Callable[[], Any]) -> Callable[..., Any]:
    """Return a callback that calls ``how`` after that many epochs."""
    return lambda trainer, epoch, history: how() if epoch == epochs - 1 else None


def test_callbacks_see_every_epoch_and_may_end_the_training(rng: np.random.Generator) -> None:
    x, y = digits_like(50, rng)
    seen: list[tuple[int, int]] = []

    def run(epochs: int, *callbacks: Callable[..., Any]) -> NDArray[np.floating]:
        network = fastbp.Network(70, [fastbp.Dense(5, "tanh"), fastbp.Dense(3, "softmax")])
        history = fastbp.Trainer(network, batch_size=8).fit(x, y, epochs=epochs, callbacks=callbacks)
        assert len(history.cost) == 3
        return network.get_parameters()

    def watch(trainer: fastbp.Trainer, epoch: int, history: fastbp.History) -> None:
        seen.append((epoch, len(history.cost)))

    np.testing.assert_array_equal(run(9, watch, stop_after(3, lambda: True)), run(3))
    assert seen == [(0, 1), (1, 2), (2, 3)]


def test_ctrl_c_keeps_what_was_learnt(rng: np.random.Generator) -> None:
    x, y = digits_like(50, rng)
    handler = signal.getsignal(signal.SIGINT)

    def run(epochs: int, *callbacks: Callable[..., Any]) -> tuple[NDArray[np.floating], fastbp.History]:
        network = fastbp.Network(70, [fastbp.Dense(5, "tanh"), fastbp.Dense(3, "softmax")])
        history = fastbp.Trainer(network, batch_size=8).fit(x, y, epochs=epochs, callbacks=callbacks)
        return network.get_parameters(), history

    stopped, history = run(9, stop_after(3, lambda: signal.raise_signal(signal.SIGINT)))
    assert history.interrupted
    assert len(history.cost) == 3
    np.testing.assert_array_equal(stopped, run(3)[0])
    assert signal.getsignal(signal.SIGINT) is handler


@pytest.mark.parametrize("own", [True, False])
def test_ctrl_c_is_left_to_a_program_that_ignores_or_handles_it(own: bool, rng: np.random.Generator) -> None:
    """Workers of a pool ignore it, as their parent sees to it."""
    x, y = digits_like(50, rng)
    seen: list[int] = []
    before = signal.signal(signal.SIGINT, (lambda number, frame: seen.append(number)) if own else signal.SIG_IGN)
    try:
        network = fastbp.Network(70, [fastbp.Dense(3, "softmax")])
        send = stop_after(1, lambda: bool(signal.raise_signal(signal.SIGINT)))
        history = fastbp.Trainer(network, batch_size=8).fit(x, y, epochs=3, callbacks=[send])
    finally:
        signal.signal(signal.SIGINT, before)
    assert (len(history.cost), history.interrupted, history.ended_by) == (3, False, "epochs")
    assert len(seen) == own
