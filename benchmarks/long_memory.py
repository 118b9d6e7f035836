"""Long memory: networks and random features on sequences of 1,000 to 18,000 steps.

    python benchmarks/long_memory.py [--tasks NAME ...] [--models NAME ...] [--json FILE] [--rst FILE]

* copying (Arjovsky, Shah and Bengio 2016, section 4.1): 10 symbols of 8, T blanks, then recall of the symbols.
  Networks that read every step have a target at each of the last 10 steps, and none before; networks with patches and
  the features have all symbols as one target of the sequence. The score is the share of right symbols.
* adding: the share of sums with an error below 0.08 (``make_adding_problem``; the limit of ``papers.py``).
* a pattern in noise: one of 4 waves, 20 steps long, anywhere in the first 5 % of the sequence; the rest is noise
  of the same variance. The score is the accuracy.

Networks have the defaults except for the parameters in their names, a memory budget of 16 MB where they read every
step without truncation, and a batch size and a number of epochs for each length (``TASKS``), so that a fit takes a
minute or two. Those that read every step have one direction. A score of chance means: not learned from so many
sequences in so many updates. ``readout="last"`` predicts from the last state, so it has to remember; the defaults'
pools see every step, and their second direction reads the start last. Each fit runs in a new process. Seconds are its
processor time, and megabytes its peak minus the memory before it. One seed.

``--json`` writes after every fit, and reads the file first: what it has is not measured again. Set OMP_NUM_THREADS=1.
Linux only.
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from pathlib import Path
from typing import NamedTuple

import numpy as np
from _linear import ALPHAS, make_ridge
from _measure import MEGABYTE, machine, peak_bytes, print_machine, reset_peak, run_fresh, write_json
from defaults import as_rst
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import RidgeCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_rnn import RNNClassifier, RNNRegressor
from sklearn_rnn.datasets import make_adding_problem
from sklearn_rnn.preprocessing import RecurrentFeatures

N_SYMBOLS, N_RECALLED = 8, 10
LARGEST_ERROR = 0.08
PATTERN = 20  # steps
N_TEST = 500
READ = {"steps": 20_000_000, "patches": 75_000_000}  # steps of data in all epochs of a fit


# ---- Tasks: (X, y) of some sequences ---------------------------------------------------------------------------------


def copying(n_sequences, n_blanks, generator):
    """Return one-hot sequences (n_sequences, n_blanks + 20, 10), and the symbols (n_sequences, 10) to recall."""
    symbols = generator.integers(N_SYMBOLS, size=(n_sequences, N_RECALLED))
    codes = np.full((n_sequences, n_blanks + 2 * N_RECALLED), N_SYMBOLS)
    codes[:, :N_RECALLED] = symbols
    codes[:, -N_RECALLED - 1] = N_SYMBOLS + 1  # recall now
    return np.eye(N_SYMBOLS + 2, dtype=np.float32)[codes], symbols


def adding(n_sequences, n_steps, generator):
    """Return the adding problem in float32."""
    X, y = make_adding_problem(n_sequences, n_steps, random_state=int(generator.integers(2**31)))
    return X.astype(np.float32), y


def pattern_in_noise(n_sequences, n_steps, generator):
    """Return noise (n_sequences, n_steps, 1) with a wave of 1 to 4 periods in the first 5 %, and the labels 0 to 3."""
    X = generator.normal(size=(n_sequences, n_steps, 1)).astype(np.float32)
    y = generator.integers(4, size=n_sequences)
    starts = generator.integers(n_steps // 20 - PATTERN + 1, size=n_sequences)
    phase = 2 * np.pi * np.arange(PATTERN) / PATTERN
    for x, label, start in zip(X, y, starts):
        x[start : start + PATTERN, 0] = np.sqrt(2) * np.sin((label + 1) * phase)
    return X, y


class Task(NamedTuple):
    """A task at one length, and how networks are trained on it."""

    make: object
    n_steps: int
    n_train: int
    batch_size: int
    epochs: int  # of networks that read every step
    epochs_with_patches: int | None  # None: not measured
    chance: float


TASKS = {
    "copying, T = 20": Task(copying, 20, 2000, 16, 100, None, 1 / N_SYMBOLS),
    "copying, T = 100": Task(copying, 100, 2000, 16, 40, None, 1 / N_SYMBOLS),
    "copying, T = 1,000": Task(copying, 1000, 1000, 16, 10, 40, 1 / N_SYMBOLS),
    "adding, 1,000 steps": Task(adding, 1000, 2000, 16, 6, 30, 0.15),  # chance: the constant prediction 1
    "pattern, 1,000 steps": Task(pattern_in_noise, 1000, 1000, 16, 10, 40, 1 / 4),
    "pattern, 4,000 steps": Task(pattern_in_noise, 4000, 1000, 8, 4, 15, 1 / 4),
    "pattern, 18,000 steps": Task(pattern_in_noise, 18_000, 500, 4, 3, 10, 1 / 4),
}


# ---- Models: parameters of the estimators, with a cell, or of RecurrentFeatures --------------------------------------

PATCHES = {"patch_size": 50, "patch_stride": 25}
BUDGET = {"patch_size": 1, "memory_budget": "16MB"}
NETWORKS = {
    "{}, defaults": {},
    "{}, patches of 50": PATCHES,
    "{}, patches of 50, one direction, readout last": PATCHES | {"bidirectional": False, "readout": "last"},
    "{}, every step": BUDGET,
    "{}, every step, readout last": BUDGET | {"readout": "last"},
    "{}, every step, truncation=100": {"patch_size": 1, "truncation": 100},
}
MODELS = {name.format(cell.upper()): p | {"cell": cell} for name, p in NETWORKS.items() for cell in ("gru", "lstm")}
MODELS["RecurrentFeatures + ridge"] = {}
MODELS["RecurrentFeatures, one direction, + ridge"] = {"bidirectional": False}
MODELS["RecurrentFeatures, one direction, pools last, + ridge"] = {"bidirectional": False, "pools": ("last",)}


def is_measured(task, parameters):
    """Return whether a model has a result of its own: recall has one readout; windows are shorter than sequences."""
    if "cell" not in parameters:
        return True
    if not reads_every_step(parameters):
        return task.epochs_with_patches is not None
    if task.make is copying and "truncation" not in parameters:
        return "readout" in parameters
    return "truncation" not in parameters or task.n_steps > 2 * parameters["truncation"]


def make_network(task, parameters, seed):
    """Return an estimator; where it reads every step, it recalls symbols at steps of their own."""
    every_step = reads_every_step(parameters)
    own = {"max_iter": task.epochs if every_step else task.epochs_with_patches, "random_state": seed}
    if "patch_size" in parameters:
        own["batch_size"] = task.batch_size
    if task.make is copying and every_step:
        own["readout"] = "each"
    return (RNNRegressor if task.make is adding else RNNClassifier)(**parameters | own)


def make_linear_model(task, parameters, seed):
    """Return RecurrentFeatures with ridge regression, of labels, of sums, or of the indicators of symbols."""
    ridge = make_ridge() if task.make is pattern_in_noise else make_pipeline(StandardScaler(), RidgeCV(ALPHAS))
    return make_pipeline(RecurrentFeatures(**parameters, random_state=seed), ridge)


def reads_every_step(parameters):
    return parameters.get("patch_size") == 1


# ---- Symbols as targets, and predictions as symbols ------------------------------------------------------------------


def encode(task, y, parameters, n_steps):
    """Return the targets: of symbols the last steps, with NaN before, or one label (0 or 1) for each and each place."""
    if task.make is not copying:
        return y
    if reads_every_step(parameters):
        return np.hstack([np.full((len(y), n_steps - N_RECALLED), np.nan), y])
    return np.eye(N_SYMBOLS, dtype=int)[y].reshape(len(y), -1)


def answer(task, model, X, parameters):
    """Return predictions in the form of y."""
    if task.make is not copying:
        return model.predict(X)
    if reads_every_step(parameters):
        return model.predict(X)[:, -N_RECALLED:]
    scores = model.predict_proba(X) if "cell" in parameters else model.predict(X)
    return scores.reshape(len(X), N_RECALLED, N_SYMBOLS).argmax(axis=2)


# ---- Measurements ----------------------------------------------------------------------------------------------------


def measure(task_name, model_name, seed=0):
    """Fit and score a model; runs in a new process."""
    task, parameters = TASKS[task_name], MODELS[model_name]
    generator = np.random.default_rng(seed)
    X, y = task.make(task.n_train, task.n_steps, generator)
    X_test, y_test = task.make(N_TEST, task.n_steps, generator)
    targets = encode(task, y, parameters, X.shape[1])
    model = (make_network if "cell" in parameters else make_linear_model)(task, parameters, seed)
    held_before, start = reset_peak(), time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(X, targets)
    seconds, peak = time.process_time() - start, peak_bytes() - held_before
    is_right = np.abs(answer(task, model, X_test, parameters) - y_test) < LARGEST_ERROR
    return {"score": float(is_right.mean()), "seconds": seconds, "peak_bytes": peak}


def measure_all(tasks, models, results, save):
    """Fill ``results[task][model]``."""
    for task in tasks:
        for model in models:
            of_task = results.setdefault(task, {})
            if model not in of_task and is_measured(TASKS[task], MODELS[model]):
                of_task[model] = run_fresh(measure, task, model)
                save()
                print(f"{task:22} {model:32} {describe(of_task[model])}", flush=True)


def describe(result):
    """Return a table's cell: score, seconds and megabytes."""
    if result is None:
        return "–"
    return f"{result['score']:.2f} ({result['seconds']:,.0f} s, {result['peak_bytes'] / MEGABYTE:,.0f} MB)"


def as_table(results, make):
    """Return rows of strings: a model each, with its result on the tasks that ``make`` generates, at every length."""
    tasks = [task for task in results if TASKS[task].make in make]
    models = [model for model in MODELS if any(model in results[task] for task in tasks)]
    rows = [[model, *(describe(results[task].get(model)) for task in tasks)] for model in models]
    return [["", *tasks], ["chance", *(f"{TASKS[task].chance:.2f}" for task in tasks)], *rows]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=list(TASKS), metavar="TASK")
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS), metavar="MODEL")
    parser.add_argument("--json", type=Path, help="file for all figures")
    parser.add_argument("--rst", type=Path, help="file for the tables")
    arguments = parser.parse_args()
    known = json.loads(arguments.json.read_text()) if arguments.json and arguments.json.exists() else {}
    description, results = known.get("machine") or machine("numpy", "scikit-learn"), known.get("results", {})
    print_machine(description)

    def save():
        write_json(arguments.json, {"machine": description, "results": results})

    measure_all(arguments.tasks, arguments.models, results, save)
    if arguments.rst:
        tables = [as_table(results, make) for make in ([copying, adding], [pattern_in_noise])]
        arguments.rst.write_text("\n".join(map(as_rst, tables)))


if __name__ == "__main__":
    main()
