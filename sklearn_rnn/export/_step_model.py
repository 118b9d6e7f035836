"""One step of a network in ONNX, from x and the state of a stream to predictions and the next state."""

from __future__ import annotations

import numpy as np

from sklearn_rnn._model import Model
from sklearn_rnn._network.readouts import pool_names
from sklearn_rnn.export._cells import onnx_cell
from sklearn_rnn.export._graph import Graph
from sklearn_rnn.export._inputs import add_embedding
from sklearn_rnn.export._outputs import Output, add_scores, unknown_pool


def add_step(graph: Graph, model: Model, rows: str) -> tuple[str, list[Output]]:
    """Add one step.

    Parameters
    ----------
    graph : Graph
    model : Model
        Not bidirectional.
    rows : str
        The new steps of a network step, (n_sequences, step_features) or (n_sequences, patch_stride, step_features).

    Returns
    -------
    scores : str
        Raw scores, (n_sequences, n_outputs).
    states : list of Output
        The values after the step, with the names and in the order of ``PredictionStream.state``.
    """
    network = model.network
    inputs, previous_steps = _inputs_of_step(graph, model, rows)
    h, states = _add_layers(graph, model, inputs)
    n_steps = graph.add("Add", "n_steps", [1])
    pooled, running = _add_pools(graph, pool_names(network.readout), h, n_steps, network.n_hidden)
    counted = Output("n_steps", n_steps, np.int64, [])
    return add_scores(graph, network, pooled), [*states, *running, counted, *previous_steps]


def _inputs_of_step(graph: Graph, model: Model, rows: str) -> tuple[str, list[Output]]:
    """Return the inputs of the first layer, (n_sequences, n_inputs), and the steps that the next patch shares."""
    schema, patches, previous = model.schema, model.schema.patches, []
    if patches.size > 1:
        steps = graph.add("Reshape", rows, [0, patches.stride, schema.step_features])
        if patches.n_shared:
            steps = graph.add("Concat", "previous_steps", steps, axis=1)
            last = graph.add("Slice", steps, [patches.stride], [patches.size], [1])
            previous.append(Output("previous_steps", last, graph.dtype, [patches.n_shared, schema.step_features]))
        rows = graph.add("Reshape", steps, [0, patches.size * schema.step_features])
    if model.network.embedding is None:
        return rows, previous
    embedded = add_embedding(graph, graph.add("Unsqueeze", rows, [1]), model.network)
    return graph.add("Squeeze", embedded, [1]), previous


def _add_layers(graph: Graph, model: Model, x: str) -> tuple[str, list[Output]]:
    """Return h of the last layer, and the states of all layers."""
    network, cell = model.network, onnx_cell(model.architecture)
    states = []
    for direction in network.directions:
        weights = network.parameters.group(direction.name)
        names = [f"{direction.name}.{name}" for name in network.cell.state_names]
        projected = graph.add("Add", graph.add("MatMul", x, weights["input"]), weights["bias"])
        after = cell.step(graph, projected, names, weights)
        states += [Output(name, value, graph.dtype, [direction.n_units]) for name, value in zip(names, after)]
        x = after[0]
    return x, states


def _add_pools(graph: Graph, names: tuple[str, ...], h: str, n_steps: str, n_hidden: int) -> tuple[str, list[Output]]:
    """Return the inputs of the output layer, and the pools of the steps so far."""
    pools, running = [], []
    for name in names:
        if name == "last":
            pools.append(h)
        elif name == "mean":
            total = graph.add("Add", "readout.sum", h)
            running.append(Output("readout.sum", total, graph.dtype, [n_hidden]))
            pools.append(graph.add("Div", total, graph.add("Unsqueeze", graph.cast(n_steps, graph.dtype), [1])))
        elif name == "max":
            maximum = graph.add("Max", "readout.maximum", h)
            running.append(Output("readout.maximum", maximum, graph.dtype, [n_hidden]))
            pools.append(maximum)
        else:
            raise unknown_pool(name)
    if not pools:  # readout "each"
        return h, running
    return pools[0] if len(pools) == 1 else graph.add("Concat", *pools, axis=1), running
