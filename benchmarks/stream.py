"""Memory of training on a stream without end: the peak after 1 % of its steps, and at the end.

    python benchmarks/stream.py [--steps 10000000] [--chunk 2000] [--truncation 100] [--cell gru] [--json FILE]

A generator yields one sequence in chunks. `partial_fit` takes them with stateful=True and readout "each": there is a
loss at each step, and an update of the weights every `truncation` steps. 2 features, 32 units, float32. The target is
the input of 10 steps before, so the network needs the state to predict it. Memory is the peak of the process so far,
minus the memory before the first chunk. Linux only.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
from _measure import MEGABYTE, machine, peak_bytes, print_machine, reset_peak, run_fresh, write_json

MOST_GROWTH = 1.0  # MB, the limit of the goal
LAG = 10
PARTS = (0.01, 0.03, 0.1, 0.3, 1.0)  # of the stream, after which the peak is recorded


def noise_and_echo(n_steps, chunk):
    """Yield X (1, chunk, 2) and y (1, chunk): the first feature, ``LAG`` steps before."""
    generator = np.random.default_rng(0)
    tail = np.zeros(LAG, np.float32)
    for start in range(0, n_steps, chunk):
        x = generator.standard_normal((min(chunk, n_steps - start), 2), dtype=np.float32)
        signal = np.concatenate([tail, x[:, 0]])
        tail = signal[-LAG:]
        yield x[None], signal[None, : len(x)]


def measure(cell, n_steps, chunk, truncation):
    """Return a row for each of ``PARTS``; runs in a new process."""
    from sklearn_rnn import RNNRegressor

    estimator = RNNRegressor(
        (32,), cell=cell, readout="each", stateful=True, truncation=truncation, learning_rate_init=0.001, random_state=0
    )
    marks = [int(part * n_steps) for part in PARTS]
    rows, n_done, held_before, start = [], 0, reset_peak(), time.perf_counter()
    for X, y in noise_and_echo(n_steps, chunk):
        estimator.partial_fit(X, y)
        n_done += X.shape[1]
        while marks and n_done >= marks[0]:
            marks.pop(0)
            seconds = time.perf_counter() - start
            rows.append({"steps": n_done, "peak_bytes": peak_bytes() - held_before, "seconds": seconds})
            rows[-1]["loss"] = float(np.mean(estimator.loss_curve_[-100:]))
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--steps", type=int, default=10_000_000)
    parser.add_argument("--chunk", type=int, default=2000)
    parser.add_argument("--truncation", type=int, default=100)
    parser.add_argument("--cell", default="gru", choices=["rnn", "lstm", "gru"])
    parser.add_argument("--json", help="file for all figures")
    arguments = parser.parse_args()
    description = machine("numpy")
    print_machine(description)
    rows = run_fresh(measure, arguments.cell, arguments.steps, arguments.chunk, arguments.truncation)
    print(f"\n{'steps':>12}{'peak MB':>10}{'us a step':>12}{'loss':>10}")
    for row in rows:
        microseconds = 1e6 * row["seconds"] / row["steps"]
        print(f"{row['steps']:12}{row['peak_bytes'] / MEGABYTE:10.2f}{microseconds:12.2f}{row['loss']:10.4f}")
    growth = (rows[-1]["peak_bytes"] - rows[0]["peak_bytes"]) / MEGABYTE
    print(f"\nfrom 1 % to the end the peak grew by {growth:.2f} MB (goal: {MOST_GROWTH} MB at most)")
    settings = {name: getattr(arguments, name) for name in ("cell", "chunk", "truncation")}
    write_json(arguments.json, {"machine": description, **settings, "rows": rows})


if __name__ == "__main__":
    main()
