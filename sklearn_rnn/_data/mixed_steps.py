"""X with categorical features, read into rows of numbers and codes.

Its steps are strings, or rows of columns of several types, or numbers of which some are categories.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from sklearn_rnn._data.categories import (
    FIRST,
    CategoricalFeature,
    Categories,
    declared_categories,
    given_categories,
    learn_categories,
    refuse_inexact,
    selected_columns,
)
from sklearn_rnn._data.columns import Column, column_of, column_of_sequences, has_times, join_steps
from sklearn_rnn._data.containers import is_scalar, unpack
from sklearn_rnn._data.containers.libraries import from_library, is_of_class, refuse_times
from sklearn_rnn._data.containers.refused import is_number, refuse_text
from sklearn_rnn._data.missing import is_missing_item
from sklearn_rnn._data.names import labels_of
from sklearn_rnn._data.raw_steps import FRAMES, RawSequences, check_raw_sequences, raw_sequences
from sklearn_rnn._data.reading import (
    Reader,
    as_dtype,
    check_columns_of_rows,
    check_finite,
    check_sequences,
    form_of,
    n_steps_of_rows,
    naming_argument,
)
from sklearn_rnn._data.sequences import MappedSequences, Sequences
from sklearn_rnn._utils.warnings import warn_user

Observe = Callable[[np.ndarray, np.ndarray], None]


# ---- For training: which features are categorical, and their categories ------------------------------


def read_new_sequences(
    estimator: Any, X: Any, name: str, observe: Observe | None = None
) -> tuple[Sequences | MappedSequences, Categories | None]:
    """Check X; learn which features are categorical, and their categories.

    Parameters
    ----------
    estimator : BaseRNN
        With the parameters ``categorical_features``, ``categories`` and ``step_features``. Its ``n_features_in_`` and
        ``feature_names_in_`` are set.
    X : array-like, list, or container of sequences
    name : str
        The argument, for messages.
    observe : callable or None, default=None
        Called with the rows of every chunk, (n_rows, n_numbers), and the indices of these features: those that are not
        categorical.

    Returns
    -------
    Sequences or MappedSequences
        With codes in the place of categories.
    Categories, or None without categorical features

    Raises
    ------
    ValueError, TypeError
    """
    reader = Reader(type(estimator).__name__, name, may_stay_mapped=True)
    raw = None
    if estimator.categorical_features is not None:
        raw = _read_raw(estimator, X, reader, reset=True, step_features=estimator.step_features)
    if raw is None:
        sequences = _read_numbers(estimator, X, reader, reset=True, step_features=estimator.step_features)
        features = _features_of_numbers(estimator, sequences)
        refuse_inexact(features, sequences.dtype, name)
        categories = Categories(tuple(features), sequences.n_features) if features else None
    else:
        columns = _columns_of(raw)
        features = _features_of_columns(estimator, raw, columns)
        refuse_inexact(features, np.dtype(np.float64), name)  # later X may be an array
        categories = Categories(tuple(features), raw.n_features) if features else None
        sequences = _as_sequences(raw, columns, categories, _dtype_of(columns, categories))
    numbers = np.arange(sequences.n_features) if categories is None else categories.numbers
    names = getattr(estimator, "feature_names_in_", None)
    check_finite(sequences, reader.owner, True, observe and (lambda rows: observe(rows, numbers)), numbers, names)
    if raw is None:
        sequences = _encoded(sequences, categories)
    if categories is not None and isinstance(sequences, Sequences):
        _warn_of_unknown_alone(sequences, categories)
    return sequences, categories


def _warn_of_unknown_alone(sequences: Sequences, categories: Categories) -> None:
    """Warn of features that have none of the categories that were given for them: other letters, or another order."""
    for feature in categories.features:
        if not feature.is_learned and feature.codes and not (sequences.rows[:, feature.column] >= FIRST).any():
            warn_user(
                f"{sequences.name} has none of the categories of the feature {feature.name!r}, such as "
                f"{next(iter(feature.codes))!r}: all its steps are read as unknown. Check the lists of categories, "
                "which are in the order of the columns."
            )


def without_unseen(sequences: Any, categories: Categories) -> tuple[Any, Categories]:
    """Leave out the learned categories that no sequence has; return the sequences with new codes, and the others."""
    seen: list[set[int]] = [set() for _ in categories.features]
    for _, rows in sequences.chunks():
        for feature, codes in zip(categories.features, seen):
            codes.update(np.unique(rows[:, feature.column]).astype(np.int64).tolist())
    features = [f.with_codes_in(codes) if f.is_learned else f for f, codes in zip(categories.features, seen)]
    later = replace(categories, features=tuple(features))
    if isinstance(sequences, MappedSequences):
        return replace(sequences, categories=later), later
    rows = sequences.rows.copy()
    for earlier, feature in zip(categories.features, features):
        rows[:, feature.column] = earlier.new_codes(feature)[rows[:, feature.column].astype(np.int64)]
    return replace(sequences, rows=rows), later


def _features_of_columns(estimator: Any, raw: RawSequences, columns: list[Column]) -> list[CategoricalFeature]:
    """Return the categorical features among columns of several types."""
    by_dtype = [
        j
        for j, column in enumerate(columns)
        if column.is_category or (column.has_only_strings and not (raw.form == "rows" and column.has_only_numerals))
    ]
    if _is_by_dtype(estimator):
        for j in by_dtype:
            if not columns[j].is_category and columns[j].has_only_numerals:
                _refuse_text_of(columns[j], j, raw)
    named = _named_columns(estimator, raw, by_dtype)
    if not isinstance(estimator.categories, str):
        return given_categories(estimator.categories, named)
    features = []
    for name, j in named:
        declared = columns[j].declared
        if declared is None:
            features.append(learn_categories(name, j, set(columns[j].values.tolist())))
        else:
            features.append(declared_categories(name, j, declared))
    return features


def _features_of_numbers(estimator: Any, sequences: Sequences | MappedSequences) -> list[CategoricalFeature]:
    """Return the categorical features among numbers."""
    named = _named_columns(estimator, sequences, [])
    if not isinstance(estimator.categories, str):
        return given_categories(estimator.categories, named)
    seen: list[set[float]] = [set() for _ in named]
    for _, rows in sequences.chunks() if named else ():
        for (_, column), values in zip(named, seen):
            values.update(np.unique(rows[:, column]).tolist())
    return [learn_categories(name, column, values) for (name, column), values in zip(named, seen)]


def _is_by_dtype(estimator: Any) -> bool:
    return isinstance(estimator.categorical_features, str)


def _named_columns(estimator: Any, sequences: Any, by_dtype: list[int]) -> list[tuple[str, int]]:
    """Return the name and the column of each categorical feature."""
    selection, names = estimator.categorical_features, names_of_step(estimator, sequences)
    if selection is None:
        chosen = []
    elif _is_by_dtype(estimator):
        chosen = by_dtype
    else:
        chosen = selected_columns(selection, sequences.n_features, names)
    return [(str(j) if names is None else names[j], j) for j in chosen]


def names_of_step(estimator: Any, sequences: Any) -> list[str] | None:
    """Return the names of the features of a step: those of a table's columns only if a row is one step."""
    names = getattr(estimator, "feature_names_in_", None)
    has_names_of_step = sequences.form != "rows" or sequences.common_length == 1
    return None if names is None or not has_names_of_step else list(names)


def _dtype_of(columns: list[Column], categories: Categories | None) -> np.dtype:
    """Return float32 if all numbers are, or if there are none: codes are exact in it."""
    numbers = range(len(columns)) if categories is None else categories.numbers
    is_single = all(columns[j].values.dtype == np.float32 for j in numbers)
    return np.dtype(np.float32 if is_single else np.float64)


# ---- For predictions: by known categories ------------------------------------------------------------


def read_by_categories(estimator: Any, X: Any, schema: Any, name: str) -> Sequences | MappedSequences:
    """Check X for an estimator that was fitted with categorical features.

    Parameters
    ----------
    estimator : BaseRNN
        Its ``n_features_in_`` and ``feature_names_in_`` are compared.
    X : array-like, list, or container of sequences
    schema : InputSchema
        Of the fitted model.
    name : str
        The argument, for messages.

    Returns
    -------
    Sequences or MappedSequences
        With codes in the place of categories, in the schema's dtype.
    """
    reader = Reader(schema.owner, name, may_stay_mapped=True)
    options = {"reset": False, "fitted_on_rows": schema.is_table, "step_features": schema.step_features}
    raw = _read_raw(estimator, X, reader, **options)
    if raw is None:
        return encode_numbers(_read_numbers(estimator, X, reader, **options), schema)
    return encode_raw(raw, schema)


def encode_raw(raw: RawSequences, schema: Any) -> Sequences:
    """Return steps of several types with codes in the place of categories, in the schema's dtype."""
    sequences = _as_sequences(raw, _columns_of(raw), schema.categories, schema.dtype)
    check_finite(sequences, schema.owner, True, columns=schema.categories.numbers, names=schema.feature_names)
    return sequences


def encode_numbers(sequences: Any, schema: Any) -> Any:
    """Return steps of numbers with codes in the place of categories, in the schema's dtype."""
    columns = schema.categories.numbers
    check_finite(sequences, schema.owner, True, columns=columns, names=schema.feature_names)
    return _encoded(as_dtype(sequences, schema.owner, schema.dtype, columns), schema.categories)


# ---- Steps of several types --------------------------------------------------------------------------


def _read_raw(
    estimator: Any,
    X: Any,
    reader: Reader,
    *,
    reset: bool,
    step_features: int,
    fitted_on_rows: bool | None = None,
) -> RawSequences | None:
    """Return the steps of X if they have other columns than numbers, checked; None if all are numbers."""
    expected = None if reset else getattr(estimator, "feature_names_in_", None)
    raw = raw_steps(X, reader, step_features, fitted_on_rows, expected)
    if raw is None:
        return None
    if raw.form == "rows":
        n_columns = raw.n_features * (raw.common_length or 0)
        check_columns_of_rows(estimator, X, n_columns, reset=reset, reader=reader)
    else:
        check_raw_sequences(estimator, raw, reset=reset)
    return raw


def raw_steps(
    X: Any, reader: Reader, step_features: int, fitted_on_rows: bool | None, expected: np.ndarray | None
) -> RawSequences | None:
    """Return the steps of X if they have other columns than numbers; None if all are numbers.

    Parameters
    ----------
    X : array-like, list, or container of sequences
    reader : Reader
    step_features : int
        Features per step of 2-D X.
    fitted_on_rows : bool or None
        Whether the estimator was fitted on 2-D X; None if it is being fitted.
    expected : ndarray of str, or None
        Names of the features of a step at the fit.
    """
    if isinstance(X, np.ndarray) and X.dtype.kind in "biufc":
        return None
    if not fitted_on_rows:
        raw = _raw_categories(X, reader.name) or raw_sequences(X, reader.name, expected)
        if raw is not None:
            return raw if raw.columns or _has_other_columns(raw.rows) else None
    table = unpack(X, reader.name, fitted_on_rows).X
    if form_of(table, fitted_on_rows, reader.name) != "rows" or fitted_on_rows is False:
        return None
    return _raw_table(table, reader.name, step_features)


def _raw_categories(X: Any, name: str) -> RawSequences | None:
    """Return sequences of one feature that have a dtype of categories, such as Series; None for all others."""
    if any(is_of_class(X, path) for path in FRAMES):
        return None
    sequences = unpack(X, name).X
    is_object = isinstance(sequences, np.ndarray) and sequences.dtype == object and sequences.ndim == 1
    if not (is_object or isinstance(sequences, (list, tuple))) or len(sequences) == 0:
        return None
    column = column_of_sequences(sequences, name)
    if column is None:
        return None
    rows, lengths = column.values.astype(object).reshape(-1, 1), np.array([len(x) for x in sequences])
    return RawSequences(rows, lengths, "object" if is_object else "list", name, columns=[column])


def _raw_table(table: Any, name: str, step_features: int) -> RawSequences | None:
    """Return the steps of 2-D X, in which every row is a sequence; None if all columns are numbers."""
    rows = table if labels_of(table) is not None else _as_objects(table)
    if len(rows.shape) != 2 or not all(rows.shape) or not _has_other_columns(rows):
        return None
    n_sequences, n_columns = rows.shape
    n_steps = n_steps_of_rows(n_columns, step_features, name)
    columns = None
    if n_steps > 1:
        of_table = [column_of(rows, j, name) for j in range(n_columns)]
        columns = [join_steps(of_table[j::step_features]) for j in range(step_features)]
        rows = np.stack([column.values.astype(object) for column in columns], axis=1)
    return RawSequences(rows, np.full(n_sequences, n_steps), "rows", name, columns=columns)


def _as_objects(values: Any) -> np.ndarray:
    """Return an array of objects: NumPy would make strings of numbers beside strings."""
    return values.astype(object) if isinstance(values, np.ndarray) else np.asarray(values, dtype=object)


def values_of_step(x: Any) -> np.ndarray:
    """Return the values of a step, of any shape, as objects."""
    if labels_of(x) is not None and len(getattr(x, "shape", ())) == 2:  # a frame
        return np.stack([column_of(x, j, "x").values.astype(object) for j in range(x.shape[1])], axis=1)
    with naming_argument("x"):
        return _as_objects(from_library(x, "x"))


def _has_other_columns(rows: Any) -> bool:
    """Whether a column has strings, or a dtype of categories or objects; times are refused elsewhere."""
    if isinstance(rows, np.ndarray):
        return any(issubclass(cls, (str, bytes)) for cls in set(map(type, rows.flat)))
    if has_times(rows):
        return False
    first = rows.iloc[:1] if hasattr(rows, "iloc") else rows.slice(0, 1)
    return not all(column_of(first, j, "X").is_numeric for j in range(rows.shape[1]))


def _columns_of(raw: RawSequences) -> list[Column]:
    if raw.columns is not None:
        return raw.columns
    labels, columns = labels_of(raw.rows), []
    for j in range(raw.n_features):
        label = None if labels is None else labels[j]
        column = column_of(raw.rows, j, f"{raw.name}[0]" + ("" if labels is None else f"[{label!r}]"))
        columns.append(column._replace(declared=None) if label in raw.undeclared else column)
    return columns


def _as_sequences(
    raw: RawSequences, columns: list[Column], categories: Categories | None, dtype: np.dtype
) -> Sequences:
    """Return rows of floats, with codes in the place of categories."""
    rows = np.empty((raw.n_rows, len(columns)), dtype)
    categorical = {} if categories is None else {feature.column: feature for feature in categories.features}
    for j, column in enumerate(columns):
        if j in categorical:
            rows[:, j] = categorical[j].encode(column.values, raw.name_of)
        else:
            with np.errstate(over="ignore"):
                rows[:, j] = _numbers_of(column, j, raw)
    return Sequences(rows, raw.lengths, raw.form, raw.name)


def _numbers_of(column: Column, j: int, raw: RawSequences) -> np.ndarray:
    """Return the values of a column that must be numbers."""
    values, place = column.values, f"{raw.name}[0]"
    if values.dtype == object:
        if raw.form != "rows" or not column.has_only_numerals:  # scikit-learn reads numerals in tables as numbers
            _refuse_text_of(column, j, raw)
        refuse_times(values, place)
        row = next((i for i, value in enumerate(values) if not is_scalar(value)), None)
        if row is not None:
            place = _place_of(row, j, raw)
            raise ValueError(f"{place} has a {type(values[row]).__name__} in a step, where one number is needed.")
        with naming_argument(raw.name):
            values = np.array([np.nan if is_missing_item(value) else value for value in values])
            values = values if values.dtype.kind == "c" else values.astype(np.float64)
    refuse_times(values, place)
    if values.dtype.kind == "c":
        raise ValueError(f"Complex data not supported: {_place_of(0, j, raw)} has dtype {values.dtype}.")
    return values


def _place_of(row: int, j: int, raw: RawSequences) -> str:
    """Return the sequence of a row and, if it has a label, the column, for messages."""
    labels = labels_of(raw.rows)
    return raw.name_of(row) + ("" if labels is None else f"[{labels[j]!r}]")


def _refuse_text_of(column: Column, j: int, raw: RawSequences) -> None:
    """Refuse the first string of a column, if it has one, in the name of its sequence."""
    strings = [i for i, value in enumerate(column.values) if isinstance(value, (str, bytes))]
    if strings:
        row = next((i for i in strings if not is_number(column.values[i])), strings[0])
        labels = labels_of(raw.rows)
        place = raw.name_of(row)
        refuse_text(column.values[row : row + 1].reshape(1, 1), place, None if labels is None else [labels[j]])


def _encoded(sequences: Any, categories: Categories | None) -> Any:
    """Return sequences of numbers with codes in the place of categories."""
    if categories is None:
        return sequences
    if isinstance(sequences, MappedSequences):
        return replace(sequences, categories=categories)
    return replace(sequences, rows=categories.encode_rows(sequences.rows, sequences.name_of))


def _read_numbers(estimator: Any, X: Any, reader: Reader, **options: Any) -> Sequences | MappedSequences:
    """Check X, whose steps are numbers, but for NaN and infinity."""
    options |= {"may_stay_mapped": reader.may_stay_mapped, "name": reader.name}
    return check_sequences(estimator, X, ensure_all_finite=False, **options)
