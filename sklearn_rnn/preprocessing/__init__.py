"""Preprocessing of sequences: from tables to sequences and back, transformers of steps, and features for tables."""

from sklearn_rnn.preprocessing._forward_fill import ForwardFill
from sklearn_rnn.preprocessing._frames import frame_from_sequences, sequences_from_frame
from sklearn_rnn.preprocessing._layouts import ToSequences
from sklearn_rnn.preprocessing._object_column import to_object_column
from sklearn_rnn.preprocessing._recurrent_features import RecurrentFeatures
from sklearn_rnn.preprocessing._time_distributed import TimeDistributed
from sklearn_rnn.preprocessing._windows import sliding_windows

__all__ = [
    "ForwardFill",
    "RecurrentFeatures",
    "TimeDistributed",
    "ToSequences",
    "frame_from_sequences",
    "sequences_from_frame",
    "sliding_windows",
    "to_object_column",
]

# Pickles and files of skops name the place of a class. The private modules may move.
for _class in (ForwardFill, RecurrentFeatures, TimeDistributed, ToSequences):
    _class.__module__ = __name__
