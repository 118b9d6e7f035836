"""Packing: the order of a batch's rows. Time-major, longest sequences first, no padding."""

from __future__ import annotations

from functools import lru_cache
from itertools import pairwise

import numpy as np

from sklearn_rnn._utils.caching import cached


class Packing:
    """The order of a batch's rows: each row is one step of one sequence.

    The rows of step 0 of all sequences come first. Then come the rows of step 1 of every sequence that has this step,
    and so on. The sequences are sorted longest first. Step ``t`` is therefore one contiguous slice of rows, and its
    i-th row belongs to sequence ``i``: a ragged batch needs no padding and no masks.

    Parameters
    ----------
    lengths : ndarray of shape (n_sequences,), int
        Steps per sequence, non-increasing. The last ones may be 0: a sequence that ended before a window began keeps
        its place in the state, but has no rows in the window.
    """

    def __init__(self, lengths: np.ndarray) -> None:
        self.lengths = lengths
        self.n_sequences = len(lengths)
        self.n_steps = int(lengths[0]) if len(lengths) else 0
        # A step's batch size is the number of sequences that have the step.
        self.batch_sizes = np.searchsorted(-lengths, -np.arange(self.n_steps), side="left").astype(np.int64, copy=False)
        self.offsets = np.concatenate([[0], np.cumsum(self.batch_sizes)])
        self.n_rows = int(self.offsets[-1])

    @cached
    def slices(self) -> list[tuple[int, int]]:
        """(start, stop) rows of each step, as Python integers."""
        return list(pairwise(self.offsets.tolist()))

    @cached
    def step_of_row(self) -> np.ndarray:
        """(n_rows,) the step of each row."""
        return np.repeat(np.arange(self.n_steps), self.batch_sizes)

    @cached
    def sequence_of_row(self) -> np.ndarray:
        """(n_rows,) the sequence of each row, by its place in the batch."""
        return np.arange(self.n_rows) - self.offsets[self.step_of_row]

    @cached
    def is_dense(self) -> bool:
        """Whether all sequences are equally long."""
        return self.n_rows == self.n_steps * self.n_sequences

    @cached
    def previous_rows(self) -> np.ndarray:
        """(n_rows,) index of each row's previous state in [initial states; states of the rows]."""
        first_rows = np.concatenate([[0], self.n_sequences + self.offsets[:-2]])
        return first_rows[self.step_of_row] + self.sequence_of_row

    @cached
    def reversed_rows(self) -> np.ndarray:
        """(n_rows,) the row of the same sequence with its steps counted from the end; the inverse of itself."""
        sequence = self.sequence_of_row
        return self.offsets[self.lengths[sequence] - 1 - self.step_of_row] + sequence

    def forget_rows(self) -> None:
        """Free the cached arrays with a number for every row."""
        for name in ("step_of_row", "sequence_of_row", "previous_rows", "reversed_rows"):
            vars(self).pop(name, None)

    def steps(self, array: np.ndarray) -> np.ndarray | list[np.ndarray]:
        """Views of ``array`` (n_rows, ...), one for each step; time loops iterate over them, forward or reversed."""
        if self.is_dense:  # an iteration over an array makes views faster than slices do
            return array.reshape(self.n_steps, self.n_sequences, *array.shape[1:])
        return [array[start:stop] for start, stop in self.slices]

    def write_reversed(self, rows: np.ndarray, to: np.ndarray) -> np.ndarray:
        """Write rows with the steps of each sequence in reverse order to ``to``, of the same shape; return it."""
        if self.is_dense:
            by_step = (self.n_steps, self.n_sequences, rows.shape[1])
            to.reshape(by_step)[...] = rows.reshape(by_step)[::-1]  # whole steps: faster than row by row
        else:
            to[self.reversed_rows] = rows  # row i changes places with row reversed_rows[i]
        return to

    def rows_of_steps(self, start: int, stop: int) -> slice:
        """Slice of the rows of steps ``start`` to ``stop - 1``."""
        return slice(int(self.offsets[start]), int(self.offsets[stop]))

    def window(self, start: int, stop: int) -> Packing:
        """Packing of steps ``start`` to ``stop - 1``; all sequences keep their places."""
        if start == 0 and stop == self.n_steps:
            return self
        if self.is_dense:
            return packing_of_equal_lengths(self.n_sequences, stop - start)
        return Packing(np.clip(self.lengths - start, 0, stop - start))

    def split_tails(self, n_steps: int) -> tuple[Packing, Packing, np.ndarray, np.ndarray]:
        """Cut every sequence ``n_steps`` before its own end.

        Returns
        -------
        head, tail : Packing
            The steps before the cut (none for short sequences), and the steps after it.
        head_rows, tail_rows : ndarray of int
            The rows of ``head`` and of ``tail`` in this packing.
        """
        head_lengths = np.maximum(self.lengths - n_steps, 0)
        head, tail = Packing(head_lengths), Packing(self.lengths - head_lengths)
        head_rows = self.offsets[head.step_of_row] + head.sequence_of_row
        sequence = tail.sequence_of_row
        tail_rows = self.offsets[tail.step_of_row + head_lengths[sequence]] + sequence
        return head, tail, head_rows, tail_rows


@lru_cache(maxsize=16)
def packing_of_equal_lengths(n_sequences: int, n_steps: int) -> Packing:
    """Return the packing of ``n_sequences`` of ``n_steps`` steps each. Many batches share one."""
    return Packing(np.full(n_sequences, n_steps))
