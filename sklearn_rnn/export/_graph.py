"""Graph: the nodes and constants of an ONNX graph, which its functions add one after the other."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

# Split and the reductions take their present form from this version on. onnxruntime 1.14 (2023) is the first with it.
OPSET, IR_VERSION = 18, 8
ML_DOMAIN, ML_OPSET = "ai.onnx.ml", 3


class Graph:
    """An ONNX graph that grows. Values of the graph are known by their names.

    Parameters
    ----------
    dtype : dtype
        float32 or float64: the type of all computations of the network.
    unique_name : callable, default=None
        Returns an unused name that begins like a given one.

    Attributes
    ----------
    nodes, initializers : list of NodeProto, list of TensorProto
    """

    def __init__(self, dtype: DTypeLike, unique_name: Callable[[str], str] | None = None) -> None:
        from onnx import helper, numpy_helper

        self._helper, self._numpy_helper = helper, numpy_helper
        self.dtype = np.dtype(dtype)
        self.nodes: list[Any] = []
        self.initializers: list[Any] = []
        numbers = count()
        self.unique_name = unique_name or (lambda name: f"{name}_{next(numbers)}")

    def add(self, operator: str, *inputs: Any, outputs: int = 1, domain: str = "", **attributes: Any) -> Any:
        """Add a node; return the name of its output, or a list of names of several outputs.

        Parameters
        ----------
        operator : str
        *inputs : str or array-like
            Names of values, or constants: numbers without a dtype of their own get the dtype of the graph.
        outputs : int
        domain : str
        **attributes
            Of the operator.
        """
        names = [given if isinstance(given, str) else self.constant(given) for given in inputs]
        results = [self.unique_name(operator.lower()) for _ in range(outputs)]
        node = self._helper.make_node(operator, names, results, name=f"rnn_{results[0]}", domain=domain, **attributes)
        self.nodes.append(node)
        return results[0] if outputs == 1 else results

    def constant(self, value: Any) -> str:
        """Add a constant; return its name. A Python float, or a list of floats, gets the dtype of the graph."""
        array = np.asarray(value)
        if array.dtype == np.float64 and not isinstance(value, (np.ndarray, np.generic)):
            array = array.astype(self.dtype)
        name = self.unique_name("constant")
        if array.dtype.kind == "U":
            array = array.astype(object)
        self.initializers.append(self._numpy_helper.from_array(array, name))
        return name

    def cast(self, value: str, dtype: DTypeLike) -> str:
        """Return a value in another dtype."""
        return self.add("Cast", value, to=self._helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))

    def size(self, value: str, axis: int) -> str:
        """Return the size of an axis, an array (1,) of int64."""
        return self.add("Shape", value, start=axis, end=axis + 1)

    def rename(self, value: str, name: str) -> str:
        """Give a value a name that its user knows; return the name."""
        self.nodes.append(self._helper.make_node("Identity", [value], [name], name=f"rnn_{name}"))
        return name

    def like(self) -> Graph:
        """Return an empty graph with the same dtype, whose names differ from all names of this one: for a body."""
        return Graph(self.dtype, self.unique_name)

    def value_info(self, name: str, dtype: DTypeLike, shape: list[Any] | None) -> Any:
        """Describe an input or output: its dtype (str for strings), and its shape, with names for sizes that vary."""
        kind = np.dtype(object) if np.dtype(dtype).kind in "US" else np.dtype(dtype)
        return self._helper.make_tensor_value_info(name, self._helper.np_dtype_to_tensor_dtype(kind), shape)

    def proto(self, name: str, inputs: list[Any], outputs: list[Any]) -> Any:
        """Return the GraphProto."""
        return self._helper.make_graph(self.nodes, name, inputs, outputs, self.initializers)

    def model(self, name: str, inputs: list[Any], outputs: list[Any], version: str) -> Any:
        """Return the ModelProto."""
        opsets = [self._helper.make_opsetid("", OPSET), self._helper.make_opsetid(ML_DOMAIN, ML_OPSET)]
        return self._helper.make_model(
            self.proto(name, inputs, outputs),
            opset_imports=opsets,
            ir_version=IR_VERSION,
            producer_name="sklearn_rnn",
            producer_version=version,
        )
