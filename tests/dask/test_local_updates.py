"""Parts that train by themselves, and the mean of their weights."""

import copy

import numpy as np
import pytest
from dask_data import (
    WARNS_OF_EMPTY,
    announcements_ignored,
    classifier,
    cut,
    in_form,
    labels,
    plain_of,
    regressor,
    sequences,
    values,
)
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.exceptions import ConvergenceWarning

from sklearn_rnn._base import model_of
from sklearn_rnn._training.optimizers import Adam

pytestmark = [announcements_ignored, WARNS_OF_EMPTY]


def test_one_part_alone_trains_as_a_plain_fit(client):
    X = sequences()
    local, parts = in_form("lazy", X, labels(), client, sizes=(24,))
    params = {"local_updates": 2, "batch_size": 5, "shuffle": False, "max_iter": 3}
    estimator = classifier(client=client, **params).fit(*parts)
    plain = plain_of(estimator).fit(*local)
    assert estimator.loss_curve_ == plain.loss_curve_
    for name, weights in plain.weights_.items():
        assert_array_equal(estimator.weights_[name], weights)


@pytest.mark.parametrize("solver", ["adam", "sgd", "rmsprop"])
def test_a_round_ends_with_the_mean_of_the_parts_by_sequences(solver, client):
    X = sequences()
    y, sizes = values(X), (6, 12, 6)
    options = {"solver": solver, "shuffle": False, "batch_size": 100, "max_iter": 1, "normalize_features": False}
    options |= {"normalize_readout": False, "normalize_y": False}
    _, parts = in_form("lazy", X, y, client, sizes=sizes)
    estimator = regressor(client=client, local_updates="epoch", **options).fit(*parts)
    alone = [plain_of(regressor(**options)).fit(*part) for part in zip(cut(X, sizes), cut(y, sizes))]
    for name, weights in estimator.weights_.items():
        mean = sum(size / 24 * one.weights_[name] for size, one in zip(sizes, alone))
        assert_allclose(weights, mean, rtol=0, atol=1e-12)
    averages = {name: value for name, value in vars(estimator._session.optimizer).items() if np.ndim(value)}
    for name, average in averages.items():
        mean = sum(size / 24 * getattr(one._session.optimizer, name) for size, one in zip(sizes, alone))
        assert_allclose(average, mean, rtol=1e-9, atol=1e-15)
    assert averages
    assert_allclose(estimator.loss_, np.average([one.loss_ for one in alone], weights=sizes), rtol=1e-12, atol=0)


def test_each_part_makes_as_many_updates_as_its_size_allows(client):
    _, parts = in_form("bag", sequences(), labels(), client)
    for local_updates in (1, 3, "epoch"):
        estimator = classifier(client=client, local_updates=local_updates, batch_size=4, max_iter=2).fit(*parts)
        assert estimator._session.history.n_updates == 2 * (2 + 3 + 2)
        assert estimator.t_ == 2 * 24


def test_truncation_updates_at_every_window_of_a_part(client):
    X = [np.repeat(x, 4, axis=0) for x in sequences()]
    y = [x[:, 0] for x in X]
    _, parts = in_form("lazy", X, y, client)
    params = {"readout": "each", "truncation": 5, "batch_size": 100, "max_iter": 3}
    estimator = regressor(client=client, local_updates="epoch", **params).fit(*parts)
    assert estimator._session.history.n_updates > 3 * 3
    assert estimator.loss_curve_[-1] < estimator.loss_curve_[0]


def test_local_training_that_diverges_keeps_the_last_good_epoch(client):
    X = sequences()
    _, parts = in_form("lazy", X, values(X) * 1e3, client)
    params = {"cell": "rnn", "activation": "relu", "solver": "sgd", "learning_rate_init": 1e30, "clip_norm": None}
    params |= {"normalize_y": False, "local_updates": "epoch"}
    with pytest.warns(ConvergenceWarning, match="learning_rate_init: training stopped in epoch 2"):
        estimator = regressor(client=client, max_iter=5, **params).fit(*parts)
    assert np.isfinite(model_of(estimator).network.parameters.vector).all()
    assert estimator.n_iter_ == 1


def test_the_mean_of_equal_optimizers_is_the_same_optimizer():
    adam = Adam(5, np.float32, 0.9, 0.99, 1e-8)
    adam.update(np.ones(5, np.float32), np.arange(5, dtype=np.float32), 0.1)
    mean = Adam(5, np.float32, 0.9, 0.99, 1e-8)
    mean.restore_mean_of([copy.deepcopy(adam) for _ in range(4)], [0.25] * 4)
    assert mean.n_updates == 1
    assert_array_equal(mean.mean, adam.mean)
    assert_array_equal(mean.uncentered_variance, adam.uncentered_variance)
