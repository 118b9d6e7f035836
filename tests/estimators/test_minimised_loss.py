"""The minimised loss: its value, its minimum for each loss, and its penalty."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.optimize import minimize_scalar
from scipy.special import xlogy
from sklearn.base import clone
from small_estimators import LENGTHS, WEIGHTS, classifier, regressor, small_data

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
    settings = {"alpha": 0, "learning_rate": "cosine", "learning_rate_init": 0.2, "max_iter": 150}
    reg = regressor(loss=loss, normalize_y=False, **settings)  # Huber's threshold of 1 in the units of y
    predicted = reg.fit(X, SKEWED).predict(X)
    assert_allclose(predicted, center, rtol=0, atol=1e-3)


def test_poisson_predicts_positive_means():
    X, _, targets = small_data()
    reg = regressor(loss="poisson").fit(X, np.abs(targets))
    assert (reg.predict(X) > 0).all()


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
    settings = {"readout": readout, "alpha": 0.3}  # the losses below are in the units of y
    if loss == "log_loss":
        estimator, method, y = classifier(**settings), "predict_proba", labels
    else:
        estimator, method = regressor(loss=loss, normalize_y=False, **settings), "predict"
        y = [2 * np.abs(target) for target in targets]
    # The loss of a full batch is computed with the weights before its update.
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
