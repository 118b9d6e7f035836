"""Scores: accuracy and R2, over sequences or over all steps."""

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, r2_score
from small_estimators import LENGTHS, WEIGHTS, classifier, regressor, small_data


@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["unweighted", "weighted"])
def test_the_score_for_each_is_the_one_over_all_steps(weights):
    X, labels, targets = small_data("each")
    of_steps = None if weights is None else np.repeat(weights, LENGTHS)
    clf, reg = classifier(readout="each").fit(X, labels), regressor(readout="each").fit(X, targets)
    accuracy = accuracy_score(np.concatenate(labels), np.concatenate(clf.predict(X)), sample_weight=of_steps)
    r2 = r2_score(np.concatenate(targets), np.concatenate(reg.predict(X)), sample_weight=of_steps)
    assert clf.score(X, labels, sample_weight=weights) == accuracy
    assert reg.score(X, targets, sample_weight=weights) == r2
    assert 0 < accuracy < 1


def test_the_score_for_each_takes_arrays():
    X, labels, targets = small_data("each", lengths=(4,) * 10)
    clf, reg = classifier(readout="each").fit(X, labels), regressor(readout="each").fit(X, targets)
    expected = clf.score(X, labels), reg.score(X, targets)
    X, labels, targets = np.stack(X), np.stack(labels), np.stack(targets)
    assert (clf.score(X, labels), reg.score(X, targets)) == expected
    assert clf.predict(X).shape == labels.shape
    assert clf.predict_proba(X).shape == (*labels.shape, 3)
    assert reg.predict(X).shape == targets.shape
    again = regressor(readout="each").fit(X, targets[:, :, None])
    assert again.predict(X).shape == (10, 4, 1)
    assert again.score(X, targets[:, :, None]) == expected[1]


@pytest.mark.parametrize(("fitted", "changed"), [("each", "last"), ("last", "each")])
def test_the_score_follows_the_fitted_network_whatever_readout_is_set_to(fitted, changed):
    X, labels, targets = small_data(fitted)
    clf, reg = classifier(readout=fitted).fit(X, labels), regressor(readout=fitted).fit(X, targets)
    expected = clf.score(X, labels), reg.score(X, targets)
    assert clf.set_params(readout=changed).score(X, labels) == expected[0]
    assert reg.set_params(readout=changed).score(X, targets) == expected[1]


@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["unweighted", "weighted"])
def test_the_score_is_accuracy_or_r2(weights):
    X, labels, targets = small_data()
    clf, reg = classifier().fit(X, labels), regressor().fit(X, targets)
    accuracy = accuracy_score(labels, clf.predict(X), sample_weight=weights)
    assert clf.score(X, labels, sample_weight=weights) == accuracy
    r2 = r2_score(targets, reg.predict(X), sample_weight=weights)
    assert reg.score(X, targets, sample_weight=weights) == r2


@pytest.mark.parametrize("readout", ["last", "each"])
def test_scores_of_integers_beyond_all_floats_are_refused(readout):
    X = [[0.1, 0.5], [0.8, 0.3, 0.2]]
    steps = [[0.1, 0.5], [0.8, 0.3, 0.2]]
    is_each = readout == "each"
    estimator = regressor(readout=readout).fit(X, steps if is_each else [1.0, 2.0])
    with pytest.raises(ValueError, match=r"^y( or sample_weight)? contains a number that is too large"):
        estimator.score(X, [[10**400, 1], [1, 2, 3]] if is_each else [10**400, 1])
