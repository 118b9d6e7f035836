"""Arrays in memory-mapped files: whether X is one, the memory of what has been read of a file, and short pickles."""

from __future__ import annotations

import mmap
import os
from typing import Any, NamedTuple

import numpy as np


def is_mapped(X: Any) -> bool:
    """Whether X is an array of at least one real number in a memory-mapped file: numpy.memmap, or a view of one."""
    if not isinstance(X, np.ndarray) or X.size == 0 or X.dtype.kind not in "biuf":
        return False
    owner: Any = X
    while isinstance(owner, np.ndarray):
        owner = owner.base
    return isinstance(owner.obj if isinstance(owner, memoryview) else owner, mmap.mmap)


def owner_of(array: np.ndarray) -> np.memmap | None:
    """Return the numpy.memmap of a whole file that an array is, or is a view of; None if there is none."""
    owner: Any = array
    while isinstance(owner, np.ndarray):
        base: Any = owner.base
        if isinstance(owner, np.memmap) and isinstance(base, mmap.mmap):
            return owner
        owner = base
    return None


def shared_file_of(array: np.ndarray) -> mmap.mmap | None:
    """Return the file that holds an array and all changes of it, if it is a numpy.memmap or a view of one."""
    owner = owner_of(array)
    if owner is None or owner.mode == "c":  # changes are in this process alone
        return None
    file: Any = owner.base
    return file


def give_back_memory(file: mmap.mmap) -> None:
    """Let this process forget what it has read of a file; the system may keep it. Where this is unknown, do nothing."""
    if hasattr(mmap, "MADV_DONTNEED"):
        file.madvise(mmap.MADV_DONTNEED)


# ---- Pickles -----------------------------------------------------------------------------------------


class FileReference(NamedTuple):
    """A part of a file that is only read, as an array: what a pickle has in the place of its values.

    Attributes
    ----------
    path : str
    state : tuple of int
        Size of the file, and time of its last change, when the reference was made.
    offset : int
        Of the first element, in bytes.
    dtype, shape, strides
        Of the array.
    """

    path: str
    state: tuple[int, int]
    offset: int
    dtype: np.dtype
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def reference_to(array: np.ndarray) -> FileReference | None:
    """Return the reference to an array in a file that was mapped with mode "r"; None for all other arrays."""
    owner = owner_of(array)
    if owner is None or owner.mode != "r" or owner.filename is None:
        return None
    path = os.fspath(owner.filename)
    offset = owner.offset + _address_of(array) - _address_of(owner)
    return FileReference(path, _state_of(path), offset, array.dtype, array.shape, array.strides)


def opened(references: list[FileReference]) -> list[np.ndarray]:
    """Map the files again, each once, and return the arrays.

    Raises
    ------
    FileNotFoundError
        If a file is not there.
    ValueError
        If a file has changed since the references were made.
    """
    files: dict[str, np.memmap] = {}
    arrays = []
    for path, state, offset, dtype, shape, strides in references:
        if path not in files:
            if _state_of(path) != state:
                raise ValueError(f"{path} has changed since it was read: leave files of X as they are during fit.")
            files[path] = np.memmap(path, np.uint8, mode="r")
        arrays.append(np.ndarray(shape, dtype, files[path], offset, strides))
    return arrays


def _address_of(array: np.ndarray) -> int:
    address: int = array.__array_interface__["data"][0]
    return address


def _state_of(path: str) -> tuple[int, int]:
    status = os.stat(path)
    return status.st_size, status.st_mtime_ns
