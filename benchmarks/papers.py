"""The classic tasks of the papers on recurrent networks, beside the papers' own numbers.

    python benchmarks/papers.py [--tasks NAME ...] [--cells rnn gru lstm] [--seeds 1] [--minutes M] [--rst FILE]

* adding, 100 and 500 steps (Hochreiter and Schmidhuber 1997, section 5.4), and temporal order, 100 to 110 steps
  (section 5.6, task 6a): the number of training sequences, every one of them new, until all of 2,000 other sequences
  are right. The paper asks this of the 2,000 latest training sequences. A sum is right if its error is below 0.08: the
  paper's targets are half as large, and its limit is 0.04.
* Japanese Vowels (Kudo, Toyama and Shimbo 1999): the accuracy on the original test split.

All parameters have their defaults except for ``cell`` and, for the sums, ``patch_size=1``, because the marks are single
steps.

``--minutes`` ends a fit after so much processor time, whatever is still wrong. Otherwise ``ONLINE`` has the largest
numbers of sequences.
"""

from __future__ import annotations

import argparse
import time
import warnings
from pathlib import Path

import numpy as np
from defaults import as_rst
from joblib import Parallel, delayed
from sklearn.exceptions import ConvergenceWarning
from sklearn.preprocessing import StandardScaler

from sklearn_rnn import RNNClassifier, RNNRegressor
from sklearn_rnn.datasets import load_japanese_vowels, make_adding_problem, make_temporal_order
from sklearn_rnn.preprocessing import TimeDistributed

CHUNK, N_TEST, LARGEST_ERROR = 1000, 2000, 0.08


def adding(cell, n_steps, seed):
    """Yield the number of wrong sums after every chunk of training sequences."""
    random_state = np.random.RandomState(seed)
    X_test, y_test = make_adding_problem(N_TEST, n_steps, random_state=10_000 + seed)
    regressor = RNNRegressor(cell=cell, patch_size=1, random_state=seed)
    while True:
        regressor.partial_fit(*make_adding_problem(CHUNK, n_steps, random_state=random_state))
        yield np.sum(np.abs(regressor.predict(X_test) - y_test) >= LARGEST_ERROR)


def temporal_order(cell, n_steps, seed):
    """Yield the number of wrong orders after every chunk of training sequences."""
    random_state = np.random.RandomState(seed)
    X_test, y_test = make_temporal_order(N_TEST, n_steps, random_state=10_000 + seed)
    classifier = RNNClassifier(cell=cell, random_state=seed)
    while True:
        X, y = make_temporal_order(CHUNK, n_steps, random_state=random_state)
        classifier.partial_fit(X, y, classes=range(4))
        yield np.sum(classifier.predict(X_test) != y_test)


# The learner, its number of steps, the most training sequences, and the paper's number of them.
ONLINE = {
    "adding, 100 steps": (adding, 100, 200_000, 74_000),
    "adding, 500 steps": (adding, 500, 400_000, 209_000),
    "temporal order, 100 steps": (temporal_order, 100, 100_000, 31_390),
}
VOWELS = "Japanese Vowels"
ACCURACY_OF_PAPER = "94.1 %"


def learn(task, cell, seed, most_seconds):
    """Return the number of training sequences, the number of test sequences that are wrong after them, the seconds."""
    make, n_steps, most, _ = ONLINE[task]
    start = time.process_time()
    for chunk, n_wrong in enumerate(make(cell, n_steps, seed), 1):
        seconds = time.process_time() - start
        if n_wrong == 0 or chunk * CHUNK >= most or seconds >= most_seconds:
            return chunk * CHUNK, n_wrong, seconds


def describe(results):
    """Return a table's cell: the median number of sequences, and of those that remained wrong; the seconds of a fit."""
    numbers, wrong, seconds = zip(*results)
    cell = f"{np.median(numbers):,.0f} ({np.mean(seconds):,.0f} s)"
    return f"{np.median(wrong):.0f} of {N_TEST:,} wrong after {cell}" if any(wrong) else cell


def accuracy_on_vowels(cell, seed):
    """Return the accuracy on the test utterances, and the seconds of the fit."""
    X, y = load_japanese_vowels(subset="train", return_X_y=True)
    X_test, y_test = load_japanese_vowels(subset="test", return_X_y=True)
    scaler = TimeDistributed(StandardScaler()).fit(X)
    start = time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        classifier = RNNClassifier(cell=cell, random_state=seed).fit(scaler.transform(X), y)
    seconds = time.process_time() - start
    return classifier.score(scaler.transform(X_test), y_test), seconds


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--tasks", nargs="+", choices=[*ONLINE, VOWELS], default=[*ONLINE, VOWELS], metavar="TASK")
    parser.add_argument("--cells", nargs="+", default=["rnn", "gru", "lstm"])
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=float("inf"), metavar="M", help="of a fit; default: no limit")
    parser.add_argument("--n-jobs", type=int, default=1)
    parser.add_argument("--rst", type=Path, help="file for the table")
    arguments = parser.parse_args()
    rows = [["", "the paper", *arguments.cells]]
    for task in arguments.tasks:
        row = [task, ACCURACY_OF_PAPER if task == VOWELS else f"{ONLINE[task][3]:,}"]
        for cell in arguments.cells:
            seeds = range(arguments.seeds)
            parallel = Parallel(arguments.n_jobs)
            if task == VOWELS:
                results = parallel(delayed(accuracy_on_vowels)(cell, seed) for seed in seeds)
                accuracy, seconds = np.mean(results, axis=0)
                row.append(f"{accuracy:.1%} ({seconds:,.0f} s)".replace("%", " %"))
            else:
                most_seconds = 60 * arguments.minutes
                row.append(describe(parallel(delayed(learn)(task, cell, seed, most_seconds) for seed in seeds)))
            print(task, cell, row[-1], flush=True)
        rows.append(row)
    if arguments.rst:
        arguments.rst.write_text(as_rst(rows))


if __name__ == "__main__":
    main()
