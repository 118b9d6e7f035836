"""to_object_column: sequences as 2-D data, for clients that insist on it."""

from __future__ import annotations

import numpy as np

from sklearn_rnn._data.containers import unpack
from sklearn_rnn._data.reading import form_of
from sklearn_rnn._data.sequences import object_array


def to_object_column(X):
    """Return sequences as a column of objects: 2-D data with one sequence in each row.

    Many functions and meta-estimators index and check 2-D data, and refuse lists and 3-D arrays: scikit-learn's
    BaggingClassifier and permutation_importance, imbalanced-learn's RandomOverSampler, and others. They pass this
    column on as it is, and the estimators of this package read it as a list of sequences.

    Parameters
    ----------
    X : array-like of shape (n_sequences, n_steps, n_features), or list or other container of arrays of shape \
            (n_steps_i, n_features) or (n_steps_i,)
        Sequences, in any accepted form but 2-D.

    Returns
    -------
    ndarray of shape (n_sequences, 1), object
        Its items are the sequences, not copied. Those that are data frames stay data frames, so that their column names
        are known to the estimator.

    Raises
    ------
    ValueError, TypeError
        For 2-D X, which is accepted everywhere as it is, and for objects that are no container of sequences.

    See Also
    --------
    sklearn_rnn.RNNClassifier : Classifier of sequences.
    sklearn_rnn.RNNRegressor : Regressor of sequences.

    Examples
    --------
    >>> from sklearn.ensemble import BaggingClassifier
    >>> from sklearn_rnn import RNNClassifier
    >>> from sklearn_rnn.datasets import load_japanese_vowels
    >>> from sklearn_rnn.preprocessing import to_object_column
    >>> X, y = load_japanese_vowels(subset="train", return_X_y=True)
    >>> column = to_object_column(X[::9])
    >>> column.shape
    (30, 1)
    >>> bagging = BaggingClassifier(RNNClassifier(max_iter=3), n_estimators=2, random_state=0)
    >>> bagging.fit(column, y[::9]).predict(column).shape
    (30,)
    """
    sequences = unpack(X, "X").X
    if form_of(sequences, fitted_on_rows=False) == "rows":
        raise ValueError(
            "X is 2-D or has no sequences: pass a list of arrays (n_steps_i, n_features) or a 3-D array. If the rows "
            "of 2-D X are sequences, pass X as it is, or X.reshape(len(X), -1, step_features)."
        )
    return object_array([_as_item(sequence, f"X[{i}]") for i, sequence in enumerate(sequences)]).reshape(-1, 1)


def _as_item(sequence, place):
    """Return a sequence that is one item of an array of objects."""
    if not isinstance(sequence, (list, tuple)):
        return sequence
    try:
        return np.asarray(sequence)
    except ValueError as error:
        raise ValueError(f"{place} is not an array of shape (n_steps, n_features): {error}") from error
