"""Each sequence check fails for an estimator with the fault that it looks for, and the report says so."""

import numpy as np
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin, TransformerMixin
from sklearn.exceptions import SkipTestWarning
from sklearn.preprocessing import StandardScaler

from sklearn_rnn.preprocessing import TimeDistributed
from sklearn_rnn.utils.estimator_checks import check_sequence_estimator, parametrize_with_sequence_checks


class Doubled(TransformerMixin, BaseEstimator):
    """Twice every value. It is right, but for the fault that a subclass adds."""

    def fit(self, X, y=None):
        self.n_features_in_ = 1 if np.ndim(X[0]) == 1 else np.shape(X[0])[1]
        return self

    def transform(self, X):
        values = [self.of_sequence(x, X) for x in X]
        if isinstance(X, list | tuple):
            return values
        if X.dtype != object:
            return np.stack(values)
        array = np.empty(len(values), dtype=object)
        array[:] = values
        return array

    def of_sequence(self, x, X):
        x = np.asarray(x)
        x = x.astype(np.float32 if x.dtype == np.float32 else np.float64)
        return 2 * (x[:, np.newaxis] if x.ndim == 1 else x)


class DependsOnTheBatch(Doubled):
    def of_sequence(self, x, X):
        return super().of_sequence(x, X) + len(X)


class DependsOnThePlace(Doubled):
    def of_sequence(self, x, X):
        return super().of_sequence(x, X) + (x is X[0])


class ForgetsFloat32(Doubled):
    def of_sequence(self, x, X):
        return super().of_sequence(x, X).astype(np.float64)


class RoundsIntegers(Doubled):
    def of_sequence(self, x, X):
        return super().of_sequence(x, X).astype(np.asarray(x).dtype)


class RefusesTuples(Doubled):
    def transform(self, X):
        if isinstance(X, tuple):
            raise TypeError("X is a tuple")
        return super().transform(X)


class ReturnsLists(Doubled):
    def transform(self, X):
        return list(super().transform(X))


class LosesAStep(Doubled):
    def of_sequence(self, x, X):
        return super().of_sequence(x, X)[:-1]


class ChangesX(Doubled):
    def of_sequence(self, x, X):
        result = super().of_sequence(x, X)
        if isinstance(x, np.ndarray) and x.flags.writeable:
            x *= 2
        return result


class LosesStateInPickles(Doubled):
    def fit(self, X, y=None):
        self.offset_ = 1.0
        return super().fit(X)

    def of_sequence(self, x, X):
        return super().of_sequence(x, X) + self.offset_

    def __getstate__(self):
        return super().__getstate__() | ({"offset_": 0.0} if hasattr(self, "offset_") else {})


class RemembersEarlierFits(Doubled):
    def fit(self, X, y=None):
        self.n_fits_ = getattr(self, "n_fits_", 0) + 1
        return super().fit(X)

    def of_sequence(self, x, X):
        return super().of_sequence(x, X) + self.n_fits_


class TakesTheLengthsOfFitAlone(Doubled):
    def fit(self, X, y=None):
        self.longest_ = max(map(len, X))
        return super().fit(X)

    def of_sequence(self, x, X):
        if len(x) > self.longest_:
            raise ValueError("X has a longer sequence than fit saw")
        return super().of_sequence(x, X)


class ChannelsFirst(Doubled):
    """It has no fault, but its sequences are arrays (2, n_steps)."""

    def fit(self, X, y=None):
        shapes = {np.shape(x)[0] for x in X}
        if shapes != {2}:
            raise ValueError(f"X has {shapes} channels")
        self.n_features_in_ = 2
        return self


FAULTS = {
    DependsOnTheBatch: "check_each_sequence_is_its_own",
    DependsOnThePlace: "check_the_order_of_the_sequences_does_not_matter",
    ForgetsFloat32: "check_float32_stays_float32",
    RoundsIntegers: "check_other_numbers_become_float64",
    RefusesTuples: "check_ragged_forms_are_the_same_data",
    ReturnsLists: "check_values_per_step_come_back_in_the_form_of_x",
    LosesAStep: "check_values_per_step_are_as_many_as_the_steps",
    ChangesX: "check_memory_may_be_laid_out_in_any_way",
    LosesStateInPickles: "check_copies_give_the_same_bits",
    RemembersEarlierFits: "check_fitting_again_begins_anew",
    TakesTheLengthsOfFitAlone: "check_a_fitted_model_takes_other_lengths",
}


class LabelsOfMeans(ClassifierMixin, BaseEstimator):
    """The label of the nearest mean of fit: quick, with ``partial_fit``, weights, ``n_jobs`` and a seed, all wrong."""

    def __init__(self, random_state=None, n_jobs=None, max_iter=2):
        self.random_state, self.n_jobs, self.max_iter = random_state, n_jobs, max_iter

    def fit(self, X, y, sample_weight=None):
        self.classes_ = np.unique(y)
        self.n_features_in_, self.n_iter_, self.calls_ = 2, self.max_iter, [0.0]
        self.calls_[0] += len(X) + sum(sample_weight if sample_weight is not None else [0]) + (self.n_jobs or 0)
        return self

    def partial_fit(self, X, y, classes):
        if not hasattr(self, "calls_"):
            self.fit(X, y)
        self.calls_[0] += 1
        self.n_calls = getattr(self, "n_calls", 0) + 1
        return self

    def __deepcopy__(self, memo):
        copied = type(self)(**self.get_params())
        vars(copied).update(vars(self))
        return copied

    def predict_proba(self, X):
        return np.full((len(X), 3), self.calls_[0])

    def predict(self, X):
        return self.classes_[np.full(len(X), int(self.calls_[0]) % 3)]


FAULTS_OF_TRAINING = {
    "check_a_copy_shares_nothing_with_its_original",
    "check_a_weight_of_n_is_the_sequence_n_times",
    "check_equal_weights_are_no_weights",
    "check_n_jobs_does_not_change_a_bit",
    "check_one_call_an_epoch_equals_fit",
}


def results_of(estimator, **arguments):
    results = check_sequence_estimator(estimator, on_skip=None, on_fail=None, **arguments)
    return {result["check_name"]: result for result in results}


def failed(results):
    return {name for name, result in results.items() if result["status"] == "failed"}


def test_an_estimator_without_a_fault_passes():
    assert failed(results_of(Doubled())) == set()


@pytest.mark.parametrize("faulty", FAULTS)
def test_a_fault_is_found_by_its_check(faulty):
    result = results_of(faulty())[FAULTS[faulty]]
    assert result["status"] == "failed"
    assert isinstance(result["exception"], AssertionError)
    assert str(result["exception"]).startswith(f"{FAULTS[faulty]}: ")


def test_faults_of_training_are_found():
    assert failed(results_of(LabelsOfMeans())) >= FAULTS_OF_TRAINING


def test_the_first_failing_check_is_raised():
    with pytest.raises(AssertionError, match=r"^check_each_sequence_is_its_own: A sequence alone has"):
        check_sequence_estimator(DependsOnTheBatch(), on_skip=None)


def test_failures_and_checks_that_do_not_apply_may_warn():
    with pytest.warns(UserWarning, match="DependsOnTheBatch: check_each") as failures:
        check_sequence_estimator(DependsOnTheBatch(), on_skip=None, on_fail="warn")
    assert failures[0].filename == __file__
    with pytest.warns(SkipTestWarning) as skipped:
        check_sequence_estimator(Doubled())
    messages = [str(warning.message) for warning in skipped]
    name = "check_cross_validation_splits_lists"
    assert f"{name} is skipped for Doubled: the estimator has no predictor" in messages
    assert {warning.filename for warning in skipped} == {__file__}


def test_a_failure_may_be_expected():
    name = "check_each_sequence_is_its_own"
    seen = []
    expected = {name: "sequences are centred together"}
    results = results_of(DependsOnTheBatch(), expected_failed_checks=expected, callback=lambda **r: seen.append(r))
    assert results[name]["status"] == "xfail"
    assert results[name]["expected_to_fail_reason"] == expected[name]
    assert seen == list(results.values())
    mark = parametrize_with_sequence_checks([DependsOnTheBatch()], expected_failed_checks=lambda _: expected)
    marked = [parameter.id for parameter in mark.args[1] if parameter.marks]
    assert marked == [f"DependsOnTheBatch-0-{name}"]


def test_layouts_are_declared():
    declared = {"layout": "case_channel_time", "capabilities": {"containers": False}}
    assert failed(results_of(ChannelsFirst(), **declared)) == set()
    assert failed(results_of(ChannelsFirst(), capabilities={"containers": False})) != set()
    as_tuples = results_of(ChannelsFirst(), layout=lambda X: tuple(x.T for x in X), capabilities={"steps": False})
    assert failed(as_tuples) == set()


def test_checks_of_later_releases_may_be_left_out():
    assert results_of(Doubled(), release="0.0.9") == {}
    assert results_of(Doubled(), release="0.1.0").keys() == results_of(Doubled()).keys()


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"layout": "time_case"}, ValueError, "layout is 'time_case'"),
        ({"capabilities": {"fast": True}}, ValueError, r"capabilities has \['fast'\]"),
        ({"capabilities": {"ragged": "yes"}}, TypeError, r"capabilities has \{'ragged': 'yes'\}"),
        ({"on_skip": "raise"}, ValueError, "on_skip is 'raise'"),
        ({"on_fail": "ignore"}, ValueError, "on_fail is 'ignore'"),
        ({"callback": print}, ValueError, "callback is given"),
    ],
)
def test_wrong_arguments_are_refused(arguments, error, message):
    with pytest.raises(error, match=f"^{message}"):
        check_sequence_estimator(TimeDistributed(StandardScaler()), **arguments)


def test_a_class_is_refused():
    with pytest.raises(TypeError, match=r"^estimator is the class Doubled: pass an instance"):
        check_sequence_estimator(Doubled)
