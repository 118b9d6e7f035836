"""from_torch: modules of PyTorch as a fitted estimator."""

from __future__ import annotations

from typing import Any

import numpy as np

from sklearn_rnn._base import with_weights
from sklearn_rnn._classifier import RNNClassifier
from sklearn_rnn._data.coding import ClassCoding, ValueCoding
from sklearn_rnn._data.patches import Patches
from sklearn_rnn._data.schema import InputSchema
from sklearn_rnn._network.readouts import pool_names
from sklearn_rnn._regressor import RNNRegressor
from sklearn_rnn._settings import check_settings, readout_of
from sklearn_rnn.export._libraries import import_library

# Our cell and activation by the mode of a recurrent module.
CELLS = {
    "RNN_TANH": ("rnn", "tanh"),
    "RNN_RELU": ("rnn", "relu"),
    "LSTM": ("lstm", "tanh"),
    "GRU": ("gru", "tanh"),
}


def from_torch(recurrent, linear, *, classes=None, readout="last", **params):
    """Return a fitted estimator with the weights of modules of PyTorch.

    It predicts what ``linear`` returns for the readout of ``recurrent``. It can be trained on: by ``fit`` with
    ``warm_start=True``, or by ``partial_fit``. The modules stay as they are.

    Parameters
    ----------
    recurrent : torch.nn.RNN, torch.nn.LSTM or torch.nn.GRU
        Of any number of layers, in one direction or both.
    linear : torch.nn.Linear
        Its inputs are the readout's.
    classes : array-like of shape (n_classes,), default=None
        The label of each output of ``linear``, whose softmax are the probabilities. For two classes ``linear`` may
        have a single output: the logistic function of it is the probability of the second class. None: outputs are
        the predictions of a regressor.
    readout : {"last", "mean", "max", "each"} or tuple of str, default="last"
        The inputs of ``linear``, as in the estimators. "last" is ``h_n`` of the last layer: for two directions the
        states after both ends, not ``output[:, -1]``.
    **params
        Other parameters of the estimator, such as ``learning_rate_init``.

    Returns
    -------
    RNNClassifier or RNNRegressor
        With ``normalize_y=False`` and ``patch_size=1``. It takes 3-D X and lists.

    Raises
    ------
    ImportError
        If torch is not installed.
    TypeError
        For other modules.
    ValueError
        For modules and classes that do not go together.

    See Also
    --------
    to_torch : The other way.

    Examples
    --------
    >>> import torch  # doctest: +SKIP
    >>> from sklearn_rnn.export import from_torch
    >>> recurrent, linear = (
    ...     torch.nn.GRU(3, 8, batch_first=True),
    ...     torch.nn.Linear(8, 2),
    ... )  # doctest: +SKIP
    >>> from_torch(recurrent, linear, classes=["no", "yes"]).classes_  # doctest: +SKIP
    array(['no', 'yes'], dtype='<U3')
    """
    _check_modules(import_library("torch", "from_torch"), recurrent, linear)
    cell, activation = CELLS[recurrent.mode]
    settings = {
        "hidden_layer_sizes": (recurrent.hidden_size,) * recurrent.num_layers,
        "cell": cell,
        "activation": activation,
        "bidirectional": recurrent.bidirectional,
        "readout": readout,
        "patch_size": 1,
    }
    fixed = sorted(set(params) & (settings.keys() | {"normalize_y"}))
    if fixed:
        raise ValueError(f"{fixed[0]} is given, but the modules determine it: leave it out.")
    settings |= {"dropout": recurrent.dropout, **params}
    if classes is None:
        estimator: Any = RNNRegressor(**settings, normalize_y=False)
    else:
        estimator = RNNClassifier(**settings)
    check_settings(estimator)
    weights = _weights_of(recurrent)
    _check_inputs_of(linear, recurrent, readout_of(estimator))
    output = [_array(linear.weight).T, _bias_of(linear)]
    coding: Any = _values_of(linear)
    if classes is not None:
        coding, output = _classes_of(classes, *output)
    weights["readout.weight"], weights["readout.bias"] = output
    dtype = weights["layer_0.input"].dtype
    schema = InputSchema(type(estimator).__name__, False, recurrent.input_size, Patches(), dtype)
    return with_weights(estimator, schema, coding, weights)


def _check_modules(torch: Any, recurrent: Any, linear: Any) -> None:
    for name, module, classes in (
        ("recurrent", recurrent, (torch.nn.RNN, torch.nn.LSTM, torch.nn.GRU)),
        ("linear", linear, (torch.nn.Linear,)),
    ):
        if not isinstance(module, classes):
            kinds = " or ".join(f"torch.nn.{cls.__name__}" for cls in classes)
            raise TypeError(f"{name} must be a {kinds}, got {type(module).__name__}.")
    if recurrent.proj_size:
        raise ValueError(f"recurrent has proj_size={recurrent.proj_size}: there is no such network here.")
    dtypes = {parameter.dtype for module in (recurrent, linear) for parameter in module.parameters()}
    if dtypes not in ({torch.float32}, {torch.float64}):
        found = ", ".join(sorted(map(str, dtypes)))
        raise ValueError(
            f"recurrent and linear have weights of {found}: convert both to torch.float32, or both to torch.float64."
        )


def _check_inputs_of(linear: Any, recurrent: Any, readout: Any) -> None:
    n_hidden = recurrent.hidden_size * (1 + recurrent.bidirectional)
    n_inputs = n_hidden * max(1, len(pool_names(readout)))
    if linear.in_features != n_inputs:
        raise ValueError(
            f"linear has in_features={linear.in_features}, but readout={readout!r} gives it {n_inputs}: {n_hidden} "
            "hidden states for each pool."
        )


def _array(parameter: Any) -> np.ndarray:
    return parameter.detach().cpu().numpy()


def _bias_of(linear: Any) -> np.ndarray:
    weight = _array(linear.weight)
    return np.zeros(len(weight), weight.dtype) if linear.bias is None else _array(linear.bias)


def _weights_of(recurrent: Any) -> dict[str, np.ndarray]:
    """Return the weights of all layers, by our names."""
    weights: dict[str, np.ndarray] = {}
    for depth in range(recurrent.num_layers):
        for end in ["", "_reverse"] if recurrent.bidirectional else [""]:
            name = f"layer_{depth}{end.replace('_', '.')}"
            of_x, of_h = (_array(getattr(recurrent, f"weight_{kind}_l{depth}{end}")) for kind in ("ih", "hh"))
            biases = [np.zeros(len(of_x), of_x.dtype)] * 2
            if recurrent.bias:
                biases = [_array(getattr(recurrent, f"bias_{kind}_l{depth}{end}")) for kind in ("ih", "hh")]
            weights |= {f"{name}.input": of_x.T, f"{name}.recurrent": of_h.T, f"{name}.bias": biases[0] + biases[1]}
            if recurrent.mode == "GRU":  # r scales the recurrent bias of the candidate, the last gate
                n_units = recurrent.hidden_size
                weights[f"{name}.bias"][-n_units:] = biases[0][-n_units:]
                weights[f"{name}.recurrent_bias"] = biases[1][-n_units:]
    return weights


def _values_of(linear: Any) -> ValueCoding:
    n_outputs = linear.out_features
    return ValueCoding(np.zeros(n_outputs), np.ones(n_outputs), is_flat=n_outputs == 1, is_normalized=False)


def _classes_of(classes: Any, weight: np.ndarray, bias: np.ndarray) -> tuple[ClassCoding, list[np.ndarray]]:
    """Return the coding of the classes, and the output layer for them in their sorted order.

    Two classes have one output here: the softmax of a and b is the logistic function of b - a.
    """
    classes = np.asarray(classes)
    if classes.ndim != 1 or len(classes) < 2 or len(np.unique(classes)) < len(classes):
        raise ValueError(f"classes must be at least 2 different labels, got {classes.tolist()!r}.")
    n_outputs = len(bias)
    if n_outputs != len(classes) and (n_outputs, len(classes)) != (1, 2):
        raise ValueError(f"classes has {len(classes)} labels, but linear has out_features={n_outputs}.")
    if n_outputs == 1:
        weight, bias = (np.concatenate([np.zeros_like(array), array], axis=-1) for array in (weight, bias))
    order = np.argsort(classes)
    weight, bias = weight[:, order], bias[order]
    if len(classes) == 2:
        weight, bias = weight[:, 1:] - weight[:, :1], bias[1:] - bias[:1]
    return ClassCoding(classes[order], is_multilabel=False), [weight, bias]
