"""ONNX models of networks with categorical features: an input for each, unknown and missing categories included."""

import numpy as np
import pandas as pd
import pytest
from exported import fitted, largest_difference, run, session_of
from helpers import import_client, make_sequences

from sklearn_rnn import RNNClassifier
from sklearn_rnn.export import to_onnx

import_client("onnx")
import_client("onnxruntime")
pytestmark = pytest.mark.filterwarnings("ignore:max_iter:sklearn.exceptions.ConvergenceWarning")

LENGTHS = (5, 2, 7, 4)


def frames(lengths=LENGTHS, kinds=("a", "b", "c"), seed=0):
    """Sequences of a number, a string, a whole number that is a category, and another number."""
    generator = np.random.default_rng(seed)
    return [
        pd.DataFrame(
            {
                "size": generator.normal(size=n),
                "kind": generator.choice(kinds, n),
                "shop": generator.integers(3, 9, n),
                "price": generator.normal(size=n),
            }
        )
        for n in lengths
    ]


def in_inputs(X, names, fillers):
    """The columns of frames as padded inputs."""
    n_steps = max(map(len, X))
    inputs = {
        name: np.array([[*x[name], *[filler] * (n_steps - len(x))] for x in X]) for name, filler in zip(names, fillers)
    }
    numbers = [np.pad(x[["size", "price"]].to_numpy(), ((0, n_steps - len(x)), (0, 0))) for x in X]
    return {"X": np.stack(numbers), "lengths": np.array([len(x) for x in X])} | inputs


@pytest.mark.parametrize(("size", "stride"), [(1, None), (4, 2)])
def test_strings_and_whole_numbers_are_inputs_by_name(size, stride):
    settings = {"categorical_features": ["kind", "shop"], "patch_size": size, "patch_stride": stride}
    model = fitted(RNNClassifier((4,), **settings), frames(), [0, 1, 0, 1])
    X = frames((3, 9, 1), ("a", "b", "never seen"), seed=1)
    X[1].loc[3, "shop"] = 77
    inputs = in_inputs(X, ["kind", "shop"], ["", 0])
    outputs = run(to_onnx(model), **inputs)
    assert largest_difference(outputs["probabilities"], model.predict_proba(X)) < 1e-10


def test_tokens_have_an_input_alone():
    X = [list("abba"), list("cab"), list("bb"), list("acacia")]
    model = fitted(RNNClassifier((4,), categorical_features=[0]), X, [0, 1, 0, 1])
    Z = [list("ba"), list("cabbage")]
    tokens = np.array([["b", "a"] + 5 * [""], list("cabbage")], dtype=object)
    exported = to_onnx(model)
    assert [value.name for value in exported.graph.input] == ["x0", "lengths"]
    outputs = run(exported, x0=tokens, lengths=np.array([2, 7]))
    assert largest_difference(outputs["probabilities"], model.predict_proba(Z)) < 1e-5  # tokens are read in float32


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_fractions_are_compared_in_float32(dtype):
    X = [np.array([0.1, 2.5, 3.0], dtype), np.array([2.5, 0.1], dtype), np.array([3.0, 0.1, 0.1], dtype)]
    model = fitted(RNNClassifier((4,), categorical_features=[0]), X, [0, 1, 0])
    Z = np.array([[0.1, 0.1, 3.0], [2.5, 9.9, 0.1]], dtype)
    outputs = run(to_onnx(model), x0=Z.astype(np.float32), lengths=np.array([3, 3]))
    assert largest_difference(outputs["probabilities"], model.predict_proba(list(Z))) < 1e-5


@pytest.mark.parametrize(("size", "stride"), [(1, None), (2, None), (3, 1)])
def test_steps_with_categories_are_those_of_a_stream(size, stride):
    settings = {"categorical_features": ["kind", "shop"], "bidirectional": False, "readout": "last"}
    model = fitted(RNNClassifier((4,), **settings, patch_size=size, patch_stride=stride), frames(), [0, 1, 0, 1])
    (X,), stream = frames((8,), seed=1), model.stream()
    session, state, n_new = session_of(to_onnx(model, step=True)), stream.state, model.patch_stride_
    names = [output.name for output in session.get_outputs()]
    for start in range(0, 8, n_new):
        chunk = X[start : start + n_new].reset_index(drop=True)
        inputs = in_inputs([chunk], ["kind", "shop"], ["", 0])
        steps = {name: inputs[name][0] if n_new == 1 else inputs[name] for name in ("kind", "shop")}
        x = inputs["X"][0] if n_new == 1 else inputs["X"]
        results = dict(zip(names, session.run(None, {"x": x, **steps, **state})))
        assert largest_difference(results["probabilities"], stream.predict_proba([chunk])) < 1e-10
        state = {name: results[f"next.{name}"] for name in state}
        for name, array in stream.state.items():
            assert largest_difference(state[name], array) < 1e-10, name


def test_a_feature_with_the_name_of_another_input_is_refused():
    X = [frame.rename(columns={"kind": "lengths"}) for frame in frames()]
    model = fitted(RNNClassifier((4,), categorical_features=["lengths"]), X, [0, 1, 0, 1])
    with pytest.raises(ValueError, match=r"categorical_features has a feature called 'lengths'"):
        to_onnx(model)


def test_fractions_among_numbers_that_float32_does_not_tell_apart_are_refused():
    X = [x[:, :1] for x in make_sequences((3, 2))]
    settings = {"categorical_features": [0], "categories": [[0.5, 2**25]]}
    model = RNNClassifier((4,), **settings)
    X = [np.array([[0.5], [2.0**25]]), np.array([[0.5]])]
    with pytest.raises(ValueError, match=r"categorical_features has '0', whose categories are fractions"):
        to_onnx(fitted(model, X, [0, 1]))
