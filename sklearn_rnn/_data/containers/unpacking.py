"""Containers of sequences of any library: unpacked into a list of sequences, or an array.

Lists, tuples, and NumPy's arrays of numbers stay as they are.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from datetime import date, timedelta
from numbers import Number
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import scipy.sparse as sp

from sklearn_rnn._data.containers.libraries import as_array, find_reader, from_library, is_of_class, refuse_times
from sklearn_rnn._data.containers.named_dims import in_order_of_sequences, labels_of_features
from sklearn_rnn._data.containers.refused import refuse_other_objects, refuse_pairs, refuse_strings
from sklearn_rnn._data.sequences import object_array

Columns: TypeAlias = Sequence[tuple[Any, Iterable[Any]]]  # labels and cells
SCALARS = (Number, str, bytes, date, timedelta, np.generic, type(None))


class Unpacked(NamedTuple):
    """Sequences without their container.

    Attributes
    ----------
    X : object
        A list, tuple or object array of sequences, a 3-D array, or 2-D data as scikit-learn reads them.
    labels : list or None
        Labels of the features of all sequences, if the container has them.
    """

    X: Any
    labels: list[Any] | None = None


def unpack(X: Any, name: str, fitted_on_rows: bool | None = None) -> Unpacked:
    """Return the sequences in a container of any library.

    Parameters
    ----------
    X : object
    name : str
        The argument, for messages.
    fitted_on_rows : bool or None, default=None
        Whether the estimator was fitted on 2-D X, so that rows cannot be steps; None if it is being fitted.

    Raises
    ------
    ValueError, TypeError
        For masked values, times, one string per row, steps without order, tensors on a device, and for objects that
        are no container of sequences. The message has the remedy.
    """
    if isinstance(X, np.ndarray) and not isinstance(X, np.ma.MaskedArray):
        return Unpacked(X) if X.dtype.kind in "biufc" else _of_other_array(X, name)
    reader = None if type(X) in (list, tuple) else find_reader(X, READERS)
    if reader is not None:
        return reader(X, name)
    if is_of_class(X, "pandas.DataFrame"):
        return _of_pandas_frame(X, name, fitted_on_rows)
    if isinstance(X, (list, tuple)):
        refuse_strings(X, name)
        refuse_pairs(X, name)
        return Unpacked(X)
    if sp.issparse(X):  # refused later, in the words for which scikit-learn's estimator checks look
        return Unpacked(X)
    refuse_other_objects(X, name)
    X = from_library(X, name)
    return unpack(np.asarray(X), name) if isinstance(X, np.ndarray) or n_dimensions(X) > 2 else Unpacked(X)


def is_scalar(item: Any) -> bool:
    """Whether an item is no sequence."""
    return not isinstance(item, (list, tuple)) and n_dimensions(item) == 0


def has_sequences(cells: Iterable[Any]) -> bool:
    """Whether some of the cells of a column, or of an array, are sequences."""
    if all(issubclass(cls, SCALARS) for cls in set(map(type, cells))):  # a tenth of the time of looking at each cell
        return False
    return not all(map(is_scalar, cells))


def n_dimensions(item: Any) -> int:
    """Number of axes of an array of any library."""
    if isinstance(item, (str, bytes, float, int)) or item is None:
        return 0
    if hasattr(item, "shape"):
        return len(item.shape)
    return item.ndim if hasattr(item, "ndim") else np.asarray(item).ndim


# ---- NumPy -------------------------------------------------------------------------------------------


def _of_other_array(X: np.ndarray, name: str) -> Unpacked:
    """Unpack an array of objects, or refuse one of strings or times."""
    is_column = X.ndim == 1 or (X.ndim == 2 and X.shape[1] == 1)
    if X.dtype == object and X.ndim <= 2 and has_sequences(X.reshape(-1)):
        if is_column:
            return Unpacked(X.reshape(-1))
        return Unpacked(object_array(_join_columns(list(enumerate(X.T)), name)))
    refuse_times(X, name)
    if is_column:
        refuse_strings(X.flat, name)
    return Unpacked(X)


# ---- Columns of sequences ----------------------------------------------------------------------------


def _of_columns(columns: Columns, labels: Sequence[Any], name: str) -> Unpacked:
    """Unpack the columns of a frame whose cells are sequences; ``labels`` are those of all columns of the frame."""
    if len(columns) < len(labels):
        nested = [label for label, _ in columns]
        other = next(label for label in labels if label not in nested)
        raise ValueError(
            f"{name} has columns whose cells are sequences, such as {nested[0]!r}, and columns of single values, such "
            f"as {other!r}: leave these out, or repeat each value at every step of its row."
        )
    if len(columns) == 1:
        return Unpacked(list(columns[0][1]))
    return Unpacked(_join_columns(columns, name), list(labels))


def _join_columns(columns: Columns, name: str) -> list[np.ndarray]:
    """Return the cells of a row, (n_steps_i,) each, as the features of a sequence, (n_steps_i, n_columns)."""
    labels, cells_of_all = zip(*columns)
    sequences = []
    for i, cells in enumerate(zip(*cells_of_all)):
        arrays: list[np.ndarray] = []
        for label, cell in zip(labels, cells):
            place = f"{name}[{i}][{label!r}]"
            array = as_array(cell, place)
            refuse_times(array, place)
            if array.ndim != 1:
                raise ValueError(
                    f"{place} has {array.ndim} dimensions, but with several columns a cell is a sequence of numbers, "
                    "(n_steps_i,): each column is one feature."
                )
            if arrays and len(array) != len(arrays[0]):
                raise ValueError(
                    f"{place} has {len(array)} steps, but {name}[{i}][{labels[0]!r}] has {len(arrays[0])}: the cells "
                    "of a row are the features of one sequence, and need the same number of steps."
                )
            arrays.append(array)
        sequences.append(np.stack(arrays, axis=1))
    return sequences


# ---- pandas ------------------------------------------------------------------------------------------


def _of_pandas_series(X: Any, name: str) -> Unpacked:
    if has_sequences(X):
        return Unpacked(list(X))
    return _of_pandas_frame(X.to_frame(), name) if X.index.nlevels > 1 else unpack(X.to_numpy(), name)


def _of_pandas_frame(X: Any, name: str, fitted_on_rows: bool | None = None) -> Unpacked:
    """Unpack columns of sequences, or the rows of each instance where the index is (instance, time)."""
    suspects = [j for j, dtype in enumerate(X.dtypes) if getattr(dtype, "kind", "O") not in "biuf"]
    columns = [(X.columns[j], X.iloc[:, j]) for j in suspects]
    nested = [(label, cells) for label, cells in columns if has_sequences(cells)]
    if nested:
        return _of_columns(nested, X.columns, name)
    for label, column in columns:
        refuse_times(column.to_numpy(), f"{name}[{label!r}]")
    if X.index.nlevels > 1 and not fitted_on_rows:
        return _of_instances(X, name, may_be_rows=fitted_on_rows is None)
    if len(X.columns) == len(columns) == 1:
        refuse_strings(X.iloc[:, 0], name)
    return Unpacked(X)


def _of_instances(X: Any, name: str, may_be_rows: bool) -> Unpacked:
    """Return the steps of each instance: all rows with the same index but for its last level, the time."""
    instances = _split_by_instance(X, name)
    if may_be_rows and len(instances) == len(X):
        raise ValueError(
            f"{name} has an index of {X.index.nlevels} levels, {list(X.index.names)}, as sequences have whose rows are "
            f"steps, but one row for each instance. If each row is a sequence, call {name}.reset_index(drop=True). "
            f"Sequences of one step are {name}.to_numpy()[:, numpy.newaxis]."
        )
    return Unpacked(instances, list(X.columns))


def by_instance(y: Any, name: str) -> Any:
    """Return the values of steps in pandas data with an index (instance, time) by sequence; all other y unchanged."""
    return _split_by_instance(y, name) if getattr(getattr(y, "index", None), "nlevels", 1) > 1 else y


def _split_by_instance(X: Any, name: str) -> list[np.ndarray]:
    """Return the rows of each instance, whose steps must be together and in the order of time."""
    codes, instances = X.index.droplevel(-1).factorize()
    starts = np.flatnonzero(np.diff(codes, prepend=-1))
    if len(starts) != len(instances) or (codes < 0).any():
        raise ValueError(
            f"{name} has an index of {X.index.nlevels} levels, {list(X.index.names)}, so that a sequence has the rows "
            f"of an instance, but these are not together: call {name}.sort_index()."
        )
    times = X.index.get_level_values(-1)
    for start, stop in zip(starts, [*starts[1:], len(X)]):
        if not times[start:stop].is_monotonic_increasing:
            raise ValueError(
                f"{name} has the steps of instance {plain_label(instances[codes[start]])!r} in another order than "
                f"their times: call {name}.sort_index(). If rows are no steps, call {name}.reset_index(drop=True)."
            )
    return np.split(np.asarray(from_library(X, name)), starts[1:])


def plain_label(label: Any) -> Any:
    """Return a label of an index without NumPy's scalars, for messages."""
    return tuple(map(plain_label, label)) if isinstance(label, tuple) else getattr(label, "tolist", lambda: label)()


# ---- Other libraries ---------------------------------------------------------------------------------


def _of_polars_series(X: Any, name: str) -> Unpacked:
    if _is_polars_list(X.dtype):
        return Unpacked(_polars_cells(X))
    return unpack(X.to_numpy(), name)


def _of_polars_frame(X: Any, name: str) -> Unpacked:
    nested = [(label, _polars_cells(X[label])) for label, dtype in X.schema.items() if _is_polars_list(dtype)]
    return _of_flat_or_nested(X, nested, X.columns, name)


def _is_polars_list(dtype: Any) -> bool:
    pl = sys.modules["polars"]
    return isinstance(dtype, (pl.List, pl.Array, pl.Object))


def _polars_cells(column: Any) -> list[Any]:
    """Return the lists in a column: series or, for lists of structs, frames. None is missing."""
    if getattr(column.dtype, "inner", None) == sys.modules["polars"].Struct:
        return [None if cell is None else cell.struct.unnest() for cell in column]
    return list(column)


def _of_arrow_table(X: Any, name: str) -> Unpacked:
    nested = [
        (field.name, _arrow_cells(column)) for field, column in zip(X.schema, X.columns) if _is_arrow_list(field.type)
    ]
    return _of_flat_or_nested(X, nested, X.column_names, name)


def _of_flat_or_nested(X: Any, nested: Columns, labels: Sequence[Any], name: str) -> Unpacked:
    if nested:
        return _of_columns(nested, labels, name)
    from_library(X.slice(0, 1), name)  # refuses columns of times
    if len(labels) == 1:
        refuse_strings(np.asarray(X).flat, name)
    return Unpacked(X)


def _of_arrow_batch(X: Any, name: str) -> Unpacked:
    return _of_arrow_table(sys.modules["pyarrow"].Table.from_batches([X]), name)


def _of_arrow_array(X: Any, name: str) -> Unpacked:
    if _is_arrow_list(X.type):
        return Unpacked(_arrow_cells(X))
    return unpack(X.to_numpy() if hasattr(X, "chunks") else X.to_numpy(zero_copy_only=False), name)


def _arrow_cells(column: Any) -> list[Any]:
    """Return the lists in a column: arrays or, for lists of structs, tables. None is missing."""
    pa = sys.modules["pyarrow"]
    cells = [scalar.values for scalar in column]
    if pa.types.is_struct(column.type.value_type):
        batches = [cell if cell is None else pa.RecordBatch.from_struct_array(cell) for cell in cells]
        return [batch if batch is None else pa.Table.from_batches([batch]) for batch in batches]
    return cells


def _is_arrow_list(type_: Any) -> bool:
    types = sys.modules["pyarrow"].types
    return types.is_list(type_) or types.is_large_list(type_) or types.is_fixed_size_list(type_)


def _of_awkward(X: Any, name: str) -> Unpacked:
    """An axis of variable length makes a list, even if all lengths happen to be equal."""
    types = sys.modules["awkward"].types
    labels = None if X.is_tuple else X.fields or None
    content = X.type.content
    while isinstance(content, types.RegularType):
        content = content.content
    if isinstance(content, types.NumpyType):
        return Unpacked(np.asarray(X))
    return Unpacked(list(X), labels)


def _of_xarray(X: Any, name: str) -> Unpacked:
    array, labels = in_order_of_sequences(X, name), labels_of_features(X)
    return unpack(array, name)._replace(labels=labels if array.ndim == 3 else None)


def _of_tensor(X: Any, name: str) -> Unpacked:
    return Unpacked(list(X.unbind())) if X.is_nested else unpack(from_library(X, name), name)


def _of_packed_sequence(X: Any, name: str) -> Unpacked:
    return Unpacked(sys.modules["torch.nn.utils.rnn"].unpack_sequence(X))


READERS: dict[str, Callable[[Any, str], Unpacked]] = {
    "pandas.Series": _of_pandas_series,
    "polars.DataFrame": _of_polars_frame,
    "polars.Series": _of_polars_series,
    "pyarrow.Table": _of_arrow_table,
    "pyarrow.RecordBatch": _of_arrow_batch,
    "pyarrow.ChunkedArray": _of_arrow_array,
    "pyarrow.Array": _of_arrow_array,
    "awkward.Array": _of_awkward,
    "xarray.DataArray": _of_xarray,
    "torch.Tensor": _of_tensor,
    "torch.nn.utils.rnn.PackedSequence": _of_packed_sequence,
}
