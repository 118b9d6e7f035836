"""Applying a network: in blocks of sequences, in windows of steps, so that memory does not grow with the data."""

from __future__ import annotations

import numpy as np

from sklearn_rnn._blocks import prediction_blocks
from sklearn_rnn._network import NetworkBuffers
from sklearn_rnn._packing import Dataset
from sklearn_rnn._threads import threads


def predict_scores(network, sequences, n_jobs=None):
    """Raw scores, (n_sequences, n_outputs), or (n_rows, n_outputs) for readout "each"."""
    if network.readout == "each":
        return _for_every_step(network, sequences, network.n_outputs, network.scores, n_jobs)
    weights = network.prepare(for_backward=False)
    scores = np.empty((len(sequences), network.n_outputs), network.dtype)

    def predict_block(indices, buffers):
        batch = Dataset(sequences).pack(indices)
        packing = batch.packing
        pool = network.pool(packing.lengths)
        state = network.initial_state(packing.n_sequences)
        chunks = network.stream(weights, batch.rows, packing, state, buffers, keeps_hidden=pool.needs_hidden)
        for first_step, chunk, hidden in chunks:
            pool.add(hidden, chunk, first_step)
        scores[batch.order] = network.scores(pool.finish(network.final_hidden(state)))

    _in_blocks(predict_block, network, sequences, n_jobs)
    return scores


def hidden_states(network, sequences, n_jobs=None):
    """h of the last layer after every step, (n_rows, n_hidden), rows as those of ``sequences``."""
    return _for_every_step(network, sequences, network.n_hidden, lambda hidden: hidden, n_jobs)


def _for_every_step(network, sequences, n_columns, function, n_jobs):
    """Apply ``function`` to the hidden states of all steps; rows as those of ``sequences``."""
    weights = network.prepare(for_backward=False)
    results = np.empty((sequences.n_rows, n_columns), network.dtype)

    def run_block(indices, buffers):
        batch = Dataset(sequences).pack(indices)
        state = network.initial_state(batch.packing.n_sequences)
        for first_step, chunk, hidden in network.stream(weights, batch.rows, batch.packing, state, buffers):
            step = first_step + chunk.step_of_row
            results[sequences.starts[batch.order][chunk.sequence_of_row] + step] = function(hidden)

    _in_blocks(run_block, network, sequences, n_jobs)
    return results


def _in_blocks(function, network, sequences, n_jobs):
    """Call ``function(indices, buffers)`` on blocks of sequences; each writes its own results."""
    spare_buffers: list[NetworkBuffers] = []  # one set of work arrays for each thread, whichever block it takes next

    def without_warnings(indices):
        buffers = spare_buffers.pop() if spare_buffers else NetworkBuffers()
        with np.errstate(over="ignore", invalid="ignore"):
            function(indices, buffers)
        spare_buffers.append(buffers)

    blocks = prediction_blocks(network, sequences.lengths)
    if len(blocks) == 1:  # a pool and BLAS's limits would take longer than a short sequence
        without_warnings(blocks[0])
    else:
        with threads(n_jobs) as run:
            list(run(without_warnings, blocks))
