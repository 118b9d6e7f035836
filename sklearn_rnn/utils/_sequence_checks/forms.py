"""Checks of the forms of X, and of values per step."""

from __future__ import annotations

import numpy as np

from sklearn_rnn.utils._sequence_checks.check import sequence_check
from sklearn_rnn.utils._sequence_checks.comparisons import assert_same_bits, assert_same_weights
from sklearn_rnn.utils._sequence_checks.data import object_array


@sequence_check("containers")
def check_a_list_a_tuple_and_object_array_and_3d_array_are_the_same_data(subject):
    """Lists, tuples, object arrays and 3-D arrays of the same values give the same bits."""
    for dtype in subject.dtypes:
        sequences, y = subject.make_data(subject.equal_lengths, dtype)
        reference = subject.fitted(sequences, y)
        expected = subject.outputs(reference, sequences)
        for X in (tuple(sequences), object_array(sequences), np.stack(sequences)):
            assert_same_bits(subject.outputs(reference, X), expected)
            estimator = subject.fitted(X, y)
            assert_same_weights(estimator, reference)
            assert_same_bits(subject.outputs(estimator, sequences), expected)


@sequence_check("containers", "ragged")
def check_ragged_forms_are_the_same_data(subject):
    """Lists, tuples and object arrays of sequences of different lengths give the same bits."""
    sequences, y = subject.make_data()
    reference = subject.fitted(sequences, y)
    for X in (tuple(sequences), object_array(sequences)):
        estimator = subject.fitted(X, y)
        assert_same_weights(estimator, reference)
        assert_same_bits(subject.outputs(estimator, X), subject.outputs(reference, sequences))


@sequence_check("containers", "ragged")
def check_univariate_sequences_may_be_1d(subject):
    """Sequences of one feature may be 1-D arrays."""
    sequences, y = subject.make_data()
    columns = [sequence[:, :1] for sequence in sequences]
    flat = [sequence[:, 0] for sequence in sequences]
    reference, estimator = subject.fitted(columns, y), subject.fitted(flat, y)
    for fitted in (estimator, reference):
        assert fitted.n_features_in_ == 1, f"n_features_in_ is {fitted.n_features_in_}"
    assert_same_bits(subject.outputs(estimator, flat), subject.outputs(reference, columns))


@sequence_check("containers", "ragged")
def check_nested_lists_of_numbers_are_sequences(subject):
    """Nested lists of numbers give the same bits as arrays."""
    sequences, y = subject.make_data()
    reference = subject.fitted(sequences, y)
    nested = [np.asarray(sequence).tolist() for sequence in subject.in_layout(sequences)]
    assert_same_bits(subject.outputs_as_is(reference, nested), subject.outputs(reference, sequences))


@sequence_check("containers")
def check_values_per_step_come_back_in_the_form_of_x(subject):
    """Values per step have the form of X: a list, an object array or an array of more than one axis."""
    sequences, y = subject.make_data(subject.equal_lengths)
    estimator = subject.fitted(sequences, y)
    forms = {
        list: sequences,
        tuple: tuple(sequences),
        object: object_array(sequences),
        np.ndarray: np.stack(sequences),
    }
    for form, X in forms.items():
        for method, values in subject.outputs(estimator, X).items():
            if subject.is_per_step(method):
                assert has_form(values, form), f"{method} of {form.__name__} returns {type(values).__name__}"
                assert len(values) == len(sequences), f"{method} of {form.__name__} returns {len(values)} items"


def has_form(values, form):
    """Whether values per step have the form of X."""
    if form in (list, tuple):
        return isinstance(values, list)
    if not isinstance(values, np.ndarray):
        return False
    return values.dtype == object and values.ndim == 1 if form is object else values.dtype != object and values.ndim > 1


@sequence_check("steps", "ragged")
def check_values_per_step_are_as_many_as_the_steps(subject):
    """Values per step are as many as the steps of the sequence, or as its patches."""
    sequences, y = subject.make_data()
    estimator = subject.fitted(sequences, y)
    stride = getattr(estimator, "patch_stride_", 1)
    expected = [-(-length // stride) for length in subject.lengths]
    axis = 1 if subject.layout == "case_channel_time" else 0
    for method, values in subject.outputs(estimator, sequences).items():
        if subject.is_per_step(method):
            time_axis = axis if method == "transform" else 0
            n_steps = [np.asarray(value).shape[time_axis] for value in values]
            assert n_steps == expected, f"{method} returns {n_steps} values, and {expected} are expected"


@sequence_check("containers")
def check_memory_may_be_laid_out_in_any_way(subject):
    """Arrays of any strides and byte order, also read-only ones, give the same bits, and are not changed."""
    for lengths in (subject.lengths, subject.equal_lengths):
        X, y = subject.make_data(lengths)
        X = subject.in_layout(X)
        reference = subject.fitted_as_is(X, y)
        expected = subject.outputs_as_is(reference, X)
        for in_other_memory in MEMORY_LAYOUTS:
            if lengths is subject.equal_lengths:
                other = in_other_memory(np.stack(X))
            else:
                other = [in_other_memory(sequence) for sequence in X]
            before = [sequence.copy() for sequence in other]
            estimator = subject.fitted_as_is(other, y)
            assert_same_weights(estimator, reference)
            assert_same_bits(subject.outputs_as_is(estimator, other), expected)
            for sequence, sequence_before in zip(other, before):
                unchanged = np.array_equal(sequence, sequence_before)
                assert unchanged, f"X is changed ({in_other_memory.__name__})"


def read_only(array):
    array = array.copy()
    array.flags.writeable = False
    return array


def column_major(array):
    return np.asfortranarray(array)


def part_of_a_larger_one(array):
    larger = np.full(tuple(2 * n for n in array.shape), np.nan, array.dtype)
    part = larger[tuple(slice(None, None, 2) for _ in array.shape)]
    part[...] = array
    return part


def backwards_in_memory(array):
    everywhere = (slice(None, None, -1),) * array.ndim
    return array[everywhere].copy()[everywhere]


def of_other_byte_order(array):
    return array.astype(array.dtype.newbyteorder())


MEMORY_LAYOUTS = (read_only, column_major, part_of_a_larger_one, backwards_in_memory, of_other_byte_order)


@sequence_check("dtypes")
def check_float32_stays_float32(subject):
    """Data in float32 give results in float32."""
    for lengths in (subject.lengths, subject.equal_lengths):
        X, y = subject.make_data(lengths, np.float32)
        if lengths == subject.equal_lengths:
            X = np.stack(X)
        assert_floats_have_dtype(subject, subject.fitted(X, y), X, np.float32)


@sequence_check("dtypes")
def check_other_numbers_become_float64(subject):
    """Integers and float16 give the bits of the same numbers in float64."""
    X, y = subject.make_data()
    whole = [np.rint(3 * sequence) for sequence in X]
    reference = subject.fitted(whole, y)
    assert_floats_have_dtype(subject, reference, whole, np.float64)
    expected = subject.outputs(reference, whole)
    for dtype in (np.int64, np.int8, np.float16):
        others = [sequence.astype(dtype) for sequence in whole]
        assert_same_bits(subject.outputs(subject.fitted(others, y), others), expected)


def assert_floats_have_dtype(subject, estimator, X, dtype):
    floats = {
        method: {np.asarray(value).dtype for value in values if np.asarray(value).dtype.kind == "f"}
        for method, values in subject.outputs(estimator, X).items()
    }
    assert any(floats.values()), f"none of {list(floats)} returns floats"
    floats |= {name: {weights.dtype} for name, weights in getattr(estimator, "weights_", {}).items()}
    others = {name: dtypes for name, dtypes in floats.items() if dtypes - {np.dtype(dtype)}}
    assert not others, f"{others}, and {np.dtype(dtype)} is expected"
