"""Checks of estimators of sequences: scikit-learn's estimator checks of rows, for sequences.

A check gets an estimator's name and the estimator, as in scikit-learn. It clones the estimator, and raises an error if
the estimator is wrong. One suite checks classifiers, regressors and transformers: :func:`applicable_checks` yields the
checks that apply to an estimator.

The data are small and ragged. An estimator with ``readout="each"`` gets targets for every step.
"""

import copy
import io
import pickle
from functools import partial
from unittest.mock import patch

import joblib
import numpy as np
from helpers import make_sequences
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone, is_classifier, is_regressor
from sklearn.model_selection import GridSearchCV, KFold, cross_val_score
from sklearn.utils.validation import has_fit_parameter

from sklearn_rnn.preprocessing import RecurrentFeatures

# Not sorted; one sequence has a single step, several have the same length.
LENGTHS = (5, 3, 7, 5, 1, 4, 6, 2, 5, 3, 4, 8)
EQUAL_LENGTHS = (6,) * 12

METHODS = ("predict", "predict_proba", "predict_log_proba", "transform", "hidden_states")
DTYPES = (np.float64, np.float32)

# Batches of different sizes are summed in a different order: only rounding may differ.
ROUNDING = {
    np.float64: {"rtol": 1e-9, "atol": 1e-12},
    np.float32: {"rtol": 1e-4, "atol": 1e-5},
}

# For the weights after training, in float64: training enlarges a difference in the last bit.
TRAINED = {"rtol": 1e-6, "atol": 1e-9}


# ---- Data and fits -----------------------------------------------------------------------------------


def make_data(estimator, lengths=LENGTHS, dtype=np.float64, seed=0):
    """Return sequences of two features, and targets for the estimator (None for transformers).

    With categorical features, the second one has about ten values, some of which only one sequence has.
    """
    X = make_sequences(lengths, 2, seed=seed, dtype=dtype)
    if isinstance(getattr(estimator, "categorical_features", None), list):
        for x in X:
            x[:, 1] = np.rint(2 * x[:, 1])
    generator = np.random.default_rng(seed + 1)
    n_targets = sum(lengths) if has_targets_per_step(estimator) else len(lengths)
    if is_classifier(estimator):
        y = np.array(["one", "three", "two"])[np.arange(n_targets) % 3]
        generator.shuffle(y)
    elif is_regressor(estimator):
        y = generator.normal(size=n_targets)
    else:
        return X, None
    if has_targets_per_step(estimator):
        y = np.split(y, np.cumsum(lengths)[:-1])
    return X, y


def has_targets_per_step(estimator):
    return getattr(estimator, "readout", None) == "each"


def is_predictor(estimator):
    return is_classifier(estimator) or is_regressor(estimator)


def fitted(estimator_orig, X, y, **fit_params):
    return clone(estimator_orig).fit(X, y, **fit_params)


def continue_training(estimator, X, y):
    """Call ``partial_fit``, for the first time or again."""
    if not is_classifier(estimator):
        return estimator.partial_fit(X, y)
    labels = np.unique(np.concatenate(y) if has_targets_per_step(estimator) else y)
    return estimator.partial_fit(X, y, classes=labels)


def taken(items, indices):
    """Return the items of a list or an array at ``indices``."""
    return [items[i] for i in indices] if isinstance(items, list) else items[indices]


def object_array(items):
    array = np.empty(len(items), dtype=object)
    array[:] = items
    return array


# ---- Comparisons -------------------------------------------------------------------------------------


def outputs(estimator, X):
    """Return the result of each of the estimator's methods for X, by the method's name."""
    return {name: getattr(estimator, name)(X) for name in METHODS if hasattr(estimator, name)}


def assert_same_bits(actual, expected):
    """Compare outputs sequence by sequence, in any form."""
    compare_outputs(actual, expected, assert_array_equal)


def assert_equal_but_for_rounding(actual, expected, dtype=np.float64):
    compare_outputs(actual, expected, partial(assert_allclose, **ROUNDING[dtype]))


def compare_outputs(actual, expected, assert_alike):
    assert set(actual) == set(expected) != set()
    for method, expected_values in expected.items():
        assert len(actual[method]) == len(expected_values), method
        for a, b in zip(actual[method], expected_values):
            a, b = np.asarray(a), np.asarray(b)
            assert a.shape == b.shape, method
            assert a.dtype == b.dtype, method
            compare = assert_array_equal if a.dtype.kind in "OU" else assert_alike
            compare(a, b, err_msg=method)


def assert_same_weights(actual, expected, assert_alike=assert_array_equal):
    if not hasattr(expected, "weights_"):
        return
    assert list(actual.weights_) == list(expected.weights_)
    for name, weights in expected.weights_.items():
        assert_alike(actual.weights_[name], weights, err_msg=name)


# ---- Forms of X --------------------------------------------------------------------------------------


def check_a_list_a_tuple_and_object_array_and_3d_array_are_the_same_data(name, estimator_orig):
    for dtype in DTYPES:
        sequences, y = make_data(estimator_orig, EQUAL_LENGTHS, dtype)
        reference = fitted(estimator_orig, sequences, y)
        expected = outputs(reference, sequences)
        for X in (tuple(sequences), object_array(sequences), np.stack(sequences)):
            assert_same_bits(outputs(reference, X), expected)
            estimator = fitted(estimator_orig, X, y)
            assert_same_weights(estimator, reference)
            assert_same_bits(outputs(estimator, sequences), expected)


def check_ragged_forms_are_the_same_data(name, estimator_orig):
    sequences, y = make_data(estimator_orig)
    reference = fitted(estimator_orig, sequences, y)
    for X in (tuple(sequences), object_array(sequences)):
        estimator = fitted(estimator_orig, X, y)
        assert_same_weights(estimator, reference)
        assert_same_bits(outputs(estimator, X), outputs(reference, sequences))


def check_univariate_sequences_may_be_1d(name, estimator_orig):
    sequences, y = make_data(estimator_orig)
    columns = [sequence[:, :1] for sequence in sequences]
    flat = [sequence[:, 0] for sequence in sequences]
    reference = fitted(estimator_orig, columns, y)
    estimator = fitted(estimator_orig, flat, y)
    assert estimator.n_features_in_ == reference.n_features_in_ == 1
    assert_same_bits(outputs(estimator, flat), outputs(reference, columns))


def check_nested_lists_of_numbers_are_sequences(name, estimator_orig):
    sequences, y = make_data(estimator_orig)
    reference = fitted(estimator_orig, sequences, y)
    nested = [sequence.tolist() for sequence in sequences]
    assert_same_bits(outputs(reference, nested), outputs(reference, sequences))


def check_values_per_step_come_back_in_the_form_of_x(name, estimator_orig):
    sequences, y = make_data(estimator_orig, EQUAL_LENGTHS)
    estimator = fitted(estimator_orig, sequences, y)
    forms = {
        list: sequences,
        tuple: tuple(sequences),
        object: object_array(sequences),
        np.ndarray: np.stack(sequences),
    }
    for form, X in forms.items():
        for method, values in outputs(estimator, X).items():
            if is_per_step(estimator, method):
                assert_has_form(values, form, len(sequences), f"{method} of {form.__name__}")


def is_per_step(estimator, method):
    if isinstance(estimator, RecurrentFeatures):  # a row for each sequence
        return False
    return method in ("transform", "hidden_states") or has_targets_per_step(estimator)


def assert_has_form(values, form, n_sequences, message):
    if form in (list, tuple):
        assert isinstance(values, list), message
    elif form is object:
        assert isinstance(values, np.ndarray), message
        assert values.dtype == object, message
        assert values.ndim == 1, message
    else:
        assert isinstance(values, np.ndarray), message
        assert values.dtype != object, message
        assert values.ndim >= 2, message
    assert len(values) == n_sequences, message


def check_values_per_step_are_as_many_as_the_steps(name, estimator_orig):
    sequences, y = make_data(estimator_orig)
    estimator = fitted(estimator_orig, sequences, y)
    stride = getattr(estimator, "patch_stride_", 1)
    for method, values in outputs(estimator, sequences).items():
        if is_per_step(estimator, method):
            n_steps = [-(-length // stride) for length in LENGTHS]
            assert [len(value) for value in values] == n_steps, method


# ---- Sequences are independent of one another --------------------------------------------------------


def check_each_sequence_is_its_own(name, estimator_orig):
    for lengths, dtype in (
        (LENGTHS, np.float64),
        (LENGTHS, np.float32),
        (EQUAL_LENGTHS, np.float64),
    ):
        X, y = make_data(estimator_orig, lengths, dtype)
        estimator = fitted(estimator_orig, X, y)
        all_at_once = outputs(estimator, X)
        for i, sequence in enumerate(X):
            expected = {method: values[i : i + 1] for method, values in all_at_once.items()}
            assert_equal_but_for_rounding(outputs(estimator, [sequence]), expected, dtype)


def check_the_order_of_the_sequences_does_not_matter(name, estimator_orig):
    for dtype in DTYPES:
        X, y = make_data(estimator_orig, dtype=dtype)
        estimator = fitted(estimator_orig, X, y)
        order = np.random.default_rng(7).permutation(len(X))
        expected = {m: taken(values, order) for m, values in outputs(estimator, X).items()}
        assert_equal_but_for_rounding(outputs(estimator, taken(X, order)), expected, dtype)


def check_a_fitted_model_takes_other_lengths(name, estimator_orig):
    X, y = make_data(estimator_orig, EQUAL_LENGTHS)
    others = make_sequences((11, 1, 40, 2), 2, seed=3)
    from_list = fitted(estimator_orig, X, y)
    from_array = fitted(estimator_orig, np.stack(X), y)
    expected = outputs(from_list, others)
    for values in expected.values():
        assert len(values) == len(others)
        assert all(np.isfinite(v).all() for v in values if np.asarray(v).dtype.kind == "f")
    assert_same_bits(outputs(from_array, others), expected)
    longer = np.stack(make_sequences((30, 30, 30), 2, seed=4))
    assert_same_bits(outputs(from_array, longer), outputs(from_list, list(longer)))


# ---- dtype and memory --------------------------------------------------------------------------------


def check_float32_stays_float32(name, estimator_orig):
    for lengths, form in ((LENGTHS, list), (EQUAL_LENGTHS, np.stack)):
        X, y = make_data(estimator_orig, lengths, np.float32)
        assert_floats_have_dtype(fitted(estimator_orig, form(X), y), form(X), np.float32)


def check_other_numbers_become_float64(name, estimator_orig):
    X, y = make_data(estimator_orig)
    whole = [np.rint(3 * sequence) for sequence in X]
    reference = fitted(estimator_orig, whole, y)
    assert_floats_have_dtype(reference, whole, np.float64)
    for dtype in (np.int64, np.int8, np.float16):
        others = [sequence.astype(dtype) for sequence in whole]
        assert_same_bits(outputs(fitted(estimator_orig, others, y), others), outputs(reference, whole))


def assert_floats_have_dtype(estimator, X, dtype):
    n_checked = 0
    for method, values in outputs(estimator, X).items():
        for value in values:
            if np.asarray(value).dtype.kind == "f":
                assert np.asarray(value).dtype == dtype, method
                n_checked += 1
    assert n_checked > 0
    for weight_name, weights in getattr(estimator, "weights_", {}).items():
        assert weights.dtype == dtype, weight_name


def check_memory_may_be_laid_out_in_any_way(name, estimator_orig):
    for lengths in (LENGTHS, EQUAL_LENGTHS):
        X, y = make_data(estimator_orig, lengths)
        reference = fitted(estimator_orig, X, y)
        expected = outputs(reference, X)
        for same_in_other_memory in LAYOUTS:
            if lengths is LENGTHS:
                other = [same_in_other_memory(sequence) for sequence in X]
            else:
                other = same_in_other_memory(np.stack(X))
            before = copy.deepcopy(other)
            estimator = fitted(estimator_orig, other, y)
            assert_same_weights(estimator, reference)
            assert_same_bits(outputs(estimator, other), expected)
            for sequence, sequence_before in zip(other, before):
                assert_array_equal(sequence, sequence_before)


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


LAYOUTS = (read_only, column_major, part_of_a_larger_one, backwards_in_memory, of_other_byte_order)


# ---- Copies ------------------------------------------------------------------------------------------


def in_pickle(estimator):
    return pickle.loads(pickle.dumps(estimator))


def in_joblib(estimator):
    file = io.BytesIO()
    joblib.dump(estimator, file)
    file.seek(0)
    return joblib.load(file)


COPIES = (in_pickle, in_joblib, copy.deepcopy)


def check_copies_give_the_same_bits(name, estimator_orig):
    for dtype in DTYPES:
        X, y = make_data(estimator_orig, dtype=dtype)
        estimator = fitted(estimator_orig, X, y)
        expected = outputs(estimator, X)
        for make_copy in COPIES:
            copied = make_copy(estimator)
            assert vars(copied).keys() == vars(estimator).keys()
            assert_same_weights(copied, estimator)
            assert_same_bits(outputs(copied, X), expected)


def check_copies_train_on_with_the_same_bits(name, estimator_orig):
    X, y = make_data(estimator_orig)
    after_fit = fitted(estimator_orig, X, y)
    after_partial_fit = continue_training(clone(estimator_orig), X, y)
    for estimator in (after_fit, after_partial_fit):
        copies = [make_copy(estimator) for make_copy in COPIES]
        continue_training(estimator, X, y)
        expected = outputs(estimator, X)
        for copied in copies:
            continue_training(copied, X, y)
            assert_same_weights(copied, estimator)
            assert_same_bits(outputs(copied, X), expected)


def check_a_copy_shares_nothing_with_its_original(name, estimator_orig):
    X, y = make_data(estimator_orig)
    estimator = fitted(estimator_orig, X, y)
    expected = outputs(estimator, X)
    for make_copy in COPIES:
        continue_training(make_copy(estimator), X, y)
        assert_same_bits(outputs(estimator, X), expected)


def check_a_clone_trains_to_the_same_bits(name, estimator_orig):
    X, y = make_data(estimator_orig)
    estimator = fitted(estimator_orig, X, y)
    unfitted = clone(estimator)
    assert vars(unfitted).keys() == vars(clone(estimator_orig)).keys()
    again = unfitted.fit(X, y)
    assert_same_weights(again, estimator)
    assert_same_bits(outputs(again, X), outputs(estimator, X))


# ---- Training ----------------------------------------------------------------------------------------


def check_fitting_again_begins_anew(name, estimator_orig):
    X, y = make_data(estimator_orig)
    other_X, other_y = make_data(estimator_orig, lengths=LENGTHS[::-1], seed=5)
    reference = fitted(estimator_orig, X, y)
    estimator = fitted(estimator_orig, other_X, other_y).fit(X, y)
    assert_same_weights(estimator, reference)
    assert_same_bits(outputs(estimator, X), outputs(reference, X))


def check_one_call_an_epoch_equals_fit(name, estimator_orig):
    X, y = make_data(estimator_orig)
    at_once = fitted(estimator_orig, X, y)
    assert at_once.n_iter_ > 1
    in_pieces = clone(estimator_orig)
    for _ in range(at_once.n_iter_):
        continue_training(in_pieces, X, y)
    assert_same_weights(in_pieces, at_once)
    assert_same_bits(outputs(in_pieces, X), outputs(at_once, X))
    assert in_pieces.loss_curve_ == at_once.loss_curve_
    assert in_pieces.gradient_norms_ == at_once.gradient_norms_
    assert (in_pieces.n_iter_, in_pieces.t_) == (at_once.n_iter_, at_once.t_)


def check_a_weight_of_n_is_the_sequence_n_times(name, estimator_orig):
    X, y = make_data(estimator_orig)
    times = np.array([1, 3, 1, 2, 1, 2, 1, 1, 3, 2, 1, 2])
    repeated = np.repeat(np.arange(len(X)), times)
    weighted = fitted(estimator_orig, X, y, sample_weight=times)
    reference = fitted(estimator_orig, taken(X, repeated), taken(y, repeated))
    assert_trained_alike(weighted, reference, X)


def check_a_weight_of_zero_is_no_sequence(name, estimator_orig):
    X, y = make_data(estimator_orig)
    weights = np.ones(len(X))
    weights[[0, 2, 7, 11]] = 0  # the longest is among them
    present = np.flatnonzero(weights)
    weighted = fitted(estimator_orig, X, y, sample_weight=weights)
    reference = fitted(estimator_orig, taken(X, present), taken(y, present))
    assert_same_weights(weighted, reference)
    assert_same_bits(outputs(weighted, X), outputs(reference, X))


def check_equal_weights_are_no_weights(name, estimator_orig):
    X, y = make_data(estimator_orig)
    reference = fitted(estimator_orig, X, y)
    weighted = fitted(estimator_orig, X, y, sample_weight=np.ones(len(X)))
    assert_same_weights(weighted, reference)
    assert_same_bits(outputs(weighted, X), outputs(reference, X))


def assert_trained_alike(estimator, reference, X):
    close = partial(assert_allclose, **TRAINED)
    assert_same_weights(estimator, reference, close)
    compare_outputs(outputs(estimator, X), outputs(reference, X), close)


def check_n_jobs_does_not_change_a_bit(name, estimator_orig):
    X, y = make_data(estimator_orig)
    assert_bits_do_not_depend_on_n_jobs(estimator_orig, X, y)
    # With the real sizes, only batches of dozens of wide sequences are divided into blocks for threads.
    with patch.multiple(
        "sklearn_rnn._network.blocks", SMALLEST_BLOCK=2, USUAL_BLOCK=2, LARGEST_BLOCK=4, SMALLEST_WORK=1
    ):
        assert_bits_do_not_depend_on_n_jobs(estimator_orig, X, y)


def assert_bits_do_not_depend_on_n_jobs(estimator_orig, X, y):
    alone, *others = [fitted(clone(estimator_orig).set_params(n_jobs=n_jobs), X, y) for n_jobs in (1, 2, 3)]
    expected = outputs(alone, X)
    for estimator in others:
        assert_same_weights(estimator, alone)
        assert_same_bits(outputs(estimator, X), expected)


# ---- Model selection ---------------------------------------------------------------------------------


def check_cross_validation_splits_lists(name, estimator_orig):
    X, y = make_data(estimator_orig)
    expected = scores_by_hand(estimator_orig, X, y, KFold(2))
    for make_form in (list, object_array):
        scores = cross_val_score(clone(estimator_orig), make_form(X), y, cv=KFold(2), error_score="raise")
        assert_array_equal(scores, expected)


def scores_by_hand(estimator_orig, X, y, cv):
    return [
        fitted(estimator_orig, taken(X, train), taken(y, train)).score(taken(X, test), taken(y, test))
        for train, test in cv.split(X)
    ]


def check_grid_search_splits_lists(name, estimator_orig):
    X, y = make_data(estimator_orig)
    seed = next(key for key in estimator_orig.get_params() if key.endswith("random_state"))
    candidates = [{seed: 0}, {seed: 1}]
    search = GridSearchCV(clone(estimator_orig), {seed: [0, 1]}, cv=KFold(2), error_score="raise").fit(X, y)
    means = [
        np.mean(scores_by_hand(clone(estimator_orig).set_params(**params), X, y, KFold(2))) for params in candidates
    ]
    assert_array_equal(search.cv_results_["mean_test_score"], means)
    best = clone(estimator_orig).set_params(**search.best_params_).fit(X, y)
    assert_same_weights(search.best_estimator_, best)
    assert search.n_features_in_ == 2
    assert_same_bits({"predict": search.predict(X)}, {"predict": best.predict(X)})


# ---- The suite ---------------------------------------------------------------------------------------

CHECKS = [
    check_a_list_a_tuple_and_object_array_and_3d_array_are_the_same_data,
    check_ragged_forms_are_the_same_data,
    check_univariate_sequences_may_be_1d,
    check_nested_lists_of_numbers_are_sequences,
    check_values_per_step_come_back_in_the_form_of_x,
    check_values_per_step_are_as_many_as_the_steps,
    check_each_sequence_is_its_own,
    check_the_order_of_the_sequences_does_not_matter,
    check_a_fitted_model_takes_other_lengths,
    check_float32_stays_float32,
    check_other_numbers_become_float64,
    check_memory_may_be_laid_out_in_any_way,
    check_copies_give_the_same_bits,
    check_a_clone_trains_to_the_same_bits,
    check_fitting_again_begins_anew,
]
PREDICTOR_CHECKS = [check_cross_validation_splits_lists, check_grid_search_splits_lists]
TRAINING_CHECKS = [
    check_copies_train_on_with_the_same_bits,
    check_a_copy_shares_nothing_with_its_original,
    check_one_call_an_epoch_equals_fit,
]


def applicable_checks(estimator):
    """Yield the checks that apply to an estimator.

    ``fit`` must end by itself, without a warning and after more than one epoch. The estimator must have an integer
    ``random_state``, so that its results are repeatable.
    """
    yield from CHECKS
    if is_predictor(estimator):
        yield from PREDICTOR_CHECKS
        if hasattr(estimator, "partial_fit"):
            yield from TRAINING_CHECKS
        if hasattr(estimator, "n_jobs"):
            yield check_n_jobs_does_not_change_a_bit
    if has_fit_parameter(estimator, "sample_weight"):
        yield check_equal_weights_are_no_weights
        # Each repetition of a sequence has its own dropout draw; with small batches repetitions make more batches.
        if is_predictor(estimator) and not getattr(estimator, "dropout", 0) and estimator.batch_size == "auto":
            yield check_a_weight_of_n_is_the_sequence_n_times
            yield check_a_weight_of_zero_is_no_sequence
