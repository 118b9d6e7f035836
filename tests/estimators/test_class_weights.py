"""Class weights against sample weights."""

import numpy as np
from numpy.testing import assert_allclose
from sklearn.metrics import log_loss
from sklearn.utils.class_weight import compute_class_weight
from small_estimators import WEIGHTS, assert_weights_are_close, classifier, have_same_weights, small_data

CLOSE = {"rtol": 1e-8, "atol": 1e-10}


def test_a_class_weight_is_a_sample_weight_of_the_class():
    X, labels, _ = small_data()
    names = np.array(["a", "b", "c"])[labels]
    clf = classifier(class_weight={"a": 3.0, "c": 0.5}).fit(X, names)
    reference = classifier().fit(X, names, sample_weight=np.array([3.0, 1.0, 0.5])[labels])
    assert_weights_are_close(clf, reference, **CLOSE)
    both = classifier(class_weight={"a": 3.0, "c": 0.5}).fit(X, names, sample_weight=WEIGHTS)
    reference.fit(X, names, sample_weight=WEIGHTS * np.array([3.0, 1.0, 0.5])[labels])
    assert_weights_are_close(both, reference, **CLOSE)


def test_balanced_class_weights_are_those_of_scikit_learn():
    X, *_ = small_data()
    y = np.array([0, 0, 0, 0, 0, 0, 1, 1, 1, 2])
    clf = classifier(class_weight="balanced").fit(X, y)
    weights = compute_class_weight("balanced", classes=np.arange(3), y=y)
    assert_weights_are_close(clf, classifier(class_weight=dict(enumerate(weights))).fit(X, y), **CLOSE)
    assert not have_same_weights(clf, classifier().fit(X, y))


def test_balanced_class_weights_see_sample_weights():
    X, labels, _ = small_data()
    weights = np.array([1, 0, 2, 1, 3, 1, 1, 0, 2, 1])
    repeated = np.repeat(np.arange(len(X)), weights)
    clf = classifier(class_weight="balanced").fit(X, labels, sample_weight=weights)
    reference = classifier(class_weight="balanced").fit([X[i] for i in repeated], labels[repeated])
    assert_weights_are_close(clf, reference, **CLOSE)


def test_the_class_weight_for_each_is_one_of_steps():
    X, labels, _ = small_data("each")
    labels = [label % 2 for label in labels]
    before = classifier(readout="each", max_iter=2, alpha=0, class_weight={1: 5}).fit(X, labels)
    after = classifier(readout="each", max_iter=3, alpha=0, class_weight={1: 5}).fit(X, labels)
    y = np.concatenate(labels)
    expected = log_loss(y, np.concatenate(before.predict_proba(X)), sample_weight=np.where(y, 5, 1))
    assert_allclose(after.loss_curve_[2], expected, rtol=1e-12, atol=0)
