"""Threads over blocks of sequences, while BLAS is limited to one thread.

Ctrl-C raises KeyboardInterrupt between any two instructions of the main thread's Python code: also before the first
instruction of an ``__exit__``, and inside of a ``finally``. It never interrupts a call of a function that is written in
C. A counter of users would therefore go wrong. Instead, every step here is one such call, or it may stop anywhere and
can be repeated.
"""

from __future__ import annotations

import os
import threading
from _thread import start_new_thread  # one call in C; Thread.start is Python code and holds a lock of ``threading``
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from functools import cache, partial
from operator import attrgetter
from queue import SimpleQueue
from typing import Any, cast
from weakref import ref

from joblib.parallel import (
    LokyBackend,
    MultiprocessingBackend,
    SequentialBackend,
    ThreadingBackend,
    get_active_backend,
)
from threadpoolctl import ThreadpoolController

Map = Callable[[Callable[[Any], Any], Iterable[Any]], Iterable[Any]]


def threads(n_jobs: int | None, limits_blas: bool = True) -> AbstractContextManager[Map]:
    """Give a ``map`` that calls its function in ``n_jobs`` threads (by joblib's rules) and returns results in order.

    BLAS uses one thread inside of the with statement. The blocks of sequences run in parallel already, and the bits of
    a product must not depend on the number of free threads. Work without BLAS spares the time of this,
    ``limits_blas=False``.
    """
    n_threads = number_of_threads(n_jobs)
    run = map if n_threads == 1 else partial(_map_with_helpers, n_threads - 1)
    if not limits_blas:
        return nullcontext(cast(Map, run))
    return cast(AbstractContextManager[Map], _WithOneBlasThread(run))


def number_of_threads(n_jobs: int | None) -> int:
    """Return the number of threads that ``n_jobs`` stands for, by joblib's rules for threads.

    None is the number of the joblib context, if its backend works on this machine. The backends of dask and ray count
    the cores of a whole cluster, also inside of their workers, where each of many fits would start as many threads.
    There None is one thread.

    joblib's own ``effective_n_jobs`` is not used: it counts what the backend can start. With dask that is the cluster's
    cores for any ``n_jobs``, and with processes it is 1, and a warning, in a daemon such as dask's worker.
    """
    if n_jobs == 1:  # the look at the context takes as long as a small prediction
        return 1
    backend, n_jobs_of_context = get_active_backend()
    if isinstance(backend, SequentialBackend):  # inside of nested parallel calls
        return cast(int, backend.effective_n_jobs(n_jobs))
    if n_jobs is None and type(backend) in _BACKENDS_OF_THIS_MACHINE:
        n_jobs = n_jobs_of_context
    return cast(int, ThreadingBackend().effective_n_jobs(n_jobs))


# Not their subclasses: ray's backend is one.
_BACKENDS_OF_THIS_MACHINE = (LokyBackend, MultiprocessingBackend, ThreadingBackend)


# ---- The map ---------------------------------------------------------------------------------------------------------


def _map_with_helpers(n_helpers: int, function: Callable[[Any], Any], items: Iterable[Any]) -> list[Any]:
    """``map`` with helper threads. The calling thread works too: it need not be woken, which takes time."""
    todo = deque(enumerate(items))  # several threads may take items from a deque
    results: list[Any] = [None] * len(todo)
    begun: list[None] = []  # one entry for each helper that has begun
    errors: list[BaseException | None] = []  # one entry for each helper that has ended
    done: SimpleQueue[None] = SimpleQueue()  # an entry wakes the calling thread

    def work() -> None:
        while todo:
            try:
                place, item = todo.popleft()
            except IndexError:  # another thread has just taken the last item
                return
            results[place] = function(item)

    def help_out() -> None:
        begun.append(None)  # before it takes an item: a helper that begins after ``todo.clear()`` finds none
        error = None
        try:
            work()
        except BaseException as raised:
            error = raised
        errors.append(error)
        done.put(None)

    def finish() -> None:
        """Wait for all calls that have begun. After an error or Ctrl-C, no other call begins."""
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
        finish()  # again: Ctrl-C may have interrupted the first one, most often while it waited
    for error in filter(None, errors):
        raise error
    return results


class _Helpers:
    """Threads that wait for work, shared by all maps: the start of a thread takes longer than many batches.

    The number of waiting threads is at most the number of the machine's processors, or the largest number that a map
    asked for.
    """

    def __init__(self) -> None:
        self._jobs: deque[Callable[[], None]] = deque()
        self._idle: list[None] = []  # one entry for each waiting thread
        self._most_idle = os.cpu_count() or 1
        self._news: SimpleQueue[None] = SimpleQueue()  # one entry for each job: it wakes a thread
        self._started: SimpleQueue[None] = SimpleQueue()

    def ask(self, job: Callable[[], None], n_times: int) -> None:
        """Ask threads to run a job ``n_times`` in parallel. Calls that have not begun may be withdrawn."""
        self._most_idle = max(self._most_idle, n_times)
        for _ in range(n_times):
            self._jobs.append(job)
            self._news.put(None)
        for _ in range(len(self._jobs) - len(self._idle)):
            start_new_thread(self._serve, ())
            self._started.get()  # otherwise the next call might not see this thread, and start one more

    def withdraw(self, job: Callable[[], None]) -> None:
        """Cancel the calls of a job that have not begun."""
        while job in self._jobs:
            try:
                self._jobs.remove(job)
            except ValueError:  # a thread has just taken the job
                return

    def _serve(self) -> None:
        """Run jobs. Python raises KeyboardInterrupt in the main thread only: nothing interrupts this one."""
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
                del job  # it refers to results
            if len(self._idle) >= self._most_idle:
                return
            self._idle.append(None)


# ---- BLAS ------------------------------------------------------------------------------------------------------------


class _Stay:
    """One use of ``threads`` by a thread. It ends when the exit of its with statement is called or deleted."""

    __slots__ = ("exit", "thread")

    exit: ref[Any] | None  # None after the call
    thread: int


class _WithOneBlasThread:
    """A context manager that limits BLAS to one thread and gives ``value``.

    An interrupt may stop its exit before the exit's first instruction. But the with statement always drops its
    reference to the exit, and there is no other reference. A traceback has none either: the frames of the exit refer to
    the stay, not to the exit. The stay therefore ends when the exit is deleted. This is why ``__enter__`` and
    ``__exit__`` are not methods: ``self`` in their frames would keep the exit alive.
    """

    __slots__ = ("_enter", "_exit")

    def __init__(self, value: Any) -> None:
        stay = _Stay()
        self._enter = partial(_blas.enter, stay, value)
        self._exit = partial(_blas.leave, stay)
        stay.exit = ref(self._exit, _blas.mend)

    __enter__ = property(attrgetter("_enter"))
    __exit__ = property(attrgetter("_exit"))


class _Blas:
    """Limits BLAS to one thread while any thread of this process is inside of a stay.

    The limit belongs to the whole process. The first stay sets it and the last stay removes it: threads may begin and
    end their stays in any order.
    """

    def __init__(self) -> None:
        self.lock = threading.RLock()  # reentrant: the garbage collector may end a stay in the middle of ``_settle``
        self._inside: set[_Stay] = set()
        self._is_limited = False
        self._originals: dict[Any, int] = {}  # {library: its own number of threads}, of limited libraries

    def enter(self, stay: _Stay, value: Any) -> Any:
        stay.thread = threading.get_ident()
        self._inside.add(stay)
        self.settle()
        return value

    def leave(self, stay: _Stay, *_: object) -> None:
        self._inside.discard(stay)
        if not self._inside:  # otherwise the last stay settles
            self.settle()
        stay.exit = None  # nothing is left to do: ``mend`` need not be called for this exit

    def mend(self, _: ref[Any]) -> None:
        """Settle after an exit was deleted that was interrupted or never called. Ignore a second interrupt."""
        while True:
            try:
                return self.settle()
            except KeyboardInterrupt:
                pass

    def settle(self) -> None:
        """Limit BLAS if any thread is inside, otherwise restore its threads. A lock admits one thread at a time.

        One call in C acquires the lock and appends it to ``held``. One call of ``any`` releases it; the second call
        then finds nothing to release. A ``with`` statement would have some instructions between its body and the
        release.
        """
        held: list[Any] = []
        releases = map(_RLock.release, held)
        try:
            try:
                held.extend(filter(_RLock.acquire, [self.lock]))
                self._settle()
            finally:
                any(releases)
        finally:
            any(releases)

    def _settle(self) -> None:
        for stay in tuple(self._inside):
            leave = stay.exit  # read once: another thread may set it to None
            if leave is not None and leave() is None:
                self._inside.discard(stay)
        if not self._inside:
            self._restore()
        elif not self._is_limited:
            self._limit()

    def _limit(self) -> None:
        _let_any_thread_limit_openblas()
        for library in _blas_libraries():
            self._originals.setdefault(library, library.num_threads)
            library.set_num_threads(1)
        _let_any_thread_limit_openblas()
        self._is_limited = True

    def _restore(self) -> None:
        if not self._originals:
            return
        self._is_limited = False
        _let_any_thread_limit_openblas()
        for library, n_threads in tuple(self._originals.items()):
            library.set_num_threads(n_threads)
            self._originals.pop(library, None)
        _let_any_thread_limit_openblas()

    def forget_other_threads(self) -> None:
        """Forget the stays of other threads in a forked child: only the thread that forked exists there."""
        here = threading.get_ident()
        self._inside.difference_update([stay for stay in tuple(self._inside) if stay.thread != here])
        self.settle()


@cache
def _blas_libraries() -> list[Any]:
    """Find the BLAS libraries of this process. The result is cached: a search takes milliseconds."""
    return ThreadpoolController().select(user_api="blas").lib_controllers


def _let_any_thread_limit_openblas() -> None:
    """Let all threads limit OpenBLAS: since threadpoolctl 3.8, only the thread that limited it first may."""
    for library in _blas_libraries():
        if hasattr(library, "clear_controlling_thread"):
            library.clear_controlling_thread(force=True)


_RLock: Any = type(threading.RLock())
_blas = _Blas()
_helpers = _Helpers()


# ---- Forked processes ------------------------------------------------------------------------------------------------


def _forget_parents_threads() -> None:
    """Forget threads that exist only in the parent, and restore BLAS if only these threads limited it."""
    global _helpers
    _helpers = _Helpers()
    _blas.lock._at_fork_reinit()  # type: ignore[attr-defined]
    _blas.forget_other_threads()


if hasattr(os, "register_at_fork"):
    # These are functions in C. While this thread has the lock, no other thread changes limits or locks threadpoolctl.
    os.register_at_fork(
        before=_blas.lock.acquire, after_in_parent=_blas.lock.release, after_in_child=_forget_parents_threads
    )
