"""Readouts: from the hidden states of all steps to one row per sequence: the last, the mean, the maximum, or several.

A pool reads the hidden states of a batch window by window, in the order of time. Afterwards it computes the error of
every window's hidden states. It does not store the windows. Readout "each" has no pool: the output layer reads every
step.

Attributes
----------
READOUTS : dict of str to callable, or None
    From a name in the estimators' parameter ``readout`` to the pool, or to None if every step has its own prediction.
    A new readout needs its class and a line here.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
from numpy.typing import DTypeLike

from sklearn_rnn._data.packing import Packing
from sklearn_rnn._network.buffers import Buffers


class LoopsOverSteps(Protocol):
    """The loops over steps of the pools, as an engine runs them; :class:`NumpyLoops` has them in NumPy."""

    @staticmethod
    def add_to_sum(total: np.ndarray, hidden: np.ndarray, packing: Packing) -> None:
        """Add the hidden states, (n_rows, n_units), of each step to ``total``, (n_sequences, n_units)."""

    @staticmethod
    def add_to_maximum(
        maximum: np.ndarray, step_of_maximum: np.ndarray, hidden: np.ndarray, packing: Packing, first_step: int
    ) -> None:
        """Update the maxima over steps, and the steps of the maxima in int32, both (n_sequences, n_units)."""

    @staticmethod
    def add_at_maximum(
        errors: np.ndarray, d_maximum: np.ndarray, step_of_maximum: np.ndarray, packing: Packing, first_step: int
    ) -> None:
        """Add ``d_maximum``, (n_sequences, n_units), to the rows of the maxima, where these are among the steps."""


class NumpyLoops:
    """One operation for each step."""

    @staticmethod
    def add_to_sum(total: np.ndarray, hidden: np.ndarray, packing: Packing) -> None:
        """See :class:`LoopsOverSteps`."""
        for start, stop in packing.slices:
            total[: stop - start] += hidden[start:stop]

    @staticmethod
    def add_to_maximum(
        maximum: np.ndarray, step_of_maximum: np.ndarray, hidden: np.ndarray, packing: Packing, first_step: int
    ) -> None:
        """See :class:`LoopsOverSteps`."""
        for step, (start, stop) in enumerate(packing.slices, first_step):
            hidden_t, earlier = hidden[start:stop], maximum[: stop - start]
            steps = step_of_maximum[: stop - start]
            # Steps grow, so the later one is the larger one: this is faster than assignments where h is larger.
            np.maximum(steps, ~(hidden_t <= earlier) * np.int32(step), out=steps)
            np.maximum(earlier, hidden_t, out=earlier)  # a NaN stays: the error remains visible

    @staticmethod
    def add_at_maximum(
        errors: np.ndarray, d_maximum: np.ndarray, step_of_maximum: np.ndarray, packing: Packing, first_step: int
    ) -> None:
        """See :class:`LoopsOverSteps`."""
        step = step_of_maximum - first_step
        sequence, unit = np.nonzero((step >= 0) & (step < packing.n_steps))
        errors[packing.offsets[step[sequence, unit]] + sequence, unit] += d_maximum[sequence, unit]


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
    running : dict of str to ndarray of shape (n_sequences, n_units)
        The memory of the steps so far, from which :meth:`add` continues, by its names in the state of a stream. Empty
        for a pool without memory. To continue where another pool ended, copy its values into these arrays.
    needs_hidden : bool
        Whether the pool needs the hidden states of every step, and not only the final state.
    writes_every_row : bool
        Whether every row has an error.
    loops : LoopsOverSteps
        Loops of the engine that runs the network.
    """

    needs_hidden = True
    writes_every_row = False
    loops: LoopsOverSteps = NumpyLoops()

    def __init__(self, lengths: np.ndarray, n_units: int, dtype: DTypeLike) -> None:
        self.shape, self.dtype = (len(lengths), n_units), dtype
        self.lengths = lengths
        self.running: dict[str, np.ndarray] = {}

    @abstractmethod
    def add(self, hidden: np.ndarray, packing: Packing, first_step: int) -> None:
        """Add the hidden states, (n_rows, n_units), of the window that begins at ``first_step``."""

    @abstractmethod
    def finish(self, final_hidden: np.ndarray) -> np.ndarray:
        """Return the pooled states, (n_sequences, n_pooled), given h after every sequence's last step.

        n_pooled is n_units, or a multiple of it for several pools side by side.
        """

    def d_hidden(self, d_pooled: np.ndarray, packing: Packing, first_step: int, buffers: Buffers) -> np.ndarray | None:
        """Return the error of each row of a window, (n_rows, n_units), in the memory of ``buffers``.

        None: all errors are 0.
        """
        if not self.needs_hidden:
            return None
        errors = buffers.array("d_hidden", (packing.n_rows, self.shape[1]), self.dtype)
        self.write_errors(errors, d_pooled, packing, first_step)
        return errors

    def write_errors(self, errors: np.ndarray, d_pooled: np.ndarray, packing: Packing, first_step: int) -> None:
        """Write the error of each row of a window to ``errors``, (n_rows, n_units)."""
        errors[...] = 0
        self.add_errors(errors, d_pooled, packing, first_step)

    @abstractmethod
    def add_errors(self, errors: np.ndarray, d_pooled: np.ndarray, packing: Packing, first_step: int) -> None:
        """Add the error of each row of a window to ``errors``, (n_rows, n_units)."""

    def has_error(self, start: int, stop: int) -> bool:
        """Whether any error enters at steps ``start`` to ``stop - 1``, or at the ends of sequences that end there."""
        return True

    def d_final_hidden(self, d_pooled: np.ndarray, start: int, stop: int) -> np.ndarray:
        """Return the error of every final state, (n_sequences, n_units): 0 for sequences that do not end here."""
        return np.zeros(self.shape, self.dtype)


class LastPool(Pool):
    """h_T. It is in the network's final state: the pool reads no rows."""

    needs_hidden = False

    def add(self, hidden: np.ndarray, packing: Packing, first_step: int) -> None:
        pass

    def finish(self, final_hidden: np.ndarray) -> np.ndarray:
        return final_hidden

    def add_errors(self, errors: np.ndarray, d_pooled: np.ndarray, packing: Packing, first_step: int) -> None:
        pass

    def _ends(self, start: int, stop: int) -> np.ndarray:
        return (start < self.lengths) & (self.lengths <= stop)

    def has_error(self, start: int, stop: int) -> bool:
        return bool(self._ends(start, stop).any())

    def d_final_hidden(self, d_pooled: np.ndarray, start: int, stop: int) -> np.ndarray:
        if start == 0 and stop >= self.lengths[0]:  # the longest sequence ends here: all do
            return d_pooled
        return np.where(self._ends(start, stop)[:, None], d_pooled, d_pooled.dtype.type(0))


class MeanPool(Pool):
    """The mean of h_t over each sequence's own steps."""

    writes_every_row = True

    def __init__(self, lengths: np.ndarray, n_units: int, dtype: DTypeLike) -> None:
        super().__init__(lengths, n_units, dtype)
        self._sum = self.running["sum"] = np.zeros(self.shape, dtype)
        self._share = (1.0 / lengths).astype(dtype)[:, None]

    def add(self, hidden: np.ndarray, packing: Packing, first_step: int) -> None:
        self.loops.add_to_sum(self._sum, hidden, packing)

    def finish(self, final_hidden: np.ndarray) -> np.ndarray:
        return self._sum * self._share

    def write_errors(self, errors: np.ndarray, d_pooled: np.ndarray, packing: Packing, first_step: int) -> None:
        of_sequences = d_pooled * self._share
        if packing.is_dense:  # a copy of whole steps is faster
            errors.reshape(packing.n_steps, *self.shape)[...] = of_sequences
            return
        # mode="clip" writes to ``errors`` directly; no index is out of range.
        np.take(of_sequences, packing.sequence_of_row, axis=0, out=errors, mode="clip")

    def add_errors(self, errors: np.ndarray, d_pooled: np.ndarray, packing: Packing, first_step: int) -> None:
        errors += (d_pooled * self._share)[packing.sequence_of_row]


class MaxPool(Pool):
    """The maximum of h_t over each sequence's own steps, unit by unit; among equal values, the first."""

    def __init__(self, lengths: np.ndarray, n_units: int, dtype: DTypeLike) -> None:
        super().__init__(lengths, n_units, dtype)
        self._maximum = self.running["maximum"] = np.full(self.shape, -np.inf, dtype)
        # Steps are stored. They cannot be found by values later: a recomputed window may differ in the last bit.
        self._step_of_maximum = np.zeros(self.shape, np.int32)

    def add(self, hidden: np.ndarray, packing: Packing, first_step: int) -> None:
        self.loops.add_to_maximum(self._maximum, self._step_of_maximum, hidden, packing, first_step)

    def finish(self, final_hidden: np.ndarray) -> np.ndarray:
        return self._maximum

    def add_errors(self, errors: np.ndarray, d_pooled: np.ndarray, packing: Packing, first_step: int) -> None:
        self.loops.add_at_maximum(errors, d_pooled, self._step_of_maximum, packing, first_step)


class PoolsSideBySide(Pool):
    """Several pools; the pooled states of the first one are the first n_units columns.

    Parameters
    ----------
    pools : list of Pool
    """

    def __init__(self, pools: list[Pool]) -> None:
        first = pools[0]
        super().__init__(first.lengths, first.shape[1], first.dtype)
        self._pools = pools
        self.needs_hidden = any(pool.needs_hidden for pool in pools)
        for pool in pools:
            self.running |= pool.running

    def add(self, hidden: np.ndarray, packing: Packing, first_step: int) -> None:
        for pool in self._pools:
            if pool.needs_hidden:
                pool.add(hidden, packing, first_step)

    def finish(self, final_hidden: np.ndarray) -> np.ndarray:
        return np.concatenate([pool.finish(final_hidden) for pool in self._pools], axis=1)

    def write_errors(self, errors: np.ndarray, d_pooled: np.ndarray, packing: Packing, first_step: int) -> None:
        pairs = [pair for pair in zip(self._pools, self._split(d_pooled)) if pair[0].needs_hidden]
        # One that writes every row writes first: to add them, it would need them all a second time.
        (first, d_first), *others = sorted(pairs, key=lambda pair: not pair[0].writes_every_row)
        first.write_errors(errors, d_first, packing, first_step)
        for pool, d_own in others:
            pool.add_errors(errors, d_own, packing, first_step)

    def add_errors(self, errors: np.ndarray, d_pooled: np.ndarray, packing: Packing, first_step: int) -> None:
        for pool, d_own in zip(self._pools, self._split(d_pooled)):
            pool.add_errors(errors, d_own, packing, first_step)

    def has_error(self, start: int, stop: int) -> bool:
        return any(pool.has_error(start, stop) for pool in self._pools)

    def d_final_hidden(self, d_pooled: np.ndarray, start: int, stop: int) -> np.ndarray:
        pairs = zip(self._pools, self._split(d_pooled))
        d_final = [pool.d_final_hidden(d_own, start, stop) for pool, d_own in pairs if not pool.needs_hidden]
        return sum(d_final[1:], d_final[0]) if d_final else super().d_final_hidden(d_pooled, start, stop)

    def _split(self, d_pooled: np.ndarray) -> list[np.ndarray]:
        """Views of the columns of each pool."""
        n_units = self.shape[1]
        return [d_pooled[:, k * n_units : (k + 1) * n_units] for k in range(len(self._pools))]


READOUTS: dict[str, Callable[..., Pool] | None] = {"last": LastPool, "mean": MeanPool, "max": MaxPool, "each": None}


def is_readout(value: Any) -> bool:
    """Whether a value is the name of a readout, or a tuple of two or more names of pools."""
    if isinstance(value, str):
        return value in READOUTS
    is_tuple = isinstance(value, tuple) and 2 <= len(value) <= len(READOUTS) and all(isinstance(n, str) for n in value)
    return is_tuple and len(set(value)) == len(value) and all(READOUTS.get(name) is not None for name in value)


def pool_names(readout: str | tuple[str, ...]) -> tuple[str, ...]:
    """Return the names of a readout's pools; none for readout "each"."""
    names = (readout,) if isinstance(readout, str) else readout
    return tuple(name for name in names if READOUTS[name] is not None)


def make_pool(
    names: tuple[str, ...], lengths: np.ndarray, n_units: int, dtype: DTypeLike, loops: LoopsOverSteps
) -> Pool | None:
    """Return the pool of these names for a batch; None for none. See :class:`Pool` for the other parameters."""
    pools = [make(lengths, n_units, dtype) for make in map(READOUTS.get, names) if make is not None]
    for pool in pools:
        pool.loops = loops
    if len(pools) < 2:
        return pools[0] if pools else None
    return PoolsSideBySide(pools)
