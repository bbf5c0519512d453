"""validation_split: which samples are held out, and that training on the others is training on the others."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from fastbp import SGD, Dense, Network, Trainer, samples
from fastbp.samples import Samples, hold_out


def data(n: int, kind: str) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    x = rng.integers(0, 256, (n, 4)).astype(np.uint8)
    return x, (np.arange(n) % 3 if kind == "classes" else rng.normal(size=(n, 3)))


@pytest.mark.parametrize("kind", ["classes", "numbers"])
@pytest.mark.parametrize(
    ("n", "share", "held"), [(100, 0.1, 10), (10, 0.25, 3), (2, 0.5, 1), (9, 0.001, 1), (5, 0.99, 4)]
)
def test_every_sample_is_on_one_side(n: int, share: float, held: int, kind: str) -> None:
    x, y = data(n, kind)
    training, validation = hold_out(x, y, share, seed=3)
    assert training.inputs is x
    assert training.targets is y
    assert (len(training), len(validation)) == (n - held, held)
    both = np.concatenate([x[training.rows], validation.inputs])
    np.testing.assert_array_equal(np.sort(both, axis=0), np.sort(x, axis=0))
    np.testing.assert_array_equal(
        np.sort(np.concatenate([y[training.rows], validation.targets]), axis=0), np.sort(y, axis=0)
    )


def test_classes_get_their_shares() -> None:
    y = np.repeat([0, 1, 2], [600, 300, 100])
    for seed in range(20):
        _, validation = hold_out(np.zeros((1000, 1)), y, 0.1, seed)
        assert np.abs(np.bincount(validation.targets, minlength=3) - [60, 30, 10]).max() <= 1


def test_every_sample_is_as_likely_to_be_held_out() -> None:
    y = np.repeat([0, 1, 2], [10, 7, 3])
    times = np.zeros(20)
    for seed in range(2000):
        training, _ = hold_out(np.zeros((20, 1)), y, 0.25, seed)
        times += ~np.isin(np.arange(20), training.rows)
    # 2000 draws with p = 0.25: standard deviation 19.4; five of them for the farthest of 20 samples.
    assert np.abs(times - 500).max() < 97


def test_the_seed_decides() -> None:
    x, y = data(50, "classes")
    rows = [hold_out(x, y, 0.2, seed)[0].rows for seed in (0, 0, 1)]
    np.testing.assert_array_equal(rows[0], rows[1])
    assert not np.array_equal(rows[0], rows[2])


@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize("batch_size", [7, 1000])
def test_the_same_bits_as_training_on_a_copy(batch_size: int, shuffle: bool) -> None:
    x, y = data(60, "classes")
    training, validation = hold_out(x, y, 0.3, seed=5)

    def run(**options: object) -> tuple[np.ndarray, list[float], list[float]]:
        network = Network(4, [Dense(5, "tanh"), Dense(3, "softmax")])
        trainer = Trainer(network, SGD(0.1), batch_size=batch_size, seed=5, shuffle=shuffle)
        history = trainer.fit(epochs=3, **options)
        return network.get_parameters(), history.cost, history.validation_cost

    split = run(x=x, y=y, validation_split=0.3)
    copied = run(x=x[training.rows], y=y[training.rows], validation=(validation.inputs, validation.targets))
    np.testing.assert_array_equal(split[0], copied[0])
    assert split[1:] == copied[1:]


def test_a_fingerprint_tells_samples_apart() -> None:
    x, y = data(60, "classes")
    seen = [Samples(x, y).fingerprint(), Samples(x, y, np.arange(50)).fingerprint(), Samples(x[::-1], y).fingerprint()]
    seen.append(Samples(x, np.where(np.arange(60) == 31, (y + 1) % 3, y)).fingerprint())
    seen += [Samples(x + np.eye(60, 4, k, np.uint8), y).fingerprint() for k in (0, -40)]
    seen.append(Samples(x.astype(np.float32), y).fingerprint())
    assert all(a != b for i, a in enumerate(seen) for b in seen[:i])
    assert Samples(x.copy(), y.copy()).fingerprint() == seen[0]
    large = np.zeros((100_000, 10), np.uint8)  # of which only some rows are looked at
    assert Samples(large, y).fingerprint() != Samples(large + np.uint8(1), y).fingerprint()


def test_no_fit_waits_for_the_fingerprint_of_another(monkeypatch: pytest.MonkeyPatch) -> None:
    """A lock, which cached properties of Python 3.11 have, would stay locked in a child that is forked meanwhile."""
    meeting, describe = threading.Barrier(2, timeout=5), samples._describe

    def met(*arguments: Any) -> str:
        meeting.wait()
        return describe(*arguments)

    monkeypatch.setattr(samples, "_describe", met)
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(lambda _: Samples(*data(60, "classes")).fingerprint(), range(2))
    assert first == second


@pytest.mark.parametrize("n_in", [64, 65, 100, 127, 128, 200])
def test_zeros_among_bytes_are_skipped_as_among_floats(n_in: int, rng: np.random.Generator) -> None:
    """Bytes are marked as they lie, 64 at a time, and the last ones may be fewer; floats after they were copied."""
    x = rng.integers(1, 256, (50, n_in), np.uint8) * (rng.random((50, n_in)) < 0.05)
    x[:, -1] = np.where(rng.random(50) < 0.2, 9, 0)
    y = rng.integers(0, 3, 50)
    floats = x.astype(np.float32) * np.float32(1 / 255)
    net = Network(n_in, [Dense(20, "tanh"), Dense(3, "softmax")], seed=1)
    np.testing.assert_array_equal(net.gradient(x.astype(np.uint8), y).flat, net.gradient(floats, y).flat)
    found = []
    for inputs in (x.astype(np.uint8), floats):
        net = Network(n_in, [Dense(20, "tanh"), Dense(3, "softmax")], seed=1)
        Trainer(net, SGD(0.1), batch_size=1, seed=2).fit(inputs, y, epochs=1)
        found.append(net.get_parameters())
    np.testing.assert_array_equal(*found)
