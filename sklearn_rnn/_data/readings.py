"""The hint that the rows of a data frame look like readings, which are read as sequences."""

from __future__ import annotations

from typing import Any

from sklearn_rnn._utils.warnings import warn_user

# Sequences of so few steps are rare, and tables of so few features are not. The names of steps nearly always have
# numbers ("t0", "lag_1", "08:00"), as those that scikit-learn's transformers make ("pca0").
MOST_COLUMNS = 4


def warn_of_readings(estimator: Any, sequences: Any) -> None:
    """Hint at ``sequences_from_frame``, if the columns of a table look like features and not like steps.

    With ``readout="each"`` y has a value for each column, so the columns are meant as steps.
    """
    names = getattr(estimator, "feature_names_in_", None)
    if names is None or sequences.form != "rows" or estimator.step_features != 1 or estimator.readout == "each":
        return
    if not 2 <= len(names) <= MOST_COLUMNS or any(letter.isnumeric() for name in names for letter in name):
        return
    warn_user(
        f"{sequences.name} is a data frame with the columns {[str(name) for name in names]}, and each row is read as a "
        f"sequence of {len(names)} steps, with a column for each step. If a row is one step, and the columns are its "
        "features, make sequences of many rows: preprocessing.sequences_from_frame. If the columns are steps, pass "
        f"numpy.asarray({sequences.name})."
    )
