"""Data frames of pandas, polars and pyarrow, as frames of narwhals.

Narwhals is imported once an object looks like a data frame, and imports none of the other libraries itself. Its
``stable.v2`` is the namespace that it promises never to change.
"""

from __future__ import annotations

import warnings
from difflib import get_close_matches

import numpy as np

from sklearn_rnn._data.missing import is_missing
from sklearn_rnn._data.names import refuse_repeated


def as_table(frame, name="frame"):
    """Return a data frame as one of narwhals.

    Parameters
    ----------
    frame : pandas.DataFrame, polars.DataFrame or pyarrow.Table
    name : str, default="frame"
        The argument, for messages.

    Returns
    -------
    narwhals.DataFrame

    Raises
    ------
    ImportError
        If narwhals is not installed.
    TypeError
        If ``frame`` is no data frame.
    ValueError
        For two columns of one name.
    """
    if not is_frame(frame):
        remedy = (
            "call its collect() first"
            if type(frame).__name__ == "LazyFrame"
            else "convert it, for instance with pandas.DataFrame"
        )
        raise TypeError(
            f"{name} is of type {type(frame).__name__}, but it must be a data frame of pandas, polars or pyarrow: "
            f"{remedy}."
        )
    refuse_repeated(column_names(frame), name)
    return _narwhals().from_native(frame, eager_only=True)


def is_frame(item):
    """Whether an object is a data frame that :func:`as_table` takes."""
    return hasattr(type(item), "columns") and _narwhals().dependencies.is_into_dataframe(item)


def column_names(frame):
    """Return the names of a data frame's columns, a list."""
    return list(frame.column_names if hasattr(frame, "column_names") else frame.columns)  # pyarrow has both


def _narwhals():
    try:
        import narwhals.stable.v2 as nw
    except ImportError as error:
        raise ImportError('Data frames need narwhals: pip install "sklearn-rnn[frames]".') from error
    return nw


def column_values(table, column):
    """Return a column as an array (n_rows,): numbers as numbers with NaN, anything else as it is."""
    return _with_plain_numbers(table.get_column(column).to_numpy())


def ordered_codes(table, column):
    """Return the places of a column's values among its ordered categories, (n_rows,); None for any other column.

    The categories of polars' Categorical, in contrast to its Enum, have the order of their first appearance: none.
    """
    nw = _narwhals()
    series = table.get_column(column)
    if table.implementation.is_polars():
        return series.to_native().to_physical().to_numpy() if series.dtype == nw.Enum else None
    if not nw.is_ordered_categorical(series):
        return None
    native = series.to_native()
    is_arrow = table.implementation.is_pyarrow()
    return native.combine_chunks().indices.to_numpy() if is_arrow else native.cat.codes.to_numpy()


def select(table, columns):
    """Return the table of some columns, in that order. Their names may be numbers, which narwhals takes as places."""
    return table[:, [table.columns.index(column) for column in columns]]


def split(table, lengths):
    """Return the data frames of consecutive rows with these lengths.

    Their own library slices them: a slice through narwhals takes 40 to 100 µs, 10 times as long.
    """
    frame = table.to_native()
    rows = getattr(frame, "iloc", frame)
    stops = np.cumsum(lengths).tolist()
    return [rows[start:stop] for start, stop in zip([0, *stops[:-1]], stops)]


def with_rows_of(table, column, rows):
    """Return the table whose ``column`` has at row i the value of row rows[i], in its dtype."""
    return table.with_columns(table.get_column(column)[rows])


def with_values(table, column, values, missing=None):
    """Return the table with a column, new or in place of an old one, of an array (n_rows,).

    Where ``missing`` (n_rows,) is true, the value is the library's missing one.
    """
    nw = _narwhals()
    series = nw.new_series(column, values, backend=table.implementation)
    if missing is None or not missing.any():
        return table.with_columns(series)
    known = nw.new_series("known", ~missing, backend=table.implementation)
    return table.with_columns(nw.when(known).then(series).alias(column))


def stack(frames):
    """Return a table with the rows of data frames of one library and the same columns, one after the other.

    A column that is int in one and float in another, or empty in one, gets the dtype that holds both: narwhals'
    ``concat`` refuses it for polars and pyarrow.
    """
    nw = _narwhals()
    implementation = as_table(frames[0]).implementation
    library = implementation.to_native_namespace()
    if implementation.is_polars():
        stacked = library.concat(frames, how="vertical_relaxed")
    elif implementation.is_pyarrow():
        stacked = library.concat_tables(frames, promote_options="permissive").combine_chunks()
    else:
        with warnings.catch_warnings():  # pandas 2 warns that from 3 on an empty column has a say in the dtype
            warnings.simplefilter("ignore", FutureWarning)
            stacked = library.concat(frames)
    return nw.from_native(stacked, eager_only=True)


def plain_names(columns, argument):
    """Return the names of columns in an array, or an index of pandas, as a list; one name, a list or None as it is.

    Raises
    ------
    TypeError
        For anything that is no name.
    """
    plain = columns.tolist() if hasattr(columns, "tolist") else columns
    for name in plain if isinstance(plain, (list, tuple)) else [plain]:
        try:
            hash(name)
        except TypeError as error:
            raise TypeError(f"{argument}={columns!r} must be the name of a column, or a list of names.") from error
    return plain


def check_columns(table, columns, argument):
    """Raise an error, for an argument, unless the table has all of these columns."""
    for column in columns:
        if column not in table.columns:
            raise ValueError(
                f"{argument}={column!r} is not a column of frame, whose columns are {table.columns}"
                f"{_hint(table, column)}"
            )


def _hint(table, column):
    """Say how the missing column may be found."""
    index = _narwhals().maybe_get_index(table)
    if index is not None and column in index.names:
        return ", but a level of its index: pass frame.reset_index()."
    close = get_close_matches(str(column), [str(name) for name in table.columns], n=1)
    return f": did you mean {close[0]!r}?" if close else "."


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
