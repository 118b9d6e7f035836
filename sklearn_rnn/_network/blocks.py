"""Blocks of sequences: what one thread takes at a time.

They are cut by sizes alone, never by the number of threads: so no bit of a result depends on ``n_jobs``.
"""

from __future__ import annotations

import numpy as np

# Fewer sequences than the smallest block multiply too slowly; the usual one is as fast as any larger one.
SMALLEST_BLOCK = 16
USUAL_BLOCK = 32
LARGEST_BLOCK = 256
# Multiplications for which it pays to wake a second thread; those of a prediction's usual block.
SMALLEST_WORK = 2**23
USUAL_WORK = 2**24


def training_blocks(network, lengths, indices, steps_at_once=None):
    """Cut a batch into blocks of about the same work, longest sequences first.

    Parameters
    ----------
    network : RecurrentNetwork
    lengths : ndarray of shape (n_all_sequences,), int
    indices : ndarray of int
        The batch's sequences.
    steps_at_once : int or None, default=None
        Steps from one update to the next, for which the blocks run side by side; None for all.

    Returns
    -------
    list of ndarray of int
    """
    if len(indices) < 2 * SMALLEST_BLOCK:
        return [indices]
    # A backward pass takes twice the multiplications of a forward pass.
    n_steps = lengths[indices] if steps_at_once is None else np.minimum(lengths[indices], steps_at_once)
    work = 3 * network.work_per_row * int(n_steps.sum())
    n_blocks = _count(len(indices), work, USUAL_BLOCK)
    if n_blocks == 1:
        return [indices]
    longest_first = indices[np.argsort(-lengths[indices], kind="stable")]
    return [longest_first[k::n_blocks] for k in range(n_blocks)]  # every n-th: about the same work


def prediction_blocks(network, lengths):
    """Cut all sequences into blocks of similar lengths, longest first; memory is that of a block."""
    if len(lengths) == 0:
        return []
    work = network.work_per_row * int(lengths.sum())
    usual_block = USUAL_WORK * len(lengths) // work
    n_blocks = _count(len(lengths), work, min(max(USUAL_BLOCK, usual_block), LARGEST_BLOCK))
    longest_first = np.argsort(-lengths, kind="stable")
    return [longest_first] if n_blocks == 1 else np.array_split(longest_first, n_blocks)


def _count(n_sequences, work, usual_block):
    """Two blocks where there is work for two threads, more where they are large enough."""
    by_work = work // SMALLEST_WORK
    return max(1, min(2, n_sequences // SMALLEST_BLOCK, by_work), min(n_sequences // usual_block, by_work))
