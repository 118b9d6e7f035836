"""Shares of states above thresholds, counted along the steps: exact, whatever the chunks and blocks are."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np

from sklearn_rnn._data.packing import Packing

# Steps that are counted at once. A count of so many fits into uint8, which is the fastest type to add.
LONGEST_RUN = 255


class ShareCounts:
    """Counts in how many steps of each part of a sequence a state is above a threshold.

    Part p of P begins at step ceil(p T / P) of a sequence of T steps. Counts are integers, so no order of additions
    changes a bit of the shares.

    Parameters
    ----------
    lengths : ndarray of shape (n_sequences,), int
        Steps per sequence, non-increasing.
    thresholds : ndarray of shape (n_levels, n_units)
    n_parts : int
    """

    def __init__(self, lengths: np.ndarray, thresholds: np.ndarray, n_parts: int) -> None:
        n_levels, self._n_units = thresholds.shape
        self._n_sequences = len(lengths)
        # (n_parts + 1, n_sequences): the first step of each part, and the number of steps. Longer sequences come first,
        # so each row is non-increasing. At every step the sequences in an earlier part stand before those in a later.
        self._borders = -(-lengths * np.arange(n_parts + 1)[:, np.newaxis] // n_parts)
        self._tiled = np.tile(thresholds, len(lengths))[:, np.newaxis]  # long rows are faster to compare
        self._counts = np.zeros((n_levels, n_parts, self._tiled.shape[2]), np.int32)

    def add(self, hidden: np.ndarray, packing: Packing, first_step: int) -> None:
        """Count the hidden states, (n_rows, n_units), of the window that begins at ``first_step``."""
        for start, stop, edges in self._runs(first_step, packing.n_steps):
            rows = hidden[packing.rows_of_steps(start, stop)].reshape(stop - start, edges[-1] * self._n_units)
            above = np.greater(rows, self._tiled[:, :, : rows.shape[1]])  # (n_levels, n_steps, n_values)
            counts = np.add.reduce(above.view(np.uint8), axis=1, dtype=np.uint8)
            for part, (first, last) in enumerate(pairwise(edges)):
                values = slice(first * self._n_units, last * self._n_units)
                self._counts[:, part, values] += counts[:, values]

    def _runs(self, first_step: int, n_steps: int) -> Iterator[tuple[int, int, list[int]]]:
        """Yield (start, stop, edges): steps of a window in which the same sequences are in the same parts.

        Sequences ``edges[p]`` to ``edges[p + 1] - 1`` are in part p; later ones have ended.
        """
        steps = np.arange(first_step, first_step + n_steps)
        edges = np.stack([np.searchsorted(-ends, -steps, side="left") for ends in self._borders], axis=1)
        edges[:, 0] = 0
        changes = np.flatnonzero((edges[1:] != edges[:-1]).any(axis=1)) + 1
        starts = np.union1d(changes, np.arange(0, n_steps, LONGEST_RUN)).tolist()
        for start, stop in zip(starts, [*starts[1:], n_steps]):
            yield start, stop, edges[start].tolist()

    def finish(self, final_hidden: np.ndarray) -> np.ndarray:
        """Return the shares, (n_sequences, n_levels * n_parts * n_units); 0 for a part without steps."""
        n_levels, n_parts, _ = self._counts.shape
        n_steps = np.maximum(np.diff(self._borders, axis=0), 1)[:, :, np.newaxis]
        shares = self._counts.reshape(n_levels, n_parts, self._n_sequences, self._n_units) / n_steps
        return np.moveaxis(shares, 2, 0).reshape(self._n_sequences, -1)
