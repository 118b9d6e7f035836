"""Gated recurrent unit, with the reset gate after the recurrent product (Cho et al. 2014, "reset-after").

In Cho's equation 8, r_t scales h_{t-1} before the product with U_n. Here r_t scales the product, as in torch and Keras.
Forward, with gates side by side in the order r, z, n::

    r_t, z_t = sigmoid(x_t W + h_{t-1} U + b)
    q_t = h_{t-1} U_n + b_hn
    n_t = tanh(x_t W_n + b_n + r_t q_t)
    h_t = (1 - z_t) n_t + z_t h_{t-1}

Backward, with d_h_t = dL/dh_t + z_{t+1} d_h_{t+1} + [delta_r, delta_z, r delta_n]_{t+1} U^T::

    delta_n = d_h_t (1 - z_t) (1 - n_t^2)
    delta_z = d_h_t (h_{t-1} - n_t) z_t (1 - z_t)
    delta_r = delta_n q_t r_t (1 - r_t)
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


class GRUCell(Cell):
    """Gated recurrent unit; its state is h."""

    n_gates = 3
    n_taped = 5

    def parameter_shapes(self, n_features: int, n_units: int) -> dict[str, tuple[int, ...]]:
        """As in other cells, and also b_hn: the candidate's bias that r_t scales too."""
        return super().parameter_shapes(n_features, n_units) | {"recurrent_bias": (n_units,)}

    def initialize(self, weights: dict[str, np.ndarray], random_state: np.random.RandomState) -> None:
        """As in other cells; b_hn is 0."""
        super().initialize(weights, random_state)
        weights["recurrent_bias"][...] = 0.0

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
        # sigmoid(a) = (1 + tanh(a / 2)) / 2. The weights are multiplied by the inner half.
        scale = np.repeat(np.array([0.5, 0.5, 1.0], dtype), n_units)
        multiply = product_with(weights["recurrent"] * scale)
        recurrent_bias, half = weights["recurrent_bias"], dtype.type(0.5)
        gates = buffers.array("gates", (packing.n_rows, 3 * n_units), dtype)
        project(x, weights["input"] * scale, weights["bias"] * scale, out=gates)
        states = state_rows("h", state[0], packing, buffers)
        hidden = states[n_sequences:]
        q = buffers.array("q", hidden.shape, dtype)
        product, final_state = np.empty((n_sequences, 3 * n_units), dtype), np.empty_like(state)
        h = state[0]
        steps = (gates[:, : 2 * n_units], *gates_of(gates, 3), q, hidden)
        for r_and_z, r, z, candidate, q_t, h_t in zip(*map(packing.steps, steps)):
            n = len(h_t)
            if n < len(h):  # the shortest sequences have ended
                final_state[0, n : len(h)] = h[n:]
                h, product = h[:n], product[:n]
            multiply(h, product)
            r_and_z += product[:, : 2 * n_units]
            np.tanh(r_and_z, r_and_z)
            r_and_z *= half
            r_and_z += half
            np.add(product[:, 2 * n_units :], recurrent_bias, q_t)
            candidate += np.multiply(r, q_t, h_t)
            np.tanh(candidate, candidate)
            np.subtract(h, candidate, h_t)  # h_t = n_t + z_t (h_{t-1} - n_t)
            h_t *= z
            h_t += candidate
            h = h_t
        final_state[0, : len(h)] = h
        return hidden, final_state, Tape(packing, x, (states,), (gates, q))

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
        previous = previous_states(tape.states[0], packing, buffers)
        delta_n, delta_q, keep = self._factors(tape, previous, buffers)
        flat_delta_q = delta_q.reshape(gates.shape)
        transposed = np.ascontiguousarray(weights["recurrent"].T)
        product = np.empty_like(d_state[0])
        d_h = d_state[0, :0]
        steps = (delta_n, delta_q, flat_delta_q, keep)
        backward_steps = (packing.steps(array)[::-1] for array in steps)
        for delta_n_t, delta_q_t, flat_delta_q_t, z, d_hidden_t in zip(
            *backward_steps, error_of_steps(d_hidden, packing)
        ):
            n = len(delta_n_t)
            if n > len(d_h):  # more sequences have this step
                d_h, product_t = d_state[0, :n], product[:n]
                d_h_of_gates = d_h[:, None]
            if d_hidden_t is not None:
                d_h += d_hidden_t
            delta_q_t *= d_h_of_gates
            delta_n_t *= d_h
            d_h *= z  # h_t = ... + z_t h_{t-1}
            d_h += flat_delta_q_t.dot(transposed, product_t)
        d_weights["recurrent"] += previous.T @ flat_delta_q
        d_weights["recurrent_bias"] += delta_q[:, 2].sum(axis=0)
        delta_q[:, 2] = delta_n  # r_t does not scale the input's part of the candidate
        return project_back(tape, flat_delta_q, weights, d_weights, needs_d_x), d_state

    @staticmethod
    def _factors(tape: Tape, previous: np.ndarray, buffers: Buffers) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the factors of d_h_t in the time loop, for all rows at once.

        Returns
        -------
        delta_n : ndarray of shape (n_rows, n_units)
            delta_n over d_h_t.
        delta_q : ndarray of shape (n_rows, 3, n_units)
            delta_r, delta_z and r delta_n, the gradients of h_{t-1} U, over d_h_t.
        keep : ndarray of shape (n_rows, n_units)
            z_t.
        """
        gates, q = tape.saved
        n_rows, n_units = q.shape
        r, z, n = gates_of(gates, 3)
        delta_q = buffers.array("delta", (n_rows, 3, n_units), gates.dtype)
        np.subtract(1, gates.reshape(delta_q.shape), out=delta_q)  # 1 - gate
        delta_r, delta_z, reset_delta_n = delta_q.swapaxes(0, 1)
        delta_n = buffers.array("delta_n", (n_rows, n_units), gates.dtype)
        np.multiply(n, n, out=delta_n)  # (1 - z_t) (1 - n_t^2)
        np.subtract(1, delta_n, out=delta_n)
        delta_n *= delta_z
        np.multiply(delta_n, r, out=reset_delta_n)  # r_t delta_n
        delta_r *= q  # delta_n q_t r_t (1 - r_t)
        delta_r *= reset_delta_n
        delta_z *= z  # (h_{t-1} - n_t) z_t (1 - z_t)
        delta_z *= previous - n
        return delta_n, delta_q, z
