"""The network: stacked, possibly bidirectional recurrent layers, and the output layer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import prod
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike

from sklearn_rnn._data.packing import Packing
from sklearn_rnn._network import engines
from sklearn_rnn._network.buffers import NetworkBuffers
from sklearn_rnn._network.cells import CELLS
from sklearn_rnn._network.cells.cell import RowValues, Tape
from sklearn_rnn._network.embedding import Embedding
from sklearn_rnn._network.embedding_stepper import EmbeddingStepper
from sklearn_rnn._network.engines import notice
from sklearn_rnn._network.layers import Direction, LayerPasses, stacked
from sklearn_rnn._network.parameters import Parameters
from sklearn_rnn._network.prepared_weights import PreparedWeights
from sklearn_rnn._network.readouts import Pool, is_readout, make_pool, pool_names
from sklearn_rnn._network.scaling_of_steps import StepScaling
from sklearn_rnn._utils.plain import Array, Flag, Items, Object, Optional, Text, Value, Whole, plain_form, refuse_unless

# Numbers that a pass without a tape holds at once: few enough to stay in the cache.
CHUNK_VALUES = 2**17


class NetworkTape(NamedTuple):
    """The tape of a forward pass: its rows, and the tapes of the cells, in the order of a network state."""

    packing: Packing
    rows: np.ndarray
    cell_tapes: list[Tape]


@plain_form(
    "network",
    n_features=Whole(1),
    hidden_layer_sizes=Items(Whole(1), tuple),
    n_outputs=Whole(1),
    cell=Text(CELLS),
    activation=Text(("identity", "logistic", "relu", "tanh")),
    bidirectional=Flag(),
    readout=Value(),
    embedding=Optional(Object("embedding")),
    parameters=Array(1),
)
class RecurrentNetwork:
    """Layers of recurrent cells and a linear output layer over the pooled hidden states.

    Parameters
    ----------
    n_features : int
        Features per network step.
    hidden_layer_sizes : tuple of int
        Units of each layer (of each direction of it).
    n_outputs : int
    cell : str
        A key of CELLS: "rnn", "lstm" or "gru".
    activation : {"identity", "logistic", "relu", "tanh"}
    bidirectional : bool
        Layers run forwards and backwards in time; the next layer sees both, side by side.
    readout : str or tuple of str
        A key of READOUTS: "last", "mean", "max" or "each". Or several of the first three.
    dtype : dtype
    random_state : RandomState
        Draws the start values.
    embedding : Embedding or None, default=None
        Makes the inputs of the first layer of the rows: ``n_features`` is the number of its inputs. None: the rows are
        the inputs.

    Attributes
    ----------
    cell : Cell
        The equations, shapes and start values of all layers.
    layers : list of list of Direction
        The directions of each layer.
    directions : list of Direction
        Those of all layers, in the order of a network state.
    engine : Engine
        Runs the network. Assign another one to change it; pickles leave it out.
    recurrence : Recurrence
        The cell as the engine runs it.
    lookup : Lookup, or None
        The embedding as the engine runs it.
    parameters : Parameters
        "layer_0.input", "layer_0.recurrent", "layer_0.bias", "layer_0.reverse.input", …,
        "readout.weight" (n_pooled, n_outputs), "readout.bias" (n_outputs,), and the tables of the embedding.
    n_hidden : int
        Units of the last layer, of both directions.
    n_pooled : int
        Inputs of the output layer: ``n_hidden`` for each pool of the readout.

    Notes
    -----
    A network state is a list with one array (n_states, n_sequences, n_units) for each direction of each
    layer. The network holds no arrays but its parameters, and the weights of the last prediction as its engine reads
    them, with small work arrays: passes over different batches may run side by side in different threads, each with its
    own buffers and gradient.
    """

    layers: list[list[Direction]]
    recurrence: engines.Recurrence
    lookup: engines.Lookup | None

    def __init__(
        self,
        n_features: int,
        hidden_layer_sizes: Sequence[int],
        n_outputs: int,
        *,
        cell: str,
        activation: str,
        bidirectional: bool,
        readout: str | tuple[str, ...],
        dtype: DTypeLike,
        random_state: np.random.RandomState,
        embedding: Embedding | None = None,
    ) -> None:
        self._build(n_features, hidden_layer_sizes, n_outputs, cell, activation, bidirectional, readout, embedding)
        self.parameters = Parameters(self._parameter_shapes(), dtype)
        self._initialize(random_state)

    def _build(
        self,
        n_features: int,
        hidden_layer_sizes: Sequence[int],
        n_outputs: int,
        cell: str,
        activation: str,
        bidirectional: bool,
        readout: str | tuple[str, ...],
        embedding: Embedding | None,
    ) -> None:
        self.cell_name, self.cell, self.embedding = cell, CELLS[cell](activation), embedding
        self.layers = stacked(n_features, hidden_layer_sizes, bidirectional)
        self.engine = engines.serving
        self.readout = readout
        self.n_outputs = n_outputs
        self.directions = [direction for layer in self.layers for direction in layer]
        self.n_hidden = sum(direction.n_units for direction in self.layers[-1])
        self.n_pooled = self.n_hidden * max(1, len(pool_names(readout)))
        self.n_units = sum(direction.n_units for direction in self.directions)

    def copy(self, dtype: DTypeLike | None = None) -> RecurrentNetwork:
        """Return the same network with parameters of its own; in another dtype if one is given."""
        twin = self._twin()
        twin.parameters = self.parameters.copy(dtype)
        return twin

    def without_embedding(self) -> RecurrentNetwork:
        """Return the network that reads inputs of the first layer in the place of rows; it shares the parameters."""
        twin = self._twin()
        twin.embedding = twin.lookup = None
        return twin

    def _twin(self) -> RecurrentNetwork:
        """Return a network with the same attributes, but for prepared weights."""
        twin = type(self).__new__(type(self))
        vars(twin).update(vars(self))
        twin._kept_weights = None
        return twin

    @property
    def engine(self) -> engines.Engine:
        """The engine that runs the network."""
        return self._engine

    @engine.setter
    def engine(self, engine: engines.Engine) -> None:
        self._engine = engine
        self.recurrence = engine.recurrence(self.cell)
        self._passes = LayerPasses(self.layers, self.recurrence)
        self.lookup = None if self.embedding is None else engine.lookup(self.embedding)
        self._kept_weights: PreparedWeights | None = None

    def __getstate__(self) -> dict[str, Any]:
        made_of_engine = ("recurrence", "lookup", "_passes", "_kept_weights")
        return {name: value for name, value in vars(self).items() if name not in made_of_engine}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self.engine = self._engine  # of a pickle, the engine that serves where it is loaded
        if "cell_name" not in state:  # a pickle from before version 0.1.0
            self.cell_name = next(name for name, make in CELLS.items() if make is type(self.cell))

    def plain_fields(self) -> dict[str, Any]:
        """Return the values of the plain form: the arguments of ``__init__``, and all parameters as one vector."""
        first_layer = self.layers[0]
        return {
            "n_features": first_layer[0].n_features,
            "hidden_layer_sizes": [layer[0].n_units for layer in self.layers],
            "n_outputs": self.n_outputs,
            "cell": self.cell_name,
            "activation": self.cell.activation,
            "bidirectional": self.is_bidirectional,
            "readout": self.readout,
            "embedding": self.embedding,
            "parameters": self.parameters.vector,
        }

    @classmethod
    def from_plain_fields(cls, values: dict[str, Any], place: str) -> RecurrentNetwork:
        """Return the network of a plain form."""
        vector, readout, embedding = values.pop("parameters"), values["readout"], values["embedding"]
        refuse_unless(bool(values["hidden_layer_sizes"]), f"{place}.hidden_layer_sizes", "must have a layer")
        refuse_unless(is_readout(readout), f"{place}.readout", "must be a readout's name, or a tuple of pools' names")
        if embedding is not None:
            is_right = embedding.n_inputs == values["n_features"]
            refuse_unless(is_right, f"{place}.n_features", f"must be {embedding.n_inputs}, the inputs of the embedding")
        network = cls.__new__(cls)
        network._build(**values)
        shapes = network._parameter_shapes()
        n_parameters = sum(map(prod, shapes.values()))
        is_right = len(vector) == n_parameters
        refuse_unless(is_right, f"{place}.parameters", f"has {len(vector)} numbers, but must have {n_parameters}")
        network.parameters = Parameters.of_vector(shapes, vector)
        return network

    @property
    def dtype(self) -> np.dtype:
        """Floating point type of the parameters, and of all results."""
        return self.parameters.vector.dtype

    @property
    def work_per_row(self) -> int:
        """Multiplications of one step of one sequence."""
        n_gates = self.cell.n_gates
        return sum(n_gates * d.n_units * (d.n_features + d.n_units) for d in self.directions)

    @property
    def is_bidirectional(self) -> bool:
        """Whether layers read the sequences from both ends."""
        return len(self.layers[0]) > 1

    # ---- Parameters and states -----------------------------------------------------------------------

    def _parameter_shapes(self) -> dict[str, tuple[int, ...]]:
        shapes: dict[str, tuple[int, ...]] = {}
        for direction in self.directions:
            cell_shapes = self.cell.parameter_shapes(direction.n_features, direction.n_units)
            shapes |= {f"{direction.name}.{name}": shape for name, shape in cell_shapes.items()}
        shapes |= {"readout.weight": (self.n_pooled, self.n_outputs), "readout.bias": (self.n_outputs,)}
        return shapes if self.embedding is None else shapes | self.embedding.parameter_shapes()

    def _initialize(self, random_state: np.random.RandomState) -> None:
        """Draw start values in float64 and round them, so that both dtypes begin alike."""
        for direction in self.directions:
            self.cell.initialize(self.parameters.group(direction.name), random_state)
        limit = np.sqrt(6.0 / (self.n_pooled + self.n_outputs))  # Glorot & Bengio 2010, eq. 16
        weight = self.parameters.views["readout.weight"]
        weight[...] = random_state.uniform(-limit, limit, weight.shape)
        if self.embedding is not None:
            self.embedding.initialize(self.parameters, random_state)

    def prepare(self, for_backward: bool = True) -> PreparedWeights:
        """Return the weights as the passes read them; ``for_backward=False`` is for predictions alone.

        The weights of predictions are kept for the next call: to prepare them takes longer than to predict a sequence.
        Whoever changes the parameters, training or an assignment to ``weights_``, need not tell: all of them are
        compared with those that were prepared. Kept weights do not change, so that threads may share them.
        """
        if notice.pending:
            notice.warn_of_missing_kernels()
        if for_backward:
            return self._prepared(for_backward)
        kept = self._kept_weights  # read once: another thread may replace it
        if kept is None or not kept.are_up_to_date():
            self._kept_weights = kept = self._prepared(for_backward)
        return kept

    def prepare_int8(self) -> PreparedWeights:
        """Return weights for predictions whose products with hidden states are those of integers of 8 bits.

        They are the recurrent weights, and the input weights of all layers after the first; see ``int8_weights.py``.
        """
        if notice.pending:
            notice.warn_of_missing_kernels()
        return self._prepared(for_backward=False, precision="int8")

    def _prepared(self, for_backward: bool, precision: str | None = None) -> PreparedWeights:
        directions = [direction.name for direction in self.directions]
        return PreparedWeights(self.engine, self.recurrence, self.parameters, directions, for_backward, precision)

    def initial_state(self, n_sequences: int) -> list[np.ndarray]:
        """Zeros for every sequence, as a network state."""
        return [
            np.zeros((self.cell.n_states, n_sequences, direction.n_units), self.dtype) for direction in self.directions
        ]

    def pool(self, lengths: np.ndarray, readout: str | None = None) -> Pool | None:
        """Return a new pool for a batch, or None for readout "each".

        With another ``readout`` than the network's, the output layer sees this one in the place of each of its own.
        """
        names = pool_names(self.readout)
        if readout is not None:
            names = (readout,) * max(1, len(names))
        return make_pool(names, lengths, self.n_hidden, self.dtype, self.engine.loops)

    def final_hidden(self, state: list[np.ndarray]) -> np.ndarray:
        """h of the last layer in a network state, (n_sequences, n_hidden)."""
        directions = [direction[0] for direction in state[-len(self.layers[-1]) :]]
        return directions[0] if len(directions) == 1 else np.concatenate(directions, axis=1)

    def d_final_state(self, d_final_hidden: np.ndarray) -> list[np.ndarray]:
        """Gradient with respect to a network state, given the one with respect to its final hidden."""
        d_state = self.initial_state(len(d_final_hidden))
        n_units = self.layers[-1][0].n_units
        for k, d_direction in enumerate(d_state[-len(self.layers[-1]) :]):
            d_direction[0] = d_final_hidden[:, k * n_units : (k + 1) * n_units]
        return d_state

    # ---- The recurrent layers ------------------------------------------------------------------------

    def inputs(self, rows: np.ndarray, buffers: NetworkBuffers) -> np.ndarray:
        """Return the inputs of the first layer, (n_rows, n_features of its cells), that rows stand for."""
        if self.embedding is None or self.lookup is None:
            return rows
        inputs = buffers.of("embedding").array("inputs", (len(rows), self.embedding.n_inputs), self.dtype)
        return self.lookup.forward(rows, self.embedding.tables(self.parameters), inputs)

    def forward(
        self,
        weights: PreparedWeights,
        rows: np.ndarray,
        packing: Packing,
        state: list[np.ndarray],
        buffers: NetworkBuffers,
        masks: list[np.ndarray] | None = None,
        keeps_tape: bool = True,
        keeps_hidden: bool = True,
    ) -> tuple[np.ndarray | None, list[np.ndarray], NetworkTape | None]:
        """Run the layers over a packed batch, or over a window of one.

        Parameters
        ----------
        weights : PreparedWeights
        rows : ndarray of shape (n_rows, n_features)
            With an embedding: of its features.
        packing : Packing
        state : list of ndarray
            Network state before the first step.
        buffers : NetworkBuffers
            The tape's memory.
        masks : list of ndarray of shape (n_sequences, n_units), or None
            Dropout masks: they multiply the hidden states of each layer but the last.
        keeps_tape : bool
            Whether a backward pass may follow.
        keeps_hidden : bool
            Whether more than the final state is needed; True with a tape.

        Returns
        -------
        hidden : ndarray of shape (n_rows, n_hidden), or None
            The last layer's h after every step.
        state : list of ndarray
            Network state after each sequence's last step.
        tape : NetworkTape, or None
        """
        x = self.inputs(rows, buffers)
        hidden, final_state, tapes = self._passes.forward(
            weights, x, packing, state, buffers, masks, keeps_tape, keeps_hidden
        )
        return hidden, final_state, NetworkTape(packing, rows, tapes) if keeps_hidden else None

    def forward_without_tape(
        self,
        weights: PreparedWeights,
        rows: np.ndarray,
        packing: Packing,
        state: list[np.ndarray],
        buffers: NetworkBuffers,
        masks: list[np.ndarray] | None = None,
        keeps_hidden: bool = True,
    ) -> Iterator[tuple[int, Packing, Any]]:
        """Run the layers without a tape, in memory for a few hundred or thousand rows.

        Parameters
        ----------
        weights, rows, packing, buffers, masks, keeps_hidden
            As for :meth:`forward`.
        state : list of ndarray
            Network state before the first step; its entries are replaced by those after the current steps.

        Yields
        ------
        first_step : int
        packing : Packing
            Of the steps from ``first_step`` on that run at once (all of them if bidirectional).
        hidden : ndarray of shape (n_rows, n_hidden), or None
            The last layer's h after these steps; the next ones overwrite it.
        """
        n_steps_at_once = self.steps_at_once(packing, keeps_hidden)
        for start in range(0, packing.n_steps, n_steps_at_once):
            stop = min(start + n_steps_at_once, packing.n_steps)
            chunk = packing.window(start, stop)
            chunk_rows = rows[packing.rows_of_steps(start, stop)]
            hidden, state[:], _ = self.forward(
                weights, chunk_rows, chunk, state, buffers, masks, keeps_tape=False, keeps_hidden=keeps_hidden
            )
            yield start, chunk, hidden

    def steps_at_once(self, packing: Packing, keeps_hidden: bool) -> int:
        """Return the number of steps that :meth:`forward_without_tape` runs at once."""
        if self.is_bidirectional:
            return max(1, packing.n_steps)
        values_per_step = packing.n_sequences * self._values_per_row(keeps_hidden)
        return max(1, min(CHUNK_VALUES // max(1, values_per_step), packing.n_steps))

    def _values_per_row(self, keeps_hidden: bool) -> int:
        """Return how many numbers a pass without a tape touches for each row, in the largest layer."""
        return len(self.layers[0]) * max(values.touched for values in self.row_values(keeps_hidden))

    def row_values(self, keeps_hidden: bool = True) -> list[RowValues]:
        """Return how many numbers the passes store for each row, in the order of a network state.

        Without ``keeps_hidden``, only the final state of the last layer is needed.
        """
        row_values, dtype, last = self.recurrence.row_values, self.dtype, self.layers[-1]
        return [row_values(d.n_units, dtype, keeps_hidden or d not in last) for d in self.directions]

    def backward(
        self,
        weights: PreparedWeights,
        tape: NetworkTape,
        d_hidden: np.ndarray | None,
        d_state: list[np.ndarray],
        gradient: Parameters,
        buffers: NetworkBuffers,
        masks: list[np.ndarray] | None = None,
    ) -> list[np.ndarray]:
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
        masks
            As in the forward pass.

        Returns
        -------
        d_initial_state : list of ndarray
            Gradient with respect to the network state before the first step.
        """
        passed = (weights, tape.packing, tape.cell_tapes, d_hidden, d_state, gradient, buffers, masks)
        d_inputs, d_initial_state = self._passes.backward(*passed, needs_d_x=self.embedding is not None)
        if self.embedding is not None and self.lookup is not None:
            assert d_inputs is not None
            self.lookup.backward(tape.rows, d_inputs, self.embedding.tables(gradient))
        return d_initial_state

    def backward_to_inputs(
        self,
        weights: PreparedWeights,
        tape: NetworkTape,
        d_hidden: np.ndarray | None,
        d_state: list[np.ndarray],
        gradient: Parameters,
        buffers: NetworkBuffers,
    ) -> tuple[np.ndarray, list[np.ndarray]]:
        """Carry the error back to the inputs of the first layer; see :meth:`backward`.

        Returns
        -------
        d_inputs : ndarray of shape (n_rows, n_features)
            Gradient with respect to the inputs of the first layer; the next pass with these buffers overwrites it.
        d_initial_state : list of ndarray
            Gradient with respect to the network state before the first step.
        """
        d_inputs, d_initial_state = self._passes.backward(
            weights, tape.packing, tape.cell_tapes, d_hidden, d_state, gradient, buffers, None, needs_d_x=True
        )
        assert d_inputs is not None
        return d_inputs, d_initial_state

    # ---- Streams -------------------------------------------------------------------------------------

    def stepper(
        self,
        weights: PreparedWeights,
        states: list[np.ndarray],
        pooled: dict[str, np.ndarray],
        n_steps: np.ndarray,
        scaling: StepScaling | None = None,
    ) -> engines.Stepper | None:
        """Return a stepper over arrays that it changes in place, or None where passes over one step serve.

        That of a bidirectional network runs whole sequences alone.

        Parameters
        ----------
        weights : PreparedWeights
            Without ``for_backward``.
        states, pooled, n_steps : list of ndarray, dict of str to ndarray, ndarray
            See :class:`RunningArrays`.
        scaling : StepScaling or None, default=None
            Scalers in front of the first layer; not with an embedding.
        """
        layers, running = [weights[d.name] for d in self.directions], engines.RunningArrays(states, pooled, n_steps)
        pools = pool_names(self.readout)
        n_directions = len(self.layers[0])
        stepper = self.engine.stepper(self.recurrence, layers, weights.output, pools, running, scaling, n_directions)
        return stepper if stepper is None or self.embedding is None else EmbeddingStepper(self.inputs, stepper)
