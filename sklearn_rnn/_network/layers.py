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
        final_state, tapes = list[np.ndarray](), list[Tape]()
        hidden: Any = x
        for depth, layer in enumerate(self._layers):
            is_last = depth == len(self._layers) - 1
            keeps = (keeps_tape, keeps_hidden or not is_last)
            before = state[len(final_state) :]
            hidden, after, tapes_of_layer = self._forward_layer(
                layer, weights, hidden, packing, before, buffers, *keeps
            )
            final_state += after
            tapes += tapes_of_layer
            if masks is not None and not is_last:
                hidden = hidden * masks[depth][packing.sequence_of_row]
        return hidden, final_state, tapes

    def _forward_layer(
        self,
        layer: list[Direction],
        weights: PreparedWeights,
        x: np.ndarray,
        packing: Packing,
        state: list[np.ndarray],
        buffers: NetworkBuffers,
        keeps_tape: bool,
        keeps_hidden: bool,
    ) -> tuple[np.ndarray | None, list[np.ndarray], list[Tape]]:
        """Run the directions of a layer; their hidden states are side by side and in time."""
        n_sequences, both = packing.n_sequences, None
        if len(layer) > 1 and keeps_hidden:  # with the initial h of one direction in front, of the other behind
            shape = (packing.n_rows + 2 * n_sequences, sum(direction.n_units for direction in layer))
            both = buffers.of(layer[0].name).array("both directions", shape, x.dtype)
        final_state, tapes = list[np.ndarray](), list[Tape]()
        for k, direction in enumerate(layer):
            own = (packing, state[k], weights[direction.name], buffers.of(direction.name))
            to = None if both is None else both[:, _columns(k, direction)]
            hidden, after, tape = self._run(direction, x, *own, keeps_tape, keeps_hidden, to)
            final_state.append(after)
            tapes.append(tape)
        return hidden if both is None else both[n_sequences:-n_sequences], final_state, tapes

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
            places = slice(depth * n_directions, (depth + 1) * n_directions)
            own = (tapes[places], d_hidden, d_state[places], gradient, buffers, depth > 0 or needs_d_x)
            d_hidden, d_initial_state[places] = self._backward_layer(self._layers[depth], weights, *own)
            if masks is not None and depth > 0:
                d_hidden *= masks[depth - 1][packing.sequence_of_row]
        return d_hidden, d_initial_state

    def _backward_layer(
        self,
        layer: list[Direction],
        weights: PreparedWeights,
        tapes: list[Tape],
        d_hidden: np.ndarray | None,
        d_state: list[np.ndarray],
        gradient: Parameters,
        buffers: NetworkBuffers,
        needs_d_x: bool,
    ) -> tuple[Any, list[np.ndarray]]:
        """Carry the error back through the directions of a layer; return the sum of the errors of their inputs."""
        d_x: Any = None
        d_initial_state = []
        for k, direction in enumerate(layer):
            d_own = None if d_hidden is None else d_hidden[:, _columns(k, direction)]
            own = (weights[direction.name], gradient.group(direction.name), buffers.of(direction.name), needs_d_x)
            d_inputs, d_initial = self._run_back(direction, tapes[k], d_own, d_state[k], *own)
            d_initial_state.append(d_initial)
            if d_x is None:
                d_x = d_inputs
            else:
                d_x += d_inputs
        return d_x, d_initial_state

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
        to: np.ndarray | None,
    ) -> tuple[np.ndarray | None, np.ndarray, Tape]:
        """Run one direction of a layer; if there are two, its hidden states go ``to`` its own columns."""
        arguments = (packing, state, weights, buffers, keeps_tape, keeps_hidden)
        in_place = self._recurrence.in_place
        if in_place is not None and packing.is_dense:
            first = packing.n_sequences if direction.is_reverse else 0
            own = None if to is None else to[first : first + packing.n_sequences + packing.n_rows]
            return in_place.forward(x, *arguments, direction.is_reverse, own)
        if direction.is_reverse:  # the same recurrence over the rows counted from each sequence's end
            # Those of the first layer are freed with the batch that they come from: its features may be many.
            is_first = direction in self._layers[0]
            x = packing.write_reversed(x, np.empty_like(x)) if is_first else _reversed(x, packing, buffers, "x")
        hidden, final_state, tape = self._recurrence.forward(x, *arguments)
        if to is not None and hidden is not None:
            _write_in_time(hidden, direction, packing, to[packing.n_sequences : -packing.n_sequences])
        return hidden, final_state, tape

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
        is_copied = direction.is_reverse and not tape.is_reverse
        if is_copied and d_hidden is not None:
            d_hidden = _reversed(d_hidden, tape.packing, buffers, "d_hidden")
        d_x, d_initial = self._recurrence.backward(tape, d_hidden, d_state, weights, d_weights, buffers, needs_d_x)
        if is_copied and d_x is not None:
            d_x = _reversed(d_x, tape.packing, buffers, "d_x in time")
        return d_x, d_initial


def _columns(k: int, direction: Direction) -> slice:
    """Return the columns of a layer's k-th direction among those of all its directions."""
    return slice(k * direction.n_units, (k + 1) * direction.n_units)


def _write_in_time(hidden: np.ndarray, direction: Direction, packing: Packing, to: np.ndarray) -> None:
    """Write the hidden states of a direction, in the order in which it read the steps, in that of time."""
    if direction.is_reverse:
        packing.write_reversed(hidden, to)
    else:
        to[...] = hidden


def _reversed(rows: np.ndarray, packing: Packing, buffers: Buffers, name: str) -> np.ndarray:
    """Return rows with the steps of each sequence in reverse order, in the memory of ``buffers``."""
    return packing.write_reversed(rows, buffers.array(name, rows.shape, rows.dtype))
