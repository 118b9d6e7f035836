"""RNNClassifier and RNNRegressor: what they learn, what they tell about it, and what their parameters do."""

import pickle
import re
from copy import deepcopy

import numpy as np
import pytest
import sklearn
from helpers import make_sequences
from numpy.testing import assert_allclose, assert_array_equal
from scipy.optimize import minimize_scalar
from scipy.special import expit, softmax, xlogy
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.metrics import accuracy_score, get_scorer, log_loss, r2_score
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.class_weight import compute_class_weight

from sklearn_rnn import RNNClassifier, RNNRegressor
from sklearn_rnn._network.blocks import LARGEST_BLOCK, prediction_blocks
from sklearn_rnn._network.network import VALUES_AT_ONCE
from sklearn_rnn._training.optimizers import SGD
from sklearn_rnn.preprocessing import TimeDistributed

LENGTHS = (5, 3, 7, 4, 2, 6, 3, 5, 1, 4)
SMALL = {"hidden_layer_sizes": (3,), "max_iter": 3, "n_iter_no_change": np.inf, "random_state": 0}
LEARNING = {
    "hidden_layer_sizes": (6,),
    "learning_rate": "cosine",
    "learning_rate_init": 0.05,
    "batch_size": 25,
    "max_iter": 20,
}
TRAIN, TEST = slice(0, 120), slice(120, 160)

READOUTS = ["last", "mean", "max", "each"]


def classifier(**params):
    return RNNClassifier(**SMALL | params)


def regressor(**params):
    return RNNRegressor(**SMALL | params)


def small_data(readout="last", *, lengths=LENGTHS, seed=0):
    """A few sequences, labels of three classes, and targets, in the form that the readout takes."""
    X = make_sequences(lengths, seed=seed)
    generator = np.random.default_rng(seed + 1)
    n = sum(lengths) if readout == "each" else len(lengths)
    labels, targets = generator.permutation(np.arange(n) % 3), generator.normal(size=n)
    if readout != "each":
        return X, labels, targets
    ends = np.cumsum(lengths)[:-1]
    return X, np.split(labels, ends), np.split(targets, ends)


def task(seed=0, n=160):
    """Ragged sequences whose sums of both features are to be found out, and these sums."""
    lengths = np.random.default_rng(seed).integers(2, 7, size=n)
    X = make_sequences(lengths, seed=seed)
    return X, np.array([x.sum(axis=0) for x in X])


def assert_same_weights(estimator, reference):
    assert list(estimator.weights_) == list(reference.weights_)
    for name, weights in reference.weights_.items():
        assert_array_equal(estimator.weights_[name], weights, err_msg=name)


def assert_weights_are_close(estimator, reference, **tolerances):
    assert list(estimator.weights_) == list(reference.weights_)
    for name, weights in reference.weights_.items():
        assert_allclose(estimator.weights_[name], weights, err_msg=name, **tolerances)


def have_same_weights(estimator, reference):
    return all(np.array_equal(estimator.weights_[name], w) for name, w in reference.weights_.items())


# ---- What classifiers learn --------------------------------------------------------------------------


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


# ---- What regressors learn ---------------------------------------------------------------------------


@pytest.mark.parametrize("loss", ["squared_error", "absolute_error", "huber", "poisson"])
def test_a_regressor_learns_with_each_loss(loss):
    X, sums = task()
    y = np.exp(0.4 * sums[:, 0])
    reg = regressor(loss=loss, **LEARNING).fit(X[TRAIN], y[TRAIN])
    assert reg.loss_curve_[-1] < 0.3 * reg.loss_curve_[0]
    assert reg.score(X[TEST], y[TEST]) > 0.5
    assert reg.predict(X).shape == (160,)
    assert reg.out_activation_ == ("exp" if loss == "poisson" else "identity")


SKEWED = np.array([0.0, 0.5, 0.6, 1.0, 5.0, 0.2, 2.0])


def huber(y, predicted):
    distance = np.abs(y - predicted)
    return np.where(distance <= 1, distance**2 / 2, distance - 0.5)


def huber_center():
    settings = {"bounds": (0, 5), "method": "bounded", "options": {"xatol": 1e-9}}
    return minimize_scalar(lambda center: huber(SKEWED, center).sum(), **settings).x


@pytest.mark.parametrize(
    ("loss", "center"),
    [
        ("squared_error", SKEWED.mean()),
        ("poisson", SKEWED.mean()),
        ("huber", huber_center()),
        ("absolute_error", np.median(SKEWED)),
    ],
    ids=["mean", "mean of Poisson", "Huber's", "median"],
)
def test_each_loss_has_the_center_of_its_own_where_sequences_are_alike(loss, center):
    X = [np.zeros((2, 1))] * len(SKEWED)
    reg = regressor(loss=loss, alpha=0, learning_rate="cosine", learning_rate_init=0.2, max_iter=150)
    predicted = reg.fit(X, SKEWED).predict(X)
    assert_allclose(predicted, center, rtol=0, atol=1e-3)


def test_poisson_predicts_positive_means():
    X, _, targets = small_data()
    reg = regressor(loss="poisson").fit(X, np.abs(targets))
    assert (reg.predict(X) > 0).all()


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


# ---- Scores ------------------------------------------------------------------------------------------

WEIGHTS = np.array([1.0, 0.0, 2.0, 0.5, 1.0, 3.0, 0.1, 1.0, 4.0, 0.3])


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


@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["unweighted", "weighted"])
def test_the_score_is_accuracy_or_r2(weights):
    X, labels, targets = small_data()
    clf, reg = classifier().fit(X, labels), regressor().fit(X, targets)
    accuracy = accuracy_score(labels, clf.predict(X), sample_weight=weights)
    assert clf.score(X, labels, sample_weight=weights) == accuracy
    r2 = r2_score(targets, reg.predict(X), sample_weight=weights)
    assert reg.score(X, targets, sample_weight=weights) == r2


# ---- What is minimised, and how ----------------------------------------------------------------------


def squared_weights(estimator):
    return sum(np.sum(w**2) for w in estimator.weights_.values() if w.ndim > 1)


LOSSES = {
    "log_loss": lambda y, probabilities: -np.log(probabilities[np.arange(len(y)), y]),
    "squared_error": lambda y, predicted: (y - predicted) ** 2 / 2,
    "absolute_error": lambda y, predicted: np.abs(y - predicted),
    "huber": huber,
    "poisson": lambda y, predicted: xlogy(y, y / predicted) - y + predicted,
}


@pytest.mark.parametrize("readout", ["last", "each"])
@pytest.mark.parametrize("loss", LOSSES)
def test_the_loss_curve_is_what_is_minimised(loss, readout):
    X, labels, targets = small_data(readout)
    settings = {"readout": readout, "alpha": 0.3}
    if loss == "log_loss":
        estimator, method, y = classifier(**settings), "predict_proba", labels
    else:
        estimator, method = regressor(loss=loss, **settings), "predict"
        y = [2 * np.abs(target) for target in targets]
    # A full batch's loss is that of the weights before its update.
    before = clone(estimator).set_params(max_iter=2).fit(X, y, sample_weight=WEIGHTS)
    after = clone(estimator).set_params(max_iter=3).fit(X, y, sample_weight=WEIGHTS)
    outputs, weights = getattr(before, method)(X), WEIGHTS
    if readout == "each":
        y, outputs, weights = np.concatenate(y), np.concatenate(outputs), np.repeat(WEIGHTS, LENGTHS)
    mean_loss = np.average(LOSSES[loss](np.array(y), outputs), weights=weights)
    penalty = 0.3 / 2 * squared_weights(before) / weights.sum()
    assert_allclose(after.loss_curve_[2], mean_loss + penalty, rtol=1e-12, atol=0)


def test_alpha_makes_weights_smaller():
    X, _, targets = small_data()
    settings = {"solver": "lbfgs", "max_iter": 1000, "tol": 1e-3}
    small, large = (squared_weights(regressor(alpha=a, **settings).fit(X, targets)) for a in (0.1, 10))
    assert large < small / 10


def test_lbfgs_reaches_a_lower_loss_than_it_started_from():
    X, _, targets = small_data()
    reg = regressor(solver="lbfgs", max_iter=1000, tol=1e-4, alpha=0.1).fit(X, targets)
    assert (np.diff(reg.loss_curve_) < 0).all()
    assert reg.loss_curve_[-1] < 0.5 * reg.loss_curve_[0]
    assert reg.gradient_norms_[-1] < 1e-3 < reg.gradient_norms_[0]
    assert reg.loss_ == reg.loss_curve_[-1] == reg.best_loss_


@pytest.mark.parametrize("readout", ["last", "each"])
def test_lbfgs_finds_the_same_whatever_the_batch_size(readout):
    X, labels, _ = small_data(readout)
    settings = {"solver": "lbfgs", "readout": readout, "max_iter": 1000, "tol": 1e-2, "alpha": 1.0}
    whole = classifier(**settings).fit(X, labels)
    in_batches = classifier(batch_size=3, **settings).fit(X, labels)
    assert_allclose(in_batches.loss_curve_[0], whole.loss_curve_[0], rtol=1e-12, atol=0)
    assert_allclose(in_batches.loss_, whole.loss_, rtol=1e-4, atol=0)


def test_lbfgs_warns_where_max_iter_or_max_fun_end_it():
    X, _, targets = small_data()
    for limit in ({"max_iter": 2}, {"max_fun": 3, "max_iter": 100}):
        with pytest.warns(ConvergenceWarning, match="^max_iter, max_fun: training ended after"):
            reg = regressor(solver="lbfgs", tol=1e-6, **limit).fit(X, targets)
        assert reg.n_iter_ == len(reg.loss_curve_) <= 3


@pytest.mark.parametrize("solver", ["adam", "sgd", "rmsprop"])
def test_each_solver_lowers_the_loss(solver):
    X, _, targets = small_data()
    reg = regressor(solver=solver, learning_rate_init=0.02, max_iter=30).fit(X, targets)
    assert reg.loss_ < 0.8 * reg.loss_curve_[0]


def learning_rates_of(monkeypatch, estimator, n_calls=1, method="fit"):
    """Learning rates of all updates of training on one batch."""
    rates = []

    def update(self, parameters, gradient, learning_rate):
        rates.append(float(learning_rate))

    monkeypatch.setattr(SGD, "update", update)
    X, _, targets = small_data()
    for _ in range(n_calls):
        getattr(estimator, method)(X, targets)
    return rates


SGD_SETTINGS = {"solver": "sgd", "learning_rate_init": 0.4}


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"learning_rate": "constant"}, [0.4, 0.4, 0.4, 0.4]),
        ({"learning_rate": "invscaling"}, [0.4, 0.4 / 2**0.5, 0.4 / 3**0.5, 0.2]),
        ({"learning_rate": "invscaling", "power_t": 1}, [0.4, 0.2, 0.4 / 3, 0.1]),
        ({"learning_rate": "cosine"}, [0.4 * (1 + np.cos(np.pi * k / 4)) / 2 for k in range(4)]),
    ],
    ids=["constant", "invscaling", "power_t", "cosine"],
)
def test_the_learning_rate_follows_its_schedule(monkeypatch, settings, expected):
    rates = learning_rates_of(monkeypatch, regressor(max_iter=4, **SGD_SETTINGS, **settings))
    assert_allclose(rates, expected, rtol=1e-14, atol=0)


def test_the_adaptive_learning_rate_is_divided_by_5_until_it_is_too_small(monkeypatch):
    # No update changes anything: the first epoch is the last that improves on what was before.
    reg = regressor(learning_rate="adaptive", n_iter_no_change=2, max_iter=100, **SGD_SETTINGS)
    rates = learning_rates_of(monkeypatch, reg)
    reduced = 0.4 / 5.0 ** np.arange(10)
    expected = [0.4, *np.repeat(reduced[: np.argmax(reduced <= 1e-6) + 1], 2)]
    assert_allclose(rates, expected, rtol=1e-12, atol=0)


def test_calls_of_partial_fit_count_as_epochs_of_the_schedule(monkeypatch):
    reg = regressor(learning_rate="invscaling", **SGD_SETTINGS)
    rates = learning_rates_of(monkeypatch, reg, n_calls=4, method="partial_fit")
    assert_allclose(rates, 0.4 / np.sqrt([1, 2, 3, 4]), rtol=1e-14, atol=0)


def test_clip_norm_bounds_the_step():
    X, _, targets = small_data()
    settings = {"solver": "sgd", "momentum": 0.0, "learning_rate_init": 0.5, "clip_norm": 1e-3}
    before = regressor(max_iter=1, **settings).fit(X, targets)
    after = regressor(max_iter=2, **settings).fit(X, targets)
    step = after._network.parameters.vector - before._network.parameters.vector
    assert_allclose(np.linalg.norm(step), 0.5 * 1e-3, rtol=1e-9, atol=0)


def test_dropout_is_for_training_only():
    X, labels, _ = small_data()
    settings = {"hidden_layer_sizes": (4, 3), "readout": "mean"}
    clf = classifier(dropout=0.5, **settings).fit(X, labels)
    probabilities = clf.predict_proba(X)
    assert_array_equal(clf.predict_proba(X), probabilities)
    assert_array_equal(clf.set_params(dropout=0.0).predict_proba(X), probabilities)
    without = classifier(**settings).fit(X, labels)
    assert not have_same_weights(clf, without)


def test_dropout_draws_anew_for_every_epoch():
    X, _, targets = small_data()
    settings = {"solver": "sgd", "learning_rate_init": 1e-300}
    assert len(set(regressor(dropout=0.5, **settings).fit(X, targets).loss_curve_)) == 3
    assert len(set(regressor(dropout=0.0, **settings).fit(X, targets).loss_curve_)) == 1


def test_shuffling_matters_to_batches_and_can_be_left_out():
    X, labels, _ = small_data()
    in_order = classifier(batch_size=4, shuffle=False).fit(X, labels)
    assert not have_same_weights(classifier(batch_size=4).fit(X, labels), in_order)
    assert_same_weights(classifier(batch_size=4, shuffle=False).fit(X, labels), in_order)


def test_the_order_of_a_full_batch_is_left_alone():
    X, labels, _ = small_data()
    assert_same_weights(classifier(shuffle=True).fit(X, labels), classifier(shuffle=False).fit(X, labels))


def test_random_state_draws_the_start_values():
    X, labels, _ = small_data()
    by_seed = classifier(random_state=3).fit(X, labels)
    by_generator = classifier(random_state=np.random.RandomState(3)).fit(X, labels)
    assert_same_weights(by_generator, by_seed)
    assert not have_same_weights(classifier(random_state=4).fit(X, labels), by_seed)
    assert not have_same_weights(*(classifier(random_state=None).fit(X, labels) for _ in range(2)))


# ---- When training ends ------------------------------------------------------------------------------


def test_training_ends_where_the_loss_no_longer_falls():
    X, labels, _ = small_data()
    clf = classifier(tol=1e9, n_iter_no_change=4, max_iter=50).fit(X, labels)
    assert clf.n_iter_ == 5  # the first improves on nothing known, four do not improve on it


@pytest.mark.parametrize(
    "estimator", [classifier(n_iter_no_change=10), regressor(n_iter_no_change=10)], ids=["classifier", "regressor"]
)
def test_a_fit_that_max_iter_ends_warns(estimator):
    X, labels, targets = small_data()
    y = labels if isinstance(estimator, RNNClassifier) else targets
    message = "^max_iter: training ended after 3 epochs, before it converged to within tol"
    with pytest.warns(ConvergenceWarning, match=message):
        clone(estimator).fit(X, y)
    # These are meant to end there; warnings are errors.
    assert clone(estimator).set_params(learning_rate="cosine").fit(X, y).n_iter_ == 3
    assert clone(estimator).set_params(n_iter_no_change=np.inf).fit(X, y).n_iter_ == 3
    assert clone(estimator).partial_fit(X, y, *([[0, 1, 2]] if y is labels else [])).n_iter_ == 1


# ---- Validation and early stopping -------------------------------------------------------------------


def early_stopping_data():
    """Training and validation data, with labels and targets that are in part noise."""
    X, sums = task(n=60)
    noisy = sums[:, 0] + np.random.default_rng(3).normal(size=60)
    return X[:40], X[40:], (noisy > 0)[:40], (noisy > 0)[40:], noisy[:40], noisy[40:]


RESTLESS = {"early_stopping": True, "learning_rate_init": 0.1, "max_iter": 60, "n_iter_no_change": 8}


@pytest.mark.parametrize("make_estimator", [classifier, regressor])
def test_early_stopping_keeps_the_weights_of_the_best_epoch(make_estimator):
    X, X_val, labels, labels_val, targets, targets_val = early_stopping_data()
    is_classifier = make_estimator is classifier
    y, y_val = (labels, labels_val) if is_classifier else (targets, targets_val)
    estimator = make_estimator(**RESTLESS).fit(X, y, X_val=X_val, y_val=y_val)
    scores = estimator.validation_scores_
    assert len(scores) == len(estimator.validation_loss_curve_) == estimator.n_iter_ < 60
    assert estimator.best_validation_score_ == max(scores) > scores[-1]
    assert_allclose(estimator.score(X_val, y_val), max(scores), rtol=1e-12, atol=0)
    best = int(np.argmax(scores))
    assert estimator.n_iter_ == best + 1 + 8
    assert estimator.best_loss_ is None
    # The same seed trains to the same weights: those of the best epoch are those after as many.
    reference = make_estimator(**RESTLESS | {"early_stopping": False, "max_iter": best + 1, "n_iter_no_change": np.inf})
    assert_same_weights(estimator, reference.fit(X, y))


def test_improvements_of_less_than_tol_do_not_count_but_are_kept():
    X, X_val, *_, targets, targets_val = early_stopping_data()
    reg = regressor(**RESTLESS | {"tol": 1e9, "learning_rate_init": 0.003})
    reg.fit(X, targets, X_val=X_val, y_val=targets_val)
    assert reg.n_iter_ == 1 + 8
    assert reg.best_validation_score_ == max(reg.validation_scores_) > reg.validation_scores_[0]
    assert_allclose(reg.score(X_val, targets_val), reg.best_validation_score_, rtol=1e-12, atol=0)


@pytest.mark.parametrize("fraction", [0.1, 0.5])
def test_early_stopping_sets_a_fraction_of_the_data_aside(fraction):
    X, _, labels, _, targets, _ = early_stopping_data()
    for estimator, y in ((classifier(), labels), (regressor(), targets)):
        estimator.set_params(**RESTLESS, validation_fraction=fraction).fit(X, y)
        assert len(estimator.validation_scores_) == estimator.n_iter_
        assert estimator.best_validation_score_ == max(estimator.validation_scores_)
        assert estimator.t_ == estimator.n_iter_ * round((1 - fraction) * len(X))


@pytest.mark.parametrize("random_state", range(6))
def test_the_validation_part_has_its_share_of_each_class(random_state):
    X = [np.ones((2, 1))] * 40
    y = np.repeat([0, 1], [36, 4])
    settings = {"early_stopping": True, "validation_fraction": 0.25, "max_iter": 1}
    clf = classifier(random_state=random_state, **settings).fit(X, y)
    # All sequences are alike: either class is what is predicted for all ten that are set aside.
    assert clf.validation_scores_[0] in (0.9, 0.1)


def test_early_stopping_works_for_each_and_for_multilabel_targets():
    X, labels, targets = small_data("each")
    settings = {"early_stopping": True, "validation_fraction": 0.3, "readout": "each"}
    for estimator, y in ((classifier(**settings), labels), (regressor(**settings), targets)):
        estimator.fit(X, y)
        assert len(estimator.validation_scores_) == 3
        assert estimator.t_ == 3 * 7
    y = np.random.default_rng(0).integers(0, 2, size=(10, 3))
    clf = classifier(early_stopping=True, validation_fraction=0.3).fit(X, y)
    assert len(clf.validation_scores_) == 3


@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["unweighted", "weighted"])
@pytest.mark.parametrize("readout", ["last", "each"])
def test_validation_data_are_watched_without_changing_the_training(readout, weights):
    X, labels, targets = small_data(readout)
    X_val, labels_val, targets_val = small_data(readout, seed=5)
    for estimator, y, y_val in (
        (classifier(readout=readout), labels, labels_val),
        (regressor(readout=readout), targets, targets_val),
    ):
        reference = clone(estimator).fit(X, y)
        estimator.fit(X, y, X_val=X_val, y_val=y_val, sample_weight_val=weights)
        assert_same_weights(estimator, reference)
        assert reference.validation_scores_ is reference.validation_loss_curve_ is None
        assert len(estimator.validation_scores_) == len(estimator.validation_loss_curve_) == 3
        expected = estimator.score(X_val, y_val, sample_weight=weights)
        assert_allclose(estimator.validation_scores_[-1], expected, rtol=1e-12, atol=1e-12)


def test_the_validation_loss_is_the_mean_loss_without_the_penalty():
    X, labels, targets = small_data()
    X_val, labels_val, targets_val = small_data(seed=5)
    validation = {"X_val": X_val, "sample_weight_val": WEIGHTS}
    clf = classifier(alpha=1.0).fit(X, labels, y_val=labels_val, **validation)
    expected = log_loss(labels_val, clf.predict_proba(X_val), sample_weight=WEIGHTS)
    assert_allclose(clf.validation_loss_curve_[-1], expected, rtol=1e-12, atol=0)
    reg = regressor(alpha=1.0).fit(X, targets, y_val=targets_val, **validation)
    expected = np.average((reg.predict(X_val) - targets_val) ** 2, weights=WEIGHTS) / 2
    assert_allclose(reg.validation_loss_curve_[-1], expected, rtol=1e-12, atol=0)


# ---- Training on -------------------------------------------------------------------------------------


def test_a_warm_start_goes_on_where_the_last_fit_ended():
    X, labels, _ = small_data()
    clf = classifier(warm_start=True).fit(X, labels)
    first_curve = list(clf.loss_curve_)
    in_one = classifier(max_iter=4).fit(X, labels)
    clf.set_params(max_iter=5).fit(X, labels)
    assert clf.n_iter_ == len(clf.loss_curve_) == len(clf.gradient_norms_) == 8
    assert clf.t_ == 8 * len(X)
    assert clf.loss_curve_[:3] == first_curve
    # A full batch's loss is that of the weights before its update: those that the first fit left.
    assert clf.loss_curve_[3] == in_one.loss_curve_[3]
    assert clf.loss_curve_[-1] < first_curve[-1]


def test_a_warm_start_keeps_the_arrays_that_weights_are_viewed_through():
    X, labels, _ = small_data()
    clf = classifier(warm_start=True).fit(X, labels)
    before = clf.predict_proba(X)
    clf.weights_["readout.weight"][...] = 0
    clf.weights_["readout.bias"][...] = [1, 2, 3]
    clf.set_params(learning_rate_init=1e-300, max_iter=1).fit(X, labels)
    assert_allclose(clf.predict_proba(X), [softmax([1, 2, 3])] * len(X), rtol=1e-14, atol=0)
    assert not np.allclose(before, clf.predict_proba(X))


def test_without_warm_start_a_fit_forgets():
    X, labels, _ = small_data()
    clf = classifier().fit(X, labels)
    again = deepcopy(clf).fit(X, labels)
    assert again.n_iter_ == 3
    assert_same_weights(again, clf)


def test_partial_fit_knows_all_classes_from_the_first_call_on():
    X, labels, _ = small_data()
    clf = classifier().partial_fit(X[:1], labels[:1], classes=[2, 0, 1])
    assert_array_equal(clf.classes_, [0, 1, 2])
    for i in range(1, len(X)):
        clf.partial_fit(X[i : i + 1], labels[i : i + 1])
    assert clf.n_iter_ == clf.t_ == len(X)
    assert clf.predict_proba(X).shape == (len(X), 3)


def test_partial_fit_of_multilabel_targets_takes_the_indices_of_the_labels():
    X, *_ = small_data()
    y = np.random.default_rng(0).integers(0, 2, size=(len(X), 3))
    clf = classifier().partial_fit(X, y, classes=[0, 1, 2])
    reference = classifier(max_iter=1).fit(X, y)
    assert_array_equal(clf.classes_, reference.classes_)
    assert_same_weights(clf, reference)


def test_partial_fit_goes_on_from_fit_with_the_same_optimizer():
    X, labels, _ = small_data()
    clf = classifier(max_iter=2).fit(X, labels).partial_fit(X, labels)
    assert_same_weights(clf, classifier(max_iter=3).fit(X, labels))


def test_partial_fit_takes_sample_weights():
    X, labels, targets = small_data()
    clf = classifier().partial_fit(X, labels, [0, 1, 2], WEIGHTS)
    assert_same_weights(clf, classifier(max_iter=1).fit(X, labels, sample_weight=WEIGHTS))
    reg = regressor().partial_fit(X, targets, WEIGHTS)
    assert_same_weights(reg, regressor(max_iter=1).fit(X, targets, sample_weight=WEIGHTS))


# ---- Class weights -----------------------------------------------------------------------------------

CLOSE = {"rtol": 1e-8, "atol": 1e-10}


def test_a_class_weight_is_a_sample_weight_of_the_class():
    X, labels, _ = small_data()
    names = np.array(["a", "b", "c"])[labels]
    clf = classifier(class_weight={"a": 3.0, "c": 0.5}).fit(X, names)
    reference = classifier().fit(X, names, sample_weight=np.array([3.0, 1.0, 0.5])[labels])
    assert_weights_are_close(clf, reference, **CLOSE)
    both = classifier(class_weight={"a": 3.0, "c": 0.5}).fit(X, names, sample_weight=WEIGHTS)
    reference.fit(X, names, sample_weight=WEIGHTS * np.array([3.0, 1.0, 0.5])[labels])
    assert_weights_are_close(both, reference, **CLOSE)


def test_balanced_class_weights_are_those_of_scikit_learn():
    X, *_ = small_data()
    y = np.array([0, 0, 0, 0, 0, 0, 1, 1, 1, 2])
    clf = classifier(class_weight="balanced").fit(X, y)
    weights = compute_class_weight("balanced", classes=np.arange(3), y=y)
    assert_weights_are_close(clf, classifier(class_weight=dict(enumerate(weights))).fit(X, y), **CLOSE)
    assert not have_same_weights(clf, classifier().fit(X, y))


def test_balanced_class_weights_see_sample_weights():
    X, labels, _ = small_data()
    weights = np.array([1, 0, 2, 1, 3, 1, 1, 0, 2, 1])
    repeated = np.repeat(np.arange(len(X)), weights)
    clf = classifier(class_weight="balanced").fit(X, labels, sample_weight=weights)
    reference = classifier(class_weight="balanced").fit([X[i] for i in repeated], labels[repeated])
    assert_weights_are_close(clf, reference, **CLOSE)


def test_the_class_weight_for_each_is_one_of_steps():
    X, labels, _ = small_data("each")
    labels = [label % 2 for label in labels]
    before = classifier(readout="each", max_iter=2, alpha=0, class_weight={1: 5}).fit(X, labels)
    after = classifier(readout="each", max_iter=3, alpha=0, class_weight={1: 5}).fit(X, labels)
    y = np.concatenate(labels)
    expected = log_loss(y, np.concatenate(before.predict_proba(X)), sample_weight=np.where(y, 5, 1))
    assert_allclose(after.loss_curve_[2], expected, rtol=1e-12, atol=0)


# ---- What training tells -----------------------------------------------------------------------------

EPOCH = r"Epoch +{epoch}  loss \d+\.\d{{6}}{score}  gradient norm \d\.\d\de[+-]\d\d  clipped +\d+%  \d+\.\d\d s"


def assert_prints(output, epochs, score=""):
    lines = output.splitlines()
    assert len(lines) == len(epochs)
    for epoch, line in zip(epochs, lines):
        assert re.fullmatch(EPOCH.format(epoch=epoch, score=score), line), line


@pytest.mark.parametrize("make_estimator", [classifier, regressor])
def test_verbose_prints_a_line_an_epoch(make_estimator, capsys):
    X, labels, targets = small_data()
    y = labels if make_estimator is classifier else targets
    make_estimator().fit(X, y)
    assert capsys.readouterr().out == ""
    estimator = make_estimator(verbose=True).fit(X, y)
    output = capsys.readouterr().out
    assert_prints(output, [1, 2, 3])
    for line, loss, norm in zip(output.splitlines(), estimator.loss_curve_, estimator.gradient_norms_):
        assert f"  loss {loss:.6f}  gradient norm {norm:.2e}  " in line
    estimator.partial_fit(X, y)
    assert_prints(capsys.readouterr().out, [4])
    score = r"  validation score -?\d+\.\d{4}"
    estimator.fit(X, y, X_val=X, y_val=y)
    output = capsys.readouterr().out
    assert_prints(output, [1, 2, 3], score)
    for line, value in zip(output.splitlines(), estimator.validation_scores_):
        assert f"  validation score {value:.4f}  " in line


def test_verbose_prints_the_fraction_of_clipped_updates(capsys):
    X, _, targets = small_data()
    for clip_norm, share in ((1e-9, "100%"), (None, "0%")):
        regressor(clip_norm=clip_norm, verbose=True).fit(X, targets)
        lines = capsys.readouterr().out.splitlines()
        assert [line.split("clipped")[1].split()[0] for line in lines] == [share] * 3


def test_verbose_lbfgs_prints_a_line_an_iteration(capsys):
    X, _, targets = small_data()
    reg = regressor(solver="lbfgs", tol=0.1, max_iter=100, verbose=True).fit(X, targets)
    assert reg.n_iter_ > 0
    assert_prints(capsys.readouterr().out, range(1, reg.n_iter_ + 1))


@pytest.mark.parametrize("solver", ["adam", "sgd", "rmsprop", "lbfgs"])
@pytest.mark.parametrize("readout", ["last", "each"])
@pytest.mark.parametrize("make_estimator", [classifier, regressor])
def test_fitted_attributes_tell_of_every_epoch(make_estimator, readout, solver):
    X, labels, targets = small_data(readout)
    y = labels if make_estimator is classifier else targets
    settings = {"tol": 0.1, "max_iter": 100} if solver == "lbfgs" else {"batch_size": 4}
    estimator = make_estimator(solver=solver, readout=readout, **settings).fit(X, y)
    n = estimator.n_iter_
    assert n == 3 or (solver == "lbfgs" and n > 0)
    assert len(estimator.loss_curve_) == len(estimator.gradient_norms_) == n
    assert all(isinstance(loss, float) and loss > 0 for loss in estimator.loss_curve_)
    assert all(isinstance(norm, float) and norm > 0 for norm in estimator.gradient_norms_)
    assert estimator.loss_ == estimator.loss_curve_[-1]
    assert estimator.best_loss_ == min(estimator.loss_curve_)
    assert estimator.validation_scores_ is estimator.validation_loss_curve_ is None
    assert estimator.best_validation_score_ is None
    assert 0 <= estimator.clipped_fraction_ <= 1
    assert estimator.t_ == n * len(X)
    assert estimator.n_features_in_ == 2
    assert estimator.n_outputs_ == (3 if make_estimator is classifier else 1)
    assert not hasattr(estimator, "feature_names_in_")
    assert hasattr(estimator, "classes_") == (make_estimator is classifier)


def test_the_clipped_fraction_counts_updates():
    X, _, targets = small_data()
    free = regressor(clip_norm=None, batch_size=2).fit(X, targets)
    assert free.clipped_fraction_ == 0
    assert regressor(clip_norm=1e-9, batch_size=2).fit(X, targets).clipped_fraction_ == 1
    assert regressor(clip_norm=None, clip_value=1e-9, batch_size=2).fit(X, targets).clipped_fraction_ == 1
    some = regressor(clip_norm=float(np.median(free.gradient_norms_)), batch_size=2).fit(X, targets)
    assert 0 < some.clipped_fraction_ < 1
    assert_allclose(some.clipped_fraction_ * 15, round(some.clipped_fraction_ * 15), rtol=1e-12, atol=0)


def test_gradient_norms_are_those_before_clipping():
    X, _, targets = small_data()
    free = regressor(clip_norm=None, max_iter=1).fit(X, targets)
    clipped = regressor(clip_norm=1e-6, max_iter=1).fit(X, targets)
    assert clipped.gradient_norms_ == free.gradient_norms_
    assert free.gradient_norms_[0] > 1e-3


# ---- weights_ ----------------------------------------------------------------------------------------

GATES = {"rnn": 1, "gru": 3, "lstm": 4}


@pytest.mark.parametrize("cell", GATES)
@pytest.mark.parametrize("bidirectional", [False, True])
def test_weights_have_the_documented_names_and_shapes(cell, bidirectional):
    X, labels, _ = small_data()
    clf = classifier(hidden_layer_sizes=(5, 4), cell=cell, bidirectional=bidirectional).fit(X, labels)
    n_gates, n_directions = GATES[cell], 1 + bidirectional
    expected = {"readout.weight": (4 * n_directions, 3), "readout.bias": (3,)}
    for layer, n_inputs, units in (("layer_0", 2, 5), ("layer_1", 5 * n_directions, 4)):
        for direction in (layer, f"{layer}.reverse")[:n_directions]:
            expected[f"{direction}.input"] = (n_inputs, n_gates * units)
            expected[f"{direction}.recurrent"] = (units, n_gates * units)
            expected[f"{direction}.bias"] = (n_gates * units,)
            if cell == "gru":
                expected[f"{direction}.recurrent_bias"] = (units,)
    assert {name: weights.shape for name, weights in clf.weights_.items()} == expected


@pytest.mark.parametrize(
    "make_copy",
    [lambda e: e, deepcopy, lambda e: pickle.loads(pickle.dumps(e))],
    ids=["original", "deepcopy", "pickle"],
)
def test_assigning_to_weights_in_place_changes_predictions(make_copy):
    X, labels, _ = small_data()
    clf = make_copy(classifier().fit(X, labels))
    before = clf.predict_proba(X)
    clf.weights_["readout.weight"][...] = 0
    clf.weights_["readout.bias"][...] = [3, 1, 2]
    assert not np.allclose(clf.predict_proba(X), before)
    for estimator in (clf, pickle.loads(pickle.dumps(clf)), deepcopy(clf)):
        assert_array_equal(estimator.weights_["readout.bias"], [3, 1, 2])
        assert_allclose(estimator.predict_proba(X), [softmax([3, 1, 2])] * len(X), rtol=1e-14, atol=0)
        estimator.partial_fit(X, labels)
        assert (estimator.weights_["readout.weight"] != 0).all()


@pytest.mark.parametrize("cell", GATES)
def test_weights_can_be_loaded_from_another_estimator(cell):
    X, _, targets = small_data()
    teacher = regressor(cell=cell, bidirectional=True, random_state=1).fit(X, targets)
    student = regressor(cell=cell, bidirectional=True, random_state=2).fit(X, targets)
    assert not np.allclose(student.predict(X), teacher.predict(X))
    for name, weights in teacher.weights_.items():
        student.weights_[name][...] = weights
    assert_array_equal(student.predict(X), teacher.predict(X))


def test_an_unfitted_estimator_has_no_weights():
    for estimator in (classifier(), regressor()):
        assert not hasattr(estimator, "weights_")
        with pytest.raises(NotFittedError):
            estimator.hidden_states([np.ones((2, 2))])


# ---- hidden_states -----------------------------------------------------------------------------------

POOLS = {
    "last": lambda h: h[-1],
    "mean": lambda h: h.mean(axis=0),
    "max": lambda h: h.max(axis=0),
    "each": lambda h: h,
}


@pytest.mark.parametrize("readout", READOUTS)
@pytest.mark.parametrize("cell", GATES)
def test_predictions_are_made_from_the_hidden_states(cell, readout):
    X, labels, targets = small_data(readout)
    reg = regressor(cell=cell, readout=readout, hidden_layer_sizes=(4, 3)).fit(X, targets)
    for hidden, predicted in zip(reg.hidden_states(X), reg.predict(X)):
        scores = POOLS[readout](hidden) @ reg.weights_["readout.weight"] + reg.weights_["readout.bias"]
        assert_allclose(predicted, scores[..., 0], rtol=1e-12, atol=1e-14)
    clf = classifier(cell=cell, readout=readout).fit(X, labels)
    for hidden, probabilities in zip(clf.hidden_states(X), clf.predict_proba(X)):
        scores = POOLS[readout](hidden) @ clf.weights_["readout.weight"] + clf.weights_["readout.bias"]
        assert_allclose(probabilities, softmax(scores, axis=-1), rtol=1e-12, atol=0)


def test_the_binary_probability_is_the_sigmoid_of_one_score():
    X, labels, _ = small_data()
    clf = classifier().fit(X, labels % 2)
    for hidden, (_, probability) in zip(clf.hidden_states(X), clf.predict_proba(X)):
        score = hidden[-1] @ clf.weights_["readout.weight"] + clf.weights_["readout.bias"]
        assert_allclose(probability, expit(score[0]), rtol=1e-12, atol=0)


def test_the_last_state_of_a_bidirectional_network_is_the_end_of_both_directions():
    X, _, targets = small_data()
    reg = regressor(bidirectional=True).fit(X, targets)
    for hidden, predicted in zip(reg.hidden_states(X), reg.predict(X)):
        assert hidden.shape[1] == 6
        ends = np.concatenate([hidden[-1, :3], hidden[0, 3:]])
        scores = ends @ reg.weights_["readout.weight"] + reg.weights_["readout.bias"]
        assert_allclose(predicted, scores[0], rtol=1e-12, atol=1e-14)


def test_a_hidden_state_knows_only_the_steps_up_to_its_own():
    X, _, targets = small_data()
    reg = regressor().fit(X, targets)
    beginnings = [x[:2] for x in X]
    for hidden, of_beginning in zip(reg.hidden_states(X), reg.hidden_states(beginnings)):
        assert_allclose(of_beginning, hidden[:2], rtol=1e-12, atol=1e-14)


# ---- Rows, patches, data frames ----------------------------------------------------------------------


@pytest.mark.parametrize("readout", READOUTS)
@pytest.mark.parametrize("step_features", [1, 2])
def test_rows_are_the_steps_one_after_the_other(readout, step_features):
    X, labels, _ = small_data(readout, lengths=(6,) * 10)
    X = np.stack(X)[:, :, :step_features]
    rows = X.reshape(10, 6 * step_features)
    of_steps = classifier(readout=readout).fit(X, labels)
    of_rows = classifier(readout=readout, step_features=step_features).fit(rows, labels)
    assert of_rows.n_features_in_ == 6 * step_features
    assert of_steps.n_features_in_ == step_features
    assert_same_weights(of_rows, of_steps)
    assert_array_equal(of_rows.predict_proba(rows), of_steps.predict_proba(X))
    assert_array_equal(of_rows.hidden_states(rows), of_steps.hidden_states(X))


def patched_by_hand(X, size):
    patches = []
    for x in X:
        missing = -len(x) % size
        padded = np.concatenate([np.zeros((missing, x.shape[1])), x])
        patches.append(padded.reshape(-1, size * x.shape[1]))
    return patches


@pytest.mark.parametrize("readout", ["last", "mean", "max"])
@pytest.mark.parametrize("patch_size", [2, 3, 10])
def test_patches_are_steps_joined_with_zeros_in_front(readout, patch_size):
    X, _, targets = small_data()
    patches = patched_by_hand(X, patch_size)
    reference = regressor(readout=readout).fit(patches, targets)
    reg = regressor(readout=readout, patch_size=patch_size).fit(X, targets)
    assert reg.n_features_in_ == 2
    assert reg.weights_["layer_0.input"].shape[0] == 2 * patch_size
    assert_same_weights(reg, reference)
    assert_array_equal(reg.predict(X), reference.predict(patches))
    for hidden, expected in zip(reg.hidden_states(X), reference.hidden_states(patches)):
        assert_array_equal(hidden, expected)


def test_rows_are_patched_too():
    X, _, targets = small_data(lengths=(7,) * 10)
    rows = np.stack(X).reshape(10, 14)
    reference = regressor().fit(patched_by_hand(X, 3), targets)
    reg = regressor(step_features=2, patch_size=3).fit(rows, targets)
    assert_same_weights(reg, reference)
    assert reg.hidden_states(rows).shape == (10, 3, 3)


def test_truncation_beyond_the_patches_is_none():
    X, _, targets = small_data(lengths=(7,) * 10)
    full = regressor(patch_size=3).fit(X, targets)
    assert_same_weights(regressor(patch_size=3, truncation=3).fit(X, targets), full)
    assert not have_same_weights(regressor(patch_size=3, truncation=2).fit(X, targets), full)


def test_data_frames_are_rows_with_names():
    pd = pytest.importorskip("pandas")
    X, labels, _ = small_data(lengths=(4,) * 10)
    rows = np.stack(X).reshape(10, 8)
    names = [f"{kind}{t}" for t in range(4) for kind in "ab"]
    frame = pd.DataFrame(rows, columns=names)
    reference = classifier(step_features=2).fit(rows, labels)
    clf = classifier(step_features=2).fit(frame, pd.Series(labels))
    assert_array_equal(clf.feature_names_in_, names)
    assert_same_weights(clf, reference)
    assert_array_equal(clf.predict_proba(frame), reference.predict_proba(rows))
    for other in (frame[names[::-1]], frame.rename(columns={"a0": "c0"})):
        with pytest.raises(ValueError, match=r"^The feature names should match those that were passed"):
            clf.predict(other)
    with pytest.warns(UserWarning, match="X does not have valid feature names"):
        assert_array_equal(clf.predict(rows), reference.predict(rows))
    clf.fit(X, labels)
    assert not hasattr(clf, "feature_names_in_")


def test_data_frames_may_hold_targets_of_every_step():
    pd = pytest.importorskip("pandas")
    X, labels, targets = small_data("each", lengths=(4,) * 10)
    for estimator, y in ((classifier(), labels), (regressor(), targets)):
        estimator.set_params(readout="each", step_features=2)
        rows, y = np.stack(X).reshape(10, 8), np.stack(y)
        reference = clone(estimator).fit(rows, y)
        frames = pd.DataFrame(rows).add_prefix("x"), pd.DataFrame(y).add_prefix("y")
        estimator.fit(*frames)
        assert_same_weights(estimator, reference)
        assert estimator.score(*frames) == reference.score(rows, y)


def test_each_sequence_may_be_a_data_frame():
    pd = pytest.importorskip("pandas")
    X, labels, _ = small_data()
    frames = [pd.DataFrame(x, columns=["a", "b"], index=range(5, 5 + len(x))) for x in X]
    reference = classifier().fit(X, labels)
    clf = classifier().fit(frames, pd.Series(labels, index=range(3, 13)))
    assert_same_weights(clf, reference)
    assert_array_equal(clf.predict_proba(frames), reference.predict_proba(X))


# ---- Prediction in blocks ----------------------------------------------------------------------------


@pytest.mark.parametrize("readout", READOUTS)
@pytest.mark.parametrize("bidirectional", [False, True])
def test_many_sequences_are_predicted_like_few(readout, bidirectional, monkeypatch):
    X, _, targets = small_data(readout)
    reg = regressor(readout=readout, bidirectional=bidirectional, cell="lstm", max_iter=1).fit(X, targets)
    lengths = np.random.default_rng(0).integers(1, 60, size=2 * LARGEST_BLOCK + 44)
    many = make_sequences(lengths, seed=7)
    monkeypatch.setattr("sklearn_rnn._network.blocks.SMALLEST_WORK", 1)
    assert len(prediction_blocks(reg._network, lengths)) == 2
    for method in (reg.predict, reg.hidden_states):
        at_once = method(many)
        parts = [value for start in range(0, len(many), 70) for value in method(many[start : start + 70])]
        assert len(at_once) == len(parts) == len(many)
        for actual, expected in zip(at_once, parts):
            assert_allclose(actual, expected, rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize("readout", READOUTS)
@pytest.mark.parametrize("cell", GATES)
def test_the_state_is_carried_from_chunk_to_chunk_of_long_sequences(readout, cell, monkeypatch):
    X, _, targets = small_data(readout)
    reg = regressor(readout=readout, cell=cell, hidden_layer_sizes=(3, 2), max_iter=1).fit(X, targets)
    long = make_sequences((50, 33, 64, 1, 17), seed=7)
    expected = reg.predict(long), reg.hidden_states(long)
    monkeypatch.setattr("sklearn_rnn._network.network.VALUES_AT_ONCE", 64)
    for actual, whole in zip((reg.predict(long), reg.hidden_states(long)), expected):
        for a, b in zip(actual, whole):
            assert_allclose(a, b, rtol=1e-10, atol=1e-13)


def test_a_very_long_sequence_is_predicted_like_its_parts():
    X, _, targets = small_data("each")
    reg = regressor(readout="each", cell="rnn", max_iter=1).fit(X, targets)
    n_steps_at_once = VALUES_AT_ONCE // reg._network._values_per_row(keeps_hidden=True)
    (long,) = make_sequences((n_steps_at_once + 100,), seed=7)
    hidden, predicted = reg.hidden_states([long])[0], reg.predict([long])[0]
    W, U, b = (reg.weights_[f"layer_0.{name}"] for name in ("input", "recurrent", "bias"))
    t = np.arange(n_steps_at_once - 50, n_steps_at_once + 50)  # on both sides of where a chunk ends
    assert_allclose(hidden[t], np.tanh(long[t] @ W + hidden[t - 1] @ U + b), rtol=1e-10, atol=1e-13)
    scores = hidden @ reg.weights_["readout.weight"] + reg.weights_["readout.bias"]
    assert_allclose(predicted, scores[:, 0], rtol=1e-10, atol=1e-13)


# ---- scikit-learn around it --------------------------------------------------------------------------


@pytest.mark.parametrize("estimator_class", [RNNClassifier, RNNRegressor])
def test_parameters_can_be_got_and_set(estimator_class):
    estimator = estimator_class()
    params = estimator.get_params()
    assert params["hidden_layer_sizes"] == (64,)
    assert params["cell"] == "gru"
    assert ("class_weight" in params) == (estimator_class is RNNClassifier)
    assert ("loss" in params) == (estimator_class is RNNRegressor)
    assert estimator.set_params(cell="lstm", alpha=0.5) is estimator
    assert estimator.get_params() == params | {"cell": "lstm", "alpha": 0.5}
    assert clone(estimator).get_params() == estimator.get_params()
    with pytest.raises(ValueError, match=r"^Invalid parameter 'n_layers' for estimator"):
        estimator.set_params(n_layers=2)


@pytest.mark.parametrize("sizes", [4, (4,), [4], np.array([4]), np.int64(4)], ids=repr)
def test_layer_sizes_may_be_a_number_or_any_sequence(sizes):
    X, labels, _ = small_data()
    reference = classifier(hidden_layer_sizes=(4,)).fit(X, labels)
    clf = clone(classifier(hidden_layer_sizes=sizes)).fit(X, labels)
    assert_same_weights(clf, reference)
    clf.partial_fit(X, labels)
    assert clf.n_iter_ == 4


def test_the_representations_tell_the_parameters_that_were_set():
    clf = classifier(cell="lstm")
    for estimator in (clf, clone(clf).fit(*small_data()[:2])):
        assert "cell='lstm'" in repr(estimator)
        assert "alpha" not in repr(estimator)
        html = estimator._repr_html_()
        assert html.startswith("<style>")
        assert "RNNClassifier" in html
        assert "lstm" in html
    pipeline_html = make_pipeline(TimeDistributed(StandardScaler()), regressor())._repr_html_()
    assert "RNNRegressor" in pipeline_html
    assert "TimeDistributed" in pipeline_html


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
    """Every split of the best candidate was trained and scored with the weights."""
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
        pipeline = make_pipeline(TimeDistributed(StandardScaler()), clf)
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


def test_predictions_are_those_of_the_fitted_network_whatever_is_set_afterwards():
    X, _, targets = small_data()
    reg = regressor(patch_size=2, loss="poisson").fit(X, np.abs(targets))
    expected = reg.predict(X)
    reg.set_params(patch_size=1, loss="squared_error", readout="each", step_features=3)
    assert_array_equal(reg.predict(X), expected)


def test_early_stopping_refuses_to_validate_on_a_single_sequence():
    X, _, targets = small_data()
    reg = regressor(early_stopping=True, validation_fraction=0.1)
    with pytest.raises(ValueError, match=r"^validation_fraction=0\.1 of 8 sequences leaves one to validate on"):
        reg.fit(X[:8], targets[:8])
