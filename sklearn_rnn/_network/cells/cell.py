"""The contract that every recurrent cell keeps, and what the cells share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from itertools import repeat
from math import prod
from typing import NamedTuple

import numpy as np

ALIGNMENT = 64  # bytes: a cache line, and the widest vector


def aligned_empty(size, dtype):
    """Return uninitialised memory that begins at a cache line, of so many elements."""
    n_bytes = size * np.dtype(dtype).itemsize
    memory = np.empty(n_bytes + ALIGNMENT, np.uint8)
    start = -memory.ctypes.data % ALIGNMENT
    return memory[start : start + n_bytes].view(dtype)


class Buffers:
    """Named work arrays, allocated when first asked for and again only when they must grow.

    A batch as large as an earlier one runs in the memory of that one: fresh pages cost more than the
    arithmetic on them at these sizes.
    """

    def __init__(self):
        self._memory = {}

    @property
    def n_bytes(self):
        """Bytes of all arrays."""
        return sum(memory.nbytes for memory in self._memory.values())

    def array(self, name, shape, dtype):
        """Return an uninitialised array; its last content under ``name`` is lost."""
        size = prod(shape)
        memory = self._memory.get(name)
        if memory is None or memory.size < size or memory.dtype != dtype:
            memory = self._memory[name] = None  # given back before more is taken
            memory = self._memory[name] = aligned_empty(size, dtype)
        return memory[:size].reshape(shape)


class Tape(NamedTuple):
    """What a cell's backward pass needs of its forward pass; the backward pass may overwrite it.

    Attributes
    ----------
    packing : Packing
    x : ndarray of shape (n_rows, n_features)
    states : tuple of ndarray of shape (n_sequences + n_rows, n_units)
        h (and c) after every step, with the initial ones in front.
    saved : tuple of ndarray
        The cell's own arrays.
    """

    packing: object
    x: np.ndarray
    states: tuple
    saved: tuple = ()


class Cell(ABC):
    """A recurrence: how one step's state follows from the step's input and the state before it.

    A state is one array of shape (n_states, n_sequences, n_units); its first entry is h, the hidden
    state that layers above and the readout see.
    """

    name: str
    activation = "tanh"
    n_states = 1
    n_gates = 1
    n_taped = 1  # arrays of a row's units on the tape, the hidden states among them

    def parameter_shapes(self, n_features, n_units):
        """Name and shape of each parameter; gates stand side by side in the columns."""
        return {
            "input": (n_features, self.n_gates * n_units),
            "recurrent": (n_units, self.n_gates * n_units),
            "bias": (self.n_gates * n_units,),
        }

    def initialize(self, weights, random_state):
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

    def prepare(self, weights, for_backward, earlier=None):
        """Arrange the weights as the passes read them: once after every change, for any number of batches.

        Parameters
        ----------
        weights : dict of ndarray
        for_backward : bool
            Whether a backward pass will need them too.
        earlier : object, or None
            What an earlier call with the same arguments returned: its memory is used again.

        Returns
        -------
        object
            What :meth:`forward` and :meth:`backward` take for ``weights``.
        """
        return weights

    def output_layer(self, weight, bias):
        """Arrange the output layer's weights, V (n_hidden, n_outputs) and c (n_outputs,), for predictions.

        Returns
        -------
        callable
            From hidden states (n, n_hidden) to raw scores h V + c, (n, n_outputs).
        """
        return lambda hidden: hidden @ weight + bias

    def make_stepper(self, network, weights, running):
        """Return what runs a network of such cells one step at a time; None where nothing is faster than its passes.

        Parameters
        ----------
        network : RecurrentNetwork
        weights : PreparedWeights
        running : RunningState
            Where the sequences stand: its arrays are changed in place.

        Returns
        -------
        Stepper, or None
        """
        return None

    def values_per_row(self, n_units, keeps_hidden):
        """Numbers that a pass without a tape holds for each row."""
        return (self.n_gates + self.n_states) * n_units

    def tape_values(self, n_units, dtype):
        """Numbers that the tape has for each row, h among them."""
        return self.n_taped * n_units

    def stream_values(self, n_rows, n_sequences, n_units, keeps_hidden):
        """Numbers that a pass over so many rows without a tape has in its buffers."""
        return n_rows * self.n_taped * n_units

    def work_values(self, n_rows, n_sequences, is_dense, n_features, n_units, dtype, needs_d_x):
        """Numbers that a backward pass over so many rows needs for itself, at the most."""
        # Deltas; where there are gates, a factor of them; the previous states, unless they can be seen in place.
        n_arrays = self.n_gates + (self.n_gates > 1) + (not is_dense)
        return n_rows * (n_arrays * n_units + needs_d_x * n_features)

    @abstractmethod
    def forward(self, x, packing, state, weights, buffers, keeps_tape=True, keeps_hidden=True):
        """Run over all steps of a packed batch.

        Parameters
        ----------
        x : ndarray of shape (n_rows, n_features)
        packing : Packing
        state : ndarray of shape (n_states, n_sequences, n_units)
            The state before the first step; left as it is.
        weights : object
            From :meth:`prepare`.
        buffers : Buffers
            The tape's memory: the next forward pass with the same buffers overwrites it.
        keeps_tape : bool
            Whether a backward pass may follow.
        keeps_hidden : bool
            Whether more than the final state is wanted; so with a tape.

        Returns
        -------
        hidden : ndarray of shape (n_rows, n_units), or None
            h after every step.
        state : ndarray of shape (n_states, n_sequences, n_units)
            Each sequence's state after its own last step (a new array).
        tape : Tape
        """

    @abstractmethod
    def backward(self, tape, d_hidden, d_state, weights, d_weights, buffers, needs_d_x):
        """Carry the error back from the last step to the first.

        Parameters
        ----------
        tape : Tape
        d_hidden : ndarray of shape (n_rows, n_units), or None
            Gradient with respect to h after every step; None where only ``d_state`` carries error.
        d_state : ndarray of shape (n_states, n_sequences, n_units)
            Gradient with respect to each sequence's final state. It is overwritten, and returned as
            the gradient with respect to the initial state.
        weights : object
            From :meth:`prepare`, as in the forward pass.
        d_weights : dict of ndarray
            Each shared weight's gradient, summed over all steps, is added to ``d_weights`` in place.
        buffers : Buffers
        needs_d_x : bool
            Whether the gradient with respect to ``x`` is wanted.

        Returns
        -------
        d_x : ndarray of shape (n_rows, n_features), or None
        d_initial_state : ndarray of shape (n_states, n_sequences, n_units)
        """

    def __reduce__(self):
        # By name: where it is loaded, other kernels may serve, or none.
        from sklearn_rnn._network.cells import make_cell

        return make_cell, (self.name, self.activation)


def orthogonal_matrix(n, random_state):
    """Draw from the uniform (Haar) distribution over orthogonal matrices (Mezzadri 2007)."""
    q, r = np.linalg.qr(random_state.standard_normal((n, n)))
    return q * np.sign(np.diag(r))


def state_rows(name, initial, packing, buffers):
    """Memory for the states of all rows, (n_sequences + n_rows, n_units), with the initial ones in front."""
    n_sequences, n_units = initial.shape
    states = buffers.array(name, (n_sequences + packing.n_rows, n_units), initial.dtype)
    states[:n_sequences] = initial
    return states


def previous_states(states, packing, buffers):
    """State before each row's step, (n_rows, n_units), so that dU is one product over all rows."""
    if packing.is_dense:
        return states[: packing.n_rows]
    previous = buffers.array("previous states", (packing.n_rows, states.shape[1]), states.dtype)
    # mode="clip" lets NumPy write into `out` directly; no index is out of bounds.
    return np.take(states, packing.previous_rows, axis=0, out=previous, mode="clip")


def gates_of(gates, n_gates):
    """Views (n_rows, n_units) of each of the gates that stand side by side."""
    return gates.reshape(len(gates), n_gates, gates.shape[1] // n_gates).swapaxes(0, 1)


def error_of_steps(d_hidden, packing):
    """Rows of ``d_hidden`` step by step from the last to the first; Nones where there are none."""
    return repeat(None) if d_hidden is None else packing.steps(d_hidden)[::-1]


def project(x, input_weights, bias, out):
    """x W + b of all steps at once, (n_rows, n_gates * n_units): the product hoisted out of the time loop."""
    np.dot(x, input_weights, out=out)
    out += bias
    return out


def project_back(tape, delta, weights, d_weights, needs_d_x):
    """Gradients of ``x W + b`` from delta = dL/d(x W + b): dW and db summed over the steps, and d_x."""
    d_weights["input"] += tape.x.T @ delta
    d_weights["bias"] += delta.sum(axis=0)
    return delta @ weights["input"].T if needs_d_x else None
