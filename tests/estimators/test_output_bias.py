"""The start of the output bias: the log odds of the classes, or the logarithm of the mean."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import logit
from small_estimators import LENGTHS, WEIGHTS, classifier, regressor, small_data

TINY_RATE = {"learning_rate_init": 1e-12, "max_iter": 1, "n_iter_no_change": np.inf}
CLOSE = {"rtol": 0, "atol": 1e-9}


def start(estimator, *data, **more):
    """The output bias after an update that changes nearly nothing."""
    return estimator.set_params(**TINY_RATE).fit(*data, **more).weights_["readout.bias"]


@pytest.mark.parametrize("readout", ["last", "each"])
def test_several_classes_start_at_the_logarithms_of_their_weighted_shares(readout):
    X, labels, _ = small_data(readout)
    joined, weights = (np.concatenate(labels), np.repeat(WEIGHTS, LENGTHS)) if readout == "each" else (labels, WEIGHTS)
    shares = np.bincount(joined, weights) / weights.sum()
    bias = start(classifier(readout=readout), X, labels, sample_weight=WEIGHTS)
    assert_allclose(bias, np.log(shares), **CLOSE)


def test_two_classes_start_at_the_log_odds_of_the_second():
    X, labels, _ = small_data()
    y = np.where(labels == 0, "b", "a")
    assert_allclose(start(classifier(), X, y), [logit(np.mean(y == "b"))], **CLOSE)


def test_labels_start_at_their_own_log_odds():
    X, labels, _ = small_data()
    y = np.column_stack([labels == 0, labels > 0, labels >= 0]).astype(int)
    bias = start(classifier(), X, y)
    assert_allclose(bias, logit([y[:, 0].mean(), y[:, 1].mean(), 0.999]), **CLOSE)


def test_class_weights_count():
    X, labels, _ = small_data()
    assert_allclose(np.ptp(start(classifier(class_weight="balanced"), X, labels)), 0, **CLOSE)
    bias = start(classifier(class_weight={0: 2.0, 1: 1.0, 2: 0.5}), X, labels)
    shares = np.bincount(labels) * [2.0, 1.0, 0.5]
    assert_allclose(bias, np.log(shares / shares.sum()), **CLOSE)


def test_the_first_call_of_partial_fit_decides_and_absent_classes_stay_possible():
    X, labels, _ = small_data()
    clf = classifier(**TINY_RATE).partial_fit(X, np.where(labels == 0, 0, 1), classes=[0, 1, 2])
    bias = clf.weights_["readout.bias"].copy()
    assert_allclose(bias, np.log([np.mean(labels == 0), np.mean(labels > 0), 1e-3]), **CLOSE)
    clf.partial_fit(X, np.full(len(X), 2))
    assert_allclose(clf.weights_["readout.bias"], bias, **CLOSE)


@pytest.mark.parametrize("continued", [classifier, regressor])
def test_a_warm_start_keeps_the_bias_that_was_trained(continued):
    X, labels, targets = small_data()
    y = labels if continued is classifier else targets
    estimator = continued(warm_start=True, **TINY_RATE).fit(X, y)
    estimator.weights_["readout.bias"][...] = 5
    assert_allclose(estimator.fit(X, y).weights_["readout.bias"], 5, **CLOSE)


@pytest.mark.parametrize("normalize_y", [True, False])
def test_poisson_starts_at_the_logarithm_of_the_weighted_mean(normalize_y):
    X, _, targets = small_data()
    y = 100 + targets
    reg = regressor(loss="poisson", normalize_y=normalize_y)
    bias = start(reg, X, y, sample_weight=WEIGHTS)
    log_mean = np.log(np.average(y, weights=WEIGHTS))
    assert_allclose(reg.target_mean_ + reg.target_scale_ * bias, [log_mean], **CLOSE)


def test_other_regressors_start_at_0():
    X, _, targets = small_data()
    assert_allclose(start(regressor(), X, 100 + targets), [0], **CLOSE)


def test_the_other_start_values_do_not_depend_on_the_targets():
    X, labels, _ = small_data()
    one, other = (classifier(**TINY_RATE).fit(X, y) for y in (labels, labels % 2))
    for name in ("layer_0.input", "layer_0.recurrent", "layer_0.bias"):
        assert_allclose(one.weights_[name], other.weights_[name], **CLOSE)


def test_a_first_chunk_without_weight_leaves_the_bias_at_0():
    X, labels, _ = small_data()
    clf = classifier(stateful=True, **TINY_RATE).partial_fit(X, labels, classes=[0, 1, 2], sample_weight=0)
    assert_array_equal(clf.weights_["readout.bias"], np.zeros(3))
