"""Predictions in blocks of sequences and chunks of steps: memory does not grow with the data."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from sklearn_rnn._data.batches import Dataset, PackedBatch
from sklearn_rnn._data.packing import packing_of_equal_lengths
from sklearn_rnn._data.sequences import BaseSequences
from sklearn_rnn._inference.running_state import InitialState, RunningState
from sklearn_rnn._network.blocks import prediction_blocks, steps_of_call
from sklearn_rnn._network.buffers import NetworkBuffers
from sklearn_rnn._network.network import RecurrentNetwork
from sklearn_rnn._network.prepared_weights import PreparedWeights
from sklearn_rnn._utils.threads import number_of_threads, threads

# Of the blocks that all threads share. Of more, each thread takes one at a time, and so packs its sequences too.
MOST_SHARED = 4
SMALLEST_SHARED = 2**20  # multiplications: to ask for the number of threads takes some microseconds
FIRST = np.zeros(1, np.intp)  # the place of a single sequence


class SingleSequence:
    """Runs a sequence from its first step to its last in one call: fast for single sequences.

    Parameters
    ----------
    network : RecurrentNetwork
    weights : PreparedWeights
        Without ``for_backward``.
    """

    def __init__(self, network: RecurrentNetwork, weights: PreparedWeights) -> None:
        self._most_steps, self._is_per_step = steps_of_call(network, 1), network.readout == "each"
        if self._most_steps:
            running = RunningState(network, 1)
            arrays = [*running.state, *running.pooled.values(), running.n_steps]
            self._starts = [(array, array.copy()) for array in arrays]
            self._stepper = network.stepper(weights, running.state, running.pooled, running.n_steps)
            self._most_steps *= self._stepper is not None

    def scores(self, sequences: BaseSequences) -> np.ndarray | None:
        """Return the raw scores of a single sequence, as ``predict_scores`` does; None if it is too long for a call."""
        n_steps = int(sequences.lengths[0])
        if n_steps > self._most_steps:
            return None
        assert self._stepper is not None
        for array, start in self._starts:
            array[...] = start
        rows = sequences.packed_rows(FIRST, packing_of_equal_lengths(1, n_steps))
        return self._stepper.run_steps(rows, n_steps, self._is_per_step)

    @classmethod
    def scores_of(
        cls, network: RecurrentNetwork, sequences: BaseSequences, weights: PreparedWeights
    ) -> np.ndarray | None:
        """Return the scores by a spare object of the weights; threads never share one."""
        try:
            single = weights.spare.pop()
        except IndexError:
            single = cls(network, weights)
        scores = single.scores(sequences)
        weights.spare.append(single)
        return scores


def predict_scores(
    network: RecurrentNetwork,
    sequences: BaseSequences,
    n_jobs: int | None = None,
    weights: PreparedWeights | None = None,
    running: InitialState | None = None,
) -> np.ndarray:
    """Apply a network and its output layer.

    Parameters
    ----------
    network : RecurrentNetwork
    sequences : BaseSequences
    n_jobs : int or None
    weights : PreparedWeights, default=None
        The network's weights, prepared without ``for_backward``. None: they are prepared here.
    running : InitialState, default=None
        State from which the sequences continue. None: they begin.

    Returns
    -------
    ndarray of shape (n_sequences, n_outputs), or (n_rows, n_outputs) for readout "each"
        The raw scores.
    """
    weights = network.prepare(for_backward=False) if weights is None else weights
    if running is None and len(sequences) == 1:
        scores = SingleSequence.scores_of(network, sequences, weights)
        if scores is not None:
            return scores
    running = InitialState(network) if running is None else running
    of_each = _for_every_step if network.readout == "each" else _for_every_sequence
    return of_each(network, sequences, network.n_outputs, weights.output, n_jobs, weights, running)


def output_inputs(network: RecurrentNetwork, sequences: BaseSequences, n_jobs: int | None = None) -> np.ndarray:
    """Return the output layer's input: pooled states (n_sequences, n_pooled), or h of every step (n_rows, n_hidden)."""
    weights, of_each = network.prepare(for_backward=False), _for_every_sequence
    if network.readout == "each":
        of_each = _for_every_step
    return of_each(network, sequences, network.n_pooled, lambda h: h, n_jobs, weights, InitialState(network))


def hidden_states(network: RecurrentNetwork, sequences: BaseSequences, n_jobs: int | None = None) -> np.ndarray:
    """h of the last layer after every step, (n_rows, n_hidden), in the order of the rows of ``sequences``."""
    weights = network.prepare(for_backward=False)
    return _for_every_step(network, sequences, network.n_hidden, lambda h: h, n_jobs, weights, InitialState(network))


def _for_every_sequence(
    network: RecurrentNetwork,
    sequences: BaseSequences,
    n_columns: int,
    function: Callable[[np.ndarray], np.ndarray],
    n_jobs: int | None,
    weights: PreparedWeights,
    running: InitialState,
) -> np.ndarray:
    """Apply ``function`` to the pooled states of all sequences; return the results in the order of the sequences."""
    results = np.empty((len(sequences), n_columns), network.dtype)

    def run_batch(batch: PackedBatch, buffers: NetworkBuffers) -> None:
        packing = batch.packing
        state, pool = running.begin(batch.order, packing.lengths)
        assert pool is not None
        chunks = network.forward_without_tape(
            weights, batch.rows, packing, state, buffers, keeps_hidden=pool.needs_hidden
        )
        for first_step, chunk, hidden in chunks:
            pool.add(hidden, chunk, first_step)
        results[batch.order] = function(pool.finish(network.final_hidden(state)))
        running.end(batch.order, packing.lengths, state, pool)

    _in_batches(run_batch, network, sequences, n_jobs, weights)
    return results


def _for_every_step(
    network: RecurrentNetwork,
    sequences: BaseSequences,
    n_columns: int,
    function: Callable[[np.ndarray], np.ndarray],
    n_jobs: int | None,
    weights: PreparedWeights,
    running: InitialState,
) -> np.ndarray:
    """Apply ``function`` to the hidden states of all steps; return the results in the order of the rows."""
    results = np.empty((sequences.n_rows, n_columns), network.dtype)

    def run_batch(batch: PackedBatch, buffers: NetworkBuffers) -> None:
        packing = batch.packing
        # Pools are for predictions by sequence: this one, if there is one, stays empty.
        state, pool = running.begin(batch.order, packing.lengths)
        for first_step, chunk, hidden in network.forward_without_tape(weights, batch.rows, packing, state, buffers):
            step = first_step + chunk.step_of_row
            results[sequences.starts[batch.order][chunk.sequence_of_row] + step] = function(hidden)
        running.end(batch.order, packing.lengths, state, pool)

    _in_batches(run_batch, network, sequences, n_jobs, weights)
    return results


def _in_batches(
    function: Callable[[PackedBatch, NetworkBuffers], None],
    network: RecurrentNetwork,
    sequences: BaseSequences,
    n_jobs: int | None,
    weights: PreparedWeights,
) -> None:
    """Call ``function(batch, buffers)`` for each block of sequences; every call writes its own results."""
    dataset, lengths = Dataset(sequences), sequences.lengths
    is_small = network.work_per_row * sequences.n_rows < SMALLEST_SHARED
    n_threads = 1 if is_small else number_of_threads(n_jobs)
    blocks = prediction_blocks(network, lengths, 1 if weights.uses_blas else n_threads)
    are_shared = len(blocks) <= MOST_SHARED
    if not are_shared and n_threads > 1:
        blocks = prediction_blocks(network, lengths)
    in_blocks(lambda indices, buffers: function(dataset.pack(indices), buffers), blocks, n_threads, weights, are_shared)


def in_blocks(
    function: Callable[[Any, NetworkBuffers], None],
    blocks: list[Any],
    n_threads: int,
    weights: PreparedWeights,
    are_shared: bool = False,
) -> None:
    """Call ``function(block, buffers)`` for each block of sequences; every call writes its own results.

    ``n_threads`` is the number of threads. With ``are_shared``, or if there is a single block, all of them work on one
    block after the other, if the engine can do so; otherwise each takes a block at a time.
    """
    n_sharing = n_threads if (are_shared or len(blocks) == 1) and not weights.uses_blas else 1

    def without_warnings(block: Any) -> None:
        buffers = weights.take_buffers()  # one set of work arrays for each thread that takes blocks
        buffers.n_threads = n_sharing
        with np.errstate(over="ignore", invalid="ignore"):
            function(block, buffers)
        weights.keep_buffers(buffers)

    if len(blocks) == 1 or n_sharing > 1:  # threads of Python, and a limit on those of BLAS, would take longer
        for block in blocks:
            without_warnings(block)
    else:
        with threads(n_threads, limits_blas=weights.uses_blas) as run:
            list(run(without_warnings, blocks))
