"""Predictions in blocks of sequences and chunks of steps: memory does not grow with the data."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from sklearn_rnn._data.batches import Dataset
from sklearn_rnn._data.packing import packing_of_equal_lengths
from sklearn_rnn._data.sequences import BaseSequences
from sklearn_rnn._network.blocks import prediction_blocks, steps_of_call
from sklearn_rnn._network.buffers import NetworkBuffers
from sklearn_rnn._network.network import RecurrentNetwork
from sklearn_rnn._network.prepared_weights import PreparedWeights
from sklearn_rnn._network.readouts import Pool
from sklearn_rnn._utils.threads import threads

FIRST = np.zeros(1, np.intp)  # the place of a single sequence


class InitialState:
    """The state of sequences before their first step.

    Parameters
    ----------
    network : RecurrentNetwork
    """

    def __init__(self, network: RecurrentNetwork) -> None:
        self.network = network

    def begin(self, order: np.ndarray, lengths: np.ndarray) -> tuple[list[np.ndarray], Pool | None]:
        """Return the network state and the pool (None for readout "each") of some sequences before their next steps.

        Parameters
        ----------
        order : ndarray of shape (n,), int
            Indices of the sequences.
        lengths : ndarray of shape (n,), int
            Number of next steps of each sequence.
        """
        return self.network.initial_state(len(order)), self.network.pool(lengths)

    def end(self, order: np.ndarray, lengths: np.ndarray, state: list[np.ndarray], pool: Pool | None) -> None:
        """Store the network state and the pool after these steps."""


class RunningState(InitialState):
    """The state of sequences that will continue.

    Parameters
    ----------
    network : RecurrentNetwork
        Not bidirectional.
    n_sequences : int

    Attributes
    ----------
    state : list of ndarray of shape (n_states, n_sequences, n_units)
        The network state.
    pooled : dict of str to ndarray of shape (n_sequences, n_hidden)
        The memory of the readout's pool of the steps so far.
    n_steps : ndarray of shape (n_sequences,), int64
        Number of steps so far.
    arrays : dict of str to ndarray of shape (n_sequences, ...)
        Live views of all three: "layer_0.h", "layer_0.c" (LSTM), …, "readout.sum", "readout.maximum", "n_steps".
    """

    def __init__(self, network: RecurrentNetwork, n_sequences: int) -> None:
        super().__init__(network)
        self.n_steps = np.zeros(n_sequences, np.int64)
        self.state, pool = super().begin(self.n_steps, np.ones(n_sequences, np.int64))
        self.pooled = {} if pool is None else pool.running
        self.arrays = {
            f"{direction.name}.{name}": array
            for direction, arrays in zip(network.directions, self.state)
            for name, array in zip(network.cell.state_names, arrays)
        }
        self.arrays |= {f"readout.{name}": array for name, array in self.pooled.items()}
        self.arrays["n_steps"] = self.n_steps

    def begin(self, order: np.ndarray, lengths: np.ndarray) -> tuple[list[np.ndarray], Pool | None]:
        """Return copies of the network state and the pool of some sequences; see :meth:`InitialState.begin`."""
        pool = self.network.pool(self.n_steps[order] + lengths)
        for name, running in ({} if pool is None else pool.running).items():
            running[...] = self.pooled[name][order]
        return [states.take(order, axis=1) for states in self.state], pool

    def end(self, order: np.ndarray, lengths: np.ndarray, state: list[np.ndarray], pool: Pool | None) -> None:
        for states, new in zip(self.state, state):
            states[:, order] = new
        for name, running in ({} if pool is None else pool.running).items():
            self.pooled[name][order] = running
        self.n_steps[order] += lengths

    def assign(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Copy the values of other arrays with the same names."""
        for name, array in self.arrays.items():
            array[...] = arrays[name]

    def copied_arrays(self) -> dict[str, np.ndarray]:
        """Return copies of the arrays, by name."""
        return {name: array.copy() for name, array in self.arrays.items()}


class Continuation(InitialState):
    """The state of some sequences of a :class:`RunningState`, which :meth:`commit` changes when all blocks are done.

    Parameters
    ----------
    running : RunningState
    which : ndarray of shape (n,), int; or None
        Indices of these sequences; None: all of them.
    """

    def __init__(self, running: RunningState, which: np.ndarray | None = None) -> None:
        super().__init__(running.network)
        self._running, self._which = running, which
        self._ends: list[tuple[np.ndarray, np.ndarray, list[np.ndarray], Pool | None]] = []

    def begin(self, order: np.ndarray, lengths: np.ndarray) -> tuple[list[np.ndarray], Pool | None]:
        """See :meth:`RunningState.begin`; ``order`` counts these sequences."""
        return self._running.begin(self._places(order), lengths)

    def end(self, order: np.ndarray, lengths: np.ndarray, state: list[np.ndarray], pool: Pool | None) -> None:
        """Keep the network state and the pool after these steps."""
        self._ends.append((self._places(order), lengths, state, pool))

    def commit(self) -> None:
        """Store the network state and the pool of all blocks in the running state."""
        for end in self._ends:
            self._running.end(*end)

    def _places(self, order: np.ndarray) -> np.ndarray:
        return order if self._which is None else self._which[order]


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

    def run_block(indices: np.ndarray, buffers: NetworkBuffers) -> None:
        batch = Dataset(sequences).pack(indices)
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

    in_blocks(run_block, prediction_blocks(network, sequences.lengths), n_jobs)
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

    def run_block(indices: np.ndarray, buffers: NetworkBuffers) -> None:
        batch = Dataset(sequences).pack(indices)
        packing = batch.packing
        # Pools are for predictions by sequence: this one, if there is one, stays empty.
        state, pool = running.begin(batch.order, packing.lengths)
        for first_step, chunk, hidden in network.forward_without_tape(weights, batch.rows, packing, state, buffers):
            step = first_step + chunk.step_of_row
            results[sequences.starts[batch.order][chunk.sequence_of_row] + step] = function(hidden)
        running.end(batch.order, packing.lengths, state, pool)

    in_blocks(run_block, prediction_blocks(network, sequences.lengths), n_jobs)
    return results


def in_blocks(
    function: Callable[[np.ndarray, NetworkBuffers], None], blocks: list[np.ndarray], n_jobs: int | None
) -> None:
    """Call ``function(indices, buffers)`` for each block of sequences; every call writes its own results."""
    spare_buffers: list[NetworkBuffers] = []  # one set of work arrays for each thread

    def without_warnings(indices: np.ndarray) -> None:
        buffers = spare_buffers.pop() if spare_buffers else NetworkBuffers()
        with np.errstate(over="ignore", invalid="ignore"):
            function(indices, buffers)
        spare_buffers.append(buffers)

    if len(blocks) == 1:  # threads, and a limit on those of BLAS, would take longer than a short sequence
        without_warnings(blocks[0])
    else:
        with threads(n_jobs) as run:
            list(run(without_warnings, blocks))
