"""Data frames of pandas, polars and pyarrow behind one interface. No library is imported unless its frame came in."""

from __future__ import annotations

from abc import ABC, abstractmethod
from difflib import get_close_matches

import numpy as np

from sklearn_rnn._data.missing import is_missing


def as_table(frame, name="frame"):
    """Return a data frame as a Table.

    Parameters
    ----------
    frame : pandas.DataFrame, polars.DataFrame or pyarrow.Table
    name : str, default="frame"
        The argument, for messages.

    Raises
    ------
    TypeError
        For anything else.
    ValueError
        For two columns of one name.
    """
    kind = _table_class(frame)
    if kind is None:
        remedy = (
            "call its collect() first"
            if type(frame).__name__ == "LazyFrame"
            else "convert it, for instance with pandas.DataFrame"
        )
        raise TypeError(
            f"{name} is of type {type(frame).__name__}, but it must be a data frame of pandas, polars or pyarrow: "
            f"{remedy}."
        )
    table = kind(frame)
    columns = table.columns
    if len(set(columns)) < len(columns):
        twice = next(column for column in columns if columns.count(column) > 1)
        raise ValueError(f"{name} has several columns named {twice!r}: give each column a name of its own.")
    return table


def is_frame(item):
    """Whether an object is a data frame that :func:`as_table` takes."""
    return _table_class(item) is not None


def _table_class(frame):
    for cls in type(frame).__mro__:
        kind = TABLES.get((cls.__module__.split(".")[0], cls.__name__))
        if kind is not None:
            return kind
    return None


class Table(ABC):
    """A data frame, by columns and rows. Methods return new tables; the frame never changes.

    Parameters
    ----------
    frame : data frame
        Of the library of the subclass.

    Attributes
    ----------
    frame : data frame
    """

    def __init__(self, frame):
        self.frame = frame

    @property
    @abstractmethod
    def columns(self):
        """Names of the columns, a list."""

    def __len__(self):
        return len(self.frame)

    def values(self, column):
        """Return a column as an array (n_rows,): numbers as numbers with NaN, anything else as it is."""
        return _with_plain_numbers(self._to_numpy(column))

    @abstractmethod
    def _to_numpy(self, column):
        """Return a column as an array (n_rows,), in any dtype."""

    @abstractmethod
    def select(self, columns):
        """Return the table of some columns, in that order."""

    @abstractmethod
    def take(self, rows):
        """Return the rows at indices (n,), in that order."""

    @abstractmethod
    def slice(self, start, stop):
        """Return the rows from start to before stop; without a copy where the library can."""

    @abstractmethod
    def with_rows_of(self, column, rows):
        """Return the table whose ``column`` has at row i the value of row rows[i], in its dtype."""

    @abstractmethod
    @abstractmethod
    def stack(self, others):
        """Return the rows of this table, followed by those of others with the same columns."""

    def split(self, lengths):
        """Return the frames of consecutive rows with these lengths."""
        stops = np.cumsum(lengths).tolist()
        return [self.slice(start, stop).frame for start, stop in zip([0, *stops[:-1]], stops)]

    def check_columns(self, columns, argument):
        """Raise an error, for an argument, unless the frame has all of these columns."""
        for column in columns:
            if column not in self.columns:
                raise ValueError(
                    f"{argument}={column!r} is not a column of frame, whose columns are {self.columns}"
                    f"{self._hint(column)}"
                )

    def _hint(self, column):
        """Say how the missing column may be found."""
        close = get_close_matches(str(column), [str(name) for name in self.columns], n=1)
        return f": did you mean {close[0]!r}?" if close else "."


class PandasTable(Table):
    """A pandas.DataFrame. Rows keep their index."""

    @property
    def columns(self):
        """Names of the columns, a list."""
        return list(self.frame.columns)

    def _to_numpy(self, column):
        return self.frame[column].to_numpy()

    def select(self, columns):
        """Return the table of some columns, in that order."""
        return PandasTable(self.frame[list(columns)])

    def take(self, rows):
        """Return the rows at indices (n,), in that order."""
        return PandasTable(self.frame.iloc[rows])

    def slice(self, start, stop):
        """Return the rows from start to before stop."""
        return PandasTable(self.frame.iloc[start:stop])

    def with_rows_of(self, column, rows):
        """Return the table whose ``column`` has at row i the value of row rows[i], in its dtype."""
        frame = self.frame.copy(deep=False)
        frame[column] = self.frame[column].array.take(rows)
        return PandasTable(frame)

    def with_values(self, column, values, missing):
        """Return the table with a column, new or in place of an old one, of an array (n_rows,)."""
        if missing.any():
            is_number = values.dtype.kind in "iuf"
            values = np.where(missing, np.nan if is_number else None, values)
        frame = self.frame.copy(deep=False)
        frame[column] = values
        return PandasTable(frame)

    def stack(self, others):
        """Return the rows of this table, followed by those of others with the same columns."""
        import pandas as pd

        return PandasTable(pd.concat([self.frame, *(other.frame for other in others)]))

    def _hint(self, column):
        if column in self.frame.index.names:
            return ", but a level of its index: pass frame.reset_index()."
        return super()._hint(column)


class PolarsTable(Table):
    """A polars.DataFrame."""

    @property
    def columns(self):
        """Names of the columns, a list."""
        return list(self.frame.columns)

    def _to_numpy(self, column):
        return self.frame[column].to_numpy()

    def select(self, columns):
        """Return the table of some columns, in that order."""
        return PolarsTable(self.frame.select(list(columns)))

    def take(self, rows):
        """Return the rows at indices (n,), in that order."""
        return PolarsTable(self.frame[rows])

    def slice(self, start, stop):
        """Return the rows from start to before stop, without a copy."""
        return PolarsTable(self.frame.slice(start, stop - start))

    def with_rows_of(self, column, rows):
        """Return the table whose ``column`` has at row i the value of row rows[i], in its dtype."""
        return PolarsTable(self.frame.with_columns(self.frame[column].gather(rows)))

    def with_values(self, column, values, missing):
        """Return the table with a column, new or in place of an old one, of an array (n_rows,)."""
        import polars as pl

        if missing.any():
            values = [None if is_out else value for value, is_out in zip(values.tolist(), missing)]
        return PolarsTable(self.frame.with_columns(pl.Series(column, values)))

    def stack(self, others):
        """Return the rows of this table, followed by those of others with the same columns."""
        import polars as pl

        return PolarsTable(pl.concat([self.frame, *(other.frame for other in others)], how="vertical_relaxed"))


class ArrowTable(Table):
    """A pyarrow.Table."""

    @property
    def columns(self):
        """Names of the columns, a list."""
        return list(self.frame.column_names)

    def _to_numpy(self, column):
        return self.frame.column(column).to_numpy()

    def select(self, columns):
        """Return the table of some columns, in that order."""
        return ArrowTable(self.frame.select(list(columns)))

    def take(self, rows):
        """Return the rows at indices (n,), in that order."""
        return ArrowTable(self.frame.take(rows).combine_chunks())

    def slice(self, start, stop):
        """Return the rows from start to before stop, without a copy."""
        return ArrowTable(self.frame.slice(start, stop - start))

    def with_rows_of(self, column, rows):
        """Return the table whose ``column`` has at row i the value of row rows[i], in its dtype."""
        values = self.frame.column(column).take(rows)
        return ArrowTable(self.frame.set_column(self.columns.index(column), column, values))

    def with_values(self, column, values, missing):
        """Return the table with a column, new or in place of an old one, of an array (n_rows,)."""
        import pyarrow as pa

        array = pa.array(values, mask=missing)
        if column in self.columns:
            return ArrowTable(self.frame.set_column(self.columns.index(column), column, array))
        return ArrowTable(self.frame.append_column(column, array))

    def stack(self, others):
        """Return the rows of this table, followed by those of others with the same columns."""
        import pyarrow as pa

        tables = [self.frame, *(other.frame for other in others)]
        return ArrowTable(pa.concat_tables(tables, promote_options="permissive").combine_chunks())


TABLES = {
    ("pandas", "DataFrame"): PandasTable,
    ("polars", "DataFrame"): PolarsTable,
    ("pyarrow", "Table"): ArrowTable,
}


def _with_plain_numbers(values):
    """Return an array of objects that are numbers, or missing, as numbers; any other array as it is."""
    if values.dtype != object:
        return values
    missing = is_missing(values)
    known = values[~missing].tolist()
    if not known:
        return np.full(len(values), np.nan) if len(values) else values
    if all(type(value) is bool or isinstance(value, np.bool_) for value in known):
        return values if missing.any() else values.astype(bool)
    if not all(isinstance(value, (int, float, np.integer, np.floating)) for value in known):
        return values
    if not missing.any():
        return np.array(known)
    numbers = np.full(len(values), np.nan)
    numbers[~missing] = known
    return numbers
