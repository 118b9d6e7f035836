"""Early stopping, validation data, weights, checkpoints, callbacks and verbose, on parts."""

import gc
import time

import numpy as np
import pytest
from dask_data import (
    WARNS_OF_EMPTY,
    announcements_ignored,
    classifier,
    delayed,
    in_form,
    labels,
    plain_of,
    regressor,
    sequences,
    values,
)
from numpy.testing import assert_allclose, assert_array_equal

from sklearn_rnn.callbacks import Checkpoint
from sklearn_rnn.dask._training import PartsSource

pytestmark = [announcements_ignored, WARNS_OF_EMPTY]


def test_early_stopping_holds_out_a_share_of_every_part(client):
    _, parts = in_form("lazy", sequences(), labels(), client)
    params = {"early_stopping": True, "validation_fraction": 0.25, "max_iter": 3}
    estimator = classifier(client=client, **params).fit(*parts)
    assert estimator.t_ == 3 * (24 - 2 - 3 - 2)
    assert len(estimator.validation_scores_) == 3
    assert estimator.best_validation_score_ == max(estimator.validation_scores_)
    again = classifier(client=client, **params).fit(*parts)
    assert again.validation_loss_curve_ == estimator.validation_loss_curve_


def test_held_out_sequences_are_of_all_classes_of_a_part(client):
    X, y = sequences(40), np.arange(40) % 2
    _, parts = in_form("lazy", X, y, client, sizes=(40,))
    estimator = classifier(client=client, early_stopping=True, validation_fraction=0.5, max_iter=30).fit(*parts)
    # Of constant predictions, which an untrained network makes, half would be right.
    assert estimator.t_ == 30 * 20
    assert estimator.validation_scores_[0] in np.arange(21) / 20


@pytest.mark.parametrize(("make", "y_of"), [(classifier, lambda X: labels(len(X))), (regressor, values)])
def test_figures_of_validation_parts_are_those_of_a_plain_fit(make, y_of, client):
    X, X_val = sequences(), sequences(15, seed=1)
    local, parts = in_form("bag", X, y_of(X), client)
    weights_val = 1.0 + np.arange(15) % 2
    local_val, parts_val = in_form("lazy", X_val, y_of(X_val), client, weights_val, sizes=(4, 11))
    estimator = make(client=client, batch_size=1000, early_stopping=True).fit(*parts, *parts_val)
    plain = plain_of(estimator).fit(*local, None, *local_val, weights_val)
    assert_allclose(estimator.validation_loss_curve_, plain.validation_loss_curve_, rtol=1e-6, atol=0)
    assert_allclose(estimator.validation_scores_, plain.validation_scores_, rtol=1e-6, atol=1e-9)
    by_loss = make(client=client, batch_size=1000, early_stopping=True, scoring="loss").fit(*parts, *parts_val)
    assert_array_equal(by_loss.validation_scores_, -np.array(by_loss.validation_loss_curve_))


@pytest.mark.parametrize("params", [{}, {"local_updates": 1}, {"early_stopping": True, "dropout": 0.2}], ids=str)
def test_a_training_that_broke_off_continues_with_the_same_bits(params, client, tmp_path, monkeypatch):
    X = sequences()
    _, parts = in_form("lazy", X, values(X), client)
    estimator = regressor(client=client, batch_size=6, max_iter=3, **params)
    whole = estimator.fit(*parts).weights_
    path, run_round, n_rounds = tmp_path / "parts.checkpoint", PartsSource.round, []

    def break_off(source, *arguments, **state):
        n_rounds.append(arguments)
        if len(n_rounds) == 6:
            raise MemoryError
        return run_round(source, *arguments, **state)

    monkeypatch.setattr(PartsSource, "round", break_off)
    with pytest.raises(MemoryError):
        estimator.fit(*parts, checkpoint=Checkpoint(path, every="0.000001s"))
    resumed = regressor(client=client, batch_size=6, max_iter=3, **params).fit(*parts, checkpoint=path)
    for name, weights in whole.items():
        assert_array_equal(resumed.weights_[name], weights)
    n_rounds_of_all = len(n_rounds)
    resumed.fit(*parts, checkpoint=path)  # it has the end
    assert len(n_rounds) == n_rounds_of_all


def test_a_checkpoint_of_other_data_is_refused(client, tmp_path):
    X, path = sequences(), tmp_path / "parts.checkpoint"
    _, parts = in_form("lazy", X, values(X), client)
    regressor(client=client).fit(*parts, checkpoint=path)
    _, other = in_form("lazy", X, values(X) + 1e-9, client)
    with pytest.raises(ValueError, match="y"):
        regressor(client=client).fit(*other, checkpoint=path)


def test_verbose_prints_the_data_of_all_parts(client, capsys):
    X = sequences()
    _, parts = in_form("lazy", X, values(X), client)
    regressor(client=client, verbose=1).fit(*parts)
    printed = capsys.readouterr().out
    lengths = [len(x) for x in X]
    assert printed.startswith(f"24 sequences of {min(lengths)} to {max(lengths)} steps, 2 features; target: values\n")
    assert "Training ended after 2 epochs" in printed


def test_ctrl_c_keeps_the_last_update_and_cancels_the_tasks(client, monkeypatch):
    _, parts = in_form("lazy", sequences(), labels(), client)
    gather, n_calls = client.gather, []

    def interrupted(futures):
        n_calls.append(futures)
        if len(n_calls) == 8:
            raise KeyboardInterrupt
        return gather(futures)

    monkeypatch.setattr(client, "gather", interrupted)
    with pytest.warns(UserWarning, match="Training interrupted by user"):
        estimator = classifier(client=client, max_iter=100, batch_size=12).fit(*parts)
    assert estimator.n_iter_ >= 1
    assert all(future.status in ("cancelled", "lost") for future in n_calls[-1])


def test_nothing_is_left_on_the_cluster(client):
    _, parts = in_form("lazy", sequences(), labels(), client)
    classifier(client=client, max_iter=5, early_stopping=True).fit(*parts)
    gc.collect()
    deadline, tasks = time.monotonic() + 30, client.cluster.scheduler.tasks
    while any(str(key).startswith(("sklearn_rnn", "prepare", "summarize")) for key in tasks):
        assert time.monotonic() < deadline, list(tasks)
        time.sleep(0.05)


def test_callbacks_see_the_epochs(client):
    callback = pytest.importorskip("sklearn.callback", reason="callbacks come with scikit-learn 1.9")
    _, parts = in_form("lazy", sequences(), labels(), client)
    lines = []

    class Count:
        def setup(self, estimator, context): ...
        def teardown(self, estimator, context): ...
        def on_fit_task_begin(self, estimator, context, **arguments): ...
        def on_fit_task_end(self, estimator, context, **arguments):
            lines.append(context.task_name)

    assert callback is not None
    classifier(client=client).set_callbacks(Count()).fit(*parts)
    assert lines == ["epoch", "epoch", "fit"]


def test_weight_two_equals_repeating_and_weight_zero_removing(client):
    X, y = sequences(), labels()
    sample_weight = np.ones(24)
    sample_weight[[3, 20]] = 0, 2
    params = {"client": client, "batch_size": 1000, "normalize_readout": False}
    _, parts = in_form("lazy", X, y, client, sample_weight)
    weighted = classifier(**params).fit(*parts)
    kept = [[0, 1, 2, 4, 5, 6], range(7, 19), [*range(19, 24), 20]]
    chosen = ([[values[i] for i in part] for part in kept] for values in (X, y))
    repeated = classifier(**params).fit(*([delayed(part, traverse=False) for part in v] for v in chosen))
    for name, weights in repeated.weights_.items():
        assert_allclose(weighted.weights_[name], weights, rtol=0, atol=1e-9)
