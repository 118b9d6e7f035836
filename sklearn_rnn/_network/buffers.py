"""Work arrays that are allocated once and used for many batches, and the number of threads that may work on them."""

from __future__ import annotations

from math import prod

import numpy as np
from numpy.typing import DTypeLike

ALIGNMENT = 64  # bytes: a cache line, and the widest vector


def aligned_empty(size: int, dtype: DTypeLike) -> np.ndarray:
    """Return ``size`` uninitialised elements. Their memory begins at a cache line."""
    n_bytes = size * np.dtype(dtype).itemsize
    memory = np.empty(n_bytes + ALIGNMENT, np.uint8)
    start = -memory.__array_interface__["data"][0] % ALIGNMENT  # faster than memory.ctypes
    return memory[start : start + n_bytes].view(dtype)


class Buffers:
    """Named work arrays. Each is allocated at its first use, and again only if it must grow.

    A batch reuses the memory of earlier batches: for arrays of these sizes, new memory pages cost more time than the
    arithmetic.

    Attributes
    ----------
    n_threads : int
        How many threads a pass with these arrays may use, with the calling one. Engines that have no threads ignore it.
    """

    def __init__(self) -> None:
        self.n_threads = 1
        self._memory: dict[str, np.ndarray | None] = {}

    @property
    def n_bytes(self) -> int:
        """Bytes of all arrays."""
        return sum(memory.nbytes for memory in self._memory.values() if memory is not None)

    def array(self, name: str, shape: tuple[int, ...], dtype: DTypeLike) -> np.ndarray:
        """Return an uninitialised array; the earlier content under ``name`` is lost."""
        size = prod(shape)
        memory = self._memory.get(name)
        if memory is None or memory.size < size or memory.dtype != dtype:
            self._memory[name] = memory = None  # free the old memory before the new memory is allocated
            self._memory[name] = memory = aligned_empty(size, dtype)
        return memory[:size].reshape(shape)


class NetworkBuffers(dict[str, Buffers]):
    """One set of work arrays for each direction of each layer, one for the embedding, and one for the readout.

    Attributes
    ----------
    n_threads : int
        Of each set; see :class:`Buffers`.
    """

    n_threads = 1

    @property
    def n_bytes(self) -> int:
        """Bytes of all arrays."""
        return sum(buffers.n_bytes for buffers in self.values())

    def of(self, name: str) -> Buffers:
        """Return the buffers of the direction called ``name``, of the "embedding" or of the "readout"."""
        buffers = self.setdefault(name, Buffers())
        buffers.n_threads = self.n_threads
        return buffers
