"""Small estimators, data to fit them on, and comparisons of their weights."""

import numpy as np
from helpers import PLAIN, make_sequences
from numpy.testing import assert_allclose, assert_array_equal

from sklearn_rnn import RNNClassifier, RNNRegressor

LENGTHS = (5, 3, 7, 4, 2, 6, 3, 5, 1, 4)
SMALL = PLAIN | {"hidden_layer_sizes": (3,), "max_iter": 3, "n_iter_no_change": np.inf, "random_state": 0}
READOUTS = ["last", "mean", "max", ("last", "max", "mean"), "each"]
# Number of gates of each cell.
GATES = {"rnn": 1, "gru": 3, "lstm": 4}
# Weights of the ten sequences.
WEIGHTS = np.array([1.0, 0.0, 2.0, 0.5, 1.0, 3.0, 0.1, 1.0, 4.0, 0.3])


def classifier(**params):
    return RNNClassifier(**SMALL | params)


def regressor(**params):
    return RNNRegressor(**SMALL | params)


def small_data(readout="last", *, lengths=LENGTHS, seed=0):
    """A few sequences, labels of three classes, and targets, in the form that the readout needs."""
    X = make_sequences(lengths, seed=seed)
    generator = np.random.default_rng(seed + 1)
    n = sum(lengths) if readout == "each" else len(lengths)
    labels, targets = generator.permutation(np.arange(n) % 3), generator.normal(size=n)
    if readout != "each":
        return X, labels, targets
    ends = np.cumsum(lengths)[:-1]
    return X, np.split(labels, ends), np.split(targets, ends)


def task(seed=0, n=160):
    """Ragged sequences, and as targets the sums of both features."""
    lengths = np.random.default_rng(seed).integers(2, 7, size=n)
    X = make_sequences(lengths, seed=seed)
    return X, np.array([x.sum(axis=0) for x in X])


def assert_same_weights(estimator, reference):
    assert list(estimator.weights_) == list(reference.weights_)
    for name, weights in reference.weights_.items():
        assert_array_equal(estimator.weights_[name], weights, err_msg=name)


def assert_weights_are_close(estimator, reference, **tolerances):
    assert list(estimator.weights_) == list(reference.weights_)
    for name, weights in reference.weights_.items():
        assert_allclose(estimator.weights_[name], weights, err_msg=name, **tolerances)


def have_same_weights(estimator, reference):
    return all(np.array_equal(estimator.weights_[name], w) for name, w in reference.weights_.items())
