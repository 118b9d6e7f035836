"""Untrained recurrent layers: how they are drawn, and what they read."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import DTypeLike

from sklearn_rnn._data.packing import Packing
from sklearn_rnn._network.buffers import NetworkBuffers
from sklearn_rnn._network.cells.cell import orthogonal_matrix
from sklearn_rnn._network.network import RecurrentNetwork
from sklearn_rnn._network.prepared_weights import PreparedWeights
from sklearn_rnn._utils.plain import Array, Flag, Object, plain_form
from sklearn_rnn.preprocessing._input_scale import InputScale

# A layer of scale d has oscillations of 2 d steps and longer, and its states fade to 1/e in 9 d steps. (MiniRocket's
# filters have 9 weights, d steps apart.)
MEMORY_OF_SCALE = 9
# Sequences of mean length have 8 times as many steps as the longest scale.
SCALES_OF_SEQUENCE = 8


class Inputs:
    """What the layers read of a packed batch.

    Parameters
    ----------
    rows : ndarray of shape (n_rows, n_features)
    packing : Packing
    scale : InputScale
    """

    def __init__(self, rows: np.ndarray, packing: Packing, scale: InputScale) -> None:
        self.packing, self._scale = packing, scale
        self._read = {(False, False): scale.values(rows)}

    def rows(self, is_change: bool, is_reverse: bool) -> np.ndarray:
        """Return the standardised values or changes, (n_rows, n_features), from the first step or from the last."""
        key = is_change, is_reverse
        if key not in self._read:
            if is_reverse:
                self._read[key] = self.rows(is_change, False)[self.packing.reversed_rows]
            else:
                self._read[key] = self._scale.changes(self.rows(False, False), self.packing)
        return self._read[key]


@plain_form("random_layer", network=Object("network"), reads_changes=Flag(), is_reverse=Flag(), thresholds=Array(2))
@dataclass
class RandomLayer:
    """An untrained recurrent layer.

    Attributes
    ----------
    network : RecurrentNetwork
        One layer in one direction. Its output layer is not used.
    reads_changes : bool
        Whether it reads the changes from step to step instead of the values.
    is_reverse : bool
        Whether it reads from the last step to the first.
    thresholds : ndarray of shape (n_levels, n_units)
        Of the shares.
    """

    network: RecurrentNetwork
    reads_changes: bool
    is_reverse: bool
    thresholds: np.ndarray

    @property
    def n_units(self) -> int:
        """Number of units."""
        return self.network.n_hidden

    def run(
        self, inputs: Inputs, weights: PreparedWeights, state: list[np.ndarray], buffers: NetworkBuffers
    ) -> Iterator[tuple[int, Packing, np.ndarray]]:
        """Run over a batch; see :meth:`RecurrentNetwork.forward_without_tape` for ``state`` and the chunks."""
        rows = inputs.rows(self.reads_changes, self.is_reverse)
        return self.network.forward_without_tape(weights, rows, inputs.packing, state, buffers)


def draw_layers(
    *,
    n_features: int,
    n_units: int,
    scales: np.ndarray,
    differences: bool,
    bidirectional: bool,
    input_scale: float,
    dtype: DTypeLike,
    random_state: np.random.RandomState,
) -> list[RandomLayer]:
    """Draw a layer for each scale, each direction, and for values and changes; all units are shared out among them."""
    kinds = [
        (reads_changes, is_reverse, scale)
        for reads_changes in (False, True)[: 1 + differences]
        for is_reverse in (False, True)[: 1 + bidirectional]
        for scale in scales
    ]
    shared_out = np.diff(np.arange(len(kinds) + 1) * n_units // len(kinds))
    return [
        RandomLayer(
            _draw_network(n_features, int(n), scale, input_scale, dtype, random_state),
            reads_changes,
            is_reverse,
            np.empty((0, int(n)), dtype),
        )
        for n, (reads_changes, is_reverse, scale) in zip(shared_out, kinds)
        if n > 0
    ]


def time_scales(mean_length: float, n_scales: int) -> np.ndarray:
    """Return the scales, in steps, from 1 to an eighth of a sequence."""
    return np.geomspace(1, max(2, mean_length / SCALES_OF_SEQUENCE), n_scales)


def _draw_network(
    n_features: int,
    n_units: int,
    scale: float,
    input_scale: float,
    dtype: DTypeLike,
    random_state: np.random.RandomState,
) -> RecurrentNetwork:
    network = RecurrentNetwork(
        n_features,
        (n_units,),
        1,
        cell="rnn",
        activation="tanh",
        bidirectional=False,
        readout="last",
        dtype=dtype,
        random_state=random_state,
    )
    weights = network.parameters.group("layer_0")
    weights["input"][...] = input_scale * random_state.uniform(-1, 1, weights["input"].shape)
    weights["recurrent"][...] = _fading_rotations(n_units, scale, random_state)
    weights["bias"][...] = 0
    return network


def _fading_rotations(n_units: int, scale: float, random_state: np.random.RandomState) -> np.ndarray:
    """Draw recurrent weights: rotations of random planes by random angles, which shrink every state alike."""
    rotations = np.eye(n_units)  # the last unit of an odd number does not turn
    for first in range(0, n_units - 1, 2):
        angle = random_state.uniform(0, np.pi / scale)
        plane = slice(first, first + 2)
        rotations[plane, plane] = [[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]]
    basis = orthogonal_matrix(n_units, random_state)
    return np.exp(-1 / (MEMORY_OF_SCALE * scale)) * (basis @ rotations @ basis.T)
