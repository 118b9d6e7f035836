"""Bad validation data: errors name X_val, y_val or sample_weight_val."""

import numpy as np
import pytest
from helpers import make_sequences
from refusals import LABELS, LENGTHS, assert_training_refuses, classifier, rows, sequences, sequences_but

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


def test_labels_called_like_arguments_are_reported_as_they_are():
    labels = np.array(["X", "y"])[LABELS]
    unseen = np.array(["X", "y", "sample_weight"])[[2, *LABELS[1:]]]
    with pytest.raises(
        ValueError, match=r"^y_val contains labels that are not in classes_: \['sample_weight'\]"
    ) as error:
        classifier().fit(sequences(), labels, X_val=sequences(), y_val=unseen)
    assert "classes_ is ['X', 'y']" in str(error.value)
