"""The forms of X that clients take: 2-D and 3-D arrays, lists, and columns of objects, as the user guide lists them."""

import re
from pathlib import Path

import numpy as np
import pytest
from client_data import (
    announcements_ignored,
    as_lists,
    classifier,
    import_client,
    in_form,
    padded_rows,
    regressor,
    take,
    two_classes,
)
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import TransformedTargetRegressor
from sklearn.ensemble import (
    AdaBoostClassifier,
    AdaBoostRegressor,
    BaggingClassifier,
    BaggingRegressor,
    StackingClassifier,
    StackingRegressor,
    VotingClassifier,
    VotingRegressor,
)
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.inspection import permutation_importance
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import accuracy_score, r2_score
from sklearn.model_selection import (
    FixedThresholdClassifier,
    GridSearchCV,
    HalvingGridSearchCV,
    TunedThresholdClassifierCV,
    cross_val_predict,
    learning_curve,
)
from sklearn.multiclass import OneVsOneClassifier, OneVsRestClassifier
from sklearn.multioutput import MultiOutputClassifier, MultiOutputRegressor
from sklearn.pipeline import make_pipeline
from sklearn.semi_supervised import SelfTrainingClassifier

from sklearn_rnn.preprocessing import ToSequences

pytestmark = [announcements_ignored, pytest.mark.filterwarnings("ignore:.*OptunaSearchCV is experimental")]

PAGE = Path(__file__).parents[2] / "docs" / "user_guide" / "clients.rst"
GRID = {"alpha": [0.0, 1e-3]}
CLIENTS = {}


def takes(client, forms):
    """Register scores(X, y) of a row in the user guide's table, and the forms of X that it takes."""

    def register(scores):
        CLIENTS[client] = (forms.split(", "), scores)
        return scores

    return register


def score(estimator, X, y):
    return estimator.fit(X, y).score(X, y)


def two_classifiers():
    return [("gru", classifier()), ("rnn", classifier(cell="rnn"))]


def two_regressors():
    return [("gru", regressor()), ("rnn", regressor(cell="rnn"))]


# ---- scikit-learn ------------------------------------------------------------------------------------


@takes("BaggingClassifier, BaggingRegressor", "2-D, column")
def bagging(X, y):
    yield score(BaggingClassifier(classifier(), 3, random_state=0), X, y)
    yield score(BaggingRegressor(regressor(), 3, random_state=0), X, y)


@takes("AdaBoostClassifier, AdaBoostRegressor", "2-D, 3-D")
def boosting(X, y):
    yield score(AdaBoostClassifier(classifier(), n_estimators=3, random_state=0), X, y)
    yield score(AdaBoostRegressor(regressor(), n_estimators=3, random_state=0), X, y)


@takes("StackingClassifier, StackingRegressor, VotingClassifier, VotingRegressor", "2-D, 3-D, list, column")
def stacking_and_voting(X, y):
    yield score(StackingClassifier(two_classifiers(), cv=3), X, y)
    yield score(StackingRegressor(two_regressors(), cv=3), X, y)
    yield score(VotingClassifier(two_classifiers(), voting="soft"), X, y)
    yield score(VotingRegressor(two_regressors()), X, y)


@takes("CalibratedClassifierCV, TunedThresholdClassifierCV, FixedThresholdClassifier", "2-D, 3-D, list, column")
def decisions(X, y):
    yield score(CalibratedClassifierCV(classifier(), cv=3), X, y)
    yield score(TunedThresholdClassifierCV(classifier(), cv=3, thresholds=10), X, y)
    yield score(FixedThresholdClassifier(classifier(), threshold=0.4), X, y)


@takes("GridSearchCV, HalvingGridSearchCV, cross_val_predict, learning_curve", "2-D, 3-D, list, column")
def model_selection(X, y):
    yield score(GridSearchCV(classifier(), GRID, cv=3, error_score="raise"), X, y)
    halving = HalvingGridSearchCV(
        classifier(), GRID, cv=3, min_resources=24, factor=2, random_state=0, error_score="raise"
    )
    yield score(halving, X, y)
    yield accuracy_score(y, cross_val_predict(classifier(), X, y, cv=3))
    _, _, test_scores = learning_curve(classifier(), X, y, cv=3, train_sizes=[0.5, 1.0], error_score="raise")
    yield from test_scores.mean(axis=1)


@takes(
    "OneVsRestClassifier, MultiOutputClassifier, MultiOutputRegressor, TransformedTargetRegressor",
    "2-D, 3-D, list, column",
)
def targets(X, y):
    both = np.column_stack([y, 1 - y])
    yield score(OneVsRestClassifier(classifier()), X, y)
    yield score(MultiOutputClassifier(classifier()), X, both)
    yield score(MultiOutputRegressor(regressor()), X, both)
    yield score(TransformedTargetRegressor(regressor(), func=np.sqrt, inverse_func=np.square), X, y)


@takes("OneVsOneClassifier, SelfTrainingClassifier", "2-D")
def pairs_and_pseudo_labels(X, y, network=None):
    network = classifier() if network is None else network
    yield score(OneVsOneClassifier(network), X, y)
    some = np.where(np.arange(len(y)) % 3, y, -1)
    yield SelfTrainingClassifier(network).fit(X, some).score(X, y)


@takes("permutation_importance", "2-D, column")
def importance(X, y):
    fitted = classifier().fit(X, y)
    lost = permutation_importance(fitted, X, y, n_repeats=5, random_state=0).importances_mean
    # A column of objects is one feature, the whole sequence: nothing is left.
    assert lost.max() > (0.35 if X.shape[1] == 1 else 0.02)
    yield fitted.score(X, y)


# ---- Other libraries ---------------------------------------------------------------------------------


def imbalanced(X, y):
    """All sequences of class 0 and half of those of class 1, in the form of X."""
    kept = np.flatnonzero((y == 0) | (np.arange(len(y)) < 30))
    return X[kept] if isinstance(X, np.ndarray) else take(X, kept), y[kept]


def score_after(sampler, X, y):
    X_balanced, y_balanced = sampler.fit_resample(*imbalanced(X, y))
    assert np.ptp(np.bincount(y_balanced)) == 0
    return classifier().fit(X_balanced, y_balanced).score(X, y)


@takes("RandomOverSampler, RandomUnderSampler", "2-D, column")
def random_samplers(X, y):
    yield score_after(import_client("imblearn.over_sampling").RandomOverSampler(random_state=0), X, y)
    yield score_after(import_client("imblearn.under_sampling").RandomUnderSampler(random_state=0), X, y)


@takes("SMOTE", "2-D")
def interpolation(X, y):
    yield score_after(import_client("imblearn.over_sampling").SMOTE(random_state=0), X, y)


@takes("BalancedBaggingClassifier, EasyEnsembleClassifier", "2-D, column")
def balanced_ensembles(X, y):
    ensemble = import_client("imblearn.ensemble")
    for client in (ensemble.BalancedBaggingClassifier, ensemble.EasyEnsembleClassifier):
        fitted = client(estimator=classifier(), n_estimators=3, random_state=0).fit(*imbalanced(X, y))
        yield fitted.score(X, y)


@takes("RUSBoostClassifier", "2-D")
def balanced_boosting(X, y):
    client = import_client("imblearn.ensemble").RUSBoostClassifier
    yield client(classifier(), n_estimators=3, random_state=0).fit(*imbalanced(X, y)).score(X, y)


@takes("EnsembleVoteClassifier, StackingClassifier, StackingCVClassifier", "2-D, 3-D, list, column")
def mlxtend_classifiers(X, y):
    client = import_client("mlxtend.classifier")
    networks = [network for _, network in two_classifiers()]
    final = LogisticRegression()
    yield score(client.EnsembleVoteClassifier(networks, voting="soft"), X, y)
    yield score(client.StackingClassifier(networks, final, use_probas=True), X, y)
    yield score(client.StackingCVClassifier(networks, final, use_probas=True, cv=3, random_state=0), X, y)


@takes("StackingRegressor, StackingCVRegressor", "2-D")
def mlxtend_regressors(X, y):
    client = import_client("mlxtend.regressor")
    networks = [network for _, network in two_regressors()]
    yield score(client.StackingRegressor(networks, Ridge()), X, y)
    yield score(client.StackingCVRegressor(networks, Ridge(), cv=3, random_state=0), X, y)


@takes("SequentialFeatureSelector", "2-D")
def mlxtend_selection(X, y):
    client = import_client("mlxtend.feature_selection").SequentialFeatureSelector
    yield client(classifier(), k_features=3, cv=3).fit(X, y).k_score_


@takes("OptunaSearchCV", "2-D, 3-D, list, column")
def optuna_search(X, y):
    distributions = import_client("optuna.distributions")
    client = import_client("optuna_integration").OptunaSearchCV
    grid = {"alpha": distributions.FloatDistribution(1e-6, 1e-2, log=True)}
    yield score(client(classifier(), grid, cv=3, n_trials=2, random_state=0, error_score="raise"), X, y)


@takes("CrossConformalClassifier, CrossConformalRegressor, JackknifeAfterBootstrapRegressor", "2-D, 3-D, list, column")
def conformal_by_folds(X, y):
    client = import_client("mapie.classification").CrossConformalClassifier
    yield accuracy_score(y, client(classifier(), cv=3, random_state=0).fit_conformalize(X, y).predict(X))
    regression = import_client("mapie.regression")
    client = regression.CrossConformalRegressor(regressor(), cv=3, random_state=0)
    yield r2_score(y, client.fit_conformalize(X, y).predict(X))
    client = regression.JackknifeAfterBootstrapRegressor(regressor(), resampling=20, random_state=0)
    yield r2_score(y, client.fit_conformalize(X, y).predict(X))


@takes("SplitConformalClassifier, SplitConformalRegressor", "2-D")
def conformal_by_a_split(X, y, wrapped=lambda network: network):
    classification, regression = import_client("mapie.classification"), import_client("mapie.regression")
    fitted = wrapped(classifier()).fit(X[:30], y[:30])
    client = classification.SplitConformalClassifier(fitted, prefit=True).conformalize(X[30:], y[30:])
    yield accuracy_score(y, client.predict(X))
    fitted = wrapped(regressor()).fit(X[:30], y[:30])
    client = regression.SplitConformalRegressor(fitted, prefit=True).conformalize(X[30:], y[30:])
    yield r2_score(y, client.predict(X))


@takes("ThresholdOptimizer, ExponentiatedGradient", "2-D, 3-D, column")
def fairness(X, y):
    groups = np.arange(len(y)) // 2 % 2  # half of each class
    postprocessing, reductions = import_client("fairlearn.postprocessing"), import_client("fairlearn.reductions")
    client = postprocessing.ThresholdOptimizer(estimator=classifier(), predict_method="predict_proba")
    client.fit(X, y, sensitive_features=groups)
    yield accuracy_score(y, client.predict(X, sensitive_features=groups, random_state=0))
    client = reductions.ExponentiatedGradient(classifier(), reductions.DemographicParity(), eps=0.1, max_iter=5)
    yield accuracy_score(y, client.fit(X, y, sensitive_features=groups).predict(X, random_state=0))


# ---- Tests -------------------------------------------------------------------------------------------


def assert_is_far_above_chance(scores):
    """Of an accuracy of 0.5, and of an R2 of 0: the labels are the targets of regressors too."""
    assert min(scores) > 0.6, scores


@pytest.mark.parametrize("client", CLIENTS)
def test_a_client_takes_these_forms(client):
    forms, scores = CLIENTS[client]
    by_form = {form: list(scores(*in_form(form))) for form in forms}
    for found in by_form.values():
        assert_is_far_above_chance(found)
    # Two forms of the same sequences are read as the same sequences.
    if "3-D" in forms:
        np.testing.assert_allclose(by_form["3-D"], by_form["2-D"], rtol=1e-6)
    if "list" in forms:
        np.testing.assert_allclose(by_form["column"], by_form["list"], rtol=1e-6)


@pytest.mark.parametrize("scores", [boosting, balanced_boosting, mlxtend_regressors])
def test_a_column_of_lists_passes_where_items_are_compared_with_themselves(scores):
    X, y = in_form("column")
    assert_is_far_above_chance(list(scores(as_lists(X), y)))


def test_rows_with_padding_pass_where_numbers_are_needed():
    X, y = two_classes()
    network = make_pipeline(ToSequences("by_step", padding=-1e9), classifier())
    assert_is_far_above_chance(list(pairs_and_pseudo_labels(padded_rows(X, -1e9), y, network)))
    direct, padded = classifier().fit(X, y), network.fit(padded_rows(X, -1e9), y)
    np.testing.assert_array_equal(padded.predict_proba(padded_rows(X, -1e9)), direct.predict_proba(X))


@pytest.mark.filterwarnings("ignore:Estimator does not appear fitted:UserWarning")
def test_a_pipeline_in_a_pipeline_passes_where_a_fitted_network_is_tried_on_a_row():
    X, y = in_form("list")
    nested = lambda network: make_pipeline(make_pipeline("passthrough", network))  # noqa: E731
    assert_is_far_above_chance(list(conformal_by_a_split(X, y, nested)))


def forms_in_page():
    """The forms that each row of the table names, by its clients."""
    text = re.sub(r"\s+", " ", PAGE.read_text(encoding="utf-8"))
    rows = re.findall(r"\* - [^*]*? - (``[^*]*?``) - ((?:(?:2-D|3-D|list|column)(?:, )?)+) - ", text)
    return {clients.replace("``", ""): forms.split(", ") for clients, forms in rows}


@pytest.mark.skipif(not PAGE.exists(), reason="the tests run without the documentation's sources")
def test_the_page_lists_the_forms_that_each_client_takes():
    assert forms_in_page() == {client: forms for client, (forms, _) in CLIENTS.items()}
