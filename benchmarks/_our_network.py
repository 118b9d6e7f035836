"""The benchmarks' network of this package: one layer, readout "last", one output, squared error."""

from __future__ import annotations

from contextlib import contextmanager

import numpy as np

from sklearn_rnn._data.batches import Dataset
from sklearn_rnn._data.sequences import Sequences
from sklearn_rnn._network.network import RecurrentNetwork
from sklearn_rnn._training.losses import SquaredError
from sklearn_rnn._training.monitor import History, Monitor
from sklearn_rnn._training.optimizers import Adam
from sklearn_rnn._training.progress import Progress
from sklearn_rnn._training.settings import TrainingSettings
from sklearn_rnn._training.trainer import Trainer
from sklearn_rnn._utils.callbacks import FitTasks
from sklearn_rnn._utils.threads import threads


def make_network(cell, n_features, n_units, dtype):
    """Return a network of one layer with random start values.

    BLAS draws them in one thread, as in a fit: its other threads would look out for more work for a tenth of a second,
    and hold up what is timed next.
    """
    with threads(1):
        return RecurrentNetwork(
            n_features,
            (n_units,),
            1,
            cell=cell,
            activation="tanh",
            bidirectional=False,
            readout="last",
            dtype=np.dtype(dtype),
            random_state=np.random.RandomState(0),
        )


def random_sequences(lengths, n_features, dtype):
    """Return Sequences of standard normal steps."""
    lengths = np.asarray(lengths)
    rows = np.random.default_rng(0).standard_normal((lengths.sum(), n_features), dtype=dtype)
    return Sequences(rows, lengths, "list")


@contextmanager
def train_step(network, sequences, targets, n_threads):
    """Yield a function that makes one train step on all sequences: forward, backward, clip to norm 1, Adam."""
    n_sequences, parameters = len(sequences), network.parameters.vector
    dataset = Dataset(sequences, targets, np.ones(n_sequences, network.dtype))
    monitor = Monitor(
        History(),
        parameters,
        tol=0,
        n_iter_no_change=1,
        early_stopping=False,
        progress=Progress(verbose=False),
        tasks=FitTasks(None, "fit", 1, X=None),
        snapshot=lambda history, best: {},
    )
    monitor.begin_epoch()
    optimizer = Adam(len(parameters), network.dtype, 0.9, 0.999, 1e-8)
    settings = TrainingSettings(batch_size=n_sequences, clip_norm=1.0, n_jobs=n_threads)
    indices = np.arange(n_sequences)
    with threads(n_threads) as run:
        trainer = Trainer(network, SquaredError(), optimizer, settings, np.random.RandomState(0), run)
        yield lambda: trainer.train_batch(dataset, indices, 1e-3, monitor)
