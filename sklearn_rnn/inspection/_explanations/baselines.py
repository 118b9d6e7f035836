"""Baselines: the values that stand for "nothing is known here", as sequences beside those of X."""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Real
from typing import Any, NamedTuple

import numpy as np

from sklearn_rnn._data.categories import FIRST, UNKNOWN
from sklearn_rnn._data.containers import is_scalar
from sklearn_rnn._data.mixed_steps import encode_raw
from sklearn_rnn._data.moments import Moments
from sklearn_rnn._data.raw_steps import RawSequences
from sklearn_rnn._data.schema import InputSchema
from sklearn_rnn._data.sequences import BaseSequences, Sequences
from sklearn_rnn.inspection._explanations.pipelines import LinearMap


@dataclass
class RepeatedSteps(BaseSequences):
    """Sequences that all repeat the same steps.

    Attributes
    ----------
    steps : ndarray of shape (n_steps, n_features)
        One step, or all steps of sequences of equal length.
    lengths : ndarray of shape (n_sequences,), int
    """

    steps: np.ndarray
    lengths: np.ndarray
    form: str = "list"
    name: str = "baseline"

    @property
    def n_features(self) -> int:
        """Features of every row."""
        return self.steps.shape[1]

    @property
    def dtype(self) -> np.dtype:
        """Dtype of the rows."""
        return self.steps.dtype

    def load(self, indices: Any) -> Sequences:
        lengths = self.lengths[indices]
        rows = np.tile(self.steps, (int(lengths.sum()) // len(self.steps), 1))
        return Sequences(rows, lengths, self.form, self.name)

    def packed_rows(self, order: Any, packing: Any) -> np.ndarray:
        return self.load(order).packed_rows(slice(None), packing)

    def subset(self, indices: Any) -> RepeatedSteps:
        return RepeatedSteps(self.steps, self.lengths[indices], self.form, self.name)


class Baseline(NamedTuple):
    """A baseline.

    Attributes
    ----------
    sequences : BaseSequences
        As long as those of X, as the network reads them, not yet in patches.
    values : ndarray, or any
        In the units of the user, for the result: (n_features,), for 2-D X (n_columns,), or the argument.
    """

    sequences: Any
    values: Any


def make_baseline(estimator: Any, schema: InputSchema, sequences: Any, baseline: Any, units: LinearMap) -> Baseline:
    """Return the baseline that the argument ``baseline`` says.

    Parameters
    ----------
    estimator : BaseRNN
    schema : InputSchema
    sequences : BaseSequences
        X as the network reads it, not yet in patches.
    baseline : "mean", float, array-like of shape (n_features,) or, for 2-D X, (n_columns,), or sequences
    units : LinearMap
        From the units of the user to those of the network.

    Raises
    ------
    ValueError, TypeError
    """
    if isinstance(baseline, str) and baseline == "mean":
        steps = _mean(schema, sequences)
    elif isinstance(baseline, Real):
        steps = _in_network_units(_of_number(float(baseline), schema, sequences), schema, units)
    elif _is_step(baseline):
        steps = _in_network_units(_given_steps(baseline, schema, sequences), schema, units)
    elif isinstance(baseline, str):
        raise ValueError(f"baseline={baseline!r} must be 'mean', a number, the values of a step, or sequences.")
    else:
        given = schema.read(estimator, units.transform(baseline), "baseline")
        _check_lengths(given, sequences)
        return Baseline(given, baseline)
    repeated = RepeatedSteps(steps.astype(schema.dtype), sequences.lengths)
    return Baseline(repeated, in_user_units(repeated.steps, schema, units).ravel())


def _is_step(baseline: Any) -> bool:
    """Whether the values are those of one step (or of a row of a table)."""
    return hasattr(baseline, "__len__") and np.ndim(np.asarray(baseline, object)) == 1 and all(map(is_scalar, baseline))


def _mean(schema: InputSchema, sequences: Any) -> np.ndarray:
    """Return the mean of each feature over all steps, (1, n_features), or of each column of a table, by step."""
    n_columns = sequences.n_features * (sequences.common_length if schema.is_table else 1)
    moments = Moments(n_columns)
    for _, rows in sequences.chunks():
        moments.add(rows.reshape(-1, n_columns))
    return _without_codes(moments.mean.reshape(-1, sequences.n_features), schema)


def _of_number(value: float, schema: InputSchema, sequences: Any) -> np.ndarray:
    if not np.isfinite(value):
        raise ValueError(f"baseline={value} is not finite.")
    return _without_codes(np.full((1, sequences.n_features), value), schema)


def _without_codes(steps: np.ndarray, schema: InputSchema) -> np.ndarray:
    """Put unknown categories in the place of categories."""
    if schema.categories is not None:
        steps[:, schema.categories.mask] = UNKNOWN
    return steps


def _given_steps(baseline: Any, schema: InputSchema, sequences: Any) -> np.ndarray:
    """Return values of a step, or of a row of a table, (n_steps, n_features), with codes for categories."""
    n_features, sizes = sequences.n_features, {sequences.n_features: "features per step"}
    if schema.is_table:
        sizes[n_features * sequences.common_length] = "columns"
    if len(baseline) not in sizes:
        wanted = " or ".join(f"{size} {unit}" for size, unit in sizes.items())
        raise ValueError(f"baseline has {len(baseline)} values, but X has {wanted}.")
    if schema.categories is not None:
        values = np.array(list(baseline), dtype=object).reshape(-1, n_features)
        lengths = np.array([len(values)])
        return encode_raw(RawSequences(values, lengths, "array", "baseline"), schema).rows
    try:
        steps = np.asarray(baseline).astype(np.float64)
    except (TypeError, ValueError) as error:
        raise type(error)(f"baseline is not numeric: {error}") from error
    if not np.isfinite(steps).all():
        raise ValueError(f"baseline contains {steps[~np.isfinite(steps)][0]}: every value must be finite.")
    return steps.reshape(-1, n_features)


def _in_network_units(steps: np.ndarray, schema: InputSchema, units: LinearMap) -> np.ndarray:
    return steps if schema.categories is not None else units.slope * steps + units.offset


def _check_lengths(given: Any, sequences: Any) -> None:
    if len(given) != len(sequences):
        raise ValueError(f"baseline has {len(given)} sequences, but X has {len(sequences)}: pass one for each.")
    different = np.flatnonzero(given.lengths != sequences.lengths)
    if len(different):
        i = different[0]
        raise ValueError(f"baseline[{i}] has {given.lengths[i]} steps, but X[{i}] has {sequences.lengths[i]}.")


def in_user_units(steps: np.ndarray, schema: InputSchema, units: LinearMap) -> np.ndarray:
    """Return steps that a network reads, (n_steps, n_features), in the user's units and with categories for codes.

    The category None is the unknown one.
    """
    if schema.categories is None:
        return (steps.astype(np.float64) - units.offset) / units.slope
    values = steps.astype(object)
    for feature in schema.categories.features:
        names = feature.values.tolist()
        codes = steps[:, feature.column].astype(np.intp)
        values[:, feature.column] = [None if code < FIRST else names[code - FIRST] for code in codes]
    return values
