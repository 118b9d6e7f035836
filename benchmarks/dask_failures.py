"""Trainings on a Dask cluster in which things go wrong: the weights must have the bits of an undisturbed training.

    python benchmarks/dask_failures.py                    # all cases, with 30 kills
    python benchmarks/dask_failures.py kills --trials 100
    python benchmarks/dask_failures.py workers memory

It needs the extra ``dask``. All processes run on this machine. Most cases use a LocalCluster of three workers: each is
a process of one thread, which a nanny starts again. ``command line`` starts ``dask scheduler`` and ``dask worker`` as
processes of their own, which talk over TCP. Moments are drawn in the number of tasks that have ended, because the
speed of a machine varies. "exact" is ``local_updates=None``; "local" is ``local_updates=2``. For Linux and macOS.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dask
import dask.array as da
import numpy as np
from _measure import machine, print_machine, write_json
from distributed import Client, LocalCluster
from distributed.diagnostics.plugin import SchedulerPlugin
from distributed.utils import get_mp_context

from sklearn_rnn.dask import DaskRNNClassifier

N_PARTS, N_FEATURES, N_STEPS, PER_PART = 4, 3, 40, 400
SETTINGS = {"hidden_layer_sizes": (64,), "max_iter": 6, "random_state": 0, "n_iter_no_change": 1000}
MODES = {"exact": {"batch_size": 800}, "local": {"batch_size": 100, "local_updates": 2}}
LONG_WAIT = 600  # seconds, after which a case has failed


def make_part(part: int, n_sequences: int) -> np.ndarray:
    """Draw the sequences of a part: a function of its number, so that any worker can make it again."""
    return np.random.default_rng(part).normal(size=(n_sequences, N_STEPS, N_FEATURES)).astype(np.float32)


def targets_of(X: np.ndarray) -> np.ndarray:
    """Return classes that depend on the order of the steps."""
    return (X[:, :10, 0].sum(axis=1) > X[:, -10:, 1].sum(axis=1)).astype(int)


def lazy_data(n_sequences: int = PER_PART) -> tuple[da.Array, da.Array]:
    """Return X and y in ``N_PARTS`` parts, which workers make."""
    parts = [dask.delayed(make_part)(part, n_sequences) for part in range(N_PARTS)]
    shape = (n_sequences, N_STEPS, N_FEATURES)
    X = da.concatenate([da.from_delayed(part, shape, np.float32) for part in parts])
    y = da.concatenate([da.from_delayed(dask.delayed(targets_of)(part), shape[:1], int) for part in parts])
    return X, y


def fit(mode: str, *, n_sequences: int = PER_PART, checkpoint: Any = None, **options: Any) -> Any:
    """Train an estimator on the current client's cluster."""
    estimator = DaskRNNClassifier(**SETTINGS | MODES[mode] | options)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return estimator.fit(*lazy_data(n_sequences), checkpoint=checkpoint)


def digest_of(estimator: Any) -> str:
    """Return a digest of the weights and of the losses of all epochs."""
    vector = estimator.to_local()._model.network.parameters.vector
    return hashlib.sha256(vector.tobytes() + np.array(estimator.loss_curve_).tobytes()).hexdigest()[:16]


# ---- A cluster, and disturbances -----------------------------------------------------------------------


class Watch(SchedulerPlugin):
    """Counts the tasks that ended, by worker."""

    def __init__(self) -> None:
        self.by_worker: dict[str, int] = {}

    def transition(self, key: Any, start: str, finish: str, *arguments: Any, **options: Any) -> None:
        """Count a task that ended."""
        if start == "processing" and finish == "memory":
            worker = options.get("worker", "")
            self.by_worker[worker] = self.by_worker.get(worker, 0) + 1

    @property
    def n_ended(self) -> int:
        """Number of tasks that ended since the last ``clear``."""
        return sum(list(self.by_worker.values()))

    def clear(self) -> None:
        """Count from zero again."""
        self.by_worker.clear()


class Local:
    """A LocalCluster of processes, whose scheduler is in this process, and a client.

    Attributes
    ----------
    cluster : LocalCluster
    watch : Watch
    """

    def __init__(self, n_workers: int = 3, **options: Any) -> None:
        self.n_workers = n_workers
        self._options = {"threads_per_worker": 1, "processes": True, "dashboard_address": None} | options
        self._start()

    def _start(self) -> None:
        self.cluster = LocalCluster(n_workers=self.n_workers, **self._options)
        self.client = Client(self.cluster)
        self.watch = Watch()
        self.cluster.scheduler.add_plugin(self.watch)

    def __enter__(self) -> Local:
        return self

    def __exit__(self, *error: object) -> None:
        self.client.close()
        self.cluster.close()

    def nannies(self) -> list[Any]:
        """Return the nannies whose workers are known to the scheduler."""
        known = self.cluster.scheduler.workers
        return [nanny for nanny in self.cluster.workers.values() if nanny.worker_address in known]

    def begin(self, n_workers: int | None = None) -> None:
        """Wait until all workers, or so many, are there; count tasks from zero."""
        try:
            self.client.wait_for_workers(n_workers or self.n_workers, timeout=60)
        except TimeoutError:  # a nanny gives up if its worker is killed while it starts
            self.__exit__()
            self._start()
            self.client.wait_for_workers(self.n_workers, timeout=LONG_WAIT)
        self.watch.clear()

    def n_running(self, nanny: Any) -> int:
        """Return how many tasks a worker has begun, or is about to begin."""
        worker = self.cluster.scheduler.workers.get(nanny.worker_address)
        return 0 if worker is None else len(worker.processing)

    def is_left_clean(self) -> bool:
        """Whether the scheduler forgets all tasks of trainings soon."""
        return soon(lambda: not any("sklearn_rnn-" in str(key) for key in list(self.cluster.scheduler.tasks)), 60)


def start_workers_fast() -> None:
    """Let workers be forks of a process that has imported all they need: a killed one is back at once."""
    dask.config.set({"distributed.worker.multiprocessing-method": "forkserver"})
    get_mp_context().set_forkserver_preload(["distributed", "dask.array", "sklearn_rnn.dask"])


def soon(is_true: Callable[[], bool], seconds: float) -> bool:
    """Whether a condition comes true in this time."""
    deadline = time.monotonic() + seconds
    while not is_true():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.002)
    return True


@contextlib.contextmanager
def meanwhile(local: Local, n_tasks: int, disturb: Callable[[], None]) -> Iterator[threading.Event]:
    """Disturb the body when some tasks have ended; yield an event that is set when it was disturbed."""
    ended, disturbed = threading.Event(), threading.Event()

    def wait_and_disturb() -> None:
        if soon(lambda: ended.is_set() or local.watch.n_ended >= n_tasks, LONG_WAIT) and not ended.is_set():
            disturb()
            disturbed.set()

    thread = threading.Thread(target=wait_and_disturb)
    thread.start()
    try:
        yield disturbed
    finally:
        ended.set()
        thread.join()


@dataclass
class Row:
    """Trials of a case: how many had the right end, and what is worth saying of them."""

    case: str
    trials: int = 0
    same: int = 0
    notes: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0

    def add(self, is_right: bool, **notes: int) -> None:
        """Count a trial, and add up what its notes count."""
        self.trials, self.same = self.trials + 1, self.same + bool(is_right)
        for name, value in notes.items():
            self.notes[name] = self.notes.get(name, 0) + int(value)
        print(f"  {self.case}: trial {self.trials}, {'right' if is_right else 'WRONG'} {notes}", flush=True)


# ---- Cases ---------------------------------------------------------------------------------------------


class Undisturbed:
    """Digests of trainings without disturbances, and the number of their tasks."""

    def __init__(self) -> None:
        self.digests: dict[tuple[Any, ...], str] = {}
        self.n_tasks: dict[tuple[Any, ...], int] = {}

    def of(self, local: Local, mode: str, **options: Any) -> tuple[str, int]:
        """Return them for these settings; train once."""
        key = (mode, *sorted(options.items()))
        if key not in self.digests:
            local.begin(1)
            self.digests[key] = digest_of(fit(mode, **options))
            self.n_tasks[key] = local.watch.n_ended
        return self.digests[key], self.n_tasks[key]


def case_workers(undisturbed: Undisturbed, generator: np.random.Generator, n_trials: int) -> Iterator[Row]:
    """1, 2 and 3 workers: all cells, exact and local."""
    expected: dict[tuple[str, str], str] = {}
    row = Row("1, 2, 3 workers; rnn, lstm, gru; exact, local")
    for n_workers in (1, 2, 3):
        with Local(n_workers) as local:
            local.begin()
            for cell in ("rnn", "lstm", "gru"):
                for mode in MODES:
                    digest = digest_of(fit(mode, cell=cell, max_iter=3))
                    row.add(expected.setdefault((cell, mode), digest) == digest)
    yield row


def case_kills(undisturbed: Undisturbed, generator: np.random.Generator, n_trials: int) -> Iterator[Row]:
    """A worker is killed with SIGKILL at a random moment."""
    with Local() as local:
        for mode in MODES:
            row = Row(f"a worker killed, {mode}")
            expected, n_tasks = undisturbed.of(local, mode)
            for _ in range(-(-n_trials // 2)):
                is_right, counts = _killed(local, mode, expected, n_tasks, generator, 1)
                row.add(is_right, **counts)
            yield row


def case_all_but_one(undisturbed: Undisturbed, generator: np.random.Generator, n_trials: int) -> Iterator[Row]:
    """All workers but one are killed at once."""
    with Local() as local:
        for mode in MODES:
            row = Row(f"all workers but one killed, {mode}")
            expected, n_tasks = undisturbed.of(local, mode)
            for _ in range(-(-n_trials // 10)):
                is_right, counts = _killed(local, mode, expected, n_tasks, generator, local.n_workers - 1)
                row.add(is_right, **counts)
            yield row


def _killed(
    local: Local, mode: str, expected: str, n_tasks: int, generator: np.random.Generator, n_killed: int
) -> tuple[bool, dict[str, int]]:
    """Train, and kill workers; return whether it ended right, and the kills: all, and those with tasks or data."""
    counts = {"kills": 0, "with_tasks": 0, "with_data": 0}
    delay = generator.uniform(0, 0.1)

    def kill() -> None:
        time.sleep(delay)
        for nanny in generator.permutation(np.array(local.nannies(), object))[:n_killed]:
            soon(lambda nanny=nanny: local.n_running(nanny) > 0, 1)  # most moments are while it waits
            worker = local.cluster.scheduler.workers.get(nanny.worker_address)
            counts["with_tasks"] += local.n_running(nanny) > 0
            counts["with_data"] += worker is not None and len(worker.has_what) > 0
            os.kill(nanny.pid, signal.SIGKILL)
            counts["kills"] += 1

    local.begin(n_killed + 1)
    with meanwhile(local, int(generator.integers(n_tasks)), kill):
        digest = digest_of(fit(mode))
    return digest == expected, counts


def case_joins(undisturbed: Undisturbed, generator: np.random.Generator, n_trials: int) -> Iterator[Row]:
    """A worker joins in the middle."""
    for mode in MODES:
        row = Row(f"a worker joins, {mode}")
        with Local(1) as local:
            expected, n_tasks = undisturbed.of(local, mode, max_iter=60)
            local.begin()
            with meanwhile(local, n_tasks // 4, lambda: local.cluster.scale(2)):
                digest = digest_of(fit(mode, max_iter=60))
            row.add(digest == expected, worked=len(local.watch.by_worker) == 2)
        yield row


def case_slow(undisturbed: Undisturbed, generator: np.random.Generator, n_trials: int) -> Iterator[Row]:
    """A worker stands still for some seconds, and goes on."""
    with Local() as local:
        for mode in MODES:
            row = Row(f"a worker stops for 5 s, {mode}")
            expected, n_tasks = undisturbed.of(local, mode)
            for _ in range(-(-n_trials // 15)):

                def stop() -> None:
                    process = local.nannies()[int(generator.integers(local.n_workers))].pid
                    os.kill(process, signal.SIGSTOP)
                    time.sleep(5)
                    os.kill(process, signal.SIGCONT)

                local.begin()
                with meanwhile(local, int(generator.integers(n_tasks // 2)), stop) as stopped:
                    digest = digest_of(fit(mode))
                row.add(digest == expected, stopped=stopped.is_set())
            yield row


def case_memory(undisturbed: Undisturbed, generator: np.random.Generator, n_trials: int) -> Iterator[Row]:
    """Parts do not fit into the workers' memory: they spill to disk, or pause."""
    n_sequences = 60_000  # 29 MB a part
    limits = {"distributed.worker.memory.target": 0.5, "distributed.worker.memory.spill": 0.6}
    options = {"n_sequences": n_sequences, "hidden_layer_sizes": (4,), "max_iter": 1}
    # Each exact update needs all parts: those that are spilled come back every time.
    sizes = {"exact": {"batch_size": 16_000}, "local": {"batch_size": 1_000, "local_updates": "epoch"}}
    for mode in MODES:
        row = Row(f"workers with too little memory, {mode}")
        digests, seen = [], {"spilled": 0, "paused": 0}
        for limit in ("4GB", "420MB"):
            with dask.config.set(limits), Local(2, memory_limit=limit) as local:
                local.begin()
                with _watching_memory(local, seen if limit != "4GB" else {}):
                    digests.append(digest_of(fit(mode, **options | sizes[mode])))
        row.add(digests[0] == digests[1], **seen)
        yield row


@contextlib.contextmanager
def _watching_memory(local: Local, seen: dict[str, int]) -> Iterator[None]:
    """Note whether workers spill, and whether they pause."""
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(0.05):
            for worker in list(local.cluster.scheduler.workers.values()):
                seen["spilled"] = seen.get("spilled", 0) or int(worker.metrics["spilled_bytes"]["disk"] > 0)
                seen["paused"] = seen.get("paused", 0) or int(worker.status.name == "paused")

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


INTERRUPTED = """
import json, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # a process in the background has none
sys.path.insert(0, {folder!r})
import dask_failures as failures
from distributed import Client
with Client({address!r}):
    estimator = failures.fit({mode!r}, max_iter=1, learning_rate="constant")
    before = failures.digest_of(estimator)
    print("ready", flush=True)
    end = "warned"
    try:
        estimator.set_params(max_iter=10_000).fit(*failures.lazy_data())
    except KeyboardInterrupt:
        end = "raised"
    same = failures.digest_of(estimator) == before
    print(json.dumps({{"end": end, "as_before": same, "losses": list(estimator.loss_curve_)}}), flush=True)
"""


def case_interrupts(undisturbed: Undisturbed, generator: np.random.Generator, n_trials: int) -> Iterator[Row]:
    """Ctrl-C in the client: no task is left, and the estimator has the losses of its epochs, or is as it was."""
    with Local() as local:
        for mode in MODES:
            row = Row(f"Ctrl-C in the client, {mode}")
            losses = fit(mode, learning_rate="constant").loss_curve_  # no schedule that depends on max_iter
            for _ in range(-(-n_trials // 10)):
                end = _interrupted(local, mode, int(generator.integers(200)))
                n = min(len(end["losses"]), len(losses))
                is_right = end["as_before"] if end["end"] == "raised" else end["losses"][:n] == losses[:n]
                row.add(
                    is_right and local.is_left_clean(), as_before=end["as_before"], some_epochs=end["end"] == "warned"
                )
            yield row


def _interrupted(local: Local, mode: str, n_tasks: int) -> dict[str, Any]:
    """Start a client of its own, send it Ctrl-C after some tasks of its second training, and return its end."""
    local.begin()
    folder, address = str(Path(__file__).parent), local.cluster.scheduler_address
    program = INTERRUPTED.format(folder=folder, address=address, mode=mode)
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL, "text": True}
    process = subprocess.Popen([sys.executable, "-c", program], **pipes)
    while (line := process.stdout.readline()) != "ready\n":
        assert line, "The client ended."
    n_tasks += local.watch.n_ended
    soon(lambda: local.watch.n_ended >= n_tasks, LONG_WAIT)
    process.send_signal(signal.SIGINT)
    lines = process.communicate(timeout=LONG_WAIT)[0].splitlines()
    return json.loads(lines[-1]) if lines else {"end": "died", "as_before": False, "losses": []}


class CommandLine:
    """A scheduler and workers, started as by hand, which talk over TCP."""

    def __init__(self, folder: Path, n_workers: int = 2) -> None:
        self.file, self.folder = folder / "scheduler.json", folder
        self.file.unlink(missing_ok=True)
        common = [sys.executable, "-m", "distributed.cli.dask_scheduler"]
        self.scheduler = self._start([*common, "--host", "127.0.0.1", "--port", "0", "--no-dashboard"])
        assert soon(self.file.exists, LONG_WAIT)
        worker = [sys.executable, "-m", "distributed.cli.dask_worker", "--nthreads", "1", "--no-dashboard"]
        self.workers = [self._start([*worker, "--death-timeout", "20"]) for _ in range(n_workers)]
        self.client = Client(scheduler_file=str(self.file))
        self.client.wait_for_workers(n_workers, timeout=LONG_WAIT)

    def _start(self, command: list[str]) -> subprocess.Popen[bytes]:
        arguments = [*command, "--scheduler-file", str(self.file)]
        return subprocess.Popen(arguments, cwd=self.folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def close(self) -> None:
        """End all processes."""
        with contextlib.suppress(Exception):
            self.client.close(timeout=5)
        for process in (*self.workers, self.scheduler):
            process.terminate()
        for process in (*self.workers, self.scheduler):
            process.wait(timeout=LONG_WAIT)


def case_command_line(undisturbed: Undisturbed, generator: np.random.Generator, n_trials: int) -> Iterator[Row]:
    """Processes from the command line; then the scheduler is killed, and a new cluster goes on from the checkpoint."""
    with Local(2) as local:
        expected = {mode: undisturbed.of(local, mode)[0] for mode in MODES}
    for mode in MODES:
        normal, lost = Row(f"dask scheduler and dask worker, {mode}"), Row(f"the scheduler killed, {mode}")
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary)
            cluster = CommandLine(folder)
            normal.add(digest_of(fit(mode)) == expected[mode])
            yield normal
            file = folder / "checkpoint"
            message, seconds = _lose_scheduler(cluster, mode, file)
            print(f"  after {seconds:.0f} s: {message}", flush=True)
            cluster = CommandLine(folder)
            resumed = fit(mode, checkpoint=file)
            is_right = "checkpoint" in message and digest_of(resumed) == expected[mode]
            lost.add(is_right, clear_errors="checkpoint" in message)
            cluster.close()
        yield lost


def _lose_scheduler(cluster: CommandLine, mode: str, file: Path) -> tuple[str, float]:
    """Train until a checkpoint is there, and kill the scheduler; return the message, and the seconds."""
    killer = threading.Thread(target=lambda: soon(file.exists, LONG_WAIT) and cluster.scheduler.kill())
    killer.start()
    begun, message = time.monotonic(), "no error"
    try:
        fit(mode, checkpoint=file)
    except ConnectionError as error:
        message = str(error)
    killer.join()
    cluster.close()
    return message, time.monotonic() - begun


CASES = {
    "workers": case_workers,
    "kills": case_kills,
    "all but one": case_all_but_one,
    "joins": case_joins,
    "slow": case_slow,
    "memory": case_memory,
    "interrupts": case_interrupts,
    "command line": case_command_line,
}


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("cases", nargs="*", default=[], help=f"of {', '.join(CASES)}; all if none is named")
    parser.add_argument("--trials", type=int, default=30, help="kills; other cases have a share of them")
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--json", help="file for all rows")
    arguments = parser.parse_args()
    if unknown := set(arguments.cases) - set(CASES):
        parser.error(f"{', '.join(sorted(unknown))}: choose of {', '.join(CASES)}.")
    return arguments


def main() -> None:
    """Run the cases, and print the table."""
    arguments = parse_arguments()
    start_workers_fast()
    description = machine("dask", "distributed", "numpy")
    print_machine(description)
    generator, undisturbed, rows = np.random.default_rng(arguments.seed), Undisturbed(), []
    for name in arguments.cases or CASES:
        begun = time.monotonic()
        for row in CASES[name](undisturbed, generator, arguments.trials):
            row.seconds, begun = time.monotonic() - begun, time.monotonic()
            rows.append(row)
    print(f"\n{'case':48} {'trials':>6} {'right':>6} {'seconds':>8}")
    for row in rows:
        notes = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in row.notes.items())
        print(f"{row.case:48} {row.trials:6} {row.same:6} {row.seconds:8.0f}  {notes}")
    write_json(arguments.json, {"machine": description, "rows": [vars(row) for row in rows]})


if __name__ == "__main__":
    main()
