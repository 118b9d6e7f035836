"""Memory-mapped data in parts, whose results are written to a temporary file and read as an array in this file."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import chain
from mmap import mmap

import numpy as np

from sklearn_rnn._data.sequences import MappedSequences, Sequences


def in_parts(function, sequences, folder):
    """Compute something for all steps: of sequences in a file part by part, with the result in a temporary file.

    Parameters
    ----------
    function : callable
        ``function(part, first)`` returns rows, (n_rows_i, n_columns). A part is Sequences in memory; ``first`` is the
        place of its first sequence in X.
    sequences : BaseSequences
    folder : str, path-like or None
        Where the file is, as for :func:`stored`.

    Returns
    -------
    ndarray of shape (n_rows, n_columns), or the result of the function for sequences in memory
    """
    results = (function(part, first) for first, part in parts_of(sequences))
    return stored(results, folder) if isinstance(sequences, MappedSequences) else next(results)


def parts_of(sequences):
    """Yield parts that fit into memory, each after the place of its first sequence: whole sequences of a file, or all.

    ``sequences.chunks()`` has the same parts, as rows.
    """
    if not isinstance(sequences, MappedSequences):
        yield 0, sequences
        return
    for first_row, rows in sequences.chunks():
        first, _ = sequences.place_of(first_row)
        last, _ = sequences.place_of(first_row + len(rows) - 1)
        yield first, Sequences(rows, sequences.lengths[first : last + 1], sequences.form)


def stored(parts, folder):
    """Write the rows of all parts to a temporary file.

    Parameters
    ----------
    parts : iterable of ndarray of shape (n_rows_i, n_columns)
        At least one part, with at least one row.
    folder : str, path-like or None
        Where the file is. None: the folder of :func:`tempfile.gettempdir`.

    Returns
    -------
    ndarray of shape (n_rows, n_columns)
        A writable array in the file, which has no name and disappears with the array. It is no numpy.memmap: joblib
        would send the name of its file to other processes.

    Raises
    ------
    OSError
        If the file cannot be made, or has no room. Writing into a map would end the process there.
    ValueError
        If the parts cannot be joined, or are of objects.
    """
    with ExitStack() as stack:
        with _naming(folder):
            file = stack.enter_context(tempfile.TemporaryFile(dir=folder))
        parts = iter(parts)
        first = next(parts)
        for part in chain([first], parts):
            _check_like_first(part, first)
            with _naming(folder):
                file.write(np.ascontiguousarray(part).data)
        with _naming(folder):
            file.flush()
        memory = mmap(file.fileno(), 0)
    return np.frombuffer(memory, first.dtype).reshape(-1, first.shape[1])


def _check_like_first(part, first):
    if part.dtype.hasobject:
        raise ValueError(
            "X is in a memory-mapped file, but the transformer returns objects, which cannot be stored in a file: pass "
            "numpy.array(X), which is in memory, or parts of X."
        )
    if (part.dtype, part.shape[1]) != (first.dtype, first.shape[1]):
        raise ValueError(
            f"X is in a memory-mapped file, which is read in parts, but the transformer returns {first.shape[1]} "
            f"features of {first.dtype} for the first part and {part.shape[1]} of {part.dtype} for another: it must "
            "transform every step by itself."
        )


@contextmanager
def _naming(folder) -> Iterator[None]:
    """Name the folder in errors of the file system."""
    try:
        yield
    except OSError as error:
        given = "" if folder is not None else f" ({tempfile.gettempdir()!r})"
        raise type(error)(
            f"temp_folder={folder!r}{given} cannot take the result for X, which is in a memory-mapped file: "
            f"{error.strerror}. Name a folder with room for it."
        ) from error
