"""The parameter scoring: any score of the validation data, for early stopping and validation_scores_."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn.metrics import get_scorer, log_loss, make_scorer, mean_absolute_error

from sklearn_rnn import RNNClassifier, RNNRegressor
from sklearn_rnn.metrics import make_step_scorer

pytestmark = pytest.mark.filterwarnings("ignore:max_iter:sklearn.exceptions.ConvergenceWarning")

GENERATOR = np.random.default_rng(0)
X = [GENERATOR.normal(size=(n, 2)) for n in GENERATOR.integers(2, 9, 60)]
LABELS = np.array(["low", "high"])[[int(x[:, 0].mean() > 0) for x in X]]
THREE = np.array(["a", "b", "c"])[np.argsort(np.argsort([x[0, 0] for x in X])) * 3 // 60]
VALUES = np.array([x[:, 1].sum() for x in X])
POSITIVE = np.exp(VALUES / 4)
SHORT = {"hidden_layer_sizes": 4, "max_iter": 3, "random_state": 0}


def classifier(**settings):
    return RNNClassifier(**SHORT | settings)


def regressor(**settings):
    return RNNRegressor(**SHORT | settings)


CASES = {
    "roc_auc": (classifier(scoring="roc_auc"), LABELS),
    "f1 of a label": (classifier(scoring="f1_macro", patch_size=2), THREE),
    "log loss": (classifier(scoring="neg_log_loss"), THREE),
    "absolute error": (regressor(scoring="neg_mean_absolute_error"), VALUES),
    "one output in a column": (regressor(scoring="r2"), VALUES[:, None]),
    "several outputs": (regressor(scoring="neg_root_mean_squared_error"), np.stack([VALUES, POSITIVE], axis=1)),
    "poisson": (regressor(loss="poisson", scoring="neg_mean_poisson_deviance"), POSITIVE),
    "a scorer": (regressor(scoring=make_scorer(mean_absolute_error, greater_is_better=False)), VALUES),
    "a function": (classifier(scoring=lambda estimator, X, y: -log_loss(y, estimator.predict_proba(X))), THREE),
    "steps": (classifier(readout="each", scoring=make_step_scorer("f1_macro")), [x[:, 0] > 0 for x in X]),
}


@pytest.mark.parametrize(("estimator", "y"), CASES.values(), ids=CASES)
def test_the_last_score_is_that_of_the_fitted_estimator(estimator, y):
    half = slice(30, None)
    estimator.fit(X[:30], y[:30], X_val=X[half], y_val=y[half])
    assert len(estimator.validation_scores_) == 3
    scorer = get_scorer(estimator.scoring) if isinstance(estimator.scoring, str) else estimator.scoring
    assert_allclose(estimator.validation_scores_[-1], scorer(estimator, X[half], y[half]), rtol=1e-9)


def test_sample_weights_are_passed_on():
    weights = GENERATOR.uniform(0.5, 2, 60)
    clf = classifier(scoring="roc_auc").fit(X, LABELS, X_val=X, y_val=LABELS, sample_weight_val=weights)
    expected = get_scorer("roc_auc")(clf, X, LABELS, sample_weight=weights)
    assert_allclose(clf.validation_scores_[-1], expected, rtol=1e-9)


def test_loss_is_the_negative_validation_loss():
    clf = classifier(scoring="loss").fit(X, LABELS, X_val=X, y_val=LABELS)
    assert clf.validation_scores_ == [-loss for loss in clf.validation_loss_curve_]


def test_early_stopping_keeps_the_weights_of_the_best_score():
    settings = {"early_stopping": True, "max_iter": 15, "learning_rate": "constant", "learning_rate_init": 0.1}
    clf = classifier(scoring="roc_auc", **settings).fit(X[:30], LABELS[:30], X_val=X[30:], y_val=LABELS[30:])
    assert clf.best_validation_score_ == max(clf.validation_scores_)
    assert_allclose(get_scorer("roc_auc")(clf, X[30:], LABELS[30:]), clf.best_validation_score_, rtol=1e-9)
    accuracies = classifier(**settings).fit(X[:30], LABELS[:30], X_val=X[30:], y_val=LABELS[30:]).validation_scores_
    assert accuracies[: len(clf.validation_scores_)] != clf.validation_scores_


@pytest.mark.parametrize("form", ["list", "array", "table", "frames of categories"])
def test_a_part_that_is_set_aside_may_have_any_form(form):
    pd = pytest.importorskip("pandas")
    data = {
        "list": X,
        "array": np.stack([x[:2] for x in X]),
        "table": np.stack([x[:2].ravel() for x in X]),
        "frames of categories": [pd.DataFrame({"k": np.where(x[:, 0] > 0, "up", "down"), "v": x[:, 1]}) for x in X],
    }[form]
    clf = classifier(scoring="roc_auc", early_stopping=True, validation_fraction=0.3).fit(data, LABELS)
    assert 0 <= clf.best_validation_score_ <= 1


@pytest.mark.parametrize(
    ("scoring", "message"),
    [("accurate", "'accurate' is not a valid scoring value"), (3, "The 'scoring' parameter of RNNClassifier must be")],
)
def test_a_bad_scoring_is_refused_before_training(scoring, message):
    with pytest.raises(ValueError, match=message):
        classifier(scoring=scoring, early_stopping=True).fit(X, LABELS)


def test_validation_data_may_be_in_a_file(tmp_path):
    array = np.stack([x[:2] for x in X])
    np.save(tmp_path / "X.npy", array)
    mapped = np.load(tmp_path / "X.npy", mmap_mode="r")
    in_file = classifier(scoring="roc_auc", early_stopping=True).fit(mapped, LABELS)
    in_memory = classifier(scoring="roc_auc", early_stopping=True).fit(array, LABELS)
    assert in_file.validation_scores_ == in_memory.validation_scores_


def test_a_scorer_changes_no_bit_of_the_weights():
    plain = classifier().fit(X, LABELS, X_val=X, y_val=LABELS)
    scored = classifier(scoring="roc_auc").fit(X, LABELS, X_val=X, y_val=LABELS)
    for name, weights in plain.weights_.items():
        assert (scored.weights_[name] == weights).all()
