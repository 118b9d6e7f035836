"""ToSequences: arrays and tables in the layouts of other libraries, as sequences."""

from __future__ import annotations

import os
from numbers import Integral, Real
from typing import TYPE_CHECKING

import numpy as np
from sklearn.base import TransformerMixin, _fit_context
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted, validate_data

from sklearn_rnn._data.containers import unpack
from sklearn_rnn._data.containers.libraries import from_library, is_of_class
from sklearn_rnn._data.reading import FLOATS, check_sequences, form_of
from sklearn_rnn._data.sequences import Sequences
from sklearn_rnn._utils.atomic import draft_of
from sklearn_rnn._utils.estimators import SequenceEstimator
from sklearn_rnn.preprocessing._mapped_data import in_parts

TABLES = ("by_step", "by_feature")
ARRAYS = ("case_channel_time", "case_time_channel")


class ToSequences(TransformerMixin, SequenceEstimator):
    """Turn arrays and tables in the layouts of other libraries into sequences.

    The estimators read axes as sequence, time, feature, and rows step after step. Other libraries have the channels
    before the time, or the columns of a table feature after feature, or the newest step first, or padding at the end
    of short sequences. Most of these arrays have a valid shape, so that no check would notice the mistake.

    Parameters
    ----------
    layout : {"case_channel_time", "case_time_channel", "by_step", "by_feature"}
        The axes of 3-D X (and of the arrays in a list), or the columns of 2-D X:

        - "case_channel_time": (n_sequences, n_features, n_steps). A list has arrays (n_features, n_steps_i);
        - "case_time_channel": (n_sequences, n_steps, n_features), the order of the estimators; to remove padding;
        - "by_step": a row has all features of step 0, then those of step 1, and so on: the order of the estimators;
        - "by_feature": a row has all steps of feature 0, then those of feature 1, and so on.
    padding : float, default=None
        Value that fills the end of short sequences, such as ``numpy.nan`` or 0. Steps at the end whose features all
        have this value are removed. So a 0 that is no padding is lost where it stands at the end: pass ``lengths``
        to ``transform`` if you have them. None: there is no padding.
    step_features : int, default=1
        Number of features per step, for tables only.
    exogenous : int or list of str or int, default=0
        Columns of a table that belong to the whole row, such as the calendar of the day to predict: a number of
        columns at the end, or a list of names (for data frames) or places. They become features of every step, after
        the others.
    newest_first : bool, default=False
        Whether X has the newest step first, as tables of lags have. The sequences have the oldest first.
    temp_folder : str, path-like or None, default=None
        Folder for the results of arrays in a memory-mapped file. It needs room for them. None: the folder of
        :func:`tempfile.gettempdir`, which the environment variable ``TMPDIR`` sets.

    Attributes
    ----------
    n_steps_ : int
        Steps of the longest sequence in ``fit``, with its padding.
    n_features_in_ : int
        Number of columns of tables; number of features per step otherwise.
    feature_names_in_ : ndarray of shape (`n_features_in_`,), object
        Column names, if X was a data frame whose column names are all strings.

    See Also
    --------
    sequences_from_frame : Sequences from a long table, with a row for each step.
    sliding_windows : Windows of long series.

    Notes
    -----
    ``padding`` and ``lengths`` count from the end of the steps as they stand in X. So of a table with the newest step
    first, they remove the oldest steps.

    A 3-D array in a memory-mapped file (numpy.memmap or a view of one), or a list of such arrays, is read some
    sequences at a time. The result is in a temporary file in ``temp_folder``, which disappears with it. Tables are read
    into memory. To change nothing but the order of the axes of a file, pass ``X.swapaxes(1, 2)`` to the estimators.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_rnn.preprocessing import ToSequences
    >>> cases = np.array([[[1, 2, 3], [10, 20, 30]], [[4, 5, np.nan], [40, 50, np.nan]]])
    >>> to_sequences = ToSequences("case_channel_time", padding=np.nan)
    >>> to_sequences.fit_transform(cases)
    [array([[ 1., 10.],
           [ 2., 20.],
           [ 3., 30.]]), array([[ 4., 40.],
           [ 5., 50.]])]
    >>> lags = np.array(
    ...     [[3.0, 2.0, 1.0, 6.0]]
    ... )  # the last three values, newest first, and a day of the week
    >>> ToSequences("by_step", newest_first=True, exogenous=1).fit_transform(lags)
    array([[[1., 6.],
            [2., 6.],
            [3., 6.]]])
    """

    if TYPE_CHECKING:  # Sphinx would look for its documentation in the public module
        n_features_in_: int

    _parameter_constraints: dict = {
        "layout": [StrOptions({*TABLES, *ARRAYS})],
        "padding": [Real, None],
        "step_features": [Interval(Integral, 1, None, closed="left")],
        "exogenous": [Interval(Integral, 0, None, closed="left"), list],
        "newest_first": ["boolean"],
        "temp_folder": [str, os.PathLike, None],
    }

    def __init__(self, layout, *, padding=None, step_features=1, exogenous=0, newest_first=False, temp_folder=None):
        self.layout = layout
        self.padding = padding
        self.step_features = step_features
        self.exogenous = exogenous
        self.newest_first = newest_first
        self.temp_folder = temp_folder

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = self.layout in TABLES
        tags.input_tags.three_d_array = self.layout in ARRAYS
        tags.input_tags.allow_nan = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y=None):
        """Learn the numbers of steps and features.

        Parameters
        ----------
        X : array-like of shape (n_sequences, n_columns) for tables, otherwise array-like of shape \
                (n_sequences, n_features, n_steps) or (n_sequences, n_steps, n_features), or list of n_sequences \
                arrays without the first axis
            The data, in the order of ``layout``. In a list, an array (n_steps_i,) has one feature. Containers of
            sequences of other libraries stand for lists, as for the estimators.
        y : None
            Ignored.

        Returns
        -------
        self : object
            The fitted transformer.

        Raises
        ------
        ValueError, TypeError
            For bad input. The transformer does not change.

        Examples
        --------
        >>> import numpy as np
        >>> from sklearn_rnn.preprocessing import ToSequences
        >>> cases = np.array([[[1.0, 2.0, 3.0], [10.0, 20.0, 30.0]]])
        >>> to_sequences = ToSequences("case_channel_time")
        >>> to_sequences = to_sequences.fit(cases)
        >>> to_sequences.n_features_in_, to_sequences.n_steps_
        (2, 3)
        """
        with draft_of(self) as draft:
            cases, _ = draft._read(X, reset=True)
            draft.n_steps_ = int(cases.lengths.max())
        return self

    def fit_transform(self, X, y=None, *, lengths=None):
        """Fit to X, and turn it into sequences.

        Parameters
        ----------
        X : array-like or list
            The data, as for ``fit``.
        y : None
            Ignored.
        lengths : array-like of shape (n_sequences,), int, default=None
            As for ``transform``.

        Returns
        -------
        ndarray or list
            As ``transform`` returns.

        Raises
        ------
        ValueError, TypeError
            For bad input. The transformer does not change.

        Examples
        --------
        >>> import numpy as np
        >>> from sklearn_rnn.preprocessing import ToSequences
        >>> cases = np.array([[[1.0, 2.0, 3.0], [10.0, 20.0, 30.0]]])
        >>> to_sequences = ToSequences("case_channel_time")
        >>> to_sequences.fit_transform(cases)
        array([[[ 1., 10.],
                [ 2., 20.],
                [ 3., 30.]]])
        """
        with draft_of(self) as draft:
            sequences = draft.fit(X, y).transform(X, lengths=lengths)
        return sequences

    def transform(self, X, *, lengths=None):
        """Turn X into sequences.

        Parameters
        ----------
        X : array-like or list
            The data, as for ``fit``. Tables have the same columns as in ``fit``.
        lengths : array-like of shape (n_sequences,), int, default=None
            Number of steps of each sequence; the others are padding, whatever their value. None: ``padding`` tells.

        Returns
        -------
        ndarray of shape (n_sequences, n_steps, n_features_out), or list of n_sequences ndarrays of shape \
                (n_steps_i, n_features_out)
            The sequences. They are an array if X is an array or table without padding and ``lengths``.

        Raises
        ------
        ValueError, TypeError
            For bad input; if nothing but padding is left of a sequence.

        Examples
        --------
        >>> import numpy as np
        >>> from sklearn_rnn.preprocessing import ToSequences
        >>> cases = np.array([[[1.0, 2.0, 3.0], [10.0, 20.0, 30.0]]])
        >>> to_sequences = ToSequences("case_channel_time")
        >>> to_sequences.fit(cases).transform(cases, lengths=[2])
        [array([[ 1., 10.],
               [ 2., 20.]])]
        """
        check_is_fitted(self, "n_steps_")
        cases, exogenous = self._read(X, reset=False)
        kept = cases.lengths.copy() if lengths is None else _checked_lengths(lengths, cases)

        def without_padding(part, first):
            those = slice(first, first + len(part))
            if lengths is None and self.padding is not None:
                kept[those] = _lengths_without_padding(part, self.padding, first)
            return self._values(part, exogenous[those], kept[those])

        values = in_parts(without_padding, cases, self.temp_folder)
        may_be_ragged = lengths is not None or self.padding is not None
        return Sequences(values, kept, "list" if may_be_ragged else cases.form).split(values)

    def inverse_transform(self, X):
        """Turn sequences into the layout of ``fit``.

        Parameters
        ----------
        X : array-like of shape (n_sequences, n_steps, n_features_out), or list of arrays of shape \
                (n_steps_i, n_features_out)
            Sequences as ``transform`` returns them.

        Returns
        -------
        ndarray of shape (n_sequences, n_columns) for tables, otherwise ndarray of shape \
                (n_sequences, n_features, n_steps) or (n_sequences, n_steps, n_features), or list of arrays without \
                the first axis
            An array with ``padding`` up to ``n_steps_`` steps, or up to the longest sequence if this is longer (for
            tables an error). Without ``padding``, in the form of X.

        Raises
        ------
        ValueError, TypeError
            For bad input; for tables, if the number of steps is wrong, or if exogenous features differ between the
            steps of a sequence.

        Examples
        --------
        >>> import numpy as np
        >>> from sklearn_rnn.preprocessing import ToSequences
        >>> cases = np.array([[[1.0, 2.0, 3.0], [10.0, 20.0, 30.0]]])
        >>> to_sequences = ToSequences("case_channel_time")
        >>> sequences = to_sequences.fit_transform(cases)
        >>> np.array_equal(to_sequences.inverse_transform(sequences), cases)
        True
        """
        check_is_fitted(self, "n_steps_")
        if form_of(unpack(X, "X", False).X, None) == "rows":
            raise ValueError(
                "X is 2-D, but sequences are an array (n_sequences, n_steps, n_features) or a list of arrays: pass the "
                "output of transform."
            )
        other = type(self)(self.layout)  # takes the numbers of features that this check sets
        sequences = check_sequences(other, X, reset=True, ensure_all_finite="allow-nan")
        self._check_inverse(sequences)
        exogenous = self._exogenous_of(sequences)
        values = sequences.rows[:, : sequences.n_features - len(self._exogenous)]
        if self.newest_first:
            values = values[_backwards(sequences.lengths)]
        if self.layout in TABLES or self.padding is not None:
            cases = self._padded(values, sequences)
            return self._as_table(cases, exogenous) if self.layout in TABLES else self._as_array(cases)
        parts = sequences.split(values)
        return self._as_array(parts) if sequences.form == "array" else [self._as_array(part) for part in parts]

    # ---- Reading -------------------------------------------------------------------------------------

    def _read(self, X, *, reset):
        """Return the steps of all cases in the order of X, padding included, and the exogenous columns."""
        return self._read_table(X, reset=reset) if self.layout in TABLES else self._read_arrays(X, reset=reset)

    def _read_table(self, X, *, reset):
        X = from_library(X, "X") if isinstance(X, np.ma.MaskedArray) else X
        X = validate_data(self, X, reset=reset, dtype=list(FLOATS), ensure_all_finite="allow-nan")
        if reset:
            self._exogenous = self._places_of_exogenous()
        of_steps = np.delete(X, self._exogenous, axis=1)
        n_columns = of_steps.shape[1]
        if n_columns == 0 or n_columns % self.step_features:
            n_exogenous = len(self._exogenous)
            besides = f", besides {n_exogenous} exogenous ones" if n_exogenous else ""
            raise ValueError(
                f"step_features={self.step_features} does not divide the {n_columns} columns of X{besides}: every row "
                "is a sequence of at least one step, with step_features columns each."
            )
        n_steps = n_columns // self.step_features
        if self.layout == "by_feature":
            of_steps = of_steps.reshape(len(X), self.step_features, n_steps).swapaxes(1, 2)
        rows = np.ascontiguousarray(of_steps).reshape(-1, self.step_features)
        return Sequences(rows, np.full(len(X), n_steps), "array"), X[:, self._exogenous]

    def _places_of_exogenous(self):
        """Return the places of the exogenous columns of a table, an array of int."""
        n_columns = self.n_features_in_
        if isinstance(self.exogenous, Integral):
            return np.arange(n_columns)[max(0, n_columns - int(self.exogenous)) :]
        names = getattr(self, "feature_names_in_", np.empty(0, object)).tolist()
        places = []
        for column in self.exogenous:
            is_place = isinstance(column, Integral) and not isinstance(column, bool)
            if not (0 <= column < n_columns if is_place else column in names):
                known = f"the columns {names}" if names else f"{n_columns} columns without names"
                raise ValueError(
                    f"exogenous holds {column!r}, but X has {known}: name columns, or their places from 0."
                )
            places.append(int(column) if is_place else names.index(column))
        if len(set(places)) < len(places):
            raise ValueError(f"exogenous={self.exogenous!r} names a column twice.")
        return np.array(places, int)

    def _read_arrays(self, X, *, reset):
        if self.exogenous:
            raise ValueError(
                f"exogenous={self.exogenous!r} is for tables, but layout={self.layout!r} has three axes: leave it at "
                "0, and repeat such values at every step of X."
            )
        if reset:
            self._exogenous = np.empty(0, int)
        if self.layout == "case_channel_time" and is_of_class(X, "xarray.DataArray"):
            X = X.values  # the layout tells the axes, not the names of dims
        given = unpack(X, "X", None if reset else False).X
        if form_of(given, None) == "rows":
            raise ValueError(
                f"X is 2-D, but layout={self.layout!r} has three axes: use layout='by_step' or 'by_feature' for "
                "tables, or X[:, numpy.newaxis] for one channel in layout='case_channel_time'."
            )
        if self.layout == "case_channel_time":
            is_list = isinstance(given, (list, tuple)) or np.asarray(given).dtype == object
            cases = [_transposed(case, f"X[{i}]") for i, case in enumerate(given)] if is_list else None
            X = np.asarray(given).swapaxes(1, 2) if cases is None else cases
        cases = check_sequences(
            self,
            X,
            reset=reset,
            fitted_on_rows=None if reset else False,
            ensure_all_finite="allow-nan",
            may_stay_mapped=True,
        )
        return cases, np.empty((len(cases), 0), cases.dtype)

    def _values(self, cases, exogenous, lengths):
        """Return the first steps of each case, as many as ``lengths`` says, with the exogenous features."""
        chosen = np.flatnonzero(_step_of_row(cases) < np.repeat(lengths, cases.lengths))
        if self.newest_first:
            chosen = chosen[_backwards(lengths)]
        return np.hstack([cases.rows[chosen], np.repeat(exogenous, lengths, axis=0)])

    # ---- Writing -------------------------------------------------------------------------------------

    def _check_inverse(self, sequences):
        expected = self.n_features_in_ if self.layout in ARRAYS else self.step_features + len(self._exogenous)
        if sequences.n_features != expected:
            raise ValueError(
                f"X has {sequences.n_features} features per step, but {type(self).__name__} returns {expected}: pass "
                "the output of transform."
            )
        if self.layout not in TABLES:
            return
        is_wrong = sequences.lengths != self.n_steps_
        if self.padding is not None:
            is_wrong = sequences.lengths > self.n_steps_
        if is_wrong.any():
            i = np.flatnonzero(is_wrong)[0]
            remedy = (
                "set padding to a value for the missing steps" if sequences.lengths[i] < self.n_steps_ else "cut it"
            )
            raise ValueError(
                f"X[{i}] has {sequences.lengths[i]} steps, but the table of fit has columns for {self.n_steps_}: "
                f"{remedy}."
            )

    def _exogenous_of(self, sequences):
        """Return the exogenous columns of a table, (n_sequences, n_exogenous), whose values all steps share."""
        n_own = sequences.n_features - len(self._exogenous)
        of_steps = sequences.rows[:, n_own:]
        of_sequences = of_steps[sequences.starts]
        differs = of_steps != np.repeat(of_sequences, sequences.lengths, axis=0)
        differs &= ~np.isnan(of_steps)
        if differs.any():
            row, column = np.argwhere(differs)[0]
            i, step = sequences.place_of(row)
            raise ValueError(
                f"X[{i}] has another exogenous feature {n_own + column} at step {step} than at step 0: a table has one "
                "value for all steps of a row."
            )
        return of_sequences

    def _padded(self, values, sequences):
        """Return values of steps, (n_rows, n_features), with padding: (n_sequences, n_steps, n_features)."""
        n_steps = max(self.n_steps_, int(sequences.lengths.max()))
        fill = np.nan if self.padding is None else self.padding
        cases = np.full((len(sequences), n_steps, values.shape[1]), fill, values.dtype)
        cases[np.arange(n_steps) < sequences.lengths[:, np.newaxis]] = values
        return cases

    def _as_table(self, cases, exogenous):
        if self.layout == "by_feature":
            cases = cases.swapaxes(1, 2)
        table = np.empty((len(cases), self.n_features_in_), cases.dtype)
        table[:, np.delete(np.arange(self.n_features_in_), self._exogenous)] = cases.reshape(len(cases), -1)
        table[:, self._exogenous] = exogenous
        return table

    def _as_array(self, values):
        """Return values (..., n_steps, n_features) with the axes of the layout."""
        return values.swapaxes(-1, -2) if self.layout == "case_channel_time" else values


def _backwards(lengths):
    """Return the rows of sequences, one after the other, with the steps of each in reverse order."""
    starts = np.cumsum(lengths) - lengths
    return np.repeat(2 * starts + lengths - 1, lengths) - np.arange(lengths.sum())


def _transposed(case, name):
    """Return an array (n_features, n_steps) as (n_steps, n_features); any other one as it is, for the check."""
    array = np.asarray(from_library(case, name))
    return array.T if array.ndim == 2 else array


def _step_of_row(cases):
    """Return the step of each row of sequences, (n_rows,)."""
    return np.arange(cases.n_rows) - np.repeat(cases.starts, cases.lengths)


def _lengths_without_padding(cases, padding, first):
    """Return the number of steps of each case before its padding, (n_cases,); ``first`` is the first case's place."""
    is_padding = np.isnan(cases.rows) if np.isnan(padding) else cases.rows == padding
    last = np.maximum.reduceat(np.where(is_padding.all(axis=1), 0, _step_of_row(cases) + 1), cases.starts)
    if not last.all():
        i = np.flatnonzero(last == 0)[0]
        raise ValueError(
            f"X[{first + i}] has nothing but padding, {padding!r}: every sequence needs at least one step. Leave it "
            "out."
        )
    return last


def _checked_lengths(lengths, cases):
    """Return lengths as an array (n_cases,) of int."""
    numbers = np.asarray(lengths)
    if numbers.shape != (len(cases),) or numbers.dtype.kind not in "iu":
        raise ValueError(
            f"lengths is of shape {numbers.shape} and dtype {numbers.dtype}, but X has {len(cases)} sequences: pass "
            "one int for each, its number of steps."
        )
    is_wrong = (numbers < 1) | (numbers > cases.lengths)
    if is_wrong.any():
        i = np.flatnonzero(is_wrong)[0]
        raise ValueError(
            f"lengths[{i}] is {numbers[i]}, but it must be from 1 to {cases.lengths[i]}, the steps of X[{i}]."
        )
    return numbers
