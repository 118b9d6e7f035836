"""Scores over the steps of all sequences."""

from sklearn_rnn.metrics._step_scorer import make_step_scorer

__all__ = ["make_step_scorer"]
