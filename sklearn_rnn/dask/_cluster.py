"""Cluster: one training's tasks, sent and gathered; their failures as errors that name the part and the remedy."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import dask
import distributed
import numpy as np
from dask.sizeof import sizeof
from distributed.client import FutureCancelledError, FuturesCancelledError
from distributed.comm import CommClosedError
from distributed.scheduler import KilledWorker

from sklearn_rnn._network import kernels
from sklearn_rnn._utils.state import package_version
from sklearn_rnn._utils.warnings import warn_user
from sklearn_rnn.dask._data import Description, call_for_part

# Bytes of a state that are sent with the tasks of a round, all together. To hold it costs a task and 10 ms, in which
# the client does not send a second message. Dask does not hold it for us: in distributed 2026.8, a large keyword
# argument of Client.map fails beside arguments that are futures.
LARGEST_IN_TASKS = 2**20


# The errors of a lost connection to the scheduler.
LOST = (FutureCancelledError, FuturesCancelledError, CommClosedError)


@dataclass
class PreparedParts:
    """The parts of training or validation data, in the memory of workers.

    Attributes
    ----------
    futures : list of Future
        Of a Part each.
    places : list of str
        Their names, for messages.
    descriptions : list of Description
    workers : list of str
        The address of the worker that computed the last task of each; empty before the first.
    """

    futures: list[Any]
    places: list[str]
    descriptions: list[Description] = field(default_factory=list)
    workers: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        return sum(description.n_sequences for description in self.descriptions)

    # Names of a Dataset: a plain fit starts the output bias from them.
    @property
    def targets(self) -> np.ndarray:
        """The mean of the targets, (1, n_outputs), as that of one sample."""
        total, mean = 0.0, np.zeros(0)
        for description in self.descriptions:
            if description.mean is not None:
                total += description.weight
                share = description.weight / total
                mean = description.mean if share == 1 else mean + (description.mean - mean) * share
        return mean[None]

    @property
    def weights(self) -> np.ndarray:
        """The weight of this sample."""
        return np.ones(1)


@dataclass
class Timings:
    """Where the time of the rounds went.

    Attributes
    ----------
    n_rounds : int
    sending, waiting : float
        Seconds in which the client sent tasks, and waited for their results.
    computing : float
        Seconds of the slowest task of each round, on its worker.
    """

    n_rounds: int = 0
    sending: float = 0.0
    waiting: float = 0.0
    computing: float = 0.0


class Cluster:
    """The tasks of one call.

    Parameters
    ----------
    client : distributed.Client

    Attributes
    ----------
    name : str
        The beginning of the keys of all tasks.
    timings : Timings
    """

    def __init__(self, client: distributed.Client) -> None:
        self.client = client
        self.timings = Timings()
        self._state: Any = None  # of the present tasks
        self._of_round: list[distributed.Future] = []  # the tasks of the last round
        self._workers: set[str] = set()  # when they were asked last
        self.name, self._n_sent = f"sklearn_rnn-{uuid4().hex[:12]}", 0

    def check_versions(self) -> None:
        """Refuse workers with another version of this package; warn of workers with other kernels."""
        with self.failing_plainly():
            answers = self.client.run(versions_here, on_error="return")
        self._workers = set(answers)
        # A worker that dies just now does not answer. Others are asked again by their first task.
        of_workers = {address: answer for address, answer in answers.items() if not isinstance(answer, OSError)}
        for address, answer in of_workers.items():
            if isinstance(answer, Exception):
                raise RuntimeError(
                    f"client: the worker {address} cannot import sklearn_rnn ({answer!r}). Install the same version on "
                    "all workers."
                ) from answer
        version, kernels_here = versions_here()
        other = {address: found for address, (found, _) in of_workers.items() if found != version}
        if other:
            address, found = next(iter(other.items()))
            raise RuntimeError(
                f"client: {len(other)} of {len(of_workers)} workers have another version of sklearn_rnn, such as "
                f"{address} with {found}; here it is {version}. Install the same version on all of them."
            )
        names = {found for _, found in of_workers.values()} | {kernels_here}
        if len(names) > 1:
            warn_user(
                f"client: the cluster has machines with different kernels, {', '.join(sorted(names))}: another number "
                "of workers may give other bits. Set SKLEARN_RNN_KERNEL to the same kernel on all of them."
            )

    def share_with_new_workers(self, parts: PreparedParts) -> None:
        """Let Dask choose the workers of the next tasks of parts, if workers have joined the cluster."""
        with self.failing_plainly():
            workers = set(self.client.nthreads())
        if not workers <= self._workers:
            parts.workers = []
        self._workers = workers

    def compute(self, delayed: Sequence[Any]) -> list[distributed.Future]:
        """Start to compute lazy objects. A result that is lost with its worker is computed again."""
        return self.client.compute(list(delayed))

    def hold(self, value: Any) -> distributed.Future:
        """Send a value once; each worker that needs it gets it once.

        It is the result of a task, and not scattered: if all workers that have it die, the scheduler makes it again.
        """
        return self.client.submit(_same, value, key=self._key("value"), pure=False)

    def map(
        self, function: Callable[..., Any], parts: PreparedParts, *arguments: Any, state: Any = None
    ) -> list[distributed.Future]:
        """Start a task for each part, with the same further arguments; its result is an Answer.

        ``state`` is the last argument of all. A large one is held, so that it is sent once, and not with every task.
        """
        n_parts = len(parts.futures)
        if state is not None:
            state = self.hold(state) if n_parts * sizeof(state) > LARGEST_IN_TASKS else state
            arguments = (*arguments, state)
        keys = [self._key(f"{function.__name__}-{i}") for i in range(n_parts)]
        same = [[argument] * n_parts for argument in (function, *arguments)]
        with _preferring(dict(zip(keys, parts.workers))):
            futures = self.client.map(call_for_part, parts.futures, *same, key=keys, pure=False)
        self._state = state
        return futures

    def _key(self, name: str) -> str:
        self._n_sent += 1
        return f"{self.name}-{name.strip('_')}-{self._n_sent}"

    def results(self, futures: Sequence[distributed.Future], what: Sequence[str]) -> list[Any]:
        """Return the results of tasks, in order; ``what`` names each for errors. An exception cancels them."""
        try:
            with self.failing_plainly():
                try:
                    return self.client.gather(list(futures))
                except KilledWorker as error:
                    raise _killed(error, _failed(futures, what)) from error
                except LOST:
                    raise
                except Exception as error:
                    if hasattr(error, "add_note") and _is_of_user(error):
                        error.add_note(f"sklearn_rnn.dask: it was raised for {_failed(futures, what)}.")
                    raise
        except BaseException:
            self.cancel(futures)
            raise

    def cancel(self, futures: Sequence[distributed.Future]) -> None:
        """Cancel tasks that are not needed any more, if the scheduler can still be reached."""
        if self.client.status == "running":
            self.client.cancel(list(futures), force=True)

    def run(self, function: Callable[..., Any], parts: PreparedParts, *arguments: Any, **state: Any) -> list[Any]:
        """Return the results of a task for each part; see :meth:`map`."""
        answers = self.results(self.map(function, parts, *arguments, **state), parts.places)
        parts.workers = [answer.worker for answer in answers]
        return [answer.result for answer in answers]

    def run_round(self, function: Callable[..., Any], parts: PreparedParts, *arguments: Any, **state: Any) -> list[Any]:
        """Return the results of one round of tasks; count where time goes.

        The tasks of the round before are released only now, when those of this one are sent: after a message about the
        release, Dask's client would wait for 10 ms before it sends the tasks.
        """
        started = time.perf_counter()
        futures = self.map(function, parts, *arguments, **state)
        self._of_round = futures
        sent = time.perf_counter()
        answers = self.results(futures, parts.places)
        timings = self.timings
        timings.n_rounds += 1
        timings.sending += sent - started
        timings.waiting += time.perf_counter() - sent
        timings.computing += max((answer.seconds for answer in answers), default=0.0)
        parts.workers = [answer.worker for answer in answers]
        return [answer.result for answer in answers]

    @contextmanager
    def failing_plainly(self) -> Iterator[None]:
        """Raise the errors of a lost connection as one that says what helps."""
        try:
            yield
        except LOST as error:
            raise ConnectionError(
                f"client: the connection to the scheduler was lost ({error}). Nothing of this call is kept. Start a "
                "cluster and call fit again; with fit(..., checkpoint=path), training then continues from its last "
                "state."
            ) from error


def versions_here() -> tuple[str, str]:
    """Return the versions that decide the bits of a task."""
    return package_version(), kernels.name


def client_of(client: Any) -> distributed.Client:
    """Return the client to use: the one given, or the current one."""
    if client is None:
        try:
            client = distributed.get_client()
        except ValueError as error:
            raise ValueError(
                "client=None, and there is no current client: make one, such as distributed.Client(), or pass it as "
                "client."
            ) from error
    if not isinstance(client, distributed.Client):
        raise TypeError(f"client={client!r} must be a distributed.Client or None.")
    if client.asynchronous:
        raise ValueError("client is asynchronous, but fit waits for results: make it with asynchronous=False.")
    if client.status != "running":
        raise ValueError(f"client is {client.status}: make a new one, such as distributed.Client().")
    return client


def _same(value: Any) -> Any:
    return value


def _preferring(workers: dict[str, str]) -> AbstractContextManager[Any]:
    """Let each task, by its key, run on a worker, as long as there is this worker.

    Dask itself moves parts to workers that have less to do, though the next round needs each part in one place too. And
    it takes a part in a mapped file for a small one, until it is sent.
    """
    if not workers:
        return nullcontext()
    # The scheduler calls this, and may not have this package: a method of a dict can be sent to it.
    return dask.annotate(workers=workers.__getitem__, allow_other_workers=True)


def _failed(futures: Sequence[distributed.Future], what: Sequence[str]) -> str:
    """Return the name of the first task that failed."""
    return next((name for future, name in zip(futures, what) if future.status == "error"), "a task")


def _is_of_user(error: Exception) -> bool:
    """Whether an error has not yet got the name of its part."""
    return not getattr(error, "has_name_of_part", False)


def _killed(error: KilledWorker, name: str) -> RuntimeError:
    return RuntimeError(
        f"{name}: every worker died that computed it ({error}). Most often it did not have enough memory: make smaller "
        "parts, or give workers more (memory_limit). A worker may die as often as the setting "
        "distributed.scheduler.allowed-failures of Dask says."
    )
