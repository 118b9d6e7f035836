"""Reports of training: verbose output and fitted attributes."""

import re

import numpy as np
import pytest
from numpy.testing import assert_allclose
from small_estimators import classifier, regressor, small_data

from sklearn_rnn import RNNClassifier, RNNRegressor

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
    estimator = make_estimator(verbose=2).fit(X, y)
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
        regressor(clip_norm=clip_norm, verbose=2).fit(X, targets)
        lines = capsys.readouterr().out.splitlines()
        assert [line.split("clipped")[1].split()[0] for line in lines] == [share] * 3


def test_verbose_lbfgs_prints_a_line_an_iteration(capsys):
    X, _, targets = small_data()
    reg = regressor(solver="lbfgs", tol=0.1, max_iter=100, verbose=2).fit(X, targets)
    assert reg.n_iter_ > 0
    assert_prints(capsys.readouterr().out, range(1, reg.n_iter_ + 1))


# ---- verbose=1 ---------------------------------------------------------------------------------------


def lines_of(capsys):
    lines = capsys.readouterr().out.splitlines()
    assert all(len(line) <= 80 for line in lines)
    return lines


def test_a_fit_prints_data_and_model_a_table_and_why_it_ended(capsys):
    X = [np.random.default_rng(n).normal(size=(n, 3)) for n in range(40, 60)]
    clf = RNNClassifier((8, 4), cell="lstm", max_iter=3, random_state=0, verbose=True, patch_size=4)
    clf.fit(X, np.arange(20) % 3)
    data, model, engine, columns, *epochs, end = lines_of(capsys)
    assert data == "20 sequences of 40 to 59 steps, 3 features; target: 3 classes"
    n_weights = sum(weights.size for weights in clf.weights_.values())
    network = f"LSTM 8, 4, both directions, patches of 4 steps, stride 4, {n_weights:,} weights; "
    assert f"{model} {engine}".startswith(network)
    assert columns.split() == ["epoch", "loss", "grad.", "norm", "clipped", "seconds"]
    assert [line.split()[:2] for line in epochs] == [[str(k), f"{v:.6f}"] for k, v in enumerate(clf.loss_curve_, 1)]
    assert end == "Training ended after 3 epochs: max_iter=3 is reached."


def test_the_header_tells_of_one_step_one_sequence_and_categories(capsys):
    RNNRegressor(3, readout="each", max_iter=1, verbose=1, bidirectional=False).fit([["a"]], [[1.0]])
    data, model, *_ = lines_of(capsys)
    assert data == "1 sequence of 1 step, 1 feature (1 categorical); target: values at every step"
    assert model.startswith("GRU 3, ")


def test_a_validation_score_is_in_the_table_and_the_best_one_in_the_end(capsys):
    X, labels, _ = small_data()
    settings = {"early_stopping": True, "max_iter": 50, "n_iter_no_change": 2, "tol": 10.0}
    clf = classifier(verbose=1, **settings).fit(X, labels, X_val=X, y_val=labels)
    lines = lines_of(capsys)
    assert lines[2].split()[2:6] == ["val.", "loss", "val.", "score"]
    assert lines[3].split()[2:4] == [f"{clf.validation_loss_curve_[0]:.6f}", f"{clf.validation_scores_[0]:.4f}"]
    end = " ".join(lines[3 + clf.n_iter_ :])
    reason = "the validation score did not improve by more than tol=10 in 2 epochs"
    best = f"Best validation score: {clf.best_validation_score_:.4f}, in epoch "
    assert end.startswith(f"Training ended after {clf.n_iter_} epochs: {reason}. {best}")


ENDS = {
    "loss": ({"tol": 10.0, "n_iter_no_change": 2}, "the loss did not improve by more than tol=10 in 2 epochs"),
    "L-BFGS": ({"solver": "lbfgs", "tol": 0.1, "max_iter": 100}, "L-BFGS converged"),
    "L-BFGS, max_iter": ({"solver": "lbfgs", "max_iter": 1, "tol": 0.0}, "max_iter or max_fun is reached"),
    "diverged": ({"solver": "sgd", "learning_rate_init": 1e300, "clip_norm": None}, "a number is not finite"),
}


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize(("settings", "reason"), ENDS.values(), ids=ENDS)
def test_the_end_has_its_reason(settings, reason, capsys):
    X, _, targets = small_data()
    reg = regressor(verbose=1, **settings).fit(X, targets)
    assert " ".join(lines_of(capsys)[3 + reg.n_iter_ :]) == f"Training ended after {reg.n_iter_} epochs: {reason}."


def test_a_fit_of_no_epoch_has_a_header_and_an_end(capsys):
    X, _, targets = small_data()
    reg = regressor(verbose=1, solver="lbfgs", tol=1.0).fit(X, targets)
    assert reg.n_iter_ == 0
    data, _, end = lines_of(capsys)
    assert data.endswith("target: values")
    assert end == "Training ended after 0 epochs: L-BFGS converged."


def test_partial_fit_prints_lines_alone(capsys):
    X, _, targets = small_data()
    regressor(verbose=1).partial_fit(X, targets).partial_fit(X, targets)
    assert [line.split()[0] for line in lines_of(capsys)] == ["1", "2"]


def test_data_in_a_file_have_a_header_too(capsys, tmp_path):
    np.save(tmp_path / "X.npy", np.random.default_rng(0).normal(size=(8, 6, 2)))
    X = np.load(tmp_path / "X.npy", mmap_mode="r")
    RNNRegressor(2, max_iter=1, verbose=1, patch_size=2).fit(X, np.arange(8.0))
    assert lines_of(capsys)[0] == "8 sequences of 6 steps, 2 features; target: values"


def test_large_losses_keep_the_table_narrow(capsys):
    X, _, targets = small_data()
    RNNRegressor(2, max_iter=1, verbose=1, normalize_y=False).fit(X, targets * 1e6)
    assert "e+" in lines_of(capsys)[3].split()[1]


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
