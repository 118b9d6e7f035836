"""Updates that are sums over parts: those of a plain fit, and the same bits on any cluster."""

import inspect
import pickle
import re

import pytest
from dask_data import (
    SMALL,
    WARNS_OF_EMPTY,
    announcements_ignored,
    classifier,
    in_form,
    labels,
    of_dask,
    plain_of,
    regressor,
    sequences,
    values,
)
from helpers import import_client
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone

from sklearn_rnn import RNNClassifier
from sklearn_rnn._base import model_of
from sklearn_rnn._training.trainer import Trainer
from sklearn_rnn.dask import _cluster

pytestmark = [announcements_ignored, WARNS_OF_EMPTY]

FULL_BATCH = {"batch_size": 1000, "max_iter": 4}


def parts_of(client, y_of=lambda X: labels(len(X)), n=24, form="lazy", **options):
    X = sequences(n)
    return in_form(form, X, y_of(X), client, **options)


def assert_same_bits(one, other):
    assert one.loss_curve_ == other.loss_curve_
    for name, weights in one.weights_.items():
        assert_array_equal(other.weights_[name], weights)


@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
def test_one_part_in_full_batches_has_the_bits_of_a_plain_fit(cell, client):
    local, parts = parts_of(client, sizes=(24,))
    estimator = classifier(client=client, cell=cell, **FULL_BATCH).fit(*parts)
    assert_same_bits(estimator, plain_of(estimator).fit(*local))


@pytest.mark.parametrize(
    "params",
    [
        {"solver": "sgd", "clip_norm": 0.1, "alpha": 0.1},
        {"solver": "rmsprop", "bidirectional": False, "readout": "each"},
        {"truncation": 3, "readout": "last"},
        {"normalize_features": False, "normalize_readout": False, "memory_budget": "1MB"},
    ],
    ids=str,
)
def test_full_batches_of_all_parts_are_those_of_a_plain_fit(params, client):
    y_of = (lambda X: [x[:, 0] for x in X]) if params.get("readout") == "each" else values
    local, parts = parts_of(client, y_of)
    estimator = regressor(client=client, **FULL_BATCH | params).fit(*parts)
    plain = plain_of(estimator).fit(*local)
    assert_allclose(estimator.loss_curve_, plain.loss_curve_, rtol=1e-9, atol=0)
    assert_allclose(estimator.gradient_norms_, plain.gradient_norms_, rtol=1e-7, atol=0)
    for name, weights in plain.weights_.items():
        assert_allclose(estimator.weights_[name], weights, rtol=0, atol=1e-7)


def test_the_number_of_updates_is_that_of_a_plain_fit(client):
    local, parts = parts_of(client)
    estimator = classifier(client=client, batch_size=5).fit(*parts)
    plain = plain_of(estimator).fit(*local)
    updates = [model._session.history.n_updates for model in (estimator, plain)]
    assert updates == [2 * 5, 2 * 5]
    assert estimator.t_ == plain.t_ == 2 * 24


@pytest.mark.parametrize("local_updates", [None, 2, "epoch"])
def test_one_two_and_three_workers_and_many_threads_give_the_same_bits(local_updates, client):
    distributed = import_client("distributed")
    params = {"dropout": 0.3, "batch_size": 3, "truncation": "unbiased", "truncation_stride": 3}
    params |= {"readout": "last", "bidirectional": False, "local_updates": local_updates}
    _, parts = parts_of(client, sizes=(7, 12, 5))
    first = classifier(client=client, **params).fit(*parts)
    for n_workers, n_threads in ((1, 1), (3, 2)):
        options = {"n_workers": n_workers, "threads_per_worker": n_threads, "processes": False}
        with (
            distributed.LocalCluster(**options, dashboard_address=":0") as cluster,
            distributed.Client(cluster, set_as_default=False) as other,
        ):
            assert_same_bits(classifier(client=other, n_jobs=n_threads, **params).fit(*parts), first)


@pytest.mark.parametrize("local_updates", [None, 1])
def test_weights_of_any_size_reach_the_workers(local_updates, client, monkeypatch):
    _, parts = parts_of(client)
    params = {"client": client, "local_updates": local_updates, "early_stopping": True}
    sent_with_tasks = classifier(**params).fit(*parts)
    monkeypatch.setattr(_cluster, "LARGEST_IN_TASKS", 0)
    assert_same_bits(classifier(**params).fit(*parts), sent_with_tasks)


def test_a_worker_keeps_one_trainer_for_all_of_its_parts(client, monkeypatch):
    trainers, updates = set(), Trainer.updates

    def watched(self, *arguments):
        trainers.add(self)  # held, so that no other one gets its place in memory
        return updates(self, *arguments)

    monkeypatch.setattr(Trainer, "updates", watched)
    _, parts = parts_of(client, sizes=(4,) * 6)
    classifier(client=client).fit(*parts)
    assert 1 <= len(trainers) <= 2  # workers, of one thread


@pytest.mark.parametrize("local_updates", [None, 1])
def test_parts_stay_on_their_workers(local_updates, client, monkeypatch):
    workers, run_round = [], _cluster.Cluster.run_round

    def watched(self, function, parts, *arguments, **state):
        workers.append(parts.workers)
        return run_round(self, function, parts, *arguments, **state)

    monkeypatch.setattr(_cluster.Cluster, "run_round", watched)
    _, parts = parts_of(client, sizes=(4,) * 6)
    classifier(client=client, local_updates=local_updates, max_iter=5).fit(*parts)
    assert len(workers) >= 5
    assert set(workers[0]) <= set(client.scheduler_info()["workers"])
    assert workers == [workers[0]] * len(workers)


def test_a_copy_for_this_process_predicts_with_the_same_bits(client):
    (X, y), parts = parts_of(client)
    estimator = classifier(client=client).fit(*parts)
    local = estimator.to_local()
    assert type(local) is RNNClassifier
    assert_array_equal(local.predict_proba(X), estimator.predict_proba(X))
    assert local.score(X, y) == estimator.score(X, y)
    assert set(vars(local)) == set(vars(RNNClassifier(**SMALL).fit(X, y)))
    model_of(local).network.parameters.vector[...] = 0
    assert model_of(estimator).network.parameters.vector.any()
    local.partial_fit(X, y)
    assert local.n_iter_ == estimator.n_iter_ + 1


def test_pickles_leave_the_client_out_and_clones_share_it(client):
    (X, _), parts = parts_of(client)
    estimator = classifier(client=client).fit(*parts)
    again = pickle.loads(pickle.dumps(estimator))
    assert again.client is None
    assert estimator.client is client
    assert_array_equal(again.predict_proba(X), estimator.predict_proba(X))
    twin = clone(estimator)
    assert twin.client is client
    assert not hasattr(twin, "n_iter_")
    assert twin.get_params() == estimator.get_params()


def test_parameters_are_those_of_the_plain_estimators_and_four_more():
    for estimator in (of_dask.DaskRNNClassifier(), of_dask.DaskRNNRegressor()):
        own, plain = estimator.get_params(), plain_of(estimator).get_params()
        assert own == plain | {"client": None, "local_updates": None, "by": None, "order": None}
        listed = re.findall(r"^(\w+) : .*default=", inspect.getdoc(type(estimator)), re.MULTILINE)
        assert set(listed) == set(own)
    with pytest.raises(TypeError, match="unexpected keyword argument 'units'"):
        of_dask.DaskRNNClassifier(units=3)


def test_partial_fit_continues_on_other_parts(client):
    local, parts = parts_of(client, sizes=(24,))
    estimator, plain = classifier(client=client, batch_size=1000), plain_of(classifier(batch_size=1000))
    for _ in range(3):
        estimator.partial_fit(*parts[:2], classes=["a", "b", "c"])
        plain.partial_fit(*local, classes=["a", "b", "c"])
    assert_same_bits(estimator, plain)
    assert estimator.n_iter_ == 3


def test_a_warm_start_continues_with_the_same_network(client):
    local, parts = parts_of(client, sizes=(24,))
    estimator = classifier(client=client, warm_start=True, class_weight="balanced", **FULL_BATCH)
    plain = plain_of(estimator)
    for _ in range(2):
        estimator.fit(*parts)
        plain.fit(*local)
    assert_allclose(estimator.loss_curve_[:4], plain.loss_curve_[:4], rtol=1e-12, atol=0)
    assert_allclose(estimator.loss_curve_, plain.loss_curve_, rtol=1e-3, atol=0)
    assert estimator.n_iter_ == 8
