"""ActivationMemory: the memory that the backward passes of one block of sequences use, held to a budget."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import zip_longest
from typing import Any

from sklearn_rnn._data.packing import Packing
from sklearn_rnn._network.network import NetworkBuffers, RecurrentNetwork
from sklearn_rnn._training.memory.plan import (
    MemoryPlan,
    longest_window,
    n_rows_of,
    plan_memory,
    plan_starts,
    sizes_of,
)
from sklearn_rnn._training.memory.revolve import Checkpoints
from sklearn_rnn._training.memory.segments import Segment, SegmentedPass, cut_into_segments


class ActivationMemory:
    """Memory of the tapes of one block; batch after batch uses it again.

    Parameters
    ----------
    network : RecurrentNetwork
    budget : int or None, default=None
        Bytes that the tapes of a window, the states for recomputing them, and the arrays of the backward pass may take.

    Attributes
    ----------
    tapes : list of NetworkBuffers
        One for every tape.
    work : NetworkBuffers
        Of the backward pass, and of steps without a tape.
    """

    def __init__(self, network: RecurrentNetwork, budget: int | None = None) -> None:
        self.network, self.budget = network, budget
        self.work = NetworkBuffers()
        self.tapes: list[NetworkBuffers] = []

    def window_pass(
        self,
        run: Callable[..., Any],
        packing: Packing,
        start: int,
        stop: int,
        borders: Iterable[int],
        *,
        has_masks: bool,
        reserved: int = 0,
    ) -> SegmentedPass:
        """Return the pass over steps ``start`` to ``stop - 1`` of a batch; ``run`` as SegmentedPass takes it.

        ``borders`` are steps at which a segment must begin; ``reserved`` are bytes of the budget that are taken.
        """
        segments = cut_into_segments(self.network, packing, start, stop, borders)
        budget = None if self.budget is None else self.budget - reserved
        plan = plan_memory(self.network, segments, budget, has_masks)
        if budget is not None:
            self._make_room(segments, plan, budget, has_masks)
        return SegmentedPass(run, segments, plan.n_tapes, plan.n_states, self.tapes)

    def starts_of_windows(
        self, packing: Packing, windows: list[Any], *, has_masks: bool, reserved: int = 0
    ) -> tuple[Checkpoints, int]:
        """Return the checkpoints for the states before the windows of a batch, and the bytes reserved with them."""
        budget = None if self.budget is None else self.budget - reserved
        n_rows = longest_window(packing, windows)
        n_states, left = plan_starts(self.network, packing, n_rows, len(windows), budget, has_masks)
        return Checkpoints(len(windows), n_states), 0 if self.budget is None or left is None else self.budget - left

    def _make_room(self, segments: list[Segment], plan: MemoryPlan, budget: int, has_masks: bool) -> None:
        """Give back the memory of other windows' tapes, where it and the memory of these tapes exceed the budget."""
        network, taped = self.network, segments[len(segments) - plan.n_tapes :]
        tape, state, work = sizes_of(network, segments[0].batch_packing, n_rows_of(segments), has_masks)
        n_sequences = segments[0].batch_packing.n_sequences
        needed = [network.tape_bytes(n_rows_of([one]), n_sequences, has_masks) for one in taped]
        if len(taped) < len(segments):
            needed[0] = tape  # the segments that are run again use it too
        del self.tapes[len(taped) :]
        held = [buffers.n_bytes for buffers in self.tapes]
        if sum(map(max, zip_longest(held, needed, fillvalue=0))) > budget - work - plan.n_states * state:
            self.tapes.clear()
