"""Run programs over the public API, drawn at random: tests/fuzz/programs.py says what must hold.

    python benchmarks/fuzz.py 100000 [first_seed]

Programs run in batches of 50, each with a seed of its own. A batch that finds a fault ends, and the program that found
it is printed with the seed. The counts of programs, calls and refused calls, and of batches with a fault, come last.
"""

from __future__ import annotations

import sys
import time
import traceback
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "fuzz")]

import hypothesis.core  # noqa: E402
from hypothesis import settings  # noqa: E402
from hypothesis.stateful import run_state_machine_as_test  # noqa: E402
from programs import SETTINGS, ClassifierPrograms, RegressorPrograms, counts  # noqa: E402

BATCH = 50


def run_batch(seed):
    """Run a batch; return whether it found no fault."""
    hypothesis.core.global_force_seed = seed
    machine = (ClassifierPrograms, RegressorPrograms)[seed % 2]
    try:
        run_state_machine_as_test(machine, settings=settings(SETTINGS, max_examples=BATCH))
    except Exception as error:
        for fault in error.exceptions if hasattr(error, "exceptions") else [error]:
            place = traceback.extract_tb((fault.__cause__ or fault).__traceback__)[-1]
            print(f"---- seed {seed}, {machine.__name__}, {type(fault).__name__}: {str(fault)[:400]}")
            print(f"{place.filename}:{place.lineno}", *getattr(fault, "__notes__", ()), sep="\n", flush=True)
        return False
    return True


def main(n_programs, seed=0):
    """Run so many programs; return the number of batches with a fault."""
    start, faulty = time.perf_counter(), 0
    while counts["programs"] < n_programs:
        faulty += not run_batch(seed)
        seed += 1
        if seed % 20 == 0:
            print(f"{dict(counts)}, {faulty} batches with a fault, {time.perf_counter() - start:.0f} s", flush=True)
    print(f"{dict(counts)}, {faulty} batches with a fault, {time.perf_counter() - start:.0f} s; the next seed: {seed}")
    return faulty


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])) > 0)
