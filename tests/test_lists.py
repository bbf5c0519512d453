"""Where the first layer's products walk lists of the inputs that are not zero: where most are zero in a few samples."""

from __future__ import annotations

import numpy as np
import pytest

from fastbp import SGD, Dense, Network, Trainer, fitting, workspace


def data(density: float, kind: str, n: int = 200) -> np.ndarray:
    rng = np.random.default_rng(1)
    return (rng.integers(1, 256, (n, 784)) * (rng.random((n, 784)) < density)).astype(kind)


@pytest.mark.parametrize(
    ("density", "kind", "pays"),
    # of 8 samples one has 0.34, 0.57, 0.67, 0.83 of the inputs
    [(0.05, "uint8", 1), (0.13, "uint8", 1), (0.2, "uint8", 0), (0.1, "float32", 1), (0.13, "float32", 0)],
)
def test_a_pass_has_lists_where_groups_of_samples_have_many_zeros(density: float, kind: str, pays: int) -> None:
    network = Network(784, [Dense(3)])
    network.forward(data(density, kind))
    assert network._spare[-1]["skip_zeros"] == pays


def test_a_few_samples_are_looked_at_together() -> None:
    network = Network(784, [Dense(3)])
    network.forward(data(0.3, "uint8", n=3))  # 0.66 of the inputs
    assert network._spare[-1]["skip_zeros"] == 1


@pytest.mark.parametrize(("density", "pays"), [(0.4, 1), (0.6, 0)])
def test_online_learning_has_lists_of_single_samples(
    density: float, pays: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    monkeypatch.setattr(fitting, "put_by", lambda kind, workspace: seen.append(workspace["skip_zeros"]))
    x = data(density, "uint8", n=50)
    Trainer(Network(784, [Dense(3)]), SGD(0.01), batch_size=1).fit(x, np.zeros(50, int), epochs=1)
    assert seen == [pays]


@pytest.mark.parametrize("batch", [2, 7, 8, 9, 10, 16, 17, 40])
@pytest.mark.parametrize("width", [5, 40, 300])
@pytest.mark.parametrize("kind", ["uint8", "float32", "float64"])
def test_steps_with_lists_are_those_without(
    kind: str, width: int, batch: int, monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator
) -> None:
    """To the bit: a batch of one group, of two, of more, whose groups list other inputs."""
    dtype, trained, seen = "float64" if kind == "float64" else "float32", [], []
    x = (rng.integers(1, 256, (80, 100)) * (rng.random((80, 100)) < rng.random((80, 1)) ** 4)).astype(kind)
    x = x if kind == "uint8" else x / x.dtype.type(255)
    monkeypatch.setattr(fitting, "put_by", lambda kind, workspace: seen.append(workspace["skip_zeros"]))
    for most in (-1.0, 2.0):
        monkeypatch.setattr(workspace, "LISTED_BYTES", most)
        monkeypatch.setattr(workspace, "LISTED_NUMBERS", most)
        network = Network(100, [Dense(width), Dense(3)], dtype=dtype, seed=0)
        Trainer(network, SGD(0.05), batch_size=batch, seed=0).fit(x, np.arange(80) % 3, epochs=2)
        trained.append(network.get_parameters())
    assert seen == [0, 1]
    assert not np.array_equal(trained[0], Network(100, [Dense(width), Dense(3)], dtype=dtype, seed=0).get_parameters())
    np.testing.assert_array_equal(*trained)
