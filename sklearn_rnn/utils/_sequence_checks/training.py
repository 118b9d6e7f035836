"""Checks of training: again, in pieces, with weights, with threads."""

from __future__ import annotations

from functools import partial

import numpy as np
from numpy.testing import assert_allclose

from sklearn_rnn.utils._sequence_checks.check import sequence_check
from sklearn_rnn.utils._sequence_checks.comparisons import (
    TRAINED,
    assert_same_bits,
    assert_same_weights,
    compare_outputs,
)
from sklearn_rnn.utils._sequence_checks.data import taken


def assert_same_fit(subject, estimator, reference, X):
    """Compare weights and outputs, bit for bit."""
    assert_same_weights(estimator, reference)
    assert_same_bits(subject.outputs(estimator, X), subject.outputs(reference, X))


@sequence_check()
def check_fitting_again_begins_anew(subject):
    """A second fit gives the bits of a first one."""
    X, y = subject.make_data()
    other_X, other_y = subject.make_data(subject.lengths[::-1], seed=5)
    reference = subject.fitted(X, y)
    estimator = subject.fit(subject.fitted(other_X, other_y), X, y)
    assert_same_fit(subject, estimator, reference, X)


@sequence_check("epochs")
def check_one_call_an_epoch_equals_fit(subject):
    """A call of partial_fit for each epoch of fit gives the bits of fit."""
    X, y = subject.make_data()
    at_once = subject.fitted(X, y)
    assert at_once.n_iter_ > 1, "fit ends after one epoch: max_iter is too small for this check"
    in_pieces = subject.unfitted()
    for _ in range(at_once.n_iter_):
        subject.continue_training(in_pieces, X, y)
    assert_same_fit(subject, in_pieces, at_once, X)
    for name in ("loss_curve_", "gradient_norms_", "n_iter_", "t_"):
        expected = getattr(at_once, name, None)
        actual = getattr(in_pieces, name, None)
        assert actual == expected, f"{name} is {actual}, and after fit {expected}"


@sequence_check("exact_weights")
def check_a_weight_of_n_is_the_sequence_n_times(subject):
    """A weight of n gives the fit of the sequence n times, but for rounding."""
    X, y = subject.make_data()
    times = np.array([1, 3, 1, 2, 1, 2, 1, 1, 3, 2, 1, 2])
    repeated = np.repeat(np.arange(len(X)), times)
    weighted = subject.fitted(X, y, sample_weight=times)
    reference = subject.fitted(taken(X, repeated), taken(y, repeated))
    close = partial(assert_allclose, **TRAINED)
    assert_same_weights(weighted, reference, close)
    compare_outputs(subject.outputs(weighted, X), subject.outputs(reference, X), close)


@sequence_check("exact_weights")
def check_a_weight_of_zero_is_no_sequence(subject):
    """A weight of zero gives the bits of a fit without the sequence."""
    X, y = subject.make_data()
    weights = np.ones(len(X))
    weights[[0, 2, 7, 11]] = 0  # the longest is among them
    present = np.flatnonzero(weights)
    weighted = subject.fitted(X, y, sample_weight=weights)
    assert_same_fit(subject, weighted, subject.fitted(taken(X, present), taken(y, present)), X)


@sequence_check("sample_weight")
def check_equal_weights_are_no_weights(subject):
    """Weights of one give the bits of a fit without weights."""
    X, y = subject.make_data()
    weighted = subject.fitted(X, y, sample_weight=np.ones(len(X)))
    assert_same_fit(subject, weighted, subject.fitted(X, y), X)


@sequence_check("n_jobs")
def check_n_jobs_does_not_change_a_bit(subject):
    """Any n_jobs gives the same bits."""
    assert_bits_do_not_depend_on_n_jobs(subject, subject.lengths, (1, 2))  # some libraries refuse more than the cores


def assert_bits_do_not_depend_on_n_jobs(subject, lengths, numbers=(1, 2, 3)):
    """Compare fits and outputs with these numbers of threads."""
    X, y = subject.make_data(lengths)
    alone, *others = [subject.fit(subject.unfitted(n_jobs=n_jobs), X, y) for n_jobs in numbers]
    for estimator in others:
        assert_same_fit(subject, estimator, alone, X)
