"""The checks of arguments that the functions and displays of this package share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from sklearn_rnn._base import BaseRNN, model_of, training_problem
from sklearn_rnn._data.batches import Dataset
from sklearn_rnn._model import Model
from sklearn_rnn._training.losses import Loss


def check_estimator(estimator: Any) -> Model:
    """Check an estimator of this package that must be fitted; return its model."""
    if not isinstance(estimator, BaseRNN):
        raise TypeError(
            f"estimator is a {type(estimator).__name__}, but it must be an RNNClassifier or RNNRegressor. For a "
            "pipeline, pass its last step, and X transformed by the other steps: pipeline[:-1].transform(X)."
        )
    return model_of(estimator)


def check_problem(estimator: Any, X: Any, y: Any) -> tuple[Model, Loss, Dataset]:
    """Check a fitted estimator and its data; return its model, its loss, and X and y as a Dataset."""
    model = check_estimator(estimator)
    if model.network.is_bidirectional:
        raise ValueError(
            "estimator has bidirectional=True: its reverse passes end at a sequence's first step, and so a step has no "
            "single distance from the loss. Fit with bidirectional=False ('auto' means True here)."
        )
    return model, *training_problem(estimator, X, y)


def check_place(place: Any, n_places: int, name: str, owner: str, things: str) -> int:
    """Return the place of one of an argument's things (sequences, outputs), as a number from 0 on."""
    if isinstance(place, bool) or not isinstance(place, (int, np.integer)):
        raise TypeError(f"{name} is {place!r}, but it must be an integer.")
    if not -n_places <= place < n_places:
        raise ValueError(
            f"{name}={place} is out of range: {owner} has {n_places} {things}. Choose {-n_places} to {n_places - 1}."
        )
    return int(place) % n_places


def check_names(results: Any, name: str) -> dict[str, Any]:
    """Return a dict with one entry, or more, for each name of an estimator."""
    if not isinstance(results, Mapping) or not results:
        raise TypeError(f"{name} is {results!r}, but it must be a dict with one entry, or more, by name.")
    return dict(results)


def check_list(values: Any, choices: Any, name: str) -> None:
    """Refuse anything but a list of one or more of the choices."""
    if not isinstance(values, (list, tuple)) or not values:
        raise ValueError(f"{name}={values!r} must be a list of one or more of {', '.join(map(repr, choices))}.")
    for value in values:
        check_choice(value, choices, name)


def check_choice(value: Any, choices: Any, name: str) -> None:
    """Refuse a value that is none of the choices."""
    if not isinstance(value, (str, type(None))) or value not in choices:
        raise ValueError(f"{name}={value!r} is not known. Choose one of {', '.join(map(repr, choices))}.")
