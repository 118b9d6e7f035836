"""Export of fitted networks to ONNX and PyTorch, and networks of PyTorch as estimators."""

from sklearn_rnn.export._from_torch import from_torch
from sklearn_rnn.export._skl2onnx import register_skl2onnx
from sklearn_rnn.export._to_onnx import to_onnx
from sklearn_rnn.export._to_torch import to_torch

__all__ = ["from_torch", "register_skl2onnx", "to_onnx", "to_torch"]
