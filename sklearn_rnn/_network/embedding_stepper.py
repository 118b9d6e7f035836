"""EmbeddingStepper: streams of a network with an embedding."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from sklearn_rnn._network.buffers import NetworkBuffers
from sklearn_rnn._network.engines import Stepper


class EmbeddingStepper:
    """A stepper whose steps have codes in the place of categories.

    Parameters
    ----------
    inputs : callable
        Returns the inputs of the first layer that rows stand for, with the memory of NetworkBuffers.
    stepper : Stepper
        Takes these inputs.
    """

    def __init__(self, inputs: Callable[[np.ndarray, NetworkBuffers], np.ndarray], stepper: Stepper) -> None:
        self._inputs, self._stepper, self._buffers = inputs, stepper, NetworkBuffers()

    def is_ready(self, x: Any) -> bool:
        """Return False: categories must first be read as codes."""
        return False

    def n_ready_steps(self, X: Any) -> int:
        """Return 0: categories must first be read as codes."""
        return 0

    def step(self, x: np.ndarray) -> np.ndarray:
        """Return the raw scores after one more step x, (n_sequences, n_features)."""
        return self._stepper.step(self._inputs(x, self._buffers))

    def run_steps(self, x: np.ndarray, n_steps: int, of_each: bool) -> np.ndarray:
        """Return the raw scores after several more steps x, (n_rows, n_features); see :class:`Stepper`."""
        return self._stepper.run_steps(self._inputs(x, self._buffers), n_steps, of_each)
