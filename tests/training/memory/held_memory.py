"""Constants and measures that the tests of bounded memory share."""

import numpy as np
import pytest

from sklearn_rnn._data.packing import Packing
from sklearn_rnn._training.memory.segments import cut_into_segments

LENGTHS = (23, 4, 31, 17, 31, 1)

each_readout = pytest.mark.parametrize("readout", ["last", "mean", "max", "each"])
each_cell = pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])


def smallest_budget(model):
    """Bytes for a pass over all steps of a block that stores one tape and one state."""
    return sum(model.segment(model.packing.n_rows))


def held_bytes(memory):
    """Bytes of all arrays in sets of buffers."""
    return sum(
        array.nbytes for buffers in memory for direction in buffers.values() for array in direction._memory.values()
    )


def many_segments(network, n_steps=400, n_sequences=3):
    return cut_into_segments(network, Packing(np.full(n_sequences, n_steps)), 0, n_steps)


class Silent:
    """A monitor that is told and says nothing."""

    def end_update(self, *figures):
        pass
