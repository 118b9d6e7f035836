"""Inspection of fitted networks: what predictions depend on, and the gradient at every step of backpropagation."""

from sklearn_rnn.inspection._attribute import attribute
from sklearn_rnn.inspection._gradient_flow import gradient_flow
from sklearn_rnn.inspection._permutation_importance import permutation_importance
from sklearn_rnn.inspection._truncation_bias import truncation_bias

__all__ = ["attribute", "gradient_flow", "permutation_importance", "truncation_bias"]
