"""Scalers of scikit-learn, and column transformers and pipelines of them, as a StepScaling."""

from __future__ import annotations

import sys
import warnings
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer, MaxAbsScaler, MinMaxScaler, RobustScaler, StandardScaler
from sklearn.utils.validation import check_is_fitted

from sklearn_rnn._network.scaling_of_steps import StepScaling

if TYPE_CHECKING:
    from sklearn.compose import ColumnTransformer


def flat_steps(name: str, estimator: Any) -> list[tuple[str, Any]]:
    """Return the steps of a pipeline, and those of pipelines in it, without those that do nothing."""
    if not isinstance(estimator, Pipeline):
        return [(name, estimator)]
    check_is_fitted(estimator)
    steps = [(name, step) for name, step in estimator.steps if step is not None and step != "passthrough"]
    return [flat for name, step in steps for flat in flat_steps(name, step)] or [(name, None)]


def scaling_of(transformer: Any) -> StepScaling | None:
    """Return a fitted transformer of 2-D data as a StepScaling; None if it is none. A subclass may do something else.

    A scaler that clips is none.
    """
    kind = type(transformer)
    if kind is Pipeline:
        return _scaling_of_pipeline(transformer)
    if _is_column_transformer(kind):
        return _scaling_of_columns(transformer)
    n_features = getattr(transformer, "n_features_in_", None)
    if n_features is None:
        return None
    if kind is FunctionTransformer and transformer.func is None:
        return _scaling(n_features)
    if kind is StandardScaler:
        center = transformer.mean_ if transformer.with_mean else 0.0
        divisor = transformer.scale_ if transformer.with_std else 1.0
        return _scaling(n_features, center, divisor, rounds_terms=_standard_scaler_rounds_terms())
    if kind is RobustScaler:
        center = transformer.center_ if transformer.with_centering else 0.0
        return _scaling(n_features, center, transformer.scale_ if transformer.with_scaling else 1.0)
    if kind is MaxAbsScaler and not getattr(transformer, "clip", False):
        return _scaling(n_features, divisor=transformer.scale_)
    if kind is MinMaxScaler and not transformer.clip:
        return _scaling(n_features, factor=transformer.scale_, shift=transformer.min_)
    return None


def _is_column_transformer(kind: type) -> bool:
    """Whether a class is ColumnTransformer. This does not import sklearn.compose, which brings all linear models."""
    compose = sys.modules.get("sklearn.compose")
    return compose is not None and kind is compose.ColumnTransformer


def _scaling(
    n_features: int,
    center: Any = 0.0,
    divisor: Any = 1.0,
    factor: Any = 1.0,
    shift: Any = 0.0,
    rounds_terms: bool = False,
) -> StepScaling:
    """Return the scaling of a scaler of all features; ``rounds_terms`` for features in float32."""
    terms = np.empty((2, 1, 4, n_features))
    for k, term in enumerate((center, divisor, factor, shift)):
        terms[0, 0, k] = term
        terms[1, 0, k] = np.asarray(term, np.float32) if rounds_terms else term
    return StepScaling(n_features, np.arange(n_features, dtype=np.int64), terms)


@cache
def _standard_scaler_rounds_terms() -> bool:
    """Whether a StandardScaler of float32 X first rounds its mean and scale to float32, as it does from 1.8 on."""
    scaler = StandardScaler(with_std=False).fit([[0.0], [2.0 + 2.0**-29]])  # its mean is not a float32
    return bool(scaler.transform(np.ones((1, 1), np.float32))[0, 0] == 0.0)


def _scaling_of_pipeline(pipeline: Pipeline) -> StepScaling | None:
    """Return the scaling of scalers one after the other."""
    (_, first), *others = flat_steps("", pipeline)
    scaling = None if first is None else scaling_of(first)
    for _, step in others:
        second = scaling_of(step)
        if scaling is None or second is None:
            return None
        scaling = scaling.then(second)
    return scaling


def _scaling_of_columns(transformer: ColumnTransformer) -> StepScaling | None:
    """Return the scaling of scalers of some columns each, whose results stand side by side."""
    if transformer.transformer_weights:
        return None
    n_features, parts = transformer.n_features_in_, []
    for _, of_part, columns in transformer.transformers_:
        places = _places(columns, transformer)
        if places is None:
            return None
        if (isinstance(of_part, str) and of_part == "drop") or len(places) == 0:
            continue
        part = _scaling(len(places)) if isinstance(of_part, str) else scaling_of(of_part)
        if part is None:
            return None
        parts.append(StepScaling(n_features, places[part.columns], part.terms))
    if not parts:
        return None
    n_scalers = max(part.terms.shape[1] for part in parts)
    columns = np.concatenate([part.columns for part in parts])
    return StepScaling(n_features, columns, np.concatenate([_padded(part.terms, n_scalers) for part in parts], axis=3))


def _padded(terms: np.ndarray, n_scalers: int) -> np.ndarray:
    """Return terms with more scalers, which change nothing."""
    n_columns = terms.shape[3]
    more = np.tile(_scaling(n_columns).terms, (1, n_scalers - terms.shape[1], 1, 1))
    return np.concatenate([terms, more], axis=1)


def _places(columns: Any, transformer: ColumnTransformer) -> np.ndarray | None:
    """Return the places of the columns of a part of a fitted ColumnTransformer; None for slices of names."""
    everything = np.arange(transformer.n_features_in_, dtype=np.int64)
    if isinstance(columns, slice):
        has_names = isinstance(columns.start, str) or isinstance(columns.stop, str)
        return None if has_names else everything[columns]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # scikit-learn 1.6 warns of places where it will have names
        chosen = np.atleast_1d(np.asarray(list(columns) if np.ndim(columns) else columns))
    if chosen.size == 0:
        return everything[:0]
    if chosen.dtype.kind in "biu":
        return everything[chosen]
    names = list(transformer.feature_names_in_)
    return np.array([names.index(name) for name in chosen], np.int64)
