"""Streams of ``precision="int8"``: near the estimator's predictions, and the same for all ways to call them."""

import pickle
import re
from copy import deepcopy

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from test_streams import N_STEPS, READOUTS, SETTINGS, N, draw_X, engine, make_estimator, use_numpy

from sklearn_rnn import PredictionStream, RNNClassifier
from sklearn_rnn._network.int8_weights import to_int8
from sklearn_rnn.datasets import load_japanese_vowels
from sklearn_rnn.preprocessing import TimeDistributed

CELLS = [("rnn", "tanh"), ("rnn", "relu"), ("rnn", "identity"), ("rnn", "logistic"), ("lstm", "tanh"), ("gru", "tanh")]
each_cell = pytest.mark.parametrize(("cell", "activation"), CELLS)
each_dtype = pytest.mark.parametrize("dtype", [np.float32, np.float64])

__all__ = ["engine"]  # the fixture of test_streams.py


def assert_same(actual, expected, engine):
    """Equal bits; in NumPy nearly equal numbers: last bits depend on the number of rows, and may choose an integer."""
    if engine == "compiled":
        return assert_array_equal(actual, expected)
    assert_allclose(actual, expected, rtol=0.1, atol=0.1)


def make_contracting(cell, activation, X, **settings):
    """An estimator whose recurrence does not amplify, so that errors of rounding stay small."""
    estimator = make_estimator("outputs", X, cell=cell, activation=activation, **settings)
    for name, weights in estimator.weights_.items():
        if name.endswith(("recurrent", "input")):
            weights *= 0.5 / np.abs(weights).sum(axis=0).max()
    return estimator


# ---- One result ------------------------------------------------------------------------------------------------------


@each_cell
@each_dtype
@pytest.mark.parametrize("sizes", [(1,), (3,), (10, 50), (17, 100, 5)], ids=str)
def test_steps_chunks_and_single_sequences_give_the_same(engine, cell, activation, dtype, sizes):
    X = draw_X(dtype)
    estimator = make_contracting(cell, activation, X, hidden_layer_sizes=sizes, readout="each")
    expected = estimator.stream(N, "int8").predict(X)
    by_steps = estimator.stream(N, precision="int8")
    assert_same(np.stack([by_steps.step(x) for x in X.swapaxes(0, 1)], axis=1), expected, engine)
    by_chunks = estimator.stream(N, "int8")
    chunks = [by_chunks.predict(x) for x in np.split(X, [1, 4, 5], axis=1)]
    assert_same(np.concatenate(chunks, axis=1), expected, engine)
    for i in range(N):
        assert_same(estimator.stream(precision="int8").predict(X[i : i + 1])[0], expected[i], engine)
    for name, array in by_steps.state.items():
        assert_same(by_chunks.state[name], array, engine)


@pytest.mark.parametrize("readout", READOUTS)
def test_ragged_chunks_and_rows_give_the_same(engine, readout):
    X = draw_X(np.float32)
    estimator = make_contracting("lstm", "tanh", X, hidden_layer_sizes=(20, 9), readout=readout)
    stream, twin = estimator.stream(N, "int8"), estimator.stream(N, "int8")
    stream.predict([x[: 2 + i] for i, x in enumerate(X)])
    last = [stream.step(X[i, 2 + i : 3 + i], rows=i) for i in range(N)]
    for t in range(N + 2):
        rows = [i for i in range(N) if t < 3 + i]
        predictions = twin.step(X[rows, t], rows=rows)
        for i, prediction in zip(rows, predictions):
            if t == 2 + i:
                assert_same(last[i][0], prediction, engine)
    for name, array in twin.state.items():
        assert_same(stream.state[name], array, engine)


def test_probabilities_of_steps_are_those_of_chunks(engine):
    X = draw_X()
    estimator = make_estimator(X=X, cell="gru", hidden_layer_sizes=(12, 7))
    stream, twin = estimator.stream(N, "int8"), estimator.stream(N, "int8")
    for t in range(N_STEPS):
        probabilities = stream.step_proba(X[:, t])
    assert_same(twin.predict_proba(X), probabilities, engine)
    assert_allclose(probabilities.sum(axis=1), np.ones(N), rtol=1e-6, atol=0)


def test_a_pipeline_is_a_scaler_in_front(engine):
    X = 100 * draw_X(np.float32)
    scaler = TimeDistributed(StandardScaler()).fit(X)
    estimator = make_contracting("gru", "tanh", scaler.transform(X))
    stream = PredictionStream.from_pipeline(make_pipeline(scaler, estimator), N, precision="int8")
    twin = estimator.stream(N, "int8")
    for x in X.swapaxes(0, 1):
        assert_same(stream.step(x), twin.step(scaler.transform(x[:, None])[:, 0]), engine)


# ---- Near the estimator ----------------------------------------------------------------------------------------------


@each_dtype
@pytest.mark.parametrize("activation", ["identity", "relu", "tanh"])
@pytest.mark.parametrize("n_units", [1, 3, 10, 50, 100])
def test_a_step_is_as_near_as_the_scales_promise(engine, activation, dtype, n_units):
    X = draw_X(dtype)
    estimator = make_contracting("rnn", activation, X, hidden_layer_sizes=(n_units,))
    exact, stream = estimator.stream(N), estimator.stream(N, "int8")
    exact.predict(X[:, :-1])
    stream.state = state = exact.state
    exact.step(X[:, -1])
    stream.step(X[:, -1])
    h, weights = state["layer_0.h"], estimator.weights_["layer_0.recurrent"]
    integers, scales = to_int8(weights, axis=0)
    bounds = np.abs(h).sum(axis=1)[:, None] * scales / 2
    bounds = bounds + to_int8(h, axis=1)[1][:, None] / 2 * np.abs(scales * integers).sum(axis=0)
    # No activation has a slope above 1.
    errors = np.abs(stream.state["layer_0.h"] - exact.state["layer_0.h"])
    assert (errors <= bounds * (1 + 1e-4) + 1e-6).all()
    assert n_units == 1 or errors.max() > 1e-6  # the weights are rounded


@each_cell
@each_dtype
def test_layers_that_read_no_state_are_not_rounded(engine, cell, activation, dtype):
    X = draw_X(dtype)
    estimator = make_contracting(cell, activation, X, hidden_layer_sizes=(20,), readout="each")
    estimator.weights_["layer_0.recurrent"][...] = 0  # the scales are 0 too
    predictions = estimator.stream(N, "int8").predict(X)
    assert_allclose(predictions, estimator.predict(X), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
def test_a_trained_network_gives_the_same_labels(engine, cell):
    X, y = load_japanese_vowels(subset="train", return_X_y=True)
    X_test, y_test = load_japanese_vowels(subset="test", return_X_y=True)
    settings = SETTINGS | {"hidden_layer_sizes": (32, 32), "max_iter": 15, "batch_size": 16}
    classifier = RNNClassifier(cell=cell, **settings)
    expected = classifier.fit(X, y).predict(X_test)
    assert np.mean(expected == y_test) > 0.8
    actual = classifier.stream(len(X_test), "int8").predict(X_test)
    assert np.mean(actual == expected) >= 0.98


def test_categories_are_read_as_ever(engine):
    X = [["a", "b", "a", "c"], ["c", "b"], ["a", "c", "c"], ["b", "b", "a"]]
    classifier = RNNClassifier(**SETTINGS | {"cell": "lstm"}).fit(X, [0, 1, 0, 1])
    actual = classifier.stream(4, "int8").predict_proba(X)
    assert_allclose(actual, classifier.predict_proba(X), rtol=0.05, atol=0.05)


# ---- States ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("readout", READOUTS)
def test_copies_continue_in_the_same_precision(engine, readout):
    X = draw_X()
    stream = make_contracting("lstm", "tanh", X, readout=readout, hidden_layer_sizes=(30,)).stream(N, "int8")
    stream.predict(X[:, :3])
    copies = [deepcopy(stream), pickle.loads(pickle.dumps(stream))]
    expected = stream.predict(X[:, 3:])
    for twin in copies:
        assert_array_equal(twin.predict(X[:, 3:]), expected)


def test_states_move_between_streams_of_both_precisions(engine):
    X = draw_X()
    estimator = make_contracting("gru", "tanh", X)
    plain, stream = estimator.stream(N), estimator.stream(N, "int8")
    stream.predict(X[:, :4])
    plain.state = stream.state
    for name, array in plain.state.items():
        assert array.dtype == stream.state[name].dtype
        assert_array_equal(array, stream.state[name])
    assert_allclose(plain.predict(X[:, 4:]), stream.predict(X[:, 4:]), rtol=0.05, atol=0.05)
    stream.reset()
    assert not any(array.any() for name, array in stream.state.items() if name != "readout.maximum")


def test_a_stream_of_8_bits_loads_where_other_kernels_serve(monkeypatch):
    X = draw_X()
    stream = make_contracting("gru", "tanh", X, hidden_layer_sizes=(20, 5)).stream(N, "int8")
    stream.predict(X[:, :3])
    pickled, expected = pickle.dumps(stream), stream.predict(X[:, 3:])
    use_numpy(monkeypatch)
    assert_allclose(pickle.loads(pickled).predict(X[:, 3:]), expected, rtol=0.1, atol=0.1)


# ---- Values that no integer holds ------------------------------------------------------------------------------------


def test_states_beyond_all_bounds_become_nan(engine):
    X = np.full((1, 400, 2), 10.0)
    estimator = make_estimator("flat", cell="rnn", activation="relu", hidden_layer_sizes=(5, 4))
    for name, weights in estimator.weights_.items():
        weights[...] = 3.0 if name.startswith("layer") else 1.0
    assert np.isnan(estimator.stream(precision="int8").predict(X)).all()


@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
@pytest.mark.parametrize("name", ["layer_0.recurrent", "layer_1.input", "layer_1.recurrent"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_that_are_not_finite_stay_visible(engine, cell, name, value):
    X = draw_X()
    estimator = make_estimator("outputs", X, cell=cell, hidden_layer_sizes=(5, 20), readout="last")
    estimator.weights_[name][1, 2] = value
    assert np.isnan(estimator.stream(N, "int8").predict(X)).all()


# ---- Errors ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("precision", ["int4", "", "INT8", "float32"])
def test_another_precision_is_refused(precision):
    message = f'precision must be None, for the dtype of the estimator, or "int8", got {precision!r}.'
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        make_estimator().stream(precision=precision)


@pytest.mark.parametrize("precision", [8, True, np.int8, ["int8"], np.zeros(2)], ids=repr)
def test_a_precision_that_is_no_text_is_refused(precision):
    with pytest.raises(TypeError, match=r"^precision must be None, for the dtype of the estimator, or "):
        PredictionStream.from_pipeline(make_pipeline(make_estimator()), precision=precision)
