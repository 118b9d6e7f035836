"""Tools of the tests of exports: padded data, and predictions of ONNX models."""

import numpy as np
from helpers import import_client, randomize

from sklearn_rnn.export import to_onnx

# Largest differences of probabilities, and of values divided by the largest one.
TOLERANCES = {"float32": 1e-5, "float64": 1e-10}
FIT_LENGTHS, OTHER_LENGTHS = (6, 4, 9, 1, 9, 7), (3, 8, 1, 12, 8)


def fitted(estimator, X, y):
    """An estimator with random weights, which was fitted on X and y."""
    estimator.set_params(max_iter=1, random_state=0).fit(X, y)
    weights = estimator.weights_
    randomize({name: weights[name] for name in weights if name != "readout.bias"})
    return estimator


def padded(X, value=np.nan):
    """Sequences as an array (n_sequences, n_steps, n_features) with padding at the ends, and their lengths."""
    lengths = np.array([len(x) for x in X])
    array = np.full((len(X), lengths.max(), *np.shape(X[0])[1:]), value, np.asarray(X[0]).dtype)
    for row, x in zip(array, X):
        row[: len(x)] = x
    return array, lengths


def session_of(model):
    """A session of onnxruntime, in one thread."""
    onnxruntime = import_client("onnxruntime")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(model.SerializeToString(), options)


def run(model, **inputs):
    """The outputs of a model, by name."""
    session = session_of(model)
    return dict(zip((output.name for output in session.get_outputs()), session.run(None, inputs)))


def predictions_of(estimator, X, **options):
    """The outputs of an exported estimator for sequences, by name, without those of padding."""
    x, lengths = padded(X)
    outputs = run(to_onnx(estimator, **options), X=x, lengths=lengths)
    if getattr(estimator, "readout", None) != "each":
        return outputs
    return {name: [row[:n] for row, n in zip(values, lengths)] for name, values in outputs.items()}


def largest_difference(actual, expected):
    """Largest difference of arrays, or of lists of arrays, over the largest absolute value if this is above 1."""
    if isinstance(expected, list):
        actual, expected = np.concatenate(actual), np.concatenate(expected)
    assert actual.shape == expected.shape
    assert np.isfinite(actual).all()
    return float(np.abs(actual - expected).max() / max(1.0, np.abs(expected).max()))
