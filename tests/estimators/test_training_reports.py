"""Reports of training: verbose output and fitted attributes."""

import re

import numpy as np
import pytest
from numpy.testing import assert_allclose
from small_estimators import classifier, regressor, small_data

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
