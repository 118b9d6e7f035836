"""Every accepted form of X, turned into one: the steps of all sequences, one after the other."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from mmap import mmap
from typing import Any

import numpy as np
import scipy.sparse as sp
from sklearn.utils.validation import check_array, validate_data

FLOATS = [np.float64, np.float32]

# Values of a memory-mapped file that are checked together: 2 MB in float64. (At least those of one sequence.)
CHECKED_AT_ONCE = 2**18


class BaseSequences:
    """Where each sequence's steps stand among the rows; what the rows are, the two kinds below know."""

    lengths: np.ndarray
    form: str

    def __len__(self):
        return len(self.lengths)

    @cached_property
    def n_rows(self):
        """Steps of all sequences."""
        return int(self.lengths.sum())

    @cached_property
    def starts(self):
        """(n_sequences,) the row of each sequence's first step."""
        return np.concatenate([[0], np.cumsum(self.lengths)[:-1]])

    @cached_property
    def common_length(self):
        """Steps of every sequence; None where they differ."""
        length = int(self.lengths[0]) if len(self) else 0
        return length if (self.lengths == length).all() else None

    def take_sequences(self, values, indices):
        """Take from values of every row, (n_rows, ...), those of the sequences at ``indices``, one after the other."""
        if self.common_length is not None:
            by_sequence = values.reshape(len(self), self.common_length, *values.shape[1:])
            return by_sequence[indices].reshape(-1, *values.shape[1:])
        lengths = self.lengths[indices]
        first = np.repeat(self.starts[indices], lengths)
        within = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        return values[first + within]

    def take_steps(self, values, order, packing):
        """Take from values of every row, (n_rows, ...), those of the sequences at ``order``, as a packing has them."""
        n_steps = self.common_length
        if n_steps is not None:
            by_sequence = values.reshape(len(self), n_steps, *values.shape[1:])
            return by_sequence.swapaxes(0, 1)[:, order].reshape(packing.n_rows, *values.shape[1:])
        # Row (t, i) of the batch is step t of the i-th sequence.
        return values[self.starts[order][packing.sequence_of_row] + packing.step_of_row]

    def split(self, values):
        """Give values of every row, (n_rows, ...), back in the form of X.

        Returns
        -------
        ndarray of shape (n_sequences, n_steps, ...) for 2-D and 3-D X, else a list (or object array) with
        an array (n_steps_i, ...) for each sequence
        """
        if self.form in ("rows", "array"):
            return values.reshape(len(self), -1, *values.shape[1:])
        parts = np.split(values, self.starts[1:])
        return parts if self.form == "list" else _object_array(parts)


@dataclass
class Sequences(BaseSequences):
    """The steps of all sequences as the rows of one array, sequence after sequence.

    Attributes
    ----------
    rows : ndarray of shape (n_rows, n_features), float32 or float64
    lengths : ndarray of shape (n_sequences,), int
        Steps per sequence.
    form : {"rows", "array", "list", "object"}
        What X was: 2-D, 3-D, a list or tuple, or an object array.
    """

    rows: np.ndarray
    lengths: np.ndarray
    form: str

    @property
    def dtype(self):
        """Dtype of the rows."""
        return self.rows.dtype

    @property
    def holds_floats(self):
        """Whether NaN and infinity are possible."""
        return self.dtype.kind == "f"

    @property
    def n_features(self):
        """Features of every row."""
        return self.rows.shape[1]

    def chunks(self):
        """Yield (first row, rows) for all rows in their order: here at once."""
        yield 0, self.rows

    def packed_rows(self, order, packing):
        """Rows of the sequences at ``order``, as a packing of them has them."""
        return self.take_steps(self.rows, order, packing)

    def load(self, indices):
        """Return the sequences at ``indices``, in that order: they are in memory already."""
        return self.subset(indices)

    def subset(self, indices):
        """Return the sequences at ``indices``, in that order."""
        return Sequences(self.take_sequences(self.rows, indices), self.lengths[indices], self.form)

    def astype(self, dtype):
        """Return the sequences in another dtype."""
        return replace(self, rows=self.rows.astype(dtype))

    def patched(self, patch_size):
        """Join ``patch_size`` steps to one; a first patch that is short begins with zeros."""
        if patch_size == 1:
            return self
        n_patches = -(-self.lengths // patch_size)
        n_missing = n_patches * patch_size - self.lengths
        padded = np.zeros((n_patches.sum() * patch_size, self.n_features), self.dtype)
        # Each sequence moves on by the zeros in front of it and of those before it.
        padded[np.arange(self.n_rows) + np.repeat(np.cumsum(n_missing), self.lengths)] = self.rows
        return replace(self, rows=padded.reshape(-1, patch_size * self.n_features), lengths=n_patches)


@dataclass
class MappedSequences(BaseSequences):
    """Sequences that stay in a memory-mapped file: those of a batch are read, converted and patched at a time.

    Attributes
    ----------
    source : ndarray of shape (n_in_source, n_steps, n_features), or list of ndarray of shape (n_steps_i, n_features)
        Views of the file, of any dtype of real numbers and any strides.
    chosen : ndarray of shape (n_sequences,), int
        Which of the source's sequences these are.
    lengths : ndarray of shape (n_sequences,), int
        Steps per sequence, after patching.
    form : {"rows", "array", "list", "object"}
    read_as, dtype : dtype
        float32 or float64: what numbers in the file become, and what these become then. As in memory it is done in
        two steps: rounding int64 to float64 and then to float32 is not rounding it to float32.
    holds_floats : bool
        Whether NaN and infinity are possible: not among integers.
    patch_size : int
        Steps of the source in a step.
    """

    source: np.ndarray | list[np.ndarray]
    chosen: np.ndarray
    lengths: np.ndarray
    form: str
    read_as: np.dtype
    dtype: np.dtype
    holds_floats: bool
    patch_size: int = 1

    @property
    def n_features(self):
        """Features of every row."""
        return self.source[0].shape[1] * self.patch_size

    def load(self, indices):
        """Read the sequences at ``indices``, in that order.

        Returns
        -------
        Sequences
        """
        parts = [self.source[i] for i in self.chosen[indices]]
        lengths = np.array([len(part) for part in parts])
        rows = np.empty((lengths.sum(), parts[0].shape[1]), self.read_as)  # in C order, whatever that of the parts is
        np.concatenate(parts, out=rows, casting="unsafe")
        return Sequences(rows.astype(self.dtype, copy=False), lengths, self.form).patched(self.patch_size)

    def chunks(self):
        """Yield (first row, rows) for all rows in their order, some sequences at a time."""
        n_at_once = max(1, CHECKED_AT_ONCE // int(self.lengths.max() * self.n_features))
        for first in range(0, len(self), n_at_once):
            yield self.starts[first], self.load(slice(first, first + n_at_once)).rows

    def packed_rows(self, order, packing):
        """Rows of the sequences at ``order``, as a packing of them has them."""
        return self.load(order).packed_rows(slice(None), packing)  # all of them: no copy but the packed one

    def subset(self, indices):
        """Return the sequences at ``indices``, in that order; nothing is read."""
        return replace(self, chosen=self.chosen[indices], lengths=self.lengths[indices])

    def astype(self, dtype):
        """Return the sequences to be read in another dtype."""
        return replace(self, dtype=dtype)

    def patched(self, patch_size):
        """Join ``patch_size`` steps to one, as :meth:`Sequences.patched`, whenever sequences are read."""
        return replace(self, lengths=-(-self.lengths // patch_size), patch_size=patch_size)


def _object_array(parts):
    array = np.empty(len(parts), dtype=object)
    array[:] = parts
    return array


@contextmanager
def unchanged_on_error(estimator):
    """Give an estimator its attributes back where what is inside raises."""
    before = vars(estimator).copy()
    try:
        yield
    except BaseException:
        vars(estimator).clear()
        vars(estimator).update(before)
        raise


def check_sequences(
    estimator, X, *, reset, step_features=1, dtype=FLOATS, ensure_all_finite=True, may_stay_mapped=False
):
    """Check X in any of its forms.

    Parameters
    ----------
    estimator : estimator
        Named in errors; ``n_features_in_`` and ``feature_names_in_`` are set or compared, as is the form.
    X : array-like of shape (n_sequences, n_columns) or (n_sequences, n_steps, n_features), or a list, tuple \
            or object array of n_sequences array-likes of shape (n_steps_i, n_features) or (n_steps_i,)
    reset : bool
        Whether the estimator is being fitted anew.
    step_features : int, default=1
        Features per step of 2-D X, whose columns are a sequence's steps, one after the other.
    dtype : list of dtype
        The first is what other dtypes become.
    ensure_all_finite : bool or "allow-nan"
    may_stay_mapped : bool
        Whether an array in a memory-mapped file (or a list of such arrays) stays there. It is checked, a part at
        a time, all the same.

    Returns
    -------
    Sequences, or MappedSequences

    Raises
    ------
    ValueError, TypeError
        Beginning with what is wrong in X and where.
    """
    fitted_on_rows = None if reset else getattr(estimator, "_fitted_on_rows", None)
    form = _form_of(X, fitted_on_rows)
    if fitted_on_rows is not None and fitted_on_rows != (form == "rows"):
        _raise_other_form(estimator, X, form)
    if form == "rows":
        sequences = _check_rows(estimator, X, reset, step_features, dtype, may_stay_mapped)
    else:
        if form == "array":
            sequences = _check_array_3d(estimator, X, dtype, may_stay_mapped)
        else:
            sequences = _check_ragged(X, form, dtype, may_stay_mapped)
        _check_n_features(estimator, sequences.n_features, reset)
    if reset:
        estimator._fitted_on_rows = form == "rows"
    _check_finite(sequences, estimator, ensure_all_finite)
    return sequences


def _form_of(X, fitted_on_rows):
    """Tell the forms apart: "rows", "array", "list" or "object"; what is none of them counts as "rows"."""
    if isinstance(X, (list, tuple)):
        if len(X) == 0:
            raise ValueError(f"X is an empty {type(X).__name__}: at least one sequence is needed.")
        if all(map(_is_scalar, X)):
            return "rows"
        return "rows" if _is_table(X) and fitted_on_rows is not False else "list"
    if isinstance(X, np.ndarray) and X.dtype == object and X.ndim == 1 and not all(map(_is_scalar, X)):
        return "object"
    n_dimensions = _n_dimensions(X)
    if n_dimensions > 3:
        raise ValueError(
            f"X has {n_dimensions} dimensions, but sequences are (n_sequences, n_steps, n_features) at the most."
        )
    return "array" if n_dimensions == 3 else "rows"


def _is_table(X):
    """Whether X is nested lists of numbers of one length, which are 2-D data to scikit-learn."""
    return all(
        isinstance(item, (list, tuple)) and 0 < len(item) == len(X[0]) and all(map(_is_scalar, item)) for item in X
    )


def _is_scalar(item):
    return not isinstance(item, (list, tuple)) and _n_dimensions(item) == 0


def _n_dimensions(item):
    return len(item.shape) if hasattr(item, "shape") else np.asarray(item).ndim


def _raise_other_form(estimator, X, form):
    name = type(estimator).__name__
    n = estimator.n_features_in_
    if form == "rows":
        raise ValueError(
            f"X is 2-D, but this {name} was fitted on sequences with {n} features per step: pass an array "
            f"(n_sequences, n_steps, {n}) or a list of arrays (n_steps_i, {n})."
        )
    raise ValueError(
        f"X is a {'3-D array' if form == 'array' else 'list of sequences'}, but this {name} was fitted on 2-D X "
        f"with {n} columns: pass the same columns."
    )


def _check_rows(estimator, X, reset, step_features, dtype, may_stay_mapped):
    """Check 2-D X: each row is a sequence of n_columns / step_features steps."""
    stays_mapped = may_stay_mapped and _is_mapped(X)
    # check_array would copy, and finds nothing wrong with an array of numbers.
    how = {"skip_check_array": True} if stays_mapped else {"dtype": dtype, "order": "C", "ensure_all_finite": False}
    with naming("X"):
        X = validate_data(estimator, X, reset=reset, **how)
    n_sequences, n_columns = X.shape
    if n_columns % step_features:
        raise ValueError(
            f"step_features={step_features} does not divide the {n_columns} columns of X: every row is a "
            "sequence of steps with step_features columns each."
        )
    n_steps = n_columns // step_features
    lengths = np.full(n_sequences, n_steps)
    if stays_mapped:
        return _map_sequences(X.reshape(n_sequences, n_steps, step_features), lengths, "rows", X.dtype, dtype)
    return Sequences(X.reshape(-1, step_features), lengths, "rows")


def _check_array_3d(estimator, X, dtype, may_stay_mapped):
    if may_stay_mapped and _is_mapped(X):
        return _map_sequences(X, np.full(len(X), X.shape[1]), "array", X.dtype, dtype)
    is_as_wanted = type(X) is np.ndarray and X.dtype in (dtype or []) and X.flags.c_contiguous and X.size > 0
    if not is_as_wanted:  # check_array takes longer than to predict a sequence
        with naming("X"):
            X = check_array(X, dtype=dtype, order="C", allow_nd=True, ensure_all_finite=False, estimator=estimator)
    n_sequences, n_steps, n_features = X.shape
    for axis, size in (("steps", n_steps), ("features", n_features)):
        if size == 0:
            raise ValueError(
                f"X has shape {X.shape}, which is 0 {axis}: its axes are (n_sequences, n_steps, n_features)."
            )
    return Sequences(X.reshape(-1, n_features), np.full(n_sequences, n_steps), "array")


def _check_ragged(X, form, dtype, may_stay_mapped):
    """Check a list of (n_steps_i, n_features) or (n_steps_i,) arrays."""
    arrays = [_as_2d(item, f"X[{i}]") for i, item in enumerate(X)]
    n_features = arrays[0].shape[1]
    for i, array in enumerate(arrays):
        if len(array) == 0:
            raise ValueError(f"X[{i}] has no steps: every sequence needs at least one.")
        if array.shape[1] != n_features:
            raise ValueError(
                f"X[{i}] has {array.shape[1]} features per step, but X[0] has {n_features}: every sequence needs "
                "the same number of features."
            )
    if n_features == 0:
        raise ValueError(f"X[0] has shape {arrays[0].shape}, which is 0 features per step: at least one is needed.")
    lengths = np.array([len(array) for array in arrays])
    if may_stay_mapped and all(map(_is_mapped, arrays)):
        stored_dtype = np.concatenate([array[:0] for array in arrays]).dtype
        return _map_sequences(arrays, lengths, form, stored_dtype, dtype)
    rows = np.concatenate(arrays)
    if rows.dtype not in [np.dtype(d) for d in dtype]:
        rows = _as_floats(arrays, dtype[0])
    return Sequences(np.ascontiguousarray(rows), lengths, form)


def _is_mapped(X):
    """Whether X is an array of at least one real number in a memory-mapped file: numpy.memmap, or a view of one."""
    if not isinstance(X, np.ndarray) or X.size == 0 or X.dtype.kind not in "biuf":
        return False
    owner: Any = X
    while isinstance(owner, np.ndarray):
        owner = owner.base
    return isinstance(owner.obj if isinstance(owner, memoryview) else owner, mmap)


def _map_sequences(source, lengths, form, stored_dtype, dtype):
    """Return the sequences of a mapped 3-D array, or of a list of mapped 2-D arrays, to be read in a wanted dtype."""
    read_as = stored_dtype if stored_dtype in dtype else np.dtype(dtype[0])
    return MappedSequences(
        source=np.asarray(source) if form in ("rows", "array") else source,  # np.memmap makes slower views
        chosen=np.arange(len(source)),
        lengths=lengths,
        form=form,
        read_as=read_as,
        dtype=read_as,
        holds_floats=stored_dtype.kind == "f",
    )


def _as_2d(item, name):
    if sp.issparse(item):
        raise TypeError(f"{name} is sparse, but dense data is required. Use '.toarray()' on every sequence.")
    try:
        array = np.asarray(item)
    except ValueError as error:
        raise ValueError(f"{name} is not an array of shape (n_steps, n_features): {error}") from error
    if np.iscomplexobj(array):
        raise ValueError(f"Complex data not supported: {name} has dtype {array.dtype}.")
    if array.ndim == 1:
        return array.reshape(-1, 1)
    if array.ndim == 0:
        raise ValueError(f"{name} is {item!r}, but a sequence is an array (n_steps, n_features) or (n_steps,).")
    if array.ndim != 2:
        raise ValueError(f"{name} has {array.ndim} dimensions, but a sequence is (n_steps, n_features) or (n_steps,).")
    return array


def _as_floats(arrays, dtype):
    """Convert what is not of a wanted dtype, naming the sequence that cannot be."""
    converted = []
    for i, array in enumerate(arrays):
        with naming(f"X[{i}]"):
            converted.append(array.astype(dtype))
    return np.concatenate(converted)


@contextmanager
def naming(name):
    """Let NumPy's errors about what is no number begin with what it is in."""
    try:
        yield
    except (TypeError, ValueError) as error:
        if not str(error).startswith(("could not convert", "float() argument", "setting an array element")):
            raise
        raise type(error)(f"{name} is not numeric: {error}") from error


def _check_n_features(estimator, n_features, reset):
    if reset:
        estimator.n_features_in_ = n_features
        vars(estimator).pop("feature_names_in_", None)  # of an earlier fit on a data frame
    elif n_features != estimator.n_features_in_:
        raise ValueError(
            f"X has {n_features} features per step, but {type(estimator).__name__} is expecting "
            f"{estimator.n_features_in_} features per step as input."
        )


def as_dtype(sequences, estimator, dtype):
    """Return the sequences in a fitted estimator's dtype; refuse what is too large for it."""
    if sequences.dtype == dtype:
        return sequences
    with np.errstate(over="ignore"):
        sequences = sequences.astype(dtype)
        _check_finite(sequences, estimator, ensure_all_finite=True)
    return sequences


def _check_finite(sequences, estimator, ensure_all_finite):
    """Refuse NaN and infinity, naming the first one's sequence and step."""
    if ensure_all_finite is False or not sequences.holds_floats:
        return
    for first_row, rows in sequences.chunks():
        # The sum of all is finite unless something is not, or it overflows: then look closely.
        with np.errstate(over="ignore", invalid="ignore"):
            if np.isfinite(np.sum(rows)):
                continue
        is_bad = np.isinf(rows) if ensure_all_finite == "allow-nan" else ~np.isfinite(rows)
        if not is_bad.any():
            continue
        row, feature = np.argwhere(is_bad)[0]
        sequence = np.searchsorted(sequences.starts, first_row + row, side="right") - 1
        step = first_row + row - sequences.starts[sequence]
        what = "NaN" if np.isnan(rows[row, feature]) else "infinity"
        raise ValueError(
            f"X contains {what} in sequence {sequence}, step {step}, feature {feature}: {type(estimator).__name__} "
            f"does not accept {what}. Impute it, for instance with TimeDistributed(SimpleImputer()), or leave the "
            "sequence out."
        )
