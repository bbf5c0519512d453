"""scikit-learn, on the cells where its work is the same.

Its MLPRegressor trains squares through identity outputs only, its MLPClassifier log-loss through sigmoid or softmax
outputs only: squares through sigmoid outputs, the grid's SGD cells and ``adam``, are not to be had, nor is a public
gradient. Its estimators validate their input and sum the cost on every fit, which counts. Its Adam leaves epsilon
out of the bias correction: 1e-8 beside a gradient, below the tolerance.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier, MLPRegressor

from .work import Array, Work

warnings.simplefilter("ignore", ConvergenceWarning)
NAMES = {"sigmoid": "logistic", "tanh": "tanh"}


class SklearnPeer:
    """An estimator with the given weights, and its data."""

    def __init__(self, work: Work, threads: int) -> None:
        self.cell = cell = work.cell
        if cell.task == "gradient":
            raise NotImplementedError("it has no public gradient")
        if cell.task == "train" and (cell.output, cell.cost) != ("identity", "half_sum_of_squares"):
            raise NotImplementedError(f"it does not train {cell.cost} through {cell.output} outputs")
        self.x, self.y = work.x, work.y
        regression = cell.output == "identity"
        self.model: Any = (MLPRegressor if regression else MLPClassifier)(
            hidden_layer_sizes=cell.sizes[1:-1], activation=NAMES[cell.hidden], solver=cell.optimizer, alpha=0.0,
            batch_size=cell.batch, learning_rate_init=cell.learning_rate, momentum=0.0, max_iter=1, tol=0.0,
            n_iter_no_change=10**9, warm_start=True, shuffle=False, random_state=0,
        )  # fmt: skip
        first = self.y[: cell.batch] if regression else (self.y[: cell.batch] > 0.5).astype(np.int64)
        self.model.fit(self.x[: cell.batch], first)  # allocates coefs_, which the given weights replace
        self.model.coefs_ = [w.copy() for w, _ in work.parameters]
        self.model.intercepts_ = [b.copy() for _, b in work.parameters]

    def train(self, epochs: int, shuffle: bool) -> None:
        """Epochs of mini-batches; ``warm_start`` goes on from the weights as they are."""
        self.model.set_params(max_iter=epochs, shuffle=shuffle and not self.cell.full_batch)
        self.model.fit(self.x, self.y)

    def gradient(self) -> Array:
        """Not to be had."""
        raise NotImplementedError

    def forward(self) -> Any:
        """(n, n_out) outputs: multilabel probabilities are the sigmoids."""
        return self.model.predict_proba(self.x)

    def parameters(self) -> list[tuple[Array, Array]]:
        """Weights and biases of every layer."""
        return list(zip(self.model.coefs_, self.model.intercepts_, strict=True))
