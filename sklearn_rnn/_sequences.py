"""Every accepted form of X, turned into one: the steps of all sequences, one after the other."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import scipy.sparse as sp
from sklearn.utils.validation import check_array, validate_data

FLOATS = [np.float64, np.float32]


@dataclass
class Sequences:
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

    def __len__(self):
        return len(self.lengths)

    @cached_property
    def starts(self):
        """(n_sequences,) the row of each sequence's first step."""
        return np.concatenate([[0], np.cumsum(self.lengths)[:-1]])

    @cached_property
    def common_length(self):
        """Steps of every sequence; None where they differ."""
        length = int(self.lengths[0]) if len(self) else 0
        return length if (self.lengths == length).all() else None

    def rows_of(self, indices):
        """Rows of the sequences at ``indices``, in that order."""
        lengths = self.lengths[indices]
        first = np.repeat(self.starts[indices], lengths)
        within = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        return first + within

    def subset(self, indices):
        """Return the sequences at ``indices``, in that order."""
        return Sequences(self.rows[self.rows_of(indices)], self.lengths[indices], self.form)

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

    def patched(self, patch_size):
        """Join ``patch_size`` steps to one; a first patch that is short begins with zeros."""
        if patch_size == 1:
            return self
        n_patches = -(-self.lengths // patch_size)
        n_missing = n_patches * patch_size - self.lengths
        n_features = self.rows.shape[1]
        padded = np.zeros((n_patches.sum() * patch_size, n_features), self.rows.dtype)
        # Each sequence moves on by the zeros in front of it and of those before it.
        padded[np.arange(len(self.rows)) + np.repeat(np.cumsum(n_missing), self.lengths)] = self.rows
        return replace(self, rows=padded.reshape(-1, patch_size * n_features), lengths=n_patches)


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


def check_sequences(estimator, X, *, reset, step_features=1, dtype=FLOATS, ensure_all_finite=True):
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

    Returns
    -------
    Sequences

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
        sequences = _check_rows(estimator, X, reset, step_features, dtype)
    else:
        sequences = _check_array_3d(estimator, X, dtype) if form == "array" else _check_ragged(X, form, dtype)
        _check_n_features(estimator, sequences.rows.shape[1], reset)
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


def _check_rows(estimator, X, reset, step_features, dtype):
    """Check 2-D X: each row is a sequence of n_columns / step_features steps."""
    with naming("X"):
        X = validate_data(estimator, X, reset=reset, dtype=dtype, order="C", ensure_all_finite=False)
    n_sequences, n_columns = X.shape
    if n_columns % step_features:
        raise ValueError(
            f"step_features={step_features} does not divide the {n_columns} columns of X: every row is a "
            "sequence of steps with step_features columns each."
        )
    n_steps = n_columns // step_features
    return Sequences(X.reshape(-1, step_features), np.full(n_sequences, n_steps), "rows")


def _check_array_3d(estimator, X, dtype):
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


def _check_ragged(X, form, dtype):
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
    rows = np.concatenate(arrays)
    if rows.dtype not in [np.dtype(d) for d in dtype]:
        rows = _as_floats(arrays, dtype[0])
    return Sequences(np.ascontiguousarray(rows), np.array([len(a) for a in arrays]), form)


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
    if sequences.rows.dtype == dtype:
        return sequences
    with np.errstate(over="ignore"):
        sequences = replace(sequences, rows=sequences.rows.astype(dtype))
    _check_finite(sequences, estimator, ensure_all_finite=True)
    return sequences


def _check_finite(sequences, estimator, ensure_all_finite):
    """Refuse NaN and infinity, naming the first one's sequence and step."""
    if ensure_all_finite is False or sequences.rows.dtype.kind != "f":
        return
    rows = sequences.rows
    # The sum of all is finite unless something is not, or it overflows: then look closely.
    with np.errstate(over="ignore", invalid="ignore"):
        if np.isfinite(np.sum(rows)):
            return
    is_bad = np.isinf(rows) if ensure_all_finite == "allow-nan" else ~np.isfinite(rows)
    if not is_bad.any():
        return
    row, feature = np.argwhere(is_bad)[0]
    sequence = np.searchsorted(sequences.starts, row, side="right") - 1
    step = row - sequences.starts[sequence]
    what = "NaN" if np.isnan(rows[row, feature]) else "infinity"
    raise ValueError(
        f"X contains {what} in sequence {sequence}, step {step}, feature {feature}: {type(estimator).__name__} does "
        f"not accept {what}. Impute it, for instance with TimeDistributed(SimpleImputer()), or leave the sequence out."
    )
