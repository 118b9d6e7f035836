"""ForwardFill: gaps in sequences, filled with the last value before them."""

from __future__ import annotations

import os
from numbers import Integral
from typing import TYPE_CHECKING

import numpy as np
from sklearn.base import _fit_context
from sklearn.utils._param_validation import Interval
from sklearn.utils.validation import _check_feature_names_in, check_is_fitted

from sklearn_rnn._data.containers import by_instance, has_sequences, unpack
from sklearn_rnn._data.containers.libraries import is_of_class
from sklearn_rnn._data.names import as_names, compare_names, record_names
from sklearn_rnn._data.reading import check_sequences
from sklearn_rnn._utils.atomic import draft_of
from sklearn_rnn._utils.estimators import SequenceEstimator
from sklearn_rnn._utils.plain import check_names, refuse_unless
from sklearn_rnn._utils.warnings import warn_user
from sklearn_rnn.preprocessing._continued_fill import ContinuedFill
from sklearn_rnn.preprocessing._gaps import ArraySource, FrameSteps, Gaps
from sklearn_rnn.preprocessing._set_output import (
    SequenceTransformerMixin,
    as_fitted_on_sequences,
    in_container,
    refuse_container,
)
from sklearn_rnn.preprocessing._tables import as_table, column_names, is_frame, split


class ForwardFill(SequenceTransformerMixin, SequenceEstimator):
    """Fill the gaps in each sequence with the last value before them.

    A gap is a missing value: NaN or, in data frames, also None and NA. Values never cross from one sequence into the
    next, and never come from later steps. A gap at the start of a sequence has no value before it. It stays: fill it
    with ``TimeDistributed(SimpleImputer())``, the next step of the pipeline.

    Parameters
    ----------
    add_indicator : bool, default=False
        Whether to add a feature for each feature that has gaps in ``fit``: 1 in gaps, 0 elsewhere.
    add_elapsed : bool, default=False
        Whether to add a feature for each feature that has gaps in ``fit``: the steps since its last value, or the
        time since it if there is a column ``time``. It is 0 where the value is known. Before the first value it
        counts from the first step.
    time : str or int, default=None
        Feature that holds the time of each step: a name for lists of data frames, a place among the features of a
        step for any other X. Times must be known, and must not decrease within a sequence. They are numbers of any
        unit or, in data frames, date-times and durations. These become seconds, date-times those since the first step
        of the sequence. This feature is not filled. None: the steps count.
    step_features : int, default=1
        Number of features per step, for 2-D X only. Each row of 2-D X is a sequence of n_columns /
        ``step_features`` steps, one after the other. Not used for 3-D X and lists.
    temp_folder : str, path-like or None, default=None
        Folder for the results of X in a memory-mapped file. It needs room for them. None: the folder of
        :func:`tempfile.gettempdir`, which the environment variable ``TMPDIR`` sets.

    Attributes
    ----------
    missing_features_ : ndarray of shape (n_missing_features,), int
        Places, among the features of a step, of those with gaps in ``fit``.
    n_features_in_ : int
        Number of columns of 2-D X; number of features per step of any other X.
    feature_names_in_ : ndarray of shape (`n_features_in_`,), object
        Column names, if X was a data frame, or a list of data frames, whose column names are all strings.

    See Also
    --------
    TimeDistributed : A transformer of scikit-learn at every step; with SimpleImputer it fills by the mean.

    Notes
    -----
    The features of the result are those of X, then the indicators, then the elapsed steps or times. The result has the
    form of X (axes: sequence, time, feature): an array for 2-D and 3-D X, a list for a list. A list of data frames
    (pandas, polars or pyarrow), which may also hold text, gives a list of data frames. A pandas frame with an index
    (instance, time) does too, and so does a column of frames. All other X are numeric.

    An array in a memory-mapped file (numpy.memmap or a view of one), or a list of such arrays, is read some sequences
    at a time. The result is an array in a temporary file in ``temp_folder``, which disappears with the array.

    What stands in a gap is the basis of GRU-D (Che et al., 2018, section "GRU-forward"), where it decays towards the
    mean. Here the network learns what to make of the elapsed time.

    References
    ----------
    Z. Che, S. Purushotham, K. Cho, D. Sontag and Y. Liu (2018). Recurrent neural networks for multivariate time series
    with missing values. Scientific Reports 8, 6085.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_rnn.preprocessing import ForwardFill
    >>> X = [np.array([[7.0], [np.nan], [np.nan], [5.0]]), np.array([[np.nan], [1.0]])]
    >>> ForwardFill(add_indicator=True, add_elapsed=True).fit_transform(X)
    [array([[7., 0., 0.],
           [7., 1., 1.],
           [7., 1., 2.],
           [5., 0., 0.]]), array([[nan,  1.,  0.],
           [ 1.,  0.,  0.]])]
    """

    if TYPE_CHECKING:  # Sphinx would look for their documentation in the public module
        n_features_in_: int
        feature_names_in_: np.ndarray
        _fitted_on_rows: bool

    _parameter_constraints: dict = {
        "add_indicator": ["boolean"],
        "add_elapsed": ["boolean"],
        "time": [str, Interval(Integral, 0, None, closed="left"), None],
        "step_features": [Interval(Integral, 1, None, closed="left")],
        "temp_folder": [str, os.PathLike, None],
    }

    def __init__(self, *, add_indicator=False, add_elapsed=False, time=None, step_features=1, temp_folder=None):
        self.add_indicator = add_indicator
        self.add_elapsed = add_elapsed
        self.time = time
        self.step_features = step_features
        self.temp_folder = temp_folder

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = True
        tags.input_tags.three_d_array = True
        tags.input_tags.allow_nan = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y=None):
        """Find the features that have gaps.

        Parameters
        ----------
        X : array-like of shape (n_sequences, n_columns), array-like of shape \
                (n_sequences, n_steps, n_features), or list of arrays of shape \
                (n_steps_i, n_features) or (n_steps_i,), or of data frames of shape (n_steps_i, n_features)
            The sequences.
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
        >>> from sklearn_rnn.preprocessing import ForwardFill
        >>> X = [np.array([[7.0, 1.0], [np.nan, 2.0]]), np.array([[5.0, 3.0]])]
        >>> ForwardFill().fit(X).missing_features_
        array([0])
        """
        with draft_of(self) as draft:
            source = draft._read(X, reset=True)
            has_gaps = [steps.missing.any(axis=0) for steps in draft._with_times(source)]
            draft.missing_features_ = np.flatnonzero(np.any(has_gaps, axis=0))
        return self

    def fit_transform(self, X, y=None):
        """Find the features that have gaps, and fill them.

        Parameters
        ----------
        X : array-like or list
            Sequences, as for ``fit``.
        y : None
            Ignored.

        Returns
        -------
        ndarray, list or object array
            As ``transform`` returns.

        Raises
        ------
        ValueError, TypeError
            For bad input. The transformer does not change.

        Examples
        --------
        >>> import numpy as np
        >>> from sklearn_rnn.preprocessing import ForwardFill
        >>> X = [np.array([[7.0, 1.0], [np.nan, 2.0]]), np.array([[5.0, 3.0]])]
        >>> ForwardFill().fit_transform(X)
        [array([[7., 1.],
               [7., 2.]]), array([[5., 3.]])]
        """
        with draft_of(self) as draft:
            filled = draft.fit(X, y).transform(X)
        return filled

    def transform(self, X):
        """Fill the gaps.

        Parameters
        ----------
        X : array-like or list
            Sequences, as for ``fit``: 2-D if the transformer was fitted on 2-D X, otherwise 3-D or a list.

        Returns
        -------
        ndarray of shape (n_sequences, n_steps * n_features_out) for 2-D X, ndarray of shape \
                (n_sequences, n_steps, n_features_out) for 3-D X, else list or object array of n_sequences ndarrays \
                or data frames of shape (n_steps_i, n_features_out)
            The filled sequences, in the form and dtype of X, with the added features.

        Raises
        ------
        ValueError, TypeError
            For bad input; if ``set_output`` asks for data frames and X is not 2-D.

        Examples
        --------
        >>> import numpy as np
        >>> from sklearn_rnn.preprocessing import ForwardFill
        >>> X = [np.array([[7.0, 1.0], [np.nan, 2.0]]), np.array([[5.0, 3.0]])]
        >>> fill = ForwardFill(add_elapsed=True).fit(X)
        >>> fill.transform([np.array([[1.0, 0.0], [np.nan, 0.0], [np.nan, 0.0]])])
        [array([[1., 0., 0.],
               [1., 0., 1.],
               [1., 0., 2.]])]
        """
        check_is_fitted(self, "missing_features_")
        source = self._read(X, reset=False)
        names = self._names_of_step(source.names)
        filled = source.joined((self._filled(steps, names, X) for steps in self._with_times(source)), self.temp_folder)
        return in_container(self, filled, self._fitted_on_rows, X)

    def _filled(self, steps, names, X):
        """Return steps without gaps and with the added features."""
        gaps = Gaps(steps.missing, steps.lengths)
        added = [np.empty((len(steps.missing), 0))]
        if self.add_indicator:
            added.append(steps.missing[:, self.missing_features_])
        if self.add_elapsed:
            added.append(gaps.elapsed(steps.time, self.missing_features_))
        rows = gaps.rows_of_values()
        self._warn_of_columns(X, rows)
        return steps.filled(rows, np.hstack(added), names)

    def _warn_of_columns(self, X, rows):
        """Warn if a gap in a data frame is filled from another column, as its columns are the steps of each row."""
        if not (self._fitted_on_rows and self.step_features == 1 and hasattr(X, "columns")):
            return
        filled = np.flatnonzero(rows[:, 0] != np.arange(len(rows)))
        if len(filled):
            names = column_names(X)
            target, source = (names[row % len(names)] for row in (filled[0], rows[filled[0], 0]))
            warn_user(
                f"X is a data frame, each row of which is a sequence of {len(names)} steps with one feature: a gap in "
                f"the column {target!r} was filled from {source!r}. If the rows are the steps, pass [X], or "
                "sequences_from_frame for several sequences. If the columns are the steps, pass X.to_numpy()."
            )

    def get_feature_names_out(self, input_features=None):
        """Names of the output features.

        Parameters
        ----------
        input_features : array-like of str of shape (`n_features_in_`,), default=None
            Names of the input features. None is ``feature_names_in_`` or, without them, x0, x1, ….

        Returns
        -------
        ndarray of shape (n_features_out,) or, for 2-D X, (n_steps * n_features_out,), object
            The names of the input, then missingindicator_<name> for the indicators and elapsed_<name> for the elapsed
            steps or times. For 2-D X, these names for each step.

        Raises
        ------
        ValueError
            If ``input_features`` differ from ``feature_names_in_``, or their number is not ``n_features_in_``.

        Examples
        --------
        >>> import numpy as np
        >>> from sklearn_rnn.preprocessing import ForwardFill
        >>> X = [np.array([[7.0, 1.0], [np.nan, 2.0]]), np.array([[5.0, 3.0]])]
        >>> ForwardFill(add_indicator=True).fit(X).get_feature_names_out(
        ...     ["speed", "level"]
        ... ).tolist()
        ['speed', 'level', 'missingindicator_speed']
        """
        check_is_fitted(self, "missing_features_")
        names_in = _check_feature_names_in(self, input_features)
        by_step = names_in.reshape(-1, self.step_features) if self._fitted_on_rows else names_in[np.newaxis]
        return np.array([name for names in by_step for name in self._names_of_step(names.tolist())], dtype=object)

    def _names_of_step(self, names):
        """Names of a step's output features, from those of its input features."""
        of_missing = [names[place] for place in self.missing_features_]
        added = [f"missingindicator_{name}" for name in of_missing] if self.add_indicator else []
        return [*names, *added, *(f"elapsed_{name}" for name in of_missing if self.add_elapsed)]

    def __check_restored__(self, fitted, place):
        """Refuse attributes from a file that name features which a step does not have."""
        check_names(fitted, {"n_features_in_", "missing_features_", "_fitted_on_rows", "_time_place", *fitted}, place)
        n_features = self.step_features if self._fitted_on_rows else self.n_features_in_
        times = [] if self._time_place is None else [self._time_place]
        for name, places in (("missing_features_", self.missing_features_.tolist()), ("_time_place", times)):
            are_right = all(0 <= feature < n_features for feature in places)
            refuse_unless(are_right, f"{place}.{name}", f"is {places[:10]}, but a step has {n_features} features")

    def __next_steps__(self):
        """Return what fills the next steps of a stream; see ContinuedFill."""
        return ContinuedFill(as_fitted_on_sequences(self), self._time_place)

    def _read(self, X, *, reset):
        """Return the source of the steps of X; with ``reset``, set the fitted attributes that do not need the steps."""
        if reset or not self._fitted_on_rows:
            X = _frames_of(X, may_be_rows=reset)
        source = self._read_frames(X, reset=reset) if _are_frames(X) else self._read_arrays(X, reset=reset)
        if reset:
            self._time_place = source.place_of_time(self.time)
            self._fitted_on_rows = source.is_table
        refuse_container(self, self._fitted_on_rows)
        return source

    def _with_times(self, source):
        """Yield the steps that are in memory at a time, with their times."""
        for steps in source.parts():
            steps.read_time(self._time_place, self.time)
            yield steps

    def _read_arrays(self, X, *, reset):
        sequences = check_sequences(
            self,
            X,
            reset=reset,
            fitted_on_rows=None if reset else getattr(self, "_fitted_on_rows", None),
            step_features=self.step_features,
            ensure_all_finite="allow-nan",
            may_stay_mapped=True,
        )
        return ArraySource(sequences)

    def _read_frames(self, X, *, reset):
        steps = FrameSteps(X)
        if not reset and self._fitted_on_rows:
            raise ValueError(
                f"X is a list of data frames, but this {type(self).__name__} was fitted on 2-D X with "
                f"{self.n_features_in_} columns: pass the same columns."
            )
        names, n_features = as_names(steps.names, "X[0]"), len(steps.names)
        if reset:
            record_names(self, names)
            self.n_features_in_ = n_features
            return steps
        compare_names(names, getattr(self, "feature_names_in_", None), type(self).__name__, "X")
        if n_features != self.n_features_in_:
            raise ValueError(
                f"X has {n_features} features per step, but {type(self).__name__} is expecting {self.n_features_in_} "
                "features per step as input."
            )
        return steps


def _frames_of(X, may_be_rows):
    """Return the data frames in a container of any library as a list or object array; any other X as it is.

    If X may be rows, a frame with an index (instance, time) is not taken apart into single rows: it is refused later.
    """
    if isinstance(X, (list, tuple)) or (isinstance(X, np.ndarray) and X.dtype != object):
        return X
    if is_of_class(X, "pandas.DataFrame") and X.index.nlevels > 1 and len(X) and not has_sequences(X.iloc[0]):
        lengths = [len(rows) for rows in by_instance(X, "X")]  # an index (instance, time)
        return X if may_be_rows and len(lengths) == len(X) else split(as_table(X, "X"), lengths)
    sequences = unpack(X, "X").X
    return sequences if _are_frames(sequences) else X


def _are_frames(X):
    """Whether X is a list, tuple or object array whose first sequence is a data frame."""
    is_list = isinstance(X, (list, tuple)) or (isinstance(X, np.ndarray) and X.dtype == object)
    return is_list and len(X) > 0 and is_frame(X[0])
