"""Bad y: errors name the target, and the estimator stays as it was."""

from copy import deepcopy
from typing import Any, NamedTuple

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
    per_step,
    regressor,
    sequences,
)


class BadY(NamedTuple):
    estimator: Any
    y: Any
    message: str
    methods: tuple = ("fit", "partial_fit")


NAN_LABELS = np.where(LABELS == 1, np.nan, 0.0)
NAN_TARGETS = np.where(TARGETS == 1, np.nan, TARGETS)

BAD_Y = {
    "too short": BadY(
        classifier(),
        LABELS[:5],
        r"y has 5 entries, but X has 6 sequences: pass one entry for each sequence",
    ),
    "too long": BadY(
        regressor(),
        np.ones(7),
        r"y has 7 entries, but X has 6 sequences: pass one entry for each sequence",
    ),
    "too short, per step": BadY(
        classifier(readout="each"),
        per_step(0)[:4],
        r"y has targets for 4 sequences, but X has 6 sequences\.",
    ),
    "other lengths than X's": BadY(
        classifier(readout="each"),
        per_step(0, (5, 3, 7, 5, 2, 6)),
        r"y\[3\] has 5 targets, but X\[3\] has 4 steps: pass one target for each step\.",
    ),
    "other lengths than X's, regressor": BadY(
        regressor(readout="each"),
        per_step(0.5, (5, 3, 3, 4, 2, 6)),
        r"y\[2\] has 3 targets, but X\[2\] has 7 steps: pass one target for each step\.",
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
    # scikit-learn's words
    "continuous labels": BadY(classifier(), TARGETS, r"Unknown label type: continuous"),
    "NaN among labels": BadY(classifier(), NAN_LABELS, r"y\[1\] is nan: every sequence needs a label\. Leave out the"),
    "NaN among indicators": BadY(
        classifier(), np.where(MULTILABEL, np.nan, 0), r"y\[0\] is \[ 0\. nan nan\]: every sequence needs a label"
    ),
    "NaN among targets": BadY(regressor(), NAN_TARGETS, r"(Input )?y contains NaN"),
    "None among targets": BadY(
        regressor(), np.array([0.5, 1, None, 2, 3, 1], dtype=object), r"(Input )?y(\[2\])? (contains NaN|is None)"
    ),
    "None among labels": BadY(
        classifier(), np.array(["no", "yes", None, "yes", "yes", "no"], dtype=object), r"y\[2\] is None: every sequence"
    ),
    "None among numeric labels": BadY(classifier(), [0, 1, 0, None, 1, 0], r"y\[3\] is None: every sequence needs"),
    "NaN among strings": BadY(classifier(), ["no", "yes", "no", "yes", np.nan, "no"], r"y\[4\] is nan: every sequence"),
    "no label at any step": BadY(
        classifier(readout="each"), [[None] * n for n in LENGTHS], "y has no known target: every one is NaN, None or NA"
    ),
    "no target at any step": BadY(
        regressor(readout="each"), [np.full(n, np.nan) for n in LENGTHS], "y has no known target: every one is NaN"
    ),
    "some outputs of a step": BadY(
        regressor(readout="each"),
        [np.where(np.arange(2 * n).reshape(n, 2) == 9, np.nan, 1.0) for n in LENGTHS],
        r"y\[0\]\[4\] is \[ 1\. nan\], with only a part of the outputs known: give all outputs of a step or none",
    ),
    "infinity per step": BadY(regressor(readout="each"), per_step(np.inf), r"(Input )?y contains infinity"),
    "strings and numbers per step": BadY(
        classifier(readout="each"), [np.full(n, "a" if n == 3 else n) for n in LENGTHS], "Unknown label type"
    ),
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
    assert_continues_like(estimator, twin, sequences(), good_y)


@pytest.mark.parametrize("readout", ["last", "each"])
def test_scoring_refuses_targets_of_another_length(readout):
    for estimator in (classifier(readout=readout), regressor(readout=readout)):
        y = default_y(estimator)
        estimator.fit(sequences(), y)
        assert_refuses(estimator, "score", sequences(), y[:5], message="y has (5 entries|targets for 5 sequences), but")


BAD_LABELS_OF_SCORES = {
    "None": (None, ValueError, "requires y to be passed"),
    "a number": (1, TypeError, "y is 1, but it must have one entry for each sequence"),
    "a dict": ({0: 1}, TypeError, r"y is \{0: 1\}, but it must have one entry"),
    "one is missing": ([0, 1, np.nan, 0, 1, 0], ValueError, r"y\[2\] is nan: every sequence needs a label"),
    "other labels": (list("xyxyxy"), ValueError, "y cannot be compared with the predictions: Mix of label input types"),
    "two types": (object_array(["a", 0, 1, 0, 1, 0]), ValueError, "y has strings and labels of type int: use"),
    "multilabel": (MULTILABEL, ValueError, r"y has shape \(6, 3\), but RNNClassifier was fitted on one label each"),
    "large floats": ([1e300, 1, 0, 1, 0, 1], ValueError, "Unknown label type: continuous"),
}


@pytest.mark.parametrize(("y", "error", "message"), BAD_LABELS_OF_SCORES.values(), ids=BAD_LABELS_OF_SCORES)
def test_scoring_refuses_bad_labels(y, error, message):
    estimator = classifier().fit(sequences(), LABELS)
    assert_refuses(estimator, "score", sequences(), y, error=error, message=message)


def test_scoring_refuses_labels_where_indicators_were_fitted():
    estimator = classifier().fit(sequences(), MULTILABEL)
    message = r"y has shape \(6,\), but RNNClassifier was fitted on 3 labels a sequence"
    assert_refuses(estimator, "score", sequences(), LABELS, message=message)


BAD_VALUES_OF_SCORES = {
    "a number": (1.0, TypeError, "y is 1.0, but it must have one entry for each sequence"),
    "one is missing": ([0, 1, np.nan, 0, 1, 0], ValueError, "Input y contains NaN"),
    "two outputs": (np.ones((6, 2)), ValueError, "y has 2 outputs, but RNNRegressor was fitted on 1"),
    "squares that overflow": ([1e300, 1, 0, 1, 0, 1], ValueError, r"y is too large: R\^2 squares it, and"),
}


@pytest.mark.parametrize(("y", "error", "message"), BAD_VALUES_OF_SCORES.values(), ids=BAD_VALUES_OF_SCORES)
def test_scoring_refuses_bad_values(y, error, message):
    estimator = regressor().fit(sequences(), TARGETS)
    assert_refuses(estimator, "score", sequences(), y, error=error, message=message)


def test_scoring_leaves_values_without_weight_out():
    estimator, weights = regressor().fit(sequences(), TARGETS), np.array([1.0, 0, 1, 1, 1, 1])
    y = np.where(weights, TARGETS, 1e300)
    assert estimator.score(sequences(), y, weights) == estimator.score(sequences(), TARGETS, weights)


@pytest.mark.parametrize("readout", ["last", "each"])
def test_labels_of_several_types_are_refused(readout):
    estimator = classifier(readout=readout)
    mixed = [object_array(["a", *[1] * (length - 1)]) for length in LENGTHS]
    y = mixed if readout == "each" else object_array(["a", 0, 1, 0, 1, 0])
    message = "y has strings and labels of type int: use labels of one type"
    assert_refuses(estimator, "fit", sequences(), y, message=message)
    assert_is_unfitted(estimator)


def test_labels_that_no_integer_holds_are_refused():
    message = "Unknown label type: continuous"
    assert_refuses(classifier(), "fit", sequences(), [1e300, 1, 0, 1, 0, 1], message=message)


def test_targets_beyond_float32_are_refused_for_float32_sequences():
    X = [x.astype(np.float32) for x in sequences()]
    y = np.where(TARGETS == 2.0, -1e300, TARGETS)
    assert_training_refuses(regressor(), X, y, message="y contains", good_X=X)
