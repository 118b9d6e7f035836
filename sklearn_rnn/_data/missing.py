"""Values that are not known: NaN, None, NaT and pandas.NA."""

from __future__ import annotations

from typing import Any

import numpy as np


def is_missing(values: np.ndarray) -> np.ndarray:
    """Return where an array has NaN, None, NaT or pandas.NA, as an array of bool of its shape."""
    if values.dtype.kind in "fmM":
        return np.isnan(values)
    if values.dtype != object:
        return np.zeros(values.shape, bool)
    return np.array([is_missing_item(item) for item in values.flat], bool).reshape(values.shape)


def is_missing_item(item: Any) -> bool:
    """Whether one value is NaN, None, NaT or pandas.NA."""
    if item is None or type(item).__name__ in ("NAType", "NaTType"):  # by name: pandas need not be installed
        return True
    return isinstance(item, (float, np.floating)) and bool(np.isnan(item))


def as_array(values: Any) -> np.ndarray:
    """Return an array of targets. NaN among strings stays NaN: NumPy alone makes it the string "nan"."""
    array = np.asarray(values)
    if array.dtype.kind in "US" and isinstance(values, (list, tuple)) and any(map(is_missing_item, values)):
        return np.array(values, dtype=object)
    return array


def known_steps(y: np.ndarray, lengths: Any, name: str) -> np.ndarray:
    """Return the steps whose target is known.

    Parameters
    ----------
    y : ndarray of shape (n_rows,) or (n_rows, n_outputs)
        Of all sequences, one after another.
    lengths : array-like of shape (n_sequences,), int
        Number of steps of each sequence.
    name : str
        The argument, for messages.

    Returns
    -------
    ndarray of shape (n_rows,), bool

    Raises
    ------
    ValueError
        For a step with some outputs known, and others not.
    """
    missing = is_missing(y).reshape(len(y), int(np.prod(y.shape[1:])))
    is_known = np.asarray(~missing.all(axis=1))
    in_part = np.flatnonzero(missing.any(axis=1) & is_known)
    if len(in_part):
        ends = np.cumsum(lengths)
        i = int(np.searchsorted(ends, in_part[0], side="right"))
        step = in_part[0] - ends[i] + lengths[i]
        raise ValueError(
            f"{name}[{i}][{step}] is {y[in_part[0]]}, with only a part of the outputs known: give all outputs of a "
            "step or none, or fit one estimator for each output."
        )
    return is_known


def refuse_missing(y: Any, name: str) -> None:
    """Refuse None, NaN and pandas.NA among the labels of sequences; name the first one."""
    values = np.asarray(y)
    places = np.argwhere(is_missing(values))
    if values.ndim and len(places):
        i = places[0][0]
        raise ValueError(
            f"{name}[{i}] is {values[i]}: every sequence needs a label. Leave out the sequences without one."
        )
