"""The time of integrated gradients beside captum's, and how exactly they sum to the difference of the outputs.

    python benchmarks/attribution.py [--cells lstm gru] [--threads 1] [--rst FILE]

* Time: 64 sequences of 100 steps and 4 features, one layer of 64 units, readout "last", three classes, 50 points.
  captum runs the same network in PyTorch, its weights copied, with the better one of two batch sizes: all points of all
  sequences at once, or 256 at a time. Both alternate in one process. A figure is the median of the rounds; a ratio is
  the median of the rounds' ratios. The largest difference of the attributions is relative to the largest attribution.
* Completeness: a GRU trained on Japanese Vowels (ragged, 12 features, 9 classes), by readout and number of points. A
  figure is the largest error over the sequences, relative to the largest difference of the outputs, in float64, and
  the time.
"""

from __future__ import annotations

import argparse
import time
import warnings
from functools import partial
from pathlib import Path

import numpy as np
from defaults import as_rst
from sklearn.exceptions import ConvergenceWarning
from threadpoolctl import threadpool_limits

from sklearn_rnn import RNNClassifier
from sklearn_rnn.datasets import load_japanese_vowels
from sklearn_rnn.inspection import attribute

N_SEQUENCES, N_STEPS, N_FEATURES, N_UNITS, N_CLASSES, N_POINTS = 64, 100, 4, 64, 3, 50
ROUNDS = 5
READOUTS = ["last", "mean", "max", ("last", "mean", "max")]


def make_classifier(cell, dtype, n_threads):
    """Return a classifier after one epoch, and its sequences."""
    generator = np.random.default_rng(0)
    X = generator.normal(size=(N_SEQUENCES, N_STEPS, N_FEATURES)).astype(dtype)
    classifier = RNNClassifier(
        N_UNITS,
        cell=cell,
        readout="last",
        bidirectional=False,
        patch_size=1,
        max_iter=1,
        n_jobs=n_threads,
        random_state=0,
    )
    return classifier.fit(X, np.arange(N_SEQUENCES) % N_CLASSES), X


def in_torch(classifier, cell):
    """Return a function of a batch that gives the scores of the same network in PyTorch."""
    import torch

    weights = {name: torch.tensor(array) for name, array in classifier.weights_.items()}
    layer = {"rnn": torch.nn.RNN, "lstm": torch.nn.LSTM, "gru": torch.nn.GRU}[cell](
        N_FEATURES, N_UNITS, batch_first=True, dtype=weights["readout.bias"].dtype
    )
    bias = weights["layer_0.bias"]
    second = torch.zeros_like(bias)
    if cell == "gru":
        second[2 * N_UNITS :] = weights["layer_0.recurrent_bias"]
    with torch.no_grad():
        layer.weight_ih_l0.copy_(weights["layer_0.input"].T)
        layer.weight_hh_l0.copy_(weights["layer_0.recurrent"].T)
        layer.bias_ih_l0.copy_(bias)
        layer.bias_hh_l0.copy_(second)
    layer.requires_grad_(False)
    return lambda X: layer(X)[0][:, -1] @ weights["readout.weight"] + weights["readout.bias"]


def seconds_of(function):
    start = time.perf_counter()
    result = function()
    return time.perf_counter() - start, result


def measure(cell, dtype, n_threads):
    """Return a row of the table: milliseconds, captum's ratio, and the largest difference."""
    import torch
    from captum.attr import IntegratedGradients

    torch.set_num_threads(n_threads)
    classifier, X = make_classifier(cell, dtype, n_threads)
    explainer, tensor = IntegratedGradients(in_torch(classifier, cell)), torch.as_tensor(X)
    options = {"target": 0, "n_steps": N_POINTS, "method": "gausslegendre"}
    functions = {
        "auto": lambda: attribute(classifier, X, 0, baseline=0.0, n_jobs=n_threads).attributions,
        "ours": lambda: attribute(classifier, X, 0, baseline=0.0, n_points=N_POINTS, n_jobs=n_threads).attributions,
        "at once": lambda: explainer.attribute(tensor, **options),
        "256": lambda: explainer.attribute(tensor, internal_batch_size=256, **options),
    }
    times = {name: [] for name in functions}
    results = {}
    with threadpool_limits(n_threads), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for _ in range(ROUNDS + 1):
            for name, function in functions.items():
                seconds, results[name] = seconds_of(function)
                times[name].append(seconds)
    of = {name: np.array(values[1:]) for name, values in times.items()}
    best = min(("at once", "256"), key=lambda name: np.median(of[name]))
    difference = np.abs(results["ours"] - results[best].detach().numpy()).max() / np.abs(results["ours"]).max()
    row = [f"{cell}, {np.dtype(dtype)}", f"{1e3 * np.median(of['ours']):.0f} ms"]
    row += [f"{np.median(of[name] / of['ours']):.1f}" for name in (best, "auto")] + [f"{difference:.0e}"]
    print(*row, f"(captum: {best})", flush=True)
    return row


def completeness(readout):
    """Return a row of the table: the largest relative error for each number of points."""
    X, y = load_japanese_vowels(return_X_y=True)
    classifier = RNNClassifier(readout=readout, max_iter=20, random_state=0).fit(X, y)
    row = [readout if isinstance(readout, str) else "the default, all three"]
    for n_points in (50, 200, "auto"):
        seconds, explanation = seconds_of(partial(attribute, classifier, X, n_points=n_points))
        changes = explanation.outputs - explanation.baseline_outputs
        error = np.abs(explanation.completeness_errors).max() / np.abs(changes).max()
        row.append(f"{error:.0e} in {seconds:.1f} s")
    print(*row, flush=True)
    return row


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--cells", nargs="*", default=["rnn", "lstm", "gru"])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rst", type=Path, help="file for the tables")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore", ConvergenceWarning)
    times = [["", "attribute", "captum, times as long", '``n_points="auto"``, times as long', "largest difference"]]
    for cell in arguments.cells:
        times += [measure(cell, dtype, arguments.threads) for dtype in (np.float32, np.float64)]
    errors = [["readout", "50 points", "200 points", "auto"], *map(completeness, READOUTS)]
    if arguments.rst:
        arguments.rst.write_text("\n".join(map(as_rst, (times, errors))))


if __name__ == "__main__":
    main()
