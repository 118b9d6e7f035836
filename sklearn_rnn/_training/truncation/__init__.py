"""Truncated backpropagation through time: policies decide how far errors flow back."""
