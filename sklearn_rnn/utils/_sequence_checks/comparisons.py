"""Comparisons of outputs and weights, sequence by sequence."""

from __future__ import annotations

from functools import partial

import numpy as np
from numpy.testing import assert_allclose, assert_array_equal

METHODS = ("predict", "predict_proba", "predict_log_proba", "transform", "hidden_states")

# Batches of different sizes are summed in a different order: only rounding may differ.
ROUNDING = {
    np.float64: {"rtol": 1e-9, "atol": 1e-12},
    np.float32: {"rtol": 1e-4, "atol": 1e-5},
}

# For the weights after training, in float64: training enlarges a difference in the last bit.
TRAINED = {"rtol": 1e-6, "atol": 1e-9}


def outputs(estimator, X):
    """Return the result of each of the estimator's methods for X, by the method's name."""
    return {name: getattr(estimator, name)(X) for name in METHODS if hasattr(estimator, name)}


def assert_same_bits(actual, expected):
    """Compare outputs sequence by sequence, in any form."""
    compare_outputs(actual, expected, assert_array_equal)


def assert_equal_but_for_rounding(actual, expected, dtype=np.float64):
    """Compare outputs of equal weights, in batches that may differ."""
    compare_outputs(actual, expected, partial(assert_allclose, **ROUNDING[dtype]))


def compare_outputs(actual, expected, assert_alike):
    """Compare outputs with a function for numbers; labels must be equal."""
    assert set(actual) == set(expected), f"methods {set(actual)} and {set(expected)}"
    assert expected, f"the estimator has none of the methods {METHODS}"
    for method, expected_values in expected.items():
        n, n_expected = len(actual[method]), len(expected_values)
        assert n == n_expected, f"{method} returns {n} items, and {n_expected} are expected"
        for i, (a, b) in enumerate(zip(actual[method], expected_values)):
            compare_items(np.asarray(a), np.asarray(b), assert_alike, f"{method}, sequence {i}")


def compare_items(actual, expected, assert_alike, place):
    """Compare the output for one sequence."""
    for name in ("shape", "dtype"):
        a, b = getattr(actual, name), getattr(expected, name)
        assert a == b, f"{place}: {name} is {a}, and {b} is expected"
    compare = assert_array_equal if actual.dtype.kind in "OU" else assert_alike
    compare(actual, expected, err_msg=place)


def assert_same_weights(actual, expected, assert_alike=assert_array_equal):
    """Compare the named arrays ``weights_`` of estimators that have them."""
    if not hasattr(expected, "weights_"):
        return
    assert list(actual.weights_) == list(expected.weights_), f"weights_ of {list(actual.weights_)}"
    for name, weights in expected.weights_.items():
        assert_alike(actual.weights_[name], weights, err_msg=name)


def assert_same_attributes(actual, expected):
    """Compare the names of all attributes."""
    different = vars(actual).keys() ^ vars(expected).keys()
    assert not different, f"attributes that only one has: {sorted(different)}"
