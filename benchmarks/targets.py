"""Does a regressor learn raw targets, whatever their scale? Every cell, solver and loss, all else default.

    python benchmarks/targets.py [--cells rnn lstm gru] [--losses squared_error ...] [--dtypes float32 float64]

Each sequence has 20 noisy steps around a level of its own, 300 train, and 100 give the score: R^2 of

* 300 + 4 mean(x): a large mean and a small spread,
* 5000 mean(x): a large spread,
* 3e6 + 1e5 x_T: both, and only the last step counts. The Poisson loss takes only this one and the first: no negative
  values.

The last line is a target at every step: the steps until a machine fails, 0 to 250, from 4 noisy sensors that drift with
its wear, of 100 to 300 steps; 300 machines train, and the score is the root of the mean squared error on 40 others.
"""

from __future__ import annotations

import argparse
import itertools
import warnings

import numpy as np
from joblib import Parallel, delayed
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import root_mean_squared_error

from sklearn_rnn import RNNRegressor
from sklearn_rnn.metrics import make_step_scorer

SOLVERS = ("adam", "sgd", "rmsprop", "lbfgs")
TARGETS = {
    "300 + 4 mean": lambda X: 300 + 4 * X.mean(axis=(1, 2)),
    "5000 mean": lambda X: 5000 * X.mean(axis=(1, 2)),
    "3e6 + 1e5 last": lambda X: 3e6 + 1e5 * X[:, -1, 0],
}


def make_levels():
    """Return sequences (400, 20, 1) of noise around levels."""
    generator = np.random.default_rng(0)
    return generator.normal(scale=0.8, size=(400, 1, 1)) + generator.normal(scale=0.5, size=(400, 20, 1))


def make_machines(n_machines, generator, noise=0.1, gains=(2.0, -1.5, 1.0, 0.5)):
    """Return sensors and remaining steps of machines whose wear grows evenly until they fail."""
    X, y = [], []
    for n_steps in generator.integers(100, 301, size=n_machines):
        wear = np.arange(n_steps) / n_steps
        X.append(np.outer(wear, gains) + noise * generator.normal(size=(n_steps, len(gains))))
        y.append(np.minimum(np.arange(n_steps)[::-1], 250.0))
    return X, y


def score(target, dtype, parameters):
    """Return R^2 on held-out sequences."""
    X = make_levels().astype(dtype)
    y = TARGETS[target](X)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return RNNRegressor(**parameters, random_state=0).fit(X[:300], y[:300]).score(X[300:], y[300:])


def error_of_remaining_life():
    """Return the root of the mean squared error, in steps, on held-out machines."""
    generator = np.random.default_rng(0)
    X, y = make_machines(300, generator)
    estimator = RNNRegressor(readout="each", random_state=0).fit(X, y)
    return make_step_scorer(root_mean_squared_error)(estimator, *make_machines(40, generator))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--cells", nargs="+", default=["rnn", "lstm", "gru"])
    parser.add_argument("--losses", nargs="+", default=["squared_error", "absolute_error", "huber", "poisson"])
    parser.add_argument("--dtypes", nargs="+", default=["float32"])
    parser.add_argument("--n-jobs", type=int, default=2)
    arguments = parser.parse_args()
    print(f"{'':45}", *(f"{solver:>8}" for solver in SOLVERS))
    for target, dtype, loss, cell in itertools.product(TARGETS, arguments.dtypes, arguments.losses, arguments.cells):
        if loss == "poisson" and TARGETS[target](make_levels()).min() < 0:
            continue
        fits = [{"cell": cell, "loss": loss, "solver": solver} for solver in SOLVERS]
        scores = Parallel(arguments.n_jobs)(delayed(score)(target, dtype, parameters) for parameters in fits)
        print(f"{target:15} {dtype:8} {loss:15} {cell:4}", *(f"{value:8.3f}" for value in scores), flush=True)
    print(f"Remaining life: root of the mean squared error {error_of_remaining_life():.1f} steps")


if __name__ == "__main__":
    main()
