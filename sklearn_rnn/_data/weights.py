"""Every accepted form of sample_weight, checked and read as one weight per sequence or per step."""

from __future__ import annotations

from collections.abc import Callable
from numbers import Real
from typing import Any

import numpy as np
from sklearn.utils import check_array

from sklearn_rnn._data.containers import by_instance
from sklearn_rnn._data.reading import naming_argument
from sklearn_rnn._data.sequences import BaseSequences


def check_weights(
    sample_weight: Any,
    sequences: BaseSequences,
    dtype: Any,
    *,
    per_step: bool = False,
    may_be_zero: bool = False,
    name: str = "sample_weight",
) -> np.ndarray:
    """Check sample weights.

    Parameters
    ----------
    sample_weight : None, float, array-like of shape (n_sequences,), or with ``per_step`` also array-like of shape \
            (n_sequences, n_steps), a list of n_sequences array-likes of shape (n_steps_i,), or a pandas Series with \
            an index (instance, time)
        None: 1 for each. One number: for all. A list of numbers has one for each sequence.
    sequences : Sequences
    dtype : dtype
        float32 or float64.
    per_step : bool, default=False
        Whether every step has a weight. The weight of a sequence is the weight of all its steps.
    may_be_zero : bool, default=False
        Whether all may be 0.
    name : str
        The argument, for messages.

    Returns
    -------
    ndarray of shape (n_sequences,) or, with ``per_step``, (n_rows,)

    Raises
    ------
    ValueError, TypeError
        Also for weights that are too large: see :func:`check_sum`.
    """
    weights = _read(sample_weight, sequences, per_step, name).astype(np.float64, copy=False)
    if per_step and len(weights) != sequences.n_rows:
        weights = np.repeat(weights, sequences.lengths)
    check_sum(weights, dtype, name)
    weights = weights.astype(dtype, copy=False)
    if not may_be_zero and not weights.any():
        raise ValueError(f"{name} is zero for every sequence: at least one must be positive.")
    return weights


def check_sum(weights: np.ndarray, dtype: Any, name: str) -> None:
    """Refuse weights whose sum exceeds the square root of the dtype's largest number.

    Products of larger weights with losses and gradients overflow, and training would end at once. The limit is 1.8e19
    in float32 and 1.3e154 in float64.
    """
    with np.errstate(over="ignore"):
        total, limit = weights.sum(dtype=np.float64), float(np.sqrt(np.finfo(dtype).max))
    if not total <= limit:
        raise ValueError(
            f"{name} is too large: the weights sum to {total:.2g}, but in {np.dtype(dtype)} they may sum to "
            f"{limit:.2g} at most. Divide all weights by the same number."
        )


def _read(sample_weight: Any, sequences: BaseSequences, per_step: bool, name: str) -> np.ndarray:
    """Return finite weights that are not negative, (n_sequences,) or (n_rows,)."""
    n_sequences = len(sequences)
    if sample_weight is None:
        return np.ones(n_sequences)
    if getattr(getattr(sample_weight, "index", None), "nlevels", 1) > 1 and len(sample_weight) != n_sequences:
        sample_weight = by_instance(sample_weight, name)
    if not isinstance(sample_weight, (list, tuple)):
        sample_weight = np.asarray(sample_weight)
        if sample_weight.ndim == 0:
            with naming_argument(name):
                weight = sample_weight.astype(np.float64).reshape(1)
            check_values(weight, lambda _: name)
            return np.repeat(weight, n_sequences)
    if _is_per_step(sample_weight, name):
        if not per_step:
            raise ValueError(
                f"{name} has a weight for each step, but only readout='each' has a target for each step: pass one "
                "weight for each sequence."
            )
        weights = _join_steps(sample_weight, sequences, name)
        check_values(weights, lambda row: "{}[{}][{}]".format(name, *sequences.place_of(row)))
        return weights
    with naming_argument(name):
        weights = check_array(
            sample_weight, ensure_2d=False, dtype=np.float64, ensure_all_finite=False, input_name=name
        )
    if weights.shape != (n_sequences,):
        raise ValueError(
            f"{name} has shape {weights.shape}, but {sequences.name} has {n_sequences} sequences: pass a weight for "
            "each sequence."
        )
    check_values(weights, lambda i: f"{name}[{i}]")
    return weights


def _is_per_step(sample_weight: list | tuple | np.ndarray, name: str) -> bool:
    """Whether weights have an axis, or arrays, of steps."""
    if isinstance(sample_weight, np.ndarray) and sample_weight.dtype != object:
        return sample_weight.ndim > 1
    with naming_argument(name):
        return any(not isinstance(item, Real) and np.ndim(item) > 0 for item in sample_weight)


def _join_steps(sample_weight: list | tuple | np.ndarray, sequences: BaseSequences, name: str) -> np.ndarray:
    """Join the weights of all steps, sequence after sequence: the order of the rows of X."""
    X, parts = sequences.name, []
    if len(sample_weight) != len(sequences):
        raise ValueError(
            f"{name} has weights for {len(sample_weight)} sequences, but {X} has {len(sequences)} sequences."
        )
    for i, (part, length) in enumerate(zip(sample_weight, sequences.lengths)):
        with naming_argument(f"{name}[{i}]"):
            weights = np.asarray(part, np.float64)
        if weights.shape != (length,):
            came = "is a single number" if weights.ndim == 0 else f"has shape {weights.shape}"
            raise ValueError(
                f"{name}[{i}] {came}, but {X}[{i}] has {length} steps: pass one weight for each step of every "
                "sequence, or one weight for each sequence."
            )
        parts.append(weights)
    return np.concatenate(parts)


def check_values(weights: np.ndarray, place_of: Callable[[int], str]) -> None:
    """Refuse NaN, infinity and negative weights; ``place_of`` names the i-th weight."""
    is_bad = ~((weights >= 0) & (weights < np.inf))
    if is_bad.any():
        i = int(is_bad.argmax())
        raise ValueError(f"{place_of(i)} is {weights[i]}: weights must be finite and not negative.")
