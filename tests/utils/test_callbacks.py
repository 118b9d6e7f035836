"""scikit-learn's callbacks: fits and epochs are tasks, with a snapshot of the estimator; True stops training."""

import pickle

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from sklearn_rnn import RNNClassifier, RNNRegressor
from sklearn_rnn.metrics import make_step_scorer
from sklearn_rnn.preprocessing import TimeDistributed

callback = pytest.importorskip("sklearn.callback", reason="scikit-learn has callbacks from 1.9 on")

pytestmark = pytest.mark.filterwarnings("ignore:max_iter:sklearn.exceptions.ConvergenceWarning")

GENERATOR = np.random.default_rng(0)
X = [GENERATOR.normal(size=(n, 2)) for n in GENERATOR.integers(2, 9, 30)]
y = np.array([x[:, 0].mean() > 0 for x in X])
WEIGHTS = GENERATOR.uniform(0.5, 2, 30)


def classifier(**settings):
    return RNNClassifier(**{"hidden_layer_sizes": 4, "max_iter": 4, "random_state": 0} | settings)


class Recorder:
    """Keeps the names, arguments and snapshots of all tasks; stops after an epoch, if it is told so."""

    def __init__(self, stop_after=None):
        self.events, self.snapshots, self.stop_after = [], [], stop_after

    def setup(self, estimator, context):
        self.events.append("setup")

    def teardown(self, estimator, context):
        self.events.append("teardown")

    def on_fit_task_begin(self, estimator, context, *, X=None, y=None, metadata=None):
        self.events.append(f"begin {context.task_name} {context.task_id}")
        self.seen = (estimator, X, y, metadata)

    def on_fit_task_end(self, estimator, context, *, X=None, y=None, metadata=None, fitted_estimator=None):
        self.events.append(f"end {context.task_name} {context.task_id}")
        self.snapshots.append(fitted_estimator)
        return context.task_name == "epoch" and context.task_id == self.stop_after


class Propagated(Recorder):
    """A recorder that meta-estimators pass on."""

    max_propagation_depth = None


def test_epochs_are_tasks_of_a_fit():
    recorder = Recorder()
    clf = classifier(max_iter=2).set_callbacks(recorder)
    clf.fit(X, y, sample_weight=WEIGHTS)
    epochs = [f"{event} epoch {k}" for k in (0, 1) for event in ("begin", "end")]
    assert recorder.events == ["setup", "begin fit 0", *epochs, "end fit 0", "teardown"]
    estimator, seen_X, seen_y, metadata = recorder.seen
    assert estimator is clf
    assert seen_X is X
    assert seen_y is y
    assert metadata["sample_weight"] is WEIGHTS


def test_a_call_of_partial_fit_is_a_task_of_one_epoch():
    recorder = Recorder()
    clf = classifier().set_callbacks(recorder)
    for _ in range(2):
        clf.partial_fit(X, y, classes=[False, True])
    one = ["setup", "begin partial_fit 0", "begin epoch 0", "end epoch 0", "end partial_fit 0", "teardown"]
    assert recorder.events == 2 * one


@pytest.mark.parametrize("settings", [{}, {"solver": "lbfgs"}, {"solver": "sgd"}], ids=str)
def test_snapshots_are_the_estimators_of_shorter_fits(settings):
    settings = {"learning_rate": "constant"} | settings
    recorder = Recorder()
    clf = classifier(**settings).set_callbacks(recorder).fit(X, y)
    *snapshots, last = recorder.snapshots
    assert len(snapshots) == clf.n_iter_ == 4
    for n_epochs, snapshot in enumerate(snapshots, 1):
        expected = classifier(**settings | {"max_iter": n_epochs}).fit(X, y)
        assert_array_equal(snapshot.predict_proba(X), expected.predict_proba(X))
        assert snapshot.n_iter_ == n_epochs
        assert snapshot.loss_curve_ == expected.loss_curve_
        assert_array_equal(pickle.loads(pickle.dumps(snapshot.set_callbacks())).predict(X), expected.predict(X))
    assert_array_equal(last.predict_proba(X), clf.predict_proba(X))


def test_snapshots_with_early_stopping_have_the_best_weights():
    recorder = Recorder()
    settings = {"early_stopping": True, "learning_rate": "constant", "learning_rate_init": 0.5, "max_iter": 6}
    clf = classifier(**settings).set_callbacks(recorder).fit(X, y)
    for snapshot, n_epochs in zip(recorder.snapshots, range(1, clf.n_iter_ + 1)):
        expected = classifier(**settings | {"max_iter": n_epochs}).fit(X, y)
        assert_array_equal(snapshot.predict_proba(X), expected.predict_proba(X))
        assert snapshot.best_validation_score_ == expected.best_validation_score_


@pytest.mark.parametrize("settings", [{}, {"solver": "lbfgs"}, {"learning_rate": "adaptive"}], ids=str)
def test_true_stops_training(settings, recwarn):
    recorder = Recorder(stop_after=1)
    clf = classifier(**settings).set_callbacks(recorder).fit(X, y)
    assert clf.n_iter_ == 2
    assert recorder.events[-2:] == ["end fit 0", "teardown"]
    assert not len(recwarn)


def test_callbacks_change_no_bit():
    plain, watched = classifier().fit(X, y), classifier().set_callbacks(Recorder()).fit(X, y)
    for name, weights in plain.weights_.items():
        assert_array_equal(watched.weights_[name], weights)
    assert set(vars(watched)) - set(vars(plain)) == {"_skl_callbacks"}


def test_an_error_changes_nothing_and_ends_the_callbacks():
    recorder = Recorder()
    clf = classifier().set_callbacks(recorder)
    before = dict(vars(clf))
    with pytest.raises(ValueError, match=r"^X contains NaN"):
        clf.fit([*X[:-1], np.full((3, 2), np.nan)], y)
    assert vars(clf) == before
    assert recorder.events == ["setup", "begin fit 0", "teardown"]


def test_scoring_monitor_in_a_pipeline_records_every_epoch():
    monitor = callback.ScoringMonitor(scoring="accuracy")
    network = classifier().set_callbacks(monitor)
    make_pipeline(TimeDistributed(StandardScaler()), network).fit(X, y)
    scores = [row["accuracy"] for row in monitor.get_logs().data if row["task_name"] == "epoch"]
    assert len(scores) == 4
    assert scores[-1] == network.score(TimeDistributed(StandardScaler()).fit_transform(X), y)


def test_scoring_monitor_takes_regressors_and_targets_of_steps():
    monitor = callback.ScoringMonitor(scoring={"score": make_step_scorer("r2")})
    reg = RNNRegressor(4, readout="each", max_iter=3, random_state=0).set_callbacks(monitor)
    targets = [x[:, 1] for x in X]
    reg.fit(X, targets)
    assert monitor.get_logs().data[-1]["score"] == reg.score(X, targets)


def test_tasks_go_from_a_search_over_a_pipeline_down_to_epochs():
    recorder = Propagated()
    pipeline = make_pipeline(TimeDistributed(StandardScaler()), classifier(max_iter=2))
    GridSearchCV(pipeline, {"rnnclassifier__cell": ["gru", "rnn"]}, cv=2).set_callbacks(recorder).fit(X, y)
    assert recorder.events.count("end epoch 1") == 2 * 2 + 1
    assert sum(event.startswith("end fit_transform") for event in recorder.events) == 2 * 2 + 1


def test_progress_bar_over_a_search(capsys):
    pytest.importorskip("rich")
    pipeline = make_pipeline(TimeDistributed(StandardScaler()), classifier(max_iter=2))
    bar = callback.ProgressBar(max_propagation_depth=None)
    search = GridSearchCV(pipeline, {"rnnclassifier__cell": ["gru"]}, cv=2).set_callbacks(bar).fit(X, y)
    assert search.best_score_ >= 0
    printed = capsys.readouterr().out
    assert "RNNClassifier - fit" in printed
    assert "TimeDistributed" in printed


@pytest.mark.parametrize("method", ["fit", "partial_fit", "fit_transform"])
def test_time_distributed_passes_callbacks_on(method):
    recorder = Propagated()
    scaler = TimeDistributed(StandardScaler()).set_callbacks(recorder)
    getattr(scaler, method)(X)
    assert recorder.events[:2] == ["setup", f"begin {method} 0"]
    assert recorder.events[-2:] == [f"end {method} 0", "teardown"]
    assert len(recorder.events) > 4  # those of the scaler between them
    assert "_parent_callback_ctx" not in vars(scaler.transformer_)


def test_time_distributed_is_one_task_if_its_transformer_has_no_callbacks(recwarn):
    recorder = Propagated()
    TimeDistributed(OneHotEncoder()).set_callbacks(recorder).fit([["a", "b"], ["b"]])
    assert recorder.events == ["setup", "begin fit 0", "end fit 0", "teardown"]
    assert not len(recwarn)


def test_without_callbacks_meta_estimators_work_as_before():
    assert len(cross_val_score(classifier(max_iter=1), X, y, cv=2)) == 2
