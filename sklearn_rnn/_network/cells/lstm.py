"""Long short-term memory with a forget gate (Gers, Schmidhuber & Cummins 2000; no peepholes).

Forward, with gates side by side in the order i, f, g, o (the same as in torch)::

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

from sklearn_rnn._data.packing import Packing
from sklearn_rnn._network.buffers import Buffers
from sklearn_rnn._network.cells.cell import (
    Cell,
    Tape,
    error_of_steps,
    gates_of,
    previous_states,
    product_with,
    project,
    project_back,
    state_rows,
)


class LSTMCell(Cell):
    """Long short-term memory; its state is (h, c)."""

    state_names = ("h", "c")
    n_gates = 4
    n_taped = 7

    def initialize(self, weights: dict[str, np.ndarray], random_state: np.random.RandomState) -> None:
        """As in other cells, but the forget gate's bias is 1 (Gers 2000; Jozefowicz, Zaremba & Sutskever 2015)."""
        super().initialize(weights, random_state)
        n_units = len(weights["recurrent"])
        weights["bias"][n_units : 2 * n_units] = 1.0

    def forward(
        self,
        x: np.ndarray,
        packing: Packing,
        state: np.ndarray,
        weights: dict[str, np.ndarray],
        buffers: Buffers,
        keeps_tape: bool = True,
        keeps_hidden: bool = True,
    ) -> tuple[np.ndarray, np.ndarray, Tape]:
        n_sequences, n_units, dtype = packing.n_sequences, state.shape[2], x.dtype
        # sigmoid(a) = (1 + tanh(a / 2)) / 2. The weights are multiplied by the inner half: one tanh serves four gates.
        scale = np.repeat(np.array([0.5, 0.5, 1.0, 0.5], dtype), n_units)
        shift = 1 - scale
        multiply = product_with(weights["recurrent"] * scale)
        gates = buffers.array("gates", (packing.n_rows, 4 * n_units), dtype)
        project(x, weights["input"] * scale, weights["bias"] * scale, out=gates)
        hidden_states, cell_states = (
            state_rows(name, initial, packing, buffers) for name, initial in zip(("h", "c"), state)
        )
        hidden, cells = hidden_states[n_sequences:], cell_states[n_sequences:]
        tanh_cells = buffers.array("tanh(c)", hidden.shape, dtype)
        product = np.empty((n_sequences, 4 * n_units), dtype)
        scratch, final_state = np.empty((n_sequences, n_units), dtype), np.empty_like(state)
        h, c = state
        steps = (gates, *gates_of(gates, 4), cells, tanh_cells, hidden)
        for gates_t, i, f, g, o, c_t, tanh_c, h_t in zip(*map(packing.steps, steps)):
            n = len(h_t)
            if n < len(h):  # the shortest sequences have ended
                final_state[0, n : len(h)], final_state[1, n : len(h)] = h[n:], c[n:]
                h, c, product, scratch = h[:n], c[:n], product[:n], scratch[:n]
            gates_t += multiply(h, product)
            np.tanh(gates_t, gates_t)
            gates_t *= scale
            gates_t += shift
            np.multiply(f, c, c_t)
            c_t += np.multiply(i, g, scratch)
            np.tanh(c_t, tanh_c)
            np.multiply(o, tanh_c, h_t)
            h, c = h_t, c_t
        final_state[0, : len(h)], final_state[1, : len(h)] = h, c
        tape = Tape(packing, x, (hidden_states, cell_states), (gates, tanh_cells))
        return hidden, final_state, tape

    def backward(
        self,
        tape: Tape,
        d_hidden: np.ndarray | None,
        d_state: np.ndarray,
        weights: dict[str, np.ndarray],
        d_weights: dict[str, np.ndarray],
        buffers: Buffers,
        needs_d_x: bool,
    ) -> tuple[np.ndarray | None, np.ndarray]:
        packing, gates = tape.packing, tape.saved[0]
        delta, d_c_over_d_h = self._factors(tape, buffers)
        delta_ifg, delta_o, flat_delta = delta[:, :3], delta[:, 3], delta.reshape(gates.shape)
        forget = gates_of(gates, 4)[1]
        transposed = np.ascontiguousarray(weights["recurrent"].T)
        scratch = np.empty_like(d_state[0])
        d_h = d_state[0, :0]
        steps = (delta_ifg, delta_o, flat_delta, d_c_over_d_h, forget)
        backward_steps = (packing.steps(array)[::-1] for array in steps)
        for delta_ifg_t, delta_o_t, delta_t, d_c_over_d_h_t, f, d_hidden_t in zip(
            *backward_steps, error_of_steps(d_hidden, packing)
        ):
            n = len(delta_t)
            if n > len(d_h):  # more sequences have this step
                d_h, d_c, scratch_t = d_state[0, :n], d_state[1, :n], scratch[:n]
                d_c_of_gates = d_c[:, None]
            if d_hidden_t is not None:
                d_h += d_hidden_t
            d_c += np.multiply(d_h, d_c_over_d_h_t, scratch_t)  # h_t = o_t tanh(c_t)
            delta_ifg_t *= d_c_of_gates
            delta_o_t *= d_h
            d_c *= f  # c_t = f_t c_{t-1} + i_t g_t
            delta_t.dot(transposed, d_h)  # gates' arguments = ... + h_{t-1} U
        d_weights["recurrent"] += previous_states(tape.states[0], packing, buffers).T @ flat_delta
        return project_back(tape, flat_delta, weights, d_weights, needs_d_x), d_state

    @staticmethod
    def _factors(tape: Tape, buffers: Buffers) -> tuple[np.ndarray, np.ndarray]:
        """Return the factors of d_c_t and d_h_t in the time loop, for all rows at once.

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
        i, f, g, o = gates_of(gates, 4)
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
