"""Time of one train step (forward, backward, clip, Adam) against torch, in one run.

    python benchmarks/peers.py [--cells rnn lstm gru] [--seconds 0.5] [--rounds 3]

The two alternate; each is the best of 1 and 2 threads of the median over a round's steps, and the best round
counts. float32, readout "last", one output, squared error.
"""

from __future__ import annotations

import argparse
import statistics
import time
from contextlib import contextmanager

import numpy as np
import torch

from sklearn_rnn._losses import SquaredError
from sklearn_rnn._monitor import History, Monitor
from sklearn_rnn._network import RecurrentNetwork
from sklearn_rnn._optimizers import Adam
from sklearn_rnn._packing import Dataset
from sklearn_rnn._sequences import Sequences
from sklearn_rnn._threads import threads
from sklearn_rnn._training import Trainer, TrainingSettings

# (sequences in the batch, steps, features, units)
SHAPES = [
    (32, 50, 1, 32),
    (32, 100, 8, 64),
    (1, 500, 8, 32),
    (128, 100, 16, 128),
    (64, 200, 32, 256),
    (128, 50, 64, 512),
]


@contextmanager
def step_of_this_package(cell, shape, n_threads):
    """Give a function that takes one train step."""
    n_sequences, n_steps, n_features, n_units = shape
    random_state = np.random.RandomState(0)
    network = RecurrentNetwork(
        n_features,
        (n_units,),
        1,
        cell=cell,
        activation="tanh",
        bidirectional=False,
        readout="last",
        dtype=np.float32,
        random_state=random_state,
    )
    rows = random_state.standard_normal((n_sequences * n_steps, n_features)).astype(np.float32)
    sequences = Sequences(rows, np.full(n_sequences, n_steps), "array")
    targets = random_state.standard_normal((n_sequences, 1)).astype(np.float32)
    dataset = Dataset(sequences, targets, np.ones(n_sequences, np.float32))
    parameters = network.parameters.vector
    monitor = Monitor(History(), parameters, tol=0, n_iter_no_change=1, early_stopping=False, verbose=False)
    monitor.begin_epoch()
    optimizer = Adam(len(parameters), np.float32, 0.9, 0.999, 1e-8)
    settings = TrainingSettings(batch_size=n_sequences, clip_norm=1.0)
    with threads(n_threads) as run:
        trainer = Trainer(network, SquaredError(), optimizer, settings, random_state, run)
        yield lambda: trainer.train_batch(dataset, np.arange(n_sequences), 1e-3, monitor)


@contextmanager
def step_of_torch(cell, shape, n_threads):
    """Give a function that takes one train step."""
    n_sequences, n_steps, n_features, n_units = shape
    torch.set_num_threads(n_threads)
    modules = {"rnn": torch.nn.RNN, "lstm": torch.nn.LSTM, "gru": torch.nn.GRU}
    layer, output = modules[cell](n_features, n_units), torch.nn.Linear(n_units, 1)
    parameters = [*layer.parameters(), *output.parameters()]
    optimizer = torch.optim.Adam(parameters, lr=1e-3)
    x, y = torch.randn(n_steps, n_sequences, n_features), torch.randn(n_sequences, 1)

    def step():
        optimizer.zero_grad()
        ((output(layer(x)[0][-1]) - y) ** 2).mean().backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()

    yield step


def median_seconds(make_step, cell, shape, n_threads, seconds):
    """Median time of a step, over at least ``seconds`` and 3 steps, after 2 that do not count."""
    times = []
    with make_step(cell, shape, n_threads) as step:
        step(), step()
        end = time.perf_counter() + seconds
        while time.perf_counter() < end or len(times) < 3:
            start = time.perf_counter()
            step()
            times.append(time.perf_counter() - start)
    return statistics.median(times)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--cells", nargs="+", default=["rnn", "lstm", "gru"])
    parser.add_argument("--seconds", type=float, default=0.5)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    print(f"{'cell':5} {'(batch, steps, features, units)':32} {'ms':>8} {'torch ms':>9} {'torch / this':>13}")
    ratios = []
    for cell in arguments.cells:
        for shape in SHAPES:
            best = {step_of_this_package: np.inf, step_of_torch: np.inf}
            for _ in range(arguments.rounds):
                for n_threads in (1, 2):
                    for make_step in best:
                        seconds = median_seconds(make_step, cell, shape, n_threads, arguments.seconds)
                        best[make_step] = min(best[make_step], seconds)
            ours, theirs = (1e3 * seconds for seconds in best.values())
            ratios.append(theirs / ours)
            print(f"{cell:5} {shape!s:32} {ours:8.2f} {theirs:9.2f} {theirs / ours:13.2f}", flush=True)
    print(f"geometric mean of the ratios: {statistics.geometric_mean(ratios):.2f}")


if __name__ == "__main__":
    main()
