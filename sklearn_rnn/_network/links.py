"""Links: the function g in y_t = g(h_t V + c), from raw scores to predictions, by MLPClassifier's names for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy.special import expit


class Link(NamedTuple):
    """An activation of the output layer.

    Attributes
    ----------
    name : {"identity", "logistic", "softmax", "exp"}
    predict : callable
        From raw scores (n, n_outputs) to predictions of the same shape.
    """

    name: str
    predict: Callable[[np.ndarray], np.ndarray]


def _identity(scores: np.ndarray) -> np.ndarray:
    return scores


def _softmax(scores: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore"):  # infinite scores have no shares: NaN stays visible
        exponentials = np.exp(scores - scores.max(axis=1, keepdims=True))
        return exponentials / exponentials.sum(axis=1, keepdims=True)


def _exp(scores: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore"):  # inf stays visible: training stops on it with a message
        return np.exp(scores)


IDENTITY = Link("identity", _identity)
LOGISTIC = Link("logistic", expit)
SOFTMAX = Link("softmax", _softmax)
EXP = Link("exp", _exp)
LINKS = {link.name: link for link in (IDENTITY, LOGISTIC, SOFTMAX, EXP)}
