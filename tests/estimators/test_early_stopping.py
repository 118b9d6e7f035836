"""The end of training: tol, max_iter, validation data and early stopping."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import log_loss
from small_estimators import WEIGHTS, assert_same_weights, classifier, regressor, small_data, task

from sklearn_rnn import RNNClassifier

# ---- tol and max_iter --------------------------------------------------------------------------------


def test_training_ends_where_the_loss_no_longer_falls():
    X, labels, _ = small_data()
    clf = classifier(tol=1e9, n_iter_no_change=4, max_iter=50).fit(X, labels)
    assert clf.n_iter_ == 5  # the first epoch is always an improvement; the four others are none


@pytest.mark.parametrize(
    "estimator", [classifier(n_iter_no_change=10), regressor(n_iter_no_change=10)], ids=["classifier", "regressor"]
)
def test_a_fit_that_max_iter_ends_warns(estimator):
    X, labels, targets = small_data()
    y = labels if isinstance(estimator, RNNClassifier) else targets
    message = "^max_iter: training ended after 3 epochs, before it converged to within tol"
    with pytest.warns(ConvergenceWarning, match=message):
        clone(estimator).fit(X, y)
    # With these parameters, training should end there without a warning. Warnings are errors.
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
    # The same seed gives the same weights: a fit of as many epochs has the best epoch's weights.
    reference = make_estimator(**RESTLESS | {"early_stopping": False, "max_iter": best + 1, "n_iter_no_change": np.inf})
    assert_same_weights(estimator, reference.fit(X, y))


def test_improvements_of_less_than_tol_do_not_count_but_are_kept():
    X, X_val, *_, targets, targets_val = early_stopping_data()
    reg = regressor(**RESTLESS | {"tol": 1e9, "learning_rate_init": 0.003})
    reg.fit(X, targets, X_val=X_val, y_val=targets_val)
    assert reg.n_iter_ == 1 + 8
    assert reg.best_validation_score_ == max(reg.validation_scores_) > reg.validation_scores_[0]
    assert_allclose(reg.score(X_val, targets_val), reg.best_validation_score_, rtol=1e-12, atol=0)


def test_of_equal_scores_the_first_is_the_best():
    X, labels, _ = small_data()
    clf = classifier(early_stopping=True, learning_rate_init=1e-6, max_iter=3).fit(X, labels, X_val=X, y_val=labels)
    assert len(set(clf.validation_scores_)) == 1
    assert_same_weights(clf, classifier(learning_rate_init=1e-6, max_iter=1).fit(X, labels))


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
    # All sequences are equal: the ten held-out ones are all predicted as the same class.
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
    distances = (reg.predict(X_val) - targets_val) / reg.target_scale_  # losses are in normalised units
    expected = np.average(distances**2, weights=WEIGHTS) / 2
    assert_allclose(reg.validation_loss_curve_[-1], expected, rtol=1e-12, atol=0)


# ---- Splits that are refused -------------------------------------------------------------------------


def assert_split_refuses(estimator, X, y, message):
    with pytest.raises(ValueError, match=message):
        estimator.set_params(early_stopping=True).fit(X, y)
    assert not hasattr(estimator, "n_features_in_")


def test_early_stopping_refuses_to_validate_on_a_single_sequence():
    X, _, targets = small_data()
    message = (
        r"^validation_fraction=0\.1 of 8 sequences leaves one to validate on: raise it, or pass X_val and y_val, or "
        r"set early_stopping=False\.$"
    )
    assert_split_refuses(regressor(), X[:8], targets[:8], message)
    # Several steps of one sequence are enough, if their targets are known.
    X, _, targets = small_data("each", lengths=(4,) * 8)
    reg = regressor(readout="each", early_stopping=True)
    assert len(reg.fit(X, targets).validation_scores_) == 3
    message = r"^validation_fraction=0\.1 of 8 sequences leaves one to validate on"
    assert_split_refuses(regressor(readout="each"), X, [[1.0, np.nan, np.nan, np.nan]] * 8, message)


def test_early_stopping_names_the_label_of_a_class_of_one_sequence():
    X, *_ = small_data()
    y = np.array(["dog", "cat"] * 4 + ["emu", "dog"])
    message = (
        r"^y has only one sequence of class 'emu', but early_stopping=True needs two of every class, one to train on "
        r"and one to validate on: pass more sequences of it, pass X_val and y_val, or set early_stopping=False\.$"
    )
    assert_split_refuses(classifier(validation_fraction=0.4), X, y, message)
    assert_split_refuses(classifier(validation_fraction=0.4), X, np.resize([7, 5], 10) + 90 * (y == "emu"), "class 97,")
    # One whose only other sequence has weight 0 has one too.
    y[0] = "emu"
    weights = np.ones(10)
    weights[0] = 0
    with pytest.raises(ValueError, match=r"^y has only one sequence of class 'emu'"):
        classifier(validation_fraction=0.4, early_stopping=True).fit(X, y, sample_weight=weights)
    assert classifier(validation_fraction=0.4, early_stopping=True).fit(X, y).n_iter_ == 3


@pytest.mark.parametrize(
    ("fraction", "n", "message"),
    [
        (0.1, 6, "leaves one to validate on, but y has 3 classes: raise it, pass X_val and y_val, or set"),
        (0.2, 10, "leaves 2 to validate on, but y has 3 classes: raise it, pass X_val and y_val, or set"),
        (0.8, 10, "leaves 2 to train on, but y has 3 classes: lower it, pass X_val and y_val, or set"),
        (0.95, 6, "leaves none to train on: lower it, or pass X_val and y_val, or set"),
        (0.01, 6, "leaves one to validate on, but y has 3 classes: raise it, pass X_val and y_val, or set"),
    ],
)
def test_early_stopping_refuses_too_few_sequences_for_the_classes(fraction, n, message):
    X, *_ = small_data()
    assert_split_refuses(
        classifier(validation_fraction=fraction),
        X[:n],
        np.arange(n) % 3,
        rf"^validation_fraction={fraction} of {n} sequences {message}",
    )


def test_early_stopping_refuses_one_sequence_in_all():
    message = (
        r"^validation_fraction=0\.1 of 1 sequence leaves none to train on: lower it, or pass X_val and y_val, or set"
    )
    assert_split_refuses(regressor(), [np.ones((3, 1))], [1.0], message)


def test_r2_needs_two_validation_targets():
    X, labels, targets = small_data()
    message = (
        r"^X_val has one sequence to validate on \(weights of 0 and unknown targets do not count\), but "
        r"early_stopping=True needs two for R\^2: pass more, or set early_stopping=False\.$"
    )
    reg = regressor(early_stopping=True)
    for validation in (
        {"X_val": X[:1], "y_val": targets[:1]},
        {"X_val": X[:3], "y_val": targets[:3], "sample_weight_val": [0, 1, 0]},
    ):
        with pytest.raises(ValueError, match=message):
            reg.fit(X, targets, **validation)
    assert len(reg.fit(X, targets, X_val=X[:2], y_val=targets[:2]).validation_scores_) == 3
    # The accuracy of one sequence is defined.
    clf = classifier(early_stopping=True).fit(X, labels, X_val=X[:1], y_val=labels[:1])
    assert set(clf.validation_scores_) <= {0.0, 1.0}


def test_r2_needs_two_validation_targets_of_steps():
    X, _, targets = small_data("each")
    reg = regressor(readout="each", early_stopping=True)
    assert len(reg.fit(X, targets, X_val=X[:1], y_val=targets[:1]).validation_scores_) == 3
    with pytest.raises(ValueError, match=r"^X_val has one step to validate on"):
        reg.fit(X, targets, X_val=X[:1], y_val=[[np.nan, 1.0, np.nan, np.nan, np.nan]])
