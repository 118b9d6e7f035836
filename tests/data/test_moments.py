"""Mean and spread of columns, in chunks."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from sklearn_rnn._data import moments
from sklearn_rnn._data.moments import Moments


def rows_and_weights(n=57, dtype=np.float64):
    generator = np.random.default_rng(0)
    rows = generator.normal(size=(n, 3)) * [1.0, 1e-3, 1e6] + [0.0, 5.0, 1e9]
    return rows.astype(dtype), generator.uniform(0.1, 3, n)


def moments_of(rows, weights=None, n_parts=1):
    result = Moments(rows.shape[1])
    parts = np.array_split(np.arange(len(rows)), n_parts)
    for part in parts:
        result.add(rows[part], None if weights is None else weights[part])
    return result


@pytest.mark.parametrize("n_parts", [1, 2, 20, 57])
@pytest.mark.parametrize("values_at_once", [1, 9, 1000])
def test_chunks_of_any_size_give_the_weighted_mean_and_spread(n_parts, values_at_once, monkeypatch):
    monkeypatch.setattr(moments, "VALUES_PER_CHECK", values_at_once)
    rows, weights = rows_and_weights()
    for w in (weights, None):
        actual = moments_of(rows, w, n_parts)
        mean = np.average(rows, axis=0, weights=w)
        spread = np.sqrt(np.average((rows - mean) ** 2, axis=0, weights=w))
        assert_allclose(actual.mean, mean, rtol=1e-14, atol=1e-15)
        assert_allclose(actual.spread, spread, rtol=1e-11, atol=0)


def test_the_spread_of_values_far_from_0_keeps_its_digits():
    generator = np.random.default_rng(0)
    values = generator.integers(-8, 9, size=(1000, 1)) / 8
    far = moments_of(values + 2.0**45)  # exact in float64, but the squares are not
    assert_allclose(far.spread, values.std(axis=0), rtol=1e-13, atol=0)


def test_sums_of_float32_rows_are_float64():
    rows, _ = rows_and_weights(dtype=np.float32)
    actual, expected = moments_of(rows), moments_of(rows.astype(np.float64))
    assert_array_equal(actual.mean, expected.mean)
    assert_array_equal(actual.spread, expected.spread)


def test_rows_are_left_as_they_are():
    rows, weights = rows_and_weights()
    before = rows.copy(), weights.copy()
    moments_of(rows, weights)
    assert_array_equal(rows, before[0])
    assert_array_equal(weights, before[1])


@pytest.mark.parametrize("value", [0.0, 0.1, -7e20])
def test_equal_values_are_constant_with_an_exact_mean(value):
    actual = moments_of(np.full((1000, 1), value), np.linspace(0.1, 1, 1000), 7)
    assert_array_equal(actual.mean, [value])
    assert_array_equal(actual.spread, [0])
    assert actual.is_constant(0.0).all()


def test_values_that_differ_by_rounding_are_constant_for_that_precision():
    values = np.array([[1.0], [1.0 + 1e-15]])
    assert moments_of(values).is_constant(1e-15).all()
    assert not moments_of(values).is_constant(1e-16).any()


def test_without_rows_mean_and_spread_are_0():
    nothing = Moments(2)
    nothing.add(np.empty((0, 2)))
    assert_array_equal(nothing.mean, [0, 0])
    assert_array_equal(nothing.spread, [0, 0])
