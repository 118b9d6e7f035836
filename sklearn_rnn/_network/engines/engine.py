"""The contract of an engine: recurrences, embeddings, the output layer, steps of streams, Adam's update.

An engine takes arrays and cells, and nothing of the network that calls it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import numpy as np

from sklearn_rnn._data.packing import Packing
from sklearn_rnn._network.buffers import Buffers
from sklearn_rnn._network.cells.cell import Cell, RowValues, Tape
from sklearn_rnn._network.embedding import Embedding
from sklearn_rnn._network.readouts import LoopsOverSteps
from sklearn_rnn._network.scaling_of_steps import StepScaling


class Recurrence(Protocol):
    """A cell as an engine runs it. Every :class:`Cell` is a recurrence in NumPy, and documents these methods.

    Attributes
    ----------
    uses_blas : bool
        Whether its passes multiply by BLAS, whose threads then need a limit.
    in_place : InPlaceRecurrence or None
        The same recurrence, if it runs both directions of a layer in place.
    """

    uses_blas: bool

    @property
    def in_place(self) -> InPlaceRecurrence | None:
        """See above."""

    def prepare(self, weights: dict[str, np.ndarray], for_backward: bool, earlier: Any = None) -> Any:
        """See :meth:`Cell.prepare`."""

    def forward(
        self,
        x: np.ndarray,
        packing: Packing,
        state: np.ndarray,
        weights: Any,
        buffers: Buffers,
        keeps_tape: bool = True,
        keeps_hidden: bool = True,
    ) -> tuple[np.ndarray | None, np.ndarray, Tape]:
        """See :meth:`Cell.forward`."""

    def backward(
        self,
        tape: Tape,
        d_hidden: np.ndarray | None,
        d_state: np.ndarray,
        weights: Any,
        d_weights: dict[str, np.ndarray],
        buffers: Buffers,
        needs_d_x: bool,
    ) -> tuple[np.ndarray | None, np.ndarray]:
        """See :meth:`Cell.backward`."""

    def row_values(self, n_units: int, dtype: np.dtype, keeps_hidden: bool = True) -> RowValues:
        """See :meth:`Cell.row_values`."""


class InPlaceRecurrence(Protocol):
    """A recurrence that runs both directions of a layer over the same rows, where all sequences are equally long."""

    def forward(
        self,
        x: np.ndarray,
        packing: Packing,
        state: np.ndarray,
        weights: Any,
        buffers: Buffers,
        keeps_tape: bool = True,
        keeps_hidden: bool = True,
        is_reverse: bool = False,
        hidden: np.ndarray | None = None,
    ) -> tuple[np.ndarray | None, np.ndarray, Tape]:
        """Run over all steps, from the last to the first if ``is_reverse``; see :meth:`Cell.forward` for the others.

        All rows are in the order of time. ``hidden``, (n_sequences + n_rows, n_units), is overwritten: h after every
        step, with the initial h in front, or, if ``is_reverse``, behind. It may be a range of columns. The backward
        pass, :meth:`Recurrence.backward`, reads the direction from the tape.
        """


class Lookup(Protocol):
    """An embedding as an engine runs it. Every :class:`Embedding` is one in NumPy, and documents these methods."""

    def forward(self, rows: np.ndarray, tables: list[np.ndarray], inputs: np.ndarray) -> np.ndarray:
        """See :meth:`Embedding.forward`."""

    def backward(self, rows: np.ndarray, d_inputs: np.ndarray, d_tables: list[np.ndarray]) -> None:
        """See :meth:`Embedding.backward`."""


class OutputLayer(Protocol):
    """The output layer h V + c as an engine runs it, with the weights that it was given last."""

    def __call__(self, hidden: np.ndarray) -> np.ndarray:
        """Return raw scores, (n, n_outputs), of pooled states or of every step's h, (n, n_pooled)."""

    def backward(
        self, hidden: np.ndarray, d_scores: np.ndarray, gradient: dict[str, np.ndarray], out: np.ndarray | None = None
    ) -> np.ndarray:
        """Carry the error of scores back to what the layer reads, and add the gradients of its parameters.

        Parameters
        ----------
        hidden : ndarray of shape (n, n_pooled)
            Of which the scores are.
        d_scores : ndarray of shape (n, n_outputs)
            Of the dtype of ``hidden``.
        gradient : dict of str to ndarray
            "weight" (n_pooled, n_outputs) and "bias" (n_outputs,), to which the gradients are added.
        out : ndarray of shape (n, n_pooled), or None
            Memory for the result.

        Returns
        -------
        d_hidden : ndarray of shape (n, n_pooled)
        """


class RunningArrays(NamedTuple):
    """The state of the sequences of a stream.

    Attributes
    ----------
    states : list of ndarray of shape (n_states, n_sequences, n_units)
        Of each layer.
    pooled : dict of str to ndarray of shape (n_sequences, n_hidden)
        ``running`` of the readout's pool.
    n_steps : ndarray of shape (n_sequences,), int64
        Steps so far.
    """

    states: list[np.ndarray]
    pooled: dict[str, np.ndarray]
    n_steps: np.ndarray


class Stepper(Protocol):
    """Runs a network one step at a time; every step changes the running arrays in place."""

    def is_ready(self, x: Any) -> bool:
        """Whether :meth:`step` takes ``x`` as it is: an array of the network's dtype and input shape, all finite."""

    def n_ready_steps(self, X: Any) -> int:
        """Return how many steps of X :meth:`run_steps` takes as they are: X is an array of one sequence; 0 for none."""

    def step(self, x: np.ndarray) -> np.ndarray:
        """Return the raw scores, (n_sequences, n_outputs), after one more step x, (n_sequences, n_inputs)."""

    def run_steps(self, x: np.ndarray, n_steps: int, of_each: bool) -> np.ndarray:
        """Return the raw scores after several more steps, or ``of_each`` of them, (n_rows, n_outputs), without pools.

        x, (n_rows, n_inputs), has the rows of the first step of all sequences, then those of the second, and so on.
        """


class Engine(ABC):
    """Runs cells, embeddings, the output layer, streams, Adam, and the loss of classes. An engine has no state.

    Attributes
    ----------
    loops : LoopsOverSteps
        The loops of the pools.
    """

    loops: LoopsOverSteps

    @abstractmethod
    def recurrence(self, cell: Cell) -> Recurrence:
        """Return the recurrence of a cell."""

    @abstractmethod
    def lookup(self, embedding: Embedding) -> Lookup:
        """Return the lookup of an embedding."""

    @abstractmethod
    def output_layer(
        self, weight: np.ndarray, bias: np.ndarray, for_backward: bool = False, earlier: OutputLayer | None = None
    ) -> OutputLayer:
        """Return the output layer h V + c.

        Parameters
        ----------
        weight : ndarray of shape (n_pooled, n_outputs)
            V.
        bias : ndarray of shape (n_outputs,)
            c.
        for_backward : bool, default=False
            Whether the layer has a backward pass.
        earlier : OutputLayer or None, default=None
            One for other values of the same parameters, which may change to the one to return.
        """

    @abstractmethod
    def stepper(
        self,
        recurrence: Recurrence,
        weights: list[Any],
        output: OutputLayer,
        pools: tuple[str, ...],
        running: RunningArrays,
        scaling: StepScaling | None = None,
        n_directions: int = 1,
    ) -> Stepper | None:
        """Return a stepper, or None where nothing is faster than passes over one step.

        Parameters
        ----------
        recurrence : Recurrence
            From :meth:`recurrence`; of all layers.
        weights : list
            Of each layer, from ``recurrence.prepare``; of bidirectional layers, those of both directions one after the
            other.
        output : OutputLayer
            From :meth:`output_layer`.
        pools : tuple of str
            Keys of READOUTS: the pools whose states the output layer reads side by side. Empty if it reads the current
            step's h.
        running : RunningArrays
            Changed in place by every step.
        scaling : StepScaling or None, default=None
            Scalers in front of the first layer.
        n_directions : {1, 2}, default=1
            Of each layer. With two, the stepper has ``run_steps`` alone, for whole sequences.
        """

    @staticmethod
    @abstractmethod
    def softmax_loss(scores: np.ndarray, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the cross-entropy of softmax and its derivative with respect to the scores.

        Parameters
        ----------
        scores, targets : ndarray of shape (n, n_outputs)

        Returns
        -------
        losses : ndarray of shape (n,)
        derivatives : ndarray of shape (n, n_outputs)
        """

    @staticmethod
    @abstractmethod
    def adam(
        parameters: np.ndarray,
        gradient: np.ndarray,
        mean: np.ndarray,
        uncentered_variance: np.ndarray,
        *,
        beta_1: float,
        beta_2: float,
        epsilon: float,
        step: float,
        scale: float,
    ) -> None:
        """Update both moments and the parameters in place, all of shape (n_parameters,).

        ``step`` is the learning rate over the first moment's bias correction; ``scale`` is 1 over the root of the
        second moment's.
        """

    @staticmethod
    @abstractmethod
    def relative_size(
        gradient: np.ndarray, uncentered_variance: np.ndarray, *, beta_2: float, epsilon: float, scale: float
    ) -> float:
        """Return the root mean square of the gradient's components, each over its own running root mean square.

        The second moment, without bias, is the one after this step: ``epsilon`` squared is its least value.
        """

    @staticmethod
    @abstractmethod
    def have_same_bits(first: np.ndarray, second: np.ndarray) -> bool:
        """Whether two contiguous arrays of one shape and dtype have the same bits, NaN and signs of zeros included."""

    def __reduce__(self) -> tuple[Callable[[], Engine], tuple[()]]:
        # A pickle names no engine: other kernels, or none, may serve where it is loaded.
        from sklearn_rnn._network.engines import serving_engine

        return serving_engine, ()

    def __deepcopy__(self, memo: dict[int, Any]) -> Engine:
        return self
