"""Applying a network: in blocks of sequences, in windows of steps, so that memory does not grow with the data."""

from __future__ import annotations

import numpy as np

from sklearn_rnn._data.packing import Dataset
from sklearn_rnn._network.blocks import prediction_blocks
from sklearn_rnn._network.network import NetworkBuffers
from sklearn_rnn._utils.threads import threads


class InitialState:
    """Where sequences stand before their first step.

    Parameters
    ----------
    network : RecurrentNetwork
    """

    def __init__(self, network):
        self.network = network

    def begin(self, order, lengths):
        """Return network state and pool (None for readout "each") of some sequences before their next steps.

        Parameters
        ----------
        order : ndarray of shape (n,), int
            Which sequences.
        lengths : ndarray of shape (n,), int
            By how many steps each goes on.
        """
        return self.network.initial_state(len(order)), self.network.pool(lengths)

    def end(self, order, lengths, state, pool):
        """Keep state and pool after these steps."""


class RunningState(InitialState):
    """Where sequences stand that will go on.

    Parameters
    ----------
    network : RecurrentNetwork
        Not bidirectional.
    n_sequences : int

    Attributes
    ----------
    state : list of ndarray of shape (n_states, n_sequences, n_units)
        The network state.
    pooled : ndarray of shape (n_sequences, n_hidden), or None
        What the readout has pooled so far.
    n_steps : ndarray of shape (n_sequences,), int64
        Steps so far.
    arrays : dict of str to ndarray of shape (n_sequences, ...)
        Live views of all of it: "layer_0.h", "layer_0.c" (LSTM), …, "readout.sum" or "readout.maximum", "n_steps".
    """

    def __init__(self, network, n_sequences):
        super().__init__(network)
        self.n_steps = np.zeros(n_sequences, np.int64)
        self.state, pool = super().begin(self.n_steps, np.ones(n_sequences, np.int64))
        self.pooled = None if pool is None else pool.running
        self.arrays = {
            f"{direction.name}.{name}": array
            for direction, arrays in zip(network.directions, self.state)
            for name, array in zip(network.cell.state_names, arrays)
        }
        if self.pooled is not None:
            self.arrays[f"readout.{pool.running_name}"] = self.pooled
        self.arrays["n_steps"] = self.n_steps

    def begin(self, order, lengths):
        """As :meth:`InitialState.begin`, with copies of where these sequences stand."""
        _, pool = super().begin(order[:0], self.n_steps[order] + lengths)
        if self.pooled is not None:
            pool.running[...] = self.pooled[order]
        return [np.take(states, order, axis=1) for states in self.state], pool

    def end(self, order, lengths, state, pool):
        for states, new in zip(self.state, state):
            states[:, order] = new
        if self.pooled is not None:
            self.pooled[order] = pool.running
        self.n_steps[order] += lengths

    def assign(self, arrays):
        """Take the contents of other arrays by the same names."""
        for name, array in self.arrays.items():
            array[...] = arrays[name]

    def copied_arrays(self):
        """Return copies of the arrays, by name."""
        return {name: array.copy() for name, array in self.arrays.items()}


def predict_scores(network, sequences, n_jobs=None, weights=None, running=None):
    """Apply a network and its output layer.

    Parameters
    ----------
    network : RecurrentNetwork
    sequences : Sequences
    n_jobs : int or None
    weights : PreparedWeights, default=None
        The network's own, not for a backward pass. None: prepared here.
    running : RunningState, default=None
        Where the sequences stand: they go on from there, and it follows. None: they begin.

    Returns
    -------
    ndarray of shape (n_sequences, n_outputs), or (n_rows, n_outputs) for readout "each"
        The raw scores.
    """
    weights = network.prepare(for_backward=False) if weights is None else weights
    running = InitialState(network) if running is None else running
    if network.readout == "each":
        return _for_every_step(network, sequences, network.n_outputs, weights.output, n_jobs, weights, running)
    scores = np.empty((len(sequences), network.n_outputs), network.dtype)

    def predict_block(indices, buffers):
        batch = Dataset(sequences).pack(indices)
        packing = batch.packing
        state, pool = running.begin(batch.order, packing.lengths)
        chunks = network.forward_without_tape(
            weights, batch.rows, packing, state, buffers, keeps_hidden=pool.needs_hidden
        )
        for first_step, chunk, hidden in chunks:
            pool.add(hidden, chunk, first_step)
        scores[batch.order] = weights.output(pool.finish(network.final_hidden(state)))
        running.end(batch.order, packing.lengths, state, pool)

    _in_blocks(predict_block, network, sequences, n_jobs)
    return scores


def hidden_states(network, sequences, n_jobs=None):
    """h of the last layer after every step, (n_rows, n_hidden), rows as those of ``sequences``."""
    weights = network.prepare(for_backward=False)
    return _for_every_step(network, sequences, network.n_hidden, lambda h: h, n_jobs, weights, InitialState(network))


def _for_every_step(network, sequences, n_columns, function, n_jobs, weights, running):
    """Apply ``function`` to the hidden states of all steps; rows as those of ``sequences``."""
    results = np.empty((sequences.n_rows, n_columns), network.dtype)

    def run_block(indices, buffers):
        batch = Dataset(sequences).pack(indices)
        packing = batch.packing
        # Pools are for predictions by sequence: none is filled here.
        state, pool = running.begin(batch.order, packing.lengths)
        for first_step, chunk, hidden in network.forward_without_tape(weights, batch.rows, packing, state, buffers):
            step = first_step + chunk.step_of_row
            results[sequences.starts[batch.order][chunk.sequence_of_row] + step] = function(hidden)
        running.end(batch.order, packing.lengths, state, pool)

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
