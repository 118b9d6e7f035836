"""Numbers beyond all bounds: errors name the argument, and results that are not finite are no surprise."""

import itertools
import re

import numpy as np
import pytest
from helpers import plain_classifier, plain_regressor
from numpy.testing import assert_array_equal
from sklearn.exceptions import ConvergenceWarning

from sklearn_rnn._training.optimizers import SGD
from sklearn_rnn._training.trainer import Trainer
from sklearn_rnn.inspection import truncation_bias

X = np.random.default_rng(0).normal(size=(6, 5, 2))
Y = np.arange(6) % 2
SETTINGS = {"hidden_layer_sizes": (3,), "max_iter": 1, "n_iter_no_change": np.inf, "random_state": 0}
HUGE = 10**400  # no float is as large


def regressor(**settings):
    return plain_regressor(**SETTINGS | settings)


def classifier(**settings):
    return plain_classifier(**SETTINGS | settings)


# ---- Arguments ---------------------------------------------------------------------------------------

NUMBERS = ("alpha", "learning_rate_init", "power_t", "clip_norm", "clip_value", "clip_update", "epsilon", "tol")
BAD_PARAMETERS = {
    **{f"{name} of 2**70": {name: 2**70} for name in ("hidden_layer_sizes", "patch_size", "step_features")},
    "patch_size of 2**62": {"patch_size": 2**62},
    "patch_stride of 2**70": {"patch_stride": 2**70, "patch_size": 2},
    "embedding_size of 2**70": {"embedding_size": 2**70},
    "several layers": {"hidden_layer_sizes": (3, 2**62)},
    "hidden_layer_sizes of True": {"hidden_layer_sizes": True},
    "hidden_layer_sizes with True": {"hidden_layer_sizes": (3, True)},
    "hidden_layer_sizes without axes": {"hidden_layer_sizes": np.array(3)},
    "hidden_layer_sizes in lists": {"hidden_layer_sizes": [3, [2]]},
    "step_features of True": {"step_features": True},
    "categorical_features in lists": {"categorical_features": [1, [2]]},
    **{f"{name} beyond floats": {name: HUGE} for name in NUMBERS},
}


@pytest.mark.parametrize("settings", BAD_PARAMETERS.values(), ids=BAD_PARAMETERS)
def test_a_parameter_that_no_array_or_float_can_have_is_refused_by_its_name(settings):
    name = next(iter(settings))
    with pytest.raises((ValueError, TypeError), match=f"^{name}"):
        regressor(**settings).fit(X, Y)


def test_small_integers_of_numpy_are_sizes():
    settings = {"hidden_layer_sizes": (np.int8(100),), "patch_size": np.int8(2)}
    fitted = regressor(**settings).fit(X, Y)
    assert_array_equal(fitted.predict(X), regressor(hidden_layer_sizes=(100,), patch_size=2).fit(X, Y).predict(X))


def test_a_power_beyond_all_numbers_ends_learning():
    settings = {"solver": "sgd", "learning_rate": "invscaling", "power_t": 1e308}
    once, often = regressor(**settings).fit(X, Y), regressor(**settings, max_iter=3).fit(X, Y)
    assert_array_equal(often.predict(X), once.predict(X))


TOO_LARGE = "a number that is too large for float64"
BAD_DATA = {
    "X": (lambda: regressor().fit(np.full((6, 5, 2), HUGE, object), Y), f"X contains {TOO_LARGE}"),
    "list": (lambda: regressor().fit([np.full((5, 2), HUGE, object)] * 6, Y), rf"X\[0\] contains {TOO_LARGE}"),
    "y": (lambda: regressor().fit(X, [HUGE, *Y[1:]]), f"y contains {TOO_LARGE}"),
    "weights": (lambda: regressor().fit(X, Y, sample_weight=[HUGE] * 6), f"sample_weight contains {TOO_LARGE}"),
    "weight": (lambda: regressor().fit(X, Y, sample_weight=HUGE), f"sample_weight contains {TOO_LARGE}"),
    "step": (lambda: regressor().fit(X, Y).stream().step([HUGE, 1]), f"x contains {TOO_LARGE}"),
    "scalar y": (lambda: regressor().fit(X, 1.0), "y is 1.0, but it must have one entry for each sequence"),
    "scalar y of steps": (lambda: regressor(readout="each").fit(X, 1.0), "y is 1.0, but it must have"),
    "labels": (lambda: classifier().fit(X, "yes"), "y is 'yes', but it must have one entry"),
    "no classes": (lambda: classifier().partial_fit(X, Y, classes=[]), r"classes=\[\] must be a list of labels"),
    "one class": (lambda: classifier().partial_fit(X, Y, classes=1), "classes=1 must be a list of labels"),
    "classes": (lambda: classifier().partial_fit(X, Y, classes=["a", 1]), "classes=.* must be labels of one type"),
    "nested": (lambda: classifier().partial_fit(X, Y, classes=[1, [2]]), "classes=.* must be labels of one type"),
}


@pytest.mark.parametrize(("call", "message"), BAD_DATA.values(), ids=BAD_DATA)
def test_bad_data_are_refused_by_the_name_of_the_argument(call, message):
    with pytest.raises((ValueError, TypeError), match=f"^{message}"):
        call()


# ---- Predictions that are not finite -----------------------------------------------------------------


@pytest.mark.parametrize("make", [regressor, classifier])
@pytest.mark.parametrize("activation", ["relu", "identity"])
def test_weights_that_predict_no_numbers_are_not_kept(make, activation):
    settings = {"cell": "rnn", "activation": activation, "solver": "sgd", "learning_rate_init": 1e300}
    estimator = make(**settings, clip_norm=1.0)
    with pytest.warns(ConvergenceWarning, match="training stopped in epoch 1, batch 1, at a loss, gradient, weight or"):
        estimator.fit(X, Y)
    assert np.isfinite(estimator.predict_proba(X) if make is classifier else estimator.predict(X)).all()


def test_neither_are_they_where_training_ends_without_improvement(monkeypatch):
    settings = {"cell": "rnn", "activation": "identity", "solver": "sgd", "max_iter": 9, "n_iter_no_change": 1}
    expected = regressor(**settings | {"max_iter": 1, "n_iter_no_change": np.inf}).fit(X, Y)
    original, n_updates = SGD.update, itertools.count(1)

    def update(self, parameters, *arguments):
        original(self, parameters, *arguments)
        if next(n_updates) == 2:
            parameters[...] = 1e300

    monkeypatch.setattr(SGD, "update", update)
    with pytest.warns(ConvergenceWarning, match="training stopped after epoch 2, at a loss, gradient, weight or"):
        estimator = regressor(**settings, tol=1e9).fit(X, Y)
    assert_array_equal(estimator.predict(X), expected.predict(X))


def test_predictions_are_looked_at_after_the_last_update_where_no_score_or_later_loss_shows_them(monkeypatch):
    n_epochs, check_scores = [], Trainer.check_scores

    def watched(self, dataset):
        n_epochs.append(len(n_updates))
        check_scores(self, dataset)

    n_updates, update = [], Trainer.train_batch
    monkeypatch.setattr(Trainer, "check_scores", watched)
    monkeypatch.setattr(Trainer, "train_batch", lambda *arguments: n_updates.append(1) or update(*arguments))
    reg = regressor(max_iter=3).fit(X, Y)
    assert n_epochs == [3]
    reg.partial_fit(X, Y)
    reg.fit(X, Y, X_val=X, y_val=Y)
    assert n_epochs == [3]


@pytest.mark.parametrize("bias", [np.inf, -np.inf, np.nan, 1e308])
@pytest.mark.parametrize("y", [Y, np.arange(6) % 3, np.eye(6, 3, dtype=int) + 1 - 1], ids=["two", "three", "labels"])
def test_probabilities_of_infinite_scores_need_no_warning(bias, y):
    fitted = classifier().fit(X, y)
    fitted.weights_["readout.bias"][...] = bias
    probabilities = fitted.predict_proba(X)
    is_unknown = np.isnan(bias) or (np.isinf(bias) and y.ndim == 1 and y.max() == 2)
    assert np.isnan(probabilities).all() == is_unknown
    if not is_unknown:
        assert ((probabilities >= 0) & (probabilities <= 1)).all()


def test_lbfgs_stops_without_other_warnings_where_losses_overflow():
    with pytest.warns(ConvergenceWarning) as caught:
        regressor(solver="lbfgs", max_iter=20, normalize_y=False).fit(X, Y * 1e300)
    assert [warning.category for warning in caught] == [ConvergenceWarning]
    assert re.match("learning_rate_init: training stopped in epoch 1", str(caught[0].message))


def test_the_bias_of_a_gradient_of_zeros_is_unknown():
    fitted = regressor().fit(X, 0 * Y)
    for weights in fitted.weights_.values():
        weights[...] = 0
    bias = truncation_bias(fitted, X, 0 * Y, [1, 2])
    for name in ("cosine", "relative_norm", "relative_bias"):
        assert_array_equal(bias[name], [np.nan, np.nan])
