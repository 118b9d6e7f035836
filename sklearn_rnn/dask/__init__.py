"""Estimators that train on a Dask cluster, with the same bits for any number of workers."""

from __future__ import annotations

try:
    import dask  # noqa: F401
    import distributed  # noqa: F401
except ImportError as error:
    raise ImportError(
        'sklearn_rnn.dask needs dask and distributed, which are not installed: pip install "sklearn-rnn[dask]"'
    ) from error

from sklearn_rnn.dask._classifier import DaskRNNClassifier
from sklearn_rnn.dask._regressor import DaskRNNRegressor

__all__ = ["DaskRNNClassifier", "DaskRNNRegressor"]

for _class in (DaskRNNClassifier, DaskRNNRegressor):
    _class.__module__ = __name__
