"""permutation_importance: the parts that are exchanged, the importances of known functions, forms of X, and errors."""

import numpy as np
import pandas as pd
import pytest
from helpers import make_sequences, plain_classifier, plain_regressor
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.inspection import permutation_importance as importance_of_columns
from sklearn.metrics import mean_absolute_error, r2_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_rnn.inspection import permutation_importance
from sklearn_rnn.inspection._explanations.shuffling import SequenceList, groups_of_like_length, parts_of, shuffled
from sklearn_rnn.metrics import make_step_scorer
from sklearn_rnn.preprocessing import TimeDistributed

pytestmark = pytest.mark.filterwarnings("ignore:max_iter:sklearn.exceptions.ConvergenceWarning")

LENGTHS = np.random.default_rng(0).integers(4, 12, 60)


class Known(RegressorMixin, BaseEstimator):
    """A regressor that predicts a known function of a sequence."""

    def __init__(self, function=None):
        self.function = function

    def fit(self, X, y):
        return self

    def predict(self, X):
        return np.array([self.function(np.asarray(x, dtype=float)) for x in X])

    def __sklearn_is_fitted__(self):
        return True


def of_function(function, X, **options):
    """Importances of a regressor that predicts y without an error."""
    model = Known(function)
    return permutation_importance(model, X, model.predict(X), random_state=0, **options)


# ---- The importances ---------------------------------------------------------------------------------


def test_only_the_feature_that_is_read_is_important():
    X = make_sequences(LENGTHS, 3)
    result = of_function(lambda x: x[:, 1].sum(), X)
    assert result.importances.shape == (3, 5)
    assert_array_equal(result.importances[[0, 2]], 0)
    assert result.importances[1].min() > 0.5
    assert result.baseline_score == 1
    assert_allclose(result.importances_mean, result.importances.mean(axis=1), rtol=1e-15)
    assert_allclose(result.importances_std, result.importances.std(axis=1), rtol=1e-15)


def test_only_the_step_that_is_read_is_important():
    X = make_sequences(LENGTHS, 2)
    result = of_function(lambda x: x[3].sum(), X, by="step")
    assert len(result.importances) == LENGTHS.max()
    assert result.importances[3].min() > 0.5
    assert_array_equal(np.delete(result.importances, 3, axis=0), 0)


def test_only_the_window_that_is_read_is_important():
    X = make_sequences(LENGTHS, 2)
    result = of_function(lambda x: x[-1].sum(), X, by="window", n_windows=4)
    assert result.importances.shape == (4, 5)
    assert result.importances[3].min() > 0.5
    assert_array_equal(result.importances[:3], 0)


def test_columns_of_one_step_have_the_importances_of_scikit_learn():
    X = np.random.default_rng(0).normal(size=(400, 1, 3))
    model = Known(lambda x: x.ravel() @ [1.0, 0.0, 3.0])
    ours = permutation_importance(model, X, model.predict(X), n_repeats=50, random_state=0)
    theirs = importance_of_columns(model, X[:, 0], model.predict(X), n_repeats=50, random_state=0)
    assert_allclose(ours.importances_mean, theirs.importances_mean, rtol=0.05, atol=1e-12)
    assert ours.importances.shape == theirs.importances.shape


def test_the_scoring_decides_what_gets_worse():
    X = make_sequences(LENGTHS)
    model = Known(lambda x: x[:, 0].mean())
    y = model.predict(X) + 0.01
    result = permutation_importance(model, X, y, scoring="neg_mean_absolute_error", random_state=0)
    assert_allclose(result.baseline_score, -0.01, rtol=1e-12)
    assert result.importances_mean[0] > 0.1
    own = permutation_importance(
        model, X, y, scoring=lambda model, X, y: -mean_absolute_error(y, model.predict(X)), random_state=0
    )
    assert_array_equal(own.importances, result.importances)


def test_weights_are_those_of_the_score():
    X = make_sequences(LENGTHS)
    model, weights = Known(lambda x: x[:, 0].mean()), np.arange(60) % 2
    y = model.predict(X) + np.where(weights, 0, 5)
    assert permutation_importance(model, X, y, sample_weight=weights, random_state=0).baseline_score == 1
    expected = r2_score(y, model.predict(X))
    assert permutation_importance(model, X, y, random_state=0).baseline_score == expected < 0


@pytest.mark.parametrize("by", ["feature", "step", "window"])
def test_the_result_depends_on_the_random_state_alone(by):
    X, y = np.random.default_rng(0).normal(size=(20, 5, 2)), np.arange(20) % 2
    classifier = plain_classifier((4,), max_iter=3).fit(X, y)
    one, two, other = (
        permutation_importance(classifier, X, y, by=by, n_jobs=n_jobs, random_state=seed).importances
        for n_jobs, seed in ((None, 0), (2, 0), (None, 1))
    )
    assert_array_equal(one, two)
    assert (one != other).any()


def test_labels_of_steps_are_scored_by_a_step_scorer():
    X = make_sequences(LENGTHS)
    y = [(x[:, 0] > 0).astype(int) for x in X]
    classifier = plain_classifier((8,), readout="each", max_iter=30, learning_rate_init=0.03).fit(X, y)
    result = permutation_importance(classifier, X, y, scoring=make_step_scorer("accuracy"), random_state=0)
    assert result.baseline_score > 0.9
    assert result.importances_mean[0] > 0.2
    assert abs(result.importances_mean[1]) < 0.1


def test_pipelines_are_shuffled_before_their_first_step():
    frames = [pd.DataFrame(x, columns=["speed", "heat"]) for x in make_sequences(LENGTHS)]
    y = np.array([frame["heat"].mean() for frame in frames])
    pipeline = make_pipeline(
        TimeDistributed(StandardScaler()), plain_regressor((8,), readout="mean", max_iter=60, learning_rate_init=0.02)
    ).fit(frames, y)
    result = permutation_importance(pipeline, frames, y, random_state=0)
    assert_array_equal(result.feature_names, ["speed", "heat"])
    assert result.importances_mean[1] > 10 * abs(result.importances_mean[0])


# ---- The parts that are exchanged --------------------------------------------------------------------


def numbered(lengths, n_features=2):
    """Sequences whose values say where they come from: 100 * sequence + step, and a quarter for the feature."""
    return [100.0 * i + np.arange(n)[:, None] + 0.25 * np.arange(n_features) for i, n in enumerate(lengths)]


def exchanged(X, by, place, n_windows=3, seed=0):
    sequences = SequenceList(X)
    return shuffled(sequences, parts_of(sequences, by, n_windows)[place], np.random.RandomState(seed))


def test_a_feature_keeps_its_course():
    X = np.stack(numbered([5] * 8))
    result = exchanged(X, "feature", 1)
    assert isinstance(result, np.ndarray)
    assert_array_equal(result[:, :, 0], X[:, :, 0])
    donors = (result[:, 0, 1] // 100).astype(int)
    assert sorted(donors) == list(range(8))
    assert (donors != np.arange(8)).any()
    assert_array_equal(result[:, :, 1], X[donors, :, 1])


def test_a_step_keeps_its_place_and_its_features():
    X = numbered([2, 5, 3, 4, 5, 2])
    result = exchanged(X, "step", 2)
    for i, (before, after) in enumerate(zip(X, result, strict=True)):
        donor = int(after[min(2, len(after) - 1), 0] // 100)
        if len(before) <= 2:
            assert donor == i
            assert_array_equal(after, before)
            continue
        assert_array_equal(np.delete(after, 2, axis=0), np.delete(before, 2, axis=0))
        assert_array_equal(after[2], X[donor][2])
    assert sorted(x[2, 0] // 100 for x in result if len(x) > 2) == [1, 2, 3, 4]


def test_a_window_keeps_its_part_of_the_sequence():
    X = numbered([6, 6, 6, 6])
    result = exchanged(X, "window", 1)
    donors = [int(x[2, 0] // 100) for x in result]
    assert sorted(donors) == [0, 1, 2, 3] != donors
    for before, after, donor in zip(X, result, donors, strict=True):
        assert_array_equal(after[[0, 1, 4, 5]], before[[0, 1, 4, 5]])
        assert_array_equal(after[2:4], X[donor][2:4])


def test_other_lengths_are_stretched():
    X = numbered([4, 6], 1)
    longer, shorter = None, None
    for seed in range(10):
        first, second = exchanged(X, "feature", 0, seed=seed)
        if first[0, 0] >= 100:
            longer, shorter = first, second
    assert longer[:, 0].tolist() == [100, 102, 103, 105]
    assert shorter[:, 0].tolist() == [0, 1, 1, 2, 3, 3]


def test_groups_have_like_lengths():
    lengths = np.array([100, 10, 11, 100, 10, 104] + [10] * 9 + [200] * 10 + [102] * 8 + [300, 301])
    groups = groups_of_like_length(lengths)
    assert sorted(np.concatenate(groups)) == list(range(len(lengths)))
    assert [sorted(set(lengths[group])) for group in groups] == [[10, 11], [100, 102, 104], [200, 300, 301]]
    assert [group.tolist() for group in groups_of_like_length(np.array([3, 900, 5]))] == [[0, 2, 1]]
    assert len(groups_of_like_length(np.full(50, 7))) == 1


@pytest.mark.parametrize("by", ["feature", "step", "window"])
def test_nothing_is_changed_in_place(by):
    X = numbered([5, 3, 5, 4])
    copies = [x.copy() for x in X]
    frames = [pd.DataFrame(x, columns=["a", "b"]) for x in X]
    exchanged(X, by, 1)
    exchanged(frames, by, 1)
    for x, copied, frame in zip(X, copies, frames, strict=True):
        assert_array_equal(x, copied)
        assert_array_equal(frame, copied)


# ---- Forms of X --------------------------------------------------------------------------------------


def polars_frames(X):
    pl = pytest.importorskip("polars")
    return [pl.DataFrame({"a": x[:, 0], "b": x[:, 1]}) for x in X]


def pandas_frames(X):
    return [pd.DataFrame(x, columns=["a", "b"], index=np.arange(len(x)) + 7) for x in X]


def object_array(X):
    array = np.empty(len(X), object)
    array[:] = X
    return array


@pytest.mark.parametrize("by", ["feature", "step", "window"])
@pytest.mark.parametrize("make", [polars_frames, pandas_frames, object_array, tuple], ids=lambda make: make.__name__)
def test_all_forms_exchange_the_same(make, by):
    X = numbered([5, 3, 6, 4, 5])
    expected, actual = exchanged(X, by, 1), exchanged(make(X), by, 1)
    assert any((a != b).any() for a, b in zip(expected, X, strict=True))
    given = make(X)
    for a, b, before in zip(actual, expected, given, strict=True):
        assert type(a) is type(before)
        assert_array_equal(np.asarray(a), b)
        if hasattr(before, "columns"):
            assert list(a.columns) == ["a", "b"]
    if make is pandas_frames:
        assert all(a.index.equals(b.index) for a, b in zip(actual, given))


def test_frames_of_numbers_of_one_or_more_dtypes_exchange_the_same():
    X = numbered([5, 3, 6, 4, 5])
    frames = pandas_frames(X)
    mixed = [frame.astype({"a": int}) for frame in frames]
    assert all(isinstance(x, np.ndarray) for x in SequenceList(frames).sequences)
    assert not any(isinstance(x, np.ndarray) for x in SequenceList(mixed).sequences)
    for by in ("feature", "step", "window"):
        one, several = exchanged(frames, by, 1), exchanged(mixed, by, 1)
        for a, b, before, mixed_before in zip(one, several, frames, mixed, strict=True):
            pd.testing.assert_frame_equal(a, b.astype(float))
            assert (a.dtypes == before.dtypes).all()
            assert (b.dtypes == mixed_before.dtypes).all()
        assert any(not a.equals(before) for a, before in zip(one, frames, strict=True))


def test_categories_of_frames_keep_their_dtype():
    words = ["on", "off", "idle"]
    frames = [
        pd.DataFrame({"word": pd.Categorical(np.roll(words, i), words), "heat": np.arange(3) + i}) for i in range(6)
    ]
    for by, place in (("feature", 0), ("step", 1)):
        result = exchanged(frames, by, place)
        assert all((a.dtypes == b.dtypes).all() for a, b in zip(result, frames, strict=True))
        assert any(not a.equals(b) for a, b in zip(result, frames))


def test_tokens_stay_lists_of_strings():
    clicks = [["home", "search", "cart"], ["home", "help"], ["search", "cart", "pay"], ["help", "home", "help"]]
    result = exchanged(clicks, "step", 1, seed=1)
    assert all(isinstance(x, list) for x in result)
    assert sorted(x[1] for x in result) == ["cart", "help", "home", "search"]
    classifier = plain_classifier((4,), max_iter=2).fit(clicks, [1, 0, 1, 0])
    importances = permutation_importance(classifier, clicks, [1, 0, 1, 0], by="step", random_state=0).importances
    assert importances.shape == (3, 5)


# ---- Errors ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("X", "message"),
    [
        (np.zeros((4, 3)), r"X has shape \(4, 3\), but it must be 3-D or a list of sequences. For a 2-D table use"),
        ([1.0, 2.0], "but it must be 3-D or a list of sequences"),
        ([np.zeros((2, 2)), np.zeros((2, 3))], r"X has sequences of \[2, 3\] features"),
        ([np.zeros((2, 2, 2))], r"X\[0\] has 3 dimensions"),
        ({"a": 1}, "X is a dict, but it must be an array"),
        (
            pd.DataFrame({"a": [1, 2]}, index=pd.MultiIndex.from_arrays([[0, 1], [0, 0]])),
            r"X is a data frame with an index \(instance, time\): pass its sequences as a list of frames",
        ),
    ],
)
def test_other_data_are_refused(X, message):
    with pytest.raises((ValueError, TypeError), match=message):
        permutation_importance(Known(np.sum), X, [0, 1])


def test_bad_arguments_are_refused():
    X = make_sequences()
    for options in ({"by": "time"}, {"n_repeats": 0}, {"n_windows": 0}):
        with pytest.raises(ValueError, match=f"The '{next(iter(options))}' parameter of permutation_importance must"):
            permutation_importance(Known(np.sum), X, np.arange(5), **options)
