"""The memory of what a process has read of a file."""

import pickle
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from sklearn_rnn import RNNClassifier
from sklearn_rnn._data.reading import check_sequences

SHAPE = (2000, 50, 10)  # 8 MB


def bytes_in_memory(path):
    """Bytes of a file that are part of this process's memory, by /proc/self/smaps."""
    total, is_of_file = 0, False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        if "-" in line.split()[0]:
            is_of_file = line.endswith(str(path))
        elif is_of_file and line.startswith("Rss:"):
            total += 1024 * int(line.split()[1])
    return total


def mapped_sequences(X):
    return check_sequences(RNNClassifier(), X, reset=True, may_stay_mapped=True)


def make_file(folder):
    values = np.random.default_rng(0).normal(size=SHAPE)
    np.save(folder / "X.npy", values)
    return folder / "X.npy", values


@pytest.mark.skipif(sys.platform != "linux", reason="smaps is of Linux")
@pytest.mark.parametrize("form", ["array", "list"])
@pytest.mark.parametrize("mode", ["r", "r+"])
def test_what_has_been_read_of_a_file_is_given_back(form, mode, tmp_path):
    path, values = make_file(tmp_path)
    X = np.load(path, mmap_mode=mode)
    sequences = mapped_sequences(X if form == "array" else list(X))
    assert_array_equal(sequences.load(np.arange(len(X))).rows, values.reshape(-1, SHAPE[2]))
    assert bytes_in_memory(path) >= values.nbytes
    sequences.give_back_memory()
    assert bytes_in_memory(path) == 0
    assert_array_equal(sequences.load(np.arange(3)).rows, values[:3].reshape(-1, SHAPE[2]))


@pytest.mark.parametrize("mode", ["r+", "c"])
def test_changes_that_are_not_written_yet_stay(mode, tmp_path):
    path, values = make_file(tmp_path)
    X = np.load(path, mmap_mode=mode)
    X[1] = 7.0
    sequences = mapped_sequences(X)
    sequences.give_back_memory()
    assert_array_equal(sequences.load(np.arange(2)).rows, np.concatenate([values[0], np.full(SHAPE[1:], 7.0)]))


@pytest.mark.parametrize(
    "view", [lambda X: X, lambda X: X[3:, ::2], lambda X: list(X[:5])], ids=["all", "some", "list"]
)
def test_pickles_refer_to_files_that_are_only_read(view, tmp_path):
    path, values = make_file(tmp_path)
    sequences = mapped_sequences(view(np.load(path, mmap_mode="r")))
    pickled = pickle.dumps(sequences)
    assert len(pickled) < 200 * len(sequences) + 5000
    loaded = pickle.loads(pickled)
    assert_array_equal(loaded.load(np.arange(len(loaded))).rows, np.concatenate(list(view(values))))


@pytest.mark.parametrize("mode", ["r+", "c"])
def test_pickles_of_other_files_have_the_values(mode, tmp_path):
    path, values = make_file(tmp_path)
    pickled = pickle.dumps(mapped_sequences(np.load(path, mmap_mode=mode)))
    path.unlink()
    loaded = pickle.loads(pickled)
    assert_array_equal(loaded.load(np.arange(2)).rows, np.concatenate(values[:2]))


def test_a_file_that_has_changed_is_refused(tmp_path):
    path, values = make_file(tmp_path)
    sequences = mapped_sequences(np.load(path, mmap_mode="r"))
    sequences.remember_files()
    path.unlink()
    np.save(path, values[:-1])
    with pytest.raises(ValueError, match=r"X\.npy has changed since it was read: leave files of X as they are"):
        pickle.loads(pickle.dumps(sequences))


def test_steps_in_memory_stay():
    values = np.random.default_rng(0).normal(size=(3, 5, 2))
    sequences = mapped_sequences(values)
    sequences.give_back_memory()
    assert_array_equal(sequences.rows, values.reshape(-1, 2))
