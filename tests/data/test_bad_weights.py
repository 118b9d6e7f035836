"""Bad sample weights and class weights: errors name them, and the estimator stays as it was."""

from copy import deepcopy

import numpy as np
import pytest
from refusals import (
    LABELS,
    MULTILABEL,
    TARGETS,
    assert_continues_like,
    assert_is_unfitted,
    assert_refuses,
    assert_training_refuses,
    classifier,
    default_y,
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
    weights = [0, 0, 1, 0, 0, 0]  # one of the two parts gets no weight
    assert_refuses(estimator, "fit", sequences(), TARGETS, sample_weight=weights, message=message)
    assert_is_unfitted(estimator)
