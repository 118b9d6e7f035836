"""ForwardFill on sequences that continue: the last values of the steps so far fill the next gaps."""

from __future__ import annotations

import numpy as np

from sklearn_rnn._data.containers import unpack
from sklearn_rnn._data.names import common_names
from sklearn_rnn._data.reading import check_sequences
from sklearn_rnn._data.sequences import Sequences
from sklearn_rnn.preprocessing._gaps import ArraySteps, Gaps


class ContinuedFill:
    """Fills the gaps of the next steps of sequences of numbers.

    Parameters
    ----------
    fill : ForwardFill
        Fitted, on sequences.
    place : int or None
        Of the feature with the times.

    Notes
    -----
    The arrays from which it continues, of each sequence:

    * "values" (n_sequences, n_features), the last value of each feature, NaN before the first one
    * "since" (n_sequences, n_elapsed), with ``add_elapsed`` the time of this value, or of the first step
    * "steps" (n_sequences,), the number of steps
    """

    def __init__(self, fill, place):
        self.fill = fill
        self.place = place
        # Names are compared if there are any. Arrays of a stream have none, and that is no reason to warn at each step.
        self.feature_names_in_ = vars(fill).pop("feature_names_in_", None)

    @property
    def n_features_in_(self):
        """Number of features per step."""
        return self.fill.n_features_in_

    @property
    def _timed_features(self):
        return self.fill.missing_features_ if self.fill.add_elapsed else self.fill.missing_features_[:0]

    def start(self, n_sequences):
        """Return the arrays before the first step."""
        return {
            "values": np.full((n_sequences, self.n_features_in_), np.nan),
            "since": np.zeros((n_sequences, len(self._timed_features))),
            "steps": np.zeros(n_sequences, np.int64),
        }

    def continue_from(self, X, arrays):
        """Return the next steps without gaps and with the added features, in the form of X, and the arrays after them.

        Parameters
        ----------
        X : array-like of shape (n_sequences, n_steps, n_features), or list of arrays of shape (n_steps_i, n_features)
        arrays : dict of str to ndarray
            Not changed.
        """
        if self.feature_names_in_ is not None:
            common_names(unpack(X, "X"), "X", self.feature_names_in_)
        sequences = check_sequences(self.fill, X, reset=False, fitted_on_rows=False, ensure_all_finite="allow-nan")
        if len(sequences) != len(arrays["steps"]):
            raise ValueError(
                f"X has {len(sequences)} sequences, but the stream has {len(arrays['steps'])}: pass the next steps of "
                "each."
            )
        steps, lengths = self._with_last_values(sequences, arrays)
        gaps, starts = Gaps(steps.missing, lengths), np.cumsum(lengths) - lengths
        since = self._times_of_values(gaps, steps, starts, lengths, arrays)
        added = [steps.missing[:, self.fill.missing_features_]] if self.fill.add_indicator else []
        added += [steps.time[:, np.newaxis] - since]
        filled = steps.filled(gaps.rows_of_values(), np.hstack(added), None)
        last = starts + lengths - 1
        after = {
            "values": filled[last, : self.n_features_in_].astype(np.float64),
            "since": since[last],
            "steps": arrays["steps"] + sequences.lengths,
        }
        return sequences.split(np.delete(filled, starts, axis=0)), after

    def _with_last_values(self, sequences, arrays):
        """Return the steps with one more in front of each sequence, the last values; and the numbers of these steps."""
        lengths, has_begun = sequences.lengths + 1, arrays["steps"] > 0
        rows = np.insert(sequences.rows, sequences.starts, arrays["values"].astype(sequences.dtype), axis=0)
        starts = np.cumsum(lengths) - lengths
        if self.place is not None:
            rows[starts[~has_begun], self.place] = rows[starts[~has_begun] + 1, self.place]
        steps = ArraySteps(Sequences(rows, lengths, "list"), first_step=-1)
        steps.time += np.repeat(arrays["steps"] - 1 - starts, lengths)
        steps.read_time(self.place, self.fill.time)
        return steps, lengths

    def _times_of_values(self, gaps, steps, starts, lengths, arrays):
        """Return the time of the value that stands at each step, (n_rows, n_elapsed); that of the first before any."""
        rows = gaps.rows_since(self._timed_features)
        is_earlier = rows == np.repeat(starts, lengths)[:, np.newaxis]  # before these steps
        begins = (arrays["steps"] == 0)[:, np.newaxis]
        earlier = np.where(begins, steps.time[starts + 1][:, np.newaxis], arrays["since"])
        return np.where(is_earlier, np.repeat(earlier, lengths, axis=0), steps.time[rows])
