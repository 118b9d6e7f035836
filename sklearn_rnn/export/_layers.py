"""The recurrent layers in ONNX, over whole sequences.

In float32, each layer is one operator: RNN, LSTM or GRU. onnxruntime runs these in float32 alone, so in float64 the
equations of a step are the body of a Scan.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from sklearn_rnn._network.layers import Direction
from sklearn_rnn._network.network import RecurrentNetwork
from sklearn_rnn.export._cells import OnnxCell
from sklearn_rnn.export._graph import Graph


class Lengths(NamedTuple):
    """The network steps of each sequence.

    Attributes
    ----------
    values : str
        (n_sequences,), int64.
    mask : str
        (n_steps, n_sequences, 1), bool: whether a step belongs to its sequence.
    """

    values: str
    mask: str

    @classmethod
    def of(cls, graph: Graph, values: str, x: str) -> Lengths:
        """Return the lengths of padded inputs x, (n_steps, n_sequences, n_features)."""
        n_steps = graph.add("Squeeze", graph.size(x, 0))
        steps = graph.add("Range", np.int64(0), n_steps, np.int64(1))
        mask = graph.add("Less", graph.add("Unsqueeze", steps, [1]), graph.add("Unsqueeze", values, [0]))
        return cls(values, graph.add("Unsqueeze", mask, [2]))


def add_layers(
    graph: Graph, cell: OnnxCell, network: RecurrentNetwork, x: str, lengths: Lengths | None
) -> tuple[str, str]:
    """Add all layers.

    Parameters
    ----------
    graph : Graph
    cell : OnnxCell
    network : RecurrentNetwork
        In the dtype of the graph.
    x : str
        (n_steps, n_sequences, n_features).
    lengths : Lengths or None
        None: all sequences have all steps.

    Returns
    -------
    hidden : str
        (n_steps, n_sequences, n_hidden), h of the last layer after every step.
    final : str
        (n_sequences, n_hidden), h of the last layer after each sequence's last step.
    """
    add_layer = _add_operator if graph.dtype == np.float32 else _add_scans
    final = x
    for layer in network.layers:
        x, final = add_layer(graph, cell, network, layer, x, lengths)
    return x, final


def _add_operator(
    graph: Graph, cell: OnnxCell, network: RecurrentNetwork, layer: list[Direction], x: str, lengths: Lengths | None
) -> tuple[str, str]:
    """Add a layer as one operator."""
    n_units, n_directions = layer[0].n_units, len(layer)
    of_directions = [cell.operator_weights(network.parameters.group(direction.name)) for direction in layer]
    weights = [np.stack(arrays) for arrays in zip(*of_directions)]
    sequence_lens = [] if lengths is None else [graph.cast(lengths.values, np.int32)]
    hidden, final = graph.add(
        cell.operator,
        x,
        *weights,
        *sequence_lens,
        outputs=2,
        hidden_size=n_units,
        direction="bidirectional" if n_directions == 2 else "forward",
        **cell.attributes(n_directions),
    )
    # (n_steps, n_directions, n_sequences, n_units) and (n_directions, n_sequences, n_units): directions side by side.
    hidden = graph.add("Transpose", hidden, perm=[0, 2, 1, 3])
    final = graph.add("Transpose", final, perm=[1, 0, 2])
    n_outputs = n_directions * n_units
    return graph.add("Reshape", hidden, [0, 0, n_outputs]), graph.add("Reshape", final, [0, n_outputs])


def _add_scans(
    graph: Graph, cell: OnnxCell, network: RecurrentNetwork, layer: list[Direction], x: str, lengths: Lengths | None
) -> tuple[str, str]:
    """Add a layer as one Scan for each direction."""
    results = [_add_scan(graph, cell, network, direction, x, lengths) for direction in layer]
    if len(results) == 1:
        return results[0]
    hidden, final = ([result[k] for result in results] for k in range(2))
    return graph.add("Concat", *hidden, axis=2), graph.add("Concat", *final, axis=1)


def _add_scan(
    graph: Graph, cell: OnnxCell, network: RecurrentNetwork, direction: Direction, x: str, lengths: Lengths | None
) -> tuple[str, str]:
    """Add one direction of a layer. Padding leaves the state alone: before its end a reversed sequence stays at 0."""
    weights = network.parameters.group(direction.name)
    projected = graph.add("Add", graph.add("MatMul", x, weights["input"]), weights["bias"])
    shape = graph.add("Concat", graph.size(x, 1), [direction.n_units], axis=0)
    states = [graph.add("Expand", 0.0, shape) for _ in range(cell.n_states)]
    scanned = [projected] if lengths is None else [projected, lengths.mask]
    *finals, hidden = graph.add(
        "Scan",
        *states,
        *scanned,
        outputs=cell.n_states + 1,
        body=_body_of_scan(graph.like(), cell, weights, is_masked=lengths is not None),
        num_scan_inputs=len(scanned),
        scan_input_directions=[int(direction.is_reverse)] * len(scanned),
        scan_output_directions=[int(direction.is_reverse)],
    )
    return hidden, finals[0]


def _body_of_scan(body: Graph, cell: OnnxCell, weights: dict[str, np.ndarray], is_masked: bool) -> Any:
    """Return the graph of one step: from states, x_t W + b and the mask to states and h_t."""
    names = [body.unique_name("state") for _ in range(cell.n_states)]
    projected, mask = body.unique_name("projected"), body.unique_name("mask")
    states = cell.step(body, projected, names, weights)
    if is_masked:
        states = [body.add("Where", mask, new, old) for new, old in zip(states, names)]
    infos = {name: body.value_info(name, body.dtype, ["batch", "units"]) for name in [*names, *states]}
    hidden = body.add("Identity", states[0])
    inputs = [*(infos[name] for name in names), body.value_info(projected, body.dtype, ["batch", "gates"])]
    if is_masked:
        inputs.append(body.value_info(mask, np.bool_, ["batch", 1]))
    outputs = [*(infos[name] for name in states), body.value_info(hidden, body.dtype, ["batch", "units"])]
    return body.proto("step", inputs, outputs)
