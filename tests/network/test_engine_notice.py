"""Where kernels are missing, the first use in a process warns that NumPy serves."""

import pickle
import textwrap

import pytest
from helpers import PLAIN, run_python

from sklearn_rnn import RNNClassifier, RNNRegressor
from sklearn_rnn._network import kernels
from sklearn_rnn._network.engines import notice

X = [[[0.0], [1.0], [2.0]], [[2.0], [1.0], [0.0]], [[0.0], [1.0], [1.0]], [[3.0], [1.0], [0.0]]]
y = [0, 1, 0, 1]
SETTINGS = PLAIN | {"hidden_layer_sizes": 3, "max_iter": 2, "random_state": 0}

START = """
import pickle
import sys
import warnings

sys.path.insert(0, sys.argv[1])
from pathlib import Path

from sklearn_rnn import RNNClassifier, RNNRegressor
from sklearn_rnn._network import kernels
from sklearn_rnn._network.engines import notice

assert Path(kernels.__file__).is_relative_to(sys.argv[1])
fitted_file = Path(sys.argv[1], "fitted.pickle")
classifier, regressor, X, y, settings = pickle.loads(fitted_file.read_bytes())


def notices(function):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        function()
    return [warning for warning in caught if "runs on NumPy" in str(warning.message)]
"""


@pytest.fixture
def run_without_kernels(copy_without_kernels):
    """A function that runs a program after START in a process without kernels, and returns the lines that it prints."""
    settings = SETTINGS | {"n_iter_no_change": float("inf")}
    fitted = [make_estimator(**settings).fit(X, y) for make_estimator in (RNNClassifier, RNNRegressor)]
    (copy_without_kernels / "fitted.pickle").write_bytes(pickle.dumps((*fitted, X, y, settings)))

    def run(program, kernel=""):
        program = START + textwrap.dedent(program)
        return run_python(program, copy_without_kernels, kernel=kernel).splitlines()

    return run


def test_each_method_that_runs_the_network_warns_once_at_the_users_line(run_without_kernels):
    program = """
        from sklearn_rnn import inspection

        uses = {
            "fit": lambda: RNNRegressor(**settings).fit(X, y),
            "partial_fit": lambda: RNNClassifier(**settings).partial_fit(X, y, classes=[0, 1]),
            "predict": lambda: classifier.predict(X),
            "predict_proba": lambda: classifier.predict_proba(X),
            "score": lambda: regressor.score(X, y),
            "hidden_states": lambda: regressor.hidden_states(X),
            "stream": lambda: classifier.stream(),
            "gradient_flow": lambda: inspection.gradient_flow(classifier, X, y),
            "truncation_bias": lambda: inspection.truncation_bias(regressor, X, y, [1]),
        }
        (reason,) = notice.pending
        for name, use in uses.items():
            notice.pending[:] = [reason]
            (warning,) = notices(use)
            assert warning.category is UserWarning, name
            assert warning.filename == "<string>", (name, warning.filename)
            assert not any(notices(other) for other in uses.values()), name
        print(warning.message)
    """
    (message,) = run_without_kernels(program)
    assert message.startswith("sklearn_rnn runs on NumPy, up to three times slower, because the compiled extension is")
    assert "--no-cache-dir. To silence this warning, set the environment variable SKLEARN_RNN_KERNEL=numpy." in message


def test_nothing_warns_before_a_network_runs_and_show_versions_gives_the_reason(run_without_kernels):
    program = """
        import copy

        from sklearn import clone
        from sklearn_rnn import show_versions

        warnings.simplefilter("error")
        for estimator in (classifier, regressor):
            for same in (estimator, clone(estimator), copy.deepcopy(estimator), pickle.loads(pickle.dumps(estimator))):
                assert "RNN" in repr(same)
                assert "engine: NumPy<" in same._repr_html_()
                assert same.memory_estimate(X).full > 0
        show_versions()
        print(len(notice.pending))
    """
    *_, engine, n_pending = run_without_kernels(program)
    assert engine.startswith("engine: NumPy (the compiled extension is not in ")
    assert engine.endswith("--no-cache-dir)")
    assert n_pending == "1"


def test_a_warning_that_is_an_error_leaves_the_estimator_as_it_was_and_does_not_come_again(run_without_kernels):
    program = """
        warnings.simplefilter("error")
        (reason,) = notice.pending
        new = RNNClassifier(**settings)
        for estimator, use in (
            (new, lambda: new.fit(X, y)),
            (classifier, lambda: classifier.partial_fit(X, y)),
            (regressor, lambda: regressor.predict(X)),
        ):
            notice.pending[:] = [reason]
            before, pickled = dict(vars(estimator)), pickle.dumps(estimator)
            try:
                use()
            except UserWarning as error:
                assert "runs on NumPy" in str(error)
            else:
                raise AssertionError("no error")
            assert vars(estimator) == before
            assert pickle.dumps(estimator) == pickled
            use()
        assert hasattr(new, "classes_")
        assert classifier.n_iter_ == regressor.n_iter_ + 1
        print("done")
    """
    assert run_without_kernels(program) == ["done"]


def test_of_several_threads_one_warns(run_without_kernels):
    program = """
        from concurrent.futures import ThreadPoolExecutor
        from threading import Barrier
        from time import sleep

        def then_wait(method):
            def call(self, *arguments):
                result = method(self, *arguments)
                sleep(0.01)  # others overtake this thread
                return result

            return call

        class SlowList(list):
            __len__, __getitem__, pop, clear = map(then_wait, (list.__len__, list.__getitem__, list.pop, list.clear))

        messages = []
        notice.pending, notice.warn_user = SlowList(notice.pending), messages.append
        n_threads = 8
        barrier = Barrier(n_threads)

        def predict(_):
            barrier.wait()
            return classifier.predict(X).tolist()

        with ThreadPoolExecutor(n_threads) as pool:
            predictions = list(pool.map(predict, range(n_threads)))
        assert predictions == n_threads * [classifier.predict(X).tolist()]
        print(len(messages))
    """
    assert run_without_kernels(program) == ["1"]


def test_each_process_of_joblib_warns_once(run_without_kernels):
    program = """
        import os
        from collections import Counter

        from joblib import Parallel, delayed

        os.environ["PYTHONPATH"] = sys.argv[1]

        def count_notices(classifier, X):
            import os
            import warnings

            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                classifier.predict(X)
            return os.getpid(), sum("runs on NumPy" in str(warning.message) for warning in caught)

        count = Counter()
        for process, n_notices in Parallel(2)(delayed(count_notices)(classifier, X) for _ in range(12)):
            count[process] += n_notices
        assert os.getpid() not in count
        assert len(notice.pending) == 1
        print(set(count.values()))
    """
    assert run_without_kernels(program) == ["{1}"]


def test_nothing_warns_where_numpy_was_asked_for(run_without_kernels):
    program = """
        warnings.simplefilter("error")
        print(notice.pending, len(RNNClassifier(**settings).fit(X, y).predict(X)), notice.engine_name_and_reason())
    """
    assert run_without_kernels(program, kernel="numpy") == ["[] 4 NumPy (SKLEARN_RNN_KERNEL=numpy)"]


@pytest.mark.skipif(kernels.name == "numpy", reason="no kernels serve")
def test_nothing_is_pending_where_kernels_serve():
    assert notice.pending == []
