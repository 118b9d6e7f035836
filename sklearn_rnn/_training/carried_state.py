"""The network state that is carried from one chunk of a stream to the next."""

from __future__ import annotations

import numpy as np

from sklearn_rnn._data.reading import naming_argument


def carry_over(state, network, n_sequences, new_sequence=None):
    """Return the network state that a chunk begins in.

    Parameters
    ----------
    state : list of ndarray, or None
        After the chunk before; None where there was none.
    network : RecurrentNetwork
    n_sequences : int
        Sequences in the chunk.
    new_sequence : array-like of shape (n_sequences,), bool, or None
        Which of them begin anew: in zeros.

    Returns
    -------
    list of ndarray
        New arrays.

    Raises
    ------
    ValueError
        For a mask of another form, and where sequences go on whose number is not that of the chunk before.
    """
    with naming_argument("new_sequence"):
        is_new = np.zeros(n_sequences, bool) if new_sequence is None else np.asarray(new_sequence)
    if is_new.dtype != bool or is_new.shape != (n_sequences,):
        raise ValueError(
            f"new_sequence has shape {is_new.shape} and dtype {is_new.dtype}, but X has {n_sequences} sequences: one "
            "boolean is needed for each."
        )
    if state is None or is_new.all():
        return network.initial_state(n_sequences)
    n_before = state[0].shape[1]
    if n_before != n_sequences:
        raise ValueError(
            f"X has {n_sequences} sequences, but the chunk before had {n_before}, which go on row by row: pass as "
            "many, in the same order, or begin anew with reset_state()."
        )
    return reset_rows(state, is_new)


def reset_rows(state, rows):
    """Return a network state, as new arrays, that is zero for some sequences.

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


def check_rows(rows, n_sequences=None):
    """Check which sequences are meant.

    Parameters
    ----------
    rows : int, array-like of int, or array-like of bool of shape (n_sequences,)
        Indices, of which negative ones count from the end, or a mask.
    n_sequences : int or None, default=None
        None where it is not known: then any number of them is right.

    Returns
    -------
    ndarray of shape (n_rows,), int, or (n_sequences,), bool

    Raises
    ------
    ValueError, TypeError
    """
    with naming_argument("rows"):
        array = np.atleast_1d(np.asarray(rows))
    if array.size == 0:
        array = array.astype(np.intp)
    if array.ndim > 1 or array.dtype.kind not in "biu":
        raise TypeError(f"rows must be indices of sequences or a boolean mask, got {rows!r}.")
    if n_sequences is None:
        return array
    if array.dtype.kind == "b":
        if len(array) != n_sequences:
            raise ValueError(f"rows is a mask of {len(array)} sequences, but there are {n_sequences}.")
    elif (outside := array[(array < -n_sequences) | (array >= n_sequences)]).size:
        raise ValueError(f"rows contains {outside[0]}, but there are sequences 0 to {n_sequences - 1}.")
    return array
