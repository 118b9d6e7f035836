"""How far do rounding errors grow during training? Twin fits that differ by nothing else, on random problems.

    python benchmarks/chaos.py [--problems 100] [--cells rnn lstm gru] [--set clip_norm=None patch_size=3] [--details]

A problem is that of scikit-learn's check_sample_weight_equivalence_on_dense_data with another seed: 15 sequences of 30
random numbers, 3 classes drawn at random, and integer weights from 0 to 4. One twin trains with the weights and on
shuffled sequences, the other on repeated sequences. In exact arithmetic they are the same fit. In floating point their
sums differ in the last bits. The labels are noise, so training has to memorise it. The distance of a pair is the
largest difference of a probability of the 15 sequences. The check allows a relative difference of 1e-7.

The first row of each cell is the check's own problem. The others are summed up: the share of pairs with a distance of
more than 1e-7 and of more than 1e-9, the median and the largest distance, the mean number of epochs, and the number of
pairs that stopped in different epochs. ``--set`` changes parameters of RNNClassifier from their defaults.
"""

from __future__ import annotations

import argparse
import time
import warnings
from ast import literal_eval
from typing import NamedTuple

import numpy as np
from joblib import Parallel, delayed
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import shuffle

from sklearn_rnn import RNNClassifier

CHECK_SEED = 42  # of the check's own problem


class Result(NamedTuple):
    """Distance of a pair of twins, and the epochs of each."""

    distance: float
    n_epochs: int
    n_epochs_of_twin: int


def make_problem(seed):
    """Return (X, y, weights) as scikit-learn's check draws them; again if a class has no weight."""
    random_state = np.random.RandomState(seed)
    X = random_state.rand(15, 30)
    while True:
        y, weights = random_state.randint(0, 3, size=15), random_state.randint(0, 5, size=15)
        if len(set(y[weights > 0])) == 3:
            return X, y, weights


def fit_twins(parameters, seed):
    """Return the twins of a problem: fitted on weighted sequences, and on repeated ones."""
    X, y, weights = make_problem(seed)
    weighted, repeated = (RNNClassifier(**{"random_state": 0} | parameters) for _ in range(2))
    X_weighted, y_weighted, shuffled_weights = shuffle(X, y, weights, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        weighted.fit(X_weighted, y_weighted, sample_weight=shuffled_weights)
        repeated.fit(X.repeat(weights, axis=0), y.repeat(weights))
    return weighted, repeated


def compare_twins(parameters, seed):
    """Return the Result of one problem."""
    weighted, repeated = fit_twins(parameters, seed)
    X = make_problem(seed)[0]
    difference = weighted.predict_proba(X) - repeated.predict_proba(X)
    return Result(float(np.abs(difference).max()), weighted.n_iter_, repeated.n_iter_)


def study(parameters, n_problems, n_jobs):
    """Return the Result of the check's own problem, and those of ``n_problems`` others."""
    seeds = [CHECK_SEED, *[10_000 + k for k in range(n_problems)]]
    own, *others = Parallel(n_jobs)(delayed(compare_twins)(parameters, seed) for seed in seeds)
    return own, others


def as_row(own, others):
    """Return the figures of a study, as strings."""
    distances, *epochs = (np.array(column) for column in zip(*others))
    shares = [f"{np.mean(distances > limit):.0%}" for limit in (1e-7, 1e-9)]
    sizes = [f"{size:.0e}" for size in (own.distance, np.median(distances), distances.max())]
    return [*shares, *sizes, f"{np.mean(epochs):.0f}", f"{np.sum(epochs[0] != epochs[1])}"]


HEADER = ["> 1e-7", "> 1e-9", "own check", "median", "largest", "epochs", "unequal"]


def read_setting(text):
    """Return (name, value) of ``name=value``; a value that is no Python literal is a string."""
    name, separator, value = text.partition("=")
    if not separator:
        raise argparse.ArgumentTypeError(f"{text!r} is not of the form name=value")
    try:
        return name, literal_eval(value)
    except (ValueError, SyntaxError):
        return name, value


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--problems", type=int, default=100)
    parser.add_argument("--cells", nargs="+", default=["rnn", "lstm", "gru"])
    parser.add_argument("--set", nargs="+", type=read_setting, default=[], metavar="NAME=VALUE", dest="settings")
    parser.add_argument("--n-jobs", type=int, default=1)
    parser.add_argument("--details", action="store_true", help="print the distance and the epochs of every pair")
    arguments = parser.parse_args()
    print(f"{'':6}" + "".join(f"{name:>11}" for name in HEADER), flush=True)
    for cell in arguments.cells:
        start = time.perf_counter()
        own, others = study({"cell": cell} | dict(arguments.settings), arguments.problems, arguments.n_jobs)
        row = "".join(f"{figure:>11}" for figure in as_row(own, others))
        print(f"{cell:6}{row}   ({time.perf_counter() - start:.0f} s)", flush=True)
        if arguments.details:
            for k, pair in enumerate(others):
                print(f"    {k:3d}  {pair.distance:.1e}  {pair.n_epochs}, {pair.n_epochs_of_twin} epochs")


if __name__ == "__main__":
    main()
