"""ONNX models beside the estimators: the largest differences over all combinations, and the time of a prediction.

    python benchmarks/onnx_export.py [--seconds 2] [--skip-combinations] [--json FILE]

Needs onnx and onnxruntime. Combinations: cells x layers x directions x readouts x patches x targets x dtypes. Each has
random weights; onnxruntime predicts sequences of other lengths and another number than those of the fit, padded with
NaN. Differences are absolute for probabilities, and divided by the largest value for regressors. Times: median
processor time of a call in one thread, alternating, of `predict_proba` and of a session of onnxruntime, for the same
data as a list and as a padded array; then of a step of a stream and of the model of one step.
"""

from __future__ import annotations

import argparse
import itertools
import time
import warnings
from collections import defaultdict

import numpy as np
from _measure import machine, print_machine, write_json

CELLS = [("rnn", a) for a in ("tanh", "relu", "logistic", "identity")] + [("lstm", "tanh"), ("gru", "tanh")]
SIZES = [(4,), (4, 3)]
READOUTS = ["last", "mean", "max", ("last", "mean", "max"), "each"]
PATCHES = [(1, None), (3, None), (5, 2)]
TARGETS = ["two classes", "three classes", "multilabel", "value", "three values", "poisson"]
SHORTEST_MEASUREMENT = 2e-3  # seconds
GOALS = {"float32": 1e-5, "float64": 1e-10}
FIT_LENGTHS, OTHER_LENGTHS = (6, 4, 9, 1, 9, 7), (3, 8, 1, 12, 8)


def session_of(model):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(model.SerializeToString(), options)


def sequences(lengths, n_features, dtype, seed=0):
    generator = np.random.default_rng(seed)
    return [generator.normal(size=(n, n_features)).astype(dtype) for n in lengths]


def padded(X):
    lengths = np.array([len(x) for x in X])
    array = np.full((len(X), lengths.max(), X[0].shape[1]), np.nan, X[0].dtype)
    for row, x in zip(array, X):
        row[: len(x)] = x
    return array, lengths


# ---- Differences ---------------------------------------------------------------------------------------


def combinations():
    """Yield the parameters of the estimator, the target and the dtype."""
    for (cell, activation), sizes, bidirectional, readout, (size, stride), target, dtype in itertools.product(
        CELLS, SIZES, [False, True], READOUTS, PATCHES, TARGETS, GOALS
    ):
        if readout == "each" and (size > 1 or target == "multilabel"):  # these do not exist
            continue
        params = {"cell": cell, "activation": activation, "hidden_layer_sizes": sizes, "bidirectional": bidirectional}
        yield params | {"readout": readout, "patch_size": size, "patch_stride": stride}, target, dtype


def target_of(target, X, per_step):
    """Return the target of each sequence, or of each step."""
    if per_step:
        return [_values(target, len(x)) for x in X]
    return _values(target, len(X))


def _values(target, n):
    numbers = np.arange(n)
    return {
        "two classes": numbers % 2,
        "three classes": numbers % 3,
        "multilabel": np.stack([numbers % 2, numbers % 3 == 0, numbers % 3 == 1], axis=1).astype(int),
        "value": 50.0 + 10 * numbers,
        "three values": np.outer(50.0 + 10 * numbers, [1, 2, 3]),
        "poisson": 50.0 + 10 * numbers,
    }[target]


def fitted(params, target, dtype):
    """Return an estimator with random weights."""
    from sklearn_rnn import RNNClassifier, RNNRegressor

    X = sequences(FIT_LENGTHS, 2, dtype)
    y = target_of(target, X, params["readout"] == "each")
    if target in ("two classes", "three classes", "multilabel"):
        if params["readout"] == "each":  # all classes in each list
            y = [np.asarray(labels) for labels in y]
        estimator = RNNClassifier(**params)
    else:
        estimator = RNNRegressor(**params, loss="poisson" if target == "poisson" else "squared_error")
    estimator.set_params(max_iter=1, random_state=0).fit(X, y)
    generator = np.random.default_rng(1)
    for name, view in estimator.weights_.items():
        if name != "readout.bias":
            view[...] = generator.normal(scale=0.5, size=view.shape)
    return estimator


def difference(estimator, dtype):
    """Return the largest difference between onnxruntime's predictions and the estimator's."""
    from sklearn_rnn.export import to_onnx

    X = sequences(OTHER_LENGTHS, 2, dtype, seed=5)
    x, lengths = padded(X)
    actual = session_of(to_onnx(estimator)).run(None, {"X": x, "lengths": lengths})[-1]
    expected = (estimator.predict_proba if hasattr(estimator, "predict_proba") else estimator.predict)(X)
    if estimator.readout == "each":
        actual, expected = np.concatenate([row[:n] for row, n in zip(actual, lengths)]), np.concatenate(expected)
    assert actual.shape == expected.shape
    return float(np.abs(actual - expected).max() / max(1.0, np.abs(expected).max()))


def all_differences():
    """Return the number of combinations and the largest difference, by dtype and cell."""
    count, largest = defaultdict(int), defaultdict(float)
    for params, target, dtype in combinations():
        key = f"{dtype} {params['cell']}"
        count[key] += 1
        largest[key] = max(largest[key], difference(fitted(params, target, dtype), dtype))
    return [{"of": key, "combinations": count[key], "largest": largest[key]} for key in count]


# ---- Times ---------------------------------------------------------------------------------------------


def medians(seconds, *functions):
    """Return the median processor time of a call of each function, called in turn, several times at once."""
    times, repeats = [[] for _ in functions], []
    for function in functions:
        function()
        repeats.append(1 + int(SHORTEST_MEASUREMENT / max(1e-9, processor_time(function, 3))))
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        for function, own, n_calls in zip(functions, times, repeats):
            own.append(processor_time(function, n_calls))
    return [float(np.median(own)) for own in times]


def processor_time(function, n_calls):
    """Return the processor time of a call."""
    start = time.process_time()
    for _ in range(n_calls):
        function()
    return (time.process_time() - start) / n_calls


def timed(cell, dtype, n_sequences, n_steps, seconds):
    """Return the times of predictions of ragged sequences, n_steps / 2 to n_steps long."""
    from sklearn_rnn import RNNClassifier
    from sklearn_rnn.export import to_onnx

    lengths = np.random.default_rng(0).integers(n_steps // 2, n_steps + 1, n_sequences)
    X = sequences(lengths, 8, dtype)
    settings = {"cell": cell, "bidirectional": False, "patch_size": 1, "max_iter": 1, "n_jobs": 1, "random_state": 0}
    estimator = RNNClassifier(64, **settings).fit(sequences([5] * 4, 8, dtype), [0, 1, 2, 0])
    session = session_of(to_onnx(estimator))
    x, lengths = padded(X)
    inputs = {"X": x, "lengths": lengths}
    ours, theirs = medians(seconds, lambda: estimator.predict_proba(X), lambda: session.run(None, inputs))
    return {"what": f"{cell} {dtype}, {n_sequences} x {n_steps}", "ours": ours, "onnxruntime": theirs}


def timed_steps(cell, dtype, seconds):
    """Return the times of a step of one sequence."""
    from sklearn_rnn import RNNClassifier
    from sklearn_rnn.export import to_onnx

    settings = {"cell": cell, "bidirectional": False, "patch_size": 1, "max_iter": 1, "random_state": 0}
    estimator = RNNClassifier(64, **settings).fit(sequences([5] * 4, 8, dtype), [0, 1, 2, 0])
    session, stream = session_of(to_onnx(estimator, step=True)), estimator.stream()
    x, state = sequences([1], 8, dtype)[0], stream.state
    ours, theirs = medians(seconds, lambda: stream.step(x), lambda: session.run(None, {"x": x, **state}))
    return {"what": f"{cell} {dtype}, one step", "ours": ours, "onnxruntime": theirs}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seconds", type=float, default=2.0, help="for each row of times")
    parser.add_argument("--skip-combinations", action="store_true")
    parser.add_argument("--json", help="file for all figures")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    description = machine("numpy", "onnx", "onnxruntime")
    print_machine(description)
    differences = [] if arguments.skip_combinations else all_differences()
    for row in differences:
        print(
            f"{row['of']:14}{row['combinations']:6} combinations, largest difference {row['largest']:.1e}", flush=True
        )
    for dtype, goal in GOALS.items():
        rows = [row for row in differences if row["of"].startswith(dtype)]
        if rows:
            worst, n = max(row["largest"] for row in rows), sum(row["combinations"] for row in rows)
            print(f"{dtype}: {n} combinations, largest difference {worst:.1e} (goal: {goal:.0e})")
    print(f"\n{'':32}{'ours us':>12}{'onnxruntime us':>16}")
    times = []
    for cell, dtype in itertools.product(["rnn", "lstm", "gru"], GOALS):
        for n_sequences, n_steps in [(1, 100), (64, 100)]:
            times.append(timed(cell, dtype, n_sequences, n_steps, arguments.seconds))
        times.append(timed_steps(cell, dtype, arguments.seconds))
        for row in times[-3:]:
            print(f"{row['what']:32}{1e6 * row['ours']:12.1f}{1e6 * row['onnxruntime']:16.1f}", flush=True)
    write_json(arguments.json, {"machine": description, "differences": differences, "times": times})


if __name__ == "__main__":
    main()
