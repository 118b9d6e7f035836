"""Classifiers whose scores are NaN say so: a label cannot show it."""

import warnings

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from small_estimators import READOUTS, classifier, regressor, small_data

MESSAGE = (
    r"^predict: the scores of {} are NaN: their labels mean nothing\. Values of X are too large for the network, "
    r"or weights_ are not finite\. predict_proba shows NaN there\.$"
)


def of(samples):
    return MESSAGE.format(samples)


def with_nan_weights(estimator):
    estimator.weights_["readout.weight"][1] = np.nan
    return estimator


def overflowing(n_classes, **params):
    """A classifier whose state overflows on large X, such X, and X without its large values."""
    X, labels, _ = small_data(params.get("readout", "last"), lengths=(4,) * 10)
    y = [label % n_classes for label in labels]
    clf = classifier(cell="rnn", activation="identity", **params).fit(X, y)
    clf.weights_["layer_0.input"][...] = [[2.0, -2.0, 1.0], [-2.0, 2.0, 1.0]]
    large = [x.copy() for x in X]
    for i in (3, 7):
        large[i][:] = [1.7e308, 1.7e308]
    return clf, large, X, y


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("readout", ["last", "mean"])
def test_predict_warns_of_sequences_that_overflow(readout, n_classes):
    clf, large, X, y = overflowing(n_classes, readout=readout)
    with pytest.warns(UserWarning, match=of(r"2 of 10 sequences, first of X\[3\],")) as caught:
        labels = clf.predict(large)
    (warning,) = caught
    assert warning.filename == __file__
    probabilities = clf.predict_proba(large)  # warnings are errors: NaN shows
    assert_array_equal(np.flatnonzero(np.isnan(probabilities).any(axis=1)), [3, 7])
    others = [i for i in range(10) if i not in (3, 7)]
    assert_array_equal(labels[others], clf.predict([X[i] for i in others]))
    with pytest.warns(UserWarning, match=of("2 of 10 .*")):
        clf.score(large, y)


def test_predict_warns_of_steps_that_overflow():
    clf, large, *_ = overflowing(3, readout="each")
    with pytest.warns(UserWarning, match=of("8 of 40 steps")) as caught:
        clf.predict(large)
    assert len(caught) == 1


@pytest.mark.parametrize("readout", READOUTS)
def test_predict_warns_of_weights_that_are_not_finite(readout):
    X, labels, targets = small_data(readout)
    n = len(np.concatenate(labels)) if readout == "each" else len(X)
    clf = with_nan_weights(classifier(readout=readout).fit(X, labels))
    with pytest.warns(UserWarning, match=of(f"{n} of {n} .*")):
        clf.predict(X)
    reg = with_nan_weights(regressor(readout=readout).fit(X, targets))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.isnan(np.concatenate([np.ravel(values) for values in reg.predict(X)])).all()


def test_streams_warn_in_predict():
    X, labels, _ = small_data(lengths=(4,) * 10)
    stream = with_nan_weights(classifier().fit(X, labels)).stream(10)
    with pytest.warns(UserWarning, match=of(r"10 of 10 sequences, first of X\[0\],")):
        stream.predict(X)
    assert np.isnan(stream.predict_proba(X)).all()


def test_multilabel_targets_are_watched_too():
    X, *_ = small_data()
    clf = with_nan_weights(classifier().fit(X, np.random.default_rng(0).integers(0, 2, size=(10, 3))))
    with pytest.warns(UserWarning, match=of("10 of 10 .*")):
        clf.predict(X)
