"""The network of "Neural Networks Demystified" (Welch Labs, 2014, parts 1 to 7): python scripts/welch_labs.py

Three students, hours of sleep and of study, and what they scored; 2-3-1, sigmoid, no biases, 9 weights from N(0, 1).
Backpropagation in its shapes, the gradient check, gradient descent, BFGS, and the regularised run with a fourth
student, each beside the figure of the video.

Welch's cost is J = 1/2 sum (y - yhat)^2, summed over the students; fastbp averages, so J is n times its cost, and
its gradient n times. In part 7 he averages too, and adds lambda / 2 sum W^2.

The starting weights are those of seeds 0 to 9. The table follows seed 0, the first; the last rows say how many of
the others come as far.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from figures import Report, arguments, new_figure, run, save_figure, whole

from fastbp import SGD, Dense, MissingExtraError, Network, Trainer, check_gradients

HOURS = np.array([[3, 5], [5, 1], [10, 2], [6, 1.5]])  # of sleep, of study; the fourth student comes in part 7
SCORES = np.array([75, 82, 93, 70])
NEW_HOURS = np.array([[4, 5.5], [4.5, 1], [9, 2.5], [6, 2]])
NEW_SCORES = np.array([70, 89, 85, 75])
EPSILON = 1e-4
BAR = 1e-8  # Welch's for the gradient check


@dataclass
class Lab:
    """A network and its students: Welch's J and dJ/dW on flat weights, as SciPy wants them."""

    network: Network
    x: np.ndarray
    y: np.ndarray
    factor: float = 1.0  # of the averaged cost: n students to sum it
    penalty: float = 0.0  # lambda

    def cost(self, weights: np.ndarray) -> float:
        """J at these weights, (9,)."""
        self.network.set_parameters(weights)
        return self.factor * self.network.cost(self.x, self.y) + self.penalty / 2 * float(weights @ weights)

    def gradient(self, weights: np.ndarray) -> np.ndarray:
        """dJ/dW at these weights, (9,), by backpropagation."""
        self.network.set_parameters(weights)
        return self.factor * self.network.gradient(self.x, self.y).flat + self.penalty * weights

    def numerical_gradient(self, weights: np.ndarray) -> np.ndarray:
        """dJ/dW by central differences, as part 5 does it."""
        steps = EPSILON * np.eye(len(weights))
        return np.array([(self.cost(weights + step) - self.cost(weights - step)) / (2 * EPSILON) for step in steps])


def new_network(seed: int) -> Network:
    """2-3-1, sigmoid, without biases, in float64."""
    layers = [Dense(n, "sigmoid", bias=False, initializer="normal") for n in (3, 1)]
    return Network(2, layers, cost="half_sum_of_squares", dtype="float64", seed=seed)


def three_students(seed: int) -> Lab:
    """Parts 1 to 6: J summed over the students."""
    return Lab(new_network(seed), HOURS[:3] / HOURS[:3].max(axis=0), SCORES[:3] / 100, factor=3)


def four_students(seed: int) -> Lab:
    """Part 7: J averaged, and lambda = 0.0001."""
    return Lab(new_network(seed), HOURS / HOURS.max(axis=0), SCORES / 100, penalty=1e-4)


def relative_error(numerical: np.ndarray, gradient: np.ndarray) -> float:
    """Welch's measure of a gradient check: |numerical - gradient| / |numerical + gradient|."""
    return float(np.linalg.norm(numerical - gradient) / np.linalg.norm(numerical + gradient))


def bfgs(lab: Lab, callback: Callable[[np.ndarray], Any] | None = None) -> Any:
    """SciPy's result; the network keeps the weights found."""
    try:
        from scipy.optimize import minimize
    except ImportError as error:
        raise MissingExtraError("scipy", "examples", "BFGS") from error
    start = lab.network.get_parameters()
    options = {"maxiter": 200}
    found = minimize(lab.cost, start, jac=lab.gradient, method="BFGS", options=options, callback=callback)
    lab.network.set_parameters(found.x)
    return found


def backpropagation(report: Report, lab: Lab) -> None:
    """Part 4: the two gradients in their shapes, written out; part 5: checked."""
    theta = lab.network.get_parameters()
    w1, w2 = (weights.copy() for weights in lab.network.weights)
    a2 = 1 / (1 + np.exp(-(lab.x @ w1)))
    yhat = 1 / (1 + np.exp(-(a2 @ w2)))
    delta3 = -(lab.y[:, None] - yhat) * yhat * (1 - yhat)
    delta2 = delta3 @ w2.T * a2 * (1 - a2)
    by_hand = np.concatenate([(lab.x.T @ delta2).ravel(), (a2.T @ delta3).ravel()])
    gradient = lab.network.gradient(lab.x, lab.y)
    report.same("part 4: shape of dJ/dW1", gradient.weights[0].shape, (2, 3))
    report.same("part 4: shape of dJ/dW2", gradient.weights[1].shape, (3, 1))
    apart = float(np.abs(lab.gradient(theta) - by_hand).max())
    report.check("part 4: apart from X'd2, a2'd3", apart, high=1e-15)
    error = relative_error(lab.numerical_gradient(theta), lab.gradient(theta))
    report.check("part 5: gradient check", error, "2.75e-10", high=BAR)
    lab.network.set_parameters(theta)
    report.check("the same by check_gradients", check_gradients(lab.network, lab.x, lab.y).max_relative_error, high=BAR)


def gradient_descent(report: Report, lab: Lab, epochs: int) -> list[float]:
    """Part 4's step of 3 up and down, then plain descent with steps of 3: J before every step."""
    start = lab.network.get_parameters()
    here, slope = lab.cost(start), lab.gradient(start)
    report.check("part 4: J by a step of +3 dJ/dW", lab.cost(start + 3 * slope) - here, "> 0", low=1e-12)
    report.check("part 4: J by a step of -3 dJ/dW", lab.cost(start - 3 * slope) - here, "< 0", high=-1e-12)
    lab.network.set_parameters(start)
    # 3 dJ/dW is 9 times the gradient of the averaged cost.
    trainer = Trainer(lab.network, SGD(3.0 * lab.factor), batch_size=len(lab.x))
    costs = [lab.factor * cost for cost in whole(trainer.fit(lab.x, lab.y, epochs)).cost]
    report.check(f"J after {epochs:,} steps of descent", costs[-1], high=costs[0] / 10)
    return costs


def training(report: Report, lab: Lab) -> list[float]:
    """Part 6: BFGS; J after every iteration."""
    costs = [lab.cost(lab.network.get_parameters())]
    found = bfgs(lab, lambda weights: costs.append(lab.cost(weights)))
    report.note("part 6: BFGS, iterations", str(found.nit), "57")
    report.check("part 6: BFGS, J", found.fun, "1.09e-08", high=1e-7)
    predicted = lab.network.forward(lab.x).ravel()
    for published, yhat, y in zip((0.75004, 0.82008, 0.92988), predicted, lab.y, strict=True):
        report.note(f"part 6: prediction for {y:.2f}", f"{yhat:.5f}", f"{published:.5f}")
    return costs


def regularised(report: Report, lab: Lab) -> None:
    """Part 7: the fourth student, lambda, and predictions for students that it has not seen."""
    theta = lab.network.get_parameters()
    error = relative_error(lab.numerical_gradient(theta), lab.gradient(theta))
    report.check("part 7: gradient check", error, "2.20e-10", high=BAR)
    lab.network.set_parameters(theta)
    found = bfgs(lab)
    report.note("part 7: BFGS, iterations", str(found.nit), "78")
    report.check("part 7: J", found.fun, "0.002618", low=0.0025, high=0.0027)


def new_students(network: Network) -> None:
    """Print part 7's test students, with their inputs scaled as the training inputs were, and as in the video."""
    right, slip = (100 * network.forward(NEW_HOURS / scale).ravel() for scale in (HOURS.max(axis=0), 1.0))
    print("\nNew students, by part 7's network; the largest training inputs are 10 h and 5 h.")
    print("The video divides by the maximum of inputs that it has scaled already: by 1.\n")
    print(f"{'sleep, h':>10} {'study, h':>10} {'scored':>10} {'predicted':>10} {'as in the video':>16}")
    for (sleep, study), score, good, bad in zip(NEW_HOURS, NEW_SCORES, right, slip, strict=True):
        print(f"{sleep:10.1f} {study:10.1f} {score:10.0f} {good:10.1f} {bad:16.1f}")
    errors = [np.abs(predicted - NEW_SCORES).mean() for predicted in (right, slip)]
    print(f"{'mean error':>32} {errors[0]:10.1f} {errors[1]:16.1f}\n")


def other_starts(report: Report, n: int) -> None:
    """How far each of the first ``n`` seeds comes: BFGS finds a minimum near the start, not always the lowest."""
    plain = np.array([bfgs(three_students(seed)).fun for seed in range(n)])
    penalised = np.array([bfgs(four_students(seed)).fun for seed in range(n)])
    print("J of part 6 by seed: " + " ".join(f"{cost:.0e}" for cost in plain))
    print("J of part 7 by seed: " + " ".join(f"{cost:.4f}"[1:] for cost in penalised))
    report.check(f"part 6: of {n} starts, J <= 1e-7", int((plain <= 1e-7).sum()), low=(n + 1) // 2)
    report.check(f"part 7: of {n} starts, J = 0.0026", int((abs(penalised - 0.0026) <= 1e-4).sum()), low=(n + 1) // 2)


def draw(path: Path, descent: list[float], iterations: list[float], networks: Sequence[Network]) -> None:
    """J by step, and what each network would predict for any student."""
    figure = new_figure(10.5, 3.4)
    if figure is None:
        return
    curves, *maps = figure.subplots(1, 3)
    curves.loglog(range(1, len(descent) + 1), descent, label="gradient descent, steps of 3")
    curves.loglog(range(1, len(iterations) + 1), iterations, label="BFGS")
    curves.set(title="J on three students", xlabel="step", ylabel="J", ylim=(1e-8, 10))
    curves.grid(alpha=0.3)
    curves.legend(loc="upper right", fontsize="small")
    study, sleep = np.meshgrid(np.linspace(0, 10, 60), np.linspace(0, 10.5, 60))
    titles = ("part 6: three students", "part 7: four, and lambda")
    for axes, network, n, title in zip(maps, networks, (3, 4), titles, strict=True):
        hours = np.stack([sleep.ravel(), study.ravel()], axis=1) / HOURS[:n].max(axis=0)
        predicted = 100 * network.forward(hours).reshape(sleep.shape)
        drawn = axes.contourf(study, sleep, predicted, levels=np.arange(40, 101, 5), extend="both")
        axes.plot(HOURS[:n, 1], HOURS[:n, 0], "wo", markeredgecolor="black")
        for (slept, studied), score in zip(HOURS[:n], SCORES[:n], strict=True):
            axes.annotate(
                f"{score}", (studied, slept), (4, -12), textcoords="offset points", color="white", clip_on=True
            )
        axes.set(title=title, xlabel="study, h", ylabel="sleep, h", xlim=(0, 10), ylim=(0, 10.5))
    figure.colorbar(drawn, ax=maps, label="predicted score")
    save_figure(figure, path)


def main(argv: Sequence[str] | None = None) -> int:
    """Go through the parts; 1 if a figure is not what it must be."""
    options = arguments(str(__doc__), "welch_labs", argv)
    report = Report("Neural Networks Demystified, seed 0")
    first = three_students(0)
    backpropagation(report, first)
    descent = gradient_descent(report, first, 1000 if options.quick else 10_000)
    first = three_students(0)
    iterations = training(report, first)
    fourth = four_students(0)
    regularised(report, fourth)
    new_students(fourth.network)
    other_starts(report, 3 if options.quick else 10)
    status = report.exit_status()
    draw(options.out / "welch_labs.png", descent, iterations, (first.network, fourth.network))
    return status


if __name__ == "__main__":
    run(main)
