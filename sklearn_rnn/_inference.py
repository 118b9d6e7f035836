"""Applying a network: in blocks of sequences, in windows of steps, so that memory does not grow with the data."""

from __future__ import annotations

import numpy as np

from sklearn_rnn._packing import Dataset
from sklearn_rnn._threads import threads

SEQUENCES_AT_ONCE = 256


def predict_scores(network, sequences, n_jobs=None):
    """Raw scores, (n_sequences, n_outputs), or (n_rows, n_outputs) for readout "each"."""
    if network.readout == "each":
        return _for_every_step(network, sequences, network.n_outputs, network.scores, n_jobs)
    scores = np.empty((len(sequences), network.n_outputs), network.dtype)

    def predict_block(indices):
        batch = Dataset(sequences).pack(indices)
        packing = batch.packing
        pool = network.pool(packing.lengths)
        state = network.initial_state(packing.n_sequences)
        for first_step, chunk, hidden in network.stream(batch.rows, packing, state):
            pool.add(hidden, chunk, first_step)
        scores[batch.order] = network.scores(pool.finish(network.final_hidden(state)))

    _in_blocks(predict_block, sequences, n_jobs)
    return scores


def hidden_states(network, sequences, n_jobs=None):
    """h of the last layer after every step, (n_rows, n_hidden), rows as those of ``sequences``."""
    return _for_every_step(network, sequences, network.n_hidden, lambda hidden: hidden, n_jobs)


def _for_every_step(network, sequences, n_columns, function, n_jobs):
    """Apply ``function`` to the hidden states of all steps; rows as those of ``sequences``."""
    results = np.empty((len(sequences.rows), n_columns), network.dtype)

    def run_block(indices):
        batch = Dataset(sequences).pack(indices)
        state = network.initial_state(batch.packing.n_sequences)
        for first_step, chunk, hidden in network.stream(batch.rows, batch.packing, state):
            step = first_step + chunk.step_of_row
            results[sequences.starts[batch.order][chunk.sequence_of_row] + step] = function(hidden)

    _in_blocks(run_block, sequences, n_jobs)
    return results


def _in_blocks(function, sequences, n_jobs):
    """Call ``function(indices)`` on blocks of sequences of similar length; each writes its own results."""
    longest_first = np.argsort(-sequences.lengths, kind="stable")
    blocks = [
        longest_first[start : start + SEQUENCES_AT_ONCE] for start in range(0, len(longest_first), SEQUENCES_AT_ONCE)
    ]

    def without_warnings(indices):
        with np.errstate(over="ignore", invalid="ignore"):
            function(indices)

    with threads(n_jobs) as run:
        list(run(without_warnings, blocks))
