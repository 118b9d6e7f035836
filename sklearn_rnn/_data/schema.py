"""InputSchema: how a fitted model reads X, and how a stream checks its next steps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from sklearn_rnn._data.categories import Categories
from sklearn_rnn._data.containers import unpack
from sklearn_rnn._data.containers.libraries import from_library, refuse_times
from sklearn_rnn._data.containers.refused import refuse_text
from sklearn_rnn._data.mixed_steps import encode_numbers, encode_raw, raw_steps, read_by_categories, values_of_step
from sklearn_rnn._data.names import common_names, compare_names, names_of_step
from sklearn_rnn._data.patches import Patches
from sklearn_rnn._data.raw_steps import RawSequences, refuse_empty
from sklearn_rnn._data.reading import (
    Reader,
    as_dtype,
    check_finite,
    check_n_features,
    check_sequences,
    check_steps,
    check_table,
    form_of,
    naming_argument,
    refuse_form,
)
from sklearn_rnn._data.ready import ready_sequences
from sklearn_rnn._data.sequences import BaseSequences, Sequences
from sklearn_rnn._utils.plain import DType, Flag, Labels, Object, Optional, Text, Whole, plain_form, refuse_unless


@plain_form(
    "input",
    owner=Text(),
    is_table=Flag(),
    step_features=Whole(1),
    patches=Object("patches"),
    dtype=DType(),
    feature_names=Optional(Labels(of_strings=True)),
    categories=Optional(Object("categories")),
)
@dataclass(frozen=True)
class InputSchema:
    """The form of the X that a model was fitted on.

    Attributes
    ----------
    owner : str
        Class of the estimator, for messages.
    is_table : bool
        Whether X was 2-D. If so, every row is a sequence, and only 2-D X is accepted.
    step_features : int
        Features per step.
    patches : Patches
        The steps of X that the network reads at a network step.
    dtype : dtype or None
        float32 or float64: the type of all computations. None: the type of X if it is one of them, otherwise float64.
    feature_names : ndarray of shape (step_features,), or None
        Names of the features of a step, if X was a list of data frames with names.
    categories : Categories or None
        The categorical features; their values are read as codes.
    """

    owner: str
    is_table: bool
    step_features: int
    patches: Patches
    dtype: Any
    feature_names: np.ndarray | None = None
    categories: Categories | None = None

    def check_parts(self, place: str) -> None:
        """Refuse a loaded schema whose parts do not go together."""
        refuse_unless(self.patches.stride <= self.patches.size, f"{place}.patches", "must have stride <= size")
        names, categories = self.feature_names, self.categories
        is_right = names is None or len(names) == len(set(names.tolist())) == self.step_features
        refuse_unless(is_right, f"{place}.feature_names", "must be a name of its own for each feature")
        if categories is not None:
            columns = [feature.column for feature in categories.features]
            is_right = bool(columns) and columns == sorted(set(columns)) and columns[-1] < self.step_features
            is_right &= categories.n_features == self.step_features
            refuse_unless(is_right, f"{place}.categories", "must have growing columns, which are features of a step")

    def read(self, estimator: Any, X: Any, name: str = "X") -> Any:
        """Check X for an estimator that was fitted with this schema; return its steps in the schema's dtype.

        The steps are not yet in patches. X is compared with ``n_features_in_`` and ``feature_names_in_`` of
        ``estimator``.
        """
        if isinstance(X, BaseSequences):  # validation data, which have been read
            return X
        if self.categories is not None:
            return read_by_categories(estimator, X, self, name)
        if not self.is_table and "feature_names_in_" not in vars(estimator):
            ready = ready_sequences(X, estimator.n_features_in_, self.dtype, name)
            if ready is not None:
                return ready
        sequences = check_sequences(
            estimator,
            X,
            reset=False,
            fitted_on_rows=self.is_table,
            step_features=self.step_features,
            may_stay_mapped=True,
            name=name,
        )
        return as_dtype(sequences, self.owner, self.dtype)

    def check_whole_patches(self, sequences: Any, reason: str) -> None:
        """Refuse sequences whose steps do not end with a patch; ``reason`` ends the message."""
        incomplete = np.flatnonzero(sequences.lengths % self.patches.stride)
        if len(incomplete):
            i = incomplete[0]
            raise ValueError(f"{sequences.name}[{i}] has {sequences.lengths[i]} steps, {reason}")

    # ---- Streams: sequences that continue ------------------------------------------------------------

    def read_chunk(self, X: Any, n_sequences: int) -> Any:
        """Check the next steps, any number of them, of every sequence of a stream; return them, not yet in patches."""
        is_plain = self.categories is None and self.feature_names is None and self.dtype is not None
        sequences = ready_sequences(X, self.step_features, self.dtype) if is_plain else None
        if sequences is None:
            reader = Reader(self.owner, may_stay_mapped=True)
            sequences = self._read_mixed_steps(X, reader)
        if sequences is None:
            sequences = self._read_numbers(X, reader)
        if len(sequences) != n_sequences:
            raise ValueError(
                f"X has {len(sequences)} sequences, but the stream has {n_sequences}: pass the next steps of each."
            )
        name, stride = self._steps_at_a_time
        if stride == 1:
            return sequences
        self.check_whole_patches(
            sequences,
            f"but the network reads {name}={stride} steps at a time: pass a multiple of {stride} steps, and pass the "
            "remaining steps with the next ones.",
        )
        return sequences

    def _read_mixed_steps(self, X: Any, reader: Reader) -> Sequences | None:
        """Return the steps of a chunk that has other columns than numbers, or None."""
        if self.categories is None:
            return None
        raw = raw_steps(X, reader, self.step_features, self.is_table, self.feature_names)
        if raw is None:
            return None
        if not self.is_table:
            compare_names(raw.names, self.feature_names, self.owner, reader.name)
            check_n_features(raw, self.owner, self.step_features)
            refuse_empty(raw)
        return encode_raw(raw, self)

    def _read_numbers(self, X: Any, reader: Reader) -> Any:
        """Return the steps of a chunk of numbers."""
        given = unpack(X, reader.name, self.is_table)
        X, form = given.X, form_of(given.X, fitted_on_rows=self.is_table)
        if form == "rows":
            if not self.is_table:
                refuse_form(reader, form, self.step_features, X)
            X, form = self._table_as_steps(X, reader), "array"
        if not self.is_table:  # the columns of a table are those of other steps than the columns of the fit
            names = common_names(given, reader.name, self.feature_names)
            compare_names(names, self.feature_names, self.owner, reader.name)
        sequences = check_steps(X, form, reader, self.step_features)
        if self.categories is not None:
            return encode_numbers(sequences, self)
        check_finite(sequences, self.owner, ensure_all_finite=True, names=self.feature_names)
        return sequences if self.dtype is None else as_dtype(sequences, self.owner, self.dtype)

    @property
    def _steps_at_a_time(self) -> tuple[str, int]:
        """The new steps of a network step, and the parameter that says so."""
        return "patch_stride" if self.patches.n_shared else "patch_size", self.patches.stride

    def rows_as_steps(self, X: Any) -> Any:
        """Return 2-D X of a stream as (n_sequences, n_steps, step_features), if X was 2-D; any other X as it is."""
        if not self.is_table:
            return X
        given = unpack(X, "X", self.is_table).X
        is_table = form_of(given, fitted_on_rows=True) == "rows"
        return self._table_as_steps(given, Reader(self.owner)) if is_table else X

    def _table_as_steps(self, X: Any, reader: Reader) -> np.ndarray:
        """Return 2-D X, (n_sequences, n_steps * step_features), as (n_sequences, n_steps, step_features)."""
        X = check_table(X, reader)
        if X.shape[1] % self.step_features:
            raise ValueError(
                f"X has {X.shape[1]} columns, which is not a multiple of step_features={self.step_features}: pass "
                "whole steps."
            )
        return X.reshape(len(X), -1, self.step_features)

    def read_step(self, x: Any, n_sequences: int) -> np.ndarray:
        """Check the new steps of a network step of every sequence; return them as (n_sequences, n_values)."""
        if self.feature_names is not None:
            names = names_of_step(x)
            if names is not None and len(names) == self.step_features:  # without names no warning: every step would
                compare_names(names, self.feature_names, self.owner, "x")
        if self.categories is not None:
            return self._codes_of_step(x, n_sequences)
        x = from_library(x, "x")
        with naming_argument("x"):
            x = np.asarray(x)
        refuse_times(x, "x")
        if x.dtype == object:
            refuse_text(x, "x")
        if x.dtype.kind not in "biufO":
            raise ValueError(f"x has dtype {x.dtype}: a step is an array of real numbers.")
        self.check_shape_of_step(x, n_sequences)
        dtype = np.dtype(x.dtype if x.dtype == np.float32 else np.float64) if self.dtype is None else self.dtype
        with naming_argument("x"), np.errstate(over="ignore"):
            x = np.ascontiguousarray(x.reshape(n_sequences, -1), dtype)
        if not np.isfinite(x).all():
            row, feature = np.argwhere(~np.isfinite(x))[0]
            value = "NaN" if np.isnan(x[row, feature]) else f"infinity (or a number too large for {dtype})"
            raise ValueError(
                f"x contains {value} in sequence {row}, feature {feature}: {self.owner} does not accept it. Impute it, "
                "or leave the step out."
            )
        return x

    def _codes_of_step(self, x: Any, n_sequences: int) -> np.ndarray:
        """Check one step with categories; return it with codes in their place."""
        values = values_of_step(x)
        self.check_shape_of_step(values, n_sequences)
        lengths = np.full(n_sequences, self.patches.stride)
        raw = RawSequences(values.reshape(-1, self.step_features), lengths, "array", "x")
        return encode_raw(raw, self).rows.reshape(n_sequences, -1)

    def check_shape_of_step(self, x: Any, n_sequences: int) -> None:
        """Refuse a step of another shape than those that ``read_step`` accepts."""
        shapes = self._shapes_of_step(n_sequences)
        if x.shape not in shapes:
            raise ValueError(
                f"x has shape {x.shape}, but a step of {n_sequences} sequence{'s' * (n_sequences > 1)} has shape "
                f"{' or '.join(map(str, shapes))}{self._reason_of_patches}."
            )

    @property
    def _reason_of_patches(self) -> str:
        """The reason why a network step is more than one step of data, for the end of a message."""
        size, stride = self.patches
        if stride == 1:
            return ""
        apart = f", {stride} apart" if self.patches.n_shared else ""
        return (
            f", because this network reads patches of {size} steps{apart}. To predict after every step, fit with "
            "patch_size=1"
        )

    def _shapes_of_step(self, n_sequences: int) -> list[tuple[int, ...]]:
        """Return the accepted shapes of one network step of data."""
        stride, n_features = self.patches.stride, self.step_features
        shapes: list[tuple[int, ...]] = [(n_sequences, stride * n_features)]
        if stride > 1:
            shapes.append((n_sequences, stride, n_features))
        return shapes if n_sequences > 1 else [*shapes, *(shape[1:] for shape in shapes)]
