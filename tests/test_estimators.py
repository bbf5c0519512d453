"""The estimators beside scikit-learn's: the same names, numbers, records, warnings and errors."""

from __future__ import annotations

import inspect
import pickle
import signal
import subprocess
import sys
from typing import Any

import joblib
import numpy as np
import pytest
import scipy.sparse
import sklearn.neural_network
from sklearn.base import clone
from sklearn.datasets import load_iris, make_classification, make_multilabel_classification
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

import fastbp
from fastbp import estimators
from fastbp.callbacks import Callback, Checkpoint
from fastbp.estimators import MLPClassifier, MLPRegressor

NAMES = ("MLPClassifier", "MLPRegressor")
N = 120
# Adam's epsilon is not corrected for its start in scikit-learn: where it should not matter, it is next to nothing.
QUICK: dict[str, Any] = {"max_iter": 30, "epsilon": 1e-14, "random_state": 3, "batch_size": N}
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

Data = tuple[np.ndarray, np.ndarray]


def data(kind: str) -> Data:
    """N samples of 8 features, and targets of a kind."""
    x, numbers = make_classification(N, 8, n_informative=5, n_classes=4, random_state=1)
    squares = np.stack([x[:, 0] ** 2, x[:, 1] * x[:, 2]], axis=1)
    targets = {
        "two classes": numbers > 1,
        "four classes": np.array(["a", "b", "c", "d"])[numbers],
        "labels": make_multilabel_classification(N, 8, random_state=1)[1],
        "a number": squares[:, 0],
        "two numbers": squares,
    }
    return x, targets[kind]


def pair(kind: str, **parameters: Any) -> tuple[Any, Any]:
    """scikit-learn's estimator for a kind of targets, and fastbp's."""
    name = NAMES["number" in kind]
    return getattr(sklearn.neural_network, name)(**parameters), getattr(estimators, name)(**parameters)


def outputs(model: Any, x: np.ndarray) -> np.ndarray:
    """Probabilities, or predicted numbers."""
    return model.predict_proba(x) if hasattr(model, "predict_proba") else model.predict(x)


def assert_same(theirs: Any, ours: Any, tolerance: float = 1e-7) -> None:
    """Both went the same way. float64 rounds at 1e-16, and some hundred steps let that grow."""
    assert ours.n_iter_ == theirs.n_iter_
    for name in ("coefs_", "intercepts_"):
        for a, b in zip(getattr(theirs, name), getattr(ours, name), strict=True):
            np.testing.assert_allclose(b, a, rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(ours.loss_, theirs.loss_, rtol=tolerance)
    for name in ("loss_curve_", "validation_scores_"):
        if getattr(theirs, name, None) is not None:
            np.testing.assert_allclose(getattr(ours, name), getattr(theirs, name), rtol=tolerance, atol=tolerance)


# ------------------------------------------------------------ scikit-learn's own checks
WEIGHTS_ARE_HERE = "sample_weight" in inspect.signature(fastbp.Trainer.fit).parameters
needs_weights = pytest.mark.xfail(not WEIGHTS_ARE_HERE, reason="Trainer.fit takes no sample_weight", strict=True)
USES_WEIGHTS = (
    "check_sample_weights_pandas_series",
    "check_sample_weights_not_an_array",
    "check_sample_weights_list",
    "check_sample_weights_shape",
    "check_sample_weights_not_overwritten",
    "check_sample_weight_equivalence_on_dense_data",
    "check_sample_weight_equivalence_on_sparse_data",
    "check_class_weight_classifiers",
    "check_classifiers_one_label_sample_weights",
)


CHECKS = parametrize_with_checks(
    [MLPClassifier(), MLPRegressor()],
    expected_failed_checks=lambda _: {} if WEIGHTS_ARE_HERE else dict.fromkeys(USES_WEIGHTS, "no sample_weight yet"),
)


# A list: scikit-learn 1.6 and 1.7 give a generator, which pytest 9 refuses.
@pytest.mark.parametrize(CHECKS.args[0], list(CHECKS.args[1]), **CHECKS.kwargs)
def test_scikit_learns_checks(estimator: Any, check: Any) -> None:
    check(estimator)


@pytest.mark.parametrize("name", NAMES)
def test_parameters_are_scikit_learns(name: str) -> None:
    theirs = inspect.signature(getattr(sklearn.neural_network, name)).parameters
    ours = inspect.signature(getattr(estimators, name)).parameters
    assert list(ours)[: len(theirs)] == list(theirs)
    for parameter in theirs:
        assert (ours[parameter].default, ours[parameter].kind) == (theirs[parameter].default, theirs[parameter].kind)


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
@pytest.mark.parametrize("kind", ["four classes", "a number"])
def test_attributes_are_scikit_learns(kind: str, solver: str) -> None:
    x, y = data(kind)
    theirs, ours = (model.fit(x, y) for model in pair(kind, max_iter=2, solver=solver))
    public = {name: value for name, value in vars(theirs).items() if not name.startswith("_")}
    assert public.keys() <= vars(ours).keys() | {"loss"}
    for name, value in public.items():
        assert type(getattr(ours, name)) is type(value) or isinstance(value, float), name
    methods = {name for name in dir(theirs) if not name.startswith("_")}
    # MLPRegressor(solver="lbfgs") says that it had partial_fit, but fails when it is called.
    assert methods - set(dir(ours)) <= ({"partial_fit"} if solver == "lbfgs" else set())


# ------------------------------------------------------------ the same numbers
CASES: list[dict[str, Any]] = [
    {},
    {"activation": "logistic", "alpha": 1.0},
    {"activation": "identity", "hidden_layer_sizes": []},
    {"solver": "sgd", "learning_rate_init": 0.05},
    {"solver": "sgd", "learning_rate": "invscaling", "learning_rate_init": 0.5, "momentum": 0.0},
    {"solver": "lbfgs", "alpha": 1.0, "max_iter": 15},
]
KINDS = ("two classes", "four classes", "labels", "a number", "two numbers")


@pytest.mark.parametrize(
    ("kind", "parameters"),
    # With two outputs and a penalty, the gradient that scikit-learn gives to L-BFGS is not its loss's: issue 8349.
    [(kind, case) for kind in KINDS for case in CASES if kind != "two numbers" or case.get("solver") != "lbfgs"],
    ids=str,
)
def test_training_on_all_samples_at_once_gives_scikit_learns_numbers(kind: str, parameters: dict[str, Any]) -> None:
    x, y = data(kind)
    settings = {"hidden_layer_sizes": (7, 5), "activation": "tanh"} | QUICK | parameters
    theirs, ours = (model.fit(x, y) for model in pair(kind, **settings))
    assert_same(theirs, ours)
    np.testing.assert_allclose(outputs(ours, x), outputs(theirs, x), rtol=1e-7, atol=1e-9)
    np.testing.assert_array_equal(np.asarray(ours.predict(x) == theirs.predict(x)).shape, np.shape(y))


def test_lbfgs_with_a_penalty_and_two_outputs_minimises_one_function() -> None:
    x, y = data("two numbers")
    model = MLPRegressor("squared_error", 5, "tanh", solver="lbfgs", alpha=5.0, max_iter=2000, tol=1e-7, random_state=0)
    model.fit(x, y)
    gradient = model.network_.gradient(x, y)
    # SciPy stops where a step gains less than 2e-9 of the loss (ftol): at slopes of 1e-5 to 1.3e-4, by the last bits
    # of the way there. Half the penalty's slope forgotten would leave 2e-2.
    for slope, weights in zip(gradient.weights, model.coefs_, strict=True):
        assert np.abs(slope + 5.0 / N * weights).max() < 5e-4
    assert max(np.abs(slope).max() for slope in gradient.biases) < 5e-4


@pytest.mark.parametrize("kind", ["two classes", "four classes", "labels", "a number"])
def test_early_stopping_is_scikit_learns(kind: str) -> None:
    x, y = data(kind)
    settings = QUICK | {"max_iter": 200, "learning_rate_init": 0.01, "early_stopping": True, "n_iter_no_change": 4}
    theirs, ours = (model.fit(x, y) for model in pair(kind, **settings | {"batch_size": int(N * 0.9)}))
    assert theirs.n_iter_ < 200
    assert_same(theirs, ours)
    assert ours.best_validation_score_ == pytest.approx(theirs.best_validation_score_, rel=1e-7)
    assert ours.best_loss_ is None


@pytest.mark.parametrize("solver", [{}, {"solver": "sgd", "learning_rate_init": 0.3, "momentum": 0.0}])
def test_the_loss_ends_training_by_scikit_learns_rule(solver: dict[str, Any]) -> None:
    x, y = data("four classes")
    settings = QUICK | {"max_iter": 400, "tol": 0.01, "n_iter_no_change": 2, "learning_rate": "adaptive"} | solver
    theirs, ours = (model.fit(x, y) for model in pair("four classes", **settings))
    assert theirs.n_iter_ < 400
    assert_same(theirs, ours)
    assert ours.best_loss_ == pytest.approx(theirs.best_loss_, rel=1e-7)


def test_verbose_prints_scikit_learns_lines(capsys: pytest.CaptureFixture[str]) -> None:
    x, y = data("two classes")
    settings = QUICK | {
        "verbose": True,
        "solver": "sgd",
        "learning_rate": "adaptive",
        "tol": 1.0,
        "max_iter": 15,
        "momentum": 0,
    }
    theirs, ours = pair("two classes", **settings)
    theirs.fit(x, y)
    wanted = capsys.readouterr().out
    ours.fit(x, y)
    assert capsys.readouterr().out == wanted
    assert "Setting learning rate to" in wanted


@pytest.mark.filterwarnings("ignore:Got `batch_size`")
@pytest.mark.parametrize("solver", ["adam", "sgd"])
@pytest.mark.parametrize("kind", ["four classes", "labels", "a number"])
def test_partial_fit_and_warm_start_go_on_as_scikit_learns(kind: str, solver: str) -> None:
    x, y = data(kind)
    both = pair(kind, **QUICK | {"solver": solver, "max_iter": 3, "batch_size": 60, "shuffle": False})
    for model in both:
        first = {"classes": np.unique(y)} if kind == "four classes" else {}
        first |= {"classes": np.arange(y.shape[1])} if kind == "labels" else {}
        model.partial_fit(x[:60], y[:60], **first)
        model.partial_fit(x[60:100], y[60:100])  # 40: one smaller batch
        model.partial_fit(x, y)
        model.set_params(batch_size=N, alpha=0.5).partial_fit(x, y)
    assert_same(*both)
    assert both[1].t_ == both[0].t_ == 340
    for model in both:
        model.set_params(warm_start=True, batch_size=60, alpha=1e-4).fit(x, y)
    assert_same(*both)


@pytest.mark.parametrize("kind", ["four classes", "a number"])
def test_mini_batches_learn_as_well(kind: str) -> None:
    x, y = data(kind)
    both = [model.fit(x, y) for model in pair(kind, batch_size=16, max_iter=150, random_state=0)]
    theirs, ours = (model.loss_curve_[-1] for model in both)
    assert ours == pytest.approx(theirs, rel=0.1)  # the order of the samples differs


# ------------------------------------------------------------ the data it takes
@pytest.mark.parametrize(("given", "kept"), [("float32", "float32"), ("float64", "float64"), ("uint8", "float64")])
@pytest.mark.parametrize("name", NAMES)
def test_the_dtype_is_that_of_x(name: str, given: str, kept: str) -> None:
    x = np.arange(60).reshape(20, 3).astype(given)
    model = getattr(estimators, name)(max_iter=2).fit(x, np.arange(20) % 2)
    assert {array.dtype.name for array in (*model.coefs_, outputs(model, x))} == {kept}
    assert getattr(estimators, name)(max_iter=2, dtype="float32").fit(x, np.arange(20) % 2).coefs_[0].dtype == "f4"


def test_lbfgs_is_in_float64_unless_asked() -> None:
    x, y = data("a number")
    settings: dict[str, Any] = {"solver": "lbfgs", "max_iter": 2}
    theirs, ours = (model.fit(x.astype("f4"), y) for model in pair("a number", **settings))
    assert ours.coefs_[0].dtype == theirs.coefs_[0].dtype == "f8"
    assert MLPRegressor(dtype="float32", **settings).fit(x, y).coefs_[0].dtype == "f4"


def test_whole_numbers_are_not_scaled() -> None:
    x, y = data("two classes")
    whole = np.rint(x * 50 + 120).clip(0, 255).astype(np.uint8)
    a, b = (MLPClassifier(**QUICK).fit(array, y) for array in (whole, whole.astype(float)))
    np.testing.assert_array_equal(a.predict_proba(whole), b.predict_proba(whole.astype(float)))


@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
@pytest.mark.parametrize("kind", ["four classes", "two numbers"])
@pytest.mark.parametrize("container", ["csr_array", "csc_matrix"])
def test_sparse_x_in_slices_is_as_dense_x(
    kind: str, container: str, solver: str, shuffle: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    x, y = data(kind)
    x = np.where(np.abs(x) > 1, x, 0.0)
    monkeypatch.setattr("fastbp.estimators.samples.SLICE_BYTES", 8 * 8 * 45)  # 40 rows of 8 numbers: batches of 20
    settings = QUICK | {
        "batch_size": 20,
        "solver": solver,
        "shuffle": shuffle,
        "max_iter": 60 if solver == "adam" else 10,
    }
    _, dense = pair(kind, **settings)
    sparse = clone(dense).fit(getattr(scipy.sparse, container)(x), y)
    dense.fit(x, y)
    if shuffle and solver == "adam":
        assert sparse.loss_ == pytest.approx(dense.loss_, rel=0.1)  # in another order
        assert sparse.loss_ != dense.loss_
        assert clone(sparse).set_params(shuffle=False).fit(x, y).loss_ != sparse.loss_
    else:
        assert_same(dense, sparse)
    np.testing.assert_allclose(outputs(sparse, scipy.sparse.csr_array(x)), outputs(sparse, x), rtol=1e-12)


@pytest.mark.parametrize("solver", ["adam", "sgd"])
def test_a_sparse_x_may_be_wider_than_the_network(solver: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Slices are written over each other: a copy in the network's dtype would stay what the first one was."""
    x, y = data("two numbers")
    x = np.where(np.abs(x) > 1, x, 0.0)
    monkeypatch.setattr("fastbp.estimators.samples.SLICE_BYTES", 4 * 8 * 45)
    models = [MLPRegressor(**QUICK | {"batch_size": 20, "solver": solver, "shuffle": False}) for _ in range(2)]
    for model, container in zip(models, (np.asarray, scipy.sparse.csr_array), strict=True):
        model.partial_fit(x[:40].astype(np.float32), y[:40])
        for _ in range(3):
            model.partial_fit(container(x), y)
        assert model.network_.dtype == np.float32
    np.testing.assert_allclose(models[1].network_.get_parameters(), models[0].network_.get_parameters(), rtol=1e-5)


@pytest.mark.parametrize("container", [np.asarray, scipy.sparse.csr_array])
@pytest.mark.filterwarnings("error")
def test_what_is_too_large_for_a_float32_network_is_called_that(container: Any) -> None:
    x, y = data("two numbers")
    model = MLPRegressor(dtype="float32", **QUICK)
    with pytest.raises(ValueError, match="y: got a number too large for float32"):
        model.fit(container(x), y * 1e200)
    model.fit(container(x.astype(np.float32)), y)
    model.set_params(dtype=None)
    with pytest.raises(ValueError, match=r"got a number too large for float32|Input X contains infinity"):
        model.partial_fit(container(x * 1e200), y)


@pytest.mark.filterwarnings("ignore:overflow")
def test_lbfgs_that_overflows_says_so_and_keeps_the_last_good_step() -> None:
    rng = np.random.default_rng(0)
    x = np.c_[1.7e9 + 1e7 * rng.random(300), rng.random((300, 3))]  # a column of times, say, as it is
    model = MLPRegressor("poisson", (20,), solver="lbfgs", random_state=0)
    with pytest.raises(ValueError, match=r"Solver produced non-finite parameter weights.*large values"):
        model.fit(x, 100 * rng.random(300))
    assert np.isfinite(model.network_.get_parameters()).all()


def test_labels_may_be_sparse() -> None:
    x, y = data("labels")
    model = MLPClassifier(**QUICK).fit(x, scipy.sparse.csr_matrix(y))
    np.testing.assert_array_equal(model.predict(x).toarray(), MLPClassifier(**QUICK).fit(x, y).predict(x))


# ------------------------------------------------------------ what there is beyond scikit-learn's
def test_a_tuple_of_activations() -> None:
    x, y = data("four classes")
    model = MLPClassifier((6, 5), ("gelu", "logistic"), **QUICK).fit(x, y)
    assert [layer.activation for layer in model.network_.layers] == ["gelu", "sigmoid", "softmax"]
    same = MLPClassifier((6, 5), ("tanh", "tanh"), **QUICK).fit(x, y)
    np.testing.assert_array_equal(same.coefs_[0], MLPClassifier((6, 5), "tanh", **QUICK).fit(x, y).coefs_[0])


def test_callbacks_see_every_epoch_and_may_end_training() -> None:
    x, y = data("two classes")
    seen: list[int] = []

    def third(trainer: fastbp.Trainer, epoch: int, history: fastbp.History) -> bool:
        assert trainer.network.n_in == 8
        seen.append(len(history.cost))
        return len(seen) == 3

    model = MLPClassifier(callbacks=[third], **QUICK).fit(x, y)
    assert (model.n_iter_, seen) == (3, [1, 2, 3])


class Diary(Callback):
    """What callbacks are told, by hook."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def on_train_begin(self, trainer: fastbp.Trainer, history: fastbp.History) -> None:
        self.told.append(f"begin {trainer.run.epochs} of {trainer.run.samples}")

    def on_epoch_begin(self, trainer: fastbp.Trainer, epoch: int, history: fastbp.History) -> bool:
        return epoch == 2

    def on_epoch_end(self, trainer: fastbp.Trainer, epoch: int, history: fastbp.History) -> None:
        assert history is trainer.history
        self.told.append(f"{epoch}: {len(history.cost)} {len(history.accuracy)} {len(history.seconds)}")

    def on_slice_end(self, trainer: fastbp.Trainer, history: fastbp.History) -> None:
        self.told.append(f"{trainer.run.done} {history.ended_by}")

    def on_train_end(self, trainer: fastbp.Trainer, history: fastbp.History) -> None:
        self.told.append(f"end {history.ended_by}")


@pytest.mark.parametrize("container", [np.asarray, scipy.sparse.csr_array])
def test_callbacks_are_told_the_same_of_dense_and_of_sparse_x(
    container: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    x, y = data("two classes")
    x = container(x)
    monkeypatch.setattr("fastbp.estimators.samples.SLICE_BYTES", 8 * 8 * 45)
    diary, path = Diary(), tmp_path / "run.npz"
    model = MLPClassifier(callbacks=[diary, Checkpoint(path)], **QUICK | {"batch_size": 20}).fit(x, y)
    ended = "240 Diary", "end Diary"
    assert diary.told == ["begin 30 of 120", "0: 1 1 1", "120 ", "1: 2 2 2", "240 ", *ended]
    assert model.n_iter_ == 2
    saved = fastbp.Trainer.load(path)
    assert saved.history.cost == model._trainer.history.cost
    np.testing.assert_array_equal(saved.network.weights[0], model.coefs_[0])
    model.set_params(callbacks=[diary]).partial_fit(x, y)
    assert diary.told[7:] == ["begin 1 of 120", "0: 3 3 3", "120 epochs", "end epochs"]


def test_ctrl_c_in_a_sparse_x(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = data("two classes")
    x = scipy.sparse.csr_array(x)
    diary = Diary()
    monkeypatch.setattr("fastbp.estimators.samples.SLICE_BYTES", 8 * 8 * 45)

    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    with pytest.warns(UserWarning, match="interrupted"):
        MLPClassifier(callbacks=[interrupt, diary], **QUICK).fit(x, y)
    assert diary.told == ["begin 30 of 120", "end KeyboardInterrupt"]

    def interrupted(*given: Any) -> Any:
        """The slices, and Ctrl-C when the second one is asked for: while ``Trainer.fit`` trains."""
        for place, part in enumerate(estimators.samples.slices(*given)):
            if place:
                signal.raise_signal(signal.SIGINT)
            yield part

    monkeypatch.setattr("fastbp.estimators.sliced.slices", interrupted)
    model, diary.told[:] = MLPClassifier(callbacks=[diary], **QUICK | {"batch_size": 20}), []
    with pytest.warns(UserWarning, match="interrupted"):
        model.fit(x, y)
    assert diary.told == ["begin 30 of 120", "40 Ctrl-C", "end Ctrl-C"]
    assert model._trainer.history.unfinished == 1 / 3


def test_the_number_of_threads_changes_no_bit() -> None:
    x, y = make_classification(3000, 40, n_informative=9, n_classes=3, random_state=0)
    a, b = (MLPClassifier(max_iter=2, random_state=0, n_jobs=n).fit(x, y) for n in (1, -1))
    np.testing.assert_array_equal(a.coefs_[0], b.coefs_[0])
    assert a._trainer.n_threads == 1


def test_partial_fit_trains_the_network_of_the_last_fit() -> None:
    x, y = data("two classes")
    model = MLPClassifier(**QUICK).fit(x, y).set_params(solver="lbfgs", max_iter=3).fit(x, y)
    before = model.coefs_[0].copy()
    model.set_params(solver="adam").partial_fit(x, y)
    assert (model.coefs_[0] != before).any()
    assert model.coefs_[0] is model.network_.weights[0]


def test_partial_fit_takes_the_parameters_of_now() -> None:
    x, y = data("a number")
    model = MLPRegressor(batch_size=60, n_jobs=1, random_state=0).partial_fit(scipy.sparse.csr_array(x), y)
    assert (model._trainer.batch_size, model._trainer.shuffle, model._trainer.n_threads) == (60, False, 1)
    model.set_params(batch_size=20, n_jobs=None).partial_fit(x, y)
    threads = fastbp.Trainer(model.network_).n_threads
    assert (model._trainer.batch_size, model._trainer.shuffle, model._trainer.n_threads) == (20, True, threads)


OTHERS: dict[str, tuple[dict[str, Any], str]] = {
    "activation": ({"activation": "tanh"}, "activation: got 'tanh', but 'relu' was fitted before"),
    "dropout": ({"dropout": 0.5}, r"dropout: got 0\.5, but 0\.0 was fitted before"),
    "dtype": ({"dtype": "float32"}, "dtype: got 'float32', but 'float64' was fitted before"),
    "loss": ({"loss": "huber"}, "loss: got 'huber', but 'half_sum_of_squares' was fitted before"),
    "sizes": ({"hidden_layer_sizes": 3}, r"hidden_layer_sizes and y: got \[3, 1\], but \[100, 1\] was fitted before"),
}


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
@pytest.mark.parametrize(("parameters", "message"), OTHERS.values(), ids=OTHERS.keys())
def test_what_goes_on_is_the_same_network(parameters: dict[str, Any], message: str, method: str) -> None:
    x, y = data("a number")
    model = MLPRegressor(warm_start=True, **QUICK).fit(x, y).set_params(**parameters)
    with pytest.raises(ValueError, match=message):
        getattr(model, method)(x, y)


def test_the_network_is_there_for_all_else() -> None:
    x, y = data("two classes")
    model = MLPClassifier(**QUICK).fit(x, y)
    np.testing.assert_array_equal(model.network_.forward(x)[:, 0], model.predict_proba(x)[:, 1])
    assert fastbp.check_gradients(model.network_, x[:5], y[:5].astype(float)).passed


@needs_weights
@pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs"])
@pytest.mark.parametrize("kind", ["two classes", "four classes", "labels", "two numbers"])
def test_sample_weights_are_scikit_learns(kind: str, solver: str, rng: np.random.Generator) -> None:
    x, y = data(kind)
    weights = rng.uniform(0, 3, N)
    settings = QUICK | {"solver": solver, "alpha": 0.0 if kind == "two numbers" else 0.1, "max_iter": 15}
    theirs, ours = (model.fit(x, y, weights) for model in pair(kind, **settings))
    assert_same(theirs, ours)


@needs_weights
def test_class_weights_are_sample_weights(rng: np.random.Generator) -> None:
    x, y = data("four classes")
    own, by_class = rng.uniform(0.5, 2, N), {"a": 2.0, "b": 0.5}
    a = MLPClassifier(class_weight=by_class, **QUICK).fit(x, y, own)
    b = MLPClassifier(**QUICK).fit(x, y, own * np.select([y == "a", y == "b"], [2.0, 0.5], 1.0))
    np.testing.assert_array_equal(a.coefs_[0], b.coefs_[0])
    balanced = MLPClassifier(class_weight="balanced", **QUICK).fit(x, y)
    counts = dict(zip(*np.unique(y, return_counts=True), strict=True))
    c = MLPClassifier(**QUICK).fit(x, y, [N / 4 / counts[label] for label in y])
    np.testing.assert_allclose(balanced.coefs_[0], c.coefs_[0], rtol=1e-9)


def test_class_weights_of_partial_fit_are_absolute() -> None:
    x, _ = data("four classes")

    def weights(class_weight: Any, n: int = 1, sample_weight: Any = None) -> np.ndarray:
        model = MLPClassifier(solver="sgd", momentum=0.0, alpha=0.0, random_state=0, class_weight=class_weight)
        return model.partial_fit(x[:n], np.arange(n) % 2 + 1, sample_weight, classes=[0, 1, 2]).coefs_[0]

    one, two, four = (weights({1: weight}) for weight in (1, 2, 4))
    assert (one != two).any()
    np.testing.assert_allclose(four - two, 2 * (two - one), rtol=0, atol=1e-15)  # rounding of weights below 1
    np.testing.assert_array_equal(weights({1: 2}, sample_weight=[8.0]), two)  # these are over their mean
    np.testing.assert_array_equal(weights({0: 5}, 50), weights(None, 50))  # none of class 0 among them


@pytest.mark.xfail(not hasattr(fastbp, "Dropout"), reason="there is no fastbp.Dropout", strict=True)
@pytest.mark.parametrize(("rates", "count"), [(0.5, 1), ((0.2, 0.5), 2), ((0.2, 0.0), 1)])
def test_dropout(rates: Any, count: int) -> None:
    x, y = data("four classes")
    model, again = (MLPClassifier(dropout=rates, **QUICK).fit(x, y) for _ in range(2))
    assert repr(model.network_).count("Dropout") == count
    np.testing.assert_array_equal(model.predict_proba(x), model.predict_proba(x))
    np.testing.assert_array_equal(model.coefs_[0], again.coefs_[0])
    assert model.loss_ > MLPClassifier(**QUICK).fit(x, y).loss_


def has_cost(cost: str, output: str = "identity") -> bool:
    """Whether fastbp has that cost yet."""
    try:
        fastbp.Network(1, [fastbp.Dense(1, output)], cost=cost)
    except ValueError:
        return False
    return True


@pytest.mark.parametrize(
    "loss",
    [
        pytest.param(loss, marks=pytest.mark.xfail(not has_cost(loss, output), reason="no such cost", strict=True))
        for loss, output in {"absolute_error": "identity", "huber": "identity", "poisson": "exp"}.items()
    ],
)
def test_losses(loss: str) -> None:
    x, _ = data("two numbers")
    y = np.round(np.exp(x[:, :2]) + 0.3).clip(0, 9)
    model = MLPRegressor(loss, solver="lbfgs", alpha=0.0, max_iter=50, random_state=0).fit(x, y)
    error = np.abs(model.predict(x) - y)
    if loss == "absolute_error":
        wanted = error.mean()
    elif loss == "huber":
        wanted = np.where(error < 1, error**2 / 2, error - 0.5).mean()
    else:  # identity outputs, as the other losses have, may be below 0: no deviance of those
        wanted = sklearn.metrics.mean_poisson_deviance(y.ravel(), model.predict(x).ravel())
    assert model.loss_ == pytest.approx(wanted, rel=1e-9)
    begin = MLPRegressor(loss, learning_rate_init=1e-9, alpha=0.0, max_iter=1, random_state=0).fit(x, y).loss_
    assert model.loss_ < begin / 2
    if loss == "poisson":
        theirs = sklearn.neural_network.MLPRegressor("poisson", **QUICK).fit(x, y)
        assert_same(theirs, MLPRegressor("poisson", **QUICK).fit(x, y))


# ------------------------------------------------------------ living with scikit-learn
def test_grid_search_in_processes_and_a_pipeline() -> None:
    x, y = load_iris(return_X_y=True)
    pipeline = make_pipeline(StandardScaler(), MLPClassifier(solver="lbfgs", max_iter=30, random_state=0))
    search = GridSearchCV(pipeline, {"mlpclassifier__hidden_layer_sizes": [2, (8, 4)]}, cv=3, n_jobs=2).fit(x, y)
    assert search.best_score_ > 0.9
    alone = GridSearchCV(pipeline, search.param_grid, cv=3).fit(x, y)
    np.testing.assert_array_equal(search.cv_results_["mean_test_score"], alone.cv_results_["mean_test_score"])


@pytest.mark.parametrize("way", ["pickle", "joblib"])
@pytest.mark.parametrize("kind", ["four classes", "a number"])
def test_a_pickled_model_goes_on_in_the_same_bits(kind: str, way: str, tmp_path: Any) -> None:
    x, y = data(kind)
    _, model = pair(kind, **QUICK | {"solver": "sgd", "learning_rate": "invscaling"})
    model.fit(x, y)
    if way == "pickle":
        copy = pickle.loads(pickle.dumps(model))
    else:
        joblib.dump(model, tmp_path / "model")
        copy = joblib.load(tmp_path / "model")
    np.testing.assert_array_equal(outputs(copy, x), outputs(model, x))
    for one in (model, copy):
        one.partial_fit(x, y)
    assert copy.loss_curve_ == model.loss_curve_
    np.testing.assert_array_equal(copy.coefs_[0], model.coefs_[0])


def test_parameters_put_in_place_count() -> None:
    x, y = data("four classes")
    model, other = (MLPClassifier(**QUICK | {"random_state": seed}).fit(x, y) for seed in (0, 1))
    model.coefs_, model.intercepts_ = [w.copy() for w in other.coefs_], [b.copy() for b in other.intercepts_]
    np.testing.assert_array_equal(model.predict_proba(x), other.predict_proba(x))
    model.coefs_[1] = model.coefs_[1] * 0
    model.intercepts_[1][:] = [0, 0, 9, 0]
    assert set(pickle.loads(pickle.dumps(model)).predict(x)) == {"c"}
    model.coefs_[0] = model.coefs_[0].T
    with pytest.raises(ValueError, match=r"coefs_, intercepts_: got shape \(100, 8\), expected \(8, 100\)"):
        model.predict(x)


def test_training_goes_on_from_parameters_put_in_place() -> None:
    x, y = data("four classes")
    model = MLPClassifier(**QUICK).fit(x, y)
    model.coefs_[0] = begun = np.full_like(model.coefs_[0], 0.1)
    model.partial_fit(x, y)
    assert model.coefs_[0] is model.network_.weights[0]
    assert (model.coefs_[0] != begun).all()
    assert (begun == 0.1).all()


def test_a_network_put_in_place_counts(tmp_path: Any) -> None:
    x, y = data("four classes")
    model, other = (MLPClassifier(**QUICK | {"random_state": seed}).fit(x, y) for seed in (0, 1))
    other.network_.save(tmp_path / "net.npz")
    model.network_ = fastbp.Network.load(tmp_path / "net.npz")
    np.testing.assert_array_equal(model.predict_proba(x), other.predict_proba(x))
    model.partial_fit(x, y)
    assert model._trainer.network is model.network_
    assert (model.coefs_[0] != other.coefs_[0]).any()
    with pytest.raises(ValueError, match=r"network_: got Network\(8, .*expected one of 8 inputs and 4 outputs"):
        model.network_ = fastbp.Network(8, [fastbp.Dense(3, "softmax")])


# ------------------------------------------------------------ when something is wrong
def test_ctrl_c_keeps_what_was_learnt() -> None:
    x, y = data("two classes")

    def interrupt(trainer: fastbp.Trainer, epoch: int, history: fastbp.History) -> None:
        if len(history.cost) == 4:
            signal.raise_signal(signal.SIGINT)

    model = MLPClassifier(callbacks=[interrupt], **QUICK)
    with pytest.warns(UserWarning, match=r"Training interrupted by user\."):
        model.fit(x, y)
    assert model.n_iter_ == len(model.loss_curve_) == 4
    assert model.predict(x).shape == (N,)


def test_ctrl_c_keeps_the_last_step_of_lbfgs(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = data("two classes")
    settings = QUICK | {"solver": "lbfgs", "max_iter": 3}
    wanted, model = MLPClassifier(**settings).fit(x, y), MLPClassifier(**settings | {"max_iter": 30, "verbose": True})

    def interrupt(*what: Any, **_: Any) -> None:
        if not str(what[0]).startswith(("Iteration 1,", "Iteration 2,")):
            raise KeyboardInterrupt

    monkeypatch.setattr("builtins.print", interrupt)
    with pytest.warns(UserWarning, match=r"Training interrupted by user\."):
        model.fit(x, y)
    assert (model.n_iter_, model.loss_) == (3, wanted.loss_)
    np.testing.assert_array_equal(model.coefs_[0], wanted.coefs_[0])
    monkeypatch.setattr(fastbp.Network, "gradient", interrupt)  # before the first step
    with pytest.warns(UserWarning, match="interrupted"):
        assert model.fit(x, y).n_iter_ == 0


@pytest.mark.filterwarnings("error")
def test_scikit_learns_warnings_point_at_the_users_line() -> None:
    x, y = data("two classes")
    with pytest.warns(ConvergenceWarning, match=r"Maximum iterations \(2\) reached") as caught:
        MLPClassifier(max_iter=2).fit(x, y)
    assert caught[0].filename == __file__
    with pytest.warns(ConvergenceWarning, match="lbfgs failed to converge after 2"):
        MLPClassifier(max_iter=2, solver="lbfgs").fit(x, y)
    with pytest.warns(UserWarning, match="It is going to be clipped"):
        MLPRegressor(batch_size=N + 1, tol=1e9, n_iter_no_change=1).fit(x, y)


def test_a_run_that_diverges_is_scikit_learns_error() -> None:
    x, y = data("a number")
    model = MLPRegressor(solver="sgd", learning_rate_init=1e6, random_state=0)
    with pytest.raises(ValueError, match=r"Solver produced non-finite parameter weights.*learning_rate"):
        model.fit(x, y)


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "a name": ({"activation": "swosh"}, "'activation' parameter of MLPClassifier must be"),
    "names": ({"activation": ("relu", "swosh")}, "activation: got 'swosh', expected one of elu, "),
    "too many names": ({"activation": ("relu", "tanh", "relu")}, "activation: got 3 values, expected one for each of"),
    "no units": ({"hidden_layer_sizes": (3, 0)}, "hidden_layer_sizes: got 0, expected a whole number of 1"),
    "a share": ({"dropout": 1.0}, "'dropout' parameter of MLPClassifier must be"),
    "shares": ({"dropout": (0.5, 0.5)}, "dropout: got 2 values, expected one for each of the 3 layers"),
    "dropout by lbfgs": ({"dropout": 0.5, "solver": "lbfgs"}, "dropout: got a rate above 0 with solver='lbfgs'"),
    "no threads": ({"n_jobs": 0, "solver": "lbfgs"}, "'n_jobs' parameter of MLPClassifier must be"),
    "momentum": ({"momentum": 1.0}, "'momentum' parameter of MLPClassifier must be"),
    "a dtype": ({"dtype": "float16"}, "'dtype' parameter of MLPClassifier must be"),
    "alpha": ({"alpha": -1}, "'alpha' parameter of MLPClassifier must be"),
    "class weights": ({"class_weight": "even"}, "'class_weight' parameter of MLPClassifier must be"),
    "nothing held out": (
        {"early_stopping": True, "validation_fraction": 0.001},
        "validation set is too small|minority",
    ),
}


@pytest.mark.parametrize(("parameters", "message"), BAD.values(), ids=BAD.keys())
def test_bad_parameters(parameters: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        MLPClassifier(**{"hidden_layer_sizes": (3, 2)} | parameters).fit(*data("four classes"))


def test_bad_calls() -> None:
    x, y = data("four classes")
    with pytest.raises(NotFittedError):
        MLPClassifier().predict(x)
    with pytest.raises(TypeError, match=r"hidden_layer_sizes: got 2\.7, expected a whole number of 1 or more"):
        MLPClassifier([2.7]).fit(x, y)
    with pytest.raises(ValueError, match="classes must be passed on the first call"):
        MLPClassifier().partial_fit(x, y)
    with pytest.raises(ValueError, match="'balanced' needs all samples"):
        MLPClassifier(class_weight="balanced").partial_fit(x, y, classes=list("abcd"))
    with pytest.raises(ValueError, match="does not support early_stopping"):
        MLPRegressor(early_stopping=True).partial_fit(x, x[:, 0])
    with pytest.raises(ValueError, match="expected numbers of 0 or more for loss='poisson'"):
        MLPRegressor("poisson").fit(x, x[:, 0])
    assert not hasattr(MLPClassifier(solver="lbfgs"), "partial_fit")
    model = MLPClassifier(**QUICK).partial_fit(x, y, classes=list("abcd"))
    with pytest.raises(ValueError, match=r"`classes=.* is not the same as on last call"):
        model.partial_fit(x, y, classes=list("abce"))
    with pytest.raises(ValueError, match=r"`y` has classes not in `self\.classes_`"):
        model.partial_fit(x, np.full(N, "e"))
    with pytest.raises(ValueError, match="hidden_layer_sizes and y: got "):
        model.set_params(hidden_layer_sizes=3).partial_fit(x, y)
    with pytest.raises(ValueError, match="warm_start can only be used where `y` has the same classes"):
        model.set_params(warm_start=True).fit(x, y > "b")
    for weights in (np.zeros(N), -np.ones(N)):
        with pytest.raises(ValueError, match="weight"):
            MLPClassifier().fit(x, y, weights)
    with pytest.raises(ValueError, match="sample_weight, class_weight: got negative numbers or only zeros"):
        MLPClassifier(class_weight={"a": -1}).fit(x, y)


REFUSED: dict[str, tuple[str, dict[str, Any], Any]] = {
    "weights": ("fit", {}, lambda x, y: (x[:, :5], y + 7, -np.ones(N))),
    "two outputs": ("partial_fit", {}, lambda x, y: (x, np.eye(4, dtype=int)[y])),
    "an activation": ("fit", {"activation": ["swosh"]}, lambda x, y: (x, y + 7)),
    "nothing held out": ("fit", {"early_stopping": True, "validation_fraction": 0.001}, lambda x, y: (x, y + 7)),
    "partly held out": ("partial_fit", {"early_stopping": True}, lambda x, y: (x, y)),
    "no threads": ("fit", {"n_jobs": 0}, lambda x, y: (x, y + 7)),
    "no callback": ("fit", {"callbacks": [3]}, lambda x, y: (x, y + 7)),
}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("method", "parameters", "given"), REFUSED.values(), ids=REFUSED.keys())
def test_a_refused_call_changes_nothing(method: str, parameters: dict[str, Any], given: Any, name: str) -> None:
    x, y = data("four classes")[0], np.arange(N) % 4
    model = getattr(estimators, name)(**QUICK).fit(x, y).set_params(**parameters)
    before, parts = vars(model).copy(), [array.copy() for array in model.coefs_]
    with pytest.raises((TypeError, ValueError)):  # other tests look at what it says
        getattr(model, method)(*given(x, y))
    assert vars(model) == before
    np.testing.assert_array_equal(model.coefs_[0], parts[0])


def test_without_scikit_learn_the_extra_is_named() -> None:
    code = "import sys; sys.modules['sklearn'] = None; import fastbp; import fastbp.estimators"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (
        'MissingExtraError: fastbp.estimators needs the package scikit-learn>=1.6: pip install "fastbp[sklearn]"'
        in (done.stderr)
    )
