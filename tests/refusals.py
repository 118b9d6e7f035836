"""Checks that bad input is refused: the error begins with its name, and the estimator is not changed."""

import pickle
from copy import deepcopy

import numpy as np
import pytest
from helpers import PLAIN, make_sequences
from numpy.testing import assert_array_equal
from sklearn.exceptions import NotFittedError

from sklearn_rnn import RNNClassifier, RNNRegressor

SMALL = PLAIN | {
    "hidden_layer_sizes": (3,),
    "max_iter": 2,
    "n_iter_no_change": np.inf,
    "random_state": 0,
}

LENGTHS = (5, 3, 7, 4, 2, 6)
N_STEPS = 4
LABELS = np.array([0, 1, 0, 1, 1, 0])
TARGETS = np.array([0.5, 1.0, 0.0, 2.0, 3.5, 1.0])
MULTILABEL = np.array([[0, 1, 1], [1, 0, 0], [1, 1, 0], [0, 0, 1], [1, 0, 1], [0, 1, 0]])


def sequences():
    """Six sequences with two features."""
    return make_sequences(LENGTHS)


def sequences_but(i, sequence):
    """The same six sequences, but the i-th is replaced."""
    X = sequences()
    X[i] = sequence
    return X


def array_but(index, value, dtype=np.float64):
    """Six sequences of four steps with two features; one value is replaced."""
    X = np.stack(make_sequences((N_STEPS,) * 6)).astype(dtype)
    X[index] = value
    return X


def rows():
    """Six rows of eight columns."""
    return array_but((), 0.5 + np.arange(48.0).reshape(6, N_STEPS, 2)).reshape(6, 8)


def object_array(items):
    array = np.empty(len(items), dtype=object)
    array[:] = items
    return array


def per_step(value, lengths=LENGTHS):
    """A list with an array for each sequence: one target per step. The first target is ``value``."""
    return [np.where(np.arange(length) % 2, 1, value) for length in lengths]


def classifier(**params):
    return RNNClassifier(**SMALL | params)


def regressor(**params):
    return RNNRegressor(**SMALL | params)


def default_y(estimator):
    """Valid targets for the six sequences."""
    if estimator.readout == "each":
        return per_step(0)
    return LABELS if isinstance(estimator, RNNClassifier) else TARGETS


# ---- The form of a refusal ---------------------------------------------------------------------------


def state_of(estimator):
    """Everything in an estimator, bit for bit."""
    return pickle.dumps(estimator)


def assert_refuses(estimator, method, *args, error=ValueError, message, **kwargs):
    """A method raises an error whose message begins with ``message``; the estimator is not changed."""
    before = state_of(estimator)
    with pytest.raises(error, match=f"^{message}") as raised:
        getattr(estimator, method)(*args, **kwargs)
    assert raised.type is error
    assert state_of(estimator) == before


def assert_is_unfitted(estimator):
    assert vars(estimator).keys() == estimator.get_params().keys()
    with pytest.raises(NotFittedError):
        estimator.predict(sequences())


def assert_continues_like(estimator, twin, X, y):
    """Both estimators predict and continue training with the same bits."""
    assert_same_predictions(estimator, twin, X)
    for trained in (estimator, twin):
        trained.partial_fit(X, y)
    assert_same_predictions(estimator, twin, X)
    for name, weights in twin.weights_.items():
        assert_array_equal(estimator.weights_[name], weights)


def assert_same_predictions(estimator, twin, X):
    for actual, expected in zip(estimator.predict(X), twin.predict(X)):
        assert_array_equal(actual, expected)


def first_call(estimator):
    """Keyword arguments that the first ``partial_fit`` needs."""
    return {"classes": [0, 1]} if isinstance(estimator, RNNClassifier) else {}


def assert_training_refuses(
    estimator,
    X,
    y,
    *,
    error=ValueError,
    message,
    good_X=None,
    methods=("fit", "partial_fit"),
    **kwargs,
):
    """fit and partial_fit refuse X and y, both before and after a first fit."""
    good_X = sequences() if good_X is None else good_X
    good_y = default_y(estimator)
    for method in methods:
        unfitted = deepcopy(estimator)
        known = first_call(estimator) if method == "partial_fit" else {}
        assert_refuses(unfitted, method, X, y, error=error, message=message, **kwargs | known)
        assert_is_unfitted(unfitted)
        fitted = deepcopy(estimator).fit(good_X, good_y)
        twin = deepcopy(fitted)
        assert_refuses(fitted, method, X, y, error=error, message=message, **kwargs)
        assert_continues_like(fitted, twin, good_X, good_y)
