"""scikit-learn's ensembles of networks: each equals its networks, fitted and averaged by hand."""

import numpy as np
import pytest
from client_data import classifier, regressor, sums, two_classes
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.ensemble import (
    AdaBoostClassifier,
    AdaBoostRegressor,
    BaggingClassifier,
    BaggingRegressor,
    StackingClassifier,
    StackingRegressor,
    VotingClassifier,
    VotingRegressor,
)
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.model_selection import StratifiedKFold, cross_val_predict

from sklearn_rnn.preprocessing import to_object_column

NETWORKS = {"gru": {"cell": "gru"}, "rnn": {"cell": "rnn", "max_iter": 25}}


def classifiers():
    return [(name, classifier(**params)) for name, params in NETWORKS.items()]


def regressors():
    return [(name, regressor(**params)) for name, params in NETWORKS.items()]


def probabilities(networks, X, y):
    """The probability of class 1 by each network, fitted by hand, as columns."""
    return np.column_stack([clone(network).fit(X, y).predict_proba(X)[:, 1] for _, network in networks])


def predictions(networks, X, y):
    return np.column_stack([clone(network).fit(X, y).predict(X) for _, network in networks])


# ---- Bagging -----------------------------------------------------------------------------------------


def fitted_by_hand(bagging, X, y):
    """The networks of a bagging ensemble: a sequence's weight says how often it was drawn."""
    drawn = [np.bincount(indices, minlength=len(X)) for indices in bagging.estimators_samples_]
    assert len({tuple(counts) for counts in drawn}) == len(drawn)
    return [clone(member).fit(X, y, sample_weight=counts) for member, counts in zip(bagging.estimators_, drawn)]


def test_bagging_averages_networks_of_drawn_sequences():
    X, y = two_classes()
    bagging = BaggingClassifier(classifier(), n_estimators=3, random_state=0).fit(to_object_column(X), y)
    by_hand = [member.predict_proba(X) for member in fitted_by_hand(bagging, X, y)]
    assert_allclose(bagging.predict_proba(to_object_column(X)), np.mean(by_hand, axis=0), rtol=1e-12)


def test_bagged_regressors_predict_sequences_that_they_have_not_seen():
    X, y = sums(90)
    column = to_object_column(X)
    bagging = BaggingRegressor(regressor(), n_estimators=3, random_state=0).fit(column[:60], y[:60])
    by_hand = [member.predict(X[60:]) for member in fitted_by_hand(bagging, X[:60], y[:60])]
    assert_allclose(bagging.predict(column[60:]), np.mean(by_hand, axis=0), rtol=1e-12)
    assert bagging.score(column[60:], y[60:]) > 0.5


# ---- Stacking and voting -----------------------------------------------------------------------------


def test_stacking_learns_from_cross_validated_probabilities():
    X, y = two_classes()
    cv = StratifiedKFold(3)
    stacking = StackingClassifier(classifiers(), LogisticRegression(), cv=cv).fit(X, y)
    held_out = np.column_stack(
        [cross_val_predict(network, X, y, cv=cv, method="predict_proba")[:, 1] for _, network in classifiers()]
    )
    final = LogisticRegression().fit(held_out, y)
    assert_allclose(stacking.predict_proba(X), final.predict_proba(probabilities(classifiers(), X, y)), rtol=1e-12)
    assert stacking.score(X, y) > 0.8


def test_stacked_regressors_are_weighted_by_a_linear_model():
    X, y = sums()
    stacking = StackingRegressor(regressors(), RidgeCV(), cv=3).fit(X, y)
    held_out = np.column_stack([cross_val_predict(network, X, y, cv=3) for _, network in regressors()])
    final = RidgeCV().fit(held_out, y)
    assert_allclose(stacking.predict(X), final.predict(predictions(regressors(), X, y)), rtol=1e-12)
    assert stacking.score(X, y) > 0.5


def test_votes_are_means_or_majorities():
    X, y = two_classes()
    soft = VotingClassifier(classifiers(), voting="soft").fit(X, y)
    assert_allclose(soft.predict_proba(X)[:, 1], probabilities(classifiers(), X, y).mean(axis=1), rtol=1e-12)
    three = [*classifiers(), ("lstm", classifier(cell="lstm"))]
    hard = VotingClassifier(three).fit(X, y)
    assert_array_equal(hard.predict(X), (probabilities(three, X, y) > 0.5).sum(axis=1) >= 2)
    X, y = sums()
    mean = VotingRegressor(regressors()).fit(X, y)
    assert_allclose(mean.predict(X), predictions(regressors(), X, y).mean(axis=1), rtol=1e-12)


# ---- Boosting ----------------------------------------------------------------------------------------


def equal_lengths(n=60):
    """The two classes as a 3-D array, which boosting takes."""
    X, y = two_classes(n, lengths=(6, 7))
    return np.array(X), y


def test_boosting_weights_the_sequences_that_were_wrong():
    X, y = equal_lengths()
    boosted = AdaBoostClassifier(classifier(), n_estimators=2, random_state=0).fit(X, y)
    first, second = boosted.estimators_
    weights = np.full(len(X), 1 / len(X))
    assert_array_equal(first.predict(X), clone(first).fit(X, y, sample_weight=weights).predict(X))
    wrong = first.predict(X) != y
    assert 0 < wrong.sum() < 10
    assert_allclose(boosted.estimator_errors_[0], wrong.mean(), rtol=1e-12)
    weights[wrong] *= 1 / wrong.mean() - 1
    by_hand = clone(second).fit(X, y, sample_weight=weights / weights.sum())
    assert_allclose(second.predict_proba(X), by_hand.predict_proba(X), rtol=1e-6)
    many = AdaBoostClassifier(classifier(), n_estimators=10, random_state=0).fit(X, y)
    assert many.score(X, y) > classifier().fit(X, y).score(X, y)


def test_boosted_regressors_explain_most_of_the_variance():
    X, y = sums(lengths=(6, 7))
    boosted = AdaBoostRegressor(regressor(), n_estimators=5, random_state=0).fit(np.array(X), y)
    assert len(boosted.estimators_) == 5
    assert boosted.score(np.array(X), y) > 0.5


def test_the_penalty_counts_n_times_with_weights_that_sum_to_one():
    X, y = equal_lengths()
    weights = np.full(len(X), 1 / len(X))
    weighted = classifier(alpha=0.3).fit(X, y, sample_weight=weights)
    expected = classifier(alpha=0.3 * len(X)).fit(X, y)
    assert_allclose(weighted.predict_proba(X), expected.predict_proba(X), rtol=1e-9)
    without_weights = classifier(alpha=0.3).fit(X, y)
    assert np.abs(weighted.predict_proba(X) - without_weights.predict_proba(X)).max() > 0.05


@pytest.mark.filterwarnings("error")  # boosting is silent
def test_boosting_ends_early_without_a_warning_if_the_penalty_is_too_strong():
    X, y = equal_lengths()

    def sizes(alpha):
        """The numbers of networks in four ensembles of at most ten."""
        boosted = [AdaBoostClassifier(classifier(alpha=alpha), n_estimators=10, random_state=seed) for seed in range(4)]
        return [len(ensemble.fit(X, y).estimators_) for ensemble in boosted]

    assert sizes(1 / len(X)) == [10, 10, 10, 10]
    assert min(sizes(1.0)) < 5


def test_boosting_ends_with_the_first_network_without_an_error():
    X, y = equal_lengths()
    separated = X + 10 * y[:, np.newaxis, np.newaxis]
    boosted = AdaBoostClassifier(classifier(), n_estimators=10, random_state=0).fit(separated, y)
    assert len(boosted.estimators_) == 1
    assert boosted.estimator_errors_[0] == 0
