"""Checkpoints: a fit that was killed goes on, and ends with the bits of a fit that nobody stopped.

An exception after a write stands for the kill: nothing but the file is left. One test kills a process.
``benchmarks/killed.py`` kills many, at random moments.
"""

import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from checkpoint_cases import CASES, LABELS, VALUES, WEIGHTS, X, classifier, figures, fit, regressor
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import sklearn_rnn
from sklearn_rnn import ModelFileError
from sklearn_rnn._persistence import checkpoints
from sklearn_rnn.callbacks import Checkpoint
from sklearn_rnn.preprocessing import TimeDistributed

EVERY_BATCH = "0.000000001s"

pytestmark = pytest.mark.filterwarnings("ignore:max_iter:sklearn.exceptions.ConvergenceWarning")


class Killed(BaseException):
    """Stands for a kill."""


class Writes:
    """Counts the writes of checkpoints; after the n-th of a run, the run is killed."""

    def __init__(self, monkeypatch):
        self.n, self.limit, self.error = 0, np.inf, Killed()
        self._write = checkpoints.write_atomically
        monkeypatch.setattr(checkpoints, "write_atomically", self)

    def __call__(self, *arguments):
        self._write(*arguments)
        self.n += 1
        if self.n >= self.limit:
            raise self.error

    def kill_after(self, limit):
        self.n, self.limit = 0, limit


@pytest.fixture
def writes(monkeypatch):
    return Writes(monkeypatch)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "fit.checkpoint"


def fit_in_parts(writes, case, path, every, n_writes):
    """Fit, killed after ``n_writes`` checkpoints, then again, until it ends; return the estimator and the kills."""
    for n_kills in range(1000):
        estimator, arguments, options = case()
        writes.kill_after(n_writes)
        try:
            return fit(estimator, arguments, options, checkpoint=Checkpoint(path, every)), n_kills
        except Killed:
            pass
    raise AssertionError("it does not end")


# ---- The same bits -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize(("every", "n_writes"), [(1, 2), (EVERY_BATCH, 4)], ids=["epochs", "batches"])
def test_a_fit_that_is_killed_again_and_again_has_the_bits_of_one_that_is_not(writes, path, name, every, n_writes):
    expected = figures(fit(*CASES[name]()))
    estimator, n_kills = fit_in_parts(writes, CASES[name], path, every, n_writes)
    assert n_kills > 1
    assert figures(estimator) == expected


@pytest.mark.parametrize("name", ["Adam", "L-BFGS", "early stopping"])
def test_a_finished_fit_is_returned_at_once(writes, path, name):
    expected = figures(fit(*CASES[name](), checkpoint=path))
    writes.kill_after(1)
    assert figures(fit(*CASES[name](), checkpoint=path)) == expected
    assert writes.n == 0


@pytest.mark.parametrize("name", ["Adam", "L-BFGS"])
def test_a_checkpoint_changes_no_bit(path, name):
    assert figures(fit(*CASES[name](), checkpoint=path)) == figures(fit(*CASES[name]()))


@pytest.mark.parametrize("kind", ["None", "RandomState"])
def test_the_generator_goes_on_from_the_file(writes, path, kind):
    def case(seed=7):
        np.random.seed(seed)  # noqa: NPY002
        random_state = None if kind == "None" else np.random.RandomState(5)
        return classifier(random_state=random_state, early_stopping=True), (X, LABELS), {}

    undisturbed = fit(*case())
    expected = figures(undisturbed)
    writes.kill_after(3)
    with pytest.raises(Killed):
        fit(*case(), checkpoint=path)
    writes.kill_after(np.inf)
    estimator, arguments, options = case(seed=8)  # of NumPy's global generator
    before = np.random.get_state()[1].tobytes()  # noqa: NPY002
    assert figures(fit(estimator, arguments, options, checkpoint=path)) == expected
    assert np.random.get_state()[1].tobytes() == before  # noqa: NPY002
    if kind == "RandomState":
        assert estimator.random_state.randint(10**6) == undisturbed.random_state.randint(10**6)


def test_a_warm_start_goes_on_too(writes, path):
    start = fit(*CASES["Adam"]()).set_params(warm_start=True)
    expected = figures(fit(clone_with_fit(start), (X, LABELS), {}))
    estimator, n_kills = fit_in_parts(writes, lambda: (clone_with_fit(start), (X, LABELS), {}), path, 1, 2)
    assert n_kills > 1
    assert figures(estimator) == expected
    with pytest.raises(ValueError, match=r"^checkpoint=.*first network: "):
        estimator.fit(X, LABELS, checkpoint=path)  # it would train further


def clone_with_fit(estimator):
    twin = clone(estimator)
    twin.__setstate__(estimator.__getstate__())
    return twin


def test_diverged_training_ends_with_the_same_weights_and_warning(writes, path):
    def case():
        settings = {"solver": "sgd", "learning_rate_init": 1e150, "clip_norm": None, "activation": "identity"}
        return regressor(cell="rnn", **settings), (X, VALUES), {}

    with pytest.warns(match="not finite"):
        expected = figures(fit(*case()))
    writes.kill_after(2)
    with pytest.raises(Killed):
        fit(*case(), checkpoint=Checkpoint(path, EVERY_BATCH))
    writes.kill_after(np.inf)
    for _ in range(2):
        with pytest.warns(match="not finite"):
            assert figures(fit(*case(), checkpoint=Checkpoint(path, EVERY_BATCH))) == expected


def test_ctrl_c_keeps_the_model_and_the_last_checkpoint(writes, path):
    expected = figures(fit(*CASES["Adam"]()))
    writes.error = KeyboardInterrupt()
    writes.kill_after(3)
    with pytest.warns(match="interrupted"):
        interrupted = fit(*CASES["Adam"](), checkpoint=path)
    assert interrupted.n_iter_ == 2
    writes.kill_after(np.inf)
    assert figures(fit(*CASES["Adam"](), checkpoint=path)) == expected


# ---- The file ------------------------------------------------------------------------------------------


def test_how_often_the_state_is_kept(writes, path):
    def n_writes(every):
        writes.kill_after(np.inf)
        fit(*CASES["Adam"](), checkpoint=Checkpoint(path, every, resume=False))
        return writes.n

    # Before the first of 4 epochs, at their ends, and at the end of training; 3 batches in each.
    assert [n_writes(every) for every in (1, 2, 3, 100, "1h", EVERY_BATCH)] == [5, 3, 3, 2, 2, 1 + 4 * 3 + 4]


CHANGES = {
    "learning_rate_init": lambda clf: fit(clf.set_params(learning_rate_init=0.5), (X, LABELS), {}),
    "random_state": lambda clf: fit(clf.set_params(random_state=1), (X, LABELS), {}),
    "X": lambda clf: fit(clf, ([X[0] * 2, *X[1:]], LABELS), {}),
    "y": lambda clf: fit(clf, (X, LABELS[::-1]), {}),
    "sample_weight": lambda clf: fit(clf, (X, LABELS), {"sample_weight": WEIGHTS}),
    "X_val": lambda clf: fit(clf, (X, LABELS), {"X_val": X[:5], "y_val": LABELS[:5]}),
    "estimator": lambda clf: fit(regressor(), (X, VALUES), {}),
}


@pytest.mark.parametrize("name", CHANGES)
@pytest.mark.parametrize("way", ["file", "folder"])
def test_another_training_is_refused_by_name_or_has_a_file_of_its_own(monkeypatch, tmp_path, name, way):
    path = tmp_path / "fit.checkpoint" if way == "file" else tmp_path
    fit(*CASES["Adam"](), checkpoint=path)
    before = {file: file.read_bytes() for file in tmp_path.iterdir()}
    original = checkpoints_of_fit(monkeypatch, path)
    if way == "file":
        with pytest.raises(ValueError, match=rf"^checkpoint=.*another training \(.*{name}: .* Delete it"):
            CHANGES[name](classifier())
    else:
        CHANGES[name](classifier())
        assert len(list(tmp_path.iterdir())) == 2
    assert original
    assert all(file.read_bytes() == content for file, content in before.items())


def checkpoints_of_fit(monkeypatch, path):
    """Let every fit have this checkpoint."""
    original = sklearn_rnn._base.checkpoint_of
    monkeypatch.setattr(sklearn_rnn._base, "checkpoint_of", lambda estimator, _: original(estimator, path))
    return original


def test_what_changes_no_bit_may_differ(writes, path):
    expected = figures(fit(*CASES["Adam"]()))
    writes.kill_after(2)
    with pytest.raises(Killed):
        fit(*CASES["Adam"](), checkpoint=path)
    writes.kill_after(np.inf)
    clf = classifier(n_jobs=2)
    assert figures(fit(clf, (X, LABELS), {}, checkpoint=path)) == expected


def test_without_resume_training_begins_anew(path):
    fit(*CASES["Adam"](), checkpoint=path)
    clf = fit(classifier(random_state=1), (X, LABELS), {}, checkpoint=Checkpoint(path, resume=False))
    assert figures(fit(classifier(random_state=1), (X, LABELS), {}, checkpoint=path)) == figures(clf)


def test_another_version_is_refused(monkeypatch, path):
    fit(*CASES["Adam"](), checkpoint=path)
    monkeypatch.setattr(sklearn_rnn, "__version__", "9.9.9")
    with pytest.raises(ValueError, match=r"^checkpoint=.*sklearn_rnn: 0.* there, 9\.9\.9 here"):
        fit(*CASES["Adam"](), checkpoint=path)


FOREIGN = {
    "cut off": lambda data: data[: len(data) // 2],
    "changed": lambda data: data[:300] + bytes([data[300] ^ 1]) + data[301:],
    "empty": lambda data: b"",
    "a table": lambda data: b"a,b\n1,2\n",
}


@pytest.mark.parametrize("name", FOREIGN)
def test_torn_and_foreign_files_are_refused_and_left(path, name):
    fit(*CASES["Adam"](), checkpoint=path)
    path.write_bytes(FOREIGN[name](path.read_bytes()))
    before = path.read_bytes()
    clf = classifier()
    with pytest.raises(ModelFileError, match=r"^checkpoint=.*fit.checkpoint' cannot be continued: "):
        clf.fit(X, LABELS, checkpoint=path)
    assert path.read_bytes() == before
    assert not hasattr(clf, "weights_")


def test_files_of_models_and_of_checkpoints_are_told_apart(path):
    clf = fit(*CASES["Adam"]())
    sklearn_rnn.save(clf, path)
    with pytest.raises(ModelFileError, match=r"an estimator of sklearn_rnn.save, and no checkpoint"):
        clf.fit(X, LABELS, checkpoint=path)
    path.unlink()
    clf.fit(X, LABELS, checkpoint=path)
    with pytest.raises(ModelFileError, match="it holds a checkpoint of a training"):
        sklearn_rnn.load(path)


# ---- Writes that fail ----------------------------------------------------------------------------------


def kill(*_):
    raise Killed


def full_disk(*_):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("target", ["os.fsync", "sklearn_rnn._persistence.checkpoints.write_archive", "os.replace"])
def test_a_failed_write_at_the_start_is_an_error_and_a_later_one_a_warning(monkeypatch, writes, path, target):
    clf = classifier()
    with monkeypatch.context() as patch:
        patch.setattr(target, full_disk)
        with pytest.raises(OSError, match=r"^checkpoint=.*No space left") as caught:
            clf.fit(X, LABELS, checkpoint=path)
    assert caught.value.errno == errno.ENOSPC
    assert not hasattr(clf, "weights_")
    assert list(path.parent.iterdir()) == []
    writes.kill_after(2)
    with pytest.raises(Killed):
        clf.fit(X, LABELS, checkpoint=path)
    before = path.read_bytes()
    writes.kill_after(np.inf)
    with monkeypatch.context() as patch:
        patch.setattr(target, full_disk)
        with pytest.warns(match=r"^checkpoint=.*No space left.*Training goes on") as caught:
            clf.fit(X, LABELS, checkpoint=path)
    assert len([w for w in caught if "No space" in str(w.message)]) == 1
    assert figures(clf) == figures(fit(*CASES["Adam"]()))
    assert [file.read_bytes() for file in path.parent.iterdir()] == [before]


def test_a_folder_that_is_missing_or_read_only_is_refused_before_training(monkeypatch, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"^checkpoint=.*missing"):
        classifier().fit(X, LABELS, checkpoint=tmp_path / "missing" / "fit.checkpoint")

    def refuse(*_, **__):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("tempfile.mkstemp", refuse)  # the tests may run as root, whom no permission stops
    with pytest.raises(PermissionError, match=r"^checkpoint=.*Permission denied"):
        classifier().fit(X, LABELS, checkpoint=tmp_path / "fit.checkpoint")


def test_an_exception_during_a_write_leaves_the_old_file(monkeypatch, path):
    fit(*CASES["Adam"](), checkpoint=Checkpoint(path, 100))
    before = path.read_bytes()
    for target in ("os.fsync", "os.replace"):
        with monkeypatch.context() as patch:
            patch.setattr(target, kill)
            with pytest.raises(Killed):
                fit(*CASES["Adam"](), checkpoint=Checkpoint(path, resume=False))
        assert [file.read_bytes() for file in path.parent.iterdir()] == [before]


def test_leftovers_of_killed_processes_are_removed_after_an_hour(path):
    old, new = (path.with_name(f".{path.name}.{name}.tmp") for name in ("old", "new"))
    for file, age in ((old, 4000), (new, 10)):
        file.touch()
        os.utime(file, (time.time() - age,) * 2)
    fit(*CASES["Adam"](), checkpoint=path)
    assert sorted(path.parent.iterdir()) == sorted([new, path])


# ---- The ways to pass it -------------------------------------------------------------------------------


def test_it_goes_through_pipelines(writes, path):
    pipe = make_pipeline(TimeDistributed(StandardScaler()), classifier())
    pipe.fit(X, LABELS, rnnclassifier__checkpoint=path)
    assert writes.n == 5


def test_callbacks_are_the_same(writes, path):
    pytest.importorskip("sklearn.callback", reason="scikit-learn has callbacks from 1.9 on")
    clf = classifier().set_callbacks(Checkpoint(path))
    writes.kill_after(3)
    with pytest.raises(Killed):
        clf.fit(X, LABELS)
    writes.kill_after(np.inf)
    assert figures(clone(clf).fit(X, LABELS)) == figures(fit(*CASES["Adam"]()))
    with pytest.raises(ValueError, match=r"^checkpoint is given 2 times"):
        clf.fit(X, LABELS, checkpoint=path)
    with pytest.raises(ValueError, match=r"^checkpoint: partial_fit keeps none"):
        clf.partial_fit(X, LABELS, classes=np.unique(LABELS))
    with pytest.raises(TypeError, match="but it was set on StandardScaler"):
        StandardScaler().set_callbacks(Checkpoint(path)).fit(VALUES[:, None])


def test_a_search_that_is_killed_does_not_train_again_what_it_had_trained(writes, tmp_path):
    def search():
        grid = {"learning_rate_init": [0.01, 0.05]}
        return GridSearchCV(classifier(), grid, cv=2, error_score="raise")

    expected = search().fit(X, LABELS)
    writes.kill_after(12)
    with pytest.raises(Killed):
        search().fit(X, LABELS, checkpoint=Checkpoint(tmp_path))
    assert len(list(tmp_path.iterdir())) == 3
    writes.kill_after(np.inf)
    resumed = search().fit(X, LABELS, checkpoint=Checkpoint(tmp_path))
    # Of 4 fits and the last one, each with 5 states, 12 were there; the third fit has 2 of its 5.
    assert writes.n == 5 * 5 - 12
    np.testing.assert_array_equal(resumed.cv_results_["mean_test_score"], expected.cv_results_["mean_test_score"])
    assert figures(resumed.best_estimator_) == figures(expected.best_estimator_)


def test_one_file_for_many_fits_is_refused(path):
    search = GridSearchCV(classifier(), {"learning_rate_init": [0.01, 0.05]}, cv=2, error_score="raise")
    with pytest.raises(ValueError, match="A folder as path has a file for each training"):
        search.fit(X, LABELS, checkpoint=Checkpoint(path))


@pytest.mark.parametrize("every", [0, -1, 1.5, True, "60", "0s", "s", "1 week", None])
def test_bad_intervals_are_refused(every):
    with pytest.raises(ValueError, match=r"^every="):
        Checkpoint("fit.checkpoint", every)


@pytest.mark.parametrize("bad", [3, True, b"path", classifier()])
def test_bad_checkpoints_are_refused(bad):
    with pytest.raises(TypeError, match=r"^checkpoint="):
        classifier().fit(X, LABELS, checkpoint=bad)
    with pytest.raises(TypeError, match=r"^path="):
        Checkpoint(bad)


def test_verbose_output_says_where_training_goes_on(writes, path, capsys):
    writes.kill_after(6)
    with pytest.raises(Killed):
        fit(*CASES["Adam"](), checkpoint=Checkpoint(path, EVERY_BATCH))
    writes.kill_after(np.inf)
    fit(classifier(verbose=1), (X, LABELS), {}, checkpoint=path)
    printed = " ".join(capsys.readouterr().out.split())
    assert "Training continues after epoch 1 and 8 sequences, from checkpoint=" in printed


# ---- A process that is killed --------------------------------------------------------------------------

LONG = {"max_iter": 100, "n_iter_no_change": np.inf}
PROGRAM = """
import sys
sys.path[:0] = sys.argv[2:]
from checkpoint_cases import LABELS, X, classifier, fit
fit(classifier(max_iter=100, n_iter_no_change=float("inf")), (X, LABELS), {}, checkpoint=sys.argv[1])
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system has no SIGKILL")
def test_a_process_that_is_killed(path):
    folders = [str(Path(__file__).parent), str(Path(sklearn_rnn.__file__).parents[1])]
    seen = set()
    with subprocess.Popen([sys.executable, "-c", PROGRAM, str(path), *folders]) as process:
        while len(seen) < 4:  # written several times
            assert process.poll() is None
            time.sleep(0.002)
            if path.exists():
                seen.add(path.stat().st_mtime_ns)
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    expected = figures(fit(classifier(**LONG), (X, LABELS), {}))
    assert figures(fit(classifier(**LONG), (X, LABELS), {}, checkpoint=Checkpoint(path, 1000))) == expected
