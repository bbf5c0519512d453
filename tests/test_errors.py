"""Bad input is a clear Python error that names the argument, before anything has changed."""

from __future__ import annotations

import copy
import pickle
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastbp
from fastbp import SGD, Adam, AdamW, Dense, Network, RMSprop, Trainer
from fastbp.optimizers import OPTIMIZERS

X = np.linspace(-1.0, 1.0, 24).reshape(6, 4)
Y = np.array([0, 1, 2, 0, 1, 2])
NAN, INF = np.nan, np.inf


def spoilt(array: np.ndarray, value: float) -> np.ndarray:
    """Return a copy of ``array`` with ``value`` somewhere in the middle."""
    changed = array.astype(np.float64)
    changed.flat[changed.size // 2] = value
    return changed


BAD_X: dict[str, Any] = {
    "too few columns": X[:, :3],
    "too many columns": np.ones((6, 5)),
    "no samples": X[:0],
    "no columns": X[:, :0],
    "flat": X.ravel(),
    "no dimensions": np.float64(1.0),
    "four dimensions": X.reshape(6, 2, 2, 1)[..., None],
    "images of another size": np.ones((6, 28, 28), np.uint8),
    "complex": X.astype(complex),
    "text": X.astype(str),
    "objects": X.astype(object),
    "none": None,
    "a name": "mnist",
    "NaN": spoilt(X, NAN),
    "inf": spoilt(X, INF),
    "float32 NaN": spoilt(X, NAN).astype(np.float32),
    "masked": np.ma.masked_greater(X, 0.5),
}
BAD_Y: dict[str, Any] = {
    "a label too many": np.append(Y, 0),
    "a label too few": Y[:-1],
    "no labels": Y[:0],
    "label out of range": np.array([0, 1, 2, 3, 0, 1]),
    "negative label": np.array([0, 1, 2, -1, 0, 1]),
    "labels not whole": np.array([0, 1, 2, 0.5, 0, 1]),
    "labels as text": np.array(list("abcabc")),
    "labels as objects": np.array([0, 1, 2, None, 0, 1], dtype=object),
    "complex": Y.astype(complex),
    "NaN label": spoilt(Y, NAN),
    "one-hot too wide": np.eye(4)[Y],
    "one-hot too narrow": np.eye(3)[Y][:, :2],
    "one-hot of fewer samples": np.eye(3)[Y[:-1]],
    "three dimensions": np.eye(3)[Y][..., None],
    "masked": np.ma.masked_equal(Y, 2),
    "NaN target": spoilt(np.eye(3)[Y], NAN),
    "inf target": spoilt(np.eye(3)[Y], INF),
    "none": None,
}
USES: dict[str, Callable[[Network, Any, Any], object]] = {
    "cost": lambda net, x, y: net.cost(x, y),
    "accuracy": lambda net, x, y: net.accuracy(x, y),
    "gradient": lambda net, x, y: net.gradient(x, y),
    "per_sample_gradients": lambda net, x, y: net.per_sample_gradients(x, y),
    "per_sample_gradient_norms": lambda net, x, y: net.per_sample_gradient_norms(x, y),
    "check_gradients": lambda net, x, y: fastbp.check_gradients(net, x, y),
    "fit": lambda net, x, y: Trainer(net, SGD(0.1), batch_size=2).fit(x, y, epochs=1),
    "validation": lambda net, x, y: Trainer(net, SGD(0.1)).fit(X, Y, epochs=1, validation=(x, y)),
}
ONLY_X: dict[str, Callable[[Network, Any], object]] = {
    "forward": lambda net, x: net.forward(x),
    "classify": lambda net, x: net.classify(x),
}


@pytest.fixture
def network() -> Network:
    """A small classifier."""
    return Network(4, [Dense(5, "tanh"), Dense(3, "softmax")], dtype="float64", seed=0)


def refuse(call: Callable[[], object], argument: str, network: Network | None = None) -> str:
    """``call`` raises an error that names ``argument``, and leaves ``network`` as it was; return the message."""
    before = None if network is None else network.get_parameters()
    with pytest.raises((ValueError, TypeError)) as caught:
        call()
    message = str(caught.value)
    assert re.search(rf"\b{argument}\b", message), message
    assert "\n" not in message
    if network is not None:
        np.testing.assert_array_equal(network.get_parameters(), before)
    return message


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("kind", BAD_X)
def test_bad_x(kind: str, use: str, network: Network) -> None:
    refuse(lambda: USES[use](network, BAD_X[kind], Y), "x", network)


@pytest.mark.parametrize("use", ONLY_X)
@pytest.mark.parametrize("kind", BAD_X)
def test_bad_x_alone(kind: str, use: str, network: Network) -> None:
    refuse(lambda: ONLY_X[use](network, BAD_X[kind]), "x", network)


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("kind", BAD_Y)
def test_bad_y(kind: str, use: str, network: Network) -> None:
    refuse(lambda: USES[use](network, X, BAD_Y[kind]), "y", network)


def test_messages_say_what_was_got_and_what_would_do(network: Network) -> None:
    message = refuse(lambda: network.forward(np.ones((6, 5))), "x")
    assert "(6, 5)" in message
    assert "4" in message
    message = refuse(lambda: network.cost(X, np.array([0, 1, 2, 7, 0, 1])), "y")
    assert "7" in message
    assert "2" in message  # the largest label that would do


@pytest.mark.parametrize(
    ("build", "argument"),
    [
        (lambda: Network(0, [Dense(3, "sigmoid")], cost="sum_of_squares"), "n_in"),
        (lambda: Network(-4, [Dense(3, "sigmoid")], cost="sum_of_squares"), "n_in"),
        (lambda: Network(2.5, [Dense(3, "sigmoid")], cost="sum_of_squares"), "n_in"),
        (lambda: Network("784", [Dense(3, "sigmoid")], cost="sum_of_squares"), "n_in"),
        (lambda: Network(True, [Dense(3, "sigmoid")], cost="sum_of_squares"), "n_in"),
        (lambda: Network(4, []), "layers"),
        (lambda: Network(4, [3]), "layers"),
        (lambda: Network(4, None), "layers"),
        (lambda: Network(4, [Dense(5, "softmax"), Dense(3, "softmax")]), "softmax"),
        (lambda: Network(4, [Dense(3), Dense(1, "softmax")]), "layers"),
        (lambda: Network(4, [Dense(3, "relu")], cost="cross_entropy"), "cross_entropy"),
        (lambda: Network(4, [Dense(3, "identity")], cost="cross_entropy"), "cross_entropy"),
        (lambda: Network(4, [Dense(3, "tanh")], cost="cross_entropy"), "cross_entropy"),
        (lambda: Network(4, [Dense(3, "exp"), Dense(3)]), "exp"),
        (lambda: Network(4, [Dense(3, "exp")], cost="huber"), "exp"),
        (lambda: Network(4, [Dense(3, "softplus")], cost="poisson"), "poisson"),
        (lambda: Network(4, [Dense(3, "softmax")], dtype="float16"), "dtype"),
        (lambda: Network(4, [Dense(3, "softmax")], dtype=np.int64), "dtype"),
        (lambda: Network(4, [Dense(3, "softmax")], seed=-1), "seed"),
        (lambda: Network(4, [Dense(3, "softmax")], seed="zero"), "seed"),
        (lambda: Network(4, [Dense(3, "softmax")], cost=3), "cost"),
        (lambda: Dense(0), "n"),
        (lambda: Dense(-3), "n"),
        (lambda: Dense(1.5), "n"),
        (lambda: Dense("16"), "n"),
        (lambda: Dense(3, 7), "activation"),
        (lambda: Dense(3, ["relu"]), "activation"),
        (lambda: Dense(3, initializer=None), "initializer"),
        (lambda: Dense(3, initializer={}), "initializer"),
        (lambda: Dense(3, bias="no"), "bias"),
        (lambda: Network(4, [Dense(3, "softmax")], cost=["cross_entropy"]), "cost"),
    ],
)
def test_bad_networks(build: Callable[[], object], argument: str) -> None:
    refuse(build, argument)


@pytest.mark.parametrize("n", [2**40, 2**62, 10**30])
def test_a_layer_that_no_memory_holds(n: int) -> None:
    with pytest.raises((ValueError, MemoryError)):
        Network(2**20, [Dense(n, "sigmoid")], cost="sum_of_squares")


@pytest.mark.parametrize(
    ("build", "argument", "nearest"),
    [
        (lambda: Dense(3, "sigmoyd"), "activation", "sigmoid"),
        (lambda: Dense(3, "ReLU"), "activation", "relu"),
        (lambda: Dense(3, initializer="glorot_unifrom"), "initializer", "glorot_uniform"),
        (lambda: Network(4, [Dense(3, "sigmoid")], cost="sum_of_square"), "cost", "sum_of_squares"),
        (lambda: Network(4, [Dense(3, "softmax")], cost="cross-entropy"), "cost", "cross_entropy"),
        (lambda: Network(4, [Dense(3, "softmax")]).cost(X, Y, reduction="means"), "reduction", "mean"),
    ],
)
def test_unknown_names_get_the_nearest_known_one(build: Callable[[], object], argument: str, nearest: str) -> None:
    assert repr(nearest) in refuse(build, argument)


@pytest.mark.parametrize(
    ("options", "argument"),
    [
        ({"batch_size": 0}, "batch_size"),
        ({"batch_size": -100}, "batch_size"),
        ({"batch_size": 2**62 + 1}, "batch_size"),
        ({"batch_size": 2.5}, "batch_size"),
        ({"batch_size": "100"}, "batch_size"),
        ({"batch_size": None}, "batch_size"),
        ({"shuffle": "no"}, "shuffle"),
        ({"shuffle": None}, "shuffle"),
        ({"n_threads": 0}, "n_threads"),
        ({"n_threads": -1}, "n_threads"),
        ({"n_threads": 1.5}, "n_threads"),
        ({"seed": -1}, "seed"),
        ({"seed": "zero"}, "seed"),
        ({"optimizer": "adam"}, "optimizer"),
        ({"optimizer": Adam}, "optimizer"),
    ],
)
def test_bad_trainers(options: dict[str, Any], argument: str, network: Network) -> None:
    refuse(lambda: Trainer(network, **options), argument, network)


def test_what_a_trainer_is_cannot_be_swapped_for_another_kind(network: Network) -> None:
    trainer = Trainer(network, SGD(0.1), batch_size=2)
    trainer.fit(X, Y, epochs=1)
    for other in (Adam(), SGD(0.1, momentum=0.9)):  # kernels would write state vectors that it has not
        with pytest.raises(ValueError, match="optimizer: got"):
            trainer.optimizer = other
    with pytest.raises(ValueError, match="batch_size: got 0"):
        trainer.batch_size = 0
    with pytest.raises(ValueError, match="n_threads: got 0"):
        trainer.n_threads = 0
    with pytest.raises(AttributeError):
        trainer.network = Network(4, [Dense(80), Dense(3, "softmax")])  # type: ignore[misc]
    trainer.optimizer, trainer.batch_size = SGD(0.2), 3
    other = Trainer(copy.deepcopy(network), SGD(0.2), batch_size=3, shuffle=False)
    trainer.shuffle = False
    trainer.fit(X, Y, epochs=1)
    other.fit(X, Y, epochs=1)
    np.testing.assert_array_equal(network.get_parameters(), other.network.get_parameters())


def test_a_batch_of_all_there_is(network: Network) -> None:
    same = copy.deepcopy(network)
    for net, batch_size in (network, 1 << 62), (same, len(X)):
        Trainer(net, SGD(0.1), batch_size=batch_size).fit(X, Y, epochs=3)
    np.testing.assert_array_equal(network.get_parameters(), same.get_parameters())


@pytest.mark.parametrize("network", [None, "mnist.npz", Network])
def test_a_trainer_wants_a_network(network: Any) -> None:
    refuse(lambda: Trainer(network), "network")


@pytest.mark.parametrize(
    "look", ["check_gradients", "confusion_matrix", "explain", "explain_batch", "sample_forensics", "GradientLog"]
)
def test_what_looks_into_a_network_wants_one(look: str, network: Network) -> None:
    message = refuse(lambda: getattr(fastbp, look)(Trainer(network), X, Y), "net")
    assert message == "net: got a Trainer, expected a Network"


@pytest.mark.parametrize("epochs", [0, -1, 1.5, "3", None, NAN])
def test_bad_epochs(epochs: Any, network: Network) -> None:
    refuse(lambda: Trainer(network, SGD(0.1)).fit(X, Y, epochs=epochs), "epochs", network)


@pytest.mark.parametrize("validation", [X, (X,), (X, Y, Y), "test", 0.1, fastbp.datasets.Split(X, Y, "six", "memory")])
def test_bad_validation(validation: Any, network: Network) -> None:
    fit = Trainer(network, SGD(0.1)).fit
    said = refuse(lambda: fit(X, Y, epochs=1, validation=validation), "validation", network)
    assert f"got a {type(validation).__name__}" in said


BAD_NUMBERS: list[Any] = [-0.5, NAN, INF, "0.1", None]


@pytest.mark.parametrize("optimizer", OPTIMIZERS.values())
@pytest.mark.parametrize("argument", ["learning_rate", "l1", "l2"])
@pytest.mark.parametrize("value", BAD_NUMBERS)
def test_bad_settings_of_every_optimizer(optimizer: Callable[..., object], argument: str, value: Any) -> None:
    refuse(lambda: optimizer(**{"learning_rate": 0.1, argument: value}), argument)


@pytest.mark.parametrize(
    ("optimizer", "argument"),
    [
        (SGD, "momentum"),
        (RMSprop, "decay"),
        (RMSprop, "epsilon"),
        (Adam, "beta1"),
        (Adam, "beta2"),
        (Adam, "epsilon"),
        (AdamW, "weight_decay"),
    ],
)
@pytest.mark.parametrize("value", BAD_NUMBERS)
def test_bad_settings_of_one_optimizer(optimizer: Callable[..., object], argument: str, value: Any) -> None:
    refuse(lambda: optimizer(learning_rate=0.1, **{argument: value}), argument)


@pytest.mark.parametrize(
    ("optimizer", "argument"), [(SGD, "momentum"), (RMSprop, "decay"), (Adam, "beta1"), (Adam, "beta2")]
)
def test_averages_that_never_forget(optimizer: Callable[..., object], argument: str) -> None:
    refuse(lambda: optimizer(learning_rate=0.1, **{argument: 1.0}), argument)


@pytest.mark.parametrize("value", ["no", 1, None, []])
def test_nesterov_is_true_or_false(value: Any) -> None:
    refuse(lambda: SGD(0.1, momentum=0.9, nesterov=value), "nesterov")


@pytest.mark.parametrize("rate", [-0.1, NAN, INF, "fast", None, (0.1, 0.2)])
def test_a_schedule_that_gives_nonsense(rate: Any, network: Network) -> None:
    refuse(lambda: Trainer(network, SGD(lambda update: rate)).fit(X, Y, epochs=1), "learning_rate", network)


@pytest.mark.parametrize(
    "theta",
    [
        *(np.ones(42), np.ones(44), np.ones((43, 1)), np.ones(0), spoilt(np.ones(43), NAN), spoilt(np.ones(43), INF)),
        *(np.ones(43, complex), np.full(43, "1"), None, np.ma.masked_equal(np.arange(43.0), 3)),
    ],
)
def test_bad_parameters(theta: Any, network: Network) -> None:
    assert network.n_parameters == 43
    refuse(lambda: network.set_parameters(theta), "parameters", network)
    if theta is not None:  # which is the average
        refuse(lambda: fastbp.sample_forensics(network, X, Y, theta), "direction", network)


SINGLE: dict[str, Callable[[Network, Any, Any], object]] = {
    "cost": lambda net, x, y: net.cost(x, y),
    "explain": lambda net, x, y: fastbp.explain(net, x, y),
}


@pytest.mark.parametrize("use", SINGLE)
def test_masks_of_a_single_sample_are_refused(use: str, network: Network) -> None:
    refuse(lambda: SINGLE[use](network, np.ma.masked_greater(X[0], 0), 1), "x")
    refuse(lambda: SINGLE[use](network, X[0], np.ma.masked_equal(np.eye(3)[0], 0)), "y")


DATA = fastbp.datasets.Split(X, Y, "six", "memory")


@pytest.mark.parametrize(
    ("call", "argument"),
    [
        (lambda net: fastbp.schedules.warmup(-0.1, 5), "schedule"),
        (lambda net: fastbp.check_gradients(net, X, Y, seed=-1), "seed"),
        (lambda net: fastbp.check_gradients(net, X, Y, epsilon=True), "epsilon"),
        (lambda net: DATA.take(2.5), "n"),
        (lambda net: DATA.take("3"), "n"),
        (lambda net: DATA.split("0.5"), "fraction"),
        (lambda net: DATA.split(0.5, seed=-1), "seed"),
    ],
)
def test_bad_numbers_here_and_there(call: Callable[[Network], object], argument: str, network: Network) -> None:
    refuse(lambda: call(network), argument, network)


def test_gradients_can_be_compared_and_be_keys(network: Network) -> None:
    one, other = network.gradient(X, Y), network.gradient(X, Y)
    assert one == one
    assert one != other  # as all that holds arrays: it is itself
    assert {one: "one"}[one] == "one"


@pytest.mark.parametrize("y", [np.array([0.5, -0.1, 0, 1, 1, 1]), np.array([0, 1, 2, 1, 1, 1.0])])
def test_cross_entropy_wants_probabilities(y: np.ndarray) -> None:
    network = Network(4, [Dense(1, "sigmoid")], cost="cross_entropy", dtype="float64")
    refuse(lambda: network.gradient(X, y), "y", network)


def test_poisson_wants_counts_of_zero_or_more() -> None:
    network = Network(4, [Dense(1, "exp")], dtype="float64")
    assert "-0.5" in refuse(lambda: network.gradient(X, np.array([0.5, 3, -0.5, 0, 1, 7])), "y", network)


def test_regression_takes_no_text(network: Network) -> None:
    regression = Network(4, [Dense(1, "identity")], cost="sum_of_squares", dtype="float64")
    for y in [np.full(6, "1.5"), spoilt(np.ones(6), NAN), spoilt(np.ones(6), INF), np.ones(5), np.ones((6, 2))]:
        refuse(lambda y=y: regression.gradient(X, y), "y", regression)  # type: ignore[misc]


def test_numbers_that_float32_cannot_hold() -> None:
    network = Network(4, [Dense(2, "identity")], cost="sum_of_squares", dtype="float32")
    huge, y = np.full((6, 4), 1e300), np.ones((6, 2))
    refuse(lambda: network.cost(huge, y), "x", network)
    refuse(lambda: network.cost(X, huge[:, :2]), "y", network)
    refuse(lambda: Trainer(network).fit(huge, y, epochs=1), "x", network)
    refuse(lambda: network.set_parameters(np.full(10, 1e300)), "parameters", network)


def test_after_an_error_the_trainer_goes_on_as_if_nothing_had_been() -> None:
    def run(stumble: bool) -> np.ndarray:
        network = Network(4, [Dense(5, "tanh"), Dense(3, "softmax")], dtype="float64", seed=0)
        trainer = Trainer(network, Adam(0.01), batch_size=2)
        trainer.fit(X, Y, epochs=1)
        if stumble:
            refuse(lambda: trainer.fit(spoilt(X, NAN), Y, epochs=1), "x", network)
            refuse(lambda: trainer.fit(X, Y + 1, epochs=1), "y", network)
            refuse(lambda: trainer.fit(X, Y, epochs=-1), "epochs", network)
        trainer.fit(X, Y, epochs=1)
        return network.get_parameters()

    np.testing.assert_array_equal(run(stumble=True), run(stumble=False))


def test_a_list_of_images_is_scaled_as_an_array_is(network: Network) -> None:
    images = np.arange(24, dtype=np.uint8).reshape(6, 4) * 10
    want = network.forward(images)
    for given in (list(images), tuple(images), memoryview(images)):
        np.testing.assert_array_equal(network.forward(given), want)
    np.testing.assert_array_equal(network.forward(images.tolist()), network.forward(images.astype(np.float64)))
    np.testing.assert_array_equal(fastbp.explain(network, list(images[0]), 0).a[0], images[0] / 255.0)


def test_a_missing_extra_travels_to_other_processes() -> None:
    error = fastbp.MissingExtraError("onnx", "exchange", "to_onnx")
    again = pickle.loads(pickle.dumps(error))
    assert (str(again), again.name) == (str(error), "onnx")


def test_a_network_that_diverged_can_be_copied(network: Network) -> None:
    network.weights[0][0, 0] = NAN
    np.testing.assert_array_equal(copy.deepcopy(network).get_parameters(), network.get_parameters())


@pytest.mark.parametrize("name", ["n_in", "layers", "cost_name", "dtype", "seed", "n_parameters", "weights", "biases"])
def test_what_makes_a_network_cannot_be_set(name: str) -> None:
    """Kernels would take one dtype for another, and weights that are no views would count for some methods only."""
    network = Network(4, [Dense(3)])
    before = getattr(network, name)
    with pytest.raises(AttributeError, match=f"^{name}: cannot be set; "):
        setattr(network, name, before)
    assert getattr(network, name) is before
    for note in ("a", "b"):  # but what is somebody else's can
        network.note = note  # type: ignore[attr-defined]


@pytest.mark.parametrize("path", [0, 1, True, None, b"net.npz"])
def test_a_path_is_no_number(path: Any) -> None:
    """0 and 1 would be taken for open files: the model would go to stdout, and close it."""
    network = Network(4, [Dense(3)])
    trainer = Trainer(network)
    for call in (network.save, network.to_c, network.to_safetensors, Network.load, Network.from_safetensors,
                 trainer.save, Trainer.load, fastbp.callbacks.Checkpoint, fastbp.callbacks.CSVLogger):  # fmt: skip
        with pytest.raises(TypeError, match=f"^path: got {re.escape(repr(path))}, expected a file's name"):
            call(path)
    if path is not None:
        with pytest.raises(TypeError, match=r"^resume: got .*, expected a file's name"):
            trainer.fit(X, Y, resume=path)
    with pytest.raises(TypeError, match=r"^name_or_folder: got"):
        fastbp.datasets.load(path)


@pytest.mark.parametrize(
    ("call", "named"),
    [
        (lambda: Network.from_config(None), "config: got a NoneType"),  # type: ignore[arg-type]
        (lambda: fastbp.datasets.fetch([3]), "name: unknown name"),  # type: ignore[arg-type]
        (lambda: SGD(10**400), "learning_rate: got a number of 401 digits"),
    ],
)
def test_these_name_their_argument_too(call: Callable[[], Any], named: str) -> None:
    with pytest.raises((TypeError, ValueError), match=f"^{named}"):
        call()


def test_rows_of_different_lengths_are_no_array() -> None:
    network, ragged = Network(3, [Dense(3)]), [[1, 2, 3], [1, 2]]
    for call, named in (
        (lambda: network.forward(ragged), "x"),
        (lambda: network.cost(np.ones((2, 3)), ragged), "y"),  # type: ignore[arg-type]
        (lambda: Trainer(network).fit(ragged, [0, 1]), "x"),
    ):
        with pytest.raises(ValueError, match=f"^{named}: got what is no array"):
            call()


@pytest.mark.parametrize("value", [NAN, INF])
def test_a_network_that_is_not_finite_is_blamed_for_it(value: float, tmp_path: Path) -> None:
    """And neither x nor the learning rate."""
    network = Network(4, [Dense(3)])
    network.weights[0][1, 1] = value
    with pytest.raises(ValueError, match=r"^net: got 1 parameters that are NaN or infinite"):
        fastbp.explain(network, X[0], 0)
    trainer = Trainer(network)
    with pytest.raises(ValueError, match=r"^network: got 1 parameters that are NaN or infinite"):
        trainer.fit(X, Y, epochs=1)
    assert (trainer.updates, trainer.history.cost) == (0, [])
    good = Trainer(Network(4, [Dense(3)]))
    good.fit(X, Y, epochs=1)
    good.save(tmp_path / "run.npz")
    assert len(trainer.fit(X, Y, epochs=2, resume=tmp_path / "run.npz").cost) == 2  # it takes other parameters over
