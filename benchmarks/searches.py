"""Bytes that a grid search sends under the backends of joblib: loky, dask and ray; its results have the same bits.

    python benchmarks/searches.py [--backends loky dask ray] [--megabytes 2] [--json FILE]

A search of 4 candidates in 3 folds runs as 12 tasks on 2 workers, each a process. X is float32 with 8 features; the
networks are tiny. Counted are the bytes that the processes write: under loky into pipes and into memory-mapped files,
under dask into TCP connections, by client and scheduler together and by the workers; under ray what this process
serializes for tasks and for the store. The rows of a backend need it: distributed, or ray.
"""

from __future__ import annotations

import argparse
import tempfile
import warnings
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from _measure import machine, print_machine, write_json

MILLION = 10**6
N_FEATURES = 8
N_WORKERS = 2
GRID = {"alpha": [0.0, 0.1], "hidden_layer_sizes": [(2,), (4,)]}
N_FOLDS = 3
N_TASKS = 4 * N_FOLDS

# ---- Data --------------------------------------------------------------------------------------------------------


def draw(n_sequences, n_bytes, is_ragged=True):
    """Return sequences of two classes with this many bytes in all, as a list of arrays."""
    rng = np.random.default_rng(0)
    n_steps = n_bytes // (4 * N_FEATURES * n_sequences)
    lengths = rng.integers(n_steps // 2, n_steps + n_steps // 2, n_sequences) if is_ragged else [n_steps] * n_sequences
    return [rng.normal(i % 2, size=(length, N_FEATURES)).astype(np.float32) for i, length in enumerate(lengths)]


def mapped(sequences, folder):
    """Return the same sequences as parts of one memory-mapped file."""
    path = Path(folder) / "X.npy"
    np.save(path, np.concatenate(sequences))
    ends = np.cumsum([len(sequence) for sequence in sequences])
    return np.split(np.load(path, mmap_mode="r"), ends[:-1])


def forms(n_bytes, folder):
    """Return X in every form, by its name."""
    from sklearn_rnn.preprocessing import to_object_column

    many, few = draw(400, n_bytes), draw(100, n_bytes)
    return {
        "list": many,
        "list, memory-mapped": mapped(many, folder),
        "column": to_object_column(many),
        "column of 100 long sequences": to_object_column(few),
        "3-D": np.array(draw(400, n_bytes, is_ragged=False)),
    }


# ---- The search --------------------------------------------------------------------------------------------------


def search(X, n_jobs, *, with_scaler=False):
    """Return all scores of a grid search, and probabilities of the best network."""
    from sklearn.model_selection import GridSearchCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    from sklearn_rnn import RNNClassifier
    from sklearn_rnn.preprocessing import TimeDistributed

    network, grid = RNNClassifier(max_iter=1, n_iter_no_change=2, random_state=0), GRID
    if with_scaler:
        network = make_pipeline(TimeDistributed(StandardScaler()), network)
        grid = {f"rnnclassifier__{name}": values for name, values in GRID.items()}
    found = GridSearchCV(network, grid, cv=N_FOLDS, error_score="raise", n_jobs=n_jobs).fit(X, np.arange(len(X)) % 2)
    scores = [found.cv_results_[f"split{fold}_test_score"] for fold in range(N_FOLDS)]
    return np.concatenate([*scores, found.predict_proba(X[:20]).ravel()])


@contextmanager
def replaced(owner, name, make):
    """Replace an attribute by ``make(original)`` inside of the with statement."""
    original = getattr(owner, name)
    setattr(owner, name, make(original))
    try:
        yield
    finally:
        setattr(owner, name, original)


# ---- loky --------------------------------------------------------------------------------------------------------


def run_loky(data):
    """Yield (form, bytes by the place that they are written to, results)."""
    from multiprocessing.connection import Connection

    import joblib
    from joblib import _memmapping_reducer

    sent = {}

    def add(place, n_bytes):
        sent[place] = sent.get(place, 0) + n_bytes

    def counting_pipe(send_bytes):
        def send(self, buffer, *arguments):
            add("pipes", memoryview(buffer).nbytes)
            return send_bytes(self, buffer, *arguments)

        return send

    def counting_dump(dump):
        def write(array, *arguments, **options):
            add("files", array.nbytes)
            return dump(array, *arguments, **options)

        return write

    with (
        replaced(Connection, "send_bytes", counting_pipe),
        replaced(_memmapping_reducer, "dump", counting_dump),
        joblib.parallel_config("loky", n_jobs=N_WORKERS),
    ):
        for form, X in data.items():
            sent.clear()
            results = search(X, None)
            yield form, dict(sent), results


# ---- dask --------------------------------------------------------------------------------------------------------


def count_writes():
    """Count the bytes that this process, of the client and the scheduler or of a worker, writes into connections."""
    from distributed.comm.tcp import TCP

    if hasattr(TCP, "written"):
        return
    original, TCP.written = TCP.write, 0

    async def write(self, *arguments, **options):
        n_bytes = await original(self, *arguments, **options)
        TCP.written += n_bytes
        return n_bytes

    TCP.write = write


def take_count():
    """Return the bytes since the last call."""
    from distributed.comm.tcp import TCP

    n_bytes, TCP.written = TCP.written, 0
    return n_bytes


def run_dask(data):
    """Yield (form, bytes by the process that writes them, results)."""
    import joblib
    from distributed import Client, LocalCluster

    count_writes()
    variants = [(form, X, {}) for form, X in data.items()]
    variants += [(f"{form}; scatter=[X]", data[form], {"scatter": [data[form]]}) for form in data]
    variants += [("list; scatter=[X]; with a scaler", data["list"], {"scatter": [data["list"]]})]
    with (
        LocalCluster(n_workers=N_WORKERS, threads_per_worker=1, dashboard_address=":0") as cluster,
        Client(cluster) as client,
    ):
        client.wait_for_workers(N_WORKERS)
        client.run(count_writes)
        for form, X, options in variants:
            client.run(take_count)
            take_count()
            with joblib.parallel_config("dask", **options):
                results = search(X, None, with_scaler="scaler" in form)
            yield (
                form,
                {
                    "client and scheduler": take_count(),
                    "workers": sum(client.run(take_count).values()),
                },
                results,
            )


# ---- ray ---------------------------------------------------------------------------------------------------------


def run_ray(data):
    """Yield (form, bytes of all that this process serializes for tasks and for the store, results)."""
    import joblib
    import ray
    from ray._private.serialization import SerializationContext
    from ray.util.joblib import register_ray

    register_ray()
    ray.init(num_cpus=N_WORKERS, include_dashboard=False, log_to_driver=False)
    sent = {}

    def counting(serialize):
        def serialize_and_count(self, value):
            serialized = serialize(self, value)
            sent["tasks and store"] = sent.get("tasks and store", 0) + serialized.total_bytes
            return serialized

        return serialize_and_count

    with (
        replaced(SerializationContext, "serialize", counting),
        joblib.parallel_config("ray", n_jobs=N_WORKERS),
    ):
        for form, X in data.items():
            sent.clear()
            results = search(X, None)
            yield form, dict(sent), results
    ray.shutdown()


# ---- All ---------------------------------------------------------------------------------------------------------

BACKENDS = {"loky": run_loky, "dask": run_dask, "ray": run_ray}


def measure(backend, data, expected):
    """Run a backend's searches, print their rows and return them."""
    rows = []
    for form, sent, results in BACKENDS[backend](data):
        name = form.partition(";")[0]
        n_bytes = sum(sequence.nbytes for sequence in (np.ravel(data[name]) if "column" in name else data[name]))
        same = bool(np.array_equal(results, expected["scaler" in form, name]))
        rows.append({"backend": backend, "form": form, "n_bytes": n_bytes, "sent": sent, "same_bits": same})
        figures = ", ".join(f"{place} {count / n_bytes:.2f}" for place, count in sent.items())
        print(f"{backend:6}{form:44}{'same bits' if same else 'OTHER BITS':12}times X: {figures}", flush=True)
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--backends", nargs="+", default=list(BACKENDS), choices=list(BACKENDS))
    parser.add_argument("--megabytes", type=float, default=2, help="size of X")
    parser.add_argument("--json", help="file for all figures")
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore", message=".*(maximum number of epochs|Sending large graph).*")
    description = machine("numpy", "scikit-learn", "joblib", "distributed", "ray")
    print_machine(description)
    with tempfile.TemporaryDirectory() as folder:
        data = forms(int(arguments.megabytes * MILLION), folder)
        expected = {(False, form): search(X, 1) for form, X in data.items()}
        expected[True, "list"] = search(data["list"], 1, with_scaler=True)
        print(f"{N_TASKS} tasks on {N_WORKERS} workers; X has {arguments.megabytes:g} MB")
        rows = [row for backend in arguments.backends for row in measure(backend, data, expected)]
    write_json(arguments.json, {"machine": description, "n_tasks": N_TASKS, "rows": rows})


if __name__ == "__main__":
    main()
