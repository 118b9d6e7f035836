"""Export of fitted networks to ONNX and PyTorch, and networks of PyTorch as estimators."""

from sklearn_rnn.export._to_onnx import to_onnx

__all__ = ["to_onnx"]
