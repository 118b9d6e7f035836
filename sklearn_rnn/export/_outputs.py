"""The readout in ONNX: pools by lengths, the output layer, and predictions in the user's units and classes."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from sklearn_rnn._data.coding import ClassCoding, ValueCoding
from sklearn_rnn._model import Model
from sklearn_rnn._network.network import RecurrentNetwork
from sklearn_rnn._network.readouts import pool_names
from sklearn_rnn.export._graph import Graph
from sklearn_rnn.export._layers import Lengths


def add_pools(graph: Graph, network: RecurrentNetwork, hidden: str, final: str, lengths: Lengths | None) -> str:
    """Return the inputs of the output layer: pooled states, (n_sequences, n_pooled), or h of every step.

    Parameters
    ----------
    graph : Graph
    network : RecurrentNetwork
    hidden, final : str
        As :func:`~sklearn_rnn.export._layers.add_layers` returns them.
    lengths : Lengths or None
    """
    names = pool_names(network.readout)
    if not names:
        return graph.add("Transpose", hidden, perm=[1, 0, 2])
    pools = [_add_pool(graph, name, hidden, final, lengths) for name in names]
    return pools[0] if len(pools) == 1 else graph.add("Concat", *pools, axis=1)


def _add_pool(graph: Graph, name: str, hidden: str, final: str, lengths: Lengths | None) -> str:
    if name == "last":
        return final
    if name == "max":
        own = hidden if lengths is None else graph.add("Where", lengths.mask, hidden, -np.inf)
        return graph.add("ReduceMax", own, [0], keepdims=0)
    if name == "mean":
        if lengths is None:
            return graph.add("ReduceMean", hidden, [0], keepdims=0)
        total = graph.add("ReduceSum", graph.add("Where", lengths.mask, hidden, 0.0), [0], keepdims=0)
        return graph.add("Div", total, graph.add("Unsqueeze", graph.cast(lengths.values, graph.dtype), [1]))
    raise unknown_pool(name)


def unknown_pool(name: str) -> ValueError:
    """Return the error about a pool without nodes."""
    return ValueError(f"readout={name!r} has no equations in ONNX: only last, mean, max and each can be exported.")


def add_scores(graph: Graph, network: RecurrentNetwork, pooled: str) -> str:
    """Return the raw scores, (..., n_outputs)."""
    views = network.parameters.views
    return graph.add("Add", graph.add("MatMul", pooled, views["readout.weight"]), views["readout.bias"])


# ---- Predictions -------------------------------------------------------------------------------------


class Output(NamedTuple):
    """An output of a model.

    Attributes
    ----------
    name : str
        That the user knows.
    value : str
        Name of the value in the graph.
    dtype : dtype
    shape : list
        Without the axis of the sequences: sizes, or names of sizes that vary.
    """

    name: str
    value: str
    dtype: Any
    shape: list[Any]


def add_predictions(graph: Graph, model: Model, scores: str, axes: list[Any]) -> list[Output]:
    """Return the predictions of raw scores, (n_sequences, *axes, n_outputs): label and probabilities, or values."""
    if isinstance(model.coding, ClassCoding):
        labels = _add_labels(graph, model.coding, scores, axes)
        return [labels, _add_probabilities(graph, model, model.coding, scores, axes)]
    return [_add_values(graph, model, model.coding, scores, axes)]


def _add_labels(graph: Graph, coding: ClassCoding, scores: str, axes: list[Any]) -> Output:
    is_positive = graph.add("Greater", scores, 0.0)
    if coding.is_multilabel:
        return Output("label", graph.cast(is_positive, np.int64), np.int64, [*axes, coding.n_outputs])
    if coding.n_outputs == 1:
        codes = graph.add("Squeeze", graph.cast(is_positive, np.int64), [-1])
    else:
        codes = graph.add("ArgMax", scores, axis=-1, keepdims=0)
    classes = label_array(coding.classes)
    return Output("label", graph.add("Gather", classes, codes), classes.dtype, axes)


def label_array(classes: np.ndarray) -> np.ndarray:
    """Return classes in a dtype of ONNX: int64, bool, float32, float64, or str."""
    kind = classes.dtype.kind
    if kind == "O" and all(isinstance(label, str) for label in classes):
        classes = classes.astype(str)
    elif kind in "iu" and classes.max() <= np.iinfo(np.int64).max:
        classes = classes.astype(np.int64)
    elif classes.dtype not in (np.bool_, np.float32, np.float64) and kind != "U":
        raise ValueError(
            f"classes_ has dtype {classes.dtype}, such as {classes[0]!r}, but ONNX has labels that are int64, bool, "
            "float or strings: fit on such labels."
        )
    return classes


def _add_probabilities(graph: Graph, model: Model, coding: ClassCoding, scores: str, axes: list[Any]) -> Output:
    if model.link.name == "softmax":
        values = graph.add("Softmax", scores, axis=-1)
    else:
        values = graph.add("Sigmoid", scores)
        if not coding.is_multilabel:
            values = graph.add("Concat", graph.add("Sub", 1.0, values), values, axis=-1)
    return Output("probabilities", values, graph.dtype, [*axes, len(coding.classes)])


def _add_values(graph: Graph, model: Model, coding: ValueCoding, scores: str, axes: list[Any]) -> Output:
    values = scores
    if coding.is_normalized:
        values = graph.add("Mul", values, coding.scale.astype(graph.dtype))
        values = graph.add("Add", values, coding.mean.astype(graph.dtype))
    if model.link.name == "exp":
        values = graph.add("Exp", values)
    if coding.is_flat:
        return Output("prediction", graph.add("Squeeze", values, [-1]), graph.dtype, axes)
    return Output("prediction", values, graph.dtype, [*axes, coding.n_outputs])
