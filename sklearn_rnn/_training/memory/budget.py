"""What the tapes of training take in memory, told before training; ``memory_budget`` in words."""

from __future__ import annotations

import re
from numbers import Integral
from typing import NamedTuple

import numpy as np

from sklearn_rnn._data.packing import Packing
from sklearn_rnn._network.blocks import training_blocks
from sklearn_rnn._training.memory.plan import (
    MemoryPlan,
    OverBudget,
    full_bytes,
    longest_window,
    n_segments_run,
    plan_memory,
    plan_starts,
    planned_bytes,
    sizes_of,
)
from sklearn_rnn._training.memory.segments import cut_into_segments
from sklearn_rnn._training.truncation.policy import Window

UNITS = {"B": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}


def in_bytes(memory_budget):
    """Read ``memory_budget``: None, a number of bytes, or a text such as "64MB".

    Raises
    ------
    ValueError
        For what is none of these, for less than a byte, and for more than a float can tell.
    """
    if memory_budget is None or (isinstance(memory_budget, Integral) and memory_budget is not True):
        return memory_budget
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]+)\s*", str(memory_budget))
    n_bytes = float(match[1]) * UNITS.get(match[2], 0) if match else 0
    if not 1 <= n_bytes < np.inf:
        raise ValueError(
            f"memory_budget={memory_budget!r} is not a number with one of the units {', '.join(UNITS)}: write, for "
            "instance, '64MB'."
        )
    return int(n_bytes)


class MemoryEstimate(NamedTuple):
    """What the activations that are stored for the backward pass take, for a batch of the longest sequences.

    Attributes
    ----------
    full : int
        Bytes without a budget: the tapes of all steps of the longest window, and the backward pass's own arrays.
    planned : int
        Bytes with ``memory_budget`` as it is set.
    smallest : int
        The smallest ``memory_budget`` that works, in bytes.
    n_forward_passes : float
        Times that the batch is run forward: 1 where all tapes fit and windows do not overlap, up to 2 where segments'
        tapes are made again once, more where the states that segments begin in do not all fit either. One more for
        the means and maxima that are cut into windows.
    """

    full: int
    planned: int
    smallest: int
    n_forward_passes: float


def memory_estimate(network, lengths, settings):
    """Tell what training would take.

    Parameters
    ----------
    network : RecurrentNetwork
    lengths : ndarray of shape (n_sequences,), int
        Network steps of every sequence.
    settings : TrainingSettings
        Of which the batch size, the truncation (drawn once, where it is random), dropout and the budget matter.

    Returns
    -------
    MemoryEstimate

    Raises
    ------
    ValueError
        Where the budget does not suffice.
    """
    batch = np.argsort(-lengths, kind="stable")[: settings.batch_size]
    policy = settings.truncation
    windows = policy.draw(int(lengths.max()), np.random.RandomState(0))
    # Whatever length "auto" chooses later, its blocks are at most those of all steps.
    steps_at_once = policy.length if network.readout == "each" and policy.has_fixed_length else None
    blocks = [np.sort(lengths[block])[::-1] for block in training_blocks(network, lengths, batch, steps_at_once)]
    is_ragged = len(np.unique(lengths)) > 1
    has_masks = settings.dropout > 0
    others = (is_ragged, not policy.has_fixed_windows)
    needs = [BlockMemory(network, block, windows, has_masks, *others) for block in blocks]
    full = sum(block.full for block in needs)
    smallest = len(needs) * max(block.smallest for block in needs)
    if policy.has_fixed_windows:
        smallest = min(smallest, full)  # no other batch needs more
    if settings.memory_budget is not None and smallest > settings.memory_budget:
        raise over_budget(settings.memory_budget, smallest)
    shares = shares_of(settings.memory_budget, needs)
    try:
        plans = [block.plan(share) for block, share in zip(needs, shares)]
    except OverBudget as error:
        raise over_budget(settings.memory_budget, error.args[0] * len(needs)) from error
    n_run = sum(n_rows_run for _, n_rows_run in plans) / sum(int(block.sum()) for block in blocks)
    return MemoryEstimate(full, sum(planned for planned, _ in plans), smallest, n_run)


def shares_of(budget, needs):
    """Budgets of a batch's blocks: what they need where all tapes of all blocks fit, else equal shares.

    Parameters
    ----------
    budget : int or None
    needs : list of BlockMemory

    Returns
    -------
    list of int, or of None where there is no budget
    """
    if budget is not None and sum(block.full for block in needs) <= budget:
        return [block.full for block in needs]
    return [None if budget is None else budget // len(needs)] * len(needs)


class BlockMemory:
    """What a block of a batch needs.

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
        Whether other windows than these may come.

    Attributes
    ----------
    full, smallest : int
        Bytes without a budget, and with the smallest one.
    """

    def __init__(self, network, lengths, windows, has_masks, is_ragged=False, is_any_window=False):
        self.network, self.has_masks = network, has_masks
        self.n_rows_of_heads, of_batch = 0, list(windows)
        self.stream = 0  # bytes for the steps that are run without a tape
        if network.readout == "last" and windows.tail is not None:
            self.stream = network.bytes_without_tape(Packing(lengths))
            tails, of_batch = np.minimum(lengths, windows.tail), [Window(0, 0, windows.tail)]
            self.n_rows_of_heads = int((lengths - tails).sum())
            lengths = lengths if is_any_window else tails
        self.packing = Packing(lengths)
        n_steps = self.packing.n_steps
        self.windows = [
            window._replace(stop=min(window.stop, n_steps)) for window in of_batch if window.start < n_steps
        ]
        longest = max(self.windows, key=self._n_rows)
        self.segments = cut_into_segments(network, self.packing, longest.start, longest.stop)
        # One update for all windows: a first pass for the pool, and states that the windows begin in.
        self.is_by_windows = network.readout != "each" and len(self.windows) > 1
        if self.is_by_windows or (is_any_window and network.readout != "each"):
            self.stream = network.bytes_without_tape(self.packing)
        n_rows = self.packing.n_rows if is_any_window else self._n_rows(longest)
        sizes = sizes_of(network, self.packing, n_rows, has_masks, is_dense=self.packing.is_dense and not is_ragged)
        self.more_work = sizes.work - sizes_of(network, self.packing, n_rows, has_masks).work
        self.smallest = sum(sizes) + sizes.state + self.stream
        # Segments also begin where losses do, where the next window does, and where errors are amplified.
        n_borders = 2 + max(len(windows.borders(w.start, w.stop)) for w in self.windows)
        n_states = n_borders + self.is_by_windows * len(self.windows)
        full = full_bytes(network, self.segments, has_masks)
        self.full = full + n_states * sizes.state + self.more_work + self.stream

    def _n_rows(self, window):
        rows = self.packing.rows_of_steps(window.start, window.stop)
        return rows.stop - rows.start

    def plan(self, budget):
        """Return (bytes that are planned for the longest window, rows that are run forward for all windows)."""
        more, n_run, packing, windows = self.more_work + self.stream, self.n_rows_of_heads, self.packing, self.windows
        if budget is None or budget >= self.full:
            budget = None
        elif not self.is_by_windows:
            budget -= self.stream
        if self.is_by_windows:
            n_rows = longest_window(packing, windows)
            n_starts, budget = plan_starts(self.network, packing, n_rows, len(windows), budget, self.has_masks)
            more += n_starts * self.network.state_bytes(packing.n_sequences)
            n_run += packing.n_rows * (n_segments_run(len(windows), MemoryPlan(0, n_starts)) / len(windows) - 1)
            if self.network.readout == "last":  # those without an end are not run again
                windows = [w for w in windows if ((w.start < packing.lengths) & (packing.lengths <= w.stop)).any()]
        plan = plan_memory(self.network, self.segments, budget, self.has_masks)
        n_times = n_segments_run(len(self.segments), plan) / len(self.segments)
        n_run += n_times * sum(map(self._n_rows, windows))
        planned = more + planned_bytes(self.network, self.segments, plan, self.has_masks)
        return self.full if budget is None else planned, n_run


def over_budget(budget, smallest):
    """Return the error for a budget that does not suffice."""
    return ValueError(
        f"memory_budget={budget} bytes is too little: the backward pass takes a segment of steps at a time, and the "
        f"segments of a batch need {smallest} bytes at the least. Raise memory_budget to that, better to some more: "
        "the less it is, the oftener steps are run again. Or have fewer sequences in a batch."
    )
