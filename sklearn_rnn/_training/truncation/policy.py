"""Truncation, the contract of all policies: a policy chooses the steps through which each loss flows back.

A policy draws the Windows of every batch. All sequences of a batch have the same windows. Steps are counted from the
start of the sequences. A shorter sequence may have fewer steps in its last window.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np

from sklearn_rnn._data.batches import Dataset, PackedBatch
from sklearn_rnn._network.network import RecurrentNetwork
from sklearn_rnn._training.losses import Loss


class Window(NamedTuple):
    """Steps ``start`` to ``stop - 1``. The losses of the steps from ``loss_start`` on flow back through them.

    Every step's loss belongs to exactly one window: the previous window ends at ``loss_start``.
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
        For readout "last": the error flows back through this number of steps from each sequence's own end. None: it
        flows back through the steps of the sequence's last window.
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
        """Return the steps between ``start`` and ``stop`` where :meth:`pass_border` changes errors: segment borders."""
        return []

    def pass_border(self, d_state: list[np.ndarray], step: int, n_sequences: int) -> None:
        """Change, in place, an error between a step and the step before; ``n_sequences`` have both steps."""

    def shared_divisor(self, batches: Iterable[PackedBatch]) -> float | None:
        """Return the divisor of all updates of a batch, given in parts. None: each is divided by its own weight."""
        return None


class Truncation(ABC):
    """A policy of truncation.

    Attributes
    ----------
    length : int or None
        Number of steps of a window, or its mean; None for all steps.
    has_fixed_length : bool
        Whether ``length`` never changes.
    has_fixed_windows : bool
        Whether batches with the same number of steps always get the same windows.
    settings : tuple
        The estimator's parameters that determine the policy.
    """

    length: int | None
    has_fixed_length: bool = True
    has_fixed_windows: bool = True
    settings: tuple

    def adapt(  # noqa: B027
        self, network: RecurrentNetwork, loss: Loss, dataset: Dataset, random_state: np.random.RandomState
    ) -> None:
        """Adapt to the network, before an epoch. Most policies have nothing to choose."""

    @abstractmethod
    def draw(self, n_steps: int, random_state: np.random.RandomState | None) -> Windows:
        """Return the windows of a batch whose longest sequence has ``n_steps``."""
