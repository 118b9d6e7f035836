"""Source: where training gets its updates, its statistics, and the figures of validation data from."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import numpy as np

from sklearn_rnn._data.batches import Dataset
from sklearn_rnn._inference.prediction import predict_scores
from sklearn_rnn._model import Model
from sklearn_rnn._network.network import RecurrentNetwork
from sklearn_rnn._training.losses import Loss
from sklearn_rnn._training.memory.revolve import State
from sklearn_rnn._training.progress import header_of
from sklearn_rnn._training.scaling import Scaling, begin_scaling
from sklearn_rnn._training.settings import TrainingSettings
from sklearn_rnn._training.trainer import Diverged, Trainer
from sklearn_rnn._utils.warnings import without_overflow_warnings


class Source(ABC):
    """The contract: what a training asks its data for. Its ``len`` is the number of sequences of an epoch.

    Attributes
    ----------
    data : Dataset, or object with a length
        What the trainer's methods get.
    lengths : ndarray of int
        All numbers of network steps that sequences have, each at least once.
    state : list of ndarray, or None
        See Trainer.
    has_validation : bool
        Whether there are validation data.
    """

    data: Any
    lengths: np.ndarray
    state: State | None = None
    has_validation: bool

    def __len__(self) -> int:
        return len(self.data)

    @abstractmethod
    def begin_scaling(self, network: RecurrentNetwork, settings: TrainingSettings) -> Scaling | None:
        """Measure the inputs of a new network's layers; see :func:`~sklearn_rnn._training.scaling.begin_scaling`."""

    @abstractmethod
    def header_of(self, model: Model) -> str:
        """Return the lines about data and model that training prints first."""

    @abstractmethod
    def trainer(self, **arguments: Any) -> Trainer:
        """Return the trainer, given the arguments of Trainer without ``state``."""

    @abstractmethod
    def evaluate(self, model: Model, loss: Loss, n_jobs: int | None) -> tuple[float, float]:
        """Return the mean loss and the score of a model on the validation data.

        Raises
        ------
        Diverged
            For a loss that is not finite.
        """


class LocalSource(Source):
    """Data in the memory, or in a file, of this process.

    Parameters
    ----------
    dataset : Dataset
    validation : Dataset or None
    state : list of ndarray, or None
        The sequences continue from there, together in one batch; the arrays are written to.
    score : callable or None
        Returns the score of the validation data, given their mean loss; None: accuracy or R^2.
    """

    data: Dataset

    def __init__(
        self,
        dataset: Dataset,
        validation: Dataset | None = None,
        state: State | None = None,
        score: Callable[[Dataset, float], float] | None = None,
    ) -> None:
        self.data, self.state, self._validation, self._score = dataset, state, validation, score
        self.lengths = dataset.sequences.lengths
        self.has_validation = validation is not None

    def begin_scaling(self, network: RecurrentNetwork, settings: TrainingSettings) -> Scaling | None:
        scaled = {"of_features": settings.normalize_features, "of_readout": settings.normalize_readout}
        return begin_scaling(network, self.data, settings.n_jobs, **scaled)

    def header_of(self, model: Model) -> str:
        lengths = self.data.sequences.of_data.lengths
        return header_of(model, len(self), int(lengths.min()), int(lengths.max()))

    def trainer(self, **arguments: Any) -> Trainer:
        return Trainer(state=self.state, **arguments)

    def evaluate(self, model: Model, loss: Loss, n_jobs: int | None) -> tuple[float, float]:
        validation = self._validation
        assert validation is not None
        assert validation.targets is not None
        assert validation.weights is not None
        scores = predict_scores(model.network, validation.sequences, n_jobs)
        targets, weights = validation.targets, validation.weights
        if not weights.all():  # steps that do not count
            counting = weights > 0
            scores, targets, weights = scores[counting], targets[counting], weights[counting]
        with without_overflow_warnings():
            losses = loss.value(scores, targets, weights)
            if not np.isfinite(losses):
                raise Diverged
            mean_loss = losses / weights.sum(dtype=np.float64)
            if self._score is None:
                return mean_loss, model.score(scores, targets, weights)
        return mean_loss, self._score(validation, mean_loss)
