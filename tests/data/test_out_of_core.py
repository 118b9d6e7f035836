"""Memory-mapped data: the same bits and errors as for the same data in memory, without filling the memory."""

import pickle
import sys
from mmap import ACCESS_READ, mmap
from unittest.mock import patch

import numpy as np
import pytest
from helpers import make_sequences, plain_classifier, plain_regressor, run_python
from numpy.testing import assert_array_equal
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV

from sklearn_rnn import RNNClassifier, RNNRegressor
from sklearn_rnn._data.batches import Dataset
from sklearn_rnn._data.patches import Patches
from sklearn_rnn._data.reading import as_dtype, check_sequences
from sklearn_rnn._data.sequences import MappedSequences
from sklearn_rnn.utils._sequence_checks.comparisons import assert_same_bits, assert_same_weights, outputs
from sklearn_rnn.utils._sequence_checks.data import object_array

N_SEQUENCES, N_STEPS, N_FEATURES = 40, 10, 3
SMALL = {
    "hidden_layer_sizes": (4,),
    "batch_size": 16,
    "max_iter": 3,
    "n_iter_no_change": np.inf,
    "random_state": 0,
}


# ---- Files -------------------------------------------------------------------------------------------


def saved(array, folder):
    """The array in a new file of NumPy's, mapped read-only."""
    path = folder / f"{len(list(folder.iterdir()))}.npy"
    np.save(path, array)
    return np.load(path, mmap_mode="r")


def raw_file(array, folder):
    array.tofile(folder / "raw")
    return np.memmap(folder / "raw", array.dtype, mode="r", shape=array.shape)


def writable(array, folder):
    saved(array, folder)
    return np.load(folder / "0.npy", mmap_mode="r+")


def column_major(array, folder):
    return saved(np.asfortranarray(array), folder)


def other_axes_in_the_file(array, folder):
    return saved(array.swapaxes(-1, -2), folder).swapaxes(-1, -2)


def part_of_a_larger_one(array, folder):
    larger = np.full(tuple(2 * n for n in array.shape), 77, array.dtype)
    larger[tuple(slice(None, None, 2) for _ in array.shape)] = array
    return saved(larger, folder)[tuple(slice(None, None, 2) for _ in array.shape)]


def backwards(array, folder):
    return saved(array[::-1], folder)[::-1]


def plain_view(array, folder):
    return np.asarray(saved(array, folder))[:]


def buffer_of_a_map(array, folder):
    array.tofile(folder / "raw")
    with open(folder / "raw", "rb") as file:
        return np.frombuffer(mmap(file.fileno(), 0, access=ACCESS_READ), array.dtype).reshape(array.shape)


LAYOUTS = [
    saved,
    raw_file,
    writable,
    column_major,
    other_axes_in_the_file,
    part_of_a_larger_one,
    backwards,
    plain_view,
    buffer_of_a_map,
]
DTYPES = ["f4", "f8", "f2", "g", ">f4", ">f8", "i2", ">i2", "u1", "i8", "u8", "?"]


def make_X(dtype=np.float64):
    X = np.stack(make_sequences((N_STEPS,) * N_SEQUENCES, N_FEATURES))
    return np.abs(np.rint(3 * X)).astype(dtype) if np.dtype(dtype).kind in "biu" else X.astype(dtype)


def make_y(estimator, lengths=(N_STEPS,) * N_SEQUENCES):
    generator = np.random.default_rng(1)
    if estimator.readout == "each":
        return [generator.integers(0, 2, length) for length in lengths]
    return generator.integers(0, 2, len(lengths))


def assert_stays_mapped(X):
    sequences = check_sequences(RNNClassifier(), X, reset=True, may_stay_mapped=True)
    assert isinstance(sequences, MappedSequences)


def assert_trained_alike(actual, expected):
    assert vars(actual).keys() == vars(expected).keys()
    assert_same_weights(actual, expected)
    for name in ("loss_curve_", "gradient_norms_", "validation_loss_curve_", "validation_scores_", "n_features_in_"):
        assert getattr(actual, name) == getattr(expected, name), name


def assert_same_as_in_memory(estimator, X, X_in_memory, y, **fit_params):
    """Training, predicting and scoring give the same bits."""
    assert_stays_mapped(X)
    expected = clone(estimator).fit(X_in_memory, y, **fit_params)
    actual = clone(estimator).fit(X, y, **fit_params)
    assert_trained_alike(actual, expected)
    assert_same_bits(outputs(actual, X), outputs(expected, X_in_memory))
    assert actual.score(X, y) == expected.score(X_in_memory, y)


# ---- Same bits ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
def test_numbers_of_any_kind_are_read_as_in_memory(dtype, tmp_path):
    X = make_X(dtype)
    estimator = plain_classifier(**SMALL)
    assert_same_as_in_memory(estimator, saved(X, tmp_path), X, make_y(estimator))


@pytest.mark.parametrize("dtype", ["f4", "i2"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_files_may_be_laid_out_in_any_way(layout, dtype, tmp_path):
    X = make_X(dtype)
    mapped = layout(X, tmp_path)
    assert_array_equal(mapped, X)
    estimator = plain_classifier(**SMALL)
    assert_same_as_in_memory(estimator, mapped, X, make_y(estimator))


SETTINGS = {
    "early stopping": {"early_stopping": True, "n_iter_no_change": 2},
    "patches, the first of them short": {"patch_size": 4},
    "patches that overlap": {"patch_size": 4, "patch_stride": 3, "early_stopping": True},
    "patches and early stopping": {"patch_size": 3, "early_stopping": True},
    "mean": {"readout": "mean"},
    "max": {"readout": "max"},
    "each": {"readout": "each"},
    "each, truncated, with early stopping": {"readout": "each", "truncation": 4, "early_stopping": True},
    "bidirectional": {"bidirectional": True, "hidden_layer_sizes": (4, 3), "dropout": 0.2},
    "truncated": {"truncation": 3},
    "not shuffled": {"shuffle": False},
    "L-BFGS": {"solver": "lbfgs"},
}


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("make_estimator", [RNNClassifier, RNNRegressor])
@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
def test_no_setting_makes_a_difference(settings, make_estimator, tmp_path):
    X = make_X("f4")
    estimator = make_estimator(**SMALL | settings)
    assert_same_as_in_memory(estimator, other_axes_in_the_file(X, tmp_path), X, make_y(estimator))


@pytest.mark.parametrize("settings", [{}, {"readout": "each"}, {"patch_size": 4}])
def test_threads_read_their_own_blocks(settings, tmp_path):
    X = make_X("i2")
    estimator = plain_classifier(**SMALL | settings, n_jobs=2)
    with patch.multiple(
        "sklearn_rnn._network.blocks",
        SMALLEST_BLOCK=2,
        USUAL_BLOCK=2,
        LARGEST_BLOCK=4,
        SMALLEST_WORK=1,
        SMALLEST_TRAINING=1,
        SMALLEST_SHARED_TRAINING=1,
    ):
        assert_same_as_in_memory(estimator, saved(X, tmp_path), X, make_y(estimator))


def test_validation_data_may_be_mapped_and_all_else_not(tmp_path):
    X = make_X("f4")
    estimator = plain_classifier(**SMALL)
    y = make_y(estimator)
    validation = {"X_val": X[:9], "y_val": y[:9], "sample_weight_val": np.arange(9)}
    expected = clone(estimator).fit(X, y, **validation)
    actual = clone(estimator).fit(X, y, **validation | {"X_val": column_major(X[:9].astype("f8"), tmp_path)})
    assert_trained_alike(actual, expected)


def test_sample_weights_go_with_their_sequences(tmp_path):
    X = make_X("i2")
    estimator = plain_regressor(**SMALL | {"early_stopping": True})
    weights = np.random.default_rng(2).integers(0, 3, N_SEQUENCES)
    assert_same_as_in_memory(estimator, saved(X, tmp_path), X, make_y(estimator), sample_weight=weights)


def test_partial_fit_reads_slices_of_a_file(tmp_path):
    X = make_X("i2")
    mapped = saved(X, tmp_path)
    y = make_y(RNNClassifier())
    actual, expected = (plain_classifier(**SMALL, patch_size=2) for _ in range(2))
    for start in range(0, N_SEQUENCES, 15):
        part = slice(start, start + 15)
        assert_stays_mapped(mapped[part])
        actual.partial_fit(mapped[part], y[part], classes=[0, 1])
        expected.partial_fit(X[part], y[part], classes=[0, 1])
    assert_trained_alike(actual, expected)


@pytest.mark.parametrize("dtype", ["f8", "i8", "f2", ">f4"])
def test_a_network_in_float32_reads_other_numbers_as_float32(dtype, tmp_path):
    X, other = make_X("f4"), make_X(dtype)
    y = make_y(RNNClassifier())
    actual, expected = (plain_classifier(**SMALL).fit(X, y) for _ in range(2))
    mapped = saved(other, tmp_path)
    assert_same_bits(outputs(actual, mapped), outputs(expected, other))
    actual.partial_fit(mapped, y)
    expected.partial_fit(other, y)
    assert_same_weights(actual, expected)
    assert actual.weights_["readout.weight"].dtype == np.float32


def test_one_dimension_in_a_file_is_refused_as_in_memory(tmp_path):
    X = np.ones(5)
    estimator = plain_regressor(**SMALL)
    for x in (X, saved(X, tmp_path)):
        with pytest.raises(ValueError, match=r"^Expected 2D array, got 1D array instead"):
            estimator.fit(x, np.ones(5))


def test_integers_are_rounded_as_in_memory(tmp_path):
    # Rounded to float64 first, it is midway between two float32 numbers. It is then rounded to the even one, below.
    value = (2**24 + 1) * 2**30 + 1
    assert np.int64(value).astype("f4") != np.int64(value).astype("f8").astype("f4")
    X = np.full((2, 1, 1), value)
    mapped, in_memory = (
        as_dtype(check_sequences(RNNRegressor(), x, reset=True, may_stay_mapped=True), "RNNRegressor", np.float32)
        for x in (saved(X, tmp_path), X)
    )
    assert_array_equal(mapped.load([1, 0]).rows, in_memory.rows)


@pytest.mark.parametrize("dtype", ["f4", "i2"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_rows_of_a_mapped_table_are_sequences(layout, dtype, tmp_path):
    X = make_X(dtype).reshape(N_SEQUENCES, -1)
    estimator = plain_classifier(**SMALL, step_features=3, patch_size=4, early_stopping=True)
    assert_same_as_in_memory(estimator, layout(X, tmp_path), X, make_y(estimator))


RAGGED = tuple(range(1, 13)) * 2


@pytest.mark.parametrize("make_form", [list, tuple, object_array])
@pytest.mark.parametrize("dtypes", [("f4",), ("f8",), (">f4",), ("i2",), ("f4", "i2"), ("f4", "f8")])
def test_ragged_sequences_may_each_have_their_file(dtypes, make_form, tmp_path):
    X = [(4 * x).astype(dtypes[i % len(dtypes)]) for i, x in enumerate(make_sequences(RAGGED))]
    mapped = make_form([saved(x, tmp_path) for x in X])
    for settings in ({"early_stopping": True}, {"readout": "each"}, {"patch_size": 5}):
        estimator = plain_classifier(**SMALL | settings)
        assert_same_as_in_memory(estimator, mapped, make_form(X), make_y(estimator, RAGGED))


def test_univariate_ragged_sequences_may_be_parts_of_one_file(tmp_path):
    X = np.split(make_X("f4").ravel()[: sum(RAGGED)], np.cumsum(RAGGED)[:-1])
    mapped = np.split(saved(np.concatenate(X), tmp_path), np.cumsum(RAGGED)[:-1])
    estimator = plain_regressor(**SMALL)
    assert_same_as_in_memory(estimator, mapped, X, make_y(estimator, RAGGED))


def test_grid_search_splits_a_mapped_array(tmp_path):
    X = make_X("f4")
    y = make_y(RNNClassifier())
    grid = {"cell": ["rnn", "gru"]}
    actual, expected = (
        GridSearchCV(plain_classifier(**SMALL), grid, cv=3, error_score="raise").fit(data, y)
        for data in (other_axes_in_the_file(X, tmp_path), X)
    )
    assert_array_equal(actual.cv_results_["mean_test_score"], expected.cv_results_["mean_test_score"])
    assert_same_weights(actual.best_estimator_, expected.best_estimator_)


# ---- Reading -----------------------------------------------------------------------------------------


def test_only_the_sequences_of_a_batch_are_read(tmp_path):
    X = make_X("i2")
    sequences = check_sequences(RNNClassifier(), saved(X, tmp_path), reset=True, may_stay_mapped=True)
    dataset = Dataset(Patches(2, 2).of(sequences), np.arange(N_SEQUENCES)).subset(np.arange(30, 10, -1))
    with patch.object(MappedSequences, "load", autospec=True, side_effect=MappedSequences.load) as load:
        batch = dataset.pack(np.array([3, 0]))
    assert [call.args[1].tolist() for call in load.call_args_list] == [[3, 0]]
    assert batch.targets.tolist() == [27, 30]
    expected = X[[27, 30]].reshape(2, N_STEPS // 2, 2 * N_FEATURES).swapaxes(0, 1)
    assert_array_equal(batch.rows.reshape(expected.shape), expected)
    assert type(batch.rows) is np.ndarray
    assert batch.rows.flags.c_contiguous


def test_a_pickled_estimator_does_not_hold_the_data(tmp_path):
    X = make_X("f4")
    mapped = saved(X, tmp_path)
    estimator = plain_classifier(**SMALL | {"early_stopping": True}).fit(mapped, make_y(RNNClassifier()))
    pickled = pickle.dumps(estimator)
    assert X[0].tobytes() not in pickled
    assert str(tmp_path).encode() not in pickled
    assert_array_equal(pickle.loads(pickled).predict_proba(mapped), estimator.predict_proba(X))


PROGRAM = """
    import resource
    import sys
    import warnings
    from pathlib import Path

    import numpy as np

    from sklearn_rnn import RNNClassifier

    N_SEQUENCES, N_STEPS, N_FEATURES = 1500, 50, 500
    settings = dict(hidden_layer_sizes=(8,), cell="rnn", max_iter=1, n_iter_no_change=np.inf, random_state=0)
    estimators = [RNNClassifier(**settings), RNNClassifier(**settings, early_stopping=True)]
    y = np.arange(N_SEQUENCES) % 20 // 10
    warnings.simplefilter("ignore")

    mapped = []
    for dtype, axes in (("f4", "sequence, time, feature"), ("i2", "case, channel, time")):
        with_axes = (lambda X: X.swapaxes(1, 2)) if axes == "case, channel, time" else (lambda X: X)
        # Nearly all values are zeros, which the file system does not store.
        shape = with_axes(np.broadcast_to(0, (N_SEQUENCES, N_STEPS, N_FEATURES))).shape
        path = Path(sys.argv[1], dtype)
        X = np.lib.format.open_memmap(path, "w+", dtype, shape)
        with_axes(X)[::10, -1] = np.random.default_rng(0).integers(-3, 4, (N_SEQUENCES // 10, N_FEATURES))
        del X
        X = with_axes(np.load(path, mmap_mode="r"))
        mapped.append(X)
        for estimator in estimators:  # before the measurement: imports, and the memory that BLAS reserves
            estimator.fit(np.array(X[:20]), y[:20]).predict(np.array(X[:20]))

    # The limit is on the process's own memory. RLIMIT_AS would count the whole mapped file, and RSS the
    # part of it that the system keeps in memory while there is room.
    with open("/proc/self/status") as status:
        in_use = next(1024 * int(line.split()[1]) for line in status if line.startswith("VmData"))
    resource.setrlimit(resource.RLIMIT_DATA, (in_use + 40 * 2**20,) * 2)

    for X in mapped:
        print(X.dtype, X.nbytes)
        for copy in (np.array, lambda X: X.astype(np.float64), lambda X: X[np.arange(1, N_SEQUENCES)]):
            try:
                copy(X)
            except MemoryError:
                print("does not fit into memory")
        for estimator in estimators:
            estimator.fit(X, y)
            assert estimator.predict_proba(X).shape == (N_SEQUENCES, 2)
            print("fitted")
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the limit, and where memory in use is read, are Linux's")
def test_data_larger_than_memory_are_trained_on_and_predicted(tmp_path):
    printed = run_python(PROGRAM, tmp_path)
    for file in tmp_path.iterdir():
        file.unlink()
    expected = ["does not fit into memory"] * 3 + ["fitted"] * 2
    assert printed.splitlines() == ["float32 150000000", *expected, "int16 75000000", *expected]


# ---- Errors ------------------------------------------------------------------------------------------


def assert_refused_alike(estimator, mapped, X, y, error=ValueError):
    """All methods raise the same errors as for the same data in memory, and do not change the estimator."""
    before = pickle.dumps(estimator)
    calls = [("fit", y), ("partial_fit", y)]
    if hasattr(estimator, "n_iter_"):
        calls += [("predict",), ("hidden_states",), ("score", y)]
    for method, *args in calls:
        with pytest.raises(error) as expected:
            getattr(estimator, method)(X, *args)
        with pytest.raises(error) as actual:
            getattr(estimator, method)(mapped, *args)
        assert str(actual.value) == str(expected.value)
        assert pickle.dumps(estimator) == before
    return str(actual.value)


@pytest.mark.parametrize("checked_at_once", [1, 70, 300, 2**20])
@pytest.mark.parametrize(("value", "name"), [(np.nan, "NaN"), (np.inf, "infinity"), (-np.inf, "infinity")])
@pytest.mark.parametrize("dtype", ["f2", "f4", ">f8"])
def test_a_value_that_is_not_finite_is_named_with_its_place(dtype, value, name, checked_at_once, tmp_path):
    X = make_X(dtype)
    y = make_y(RNNClassifier())
    fitted = plain_regressor(**SMALL, patch_size=3).fit(X, y)
    X[17, 4, 2] = X[17, 5, 0] = X[30, 0, 0] = value
    mapped = other_axes_in_the_file(X, tmp_path)
    with patch("sklearn_rnn._data.sequences.VALUES_PER_CHECK", checked_at_once):
        for estimator in (fitted, plain_regressor(**SMALL)):
            message = assert_refused_alike(estimator, mapped, X, y)
            assert message.startswith(f"X contains {name} in sequence 17, step 4, feature 2: RNNRegressor does not")


def test_a_value_that_is_not_finite_is_found_in_lists_and_tables(tmp_path):
    X = make_X("f4")
    y = make_y(RNNClassifier())
    X[-1, -1, -1] = np.nan
    mapped = saved(X, tmp_path)
    fitted = plain_regressor(**SMALL).fit(make_X("f4"), y)
    message = assert_refused_alike(fitted, list(mapped), list(X), y)
    assert message.startswith("X contains NaN in sequence 39, step 9, feature 2: ")
    rows = X.reshape(N_SEQUENCES, -1)
    message = assert_refused_alike(plain_regressor(**SMALL), mapped.reshape(rows.shape), rows, y)
    assert message.startswith("X contains NaN in sequence 39, step 29, feature 0: ")


def test_finite_values_whose_sum_overflows_are_accepted(tmp_path):
    X = np.full((N_SEQUENCES, N_STEPS, N_FEATURES), np.finfo("f4").max, "f4")
    estimator = plain_regressor(**SMALL, cell="rnn")
    estimator.fit(np.zeros_like(X), make_y(estimator))
    assert_array_equal(estimator.predict(saved(X, tmp_path)), estimator.predict(X))


def test_values_beyond_float32_are_refused_by_a_float32_network(tmp_path):
    y = make_y(RNNRegressor())
    fitted = plain_regressor(**SMALL).fit(make_X("f4"), y)
    X = make_X()
    X[2, 1, 0] = 1e300
    before = pickle.dumps(fitted)
    for method, *args in (("predict",), ("partial_fit", y)):
        with pytest.raises(ValueError, match=r"^X contains infinity in sequence 2, step 1, feature 0"):
            getattr(fitted, method)(saved(X, tmp_path), *args)
    assert pickle.dumps(fitted) == before


OTHER_SHAPES = {
    "other features": lambda X: X[:, :, 1:],
    "no sequences": lambda X: X[:0],
    "no steps": lambda X: X[:, :0],
    "no features": lambda X: X[:, :, :0],
    "a table": lambda X: X[:, :, 0],
    "an empty table": lambda X: X[:0, :, 0],
    "4-D": lambda X: X[..., None],
    "a list with an empty sequence": lambda X: [X[0], X[1, :0]],
    "a list with other features": lambda X: [X[0], X[1, :, 1:]],
}


@pytest.mark.parametrize("change", OTHER_SHAPES.values(), ids=OTHER_SHAPES)
def test_other_shapes_are_refused_as_in_memory(change, tmp_path):
    X = make_X("f4")
    y = make_y(RNNClassifier())
    fitted = plain_regressor(**SMALL, warm_start=True).fit(X, y)
    assert_refused_alike(fitted, change(saved(X, tmp_path)), change(X), y)


def test_a_table_with_other_columns_is_refused_as_in_memory(tmp_path):
    X = make_X("f4").reshape(N_SEQUENCES, -1)
    y = make_y(RNNClassifier())
    mapped = saved(X, tmp_path)
    fitted = plain_regressor(**SMALL, step_features=3, warm_start=True).fit(mapped, y)
    assert fitted.n_features_in_ == N_STEPS * N_FEATURES
    assert_refused_alike(fitted, mapped[:, 3:], X[:, 3:], y)
    assert_refused_alike(plain_regressor(**SMALL, step_features=7), mapped, X, y)


@pytest.mark.parametrize("dtype", ["c8", "S3"])
def test_what_are_no_real_numbers_is_refused_as_in_memory(dtype, tmp_path):
    X = np.zeros((N_SEQUENCES, N_STEPS, N_FEATURES), dtype)
    if dtype == "S3":
        X[...] = b"abc"
    y = make_y(RNNClassifier())
    assert_refused_alike(plain_regressor(**SMALL), saved(X, tmp_path), X, y, error=(ValueError, TypeError))


def test_targets_of_another_number_are_refused_as_in_memory(tmp_path):
    X = make_X("f4")
    assert_refused_alike(plain_regressor(**SMALL), saved(X, tmp_path), X, make_y(RNNRegressor())[1:])
