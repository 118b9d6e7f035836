"""Every accepted form of y and of sample_weight, checked and read as one row per sequence or per step."""

from __future__ import annotations

from numbers import Real
from typing import Any

import numpy as np
from sklearn.utils import check_array, column_or_1d
from sklearn.utils.multiclass import check_classification_targets, type_of_target
from sklearn.utils.validation import _num_samples

from sklearn_rnn._data.reading import naming_argument
from sklearn_rnn._data.sequences import BaseSequences


def check_y(
    y: Any, sequences: BaseSequences, *, per_step: bool, numeric: bool, dtype: Any = None, name: str = "y"
) -> Any:
    """Check y, in any of its forms, against the sequences.

    Parameters
    ----------
    y : array-like
        One entry (or row) per sequence. With ``per_step``: of shape ``(n_sequences, n_steps)`` or
        ``(n_sequences, n_steps, n_outputs)``, or a list with an array per sequence.
    sequences : Sequences
    per_step : bool
    numeric : bool
        Whether y contains numbers, which must be finite, and not labels.
    dtype : dtype or None
        Dtype of numeric targets.
    name : str, default="y"
        The argument, for messages.

    Returns
    -------
    ndarray of shape (n,) or (n, n_outputs)
        n is the number of sequences or, with ``per_step``, the number of all their steps.

    Raises
    ------
    ValueError, TypeError
    """
    if y is None:
        raise ValueError(f"requires {name} to be passed, but the target {name} is None.")
    y = _join_steps(y, sequences, name) if per_step else _one_per_sequence(y, name)
    if not per_step and _num_samples(y) != len(sequences):
        raise ValueError(
            f"{name} has {_num_samples(y)} entries, but {sequences.name} has {len(sequences)} sequences: pass one "
            "entry for each sequence (inconsistent numbers of samples)."
        )
    if numeric:
        with naming_argument(name):
            y = check_array(y, dtype=np.float64, ensure_2d=False, input_name=name)
        with np.errstate(over="ignore"):
            converted = y.astype(dtype, copy=False)
        if not np.isfinite(converted).all():
            raise ValueError(
                f"{name} contains {y[~np.isfinite(converted)][0]}, which is too large for the {dtype} of "
                f"{sequences.name}."
            )
        return converted
    return y


def _one_per_sequence(y: Any, name: str) -> Any:
    if not isinstance(y, (list, tuple)):
        return y
    try:
        return np.asarray(y)
    except ValueError as error:
        raise ValueError(
            f"{name} has entries of different lengths, but this readout needs one target (or row of targets) "
            "per sequence. For one target per step use readout='each'."
        ) from error


def _join_steps(y: Any, sequences: BaseSequences, name: str) -> np.ndarray:
    """Join the targets of all steps, sequence after sequence: the order of the rows of X."""
    X = sequences.name
    parts = [np.asarray(part) for part in (y if isinstance(y, (list, tuple)) else np.asarray(y))]
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
    return np.concatenate(parts)


def check_labels(y: Any, per_step: bool, name: str = "y") -> np.ndarray:
    """Check class labels; return them as (n,), or multilabel indicators as (n, n_labels).

    Raises
    ------
    ValueError
        For continuous targets, for several multiclass outputs, and for multilabel y with ``per_step``.
    """
    y = check_array(y, ensure_2d=False, dtype=None, ensure_all_finite=True, input_name=name, allow_nd=True)
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


def check_weights(
    sample_weight: Any,
    sequences: BaseSequences,
    dtype: Any,
    may_be_zero: bool = False,
    name: str = "sample_weight",
) -> np.ndarray:
    """Check sample weights: one per sequence (or one number for all), not negative, not all 0 unless ``may_be_zero``.

    Returns
    -------
    ndarray of shape (n_sequences,)
    """
    n_sequences = len(sequences)
    if sample_weight is None or isinstance(sample_weight, Real):
        weights = np.full(n_sequences, 1 if sample_weight is None else sample_weight, dtype)
    else:
        weights = check_array(sample_weight, ensure_2d=False, dtype=dtype, input_name=name)
    if weights.shape != (n_sequences,):
        raise ValueError(
            f"{name} has shape {weights.shape}, but {sequences.name} has {n_sequences} sequences: pass a weight for "
            "each sequence."
        )
    if weights.min() < 0:
        raise ValueError(f"{name}[{weights.argmin()}] is {weights.min()}: weights must not be negative.")
    if not may_be_zero and not weights.any():
        raise ValueError(f"{name} is zero for every sequence: at least one must be positive.")
    return weights
