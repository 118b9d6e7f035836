"""Optuna: its search scores what a loop scores."""

import numpy as np
import pytest
from client_data import announcements_ignored, classifier, import_client, two_classes
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.model_selection import StratifiedKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_rnn.preprocessing import TimeDistributed

pytestmark = [announcements_ignored, pytest.mark.filterwarnings("ignore:.*OptunaSearchCV is experimental")]


def test_a_search_over_a_pipeline_scores_its_trials_as_a_loop_does():
    distributions = import_client("optuna.distributions")
    client = import_client("optuna_integration").OptunaSearchCV
    X, y = two_classes()
    pipeline = make_pipeline(TimeDistributed(StandardScaler()), classifier())
    search = client(
        pipeline,
        {
            "rnnclassifier__cell": distributions.CategoricalDistribution(["rnn", "gru"]),
            "rnnclassifier__learning_rate_init": distributions.FloatDistribution(1e-4, 0.1, log=True),
        },
        cv=StratifiedKFold(3),
        n_trials=5,
        random_state=0,
        error_score="raise",
    ).fit(X, y)
    assert len(search.trials_) == 5
    for trial in search.trials_:
        by_hand = cross_val_score(pipeline.set_params(**trial.params), X, y, cv=StratifiedKFold(3))
        assert_allclose(trial.value, by_hand.mean(), rtol=1e-12)
    assert search.best_score_ == max(trial.value for trial in search.trials_) > 0.8
    by_hand = pipeline.set_params(**search.best_params_).fit(X, y)
    assert_array_equal(search.predict(X), by_hand.predict(X))
    assert np.mean(search.predict(X) == y) > 0.8
