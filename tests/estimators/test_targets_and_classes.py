"""Classifiers and regressors learn every kind of target, and predict in its form."""

import numpy as np
import pytest
from helpers import make_sequences
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.metrics import r2_score
from small_estimators import READOUTS, assert_same_weights, classifier, regressor, small_data, task

LEARNING = {
    "hidden_layer_sizes": (6,),
    "learning_rate": "cosine",
    "learning_rate_init": 0.05,
    "batch_size": 25,
    "max_iter": 20,
}
TRAIN, TEST = slice(0, 120), slice(120, 160)


# ---- Classifiers -------------------------------------------------------------------------------------


def test_a_binary_classifier_learns():
    X, sums = task()
    y = np.where(sums[:, 0] > 0, 5, 3)
    clf = classifier(**LEARNING).fit(X[TRAIN], y[TRAIN])
    assert clf.score(X[TRAIN], y[TRAIN]) > 0.95
    assert clf.score(X[TEST], y[TEST]) > 0.8
    assert_array_equal(clf.classes_, [3, 5])
    assert clf.n_outputs_ == 1
    assert clf.out_activation_ == "logistic"
    assert clf.predict_proba(X).shape == (160, 2)


def test_a_multiclass_classifier_learns_names():
    X, sums = task()
    y = np.array(["low", "medium", "high"])[np.digitize(sums[:, 0], [-1, 1])]
    clf = classifier(**LEARNING).fit(X[TRAIN], y[TRAIN])
    assert clf.score(X[TRAIN], y[TRAIN]) > 0.9
    assert clf.score(X[TEST], y[TEST]) > 0.7
    assert_array_equal(clf.classes_, ["high", "low", "medium"])
    assert clf.n_outputs_ == 3
    assert clf.out_activation_ == "softmax"
    assert clf.predict(X).dtype == y.dtype
    assert set(clf.predict(X)) == set(y)


def test_a_multilabel_classifier_learns_each_label():
    X, sums = task()
    y = (np.column_stack([sums, -sums[:, 0]]) > 0).astype(int)
    clf = classifier(**LEARNING).fit(X[TRAIN], y[TRAIN])
    predicted = clf.predict(X)
    assert predicted.shape == y.shape
    assert predicted.dtype.kind == "i"
    assert ((predicted == y)[TRAIN].mean(axis=0) > 0.95).all()
    assert ((predicted == y)[TEST].mean(axis=0) > 0.8).all()
    assert_array_equal(clf.classes_, [0, 1, 2])
    assert clf.n_outputs_ == 3
    assert clf.out_activation_ == "logistic"
    assert_array_equal(predicted, clf.predict_proba(X) > 0.5)
    assert clf.score(X, y) == (predicted == y).all(axis=1).mean()


def test_labels_are_learned_at_each_step():
    X = make_sequences(np.random.default_rng(0).integers(2, 7, size=160))
    y = [np.where(np.cumsum(x[:, 0]) > 0, "up", "down") for x in X]
    clf = classifier(readout="each", **LEARNING).fit(X[TRAIN], y[TRAIN])
    assert clf.score(X[TRAIN], y[TRAIN]) > 0.95
    assert clf.score(X[TEST], y[TEST]) > 0.8
    assert [p.shape for p in clf.predict(X)] == [(len(x),) for x in X]
    assert [p.shape for p in clf.predict_proba(X)] == [(len(x), 2) for x in X]


@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
@pytest.mark.parametrize("readout", ["last", "mean", "max"])
def test_each_cell_learns_with_each_readout(cell, readout):
    X, sums = task()
    y = sums[:, 0] > 0
    clf = classifier(cell=cell, readout=readout, **LEARNING).fit(X, y)
    assert clf.score(X, y) > 0.9
    assert clf.predict(X).dtype == bool


@pytest.mark.parametrize("names", [["a", "b", "c"], [10, 20, 30], [-1.0, 0.0, 1.0]])
def test_the_names_of_the_classes_do_not_matter(names):
    X, labels, _ = small_data()
    reference = classifier().fit(X, labels)
    clf = classifier().fit(X, np.array(names)[labels])
    assert_same_weights(clf, reference)
    assert_array_equal(clf.predict(X), np.array(names)[reference.predict(X)])


@pytest.mark.parametrize("readout", READOUTS)
@pytest.mark.parametrize("n_classes", [2, 3])
def test_probabilities_sum_to_one_and_predict_the_most_probable_class(readout, n_classes):
    X, labels, _ = small_data(readout)
    y = [label % n_classes for label in labels]
    clf = classifier(readout=readout).fit(X, y)
    probabilities = clf.predict_proba(X)
    logarithms, predicted = clf.predict_log_proba(X), clf.predict(X)
    if readout == "each":
        probabilities, logarithms = np.concatenate(probabilities), np.concatenate(logarithms)
        predicted = np.concatenate(predicted)
    assert probabilities.shape == (len(predicted), n_classes)
    assert (probabilities > 0).all()
    assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-14, atol=0)
    assert_array_equal(logarithms, np.log(probabilities))
    assert_array_equal(predicted, clf.classes_[probabilities.argmax(axis=1)])


# ---- Regressors --------------------------------------------------------------------------------------


@pytest.mark.parametrize("loss", ["squared_error", "absolute_error", "huber", "poisson"])
def test_a_regressor_learns_with_each_loss(loss):
    X, sums = task()
    y = np.exp(0.4 * sums[:, 0])
    reg = regressor(loss=loss, **LEARNING).fit(X[TRAIN], y[TRAIN])
    assert reg.loss_curve_[-1] < 0.3 * reg.loss_curve_[0]
    assert reg.score(X[TEST], y[TEST]) > 0.5
    assert reg.predict(X).shape == (160,)
    assert reg.out_activation_ == ("exp" if loss == "poisson" else "identity")


@pytest.mark.parametrize("loss", ["squared_error", "absolute_error", "huber", "poisson"])
def test_several_outputs_are_learned_together(loss):
    X, sums = task()
    y = np.exp(0.4 * sums)
    reg = regressor(loss=loss, **LEARNING).fit(X[TRAIN], y[TRAIN])
    assert reg.n_outputs_ == 2
    assert reg.predict(X).shape == y.shape
    scores = r2_score(y[TEST], reg.predict(X[TEST]), multioutput="raw_values")
    assert (scores > 0.4).all()
    assert reg.score(X[TEST], y[TEST]) == scores.mean()


@pytest.mark.parametrize("n_outputs", [1, 2])
def test_targets_are_learned_at_each_step(n_outputs):
    X = make_sequences(np.random.default_rng(0).integers(2, 7, size=160))
    y = [np.cumsum(x, axis=0)[:, :n_outputs] for x in X]
    reg = regressor(readout="each", **LEARNING).fit(X[TRAIN], y[TRAIN])
    assert reg.n_outputs_ == n_outputs
    assert [p.shape for p in reg.predict(X)] == [target.shape for target in y]
    assert reg.score(X[TEST], y[TEST]) > 0.8


def test_predictions_have_the_dimensions_of_y():
    X, _, targets = small_data()
    flat = regressor().fit(X, targets)
    column = regressor().fit(X, targets[:, None])
    assert flat.predict(X).shape == (len(X),)
    assert column.predict(X).shape == (len(X), 1)
    assert_same_weights(column, flat)
    assert_array_equal(column.predict(X)[:, 0], flat.predict(X))
