"""The whole classifier against skorch, a plain torch loop and Keras: fit, predict, memory, import, size, grid search.

    python benchmarks/end_to_end.py [--contenders NAME ...] [--cells rnn lstm gru] [--epochs 30] [--repeats 3]
                                    [--threads 1 2] [--quick] [--json FILE]

The data are Japanese Vowels (the original split, 7 to 29 steps, standardised) and scikit-learn's digits as 8 steps of 8
pixels. The network has one layer of 64 units and a readout of the last state. Training is Adam with rate 0.003 and
batches of 32, the norm of the gradient clipped to 1, float32, no early stopping. All contenders start from the same
list of sequences, or array: padding is part of their fit and predict.

Every measurement runs in a new process, on one processor or two. The contenders take turns. The figures are medians
over repeats, each with another seed, for the number of processors with the faster fit. The first fit of a process
includes the time that a library needs to load and compile; "fit" is the second fit. "memory" is the peak of the first
fit above the interpreter with NumPy, scikit-learn and the data: one figure includes the import of the library, the
other is above the memory after the import. Linux only.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import importlib.util
import os
import pickle
import re
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

import numpy as np
from _contenders import CONTENDERS, N_UNITS, Problem, installed_contenders
from _measure import (
    MEGABYTE,
    machine,
    median_seconds,
    peak_bytes,
    print_machine,
    processors,
    reset_peak,
    run_fresh,
    version_of,
    write_json,
)
from _products import seconds_of_products

CELLS = ["rnn", "lstm", "gru"]
N_EPOCHS_OF_SEARCH = 5


def japanese_vowels():
    """Return 270 training and 370 test utterances, standardised by the training utterances."""
    from sklearn_rnn.datasets import load_japanese_vowels

    X_train, y_train = load_japanese_vowels(subset="train", return_X_y=True)
    X_test, y_test = load_japanese_vowels(subset="test", return_X_y=True)
    steps = np.concatenate(X_train)
    mean, deviation = steps.mean(axis=0), steps.std(axis=0)
    X_train, X_test = ([((x - mean) / deviation).astype(np.float32) for x in X] for X in (X_train, X_test))
    return Problem(X_train, y_train - 1, X_test, y_test - 1)


def digits():
    """Return 1347 training and 450 test digits, as 8 steps of 8 pixels."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    X, y = load_digits(return_X_y=True)
    X = (X / 16).astype(np.float32).reshape(-1, 8, 8)
    X_train, X_test, y_train, y_test = train_test_split(X, y, stratify=y, random_state=0)
    return Problem(X_train, y_train, X_test, y_test)


# ---- Fit and predict -----------------------------------------------------------------------------------


def measure_fit(make_contender, problem, cell, n_threads, n_epochs, seed):
    """Return the figures of one contender's fit; runs in a new process."""
    import sklearn.base  # noqa: F401  # memory is measured above the interpreter with it

    at_start = reset_peak()
    contender = make_contender(n_threads)
    peak_of_import, after_import = peak_bytes(), reset_peak()
    model, first_seconds = timed(contender.fit, problem, cell, n_epochs, seed)
    peak = peak_bytes()
    model, seconds = timed(contender.fit, problem, cell, n_epochs, seed)
    return {
        "fit_seconds": seconds,
        "first_fit_seconds": first_seconds,
        "predict_seconds": median_seconds(lambda: contender.predict(model, problem.X_test), 0.0, n_warm_up=1),
        "bytes_with_import": max(peak_of_import, peak) - at_start,
        "bytes_of_fit": peak - after_import,
        "score": float(np.mean(contender.predict(model, problem.X_test) == problem.y_test)),
        "pickle_bytes": len(pickle.dumps(model)),
    }


def timed(function, *arguments):
    """Return (the function's result, seconds)."""
    start = time.perf_counter()
    result = function(*arguments)
    return result, time.perf_counter() - start


def compare_fits(contenders, problem, cell, arguments):
    """Return {name: figures} of contenders, {name: class}: medians over repeats, for the faster number of threads."""
    figures = {(name, n_threads): [] for n_threads in arguments.threads for name in contenders}
    for repeat in range(arguments.repeats):
        for (name, n_threads), repeats in figures.items():
            repeats.append(
                run_fresh(
                    measure_fit,
                    contenders[name],
                    problem,
                    cell,
                    n_threads,
                    arguments.epochs,
                    repeat,
                    n_processors=n_threads,
                )
            )
    best = {}
    for (name, n_threads), repeats in figures.items():
        medians = {key: median(figure[key] for figure in repeats) for key in repeats[0]} | {"n_threads": n_threads}
        best[name] = min(best.get(name, medians), medians, key=lambda figure: figure["fit_seconds"])
    return best


def print_fits(title, best):
    """Print the table of a problem and a cell; the ratios are relative to this package."""
    print(
        f"\n{title}\n{'':14}{'threads':>8}{'fit s':>8}{'ratio':>7}{'first s':>9}{'ratio':>7}{'predict ms':>12}"
        f"{'ratio':>7}{'MB with import':>16}{'ratio':>7}{'MB of fit':>11}{'score':>8}{'pickle kB':>11}"
    )
    ours = best["sklearn_rnn"]
    for name, figure in best.items():
        print(
            f"{name:14}{figure['n_threads']:8}{with_ratio('fit_seconds', figure, ours, 1, '8.2f')}"
            f"{with_ratio('first_fit_seconds', figure, ours, 1, '9.2f')}"
            f"{with_ratio('predict_seconds', figure, ours, 1e3, '12.2f')}"
            f"{with_ratio('bytes_with_import', figure, ours, 1 / MEGABYTE, '16.1f')}"
            f"{figure['bytes_of_fit'] / MEGABYTE:11.1f}{figure['score']:8.3f}{figure['pickle_bytes'] / 1024:11.1f}",
            flush=True,
        )


def with_ratio(key, figure, ours, scale, form):
    """Format a figure and its ratio to the figure of this package."""
    return f"{figure[key] * scale:{form}}{figure[key] / ours[key]:7.2f}"


# ---- Grid search ---------------------------------------------------------------------------------------


def measure_search(name, problem, n_epochs):
    """Return (seconds, best score) of a grid search over 12 candidates; runs in a new process."""
    from joblib.externals.loky import get_reusable_executor
    from sklearn.model_selection import GridSearchCV

    contender = CONTENDERS[name](1)
    estimator = contender.estimator(problem, "gru", n_epochs, seed=0)
    search = GridSearchCV(estimator, contender.grid, cv=3, n_jobs=2)
    _, seconds = timed(search.fit, problem.X_train, problem.y_train)
    get_reusable_executor().shutdown()  # otherwise its idle workers keep this process alive for minutes
    return seconds, float(search.best_score_)


def compare_searches(names, repeats, n_epochs):
    """Return {contender: (median seconds, best score)} of the contenders that are scikit-learn estimators."""
    names, problem = [name for name in names if CONTENDERS[name].grid], digits()
    results = {name: [] for name in names}
    for _ in range(repeats):
        for name in names:
            results[name].append(run_fresh(measure_search, name, problem, n_epochs))
    return {name: tuple(map(median, zip(*values))) for name, values in results.items()}


# ---- Import and installation ---------------------------------------------------------------------------


def import_seconds(names, repeats):
    """Return {contender: seconds of its import after the import of sklearn.base}, medians over new processes."""
    program = "import time, sklearn.base; start = time.perf_counter(); {}; print(time.perf_counter() - start)"
    # Where Python must not write its compiled files, it would compile a checkout at every import.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    times = {name: [] for name in names}
    for repeat in range(repeats + 1):
        for name in names:
            command = [sys.executable, "-c", program.format(CONTENDERS[name].statement)]
            seconds = float(subprocess.run(command, check=True, capture_output=True, env=environment).stdout)
            if repeat > 0:  # the first import may wait for the disk, and writes compiled Python
                times[name].append(seconds)
    return {name: median(values) for name, values in times.items()}


def installed_bytes(names):
    """Return {contender: (bytes of its own files, bytes of its dependencies beyond those of scikit-learn)}."""
    of_scikit_learn, sizes = closure(["scikit-learn"]), {}
    for name in names:
        first, *others = CONTENDERS[name].distributions
        needed = closure([first, *others]) - {first} - of_scikit_learn
        sizes[name] = (bytes_of(first), sum(map(bytes_of, needed)))
    return sizes


def closure(distributions):
    """Return the names of distributions and of all their installed dependencies."""
    from packaging.requirements import Requirement

    found, queue = set(), [canonical(name) for name in distributions]
    while queue:
        name = queue.pop()
        if name in found:
            continue
        found.add(name)
        requirements = map(Requirement, importlib.metadata.requires(name) or []) if version_of(name) else []
        queue += [
            canonical(requirement.name)
            for requirement in requirements
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""})
        ]
    return {name for name in found if version_of(name) or name in distributions}


def canonical(name):
    """Return the normalized name of a distribution (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def bytes_of(distribution):
    """Return the bytes of a distribution's files, without compiled Python; this package is measured in its folder."""
    left_out = {".pyc"}
    if distribution == "sklearn-rnn":  # it can be a checkout or an editable installation, which list no files
        paths = list(Path(importlib.util.find_spec("sklearn_rnn").origin).parent.rglob("*"))
        left_out |= {".cpp", ".h", ".hpp", ".o", ".pxi", ".pyx"}  # not in wheels
    else:
        paths = [Path(file.locate()) for file in importlib.metadata.files(distribution) or []]
    return sum(path.stat().st_size for path in paths if path.suffix not in left_out and path.is_file())


def print_installation(imports, sizes):
    """Print import times and sizes."""
    print(f"\n{'':14}{'import ms':>10}{'ratio':>9}{'own MB':>9}{'needed beyond scikit-learn MB':>31}")
    for name, seconds in imports.items():
        own, needed = sizes[name]
        print(
            f"{name:14}{1e3 * seconds:10.0f}{seconds / imports['sklearn_rnn']:9.2f}{own / MEGABYTE:9.2f}"
            f"{needed / MEGABYTE:31.1f}"
        )


# ---- The run -------------------------------------------------------------------------------------------


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--contenders", nargs="+", default=installed_contenders(), choices=list(CONTENDERS))
    parser.add_argument("--cells", nargs="+", default=CELLS, choices=CELLS)
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2][: len(processors())])
    parser.add_argument("--quick", action="store_true", help="GRU, 2 epochs, once: only a check that it runs")
    parser.add_argument("--json", help="file for all figures")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.cells, arguments.epochs, arguments.repeats, arguments.threads = ["gru"], 2, 1, [1]
    return arguments


def main():
    arguments = parse_arguments()
    description = machine("numpy", "scikit-learn", "torch", "skorch", "keras", "jax", "tensorflow")
    print_machine(description)
    names = arguments.contenders
    print(f"contenders: {', '.join(names)}")
    fits, contenders = {}, {name: CONTENDERS[name] for name in names}
    for title, problem in (("Japanese Vowels", japanese_vowels()), ("digits, 8 steps", digits())):
        for cell in arguments.cells:
            best = fits[f"{title}, {cell}"] = compare_fits(contenders, problem, cell, arguments)
            n_steps = arguments.epochs * sum(map(len, problem.X_train))
            sizes = (problem.n_features, N_UNITS)
            best["sklearn_rnn"]["product_seconds"] = seconds_of_products(n_steps, cell, *sizes)
            print_fits(f"{title}, {cell}, {arguments.epochs} epochs", fits[f"{title}, {cell}"])
    n_epochs = min(arguments.epochs, N_EPOCHS_OF_SEARCH)
    searches = compare_searches(names, arguments.repeats, n_epochs)
    print(f"\nGridSearchCV of 12 candidates, cv=3, n_jobs=2, {n_epochs} epochs, digits, GRU")
    for name, (seconds, score) in searches.items():
        ratio = seconds / searches["sklearn_rnn"][0]
        print(f"{name:14}{seconds:8.1f} s{ratio:7.2f}   best score {score:.3f}", flush=True)
    imports, sizes = import_seconds(names, 2 * arguments.repeats + 1), installed_bytes(names)
    print_installation(imports, sizes)
    results = {"fits": fits, "searches": searches, "import_seconds": imports, "installed_bytes": sizes}
    write_json(arguments.json, {"machine": description, **results})


if __name__ == "__main__":
    main()
