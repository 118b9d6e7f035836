"""Objects that are no sequences as they are: each has its own message, with the remedy."""

from datetime import date, datetime, timedelta

import numpy as np
import pytest
from helpers import make_sequences
from refusals import LABELS, assert_refuses, assert_training_refuses, classifier, object_array, sequences, sequences_but
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from sklearn_rnn.preprocessing import TimeDistributed, to_object_column

NAMES = ["speed", "angle"]


def masked(x, *places):
    x = np.ma.masked_array(x, mask=False)
    for place in places:
        x[place] = np.ma.masked
    return x


def frame(x, **columns):
    pd = pytest.importorskip("pandas", reason="makes frames of pandas")
    return pd.DataFrame(x, columns=NAMES).assign(**columns)


def table():
    return frame(np.ones((6, 2)))


def polars_frame(*columns):
    pl = pytest.importorskip("polars", reason="makes frames of polars")
    return pl.DataFrame({str(i): column for i, column in enumerate(columns)})


def arrow_table(*columns):
    pa = pytest.importorskip("pyarrow", reason="makes tables of pyarrow")
    return pa.table({str(i): pa.array(column) for i, column in enumerate(columns)})


def tensor_on_a_device():
    torch = pytest.importorskip("torch", reason="makes tensors of torch")
    return torch.ones((6, 4, 2), device="meta")


def sparse_tensor():
    torch = pytest.importorskip("torch", reason="makes tensors of torch")
    return torch.ones((6, 4, 2)).to_sparse()


def data_set():
    xr = pytest.importorskip("xarray", reason="makes data sets of xarray")
    return xr.Dataset({name: (("case", "time"), np.ones((6, 4))) for name in NAMES})


class OnADevice:
    """An array of another library on a GPU."""

    shape = (6, 4, 2)

    def __dlpack__(self):
        raise AssertionError("NumPy cannot read this memory")

    def __dlpack_device__(self):
        return 2, 0


array = np.stack(make_sequences((4,) * 6))
DAY = date(2024, 5, 17)
DAYS = [DAY] * 6
TIMES = "contains times, such as .*: leave them out, or pass elapsed time as a number, such as"
ONE_STRING = (
    r"X has one string per row, such as '\w+', but a sequence has steps\. If X is one sequence, pass \[X\]\. If each "
    r"string is a text, pass its words, \[text\.split\(\) for text in X\], or its characters, \[list"
)

VALUES = {
    "a masked value": (
        lambda: masked(array, (3, 1, 0)),
        r"X is a masked array with 1 masked value, whose numbers mean",
    ),
    "masked values": (
        lambda: masked(array, 3),
        r"X is a masked array with 8 masked values, .* as a list of arrays, or",
    ),
    "a masked value of a 2-D array": (
        lambda: masked(np.ones((6, 2)), (3, 1)),
        "X is a masked array with 1 masked value",
    ),
    "a masked step": (
        lambda: sequences_but(2, masked(np.ones((4, 2)), 1)),
        r"X\[2\] is a masked array with 2 masked val",
    ),
    "times": (lambda: np.full((6, 4, 2), "2024-05-17", "M8[D]"), rf"X {TIMES}"),
    "durations": (lambda: np.full((6, 4, 2), 1, "m8[D]"), rf"X {TIMES}"),
    "rows of times": (lambda: np.full((6, 2), "2024-05-17", "M8[D]"), rf"X {TIMES}"),
    "NaT": (lambda: sequences_but(1, np.full((4, 2), "NaT", "M8[s]")), rf"X\[1\] {TIMES}"),
    "objects of time": (lambda: sequences_but(1, [[datetime(2024, 5, 17), 1.0]]), rf"X\[1\] {TIMES}"),
    "objects of duration": (lambda: sequences_but(1, [[1.0, timedelta(1)]]), rf"X\[1\] {TIMES}"),
    "rows with objects of time": (lambda: np.array([[DAY, 1.0]] * 6, dtype=object), rf"X {TIMES}"),
    "a frame with times": (lambda: table().assign(when=np.datetime64(DAY)), rf"X\['when'\] {TIMES}"),
    "a frame with dates": (lambda: table().assign(when=DAY), rf"X\['when'\] {TIMES}"),
    "a frame with NaT": (lambda: table().assign(when=[*map(np.datetime64, DAYS[1:]), None]), rf"X\['when'\] {TIMES}"),
    "a polars frame with dates": (lambda: polars_frame(np.ones(6), DAYS), rf"X\['1'\] {TIMES}"),
    "an arrow table with dates": (lambda: arrow_table(np.ones(6), DAYS), rf"X\['1'\] {TIMES}"),
    "a string per row": (lambda: ["walk", "run", "walk", "rest", "1", "2"], ONE_STRING),
    "an array of strings": (lambda: np.array(["walk"] * 6), ONE_STRING),
    "an object array of strings": (lambda: object_array(["walk"] * 6), ONE_STRING),
    "a column of strings": (lambda: np.full((6, 1), "walk"), ONE_STRING),
    "an object column of strings": (lambda: np.full((6, 1), "walk", dtype=object), ONE_STRING),
    "a frame of strings": (lambda: table().assign(kind="walk")[["kind"]], ONE_STRING),
    "a series of strings": (lambda: table().assign(kind="walk")["kind"], ONE_STRING),
    "a polars frame of strings": (lambda: polars_frame(["walk"] * 6), ONE_STRING),
    "a polars series of strings": (lambda: polars_frame(["walk"] * 6)["0"], ONE_STRING),
    "an arrow table of strings": (lambda: arrow_table(["walk"] * 6), ONE_STRING),
}
FRAMES = {
    "frames with times": (
        lambda: [frame(x, when=np.datetime64(DAY)) for x in sequences()],
        rf"X\[0\] {TIMES}",
    ),
    "polars frames with dates": (lambda: [polars_frame(np.ones(6), DAYS)] * 6, rf"X\[0\]\['1'\] {TIMES}"),
    "arrow tables with dates": (lambda: [arrow_table(np.ones(6), DAYS)] * 6, rf"X\[0\]\['1'\] {TIMES}"),
}
TYPES = {
    "a dict": (
        lambda: dict(enumerate(sequences())),
        r"X is a dict: pass the sequences in it as a list, list\(X\.values",
    ),
    "values of a dict": (lambda: dict(enumerate(sequences())).values(), r"X is a dict_values, .*: pass list\(X\)\."),
    "a generator": (
        lambda: (x for x in [0]),
        r"X is a generator, but sequences are read several times, by index: pass l",
    ),
    "a map": (lambda: map(np.asarray, [0]), r"X is a map, but .*: pass list\(X\)\."),
    "a set": (lambda: {1, 2}, r"X is a set, but .*: pass list\(X\)\."),
    "a groupby": (
        lambda: table().groupby("speed"),
        r"X is DataFrameGroupBy, .*: pass the rows of every group as a list,",
    ),
    "a groupby of a column": (lambda: table().groupby("speed")["angle"], r"X is SeriesGroupBy, .* as a list, "),
    "a groupby of polars": (
        lambda: polars_frame([1.0, 2.0]).group_by("0"),
        r"X is GroupBy, .* of every group as a list",
    ),
    "a list of a groupby": (
        lambda: list(table().assign(id=range(6)).groupby("id")),
        r"X\[0\] is a pair of a key, 0, and rows: pass the rows alone, \[rows for _, rows in X\], with the ",
    ),
    "items of a dict": (lambda: list(dict(enumerate(sequences())).items()), r"X\[0\] is a pair of a key, 0, and rows"),
    "a lazy frame": (lambda: polars_frame([1.0, 2.0]).lazy(), r"X is a LazyFrame, .*: pass X\.collect\(\)\."),
    "a data set": (data_set, r"X is a Dataset of several variables: pass X\.to_dataarray\('feature'\)\."),
    "a tensor on a device": (tensor_on_a_device, r"X is a tensor on the device 'meta': copy it to the CPU, with \.cpu"),
    "a sparse tensor": (sparse_tensor, r"X is a tensor of layout torch\.sparse_coo, but .*: use \.to_dense\(\)\."),
    "an array on a device": (OnADevice, r"X is OnADevice in the memory of a device: copy it to the CPU first\."),
    "a sequence on a device": (
        lambda: sequences_but(1, OnADevice()),
        r"X\[1\] is OnADevice in the memory of a device: ",
    ),
}


@pytest.mark.parametrize(("make", "message"), VALUES.values(), ids=VALUES)
def test_values_that_are_no_numbers_are_refused(make, message):
    assert_training_refuses(classifier(), make(), LABELS, message=message)
    assert_refuses(classifier().fit(sequences(), LABELS), "predict", make(), message=message)


@pytest.mark.parametrize(("make", "message"), FRAMES.values(), ids=FRAMES)
def test_times_in_the_frames_of_sequences_are_refused(make, message):
    assert_refuses(classifier(), "fit", make(), LABELS, message=message)


@pytest.mark.parametrize(("make", "message"), TYPES.values(), ids=TYPES)
def test_objects_that_are_no_containers_of_sequences_are_refused(make, message):
    assert_training_refuses(classifier(), make(), LABELS, error=TypeError, message=message)
    if "X[1]" not in message.replace("\\", ""):  # the sequences themselves are not read
        with pytest.raises(TypeError, match=f"^{message}"):
            to_object_column(make())


def test_the_remedies_work():
    groups = frame(np.concatenate(sequences()), id=np.repeat(range(6), [len(x) for x in sequences()])).groupby("id")
    texts = ["walk", "run", "rest", "walk", "talk", "run"]
    letters = sorted(set("".join(texts)))
    remedies = {
        "a generator": list(x for x in sequences()),  # noqa: C400
        "a dict": list(dict(enumerate(sequences())).values()),
        "a groupby": [rows[NAMES] for _, rows in groups],
        "a data set": data_set().to_dataarray("feature"),
        "a string per row": [[[c == letter for letter in letters] for c in text] for text in texts],
    }
    reference = classifier().fit(sequences(), LABELS)
    for name, X in remedies.items():
        probabilities = classifier().fit(X, LABELS).predict_proba(X)
        assert probabilities.shape == (6, 2)
        if name in ("a generator", "a dict", "a groupby"):
            np.testing.assert_array_equal(probabilities, reference.predict_proba(sequences()))
    assert classifier().fit(remedies["a data set"], LABELS).n_features_in_ == 2


def test_a_column_of_strings_that_are_numbers_is_read_as_numbers():
    numbers = [[0.5], [1.0], [0.0], [2.0], [3.5], [1.0]]
    strings = np.array([[str(number)] for (number,) in numbers], dtype=object)
    np.testing.assert_array_equal(
        classifier().fit(strings, LABELS).predict_proba(strings),
        classifier().fit(numbers, LABELS).predict_proba(numbers),
    )


@pytest.mark.parametrize("x", [masked(np.ones((1, 2)), 0), np.full((1, 2), "NaT", "M8[s]"), [[DAY, 1.0]], OnADevice()])
def test_a_step_of_a_stream_is_refused_too(x):
    stream = classifier(bidirectional=False).fit(sequences(), LABELS).stream()
    before = stream.state
    with pytest.raises((ValueError, TypeError), match=r"^x (is|contains) "):
        stream.step(x)
    for name, state in stream.state.items():
        np.testing.assert_array_equal(state, before[name])


TEXT = {
    "digits in ragged lists": (lambda: [["01", "1"], ["007"], *[["2"]] * 4], r"X\[0\]", "01"),
    "digits in lists": (lambda: [["01", "1"]] * 6, r"X(\[0\])?", "01"),  # 2-D, unless the fit was on sequences
    "digits in an array of objects": (
        lambda: sequences_but(1, np.array([[1.0, "07"]], dtype=object)),
        r"X\[1\]",
        "07",
    ),
    "digits in a 3-D array": (lambda: np.full((6, 3, 2), "1"), r"X(\[0\])?", "1"),
    "digits in a 3-D array of objects": (lambda: np.full((6, 3, 2), "1", dtype=object), r"X(\[0\])?", "1"),
    "digits in an object column": (lambda: object_array([["1", "2"], ["3"]] * 3).reshape(-1, 1), r"X\[0\]", "1"),
    "a word among digits": (lambda: sequences_but(1, [["1", "q"]]), r"X\[1\]", "[1q]"),
    "a word beside a number": (lambda: sequences_but(1, [[1.0, "q"]]), r"X\[1\]", "q"),
}


@pytest.mark.parametrize(("make", "place", "text"), TEXT.values(), ids=TEXT)
def test_strings_are_no_numbers(make, place, text):
    message = (
        rf"{place} is not numeric: it has the string '{text}'\. Make numbers of strings, choose their feature in "
        r"categorical_features of RNNClassifier or RNNRegressor, or encode it with "
        r"TimeDistributed\(OneHotEncoder\(\)\)\.$"
    )
    assert_training_refuses(classifier(), make(), LABELS, message=message)


COLUMNS_OF_TEXT = {
    "pandas": (lambda cells: frame(np.ones((2, 2)), kind=cells), "kind"),
    "polars": (lambda cells: polars_frame([1.0, 2.0], cells), "1"),
    "pyarrow": (lambda cells: arrow_table([1.0, 2.0], cells), "1"),
}


@pytest.mark.parametrize(
    ("cells", "selection"), [(["view", "buy"], None), (["01", "7"], "from_dtype")], ids=["words", "digits"]
)
@pytest.mark.parametrize(("make", "label"), COLUMNS_OF_TEXT.values(), ids=COLUMNS_OF_TEXT)
def test_a_column_of_strings_in_a_list_of_frames_is_named_with_the_remedy(make, label, cells, selection):
    message = (
        rf"X\[0\]\['{label}'\] is not numeric: it has the string '{cells[0]}'\. Leave the column out, make numbers of "
        r"it, name it in categorical_features of RNNClassifier or RNNRegressor, or encode it with "
        r"TimeDistributed\(ColumnTransformer"
    )
    estimator = classifier(categorical_features=selection)
    assert_refuses(estimator, "fit", [make(cells)] * 6, LABELS, message=message)


def test_a_column_of_strings_is_encoded_by_the_remedy():
    X = [frame(np.ones((2, 2)), kind=["view", "buy"])] * 6
    encoder = ColumnTransformer([("kind", OneHotEncoder(), ["kind"])], remainder="passthrough")
    pipeline = make_pipeline(TimeDistributed(encoder), classifier()).fit(X, LABELS)
    assert pipeline[-1].n_features_in_ == 4


def test_a_string_in_a_step_of_a_stream_is_no_number():
    stream = classifier(bidirectional=False).fit(sequences(), LABELS).stream()
    with pytest.raises(ValueError, match=r"^x is not numeric: it has the string '07'"):
        stream.step(np.array([[1.0, "07"]], dtype=object))
