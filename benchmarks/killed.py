"""Kill fits by SIGKILL at random moments, and start them again until they end: the bits must be those of a whole fit.

    python benchmarks/killed.py 100

The cases are those of ``tests/training/checkpoint_cases.py``, with more units and epochs, and a grid search with two
processes. Each trial starts a process, kills it after a random part of the time that a whole fit takes, or not at all
if it ends before, and starts it again; after ``MOST_KILLS`` kills it may end. For most kills the time begins when there
is a checkpoint, for the others at the start of the process. A trial is "the same" if all weights, curves
and the state of training have the same bits as those of a fit without a checkpoint, if every file that a kill left
could be read, and if none of them had fewer epochs than the file before. For Linux and macOS.
"""

import contextlib
import os
import pickle
import signal
import sys
import tempfile
import time
import warnings
from collections import Counter
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "training")]

from checkpoint_cases import CASES, LABELS, X, classifier, figures, fit  # noqa: E402
from sklearn.model_selection import GridSearchCV  # noqa: E402

from sklearn_rnn._persistence.archive import read_archive  # noqa: E402
from sklearn_rnn.callbacks import Checkpoint  # noqa: E402

MOST_KILLS = 3
INTERVALS = (1, 3, "0.01s", "0.000000001s")
SHARE_AT_START = 0.25  # of the kills whose time begins at the start of the process
LONGER = {"hidden_layer_sizes": 12, "max_iter": 120, "n_iter_no_change": 15}
SEARCH = "grid search, two processes"


def run(name, path, every):
    """Fit a case; return its figures. Without a path there is no checkpoint."""
    warnings.simplefilter("ignore")
    if name == SEARCH:
        grid = {"learning_rate_init": [0.01, 0.02, 0.05]}
        search = GridSearchCV(classifier(**LONGER), grid, cv=2, n_jobs=2)
        search.fit(X, LABELS, **({} if path is None else {"checkpoint": Checkpoint(f"{path}/", every)}))
        return figures(search.best_estimator_) | {"scores": search.cv_results_["mean_test_score"].tobytes()}
    estimator, arguments, options = CASES[name]()
    checkpoint = {} if path is None else {"checkpoint": Checkpoint(path, every)}
    return figures(fit(estimator.set_params(**LONGER), arguments, options, **checkpoint))


def start(name, path, every, result):
    """Start a process that fits a case, and writes its figures to a file; it leads a group of its own."""
    process = os.fork()
    if process:
        with contextlib.suppress(OSError):  # it has done so itself, or has ended
            os.setpgid(process, process)
        return process
    try:
        os.setpgid(0, 0)
        content = pickle.dumps(run(name, path, every))
        result.with_suffix(".tmp").write_bytes(content)
        result.with_suffix(".tmp").replace(result)
        os._exit(0)
    except BaseException as error:
        print(f"{name}: {type(error).__name__}: {error}", flush=True)
        os._exit(1)


def ends_within(process, seconds, checkpoint=None):
    """Whether a process ends by itself so many seconds from now, or from its first checkpoint; else kill its group."""
    deadline = None if checkpoint else time.monotonic() + seconds
    while deadline is None or time.monotonic() < deadline:
        if os.waitpid(process, os.WNOHANG)[0]:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process, signal.SIGKILL)  # workers that wait for more
            return True
        if deadline is None and files_of(checkpoint):
            deadline = time.monotonic() + seconds
        time.sleep(0.0005)
    os.killpg(process, signal.SIGKILL)
    os.waitpid(process, 0)
    return False


def files_of(path):
    """The complete files of a checkpoint: one, or those in a folder."""
    files = sorted(path.iterdir()) if path.is_dir() else [path]
    return [file for file in files if file.exists() and file.suffix != ".tmp"]


def epochs_in(path):
    """Number of complete epochs in the files of a checkpoint."""
    states = [read_archive(file.read_bytes())[0]["state"] for file in files_of(path)]
    return sum(state["monitor"]["history"]["n_epochs"] for state in states)


def whole(name, folder):
    """Fit a case in a process without a checkpoint, and with one; return its figures, and the seconds of the latter."""
    result = folder / "whole"
    assert ends_within(start(name, None, None, result), 600)
    expected = pickle.loads(result.read_bytes())
    begin = time.monotonic()
    assert ends_within(start(name, folder / "timed", 1, result), 600)
    assert pickle.loads(result.read_bytes()) == expected, f"{name}: a checkpoint changes bits"
    return expected, time.monotonic() - begin


def trial(name, folder, expected, seconds, generator):
    """Kill and start again; count the kills, those with a checkpoint or an epoch in it, and whether all is right.

    Returns
    -------
    Counter
        "trials" (1), "kills", "checkpoint", "epoch" and "same".
    """
    path, result = folder / "checkpoint", folder / "result"
    every = INTERVALS[generator.integers(len(INTERVALS))]
    counts, n_epochs = Counter(trials=1), 0
    for _ in range(MOST_KILLS):
        since = None if generator.random() < SHARE_AT_START else path
        if ends_within(start(name, path, every, result), generator.uniform(0, seconds), since):
            break
        before, n_epochs = n_epochs, epochs_in(path)
        counts.update(kills=1, checkpoint=bool(files_of(path)), epoch=n_epochs > 0)
        if n_epochs < before:
            return counts
    else:
        ends_within(start(name, path, every, result), 600)
    counts["same"] = result.exists() and pickle.loads(result.read_bytes()) == expected
    return counts


def main(n_trials):
    """Run so many trials; return the number of those with another result."""
    names = [*CASES, SEARCH]
    generator = np.random.default_rng()
    counts = {name: Counter() for name in names}
    with tempfile.TemporaryDirectory() as temporary:
        wholes = {}
        for i in range(n_trials):
            name = names[i % len(names)]
            folder = Path(temporary) / str(i)
            folder.mkdir()
            if name not in wholes:
                wholes[name] = whole(name, folder)
            outcome = trial(name, folder, *wholes[name], generator)
            counts[name].update(outcome)
            answer = "the same" if outcome["same"] else "ANOTHER RESULT"
            print(f"{i + 1}: {name}, {outcome['kills']} kills, {answer}", flush=True)
    print(f"{'case':36} {'trials':>6} {'kills':>6} {'with a checkpoint':>18} {'with an epoch':>14} {'the same':>9}")
    for name, count in [*counts.items(), ("all", sum(counts.values(), Counter()))]:
        kills = f"{count['kills']:6} {count['checkpoint']:18} {count['epoch']:14}"
        print(f"{name:36} {count['trials']:6} {kills} {count['same']:9}")
    return sum(count["trials"] - count["same"] for count in counts.values())


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 100) > 0)
