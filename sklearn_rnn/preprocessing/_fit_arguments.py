"""The arguments of a transformer's ``fit``: one entry for each step of all sequences."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from typing import Any

import numpy as np
from sklearn.preprocessing import MaxAbsScaler, MinMaxScaler, StandardScaler
from sklearn.utils import get_tags
from sklearn.utils.metadata_routing import _routing_enabled

from sklearn_rnn._data.sequences import MappedSequences
from sklearn_rnn._data.targets import check_y
from sklearn_rnn._data.weights import check_weights

# Their partial_fit on parts gives the statistics of fit on the whole. Others forget (MiniBatchNMF), or make one pass
# instead of many.
EXACT_IN_PARTS = (StandardScaler, MinMaxScaler, MaxAbsScaler)


@dataclass
class FitArguments:
    """The arguments of a transformer's ``fit``.

    Attributes
    ----------
    sequences : BaseSequences
        The steps.
    targets : list of ndarray of shape (n_rows, ...)
        One array, or none if the transformer gets no y.
    params : dict
        Other arguments.
    of_steps : set of str
        Names of those with an entry for each step.
    """

    sequences: Any
    targets: list
    params: dict
    of_steps: set

    @classmethod
    def read(cls, transformer, sequences, y, params):
        """Repeat or join the entries of y and of other arguments for the steps of sequences."""
        # The tags do not tell whether a transformer reads y: SelectKBest, PLS and pipelines read it,
        # but their tags say no. So it gets y whenever there is one, as in scikit-learn's pipelines.
        has_targets = y is not None or get_tags(transformer).target_tags.required
        targets = [_targets_of_steps(y, sequences)] if has_targets else []
        given = {name: value for name, value in params.items() if value is not None}
        expanded = {name: _param_of_steps(name, value, sequences) for name, value in given.items()}
        of_steps = {name for name in given if name.endswith("sample_weight") or expanded[name] is not given[name]}
        return cls(sequences, targets, expanded, of_steps)

    @property
    def are_mapped(self):
        """Whether the steps are in a memory-mapped file."""
        return isinstance(self.sequences, MappedSequences)

    def whole(self):
        """Return X and y in a list, and the other arguments. Steps in a file are read into memory."""
        rows = self.sequences.load(slice(None)).rows if self.are_mapped else self.sequences.rows
        return [rows, *self.targets], self.params

    def call(self, method):
        """Call a transformer's ``fit_transform``, or its ``fit`` or ``partial_fit`` for the whole."""
        data, params = self.whole()
        return method(*data, **params)

    def fit(self, transformer, method):
        """Fit a transformer by "fit" or "partial_fit"; to steps in a file in parts, if the result is the same."""
        if not self.are_mapped or not fits_in_parts(transformer):
            self.call(getattr(transformer, method))
        elif get_tags(transformer).requires_fit:
            for data, params in self._parts():
                transformer.partial_fit(*data, **params)
        else:  # it learns nothing
            data, params = self._slice(*next(self.sequences.chunks()))
            getattr(transformer, method)(*data, **params)

    def _parts(self) -> Iterator[tuple]:
        """Yield the arguments for one part after the other.

        In each part, every feature has a value of positive weight, if it has one at all: partial_fit gives NaN for a
        part without, and keeps it. So chunks that lack a value are joined with their neighbours.
        """
        parts = _parts_of_chunks(np.array([self._has_value(*chunk) for chunk in self.sequences.chunks()]))
        for _, pairs in groupby(zip(parts, self.sequences.chunks()), key=itemgetter(0)):
            chunks = [chunk for _, chunk in pairs]
            yield self._slice(chunks[0][0], np.concatenate([rows for _, rows in chunks]))

    def _has_value(self, first_row, rows):
        """Whether each feature has a value that counts in some rows, (n_features,)."""
        weights = self.params.get("sample_weight") if "sample_weight" in self.of_steps else None
        counts = slice(None) if weights is None else weights[first_row : first_row + len(rows)] > 0
        return ~np.isnan(rows[counts]).all(axis=0)

    def _slice(self, first_row, rows):
        """Return the arguments for some rows."""
        steps = slice(first_row, first_row + len(rows))
        params = {name: value[steps] if name in self.of_steps else value for name, value in self.params.items()}
        return [rows, *(targets[steps] for targets in self.targets)], params


def fits_in_parts(transformer):
    """Whether fitting a transformer to parts of the steps, one after the other, gives the same as to all steps."""
    return type(transformer) in EXACT_IN_PARTS or not get_tags(transformer).requires_fit


def _parts_of_chunks(has_value):
    """Return the part of each chunk, (n_chunks,), from (n_chunks, n_features): whether a feature has a value."""
    has_value = has_value[:, has_value.any(axis=0)]
    parts, part, seen = np.empty(len(has_value), int), 0, np.zeros(has_value.shape[1], bool)
    for i, of_chunk in enumerate(has_value):
        if i > 0 and seen.all():
            part, seen = part + 1, np.zeros_like(seen)
        seen = seen | of_chunk
        parts[i] = part
    return parts if seen.all() else np.minimum(parts, max(0, part - 1))


def _targets_of_steps(y, sequences):
    """Return y with one entry per row: join the entries of steps, or repeat those of sequences."""
    per_step = _is_per_step(y, sequences)
    y = check_y(y, sequences, per_step=per_step, numeric=False)
    return y if per_step else np.repeat(np.asarray(y), sequences.lengths, axis=0)


def _is_per_step(y, sequences):
    """Whether the entries of y are as long as their sequences, or differ in length from one another."""
    entries = y if isinstance(y, (list, tuple)) else np.atleast_1d(np.asarray(y))
    lengths = [len(entry) if np.ndim(entry) else 0 for entry in entries]
    return lengths == sequences.lengths.tolist() or len(set(lengths)) > 1


def _param_of_steps(name, value, sequences):
    """Return a parameter of ``fit`` with one entry per row, if it has one per sequence or per step."""
    if name.endswith("sample_weight"):
        return _weights_of_steps(value, sequences)
    is_metadata = _routing_enabled() and hasattr(value, "__len__") and not isinstance(value, str)
    if not is_metadata or len(value) != len(sequences):
        return value
    if _is_per_step(value, sequences):
        return np.concatenate([np.asarray(entry) for entry in value])
    return np.repeat(np.asarray(value), sequences.lengths, axis=0)


def _weights_of_steps(sample_weight, sequences):
    rows = getattr(sequences, "rows", sequences)  # sequences in a file have no rows, but a dtype
    dtype = getattr(rows, "dtype", None)
    return check_weights(sample_weight, sequences, dtype if dtype == np.float32 else np.float64, per_step=True)
