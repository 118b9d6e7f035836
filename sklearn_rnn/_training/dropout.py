"""Dropout masks: one mask for each sequence."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from sklearn_rnn._network.network import RecurrentNetwork


class DropoutMasks(NamedTuple):
    """Zeros, and 1 / (1 - dropout) for values that are kept. A sequence has the same mask at every step.

    Gal & Ghahramani 2016: masks that changed from step to step would add noise to the recurrence. They would also have
    to be stored for every step, because windows may be recomputed.

    Attributes
    ----------
    layers : list of ndarray of shape (n_sequences, n_units), or None
        Between the layers.
    readout : ndarray of shape (n_sequences, n_pooled), or None
        Before the output layer.
    """

    layers: list[np.ndarray] | None
    readout: np.ndarray | None

    @classmethod
    def draw(
        cls, network: RecurrentNetwork, n_sequences: int, dropout: float, random_state: np.random.RandomState
    ) -> DropoutMasks:
        """Draw the masks of a block; return ``NO_MASKS`` without dropout."""
        if dropout == 0:
            return NO_MASKS
        keep, dtype = 1 - dropout, network.dtype
        widths = [sum(direction.n_units for direction in layer) for layer in network.layers[:-1]] + [network.n_pooled]
        masks = [(random_state.uniform(size=(n_sequences, n)) < keep).astype(dtype) / dtype.type(keep) for n in widths]
        return cls(masks[:-1], masks[-1])


NO_MASKS = DropoutMasks(None, None)
