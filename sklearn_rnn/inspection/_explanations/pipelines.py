"""Pipelines that end in a network: which of their transformers can be undone, for results in the user's units."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from sklearn.utils.validation import check_is_fitted

from sklearn_rnn._base import BaseRNN, model_of
from sklearn_rnn._inference.scalers import scaling_of
from sklearn_rnn._pipelines import network_at_end
from sklearn_rnn.preprocessing import TimeDistributed


class LinearMap(NamedTuple):
    """Transformers that together map each feature linearly: transformed = slope * feature + offset.

    Attributes
    ----------
    slope, offset : ndarray of shape (n_features,) or, for scalers of the columns of a table, (n_steps, n_features)
        Or 1 and 0.
    steps : tuple of transformers
    """

    slope: Any = 1.0
    offset: Any = 0.0
    steps: tuple[Any, ...] = ()

    def transform(self, X: Any) -> Any:
        """Return sequences after these transformers."""
        for step in self.steps:
            X = step.transform(X)
        return X


class ExplainedPipeline(NamedTuple):
    """A fitted network, and the transformers before it: which of them are undone.

    Attributes
    ----------
    estimator : BaseRNN
    head : list of (str, transformer)
        Transformers that are not undone: results are by the features that they return.
    units : LinearMap
        The linear transformers after them.
    """

    estimator: BaseRNN
    head: list[tuple[str, Any]]
    units: LinearMap

    @property
    def features_of(self) -> str:
        """The place of the features that results are by: "X", or the name of a step of the pipeline."""
        return self.head[-1][0] if self.head else "X"

    def transform(self, X: Any) -> Any:
        """Return X after the transformers that are not undone."""
        for _, step in self.head:
            X = step.transform(X)
        return X

    def feature_names(self, n_features: int) -> np.ndarray:
        """Return the names of the features that results are by; x0, x1, … where they have none."""
        default = np.array([f"x{i}" for i in range(n_features)], dtype=object)
        if self.head:
            names = getattr(self.head[-1][1], "get_feature_names_out", None)
            try:
                names = None if names is None else np.asarray(names(), dtype=object)
            except (AttributeError, ValueError, NotImplementedError):  # a part of the transformer has no names
                names = None
        else:
            first = self.units.steps[0] if self.units.steps else self.estimator
            names = getattr(first, "feature_names_in_", None)
        return default if names is None or len(names) != n_features else names


def explained_pipeline(estimator: Any) -> ExplainedPipeline:
    """Return the network of a fitted estimator or pipeline.

    Raises
    ------
    TypeError, NotFittedError
    """
    head, network = network_at_end(
        estimator,
        of_regressor="Pass its regressor_; the results are then in the units of the transformed y.",
        otherwise="inspection.permutation_importance takes any estimator.",
    )
    schema = model_of(network).schema
    units = LinearMap()
    while head and schema.categories is None:
        linear = _linear_map(head[-1][1], schema)
        if linear is None:
            break
        units = _then(linear, units)
        head.pop()
    for name, step in head:
        if not hasattr(step, "transform"):
            raise TypeError(f"estimator has the step {name!r}, a {type(step).__name__}, which has no transform.")
    return ExplainedPipeline(network, head, units)


def _linear_map(step: Any, schema: Any) -> LinearMap | None:
    """Return a transformer as a linear map of each feature; None if it is none."""
    if isinstance(step, TimeDistributed):
        check_is_fitted(step)
        linear = _linear_map_of_scaler(step.transformer_)
        return None if linear is None else linear._replace(steps=(step,))
    if not schema.is_table:
        return None
    linear = _linear_map_of_scaler(step)
    if linear is None:
        return None
    shape = (-1, schema.step_features)
    return LinearMap(np.reshape(linear.slope, shape), np.reshape(linear.offset, shape), (step,))


def _linear_map_of_scaler(scaler: Any) -> LinearMap | None:
    """Return a scaler of scikit-learn as a linear map of each column."""
    scaling = scaling_of(scaler)
    if scaling is None or not np.array_equal(scaling.columns, np.arange(scaling.n_inputs)):
        return None
    linear = LinearMap(np.ones(scaling.n_inputs), np.zeros(scaling.n_inputs))
    for center, divisor, factor, shift in scaling.terms[0]:
        slope = factor / divisor
        linear = _then(linear, LinearMap(slope, shift - center * slope))
    return linear


def _then(first: LinearMap, second: LinearMap) -> LinearMap:
    """Return the linear map that does one after the other."""
    return LinearMap(
        second.slope * first.slope, second.slope * first.offset + second.offset, first.steps + second.steps
    )
