"""The models of all releases: this version loads them, and they predict the same."""

import warnings
from pathlib import Path

import numpy as np
import pytest
from make_models import MODELS, read_inputs, results_of
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.exceptions import InconsistentVersionWarning

import sklearn_rnn

ROOT = Path(__file__).parent
RELEASES = sorted(path for path in ROOT.iterdir() if (path / "results.npz").exists())
FILES = [file for folder in RELEASES for file in sorted(folder.glob("*.npz")) if file.stem not in ("inputs", "results")]
# Other levels of kernels, and NumPy, round in another order. On one machine their results for these models differ by up
# to 2e-15 of the largest number in float64, and 3e-7 in float32.
TOLERANCES = {np.dtype(np.float64): 1e-12, np.dtype(np.float32): 1e-5}


def load(path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", InconsistentVersionWarning)
        return sklearn_rnn.load(path)


def expected_of(path):
    """The name of the input of a model, and what it computed when it was saved."""
    with np.load(path.parent / "results.npz", allow_pickle=False) as arrays:
        names = [name.split("/") for name in arrays.files if name.split("/")[0] == path.stem]
        return names[0][1], {method: arrays["/".join((model, X, method))] for model, X, method in names}


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_a_model_of_a_release_predicts_the_same(path):
    X, expected = expected_of(path)
    results = results_of(load(path), read_inputs(path.parent)[X])
    assert results.keys() == expected.keys()
    for method, values in expected.items():
        if values.dtype.kind == "f":
            tolerance = TOLERANCES[values.dtype]
            scale = np.abs(values).max()
            assert_allclose(results[method], values, rtol=tolerance, atol=tolerance * scale, err_msg=method)
        else:
            assert_array_equal(results[method], values)


def test_there_is_a_file_for_each_model():
    names = {file.stem for file in FILES if file.parent == RELEASES[-1]}
    assert names == set(MODELS)
    assert sum(file.stat().st_size for folder in RELEASES[-1:] for file in folder.iterdir()) < 300_000


def test_training_continues_from_a_file_of_a_release():
    path = RELEASES[-1] / "huber.npz"
    X, expected = expected_of(path)
    estimator, inputs = load(path), read_inputs(path.parent)[X]
    continued = estimator.partial_fit(inputs, np.arange(10.0)).predict(inputs)
    assert np.abs(continued - expected["predict"]).max() > 1e-3
    assert estimator.n_iter_ == 4
