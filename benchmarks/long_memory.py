"""Number of training sequences until the adding and the temporal order problems of length 100 are learned.

    python benchmarks/long_memory.py [--cells gru lstm] [--seeds 1] [--n-steps 100]

Every update uses new sequences (``partial_fit`` on chunks of 1,000, batches of 50). The test is on 1,000 other
sequences. Training ends when the network reaches the goal, or after 100,000 sequences. The goals are a mean squared
error below 0.001 in the adding problem (the constant prediction 1 has 1/6), and an accuracy of 99.5% in the temporal
order problem (4 classes).
"""

from __future__ import annotations

import argparse
import time

import numpy as np
from _plain import PLAIN

from sklearn_rnn import RNNClassifier, RNNRegressor
from sklearn_rnn.datasets import make_adding_problem, make_temporal_order

CHUNK, MOST_SEQUENCES = 1000, 100_000
SETTINGS = PLAIN | {"hidden_layer_sizes": (64,), "batch_size": 50}


def learn_adding(cell, n_steps, seed):
    """Yield, after every chunk, the mean squared error on test sequences, and whether it reaches the goal."""
    random_state = np.random.RandomState(seed)
    X_test, y_test = make_adding_problem(1000, n_steps, random_state=10_000 + seed)
    regressor = RNNRegressor(cell=cell, **SETTINGS, random_state=seed)
    while True:
        regressor.partial_fit(*make_adding_problem(CHUNK, n_steps, random_state=random_state))
        error = np.mean((regressor.predict(X_test) - y_test) ** 2)
        yield f"mean squared error {error:.5f}", error < 0.001


def learn_temporal_order(cell, n_steps, seed):
    """Yield, after every chunk, the accuracy on test sequences, and whether it reaches the goal."""
    random_state = np.random.RandomState(seed)
    X_test, y_test = make_temporal_order(1000, n_steps, random_state=10_000 + seed)
    classifier = RNNClassifier(cell=cell, **SETTINGS, random_state=seed)
    while True:
        X, y = make_temporal_order(CHUNK, n_steps, random_state=random_state)
        classifier.partial_fit(X, y, classes=range(4))
        accuracy = classifier.score(X_test, y_test)
        yield f"accuracy {accuracy:.4f}", accuracy >= 0.995


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--cells", nargs="+", default=["gru", "lstm"])
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--n-steps", type=int, default=100)
    arguments = parser.parse_args()
    for task, learn in (("adding", learn_adding), ("temporal order", learn_temporal_order)):
        for cell in arguments.cells:
            for seed in range(arguments.seeds):
                start = time.perf_counter()
                progress = learn(cell, arguments.n_steps, seed)
                n_sequences, is_learned = 0, False
                while not is_learned and n_sequences < MOST_SEQUENCES:
                    result, is_learned = next(progress)
                    n_sequences += CHUNK
                seconds = time.perf_counter() - start
                verdict = "learned" if is_learned else "NOT learned"
                print(
                    f"{task}, {arguments.n_steps} steps, {cell}, seed {seed}: {verdict} after {n_sequences} "
                    f"sequences, {result} ({seconds:.0f} s)",
                    flush=True,
                )


if __name__ == "__main__":
    main()
