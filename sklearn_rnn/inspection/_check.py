"""The check that all functions of this package share."""

from __future__ import annotations

from typing import Any

from sklearn_rnn._base import BaseRNN, model_of, training_problem
from sklearn_rnn._data.packing import Dataset
from sklearn_rnn._model import Model
from sklearn_rnn._training.losses import Loss


def check_problem(estimator: Any, X: Any, y: Any) -> tuple[Model, Loss, Dataset]:
    """Check a fitted estimator and its data; return its model, its loss, and X and y as a Dataset."""
    if not isinstance(estimator, BaseRNN):
        raise TypeError(
            f"estimator is a {type(estimator).__name__}, but an RNNClassifier or RNNRegressor is needed. Of a pipeline "
            "pass the last step, and X as the steps before it transform it (pipeline[:-1].transform(X))."
        )
    model = model_of(estimator)
    if model.network.is_bidirectional:
        raise ValueError(
            "estimator has bidirectional=True: its reverse passes reach a sequence's first step last, so that no step "
            "has one distance from the loss. Fit it with bidirectional=False."
        )
    return model, *training_problem(estimator, X, y)
