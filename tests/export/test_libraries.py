"""Exports without the library that they need."""

import sys

import numpy as np
import pytest

from sklearn_rnn import RNNRegressor
from sklearn_rnn.export import from_torch, register_skl2onnx, to_onnx, to_torch


@pytest.mark.parametrize(
    ("library", "call", "message"),
    [
        ("onnx", to_onnx, r'export.to_onnx needs onnx, which is not installed: pip install "sklearn-rnn\[onnx\]"'),
        ("torch", to_torch, r"export.to_torch needs torch, which is not installed: pip install torch"),
        ("torch", lambda est: from_torch(est, est), r"export.from_torch needs torch, which is not installed"),
        ("skl2onnx", lambda est: register_skl2onnx(), r"export.register_skl2onnx needs skl2onnx, which is not"),
    ],
    ids=["to_onnx", "to_torch", "from_torch", "register_skl2onnx"],
)
@pytest.mark.filterwarnings("ignore:max_iter:sklearn.exceptions.ConvergenceWarning")
def test_a_missing_library_is_named(monkeypatch, library, call, message):
    estimator = RNNRegressor(2, max_iter=1).fit(np.eye(3), [0.0, 1.0, 2.0])
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(ImportError, match=message):
        call(estimator)
