"""Weights of samples and of classes, against the oracle: narrow and wide networks, one sample a batch and more."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import reference
from conftest import Build, simple
from reference import PAIRS
from sklearn.utils.class_weight import compute_class_weight

import fastbp
from fastbp import SGD, Dense, Network, Trainer
from fastbp.samples import Samples

TOLERANCE = {"float64": 1e-11, "float32": 2e-5}  # as in test_gradients
WIDTHS = [(9, 20), (260, 5)]  # by chunks of samples, and by columns
N = 23


@pytest.fixture
def x(rng: np.random.Generator) -> np.ndarray:
    return rng.normal(size=(N, 7))


@pytest.fixture
def y(rng: np.random.Generator) -> np.ndarray:
    return rng.integers(0, 3, N)


@pytest.fixture
def weights(rng: np.random.Generator) -> np.ndarray:
    return rng.uniform(0.0, 3.0, N) * (rng.random(N) < 0.8)


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize(("activation", "cost"), PAIRS)
def test_cost_and_gradient(
    activation: str, cost: str, dtype: str, x: np.ndarray, y: np.ndarray, weights: np.ndarray, build: Build
) -> None:
    network, oracle = build(7, simple([9, 3], "tanh", activation), cost, dtype)
    want = weights @ oracle.costs(x, y)
    assert network.cost(x, y, sample_weight=weights) == pytest.approx(want / N, rel=TOLERANCE[dtype])
    assert network.cost(x, y, reduction="sum", sample_weight=weights) == pytest.approx(want, rel=TOLERANCE[dtype])
    gradient = oracle.gradient(x, y, weights)
    got = network.gradient(x, y, sample_weight=weights).flat
    np.testing.assert_allclose(got, gradient, rtol=0, atol=TOLERANCE[dtype] * np.abs(gradient).max())
    np.testing.assert_array_equal(network.gradient(x, y, np.ones(N)).flat, network.gradient(x, y).flat)


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("batch_size", [1, 6, N])
@pytest.mark.parametrize("widths", WIDTHS)
def test_training(
    widths: tuple[int, int],
    batch_size: int,
    dtype: str,
    x: np.ndarray,
    y: np.ndarray,
    weights: np.ndarray,
    build: Build,
) -> None:
    layers = simple([*widths, 3], "tanh", "softmax")
    network, oracle = build(7, layers, "cross_entropy", dtype)
    oracle.theta = oracle.theta / 4  # float32 would carry the roundings of steep slopes from update to update
    network.set_parameters(oracle.theta)
    history = Trainer(network, SGD(0.1), batch_size=batch_size, shuffle=False).fit(x, y, 1, sample_weight=weights)
    if batch_size == N:
        assert history.cost[0] == pytest.approx(weights @ oracle.costs(x, y) / N, rel=TOLERANCE[dtype])
    batches = [(x[at : at + batch_size], y[at : at + batch_size], weights[at : at + batch_size])
               for at in range(0, N, batch_size)]  # fmt: skip
    want = reference.train(oracle, reference.SGD(), batches, 0.1)
    np.testing.assert_allclose(network.get_parameters(), want, rtol=0, atol=TOLERANCE[dtype] * np.abs(want).max())


def trained(x: np.ndarray, y: np.ndarray, n_out: int = 3, **options: Any) -> np.ndarray:
    network = Network(7, [Dense(9, "tanh"), Dense(n_out, "sigmoid" if n_out == 1 else "softmax")], seed=1)
    Trainer(network, SGD(0.3), batch_size=6, seed=2).fit(x, y, 3, **options)
    return network.get_parameters()


def test_weights_go_with_their_samples_in_any_order(x: np.ndarray, y: np.ndarray, weights: np.ndarray) -> None:
    shuffled = trained(x, y, sample_weight=weights)
    assert not np.array_equal(shuffled, trained(x, y))
    np.testing.assert_array_equal(shuffled, trained(x, y, sample_weight=weights.tolist()))
    order = Samples(x, y).order(np.random.default_rng(2))  # what the trainer draws for its first epoch
    network = Network(7, [Dense(9, "tanh"), Dense(3, "softmax")], seed=1)
    Trainer(network, SGD(0.3), batch_size=6, shuffle=False).fit(x[order], y[order], 1, sample_weight=weights[order])
    again = Network(7, [Dense(9, "tanh"), Dense(3, "softmax")], seed=1)
    Trainer(again, SGD(0.3), batch_size=6, seed=2).fit(x, y, 1, sample_weight=weights)
    np.testing.assert_array_equal(network.get_parameters(), again.get_parameters())


@pytest.mark.parametrize("split", [None, 0.3])
@pytest.mark.parametrize("given", [{0: 0.5, 2: 3.0}, {}, {np.int64(1): 0}, "balanced"])
def test_class_weights_are_sample_weights(
    given: dict[int, float] | str, split: float | None, x: np.ndarray, y: np.ndarray, weights: np.ndarray
) -> None:
    fitted = trained(x, y, class_weight=given, sample_weight=weights, validation_split=split)
    seen = y
    if split is not None:
        seen = y[fastbp.samples.hold_out(x, y, split, seed=2)[0].rows]
    if given == "balanced":
        of_class = compute_class_weight("balanced", classes=np.arange(3), y=seen)
    else:
        of_class = np.array([given.get(k, 1.0) for k in range(3)])  # type: ignore[union-attr]
    np.testing.assert_array_equal(
        fitted, trained(x, y, sample_weight=of_class[y] * weights.astype(np.float32), validation_split=split)
    )


def test_class_weights_of_one_output(x: np.ndarray, y: np.ndarray) -> None:
    y = (y == 0).astype(float)
    of_class = compute_class_weight("balanced", classes=np.arange(2), y=y)
    want = trained(x, y, 1, sample_weight=np.where(y == 1, of_class[1], of_class[0]))
    np.testing.assert_array_equal(trained(x, y, 1, class_weight="balanced"), want)


BAD_WEIGHTS: list[Any] = [
    *(np.ones(N - 1), np.ones((N, 1)), 1.0, -np.eye(N)[0], np.zeros(N), np.full(N, np.nan), np.full(N, 1e300)),
    *(["1"] * N, [None] * N, np.ones(N, complex), "balanced"),
]
USES: dict[str, Callable[..., object]] = {
    "cost": lambda net, x, y, w: net.cost(x, y, sample_weight=w),
    "gradient": lambda net, x, y, w: net.gradient(x, y, sample_weight=w),
    "fit": lambda net, x, y, w: Trainer(net).fit(x, y, sample_weight=w),
}


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("bad", BAD_WEIGHTS, ids=range(len(BAD_WEIGHTS)))
def test_bad_sample_weights(bad: Any, use: str, x: np.ndarray, y: np.ndarray) -> None:
    network = Network(7, [Dense(3, "softmax")])
    before = network.get_parameters()
    with pytest.raises((TypeError, ValueError), match=r"^sample_weight: got .*, expected"):
        USES[use](network, x, y, bad)
    np.testing.assert_array_equal(network.get_parameters(), before)


@pytest.mark.parametrize(
    "bad",
    ["fair", 2.0, [1, 2, 3], {3: 1.0}, {-1: 1.0}, {"0": 1.0}, {0: -1.0}, {0: "2"}, {0: np.inf}, {0: None}],
)
def test_bad_class_weights(bad: Any, x: np.ndarray, y: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"^class_weight: got .*, expected"):
        trained(x, y, class_weight=bad)


def test_class_weights_want_classes(x: np.ndarray, y: np.ndarray) -> None:
    with pytest.raises(ValueError, match="class_weight: got rows of targets"):
        trained(x, np.eye(3)[y], class_weight="balanced")
    with pytest.raises(ValueError, match="class_weight: got targets other than 0 and 1"):
        trained(x, y / 2, 1, class_weight="balanced")
    with pytest.raises(ValueError, match="sample_weight, class_weight: got 0 for every sample"):
        trained(x, y, class_weight=dict.fromkeys(range(3), 0))
    with pytest.raises(ValueError, match="sample_weight, class_weight: got a number too large for float32"):
        Trainer(Network(7, [Dense(3, "softmax")])).fit(x, y, class_weight={1: 1e39})


def test_a_checkpoint_knows_other_weights(x: np.ndarray, y: np.ndarray, weights: np.ndarray, tmp_path: Any) -> None:
    trainer = Trainer(Network(7, [Dense(3, "softmax")]))
    trainer.fit(x, y, 1, sample_weight=weights)
    trainer.save(tmp_path / "run.npz")
    for other in None, weights + 1:
        with pytest.raises(fastbp.CheckpointError, match="sample_weight was"):
            Trainer(Network(7, [Dense(3, "softmax")])).fit(x, y, 2, sample_weight=other, resume=tmp_path / "run.npz")
    Trainer(Network(7, [Dense(3, "softmax")])).fit(x, y, 2, sample_weight=weights, resume=tmp_path / "run.npz")
