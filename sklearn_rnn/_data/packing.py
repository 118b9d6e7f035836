"""Batches of sequences as rows: time-major, longest first, no padding."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np

from sklearn_rnn._data.sequences import MappedSequences, Sequences
from sklearn_rnn._utils.caching import cached


class Packing:
    """Where each step of each sequence of a batch stands among the rows.

    The rows of step 0 of all sequences come first, then those of step 1 of every sequence that has one,
    and so on. As the sequences are sorted longest first, step ``t`` is one contiguous slice of rows, whose
    i-th row belongs to sequence ``i``: a ragged batch needs no padding and no masks.

    Parameters
    ----------
    lengths : ndarray of shape (n_sequences,), int
        Steps per sequence, non-increasing. Zeros may stand at the end: sequences that are over
        before a window begins keep their place in the state, but own no rows.
    """

    def __init__(self, lengths):
        self.lengths = lengths
        self.n_sequences = len(lengths)
        self.n_steps = int(lengths[0]) if len(lengths) else 0
        # A step's batch size is the number of sequences that are longer than the step's index.
        self.batch_sizes = np.searchsorted(-lengths, -np.arange(self.n_steps), side="left").astype(np.int64, copy=False)
        self.offsets = np.concatenate([[0], np.cumsum(self.batch_sizes)])
        self.n_rows = int(self.offsets[-1])

    @cached
    def slices(self):
        """(start, stop) rows of each step, as Python integers."""
        return list(pairwise(self.offsets.tolist()))

    @cached
    def step_of_row(self):
        """(n_rows,) the step that each row holds."""
        return np.repeat(np.arange(self.n_steps), self.batch_sizes)

    @cached
    def sequence_of_row(self):
        """(n_rows,) the sequence that each row belongs to, by its place in the batch."""
        return np.arange(self.n_rows) - self.offsets[self.step_of_row]

    @cached
    def is_dense(self):
        """Whether all sequences are equally long."""
        return self.n_rows == self.n_steps * self.n_sequences

    @cached
    def previous_rows(self):
        """(n_rows,) where each row's previous state stands in [initial states; states of the rows]."""
        first_rows = np.concatenate([[0], self.n_sequences + self.offsets[:-2]])
        return first_rows[self.step_of_row] + self.sequence_of_row

    @cached
    def reversed_rows(self):
        """(n_rows,) the row of the same sequence counted from its end; its own inverse."""
        sequence = self.sequence_of_row
        return self.offsets[self.lengths[sequence] - 1 - self.step_of_row] + sequence

    def steps(self, array):
        """Views of ``array`` (n_rows, ...), one for each step: what the time loops run over, also reversed."""
        if self.is_dense:  # iterating over an array makes views faster than slicing does
            return array.reshape(self.n_steps, self.n_sequences, *array.shape[1:])
        return [array[start:stop] for start, stop in self.slices]

    def rows_of_steps(self, start, stop):
        """Slice of the rows of steps ``start`` to ``stop - 1``."""
        return slice(int(self.offsets[start]), int(self.offsets[stop]))

    def window(self, start, stop):
        """Packing of steps ``start`` to ``stop - 1``; all sequences keep their places."""
        if start == 0 and stop == self.n_steps:
            return self
        if self.is_dense:
            return packing_of_equal_lengths(self.n_sequences, stop - start)
        return Packing(np.clip(self.lengths - start, 0, stop - start))

    def split_tails(self, n_steps):
        """Cut every sequence ``n_steps`` before its own end.

        Returns
        -------
        head, tail : Packing
            The steps before the cut (none for short sequences), and those after it.
        head_rows, tail_rows : ndarray of int
            The rows of this packing that they take.
        """
        head_lengths = np.maximum(self.lengths - n_steps, 0)
        head, tail = Packing(head_lengths), Packing(self.lengths - head_lengths)
        head_rows = self.offsets[head.step_of_row] + head.sequence_of_row
        sequence = tail.sequence_of_row
        tail_rows = self.offsets[tail.step_of_row + head_lengths[sequence]] + sequence
        return head, tail, head_rows, tail_rows


@lru_cache(maxsize=16)
def packing_of_equal_lengths(n_sequences, n_steps):
    """Return the packing of ``n_sequences`` of ``n_steps`` steps each, made once for many batches."""
    return Packing(np.full(n_sequences, n_steps))


@dataclass
class PackedBatch:
    """Some sequences, packed, with what is to be learned from them.

    Attributes
    ----------
    rows : ndarray of shape (n_rows, n_features)
    packing : Packing
    order : ndarray of shape (n_sequences,), int
        Which sequence of the data stands at each place of the batch.
    targets : ndarray of shape (n_sequences or n_rows, n_outputs), or None
    weights : ndarray of shape (n_sequences or n_rows,), or None
        Per sequence, or per row where every step has a target.
    """

    rows: np.ndarray
    packing: Packing
    order: np.ndarray
    targets: Any = None
    weights: Any = None


@dataclass
class Dataset:
    """Sequences with their encoded targets and weights, from which batches are packed.

    Attributes
    ----------
    sequences : Sequences or MappedSequences
    targets : ndarray of shape (n_sequences or n_rows, n_outputs), or None
        One row per sequence, or (``per_step``) one per step, in the order of the sequences' rows.
    weights : ndarray of shape (n_sequences or n_rows,), or None
    per_step : bool
    """

    sequences: Sequences | MappedSequences
    targets: Any = None
    weights: Any = None
    per_step: bool = False

    def __len__(self):
        return len(self.sequences)

    def pack(self, indices):
        """Pack the sequences at ``indices``, longest first."""
        sequences = self.sequences
        if sequences.common_length is not None:
            order, packing = indices, packing_of_equal_lengths(len(indices), sequences.common_length)
        else:
            lengths = sequences.lengths[indices]
            longest_first = np.argsort(-lengths, kind="stable")
            order, packing = indices[longest_first], Packing(lengths[longest_first])

        def take(values):
            return sequences.take_steps(values, order, packing) if self.per_step else values[order]

        targets, weights = _where_given(take, self.targets), _where_given(take, self.weights)
        rows = sequences.packed_rows(order, packing)
        if sequences.common_length is None:
            packing = Packing(packing.lengths)  # without what the other one remembers of every row
        return PackedBatch(rows, packing, order, targets, weights)

    def subset(self, indices):
        """Return the dataset of the sequences at ``indices``, in that order."""

        def take(values):
            return self.sequences.take_sequences(values, indices) if self.per_step else values[indices]

        targets, weights = _where_given(take, self.targets), _where_given(take, self.weights)
        return Dataset(self.sequences.subset(indices), targets, weights, self.per_step)


def _where_given(function, values):
    return None if values is None else function(values)
