"""The cost of learned categories: beside numeric features, and beside PyTorch's Embedding with the same cell.

    python benchmarks/embeddings.py [--cells lstm gru] [--threads 1] [--rst FILE]

* An update, on a batch of 64 sequences of 50 steps in float32: one feature of 10,000 categories with vectors of size
  32, and 32 numeric features. 64 units, one layer, readout "last", Adam. The time of a fit over its number of updates.
* The same with 100 categories: the step of the optimizer, which touches the whole table, is then short.
* The same in PyTorch: Embedding, the cell, a linear layer, cross-entropy, Adam (not sparse), after two runs to warm up.
* Prediction of all sequences.

All alternate in one process. A figure is the median of the rounds; the ratios beside it are medians of the rounds'
ratios. The last figure is the memory that a fit allocates at its peak through NumPy. One-hot arrays of the data would
take 1.2 GB.
"""

from __future__ import annotations

import argparse
import time
import tracemalloc
import warnings
from pathlib import Path

import numpy as np
from defaults import as_rst
from sklearn.exceptions import ConvergenceWarning
from threadpoolctl import threadpool_limits

from sklearn_rnn import RNNClassifier

N_CATEGORIES, SIZE, N_UNITS = 10_000, 32, 64
N_SEQUENCES, N_STEPS, BATCH, N_EPOCHS = 640, 50, 64, 20
ROUNDS = 5


def make_data(seed=0):
    """Return ids with the frequencies of words, numbers, and labels."""
    generator = np.random.default_rng(seed)
    ids = (generator.zipf(1.2, (N_SEQUENCES, N_STEPS, 1)) % N_CATEGORIES).astype(np.float32)
    ids.ravel()[:N_CATEGORIES] = np.arange(N_CATEGORIES)  # every category is there
    numbers = generator.normal(size=(N_SEQUENCES, N_STEPS, SIZE)).astype(np.float32)
    return ids, numbers, generator.integers(0, 2, N_SEQUENCES)


def make_classifier(cell, n_threads, **settings):
    return RNNClassifier(
        N_UNITS,
        cell=cell,
        readout="last",
        bidirectional=False,
        patch_size=1,
        normalize_features=False,
        normalize_readout=False,
        embedding_size=SIZE,
        batch_size=BATCH,
        max_iter=N_EPOCHS,
        n_iter_no_change=np.inf,
        n_jobs=n_threads,
        random_state=0,
        **settings,
    )


class TorchClassifier:
    """Embedding, cell and linear layer in PyTorch, trained on the same batches."""

    def __init__(self, cell):
        import torch

        self.torch = torch
        torch.manual_seed(0)
        self.embedding = torch.nn.Embedding(N_CATEGORIES + 1, SIZE)
        self.cell = {"lstm": torch.nn.LSTM, "gru": torch.nn.GRU, "rnn": torch.nn.RNN}[cell](
            SIZE, N_UNITS, batch_first=True
        )
        self.linear = torch.nn.Linear(N_UNITS, 2)
        layers = (self.embedding, self.cell, self.linear)
        self.optimizer = torch.optim.Adam([p for layer in layers for p in layer.parameters()], lr=0.003)

    def scores(self, ids):
        hidden, _ = self.cell(self.embedding(ids))
        return self.linear(hidden[:, -1])

    def fit(self, ids, y):
        for _ in range(N_EPOCHS):
            order = self.torch.randperm(len(ids))
            for batch in order.split(BATCH):
                self.optimizer.zero_grad()
                self.torch.nn.functional.cross_entropy(self.scores(ids[batch]), y[batch]).backward()
                self.optimizer.step()

    def predict(self, ids):
        with self.torch.inference_mode():
            return self.scores(ids).argmax(1)


def seconds_of(function):
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def measure(cell, n_threads):
    """Return the rows of the table for one cell: milliseconds, and ratios to ours."""
    import torch

    torch.set_num_threads(n_threads)
    ids, numbers, y = make_data()
    ids_of_torch, y_of_torch = torch.as_tensor(ids[..., 0], dtype=torch.long), torch.as_tensor(y)
    embedded = make_classifier(cell, n_threads, categorical_features=[0])
    few, few_ids = make_classifier(cell, n_threads, categorical_features=[0]), ids % 100
    numeric, peer = make_classifier(cell, n_threads), TorchClassifier(cell)
    train = {
        "embedding": lambda: embedded.fit(ids, y),
        "32 numbers": lambda: numeric.fit(numbers, y),
        "100 categories": lambda: few.fit(few_ids, y),
        "torch": lambda: peer.fit(ids_of_torch, y_of_torch),
    }
    predict = {
        "embedding": lambda: embedded.predict(ids),
        "32 numbers": lambda: numeric.predict(numbers),
        "100 categories": lambda: few.predict(few_ids),
        "torch": lambda: peer.predict(ids_of_torch),
    }
    rows = []
    with threadpool_limits(n_threads), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        for name, functions in (("an update", train), ("prediction", predict)):
            times = {key: [] for key in functions}
            for _ in range(ROUNDS + 2):
                for key, function in functions.items():
                    times[key].append(seconds_of(function))
            per = 1e3 / (N_EPOCHS * N_SEQUENCES / BATCH if name == "an update" else 1)
            of = {key: np.array(values[2:]) * per for key, values in times.items()}
            row = [f"{cell}, {name}", f"{np.median(of['embedding']):.2f} ms"]
            row += [f"{np.median(of[key] / of['embedding']):.2f}" for key in list(functions)[1:]]
            rows.append(row)
            print(*row, flush=True)
    return rows


def peak_of_a_fit(cell):
    """Return the megabytes that a fit allocates at its peak, through NumPy."""
    ids, _, y = make_data()
    tracemalloc.start()
    make_classifier(cell, 1, categorical_features=[0]).set_params(max_iter=1).fit(ids, y)
    peak = tracemalloc.get_traced_memory()[1] / 2**20
    tracemalloc.stop()
    return peak


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--cells", nargs="+", default=["rnn", "lstm", "gru"])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rst", type=Path, help="file for the table")
    arguments = parser.parse_args()
    rows = [["", "10,000 categories", "32 numbers", "100 categories", "torch, 10,000 categories"]]
    for cell in arguments.cells:
        rows += measure(cell, arguments.threads)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        print(f"peak of a fit: {peak_of_a_fit(arguments.cells[0]):.0f} MB")
    if arguments.rst:
        arguments.rst.write_text(as_rst(rows))


if __name__ == "__main__":
    main()
