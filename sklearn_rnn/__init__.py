"""Recurrent neural networks for scikit-learn, trained by backpropagation through time."""

from sklearn_rnn._classifier import RNNClassifier
from sklearn_rnn._inference.stream import PredictionStream
from sklearn_rnn._persistence import ModelFileError, load, save
from sklearn_rnn._regressor import RNNRegressor
from sklearn_rnn._training.memory.budget import MemoryEstimate
from sklearn_rnn._versions import show_versions

__version__ = "0.1.0"

__all__ = [
    "MemoryEstimate",
    "ModelFileError",
    "PredictionStream",
    "RNNClassifier",
    "RNNRegressor",
    "load",
    "save",
    "show_versions",
]

# Pickles and files of skops name the place of a class. The private modules may move.
for _class in (MemoryEstimate, ModelFileError, PredictionStream, RNNClassifier, RNNRegressor):
    _class.__module__ = __name__
