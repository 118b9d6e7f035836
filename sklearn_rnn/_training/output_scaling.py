"""Training as if the inputs of the output layer had mean 0 and spread 1 (LeCun et al. 1998, sections 4.3 and 5).

The pooled states of some units hardly differ between sequences, and all of them may share a large mean. The gradient of
the output layer is then badly conditioned. Training sees the output layer in other coordinates, V and c of inputs in
units of their spread: scores = ((h - mean) / scale) V + c. The network keeps the equivalent V / scale and
c - mean (V / scale): predictions know nothing of the scaling.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from sklearn_rnn._data.batches import Dataset
from sklearn_rnn._inference.prediction import output_inputs
from sklearn_rnn._network.network import RecurrentNetwork
from sklearn_rnn._network.parameters import Parameters

# Added to every spread: states that do not differ at the start may differ later.
SMALLEST_SCALE = 0.01
# Start values of V, by those of an output layer that is not scaled: scores begin near 0 also with many units.
START_SHARE = 0.1
# Numbers of inputs that are measured together.
VALUES_AT_ONCE = 2**22


class OutputScaling(NamedTuple):
    """Mean and spread of the output layer's inputs.

    Attributes
    ----------
    mean, scale : ndarray of shape (n_pooled,)
    """

    mean: np.ndarray
    scale: np.ndarray

    def as_trained(self, parameters: Parameters) -> Parameters:
        """Return a copy of a network's parameters in the coordinates of training."""
        trained = parameters.copy()
        views = trained.views
        views["readout.bias"] += self.mean @ views["readout.weight"]
        views["readout.weight"] *= self.scale[:, None]
        return trained

    def as_network(self, trained: Parameters) -> np.ndarray:
        """Return trained parameters in the coordinates of the network, as a vector."""
        parameters = trained.copy()
        views = parameters.views
        views["readout.weight"] /= self.scale[:, None]
        views["readout.bias"] -= self.mean @ views["readout.weight"]
        return parameters.vector

    def transform_gradient(self, gradient: Parameters) -> None:
        """Turn the gradient with respect to the network's parameters into the trained ones' gradient, in place."""
        # V' = V / scale, c' = c - mean V': dL/dV = (dL/dV' - mean dL/dc') / scale, dL/dc = dL/dc'.
        d_weight = gradient.views["readout.weight"]
        d_weight -= self.mean[:, None] * gradient.views["readout.bias"]
        d_weight /= self.scale[:, None]


def begin_scaling(network: RecurrentNetwork, dataset: Dataset, n_jobs: int | None) -> OutputScaling:
    """Measure the inputs of a new network's output layer; give it start values in the coordinates of training.

    Parameters
    ----------
    network : RecurrentNetwork
        Its output layer is changed in place.
    dataset : Dataset
        Its samples count by their weights.
    n_jobs : int or None
    """
    scaling = measure(network, dataset, n_jobs)
    start = network.parameters.copy()
    start.views["readout.weight"] *= network.dtype.type(START_SHARE)
    network.parameters.vector[...] = scaling.as_network(start)
    return scaling


def measure(network: RecurrentNetwork, dataset: Dataset, n_jobs: int | None) -> OutputScaling:
    """Return the weighted mean and spread of each input of the output layer, some sequences at a time."""
    total, sums, squares = 0.0, np.zeros(network.n_pooled), np.zeros(network.n_pooled)
    longest = dataset.sequences.lengths.max() if dataset.per_step else 1
    n_at_once = max(1, VALUES_AT_ONCE // int(longest * network.n_pooled))
    for start in range(0, len(dataset), n_at_once):
        part = dataset.subset(np.arange(start, min(start + n_at_once, len(dataset))))
        inputs = output_inputs(network, part.sequences, n_jobs).astype(np.float64)
        weights = part.weights.astype(np.float64)
        total, sums, squares = total + weights.sum(), sums + weights @ inputs, squares + weights @ np.square(inputs)
    if not total:  # a first chunk without any weight
        return OutputScaling(np.zeros(network.n_pooled, network.dtype), np.ones(network.n_pooled, network.dtype))
    mean = sums / total
    scale = np.sqrt(np.maximum(squares / total - np.square(mean), 0)) + SMALLEST_SCALE
    return OutputScaling(mean.astype(network.dtype), scale.astype(network.dtype))
