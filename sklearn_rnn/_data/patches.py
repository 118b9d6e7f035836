"""Patches: several steps of data that the network reads at one network step.

The last patch ends with the last step of its sequence, and each earlier one ends ``stride`` steps before the next. With
a stride below the size, patches overlap. Zeros fill the front of a patch that begins before the sequence.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.lib.stride_tricks import as_strided, sliding_window_view

from sklearn_rnn._data.packing import Packing
from sklearn_rnn._data.sequences import BaseSequences, MappedSequences, Sequences
from sklearn_rnn._utils.plain import Whole, plain_form

# Of patch_size="auto": the network steps of a sequence of median length, and the strides that a patch covers.
NETWORK_STEPS = 50
STRIDES_OF_PATCH = 5


@plain_form("patches", size=Whole(1), stride=Whole(1))
class Patches(NamedTuple):
    """The number of steps of a patch, and from the end of a patch to the end of the next."""

    size: int = 1
    stride: int = 1

    @property
    def n_shared(self) -> int:
        """Number of steps that a patch shares with the previous one."""
        return self.size - self.stride

    def count_in(self, lengths: Any) -> Any:
        """Return the numbers of patches of sequences of these numbers of steps, (n_sequences,) or a single one."""
        return -(-lengths // self.stride)

    def of(self, sequences: Sequences | MappedSequences) -> BaseSequences:
        """Return sequences whose steps are the patches.

        They are made when a batch needs them: patches that overlap would take more memory, and those of a file all.
        """
        return sequences if self.size == 1 else PatchedSequences(sequences, self)

    def join(self, sequences: Sequences) -> Sequences:
        """Make all patches now."""
        if self.size == 1:
            return sequences
        n_patches = self.count_in(sequences.lengths)
        if sequences.common_length is not None:
            patches = np.ascontiguousarray(self._of_equal_lengths(sequences))
            return replace(sequences, rows=patches.reshape(-1, patches.shape[2]), lengths=n_patches)
        places, n_padded = self._places(sequences.lengths)
        padded = np.zeros((n_padded, sequences.n_features), sequences.dtype)
        padded[places] = sequences.rows
        return replace(sequences, rows=self._cut(padded, n_patches), lengths=n_patches)

    def packed_rows(self, sequences: Sequences, packing: Packing) -> np.ndarray:
        """Make all patches now, in the order of the packing's rows."""
        if sequences.common_length is None:
            return self.join(sequences).packed_rows(slice(None), packing)  # a slice: it makes no extra copy
        by_step = np.ascontiguousarray(self._of_equal_lengths(sequences).swapaxes(0, 1))
        return by_step.reshape(packing.n_rows, by_step.shape[2])

    def _of_equal_lengths(self, sequences: Sequences) -> np.ndarray:
        """Return the patches of sequences of equal lengths as a view, (n_sequences, n_patches, size * n_features).

        Patches that overlap share their steps: only a copy may be changed.
        """
        n_sequences, n_steps, n_features = len(sequences), int(sequences.lengths[0]), sequences.n_features
        n_patches = self.count_in(n_steps)
        n_padded = n_patches * self.stride + self.n_shared
        padded = np.empty((n_sequences, n_padded, n_features), sequences.dtype)
        padded[:, : n_padded - n_steps] = 0
        padded[:, n_padded - n_steps :] = sequences.rows.reshape(n_sequences, n_steps, n_features)
        of_sequence, of_step, of_value = padded.strides
        shape = (n_sequences, n_patches, self.size * n_features)
        return as_strided(padded, shape, (of_sequence, self.stride * of_step, of_value))

    def sum_by_step(self, values: np.ndarray, lengths: np.ndarray) -> np.ndarray:
        """Sum values of patches by step: the transpose of :meth:`join`.

        Parameters
        ----------
        values : ndarray of shape (n_patches, size * n_features)
            Of the patches of sequences, sequence after sequence.
        lengths : ndarray of shape (n_sequences,), int
            Steps of each sequence.

        Returns
        -------
        ndarray of shape (n_rows, n_features)
            For each step, the sum over all patches that contain it.
        """
        if self.size == 1:
            return values
        places, n_padded = self._places(lengths)
        starts = self._starts(self.count_in(lengths))
        by_step = values.reshape(len(values), self.size, -1)
        padded = np.zeros((n_padded, by_step.shape[2]), values.dtype)
        for k in range(self.size):  # no two patches begin at the same step
            padded[starts + k] += by_step[:, k]
        return padded[places]

    def _places(self, lengths: np.ndarray) -> tuple[np.ndarray, int]:
        """Return the place of each row among rows with zeros in front of every sequence, and the number of all."""
        n_missing = self.count_in(lengths) * self.stride + self.n_shared - lengths
        n_rows = int(lengths.sum())
        # A row moves by the number of zeros in front of its sequence and in front of all earlier sequences.
        return np.arange(n_rows) + np.repeat(np.cumsum(n_missing), lengths), n_rows + int(n_missing.sum())

    def _starts(self, n_patches: np.ndarray) -> np.ndarray:
        """Return the place of the first step of each patch among these rows."""
        # The sequences before it have n_shared more steps than strides.
        return (
            np.arange(n_patches.sum()) * self.stride + np.repeat(np.arange(len(n_patches)), n_patches) * self.n_shared
        )

    def continue_from(self, previous: np.ndarray, sequences: Sequences) -> Sequences:
        """Make the patches of the next steps of some sequences, each of a multiple of ``stride`` steps.

        Parameters
        ----------
        previous : ndarray of shape (n_sequences, n_shared, n_features)
            The steps before these; overwritten by the last ones of these.
        sequences : Sequences
        """
        lengths, n_sequences = sequences.lengths, len(sequences)
        # Rows of all sequences, each after its previous steps; the places of these, (n_sequences, n_shared).
        rows = np.empty((sequences.n_rows + n_sequences * self.n_shared, sequences.n_features), sequences.dtype)
        shared = np.arange(self.n_shared) + (sequences.starts + np.arange(n_sequences) * self.n_shared)[:, np.newaxis]
        rows[shared] = previous
        rows[np.arange(sequences.n_rows) + np.repeat(np.arange(1, n_sequences + 1) * self.n_shared, lengths)] = (
            sequences.rows
        )
        previous[...] = rows[shared + lengths[:, np.newaxis]]
        n_patches = self.count_in(lengths)
        return replace(sequences, rows=self._cut(rows, n_patches), lengths=n_patches)

    def _cut(self, padded: np.ndarray, n_patches: np.ndarray) -> np.ndarray:
        """Return the patches of rows that fill them, (n_rows, n_features), as (n_patches, size * n_features)."""
        n_features = padded.shape[1]
        if not self.n_shared:
            return padded.reshape(-1, self.size * n_features)
        every_patch = sliding_window_view(padded.ravel(), self.size * n_features)[::n_features]
        return every_patch[self._starts(n_patches)]


@dataclass
class PatchedSequences(BaseSequences):
    """Sequences whose patches are made when a batch is packed.

    Attributes
    ----------
    source : Sequences or MappedSequences
    patches : Patches
    """

    source: Sequences | MappedSequences
    patches: Patches

    def __post_init__(self) -> None:
        self.lengths = self.patches.count_in(self.source.lengths)
        self.form, self.name = self.source.form, self.source.name

    @property
    def n_features(self) -> int:
        """Features of every patch."""
        return self.source.n_features * self.patches.size

    @property
    def dtype(self) -> np.dtype:
        """Dtype of the patches."""
        return self.source.dtype

    @property
    def of_data(self) -> Sequences | MappedSequences:
        """The sequences that the patches are made of."""
        return self.source

    def load(self, indices: Any) -> Sequences:
        """Make the patches of the sequences at ``indices``, in that order."""
        return self.patches.join(self.source.load(indices))

    def packed_rows(self, order: Any, packing: Packing) -> np.ndarray:
        """Rows of the sequences at ``order``, in the order of the packing's rows."""
        return self.patches.packed_rows(self.source.load(order), packing)

    def subset(self, indices: Any) -> PatchedSequences:
        """Return the sequences at ``indices``, in that order."""
        return PatchedSequences(self.source.subset(indices), self.patches)


def choose_patches(estimator: Any, lengths: np.ndarray, weights: np.ndarray) -> Patches:
    """Return the patches that an estimator's parameters describe.

    ``patch_size="auto"`` leaves about ``NETWORK_STEPS`` network steps of a sequence of median length. Where steps have
    a meaning of their own (readout "each", ``truncation``, ``stateful``), each step is a patch.

    Parameters
    ----------
    estimator : BaseRNN
    lengths, weights : ndarray of shape (n_sequences,)
        Numbers of steps, and weights of the sequences in the median.
    """
    size, stride = estimator.patch_size, estimator.patch_stride
    if size != "auto":
        return Patches(int(size), int(size if stride is None else stride))
    if estimator.readout == "each" or estimator.truncation is not None or estimator.stateful:
        return Patches()
    if stride is None:
        stride = max(1, round(_weighted_median(lengths, weights) / NETWORK_STEPS))
    stride = int(stride)  # sums of small integers of NumPy overflow
    return Patches(1 if stride == 1 else STRIDES_OF_PATCH * stride, stride)


def _weighted_median(values: np.ndarray, weights: np.ndarray) -> float:
    """Return the smallest value that half of the weight does not exceed."""
    order = np.argsort(values, kind="stable")
    shares = np.cumsum(weights[order], dtype=np.float64)
    return float(values[order][np.searchsorted(shares, shares[-1] / 2)])
