"""Let every allocation of NumPy and of the extension fail once, in calls of the estimators. For Linux with glibc.

    python benchmarks/allocation_failures.py ["fit, gru" ...]

A small library is compiled with g++ and preloaded. It counts the calls of malloc, calloc, realloc and new from
NumPy's core or from the extension, and lets the k-th of them return NULL. Each call of a method runs for k = 1, 2, ...
until it has no k-th allocation. It must raise a MemoryError, leave the estimator as it was to the bit, and succeed when
it is called again. "survived" counts calls that ended well without the allocation: NumPy has another way there.

Everything else is a fault. It is "in our code" if a function of the extension was active when the allocation failed or
when the process crashed, or if the error is none of the interpreter's (SystemError). It is "in NumPy's code" if NumPy
was called by the interpreter alone: no code of ours can cause a crash or a SystemError there. NumPy 2.4 has two such
faults, and the last two cases show them without a network:

* ``npyiter_allocate_buffers`` raises its MemoryError without the GIL, which ufuncs release for 500 elements and more
  before they make their buffers. The process crashes.
* ``PyArray_MapIterNew``, for indices that are arrays, returns NULL without an exception. The interpreter raises a
  SystemError; the estimator is unchanged then too.
"""

from __future__ import annotations

import bisect
import ctypes
import functools
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
#include <csignal>
#include <cstddef>
#include <cstring>
#include <dlfcn.h>
#include <execinfo.h>
#include <new>
#include <sys/mman.h>

extern "C" {
void *__libc_malloc(size_t);
void *__libc_calloc(size_t, size_t);
void *__libc_realloc(void *, size_t);

static volatile long armed = 0, counted = 0;

// The calls that were active, the last one first: when the allocation failed, and when the process crashed.
struct Stack { int n_calls; void *calls[64]; };
static Stack *stacks; // two of them, shared with child processes

static void crash(int signal_number)
{
    stacks[1].n_calls = backtrace(stacks[1].calls, 64);
    signal(signal_number, SIG_DFL); // the call that failed is made again, and now ends the process
}

__attribute__((constructor)) static void share()
{
    stacks = (Stack *)mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    backtrace(stacks[0].calls, 1); // the first call of this function allocates memory
    signal(SIGSEGV, crash);
    signal(SIGBUS, crash);
}

void failing_arm(long k) { counted = 0; stacks[0].n_calls = stacks[1].n_calls = 0; armed = k; }
void failing_disarm(void) { armed = 0; }

// The file of the i-th call of a stack, and the address in it; NULL after the last.
const char *failing_call(int which, int i, long *address)
{
    Dl_info info;
    if (i >= stacks[which].n_calls)
        return NULL;
    if (!dladdr(stacks[which].calls[i], &info) || !info.dli_fname)
        return "";
    *address = (char *)stacks[which].calls[i] - (char *)info.dli_fbase;
    return info.dli_fname;
}

static int fails(void *caller)
{
    Dl_info info;
    if (!armed || !dladdr(caller, &info) || !info.dli_fname)
        return 0;
    if (!strstr(info.dli_fname, "_multiarray_umath") && !strstr(info.dli_fname, "/kernels/_kernels"))
        return 0;
    if (__sync_add_and_fetch(&counted, 1) != armed)
        return 0;
    stacks[0].n_calls = backtrace(stacks[0].calls, 64);
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
FILES = {"_multiarray_umath": "NumPy's code", "/kernels/_kernels": "our code"}  # compiled code, by parts of file names
FAILED, CRASHED = 0, 1  # the two stacks of the library
SURVIVED, REFUSED = "survived", "MemoryError, unchanged"
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
    numpy_cell = RNNRegressor(
        cell="rnn", activation="logistic", hidden_layer_sizes=(20, 10), max_iter=1, random_state=0
    )
    yield "fit, two layers", numpy_cell.fit(X, values), lambda e: e.fit(X, values)
    # Without our package on the stack: the faults are NumPy's own.
    table, column = generator.normal(size=(60, 20)), generator.normal(size=(60, 1))
    yield "NumPy alone, rows by a list", None, lambda _: table[[0, 2, 4]]
    yield "NumPy alone, table * column", None, lambda _: np.multiply(table, column, out=table)


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
        return SURVIVED
    state = "unchanged" if pickle.dumps(estimator) == before else "CHANGED"
    if not isinstance(error, MemoryError):
        return f"{type(error).__name__} ({error}), {state}"
    call(estimator)
    return f"MemoryError, {state}"


def try_allocation(library, estimator, call, k):
    """Do so in a child process, which may crash; return what happened, or None if there is no k-th allocation."""
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
    if not list(stack(library, FAILED)):
        return None
    return "crash" if os.WIFSIGNALED(status) else result or "no result"


def stack(library, which):
    """Yield the active calls of NumPy's and of our compiled code, the last one first: (whose code it is, function)."""
    address = ctypes.c_long()
    for i in itertools.count():
        file = library.failing_call(which, i, ctypes.byref(address))
        if file is None:
            return
        for part, owner in FILES.items():
            if part in file.decode():
                yield owner, function_at(file, address.value)


@functools.cache
def functions_of(file):
    """The sorted addresses of the functions of a library, and their names."""
    table = subprocess.run(["nm", "-C", "--defined-only", file], capture_output=True, text=True, check=True).stdout
    symbols = sorted((int(line[:16], 16), line[19:]) for line in table.splitlines() if line[17] in "tTwW")
    return [address for address, _ in symbols], [name for _, name in symbols]


def function_at(file, address):
    """The name of the function of a library at an address."""
    addresses, names = functions_of(file)
    i = bisect.bisect_right(addresses, address) - 1
    return names[i].partition("(")[0].partition(".")[0] if i >= 0 else "?"


def fault(library, result):
    """Tell whose fault a result is: a crash or an error, with the function in which it happened."""
    failed, crashed = list(stack(library, FAILED)), list(stack(library, CRASHED))
    is_ours = any(owner == "our code" for owner, _ in failed + crashed)
    at_fault = "our code" if is_ours or not result.startswith(("crash", "SystemError")) else "NumPy's code"
    place = f"in {crashed[0][1]}" if crashed else f"for {failed[0][1]}"
    return f"{result} {place}, in {at_fault}"


def main():
    """Run all cases; return the number of faults of our code."""
    library = ctypes.CDLL(os.environ[PRELOADED])
    library.failing_arm.argtypes = [ctypes.c_long]
    library.failing_call.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.POINTER(ctypes.c_long)]
    library.failing_call.restype = ctypes.c_char_p
    warnings.simplefilter("ignore")
    total, faults = Counter(), Counter()
    for title, estimator, call in cases():
        if sys.argv[1:] and title not in sys.argv[1:]:
            continue
        counts = Counter()
        for k in itertools.count(1):
            result = try_allocation(library, estimator, call, k)
            if result is None:
                break
            if result not in (SURVIVED, REFUSED):
                result = fault(library, result)
                faults[result] += 1
                result = "a fault " + result.rpartition(", ")[2]
            counts[result] += 1
        total += counts
        print(f"{title:32} {counts.total():6} allocations: {dict(counts)}", flush=True)
    print(f"{'all':32} {total.total():6} allocations: {dict(total)}")
    for result, count in faults.most_common():
        print(f"{count:6}  {result}")
    return total["a fault in our code"]


if __name__ == "__main__":
    sys.exit((main() > 0) if PRELOADED in os.environ else start_again_with_library())
