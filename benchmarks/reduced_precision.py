"""Steps of streams with weights of fewer bits: the time won, and the accuracy lost on four data sets.

    python benchmarks/reduced_precision.py [--parts time accuracy] [--sizes 128x2 256x3] [--cells lstm gru]
                                           [--sequences 1 10 100] [--seeds 3] [--seconds 3] [--json FILE]

A step reads every weight once. The forms of the recurrent weights, and of the weights between layers:

* bfloat16: the upper 16 bits of float32, rounded to nearest, ties to even;
* int8: integers with one scale for the weights of each gate of each unit. Activations are integers of 16 bits with one
  scale for each sequence;
* int8, activations of 8 bits.

The first layer's input weights and all biases stay float32. Sums are float32, or exact integers.

**Time**: ``_reduced_precision.cpp`` is a prototype of a step in every form, without output layer. It is compiled with
the C++ compiler of ``CXX`` (default: c++), and checked against the stream's states. "today" and "package, int8" are the
package's own steppers, without and with ``precision="int8"``, which has the last of the forms. All take turns in one
thread; a figure is the minimum over many turns of a few steps each, in microseconds a step. The network's weights stay
in the caches between two steps. "AVX2" and "AVX-512" are the instruction sets.
"without products" leaves out all that reads weights.

**Accuracy**: networks are trained in float32, and then tested in every form, by rounded weights (bfloat16, int8), by
the prototype (activations of 8 bits) and by the package's stream. Accuracy and R2 are in points of 100.

``--json`` reads the file first, and replaces the parts that run. Set OMP_NUM_THREADS=1. Linux on x86-64 only.
"""

from __future__ import annotations

import argparse
import copy
import ctypes
import json
import os
import subprocess
import tempfile
import time
import warnings
from functools import partial
from pathlib import Path

import numpy as np
from _measure import machine, print_machine, write_json
from _plain import PLAIN
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

from sklearn_rnn import RNNClassifier, RNNRegressor
from sklearn_rnn.datasets import load_japanese_vowels, make_noisy_sines, make_temporal_order
from sklearn_rnn.preprocessing import TimeDistributed

HERE = Path(__file__).parent
KERNELS = HERE.parent / "sklearn_rnn" / "_network" / "kernels"
AVX2, AVX512 = ["-march=x86-64-v3"], ["-march=x86-64-v4"]
VNNI = [*AVX512, "-mavx512vnni"]
# name: FORM in _reduced_precision.cpp, flags of the compiler, flags of /proc/cpuinfo
PROTOTYPES = {
    "without products": (0, [*AVX512, "-DWITHOUT_PRODUCTS"], ["avx512bw"]),
    "float32, AVX-512": (0, AVX512, ["avx512bw"]),
    "bfloat16, AVX-512": (1, AVX512, ["avx512bw"]),
    "int8, AVX-512": (2, AVX512, ["avx512bw"]),
    "int8, AVX-512 VNNI": (3, VNNI, ["avx512bw", "avx512_vnni"]),
    "int8, activations of 8 bits, AVX-512 VNNI": (4, VNNI, ["avx512bw", "avx512_vnni"]),
    "float32, AVX2": (0, AVX2, ["avx2"]),
    "bfloat16, AVX2": (1, AVX2, ["avx2"]),
    "int8, AVX2": (2, AVX2, ["avx2"]),
}
OURS = "package, int8"
ALL_8_BITS = "int8, activations of 8 bits, AVX-512 VNNI"
N_FEATURES, N_CHECKED = 8, 30  # of the timed networks; steps after which states are compared
TOLERANCES = {0: 1e-5, 1: 0.02, 2: 0.06, 3: 0.06, 4: 0.2}  # of states after these steps, by FORM


# ---- The prototype ---------------------------------------------------------------------------------------------------


def compile_prototypes(folder, names):
    """Return the library of each form that this processor can run."""
    present = next(line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("flags")).split()
    libraries = {}
    for name in names:
        form, flags, needed = PROTOTYPES[name]
        if set(needed) <= set(present):
            path = Path(folder) / f"{len(libraries)}.so"
            optimize = ["-std=c++17", "-O3", "-fno-math-errno", "-fno-trapping-math", "-ffp-contract=fast"]
            source = HERE / "_reduced_precision.cpp"
            command = [os.environ.get("CXX", "c++"), *optimize, *flags, f"-DFORM={form}", "-shared", "-fPIC"]
            subprocess.run([*command, f"-I{KERNELS}", source, "-o", path], check=True)
            libraries[name] = ctypes.CDLL(str(path))
            libraries[name].new_network.restype = ctypes.c_void_p
    return libraries


class Prototype:
    """A network in one form of the prototype, and its state."""

    def __init__(self, library, network, n_sequences):
        self._library = library
        self._network = ctypes.c_void_p(library.new_network(ctypes.c_int(network.cell.n_gates == 4)))
        for direction in network.directions:
            n_features, n_units = direction.n_features, direction.n_units
            weights = network.parameters.group(direction.name)
            arrays = [weights.get(name) for name in ("input", "recurrent", "bias", "recurrent_bias")]
            arrays = [None if array is None else np.ascontiguousarray(array, np.float32) for array in arrays]
            pointers = [None if array is None else ctypes.c_void_p(array.ctypes.data) for array in arrays]
            sizes = map(ctypes.c_int64, (n_sequences, n_features, n_units))
            library.add_layer(self._network, *sizes, *pointers)
        self.hidden = np.empty((n_sequences, n_units), np.float32)

    def reset(self):
        self._library.reset(self._network)

    def run(self, x):
        """Run steps x, (n_steps, n_sequences, n_features); return the last layer's h."""
        pointers = [ctypes.c_void_p(array.ctypes.data) for array in (x, self.hidden)]
        self._library.run_steps(self._network, ctypes.c_int64(len(x)), *pointers)
        return self.hidden


# ---- Time ------------------------------------------------------------------------------------------------------------


def timed_network(cell, sizes):
    """Return a regressor after one epoch on noise."""
    X = np.random.default_rng(0).standard_normal((6, 20, N_FEATURES), dtype=np.float32)
    settings = PLAIN | {"cell": cell, "max_iter": 1, "n_iter_no_change": np.inf, "random_state": 0}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return RNNRegressor(sizes, **settings).fit(X, np.arange(6) % 3)


def check(prototypes, stream, rounded, sizes, x):
    """Compare the states of the prototypes and of the rounded stream with the stream's after some steps."""
    for step in x:
        stream.step(step)
        rounded.step(step)
    name_of_state = f"layer_{len(sizes) - 1}.h"
    expected = stream.state[name_of_state]
    error = np.abs(rounded.state[name_of_state] - expected).max()
    if not error < TOLERANCES[PROTOTYPES[ALL_8_BITS][0]]:
        raise RuntimeError(f"{OURS}: the state differs by {error:.2g} from the stream's.")
    for name, prototype in prototypes.items():
        error = np.abs(prototype.run(x) - expected).max()
        if name != "without products" and not error < TOLERANCES[PROTOTYPES[name][0]]:
            raise RuntimeError(f"{name}: the state differs by {error:.2g} from the stream's.")


def time_steps(libraries, cell, sizes, n_sequences, seconds):
    """Return the least microseconds of a step, for both steppers of the package and for every form."""
    estimator = timed_network(cell, sizes)
    stream, rounded = estimator.stream(n_sequences), estimator.stream(n_sequences, precision="int8")
    shape = (N_CHECKED, n_sequences, N_FEATURES)
    x = np.random.default_rng(1).standard_normal(shape, dtype=np.float32)
    prototypes = {name: Prototype(lib, estimator._model.network, n_sequences) for name, lib in libraries.items()}
    check(prototypes, stream, rounded, sizes, x)
    n_steps = 6 if n_sequences < 100 else 2
    steps = x[:n_steps]

    def take_steps(stepper):
        for step in steps:
            stepper.step(step)

    calls = {"today": partial(take_steps, stream._stepper), OURS: partial(take_steps, rounded._stepper)}
    calls |= {name: lambda run=p.run: run(steps) for name, p in prototypes.items()}
    best = dict.fromkeys(calls, np.inf)
    end = time.perf_counter() + seconds * len(calls)
    while time.perf_counter() < end:
        for name, call in calls.items():
            call()
            start = time.perf_counter()
            call()
            best[name] = min(best[name], 1e6 * (time.perf_counter() - start) / n_steps)
    return best


# ---- Accuracy --------------------------------------------------------------------------------------------------------


def vowels(seed):
    X, y = load_japanese_vowels(subset="train", return_X_y=True)
    X_test, y_test = load_japanese_vowels(subset="test", return_X_y=True)
    scaler = TimeDistributed(StandardScaler()).fit(X)
    return scaler.transform(X), y, scaler.transform(X_test), y_test


def digits(seed):
    """Rows of images of digits from above to below: 8 steps of 8 pixels."""
    data = load_digits()
    X, X_test, y, y_test = train_test_split(data.images / 16 - 0.3, data.target, test_size=0.5, random_state=seed)
    return X, y, X_test, y_test


def temporal_order(seed):
    return *make_temporal_order(2000, 30, random_state=seed), *make_temporal_order(2000, 30, random_state=seed + 1000)


def noisy_sines(seed):
    return *make_noisy_sines(800, 40, random_state=seed), *make_noisy_sines(2000, 40, random_state=seed + 1000)


DATA = {  # name: function, epochs
    "Japanese Vowels": (vowels, 20),
    "digits by rows": (digits, 20),
    "temporal order": (temporal_order, 3),
    "noisy sines (R2)": (noisy_sines, 5),
}


def to_bfloat16(weights):
    bits = np.ascontiguousarray(weights, np.float32).view(np.uint32)
    return ((bits + 0x7FFF + (bits >> 16 & 1)) & np.uint32(0xFFFF0000)).view(np.float32)


def to_int8(weights):
    scales = np.maximum(np.abs(weights).max(axis=0), 1e-30) / 127
    return np.rint(weights / scales) * scales


def rounded(estimator, rounding):
    """Return a copy of a fitted estimator whose recurrent weights and weights between layers are rounded."""
    estimator = copy.deepcopy(estimator)
    network = estimator._model.network
    for depth, direction in enumerate(network.directions):
        weights = network.parameters.group(direction.name)
        for name in ("input", "recurrent") if depth else ("recurrent",):
            weights[name][...] = rounding(weights[name])
    return estimator


def predictions_of_prototype(library, estimator, X):
    """Return predictions from the last states of the prototype, one sequence after the other."""
    model = estimator._model
    prototype = Prototype(library, model.network, 1)
    hidden = []
    for x in X:
        prototype.reset()
        hidden.append(prototype.run(np.ascontiguousarray(x[:, np.newaxis], np.float32))[0].copy())
    return model.decode(model.network.scores(np.array(hidden)))


def points(estimator, predictions, y):
    """Return the accuracy, or R2, in points."""
    if isinstance(estimator, RNNClassifier):
        return 100 * float(np.mean(predictions == y))
    residual = np.sum((y.ravel() - predictions.ravel()) ** 2)
    return 100 * float(1 - residual / np.sum((y.ravel() - y.mean()) ** 2))


def lost_points(libraries, name, cell, sizes, seed):
    """Return the points in float32, and those lost in every form."""
    load, n_epochs = DATA[name]
    X, y, X_test, y_test = load(seed)
    X, X_test = ([np.asarray(x, np.float32) for x in sequences] for sequences in (X, X_test))
    cls = RNNRegressor if "R2" in name else RNNClassifier
    settings = PLAIN | {"cell": cell, "max_iter": n_epochs, "n_iter_no_change": np.inf, "batch_size": 32}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        estimator = cls(sizes, **settings, random_state=seed).fit(X, y)
    exact = points(estimator, estimator.predict(X_test), y_test)
    lost = {}
    for form, rounding in (("bfloat16", to_bfloat16), ("int8", to_int8)):
        lost[form] = exact - points(estimator, rounded(estimator, rounding).predict(X_test), y_test)
    if ALL_8_BITS in libraries:
        predictions = predictions_of_prototype(libraries[ALL_8_BITS], estimator, X_test)
        lost["int8, activations of 8 bits"] = exact - points(estimator, predictions, y_test)
    predictions = estimator.stream(len(X_test), precision="int8").predict(X_test)
    lost[OURS] = exact - points(estimator, predictions, y_test)
    return {"points": exact, "lost": lost}


# ---- Both ------------------------------------------------------------------------------------------------------------


def measure_times(libraries, arguments, results):
    for sizes in arguments.sizes:
        for cell in arguments.cells:
            for n in arguments.sequences:
                times = time_steps(libraries, cell, sizes, n, arguments.seconds)
                results[f"{cell}, {describe(sizes)}, {n}"] = times
                print(cell, sizes, n, {name: round(value, 2) for name, value in times.items()}, flush=True)


def measure_accuracy(libraries, arguments, results):
    for sizes in arguments.sizes:
        for name in DATA:
            for cell in arguments.cells:
                key = f"{name}, {cell}, {describe(sizes)}"
                rows = [lost_points(libraries, name, cell, sizes, seed) for seed in range(arguments.seeds)]
                lost = {form: [row["lost"][form] for row in rows] for form in rows[0]["lost"]}
                results[key] = {"points": [row["points"] for row in rows], "lost": lost}
                means = {form: round(float(np.mean(values)), 3) for form, values in lost.items()}
                print(key, round(float(np.mean(results[key]["points"])), 2), means, flush=True)
                yield


def describe(sizes):
    return f"{len(sizes)} x {sizes[0]}"


def sizes_of(text):
    n_units, n_layers = map(int, text.split("x"))
    if n_units % 16:
        raise argparse.ArgumentTypeError(f"{n_units} units: the prototype needs a multiple of 16.")
    return (n_units,) * n_layers


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--parts", nargs="+", default=["time", "accuracy"], choices=["time", "accuracy"])
    parser.add_argument(
        "--sizes", nargs="+", type=sizes_of, default=[(128, 128), (256, 256, 256)], metavar="UNITSxLAYERS"
    )
    parser.add_argument("--cells", nargs="+", default=["lstm", "gru"], choices=["lstm", "gru"])
    parser.add_argument("--sequences", nargs="+", type=int, default=[1, 10, 100])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=3, help="of each form and row of times")
    parser.add_argument("--json", type=Path, help="file for all figures")
    arguments = parser.parse_args()
    description = machine("numpy")
    print_machine(description)
    results = {"microseconds": {}, "accuracy": {}}
    if arguments.json and arguments.json.exists():
        results |= json.loads(arguments.json.read_text())
    results["machine"] = description
    with tempfile.TemporaryDirectory() as folder:
        libraries = compile_prototypes(folder, PROTOTYPES if "time" in arguments.parts else [ALL_8_BITS])
        if "time" in arguments.parts:
            measure_times(libraries, arguments, results["microseconds"])
            write_json(arguments.json, results)
        if "accuracy" in arguments.parts:
            for _ in measure_accuracy(libraries, arguments, results["accuracy"]):
                write_json(arguments.json, results)


if __name__ == "__main__":
    main()
