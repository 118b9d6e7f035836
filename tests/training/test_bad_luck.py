"""Divergence, Ctrl-C and MemoryError in training: the remaining weights are usable."""

import pickle
import signal
import subprocess
import sys
import textwrap
import warnings
from copy import deepcopy
from time import sleep

import numpy as np
import pytest
from helpers import PLAIN, make_sequences, run_python
from joblib import Parallel, delayed
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_rnn import RNNClassifier, RNNRegressor
from sklearn_rnn._training.bptt import Backpropagation
from sklearn_rnn._training.optimizers import SGD, Adam, RMSprop
from sklearn_rnn._training.trainer import norm_of
from sklearn_rnn.preprocessing import TimeDistributed

LENGTHS = (5, 3, 7, 4, 2, 6, 3, 5)
TARGETS = np.array([0.5, 1.0, 0.0, 2.0, 3.5, 1.0, 0.3, 1.2])
LABELS = np.array([0, 1, 0, 1, 1, 0, 1, 0])
SMALL = PLAIN | {"hidden_layer_sizes": (3,), "random_state": 0, "n_iter_no_change": np.inf}

N_EPOCHS = 6
BATCH_SIZE = 4
UPDATES_PER_EPOCH = len(LENGTHS) // BATCH_SIZE


def sequences(dtype=np.float64):
    return make_sequences(LENGTHS, dtype=dtype)


def classifier(**params):
    return RNNClassifier(**SMALL | params)


def regressor(**params):
    return RNNRegressor(**SMALL | params)


def weights_of(estimator):
    return {name: weights.copy() for name, weights in estimator.weights_.items()}


def assert_same_weights(estimator, expected):
    assert list(estimator.weights_) == list(expected)
    for name, weights in expected.items():
        assert_array_equal(estimator.weights_[name], weights, err_msg=name)


def assert_is_unfitted(estimator):
    assert vars(estimator).keys() == estimator.get_params().keys()
    with pytest.raises(NotFittedError):
        estimator.predict(sequences())


# ---- Divergence --------------------------------------------------------------------------------------

DIVERGING = {
    "solver": "sgd",
    "learning_rate_init": 1e10,
    "clip_norm": None,
    "batch_size": BATCH_SIZE,
    "max_iter": 1000,
}
WARNING = (
    r"^learning_rate_init: training stopped in epoch (\d+), batch ([12]), at a loss, gradient, weight or prediction "
    r"that is not finite; the weights are those of the last good epoch\. Lower learning_rate_init, set clip_norm, "
    r"or scale the data\.$"
)


def fit_until_it_diverges(estimator, *args, **kwargs):
    """Fit; assert that it warns of divergence and of nothing else; return the warning."""
    with pytest.warns(ConvergenceWarning, match=WARNING) as caught:
        estimator.fit(*args, **kwargs)
    (warning,) = caught
    return str(warning.message)


DIVERGING_DATA = {
    "squared error": (regressor(**DIVERGING), np.float64, TARGETS),
    "float32": (regressor(**DIVERGING), np.float32, TARGETS),
    "rnn": (regressor(cell="rnn", activation="relu", **DIVERGING), np.float64, TARGETS),
    "float32 rnn": (regressor(cell="rnn", activation="identity", **DIVERGING), np.float32, TARGETS),
    "poisson": (regressor(loss="poisson", cell="lstm", **DIVERGING), np.float64, TARGETS),
    "each": (
        regressor(readout="each", truncation=2, **DIVERGING),
        np.float64,
        [np.full(n, 2.0) for n in LENGTHS],
    ),
}


@pytest.mark.parametrize(("estimator", "dtype", "y"), DIVERGING_DATA.values(), ids=DIVERGING_DATA)
def test_divergence_leaves_the_weights_of_the_last_good_epoch(estimator, dtype, y):
    X = sequences(dtype)
    estimator = deepcopy(estimator)
    message = fit_until_it_diverges(estimator, X, y)
    n_good = estimator.n_iter_
    assert f"in epoch {n_good + 1}, " in message
    for name, weights in estimator.weights_.items():
        assert np.isfinite(weights).all(), name
        assert weights.dtype == dtype, name
    if n_good:
        reference = deepcopy(estimator).set_params(max_iter=n_good).fit(X, y)
        assert_same_weights(estimator, reference.weights_)
        assert estimator.loss_curve_ == reference.loss_curve_
        assert np.isfinite(estimator.loss_curve_).all()


def test_some_of_these_diverge_after_good_epochs_and_some_in_the_first():
    epochs = {}
    for name, (estimator, dtype, y) in DIVERGING_DATA.items():
        estimator = deepcopy(estimator)
        fit_until_it_diverges(estimator, sequences(dtype), y)
        epochs[name] = estimator.n_iter_
    assert min(epochs.values()) == 0
    assert epochs["squared error"] > epochs["float32"] > 0


def test_divergence_in_the_first_epoch_leaves_the_start_values(monkeypatch):
    estimator = regressor(**DIVERGING)
    starts = []

    def update(self, parameters, gradient, learning_rate):
        starts.append(parameters.copy())
        parameters[...] = np.inf

    monkeypatch.setattr(SGD, "update", update)
    message = fit_until_it_diverges(estimator, sequences(), TARGETS)
    assert "in epoch 1, batch 2, " in message
    assert_array_equal(estimator._model.network.parameters.vector, starts[0])
    assert estimator.n_iter_ == 0
    assert estimator.loss_curve_ == []
    assert np.isnan(estimator.loss_)
    assert np.isfinite(estimator.predict(sequences())).all()


@pytest.mark.parametrize(("i", "batch"), [(0, 1), (5, 2)])
def test_the_warning_names_the_batch(i, batch):
    X = sequences()
    settings = {"warm_start": True, "shuffle": False, "batch_size": BATCH_SIZE, "learning_rate_init": 1e-12}
    estimator = regressor(cell="rnn", activation="identity", **settings)
    estimator.partial_fit(X, TARGETS)  # this first training would warn of features that are far from scale, too
    X[i] = X[i] * 1e200  # finite, but the network's results are not
    message = fit_until_it_diverges(estimator, X, TARGETS)
    assert f"in epoch 2, batch {batch}, " in message


def test_an_infinite_loss_ends_training_though_its_gradient_is_finite():
    estimator = regressor(solver="sgd", normalize_y=False)
    message = fit_until_it_diverges(estimator, sequences(), 1e200 * TARGETS)
    assert "in epoch 1, batch 1, " in message
    assert estimator.n_iter_ == 0


def test_a_model_that_diverged_can_be_trained_on_by_what_the_warning_advises():
    estimator = regressor(**DIVERGING)
    fit_until_it_diverges(estimator, sequences(), TARGETS)
    before = estimator.n_iter_
    estimator.set_params(learning_rate_init=0.01, clip_norm=1.0, max_iter=3, warm_start=True)
    estimator.fit(sequences(), TARGETS)
    assert estimator.n_iter_ == before + 3
    assert np.isfinite(estimator.loss_)


def test_partial_fit_that_diverges_keeps_the_weights_of_the_call_before():
    estimator = regressor(**DIVERGING | {"max_iter": 2}).fit(sequences(), TARGETS)
    for _ in range(1000):
        before = weights_of(estimator)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            estimator.partial_fit(sequences(), TARGETS)
        if caught:
            break
    (warning,) = caught
    assert warning.category is ConvergenceWarning
    assert f"training stopped in epoch {estimator.n_iter_ + 1}, batch" in str(warning.message)
    assert_same_weights(estimator, before)


def test_the_norm_of_the_gradient_can_be_clipped_so_that_training_goes_on():
    estimator = regressor(**DIVERGING | {"clip_norm": 1e-12, "max_iter": 5})
    estimator.fit(sequences(), TARGETS)
    assert estimator.n_iter_ == 5
    assert estimator.clipped_fraction_ == 1


def test_the_defaults_survive_gradients_whose_squares_overflow_in_float32():
    settings = {"hidden_layer_sizes": (3,), "random_state": 0, "normalize_y": False, "max_iter": 20}
    X = sequences(np.float32)
    reg = RNNRegressor(**settings, learning_rate="constant", learning_rate_init=0.1).fit(X, 1e25 * TARGETS)
    assert reg.n_iter_ >= 10
    assert reg.gradient_norms_[0] > 1.8e19
    assert reg.clipped_fraction_ == 1
    start = RNNRegressor(**settings | {"max_iter": 1}, learning_rate_init=1e-30).fit(X, 1e25 * TARGETS)
    assert np.abs(reg.weights_["readout.weight"] - start.weights_["readout.weight"]).max() > 0.1


# The last one multiplies the gradient by 1e-42, which float32 rounds to two digits.
@pytest.mark.parametrize(("size", "clip_norm"), [(1e20, 1.0), (1e25, 1.0), (1e30, 1e-12)])
@pytest.mark.parametrize("clip_value", [None, 0.3])
def test_clipping_saves_training_in_float32_where_the_squares_of_gradients_overflow(size, clip_norm, clip_value):
    settings = {"solver": "sgd", "learning_rate_init": 0.1 / clip_norm, "max_iter": 4}
    settings |= {"clip_norm": clip_norm, "clip_value": clip_value, "normalize_y": False}
    X_val = sequences(np.float32)
    float32 = regressor(**settings).fit(sequences(np.float32), TARGETS * size, X_val=X_val, y_val=TARGETS * size)
    float64 = regressor(**settings).fit(sequences(), TARGETS * size)
    assert float32.n_iter_ == 4
    assert float32.clipped_fraction_ == 1
    assert_allclose(float32.loss_curve_, float64.loss_curve_, rtol=1e-5)
    assert_allclose(float32.gradient_norms_, float64.gradient_norms_, rtol=1e-4)
    assert float32.gradient_norms_[0] > 1.8e19
    for name, weights in float64.weights_.items():
        assert_allclose(float32.weights_[name], weights, rtol=0, atol=1e-4, err_msg=name)


@pytest.mark.parametrize(("dtype", "size"), [(np.float32, 1e30), (np.float32, 3e38), (np.float64, 1e300)])
def test_the_norm_of_a_gradient_does_not_overflow(dtype, size):
    gradient = np.array([3, 0, -4], dtype) / dtype(4) * dtype(size)
    with np.errstate(over="ignore"):
        assert_allclose(norm_of(gradient), 1.25 * size, rtol=1e-6)
        assert norm_of(np.array([1, np.inf], dtype)) == np.inf
        assert np.isnan(norm_of(np.array([1, np.nan, size], dtype)))
    small = np.array([0.1, -0.7, 1e-3], dtype)
    assert norm_of(small) == np.linalg.norm(small)


@pytest.mark.parametrize("loss", ["squared_error", "poisson"])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("early_stopping", [False, True])
def test_divergence_is_no_error_where_there_are_validation_data(loss, dtype, early_stopping):
    estimator = regressor(loss=loss, early_stopping=early_stopping, **DIVERGING)
    X = sequences(dtype)
    fit_until_it_diverges(estimator, X, TARGETS, X_val=X, y_val=TARGETS)
    assert all(np.isfinite(weights).all() for weights in estimator.weights_.values())


def test_lbfgs_keeps_the_last_good_iteration(monkeypatch):
    original = Backpropagation.update_of_batch
    calls = []

    def update_of_batch(self):
        calls.append(1)
        update = original(self)
        return update._replace(loss=update.loss if len(calls) <= 4 else np.nan)

    good = regressor(solver="lbfgs", max_iter=2)
    with pytest.warns(ConvergenceWarning, match="^max_iter, max_fun: "):
        good.fit(sequences(), TARGETS)
    assert good.n_iter_ == 2
    monkeypatch.setattr(Backpropagation, "update_of_batch", update_of_batch)
    estimator = regressor(solver="lbfgs", max_iter=50)
    with pytest.warns(ConvergenceWarning, match="not finite; the weights are those of the last good"):
        estimator.fit(sequences(), TARGETS)
    assert estimator.n_iter_ >= 2
    assert estimator.loss_curve_[:2] == good.loss_curve_
    assert np.isfinite(estimator.loss_curve_).all()
    assert np.isfinite(estimator.predict(sequences())).all()


# ---- Ctrl-C and MemoryError --------------------------------------------------------------------------


def raise_after(monkeypatch, optimizer, error, n_updates):
    """Raise an error after ``n_updates`` of an optimizer, before the next update changes anything."""
    original = optimizer.update
    calls = []

    def update(self, *args):
        if len(calls) == n_updates:
            raise error
        calls.append(1)
        original(self, *args)

    monkeypatch.setattr(optimizer, "update", update)


def raise_in_evaluation(monkeypatch, error, n_evaluations):
    """Raise an error after the evaluation of ``n_evaluations`` batches, before the next one."""
    original = Backpropagation.update_of_batch
    calls = []

    def update_of_batch(self):
        if len(calls) == n_evaluations:
            raise error
        calls.append(1)
        return original(self)

    monkeypatch.setattr(Backpropagation, "update_of_batch", update_of_batch)


def interrupted(train, *args, **kwargs):
    """Call a function that is interrupted; assert that it gives MLPClassifier's warning and no other."""
    with pytest.warns(UserWarning, match=r"^Training interrupted by user\.$") as caught:
        train(*args, **kwargs)
    assert len(caught) == 1


@pytest.mark.parametrize(("solver", "optimizer"), [("adam", Adam), ("sgd", SGD), ("rmsprop", RMSprop)])
def test_an_interrupted_fit_keeps_the_updates_so_far(monkeypatch, solver, optimizer):
    settings = {"solver": solver, "batch_size": BATCH_SIZE}
    reference = classifier(**settings, max_iter=3).fit(sequences(), LABELS)
    estimator = classifier(**settings, max_iter=N_EPOCHS)
    with monkeypatch.context() as patch:
        raise_after(patch, optimizer, KeyboardInterrupt, 3 * UPDATES_PER_EPOCH)
        interrupted(estimator.fit, sequences(), LABELS)
    assert estimator.n_iter_ == 3
    assert estimator.loss_curve_ == reference.loss_curve_
    assert_same_weights(estimator, reference.weights_)
    assert_array_equal(estimator.predict_proba(sequences()), reference.predict_proba(sequences()))


def test_an_interrupted_epoch_is_kept_in_part_but_not_counted(monkeypatch):
    before = classifier(batch_size=BATCH_SIZE, max_iter=2).fit(sequences(), LABELS)
    estimator = classifier(batch_size=BATCH_SIZE, max_iter=N_EPOCHS)
    with monkeypatch.context() as patch:
        raise_after(patch, Adam, KeyboardInterrupt, 2 * UPDATES_PER_EPOCH + 1)
        interrupted(estimator.fit, sequences(), LABELS)
    assert estimator.n_iter_ == len(estimator.loss_curve_) == 2
    change = estimator._model.network.parameters.vector - before._model.network.parameters.vector
    assert 0 < np.abs(change).max() < 2 * estimator.learning_rate_init


def test_a_fit_interrupted_at_once_can_predict_and_be_trained(monkeypatch):
    estimator = classifier(max_iter=2)
    with monkeypatch.context() as patch:
        raise_after(patch, Adam, KeyboardInterrupt, 0)
        interrupted(estimator.fit, sequences(), LABELS)
    assert estimator.n_iter_ == 0
    assert estimator.predict_proba(sequences()).shape == (len(LENGTHS), 2)
    copied = pickle.loads(pickle.dumps(estimator))
    for trained in (estimator, copied):
        trained.partial_fit(sequences(), LABELS)
        assert trained.n_iter_ == 1


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
@pytest.mark.parametrize(
    "many_fits",
    [
        lambda estimator: GridSearchCV(estimator, {"alpha": [0.0, 0.1]}, cv=2).fit(sequences(), LABELS),
        lambda estimator: cross_val_score(make_pipeline(estimator), sequences(), LABELS, cv=2),
        lambda estimator: OneVsRestClassifier(estimator).fit(sequences(), np.arange(len(LENGTHS)) % 3),
        lambda estimator: Parallel(n_jobs=1)(delayed(estimator.fit)(sequences(), LABELS) for _ in range(2)),
    ],
    ids=["search", "cross-validation", "one versus rest", "joblib"],
)
def test_an_interrupt_ends_many_fits(monkeypatch, many_fits, solver):
    raise_after(monkeypatch, Adam, KeyboardInterrupt, 1)
    if solver == "lbfgs":
        raise_in_evaluation(monkeypatch, KeyboardInterrupt, 2)
    with pytest.raises(KeyboardInterrupt):
        many_fits(classifier(solver=solver, max_iter=3))


def test_an_interrupt_of_a_pipeline_keeps_the_updates_so_far(monkeypatch):
    pipeline = make_pipeline(TimeDistributed(StandardScaler()), classifier(max_iter=N_EPOCHS))
    raise_after(monkeypatch, Adam, KeyboardInterrupt, 2)
    interrupted(pipeline.fit, sequences(), LABELS)
    assert pipeline[-1].n_iter_ == 2


def test_an_interrupted_fit_with_early_stopping_keeps_the_best_weights(monkeypatch):
    validation = {"X_val": sequences(), "y_val": LABELS}
    estimator = classifier(early_stopping=True, learning_rate_init=0.05, max_iter=30)
    with monkeypatch.context() as patch:
        raise_after(patch, Adam, KeyboardInterrupt, 20)
        interrupted(estimator.fit, sequences(), LABELS, **validation)
    assert len(estimator.validation_scores_) == estimator.n_iter_ == 20
    assert estimator.best_validation_score_ == max(estimator.validation_scores_)
    assert estimator.score(sequences(), LABELS) == estimator.best_validation_score_


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_an_interrupted_partial_fit_leaves_the_estimator_usable(monkeypatch, n_jobs):
    estimator = classifier(n_jobs=n_jobs, max_iter=2).fit(sequences(), LABELS)
    expected = weights_of(estimator)
    with monkeypatch.context() as patch:
        raise_after(patch, Adam, KeyboardInterrupt, 0)
        interrupted(estimator.partial_fit, sequences(), LABELS)
    assert_same_weights(estimator, expected)
    assert estimator.n_iter_ == 2
    assert estimator.partial_fit(sequences(), LABELS).n_iter_ == 3


def test_interrupted_lbfgs_keeps_the_last_iteration(monkeypatch):
    estimator = regressor(solver="lbfgs", max_iter=100)
    with monkeypatch.context() as patch:
        raise_in_evaluation(patch, KeyboardInterrupt, 7)
        interrupted(estimator.fit, sequences(), TARGETS)
    n_good = estimator.n_iter_
    assert n_good > 0
    reference = regressor(solver="lbfgs", max_iter=n_good)
    with pytest.warns(ConvergenceWarning, match="^max_iter, max_fun: "):
        reference.fit(sequences(), TARGETS)
    assert estimator.loss_curve_ == reference.loss_curve_
    assert_same_weights(estimator, reference.weights_)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGINT for one process")
def test_a_process_that_gets_sigint_while_it_fits_goes_on_to_predict():
    program = """
        import signal

        import numpy as np
        from sklearn_rnn import RNNClassifier

        # A process in the background may inherit a handler that ignores SIGINT.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        X = np.random.default_rng(0).normal(size=(8, 5, 2))
        y = np.arange(8) % 2
        clf = RNNClassifier((3,), max_iter=10**7, n_iter_no_change=np.inf, verbose=2)
        clf.fit(X, y)
        print("predicted", *clf.predict(X), "after", clf.n_iter_, len(clf.loss_curve_), flush=True)
    """
    process = subprocess.Popen(
        [sys.executable, "-u", "-W", "always", "-c", textwrap.dedent(program)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        for line in process.stdout:
            if line.startswith("Epoch    4"):  # it is printed before the epoch is counted
                break
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 0, errors
    assert errors.count("UserWarning: Training interrupted by user.") == 1
    assert "Traceback" not in errors
    word, *labels, after, n_iter, n_losses = output.splitlines()[-1].split()
    assert (word, after) == ("predicted", "after")
    assert len(labels) == 8
    assert set(labels) <= {"0", "1"}
    assert int(n_iter) == int(n_losses) >= 3


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGINT for one process")
@pytest.mark.parametrize("n_jobs", [1, 2])
def test_sigint_in_the_middle_of_a_large_batch_ends_training_after_it(n_jobs):
    program = """
        import signal
        import sys
        import time

        import numpy as np
        from sklearn_rnn import RNNClassifier

        signal.signal(signal.SIGINT, signal.default_int_handler)
        X = np.random.default_rng(0).normal(size=(256, 150, 2)).astype(np.float32)
        y = np.arange(256) % 2
        options = {"batch_size": 256, "max_iter": 10**7, "n_iter_no_change": np.inf, "random_state": 0}
        clf = RNNClassifier((128,), cell="lstm", n_jobs=int(sys.argv[1]), verbose=2, **options)
        clf.fit(X, y)
        print("predicted", *clf.predict(X[:8]), "after", clf.n_iter_, len(clf.loss_curve_), flush=True)
    """
    process = subprocess.Popen(
        [sys.executable, "-u", "-W", "always", "-c", textwrap.dedent(program), str(n_jobs)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        for line in process.stdout:
            if line.startswith("Epoch    2"):
                break
        # An epoch is one batch. Almost all of its time is spent in the passes over 150 steps.
        sleep(0.1)
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 0, errors
    assert errors.count("UserWarning: Training interrupted by user.") == 1
    assert "Traceback" not in errors
    *epochs, result = output.splitlines()
    assert len(epochs) <= 3  # at most the epochs that were in progress at the signal
    word, *labels, after, n_iter, n_losses = result.split()
    assert (word, after) == ("predicted", "after")
    assert len(labels) == 8
    assert set(labels) <= {"0", "1"}
    assert int(n_iter) == int(n_losses) >= 1


@pytest.mark.skipif(sys.platform != "linux", reason="how much memory a process uses is read from /proc")
@pytest.mark.parametrize("n_jobs", [1, 2])
def test_a_tape_that_memory_cannot_hold_is_a_memory_error_and_changes_nothing(n_jobs):
    program = """
        import pickle
        import resource
        import sys

        import numpy as np
        from sklearn_rnn import RNNRegressor

        def memory_in_use():
            with open("/proc/self/statm") as file:
                return int(file.read().split()[0]) * resource.getpagesize()

        generator = np.random.default_rng(0)
        X, y = generator.normal(size=(64, 20, 1)), generator.normal(size=64)
        large_X, large_y = generator.normal(size=(128, 1000, 1)), generator.normal(size=128)
        options = {"batch_size": 128, "max_iter": 2, "patch_size": 1, "bidirectional": False, "random_state": 0}
        regressor = RNNRegressor((64,), cell="lstm", n_jobs=int(sys.argv[1]), **options).fit(X, y)
        expected, before = regressor.predict(X), pickle.dumps(regressor)

        # The states of 128000 steps take 65 MB, and the whole tape takes several times that.
        resource.setrlimit(resource.RLIMIT_AS, (memory_in_use() + 2**26, resource.RLIM_INFINITY))
        for method in ("fit", "partial_fit"):
            try:
                getattr(regressor, method)(large_X, large_y)
            except MemoryError:
                print(method, "MemoryError")
            assert pickle.dumps(regressor) == before
            np.testing.assert_array_equal(regressor.predict(X), expected)
        regressor.partial_fit(X, y)
        print(regressor.n_iter_)
    """
    assert run_python(program, n_jobs) == "fit MemoryError\npartial_fit MemoryError\n3\n"


@pytest.mark.parametrize("error", [MemoryError, RuntimeError])
@pytest.mark.parametrize("method", ["fit", "partial_fit"])
@pytest.mark.parametrize("n_updates", [0, 1])
def test_an_error_in_the_first_training_leaves_the_estimator_unfitted(monkeypatch, error, method, n_updates):
    estimator = regressor(batch_size=BATCH_SIZE)
    before = pickle.dumps(estimator)
    raise_after(monkeypatch, Adam, error, n_updates)
    with pytest.raises(error):
        getattr(estimator, method)(sequences(), TARGETS)
    assert pickle.dumps(estimator) == before
    assert_is_unfitted(estimator)


@pytest.mark.parametrize(("solver", "optimizer"), [("adam", Adam), ("sgd", SGD), ("rmsprop", RMSprop)])
@pytest.mark.parametrize(
    ("method", "n_updates"),
    [
        (method, n_updates)
        for method in ("fit", "fit with warm_start", "partial_fit")
        for n_updates in (0, 1, UPDATES_PER_EPOCH)
        if (method, n_updates) != ("partial_fit", UPDATES_PER_EPOCH)  # there the call ends
    ],
)
def test_an_error_in_later_training_leaves_a_fitted_estimator_as_it_was(
    monkeypatch, solver, optimizer, method, n_updates
):
    estimator = regressor(
        solver=solver,
        batch_size=BATCH_SIZE,
        dropout=0.3,
        max_iter=3,
        warm_start=method.endswith("warm_start"),
    ).fit(sequences(), TARGETS)
    twin = deepcopy(estimator)
    before = pickle.dumps(estimator)
    with monkeypatch.context() as patch:
        raise_after(patch, optimizer, MemoryError, n_updates)
        with pytest.raises(MemoryError):
            getattr(estimator, method.split()[0])(sequences(), TARGETS)
    assert pickle.dumps(estimator) == before
    assert_array_equal(estimator.predict(sequences()), twin.predict(sequences()))
    for trained in (estimator, twin):
        trained.partial_fit(sequences(), TARGETS)
    assert_same_weights(estimator, twin.weights_)
    assert estimator.loss_curve_ == twin.loss_curve_
    assert (estimator.n_iter_, estimator.t_) == (twin.n_iter_, twin.t_)


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_a_memory_error_in_the_middle_of_a_pass_leaves_a_fitted_estimator_as_it_was(monkeypatch, n_jobs):
    estimator = regressor(n_jobs=n_jobs, max_iter=2).fit(sequences(), TARGETS)
    twin = deepcopy(estimator)

    def update_of_batch(self):
        self.network.parameters.vector[...] = 7  # a change before the error
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr(Backpropagation, "update_of_batch", update_of_batch)
        for method in ("fit", "partial_fit"):
            with pytest.raises(MemoryError):
                getattr(estimator, method)(sequences(), TARGETS)
    assert_same_weights(estimator, twin.weights_)
    for trained in (estimator, twin):
        trained.partial_fit(sequences(), TARGETS)
    assert_same_weights(estimator, twin.weights_)


def test_an_error_in_lbfgs_leaves_a_fitted_estimator_as_it_was(monkeypatch):
    estimator = regressor(solver="lbfgs", tol=0.1, max_iter=100, warm_start=True)
    estimator.fit(sequences(), TARGETS)
    before = pickle.dumps(estimator)
    raise_in_evaluation(monkeypatch, MemoryError, 5)
    with pytest.raises(MemoryError):
        estimator.set_params(tol=0.0).fit(sequences(), TARGETS)
    assert pickle.dumps(estimator.set_params(tol=0.1)) == before


@pytest.mark.parametrize("method", ["fit", "fit with warm_start", "partial_fit"])
def test_a_broken_pipe_at_the_end_of_an_epoch_leaves_a_fitted_estimator_as_it_was(monkeypatch, method):
    estimator = regressor(max_iter=2, warm_start=method.endswith("warm_start")).fit(sequences(), TARGETS)
    estimator.set_params(verbose=2)
    before = pickle.dumps(estimator)

    class BrokenPipe:
        def write(self, text):
            raise BrokenPipeError

    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", BrokenPipe())
        with pytest.raises(BrokenPipeError):
            getattr(estimator, method.split()[0])(sequences(), TARGETS)
    assert pickle.dumps(estimator) == before


def test_an_error_while_predicting_leaves_a_fitted_estimator_as_it_was(monkeypatch):
    estimator = regressor(max_iter=2).fit(sequences(), TARGETS)
    expected = estimator.predict(sequences())
    before = pickle.dumps(estimator)

    def final_hidden(self, state):
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr(type(estimator._model.network), "final_hidden", final_hidden)
        with pytest.raises(MemoryError):
            estimator.predict(sequences())
    assert pickle.dumps(estimator) == before
    assert_array_equal(estimator.predict(sequences()), expected)
