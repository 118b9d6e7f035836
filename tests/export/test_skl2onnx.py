"""skl2onnx converts pipelines with networks and TimeDistributed."""

import numpy as np
import pytest
from exported import TOLERANCES, fitted, largest_difference, run
from helpers import import_client, make_sequences, randomize
from numpy.testing import assert_array_equal
from sklearn.compose import make_column_transformer
from sklearn.decomposition import PCA
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler

from sklearn_rnn import RNNClassifier, RNNRegressor
from sklearn_rnn.export import register_skl2onnx
from sklearn_rnn.preprocessing import TimeDistributed

skl2onnx = import_client("skl2onnx")
import_client("onnxruntime")
pytestmark = [
    pytest.mark.filterwarnings("ignore:max_iter:sklearn.exceptions.ConvergenceWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning"),  # of skl2onnx itself
]


@pytest.fixture(autouse=True, scope="module")
def registered():
    register_skl2onnx()


def arrays(n=12, n_steps=4, dtype="float64", seed=0):
    """Sequences of equal lengths, (n, n_steps, 3), with different means and spreads."""
    X = np.stack(make_sequences([n_steps] * n, 3, seed=seed))
    return (X * [1.0, 3.0, 1.0] + [10.0, 0.0, -3.0]).astype(dtype)


def pipeline_of(*transformers, X, y=None, network=None):
    network = RNNClassifier((4,), step_features=3, max_iter=1, random_state=0) if network is None else network
    pipeline = make_pipeline(*transformers, network).fit(X, np.arange(len(X)) % 3 if y is None else y)
    randomize(pipeline[-1].weights_)
    return pipeline


@pytest.mark.parametrize("dtype", TOLERANCES)
@pytest.mark.parametrize(
    "transformers",
    [
        [StandardScaler()],
        [TimeDistributed(StandardScaler(), step_features=3)],
        [MinMaxScaler(), TimeDistributed(make_column_transformer((StandardScaler(), [2, 0, 1])), step_features=3)],
        [PCA(6)],
        [],
    ],
    ids=["scaler", "of steps", "both", "pca", "alone"],
)
def test_pipelines_of_2d_data_are_converted(transformers, dtype):
    X, Z = arrays(dtype=dtype).reshape(12, -1), arrays(5, dtype=dtype, seed=1).reshape(5, -1)
    pipeline = pipeline_of(*transformers, X=X)
    outputs = run(skl2onnx.to_onnx(pipeline, X), X=Z)
    assert largest_difference(outputs["probabilities"], pipeline.predict_proba(Z)) < TOLERANCES[dtype]
    assert_array_equal(outputs["label"], pipeline.predict(Z))


@pytest.mark.parametrize("dtype", TOLERANCES)
@pytest.mark.parametrize("readout", ["each", ("last", "mean", "max")], ids=str)
def test_pipelines_of_3d_data_are_converted(readout, dtype):
    X, Z = arrays(dtype=dtype), arrays(5, dtype=dtype, seed=1)
    y = np.arange(48).reshape(12, 4) % 2 if readout == "each" else np.array(["a", "b"])[np.arange(12) % 2]
    network = RNNClassifier((4, 3), cell="lstm", readout=readout, max_iter=1, random_state=0)
    columns = make_column_transformer((StandardScaler(), [1, 0]), remainder="drop")
    pipeline = pipeline_of(TimeDistributed(columns), X=X, y=y, network=network)
    outputs = run(skl2onnx.to_onnx(pipeline, X, options={"zipmap": False}), X=Z)
    assert largest_difference(outputs["probabilities"], pipeline.predict_proba(Z)) < TOLERANCES[dtype]
    assert_array_equal(outputs["label"], pipeline.predict(Z))


@pytest.mark.parametrize("n_outputs", [None, 2])
def test_regressors_are_converted_for_any_number_of_steps(n_outputs):
    from skl2onnx.common.data_types import DoubleTensorType

    X = arrays()
    y = X[:, 0, 0] if n_outputs is None else X[:, 0, :n_outputs]
    pipeline = pipeline_of(
        TimeDistributed(StandardScaler()), X=X, y=y, network=RNNRegressor((4,), patch_size=2, max_iter=1)
    )
    model = skl2onnx.to_onnx(pipeline, initial_types=[("X", DoubleTensorType([None, None, 3]))])
    for n_steps in (1, 9):
        Z = arrays(5, n_steps, seed=1)
        assert largest_difference(run(model, X=Z)["variable"], pipeline.predict(Z)) < 1e-10


def test_multilabel_targets_are_converted():
    X = arrays()
    model = fitted(RNNClassifier((4,)), X, np.eye(3, dtype=int)[np.arange(12) % 3])
    outputs = run(skl2onnx.to_onnx(model, X), X=X)
    assert largest_difference(outputs["probabilities"], model.predict_proba(X)) < 1e-10
    assert_array_equal(outputs["label"], model.predict(X))


def test_what_skl2onnx_cannot_have_is_refused_by_name():
    X = arrays()
    with pytest.raises(ValueError, match=r"target_opset=17 is too low: the networks need 18 or later"):
        skl2onnx.to_onnx(pipeline_of(X=X), X, target_opset=17)
    with pytest.raises(ValueError, match=r"the step 'timedistributed', a PCA, which cannot be exported"):
        skl2onnx.to_onnx(pipeline_of(TimeDistributed(PCA(2)), X=X), X)
    codes = np.arange(12.0).reshape(4, 3, 1) % 3
    model = fitted(RNNClassifier((4,), categorical_features=[0]), codes, [0, 1, 0, 1])
    with pytest.raises(ValueError, match=r"categorical_features do not go with skl2onnx"):
        skl2onnx.to_onnx(model, codes)
