"""The inputs of an ONNX model: its names and shapes, and the way from them to the inputs of the first layer."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from sklearn_rnn._data.categories import UNKNOWN, CategoricalFeature
from sklearn_rnn._data.patches import Patches
from sklearn_rnn._data.schema import InputSchema
from sklearn_rnn._network.embedding import Embedding
from sklearn_rnn._network.network import RecurrentNetwork
from sklearn_rnn.export._graph import ML_DOMAIN, Graph

LARGEST_EXACT = 2**24  # whole numbers up to here are exact in float32


class ModelInputs:
    """The inputs that the user of a model passes.

    All features that are numbers are one input; each categorical feature is another one.

    Parameters
    ----------
    graph : Graph
    schema : InputSchema
    x_name : str
        Name of the input of numbers.
    axes : list
        Sizes, or names of sizes that vary, of the axes before that of the features.
    n_features : int, default=None
        Numbers of a step, where transformers come before the network.

    Attributes
    ----------
    infos : list of ValueInfoProto
    x : str or None
        The numbers, (*axes, n_features); None if all features are categorical.
    codes : list of str
        The codes of each categorical feature, (*axes,), int64.
    """

    def __init__(
        self, graph: Graph, schema: InputSchema, x_name: str, axes: list[Any], n_features: int | None = None
    ) -> None:
        categorical = () if schema.categories is None else schema.categories.features
        if n_features is None:
            n_features = schema.step_features - len(categorical)
        self.infos, self.codes = [], []
        self.x = x_name if n_features else None
        if n_features:
            self.infos.append(graph.value_info(x_name, graph.dtype, [*axes, n_features]))
        for feature, name in zip(categorical, input_names(categorical, x_name)):
            kind, encoder = _encoder(feature)
            self.infos.append(graph.value_info(name, kind, axes))
            self.codes.append(graph.add("LabelEncoder", name, domain=ML_DOMAIN, **encoder))


def input_names(features: tuple[CategoricalFeature, ...], x_name: str) -> Iterator[str]:
    """Yield the name of the input of each categorical feature: its own name or, without one, x0, x1, …."""
    for feature in features:
        name = f"x{feature.column}" if feature.name == str(feature.column) else feature.name
        if name in (x_name, "lengths"):
            raise ValueError(
                f"categorical_features has a feature called {name!r}, and the model has another input of this name: "
                "rename the feature and fit again."
            )
        yield name


def _encoder(feature: CategoricalFeature) -> tuple[Any, dict[str, Any]]:
    """Return the dtype of the input of a categorical feature, and the attributes of its LabelEncoder.

    Fractions are compared in float32, as the estimators do.
    """
    values, places = list(feature.codes), list(feature.codes.values())
    encoder: dict[str, Any] = {"values_int64s": places, "default_int64": UNKNOWN}
    if not values:  # whatever comes is unknown
        return np.str_, encoder | {"keys_strings": [""], "values_int64s": [UNKNOWN]}
    if isinstance(values[0], str):
        return np.str_, encoder | {"keys_strings": values}
    if all(float(value).is_integer() for value in values):
        return np.int64, encoder | {"keys_int64s": [int(value) for value in values]}
    if max(map(abs, values)) > LARGEST_EXACT:
        raise ValueError(
            f"categorical_features has {feature.name!r}, whose categories are fractions and numbers above "
            f"{LARGEST_EXACT}: ONNX compares fractions in float32, which does not tell those apart. Make strings of "
            "them and fit again."
        )
    return np.float32, encoder | {"keys_floats": [float(value) for value in values]}


def add_rows(graph: Graph, inputs: ModelInputs, x: str | None, schema: InputSchema) -> str:
    """Return the steps as the network's rows have them, (..., step_features): numbers, and codes for categories.

    ``x`` are the numbers, after the transformers of a pipeline.
    """
    if schema.categories is None:
        assert x is not None
        return x
    columns = [graph.add("Unsqueeze", graph.cast(codes, graph.dtype), [-1]) for codes in inputs.codes]
    if x is not None:
        columns.insert(0, x)
    joined = columns[0] if len(columns) == 1 else graph.add("Concat", *columns, axis=-1)
    order = [*schema.categories.numbers, *(feature.column for feature in schema.categories.features)]
    return graph.add("Gather", joined, np.argsort(order), axis=-1)


def add_patches(
    graph: Graph, rows: str, lengths: str | None, patches: Patches, n_features: int
) -> tuple[str, str | None]:
    """Return the patches, (n_sequences, n_patches, size * n_features), and how many each sequence has.

    Patch j of a sequence has the steps from j * stride - n_missing on, where n_missing is the number of zeros in front
    of the sequence.
    """
    if patches.size == 1:
        return rows, lengths
    size, stride = patches
    n_steps = graph.size(rows, 1)
    all_steps = graph.add("Expand", n_steps, graph.size(rows, 0)) if lengths is None else lengths
    n_patches = _divided_up(graph, all_steps, stride)
    n_missing = graph.add("Sub", graph.add("Add", graph.add("Mul", n_patches, [stride]), [patches.n_shared]), all_steps)
    most_patches = graph.add("Squeeze", _divided_up(graph, n_steps, stride))
    starts = graph.add("Mul", graph.add("Range", np.int64(0), most_patches, np.int64(1)), [stride])
    places = graph.add("Add", graph.add("Unsqueeze", starts, [1]), np.arange(size)[None])
    places = graph.add("Reshape", places, [1, -1])
    steps = graph.add("Sub", places, graph.add("Unsqueeze", n_missing, [1]))
    is_inside = graph.add(
        "And",
        graph.add("GreaterOrEqual", steps, [0]),
        graph.add("Less", steps, graph.add("Unsqueeze", all_steps, [1])),
    )
    indices = graph.add("Unsqueeze", graph.add("Where", is_inside, steps, [0]), [2])
    gathered = graph.add("GatherND", rows, indices, batch_dims=1)
    gathered = graph.add("Where", graph.add("Unsqueeze", is_inside, [2]), gathered, 0.0)
    joined = graph.add("Reshape", gathered, [0, -1, size * n_features])
    return joined, None if lengths is None else n_patches


def _divided_up(graph: Graph, values: str, divisor: int) -> str:
    """Return whole numbers divided and rounded up."""
    return graph.add("Div", graph.add("Add", values, [divisor - 1]), [divisor])


def add_embedding(graph: Graph, rows: str, network: RecurrentNetwork) -> str:
    """Return the inputs of the first layer, (n_sequences, n_steps, n_inputs), of rows with codes."""
    embedding = network.embedding
    if embedding is None:
        return rows
    by_step = graph.add("Reshape", rows, [0, -1, embedding.n_steps, embedding.n_features])
    parts = [graph.add("Gather", by_step, np.array(embedding.numbers), axis=3)] if embedding.numbers else []
    parts += _vectors(graph, by_step, embedding, network)
    inputs = parts[0] if len(parts) == 1 else graph.add("Concat", *parts, axis=3)
    return graph.add("Reshape", inputs, [0, -1, embedding.n_inputs])


def _vectors(graph: Graph, by_step: str, embedding: Embedding, network: RecurrentNetwork) -> Iterator[str]:
    """Yield the vectors of each categorical feature; those of code 0, no step, are zeros."""
    for feature, table in zip(embedding.features, embedding.tables(network.parameters)):
        codes = graph.cast(graph.add("Gather", by_step, np.int64(feature.column), axis=3), np.int64)
        yield graph.add("Gather", np.concatenate([np.zeros_like(table[:1]), table]), codes)
