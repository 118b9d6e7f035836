"""Categorical features: which they are, their categories, the codes that stand for them, and what is refused."""

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_array_equal

from sklearn_rnn import RNNClassifier
from sklearn_rnn._data.training_data import read_sequences

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


def test_missing_categories_have_the_code_of_unknown_ones():
    X = [["a", None, "b"], [np.nan, "a"]]
    assert_array_equal(read(X)[2].rows.ravel(), [2, 1, 3, 1, 2])
    ids = [np.array([3.0, np.nan]), np.array([4.0])]
    assert_array_equal(read(ids, categorical_features=[0])[2].rows.ravel(), [2, 1, 3])


def test_given_categories():
    _, schema, sequences = read(TOKENS, categories=[["the", "dog", "cat"]])
    assert list(schema.categories.features[0].codes) == ["the", "dog", "cat"]
    assert_array_equal(sequences.rows.ravel(), [2, 4, 1, 4, 2])


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
    "bytes": ([[b"a"], [b"b"]], {}, r"X\[0\] is not numeric: it has the string \"b'a'\""),
    "selected bytes": (
        [[b"a"], [b"b"]],
        {"categorical_features": [0]},
        "X has other objects such as b'[ab]' in the categorical feature '0': categories must be",
    ),
    "NaN beside categories": (
        [x.assign(amount=np.nan) for x in pandas_frames()],
        {},
        "X contains NaN in sequence 0, step 0, feature 0: RNNClassifier does not accept NaN. Fill gaps by .* at the "
        r"start of a sequence in X itself \(a data frame has fillna\)",
    ),
    "NaN in the last steps beside categories": (
        [x.assign(amount=[*x.amount[:-1], np.nan]) for x in pandas_frames()],
        {},
        "X contains NaN in sequence 0, step 1, feature 0: RNNClassifier does not accept NaN. Fill gaps by ",
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


PREDICT = {
    "numbers for strings": (TOKENS, [[1.0, 2.0], [3.0]], "X has 1.0 in the categorical feature '0', whose categories"),
    "strings for numbers": (
        [np.array([7, 5]), np.array([5])],
        [["a"], ["b"]],
        "X has 'a' in the categorical feature '0', whose categories are numbers, such as 5",
    ),
    "more features": (TOKENS, pandas_frames(), "X has 2 features per step, but RNNClassifier is expecting 1"),
    "another order": (
        pandas_frames(),
        [x[["kind", "amount"]] for x in pandas_frames()],
        r"X\[0\]: The feature names should match",
    ),
    "no steps": (TOKENS, [["a"], []], r"X\[1\] has no steps"),
    "one string": (TOKENS, ["cat", "dog"], "X has one string per row, such as 'cat'"),
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
