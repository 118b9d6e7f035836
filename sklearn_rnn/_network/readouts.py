"""From the hidden states of all steps to one row per sequence: the last, the mean, the maximum.

A pool takes the hidden states of a batch window by window, in the order of time, and afterwards gives
every window its share of the error; it needs no memory of the windows themselves. (Readout "each" pools
nothing: the output layer sees every step.)
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import numpy as np


class Pool(ABC):
    """Pools the hidden states of one batch.

    Parameters
    ----------
    lengths : ndarray of shape (n_sequences,), int
        Steps per sequence, non-increasing.
    n_units : int
    dtype : dtype

    Attributes
    ----------
    running : ndarray of shape (n_sequences, n_units), or None
        What is pooled of the steps so far; to go on where another pool ended, copy its own.
    running_name : str, or None
        What that is.
    """

    running: Any = None
    running_name: str | None = None
    needs_hidden = True  # of every step; else the final state is enough

    def __init__(self, lengths, n_units, dtype):
        self.shape, self.dtype = (len(lengths), n_units), dtype
        self.lengths = lengths

    @abstractmethod
    def add(self, hidden, packing, first_step):
        """Take the hidden states, (n_rows, n_units), of the window that begins at ``first_step``."""

    @abstractmethod
    def finish(self, final_hidden):
        """Return the pooled states, (n_sequences, n_units), given h after every sequence's last step."""

    @abstractmethod
    def d_hidden(self, d_pooled, packing, first_step):
        """Error of each row of a window, (n_rows, n_units), or None where no row has any."""

    def has_error(self, start, stop):
        """Whether any error enters at steps ``start`` to ``stop - 1``, or at the ends of sequences that end there."""
        return True

    def d_final_hidden(self, d_pooled, start, stop):
        """Error of every sequence's final state, (n_sequences, n_units): 0 of those that do not end in these steps."""
        return np.zeros_like(d_pooled)


class LastPool(Pool):
    """h_T. The network carries it as its state, so that nothing need be gathered from the rows."""

    needs_hidden = False

    def add(self, hidden, packing, first_step):
        pass

    def finish(self, final_hidden):
        return final_hidden

    def d_hidden(self, d_pooled, packing, first_step):
        return None

    def _ends(self, start, stop):
        return (start < self.lengths) & (self.lengths <= stop)

    def has_error(self, start, stop):
        return self._ends(start, stop).any()

    def d_final_hidden(self, d_pooled, start, stop):
        if start == 0 and stop >= self.lengths[0]:  # the longest sequence: all of them end there
            return d_pooled
        return np.where(self._ends(start, stop)[:, None], d_pooled, d_pooled.dtype.type(0))


class MeanPool(Pool):
    """The mean of h_t over each sequence's own steps."""

    running_name = "sum"

    def __init__(self, lengths, n_units, dtype):
        super().__init__(lengths, n_units, dtype)
        self.running = np.zeros(self.shape, dtype)
        self._share = (1.0 / lengths).astype(dtype)[:, None]

    def add(self, hidden, packing, first_step):
        for start, stop in packing.slices:
            self.running[: stop - start] += hidden[start:stop]

    def finish(self, final_hidden):
        return self.running * self._share

    def d_hidden(self, d_pooled, packing, first_step):
        return (d_pooled * self._share)[packing.sequence_of_row]


class MaxPool(Pool):
    """The maximum of h_t over each sequence's own steps, unit by unit; of equal ones, the first."""

    running_name = "maximum"

    def __init__(self, lengths, n_units, dtype):
        super().__init__(lengths, n_units, dtype)
        self.running = np.full(self.shape, -np.inf, dtype)
        # The step is kept, not found again by comparing: a window run again may differ in the last bit.
        self._step_of_maximum = np.zeros(self.shape, np.intp)

    def add(self, hidden, packing, first_step):
        for step, (start, stop) in enumerate(packing.slices, first_step):
            hidden_t, maximum = hidden[start:stop], self.running[: stop - start]
            # "Not at most", so that NaN is taken; nothing is larger than NaN, so that it stays visible.
            is_larger = ~((hidden_t <= maximum) | np.isnan(maximum))
            np.copyto(maximum, hidden_t, where=is_larger)
            self._step_of_maximum[: stop - start][is_larger] = step

    def finish(self, final_hidden):
        return self.running

    def d_hidden(self, d_pooled, packing, first_step):
        step = first_step + packing.step_of_row[:, None]
        sequence = packing.sequence_of_row
        return np.where(self._step_of_maximum[sequence] == step, d_pooled[sequence], d_pooled.dtype.type(0))


POOLS: dict[str, Callable[..., Pool]] = {"last": LastPool, "mean": MeanPool, "max": MaxPool}
