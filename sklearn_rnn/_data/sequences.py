"""The steps of all sequences, one after the other: in memory, or in a memory-mapped file."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from sklearn_rnn._data.categories import Categories
from sklearn_rnn._data.mapped_files import FileReference, give_back_memory, opened, reference_to, shared_file_of
from sklearn_rnn._data.packing import Packing
from sklearn_rnn._utils.caching import cached

# Number of values of a memory-mapped file that are checked at a time: 2 MB in float64. One sequence is never split.
VALUES_PER_CHECK = 2**18
# Features from which it is faster to copy row by row than to turn an array.
WIDE = 8


class BaseSequences(ABC):
    """The rows of each sequence, by index. A row is one step of one sequence. Subclasses hold the values.

    Attributes
    ----------
    lengths : ndarray of shape (n_sequences,), int
        Steps per sequence.
    form : {"rows", "array", "list", "object"}
        The form of X: 2-D, 3-D, a list or tuple, or an object array.
    name : str
        The argument that contained them, for messages: "X" or "X_val".
    """

    lengths: np.ndarray
    form: str
    name: str

    def __len__(self) -> int:
        return len(self.lengths)

    @property
    @abstractmethod
    def n_features(self) -> int:
        """Features of every row."""

    @abstractmethod
    def load(self, indices: Any) -> Sequences:
        """Return the sequences at ``indices``, in that order, in memory."""

    @abstractmethod
    def subset(self, indices: Any) -> BaseSequences:
        """Return the sequences at ``indices``, in that order."""

    @abstractmethod
    def packed_rows(self, order: np.ndarray | slice, packing: Packing) -> np.ndarray:
        """Rows of the sequences at ``order``, in the order of the packing's rows."""

    @cached
    def n_rows(self) -> int:
        """Number of steps of all sequences together."""
        return int(self.lengths.sum())

    @cached
    def starts(self) -> np.ndarray:
        """(n_sequences,) index of the row of each sequence's first step."""
        return np.concatenate([[0], np.cumsum(self.lengths)[:-1]])

    @cached
    def common_length(self) -> int | None:
        """Number of steps of every sequence; None if sequences have different numbers of steps."""
        length = int(self.lengths[0]) if len(self) else 0
        is_common = self.form in ("rows", "array") or len(self) < 2
        return length if is_common or (self.lengths == length).all() else None

    @property
    def of_data(self) -> Sequences | MappedSequences:
        """The sequences whose steps are those of X; of patches, the sequences that they are made of."""
        assert isinstance(self, (Sequences, MappedSequences))
        return self

    def remember_files(self) -> None:
        """Note the state of the files that hold X; see :meth:`MappedSequences.remember_files`."""
        self.of_data.remember_files()

    def give_back_memory(self) -> None:
        """Let this process forget what it has read of the files that hold X. It counts as memory of the process."""
        self.of_data.give_back_memory()

    def place_of(self, row: Any) -> tuple[int, int]:
        """Return the sequence and the step of a row."""
        sequence = int(np.searchsorted(self.starts, row, side="right")) - 1
        return sequence, int(row - self.starts[sequence])

    def name_of(self, row: Any) -> str:
        """Return the name of the sequence of a row, such as "X[3]", for messages."""
        return f"{self.name}[{self.place_of(row)[0]}]"

    def take_sequences(self, values: np.ndarray, indices: np.ndarray) -> np.ndarray:
        """Take the values, (n_rows, ...), of the sequences at ``indices``, sequence after sequence."""
        if self.common_length is not None:
            by_sequence = values.reshape(len(self), self.common_length, *values.shape[1:])
            return by_sequence[indices].reshape(-1, *values.shape[1:])
        lengths = self.lengths[indices]
        first = np.repeat(self.starts[indices], lengths)
        within = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        return values[first + within]

    def take_steps(self, values: np.ndarray, order: np.ndarray | slice, packing: Packing) -> np.ndarray:
        """Take the values, (n_rows, ...), of the sequences at ``order``, in the order of the packing's rows.

        Those of a single sequence need not move: the result may be ``values`` itself.
        """
        if len(self) == packing.n_sequences == 1:
            return values
        n_steps = self.common_length
        if n_steps is not None:
            is_wide = values.ndim > 1 and values.shape[1] >= WIDE and values.flags.c_contiguous
            if is_wide and isinstance(order, np.ndarray):
                return values.take((order * n_steps + np.arange(n_steps)[:, np.newaxis]).ravel(), axis=0)
            by_sequence = values.reshape(len(self), n_steps, *values.shape[1:])[order]
            return by_sequence.swapaxes(0, 1).reshape(packing.n_rows, *values.shape[1:])
        # Row (t, i) of the batch is step t of the i-th sequence.
        return values.take(self.starts[order].take(packing.sequence_of_row) + packing.step_of_row, axis=0)

    def split(self, values: np.ndarray) -> np.ndarray | list[np.ndarray]:
        """Return values of every row, (n_rows, ...), in the form of X.

        Returns
        -------
        ndarray of shape (n_sequences, n_steps, ...) for 2-D and 3-D X, otherwise a list (or object array)
        with an array (n_steps_i, ...) for each sequence
        """
        if self.form in ("rows", "array"):
            return values.reshape(len(self), -1, *values.shape[1:])
        parts = np.split(values, self.starts[1:])
        return parts if self.form == "list" else object_array(parts)


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
        The argument that contained them, for messages: "X" or "X_val".
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

    def remember_files(self) -> None:
        """Do nothing: the steps are not in a file."""

    def give_back_memory(self) -> None:
        """Do nothing: the steps are not in a file."""

    def chunks(self) -> Iterator[tuple[int, np.ndarray]]:
        """Yield (index of the first row, rows): all rows, in one chunk."""
        yield 0, self.rows

    def packed_rows(self, order: np.ndarray | slice, packing: Packing) -> np.ndarray:
        """Rows of the sequences at ``order``, in the order of the packing's rows."""
        return self.take_steps(self.rows, order, packing)

    def load(self, indices: Any) -> Sequences:
        """Return the sequences at ``indices``, in that order. They are already in memory."""
        return self.subset(indices)

    def subset(self, indices: Any) -> Sequences:
        """Return the sequences at ``indices``, in that order."""
        return replace(self, rows=self.take_sequences(self.rows, indices), lengths=self.lengths[indices])

    def astype(self, dtype: Any) -> Sequences:
        """Return the sequences in another dtype."""
        return replace(self, rows=self.rows.astype(dtype))


@dataclass
class MappedSequences(BaseSequences):
    """Sequences that stay in a memory-mapped file. A batch's sequences are read when the batch is packed.

    Attributes
    ----------
    source : ndarray of shape (n_in_source, n_steps, n_features), or list of ndarray of shape (n_steps_i, n_features)
        Views of the file, of any dtype of real numbers and any strides.
    chosen : ndarray of shape (n_sequences,), int
        Indices of these sequences in the source.
    lengths : ndarray of shape (n_sequences,), int
        Steps per sequence.
    form : {"rows", "array", "list", "object"}
    read_as, dtype : dtype
        float32 or float64. The file's numbers are read as ``read_as`` and then converted to ``dtype``. Data in memory
        are converted in the same two steps: int64 rounded to float64 and then to float32 may differ in the last bit
        from int64 rounded to float32.
    holds_floats : bool
        Whether NaN and infinity are possible; False for integers.
    name : str
        The argument that contained them, for messages: "X" or "X_val".
    categories : Categories or None
        The categorical features, whose values are read as codes.
    """

    source: np.ndarray | list[np.ndarray]
    chosen: np.ndarray
    lengths: np.ndarray
    form: str
    read_as: np.dtype
    dtype: np.dtype
    holds_floats: bool
    name: str = "X"
    categories: Categories | None = None

    @property
    def n_features(self) -> int:
        """Features of every row."""
        return self.source[0].shape[1]

    def load(self, indices: Any) -> Sequences:
        """Read the sequences at ``indices``, in that order.

        Returns
        -------
        Sequences
        """
        parts = [self.source[i] for i in self.chosen[indices]]
        lengths = np.array([len(part) for part in parts])
        rows = np.empty((lengths.sum(), parts[0].shape[1]), self.read_as)  # always in C order
        np.concatenate(parts, out=rows, casting="unsafe")
        rows = rows.astype(self.dtype, copy=False)
        if self.categories is not None:
            rows = self.categories.encode_rows(rows, lambda _: self.name)
        return Sequences(rows, lengths, self.form)

    # Pickles of files that are only read refer to them: whoever loads them must see the same files.
    def __getstate__(self) -> dict[str, Any]:
        if self._references is None:
            return vars(self)
        return vars(self) | {"source": None, "is_list": isinstance(self.source, list)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        if state["source"] is None:
            arrays = opened(state["_references"])
            state["source"] = arrays if state.pop("is_list") else arrays[0]
        vars(self).update(state)

    @cached
    def _references(self) -> list[FileReference] | None:
        found = [reference_to(array) for array in self._arrays]
        references = [reference for reference in found if reference is not None]
        return references if len(references) == len(found) else None

    def remember_files(self) -> None:
        """Note the sizes and times of the files: a later pickle then shows if a file has changed since now."""
        self._references  # noqa: B018

    @property
    def _arrays(self) -> list[np.ndarray]:
        return [self.source] if isinstance(self.source, np.ndarray) else self.source

    def give_back_memory(self) -> None:
        files = {id(file): file for file in map(shared_file_of, self._arrays) if file is not None}
        for file in files.values():
            give_back_memory(file)

    def chunks(self) -> Iterator[tuple[int, np.ndarray]]:
        """Yield (index of the first row, rows): all rows in order, some sequences at a time."""
        n_sequences = max(1, VALUES_PER_CHECK // int(self.lengths.max() * self.n_features))
        for first in range(0, len(self), n_sequences):
            yield self.starts[first], self.load(slice(first, first + n_sequences)).rows

    def packed_rows(self, order: np.ndarray | slice, packing: Packing) -> np.ndarray:
        """Rows of the sequences at ``order``, in the order of the packing's rows."""
        return self.load(order).packed_rows(slice(None), packing)  # a slice, not indices: it makes no extra copy

    def subset(self, indices: Any) -> MappedSequences:
        """Return the sequences at ``indices``, in that order, without reading them."""
        return replace(self, chosen=self.chosen[indices], lengths=self.lengths[indices])

    def astype(self, dtype: Any) -> MappedSequences:
        """Return the sequences with another dtype, to which they will be converted."""
        return replace(self, dtype=dtype)


def object_array(parts: Sequence[Any]) -> np.ndarray:
    """Return a 1-D array whose items are ``parts``, even if these are arrays of one shape."""
    array = np.empty(len(parts), dtype=object)
    array[:] = parts
    return array
