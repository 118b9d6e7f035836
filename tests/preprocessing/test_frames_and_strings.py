"""TimeDistributed over frames and strings: the transformer gets the rows as they are."""

import re

import numpy as np
import pytest
import sklearn
from numpy.testing import assert_allclose, assert_array_equal
from refusals import LABELS, LENGTHS, classifier
from sklearn.compose import ColumnTransformer
from sklearn.decomposition import PCA
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, OrdinalEncoder, StandardScaler
from sklearn.utils.fixes import parse_version

from sklearn_rnn.preprocessing import TimeDistributed, to_object_column

KINDS = np.array(["view", "cart", "buy"])


def pandas_frames():
    pd = pytest.importorskip("pandas", reason="makes frames of pandas")
    rng = np.random.default_rng(0)
    return [pd.DataFrame({"amount": rng.normal(size=n), "kind": rng.choice(KINDS, n)}) for n in LENGTHS]


def polars_frames():
    pl = pytest.importorskip("polars", reason="makes frames of polars")
    return [pl.DataFrame(frame.to_dict("list")) for frame in pandas_frames()]


def arrow_tables():
    pa = pytest.importorskip("pyarrow", reason="makes tables of pyarrow")
    return [pa.table(frame.to_dict("list")) for frame in pandas_frames()]


def indexed_frame():
    pd = pytest.importorskip("pandas", reason="makes frames of pandas")
    return pd.concat(pandas_frames(), keys=range(6))


def by_column():
    """Of every row of a frame: the scaled amount, and a column for each kind."""
    parts = [("scale", StandardScaler(), ["amount"]), ("kind", OneHotEncoder(), ["kind"])]
    return TimeDistributed(ColumnTransformer(parts))


@pytest.mark.parametrize("make", [pandas_frames, polars_frames, indexed_frame])
def test_a_column_transformer_finds_its_columns_in_frames(make):
    pd = pytest.importorskip("pandas", reason="makes the expected frame")
    encoder, X = by_column(), make()
    if parse_version(sklearn.__version__) < parse_version("1.9") and not (
        hasattr(X, "columns") or hasattr(X[0], "iloc") or hasattr(X[0], "__dataframe__")
    ):
        pytest.skip("scikit-learn before 1.9 finds columns by the protocol __dataframe__, which polars 2 has dropped")
    rows = pd.concat(pandas_frames(), ignore_index=True)
    expected = clone_of_rows(rows)
    values = encoder.fit_transform(X)
    assert isinstance(values, list)
    assert [len(value) for value in values] == list(LENGTHS)
    assert_array_equal(np.concatenate(values), expected)
    assert_array_equal(np.concatenate(encoder.transform(X)), expected)
    assert_array_equal(encoder.feature_names_in_, ["amount", "kind"])
    assert encoder.n_features_in_ == 2
    names = ["scale__amount", "kind__kind_buy", "kind__kind_cart", "kind__kind_view"]
    assert_array_equal(encoder.get_feature_names_out(), names)
    pipeline = make_pipeline(encoder, classifier()).fit(X, LABELS)
    assert pipeline.predict_proba(X).shape == (6, 2)


def clone_of_rows(rows):
    values = by_column().transformer.fit_transform(rows)
    return values.toarray() if hasattr(values, "toarray") else values


def test_frames_keep_their_dtypes_and_their_class():
    seen = []
    look = TimeDistributed(FunctionTransformer(lambda rows: seen.append(rows) or np.ones((len(rows), 1))))
    for X in (pandas_frames(), polars_frames(), arrow_tables()):
        assert [value.shape for value in look.fit_transform(X)] == [(n, 1) for n in LENGTHS]
        assert type(seen[-1]) is type(X[0])
    assert seen[0]["amount"].dtype == np.float64


def test_frames_in_an_object_column_give_an_object_array():
    values = by_column().fit_transform(to_object_column(pandas_frames()))
    assert values.shape == (6,)
    assert_array_equal(np.concatenate(list(values)), np.concatenate(by_column().fit_transform(pandas_frames())))


def test_columns_of_frames_are_compared():
    encoder, X = by_column().fit(pandas_frames()), pandas_frames()
    X[2] = X[2][["kind", "amount"]]
    with pytest.raises(ValueError, match=r"^X\[2\]: The feature names should match those that were passed during fit"):
        encoder.transform(X)
    with pytest.raises(ValueError, match=r"^X\[2\]: The feature names should match those of X\[0\]"):
        by_column().fit(X)
    numbered = [frame.set_axis([i == 4, 7], axis=1) for i, frame in enumerate(pandas_frames())]
    with pytest.raises(ValueError, match=r"^X\[4\] has other columns than X\[0\]: every sequence needs the same"):
        TimeDistributed(OrdinalEncoder()).fit(numbered)


def test_numbers_in_frames_are_checked_as_those_of_arrays():
    frames = [frame[["amount"]].assign(other=1.0) for frame in pandas_frames()]
    frames[2].iloc[3, 1] = np.nan
    with pytest.raises(ValueError, match=r"^X contains NaN in sequence 2, step 3, feature 'other': "):
        TimeDistributed(PCA()).fit(frames)
    empty = pandas_frames()
    empty[1] = empty[1][:0]
    with pytest.raises(ValueError, match=r"^X\[1\] has no steps: every sequence needs at least one\."):
        by_column().fit(empty)


TOKENS = [["view", "cart"], ["view"], ["buy", "cart", "view"], ["cart", "buy"]]


@pytest.mark.parametrize("form", [list, tuple, lambda X: [np.array(x) for x in X], to_object_column])
def test_encoders_take_sequences_of_strings(form):
    X = form(TOKENS)
    codes = TimeDistributed(OrdinalEncoder()).fit_transform(X)
    assert [code.ravel().tolist() for code in codes] == [[2, 1], [2], [0, 1, 2], [1, 0]]
    one_hot = TimeDistributed(OneHotEncoder())
    values = one_hot.fit_transform(X)
    assert_array_equal(np.concatenate(list(values)), np.eye(3)[[2, 1, 2, 0, 1, 2, 1, 0]])
    assert_array_equal(one_hot.get_feature_names_out(), ["x0_buy", "x0_cart", "x0_view"])
    for tokens, back in zip(TOKENS, one_hot.inverse_transform(values), strict=True):
        assert back.ravel().tolist() == tokens


def test_strings_of_equal_lengths_are_sequences_too():
    """Nested lists of numbers of one length are 2-D data for scikit-learn; of strings they are sequences."""
    X = [["view", "cart"], ["buy", "cart"]]
    values = TimeDistributed(OrdinalEncoder()).fit_transform(X)
    assert [value.shape for value in values] == [(2, 1), (2, 1)]
    array = TimeDistributed(OrdinalEncoder()).fit_transform(np.array(X)[:, :, np.newaxis])
    assert array.shape == (2, 2, 1)


def test_steps_may_have_strings_and_numbers():
    X = [[["view", 1.0], ["buy", 2.0]], [["view", 5.0]]]
    parts = [("kind", OrdinalEncoder(), [0]), ("amount", "passthrough", [1])]
    values = TimeDistributed(ColumnTransformer(parts)).fit_transform(X)
    assert_allclose(np.concatenate(values).astype(float), [[1, 1], [0, 2], [1, 5]], rtol=0)
    with pytest.raises(ValueError, match=r"^X\[1\] has 1 features per step, but X\[0\] has 2: "):
        TimeDistributed(OrdinalEncoder()).fit([[["view", "a"]], [["view"]]])


def test_weights_of_sequences_are_repeated_for_the_rows_of_frames():
    frames = [frame[["amount"]].assign(other=True) for frame in pandas_frames()]
    weights = np.arange(6.0)
    scaler = TimeDistributed(StandardScaler()).fit(frames, sample_weight=weights)
    amounts = np.concatenate([frame["amount"] for frame in frames])
    expected = np.average(amounts, weights=np.repeat(weights, LENGTHS))
    assert_allclose(scaler.transformer_.mean_[0], expected, rtol=1e-12)


@pytest.mark.parametrize("as_frame", [False, True])
def test_strings_in_2d_data_are_refused_with_the_remedy(as_frame):
    pd = pytest.importorskip("pandas", reason="makes a frame of strings")
    table = np.array([["a", "b", "b", "c"], ["b", "c", "a", "a"]])
    X = pd.DataFrame(table) if as_frame else table
    encoder = TimeDistributed(OneHotEncoder(), step_features=2)
    message = (
        r"^X is not numeric: could not convert string to float: .*\. 2-D X must have numbers: pass strings as a 3-D "
        r"array, numpy\.asarray\(X\)\.reshape\(len\(X\), -1, 2\), or as a list of sequences\.$"
    )
    with pytest.raises(ValueError, match=message):
        encoder.fit(X)
    with pytest.raises(ValueError, match=message):
        encoder.fit_transform(X)
    assert not hasattr(encoder, "n_features_in_")
    values = encoder.fit_transform(np.asarray(X).reshape(len(X), -1, 2))
    assert_array_equal(values[0], [[1, 0, 0, 1, 0], [0, 1, 0, 0, 1]])


@pytest.mark.parametrize("method", ["fit", "fit_transform"])
@pytest.mark.parametrize("transformer", [StandardScaler(), SimpleImputer()])
@pytest.mark.parametrize("library", ["pandas", "polars", "pyarrow", "lists"])
def test_text_that_a_transformer_does_not_take_is_named_with_the_remedy(library, transformer, method):
    columns = {"amount": [1.0, 2.0], "kind": [None, "buy"], "device": ["ios", "web"], "price": [2.0, 1.0]}
    if library == "lists":
        sequence, names, numbers = [list(step) for step in zip(*columns.values())], "[1, 2]", "[0, 3]"
    else:
        make = {"pandas": "DataFrame", "polars": "DataFrame", "pyarrow": "table"}[library]
        module = pytest.importorskip(library, reason=f"{library} is not installed")
        sequence, names = getattr(module, make)(columns), "['kind', 'device']"
        numbers = "['amount', 'price']"
    by_step = TimeDistributed(transformer)
    with pytest.raises(ValueError, match=re.escape(f"X has text in the columns {names}, which transformer=")) as error:
        getattr(by_step, method)([sequence, sequence])
    name = type(transformer).__name__
    line = f"TimeDistributed(ColumnTransformer([('text', 'passthrough', {names}), ('numbers', {name}(), {numbers})]))"
    assert f": {line}. RNNClassifier" in str(error.value)
    assert vars(by_step) == vars(TimeDistributed(transformer))
    if library in ("pandas", "lists"):  # ColumnTransformer selects the columns of others in new versions alone
        steps = eval(line).fit_transform([sequence, sequence])[1]
        assert [steps[1, 0], *steps[:, 1]] == ["buy", "ios", "web"]
        assert_allclose(steps[:, 2:].astype(float), transformer.fit_transform([[1.0, 2.0], [2.0, 1.0]]), rtol=1e-12)


@pytest.mark.filterwarnings("ignore:max_iter:sklearn.exceptions.ConvergenceWarning")
def test_text_alone_needs_no_transformer():
    X = [[["ios", "view"], ["web", "buy"]]] * 4
    message = "learn a vector for each text: leave this transformer out. For other estimators, encode the text: Time"
    with pytest.raises(ValueError, match=message):
        TimeDistributed(StandardScaler()).fit(X)
    assert len(classifier(max_iter=1).fit(X, [0, 1, 0, 1]).categories_) == 2
