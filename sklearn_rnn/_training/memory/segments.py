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

from sklearn_rnn._data.packing import Packing
from sklearn_rnn._network.network import NetworkBuffers

# Hidden states of a segment, times units, and the fewest rows: the products of fewer are slow. (Twice as many states
# save 2 % of the time where a window has several segments.)
SEGMENT_VALUES = 5 * 2**14
SMALLEST_SEGMENT = 256


class Segment(NamedTuple):
    """Steps ``start`` to ``stop - 1`` of a batch that is packed as ``whole``."""

    whole: Packing
    start: int
    stop: int

    @property
    def rows(self):
        """Slice of the batch's rows."""
        return self.whole.rows_of_steps(self.start, self.stop)

    @property
    def packing(self):
        """Packing of these rows, made anew: what it remembers of every row goes with it."""
        return self.whole.window(self.start, self.stop)


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
    steps = {step for step in borders if start < step < stop}
    n_rows = largest_segment(network)
    if packing.n_rows > n_rows and not network.is_bidirectional:
        steps.update(_borders(packing.offsets, start, stop, n_rows))
    if not steps:
        return [Segment(packing, start, stop)]
    return [Segment(packing, *segment) for segment in pairwise([start, *sorted(steps), stop])]


def largest_segment(network):
    """Rows of a segment at the most, unless a single step has more."""
    return max(SMALLEST_SEGMENT, SEGMENT_VALUES // network.n_units)


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


class Sizes(NamedTuple):
    """Bytes at the most of any segment's tape, of a network state, and of the arrays of the backward pass."""

    tape: int
    state: int
    work: int


def sizes_of(network, packing, n_rows, has_masks=False, is_dense=None):
    """Return the sizes for segments of a batch.

    Parameters
    ----------
    network : RecurrentNetwork
    packing : Packing
        Of the batch.
    n_rows : int
        Of the window that is cut into segments.
    has_masks : bool
        Whether there is dropout between the layers.
    is_dense : bool or None
        Whether sequences are equally long; None for what those of the batch are.

    Returns
    -------
    Sizes
    """
    n_sequences = packing.n_sequences
    if not network.is_bidirectional:
        n_rows = min(n_rows, max(largest_segment(network), n_sequences))
    return Sizes(
        network.tape_bytes(n_rows, n_sequences, has_masks),
        network.state_bytes(n_sequences),
        network.work_bytes(n_rows, n_sequences, packing.is_dense if is_dense is None else is_dense),
    )


def n_rows_of(segments):
    """Rows of all segments of a window."""
    return segments[-1].rows.stop - segments[0].rows.start


def longest_window(packing, windows):
    """Rows of the longest of some windows of a batch."""
    return max(int(packing.offsets[min(w.stop, packing.n_steps)] - packing.offsets[w.start]) for w in windows)


def full_bytes(network, segments, has_masks=False):
    """Bytes that a pass over some segments takes where every tape is kept."""
    packing, n_rows = segments[0].whole, n_rows_of(segments)
    sizes = sizes_of(network, packing, n_rows, has_masks)
    # Every tape begins with the hidden states before the segment.
    tapes = network.tape_bytes(n_rows, packing.n_sequences, has_masks) + (len(segments) - 1) * sizes.state
    return tapes + sizes.work


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
        Where not even one segment fits.
    """
    n_segments = len(segments)
    if budget is None or full_bytes(network, segments, has_masks) <= budget:
        return MemoryPlan(n_segments, 0)
    tape, state, work = sizes_of(network, segments[0].whole, n_rows_of(segments), has_masks)
    if tape + state + work > budget:
        raise OverBudget(tape + state + work)
    # So many tapes that a state for each of the other segments fits too.
    n_tapes = (budget - work - n_segments * state) // (tape - state)
    if n_tapes >= 1:
        n_tapes = min(n_tapes, n_segments - 1)
        return MemoryPlan(n_tapes, n_segments - n_tapes)
    return MemoryPlan(1, (budget - work - tape) // state)


def plan_starts(network, packing, n_rows, n_windows, budget=None, has_masks=False):
    """Share a budget between the states that windows begin in, and the windows, which are run one after another.

    Parameters
    ----------
    network : RecurrentNetwork
    packing : Packing
        Of the batch.
    n_rows : int
        Of the longest window.
    n_windows : int
    budget : int or None
    has_masks : bool

    Returns
    -------
    n_states : int
        To keep at once.
    budget : int or None
        What is left for the windows: at least the half of what they do not need.

    Raises
    ------
    OverBudget
        Where not even one of each fits.
    """
    if budget is None:
        return n_windows, None
    tape, state, work = sizes_of(network, packing, n_rows, has_masks)
    budget -= network.stream_bytes(packing)  # from window to window
    spare = budget - tape - state - work
    if spare < state:
        raise OverBudget(tape + 2 * state + work + network.stream_bytes(packing))
    n_states = min(n_windows, max(1, spare // 2 // state))
    return n_states, budget - n_states * state


def planned_bytes(network, segments, plan, has_masks=False):
    """Bytes that a plan takes at the same time: tapes, states, and the backward pass's own arrays."""
    if plan.n_tapes == len(segments):
        return full_bytes(network, segments, has_masks)
    tape, state, work = sizes_of(network, segments[0].whole, n_rows_of(segments), has_masks)
    return plan.n_tapes * tape + plan.n_states * state + work


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

    The state before the first one is there, and ``n_states`` more may be kept (Griewank & Walther 2000).
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


class Checkpoints:
    """Network states before some pieces of a forward pass, given from the last to the first; few of them are kept.

    Parameters
    ----------
    n_pieces : int
    n_states : int
        To keep at once, at least 1: that before the first piece.
    """

    def __init__(self, n_pieces, n_states):
        self._n_pieces, self._n_states = n_pieces, n_states
        self._kept: list = []  # (piece, state before it), first to last

    def forward(self, state, run):
        """Run all pieces with ``run(piece, state)``, which returns the state after a piece; return the last state."""
        self._kept.append((0, state))
        last = self._n_pieces - 1
        return run(last, self._run_up_to(last, run))

    def backward(self, run):
        """Yield (piece, state before it), from the last to the first; pieces are run again for it where they must."""
        for piece in reversed(range(self._n_pieces)):
            yield piece, self._run_up_to(piece, run)
            if self._kept[-1][0] == piece:
                self._kept.pop()

    def _run_up_to(self, last, run):
        """Return the state before a piece, run from the last one that is kept; keep some underway."""
        piece, state = self._kept[-1]
        while piece < last:
            n_free = self._n_states - len(self._kept)
            stop = piece + advance(last + 1 - piece, n_free) if n_free else last
            for between in range(piece, stop):
                state = run(between, state)
            piece = stop
            if n_free:
                self._kept.append((piece, state))
        return state


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
        self._run, self._segments, self._memory = run, segments, memory
        while len(memory) < plan.n_tapes:
            memory.append(NetworkBuffers())
        self._n_again = len(segments) - plan.n_tapes
        self._checkpoints = Checkpoints(self._n_again, plan.n_states)
        self._tapes: list = []

    def forward(self, state, look=None):
        """Run all segments.

        Parameters
        ----------
        state : list of ndarray
            Network state before the first step.
        look : callable, or None
            Is called with (segment, hidden, state) after each: its hidden states, until the next one is run, and the
            network state after it.

        Returns
        -------
        list of ndarray
            Network state after the last step.
        """

        def run(piece, state):
            hidden, state, _ = self._run(self._segments[piece], state, self._memory[0], False)
            if look is not None:
                look(self._segments[piece], hidden, state)
            return state

        if self._n_again:
            state = self._checkpoints.forward(state, run)
        for segment, buffers in zip(self._segments[self._n_again :], self._memory):
            hidden, state, tape = self._run(segment, state, buffers, True)
            self._tapes.append((hidden, tape))
            if look is not None:
                look(segment, hidden, state)
        return state

    def backward(self, send_back):
        """Give the tapes, after :meth:`forward` has run all segments.

        Parameters
        ----------
        send_back : callable
            Is called with (segment, hidden, tape) for every segment, from the last to the first: its hidden states,
            (n_rows, n_hidden), and its NetworkTape, neither of which it may keep: their memory is to be free again.
        """
        for segment in reversed(self._segments[self._n_again :]):
            send_back(segment, *self._tapes.pop())
        for piece, state in self._checkpoints.backward(self._run_again):
            hidden, _, tape = self._run(self._segments[piece], state, self._memory[0], True)
            send_back(self._segments[piece], hidden, tape)
            del hidden, tape

    def _run_again(self, piece, state):
        return self._run(self._segments[piece], state, self._memory[0], False)[1]
