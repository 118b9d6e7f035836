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

from sklearn_rnn._data.packing import Packing
from sklearn_rnn._network.buffers import Buffers
from sklearn_rnn._network.cells.cell import (
    Cell,
    Tape,
    error_of_steps,
    previous_states,
    product_with,
    project,
    project_back,
    state_rows,
)


def _identity(a: np.ndarray) -> None:
    """f(a) = a."""


def _tanh(a: np.ndarray) -> None:
    np.tanh(a, out=a)


def _relu(a: np.ndarray) -> None:
    np.maximum(a, 0, out=a)


def _logistic(a: np.ndarray) -> None:
    # 1 / (1 + exp(-a)) = (1 + tanh(a / 2)) / 2: no overflow, and NumPy's tanh is vectorised.
    a *= 0.5
    np.tanh(a, out=a)
    a *= 0.5
    a += 0.5


def _tanh_derivative(h: np.ndarray, out: np.ndarray) -> None:
    np.multiply(h, h, out=out)
    np.subtract(1, out, out=out)


def _logistic_derivative(h: np.ndarray, out: np.ndarray) -> None:
    np.subtract(1, h, out=out)
    out *= h


# f in place, and f'(a) as a function of h = f(a): the tape need not store a.
ACTIVATIONS = {
    "identity": (_identity, lambda h, out: out.fill(1)),
    "logistic": (_logistic, _logistic_derivative),
    "relu": (_relu, lambda h, out: np.copyto(out, h > 0)),
    "tanh": (_tanh, _tanh_derivative),
}


class SimpleCell(Cell):
    """Elman's cell with one of four activations.

    Parameters
    ----------
    activation : {"identity", "logistic", "relu", "tanh"}, default="tanh"
    """

    def initialize(self, weights: dict[str, np.ndarray], random_state: np.random.RandomState) -> None:
        """As in other cells, but with "relu" the recurrent weights are the identity (Le, Jaitly & Hinton 2015)."""
        super().initialize(weights, random_state)
        if self.activation == "relu":
            weights["recurrent"][...] = np.eye(len(weights["recurrent"]))

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
        activate, _ = ACTIVATIONS[self.activation]
        multiply = product_with(weights["recurrent"])
        states = state_rows("h", state[0], packing, buffers)
        hidden = project(x, weights["input"], weights["bias"], out=states[packing.n_sequences :])
        product, final_state = np.empty_like(state[0]), np.empty_like(state)
        h = state[0]
        for a_t in packing.steps(hidden):
            n = len(a_t)
            if n < len(h):  # the shortest sequences have ended
                final_state[0, n : len(h)] = h[n:]
                h, product = h[:n], product[:n]
            a_t += multiply(h, product)  # a_t = x_t W + b + h_{t-1} U
            activate(a_t)
            h = a_t  # h_t = f(a_t), in the memory of a_t
        final_state[0, : len(h)] = h
        return hidden, final_state, Tape(packing, x, (states,))

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
        packing, (states,) = tape.packing, tape.states
        _, derivative = ACTIVATIONS[self.activation]
        transposed = np.ascontiguousarray(weights["recurrent"].T)
        hidden = states[packing.n_sequences :]
        delta = buffers.array("delta", hidden.shape, hidden.dtype)
        derivative(hidden, out=delta)  # f'(a_t); below delta_t = d_h_t f'(a_t)
        d_h = d_state[0, :0]
        for delta_t, d_hidden_t in zip(packing.steps(delta)[::-1], error_of_steps(d_hidden, packing)):
            if len(delta_t) > len(d_h):  # more sequences have this step
                d_h = d_state[0, : len(delta_t)]
            if d_hidden_t is not None:
                d_h += d_hidden_t
            delta_t *= d_h
            delta_t.dot(transposed, d_h)  # a_t = ... + h_{t-1} U
        d_weights["recurrent"] += previous_states(states, packing, buffers).T @ delta
        return project_back(tape, delta, weights, d_weights, needs_d_x), d_state
