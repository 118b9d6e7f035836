"""ONNX models of one step: predictions and states of streams."""

import numpy as np
import pytest
from exported import TOLERANCES, fitted, largest_difference, session_of
from helpers import import_client, make_sequences

from sklearn_rnn import RNNClassifier, RNNRegressor
from sklearn_rnn.export import to_onnx

import_client("onnx")
import_client("onnxruntime")
pytestmark = pytest.mark.filterwarnings("ignore:max_iter:sklearn.exceptions.ConvergenceWarning")

N_SEQUENCES, N_STEPS = 3, 7


def compare_with_stream(estimator, X, tolerance):
    """Run all steps, (n_sequences, n_steps, n_features), by the model and by a stream, and compare after each."""
    session, stream = session_of(to_onnx(estimator, step=True)), estimator.stream(len(X))
    outputs, state = [output.name for output in session.get_outputs()], stream.state
    stride = estimator.patch_stride_
    for start in range(0, X.shape[1], stride):
        steps = X[:, start : start + stride]
        results = dict(zip(outputs, session.run(None, {"x": steps if stride > 1 else steps[:, 0], **state})))
        prediction = stream.step(steps.reshape(len(X), -1))
        state = {name: results[f"next.{name}"] for name in state}
        assert largest_difference(results[outputs[0]], prediction) < tolerance
        assert {name: array.dtype for name, array in state.items()} == {n: a.dtype for n, a in stream.state.items()}
        for name, array in stream.state.items():
            assert largest_difference(state[name], array) < tolerance, name


@pytest.mark.parametrize("dtype", TOLERANCES)
@pytest.mark.parametrize("readout", ["each", "last", ("max", "mean", "last")], ids=str)
@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
def test_steps_are_those_of_a_stream(cell, readout, dtype):
    X = np.stack(make_sequences([N_STEPS] * N_SEQUENCES, dtype=np.dtype(dtype)))
    y = X[:, :, 0] if readout == "each" else X[:, 0, 0]
    estimator = fitted(RNNRegressor((4, 3), cell=cell, readout=readout, bidirectional=False), X, y)
    compare_with_stream(estimator, X, TOLERANCES[dtype])


@pytest.mark.parametrize(("size", "stride"), [(2, None), (3, 1), (5, 2)])
def test_patches_are_those_of_a_stream(size, stride):
    X = np.stack(make_sequences([8] * N_SEQUENCES))
    settings = {"bidirectional": False, "patch_size": size, "patch_stride": stride}
    compare_with_stream(fitted(RNNClassifier((4,), **settings), X, [0, 1, 2]), X, 1e-10)


def test_bidirectional_networks_are_refused_by_name():
    X = np.stack(make_sequences([4] * 2))
    with pytest.raises(ValueError, match=r"step=True does not go with bidirectional=True"):
        to_onnx(fitted(RNNClassifier((4,)), X, [0, 1]), step=True)
