"""
Data that do not fit into memory
================================

There are two ways to train on more data than the memory holds. ``partial_fit`` takes the data chunk by chunk, from any
source. Here the sources are a memory-mapped NumPy file, an HDF5 file and a Parquet file. The trained network has the
same bits in all three cases. ``fit`` takes a memory-mapped array with all of its features: it shuffles the whole data,
runs several epochs, and can stop early. The array stays in its file, and ``fit`` reads batch by batch.

HDF5 and Parquet need ``pip install h5py pyarrow``.
"""

# %%
# The files
# ---------
#
# Every sequence is a noisy wave. The target is the value after its last step. We make and write the sequences chunk by
# chunk, as a program does that records data. So they are never all in memory at the same time. (These 6 MB would fit
# into memory. They are enough for a demonstration.)

import tempfile
import tracemalloc
from pathlib import Path

import h5py
import matplotlib.pyplot as plt
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from sklearn_rnn import RNNRegressor
from sklearn_rnn.datasets import make_noisy_sines

plt.rc("font", size=13)

N_CHUNKS, CHUNK, N_STEPS = 16, 200, 500
N_SEQUENCES = N_CHUNKS * CHUNK


def make_chunk(number):
    X, y = make_noisy_sines(CHUNK, N_STEPS, random_state=number)
    return X.astype(np.float32), y.astype(np.float32)


temporary = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
folder = Path(temporary.name)

# %%
# **NumPy.** One file holds X, with the axes sequence, time, feature. Another file holds y. We write both through memory
# maps.

X = np.lib.format.open_memmap(
    folder / "X.npy", mode="w+", dtype=np.float32, shape=(N_SEQUENCES, N_STEPS, 1)
)
y = np.lib.format.open_memmap(
    folder / "y.npy", mode="w+", dtype=np.float32, shape=(N_SEQUENCES,)
)
for i in range(N_CHUNKS):
    X[i * CHUNK : (i + 1) * CHUNK], y[i * CHUNK : (i + 1) * CHUNK] = make_chunk(i)
X.flush()
y.flush()
del X, y

# %%
# **HDF5.** One file holds the same two arrays, compressed. HDF5 compresses the array in chunks of its own. Here they
# have the same size as the chunks that we read later.

with h5py.File(folder / "waves.h5", "w") as file:
    X = file.create_dataset(
        "X",
        (N_SEQUENCES, N_STEPS, 1),
        "f4",
        chunks=(CHUNK, N_STEPS, 1),
        compression="lzf",
    )
    y = file.create_dataset("y", (N_SEQUENCES,), "f4")
    for i in range(N_CHUNKS):
        X[i * CHUNK : (i + 1) * CHUNK], y[i * CHUNK : (i + 1) * CHUNK] = make_chunk(i)

# %%
# **Parquet.** The table has one row for each step: the numbers of the sequence and of the step, the features, and the
# target of the sequence. We write each chunk as one row group, so that no sequence is split.

FEATURES = ["wave"]
columns = {
    "sequence": pa.int64(),
    "step": pa.int64(),
    "wave": pa.float32(),
    "target": pa.float32(),
}
with pq.ParquetWriter(folder / "waves.parquet", pa.schema(columns.items())) as writer:
    for i in range(N_CHUNKS):
        X, y = make_chunk(i)
        numbers, steps = np.indices((CHUNK, N_STEPS))
        values = [
            i * CHUNK + numbers.ravel(),
            steps.ravel(),
            X.ravel(),
            y.repeat(N_STEPS),
        ]
        writer.write_table(pa.table(values, writer.schema))
del X, y

for path in sorted(folder.iterdir()):
    print(f"{path.name:14} {path.stat().st_size / 1e6:5.1f} MB")

# %%
# Chunk by chunk: ``partial_fit``
# -------------------------------
#
# Three functions yield one chunk after the other. The function for Parquet also works for sequences of different
# lengths: it yields a list of arrays, and splits the table at each new sequence number.


def chunks_of_numpy():
    X, y = (np.load(folder / name, mmap_mode="r") for name in ("X.npy", "y.npy"))
    for start in range(0, len(X), CHUNK):
        yield X[start : start + CHUNK], y[start : start + CHUNK]


def chunks_of_hdf5():
    with h5py.File(folder / "waves.h5") as file:
        for start in range(0, len(file["X"]), CHUNK):
            yield file["X"][start : start + CHUNK], file["y"][start : start + CHUNK]


def chunks_of_parquet():
    file = pq.ParquetFile(folder / "waves.parquet")
    for group in range(file.num_row_groups):
        table = file.read_row_group(group)
        first_rows = np.flatnonzero(np.diff(table["sequence"].to_numpy(), prepend=-1))
        features = np.column_stack([table[name].to_numpy() for name in FEATURES])
        yield np.split(features, first_rows[1:]), table["target"].to_numpy()[first_rows]


# %%
# We pass over each file once. ``tracemalloc`` measures the peak memory of Python and NumPy. (It does not see the memory
# of pyarrow.)

SETTINGS = {
    "hidden_layer_sizes": (16,),
    "batch_size": 20,
    "learning_rate_init": 0.01,
    "random_state": 0,
}


def peak_memory(function, *args):
    """Return the function's result and its peak memory in MB."""
    tracemalloc.start()
    result = function(*args)
    peak = tracemalloc.get_traced_memory()[1] / 1e6
    tracemalloc.stop()
    return result, peak


def train_by_chunks(chunks):
    regressor = RNNRegressor(**SETTINGS)
    for X, y in chunks:
        regressor.partial_fit(X, y)
    return regressor


regressors, peaks = {}, {}
for name, chunks in (
    ("NumPy", chunks_of_numpy),
    ("HDF5", chunks_of_hdf5),
    ("Parquet", chunks_of_parquet),
):
    regressors[name], peaks[name] = peak_memory(train_by_chunks, chunks())
    print(
        f"{name:8} loss of the last chunk {regressors[name].loss_:.4f}, peak memory "
        f"{peaks[name]:4.1f} MB",
        flush=True,
    )

# %%
# The weights are the same in every bit.

for name, weights in regressors["NumPy"].weights_.items():
    assert np.array_equal(weights, regressors["HDF5"].weights_[name])
    assert np.array_equal(weights, regressors["Parquet"].weights_[name])

# %%
# The whole file: ``fit`` on a memory-mapped array
# ------------------------------------------------
#
# ``fit`` with early stopping sets a tenth of the sequences aside, and shuffles the others again for each epoch. With
# the mapped array, only one batch of the file's data is in memory (in predictions: one block of sequences). With the
# array in memory, the memory holds the array and its training and validation parts. The results are the same. In both
# cases the targets are read into memory, because they are small. ``predict`` and the other methods take mapped arrays
# in the same way.
#
# The sequences have 500 steps, so the default ``patch_size="auto"`` reads patches of 50 steps. ``fit`` and
# ``partial_fit`` make them batch by batch too.
#
# (The first measurement includes about 3 MB of scikit-learn's modules, which early stopping imports.)


def train_at_once(mmap_mode):
    X, y = (np.load(folder / name, mmap_mode=mmap_mode) for name in ("X.npy", "y.npy"))
    regressor = RNNRegressor(**SETTINGS, early_stopping=True, max_iter=3)
    return regressor.fit(X, y)


fitted = {}
for name, mmap_mode in (("fit, mapped", "r"), ("fit, in memory", None)):
    fitted[name], peaks[name] = peak_memory(train_at_once, mmap_mode)
    print(
        f"{name:15} R^2 of each epoch {np.round(fitted[name].validation_scores_, 4)}, "
        f"peak memory {peaks[name]:4.1f} MB"
    )

for name, weights in fitted["fit, mapped"].weights_.items():
    assert np.array_equal(weights, fitted["fit, in memory"].weights_[name])

# %%

fig, (above, below) = plt.subplots(2, 1, figsize=(7, 5.5), layout="constrained")
above.semilogy(np.arange(1, N_CHUNKS + 1), regressors["NumPy"].loss_curve_, marker=".")
above.set(
    xlabel="chunk", ylabel="loss", xticks=range(0, N_CHUNKS + 1, 5), title="partial_fit"
)
below.barh(list(peaks), list(peaks.values()), color=["C0"] * 3 + ["C1"] * 2)
below.invert_yaxis()
below.set(
    xlabel="peak memory (MB)",
    title=f"{4 * N_SEQUENCES * N_STEPS / 1e6:.0f} MB of sequences",
)
plt.show()

# %%
# Every chunk is new to the network. So the loss of a chunk during training is a loss on unseen sequences.
#
# Which one to choose? ``partial_fit`` reads a file from its start to its end, which is the fastest way on every disk.
# But it shuffles within a chunk only. So the sequences should be in random order in the file. The first chunk also
# decides on the patches and on the :ref:`units of the targets <target-units>`. ``fit`` selects every
# batch from the whole file. This is fast on a solid-state disk, or if the system keeps most of the file in its cache.
# ``fit`` reads fastest if the values of a sequence are side by side. It takes any view of a map: slices, or
# ``X.swapaxes(1, 2)`` of a file with the axes case, channel, time. It converts other dtypes than float32 and float64
# batch by batch.
#
# A scaler can work in the same way: :class:`~sklearn_rnn.preprocessing.TimeDistributed` has ``partial_fit`` if its
# transformer has it, and ``transform`` takes one chunk at a time.

temporary.cleanup()
