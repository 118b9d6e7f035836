"""Preprocessing of sequences: any transformer of scikit-learn, applied to every step."""

from sklearn_rnn.preprocessing._time_distributed import TimeDistributed

__all__ = ["TimeDistributed"]
