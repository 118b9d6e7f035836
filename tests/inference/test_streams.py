"""Prediction streams: steps, chunks and whole sequences agree, and nothing else changes a stream's state."""

import gc
import pickle
import re
import threading
import tracemalloc
from copy import deepcopy

import joblib
import numpy as np
import pandas as pd
import pytest
from helpers import PLAIN, make_sequences, randomize, run_python
from numpy.testing import assert_allclose, assert_array_equal
from scipy.sparse import csr_matrix
from sklearn.exceptions import NotFittedError

from sklearn_rnn import RNNClassifier, RNNRegressor
from sklearn_rnn._network import engines, kernels

ENGINES = ["numpy"] if kernels.name == "numpy" else ["compiled", "numpy"]
CELLS = ["rnn", "lstm", "gru"]
READOUTS = ["last", "mean", "max", ("last", "max", "mean"), "each"]
SETTINGS = PLAIN | {"hidden_layer_sizes": (5,), "max_iter": 1, "n_iter_no_change": np.inf, "random_state": 0}
N, N_STEPS, N_FEATURES = 4, 9, 2
CHUNKS = (1, 3, 1, 4)  # number of steps of each

each_cell = pytest.mark.parametrize("cell", CELLS)
each_readout = pytest.mark.parametrize("readout", READOUTS)
each_dtype = pytest.mark.parametrize("dtype", [np.float32, np.float64])


def use_numpy(monkeypatch):
    monkeypatch.setattr(engines, "serving", engines.NumpyEngine())


@pytest.fixture(params=ENGINES)
def engine(request, monkeypatch):
    """The engine of all networks in a test."""
    if request.param == "numpy":
        use_numpy(monkeypatch)
    return request.param


def draw_X(dtype=np.float64, n_steps=N_STEPS, n=N):
    return np.random.default_rng(5).normal(size=(n, n_steps, N_FEATURES)).astype(dtype)


# Targets of n sequences or steps.
TARGETS = {
    "binary": lambda n: np.array(["no", "yes"])[np.arange(n) % 2],
    "multiclass": lambda n: np.arange(n) % 3 + 5,
    "multilabel": lambda n: np.column_stack([np.arange(n) % 2, np.arange(n) % 3 == 0, np.arange(n) % 2 == 0]).astype(
        int
    ),
    "flat": lambda n: np.sin(np.arange(float(n))),
    "one column": lambda n: np.sin(np.arange(float(n)))[:, None],
    "outputs": lambda n: np.sin(np.arange(3.0 * n)).reshape(n, 3),
}
CLASSIFIED = ("binary", "multiclass", "multilabel")


def make_estimator(kind="multiclass", X=None, **settings):
    """An estimator fitted on X. Its weights are then replaced by random, asymmetric ones."""
    X = draw_X() if X is None else X
    if settings.get("readout") == "each":
        y = TARGETS[kind](N * N_STEPS)
        y = y.reshape(N, N_STEPS, *y.shape[1:])
    else:
        y = TARGETS[kind](len(X))
    estimator = (RNNClassifier if kind in CLASSIFIED else RNNRegressor)(**SETTINGS | settings).fit(X, y)
    randomize(estimator.weights_)
    return estimator


def assert_same(actual, expected, engine="compiled", message=""):
    """Equal bits; nearly equal numbers on the NumPy cells, whose rounding depends on the number of rows."""
    actual, expected = np.asarray(actual), np.asarray(expected)
    assert actual.shape == expected.shape
    assert actual.dtype == expected.dtype
    if engine == "compiled" or expected.dtype.kind != "f":
        assert_array_equal(actual, expected, err_msg=message)
    else:
        rtol = 1e-4 if expected.dtype == np.float32 else 1e-12
        assert_allclose(actual, expected, rtol=rtol, atol=rtol, err_msg=message)


def assert_same_state(actual, expected, engine="compiled"):
    assert list(actual) == list(expected)
    for name, array in expected.items():
        assert_same(actual[name], array, engine, name)


def cut_into_chunks(X, sizes=CHUNKS):
    return np.split(X, np.cumsum(sizes)[:-1], axis=1)


def assert_agrees_with_predict(estimator, X, engine, method="predict"):
    """Steps and chunks of X, (n, n_steps, n_features), give the same predictions as all of X at once."""
    per_step = estimator.readout == "each"
    predict = getattr(estimator, method)
    by_steps, by_chunks = estimator.stream(len(X)), estimator.stream(len(X))
    for t in range(X.shape[1]):
        predicted = by_steps.step(X[:, t])
        expected = estimator.predict(X[:, : t + 1])
        assert_same(predicted, expected[:, -1] if per_step else expected, engine, f"step {t}")
    parts, n_seen = [], 0
    for chunk in cut_into_chunks(X):
        n_seen += chunk.shape[1]
        parts.append(getattr(by_chunks, method)(chunk))
        if not per_step:
            assert_same(parts[-1], predict(X[:, :n_seen]), engine, f"after {n_seen} steps")
    if per_step:
        assert_same(np.concatenate(parts, axis=1), predict(X), engine)
    assert_same_state(by_chunks.state, by_steps.state, engine)
    assert_array_equal(by_steps.state["n_steps"], np.full(len(X), X.shape[1]))


# ---- Steps, chunks and predict agree -----------------------------------------------------------------


@each_dtype
@each_cell
@each_readout
@pytest.mark.parametrize("sizes", [(5,), (4, 3), (3, 17, 2)], ids=str)
def test_steps_and_chunks_give_what_predict_gives(engine, readout, cell, dtype, sizes):
    X = draw_X(dtype)
    estimator = make_estimator("flat", X, cell=cell, readout=readout, hidden_layer_sizes=sizes)
    assert_agrees_with_predict(estimator, X, engine)


@each_readout
@pytest.mark.parametrize("kind", TARGETS)
def test_every_kind_of_target_is_predicted_as_predict_does(engine, kind, readout):
    if kind == "multilabel" and readout == "each":
        pytest.skip("multilabel y is per sequence")
    X = draw_X()
    estimator = make_estimator(kind, X, readout=readout)
    assert_agrees_with_predict(estimator, X, engine)
    if kind in CLASSIFIED:
        assert_agrees_with_predict(estimator, X, engine, "predict_proba")


@pytest.mark.parametrize("loss", ["poisson", "huber"])
def test_predictions_go_through_the_link_of_the_loss(engine, loss):
    X = draw_X()
    reg = RNNRegressor(**SETTINGS, loss=loss).fit(X, np.arange(N))
    randomize(reg.weights_)
    assert_agrees_with_predict(reg, X, engine)


@pytest.mark.parametrize("activation", ["identity", "logistic", "relu", "tanh"])
@each_readout
def test_every_activation_streams(engine, activation, readout):
    estimator = make_estimator("outputs", cell="rnn", activation=activation, readout=readout)
    assert_agrees_with_predict(estimator, draw_X(), engine)


@pytest.mark.parametrize("readout", ["last", "mean", "max"])
def test_a_single_sequence_may_come_without_its_axis(engine, readout):
    X = draw_X()
    estimator = make_estimator("outputs", X, readout=readout)
    stream = estimator.stream()
    for x in X[0]:
        predicted = stream.step(x)
    assert_same(predicted, estimator.predict(X[:1]), engine)


@each_readout
def test_ragged_chunks_take_each_sequence_on_by_its_own_steps(engine, readout):
    X = make_sequences((5, 9, 3, 6), N_FEATURES)
    estimator = make_estimator("outputs", draw_X(), readout=readout)
    stream = estimator.stream(N)
    first = stream.predict([x[:n] for x, n in zip(X, (2, 1, 2, 5))])
    last = stream.predict([x[n:] for x, n in zip(X, (2, 1, 2, 5))])
    expected = estimator.predict(X)
    if readout == "each":
        assert isinstance(last, list)
        for a, b, whole in zip(first, last, expected, strict=True):
            assert_same(np.concatenate([a, b]), whole, engine)
    else:
        assert_same(last, expected, engine)
    assert_array_equal(stream.state["n_steps"], [5, 9, 3, 6])


def test_every_sequence_goes_on_as_if_it_were_alone(engine):
    X = draw_X()
    clf = make_estimator(X=X, readout="mean")
    stream, alone = clf.stream(N), [clf.stream() for _ in range(N)]
    for t in range(N_STEPS):
        expected = [a.step(X[i, t])[0] for i, a in enumerate(alone)]
        assert_array_equal(stream.step(X[:, t]), expected)
    for name, array in stream.state.items():
        assert_same(array, np.concatenate([a.state[name] for a in alone]), engine, name)


def test_many_sequences_and_wide_layers_are_the_same_bits():
    X = np.random.default_rng(0).normal(size=(150, 6, N_FEATURES))
    estimator = make_estimator("outputs", X, hidden_layer_sizes=(70, 40), cell="lstm", n_jobs=2)
    stream, chunked = estimator.stream(150), estimator.stream(150)
    for t in range(6):
        predicted = stream.step(X[:, t])
    chunked.predict(X[:, :4])
    engine = "numpy" if kernels.name == "numpy" else "compiled"
    assert_same(predicted, estimator.predict(X), engine)
    assert_same(chunked.predict(X[:, 4:]), predicted, engine)


# ---- Forms of X --------------------------------------------------------------------------------------


@pytest.mark.parametrize("readout", ["last", "each"])
@pytest.mark.parametrize("step_features", [1, 3])
def test_estimators_of_rows_stream_any_whole_steps(engine, readout, step_features):
    rows = np.random.default_rng(0).normal(size=(N, N_STEPS * step_features))
    estimator = make_estimator("flat", pd.DataFrame(rows).add_prefix("t"), step_features=step_features, readout=readout)
    expected = estimator.predict(pd.DataFrame(rows).add_prefix("t"))
    steps = rows.reshape(N, N_STEPS, step_features)
    for chunks in (
        [rows[:, : 2 * step_features], pd.DataFrame(rows[:, 2 * step_features :])],
        [rows[:, : 2 * step_features].tolist(), steps[:, 2:]],
        [list(steps[:, :2]), list(steps[:, 2:])],
    ):
        stream = estimator.stream(N)
        predicted = [stream.predict(chunk) for chunk in chunks]
        whole = np.concatenate([np.array(part) for part in predicted], axis=1) if readout == "each" else predicted[-1]
        assert_same(whole, expected, engine)
    stream = estimator.stream(N)
    by_steps = [stream.step(steps[:, t]) for t in range(N_STEPS)]
    assert_same(np.column_stack(by_steps) if readout == "each" else by_steps[-1], expected, engine)


def test_a_list_of_sequences_streams(engine):
    X = make_sequences((5, 2, 6), N_FEATURES)
    reg = RNNRegressor(**SETTINGS | {"readout": "each"}).fit(X, [x[:, 0] for x in X])
    objects = np.empty(3, dtype=object)
    objects[:] = X
    for form in (X, tuple(X), objects):
        predicted = reg.stream(3).predict(form)
        assert type(predicted) is type(reg.predict(form))
        for actual, expected in zip(predicted, reg.predict(form), strict=True):
            assert_same(actual, expected, engine)


@pytest.mark.parametrize("readout", ["last", "mean", "max"])
@pytest.mark.parametrize("fitted_on", ["rows", "array"])
def test_a_step_is_a_whole_patch(engine, readout, fitted_on):
    X = draw_X()
    settings = {"patch_size": 3, "readout": readout, "step_features": N_FEATURES}
    estimator = make_estimator("outputs", X if fitted_on == "array" else X.reshape(N, -1), **settings)
    expected = estimator.predict(X if fitted_on == "array" else X.reshape(N, -1))
    flat, deep, chunked = (estimator.stream(N) for _ in range(3))
    for start in range(0, N_STEPS, 3):
        by_flat = flat.step(X[:, start : start + 3].reshape(N, -1))
        by_deep = deep.step(X[:, start : start + 3])
    chunked.predict(X[:, :6])
    for predicted in (by_flat, by_deep, chunked.predict(X[:, 6:])):
        assert_same(predicted, expected, engine)
    assert_array_equal(deep.state["n_steps"], [3] * N)
    single = estimator.stream()
    assert_same(single.step(X[0, :3]), estimator.stream().step(X[0, :3].ravel()), engine)


@pytest.mark.parametrize("readout", ["last", ("mean", "max")])
@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_a_step_is_a_stride_of_patches_that_overlap(engine, cell, readout):
    X = draw_X()[:, :8]
    estimator = make_estimator("outputs", X, cell=cell, patch_size=5, patch_stride=2, readout=readout)
    expected = estimator.predict(X)
    by_steps, chunked = estimator.stream(N), estimator.stream(N)
    for start in range(0, 8, 2):
        predicted = by_steps.step(X[:, start : start + 2])
        if start == 2:
            by_steps = pickle.loads(pickle.dumps(by_steps))
    chunked.predict(X[:, :6])
    for actual in (predicted, chunked.predict(X[:, 6:])):
        assert_same(actual, expected, engine)
    assert_array_equal(by_steps.state["previous_steps"], X[:, 5:])
    assert_array_equal(chunked.state["previous_steps"], X[:, 5:])
    by_steps.reset([1])
    assert_array_equal(by_steps.state["previous_steps"][1], np.zeros((3, N_FEATURES)))
    other = estimator.stream(N)
    other.state = chunked.state
    assert_array_equal(other.step(X[:, :2]), chunked.step(X[:, :2]))


def test_a_wrong_number_of_steps_of_patches_that_overlap_is_refused(engine):
    X = draw_X()
    stream = make_estimator("outputs", X, patch_size=5, patch_stride=2).stream(N)
    before = stream.state
    with pytest.raises(ValueError, match=re.escape("X[0] has 7 steps, but the network reads patch_stride=2 steps at")):
        stream.predict(X[:, :7])
    with pytest.raises(ValueError, match=r"^x has shape .*, but a step of"):
        stream.step(X[:, :5])
    assert_same_state(stream.state, before)


@each_dtype
def test_a_step_is_taken_in_any_type_and_layout(engine, dtype):
    numbers = np.random.default_rng(0).integers(-3, 4, size=(N, N_FEATURES))
    estimator = make_estimator("outputs", draw_X(dtype))
    expected = estimator.stream(N).step(numbers.astype(dtype))
    assert expected.dtype == dtype
    forms = [numbers, numbers.tolist(), numbers.astype(np.float32), numbers.astype(np.float64), numbers.astype(object)]
    forms += [np.asfortranarray(numbers.astype(dtype)), np.repeat(numbers, 2, axis=1)[:, ::2].astype(dtype)]
    forms += [numbers.astype(dtype).astype(np.dtype(dtype).newbyteorder()), pd.DataFrame(numbers)]
    read_only = numbers.astype(dtype)
    read_only.flags.writeable = False
    for x in [*forms, read_only]:
        assert_array_equal(estimator.stream(N).step(x), expected)


# ---- Reset and state ---------------------------------------------------------------------------------


@each_cell
@each_readout
@pytest.mark.parametrize("rows", [[0, 2], [True, False, True, False], [-2, 0], np.array([0, 2, 0], np.uint8)], ids=str)
def test_a_reset_sequence_begins_anew_and_the_others_go_on(engine, cell, readout, rows):
    X = draw_X()
    estimator = make_estimator("flat", X, cell=cell, readout=readout)
    stream = estimator.stream(N)
    stream.predict(X[:, :4])
    stream.reset(rows)
    predicted = stream.predict(X[:, 4:])
    fresh = estimator.predict(X[[0, 2], 4:])
    gone_on = estimator.predict(X)[[1, 3]]
    assert_same(predicted[[0, 2]], fresh, engine)
    assert_same(predicted[[1, 3]], gone_on[:, 4:] if readout == "each" else gone_on, engine)
    assert_array_equal(stream.state["n_steps"], [5, 9, 5, 9])


def test_reset_of_all_or_of_one(engine):
    clf = make_estimator()
    stream = clf.stream(N)
    beginning = stream.state
    stream.predict(draw_X())
    stream.reset(1)
    assert_array_equal(stream.state["n_steps"], [N_STEPS, 0, N_STEPS, N_STEPS])
    stream.reset([])
    assert_array_equal(stream.state["n_steps"], [N_STEPS, 0, N_STEPS, N_STEPS])
    stream.reset()
    assert_same_state(stream.state, beginning)


@pytest.mark.parametrize(
    ("rows", "error", "message"),
    [
        (4, ValueError, "rows contains 4, but there are sequences 0 to 3."),
        ([0, -5], ValueError, "rows contains -5, but there are sequences 0 to 3."),
        ([True, False], ValueError, "rows is a mask of 2 sequences, but there are 4."),
        (1.0, TypeError, "rows must be indices of sequences or a boolean mask, got 1.0."),
        ([[0]], TypeError, "rows must be indices of sequences or a boolean mask, got [[0]]."),
        ("0", TypeError, "rows must be indices of sequences or a boolean mask, got '0'."),
    ],
    ids=str,
)
def test_reset_refuses_rows_that_do_not_exist(rows, error, message):
    stream = make_estimator().stream(N)
    stream.predict(draw_X())
    before = stream.state
    with pytest.raises(error, match=re.escape(message)):
        stream.reset(rows)
    assert_same_state(stream.state, before)


NAMES = {
    ("rnn", "last"): ["layer_0.h", "layer_1.h", "n_steps"],
    ("lstm", "each"): ["layer_0.h", "layer_0.c", "layer_1.h", "layer_1.c", "n_steps"],
    ("gru", "mean"): ["layer_0.h", "layer_1.h", "readout.sum", "n_steps"],
    ("gru", "max"): ["layer_0.h", "layer_1.h", "readout.maximum", "n_steps"],
    ("gru", ("max", "last", "mean")): ["layer_0.h", "layer_1.h", "readout.maximum", "readout.sum", "n_steps"],
}


@pytest.mark.parametrize(("cell", "readout"), NAMES)
def test_the_state_has_names_shapes_and_values(engine, cell, readout):
    X = draw_X(np.float32)
    estimator = make_estimator("flat", X, cell=cell, readout=readout, hidden_layer_sizes=(3, 5))
    stream = estimator.stream(N)
    begin = stream.state
    assert list(begin) == NAMES[cell, readout]
    for name, array in begin.items():
        assert_array_equal(array, np.full_like(array, -np.inf if name == "readout.maximum" else 0))
    stream.predict(X)
    state, hidden = stream.state, estimator.hidden_states(X)
    assert state["layer_0.h"].shape == (N, 3)
    assert state["layer_0.h"].dtype == np.float32
    assert_same(state["layer_1.h"], hidden[:, -1], engine)
    if "mean" in readout:
        assert_allclose(state["readout.sum"], hidden.sum(axis=1), rtol=1e-5, atol=1e-6)
    if "max" in readout:
        assert_same(state["readout.maximum"], hidden.max(axis=1), engine)


@each_cell
@each_readout
def test_a_state_that_is_set_goes_on(engine, cell, readout):
    X = draw_X()
    estimator = make_estimator("outputs", X, cell=cell, readout=readout, hidden_layer_sizes=(4, 3))
    stream = estimator.stream(N)
    stream.predict(X[:, :3])
    state = stream.state
    expected = stream.predict(X[:, 3:])
    other = estimator.stream(N)
    other.state = {name: array.tolist() for name, array in reversed(state.items())}
    assert_same_state(other.state, state)
    assert_same(other.predict(X[:, 3:]), expected)
    other.state = estimator.stream(N).state
    assert_same_state(other.state, estimator.stream(N).state)


def test_the_state_is_a_copy_both_ways():
    stream = make_estimator().stream(N)
    stream.predict(draw_X())
    state, kept = stream.state, stream.state
    state["layer_0.h"][...] = 7
    assert_same_state(stream.state, kept)
    stream.state = state
    state["layer_0.h"][...] = 8
    assert_array_equal(stream.state["layer_0.h"], np.full((N, 5), 7.0))


BAD_STATES = {
    "no dict": (lambda s: list(s.values()), TypeError, "state must be a dict of arrays"),
    "missing": (
        lambda s: s | {"n_steps": None} and {k: s[k] for k in s if k != "n_steps"},
        ValueError,
        "state has arrays",
    ),
    "unknown": (lambda s: s | {"layer_7.h": 0}, ValueError, "state has arrays called"),
    "shape": (lambda s: s | {"layer_0.h": s["layer_0.h"][:2]}, ValueError, "state['layer_0.h'] has shape (2, 5), but"),
    "strings": (lambda s: s | {"layer_0.h": s["layer_0.h"].astype(str)}, TypeError, "state['layer_0.h'] has dtype <U"),
    "complex": (lambda s: s | {"layer_0.h": s["layer_0.h"] + 0j}, TypeError, "state['layer_0.h'] has dtype complex"),
    "ragged": (lambda s: s | {"layer_0.h": [[1], [1, 2]]}, ValueError, "state['layer_0.h'] is not numeric"),
    "NaN": (lambda s: s | {"layer_0.h": s["layer_0.h"] * np.nan}, ValueError, "state['layer_0.h'] contains NaN"),
    "infinity": (
        lambda s: s | {"layer_0.h": s["layer_0.h"] + np.inf},
        ValueError,
        "state['layer_0.h'] contains NaN, or",
    ),
    "too large": (lambda s: s | {"layer_0.h": s["layer_0.h"] + 1e300}, ValueError, "number too large for float32"),
    "float steps": (lambda s: s | {"n_steps": s["n_steps"] + 0.5}, TypeError, "state['n_steps'] has dtype float64"),
    "negative steps": (lambda s: s | {"n_steps": s["n_steps"] - 20}, ValueError, "state['n_steps'] contains -11, but"),
    "maximum of none": (
        lambda s: s | {"n_steps": s["n_steps"] * 0},
        ValueError,
        "state['readout.maximum'] must be -inf",
    ),
    "infinite maximum": (
        lambda s: s | {"readout.maximum": s["readout.maximum"] - np.inf},
        ValueError,
        "state['readout.maximum'] contains",
    ),
}


@pytest.mark.parametrize(("change", "error", "message"), BAD_STATES.values(), ids=BAD_STATES)
def test_a_bad_state_is_refused_and_changes_nothing(change, error, message):
    X = draw_X(np.float32)
    stream = make_estimator(X=X, readout="max").stream(N)
    stream.predict(X)
    before = stream.state
    new = change({name: array.astype(np.float64 if array.dtype.kind == "f" else int) for name, array in before.items()})
    with pytest.raises(error, match=re.escape(message)):
        stream.state = new
    assert_same_state(stream.state, before)


# ---- Bad input ---------------------------------------------------------------------------------------


def with_value(value):
    x = draw_X()[:, 0]
    x[2, 1] = value
    return x


BAD_STEPS = {
    "shape": (draw_X()[:, :2], "x has shape (4, 2, 2), but a step of 4 sequences has shape (4, 2)."),
    "features": (np.zeros((N, 3)), "x has shape (4, 3), but a step of 4 sequences has shape (4, 2)."),
    "sequences": (np.zeros((3, 2)), "x has shape (3, 2), but"),
    "flat": (np.zeros(2), "x has shape (2,), but"),
    "scalar": (0.5, "x has shape (), but"),
    "none": (None, "x has shape (), but"),
    "NaN": (with_value(np.nan), "x contains NaN in sequence 2, feature 1: RNNClassifier does not accept it."),
    "infinity": (with_value(-np.inf), "x contains infinity"),
    "NaN in a list": (with_value(np.nan).tolist(), "x contains NaN in sequence 2, feature 1"),
    "strings": (with_value(0).astype(str), "x has dtype <U"),
    "complex": (with_value(0) + 1j, "x has dtype complex128: a step is an array of real numbers."),
    "dates": (np.zeros((N, 2), "M8[s]"), "x contains times"),
    "objects": (np.full((N, 2), {}), "x is not numeric"),
    "names": (np.full((N, 2), "a", dtype=object), "x is not numeric"),
    "ragged": ([[1.0, 2.0], [3.0]], "x is not numeric"),
    "sparse": (csr_matrix(np.zeros((N, 2))), "x is sparse"),
}


@pytest.mark.parametrize(("x", "message"), BAD_STEPS.values(), ids=BAD_STEPS)
def test_a_bad_step_is_refused_before_the_stream_moves(engine, x, message):
    stream = make_estimator(readout="mean").stream(N)
    stream.predict(draw_X())
    before = stream.state
    with pytest.raises((ValueError, TypeError), match=re.escape(message)):
        stream.step(x)
    assert_same_state(stream.state, before)


def test_a_number_too_large_for_the_dtype_is_refused():
    stream = make_estimator(X=draw_X(np.float32)).stream(N)
    with pytest.raises(ValueError, match=r"^x contains infinity \(or a number too large for float32\) in sequence 2"):
        stream.step(with_value(1e300))


@pytest.mark.parametrize(
    ("params", "patches"),
    [({"patch_size": 3}, "patches of 3 steps"), ({"patch_size": 4, "patch_stride": 3}, "patches of 4 steps, 3 apart")],
    ids=["side by side", "overlapping"],
)
def test_an_error_shows_the_shape_of_a_patch_and_its_steps(params, patches):
    stream = make_estimator(**params).stream()
    message = (
        "x has shape (2,), but a step of 1 sequence has shape (1, 6) or (1, 3, 2) or (6,) or (3, 2), because this "
        f"network reads {patches}. To predict after every step, fit with patch_size=1."
    )
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        stream.step([0.0, 1.0])


def test_patches_that_are_one_step_apart_are_no_reason_for_an_error():
    stream = make_estimator(patch_size=3, patch_stride=1).stream()
    message = "x has shape (3,), but a step of 1 sequence has shape (1, 2) or (2,)."
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        stream.step([0.0, 1.0, 2.0])


BAD_CHUNKS = {
    "sequences": (draw_X()[:3], "X has 3 sequences, but the stream has 4: pass the next steps of each."),
    "list": (list(draw_X()[:2]), "X has 2 sequences, but the stream has 4"),
    "features": (np.zeros((N, 6, 3)), "X has 3 features per step, but RNNClassifier is expecting 2"),
    "2-D": (np.zeros((N, 6)), "X is 2-D, but this RNNClassifier was fitted on sequences"),
    "no steps": (np.zeros((N, 0, 2)), "steps"),
    "patches": (draw_X()[:, :8], "X[0] has 8 steps, but the network reads patch_size=3 steps at a time"),
    "ragged patches": ([*draw_X()[:3], draw_X()[3, :4]], "X[3] has 4 steps, but the network reads patch_size=3"),
    "NaN": (draw_X() * np.nan, "X contains NaN in sequence 0, step 0, feature 0"),
}


@each_readout
@pytest.mark.parametrize("kind", TARGETS)
def test_a_chunk_of_a_single_sequence_needs_no_reading(engine, kind, readout):
    if (kind, readout) == ("multilabel", "each"):
        pytest.skip("multilabel y is per sequence")
    X = draw_X()
    estimator = make_estimator(kind, readout=readout)
    for method in ("predict", *(["predict_proba"] if kind in CLASSIFIED else [])):
        ready, read = estimator.stream(1), estimator.stream(1)
        for start, stop in ((0, 3), (3, 4), (4, N_STEPS)):
            chunk = X[1:2, start:stop].copy()
            expected = getattr(read, method)(chunk.tolist())
            assert_same(getattr(ready, method)(chunk), expected, engine)
            assert_same_state(ready.state, read.state, engine)


BAD_CHUNKS_OF_ONE = {
    "sequences": (draw_X()[:2], "X has 2 sequences, but the stream has 1"),
    "features": (np.zeros((1, 6, 3)), "X has 3 features per step, but RNNClassifier is expecting 2"),
    "2-D": (np.zeros((1, 6)), "X is 2-D, but this RNNClassifier was fitted on sequences"),
    "no steps": (np.zeros((1, 0, 2)), "steps"),
    "NaN": (np.array([[[0.0, 1.0], [2.0, np.nan]]]), "X contains NaN in sequence 0, step 1, feature 1"),
    "infinity": (np.array([[[0.0, 1.0], [-np.inf, 3.0]]]), "X contains infinity in sequence 0, step 1, feature 0"),
}


@pytest.mark.parametrize(("X", "message"), BAD_CHUNKS_OF_ONE.values(), ids=BAD_CHUNKS_OF_ONE)
def test_a_bad_chunk_of_a_single_sequence_is_refused_before_the_stream_moves(X, message):
    stream = make_estimator().stream(1)
    stream.predict(draw_X()[:1])
    before = stream.state
    with pytest.raises(ValueError, match=re.escape(message)):
        stream.predict(X)
    assert_same_state(stream.state, before)


@pytest.mark.parametrize(("X", "message"), BAD_CHUNKS.values(), ids=BAD_CHUNKS)
@pytest.mark.parametrize("method", ["predict", "predict_proba"])
def test_a_bad_chunk_is_refused_before_the_stream_moves(X, message, method):
    stream = make_estimator(patch_size=3).stream(N)
    stream.predict(draw_X())
    before = stream.state
    with pytest.raises(ValueError, match=re.escape(message)):
        getattr(stream, method)(X)
    assert_same_state(stream.state, before)


def test_rows_with_a_part_of_a_step_are_refused():
    stream = make_estimator("flat", draw_X().reshape(N, -1), step_features=2).stream(N)
    with pytest.raises(
        ValueError, match=r"^X has 3 columns, which is not a multiple of step_features=2: pass whole steps"
    ):
        stream.predict(np.zeros((N, 3)))


def test_an_interrupted_chunk_leaves_the_stream_where_it_stood(monkeypatch):
    X = draw_X()
    stream = make_estimator(readout="max").stream(N)
    stream.predict(X[:, :4])
    before = stream.state

    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("sklearn_rnn._network.readouts.MaxPool.finish", interrupt)
    with pytest.raises(KeyboardInterrupt):
        stream.predict([x[4 : 7 + i] for i, x in enumerate(X)])  # of different lengths: not in one call
    assert_same_state(stream.state, before)


@pytest.mark.parametrize("n_sequences", [0, -1])
def test_streams_of_no_sequences_are_refused(n_sequences):
    with pytest.raises(ValueError, match=f"^n_sequences must be at least 1, got {n_sequences}"):
        make_estimator().stream(n_sequences)


@pytest.mark.parametrize("n_sequences", [1.0, "1", None, True, [1]], ids=repr)
def test_a_number_of_sequences_must_be_an_integer(n_sequences):
    with pytest.raises(TypeError, match=r"^n_sequences must be an integer of at least 1, got "):
        make_estimator().stream(n_sequences)


def test_any_integer_is_a_number_of_sequences():
    assert make_estimator().stream(np.int32(3)).n_sequences == 3


@pytest.mark.parametrize("estimator", [RNNClassifier(), RNNRegressor()], ids=["classifier", "regressor"])
def test_an_estimator_that_is_not_fitted_has_no_streams(estimator):
    with pytest.raises(NotFittedError):
        estimator.stream()


def test_bidirectional_networks_have_no_streams():
    estimator = make_estimator(bidirectional=True).set_params(
        bidirectional=False
    )  # the fitted network counts, not the parameter
    with pytest.raises(
        ValueError, match=r"^bidirectional=True does not go with streams: the reverse pass begins at the end"
    ):
        estimator.stream()


def test_streams_of_regressors_have_no_probabilities():
    stream = make_estimator("flat").stream()
    assert not hasattr(stream, "predict_proba")
    with pytest.raises(AttributeError, match="predict_proba"):
        stream.predict_proba(draw_X()[:1])


# ---- Streams and their estimators --------------------------------------------------------------------


def test_a_stream_does_not_change_its_estimator():
    X = draw_X()
    clf = make_estimator(X=X)
    pickled, hashed = pickle.dumps(clf), joblib.hash(clf)
    stream = clf.stream(N)
    stream.predict(X)
    stream.step(X[:, 0])
    stream.reset()
    assert pickle.dumps(clf) == pickled
    assert joblib.hash(clf) == hashed


@each_cell
def test_later_training_does_not_change_a_stream(engine, cell):
    X = draw_X()
    clf = make_estimator(X=X, cell=cell)
    reference, stream = deepcopy(clf), clf.stream(N)
    stream.step(X[:, 0])
    clf.partial_fit(X, TARGETS["multiclass"](N))
    clf.weights_["readout.weight"][...] = 0
    clf.fit(X[:, :, :1], ["a", "b", "a", "b"])
    assert_same(stream.predict_proba(X[:, 1:]), reference.predict_proba(X), engine)
    assert_array_equal(stream.step(X[:, 0]), reference.predict(np.concatenate([X, X[:, :1]], axis=1)))


@each_readout
def test_copies_go_on_by_themselves(engine, readout):
    X = draw_X()
    stream = make_estimator("outputs", X, readout=readout, cell="lstm").stream(N)
    stream.predict(X[:, :3])
    before = stream.state
    copies = [deepcopy(stream), pickle.loads(pickle.dumps(stream))]
    expected = stream.predict(X[:, 3:])
    for twin in copies:
        assert_same_state(twin.state, before)
        assert_same(twin.predict(X[:, 3:]), expected)
        assert_same_state(twin.state, stream.state)


def test_a_pickle_has_no_state_of_training():
    X = draw_X()
    clf = make_estimator(X=X, hidden_layer_sizes=(50,))
    n_weights = sum(weights.size for weights in clf.weights_.values())
    assert len(pickle.dumps(clf.stream(N))) < 8 * n_weights + 20_000 < len(pickle.dumps(clf))


def test_a_pickled_stream_goes_on_in_a_new_process_bit_for_bit(engine, tmp_path):
    X, expected = draw_X(np.float32), []
    for cell, readout in (("rnn", "mean"), ("lstm", "max"), ("gru", "each")):
        stream = make_estimator("outputs", X, cell=cell, readout=readout, hidden_layer_sizes=(6, 5)).stream(N)
        stream.predict(X[:, :5])
        (tmp_path / cell).write_bytes(pickle.dumps(stream))
        expected.append([stream.step(X[:, t]).tobytes().hex() for t in range(5, 9)])
    program = """
        import pickle, sys
        from pathlib import Path
        from test_streams import draw_X
        X = draw_X("float32")
        for cell in ("rnn", "lstm", "gru"):
            stream = pickle.loads(Path(sys.argv[1], cell).read_bytes())
            print(*[stream.step(X[:, t]).tobytes().hex() for t in range(5, 9)])
    """
    printed = run_python(program, tmp_path, kernel="numpy" if engine == "numpy" else kernels.name)
    assert [line.split() for line in printed.splitlines()] == expected


def test_a_stream_loads_where_other_kernels_serve(monkeypatch):
    X = draw_X()
    stream = make_estimator("outputs", X).stream(N)
    stream.predict(X[:, :3])
    pickled, expected = pickle.dumps(stream), stream.predict(X[:, 3:])
    use_numpy(monkeypatch)
    assert_same(pickle.loads(pickled).predict(X[:, 3:]), expected, "numpy")


@each_readout
def test_streams_in_many_threads_give_the_bits_that_they_give_alone(readout):
    X = np.random.default_rng(3).normal(size=(6, 200, N_FEATURES))
    estimator = make_estimator("outputs", cell="lstm", readout=readout, hidden_layer_sizes=(20, 10))

    def run(i):
        stream = estimator.stream()
        stepped = [stream.step(x).copy() for x in X[i, :150]]
        return np.concatenate([*stepped, np.reshape(stream.predict(X[i : i + 1, 150:]), (-1, 3))])

    results = [None] * len(X)
    barrier = threading.Barrier(len(X))

    def work(i):
        barrier.wait()
        results[i] = run(i)

    workers = [threading.Thread(target=work, args=(i,)) for i in range(len(X))]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    for i, result in enumerate(results):
        assert_array_equal(result, run(i))


def test_memory_does_not_grow_with_the_steps(engine):
    x = draw_X()[:, 0]
    stream = make_estimator("outputs", readout="mean", cell="lstm").stream(N)
    for _ in range(100):
        stream.step(x)
    gc.collect()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for _ in range(3000):
            stream.step(x)
        gc.collect()
        grown = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert grown < 30_000  # some caches; one number stored for each step would take 72,000
    assert stream.state["n_steps"][0] == 3100


def test_predictions_are_new_arrays_at_every_step(engine):
    X = draw_X()
    stream = make_estimator("outputs").stream(N)
    first = stream.step(X[:, 0])
    kept = first.copy()
    stream.step(X[:, 1])
    assert_array_equal(first, kept)


def test_states_beyond_all_bounds_stay_visible(engine):
    X = np.full((1, 400, N_FEATURES), 10.0)
    reg = make_estimator("flat", cell="rnn", activation="relu", readout="max")
    for name, weights in reg.weights_.items():
        weights[...] = 3.0 if name.startswith("layer") else 1.0
    stream = reg.stream()
    for x in X[0]:
        predicted = stream.step(x)
    assert_array_equal(predicted, reg.predict(X))
    assert np.isposinf(predicted).all()
