"""Ragged sequences with a target at every step, and small estimators for them."""

import numpy as np
from helpers import PLAIN, make_sequences

from sklearn_rnn import RNNClassifier, RNNRegressor

LENGTHS = (5, 3, 7, 4, 2, 6, 3, 5, 1, 4)
X = make_sequences(LENGTHS)
_ends = np.cumsum(LENGTHS)[:-1]
_generator = np.random.default_rng(1)
LABELS = np.split(_generator.permutation(np.arange(sum(LENGTHS)) % 3), _ends)
TARGETS = np.split(_generator.normal(size=sum(LENGTHS)), _ends)
# Weights of the ten sequences.
WEIGHTS = np.array([1.0, 0.0, 2.0, 0.5, 1.0, 3.0, 0.1, 1.0, 4.0, 0.3])

SMALL = PLAIN | {
    "hidden_layer_sizes": (3,),
    "max_iter": 3,
    "n_iter_no_change": np.inf,
    "random_state": 0,
    "readout": "each",
}


def classifier(**params):
    return RNNClassifier(**SMALL | params)


def regressor(**params):
    return RNNRegressor(**SMALL | params)


def chosen(parts, indices):
    """The entries of a list at some indices."""
    return [parts[i] for i in indices]


def object_array(parts):
    array = np.empty(len(parts), dtype=object)
    array[:] = parts
    return array
