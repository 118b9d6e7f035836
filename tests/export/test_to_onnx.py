"""ONNX models: onnxruntime predicts what the estimators predict, for other batches than those of the fit."""

from itertools import product

import numpy as np
import pytest
from exported import (
    FIT_LENGTHS,
    OTHER_LENGTHS,
    TOLERANCES,
    fitted,
    largest_difference,
    padded,
    predictions_of,
    run,
)
from helpers import import_client, make_sequences
from numpy.testing import assert_array_equal

from sklearn_rnn import RNNClassifier, RNNRegressor
from sklearn_rnn.export import to_onnx

onnx = import_client("onnx")
import_client("onnxruntime")
pytestmark = pytest.mark.filterwarnings("ignore:max_iter:sklearn.exceptions.ConvergenceWarning")

CELLS = [("rnn", a) for a in ("tanh", "relu", "logistic", "identity")] + [("lstm", "tanh"), ("gru", "tanh")]
READOUTS = ["last", "mean", "max", ("max", "last", "mean")]
each_dtype = pytest.mark.parametrize("dtype", TOLERANCES)


def sequences(lengths=OTHER_LENGTHS, n_features=2, dtype="float64"):
    return make_sequences(lengths, n_features, seed=5, dtype=np.dtype(dtype))


def classifier(dtype="float64", y=(0, 1, 2, 0, 1, 2), **params):
    """A classifier of sequences, or of steps, with random weights."""
    X = make_sequences(FIT_LENGTHS, dtype=np.dtype(dtype))
    if params.get("readout") == "each":
        y = [np.arange(len(x)) % 3 for x in X]
    return fitted(RNNClassifier((4, 3), **params), X, y)


def regressor(dtype="float64", y=None, **params):
    X = make_sequences(FIT_LENGTHS, dtype=np.dtype(dtype))
    y = np.array([50.0, 60.0, 55.0, 40.0, 90.0, 65.0]) if y is None else y
    return fitted(RNNRegressor((4, 3), **params), X, y)


@each_dtype
@pytest.mark.parametrize("bidirectional", [False, True], ids=["forward", "bidirectional"])
@pytest.mark.parametrize(("cell", "activation"), CELLS)
def test_every_cell_predicts_the_same(cell, activation, bidirectional, dtype):
    settings = {"cell": cell, "activation": activation, "bidirectional": bidirectional}
    model, X = classifier(dtype, **settings), sequences(dtype=dtype)
    outputs = predictions_of(model, X)
    assert largest_difference(outputs["probabilities"], model.predict_proba(X)) < TOLERANCES[dtype]
    assert_array_equal(outputs["label"], model.predict(X))


@each_dtype
@pytest.mark.parametrize(
    ("readout", "size", "stride"),
    [("each", 1, None), *product(READOUTS, [1, 3], [None]), *product(READOUTS, [5], [2])],
    ids=str,
)
def test_every_readout_predicts_the_same(readout, size, stride, dtype):
    model = classifier(dtype, readout=readout, patch_size=size, patch_stride=stride)
    X = sequences(dtype=dtype)
    outputs = predictions_of(model, X)
    assert largest_difference(outputs["probabilities"], model.predict_proba(X)) < TOLERANCES[dtype]


@each_dtype
@pytest.mark.parametrize("step", [False, True], ids=["sequences", "step"])
def test_models_are_valid(step, dtype):
    for params in ({"readout": "each"}, {"patch_size": 3, "patch_stride": 2}):
        model = to_onnx(classifier(dtype, bidirectional=False, **params), step=step)
        onnx.checker.check_model(model, full_check=True)


@pytest.mark.parametrize("padding", [0.0, 1e30, np.nan, np.inf])
@each_dtype
def test_values_of_padding_do_not_matter(dtype, padding):
    model, X = classifier(dtype, patch_size=3, patch_stride=2), sequences(dtype=dtype)
    x, lengths = padded(X, padding)
    x = np.concatenate([x, np.full_like(x, padding)], axis=1)  # and steps that no sequence has
    outputs = run(to_onnx(model), X=x, lengths=lengths)
    assert largest_difference(outputs["probabilities"], model.predict_proba(X)) < TOLERANCES[dtype]


@each_dtype
@pytest.mark.parametrize("n_steps", [1, 2, 30])
def test_without_lengths_all_sequences_have_all_steps(n_steps, dtype):
    model, X = classifier(dtype, patch_size=3, patch_stride=2), np.stack(sequences([n_steps] * 3, dtype=dtype))
    exported = to_onnx(model, lengths=False)
    assert [value.name for value in exported.graph.input] == ["X"]
    assert largest_difference(run(exported, X=X)["probabilities"], model.predict_proba(X)) < TOLERANCES[dtype]


@pytest.mark.parametrize(
    "labels",
    [
        [0, 1],
        [-3, 7, 100],
        np.array([1, 200, 3], np.uint8),
        ["no", "yes"],
        np.array(["a", "b"], object),
        ["red", "green", "blue"],
        [False, True],
        [1.0, 2.0],
        [-1.0, 0.0, 4.0],
    ],
    ids=str,
)
@each_dtype
def test_labels_of_every_kind_come_out(labels, dtype):
    y = [labels[i % len(labels)] for i in range(len(FIT_LENGTHS))]
    model, X = classifier(dtype, y), sequences(5 * OTHER_LENGTHS, dtype=dtype)
    mean_scores = model.predict_log_proba(X).mean(axis=0)
    model.weights_["readout.bias"][...] -= mean_scores if len(labels) > 2 else mean_scores[1] - mean_scores[0]
    outputs = predictions_of(model, X)
    assert largest_difference(outputs["probabilities"], model.predict_proba(X)) < TOLERANCES[dtype]
    assert_array_equal(outputs["label"], model.predict(X))
    assert len(set(outputs["label"])) > 1


@each_dtype
def test_multilabel_targets_have_a_column_for_each_label(dtype):
    y = np.array([[0, 1, 1], [1, 0, 1], [1, 1, 0], [0, 0, 0], [1, 0, 0], [0, 1, 0]])
    model, X = classifier(dtype, y), sequences(dtype=dtype)
    outputs = predictions_of(model, X)
    assert largest_difference(outputs["probabilities"], model.predict_proba(X)) < TOLERANCES[dtype]
    assert_array_equal(outputs["label"], model.predict(X))


def test_labels_that_onnx_does_not_have_are_refused_by_name():
    y = np.array([0, 1, 2, 0, 1, 2], "float16")
    with pytest.raises(ValueError, match=r"classes_ has dtype float16"):
        to_onnx(classifier(y=y))


@each_dtype
@pytest.mark.parametrize("loss", ["squared_error", "poisson"])
@pytest.mark.parametrize("normalize_y", [False, True])
@pytest.mark.parametrize("n_outputs", [None, 1, 3])
def test_regressors_predict_in_units_of_y(n_outputs, normalize_y, loss, dtype):
    y = np.array([50.0, 60.0, 55.0, 40.0, 90.0, 65.0])
    if n_outputs is not None:
        y = np.outer(y, np.arange(1, n_outputs + 1))
    model, X = regressor(dtype, y, loss=loss, normalize_y=normalize_y), sequences(dtype=dtype)
    outputs = predictions_of(model, X)
    assert largest_difference(outputs["prediction"], model.predict(X)) < TOLERANCES[dtype]


@pytest.mark.parametrize("n_outputs", [None, 2])
def test_regressors_predict_at_every_step(n_outputs):
    X = make_sequences(FIT_LENGTHS)
    y = [x[:, 0] if n_outputs is None else x[:, :n_outputs] for x in X]
    model, Z = regressor(y=y, readout="each"), sequences()
    assert largest_difference(predictions_of(model, Z)["prediction"], model.predict(Z)) < 1e-10


def test_a_table_is_exported_as_steps_of_features():
    X = np.stack(sequences([6] * 8)).reshape(8, -1)
    model = fitted(RNNClassifier((4,), step_features=2), X, np.arange(8) % 2)
    outputs = run(to_onnx(model, lengths=False), X=X.reshape(8, 6, 2))
    assert largest_difference(outputs["probabilities"], model.predict_proba(X)) < 1e-10


def test_a_network_of_float64_can_be_exported_in_float32():
    model, X = classifier(), sequences()
    outputs = predictions_of(model, [x.astype(np.float32) for x in X], dtype="float32")
    assert outputs["probabilities"].dtype == np.float32
    assert largest_difference(outputs["probabilities"], model.predict_proba(X)) < 1e-5
    with pytest.raises(ValueError, match=r"dtype must be 'float32', 'float64' or None, got 'int8'"):
        to_onnx(model, dtype="int8")


def test_the_model_is_written_to_a_path(tmp_path):
    model = to_onnx(classifier(), tmp_path / "network.onnx")
    assert onnx.load(tmp_path / "network.onnx") == model


def test_other_estimators_are_refused_by_name():
    from sklearn.linear_model import Ridge
    from sklearn.pipeline import make_pipeline

    from sklearn_rnn.preprocessing import RecurrentFeatures

    X = make_sequences(FIT_LENGTHS)
    pipeline = make_pipeline(RecurrentFeatures(random_state=0), Ridge()).fit(X, np.arange(len(X)))
    with pytest.raises(TypeError, match=r"a Pipeline whose last step is a Ridge, but it must be an RNNClassifier"):
        to_onnx(pipeline)


def test_new_cells_and_readouts_are_refused_by_name(monkeypatch):
    from sklearn_rnn.export import _cells, _outputs

    with pytest.raises(ValueError, match=r"cell='leaky' has no equations in ONNX"):
        _cells.onnx_cell({"cell": "leaky", "activation": "tanh"})
    with pytest.raises(ValueError, match=r"readout='sum' has no equations in ONNX"):
        raise _outputs.unknown_pool("sum")
