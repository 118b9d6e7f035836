"""
Data that do not fit into memory
================================

Two ways lead past the size of the memory. ``partial_fit`` takes the data chunk by chunk, from whatever
can hand out chunks: here a memory-mapped file of NumPy's, an HDF5 file and a Parquet file, and the network that comes
out is the same, to the bit. And ``fit``, with all it can do (shuffling the whole data, epochs, early stopping), takes a
memory-mapped array as it takes any other, but leaves it in its file and reads a batch at a time.

For the other two formats this page needs ``pip install h5py pyarrow``.
"""

# %%
# The files
# ---------
#
# Every sequence is a noisy wave, and the target is the value that follows its last step. The sequences are made and
# written by the chunk, as a program would that records them: never are all of them in memory. (Here they would
# fit: 8 MB are enough to see what is going on.)

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

N_CHUNKS, CHUNK, N_STEPS = 20, 1000, 100
N_SEQUENCES = N_CHUNKS * CHUNK


def make_chunk(number):
    X, y = make_noisy_sines(CHUNK, N_STEPS, random_state=number)
    return X.astype(np.float32), y.astype(np.float32)


temporary = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
folder = Path(temporary.name)

# %%
# **NumPy.** A file for X with the axes sequence, time, feature, written through a map of it, and another for y.

X = np.lib.format.open_memmap(folder / "X.npy", mode="w+", dtype=np.float32, shape=(N_SEQUENCES, N_STEPS, 1))
y = np.lib.format.open_memmap(folder / "y.npy", mode="w+", dtype=np.float32, shape=(N_SEQUENCES,))
for i in range(N_CHUNKS):
    X[i * CHUNK : (i + 1) * CHUNK], y[i * CHUNK : (i + 1) * CHUNK] = make_chunk(i)
X.flush()
y.flush()
del X, y

# %%
# **HDF5.** The same two arrays, compressed, in one file. What HDF5 compresses at once, *its* chunk, is what is read
# at once later.

with h5py.File(folder / "waves.h5", "w") as file:
    X = file.create_dataset("X", (N_SEQUENCES, N_STEPS, 1), "f4", chunks=(CHUNK, N_STEPS, 1), compression="lzf")
    y = file.create_dataset("y", (N_SEQUENCES,), "f4")
    for i in range(N_CHUNKS):
        X[i * CHUNK : (i + 1) * CHUNK], y[i * CHUNK : (i + 1) * CHUNK] = make_chunk(i)

# %%
# **Parquet.** A table with a row for each step: which sequence and step it is, its features, and the target of the
# sequence. Each chunk is written as a row group, so that no sequence is cut in two.

FEATURES = ["wave"]
columns = {"sequence": pa.int64(), "step": pa.int64(), "wave": pa.float32(), "target": pa.float32()}
with pq.ParquetWriter(folder / "waves.parquet", pa.schema(columns.items())) as writer:
    for i in range(N_CHUNKS):
        X, y = make_chunk(i)
        numbers, steps = np.indices((CHUNK, N_STEPS))
        values = [i * CHUNK + numbers.ravel(), steps.ravel(), X.ravel(), y.repeat(N_STEPS)]
        writer.write_table(pa.table(values, writer.schema))
del X, y

for path in sorted(folder.iterdir()):
    print(f"{path.name:14} {path.stat().st_size / 1e6:5.1f} MB")

# %%
# Chunk by chunk: ``partial_fit``
# -------------------------------
#
# Three functions that give one chunk after the other. The one for Parquet makes no use of the sequences' being equally
# long: it gives a list of arrays, cut where the number of the sequence changes.


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
# One pass over each file. ``tracemalloc`` tells the most memory that Python and NumPy held at any time (what pyarrow
# holds, it does not see).

SETTINGS = {"hidden_layer_sizes": (16,), "batch_size": 50, "learning_rate_init": 0.01, "random_state": 0}


def peak_memory(function, *args):
    """Return what the function returns, and the most memory that was in use meanwhile, in MB."""
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
for name, chunks in (("NumPy", chunks_of_numpy), ("HDF5", chunks_of_hdf5), ("Parquet", chunks_of_parquet)):
    regressors[name], peaks[name] = peak_memory(train_by_chunks, chunks())
    print(
        f"{name:8} loss of the last chunk {regressors[name].loss_:.4f}, peak memory {peaks[name]:4.1f} MB", flush=True
    )

# %%
# The weights are the same in every bit.

for name, weights in regressors["NumPy"].weights_.items():
    assert np.array_equal(weights, regressors["HDF5"].weights_[name])
    assert np.array_equal(weights, regressors["Parquet"].weights_[name])

# %%
# All of it: ``fit`` on a memory-mapped array
# -------------------------------------------
#
# ``fit`` with early stopping: a tenth of the sequences is set aside, the others are shuffled anew for each epoch.
# Of the file's data no more is in memory than a batch (when predicting, a block of sequences); with the array in
# memory, there are the array and the parts that it was split into. The results are the same. The targets are read into
# memory in both cases: they are small. ``predict`` and the other methods take mapped arrays in the same way.
#
# (What is measured first includes some 3 MB of modules of scikit-learn's that early stopping imports.)


def train_at_once(mmap_mode):
    X, y = (np.load(folder / name, mmap_mode=mmap_mode) for name in ("X.npy", "y.npy"))
    regressor = RNNRegressor(**SETTINGS, early_stopping=True, max_iter=3, n_iter_no_change=np.inf)
    return regressor.fit(X, y)


fitted = {}
for name, mmap_mode in (("fit, mapped", "r"), ("fit, in memory", None)):
    fitted[name], peaks[name] = peak_memory(train_at_once, mmap_mode)
    print(
        f"{name:15} R^2 of each epoch {np.round(fitted[name].validation_scores_, 4)}, peak memory {peaks[name]:4.1f} MB"
    )

for name, weights in fitted["fit, mapped"].weights_.items():
    assert np.array_equal(weights, fitted["fit, in memory"].weights_[name])

# %%

fig, (left, right) = plt.subplots(1, 2, figsize=(9, 3.5), layout="constrained", width_ratios=(3, 2))
left.semilogy(np.arange(1, N_CHUNKS + 1), regressors["NumPy"].loss_curve_, marker=".")
left.set(xlabel="chunk", ylabel="loss", xticks=range(0, N_CHUNKS + 1, 5), title="partial_fit")
right.barh(list(peaks), list(peaks.values()), color=["C0"] * 3 + ["C1"] * 2)
right.invert_yaxis()
right.set(xlabel="peak memory (MB)", title=f"{4 * N_SEQUENCES * N_STEPS / 1e6:.0f} MB of sequences")
plt.show()

# %%
# Every chunk is new to the network: its loss, taken while it is trained on, is that on sequences not seen before.
#
# Which to choose? ``partial_fit`` reads a file from its beginning to its end, which every disk does best, but shuffles
# within a chunk only: the sequences should stand in the file in random order. ``fit`` picks every batch from the whole
# file, which a solid-state disk can do, or a file that the system mostly keeps in its cache. It reads best where
# the values of a sequence stand side by side. Any view of a map will do: slices, or ``X.swapaxes(1, 2)`` of a file with
# the axes case, channel, time. Other dtypes than float32 and float64 are converted by the batch, too.
#
# A scaler goes the same way: :class:`~sklearn_rnn.preprocessing.TimeDistributed` has ``partial_fit`` where its
# transformer does, and ``transform`` takes a chunk at a time.

temporary.cleanup()
