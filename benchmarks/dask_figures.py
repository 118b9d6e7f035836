"""Speed, traffic, memory and accuracy of training on a Dask cluster, on this machine.

    python benchmarks/dask_figures.py [speed overhead traffic memory large model accuracy] [--json FILE] [--plot FILE]

* speed: an update of two workers of one thread, and one of a plain ``fit`` with ``n_jobs=2``, on the same data in the
  same batches. The two take turns.
* overhead: the part of an update or a round in which no worker computes, 64 units, 4 to 64 parts.
* traffic: bytes that enter and leave the scheduler in a round, in units of the network's weights.
* memory: of the client and of the scheduler over 1,000 rounds, with Dask's log of messages as it is, and short.
* large: data in .npy files that are larger than the memory of all workers (``--gigabytes``, ``--limit``).
* model: time of an update on 1 to 64 workers, from the constants that ``overhead`` and ``speed`` measured.
* accuracy: after as many epochs as a plain fit, from data in 4 parts (``--ucr`` adds sets of a folder).

Each section replaces its own part of the JSON file. It needs the extra ``dask``. For Linux.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import os
import tempfile
import threading
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

import dask
import numpy as np
from _archive import load_set
from _measure import MEGABYTE, machine, print_machine, resident_bytes, write_json
from dask_failures import CommandLine, start_workers_fast
from distributed import Client, LocalCluster
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from sklearn_rnn import RNNClassifier
from sklearn_rnn._training.monitor import Monitor
from sklearn_rnn.dask import DaskRNNClassifier, _mixin, _tasks, _training
from sklearn_rnn.dask._cluster import Cluster
from sklearn_rnn.dask._data import Answer
from sklearn_rnn.datasets import load_japanese_vowels

COMMON = {"random_state": 0, "n_iter_no_change": 10**6, "tol": 0.0, "patch_size": 1, "normalize_features": False}
N_FEATURES = 3
LOG_LENGTH = 1000  # messages, Dask's default
LOG_VARIABLE = "DASK_DISTRIBUTED__ADMIN__LOW_LEVEL_LOG_LENGTH"


# ---- Data, and clocks ----------------------------------------------------------------------------------


def make_part(part: int, n_sequences: int, n_steps: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw the sequences and the classes of a part."""
    X = np.random.default_rng(part).normal(size=(n_sequences, n_steps, N_FEATURES)).astype(np.float32)
    return X, np.arange(n_sequences) % 2


def lazy_parts(n_parts: int, n_sequences: int, n_steps: int) -> list[Any]:
    """Return lazy parts, which workers make."""
    return [dask.delayed(make_part)(part, n_sequences, n_steps) for part in range(n_parts)]


class Clock:
    """Times of the updates of plain fits, and of the rounds of fits on a cluster, while ``running``.

    Attributes
    ----------
    ends : list of float
        Moments at which a plain update ended.
    rounds : list of dict
        ``begin`` of the round; seconds that all threads of this process have computed at its begin (``processor``);
        seconds of ``sending`` and ``waiting``; and of each of the ``tasks``.
    """

    def __init__(self) -> None:
        self.ends: list[float] = []
        self.rounds: list[dict[str, Any]] = []

    @contextlib.contextmanager
    def running(self) -> Iterator[Clock]:
        """Measure within the body."""
        end_update, run_round, results = Monitor.end_update, Cluster.run_round, Cluster.results

        def timed_end(monitor: Any, *arguments: Any, **options: Any) -> None:
            self.ends.append(time.perf_counter())
            end_update(monitor, *arguments, **options)

        def timed_round(cluster: Any, *arguments: Any, **state: Any) -> Any:
            begin, earlier = time.perf_counter(), (cluster.timings.sending, cluster.timings.waiting)
            self.rounds.append({"begin": begin, "processor": time.process_time()})
            found = run_round(cluster, *arguments, **state)
            self.rounds[-1]["sending"] = cluster.timings.sending - earlier[0]
            self.rounds[-1]["waiting"] = cluster.timings.waiting - earlier[1]
            return found

        def kept_results(cluster: Any, *arguments: Any) -> Any:
            found = results(cluster, *arguments)
            if self.rounds and "waiting" not in self.rounds[-1]:
                self.rounds[-1]["tasks"] = [answer.seconds for answer in found]
            return found

        Monitor.end_update, Cluster.run_round, Cluster.results = timed_end, timed_round, kept_results
        try:
            yield self
        finally:
            Monitor.end_update, Cluster.run_round, Cluster.results = end_update, run_round, results

    def seconds_of_updates(self) -> np.ndarray:
        """Return the seconds from the end of an update to the next one."""
        return np.diff(self.ends)

    def seconds_of_rounds(self) -> np.ndarray:
        """Return the seconds from the begin of a round to the next one."""
        return np.diff([of_round["begin"] for of_round in self.rounds])


def quietly(function: Any, *arguments: Any, **options: Any) -> Any:
    """Call a function without warnings."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return function(*arguments, **options)


@contextlib.contextmanager
def local_cluster(n_workers: int, **options: Any) -> Iterator[Client]:
    """Yield the client of a LocalCluster of processes of one thread."""
    arguments = {"threads_per_worker": 1, "processes": True, "dashboard_address": None} | options
    with LocalCluster(n_workers=n_workers, **arguments) as cluster, Client(cluster) as client:
        yield client


@contextlib.contextmanager
def tcp_cluster(n_workers: int = 2) -> Iterator[CommandLine]:
    """Yield a cluster whose scheduler is a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        cluster = CommandLine(Path(folder), n_workers)
        try:
            yield cluster
        finally:
            cluster.close()


# ---- Sections ------------------------------------------------------------------------------------------


def speed(arguments: argparse.Namespace, results: dict[str, Any]) -> dict[str, Any]:
    """Two workers of one thread, and a plain fit with two threads."""
    settings = COMMON | {"hidden_layer_sizes": (128,), "cell": "gru", "batch_size": 256, "max_iter": 3}
    rows = []
    for n_parts in (2, 4):
        n_sequences, n_steps = 1024 // n_parts, 100
        parts = lazy_parts(n_parts, n_sequences, n_steps)
        X, y = (np.concatenate(values) for values in zip(*(make_part(p, n_sequences, n_steps) for p in range(n_parts))))
        ours, plain = [], []
        with local_cluster(2):
            for _ in range(arguments.rounds):
                with Clock().running() as clock:
                    quietly(RNNClassifier(**settings, n_jobs=2).fit, X, y)
                    plain.append(clock.seconds_of_updates())
                with Clock().running() as clock:
                    quietly(DaskRNNClassifier(**settings).fit, parts)
                    ours.append(clock.seconds_of_rounds())
        rows.append(
            {
                "parts": n_parts,
                "plain_ms": 1e3 * float(np.median(np.concatenate(plain))),
                "dask_ms": 1e3 * float(np.median(np.concatenate(ours))),
                "ratio": median(float(np.median(p) / np.median(o)) for p, o in zip(plain, ours)),
                "ratio_of_minima": float(min(map(np.min, plain)) / min(map(np.min, ours))),
            }
        )
        print(rows[-1], flush=True)
    return {"rows": rows}


def overhead(arguments: argparse.Namespace, results: dict[str, Any]) -> dict[str, Any]:
    """The part of an update or a round in which no worker computes."""
    rows = []
    with local_cluster(2):
        for units, cell, n_parts, local in (
            (64, "gru", 4, None),
            (64, "gru", 4, 2),
            (64, "gru", 64, None),
            (512, "gru", 4, None),
            (512, "gru", 4, 2),
        ):
            n_rounds = arguments.updates
            batch = 8 * n_parts if local is None else 4
            n_sequences = 8 * 10  # of a part: 10 updates or rounds an epoch
            settings = COMMON | {"hidden_layer_sizes": (units,), "cell": cell, "batch_size": batch}
            estimator = DaskRNNClassifier(**settings, max_iter=-(-n_rounds // 10), local_updates=local)
            with Clock().running() as clock:
                quietly(estimator.fit, lazy_parts(n_parts, n_sequences, 4))
            rows.append(_overhead_row(clock, units, n_parts, local, estimator))
            print(rows[-1], flush=True)
    return {"rows": rows}


def _overhead_row(clock: Clock, units: int, n_parts: int, local: int | None, estimator: Any) -> dict[str, Any]:
    """Return medians and minima over rounds; the computing is that of tasks shared by two workers."""
    whole = clock.seconds_of_rounds()
    rounds = clock.rounds[: len(whole)]
    computing = np.array([sum(of_round["tasks"]) / 2 for of_round in rounds])
    sending, waiting = (np.array([of_round[name] for of_round in rounds]) for name in ("sending", "waiting"))
    columns = {
        "round_ms": whole,
        "overhead_ms": whole - computing,
        "sending_ms": sending,
        "travelling_ms": waiting - computing,
        "client_ms": whole - sending - waiting,
        "computing_ms": computing,
    }
    row: dict[str, Any] = {"units": units, "parts": n_parts, "local_updates": local}
    row["n_bytes"] = int(estimator.to_local()._model.network.parameters.vector.nbytes)
    row |= {name: 1e3 * float(np.median(values)) for name, values in columns.items()}
    processor = [of_round["processor"] for of_round in clock.rounds]
    row["processor_ms"] = 1e3 * (processor[-1] - processor[0]) / len(whole)  # of client and scheduler, in this process
    row["least_overhead_ms"] = 1e3 * float(np.quantile(columns["overhead_ms"], 0.05))
    return row


def count_traffic() -> None:
    """Count the bytes that this process, the scheduler, reads and writes."""
    from distributed.comm import tcp

    read_bytes, write = tcp.read_bytes_rw, tcp.TCP.write
    counts = tcp.counts = {"in": 0, "out": 0}

    async def counted_read(stream: Any, n: int) -> Any:
        counts["in"] += n
        return await read_bytes(stream, n)

    async def counted_write(comm: Any, *arguments: Any, **options: Any) -> Any:
        n_bytes = await write(comm, *arguments, **options)
        counts["out"] += n_bytes
        return n_bytes

    tcp.read_bytes_rw, tcp.TCP.write = counted_read, counted_write


def counted_traffic() -> dict[str, int]:
    """Return the counts of ``count_traffic``."""
    from distributed.comm import tcp

    return dict(tcp.counts)


def traffic(arguments: argparse.Namespace, results: dict[str, Any]) -> dict[str, Any]:
    """Bytes that enter and leave the scheduler in a round."""
    rows = []
    with tcp_cluster() as cluster:
        cluster.client.run_on_scheduler(count_traffic)
        for local in (None, 2):
            settings = COMMON | {"hidden_layer_sizes": (256,), "cell": "gru", "local_updates": local}
            settings["batch_size"] = 32 if local is None else 4
            found = []
            for max_iter in (1, 4):
                before = cluster.client.run_on_scheduler(counted_traffic)
                with Clock().running() as clock:
                    estimator = quietly(DaskRNNClassifier(**settings, max_iter=max_iter).fit, lazy_parts(4, 80, 4))
                after = cluster.client.run_on_scheduler(counted_traffic)
                found.append((len(clock.rounds), {name: after[name] - before[name] for name in after}))
            (few, little), (many, much) = found
            weights = estimator.to_local()._model.network.parameters.vector.nbytes
            row = {"local_updates": local, "parts": 4, "workers": 2, "weights": weights}
            row |= {name: (much[name] - little[name]) / (many - few) / weights for name in much}
            rows.append(row)
            print(rows[-1], flush=True)
    return {"rows": rows}


def memory(arguments: argparse.Namespace, results: dict[str, Any]) -> dict[str, Any]:
    """Memory of the client and of the scheduler over many rounds."""
    rows = []
    for log_length, local in itertools.product((LOG_LENGTH, 10), (None, 2)):
        with logging_messages(log_length), tcp_cluster() as cluster:
            settings = COMMON | {"hidden_layer_sizes": (64,), "local_updates": local}
            settings |= {"batch_size": 32 if local is None else 4, "max_iter": arguments.memory_rounds // 10}
            with _sampling(cluster.scheduler.pid) as sizes:
                quietly(DaskRNNClassifier(**settings).fit, lazy_parts(4, 80, 4))
        n = len(sizes)
        growth = np.ptp(np.array(sizes[n // 10 :]), axis=0) / MEGABYTE  # the first tenth fills caches
        trend = (np.array(sizes[-n // 10 :]).mean(axis=0) - np.array(sizes[n // 10 : n // 5]).mean(axis=0)) / MEGABYTE
        row = {"local_updates": local, "rounds": n, "log_length": log_length}
        row |= {"client_range_mb": growth[0], "scheduler_range_mb": growth[1]}
        row |= {"client_growth_mb": trend[0], "scheduler_growth_mb": trend[1]}
        every = max(n // 20, 1)
        row["client_mb"], row["scheduler_mb"] = (
            [round(size[i] / MEGABYTE, 1) for size in sizes[::every]] for i in (0, 1)
        )
        rows.append(row)
        print(row, flush=True)
    return {"rows": rows}


@contextlib.contextmanager
def logging_messages(n_messages: int) -> Iterator[None]:
    """Let this process, and those that it starts, keep so many of their last messages, as Dask does for debugging."""
    os.environ[LOG_VARIABLE] = str(n_messages)
    try:
        with dask.config.set({"distributed.admin.low-level-log-length": n_messages}):
            yield
    finally:
        del os.environ[LOG_VARIABLE]


@contextlib.contextmanager
def _sampling(scheduler: int) -> Iterator[list[tuple[int, int]]]:
    """Yield a list that gets the memory of this process and of the scheduler at the begin of each round."""
    sizes: list[tuple[int, int]] = []
    run_round = Cluster.run_round

    def sampled(cluster: Any, *arguments: Any, **state: Any) -> Any:
        sizes.append((resident_bytes(), resident_bytes_of(scheduler)))
        return run_round(cluster, *arguments, **state)

    Cluster.run_round = sampled
    try:
        yield sizes
    finally:
        Cluster.run_round = run_round


def resident_bytes_of(process: int) -> int:
    """Return the memory that another process holds now."""
    return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * 4096


def large(arguments: argparse.Namespace, results: dict[str, Any]) -> dict[str, Any]:
    """Data in files that are larger than the memory of all workers: read whole, and mapped."""
    rows = []
    n_parts, n_steps = 4 * max(1, round(arguments.gigabytes * 10)), 100  # 25 MB each
    start_workers_fast()  # a spawned interpreter with all libraries holds 280 MB, a fork of one 170 MB
    n_sequences = int(arguments.gigabytes * 1e9 / n_parts / n_steps / N_FEATURES / 4)
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        for part in range(n_parts):
            np.save(f"{folder}/{part}.npy", make_part(part, n_sequences, n_steps)[0])
        y = [dask.delayed(lambda n: np.arange(n) % 2)(n_sequences) for _ in range(n_parts)]
        # An exact update needs all parts: those that are spilled would come back for each of them.
        for mode, local in ((None, "epoch"), ("r", "epoch"), ("r", None)):
            X = [dask.delayed(np.load)(f"{folder}/{part}.npy", mmap_mode=mode) for part in range(n_parts)]
            settings = COMMON | {"hidden_layer_sizes": (16,), "max_iter": 2, "local_updates": local}
            settings["batch_size"] = 256 if local else n_parts * 256
            with local_cluster(2, memory_limit=int(arguments.limit * MEGABYTE)) as client, _peaks(client) as peaks:
                begin = time.perf_counter()
                estimator = quietly(DaskRNNClassifier(**settings).fit, X, y)
                seconds = time.perf_counter() - begin
            row = {
                "read": "mapped" if mode else "whole",
                "local_updates": local,
                "gigabytes": n_parts * n_sequences * n_steps * N_FEATURES * 4e-9,
            }
            row |= {"parts": n_parts, "workers": 2, "limit_mb": arguments.limit, "seconds": seconds}
            row |= {"epochs": estimator.n_iter_} | peaks
            rows.append(row)
            print(row, flush=True)
    return {"rows": rows}


@contextlib.contextmanager
def _peaks(client: Client) -> Iterator[dict[str, Any]]:
    """Watch the memory of the workers; files that are mapped count apart. Yield a dict that is filled at the end."""
    peaks: dict[str, Any] = {"peak_mb": 0.0, "peak_with_files_mb": 0.0, "spilled_mb": 0.0, "restarts": 0}
    ended = threading.Event()
    first = {nanny.pid for nanny in client.cluster.workers.values()}
    seen = set(first)

    def watch() -> None:
        while not ended.wait(0.02):
            for nanny in list(client.cluster.workers.values()):
                with contextlib.suppress(OSError, ValueError, TypeError):
                    seen.add(nanny.pid)
                    lines = Path(f"/proc/{nanny.pid}/status").read_text().splitlines()
                    sizes = {line.split(":")[0]: line.split()[1] for line in lines if line.startswith("Rss")}
                    anonymous, mapped = int(sizes["RssAnon"]) / 1024, int(sizes["RssFile"]) / 1024
                    peaks["peak_mb"] = max(peaks["peak_mb"], anonymous)
                    peaks["peak_with_files_mb"] = max(peaks["peak_with_files_mb"], anonymous + mapped)
            for worker in list(client.cluster.scheduler.workers.values()):
                spilled = worker.metrics["spilled_bytes"]["disk"] / MEGABYTE
                peaks["spilled_mb"] = max(peaks["spilled_mb"], spilled)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield peaks
    finally:
        ended.set()
        thread.join()
        peaks["restarts"] = len(seen - first - {None})


# ---- The model -----------------------------------------------------------------------------------------

UNITS = (32, 128, 512)
N_MODEL_PARTS, PER_PART = 64, 64
NETWORK_BYTES = 1.25e9  # a second, of a network of 10 Gbit/s
WORKERS = (1, 2, 4, 8, 16, 32, 64)


def model(arguments: argparse.Namespace, results: dict[str, Any]) -> dict[str, Any]:
    """Time of an update of 64 parts of 64 sequences, on 1 to 64 workers, from measured constants."""
    small, _, many_parts, big, _ = results["overhead"]["rows"]
    # overhead = latency + a_task * parts + bytes * parts / bandwidth
    a_task = (many_parts["overhead_ms"] - small["overhead_ms"]) / (many_parts["parts"] - small["parts"]) / 1e3
    per_byte = (big["overhead_ms"] - small["overhead_ms"]) / (big["n_bytes"] - small["n_bytes"]) / small["parts"] / 1e3
    latency = small["overhead_ms"] / 1e3 - a_task * small["parts"]
    per_byte = max(per_byte, 1 / NETWORK_BYTES)
    constants = {"latency_ms": 1e3 * latency, "task_ms": 1e3 * a_task, "megabytes_a_second": 1e-6 / per_byte}
    rows = []
    for units in UNITS:
        seconds, n_bytes = _seconds_of_part(units)
        row: dict[str, Any] = {"units": units, "n_bytes": n_bytes, "part_ms": 1e3 * seconds}
        for name, k, n_copies in (("exact", 1, 1), ("k=10", 10, 3)):  # weights and two averages of Adam
            row[name] = [
                1e3 * (-(-N_MODEL_PARTS // w) * seconds)
                + 1e3 * (latency + N_MODEL_PARTS * (a_task + n_copies * n_bytes * per_byte)) / k
                for w in WORKERS
            ]
        pays = [w for w, exact, local in zip(WORKERS, row["exact"], row["k=10"]) if exact > 1.25 * local]
        row["local_pays_from"] = pays[0] if pays else None
        rows.append(row)
        print(row, flush=True)
    return {"constants": constants, "workers": WORKERS, "parts": N_MODEL_PARTS, "batch": PER_PART, "rows": rows}


def _seconds_of_part(units: int) -> tuple[float, int]:
    """Return the seconds of an update of a part with one thread, and the bytes of the weights."""
    settings = COMMON | {"hidden_layer_sizes": (units,), "cell": "gru", "batch_size": PER_PART, "max_iter": 3}
    with Clock().running() as clock:
        estimator = quietly(RNNClassifier(**settings, n_jobs=1).fit, *make_part(0, 4 * PER_PART, 100))
    return float(np.median(clock.seconds_of_updates())), int(estimator._model.network.parameters.vector.nbytes)


def plot(results: dict[str, Any], path: str) -> None:
    """Draw how much faster 1 to 64 workers are, by the model."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, len(UNITS), figsize=(8.5, 3.1), sharey=True, layout="constrained")
    found = results["model"]
    for ax, row in zip(axes, found["rows"]):
        ax.plot(WORKERS, WORKERS, color="#c3c9d0", label="ideal")
        for name, color, label in (("exact", "#1f6fb4", "exact updates"), ("k=10", "#e07b1a", "local_updates=10")):
            alone = N_MODEL_PARTS * row["part_ms"]
            ax.plot(WORKERS, [alone / ms for ms in row[name]], "o-", ms=4, color=color, label=label)
        ax.set(xscale="log", yscale="log", xticks=WORKERS, xlabel="workers", title=f"{row['units']} units")
        ax.set_xticklabels(WORKERS)
        ax.set_yticks(WORKERS, WORKERS)
        ax.minorticks_off()
    axes[0].set_ylabel("times as fast as one thread")
    axes[0].legend(frameon=False)
    figure.savefig(path, dpi=120)


# ---- Accuracy ------------------------------------------------------------------------------------------


def load_tasks(folder: Path | None, names: list[str]) -> dict[str, Any]:
    """Return (X_train, y_train, X_test, y_test) by name."""
    vowels = (
        *load_japanese_vowels(subset="train", return_X_y=True),
        *load_japanese_vowels(subset="test", return_X_y=True),
    )
    X, y = load_digits(return_X_y=True)
    digits = train_test_split(X.reshape(-1, 8, 8) / 16, y, test_size=0.3, random_state=0, stratify=y)
    found = {"Japanese Vowels": vowels, "digits": (digits[0], digits[2], digits[1], digits[3])}
    for name in names if folder else []:
        found[name] = load_set(folder / f"{name}.npz")
    return found


class Serial(Cluster):
    """Computes all tasks at once in this process, which takes less time than a cluster, with the same bits."""

    def check_versions(self) -> None:
        """Do nothing."""

    def compute(self, delayed: Any) -> list[Any]:
        """Compute lazy objects."""
        return list(dask.compute(*delayed, scheduler="sync"))

    def hold(self, value: Any) -> Any:
        """Return the value."""
        return value

    def share_with_new_workers(self, parts: Any) -> None:
        """Do nothing."""

    def map(self, function: Any, parts: Any, *arguments: Any, state: Any = None) -> list[Answer]:
        """Return the answer of a task for each part."""
        arguments = arguments if state is None else (*arguments, state)
        return [Answer(0.0, "here", function(part, *arguments)) for part in parts.futures]

    def results(self, futures: Any, what: Any) -> list[Any]:
        """Return the results."""
        return futures

    def cancel(self, futures: Any) -> None:
        """Do nothing."""


@contextlib.contextmanager
def without_cluster() -> Iterator[None]:
    """Let estimators train in this process."""
    cluster, client_of = _mixin.Cluster, _mixin.client_of
    _mixin.Cluster, _mixin.client_of = Serial, lambda client: client
    try:
        yield
    finally:
        _mixin.Cluster, _mixin.client_of = cluster, client_of


class KeptMoments(_training.AveragingTrainer):
    """Each part keeps its own averages of the optimizer: what AveragingTrainer could do instead."""

    def train_batch(self, dataset: Any, batch: Any, learning_rate: float, monitor: Any) -> None:
        """Train one round, with the averages of each part's last round."""
        kept, round_of = self.__dict__.setdefault("kept", {}), self._source.round

        def round_with_kept(function: Any, *numbers: Any, state: Any) -> list[Any]:
            found = round_of(_train_with_kept, *numbers, state=(state, dict(kept)))
            kept.update({i: local.optimizer for i, local in enumerate(found) if local is not None})
            return found

        self._source.round = round_with_kept
        try:
            super().train_batch(dataset, batch, learning_rate, monitor)
        finally:
            self._source.round = round_of


def _train_with_kept(part: Any, job: Any, epoch: int, first: int, n_updates: int, state: Any) -> Any:
    """Train a part from its own averages of the optimizer, if it has trained before."""
    (vector, optimizer, learning_rate), kept = state
    own = (vector, kept.get(part.index, optimizer), learning_rate)
    return _tasks.train_locally(part, job, epoch, first, n_updates, own)


def accuracy(arguments: argparse.Namespace, results: dict[str, Any]) -> dict[str, Any]:
    """Test accuracy after as many epochs."""
    ways: dict[str, Any] = {
        "plain": None,
        "exact": {"local_updates": None},
        "k=10": {"local_updates": 10},
        "k=10, kept moments": {"local_updates": 10},
        "epoch": {"local_updates": "epoch"},
        "k=10, batches of 16": {"local_updates": 10, "batch_size": 16},
    }
    rows = []
    with without_cluster():
        for name, (X, y, X_test, y_test) in load_tasks(arguments.ucr, arguments.sets).items():
            row: dict[str, Any] = {"set": name, "sequences": len(X), "epochs": arguments.epochs}
            for way, options in ways.items():
                row[way] = [
                    float(_fit_in_parts(way, options, X, y, seed, arguments.epochs).score(X_test, y_test))
                    for seed in range(arguments.seeds)
                ]
                print(name, way, np.round(np.mean(row[way]), 4), flush=True)
            rows.append(row)
    return {"rows": rows, "parts": 4, "seeds": arguments.seeds}


def _fit_in_parts(way: str, options: Any, X: Any, y: Any, seed: int, epochs: int) -> Any:
    """Fit, from four parts in the order of a seed, unless it is the plain fit."""
    settings = {"max_iter": epochs, "n_iter_no_change": 10**6, "random_state": seed}
    order = np.random.RandomState(seed).permutation(len(X))
    X, y = [np.asarray(X[i], np.float32) for i in order], np.asarray(y)[order]
    if options is None:
        return quietly(RNNClassifier(**settings).fit, X, y)
    n = len(X)
    cuts = [slice(n * p // 4, n * (p + 1) // 4) for p in range(4)]
    parts = [dask.delayed((X[cut], y[cut])) for cut in cuts]
    averaging = _training.AveragingTrainer
    if way.endswith("kept moments"):
        _training.AveragingTrainer = KeptMoments
    try:
        return quietly(DaskRNNClassifier(**settings | options).fit, parts).to_local()
    finally:
        _training.AveragingTrainer = averaging


SECTIONS = {f.__name__: f for f in (speed, overhead, traffic, memory, large, model, accuracy)}


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("sections", nargs="*", default=[], help=f"of {', '.join(SECTIONS)}; all if none is named")
    parser.add_argument("--rounds", type=int, default=5, help="turns of speed")
    parser.add_argument("--updates", type=int, default=200, help="rounds of overhead")
    parser.add_argument("--memory-rounds", type=int, default=1000)
    parser.add_argument("--gigabytes", type=float, default=2.0, help="data of large")
    parser.add_argument("--limit", type=float, default=400, help="memory of a worker of large, in megabytes")
    parser.add_argument("--folder", help="where large writes its files")
    parser.add_argument("--epochs", type=int, default=50)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--ucr", type=Path, help="folder of the UCR archive as .npz files, for accuracy")
    parser.add_argument("--sets", nargs="+", default=["ECG200", "CBF"])
    parser.add_argument("--json", help="file for all figures; other sections in it are kept")
    parser.add_argument("--plot", help="image of the model")
    arguments = parser.parse_args()
    if unknown := set(arguments.sections) - set(SECTIONS):
        parser.error(f"{', '.join(sorted(unknown))}: choose of {', '.join(SECTIONS)}.")
    return arguments


def main() -> None:
    """Measure, and write after each section."""
    arguments = parse_arguments()
    description = machine("dask", "distributed", "numpy")
    print_machine(description)
    path = Path(arguments.json) if arguments.json else None
    results = json.loads(path.read_text()) if path and path.exists() else {}
    for name in arguments.sections or SECTIONS:
        print(f"\n{name}", flush=True)
        results[name] = SECTIONS[name](arguments, results) | {"machine": description}
        write_json(arguments.json, results)
    if arguments.plot:
        plot(results, arguments.plot)


if __name__ == "__main__":
    main()
