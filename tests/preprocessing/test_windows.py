import sys

import numpy as np
import pytest
from frame_libraries import each_library, make_frame
from helpers import make_sequences
from numpy.testing import assert_array_equal
from sklearn.model_selection import TimeSeriesSplit, cross_val_score

from sklearn_rnn import RNNRegressor
from sklearn_rnn.preprocessing import sliding_windows

SERIES = np.arange(100.0, 112.0)  # step t has the value 100 + t
TABLE = np.column_stack([SERIES, -SERIES, 10 * SERIES])


# ---- One series --------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", [np.array, list, tuple, lambda s: s[:, np.newaxis], lambda s: make_series(s)])
def test_a_window_and_the_value_that_follows_it(form):
    X, y, origins, groups = sliding_windows(form(SERIES), window=4)
    assert X.shape == (8, 4, 1)
    assert_array_equal(X[2, :, 0], [102, 103, 104, 105])
    assert_array_equal(origins, np.arange(3, 11))
    assert_array_equal(y, SERIES[origins + 1])
    assert_array_equal(groups, np.zeros(8))


def make_series(values):
    return pytest.importorskip("pandas", reason="pandas is not installed").Series(values)


@pytest.mark.parametrize(("horizon", "ahead"), [(3, [1, 2, 3]), ([2, 5], [2, 5]), (range(1, 3), [1, 2]), ([4], [4])])
@pytest.mark.parametrize("stride", [1, 2, 5])
def test_targets_stand_the_horizon_after_the_origin(horizon, ahead, stride):
    X, y, origins, _ = sliding_windows(SERIES, 3, horizon, stride)
    assert_array_equal(X[:, -1, 0], SERIES[origins])
    assert_array_equal(y.reshape(len(X), -1), SERIES[origins[:, np.newaxis] + ahead])
    assert y.ndim == (1 if len(ahead) == 1 else 2)
    assert_array_equal(np.diff(origins), stride)
    assert origins[-1] + max(ahead) + stride > len(SERIES) - 1  # no further window has its targets


def test_windows_are_views():
    X, _, _, _ = sliding_windows(TABLE, 4, 2, 3)
    assert np.shares_memory(X, TABLE)
    assert not X.flags.writeable
    many, _, _, _ = sliding_windows([TABLE, TABLE[:7]], 4)
    assert all(np.shares_memory(x, TABLE) for x in many)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64])
def test_windows_keep_the_dtype(dtype):
    X, y, _, _ = sliding_windows(SERIES.astype(dtype), 4)
    assert (X.dtype, y.dtype) == (dtype, dtype)


def test_the_longest_window_is_a_single_one():
    X, y, _, _ = sliding_windows(SERIES, 11)
    assert X.shape == (1, 11, 1)
    assert_array_equal(y, [111])


def test_all_columns_are_targets_step_after_step():
    X, y, origins, _ = sliding_windows(TABLE, 4, horizon=2)
    assert X.shape == (7, 4, 3)
    assert_array_equal(y, np.hstack([TABLE[origins + 1], TABLE[origins + 2]]))


def test_features_and_targets_are_chosen_by_place():
    X, y, origins, _ = sliding_windows(TABLE, 4, features=[2, 0], target=1)
    assert_array_equal(X[1], TABLE[1:5, [2, 0]])
    assert_array_equal(y, -SERIES[origins + 1])


@each_library
def test_features_and_targets_are_chosen_by_name(library):
    frame = make_frame(library, {"load": TABLE[:, 0], "heat": TABLE[:, 1], "left": TABLE[:, 2]})
    X, y, origins, _ = sliding_windows(frame, 4, features=["heat", "load"], target="left")
    assert_array_equal(X[1], TABLE[1:5, [1, 0]])
    assert_array_equal(y, TABLE[origins + 1, 2])
    X, _, _, _ = sliding_windows([frame, frame], 4, features="heat", target="left")
    assert_array_equal(X[1][:, 0], TABLE[:4, 1])


@pytest.mark.parametrize("horizon", [0, [0]], ids=str)
def test_the_target_may_be_that_of_the_last_step(horizon):
    X, y, origins, _ = sliding_windows(TABLE, 4, horizon, features=[0, 1], target=2)
    assert_array_equal(y, TABLE[origins, 2])
    assert origins[-1] == len(TABLE) - 1
    assert_array_equal(X[-1], TABLE[-4:, :2])


# ---- Several series ----------------------------------------------------------------------------------


@pytest.mark.parametrize("horizon", [1, 3, [2, 4]])
@pytest.mark.parametrize("stride", [1, 3])
def test_windows_and_targets_stay_within_their_series(horizon, stride):
    lengths = (9, 12, 7)
    series = [1000 * i + np.arange(n) for i, n in enumerate(lengths)]
    X, y, origins, groups = sliding_windows(series, 3, horizon, stride)
    for window, targets, origin, group in zip(X, y.reshape(len(X), -1), origins, groups):
        assert_array_equal(window[:, 0], series[group][origin - 2 : origin + 1])
        assert set(targets // 1000) == {group}
    for i, one in enumerate(series):
        alone = sliding_windows(one, 3, horizon, stride)
        assert_array_equal(np.stack([x for x, group in zip(X, groups) if group == i]), alone[0])
        assert_array_equal(y[groups == i], alone[1])
    assert (np.diff(origins) >= 0).all()


def test_equal_lengths_may_be_a_3d_array():
    series = np.stack(make_sequences((8, 8, 8), 2))
    X, y, origins, groups = sliding_windows(series, 5)
    X_list, y_list, origins_list, groups_list = sliding_windows(list(series), 5)
    assert isinstance(X, list)
    for a, b in ((np.stack(X), np.stack(X_list)), (y, y_list), (origins, origins_list), (groups, groups_list)):
        assert_array_equal(a, b)
    assert_array_equal(groups, [0, 1, 2] * 3)


# ---- Splits in time ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("horizon", "stride"), [(1, 1), (4, 1), (4, 3), (6, 2)])
def test_with_a_gap_no_training_target_lies_after_the_first_test_origin(horizon, stride):
    series = np.arange(200.0)
    X, y, origins, _ = sliding_windows(series, 10, horizon, stride)
    splitter = TimeSeriesSplit(4, gap=-(-horizon // stride) - 1)
    for train, test in splitter.split(X):
        assert origins[train].max() + horizon <= origins[test].min()
        assert y[train].max() <= X[test][0].max()


def test_origins_split_several_series_in_time():
    series = [np.arange(float(n)) for n in (50, 80, 65)]  # the value is the time
    X, y, origins, _ = sliding_windows(series, 6, horizon=3)
    times = np.unique(origins)
    for train, test in TimeSeriesSplit(3, gap=2).split(times):
        train, test = (np.flatnonzero(np.isin(origins, times[part])) for part in (train, test))
        assert y[train].max() <= min(X[i][-1, 0] for i in test)


def test_windows_go_through_cross_validation_in_time():
    series = [np.sin(np.arange(40) / 3 + i) for i in range(2)]
    X, y, _, _ = sliding_windows(series, 8)
    regressor = RNNRegressor((4,), max_iter=2, random_state=0)
    assert cross_val_score(regressor, X, y, cv=TimeSeriesSplit(3), error_score="raise").shape == (3,)
    X, y, _, _ = sliding_windows(series[0], 8, horizon=2)
    assert regressor.fit(X, y).predict(X).shape == y.shape


# ---- Errors ------------------------------------------------------------------------------------------


def test_windows_that_are_longer_than_the_series_are_refused():
    with pytest.raises(
        ValueError, match=r"^series has 12 steps, but window=12 and 1 steps ahead need 13\. Choose a sh"
    ):
        sliding_windows(SERIES, 12)
    with pytest.raises(ValueError, match=r"^series\[1\] has 3 steps, .* 2 steps ahead need 6\. .*or leave this series"):
        sliding_windows([SERIES, SERIES[:3]], 4, 2)
    with pytest.raises(ValueError, match=r"^series\[0\] has 0 steps"):
        sliding_windows([np.array([]), SERIES], 4)


def test_columns_for_steps_are_suspected_where_there_are_more():
    with pytest.raises(
        ValueError, match=r"^series has 3 steps, .* The axes are step and column: are its 12 columns the"
    ):
        sliding_windows(TABLE.T, 4)


@pytest.mark.parametrize("argument", ["window", "horizon", "stride"])
def test_numbers_of_steps_are_whole_and_positive(argument):
    arguments = {"window": 3, "horizon": 1, "stride": 1}
    for value in (2.0, True, "3", None):
        with pytest.raises(TypeError, match=rf"^{argument}={value!r} must be an int, a number of steps"):
            sliding_windows(SERIES, **arguments | {argument: value})
    minimum = 0 if argument == "horizon" else 1
    for value in (minimum - 1, -5):
        with pytest.raises(ValueError, match=rf"^{argument}={value} must be at least {minimum}"):
            sliding_windows(SERIES, **arguments | {argument: value})


@pytest.mark.parametrize("horizon", [[], [2, 1], [1, 1]], ids=str)
def test_a_list_of_steps_ahead_increases(horizon):
    with pytest.raises(ValueError, match=r"^horizon=\[.*\] must have at least one step ahead, in increasing order"):
        sliding_windows(SERIES, 3, horizon)


@each_library
def test_columns_that_are_not_chosen_may_hold_anything(library):
    a = make_frame(library, {"text": list("abcdef"), "y": SERIES[:6], "x": -SERIES[:6]})
    b = make_frame(library, {"x": SERIES[:6], "y": -SERIES[:6]})
    X, y, _, _ = sliding_windows([a, b], 5, features="x", target="y")
    assert [x[0, 0] for x in X] == [-100, 100]
    assert y.tolist() == [105, -105]
    with pytest.raises(ValueError, match=r"^series\[1\]\['text'\] is not numeric"):
        sliding_windows([b, make_frame(library, {"x": SERIES, "text": list("abcdefghijkl")})], 5)
    c = make_frame(library, {"x": SERIES})
    with pytest.raises(ValueError, match=r"^target='y' is not a column of series\[1\], whose columns are \['x'\]"):
        sliding_windows([a, c], 5, features="x", target="y")


@pytest.mark.parametrize("form", [np.array, lambda s: make_series(s)], ids=["array", "pandas.Series"])
def test_series_that_are_no_frames_need_no_narwhals(monkeypatch, form):
    series = form(SERIES)
    monkeypatch.setitem(sys.modules, "narwhals.stable.v2", None)
    assert sliding_windows([series, series], 4)[1].shape == (16,)


@each_library
def test_missing_numbers_of_frames_are_nan(library):
    frame = make_frame(library, {"n": [1, None, 3, 4], "x": [1.5, 2.0, 3.0, 4.0]})
    X, y, _, _ = sliding_windows(frame, 2, features="n", target="x")
    assert_array_equal(X[:, :, 0], [[1, np.nan], [np.nan, 3]])
    assert y.tolist() == [3, 4]


def test_x_must_not_hold_the_answer():
    for arguments in ({}, {"target": 1}, {"features": [0, 1], "target": [1, 2]}):
        with pytest.raises(ValueError, match=r"^horizon holds 0, .* but the target is among the features"):
            sliding_windows(TABLE, 3, [0, 1], **arguments)


@pytest.mark.parametrize("argument", ["features", "target"])
@pytest.mark.parametrize("column", [3, -1, "load", True])
def test_unknown_columns_are_refused(argument, column):
    with pytest.raises(ValueError, match=rf"^{argument}={column!r} is not a column of series, .* \[0, 1, 2\]"):
        sliding_windows(TABLE, 3, **{argument: column})


def test_no_columns_are_refused():
    with pytest.raises(ValueError, match=r"^features is empty"):
        sliding_windows(TABLE, 3, features=[])
    with pytest.raises(ValueError, match=r"^series has no columns"):
        sliding_windows(np.empty((5, 0)), 3)


@pytest.mark.parametrize(
    ("series", "message"),
    [
        ([], r"^series is empty"),
        (np.array(["a", "b"]), r"^series is not numeric"),
        (["a", "b"], r"^series is not numeric"),
        ([SERIES, ["a", "b"]], r"^series\[1\] is not numeric"),
        (5.0, r"^series has 0 dimensions"),
        (np.ones((2, 5, 1, 1)), r"^series\[0\] has 3 dimensions"),
        ([SERIES, TABLE], r"^series\[1\] has 3 columns, but series\[0\] has 1"),
        (np.array(["2024-01-01"], "datetime64[D]"), r"^series is not numeric \(its dtype is datetime64\[D\]\)"),
    ],
    ids=str,
)
def test_what_is_no_series_is_refused(series, message):
    with pytest.raises(ValueError, match=message):
        sliding_windows(series, 2)


def test_frames_of_other_columns_are_refused():
    a, b = (make_frame("pandas", {first: SERIES, second: SERIES}) for first, second in ("xy", "yx"))
    with pytest.raises(
        ValueError, match=r"^series\[1\] has the columns \['y', 'x'\], but series\[0\] has \['x', 'y'\]"
    ):
        sliding_windows([a, b], 3)


def test_values_under_a_mask_are_refused():
    mask = np.arange(12) == 4
    with pytest.raises(ValueError, match=r"series is a masked array with 1 masked value,"):
        sliding_windows(np.ma.masked_array(SERIES, mask), 3)
    with pytest.raises(ValueError, match=r"series\[1\] is a masked array with 1 masked value,"):
        sliding_windows([SERIES, np.ma.masked_array(SERIES, mask)], 3)
    X, _, _, _ = sliding_windows(np.ma.masked_array(SERIES, False), 3)
    assert_array_equal(X, sliding_windows(SERIES, 3)[0])


def test_instances_of_an_index_are_not_joined():
    pd = pytest.importorskip("pandas", reason="pandas is not installed")
    joined = pd.concat([pd.DataFrame({"x": SERIES[:6]}), pd.DataFrame({"x": SERIES[6:]})], keys=["p", "q"])
    message = r"^series has an index of 2 levels, .*\[rows for _, rows in series\.groupby\(level=0, sort=False\)\]"
    for series in (joined, joined["x"]):
        with pytest.raises(ValueError, match=message):
            sliding_windows(series, 3)
        X, _, _, groups = sliding_windows([rows for _, rows in series.groupby(level=0, sort=False)], 3)
        assert [x[0, 0] for x in X] == [100, 106, 101, 107, 102, 108]
        assert groups.tolist() == [0, 1, 0, 1, 0, 1]
    with pytest.raises(ValueError, match=r"^series\[1\] has an index of 2 levels"):
        sliding_windows([joined.reset_index(drop=True), joined], 3)
    assert len(sliding_windows(joined.reset_index(drop=True), 3)[0]) == 9


def test_names_may_be_an_index_or_an_array():
    pd = pytest.importorskip("pandas", reason="pandas is not installed")
    frame = pd.DataFrame(TABLE, columns=["load", "heat", "left"])
    expected, y, _, _ = sliding_windows(frame, 4, features=["load", "heat"], target=["left"])
    for features, target in ((frame.columns[:2], frame.columns[2:]), (np.array(["load", "heat"]), np.array(["left"]))):
        X, followers, _, _ = sliding_windows(frame, 4, features=features, target=target)
        assert_array_equal(X, expected)
        assert_array_equal(followers, y)
    assert_array_equal(sliding_windows(TABLE, 4, features=np.arange(2), target=np.int64(2))[0], expected)
    with pytest.raises(TypeError, match=r"^features=\[\['load'\]\] must be the name of a column, or a list of names"):
        sliding_windows(frame, 4, features=[["load"]])


# ---- Containers --------------------------------------------------------------------------------------


def make_container(library, form):
    module = pytest.importorskip(library, reason=f"{library} is not installed")
    parts = [SERIES, SERIES[:7]]
    return {
        "pandas.Series of arrays": lambda: module.Series(parts),
        "pandas.Series of frames": lambda: module.Series([module.DataFrame({"x": part}) for part in parts]),
        "polars.Series of lists": lambda: module.Series(parts),
        "pyarrow.Array of lists": lambda: module.array(parts),
        "object array": lambda: module.array([*parts, None], dtype=object)[:2],
        "object column": lambda: module.array([*parts, None], dtype=object)[:2, np.newaxis],
    }[f"{library}.{form}" if library != "numpy" else form]()


@pytest.mark.parametrize(
    ("library", "form"),
    [
        ("pandas", "Series of arrays"),
        ("pandas", "Series of frames"),
        ("polars", "Series of lists"),
        ("pyarrow", "Array of lists"),
        ("numpy", "object array"),
        ("numpy", "object column"),
    ],
)
def test_several_series_may_come_in_a_container(library, form):
    X, y, origins, groups = sliding_windows(make_container(library, form), 4)
    expected = sliding_windows([SERIES, SERIES[:7]], 4)
    assert_array_equal(X, expected[0])
    for values, wanted in zip((y, origins, groups), expected[1:]):
        assert_array_equal(values, wanted)


@pytest.mark.parametrize(
    ("form", "message"),
    [
        (lambda s: {"a": s}, r"^series is a dict: pass .* list\(series\.values\(\)\)"),
        (lambda s: (part for part in [s]), r"^series is a generator, .*: pass list\(series\)"),
        (
            lambda s: make_frame("pandas", {"x": s}).groupby("x"),
            r"^series is DataFrameGroupBy, .*for _, rows in series\]",
        ),
        (lambda s: list(make_frame("pandas", {"x": s, "y": s}).groupby("x")), r"^series\[0\] is a pair of a key, 100"),
    ],
    ids=["dict", "generator", "groupby", "list of a groupby"],
)
def test_containers_that_must_become_a_list_are_refused_with_the_line(form, message):
    with pytest.raises(TypeError, match=message):
        sliding_windows(form(SERIES), 4)


@each_library
@pytest.mark.parametrize("values", [list("abcdefghijkl"), SERIES.astype("datetime64[ms]")], ids=["text", "dates"])
def test_a_column_that_is_not_numeric_is_named(library, values):
    frame = make_frame(library, {"load": SERIES, "when": values})
    with pytest.raises(ValueError, match=r"^series\['when'\] is not numeric \(.*\): name the columns .* in features="):
        sliding_windows(frame, 4)


def test_the_dims_of_a_series_give_its_axes():
    xr = pytest.importorskip("xarray", reason="xarray is not installed")
    X, _, _, _ = sliding_windows(xr.DataArray(TABLE.T, dims=("feature", "time")), 4)
    assert_array_equal(X, sliding_windows(TABLE, 4)[0])
    many = xr.DataArray(np.stack([TABLE, -TABLE]), dims=("case", "time", "feature"))
    assert_array_equal(sliding_windows(many, 4)[0], sliding_windows([TABLE, -TABLE], 4)[0])
