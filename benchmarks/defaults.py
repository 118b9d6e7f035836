"""The measurements behind the estimators' defaults: one parameter changes at a time, on five tasks.

    python benchmarks/defaults.py [--seeds 2] [--n-jobs 2] [--output FILE.rst]

Every row of the table has the parameters of the first row, except for the one that it names. Every cell has the mean
score over the seeds on held-out sequences (accuracy, or R^2 for the adding problem and the sines) and the mean number
of epochs. The scores on Japanese Vowels are on a third of its training utterances, drawn by class: the test utterances
are not used.
"""

from __future__ import annotations

import argparse
import warnings

import numpy as np
from joblib import Parallel, delayed
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

from sklearn_rnn import RNNClassifier, RNNRegressor
from sklearn_rnn.datasets import (
    load_japanese_vowels,
    make_adding_problem,
    make_noisy_sines,
    make_temporal_order,
)
from sklearn_rnn.preprocessing import TimeDistributed

BASE = {
    "cell": "gru",
    "readout": "last",
    "learning_rate_init": 0.003,
    "batch_size": 64,
    "clip_norm": 1.0,
    "max_iter": 200,
}
ALTERNATIVES = {
    "cell": ["rnn", "lstm"],
    "readout": ["mean", "max"],
    "learning_rate_init": [0.001, 0.01],
    "batch_size": [32, 200],
    "clip_norm": [None, 0.3, 5.0],
    "max_iter": [50, 100],
}


def japanese_vowels(seed):
    """One of 9 speakers, from 7 to 29 steps of 12 standardised coefficients."""
    X, y = load_japanese_vowels(subset="train", return_X_y=True)
    X = TimeDistributed(StandardScaler()).fit_transform(X)
    training, held_out = train_test_split(np.arange(len(X)), test_size=1 / 3, stratify=y, random_state=seed)
    return [X[i] for i in training], y[training], [X[i] for i in held_out], y[held_out]


def digits(seed):
    """Digits, as 8 steps of 8 pixels."""
    X, y = load_digits(return_X_y=True)
    X_train, X_test, y_train, y_test = train_test_split(X / 16, y, stratify=y, random_state=seed)
    return X_train.reshape(-1, 8, 8), y_train, X_test.reshape(-1, 8, 8), y_test


def temporal_order(seed):
    """One of 4 orders of two symbols, in 50 to 55 steps."""
    X, y = make_temporal_order(1500, 50, random_state=seed)
    return X[:1000], y[:1000], X[1000:], y[1000:]


def adding(seed):
    """The sum of two marked numbers among 50."""
    X, y = make_adding_problem(1500, 50, random_state=seed)
    return X[:1000], y[:1000], X[1000:], y[1000:]


def sines(seed):
    """The next value of a noisy sine."""
    X, y = make_noisy_sines(1500, 50, random_state=seed)
    return X[:1000], y[:1000], X[1000:], y[1000:]


TASKS = {
    "Japanese Vowels": (RNNClassifier, japanese_vowels),
    "digits, 8 steps": (RNNClassifier, digits),
    "temporal order, 50": (RNNClassifier, temporal_order),
    "adding, 50": (RNNRegressor, adding),
    "noisy sines": (RNNRegressor, sines),
}


def run(task, parameters, seed):
    """Return (score on held-out sequences, epochs) of one fit."""
    estimator_class, load = TASKS[task]
    X_train, y_train, X_test, y_test = load(seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        estimator = estimator_class(**parameters, random_state=seed).fit(X_train, y_train)
    return estimator.score(X_test, y_test), estimator.n_iter_


def candidates():
    """Yield the name and the parameters of every row of the table."""
    yield "the defaults", BASE
    for name, values in ALTERNATIVES.items():
        for value in values:
            yield f"{name}={value!r}", BASE | {name: value}


def study(n_seeds, n_jobs):
    """Return the table: a header and rows of strings."""
    rows = list(candidates())
    results = Parallel(n_jobs, verbose=5)(
        delayed(run)(task, parameters, seed) for _, parameters in rows for task in TASKS for seed in range(n_seeds)
    )
    means = np.array(results).reshape(len(rows), len(TASKS), n_seeds, 2).mean(axis=2)
    yield ["", *TASKS, "mean"]
    for (name, _), scores in zip(rows, means):
        cells = [f"{score:.3f} ({epochs:.0f})" for score, epochs in scores]
        yield [name, *cells, f"{scores[:, 0].mean():.3f}"]


def as_rst(rows):
    """Format a table for the documentation."""
    lines = [".. list-table::", "   :header-rows: 1", ""]
    for row in rows:
        lines += [f"   {'*' if k == 0 else ' '} - {cell}" for k, cell in enumerate(row)]
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--n-jobs", type=int, default=2)
    parser.add_argument("--output", help="file for the table, as reStructuredText")
    arguments = parser.parse_args()
    rows = list(study(arguments.seeds, arguments.n_jobs))
    for name, *cells in rows:
        print(f"{name:28}" + "".join(f"{cell:>20}" for cell in cells))
    if arguments.output:
        with open(arguments.output, "w") as file:
            file.write(as_rst(rows))


if __name__ == "__main__":
    main()
