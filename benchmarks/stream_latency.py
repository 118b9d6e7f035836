"""Time of one step of a prediction stream, compared with torch's cell modules.

    python benchmarks/stream_latency.py [--cells rnn lstm gru] [--units 64] [--features 8] [--seconds 0.2]
                                        [--rounds 15] [--json FILE]

One sequence, float32. "target" and "label" are ``stream.step(x)`` of RNNRegressor (one output) and of RNNClassifier
(3 classes): checks of x, recurrence, output layer, label. "pipeline" is the stream of a pipeline of a StandardScaler
and this RNNRegressor; "transform" is the scaler's own ``transform``, then ``stream.step``. torch calls nn.RNNCell,
LSTMCell or GRUCell on an existing tensor, under no_grad, in one thread: "cell" alone, and "cell + linear" with
nn.Linear to one output. torch checks nothing, and predicts no label.

All contenders run in one process on one processor. They take turns within every round, in the opposite order in every
second round. A figure is the median over rounds of the median over a round's calls. Each call makes many steps. A ratio
is the median over rounds of the ratios within a round.
"""

from __future__ import annotations

import argparse
from statistics import median

import numpy as np
from _measure import machine, median_seconds, print_machine, run_fresh, write_json

CELLS = ("rnn", "lstm", "gru")
OURS = ("target", "label")
PIPELINES = ("pipeline", "transform")
THEIRS = ("cell", "cell + linear")
STEPS_A_CALL = 200


def make_stream(cell, n_features, n_units, kind):
    """Return a stream of an estimator with one epoch of training, and one step of data."""
    from _plain import PLAIN

    from sklearn_rnn import RNNClassifier, RNNRegressor

    X = np.random.default_rng(0).standard_normal((6, 20, n_features), dtype=np.float32)
    estimator = RNNRegressor if kind == "target" else RNNClassifier
    settings = PLAIN | {"cell": cell, "max_iter": 1, "n_iter_no_change": np.inf, "random_state": 0}
    return estimator(n_units, **settings).fit(X, np.arange(6) % 3).stream(), X[0, :1]


def our_steps(cell, n_features, n_units, kind):
    """Return a function that makes many steps of a stream."""
    stream, x = make_stream(cell, n_features, n_units, kind)

    def take_steps():
        for _ in range(STEPS_A_CALL):
            stream.step(x)

    return take_steps


def pipeline_steps(cell, n_features, n_units, kind):
    """Return a function that makes many steps of a stream with a scaler in front."""
    from _plain import PLAIN
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    from sklearn_rnn import PredictionStream, RNNRegressor
    from sklearn_rnn.preprocessing import TimeDistributed

    X = np.random.default_rng(0).standard_normal((6, 20, n_features), dtype=np.float32)
    settings = PLAIN | {"cell": cell, "max_iter": 1, "n_iter_no_change": np.inf, "random_state": 0}
    pipeline = make_pipeline(TimeDistributed(StandardScaler()), RNNRegressor(n_units, **settings))
    scaler, regressor = pipeline.fit(X, np.arange(6) % 3)
    x = X[0, :1]
    if kind == "pipeline":
        stream = PredictionStream.from_pipeline(pipeline)
        return lambda: [stream.step(x) for _ in range(STEPS_A_CALL)]
    stream = regressor.stream()
    return lambda: [stream.step(scaler.transform(x[np.newaxis])[0]) for _ in range(STEPS_A_CALL)]


def torch_steps(cell, n_features, n_units, kind):
    """Return a function that makes many steps of torch's cell."""
    import torch

    torch.set_num_threads(1)
    module = {"rnn": torch.nn.RNNCell, "lstm": torch.nn.LSTMCell, "gru": torch.nn.GRUCell}[cell](n_features, n_units)
    linear = torch.nn.Linear(n_units, 1) if kind == "cell + linear" else None
    x, zeros = torch.randn(1, n_features), torch.zeros(1, n_units)
    state = (zeros, zeros.clone()) if cell == "lstm" else zeros

    def take_steps():
        nonlocal state
        with torch.no_grad():
            for _ in range(STEPS_A_CALL):
                state = module(x, state)
                if linear is not None:
                    linear(state[0] if cell == "lstm" else state)

    return take_steps


def time_cell(cell, n_features, n_units, seconds, n_rounds):
    """Return the microseconds of a step for each contender and round; runs in a new process."""
    makers = dict.fromkeys(OURS, our_steps) | dict.fromkeys(PIPELINES, pipeline_steps)
    makers |= dict.fromkeys(THEIRS, torch_steps)
    contenders = {kind: make(cell, n_features, n_units, kind) for kind, make in makers.items()}
    times = {kind: [] for kind in contenders}
    for k in range(n_rounds):
        for kind in list(contenders)[:: 1 if k % 2 else -1]:
            times[kind].append(1e6 / STEPS_A_CALL * median_seconds(contenders[kind], seconds))
    return times


def compare(cell, times):
    """Return a row of the table from the times of ``time_cell``."""
    ratios = {
        f"{theirs} / {ours}": median(t / o for t, o in zip(times[theirs], times[ours]))
        for theirs in THEIRS
        for ours in OURS
    }
    return {
        "cell": cell,
        "microseconds": {kind: median(by_round) for kind, by_round in times.items()},
        "ratios": ratios,
        "scaler": median(p - o for p, o in zip(times["pipeline"], times["target"])),
    }


def print_row(row):
    figures = [f"{value:13.2f}" for value in row["microseconds"].values()]
    ratios = [f"{value:22.1f}" for value in row["ratios"].values()]
    print(f"{row['cell']:5}", *figures, f"{row['scaler']:17.2f}", *ratios, flush=True)


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--cells", nargs="+", default=list(CELLS), choices=list(CELLS))
    parser.add_argument("--units", type=int, default=64)
    parser.add_argument("--features", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=0.2, help="shortest time of a contender's turn")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--json", help="file for all figures")
    return parser.parse_args()


def main():
    arguments = parse_arguments()
    description = machine("numpy", "torch")
    print_machine(description)
    ratios = [f"{theirs} / {ours}" for theirs in THEIRS for ours in OURS]
    print(f"\nmicroseconds a step, {arguments.features} features, {arguments.units} units")
    names = [f"{kind:>13}" for kind in (*OURS, *PIPELINES, *THEIRS)]
    print(f"{'':5}", *names, "pipeline - target", *(f"{name:>22}" for name in ratios))
    rows = []
    for cell in arguments.cells:
        sizes = (arguments.features, arguments.units)
        times = run_fresh(time_cell, cell, *sizes, arguments.seconds, arguments.rounds, n_processors=1)
        rows.append(compare(cell, times))
        print_row(rows[-1])
    settings = {"n_features": arguments.features, "n_units": arguments.units, "dtype": "float32"}
    write_json(arguments.json, {"machine": description, **settings, "rows": rows})


if __name__ == "__main__":
    main()
