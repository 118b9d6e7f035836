"""The simple recurrent cell (Elman 1990).

Forward, for every step t::

    a_t = x_t W + h_{t-1} U + b
    h_t = f(a_t)

Backward, from the last step to the first, with delta_t = dL/da_t::

    delta_t = (dL/dh_t + delta_{t+1} U^T) * f'(a_t)
    dL/dW = sum_t x_t^T delta_t,   dL/dU = sum_t h_{t-1}^T delta_t,   dL/db = sum_t delta_t
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


def _identity(a):
    """f(a) = a."""


def _tanh(a):
    np.tanh(a, out=a)


def _relu(a):
    np.maximum(a, 0, out=a)


def _logistic(a):
    # 1 / (1 + exp(-a)) = (1 + tanh(a / 2)) / 2: no overflow, and NumPy's tanh is vectorised.
    a *= 0.5
    np.tanh(a, out=a)
    a *= 0.5
    a += 0.5


# f in place, and f'(a) written in terms of h = f(a), so that the tape need not keep a.
ACTIVATIONS = {
    "identity": (_identity, lambda h: np.ones_like(h)),
    "logistic": (_logistic, lambda h: h * (1 - h)),
    "relu": (_relu, lambda h: (h > 0).astype(h.dtype)),
    "tanh": (_tanh, lambda h: 1 - h * h),
}


class SimpleCell(Cell):
    """Elman's cell with one of four activations.

    Parameters
    ----------
    activation : {"identity", "logistic", "relu", "tanh"}
    """

    def __init__(self, activation="tanh"):
        self.activation = activation

    def initialize(self, weights, random_state):
        """Like every cell; with "relu" the recurrent weights are the identity (Le, Jaitly & Hinton 2015)."""
        super().initialize(weights, random_state)
        if self.activation == "relu":
            weights["recurrent"][...] = np.eye(len(weights["recurrent"]))

    def forward(self, x, packing, state, weights, buffers):
        activate, _ = ACTIVATIONS[self.activation]
        recurrent_weights = weights["recurrent"]
        states = state_rows("h", state[0], packing, buffers)
        hidden = project(x, weights["input"], weights["bias"], out=states[packing.n_sequences :])
        final_state = state.copy()
        from_previous = np.empty_like(state[0])
        h = state[0]
        for start, stop in packing.slices:
            n = stop - start
            a = hidden[start:stop]
            a += np.dot(h[:n], recurrent_weights, out=from_previous[:n])  # a_t = x_t W + b + h_{t-1} U
            activate(a)  # h_t = f(a_t)
            h = a
            if not packing.is_dense:
                final_state[0, :n] = h
        if packing.is_dense and packing.n_steps:
            final_state[0] = h
        return hidden, final_state, Tape(packing, x, (states,))

    def backward(self, tape, d_hidden, d_state, weights, d_weights, buffers, needs_d_x):
        packing, (states,) = tape.packing, tape.states
        _, derivative = ACTIVATIONS[self.activation]
        transposed = np.ascontiguousarray(weights["recurrent"].T)
        # Filled with f'(a_t), to be multiplied by d_h_t: delta_t = d_h_t f'(a_t).
        delta = derivative(states[packing.n_sequences :])
        d_h = d_state[0]
        for start, stop in reversed(packing.slices):
            d_h_t, delta_t = d_h[: stop - start], delta[start:stop]
            if d_hidden is not None:
                d_h_t += d_hidden[start:stop]
            delta_t *= d_h_t
            np.dot(delta_t, transposed, out=d_h_t)  # a_t = ... + h_{t-1} U
        d_weights["recurrent"] += previous_states(states, packing, buffers).T @ delta
        return project_back(tape, delta, weights, d_weights, needs_d_x), d_state
