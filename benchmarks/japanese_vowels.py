"""Test accuracy on Japanese Vowels with each cell: this package, its defaults, and torch with the same settings.

    python benchmarks/japanese_vowels.py [--seeds 5] [--n-jobs 1] [--without-torch]

The original split, standardised coefficients, one layer of 64 units, readout "last", 100 epochs of Adam with rate 0.003
and batches of 32. The norm of the gradient is clipped to 1.
"""

from __future__ import annotations

import argparse
import warnings

import numpy as np
from _plain import PLAIN
from joblib import Parallel, delayed
from sklearn.exceptions import ConvergenceWarning
from sklearn.preprocessing import StandardScaler

from sklearn_rnn import RNNClassifier
from sklearn_rnn.datasets import load_japanese_vowels
from sklearn_rnn.preprocessing import TimeDistributed

CELLS = ("rnn", "lstm", "gru")
SETTINGS = PLAIN | {
    "hidden_layer_sizes": (64,),
    "batch_size": 32,
    "alpha": 0.0,
    "max_iter": 100,
    "n_iter_no_change": np.inf,
}


def load():
    """Return training and test utterances, standardised by the training ones."""
    X_train, y_train = load_japanese_vowels(subset="train", return_X_y=True)
    X_test, y_test = load_japanese_vowels(subset="test", return_X_y=True)
    scaler = TimeDistributed(StandardScaler()).fit(X_train)
    return scaler.transform(X_train), y_train, scaler.transform(X_test), y_test


def score_of_this_package(parameters, seed):
    """Test accuracy of one fit."""
    X_train, y_train, X_test, y_test = load()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        classifier = RNNClassifier(**parameters, random_state=seed).fit(X_train, y_train)
    return classifier.score(X_test, y_test)


def score_of_torch(cell, seed):
    """Test accuracy of a torch module with its own start values and the same training."""
    import torch

    torch.manual_seed(seed)
    torch.set_num_threads(1)
    X_train, y_train, X_test, y_test = load()
    modules = {"rnn": torch.nn.RNN, "lstm": torch.nn.LSTM, "gru": torch.nn.GRU}
    layer, output = modules[cell](12, 64), torch.nn.Linear(64, 9)
    parameters = [*layer.parameters(), *output.parameters()]
    optimizer = torch.optim.Adam(parameters, lr=SETTINGS["learning_rate_init"])

    def scores_of(sequences):
        tensors = [torch.from_numpy(sequence).float() for sequence in sequences]
        packed = torch.nn.utils.rnn.pack_sequence(tensors, enforce_sorted=False)
        final_state = layer(packed)[1]
        return output((final_state[0] if cell == "lstm" else final_state)[0])

    targets = torch.from_numpy(y_train - 1)
    for _ in range(SETTINGS["max_iter"]):
        for batch in torch.randperm(len(X_train)).split(SETTINGS["batch_size"]):
            optimizer.zero_grad()
            scores = scores_of([X_train[i] for i in batch])
            torch.nn.functional.cross_entropy(scores, targets[batch]).backward()
            torch.nn.utils.clip_grad_norm_(parameters, SETTINGS["clip_norm"])
            optimizer.step()
    with torch.no_grad():
        return float(np.mean(scores_of(X_test).argmax(axis=1).numpy() == y_test - 1))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--n-jobs", type=int, default=1)
    parser.add_argument("--without-torch", action="store_true")
    arguments = parser.parse_args()
    rows = [(f"{cell}, settings above", score_of_this_package, SETTINGS | {"cell": cell}) for cell in CELLS]
    rows += [(f"{cell}, plain defaults", score_of_this_package, {"cell": cell}) for cell in CELLS]
    if not arguments.without_torch:
        rows += [(f"torch {cell}, settings above", score_of_torch, cell) for cell in CELLS]
    for name, score_of, what in rows:
        scores = Parallel(arguments.n_jobs)(delayed(score_of)(what, seed) for seed in range(arguments.seeds))
        print(f"{name:28} mean {np.mean(scores):.4f}   " + " ".join(f"{s:.4f}" for s in scores), flush=True)


if __name__ == "__main__":
    main()
