"""MLPRegressor: scikit-learn's, trained by fastbp."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np
from scipy.special import xlogy
from sklearn.base import RegressorMixin
from sklearn.metrics import r2_score
from sklearn.utils._param_validation import StrOptions

from .base import MultilayerPerceptron
from .samples import Samples

# scikit-learn's name of the output's activation, fastbp's, and the cost.
OUTPUTS = {
    "squared_error": ("identity", "identity", "half_sum_of_squares"),
    "absolute_error": ("identity", "identity", "absolute_error"),
    "huber": ("identity", "identity", "huber"),
    "poisson": ("exp", "exp", "poisson"),
}


class MLPRegressor(RegressorMixin, MultilayerPerceptron):  # type: ignore[misc]
    """A network that predicts numbers.

    What is not listed is as in ``sklearn.neural_network.MLPRegressor``, with its defaults. ``activation`` may also be
    sigmoid, leaky_relu, elu, softplus, gelu, or a sequence of names, one for each hidden layer.

    Parameters
    ----------
    loss : {"squared_error", "absolute_error", "huber", "poisson"}
        With a the prediction: (a - y)^2 / 2; |a - y|; half the square up to 1 and |a - y| - 1/2 beyond; or half the
        Poisson deviance, for y of 0 or more, of outputs that are exp(z). Summed over the outputs to train on;
        ``loss_`` is their mean (of poisson the sum), as in scikit-learn.
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
        ``MLPRegressor``.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.linspace(-1, 1, 50)[:, np.newaxis]
    >>> model = MLPRegressor(hidden_layer_sizes=8, solver="lbfgs", random_state=0).fit(x, x[:, 0] ** 2)
    >>> model.score(x, x[:, 0] ** 2) > 0.99
    True
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **MultilayerPerceptron._parameter_constraints,
        "loss": [StrOptions(set(OUTPUTS))],
    }

    def __init__(
        self,
        loss: str = "squared_error",
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
        dropout: float | Sequence[float] = 0.0,
        n_jobs: int | None = None,
        callbacks: Sequence[Callable[..., Any]] | None = None,
        dtype: str | None = None,
    ) -> None:
        self.__dict__.update({name: value for name, value in locals().items() if name != "self"})

    def _checked(self, X: Any, y: Any, reset: bool) -> tuple[Any, np.ndarray]:
        X, y = super()._checked(X, y, reset)
        if self.loss == "poisson" and y.min() < 0:
            raise ValueError(f"y: got {y.min()}, expected numbers of 0 or more for loss='poisson'")
        return X, y

    def _targets(self, y: np.ndarray, incremental: bool) -> np.ndarray:
        self.n_outputs_ = 1 if y.ndim == 1 else y.shape[1]
        return y.astype(np.float64).reshape(len(y), self.n_outputs_)

    def _output(self) -> tuple[str, str, str]:
        return OUTPUTS[self.loss]

    def _loss_of(self, samples: Samples) -> tuple[float, float]:
        if self.loss != "poisson":
            return 1 / self.n_outputs_, 0.0
        y = samples.y.astype(np.float64)
        return 1.0, float(np.average(xlogy(y, y) - y, weights=samples.weight, axis=0).sum())

    def _score_of(self, outputs: np.ndarray, samples: Samples) -> float:
        if not np.isfinite(outputs).all():
            return np.nan
        return float(r2_score(samples.y, outputs, sample_weight=samples.weight))

    def predict(self, X: Any) -> np.ndarray:
        """The predicted numbers.

        Parameters
        ----------
        X : array_like or sparse matrix, (n_samples, n_features)

        Returns
        -------
        ndarray, (n_samples,) or (n_samples, n_outputs), of the network's dtype
        """
        outputs = self._outputs(X)
        return outputs.ravel() if self.n_outputs_ == 1 else outputs
