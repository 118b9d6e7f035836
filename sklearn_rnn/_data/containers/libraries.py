"""One sequence, or one array, of another library, as something that NumPy reads rightly.

No library is imported here: an object of a library exists only where the library is loaded.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import date, time, timedelta
from typing import Any

import numpy as np
import scipy.sparse as sp

from sklearn_rnn._data.containers.named_dims import in_order_of_a_sequence

TIMES = (date, time, timedelta, np.datetime64, np.timedelta64)  # a datetime is a date, pandas.NaT a datetime
CPU = 1  # in the DLPack protocol


def is_of_class(item: Any, path: str) -> bool:
    """Whether an object is of a class such as "pandas.DataFrame"."""
    module, _, name = path.rpartition(".")
    cls = getattr(sys.modules.get(module), name, None)
    return cls is not None and isinstance(item, cls)


def find_reader(item: Any, readers: dict[str, Callable[[Any, str], Any]]) -> Callable[[Any, str], Any] | None:
    """Return the reader of an object's class, by the names of classes; None if it has none."""
    return next((reader for path, reader in readers.items() if is_of_class(item, path)), None)


def from_library(item: Any, place: str) -> Any:
    """Return an array, or what ``numpy.asarray`` reads, for an array or frame of any library.

    Parameters
    ----------
    item : object
    place : str
        Where it is, such as "X[3]", for messages.

    Raises
    ------
    ValueError
        For masked values, and for times in frames.
    TypeError
        For sparse data, and for tensors in the memory of a device.
    """
    if type(item) in (np.ndarray, list, tuple):
        return item
    if sp.issparse(item):
        raise TypeError(f"{place} is sparse, but dense data is required. Use '.toarray()' on every sequence.")
    if isinstance(item, np.ma.MaskedArray):
        return _of_masked_array(item, place)
    reader = find_reader(item, READERS)
    if reader is not None:
        return reader(item, place)
    return _of_dlpack(item, place) if hasattr(item, "__dlpack__") and not isinstance(item, np.ndarray) else item


def as_array(item: Any, place: str) -> np.ndarray:
    """Return an array or frame of any library as an array; strings, and numbers beside strings, as objects."""
    readable = from_library(item, place)
    array = np.asarray(readable)
    # NumPy makes strings of the numbers beside strings, and no object of its own variable strings.
    return np.asarray(readable, dtype=object) if array.dtype.kind in "UST" else array


def refuse_times(array: np.ndarray, place: str) -> None:
    """Refuse dates, times and durations: as numbers they would be counts of days or nanoseconds."""
    if array.dtype.kind in "mM":
        first = array.flat[0] if array.size else array.dtype
    elif array.dtype == object and any(issubclass(cls, TIMES) for cls in set(map(type, array.flat))):
        first = next(value for value in array.flat if isinstance(value, TIMES))
    else:
        first = None
    if first is not None:
        raise ValueError(
            f"{place} contains times, such as {first}, but a network reads numbers: leave them out, or pass elapsed "
            "time as a number, such as (t - t[0]) / numpy.timedelta64(1, 's')."
        )


# ---- One library each --------------------------------------------------------------------------------


def _of_masked_array(array: np.ma.MaskedArray, place: str) -> np.ndarray:
    n_masked = int(np.ma.count_masked(array))
    if n_masked:
        raise ValueError(
            f"{place} is a masked array with {n_masked} masked value{'s' * (n_masked > 1)}, whose numbers mean "
            "nothing: pass the steps that are not masked, as a list of arrays, or fill them, with .filled(numpy.nan) "
            "and ForwardFill() or TimeDistributed(SimpleImputer())."
        )
    return np.asarray(array.data)


def _of_pandas_frame(frame: Any, place: str) -> Any:
    """Columns of pandas' own dtypes (Int64, Float64) are numbers too. pandas.NA is NaN."""
    array = np.asarray(frame)
    if array.dtype == object and all(getattr(dtype, "kind", "O") in "biuf" for dtype in frame.dtypes):
        return frame.to_numpy(dtype=np.float64, na_value=np.nan)
    return array


def _of_pandas_series(series: Any, place: str) -> Any:
    is_number = not isinstance(series.dtype, np.dtype) and getattr(series.dtype, "kind", "O") in "biuf"
    return series.to_numpy(dtype=np.float64, na_value=np.nan) if is_number else series


def _of_polars_frame(frame: Any, place: str) -> Any:
    """NumPy would get dates as their numbers of days."""
    for column in frame.get_columns():
        if column.dtype.is_temporal():
            refuse_times(column.drop_nulls().head(1).to_numpy(), f"{place}[{column.name!r}]")
    return frame


def _of_polars_series(series: Any, place: str) -> Any:
    if series.dtype.is_temporal():
        refuse_times(series.to_numpy(), place)
    if series.dtype == sys.modules["polars"].Struct:
        return _of_polars_frame(series.struct.unnest(), place)
    return np.array(series.to_list()) if series.dtype.is_nested() else series.to_numpy()


def _of_arrow_array(array: Any, place: str) -> Any:
    types = sys.modules["pyarrow"].types
    if types.is_temporal(array.type):
        refuse_times(array.to_numpy(zero_copy_only=False), place)
    return np.array(array.to_pylist()) if types.is_nested(array.type) else array.to_numpy(zero_copy_only=False)


def _of_arrow_table(table: Any, place: str) -> np.ndarray:
    names = [f"{place}[{name!r}]" for name in table.column_names]
    columns = [_of_arrow_array(column.combine_chunks(), name) for column, name in zip(table.columns, names)]
    return np.column_stack(columns) if columns else np.empty((table.num_rows, 0))


def _of_awkward(array: Any, place: str) -> Any:
    """Records have a field for each feature of a step."""
    if array.fields:
        return np.stack([as_array(array[field], f"{place}[{field!r}]") for field in array.fields], axis=-1)
    is_option = isinstance(array.type.content, sys.modules["awkward"].types.OptionType)
    return array.to_list() if is_option else array  # NumPy cannot read None


def _of_tensor(tensor: Any, place: str) -> np.ndarray:
    if tensor.device.type != "cpu":
        raise TypeError(f"{place} is a tensor on the device {str(tensor.device)!r}: copy it to the CPU, with .cpu().")
    if tensor.layout is not sys.modules["torch"].strided:
        raise TypeError(f"{place} is a tensor of layout {tensor.layout}, but dense data is required: use .to_dense().")
    tensor = tensor.detach()
    return (tensor.float() if tensor.dtype is sys.modules["torch"].bfloat16 else tensor).numpy()


def _of_dlpack(item: Any, place: str) -> Any:
    """An array of a library whose arrays NumPy may not know."""
    if hasattr(item, "__array__") and type(item).__module__.partition(".")[0] != "cupy":
        return item  # jax copies to the CPU by itself
    if item.__dlpack_device__()[0] != CPU:
        raise TypeError(f"{place} is {type(item).__name__} in the memory of a device: copy it to the CPU first.")
    return np.from_dlpack(item)


READERS: dict[str, Callable[[Any, str], Any]] = {
    "pandas.DataFrame": _of_pandas_frame,
    "pandas.Series": _of_pandas_series,
    "polars.DataFrame": _of_polars_frame,
    "polars.Series": _of_polars_series,
    "pyarrow.Table": _of_arrow_table,
    "pyarrow.Array": _of_arrow_array,
    "awkward.Array": _of_awkward,
    "xarray.DataArray": in_order_of_a_sequence,
    "torch.Tensor": _of_tensor,
}
