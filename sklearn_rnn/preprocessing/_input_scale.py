"""Sequences, and their changes from step to step, in units of the spread of the training sequences."""

from __future__ import annotations

import numpy as np

from sklearn_rnn._data.moments import Moments
from sklearn_rnn._data.packing import Packing
from sklearn_rnn._data.sequences import Sequences
from sklearn_rnn._utils.plain import Array, plain_form, refuse_unless

# The largest size of a standardised value. States are saturated long before, and no sum of such values overflows.
LARGEST_VALUE = 1e9


@plain_form("input_scale", _mean=Array(1), _spread=Array(1), _change=Array(1))
class InputScale:
    """Standardises values and changes, feature by feature.

    Parameters
    ----------
    sample : Sequences
        Sequences that the mean and the spreads are measured on.
    """

    def __init__(self, sample: Sequences) -> None:
        precision = 10 * float(np.finfo(sample.dtype).eps)
        moments = Moments(sample.n_features)
        with np.errstate(over="ignore", invalid="ignore"):
            moments.add(sample.rows)
        if not np.isfinite(moments.spread).all():
            feature = np.flatnonzero(~np.isfinite(moments.spread))[0]
            raise ValueError(
                f"{sample.name} has numbers in feature {feature} whose squares are too large for float64: divide them "
                "by a power of 10."
            )
        self._mean = moments.mean.astype(sample.dtype)
        self._spread = _scale(moments.spread, moments.is_constant(precision), sample.dtype)

        moments = Moments(sample.n_features)
        is_first = np.zeros(sample.n_rows, bool)
        is_first[sample.starts] = True
        moments.add(np.diff(self.values(sample.rows), axis=0)[~is_first[1:]])
        size = np.hypot(moments.mean, moments.spread)
        self._change = _scale(size, size <= precision, sample.dtype)

    def check_parts(self, n_features: int, dtype: np.dtype, place: str) -> None:
        """Refuse a loaded scale that is none of so many features."""
        parts = (self._mean, self._spread, self._change)
        is_right = all(part.shape == (n_features,) and part.dtype == dtype for part in parts)
        is_right &= bool((self._spread > 0).all() and (self._change > 0).all())
        refuse_unless(is_right, place, f"must have {n_features} positive numbers")

    def values(self, rows: np.ndarray) -> np.ndarray:
        """Return rows with mean 0 and spread 1."""
        with np.errstate(over="ignore"):
            return _limited(rows - self._mean, self._spread)

    def changes(self, values: np.ndarray, packing: Packing) -> np.ndarray:
        """Return the changes of standardised values from step to step, with mean square 1; 0 at the first step."""
        before_first = values[: packing.n_sequences]
        previous = np.concatenate([before_first, values])[packing.previous_rows]
        return _limited(values - previous, self._change)


def _scale(size: np.ndarray, is_constant: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Return the size as a divisor: 1 for constant features, and where the division could overflow too soon."""
    return np.where(is_constant | (size <= np.finfo(dtype).tiny), 1.0, size).astype(dtype)


def _limited(rows: np.ndarray, scale: np.ndarray) -> np.ndarray:
    rows /= scale
    return np.clip(rows, -LARGEST_VALUE, LARGEST_VALUE, out=rows)
