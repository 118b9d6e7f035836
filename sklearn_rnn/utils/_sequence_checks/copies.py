"""Checks of copies: pickles, files of joblib, deep copies and clones."""

from __future__ import annotations

import copy
import io
import pickle

import joblib
from sklearn.base import clone

from sklearn_rnn.utils._sequence_checks.check import sequence_check
from sklearn_rnn.utils._sequence_checks.comparisons import (
    assert_same_attributes,
    assert_same_bits,
    assert_same_weights,
)


def in_pickle(estimator):
    return pickle.loads(pickle.dumps(estimator))


def in_joblib(estimator):
    file = io.BytesIO()
    joblib.dump(estimator, file)
    file.seek(0)
    return joblib.load(file)


COPIES = (in_pickle, in_joblib, copy.deepcopy)


@sequence_check()
def check_copies_give_the_same_bits(subject):
    """Unpickled estimators and deep copies give the same bits."""
    for dtype in subject.dtypes:
        X, y = subject.make_data(dtype=dtype)
        estimator = subject.fitted(X, y)
        expected = subject.outputs(estimator, X)
        for make_copy in COPIES:
            copied = make_copy(estimator)
            assert_same_attributes(copied, estimator)
            assert_same_weights(copied, estimator)
            assert_same_bits(subject.outputs(copied, X), expected)


@sequence_check("partial_fit")
def check_copies_train_on_with_the_same_bits(subject):
    """Copies continue training with the bits of their original."""
    X, y = subject.make_data()
    after_fit = subject.fitted(X, y)
    after_partial_fit = subject.continue_training(subject.unfitted(), X, y)
    for estimator in (after_fit, after_partial_fit):
        copies = [make_copy(estimator) for make_copy in COPIES]
        subject.continue_training(estimator, X, y)
        expected = subject.outputs(estimator, X)
        for copied in copies:
            subject.continue_training(copied, X, y)
            assert_same_weights(copied, estimator)
            assert_same_bits(subject.outputs(copied, X), expected)


@sequence_check("partial_fit")
def check_a_copy_shares_nothing_with_its_original(subject):
    """The training of a copy does not change its original."""
    X, y = subject.make_data()
    estimator = subject.fitted(X, y)
    expected = subject.outputs(estimator, X)
    for make_copy in COPIES:
        subject.continue_training(make_copy(estimator), X, y)
        assert_same_bits(subject.outputs(estimator, X), expected)


@sequence_check()
def check_a_clone_trains_to_the_same_bits(subject):
    """A clone has nothing that was fitted, and trains to the same bits."""
    X, y = subject.make_data()
    estimator = subject.fitted(X, y)
    unfitted = clone(estimator)
    assert_same_attributes(unfitted, subject.unfitted())
    again = subject.fit(unfitted, X, y)
    assert_same_weights(again, estimator)
    assert_same_bits(subject.outputs(again, X), subject.outputs(estimator, X))
