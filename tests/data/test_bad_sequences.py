"""Bad X: errors name the sequence and the step, and the estimator stays as it was."""

from copy import deepcopy
from typing import Any, NamedTuple

import numpy as np
import pytest
import scipy.sparse as sp
from helpers import make_sequences
from refusals import (
    LABELS,
    LENGTHS,
    N_STEPS,
    TARGETS,
    array_but,
    assert_continues_like,
    assert_is_unfitted,
    assert_refuses,
    assert_training_refuses,
    classifier,
    default_y,
    object_array,
    per_step,
    regressor,
    rows,
    sequences,
    sequences_but,
)

# ---- Bad sequences -----------------------------------------------------------------------------------


class BadX(NamedTuple):
    X: Any
    message: str
    error: type = ValueError


NO_NAN = "RNNClassifier does not accept NaN. Fill gaps by"
NO_INFINITY = "RNNClassifier does not accept infinity."
EMPTY = np.empty((0, 2))

BAD_SEQUENCES = {
    "ragged feature counts": BadX(
        sequences_but(3, np.ones((5, 4))),
        r"X\[3\] has 4 features per step, but X\[0\] has 2: every sequence needs the same number of "
        r"features\.",
    ),
    "a 1-D sequence among 2-D ones": BadX(
        sequences_but(2, np.ones(5)), r"X\[2\] has 1 features per step, but X\[0\] has 2: "
    ),
    "an empty sequence": BadX(sequences_but(2, EMPTY), r"X\[2\] has no steps: every sequence needs at least one\."),
    "an empty first sequence": BadX(
        sequences_but(0, EMPTY), r"X\[0\] has no steps: every sequence needs at least one\."
    ),
    "an empty sequence in a tuple": BadX(
        tuple(sequences_but(5, EMPTY)), r"X\[5\] has no steps: every sequence needs at least one\."
    ),
    "an empty nested list": BadX(sequences_but(1, []), r"X\[1\] has no steps: every sequence needs at least one\."),
    "an empty list": BadX([], r"X is an empty list: at least one sequence is needed\."),
    "an empty tuple": BadX((), r"X is an empty tuple: at least one sequence is needed\."),
    "sequences of no features": BadX(
        [np.empty((n, 0)) for n in LENGTHS],
        r"X\[0\] has shape \(5, 0\), with 0 features per step: at least one is needed\.",
    ),
    "an array of no features": BadX(
        np.empty((6, N_STEPS, 0)),
        r"X has shape \(6, 4, 0\), with 0 features: its axes are \(n_sequences, n_steps, "
        r"n_features\)\.",
    ),
    "an array of no steps": BadX(
        np.empty((6, 0, 2)),
        r"X has shape \(6, 0, 2\), with 0 steps: its axes are \(n_sequences, n_steps, n_features\)",
    ),
    # scikit-learn's words, for which its checks of 2-D input look
    "an array of no sequences": BadX(np.empty((0, N_STEPS, 2)), r"Found array with 0 sample\(s\)"),
    "NaN in a list": BadX(
        sequences_but(2, [[0, 1], [2, np.nan], [4, 5]]),
        rf"X contains NaN in sequence 2, step 1, feature 1: {NO_NAN}",
    ),
    "NaN in a tuple": BadX(
        tuple(sequences_but(5, [[np.nan, 1]])),
        rf"X contains NaN in sequence 5, step 0, feature 0: {NO_NAN}",
    ),
    "NaN in an object array": BadX(
        object_array(sequences_but(0, np.array([[1, 2], [np.nan, 1]]))),
        rf"X contains NaN in sequence 0, step 1, feature 0: {NO_NAN}",
    ),
    "NaN in an array": BadX(
        array_but((4, 3, 1), np.nan), rf"X contains NaN in sequence 4, step 3, feature 1: {NO_NAN}"
    ),
    "float32 NaN": BadX(
        array_but((4, 3, 1), np.nan).astype(np.float32),
        rf"X contains NaN in sequence 4, step 3, feature 1: {NO_NAN}",
    ),
    "infinity in a list": BadX(
        sequences_but(3, [[0, 1], [np.inf, 3]]),
        rf"X contains infinity in sequence 3, step 1, feature 0: {NO_INFINITY}",
    ),
    "negative infinity in an array": BadX(
        array_but((1, 0, 0), -np.inf),
        rf"X contains infinity in sequence 1, step 0, feature 0: {NO_INFINITY}",
    ),
    "the first of many": BadX(
        array_but(slice(3, None), np.nan),
        rf"X contains NaN in sequence 3, step 0, feature 0: {NO_NAN}",
    ),
    "infinities that cancel out": BadX(
        sequences_but(1, [[np.inf, -np.inf]]),
        rf"X contains infinity in sequence 1, step 0, feature 0: {NO_INFINITY}",
    ),
    "words in a list": BadX(sequences_but(1, [["a", "b"], ["c", "d"]]), r"X\[1\] is not numeric: "),
    "objects in a list": BadX(
        sequences_but(4, np.array([["a", 1], [2, 3]], dtype=object)),
        r"X\[4\] is not numeric: ",
    ),
    "a word in an array": BadX(
        array_but((2, 1, 0), "word", object), r"X(\[2\])? is not numeric: it has the string 'word'"
    ),
    "a dict for a sequence": BadX(
        sequences_but(2, {"step": 1.0}), r"X\[2\] is {'step': 1.0}, but a sequence is an array \(n_steps, "
    ),
    "None for a sequence": BadX(sequences_but(2, None), r"X\[2\] is None, but a sequence is an array \(n_steps, "),
    "None for the first sequence": BadX(sequences_but(0, None), r"X\[0\] "),
    "a ragged nested list": BadX(
        sequences_but(2, [[1.0, 2.0], [3.0]]),
        r"X\[2\] is not an array of shape \(n_steps, n_features\): ",
    ),
    "a sparse matrix in a list": BadX(
        sequences_but(1, sp.csr_matrix(np.eye(2))),
        r"X\[1\] is sparse, but dense data is required\. Use '\.toarray\(\)' on every sequence\.",
        TypeError,
    ),
    "sparse arrays in a list": BadX(
        [sp.coo_array(x) for x in sequences()],
        r"X\[0\] is sparse, but dense data is required\. Use '\.toarray\(\)' on every sequence\.",
        TypeError,
    ),
    "complex numbers in a list": BadX(
        sequences_but(3, np.full((4, 2), 1j)),
        r"Complex data not supported: X\[3\] has dtype complex128\.",
    ),
    "complex numbers in an array": BadX(array_but((), 1.0).astype(complex), r"Complex data not supported"),
    "4-D": BadX(
        np.ones((6, N_STEPS, 2, 1)),
        r"X has 4 dimensions, but it must have at most 3: \(n_sequences, n_steps, n_features\)\.",
    ),
    "a 3-D array in a list": BadX(
        sequences_but(2, np.ones((4, 2, 1))),
        r"X\[2\] has 3 dimensions, but a sequence is \(n_steps, n_features\) or \(n_steps,\)\.",
    ),
}


@pytest.mark.parametrize("bad", BAD_SEQUENCES.values(), ids=BAD_SEQUENCES)
def test_training_refuses_bad_sequences(bad):
    assert_training_refuses(classifier(), bad.X, LABELS, error=bad.error, message=bad.message)


@pytest.mark.parametrize("method", ["predict", "predict_proba", "predict_log_proba", "hidden_states"])
@pytest.mark.parametrize("bad", BAD_SEQUENCES.values(), ids=BAD_SEQUENCES)
def test_predicting_refuses_bad_sequences(bad, method):
    estimator = classifier().fit(sequences(), LABELS)
    assert_refuses(estimator, method, bad.X, error=bad.error, message=bad.message)


def test_scoring_refuses_bad_sequences():
    bad = BAD_SEQUENCES["NaN in a list"]
    for estimator in (classifier(), classifier(readout="each")):
        estimator.fit(sequences(), default_y(estimator))
        y = per_step(0, [len(x) for x in bad.X]) if estimator.readout == "each" else LABELS
        assert_refuses(estimator, "score", bad.X, y, message=bad.message)


def test_errors_name_the_regressor_too():
    X = sequences_but(1, [[np.nan, 1.0]])
    assert_training_refuses(
        regressor(),
        X,
        TARGETS,
        message=r"X contains NaN in sequence 1, step 0, .*: RNNRegressor does",
    )


# ---- Bad rows ----------------------------------------------------------------------------------------


BAD_ROWS = {
    "NaN": BadX(
        np.where(np.arange(48).reshape(6, 8) == 2 * 8 + 5, np.nan, 1.0),
        rf"X contains NaN in sequence 2, step 2, feature 1: {NO_NAN}",
    ),
    "infinity": BadX(
        np.where(np.arange(48).reshape(6, 8) == 5 * 8, np.inf, 1.0),
        rf"X contains infinity in sequence 5, step 0, feature 0: {NO_INFINITY}",
    ),
    # The following messages have scikit-learn's words, for which its estimator checks look.
    "a word": BadX(
        np.where(np.arange(48).reshape(6, 8) == 2 * 8 + 5, "word", np.ones((6, 8), object)),
        r"X(\[2\])? is not numeric: .*'word'",
    ),
    "sparse": BadX(sp.csr_matrix(np.ones((6, 8))), r"Sparse data was passed for X, but", TypeError),
    "sparse array": BadX(sp.coo_array(np.ones((6, 8))), r"Sparse data was passed", TypeError),
    "sparse dict": BadX(sp.dok_array(np.ones((6, 8))), r"Sparse data was passed", TypeError),
    "complex": BadX(np.full((6, 8), 1j), r"Complex data not supported"),
    "no rows": BadX(np.empty((0, 8)), r"Found array with 0 sample\(s\)"),
    "no columns": BadX(np.empty((6, 0)), r"Found array with 0 feature\(s\) \(shape=\(6, 0\)\)"),
    "1-D": BadX(np.ones(8), r"Expected 2D array, got 1D array instead"),
}


@pytest.mark.parametrize("bad", BAD_ROWS.values(), ids=BAD_ROWS)
def test_training_refuses_bad_rows(bad):
    assert_training_refuses(
        classifier(step_features=2),
        bad.X,
        LABELS,
        error=bad.error,
        message=bad.message,
        good_X=rows(),
    )


@pytest.mark.parametrize("bad", BAD_ROWS.values(), ids=BAD_ROWS)
def test_predicting_refuses_bad_rows(bad):
    if bad is BAD_ROWS["no columns"]:
        bad = bad._replace(message="(Found array with 0 feature|X has 0 features, but)")
    estimator = classifier(step_features=2).fit(rows(), LABELS)
    assert_refuses(estimator, "predict", bad.X, error=bad.error, message=bad.message)


def test_training_refuses_columns_that_step_features_does_not_divide():
    message = (
        r"step_features=3 does not divide the 8 columns of X: every row is a sequence of steps with "
        r"step_features columns each\."
    )
    unfitted = classifier(step_features=3)
    assert_refuses(unfitted, "fit", rows(), LABELS, message=message)
    assert_refuses(unfitted, "partial_fit", rows(), LABELS, classes=[0, 1], message=message)
    assert_is_unfitted(unfitted)


# ---- X that does not fit the first X -----------------------------------------------------------------


METHODS = [
    "predict",
    "predict_proba",
    "hidden_states",
    "score",
    "partial_fit",
    "fit with warm_start",
]
OTHERS = {
    "columns": (
        rows(),
        np.ones((6, 6)),
        r"X has 6 features, but RNNClassifier is expecting 8 features as input",
    ),
    "features of an array": (
        sequences(),
        np.ones((6, N_STEPS, 3)),
        r"X has 3 features per step, but RNNClassifier is expecting 2 features per step as input",
    ),
    "features of ragged sequences": (
        sequences(),
        make_sequences(LENGTHS, 3),
        r"X has 3 features per step, but RNNClassifier is expecting 2 features per step as input",
    ),
    "sequences without features axis": (
        sequences(),
        [np.ones(n) for n in LENGTHS],
        r"X has 1 features per step, but RNNClassifier is expecting 2 features per step as input",
    ),
    "a list after rows": (
        rows(),
        sequences(),
        r"X is a list of sequences, but this RNNClassifier was fitted on 2-D X with 8 columns: pass "
        r"the same columns\.",
    ),
    "an array after rows": (
        rows(),
        np.ones((6, N_STEPS, 2)),
        r"X is a 3-D array, but this RNNClassifier was fitted on 2-D X with 8 columns: pass the same "
        r"columns\.",
    ),
    "rows after sequences": (
        sequences(),
        rows(),
        r"X is 2-D, but this RNNClassifier was fitted on sequences with 2 features per step: pass an "
        r"array \(n_sequences, n_steps, 2\) or a list of arrays \(n_steps_i, 2\)\.",
    ),
}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(("good_X", "other_X", "message"), OTHERS.values(), ids=OTHERS)
def test_a_fitted_estimator_refuses_other_sequences(good_X, other_X, message, method):
    estimator = classifier(step_features=2, warm_start=True).fit(good_X, LABELS)
    twin = deepcopy(estimator)
    name = method.split()[0]
    y = (LABELS,) if name in ("score", "partial_fit", "fit") else ()
    assert_refuses(estimator, name, other_X, *y, message=message)
    assert_continues_like(estimator, twin, good_X, LABELS)


@pytest.mark.parametrize(
    ("n_features", "shape", "message"),
    [
        (1, (8,), r"X is 1-D, .*: pass an array .*\. If X is one sequence, pass \[X\]\.$"),
        (1, (8, 1), r"X is 2-D, .*\. If X is one sequence, pass \[X\]\.$"),
        (3, (8, 3), r"X is 2-D, .*\. If X is one sequence, pass \[X\]\.$"),
        (
            1,
            (2, 8),
            r"X is 2-D, .*\. If each row of X is a sequence, pass numpy\.asarray\(X\)\[:, :, numpy\.newaxis\]\.$",
        ),
    ],
)
def test_sequences_without_their_axes_are_refused_with_the_axes(n_features, shape, message):
    estimator = classifier().fit(np.stack(make_sequences((N_STEPS,) * 6, n_features)), LABELS)
    X = np.ones(shape)
    with pytest.raises(ValueError, match=message):
        estimator.predict(X)
    remedied = [X] if "one sequence" in message else X[:, :, np.newaxis]
    assert len(estimator.predict(remedied)) == len(remedied)


# ---- Values beyond float32 ---------------------------------------------------------------------------


def test_values_beyond_float32_are_refused_by_a_float32_network():
    X = [x.astype(np.float32) for x in sequences()]
    estimator = regressor().fit(X, TARGETS)
    too_large = sequences_but(2, [[1.0, 1e300]])
    assert_refuses(estimator, "predict", too_large, message="X contains .* in sequence 2, step 0")
    assert_refuses(estimator, "partial_fit", too_large, TARGETS, message="X contains .* in sequence 2")
