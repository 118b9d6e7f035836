"""Training as if the inputs of the first and of the output layer had mean 0 and spread 1 (LeCun et al. 1998, 4.3, 5).

Features may be far from scale, and the pooled states of some units hardly differ between sequences. The gradient of
such a layer is badly conditioned. Training sees it in other coordinates, the weights V and biases c of inputs in units
of their spread: ((h - mean) / scale) V + c. The network keeps the equivalent V / scale and c - mean (V / scale):
predictions know nothing of the scaling.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from sklearn_rnn._data.batches import Dataset
from sklearn_rnn._data.moments import Moments
from sklearn_rnn._inference.prediction import output_inputs
from sklearn_rnn._network.network import RecurrentNetwork
from sklearn_rnn._network.parameters import Parameters
from sklearn_rnn._utils.plain import Array, Items, Object, Text, plain_form

# Added to every spread of pooled states: states that do not differ at the start may differ later.
SMALLEST_SCALE = 0.01
# Start values of V, by those of an output layer that is not scaled: scores begin near 0 also with many units.
START_SHARE = 0.1
# Numbers of pooled states that are measured together.
VALUES_AT_ONCE = 2**18


@plain_form("scaled_layer", weight=Text(), bias=Text(), mean=Array(1), scale=Array(1))
class ScaledLayer(NamedTuple):
    """A layer and the mean and spread of its inputs.

    Attributes
    ----------
    weight, bias : str
        Names of its parameters.
    mean, scale : ndarray of shape (n_inputs,)
    """

    weight: str
    bias: str
    mean: np.ndarray
    scale: np.ndarray


@plain_form("scaling", layers=Items(Object("scaled_layer")))
class Scaling(NamedTuple):
    """The coordinates of training.

    Attributes
    ----------
    layers : list of ScaledLayer
    """

    layers: list[ScaledLayer]

    def as_trained(self, parameters: Parameters, memory: Parameters | None = None) -> Parameters:
        """Return a copy of a network's parameters in the coordinates of training; in ``memory``, if this is given."""
        trained = _copied(parameters, memory)
        for layer in self.layers:
            weight = trained.views[layer.weight]
            trained.views[layer.bias] += layer.mean @ weight
            weight *= layer.scale[:, None]
        return trained

    def as_network(self, trained: Parameters, memory: Parameters | None = None) -> np.ndarray:
        """Return trained parameters in the coordinates of the network, as a vector; in ``memory``, if this is given.

        It may be the memory of ``trained``, which then changes.
        """
        parameters = _copied(trained, memory)
        for layer in self.layers:
            weight = parameters.views[layer.weight]
            weight /= layer.scale[:, None]
            parameters.views[layer.bias] -= layer.mean @ weight
        return parameters.vector

    def transform_gradient(self, gradient: Parameters) -> None:
        """Turn the gradient with respect to the network's parameters into the trained ones' gradient, in place."""
        # V' = V / scale, c' = c - mean V': dL/dV = (dL/dV' - mean dL/dc') / scale, dL/dc = dL/dc'.
        for layer in self.layers:
            d_weight = gradient.views[layer.weight]
            d_weight -= layer.mean[:, None] * gradient.views[layer.bias]
            d_weight /= layer.scale[:, None]


def _copied(parameters: Parameters, memory: Parameters | None) -> Parameters:
    """Return a copy; an update has no time for new memory and new views."""
    if memory is None:
        return parameters.copy()
    memory.vector[...] = parameters.vector
    return memory


def begin_scaling(
    network: RecurrentNetwork, dataset: Dataset, n_jobs: int | None, *, of_features: bool, of_readout: bool
) -> Scaling | None:
    """Measure the inputs of a new network's layers; give it start values in the coordinates of training.

    Parameters
    ----------
    network : RecurrentNetwork
        Its parameters are changed in place.
    dataset : Dataset
        Its samples count by their weights.
    n_jobs : int or None
    of_features, of_readout : bool
        Which layers are scaled, the first one and the output layer.
    """
    return scaling_by(
        network,
        (lambda: feature_moments(dataset)) if of_features else None,
        (lambda: readout_sums(network, dataset, n_jobs)) if of_readout else None,
    )


def scaling_by(
    network: RecurrentNetwork,
    measure_features: Callable[[], Moments] | None,
    measure_readout: Callable[[], ReadoutSums] | None,
) -> Scaling | None:
    """Do what :func:`begin_scaling` does, by functions that measure; None for a layer that is not scaled.

    When the output layer is measured, the network has the new start values of the first layer.
    """
    layers = []
    if measure_features is not None:
        statistics = _of_inputs(network, *scale_of_features(measure_features(), network.dtype))
        layers = [ScaledLayer(f"{d.name}.input", f"{d.name}.bias", *statistics) for d in network.layers[0]]
        network.parameters.vector[...] = Scaling(layers).as_network(network.parameters)
    if measure_readout is not None:
        readout = ScaledLayer("readout.weight", "readout.bias", *measure_readout().mean_and_scale(network.dtype))
        start = network.parameters.copy()
        start.views["readout.weight"] *= network.dtype.type(START_SHARE)
        network.parameters.vector[...] = Scaling([readout]).as_network(start)
        layers.append(readout)
    return Scaling(layers) if layers else None


def _of_inputs(network: RecurrentNetwork, mean: np.ndarray, scale: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean and spread of each input of the first layer, given those of each feature of a step."""
    if network.embedding is not None:
        return network.embedding.in_inputs(mean, 0), network.embedding.in_inputs(scale, 1)
    n_steps = network.layers[0][0].n_features // len(mean)  # of a patch
    return np.tile(mean, n_steps), np.tile(scale, n_steps)


def feature_moments(dataset: Dataset) -> Moments:
    """Return the weighted moments of each feature, over all steps."""
    source = dataset.sequences.of_data  # without zeros in front
    weights = dataset.weights if dataset.per_step else np.repeat(dataset.weights, source.lengths)
    moments = Moments(source.n_features)
    for first, rows in source.chunks():
        of_rows = weights[first : first + len(rows)]
        counts = of_rows > 0
        with np.errstate(over="ignore", invalid="ignore"):
            moments.add(rows if counts.all() else rows[counts], of_rows if counts.all() else of_rows[counts])
    return moments


def scale_of_features(moments: Moments, dtype: np.dtype) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean and spread of each feature; 0 and 1 for constant features."""
    with np.errstate(over="ignore", invalid="ignore"):
        mean, spread = moments.mean.astype(dtype), moments.spread.astype(dtype)
        limits = np.finfo(dtype)
        is_scaled = ~moments.is_constant(10 * float(limits.eps)) & (spread > np.sqrt(limits.tiny))
        is_scaled &= np.isfinite(mean) & (spread < np.sqrt(limits.max))
    return np.where(is_scaled, mean, dtype.type(0)), np.where(is_scaled, spread, dtype.type(1))


class ReadoutSums(NamedTuple):
    """Weighted sums over the inputs of the output layer.

    Attributes
    ----------
    weight : float
    inputs, squares : ndarray of shape (n_pooled,), float64
    """

    weight: float
    inputs: np.ndarray
    squares: np.ndarray

    def plus(self, others: ReadoutSums) -> ReadoutSums:
        """Return the sums over these inputs and others."""
        return ReadoutSums(self.weight + others.weight, self.inputs + others.inputs, self.squares + others.squares)

    def mean_and_scale(self, dtype: np.dtype) -> tuple[np.ndarray, np.ndarray]:
        """Return the weighted mean and spread of each input."""
        mean = self.inputs / self.weight
        scale = np.sqrt(np.maximum(self.squares / self.weight - np.square(mean), 0)) + SMALLEST_SCALE
        return mean.astype(dtype), scale.astype(dtype)


def readout_sums(network: RecurrentNetwork, dataset: Dataset, n_jobs: int | None) -> ReadoutSums:
    """Return the sums over the inputs of the output layer, some sequences at a time."""
    sums = ReadoutSums(0.0, np.zeros(network.n_pooled), np.zeros(network.n_pooled))
    longest = dataset.sequences.lengths.max() if dataset.per_step else 1
    n_at_once = max(1, VALUES_AT_ONCE // int(longest * network.n_pooled))
    for start in range(0, len(dataset), n_at_once):
        part = dataset.subset(np.arange(start, min(start + n_at_once, len(dataset))))
        inputs = output_inputs(network, part.sequences, n_jobs).astype(np.float64)
        weights = part.weights.astype(np.float64)
        sums = sums.plus(ReadoutSums(float(weights.sum()), weights @ inputs, weights @ np.square(inputs)))
    return sums
