"""Segments: a window's forward pass in parts, of which only some keep their tapes; the others are run again.

A tape is what the backward pass needs of each step: several times the size of a state. Where the tapes of all segments
fit into the budget they are all kept. Otherwise the tapes of the last segments are kept, which the backward pass needs
first; the others are recomputed, segment by segment, from states that are kept (Chen et al. 2016, section 4; see
revolve.py for which states).

Segments are cut by sizes alone, with or without a budget, and a segment gives the same bits whenever it is run: so do
gradients.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from sklearn_rnn._data.packing import Packing
from sklearn_rnn._network.buffers import NetworkBuffers
from sklearn_rnn._network.network import NetworkTape, RecurrentNetwork
from sklearn_rnn._training.memory.revolve import Checkpoints, State

# Hidden states of a segment, times units, and the fewest rows: the products of fewer are slow. (Twice as many states
# save 2 % of the time where a window has several segments.)
SEGMENT_VALUES = 5 * 2**14
SMALLEST_SEGMENT = 256


class Segment(NamedTuple):
    """Steps ``start`` to ``stop - 1`` of a batch."""

    batch_packing: Packing
    start: int
    stop: int

    @property
    def rows(self) -> slice:
        """Slice of the batch's rows."""
        return self.batch_packing.rows_of_steps(self.start, self.stop)

    @property
    def packing(self) -> Packing:
        """New packing of these rows: it caches arrays over all rows, which must be freed after the pass."""
        return self.batch_packing.window(self.start, self.stop)


def cut_into_segments(
    network: RecurrentNetwork, packing: Packing, start: int, stop: int, borders: Iterable[int] = ()
) -> list[Segment]:
    """Cut steps ``start`` to ``stop - 1`` of a batch into segments of about equally many rows, and at ``borders``.

    Parameters
    ----------
    network : RecurrentNetwork
        A bidirectional one's steps are not cut: its reverse pass begins at the end.
    packing : Packing
        Of the whole batch.
    start, stop : int
    borders : iterable of int
        Steps at which a segment must begin; those outside of the window do not matter.

    Returns
    -------
    list of Segment
    """
    steps = {step for step in borders if start < step < stop}
    n_rows = largest_segment(network)
    if packing.n_rows > n_rows and not network.is_bidirectional:
        steps.update(_borders(packing.offsets, start, stop, n_rows))
    if not steps:
        return [Segment(packing, start, stop)]
    return [Segment(packing, *segment) for segment in pairwise([start, *sorted(steps), stop])]


def largest_segment(network: RecurrentNetwork) -> int:
    """Return the largest number of rows of a segment; a single step may have more."""
    return max(SMALLEST_SEGMENT, SEGMENT_VALUES // network.n_units)


def _borders(offsets: np.ndarray, start: int, stop: int, n_rows: int) -> list[int]:
    """Return steps that cut off at most ``n_rows`` rows (or one step) at a time: from the end, where tapes are kept."""
    borders = []
    while offsets[stop] - offsets[start] > n_rows:
        stop = min(stop - 1, int(np.searchsorted(offsets, offsets[stop] - n_rows)))
        borders.append(stop)
    return borders


class SegmentedPass:
    """A forward pass over a window, and the tapes of its segments from the last to the first.

    Parameters
    ----------
    run : callable
        ``run(segment, state, buffers, keeps_tape)`` runs a segment from a network state. It returns its hidden states,
        the network state after it, and its tape. All but the state are in the memory of ``buffers``.
    segments : list of Segment
    n_tapes : int
        Tapes to keep, of the last segments; at least 1.
    n_states : int
        States to keep at once for the other segments.
    memory : list of NetworkBuffers
        One for every tape, made where it is missing; the next pass may use them again.
    """

    def __init__(
        self,
        run: Callable[..., Any],
        segments: list[Segment],
        n_tapes: int,
        n_states: int,
        memory: list[NetworkBuffers],
    ) -> None:
        self._run, self._segments, self._memory = run, segments, memory
        while len(memory) < n_tapes:
            memory.append(NetworkBuffers())
        self._n_again = len(segments) - n_tapes
        self._checkpoints = Checkpoints(self._n_again, n_states)
        self._tapes: list[Any] = []

    def forward(self, state: State) -> Iterator[tuple[Segment, Any, State]]:
        """Run all segments from a network state.

        Yields
        ------
        segment : Segment
        hidden : ndarray of shape (n_rows, n_hidden), or None
            The last layer's h after every step; the memory is used again for the next segment.
        state : list of ndarray
            Network state after the segment.
        """
        for piece, segment in enumerate(self._segments[: self._n_again]):
            self._checkpoints.offer(piece, state)
            hidden, state, _ = self._run(segment, state, self._memory[0], False)
            yield segment, hidden, state
        for segment, buffers in zip(self._segments[self._n_again :], self._memory):
            hidden, state, tape = self._run(segment, state, buffers, True)
            self._tapes.append((hidden, tape))
            yield segment, hidden, state

    def backward(self) -> Iterator[tuple[Segment, np.ndarray, NetworkTape]]:
        """Give the tapes from the last segment to the first, after :meth:`forward` has run all segments.

        Yields
        ------
        segment : Segment
        hidden : ndarray of shape (n_rows, n_hidden)
        tape : NetworkTape
            Delete both before the next segment: their memory is used again.
        """
        for segment in reversed(self._segments[self._n_again :]):
            yield segment, *self._tapes.pop()
        for piece, state in self._checkpoints.backward(self._run_again):
            hidden, _, tape = self._run(self._segments[piece], state, self._memory[0], True)
            yield self._segments[piece], hidden, tape
            del hidden, tape

    def _run_again(self, piece: int, state: State) -> State:
        return self._run(self._segments[piece], state, self._memory[0], False)[1]
