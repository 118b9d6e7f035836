"""ActivationMemory: the memory that the backward passes of one block of sequences use, within a budget."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import zip_longest
from typing import Any

from sklearn_rnn._data.packing import Packing
from sklearn_rnn._network.buffers import NetworkBuffers
from sklearn_rnn._network.network import RecurrentNetwork
from sklearn_rnn._training.memory.model import MemoryModel, MemoryPlan
from sklearn_rnn._training.memory.revolve import Checkpoints
from sklearn_rnn._training.memory.segments import Segment, SegmentedPass, cut_into_segments
from sklearn_rnn._training.truncation.policy import Window


class ActivationMemory:
    """Memory of the activations of one block, which every batch uses again.

    Parameters
    ----------
    network : RecurrentNetwork
    budget : int or None, default=None
        Bytes for the tapes of a window, the states for recomputing them, and the arrays of the backward pass.

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
        plan = MemoryPlan(len(segments), 0)
        if self.budget is not None:
            model = MemoryModel(self.network, packing, has_masks)
            plan = model.plan(segments, self.budget - reserved)
            self._make_room(model, segments, plan, self.budget - reserved)
        return SegmentedPass(run, segments, plan.n_tapes, plan.n_states, self.tapes)

    def reserved_without_tape(self, packing: Packing) -> int:
        """Return the bytes of the budget that a pass without a tape takes; 0 without a budget."""
        return 0 if self.budget is None else MemoryModel(self.network, packing).without_tape()

    def starts_of_windows(self, packing: Packing, windows: list[Window], *, has_masks: bool) -> tuple[Checkpoints, int]:
        """Return the checkpoints for the states before the windows of a batch, and the bytes reserved with them."""
        if self.budget is None:
            return Checkpoints(len(windows), len(windows)), 0
        n_states, left = MemoryModel(self.network, packing, has_masks).plan_starts(windows, self.budget)
        return Checkpoints(len(windows), n_states), self.budget - left

    def _make_room(self, model: MemoryModel, segments: list[Segment], plan: MemoryPlan, budget: int) -> None:
        """Free the memory of other windows' tapes, if it exceeds the budget together with that of these tapes."""
        tape, state, work = model.segment(sum(map(model.n_rows, segments)))
        needed = [model.tape(model.n_rows(segment)) for segment in segments[len(segments) - plan.n_tapes :]]
        if plan.n_tapes < len(segments):
            needed[0] = tape  # the segments that are run again use it too
        del self.tapes[plan.n_tapes :]
        held = [buffers.n_bytes for buffers in self.tapes]
        if sum(map(max, zip_longest(held, needed, fillvalue=0))) > budget - work - plan.n_states * state:
            self.tapes.clear()
