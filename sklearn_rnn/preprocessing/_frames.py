"""From long data frames, with a row for each step, to sequences; and from values of sequences back to the rows."""

from __future__ import annotations

import numpy as np

from sklearn_rnn._data.containers.libraries import from_library
from sklearn_rnn._data.step_values import parts_of
from sklearn_rnn.preprocessing._sequence_rows import SequenceRows, names_of
from sklearn_rnn.preprocessing._tables import (
    as_table,
    check_columns,
    column_values,
    plain_names,
    select,
    split,
    with_rows_of,
    with_values,
)


def sequences_from_frame(
    frame, by, order=None, features=None, target=None, static=None, *, target_per="sequence", groups=None
):
    """Cut a long data frame, with one row for each step, into sequences.

    Rows with the same value in ``by`` are the steps of one sequence. The sequences come in the order in which they
    first appear in the frame; their rows need not stand together.

    Parameters
    ----------
    frame : pandas.DataFrame, polars.DataFrame or pyarrow.Table
        One row for each step of each sequence.
    by : str or list of str
        Column that tells the sequences apart, or several: each combination of values is a sequence.
    order : str or list of str, default=None
        Column that orders the steps of a sequence: numbers, times, ordered categories, or text that is all ISO dates
        or all whole numbers. With several columns, the later ones decide between equal values of the earlier ones.
        None: the order of the rows in the frame.
    features : str or list of str, default=None
        Columns of X. None: all columns except those of ``by``, ``order``, ``target`` and ``groups``.
    target : str or list of str, default=None
        Column of y, or several.
    static : str or list of str, default=None
        Columns of X that belong to the whole sequence, such as the age of a patient. Their value may stand in some
        rows of the sequence only: it is repeated in all. They are added to ``features``.
    target_per : {"sequence", "step"}, default="sequence"
        Whether a sequence has one target, or each of its steps has one (``readout="each"``). A target of the sequence
        may stand in some of its rows only.
    groups : str, default=None
        Column with the group of each sequence. None: the first column of ``by``. So ``by=["patient", "visit"]``
        gives a sequence for each visit, and the patients as groups.

    Returns
    -------
    X : list of data frames of shape (n_steps_i, n_features)
        The features of each sequence, as frames of the library that ``frame`` is of. Frames of pandas keep their
        index.
    y : ndarray of shape (n_sequences,) or (n_sequences, n_targets), list of n_sequences ndarrays of shape \
            (n_steps_i,) or (n_steps_i, n_targets), or None
        Targets of sequences or, with ``target_per="step"``, of steps; with a second axis if ``target`` is a list.
        None without ``target``. Unknown targets are NaN or None.
    groups : ndarray of shape (n_sequences,)
        For scikit-learn's splitters, such as :class:`~sklearn.model_selection.GroupKFold`.

    Raises
    ------
    TypeError
        If ``frame`` is no data frame, and for columns of ``order`` that cannot be sorted.
    ValueError
        For missing columns; for missing values in ``by``, ``order`` and ``groups``; if two steps of a sequence have
        the same place in the order; if a target, a static column or a group changes within a sequence.

    See Also
    --------
    frame_from_sequences : Predictions beside the rows that they belong to.
    sliding_windows : Windows of long series, for forecasts.

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn_rnn.preprocessing import sequences_from_frame
    >>> log = pd.DataFrame(
    ...     {
    ...         "patient": ["b", "a", "b", "a", "b"],
    ...         "hour": [2, 0, 0, 1, 1],
    ...         "pulse": [71.0, 90.0, 64.0, 88.0, 66.0],
    ...         "age": [30, 61, 30, 61, 30],
    ...         "ill": [False, True, False, True, False],
    ...     }
    ... )
    >>> X, y, groups = sequences_from_frame(log, by="patient", order="hour", target="ill")
    >>> X[0]
       pulse  age
    2   64.0   30
    4   66.0   30
    0   71.0   30
    >>> y, groups.tolist()
    (array([False,  True]), ['b', 'a'])
    """
    if target_per not in ("sequence", "step"):
        raise ValueError(f"target_per={target_per!r} is not known: it must be 'sequence' or 'step'.")
    if target_per == "step" and target is None:
        raise ValueError("target_per='step' needs a target: name its column in target.")
    by, order = plain_names(by, "by"), plain_names(order, "order")
    features, target = plain_names(features, "features"), plain_names(target, "target")
    static, groups = plain_names(static, "static"), plain_names(groups, "groups")
    table = as_table(frame)
    rows = SequenceRows(table, by, order)
    columns = Columns(table, rows, features, target, static, groups)
    data = table
    for column in columns.static:
        data = with_rows_of(data, column, rows.each_from(rows.of_known_value(column, "static")))
    X = split(select(data, columns.features)[rows.sorted], rows.lengths)
    return X, _targets(rows, target, target_per), rows.groups(columns.groups)


def frame_from_sequences(values, frame, by, order=None, *, name="prediction", indices=None):
    """Put values of sequences or steps, such as predictions, beside the rows of the frame that they belong to.

    Parameters
    ----------
    values : array-like of shape (n_sequences,) or (n_sequences, n_columns), array-like of shape \
            (n_sequences, n_steps) or (n_sequences, n_steps, n_columns), or list of n_sequences array-likes of shape \
            (n_steps_i,) or (n_steps_i, n_columns)
        One value (or row) for each sequence, which is repeated in all of its rows, or for each step. The sequences
        and their steps are in the order of ``sequences_from_frame``.
    frame : pandas.DataFrame, polars.DataFrame or pyarrow.Table
        The frame that :func:`sequences_from_frame` cut.
    by, order : str or list of str
        As for :func:`sequences_from_frame`.
    name : str or list of str, default="prediction"
        Name of the new column. With a list, ``values`` have an axis more, with one column for each name.
    indices : array-like of shape (n_sequences,), int, default=None
        Places of these sequences among all of the frame, such as the ``test`` of a splitter. The rows of other
        sequences get a missing value. None: ``values`` have all sequences.

    Returns
    -------
    data frame
        A copy of ``frame``, in its own order of rows, with the new columns at the end.

    Raises
    ------
    TypeError, ValueError
        As :func:`sequences_from_frame`; if the numbers of sequences, steps or columns do not agree; if the frame has
        a column of this name.

    See Also
    --------
    sequences_from_frame : The way from the frame to sequences.

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn_rnn.preprocessing import frame_from_sequences, sequences_from_frame
    >>> log = pd.DataFrame({"machine": [7, 7, 3, 7], "hour": [1, 0, 0, 2]})
    >>> log["load"] = [0.2, 0.1, 0.9, 0.3]
    >>> X, _, _ = sequences_from_frame(log, by="machine", order="hour")
    >>> running_maximum = [x["load"].cummax() for x in X]
    >>> frame_from_sequences(running_maximum, log, by="machine", order="hour", name="highest")
       machine  hour  load  highest
    0        7     1   0.2      0.2
    1        7     0   0.1      0.1
    2        3     0   0.9      0.9
    3        7     2   0.3      0.3
    """
    by, order, name = plain_names(by, "by"), plain_names(order, "order"), plain_names(name, "name")
    table = as_table(frame)
    rows = SequenceRows(table, by, order)
    names = names_of(name)
    for new in names:
        if new in table.columns or names.count(new) > 1:
            raise ValueError(f"name={new!r} is the name of another column: choose a new one.")
    indices = _checked_indices(indices, len(rows))
    steps = _values_of_steps(values, rows, indices, name)
    places = np.concatenate([rows.rows_of(i) for i in indices])
    step_of_row = np.full(len(table), -1)
    step_of_row[places] = np.arange(len(places))
    for k, new in enumerate(names):
        known = steps[:, k] if steps.ndim > 1 else steps
        table = with_values(table, new, known[step_of_row], missing=step_of_row < 0)
    return table.to_native()


class Columns:
    """The roles of a frame's columns.

    Parameters
    ----------
    table : narwhals.DataFrame
    rows : SequenceRows
    features, target, static, groups : str, list of str, or None
        Arguments of :func:`sequences_from_frame`.

    Attributes
    ----------
    features : list of str
        All columns of X, in their order.
    static : list of str
        Those of them that are repeated within each sequence.
    groups : str
    """

    def __init__(self, table, rows, features, target, static, groups):
        self.static = names_of(static)
        if isinstance(groups, (list, tuple)) and len(groups) != 1:
            raise ValueError(f"groups={groups!r} must be the name of one column.")
        self.groups = rows.by[0] if groups is None else names_of(groups)[0]
        targets = names_of(target)
        check_columns(table, targets, "target")
        check_columns(table, self.static, "static")
        others = {*rows.by, *rows.orders, *targets, self.groups}
        if features is None:
            chosen = [column for column in table.columns if column not in others or column in self.static]
        else:
            chosen = names_of(features)
            check_columns(table, chosen, "features")
            chosen = [*chosen, *(column for column in self.static if column not in chosen)]
        self.features = list(dict.fromkeys(chosen))
        if not self.features:
            raise ValueError(
                f"features is {features!r}, and no column is left for X: frame has only the columns {table.columns}. "
                "The columns of by and order are features too if features names them."
            )
        for column in targets:
            if column in self.features:
                argument = "static" if column in self.static else "features"
                raise ValueError(
                    f"{argument} contains the target {column!r}: X must not hold the answer. Leave it out."
                )


def _targets(rows, target, target_per):
    """Return y: an array with a target for each sequence, or a list with the targets of its steps."""
    columns = names_of(target)
    if not columns:
        return None
    if target_per == "sequence":
        y = [column_values(rows.table, column)[rows.of_known_value(column, "target")] for column in columns]
    else:
        y = [column_values(rows.table, column) for column in columns]
    y = y[0] if not isinstance(target, (list, tuple)) else _side_by_side(y)
    return y if target_per == "sequence" else rows.split(y)


def _side_by_side(columns):
    if len({column.dtype.kind in "biuf" for column in columns}) > 1:  # NumPy would make text of the numbers
        columns = [column.astype(object) for column in columns]
    return np.column_stack(columns)


def _values_of_steps(values, rows, indices, name):
    """Return values for the steps of some sequences, one after the other: (n_steps,) or (n_steps, n_columns)."""
    parts = parts_of(_without_masks(values), "values")
    if len(parts) != len(indices):
        remedy = "pass the places of these sequences as indices" if len(parts) < len(rows) else "pass one for each"
        raise ValueError(f"values has {len(parts)} entries for {len(indices)} sequences of frame: {remedy}.")
    if not parts:
        raise ValueError("values is empty: at least one sequence is needed.")
    n_axes = 1 if isinstance(name, (list, tuple)) else 0  # of the value of a step
    steps = []
    for i, part, length in zip(range(len(parts)), parts, rows.lengths[indices].tolist()):
        if part.ndim == n_axes:
            part = np.repeat(part[np.newaxis], length, axis=0)
        is_right = part.ndim == n_axes + 1 and len(part) == length and (n_axes == 0 or part.shape[1] == len(name))
        if not is_right:
            raise ValueError(
                f"values[{i}] has shape {parts[i].shape}, but name={name!r} and the {length} steps of this sequence "
                f"need {_needed_shapes(name, length)}. For several columns pass a list of names."
            )
        steps.append(part)
    return np.concatenate(steps)


def _without_masks(values):
    """Return values in arrays without a mask; refuse those under a mask, which mean nothing."""
    if isinstance(values, np.ma.MaskedArray):
        return from_library(values, "values")
    if not isinstance(values, (list, tuple)):
        return values
    is_masked = [isinstance(part, np.ma.MaskedArray) for part in values]
    return [from_library(part, f"values[{i}]") if is_masked[i] else part for i, part in enumerate(values)]


def _needed_shapes(name, length):
    if isinstance(name, (list, tuple)):
        return f"an array of shape ({len(name)},) or ({length}, {len(name)})"
    return f"one value, or an array of shape ({length},)"


def _checked_indices(indices, n_sequences):
    """Return the places of sequences as an array of int."""
    if indices is None:
        return np.arange(n_sequences)
    places = np.asarray(indices)
    if places.ndim == 1 and not len(places):
        raise ValueError("indices is empty: at least one sequence is needed.")
    if places.ndim != 1 or places.dtype.kind not in "iu":
        raise TypeError(
            f"indices must be a list or 1-D array of int, the places of the sequences, but it is {indices!r}."
        )
    if not (places.min() >= 0 and places.max() < n_sequences):
        raise ValueError(f"indices goes from {places.min()} to {places.max()}, but frame has {n_sequences} sequences.")
    if len(np.unique(places)) < len(places):
        raise ValueError("indices names a sequence twice: its rows have room for one value.")
    return places
