"""The check of arguments that all functions of this package share."""

from __future__ import annotations

from typing import Any

from sklearn_rnn._base import BaseRNN, model_of, training_problem
from sklearn_rnn._data.batches import Dataset
from sklearn_rnn._model import Model
from sklearn_rnn._training.losses import Loss


def check_network(estimator: Any) -> Model:
    """Check a fitted estimator; return its model."""
    if not isinstance(estimator, BaseRNN):
        raise TypeError(
            f"estimator is a {type(estimator).__name__}, but it must be an RNNClassifier or RNNRegressor. For a "
            "pipeline, pass its last step, and X transformed by the other steps: pipeline[:-1].transform(X)."
        )
    return model_of(estimator)


def check_problem(estimator: Any, X: Any, y: Any) -> tuple[Model, Loss, Dataset]:
    """Check a fitted estimator and its data; return its model, its loss, and X and y as a Dataset."""
    model = check_network(estimator)
    if model.network.is_bidirectional:
        raise ValueError(
            "estimator has bidirectional=True: its reverse passes end at a sequence's first step, and so a step has no "
            "single distance from the loss. Fit with bidirectional=False ('auto' means True here)."
        )
    return model, *training_problem(estimator, X, y)
