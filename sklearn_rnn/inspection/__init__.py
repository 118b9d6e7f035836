"""Inspection of fitted networks: the gradient at every step of backpropagation through time."""

from sklearn_rnn.inspection._gradient_flow import gradient_flow
from sklearn_rnn.inspection._truncation_bias import truncation_bias

__all__ = ["gradient_flow", "truncation_bias"]
