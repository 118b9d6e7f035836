"""ONNX models of pipelines: scalers of steps and of tables, pipelines and ColumnTransformers of them."""

import numpy as np
import pandas as pd
import pytest
from exported import (
    OTHER_LENGTHS,
    TOLERANCES,
    largest_difference,
    padded,
    predictions_of,
    run,
    session_of,
)
from helpers import import_client, make_sequences, randomize
from sklearn.compose import ColumnTransformer, make_column_transformer
from sklearn.decomposition import PCA
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MaxAbsScaler, MinMaxScaler, RobustScaler, StandardScaler

from sklearn_rnn import RNNClassifier
from sklearn_rnn.export import to_onnx
from sklearn_rnn.preprocessing import TimeDistributed, ToSequences

import_client("onnx")
import_client("onnxruntime")
pytestmark = pytest.mark.filterwarnings("ignore:max_iter:sklearn.exceptions.ConvergenceWarning")

Y = [0, 1, 2, 0, 1]


def shifted(dtype="float64", lengths=OTHER_LENGTHS, seed=0, mean=10.0):
    """Sequences of three features with different means and spreads."""
    X = make_sequences(lengths, 3, seed=seed)
    return [(x * [1.0, 3.0, 1.0] + [mean, 0.0, -3.0]).astype(dtype) for x in X]


def network(**params):
    return RNNClassifier((4,), max_iter=1, random_state=0, **params)


def pipeline_of(*transformers, X, y=tuple(Y), **params):
    """A fitted pipeline, whose network has random weights."""
    pipeline = make_pipeline(*transformers, network(**params)).fit(X, list(y))
    randomize(pipeline[-1].weights_)
    return pipeline


SCALERS = [
    StandardScaler(),
    StandardScaler(with_mean=False),
    StandardScaler(with_std=False),
    MinMaxScaler((-1, 2)),
    MinMaxScaler(clip=True),
    MaxAbsScaler(),
    RobustScaler(),
    RobustScaler(with_centering=False, quantile_range=(10, 80)),
    RobustScaler(with_scaling=False),
    make_pipeline("passthrough", StandardScaler(), MinMaxScaler()),
    make_column_transformer((StandardScaler(), [2, 0]), ("drop", [1])),
    make_column_transformer((MinMaxScaler(), slice(0, 1)), ("passthrough", [False, False, True])),
    make_column_transformer((make_pipeline(RobustScaler(), MaxAbsScaler()), [1]), remainder=StandardScaler()),
    make_column_transformer((StandardScaler(), [-1]), remainder="passthrough"),
    "passthrough",
]


@pytest.mark.parametrize("dtype", TOLERANCES)
@pytest.mark.parametrize("scaler", SCALERS, ids=lambda scaler: str(scaler).replace("\n", "")[:60])
def test_scalers_of_steps_are_in_the_model(scaler, dtype):
    first = scaler if scaler == "passthrough" else TimeDistributed(scaler)
    pipeline, X = pipeline_of(first, X=shifted(dtype)), shifted(dtype, (2, 11, 5), seed=1)
    outputs = predictions_of(pipeline, X)
    expected = pipeline.predict_proba(X)
    assert largest_difference(outputs["probabilities"], expected) < TOLERANCES[dtype]
    assert np.ptp(expected, axis=0).max() > 0.001


def test_a_mean_that_is_large_against_the_spread_costs_no_digits():
    X = shifted(mean=1e8)
    pipeline = pipeline_of(TimeDistributed(StandardScaler()), X=X)
    assert largest_difference(predictions_of(pipeline, X)["probabilities"], pipeline.predict_proba(X)) < 1e-10


def test_columns_are_found_by_name():
    X = [pd.DataFrame(x, columns=["a", "b", "c"]) for x in shifted()]
    transformer = make_column_transformer((StandardScaler(), ["c", "b"]), (MinMaxScaler(), slice("a", "b")))
    pipeline = pipeline_of(TimeDistributed(transformer), X=X)
    x, lengths = padded([frame.to_numpy() for frame in X])
    outputs = run(to_onnx(pipeline), X=x, lengths=lengths)
    assert largest_difference(outputs["probabilities"], pipeline.predict_proba(X)) < 1e-10


@pytest.mark.parametrize(
    "transformers",
    [
        [StandardScaler()],
        [TimeDistributed(StandardScaler(), step_features=3)],
        [RobustScaler(), TimeDistributed(MinMaxScaler(), step_features=3)],
    ],
    ids=["columns", "steps", "columns, then steps"],
)
def test_scalers_of_tables_are_in_the_model(transformers):
    X = np.stack(shifted(lengths=[4] * 5))
    pipeline = pipeline_of(*transformers, X=X.reshape(5, -1), step_features=3)
    outputs = run(to_onnx(pipeline, lengths=False), X=X)
    assert largest_difference(outputs["probabilities"], pipeline.predict_proba(X.reshape(5, -1))) < 1e-10


def test_scalers_of_columns_fix_the_number_of_steps():
    X = np.stack(shifted(lengths=[4] * 5))
    pipeline = pipeline_of(StandardScaler(), X=X.reshape(5, -1), step_features=3)
    with pytest.raises(Exception, match=r"Expected: 4"):
        run(to_onnx(pipeline, lengths=False), X=X[:, :1])
    with pytest.raises(ValueError, match=r"step=True does not go with scalers of the columns of 2-D X"):
        to_onnx(
            make_pipeline(pipeline[0], network(step_features=3, bidirectional=False).fit(X.reshape(5, -1), Y)),
            step=True,
        )


def test_steps_of_a_pipeline_are_scaled():
    X = np.stack(shifted(lengths=[4] * 5))
    pipeline = pipeline_of(TimeDistributed(StandardScaler()), X=X, bidirectional=False)
    session, stream = session_of(to_onnx(pipeline, step=True)), pipeline[-1].stream(len(X))
    results = session.run(["probabilities"], {"x": X[:, 0], **stream.state})
    scaled = pipeline[0].transform(X)
    assert largest_difference(results[0], stream.predict_proba(scaled[:, :1])) < 1e-10


def test_other_transformers_are_refused_by_name():
    X = shifted()
    with pytest.raises(ValueError, match=r"the step 'timedistributed', a PCA, which cannot be exported"):
        to_onnx(pipeline_of(TimeDistributed(PCA(2)), X=X))
    nested = make_column_transformer((make_pipeline(StandardScaler(), PCA(1)), [0, 1]), remainder="passthrough")
    with pytest.raises(ValueError, match=r"the step 'pca', a PCA, which cannot be exported"):
        to_onnx(pipeline_of(TimeDistributed(nested), X=X))
    weighted = ColumnTransformer([("scaled", StandardScaler(), [0])], transformer_weights={"scaled": 2})
    with pytest.raises(ValueError, match=r"the step 'timedistributed', a ColumnTransformer with transformer_weights"):
        to_onnx(pipeline_of(TimeDistributed(weighted), X=X))
    table = np.stack(shifted(lengths=[4] * 5)).reshape(5, -1)
    with pytest.raises(ValueError, match=r"the step 'tosequences', a ToSequences, which cannot be exported"):
        to_onnx(pipeline_of(ToSequences("by_step", step_features=3), X=table))


def test_a_scaler_before_categorical_features_is_refused():
    X = [np.column_stack([x[:, :2], np.arange(len(x)) % 2]) for x in shifted()]
    transformer = make_column_transformer((StandardScaler(), [0, 1]), remainder="passthrough")
    pipeline = pipeline_of(TimeDistributed(transformer), X=X, categorical_features=[2])
    with pytest.raises(ValueError, match=r"the step 'timedistributed' before a network with categorical features"):
        to_onnx(pipeline)


def test_a_search_is_refused_with_the_remedy():
    X = shifted()
    search = GridSearchCV(network(), {"alpha": [0.0]}, cv=2).fit(X[:4], [0, 1, 0, 1])
    with pytest.raises(TypeError, match=r"estimator is a GridSearchCV.*Pass its best_estimator_"):
        to_onnx(search)
    assert to_onnx(search.best_estimator_).graph.input[0].name == "X"
