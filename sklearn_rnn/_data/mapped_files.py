"""Arrays in memory-mapped files: whether X is one, and the memory of what has been read of a file."""

from __future__ import annotations

import mmap
from typing import Any

import numpy as np


def is_mapped(X: Any) -> bool:
    """Whether X is an array of at least one real number in a memory-mapped file: numpy.memmap, or a view of one."""
    if not isinstance(X, np.ndarray) or X.size == 0 or X.dtype.kind not in "biuf":
        return False
    owner: Any = X
    while isinstance(owner, np.ndarray):
        owner = owner.base
    return isinstance(owner.obj if isinstance(owner, memoryview) else owner, mmap.mmap)


def shared_file_of(array: np.ndarray) -> mmap.mmap | None:
    """Return the file that holds an array and all changes of it, if it is a numpy.memmap or a view of one."""
    owner: Any = array
    while isinstance(owner, np.ndarray):
        base: Any = owner.base
        if isinstance(owner, np.memmap) and isinstance(base, mmap.mmap):
            return None if owner.mode == "c" else base  # "c": changes are in this process alone
        owner = base
    return None


def give_back_memory(file: mmap.mmap) -> None:
    """Let this process forget what it has read of a file; the system may keep it. Where this is unknown, do nothing."""
    if hasattr(mmap, "MADV_DONTNEED"):
        file.madvise(mmap.MADV_DONTNEED)
