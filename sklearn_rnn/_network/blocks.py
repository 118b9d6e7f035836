"""Blocks of sequences: the work of one thread at a time.

Their sizes never depend on the number of threads, so that no bit of a result depends on ``n_jobs``.
"""

from __future__ import annotations

import numpy as np

from sklearn_rnn._network.network import RecurrentNetwork

# Products of fewer sequences than the smallest block are too slow; the usual block is as fast as any larger one.
SMALLEST_BLOCK = 16
USUAL_BLOCK = 32
LARGEST_BLOCK = 256
# Multiplications that are worth a second thread, and those of a prediction's usual block.
SMALLEST_WORK = 2**23
USUAL_WORK = 2**24


def training_blocks(
    network: RecurrentNetwork, lengths: np.ndarray, indices: np.ndarray, steps_at_once: int | None = None
) -> list[np.ndarray]:
    """Cut a batch into blocks of about the same work, longest sequences first.

    Parameters
    ----------
    network : RecurrentNetwork
    lengths : ndarray of shape (n_all_sequences,), int
    indices : ndarray of int
        The batch's sequences.
    steps_at_once : int or None, default=None
        Steps between two updates, which the blocks run side by side; None for all.

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


def prediction_blocks(network: RecurrentNetwork, lengths: np.ndarray) -> list[np.ndarray]:
    """Cut all sequences into blocks of similar lengths, longest first; a prediction needs the memory of one block."""
    if len(lengths) == 0:
        return []
    work = network.work_per_row * int(lengths.sum())
    usual_block = USUAL_WORK * len(lengths) // work
    n_blocks = _count(len(lengths), work, min(max(USUAL_BLOCK, usual_block), LARGEST_BLOCK))
    longest_first = np.argsort(-lengths, kind="stable")
    return [longest_first] if n_blocks == 1 else np.array_split(longest_first, n_blocks)


def _count(n_sequences: int, work: int, usual_block: int) -> int:
    """Return two blocks for the work of two threads, and more if they are large enough."""
    by_work = work // SMALLEST_WORK
    return max(1, min(2, n_sequences // SMALLEST_BLOCK, by_work), min(n_sequences // usual_block, by_work))
