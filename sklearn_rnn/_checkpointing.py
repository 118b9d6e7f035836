"""Bounded memory: a forward pass in segments, of which only some keep their tapes; the others are run again.

A tape is what the backward pass needs of each step: several times the size of a state. Where the tapes of all segments
fit into the budget they are kept; else those of the last ones are, which the backward pass needs first, and of the
others the states that they begin in: one more forward pass over them, segment by segment, gives their tapes back. Where
not even all of these states fit, they are kept at those segments that make the fewest runs (Griewank & Walther 2000,
"Revolve", algorithm 799; for recurrent networks Chen et al. 2016, section 4, and Gruslys et al. 2016, section 3.1).

Segments are cut by sizes alone, budget or not, and a segment gives the same bits whenever it is run: so do gradients.
"""

from __future__ import annotations

from itertools import pairwise
from math import comb
from typing import NamedTuple

import numpy as np

from sklearn_rnn._network import NetworkBuffers
from sklearn_rnn._packing import Packing

# Hidden states of a segment, times units, and the fewest rows: the products of fewer are slow. (Twice as many states
# save 2 % of the time where a window has several segments.)
SEGMENT_VALUES = 5 * 2**14
SMALLEST_SEGMENT = 256


class Segment(NamedTuple):
    """Steps ``start`` to ``stop - 1`` of a batch, their packing, and where they stand among the batch's rows."""

    start: int
    stop: int
    packing: Packing
    rows: slice


def cut_into_segments(network, packing, start, stop, borders=()):
    """Cut steps ``start`` to ``stop - 1`` of a batch into segments of about equally many rows, and at ``borders``.

    Parameters
    ----------
    network : RecurrentNetwork
        A bidirectional one's steps are not cut: its reverse pass begins at the end.
    packing : Packing
        Of the whole batch.
    start, stop : int
    borders : iterable of int
        Steps that a segment is to begin at; those outside do not matter.

    Returns
    -------
    list of Segment
    """
    n_rows = max(SMALLEST_SEGMENT, SEGMENT_VALUES // sum(direction.n_units for direction in network.directions))
    steps = {start, stop}.union(step for step in borders if start < step < stop)
    if not network.is_bidirectional:
        steps.update(_borders(packing.offsets, start, stop, n_rows))
    return [
        Segment(start, stop, packing.window(start, stop), packing.rows_of_steps(start, stop))
        for start, stop in pairwise(sorted(steps))
    ]


def _borders(offsets, start, stop, n_rows):
    """Steps that cut off ``n_rows`` rows at the most, or one step, at a time: from the end, where tapes are kept."""
    borders = []
    while offsets[stop] - offsets[start] > n_rows:
        stop = min(stop - 1, int(np.searchsorted(offsets, offsets[stop] - n_rows)))
        borders.append(stop)
    return borders


class MemoryPlan(NamedTuple):
    """What is kept of a forward pass.

    Attributes
    ----------
    n_tapes : int
        Of the last segments, at least 1.
    n_states : int
        States to keep at once for the other segments, that before the first one among them.
    """

    n_tapes: int
    n_states: int


class OverBudget(Exception):
    """A budget does not suffice; its argument is the smallest that does, in bytes."""


def plan_memory(network, segments, budget=None, has_masks=False):
    """Choose what to keep of a forward pass over some segments.

    Parameters
    ----------
    network : RecurrentNetwork
    segments : list of Segment
    budget : int or None
        Bytes for tapes, states, and the arrays that the backward pass needs for itself; None for no bound.
    has_masks : bool
        Whether there is dropout between the layers.

    Returns
    -------
    MemoryPlan

    Raises
    ------
    OverBudget
        Where the largest segment does not fit.
    """
    n_segments = len(segments)
    if budget is None:
        return MemoryPlan(n_segments, 0)
    tapes, state, work = _sizes(network, segments, has_masks)
    if tapes.sum() + work <= budget:
        return MemoryPlan(n_segments, 0)
    if smallest_budget(network, segments, has_masks) > budget:
        raise OverBudget(smallest_budget(network, segments, has_masks))
    budget, largest = budget - work, tapes.max()
    # Segments that are run again do so in the memory of the first tape that is kept.
    n_tapes = np.arange(1, n_segments)
    held = np.cumsum(tapes[:0:-1]) - tapes[:0:-1] + largest
    fits = held + (n_segments - n_tapes) * state <= budget
    if fits.any():
        most = int(n_tapes[fits].max())
        return MemoryPlan(most, n_segments - most)
    return MemoryPlan(1, int((budget - largest) // state))


def smallest_budget(network, segments, has_masks=False):
    """Bytes that some segments can do with: the largest tape, a state to begin it from, the backward pass's own."""
    tapes, state, work = _sizes(network, segments, has_masks)
    return int(min(tapes.sum(), tapes.max() + state) + work)


def planned_bytes(network, segments, plan, has_masks=False):
    """Bytes that a plan takes at the same time: tapes, states, and the backward pass's own arrays."""
    tapes, state, work = _sizes(network, segments, has_masks)
    if plan.n_tapes == len(segments):
        return int(tapes.sum() + work)
    return int(tapes.max() + tapes[len(segments) - plan.n_tapes + 1 :].sum() + plan.n_states * state + work)


def _sizes(network, segments, has_masks):
    """Bytes of every segment's tape, of a network state, and of the backward pass's own arrays."""
    packings = [segment.packing for segment in segments]
    n_sequences = packings[0].n_sequences
    tapes = [network.tape_bytes(packing.n_rows, n_sequences, has_masks) for packing in packings]
    largest = max(packings, key=lambda packing: packing.n_rows)
    return np.array(tapes), network.state_bytes(n_sequences), network.work_bytes(largest)


def n_segments_run(n_segments, plan):
    """Segments that the forward passes of a plan run in all: ``n_segments`` where every tape is kept."""
    n_again = n_segments - plan.n_tapes
    if n_again == 0:
        return n_segments
    # The first pass has already been the way to the last state that it kept.
    last, n_free = 0, plan.n_states - 1
    while n_free and last < n_again - 1:
        last += advance(n_again - last, n_free)
        n_free -= 1
    return n_segments + n_again + fewest_runs(n_again, plan.n_states - 1) - last


def fewest_runs(n_segments, n_states):
    """Segments to run without a tape, at the least, for the tapes of ``n_segments`` from the last to the first.

    The state before the first one is there, and ``n_states`` more may be kept (Griewank & Walther 2000, eq. 3).
    """
    n = _repetitions(n_segments, n_states)
    return n * n_segments - comb(n_states + 1 + n, n - 1)


def advance(n_segments, n_states):
    """After how many of ``n_segments``, at least 2, to keep a state, for the fewest runs; 1 or more are to be kept."""
    n = _repetitions(n_segments, n_states)
    # Not more before it than n - 1 repetitions suffice for, nor less behind it.
    return max(1, min(comb(n_states + n, n - 1), n_segments - comb(n_states + n - 1, n - 1)))


def _repetitions(n_segments, n_states):
    """How often a segment is run without a tape at the most."""
    n = 1
    while comb(n_states + 1 + n, n) < n_segments:
        n += 1
    return n


class SegmentedPass:
    """A forward pass over a window, and the segments' tapes from the last to the first.

    Parameters
    ----------
    run : callable
        ``run(segment, state, buffers, keeps_tape)`` runs a segment from a network state, and returns its hidden states,
        the network state after it, and the tape, all but the state in the memory of ``buffers``.
    segments : list of Segment
    plan : MemoryPlan
    memory : list of NetworkBuffers
        One for every tape, made where it is missing; the next pass may use them again.
    """

    def __init__(self, run, segments, plan, memory):
        self._run, self._segments, self._plan, self._memory = run, segments, plan, memory
        while len(memory) < plan.n_tapes:
            memory.append(NetworkBuffers())
        self._n_again = len(segments) - plan.n_tapes
        self._states: list = []  # (segment, network state before it) of those that are kept, first to last
        self._tapes: list = []

    def forward(self, state):
        """Run all segments.

        Parameters
        ----------
        state : list of ndarray
            Network state before the first step.

        Yields
        ------
        segment : Segment
        hidden : ndarray of shape (n_rows, n_hidden), or None
            Of the segment; until the next one is run.
        state : list of ndarray
            Network state after it.
        """
        if self._n_again:
            self._states.append((0, state))
            for segment, hidden, state in self._run_up_to(self._n_again - 1):
                yield segment, hidden, state
            segment = self._segments[self._n_again - 1]
            hidden, state, _ = self._run(segment, state, self._memory[0], False)
            yield segment, hidden, state
        for segment, buffers in zip(self._segments[self._n_again :], self._memory):
            hidden, state, tape = self._run(segment, state, buffers, True)
            self._tapes.append((hidden, tape))
            yield segment, hidden, state

    def backward(self):
        """Give the tapes, after :meth:`forward` has run all segments.

        Yields
        ------
        segment : Segment
            From the last to the first.
        hidden : ndarray of shape (n_rows, n_hidden)
        tape : NetworkTape
            To be used before the next one is asked for.
        """
        for segment in reversed(self._segments[self._n_again :]):
            yield segment, *self._tapes.pop()
        for index in reversed(range(self._n_again)):
            _, state = self._states[-1]
            for step in self._run_up_to(index):
                state = step[-1]
            hidden, _, tape = self._run(self._segments[index], state, self._memory[0], True)
            yield self._segments[index], hidden, tape
            if self._states[-1][0] == index:
                self._states.pop()

    def _run_up_to(self, last):
        """Run from the last state that is kept up to segment ``last``, whose tape comes next; keep states underway."""
        index, state = self._states[-1]
        while index < last:
            n_free = self._plan.n_states - len(self._states)
            n_segments = advance(last + 1 - index, n_free) if n_free else last - index
            for segment in self._segments[index : index + n_segments]:
                hidden, state, _ = self._run(segment, state, self._memory[0], False)
                yield segment, hidden, state
            index += n_segments
            if n_free:
                self._states.append((index, state))
