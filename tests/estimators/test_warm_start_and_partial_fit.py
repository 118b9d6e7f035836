"""Training continues: warm starts and partial_fit."""

from copy import deepcopy

import numpy as np
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import softmax
from small_estimators import WEIGHTS, assert_same_weights, classifier, regressor, small_data


def test_a_warm_start_goes_on_where_the_last_fit_ended():
    X, labels, _ = small_data()
    clf = classifier(warm_start=True).fit(X, labels)
    first_curve = list(clf.loss_curve_)
    in_one = classifier(max_iter=4).fit(X, labels)
    clf.set_params(max_iter=5).fit(X, labels)
    assert clf.n_iter_ == len(clf.loss_curve_) == len(clf.gradient_norms_) == 8
    assert clf.t_ == 8 * len(X)
    assert clf.loss_curve_[:3] == first_curve
    # The loss of a full batch is computed with the weights before its update: those of the first fit.
    assert clf.loss_curve_[3] == in_one.loss_curve_[3]
    assert clf.loss_curve_[-1] < first_curve[-1]


def test_a_warm_start_keeps_the_arrays_that_weights_are_viewed_through():
    X, labels, _ = small_data()
    clf = classifier(warm_start=True).fit(X, labels)
    before = clf.predict_proba(X)
    clf.weights_["readout.weight"][...] = 0
    clf.weights_["readout.bias"][...] = [1, 2, 3]
    clf.set_params(learning_rate_init=1e-300, max_iter=1).fit(X, labels)
    assert_allclose(clf.predict_proba(X), [softmax([1, 2, 3])] * len(X), rtol=1e-14, atol=0)
    assert not np.allclose(before, clf.predict_proba(X))


def test_without_warm_start_a_fit_forgets():
    X, labels, _ = small_data()
    clf = classifier().fit(X, labels)
    again = deepcopy(clf).fit(X, labels)
    assert again.n_iter_ == 3
    assert_same_weights(again, clf)


def test_partial_fit_knows_all_classes_from_the_first_call_on():
    X, labels, _ = small_data()
    clf = classifier().partial_fit(X[:1], labels[:1], classes=[2, 0, 1])
    assert_array_equal(clf.classes_, [0, 1, 2])
    for i in range(1, len(X)):
        clf.partial_fit(X[i : i + 1], labels[i : i + 1])
    assert clf.n_iter_ == clf.t_ == len(X)
    assert clf.predict_proba(X).shape == (len(X), 3)


def test_partial_fit_of_multilabel_targets_takes_the_indices_of_the_labels():
    X, *_ = small_data()
    y = np.random.default_rng(0).integers(0, 2, size=(len(X), 3))
    clf = classifier().partial_fit(X, y, classes=[0, 1, 2])
    reference = classifier(max_iter=1).fit(X, y)
    assert_array_equal(clf.classes_, reference.classes_)
    assert_same_weights(clf, reference)


def test_partial_fit_goes_on_from_fit_with_the_same_optimizer():
    X, labels, _ = small_data()
    clf = classifier(max_iter=2).fit(X, labels).partial_fit(X, labels)
    assert_same_weights(clf, classifier(max_iter=3).fit(X, labels))


def test_partial_fit_takes_sample_weights():
    X, labels, targets = small_data()
    clf = classifier().partial_fit(X, labels, [0, 1, 2], WEIGHTS)
    assert_same_weights(clf, classifier(max_iter=1).fit(X, labels, sample_weight=WEIGHTS))
    reg = regressor().partial_fit(X, targets, WEIGHTS)
    assert_same_weights(reg, regressor(max_iter=1).fit(X, targets, sample_weight=WEIGHTS))
