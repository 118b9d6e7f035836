"""TrainingSettings: how to train."""

from __future__ import annotations

from dataclasses import dataclass, field

from sklearn_rnn._training.truncation.fixed import FixedTruncation
from sklearn_rnn._training.truncation.policy import Truncation


@dataclass
class TrainingSettings:
    """How to train: the estimators' parameters, by the same names.

    Four parameters have other values: ``batch_size`` is a number, ``clip_norm`` is one or None, ``truncation`` is a
    policy, and ``memory_budget`` is in bytes.
    """

    batch_size: int
    shuffle: bool = True
    truncation: Truncation = field(default_factory=FixedTruncation)
    memory_budget: int | None = None
    clip_norm: float | None = None
    clip_value: float | None = None
    alpha: float = 0.0
    dropout: float = 0.0
    normalize_features: bool = False
    normalize_readout: bool = False
    max_iter: int = 200
    max_fun: int = 15000
    tol: float = 1e-4
    n_iter_no_change: float = 10
    early_stopping: bool = False
    verbose: bool | int = False
    n_jobs: int | None = None
