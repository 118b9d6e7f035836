"""Predictions and scores of a part, by a plain estimator. Tasks."""

from __future__ import annotations

from typing import Any

import numpy as np

from sklearn_rnn._base import model_of, reader_of
from sklearn_rnn._data.coding import ClassCoding
from sklearn_rnn._data.weights import check_weights
from sklearn_rnn.dask._layout import Layout, naming_part
from sklearn_rnn.dask._parts import Output
from sklearn_rnn.dask._scores import AccuracySums, R2Sums


def output_of(estimator: Any, method: str) -> Output:
    """Return what a method of a fitted estimator predicts."""
    model = model_of(estimator)
    coding = model.coding
    if method == "predict":
        is_flat = not coding.is_multilabel if isinstance(coding, ClassCoding) else coding.is_flat
        dtype = coding.classes.dtype if isinstance(coding, ClassCoding) and is_flat else model.schema.dtype
        if isinstance(coding, ClassCoding) and not is_flat:
            dtype = np.dtype(int)
        return Output("prediction", dtype, None if is_flat else range(coding.n_outputs))
    assert isinstance(coding, ClassCoding)
    return Output(method.removeprefix("predict_"), model.schema.dtype, coding.classes.tolist())


def predict_part(index: int, raw: Any, layout: Layout, estimator: Any, method: str, output: Output) -> Any:
    """Return the predictions of a part, in the form of a partition of the result."""
    with naming_part(layout.names, index):
        data = layout.read(raw, _features_of(estimator))
        values = _nothing(output) if data.is_empty else getattr(estimator, method)(data.X)
    if layout.kind == "frame":
        return _as_series(values, raw[0], data.keys, layout, output)
    if layout.kind == "bag":
        return list(values)
    return values


def _features_of(estimator: Any) -> list[str] | None:
    names = getattr(estimator, "feature_names_in_", None)
    return None if names is None else list(names)


def _nothing(output: Output) -> np.ndarray:
    inner = () if output.labels is None else (len(output.labels),)
    return np.empty((0, *(() if output.n_steps is None else (output.n_steps,)), *inner), output.dtype)


def _as_series(values: Any, frame: Any, keys: Any, layout: Layout, output: Output) -> Any:
    """Return predictions of sequences with their keys as the index, and those of steps with the index of the frame."""
    import pandas as pd

    if keys is None:
        values, index = _nothing(output), None
    elif layout.per_step:
        names = output.name if output.labels is None else list(output.labels)
        return layout.rows_of(values, frame, names)
    else:
        index = pd.Index(keys.iloc[:, 0]) if keys.shape[1] == 1 else pd.MultiIndex.from_frame(keys)
    if output.labels is None:
        return pd.Series(values, index=index, name=output.name, dtype=output.dtype)
    return pd.DataFrame(values, index=index, columns=list(output.labels), dtype=output.dtype)


def score_part(index: int, raw: Any, layout: Layout, estimator: Any) -> AccuracySums | R2Sums | None:
    """Return the sums of the score of a part; None if it is empty."""
    with naming_part(layout.names, index):
        data = layout.read(raw, _features_of(estimator))
        if data.is_empty:
            return None
        model, reader, names = model_of(estimator), reader_of(estimator), layout.names
        sequences = model.schema.read(estimator, data.X)
        y, is_known = reader.check(data.y, sequences, np.dtype(np.float64), names.y)
        weights = check_weights(
            data.sample_weight,
            sequences,
            np.float64,
            per_step=reader.per_step,
            may_be_zero=True,
            name=names.sample_weight,
        )
        predicted = estimator.predict(data.X)
    if reader.per_step:
        predicted = np.concatenate(list(predicted))
    if is_known is not None:
        predicted, weights = predicted[is_known], weights[is_known]
    if isinstance(model.coding, ClassCoding):
        hits = predicted == y
        return AccuracySums().add(hits if hits.ndim == 1 else hits.all(axis=1), weights)
    n_outputs = model.coding.n_outputs
    return R2Sums(n_outputs).add(y.reshape(-1, n_outputs), predicted.reshape(-1, n_outputs), weights)
