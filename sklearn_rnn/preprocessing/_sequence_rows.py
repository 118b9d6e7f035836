"""The sequences of a long table: which rows each has, in which order."""

from __future__ import annotations

import numpy as np

from sklearn_rnn._data.missing import is_missing
from sklearn_rnn.preprocessing._order import shown, sortable
from sklearn_rnn.preprocessing._tables import check_columns, column_values

REMEDIES = {
    "target": "For a target at every step pass target_per='step'; otherwise make one value of each sequence first.",
    "static": "If it may change from step to step, name it in features instead.",
    "groups": "A sequence belongs to one group: choose another column, or add this one to by.",
}


class SequenceRows:
    """The rows of each sequence of a long table.

    Parameters
    ----------
    table : narwhals.DataFrame
    by, order : str, list of str, or None
        Arguments of :func:`sequences_from_frame`.

    Attributes
    ----------
    table : narwhals.DataFrame
    by, orders : list of str
    sorted : ndarray of shape (n_rows,), int
        The rows of the first sequence in the order of its steps, then those of the second, and so on.
    lengths : ndarray of shape (n_sequences,), int
        Steps of each sequence.
    sequence_of_row : ndarray of shape (n_rows,), int
        The sequence that each row of the table belongs to.
    """

    def __init__(self, table, by, order):
        self.table = table
        self.by = names_of(by)
        if not self.by:
            raise ValueError("by is empty: name the column that tells the sequences apart.")
        if not len(table):
            raise ValueError("frame has no rows: at least one step of one sequence is needed.")
        check_columns(table, self.by, "by")
        self._keys = [self._without_missing(column, "by") for column in self.by]
        self.sequence_of_row = _numbered(self._keys)
        self.lengths = np.bincount(self.sequence_of_row)
        self.orders = names_of(order)
        check_columns(table, self.orders, "order")
        keys = [sortable(table, column, self._without_missing(column, "order")) for column in self.orders]
        self.sorted = np.lexsort([*keys[::-1], self.sequence_of_row])  # stable: the last key is the first to decide
        self._starts = np.cumsum(self.lengths) - self.lengths
        if self.orders:
            self._refuse_ties(keys)

    def __len__(self):
        return len(self.lengths)

    def rows_of(self, i):
        """Return the rows of a sequence, in the order of its steps."""
        return self.sorted[self._starts[i] : self._starts[i] + self.lengths[i]]

    def split(self, values):
        """Return values (n_rows, ...) of the table's rows, as a list with the steps of each sequence."""
        return np.split(values[self.sorted], self._starts[1:])

    def each_from(self, row_of_sequence):
        """Return, for every row of the table, the row of its sequence in ``row_of_sequence`` (n_sequences,)."""
        return row_of_sequence[self.sequence_of_row]

    def of_known_value(self, column, argument):
        """Return a row of each sequence, (n_sequences,), with the sequence's one value of a column.

        Raises
        ------
        ValueError
            If the column has several values within a sequence. Missing ones do not count.
        """
        values = column_values(self.table, column)
        known_rows = self.sorted[~is_missing(values)[self.sorted]]
        row_of_sequence = self.sorted[self._starts]
        row_of_sequence[self.sequence_of_row[known_rows][::-1]] = known_rows[::-1]  # the first one is written last
        expected_rows = self.each_from(row_of_sequence)[known_rows]
        differs = np.flatnonzero(values[known_rows] != values[expected_rows])
        if len(differs):
            row, first = known_rows[differs[0]], expected_rows[differs[0]]
            raise ValueError(
                f"{argument}={column!r} changes within the sequence {self.describe(row)}: it is "
                f"{shown(values[first])} in row {first}, and {shown(values[row])} in row {row}. {REMEDIES[argument]}"
            )
        return row_of_sequence

    def groups(self, column):
        """Return the value of a column for each sequence, (n_sequences,)."""
        if column in self.by:
            return self._keys[self.by.index(column)][self.sorted[self._starts]]
        check_columns(self.table, [column], "groups")
        rows = self.of_known_value(column, "groups")
        values = column_values(self.table, column)[rows]
        missing = np.flatnonzero(is_missing(values))
        if len(missing):
            raise ValueError(
                f"groups={column!r} is missing in the sequence {self.describe(rows[missing[0]])}: every sequence "
                "needs a group."
            )
        return values

    def describe(self, row):
        """Name the sequence of a row: patient='a', visit=2."""
        return ", ".join(f"{column}={shown(key[row])}" for column, key in zip(self.by, self._keys))

    def _without_missing(self, column, argument):
        values = column_values(self.table, column)
        missing = np.flatnonzero(is_missing(values))
        if len(missing):
            remedy = (
                "fill them, or leave these rows out, as they belong to no sequence"
                if argument == "by"
                else "fill them, or leave these rows out, as they have no place in their sequence"
            )
            raise ValueError(
                f"{argument}={column!r} has {len(missing)} missing values, the first in row {missing[0]}: {remedy}."
            )
        return values

    def _refuse_ties(self, keys):
        is_tied = np.diff(self.sequence_of_row[self.sorted]) == 0
        for key in keys:
            is_tied &= key[self.sorted[1:]] == key[self.sorted[:-1]]
        ties = np.flatnonzero(is_tied)
        if not len(ties):
            return
        first, second = self.sorted[ties[0]], self.sorted[ties[0] + 1]
        values = ", ".join(f"{column}={shown(column_values(self.table, column)[first])}" for column in self.orders)
        order = repr(self.orders[0]) if len(self.orders) == 1 else repr(self.orders)
        raise ValueError(
            f"order={order} does not decide between rows {first} and {second}: in the sequence {self.describe(first)} "
            f"both have {values}. Leave out one of them, add a column that decides "
            f"(order=[{self.orders[0]!r}, ...]), or sort the frame yourself and leave order out."
        )


def names_of(columns):
    """Return one name, several or None as a list."""
    if columns is None:
        return []
    return list(columns) if isinstance(columns, (list, tuple)) else [columns]


def _numbered(keys):
    """Number the combinations of values in several columns by their first appearance: (n_rows,), int."""
    numbers: dict = {}
    combinations = zip(*(key.tolist() for key in keys))
    return np.array([numbers.setdefault(combination, len(numbers)) for combination in combinations])
