"""Threads over blocks of sequences, and BLAS held to one thread meanwhile."""

from __future__ import annotations

import os
import threading
from collections import defaultdict, deque
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
            with _helpers(n_threads - 1) as executor:
                yield lambda function, items: _map_with_helpers(executor, n_threads - 1, function, items)


def _map_with_helpers(executor, n_helpers, function, items):
    """``map``, where the calling thread works too: it is awake already, and to wake another takes a while."""
    todo = deque(enumerate(items))  # threads may take from a deque side by side
    results = [None] * len(todo)

    def work():
        while todo:
            try:
                place, item = todo.popleft()
            except IndexError:  # another thread has just taken the last one
                return
            results[place] = function(item)

    futures = [executor.submit(work) for _ in range(min(n_helpers, len(todo) - 1))]
    try:
        work()
    finally:
        todo.clear()  # after an error or Ctrl-C: what has begun ends, nothing else begins
        errors = [future.exception() for future in futures]
    for error in filter(None, errors):
        raise error
    return results


@contextmanager
def _helpers(n):
    """Give a pool that nobody else uses at the time; it is kept, as starting one takes longer than many a batch."""
    # A forked child begins with none: its parent's threads are not there.
    idle = _idle_pools[os.getpid(), n]
    try:
        executor = idle.pop()
    except IndexError:
        executor = ThreadPoolExecutor(n, thread_name_prefix="sklearn_rnn")
    try:
        yield executor
    finally:
        idle.append(executor)


_idle_pools: dict[tuple[int, int], list] = defaultdict(list)


@cache
def _controller():
    """Find the BLAS libraries of this process, once: it takes milliseconds."""
    return ThreadpoolController()


def _let_any_thread_limit_openblas():
    """Undo what threadpoolctl 3.8 began: to heed none but the thread that was first to limit OpenBLAS."""
    for library in _controller().lib_controllers:
        if hasattr(library, "clear_controlling_thread"):
            library.clear_controlling_thread(force=True)


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
                _let_any_thread_limit_openblas()
                self._limit = _controller().limit(limits=1, user_api="blas")
            self._n_inside += 1

    def __exit__(self, *_):
        with self._lock:
            self._n_inside -= 1
            if self._n_inside == 0:
                _let_any_thread_limit_openblas()
                self._limit.restore_original_limits()
                _let_any_thread_limit_openblas()


_blas_held_to_one_thread = _HeldToOneThread()
