"""The network state that is carried from one chunk of a stream to the next."""

from __future__ import annotations

from typing import Any

import numpy as np

from sklearn_rnn._data.reading import naming_argument
from sklearn_rnn._data.rows import check_rows
from sklearn_rnn._network.network import RecurrentNetwork


def carry_over(
    state: list[np.ndarray] | None, network: RecurrentNetwork, n_sequences: int, new_sequence: Any = None
) -> list[np.ndarray]:
    """Return the network state before the first step of a chunk.

    Parameters
    ----------
    state : list of ndarray, or None
        Network state after the previous chunk; None if there was none.
    network : RecurrentNetwork
    n_sequences : int
        Sequences in the chunk.
    new_sequence : array-like of shape (n_sequences,), bool, or None
        Sequences that are new: their state is zero.

    Returns
    -------
    list of ndarray
        New arrays.

    Raises
    ------
    ValueError
        For a mask of another form, and for sequences that continue in another number than in the previous chunk.
    """
    with naming_argument("new_sequence"):
        is_new = np.zeros(n_sequences, bool) if new_sequence is None else np.asarray(new_sequence)
    if is_new.dtype != bool or is_new.shape != (n_sequences,):
        raise ValueError(
            f"new_sequence has shape {is_new.shape} and dtype {is_new.dtype}, but X has {n_sequences} sequences: pass "
            "one boolean for each."
        )
    if state is None or is_new.all():
        return network.initial_state(n_sequences)
    n_before = state[0].shape[1]
    if n_before != n_sequences:
        raise ValueError(
            f"X has {n_sequences} sequences, but the previous chunk had {n_before}, and each one continues: pass "
            "the same number in the same order, or call reset_state() first."
        )
    return reset_rows(state, is_new)


def reset_rows(state: list[np.ndarray], rows: Any) -> list[np.ndarray]:
    """Return a copy of a network state that is zero for some sequences.

    Parameters
    ----------
    state : list of ndarray
    rows : int, array-like of int, or array-like of bool of shape (n_sequences,)
    """
    state = [states.copy() for states in state]
    rows = check_rows(rows, state[0].shape[1])
    for states in state:
        states[:, rows] = 0
    return state
