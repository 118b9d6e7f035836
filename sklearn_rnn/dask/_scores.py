"""Accuracy and R^2 as sums over parts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sklearn_rnn._data.moments import Moments


@dataclass
class AccuracySums:
    """The weight of all samples, and of those that are predicted right."""

    weight: float = 0.0
    right: float = 0.0

    def add(self, hits: np.ndarray, weights: np.ndarray) -> AccuracySums:
        """Count samples: whether they are predicted right, (n,), and their weights, (n,)."""
        weights = weights.astype(np.float64)
        self.weight += float(weights.sum())
        self.right += float(weights[hits].sum())
        return self

    def join(self, others: AccuracySums) -> None:
        """Count the samples of other sums."""
        self.weight, self.right = self.weight + others.weight, self.right + others.right

    @property
    def value(self) -> float:
        """The accuracy."""
        return self.right / self.weight if self.weight else float("nan")


class R2Sums:
    """The spread of targets, and the squared errors of their predictions.

    Parameters
    ----------
    n_outputs : int
    """

    def __init__(self, n_outputs: int) -> None:
        self._targets, self._errors = Moments(n_outputs), np.zeros(n_outputs)
        self._n_samples = 0

    def add(self, targets: np.ndarray, predicted: np.ndarray, weights: np.ndarray) -> R2Sums:
        """Count samples: targets and predictions, (n, n_outputs), and weights, (n,)."""
        counting = weights > 0
        if counting.any():
            y, weights = targets[counting].astype(np.float64), weights[counting].astype(np.float64)
            self._targets.add(y, weights)
            self._errors += weights @ np.square(y - predicted[counting].astype(np.float64))
        self._n_samples += len(targets)
        return self

    def join(self, others: R2Sums) -> None:
        """Count the samples of other sums."""
        self._targets.join(others._targets)
        self._errors += others._errors
        self._n_samples += others._n_samples

    @property
    def value(self) -> float:
        """R^2, the mean over outputs, with scikit-learn's values for constant targets: 1 if they are met, else 0."""
        if self._n_samples < 2 or not self._targets.weight:
            return float("nan")
        total = np.square(self._targets.spread) * self._targets.weight
        is_constant = total == 0
        values = 1 - self._errors / np.where(is_constant, 1.0, total)
        return float(np.mean(np.where(is_constant, self._errors == 0, values)))
