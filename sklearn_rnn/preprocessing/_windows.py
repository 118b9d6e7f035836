"""sliding_windows: windows of long series, and the values that follow them."""

from __future__ import annotations

from itertools import pairwise
from numbers import Integral

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from sklearn_rnn._data.containers import has_sequences, unpack
from sklearn_rnn._data.containers.libraries import from_library, is_of_class
from sklearn_rnn._data.containers.refused import refuse_pairs
from sklearn_rnn.preprocessing._tables import as_table, column_values, is_frame, plain_names

LEAVE_OUT = "name the columns of numbers in features=, and the targets in target=."


def sliding_windows(series, window, horizon=1, stride=1, *, features=None, target=None):
    """Cut long series into windows, with the values that follow each window as targets.

    No window reaches from one series into the next, and no target belongs to another series than its window.

    Parameters
    ----------
    series : array-like of shape (n_steps,) or (n_steps, n_columns), data frame, or list of these
        One series, or a list of several (a 3-D array: its entries). The axes are step and column. In 2-D input the
        rows are the steps of one series; they are not sequences of their own, as they are for the estimators.
    window : int
        Steps of each window, at least 1.
    horizon : int or list of int, default=1
        Steps ahead to predict. 3 is the next three steps; [1, 7] is the first and the seventh step after the window.
        0 is the last step of the window; then the target must not be among the features.
    stride : int, default=1
        Steps from the start of one window to the start of the next, at least 1.
    features : str, int, or list of these, default=None
        Columns of X: names for data frames, places for arrays. None: all columns. With ``features``, data frames may
        have other columns too, such as text.
    target : str, int, or list of these, default=None
        Columns of y. None: the columns of X.

    Returns
    -------
    X : ndarray of shape (n_windows, window, n_features), or list of n_windows ndarrays of shape (window, n_features)
        The windows: an array for one series, a list for a list of series. They are read-only views of the series (of
        its features, if these are not all columns). They take no memory of their own until they are used.
    y : ndarray of shape (n_windows,) or (n_windows, n_steps_ahead * n_targets)
        The targets of each window: first those of the first step ahead, then those of the second, and so on.
        One-dimensional for a single step and target.
    origins : ndarray of shape (n_windows,), int
        Place of the last step of each window in its series. The targets are ``horizon`` steps later.
    groups : ndarray of shape (n_windows,), int
        Place of the series of each window in ``series``; 0 for one series.

    Raises
    ------
    TypeError, ValueError
        For bad input; if a series is too short for a single window and its targets; if pandas data have an index
        (instance, time) with several instances.

    See Also
    --------
    sequences_from_frame : Series from a long table, with a row for each step.

    Notes
    -----
    The windows are in the order of their origins, as :class:`~sklearn.model_selection.TimeSeriesSplit` needs it;
    windows of one origin are in the order of their series. For targets that reach h steps ahead, the splitter needs
    ``gap=h - 1`` windows, or the last targets of the training data lie in the test period. With a stride s the gap is
    ``ceil(h / s) - 1``.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_rnn.preprocessing import sliding_windows
    >>> X, y, origins, _ = sliding_windows(np.arange(10.0, 16.0), window=3, horizon=2)
    >>> X[:, :, 0]
    array([[10., 11., 12.],
           [11., 12., 13.]])
    >>> y
    array([[13., 14.],
           [14., 15.]])
    >>> origins
    array([2, 3])
    """
    window = _checked_int(window, "window", 1)
    stride = _checked_int(stride, "stride", 1)
    ahead = _checked_horizon(horizon)
    features, target = plain_names(features, "features"), plain_names(target, "target")
    series = _without_container(series)
    is_one = _is_one_series(series)
    all_series = [Series(series, "series", features, target)] if is_one else _several(series, features, target)
    features, targets = _checked_columns(all_series[0], features, target, ahead)
    each_origins = [one.origins(window, ahead, stride) for one in all_series]
    groups = np.repeat(np.arange(len(all_series)), [len(origins) for origins in each_origins])
    origins = np.concatenate(each_origins)
    order = np.argsort(origins, kind="stable")

    views = [one.windows(features, window, stride, len(o)) for one, o in zip(all_series, each_origins)]
    followers = np.concatenate([one.followers(targets, o, ahead) for one, o in zip(all_series, each_origins)])
    y = followers[order].reshape(len(order), -1)
    return (
        views[0] if is_one else _in_order(views, order),
        y[:, 0] if y.shape[1] == 1 else y,
        origins[order],
        groups[order],
    )


class Series:
    """One series.

    Parameters
    ----------
    series : array-like of shape (n_steps,) or (n_steps, n_columns), or data frame
    name : str
        The argument, for messages: "series" or "series[3]".
    features, target : str, int, list of these, or None
        Arguments of :func:`sliding_windows`. Other columns of a data frame are not read.

    Attributes
    ----------
    values : ndarray of shape (n_steps, n_columns), of numbers
    columns : list of str, or None
        Names of the columns, if it is a data frame.
    name : str
    """

    def __init__(self, series, name, features=None, target=None):
        self.name = name
        self.columns = None
        _refuse_instances(series, name)
        if is_frame(series):
            table = as_table(series, name)
            self.columns = table.columns
            if features is not None:
                for argument, columns in (("features", features), ("target", target)):
                    _places(columns, self.columns, name, argument)  # refuses other names
                self.columns = list(dict.fromkeys([*_as_list(features), *_as_list(target)]))
            columns = [_as_numbers(column_values(table, c), f"{name}[{c!r}]", LEAVE_OUT) for c in self.columns]
            self.values = np.column_stack(columns) if columns else np.empty((len(table), 0))
        else:
            self.values = _as_columns(series, name)

    def origins(self, window, ahead, stride):
        """Return the last step of each window whose targets are all known, (n_windows,)."""
        needed = window + int(ahead[-1])
        n_steps = len(self.values)
        if n_steps < needed:
            remedy = "Choose a shorter window or horizon"
            remedy += "." if self.name == "series" else ", or leave this series out."
            if self.values.shape[1] > n_steps:
                remedy += f" The axes are step and column: are its {self.values.shape[1]} columns the steps?"
            raise ValueError(
                f"{self.name} has {n_steps} steps, but window={window} and {ahead[-1]} steps ahead need {needed}. "
                f"{remedy}"
            )
        return np.arange(window - 1, n_steps - int(ahead[-1]), stride)

    def windows(self, features, window, stride, n_windows):
        """Return views (n_windows, window, n_features) of some columns."""
        is_whole = features == list(range(self.values.shape[1]))
        values = self.values if is_whole else self.values[:, features]
        return sliding_window_view(values, window, axis=0)[::stride][:n_windows].swapaxes(1, 2)

    def followers(self, targets, origins, ahead):
        """Return the targets that follow the origins, (n_windows, n_steps_ahead, n_targets)."""
        return self.values[:, targets][origins[:, np.newaxis] + ahead]


def _in_order(views, order):
    windows = [window for of_series in views for window in of_series]
    return [windows[i] for i in order]


def _without_container(series):
    """Return one series, or a list of several, from a container of any library."""
    _refuse_instances(series, "series")
    if is_frame(series):
        return series
    if isinstance(series, (list, tuple)):
        refuse_pairs(series, "series")
        return series
    kind = getattr(getattr(series, "dtype", None), "kind", "O")
    is_2d_of_xarray = is_of_class(series, "xarray.DataArray") and series.ndim < 3  # its rows are steps here
    may_be_one = is_2d_of_xarray or isinstance(series, np.ndarray) or is_of_class(series, "pandas.Series")
    if may_be_one and (kind != "O" or not has_sequences(np.asarray(series).reshape(-1))):
        return series
    return unpack(series, "series").X


def _is_one_series(series):
    """Whether ``series`` is a single one: a data frame, a 1-D or 2-D array, or a list of numbers."""
    if isinstance(series, (list, tuple)) or (isinstance(series, np.ndarray) and series.dtype == object):
        return len(series) > 0 and all(np.ndim(value) == 0 and not is_frame(value) for value in series)
    return is_frame(series) or np.ndim(series) < 3


def _several(series, features, target):
    """Return the series of a list, which have the same columns."""
    if not len(series):
        raise ValueError("series is empty: at least one series is needed.")
    all_series = [Series(one, f"series[{i}]", features, target) for i, one in enumerate(series)]
    first = all_series[0]
    for one in all_series:
        if one.values.shape[1] != first.values.shape[1]:
            raise ValueError(
                f"{one.name} has {one.values.shape[1]} columns, but {first.name} has {first.values.shape[1]}: every "
                "series needs the same columns."
            )
        if one.columns != first.columns:
            raise ValueError(
                f"{one.name} has the columns {one.columns}, but {first.name} has {first.columns}: every series needs "
                "the same columns, in the same order."
            )
    return all_series


def _refuse_instances(series, name):
    """Refuse pandas data whose index (instance, time) has several instances: windows would reach across them."""
    index = getattr(series, "index", None)  # a method of a list
    if index is not None and getattr(index, "nlevels", 1) > 1 and len(index.droplevel(-1).unique()) > 1:
        levels = 0 if index.nlevels == 2 else list(range(index.nlevels - 1))
        raise ValueError(
            f"{name} has an index of {index.nlevels} levels, {list(index.names)}, with several instances: pass the "
            f"rows of each as a list, [rows for _, rows in {name}.groupby(level={levels}, sort=False)]. If all rows "
            f"are one series, call {name}.reset_index(drop=True)."
        )


def _as_columns(series, name):
    """Return a series as an array (n_steps, n_columns) of numbers."""
    values = _as_numbers(
        from_library(series, name), name, "pass an array of numbers, (n_steps,) or (n_steps, n_columns)."
    )
    if values.ndim not in (1, 2):
        raise ValueError(
            f"{name} has {values.ndim} dimensions, but a series is an array (n_steps,) or (n_steps, n_columns)."
        )
    return values[:, np.newaxis] if values.ndim == 1 else values


def _as_numbers(values, name, remedy):
    """Return values as an array of numbers."""
    try:
        array = np.asarray(values)
        if array.dtype.kind in "biuf":
            return array
        if array.dtype.kind != "O":
            raise ValueError(f"its dtype is {array.dtype}")
        return array.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} is not numeric ({error}): {remedy}") from error


def _checked_columns(first, features, target, ahead):
    """Return the places of the columns of X and of y, two lists of int."""
    n_columns = first.values.shape[1]
    if not n_columns:
        raise ValueError(f"{first.name} has no columns.")
    names = first.columns or list(range(n_columns))
    chosen = list(range(n_columns)) if features is None else _places(features, names, first.name, "features")
    targets = chosen if target is None else _places(target, names, first.name, "target")
    if ahead[0] == 0 and not set(chosen).isdisjoint(targets):
        raise ValueError(
            "horizon holds 0, the last step of the window, but the target is among the features: X would hold the "
            "answer. Name the target, and the features without it."
        )
    return chosen, targets


def _places(columns, names, series, argument):
    """Return the places of an argument's columns among the names of all columns of a series."""
    places = []
    for column in _as_list(columns):
        if isinstance(column, bool) or column not in names:
            raise ValueError(f"{argument}={column!r} is not a column of {series}, whose columns are {names}.")
        places.append(names.index(column))
    if not places and columns is not None:
        raise ValueError(f"{argument} is empty: name at least one column.")
    return places


def _as_list(columns):
    if columns is None:
        return []
    return list(columns) if isinstance(columns, (list, tuple)) else [columns]


def _checked_int(value, argument, minimum):
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise TypeError(f"{argument}={value!r} must be an int, a number of steps.")
    if value < minimum:
        raise ValueError(f"{argument}={value!r} must be at least {minimum}.")
    return int(value)


def _checked_horizon(horizon):
    """Return the steps ahead as an increasing array of int."""
    if isinstance(horizon, (list, tuple, range, np.ndarray)):
        ahead = [_checked_int(step, "horizon", 0) for step in horizon]
        if not ahead or any(b <= a for a, b in pairwise(ahead)):
            raise ValueError(f"horizon={horizon!r} must have at least one step ahead, in increasing order.")
        return np.array(ahead)
    last = _checked_int(horizon, "horizon", 0)
    return np.arange(min(1, last), last + 1)
