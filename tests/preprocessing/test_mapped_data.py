"""Memory-mapped X through transformers: the same results as in memory, in files, without filling the memory."""

import pickle
import sys
from tempfile import TemporaryFile
from unittest.mock import patch

import numpy as np
import pytest
from helpers import make_sequences, plain_classifier, run_python
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.decomposition import PCA, IncrementalPCA
from sklearn.feature_selection import SelectKBest
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    MaxAbsScaler,
    MinMaxScaler,
    Normalizer,
    PolynomialFeatures,
    QuantileTransformer,
    StandardScaler,
)

from sklearn_rnn import RNNClassifier
from sklearn_rnn._data.reading import check_sequences
from sklearn_rnn._data.sequences import MappedSequences
from sklearn_rnn.preprocessing import ForwardFill, TimeDistributed, ToSequences
from sklearn_rnn.utils._sequence_checks.data import object_array

N_SEQUENCES, N_STEPS, N_FEATURES = 30, 10, 3
RAGGED = tuple(range(1, 13)) * 2
WITH_FOLDER = [TimeDistributed(StandardScaler()), ForwardFill(), ToSequences("case_time_channel")]
SCALERS = [StandardScaler(), MinMaxScaler(), MaxAbsScaler()]


@pytest.fixture(autouse=True)
def small_parts():
    """Parts of a few sequences, so that the small files here have many."""
    with patch("sklearn_rnn._data.sequences.VALUES_PER_CHECK", 4 * N_STEPS * N_FEATURES):
        yield


@pytest.fixture
def in_file(tmp_path):
    """A function that puts an array into a file, and maps it."""

    def saved(array):
        path = tmp_path / f"{len(list(tmp_path.iterdir()))}.npy"
        np.save(path, array)
        return np.load(path, mmap_mode="r")

    return saved


def make_X(dtype=np.float64):
    X = 3 * np.stack(make_sequences((N_STEPS,) * N_SEQUENCES, N_FEATURES)) + np.array([0, 50, -7])
    return np.rint(X).astype(dtype)


def with_gaps(X):
    """Gaps here and there, and in whole parts of the file: at its start, in the middle, at its end."""
    X = X.copy()
    X[np.random.default_rng(0).random(X.shape) < 0.2] = np.nan
    X[:9, :, 0] = X[12:20, :, 1] = X[25:, :, 2] = np.nan
    return X


def assert_stays_in_file(X):
    sequences = check_sequences(RNNClassifier(), X, reset=True, ensure_all_finite=False, may_stay_mapped=True)
    assert isinstance(sequences, MappedSequences)


def assert_same(actual, expected):
    assert actual.dtype == expected.dtype
    assert_array_equal(actual, expected)


def learned(transformer):
    """The numbers that a scaler has learned, each with its name."""
    return {name: np.asarray(value) for name, value in vars(transformer).items() if name.endswith("_")}


def assert_learned_alike(actual, expected):
    actual, expected = learned(actual), learned(expected)
    assert actual.keys() == expected.keys()
    for name, value in expected.items():
        assert_allclose(actual[name], value, rtol=1e-12, atol=1e-12, err_msg=name)


# ---- transform ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["f4", "f8", ">f4", "i2", "f2"])
@pytest.mark.parametrize(
    "transformer",
    [*SCALERS, PolynomialFeatures(2), Normalizer(), QuantileTransformer(n_quantiles=20), FunctionTransformer(np.abs)],
    ids=lambda transformer: type(transformer).__name__,
)
def test_transform_of_a_file_has_the_bits_of_transform_in_memory(transformer, dtype, in_file):
    X = make_X(dtype)
    by_step = TimeDistributed(transformer).fit(X)
    actual = by_step.transform(in_file(X))
    assert_stays_in_file(actual)
    assert_same(actual, by_step.transform(X))


def make_forms():
    X, ragged = make_X("f4"), [x.astype(np.float32) for x in make_sequences(RAGGED, N_FEATURES)]
    yield "other axes in the file", 1, X, lambda saved: saved(X.swapaxes(1, 2)).swapaxes(1, 2)
    yield "every second sequence", 1, X[::2], lambda saved: saved(X)[::2]
    yield "table", N_FEATURES, X.reshape(len(X), -1), lambda saved: saved(X.reshape(len(X), -1))
    yield "list", 1, ragged, lambda saved: [saved(x) for x in ragged]
    yield "object array", 1, object_array(ragged), lambda saved: object_array([saved(x) for x in ragged])


@pytest.mark.parametrize(("step_features", "X", "map_"), [pytest.param(*f[1:], id=f[0]) for f in make_forms()])
def test_every_form_of_x_keeps_its_form(step_features, X, map_, in_file):
    mapped = map_(in_file)
    by_step = TimeDistributed(MinMaxScaler(), step_features=step_features).fit(X)
    for transformer in (by_step, ForwardFill(add_elapsed=True, step_features=step_features).fit(X)):
        actual, expected = transformer.transform(mapped), transformer.transform(X)
        assert_stays_in_file(actual)
        assert type(actual) is type(expected)
        for x, x_expected in zip(actual, expected, strict=True):
            assert_same(x, x_expected)


def test_a_result_can_be_written_pickled_and_transformed_back(in_file):
    X = make_X()
    scaler = TimeDistributed(StandardScaler()).fit(X)
    result = scaler.transform(in_file(X))
    assert_array_equal(pickle.loads(pickle.dumps(result)), result)
    assert_allclose(scaler.inverse_transform(result), X, rtol=1e-12, atol=1e-12)
    result[0] = 0
    assert (result[0] == 0).all()


def test_only_a_part_of_the_file_is_transformed_at_a_time(in_file):
    lengths = []
    by_step = TimeDistributed(FunctionTransformer(lambda rows: lengths.append(len(rows)) or rows))
    by_step.fit_transform(in_file(make_X()))
    assert lengths == [4 * N_STEPS] * 7 + [2 * N_STEPS]


# ---- fit ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["fit", "partial_fit", "fit_transform"])
@pytest.mark.parametrize("dtype", ["f4", "f8", "i2"])
@pytest.mark.parametrize("scaler", SCALERS, ids=lambda scaler: type(scaler).__name__)
def test_scalers_learn_the_same_from_a_file(scaler, dtype, method, in_file):
    X = make_X(dtype)
    scaler = TimeDistributed(scaler)
    expected = clone(scaler).fit(X)
    with patch.object(MappedSequences, "load", autospec=True, side_effect=MappedSequences.load) as load:
        getattr(scaler, method)(in_file(X))
    assert max(np.arange(N_SEQUENCES)[call.args[1]].size for call in load.call_args_list) == 4
    assert_learned_alike(scaler.transformer_, expected.transformer_)


@pytest.mark.parametrize("scaler", SCALERS, ids=lambda scaler: type(scaler).__name__)
def test_gaps_over_whole_parts_of_a_file_change_nothing(scaler, in_file):
    X = with_gaps(make_X())
    actual, expected = (TimeDistributed(clone(scaler)).fit(data) for data in (in_file(X), X))
    assert not np.isnan(expected.transformer_.scale_).any()
    assert_learned_alike(actual.transformer_, expected.transformer_)


@pytest.mark.filterwarnings("ignore:(All-NaN|invalid value):RuntimeWarning")
@pytest.mark.parametrize("scaler", SCALERS, ids=lambda scaler: type(scaler).__name__)
def test_a_feature_without_any_value_does_not_harm_the_others(scaler, in_file):
    X = with_gaps(make_X())
    X[:, :, 1] = np.nan
    actual, expected = (TimeDistributed(clone(scaler)).fit(data) for data in (in_file(X), X))
    assert np.isnan(expected.transformer_.scale_).tolist() == [False, True, False]
    assert_learned_alike(actual.transformer_, expected.transformer_)


@pytest.mark.parametrize("per_step", [False, True])
def test_weights_reach_the_parts_of_a_file(per_step, in_file):
    X = with_gaps(make_X("f4"))
    weights = np.random.default_rng(1).random((N_SEQUENCES, N_STEPS) if per_step else N_SEQUENCES)
    weights[10:21] = 0  # no weight in a whole part
    actual, expected = (TimeDistributed(StandardScaler()).fit(data, sample_weight=weights) for data in (in_file(X), X))
    assert_learned_alike(actual.transformer_, expected.transformer_)


def test_sequences_of_one_step_keep_their_weights(in_file):
    X, weights = make_X()[:, :1], np.arange(1.0, N_SEQUENCES + 1)
    with patch("sklearn_rnn._data.sequences.VALUES_PER_CHECK", 4 * N_FEATURES):
        actual = TimeDistributed(StandardScaler()).fit(in_file(X), sample_weight=weights)
    expected = TimeDistributed(StandardScaler()).fit(X, sample_weight=weights)
    assert_learned_alike(actual.transformer_, expected.transformer_)


@pytest.mark.parametrize(
    "transformer",
    [PCA(2), IncrementalPCA(2), SimpleImputer(), make_pipeline(StandardScaler(), PCA(2))],
    ids=lambda transformer: type(transformer).__name__,
)
def test_transformers_that_need_all_steps_get_them_at_once(transformer, in_file):
    X = make_X()
    for method in ("fit_transform", "fit"):
        actual, expected = TimeDistributed(clone(transformer)), TimeDistributed(clone(transformer))
        results = getattr(actual, method)(in_file(X)), getattr(expected, method)(X)
        if method == "fit_transform":
            assert_same(*results)
        assert_same(actual.transform(X), expected.transform(X))


@pytest.mark.parametrize("per_step", [False, True])
def test_targets_reach_a_transformer_of_a_file(per_step, in_file):
    X = make_X()
    y = (X[:, :, 1] > 50) if per_step else (X[:, :, 1].mean(axis=1) > 50)
    actual, expected = (TimeDistributed(SelectKBest(k=1)).fit(data, y) for data in (in_file(X), X))
    assert_array_equal(actual.transformer_.scores_, expected.transformer_.scores_)
    assert_same(actual.transform(in_file(X)), X[:, :, 1:2])


# ---- ForwardFill -------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["f4", "f8", ">f4"])
@pytest.mark.parametrize("time", [None, 1])
def test_gaps_in_a_file_are_filled_to_the_same_bits(time, dtype, in_file):
    X = with_gaps(make_X()).astype(dtype)
    X[:, :, 1] = np.arange(N_STEPS) ** 2
    fill = ForwardFill(add_indicator=True, add_elapsed=True, time=time)
    actual, expected = clone(fill).fit(in_file(X)), clone(fill).fit(X)
    assert actual.missing_features_.tolist() == expected.missing_features_.tolist() == [0, 2]
    assert_same(actual.transform(in_file(X)), expected.transform(X))
    assert_stays_in_file(actual.transform(in_file(X)))


@pytest.mark.parametrize(("value", "message"), [(np.nan, "is missing"), (-1.0, "decreases")])
def test_a_time_in_a_file_is_refused_with_its_place(value, message, in_file):
    X = make_X()
    X[:, :, 0] = np.arange(N_STEPS)
    X[17, 4, 0] = value
    fill = ForwardFill(time=0)
    with pytest.raises(ValueError, match=rf"time=0 {message} in sequence 17, step 4"):
        fill.fit(in_file(X))
    assert vars(fill) == vars(ForwardFill(time=0))


# ---- ToSequences -------------------------------------------------------------------------------------


def padded(dtype, padding):
    X = make_X(dtype)
    for i, x in enumerate(X):
        x[1 + i % N_STEPS :] = padding
    return X


@pytest.mark.parametrize("newest_first", [False, True])
@pytest.mark.parametrize(("dtype", "padding"), [("f4", np.nan), ("f8", -99), ("i2", -99)])
@pytest.mark.parametrize("layout", ["case_time_channel", "case_channel_time"])
def test_padding_in_a_file_is_removed(layout, dtype, padding, newest_first, in_file):
    X = padded(dtype, padding)
    X = X.swapaxes(1, 2) if layout == "case_channel_time" else X
    to_sequences = ToSequences(layout, padding=padding, newest_first=newest_first)
    actual, expected = (to_sequences.fit_transform(data) for data in (in_file(X), X))
    assert_stays_in_file(actual)
    assert [len(x) for x in actual] == [1 + i % N_STEPS for i in range(N_SEQUENCES)]
    for x, x_expected in zip(actual, expected, strict=True):
        assert_same(x, x_expected)


def test_lengths_cut_the_sequences_of_a_file(in_file):
    X, lengths = make_X("f4"), 1 + np.arange(N_SEQUENCES) % 7
    to_sequences = ToSequences("case_time_channel").fit(X)
    actual = to_sequences.transform(in_file(X), lengths=lengths)
    assert_stays_in_file(actual)
    for x, x_expected in zip(actual, to_sequences.transform(X, lengths=lengths), strict=True):
        assert_same(x, x_expected)
    array = to_sequences.transform(in_file(X))
    assert_stays_in_file(array)
    assert_same(array, X)


def test_a_list_of_files_with_the_channels_first_stays_in_files(in_file):
    X = [x.T for x in make_sequences(RAGGED, N_FEATURES)]
    actual = ToSequences("case_channel_time").fit_transform([in_file(x) for x in X])
    assert_stays_in_file(actual)
    for x, x_expected in zip(actual, X, strict=True):
        assert_same(x, x_expected.T)


def test_a_sequence_of_padding_in_a_file_is_refused_with_its_place(in_file):
    X = make_X()
    X[17] = np.nan
    with pytest.raises(ValueError, match=r"^X\[17\] has nothing but padding, nan"):
        ToSequences("case_time_channel", padding=np.nan).fit_transform(in_file(X))


def test_tables_in_a_file_are_read(in_file):
    X = make_X("f4").reshape(N_SEQUENCES, -1)
    to_sequences = ToSequences("by_feature", step_features=N_FEATURES)
    assert_same(to_sequences.fit_transform(in_file(X)), to_sequences.fit_transform(X))


# ---- The file of the result --------------------------------------------------------------------------


@pytest.mark.parametrize("transformer", WITH_FOLDER, ids=lambda transformer: type(transformer).__name__)
def test_the_file_of_the_result_is_in_the_folder_and_disappears(transformer, tmp_path, in_file):
    mapped = in_file(make_X())
    folder = tmp_path / "results"
    folder.mkdir()
    with patch("tempfile.TemporaryFile", wraps=TemporaryFile) as open_file:
        clone(transformer).set_params(temp_folder=folder).fit_transform(mapped)
    assert open_file.call_args.kwargs["dir"] == folder
    assert not list(folder.iterdir())


@pytest.mark.parametrize("transformer", WITH_FOLDER, ids=lambda transformer: type(transformer).__name__)
def test_a_missing_folder_is_named(transformer, tmp_path, in_file):
    transformer = clone(transformer).set_params(temp_folder=str(tmp_path / "missing"))
    with pytest.raises(FileNotFoundError, match=r"^temp_folder='.*missing' cannot take the result for X.*No such file"):
        transformer.fit_transform(in_file(make_X()))
    assert vars(transformer) == transformer.get_params(deep=False)
    transformer.fit(make_X()).transform(make_X())  # data in memory need no folder


FULL_DISK = """
    import resource
    import sys

    import numpy as np
    from sklearn.preprocessing import StandardScaler

    from sklearn_rnn.preprocessing import TimeDistributed

    X = np.load(sys.argv[1], mmap_mode="r")
    scaler = TimeDistributed(StandardScaler()).fit(X)
    resource.setrlimit(resource.RLIMIT_FSIZE, (X.nbytes // 2,) * 2)
    try:
        scaler.transform(X)
    except OSError as error:
        print(error)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limit on the size of files")
def test_a_full_disk_is_an_error_that_names_the_folder(tmp_path):
    np.save(tmp_path / "X.npy", np.ones((100, 50, 30)))
    printed = run_python(FULL_DISK, tmp_path / "X.npy")
    assert printed.startswith("temp_folder=None ('")
    assert "cannot take the result for X, which is in a memory-mapped file" in printed


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda rows: rows.astype(object), "returns objects, which cannot be stored in a file: pass numpy.array"),
        (lambda rows: rows[:, : 2 + (rows[0, 0] > 5)], "must transform every step by itself"),
    ],
)
def test_results_that_a_file_cannot_hold_are_refused(function, message, in_file):
    X = make_X()
    X[::2, :, 0] = 9
    X[4:8, 0, 0] = 0
    with pytest.raises(ValueError, match=rf"^X is in a memory-mapped file.*{message}"):
        TimeDistributed(FunctionTransformer(function)).fit_transform(in_file(X))


# ---- Memory ------------------------------------------------------------------------------------------


def test_a_pipeline_trains_on_what_it_has_scaled_in_files(in_file):
    X, y = make_X(), np.arange(N_SEQUENCES) % 2
    classifier = plain_classifier(hidden_layer_sizes=(4,), max_iter=3, n_iter_no_change=np.inf, random_state=0)
    pipeline = make_pipeline(ForwardFill(), TimeDistributed(MinMaxScaler()), classifier)
    actual, expected = (clone(pipeline).fit(data, y) for data in (in_file(X), X))
    assert_same(actual.predict_proba(in_file(X)), expected.predict_proba(X))


PROGRAM = """
    import resource
    import sys
    import warnings
    from pathlib import Path

    import numpy as np
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    from sklearn_rnn import RNNClassifier
    from sklearn_rnn.preprocessing import ForwardFill, TimeDistributed

    folder = Path(sys.argv[1])
    SHAPE = (800, 50, 500)  # nearly all values are zeros, which the file system does not store
    y = np.arange(SHAPE[0]) % 20 // 10
    warnings.simplefilter("ignore")

    cases = {}
    for dtype in ("f4", "i2"):
        X = np.lib.format.open_memmap(folder / dtype, "w+", dtype, SHAPE)
        X[::10, -1] = np.random.default_rng(0).integers(-3, 4, (80, 500))
        del X
        cases[dtype, "array"] = np.load(folder / dtype, mmap_mode="r")
    cases["f4", "table"] = cases["f4", "array"].reshape(SHAPE[0], -1)

    pipelines = {}
    for (dtype, form), X in cases.items():
        step_features = 1 if form == "array" else 500
        settings = dict(step_features=step_features, temp_folder=folder)
        network = RNNClassifier((8,), cell="rnn", step_features=step_features, max_iter=1, n_iter_no_change=np.inf)
        pipeline = make_pipeline(ForwardFill(**settings), TimeDistributed(StandardScaler(), **settings), network)
        pipeline.fit(np.array(X[:20]), y[:20]).predict(np.array(X[:20]))  # imports, and the memory that BLAS reserves
        pipelines[dtype, form] = pipeline

    # The limit is on the process's own memory, without the parts of files that the system keeps while there is room.
    with open("/proc/self/status") as status:
        in_use = next(1024 * int(line.split()[1]) for line in status if line.startswith("VmData"))
    resource.setrlimit(resource.RLIMIT_DATA, (in_use + 30 * 2**20,) * 2)
    for case, X in cases.items():
        try:
            np.array(X)
        except MemoryError:
            print(*case, X.nbytes, "do not fit into memory")
        print(pipelines[case].fit(X, y).predict(X).shape)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the limit, and where memory in use is read, are Linux's")
def test_data_larger_than_memory_are_filled_scaled_and_trained_on(tmp_path):
    printed = run_python(PROGRAM, tmp_path)
    for file in tmp_path.iterdir():
        file.unlink()
    assert printed.splitlines() == [
        line
        for case in ("f4 array 80000000", "i2 array 40000000", "f4 table 80000000")
        for line in (f"{case} do not fit into memory", "(800,)")
    ]
