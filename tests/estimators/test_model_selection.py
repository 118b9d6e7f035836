"""Pipelines, grid searches and metadata routing."""

import numpy as np
import sklearn
from numpy.testing import assert_allclose
from sklearn.base import clone
from sklearn.metrics import get_scorer, log_loss
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from small_estimators import WEIGHTS, assert_same_weights, assert_weights_are_close, classifier, regressor, small_data

from sklearn_rnn.preprocessing import TimeDistributed


def scaled_by_hand(X):
    rows = np.concatenate(X)
    return [(x - rows.mean(axis=0)) / rows.std(axis=0) for x in X]


def test_a_pipeline_hands_sample_weights_on_by_the_name_of_the_step():
    X, labels, _ = small_data()
    pipeline = make_pipeline(TimeDistributed(StandardScaler()), classifier())
    pipeline.fit(X, labels, rnnclassifier__sample_weight=WEIGHTS)
    reference = classifier().fit(scaled_by_hand(X), labels, sample_weight=WEIGHTS)
    assert_weights_are_close(pipeline[-1], reference, rtol=1e-8, atol=1e-10)


def assert_splits_are_scored(search, estimator, X, y, cv):
    """All splits of the best candidate were trained and scored with the weights."""
    for k, (train, test) in enumerate(cv.split(X)):
        fitted = clone(estimator).fit([X[i] for i in train], y[train], sample_weight=WEIGHTS[train])
        expected = fitted.score([X[i] for i in test], y[test], sample_weight=WEIGHTS[test])
        assert search.cv_results_[f"split{k}_test_score"][search.best_index_] == expected


def test_sample_weights_are_routed_through_a_grid_search():
    X, _, targets = small_data()
    labels = np.arange(len(X)) % 2
    for estimator, y in ((classifier(), labels), (regressor(), targets)):
        with sklearn.config_context(enable_metadata_routing=True):
            routed = clone(estimator).set_fit_request(sample_weight=True).set_score_request(sample_weight=True)
            search = GridSearchCV(routed, {"alpha": [0.0, 1.0]}, cv=KFold(2), error_score="raise")
            search.fit(X, y, sample_weight=WEIGHTS)
        reference = clone(estimator).set_params(**search.best_params_)
        assert_splits_are_scored(search, reference, X, y, KFold(2))
        assert_same_weights(search.best_estimator_, reference.fit(X, y, sample_weight=WEIGHTS))


def test_sample_weights_are_routed_through_a_pipeline_in_a_grid_search():
    X, *_ = small_data()
    labels = np.arange(len(X)) % 2
    with sklearn.config_context(enable_metadata_routing=True):
        clf = classifier().set_fit_request(sample_weight=True).set_score_request(sample_weight=True)
        pipeline = make_pipeline(TimeDistributed(StandardScaler().set_fit_request(sample_weight=False)), clf)
        scorer = get_scorer("accuracy").set_score_request(sample_weight=True)
        grid = {"rnnclassifier__alpha": [0.0, 1.0]}
        search = GridSearchCV(pipeline, grid, scoring=scorer, cv=KFold(2), error_score="raise")
        search.fit(X, labels, sample_weight=WEIGHTS)
        reference = clone(pipeline).set_params(**search.best_params_)
        assert_splits_are_scored(search, reference, X, labels, KFold(2))
        reference.fit(X, labels, sample_weight=WEIGHTS)
    assert_same_weights(search.best_estimator_[-1], reference[-1])
    by_hand = clone(reference[-1]).fit(scaled_by_hand(X), labels, sample_weight=WEIGHTS)
    assert_weights_are_close(reference[-1], by_hand, rtol=1e-8, atol=1e-10)


def test_validation_data_are_routed_and_transformed_by_a_pipeline():
    X, labels, _ = small_data()
    X_val, labels_val, _ = small_data(seed=5)
    with sklearn.config_context(enable_metadata_routing=True):
        clf = classifier().set_fit_request(X_val=True, y_val=True)
        pipeline = make_pipeline(TimeDistributed(StandardScaler()), clf, transform_input=["X_val"])
        pipeline.fit(X, labels, X_val=X_val, y_val=labels_val)
    validation_loss = log_loss(labels_val, pipeline.predict_proba(X_val))
    assert_allclose(pipeline[-1].validation_loss_curve_[-1], validation_loss, rtol=1e-12, atol=0)


def test_partial_fit_requests_its_metadata_by_name():
    with sklearn.config_context(enable_metadata_routing=True):
        clf = classifier().set_partial_fit_request(classes=True, sample_weight=True)
        request = clf.get_metadata_routing().partial_fit.requests
    assert request == {"classes": True, "sample_weight": True, "new_sequence": None}
