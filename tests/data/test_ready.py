"""X that needs no conversion is read at once, to the same sequences; all other X in the usual way, with its errors."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from sklearn_rnn import RNNRegressor
from sklearn_rnn._data import schema
from sklearn_rnn._data.ready import ready_sequences

X = np.random.default_rng(0).normal(size=(5, 7, 3)).astype(np.float32)


def unaligned(array):
    memory = np.empty(array.nbytes + 1, np.uint8)[1:]
    copy = memory.view(array.dtype).reshape(array.shape)
    copy[...] = array
    return copy


def mapped(array, path):
    np.save(path, array)
    return np.load(path, mmap_mode="r")[:]


def with_value(value):
    changed = X[:1].copy()
    changed[0, 2, 1] = value
    return changed


def fitted():
    return RNNRegressor((4,), bidirectional=False, max_iter=1, patch_size=1, random_state=0).fit(X, np.arange(5.0))


@pytest.mark.parametrize("ready", [X, X[2:3], [X[0]], X[:2].copy()], ids=["all", "a view", "a list", "two"])
def test_ready_sequences_are_those_of_the_usual_reading(ready, monkeypatch):
    estimator = fitted()
    actual = ready_sequences(ready, 3, np.dtype(np.float32))
    monkeypatch.setattr(schema, "ready_sequences", lambda *_: None)
    expected = estimator._model.schema.read(estimator, ready)
    for name in ("rows", "lengths", "form", "name", "starts", "common_length"):
        assert_array_equal(getattr(actual, name), getattr(expected, name))
    assert np.shares_memory(actual.rows, X) or np.shares_memory(actual.rows, ready)


def test_what_is_not_ready_is_left_to_the_usual_reading(tmp_path):
    others = [X.astype(np.float64), X.astype(">f4"), X.swapaxes(0, 1), X[:, :, :2], X[:0], X[0], X[..., None]]
    others += [[X[0], X[1]], [X[0, 0]], (X[0],), X.tolist(), np.ma.masked_array(X)]
    others += [with_value(value) for value in (np.nan, np.inf, -np.inf)]
    others += [np.full_like(X, 1e38), unaligned(X), mapped(X, tmp_path / "X.npy")]
    assert [ready_sequences(other, 3, np.dtype(np.float32)) for other in others] == [None] * len(others)


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("form", [lambda x: x, lambda x: [x[0]]], ids=["array", "list"])
def test_errors_of_a_single_sequence_are_those_of_the_usual_reading(value, form, monkeypatch):
    estimator, bad = fitted(), form(with_value(value))
    message = r"^X contains (NaN|infinity) in sequence 0, step 2, feature 1: RNNRegressor"
    with pytest.raises(ValueError, match=message) as at_once:
        estimator.predict(bad)
    monkeypatch.setattr(schema, "ready_sequences", lambda *_: None)
    with pytest.raises(ValueError, match=message) as usual:
        estimator.predict(bad)
    assert str(at_once.value) == str(usual.value)


@pytest.mark.parametrize("other", [unaligned, lambda x: np.asfortranarray(x), lambda x: x.astype(np.float64).tolist()])
def test_predictions_have_the_same_bits_in_any_memory(other):
    estimator = fitted()
    stream = estimator.stream()
    assert_array_equal(estimator.predict(other(X[:1])), estimator.predict(X[:1]))
    assert_array_equal(estimator.predict(other(X)), estimator.predict(X))
    assert_array_equal(stream.predict(other(X[:1])), estimator.predict(X[:1]))
