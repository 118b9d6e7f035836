import pickle
import sys
from datetime import datetime, timedelta, timezone

import numpy as np
import pytest
from frame_libraries import as_dict, each_library, make_frame
from helpers import MORE_CHECKS_OF_TRANSFORMERS, RAGGED, make_sequences
from numpy.testing import assert_array_equal
from sklearn import config_context
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.utils import estimator_checks
from sklearn.utils.estimator_checks import estimator_checks_generator

from sklearn_rnn import RNNClassifier
from sklearn_rnn.preprocessing import ForwardFill, TimeDistributed, sequences_from_frame

NAN = np.nan
CHECKED = [
    ForwardFill(),
    ForwardFill(add_indicator=True, add_elapsed=True),
]

GAPPY = [
    np.array([[NAN, 1.0], [5.0, NAN], [NAN, NAN], [NAN, 4.0]]),
    np.array([[NAN, NAN]]),
    np.array([[7.0, 0.0], [NAN, 3.0]]),
]
FILLED = [
    np.array([[NAN, 1.0], [5.0, 1.0], [5.0, 1.0], [5.0, 4.0]]),
    np.array([[NAN, NAN]]),
    np.array([[7.0, 0.0], [7.0, 3.0]]),
]


def object_array(items):
    array = np.empty(len(items), dtype=object)
    array[:] = items
    return array


def by_hand(sequence, time=None):
    """Fill a sequence step by step; return it with indicators and elapsed times of all features."""
    time = np.arange(len(sequence)) if time is None else time
    values, indicator, elapsed = sequence.copy(), np.zeros(sequence.shape), np.zeros(sequence.shape)
    for feature in range(sequence.shape[1]):
        since = time[0]
        for step in range(len(sequence)):
            if np.isnan(sequence[step, feature]):
                indicator[step, feature] = 1
                elapsed[step, feature] = time[step] - since
                if step:
                    values[step, feature] = values[step - 1, feature]
            else:
                since = time[step]
    return np.hstack([values, indicator, elapsed])


def make_gappy(lengths=RAGGED, n_features=3, seed=0):
    generator = np.random.default_rng(seed)
    X = make_sequences(lengths, n_features, seed=seed)
    for sequence in X:
        sequence[generator.random(sequence.shape) < 0.5] = NAN
    return X


def assert_same(actual, expected):
    assert len(actual) == len(expected)
    for a, b in zip(actual, expected):
        assert_array_equal(a, b)


# ---- scikit-learn's checks ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("estimator", "check"),
    [
        pytest.param(*pair, id=f"{i}-{pair[1].func.__name__}")
        for i, estimator in enumerate(CHECKED)
        for pair in estimator_checks_generator(estimator)
    ],
)
def test_scikit_learn_finds_no_fault(estimator, check):
    check(estimator)


@pytest.mark.filterwarnings("ignore:X (has|does not have valid) feature names")  # they mix frames and arrays
@pytest.mark.parametrize("name", MORE_CHECKS_OF_TRANSFORMERS)
@pytest.mark.parametrize("estimator", CHECKED, ids=str)
def test_scikit_learn_finds_no_fault_in_what_check_estimator_leaves_out(estimator, name):
    getattr(estimator_checks, name)("ForwardFill", clone(estimator))


# ---- Values ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", [list, tuple, object_array])
def test_gaps_get_the_last_value_of_their_sequence(form):
    before = [x.copy() for x in GAPPY]
    values = ForwardFill().fit_transform(form(GAPPY))
    assert isinstance(values, np.ndarray if form is object_array else list)
    assert_same(values, FILLED)
    assert_same(GAPPY, before)


def test_all_features_are_those_of_a_step_by_step_loop():
    X = make_gappy()
    values = ForwardFill(add_indicator=True, add_elapsed=True).fit_transform(X)
    assert_same(values, [by_hand(x) for x in X])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_3d_arrays_stay_3d_and_keep_their_dtype(dtype):
    X = np.stack(make_gappy((6, 6, 6))).astype(dtype)
    values = ForwardFill(add_indicator=True, add_elapsed=True).fit_transform(X)
    assert values.dtype == dtype
    assert_array_equal(values, np.stack([by_hand(x) for x in X]))


def test_rows_are_sequences_of_step_features_columns_each():
    X = np.stack(make_gappy((6, 6, 6), 2))
    fill = ForwardFill(add_elapsed=True, step_features=2)
    values = fill.fit_transform(X.reshape(3, 12))
    in_3d = ForwardFill(add_elapsed=True).fit_transform(X)
    assert_array_equal(values, in_3d.reshape(3, 24))
    assert_array_equal(ForwardFill().fit_transform([[1.0, NAN, NAN, 4.0]]), [[1.0, 1.0, 1.0, 4.0]])


def test_features_are_added_for_those_with_gaps_in_fit():
    X = make_gappy()
    for x in X:
        x[:, 1] = 0.0
    fill = ForwardFill(add_indicator=True, add_elapsed=True).fit(X)
    assert_array_equal(fill.missing_features_, [0, 2])
    assert_array_equal(fill.transform(X)[2], by_hand(X[2])[:, [0, 1, 2, 3, 5, 6, 8]])
    assert_array_equal(fill.transform([np.array([[1.0, 2.0, 3.0], [1.0, NAN, 3.0]])])[0][1, :3], [1.0, 2.0, 3.0])
    assert ForwardFill(add_indicator=True).fit([x[:, 1:2] for x in X]).transform([x[:, 1:2] for x in X])[0].shape == (
        5,
        1,
    )


@pytest.mark.parametrize("place", [0, 2])
def test_time_since_the_last_value_is_read_from_a_feature(place):
    X = make_gappy()
    times = [np.cumsum(np.random.default_rng(i).uniform(0, 2, len(x))) for i, x in enumerate(X)]
    for x, time in zip(X, times):
        x[:, place] = time
    values = ForwardFill(add_elapsed=True, time=place).fit_transform(X)
    others = [k for k in range(3) if k != place]
    for value, x, time in zip(values, X, times):
        expected = by_hand(x, time)
        assert_array_equal(value[:, place], time)
        assert_array_equal(value, expected[:, [0, 1, 2, *(6 + k for k in others)]])


def test_equal_times_and_a_new_start_in_the_next_sequence_are_fine():
    X = [np.array([[5.0, NAN], [5.0, 1.0]]), np.array([[0.0, NAN], [0.5, NAN]])]
    assert_array_equal(ForwardFill(add_elapsed=True, time=0).fit_transform(X)[1][:, 2], [0.0, 0.5])


def test_gaps_at_the_start_are_left_to_the_next_transformer():
    imputer = make_pipeline(ForwardFill(), TimeDistributed(SimpleImputer(strategy="constant", fill_value=-1.0)))
    assert_array_equal(imputer.fit_transform(GAPPY)[0][:, 0], [-1.0, 5.0, 5.0, 5.0])
    y = [0, 1, 0]
    pipeline = make_pipeline(imputer, RNNClassifier((3,), max_iter=2, random_state=0)).fit(GAPPY, y)
    assert pipeline.predict(GAPPY).shape == (3,)


# ---- Data frames -------------------------------------------------------------------------------------


FRAMES = [
    {"hour": [0, 3, 4, 9], "pulse": [None, 60.0, None, None], "drug": ["x", None, "y", None], "bed": [1, 1, 2, 2]},
    {"hour": [2, 2], "pulse": [None, 70.0], "drug": [None, "z"], "bed": [3, 3]},
]


@each_library
def test_lists_of_frames_stay_frames(library):
    X = [make_frame(library, columns) for columns in FRAMES]
    fill = ForwardFill(add_indicator=True, add_elapsed=True, time="hour").fit(X)
    values = fill.transform(X)
    assert [type(x) for x in values] == [type(x) for x in X]
    assert as_dict(values[0]) == FRAMES[0] | {
        "pulse": [None, 60.0, 60.0, 60.0],
        "drug": ["x", "x", "y", "y"],
        "missingindicator_pulse": [1, 0, 1, 1],
        "missingindicator_drug": [0, 1, 0, 1],
        "elapsed_pulse": [0, 0, 1, 6],
        "elapsed_drug": [0, 3, 0, 5],
    }
    assert as_dict(values[1]) == FRAMES[1] | {
        "missingindicator_pulse": [1, 0],
        "missingindicator_drug": [1, 0],
        "elapsed_pulse": [0, 0],
        "elapsed_drug": [0, 0],
    }
    assert list(as_dict(values[0])) == fill.get_feature_names_out().tolist()
    assert fill.feature_names_in_.tolist() == list(FRAMES[0])
    assert fill.n_features_in_ == 4
    assert as_dict(X[0]) == FRAMES[0]


@each_library
def test_date_times_become_seconds_since_the_first_step(library):
    times = [datetime(2024, 1, 31, 23, 59), datetime(2024, 2, 1), datetime(2024, 2, 1, 1)]
    X = [make_frame(library, {"at": times[i:], "x": [1.0, None, None][i:]}) for i in (0, 1)]
    values = [as_dict(x) for x in ForwardFill(add_elapsed=True, time="at").fit_transform(X)]
    assert values[0] == {"at": [0, 60, 3660], "x": [1, 1, 1], "elapsed_x": [0, 60, 3660]}
    assert values[1] == {"at": [0, 3600], "x": [None, None], "elapsed_x": [0, 3600]}
    assert as_dict(X[0])["at"] == times


@each_library
def test_durations_become_seconds(library):
    X = [make_frame(library, {"after": [timedelta(hours=h) for h in (1, 2, 4)], "x": [1.0, None, None]})]
    values = as_dict(ForwardFill(add_elapsed=True, time="after").fit_transform(X)[0])
    assert values == {"after": [3600, 7200, 14400], "x": [1, 1, 1], "elapsed_x": [0, 3600, 10800]}


def test_times_of_several_zones_become_seconds():
    zones = [timezone.utc, timezone(timedelta(hours=1))]
    X = [make_frame("pandas", {"at": [datetime(2024, 1, 1, 3, tzinfo=zone) for zone in zones[::-1]]})]
    assert as_dict(ForwardFill(add_elapsed=True, time="at").fit_transform(X)[0]) == {"at": [0, 3600]}


@each_library
def test_frames_whose_dtypes_differ_get_one_that_holds_both(library):
    X = [make_frame(library, {"n": [1, 2]}), make_frame(library, {"n": [None, 1.5]})]
    assert [as_dict(x)["n"] for x in ForwardFill().fit_transform(X)] == [[1, 2], [None, 1.5]]


@each_library
def test_a_column_may_be_empty_in_a_frame(library):
    X = [
        make_frame(library, {"n": [1.0, None], "drug": ["x", None]}),
        make_frame(library, {"n": [None], "drug": [None]}),
    ]
    values = [as_dict(x) for x in ForwardFill().fit_transform(X)]
    assert values == [{"n": [1, 1], "drug": ["x", "x"]}, {"n": [None], "drug": [None]}]


def test_arrays_need_no_narwhals(monkeypatch):
    monkeypatch.setitem(sys.modules, "narwhals.stable.v2", None)
    assert_same(ForwardFill().fit_transform(GAPPY), FILLED)


def test_frames_of_times_pass_on_to_a_network():
    X = [make_frame("pandas", {"at": [datetime(2024, 1, 1, 0, 0, s) for s in (1, 2, 4)], "x": [1.0, None, 3.0]})] * 4
    fill = ForwardFill(add_elapsed=True, time="at")
    assert make_pipeline(fill, RNNClassifier((3,), max_iter=2)).fit(X, [0, 1, 0, 1])[-1].n_features_in_ == 3


def test_frames_keep_their_index_and_dtypes():
    pd = pytest.importorskip("pandas", reason="pandas is not installed")
    frame = pd.DataFrame(
        {
            "n": pd.array([1, None, None], "Int64"),
            "kind": pd.Categorical(["a", None, "b"]),
            "at": pd.date_range("2024-01-01", periods=3, tz="Europe/Athens"),
        },
        index=[7, 3, 5],
    )
    values = ForwardFill(add_elapsed=True, time="at").fit_transform([frame, frame])
    assert values[1].index.tolist() == [7, 3, 5]
    assert values[1].dtypes.astype(str).tolist()[:2] == ["Int64", "category"]
    assert values[1]["n"].tolist() == [1, 1, 1]
    assert values[1]["kind"].tolist() == ["a", "a", "b"]
    assert values[1]["at"].tolist() == values[1]["elapsed_n"].tolist() == [0.0, 86400.0, 172800.0]


def test_columns_without_names_are_no_names():
    pd = pytest.importorskip("pandas", reason="pandas is not installed")
    fill = ForwardFill().fit([make_frame("pandas", FRAMES[0])])
    fill.fit([pd.DataFrame([[1.0, NAN], [NAN, 2.0]])])
    assert not hasattr(fill, "feature_names_in_")
    assert_array_equal(fill.transform([np.array([[3.0, 1.0], [NAN, NAN]])])[0][1], [3.0, 1.0])


def test_an_object_array_of_frames_stays_one():
    X = np.empty(2, dtype=object)
    for i, columns in enumerate(FRAMES):
        X[i] = make_frame("pandas", columns)
    values = ForwardFill().fit_transform(X)
    assert (values.shape, values.dtype) == ((2,), object)
    assert values[0]["drug"].tolist() == ["x", "x", "y", "y"]


def test_numbers_of_frames_are_those_of_arrays():
    X = make_gappy()
    frames = [make_frame("pandas", {f"x{k}": x[:, k] for k in range(3)}) for x in X]
    fill = ForwardFill(add_indicator=True, add_elapsed=True)
    assert_same(clone(fill).fit_transform(frames), clone(fill).fit_transform(X))


# ---- Names and set_output ----------------------------------------------------------------------------


def test_names_follow_the_features():
    X = make_gappy(n_features=2)
    for x in X:
        x[:, 0] = 0
    fill = ForwardFill(add_indicator=True, add_elapsed=True).fit(X)
    assert fill.get_feature_names_out().tolist() == ["x0", "x1", "missingindicator_x1", "elapsed_x1"]
    assert fill.get_feature_names_out(["a", "b"]).tolist() == ["a", "b", "missingindicator_b", "elapsed_b"]
    rows = ForwardFill(add_indicator=True, step_features=2).fit([[1.0, NAN, 2.0, 3.0]])
    expected = ["a0", "b0", "missingindicator_b0", "a1", "b1", "missingindicator_b1"]
    assert rows.get_feature_names_out(["a0", "b0", "a1", "b1"]).tolist() == expected


def test_sequences_pass_on_under_a_global_transform_output():
    pytest.importorskip("pandas", reason="pandas is not installed")
    with config_context(transform_output="pandas"):
        assert_same(ForwardFill().fit_transform(GAPPY), FILLED)
        assert ForwardFill().fit_transform(np.ones((2, 3, 1))).shape == (2, 3, 1)
        assert list(ForwardFill().fit_transform(np.ones((2, 3))).columns) == ["x0", "x1", "x2"]


def test_data_frames_that_are_asked_for_are_refused_for_sequences():
    pytest.importorskip("pandas", reason="pandas is not installed")
    fill = ForwardFill().set_output(transform="pandas")
    for X in (GAPPY, np.ones((2, 3, 1))):
        with pytest.raises(ValueError, match=r"call set_output\(transform='default'\) on this ForwardFill"):
            fill.fit_transform(X)
    assert fill.fit_transform(np.ones((2, 3))).shape == (2, 3)


def test_a_refit_on_rows_gives_data_frames_again():
    pytest.importorskip("pandas", reason="pandas is not installed")
    fill = ForwardFill().fit(GAPPY).fit(np.ones((2, 3))).set_output(transform="pandas")
    assert list(fill.transform(np.ones((2, 3))).columns) == ["x0", "x1", "x2"]


# ---- Errors ------------------------------------------------------------------------------------------


def test_bad_input_changes_nothing():
    fill = ForwardFill(add_elapsed=True).fit(GAPPY)
    before = vars(fill).copy()
    frame = make_frame("pandas", FRAMES[0])
    for X in ([np.ones((2, 2)), np.ones((2, 3))], [np.full((2, 2), np.inf)], [frame, frame[["hour"]]], []):
        with pytest.raises(ValueError, match=r"^X"):
            fill.fit(X)
        assert vars(fill) == before


def test_an_unfitted_transformer_and_other_features_are_refused():
    with pytest.raises(NotFittedError):
        ForwardFill().transform(GAPPY)
    with pytest.raises(ValueError, match=r"^X has 3 features per step, but ForwardFill is expecting 2"):
        ForwardFill().fit(GAPPY).transform(make_gappy())
    frames = [make_frame("pandas", columns) for columns in FRAMES]
    with (
        pytest.warns(UserWarning, match="X has feature names, but ForwardFill was fitted without"),
        pytest.raises(ValueError, match=r"^X has 4 features per step, but ForwardFill is expecting 2"),
    ):
        ForwardFill().fit(GAPPY).transform(frames)
    with pytest.raises(ValueError, match=r"The feature names should match those that were passed during fit"):
        ForwardFill().fit(frames).transform([frame[frame.columns[::-1]] for frame in frames])
    with pytest.raises(
        ValueError, match=r"^X is a list of data frames, but this ForwardFill was fitted on 2-D X with 3"
    ):
        ForwardFill().fit(np.ones((2, 3))).transform(frames)


@each_library
def test_frames_that_differ_are_refused(library):
    a, b = (make_frame(library, columns) for columns in FRAMES)
    other = make_frame(library, {"hour": [0], "pulse": [1.0]})
    with pytest.raises(
        ValueError, match=r"^X\[1\] has the columns \['hour', 'pulse'\], but X\[0\] has \['hour', 'pulse', "
    ):
        ForwardFill().fit([a, other, b])
    with pytest.raises(TypeError, match=r"^X\[1\] is of type ndarray, but it must be a data frame of pandas"):
        ForwardFill().fit([a, np.ones((2, 4))])
    with pytest.raises(ValueError, match=r"^X\[1\] has no steps: every sequence needs at least one"):
        ForwardFill().fit([a, a[:0] if library != "pyarrow" else a.slice(0, 0)])


def test_frames_of_two_libraries_are_refused():
    with pytest.raises(
        TypeError, match=r"^X\[1\] is of type polars.* but X\[0\] of pandas.*: use data frames of one lib"
    ):
        ForwardFill().fit([make_frame("pandas", FRAMES[0]), make_frame("polars", FRAMES[1])])


@pytest.mark.parametrize(
    ("X", "time", "error", "message"),
    [
        ("arrays", 2, ValueError, r"^time=2 is the place of no feature: a step has 2, counted from 0"),
        ("arrays", "hour", ValueError, r"^time='hour' is a name, but X is no list of data frames"),
        ("arrays", 0, ValueError, r"^time=0 is missing in sequence 0, step 0: the time of every step is needed"),
        ("falling", 0, ValueError, r"^time=0 decreases in sequence 1, step 2: sort the steps of each sequence by time"),
        ("frames", "hours", ValueError, r"^time='hours' is not a column of X\[0\], whose columns are \['hour', "),
        ("frames", "drug", TypeError, r"^time='drug' holds 'x', but times are numbers or date-times: convert it"),
        ("frames", "pulse", ValueError, r"^time='pulse' is missing in sequence 0, step 0"),
        ("times", "at", ValueError, r"^time='at' is missing in sequence 0, step 1"),
        ("zones", "at", ValueError, r"^time='at' is missing in sequence 0, step 1"),
        ("frames", 4, ValueError, r"^time=4 is the place of no feature: a step has 4"),
    ],
)
def test_bad_times_are_refused(X, time, error, message):
    X = {
        "arrays": lambda: GAPPY,
        "falling": lambda: [np.array([[5.0]]), np.array([[1.0], [2.0], [1.5]])],
        "frames": lambda: [make_frame("pandas", columns) for columns in FRAMES],
        "times": lambda: [make_frame("pandas", {"at": [datetime(2024, 1, 1), None]})],
        "zones": lambda: [make_frame("pandas", {"at": [datetime(2024, 1, 1, tzinfo=timezone.utc), None]})],
    }[X]()
    with pytest.raises(error, match=message):
        ForwardFill(add_elapsed=True, time=time).fit(X)


def test_a_column_with_the_name_of_an_added_one_is_refused():
    X = [make_frame("pandas", {"x": [None, 1.0], "elapsed_x": [0.0, 1.0]})]
    with pytest.raises(ValueError, match=r"^X has a column 'elapsed_x', which is the name of a feature to add: rename"):
        ForwardFill(add_elapsed=True).fit_transform(X)


def test_a_pickle_gives_the_same():
    fill = ForwardFill(add_indicator=True).fit(GAPPY)
    assert_same(pickle.loads(pickle.dumps(fill)).transform(GAPPY), fill.transform(GAPPY))


@each_library
def test_a_warning_tells_that_the_columns_of_a_frame_are_its_steps(library):
    frame = make_frame(library, {"t": [1.0, 2.0], "a": [NAN, 3.0]})
    with pytest.warns(
        UserWarning, match=r"^X is a data frame, .* 2 steps .* in the column 'a' was filled from 't'\. If"
    ):
        assert_array_equal(ForwardFill().fit_transform(frame), [[1, 1], [2, 3]])
    assert_array_equal(ForwardFill(step_features=2).fit_transform(frame), [[1, NAN], [2, 3]])
    whole = make_frame(library, {"t": [NAN, 2.0], "a": [1.0, 3.0]})  # nothing stands before this gap
    assert_array_equal(ForwardFill().fit_transform(whole), [[NAN, 1], [2, 3]])


@pytest.mark.parametrize("form", ["series", "object column", "index"])
def test_frames_may_come_in_a_container(form):
    pd = pytest.importorskip("pandas", reason="pandas is not installed")
    when = pd.to_datetime(["2024-01-01", "2024-01-02", "2024-01-04"])
    frames = [
        pd.DataFrame({"when": when, "drug": ["x", None, None], "sugar": [NAN, 5.0, NAN]}),
        pd.DataFrame({"when": when[:2], "drug": ["y", None], "sugar": [1.0, NAN]}),
    ]
    given = {
        "series": lambda: pd.Series(frames),
        "object column": lambda: object_array(frames)[:, np.newaxis],
        "index": lambda: pd.concat(frames, keys=["b", "a"]),
    }[form]()
    fill = ForwardFill(add_elapsed=True, time="when").fit(given)
    assert fill.feature_names_in_.tolist() == ["when", "drug", "sugar"]
    expected = fill.transform(frames)
    for filled, wanted in zip(fill.transform(given), expected):
        assert as_dict(filled) == as_dict(wanted)
    assert as_dict(expected[1])["drug"] == ["y", "y"]


def test_an_index_with_one_row_for_each_instance_is_refused():
    pd = pytest.importorskip("pandas", reason="pandas is not installed")
    X = pd.DataFrame({"a": [1.0, 2.0]}, index=pd.MultiIndex.from_arrays([[0, 1], [0, 0]]))
    with pytest.raises(ValueError, match=r"^X has an index of 2 levels, .*, but one row for each instance"):
        ForwardFill().fit(X)
    two = pd.concat([X, X], keys=[0, 1]).droplevel(1)
    assert [as_dict(row) for row in ForwardFill().fit(two).transform(X)] == [{"a": [1.0]}, {"a": [2.0]}]


def test_a_time_that_sequences_from_frame_left_out_is_to_be_named_in_features():
    log = make_frame("pandas", {"id": [1, 1], "hour": [0.0, 3.0], "sugar": [5.0, NAN]})
    fill = ForwardFill(time="hour", add_elapsed=True)
    with pytest.raises(ValueError, match=r"^time='hour' is not a column of X\[0\], .*name it in features="):
        fill.fit(sequences_from_frame(log, "id", "hour")[0])
    filled = fill.fit_transform(sequences_from_frame(log, "id", "hour", ["hour", "sugar"])[0])
    assert filled[0]["elapsed_sugar"].tolist() == [0, 3]


@each_library
def test_infinity_is_refused_in_frames_as_in_arrays(library):
    frames = [make_frame(library, {"a": [1.0]}), make_frame(library, {"a": [1.0, -np.inf]})]
    with pytest.raises(
        ValueError, match=r"^X contains infinity in sequence 1, step 1, column 'a': ForwardFill does not"
    ):
        ForwardFill().fit(frames)
    with pytest.raises(
        ValueError, match=r"^X contains infinity in sequence 1, step 1, feature 0: ForwardFill does not"
    ):
        ForwardFill().fit([np.asarray(frame) for frame in frames])
