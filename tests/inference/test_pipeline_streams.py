"""Streams of pipelines: every step gives what the pipeline's predict gives for the steps so far."""

import pickle
import re

import numpy as np
import pandas as pd
import pytest
from helpers import PLAIN
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.compose import ColumnTransformer, make_column_transformer
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    MaxAbsScaler,
    MinMaxScaler,
    OneHotEncoder,
    RobustScaler,
    StandardScaler,
)

from sklearn_rnn import PredictionStream, RNNClassifier, RNNRegressor
from sklearn_rnn._inference.scalers import scaling_of
from sklearn_rnn._network import engines, kernels
from sklearn_rnn.preprocessing import ForwardFill, TimeDistributed, ToSequences

ENGINES = ["numpy"] if kernels.name == "numpy" else ["compiled", "numpy"]
SETTINGS = PLAIN | {"hidden_layer_sizes": (5,), "max_iter": 1, "n_iter_no_change": np.inf, "random_state": 0}
N, N_STEPS, N_FEATURES = 4, 7, 3

each_dtype = pytest.mark.parametrize("dtype", [np.float32, np.float64])


@pytest.fixture(params=ENGINES)
def engine(request, monkeypatch):
    """The engine of all networks in a test."""
    if request.param == "numpy":
        monkeypatch.setattr(engines, "serving", engines.NumpyEngine())
    return request.param


def draw_X(dtype=np.float64):
    X = np.random.default_rng(3).normal([100.0, 0.3, -7.0], [3.0, 0.1, 20.0], size=(N, N_STEPS, N_FEATURES))
    return X.astype(dtype)


def with_gaps():
    rng = np.random.default_rng(4)
    X = draw_X()
    X[rng.random(X.shape) < 0.4] = np.nan
    X[0, :, 1], X[:, 0, 2] = np.nan, np.nan
    X[..., 0] = rng.exponential(size=(N, N_STEPS)).cumsum(axis=1)
    return X


def fit(*steps, X, classes=False, **settings):
    network = (RNNClassifier if classes else RNNRegressor)(**SETTINGS | settings)
    y = np.arange(N) % 3
    if settings.get("readout") == "each":
        y = np.arange(N * N_STEPS).reshape(N, -1) % 3
    return make_pipeline(*steps, network).fit(X, y)


def assert_same(actual, expected, engine="compiled"):
    """Equal bits; nearly equal numbers on the NumPy cells, whose rounding depends on the number of rows."""
    if engine == "compiled" and kernels.name != "numpy":
        assert_array_equal(actual, expected)
    else:
        assert_allclose(actual, expected, rtol=1e-5, atol=1e-6)


def assert_agrees_with_predict(pipeline, X, engine="compiled"):
    """Steps, steps of some sequences, and chunks give the pipeline's predictions; with a pickle in between."""
    steps, some, chunks = (PredictionStream.from_pipeline(pipeline, N) for _ in range(3))
    for t in range(N_STEPS):
        expected = pipeline.predict(X[:, : t + 1])
        assert_same(steps.step(X[:, t]), expected, engine)
        for rows in ([2, 0], [-1, 1]):
            assert_same(some.step(X[rows, t], rows=rows), expected[rows], engine)
        if t == 3:
            steps = pickle.loads(pickle.dumps(steps))
    chunks.predict(X[:, :2])
    assert_same(chunks.predict([x[2:] for x in X]), expected, engine)
    for name, array in chunks.state.items():
        assert_same(steps.state[name], array, engine)
        assert_same(some.state[name], array, engine)


SCALERS = {
    "standard": StandardScaler(),
    "without mean": StandardScaler(with_mean=False),
    "min and max": MinMaxScaler((-1, 3)),
    "robust": RobustScaler(),
    "largest": MaxAbsScaler(),
    "one after the other": make_pipeline(StandardScaler(), "passthrough", MinMaxScaler()),
    "columns": make_column_transformer(
        (StandardScaler(), [2, 0]), (make_pipeline(RobustScaler(), MinMaxScaler()), [False, True, False])
    ),
    "some columns": make_column_transformer((StandardScaler(), slice(1, 3)), remainder="passthrough"),
    "without a column": make_column_transformer((MaxAbsScaler(), [0, -1]), ("drop", [1])),
    "clipped": MinMaxScaler(clip=True),
    "projected": make_pipeline(StandardScaler(), PCA(2)),
}
OWN_CODE = ("clipped", "projected")


@each_dtype
@pytest.mark.parametrize("name", SCALERS)
def test_a_stream_scales_with_the_bits_of_the_scalers(engine, name, dtype):
    X = draw_X(dtype)
    pipeline = fit(TimeDistributed(SCALERS[name]), X=X)
    assert_agrees_with_predict(pipeline, X, engine)
    assert (scaling_of(pipeline[0].transformer_) is None) == (name in OWN_CODE)


@each_dtype
def test_data_of_another_dtype_are_scaled_in_their_own(dtype):
    pipeline = fit(TimeDistributed(StandardScaler()), X=draw_X(dtype))
    other = draw_X(np.float64 if dtype == np.float32 else np.float32)
    assert_agrees_with_predict(pipeline, other)
    assert_agrees_with_predict(pipeline, other.astype(int))


def test_scalers_one_after_the_other_are_one():
    X = draw_X()
    pipeline = fit(TimeDistributed(StandardScaler()), TimeDistributed(MinMaxScaler()), X=X)
    assert_agrees_with_predict(pipeline, X)
    assert PredictionStream.from_pipeline(pipeline)._front.stages == ()


@pytest.mark.parametrize("patches", [{"patch_size": 1}, {"patch_size": 2, "patch_stride": 1}], ids=str)
@pytest.mark.parametrize("cell", ["rnn", "lstm"])
def test_other_networks_stream_behind_a_scaler(engine, patches, cell):
    X = draw_X()
    assert_agrees_with_predict(fit(TimeDistributed(RobustScaler()), X=X, cell=cell, **patches), X, engine)


def test_a_step_of_patches_has_several_steps_of_data(engine):
    X = draw_X()[:, :6]
    pipeline = fit(TimeDistributed(StandardScaler()), X=draw_X(), patch_size=2)
    stream, some = PredictionStream.from_pipeline(pipeline, N), PredictionStream.from_pipeline(pipeline, N)
    for t in range(0, 6, 2):
        expected = pipeline.predict(X[:, : t + 2])
        assert_same(stream.step(X[:, t : t + 2]), expected, engine)
        assert_same(some.step(X[:2, t : t + 2].reshape(2, -1), rows=[0, 1]), expected[:2], engine)


@pytest.mark.parametrize("fill", [{}, {"add_indicator": True, "add_elapsed": True}, {"add_elapsed": True, "time": 0}])
def test_forward_fill_carries_values_and_times_on(engine, fill):
    X = with_gaps()
    steps = (TimeDistributed(SimpleImputer(keep_empty_features=True)), TimeDistributed(StandardScaler()))
    pipeline = fit(ForwardFill(**fill), *steps, X=X)
    assert_agrees_with_predict(pipeline, X, engine)


def test_the_state_of_forward_fill_is_reset_saved_and_assigned():
    X = with_gaps()
    pipeline = fit(ForwardFill(add_elapsed=True), TimeDistributed(SimpleImputer(keep_empty_features=True)), X=X)
    stream = PredictionStream.from_pipeline(pipeline, N)
    stream.predict(X[:, :3])
    saved, expected = stream.state, stream.predict(X[:, 3:])
    assert [name for name in saved if "forwardfill" in name] == [
        "forwardfill.values",
        "forwardfill.since",
        "forwardfill.steps",
    ]
    stream.state = saved
    assert_array_equal(stream.predict(X[:, 3:]), expected)
    stream.reset([1])
    assert_array_equal(stream.state["forwardfill.steps"], [7, 0, 7, 7])
    assert_array_equal(stream.step(X[[1], 0], rows=1), pipeline.predict(X[[1], :1]))


def test_an_error_behind_forward_fill_leaves_the_stream_where_it_was():
    X = with_gaps()
    stream = PredictionStream.from_pipeline(fit(ForwardFill(), X=np.nan_to_num(X)), N)
    stream.step(np.nan_to_num(X[:, 0]))
    before = stream.state
    stream.step(X[:, 1])
    stream.state = before
    stream.reset(0)
    before = stream.state
    with pytest.raises(ValueError, match=r"^x contains NaN in sequence 0, feature 1: RNNRegressor does not accept it"):
        stream.step(X[:, 0])
    with pytest.raises(ValueError, match=r"^X has 2 sequences, but the stream has 4"):
        stream.predict(X[:2])
    for name, array in stream.state.items():
        assert_array_equal(array, before[name])


def test_times_that_decrease_from_one_step_to_the_next_are_refused():
    X = with_gaps()
    steps = (ForwardFill(add_elapsed=True, time=0), TimeDistributed(SimpleImputer(keep_empty_features=True)))
    stream = PredictionStream.from_pipeline(fit(*steps, X=X), N)
    stream.step(X[:, 2])
    with pytest.raises(ValueError, match=r"^time=0 decreases in sequence 0, step 0: sort"):
        stream.step(X[:, 1])


def test_frames_and_strings_go_through_encoders():
    X = [pd.DataFrame({"kind": list("abcab"), "size": np.arange(5.0) + i}) for i in range(N)]
    encoder = make_column_transformer((OneHotEncoder(), ["kind"]), (StandardScaler(), ["size"]))
    pipeline = fit(TimeDistributed(encoder), X=X)
    stream = PredictionStream.from_pipeline(pipeline, N)
    for t in range(5):
        predicted = stream.step(pd.concat([x.iloc[[t]] for x in X]))
    assert_array_equal(predicted, pipeline.predict(X))
    alone = PredictionStream.from_pipeline(pipeline)
    for _, x in X[1].iterrows():
        predicted = alone.step(x)
    assert_array_equal(predicted, pipeline.predict(X[1:2]))
    with pytest.raises(ValueError, match=r"^x: The feature names should match"):
        stream.step(X[0].rename(columns={"size": "mass"})[:N])


def test_columns_by_their_names_are_read_in_their_order():
    X = [pd.DataFrame(x, columns=list("abc")) for x in draw_X()]
    scaler = ColumnTransformer([("one", RobustScaler(), ["c", "a"]), ("two", StandardScaler(), "b")][:1])
    pipeline = fit(TimeDistributed(scaler), X=X)
    stream = PredictionStream.from_pipeline(pipeline, N)
    for t, x in enumerate(draw_X().swapaxes(0, 1)):
        predicted = stream.step(x if t % 2 else pd.DataFrame(x, columns=list("abc")))
    assert_array_equal(predicted, pipeline.predict(X))


def test_pipelines_of_tables_take_single_steps(engine):
    X = draw_X()
    table = X.reshape(N, -1)
    for scaler in (StandardScaler(), MinMaxScaler(clip=True)):
        pipeline = fit(TimeDistributed(scaler, step_features=3), X=table, step_features=3)
        stream, chunks = PredictionStream.from_pipeline(pipeline, N), PredictionStream.from_pipeline(pipeline, N)
        for t in range(N_STEPS):
            predicted = stream.step(X[:, t])
        assert_same(predicted, pipeline.predict(table), engine)
        chunks.predict(table[:, :6])
        assert_same(chunks.predict(table[:, 6:]), pipeline.predict(table), engine)


def test_a_scaler_of_columns_serves_if_it_scales_every_step_alike():
    X = np.tile(draw_X()[:, :1], (1, 4, 1))
    table = X.reshape(N, -1)
    pipeline = fit(StandardScaler(), X=table, step_features=3)
    stream = PredictionStream.from_pipeline(pipeline, N)
    for t in range(4):
        predicted = stream.step(X[:, t])
    assert_array_equal(predicted, pipeline.predict(table))


@pytest.mark.parametrize("readout", ["last", "each"])
def test_probabilities_of_a_step_have_no_axis_for_steps(engine, readout):
    X = draw_X()
    pipeline = fit(TimeDistributed(StandardScaler()), X=X, classes=True, readout=readout)
    for stream, x in (
        (PredictionStream.from_pipeline(pipeline, N), X),
        (pipeline[-1].stream(N), pipeline[0].transform(X)),
    ):
        assert stream.step_proba(x[[3, 1], 0], rows=[3, 1]).shape == (2, 3)
        stream.reset()
        for t in range(N_STEPS):
            probabilities = stream.step_proba(x[:, t])
        expected = pipeline.predict_proba(X)
        assert_same(probabilities, expected[:, -1] if readout == "each" else expected, engine)
    assert not hasattr(fit(X=X)[-1].stream(), "step_proba")


def test_an_estimator_or_nothing_in_front_is_a_stream_of_the_network():
    X = draw_X()
    pipeline = fit("passthrough", X=X)
    expected = pipeline[-1].stream(N).step(X[:, 0])
    assert_array_equal(PredictionStream.from_pipeline(pipeline, N).step(X[:, 0]), expected)
    assert_array_equal(PredictionStream.from_pipeline(pipeline[-1], N).step(X[:, 0]), expected)


def test_later_training_does_not_change_a_stream():
    X = draw_X()
    pipeline = fit(TimeDistributed(MinMaxScaler(clip=True)), TimeDistributed(StandardScaler()), X=X)
    stream, expected = PredictionStream.from_pipeline(pipeline, N), pipeline.predict(X)
    pipeline.fit(100 * X, np.arange(N))
    assert_array_equal(stream.predict(X), expected)


BAD_STEPS = {
    "shape": (np.zeros((N, 2)), "x has shape (4, 2), but a step of 4 sequences has shape (4, 3)."),
    "NaN": (np.full((N, 3), np.nan), "x contains NaN in sequence 0, feature 0: RNNRegressor does not accept it."),
    "large": (np.full((N, 3), 1e300), "x contains a number in sequence 0 that the pipeline's scalers make too large"),
    "text": (np.full((N, 3), "a"), "x has dtype <U1"),
}


@pytest.mark.parametrize(("x", "message"), BAD_STEPS.values(), ids=BAD_STEPS)
@pytest.mark.parametrize("readable", [np.asarray, np.ndarray.tolist], ids=["array", "list"])
def test_a_bad_step_is_refused_before_the_stream_moves(engine, x, message, readable):
    X = draw_X(np.float32)
    stream = PredictionStream.from_pipeline(fit(TimeDistributed(StandardScaler()), X=X), N)
    stream.step(X[:, 0])
    before = stream.state
    with pytest.raises(ValueError, match="^" + re.escape(message)):
        stream.step(readable(x))
    with pytest.raises(ValueError, match=r"^X has 2 features per step, but RNNRegressor is expecting 3"):
        stream.predict(X[:, :, :2])
    for name, array in stream.state.items():
        assert_array_equal(array, before[name])


BAD_ROWS = {
    "outside": ([4], ValueError, "rows contains 4, but there are sequences 0 to 3."),
    "twice": ([1, -3], ValueError, "rows contains sequence 1 2 times"),
    "none": ([], ValueError, "rows chooses no sequence"),
    "mask": ([True, False], ValueError, "rows is a mask of 2 sequences, but there are 4."),
    "text": (["a"], TypeError, "rows must be indices of sequences or a boolean mask"),
    "others": ([0, 1, 2], ValueError, "x has shape (1, 3), but a step of 3 sequences has shape (3, 3)."),
}


@pytest.mark.parametrize(("rows", "error", "message"), BAD_ROWS.values(), ids=BAD_ROWS)
def test_bad_rows_are_refused(rows, error, message):
    X = draw_X()
    stream = fit(X=X)[-1].stream(N)
    with pytest.raises(error, match="^" + re.escape(message)):
        stream.step(X[:1, 0], rows=rows)
    assert_array_equal(stream.state["n_steps"], np.zeros(N))


def test_a_mask_chooses_rows():
    X = draw_X()
    network = fit(X=X)[-1]
    stream = network.stream(N)
    predicted = stream.step(X[1:3, 0], rows=np.array([False, True, True, False]))
    assert_array_equal(predicted, network.predict(X[1:3, :1]))
    assert_array_equal(stream.state["n_steps"], [0, 1, 1, 0])


class Shift(FunctionTransformer):
    """A transformer that no stream knows."""


def test_pipelines_that_cannot_stream_are_refused_by_the_name_of_the_step():
    X = draw_X()
    shifted = fit(Shift(), X=X.reshape(N, -1), step_features=3)
    with pytest.raises(TypeError, match=r"^pipeline has the step 'shift', a Shift, which reads whole sequences"):
        PredictionStream.from_pipeline(shifted)
    laid_out = fit(ToSequences("case_time_channel"), X=X)
    with pytest.raises(TypeError, match=r"^pipeline has the step 'tosequences', a ToSequences"):
        PredictionStream.from_pipeline(laid_out)
    by_column = fit(StandardScaler(), X=X.reshape(N, -1), step_features=3)
    with pytest.raises(TypeError, match=r"^pipeline has the step 'standardscaler', a StandardScaler, which was fitted"):
        PredictionStream.from_pipeline(by_column)
    frames = [pd.DataFrame(x, columns=list("abc")) for x in X]
    named = fit(ForwardFill(), TimeDistributed(PCA(2)), X=frames)
    with pytest.raises(TypeError, match=r"^pipeline has the step 'timedistributed', .* was fitted on data frames"):
        PredictionStream.from_pipeline(named)


def test_other_objects_than_pipelines_of_networks_are_refused():
    logistic = make_pipeline(StandardScaler(), LogisticRegression()).fit(np.eye(3), [0, 1, 1])
    with pytest.raises(TypeError, match=r"^pipeline ends in the step 'logisticregression', a LogisticRegression"):
        PredictionStream.from_pipeline(logistic)
    search = GridSearchCV(RNNRegressor(), {"alpha": [0]})
    with pytest.raises(TypeError, match=r"^pipeline ends in the step 'pipeline', a GridSearchCV.*best_estimator_"):
        PredictionStream.from_pipeline(search)
    pipeline = fit(TimeDistributed(StandardScaler()), X=draw_X())
    with pytest.raises(NotFittedError):
        PredictionStream.from_pipeline(clone(pipeline))
    with pytest.raises(ValueError, match=r"^n_sequences must be at least 1"):
        PredictionStream.from_pipeline(pipeline, 0)
