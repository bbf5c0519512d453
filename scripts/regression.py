"""Regression for real: fastbp's MLPRegressor beside scikit-learn's, on data that need no download.

    pip install -e ".[sklearn]"
    python scripts/regression.py                      # a minute or two
    python scripts/regression.py --samples 2000       # less

Two data sets: load_diabetes (442 patients, 10 features) and make_friedman1 (20,000 samples, 10 features of which 5
matter, noise of variance 1). X and y are scaled to mean 0 and variance 1 by the training samples. Each line is a
setting; its numbers are medians over three seeds, fitted in turns: R2 on the quarter of the samples that is held out,
how long the fit took and how many epochs; and how many times longer scikit-learn took. Where it has not the setting,
there is a dash. But for L-BFGS, a tenth of the training samples decides when to stop.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
import warnings
from statistics import median
from typing import Any

import numpy as np
import sklearn.neural_network
from sklearn.datasets import load_diabetes, make_friedman1
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

from fastbp import estimators

SLOWING = {"OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE"}  # what a machine may have set, and NumPy is slower with
SEEDS = (0, 1, 2)
STOCHASTIC: dict[str, Any] = {"early_stopping": True, "n_iter_no_change": 5, "max_iter": 300}
BOTH: dict[str, dict[str, Any]] = {
    "adam": STOCHASTIC,
    "adam, 50-20 tanh": STOCHASTIC | {"hidden_layer_sizes": (50, 20), "activation": "tanh"},
    "sgd, adaptive": STOCHASTIC | {"solver": "sgd", "learning_rate": "adaptive", "learning_rate_init": 0.05},
    "lbfgs, alpha 10": {"solver": "lbfgs", "alpha": 10.0, "max_iter": 30},
}
OWN: dict[str, dict[str, Any]] = {
    "absolute_error": STOCHASTIC | {"loss": "absolute_error"},
    "huber": STOCHASTIC | {"loss": "huber"},
    "adam, float32": STOCHASTIC | {"dtype": "float32"},
    "gelu, then tanh": STOCHASTIC | {"hidden_layer_sizes": (50, 20), "activation": ("gelu", "tanh")},
}


def data(name: str, samples: int) -> list[np.ndarray]:
    """X to train on and to test on, and y: scaled by what is trained on."""
    if name == "diabetes":
        x, y = load_diabetes(return_X_y=True)
    else:
        x, y = make_friedman1(samples, noise=1.0, random_state=0)
    parts = train_test_split(x, y[:, np.newaxis], test_size=0.25, random_state=0)
    scaled = []
    for train, test in (parts[:2], parts[2:]):
        scaler = StandardScaler().fit(train)
        scaled += [scaler.transform(train), scaler.transform(test)]
    return [*scaled[:2], scaled[2].ravel(), scaled[3].ravel()]


def fit(estimator: Any, parts: list[np.ndarray], parameters: dict[str, Any], seed: int) -> tuple[float, float, int]:
    """(R2 on the samples held out, seconds, epochs) of one fit."""
    x, test_x, y, test_y = parts
    model = estimator(random_state=seed, **parameters)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it has not converged
        begun = time.perf_counter()
        model.fit(x, y)
    return model.score(test_x, test_y), time.perf_counter() - begun, model.n_iter_


def line(name: str, parts: list[np.ndarray], parameters: dict[str, Any]) -> str:
    """A row of the table."""
    theirs = [sklearn.neural_network.MLPRegressor] if name in BOTH else []
    runs: list[list[tuple[float, float, int]]] = [[] for _ in (*theirs, estimators)]
    for seed in SEEDS:
        for estimator, results in zip((*theirs, estimators.MLPRegressor), runs, strict=True):
            results.append(fit(estimator, parts, parameters, seed))
    found = [[median(column) for column in zip(*results, strict=True)] for results in runs]
    cells = [f"{r2:>8.3f}{seconds:>9.3f} s{epochs:>6.0f}" for r2, seconds, epochs in found]
    if not theirs:
        return f"{name:<19}{'-':>8}{'-':>11}{'-':>6}{cells[0]}{'-':>7}"
    return f"{name:<19}{cells[0]}{cells[1]}{found[0][1] / found[1][1]:>7.1f}"


def main(argv: list[str] | None = None) -> None:
    """Fit all settings and print a table for each data set, 80 columns wide."""
    parser = argparse.ArgumentParser(description="Compare fastbp's MLPRegressor with scikit-learn's.")
    parser.add_argument("--samples", type=int, default=20_000, help="of make_friedman1")
    samples = parser.parse_args(argv).samples
    if samples < 40:
        parser.error(f"--samples: 40 or more, not {samples}")
    few = [part[:30] for part in data("diabetes", 0)]
    for estimator in (sklearn.neural_network.MLPRegressor, estimators.MLPRegressor):
        fit(estimator, few, {"max_iter": 2}, 0)  # compiles, imports, starts threads
    for name in ("diabetes", "friedman1"):
        parts = data(name, samples)
        print(f"\n{name}: {len(parts[0])} samples to train on, {len(parts[1])} to test on")
        if name == "friedman1":
            clean = make_friedman1(samples, noise=0.0, random_state=0)[1].var()
            print(
                f"(of its variance the noise is {1 / (clean + 1):.3f}: the best R2 is about {clean / (clean + 1):.3f})"
            )
        print(f"{'':<19}{'scikit-learn':>25}{'fastbp':>25}")
        print(f"{'':<19}{'R2':>8}{'time':>11}{'epochs':>7}{'R2':>7}{'time':>11}{'epochs':>7}{'ratio':>6}")
        for setting, parameters in (BOTH | OWN).items():
            print(line(setting, parts, parameters), flush=True)


if __name__ == "__main__":
    if SLOWING & os.environ.keys():  # NumPy reads them when it is imported: begin again without them
        kept = {name: value for name, value in os.environ.items() if name not in SLOWING}
        os.execve(sys.executable, [sys.executable, *sys.argv], kept)
    main()
