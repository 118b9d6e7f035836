"""Categorical features: which they are, their categories, the codes that stand for them, and what is refused."""

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_array_equal

from sklearn_rnn import RNNClassifier
from sklearn_rnn._data.training_data import read_sequences
from sklearn_rnn.preprocessing import to_object_column

pl = pytest.importorskip("polars")
pa = pytest.importorskip("pyarrow")

TOKENS = [["the", "cat"], ["a", "cat", "the"]]
LABELS = [0, 1]
AMOUNTS = [[0.5, 2.0], [1.0, -1.0, 0.0]]


def read(X, **settings):
    """Return the categories and the rows of codes and numbers of X."""
    estimator = RNNClassifier(**settings)
    schema, sequences = read_sequences(estimator, X)
    return estimator, schema, sequences


def pandas_frames(**dtypes):
    return [pd.DataFrame({"amount": a, "kind": k}).astype(dtypes) for a, k in zip(AMOUNTS, TOKENS)]


def polars_frames():
    return [pl.DataFrame({"amount": a, "kind": k}) for a, k in zip(AMOUNTS, TOKENS)]


def arrow_tables():
    return [pa.table({"amount": a, "kind": k}) for a, k in zip(AMOUNTS, TOKENS)]


# Code 0: no step, 1: unknown, then a, cat, the.
CODES = [4, 3, 2, 3, 4]


TOKEN_FORMS = {
    "lists": TOKENS,
    "tuples": tuple(map(tuple, TOKENS)),
    "arrays": [np.array(x) for x in TOKENS],
    "arrays of objects": [np.array(x, dtype=object) for x in TOKENS],
    "columns": [np.array(x).reshape(-1, 1) for x in TOKENS],
    "an object array": np.array(TOKENS, dtype=object),
    "an object column": np.array(TOKENS, dtype=object).reshape(-1, 1),
    "pandas Series": [pd.Series(x) for x in TOKENS],
    "a pandas Series of lists": pd.Series(TOKENS),
    "pandas frames": [pd.DataFrame({"kind": x}) for x in TOKENS],
    "a polars column of lists": pl.Series(TOKENS),
    "polars Series": [pl.Series(x) for x in TOKENS],
    "an arrow column of lists": pa.array(TOKENS),
}
if hasattr(np, "dtypes") and hasattr(np.dtypes, "StringDType"):  # since NumPy 2.0
    TOKEN_FORMS["arrays of variable strings"] = [np.array(x, dtype=np.dtypes.StringDType()) for x in TOKENS]


@pytest.mark.parametrize("X", TOKEN_FORMS.values(), ids=TOKEN_FORMS)
def test_sequences_of_strings_have_one_categorical_feature(X):
    estimator, schema, sequences = read(X)
    assert_array_equal(sequences.rows, np.reshape(CODES, (-1, 1)))
    assert_array_equal(sequences.lengths, [2, 3])
    assert sequences.dtype == np.float32
    assert list(schema.categories.features[0].codes) == ["a", "cat", "the"]
    assert estimator.n_features_in_ == 1


FRAMES = {
    "pandas": pandas_frames(),
    "pandas categories": pandas_frames(kind="category"),
    "pandas strings": pandas_frames(kind="string"),
    "polars": polars_frames(),
    "polars categories": [x.cast({"kind": pl.Categorical}) for x in polars_frames()],
    "polars enums": [x.cast({"kind": pl.Enum(["a", "cat", "the"])}) for x in polars_frames()],
    "pyarrow": arrow_tables(),
    "pyarrow dictionaries": [x.set_column(1, "kind", x["kind"].dictionary_encode()) for x in arrow_tables()],
}


@pytest.mark.parametrize("X", FRAMES.values(), ids=FRAMES)
def test_columns_of_strings_and_categories_beside_numbers(X):
    estimator, schema, sequences = read(X)
    assert_array_equal(sequences.rows, np.column_stack([np.concatenate(AMOUNTS), CODES]))
    assert sequences.dtype == np.float64
    (feature,) = schema.categories.features
    assert feature.name == "kind"
    assert sorted(feature.codes) == ["a", "cat", "the"]
    assert_array_equal(estimator.feature_names_in_, ["amount", "kind"])


def test_a_dtype_of_categories_declares_them():
    dtype = pd.CategoricalDtype(["the", "zebra", "cat", "a"])
    _, schema, sequences = read(pandas_frames(kind=dtype))
    assert list(schema.categories.features[0].codes) == ["the", "zebra", "cat", "a"]
    assert_array_equal(sequences.rows[:, 1], [2, 4, 5, 4, 2])


def test_categories_of_numbers_in_a_frame():
    _, schema, sequences = read([pd.DataFrame({"n": pd.Categorical([3, 1])}), pd.DataFrame({"n": pd.Categorical([1])})])
    assert schema.categories is not None
    assert_array_equal(sequences.rows.ravel(), [3, 2, 2])


OF_NUMBERS = {
    "pandas Series": [pd.Series([30, 10]).astype("category"), pd.Series([20]).astype("category")],
    "an object column of pandas Series": to_object_column(
        [pd.Series([30, 10]).astype("category"), pd.Series([20]).astype("category")]
    ),
    "arrow arrays": [pa.array([30, 10]).dictionary_encode(), pa.array([20]).dictionary_encode()],
    "an arrow column of lists": pa.array([[30, 10], [20]], pa.list_(pa.dictionary(pa.int32(), pa.int64()))),
    "arrow dictionaries in pandas": [
        pd.DataFrame({"n": pd.arrays.ArrowExtensionArray(pa.array(values).dictionary_encode())})
        for values in ([30, 10], [20])
    ],
    "a frame with an index (instance, time)": pd.DataFrame(
        {"n": pd.Categorical([30, 10, 20])}, index=pd.MultiIndex.from_tuples([(0, 0), (0, 1), (1, 0)])
    ),
    "categories in the first frame": [
        pd.DataFrame({"n": [30, 10]}).astype("category"),
        pd.DataFrame({"n": [20]}),
    ],
    "categories in another frame": [pd.DataFrame({"n": [30, 10]}), pd.DataFrame({"n": [20]}).astype("category")],
}


@pytest.mark.parametrize("X", OF_NUMBERS.values(), ids=OF_NUMBERS)
def test_dtypes_of_categories_of_numbers(X):
    _, schema, sequences = read(X)
    assert schema.categories is not None
    values = [
        {code: value for value, code in schema.categories.features[0].codes.items()}[k] for k in sequences.rows[:, 0]
    ]
    assert values == [30, 10, 20]
    assert_array_equal(sequences.lengths, [2, 1])


@pytest.mark.parametrize("dtype", [pl.Categorical, pl.Enum(["1", "2", "3"])], ids=["Categorical", "Enum"])
def test_numerals_of_a_dtype_of_categories_in_polars_series(dtype):
    _, schema, sequences = read([pl.Series(["2", "1"], dtype=dtype), pl.Series(["2"], dtype=dtype)])
    assert_array_equal(sequences.rows.ravel(), [3, 2, 3])
    assert list(schema.categories.features[0].codes) == (["1", "2", "3"] if dtype != pl.Categorical else ["1", "2"])


def test_float32_numbers_stay_float32():
    assert read(pandas_frames(amount=np.float32))[2].dtype == np.float32


SELECTIONS = {"a name": ["id"], "an index": [1], "an index from the end": [-1], "a mask": [False, True]}


@pytest.mark.parametrize("selection", SELECTIONS.values(), ids=SELECTIONS)
def test_selected_features_of_numbers(selection):
    X = [pd.DataFrame({"amount": [0.5, 1.5], "id": [700, 20]}), pd.DataFrame({"amount": [2.5], "id": [700]})]
    _, schema, sequences = read(X, categorical_features=selection)
    assert_array_equal(sequences.rows, [[0.5, 3], [1.5, 2], [2.5, 3]])
    assert list(schema.categories.features[0].codes) == [20, 700]


@pytest.mark.parametrize("dtype", [np.int64, np.float32, np.float64])
def test_ids_in_a_3d_array(dtype):
    ids = np.array([[[7], [5]], [[5], [9]]], dtype)
    _, _, sequences = read(ids, categorical_features=[0])
    assert_array_equal(sequences.rows.ravel(), [3, 2, 2, 4])
    assert sequences.dtype == (np.float32 if dtype == np.float32 else np.float64)


def test_tables_of_strings():
    table = np.array([["a", "b", "a"], ["b", "b", "c"]])
    estimator, _, sequences = read(table)
    assert_array_equal(sequences.rows.ravel(), [2, 3, 2, 3, 3, 4])
    assert_array_equal(sequences.lengths, [3, 3])
    assert estimator.n_features_in_ == 3
    frame = pd.DataFrame(table, columns=["x", "y", "z"])
    estimator, _, sequences = read(frame)
    assert_array_equal(sequences.rows.ravel(), [2, 3, 2, 3, 3, 4])
    assert_array_equal(estimator.feature_names_in_, ["x", "y", "z"])


def test_tables_with_several_features_of_a_step():
    frame = pd.DataFrame({"k1": ["u", "v"], "n1": [1.0, 2.0], "k2": ["v", "v"], "n2": [3.0, 4.0]})
    _, schema, sequences = read(frame, step_features=2)
    assert_array_equal(sequences.rows, [[2, 1], [3, 3], [3, 2], [3, 4]])
    assert schema.categories.features[0].name == "0"


TABLES = {
    "pandas": pd.DataFrame({"x": [30, 10], "y": [20, 30]}).astype("category"),
    "pandas, one column": pd.DataFrame({"x": pd.Categorical([30, 10]), "y": [20, 30]}),
    "pyarrow": pa.table({"x": pa.array([30, 10]).dictionary_encode(), "y": pa.array([20, 30]).dictionary_encode()}),
}


@pytest.mark.parametrize("X", TABLES.values(), ids=TABLES)
def test_tables_with_dtypes_of_categories(X):
    _, schema, sequences = read(X)
    assert schema.categories is not None
    values = {code: value for value, code in schema.categories.features[0].codes.items()}
    assert [values[code] for code in sequences.rows[:, 0]] == [30, 20, 10, 30]


def test_tables_with_declared_categories():
    dtype = pl.Enum(["3", "1", "2"])
    table = pl.DataFrame({"x": ["1", "2"], "y": ["2", "2"]}, schema={"x": dtype, "y": dtype})
    _, schema, sequences = read(table)
    assert list(schema.categories.features[0].codes) == ["3", "1", "2"]
    assert_array_equal(sequences.rows.ravel(), [3, 4, 4, 4])


def test_float32_numbers_of_tables_stay_float32():
    frame = pd.DataFrame({"k1": ["u"], "n1": np.float32([1]), "k2": ["v"], "n2": np.float32([3])})
    assert read(frame, step_features=2)[2].dtype == np.float32


def test_missing_categories_have_the_code_of_unknown_ones():
    X = [["a", None, "b"], [np.nan, "a"]]
    assert_array_equal(read(X)[2].rows.ravel(), [2, 1, 3, 1, 2])
    ids = [np.array([3.0, np.nan]), np.array([4.0])]
    assert_array_equal(read(ids, categorical_features=[0])[2].rows.ravel(), [2, 1, 3])


def test_missing_categories_in_awkward_arrays():
    ak = pytest.importorskip("awkward")
    assert_array_equal(read(ak.Array([["a", None, "b"], ["a"]]))[2].rows.ravel(), [2, 1, 3, 2])


NESTED = {
    "arrays": lambda values, i: np.array(values[i]),
    "lists": lambda values, i: values[i],
    "Series": lambda values, i: pd.Series(values[i]),
}


@pytest.mark.parametrize("make_cell", NESTED.values(), ids=NESTED)
def test_cells_of_strings_beside_cells_of_numbers(make_cell):
    cells = {"amount": AMOUNTS, "kind": TOKENS}
    frame = pd.DataFrame({label: [make_cell(values, i) for i in range(2)] for label, values in cells.items()})
    for X in (frame, frame.to_numpy()):
        _, schema, sequences = read(X)
        assert_array_equal(sequences.rows, np.column_stack([np.concatenate(AMOUNTS), CODES]))
        assert schema.categories.features[0].column == 1


def test_awkward_records_of_strings_and_numbers():
    ak = pytest.importorskip("awkward")
    X = ak.Array([[{"amount": a, "kind": k} for a, k in zip(*x)] for x in zip(AMOUNTS, TOKENS)])
    assert_array_equal(read(X)[2].rows, np.column_stack([np.concatenate(AMOUNTS), CODES]))


def test_given_categories():
    _, schema, sequences = read(TOKENS, categories=[["the", "dog", "cat"]])
    assert list(schema.categories.features[0].codes) == ["the", "dog", "cat"]
    assert_array_equal(sequences.rows.ravel(), [2, 4, 1, 4, 2])


@pytest.mark.parametrize(
    ("X", "settings"),
    [
        (TOKENS, {"categories": [["The", "Cat"]]}),
        (np.arange(8.0).reshape(2, 4, 1), {"categories": [[100, 200]], "categorical_features": [0]}),
    ],
)
def test_given_categories_that_do_not_come_get_a_warning(X, settings):
    with pytest.warns(UserWarning, match=r"^X has none of the categories of the feature '0', such as ('The'|100): all"):
        read(X, **settings)


def test_memory_mapped_ids(tmp_path):
    ids = np.random.default_rng(0).integers(0, 9, (30, 4, 2)).astype(np.int32)
    np.save(tmp_path / "ids.npy", ids)
    mapped = np.load(tmp_path / "ids.npy", mmap_mode="r")
    _, in_memory, expected = read(ids, categorical_features=[1])
    _, in_file, sequences = read(mapped, categorical_features=[1])
    assert type(sequences).__name__ == "MappedSequences"
    assert in_file.categories == in_memory.categories
    assert_array_equal(np.concatenate([rows for _, rows in sequences.chunks()]), expected.rows)


def test_none_refuses_strings():
    with pytest.raises(ValueError, match=r"^X\[0\] is not numeric: it has the string 'the'"):
        RNNClassifier(categorical_features=None).fit(TOKENS, LABELS)


BAD = {
    "an index": (TOKENS, {"categorical_features": [1]}, "categorical_features contains 1, but X has 1 features"),
    "a mask": (TOKENS, {"categorical_features": [True, False]}, "categorical_features is a mask of 2 features, but X"),
    "names without names": (TOKENS, {"categorical_features": ["kind"]}, r"categorical_features=\['kind'\] has names, "),
    "an unknown name": (
        pandas_frames(),
        {"categorical_features": ["sort"]},
        r"categorical_features contains 'sort', but the features of X are \['amount', 'kind'\]",
    ),
    "a string that is no setting": (TOKENS, {"categorical_features": "all"}, "The 'categorical_features' parameter"),
    "floats": (TOKENS, {"categorical_features": [0.5]}, r"categorical_features=\[0.5\] must be"),
    "too many lists": (TOKENS, {"categories": [["a"], ["b"]]}, "categories has 2 lists, but there are 1 categorical"),
    "lists without a feature": (
        [np.ones(3), np.zeros(2)],
        {"categories": [["a"]]},
        "categories has 1 lists, but there are 0 categorical features",
    ),
    "a category twice": (TOKENS, {"categories": [["a", "b", "a"]]}, "categories has 'a' twice for '0'"),
    "a string instead of a list": (TOKENS, {"categories": ["the"]}, r"categories\[0\] is a str: pass a list"),
    "a number instead of a list": (TOKENS, {"categories": [5]}, r"categories\[0\] is a int: pass a list"),
    "a set, which has no order": (TOKENS, {"categories": [{"a", "the"}]}, r"categories\[0\] is a set: pass a list"),
    "an iterator": (TOKENS, {"categories": [iter(["a"])]}, r"categories\[0\] is a list_iterator: pass a list"),
    "categories of two kinds": (
        TOKENS,
        {"categories": [["a", 1]]},
        "categories has numbers such as 1 and strings such as 'a' in the categorical feature '0'",
    ),
    "lists of lists": (TOKENS, {"categories": [[["a"], ["the"]]]}, r"categories has other objects such as \['the'\]"),
    "ids that float64 does not tell apart": (
        [np.array([2**60, 2**60 + 1]), np.array([5])],
        {"categorical_features": [0]},
        r"X has 1.15\d+e\+18 among the categories of the feature '0', but float64 does not .* make strings of them",
    ),
    "ids that float64 does not tell apart beside strings": (
        [x.assign(id=np.uint64(2**64 - 1)) for x in pandas_frames()],
        {"categorical_features": ["id", "kind"]},
        f"X has {2**64 - 1} among the categories of the feature 'id', but float64 does not tell",
    ),
    "ids that float32 does not tell apart": (
        [np.float32([2**24, 7]), np.float32([5])],
        {"categorical_features": [0]},
        "X has 16777216.0 among the categories of the feature '0', but float32 does not tell .* integers or strings",
    ),
    "given ids that float64 does not tell apart": (
        [np.array([1, 2]), np.array([5])],
        {"categorical_features": [0], "categories": [[1, 2**53]]},
        f"X has {2**53} among the categories of the feature '0', but float64",
    ),
    "a missing category": (TOKENS, {"categories": [["a", None]]}, "categories has a missing value for '0'"),
    "an unselected column of strings": (
        [x.assign(sort=x.kind) for x in pandas_frames()],
        {"categorical_features": ["kind"]},
        r"X\[0\]\['sort'\] is not numeric: it has the string 'the'",
    ),
    "numerals": ([["1", "2"], ["3"]], {}, r"X\[0\] is not numeric: it has the string '1'"),
    "strings and numbers": (
        [["a", 1.0], ["b"]],
        {"categorical_features": [0]},
        "X has numbers such as 1.0 and strings such as '[ab]' in the categorical feature '0'",
    ),
    "strings beside numbers in polars": (
        [pl.DataFrame({"k": ["a"]}), pl.DataFrame({"k": [1.5]})],
        {},
        r"X\[0\]\['k'\] has the dtype String, but X\[1\]\['k'\] has Float64: cast the column",
    ),
    "other enums in polars": (
        [pl.DataFrame({"k": [k]}, schema={"k": pl.Enum([k])}) for k in "ab"],
        {},
        "X has frames with a column of several dtypes",
    ),
    "strings beside numbers in pyarrow": (
        [pa.table({"k": ["a"]}), pa.table({"k": [1.5]})],
        {},
        "X has frames with a column of several dtypes",
    ),
    "a step that is a list among strings": (
        [["a", ["b"]], ["c"]],
        {},
        r"X\[0\] is not an array of shape \(n_steps, n_features\)",
    ),
    "bytes": ([[b"a"], [b"b"]], {}, r"X\[0\] is not numeric: it has the string \"b'a'\""),
    "selected bytes": (
        [[b"a"], [b"b"]],
        {"categorical_features": [0]},
        "X has other objects such as b'[ab]' in the categorical feature '0': categories must be",
    ),
    "lists beside categories": (
        [x.assign(words=[["a"]] * len(x)) for x in pandas_frames()],
        {},
        r"X\[0\]\['words'\] has a list in a step, where one number is needed",
    ),
    "complex numbers beside categories": (
        [x.assign(amount=1j) for x in pandas_frames()],
        {},
        r"Complex data not supported: X\[0\]\['amount'\] has dtype complex128",
    ),
    "complex numbers beside strings in a step": (
        [[("a", 1j)], [("b", 2.0)]],
        {},
        r"Complex data not supported: X\[0\]",
    ),
    "NaN beside categories": (
        [x.assign(amount=np.nan) for x in pandas_frames()],
        {},
        "X contains NaN in sequence 0, step 0, feature 'amount': RNNClassifier does not accept NaN. Fill gaps by .* at "
        r"the start of a sequence in X itself \(a data frame has fillna\)",
    ),
    "NaN in the last steps beside categories": (
        [x.assign(amount=[*x.amount[:-1], np.nan]) for x in pandas_frames()],
        {},
        "X contains NaN in sequence 0, step 1, feature 'amount': RNNClassifier does not accept NaN. Fill gaps by ",
    ),
    "padding of ids and numbers": (
        [np.array([[1, 2.0], [3, 4.0], [np.nan, np.nan]])] * 2,
        {"categorical_features": [0]},
        "X contains NaN in sequence 0, step 2, feature 1: .* NaN stands only at the ends of sequences, as padding does",
    ),
    "no size": (TOKENS, {"embedding_size": 0}, "The 'embedding_size' parameter"),
}


@pytest.mark.parametrize(("X", "settings", "message"), BAD.values(), ids=BAD)
def test_bad_settings_and_data_are_refused(X, settings, message):
    with pytest.raises((ValueError, TypeError), match=f"^{message}"):
        RNNClassifier(**settings).fit(X, LABELS)


# ---- At predict --------------------------------------------------------------------------------------


def fitted(X=TOKENS, **settings):
    return RNNClassifier(4, max_iter=2, random_state=0, **settings).fit(X, LABELS)


def rows_of(estimator, X):
    return estimator._model.schema.read(estimator, X).rows


def test_unknown_categories_share_a_code():
    assert_array_equal(rows_of(fitted(), [["dog", "cat", None], ["the"]]).ravel(), [1, 3, 1, 4])


def test_other_forms_at_predict():
    clf = fitted(pandas_frames())
    expected = clf.predict_proba(pandas_frames())
    for X in (polars_frames(), arrow_tables(), pandas_frames(kind="category"), pandas_frames(kind="string")):
        assert_array_equal(clf.predict_proba(X), expected)
    ids = fitted([np.array([7, 5]), np.array([5])], categorical_features=[0])
    expected = ids.predict_proba([np.array([5, 7])])
    for x in ([5, 7], [5.0, 7.0], np.array([[5], [7]], np.float32), pd.DataFrame({0: [5, 7]}).astype("category")):
        assert_array_equal(ids.predict_proba([x]), expected)


@pytest.mark.parametrize("fitted_as", [np.float32, np.float64])
def test_fractions_are_the_same_categories_in_any_dtype(fitted_as):
    clf = fitted([np.array([0.1, 0.7], fitted_as), np.array([0.7], fitted_as)], categorical_features=[0])
    for new in ([0.1, 0.7, 0.2], np.float32([0.1, 0.7, 0.2]), np.array([0.1, 0.7, 0.2], object)):
        assert_array_equal(rows_of(clf, [new]).ravel(), [2, 3, 1])
    given = read([np.float32([0.1, 0.7])], categorical_features=[0], categories=[[0.7, 0.1]])[2]
    assert_array_equal(given.rows.ravel(), [3, 2])


def test_whole_numbers_beyond_those_of_the_categories_are_unknown():
    clf = fitted([np.float32([2**24 - 1, 7]), np.float32([5])], categorical_features=[0])
    assert_array_equal(rows_of(clf, [np.array([2**24 - 1, 2**24, 2**24 + 1, 2**60])]).ravel(), [4, 1, 1, 1])


PREDICT = {
    "numbers for strings": (TOKENS, [[1.0, 2.0], [3.0]], r"X\[0\] has 1.0 in the categorical feature '0', whose"),
    "strings for numbers": (
        [np.array([7, 5]), np.array([5])],
        [["a"], ["b"]],
        r"X\[0\] has 'a' in the categorical feature '0', whose categories are numbers, such as 5",
    ),
    "a number in a later sequence": (
        TOKENS,
        [["a", "cat"], ["the", 3]],
        r"X\[1\] has 3 in the categorical feature '0'",
    ),
    "more features": (TOKENS, pandas_frames(), "X has 2 features per step, but RNNClassifier is expecting 1"),
    "another order": (
        pandas_frames(),
        [x[["kind", "amount"]] for x in pandas_frames()],
        r"X\[0\]: The feature names should match",
    ),
    "no steps": (TOKENS, [["a"], []], r"X\[1\] has no steps"),
    "an unreadable sequence": (TOKENS, [["a", "cat"], [["a"], ["b", "c"]]], r"X\[1\] is not an array of shape"),
    "one string": (TOKENS, ["cat", "dog"], "X has one string per row, such as 'cat'"),
    "nothing": (TOKENS, None, "X is 0-D, but this RNNClassifier was fitted on sequences"),
    "a table": (TOKENS, np.array([["a", "b"], ["b", "a"]]), "X is 2-D, but this RNNClassifier was fitted on sequences"),
}


@pytest.mark.filterwarnings("ignore:X has feature names")
@pytest.mark.parametrize(("X", "new", "message"), PREDICT.values(), ids=PREDICT)
def test_other_data_at_predict_are_refused(X, new, message):
    clf = fitted(X, categorical_features="from_dtype" if isinstance(X[0], (list, pd.DataFrame)) else [0])
    with pytest.raises((ValueError, TypeError), match=f"^{message}"):
        clf.predict(new)


# ---- The hint at ids ---------------------------------------------------------------------------------


def warnings_of(X, **settings):
    import warnings

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        read(X, **settings)
    return [str(warning.message) for warning in caught]


def test_ids_get_a_hint():
    ids = np.random.default_rng(0).zipf(1.5, (60, 20, 1)) % 1000
    assert any("look like ids" in message and "categorical_features=[0]" in message for message in warnings_of(ids))
    assert any("look like ids" in message for message in warnings_of([x.ravel() for x in ids]))


def test_quantities_and_chosen_ids_get_no_hint():
    generator = np.random.default_rng(0)
    ids = generator.integers(0, 200, (60, 20, 1))
    counts = np.cumsum(generator.integers(-3, 4, (60, 20, 1)), axis=1) + 100
    others = (
        generator.normal(size=(60, 20, 1)),  # no whole numbers
        counts,  # the next one depends on the last
        ids - 5,  # negative
        generator.integers(0, 4, (60, 20, 1)),  # few
        np.concatenate([ids, ids], axis=2),  # two features
        ids[:3],  # few steps
    )
    for X in others:
        assert not any("look like ids" in message for message in warnings_of(X))
    assert not any("look like ids" in message for message in warnings_of(ids, categorical_features=[0]))


def test_the_warning_about_scale_does_not_advise_to_scale_categories():
    X = [x.assign(amount=1000 * np.arange(len(x))) for x in pandas_frames()]
    with pytest.warns(
        UserWarning, match=r"'amount' \(mean .*scale the features in X itself, because a scaler"
    ) as caught:
        RNNClassifier(4, max_iter=1).fit(X, LABELS)
    assert not any("StandardScaler" in str(warning.message) for warning in caught)
