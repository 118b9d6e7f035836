"""Weights of 8 bits: what rounding loses, exact sums, and values that no integer holds."""

import numpy as np
import pytest
from kernel_problems import each_dtype
from numpy.testing import assert_allclose, assert_array_equal

from sklearn_rnn._network.int8_weights import MOST_ROWS, Int8Matrix, int8_weights, to_int8


def draw(*shape, dtype=np.float64, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(dtype)


@each_dtype
@pytest.mark.parametrize("axis", [0, 1])
def test_an_error_is_at_most_half_a_scale(dtype, axis):
    values = draw(50, 7, dtype=dtype)
    integers, scales = to_int8(values, axis)
    assert integers.dtype == np.int8
    assert scales.dtype == dtype
    assert_array_equal(np.abs(integers).max(axis=axis), np.full(len(scales), 127))
    errors = np.abs(values - np.expand_dims(scales, axis) * integers)
    assert (errors <= np.expand_dims(scales, axis) * (0.5 + 1e-4)).all()


@each_dtype
def test_each_row_and_each_column_has_a_scale_of_its_own(dtype):
    values = draw(4, 6, dtype=dtype)
    for axis in (0, 1):
        factors = np.expand_dims(2.0 ** np.arange(-3, values.shape[1 - axis] - 3), axis).astype(dtype)
        integers, scales = to_int8(values, axis)
        same_integers, larger = to_int8(values * factors, axis)
        assert_array_equal(same_integers, integers)
        assert_array_equal(larger, scales * factors.ravel())


@each_dtype
def test_a_product_is_near_that_of_the_weights_that_were_rounded(dtype):
    weights, rows = draw(40, 9, dtype=dtype), draw(5, 40, dtype=dtype, seed=1)
    matrix = Int8Matrix.of(weights)
    actual = matrix.multiply(rows, np.empty((5, 9), dtype))
    scales_of_rows = to_int8(rows, axis=1)[1]
    rounded_weights = matrix.scales * matrix.integers
    # h u - h' u' = h (u - u') + (h - h') u'; no rounding error is larger than half a scale.
    bounds = matrix.scales / 2 * np.abs(rows).sum(axis=1)[:, None]
    bounds = bounds + scales_of_rows[:, None] / 2 * np.abs(rounded_weights).sum(axis=0)
    assert (np.abs(actual - rows @ weights) <= bounds * (1 + 1e-4)).all()
    assert np.abs(actual - rows @ weights).max() > 1e-4 * bounds.max()  # the integers did the work


def test_sums_are_exact_for_the_largest_integers_and_the_most_units():
    weights = np.full((MOST_ROWS, 2), [1.0, -1.0])
    weights[1] = [0.5, 0.25]
    rows = np.ones((1, MOST_ROWS))
    expected = np.array([[127 * (MOST_ROWS - 1) + 64, -127 * (MOST_ROWS - 1) + 32]]) * 127 / 127**2
    assert_allclose(Int8Matrix.of(weights).multiply(rows, np.empty((1, 2))), expected, rtol=1e-15, atol=0)


def test_a_row_has_the_same_bits_alone_and_with_any_others():
    matrix, rows = Int8Matrix.of(draw(70, 5, dtype=np.float32)), draw(9, 70, dtype=np.float32, seed=1)
    together = matrix.multiply(rows, np.empty((9, 5), np.float32))
    for row, expected in zip(rows, together):
        assert_array_equal(matrix.multiply(row[None], np.empty((1, 5), np.float32))[0], expected)


@each_dtype
@pytest.mark.parametrize("value", [0.0, 1e-38, -1e-31])
def test_columns_and_rows_of_tiny_numbers_are_zeros(dtype, value):
    weights = draw(3, 2, dtype=dtype)
    weights[:, 1] = value
    matrix = Int8Matrix.of(weights)
    assert matrix.scales[1] == 0
    rows = np.array([[value] * 3, [1, 2, 3]], dtype)
    actual = matrix.multiply(rows, np.empty((2, 2), dtype))
    assert_array_equal(actual == 0, [[True, True], [False, True]])


@each_dtype
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_nan_and_infinity_make_the_products_of_their_row_or_column_nan(dtype, value):
    weights, rows = draw(3, 2, dtype=dtype), draw(2, 3, dtype=dtype)
    rows[0, 1] = value
    actual = Int8Matrix.of(weights).multiply(rows, np.empty((2, 2), dtype))
    assert_array_equal(np.isnan(actual), [[True, True], [False, False]])
    weights[2, 0] = value
    actual = Int8Matrix.of(weights).multiply(rows[1:], np.empty((1, 2), dtype))
    assert_array_equal(np.isnan(actual), [[True, False]])


def test_weights_of_data_and_biases_stay_as_they_are():
    weights = {"input": draw(3, 8), "recurrent": draw(4, 8), "bias": draw(8)}
    first, second = (int8_weights("layer", weights, is_first) for is_first in (True, False))
    assert first["input"] is weights["input"]
    assert isinstance(second["input"], Int8Matrix)
    for rounded in (first, second):
        assert isinstance(rounded["recurrent"], Int8Matrix)
        assert rounded["bias"] is weights["bias"]


def test_more_units_than_sums_can_hold_are_refused():
    weights = {"input": np.zeros((1, 1)), "recurrent": np.zeros((MOST_ROWS + 1, 1)), "bias": np.zeros(1)}
    message = r"^precision='int8' is for layers of up to 65536 units, but layer_0 reads 65537"
    with pytest.raises(ValueError, match=message):
        int8_weights("layer_0", weights, is_first=True)
