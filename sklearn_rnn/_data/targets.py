"""Every accepted form of y, checked and read as one row per sequence or per step."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from numbers import Number
from typing import Any

import numpy as np
from sklearn.utils import check_array, column_or_1d
from sklearn.utils.multiclass import check_classification_targets, type_of_target
from sklearn.utils.validation import _num_samples

from sklearn_rnn._data.containers import by_instance, is_scalar
from sklearn_rnn._data.missing import as_array, is_missing, known_steps, refuse_missing
from sklearn_rnn._data.reading import naming_argument
from sklearn_rnn._data.sequences import BaseSequences
from sklearn_rnn._utils.warnings import warn_user


def check_y(
    y: Any, sequences: BaseSequences, *, per_step: bool, numeric: bool, dtype: Any = None, name: str = "y"
) -> Any:
    """Check y, in any of its forms, against the sequences.

    Parameters
    ----------
    y : array-like
        One entry (or row) per sequence. With ``per_step``: of shape ``(n_sequences, n_steps)`` or
        ``(n_sequences, n_steps, n_outputs)``, a list with an array per sequence, or pandas data with an index
        (instance, time).
    sequences : Sequences
    per_step : bool
    numeric : bool
        Whether y contains numbers, and not labels. They must be finite; with ``per_step`` they may be NaN.
    dtype : dtype or None
        Numeric targets must not be too large for this dtype.
    name : str, default="y"
        The argument, for messages.

    Returns
    -------
    ndarray of shape (n,) or (n, n_outputs), float64 if numeric
        n is the number of sequences or, with ``per_step``, the number of all their steps.

    Raises
    ------
    ValueError, TypeError
    """
    if y is None:
        raise ValueError(f"requires {name} to be passed, but the target {name} is None.")
    if is_scalar(y):
        raise TypeError(f"{name} is {y!r}, but it must have one entry for each sequence.")
    y = _join_steps(y, sequences, name) if per_step else _one_per_sequence(y, name)
    if not per_step and _num_samples(y) != len(sequences):
        raise ValueError(
            f"{name} has {_num_samples(y)} entries, but {sequences.name} has {len(sequences)} sequences: pass one "
            "entry for each sequence (inconsistent numbers of samples)."
        )
    return _check_numbers(y, sequences, per_step, dtype, name) if numeric else y


def _check_numbers(y: Any, sequences: BaseSequences, per_step: bool, dtype: Any, name: str) -> np.ndarray:
    may_be_nan: Any = "allow-nan" if per_step else True
    if per_step and y.dtype == object:
        y = np.where(is_missing(y), np.nan, y)
    with naming_argument(name):
        y = check_array(y, dtype=np.float64, ensure_2d=False, ensure_all_finite=may_be_nan, input_name=name)
    with np.errstate(over="ignore"):
        is_too_large = np.isinf(y.astype(dtype, copy=False))
    if is_too_large.any():
        raise ValueError(
            f"{name} contains {y[is_too_large][0]}, which is too large for the {dtype} of {sequences.name}."
        )
    return y


def _one_per_sequence(y: Any, name: str) -> Any:
    if not isinstance(y, (list, tuple)):
        return y
    try:
        return as_array(y)
    except ValueError as error:
        raise ValueError(
            f"{name} has entries of different lengths, but this readout needs one target (or row of targets) "
            "per sequence. For one target per step use readout='each'."
        ) from error


def _join_steps(y: Any, sequences: BaseSequences, name: str) -> np.ndarray:
    """Join the targets of all steps, sequence after sequence: the order of the rows of X."""
    X = sequences.name
    y = by_instance(y, name)
    parts = [as_array(part) for part in (y if isinstance(y, (list, tuple)) else np.asarray(y))]
    if len(parts) != len(sequences):
        raise ValueError(f"{name} has targets for {len(parts)} sequences, but {X} has {len(sequences)} sequences.")
    for i, (part, length) in enumerate(zip(parts, sequences.lengths)):
        if part.ndim == 0:
            raise ValueError(
                f"{name}[{i}] is a single value, but readout='each' needs one target for each of the {length} steps "
                f"of {X}[{i}]. For one target per sequence use readout='last', 'mean' or 'max'."
            )
        if len(part) != length:
            raise ValueError(
                f"{name}[{i}] has {len(part)} targets, but {X}[{i}] has {length} steps: pass one target for each step."
            )
    shapes = sorted({part.shape[1:] for part in parts})
    if len(shapes) > 1:
        raise ValueError(
            f"{name} has different numbers of outputs for different sequences: {shapes}. Pass the same number for each."
        )
    if len({part.dtype.kind in "US" for part in parts}) > 1:  # NumPy makes NaN the string "nan"
        parts = [part.astype(object) for part in parts]
    return np.concatenate(parts)


def known_targets(y: np.ndarray, sequences: BaseSequences, name: str = "y") -> tuple[np.ndarray, np.ndarray | None]:
    """Return the known targets of steps, and a mask (n_rows,) of the steps that have one; None if all have one."""
    is_known = known_steps(y, sequences.lengths, name)
    known = y if is_known.all() else y[is_known]
    # None makes an array of objects: numbers become numbers again.
    if known.dtype == object and len(known) and all(isinstance(label, (Number, np.bool_)) for label in known.flat):
        known = np.array(known.tolist())
    return known, None if len(known) == len(y) else is_known


def check_squares(y: np.ndarray, weights: np.ndarray) -> None:
    """Refuse checked values of sequences or steps, with weights (n,), whose squares are too large for float64."""
    with np.errstate(over="ignore"):
        total = (weights @ np.square(y)).sum()
    if not np.isfinite(total):
        raise ValueError(
            f"y is too large: R^2 squares it, and it has values up to {np.abs(y).max():.2g}. Divide it by the same "
            "number in fit and here."
        )


@contextmanager
def naming_targets(name: str) -> Iterator[None]:
    """Prefix errors of scikit-learn's metrics with the argument that has the true targets."""
    try:
        with np.errstate(invalid="ignore"):  # they try whether all labels are integers
            yield
    except (TypeError, ValueError) as error:
        kind = TypeError if isinstance(error, TypeError) else ValueError
        raise kind(f"{name} cannot be compared with the predictions: {error}") from error


def check_labels(y: Any, per_step: bool, name: str = "y") -> np.ndarray:
    """Check class labels; return them as (n,), or multilabel indicators as (n, n_labels).

    With ``per_step`` these are the known labels, perhaps none.

    Raises
    ------
    ValueError
        For continuous targets, for several multiclass outputs, and for multilabel y with ``per_step``.
    """
    if per_step and not len(y):
        return np.empty(0)
    refuse_missing(y, name)
    y = check_array(y, ensure_2d=False, dtype=None, ensure_all_finite=True, input_name=name, allow_nd=True)
    _refuse_unordered(y, name)
    with np.errstate(invalid="ignore"):  # of floats that no integer holds
        check_classification_targets(y)
        kind = type_of_target(y, input_name=name)
    if kind == "multilabel-indicator":
        if not np.isin(y, (0, 1)).all():
            raise ValueError(f"{name} is multilabel with values {np.unique(y).tolist()}: indicators must be 0 or 1.")
        if per_step:
            raise ValueError(f"{name} is multilabel, which readout='each' does not support: give one label per step.")
        return y
    if kind == "multiclass-multioutput":
        raise ValueError(
            f"{name} has several multiclass outputs, which are not supported: fit one classifier for each column "
            "(sklearn.multioutput.MultiOutputClassifier), or give multilabel indicators."
        )
    return column_or_1d(y, warn=True)


def _refuse_unordered(labels: np.ndarray, name: str) -> None:
    """Refuse a string with labels of other types: classes have an order.

    scikit-learn finds an unknown type of labels where the first one is no string, and nothing where it is.
    """
    if labels.dtype == object and isinstance(labels.flat[0], str):
        types = sorted({type(label).__name__ for label in labels.flat if not isinstance(label, str)})
        if types:
            raise ValueError(f"{name} has strings and labels of type {', '.join(types)}: use labels of one type.")


def warn_of_steps(y: np.ndarray, sequences: BaseSequences, name: str = "y") -> None:
    """Warn if checked targets of sequences, (n,) or (n, n_outputs), look like targets of steps."""
    n_steps = sequences.common_length
    if n_steps is not None and n_steps > 1 and y.ndim == 2 and y.shape[1] == n_steps:
        warn_user(
            f"{name} has shape {y.shape}, and the sequences of {sequences.name} have {n_steps} steps: {name} is read "
            f"as {n_steps} outputs (or labels) of each sequence, not as a target at every step. For a target at every "
            "step set readout='each'."
        )
