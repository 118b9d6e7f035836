"""Callbacks of training."""

from sklearn_rnn.callbacks._checkpoint import Checkpoint

__all__ = ["Checkpoint"]

Checkpoint.__module__ = __name__
