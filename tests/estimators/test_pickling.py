"""Pickled estimators."""

import joblib
import pytest
from joblib import Parallel, delayed
from small_estimators import assert_same_weights, classifier, small_data

SETTINGS = [{}, {"warm_start": True}, {"solver": "sgd"}, {"solver": "rmsprop"}, {"stateful": True}]


def continued(estimator, X, y):
    """The estimator after more training, by each method that continues training."""
    if estimator.warm_start:
        return estimator.fit(X, y)
    return estimator.partial_fit(X, y).partial_fit(X, y)


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_models_in_a_mapped_file_can_be_trained_further(settings, tmp_path):
    X, y, _ = small_data()
    estimator = classifier(**settings).fit(X, y)
    if not estimator.warm_start:
        estimator.partial_fit(X, y)
    joblib.dump(estimator, tmp_path / "estimator")
    mapped = joblib.load(tmp_path / "estimator", mmap_mode="r")
    assert not any(view.flags.writeable for view in mapped.weights_.values())
    assert_same_weights(continued(mapped, X, y), continued(estimator, X, y))


def test_large_models_can_be_trained_further_in_loky_workers():
    X, y, _ = small_data()
    estimator = classifier(hidden_layer_sizes=(20,), max_iter=1).fit(X, y)
    trained = Parallel(n_jobs=2, backend="loky", max_nbytes=1000)(delayed(continued)(estimator, X, y) for _ in range(2))
    expected = continued(estimator, X, y)
    for one in trained:
        assert_same_weights(one, expected)
