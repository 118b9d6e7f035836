"""Growth of this package's time and memory with the numbers of steps, units, features and sequences.

    python benchmarks/scaling.py [--cell gru] [--n-jobs 1] [--seconds 0.5] [--quick] [--json FILE] [--plot FILE]

One size varies at a time. Time is that of a train step (forward, backward, clipping, Adam) or, if the total number of
sequences varies, of a prediction. Memory is the peak above the data and the network. Each measurement runs in a new
process. float32, readout "last". The exponent is the slope of a straight line through the upper half of the range on
log-log axes: 1 is proportional growth. Linux only.
"""

from __future__ import annotations

import argparse
from typing import NamedTuple

import numpy as np
from _measure import (
    MEGABYTE,
    machine,
    median_seconds,
    peak_bytes,
    print_machine,
    reset_peak,
    run_fresh,
    write_json,
)


class Size(NamedTuple):
    """Number of sequences, of steps of each, of features per step, of units."""

    n_sequences: int
    n_steps: int
    n_features: int
    n_units: int


class Axis(NamedTuple):
    """One size that varies, with its values, and the fixed sizes."""

    name: str
    field: str
    values: list
    base: Size
    is_training: bool = True

    @property
    def sizes(self):
        """The base sizes with each of the values."""
        return [self.base._replace(**{self.field: value}) for value in self.values]

    @property
    def title(self):
        """The kind of measurement and the fixed sizes, in words."""
        words = {"n_sequences": "sequences", "n_steps": "steps", "n_features": "features", "n_units": "units"}
        fixed = [f"{value} {words[field]}" for field, value in self.base._asdict().items() if field != self.field]
        return f"{'train step' if self.is_training else 'prediction'}, {', '.join(fixed)}"


AXES = [
    Axis("steps", "n_steps", [100, 300, 1000, 3000, 10_000, 30_000, 100_000], Size(4, 0, 8, 32)),
    Axis("units", "n_units", [8, 16, 32, 64, 128, 256, 512, 1024], Size(32, 50, 8, 0)),
    Axis("batch", "n_sequences", [1, 2, 4, 8, 16, 32, 64, 128, 256, 512], Size(0, 100, 8, 64)),
    Axis("features", "n_features", [1, 2, 4, 8, 16, 32, 64, 128, 256, 512], Size(32, 100, 0, 64)),
    Axis("sequences", "n_sequences", [100, 1000, 10_000, 100_000, 1_000_000], Size(0, 10, 2, 16), False),
]
N_VALUES_OF_QUICK = 3


def measure(cell, size, is_training, n_jobs, seconds):
    """Return (seconds of a call, bytes of its peak above the data); runs in a new process."""
    from _our_network import make_network, random_sequences, train_step

    from sklearn_rnn._inference.prediction import predict_scores

    network = make_network(cell, size.n_features, size.n_units, np.float32)
    sequences = random_sequences(np.full(size.n_sequences, size.n_steps), size.n_features, np.float32)
    held_before = reset_peak()
    if is_training:
        targets = np.ones((size.n_sequences, 1), np.float32)
        with train_step(network, sequences, targets, n_jobs) as step:
            median = median_seconds(step, seconds, n_least=2, n_warm_up=1)
    else:
        median = median_seconds(lambda: predict_scores(network, sequences, n_jobs), seconds, n_least=1, n_warm_up=1)
    return median, peak_bytes() - held_before


def exponent(values, results):
    """Return the slope of log results over log values, by least squares over the upper half of the range."""
    values, results = np.array(values, float), np.array(results, float)
    is_used = values >= np.sqrt(values[0] * values[-1])
    is_used[-2:] = True
    is_used &= results > 0  # a small peak can fit into memory that the process already had
    if is_used.sum() < 2:
        return float("nan")
    return float(np.polyfit(np.log(values[is_used]), np.log(results[is_used]), 1)[0])


def measure_axis(axis, arguments):
    """Measure an axis, print its figures and return them."""
    print(f"\n{axis.name} ({axis.title})\n{'':>10}{'ms':>12}{'us each':>12}{'peak MB':>10}{'kB each':>10}")
    times, memories = [], []
    for value, size in zip(axis.values, axis.sizes):
        seconds, n_bytes = run_fresh(
            measure, arguments.cell, size, axis.is_training, arguments.n_jobs, arguments.seconds
        )
        times.append(seconds)
        memories.append(n_bytes)
        print(
            f"{value:10}{1e3 * seconds:12.3f}{1e6 * seconds / value:12.3f}"
            f"{n_bytes / MEGABYTE:10.2f}{n_bytes / 1024 / value:10.3f}",
            flush=True,
        )
    exponents = exponent(axis.values, times), exponent(axis.values, memories)
    print(f"  exponent of time {exponents[0]:.2f}, of memory {exponents[1]:.2f}")
    return {
        "name": axis.name,
        "title": axis.title,
        "values": axis.values,
        "seconds": times,
        "bytes": memories,
        "exponent_of_time": exponents[0],
        "exponent_of_memory": exponents[1],
    }


def plot(results, path, cell):
    """Draw one row for each axis, time beside memory: it is read on phones too."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    shape = (len(results), 2)
    figure, axes = plt.subplots(*shape, figsize=(5.2, 2.4 * len(results)), sharey="col", squeeze=False)
    for row, result in zip(axes, results):
        draw(row[0], result, [1e3 * seconds for seconds in result["seconds"]], result["exponent_of_time"], "C0")
        draw(row[1], result, [n / MEGABYTE for n in result["bytes"]], result["exponent_of_memory"], "C1")
        row[0].text(0, 1.16, result["title"], transform=row[0].transAxes, fontweight="bold").set_in_layout(False)
        row[0].set(xlabel=result["name"], ylabel="ms")
        row[1].set(xlabel=result["name"], ylabel="MB above the data")
    figure.suptitle(f"Time and memory, {cell}")
    figure.tight_layout(h_pad=2.5, rect=(0, 0, 1, 0.98))
    figure.savefig(path, dpi=150)


def draw(ax, result, values, slope, color):
    """Draw a line on log-log axes, with its exponent as title."""
    from matplotlib.ticker import NullFormatter

    ax.loglog(result["values"], values, "o-", color=color)
    ax.text(0.5, 1.02, f"exponent {slope:.2f}", transform=ax.transAxes, ha="center", fontsize=9)
    ax.xaxis.set_minor_formatter(NullFormatter())
    ax.grid(alpha=0.3)


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--cell", default="gru", choices=["rnn", "lstm", "gru"])
    parser.add_argument("--n-jobs", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=0.5, help="shortest time of the calls for every size")
    parser.add_argument("--quick", action="store_true", help="only the smallest sizes, for a short time")
    parser.add_argument("--json", help="file for all figures")
    parser.add_argument("--plot", help="file for a plot of the figures")
    return parser.parse_args()


def main():
    arguments = parse_arguments()
    axes = AXES
    if arguments.quick:
        axes = [axis._replace(values=axis.values[:N_VALUES_OF_QUICK]) for axis in AXES]
        arguments.seconds = min(arguments.seconds, 0.05)
    description = machine("numpy")
    print_machine(description)
    results = [measure_axis(axis, arguments) for axis in axes]
    write_json(arguments.json, {"machine": description, "cell": arguments.cell, "axes": results})
    if arguments.plot:
        plot(results, arguments.plot, arguments.cell)


if __name__ == "__main__":
    main()
