"""Time of train steps and predictions against torch, JAX, ONNX Runtime and OpenVINO, in one run.

    python benchmarks/peers.py [--what train predict latency] [--cells rnn lstm gru] [--shapes 0 1 2 ... ragged]
                               [--seconds 0.5] [--rounds 3] [--quick] [--json FILE] [--plot FILE]

One layer, readout of the last state, one linear output, half the squared error. A train step is a forward pass, a
backward pass, clipping to norm 1 and Adam. torch predicts under no_grad. "latency" is one prediction for one sequence
by the public estimator. The dtype is float32; some shapes are also in float64, against torch only. ``--quick`` takes
about 15 minutes on two processors.

Every library has a process of its own, which is idle while others run. JAX has one process for each number of threads,
because it chooses its number of threads at start, by the processors that it may use. All processes use the same
processors. They take turns within every round, in the opposite order in every second round. A figure is the median over
rounds of the median over a round's calls, with 1 or 2 threads, whichever is faster for that library. "best" is the
fastest of the other libraries that took part.

Each library starts from a batch in the form of its own loader. This package starts from the data set, and packs it.
torch starts from a padded tensor with lengths, and packs it if the sequences are ragged. JAX starts from a padded array
and a mask. ONNX Runtime and OpenVINO run the model that ``to_onnx`` makes of an estimator: they start from a padded
array (sequences, steps, features), which the model transposes, and from lengths if the sequences are ragged. The model
has the shapes of this batch. Before they are timed, their predictions are compared with the estimator's.

GFLOP/s count only the multiplications and additions of the matrix products: 2 rows G H (2 (F + H) + H) for a train step
and 2 rows G H (F + H) for a prediction, with F features, H units and G = 1, 4, 3 gates. The share is relative to the
peak of NumPy in the same run, with the same number of threads and dtype, on matrices of 2048 x 2048. This peak is
measured before every group of rows. The final share uses the best of all measurements (the printed table: the best so
far).
"""

from __future__ import annotations

import argparse
from contextlib import ExitStack, contextmanager, nullcontext
from functools import cache, partial
from itertools import groupby
from statistics import geometric_mean, median
from typing import NamedTuple

import numpy as np
from _measure import machine, median_seconds, print_machine, processors, version_of, worker, write_json
from _products import CELLS, operations_of_step, peak_of_products
from _serving import SERVERS, fix_shapes

RAGGED_LENGTHS = tuple(sorted(np.random.RandomState(1).randint(7, 30, 32).tolist(), reverse=True))
# The number of steps of every sequence, of features, of units.
SHAPES = {
    "0": ((50,) * 32, 1, 32),
    "1": ((100,) * 32, 8, 64),
    "2": ((500,) * 1, 8, 32),
    "3": ((100,) * 128, 16, 128),
    "4": ((200,) * 64, 32, 256),
    "5": ((50,) * 128, 64, 512),
    "6": ((40,) * 64, 4, 10),
    "7": ((40,) * 64, 4, 50),
    "8": ((40,) * 64, 4, 100),
    "9": ((100,) * 1, 8, 64),
    "10": ((1000,) * 1, 8, 64),
    "11": ((20,) * 1000, 8, 32),
    "12": ((40,) * 256, 3, 24),
    "13": ((120,) * 256, 10, 72),
    "14": ((60,) * 256, 20, 200),
    "ragged": (RAGGED_LENGTHS, 12, 64),
}
SHAPES_IN_FLOAT64 = ("1", "3")
LATENCY_SHAPE = SHAPES["9"]
QUICK = {"seconds": 0.12, "rounds": 2}


class Case(NamedTuple):
    """One measurement: kind ("train", "predict" or "latency"), cell and sizes."""

    what: str
    cell: str
    dtype: str
    lengths: tuple
    n_features: int
    n_units: int

    @property
    def is_ragged(self):
        """Whether the sequences differ in length."""
        return self.lengths[0] != self.lengths[-1]

    @property
    def name(self):
        """Batch, steps, features, units."""
        steps = f"{self.lengths[-1]}-{self.lengths[0]}" if self.is_ragged else self.lengths[0]
        return f"{len(self.lengths)} x {steps} x {self.n_features} x {self.n_units}"

    @property
    def n_operations(self):
        """Number of multiplications and additions of the matrix products."""
        sizes = (self.cell, self.n_features, self.n_units)
        return sum(self.lengths) * operations_of_step(*sizes, is_training=self.what == "train")


# ---- The libraries: contexts that yield the function to time, inside their process ---------------------


def padded_data(case):
    """Return x (n_steps, n_sequences, n_features), padded with zeros, and y (n_sequences, 1)."""
    random_state = np.random.RandomState(0)
    x = random_state.standard_normal((case.lengths[0], len(case.lengths), case.n_features))
    y = random_state.standard_normal((len(case.lengths), 1))
    x[np.arange(case.lengths[0])[:, None] >= case.lengths] = 0.0
    return x.astype(case.dtype), y.astype(case.dtype)


@contextmanager
def this_package(case, n_threads):
    """Yield a train step of a Trainer, predict_scores, or RNNRegressor.predict."""
    from _our_network import make_network, train_step

    from sklearn_rnn._data.sequences import Sequences
    from sklearn_rnn._inference.prediction import predict_scores

    x, y = padded_data(case)
    if case.what == "latency":
        regressor, X = make_regressor(case, n_threads), x.swapaxes(0, 1).copy()
        yield lambda: regressor.predict(X)
        return
    rows = np.concatenate([x[:length, i] for i, length in enumerate(case.lengths)])
    sequences = Sequences(rows, np.array(case.lengths), "list")
    network = make_network(case.cell, case.n_features, case.n_units, case.dtype)
    if case.what == "predict":
        yield lambda: predict_scores(network, sequences, n_threads)
    else:
        with train_step(network, sequences, y, n_threads) as step:
            yield step


def make_regressor(case, n_threads):
    """Return the public estimator, trained for one epoch on two sequences."""
    from _plain import PLAIN

    from sklearn_rnn import RNNRegressor

    settings = PLAIN | {"cell": case.cell, "max_iter": 1, "n_iter_no_change": np.inf, "normalize_y": False}
    X = np.random.default_rng(0).standard_normal((2, 10, case.n_features), case.dtype)
    return RNNRegressor(case.n_units, n_jobs=n_threads, random_state=0, **settings).fit(X, [0.0, 1.0])


@contextmanager
def torch_module(case, n_threads):
    """Yield a step of torch.nn.RNN, LSTM or GRU, and torch.nn.Linear; with fused Adam, the fastest version."""
    import torch
    from _torch_network import TorchNetwork

    torch.set_num_threads(n_threads)
    torch.manual_seed(0)
    x, y = (torch.from_numpy(array) for array in padded_data(case))
    lengths = torch.tensor(case.lengths) if case.is_ragged else None
    network = TorchNetwork(case.cell, case.n_features, case.n_units, 1, batch_first=False, is_sorted=True).to(x.dtype)
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3, fused=True)

    def step():
        optimizer.zero_grad()
        (0.5 * torch.nn.functional.mse_loss(network(x, lengths), y)).backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()

    is_training = case.what == "train"
    network.train(is_training)
    with nullcontext() if is_training else torch.no_grad():
        yield step if is_training else lambda: network(x, lengths)


@contextmanager
def jax_scan(case, n_threads):
    """Yield a step of lax.scan under jit; the process decides the number of threads."""
    import jax
    import jax.numpy as jnp
    from _jax_network import predict, start_training, train_step

    x, y = (jnp.asarray(array) for array in padded_data(case))
    mask = None
    if case.is_ragged:
        mask = jnp.asarray(np.arange(case.lengths[0])[:, None, None] < np.array(case.lengths)[:, None])
    training = start_training(case.cell, case.n_features, case.n_units)

    def step():
        nonlocal training
        training, _ = train_step(case.cell, training, x, mask, y)
        jax.block_until_ready(training)

    yield step if case.what == "train" else lambda: predict(case.cell, training[0], x, mask).block_until_ready()


@contextmanager
def served(library, case, n_threads):
    """Yield a run of the exported estimator by ONNX Runtime or OpenVINO."""
    model, inputs, expected = exported(case)
    run = SERVERS[library](model, n_threads)
    np.testing.assert_allclose(run(inputs)[0], expected, rtol=1e-3, atol=1e-4, err_msg=f"{library}, {case}")
    yield lambda: run(inputs)


@cache
def exported(case):
    """Return the ONNX model of an estimator, as bytes, its inputs by name, and the estimator's predictions."""
    from sklearn_rnn.export import to_onnx

    X, lengths = padded_data(case)[0].swapaxes(0, 1).copy(), np.array(case.lengths)
    regressor = make_regressor(case, n_threads=1)
    inputs = {"X": X} | ({"lengths": lengths} if case.is_ragged else {})
    model = to_onnx(regressor, lengths=case.is_ragged)
    fix_shapes(model, inputs)
    return model.SerializeToString(), inputs, regressor.predict([x[:n] for x, n in zip(X, lengths)])


LIBRARIES = {"ours": this_package, "torch": torch_module, "jax": jax_scan} | {
    library: partial(served, library) for library in SERVERS
}


def seconds_of(library, case, n_threads, seconds):
    """Return the median seconds of a call of one library; runs in its process."""
    with LIBRARIES[library](case, n_threads) as function:
        return median_seconds(function, seconds)


# ---- Taking turns --------------------------------------------------------------------------------------


def installed_libraries():
    """Return the libraries that can take part; models for ONNX Runtime and OpenVINO are made with onnx."""
    has_onnx = version_of("onnx") is not None
    others = [library for library in LIBRARIES if library != "ours" and version_of(library)]
    return ["ours", *(library for library in others if has_onnx or library not in SERVERS)]


def is_compared(library, case):
    """Whether a library takes part in a case."""
    if library in SERVERS:
        return case.dtype == "float32" and case.what != "train"
    return library != "jax" or (case.dtype == "float32" and case.what != "latency")


def start_processes(stack, libraries):
    """Return {(library, number of threads): call}; except for JAX, one process serves all numbers of threads."""
    n_most = min(2, len(processors()))
    calls = {}
    for library in libraries:
        shared = None if library == "jax" else stack.enter_context(worker(n_most))
        for n_threads in range(1, n_most + 1):
            calls[library, n_threads] = shared or stack.enter_context(worker(n_threads))
    return calls


def time_case(calls, case, seconds, n_rounds):
    """Return {library: {number of threads: seconds}}, medians over rounds."""
    contenders = [(library, n_threads) for library, n_threads in calls if is_compared(library, case)]
    times = {contender: [] for contender in contenders}
    for round_ in range(n_rounds):
        for library, n_threads in contenders if round_ % 2 == 0 else contenders[::-1]:
            call = calls[library, n_threads]
            times[library, n_threads].append(call(seconds_of, library, case, n_threads, seconds))
    results = {}
    for (library, n_threads), values in times.items():
        results.setdefault(library, {})[n_threads] = median(values)
    return results


def measure_peaks(calls, dtype, peaks):
    """Measure ``peaks[dtype, number of threads]`` again, and keep the larger value."""
    for (library, n_threads), call in calls.items():
        if library == "ours":
            peak = call(peak_of_products, dtype, n_threads)
            peaks[dtype, n_threads] = max(peak, peaks.get((dtype, n_threads), 0.0))


def compare(case, times):
    """Return a row of the table: milliseconds, ratios, GFLOP/s."""
    ms = {library: 1e3 * min(by_threads.values()) for library, by_threads in times.items()}
    ours = times["ours"]
    n_threads = min(ours, key=ours.get)
    ratios = {library: ms[library] / ms["ours"] for library in ms if library != "ours"}
    if ratios:
        ratios["best"] = min(ratios.values())
    return {
        "what": case.what,
        "cell": case.cell,
        "dtype": case.dtype,
        "name": case.name,
        "seconds": times,
        "ms": ms,
        "ratios": ratios,
        "n_threads": n_threads,
        "gflops": 1e-9 * case.n_operations / ours[n_threads],
        "speedup": ours[1] / ours[2] if 2 in ours else None,
    }


def cases(kinds, cells, shapes):
    """Yield every case of the tables, in their order."""
    for what in kinds:
        chosen = [LATENCY_SHAPE] if what == "latency" else [SHAPES[shape] for shape in shapes]
        for cell in cells:
            yield from (Case(what, cell, "float32", *shape) for shape in chosen)
        if what != "latency":
            in_float64 = [SHAPES[shape] for shape in SHAPES_IN_FLOAT64 if shape in shapes]
            yield from (Case(what, cell, "float64", *shape) for cell in cells for shape in in_float64)


# ---- Printed results -----------------------------------------------------------------------------------

HEADER = (
    f"{'':8}{'cell':5}{'dtype':8}{'batch x steps x features x units':34}"
    + "".join(f"{library + ' ms':>15}" for library in LIBRARIES)
    + f"{'torch/ours':>11}{'best/ours':>11}{'GFLOP/s':>9}{'share':>7}{'1 thread':>10}{'2 threads':>10}{'1/2':>6}"
)


def share_of_peak(row, peaks):
    """Return the GFLOP/s of a row as a share of the peak of matrix products."""
    return row["gflops"] / peaks[row["dtype"], row["n_threads"]]


def print_row(row, share):
    """Print a row; figures that were not measured are blank."""
    ours = row["seconds"]["ours"]
    print(
        f"{row['what']:8}{row['cell']:5}{row['dtype']:8}{row['name']:34}"
        + "".join(number(row["ms"].get(library), "15.3f") for library in LIBRARIES)
        + "".join(number(row["ratios"].get(library), "11.2f") for library in ("torch", "best"))
        + f"{row['gflops']:9.1f}{share:7.0%}"
        + "".join(number(1e3 * ours[n] if n in ours else None, "10.3f") for n in (1, 2))
        + number(row["speedup"], "6.2f"),
        flush=True,
    )


def number(value, form):
    """Format a number; return blanks of the same width for None."""
    return " " * int(form.partition(".")[0]) if value is None else format(value, form)


def print_summaries(rows, peaks):
    """Print the peaks, and for each kind of row the geometric means, the smallest ratio and the share of clear wins."""
    print()
    for (dtype, n_threads), peak in peaks.items():
        print(f"peak of products, {dtype}, {n_threads} {'thread' if n_threads == 1 else 'threads'}: {peak:.1f} GFLOP/s")
    for what, dtype in dict.fromkeys((row["what"], row["dtype"]) for row in rows):
        chosen = [row for row in rows if (row["what"], row["dtype"]) == (what, dtype) and row["ratios"]]
        if not chosen:
            continue
        print(f"\n{what}, {dtype}, {len(chosen)} rows:")
        for library in (*LIBRARIES, "best"):
            ratios = [row["ratios"][library] for row in chosen if library in row["ratios"]]
            if ratios:
                print(f"  geometric mean of {library} / ours: {geometric_mean(ratios):.2f}")
        shares = [row["share"] for row in chosen]
        print(f"  share of the peak: median {median(shares):.0%}, {min(shares):.0%} to {max(shares):.0%}")
        worst = min(chosen, key=lambda row: row["ratios"]["best"])
        print(f"  smallest ratio to the best: {worst['ratios']['best']:.2f} ({worst['cell']}, {worst['name']})")
        print(f"  at least 1.5: {np.mean([row['ratios']['best'] >= 1.5 for row in chosen]):.0%} of the rows")


def plot(rows, path):
    """Draw the ratios to the best other library as bars, with one panel for each kind of row."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    kinds = list(dict.fromkeys((row["what"], row["dtype"]) for row in rows))
    panels = [[row for row in rows if (row["what"], row["dtype"]) == kind and row["ratios"]] for kind in kinds]
    heights = [len(panel) + 1 for panel in panels]
    figure, axes = plt.subplots(
        len(panels), 1, figsize=(5.2, 1 + 0.21 * sum(heights)), height_ratios=heights, squeeze=False, sharex=True
    )
    for ax, (what, dtype), panel in zip(axes[:, 0], kinds, panels):
        ratios = [row["ratios"]["best"] for row in panel]
        # A bar starts at 1: on a log axis its length shows the ratio, above or below 1.
        lengths = [ratio - 1 for ratio in ratios]
        colors = [f"C{list(CELLS).index(row['cell'])}" for row in panel]
        bars = ax.barh([f"{row['cell']}  {row['name']}" for row in panel], lengths, left=1, color=colors)
        ax.bar_label(bars, [f"{ratio:.2f}" for ratio in ratios], padding=3, fontsize=9)
        ax.axvline(1, color="black", linewidth=1)
        ax.set(xscale="log", title=f"{what}, {dtype}")
        ax.margins(x=0.25, y=0.02)
        ax.invert_yaxis()
        ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        ax.xaxis.set_major_formatter(FuncFormatter("{:g}".format))
        ax.xaxis.set_minor_formatter(NullFormatter())
    axes[-1, 0].set_xlabel("time of the best other library,\ndivided by the time of this package")
    figure.tight_layout()
    figure.savefig(path, dpi=150)


# ---- The run -------------------------------------------------------------------------------------------


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    kinds = ["train", "predict", "latency"]
    parser.add_argument("--what", nargs="+", default=kinds, choices=kinds)
    parser.add_argument("--cells", nargs="+", default=list(CELLS), choices=list(CELLS))
    parser.add_argument("--shapes", nargs="+", default=list(SHAPES), choices=list(SHAPES))
    parser.add_argument("--seconds", type=float, default=0.5, help="shortest time of a library's turn")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="shorter turns: about 15 minutes in all")
    parser.add_argument("--json", help="file for all figures")
    parser.add_argument("--plot", help="file for a plot of the ratios")
    arguments = parser.parse_args()
    if arguments.quick:
        vars(arguments).update(QUICK)
    return arguments


def main():
    arguments = parse_arguments()
    description = machine("numpy", "torch", "jax", *SERVERS)
    print_machine(description)
    libraries = installed_libraries()
    for library in LIBRARIES.keys() - libraries:
        print(f"{library} is not installed: its columns are blank.")
    chosen = cases(arguments.what, arguments.cells, arguments.shapes)
    peaks, rows = {}, []
    print("\n" + HEADER)
    with ExitStack() as stack:
        calls = start_processes(stack, libraries)
        for (_, _, dtype), group in groupby(chosen, key=lambda case: case[:3]):
            measure_peaks(calls, dtype, peaks)
            for case in group:
                row = compare(case, time_case(calls, case, arguments.seconds, arguments.rounds))
                print_row(row, share_of_peak(row, peaks))
                rows.append(row)
    for row in rows:
        row["share"] = share_of_peak(row, peaks)
    print_summaries(rows, peaks)
    peaks = {f"{dtype}, {n_threads}": peak for (dtype, n_threads), peak in peaks.items()}
    write_json(arguments.json, {"machine": description, "peaks": peaks, "rows": rows})
    if arguments.plot:
        plot(rows, arguments.plot)


if __name__ == "__main__":
    main()
