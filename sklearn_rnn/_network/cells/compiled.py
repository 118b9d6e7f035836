"""A cell whose passes are run by the compiled kernels."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from sklearn_rnn._network.cells.cell import Cell, Tape, aligned_empty
from sklearn_rnn._network.kernels import kernel_for, make_stepper, output_kernel_for


class Panels(NamedTuple):
    """The weights in the order in which the kernels read them.

    Attributes
    ----------
    forward : ndarray
    recurrent, input : ndarray
        Transposed, for the backward pass; None where none follows.
    """

    forward: np.ndarray
    recurrent: np.ndarray | None
    input: np.ndarray | None


class OutputLayer:
    """Raw scores of hidden states, a row's own whatever rows it stands with.

    Parameters
    ----------
    weight : ndarray of shape (n_hidden, n_outputs)
    bias : ndarray of shape (n_outputs,)
    """

    def __init__(self, weight, bias):
        self.kernel, self.n_outputs = output_kernel_for(weight.dtype), len(bias)
        self.panels = aligned_empty(self.kernel.panels_size(*weight.shape), weight.dtype)
        self.kernel.pack(weight, bias, self.panels)

    def __call__(self, hidden):
        scores = np.empty((len(hidden), self.n_outputs), hidden.dtype)
        self.kernel.run(self.panels, np.ascontiguousarray(hidden), scores)
        return scores


class CompiledCell(Cell):
    """Runs another cell's recurrence compiled, over the same parameters and to the same results.

    Parameters
    ----------
    cell : Cell
        The NumPy cell: equations, parameters and start values are its own.
    """

    def __init__(self, cell):
        self.cell = cell
        self.name, self.activation = cell.name, cell.activation
        self.n_states, self.n_gates = cell.n_states, cell.n_gates

    def parameter_shapes(self, n_features, n_units):
        return self.cell.parameter_shapes(n_features, n_units)

    def initialize(self, weights, random_state):
        self.cell.initialize(weights, random_state)

    def _kernel(self, dtype):
        return kernel_for(self.name, self.activation, dtype)

    def prepare(self, weights, for_backward, earlier=None):
        n_features, n_units, dtype = len(weights["input"]), len(weights["recurrent"]), weights["input"].dtype
        kernel = self._kernel(dtype)
        if earlier is None:
            forward = aligned_empty(kernel.forward_panels_size(n_features, n_units), dtype)
            transposed = [None, None]
            if for_backward:
                sizes = (kernel.transposed_panels_size(n_rows, n_units) for n_rows in (n_units, n_features))
                transposed = [aligned_empty(size, dtype) for size in sizes]
            earlier = Panels(forward, *transposed)
        bias, recurrent_bias = weights["bias"], weights.get("recurrent_bias")
        kernel.pack_forward(weights["input"], weights["recurrent"], bias, recurrent_bias, earlier.forward)
        if for_backward:
            kernel.pack_transposed(weights["recurrent"], earlier.recurrent)
            kernel.pack_transposed(weights["input"], earlier.input)
        return earlier

    def output_layer(self, weight, bias):
        return OutputLayer(weight, bias)

    def make_stepper(self, network, weights, running):
        return make_stepper(
            kernel=self._kernel(network.dtype),
            panels=[weights[direction.name].forward for direction in network.directions],
            states=running.state,
            n_inputs=network.directions[0].n_features,
            output=weights.output.kernel,
            output_panels=weights.output.panels,
            n_outputs=network.n_outputs,
            readout=network.readout,
            pooled=running.pooled,
            n_steps=running.n_steps,
        )

    def values_per_row(self, n_units, keeps_hidden):
        return n_units if keeps_hidden else 0

    def tape_values(self, n_units, dtype):
        return n_units + self._kernel(dtype).tape_row_size(n_units)

    def stream_values(self, n_rows, n_sequences, n_units, keeps_hidden):
        return (n_rows if keeps_hidden else 2 * n_sequences) * n_units

    def work_values(self, n_rows, n_sequences, is_dense, n_features, n_units, dtype, needs_d_x):
        kernel = self._kernel(dtype)
        n_first = min(n_rows, n_sequences)
        n_delta_rows = kernel.n_delta_rows(np.array([n_first, n_rows - n_first]), n_units)
        return n_delta_rows * (kernel.n_deltas + (not is_dense)) * n_units + needs_d_x * n_rows * n_features

    def forward(self, x, packing, state, weights, buffers, keeps_tape=True, keeps_hidden=True):
        n_sequences, n_units = packing.n_sequences, state.shape[2]
        kernel = self._kernel(state.dtype)
        n_kept = packing.n_rows if keeps_hidden else n_sequences  # else the last two steps' states, in turn
        hidden = buffers.array("h", (n_sequences + n_kept, n_units), state.dtype)
        saved = None
        if keeps_tape:
            saved = buffers.array("tape", (packing.n_rows, kernel.tape_row_size(n_units)), state.dtype)
        final_state = np.empty_like(state)
        kernel.forward(weights.forward, packing.batch_sizes, x, state, final_state, hidden, saved, keeps_hidden)
        tape = Tape(packing, x, (hidden,), (saved,))
        return hidden[n_sequences:] if keeps_hidden else None, final_state, tape

    def backward(self, tape, d_hidden, d_state, weights, d_weights, buffers, needs_d_x):
        packing, x, dtype, n_units = tape.packing, tape.x, d_state.dtype, d_state.shape[2]
        kernel = self._kernel(dtype)
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
            buffers.array("delta", (n_rows, kernel.n_deltas * n_units), dtype),
            buffers.array("previous states", (0 if packing.is_dense else n_rows, n_units), dtype),
            d_x := buffers.array("d_x", x.shape, dtype) if needs_d_x else None,
        )
        return d_x, d_state
