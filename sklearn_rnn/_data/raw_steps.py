"""The steps of sequences that are frames, or that have strings, joined as they are: for transformers of steps."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from sklearn_rnn._data.columns import Column
from sklearn_rnn._data.containers import has_sequences, is_scalar, unpack
from sklearn_rnn._data.containers.libraries import as_array, is_of_class
from sklearn_rnn._data.names import common_names, compare_names, labels_of, record_names, refuse_repeated
from sklearn_rnn._data.reading import check_n_features, is_real_array, naming_sequence
from sklearn_rnn._data.sequences import Sequences

FRAMES = ("pandas.DataFrame", "polars.DataFrame", "pyarrow.Table")
ROWS_SEARCHED = 1000  # for text: in the first row it may be missing


@dataclass
class RawSequences(Sequences):
    """The steps of all sequences as the rows of a frame, or of an array of objects.

    Attributes
    ----------
    rows : frame of pandas or polars, table of pyarrow, or ndarray of shape (n_rows, n_features), object
    lengths, form, name
        As of Sequences.
    names : ndarray of str, or None
        Names of the features.
    columns : list of Column, or None
        The columns of the rows with their dtypes, where ``rows`` is an array that has lost them.
    undeclared : frozenset
        Labels of columns of categories that no dtype common to all sequences declares.
    """

    rows: Any
    names: np.ndarray | None = None
    columns: list[Column] | None = None
    undeclared: frozenset[Any] = frozenset()

    @property
    def is_numeric(self) -> bool:
        """Whether all steps are numbers: then they can be checked as those of arrays."""
        if isinstance(self.rows, np.ndarray):
            return False
        return np.asarray(self._first(1)).dtype.kind in "biuf"

    @property
    def columns_of_text(self) -> tuple[list[Any], list[Any]]:
        """Labels of the columns that have text in the first rows, and of the others; places if there are no labels."""
        cells = np.asarray(self._first(ROWS_SEARCHED), dtype=object)
        labels = labels_of(self.rows) or range(cells.shape[1])
        text = [label for label, column in zip(labels, cells.T) if any(isinstance(c, (str, bytes)) for c in column)]
        return text, [label for label in labels if label not in text]

    def _first(self, n_rows: int) -> Any:
        is_table = hasattr(self.rows, "slice") and not hasattr(self.rows, "dtypes")  # of pyarrow
        return self.rows.slice(0, n_rows) if is_table else self.rows[:n_rows]


def raw_sequences(X: Any, name: str = "X", expected: np.ndarray | None = None) -> RawSequences | None:
    """Return the sequences of X if they are frames or have strings; None if they are numbers, or X is 2-D.

    ``expected`` are the names of the fit, with which those of each frame are compared.
    """
    if isinstance(X, np.ndarray) and X.dtype.kind in "biufc":
        return None
    given = unpack(X, name)
    form = "list" if isinstance(given.X, (list, tuple)) else "object"
    if isinstance(given.X, np.ndarray):
        if given.X.ndim == 3:
            form = "array"
        elif given.X.ndim != 1:
            return None
    elif form != "list":
        return None
    if len(given.X) == 0 or any(map(is_scalar, given.X)):
        return None
    rows = _rows_of_instances(X)
    if rows is not None:
        refuse_repeated(labels_of(rows) or [], name)
        return RawSequences(rows, _lengths_of(given.X), form, name, common_names(given, name, expected))
    if all(map(is_real_array, given.X)):
        return None
    path = next((path for path in FRAMES if is_of_class(given.X[0], path)), None)
    if path is not None and all(is_of_class(x, path) for x in given.X):
        refuse_repeated(labels_of(given.X[0]) or [], f"{name}[0]")
        names = common_names(given, name, expected)  # before frames with other columns are joined
        rows, undeclared = _joined_frames(given.X, path, name)
        return RawSequences(rows, _lengths_of(given.X), form, name, names, undeclared=undeclared)
    rows = _joined_strings(given.X, name)
    if rows is None:
        return None
    return RawSequences(rows, _lengths_of(given.X), form, name, common_names(given, name, expected))


def check_raw_sequences(estimator: Any, sequences: RawSequences, *, reset: bool) -> None:
    """Set or compare ``n_features_in_`` and ``feature_names_in_``; refuse sequences without steps."""
    name, owner = sequences.name, type(estimator).__name__
    expected = None if reset else getattr(estimator, "feature_names_in_", None)
    if not reset:
        compare_names(sequences.names, expected, owner, name)
        check_n_features(sequences, owner, estimator.n_features_in_)
    refuse_empty(sequences)
    if reset:
        estimator.n_features_in_ = sequences.n_features
        record_names(estimator, sequences.names)


def refuse_empty(sequences: RawSequences) -> None:
    """Refuse sequences without steps."""
    empty = np.flatnonzero(sequences.lengths == 0)
    if len(empty):
        raise ValueError(f"{sequences.name}[{empty[0]}] has no steps: every sequence needs at least one.")


def _lengths_of(X: Sequence[Any]) -> np.ndarray:
    return np.array([len(x) for x in X])


def _rows_of_instances(X: Any) -> Any:
    """Return the rows of a pandas frame with an index (instance, time); None for all others."""
    if is_of_class(X, "pandas.DataFrame") and X.index.nlevels > 1 and not has_sequences(X.iloc[0]):
        return X.reset_index(drop=True)
    return None


def _joined_frames(X: Sequence[Any], path: str, name: str) -> tuple[Any, frozenset[Any]]:
    """Return the rows of all frames of a class as one frame, and its columns whose dtypes of categories differ."""
    for i, x in enumerate(X):
        if x.shape[1] != X[0].shape[1] or (path == "pandas.DataFrame" and not x.columns.equals(X[0].columns)):
            raise ValueError(f"{name}[{i}] has other columns than {name}[0]: every sequence needs the same columns.")
    if path == "pandas.DataFrame":
        return _joined_pandas_frames(X)
    if path == "polars.DataFrame":
        _refuse_text_beside_numbers(X, name)
        with _naming_dtypes(name, sys.modules["polars"].exceptions.PolarsError):
            return sys.modules["polars"].concat(list(X), how="vertical_relaxed"), frozenset()
    with _naming_dtypes(name, sys.modules["pyarrow"].ArrowException):
        return sys.modules["pyarrow"].concat_tables(list(X), promote_options="permissive"), frozenset()


def _refuse_text_beside_numbers(frames: Sequence[Any], name: str) -> None:
    """Refuse a column of polars that has strings in one frame and numbers in another: joined, all would be strings."""
    firsts: dict[tuple[str, bool], tuple[int, Any]] = {}  # by column and whether it has numbers
    for i, schema in enumerate(frame.schema for frame in frames):
        for label, dtype in schema.items():
            has_numbers = dtype.is_numeric() or dtype.is_(sys.modules["polars"].Boolean)
            if has_numbers or dtype.is_(sys.modules["polars"].String):
                firsts.setdefault((label, has_numbers), (i, dtype))
    for label in frames[0].columns:
        if (label, True) in firsts and (label, False) in firsts:
            (i, numbers), (k, strings) = firsts[label, True], firsts[label, False]
            raise ValueError(
                f"{name}[{k}][{label!r}] has the dtype {strings}, but {name}[{i}][{label!r}] has {numbers}: cast the "
                "column to one dtype in all sequences."
            )


@contextmanager
def _naming_dtypes(name: str, errors: type[Exception]) -> Iterator[None]:
    """Raise errors of a library that cannot join frames in the name of the argument."""
    try:
        yield
    except errors as error:
        raise ValueError(
            f"{name} has frames with a column of several dtypes: {error}. Cast it to one dtype in all sequences."
        ) from error


def _joined_pandas_frames(frames: Sequence[Any]) -> tuple[Any, frozenset[Any]]:
    """Return the rows of all frames, and the columns whose dtypes of categories differ: they get those of all."""
    pd = sys.modules["pandas"]
    dtypes = [frame.dtypes.to_list() for frame in frames]
    common = {}
    for label, *of_frames in zip(frames[0].columns, *dtypes):
        has_categories = any(isinstance(dtype, pd.CategoricalDtype) for dtype in of_frames)
        if has_categories and any(dtype != of_frames[0] for dtype in of_frames):
            common[label] = pd.CategoricalDtype(_union_of_categories([frame[label] for frame in frames]))
    rows = pd.concat([frame.astype(common) for frame in frames] if common else list(frames), ignore_index=True)
    return rows, frozenset(common)


def _union_of_categories(columns: list[Any]) -> list[Any]:
    """Return the categories of columns of pandas, sorted."""
    values = {value for column in columns for value in column.astype("category").cat.categories}
    return sorted(values, key=lambda value: (type(value).__name__, value))


def _joined_strings(X: Sequence[Any], name: str) -> np.ndarray | None:
    """Return the steps of all sequences as objects; None if no sequence has a string."""
    arrays = [_array_of(x, f"{name}[{i}]") for i, x in enumerate(X)]
    if not any(array.dtype == object and _has_strings(array) for array in arrays):
        return None
    columns = []
    for i, array in enumerate(arrays):
        if array.ndim not in (1, 2):
            raise ValueError(f"{name}[{i}] has {array.ndim} dimensions, but a sequence is (n_steps, n_features).")
        columns.append(array if array.ndim == 2 else array.reshape(-1, 1))
        if columns[i].shape[1] != columns[0].shape[1]:
            raise ValueError(
                f"{name}[{i}] has {columns[i].shape[1]} features per step, but {name}[0] has {columns[0].shape[1]}: "
                "every sequence needs the same number of features."
            )
    return np.concatenate(columns).astype(object)


def _array_of(x: Any, place: str) -> np.ndarray:
    """Return a sequence as an array: of objects, if it has strings."""
    with naming_sequence(place):
        return as_array(x, place)


def _has_strings(array: np.ndarray) -> bool:
    return any(issubclass(cls, (str, bytes)) for cls in set(map(type, array.flat)))
