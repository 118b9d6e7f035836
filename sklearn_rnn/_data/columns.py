"""The columns of rows of mixed types: a frame of pandas or polars, a table of pyarrow, or an array of objects."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from sklearn_rnn._data.containers.libraries import find_reader, from_library, is_of_class
from sklearn_rnn._data.containers.refused import is_number
from sklearn_rnn._data.missing import is_missing_item


class Column(NamedTuple):
    """One column.

    Attributes
    ----------
    values : ndarray of shape (n_rows,)
        Strings are objects.
    is_category : bool
        Whether its dtype says that its values are categories.
    declared : list or None
        All categories, if its dtype says them.
    """

    values: np.ndarray
    is_category: bool = False
    declared: Sequence[Any] | None = None

    @property
    def is_numeric(self) -> bool:
        """Whether all values are numbers by their dtype."""
        return not self.is_category and self.values.dtype.kind in "biuf"

    @property
    def has_only_strings(self) -> bool:
        """Whether all values that are not missing are strings, of which there is one."""
        if self.values.dtype != object:
            return False
        present = [value for value in self.values if not is_missing_item(value)]
        return bool(present) and all(isinstance(value, str) for value in present)

    @property
    def has_only_numerals(self) -> bool:
        """Whether all strings are those of numbers, such as "007"."""
        return all(is_number(value) for value in self.values if isinstance(value, str))


def has_times(rows: Any) -> bool:
    """Whether a frame has a column of a dtype of times."""
    if is_of_class(rows, "pandas.DataFrame"):
        return any(getattr(dtype, "kind", "O") in "mM" for dtype in rows.dtypes)
    if is_of_class(rows, "polars.DataFrame"):
        return any(dtype.is_temporal() for dtype in rows.dtypes)
    if is_of_class(rows, "pyarrow.Table"):
        return any(map(sys.modules["pyarrow"].types.is_temporal, rows.schema.types))
    return False


def column_of(rows: Any, j: int, place: str) -> Column:
    """Return the column ``j`` of rows; ``place`` is where the rows are, such as "X", for messages."""
    if isinstance(rows, np.ndarray):
        return Column(rows[:, j])
    if is_of_class(rows, "pandas.DataFrame"):
        return _of_pandas(rows.iloc[:, j], place)
    if is_of_class(rows, "polars.DataFrame"):
        return _of_polars(rows.to_series(j), place)
    return _of_arrow(rows.column(j).combine_chunks(), place)


def join_steps(columns: Sequence[Column]) -> Column:
    """Return the columns of a feature in a table, one for each step, as one column: row after row.

    It has categories if one of them has, and declares those of all if all declare theirs.
    """
    values = np.stack([column.values for column in columns], axis=1).reshape(-1)
    declared = None
    if all(column.declared is not None for column in columns):
        declared = list(dict.fromkeys(value for column in columns for value in column.declared or ()))
    return Column(values, any(column.is_category for column in columns), declared)


def column_of_sequences(X: Sequence[Any], name: str) -> Column | None:
    """Return sequences of one feature, Series or arrays with a dtype of categories, as one column; None for others."""
    if find_reader(X[0], SERIES) is None:
        return None
    columns = []
    for i, x in enumerate(X):
        reader = find_reader(x, SERIES)
        if reader is None:
            return None
        columns.append(reader(x, f"{name}[{i}]"))
    values, is_category = np.concatenate([column.values for column in columns]), any(c.is_category for c in columns)
    declared = columns[0].declared
    # Those of some sequences alone are no declaration: a sequence of weight 0 must not add to them.
    is_common = all(column.declared == declared for column in columns)
    return Column(values, True, declared if is_common else None) if is_category else None


def _of_pandas(series: Any, place: str) -> Column:
    if is_of_class(series.dtype, "pandas.CategoricalDtype"):
        return Column(np.asarray(series.astype(object)), True, series.dtype.categories.tolist())
    if is_of_class(series.dtype, "pandas.ArrowDtype"):
        types = sys.modules["pyarrow"].types
        return Column(
            _without_fixed_strings(from_library(series, place)), types.is_dictionary(series.dtype.pyarrow_dtype)
        )
    return Column(_without_fixed_strings(from_library(series, place)))


def _of_polars(series: Any, place: str) -> Column:
    pl = sys.modules["polars"]
    if series.dtype in (pl.String, pl.Categorical, pl.Enum):
        # The categories of Categorical may be those of other data.
        declared = series.dtype.categories.to_list() if series.dtype == pl.Enum else None
        return Column(_objects(series.cast(pl.String).to_list()), series.dtype != pl.String, declared)
    return Column(_without_fixed_strings(from_library(series, place)))


def _of_arrow(array: Any, place: str) -> Column:
    types = sys.modules["pyarrow"].types
    if types.is_dictionary(array.type):
        return Column(_objects(array.to_pylist()), True)
    if types.is_string(array.type) or types.is_large_string(array.type):
        return Column(_objects(array.to_pylist()))
    return Column(_without_fixed_strings(from_library(array, place)))


def _without_fixed_strings(values: Any) -> np.ndarray:
    array = np.asarray(values)
    return array.astype(object) if array.dtype.kind in "US" else array


def _objects(values: list[Any]) -> np.ndarray:
    array = np.empty(len(values), object)
    array[:] = values
    return array


SERIES: dict[str, Callable[[Any, str], Column]] = {
    "pandas.Series": _of_pandas,
    "polars.Series": _of_polars,
    "pyarrow.Array": _of_arrow,
}
