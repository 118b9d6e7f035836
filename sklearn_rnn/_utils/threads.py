"""Threads over blocks of sequences, and BLAS held to one thread meanwhile."""

from __future__ import annotations

import os
import threading
from _thread import start_new_thread  # one call in C; Thread.start is Python code that holds a lock of ``threading``
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import cache, partial
from queue import SimpleQueue
from typing import Any

from joblib import effective_n_jobs
from threadpoolctl import ThreadpoolController

Map = Callable[[Callable[[Any], Any], Iterable[Any]], Iterable[Any]]


@contextmanager
def threads(n_jobs: int | None) -> Iterator[Map]:
    """Give a ``map`` that runs its function in as many threads as ``n_jobs`` means, results in order.

    BLAS uses one thread inside: blocks of sequences are what runs side by side, and a product's bits
    must not depend on how many threads happen to be free.
    """
    n_threads = effective_n_jobs(n_jobs)
    with _blas_held_to_one_thread:
        yield map if n_threads == 1 else partial(_map_with_helpers, n_threads - 1)


# ---- The map ---------------------------------------------------------------------------------------------------------


def _map_with_helpers(n_helpers: int, function: Callable[[Any], Any], items: Iterable[Any]) -> list[Any]:
    """``map``, where the calling thread works too: it is awake already, and to wake another takes a while."""
    todo = deque(enumerate(items))  # threads may take from a deque side by side
    results: list[Any] = [None] * len(todo)
    begun: list[None] = []  # one for each helper
    errors: list[BaseException | None] = []  # one for each helper that is done
    done: SimpleQueue[None] = SimpleQueue()  # wakes the calling thread

    def work() -> None:
        while todo:
            try:
                place, item = todo.popleft()
            except IndexError:  # another thread has just taken the last one
                return
            results[place] = function(item)

    def help_out() -> None:
        begun.append(None)  # before it takes an item: whoever begins after ``todo.clear()`` finds none
        error = None
        try:
            work()
        except BaseException as raised:
            error = raised
        errors.append(error)
        done.put(None)

    def finish() -> None:
        """After an error or Ctrl-C, what has begun ends and nothing else begins."""
        todo.clear()
        helpers.withdraw(help_out)
        while len(errors) < len(begun):
            done.get()

    helpers = _helpers
    try:
        try:
            helpers.ask(help_out, min(n_helpers, len(todo) - 1))
            work()
        finally:
            finish()
    finally:
        finish()  # again, as Ctrl-C may have come inside of the first one: most often while it waits
    for error in filter(None, errors):
        raise error
    return results


class _Helpers:
    """Threads that wait for work, since starting one takes longer than many a batch; maps share them.

    As many are kept as the machine has processors, or as the largest map has asked for.
    """

    def __init__(self) -> None:
        self._jobs: deque[Callable[[], None]] = deque()
        self._idle: list[None] = []  # one for each thread that waits
        self._most_idle = os.cpu_count() or 1
        self._news: SimpleQueue[None] = SimpleQueue()  # one for each job: wakes a thread
        self._started: SimpleQueue[None] = SimpleQueue()

    def ask(self, job: Callable[[], None], n_times: int) -> None:
        """Have a job done ``n_times`` side by side, by threads that find time for it before it is withdrawn."""
        self._most_idle = max(self._most_idle, n_times)
        for _ in range(n_times):
            self._jobs.append(job)
            self._news.put(None)
        for _ in range(len(self._jobs) - len(self._idle)):
            start_new_thread(self._serve, ())
            self._started.get()  # otherwise the next call might come first, not see the thread, and start one more

    def withdraw(self, job: Callable[[], None]) -> None:
        """Forget whatever nobody has begun to do of a job."""
        while job in self._jobs:
            try:
                self._jobs.remove(job)
            except ValueError:  # a thread has just taken it
                return

    def _serve(self) -> None:
        """Do jobs. Python gives Ctrl-C to the main thread alone, so nothing interrupts this one."""
        self._idle.append(None)
        self._started.put(None)
        while True:
            self._news.get()
            self._idle.pop()
            try:
                job = self._jobs.popleft()
            except IndexError:  # withdrawn
                pass
            else:
                job()
                del job  # it holds on to results
            if len(self._idle) >= self._most_idle:
                return
            self._idle.append(None)


# ---- BLAS ------------------------------------------------------------------------------------------------------------


@cache
def _controller() -> ThreadpoolController:
    """Find the BLAS libraries of this process, once: it takes milliseconds."""
    return ThreadpoolController()


def _let_any_thread_limit_openblas() -> None:
    """Undo what threadpoolctl 3.8 began: to heed none but the thread that was first to limit OpenBLAS."""
    for library in _controller().lib_controllers:
        if hasattr(library, "clear_controlling_thread"):
            library.clear_controlling_thread(force=True)


class _HeldToOneThread:
    """Holds BLAS to one thread while anyone in this process is inside; the limit is the process's own.

    So the first one in sets it and the last one out takes it back, in whatever order threads come and go.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._n_inside = 0
        self._limit: Any = None

    def __enter__(self) -> None:
        with self._lock:
            if self._n_inside == 0:
                _let_any_thread_limit_openblas()
                self._limit = _controller().limit(limits=1, user_api="blas")
            self._n_inside += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._n_inside -= 1
            if self._n_inside == 0:
                _let_any_thread_limit_openblas()
                self._limit.restore_original_limits()
                _let_any_thread_limit_openblas()


_blas_held_to_one_thread = _HeldToOneThread()
_helpers = _Helpers()


# ---- Forked processes ------------------------------------------------------------------------------------------------


def _begin_anew() -> None:
    """Forget threads that live on in the parent alone."""
    global _helpers
    _helpers = _Helpers()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_anew)
