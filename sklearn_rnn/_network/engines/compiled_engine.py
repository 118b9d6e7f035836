"""The compiled engine: kernels for the cells, readouts and steps that they know, NumPy for all others."""

from __future__ import annotations

import sys
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from sklearn_rnn._data.packing import Packing
from sklearn_rnn._network import kernels
from sklearn_rnn._network.buffers import Buffers, aligned_empty
from sklearn_rnn._network.cells import CELLS
from sklearn_rnn._network.cells.cell import Cell, RowValues, Tape
from sklearn_rnn._network.embedding import Embedding
from sklearn_rnn._network.engines.engine import Lookup, OutputLayer, Recurrence, RunningArrays, Stepper
from sklearn_rnn._network.engines.numpy_engine import NumpyEngine
from sklearn_rnn._network.int8_weights import Int8Matrix
from sklearn_rnn._network.readouts import LoopsOverSteps
from sklearn_rnn._network.scaling_of_steps import StepScaling


class CompiledLoops:
    """Each loop over steps in one call."""

    @staticmethod
    def add_to_sum(total: np.ndarray, hidden: np.ndarray, packing: Packing) -> None:
        """See :class:`LoopsOverSteps`."""
        kernels.add_to_sum(total, np.ascontiguousarray(hidden), packing.batch_sizes)

    @staticmethod
    def add_to_maximum(
        maximum: np.ndarray, step_of_maximum: np.ndarray, hidden: np.ndarray, packing: Packing, first_step: int
    ) -> None:
        """See :class:`LoopsOverSteps`."""
        kernels.add_to_maximum(maximum, step_of_maximum, np.ascontiguousarray(hidden), packing.batch_sizes, first_step)

    @staticmethod
    def add_at_maximum(
        errors: np.ndarray, d_maximum: np.ndarray, step_of_maximum: np.ndarray, packing: Packing, first_step: int
    ) -> None:
        """See :class:`LoopsOverSteps`."""
        kernels.add_at_maximum(
            errors, np.ascontiguousarray(d_maximum), step_of_maximum, packing.batch_sizes, packing.offsets, first_step
        )


class CompiledEngine(NumpyEngine):
    """Runs compiled kernels, and NumPy for each cell or readout that has none."""

    loops: LoopsOverSteps = CompiledLoops()

    def recurrence(self, cell: Cell) -> Recurrence:
        """Return the compiled recurrence of a cell, or the cell itself."""
        # The kernels have the registry's names. It is the class that counts: a subclass may have other equations.
        name = next((name for name, make in CELLS.items() if make is type(cell)), None)
        if name is None or not kernels.has_cell(name, cell.activation):
            return super().recurrence(cell)
        return CompiledRecurrence(name, cell.activation)

    def lookup(self, embedding: Embedding) -> Lookup:
        """Return the compiled lookup."""
        return CompiledLookup(embedding)

    def output_layer(
        self, weight: np.ndarray, bias: np.ndarray, for_backward: bool = False, earlier: OutputLayer | None = None
    ) -> OutputLayer:
        """Return the compiled output layer; ``earlier``, with other weights, if it is given."""
        if not isinstance(earlier, CompiledOutputLayer):
            n_pooled, n_outputs = weight.shape
            earlier = CompiledOutputLayer(n_pooled, n_outputs, weight.dtype)
        earlier.pack(weight, bias, for_backward)
        return earlier

    def stepper(
        self,
        recurrence: Recurrence,
        weights: list[Any],
        output: OutputLayer,
        pools: tuple[str, ...],
        running: RunningArrays,
        scaling: StepScaling | None = None,
        n_directions: int = 1,
    ) -> Stepper | None:
        """Return a stepper that runs all layers, the readout and the output layer in one call."""
        if (
            not all(map(kernels.has_pool, pools))
            or not isinstance(recurrence, CompiledRecurrence)
            or not isinstance(output, CompiledOutputLayer)
        ):
            return super().stepper(recurrence, weights, output, pools, running, scaling, n_directions)
        return kernels.make_stepper(
            kernel=weights[0].kernel,
            panels=[panels.forward for panels in weights],
            states=running.states,
            n_inputs=weights[0].n_features,
            output=output.kernel,
            output_panels=output.panels,
            n_outputs=output.n_outputs,
            pools=pools,
            pooled=list(running.pooled.values()),
            n_steps=running.n_steps,
            scaling=scaling,
            n_directions=n_directions,
        )

    @staticmethod
    def softmax_loss(scores: np.ndarray, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the losses and their derivatives; in NumPy for targets of another dtype."""
        if scores.dtype != targets.dtype:
            return NumpyEngine.softmax_loss(scores, targets)
        return kernels.softmax_loss(np.ascontiguousarray(scores), np.ascontiguousarray(targets))

    adam = staticmethod(kernels.adam)
    relative_size = staticmethod(kernels.relative_size)
    have_same_bits = staticmethod(kernels.have_same_bits)


class Panels(NamedTuple):
    """The weights in the order in which the kernels read them.

    Attributes
    ----------
    kernel : Kernel
        That reads them.
    n_features : int
    forward : ndarray
    recurrent, input : ndarray
        Transposed, for the backward pass; None without one.
    """

    kernel: Any
    n_features: int
    forward: np.ndarray
    recurrent: np.ndarray | None = None
    input: np.ndarray | None = None


class CompiledLookup:
    """Looks up the vectors of an embedding, and adds their gradients.

    Parameters
    ----------
    embedding : Embedding
    """

    def __init__(self, embedding: Embedding) -> None:
        columns, n_vectors, sizes = zip(*((f.column, f.n_vectors, f.size) for f in embedding.features))
        self._kernel = kernels.embedding_kernel(embedding.n_features, embedding.numbers, columns, n_vectors, sizes)

    def forward(self, rows: np.ndarray, tables: list[np.ndarray], inputs: np.ndarray) -> np.ndarray:
        """Return the inputs of the first layer."""
        self._kernel.forward(np.ascontiguousarray(rows), tables, inputs)
        return inputs

    def backward(self, rows: np.ndarray, d_inputs: np.ndarray, d_tables: list[np.ndarray]) -> None:
        """Add the gradients of the vectors to ``d_tables``."""
        self._kernel.backward(np.ascontiguousarray(rows), np.ascontiguousarray(d_inputs), d_tables)


class CompiledOutputLayer:
    """Raw scores of hidden states. The scores of a row do not depend on the other rows.

    Parameters
    ----------
    n_pooled, n_outputs : int
    dtype : dtype
    """

    def __init__(self, n_pooled: int, n_outputs: int, dtype: np.dtype) -> None:
        self.kernel, self.n_outputs = kernels.output_kernel_for(dtype), n_outputs
        self.panels = aligned_empty(self.kernel.panels_size(n_pooled, n_outputs), dtype)
        self._transposed: np.ndarray | None = None

    def pack(self, weight: np.ndarray, bias: np.ndarray, for_backward: bool) -> None:
        """Read the weights, (n_pooled, n_outputs), and biases, (n_outputs,)."""
        self.kernel.pack(weight, bias, self.panels)
        if for_backward:
            if self._transposed is None:
                self._transposed = aligned_empty(self.kernel.transposed_panels_size(*weight.shape), weight.dtype)
            self.kernel.pack_transposed(weight, self._transposed)

    def __call__(self, hidden: np.ndarray) -> np.ndarray:
        """See :class:`OutputLayer`."""
        scores = np.empty((len(hidden), self.n_outputs), hidden.dtype)
        self.kernel.run(self.panels, np.ascontiguousarray(hidden), scores)
        return scores

    def backward(
        self, hidden: np.ndarray, d_scores: np.ndarray, gradient: dict[str, np.ndarray], out: np.ndarray | None = None
    ) -> np.ndarray:
        """See :class:`OutputLayer`."""
        d_hidden = np.empty(hidden.shape, hidden.dtype) if out is None else out
        own = (np.ascontiguousarray(hidden), np.ascontiguousarray(d_scores))
        self.kernel.backward(self._transposed, *own, gradient["weight"], gradient["bias"], d_hidden)
        return d_hidden


class CompiledRecurrence:
    """Runs a cell's recurrence compiled, over the same parameters and to the same results.

    Parameters
    ----------
    name : {"rnn", "lstm", "gru"}
    activation : {"identity", "logistic", "relu", "tanh"}
        Of "rnn".
    """

    uses_blas = False

    def __init__(self, name: str, activation: str) -> None:
        self.name, self.activation = name, activation

    @property
    def in_place(self) -> CompiledRecurrence:
        """The recurrence itself."""
        return self

    def kernel(self, dtype: np.dtype) -> Any:
        """Return the kernel for a dtype."""
        return kernels.kernel_for(self.name, self.activation, dtype)

    def prepare(self, weights: dict[str, Any], for_backward: bool, earlier: Panels | None = None) -> Panels:
        """Pack the weights into panels, those of ``earlier`` if given."""
        if isinstance(weights["recurrent"], Int8Matrix):
            return self._prepare_int8(**weights)
        n_features, n_units, dtype = len(weights["input"]), len(weights["recurrent"]), weights["input"].dtype
        kernel = self.kernel(dtype)
        if earlier is None:
            forward = aligned_empty(kernel.forward_panels_size(n_features, n_units), dtype)
            transposed: list[np.ndarray | None] = [None, None]
            if for_backward:
                sizes = (kernel.transposed_panels_size(n_rows, n_units) for n_rows in (n_units, n_features))
                transposed = [aligned_empty(size, dtype) for size in sizes]
            earlier = Panels(kernel, n_features, forward, *transposed)
        bias, recurrent_bias = weights["bias"], weights.get("recurrent_bias")
        kernel.pack_forward(weights["input"], weights["recurrent"], bias, recurrent_bias, earlier.forward)
        if for_backward:
            kernel.pack_transposed(weights["recurrent"], earlier.recurrent)
            kernel.pack_transposed(weights["input"], earlier.input)
        return earlier

    def _prepare_int8(
        self,
        input: np.ndarray | Int8Matrix,
        recurrent: Int8Matrix,
        bias: np.ndarray,
        recurrent_bias: np.ndarray | None = None,
    ) -> Panels:
        """Pack weights of which some are matrices of 8 bits."""
        kernel = kernels.int8_kernel_for(self.name, self.activation, recurrent.dtype)
        has_scales = isinstance(input, Int8Matrix)
        integers, scales = (input.integers, input.scales) if isinstance(input, Int8Matrix) else (input, None)
        size = kernel.forward_panels_size(len(input), len(recurrent), has_scales)
        panels = Panels(kernel, len(input), aligned_empty(size, np.int64))
        rounded = (integers, recurrent.integers)
        kernel.pack_forward(*rounded, bias, recurrent_bias, panels.forward, scales, recurrent.scales)
        return panels

    def forward(
        self,
        x: np.ndarray,
        packing: Packing,
        state: np.ndarray,
        weights: Panels,
        buffers: Buffers,
        keeps_tape: bool = True,
        keeps_hidden: bool = True,
        is_reverse: bool = False,
        hidden: np.ndarray | None = None,
    ) -> tuple[np.ndarray | None, np.ndarray, Tape]:
        """Run over all steps of a packed batch; see :class:`InPlaceRecurrence`."""
        n_sequences, n_units = packing.n_sequences, state.shape[2]
        kernel = weights.kernel
        if hidden is None:
            n_kept = packing.n_rows if keeps_hidden else n_sequences  # without, the last two steps' states take turns
            hidden = buffers.array("h", (n_sequences + n_kept, n_units), state.dtype)
        saved = None
        if keeps_tape:
            saved = buffers.array("tape", (packing.n_rows, kernel.tape_row_size(n_units)), state.dtype)
        final_state = np.empty_like(state)
        kernel.forward(
            weights.forward,
            packing.batch_sizes,
            x,
            state,
            final_state,
            hidden,
            saved,
            keeps_hidden,
            n_threads=buffers.n_threads,
            is_reverse=is_reverse,
        )
        tape = Tape(packing, x, (hidden,), (saved,), is_reverse)
        first = 0 if is_reverse else n_sequences
        return hidden[first : first + packing.n_rows] if keeps_hidden else None, final_state, tape

    def backward(
        self,
        tape: Tape,
        d_hidden: np.ndarray | None,
        d_state: np.ndarray,
        weights: Panels,
        d_weights: dict[str, np.ndarray],
        buffers: Buffers,
        needs_d_x: bool,
    ) -> tuple[np.ndarray | None, np.ndarray]:
        """Carry the error back from the last step to the first."""
        packing, x, dtype, n_units = tape.packing, tape.x, d_state.dtype, d_state.shape[2]
        kernel = self.kernel(dtype)
        n_rows = kernel.n_delta_rows(packing.batch_sizes, n_units)
        kernel.backward(
            weights.recurrent,
            weights.input,
            packing.batch_sizes,
            x,
            tape.states[0],
            tape.saved[0],
            d_hidden,
            d_state,
            d_weights,
            buffers.array("delta", (n_rows, kernel.delta_row_size(n_units)), dtype),
            buffers.array("previous states", (0 if packing.is_dense else n_rows, n_units), dtype),
            d_x := buffers.array("d_x", x.shape, dtype) if needs_d_x else None,
            buffers.n_threads,
            tape.is_reverse,
        )
        return d_x, d_state

    def row_values(self, n_units: int, dtype: np.dtype, keeps_hidden: bool = True) -> RowValues:
        """Return how many numbers the passes store for each row."""
        return _row_values(self.name, self.activation, dtype, n_units, keeps_hidden)


@cache
def _row_values(name: str, activation: str, dtype: np.dtype, n_units: int, keeps_hidden: bool) -> RowValues:
    kernel = kernels.kernel_for(name, activation, dtype)
    n_kept = n_units if keeps_hidden else 0  # otherwise the states of two steps take turns
    return RowValues(
        tape=n_units + kernel.tape_row_size(n_units),
        without_tape=n_kept,
        touched=n_kept,
        work=kernel.delta_row_size(n_units),
        max_work_rows=kernel.n_delta_rows(np.array([0, sys.maxsize]), n_units),
    )
