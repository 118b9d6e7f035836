"""fairlearn: networks whose share of positive predictions is about the same in two groups."""

import numpy as np
import pytest
from client_data import announcements_ignored, classifier, import_client, take, two_classes

from sklearn_rnn.preprocessing import to_object_column

pytestmark = announcements_ignored


def two_groups(n=300, seed=0):
    """A column of sequences, their labels, and their groups; most of the first group have label 1."""
    X, y = two_classes(2 * n, seed=seed)
    generator = np.random.default_rng(seed)
    kept = np.sort(generator.permutation(2 * n)[:n])
    groups = np.where(generator.random(n) < 0.8, y[kept], 1 - y[kept])
    return to_object_column(take(X, kept)), y[kept], groups


def difference(predicted, groups):
    """The difference of the shares of positive predictions."""
    return abs(predicted[groups == 0].mean() - predicted[groups == 1].mean())


@pytest.mark.parametrize("client", ["ThresholdOptimizer", "ExponentiatedGradient"])
def test_predictions_are_positive_as_often_in_both_groups(client):
    X, y, groups = two_groups()
    direct = classifier().fit(X, y).predict(X)
    assert difference(direct, groups) > 0.4
    if client == "ThresholdOptimizer":
        postprocessing = import_client("fairlearn.postprocessing")
        fair = postprocessing.ThresholdOptimizer(estimator=classifier(), predict_method="predict_proba")
        predicted = fair.fit(X, y, sensitive_features=groups).predict(X, sensitive_features=groups, random_state=0)
    else:
        reductions = import_client("fairlearn.reductions")
        fair = reductions.ExponentiatedGradient(classifier(), reductions.DemographicParity(), eps=0.1, max_iter=10)
        predicted = fair.fit(X, y, sensitive_features=groups).predict(X, random_state=0)
    assert difference(predicted, groups) < 0.25
    assert np.mean(predicted == y) > 0.6
