"""The recurrent layers: how they are stacked, and the passes through all of them, forward and backward."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from sklearn_rnn._data.packing import Packing
from sklearn_rnn._network.buffers import Buffers, NetworkBuffers
from sklearn_rnn._network.cells.cell import Tape
from sklearn_rnn._network.engines import Recurrence
from sklearn_rnn._network.parameters import Parameters
from sklearn_rnn._network.prepared_weights import PreparedWeights


class Direction(NamedTuple):
    """One cell run over the sequences in one direction: half of a bidirectional layer, or a whole one."""

    name: str
    is_reverse: bool
    n_features: int
    n_units: int


def stacked(n_features: int, hidden_layer_sizes: Sequence[int], bidirectional: bool) -> list[list[Direction]]:
    """Return the directions of each layer; a layer reads those of the layer below, side by side."""
    layers = []
    for depth, n_units in enumerate(hidden_layer_sizes):
        directions = [Direction(f"layer_{depth}", False, n_features, n_units)]
        if bidirectional:
            directions.append(Direction(f"layer_{depth}.reverse", True, n_features, n_units))
        layers.append(directions)
        n_features = n_units * len(directions)
    return layers


class LayerPasses:
    """Passes through all layers, from inputs of the first layer to hidden states of the last one, and back.

    Parameters
    ----------
    layers : list of list of Direction
    recurrence : Recurrence
    """

    def __init__(self, layers: list[list[Direction]], recurrence: Recurrence) -> None:
        self._layers, self._recurrence = layers, recurrence

    def forward(
        self,
        weights: PreparedWeights,
        x: np.ndarray,
        packing: Packing,
        state: list[np.ndarray],
        buffers: NetworkBuffers,
        masks: list[np.ndarray] | None,
        keeps_tape: bool,
        keeps_hidden: bool,
    ) -> tuple[np.ndarray | None, list[np.ndarray], list[Tape]]:
        """Run all layers, from the first to the last.

        Parameters
        ----------
        x : ndarray of shape (n_rows, n_features)
            Inputs of the first layer.
        weights, packing, state, buffers, masks, keeps_tape, keeps_hidden
            See :meth:`RecurrentNetwork.forward`.

        Returns
        -------
        hidden : ndarray of shape (n_rows, n_hidden), or None
        state : list of ndarray
        tapes : list of Tape
            Of all directions, in the order of a network state.
        """
        states_before, final_state, tapes = iter(state), [], []
        hidden: Any = x
        for depth, layer in enumerate(self._layers):
            outputs: list[Any] = []
            is_last = depth == len(self._layers) - 1
            for direction in layer:
                keeps = (keeps_tape, keeps_hidden or not is_last)
                run = (weights[direction.name], buffers.of(direction.name), *keeps)
                output, final, tape = self._run(direction, hidden, packing, next(states_before), *run)
                outputs.append(output)
                final_state.append(final)
                tapes.append(tape)
            if is_last and not keeps_hidden:
                return None, final_state, tapes
            hidden = outputs[0] if len(layer) == 1 else _side_by_side(outputs, packing, buffers.of(layer[0].name))
            if masks is not None and not is_last:
                hidden = hidden * masks[depth][packing.sequence_of_row]
        return hidden, final_state, tapes

    def backward(
        self,
        weights: PreparedWeights,
        packing: Packing,
        tapes: list[Tape],
        d_hidden: np.ndarray | None,
        d_state: list[np.ndarray],
        gradient: Parameters,
        buffers: NetworkBuffers,
        masks: list[np.ndarray] | None,
        needs_d_x: bool,
    ) -> tuple[np.ndarray | None, list[np.ndarray]]:
        """Carry the error back through all layers, from the last to the first.

        Parameters
        ----------
        tapes : list of Tape
            Of :meth:`forward`.
        needs_d_x : bool
            Whether the gradient with respect to the inputs of the first layer is needed.
        weights, packing, d_hidden, d_state, gradient, buffers, masks
            See :meth:`RecurrentNetwork.backward`.

        Returns
        -------
        d_x : ndarray of shape (n_rows, n_features), or None
        d_initial_state : list of ndarray
        """
        n_directions = len(self._layers[0])
        d_initial_state: list[Any] = [None] * len(d_state)
        for depth in reversed(range(len(self._layers))):
            d_below: Any = None
            for k, direction in enumerate(self._layers[depth]):
                place = depth * n_directions + k
                columns = slice(k * direction.n_units, (k + 1) * direction.n_units)
                d_input, d_initial_state[place] = self._run_back(
                    direction,
                    tapes[place],
                    None if d_hidden is None else d_hidden[:, columns],
                    d_state[place],
                    weights[direction.name],
                    gradient.group(direction.name),
                    buffers.of(direction.name),
                    needs_d_x=depth > 0 or needs_d_x,
                )
                if d_below is None:
                    d_below = d_input
                elif d_input is not None:
                    d_below += d_input
            d_hidden = d_below
            if masks is not None and depth > 0:
                d_hidden *= masks[depth - 1][packing.sequence_of_row]
        return d_hidden, d_initial_state

    def _run(
        self,
        direction: Direction,
        x: np.ndarray,
        packing: Packing,
        state: np.ndarray,
        weights: Any,
        buffers: Buffers,
        keeps_tape: bool,
        keeps_hidden: bool,
    ) -> tuple[np.ndarray | None, np.ndarray, Tape]:
        """Run one direction of a layer; the hidden states are in the order in which it reads the steps."""
        if direction.is_reverse:  # the same recurrence over the rows counted from each sequence's end
            # Those of the first layer are freed with the batch that they come from: its features may be many.
            is_first = direction in self._layers[0]
            x = x[packing.reversed_rows] if is_first else _reversed(x, packing, buffers, "x")
        return self._recurrence.forward(x, packing, state, weights, buffers, keeps_tape, keeps_hidden)

    def _run_back(
        self,
        direction: Direction,
        tape: Tape,
        d_hidden: np.ndarray | None,
        d_state: np.ndarray,
        weights: Any,
        d_weights: dict[str, np.ndarray],
        buffers: Buffers,
        needs_d_x: bool,
    ) -> tuple[np.ndarray | None, np.ndarray]:
        """Carry the error back through one direction of a layer."""
        if direction.is_reverse and d_hidden is not None:
            d_hidden = _reversed(d_hidden, tape.packing, buffers, "d_hidden")
        d_x, d_initial = self._recurrence.backward(tape, d_hidden, d_state, weights, d_weights, buffers, needs_d_x)
        if direction.is_reverse and d_x is not None:
            d_x = _reversed(d_x, tape.packing, buffers, "d_x in time")
        return d_x, d_initial


def _reversed(rows: np.ndarray, packing: Packing, buffers: Buffers, name: str) -> np.ndarray:
    """Return rows with the steps of each sequence in reverse order, in the memory of ``buffers``."""
    to = buffers.array(name, rows.shape, rows.dtype)
    to[packing.reversed_rows] = rows  # row i changes places with row reversed_rows[i]
    return to


def _side_by_side(outputs: list[np.ndarray], packing: Packing, buffers: Buffers) -> np.ndarray:
    """Return the hidden states of both directions side by side and in time, in the memory of ``buffers``."""
    hidden, of_reverse = outputs
    n_rows, n_units = hidden.shape
    to = buffers.array("both directions", (n_rows, 2 * n_units), hidden.dtype)
    to[:, :n_units] = hidden
    to[:, n_units:][packing.reversed_rows] = of_reverse
    return to
