"""Losses of raw scores. Each loss includes its link (softmax, sigmoid, exp), which avoids overflow.

A loss is the weighted sum over samples, in float64. The trainer divides it by the weight of the whole batch. A sample
is a sequence or, with readout "each", a step.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from math import isfinite
from typing import Any

import numpy as np
from scipy.special import expit, logit, xlogy

from sklearn_rnn._network import engines
from sklearn_rnn._network.links import EXP, IDENTITY, LOGISTIC, SOFTMAX, Link


class Loss(ABC):
    """A loss, and its gradient with respect to the raw scores.

    Attributes
    ----------
    link : Link
        g in y_t = g(h_t V + c).
    """

    link: Link = IDENTITY

    def in_units(self, scale: np.ndarray) -> Loss:
        """Return the loss of targets that are normalised with ``scale``, (n_outputs,), in their units."""
        return self

    def start_scores(self, targets: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """Return raw scores, (n_outputs,), from which training starts, for targets (n, n_outputs) and weights (n,).

        They are the scores of the best constant prediction: 0 for an identity link, because the targets are centred.
        """
        return np.zeros(targets.shape[1])

    @abstractmethod
    def per_sample(self, scores: np.ndarray, targets: np.ndarray) -> np.ndarray:
        """Losses, (n,), of ``scores`` (n, n_outputs) against ``targets`` (n, n_outputs)."""

    @abstractmethod
    def derivative(self, scores: np.ndarray, targets: np.ndarray) -> np.ndarray:
        """Gradient of the losses with respect to ``scores``, (n, n_outputs)."""

    def per_sample_and_derivative(self, scores: np.ndarray, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Both of :meth:`per_sample` and :meth:`derivative`; a loss whose two share work does it once here."""
        return self.per_sample(scores, targets), self.derivative(scores, targets)

    def value_and_gradient(
        self, scores: np.ndarray, targets: np.ndarray, weights: np.ndarray
    ) -> tuple[float, np.ndarray]:
        """:meth:`value`, and its gradient with respect to ``scores``; zeros for samples of weight 0."""
        if not weights.all():
            counting, gradient = weights > 0, np.zeros_like(scores)
            value, gradient[counting] = self.value_and_gradient(scores[counting], targets[counting], weights[counting])
            return value, gradient
        losses, gradient = self.per_sample_and_derivative(scores, targets)
        value = float(np.dot(losses, weights.astype(np.float64, copy=False)))
        if not isfinite(value):
            value = self.value(scores, targets, weights)
        gradient *= weights[:, None]
        return value, gradient

    def value(self, scores: np.ndarray, targets: np.ndarray, weights: np.ndarray) -> float:
        """Sum of ``weights`` times losses. Samples of weight 0 are left out: 0 times an infinite loss would be NaN."""
        if not weights.all():
            counting = weights > 0
            scores, targets, weights = scores[counting], targets[counting], weights[counting]
        weights = weights.astype(np.float64, copy=False)
        value = float(np.dot(self.per_sample(scores, targets), weights))
        if isfinite(value) or scores.dtype == np.float64:
            return value
        # Squares of float32 numbers above 1.8e19 overflow. The gradient is finite, and clipping may save the update.
        return float(np.dot(self.per_sample(scores.astype(np.float64), targets.astype(np.float64)), weights))


class MulticlassLogLoss(Loss):
    """Cross-entropy of the softmax; targets are one-hot."""

    link = SOFTMAX

    def per_sample(self, scores: np.ndarray, targets: np.ndarray) -> np.ndarray:
        return self.per_sample_and_derivative(scores, targets)[0]

    def derivative(self, scores: np.ndarray, targets: np.ndarray) -> np.ndarray:
        return self.per_sample_and_derivative(scores, targets)[1]

    def per_sample_and_derivative(self, scores: np.ndarray, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return engines.serving.softmax_loss(scores, targets)

    def start_scores(self, targets: np.ndarray, weights: np.ndarray) -> np.ndarray:
        return np.log(_shares(targets, weights))


class BinaryLogLoss(Loss):
    """Cross-entropy of the sigmoid, summed over outputs: one output for two classes, or one for each label."""

    link = LOGISTIC

    def per_sample(self, scores: np.ndarray, targets: np.ndarray) -> np.ndarray:
        return (np.logaddexp(0, scores) - targets * scores).sum(axis=1)

    def derivative(self, scores: np.ndarray, targets: np.ndarray) -> np.ndarray:
        return expit(scores) - targets

    def start_scores(self, targets: np.ndarray, weights: np.ndarray) -> np.ndarray:
        return logit(_shares(targets, weights))


class SquaredError(Loss):
    """(s - y)^2 / 2, the mean over outputs."""

    def per_sample(self, scores: np.ndarray, targets: np.ndarray) -> np.ndarray:
        return np.square(scores - targets).sum(axis=1) * (0.5 / scores.shape[1])

    def derivative(self, scores: np.ndarray, targets: np.ndarray) -> np.ndarray:
        return (scores - targets) / scores.shape[1]


class AbsoluteError(Loss):
    """|s - y|, the mean over outputs."""

    def per_sample(self, scores: np.ndarray, targets: np.ndarray) -> np.ndarray:
        return np.abs(scores - targets).mean(axis=1)

    def derivative(self, scores: np.ndarray, targets: np.ndarray) -> np.ndarray:
        return np.sign(scores - targets) / scores.shape[1]


class Huber(Loss):
    """Quadratic up to a distance of 1, linear beyond (Huber 1964, with k = 1); the mean over outputs.

    In normalised units the distance is one spread of the targets.
    """

    def per_sample(self, scores: np.ndarray, targets: np.ndarray) -> np.ndarray:
        distance = np.abs(scores - targets)
        return np.where(distance <= 1, 0.5 * distance * distance, distance - 0.5).mean(axis=1)

    def derivative(self, scores: np.ndarray, targets: np.ndarray) -> np.ndarray:
        return np.clip(scores - targets, -1, 1) / scores.shape[1]


class Poisson(Loss):
    """Half the Poisson deviance with a log link: exp(s) - y s - y + y log(y), the mean over outputs.

    In normalised units y is y / mean, s is ``scale`` times the raw score, and the deviance is divided by
    exp(``scale``^2) - 1. For y / mean this is the index of dispersion, variance / mean, by which the quasi-Poisson
    model divides (McCullagh and Nelder, Generalized Linear Models, 1989, section 6.2). So the loss of the constant
    mean is about 1/2 for small scales, and its derivatives by the raw scores have a spread of about 1.

    Parameters
    ----------
    scale : ndarray of shape (n_outputs,), or None
        None: the units of the data.
    """

    link = EXP

    def __init__(self, scale: np.ndarray | None = None) -> None:
        self._scale: Any = 1.0 if scale is None else scale
        self._dispersion: Any = 1.0 if scale is None else np.expm1(np.square(scale))

    def in_units(self, scale: np.ndarray) -> Poisson:
        return Poisson(scale)

    def per_sample(self, scores: np.ndarray, targets: np.ndarray) -> np.ndarray:
        # In float64: the terms are much larger than their sum where y varies little.
        s, y = scores.astype(np.float64) * self._scale, targets.astype(np.float64, copy=False)
        return ((self.link.predict(s) - y * s - y + xlogy(y, y)) / self._dispersion).mean(axis=1)

    def derivative(self, scores: np.ndarray, targets: np.ndarray) -> np.ndarray:
        s = scores.astype(np.float64) * self._scale
        derivative = (self.link.predict(s) - targets) * (self._scale / self._dispersion / scores.shape[1])
        return derivative.astype(scores.dtype, copy=False)

    def start_scores(self, targets: np.ndarray, weights: np.ndarray) -> np.ndarray:
        mean = weighted_mean(targets, weights)
        return np.log(np.where(mean > 0, mean, SMALLEST_SHARE)) / self._scale  # an output of zeros stays possible


REGRESSION_LOSSES: dict[str, Callable[[], Loss]] = {
    "squared_error": SquaredError,
    "absolute_error": AbsoluteError,
    "huber": Huber,
    "poisson": Poisson,
}


# ---- Means of targets --------------------------------------------------------------------------------

SMALLEST_SHARE = 1e-3


def weighted_mean(targets: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Mean of targets (n, n_outputs), (n_outputs,), in float64."""
    return np.average(targets, axis=0, weights=weights.astype(np.float64))


def _shares(targets: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Weighted share of every class or label, (n_outputs,): a class that is still absent stays possible."""
    return np.clip(weighted_mean(targets, weights), SMALLEST_SHARE, 1 - SMALLEST_SHARE)
