"""What the classifier and the regressor share: parameters, the network behind them, and how it is fitted."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from numbers import Integral, Real
from typing import Any, ClassVar, Self

import numpy as np
import sklearn.neural_network
from scipy.sparse import issparse
from sklearn.base import BaseEstimator, is_regressor
from sklearn.utils import check_random_state

# Both names are private, but third parties use them, and scikit-learn's own errors come from nowhere else.
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, column_or_1d, validate_data

from .. import arguments
from ..hooks import as_callbacks
from ..kernels.activations import CODES, LAST_ONLY
from ..layers import Dense
from ..model import Network
from ..scalars import count
from ..trainer import Trainer
from . import solvers
from .samples import Samples, slices

# scikit-learn's names first, then what fastbp has beside them.
ACTIVATIONS = {name: name for name in CODES if name not in LAST_ONLY}
ACTIVATIONS["logistic"] = "sigmoid"
FLOATS = (np.float64, np.float32)


def _has_mini_batches(model: MultilayerPerceptron) -> bool:
    if model.solver == "lbfgs":
        raise AttributeError("partial_fit is only available for stochastic optimizers. lbfgs is not stochastic.")
    return True


class MultilayerPerceptron(BaseEstimator):  # type: ignore[misc]
    """The parts of an estimator that do not depend on what the outputs mean.

    ``network_`` holds the parameters, and ``coefs_`` and ``intercepts_`` are views of it. Arrays that a user puts in
    their place count too: they are copied into the network before it is used, and are views again. So does a network
    put in the place of ``network_``.
    """

    hidden_layer_sizes: Any
    activation: str | Sequence[str]
    solver: str
    alpha: float
    batch_size: int | str
    learning_rate: str
    learning_rate_init: float
    power_t: float
    max_iter: int
    shuffle: bool
    random_state: Any
    tol: float
    verbose: bool | int
    warm_start: bool
    momentum: float
    nesterovs_momentum: bool
    early_stopping: bool
    validation_fraction: float
    beta_1: float
    beta_2: float
    epsilon: float
    n_iter_no_change: float
    max_fun: int
    loss: str
    dropout: float | Sequence[float]
    n_jobs: int | None
    callbacks: Sequence[Callable[..., Any]] | None
    dtype: str | None
    _network: Network
    _trainer: Trainer

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **sklearn.neural_network.MLPClassifier._parameter_constraints,
        "activation": [StrOptions(set(ACTIVATIONS)), "array-like"],
        "momentum": [Interval(Real, 0, 1, closed="left")],  # 1 never comes to rest
        "dropout": [Interval(Real, 0, 1, closed="left"), "array-like"],
        "n_jobs": [Interval(Integral, 1, None, closed="left"), Interval(Integral, None, -1, closed="right"), None],
        "callbacks": ["array-like", None],
        "dtype": [StrOptions({"float32", "float64"}), None],
    }

    # ------------------------------------------------------------ what a subclass says
    def _targets(self, y: np.ndarray, incremental: bool) -> np.ndarray:
        """What the network is to put out for ``y``: (n,) classes, or (n, n_outputs) numbers."""
        raise NotImplementedError

    def _output(self) -> tuple[str, str, str]:
        """scikit-learn's name of the output's activation, fastbp's, and the cost."""
        raise NotImplementedError

    def _score_of(self, outputs: np.ndarray, samples: Samples) -> float:
        """What ``score`` would return for these outputs of the network."""
        raise NotImplementedError

    def _loss_of(self, samples: Samples) -> tuple[float, float]:
        """(factor, offset) that make scikit-learn's loss of fastbp's cost."""
        return 1.0, 0.0

    # ------------------------------------------------------------ fitting
    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Train on all samples, for ``max_iter`` epochs or until there is no more progress.

        Parameters
        ----------
        X : array_like or sparse matrix, (n_samples, n_features)
            float32 stays float32, anything else becomes float64. Sparse X is made dense some MB at a time.
        y : array_like, (n_samples,) or (n_samples, n_outputs)
        sample_weight : array_like of shape (n_samples,), optional
            0 or more. Each sample's loss counts that much, over the mean of all weights.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            As scikit-learn's: wrong parameters, shapes, NaN; also if training diverges.
        """
        return self._fit(X, y, sample_weight, incremental=False)

    @available_if(_has_mini_batches)  # type: ignore[untyped-decorator]
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Go once over these samples, from where the last call left off.

        Parameters
        ----------
        X, y, sample_weight
            As in ``fit``.

        Returns
        -------
        self
        """
        return self._fit(X, y, sample_weight, incremental=True)

    def _fit(self, X: Any, y: Any, sample_weight: Any, incremental: bool) -> Self:
        before = vars(self).copy()
        try:
            samples, held_out = self._prepared(X, y, sample_weight, incremental)
        except Exception:
            self.__dict__ = before  # what is refused changes nothing
            raise
        if self.solver == "lbfgs":
            solvers.fit_lbfgs(self, samples)
        else:
            solvers.fit_mini_batches(self, samples, held_out, incremental)
        return self

    def _prepared(self, X: Any, y: Any, sample_weight: Any, incremental: bool) -> tuple[Samples, Samples | None]:
        """What to train on and what is held out, for a network that is there and suits; or an error."""
        self._validate_params()
        as_callbacks(self.callbacks or ())
        sizes = self._hidden_sizes()
        first = not hasattr(self, "network_") or not (self.warm_start or incremental)
        X, y = self._checked(X, y, reset=first)
        targets = self._targets(y, incremental)
        weight, total = self._weights(sample_weight, X, y, incremental)
        if weight is not None and (weight.min() < 0 or not weight.any()):
            wanted = "some above 0, none below"
            raise ValueError(f"sample_weight, class_weight: got negative numbers or only zeros, expected {wanted}")
        self._random_state = check_random_state(self.random_state)
        self.out_activation_, last, cost = self._output()
        layers = self._layers([*sizes, self.n_outputs_], last)
        if first:
            self._build(layers, cost, X.dtype)
        else:
            self._check_same(layers, cost)
        dtype = self.network_.dtype
        if targets.dtype.kind == "f":
            targets = arguments.converted("y", targets, dtype)
        if issparse(X) and X.dtype.itemsize > dtype.itemsize:  # slices are written over the last
            X = type(X)((arguments.converted("X", X.data, dtype), X.indices, X.indptr), shape=X.shape)
        samples = Samples(X, targets, weight, total)
        self._take_over_coefs()
        if self.solver == "lbfgs" or not self.early_stopping:
            return samples, None
        if incremental:
            raise ValueError("partial_fit does not support early_stopping=True")
        return solvers.split(self, samples)

    def _checked(self, X: Any, y: Any, reset: bool) -> tuple[Any, np.ndarray]:
        """X as the network's numbers, C-contiguous or CSR, and y as an array."""
        dtype = FLOATS if self.dtype is None else self.dtype
        X, y = validate_data(
            self, X, y, accept_sparse="csr", multi_output=True, dtype=dtype, order="C", reset=reset,
            y_numeric=is_regressor(self),
        )  # fmt: skip
        return X, column_or_1d(y, warn=True) if y.ndim == 2 and y.shape[1] == 1 else y

    def _weights(
        self, sample_weight: Any, X: Any, y: np.ndarray, incremental: bool
    ) -> tuple[np.ndarray | None, float | None]:
        """Each sample's weight, float64 (n,), None where all are 1; and ``Samples.total``."""
        if sample_weight is None:
            return None, None
        return np.asarray(_check_sample_weight(sample_weight, X, dtype=np.float64)), None

    def _hidden_sizes(self) -> list[int]:
        sizes = self.hidden_layer_sizes
        return [count("hidden_layer_sizes", size) for size in (sizes if hasattr(sizes, "__iter__") else [sizes])]

    def _per_layer(self, name: str, sizes: int, what: str) -> list[Any]:
        """A parameter that is one value for all layers, or one for each."""
        given = getattr(self, name)
        if isinstance(given, (str, Real)):
            return [given] * sizes
        values = list(given)
        if len(values) != sizes:
            raise ValueError(f"{name}: got {len(values)} values, expected one for each of the {sizes} {what}")
        return values

    # ------------------------------------------------------------ the network
    def _layers(self, sizes: list[int], last: str) -> list[Dense]:
        """The layers that the parameters ask for; ``last``: the output's activation."""
        names = self._per_layer("activation", len(sizes) - 1, "hidden layers")
        for name in names:
            if name not in ACTIVATIONS:
                raise ValueError(f"activation: got {name!r}, expected one of {', '.join(sorted(ACTIVATIONS))}")
        activations = [*(ACTIVATIONS[name] for name in names), last]
        rows = zip(sizes, activations, self._rates(len(sizes)), strict=True)
        return [Dense(n, activation, initializer="zeros", dropout=rate) for n, activation, rate in rows]

    def _build(self, layers: list[Dense], cost: str, dtype: Any) -> None:
        """A new network with scikit-learn's initial parameters, number for number, and empty records."""
        # A line search fails on float32's noise; scikit-learn's L-BFGS ends in float64 too.
        dtype = np.float64 if self.solver == "lbfgs" and self.dtype is None else dtype
        self.network_ = Network(self.n_features_in_, layers, cost=cost, dtype=dtype)
        names = self._per_layer("activation", len(layers) - 1, "hidden layers")
        names.append(names[-1] if names else self.activation)  # the last layer begins as the one before it
        for weights, biases, name in zip(self.coefs_, self.intercepts_, names, strict=True):
            bound = math.sqrt((2 if name == "logistic" else 6) / sum(weights.shape))
            weights[:] = self._random_state.uniform(-bound, bound, weights.shape)
            biases[:] = self._random_state.uniform(-bound, bound, biases.shape)
        self.n_iter_ = self.t_ = 0
        if self.solver != "lbfgs":
            solvers.begin_records(self)

    def _check_same(self, layers: list[Dense], cost: str) -> None:
        """Refuse parameters of another network than the one that goes on."""
        network = self.network_
        pairs = list(zip(layers, network.layers, strict=False))
        for name, now, was in [
            ("hidden_layer_sizes and y", [layer.n for layer in layers], [layer.n for layer in network.layers]),
            *(("activation", now.activation, was.activation) for now, was in pairs),
            *(("dropout", now.dropout, was.dropout) for now, was in pairs),
            ("loss", cost, network.cost_name),
            ("dtype", self.dtype or network.dtype.name, network.dtype.name),
        ]:
            if now != was:
                raise ValueError(f"{name}: got {now!r}, but {was!r} was fitted before")

    def _rates(self, n_layers: int) -> list[float]:
        """The share of its inputs that each layer drops."""
        if isinstance(self.dropout, Real):
            rates: list[Any] = [0.0] + [self.dropout] * (n_layers - 1)
        else:
            rates = self._per_layer("dropout", n_layers, "layers of weights, the first one's rate being for X")
        if any(rates) and self.solver == "lbfgs":
            raise ValueError("dropout: got a rate above 0 with solver='lbfgs', expected 'sgd' or 'adam'")
        return rates

    @property
    def network_(self) -> Network:
        """The network behind it, for all else that fastbp does."""
        return self._network

    @network_.setter
    def network_(self, network: Network) -> None:
        if (network.n_in, network.n_out) != (self.n_features_in_, self.n_outputs_):
            wanted = f"one of {self.n_features_in_} inputs and {self.n_outputs_} outputs"
            raise ValueError(f"network_: got {network!r}, expected {wanted}")
        self._network, self.n_layers_ = network, len(network.layers) + 1
        self.__dict__.pop("_trainer", None)  # that of another network
        self._attach()

    def _attach(self) -> None:
        self.coefs_, self.intercepts_ = list(self.network_.weights), list(self.network_.biases)

    def _take_over_coefs(self) -> None:
        """Copy into the network what was put in the place of its views."""
        views = [*self.network_.weights, *self.network_.biases]
        pairs = zip(views, [*self.coefs_, *self.intercepts_], strict=True)
        others = [(view, given) for view, given in pairs if given is not view]
        for view, given in others:
            if np.shape(given) != view.shape:
                raise ValueError(f"coefs_, intercepts_: got shape {np.shape(given)}, expected {view.shape}")
            view[:] = given
        if others:  # else it is the list that a user may hold
            self._attach()

    def _outputs(self, X: Any) -> np.ndarray:
        """The network's outputs, (n, n_outputs), for what a user gave as X."""
        check_is_fitted(self)
        X = validate_data(self, X, accept_sparse="csr", dtype=FLOATS, order="C", reset=False)
        self._take_over_coefs()
        return self._forward(X)

    def _forward(self, X: Any) -> np.ndarray:
        out = np.empty((X.shape[0], self.n_outputs_), self.network_.dtype)
        for places, rows in slices(X):
            out[places] = self.network_.forward(rows)
        return out

    # ------------------------------------------------------------ what scikit-learn asks
    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags

    def __getstate__(self) -> dict[str, Any]:
        state = dict(super().__getstate__())
        if "_network" in state:  # the network holds the parameters: once is enough
            self._take_over_coefs()
            del state["coefs_"], state["intercepts_"]
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        if "_network" in state:
            self._attach()
