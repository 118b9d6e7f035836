"""Records of training: Epoch for one epoch, and History for all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import reduce
from typing import NamedTuple

import numpy as np

from sklearn_rnn._utils.plain import Floats, Number, Whole, plain_form

# Number of last epochs whose figures are kept: endless training on a stream must not fill the memory.
N_REMEMBERED = 10_000


class Epoch(NamedTuple):
    """Figures of one epoch.

    Attributes
    ----------
    loss : float
        Mean over the epoch's updates; NaN without updates.
    gradient_norm : float
        Mean over the epoch's updates, before clipping; NaN without updates.
    n_updates, n_clipped : int
        Number of updates, and number of updates with a clipped gradient.
    n_samples : int
        Number of sequences.
    validation_loss, validation_score : float or None
        None without validation data.
    """

    loss: float
    gradient_norm: float
    n_updates: int
    n_clipped: int
    n_samples: int
    validation_loss: float | None = None
    validation_score: float | None = None


@plain_form(
    "history",
    losses=Floats(),
    gradient_norms=Floats(),
    validation_losses=Floats(),
    validation_scores=Floats(),
    best_loss=Number(may_be_nan=True),
    n_epochs=Whole(),
    n_updates=Whole(),
    n_clipped=Whole(),
    n_samples=Whole(),
)
@dataclass(frozen=True)
class History:
    """Figures of an estimator's training in all calls. A History never changes: :meth:`extended` returns a new one.

    Attributes
    ----------
    losses, gradient_norms, validation_losses, validation_scores : list of float
        One entry for each of the last ``N_REMEMBERED`` epochs.
    best_loss : float
        Smallest loss of all epochs with an update; inf without such an epoch.
    n_epochs : int
    n_updates, n_clipped, n_samples : int
        Number of updates, of updates with a clipped gradient, and of sequences, since the first epoch.
    """

    losses: list[float] = field(default_factory=list)
    gradient_norms: list[float] = field(default_factory=list)
    validation_losses: list[float] = field(default_factory=list)
    validation_scores: list[float] = field(default_factory=list)
    best_loss: float = np.inf
    n_epochs: int = 0
    n_updates: int = 0
    n_clipped: int = 0
    n_samples: int = 0

    def extended(self, epochs: list[Epoch]) -> History:
        """Return the history with more epochs."""
        if not epochs:
            return self
        losses, norms, n_updates, n_clipped, n_samples, validation_losses, validation_scores = zip(*epochs)
        losses = tuple(map(float, losses))  # as a pickle or file returns them
        return History(
            _joined(self.losses, losses),
            _joined(self.gradient_norms, norms),
            _joined(self.validation_losses, validation_losses),
            _joined(self.validation_scores, validation_scores),
            reduce(min, losses, self.best_loss),  # from the left: NaN is no less than anything
            self.n_epochs + len(epochs),
            self.n_updates + sum(n_updates),
            self.n_clipped + sum(n_clipped),
            self.n_samples + sum(n_samples),
        )


def _joined(earlier: list[float], later: Sequence[float | None]) -> list[float]:
    """Return the last ``N_REMEMBERED`` figures, as a new list; there are none of epochs without validation data."""
    return (earlier + [float(figure) for figure in later if figure is not None])[-N_REMEMBERED:]
