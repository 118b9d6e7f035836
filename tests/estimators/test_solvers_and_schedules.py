"""Solvers, schedules of the learning rate, and clipping."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn.exceptions import ConvergenceWarning
from small_estimators import assert_same_weights, classifier, regressor, small_data

from sklearn_rnn._training.optimizers import SGD

# ---- Solvers -----------------------------------------------------------------------------------------


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


# ---- Learning rates and clipping ---------------------------------------------------------------------


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
    # No update changes the weights: the first epoch is the last improvement.
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
    step = after._model.network.parameters.vector - before._model.network.parameters.vector
    assert_allclose(np.linalg.norm(step), 0.5 * 1e-3, rtol=1e-9, atol=0)


def test_a_cosine_rate_goes_to_its_end_without_improvement():
    X, labels, _ = small_data()
    settings = {"tol": 1e9, "n_iter_no_change": 2, "max_iter": 7}
    assert classifier(**settings, learning_rate="cosine").fit(X, labels).n_iter_ == 7
    assert classifier(**settings).fit(X, labels).n_iter_ == 3


def test_partial_fit_keeps_the_initial_rate_of_a_cosine():
    X, labels, _ = small_data()
    constant, cosine = (classifier(learning_rate=schedule, max_iter=2) for schedule in ("constant", "cosine"))
    for _ in range(4):
        for clf in (constant, cosine):
            clf.partial_fit(X, labels, classes=[0, 1, 2])
    assert_same_weights(cosine, constant)
    cosine.fit(X, labels).partial_fit(X, labels)  # after the end of the schedule
    assert np.isfinite(cosine.loss_)


@pytest.mark.parametrize(
    ("settings", "clip_norm"),
    [
        ({"solver": "adam", "clip_update": 1.0}, None),
        ({"solver": "adam", "clip_update": None}, 1.0),
        ({"solver": "sgd", "clip_update": 1.0}, 1.0),
        ({"solver": "rmsprop", "clip_update": 1.0}, None),
        ({"solver": "rmsprop", "clip_update": None}, 1.0),
    ],
    ids=str,
)
def test_the_norm_is_limited_automatically_where_steps_are_not(settings, clip_norm):
    X, _, targets = small_data()
    settings = settings | {"normalize_y": False}
    automatic, explicit = (
        regressor(**settings, clip_norm=limit).fit(X, 100 * targets) for limit in ("auto", clip_norm)
    )
    assert_same_weights(automatic, explicit)
    assert (automatic.clipped_fraction_ > 0) == (clip_norm is not None)


def test_a_constant_loss_is_no_improvement_also_without_tolerance():
    X, _, targets = small_data()
    settings = {"solver": "sgd", "learning_rate": "constant", "learning_rate_init": 1e-300, "shuffle": False}
    reg = regressor(**settings, max_iter=20, tol=0, n_iter_no_change=3).fit(X, targets)
    assert len(set(reg.loss_curve_)) == 1
    assert reg.n_iter_ == 4  # the first epoch improves on nothing, three others do not improve
