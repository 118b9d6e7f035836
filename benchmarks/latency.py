"""Distribution of the time of a call: predict, stream.step and stream.predict, beside ONNX Runtime and OpenVINO.

    python benchmarks/latency.py [--calls 100000] [--seconds 6] [--rounds 10] [--json FILE]

float32, one thread on one processor. ONNX Runtime and OpenVINO run the models that ``sklearn_rnn.export.to_onnx`` makes
of the same estimator: of whole sequences beside ``predict``, and of one step beside ``stream.step``, with the state of
each step given to the next. They check nothing of x but its type and shape. A missing library is left out.

"predict" has 100 steps a sequence; "stream.predict" has chunks of 10 steps. The layers of STAC-ML's LSTM_A, LSTM_B and
LSTM_C are those of the published results; their numbers of features are not, and 8 is used.

Contenders take turns in rounds, in the opposite order in every second round. Every call is timed by itself. A figure is
a quantile over ``--calls`` calls, or over as many as ``--seconds`` allow, which the JSON tells. The garbage collector
runs as it does in any program.
"""

from __future__ import annotations

import argparse
from functools import partial
from importlib.util import find_spec
from time import perf_counter, perf_counter_ns

import numpy as np
from _measure import machine, print_machine, run_fresh, write_json
from _serving import SERVERS

QUANTILES = {"p50": 50, "p99": 99, "p99.9": 99.9}
N_FEATURES, N_STEPS, CHUNK = 8, 100, 10
# Units of the layers, and the microseconds of a step that were published for FPGAs.
STAC = {"LSTM_A": ((128,) * 2, 1.9), "LSTM_B": ((256,) * 3, 3.0), "LSTM_C": ((480,) * 3, 4.2)}


def problems():
    """Return the rows: name, call, cell, units of the layers, number of sequences, published microseconds."""
    calls, numbers = ("predict", "stream.step", "stream.predict"), (1, 10, 100)
    rows = [(f"{cell}, 64", call, cell, (64,), n, None) for call in calls for cell in ("lstm", "gru") for n in numbers]
    return rows + [(name, "stream.step", "lstm", units, 1, published) for name, (units, published) in STAC.items()]


# ---- Contenders ----------------------------------------------------------------------------------------


def make_estimator(cell, units):
    from _plain import PLAIN

    from sklearn_rnn import RNNRegressor

    X = np.random.default_rng(0).standard_normal((4, 5, N_FEATURES), dtype=np.float32)
    settings = PLAIN | {"cell": cell, "max_iter": 1, "n_iter_no_change": np.inf, "n_jobs": 1, "random_state": 0}
    return RNNRegressor(units, **settings).fit(X, np.arange(4.0))


def ours(estimator, call, X):
    """Return a function without arguments: the call of this package."""
    if call == "predict":
        return lambda: estimator.predict(X)
    stream, x = estimator.stream(len(X)), np.ascontiguousarray(X[:, 0])
    return (lambda: stream.step(x)) if call == "stream.step" else (lambda: stream.predict(X))


def served(library, estimator, call, X):
    """Return a function without arguments: the same call of ONNX Runtime or OpenVINO."""
    from sklearn_rnn.export import to_onnx

    model = to_onnx(estimator, lengths=False, step=call == "stream.step")
    run = SERVERS[library](model.SerializeToString(), n_threads=1)
    return (lambda: run({"X": X})[0]) if call == "predict" else steps(run, estimator, X)


def steps(run, estimator, X):
    """Return a function that runs the model of one step, and gives its state to the next call."""
    state, x = estimator.stream(len(X)).state, np.ascontiguousarray(X[:, 0])

    def step():
        nonlocal state
        outputs = run({"x": x, **state})
        state = dict(zip(state, outputs[-len(state) :]))
        return outputs[0]

    return step


CONTENDERS = {"sklearn_rnn": ours} | {library: partial(served, library) for library in SERVERS}


def contenders_of(call):
    """Return the contenders of a call that are installed; chunks of a stream have no other than this package."""
    names = ["sklearn_rnn"] if call == "stream.predict" else CONTENDERS
    return {name: CONTENDERS[name] for name in names if find_spec(name)}


# ---- Measurement ---------------------------------------------------------------------------------------


def time_calls(function, n_calls, seconds):
    """Return the microseconds of up to ``n_calls`` calls one by one, within about ``seconds``."""
    times, end = [], perf_counter() + seconds
    while len(times) < n_calls and perf_counter() < end:
        start = perf_counter_ns()
        function()
        times.append(perf_counter_ns() - start)
    return np.array(times) / 1e3


def measure(problem, n_calls, seconds, n_rounds):
    """Return the row of a problem; runs in a new process."""
    name, call, cell, units, n_sequences, published = problem
    n_steps = CHUNK if call == "stream.predict" else N_STEPS
    X = np.random.default_rng(1).standard_normal((n_sequences, n_steps, N_FEATURES), dtype=np.float32)
    estimator = make_estimator(cell, units)
    functions = {key: make(estimator, call, X) for key, make in contenders_of(call).items()}
    first = {key: np.ravel(function()) for key, function in functions.items()}
    for key, predicted in first.items():
        np.testing.assert_allclose(predicted, first["sklearn_rnn"], rtol=1e-3, atol=1e-4, err_msg=f"{name}, {key}")
    times = {key: [] for key in functions}
    for k in range(n_rounds + 1):  # the first round warms up
        for key in list(functions)[:: 1 if k % 2 else -1]:
            times[key].append(time_calls(functions[key], n_calls // n_rounds, seconds / n_rounds))
    row = {"name": name, "call": call, "sequences": n_sequences, "steps": n_steps, "published": published}
    return row | {"microseconds": {key: quantiles_of(np.concatenate(by_round[1:])) for key, by_round in times.items()}}


def quantiles_of(times):
    figures = {key: round(float(np.percentile(times, q)), 2) for key, q in QUANTILES.items()}
    return figures | {"calls": len(times)}


def print_row(row):
    figures = [
        f"{key} " + " / ".join(f"{figures[quantile]:.1f}" for quantile in QUANTILES)
        for key, figures in row["microseconds"].items()
    ]
    print(f"{row['name']:10} {row['call']:15} {row['sequences']:4}  ", ";  ".join(figures), flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--calls", type=int, default=100_000)
    parser.add_argument("--seconds", type=float, default=6.0, help="at most, for the calls of a contender")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--json", help="file for all figures")
    arguments = parser.parse_args()
    description = machine("numpy", "onnxruntime", "openvino")
    print_machine(description)
    print(f"microseconds of a call: {' / '.join(QUANTILES)}")
    rows = []
    for problem in problems():
        settings = (arguments.calls, arguments.seconds, arguments.rounds)
        rows.append(run_fresh(measure, problem, *settings, n_processors=1))
        print_row(rows[-1])
    write_json(arguments.json, {"machine": description, "n_features": N_FEATURES, "rows": rows})


if __name__ == "__main__":
    main()
