"""The measurements behind the estimators' defaults: one parameter changes at a time, on many tasks.

    python benchmarks/defaults.py [--ucr FOLDER] [--seeds 3] [--rows NAME ...] [--problems 20] [--output FILE.rst]
    python benchmarks/defaults.py --grid --ucr FOLDER [--seeds 1]

Every row of the table has the estimators' defaults, except for the parameters that it names. Every cell has the mean
score over the seeds on held-out sequences (accuracy, or R^2 for the adding problem, the sines and the two regression
sets). The last columns are the mean seconds of processor time of a fit, and the share of chaotic fits: of problems of
``chaos.py`` in which rounding errors change a probability by more than 1e-7.

With ``--ucr`` the first column is the mean accuracy over sets of the UCR archive (Dau et al. 2018) on their own test
splits, and a second table has the sets one by one; ``_archive.py`` has the formats. The archive is not part of this
package. The scores on Japanese Vowels are on a third of its training utterances, drawn by
class: the test utterances are not used.

``--grid`` searches 12 candidates with 3 folds on every set of the archive instead, as a user would who has time.
"""

from __future__ import annotations

import argparse
import time
import warnings
from pathlib import Path

import numpy as np
from _archive import find_sets, load_set
from _plain import PLAIN
from chaos import compare_twins
from joblib import Parallel, delayed
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV, StratifiedKFold, train_test_split
from sklearn.preprocessing import StandardScaler

from sklearn_rnn import RNNClassifier, RNNRegressor
from sklearn_rnn.datasets import (
    load_japanese_vowels,
    make_adding_problem,
    make_noisy_sines,
    make_temporal_order,
)
from sklearn_rnn.preprocessing import TimeDistributed

ROWS = {
    "the defaults": {},
    "cell='rnn'": {"cell": "rnn"},
    "cell='lstm'": {"cell": "lstm"},
    "hidden_layer_sizes=(32,)": {"hidden_layer_sizes": (32,)},
    "hidden_layer_sizes=(128,)": {"hidden_layer_sizes": (128,)},
    "bidirectional=False": {"bidirectional": False},
    "readout='last'": {"readout": "last"},
    "readout='mean'": {"readout": "mean"},
    "readout='max'": {"readout": "max"},
    "normalize_features=False": {"normalize_features": False},
    "normalize_readout=False": {"normalize_readout": False},
    "dropout=0.3": {"dropout": 0.3},
    "patch_size=1": {"patch_size": 1},
    "batch_size=16": {"batch_size": 16},
    "learning_rate='constant'": {"learning_rate": "constant"},
    "learning_rate_init=0.001": {"learning_rate_init": 0.001},
    "learning_rate_init=0.01": {"learning_rate_init": 0.01},
    "clip_norm=1, clip_update=None": {"clip_norm": 1.0, "clip_update": None},
    "beta_2=0.999": {"beta_2": 0.999},
    "max_iter=50": {"max_iter": 50},
    "max_iter=200": {"max_iter": 200},
    "a plain GRU": PLAIN | {"max_iter": 200},
}
GRID = {
    "hidden_layer_sizes": [(64,), (128,)],
    "batch_size": [16, "auto"],
    "learning_rate_init": [0.001, 0.003, 0.01],
}


# ---- Tasks: (X_train, y_train, X_test, y_test) of a seed -------------------------------------------------------------


def japanese_vowels(seed):
    """One of 9 speakers, from 7 to 29 steps of 12 standardised coefficients."""
    X, y = load_japanese_vowels(subset="train", return_X_y=True)
    X = TimeDistributed(StandardScaler()).fit_transform(X)
    training, held_out = train_test_split(np.arange(len(X)), test_size=1 / 3, stratify=y, random_state=seed)
    return [X[i] for i in training], y[training], [X[i] for i in held_out], y[held_out]


def next_coefficients(seed):
    """The next step's coefficients of Japanese Vowels, at every step."""
    X, _, X_test, _ = japanese_vowels(seed)
    return [x[:-1] for x in X], [x[1:] for x in X], [x[:-1] for x in X_test], [x[1:] for x in X_test]


def remaining_life(seed):
    """The steps until a machine fails, at most 125, from 3 noisy sensors that drift with its wear; at every step."""
    generator, X, y = np.random.default_rng(seed), [], []
    for n_steps in generator.integers(100, 250, size=150):
        wear = np.linspace(0, 1, n_steps) ** generator.uniform(1, 3)
        drift = np.outer(wear, [1.0, -0.5, 2.0]) + 0.2 * generator.normal(size=(n_steps, 3))
        X.append(drift)
        y.append(np.minimum(np.arange(n_steps)[::-1], 125.0))
    return X[:100], y[:100], X[100:], y[100:]


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


# The estimator, the data, and the parameters that the task decides.
TASKS = {
    "Japanese Vowels": (RNNClassifier, japanese_vowels, {}),
    "digits, 8 steps": (RNNClassifier, digits, {}),
    "temporal order, 50": (RNNClassifier, temporal_order, {}),
    "adding, 50": (RNNRegressor, adding, {}),
    "noisy sines": (RNNRegressor, sines, {}),
    "next coefficients": (RNNRegressor, next_coefficients, {"readout": "each"}),
    "remaining life": (RNNRegressor, remaining_life, {"readout": "each"}),
}


# ---- Fits ------------------------------------------------------------------------------------------------------------


def run(make_estimator, load, parameters, seed):
    """Return (score on held-out sequences, seconds of processor time) of one fit."""
    X_train, y_train, X_test, y_test = load(seed)
    estimator = make_estimator(**parameters, random_state=seed)
    start = time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        warnings.filterwarnings(
            "ignore", message="X has features that are far from scale"
        )  # series of the archive are taken as they are
        estimator.fit(X_train, y_train)
    seconds = time.process_time() - start
    return estimator.score(X_test, y_test), seconds


def search(path, seed, n_jobs):
    """Return the test accuracy of a grid search on a set of the archive."""
    X_train, y_train, X_test, y_test = load_set(path)
    folds = StratifiedKFold(3, shuffle=True, random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = GridSearchCV(RNNClassifier(random_state=seed), GRID, cv=folds, n_jobs=n_jobs).fit(X_train, y_train)
    return found.score(X_test, y_test), found.best_params_


def search_all(paths, n_seeds, n_jobs):
    """Print the test accuracies of searches on sets of the archive, and their mean."""
    scores = []
    for path in paths:
        found = [search(path, seed, n_jobs) for seed in range(n_seeds)]
        scores += [score for score, _ in found]
        print(f"{path.stem:20}", *(f"{score:.3f} {best}" for score, best in found), flush=True)
    print(f"{'mean':20} {np.mean(scores):.3f}")


def share_of_chaotic_fits(parameters, n_problems, n_jobs):
    """Return the share of random problems in which rounding errors change a probability by more than 1e-7."""
    pairs = Parallel(n_jobs)(delayed(compare_twins)(parameters, 10_000 + k) for k in range(n_problems))
    return np.mean([pair.distance > 1e-7 for pair in pairs])


def study(names, paths, n_seeds, n_problems, n_jobs):
    """Return two tables, the tasks and the sets of the archive: lists of rows of strings."""
    jobs = [(path.stem, (RNNClassifier, lambda seed, path=path: load_set(path), {})) for path in paths]
    jobs += TASKS.items()
    of_tasks, of_sets = (
        [["", *["UCR"] * bool(paths), *TASKS, "seconds a fit", "chaotic"]],
        [["", *(p.stem for p in paths)]],
    )
    for name in names:
        parameters = ROWS[name]
        results = Parallel(n_jobs)(
            delayed(run)(make_estimator, load, parameters | own, seed)
            for _, (make_estimator, load, own) in jobs
            for seed in range(n_seeds)
        )
        scores, seconds = np.array(results).reshape(len(jobs), n_seeds, 2).mean(axis=1).T
        n_sets = len(paths)
        means = [scores[:n_sets].mean()] * bool(paths) + [*scores[n_sets:]]
        chaotic = f"{share_of_chaotic_fits(parameters, n_problems, n_jobs):.0%}" if n_problems else "-"
        of_tasks.append([name, *(f"{score:.3f}" for score in means), f"{seconds.mean():.2f}", chaotic])
        of_sets.append([name, *(f"{score:.3f}" for score in scores[:n_sets])])
        print("  ".join(of_tasks[-1]), flush=True)
    return of_tasks, of_sets


def as_rst(rows):
    """Format a table for the documentation."""
    lines = [".. list-table::", "   :header-rows: 1", ""]
    for row in rows:
        lines += [f"   {'*' if k == 0 else ' '} - {cell}" for k, cell in enumerate(row)]
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--ucr", type=Path, help="folder of sets of the UCR archive, as .npz files")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=list(ROWS), metavar="ROW")
    parser.add_argument("--problems", type=int, default=20, help="for the share of chaotic fits; 0 leaves it out")
    parser.add_argument("--grid", action="store_true", help="search on the sets of the archive")
    parser.add_argument("--n-jobs", type=int, default=2)
    parser.add_argument("--output", help="file for the table, as reStructuredText")
    arguments = parser.parse_args()
    paths = list(find_sets(arguments.ucr).values()) if arguments.ucr else []
    if arguments.grid:
        search_all(paths, arguments.seeds, arguments.n_jobs)
        return
    of_tasks, of_sets = study(arguments.rows, paths, arguments.seeds, arguments.problems, arguments.n_jobs)
    if paths:
        print(*("  ".join(row) for row in of_sets), sep="\n")
    if arguments.output:
        with open(arguments.output, "w") as file:
            file.write(as_rst(of_tasks) + ("\n" + as_rst(of_sets) if paths else ""))


if __name__ == "__main__":
    main()
