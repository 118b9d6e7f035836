"""The steps of sequences with gaps: where values are missing, and where the last one before is."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np

from sklearn_rnn._data.missing import is_missing
from sklearn_rnn._data.sequences import MappedSequences
from sklearn_rnn.preprocessing._mapped_data import parts_of, stored
from sklearn_rnn.preprocessing._tables import (
    as_table,
    column_names,
    column_values,
    split,
    stack,
    with_rows_of,
    with_values,
)


class Gaps:
    """Where the last known value of every step is.

    Parameters
    ----------
    missing : ndarray of shape (n_rows, n_features), bool
        Whether a value is missing, over the steps of all sequences.
    lengths : ndarray of shape (n_sequences,), int
    """

    def __init__(self, missing, lengths):
        self._rows = np.arange(len(missing))[:, np.newaxis]
        self._first = np.repeat(np.cumsum(lengths) - lengths, lengths)[:, np.newaxis]
        self._last = np.maximum.accumulate(np.where(missing, -1, self._rows), axis=0)
        self._is_seen = self._last >= self._first  # otherwise the last value is that of another sequence

    def rows_of_values(self):
        """Return the row whose value stands at each step, (n_rows, n_features): its own if none was seen."""
        return np.where(self._is_seen, self._last, self._rows)

    def rows_since(self, features):
        """Return the row of the last value of some features, (n_rows, n_chosen): the first step if none was seen."""
        return np.where(self._is_seen, self._last, self._first)[:, features]

    def elapsed(self, time, features):
        """Return the time since the last value of some features: (n_rows, n_chosen), from times (n_rows,)."""
        return time[self._rows] - time[self.rows_since(features)]


class Steps(ABC):
    """The steps of all sequences, one after the other.

    Attributes
    ----------
    lengths : ndarray of shape (n_sequences,), int
    missing : ndarray of shape (n_rows, n_features), bool
        Whether a value is missing.
    time : ndarray of shape (n_rows,), float64
        The number of the step, or its time.
    """

    lengths: np.ndarray
    missing: np.ndarray
    time: np.ndarray
    _first_sequence = 0  # the place of the first sequence in X
    _first_step = 0  # the place of the first step of each sequence

    @abstractmethod
    def times(self, place):
        """Return the times of all steps, (n_rows,), float64; NaN where they are missing."""

    @abstractmethod
    def filled(self, rows, added, names):
        """Return the values of all steps in an array, or the sequences in data frames.

        Parameters
        ----------
        rows : ndarray of shape (n_rows, n_features), int
            The row whose value stands at each step.
        added : ndarray of shape (n_rows, n_added), float64
            More features.
        names : list of str
            Of all features.
        """

    def read_time(self, place, argument):
        """Take the times from a feature. They are known, and do not decrease; this feature has no gaps."""
        if place is None:
            return
        time = self.times(place)
        missing = np.flatnonzero(np.isnan(time))
        if len(missing):
            raise ValueError(
                f"time={argument!r} is missing in {self._place_of(missing[0])}: the time of every step is needed."
            )
        falls = np.flatnonzero(np.diff(time) < 0) + 1
        falls = falls[~np.isin(falls, np.cumsum(self.lengths))]  # there, another sequence begins
        if len(falls):
            raise ValueError(
                f"time={argument!r} decreases in {self._place_of(falls[0])}: sort the steps of each sequence by time."
            )
        self.time = time
        self.missing[:, place] = False

    def _place_of(self, row):
        ends = np.cumsum(self.lengths)
        sequence = int(np.searchsorted(ends, row, side="right"))
        step = row - ends[sequence] + self.lengths[sequence] + self._first_step
        return f"sequence {self._first_sequence + sequence}, step {step}"


class ArraySource:
    """Numeric sequences, in memory or in a memory-mapped file.

    Parameters
    ----------
    sequences : Sequences or MappedSequences

    Attributes
    ----------
    names : list of str
        Of the features.
    is_table : bool
        Whether X is 2-D.
    """

    def __init__(self, sequences):
        self._sequences = sequences
        self.names = [f"x{i}" for i in range(sequences.n_features)]
        self.is_table = sequences.form == "rows"

    def place_of_time(self, time):
        """Return the place of the feature ``time`` among the features of a step, or None."""
        if isinstance(time, str):
            raise ValueError(
                f"time={time!r} is a name, but X is no list of data frames: pass the place among the features of a "
                "step, an int."
            )
        return _checked_place(time, self.names)

    def parts(self):
        """Yield the steps that are in memory at a time: whole sequences of a file, or all."""
        for first, part in parts_of(self._sequences):
            yield ArraySteps(part, first)

    def joined(self, results, temp_folder):
        """Return the values that were filled in each part, in the form of X."""
        is_mapped = isinstance(self._sequences, MappedSequences)
        values = stored(results, temp_folder) if is_mapped else next(results)
        sequences = self._sequences.split(values)
        return sequences.reshape(len(sequences), -1) if self.is_table else sequences


class ArraySteps(Steps):
    """The steps of numeric sequences.

    Parameters
    ----------
    sequences : Sequences
    first_sequence : int, default=0
        The place of the first one in X.
    first_step : int, default=0
        The place of the first step of each; -1 if one more stands in front.
    """

    def __init__(self, sequences, first_sequence=0, first_step=0):
        self._rows = sequences.rows
        self._first_sequence, self._first_step = first_sequence, first_step
        self.lengths = sequences.lengths
        self.missing = np.isnan(sequences.rows)
        self.time = np.arange(len(sequences.rows), dtype=np.float64)

    def times(self, place):
        """Return the times of all steps, (n_rows,), float64; NaN where they are missing."""
        return self._rows[:, place].astype(np.float64)

    def filled(self, rows, added, names):
        """Return the values of all steps, (n_rows, n_features + n_added)."""
        values = np.take_along_axis(self._rows, rows, axis=0)
        return np.hstack([values, added.astype(values.dtype)])


class FrameSteps(Steps):
    """The steps of data frames, one frame for each sequence.

    Parameters
    ----------
    frames : list, tuple or object array of data frames

    Attributes
    ----------
    names : list of str
        Of the features.
    is_table : bool
        False: X is not 2-D.
    """

    is_table = False

    def __init__(self, frames):
        self.names = as_table(frames[0], "X[0]").columns
        for i, frame in enumerate(frames):
            self._check_like_first(frame, frames[0], f"X[{i}]")
        self._table = stack(list(frames))
        self._is_object_array = isinstance(frames, np.ndarray)
        self.lengths = np.array([len(frame) for frame in frames])
        columns = {column: column_values(self._table, column) for column in self.names}
        for column, values in columns.items():
            self._refuse_infinity(column, values)
        self.missing = np.column_stack([is_missing(values) for values in columns.values()])
        self.time = np.arange(len(self.missing), dtype=np.float64)

    def _refuse_infinity(self, column, values):
        rows = np.flatnonzero(np.isinf(values) if values.dtype.kind == "f" else ())
        if len(rows):
            raise ValueError(
                f"X contains infinity in {self._place_of(rows[0])}, column {column!r}: ForwardFill does not accept "
                "infinity. Write NaN there, to fill it, or leave the step out."
            )

    def _check_like_first(self, frame, first, name):
        if type(frame) is not type(first):
            as_table(frame, name)  # refuses anything else than data frames
            raise TypeError(
                f"{name} is of type {type(frame).__module__}.{type(frame).__name__}, but X[0] of "
                f"{type(first).__module__}.{type(first).__name__}: use data frames of one library."
            )
        columns = column_names(frame)
        if columns != self.names:
            raise ValueError(
                f"{name} has the columns {columns}, but X[0] has {self.names}: every sequence needs the same "
                "columns, in the same order."
            )
        if not columns:
            raise ValueError(f"{name} has no columns: at least one feature per step is needed.")
        if not len(frame):
            raise ValueError(f"{name} has no steps: every sequence needs at least one.")

    def place_of_time(self, time):
        """Return the place of the feature ``time`` among the features of a step, or None."""
        if not isinstance(time, str):
            return _checked_place(time, self.names)
        if time not in self.names:
            raise ValueError(
                f"time={time!r} is not a column of X[0], whose columns are {self.names}. sequences_from_frame leaves "
                "the column of order out: name it in features= with the others."
            )
        return self.names.index(time)

    def parts(self):
        """Yield the steps that are in memory at a time: all."""
        yield self

    def joined(self, results, temp_folder):
        """Return the frames that were filled."""
        return next(results)

    def times(self, place):
        """Return the times of all steps, (n_rows,), float64; NaN where they are missing. Date-times give seconds."""
        column = self.names[place]
        values = column_values(self._table, column)
        if values.dtype.kind in "biuf":
            return values.astype(np.float64)
        seconds = _seconds(values)
        if seconds is None:
            raise TypeError(f"time={column!r} holds {values[0]!r}, but times are numbers or date-times: convert it.")
        if values.dtype.kind != "m":
            seconds -= np.repeat(seconds[np.cumsum(self.lengths) - self.lengths], self.lengths)
        self._table = with_values(self._table, column, seconds, np.isnan(seconds))
        return seconds

    def filled(self, rows, added, names):
        """Return the sequences in the form of X."""
        table = self._table
        for k, column in enumerate(self.names):
            if self.missing[:, k].any():
                table = with_rows_of(table, column, rows[:, k])
        for k, name in enumerate(names[len(self.names) :]):
            if name in self.names:
                raise ValueError(f"X has a column {name!r}, which is the name of a feature to add: rename it.")
            table = with_values(table, name, added[:, k])
        frames = split(table, self.lengths)
        if not self._is_object_array:
            return frames
        objects = np.empty(len(frames), dtype=object)
        for i, frame in enumerate(frames):  # NumPy would take an array of frames apart
            objects[i] = frame
        return objects


def _seconds(values):
    """Return date-times as seconds since an arbitrary one, or durations as seconds; None for anything else."""
    missing = is_missing(values)
    if values.dtype.kind in "mM":
        return (values - values[~missing][0] if values.dtype.kind == "M" else values) / np.timedelta64(1, "s")
    if not all(hasattr(value, "timestamp") for value in values[~missing]):  # pandas has objects for several time zones
        return None
    return np.array([np.nan if is_out else value.timestamp() for value, is_out in zip(values, missing)])


def _checked_place(place, names):
    if place is not None and place >= len(names):
        raise ValueError(f"time={place!r} is the place of no feature: a step has {len(names)}, counted from 0.")
    return place
