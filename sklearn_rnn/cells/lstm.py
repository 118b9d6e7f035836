"""Long short-term memory with a forget gate (Gers, Schmidhuber & Cummins 2000; no peepholes).

Forward, gates side by side in the order i, f, g, o (as torch has them)::

    i_t, f_t, o_t = sigmoid(x_t W + h_{t-1} U + b),   g_t = tanh(x_t W + h_{t-1} U + b)
    c_t = f_t c_{t-1} + i_t g_t
    h_t = o_t tanh(c_t)

Backward, with d_h_t = dL/dh_t + delta_{t+1} U^T and delta_t = dL/d(gates' arguments)::

    d_c_t = d_h_t o_t (1 - tanh(c_t)^2) + d_c_{t+1} f_{t+1}
    delta_i = d_c_t g_t i_t (1 - i_t),   delta_f = d_c_t c_{t-1} f_t (1 - f_t)
    delta_g = d_c_t i_t (1 - g_t^2),     delta_o = d_h_t tanh(c_t) o_t (1 - o_t)
"""

from __future__ import annotations

import numpy as np

from sklearn_rnn.cells._cell import (
    Cell,
    Tape,
    previous_states,
    project,
    project_back,
    state_rows,
)


class LSTMCell(Cell):
    """Long short-term memory; its state is (h, c)."""

    n_states = 2
    n_gates = 4

    def initialize(self, weights, random_state):
        """Like every cell, but the forget gate's bias is 1 (Gers 2000; Jozefowicz, Zaremba & Sutskever 2015)."""
        super().initialize(weights, random_state)
        n_units = len(weights["recurrent"])
        weights["bias"][n_units : 2 * n_units] = 1.0

    def forward(self, x, packing, state, weights, buffers):
        n_sequences, n_units, dtype = packing.n_sequences, state.shape[2], x.dtype
        # sigmoid(a) = (1 + tanh(a / 2)) / 2: with the halves put into the weights, one tanh serves four gates.
        scale = np.repeat(np.array([0.5, 0.5, 1.0, 0.5], dtype), n_units)
        shift = 1 - scale
        recurrent_weights = weights["recurrent"] * scale
        gates = buffers.array("gates", (packing.n_rows, 4 * n_units), dtype)
        project(x, weights["input"] * scale, weights["bias"] * scale, out=gates)
        hidden_states, cell_states = (
            state_rows(name, initial, packing, buffers) for name, initial in zip(("h", "c"), state)
        )
        hidden, cells = hidden_states[n_sequences:], cell_states[n_sequences:]
        tanh_cells = buffers.array("tanh(c)", hidden.shape, dtype)
        final_state = state.copy()
        from_previous = np.empty((n_sequences, 4 * n_units), dtype)
        scratch = np.empty((n_sequences, n_units), dtype)
        h, c = state
        for start, stop in packing.slices:
            n = stop - start
            gates_t = gates[start:stop]
            gates_t += np.dot(h[:n], recurrent_weights, out=from_previous[:n])
            np.tanh(gates_t, out=gates_t)
            gates_t *= scale
            gates_t += shift
            i, f, g, o = gates_t.reshape(n, 4, n_units).swapaxes(0, 1)
            c = np.multiply(f, c[:n], out=cells[start:stop])
            c += np.multiply(i, g, out=scratch[:n])
            tanh_c = np.tanh(c, out=tanh_cells[start:stop])
            h = np.multiply(o, tanh_c, out=hidden[start:stop])
            if not packing.is_dense:
                final_state[0, :n], final_state[1, :n] = h, c
        if packing.is_dense and packing.n_steps:
            final_state[0], final_state[1] = h, c
        tape = Tape(packing, x, (hidden_states, cell_states), (gates, tanh_cells))
        return hidden, final_state, tape

    def backward(self, tape, d_hidden, d_state, weights, d_weights, buffers, needs_d_x):
        packing, gates = tape.packing, tape.saved[0]
        n_units = gates.shape[1] // 4
        forget = gates[:, n_units : 2 * n_units]
        delta, d_c_over_d_h = self._factors(tape, buffers)
        flat_delta = delta.reshape(gates.shape)
        transposed = np.ascontiguousarray(weights["recurrent"].T)
        scratch = np.empty_like(d_state[0])
        d_h, d_c = d_state
        for start, stop in reversed(packing.slices):
            n = stop - start
            d_h_t, d_c_t, delta_t = d_h[:n], d_c[:n], delta[start:stop]
            if d_hidden is not None:
                d_h_t += d_hidden[start:stop]
            d_c_t += np.multiply(d_h_t, d_c_over_d_h[start:stop], out=scratch[:n])  # h_t = o_t tanh(c_t)
            delta_t[:, :3] *= d_c_t[:, None]
            delta_t[:, 3] *= d_h_t
            d_c_t *= forget[start:stop]  # c_t = f_t c_{t-1} + i_t g_t
            np.dot(flat_delta[start:stop], transposed, out=d_h_t)  # gates' arguments = ... + h_{t-1} U
        d_weights["recurrent"] += previous_states(tape.states[0], packing, buffers).T @ flat_delta
        return project_back(tape, flat_delta, weights, d_weights, needs_d_x), d_state

    @staticmethod
    def _factors(tape, buffers):
        """What the time loop multiplies d_c_t and d_h_t by, for all rows at once.

        Returns
        -------
        delta : ndarray of shape (n_rows, 4, n_units)
            delta_i, delta_f and delta_g over d_c_t, and delta_o over d_h_t.
        d_c_over_d_h : ndarray of shape (n_rows, n_units)
            o_t (1 - tanh(c_t)^2), in the memory of tanh(c_t).
        """
        gates, tanh_cells = tape.saved
        n_rows, n_units = tanh_cells.shape
        previous_cells = previous_states(tape.states[1], tape.packing, buffers)
        i, f, g, o = gates.reshape(n_rows, 4, n_units).swapaxes(0, 1)
        delta = buffers.array("delta", (n_rows, 4, n_units), gates.dtype)
        np.subtract(1, gates.reshape(delta.shape), out=delta)  # 1 - gate
        delta_i, delta_f, delta_g, delta_o = delta.swapaxes(0, 1)
        for factor, gate, other in (
            (delta_i, i, g),  # g_t i_t (1 - i_t)
            (delta_f, f, previous_cells),  # c_{t-1} f_t (1 - f_t)
            (delta_o, o, tanh_cells),  # tanh(c_t) o_t (1 - o_t)
        ):
            factor *= gate
            factor *= other
        np.multiply(g, g, out=delta_g)  # i_t (1 - g_t^2)
        np.subtract(1, delta_g, out=delta_g)
        delta_g *= i
        np.multiply(tanh_cells, tanh_cells, out=tanh_cells)
        np.subtract(1, tanh_cells, out=tanh_cells)
        tanh_cells *= o
        return delta, tanh_cells
