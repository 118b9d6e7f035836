"""A fit of RNNClassifier's defaults against skorch with the same settings, on sets of the UCR archive.

    python benchmarks/default_fits.py FOLDER [--sets NAME ...] [--epochs 100] [--repeats 3] [--threads 1 2]
                                      [--json FILE]

``_archive.py`` has the formats of the sets. Those with 30 to 500 training sequences of 100 to 600 steps take part.

skorch's network and training have the same

* patches, features in units of their mean and spread, and zeros in front of the first patch,
* GRU of 64 units in both directions, in float32; the last states, means and maxima of all steps,
* output layer, whose inputs are scaled by their mean and spread in the new network, and whose weights start at a tenth,
* Adam with the decays 0.9 and 0.99, half a cosine from 0.003 towards 0, batches of up to 64 sequences in a new order in
  each epoch, the penalty of the weights, and number of epochs: nothing stops a fit earlier.

These differ:

* skorch's has no ``clip_update``, which torch.optim.Adam lacks: it leaves work out. ``clip_norm`` is 1e9 by default, so
  no gradient is clipped, and skorch has no callback for it.
* Start values are torch's, not this package's. torch's GRU has one more bias vector.
* Two classes have two outputs and a softmax, not one output and the logistic function.

Each fit runs in a process of its own, on one processor or two; the two sides take turns. As in ``end_to_end.py``, a
figure is the median over repeats, each with another seed, of the second fit of a process, for the number of processors
with the faster fit. Padding and patches are part of both fits. "at most" is the ratio of skorch's time to the time that
the products of our fit take by themselves, in NumPy with large matrices on all processors.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from statistics import geometric_mean

import numpy as np
from _archive import find_sets, load_set
from _contenders import Problem, Skorch, ThisPackage
from _measure import machine, print_machine, processors, write_json
from _products import seconds_of_products
from end_to_end import compare_fits

from sklearn_rnn import RNNClassifier
from sklearn_rnn._data.patches import choose_patches

CELL = "gru"  # the default
N_DIRECTIONS = 2
N_SEQUENCES, N_STEPS = (30, 500), (100, 600)


class DefaultsOfThisPackage(ThisPackage):
    """RNNClassifier as it is."""

    def estimator(self, problem, cell, n_epochs, seed):
        """Return an unfitted estimator."""
        return self.make(
            cell=cell, max_iter=n_epochs, n_iter_no_change=np.inf, random_state=seed, n_jobs=self.n_threads
        )


class DefaultsInSkorch(Skorch):
    """NeuralNetClassifier with the same settings."""

    def estimator(self, problem, cell, n_epochs, seed):
        """Return an unfitted estimator."""
        from _skorch_defaults import default_classifier

        return default_classifier(problem, cell, n_epochs, seed)

    def _arguments(self, X):
        return X  # the pipeline pads


CONTENDERS = {"sklearn_rnn": DefaultsOfThisPackage, "skorch": DefaultsInSkorch}


def load_problem(path):
    """Return a set of the archive, with classes counted from 0."""
    X_train, y_train, X_test, y_test = load_set(path)
    classes = np.unique(y_train)
    return Problem(X_train, np.searchsorted(classes, y_train), X_test, np.searchsorted(classes, y_test))


def is_chosen(problem):
    """Whether the numbers of training sequences and of their steps are in the ranges."""
    lengths = [len(x) for x in problem.X_train]
    return N_SEQUENCES[0] <= len(lengths) <= N_SEQUENCES[1] and N_STEPS[0] <= min(lengths) <= max(lengths) <= N_STEPS[1]


def seconds_of_all_products(problem, n_epochs):
    """Return the seconds that the products of a fit take by themselves."""
    defaults, lengths = RNNClassifier(), np.array([len(x) for x in problem.X_train])
    patches = choose_patches(defaults, lengths, np.ones(len(lengths)))
    n_steps = N_DIRECTIONS * n_epochs * int(patches.count_in(lengths).sum())
    return seconds_of_products(n_steps, CELL, problem.n_features * patches.size, defaults.hidden_layer_sizes[0])


def print_row(name, fits):
    ours, skorch = fits["sklearn_rnn"], fits["skorch"]
    print(
        f"{name:18}{ours['fit_seconds']:10.2f}{skorch['fit_seconds']:10.2f}"
        f"{skorch['fit_seconds'] / ours['fit_seconds']:8.2f}{skorch['fit_seconds'] / ours['product_seconds']:10.2f}"
        f"{ours['score']:10.3f}{skorch['score']:10.3f}",
        flush=True,
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path, help="folder of sets of the UCR archive")
    parser.add_argument("--sets", nargs="+", metavar="NAME", help="only these")
    parser.add_argument("--epochs", type=int, default=100)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2][: len(processors())])
    parser.add_argument("--json", help="file for all figures")
    arguments = parser.parse_args()
    description = machine("numpy", "scikit-learn", "torch", "skorch")
    print_machine(description)
    print(f"{'':18}{'ours s':>10}{'skorch s':>10}{'ratio':>8}{'at most':>10}{'ours':>10}{'skorch':>10}")
    results = {}
    for name, path in find_sets(arguments.folder).items():
        if arguments.sets and name not in arguments.sets:
            continue
        problem = load_problem(path)
        if is_chosen(problem):
            results[name] = compare_fits(CONTENDERS, problem, CELL, arguments)
            results[name]["sklearn_rnn"]["product_seconds"] = seconds_of_all_products(problem, arguments.epochs)
            print_row(name, results[name])
    ratios = [fits["skorch"]["fit_seconds"] / fits["sklearn_rnn"]["fit_seconds"] for fits in results.values()]
    print(f"geometric mean {geometric_mean(ratios):.2f}, least {min(ratios):.2f}")
    write_json(arguments.json, {"machine": description, "epochs": arguments.epochs, "fits": results})


if __name__ == "__main__":
    main()
