"""Containers of sequences of other libraries: each is the same data as a list of arrays."""

import numpy as np
import pytest
from helpers import make_sequences
from numpy.testing import assert_array_equal
from refusals import (
    LABELS,
    LENGTHS,
    assert_refuses,
    assert_training_refuses,
    classifier,
    object_array,
    per_step,
    regressor,
    sequences,
)
from sklearn.preprocessing import StandardScaler

from sklearn_rnn.metrics import make_step_scorer
from sklearn_rnn.model_selection import cross_val_predict_steps
from sklearn_rnn.preprocessing import TimeDistributed

NAMES = ["speed", "angle"]


class Library:
    """The library of an abbreviation, imported when a test reads an attribute of it; the test is skipped without."""

    def __init__(self, name):
        self.name = name

    def __getattr__(self, attribute):
        return getattr(pytest.importorskip(self.name, reason=f"makes containers of {self.name}"), attribute)


ak, jnp, pa, pd = map(Library, ("awkward", "jax.numpy", "pyarrow", "pandas"))
pl, torch, xr = map(Library, ("polars", "torch", "xarray"))


def columns_of(X):
    """The features of all sequences: two lists of arrays (n_steps_i,)."""
    return [[x[:, j].copy() for x in X] for j in range(2)]


def long_frame(X):
    """The steps of all sequences, with an index (instance, time). The instances are not sorted."""
    instances = ["f", "a", "d", "b", "e", "c"]
    index = [(instance, t) for instance, x in zip(instances, X) for t in range(len(x))]
    return pd.DataFrame(np.concatenate(X), columns=NAMES, index=pd.MultiIndex.from_tuples(index, names=["id", "time"]))


def grouped(X):
    """Arrays as groupby makes them."""
    frame = long_frame(X).groupby(level=0, sort=False)
    return frame.apply(lambda rows: np.array(rows))


def nested_lists(X):
    return [x.tolist() for x in X]


def structs(X):
    return [[dict(zip(NAMES, row)) for row in x.tolist()] for x in X]


# Of sequences with two features. Those whose features have names record them.
UNNAMED = {
    "an object column": lambda X: object_array(X).reshape(-1, 1),
    "columns of objects": lambda X: np.stack([object_array(c) for c in columns_of(X)], axis=1),
    "a pandas Series": lambda X: pd.Series(X, index=range(3, 9)),
    "a pandas groupby": grouped,
    "a pandas Series of lists": lambda X: pd.Series(nested_lists(X)),
    "a pandas Series of a list dtype": lambda X: pd.Series(
        nested_lists(X), dtype=pd.ArrowDtype(pa.list_(pa.list_(pa.float64())))
    ),
    "a pandas column of arrays": lambda X: pd.DataFrame({"sequence": object_array(X)}),
    "a polars list column": lambda X: pl.Series("x", nested_lists(X)),
    "a polars column of arrays": lambda X: pl.Series("x", nested_lists(X), dtype=pl.List(pl.Array(pl.Float64, 2))),
    "a polars column of objects": lambda X: pl.Series("x", X, dtype=pl.Object),
    "a polars frame with a list column": lambda X: pl.DataFrame({"x": nested_lists(X)}),
    "a pyarrow list array": lambda X: pa.array(nested_lists(X)),
    "a pyarrow chunked list array": lambda X: pa.chunked_array([nested_lists(X[:2]), nested_lists(X[2:])]),
    "a pyarrow array of lists of fixed size": lambda X: pa.array(
        nested_lists(X), type=pa.large_list(pa.list_(pa.float64(), 2))
    ),
    "a pyarrow table with a list column": lambda X: pa.table({"x": pa.array(nested_lists(X))}),
    "an awkward array": lambda X: ak.Array(nested_lists(X)),
    "a list of awkward arrays": lambda X: [ak.Array(x) for x in X],
    "a list of torch tensors": lambda X: [torch.tensor(x, requires_grad=True) for x in X],
    "a torch packed sequence": lambda X: torch.nn.utils.rnn.pack_sequence(
        [torch.tensor(x) for x in X], enforce_sorted=False
    ),
    "a torch nested tensor": lambda X: torch.nested.nested_tensor([torch.tensor(x) for x in X], layout=torch.jagged),
    "a list of DataArrays": lambda X: [xr.DataArray(x) for x in X],
    "a list of DataArrays with dims": lambda X: [xr.DataArray(x.T, dims=("channel", "time")) for x in X],
    "a list of arrays of another library": lambda X: [OnlyDlpack(x) for x in X],
}
NAMED = {
    "a nested frame of pandas": lambda X: pd.DataFrame(
        {name: [pd.Series(x) for x in column] for name, column in zip(NAMES, columns_of(X))}
    ),
    "a frame with an index of instance and time": long_frame,
    "a polars frame with list columns": lambda X: pl.DataFrame(dict(zip(NAMES, columns_of(X)))),
    "polars lists of structs": lambda X: pl.Series("x", structs(X)),
    "a pyarrow table with list columns": lambda X: pa.table(dict(zip(NAMES, map(pa.array, columns_of(X))))),
    "a pyarrow record batch with list columns": lambda X: pa.record_batch(
        dict(zip(NAMES, map(pa.array, columns_of(X))))
    ),
    "pyarrow lists of structs": lambda X: pa.array(structs(X)),
    "awkward records": lambda X: ak.Array(structs(X)),
    "a list of DataArrays with coordinates": lambda X: [
        xr.DataArray(x, dims=("time", "feature"), coords={"feature": NAMES}) for x in X
    ],
    "a list of record batches": lambda X: [pa.record_batch(dict(zip(NAMES, map(pa.array, x.T.copy())))) for x in X],
}
# Of univariate sequences.
UNIVARIATE = {
    "a pandas Series": lambda X: pd.Series(X),
    "a nested frame of pandas": lambda X: pd.DataFrame({"dim_0": [pd.Series(x) for x in X]}),
    "a pandas Series with an index of instance and time": lambda X: long_frame([np.c_[x, x] for x in X])["speed"],
    "a polars list column": lambda X: pl.Series("x", X),
    "a pyarrow list array": lambda X: pa.array(X),
    "an awkward array": lambda X: ak.Array(nested_lists(X)),
    "a list of polars columns": lambda X: [pl.Series("x", x) for x in X],
    "a list of pyarrow arrays": lambda X: [pa.array(x) for x in X],
    "a list of pyarrow columns": lambda X: [pa.chunked_array([x[:1], x[1:]]) for x in X],
}
# Of sequences with the same number of steps: 3-D arrays.
EQUAL = {
    "a torch tensor": lambda X: torch.tensor(X, requires_grad=True),
    "a DataArray": lambda X: xr.DataArray(X),
    "a DataArray with dims": lambda X: xr.DataArray(X.transpose(1, 2, 0), dims=("time", "feature", "case")),
    "a DataArray with one dim of its own": lambda X: xr.DataArray(X.swapaxes(1, 2), dims=("id", "channel", "time")),
    "a regular awkward array": lambda X: ak.from_numpy(X),
    "an array of another library": lambda X: OnlyDlpack(X),
    "a masked array without masked values": lambda X: np.ma.masked_array(X, mask=False),
}


class OnlyDlpack:
    """An array that only the DLPack protocol reads, on a device: 1 is the CPU, 2 a GPU."""

    def __init__(self, array, device=1):
        self.array, self.device, self.shape = array, device, array.shape

    def __len__(self):
        return len(self.array)

    def __dlpack__(self, **kwargs):
        return self.array.__dlpack__(**kwargs)

    def __dlpack_device__(self):
        return self.device, 0


def assert_is_read_as(X, arrays, names=None):
    reference = classifier().fit(arrays, LABELS)
    clf = classifier().fit(X, LABELS)
    for name, weights in reference.weights_.items():
        assert_array_equal(clf.weights_[name], weights)
    assert_array_equal(clf.predict_proba(X), reference.predict_proba(arrays))
    for hidden, expected in zip(clf.hidden_states(X), reference.hidden_states(arrays), strict=True):
        assert_array_equal(hidden, expected)
    assert_array_equal(getattr(clf, "feature_names_in_", None), names)


@pytest.mark.parametrize("make", UNNAMED.values(), ids=UNNAMED)
def test_a_container_is_read_as_the_list_of_its_sequences(make):
    if make is UNNAMED["columns of objects"]:
        assert make(sequences()).shape == (6, 2)
    assert_is_read_as(make(sequences()), sequences())


@pytest.mark.parametrize("make", NAMED.values(), ids=NAMED)
def test_a_container_with_labels_names_the_features(make):
    X = make(sequences())
    assert_is_read_as(X, sequences(), NAMES)
    clf = classifier(bidirectional=False).fit(X, LABELS)
    assert_array_equal(clf.stream(6).predict(X), clf.predict(X))
    swapped = make([x[:, ::-1] for x in sequences()])
    renamed = classifier().fit(pandas_frames(["speed", "height"]), LABELS)
    assert_refuses(renamed, "predict", swapped, message=r"X(\[0\])?: The feature names should match those that were ")


def pandas_frames(names):
    return [pd.DataFrame(x, columns=names) for x in sequences()]


@pytest.mark.parametrize("make", UNIVARIATE.values(), ids=UNIVARIATE)
def test_a_container_of_univariate_sequences_is_read_as_their_list(make):
    arrays = [x[:, 0].copy() for x in sequences()]
    X = make(arrays)
    names = ["speed"] if make is UNIVARIATE["a pandas Series with an index of instance and time"] else None
    assert_is_read_as(X, arrays, names)


@pytest.mark.parametrize("make", EQUAL.values(), ids=EQUAL)
def test_an_array_of_another_library_is_read_as_a_3d_array(make):
    array = np.stack(make_sequences((4,) * 6))
    assert_is_read_as(make(array), array)


def test_lists_of_float32_stay_float32():
    X = [x.astype(np.float32) for x in sequences()]
    for container in (pd.Series(X), object_array(X).reshape(-1, 1), [torch.tensor(x) for x in X]):
        assert classifier().fit(container, LABELS).predict_proba(container).dtype == np.float32


def test_arrays_of_jax_are_arrays():
    arrays = [x.astype(np.float32) for x in sequences()]  # jax has no float64 by default
    assert_is_read_as([jnp.asarray(x) for x in arrays], arrays)
    array = np.stack([x[:2] for x in arrays])
    assert_is_read_as(jnp.asarray(array), array)


def test_bfloat16_is_read_as_float32():
    X = [torch.tensor(x).to(torch.bfloat16) for x in sequences()]
    assert_is_read_as(X, [x.float().numpy() for x in X])


def test_2d_data_of_other_libraries_are_rows():
    rows = np.stack(make_sequences((4,) * 6)).reshape(6, 8)
    names = list("abcdefgh")
    reference = classifier(step_features=2).fit(rows, LABELS)
    others = [
        torch.tensor(rows),
        xr.DataArray(rows, dims=("case", "column")),
        xr.DataArray(rows.T, dims=("time", "case")),
        ak.from_numpy(rows),
        rows.astype(object),
        pl.DataFrame(dict(zip(names, rows.T))),
        pa.table(dict(zip(names, map(pa.array, rows.T.copy())))),
        pa.record_batch(dict(zip(names, map(pa.array, rows.T.copy())))),
        pd.DataFrame(rows.astype(object)),
    ]
    for X in others:
        clf = classifier(step_features=2).fit(X, LABELS)
        assert clf.n_features_in_ == 8
        assert_array_equal(clf.predict_proba(X), reference.predict_proba(rows))


def test_numbers_of_pandas_own_dtypes_are_numbers():
    arrays = [np.rint(5 * x) for x in sequences()]
    frames = [pd.DataFrame(x, columns=NAMES).astype("Int64") for x in arrays]
    assert_is_read_as(frames, arrays, NAMES)
    frames[2].iloc[1, 0] = pd.NA
    message = r"X contains NaN in sequence 2, step 1, feature 0: "
    assert_training_refuses(classifier(), frames, LABELS, message=message, good_X=pandas_frames(NAMES))


# ---- Values per step ---------------------------------------------------------------------------------


@pytest.mark.parametrize("make", (UNNAMED | NAMED).values(), ids=UNNAMED | NAMED)
def test_values_per_step_are_a_list_of_arrays_or_an_object_array(make):
    X = make(sequences())
    scaled = TimeDistributed(StandardScaler()).fit_transform(X)
    predicted = regressor(readout="each").fit(X, per_step(0.0)).predict(X)
    for values in (scaled, predicted):
        if isinstance(X, np.ndarray):
            assert values.dtype == object
            assert values.shape == (6,)
        else:
            assert isinstance(values, list)
        assert [len(value) for value in values] == list(LENGTHS)


def test_cross_validated_predictions_of_a_container_are_a_list():
    reg, y = regressor(readout="each"), per_step(0.0)
    expected = cross_val_predict_steps(reg, sequences(), y, cv=2)
    predicted = cross_val_predict_steps(reg, pd.Series(sequences()), y, cv=2)
    assert isinstance(predicted, list)
    for actual, values in zip(predicted, expected, strict=True):
        assert_array_equal(actual, values)
    column = cross_val_predict_steps(reg, object_array(sequences()).reshape(-1, 1), y, cv=2)
    assert column.shape == (6,)
    assert column.dtype == object


# ---- Containers that do not hold together ------------------------------------------------------------


def test_rows_of_an_instance_must_be_together():
    frame = long_frame(sequences())
    order = [*range(1, len(frame)), 0]
    message = r"X has an index of 2 levels, .*'id', 'time'.*, .* not together: call X\.sort_index\(\)\."
    assert_training_refuses(classifier(), frame.iloc[order], LABELS, message=message)


def test_steps_of_an_instance_must_be_in_the_order_of_their_times():
    frame = long_frame(sequences())
    order = [1, 0, *range(2, len(frame))]
    message = r"X has the steps of instance 'f' in another order than their times: call X\.sort_index\(\)\."
    assert_training_refuses(classifier(), frame.iloc[order], LABELS, message=message)
    numbered = frame.iloc[order].rename(index={"f": 7}, level=0)
    assert_refuses(classifier(), "fit", numbered, LABELS, message="X has the steps of instance 7 in another order")
    index = pd.MultiIndex.from_arrays([[7, 7, 8], [1, 0, 0]])
    only_numbers = pd.DataFrame(np.zeros((3, 1)), index=index)
    assert_refuses(classifier(), "fit", only_numbers, [0, 1], message="X has the steps of instance 7 in another order")


def test_rows_of_a_table_may_have_an_index_of_two_levels():
    rows = np.stack(make_sequences((4,) * 6)).reshape(6, 8)
    index = pd.MultiIndex.from_tuples([(i, "day 1") for i in range(6)])
    frame = pd.DataFrame(rows, index=index).add_prefix("x")
    message = r"X has an index of 2 levels, .* one row for each instance\. .*, call X\.reset_index\(drop=True\)\."
    assert_refuses(classifier(), "fit", frame, LABELS, message=message)
    table = frame.reset_index(drop=True)
    clf = classifier(step_features=2).fit(table, LABELS)
    assert_array_equal(clf.predict(frame), clf.predict(table))


def test_the_next_step_of_every_instance_is_a_frame_of_one_row_each():
    frame = long_frame(sequences())
    clf = classifier(bidirectional=False).fit(frame, LABELS)
    first = frame.groupby(level=0, sort=False).head(1)
    expected = clf.stream(6).predict([x[:1] for x in pandas_frames(NAMES)])
    assert_array_equal(clf.stream(6).predict(first), expected)
    assert_array_equal(clf.predict(first), expected)


def test_columns_with_the_same_label_are_different_features():
    X = NAMED["a nested frame of pandas"](sequences())
    X.columns = [0, 0]
    assert_is_read_as(X, sequences())


def test_targets_of_every_step_may_have_the_index_of_the_frame():
    frame, y = long_frame(sequences()), per_step(0.5)
    targets = pd.Series(np.concatenate(y), index=frame.index)
    reference = regressor(readout="each").fit(sequences(), y)
    reg = regressor(readout="each").fit(frame, targets)
    for values, expected in zip(reg.predict(frame), reference.predict(sequences()), strict=True):
        assert_array_equal(values, expected)
    assert reg.score(frame, targets) == reference.score(sequences(), y)
    scorer = make_step_scorer("neg_mean_absolute_error")
    assert scorer(reg, frame, targets) == scorer(reference, sequences(), y)
    both = pd.DataFrame({"a": targets, "b": -targets})
    assert regressor(readout="each").fit(frame, both).predict(frame)[0].shape == (LENGTHS[0], 2)
    order = [*range(1, len(frame)), 0]
    message = r"y has an index of 2 levels, .*, but these are not together: call y\.sort_index\(\)\."
    assert_refuses(regressor(readout="each"), "fit", frame, targets.iloc[order], message=message)


def test_an_index_of_three_levels_has_the_time_last():
    frame = long_frame(sequences())
    frame = pd.concat({"house": frame}, names=["house"])
    assert_is_read_as(frame, sequences(), NAMES)


def test_columns_of_a_nested_frame_need_the_same_steps():
    X = NAMED["a nested frame of pandas"](sequences())
    X.at[3, "angle"] = pd.Series([1.0, 2.0])
    message = r"X\[3\]\['angle'\] has 2 steps, but X\[3\]\['speed'\] has 4: "
    assert_training_refuses(classifier(), X, LABELS, message=message)


def test_a_nested_frame_has_no_columns_of_single_values():
    for make in ("a nested frame of pandas", "a polars frame with list columns", "a pyarrow table with list columns"):
        X = NAMED[make](sequences())
        if make.startswith("a pyarrow"):
            X = X.append_column("age", pa.array(range(6)))
        elif make.startswith("a polars"):
            X = X.with_columns(age=pl.Series(range(6)))
        else:
            X = X.assign(age=range(6))
        message = r"X has columns whose cells are sequences, such as 'speed', and columns of single values, "
        assert_training_refuses(classifier(), X, LABELS, message=message)


def test_missing_sequences_are_refused():
    for X in (
        pl.Series("x", [*nested_lists(sequences())[:5], None]),
        pa.array([*nested_lists(sequences())[:5], None]),
        pd.Series([*sequences()[:5], None]),
        object_array([*sequences()[:5], None]).reshape(-1, 1),
        ak.Array([*nested_lists(sequences())[:5], None]),
    ):
        assert_training_refuses(classifier(), X, LABELS, message=r"X\[5\] is None, but a sequence is an array")


def test_dims_without_a_clear_order_are_refused():
    array = np.stack(make_sequences((4,) * 6))
    X = xr.DataArray(array.transpose(1, 0, 2), dims=("time", "a", "b"))
    message = r"X has the dims \('time', 'a', 'b'\), whose order is not clear: rename them to \('sequence', 'time', "
    assert_training_refuses(classifier(), X, LABELS, message=message)
    recording = xr.DataArray(array[0], dims=("time", "feature"))
    message = (
        r"X has the dims \('time', 'feature'\): with two dims, one must be 'sequence'\. A recording of one sequence"
    )
    assert_training_refuses(classifier(), recording, LABELS, message=message)
