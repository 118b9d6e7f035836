"""Let every allocation of NumPy and of the extension fail once, in calls of the estimators. For Linux with glibc.

    python benchmarks/allocation_failures.py ["fit, gru" ...]

A small library is compiled with g++ and preloaded. It counts the calls of malloc, calloc, realloc and new from
NumPy's core or from the extension, and lets the k-th of them return NULL. Each call of a method runs for k = 1, 2, ...
until it has no k-th allocation. It must raise a MemoryError, leave the estimator as it was to the bit, and succeed when
it is called again. Crashes and other errors after an allocation of NumPy, which does not look at every
result of malloc, are counted apart.
"survived" counts calls that ended well without the allocation: NumPy has another way there.
"""

from __future__ import annotations

import ctypes
import itertools
import os
import pickle
import subprocess
import sys
import tempfile
import warnings
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

LIBRARY = r"""
#include <dlfcn.h>
#include <cstddef>
#include <cstring>
#include <new>
#include <sys/mman.h>

extern "C" {
void *__libc_malloc(size_t);
void *__libc_calloc(size_t, size_t);
void *__libc_realloc(void *, size_t);

static volatile long armed = 0, counted = 0;
static volatile long *failed; // shared with child processes: 1 for an allocation of NumPy, 2 for one of the extension

__attribute__((constructor)) static void share()
{
    failed = (long *)mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
}

void failing_arm(long k) { counted = 0; *failed = 0; armed = k; }
void failing_disarm(void) { armed = 0; }
long failing_site(void) { return *failed; }

static int fails(void *caller)
{
    Dl_info info;
    if (!armed || !dladdr(caller, &info) || !info.dli_fname)
        return 0;
    long site = strstr(info.dli_fname, "_multiarray_umath") ? 1 : strstr(info.dli_fname, "/kernels/_kernels") ? 2 : 0;
    if (!site)
        return 0;
    if (__sync_add_and_fetch(&counted, 1) != armed)
        return 0;
    *failed = site;
    return 1;
}

void *malloc(size_t n) { return fails(__builtin_return_address(0)) ? NULL : __libc_malloc(n); }
void *calloc(size_t n, size_t m) { return fails(__builtin_return_address(0)) ? NULL : __libc_calloc(n, m); }
void *realloc(void *p, size_t n) { return fails(__builtin_return_address(0)) ? NULL : __libc_realloc(p, n); }
}

void *operator new(size_t n)
{
    void *p = fails(__builtin_return_address(0)) ? NULL : __libc_malloc(n);
    if (!p)
        throw std::bad_alloc();
    return p;
}
"""
SITES = {1: "NumPy", 2: "the extension"}
PRELOADED = "SKLEARN_RNN_FAILING_ALLOCATIONS"


def start_again_with_library():
    """Compile the library, and run this script with it."""
    with tempfile.TemporaryDirectory() as folder:
        source, library = Path(folder, "failing.cpp"), Path(folder, "failing.so")
        source.write_text(LIBRARY)
        subprocess.run(["g++", "-O1", "-w", "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
        environment = os.environ | {"LD_PRELOAD": str(library), PRELOADED: str(library), "OMP_NUM_THREADS": "1"}
        return subprocess.run([sys.executable, *sys.argv], env=environment).returncode


def cases():
    """Yield (title, estimator, call)."""
    import numpy as np

    from sklearn_rnn import RNNClassifier, RNNRegressor

    generator = np.random.default_rng(0)
    X = [generator.normal(size=(n, 20)) for n in (9, 4, 12, 5, 7, 3)]
    labels, values = np.array([0, 1, 2] * 2), generator.normal(size=6)
    steps = [generator.normal(size=len(x)) for x in X]
    small = {"hidden_layer_sizes": (12,), "max_iter": 1, "n_iter_no_change": np.inf, "random_state": 0}
    for cell in ("rnn", "lstm", "gru"):
        estimator = RNNClassifier(cell=cell, **small).fit(X, labels)
        yield f"fit, {cell}", estimator, lambda e: e.fit(X, labels)
        yield f"predict_proba, {cell}", estimator, lambda e: e.predict_proba(X)
    each = RNNRegressor(readout="each", truncation=4, memory_budget="40kB", dropout=0.2, **small).fit(X, steps)
    yield "fit, each, truncation, budget", each, lambda e: e.fit(X, steps)
    yield "partial_fit, each", each, lambda e: e.partial_fit(X, steps)
    yield "partial_fit, gru", RNNRegressor(**small).fit(X, values), lambda e: e.partial_fit(X, values)
    yield "fit, L-BFGS", RNNRegressor(solver="lbfgs", **small).fit(X, values), lambda e: e.fit(X, values)
    stopping = RNNRegressor(early_stopping=True, validation_fraction=0.4, **small).fit(X, values)
    yield "fit, early stopping", stopping, lambda e: e.fit(X, values)
    numpy_cell = RNNRegressor(cell="rnn", activation="logistic", hidden_layer_sizes=(20, 10), max_iter=1)
    yield "fit, two layers", numpy_cell.fit(X, values), lambda e: e.fit(X, values)


def outcome(library, estimator, call, k):
    """Let the k-th allocation of a call fail; return what happened."""
    before = pickle.dumps(estimator)
    error = None
    library.failing_arm(k)
    try:
        call(estimator)
    except BaseException as raised:
        error = raised
    library.failing_disarm()
    if error is None:
        return "survived"
    if not isinstance(error, MemoryError):
        return f"{type(error).__name__} ({str(error)[:60]}) in {SITES[library.failing_site()]}"
    if pickle.dumps(estimator) != before:
        return "MemoryError, CHANGED"
    call(estimator)
    return "MemoryError, unchanged"


def try_allocation(library, estimator, call, k):
    """Do so in a child process, which may crash; return None if there is no k-th allocation."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        try:
            os.write(writing, outcome(library, estimator, call, k).encode())
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        result = pipe.read()
    status = os.waitpid(child, 0)[1]
    site = library.failing_site()
    if not site:
        return None
    if os.WIFSIGNALED(status):
        return f"crash in {SITES[site]}"
    return result or "no result"


def main():
    """Run all cases; return the number of those with a fault."""
    library = ctypes.CDLL(os.environ[PRELOADED])
    library.failing_arm.argtypes, library.failing_site.restype = [ctypes.c_long], ctypes.c_long
    warnings.simplefilter("ignore")
    total: Counter[str] = Counter()
    for title, estimator, call in cases():
        if sys.argv[1:] and title not in sys.argv[1:]:
            continue
        counts: Counter[str] = Counter()
        for k in itertools.count(1):
            result = try_allocation(library, estimator, call, k)
            if result is None:
                break
            counts[result] += 1
        total += counts
        print(f"{title:32} {counts.total():6} allocations: {dict(counts)}", flush=True)
    print(f"{'all':32} {total.total():6} allocations: {dict(total)}")
    good = ("survived", "MemoryError, unchanged")
    return sum(n for result, n in total.items() if result not in good and not result.endswith(" in NumPy"))


if __name__ == "__main__":
    sys.exit((main() > 0) if PRELOADED in os.environ else start_again_with_library())
