"""Bad sample weights and class weights: errors name them, and the estimator stays as it was."""

from copy import deepcopy

import numpy as np
import pytest
from refusals import (
    LABELS,
    LENGTHS,
    MULTILABEL,
    TARGETS,
    assert_continues_like,
    assert_is_unfitted,
    assert_refuses,
    assert_training_refuses,
    classifier,
    default_y,
    object_array,
    regressor,
    sequences,
)

# ---- Class weights -----------------------------------------------------------------------------------


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
    assert_continues_like(fitted, twin, sequences(), LABELS)


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
    assert_continues_like(fitted.set_params(class_weight=None), twin, sequences(), y)


# ---- Sample weights ----------------------------------------------------------------------------------


BAD_WEIGHTS = {
    "negative": ([1, 1, -1, 1, 1, 1], "sample_weight"),
    "all zero": (np.zeros(6), "sample_weight is zero for every sequence: at least one must be"),
    "too few": (np.ones(5), r"sample_weight has shape \(5,\), but X has 6 sequences"),
    "NaN": ([1, 1, np.nan, 1, 1, 1], r"sample_weight\[2\] is nan: weights must be finite and not negative"),
    "infinity": ([1, 1, 1, 1, np.inf, 1], r"sample_weight\[4\] is inf: weights must be finite and not negative"),
    "no number": ([1, 1, "one", 1, 1, 1], "sample_weight is not numeric: could not convert"),
    "a word": ("balanced", "sample_weight is not numeric: could not convert string to float"),
    "a dict": ({0: 1}, "sample_weight is not numeric: float"),
    "one NaN in an array": (np.array(np.nan), "sample_weight is nan: weights must be finite and not negative"),
    "one NaN for all": (np.nan, "sample_weight is nan: weights must be finite and not negative"),
    "one infinity for all": (np.inf, "sample_weight is inf: weights must be finite and not negative"),
    "one negative number for all": (-1, "sample_weight is -1.0: weights must be finite and not negative"),
    "one too large for all": (1e300, r"sample_weight is too large: the weights sum to .*e\+30.*, but in float64 they"),
    "a sum that overflows": ([1.5e308] * 6, "sample_weight is too large: the weights sum to inf, but in float64"),
}


@pytest.mark.parametrize(("weights", "message"), BAD_WEIGHTS.values(), ids=BAD_WEIGHTS)
def test_training_refuses_bad_weights(weights, message):
    error = TypeError if isinstance(weights, dict) else ValueError
    for estimator in (classifier(), regressor(readout="each")):
        y = default_y(estimator)
        assert_training_refuses(estimator, sequences(), y, error=error, sample_weight=weights, message=message)


@pytest.mark.parametrize(("weights", "message"), BAD_WEIGHTS.values(), ids=BAD_WEIGHTS)
def test_scores_refuse_the_weights_that_training_refuses(weights, message):
    error = TypeError if isinstance(weights, dict) else ValueError
    for make in (classifier, regressor):
        for readout in ("last", "each"):
            estimator = make(readout=readout)
            y = default_y(estimator)
            estimator.fit(sequences(), y)
            assert_refuses(estimator, "score", sequences(), y, error=error, sample_weight=weights, message=message)


def test_scores_of_sequences_refuse_weights_of_steps():
    message = "sample_weight has a weight for each step, but only readout='each' has a target for each step: pass one"
    for weights in (step_weights(), np.ones((6, 4))):
        for estimator in (classifier(), regressor()):
            y = default_y(estimator)
            estimator.fit(sequences(), y)
            assert_refuses(estimator, "score", sequences(), y, sample_weight=weights, message=message)


@pytest.mark.parametrize("weights", [1e38, [1, 1, 1e30, 1, 1, 1]])
def test_weights_that_are_too_large_for_float32_are_refused(weights):
    X = [x.astype(np.float32) for x in sequences()]
    message = r"sample_weight is too large: the weights sum to .*, but in float32 they may sum to 1.8e\+19 at most"
    for estimator in (classifier(), regressor(readout="each")):
        y = default_y(estimator)
        assert_training_refuses(estimator, X, y, sample_weight=weights, message=message, good_X=X)


@pytest.mark.parametrize(
    ("dtype", "class_weight", "weight"),
    [(np.float32, 1e300, None), (np.float32, 1e15, 1e15), (np.float64, 1e300, None), (np.float64, 1e300, 1e100)],
)
def test_class_weights_that_are_too_large_are_refused(dtype, class_weight, weight):
    X = [x.astype(dtype) for x in sequences()]
    estimator = classifier(class_weight={0: class_weight})
    message = r"class_weight=\{0: .*\}, times sample_weight, is too large: the weights sum to"
    assert_refuses(estimator, "fit", X, LABELS, sample_weight=weight, message=message)
    assert_is_unfitted(estimator)
    known = {"classes": [0, 1], "sample_weight": weight}
    assert_refuses(estimator, "partial_fit", X, LABELS, message=message, **known)


# ---- Weights of steps --------------------------------------------------------------------------------


def step_weights(change=None):
    """Weights of the steps of all sequences; ``change`` is (sequence, its weights)."""
    weights = [np.ones(n) for n in LENGTHS]
    if change is not None:
        weights[change[0]] = change[1]
    return weights


BAD_STEP_WEIGHTS = {
    "too few": (step_weights()[:5], "sample_weight has weights for 5 sequences, but X has 6 sequences"),
    "other lengths": (step_weights((3, np.ones(5))), r"sample_weight\[3\] has shape \(5,\), but X\[3\] has 4 steps"),
    "an axis of outputs": (
        step_weights((1, np.ones((3, 1)))),
        r"sample_weight\[1\] has shape \(3, 1\), but X\[1\] has",
    ),
    "one of a sequence": (step_weights((2, 1.0)), r"sample_weight\[2\] is a single number, but X\[2\] has 7 steps"),
    "NaN": (step_weights((4, [1, np.nan])), r"sample_weight\[4\]\[1\] is nan: weights must be finite and not"),
    "negative": (step_weights((1, [1, 1, -2])), r"sample_weight\[1\]\[2\] is -2.0: weights must be finite and not"),
    "no numbers": (step_weights((1, ["a", "b", "c"])), r"sample_weight\[1\] is not numeric: could not convert"),
    "all zero": ([np.zeros(n) for n in LENGTHS], "sample_weight is zero for every sequence: at least one must be"),
    "2-D": (np.ones((6, 4)), r"sample_weight\[0\] has shape \(4,\), but X\[0\] has 5 steps"),
    "too large": (step_weights((2, np.full(7, 1e300))), "sample_weight is too large: the weights sum to 7e\\+300"),
}


@pytest.mark.parametrize(("weights", "message"), BAD_STEP_WEIGHTS.values(), ids=BAD_STEP_WEIGHTS)
def test_training_refuses_bad_weights_of_steps(weights, message):
    for estimator in (classifier(readout="each"), regressor(readout="each")):
        y = default_y(estimator)
        assert_training_refuses(estimator, sequences(), y, sample_weight=weights, message=message)


def test_weights_of_steps_are_refused_by_readouts_of_sequences():
    message = "sample_weight has a weight for each step, but only readout='each' has a target for each step: pass one"
    for weights in (step_weights(), object_array(step_weights()), np.ones((6, 4))):
        for estimator in (classifier(), regressor(readout="mean")):
            y = default_y(estimator)
            assert_training_refuses(estimator, sequences(), y, sample_weight=weights, message=message)


def test_weights_of_steps_must_leave_a_known_target():
    y = [np.where(np.arange(n) % 2, 1.0, np.nan) for n in LENGTHS]
    weights = [(np.arange(n) + 1) % 2 for n in LENGTHS]
    message = "sample_weight is zero for every step whose target is known: at least one must be positive"
    estimator = regressor(readout="each")
    assert_training_refuses(estimator, sequences(), y, sample_weight=weights, message=message)
    estimator.fit(sequences(), y)
    message = "y has no known target with a weight above 0: there is nothing to score"
    assert_refuses(estimator, "score", sequences(), y, sample_weight=weights, message=message)


def test_bad_validation_weights_of_steps_name_the_validation_data():
    estimator = regressor(readout="each")
    validation = {"X_val": sequences(), "y_val": default_y(estimator), "sample_weight_val": step_weights((3, [1.0]))}
    message = r"sample_weight_val\[3\] has shape \(1,\), but X_val\[3\] has 4 steps"
    assert_refuses(estimator, "fit", sequences(), default_y(estimator), message=message, **validation)


# ---- Early stopping ----------------------------------------------------------------------------------


def test_sequences_without_weight_are_no_validation_data():
    estimator = regressor(early_stopping=True, validation_fraction=0.5)
    weights = [0, 0, 1, 0, 0, 0]
    message = r"validation_fraction=0.5 of 1 sequence leaves none to train on: lower it, or pass X_val and y_val, or"
    assert_refuses(estimator, "fit", sequences(), TARGETS, sample_weight=weights, message=message)
    assert_is_unfitted(estimator)
    message = r"validation_fraction=0.5 of 2 sequences leaves one to validate on: raise it, or pass X_val and y_val"
    assert_refuses(estimator, "fit", sequences(), TARGETS, sample_weight=[0, 0, 1, 0, 1, 0], message=message)
