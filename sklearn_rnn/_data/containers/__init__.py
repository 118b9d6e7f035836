"""Containers of other libraries: unpacked into sequences, or refused with the remedy."""

from sklearn_rnn._data.containers.unpacking import (
    Unpacked,
    by_instance,
    has_sequences,
    is_scalar,
    n_dimensions,
    plain_label,
    unpack,
)

__all__ = ["Unpacked", "by_instance", "has_sequences", "is_scalar", "n_dimensions", "plain_label", "unpack"]
