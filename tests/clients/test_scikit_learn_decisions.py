"""scikit-learn's calibration, thresholds and permutation importance, on ragged sequences."""

import numpy as np
import pytest
from client_data import classifier, take, two_classes
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.calibration import CalibratedClassifierCV
from sklearn.inspection import permutation_importance
from sklearn.metrics import balanced_accuracy_score, log_loss
from sklearn.model_selection import FixedThresholdClassifier, StratifiedKFold, TunedThresholdClassifierCV

from sklearn_rnn.preprocessing import to_object_column


def unequal_classes(n=200, seed=0):
    """Short sequences of the two classes, of the second a fifth of the first."""
    X, y = two_classes(n, lengths=(1, 4), seed=seed)
    kept = np.flatnonzero((y == 0) | (np.arange(n) % 5 == 0))
    return take(X, kept), y[kept]


@pytest.mark.parametrize("method", ["sigmoid", "isotonic"])
def test_calibration_improves_the_probabilities_of_an_overconfident_network(method):
    X, y = two_classes(200)
    X_test, y_test = two_classes(200, seed=1)
    overconfident = classifier(hidden_layer_sizes=(16,), max_iter=150)
    calibrated = CalibratedClassifierCV(overconfident, method=method, cv=3).fit(X, y)
    direct = overconfident.fit(X, y).predict_proba(X_test)
    probabilities = calibrated.predict_proba(X_test)
    assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-12)
    assert log_loss(y_test, probabilities) < 0.9 * log_loss(y_test, direct)
    assert calibrated.score(X_test, y_test) > 0.8


def test_calibration_learns_from_the_scores_of_held_out_sequences():
    X, y = two_classes()
    train, test = next(StratifiedKFold(3).split(X, y))
    calibrated = CalibratedClassifierCV(classifier(), cv=[(train, test)]).fit(X, y)
    fitted = classifier().fit(take(X, train), y[train])
    probabilities = calibrated.predict_proba(X)[:, 1]
    # Platt's sigmoid: the log odds are a straight line over the network's scores.
    logits = np.log(probabilities / (1 - probabilities))
    scores = fitted.predict_proba(X)[:, 1]
    slope, start = np.polyfit(scores, logits, 1)
    assert slope > 0
    assert_allclose(logits, slope * scores + start, rtol=1e-6, atol=1e-9)
    # It fits the held-out sequences best: their mean probability is that of Platt's smoothed targets.
    n_positive, n_negative = y[test].sum(), (1 - y[test]).sum()
    smoothed = (n_positive * (n_positive + 1) / (n_positive + 2) + n_negative / (n_negative + 2)) / len(test)
    assert_allclose(probabilities[test].mean(), smoothed, rtol=1e-4)


def test_a_tuned_threshold_finds_more_of_the_rare_class():
    X, y = unequal_classes()
    tuned = TunedThresholdClassifierCV(classifier(), scoring="balanced_accuracy", cv=3, random_state=0).fit(X, y)
    fitted = classifier().fit(X, y)
    positive = fitted.predict_proba(X)[:, 1] >= tuned.best_threshold_
    assert_array_equal(tuned.predict(X), positive)
    assert tuned.best_threshold_ < 0.5
    X_test, y_test = unequal_classes(1000, seed=1)
    direct = balanced_accuracy_score(y_test, fitted.predict(X_test))
    assert balanced_accuracy_score(y_test, tuned.predict(X_test)) > direct + 0.02


def test_a_fixed_threshold_divides_the_probabilities():
    X, y = two_classes()
    fixed = FixedThresholdClassifier(classifier(), threshold=0.2).fit(X, y)
    probabilities = classifier().fit(X, y).predict_proba(X)[:, 1]
    assert_array_equal(fixed.predict(X), probabilities >= 0.2)
    assert np.any((probabilities >= 0.2) & (probabilities < 0.5))


def test_permutation_importance_of_a_column_is_that_of_all_sequences():
    X, y = two_classes()
    column = to_object_column(X)
    fitted = classifier().fit(X, y)
    importance = permutation_importance(fitted, column, y, n_repeats=3, random_state=0)
    assert importance.importances.shape == (1, 3)
    # Half of the labels are right by chance.
    assert_allclose(importance.importances_mean, fitted.score(X, y) - 0.5, atol=0.15)


def test_permutation_importance_of_a_table_finds_the_step_that_matters():
    generator = np.random.default_rng(0)
    X = generator.normal(size=(120, 5))
    y = (X[:, 3] > 0).astype(int)
    fitted = classifier(max_iter=80, patch_size=1).fit(X, y)
    importance = permutation_importance(fitted, X, y, n_repeats=3, random_state=0).importances_mean
    assert importance.argmax() == 3
    assert importance[3] > 0.3
