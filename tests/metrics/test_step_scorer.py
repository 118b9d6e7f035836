"""Scores over the steps of all sequences, compared with scores of steps that were joined by hand."""

import copy
import pickle

import numpy as np
import pandas as pd
import pytest
import sklearn
from numpy.testing import assert_array_equal
from sklearn import metrics
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, KFold, RandomizedSearchCV, cross_val_score, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from step_data import LABELS, LENGTHS, TARGETS, WEIGHTS, X, chosen, classifier, object_array, regressor

from sklearn_rnn.metrics import make_step_scorer
from sklearn_rnn.preprocessing import TimeDistributed

BINARY = [labels % 2 for labels in LABELS]
STEP_WEIGHTS = [np.linspace(0.5, 2.0, length) for length in LENGTHS]
joined = np.concatenate


def fitted(y=LABELS, **params):
    make = regressor if y is TARGETS else classifier
    return make(**params).fit(X, y)


def spoiled(y, unknown, places):
    """y as objects, with ``unknown`` at the places (sequence, step)."""
    y = [part.astype(object) for part in y]
    for i, t in places:
        y[i][t] = unknown
    return y


def positive(probabilities):
    return probabilities[:, 1]


# ---- Every kind of scorer ------------------------------------------------------------------------------

CLASSES = [
    ("accuracy", "predict", metrics.accuracy_score, {}),
    ("f1_macro", "predict", metrics.f1_score, {"average": "macro"}),
    ("balanced_accuracy", "predict", metrics.balanced_accuracy_score, {}),
    ("neg_log_loss", "predict_proba", lambda y, p: -metrics.log_loss(y, p), {}),
    ("roc_auc_ovr", "predict_proba", metrics.roc_auc_score, {"multi_class": "ovr"}),
    ("top_k_accuracy", "predict_proba", metrics.top_k_accuracy_score, {}),
]
BINARIES = [
    ("f1", "predict", metrics.f1_score, {}),
    ("roc_auc", "predict_proba", lambda y, p: metrics.roc_auc_score(y, positive(p)), {}),
    ("average_precision", "predict_proba", lambda y, p: metrics.average_precision_score(y, positive(p)), {}),
    ("neg_brier_score", "predict_proba", lambda y, p: -metrics.brier_score_loss(y, positive(p)), {}),
]
VALUES = [
    ("r2", "predict", metrics.r2_score, {}),
    ("neg_root_mean_squared_error", "predict", lambda y, p: -metrics.root_mean_squared_error(y, p), {}),
    ("neg_median_absolute_error", "predict", lambda y, p: -metrics.median_absolute_error(y, p), {}),
]
CASES = [(y, *case) for y, cases in ((LABELS, CLASSES), (BINARY, BINARIES), (TARGETS, VALUES)) for case in cases]


@pytest.mark.parametrize(("y", "name", "method", "metric", "kwargs"), CASES, ids=[case[1] for case in CASES])
def test_a_score_is_scikit_learns_score_of_the_joined_steps(y, name, method, metric, kwargs):
    estimator = fitted(y)
    predictions = joined(getattr(estimator, method)(X))
    assert make_step_scorer(name)(estimator, X, y) == metric(joined(y), predictions, **kwargs)


def test_a_metric_gets_its_own_arguments():
    names = [np.array(["no", "yes"])[labels] for labels in BINARY]
    estimator = fitted(names)
    expected = metrics.fbeta_score(joined(names), joined(estimator.predict(X)), beta=2, pos_label="no")
    assert make_step_scorer(metrics.fbeta_score, beta=2, pos_label="no")(estimator, X, names) == expected
    loss = make_step_scorer(metrics.log_loss, response_method="predict_proba", greater_is_better=False)
    assert loss(estimator, X, names) == -metrics.log_loss(joined(names), positive(joined(estimator.predict_proba(X))))


def test_a_probability_scorer_takes_the_column_of_its_positive_class():
    names = [np.array(["no", "yes"])[labels] for labels in BINARY]
    estimator = fitted(names)
    scorer = metrics.make_scorer(metrics.average_precision_score, response_method="predict_proba", pos_label="no")
    probabilities = joined(estimator.predict_proba(X))[:, 0]
    expected = metrics.average_precision_score(joined(names), probabilities, pos_label="no")
    assert make_step_scorer(scorer)(estimator, X, names) == expected


def test_several_outputs_are_scored_as_columns():
    y = [np.column_stack([targets, targets**2]) for targets in TARGETS]
    estimator = regressor().fit(X, y)
    expected = metrics.r2_score(joined(y), joined(estimator.predict(X)), multioutput="variance_weighted")
    assert make_step_scorer(metrics.r2_score, multioutput="variance_weighted")(estimator, X, y) == expected


def test_all_forms_of_sequences_and_targets_give_the_same_score():
    generator = np.random.default_rng(0)
    array, labels = generator.normal(size=(6, 4, 2)), generator.integers(3, size=(6, 4))
    estimator = classifier().fit(array, labels)
    scorer = make_step_scorer("f1_macro")
    expected = metrics.f1_score(labels.ravel(), estimator.predict(array).ravel(), average="macro")
    forms_of_y = (labels, list(labels), labels.tolist(), labels.astype(object), object_array(list(labels)))
    for y in forms_of_y:
        for sequences in (array, list(array), object_array(list(array))):
            assert scorer(estimator, sequences, y) == expected
    table = classifier(step_features=2).fit(array.reshape(6, 8), labels)
    frames = pd.DataFrame(array.reshape(6, 8)), pd.DataFrame(labels)
    expected = metrics.f1_score(labels.ravel(), table.predict(array.reshape(6, 8)).ravel(), average="macro")
    assert scorer(table, frames[0].to_numpy(), frames[1]) == expected


def test_the_accuracy_and_r2_are_those_of_the_estimators():
    assert make_step_scorer("accuracy")(fitted(), X, LABELS) == fitted().score(X, LABELS)
    assert make_step_scorer("r2")(fitted(TARGETS), X, TARGETS) == fitted(TARGETS).score(X, TARGETS)


# ---- Weights and unknown targets -----------------------------------------------------------------------


def score_of_rows(name, estimator, y, rows=slice(None), weights=None):
    """The accuracy or the log loss of some of the joined steps."""
    metric, method = (metrics.accuracy_score, "predict") if name == "accuracy" else (metrics.log_loss, "predict_proba")
    weights = None if weights is None else weights[rows]
    score = metric(joined(y)[rows], joined(getattr(estimator, method)(X))[rows], sample_weight=weights)
    return score if name == "accuracy" else -score


@pytest.mark.parametrize("name", ["accuracy", "neg_log_loss"])
def test_weights_of_steps_and_of_sequences_are_joined(name):
    estimator, scorer = fitted(), make_step_scorer(name)
    expected = score_of_rows(name, estimator, LABELS, weights=joined(STEP_WEIGHTS))
    assert scorer(estimator, X, LABELS, sample_weight=STEP_WEIGHTS) == expected
    assert scorer(estimator, X, LABELS) == score_of_rows(name, estimator, LABELS) != expected
    expected = score_of_rows(name, estimator, LABELS, weights=np.repeat(WEIGHTS, LENGTHS))
    for weights in (WEIGHTS, WEIGHTS.tolist()):
        assert scorer(estimator, X, LABELS, sample_weight=weights) == expected


def test_weights_of_steps_may_be_an_array():
    array, labels = np.random.default_rng(0).normal(size=(6, 4, 2)), np.arange(24).reshape(6, 4) % 2
    estimator, weights = classifier().fit(array, labels), np.linspace(0.5, 2, 24)
    expected = metrics.accuracy_score(labels.ravel(), estimator.predict(array).ravel(), sample_weight=weights)
    assert make_step_scorer("accuracy")(estimator, array, labels, sample_weight=weights.reshape(6, 4)) == expected


PLACES = [(0, 0), (0, 4), (2, 3), (8, 0), (9, 1)]  # all steps of sequence 8, which has one


def known_rows():
    known = [np.ones(length, dtype=bool) for length in LENGTHS]
    for i, t in PLACES:
        known[i][t] = False
    return joined(known)


@pytest.mark.parametrize("unknown", [None, np.nan, pd.NA], ids=str)
@pytest.mark.parametrize("labels", [LABELS, [np.array(list("abc"))[part] for part in LABELS]], ids=["ints", "strings"])
def test_steps_with_unknown_labels_are_left_out(unknown, labels):
    estimator, known = fitted(labels), known_rows()
    y = spoiled(labels, unknown, PLACES)
    for name in ("accuracy", "neg_log_loss"):
        scorer = make_step_scorer(name)
        for form in (y, object_array(y), [part.tolist() for part in y]):
            assert scorer(estimator, X, form) == score_of_rows(name, estimator, labels, known)
        weighted = scorer(estimator, X, y, sample_weight=STEP_WEIGHTS)
        assert weighted == score_of_rows(name, estimator, labels, known, joined(STEP_WEIGHTS))


def test_a_sequence_without_any_label_may_be_an_array_of_nan():
    labels = [np.array(list("abc"))[part] for part in LABELS]
    estimator = fitted(labels)
    y = [*labels[:3], np.full(LENGTHS[3], np.nan), *labels[4:]]
    known = np.repeat(np.arange(len(X)) != 3, LENGTHS)
    assert make_step_scorer("accuracy")(estimator, X, y) == score_of_rows("accuracy", estimator, labels, known)


def test_labels_in_a_float_array_are_unknown_where_they_are_nan():
    y = [part.astype(float) for part in spoiled(LABELS, np.nan, PLACES)]
    assert make_step_scorer("accuracy")(fitted(), X, y) == score_of_rows("accuracy", fitted(), LABELS, known_rows())


def test_steps_with_unknown_values_are_left_out():
    estimator, known = fitted(TARGETS), known_rows()
    y = [part.astype(float) for part in spoiled(TARGETS, np.nan, PLACES)]
    expected = metrics.r2_score(joined(TARGETS)[known], joined(estimator.predict(X))[known])
    assert make_step_scorer("r2")(estimator, X, y) == expected
    assert make_step_scorer("r2")(estimator, X, spoiled(TARGETS, None, PLACES)) == expected


def test_steps_of_several_outputs_are_left_out_whole_and_never_in_part():
    y = [np.column_stack([targets, targets**2]) for targets in TARGETS]
    estimator = regressor().fit(X, y)
    y[1][2] = np.nan
    known = np.arange(sum(LENGTHS)) != LENGTHS[0] + 2
    expected = metrics.r2_score(joined(y)[known], joined(estimator.predict(X))[known])
    assert make_step_scorer("r2")(estimator, X, y) == expected
    y[1][2, 0] = 0.0
    with pytest.raises(ValueError, match=r"^y\[1\]\[2\] is \[ 0\. nan\], with only a part of the outputs known"):
        make_step_scorer("r2")(estimator, X, y)


# ---- In scikit-learn's searches and cross-validation ---------------------------------------------------

SCORING = {"f1": make_step_scorer("f1_macro"), "accuracy": make_step_scorer("accuracy"), "loss": None}
SCORING["loss"] = make_step_scorer(
    metrics.log_loss, response_method="predict_proba", greater_is_better=False, labels=[0, 1, 2]
)


def scores_by_hand(estimator, cv, sample_weight=None):
    """Each split's f1, accuracy and log loss of the joined steps."""
    splits = []
    for train, test in cv.split(X):
        weights = {} if sample_weight is None else {"sample_weight": sample_weight[train]}
        model = clone(estimator).fit(chosen(X, train), chosen(LABELS, train), **weights)
        X_test, y_test = chosen(X, test), joined(chosen(LABELS, test))
        weights = {}
        if sample_weight is not None:
            weights = {"sample_weight": np.repeat(sample_weight[test], [LENGTHS[i] for i in test])}
        predictions, probabilities = joined(model.predict(X_test)), joined(model.predict_proba(X_test))
        splits.append(
            {
                "f1": metrics.f1_score(y_test, predictions, average="macro", **weights),
                "accuracy": metrics.accuracy_score(y_test, predictions, **weights),
                "loss": -metrics.log_loss(y_test, probabilities, labels=[0, 1, 2], **weights),
            }
        )
    return {name: [split[name] for split in splits] for name in SCORING}


def pipeline():
    return make_pipeline(TimeDistributed(StandardScaler()), classifier())


@pytest.mark.parametrize("search_class", [GridSearchCV, RandomizedSearchCV])
def test_a_search_uses_several_step_scorers_on_ragged_targets(search_class):
    grid = {"rnnclassifier__learning_rate_init": [0.003, 0.1]}
    settings = {"n_iter": 2, "random_state": 0} if search_class is RandomizedSearchCV else {}
    search = search_class(pipeline(), grid, scoring=SCORING, refit="f1", cv=KFold(3), error_score="raise", **settings)
    search.fit(X, LABELS)
    for k, params in enumerate(search.cv_results_["params"]):
        expected = scores_by_hand(pipeline().set_params(**params), KFold(3))
        for name, scores in expected.items():
            assert [search.cv_results_[f"split{i}_test_{name}"][k] for i in range(3)] == scores
    assert np.isfinite(search.best_score_)
    assert search.score(X, LABELS) == metrics.f1_score(joined(LABELS), joined(search.predict(X)), average="macro")


def test_the_best_score_of_a_search_with_one_step_scorer_is_the_mean_over_the_splits():
    scorer = make_step_scorer("f1_macro")
    search = GridSearchCV(pipeline(), {"rnnclassifier__alpha": [0.0]}, scoring=scorer, cv=KFold(3))
    assert search.fit(X, LABELS).best_score_ == np.mean(scores_by_hand(pipeline(), KFold(3))["f1"])
    assert_array_equal(cross_val_score(search, X, LABELS, scoring=scorer, cv=KFold(2)).shape, (2,))


def test_cross_validate_takes_several_step_scorers_in_any_number_of_processes():
    by_hand = scores_by_hand(pipeline(), KFold(3))
    for n_jobs in (1, 2):
        scores = cross_validate(pipeline(), X, LABELS, scoring=SCORING, cv=KFold(3), n_jobs=n_jobs)
        assert {name: scores[f"test_{name}"].tolist() for name in SCORING} == by_hand


def test_a_search_is_scored_like_its_best_estimator():
    search = GridSearchCV(classifier(), {"alpha": [0.0]}, scoring=make_step_scorer("roc_auc"), cv=2)
    search.fit(X, BINARY)
    for name in ("roc_auc", "f1"):
        scorer = make_step_scorer(name)
        assert scorer(search, X, BINARY) == scorer(search.best_estimator_, X, BINARY)


def test_step_scorers_and_others_stand_side_by_side():
    array, labels = np.random.default_rng(0).normal(size=(20, 3, 1)), np.ones((20, 3), dtype=int)
    labels[:, ::2] = np.arange(60).reshape(20, 3)[:, ::2] % 2
    scoring = {"rows": "accuracy", "steps": make_step_scorer("accuracy"), "f1": "f1_macro"}
    estimator = classifier()
    scores = cross_validate(estimator, array, labels, scoring=scoring, cv=KFold(2), return_estimator=True)
    for k, (_, test) in enumerate(KFold(2).split(array)):
        hits = scores["estimator"][k].predict(array[test]) == labels[test]
        assert scores["test_rows"][k] == hits.all(axis=1).mean() < scores["test_steps"][k] == hits.mean()


def test_weights_are_routed_to_step_scorers():
    with sklearn.config_context(enable_metadata_routing=True):
        estimator = classifier().set_fit_request(sample_weight=True)
        scoring = {name: copy.deepcopy(scorer) for name, scorer in SCORING.items()}
        for scorer in scoring.values():
            assert scorer.set_score_request(sample_weight=True) is scorer
        scores = cross_validate(estimator, X, LABELS, scoring=scoring, cv=KFold(2), params={"sample_weight": WEIGHTS})
    expected = scores_by_hand(classifier(), KFold(2), WEIGHTS)
    assert {name: scores[f"test_{name}"].tolist() for name in SCORING} == expected


def test_a_search_scores_steps_with_the_weights_of_fit_if_it_scores_sequences_with_them():
    """Newer releases of scikit-learn do, 1.6 does not."""
    train, test = next(KFold(2).split(X))
    ends = np.array([labels[-1] for labels in LABELS])
    are_weighted = []
    for estimator, y, scoring in (
        (classifier(readout="last", learning_rate_init=0.1, max_iter=50), ends, {"accuracy": "accuracy"}),
        (classifier(), LABELS, {"accuracy": make_step_scorer("accuracy"), "f1": make_step_scorer("f1_macro")}),
        (classifier(), LABELS, make_step_scorer("accuracy")),
    ):
        search = GridSearchCV(estimator, {"alpha": [0.0001]}, scoring=scoring, refit=False, cv=KFold(2))
        search.fit(X, y, sample_weight=1 + WEIGHTS)
        model = estimator.fit(chosen(X, train), chosen(y, train), sample_weight=1 + WEIGHTS[train])
        scores = [model.score(chosen(X, test), chosen(y, test), weights) for weights in (None, 1 + WEIGHTS[test])]
        assert scores[0] != scores[1]
        score = search.cv_results_[f"split0_test_{'accuracy' if isinstance(scoring, dict) else 'score'}"][0]
        are_weighted.append(scores.index(score))
    assert are_weighted in ([0, 0, 0], [1, 1, 1])


# ---- The object ----------------------------------------------------------------------------------------


def test_a_step_scorer_can_be_read_copied_and_pickled():
    scorer = make_step_scorer("f1_macro")
    assert repr(scorer) == f"make_step_scorer({metrics.get_scorer('f1_macro')!r})"
    assert repr(make_step_scorer(metrics.max_error, greater_is_better=False)) == (
        "make_step_scorer(make_scorer(max_error, greater_is_better=False, response_method='predict'))"
    )
    expected = scorer(fitted(), X, LABELS)
    for same in (pickle.loads(pickle.dumps(scorer)), copy.deepcopy(scorer), clone(scorer, safe=False)):
        assert same(fitted(), X, LABELS) == expected
        assert repr(same) == repr(scorer)


def test_a_request_of_a_step_scorer_does_not_change_the_scorer_that_it_was_made_from():
    with sklearn.config_context(enable_metadata_routing=True):
        scorer = metrics.make_scorer(metrics.accuracy_score)
        step_scorer = make_step_scorer(scorer).set_score_request(sample_weight=True)
        requests = [one.get_metadata_routing().score.requests for one in (step_scorer, scorer)]
    assert [request.get("sample_weight") for request in requests] == [True, None]


# ---- Refusals ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("score", [None, 3, ["accuracy"], {"f1": "f1"}], ids=str)
def test_other_things_than_scores_are_refused(score):
    with pytest.raises(TypeError, match=r"^score is .*, but it must be the name of a scorer"):
        make_step_scorer(score)


def test_wrong_scores_and_arguments_are_refused():
    with pytest.raises(ValueError, match=r"^'f2' is not a valid scoring value"):
        make_step_scorer("f2")
    with pytest.raises(TypeError, match=r"^score is 'f1', a scorer with arguments of its own, but pos_label came"):
        make_step_scorer("f1", pos_label="yes")
    with pytest.raises(TypeError, match=r"^score is make_step_scorer\(.*which is a step scorer already"):
        make_step_scorer(make_step_scorer("f1"))


BAD_Y = [
    (LABELS[:-1], r"^X is for 10 sequences, but y is for 9\."),
    ([*LABELS[:2], LABELS[2][:-1], *LABELS[3:]], r"^X\[2\] has 7 steps in predict, but y\[2\] has 6 targets"),
    ([0] * len(X), r"^y\[0\] is a single value, but one target for each step is needed\."),
    ([*LABELS[:3], 1, *LABELS[4:]], r"^y\[3\] is a single value"),
    ([LABELS[0], *[np.column_stack([part, part]) for part in LABELS[1:]]], r"^y has different numbers of outputs"),
    ([np.full(length, None) for length in LENGTHS], r"^y has 40 steps, but none with a known target"),
    ([], r"^y is empty"),
]


@pytest.mark.parametrize(("y", "message"), BAD_Y)
def test_bad_targets_are_refused_by_name(y, message):
    with pytest.raises(ValueError, match=message):
        make_step_scorer("accuracy")(fitted(), X, y)


def test_a_single_value_as_targets_is_refused():
    with pytest.raises(TypeError, match=r"^y is 3, but it must have one entry for each sequence"):
        make_step_scorer("accuracy")(fitted(), X, 3)


BAD_WEIGHTS = [
    (WEIGHTS[:-1], r"^sample_weight is for 9 sequences, but y is for 10\."),
    ([*STEP_WEIGHTS[:-1], np.ones(3)], r"^sample_weight\[9\] has 3 weights, but y\[9\] has 4 targets"),
    ([*STEP_WEIGHTS[:-1], 1.0], r"^sample_weight has entries with numbers of dimensions \[0, 1\]: pass one weight"),
    ([part[:, None] for part in STEP_WEIGHTS], r"^sample_weight has entries with numbers of dimensions \[2\]"),
    ([-1.0] * 10, r"^sample_weight\[0\] is -1.0: weights must be finite and not negative"),
    ([*STEP_WEIGHTS[:-1], [1, 1, np.nan, 1]], r"^sample_weight\[9\]\[2\] is nan: weights must be finite"),
    (["heavy"] * 10, r"^sample_weight\[0\] is not numeric: could not convert"),
    ([10**400] * 10, r"^sample_weight\[0\] contains a number that is too large for float64"),
    ([1e308] * 10, r"^sample_weight is too large: the weights sum to inf"),
    ([0] * 10, r"^sample_weight is zero for every step whose target is known: at least one must be positive"),
]


@pytest.mark.parametrize(("weights", "message"), BAD_WEIGHTS)
def test_bad_weights_are_refused_by_name(weights, message):
    with pytest.raises(ValueError, match=message):
        make_step_scorer("accuracy")(fitted(), X, LABELS, sample_weight=weights)


@pytest.mark.parametrize("name", ["accuracy", "neg_log_loss"])
def test_an_estimator_that_predicts_once_for_each_sequence_is_refused(name):
    sequence_labels = [labels[0] for labels in LABELS]
    estimator = make_pipeline(TimeDistributed(StandardScaler()), classifier(readout="last")).fit(X, sequence_labels)
    with pytest.raises(ValueError, match=r"^estimator predicts once for each sequence.*Pipeline.*readout='each'"):
        make_step_scorer(name)(estimator, X, LABELS)


def test_a_method_that_the_estimator_lacks_is_named_with_the_estimators_class():
    scorer = make_step_scorer(metrics.roc_auc_score, response_method="decision_function")
    with pytest.raises(AttributeError, match=r"^RNNClassifier has none of the following attributes: decision_function"):
        scorer(fitted(BINARY), X, BINARY)
