"""The cells in ONNX: as operators over whole sequences, and as the equations of one step.

The operators' equations and orders of gates are those of the ONNX specification (RNN-14, LSTM-14, GRU-14).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np

from sklearn_rnn.export._graph import Graph

Weights = dict[str, np.ndarray]


class OnnxCell(ABC):
    """A cell of the network in ONNX.

    Parameters
    ----------
    activation : str
        Of "rnn".

    Attributes
    ----------
    operator : str
    gates : tuple of int
        The place in our order of each gate in the operator's order.
    n_states : int
    """

    operator: str
    gates: tuple[int, ...]
    n_states = 1

    def __init__(self, activation: str) -> None:
        self.activation = activation

    def attributes(self, n_directions: int) -> dict[str, Any]:
        """Return attributes of the operator."""
        return {}

    def recurrent_bias(self, weights: Weights) -> np.ndarray:
        """Return the operator's second bias, in our order of gates."""
        return np.zeros_like(weights["bias"])

    def operator_weights(self, weights: Weights) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return W (n_gates * n_units, n_features), R (n_gates * n_units, n_units) and B (2 * n_gates * n_units,)."""

        def in_order(values: np.ndarray) -> np.ndarray:
            blocks = np.split(values, len(self.gates), axis=-1)
            return np.concatenate([blocks[gate] for gate in self.gates], axis=-1).T

        biases = [in_order(weights["bias"]), in_order(self.recurrent_bias(weights))]
        return in_order(weights["input"]), in_order(weights["recurrent"]), np.concatenate(biases)

    @abstractmethod
    def step(self, graph: Graph, projected: str, states: list[str], weights: Weights) -> list[str]:
        """Add the equations of a step.

        Parameters
        ----------
        graph : Graph
        projected : str
            x_t W + b, (n_sequences, n_gates * n_units).
        states : list of str
            Before the step, each (n_sequences, n_units).
        weights : dict of ndarray

        Returns
        -------
        list of str
            The states after the step.
        """


class OnnxSimpleCell(OnnxCell):
    """h_t = f(x_t W + h_{t-1} U + b)."""

    operator, gates = "RNN", (0,)
    operators = {"tanh": "Tanh", "relu": "Relu", "logistic": "Sigmoid", "identity": "Identity"}

    def attributes(self, n_directions: int) -> dict[str, Any]:
        if self.activation == "identity":
            names = {"activation_alpha": [1.0] * n_directions, "activation_beta": [0.0] * n_directions}
            return {"activations": ["Affine"] * n_directions, **names}
        return {"activations": [self.operators[self.activation]] * n_directions}

    def step(self, graph: Graph, projected: str, states: list[str], weights: Weights) -> list[str]:
        a = graph.add("Add", projected, graph.add("MatMul", states[0], weights["recurrent"]))
        return [graph.add(self.operators[self.activation], a)]


class OnnxLSTMCell(OnnxCell):
    """Our gates are i, f, g, o, the operator's i, o, f, c; c is our g."""

    operator, gates, n_states = "LSTM", (0, 3, 1, 2), 2

    def step(self, graph: Graph, projected: str, states: list[str], weights: Weights) -> list[str]:
        h, c = states
        a = graph.add("Add", projected, graph.add("MatMul", h, weights["recurrent"]))
        i, f, g, o = graph.add("Split", a, outputs=4, axis=-1, num_outputs=4)
        i, f, o = (graph.add("Sigmoid", gate) for gate in (i, f, o))
        c = graph.add("Add", graph.add("Mul", f, c), graph.add("Mul", i, graph.add("Tanh", g)))
        return [graph.add("Mul", o, graph.add("Tanh", c)), c]


class OnnxGRUCell(OnnxCell):
    """Our gates are r, z, n, the operator's z, r, h; h is our n. Its linear_before_reset is our "reset-after"."""

    operator, gates = "GRU", (1, 0, 2)

    def attributes(self, n_directions: int) -> dict[str, Any]:
        return {"linear_before_reset": 1}

    def recurrent_bias(self, weights: Weights) -> np.ndarray:
        bias = np.zeros_like(weights["bias"])
        bias[-len(weights["recurrent_bias"]) :] = weights["recurrent_bias"]
        return bias

    def step(self, graph: Graph, projected: str, states: list[str], weights: Weights) -> list[str]:
        (h,) = states
        product = graph.add("Add", graph.add("MatMul", h, weights["recurrent"]), self.recurrent_bias(weights))
        of_x = graph.add("Split", projected, outputs=3, axis=-1, num_outputs=3)
        of_h = graph.add("Split", product, outputs=3, axis=-1, num_outputs=3)
        r, z = (graph.add("Sigmoid", graph.add("Add", *pair)) for pair in zip(of_x[:2], of_h[:2]))
        n = graph.add("Tanh", graph.add("Add", of_x[2], graph.add("Mul", r, of_h[2])))
        of_n = graph.add("Mul", graph.add("Sub", 1.0, z), n)
        return [graph.add("Add", of_n, graph.add("Mul", z, h))]


ONNX_CELLS: dict[str, type[OnnxCell]] = {"rnn": OnnxSimpleCell, "lstm": OnnxLSTMCell, "gru": OnnxGRUCell}


def onnx_cell(architecture: dict[str, Any]) -> OnnxCell:
    """Return the cell of a network in ONNX."""
    name = architecture["cell"]
    if name not in ONNX_CELLS:
        raise ValueError(f"cell={name!r} has no equations in ONNX: only {', '.join(ONNX_CELLS)} can be exported.")
    return ONNX_CELLS[name](architecture["activation"])
