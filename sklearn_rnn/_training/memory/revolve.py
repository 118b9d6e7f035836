"""Revolve: which states to keep of a long forward pass, so that the backward pass recomputes the fewest pieces.

A backward pass needs the pieces of a forward pass from the last to the first. A piece is run again from the state
before it. Where not all of these states fit into memory, the few that fit are kept where they save the most runs
(Griewank & Walther 2000, "Revolve", algorithm 799; for recurrent networks Gruslys et al. 2016, section 3.1).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import comb

import numpy as np

State = list[np.ndarray]


def fewest_runs(n_segments: int, n_states: int) -> int:
    """Return the least number of runs that gives the states before ``n_segments`` segments, from the last to the first.

    The state before the first segment is there, and ``n_states`` more may be kept (Griewank & Walther 2000).
    """
    n = _repetitions(n_segments, n_states)
    return n * n_segments - comb(n_states + 1 + n, n - 1)


def advance(n_segments: int, n_states: int) -> int:
    """Return the number of segments, of at least 2, after which to keep a state for the fewest runs.

    ``n_states``, at least 1, may be kept.
    """
    n = _repetitions(n_segments, n_states)
    # n - 1 repetitions must suffice for the segments before it, and n for those after it.
    return max(1, min(comb(n_states + n, n - 1), n_segments - comb(n_states + n - 1, n - 1)))


def _repetitions(n_segments: int, n_states: int) -> int:
    """Return the largest number of times that a segment is run without a tape."""
    n = 1
    while comb(n_states + 1 + n, n) < n_segments:
        n += 1
    return n


class Checkpoints:
    """Network states before the pieces of a forward pass, given back from the last piece to the first.

    Parameters
    ----------
    n_pieces : int
    n_states : int
        States to keep at once, at least 1: the one before the first piece.
    """

    def __init__(self, n_pieces: int, n_states: int) -> None:
        self._n_pieces, self._n_states = n_pieces, n_states
        self._kept: list[tuple[int, State]] = []  # (piece, state before it), first to last
        self._wanted = {0, *self._places(0, n_pieces - 1, n_states - 1)}

    @staticmethod
    def _places(first: int, last: int, n_free: int) -> Iterator[int]:
        """Yield the pieces before which to keep a state, on the way from piece ``first`` to piece ``last``."""
        while first < last and n_free:
            first += advance(last + 1 - first, n_free)
            n_free -= 1
            yield first

    def offer(self, piece: int, state: State) -> None:
        """Keep the state before a piece, if it is one of those to keep; called for every piece of the forward pass."""
        if piece in self._wanted:
            self._kept.append((piece, state))

    def backward(self, run: Callable[[int, State], State]) -> Iterator[tuple[int, State]]:
        """Yield (piece, state before it), from the last piece to the first.

        ``run(piece, state)`` runs a piece again, from the state before it to the one after it.
        """
        for piece in reversed(range(self._n_pieces)):
            yield piece, self._state_before(piece, run)
            if self._kept[-1][0] == piece:
                self._kept.pop()

    def _state_before(self, last: int, run: Callable[[int, State], State]) -> State:
        """Return the state before a piece, run from the last one that is kept; keep some underway."""
        piece, state = self._kept[-1]
        wanted = set(self._places(piece, last, self._n_states - len(self._kept)))
        while piece < last:
            state = run(piece, state)
            piece += 1
            if piece in wanted:
                self._kept.append((piece, state))
        return state
