"""Gradients of outputs with respect to X, at one point or along the way from a baseline; in blocks of sequences.

The network reads the inputs of its first layer here, not X: numbers, and the vectors of categories. The error of the
inputs is summed over each vector, and over the patches that contain a step.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from scipy.special import roots_legendre

from sklearn_rnn._data.batches import Dataset
from sklearn_rnn._data.packing import Packing
from sklearn_rnn._model import Model
from sklearn_rnn._network.blocks import USUAL_BLOCK
from sklearn_rnn._network.buffers import NetworkBuffers
from sklearn_rnn._network.network import RecurrentNetwork
from sklearn_rnn._network.prepared_weights import PreparedWeights
from sklearn_rnn._network.readouts import Pool
from sklearn_rnn._training.memory.activations import ActivationMemory
from sklearn_rnn._training.memory.budget import OverBudget
from sklearn_rnn._training.memory.segments import SegmentedPass
from sklearn_rnn._utils.threads import threads
from sklearn_rnn._utils.warnings import without_overflow_warnings
from sklearn_rnn.inspection._explanations.explained_output import ExplainedOutput

# Network steps of all sequences and points that are run at once, unless one sequence has more.
ROWS_AT_ONCE = 2**13
# Bytes for the activations of a thread. Longer sequences run segments forward again; see sklearn_rnn/_training/memory.
MEMORY_BUDGET = 2**27


class Sections(NamedTuple):
    """Sections of the straight ways from the baseline, 0, to X, 1. A sequence may have several.

    Attributes
    ----------
    sequences : ndarray of shape (n,), int
        Indices of the sequences.
    starts, stops : ndarray of shape (n,)
        From 0 to 1.
    """

    sequences: np.ndarray
    starts: np.ndarray
    stops: np.ndarray

    @classmethod
    def whole(cls, sequences: np.ndarray) -> Sections:
        """Return the whole way of each of these sequences."""
        return cls(sequences, np.zeros(len(sequences)), np.ones(len(sequences)))

    def take(self, places: np.ndarray) -> Sections:
        """Return the sections at these places, in that order."""
        return Sections(self.sequences[places], self.starts[places], self.stops[places])

    def points(self, n_points: int | None) -> np.ndarray:
        """Return the points of each section, (n, n_points): those of Gauss and Legendre, or None for its end."""
        if n_points is None:
            return self.stops[:, None]
        within = (roots_legendre(n_points)[0] + 1) / 2
        return self.starts[:, None] + (self.stops - self.starts)[:, None] * within

    def weights(self, n_points: int | None) -> np.ndarray:
        """Return the weights of these points, (n, n_points)."""
        if n_points is None:
            return np.ones((len(self.stops), 1))
        return (self.stops - self.starts)[:, None] * (roots_legendre(n_points)[1] / 2)


class Ways:
    """The ways from a baseline to X, in the inputs of the first layer, and the output of each sequence along them.

    Parameters
    ----------
    model : Model
    sequences, baseline : BaseSequences
        Of equal lengths; not yet in patches.
    output : ExplainedOutput
    n_jobs : int or None
    """

    def __init__(
        self, model: Model, sequences: Any, baseline: Any, output: ExplainedOutput, n_jobs: int | None
    ) -> None:
        self.sequences, self._patches = sequences, model.schema.patches
        self._patched, self._patched_baseline = self._patches.of(sequences), self._patches.of(baseline)
        self._network, self._output, self._n_jobs = model.network, output, n_jobs
        self._on_inputs = model.network.without_embedding()
        self._prepared = self._on_inputs.prepare()
        self._spare_passes: list[Passes] = []  # one for each thread

    def outputs(self, sections: Sections) -> np.ndarray:
        """Return the output at the end of each section, (n,)."""
        results = np.empty(len(sections.sequences))

        def run_block(block: Block, passes: Passes) -> None:
            inputs = block.between(block.sections.points(None))
            results[block.places] = passes.outputs(inputs, block.packing, block.sections.sequences, self._output)

        self._in_blocks(run_block, sections)
        return results

    def gradients(self, sections: Sections, n_points: int | None) -> np.ndarray:
        """Return the gradient of the output with respect to X, summed along each section.

        Parameters
        ----------
        sections : Sections
        n_points : int or None
            The number of points of each section, whose gradients are weighted and multiplied by the distance of X from
            the baseline. None: the gradient at the end, for categories along the distance of their vectors.

        Returns
        -------
        ndarray of shape (n_rows, n_features), float64
            The rows of the sequence of each section, section after section.
        """
        lengths = self.sequences.lengths[sections.sequences]
        firsts = np.cumsum(lengths) - lengths
        results = np.empty((int(lengths.sum()), self.sequences.n_features))

        def run_block(block: Block, passes: Passes) -> None:
            of_inputs = self._along(block, passes, n_points) * self._factors(block, n_points is not None)
            embedding = self._network.embedding
            of_rows = of_inputs if embedding is None else embedding.by_feature(of_inputs)
            by_sequence = of_rows[_rows_by_sequence(block.packing)]
            of_block = lengths[block.places]
            results[rows_of(firsts[block.places], of_block)] = self._patches.sum_by_step(by_sequence, of_block)

        self._in_blocks(run_block, sections)
        return results

    def _in_blocks(self, function: Callable[[Block, Passes], None], sections: Sections) -> None:
        """Call ``function`` for the sections in blocks; every call writes its own results."""

        def run(places: np.ndarray) -> None:
            passes = self._spare_passes.pop() if self._spare_passes else Passes(self._on_inputs, self._prepared)
            part = sections.take(places)
            batch = Dataset(self._patched).pack(part.sequences)  # it keeps their order, longest first
            rows = self._patched_baseline.packed_rows(batch.order, batch.packing)
            start = self._network.inputs(rows, NetworkBuffers())
            end = self._network.inputs(batch.rows, NetworkBuffers())
            with without_overflow_warnings():
                function(Block(places, part, batch.packing, start, end), passes)
            self._spare_passes.append(passes)

        with threads(self._n_jobs) as run_all:
            list(run_all(run, _blocks(self._patched.lengths[sections.sequences])))

    def _along(self, block: Block, passes: Passes, n_points: int | None) -> np.ndarray:
        """Return the weighted sum of the gradients with respect to the inputs, (n_rows, n_inputs) in float64.

        Several points run at once, each as a copy of all sequences: small products are slow.
        """
        points, weights = block.sections.points(n_points), block.sections.weights(n_points)
        n_rows, n_inputs = block.start.shape
        total, sequences = np.zeros((n_rows, n_inputs)), block.sections.sequences
        n_at_once = max(1, min(USUAL_BLOCK // block.packing.n_sequences, ROWS_AT_ONCE // n_rows))
        for first in range(0, points.shape[1], n_at_once):
            part = slice(first, first + n_at_once)
            n_copies = points[:, part].shape[1]
            copies = Packing(np.repeat(block.packing.lengths, n_copies))
            d_inputs = passes.gradient(
                block.between(points[:, part]), copies, np.repeat(sequences, n_copies), self._output
            )
            of_rows = weights[:, part][block.packing.sequence_of_row]
            total += np.einsum("rpi,rp->ri", d_inputs.reshape(n_rows, n_copies, n_inputs), of_rows)
        return total

    def _factors(self, block: Block, is_integral: bool) -> Any:
        """Return the factors of the gradient with respect to each input: the distance, or 1."""
        embedding = self._network.embedding
        if not is_integral and embedding is None:
            return 1.0
        distance = block.end.astype(np.float64) - block.start
        if is_integral or embedding is None:
            return distance
        is_vector = embedding.in_inputs(np.zeros(embedding.n_features), 1) > 0
        return np.where(is_vector, distance, 1.0)


class Block(NamedTuple):
    """Sections that are run together, longest sequences first.

    Attributes
    ----------
    places : ndarray of shape (n,), int
        Their places among all sections.
    sections : Sections
    packing : Packing
        Of their sequences.
    start, end : ndarray of shape (n_rows, n_inputs)
        Inputs of the first layer: of the baseline, and of X.
    """

    places: np.ndarray
    sections: Sections
    packing: Packing
    start: np.ndarray
    end: np.ndarray

    def between(self, points: np.ndarray) -> np.ndarray:
        """Return the inputs at points of each section, (n, n_points), as (n_rows * n_points, n_inputs).

        The copies of a sequence are neighbours in each step, so this is a packed batch of all copies.
        """
        of_rows = points.astype(self.start.dtype)[self.packing.sequence_of_row][:, :, None]
        # (1 - 1) * start + 1 * end is end exactly.
        inputs = (1 - of_rows) * self.start[:, None] + of_rows * self.end[:, None]
        return inputs.reshape(-1, self.start.shape[1])


def _blocks(lengths: np.ndarray) -> list[np.ndarray]:
    """Cut sequences into blocks of similar lengths, longest first, by their lengths alone."""
    longest_first, blocks, first = np.argsort(-lengths, kind="stable"), [], 0
    while first < len(lengths):
        n_sequences = max(1, min(USUAL_BLOCK, ROWS_AT_ONCE // int(lengths[longest_first[first]])))
        blocks.append(longest_first[first : first + n_sequences])
        first += n_sequences
    return blocks


def _rows_by_sequence(packing: Packing) -> np.ndarray:
    """Return the packed row of each step, sequence after sequence."""
    rows = np.empty(packing.n_rows, np.intp)
    starts = np.cumsum(packing.lengths) - packing.lengths
    rows[starts[packing.sequence_of_row] + packing.step_of_row] = np.arange(packing.n_rows)
    return rows


def rows_of(firsts: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Return the rows of sequences, one after the other, given the first row and the number of rows of each."""
    return np.repeat(firsts - np.cumsum(lengths) + lengths, lengths) + np.arange(lengths.sum())


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
        steps, pool, pooled = self._forward(inputs, packing, sequences, output)
        output_layer = self._prepared.output
        d_scores = output.derivative(output_layer(pooled), sequences)
        d_pooled = output_layer.backward(pooled, d_scores, self._of_parameters.group("readout"))
        d_state = network.d_final_state(pool.d_final_hidden(d_pooled, 0, packing.n_steps))
        for segment, hidden, tape in steps.backward():
            d_hidden = pool.d_hidden(d_pooled, tape.packing, segment.start, self._memory.work.of("readout"))
            d_inputs[segment.rows], d_state = network.backward_to_inputs(
                self._prepared, tape, d_hidden, d_state, self._of_parameters, self._memory.work
            )
            del hidden, tape, d_hidden
        return d_inputs

    def outputs(
        self, inputs: np.ndarray, packing: Packing, sequences: np.ndarray, output: ExplainedOutput
    ) -> np.ndarray:
        """Return the output of each sequence, (n_sequences,); the parameters are those of :meth:`gradient`."""
        network, pool = self._network, output.pool(self._network, packing.lengths, sequences)
        state = network.initial_state(packing.n_sequences)
        for first_step, chunk, hidden in network.forward_without_tape(
            self._prepared, inputs, packing, state, self._memory.work, keeps_hidden=pool.needs_hidden
        ):
            pool.add(hidden, chunk, first_step)
        scores = self._prepared.output(pool.finish(network.final_hidden(state)))
        return output.values(scores, sequences)

    def _forward(
        self, inputs: np.ndarray, packing: Packing, sequences: np.ndarray, output: ExplainedOutput
    ) -> tuple[SegmentedPass, Pool, np.ndarray]:
        """Run forward; return the pass, the pool, and what the output layer reads, (n_sequences, n_pooled)."""
        pool = output.pool(self._network, packing.lengths, sequences)
        state = self._network.initial_state(packing.n_sequences)
        steps = self._pass_over(inputs, packing)
        for segment, hidden, after in steps.forward(state):
            pool.add(hidden, segment.packing, segment.start)
            state = after
        return steps, pool, pool.finish(self._network.final_hidden(state))

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
