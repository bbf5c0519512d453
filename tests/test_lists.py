"""Where the first layer's products walk lists of the inputs that are not zero: where most are zero in a few samples."""

from __future__ import annotations

import numpy as np
import pytest

from fastbp import SGD, Dense, Network, Trainer, fitting


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
