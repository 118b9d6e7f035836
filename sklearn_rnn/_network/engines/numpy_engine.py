"""The engine in NumPy: it runs every cell and every readout."""

from __future__ import annotations

from math import sqrt
from typing import Any

import numpy as np

from sklearn_rnn._network.cells.cell import Cell
from sklearn_rnn._network.embedding import Embedding
from sklearn_rnn._network.engines.engine import Engine, Lookup, OutputLayer, Recurrence, RunningArrays, Stepper
from sklearn_rnn._network.readouts import LoopsOverSteps, NumpyLoops
from sklearn_rnn._network.scaling_of_steps import StepScaling


class NumpyOutputLayer:
    """The output layer over live parameters.

    Parameters
    ----------
    weight : ndarray of shape (n_pooled, n_outputs)
    bias : ndarray of shape (n_outputs,)
    """

    def __init__(self, weight: np.ndarray, bias: np.ndarray) -> None:
        self._weight, self._bias = weight, bias

    def __call__(self, hidden: np.ndarray) -> np.ndarray:
        """See :class:`OutputLayer`."""
        return hidden @ self._weight + self._bias

    def backward(
        self, hidden: np.ndarray, d_scores: np.ndarray, gradient: dict[str, np.ndarray], out: np.ndarray | None = None
    ) -> np.ndarray:
        """See :class:`OutputLayer`."""
        gradient["weight"] += hidden.T @ d_scores
        gradient["bias"] += d_scores.sum(axis=0)
        return np.matmul(d_scores, self._weight.T, out=out)


class NumpyEngine(Engine):
    """Runs the equations as the cells' files show them."""

    loops: LoopsOverSteps = NumpyLoops()

    def recurrence(self, cell: Cell) -> Recurrence:
        """Return the cell itself."""
        return cell

    def lookup(self, embedding: Embedding) -> Lookup:
        """Return the embedding itself."""
        return embedding

    def output_layer(
        self, weight: np.ndarray, bias: np.ndarray, for_backward: bool = False, earlier: OutputLayer | None = None
    ) -> OutputLayer:
        """Return products by BLAS."""
        return NumpyOutputLayer(weight, bias)

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
        """Return None: passes over one step serve."""
        return None

    @staticmethod
    def softmax_loss(scores: np.ndarray, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the losses and their derivatives, both from the same exponentials."""
        # log softmax(s) = s - m - log(sum of exp(s - m)), with the largest score m: no exponential overflows.
        shifted = scores - scores.max(axis=1, keepdims=True)
        exponentials = np.exp(shifted)
        total = exponentials.sum(axis=1, keepdims=True)
        return -(targets * (shifted - np.log(total))).sum(axis=1), exponentials / total - targets

    @staticmethod
    def adam(
        parameters: np.ndarray,
        gradient: np.ndarray,
        mean: np.ndarray,
        uncentered_variance: np.ndarray,
        *,
        beta_1: float,
        beta_2: float,
        epsilon: float,
        step: float,
        scale: float,
    ) -> None:
        """Take one step of Kingma & Ba 2015, algorithm 1."""
        mean *= beta_1
        mean += (1 - beta_1) * gradient
        uncentered_variance *= beta_2
        uncentered_variance += (1 - beta_2) * gradient * gradient
        denominator = np.sqrt(uncentered_variance)
        denominator *= scale
        denominator += epsilon
        change = mean / denominator
        change *= step
        parameters -= change

    @staticmethod
    def relative_size(
        gradient: np.ndarray, uncentered_variance: np.ndarray, *, beta_2: float, epsilon: float, scale: float
    ) -> float:
        """Return the size of a step, by which it may be shortened (Shazeer & Stern 2018, section 6)."""
        squares = gradient * gradient
        variance = beta_2 * uncentered_variance
        variance += (1 - beta_2) * squares
        variance *= scale**2
        squares /= np.maximum(variance, epsilon**2, out=variance)
        return sqrt(squares.mean(dtype=np.float64))

    @staticmethod
    def have_same_bits(first: np.ndarray, second: np.ndarray) -> bool:
        """Compare copies of their bytes."""
        return first.tobytes() == second.tobytes()
