"""The transformers before a network, in ONNX: scalers, applied to every step or to the columns of a table."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from sklearn.compose import ColumnTransformer
from sklearn.preprocessing import FunctionTransformer, MaxAbsScaler, MinMaxScaler, RobustScaler, StandardScaler
from sklearn.utils.validation import check_is_fitted

from sklearn_rnn._base import BaseRNN, model_of
from sklearn_rnn._inference.scalers import flat_steps
from sklearn_rnn._pipelines import network_at_end
from sklearn_rnn.export._graph import Graph
from sklearn_rnn.preprocessing import TimeDistributed

SCALERS = "StandardScaler, MinMaxScaler, MaxAbsScaler and RobustScaler"


class NetworkInPipeline(NamedTuple):
    """A fitted network, and the transformers before it, each with its name."""

    estimator: BaseRNN
    transformers: list[tuple[str, Any]]

    @property
    def is_table(self) -> bool:
        """Whether X is 2-D."""
        return model_of(self.estimator).schema.is_table

    @property
    def n_steps(self) -> int | None:
        """The steps of X if these are fixed: scalers of a table's columns need all columns."""
        has_scalers = any(not isinstance(step, TimeDistributed) for _, step in self.transformers)
        schema = model_of(self.estimator).schema
        return self.estimator.n_features_in_ // schema.step_features if self.is_table and has_scalers else None

    def features_before(self, k: int) -> int:
        """Return the features of a step of X before transformer k."""
        for _, step in self.transformers[k:]:
            if isinstance(step, TimeDistributed):
                check_is_fitted(step)
                return step.step_features if self.is_table else step.n_features_in_
        return model_of(self.estimator).schema.step_features


def network_of(estimator: Any) -> NetworkInPipeline:
    """Return the network of a fitted estimator or pipeline.

    Raises
    ------
    TypeError, NotFittedError
    """
    transformers, network = network_at_end(
        estimator, of_regressor="Pass its regressor_, and transform the predictions back yourself."
    )
    schema = model_of(network).schema
    if transformers and schema.categories is not None:
        raise ValueError(
            f"estimator has the step {transformers[0][0]!r} before a network with categorical features: export the "
            "network alone, and transform X before you pass it to the model."
        )
    return NetworkInPipeline(network, transformers)


# ---- Nodes -------------------------------------------------------------------------------------------


def add_transformers(graph: Graph, network: NetworkInPipeline, x: str) -> str:
    """Return X, (..., n_steps, n_features), after the transformers, in the dtype of the graph.

    Their arithmetic is that of scikit-learn, in float64, so that a mean that is large against the spread costs no
    digits in float32.
    """
    if not network.transformers:
        return x
    x = graph.cast(x, np.float64)
    for k, (name, step) in enumerate(network.transformers):
        if isinstance(step, TimeDistributed):
            check_is_fitted(step)
            x = add_step_transformer(graph, x, step.transformer_, name)
        elif network.is_table:  # a scaler of the columns of a table
            shape = (-1, network.features_before(k))
            for operator, *vectors in _operations_of(step, name):
                x = graph.add(operator, x, *(v.reshape(shape) if v.ndim else v for v in vectors))
        else:
            raise _no_equations(step, name)
    return graph.cast(x, graph.dtype)


def add_step_transformer(graph: Graph, x: str, transformer: Any, place: str) -> str:
    """Return x, (..., n_features), after a transformer of the features of a step."""
    for name, step in flat_steps(place, transformer):
        if isinstance(step, ColumnTransformer):
            x = _add_column_transformer(graph, x, step, name)
        elif step is not None:
            for operation in _operations_of(step, name):
                x = graph.add(operation[0], x, *operation[1:])
    return x


def _add_column_transformer(graph: Graph, x: str, transformer: ColumnTransformer, place: str) -> str:
    if transformer.transformer_weights:
        raise ValueError(
            f"estimator has the step {place!r}, a ColumnTransformer with transformer_weights, which cannot be "
            "exported: set transformer_weights=None and fit again."
        )
    parts = []
    for name, step, columns in transformer.transformers_:
        indices = _column_indices(columns, transformer)
        if not len(indices) or (isinstance(step, str) and step == "drop"):
            continue
        part = graph.add("Gather", x, indices, axis=-1)
        if not (isinstance(step, str) and step == "passthrough"):
            part = add_step_transformer(graph, part, step, f"{place}__{name}" if place else name)
        parts.append(part)
    return parts[0] if len(parts) == 1 else graph.add("Concat", *parts, axis=-1)


def _column_indices(columns: Any, transformer: ColumnTransformer) -> np.ndarray:
    """Return the indices of the columns that a ColumnTransformer names in one of its ways."""
    n_features = transformer.n_features_in_
    if isinstance(columns, slice) and not any(isinstance(end, str) for end in (columns.start, columns.stop)):
        return np.arange(n_features)[columns]
    names = list(getattr(transformer, "feature_names_in_", ()))
    if isinstance(columns, slice):
        start = None if columns.start is None else names.index(columns.start)
        stop = None if columns.stop is None else names.index(columns.stop) + 1  # names include the last one
        return np.arange(n_features)[start:stop]
    chosen = np.atleast_1d(np.array(columns if isinstance(columns, (str, int)) else list(columns)))
    if chosen.dtype.kind in "UO":
        return np.array([names.index(name) for name in chosen], np.int64)
    return np.arange(n_features)[chosen] if len(chosen) else np.arange(0)


def _operations_of(scaler: Any, name: str) -> list[tuple[Any, ...]]:
    """Return the operators of a scaler, each with its constants. A subclass may do something else: it has none."""
    limits: tuple[float, ...] = ()
    if type(scaler) is StandardScaler:
        operations = [("Sub", scaler.mean_ if scaler.with_mean else None), ("Div", scaler.scale_)]
    elif type(scaler) is RobustScaler:
        operations = [("Sub", scaler.center_), ("Div", scaler.scale_)]
    elif type(scaler) is MinMaxScaler:
        operations = [("Mul", scaler.scale_), ("Add", scaler.min_)]
        limits = scaler.feature_range if scaler.clip else ()
    elif type(scaler) is MaxAbsScaler:
        operations = [("Div", scaler.scale_)]
        limits = (-1, 1) if getattr(scaler, "clip", False) else ()
    elif type(scaler) is FunctionTransformer and scaler.func is None:
        return []
    else:
        raise _no_equations(scaler, name)
    clip = [("Clip", *limits)] if limits else []
    given = [(operator, *values) for operator, *values in operations + clip if values[0] is not None]
    return [(operator, *(np.asarray(value, np.float64) for value in values)) for operator, *values in given]


def _no_equations(transformer: Any, name: str) -> ValueError:
    place = f"the step {name!r}, " if name else ""
    return ValueError(
        f"estimator has {place}a {type(transformer).__name__}, which cannot be exported: only {SCALERS}, pipelines and "
        "ColumnTransformers of them, within TimeDistributed or before a network of 2-D X, can. Export the network "
        "alone, and transform X before you pass it to the model."
    )
