"""Weights that are prepared for predictions are kept: never longer than the parameters stay as they are."""

import copy
import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from helpers import each_engine, make_network
from numpy.testing import assert_array_equal

from sklearn_rnn import RNNRegressor

X, Y = np.random.default_rng(0).normal(size=(6, 9, 2)), np.arange(6.0)
SETTINGS = {"max_iter": 2, "random_state": 0}
each_kind = pytest.mark.parametrize("bidirectional", [False, True])


def fresh_predictions(estimator, data):
    """Predictions of an estimator that has not predicted before."""
    return pickle.loads(pickle.dumps(estimator)).predict(data)


@each_engine
def test_the_next_prediction_finds_the_weights_prepared(engine):
    network = make_network(engine=engine)
    assert network.prepare(for_backward=False) is network.prepare(for_backward=False)
    assert network.prepare() is not network.prepare()


@each_engine
@pytest.mark.parametrize("value", [np.nan, -0.0, 3.0])
def test_any_other_bit_of_a_parameter_prepares_them_again(engine, value):
    network = make_network(engine=engine)
    network.parameters.vector[-1] = 0.0
    before = network.prepare(for_backward=False)
    network.parameters.vector[-1] = value
    after = network.prepare(for_backward=False)
    assert after is not before
    assert after is network.prepare(for_backward=False)


def test_copies_and_other_engines_begin_without_kept_weights():
    network = make_network()
    kept = network.prepare(for_backward=False)
    twins = [network.copy(), network.without_embedding(), copy.deepcopy(network), pickle.loads(pickle.dumps(network))]
    assert all(twin.prepare(for_backward=False) is not kept for twin in twins)
    network.engine = network.engine
    assert network.prepare(for_backward=False) is not kept


@each_kind
@pytest.mark.parametrize("data", [X[:1], X], ids=["one sequence", "several"])
def test_every_change_of_the_weights_shows_in_the_next_prediction(bidirectional, data):
    estimator = RNNRegressor((4,), bidirectional=bidirectional, warm_start=True, **SETTINGS).fit(X, Y)
    predictions = [estimator.predict(data)]

    def assign():
        estimator.weights_["layer_0.bias"][...] += 0.5

    for change in (assign, lambda: estimator.partial_fit(X, Y), lambda: estimator.fit(X, Y), assign):
        change()
        predictions.append(estimator.predict(data))
        assert_array_equal(predictions[-1], fresh_predictions(estimator, data))
        assert not np.array_equal(predictions[-1], predictions[-2])


def test_a_deep_copy_and_the_original_change_apart():
    estimator = RNNRegressor((4,), bidirectional=False, **SETTINGS).fit(X, Y)
    expected = estimator.predict(X[:1])
    twin = copy.deepcopy(estimator)
    twin.weights_["readout.bias"][...] += 1
    assert not np.array_equal(twin.predict(X[:1]), expected)
    assert_array_equal(estimator.predict(X[:1]), expected)


@each_kind
def test_threads_predict_single_sequences_at_the_same_time(bidirectional):
    estimator = RNNRegressor((4,), bidirectional=bidirectional, **SETTINGS).fit(X, Y)
    expected = [estimator.predict(x[np.newaxis]) for x in X]
    with ThreadPoolExecutor(4) as executor:
        actual = list(executor.map(lambda k: estimator.predict(X[k % 6 : k % 6 + 1]), range(240)))
    assert_array_equal(actual, expected * 40)


def test_every_prediction_begins_before_the_first_step():
    estimator = RNNRegressor((4,), bidirectional=False, **SETTINGS).fit(X, Y)
    expected = estimator.predict(X[:1])
    estimator.predict(X[1:2])  # its state must not be where the next sequence begins
    assert_array_equal(estimator.predict(X[:1]), expected)
    assert_array_equal(estimator.predict(X)[:1], expected)
