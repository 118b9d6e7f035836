"""to_onnx: a fitted network, alone or at the end of a pipeline, as an ONNX model."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

import sklearn_rnn
from sklearn_rnn._base import model_of
from sklearn_rnn._model import Model
from sklearn_rnn._network.network import RecurrentNetwork
from sklearn_rnn.export._cells import onnx_cell
from sklearn_rnn.export._graph import Graph
from sklearn_rnn.export._inputs import ModelInputs, add_embedding, add_patches, add_rows
from sklearn_rnn.export._layers import Lengths, add_layers
from sklearn_rnn.export._libraries import import_library
from sklearn_rnn.export._outputs import Output, add_pools, add_predictions, add_scores
from sklearn_rnn.export._step_model import add_step
from sklearn_rnn.export._transformers import NetworkInPipeline, add_transformers, network_of


def to_onnx(estimator, path=None, *, lengths=True, step=False, dtype=None):
    """Return a fitted network, alone or at the end of a pipeline, as an ONNX model.

    The model takes any number of sequences, of any lengths. It predicts what the estimator predicts.

    Parameters
    ----------
    estimator : RNNClassifier, RNNRegressor or Pipeline
        Fitted. A pipeline may have scalers before the network: StandardScaler, MinMaxScaler, MaxAbsScaler,
        RobustScaler, and pipelines and ColumnTransformers of them, within TimeDistributed; for 2-D X also the scalers
        alone.
    path : str, path-like or None, default=None
        File to which the model is written. None: it is returned only.
    lengths : bool, default=True
        Whether the model has an input ``lengths``. False: all sequences of a call have all steps of X.
    step : bool, default=False
        True: a model of one step, as in :class:`~sklearn_rnn.PredictionStream`. It has no input ``lengths``.
    dtype : {"float32", "float64"} or None, default=None
        Type of the model's inputs, weights and results. None: that of the estimator, which is float32 if it was fitted
        on float32 X, and float64 otherwise.

    Returns
    -------
    onnx.ModelProto

    Raises
    ------
    ImportError
        If onnx is not installed.
    NotFittedError
        Before ``fit``.
    TypeError
        If the estimator is not, and does not end in, an RNNClassifier or RNNRegressor.
    ValueError
        For parts that cannot be exported. The message names them.

    Notes
    -----
    Inputs:

    * ``X`` (batch, steps, features). The axes batch and steps may have any size. For an estimator that was fitted on
      2-D X too: ``X.reshape(len(X), -1, step_features)``. The values of padding, which follows each sequence's own
      steps, do not matter.
    * ``lengths`` (batch,), int64: the number of steps of each sequence, 1 or more.
    * Each categorical feature is an input of its own, (batch, steps), with its name, or ``x0``, ``x1``, … by its place
      in a step: strings, int64, or float32 if not all of its categories are whole numbers. X has the other features.

    Outputs:

    * of a classifier ``label`` (batch,) or (batch, labels) and ``probabilities`` (batch, classes);
    * of a regressor ``prediction`` (batch,) or (batch, outputs), as y was.

    With readout "each" there is an axis of steps after the first one. Results of padding have no meaning.

    The model of one step has an input ``x`` (batch, features) or, with patches, (batch, ``patch_stride_``, features).
    Its other inputs are the arrays of :attr:`PredictionStream.state <sklearn_rnn.PredictionStream.state>`, by the
    same names, in the model's dtype (``n_steps``: int64). For each of them it has an output ``next.<name>``, which is
    its value for the next step. Before the first step, all are zeros, but for ``readout.maximum``, which is -inf.

    In float32, layers are the operators RNN, LSTM and GRU. Runtimes lack these operators in float64, so there layers
    are a Scan over the steps. The opset is 18, for onnxruntime 1.14 and newer.

    Examples
    --------
    >>> from sklearn_rnn import RNNClassifier
    >>> from sklearn_rnn.datasets import load_japanese_vowels
    >>> from sklearn_rnn.export import to_onnx
    >>> X, y = load_japanese_vowels(subset="train", return_X_y=True)
    >>> clf = RNNClassifier(max_iter=30, random_state=0).fit(X, y)
    >>> model = to_onnx(clf)  # doctest: +SKIP
    >>> [value.name for value in model.graph.input]  # doctest: +SKIP
    ['X', 'lengths']
    """
    import_library("onnx", "to_onnx")
    in_pipeline = network_of(estimator)
    model = in_dtype(model_of(in_pipeline.estimator), dtype)
    graph = Graph(model.network.dtype)
    build = _build_step_model if step else _build_model
    proto = build(graph, model, in_pipeline, has_lengths=lengths)
    if path is not None:
        Path(path).write_bytes(proto.SerializeToString())
    return proto


def in_dtype(model: Model, dtype: Any) -> Model:
    """Return the model with its parameters in another dtype; None: the same."""
    if dtype is None:
        return model
    if dtype not in ("float32", "float64", np.float32, np.float64):
        raise ValueError(f"dtype must be 'float32', 'float64' or None, got {dtype!r}.")
    return replace(model, network=model.network.copy(np.dtype(dtype)))


def _build_model(graph: Graph, model: Model, in_pipeline: NetworkInPipeline, has_lengths: bool) -> Any:
    """Return the model of whole sequences."""
    schema = model.schema
    axes = ["batch", in_pipeline.n_steps or "steps"]
    inputs = ModelInputs(graph, schema, "X", axes, _n_features(in_pipeline))
    x = None if inputs.x is None else add_transformers(graph, in_pipeline, inputs.x)
    rows = add_rows(graph, inputs, x, schema)
    infos = [*inputs.infos]
    if has_lengths:
        infos.append(graph.value_info("lengths", np.int64, ["batch"]))
    outputs = add_network(graph, model, rows, "lengths" if has_lengths else None)
    return _model_of_graph(graph, infos, outputs)


def add_network(graph: Graph, model: Model, rows: str, lengths: str | None) -> list[Output]:
    """Add everything from the steps, (n_sequences, n_steps, step_features), to the predictions."""
    network, schema = model.network, model.schema
    cell = onnx_cell(model.architecture)
    patches, lengths = add_patches(graph, rows, lengths, schema.patches, schema.step_features)
    inputs = add_embedding(graph, patches, network)
    x = graph.add("Transpose", inputs, perm=[1, 0, 2])
    in_steps = None if lengths is None else Lengths.of(graph, lengths, x)
    hidden, final = add_layers(graph, cell, network, x, in_steps)
    pooled = add_pools(graph, network, hidden, final, in_steps)
    axes = ["steps"] if model.is_per_step else []
    return add_predictions(graph, model, add_scores(graph, network, pooled), axes)


def _build_step_model(graph: Graph, model: Model, in_pipeline: NetworkInPipeline, has_lengths: bool) -> Any:
    """Return the model of one step."""
    network, schema = model.network, model.schema
    _refuse_for_steps(network, in_pipeline)
    stride = schema.patches.stride
    axes = ["batch"] if stride == 1 else ["batch", stride]
    inputs = ModelInputs(graph, schema, "x", axes, _n_features(in_pipeline))
    x = None if inputs.x is None else add_transformers(graph, in_pipeline, inputs.x)
    rows = add_rows(graph, inputs, x, schema)
    scores, states = add_step(graph, model, rows)
    infos = [graph.value_info(state.name, state.dtype, ["batch", *state.shape]) for state in states]
    next_states = [state._replace(name=f"next.{state.name}") for state in states]
    outputs = [*add_predictions(graph, model, scores, []), *next_states]
    return _model_of_graph(graph, [*inputs.infos, *infos], outputs)


def _refuse_for_steps(network: RecurrentNetwork, in_pipeline: NetworkInPipeline) -> None:
    if network.is_bidirectional:
        raise ValueError(
            "step=True does not go with bidirectional=True: the reverse pass begins at the end of the whole sequence. "
            "Fit with bidirectional=False ('auto' means True here), or set step=False."
        )
    if in_pipeline.n_steps is not None:
        raise ValueError(
            "step=True does not go with scalers of the columns of 2-D X, which differ from step to step: put the "
            "scaler into TimeDistributed and fit again, or set step=False."
        )


def _n_features(in_pipeline: NetworkInPipeline) -> int | None:
    return in_pipeline.features_before(0) if in_pipeline.transformers else None


def _model_of_graph(graph: Graph, infos: list[Any], outputs: list[Output]) -> Any:
    """Return the ModelProto with these inputs and outputs."""
    for output in outputs:
        graph.rename(output.value, output.name)
    out_infos = [graph.value_info(output.name, output.dtype, ["batch", *output.shape]) for output in outputs]
    return graph.model("network", infos, out_infos, sklearn_rnn.__version__)
