"""How an estimator's network is trained: mini-batches through ``Trainer``, or L-BFGS through SciPy.

scikit-learn's loss of a mini-batch of B samples is their mean plus ``alpha / (2 B) sum W^2``; fastbp's ``l2`` stands
for ``l2 / 2 sum W^2``. So ``l2 = alpha / B``, with B the batch size (scikit-learn takes the number of samples that are
left for an epoch's last, smaller batch), or its weights' sum, as it is on average.
"""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.optimize import OptimizeResult, minimize
from scipy.sparse import issparse
from sklearn.base import is_classifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split

from .. import _threads
from ..errors import TrainingDiverged
from ..gradient import Gradient
from ..history import History
from ..model import Network
from ..optimizers import SGD, Adam, Optimizer
from ..trainer import Trainer
from .samples import Samples, slices
from .sliced import train_slices

if TYPE_CHECKING:
    from .base import MultilayerPerceptron

NOT_FINITE = (
    "Solver produced non-finite parameter weights. The input data may contain large values and need to be preprocessed."
)


class Rate:
    """A learning rate that changes between epochs."""

    def __init__(self, value: float) -> None:
        self.value = float(value)

    def __call__(self, update: int) -> float:
        return self.value


def begin_records(model: MultilayerPerceptron) -> None:
    """Begin the records of a new network."""
    model.loss_curve_ = []
    model._no_improvement_count = 0
    model.best_loss_ = None if model.early_stopping else np.inf
    model.validation_scores_ = [] if model.early_stopping else None
    model.best_validation_score_ = -np.inf if model.early_stopping else None


# ------------------------------------------------------------ mini-batches
def fit_mini_batches(
    model: MultilayerPerceptron, samples: Samples, held_out: Samples | None, incremental: bool
) -> None:
    """Train with ``Trainer``: one epoch if ``incremental``, else until scikit-learn's rules say stop."""
    trainer = _trainer(model, samples, incremental)
    watch = Watch(model, trainer, samples, held_out)
    epochs = 1 if incremental else model.max_iter
    callbacks: list[Any] = [watch, *(model.callbacks or ())]
    try:
        if issparse(samples.x):
            interrupted = train_slices(
                trainer, samples, epochs, callbacks, model._random_state if model.shuffle else None
            )
        else:
            weights = samples.weights_of(slice(None))
            interrupted = trainer.fit(samples.x, samples.y, epochs, callbacks=callbacks, **weights).interrupted
    except TrainingDiverged as error:
        raise ValueError(f"{NOT_FINITE} ({error})") from error
    except KeyboardInterrupt:  # between two slices
        interrupted = True
    if interrupted:
        warnings.warn("Training interrupted by user.", stacklevel=4)
    elif model.n_iter_ == epochs == model.max_iter and not (watch.stopped or incremental):
        warnings.warn(
            f"Stochastic Optimizer: Maximum iterations ({epochs}) reached and the optimization hasn't converged yet.",
            ConvergenceWarning,
            stacklevel=4,
        )
    if held_out is not None:
        model.network_.set_parameters(watch.best_parameters)


def split(model: MultilayerPerceptron, samples: Samples) -> tuple[Samples, Samples]:
    """The samples to train on, and those that are held out: scikit-learn's split, to the sample."""
    arrays = [array for array in samples[:3] if array is not None]
    stratify = samples.y if is_classifier(model) and model.n_outputs_ == 1 else None
    parts = train_test_split(
        *arrays, random_state=model._random_state, test_size=model.validation_fraction, stratify=stratify
    )
    if parts[1].shape[0] < 2:
        raise ValueError("The validation set is too small. Increase 'validation_fraction' or the size of your dataset.")
    weights = parts[4:] or (None, None)
    return Samples(parts[0], parts[2], weights[0]), Samples(parts[1], parts[3], weights[1])


def _trainer(model: MultilayerPerceptron, samples: Samples, incremental: bool) -> Trainer:
    """A new trainer, or the one of the last call, whose optimizer goes on."""
    n = samples.x.shape[0]
    batch_size = 200 if model.batch_size == "auto" else int(model.batch_size)
    if model.batch_size != "auto" and batch_size > n:
        warnings.warn(
            "Got `batch_size` less than 1 or larger than sample size. It is going to be clipped", stacklevel=5
        )
    l2 = model.alpha / (min(batch_size, n) * samples.total_weight / n)
    if incremental and hasattr(model, "_trainer"):
        trainer = model._trainer
        trainer.optimizer = replace(trainer.optimizer, l2=l2)
    else:
        seed = int(model._random_state.randint(np.iinfo(np.int32).max))
        trainer = model._trainer = Trainer(model.network_, _optimizer(model, l2), seed=seed)
    trainer.batch_size, trainer.n_threads = batch_size, _threads.check(_n_threads(model.n_jobs))
    trainer.shuffle = model.shuffle and not issparse(samples.x)
    return trainer


def _optimizer(model: MultilayerPerceptron, l2: float) -> Optimizer:
    if model.solver == "adam":
        return Adam(model.learning_rate_init, model.beta_1, model.beta_2, model.epsilon, l2=l2)
    rate = model.learning_rate_init if model.learning_rate == "constant" else Rate(model.learning_rate_init)
    nesterov = model.nesterovs_momentum and model.momentum > 0
    return SGD(rate, model.momentum, nesterov, l2=l2)


def _n_threads(n_jobs: int | None) -> int | None:
    """Threads for scikit-learn's ``n_jobs``: None and -1 are all, -2 all but one."""
    if n_jobs is None or n_jobs > 0:
        return n_jobs
    return max(1, _threads.available() + 1 + n_jobs)


class Watch:
    """After every epoch: keeps scikit-learn's records, and decides by its rules whether to go on.

    Without early stopping, training is over when the loss was not ``tol`` below its best for more than
    ``n_iter_no_change`` epochs; with it, when the score of the samples held out was not ``tol`` above its best. The
    learning rate "adaptive" is divided by 5 then, down to 1e-6, instead.
    """

    def __init__(self, model: MultilayerPerceptron, trainer: Trainer, train: Samples, held_out: Samples | None) -> None:
        self.model, self.held_out, self.stopped = model, held_out, False
        self.n, self.l2 = train.x.shape[0], trainer.optimizer.l2
        self.factor, self.offset = model._loss_of(train)
        self.rate = trainer.optimizer.learning_rate
        self.best_parameters = model.network_.get_parameters()
        self.squares = _squares(model)
        model.n_iter_ = 0

    def __call__(self, trainer: Trainer, epoch: int, history: History) -> bool:
        model = self.model
        model.n_iter_ += 1
        model.t_ += self.n
        # The cost is from before the updates: so is the penalty, of the weights that the epoch began with.
        model.loss_ = self.factor * history.cost[-1] + self.offset + self.l2 / 2 * self.squares
        self.squares = _squares(model)
        model.loss_curve_.append(model.loss_)
        if model.verbose:
            print(f"Iteration {model.n_iter_}, loss = {model.loss_:.8f}")
        better = self._loss_fell() if self.held_out is None else self._score_rose(self.held_out)
        model._no_improvement_count = 0 if better else model._no_improvement_count + 1
        if isinstance(self.rate, Rate) and model.learning_rate == "invscaling":
            self.rate.value = model.learning_rate_init / (model.t_ + 1) ** model.power_t
        if model._no_improvement_count > model.n_iter_no_change:
            self._give_up()
        return self.stopped

    def _loss_fell(self) -> bool:
        model = self.model
        fell = bool(model.loss_ <= model.best_loss_ - model.tol)
        model.best_loss_ = min(model.best_loss_, model.loss_)
        return fell

    def _score_rose(self, held_out: Samples) -> bool:
        model = self.model
        score = model._score_of(model._forward(held_out.x), held_out)
        model.validation_scores_.append(score)
        if model.verbose:
            print(f"Validation score: {score:f}")
        rose = bool(score >= model.best_validation_score_ + model.tol)
        if score > model.best_validation_score_:
            model.best_validation_score_ = score
            self.best_parameters = model.network_.get_parameters()
        return rose

    def _give_up(self) -> None:
        """Stop, or with the learning rate "adaptive" try a smaller one."""
        model, what = self.model, "Training loss" if self.held_out is None else "Validation score"
        then = "Stopping."
        if isinstance(self.rate, Rate) and model.learning_rate == "adaptive":
            if self.rate.value > 1e-6:
                self.rate.value /= 5
                model._no_improvement_count = 0
                then = f"Setting learning rate to {self.rate.value:f}"
            else:
                then = "Learning rate too small. Stopping."
        self.stopped = then.endswith("Stopping.")
        if model.verbose:
            count = f"{model.n_iter_no_change:d} consecutive epochs"
            print(f"{what} did not improve more than tol={model.tol:f} for {count}. {then}")


def _squares(model: MultilayerPerceptron) -> float:
    """The sum of all squared weights."""
    return sum(float(np.vdot(weights, weights)) for weights in model.network_.weights)


# ------------------------------------------------------------ L-BFGS
def fit_lbfgs(model: MultilayerPerceptron, samples: Samples) -> None:
    """Minimise the cost of all samples, with scikit-learn's penalty, by SciPy's L-BFGS-B on the flat parameters."""
    factor, offset = model._loss_of(samples)
    network, l2 = model.network_, model.alpha / samples.total_weight

    def penalised(theta: np.ndarray) -> tuple[float, np.ndarray]:
        try:
            network.set_parameters(theta)
        except ValueError as error:  # NaN, infinite, or too large for a network of float32
            raise TrainingDiverged(str(error)) from error
        cost, gradient = _cost_and_gradient(network, samples)
        for slope, weights in zip(gradient.weights, network.weights, strict=True):
            slope += l2 * weights
        return cost + l2 / 2 * _squares(model), gradient.flat

    def loss(value: float) -> float:
        """scikit-learn's loss of a value of the function that is minimised."""
        penalty = l2 / 2 * _squares(model)
        return factor * (value - penalty) + offset + penalty

    # The last whole step, for Ctrl-C: the network's parameters may be those of a trial along a line.
    found = OptimizeResult(x=network.get_parameters().astype(np.float64), fun=np.nan, nit=0, status=None)

    def keep(intermediate_result: OptimizeResult) -> None:
        found.update(x=intermediate_result.x.copy(), fun=intermediate_result.fun, nit=found.nit + 1)
        if model.verbose:
            print(f"Iteration {found.nit}, loss = {found.fun:.8f}")

    try:
        found = minimize(
            penalised,
            found.x,
            method="L-BFGS-B",
            jac=True,
            options={"maxfun": model.max_fun, "maxiter": model.max_iter, "gtol": model.tol},
            callback=keep,
        )
    except KeyboardInterrupt:
        pass
    except TrainingDiverged as error:
        raise ValueError(f"{NOT_FINITE} ({error})") from error
    finally:
        network.set_parameters(found.x)
    model.n_iter_, model.loss_ = min(found.nit, model.max_iter), loss(found.fun)
    if found.status is None:
        warnings.warn("Training interrupted by user.", stacklevel=4)
    elif found.status != 0:
        more = f" Increase max_iter ({model.max_iter}), or" if found.nit >= model.max_iter else ""
        warnings.warn(
            f"lbfgs failed to converge after {model.n_iter_} iteration(s): {found.message}.{more} scale the data.",
            ConvergenceWarning,
            stacklevel=4,
        )


def _cost_and_gradient(network: Network, samples: Samples) -> tuple[float, Gradient]:
    """Of all samples, in float64, some MB of a sparse X at a time."""
    cost, flat = 0.0, np.zeros(network.n_parameters)
    for places, rows in slices(samples.x):
        y, weight, share = samples.y[places], samples.weights_of(places), len(rows) / samples.x.shape[0]
        cost += share * network.cost(rows, y, **weight)
        flat += share * network.gradient(rows, y, **weight).flat
    return cost, Gradient(flat, network.n_in, network.layers)
