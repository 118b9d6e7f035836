"""Scalers in front of a network's steps: each feature minus its center, over its scale, times its factor, and so on."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class StepScaling(NamedTuple):
    """Chosen columns of a step, each changed by one or several scalers.

    A scaler maps x to ((x - terms[0]) / terms[1]) * terms[2] + terms[3]. It has at most two terms that are not 0 or 1,
    so that every operation is one of the scaler's own, and has its bits.

    Attributes
    ----------
    n_inputs : int
        Values of a step.
    columns : ndarray of shape (n_columns,), int64
        The value of the step that each column of the result comes from.
    terms : ndarray of shape (2, n_scalers, 4, n_columns), float64
        Center, divisor, factor and shift of each scaler. terms[0] are for steps in float64. terms[1] are for steps in
        float32, of which some scalers round their terms first; every result is rounded to float32.
    """

    n_inputs: int
    columns: np.ndarray
    terms: np.ndarray

    def __call__(self, rows: np.ndarray) -> np.ndarray:
        """Return rows, (n_rows, n_inputs), float32 or float64, as (n_rows, n_columns) of the same dtype."""
        scaled = np.take(rows, self.columns, axis=1)
        with np.errstate(over="ignore", invalid="ignore"):  # the caller looks for infinity
            for center, divisor, factor, shift in self.terms[int(rows.dtype == np.float32)]:
                scaled -= center
                scaled /= divisor
                scaled *= factor
                scaled += shift
        return scaled

    def then(self, second: StepScaling) -> StepScaling:
        """Return the scaling that does one after the other."""
        terms = np.concatenate([self.terms[..., second.columns], second.terms], axis=1)
        return StepScaling(self.n_inputs, self.columns[second.columns], terms)

    def of_patches(self, n_steps: int) -> StepScaling:
        """Return the scaling of several steps side by side."""
        first = self.n_inputs * np.arange(n_steps)[:, np.newaxis]
        columns, terms = (first + self.columns).ravel(), np.tile(self.terms, n_steps)
        return StepScaling(n_steps * self.n_inputs, columns, terms)
