"""X that needs no conversion: recognised at once, where the checks of every form take longer than a prediction."""

from __future__ import annotations

from math import isfinite
from typing import Any

import numpy as np

from sklearn_rnn._data.mapped_files import is_mapped
from sklearn_rnn._data.sequences import Sequences


def ready_sequences(X: Any, n_features: int, dtype: Any, name: str = "X") -> Sequences | None:
    """Return X as sequences if every check of it would pass and nothing would be converted; otherwise None.

    No check is dropped: X that is not ready, or that is wrong, is read in the usual way, which finds the error.

    Parameters
    ----------
    X : object
        Ready are an array (n_sequences, n_steps, n_features), and a list of one array (n_steps, n_features): aligned,
        in C order, in memory, and without NaN, infinity, and values whose sum overflows.
    n_features : int
        Number of features per step.
    dtype : dtype
        float32 or float64.
    name : str, default="X"
        The argument, for messages.
    """
    is_list = type(X) is list and len(X) == 1
    array = X[0] if is_list else X
    if type(array) is not np.ndarray or array.ndim != 3 - is_list or array.dtype != dtype or array.size == 0:
        return None
    if array.shape[-1] != n_features or not is_compact(array) or is_mapped(array):
        return None
    rows = array.reshape(-1, n_features)
    if not has_finite_sum(rows):
        return None
    n_sequences = 1 if is_list else len(array)
    lengths = np.full(n_sequences, len(rows) // n_sequences)
    return Sequences(rows, lengths, "list" if is_list else "array", name)


def is_compact(array: np.ndarray) -> bool:
    """Whether an array is aligned and in C order."""
    return array.flags.c_contiguous and array.flags.aligned


def has_finite_sum(values: np.ndarray) -> bool:
    """Whether the sum is finite: then all values are. Otherwise it may have overflowed."""
    with np.errstate(over="ignore", invalid="ignore"):
        return isfinite(np.add.reduce(values, axis=None))
