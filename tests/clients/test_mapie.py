"""MAPIE: intervals and sets of labels by cross-conformal prediction, on ragged lists."""

import numpy as np
from client_data import announcements_ignored, classifier, import_client, regressor, sums, take, two_classes
from numpy.testing import assert_allclose
from sklearn.model_selection import KFold, cross_val_predict

pytestmark = announcements_ignored


def test_intervals_are_as_wide_as_the_residuals_of_held_out_sequences():
    client = import_client("mapie.regression").CrossConformalRegressor
    X, y = sums(90)
    X_test, y_test = sums(300, seed=1)
    conformal = client(regressor(), confidence_level=0.8, method="base", cv=KFold(3)).fit_conformalize(X, y)
    predictions, intervals = conformal.predict_interval(X_test)
    direct = regressor().fit(X, y).predict(X_test)
    assert_allclose(predictions, direct, rtol=1e-12)
    residuals = np.abs(y - cross_val_predict(regressor(), X, y, cv=KFold(3)))
    width = np.quantile(residuals, 0.8 * (1 + 1 / len(X)), method="higher")
    assert_allclose(intervals[:, :, 0], np.column_stack([direct - width, direct + width]), rtol=1e-9)
    covered = (intervals[:, 0, 0] <= y_test) & (y_test <= intervals[:, 1, 0])
    assert covered.mean() > 0.7


def test_every_fold_has_a_part_in_the_intervals_of_the_plus_method():
    client = import_client("mapie.regression").CrossConformalRegressor
    X, y = sums(90)
    X_test, y_test = sums(300, seed=1)
    conformal = client(regressor(), confidence_level=0.8, cv=KFold(3)).fit_conformalize(X, y)
    _, intervals = conformal.predict_interval(X_test)
    folds = [(regressor().fit(take(X, train), y[train]), test) for train, test in KFold(3).split(X)]
    # For every sequence of training: what its fold's network predicts, and how far that network was off.
    ends = np.empty((2, len(X_test), len(X)))
    for network, test in folds:
        residuals = np.abs(y[test] - network.predict(take(X, test)))
        ends[0][:, test] = network.predict(X_test)[:, np.newaxis] - residuals
        ends[1][:, test] = network.predict(X_test)[:, np.newaxis] + residuals
    rank = np.ceil(0.8 * (len(X) + 1)).astype(int)
    assert_allclose(intervals[:, 1, 0], np.sort(ends[1], axis=1)[:, rank - 1], rtol=1e-9)
    assert_allclose(intervals[:, 0, 0], np.sort(ends[0], axis=1)[:, -rank], rtol=1e-9)
    assert np.mean((intervals[:, 0, 0] <= y_test) & (y_test <= intervals[:, 1, 0])) > 0.7


def test_sets_of_labels_contain_the_true_one_as_often_as_asked():
    client = import_client("mapie.classification").CrossConformalClassifier
    X, y = two_classes(90)
    X_test, y_test = two_classes(300, seed=1)
    conformal = client(classifier(), confidence_level=0.95, cv=3, random_state=0).fit_conformalize(X, y)
    labels, sets = conformal.predict_set(X_test)
    assert np.mean(labels == y_test) > 0.8
    assert sets.shape == (300, 2, 1)
    assert sets[np.arange(300), y_test, 0].mean() > 0.9
    assert sets.sum(axis=1).mean() < 1.6
