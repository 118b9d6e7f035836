"""The contract of every recurrent cell, and the helpers that cells share."""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from itertools import repeat
from typing import Any, NamedTuple

import numpy as np

from sklearn_rnn._data.packing import Packing
from sklearn_rnn._network.buffers import Buffers
from sklearn_rnn._network.int8_weights import Int8Matrix


class Tape(NamedTuple):
    """The arrays of a forward pass that its backward pass needs, and may overwrite.

    Attributes
    ----------
    packing : Packing
    x : ndarray of shape (n_rows, n_features)
    states : tuple of ndarray of shape (n_sequences + n_rows, n_units)
        h (and other states) after every step, with the initial ones in front, or, with ``is_reverse``, behind.
    saved : tuple of ndarray
        The cell's own arrays.
    is_reverse : bool
        Whether the pass read the steps from the last to the first; see :class:`InPlaceRecurrence`.
    """

    packing: Packing
    x: np.ndarray
    states: tuple[np.ndarray, ...]
    saved: tuple[Any, ...] = ()
    is_reverse: bool = False


class RowValues(NamedTuple):
    """Numbers that the passes of a recurrence store for each row of a batch.

    Attributes
    ----------
    tape : int
        On the tape, h among them.
    without_tape : int
        In the buffers of a forward pass without a tape; 0 if these hold two steps at any length.
    touched : int
        That a forward pass without a tape reads and writes; its chunks are sized by them.
    work : int
        In the backward pass's own arrays: all but d_x and, for ragged batches, the h before every step.
    max_work_rows : int
        Rows that these arrays have at the most, if no single step has more.
    """

    tape: int
    without_tape: int
    touched: int
    work: int
    max_work_rows: int = sys.maxsize


class Cell(ABC):
    """A recurrence in NumPy: how the state after a step follows from the step's input and the state before it.

    A state is one array of shape (n_states, n_sequences, n_units). Its first entry is h, the hidden state, which the
    layers above and the readout see.

    Parameters
    ----------
    activation : str, default="tanh"
        The activation of "rnn". Other cells have fixed activations.

    Attributes
    ----------
    state_names : tuple of str
        Name of each state; the first is "h".
    n_states : int
        Number of ``state_names``.
    n_gates : int
        Blocks of n_units columns in the weights.
    n_taped : int
        Arrays of shape (n_rows, n_units) that a forward pass leaves on the tape, the states among them.
    """

    uses_blas = True  # see Recurrence
    in_place = None  # see Recurrence
    state_names: tuple[str, ...] = ("h",)
    n_gates = 1
    n_taped = 1

    def __init__(self, activation: str = "tanh") -> None:
        self.activation = activation
        self.n_states = len(self.state_names)

    # ---- Parameters ----------------------------------------------------------------------------------

    def parameter_shapes(self, n_features: int, n_units: int) -> dict[str, tuple[int, ...]]:
        """Return the shape of each parameter by name; gates stand side by side in the columns."""
        return {
            "input": (n_features, self.n_gates * n_units),
            "recurrent": (n_units, self.n_gates * n_units),
            "bias": (self.n_gates * n_units,),
        }

    def initialize(self, weights: dict[str, np.ndarray], random_state: np.random.RandomState) -> None:
        """Fill ``weights`` in place: input Glorot uniform, recurrent orthogonal per gate, biases 0.

        Sources: Glorot & Bengio 2010, eq. 16; Saxe, McClelland & Ganguli 2014 (orthogonal).
        """
        n_features, n_columns = weights["input"].shape
        n_units = n_columns // self.n_gates
        limit = np.sqrt(6.0 / (n_features + n_units))
        weights["input"][...] = random_state.uniform(-limit, limit, (n_features, n_columns))
        for gate in range(self.n_gates):
            columns = slice(gate * n_units, (gate + 1) * n_units)
            weights["recurrent"][:, columns] = orthogonal_matrix(n_units, random_state)
        weights["bias"][...] = 0.0

    # ---- Passes --------------------------------------------------------------------------------------

    def prepare(self, weights: dict[str, np.ndarray], for_backward: bool, earlier: Any = None) -> Any:
        """Arrange the weights for the passes: once after every change, for any number of batches.

        Parameters
        ----------
        weights : dict of ndarray
            For streams of ``precision="int8"``, some are an :class:`Int8Matrix`. ``forward`` multiplies with the
            function of :func:`product_with`, which takes both.
        for_backward : bool
            Whether a backward pass needs them too.
        earlier : object, or None
            The result of an earlier call with the same arguments: its memory is used again.

        Returns
        -------
        object
            The ``weights`` of :meth:`forward` and :meth:`backward`.
        """
        return weights

    @abstractmethod
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
        """Run over all steps of a packed batch.

        Parameters
        ----------
        x : ndarray of shape (n_rows, n_features)
        packing : Packing
        state : ndarray of shape (n_states, n_sequences, n_units)
            The state before the first step; not changed.
        weights : object
            From :meth:`prepare`.
        buffers : Buffers
            The tape's memory: the next forward pass with the same buffers overwrites it.
        keeps_tape : bool
            Whether a backward pass may follow.
        keeps_hidden : bool
            Whether more than the final state is needed; True with a tape.

        Returns
        -------
        hidden : ndarray of shape (n_rows, n_units), or None
            h after every step. May be None without ``keeps_hidden``.
        state : ndarray of shape (n_states, n_sequences, n_units)
            Each sequence's state after its own last step (a new array).
        tape : Tape
        """

    @abstractmethod
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
        """Carry the error back from the last step to the first.

        Parameters
        ----------
        tape : Tape
        d_hidden : ndarray of shape (n_rows, n_units), or None
            Gradient with respect to h after every step; None if only ``d_state`` carries error.
        d_state : ndarray of shape (n_states, n_sequences, n_units)
            Gradient with respect to each sequence's final state. It is overwritten, and returned as
            the gradient with respect to the initial state.
        weights : object
            From :meth:`prepare`, as in the forward pass.
        d_weights : dict of ndarray
            Each weight's gradient, summed over all steps, is added in place.
        buffers : Buffers
        needs_d_x : bool
            Whether to return the gradient with respect to ``x``.

        Returns
        -------
        d_x : ndarray of shape (n_rows, n_features), or None
        d_initial_state : ndarray of shape (n_states, n_sequences, n_units)
        """

    # ---- Memory --------------------------------------------------------------------------------------

    def row_values(self, n_units: int, dtype: np.dtype, keeps_hidden: bool = True) -> RowValues:
        """Return how many numbers the passes store for each row.

        ``keeps_hidden`` says whether passes without a tape return more than the final state.
        """
        return RowValues(
            tape=self.n_taped * n_units,
            without_tape=self.n_taped * n_units,
            touched=(self.n_gates + self.n_states) * n_units,
            work=(self.n_gates + (self.n_gates > 1)) * n_units,  # deltas; with gates, a factor of them
        )


def orthogonal_matrix(n: int, random_state: np.random.RandomState) -> np.ndarray:
    """Draw from the uniform (Haar) distribution over orthogonal matrices (Mezzadri 2007)."""
    q, r = np.linalg.qr(random_state.standard_normal((n, n)))
    return q * np.sign(np.diag(r))


def state_rows(name: str, initial: np.ndarray, packing: Packing, buffers: Buffers) -> np.ndarray:
    """Return memory for the states of all rows, (n_sequences + n_rows, n_units), with the initial ones in front."""
    n_sequences, n_units = initial.shape
    states = buffers.array(name, (n_sequences + packing.n_rows, n_units), initial.dtype)
    states[:n_sequences] = initial
    return states


def previous_states(states: np.ndarray, packing: Packing, buffers: Buffers) -> np.ndarray:
    """Return the state before each row's step, (n_rows, n_units), so that dU is one product over all rows."""
    if packing.is_dense:
        return states[: packing.n_rows]
    previous = buffers.array("previous states", (packing.n_rows, states.shape[1]), states.dtype)
    # mode="clip" lets NumPy write into `out` directly; no index is out of bounds.
    return np.take(states, packing.previous_rows, axis=0, out=previous, mode="clip")


def gates_of(gates: np.ndarray, n_gates: int) -> np.ndarray:
    """Return a view of each gate, (n_gates, n_rows, n_units), of gates that stand side by side."""
    return gates.reshape(len(gates), n_gates, gates.shape[1] // n_gates).swapaxes(0, 1)


def error_of_steps(d_hidden: np.ndarray | None, packing: Packing) -> Iterable[np.ndarray | None]:
    """Return the rows of ``d_hidden`` for each step, from the last to the first; Nones without ``d_hidden``."""
    return repeat(None) if d_hidden is None else packing.steps(d_hidden)[::-1]


def project(x: np.ndarray, input_weights: np.ndarray | Int8Matrix, bias: np.ndarray, out: np.ndarray) -> np.ndarray:
    """Return x W + b of all steps at once, (n_rows, n_gates * n_units): this product needs no time loop."""
    product_with(input_weights)(x, out)
    out += bias
    return out


def product_with(weights: np.ndarray | Int8Matrix) -> Callable[[np.ndarray, np.ndarray], Any]:
    """Return a function that writes the products of rows, (n, n_rows of the weights), into its second argument."""
    if isinstance(weights, Int8Matrix):
        return weights.multiply
    return lambda rows, out: rows.dot(weights, out)


def project_back(
    tape: Tape, delta: np.ndarray, weights: dict[str, np.ndarray], d_weights: dict[str, np.ndarray], needs_d_x: bool
) -> np.ndarray | None:
    """Add the gradients dW and db of ``x W + b``, summed over the steps, given delta = dL/d(x W + b); return d_x."""
    d_weights["input"] += tape.x.T @ delta
    d_weights["bias"] += delta.sum(axis=0)
    return delta @ weights["input"].T if needs_d_x else None
