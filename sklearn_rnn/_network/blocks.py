"""Blocks of sequences: one thread works on one block at a time, or all threads share one.

The blocks of training do not depend on the number of threads: results have the same bits for any ``n_jobs``. Those of
predictions may, because the bits of a sequence do not depend on its block where threads share one.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from sklearn_rnn._network.network import CHUNK_VALUES, RecurrentNetwork

# Numbers of sequences. In a smaller block than the smallest, matrix products are too slow. A larger block than the
# usual one is not faster for each sequence.
SMALLEST_BLOCK = 16
USUAL_BLOCK = 32
LARGEST_BLOCK = 256
# Numbers of multiplications: the least of a block of predictions; of a block of training, which has more work beside
# its products, for an engine whose threads do not share a block, and for one whose threads do; and those of a usual
# block of predictions.
SMALLEST_WORK = 2**23
SMALLEST_TRAINING = 2**24
SMALLEST_SHARED_TRAINING = 2**26
USUAL_WORK = 2**24
# Of a call that one thread may run without a pause: Ctrl-C waits some milliseconds for its end.
WORK_OF_CALL = 2 * SMALLEST_WORK


def training_blocks(
    network: RecurrentNetwork,
    lengths: np.ndarray,
    indices: np.ndarray,
    n_steps: int,
    steps_at_once: int | None = None,
) -> list[np.ndarray]:
    """Cut a batch into blocks of about the same work, longest sequences first.

    Parameters
    ----------
    network : RecurrentNetwork
    lengths : ndarray of shape (n_all_sequences,), int
    indices : ndarray of int
        The batch's sequences.
    n_steps : int
        Number of steps of the longest one.
    steps_at_once : int or None, default=None
        Number of steps between two updates: blocks run side by side only between updates. None for all steps.

    Returns
    -------
    list of ndarray of int
    """
    n_sequences = len(indices)
    if n_sequences < 2 * SMALLEST_BLOCK:
        return [indices]
    most_steps = n_steps if steps_at_once is None else min(n_steps, steps_at_once)
    work_per_step = 3 * network.work_per_row  # forward, and twice as many backward
    smallest = SMALLEST_TRAINING if network.recurrence.uses_blas else SMALLEST_SHARED_TRAINING
    if work_per_step * n_sequences * most_steps < 2 * smallest:
        return [indices]
    work = work_per_step * int(np.minimum(lengths[indices], most_steps).sum())
    n_blocks = _count(n_sequences, work // smallest, USUAL_BLOCK)
    if n_blocks == 1:
        return [indices]
    longest_first = indices[np.argsort(-lengths[indices], kind="stable")]
    return [longest_first[k::n_blocks] for k in range(n_blocks)]  # every n-th sequence: blocks of about the same work


def prediction_blocks(network: RecurrentNetwork, lengths: np.ndarray, n_sharing: int = 1) -> list[np.ndarray]:
    """Cut all sequences into blocks of similar lengths, longest first.

    A thread works on a block, and needs the memory of one. Or ``n_sharing`` threads share a block, which then has as
    many times the usual number of sequences.
    """
    if len(lengths) < 2:  # the usual call of a service
        return [np.arange(1)] if len(lengths) else []
    work = network.work_per_row * int(lengths.sum())
    usual_block = min(max(USUAL_BLOCK, USUAL_WORK * len(lengths) // work), LARGEST_BLOCK)
    if n_sharing > 1:
        return _cut(lengths, max(1, len(lengths) // (usual_block * n_sharing)))
    return blocks_of_work(lengths, network.work_per_row, usual_block)


def steps_of_call(network: RecurrentNetwork, n_sequences: int) -> int:
    """Return the largest number of steps that a stepper may run in one call; 0 for too large networks or batches."""
    by_work = WORK_OF_CALL // (network.work_per_row * n_sequences)
    largest_layer = max(sum(direction.n_units for direction in layer) for layer in network.layers)
    return min(by_work, CHUNK_VALUES // (largest_layer * n_sequences))


def blocks_of_work(lengths: np.ndarray, work_per_row: int, usual_block: int) -> list[np.ndarray]:
    """Cut one or more sequences into blocks of similar lengths, of about ``usual_block`` sequences, longest first."""
    return _cut(lengths, _count(len(lengths), work_per_row * int(lengths.sum()) // SMALLEST_WORK, usual_block))


def _cut(lengths: np.ndarray, n_blocks: int) -> list[np.ndarray]:
    """Cut sequences into blocks of similar lengths and equal numbers of sequences, longest first."""
    longest_first = np.argsort(-lengths, kind="stable")
    borders = [k * len(lengths) // n_blocks for k in range(n_blocks + 1)]
    return [longest_first[start:stop] for start, stop in pairwise(borders)]


def _count(n_sequences: int, most: int, usual_block: int) -> int:
    """Return the number of blocks, at most ``most``: two for two threads, and more only for large blocks."""
    return max(1, min(2, n_sequences // SMALLEST_BLOCK, most), min(n_sequences // usual_block, most))
