"""The measurements behind the defaults of RecurrentFeatures: one parameter changes at a time, on many sets.

    python benchmarks/features.py --ucr FOLDER [--seeds 3] [--rows NAME ...] [--output FILE.rst]
    python benchmarks/features.py --tasks [--seeds 3] [--output FILE.rst]

``_archive.py`` has the formats of FOLDER. Every row of the first table has the defaults, except for the
parameters that it names. The columns are the mean accuracy over the sets on their own test splits, the accuracy on
Japanese Vowels (on a third of its training utterances), the number of features, and the seconds of processor time of
features and linear model for all sets together, training and test splits. All figures are means over the seeds. The
linear model is ``RidgeClassifierCV`` on standardised features. The second table has the sets one by one.

The last row is MiniRocket, where aeon is installed (it is not needed otherwise). It reads series of equal lengths only:
shorter ones end with zeros. Its time is measured after its compilation. Set OMP_NUM_THREADS=1 and NUMBA_NUM_THREADS=1
to compare processor times.

``--tasks`` compares a linear model on the features with the estimators' defaults, on the tasks of ``defaults.py`` with
one target for each sequence: accuracy or R^2, and the seconds of processor time of a fit.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
from _archive import find_sets, load_set
from _linear import ALPHAS, MiniRocket, compile_minirocket, make_minirocket, make_ridge, to_equal_lengths
from defaults import TASKS, as_rst, japanese_vowels
from defaults import run as run_task
from sklearn.base import is_classifier
from sklearn.linear_model import RidgeClassifierCV, RidgeCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_rnn.preprocessing import RecurrentFeatures

ROWS = {
    "the defaults": {},
    "n_units=128": {"n_units": 128},
    "n_units=256": {"n_units": 256},
    "n_units=1024": {"n_units": 1024},
    "n_scales=1": {"n_scales": 1},
    "n_scales=2": {"n_scales": 2},
    "n_scales=8": {"n_scales": 8},
    "bidirectional=False": {"bidirectional": False},
    "differences=False": {"differences": False},
    "input_scale=0.01": {"input_scale": 0.01},
    "input_scale=0.1": {"input_scale": 0.1},
    "input_scale=0.3": {"input_scale": 0.3},
    "input_scale=1": {"input_scale": 1.0},
    "pools=('last',)": {"pools": ("last",)},
    "pools=('mean',)": {"pools": ("mean",)},
    "pools=('shares',)": {"pools": ("shares",)},
    "pools=('last', 'mean', 'max')": {"pools": ("last", "mean", "max")},
    "all four pools": {"pools": ("last", "mean", "max", "shares")},
    "n_levels=1": {"n_levels": 1},
    "n_levels=3": {"n_levels": 3},
    "n_levels=12": {"n_levels": 12},
    "n_parts=1": {"n_parts": 1},
    "n_parts=2": {"n_parts": 2},
    "n_parts=4": {"n_parts": 4},
}
MINIROCKET = "MiniRocket"


def run(row, data, seed):
    """Return (test accuracy, number of features, seconds of features, seconds of the linear model)."""
    X_train, y_train, X_test, y_test = data
    if row == MINIROCKET:  # sequences of both splits get the same length
        X_train, X_test = to_equal_lengths(X_train, X_test)
    start = time.process_time()
    features = make_minirocket(seed) if row == MINIROCKET else RecurrentFeatures(**ROWS[row], random_state=seed)
    features.fit(X_train)
    train, test = (np.asarray(features.transform(X)) for X in (X_train, X_test))
    between = time.process_time()
    accuracy = make_ridge().fit(train, y_train).score(test, y_test)
    return accuracy, train.shape[1], between - start, time.process_time() - between


def study(rows, paths, n_seeds):
    """Return two tables, the means and the sets one by one: lists of rows (of columns, in the second) of strings."""
    sets = {name: load_set(path) for name, path in paths.items()}
    means = [["", "UCR", "Japanese Vowels", "features", "seconds", "and the linear model"]]
    of_sets = [["", *sets]]
    for row in rows:
        results = np.array([[run(row, data, seed) for seed in range(n_seeds)] for data in sets.values()]).mean(axis=1)
        vowels = np.mean([run(row, japanese_vowels(seed), seed)[0] for seed in range(n_seeds)])
        accuracy, n_features, _, _ = results.mean(axis=0)
        seconds = results[:, 2:].sum(axis=0)
        means.append([row, f"{accuracy:.3f}", f"{vowels:.3f}", f"{n_features:,.0f}", *(f"{s:.1f}" for s in seconds)])
        of_sets.append([row, *(f"{a:.3f}" for a in results[:, 0])])
        print("  ".join(means[-1]), flush=True)
    return means, of_sets


def compare(n_seeds):
    """Return a table of the tasks, with scores and seconds of both ways: a list of rows of strings."""
    table = [["", "features", "seconds", "BPTT", "seconds"]]
    for name, (make_estimator, load, own) in TASKS.items():
        if own.get("readout") == "each":  # a row for each sequence knows nothing of single steps
            continue
        ridge = RidgeClassifierCV if is_classifier(make_estimator()) else RidgeCV

        def make_linear(random_state, ridge=ridge):
            return make_pipeline(RecurrentFeatures(random_state=random_state), StandardScaler(), ridge(ALPHAS))

        results = [
            np.mean([run_task(make, load, {}, seed) for seed in range(n_seeds)], axis=0)
            for make in (make_linear, make_estimator)
        ]
        table.append([name, *(cell for score, seconds in results for cell in (f"{score:.3f}", f"{seconds:.1f}"))])
        print("  ".join(table[-1]), flush=True)
    return table


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--ucr", type=Path, help="folder of sets of the UCR archive")
    what.add_argument("--tasks", action="store_true", help="compare with backpropagation through time")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--rows", nargs="+", default=None, metavar="ROW", choices=[*ROWS, MINIROCKET])
    parser.add_argument("--output", help="file for the tables, as reStructuredText")
    arguments = parser.parse_args()
    if arguments.tasks:
        table = as_rst(compare(arguments.seeds))
        if arguments.output:
            Path(arguments.output).write_text(table)
        return
    rows = arguments.rows or [*ROWS, *[MINIROCKET] * (MiniRocket is not None)]
    if MINIROCKET in rows:
        compile_minirocket()
    means, of_sets = study(rows, find_sets(arguments.ucr), arguments.seeds)
    print(*("  ".join(column) for column in of_sets), sep="\n")
    if arguments.output:
        chosen = [column for column in of_sets if column[0] in ("", next(iter(ROWS)), MINIROCKET)]
        Path(arguments.output).write_text(as_rst(means) + "\n" + as_rst(list(zip(*chosen))))


if __name__ == "__main__":
    main()
