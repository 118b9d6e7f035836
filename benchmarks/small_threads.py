"""Predictions of small batches in one thread and in two, which share a block or have a block each.

    python benchmarks/small_threads.py [--seconds 0.5] [--rounds 5] [--json FILE]

Python's threads must be woken, and Python code in one thread holds the other up. Threads of the kernels share a block
without either (``sklearn_rnn/_network/kernels/team.cpp``). The three ways take turns; a figure is the median over
rounds of the median over a round's calls.
"""

from __future__ import annotations

import argparse
from statistics import median

import numpy as np
from _measure import machine, median_seconds, print_machine, write_json
from _our_network import make_network, random_sequences

from sklearn_rnn._inference import prediction
from sklearn_rnn._network import blocks

# The cell, and the numbers of sequences, steps, features and units.
CASES = [
    ("lstm", 32, 50, 1, 32),
    ("rnn", 32, 100, 8, 64),
    ("gru", 256, 40, 3, 24),
    ("lstm", 64, 40, 4, 50),
    ("gru", 64, 40, 4, 100),
]
# Threads, and the most blocks that they share.
WAYS = {"one thread": (1, 0), "two threads share a block": (2, 1), "two threads, a block each": (2, 0)}


def seconds_of(network, sequences, n_threads, most_shared, seconds):
    """Return the median seconds of a prediction."""
    kept = blocks.SMALLEST_WORK, prediction.MOST_SHARED
    blocks.SMALLEST_WORK, prediction.MOST_SHARED = network.work_per_row * sequences.n_rows // n_threads, most_shared
    try:
        return median_seconds(lambda: prediction.predict_scores(network, sequences, n_threads), seconds)
    finally:
        blocks.SMALLEST_WORK, prediction.MOST_SHARED = kept


def measure(case, n_rounds, seconds):
    """Return the figures of a case."""
    cell, n_sequences, n_steps, n_features, n_units = case
    network = make_network(cell, n_features, n_units, "float32")
    sequences = random_sequences(np.full(n_sequences, n_steps), n_features, np.float32)
    rounds = [
        {way: seconds_of(network, sequences, *sizes, seconds) for way, sizes in WAYS.items()} for _ in range(n_rounds)
    ]
    return {
        "cell": cell,
        "name": f"{n_sequences} × {n_steps} × {n_features} × {n_units}",
        "work": network.work_per_row * sequences.n_rows,
        "seconds": {way: median(figures[way] for figures in rounds) for way in WAYS},
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seconds", type=float, default=0.5)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", help="file for all figures")
    arguments = parser.parse_args()
    description = machine("numpy")
    print_machine(description)
    rows = []
    for case in CASES:
        row = measure(case, arguments.rounds, arguments.seconds)
        times = "".join(f"   {way} {1e3 * row['seconds'][way]:.2f} ms" for way in WAYS)
        print(f"{row['cell']:5}{row['name']:20}{1e-6 * row['work']:6.1f} million{times}", flush=True)
        rows.append(row)
    write_json(arguments.json, {"machine": description, "rows": rows})


if __name__ == "__main__":
    main()
