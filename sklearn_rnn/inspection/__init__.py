"""Inspection of fitted networks: the gradient at every step of backpropagation through time, and a diagnosis."""

from sklearn_rnn.inspection._diagnose import diagnose
from sklearn_rnn.inspection._gradient_flow import gradient_flow
from sklearn_rnn.inspection._truncation_bias import truncation_bias

__all__ = ["diagnose", "gradient_flow", "truncation_bias"]
