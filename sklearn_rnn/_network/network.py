"""The network: stacked, possibly bidirectional recurrent layers, and the output layer."""

from __future__ import annotations

from copy import copy
from typing import NamedTuple

import numpy as np

from sklearn_rnn._network.cells import Buffers, make_cell
from sklearn_rnn._network.parameters import Parameters
from sklearn_rnn._network.readouts import POOLS

# Numbers that a pass without a tape holds at once: few enough to stay in the cache.
VALUES_AT_ONCE = 2**17


class Direction(NamedTuple):
    """One cell run over the sequences in one direction: half of a bidirectional layer, or a whole one."""

    name: str
    is_reverse: bool
    n_features: int
    n_units: int


class NetworkTape(NamedTuple):
    """What the network's backward pass needs of its forward pass: its cells' tapes, layer by layer."""

    packing: object
    cell_tapes: list


class RecurrentNetwork:
    """Layers of recurrent cells and a linear output layer over what the readout pools.

    Parameters
    ----------
    n_features : int
        Features per network step.
    hidden_layer_sizes : tuple of int
        Units of each layer (of each direction of it).
    n_outputs : int
    cell : {"rnn", "lstm", "gru"}
    activation : {"identity", "logistic", "relu", "tanh"}
    bidirectional : bool
        Layers run forwards and backwards in time; the next layer sees both, side by side.
    readout : {"last", "mean", "max", "each"}
    dtype : dtype
    random_state : RandomState
        Draws the start values.

    Attributes
    ----------
    parameters : Parameters
        "layer_0.input", "layer_0.recurrent", "layer_0.bias", "layer_0.reverse.input", …,
        "readout.weight" (n_units of the last layer, n_outputs), "readout.bias" (n_outputs,).

    Notes
    -----
    A network state is a list with one array (n_states, n_sequences, n_units) for each direction of each
    layer. The network itself holds nothing but its parameters: passes over different batches may run
    side by side in different threads, each with its own buffers and gradient.
    """

    def __init__(
        self,
        n_features,
        hidden_layer_sizes,
        n_outputs,
        *,
        cell,
        activation,
        bidirectional,
        readout,
        dtype,
        random_state,
    ):
        self.cell = make_cell(cell, activation)
        self.readout = readout
        self.n_outputs = n_outputs
        self.layers = []
        for depth, n_units in enumerate(hidden_layer_sizes):
            directions = [Direction(f"layer_{depth}", False, n_features, n_units)]
            if bidirectional:
                directions.append(Direction(f"layer_{depth}.reverse", True, n_features, n_units))
            self.layers.append(directions)
            n_features = n_units * len(directions)
        # In the order of a network state.
        self.directions = [direction for layer in self.layers for direction in layer]
        self.n_hidden = n_features
        self.n_units = sum(direction.n_units for direction in self.directions)
        self.parameters = Parameters(self._parameter_shapes(), dtype)
        self._initialize(random_state)

    def copy(self, dtype=None):
        """Return the same network with parameters of its own; in another dtype if one is given."""
        twin = copy(self)
        twin.parameters = self.parameters.copy(dtype)
        return twin

    @property
    def dtype(self):
        """Floating point type of the parameters, and of everything computed with them."""
        return self.parameters.vector.dtype

    @property
    def work_per_row(self):
        """Multiplications that one step of one sequence takes."""
        n_gates = self.cell.n_gates
        return sum(n_gates * d.n_units * (d.n_features + d.n_units) for d in self.directions)

    @property
    def is_bidirectional(self):
        """Whether layers read the sequences from both ends."""
        return len(self.layers[0]) > 1

    def state_bytes(self, n_sequences):
        """Bytes of a network state."""
        return self.cell.n_states * n_sequences * self.n_units * self.dtype.itemsize

    def tape_bytes(self, n_rows, n_sequences, has_masks=False):
        """Bytes of the tape of so many rows; ``has_masks`` where there is dropout between the layers."""
        values = sum(self.cell.tape_values(d.n_units, self.dtype) for d in self.directions)
        # What a layer reads is the hidden states of the one below, or a copy of them.
        if has_masks or self.is_bidirectional:
            values += sum(d.n_units for layer in self.layers[:-1] for d in layer)
        return n_rows * values * self.dtype.itemsize + self.state_bytes(n_sequences)

    def work_bytes(self, n_rows, n_sequences, is_dense):
        """Bytes that a backward pass over so many rows of a batch needs for itself, beside the tape."""
        sizes = (n_rows, n_sequences, is_dense)
        return self.dtype.itemsize * sum(
            self.cell.work_values(*sizes, d.n_features, d.n_units, self.dtype, needs_d_x=depth > 0)
            for depth, layer in enumerate(self.layers)
            for d in layer
        )

    def _parameter_shapes(self):
        shapes: dict[str, tuple[int, ...]] = {}
        for direction in self.directions:
            cell_shapes = self.cell.parameter_shapes(direction.n_features, direction.n_units)
            shapes |= {f"{direction.name}.{name}": shape for name, shape in cell_shapes.items()}
        return shapes | {
            "readout.weight": (self.n_hidden, self.n_outputs),
            "readout.bias": (self.n_outputs,),
        }

    def _initialize(self, random_state):
        """Start values; drawn in float64 and rounded, so that both dtypes begin alike."""
        for direction in self.directions:
            self.cell.initialize(self.parameters.group(direction.name), random_state)
        limit = np.sqrt(6.0 / (self.n_hidden + self.n_outputs))  # Glorot & Bengio 2010, eq. 16
        weight = self.parameters.views["readout.weight"]
        weight[...] = random_state.uniform(-limit, limit, weight.shape)

    def prepare(self, for_backward=True):
        """Return the weights as the passes read them; of passes that only predict with ``for_backward=False``."""
        return PreparedWeights(self, for_backward)

    def initial_state(self, n_sequences):
        """Zeros for every sequence, as a network state."""
        return [
            np.zeros((self.cell.n_states, n_sequences, direction.n_units), self.dtype) for direction in self.directions
        ]

    def pool(self, lengths):
        """Return a new pool for a batch; not for readout "each"."""
        return POOLS[self.readout](lengths, self.n_hidden, self.dtype)

    def final_hidden(self, state):
        """h of the last layer in a network state, (n_sequences, n_hidden)."""
        directions = [direction[0] for direction in state[-len(self.layers[-1]) :]]
        return directions[0] if len(directions) == 1 else np.concatenate(directions, axis=1)

    def d_final_state(self, d_final_hidden):
        """Gradient with respect to a network state, given the one with respect to its final hidden."""
        d_state = self.initial_state(len(d_final_hidden))
        n_units = self.layers[-1][0].n_units
        for k, d_direction in enumerate(d_state[-len(self.layers[-1]) :]):
            d_direction[0] = d_final_hidden[:, k * n_units : (k + 1) * n_units]
        return d_state

    # ---- The recurrent layers ------------------------------------------------------------------------

    def forward(self, weights, rows, packing, state, buffers, masks=None, keeps_tape=True, keeps_hidden=True):
        """Run the layers over a packed batch, or over a window of one.

        Parameters
        ----------
        weights : PreparedWeights
        rows : ndarray of shape (n_rows, n_features)
        packing : Packing
        state : list of ndarray
            Network state before the first step.
        buffers : NetworkBuffers
            The tape's memory.
        masks : list of ndarray of shape (n_sequences, n_units), or None
            Dropout masks: what each layer but the last passes on is multiplied by them.
        keeps_tape : bool
            Whether a backward pass may follow.
        keeps_hidden : bool
            Whether more than the final state is wanted; so with a tape.

        Returns
        -------
        hidden : ndarray of shape (n_rows, n_hidden), or None
            The last layer's h after every step.
        state : list of ndarray
            Network state after each sequence's last step.
        tape : NetworkTape
        """
        states_before, final_state, tapes = iter(state), [], []
        x = rows
        for depth, layer in enumerate(self.layers):
            outputs = []
            is_last = depth == len(self.layers) - 1
            for direction in layer:
                keeps = (keeps_tape, keeps_hidden or not is_last)
                run = (weights[direction.name], buffers.of(direction.name), *keeps)
                hidden, final, tape = self._run(direction, x, packing, next(states_before), *run)
                outputs.append(hidden)
                final_state.append(final)
                tapes.append(tape)
            if is_last and not keeps_hidden:
                return None, final_state, None
            x = outputs[0] if len(layer) == 1 else np.concatenate(outputs, axis=1)
            if masks is not None and not is_last:
                x = x * masks[depth][packing.sequence_of_row]
        return x, final_state, NetworkTape(packing, tapes)

    def stream(self, weights, rows, packing, state, buffers, masks=None, keeps_hidden=True):
        """Run the layers without keeping a tape, in memory for a few hundred or thousand rows.

        Parameters
        ----------
        weights, rows, packing, buffers, masks, keeps_hidden
            As for :meth:`forward`.
        state : list of ndarray
            Network state before the first step; its entries are replaced by those after the steps so far.

        Yields
        ------
        first_step : int
        packing : Packing
            Of the steps from ``first_step`` on that are run at once (all of them if bidirectional).
        hidden : ndarray of shape (n_rows, n_hidden), or None
            The last layer's h after these steps; the memory is used again for the next ones.
        """
        n_steps_at_once = self._steps_at_once(packing, keeps_hidden)
        for start in range(0, packing.n_steps, n_steps_at_once):
            stop = min(start + n_steps_at_once, packing.n_steps)
            chunk = packing.window(start, stop)
            chunk_rows = rows[packing.rows_of_steps(start, stop)]
            hidden, state[:], _ = self.forward(
                weights, chunk_rows, chunk, state, buffers, masks, keeps_tape=False, keeps_hidden=keeps_hidden
            )
            yield start, chunk, hidden

    def _steps_at_once(self, packing, keeps_hidden):
        """Steps that :meth:`stream` runs at once."""
        n_values_a_step = packing.n_sequences * self._values_per_row(keeps_hidden)
        n_steps = max(1, VALUES_AT_ONCE // max(1, n_values_a_step))
        return max(1, packing.n_steps) if self.is_bidirectional else min(n_steps, max(1, packing.n_steps))

    def stream_bytes(self, packing):
        """Bytes that :meth:`stream` takes at once, at the most, for what the readout needs."""
        keeps_hidden = self.readout != "last"
        n_rows = packing.n_sequences * (1 + self._steps_at_once(packing, keeps_hidden))
        keeps = [True] * (len(self.layers) - 1) + [keeps_hidden]
        values = sum(
            self.cell.stream_values(n_rows, packing.n_sequences, d.n_units, keeps_layer)
            for layer, keeps_layer in zip(self.layers, keeps)
            for d in layer
        )
        return values * self.dtype.itemsize

    def _values_per_row(self, keeps_hidden):
        """Numbers that a pass without a tape holds for each row, in the layer that needs the most."""
        keeps = [True] * (len(self.layers) - 1) + [keeps_hidden]
        return max(
            sum(self.cell.values_per_row(direction.n_units, keeps_layer) for direction in layer)
            for layer, keeps_layer in zip(self.layers, keeps)
        )

    def _run(self, direction, x, packing, state, weights, buffers, keeps_tape, keeps_hidden):
        if direction.is_reverse:  # the same recurrence over the rows counted from each sequence's end
            x = x[packing.reversed_rows]
        hidden, final, tape = self.cell.forward(x, packing, state, weights, buffers, keeps_tape, keeps_hidden)
        if direction.is_reverse and keeps_hidden:
            hidden = hidden[packing.reversed_rows]
        return hidden, final, tape

    def backward(self, weights, tape, d_hidden, d_state, gradient, buffers, masks=None):
        """Carry the error back through all steps and layers of a forward pass.

        Parameters
        ----------
        weights : PreparedWeights
            As in the forward pass.
        tape : NetworkTape
        d_hidden : ndarray of shape (n_rows, n_hidden), or None
            Gradient with respect to the last layer's h after every step.
        d_state : list of ndarray
            Gradient with respect to the network state after each sequence's last step; overwritten.
        gradient : Parameters
            The parameters' gradients are added to it.
        buffers : NetworkBuffers
        masks : list of ndarray, or None
            As in the forward pass.

        Returns
        -------
        d_initial_state : list of ndarray
            Gradient with respect to the network state before the first step.
        """
        n_directions = len(self.layers[0])
        d_initial_state = [None] * len(d_state)
        for depth in reversed(range(len(self.layers))):
            d_below = None
            for k, direction in enumerate(self.layers[depth]):
                place = depth * n_directions + k
                columns = slice(k * direction.n_units, (k + 1) * direction.n_units)
                d_x, d_initial_state[place] = self._run_back(
                    direction,
                    tape.cell_tapes[place],
                    None if d_hidden is None else d_hidden[:, columns],
                    d_state[place],
                    weights[direction.name],
                    gradient.group(direction.name),
                    buffers.of(direction.name),
                    needs_d_x=depth > 0,
                )
                d_below = d_x if d_below is None else d_below + d_x
            d_hidden = d_below
            if masks is not None and depth > 0:
                d_hidden *= masks[depth - 1][tape.packing.sequence_of_row]
        return d_initial_state

    def _run_back(self, direction, tape, d_hidden, d_state, weights, d_weights, buffers, needs_d_x):
        reversed_rows = tape.packing.reversed_rows if direction.is_reverse else None
        if direction.is_reverse and d_hidden is not None:
            d_hidden = d_hidden[reversed_rows]
        d_x, d_initial = self.cell.backward(tape, d_hidden, d_state, weights, d_weights, buffers, needs_d_x)
        if direction.is_reverse and needs_d_x:
            d_x = d_x[reversed_rows]
        return d_x, d_initial

    # ---- The output layer ----------------------------------------------------------------------------

    def scores(self, pooled):
        """h V + c: the raw scores, (n, n_outputs), of pooled states or of every step's h, for a backward pass."""
        views = self.parameters.views
        return pooled @ views["readout.weight"] + views["readout.bias"]

    def scores_backward(self, pooled, d_scores, gradient):
        """Add the output layer's gradients to ``gradient``; return the one with respect to ``pooled``."""
        gradient.views["readout.weight"] += pooled.T @ d_scores
        gradient.views["readout.bias"] += d_scores.sum(axis=0)
        return d_scores @ self.parameters.views["readout.weight"].T


class PreparedWeights:
    """A network's weights as its cells read them, shared by passes that run side by side.

    Parameters
    ----------
    network : RecurrentNetwork
    for_backward : bool

    Attributes
    ----------
    output : callable
        Without ``for_backward``: raw scores, (n, n_outputs), of pooled states or of every step's h.
    """

    def __init__(self, network, for_backward):
        self._network, self._for_backward = network, for_backward
        self._prepared = {direction.name: None for direction in network.directions}
        self.refresh()

    def refresh(self):
        """Follow the network's parameters, which have changed."""
        cell, parameters = self._network.cell, self._network.parameters
        for name, earlier in self._prepared.items():
            self._prepared[name] = cell.prepare(parameters.group(name), self._for_backward, earlier)
        if not self._for_backward:
            self.output = cell.output_layer(**parameters.group("readout"))

    def __getitem__(self, name):
        return self._prepared[name]


class NetworkBuffers(dict):
    """One set of work arrays for each direction of each layer."""

    @property
    def n_bytes(self):
        """Bytes of all arrays."""
        return sum(buffers.n_bytes for buffers in self.values())

    def of(self, name):
        """Return the buffers of the direction called ``name``."""
        return self.setdefault(name, Buffers())
