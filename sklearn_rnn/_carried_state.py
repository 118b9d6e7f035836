"""The network state that is carried from one chunk of a stream to the next."""

from __future__ import annotations

import numpy as np


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
    places = places_of(rows, state[0].shape[1])
    for states in state:
        states[:, places] = 0
    return state


def places_of(rows, n_sequences):
    """Check which sequences are meant; return their places, or a mask of them.

    Parameters
    ----------
    rows : int, array-like of int, or array-like of bool of shape (n_sequences,)
    n_sequences : int

    Returns
    -------
    ndarray of shape (n_places,), int, or of shape (n_sequences,), bool

    Raises
    ------
    ValueError
    """
    places = np.atleast_1d(rows)
    if places.size == 0:
        return np.zeros(0, np.intp)
    if places.dtype == bool:
        is_right = places.shape == (n_sequences,)
    else:
        is_right = places.ndim == 1 and places.dtype.kind in "iu"
        is_right = is_right and -n_sequences <= places.min() and places.max() < n_sequences
    if not is_right:
        raise ValueError(
            f"rows={rows!r} are not places of {n_sequences} sequences: give numbers from 0 to {n_sequences - 1}, or a "
            "boolean for each."
        )
    return places
