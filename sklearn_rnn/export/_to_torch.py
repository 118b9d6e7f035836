"""to_torch: a fitted network as a module of PyTorch."""

from __future__ import annotations

from typing import Any

import numpy as np

from sklearn_rnn._base import model_of
from sklearn_rnn._data.coding import ClassCoding, ValueCoding
from sklearn_rnn._model import Model
from sklearn_rnn._network.layers import Direction
from sklearn_rnn._network.network import RecurrentNetwork
from sklearn_rnn._network.readouts import pool_names
from sklearn_rnn.export._libraries import import_library
from sklearn_rnn.export._transformers import network_of

MODULES = {("rnn", "tanh"): "RNN", ("rnn", "relu"): "RNN", ("lstm", "tanh"): "LSTM", ("gru", "tanh"): "GRU"}


def to_torch(estimator):
    """Return a fitted network as a module of PyTorch with the same outputs.

    Parameters
    ----------
    estimator : RNNClassifier or RNNRegressor
        Fitted.

    Returns
    -------
    torch.nn.Module
        ``module(x, lengths=None)`` takes a tensor x (batch, steps, features), of the dtype in which the estimator was
        fitted, and ``lengths`` (batch,), the number of steps of each sequence; None: all steps. It returns the results
        of ``predict_proba`` or, for a regressor, of ``predict``. With readout "each" there is an axis of steps after
        the first one, and results of padding have no meaning. ``module.scores(x, lengths)`` returns raw scores, for
        losses of torch. The module has its own copy of the weights, in ``module.layers`` and ``module.output``, and
        can be trained. It has no dropout.

    Raises
    ------
    ImportError
        If torch is not installed.
    NotFittedError
        Before ``fit``.
    TypeError
        If the estimator is no RNNClassifier or RNNRegressor.
    ValueError
        For networks that ``nn.RNN``, ``nn.LSTM`` and ``nn.GRU`` do not have: activations "logistic" and "identity",
        and categorical features.

    See Also
    --------
    from_torch : The other way.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_rnn import RNNRegressor
    >>> from sklearn_rnn.export import to_torch
    >>> X = np.sin(np.arange(40.0)).reshape(4, 10, 1)
    >>> reg = RNNRegressor(8, max_iter=2, random_state=0).fit(X, [0, 1, 0, 1])
    >>> module = to_torch(reg)  # doctest: +SKIP
    >>> module(torch.from_numpy(X)).shape  # doctest: +SKIP
    torch.Size([4])
    """
    torch = import_library("torch", "to_torch")
    in_pipeline = network_of(estimator)
    if in_pipeline.transformers:
        raise ValueError(
            f"estimator has the step {in_pipeline.transformers[0][0]!r} before the network: pass the network alone, "
            "and transform X before you pass it to the module."
        )
    model = model_of(in_pipeline.estimator)
    kind = _kind_of(model)

    from sklearn_rnn.export._torch_module import TorchNetwork  # it imports torch

    network, coding = model.network, model.coding
    layers = [_layer(torch, kind, model, layer) for layer in network.layers]
    return TorchNetwork(
        layers,
        _output_layer(torch, network),
        pools=pool_names(network.readout),
        patches=model.schema.patches,
        link=model.link.name,
        units=_units_of(torch, model),
        is_flat=isinstance(coding, ValueCoding) and coding.is_flat,
        has_complement=isinstance(coding, ClassCoding) and coding.n_outputs == 1 and not coding.is_multilabel,
    )


def _units_of(torch: Any, model: Model) -> tuple[Any, Any] | None:
    """Return scale and mean of a regressor's values."""
    coding = model.coding
    if not isinstance(coding, ValueCoding) or not coding.is_normalized:
        return None
    dtype = _dtype_in(torch, model.network)
    return torch.tensor(coding.scale, dtype=dtype), torch.tensor(coding.mean, dtype=dtype)


def _kind_of(model: Model) -> str:
    """Return the class of torch.nn whose equations the layers have."""
    cell, activation = model.architecture["cell"], model.architecture["activation"]
    if (cell, activation) not in MODULES:
        raise ValueError(
            f"cell={cell!r} with activation={activation!r} has no module in torch, which has "
            f"{', '.join(f'{c} with {a}' for c, a in MODULES)}."
        )
    if model.network.embedding is not None:
        raise ValueError(
            "categorical_features cannot be exported to torch, whose tensors have no strings: export.to_onnx can."
        )
    return MODULES[cell, activation]


def _layer(torch: Any, kind: str, model: Model, layer: list[Direction]) -> Any:
    """Return a layer with our weights."""
    first, network = layer[0], model.network
    options = {"nonlinearity": model.architecture["activation"]} if kind == "RNN" else {}
    module = getattr(torch.nn, kind)(
        first.n_features,
        first.n_units,
        batch_first=True,
        bidirectional=len(layer) == 2,
        dtype=_dtype_in(torch, network),
        **options,
    )
    for direction in layer:
        end = "_l0_reverse" if direction.is_reverse else "_l0"
        weights = network.parameters.group(direction.name)
        recurrent_bias = np.zeros_like(weights["bias"])
        if "recurrent_bias" in weights:  # of the candidate, the last gate
            recurrent_bias[-first.n_units :] = weights["recurrent_bias"]
        _assign(torch, getattr(module, f"weight_ih{end}"), weights["input"].T)
        _assign(torch, getattr(module, f"weight_hh{end}"), weights["recurrent"].T)
        _assign(torch, getattr(module, f"bias_ih{end}"), weights["bias"])
        _assign(torch, getattr(module, f"bias_hh{end}"), recurrent_bias)
    return module


def _output_layer(torch: Any, network: RecurrentNetwork) -> Any:
    weights = network.parameters.group("readout")
    linear = torch.nn.Linear(*weights["weight"].shape, dtype=_dtype_in(torch, network))
    _assign(torch, linear.weight, weights["weight"].T)
    _assign(torch, linear.bias, weights["bias"])
    return linear


def _dtype_in(torch: Any, network: RecurrentNetwork) -> Any:
    return getattr(torch, network.dtype.name)


def _assign(torch: Any, parameter: Any, values: np.ndarray) -> None:
    with torch.no_grad():
        parameter.copy_(torch.from_numpy(np.ascontiguousarray(values)))
