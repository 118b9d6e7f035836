"""Preprocessing of sequences: from tables to sequences and back, and transformers of steps."""

from sklearn_rnn.preprocessing._forward_fill import ForwardFill
from sklearn_rnn.preprocessing._frames import frame_from_sequences, sequences_from_frame
from sklearn_rnn.preprocessing._layouts import ToSequences
from sklearn_rnn.preprocessing._time_distributed import TimeDistributed
from sklearn_rnn.preprocessing._windows import sliding_windows

__all__ = [
    "ForwardFill",
    "TimeDistributed",
    "ToSequences",
    "frame_from_sequences",
    "sequences_from_frame",
    "sliding_windows",
]
