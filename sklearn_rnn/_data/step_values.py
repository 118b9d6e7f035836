"""Values of every step (targets, weights or predictions) in the form of X, joined without looking at X."""

from __future__ import annotations

from typing import Any

import numpy as np

from sklearn_rnn._data.containers import by_instance
from sklearn_rnn._data.missing import as_array
from sklearn_rnn._data.reading import naming_argument


def parts_of(values: Any, name: str) -> list[np.ndarray]:
    """Return the values of each sequence as an array.

    Parameters
    ----------
    values : array-like of shape (n_sequences, ...), or list or object array of n_sequences array-likes, or pandas data
        with an index (instance, time)
    name : str
        The argument, for messages.

    Raises
    ------
    TypeError
        If ``values`` are not one entry for each sequence.
    """
    values = by_instance(values, name)
    entries = values if isinstance(values, (list, tuple)) else np.asarray(values)
    if isinstance(entries, np.ndarray) and entries.ndim == 0:
        raise TypeError(f"{name} is {values!r}, but it must have one entry for each sequence.")
    parts = []
    for i, part in enumerate(entries):
        with naming_argument(f"{name}[{i}]"):
            parts.append(as_array(part))
    return parts


def join(parts: list[np.ndarray]) -> np.ndarray:
    """Join the values of all sequences; strings and numbers (NaN for unknown labels) as objects."""
    kinds = {part.dtype.kind for part in parts}
    if len(kinds) > 1 and not kinds <= set("biuf"):
        parts = [part.astype(object) for part in parts]
    return np.concatenate(parts)


def check_per_step(predictions: Any, method: str, owner: str) -> list[np.ndarray]:
    """Return the predictions of each sequence; refuse predictions for whole sequences.

    Parameters
    ----------
    predictions : ndarray or list
        Returned by the ``method`` of an estimator of class ``owner``.

    Raises
    ------
    ValueError
    """
    parts = parts_of(predictions, "predictions")
    n_axes = 2 if method in ("predict_proba", "predict_log_proba") else 1
    for part in parts:
        if part.ndim < n_axes:
            raise ValueError(
                f"estimator predicts once for each sequence, but predictions for each step are needed: {method} of "
                f"{owner} returns an array of shape {part.shape} for a sequence. Set readout='each', or use "
                "scikit-learn's own scorers and functions, which are right for one target per sequence."
            )
    return parts


def target_parts(y: Any) -> list[np.ndarray]:
    """Return the targets of each sequence, (n_steps_i,) or (n_steps_i, n_outputs); refuse targets of whole sequences.

    Raises
    ------
    ValueError, TypeError
    """
    parts = parts_of(y, "y")
    if not parts:
        raise ValueError("y is empty: at least one sequence is needed.")
    for i, part in enumerate(parts):
        if part.ndim == 0:
            raise ValueError(
                f"y[{i}] is a single value, but one target for each step is needed. For one target per sequence use "
                "scikit-learn's own scorers and functions."
            )
    shapes = sorted({part.shape[1:] for part in parts})
    if len(shapes) > 1:
        raise ValueError(f"y has different numbers of outputs for different sequences: {shapes}.")
    return parts


def without_objects(labels: np.ndarray) -> np.ndarray:
    """Return known labels with the dtype of their values: scikit-learn does not know numbers in object arrays."""
    return np.array(labels.tolist()) if labels.dtype == object else labels
