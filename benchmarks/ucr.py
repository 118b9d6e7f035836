"""Accuracy and time on sets of the UCR and UEA archives, beside MiniRocket and dynamic time warping.

    python benchmarks/ucr.py FOLDER [--seeds 3] [--methods NAME ...] [--sets NAME ...] [--json FILE] [--rst FILE]
        [--plot FILE.png]

The methods: the defaults of RNNClassifier; a grid search over 12 candidates with 3 folds (that of ``defaults.py``);
RecurrentFeatures with a ridge classifier; and, where aeon is installed, MiniRocket with the same ridge classifier and
1-nearest-neighbour classification with dynamic time warping (window 10 %, no seed). ``_archive.py`` has the formats of
FOLDER. MiniRocket reads series of equal lengths only: shorter ones end with zeros.

A time is the mean over the seeds of the seconds of processor time of fit and predict, of all sets together. aeon
compiles before. Set OMP_NUM_THREADS=1 and NUMBA_NUM_THREADS=1 to compare times. ``--json`` writes after every set, and
reads the file first: what it has is not measured again.
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from pathlib import Path

import numpy as np
from _archive import find_sets, load_set
from _linear import MiniRocket, compile_minirocket, make_minirocket, make_ridge, to_equal_lengths
from defaults import GRID, as_rst
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.pipeline import make_pipeline

from sklearn_rnn import RNNClassifier
from sklearn_rnn.preprocessing import RecurrentFeatures

# ---- Methods: from the training data and the test X to predictions ---------------------------------------------------


def defaults(X, y, X_test, seed):
    return RNNClassifier(random_state=seed).fit(X, y).predict(X_test)


def grid(X, y, X_test, seed):
    folds = StratifiedKFold(3, shuffle=True, random_state=seed)
    return GridSearchCV(RNNClassifier(random_state=seed), GRID, cv=folds).fit(X, y).predict(X_test)


def features(X, y, X_test, seed):
    return make_pipeline(RecurrentFeatures(random_state=seed), make_ridge()).fit(X, y).predict(X_test)


def minirocket(X, y, X_test, seed):
    X, X_test = to_equal_lengths(X, X_test)
    return make_pipeline(make_minirocket(seed), make_ridge()).fit(X, y).predict(X_test)


def nearest_by_warping(X, y, X_test, seed):
    from aeon.classification.distance_based import KNeighborsTimeSeriesClassifier

    nearest = KNeighborsTimeSeriesClassifier(distance="dtw", distance_params={"window": 0.1}, n_jobs=1)
    X, X_test = ([np.ascontiguousarray(x.T, np.float64) for x in split] for split in (X, X_test))
    return nearest.fit(X, y).predict(X_test)


METHODS = {"defaults": defaults, "grid of 12": grid, "RecurrentFeatures + ridge": features}
if MiniRocket is not None:
    METHODS |= {"MiniRocket + ridge": minirocket, "1-NN DTW": nearest_by_warping}
WITHOUT_SEED = {"1-NN DTW"}


# ---- Measurements ----------------------------------------------------------------------------------------------------


def measure(predict, data, seed):
    """Return the test accuracy and the seconds of processor time of fit and predict."""
    X_train, y_train, X_test, y_test = data
    start = time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # convergence, scale: the series are taken as they are
        accuracy = np.mean(predict(X_train, y_train, X_test, seed) == y_test)
    return float(accuracy), time.process_time() - start


def compile_first(methods):
    """Let aeon compile what it compiles at first use."""
    if "MiniRocket + ridge" in methods:
        compile_minirocket()
    if "1-NN DTW" in methods:
        X = list(np.random.default_rng(0).normal(size=(4, 20, 1)))
        nearest_by_warping(X, np.array([0, 0, 1, 1]), X, 0)


def measure_all(paths, methods, n_seeds, results, save):
    """Fill ``results[method][set]`` with a pair (accuracy, seconds) for each seed."""
    compile_first(methods)
    for name, path in paths.items():
        data = load_set(path)
        for method in methods:
            of_set = results.setdefault(method, {}).setdefault(name, [])
            for seed in range(len(of_set), 1 if method in WITHOUT_SEED else n_seeds):
                of_set.append(measure(METHODS[method], data, seed))
            accuracy, seconds = np.mean(of_set, axis=0)
            print(f"{name:25} {method:26} {accuracy:.3f} {seconds:8.2f} s", flush=True)
        save(results)


# ---- Results ---------------------------------------------------------------------------------------------------------


def as_table(results, names):
    """Return rows of strings: the mean over the sets, the mean rank, the number of best sets, seconds, every set."""
    methods = [method for method in results if all(name in results[method] for name in names)]
    means = np.array([[np.mean(results[method][name], axis=0) for name in names] for method in methods])
    accuracy, seconds = means[..., 0], means[..., 1].sum(axis=1)
    best = accuracy.max(axis=0)
    ranks = (accuracy[:, None] < accuracy).sum(axis=1) + ((accuracy[:, None] == accuracy).sum(axis=1) + 1) / 2
    return [
        ["", *methods],
        ["mean accuracy", *(f"{value:.3f}" for value in accuracy.mean(axis=1))],
        ["mean rank", *(f"{value:.2f}" for value in ranks.mean(axis=1))],
        ["best or equal", *(f"{value}" for value in (accuracy == best).sum(axis=1))],
        ["seconds, all sets", *(f"{value:.1f}" for value in seconds)],
        *([name, *(f"{value:.3f}" for value in row)] for name, row in zip(names, accuracy.T)),
    ]


def plot(results, names, path):
    """Draw the accuracy of every method on every set against that of the defaults."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 6), layout="constrained")
    axes = figure.subplots()
    of = {method: [np.mean(sets[name], axis=0)[0] for name in names] for method, sets in results.items()}
    for marker, (method, accuracy) in zip("os^Dv", of.items()):
        if method != "defaults":
            axes.plot(of["defaults"], accuracy, marker, label=method, alpha=0.7)
    limits = [min(map(min, of.values())) - 0.02, 1.01]
    axes.plot(limits, limits, color="gray", linewidth=1)
    axes.set(xlabel="accuracy of the defaults", ylabel="accuracy of the others", xlim=limits, ylim=limits)
    axes.legend()
    figure.savefig(path, dpi=150)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS), metavar="METHOD")
    parser.add_argument("--sets", nargs="+", metavar="NAME", help="default: all")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--rst", type=Path)
    parser.add_argument("--plot", type=Path)
    arguments = parser.parse_args()
    paths = find_sets(arguments.folder)
    paths = {name: paths[name] for name in arguments.sets or paths}
    results = json.loads(arguments.json.read_text()) if arguments.json and arguments.json.exists() else {}

    def save(results):
        if arguments.json:
            arguments.json.write_text(json.dumps(results, indent=1))

    measure_all(paths, arguments.methods, arguments.seeds, results, save)
    rows = as_table(results, list(paths))
    print(*("  ".join(row) for row in rows), sep="\n")
    if arguments.rst:
        arguments.rst.write_text(as_rst(rows))
    if arguments.plot:
        plot(results, list(paths), arguments.plot)


if __name__ == "__main__":
    main()
