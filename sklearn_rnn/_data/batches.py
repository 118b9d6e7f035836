"""Datasets, and the batches that are packed from them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from sklearn_rnn._data.packing import Packing, packing_of_equal_lengths
from sklearn_rnn._data.sequences import BaseSequences


@dataclass
class PackedBatch:
    """Some sequences, packed, with their targets and weights.

    Attributes
    ----------
    rows : ndarray of shape (n_rows, n_features)
    packing : Packing
    order : ndarray of shape (n_sequences,), int
        Index in the data of the sequence at each place of the batch.
    targets : ndarray of shape (n_sequences or n_rows, n_outputs), or None
    weights : ndarray of shape (n_sequences or n_rows,), or None
        One per sequence, or one per row if every step has a target.
    """

    rows: np.ndarray
    packing: Packing
    order: np.ndarray
    targets: Any = None
    weights: Any = None


@dataclass
class Dataset:
    """Sequences with their encoded targets and weights. Batches are packed from it.

    Attributes
    ----------
    sequences : BaseSequences
    targets : ndarray of shape (n_sequences or n_rows, n_outputs), or None
        One row per sequence or, with ``per_step``, one per step in the order of the sequences' rows.
    weights : ndarray of shape (n_sequences or n_rows,), or None
    per_step : bool
    """

    sequences: BaseSequences
    targets: Any = None
    weights: Any = None
    per_step: bool = False

    def __len__(self) -> int:
        return len(self.sequences)

    def pack(self, indices: np.ndarray) -> PackedBatch:
        """Pack the sequences at ``indices``, longest first."""
        sequences = self.sequences
        if sequences.common_length is not None:
            order, packing = indices, packing_of_equal_lengths(len(indices), sequences.common_length)
        else:
            lengths = sequences.lengths[indices]
            longest_first = np.argsort(-lengths, kind="stable")
            order, packing = indices[longest_first], Packing(lengths[longest_first])

        def take(values: np.ndarray) -> np.ndarray:
            return sequences.take_steps(values, order, packing) if self.per_step else values[order]

        targets, weights = _unless_none(take, self.targets), _unless_none(take, self.weights)
        rows = sequences.packed_rows(order, packing)
        if sequences.common_length is None:
            packing.forget_rows()
        return PackedBatch(rows, packing, order, targets, weights)

    def weighted_sequences(self) -> np.ndarray:
        """Indices of the sequences that have a weight above 0, or a step with one."""
        weights = self.weights > 0
        if self.per_step:
            weights = np.logical_or.reduceat(weights, self.sequences.starts)
        return np.flatnonzero(weights)

    def without_zero_weights(self) -> Dataset:
        """Return the dataset of the sequences that have a weight above 0, or a step with one."""
        indices = self.weighted_sequences()
        return self if len(indices) == len(self) else self.subset(indices)

    def subset(self, indices: np.ndarray) -> Dataset:
        """Return the dataset of the sequences at ``indices``, in that order."""

        def take(values: np.ndarray) -> np.ndarray:
            return self.sequences.take_sequences(values, indices) if self.per_step else values[indices]

        targets, weights = _unless_none(take, self.targets), _unless_none(take, self.weights)
        return Dataset(self.sequences.subset(indices), targets, weights, self.per_step)


def _unless_none(function: Callable[[np.ndarray], np.ndarray], values: np.ndarray | None) -> np.ndarray | None:
    return None if values is None else function(values)
