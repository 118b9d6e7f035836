"""Losses of raw scores. Each merges its link (softmax, sigmoid, exp), so that nothing overflows.

Every loss is summed over samples with their weights, in float64: the mean is taken by whoever knows the
batch's whole weight. A sample is a sequence or, with readout "each", a step.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

import numpy as np
from scipy.special import expit, log_softmax, softmax, xlogy


class Loss(ABC):
    """A loss, its gradient with respect to the raw scores, and its link's inverse.

    Attributes
    ----------
    out_activation : str
        g in y_t = g(h_t V + c), by the name that MLPClassifier's ``out_activation_`` has for it.
    """

    out_activation = "identity"

    @abstractmethod
    def per_sample(self, scores, targets):
        """Losses, (n,), of ``scores`` (n, n_outputs) against ``targets`` (n, n_outputs)."""

    @abstractmethod
    def derivative(self, scores, targets):
        """Gradient of the losses with respect to ``scores``, (n, n_outputs)."""

    def predict(self, scores):
        """Predictions g(scores)."""
        return scores

    def value(self, scores, targets, weights):
        """Sum of ``weights`` times losses, a float."""
        return float(np.dot(self.per_sample(scores, targets), weights.astype(np.float64, copy=False)))

    def gradient(self, scores, targets, weights):
        """Gradient of :meth:`value` with respect to ``scores``."""
        return self.derivative(scores, targets) * weights[:, None]


class MulticlassLogLoss(Loss):
    """Cross-entropy of the softmax; targets are one-hot."""

    out_activation = "softmax"

    def per_sample(self, scores, targets):
        return -(targets * log_softmax(scores, axis=1)).sum(axis=1)

    def derivative(self, scores, targets):
        return softmax(scores, axis=1) - targets

    def predict(self, scores):
        return softmax(scores, axis=1)


class BinaryLogLoss(Loss):
    """Cross-entropy of the sigmoid, summed over outputs: one for two classes, one a label for multilabel."""

    out_activation = "logistic"

    def per_sample(self, scores, targets):
        return (np.logaddexp(0, scores) - targets * scores).sum(axis=1)

    def derivative(self, scores, targets):
        return expit(scores) - targets

    def predict(self, scores):
        return expit(scores)


class SquaredError(Loss):
    """(s - y)^2 / 2, the mean over outputs."""

    def per_sample(self, scores, targets):
        return np.square(scores - targets).sum(axis=1) * (0.5 / scores.shape[1])

    def derivative(self, scores, targets):
        return (scores - targets) / scores.shape[1]


class AbsoluteError(Loss):
    """|s - y|, the mean over outputs."""

    def per_sample(self, scores, targets):
        return np.abs(scores - targets).mean(axis=1)

    def derivative(self, scores, targets):
        return np.sign(scores - targets) / scores.shape[1]


class Huber(Loss):
    """Quadratic within 1 of the target, linear beyond (Huber 1964, with k = 1); the mean over outputs."""

    def per_sample(self, scores, targets):
        distance = np.abs(scores - targets)
        return np.where(distance <= 1, 0.5 * distance * distance, distance - 0.5).mean(axis=1)

    def derivative(self, scores, targets):
        return np.clip(scores - targets, -1, 1) / scores.shape[1]


class Poisson(Loss):
    """Half the Poisson deviance with a log link: exp(s) - y s - y + y log(y), the mean over outputs."""

    out_activation = "exp"

    def per_sample(self, scores, targets):
        return (self.predict(scores) - targets * scores - targets + xlogy(targets, targets)).mean(axis=1)

    def derivative(self, scores, targets):
        return (self.predict(scores) - targets) / scores.shape[1]

    def predict(self, scores):
        with np.errstate(over="ignore"):  # inf stays visible: training stops on it with a message
            return np.exp(scores)


REGRESSION_LOSSES: dict[str, Callable[[], Loss]] = {
    "squared_error": SquaredError,
    "absolute_error": AbsoluteError,
    "huber": Huber,
    "poisson": Poisson,
}
