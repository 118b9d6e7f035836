"""Gradients of outputs with respect to X, at one point or along the way from a baseline; in blocks of sequences.

The network reads the inputs of its first layer here, not X: numbers, and the vectors of categories. The error of the
inputs is summed over each vector, and over the patches that contain a step.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from scipy.special import roots_legendre

from sklearn_rnn._data.batches import Dataset
from sklearn_rnn._data.packing import Packing
from sklearn_rnn._model import Model
from sklearn_rnn._network.blocks import USUAL_BLOCK
from sklearn_rnn._network.network import NetworkBuffers, PreparedWeights, RecurrentNetwork
from sklearn_rnn._training.memory.activations import ActivationMemory
from sklearn_rnn._training.memory.budget import OverBudget
from sklearn_rnn._training.memory.segments import SegmentedPass
from sklearn_rnn._utils.threads import threads
from sklearn_rnn._utils.warnings import without_overflow_warnings
from sklearn_rnn.inspection._explained_output import ExplainedOutput

# Network steps of all sequences and points that are run at once, unless one sequence has more.
ROWS_AT_ONCE = 2**13
# Bytes for the activations of a thread. Longer sequences run segments forward again; see sklearn_rnn/_training/memory.
MEMORY_BUDGET = 2**27


class Way(NamedTuple):
    """Points on the way from the baseline, 0, to X, 1, and the weight of the gradient at each.

    Attributes
    ----------
    points, weights : ndarray of shape (n_points,)
    is_integral : bool
        Whether the gradient is multiplied with the distance of X from the baseline.
    """

    points: np.ndarray
    weights: np.ndarray
    is_integral: bool

    @classmethod
    def at_the_end(cls) -> Way:
        """Return the way of the gradient at X."""
        return cls(np.ones(1), np.ones(1), False)

    @classmethod
    def integral(cls, n_points: int) -> Way:
        """Return the way of integrated gradients, with the points of Gauss and Legendre."""
        points, weights = roots_legendre(n_points)
        return cls((points + 1) / 2, weights / 2, True)


def gradients(
    model: Model, sequences: Any, baseline: Any, output: ExplainedOutput, way: Way, n_jobs: int | None
) -> np.ndarray:
    """Return the gradient of the output of each sequence, summed along a way, with respect to each value of X.

    Parameters
    ----------
    model : Model
    sequences, baseline : BaseSequences
        Of equal lengths; not yet in patches.
    output : ExplainedOutput
    way : Way
    n_jobs : int or None

    Returns
    -------
    ndarray of shape (n_rows, n_features), float64
        The value of a category has the sum over its vector, of the gradient times the distance from the vector of the
        baseline, also where ``way`` is no integral.
    """
    network, patches = model.network.without_embedding(), model.schema.patches
    patched, patched_baseline = patches.of(sequences), patches.of(baseline)
    prepared = network.prepare()
    spare_passes: list[Passes] = []  # one for each thread
    results = np.empty((sequences.n_rows, sequences.n_features))

    def run_block(indices: np.ndarray) -> None:
        passes = spare_passes.pop() if spare_passes else Passes(network, prepared)
        batch = Dataset(patched).pack(indices)
        start = model.network.inputs(patched_baseline.packed_rows(batch.order, batch.packing), NetworkBuffers())
        end = model.network.inputs(batch.rows, NetworkBuffers())
        with without_overflow_warnings():
            of_inputs = _along(way, passes, start, end, batch.packing, batch.order, output)
            of_inputs *= _factors(model.network, way, start, end)
        of_rows = of_inputs if model.network.embedding is None else model.network.embedding.by_feature(of_inputs)
        by_sequence = of_rows[_rows_by_sequence(batch.packing)]
        lengths = sequences.lengths[batch.order]
        results[_rows_of(sequences, batch.order)] = patches.sum_by_step(by_sequence, lengths)
        spare_passes.append(passes)

    with threads(n_jobs) as run:
        list(run(run_block, _blocks(patched.lengths)))
    return results


def _blocks(lengths: np.ndarray) -> list[np.ndarray]:
    """Cut sequences into blocks of similar lengths, longest first, by their lengths alone."""
    longest_first, blocks, first = np.argsort(-lengths, kind="stable"), [], 0
    while first < len(lengths):
        n_sequences = max(1, min(USUAL_BLOCK, ROWS_AT_ONCE // int(lengths[longest_first[first]])))
        blocks.append(longest_first[first : first + n_sequences])
        first += n_sequences
    return blocks


def _along(
    way: Way,
    passes: Passes,
    start: np.ndarray,
    end: np.ndarray,
    packing: Packing,
    order: np.ndarray,
    output: ExplainedOutput,
) -> np.ndarray:
    """Return the weighted sum of the gradients with respect to the inputs, (n_rows, n_inputs) in float64.

    Several points run at once, each as a copy of all sequences: small products are slow.
    """
    total = np.zeros(start.shape)
    n_rows, n_inputs = start.shape
    n_at_once = max(1, min(USUAL_BLOCK // packing.n_sequences, ROWS_AT_ONCE // n_rows))
    for first in range(0, len(way.points), n_at_once):
        part = slice(first, first + n_at_once)
        points, weights = way.points[part].astype(start.dtype)[:, None], way.weights[part]
        # (1 - 1) * start + 1 * end is end exactly. The copies of a sequence are neighbours, so steps stay together.
        inputs = (1 - points) * start[:, None] + points * end[:, None]
        copies = Packing(np.repeat(packing.lengths, len(points)))
        d_inputs = passes.gradient(inputs.reshape(-1, n_inputs), copies, np.repeat(order, len(points)), output)
        total += np.einsum("rpi,p->ri", d_inputs.reshape(n_rows, -1, n_inputs), weights)
    return total


def _factors(network: RecurrentNetwork, way: Way, start: np.ndarray, end: np.ndarray) -> Any:
    """Return the factors of the gradient with respect to each input: the distance, or 1."""
    distance = end.astype(np.float64) - start
    if way.is_integral:
        return distance
    if network.embedding is None:
        return 1.0
    is_vector = network.embedding.in_inputs(np.zeros(network.embedding.n_features), 1) > 0
    return np.where(is_vector, distance, 1.0)


def _rows_by_sequence(packing: Packing) -> np.ndarray:
    """Return the packed row of each step, sequence after sequence."""
    rows = np.empty(packing.n_rows, np.intp)
    starts = np.cumsum(packing.lengths) - packing.lengths
    rows[starts[packing.sequence_of_row] + packing.step_of_row] = np.arange(packing.n_rows)
    return rows


def _rows_of(sequences: Any, order: np.ndarray) -> np.ndarray:
    """Return the rows of the sequences at ``order``, sequence after sequence."""
    lengths = sequences.lengths[order]
    return np.repeat(sequences.starts[order] - np.cumsum(lengths) + lengths, lengths) + np.arange(lengths.sum())


class Passes:
    """Forward and backward passes over one batch at a time, in memory of their own: batches may run side by side.

    Parameters
    ----------
    network : RecurrentNetwork
        Without an embedding.
    prepared : PreparedWeights
    """

    def __init__(self, network: RecurrentNetwork, prepared: PreparedWeights) -> None:
        self._network, self._prepared = network, prepared
        self._memory = ActivationMemory(network, MEMORY_BUDGET)
        self._of_parameters = network.parameters.like()  # the backward pass adds to it; nobody reads it

    def gradient(
        self, inputs: np.ndarray, packing: Packing, sequences: np.ndarray, output: ExplainedOutput
    ) -> np.ndarray:
        """Return the gradient of the output with respect to the inputs, of their shape.

        Parameters
        ----------
        inputs : ndarray of shape (n_rows, n_inputs)
        packing : Packing
        sequences : ndarray of shape (n_sequences,), int
            The sequence of X at each place of the packing.
        output : ExplainedOutput
        """
        network, d_inputs = self._network, np.empty_like(inputs)
        pool = output.pool(network, packing.lengths, sequences)
        state = network.initial_state(packing.n_sequences)
        steps = self._pass_over(inputs, packing)
        for segment, hidden, after in steps.forward(state):
            pool.add(hidden, segment.packing, segment.start)
            state = after
        pooled = pool.finish(network.final_hidden(state))
        d_scores = output.derivative(network.scores(pooled), sequences)
        d_pooled = network.scores_backward(pooled, d_scores, self._of_parameters)
        d_state = network.d_final_state(pool.d_final_hidden(d_pooled, 0, packing.n_steps))
        for segment, hidden, tape in steps.backward():
            d_hidden = pool.d_hidden(d_pooled, tape.packing, segment.start)
            d_inputs[segment.rows], d_state = network.backward_to_inputs(
                self._prepared, tape, d_hidden, d_state, self._of_parameters, self._memory.work
            )
            del hidden, tape, d_hidden
        return d_inputs

    def _pass_over(self, inputs: np.ndarray, packing: Packing) -> SegmentedPass:
        def run(segment: Any, state: Any, buffers: NetworkBuffers, keeps_tape: bool) -> Any:
            return self._network.forward(
                self._prepared, inputs[segment.rows], segment.packing, state, buffers, keeps_tape=keeps_tape
            )

        arguments: Any = (run, packing, 0, packing.n_steps, ())
        try:
            return self._memory.window_pass(*arguments, has_masks=False)
        except OverBudget as error:  # a bidirectional network runs all steps at once: it takes what it needs
            roomy = ActivationMemory(self._network, error.args[0])
            return roomy.window_pass(*arguments, has_masks=False)
