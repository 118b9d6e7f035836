"""Shared tools of the benchmarks: clocks, memory, separate processes, a description of the machine."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import statistics
import time
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path

MEGABYTE = 2**20


def median_seconds(function, seconds, n_least=3, n_warm_up=2):
    """Return the median time of a call, over at least ``seconds`` and ``n_least`` calls, after warm-up calls."""
    for _ in range(n_warm_up):
        function()
    times = []
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(times) < n_least:
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


# ---- Processors ----------------------------------------------------------------------------------------


def processors():
    """Return the processors that this process may use: first one of each core, then the cores' second threads."""
    if not hasattr(os, "sched_getaffinity"):
        return list(range(os.cpu_count() or 1))
    allowed = sorted(os.sched_getaffinity(0))
    return sorted(allowed, key=lambda processor: _siblings(processor).index(processor))


def _siblings(processor):
    """Return the numbers of the processors of one core, in ascending order."""
    path = Path(f"/sys/devices/system/cpu/cpu{processor}/topology/thread_siblings_list")
    try:
        parts = [part.partition("-") for part in path.read_text().strip().split(",")]
    except OSError:
        return [processor]
    return [number for first, _, last in parts for number in range(int(first), int(last or first) + 1)]


def keep_to(chosen):
    """Bind this process, and all threads that it starts later, to some processors (on Linux only)."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, chosen)


# ---- Processes -----------------------------------------------------------------------------------------


@contextmanager
def worker(n_processors=None):
    """Yield ``call(function, *arguments)``. It runs the function in a new process, which is idle between calls.

    The process is a new interpreter. It is bound to the first ``n_processors`` before it imports any library, because
    many libraries choose their number of threads at import.
    """
    chosen = processors()[:n_processors]
    with ProcessPoolExecutor(1, get_context("spawn"), initializer=keep_to, initargs=(chosen,)) as executor:
        yield lambda function, *arguments: executor.submit(function, *arguments).result()


def run_fresh(function, *arguments, n_processors=None):
    """Call a function in a new process and return its result."""
    with worker(n_processors) as call:
        return call(function, *arguments)


# ---- Memory of this process (Linux) --------------------------------------------------------------------


def resident_bytes():
    """Return the memory that this process holds now."""
    return _status("VmRSS")


def peak_bytes():
    """Return the peak memory of this process since its start, or since ``reset_peak``."""
    return _status("VmHWM")


def reset_peak():
    """Start a new peak measurement, and return the memory that this process holds now."""
    Path("/proc/self/clear_refs").write_text("5")
    return resident_bytes()


def _status(name):
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(name + ":"):
            return int(line.split()[1]) * 1024
    raise RuntimeError(f"/proc/self/status has no {name}.")


# ---- Descriptions --------------------------------------------------------------------------------------


def machine(*distributions):
    """Describe the machine: processor, versions, and the kernels of this package."""
    description = {
        "processor": _processor_name(),
        "processors": len(processors()),
        "python": platform.python_version(),
    }
    for name in distributions:
        description[name] = version_of(name) or "missing"
    description["sklearn_rnn"], description["kernels"] = run_fresh(_this_package)
    return description


def version_of(distribution):
    """Return the version of a distribution, or None if it is not installed."""
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


def _processor_name():
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def _this_package():
    """Return the version of this package, and the name of its kernels (or "none")."""
    import sklearn_rnn

    try:
        from sklearn_rnn._network import kernels
    except ImportError:
        return sklearn_rnn.__version__, "none"
    return sklearn_rnn.__version__, str(getattr(kernels, "name", "none"))


def print_machine(description):
    """Print the result of ``machine`` on one line."""
    print(", ".join(f"{name} {value}" for name, value in description.items()), flush=True)


def write_json(path, content):
    """Write results to ``path``, if there is one."""
    if path:
        Path(path).write_text(json.dumps(content, indent=1) + "\n")
