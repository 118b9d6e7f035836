"""Warnings point at the user's line."""

import inspect
import warnings

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from small_estimators import classifier, small_data

X, y, _ = small_data(lengths=(4,) * 12)


def fit(estimator):
    estimator.fit(X, y)


def fit_in_a_pipeline(estimator):
    make_pipeline(StandardScaler(), estimator).fit(np.reshape(X, (12, -1)), y)


def cross_validate(estimator):
    cross_val_score(estimator, X, y, cv=2)


@pytest.mark.parametrize("call", [fit, fit_in_a_pipeline, cross_validate])
@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_convergence_warnings_point_at_the_users_line(call, solver):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        call(classifier(n_iter_no_change=2, max_iter=1, solver=solver))
    lines, start = inspect.getsourcelines(call)
    found = [warning for warning in caught if warning.category is ConvergenceWarning]
    assert found
    for warning in found:
        assert warning.filename == __file__
        assert start < warning.lineno < start + len(lines)


def test_divergence_points_at_the_users_line():
    with pytest.warns(ConvergenceWarning, match="not finite") as caught:
        fit(classifier(learning_rate_init=1e300, clip_norm=None))
    assert caught[0].filename == __file__
