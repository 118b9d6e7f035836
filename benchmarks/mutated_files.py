"""Load files of sklearn_rnn.save that are changed at random, and predict with those that load.

    python benchmarks/mutated_files.py 100000

Each change gives a ModelFileError, or an estimator that predicts or that refuses X by a ValueError. Everything else is
a fault, and is printed with its seed: another exception, more than 10 seconds of the processor for both, more memory
for the load than 64 kB and 60 times the file, or than 256 MB for both. A crash ends the script. For Linux.
"""

import collections
import resource
import signal
import sys
import tempfile
import time
import tracemalloc
import warnings
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "persistence")]

from mutations import SIGNED, UNSIGNED  # noqa: E402
from small_files import MODELS  # noqa: E402

import sklearn_rnn  # noqa: E402

SECONDS = 10
MEMORY_DISK = "/dev/shm"
# Memory is measured for one file of EVERY, because it takes ten times as long; no file may take more than MEMORY bytes.
LEAST_MEMORY, TIMES_FILE, EVERY, MEMORY = 2**16, 60, 20, 2**28


def originals(folder):
    """The bytes of each small file, and X for it."""
    for with_training in (False, True):
        for name, make in MODELS.items():
            estimator, X = make()
            sklearn_rnn.save(estimator, folder / "original.npz", with_training=with_training)
            yield name, (folder / "original.npz").read_bytes(), X


def outcome(path, X):
    """What happens to a file."""
    try:
        estimator = sklearn_rnn.load(path)
    except sklearn_rnn.ModelFileError:
        return "refused"
    try:
        (estimator.predict if hasattr(estimator, "predict") else estimator.transform)(X)
    except (ValueError, TypeError, AttributeError) as error:
        return f"loaded, {type(error).__name__} for X"
    return "loaded, predicts"


def memory_of_load(path):
    """The most memory that a load takes, in bytes."""
    tracemalloc.start()
    try:
        sklearn_rnn.load(path)
    except sklearn_rnn.ModelFileError:
        pass
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    return peak


def limit_memory():
    """Let this process take no more than so many bytes above those that it has: an allocation beyond them fails."""
    present = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (present + MEMORY, present + MEMORY))


def main(n_files, seed=0):
    """Change and load so many files; return the number of faults."""
    warnings.simplefilter("ignore")
    signal.signal(signal.SIGPROF, lambda *_: (_ for _ in ()).throw(TimeoutError))
    counts, faults, largest, longest = collections.Counter(), 0, 0.0, 0.0
    with tempfile.TemporaryDirectory(dir=MEMORY_DISK if Path(MEMORY_DISK).exists() else None) as name:
        folder = Path(name)
        files = list(originals(folder))
        limit_memory()
        for k in range(n_files):
            rng = np.random.default_rng([seed, k])
            kind, data, X = files[int(rng.integers(len(files)))]
            change = (UNSIGNED + SIGNED)[int(rng.integers(len(UNSIGNED + SIGNED)))]
            changed = change(data, rng)
            (folder / "changed.npz").write_bytes(changed)
            start = time.process_time()  # of the processor: others may use it too
            signal.setitimer(signal.ITIMER_PROF, SECONDS)
            try:
                result = outcome(folder / "changed.npz", X)
                if k % EVERY == 0:
                    peak = memory_of_load(folder / "changed.npz")
                    ratio = max(0, peak - LEAST_MEMORY) / max(1, len(changed))
                    largest = max(largest, ratio)
                    result = "FAULT: memory" if ratio > TIMES_FILE else result
                if change in UNSIGNED and result != "refused" and changed != data:
                    result = "FAULT: a changed bit was not found"
            except Exception as error:
                result = f"FAULT: {type(error).__name__}"
                if faults < 30:
                    print(f"seed {k}, {kind}, {change.__name__}: {type(error).__name__}: {error}"[:300], flush=True)
            finally:
                signal.setitimer(signal.ITIMER_PROF, 0)
            longest = max(longest, time.process_time() - start)
            faults += result.startswith("FAULT")
            counts[change.__name__, result] += 1
            if k % 10_000 == 9_999:
                print(f"{k + 1} files, {faults} faults", flush=True)
    for (change, result), count in sorted(counts.items()):
        print(f"{change:<20} {result:<35} {count:>7}")
    print(f"{n_files} files, {faults} faults; most memory {largest:.1f} times the file, longest {longest:.2f} s")
    return faults


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), *map(int, sys.argv[2:])) > 0)
