"""Does BLAS get its threads back after Ctrl-C and in forked children, how many threads stay, and what does it cost?

    python benchmarks/interrupts_threads.py [--signals 4000] [--forks 100]

Each in a process of its own:

* "signals": another process sends SIGINT while this one repeats tiny ``partial_fit`` calls, at n_jobs 1 and 2: 0.3 to
  3 ms after the signal before, and half of them 50 us after it, as it is being handled. After each interrupt BLAS's
  numbers of threads are compared with those of the start: at once, and after one more use.
* "forks": the main thread forks while three others fit. Each child fits, compares its weights with those of a fit alone
  and BLAS's numbers with the parent's; one that takes a minute counts as hanging.
* "threads that stay" after maps with ``n_jobs`` 2 to 32;
* "microseconds" to enter and leave, alone or inside of another ``threads``, and of a map of 4 items that take no time.

Needs a system with fork, and two processors, so that BLAS has threads to lose.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import threading
import time
import warnings

import numpy as np
from _measure import machine, median_seconds, print_machine, run_fresh

SENDER = """
import os, random, sys, time

random.seed(0)
while True:
    time.sleep(random.choice([random.uniform(0.0003, 0.003), 0.00005]))
    os.kill(int(sys.argv[1]), 2)
"""
EVENTS = ("a child hangs", "a child fails", "other weights", "BLAS limited in a child")
HANGS, FAILS, OTHER_WEIGHTS, LIMITED = range(1, 5)


def blas_reader():
    """Return a function that gives the number of threads of each BLAS library."""
    import scipy.linalg  # noqa: F401  # brings a BLAS library of its own
    from threadpoolctl import ThreadpoolController

    libraries = ThreadpoolController().select(user_api="blas").lib_controllers
    return lambda: [library.num_threads for library in libraries]


def make_problem(n_sequences):
    """Return sequences of 8 steps and 3 features, and a class for each."""
    X = np.random.default_rng(0).standard_normal((n_sequences, 8, 3))
    return X, np.arange(n_sequences) % 2


def make_classifier(n_jobs):
    from sklearn_rnn import RNNClassifier

    return RNNClassifier((4,), max_iter=2, n_iter_no_change=np.inf, batch_size=8, random_state=0, n_jobs=n_jobs)


def count_signals(n_signals, n_jobs):
    """Return the number of signals, and how often BLAS was limited at once and after one more use."""
    from sklearn_rnn._utils.threads import threads

    warnings.simplefilter("ignore")  # an interrupted fit says so
    blas_threads = blas_reader()
    X, y = make_problem(8)
    make_classifier(n_jobs).fit(X, y)  # finds libraries
    before, n_raised, limited = blas_threads(), 0, {"at once": 0, "later": 0}
    here = sys._getframe().f_code

    def interrupt(_, frame):
        nonlocal n_raised
        if frame.f_code not in (here, interrupt.__code__):  # the loop below has to go on
            n_raised += 1
            raise KeyboardInterrupt

    signal.signal(signal.SIGINT, interrupt)
    sender = subprocess.Popen([sys.executable, "-c", SENDER, str(os.getpid())])
    n_seen = 0
    while n_raised < n_signals:
        try:
            classifier = make_classifier(n_jobs)
            while n_seen == n_raised:
                classifier.partial_fit(X, y, classes=[0, 1])
        except (KeyboardInterrupt, AttributeError):  # as which scikit-learn reports an interrupt of available_if
            pass
        try:
            n_seen = n_raised
            limited["at once"] += blas_threads() != before
            with threads(n_jobs) as run:
                run(abs, range(2))
            limited["later"] += blas_threads() != before
        except KeyboardInterrupt:
            pass
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sender.kill()
    sender.wait()
    return {"signals": n_raised} | limited | {"at the end": int(blas_threads() != before)}


def count_forks(n_forks):
    """Return how many of the children forked hang, fail, and so on."""
    warnings.filterwarnings("ignore", "This process .* is multi-threaded", DeprecationWarning)  # it is the subject
    blas_threads = blas_reader()
    before = blas_threads()
    X, y = make_problem(64)
    expected = make_classifier(1).fit(X, y).weights_
    is_over = threading.Event()

    def fit_on(n_jobs):
        while not is_over.is_set():
            make_classifier(n_jobs).fit(X, y)

    def status_of_child(n_jobs):
        had = blas_threads()
        weights = make_classifier(n_jobs).fit(X, y).weights_
        if any(not np.array_equal(weights[name], expected[name]) for name in expected):
            return OTHER_WEIGHTS
        return 0 if had == blas_threads() == before else LIMITED

    fitting = [threading.Thread(target=fit_on, args=(n_jobs,)) for n_jobs in (1, 2, 2)]
    for thread in fitting:
        thread.start()
    counts = dict.fromkeys(EVENTS, 0)
    for number in range(n_forks):
        time.sleep(random.uniform(0, 0.01))
        child = os.fork()
        if child == 0:
            signal.alarm(60)
            status = FAILS
            try:
                status = status_of_child(1 + number % 2)
            finally:
                os._exit(status)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if status:
            counts[EVENTS[(HANGS if status == -signal.SIGALRM else status) - 1]] += 1
    is_over.set()
    for thread in fitting:
        thread.join()
    return counts | {"BLAS limited in the parent": int(blas_threads() != before)}


def count_threads():
    """Return how many threads stay after maps with ``n_jobs`` 2 to 32."""
    from sklearn_rnn._utils.threads import threads

    before = len(sys._current_frames())
    for n_jobs in range(2, 33):
        with threads(n_jobs) as run:
            list(run(lambda _: time.sleep(0.002), range(64)))
    time.sleep(0.5)
    return len(sys._current_frames()) - before


def measure_times():
    """Return the median time of uses of ``threads``, in microseconds."""
    from sklearn_rnn._utils.threads import threads

    blas_reader()

    def use(n_jobs):
        with threads(n_jobs):
            pass

    seconds = {f"n_jobs={n_jobs}": median_seconds(lambda n_jobs=n_jobs: use(n_jobs), 1) for n_jobs in (1, 2)}
    with threads(2) as run:
        seconds["nested"] = median_seconds(lambda: use(1), 1)
        seconds["map"] = median_seconds(lambda: list(run(abs, range(4))), 1)
    return {name: round(1e6 * value, 1) for name, value in seconds.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--signals", type=int, default=4000)
    parser.add_argument("--forks", type=int, default=100)
    arguments = parser.parse_args()
    print_machine(machine("numpy", "threadpoolctl"))
    print("BLAS's threads:", run_fresh(_blas_threads), flush=True)
    for n_jobs in (1, 2):
        print(f"signals, n_jobs={n_jobs}:", run_fresh(count_signals, arguments.signals, n_jobs), flush=True)
    print("forks:", run_fresh(count_forks, arguments.forks), flush=True)
    print("threads that stay:", run_fresh(count_threads), flush=True)
    print("microseconds:", run_fresh(measure_times), flush=True)


def _blas_threads():
    return blas_reader()()


if __name__ == "__main__":
    main()
