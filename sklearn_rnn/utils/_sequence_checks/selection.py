"""Checks of cross-validation and grid search of scikit-learn."""

from __future__ import annotations

import numpy as np
from numpy.testing import assert_array_equal
from sklearn.model_selection import GridSearchCV, KFold, cross_val_score

from sklearn_rnn.utils._sequence_checks.check import sequence_check
from sklearn_rnn.utils._sequence_checks.comparisons import assert_same_bits, assert_same_weights
from sklearn_rnn.utils._sequence_checks.data import object_array, taken


def scores_by_hand(subject, X, y, **params):
    """Return the scores of two folds."""
    scores = []
    for train, test in KFold(2).split(X):
        estimator = subject.fit(subject.unfitted(**params), taken(X, train), taken(y, train))
        scores.append(estimator.score(subject.in_layout(taken(X, test)), taken(y, test)))
    return scores


@sequence_check("predictor")
def check_cross_validation_splits_lists(subject):
    """cross_val_score splits the sequences, and gives the scores of the parts."""
    X, y = subject.make_data()
    expected = scores_by_hand(subject, X, y)
    for form in (list, object_array) if subject.can("containers") else (list,):
        in_layout = subject.in_layout(form(X))
        scores = cross_val_score(subject.unfitted(), in_layout, y, cv=KFold(2), error_score="raise")
        assert_array_equal(scores, expected)


@sequence_check("predictor", "random_state")
def check_grid_search_splits_lists(subject):
    """GridSearchCV splits the sequences, chooses among seeds, and fits the best one."""
    X, y = subject.make_data()
    seed = next(name for name in subject.estimator.get_params() if name.endswith("random_state"))
    search = GridSearchCV(subject.unfitted(), {seed: [0, 1]}, cv=KFold(2), error_score="raise")
    search.fit(subject.in_layout(X), y)
    means = [np.mean(scores_by_hand(subject, X, y, **{seed: value})) for value in (0, 1)]
    assert_array_equal(search.cv_results_["mean_test_score"], means)
    best = subject.fit(subject.unfitted(**search.best_params_), X, y)
    assert_same_weights(search.best_estimator_, best)
    if hasattr(best, "n_features_in_"):
        n = search.n_features_in_
        assert n == subject.n_features, f"n_features_in_ is {n}, and {subject.n_features} is expected"
    expected = {"predict": best.predict(subject.in_layout(X))}
    assert_same_bits({"predict": search.predict(subject.in_layout(X))}, expected)
