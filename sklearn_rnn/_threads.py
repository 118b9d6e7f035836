"""Threads over blocks of sequences, and BLAS held to one thread meanwhile."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from typing import Any

from joblib import effective_n_jobs
from threadpoolctl import ThreadpoolController


@contextmanager
def threads(n_jobs):
    """Give a ``map`` that runs its function in as many threads as ``n_jobs`` means, results in order.

    BLAS uses one thread inside: blocks of sequences are what runs side by side, and a product's bits
    must not depend on how many threads happen to be free.
    """
    n_threads = effective_n_jobs(n_jobs)
    with _blas_held_to_one_thread:
        if n_threads == 1:
            yield map
        else:
            with ThreadPoolExecutor(n_threads) as executor:
                yield executor.map


@cache
def _controller():
    """Find the BLAS libraries of this process, once: it takes milliseconds."""
    return ThreadpoolController()


class _HeldToOneThread:
    """Holds BLAS to one thread while anyone in this process is inside; the limit is the process's own.

    So the first one in sets it and the last one out takes it back, in whatever order threads come and go.
    """

    def __init__(self):
        self._lock = threading.Lock()
        self._n_inside = 0
        self._limit: Any = None

    def __enter__(self):
        with self._lock:
            if self._n_inside == 0:
                self._limit = _controller().limit(limits=1, user_api="blas")
            self._n_inside += 1

    def __exit__(self, *_):
        with self._lock:
            self._n_inside -= 1
            if self._n_inside == 0:
                self._limit.restore_original_limits()


_blas_held_to_one_thread = _HeldToOneThread()
