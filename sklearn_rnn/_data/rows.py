"""The argument ``rows``: which of the sequences that continue side by side."""

from __future__ import annotations

from typing import Any

import numpy as np

from sklearn_rnn._data.reading import naming_argument


def check_rows(rows: Any, n_sequences: int | None = None) -> np.ndarray:
    """Check the indices or the mask of some sequences.

    Parameters
    ----------
    rows : int, array-like of int, or array-like of bool of shape (n_sequences,)
        Indices (negative ones count from the end), or a mask.
    n_sequences : int or None, default=None
        Number of all sequences. None if it is not known: then any index and any mask is accepted.

    Returns
    -------
    ndarray of shape (n_rows,), int, or (n_sequences,), bool

    Raises
    ------
    ValueError, TypeError
    """
    with naming_argument("rows"):
        array = np.atleast_1d(np.asarray(rows))
    if array.size == 0:
        array = array.astype(np.intp)
    if array.ndim > 1 or array.dtype.kind not in "biu":
        raise TypeError(f"rows must be indices of sequences or a boolean mask, got {rows!r}.")
    if n_sequences is None:
        return array
    if array.dtype.kind == "b":
        if len(array) != n_sequences:
            raise ValueError(f"rows is a mask of {len(array)} sequences, but there are {n_sequences}.")
    elif (outside := array[(array < -n_sequences) | (array >= n_sequences)]).size:
        raise ValueError(f"rows contains {outside[0]}, but there are sequences 0 to {n_sequences - 1}.")
    return array
