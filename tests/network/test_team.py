"""Threads that share the work of a kernel: the same bits, forks, interrupts, callers side by side."""

import multiprocessing
import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from helpers import run_python
from kernel_problems import LEVELS, InPlaceRun, Int8Run, KernelRun, Problem, each_cell, each_dtype, each_level
from numpy.testing import assert_array_equal

from sklearn_rnn import RNNClassifier, RNNRegressor
from sklearn_rnn._network.buffers import NetworkBuffers

needs_levels = pytest.mark.skipif(not LEVELS, reason="no kernels were compiled")
needs_linux = pytest.mark.skipif(sys.platform != "linux", reason="/proc is read as Linux has it")

# Sequences of equal lengths, of many lengths, of which some are over, and fewer than threads; no multiple of a block.
LENGTHS = {
    "equal": np.full(37, 20),
    "ragged": np.arange(40),
    "one is long": np.array([400, *np.full(30, 10)]),
    "two": np.array([600, 300]),
    "one": np.array([900]),
}


def results_of(run, n_threads, n_delta_rows=None):
    run.n_threads = n_threads
    return run.both(n_delta_rows)


@each_level
@each_cell
@each_dtype
@pytest.mark.parametrize("lengths", LENGTHS.values(), ids=LENGTHS)
def test_the_bits_do_not_depend_on_the_number_of_threads(level, cell, activation, dtype, lengths):
    for n_features, n_units in ((3, 67), (70, 32)):
        run = KernelRun(level, Problem(cell, activation, dtype, lengths, n_features, n_units, d_hidden="columns"))
        for n_delta_rows in (None, 300):  # all steps at once, and ranges of them
            alone = results_of(run, 1, n_delta_rows)
            for n_threads in (2, 3, 50):
                shared = results_of(run, n_threads, n_delta_rows)
                for name, array in alone.items():
                    assert_array_equal(shared[name], array, err_msg=f"{name}, {n_threads} threads")


@each_level
@each_cell
@each_dtype
@pytest.mark.parametrize("is_reverse", [False, True])
def test_the_bits_in_place_do_not_depend_on_the_number_of_threads(level, cell, activation, dtype, is_reverse):
    run = InPlaceRun(level, Problem(cell, activation, dtype, LENGTHS["equal"], 70, 33), is_reverse=is_reverse)
    for n_delta_rows in (None, 300):
        alone = results_of(run, 1, n_delta_rows)
        for n_threads in (2, 3, 50):
            for name, array in results_of(run, n_threads, n_delta_rows).items():
                assert_array_equal(array, alone[name], err_msg=f"{name}, {n_threads} threads")


@needs_levels
def test_a_kernel_of_8_bits_runs_alone():
    run = Int8Run(LEVELS[-1], Problem("lstm", "tanh", np.float32, LENGTHS["ragged"], 3, 67))
    alone = run.forward()
    run.n_threads = 3
    assert_array_equal(run.forward()[0], alone[0])


@needs_levels
def test_callers_side_by_side_get_the_bits_of_one_alone():
    run = KernelRun(LEVELS[-1], Problem("lstm", "tanh", np.float32, LENGTHS["ragged"], 3, 67))
    alone, ready = results_of(run, 1), threading.Barrier(4)
    run.n_threads = 3

    def call(_):
        ready.wait(timeout=60)
        return [run.both() for _ in range(20)]

    with ThreadPoolExecutor(4) as executor:
        for results in executor.map(call, range(4)):
            for shared in results:
                for name, array in alone.items():
                    assert_array_equal(shared[name], array, err_msg=name)


def results_in_child(pipe):
    run = KernelRun(LEVELS[-1], Problem("gru", "tanh", np.float64, LENGTHS["ragged"], 3, 67))
    pipe.send(results_of(run, 3))
    os._exit(0)


@needs_levels
@pytest.mark.skipif(not hasattr(os, "fork"), reason="a fork is needed")
@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
def test_a_forked_child_starts_threads_of_its_own():
    run = KernelRun(LEVELS[-1], Problem("gru", "tanh", np.float64, LENGTHS["ragged"], 3, 67))
    expected = results_of(run, 3)
    context, is_over = multiprocessing.get_context("fork"), threading.Event()

    def keep_busy():
        while not is_over.is_set():
            run.both()

    with ThreadPoolExecutor(1) as executor:  # so that children are forked in the middle of a call
        executor.submit(keep_busy)
        try:
            for _ in range(5):
                here, there = context.Pipe()
                child = context.Process(target=results_in_child, args=(there,))
                child.start()
                assert here.poll(60)
                for name, array in here.recv().items():
                    assert_array_equal(array, expected[name], err_msg=name)
                child.join(60)
                assert child.exitcode == 0
        finally:
            is_over.set()


THREADS = """
import os, re
from pathlib import Path
import numpy as np
from kernel_problems import LEVELS, KernelRun, Problem

def tasks():
    return {path.name: path.joinpath("status").read_text() for path in Path("/proc/self/task").iterdir()}

before = tasks()
run = KernelRun(LEVELS[-1], Problem("lstm", "tanh", np.float32, np.full(40, 20), 3, 67))
run.n_threads = N_THREADS
run.both()
run.both()
new = [status for name, status in tasks().items() if name not in before]
blocked = [int(re.search(r"SigBlk:\\s*(\\w+)", status).group(1), 16) for status in new]
print(len(new), all(mask & 1 << 1 for mask in blocked))  # SIGINT is 2
"""


@needs_levels
@needs_linux
@pytest.mark.parametrize(("n_threads", "n_new"), [(1, 0), (2, 1), (4, 3)])
def test_threads_are_started_once_and_take_no_signals(n_threads, n_new):
    tests = str(Path(__file__).parents[1])
    output = run_python(f"import sys; sys.path.insert(0, {tests!r})\n" + THREADS.replace("N_THREADS", str(n_threads)))
    assert output.split() == [str(n_new), "True"]


WITHOUT_THREADS = """
import os, resource
import numpy as np
from kernel_problems import LEVELS, KernelRun, Problem

run = KernelRun(LEVELS[-1], Problem("lstm", "tanh", np.float32, np.full(40, 20), 3, 67))
alone = run.both()
run.n_threads = 3
n_before = len(os.listdir("/proc/self/task"))
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 2**22, used + 2**22))  # less than the stack of a thread
shared = run.both()
assert len(os.listdir("/proc/self/task")) == n_before
print(all(np.array_equal(shared[name], array) for name, array in alone.items()))
"""


@needs_levels
@needs_linux
@pytest.mark.skipif("asan" in os.environ.get("LD_PRELOAD", ""), reason="the sanitizer needs more memory than the limit")
def test_where_no_thread_can_be_started_the_work_is_done_all_the_same():
    assert run_python(WITHOUT_THREADS).strip() == "True"


@pytest.mark.parametrize("lengths", [np.arange(20, 40), np.full(20, 30)], ids=["ragged", "equal"])
@pytest.mark.parametrize(
    "settings",
    [
        {"cell": "lstm", "hidden_layer_sizes": 64, "bidirectional": True},
        {"cell": "rnn", "hidden_layer_sizes": (64, 64), "dropout": 0.2, "readout": "mean"},
        {"cell": "gru", "hidden_layer_sizes": (64, 64), "readout": "each", "bidirectional": True},
    ],
    ids=lambda settings: settings["cell"],
)
def test_fits_and_predictions_of_a_single_block_have_the_same_bits(settings, lengths, monkeypatch):
    generator = np.random.default_rng(0)
    X = [generator.normal(size=(n, 3)) for n in lengths]
    y = [x[:, 0] if settings.get("readout") == "each" else x[:, 0].sum() for x in X]
    numbers, of = set(), NetworkBuffers.of

    def noted(self, name):
        numbers.add(self.n_threads)
        return of(self, name)

    monkeypatch.setattr(NetworkBuffers, "of", noted)
    settings = {"patch_size": 1, "max_iter": 2, "n_iter_no_change": np.inf, "random_state": 0} | settings
    alone = RNNRegressor(**settings, n_jobs=1).fit(X, y)
    expected = alone.predict(X)
    assert numbers == {1}
    numbers.clear()
    shared = RNNRegressor(**settings, n_jobs=2).fit(X, y)
    assert 2 in numbers
    for name, weights in alone.weights_.items():
        assert_array_equal(shared.weights_[name], weights, err_msg=name)
    numbers.clear()
    for actual, of_one in zip(shared.predict(X), expected):
        assert_array_equal(actual, of_one)
    assert numbers == {2 if shared._model.network.recurrence.uses_blas is False else 1}


def test_probabilities_have_the_same_bits_in_shared_blocks_and_in_many():
    generator = np.random.default_rng(0)
    X = generator.normal(size=(2000, 20, 2))
    clf = RNNClassifier(hidden_layer_sizes=48, patch_size=1, max_iter=1, random_state=0).fit(X[:40], np.arange(40) % 3)
    expected = clf.predict_proba(X)
    for n_jobs in (2, 3, 100):
        clf.set_params(n_jobs=n_jobs)
        assert_array_equal(clf.predict_proba(X), expected)
