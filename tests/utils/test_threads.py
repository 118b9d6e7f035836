"""Threads: any number of them gives the same bits, in one fit, in parallel fits, and in forked processes."""

import contextlib
import itertools
import multiprocessing
import os
import signal
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import threadpoolctl
from helpers import make_sequences, run_python
from joblib import cpu_count, parallel_config
from joblib.parallel import MultiprocessingBackend, SequentialBackend
from numpy.testing import assert_array_equal
from threadpoolctl import ThreadpoolController

from sklearn_rnn import RNNClassifier, RNNRegressor
from sklearn_rnn._inference import prediction
from sklearn_rnn._training import trainer
from sklearn_rnn._utils.threads import number_of_threads, threads

SETTINGS = {
    "rnn": {"cell": "rnn"},
    "lstm": {"cell": "lstm"},
    "gru": {"cell": "gru"},
    "two bidirectional layers": {"cell": "gru", "bidirectional": True, "hidden_layer_sizes": (60, 40), "dropout": 0.2},
    "a loss at each step": {
        "cell": "rnn",
        "hidden_layer_sizes": (200,),  # a window has work for several blocks
        "readout": "each",
        "truncation": 4,
        "truncation_stride": 2,
    },
}
N_FEATURES = 3


def draw_data(settings, n_sequences, dtype=np.float64):
    """Ragged sequences of 1 to 12 steps; the targets are the signs of sums over the first feature."""
    lengths = np.random.default_rng(1).integers(1, 13, size=n_sequences)
    X = make_sequences(lengths, N_FEATURES, dtype=dtype)
    if settings.get("readout") == "each":
        return X, [(np.cumsum(sequence[:, 0]) > 0).astype(int) for sequence in X]
    return X, np.array([int(sequence[:, 0].sum() > 0) for sequence in X])


def make_classifier(n_jobs, **settings):
    defaults = {"hidden_layer_sizes": (100,), "batch_size": 200, "max_iter": 2, "n_iter_no_change": np.inf}
    return RNNClassifier(**defaults | settings, random_state=0, n_jobs=n_jobs)


def flat(values):
    """Join the values of an array, or of a list of arrays, into one flat array."""
    return np.concatenate([np.ravel(value) for value in values])


def results_of(estimator, X):
    """All results of training and prediction."""
    return {
        **estimator.weights_,
        "losses": np.array(estimator.loss_curve_),
        "norms": np.array(estimator.gradient_norms_),
        "probabilities": flat(estimator.predict_proba(X)),
        "hidden states": flat(estimator.hidden_states(X)),
    }


def assert_same_bits(actual, expected):
    assert list(actual) == list(expected)
    for name, array in expected.items():
        assert_array_equal(actual[name], array, err_msg=name)
        assert actual[name].dtype == array.dtype


@pytest.fixture
def numbers_of_blocks(monkeypatch):
    """The numbers of blocks so far: one set for batches of training, one for predictions."""
    monkeypatch.setattr("sklearn_rnn._network.blocks.SMALLEST_SHARED_TRAINING", 2**24)
    numbers = {"training": set(), "prediction": set()}

    def count(module, name, kind):
        original = getattr(module, name)

        def cut(*args):
            blocks = original(*args)
            numbers[kind].add(len(blocks))
            return blocks

        monkeypatch.setattr(module, name, cut)

    count(trainer, "training_blocks", "training")
    count(prediction, "prediction_blocks", "prediction")
    return numbers


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
def test_any_number_of_threads_gives_the_same_bits(settings, dtype, numbers_of_blocks):
    X, y = draw_data(settings, 400, dtype)
    alone = results_of(make_classifier(1, **settings).fit(X, y), X)
    assert min(numbers_of_blocks["training"]) > 2
    assert max(numbers_of_blocks["prediction"]) > 1  # fit also predicts a few sequences, in one block
    for n_jobs in (2, 3):
        assert_same_bits(results_of(make_classifier(n_jobs, **settings).fit(X, y), X), alone)
    assert alone["probabilities"].dtype == dtype
    assert np.ptp(alone["probabilities"]) > 0.01


def test_fits_side_by_side_give_the_bits_of_fits_alone():
    X, y = draw_data({}, 200)
    cells = ["rnn", "lstm", "gru"]
    expected = {cell: results_of(make_classifier(1, cell=cell).fit(X, y), X) for cell in cells}
    ready = threading.Barrier(3)

    def fit(worker):
        ready.wait(timeout=60)
        # Each begins elsewhere in the list: at any time different fits run side by side.
        tasks = [(n_jobs, cell) for n_jobs in (1, 2) for cell in np.roll(cells, worker)]
        return [(cell, results_of(make_classifier(n_jobs, cell=cell).fit(X, y), X)) for n_jobs, cell in tasks]

    with ThreadPoolExecutor(3) as executor:
        for results in executor.map(fit, range(3)):
            assert len(results) == 6
            for cell, actual in results:
                assert_same_bits(actual, expected[cell])


def test_one_estimator_predicts_in_several_threads_at_once():
    X, y = draw_data({}, 300)
    classifier = make_classifier(2, cell="lstm").fit(X, y)
    parts = [X[start::4] for start in range(4)] * 5
    expected = [classifier.predict_proba(part) for part in parts]
    with ThreadPoolExecutor(4) as executor:
        for actual, alone in zip(executor.map(classifier.predict_proba, parts), expected, strict=True):
            assert_array_equal(actual, alone)


# ---- The number of threads ------------------------------------------------------------------------------------------


class ClusterBackend(MultiprocessingBackend):
    """Counts the cores of a cluster, as the backends of dask and ray do: for any ``n_jobs``, as that of dask."""

    def effective_n_jobs(self, n_jobs):
        return 640


@pytest.mark.parametrize(
    ("context", "expected"),
    [
        ({}, [1, 3]),
        ({"n_jobs": 2}, [2, 3]),
        ({"backend": "loky", "n_jobs": 2}, [2, 3]),
        ({"backend": "threading", "n_jobs": 2}, [2, 3]),
        ({"backend": "multiprocessing", "n_jobs": 2}, [2, 3]),
        ({"backend": SequentialBackend(), "n_jobs": 2}, [1, 1]),
        ({"backend": ClusterBackend()}, [1, 3]),
        ({"backend": ClusterBackend(), "n_jobs": 640}, [1, 3]),
    ],
    ids=["none", "n_jobs", "loky", "threading", "multiprocessing", "sequential", "cluster", "cluster, n_jobs"],
)
def test_the_number_of_threads_is_that_of_the_context_unless_it_counts_a_cluster(context, expected):
    with parallel_config(**context):
        assert [number_of_threads(None), number_of_threads(3)] == expected
        with pytest.raises(ValueError, match="n_jobs == 0"):
            number_of_threads(0)
    if expected[1] == 3:
        with parallel_config(**context):
            assert number_of_threads(-1) == cpu_count()


# ---- BLAS ------------------------------------------------------------------------------------------------------------


BLAS = ThreadpoolController().select(user_api="blas").lib_controllers


def blas_threads():
    """Number of threads of each BLAS library."""
    return [library.num_threads for library in BLAS]


BEFORE = blas_threads()
needs_blas_threads = pytest.mark.skipif(max(BEFORE, default=1) == 1, reason="BLAS has one thread anyway")


def in_a_thread(function):
    """Call a function in a new thread."""
    with ThreadPoolExecutor(1) as executor:
        return executor.submit(function).result()


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_blas_is_limited_to_one_thread_in_every_thread(n_jobs):
    before = blas_threads()

    def limited():
        with threads(n_jobs) as run:
            return list(run(lambda _: blas_threads(), range(5)))

    for result in (limited(), in_a_thread(limited), limited(), in_a_thread(limited)):
        assert result == [[1] * len(before)] * 5
        assert blas_threads() == before


def test_blas_gets_its_threads_back_from_the_last_one_out():
    before = blas_threads()
    first, second = threads(1), threads(1)
    with ThreadPoolExecutor(1) as here, ThreadPoolExecutor(1) as there:
        here.submit(first.__enter__).result()
        there.submit(second.__enter__).result()
        here.submit(first.__exit__, None, None, None).result()
        assert blas_threads() == [1] * len(before)
        there.submit(second.__exit__, None, None, None).result()
        assert blas_threads() == before


# ---- The map of threads ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n_jobs", [1, 2, 3])
def test_results_come_in_order_each_item_once(n_jobs):
    calls = []

    def square(item):
        calls.append(item)
        return item**2

    with threads(n_jobs) as run:
        for n_items in (0, 1, 2, 17):
            assert list(run(square, range(n_items))) == [item**2 for item in range(n_items)]
            assert sorted(calls) == list(range(n_items))
            calls.clear()


@pytest.mark.parametrize("n_jobs", [1, 2, 3])
@pytest.mark.parametrize("at", [0, 1, 7])
@pytest.mark.parametrize("error", [ValueError, MemoryError, KeyboardInterrupt])
def test_an_error_in_any_item_is_raised_and_stops_all_threads(n_jobs, at, error):
    working = set()

    def work(item):
        working.add(item)
        if item == at:
            raise error(f"item {item}")
        threading.Event().wait(0.01)
        working.discard(item)

    with threads(n_jobs) as run, pytest.raises(error, match=f"^item {at}$"):
        list(run(work, range(8)))
    assert working == {at}
    with threads(n_jobs) as run:  # the threads still work
        assert list(run(abs, [-1, -2])) == [1, 2]


def test_the_number_of_waiting_threads_is_at_most_the_largest_n_jobs():
    # In a new process: other tests have started threads in this one.
    program = """
        import os, sys, threading, time

        from sklearn_rnn._utils.threads import number_of_threads, threads

        all_at_work = threading.Barrier(8)
        for n_jobs in range(2, 9):
            with threads(n_jobs) as run:
                run(lambda _: time.sleep(0.001), range(20))
        with threads(8) as run:  # a thread for each item
            run(lambda _: all_at_work.wait(timeout=60), range(8))
        for _ in range(1000):  # until the surplus threads have ended
            if len(sys._current_frames()) <= max(8, 1 + os.cpu_count()):
                break
            time.sleep(0.01)
        print(len(sys._current_frames()) <= max(8, 1 + os.cpu_count()))
    """
    assert run_python(program, timeout=120) == "True\n"


# ---- Ctrl-C ----------------------------------------------------------------------------------------------------------


EVERY_INSTRUCTION = {threads.__code__.co_filename, contextlib.__file__, threading.__file__}
# Python checks for signals when a function begins and returns, but not between the body of a ``with`` and its exit.
EVERY_CALL = {threadpoolctl.__file__}


def interrupted(function, at):
    """Call a function with Ctrl-C at event number ``at`` in the files above; return the error, or None without one."""
    numbers = itertools.count()

    def trace(frame, event, _):
        file = frame.f_code.co_filename
        if file not in EVERY_INSTRUCTION | EVERY_CALL:
            return None
        frame.f_trace_opcodes = file in EVERY_INSTRUCTION
        if (file in EVERY_INSTRUCTION or event in ("call", "return")) and next(numbers) == at:
            raise KeyboardInterrupt
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        function()
    except KeyboardInterrupt as error:
        return error
    finally:
        sys.settrace(before)
    return None


def enter_and_leave(n_jobs):
    with threads(n_jobs):
        pass


def run_a_map(n_jobs):
    with threads(n_jobs) as run:
        assert list(run(abs, [-1, -2, -3])) == [1, 2, 3]


def nest(n_jobs):
    with threads(1), threads(n_jobs) as run:
        assert list(run(abs, [-1])) == [1]


def raise_inside(n_jobs):
    with pytest.raises(ZeroDivisionError), threads(n_jobs) as run:
        list(run(lambda item: 1 / item, [1, 2, 0]))


@needs_blas_threads
@pytest.mark.parametrize("use", [enter_and_leave, run_a_map, nest, raise_inside])
@pytest.mark.parametrize("n_jobs", [1, 3])
def test_an_interrupt_at_any_instruction_leaves_blas_as_it_was_and_the_next_use_works(use, n_jobs):
    use(n_jobs)  # the first use finds libraries and starts threads
    n_threads = len(sys._current_frames())
    for at in itertools.count():
        error = interrupted(lambda: use(n_jobs), at)  # kept until the checks: so are the frames of its traceback
        assert blas_threads() == BEFORE, f"interrupt {at}"
        in_a_thread(lambda: run_a_map(n_jobs))
        assert blas_threads() == BEFORE, f"use after interrupt {at}"
        assert len(sys._current_frames()) <= n_threads + max(4, os.cpu_count()), f"interrupt {at}"
        if error is None:
            break
    assert at > 100


def test_a_thread_keeps_blas_at_one_thread_while_another_is_interrupted():
    inside, may_leave = threading.Event(), threading.Event()

    def stay():
        with threads(1):
            inside.set()
            assert may_leave.wait(timeout=300)

    with ThreadPoolExecutor(1) as executor:
        stayed = executor.submit(stay)
        assert inside.wait(timeout=60)
        for at in itertools.count():
            error = interrupted(lambda: enter_and_leave(2), at)
            assert blas_threads() == [1] * len(BEFORE), f"interrupt {at}"
            if error is None:
                break
        may_leave.set()
        stayed.result()
    assert blas_threads() == BEFORE


def test_an_interrupt_while_the_calling_thread_waits_for_others_lets_them_end():
    helper = threading.Event()
    ended = []

    def work(item):
        if threading.current_thread() is threading.main_thread():
            assert helper.wait(timeout=60)
            signal.raise_signal(signal.SIGINT)
        helper.set()
        threading.Event().wait(0.2)
        ended.append(item)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # shells let their background jobs ignore it
    try:
        with pytest.raises(KeyboardInterrupt), threads(2) as run:
            run(work, range(2))
    finally:
        signal.signal(signal.SIGINT, before)
    assert len(ended) == 1


@needs_blas_threads
@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="this system has no timer that sends signals")
def test_signals_at_random_times_of_tiny_fits_leave_blas_as_it_was():
    program = """
        import random, signal, warnings

        from test_threads import blas_threads, draw_data, make_classifier

        warnings.simplefilter("ignore")  # an interrupted fit warns
        X, y = draw_data({}, 4)
        classifier = make_classifier(1, hidden_layer_sizes=(2,), batch_size=4).partial_fit(X, y, classes=[0, 1])
        before, n_signals, left = blas_threads(), 0, 0

        def interrupt(*_):
            global n_signals
            n_signals += 1
            raise KeyboardInterrupt

        signal.signal(signal.SIGALRM, interrupt)
        random.seed(0)
        for number in range(1, 401):
            try:
                signal.setitimer(signal.ITIMER_REAL, random.uniform(0.0005, 0.003))
                while n_signals < number:
                    classifier.partial_fit(X, y)
            except KeyboardInterrupt:
                pass
            left += blas_threads() != before
        print(n_signals, left)
    """
    assert run_python(program, timeout=300) == "400 0\n"


# ---- Forked processes ------------------------------------------------------------------------------------------------


needs_fork = pytest.mark.skipif(
    "fork" not in multiprocessing.get_all_start_methods() or sys.platform == "darwin",
    reason="this system has no fork, or libraries that do not survive it",
)


@needs_fork
def test_children_forked_after_a_fit_can_fit_as_well():
    # In a new process: pytest and its plugins may have threads, and a fork beside threads warns.
    program = """
        import multiprocessing

        from test_threads import assert_same_bits, draw_data, make_classifier, results_of

        X, y = draw_data({}, 200)

        def fit(n_jobs, cell):
            return results_of(make_classifier(n_jobs, cell=cell).fit(X, y), X)

        def fit_again(n_jobs):
            for cell, alone in expected.items():
                assert_same_bits(fit(n_jobs, cell), alone)

        for n_jobs in (1, 2):
            expected = {cell: fit(n_jobs, cell) for cell in ("rnn", "lstm", "gru")}
            children = [multiprocessing.get_context("fork").Process(target=fit_again, args=(n_jobs,)) for _ in range(2)]
            for child in children:
                child.start()
            fit_again(n_jobs)
            for child in children:
                child.join(60)
            print(*[child.exitcode for child in children])
    """
    assert run_python(program, timeout=400) == "0 0\n0 0\n"


@needs_fork
def test_daemons_may_have_threads():
    # Workers of dask and of multiprocessing.Pool are daemons: they may not start processes.
    program = """
        import multiprocessing
        import warnings

        def count():
            warnings.simplefilter("error")
            from sklearn_rnn._utils.threads import number_of_threads

            raise SystemExit(10 * number_of_threads(None) + number_of_threads(3))

        daemon = multiprocessing.get_context("fork").Process(target=count, daemon=True)
        daemon.start()
        daemon.join(60)
        print(daemon.exitcode)
    """
    assert run_python(program) == "13\n"


@needs_fork
def test_children_forked_while_other_threads_fit_can_fit_and_have_blas_as_it_was():
    program = """
        import os, signal, sys, threading, time, warnings

        from test_threads import blas_threads, draw_data, make_classifier, results_of, assert_same_bits

        # From Python 3.12 on: what this test is about.
        warnings.filterwarnings("ignore", "This process .* is multi-threaded", DeprecationWarning)
        warnings.filterwarnings("error", category=RuntimeWarning)
        before = blas_threads()
        X, y = draw_data({}, 60)
        make = lambda n_jobs: make_classifier(n_jobs, hidden_layer_sizes=(5,), batch_size=30)
        expected = results_of(make(1).fit(X, y), X)
        is_over = threading.Event()

        def fit_on(n_jobs):
            while not is_over.is_set():
                make(n_jobs).fit(X, y)

        def work_in_child():
            had = blas_threads()
            assert_same_bits(results_of(make(2).fit(X, y), X), expected)
            return had == blas_threads() == before

        threads = [threading.Thread(target=fit_on, args=(n_jobs,)) for n_jobs in (1, 2, 2)]
        for thread in threads:
            thread.start()
        statuses = []
        for _ in range(20):
            child = os.fork()
            if child == 0:
                signal.alarm(60)  # ends a child that hangs
                status = 1
                try:
                    status = 0 if work_in_child() else 2
                finally:
                    os._exit(status)
            statuses.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        is_over.set()
        for thread in threads:
            thread.join()
        print(statuses == [0] * 20 or statuses, blas_threads() == before)
    """
    assert run_python(program, timeout=500) == "True True\n"


@needs_fork
def test_a_child_forked_inside_keeps_blas_at_one_thread_until_it_leaves():
    program = """
        import os

        from sklearn_rnn._utils.threads import number_of_threads, threads
        from test_threads import blas_threads

        before = blas_threads()
        with threads(1):
            child = os.fork()
            assert blas_threads() == [1] * len(before)
        assert blas_threads() == before
        if child:
            print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        else:
            os._exit(0)
    """
    assert run_python(program, timeout=200) == "0\n"


def test_cross_validation_in_processes_gives_the_scores_of_this_one():
    from sklearn.model_selection import cross_val_score

    X, y = make_sequences((5, 3, 7, 4, 2, 6, 3, 5), N_FEATURES), np.arange(8) / 4
    regressor = RNNRegressor((20,), max_iter=3, n_iter_no_change=np.inf, random_state=0)
    alone, in_processes = (cross_val_score(regressor, X, y, cv=2, n_jobs=n_jobs) for n_jobs in (None, 2))
    assert_array_equal(in_processes, alone)
