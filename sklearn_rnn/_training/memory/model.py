"""The memory model: bytes of activations, and plans that fit them into a budget.

The engine says how many numbers its passes store for each row (RowValues); all bytes follow from these.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from sklearn_rnn._data.packing import Packing
from sklearn_rnn._network.blocks import training_blocks
from sklearn_rnn._network.network import RecurrentNetwork
from sklearn_rnn._training.memory.budget import MemoryEstimate, OverBudget, over_budget
from sklearn_rnn._training.memory.revolve import advance, fewest_runs
from sklearn_rnn._training.memory.segments import Segment, cut_into_segments, largest_segment
from sklearn_rnn._training.settings import TrainingSettings
from sklearn_rnn._training.truncation.policy import Window, Windows


class MemoryPlan(NamedTuple):
    """The activations to store in a forward pass over some segments.

    Attributes
    ----------
    n_tapes : int
        Of the last segments.
    n_states : int
        States to store at once for the other segments, the one before the first segment among them.
    """

    n_tapes: int
    n_states: int

    def n_runs(self, n_segments: int) -> int:
        """Return how many segments are run forward in all; ``n_segments`` if every tape is stored."""
        n_again = n_segments - self.n_tapes
        if n_again == 0:
            return n_segments
        # The first pass has already been the way to the last state that it stored.
        last, n_free = 0, self.n_states - 1
        while n_free and last < n_again - 1:
            last += advance(n_again - last, n_free)
            n_free -= 1
        return n_segments + n_again + fewest_runs(n_again, self.n_states - 1) - last


class SegmentBytes(NamedTuple):
    """Bytes of the largest segment's tape, of a network state, and of the backward pass's own arrays."""

    tape: int
    state: int
    work: int


class MemoryModel:
    """Bytes of the passes over a block of sequences.

    Parameters
    ----------
    network : RecurrentNetwork
    packing : Packing
        Of the block.
    has_masks : bool, default=False
        Whether there is dropout between the layers.

    Attributes
    ----------
    state : int
        Bytes of a network state.
    """

    def __init__(self, network: RecurrentNetwork, packing: Packing, has_masks: bool = False) -> None:
        self.network, self.packing = network, packing
        self._has_masks = has_masks
        self._keeps_hidden = network.readout != "last"
        self._values = network.row_values()
        self._n_inputs = 0 if network.embedding is None else network.embedding.n_inputs  # made of every row
        self._item_size = network.dtype.itemsize
        self.state = network.cell.n_states * packing.n_sequences * network.n_units * self._item_size

    # ---- Bytes ---------------------------------------------------------------------------------------

    def tape(self, n_rows: int, is_ragged: bool = False) -> int:
        """Return the bytes of the tape of ``n_rows`` rows, which begins with the states before them.

        ``is_ragged`` is for a batch as large as this one, of sequences that are not equally long.
        """
        network, n_sequences = self.network, self.packing.n_sequences
        values = self._n_inputs + sum(values.tape for values in self._values)
        if self._has_masks:  # otherwise a layer reads the hidden states of the layer below in place
            values += network.n_units - network.n_hidden
        n_values = n_rows * values
        if network.is_bidirectional:  # room for the states before the first step in front of the rows and behind them
            n_values += n_sequences * network.n_units
        if self._has_copies(is_ragged):  # both directions side by side, and the inputs of the reverse ones
            n_values += (n_rows + n_sequences) * network.n_units
            n_values += n_rows * sum(forward.n_features for forward, _ in network.layers[1:])
        return n_values * self._item_size + self.state

    def work(self, n_rows: int, is_ragged: bool = False) -> int:
        """Return the bytes of the arrays of a backward pass over ``n_rows`` rows, beside the tape; as :meth:`tape`."""
        is_dense = self.packing.is_dense and not is_ragged
        n_values = n_rows * self._keeps_hidden * self.network.n_hidden  # the errors from the readout
        for direction, values in zip(self.network.directions, self._values):
            n_work_rows = min(n_rows, max(self.packing.n_sequences, values.max_work_rows))
            previous = 0 if is_dense else direction.n_units  # h before every step is a copy
            n_values += n_work_rows * (values.work + previous)
            # Orders in which errors are kept: that of time, and that of the reverse.
            n_orders = 1 + (direction.is_reverse and self._has_copies(is_ragged))
            if self._n_inputs or direction not in self.network.layers[0]:
                n_values += n_orders * n_rows * direction.n_features  # d_x
            n_values += (n_orders - 1) * n_rows * direction.n_units  # d_hidden
        return n_values * self._item_size

    def _has_copies(self, is_ragged: bool) -> bool:
        """Whether reverse directions work on copies of the rows in reverse order."""
        is_dense = self.packing.is_dense and not is_ragged
        return self.network.is_bidirectional and not (is_dense and self.network.recurrence.in_place is not None)

    def without_tape(self) -> int:
        """Return the bytes of a pass without a tape over all steps, for the readout."""
        network, keeps_hidden = self.network, self.network.readout != "last"
        n_steps = 1 + network.steps_at_once(self.packing, keeps_hidden)  # the state before them is there too
        n_values = (n_steps - 1) * self._n_inputs + sum(
            max(2 * direction.n_units, n_steps * values.without_tape)
            for direction, values in zip(network.directions, network.row_values(keeps_hidden))
        )
        return self.packing.n_sequences * n_values * self._item_size

    def segment(self, n_rows: int, is_ragged: bool = False) -> SegmentBytes:
        """Return the bytes for the largest segment of a window of ``n_rows`` rows."""
        if not self.network.is_bidirectional:
            n_rows = min(n_rows, max(largest_segment(self.network), self.packing.n_sequences))
        return SegmentBytes(self.tape(n_rows, is_ragged), self.state, self.work(n_rows, is_ragged))

    def full(self, segments: list[Segment]) -> int:
        """Return the bytes of a pass over some segments that stores every tape."""
        n_rows = sum(map(self.n_rows, segments))
        # Every tape begins with the states before its segment.
        return self.tape(n_rows) + (len(segments) - 1) * self.state + self.segment(n_rows).work

    def planned(self, segments: list[Segment], plan: MemoryPlan) -> int:
        """Return the bytes of a pass over some segments that stores what a plan says."""
        if plan.n_tapes == len(segments):
            return self.full(segments)
        tape, state, work = self.segment(sum(map(self.n_rows, segments)))
        return plan.n_tapes * tape + plan.n_states * state + work

    def n_rows(self, steps: Segment | Window) -> int:
        """Return the number of rows of a segment, or of a window; it may reach beyond the end."""
        offsets = self.packing.offsets
        return int(offsets[min(steps.stop, self.packing.n_steps)] - offsets[steps.start])

    # ---- Plans ---------------------------------------------------------------------------------------

    def plan(self, segments: list[Segment], budget: int | None) -> MemoryPlan:
        """Choose the activations to store in a forward pass over the segments of a window.

        Raises
        ------
        OverBudget
            If not even one segment fits.
        """
        n_segments = len(segments)
        if budget is None or self.full(segments) <= budget:
            return MemoryPlan(n_segments, 0)
        tape, state, work = sizes = self.segment(sum(map(self.n_rows, segments)))
        if sum(sizes) > budget:
            raise OverBudget(sum(sizes))
        # As many tapes as leave room for a state of each other segment.
        n_tapes = (budget - work - n_segments * state) // (tape - state)
        if n_tapes >= 1:
            n_tapes = min(n_tapes, n_segments - 1)
            return MemoryPlan(n_tapes, n_segments - n_tapes)
        return MemoryPlan(1, (budget - work - tape) // state)

    def plan_starts(self, windows: list[Window], budget: int) -> tuple[int, int]:
        """Share a budget between the states at the starts of windows, and the windows, which are run one by one.

        Returns
        -------
        n_states : int
            Number of these states to store at once.
        left : int
            Bytes for a window: at least half of those that it can do without.

        Raises
        ------
        OverBudget
            If one state and the smallest window do not fit.
        """
        without_tape = self.without_tape()  # from window to window
        needed = sum(self.segment(max(map(self.n_rows, windows)))) + without_tape
        if needed + self.state > budget:
            raise OverBudget(needed + self.state)
        n_states = min(len(windows), max(1, (budget - needed) // 2 // self.state))
        return n_states, budget - without_tape - n_states * self.state


class BlockMemory:
    """The memory that a block of a batch needs.

    Parameters
    ----------
    network : RecurrentNetwork
    lengths : ndarray of shape (n_sequences,), int
        Non-increasing.
    windows : Windows
        Of the whole batch.
    has_masks : bool
        Whether there is dropout between the layers.
    is_ragged : bool, default=False
        Whether sequences of other blocks may have other lengths than these.
    is_any_window : bool, default=False
        Whether other batches may have other windows.

    Attributes
    ----------
    full, smallest : int
        Bytes without a budget, and with the smallest one.
    """

    def __init__(
        self,
        network: RecurrentNetwork,
        lengths: np.ndarray,
        windows: Windows,
        has_masks: bool,
        is_ragged: bool = False,
        is_any_window: bool = False,
    ) -> None:
        tail = windows.tail if network.readout == "last" else None
        tails = lengths if tail is None else np.minimum(lengths, tail)  # the steps before them are run without a tape
        self._n_rows_of_heads = int((lengths - tails).sum())
        packing = Packing(lengths if is_any_window else tails)
        self._model = model = MemoryModel(network, packing, has_masks)
        of_batch = list(windows) if tail is None else [Window(0, 0, tail)]
        self._windows = [w._replace(stop=min(w.stop, packing.n_steps)) for w in of_batch if w.start < packing.n_steps]
        longest = max(self._windows, key=model.n_rows)
        self._segments = cut_into_segments(network, packing, longest.start, longest.stop)
        # One update for all windows: a first pass for the pool, and the states at the starts of the windows.
        self._is_by_windows = network.readout != "each" and len(self._windows) > 1
        without_tape = 0
        if tail is not None or self._is_by_windows or (is_any_window and network.readout != "each"):
            without_tape = MemoryModel(network, Packing(lengths)).without_tape()
        n_rows = packing.n_rows if is_any_window else model.n_rows(longest)
        sizes = model.segment(n_rows, is_ragged)
        self.smallest = sum(sizes) + model.state + without_tape
        self._without_tape, self._more_if_ragged = without_tape, sum(sizes) - sum(model.segment(n_rows))
        # Segments also begin where losses do, where the next window does, and where errors are amplified.
        n_borders = 2 + max(len(windows.borders(w.start, w.stop)) for w in self._windows)
        n_states = n_borders + self._is_by_windows * len(self._windows)
        self.full = model.full(self._segments) + n_states * model.state + self._more_if_ragged + without_tape

    def plan(self, budget: int | None) -> tuple[int, float]:
        """Return (bytes that are planned for the longest window, rows that are run forward for all windows)."""
        model, segments, windows = self._model, self._segments, self._windows
        if budget is not None and budget >= self.full:
            budget = None
        n_bytes, n_rows = self._more_if_ragged + self._without_tape, float(self._n_rows_of_heads)
        left = None if budget is None else budget - self._without_tape
        if self._is_by_windows:
            n_starts = len(windows)
            if budget is not None:
                n_starts, left = model.plan_starts(windows, budget)
            n_bytes += n_starts * model.state
            n_rows += model.packing.n_rows * (MemoryPlan(0, n_starts).n_runs(len(windows)) / len(windows) - 1)
            if model.network.readout == "last":  # windows that no sequence ends in are not run again
                lengths = model.packing.lengths
                windows = [w for w in windows if ((w.start < lengths) & (lengths <= w.stop)).any()]
        plan = model.plan(segments, left)
        n_rows += plan.n_runs(len(segments)) / len(segments) * sum(map(model.n_rows, windows))
        return self.full if budget is None else n_bytes + model.planned(segments, plan), n_rows


def shares_of(budget: int | None, blocks: list[BlockMemory]) -> list[int] | list[None]:
    """Share a budget between a batch's blocks: what they need if all tapes of all blocks fit, else equal shares."""
    if budget is None:
        return [None] * len(blocks)
    if sum(block.full for block in blocks) <= budget:
        return [block.full for block in blocks]
    return [budget // len(blocks)] * len(blocks)


def memory_estimate(network: RecurrentNetwork, lengths: np.ndarray, settings: TrainingSettings) -> MemoryEstimate:
    """Estimate the activation memory of training.

    Parameters
    ----------
    network : RecurrentNetwork
    lengths : ndarray of shape (n_sequences,), int
        Network steps of every sequence.
    settings : TrainingSettings
        The batch size, the truncation (drawn once, if it is random), dropout and the budget matter.

    Raises
    ------
    ValueError
        If the budget is too small.
    """
    budget, policy = settings.memory_budget, settings.truncation
    n_steps = int(lengths.max())
    windows = policy.draw(n_steps, np.random.RandomState(0))
    # Whatever length "auto" chooses later, its blocks are at most those of all steps.
    steps_at_once = policy.length if network.readout == "each" and policy.has_fixed_length else None
    longest = np.argsort(-lengths, kind="stable")[: settings.batch_size]
    parts = [
        np.sort(lengths[part])[::-1] for part in training_blocks(network, lengths, longest, n_steps, steps_at_once)
    ]
    others = (len(np.unique(lengths)) > 1, not policy.has_fixed_windows)
    blocks = [BlockMemory(network, part, windows, settings.dropout > 0, *others) for part in parts]
    full = sum(block.full for block in blocks)
    smallest = len(blocks) * max(block.smallest for block in blocks)
    if policy.has_fixed_windows:
        smallest = min(smallest, full)  # no other batch needs more
    if budget is not None and smallest > budget:
        raise over_budget(budget, smallest)
    planned, n_rows = zip(*(block.plan(share) for block, share in zip(blocks, shares_of(budget, blocks))))
    return MemoryEstimate(full, sum(planned), smallest, sum(n_rows) / sum(int(part.sum()) for part in parts))
