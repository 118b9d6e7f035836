"""What the tapes of training take in memory, told before training; ``memory_budget`` in words."""

from __future__ import annotations

import re
from typing import NamedTuple

import numpy as np

from sklearn_rnn._blocks import training_blocks
from sklearn_rnn._checkpointing import cut_into_segments, n_segments_run, plan_memory, planned_bytes, smallest_budget
from sklearn_rnn._packing import Packing

UNITS = {"B": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}


def in_bytes(memory_budget):
    """Read ``memory_budget``: None, a number of bytes, or a text such as "64MB".

    Raises
    ------
    ValueError
        For a text that is none of these.
    """
    if not isinstance(memory_budget, str):
        return memory_budget
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]+)\s*", memory_budget)
    if match is None or match[2] not in UNITS or float(match[1]) == 0:
        raise ValueError(
            f"memory_budget={memory_budget!r} is not a number with one of the units {', '.join(UNITS)}: write, for "
            "instance, '64MB'."
        )
    return int(float(match[1]) * UNITS[match[2]])


class MemoryEstimate(NamedTuple):
    """What the activations that are stored for the backward pass take, for a batch of the longest sequences.

    Attributes
    ----------
    full : int
        Bytes without a budget: the tapes of all steps of a window, and the backward pass's own arrays.
    planned : int
        Bytes with ``memory_budget`` as it is set.
    smallest : int
        The smallest ``memory_budget`` that works, in bytes.
    n_forward_passes : float
        Forward passes that an update takes as planned: 1 where all tapes fit, up to 2 where those of some segments are
        made again once, more where the states that segments begin in do not all fit either.
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
        Of which the batch size, the truncation, dropout and the budget matter.

    Returns
    -------
    MemoryEstimate

    Raises
    ------
    ValueError
        Where the budget does not suffice.
    """
    batch = np.argsort(-lengths, kind="stable")[: settings.batch_size]
    steps_at_once = settings.truncation.length if network.readout == "each" else None
    blocks = training_blocks(network, lengths, batch, steps_at_once)
    budget = settings.memory_budget
    has_masks = settings.dropout > 0 and len(network.layers) > 1
    full = planned = smallest = n_run = n_segments = 0
    for block in blocks:
        packing = Packing(np.sort(np.minimum(lengths[block], settings.truncation.longest or lengths.max()))[::-1])
        segments = cut_into_segments(network, packing, 0, packing.n_steps)
        full += planned_bytes(network, segments, plan_memory(network, segments), has_masks)
        smallest = max(smallest, smallest_budget(network, segments, has_masks) * len(blocks))
        if budget is not None and smallest > budget:
            raise over_budget(budget, smallest)
        plan = plan_memory(network, segments, budget if budget is None else budget // len(blocks), has_masks)
        planned += planned_bytes(network, segments, plan, has_masks)
        n_run, n_segments = n_run + n_segments_run(len(segments), plan), n_segments + len(segments)
    return MemoryEstimate(full, planned, smallest, n_run / n_segments)


def over_budget(budget, smallest):
    """Return the error for a budget that does not suffice."""
    return ValueError(
        f"memory_budget={budget} bytes is too little: the backward pass takes a segment of steps at a time, and the "
        f"segments of a batch need {smallest} bytes at the least. Raise memory_budget to that, or lower batch_size."
    )
