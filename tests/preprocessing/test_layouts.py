import pickle

import numpy as np
import pytest
from helpers import RAGGED, make_sequences
from numpy.testing import assert_array_equal
from sklearn import config_context
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.utils import estimator_checks
from sklearn.utils.estimator_checks import estimator_checks_generator

from sklearn_rnn import RNNClassifier
from sklearn_rnn.preprocessing import ToSequences

NAN = np.nan
# scikit-learn checks 2-D input alone, and its checks need an array as output: padding gives a list.
CHECKED = [ToSequences("by_step"), ToSequences("by_feature", newest_first=True)]
MORE_CHECKS = [
    "check_param_validation",
    "check_dataframe_column_names_consistency",
    "check_n_features_in_after_fitting",
]

# The longest has 7 steps.
SEQUENCES = make_sequences(RAGGED, 2)
EQUAL = np.stack(make_sequences((4, 4, 4), 2))


def padded(sequences, value):
    """An array (n_sequences, n_steps, n_features) with a value at the end of short sequences."""
    array = np.full((len(sequences), max(map(len, sequences)), sequences[0].shape[1]), float(value))
    for i, sequence in enumerate(sequences):
        array[i, : len(sequence)] = sequence
    return array


# From (n_sequences, n_steps, n_features) to each layout.
LAYOUTS = {
    "case_channel_time": lambda X: X.transpose(0, 2, 1),
    "case_time_channel": lambda X: X,
    "by_step": lambda X: X.reshape(len(X), -1),
    "by_feature": lambda X: X.transpose(0, 2, 1).reshape(len(X), -1),
}
each_layout = pytest.mark.parametrize("layout", LAYOUTS)


def assert_same(actual, expected):
    assert len(actual) == len(expected)
    for a, b in zip(actual, expected):
        assert_array_equal(a, b)


# ---- scikit-learn's checks ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("estimator", "check"),
    [
        pytest.param(*pair, id=f"{pair[0].layout}-{pair[1].func.__name__}")
        for estimator in CHECKED
        for pair in estimator_checks_generator(estimator)
    ],
)
def test_scikit_learn_finds_no_fault(estimator, check):
    check(estimator)


@pytest.mark.parametrize("name", MORE_CHECKS)
@pytest.mark.parametrize("estimator", CHECKED, ids=str)
@pytest.mark.filterwarnings("ignore:X (has|does not have valid) feature names")  # they mix frames and arrays
def test_scikit_learn_finds_no_fault_in_what_check_estimator_leaves_out(estimator, name):
    getattr(estimator_checks, name)("ToSequences", clone(estimator))


# ---- Layouts -----------------------------------------------------------------------------------------


@each_layout
def test_each_layout_becomes_sequences_and_comes_back(layout):
    X = LAYOUTS[layout](EQUAL)
    to_sequences = ToSequences(layout, step_features=2).fit(X)
    sequences = to_sequences.transform(X)
    assert_array_equal(sequences, EQUAL)
    assert_array_equal(to_sequences.inverse_transform(sequences), X)
    assert to_sequences.n_steps_ == 4


@each_layout
def test_the_newest_step_may_come_first(layout):
    X = LAYOUTS[layout](EQUAL[:, ::-1])
    to_sequences = ToSequences(layout, step_features=2, newest_first=True).fit(X)
    sequences = to_sequences.transform(X)
    assert_array_equal(sequences, EQUAL)
    assert_array_equal(to_sequences.inverse_transform(sequences), X)


def test_a_list_of_arrays_has_the_same_axes():
    ragged = [sequence.T for sequence in SEQUENCES]
    to_sequences = ToSequences("case_channel_time").fit(ragged)
    sequences = to_sequences.transform(ragged)
    assert_same(sequences, SEQUENCES)
    assert_same(to_sequences.inverse_transform(sequences), ragged)
    assert (to_sequences.n_features_in_, to_sequences.n_steps_) == (2, 7)
    assert_same(ToSequences("case_time_channel").fit_transform(SEQUENCES), SEQUENCES)
    assert_same(to_sequences.transform(EQUAL.transpose(0, 2, 1)), EQUAL)


def test_univariate_arrays_of_a_list_may_be_1d():
    ragged = [sequence[:, 0] for sequence in SEQUENCES]
    for layout in ("case_channel_time", "case_time_channel"):
        assert_same(ToSequences(layout).fit_transform(ragged), [sequence[:, :1] for sequence in SEQUENCES])


@pytest.mark.parametrize("dtype", [np.float32, np.int64])
@each_layout
def test_float32_stays_and_other_numbers_become_float64(layout, dtype):
    X = LAYOUTS[layout](np.rint(EQUAL).astype(dtype))
    sequences = ToSequences(layout, step_features=2).fit_transform(X)
    assert sequences.dtype == (np.float32 if dtype == np.float32 else np.float64)


# ---- Padding -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("padding", [NAN, 0.0, -99])
@each_layout
def test_padding_is_removed_and_comes_back(layout, padding):
    X = LAYOUTS[layout](padded(SEQUENCES, padding))
    to_sequences = ToSequences(layout, step_features=2, padding=padding).fit(X)
    sequences = to_sequences.transform(X)
    assert_same(sequences, SEQUENCES)
    assert_array_equal(to_sequences.inverse_transform(sequences), X)


def test_padding_of_a_newest_first_table_is_that_of_the_oldest_steps():
    lags = np.array([[3.0, 2.0, 1.0], [7.0, 6.0, NAN]])
    to_sequences = ToSequences("by_step", newest_first=True, padding=NAN).fit(lags)
    sequences = to_sequences.transform(lags)
    assert_same(sequences, [[[1.0], [2.0], [3.0]], [[6.0], [7.0]]])
    assert_array_equal(to_sequences.inverse_transform(sequences), lags)


def test_only_whole_steps_at_the_end_are_padding():
    X = np.array([[[NAN, NAN], [1.0, NAN], [NAN, NAN], [2.0, NAN], [NAN, NAN]]])
    (sequence,) = ToSequences("case_time_channel", padding=NAN).fit_transform(X)
    assert_array_equal(sequence, X[0, :4])


def test_equal_lengths_with_padding_are_a_list_too():
    assert isinstance(ToSequences("by_step", padding=0).fit_transform(np.ones((2, 3))), list)


@each_layout
def test_given_lengths_decide_whatever_the_values_are(layout):
    X = LAYOUTS[layout](padded(SEQUENCES, 5.0))
    to_sequences = ToSequences(layout, step_features=2).fit(X)
    assert_same(to_sequences.transform(X, lengths=RAGGED), SEQUENCES)
    assert_same(clone(to_sequences).fit_transform(X, lengths=list(RAGGED)), SEQUENCES)
    with_padding = ToSequences(layout, step_features=2, padding=5.0).fit(X)
    sequences = with_padding.transform(X, lengths=(7, 7, 7, 7, 7))
    assert [len(sequence) for sequence in sequences] == [7] * 5
    assert_array_equal(with_padding.inverse_transform(SEQUENCES), X)


def test_sequences_that_are_longer_than_those_of_fit_make_a_longer_array():
    to_sequences = ToSequences("case_channel_time", padding=0).fit(EQUAL.transpose(0, 2, 1))
    assert to_sequences.inverse_transform(SEQUENCES).shape == (5, 2, 7)
    assert to_sequences.inverse_transform(SEQUENCES[1:2]).shape == (1, 2, 4)


# ---- Exogenous columns -------------------------------------------------------------------------------


def test_exogenous_columns_stand_at_every_step():
    table = np.array([[3.0, 2.0, 1.0, 10.0, 20.0], [6.0, 5.0, 4.0, 30.0, 40.0]])
    to_sequences = ToSequences("by_step", newest_first=True, exogenous=2).fit(table)
    sequences = to_sequences.transform(table)
    assert_array_equal(sequences[1], [[4, 30, 40], [5, 30, 40], [6, 30, 40]])
    assert_array_equal(to_sequences.inverse_transform(sequences), table)


@pytest.mark.parametrize("layout", ["by_step", "by_feature"])
def test_exogenous_columns_go_with_features_and_padding(layout):
    exogenous = np.arange(5.0)[:, np.newaxis]
    exogenous[2] = NAN  # not padding: the columns of steps alone decide
    table = np.hstack([LAYOUTS[layout](padded(SEQUENCES, NAN)), exogenous])
    to_sequences = ToSequences(layout, step_features=2, exogenous=1, padding=NAN).fit(table)
    sequences = to_sequences.transform(table)
    assert_same([sequence[:, :2] for sequence in sequences], SEQUENCES)
    assert_array_equal(sequences[3][:, 2], [3.0] * 3)
    assert_array_equal(to_sequences.inverse_transform(sequences), table)


@pytest.mark.parametrize("exogenous", [["day", "lag2"], [0, 2]], ids=str)
def test_exogenous_columns_may_stand_anywhere(exogenous):
    pd = pytest.importorskip("pandas", reason="pandas is not installed")
    table = pd.DataFrame({"day": [4.0, 5.0], "lag1": [3.0, 6.0], "lag2": [8.0, 9.0], "lag3": [1.0, 2.0]})
    to_sequences = ToSequences("by_step", newest_first=True, exogenous=exogenous).fit(table)
    sequences = to_sequences.transform(table)
    assert_array_equal(sequences[0], [[1, 4, 8], [3, 4, 8]])
    assert_array_equal(to_sequences.inverse_transform(sequences), table)
    with pytest.raises(ValueError, match=r"^exogenous holds 'month', but X has the columns \['day', 'lag1', "):
        ToSequences("by_step", exogenous=["month"]).fit(table)


# ---- Among other estimators --------------------------------------------------------------------------


def test_a_pipeline_reads_the_layout():
    rng = np.random.default_rng(0)
    X = LAYOUTS["case_channel_time"](padded(make_sequences(rng.integers(2, 9, 24), 3), NAN))
    y = np.arange(24) % 2
    pipeline = make_pipeline(
        ToSequences("case_channel_time", padding=NAN), RNNClassifier((3,), max_iter=2, random_state=0)
    )
    assert cross_val_score(pipeline, X, y, cv=3, error_score="raise").shape == (3,)
    assert pipeline.fit(X, y)[-1].n_features_in_ == 3


def test_lengths_are_routed_through_a_pipeline():
    X = padded(SEQUENCES, 0.0)
    y = [0, 1, 0, 1, 0]
    classifier = RNNClassifier((3,), max_iter=2, random_state=0)
    with config_context(enable_metadata_routing=True):
        to_sequences = ToSequences("case_time_channel").set_transform_request(lengths=True)
        pipeline = make_pipeline(to_sequences, classifier).fit(X, y, lengths=RAGGED)
        actual = pipeline.predict_proba(X, lengths=RAGGED)
    assert_array_equal(actual, clone(classifier).fit(SEQUENCES, y).predict_proba(SEQUENCES))


def test_sequences_pass_on_under_a_global_transform_output():
    with config_context(transform_output="pandas"):
        assert_same(ToSequences("by_step", padding=0).fit_transform([[1.0, 0.0]]), [[[1.0]]])
        assert ToSequences("by_step").fit_transform([[1.0, 0.0]]).shape == (1, 2, 1)


def test_a_pickle_gives_the_same():
    X = padded(SEQUENCES, NAN)
    to_sequences = ToSequences("case_time_channel", padding=NAN).fit(X)
    assert_same(pickle.loads(pickle.dumps(to_sequences)).transform(X), SEQUENCES)


# ---- Errors ------------------------------------------------------------------------------------------


TABLE = np.arange(12.0).reshape(2, 6)
CUBE = np.ones((2, 3, 4))


@pytest.mark.parametrize(
    ("layout", "parameters", "X", "message"),
    [
        (
            "case_channel_time",
            {},
            TABLE,
            r"^X is 2-D, but layout='case_channel_time' has three axes: use layout='by_step'",
        ),
        ("case_time_channel", {}, TABLE, r"^X is 2-D, but layout='case_time_channel' has three axes"),
        ("by_step", {"step_features": 4}, TABLE, r"^step_features=4 does not divide the 6 columns of X: every row"),
        ("by_step", {"step_features": 4, "exogenous": 1}, TABLE, r"the 5 columns of X, besides 1 exogenous ones"),
        ("by_step", {"exogenous": 6}, TABLE, r"does not divide the 0 columns of X, besides 6 .* at least one step"),
        ("by_step", {"exogenous": [6]}, TABLE, r"^exogenous holds 6, but X has 6 columns without names"),
        ("by_step", {"exogenous": [-1]}, TABLE, r"^exogenous holds -1, but X has 6 columns without names"),
        ("by_step", {"exogenous": ["day"]}, TABLE, r"^exogenous holds 'day', but X has 6 columns without names"),
        ("by_step", {"exogenous": [1, 1]}, TABLE, r"^exogenous=\[1, 1\] names a column twice"),
        ("by_feature", {}, CUBE, r"Found array with dim 3"),
        (
            "case_time_channel",
            {"exogenous": 1},
            CUBE,
            r"^exogenous=1 is for tables, but layout='case_time_channel'",
        ),
        ("case_time_channel", {"padding": 1}, CUBE, r"^X\[0\] has nothing but padding, 1: every sequence needs"),
        (
            "case_channel_time",
            {},
            [np.ones((2, 4)), np.ones((3, 4))],
            r"^X\[1\] has 3 features per step, but X\[0\] has 2",
        ),
        ("case_channel_time", {}, [], r"^X is an empty list"),
        ("case_time_channel", {}, np.full((1, 2, 2), np.inf), r"^X contains infinity in sequence 0, step 0, feature 0"),
        ("channels_first", {}, CUBE, r"The 'layout' parameter of ToSequences must be a str among"),
        ("by_step", {"padding": "nan"}, TABLE, r"The 'padding' parameter of ToSequences must be"),
    ],
)
def test_data_of_another_layout_are_refused(layout, parameters, X, message):
    with pytest.raises(ValueError, match=message):
        ToSequences(layout, **parameters).fit_transform(X)


@pytest.mark.parametrize(
    ("lengths", "message"),
    [
        ([2], r"^lengths is of shape \(1,\) and dtype int64, but X has 2 sequences: pass one int for each"),
        ([2.0, 3.0], r"^lengths is of shape \(2,\) and dtype float64"),
        ([2, 5], r"^lengths\[1\] is 5, but it must be from 1 to 4, the steps of X\[1\]"),
        ([0, 2], r"^lengths\[0\] is 0, but it must be from 1 to 4"),
    ],
)
def test_lengths_that_do_not_fit_are_refused(lengths, message):
    with pytest.raises(ValueError, match=message):
        ToSequences("case_channel_time").fit(CUBE).transform(CUBE, lengths=lengths)


def test_other_shapes_than_those_of_fit_are_refused():
    with pytest.raises(NotFittedError):
        ToSequences("by_step").transform(TABLE)
    with pytest.raises(ValueError, match="X has 4 features, but ToSequences is expecting 6 features"):
        ToSequences("by_step").fit(TABLE).transform(TABLE[:, :4])
    with pytest.raises(ValueError, match="X has 4 features per step, but ToSequences is expecting 3"):
        ToSequences("case_channel_time").fit(CUBE).transform(CUBE.transpose(0, 2, 1))


def test_inverse_transform_refuses_what_transform_does_not_give():
    by_step = ToSequences("by_step", step_features=2).fit(TABLE)
    with pytest.raises(ValueError, match=r"^X is 2-D, but sequences are an array"):
        by_step.inverse_transform(TABLE)
    with pytest.raises(
        ValueError, match=r"^X has 3 features per step, but ToSequences returns 2: pass the output of tr"
    ):
        by_step.inverse_transform(np.ones((2, 3, 3)))
    with pytest.raises(
        ValueError, match=r"^X\[1\] has 2 steps, but the table of fit has columns for 3: set padding to"
    ):
        by_step.inverse_transform([np.ones((3, 2)), np.ones((2, 2))])
    with pytest.raises(ValueError, match=r"^X\[0\] has 4 steps, but the table of fit has columns for 3: cut it"):
        by_step.inverse_transform([np.ones((4, 2))])
    exogenous = ToSequences("by_step", exogenous=1).fit(TABLE)
    sequence = np.ones((5, 2))
    sequence[3, 1] = 2
    with pytest.raises(ValueError, match=r"^X\[0\] has another exogenous feature 1 at step 3 than at step 0"):
        exogenous.inverse_transform([sequence])


def test_bad_input_changes_nothing():
    to_sequences = ToSequences("case_time_channel", padding=0).fit(CUBE)
    before = vars(to_sequences).copy()
    for X in (TABLE, np.zeros((2, 9, 1)), [np.ones((1, 2)), np.ones((1, 3))]):
        with pytest.raises(ValueError, match=r"^X"):
            to_sequences.fit_transform(X)
        assert vars(to_sequences) == before


def make_container(form, parts):
    """The arrays (n_steps_i, n_features) in a container of another library."""
    library, kind = form.split(".")
    module = np if library == "numpy" else pytest.importorskip(library, reason=f"{library} is not installed")
    if kind == "column":
        column = np.empty((len(parts), 1), dtype=object)
        column[:, 0] = parts
        return column
    if kind == "index":
        return module.concat([module.DataFrame(part) for part in parts], keys=range(len(parts)))
    return module.Series(parts if library == "pandas" else [part.tolist() for part in parts])


@pytest.mark.parametrize("form", ["numpy.column", "pandas.Series", "pandas.index", "polars.Series"])
@pytest.mark.parametrize("layout", ["case_time_channel", "case_channel_time"])
def test_sequences_may_come_in_a_container(layout, form):
    parts = [np.arange(6.0).reshape(2, 3), np.arange(10.0, 16.0).reshape(2, 3)]
    given = make_container(form, parts)
    transformer = ToSequences(layout)
    expected = [part.T for part in parts] if layout == "case_channel_time" else parts
    assert_array_equal(np.stack(list(transformer.fit_transform(given))), expected)
    back = ToSequences("case_time_channel").fit(parts).inverse_transform(given)
    assert_array_equal(np.stack(list(back)), parts)


@pytest.mark.parametrize("layout", ["case_time_channel", "case_channel_time"])
def test_what_must_become_a_list_is_refused_with_the_line(layout):
    parts = [np.ones((2, 3)), np.ones((2, 3))]
    for wrong, message in (
        ((part for part in parts), r"^X is a generator, .*: pass list\(X\)"),
        (dict(enumerate(parts)), r"^X is a dict: .* list\(X\.values\(\)\)"),
    ):
        with pytest.raises(TypeError, match=message):
            ToSequences(layout).fit(wrong)


@pytest.mark.parametrize("layout", ["case_time_channel", "case_channel_time", "by_step"])
def test_values_under_a_mask_are_refused(layout):
    X = np.ma.masked_equal(np.arange(6.0).reshape((2, 3) if layout == "by_step" else (1, 2, 3)), 4)
    with pytest.raises(ValueError, match=r"^X is a masked array with 1 masked value,"):
        ToSequences(layout).fit(X)
    if layout != "by_step":
        with pytest.raises(ValueError, match=r"^X\[0\] is a masked array with 1 masked value,"):
            ToSequences(layout).fit([X[0]])
