import re
import sys

import narwhals.stable.v2 as nw
import numpy as np
import pytest
from frame_libraries import as_dict, each_library, make_frame
from numpy.testing import assert_array_equal
from sklearn.model_selection import GroupKFold, cross_val_score

from sklearn_rnn import RNNClassifier, RNNRegressor
from sklearn_rnn.preprocessing import frame_from_sequences, sequences_from_frame

# Two visits of patient "b", one of "a"; the rows are neither together nor in the order of time.
LOG = {
    "patient": ["b", "a", "b", "a", "b", "b"],
    "visit": [2, 1, 1, 1, 2, 1],
    "hour": [3, 0, 1, 2, 1, 0],
    "pulse": [71.0, 90.0, 64.0, 88.0, 66.0, 65.0],
    "drug": ["x", "y", "x", "x", "z", "y"],
    "age": [30, 61, 30, 61, 30, 30],
    "ill": [0, 1, 1, 1, 0, 1],
}


def log(library="pandas", **changed):
    return make_frame(library, LOG | changed)


# ---- X -----------------------------------------------------------------------------------------------


@each_library
def test_rows_of_one_value_are_a_sequence_in_order(library):
    X, y, groups = sequences_from_frame(log(library), "patient", ["visit", "hour"], ["pulse", "drug"])
    assert [type(x) for x in X] == [type(log(library))] * 2
    assert [as_dict(x) for x in X] == [
        {"pulse": [65.0, 64.0, 66.0, 71.0], "drug": ["y", "x", "z", "x"]},
        {"pulse": [90.0, 88.0], "drug": ["y", "x"]},
    ]
    assert y is None
    assert groups.tolist() == ["b", "a"]


@each_library
def test_several_columns_tell_sequences_apart_and_the_first_one_groups_them(library):
    X, _, groups = sequences_from_frame(log(library), ["patient", "visit"], "hour", "pulse")
    assert [as_dict(x)["pulse"] for x in X] == [[66.0, 71.0], [90.0, 88.0], [65.0, 64.0]]
    assert groups.tolist() == ["b", "a", "b"]


@each_library
def test_without_order_the_rows_keep_the_order_of_the_frame(library):
    X, _, _ = sequences_from_frame(log(library), "patient", features="hour")
    assert [as_dict(x)["hour"] for x in X] == [[3, 1, 1, 0], [0, 2]]


def test_without_features_all_other_columns_are_features():
    X, _, _ = sequences_from_frame(log(), ["patient", "visit"], "hour", target="ill")
    assert list(X[0].columns) == ["pulse", "drug", "age"]
    X, _, _ = sequences_from_frame(log(), "patient", ["visit", "hour"], target="ill", groups="age", target_per="step")
    assert list(X[0].columns) == ["pulse", "drug"]
    X, _, _ = sequences_from_frame(log(), "patient", ["visit", "hour"], static="age")
    assert list(X[0].columns) == ["pulse", "drug", "age", "ill"]


def test_features_may_hold_the_order():
    X, _, _ = sequences_from_frame(log(), ["patient", "visit"], "hour", ["pulse", "hour"])
    assert_array_equal(X[0], [[66.0, 1], [71.0, 3]])


def test_frames_of_pandas_keep_their_index_and_the_frame_is_not_changed():
    frame = log().set_index(np.arange(10, 16))
    before = frame.copy()
    X, _, _ = sequences_from_frame(frame, "patient", ["visit", "hour"], static="age")
    assert X[0].index.tolist() == [15, 12, 14, 10]
    assert frame.equals(before)


def test_columns_keep_their_dtypes():
    pd = pytest.importorskip("pandas", reason="pandas is not installed")
    frame = log(age=pd.array([None, 61, 30, None, None, None], "Int64"), drug=pd.Categorical(LOG["drug"]))
    X, _, _ = sequences_from_frame(frame, "patient", ["visit", "hour"], "drug", static="age")
    assert X[0].dtypes.astype(str).tolist() == ["category", "Int64"]
    assert X[0]["age"].tolist() == [30] * 4


@pytest.mark.parametrize(
    "hours",
    [
        [3.5, 0.0, 1.0, 2.0, 1.0, 0.0],
        ["2024-01-04", "2024-01-01", "2024-01-02", "2024-01-03", "2024-01-02", "2024-01-01"],
        np.array([3, 0, 1, 2, 1, 0], "datetime64[h]").astype("datetime64[ns]"),
        np.array([3, 0, 1, 2, 1, 0], "timedelta64[ms]"),
        ["12", "1", "5", "11", "2", "1"],
    ],
    ids=["floats", "ISO dates", "times", "durations", "whole numbers in text"],
)
@each_library
def test_order_may_be_numbers_times_or_iso_dates(library, hours):
    X, _, _ = sequences_from_frame(log(library, hour=hours), ["patient", "visit"], "hour", "pulse")
    assert [as_dict(x)["pulse"] for x in X] == [[66.0, 71.0], [90.0, 88.0], [65.0, 64.0]]


@pytest.mark.parametrize(
    "hours",
    [
        ["2024-01-01 12:00", "2024-01", "2024-01-01", "2024-01-01T11", "1500-01-01", "1066-10-14"],
        [f"2024-01-01T00:00:00.{second}" for second in ("50000000000021", "1", "70", "2", "500", "5")],
        ["0010", "1", "99999999999999999999", "11", "9", "-2"],
    ],
    ids=["far dates", "picoseconds", "long numbers"],
)
def test_text_is_sorted_at_any_precision(hours):
    X, _, _ = sequences_from_frame(log(hour=hours), ["patient", "visit"], "hour", "pulse")
    assert [x["pulse"].tolist() for x in X] == [[66.0, 71.0], [90.0, 88.0], [65.0, 64.0]]


def make_ordered(library, values, categories):
    module = pytest.importorskip(library, reason=f"{library} is not installed")
    if library == "polars":
        return module.Series(values, dtype=module.Enum(categories))
    codes = [categories.index(value) for value in values]
    if library == "pandas":
        return module.Categorical.from_codes(codes, categories, ordered=True)
    return module.DictionaryArray.from_arrays(module.array(codes), categories, ordered=True)


@each_library
def test_ordered_categories_give_their_order(library):
    stages = make_ordered(library, ["late", "early", "mid", "late", "early", "early"], ["early", "mid", "late"])
    X, _, _ = sequences_from_frame(log(library, hour=stages), ["patient", "visit"], "hour", "pulse")
    assert [as_dict(x)["pulse"] for x in X] == [[66.0, 71.0], [90.0, 88.0], [65.0, 64.0]]


def test_ordered_categories_of_numbers_give_their_order_too():
    countdown = make_ordered("pandas", [0, 2, 1, 0, 2, 2], [2, 1, 0])
    X, _, _ = sequences_from_frame(log(hour=countdown), ["patient", "visit"], "hour", "pulse")
    assert [x["pulse"].tolist() for x in X] == [[66.0, 71.0], [90.0, 88.0], [65.0, 64.0]]


def test_categories_of_polars_without_an_order_are_text():
    pl = pytest.importorskip("polars", reason="polars is not installed")
    stages = pl.Series(["late", "early", "mid", "late", "early", "early"], dtype=pl.Categorical)
    with pytest.raises(TypeError, match=r"^order='hour' holds text such as 'early', which is no ISO date"):
        sequences_from_frame(log("polars", hour=stages), ["patient", "visit"], "hour", "pulse")


def test_times_with_a_zone_give_an_order():
    pd = pytest.importorskip("pandas", reason="pandas is not installed")
    hours = pd.to_datetime(LOG["hour"], unit="h").tz_localize("Europe/Athens")
    X, _, _ = sequences_from_frame(log(hour=hours), ["patient", "visit"], "hour", "pulse")
    assert X[0]["pulse"].tolist() == [66.0, 71.0]


def test_one_row_is_a_sequence_of_one_step():
    X, y, groups = sequences_from_frame(make_frame("pandas", {"id": [4], "x": [1.0], "y": [2]}), "id", target="y")
    assert (X[0].shape, y.tolist(), groups.tolist()) == ((1, 1), [2], [4])


def test_categories_without_rows_are_no_sequences():
    pd = pytest.importorskip("pandas", reason="pandas is not installed")
    frame = log(patient=pd.Categorical(LOG["patient"], categories=["z", "a", "b"]))
    X, _, groups = sequences_from_frame(frame, "patient", features="pulse")
    assert [len(x) for x in X] == [4, 2]
    assert groups.tolist() == ["b", "a"]


# ---- Targets, static columns, groups -----------------------------------------------------------------


@each_library
def test_a_target_of_the_sequence_may_stand_in_some_of_its_rows(library):
    expected = [0.0, 1.0, 1.0]
    for ill in (LOG["ill"], [0, None, 1, 1, None, None]):
        _, y, _ = sequences_from_frame(log(library, ill=ill), ["patient", "visit"], "hour", "pulse", "ill")
        assert y.tolist() == expected


@each_library
def test_a_target_of_text_stays_text(library):
    state = ["off", "on", None, "on", "off", None]
    _, y, _ = sequences_from_frame(log(library, ill=state), ["patient", "visit"], "hour", "pulse", "ill")
    assert [label if isinstance(label, str) else None for label in y] == ["off", "on", None]


@each_library
def test_a_target_of_steps_has_the_form_of_x(library):
    _, y, _ = sequences_from_frame(log(library), "patient", ["visit", "hour"], "pulse", "drug", target_per="step")
    assert [part.tolist() for part in y] == [["y", "x", "z", "x"], ["y", "x"]]
    _, y, _ = sequences_from_frame(
        log(library), "patient", ["visit", "hour"], "pulse", ["ill", "hour"], target_per="step"
    )
    assert y[1].tolist() == [[1, 0], [1, 2]]
    assert [part.shape for part in y] == [(4, 2), (2, 2)]


def test_a_list_of_targets_gives_columns():
    frame = log(weight=[1.5, 2.0, 1.5, 2.0, 1.5, 1.5])
    _, y, _ = sequences_from_frame(frame, "patient", features="pulse", target=["age", "weight"])
    assert y.tolist() == [[30, 1.5], [61, 2.0]]
    _, y, _ = sequences_from_frame(frame, "patient", features="pulse", target=["age"])
    assert y.shape == (2, 1)
    _, y, _ = sequences_from_frame(frame, "patient", features="pulse", target=["age", "patient"])
    assert y.tolist() == [[30, "b"], [61, "a"]]


@each_library
def test_static_columns_are_repeated_at_every_step(library):
    frame = log(library, age=[None, None, 30, 61, None, None])
    X, _, _ = sequences_from_frame(frame, "patient", ["visit", "hour"], "pulse", static="age")
    assert [as_dict(x) for x in X] == [
        {"pulse": [65.0, 64.0, 66.0, 71.0], "age": [30] * 4},
        {"pulse": [90.0, 88.0], "age": [61] * 2},
    ]


def test_an_unknown_static_value_stays_unknown():
    X, _, _ = sequences_from_frame(log(age=[30, None, 30, None, None, None]), "patient", features="pulse", static="age")
    assert X[1]["age"].isna().all()


def test_groups_may_be_another_column():
    clinic = [5, 6, 4, 6, 5, 4]
    X, _, groups = sequences_from_frame(log(clinic=clinic), ["patient", "visit"], "hour", groups="clinic")
    assert groups.tolist() == [5, 6, 4]
    assert "clinic" not in X[0].columns


def test_the_result_goes_through_cross_validation_by_groups():
    rng = np.random.default_rng(0)
    frame = make_frame(
        "pandas",
        {
            "machine": np.repeat(np.arange(6), 12),
            "run": np.tile(np.repeat([0, 1, 2], 4), 6),
            "hour": np.tile(np.arange(4), 18),
            "load": rng.normal(size=72),
            "fails": np.repeat(rng.permutation(18) % 2, 4),
        },
    )
    X, y, groups = sequences_from_frame(
        frame.sample(frac=1, random_state=0), ["machine", "run"], "hour", target="fails"
    )
    classifier = RNNClassifier((4,), max_iter=2, random_state=0)
    scores = cross_val_score(classifier, X, y, groups=groups, cv=GroupKFold(3), error_score="raise")
    assert scores.shape == (3,)
    assert all(
        set(groups[train]).isdisjoint(groups[test]) and len(test) == 6
        for train, test in GroupKFold(3).split(X, y, groups)
    )


# ---- Errors of sequences_from_frame ------------------------------------------------------------------


@pytest.mark.parametrize("argument", ["by", "order", "features", "target", "static", "groups"])
def test_an_unknown_column_is_named_with_one_that_may_be_meant(argument):
    arguments = {"by": "patient"} | {argument: "pulsee"}
    with pytest.raises(
        ValueError, match=rf"^{argument}='pulsee' is not a column of frame, .*: did you mean 'pulse'\?$"
    ):
        sequences_from_frame(log(), **arguments)


def test_a_level_of_the_index_is_named_with_the_remedy():
    frame = log().set_index(["patient", "hour"])
    with pytest.raises(ValueError, match=r"^by='patient' is not .* a level of its index: pass frame.reset_index\(\)"):
        sequences_from_frame(frame, "patient")


@pytest.mark.parametrize("frame", [LOG, np.ones((3, 2)), [LOG], None], ids=["dict", "array", "list", "None"])
def test_what_is_no_frame_is_refused(frame):
    with pytest.raises(TypeError, match=r"^frame is of type \w+, but it must be a data frame of pandas, polars or py"):
        sequences_from_frame(frame, "patient")


def test_a_lazy_frame_is_to_be_collected():
    lazy = make_frame("polars", LOG).lazy()
    with pytest.raises(TypeError, match=r"^frame is of type LazyFrame, .*: call its collect\(\) first\.$"):
        sequences_from_frame(lazy, "patient")


def test_without_narwhals_frames_are_refused_with_the_extra_that_brings_it(monkeypatch):
    frame = log()
    monkeypatch.setitem(sys.modules, "narwhals.stable.v2", None)
    with pytest.raises(ImportError, match=r'^Data frames need narwhals: pip install "sklearn-rnn\[frames\]"\.$'):
        sequences_from_frame(frame, "patient")
    with pytest.raises(TypeError, match=r"^frame is of type list, but it must be a data frame of pandas"):
        sequences_from_frame([LOG], "patient")


@each_library
def test_missing_values_in_by_and_order_are_refused(library):
    frame = log(library, patient=["b", None, "b", None, "b", "b"])
    with pytest.raises(
        ValueError, match=r"^by='patient' has 2 missing values, the first in row 1: fill them, or leave"
    ):
        sequences_from_frame(frame, "patient")
    with pytest.raises(ValueError, match=r"^order='hour' has 1 missing values, the first in row 0"):
        sequences_from_frame(log(library, hour=[None, 0, 1, 2, 1, 0]), "patient", "hour")


def test_two_steps_at_one_place_are_refused():
    with pytest.raises(
        ValueError,
        match=r"^order='hour' does not decide between rows 2 and 4: in the sequence patient='b' both have hour=1\. "
        r"Leave out one of them, add a column that decides \(order=\['hour', \.\.\.\]\), or sort",
    ):
        sequences_from_frame(log(), "patient", "hour")
    with pytest.raises(ValueError, match=r"rows 0 and 3: in the sequence age=1 both have hour=2, visit=1"):
        sequences_from_frame(
            log(age=[1, 0, 0, 1, 1, 1], hour=[2, 0, 0, 2, 3, 4], visit=[1, 1, 2, 1, 2, 2]), "age", ["hour", "visit"]
        )


@pytest.mark.parametrize(
    "text", ["1.5", "noon", "03/12/2024", "2024-01-01T10:00+02:00", "", "NaT", "now", "today", "2024-1-1"]
)
@pytest.mark.parametrize("others", ["98765", ["2024-01-01"] * 5], ids=["numbers", "dates"])
def test_text_whose_order_is_not_that_of_time_is_refused(text, others):
    with pytest.raises(TypeError, match=rf"^order='hour' holds text such as '{re.escape(text)}', which is no ISO date"):
        sequences_from_frame(log(hour=[text, *others]), "patient", "hour")


def test_text_that_is_not_all_dates_is_refused():
    with pytest.raises(TypeError, match=r"^order='hour' holds text such as '2024-02-30', which is no ISO date"):
        sequences_from_frame(log(hour=["2024-02-30", *["2024-01-02"] * 5]), "patient", "hour")
    with pytest.raises(TypeError, match=r"^order='hour' holds text such as '20240101', which is no ISO date"):
        sequences_from_frame(log(hour=["20240101", *["2024-01-02"] * 5]), "patient", "hour")
    with pytest.raises(TypeError, match=r"^order='hour' holds text and other values, such as 7: convert it"):
        sequences_from_frame(log(hour=["2024-01-01", 7, *["2024-01-02"] * 4]), "patient", "hour")


def test_what_cannot_be_sorted_is_refused():
    with pytest.raises(TypeError, match=r"^order='hour' cannot be sorted"):
        sequences_from_frame(log(hour=[1, (2,), 3, 4, 5, 6]), "patient", "hour")


@each_library
def test_a_target_that_changes_within_a_sequence_is_refused(library):
    with pytest.raises(
        ValueError,
        match=r"^target='drug' changes within the sequence patient='b', visit=1: it is 'y' in row 5, and 'x' in row 2"
        r"\. For a target at every step pass target_per='step'",
    ):
        sequences_from_frame(log(library, drug=list("xxxxxy")), ["patient", "visit"], "hour", "pulse", "drug")


def test_a_static_column_or_a_group_that_changes_within_a_sequence_is_refused():
    with pytest.raises(ValueError, match=r"^static='pulse' changes within .*name it in features instead"):
        sequences_from_frame(log(), "patient", static="pulse")
    with pytest.raises(ValueError, match=r"^groups='visit' changes within .*'b': it is 2 in row 0, and 1 in row 2\."):
        sequences_from_frame(log(), "patient", groups="visit")
    with pytest.raises(ValueError, match=r"^groups='clinic' is missing in the sequence patient='a'"):
        sequences_from_frame(log(clinic=[1.0, None, 1.0, None, 1.0, 1.0]), "patient", groups="clinic")


def test_the_target_is_not_among_the_features():
    with pytest.raises(ValueError, match=r"^features contains the target 'ill': X must not hold the answer"):
        sequences_from_frame(log(), "patient", features=["pulse", "ill"], target="ill")
    with pytest.raises(ValueError, match=r"^static contains the target 'ill'"):
        sequences_from_frame(log(), "patient", static="ill", target="ill")


def test_empty_frames_and_empty_arguments_are_refused():
    with pytest.raises(ValueError, match=r"^frame has no rows"):
        sequences_from_frame(log().iloc[:0], "patient")
    with pytest.raises(ValueError, match=r"^by is empty"):
        sequences_from_frame(log(), [])
    with pytest.raises(ValueError, match=r"^features is None, and no column is left for X.* features too if features"):
        sequences_from_frame(log()[["patient", "hour"]], ["patient", "hour"])
    with pytest.raises(ValueError, match=r"^target_per='row' is not known: it must be 'sequence' or 'step'"):
        sequences_from_frame(log(), "patient", target_per="row")


def test_columns_of_one_name_are_refused():
    frame = log().rename(columns={"age": "pulse"})
    with pytest.raises(ValueError, match=r"^frame has several columns named 'pulse'"):
        sequences_from_frame(frame, "patient")


# ---- frame_from_sequences ----------------------------------------------------------------------------


@each_library
def test_values_of_steps_come_back_to_their_rows(library):
    frame = log(library)
    X, _, _ = sequences_from_frame(frame, ["patient", "visit"], "hour", ["pulse", "hour"])
    values = [np.asarray(x)[:, 0] for x in X]
    result = frame_from_sequences(values, frame, ["patient", "visit"], "hour", name="again")
    assert type(result) is type(frame)
    assert as_dict(result) == LOG | {"again": LOG["pulse"]}
    assert as_dict(frame) == LOG


@each_library
def test_values_of_sequences_are_repeated_in_their_rows(library):
    values = {"floats": np.array([0.5, 1.5]), "text": ["B", "A"], "flags": [True, False]}
    for name, value in values.items():
        result = as_dict(frame_from_sequences(value, log(library), "patient", name=name))
        assert result[name] == [value[0] if patient == "b" else value[1] for patient in LOG["patient"]]


@each_library
def test_a_list_of_names_gives_columns(library):
    proba = np.array([[0.25, 0.75], [1.0, 0.0]])
    result = as_dict(frame_from_sequences(proba, log(library), "patient", name=["no", "yes"]))
    assert result["yes"] == [0.75, 0.0, 0.75, 0.0, 0.75, 0.75]
    steps = [np.arange(8).reshape(4, 2), np.arange(4).reshape(2, 2)]
    result = as_dict(frame_from_sequences(steps, log(library), "patient", ["visit", "hour"], name=["no", "yes"]))
    assert result["no"] == [6, 0, 2, 2, 4, 0]


def test_an_array_of_equal_lengths_is_read_by_the_name():
    frame = make_frame("pandas", {"id": [0, 0, 1, 1], "x": [1.0, 2.0, 3.0, 4.0]})
    values = np.array([[1, 2], [3, 4]])
    assert frame_from_sequences(values, frame, "id")["prediction"].tolist() == [1, 2, 3, 4]
    assert frame_from_sequences(values, frame, "id", name=["a", "b"])["a"].tolist() == [1, 1, 3, 3]


@pytest.mark.parametrize("values", [[7.5], [7], ["seven"], [True]], ids=str)
@each_library
def test_rows_of_other_sequences_are_missing(library, values):
    result = as_dict(frame_from_sequences(values, log(library), "patient", indices=[1]))
    assert result["prediction"] == [None, values[0], None, values[0], None, None]


@each_library
def test_the_dtype_of_values_stays_beside_missing_ones(library):
    result = frame_from_sequences(np.array([7.5], np.float32), log(library), "patient", indices=[1])
    assert nw.from_native(result).schema["prediction"] == nw.Float32


@each_library
def test_labels_that_are_objects_come_back_beside_missing_ones(library):
    labels = np.array(["B"], dtype=object)
    result = as_dict(frame_from_sequences(labels, log(library), "patient", indices=[0]))
    assert result["prediction"] == ["B", None, "B", None, "B", "B"]


def test_predictions_of_a_shuffled_part_find_their_rows():
    frame = make_frame("pandas", {"id": np.repeat(np.arange(5), 3), "x": np.arange(15.0)})
    X, _, _ = sequences_from_frame(frame, "id")
    test = [4, 0, 2]
    result = frame_from_sequences([X[i]["x"] for i in test], frame, "id", indices=test)
    seen = frame["id"].isin(test)
    assert result["prediction"][seen].tolist() == frame["x"][seen].tolist()
    assert result["prediction"][~seen].isna().all()


def test_predictions_of_an_estimator_stand_beside_their_rows():
    X, y, _ = sequences_from_frame(log(), ["patient", "visit"], "hour", "pulse", "age", target_per="step")
    regressor = RNNRegressor((3,), readout="each", max_iter=2, random_state=0).fit(X, y)
    predicted = regressor.predict(X)
    result = frame_from_sequences(predicted, log(), ["patient", "visit"], "hour")
    assert_array_equal(result["prediction"].to_numpy()[[4, 0]], predicted[0])


@pytest.mark.parametrize(
    ("values", "arguments", "message"),
    [
        ([1.0], {}, r"^values has 1 entries for 2 sequences of frame: pass the places of these sequences as indices"),
        ([1.0, 2.0, 3.0], {}, r"^values has 3 entries for 2 sequences of frame: pass one for each"),
        ([], {"indices": []}, r"^indices is empty: at least one sequence is needed"),
        ([], {"indices": np.array([], int)}, r"^indices is empty: at least one sequence is needed"),
        ([[1.0] * 4, [1.0] * 3], {}, r"^values\[1\] has shape \(3,\), but name='prediction' and the 2 steps of this "),
        (np.ones((2, 3)), {"name": ["a", "b"]}, r"values\[0\] has shape \(3,\), .* need an array of shape \(2,\) or"),
        ([1.0, 2.0], {"name": "pulse"}, r"^name='pulse' is the name of another column"),
        (np.ones((2, 2)), {"name": ["a", "a"]}, r"^name='a' is the name of another column"),
        ([1.0], {"indices": [2]}, r"^indices goes from 2 to 2, but frame has 2 sequences"),
        ([1.0, 2.0], {"indices": [1, 1]}, r"^indices names a sequence twice"),
        ([1.0, 2.0], {"by": "patint"}, r"^by='patint' is not a column"),
    ],
)
def test_values_that_do_not_agree_with_the_frame_are_refused(values, arguments, message):
    with pytest.raises((ValueError, TypeError), match=message):
        frame_from_sequences(values, log(), **{"by": "patient"} | arguments)


def test_a_mask_is_no_place():
    with pytest.raises(TypeError, match=r"^indices must be a list or 1-D array of int"):
        frame_from_sequences([1.0], log(), "patient", indices=[True, False])


def test_values_under_a_mask_are_refused():
    with pytest.raises(ValueError, match=r"^values is a masked array with 1 masked value,"):
        frame_from_sequences(np.ma.array([1.0, 2.0], mask=[0, 1]), log(), "patient")
    with pytest.raises(ValueError, match=r"^values\[1\] is a masked array with 1 masked value,"):
        frame_from_sequences([np.arange(4.0), np.ma.array([1.0, 2.0], mask=[0, 1])], log(), "patient")
    frame = frame_from_sequences(np.ma.array([1.0, 2.0]), log(), "patient")
    assert frame["prediction"].tolist() == [1, 2, 1, 2, 1, 1]


def test_targets_of_steps_need_a_target():
    with pytest.raises(ValueError, match=r"^target_per='step' needs a target"):
        sequences_from_frame(log(), "patient", target_per="step")


# ---- Names -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "form", [lambda names: make_frame("pandas", {key: [0] for key in names}).columns, np.array, tuple]
)
def test_names_may_be_an_index_or_an_array(form):
    X, y, groups = sequences_from_frame(
        log(), form(["patient", "visit"]), form(["hour"]), form(["pulse"]), form(["ill"]), form(["age"])
    )
    expected = sequences_from_frame(log(), ["patient", "visit"], ["hour"], ["pulse"], ["ill"], ["age"])
    assert [x.equals(e) for x, e in zip(X, expected[0])] == [True] * 3
    assert_array_equal(y, expected[1])
    assert y.shape == (3, 1)
    assert groups.tolist() == ["b", "a", "b"]
    frame = frame_from_sequences([[1.0], [2.0]], log(), form(["patient"]), name=form(["risk"]))
    assert frame["risk"].tolist() == [1, 2, 1, 2, 1, 1]


def test_groups_is_one_name():
    assert sequences_from_frame(log(), "patient", groups=["age"])[2].tolist() == [30, 61]
    with pytest.raises(ValueError, match=r"^groups=\['age', 'ill'\] must be the name of one column"):
        sequences_from_frame(log(), "patient", groups=["age", "ill"])


@pytest.mark.parametrize("argument", ["by", "order", "features", "target", "static", "groups"])
def test_what_is_no_name_is_refused(argument):
    arguments = {"by": "patient"} | {argument: [["pulse"]]}
    with pytest.raises(TypeError, match=rf"^{argument}=\[\['pulse'\]\] must be the name of a column, or a list"):
        sequences_from_frame(log(), **arguments)
