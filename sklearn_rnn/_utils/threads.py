"""Threads over blocks of sequences, and BLAS held to one thread meanwhile.

Ctrl-C raises KeyboardInterrupt between any two instructions of the main thread's Python code: also before the first
one of an ``__exit__``, and inside of a ``finally``. Only a call of a function that is written in C is never cut short.
So nothing here counts who comes and goes: each step is one such call, or it may stop anywhere and can be repeated.
"""

from __future__ import annotations

import os
import threading
from _thread import start_new_thread  # one call in C; Thread.start is Python code that holds a lock of ``threading``
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from functools import cache, partial
from operator import attrgetter
from queue import SimpleQueue
from typing import Any, cast
from weakref import ref

from joblib import effective_n_jobs
from threadpoolctl import ThreadpoolController

Map = Callable[[Callable[[Any], Any], Iterable[Any]], Iterable[Any]]


def threads(n_jobs: int | None) -> AbstractContextManager[Map]:
    """Give a ``map`` that runs its function in as many threads as ``n_jobs`` means, results in order.

    BLAS uses one thread inside: blocks of sequences are what runs side by side, and a product's bits
    must not depend on how many threads happen to be free.
    """
    n_threads = effective_n_jobs(n_jobs)
    run = map if n_threads == 1 else partial(_map_with_helpers, n_threads - 1)
    return cast(AbstractContextManager[Map], _WithOneBlasThread(run))


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


class _Stay:
    """One use of ``threads`` by a thread; it is over when the exit of its with statement has been called or is gone."""

    __slots__ = ("exit", "thread")

    exit: ref[Any] | None  # None once it has been called
    thread: int


class _WithOneBlasThread:
    """A context manager that holds BLAS to one thread and gives ``value``.

    An interrupt may stop its exit before the exit does anything. But in any case the with statement lets go of the
    exit. Nothing else refers to it. A traceback does not either: the frames of the exit get the stay, not the exit. So
    the stay is over when the exit is gone. This is why ``__enter__`` and ``__exit__`` are not methods: ``self`` in
    their frames would keep the exit.
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
    """Holds BLAS to one thread while anyone in this process is inside; the limit is the process's own.

    So the first one in sets it and the last one out takes it back, in whatever order threads come and go.
    """

    def __init__(self) -> None:
        self.lock = threading.RLock()  # an R: the garbage collector may end a stay in the middle of ``_settle``
        self._inside: set[_Stay] = set()
        self._is_limited = False
        self._originals: dict[Any, int] = {}  # {library: its number of threads}, of those that may be limited

    def enter(self, stay: _Stay, value: Any) -> Any:
        stay.thread = threading.get_ident()
        self._inside.add(stay)
        self.settle()
        return value

    def leave(self, stay: _Stay, *_: object) -> None:
        self._inside.discard(stay)
        if not self._inside:  # otherwise the last one out settles
            self.settle()
        stay.exit = None  # all is done: the exit may go without a call of ``mend``

    def mend(self, _: ref[Any]) -> None:
        """Settle when an exit goes that was interrupted or never called. A second interrupt adds nothing."""
        while True:
            try:
                return self.settle()
            except KeyboardInterrupt:
                pass

    def settle(self) -> None:
        """Limit BLAS if anyone is inside, otherwise give it back, one thread at a time.

        One call in C acquires the lock and notes it in ``held``. One call of ``any`` releases it, and the second call
        then finds nothing to release. A ``with`` has a gap of some instructions between its body and the release.
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
            leave = stay.exit  # read once: another thread may be about to set it to None
            if leave is not None and leave() is None:
                self._inside.discard(stay)
        if not self._inside:
            self._give_back()
        elif not self._is_limited:
            self._limit()

    def _limit(self) -> None:
        _let_any_thread_limit_openblas()
        for library in _blas_libraries():
            self._originals.setdefault(library, library.num_threads)
            library.set_num_threads(1)
        _let_any_thread_limit_openblas()
        self._is_limited = True

    def _give_back(self) -> None:
        if not self._originals:
            return
        self._is_limited = False
        _let_any_thread_limit_openblas()
        for library, n_threads in tuple(self._originals.items()):
            library.set_num_threads(n_threads)
            self._originals.pop(library, None)
        _let_any_thread_limit_openblas()

    def forget_other_threads(self) -> None:
        """Begin anew in a forked child, where no thread lives on but the one that forked."""
        here = threading.get_ident()
        self._inside.difference_update([stay for stay in tuple(self._inside) if stay.thread != here])
        self.settle()


@cache
def _blas_libraries() -> list[Any]:
    """Find the BLAS libraries of this process, once: it takes milliseconds."""
    return ThreadpoolController().select(user_api="blas").lib_controllers


def _let_any_thread_limit_openblas() -> None:
    """Undo what threadpoolctl 3.8 began: to heed none but the thread that was first to limit OpenBLAS."""
    for library in _blas_libraries():
        if hasattr(library, "clear_controlling_thread"):
            library.clear_controlling_thread(force=True)


_RLock: Any = type(threading.RLock())
_blas = _Blas()
_helpers = _Helpers()


# ---- Forked processes ------------------------------------------------------------------------------------------------


def _begin_anew() -> None:
    """Forget threads that live on in the parent alone, and give BLAS back if none but they held it."""
    global _helpers
    _helpers = _Helpers()
    _blas.lock._at_fork_reinit()  # type: ignore[attr-defined]
    _blas.forget_other_threads()


if hasattr(os, "register_at_fork"):
    # Functions in C again. With the lock no other thread is in the middle of a change, or has a lock of threadpoolctl.
    os.register_at_fork(before=_blas.lock.acquire, after_in_parent=_blas.lock.release, after_in_child=_begin_anew)
