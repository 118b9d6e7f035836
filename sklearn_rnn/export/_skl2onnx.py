"""register_skl2onnx: the networks and TimeDistributed as parts of pipelines that skl2onnx converts."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.compose import ColumnTransformer
from sklearn.utils.validation import check_is_fitted

from sklearn_rnn._base import model_of
from sklearn_rnn._classifier import RNNClassifier
from sklearn_rnn._data.coding import ClassCoding
from sklearn_rnn._inference.scalers import flat_steps
from sklearn_rnn._regressor import RNNRegressor
from sklearn_rnn.export._graph import OPSET, Graph
from sklearn_rnn.export._libraries import import_library
from sklearn_rnn.export._outputs import label_array
from sklearn_rnn.export._to_onnx import add_network, in_dtype
from sklearn_rnn.export._transformers import add_step_transformer
from sklearn_rnn.preprocessing import TimeDistributed


def register_skl2onnx():
    """Make ``skl2onnx.to_onnx`` and ``skl2onnx.convert_sklearn`` know the networks and TimeDistributed.

    Call it once, before the conversion. Then pipelines of them, and of anything else that skl2onnx converts, can be
    converted, for X that is a 2-D or a 3-D array. All sequences have all steps of X: skl2onnx has one input for X, and
    none for lengths. For sequences of different lengths, and for categorical features, use :func:`to_onnx`.

    Raises
    ------
    ImportError
        If skl2onnx is not installed.

    See Also
    --------
    to_onnx : With lengths, categorical features, and models of one step; it needs no skl2onnx.

    Notes
    -----
    The opset must be 18 or later. The probabilities of a classifier are a tensor: there is no ZipMap.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from sklearn_rnn import RNNClassifier
    >>> from sklearn_rnn.export import register_skl2onnx
    >>> X = np.random.default_rng(0).normal(size=(20, 12))
    >>> network = RNNClassifier(8, step_features=2, max_iter=2, random_state=0)
    >>> pipeline = make_pipeline(StandardScaler(), network).fit(X, np.arange(20) % 2)
    >>> register_skl2onnx()  # doctest: +SKIP
    >>> model = skl2onnx.to_onnx(pipeline, X)  # doctest: +SKIP
    """
    skl2onnx = import_library("skl2onnx", "register_skl2onnx")
    for model, parse in ((RNNClassifier, _parse_classifier), (RNNRegressor, None)):
        options = {"zipmap": [False]} if model is RNNClassifier else None
        skl2onnx.update_registered_converter(
            model, _alias(model), _set_shapes_of_network, _convert_network, parser=parse, options=options
        )
    skl2onnx.update_registered_converter(
        TimeDistributed, _alias(TimeDistributed), _set_shape_of_transformed, _convert_time_distributed
    )


def _alias(model: type) -> str:
    return f"SklearnRnn{model.__name__}"


def _dtype_of(variable: Any) -> np.dtype:
    """Return the floating point type of the results for an input: float64 for this alone, as everywhere in skl2onnx."""
    from skl2onnx.common.data_types import DoubleTensorType

    return np.dtype(np.float64 if isinstance(variable.type, DoubleTensorType) else np.float32)


def _tensor_type(dtype: Any, shape: list[Any]) -> Any:
    """Return skl2onnx's type of a tensor."""
    from skl2onnx.common import data_types

    names = {"U": "String", "i": "Int64", "b": "Boolean"}
    dtype = np.dtype(dtype)
    name = names.get(dtype.kind) or {"float32": "Float", "float64": "Double"}[dtype.name]
    return getattr(data_types, f"{name}TensorType")(shape)


# ---- Networks ----------------------------------------------------------------------------------------


def _parse_classifier(scope: Any, model: Any, inputs: list[Any], custom_parsers: Any = None) -> list[Any]:
    """Declare the two outputs, both tensors; their types follow with the shapes."""
    operator = scope.declare_local_operator(_alias(type(model)), model)
    operator.inputs = inputs
    for name in ("label", "probabilities"):
        operator.outputs.append(scope.declare_local_variable(name, _tensor_type(_dtype_of(inputs[0]), [])))
    return operator.outputs


def _set_shapes_of_network(operator: Any) -> None:
    model, (x,) = model_of(operator.raw_operator), operator.inputs
    if model.network.embedding is not None:
        raise ValueError(
            "categorical_features do not go with skl2onnx, which has one input of numbers for X: use "
            "sklearn_rnn.export.to_onnx."
        )
    axes = [None, None] if model.is_per_step else [None]
    coding, dtype = model.coding, _dtype_of(x)
    if isinstance(coding, ClassCoding):
        labels = np.dtype(np.int64) if coding.is_multilabel else label_array(coding.classes).dtype
        of_labels = [len(coding.classes)] if coding.is_multilabel else []
        operator.outputs[0].type = _tensor_type(labels, [*axes, *of_labels])
        operator.outputs[1].type = _tensor_type(dtype, [*axes, len(coding.classes)])
    else:
        operator.outputs[0].type = _tensor_type(dtype, axes if coding.is_flat else [*axes, coding.n_outputs])


def _convert_network(scope: Any, operator: Any, container: Any) -> None:
    (x,) = operator.inputs
    dtype = _dtype_of(x)
    model = in_dtype(model_of(operator.raw_operator), dtype)
    graph = _graph_of(scope, container, dtype)
    rows = graph.cast(x.full_name, dtype)
    if model.schema.is_table:
        rows = graph.add("Reshape", rows, [0, -1, model.schema.step_features])
    for output, variable in zip(add_network(graph, model, rows, None), operator.outputs):
        graph.rename(output.value, variable.full_name)
    _add_to(container, graph)


# ---- Transformers ------------------------------------------------------------------------------------


def _set_shape_of_transformed(operator: Any) -> None:
    step, (x,) = operator.raw_operator, operator.inputs
    check_is_fitted(step)
    is_table = len(x.type.shape) == 2
    n_features = step.step_features if is_table else step.n_features_in_
    n_out = n_features
    for _, transformer in flat_steps("", step.transformer_):
        if isinstance(transformer, ColumnTransformer):
            n_out = sum(len(range(n_features)[columns]) for columns in transformer.output_indices_.values())
    of_features = [step.n_features_in_ // n_features * n_out] if is_table else [x.type.shape[1], n_out]
    operator.outputs[0].type = _tensor_type(_dtype_of(x), [None, *of_features])


def _convert_time_distributed(scope: Any, operator: Any, container: Any) -> None:
    step, (x,) = operator.raw_operator, operator.inputs
    is_table, dtype = len(x.type.shape) == 2, _dtype_of(x)
    graph = _graph_of(scope, container, dtype)
    values = graph.cast(x.full_name, np.float64)
    if is_table:
        values = graph.add("Reshape", values, [0, -1, step.step_features])
    values = add_step_transformer(graph, values, step.transformer_, "timedistributed")
    if is_table:
        values = graph.add("Reshape", values, [0, -1])
    graph.rename(graph.cast(values, dtype), operator.outputs[0].full_name)
    _add_to(container, graph)


# ---- skl2onnx's container ----------------------------------------------------------------------------


def _graph_of(scope: Any, container: Any, dtype: np.dtype) -> Graph:
    """Return a graph whose names are new in a model of skl2onnx."""
    opset = container.target_opset_any_domain("")
    if opset < OPSET:
        raise ValueError(f"target_opset={opset} is too low: the networks need {OPSET} or later.")
    return Graph(dtype, scope.get_unique_variable_name)


def _add_to(container: Any, graph: Graph) -> None:
    container.nodes.extend(graph.nodes)
    container.initializers.extend(graph.initializers)
    container.node_domain_version_pair_sets.add(("", OPSET))
