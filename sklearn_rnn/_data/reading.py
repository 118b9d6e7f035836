"""Every accepted form of X, checked and read into sequences. All errors about X are raised here."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
from sklearn.utils.validation import _check_feature_names, check_array

from sklearn_rnn._data.containers import Unpacked, is_scalar, n_dimensions, unpack
from sklearn_rnn._data.containers.libraries import as_array, refuse_times
from sklearn_rnn._data.containers.refused import refuse_text
from sklearn_rnn._data.mapped_files import is_mapped
from sklearn_rnn._data.names import common_names, compare_names, labels_of, record_names
from sklearn_rnn._data.padding import remedy_for_nan
from sklearn_rnn._data.ready import has_finite_sum, is_compact
from sklearn_rnn._data.sequences import MappedSequences, Sequences

FLOATS = (np.float64, np.float32)


class Reader(NamedTuple):
    """How X is read.

    Attributes
    ----------
    owner : str
        Class of the estimator, for messages.
    name : str
        The argument, for messages: "X" or "X_val".
    dtypes : tuple of dtype
        Accepted types. Numbers of any other type are converted to the first one.
    may_stay_mapped : bool
        Whether an array in a memory-mapped file (or a list of such arrays) stays there. It is checked in parts.
    """

    owner: str
    name: str = "X"
    dtypes: Sequence[Any] = FLOATS
    may_stay_mapped: bool = False


def check_sequences(
    estimator: Any,
    X: Any,
    *,
    reset: bool,
    fitted_on_rows: bool | None = None,
    step_features: int = 1,
    ensure_all_finite: bool | str = True,
    may_stay_mapped: bool = False,
    name: str = "X",
    observe: Callable[[np.ndarray], None] | None = None,
) -> Any:
    """Check X in any of its forms.

    Parameters
    ----------
    estimator : estimator
        Named in errors; ``n_features_in_`` and ``feature_names_in_`` are set or compared.
    X : array-like of shape (n_sequences, n_columns) or (n_sequences, n_steps, n_features), or a list, tuple \
            or object array of n_sequences array-likes of shape (n_steps_i, n_features) or (n_steps_i,)
    reset : bool
        Whether the estimator is being fitted for the first time, or again from the start.
    fitted_on_rows : bool or None, default=None
        Whether the estimator was fitted on 2-D X; None if it is being fitted.
    step_features : int, default=1
        Features per step of 2-D X. Its columns are the steps of a sequence, one after the other.
    ensure_all_finite : bool or "allow-nan", default=True
    may_stay_mapped : bool, default=False
        Whether an array in a memory-mapped file stays there.
    name : str, default="X"
        The argument, for messages.
    observe : callable or None, default=None
        Called with the rows of every chunk after they are checked, so that a file is read once for both.

    Returns
    -------
    Sequences, or MappedSequences

    Raises
    ------
    ValueError, TypeError
        The message starts with ``name`` and the place of the fault.
    """
    reader = Reader(type(estimator).__name__, name, FLOATS, may_stay_mapped)
    given = unpack(X, name, fitted_on_rows)
    X, form = given.X, form_of(given.X, fitted_on_rows, name)
    if fitted_on_rows is not None and fitted_on_rows != (form == "rows"):
        refuse_form(reader, form, estimator.n_features_in_, X)
    sequences: Sequences | MappedSequences
    if form == "rows":
        sequences = _check_rows(estimator, X, reset, step_features, reader)
    else:
        names = _check_names(estimator, given, reset, reader)
        sequences = check_steps(X, form, reader, None if reset else estimator.n_features_in_)
        if reset:
            estimator.n_features_in_ = sequences.n_features
            record_names(estimator, names)
    names = getattr(estimator, "feature_names_in_", None)
    check_finite(sequences, reader.owner, ensure_all_finite, observe, names=names)
    return sequences


def form_of(X: Any, fitted_on_rows: bool | None, name: str = "X") -> str:
    """Tell the forms of unpacked X apart: "rows", "array", "list" or "object"; anything else counts as "rows"."""
    if isinstance(X, (list, tuple)):
        if len(X) == 0:
            raise ValueError(f"{name} is an empty {type(X).__name__}: at least one sequence is needed.")
        if all(map(is_scalar, X)):
            return "rows"
        return "rows" if _is_table(X) and fitted_on_rows is not False else "list"
    if isinstance(X, np.ndarray) and X.dtype == object and X.ndim == 1 and not all(map(is_scalar, X)):
        return "object"
    n_axes = n_dimensions(X)
    if n_axes > 3:
        raise ValueError(
            f"{name} has {n_axes} dimensions, but it must have at most 3: (n_sequences, n_steps, n_features)."
        )
    return "array" if n_axes == 3 else "rows"


def _is_table(X: Sequence[Any]) -> bool:
    """Whether X is a list of equally long lists of numbers: scikit-learn treats it as 2-D data."""
    return all(
        isinstance(item, (list, tuple)) and 0 < len(item) == len(X[0]) and all(map(is_scalar, item)) for item in X
    )


def _has_strings(row: Sequence[Any]) -> bool:
    return any(issubclass(cls, (str, bytes)) for cls in set(map(type, row)))


def refuse_form(reader: Reader, form: str, n: int, X: Any) -> None:
    """Raise the error for X in another form than the estimator was fitted on; ``n`` features (or columns) are right."""
    name = reader.name
    if form == "rows":
        shape = np.shape(X)
        if len(shape) < 2 or shape[1] == n:
            hint = f" If {name} is one sequence, pass [{name}]."
        elif n == 1:
            hint = f" If each row of {name} is a sequence, pass numpy.asarray({name})[:, :, numpy.newaxis]."
        else:
            hint = ""
        raise ValueError(
            f"{name} is {len(shape)}-D, but this {reader.owner} was fitted on sequences with {n} features per step: "
            f"pass an array (n_sequences, n_steps, {n}) or a list of arrays (n_steps_i, {n}).{hint}"
        )
    raise ValueError(
        f"{name} is a {'3-D array' if form == 'array' else 'list of sequences'}, but this {reader.owner} was "
        f"fitted on 2-D X with {n} columns: pass the same columns."
    )


# ---- 2-D X: every row is a sequence ------------------------------------------------------------------


def _check_rows(estimator: Any, X: Any, reset: bool, step_features: int, reader: Reader) -> Sequences | MappedSequences:
    """Check 2-D X: each row is a sequence of n_columns / step_features steps."""
    stays_mapped = reader.may_stay_mapped and is_mapped(X) and X.ndim == 2
    _check_feature_names(estimator, X, reset=reset)
    if isinstance(X, (list, tuple)) and any(isinstance(row, (list, tuple)) and _has_strings(row) for row in X):
        refuse_text(np.array(X), reader.name)
    if not stays_mapped:  # check_array would copy the array; an array of numbers passes its checks
        X = check_table(X, reader)
    n_sequences, n_columns = X.shape
    _check_n_columns(estimator, n_columns, reset, reader)
    n_steps = n_steps_of_rows(n_columns, step_features, reader.name)
    lengths = np.full(n_sequences, n_steps)
    if stays_mapped:
        return _map_sequences(X.reshape(n_sequences, n_steps, step_features), lengths, "rows", X.dtype, reader)
    return Sequences(X.reshape(-1, step_features), lengths, "rows", reader.name)


def check_columns_of_rows(estimator: Any, X: Any, n_columns: int, *, reset: bool, reader: Reader) -> None:
    """Set or compare the names and the number of the columns of 2-D X."""
    _check_feature_names(estimator, X, reset=reset)
    _check_n_columns(estimator, n_columns, reset, reader)


def _check_n_columns(estimator: Any, n_columns: int, reset: bool, reader: Reader) -> None:
    if reset:
        estimator.n_features_in_ = n_columns
    elif n_columns != estimator.n_features_in_:
        raise ValueError(
            f"{reader.name} has {n_columns} features, but {reader.owner} is expecting {estimator.n_features_in_} "
            "features as input."
        )


def n_steps_of_rows(n_columns: int, step_features: int, name: str) -> int:
    """Return the number of steps of each row of 2-D X."""
    if n_columns % step_features:
        raise ValueError(
            f"step_features={step_features} does not divide the {n_columns} columns of {name}: every row is a "
            "sequence of steps with step_features columns each."
        )
    return n_columns // step_features


def check_table(X: Any, reader: Reader) -> np.ndarray:
    """Return 2-D X as an array of floats. They may be infinite or NaN."""
    with naming_argument(reader.name):
        X = check_array(
            X,
            dtype=list(reader.dtypes),
            order="C",
            ensure_all_finite=False,
            estimator=reader.owner,
            input_name=reader.name,
        )
    return np.require(X, requirements="A")  # aligned, as the kernels read rows


# ---- 3-D X, and lists --------------------------------------------------------------------------------


def _check_names(estimator: Any, given: Unpacked, reset: bool, reader: Reader) -> np.ndarray | None:
    """Return the feature names of sequences, None without; compare them with those of the fit."""
    expected = None if reset else getattr(estimator, "feature_names_in_", None)
    names = common_names(given, reader.name, expected)
    if not reset:
        compare_names(names, expected, reader.owner, reader.name)
    return names


def check_steps(X: Any, form: str, reader: Reader, n_features: int | None = None) -> Sequences | MappedSequences:
    """Check X of a form other than "rows"; ``n_features`` is the required number per step, None for any."""
    sequences = _check_array_3d(X, reader) if form == "array" else _check_ragged(X, form, reader)
    if n_features is not None:
        check_n_features(sequences, reader.owner, n_features)
    return sequences


def check_n_features(sequences: Sequences | MappedSequences, owner: str, n_features: int) -> None:
    """Refuse sequences with another number of features per step than ``n_features``."""
    if sequences.n_features != n_features:
        raise ValueError(
            f"{sequences.name} has {sequences.n_features} features per step, but {owner} is expecting {n_features} "
            "features per step as input."
        )


def _check_array_3d(X: Any, reader: Reader) -> Sequences | MappedSequences:
    if reader.may_stay_mapped and is_mapped(X):
        return _map_sequences(X, np.full(len(X), X.shape[1]), "array", X.dtype, reader)
    is_ready = type(X) is np.ndarray and X.dtype in reader.dtypes and is_compact(X) and X.size > 0
    if not is_ready:  # check_array takes longer than the prediction of a sequence
        refuse_text(X, reader.name)
        with naming_argument(reader.name):
            X = check_array(
                X,
                dtype=list(reader.dtypes),
                order="C",
                allow_nd=True,
                ensure_all_finite=False,
                estimator=reader.owner,
                input_name=reader.name,
            )
        X = np.require(X, requirements="A")  # aligned, as the kernels read rows
    n_sequences, n_steps, n_features = X.shape
    for axis, size in (("steps", n_steps), ("features", n_features)):
        if size == 0:
            raise ValueError(
                f"{reader.name} has shape {X.shape}, with 0 {axis}: its axes are (n_sequences, n_steps, n_features)."
            )
    return Sequences(X.reshape(-1, n_features), np.full(n_sequences, n_steps), "array", reader.name)


def _check_ragged(X: Any, form: str, reader: Reader) -> Sequences | MappedSequences:
    """Check a list of (n_steps_i, n_features) or (n_steps_i,) arrays."""
    name = reader.name
    # Arrays skip the checks, which take longer than the rest of the reading.
    arrays = [
        item if is_real_array(item) and item.ndim == 2 else _as_2d(item, f"{name}[{i}]") for i, item in enumerate(X)
    ]
    n_features = arrays[0].shape[1]
    shapes = {array.shape for array in arrays}  # a few: looked at in the place of thousands of arrays
    is_right = all(n_steps > 0 and width == n_features for n_steps, width in shapes)
    for i, array in enumerate([] if is_right else arrays):
        if len(array) == 0:
            raise ValueError(f"{name}[{i}] has no steps: every sequence needs at least one.")
        if array.shape[1] != n_features:
            raise ValueError(
                f"{name}[{i}] has {array.shape[1]} features per step, but {name}[0] has {n_features}: every sequence "
                "needs the same number of features."
            )
    if n_features == 0:
        raise ValueError(f"{name}[0] has shape {arrays[0].shape}, with 0 features per step: at least one is needed.")
    lengths = np.array([len(array) for array in arrays])
    if reader.may_stay_mapped and all(map(is_mapped, arrays)):
        stored_dtype = np.concatenate([array[:0] for array in arrays]).dtype
        return _map_sequences(arrays, lengths, form, stored_dtype, reader)
    rows = np.concatenate(arrays)
    if rows.dtype not in reader.dtypes:
        rows = _as_floats(arrays, reader)
    return Sequences(np.ascontiguousarray(rows), lengths, form, name)


def is_real_array(item: Any) -> bool:
    """Whether a sequence is an array of NumPy of real numbers."""
    return type(item) is np.ndarray and item.dtype.kind in "biuf"


def _as_2d(item: Any, name: str) -> np.ndarray:
    with naming_sequence(name):
        array = as_array(item, name)
        if array.dtype == object and array.ndim == 1 and not all(map(is_scalar, array[:1])):
            array = np.array(array.tolist())  # an array of the steps, each an array
    refuse_times(array, name)
    if array.ndim:
        refuse_text(array, name, labels_of(item) if array.ndim == 2 else None)
    if np.iscomplexobj(array):
        raise ValueError(f"Complex data not supported: {name} has dtype {array.dtype}.")
    if array.ndim == 1:
        return array.reshape(-1, 1)
    if array.ndim == 0:
        raise ValueError(f"{name} is {item!r}, but a sequence is an array (n_steps, n_features) or (n_steps,).")
    if array.ndim != 2:
        raise ValueError(f"{name} has {array.ndim} dimensions, but a sequence is (n_steps, n_features) or (n_steps,).")
    return array


def _as_floats(arrays: list[np.ndarray], reader: Reader) -> np.ndarray:
    """Convert arrays of other types. An error names the sequence that cannot be converted."""
    converted = []
    for i, array in enumerate(arrays):
        with naming_argument(f"{reader.name}[{i}]"):
            converted.append(array.astype(reader.dtypes[0]))
    return np.concatenate(converted)


# ---- Memory-mapped files -----------------------------------------------------------------------------


def _map_sequences(
    source: np.ndarray | list[np.ndarray], lengths: np.ndarray, form: str, stored_dtype: np.dtype, reader: Reader
) -> MappedSequences:
    """Return the sequences of a mapped 3-D array, or of a list of mapped 2-D arrays."""
    read_as = stored_dtype if stored_dtype in reader.dtypes else np.dtype(reader.dtypes[0])
    return MappedSequences(
        source=np.asarray(source) if form in ("rows", "array") else source,  # np.memmap makes slower views
        chosen=np.arange(len(source)),
        lengths=lengths,
        form=form,
        read_as=read_as,
        dtype=read_as,
        holds_floats=stored_dtype.kind == "f",
        name=reader.name,
    )


# ---- All forms ---------------------------------------------------------------------------------------


@contextmanager
def naming_argument(name: str) -> Iterator[None]:
    """Prefix conversion errors with the argument's name."""
    try:
        yield
    except OverflowError as error:  # an integer beyond all floats
        raise ValueError(f"{name} contains a number that is too large for float64: {error}") from error
    except (TypeError, ValueError) as error:
        if not str(error).startswith(("could not convert", "float() argument", "setting an array element")):
            raise
        raise type(error)(f"{name} is not numeric: {error}") from error


@contextmanager
def naming_sequence(place: str) -> Iterator[None]:
    """Prefix errors of NumPy about one sequence with its place."""
    try:
        yield
    except (TypeError, ValueError) as error:
        if str(error).startswith(place):
            raise
        raise type(error)(f"{place} is not an array of shape (n_steps, n_features): {error}") from error


def as_dtype(sequences: Any, owner: str, dtype: Any, columns: np.ndarray | None = None) -> Any:
    """Return sequences in a fitted estimator's dtype; refuse numbers (of some columns) that are too large for it."""
    if sequences.dtype == dtype:
        return sequences
    with np.errstate(over="ignore"):
        sequences = sequences.astype(dtype)
        check_finite(sequences, owner, ensure_all_finite=True, columns=columns)
    return sequences


def check_finite(
    sequences: Sequences | MappedSequences,
    owner: str,
    ensure_all_finite: bool | str,
    observe: Callable[[np.ndarray], None] | None = None,
    columns: np.ndarray | None = None,
    names: np.ndarray | None = None,
) -> None:
    """Refuse NaN and infinity in all columns, or in these; call ``observe`` with these columns of every chunk.

    ``names`` are those of all features of a step (or of the columns of a table, which are not used), for messages.
    """
    must_check = ensure_all_finite is not False and sequences.holds_floats
    if (not must_check and observe is None) or (columns is not None and len(columns) == 0):
        return
    for first_row, rows in sequences.chunks():
        checked = rows if columns is None or len(columns) == rows.shape[1] else rows[:, columns]
        if must_check:
            _check_finite_rows(sequences, owner, ensure_all_finite, first_row, rows, checked, columns, names)
        if observe is not None:
            observe(checked)


def _check_finite_rows(
    sequences: Sequences | MappedSequences,
    owner: str,
    ensure_all_finite: bool | str,
    first_row: int,
    rows: np.ndarray,
    checked: np.ndarray,
    columns: np.ndarray | None,
    names: np.ndarray | None,
) -> None:
    """Refuse NaN and infinity in the checked columns of a chunk. The error names the sequence and step of the first."""
    if has_finite_sum(checked):
        return
    is_bad = np.isinf(checked) if ensure_all_finite == "allow-nan" else ~np.isfinite(checked)
    if not is_bad.any():
        return
    row, place = np.argwhere(is_bad)[0]
    feature = place if columns is None else columns[place]
    feature = feature if names is None or sequences.form == "rows" else repr(str(names[feature]))
    sequence, step = sequences.place_of(first_row + row)
    value = "NaN" if np.isnan(checked[row, place]) else "infinity"
    first, _ = sequences.place_of(first_row)
    lengths = sequences.lengths[first : sequences.place_of(first_row + len(rows) - 1)[0] + 1]
    remedy = remedy_for_nan(rows, lengths, sequences.form, has_categories=checked.shape[1] < rows.shape[1])
    raise ValueError(
        f"{sequences.name} contains {value} in sequence {sequence}, step {step}, feature {feature}: {owner} does "
        f"not accept {value}. {remedy}"
    )
