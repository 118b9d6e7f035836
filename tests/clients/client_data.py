"""Clients, and small problems for them: two classes of sequences, sums of sequences, and a seasonal series."""

import numpy as np
import pytest
from helpers import import_client

from sklearn_rnn import RNNClassifier, RNNRegressor
from sklearn_rnn.preprocessing import to_object_column

SMALL = {"hidden_layer_sizes": (4,), "max_iter": 15, "learning_rate_init": 0.03, "random_state": 0}
PERIOD = 12  # steps of the seasonal series

# Libraries announce changes of their own, and call old names of each other. Other warnings stay errors.
announcements_ignored = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")


def classifier(**params):
    return RNNClassifier(**SMALL | params)


def regressor(**params):
    return RNNRegressor(**SMALL | params)


def two_classes(n=60, *, lengths=(3, 9), seed=0):
    """Sequences of one noisy feature around -0.75 or 0.75, lengths drawn from a range, and their labels 0 and 1."""
    generator = np.random.default_rng(seed)
    labels = np.arange(n) % 2
    sizes = generator.integers(*lengths, size=n)
    return [generator.normal(1.5 * label - 0.75, size=(size, 1)) for size, label in zip(sizes, labels)], labels


def sums(n=60, *, lengths=(3, 9), seed=0):
    """Sequences of one feature, lengths drawn from a range, and as targets their sums."""
    generator = np.random.default_rng(seed)
    X = [generator.normal(size=(n_steps, 1)) for n_steps in generator.integers(*lengths, size=n)]
    return X, np.array([x.sum() for x in X])


def in_form(form):
    """The two classes as X of a form (2-D, 3-D, list or column), and their labels. Arrays have equal lengths."""
    if form in ("2-D", "3-D"):
        X, labels = two_classes(lengths=(6, 7))
        return (np.array(X) if form == "3-D" else np.concatenate(X, axis=1).T), labels
    X, labels = two_classes()
    return (to_object_column(X) if form == "column" else X), labels


def as_lists(column):
    """A column of arrays as a column of lists, whose items can be compared with themselves."""
    return np.frompyfunc(np.ndarray.tolist, 1, 1)(column)


def padded_rows(X, value):
    """Sequences as the rows of a table, step after step, with a value that fills the end of short ones."""
    rows = np.full((len(X), max(x.size for x in X)), float(value))
    for row, x in zip(rows, X):
        row[: x.size] = x.ravel()
    return rows


def take(X, indices):
    """Items of a list."""
    return [X[i] for i in indices]


def seasonal(n=10 * PERIOD):
    """A noisy sine of days, as a pandas.Series."""
    pd = import_client("pandas")
    steps = np.arange(n)
    noise = np.random.default_rng(0).normal(scale=0.05, size=n)
    index = pd.date_range("2024-01-01", periods=n, freq="D")
    return pd.Series(np.sin(2 * np.pi * steps / PERIOD) + noise, index=index, name="y")


def forecast_by_hand(network, values, n_steps):
    """Predictions of a fitted network for the steps after the values, each from the last PERIOD values before it."""
    values = list(values)
    for _ in range(n_steps):
        values.append(network.predict(np.array([values[-PERIOD:]])[..., np.newaxis])[0])
    return np.array(values[-n_steps:])


def windows_of(values):
    """The windows (n_windows, PERIOD, 1) of a series, oldest first, and the value after each."""
    windows = np.lib.stride_tricks.sliding_window_view(np.asarray(values), PERIOD)[:-1]
    return windows[..., np.newaxis], np.asarray(values)[PERIOD:]
