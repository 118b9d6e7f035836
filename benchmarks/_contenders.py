"""The classifiers that end_to_end.py compares: this package, skorch, a plain torch loop and Keras.

Each class imports its library in its constructor, so that a process can measure its memory before the import.
"""

from __future__ import annotations

import os
from typing import NamedTuple

import numpy as np
from _measure import version_of
from _plain import PLAIN

N_UNITS, LEARNING_RATE, BATCH_SIZE, CLIP_NORM = 64, 0.003, 32, 1.0
PREDICTED_AT_ONCE = 256  # sequences: the number that this package uses


class Problem(NamedTuple):
    """Sequences, as a list of (n_steps_i, n_features) or as one array, with classes counted from 0."""

    X_train: object
    y_train: np.ndarray
    X_test: object
    y_test: np.ndarray

    @property
    def n_features(self):
        """Features per step."""
        return self.X_train[0].shape[1]

    @property
    def n_classes(self):
        """Number of classes."""
        return int(self.y_train.max()) + 1


def padded(X):
    """Return (array padded with zeros at the ends, lengths); lengths is None if no padding is needed."""
    if isinstance(X, np.ndarray):
        return X, None
    lengths = np.array([len(x) for x in X])
    array = np.zeros((len(X), lengths.max(), X[0].shape[1]), X[0].dtype)
    for row, x in zip(array, X):
        row[: len(x)] = x
    return array, lengths if lengths.min() < lengths.max() else None


class ThisPackage:
    """RNNClassifier."""

    distributions = ("sklearn-rnn",)
    statement = "import sklearn_rnn"
    grid = {"learning_rate_init": [0.001, 0.003, 0.01], "hidden_layer_sizes": [16, 32, 64, 128]}

    def __init__(self, n_threads):
        import sklearn_rnn

        self.make, self.n_threads = sklearn_rnn.RNNClassifier, n_threads

    def estimator(self, problem, cell, n_epochs, seed):
        """Return an unfitted estimator."""
        return self.make(
            N_UNITS,
            cell=cell,
            batch_size=BATCH_SIZE,
            alpha=0.0,
            max_iter=n_epochs,
            n_iter_no_change=np.inf,
            random_state=seed,
            n_jobs=self.n_threads,
            **PLAIN | {"clip_norm": CLIP_NORM, "learning_rate_init": LEARNING_RATE},
        )

    def fit(self, problem, cell, n_epochs, seed):
        """Return the fitted model, for predictions and pickles."""
        return self.estimator(problem, cell, n_epochs, seed).fit(problem.X_train, problem.y_train)

    def predict(self, model, X):
        """Return classes."""
        return model.predict(X)


class Skorch:
    """NeuralNetClassifier of a torch module that packs its padded sequences."""

    distributions = ("skorch", "torch")
    statement = "import skorch, torch"
    grid = {"lr": [0.001, 0.003, 0.01], "module__n_units": [16, 32, 64, 128]}

    def __init__(self, n_threads):
        import skorch
        import torch
        from _torch_network import TorchNetwork
        from skorch.callbacks import GradientNormClipping

        self.torch, self.network = torch, TorchNetwork
        self.make, self.clipping = skorch.NeuralNetClassifier, GradientNormClipping
        torch.set_num_threads(n_threads)

    def estimator(self, problem, cell, n_epochs, seed):
        """Return an unfitted estimator."""
        self.torch.manual_seed(seed)
        return self.make(
            self.network,
            module__cell=cell,
            module__n_features=problem.n_features,
            module__n_units=N_UNITS,
            module__n_outputs=problem.n_classes,
            criterion=self.torch.nn.CrossEntropyLoss,
            optimizer=self.torch.optim.Adam,
            lr=LEARNING_RATE,
            batch_size=BATCH_SIZE,
            max_epochs=n_epochs,
            iterator_train__shuffle=True,
            iterator_valid__batch_size=PREDICTED_AT_ONCE,
            train_split=None,
            callbacks=[("clipping", self.clipping(CLIP_NORM))],
            verbose=0,
        )

    def fit(self, problem, cell, n_epochs, seed):
        """Return the fitted model, for predictions and pickles."""
        return self.estimator(problem, cell, n_epochs, seed).fit(self._arguments(problem.X_train), problem.y_train)

    def predict(self, model, X):
        """Return classes."""
        return model.predict(self._arguments(X))

    def _arguments(self, X):
        array, lengths = padded(X)
        return array if lengths is None else {"X": array, "lengths": lengths}


class TorchLoop:
    """A training loop as a user would write it: pad once, then pack batches."""

    distributions = ("torch",)
    statement = "import torch"
    grid = None

    def __init__(self, n_threads):
        import torch
        from _torch_network import TorchNetwork

        self.torch, self.network = torch, TorchNetwork
        torch.set_num_threads(n_threads)

    def fit(self, problem, cell, n_epochs, seed):
        """Return the fitted model, for predictions and pickles."""
        torch = self.torch
        torch.manual_seed(seed)
        X, lengths = self._tensors(problem.X_train)
        y = torch.from_numpy(problem.y_train)
        network = self.network(cell, problem.n_features, N_UNITS, problem.n_classes)
        optimizer = torch.optim.Adam(network.parameters(), lr=LEARNING_RATE)
        for _ in range(n_epochs):
            for batch in torch.randperm(len(y)).split(BATCH_SIZE):
                optimizer.zero_grad()
                scores = network(X[batch], None if lengths is None else lengths[batch])
                torch.nn.functional.cross_entropy(scores, y[batch]).backward()
                torch.nn.utils.clip_grad_norm_(network.parameters(), CLIP_NORM)
                optimizer.step()
        return network.eval()

    def predict(self, model, X):
        """Return classes."""
        with self.torch.no_grad():
            return model(*self._tensors(X)).argmax(axis=1).numpy()

    def _tensors(self, X):
        array, lengths = padded(X)
        return self.torch.from_numpy(array), None if lengths is None else self.torch.from_numpy(lengths)


class Keras:
    """A sequential model; padding is masked where the sequences are ragged."""

    distributions = ("keras",)  # and the backend
    statement = "import keras"
    grid = None

    def __init__(self, n_threads):
        import keras  # its backend chooses its number of threads by the processors that the process may use

        self.keras = keras

    def fit(self, problem, cell, n_epochs, seed):
        """Return the fitted model, for predictions and pickles."""
        keras = self.keras
        keras.utils.set_random_seed(seed)
        X, lengths = padded(problem.X_train)
        layers = {"rnn": keras.layers.SimpleRNN, "lstm": keras.layers.LSTM, "gru": keras.layers.GRU}
        masking = [] if lengths is None else [keras.layers.Masking(0.0)]
        inputs = keras.Input((None, problem.n_features))
        network = keras.Sequential([inputs, *masking, layers[cell](N_UNITS), keras.layers.Dense(problem.n_classes)])
        network.compile(
            optimizer=keras.optimizers.Adam(LEARNING_RATE, global_clipnorm=CLIP_NORM),
            loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        )
        network.fit(X, problem.y_train, epochs=n_epochs, batch_size=BATCH_SIZE, verbose=0)
        return network

    def predict(self, model, X):
        """Return classes."""
        return model.predict(padded(X)[0], batch_size=PREDICTED_AT_ONCE, verbose=0).argmax(axis=1)


CONTENDERS = {"sklearn_rnn": ThisPackage, "skorch": Skorch, "torch loop": TorchLoop, "keras": Keras}


def installed_contenders():
    """Return the names of the installed contenders; choose the backend of Keras."""
    names = ["sklearn_rnn"]
    names += [name for name in ("skorch", "torch loop") if all(map(version_of, CONTENDERS[name].distributions))]
    backends = [name for name in ("jax", "tensorflow") if version_of(name)]
    backend = os.environ.setdefault("KERAS_BACKEND", backends[0]) if backends else os.environ.get("KERAS_BACKEND")
    if version_of("keras") and backend:
        Keras.distributions = ("keras", backend)
        names.append("keras")
    return names
