"""Time of each part of a train step: in the kernels, and around them; and the kernels' share of whole fits.

    python benchmarks/profile_step.py [--cells rnn lstm gru] [--seconds 1] [--ucr FOLDER]

A small and the largest shape of ``peers.py``, one thread, float32. A clock measures the time of each part's
function. The rest of the time is between these calls.

The fits are those of ``end_to_end.py`` and, with a folder of the UCR archive, those of ``default_fits.py``: the fastest
of some fits of 30 epochs, in one thread.
"""

from __future__ import annotations

import argparse
import time
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from unittest.mock import patch

import numpy as np
from _measure import machine, print_machine
from _our_network import make_network, random_sequences, train_step

from sklearn_rnn._data.batches import Dataset
from sklearn_rnn._network.cells import CELLS
from sklearn_rnn._network.engines import serving
from sklearn_rnn._training.bptt import Backpropagation
from sklearn_rnn._training.optimizers import Adam
from sklearn_rnn._training.trainer import Trainer

SHAPES = [(32, 50, 1, 32), (128, 50, 64, 512)]  # sequences, steps, features, units
RECURRENCE = type(serving.recurrence(CELLS["gru"]("tanh")))
PARTS = {
    "forward pass": (RECURRENCE, "forward"),
    "backward pass": (RECURRENCE, "backward"),
    "weights into panels": (RECURRENCE, "prepare"),
    "packing the batch": (Dataset, "pack"),
    "readout and loss": (Backpropagation, "_losses_of_sequences"),
    "penalty": (Trainer, "_penalize_and_divide"),
    "clipping": (Trainer, "_clip"),
    "Adam": (Adam, "update"),
}
IN_KERNELS = ("forward pass", "backward pass", "weights into panels")


@contextmanager
def clocks(totals):
    """Measure the parts: add their seconds to ``totals``."""

    def timed(part, function):
        def call(*arguments, **keywords):
            start = time.perf_counter()
            result = function(*arguments, **keywords)
            totals[part] += time.perf_counter() - start
            return result

        return call

    with ExitStack() as stack:
        for part, (owner, name) in PARTS.items():
            stack.enter_context(patch.object(owner, name, timed(part, getattr(owner, name))))
        yield


def profile(cell, shape, seconds):
    """Return the microseconds of each part of a step, and of the whole step."""
    n_sequences, n_steps, n_features, n_units = shape
    network = make_network(cell, n_features, n_units, "float32")
    sequences = random_sequences([n_steps] * n_sequences, n_features, np.float32)
    targets = np.ones((n_sequences, 1), np.float32)
    totals = dict.fromkeys(PARTS, 0.0)
    with train_step(network, sequences, targets, 1) as step:
        step(), step()
        n_calls, start = 0, time.perf_counter()
        with clocks(totals):
            while time.perf_counter() - start < seconds:
                step()
                n_calls += 1
        whole = time.perf_counter() - start
    totals["between them"] = whole - sum(totals.values())
    return {part: 1e6 * total / n_calls for part, total in totals.items()}, 1e6 * whole / n_calls


def profile_fit(fit, n_fits=5):
    """Return the seconds of the fastest fit, and the kernels' share of it."""
    results = []
    for _ in range(n_fits):
        totals, start = dict.fromkeys(PARTS, 0.0), time.perf_counter()
        with clocks(totals):
            fit()
        seconds = time.perf_counter() - start
        results.append((seconds, sum(totals[part] for part in IN_KERNELS) / seconds))
    return min(results)


def fits(cells, folder):
    """Yield (name, function that fits) of the fits of other benchmarks."""
    from _contenders import ThisPackage
    from default_fits import CELL, DefaultsOfThisPackage, find_sets, is_chosen, load_problem
    from end_to_end import digits, japanese_vowels

    for title, problem in (("Japanese Vowels", japanese_vowels()), ("digits, 8 steps", digits())):
        for cell in cells:
            yield f"{title}, {cell}", partial(ThisPackage(1).fit, problem, cell, 30, 0)
    for title, path in ({} if folder is None else find_sets(folder)).items():
        problem = load_problem(path)
        if is_chosen(problem):
            yield f"{title}, defaults", partial(DefaultsOfThisPackage(1).fit, problem, CELL, 30, 0)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--cells", nargs="+", default=["rnn", "lstm", "gru"])
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--ucr", type=Path, help="folder of sets of the UCR archive")
    arguments = parser.parse_args()
    print_machine(machine("numpy"))
    for shape in SHAPES:
        for cell in arguments.cells:
            parts, whole = profile(cell, shape, arguments.seconds)
            around = 1 - sum(parts[part] for part in IN_KERNELS) / whole
            print(
                f"\n{cell}, sequences x steps x features x units {' x '.join(map(str, shape))}: {whole:.0f} us a step"
            )
            for part, microseconds in parts.items():
                print(f"  {part:22}{microseconds:10.1f} us{microseconds / whole:7.1%}")
            print(f"  around the kernels{'':16}{around:7.1%}")
    print()
    for name, fit in fits(arguments.cells, arguments.ucr):
        seconds, share = profile_fit(fit)
        print(f"{name:28}{1e3 * seconds:8.0f} ms, {share:.0%} in the kernels", flush=True)


if __name__ == "__main__":
    main()
