"""The arguments of ``fit``, for the steps of all sequences: one entry for each step."""

from __future__ import annotations

import numpy as np
from sklearn.utils.metadata_routing import _routing_enabled

from sklearn_rnn._data.targets import check_y
from sklearn_rnn._data.weights import check_weights


def targets_of_steps(y, sequences):
    """Return y with one entry per row: join the entries of steps, or repeat those of sequences."""
    per_step = _is_per_step(y, sequences)
    y = check_y(y, sequences, per_step=per_step, numeric=False)
    return y if per_step else np.repeat(np.asarray(y), sequences.lengths, axis=0)


def _is_per_step(y, sequences):
    """Whether the entries of y are as long as their sequences, or differ in length from one another."""
    entries = y if isinstance(y, (list, tuple)) else np.atleast_1d(np.asarray(y))
    lengths = [len(entry) if np.ndim(entry) else 0 for entry in entries]
    return lengths == sequences.lengths.tolist() or len(set(lengths)) > 1


def param_of_steps(name, value, sequences):
    """Return a parameter of ``fit`` with one entry per row, if it has one per sequence or per step."""
    if name.endswith("sample_weight"):
        return _weights_of_steps(value, sequences)
    is_metadata = _routing_enabled() and hasattr(value, "__len__") and not isinstance(value, str)
    if not is_metadata or len(value) != len(sequences):
        return value
    if _is_per_step(value, sequences):
        return np.concatenate([np.asarray(entry) for entry in value])
    return np.repeat(np.asarray(value), sequences.lengths, axis=0)


def _weights_of_steps(sample_weight, sequences):
    dtype = getattr(sequences.rows, "dtype", None)
    return check_weights(sample_weight, sequences, dtype if dtype == np.float32 else np.float64, per_step=True)
