"""What bad input gets: a message that begins with its name, and an estimator that is left as it was."""

import pickle
import re
from copy import deepcopy
from typing import Any, NamedTuple

import numpy as np
import pytest
import scipy.sparse as sp
from helpers import make_sequences
from numpy.testing import assert_array_equal
from sklearn.exceptions import NotFittedError
from sklearn.utils._param_validation import InvalidParameterError

from sklearn_rnn import RNNClassifier, RNNRegressor

SMALL = {
    "hidden_layer_sizes": (3,),
    "max_iter": 2,
    "n_iter_no_change": np.inf,
    "random_state": 0,
}

LENGTHS = (5, 3, 7, 4, 2, 6)
N_STEPS = 4
LABELS = np.array([0, 1, 0, 1, 1, 0])
TARGETS = np.array([0.5, 1.0, 0.0, 2.0, 3.5, 1.0])


def sequences():
    """Six sequences of two features."""
    return make_sequences(LENGTHS)


def sequences_but(i, sequence):
    """The same, but for the i-th."""
    X = sequences()
    X[i] = sequence
    return X


def array_but(index, value):
    """Six sequences of four steps of two features, but for one value."""
    X = np.stack(make_sequences((N_STEPS,) * 6))
    X[index] = value
    return X


def rows():
    """Six rows of eight columns."""
    return array_but((), 0.5 + np.arange(48.0).reshape(6, N_STEPS, 2)).reshape(6, 8)


def object_array(items):
    array = np.empty(len(items), dtype=object)
    array[:] = items
    return array


def per_step(value, lengths=LENGTHS):
    """A list with an array of one target per step for each sequence, beginning with ``value``."""
    return [np.where(np.arange(length) % 2, 1, value) for length in lengths]


def classifier(**params):
    return RNNClassifier(**SMALL | params)


def regressor(**params):
    return RNNRegressor(**SMALL | params)


def default_y(estimator):
    """Good targets for the six sequences."""
    if estimator.readout == "each":
        return per_step(0)
    return LABELS if isinstance(estimator, RNNClassifier) else TARGETS


# ---- How an error is to be raised --------------------------------------------------------------------


def state_of(estimator):
    """All that an estimator holds, to the bit."""
    return pickle.dumps(estimator)


def assert_refuses(estimator, method, *args, error=ValueError, message, **kwargs):
    """A method raises with a message that begins so, and leaves the estimator as it was."""
    before = state_of(estimator)
    with pytest.raises(error, match=f"^{message}") as raised:
        getattr(estimator, method)(*args, **kwargs)
    assert raised.type is error
    assert state_of(estimator) == before


def assert_is_unfitted(estimator):
    assert vars(estimator).keys() == estimator.get_params().keys()
    with pytest.raises(NotFittedError):
        estimator.predict(sequences())


def assert_goes_on_like(estimator, twin, X, y):
    """Both predict and train on with the same bits."""
    assert_same_predictions(estimator, twin, X)
    for trained in (estimator, twin):
        trained.partial_fit(X, y)
    assert_same_predictions(estimator, twin, X)
    for name, weights in twin.weights_.items():
        assert_array_equal(estimator.weights_[name], weights)


def assert_same_predictions(estimator, twin, X):
    for actual, expected in zip(estimator.predict(X), twin.predict(X)):
        assert_array_equal(actual, expected)


def first_call(estimator):
    """What the first ``partial_fit`` needs to be told."""
    return {"classes": [0, 1]} if isinstance(estimator, RNNClassifier) else {}


def assert_training_refuses(
    estimator,
    X,
    y,
    *,
    error=ValueError,
    message,
    good_X=None,
    methods=("fit", "partial_fit"),
    **kwargs,
):
    """Neither fit nor partial_fit take X and y, of an estimator not yet fitted and of a fitted one."""
    good_X = sequences() if good_X is None else good_X
    good_y = default_y(estimator)
    for method in methods:
        unfitted = deepcopy(estimator)
        known = first_call(estimator) if method == "partial_fit" else {}
        assert_refuses(unfitted, method, X, y, error=error, message=message, **kwargs | known)
        assert_is_unfitted(unfitted)
        fitted = deepcopy(estimator).fit(good_X, good_y)
        twin = deepcopy(fitted)
        assert_refuses(fitted, method, X, y, error=error, message=message, **kwargs)
        assert_goes_on_like(fitted, twin, good_X, good_y)


# ---- X -----------------------------------------------------------------------------------------------


class BadX(NamedTuple):
    X: Any
    message: str
    error: type = ValueError


NO_NAN = "RNNClassifier does not accept NaN. Impute it"
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
        r"X\[0\] has shape \(5, 0\), which is 0 features per step: at least one is needed\.",
    ),
    "an array of no features": BadX(
        np.empty((6, N_STEPS, 0)),
        r"X has shape \(6, 4, 0\), which is 0 features: its axes are \(n_sequences, n_steps, "
        r"n_features\)\.",
    ),
    "an array of no steps": BadX(
        np.empty((6, 0, 2)),
        r"X has shape \(6, 0, 2\), which is 0 steps: its axes are \(n_sequences, n_steps, n_features\)",
    ),
    # scikit-learn's own words, which its checks of 2-D input look for
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
    "words in an array": BadX(np.full((6, N_STEPS, 2), "word"), r"X "),
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
        r"X has 4 dimensions, but sequences are \(n_sequences, n_steps, n_features\) at the most\.",
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


BAD_ROWS = {
    "NaN": BadX(
        np.where(np.arange(48).reshape(6, 8) == 2 * 8 + 5, np.nan, 1.0),
        rf"X contains NaN in sequence 2, step 2, feature 1: {NO_NAN}",
    ),
    "infinity": BadX(
        np.where(np.arange(48).reshape(6, 8) == 5 * 8, np.inf, 1.0),
        rf"X contains infinity in sequence 5, step 0, feature 0: {NO_INFINITY}",
    ),
    # What follows is in scikit-learn's own words, which its estimator checks look for.
    "words": BadX(np.full((6, 8), "word"), r"X is not numeric: could not convert string to float"),
    "sparse": BadX(sp.csr_matrix(np.ones((6, 8))), r"Sparse data was passed for X, but", TypeError),
    "sparse array": BadX(sp.coo_array(np.ones((6, 8))), r"Sparse data was passed", TypeError),
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


# ---- X that does not go with the first X -------------------------------------------------------------

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
    assert_goes_on_like(estimator, twin, good_X, LABELS)


# ---- y -----------------------------------------------------------------------------------------------


class BadY(NamedTuple):
    estimator: Any
    y: Any
    message: str
    methods: tuple = ("fit", "partial_fit")


NAN_LABELS = np.where(LABELS == 1, np.nan, 0.0)
NAN_TARGETS = np.where(TARGETS == 1, np.nan, TARGETS)
MULTILABEL = np.array([[0, 1, 1], [1, 0, 0], [1, 1, 0], [0, 0, 1], [1, 0, 1], [0, 1, 0]])

BAD_Y = {
    "too short": BadY(
        classifier(),
        LABELS[:5],
        r"y has 5 entries, but X has 6 sequences: one is needed for each",
    ),
    "too long": BadY(
        regressor(),
        np.ones(7),
        r"y has 7 entries, but X has 6 sequences: one is needed for each",
    ),
    "too short, per step": BadY(
        classifier(readout="each"),
        per_step(0)[:4],
        r"y has targets for 4 sequences, but X has 6 sequences\.",
    ),
    "other lengths than X's": BadY(
        classifier(readout="each"),
        per_step(0, (5, 3, 7, 5, 2, 6)),
        r"y\[3\] has 5 targets, but X\[3\] has 4 steps: one is needed for each\.",
    ),
    "other lengths than X's, regressor": BadY(
        regressor(readout="each"),
        per_step(0.5, (5, 3, 3, 4, 2, 6)),
        r"y\[2\] has 3 targets, but X\[2\] has 7 steps: one is needed for each\.",
    ),
    "label per sequence for each": BadY(
        classifier(readout="each"),
        LABELS,
        r"y\[0\] is a single value, but readout='each' needs one target for each of the 5 steps of "
        r"X\[0\]\. For one target per sequence use readout='last', 'mean' or 'max'\.",
    ),
    "list of labels for each": BadY(
        classifier(readout="each"),
        ["no", "yes", "no", "yes", "yes", "no"],
        r"y\[0\] is a single value, but readout='each' needs one target for each of the 5 steps",
    ),
    "target per sequence for each": BadY(
        regressor(readout="each"),
        TARGETS,
        r"y\[0\] is a single value, but readout='each' needs one target for each of the 5 steps",
    ),
    "labels per step for last": BadY(classifier(), per_step(0), r"y\b.*readout='each'"),
    "targets per step for mean": BadY(regressor(readout="mean"), per_step(0.5), r"y\b.*readout='each'"),
    "multilabel for each": BadY(
        classifier(readout="each"),
        [np.stack([labels, 1 - labels], axis=1) for labels in per_step(0)],
        r"y is multilabel, which readout='each' does not support: give one label per step\.",
    ),
    "several numbers of outputs": BadY(
        regressor(readout="each"),
        [np.ones((n, 1 + (n == 4))) for n in LENGTHS],
        r"y has different numbers of outputs for different sequences: ",
    ),
    "several multiclass outputs": BadY(
        classifier(),
        MULTILABEL + MULTILABEL[::-1],
        r"y has several multiclass outputs, which are not supported: fit one classifier for each "
        r"column",
    ),
    "indicators that are not 0 and 1": BadY(classifier(), 2 * MULTILABEL, r"y "),
    # scikit-learn's own words
    "continuous labels": BadY(classifier(), TARGETS, r"Unknown label type: continuous"),
    "NaN among labels": BadY(classifier(), NAN_LABELS, r"(Input )?y contains NaN"),
    "NaN among targets": BadY(regressor(), NAN_TARGETS, r"(Input )?y contains NaN"),
    "None among targets": BadY(
        regressor(), np.array([0.5, 1, None, 2, 3, 1], dtype=object), r"(Input )?y(\[2\])? (contains NaN|is None)"
    ),
    "NaN per step": BadY(regressor(readout="each"), per_step(np.nan), r"(Input )?y contains NaN"),
    "infinity": BadY(regressor(), np.full(6, np.inf), r"(Input )?y contains infinity"),
    "None": BadY(classifier(), None, r"requires y to be passed, but the target y is None\."),
    "None per step": BadY(regressor(readout="each"), None, r"requires y to be passed, but the target y is None\."),
    "one class": BadY(
        classifier(),
        np.ones(6, int),
        r"y has only one class, 1: at least 2 classes are needed\.",
        ("fit",),
    ),
    "one class of strings": BadY(
        classifier(),
        np.full(6, "yes"),
        r"y has only one class, 'yes': at least 2 classes are needed\.",
        ("fit",),
    ),
    "one class per step": BadY(
        classifier(readout="each"),
        per_step(1),
        r"y has only one class, 1: at least 2 classes are needed\.",
        ("fit",),
    ),
    "negative for Poisson": BadY(
        regressor(loss="poisson"),
        np.array([0.5, 1, 0, -2, 3, 1]),
        r"y contains -2\.0, but loss='poisson' needs targets that are not negative\.",
    ),
    "unseen labels": BadY(
        classifier(),
        np.array([0, 1, 3, 1, 2, 0]),
        r"y contains labels that are not in classes_: \[2, 3\]; classes_ is \[0, 1\]\.",
        ("partial_fit",),
    ),
    "unseen labels per step": BadY(
        classifier(readout="each"),
        per_step(7),
        r"y contains labels that are not in classes_: \[7\]; classes_ is \[0, 1\]\.",
        ("partial_fit",),
    ),
}


@pytest.mark.parametrize("bad", BAD_Y.values(), ids=BAD_Y)
def test_training_refuses_bad_targets(bad):
    assert_training_refuses(bad.estimator, sequences(), bad.y, message=bad.message, methods=bad.methods)


@pytest.mark.parametrize("method", ["partial_fit", "fit with warm_start"])
@pytest.mark.parametrize(
    ("estimator", "good_y", "other_y", "message"),
    [
        (
            regressor(),
            TARGETS,
            np.ones((6, 2)),
            "y has 2 outputs, but RNNRegressor was fitted on 1",
        ),
        (
            regressor(),
            np.ones((6, 3)),
            TARGETS,
            "y has 1 outputs, but RNNRegressor was fitted on 3",
        ),
        (
            classifier(),
            MULTILABEL,
            LABELS,
            r"y has shape \(6,\), but RNNClassifier was fitted on 3 labels a sequence",
        ),
        (
            classifier(),
            MULTILABEL,
            MULTILABEL[:, :2],
            r"y has shape \(6, 2\), but RNNClassifier was fitted on 3 labels a sequence",
        ),
        (
            classifier(),
            LABELS,
            MULTILABEL,
            r"y has shape \(6, 3\), but RNNClassifier was fitted on one label each",
        ),
        (
            classifier(),
            LABELS,
            LABELS + 1,
            r"y contains labels that are not in classes_: \[2\]; classes_ is \[0, 1\]\.",
        ),
    ],
    ids=[
        "more outputs",
        "fewer outputs",
        "one label",
        "fewer labels",
        "multilabel",
        "other labels",
    ],
)
def test_a_fitted_estimator_refuses_targets_of_another_kind(estimator, good_y, other_y, message, method):
    estimator = deepcopy(estimator).set_params(warm_start=True).fit(sequences(), good_y)
    twin = deepcopy(estimator)
    assert_refuses(estimator, method.split()[0], sequences(), other_y, message=message)
    assert_goes_on_like(estimator, twin, sequences(), good_y)


@pytest.mark.parametrize("readout", ["last", "each"])
def test_scoring_refuses_targets_of_another_length(readout):
    for estimator in (classifier(readout=readout), regressor(readout=readout)):
        y = default_y(estimator)
        estimator.fit(sequences(), y)
        message = r"(y has|Found input variables with inconsistent numbers of samples)"
        assert_refuses(estimator, "score", sequences(), y[:5], message=message)


# ---- classes and class_weight ------------------------------------------------------------------------


def test_the_first_partial_fit_needs_the_classes():
    estimator = classifier()
    message = "classes must be passed on the first call to partial_fit"
    assert_refuses(estimator, "partial_fit", sequences(), LABELS, message=message)
    assert_is_unfitted(estimator)


def test_later_calls_of_partial_fit_refuse_other_classes():
    estimator = classifier().partial_fit(sequences(), LABELS, classes=[0, 1])
    twin = deepcopy(estimator)
    message = re.escape("classes=[0 1 2] are not those of the first call, [0 1].")
    assert_refuses(estimator, "partial_fit", sequences(), LABELS, classes=[0, 1, 2], message=message)
    assert_goes_on_like(estimator, twin, sequences(), LABELS)


def test_partial_fit_refuses_balanced_class_weights():
    message = r"class_weight='balanced' does not go with partial_fit, which does not know all of y: pass"
    unfitted = classifier(class_weight="balanced")
    assert_refuses(unfitted, "partial_fit", sequences(), LABELS, classes=[0, 1], message=message)
    assert_is_unfitted(unfitted)
    fitted = classifier(class_weight="balanced").fit(sequences(), LABELS)
    assert_refuses(fitted, "partial_fit", sequences(), LABELS, message=message)


@pytest.mark.parametrize("class_weight", ["balanced", {0: 1, 1: 2}])
def test_multilabel_targets_refuse_class_weights(class_weight):
    estimator = classifier(class_weight=class_weight)
    message = r"class_weight=.* does not go with multilabel y: use sample_weight\."
    assert_refuses(estimator, "fit", sequences(), MULTILABEL, message=message)
    assert_is_unfitted(estimator)


def test_class_weights_that_leave_nothing_to_train_on_are_refused():
    unfitted = classifier(class_weight={0: 0, 1: 0})
    assert_refuses(unfitted, "fit", sequences(), LABELS, message="class_weight")
    assert_is_unfitted(unfitted)
    fitted = classifier(class_weight={0: 0, 1: 1}).fit(sequences(), LABELS)
    twin = deepcopy(fitted)
    zeros = np.zeros(6, int)
    assert_refuses(fitted, "partial_fit", sequences(), zeros, message="class_weight")
    assert_goes_on_like(fitted, twin, sequences(), LABELS)


@pytest.mark.parametrize("value", [-1.0, np.nan, np.inf])
def test_class_weights_that_are_no_weights_are_refused(value):
    y = np.array([0, 1, 1, 1, 1, 0])
    unfitted = classifier(class_weight={0: value})
    assert_refuses(unfitted, "fit", sequences(), y, message="class_weight")
    assert_is_unfitted(unfitted)
    fitted = classifier().fit(sequences(), y)
    twin = deepcopy(fitted)
    fitted.set_params(class_weight={0: value})
    assert_refuses(fitted, "partial_fit", sequences(), y, message="class_weight")
    assert_goes_on_like(fitted.set_params(class_weight=None), twin, sequences(), y)


# ---- Weights -----------------------------------------------------------------------------------------

BAD_WEIGHTS = {
    "negative": ([1, 1, -1, 1, 1, 1], "sample_weight"),
    "all zero": (np.zeros(6), "sample_weight is zero for every sequence: at least one must be"),
    "too few": (np.ones(5), r"sample_weight has shape \(5,\), but X has 6 sequences"),
    "NaN": ([1, 1, np.nan, 1, 1, 1], "(Input )?sample_weight contains NaN"),
}


@pytest.mark.parametrize(("weights", "message"), BAD_WEIGHTS.values(), ids=BAD_WEIGHTS)
def test_training_refuses_bad_weights(weights, message):
    for estimator in (classifier(), regressor(readout="each")):
        assert_training_refuses(
            estimator,
            sequences(),
            default_y(estimator),
            sample_weight=weights,
            message=message,
        )


def test_a_validation_part_without_any_weight_is_refused():
    estimator = regressor(early_stopping=True, validation_fraction=0.5)
    message = "sample_weight"
    weights = [0, 0, 1, 0, 0, 0]  # whoever gets the one, the other part has none
    assert_refuses(estimator, "fit", sequences(), TARGETS, sample_weight=weights, message=message)
    assert_is_unfitted(estimator)


# ---- Validation data ---------------------------------------------------------------------------------

VALIDATION_ALONE = {
    "X_val": {"X_val": sequences()},
    "y_val": {"y_val": LABELS},
    "sample_weight_val": {"sample_weight_val": np.ones(6)},
}


@pytest.mark.parametrize("name", VALIDATION_ALONE)
def test_training_refuses_validation_data_that_are_not_complete(name):
    assert_training_refuses(
        classifier(),
        sequences(),
        LABELS,
        message=f"{name} was given alone: X_val and y_val go together",
        methods=("fit",),
        **VALIDATION_ALONE[name],
    )


BAD_VALIDATION = {
    "NaN": (
        {"X_val": sequences_but(1, [[np.nan, 1.0]])},
        "X_val contains NaN in sequence 1, step 0",
    ),
    "ragged features": ({"X_val": sequences_but(1, np.ones((2, 3)))}, r"X_val\[1\] has 3 features"),
    "other features": ({"X_val": make_sequences(LENGTHS, 3)}, "X_val has 3 features per step, but"),
    "rows": ({"X_val": rows()}, "X_val is 2-D, but"),
    "empty": ({"X_val": []}, "X_val is an empty list"),
    "too few targets": ({"y_val": LABELS[:4]}, "y_val has 4 entries, but X_val has 6 sequences"),
    "unseen labels": (
        {"y_val": LABELS + 1},
        r"y_val contains labels that are not in classes_: \[2\]",
    ),
    "too few weights": ({"sample_weight_val": [1.0]}, r"sample_weight_val"),
    "no weight": ({"sample_weight_val": np.zeros(6)}, r"sample_weight_val"),
}


@pytest.mark.parametrize(("bad", "message"), BAD_VALIDATION.values(), ids=BAD_VALIDATION)
def test_errors_in_validation_data_name_the_validation_data(bad, message):
    validation = {"X_val": sequences(), "y_val": LABELS} | bad
    assert_training_refuses(classifier(), sequences(), LABELS, message=message, methods=("fit",), **validation)


# ---- Parameters --------------------------------------------------------------------------------------

BAD_SETTINGS = {
    "stride above truncation": (
        {"truncation": 3, "truncation_stride": 4},
        r"truncation_stride=4 is more than truncation=3: the losses of the steps between would be "
        r"lost\. Choose truncation_stride <= truncation\.",
    ),
    "stride without truncation": (
        {"truncation_stride": 2},
        r"truncation_stride=2 is more than truncation=None",
    ),
    "bidirectional with truncation": (
        {"bidirectional": True, "truncation": 3},
        r"truncation=3 does not go with bidirectional=True, whose reverse pass begins at the end of "
        r"the whole sequence\. Set truncation=None\.",
    ),
    "bidirectional with truncation to one step": (
        {"bidirectional": True, "truncation": 1},
        r"truncation=1 does not go with bidirectional=True",
    ),
    "activation of an LSTM": (
        {"cell": "lstm", "activation": "relu"},
        r"activation='relu' is for cell='rnn' alone: cell='lstm' has fixed activations\. Leave "
        r"activation at 'tanh'\.",
    ),
    "activation of a GRU": (
        {"cell": "gru", "activation": "identity"},
        r"activation='identity' is for cell='rnn' alone: cell='gru' has fixed activations",
    ),
    "patches for each": (
        {"patch_size": 2, "readout": "each"},
        r"patch_size=2 does not go with readout='each', which predicts at every step\. Set patch_size=1\.",
    ),
    "no units": (
        {"hidden_layer_sizes": (3, 0)},
        r"hidden_layer_sizes must be integers of at least 1, got \(3, 0\)\.",
    ),
    "no layers": (
        {"hidden_layer_sizes": ()},
        r"hidden_layer_sizes must be integers of at least 1, got \(\)\.",
    ),
    "half a unit": (
        {"hidden_layer_sizes": [2.5]},
        r"hidden_layer_sizes must be integers of at least 1, got \[2\.5\]\.",
    ),
}
BAD_SETTINGS_OF_LBFGS = {
    "truncation": (
        {"solver": "lbfgs", "truncation": 3},
        r"truncation=3 does not go with solver='lbfgs', which needs the exact gradient of a fixed "
        r"loss\. Set truncation=None\.",
    ),
    "truncation to one step": (
        {"solver": "lbfgs", "truncation": 1},
        r"truncation=1 does not go with solver='lbfgs'",
    ),
    "dropout": (
        {"solver": "lbfgs", "dropout": 0.5},
        r"dropout=0\.5 does not go with solver='lbfgs'",
    ),
}


def assert_settings_are_refused(make_estimator, params, message, methods, error=ValueError):
    """By an estimator that is made with them, and by a fitted one that gets them."""
    for method in methods:
        unfitted = make_estimator(**params)
        y = default_y(unfitted)
        known = first_call(unfitted) if method == "partial_fit" else {}
        assert_refuses(unfitted, method, sequences(), y, message=message, error=error, **known)
        assert_is_unfitted(unfitted)
        fitted = make_estimator()
        good_params = fitted.get_params()
        good_y = default_y(fitted)
        twin = deepcopy(fitted.fit(sequences(), good_y))
        fitted.set_params(**params)
        assert_refuses(fitted, method, sequences(), y, message=message, error=error)
        assert_goes_on_like(fitted.set_params(**good_params), twin, sequences(), good_y)


@pytest.mark.parametrize("make_estimator", [classifier, regressor])
@pytest.mark.parametrize(("params", "message"), BAD_SETTINGS.values(), ids=BAD_SETTINGS)
def test_training_refuses_settings_that_do_not_go_together(make_estimator, params, message):
    assert_settings_are_refused(make_estimator, params, message, ("fit", "partial_fit"))


@pytest.mark.parametrize(("params", "message"), BAD_SETTINGS_OF_LBFGS.values(), ids=BAD_SETTINGS_OF_LBFGS)
def test_lbfgs_refuses_what_makes_its_loss_another_one_each_time(params, message):
    assert_settings_are_refused(classifier, params, message, ("fit",))


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("alpha", -1.0, "a float in the range"),
        ("alpha", "strong", "a float in the range"),
        ("batch_size", 0, "a str among"),
        ("batch_size", 2.5, "a str among"),
        ("cell", "transformer", "a str among"),
        ("readout", None, "a str among"),
        ("solver", "newton", "a str among"),
        ("activation", np.tanh, "a str among"),
        ("learning_rate", 0.1, "a str among"),
        ("learning_rate_init", 0.0, "a float in the range"),
        ("hidden_layer_sizes", 0, "an array-like or an int in the range"),
        ("hidden_layer_sizes", None, "an array-like or an int in the range"),
        ("bidirectional", "yes", "an instance of 'bool'"),
        ("dropout", 1.0, "a float in the range"),
        ("truncation", 0, "an int in the range"),
        ("truncation_stride", 1.5, "an int in the range"),
        ("clip_norm", 0.0, "a float in the range"),
        ("clip_value", -1.0, "a float in the range"),
        ("patch_size", 0, "an int in the range"),
        ("step_features", "all", "an int in the range"),
        ("max_iter", 0, "an int in the range"),
        ("validation_fraction", 1.0, "a float in the range"),
        ("random_state", "seed", "an int in the range"),
        ("n_jobs", 1.5, "an instance of 'int' or None"),
    ],
)
def test_fit_refuses_parameters_of_other_types_and_ranges(name, value, expected):
    for make_estimator in (classifier, regressor):
        class_name = type(make_estimator()).__name__
        message = f"The '{name}' parameter of {class_name} must be {expected}"
        assert_settings_are_refused(make_estimator, {name: value}, message, ("fit",), error=InvalidParameterError)


def test_each_estimator_refuses_bad_values_of_its_own_parameters():
    message = "The 'class_weight' parameter of RNNClassifier must be"
    assert_settings_are_refused(classifier, {"class_weight": "even"}, message, ("fit",), error=InvalidParameterError)
    message = "The 'loss' parameter of RNNRegressor must be"
    assert_settings_are_refused(regressor, {"loss": "hinge"}, message, ("fit",), error=InvalidParameterError)


def test_the_first_partial_fit_checks_parameters_too():
    estimator = regressor(alpha=-1.0)
    message = "The 'alpha' parameter of RNNRegressor must be a float in the range"
    assert_refuses(estimator, "partial_fit", sequences(), TARGETS, message=message, error=InvalidParameterError)
    assert_is_unfitted(estimator)


# ---- partial_fit and warm starts ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value"),
    [("solver", "lbfgs"), ("early_stopping", True), ("learning_rate", "cosine")],
)
@pytest.mark.parametrize("make_estimator", [classifier, regressor])
def test_there_is_no_partial_fit_where_all_data_must_be_known(make_estimator, name, value):
    assert hasattr(make_estimator(), "partial_fit")
    estimator = make_estimator(**{name: value})
    assert not hasattr(estimator, "partial_fit")
    message = f"This '{type(estimator).__name__}' has no attribute 'partial_fit'"
    with pytest.raises(AttributeError, match=f"^{message}") as raised:
        estimator.partial_fit(sequences(), default_y(estimator))
    reason = str(raised.value.__cause__)
    assert reason.startswith(f"{name}={value!r} does not go with partial_fit")
    assert_is_unfitted(estimator)


@pytest.mark.parametrize("method", ["partial_fit", "fit with warm_start"])
@pytest.mark.parametrize(
    ("name", "value", "fitted_value"),
    [
        ("hidden_layer_sizes", (4,), "(3,)"),
        ("hidden_layer_sizes", (3, 3), "(3,)"),
        ("cell", "lstm", "'gru'"),
        ("bidirectional", True, "False"),
        ("readout", "mean", "'last'"),
        ("patch_size", 2, "1"),
        ("step_features", 2, "1"),
    ],
)
def test_training_goes_on_with_the_same_architecture_only(name, value, fitted_value, method):
    estimator = classifier(warm_start=True).fit(sequences(), LABELS)
    twin = deepcopy(estimator)
    good_params = estimator.get_params()
    estimator.set_params(**{name: value})
    message = (
        f"{name}={value!r}, but the fitted network has {name}={fitted_value}: training goes on with "
        "the same architecture only. Call fit with warm_start=False to start anew."
    )
    assert_refuses(estimator, method.split()[0], sequences(), LABELS, message=re.escape(message))
    assert_goes_on_like(estimator.set_params(**good_params), twin, sequences(), LABELS)


def test_fit_without_warm_start_takes_another_architecture():
    estimator = classifier().fit(sequences(), LABELS)
    estimator.set_params(hidden_layer_sizes=(5,), cell="lstm").fit(sequences(), LABELS)
    assert estimator.weights_["layer_0.recurrent"].shape == (5, 20)


def test_partial_fit_after_lbfgs_begins_an_optimizer_of_its_own():
    estimator = regressor(solver="lbfgs", tol=1.0, max_iter=100).fit(sequences(), TARGETS)
    before = estimator.predict(sequences())
    estimator.set_params(solver="adam").partial_fit(sequences(), TARGETS)
    assert np.abs(estimator.predict(sequences()) - before).min() > 0


def test_targets_beyond_float32_are_refused_for_float32_sequences():
    X = [x.astype(np.float32) for x in sequences()]
    y = np.where(TARGETS == 2.0, -1e300, TARGETS)
    assert_training_refuses(regressor(), X, y, message="y contains", good_X=X)


def test_values_beyond_float32_are_refused_by_a_float32_network():
    X = [x.astype(np.float32) for x in sequences()]
    estimator = regressor().fit(X, TARGETS)
    too_large = sequences_but(2, [[1.0, 1e300]])
    assert_refuses(estimator, "predict", too_large, message="X contains .* in sequence 2, step 0")
    assert_refuses(estimator, "partial_fit", too_large, TARGETS, message="X contains .* in sequence 2")
