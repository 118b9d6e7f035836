"""Truncated backpropagation through time: the policies that say how far errors flow back."""
