"""scikit-learn's searches, learning curves and pipelines with a memory, on ragged sequences.

Grid searches over pipelines with sample weights, and ``transform_input``, are in estimators/test_model_selection.py.
"""

import numpy as np
from client_data import classifier, regressor, sums, take, two_classes
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.model_selection import HalvingGridSearchCV, HalvingRandomSearchCV, StratifiedKFold, learning_curve
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_rnn.preprocessing import TimeDistributed


def mean_score(estimator, X, y, splits):
    """The mean score of the test sequences, by a loop."""
    fitted = [clone(estimator).fit(take(X, train), y[train]) for train, _ in splits]
    return np.mean([one.score(take(X, test), y[test]) for one, (_, test) in zip(fitted, splits)])


def test_a_learning_curve_is_that_of_a_loop():
    X, y = two_classes(90)
    splits = list(StratifiedKFold(3).split(X, y))
    sizes, train_scores, test_scores = learning_curve(
        classifier(), X, y, train_sizes=[12, 60], cv=splits, error_score="raise"
    )
    assert_array_equal(sizes, [12, 60])
    first = [(train[:12], test) for train, test in splits]
    assert_allclose(test_scores.mean(axis=1), [mean_score(classifier(), X, y, s) for s in (first, splits)], rtol=1e-12)
    assert train_scores.shape == (2, 3)
    assert test_scores[1].mean() > 0.8


def test_halving_over_sequences_ends_with_the_best_candidate_on_all_of_them():
    X, y = two_classes(96)
    grid = {"learning_rate_init": [1e-6, 1e-5, 1e-4, 0.03]}  # in 15 epochs only the last one learns
    search = HalvingGridSearchCV(
        classifier(), grid, cv=3, factor=2, min_resources=24, random_state=0, error_score="raise"
    ).fit(X, y)
    assert search.n_candidates_ == [4, 2, 1]
    assert search.n_resources_ == [24, 48, 96]
    assert search.best_params_ == {"learning_rate_init": 0.03}
    assert_array_equal(search.predict_proba(X), classifier().fit(X, y).predict_proba(X))
    assert search.score(*two_classes(96, seed=1)) > 0.8


def test_halving_over_epochs_gives_the_best_candidate_the_most():
    X, y = sums(90)
    search = HalvingRandomSearchCV(
        regressor(),
        {"learning_rate_init": [1e-6, 1e-5, 0.03, 1e-4]},
        resource="max_iter",
        n_candidates=4,
        factor=2,
        min_resources=10,
        max_resources=40,
        cv=3,
        random_state=0,
        error_score="raise",
    ).fit(X, y)
    assert search.n_resources_ == [10, 20, 40]
    assert search.best_params_ == {"learning_rate_init": 0.03, "max_iter": 40}
    assert search.best_estimator_.n_iter_ == 40
    assert search.best_score_ > 0.5


class CountingScaler(StandardScaler):
    """Counts all fits in the process."""

    fits = 0

    def fit(self, X, y=None, sample_weight=None):
        type(self).fits += 1
        return super().fit(X, y, sample_weight)


def test_a_pipeline_with_a_memory_transforms_the_same_sequences_once(tmp_path):
    X, y = two_classes()
    remembering = make_pipeline(TimeDistributed(CountingScaler()), classifier(), memory=str(tmp_path))
    first = clone(remembering).fit(X, y).predict_proba(X)
    assert CountingScaler.fits == 1
    second = clone(remembering).set_params(rnnclassifier__alpha=0.5).fit(X, y).predict_proba(X)
    assert CountingScaler.fits == 1
    assert np.abs(first - second).max() > 0.001
    assert_array_equal(make_pipeline(TimeDistributed(StandardScaler()), classifier()).fit(X, y).predict_proba(X), first)
    remembering.fit([*X[:-1], X[-1] + 1], y)
    assert CountingScaler.fits == 2
