"""The states from which sequences continue: in blocks of predictions, and as users assign them to streams."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from sklearn_rnn._data.reading import naming_argument
from sklearn_rnn._network.network import RecurrentNetwork
from sklearn_rnn._network.readouts import Pool


class InitialState:
    """The state of sequences before their first step.

    Parameters
    ----------
    network : RecurrentNetwork
    """

    def __init__(self, network: RecurrentNetwork) -> None:
        self.network = network

    def begin(self, order: np.ndarray, lengths: np.ndarray) -> tuple[list[np.ndarray], Pool | None]:
        """Return the network state and the pool (None for readout "each") of some sequences before their next steps.

        Parameters
        ----------
        order : ndarray of shape (n,), int
            Indices of the sequences.
        lengths : ndarray of shape (n,), int
            Number of next steps of each sequence.
        """
        return self.network.initial_state(len(order)), self.network.pool(lengths)

    def end(self, order: np.ndarray, lengths: np.ndarray, state: list[np.ndarray], pool: Pool | None) -> None:
        """Store the network state and the pool after these steps."""


class RunningState(InitialState):
    """The state of sequences that will continue.

    Parameters
    ----------
    network : RecurrentNetwork
    n_sequences : int

    Attributes
    ----------
    state : list of ndarray of shape (n_states, n_sequences, n_units)
        The network state.
    pooled : dict of str to ndarray of shape (n_sequences, n_hidden)
        The memory of the readout's pool of the steps so far.
    n_steps : ndarray of shape (n_sequences,), int64
        Number of steps so far.
    arrays : dict of str to ndarray of shape (n_sequences, ...)
        Live views of all three: "layer_0.h", "layer_0.c" (LSTM), …, "readout.sum", "readout.maximum", "n_steps".
    """

    def __init__(self, network: RecurrentNetwork, n_sequences: int) -> None:
        super().__init__(network)
        self.n_steps = np.zeros(n_sequences, np.int64)
        self.state, pool = super().begin(self.n_steps, np.ones(n_sequences, np.int64))
        self.pooled = {} if pool is None else pool.running
        self.arrays = {
            f"{direction.name}.{name}": array
            for direction, arrays in zip(network.directions, self.state)
            for name, array in zip(network.cell.state_names, arrays)
        }
        self.arrays |= {f"readout.{name}": array for name, array in self.pooled.items()}
        self.arrays["n_steps"] = self.n_steps

    def begin(self, order: np.ndarray, lengths: np.ndarray) -> tuple[list[np.ndarray], Pool | None]:
        """Return copies of the network state and the pool of some sequences; see :meth:`InitialState.begin`."""
        pool = self.network.pool(self.n_steps[order] + lengths)
        for name, running in ({} if pool is None else pool.running).items():
            running[...] = self.pooled[name][order]
        return [states.take(order, axis=1) for states in self.state], pool

    def end(self, order: np.ndarray, lengths: np.ndarray, state: list[np.ndarray], pool: Pool | None) -> None:
        for states, new in zip(self.state, state):
            states[:, order] = new
        for name, running in ({} if pool is None else pool.running).items():
            self.pooled[name][order] = running
        self.n_steps[order] += lengths

    def assign(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Copy the values of other arrays with the same names."""
        for name, array in self.arrays.items():
            array[...] = arrays[name]

    def copied_arrays(self) -> dict[str, np.ndarray]:
        """Return copies of the arrays, by name."""
        return {name: array.copy() for name, array in self.arrays.items()}


class Continuation(InitialState):
    """The state of some sequences of a :class:`RunningState`, which :meth:`commit` changes when all blocks are done.

    Parameters
    ----------
    running : RunningState
    which : ndarray of shape (n,), int; or None
        Indices of these sequences; None: all of them.
    """

    def __init__(self, running: RunningState, which: np.ndarray | None = None) -> None:
        super().__init__(running.network)
        self._running, self._which = running, which
        self._ends: list[tuple[np.ndarray, np.ndarray, list[np.ndarray], Pool | None]] = []

    def begin(self, order: np.ndarray, lengths: np.ndarray) -> tuple[list[np.ndarray], Pool | None]:
        """See :meth:`RunningState.begin`; ``order`` counts these sequences."""
        return self._running.begin(self._places(order), lengths)

    def end(self, order: np.ndarray, lengths: np.ndarray, state: list[np.ndarray], pool: Pool | None) -> None:
        """Keep the network state and the pool after these steps."""
        self._ends.append((self._places(order), lengths, state, pool))

    def commit(self) -> None:
        """Store the network state and the pool of all blocks in the running state."""
        for end in self._ends:
            self._running.end(*end)

    def _places(self, order: np.ndarray) -> np.ndarray:
        return order if self._which is None else self._which[order]


# ---- Assigned states ---------------------------------------------------------------------------------


def checked_arrays(state: Any, present: dict[str, np.ndarray], start: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return the arrays of a new state, each checked against the present one of its name.

    ``start`` has those of one sequence before its first step, some of which may be infinite.
    """
    if not isinstance(state, dict):
        raise TypeError(f"state must be a dict of arrays, like the stream's state, got {type(state).__name__}.")
    if state.keys() != present.keys():
        raise ValueError(f"state has arrays called {list(state)}, but this stream's are called {list(present)}.")
    arrays = {name: _checked_array(f"state[{name!r}]", state[name], array) for name, array in present.items()}
    has_begun = arrays["n_steps"] > 0
    for name, array in arrays.items():
        if start[name].size and np.isinf(start[name]).all():
            first = start[name].flat[0]
            if not (array[~has_begun] == first).all():
                raise ValueError(f"state[{name!r}] must be {first} for sequences of 0 steps.")
            array = array[has_begun]
        elif np.isnan(start[name]).all():
            array = array[~np.isnan(array)]
        if not np.isfinite(array).all():
            raise ValueError(f"state[{name!r}] contains NaN, or infinity, or a number too large for {array.dtype}.")
    return arrays


def _checked_array(name: str, value: Any, present: np.ndarray) -> np.ndarray:
    """Check one array of a new state; return it in the dtype of the present one."""
    kinds, meaning = ("iu", "integers") if present.dtype.kind == "i" else ("biuf", "real numbers")
    with naming_argument(name):
        array = np.asarray(value)
    if array.dtype.kind not in kinds:
        raise TypeError(f"{name} has dtype {array.dtype}, but it must be an array of {meaning}.")
    if array.shape != present.shape:
        raise ValueError(f"{name} has shape {array.shape}, but this stream's has shape {present.shape}.")
    with np.errstate(over="ignore"):
        array = array.astype(present.dtype)
    if kinds == "iu" and (array < 0).any():
        raise ValueError(f"{name} contains {array.min()}, but numbers of steps are not negative.")
    return array
