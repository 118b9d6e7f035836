"""Whether training is all or nothing: an exception at each executed line, and real signals.

    python benchmarks/interrupts.py [--stride 1] [--signals 4000] [--cases "L-BFGS" ...] [--processes 2] [--json FILE]

The cases are those of `tests/test_interrupts.py`: calls of `fit` and `partial_fit` of tiny networks. The first table
raises KeyboardInterrupt, then MemoryError, at every line that Python executes in a call, each time in a fresh copy of
the estimator. For the second a timer sends SIGINT at a random time of a call, and the next call continues from the
state that this one left. After a call an estimator is "unchanged", "completed", or "kept": training caught the
interrupt with a warning, and the weights and figures that it kept agree and can be trained further. Any other state is
"wrong". The goal is none. "BLAS limited" counts the calls that left BLAS with one thread; a new process takes over
then, because the next such call would not show. The signals need Linux or macOS.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from pathlib import Path

import numpy as np
from _measure import machine, print_machine, worker, write_json
from threadpoolctl import ThreadpoolController

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))
import test_interrupts as interrupts

VERDICTS = ("unchanged", "completed", "kept", "wrong")
COLUMNS = ("tried", "raised", *VERDICTS, "BLAS limited")
N_SHOWN = 3  # wrong states of a row that are printed
N_BLAS_THREADS = 2
STREAMS = ("partial_fit, gru", "stateful, gru", "stateful, new sequence", "warm fit, gru", "cold fit, lstm", "X_val")


class Blas:
    """The BLAS libraries of this process, given two threads: a limit that is left behind shows on any machine."""

    def __init__(self):
        self._libraries = [one for one in ThreadpoolController().lib_controllers if one.user_api == "blas"]
        for library in self._libraries:
            library.set_num_threads(N_BLAS_THREADS)

    def is_limited(self):
        return any(library.get_num_threads() != N_BLAS_THREADS for library in self._libraries)


class Row:
    """Counts what calls left."""

    def __init__(self):
        self.counts = Counter()
        self.wrong = []

    def add(self, outcome, verdict, is_limited, label):
        is_wrong = verdict not in VERDICTS
        self.counts["tried"] += 1
        self.counts["raised"] += outcome.error is not None
        self.counts["wrong" if is_wrong else verdict] += 1
        self.counts["BLAS limited"] += is_limited
        if is_wrong:
            self.wrong.append(f"{label}: {verdict}")


# ---- An exception at each line ---------------------------------------------------------------------------


def try_lines(name, exception_name, first, stride):
    """Try lines until BLAS is left limited; return a Row, and where to go on or None; runs in a process of its own."""
    row, blas = Row(), Blas()
    for one in interrupts.tries(name, [exception_name], first, stride):
        is_limited = blas.is_limited()
        row.add(one.outcome, one.verdict, is_limited, f"line {one.line}, {one.outcome.place}")
        if is_limited:
            return row, one.line + stride
    return row, None


def sweep(name, exception_name, stride):
    """All lines of a case, in as many processes as it takes."""
    return in_processes(lambda call, first: call(try_lines, name, exception_name, first, stride), 1)


def in_processes(go_on, start):
    """Add up rows, each from a new process, until there is nowhere to go on."""
    total = Row()
    while start is not None:
        with worker() as call:
            row, start = go_on(call, start)
        total.counts += row.counts
        total.wrong += row.wrong
    return total


# ---- Signals -------------------------------------------------------------------------------------------


class Interrupter:
    """Sends SIGINT to this process after some seconds of a call; one that comes late, after the call, is ignored."""

    def __init__(self):
        self._is_armed = False
        signal.signal(signal.SIGALRM, lambda *_: os.kill(os.getpid(), signal.SIGINT))
        signal.signal(signal.SIGINT, self._interrupt)

    def _interrupt(self, *_):
        if self._is_armed:
            self._is_armed = False
            raise KeyboardInterrupt

    def call(self, function, seconds):
        """Return the Outcome, and whether the signal came during the call."""
        error = None
        with interrupts.quiet() as caught:
            self._is_armed = True
            try:
                signal.setitimer(signal.ITIMER_REAL, seconds)
                function()
                was_in_time, self._is_armed = not self._is_armed, False
            except KeyboardInterrupt as raised:
                error, was_in_time = raised, True
            signal.setitimer(signal.ITIMER_REAL, 0)
        messages = [str(warning.message) for warning in caught]
        return interrupts.Outcome(error, messages, 0, "signal"), was_in_time


def send_signals(name, n_signals, seed):
    """Interrupt calls until BLAS is left limited; return a Row, and (signals to go, seed) or None.

    An estimator continues from the state that the last call left; after twenty calls, or a wrong state, a new one does.
    """
    row, blas, case, generator = Row(), Blas(), interrupts.CASES[name], np.random.default_rng(seed)
    interrupter = Interrupter()
    estimator = case.begin()
    while row.counts["tried"] < n_signals:
        judge = interrupts.Judge(case, estimator, knows_weights=False)
        start = time.perf_counter()
        with interrupts.quiet():
            case.call(deepcopy(estimator))()
        duration = time.perf_counter() - start
        outcome, was_in_time = interrupter.call(case.call(estimator), generator.uniform(1e-5, duration))
        if not was_in_time:
            estimator = case.begin()
            continue
        is_limited, verdict = blas.is_limited(), judge.verdict(estimator, outcome)
        row.add(outcome, verdict, is_limited, f"signal {row.counts['tried']}")
        if verdict not in VERDICTS or row.counts["tried"] % 20 == 0:
            estimator = case.begin()
        if is_limited:
            return row, (n_signals - row.counts["tried"], seed + 1)
    return row, None


def storm(name, n_signals, seed):
    """As many signals to a case as asked for, in as many processes as it takes."""
    return in_processes(lambda call, rest: call(send_signals, name, *rest), (n_signals, seed))


# ---- Tables --------------------------------------------------------------------------------------------


def measure(title, tasks, n_processes):
    """Print a row for each task, (label, function, arguments), as it is done; return all rows as dicts."""
    print(f"\n{title:44}" + "".join(f"{column:>14}" for column in COLUMNS), flush=True)
    rows, total = [], Counter()
    with ThreadPoolExecutor(n_processes) as executor:
        futures = [(label, executor.submit(function, *arguments)) for label, function, *arguments in tasks]
        for label, future in futures:
            row = future.result()
            print_counts(label, row.counts)
            for text in row.wrong[:N_SHOWN]:
                print(f"    {text}", flush=True)
            total += row.counts
            rows.append({"case": label, **{column: row.counts[column] for column in COLUMNS}, "states": row.wrong})
    print_counts("all", total)
    return rows, total["wrong"]


def print_counts(label, counts):
    print(f"{label:44}" + "".join(f"{counts[column]:14}" for column in COLUMNS), flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--stride", type=int, default=1, help="lines from one try to the next")
    parser.add_argument("--signals", type=int, default=4000)
    parser.add_argument("--cases", nargs="*", default=list(interrupts.CASES), choices=list(interrupts.CASES))
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", help="write all figures there")
    arguments = parser.parse_args()
    description = machine("numpy", "scikit-learn")
    print_machine(description)
    lines = [
        (f"{name}, {exception}", sweep, name, exception, arguments.stride)
        for name in arguments.cases
        for exception in interrupts.EXCEPTIONS
    ]
    line_rows, n_wrong_lines = measure("an exception at each line", lines, arguments.processes)
    n_each = -(-arguments.signals // len(STREAMS))
    storms = [(name, storm, name, n_each, arguments.seed + 1000 * k) for k, name in enumerate(STREAMS)]
    signal_rows, n_wrong_signals = measure("SIGINT at a random time", storms if n_each else [], arguments.processes)
    print(f"\nwrong states: {n_wrong_lines} from lines, {n_wrong_signals} from signals (goal: 0)")
    settings = {"stride": arguments.stride, "signals": arguments.signals, "seed": arguments.seed}
    write_json(arguments.json, {"machine": description, **settings, "lines": line_rows, "signals_sent": signal_rows})


if __name__ == "__main__":
    main()
