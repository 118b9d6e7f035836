"""NaN at the ends of sequences, which is padding, and not a gap."""

from __future__ import annotations

import numpy as np


def looks_like_padding(rows: np.ndarray, lengths: np.ndarray) -> bool:
    """Return whether NaN stands only in whole steps at the ends of sequences, after steps that are known.

    Parameters
    ----------
    rows : ndarray of shape (n_rows, n_features)
        Steps of sequences, one after the other.
    lengths : ndarray of shape (n_sequences,), int
        Steps per sequence.
    """
    is_unknown = ~np.isfinite(rows)
    is_empty = np.isnan(rows).all(axis=1)
    begins = np.zeros(len(rows), bool)
    begins[np.cumsum(lengths) - lengths] = True
    goes_on = ~is_empty[1:] & is_empty[:-1] & ~begins[1:]  # a known step follows an empty one
    has_gaps = (is_unknown.any(axis=1) != is_empty).any() or goes_on.any() or is_empty[begins].any()
    return bool(is_empty.any() and not has_gaps)


def remedy_for_nan(rows: np.ndarray, lengths: np.ndarray, form: str, has_categories: bool = False) -> str:
    """Return the sentences of an error about NaN that say what to do.

    Parameters
    ----------
    rows, lengths
        As for ``looks_like_padding``, with all features.
    form : {"rows", "array", "list", "object"}
        The form of X.
    has_categories : bool
        Whether some features are categories, which imputers of numbers do not take or would change.
    """
    if not looks_like_padding(rows, lengths):
        before = "Replace infinity by NaN. " if np.isinf(rows).any() else ""
        imputer = "in X itself (a data frame has fillna)" if has_categories else "by TimeDistributed(SimpleImputer())"
        return (
            f"{before}Fill gaps by sklearn_rnn.preprocessing.ForwardFill(), and then those at the start of a sequence "
            f"{imputer}, or leave out the sequence."
        )
    layout = "'case_time_channel'"
    if form == "rows":
        layout = "'by_step'" if rows.shape[1] == 1 else f"'by_step', step_features={rows.shape[1]}"
    return (
        "NaN stands only at the ends of sequences, as padding does. Remove padding by "
        f"sklearn_rnn.preprocessing.ToSequences({layout}, padding=numpy.nan), because to impute it would invent steps. "
        "Fill real gaps by ForwardFill()."
    )
