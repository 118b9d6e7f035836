"""The hint that whole numbers in the only feature look like ids, which a network reads as quantities."""

from __future__ import annotations

import numpy as np

from sklearn_rnn._data.sequences import BaseSequences
from sklearn_rnn._utils.warnings import warn_user

# Numbers look like ids if there are this many different ones, not negative, and if the next one does not depend on the
# last: the correlation of numbers that follow each other is small. Counts and rounded measurements depend on it.
FEWEST_IDS = 20
LARGEST_CORRELATION = 0.1
FEWEST_STEPS = 400  # in which a correlation of 0.1 is no accident
MOST_STEPS = 100_000  # that are looked at


class IdCheck:
    """Looks at the first rows of X, and then hints at numbers that look like ids."""

    def __init__(self) -> None:
        self._rows: np.ndarray | None = None

    def __call__(self, rows: np.ndarray) -> None:
        """Keep the first rows of the first chunk, (n_rows, n_features)."""
        if self._rows is None:
            self._rows = rows[:MOST_STEPS]

    def warn(self, sequences: BaseSequences) -> None:
        """Hint at ``categorical_features``, if the only feature of the sequences looks like an id."""
        if self._rows is None or self._rows.shape[1] != 1 or len(self._rows) < FEWEST_STEPS:
            return
        values = self._rows[:, 0]
        if (values < 0).any() or (values != np.floor(values)).any():
            return
        n_different = len(np.unique(values))
        if n_different < FEWEST_IDS or _correlation_of_followers(values, sequences.starts) > LARGEST_CORRELATION:
            return
        warn_user(
            f"{sequences.name} has {n_different} different whole numbers in its only feature, which look like ids, but "
            "are read as quantities. If they are ids, such as those of words or pages, set categorical_features=[0]."
        )


def _correlation_of_followers(values: np.ndarray, starts: np.ndarray) -> float:
    """Return the correlation of the values of steps that follow each other in a sequence."""
    follows = np.ones(len(values), bool)
    follows[starts[starts < len(values)]] = False
    places = np.flatnonzero(follows)
    if len(places) < FEWEST_STEPS:
        return 1.0
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        correlation = np.corrcoef(values[places - 1].astype(np.float64), values[places].astype(np.float64))[0, 1]
    return float(np.nan_to_num(abs(correlation), nan=1.0))
