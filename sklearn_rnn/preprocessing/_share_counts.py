"""Shares of states above thresholds, counted along the steps: exact, whatever the chunks and blocks are."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np

from sklearn_rnn._data.packing import Packing

# Steps that are counted at once. A count of so many fits into uint8, which is the fastest type to add.
LONGEST_RUN = 255


class Parts:
    """Equal parts of the sequences of a packed batch. All layers that read the batch share them.

    Part p of P begins at step ceil(p T / P) of a sequence of T steps.

    Parameters
    ----------
    packing : Packing
    n_parts : int

    Attributes
    ----------
    n_steps : ndarray of shape (n_parts, n_sequences), int
        Steps of each part; 0 is possible.
    """

    def __init__(self, packing: Packing, n_parts: int) -> None:
        # (n_parts + 1, n_sequences): the first step of each part, and the number of steps.
        borders = -(-packing.lengths * np.arange(n_parts + 1)[:, np.newaxis] // n_parts)
        self.n_steps = np.diff(borders, axis=0)
        # Longer sequences come first, so each row is non-increasing. At every step, therefore, sequences in an earlier
        # part stand before those in a later one: sequences edges[p] to edges[p + 1] - 1 are in part p.
        steps = np.arange(packing.n_steps)
        edges = np.stack([np.searchsorted(-ends, -steps, side="left") for ends in borders[1:]], axis=1)
        self._edges = np.concatenate([np.zeros((packing.n_steps, 1), edges.dtype), edges], axis=1)
        self._changes = np.flatnonzero((edges[1:] != edges[:-1]).any(axis=1)) + 1

    def runs(self, start: int, stop: int) -> Iterator[tuple[int, int, list[int]]]:
        """Yield (start, stop, edges): steps of a window in which the same sequences are in the same parts."""
        first, last = np.searchsorted(self._changes, [start + 1, stop])
        borders = {*range(start, stop, LONGEST_RUN), *self._changes[first:last].tolist(), stop}
        for run in pairwise(sorted(borders)):
            yield *run, self._edges[run[0]].tolist()


class ShareCounts:
    """Counts in how many steps of each part of a sequence a state is above a threshold.

    Counts are integers: no order of additions changes a bit of the shares.

    Parameters
    ----------
    parts : Parts
    thresholds : ndarray of shape (n_levels, n_units)
    """

    def __init__(self, parts: Parts, thresholds: np.ndarray) -> None:
        self._parts = parts
        n_levels, self._n_units = thresholds.shape
        n_parts, n_sequences = parts.n_steps.shape
        self._tiled = np.tile(thresholds, n_sequences)[:, np.newaxis]  # long rows are faster to compare
        self._counts = np.zeros((n_levels, n_parts, n_sequences * self._n_units), np.int32)

    def add(self, hidden: np.ndarray, packing: Packing, first_step: int) -> None:
        """Count the hidden states, (n_rows, n_units), of the window that begins at ``first_step``."""
        for start, stop, edges in self._parts.runs(first_step, first_step + packing.n_steps):
            rows = hidden[packing.rows_of_steps(start - first_step, stop - first_step)]
            rows = rows.reshape(stop - start, edges[-1] * self._n_units)
            above = np.greater(rows, self._tiled[:, :, : rows.shape[1]])  # (n_levels, n_steps, n_values)
            counts = np.add.reduce(above.view(np.uint8), axis=1, dtype=np.uint8)
            for part, (first, last) in enumerate(pairwise(edges)):
                values = slice(first * self._n_units, last * self._n_units)
                self._counts[:, part, values] += counts[:, values]

    def finish(self, final_hidden: np.ndarray) -> np.ndarray:
        """Return the shares, (n_sequences, n_levels * n_parts * n_units); 0 for a part without steps."""
        n_levels, n_parts, _ = self._counts.shape
        n_sequences = len(final_hidden)
        counts = self._counts.reshape(n_levels, n_parts, n_sequences, self._n_units)
        shares = (counts / np.maximum(self._parts.n_steps, 1)[:, :, np.newaxis]).astype(final_hidden.dtype)
        return np.moveaxis(shares, 2, 0).reshape(n_sequences, -1)
