"""Memory plans: what to keep of a forward pass, so that it fits into a budget."""

from __future__ import annotations

from typing import NamedTuple

from sklearn_rnn._training.memory.revolve import advance, fewest_runs
from sklearn_rnn._training.memory.segments import largest_segment


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
    packing, n_rows = segments[0].batch_packing, n_rows_of(segments)
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
    tape, state, work = sizes_of(network, segments[0].batch_packing, n_rows_of(segments), has_masks)
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
    budget -= network.bytes_without_tape(packing)  # from window to window
    spare = budget - tape - state - work
    if spare < state:
        raise OverBudget(tape + 2 * state + work + network.bytes_without_tape(packing))
    n_states = min(n_windows, max(1, spare // 2 // state))
    return n_states, budget - n_states * state


def planned_bytes(network, segments, plan, has_masks=False):
    """Bytes that a plan takes at the same time: tapes, states, and the backward pass's own arrays."""
    if plan.n_tapes == len(segments):
        return full_bytes(network, segments, has_masks)
    tape, state, work = sizes_of(network, segments[0].batch_packing, n_rows_of(segments), has_masks)
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
