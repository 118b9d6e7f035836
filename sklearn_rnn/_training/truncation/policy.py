"""Truncation, the contract of all policies: which losses flow back through which steps.

A policy draws the Windows of every batch. Steps are counted from the start of the sequences, which share the windows of
their batch: a shorter sequence may have fewer steps in the last window that it reaches.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np

from sklearn_rnn._data.packing import Dataset, PackedBatch
from sklearn_rnn._network.network import RecurrentNetwork
from sklearn_rnn._training.losses import Loss


class Window(NamedTuple):
    """Steps ``start`` to ``stop - 1``; the losses from ``loss_start`` on flow back through them.

    Every step's loss belongs to exactly one window: the window before it ends at ``loss_start``.
    """

    start: int
    loss_start: int
    stop: int


class Windows:
    """The windows of one batch, first to last.

    Parameters
    ----------
    windows : list of Window
    tail : int or None, default=None
        For readout "last": the error flows back through this number of steps at each sequence's own end. None: through
        the steps of the window that the sequence ends in.
    """

    def __init__(self, windows: list[Window], tail: int | None = None) -> None:
        self._windows, self.tail = windows, tail

    def __iter__(self) -> Iterator[Window]:
        return iter(self._windows)

    def __len__(self) -> int:
        return len(self._windows)

    def with_next_starts(self) -> Iterator[tuple[Window, int | None]]:
        """Yield every window and the start of the next one; None after the last."""
        yield from zip(self, [*(window.start for window in self._windows[1:]), None])

    def borders(self, start: int, stop: int) -> list[int]:
        """Return the steps between ``start`` and ``stop`` at which errors change on their way: segments begin there."""
        return []

    def pass_border(self, d_state: list[np.ndarray], step: int, n_sequences: int) -> None:
        """Change an error in place on its way from a step to the one before; ``n_sequences`` have both steps."""

    def shared_divisor(self, batches: Iterable[PackedBatch]) -> float | None:
        """Return the weight that all updates of a batch (given in parts) are divided by; None for each one's own."""
        return None


class Truncation(ABC):
    """A policy of truncation.

    Attributes
    ----------
    length : int or None
        Steps of a window, or their mean; None for all.
    has_fixed_length : bool
        Whether the length stays what it is.
    has_fixed_windows : bool
        Whether batches with the same number of steps always get the same windows.
    settings : tuple
        Of the estimator.
    """

    length: int | None
    has_fixed_length: bool = True
    has_fixed_windows: bool = True
    settings: tuple

    def adapt(  # noqa: B027
        self, network: RecurrentNetwork, loss: Loss, dataset: Dataset, random_state: np.random.RandomState
    ) -> None:
        """Look at the network before an epoch; most policies have nothing to choose."""

    @abstractmethod
    def draw(self, n_steps: int, random_state: np.random.RandomState | None) -> Windows:
        """Return the windows of a batch whose longest sequence has ``n_steps``."""
