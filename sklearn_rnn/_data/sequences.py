"""The steps of all sequences, one after the other: in memory, or in a memory-mapped file."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from sklearn_rnn._utils.caching import cached

if TYPE_CHECKING:
    from sklearn_rnn._data.packing import Packing

# Values of a memory-mapped file that are checked together: 2 MB in float64. (At least those of one sequence.)
CHECKED_AT_ONCE = 2**18


class BaseSequences:
    """Where each sequence's steps stand among the rows; the two kinds below know the rows themselves."""

    lengths: np.ndarray
    form: str
    name: str

    def __len__(self) -> int:
        return len(self.lengths)

    @cached
    def n_rows(self) -> int:
        """Steps of all sequences."""
        return int(self.lengths.sum())

    @cached
    def starts(self) -> np.ndarray:
        """(n_sequences,) the row of each sequence's first step."""
        return np.concatenate([[0], np.cumsum(self.lengths)[:-1]])

    @cached
    def common_length(self) -> int | None:
        """Steps of every sequence; None where they differ."""
        length = int(self.lengths[0]) if len(self) else 0
        return length if (self.lengths == length).all() else None

    def take_sequences(self, values: np.ndarray, indices: np.ndarray) -> np.ndarray:
        """Take from values of every row, (n_rows, ...), those of the sequences at ``indices``, one after the other."""
        if self.common_length is not None:
            by_sequence = values.reshape(len(self), self.common_length, *values.shape[1:])
            return by_sequence[indices].reshape(-1, *values.shape[1:])
        lengths = self.lengths[indices]
        first = np.repeat(self.starts[indices], lengths)
        within = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        return values[first + within]

    def take_steps(self, values: np.ndarray, order: np.ndarray | slice, packing: Packing) -> np.ndarray:
        """Take from values of every row, (n_rows, ...), those of the sequences at ``order``, as a packing has them."""
        n_steps = self.common_length
        if n_steps is not None:
            by_sequence = values.reshape(len(self), n_steps, *values.shape[1:])
            return by_sequence.swapaxes(0, 1)[:, order].reshape(packing.n_rows, *values.shape[1:])
        # Row (t, i) of the batch is step t of the i-th sequence.
        return values[self.starts[order][packing.sequence_of_row] + packing.step_of_row]

    def split(self, values: np.ndarray) -> np.ndarray | list[np.ndarray]:
        """Give values of every row, (n_rows, ...), back in the form of X.

        Returns
        -------
        ndarray of shape (n_sequences, n_steps, ...) for 2-D and 3-D X, else a list (or object array) with
        an array (n_steps_i, ...) for each sequence
        """
        if self.form in ("rows", "array"):
            return values.reshape(len(self), -1, *values.shape[1:])
        parts = np.split(values, self.starts[1:])
        return parts if self.form == "list" else _object_array(parts)


@dataclass
class Sequences(BaseSequences):
    """The steps of all sequences as the rows of one array, sequence after sequence.

    Attributes
    ----------
    rows : ndarray of shape (n_rows, n_features), float32 or float64
    lengths : ndarray of shape (n_sequences,), int
        Steps per sequence.
    form : {"rows", "array", "list", "object"}
        The form of X: 2-D, 3-D, a list or tuple, or an object array.
    name : str
        The argument that held them, for messages: "X" or "X_val".
    """

    rows: np.ndarray
    lengths: np.ndarray
    form: str
    name: str = "X"

    @property
    def dtype(self) -> np.dtype:
        """Dtype of the rows."""
        return self.rows.dtype

    @property
    def holds_floats(self) -> bool:
        """Whether NaN and infinity are possible."""
        return self.dtype.kind == "f"

    @property
    def n_features(self) -> int:
        """Features of every row."""
        return self.rows.shape[1]

    def chunks(self) -> Iterator[tuple[int, np.ndarray]]:
        """Yield (first row, rows) for all rows in their order: here at once."""
        yield 0, self.rows

    def packed_rows(self, order: np.ndarray | slice, packing: Packing) -> np.ndarray:
        """Rows of the sequences at ``order``, as a packing of them has them."""
        return self.take_steps(self.rows, order, packing)

    def load(self, indices: Any) -> Sequences:
        """Return the sequences at ``indices``, in that order: they are in memory already."""
        return self.subset(indices)

    def subset(self, indices: Any) -> Sequences:
        """Return the sequences at ``indices``, in that order."""
        return replace(self, rows=self.take_sequences(self.rows, indices), lengths=self.lengths[indices])

    def astype(self, dtype: Any) -> Sequences:
        """Return the sequences in another dtype."""
        return replace(self, rows=self.rows.astype(dtype))

    def patched(self, patch_size: int) -> Sequences:
        """Join ``patch_size`` steps to one; a first patch that is short begins with zeros."""
        if patch_size == 1:
            return self
        n_patches = -(-self.lengths // patch_size)
        n_missing = n_patches * patch_size - self.lengths
        padded = np.zeros((n_patches.sum() * patch_size, self.n_features), self.dtype)
        # Each sequence moves on by the zeros in front of it and of those before it.
        padded[np.arange(self.n_rows) + np.repeat(np.cumsum(n_missing), self.lengths)] = self.rows
        return replace(self, rows=padded.reshape(-1, patch_size * self.n_features), lengths=n_patches)


@dataclass
class MappedSequences(BaseSequences):
    """Sequences that stay in a memory-mapped file: those of a batch are read, converted and patched at a time.

    Attributes
    ----------
    source : ndarray of shape (n_in_source, n_steps, n_features), or list of ndarray of shape (n_steps_i, n_features)
        Views of the file, of any dtype of real numbers and any strides.
    chosen : ndarray of shape (n_sequences,), int
        Which of the source's sequences these are.
    lengths : ndarray of shape (n_sequences,), int
        Steps per sequence, after patching.
    form : {"rows", "array", "list", "object"}
    read_as, dtype : dtype
        float32 or float64: the type in which numbers of the file are read, and the one to which they are converted
        then. Data in memory take the same two steps: rounding int64 to float64 and then to float32 gives other
        bits than rounding it to float32 at once.
    holds_floats : bool
        Whether NaN and infinity are possible: not among integers.
    patch_size : int
        Steps of the source in a step.
    name : str
        The argument that held them, for messages: "X" or "X_val".
    """

    source: np.ndarray | list[np.ndarray]
    chosen: np.ndarray
    lengths: np.ndarray
    form: str
    read_as: np.dtype
    dtype: np.dtype
    holds_floats: bool
    patch_size: int = 1
    name: str = "X"

    @property
    def n_features(self) -> int:
        """Features of every row."""
        return self.source[0].shape[1] * self.patch_size

    def load(self, indices: Any) -> Sequences:
        """Read the sequences at ``indices``, in that order.

        Returns
        -------
        Sequences
        """
        parts = [self.source[i] for i in self.chosen[indices]]
        lengths = np.array([len(part) for part in parts])
        rows = np.empty((lengths.sum(), parts[0].shape[1]), self.read_as)  # in C order, whatever that of the parts is
        np.concatenate(parts, out=rows, casting="unsafe")
        return Sequences(rows.astype(self.dtype, copy=False), lengths, self.form).patched(self.patch_size)

    def chunks(self) -> Iterator[tuple[int, np.ndarray]]:
        """Yield (first row, rows) for all rows in their order, some sequences at a time."""
        n_at_once = max(1, CHECKED_AT_ONCE // int(self.lengths.max() * self.n_features))
        for first in range(0, len(self), n_at_once):
            yield self.starts[first], self.load(slice(first, first + n_at_once)).rows

    def packed_rows(self, order: np.ndarray | slice, packing: Packing) -> np.ndarray:
        """Rows of the sequences at ``order``, as a packing of them has them."""
        return self.load(order).packed_rows(slice(None), packing)  # all of them: no copy but the packed one

    def subset(self, indices: Any) -> MappedSequences:
        """Return the sequences at ``indices``, in that order; nothing is read."""
        return replace(self, chosen=self.chosen[indices], lengths=self.lengths[indices])

    def astype(self, dtype: Any) -> MappedSequences:
        """Return the sequences to be read in another dtype."""
        return replace(self, dtype=dtype)

    def patched(self, patch_size: int) -> MappedSequences:
        """Join ``patch_size`` steps to one, as :meth:`Sequences.patched`, whenever sequences are read."""
        return replace(self, lengths=-(-self.lengths // patch_size), patch_size=patch_size)


def _object_array(parts: list[np.ndarray]) -> np.ndarray:
    array = np.empty(len(parts), dtype=object)
    array[:] = parts
    return array
