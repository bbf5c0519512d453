"""MLPClassifier: scikit-learn's, trained by fastbp."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Self

import numpy as np
from sklearn.base import ClassifierMixin
from sklearn.preprocessing import LabelBinarizer
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.class_weight import compute_class_weight, compute_sample_weight
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import type_of_target, unique_labels
from sklearn.utils.validation import check_is_fitted

from .base import MultilayerPerceptron, _has_mini_batches
from .samples import Samples


class MLPClassifier(ClassifierMixin, MultilayerPerceptron):  # type: ignore[misc]
    """A network that classifies: softmax for three classes or more, a sigmoid for two, and one for each label.

    What is not listed is as in ``sklearn.neural_network.MLPClassifier``, with its defaults. ``activation`` may also be
    sigmoid, leaky_relu, elu, softplus, gelu, or a sequence of names, one for each hidden layer.

    Parameters
    ----------
    class_weight : dict, "balanced", list of dict or None
        What every class counts in the loss, times ``sample_weight``; a class that is not named counts 1. "balanced":
        n_samples / (n_classes * samples of the class). For several labels, a dict for each with weights of 0 and 1.
        ``fit`` divides by the mean of all weights; ``partial_fit``, which sees a part of the classes, by that of
        ``sample_weight`` alone.
    dropout : float or sequence of float
        Share of every hidden layer's outputs to drop while training, or one share for X and for each hidden layer.
    n_jobs : int or None
        Threads to train with; None and -1: all CPUs that the process may use. The result does not depend on it. Solver
        "lbfgs" and predictions take all CPUs.
    callbacks : sequence or None
        For ``Trainer.fit``; without effect on solver "lbfgs".
    dtype : str or None
        "float32" or "float64", of the parameters and all arithmetic. None: that of X where it is one of the two, else
        float64.

    Attributes
    ----------
    network_ : Network
        The network behind it, for all else that fastbp does. The other attributes are those of scikit-learn's
        ``MLPClassifier``.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> x, y = load_iris(return_X_y=True)
    >>> model = MLPClassifier(16, solver="lbfgs", random_state=0).fit(x, y)
    >>> model.predict(x[::50])
    array([0, 1, 2])
    >>> model.network_
    Network(4, [Dense(16, "relu"), Dense(3, "softmax")], cost="cross_entropy", dtype="float64")
    """

    loss = "log_loss"
    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **MultilayerPerceptron._parameter_constraints,
        "class_weight": [dict, list, StrOptions({"balanced"}), None],
    }

    def __init__(
        self,
        hidden_layer_sizes: Any = (100,),
        activation: str | Sequence[str] = "relu",
        *,
        solver: str = "adam",
        alpha: float = 0.0001,
        batch_size: int | str = "auto",
        learning_rate: str = "constant",
        learning_rate_init: float = 0.001,
        power_t: float = 0.5,
        max_iter: int = 200,
        shuffle: bool = True,
        random_state: Any = None,
        tol: float = 1e-4,
        verbose: bool | int = False,
        warm_start: bool = False,
        momentum: float = 0.9,
        nesterovs_momentum: bool = True,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        n_iter_no_change: float = 10,
        max_fun: int = 15000,
        class_weight: Any = None,
        dropout: float | Sequence[float] = 0.0,
        n_jobs: int | None = None,
        callbacks: Sequence[Callable[..., Any]] | None = None,
        dtype: str | None = None,
    ) -> None:
        self.__dict__.update({name: value for name, value in locals().items() if name != "self"})

    # ------------------------------------------------------------ fitting
    @available_if(_has_mini_batches)  # type: ignore[untyped-decorator]
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None, classes: Any = None) -> Self:
        """Go once over these samples, from where the last call left off.

        Parameters
        ----------
        X, y, sample_weight
            As in ``fit``.
        classes : array_like, (n_classes,)
            All classes there will be: needed in the first call.

        Returns
        -------
        self
        """
        if self.class_weight == "balanced":
            raise ValueError("class_weight: 'balanced' needs all samples, got partial_fit; expected a dict of weights")
        known = getattr(self, "classes_", None)
        if classes is not None:
            given = unique_labels(classes)
            if known is None:
                self._learn_classes(y if type_of_target(y).startswith("multilabel") else given)
            elif not np.array_equal(known, given):
                raise ValueError(
                    f"`classes={classes!r}` is not the same as on last call to partial_fit, was: {known!r}"
                )
        elif known is None:
            raise ValueError("classes must be passed on the first call to partial_fit.")
        return self._fit(X, y, sample_weight, incremental=True)

    def _learn_classes(self, y: Any) -> None:
        self._label_binarizer = LabelBinarizer().fit(y)
        self.classes_ = self._label_binarizer.classes_

    def _targets(self, y: np.ndarray, incremental: bool) -> np.ndarray:
        if not hasattr(self, "classes_") or not (self.warm_start or incremental):
            self._learn_classes(y)
        else:
            classes = unique_labels(y)
            if self.warm_start and set(classes) != set(self.classes_):
                raise ValueError(
                    "warm_start can only be used where `y` has the same classes as in the previous call to fit. "
                    f"Previously got {self.classes_}, `y` has {classes}"
                )
            if len(np.setdiff1d(classes, self.classes_)):
                raise ValueError(
                    f"`y` has classes not in `self.classes_`. `self.classes_` has {self.classes_}. 'y' has {classes}."
                )
        kind = self._label_binarizer.y_type_
        several = kind.startswith("multilabel")
        if several != (y.ndim == 2):
            raise ValueError(f"y: got shape {y.shape}, expected {'rows of labels' if several else 'classes'} as before")
        if several:
            labels: np.ndarray = self._label_binarizer.transform(y)
            self.n_outputs_ = labels.shape[1]
            return labels.astype(np.float64)
        places = np.asarray(np.searchsorted(self.classes_, y))
        self.n_outputs_ = len(self.classes_) if kind == "multiclass" else 1
        return places if kind == "multiclass" else places.astype(np.float64)

    def _weights(
        self, sample_weight: Any, X: Any, y: np.ndarray, incremental: bool
    ) -> tuple[np.ndarray | None, float | None]:
        weight, total = super()._weights(sample_weight, X, y, incremental)
        if self.class_weight is None:
            return weight, total
        if y.ndim == 1:  # a chunk need not have all classes
            weights = compute_class_weight(self.class_weight, classes=self.classes_, y=y)
            by_class = weights[np.searchsorted(self.classes_, y)]
        else:
            by_class = compute_sample_weight(self.class_weight, y)
        if incremental:  # over a chunk's mean, they would count nothing where all are of one class
            total = Samples(X, y, weight).total_weight
        return by_class if weight is None else weight * by_class, total

    def _output(self) -> tuple[str, str, str]:
        if self._label_binarizer.y_type_ == "multiclass":
            return "softmax", "softmax", "cross_entropy"
        return "logistic", "sigmoid", "cross_entropy"

    def _score_of(self, outputs: np.ndarray, samples: Samples) -> float:
        if self.out_activation_ == "softmax":
            right = outputs.argmax(axis=1) == samples.y
        else:
            right = ((outputs > 0.5) == samples.y.reshape(outputs.shape)).all(axis=1)
        return float(np.average(right, weights=samples.weight))

    # ------------------------------------------------------------ predicting
    def predict(self, X: Any) -> np.ndarray:
        """The class of each sample, or each of its labels, 0 or 1.

        Parameters
        ----------
        X : array_like or sparse matrix, (n_samples, n_features)

        Returns
        -------
        ndarray, (n_samples,) or (n_samples, n_classes)
        """
        check_is_fitted(self)
        outputs = self._outputs(X)
        classes: np.ndarray = self._label_binarizer.inverse_transform(
            outputs.ravel() if self.n_outputs_ == 1 else outputs
        )
        return classes

    def predict_proba(self, X: Any) -> np.ndarray:
        """The probability of each class, in the order of ``classes_``.

        Parameters
        ----------
        X : array_like or sparse matrix, (n_samples, n_features)

        Returns
        -------
        ndarray, (n_samples, n_classes), of the network's dtype
        """
        outputs = self._outputs(X)
        return np.hstack([1 - outputs, outputs]) if self.n_outputs_ == 1 else outputs

    def predict_log_proba(self, X: Any) -> np.ndarray:
        """The logarithm of ``predict_proba``.

        Parameters
        ----------
        X : array_like or sparse matrix, (n_samples, n_features)

        Returns
        -------
        ndarray, (n_samples, n_classes)
        """
        return np.asarray(np.log(self.predict_proba(X)))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags
