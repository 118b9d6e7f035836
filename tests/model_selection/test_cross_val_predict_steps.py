"""Cross-validated predictions at every step, compared with splits that were fitted by hand."""

import numpy as np
import pandas as pd
import pytest
import sklearn
from numpy.testing import assert_array_equal
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, GroupKFold, KFold, ShuffleSplit, StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from step_data import LABELS, LENGTHS, TARGETS, WEIGHTS, X, chosen, classifier, object_array, regressor

from sklearn_rnn import RNNClassifier
from sklearn_rnn.metrics import make_step_scorer
from sklearn_rnn.model_selection import cross_val_predict_steps
from sklearn_rnn.preprocessing import TimeDistributed

METHODS = ["predict", "predict_proba", "predict_log_proba"]


def by_hand(estimator, y, splits, method="predict", sample_weight=None):
    """Predictions for every sequence, in the order of X."""
    predictions = [None] * len(X)
    for train, test in splits:
        params = {} if sample_weight is None else {"sample_weight": sample_weight[train]}
        model = clone(estimator).fit(chosen(X, train), chosen(y, train), **params)
        for i, predicted in zip(test, getattr(model, method)(chosen(X, test))):
            predictions[i] = predicted
    return predictions


def assert_same_lists(actual, expected):
    assert isinstance(actual, list)
    assert len(actual) == len(expected)
    for ours, others in zip(actual, expected):
        assert ours.dtype == others.dtype
        assert_array_equal(ours, others)


@pytest.mark.parametrize("method", METHODS)
def test_every_sequence_is_predicted_by_an_estimator_that_has_not_seen_it(method):
    actual = cross_val_predict_steps(classifier(), X, LABELS, cv=3, method=method)
    assert_same_lists(actual, by_hand(classifier(), LABELS, KFold(3).split(X), method))


def test_values_are_predicted_in_five_splits_by_default():
    actual = cross_val_predict_steps(regressor(), X, TARGETS)
    assert_same_lists(actual, by_hand(regressor(), TARGETS, KFold(5).split(X)))
    y = [np.column_stack([targets, targets**2]) for targets in TARGETS]
    assert_same_lists(cross_val_predict_steps(regressor(), X, y), by_hand(regressor(), y, KFold(5).split(X)))


@pytest.mark.parametrize("make", [list, tuple, object_array])
def test_ragged_sequences_give_a_list_or_an_object_array(make):
    actual = cross_val_predict_steps(regressor(), make(X), make(TARGETS), cv=2)
    assert isinstance(actual, np.ndarray if make is object_array else list)
    assert_same_lists(list(actual), by_hand(regressor(), TARGETS, KFold(2).split(X)))


@pytest.mark.parametrize("method", METHODS)
def test_arrays_give_an_array(method):
    generator = np.random.default_rng(0)
    array, labels = generator.normal(size=(6, 4, 2)), np.arange(24).reshape(6, 4) % 3
    table = classifier(step_features=2)
    expected = np.empty((6, 4) if method == "predict" else (6, 4, 3), labels.dtype if method == "predict" else float)
    for train, test in KFold(3).split(array):
        expected[test] = getattr(classifier().fit(array[train], labels[train]), method)(array[test])
    forms = (
        (classifier(), array, labels),
        (classifier(), array, list(labels)),
        (table, array.reshape(6, 8), labels),
        (table, pd.DataFrame(array.reshape(6, 8)), pd.DataFrame(labels)),
    )
    for estimator, sequences, y in forms:
        actual = cross_val_predict_steps(estimator, sequences, y, cv=3, method=method)
        assert isinstance(actual, np.ndarray)
        assert actual.dtype == expected.dtype
        assert_array_equal(actual, expected)
    assert_same_lists(cross_val_predict_steps(classifier(), list(array), labels, cv=3, method=method), list(expected))


def test_predictions_are_those_of_scikit_learn_where_it_can_join_them():
    array, y = np.random.default_rng(0).normal(size=(7, 4, 2)), np.arange(28.0).reshape(7, 4) / 28
    expected = cross_val_predict(regressor(), array, y, cv=3)
    assert_array_equal(cross_val_predict_steps(regressor(), array, y, cv=3), expected)


def test_any_number_of_processes_gives_the_same_predictions():
    cv = KFold(3, shuffle=True, random_state=0)
    expected = by_hand(regressor(), TARGETS, cv.split(X))
    assert_same_lists(cross_val_predict_steps(regressor(), X, TARGETS, cv=cv, n_jobs=2), expected)


def test_groups_of_sequences_stay_together():
    groups = np.array([0, 1, 2, 0, 1, 2, 0, 1, 2, 0])
    expected = by_hand(regressor(), TARGETS, GroupKFold(3).split(X, groups=groups))
    actual = cross_val_predict_steps(regressor(), X, TARGETS, groups=groups, cv=GroupKFold(3))
    assert_same_lists(actual, expected)
    with sklearn.config_context(enable_metadata_routing=True):
        actual = cross_val_predict_steps(regressor(), X, TARGETS, params={"groups": groups}, cv=GroupKFold(3))
    assert_same_lists(actual, expected)


def test_a_label_of_each_sequence_stratifies_by_given_splits():
    ends = [labels[-1] % 2 for labels in LABELS]
    splits = list(StratifiedKFold(2).split(np.zeros(len(X)), ends))
    actual = cross_val_predict_steps(classifier(), X, LABELS, cv=splits)
    assert_same_lists(actual, by_hand(classifier(), LABELS, splits))


def test_sample_weights_are_split_like_the_sequences():
    expected = by_hand(regressor(), TARGETS, KFold(3).split(X), sample_weight=WEIGHTS)
    actual = cross_val_predict_steps(regressor(), X, TARGETS, cv=3, params={"sample_weight": WEIGHTS})
    assert_same_lists(actual, expected)
    with sklearn.config_context(enable_metadata_routing=True):
        estimator = regressor().set_fit_request(sample_weight=True)
        actual = cross_val_predict_steps(estimator, X, TARGETS, cv=3, params={"sample_weight": WEIGHTS})
    assert_same_lists(actual, expected)


def test_metadata_that_nobody_requested_is_refused():
    refused = pytest.raises(ValueError, match=r"sample_weight'?\] are passed .* are not explicitly set as requested")
    with sklearn.config_context(enable_metadata_routing=True), refused:
        cross_val_predict_steps(regressor(), X, TARGETS, params={"sample_weight": WEIGHTS})


def test_pipelines_and_searches_predict_too():
    pipeline = make_pipeline(TimeDistributed(StandardScaler()), classifier())
    grid = {"rnnclassifier__learning_rate_init": [0.003, 0.1]}
    search = GridSearchCV(pipeline, grid, scoring=make_step_scorer("f1_macro"), cv=KFold(2))
    for estimator in (pipeline, search):
        expected = by_hand(estimator, LABELS, KFold(2).split(X), "predict_proba")
        actual = cross_val_predict_steps(estimator, X, LABELS, cv=2, method="predict_proba")
        assert_same_lists(actual, expected)


@pytest.mark.parametrize(("method", "fill"), [("predict_proba", 0), ("predict_log_proba", np.finfo(float).min)])
def test_classes_that_a_split_does_not_know_get_columns_of_their_own(method, fill):
    names = np.array(["a", "b", "c"])
    y = [names[labels] for labels in LABELS[:5]] + [names[2 * (labels // 2)] for labels in LABELS[5:]]
    with pytest.warns(RuntimeWarning, match=r"Number of classes in training fold \(2\) does not match .* \(3\)"):
        actual = cross_val_predict_steps(classifier(), X, y, cv=2, method=method)
    expected = by_hand(classifier(), y, KFold(2).split(X), method)
    assert [predicted.shape for predicted in actual] == [(length, 3) for length in LENGTHS]
    assert_same_lists([predicted[:, [0, 2]] for predicted in actual[:5]], expected[:5])
    assert all((predicted[:, 1] == fill).all() for predicted in actual[:5])
    assert_same_lists(actual[5:], expected[5:])


def test_the_estimator_stays_unfitted():
    estimator = classifier()
    cross_val_predict_steps(estimator, X, LABELS, cv=2)
    assert vars(estimator).keys() == estimator.get_params().keys()


# ---- Refusals ------------------------------------------------------------------------------------------


class LastStep(RNNClassifier):
    """Predicts once for each sequence, though it is fitted on every step."""

    def predict(self, X):
        return np.array([labels[-1] for labels in super().predict(X)])

    def predict_proba(self, X):
        return np.array([probabilities[-1] for probabilities in super().predict_proba(X)])


@pytest.mark.parametrize("method", ["predict", "predict_proba"])
def test_predictions_and_targets_of_whole_sequences_are_refused(method):
    ends = [labels[-1] for labels in LABELS]
    with pytest.raises(ValueError, match=r"^y\[0\] is a single value, but one target for each step is needed"):
        cross_val_predict_steps(classifier(readout="last"), X, ends, cv=2, method=method)
    estimator = LastStep(**classifier().get_params())
    with pytest.raises(ValueError, match=r"^estimator predicts once for each sequence.*LastStep.*readout='each'"):
        cross_val_predict_steps(estimator, X, LABELS, cv=2, method=method)


def test_an_unknown_method_and_one_that_the_estimator_lacks_are_refused():
    with pytest.raises(ValueError, match=r"^The 'method' parameter of cross_val_predict_steps must be"):
        cross_val_predict_steps(classifier(), X, LABELS, method="score")
    with pytest.raises(AttributeError, match=r"'RNNRegressor' object has no attribute 'predict_proba'"):
        cross_val_predict_steps(regressor(), X, TARGETS, method="predict_proba")


def test_splits_that_are_no_partition_are_refused():
    with pytest.raises(ValueError, match="only works for partitions"):
        cross_val_predict_steps(regressor(), X, TARGETS, cv=ShuffleSplit(3, random_state=0))


def test_targets_of_wrong_lengths_are_refused_with_their_place():
    with pytest.raises(ValueError, match=r"inconsistent numbers of samples"):
        cross_val_predict_steps(regressor(), X, TARGETS[:-1])
    y = [*TARGETS[:2], TARGETS[2][:-1], *TARGETS[3:]]
    with pytest.raises(ValueError, match=r"y\[\d\] has 6 targets, but X\[\d\] has 7 steps"):
        cross_val_predict_steps(regressor(), X, y, cv=2)
