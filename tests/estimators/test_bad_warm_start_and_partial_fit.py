"""Training that cannot continue: other classes, another architecture, all data needed."""

import re
from copy import deepcopy

import numpy as np
import pytest
from refusals import (
    LABELS,
    TARGETS,
    assert_continues_like,
    assert_is_unfitted,
    assert_refuses,
    classifier,
    default_y,
    regressor,
    sequences,
)
from sklearn.utils._param_validation import InvalidParameterError

# ---- classes -----------------------------------------------------------------------------------------


def test_the_first_partial_fit_needs_the_classes():
    estimator = classifier()
    message = "classes must be passed on the first call to partial_fit"
    assert_refuses(estimator, "partial_fit", sequences(), LABELS, message=message)
    assert_is_unfitted(estimator)


@pytest.mark.parametrize("label", [np.nan, np.inf])
def test_numbers_that_are_not_finite_are_no_classes(label):
    message = re.escape(f"classes=[{label!r}, 1.0] must be labels of one type")
    assert_refuses(classifier(), "partial_fit", sequences(), LABELS, classes=[label, 1.0], message=message)


@pytest.mark.parametrize(("name", "value"), [("clip_value", []), ("batch_size", np.inf), ("early_stopping", "no")])
def test_later_calls_of_partial_fit_refuse_parameters_that_became_wrong(name, value):
    estimator = regressor().partial_fit(sequences(), TARGETS).set_params(**{name: value})
    message = f"The '{name}' parameter of RNNRegressor must be"
    assert_refuses(estimator, "partial_fit", sequences(), TARGETS, error=InvalidParameterError, message=message)


def test_later_calls_of_partial_fit_refuse_other_classes():
    estimator = classifier().partial_fit(sequences(), LABELS, classes=[0, 1])
    twin = deepcopy(estimator)
    message = re.escape("classes=[0 1 2] are not those of the first call, [0 1].")
    assert_refuses(estimator, "partial_fit", sequences(), LABELS, classes=[0, 1, 2], message=message)
    assert_continues_like(estimator, twin, sequences(), LABELS)


# ---- partial_fit and warm starts ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value"),
    [("solver", "lbfgs"), ("early_stopping", True)],
)
@pytest.mark.parametrize("make_estimator", [classifier, regressor])
def test_there_is_no_partial_fit_where_all_data_must_be_known(make_estimator, name, value):
    assert hasattr(make_estimator(), "partial_fit")
    estimator = make_estimator(**{name: value})
    assert not hasattr(estimator, "partial_fit")
    message = f"This '{type(estimator).__name__}' has no attribute 'partial_fit'"
    with pytest.raises(AttributeError, match=f"^{message}") as raised:
        estimator.partial_fit(sequences(), default_y(estimator))
    reason = str(raised.value.__cause__)
    assert reason.startswith(f"{name}={value!r} does not go with partial_fit")
    assert_is_unfitted(estimator)


@pytest.mark.parametrize("method", ["partial_fit", "fit with warm_start"])
@pytest.mark.parametrize(
    ("name", "value", "fitted_value"),
    [
        ("hidden_layer_sizes", (4,), "(3,)"),
        ("hidden_layer_sizes", (3, 3), "(3,)"),
        ("cell", "lstm", "'gru'"),
        ("bidirectional", True, "False"),
        ("readout", "mean", "'last'"),
        ("patch_size", 2, "1"),
        ("patch_size", "auto", "1"),
        ("patch_stride", 1, "None"),
        ("step_features", 2, "1"),
    ],
)
def test_training_goes_on_with_the_same_architecture_only(name, value, fitted_value, method):
    estimator = classifier(warm_start=True).fit(sequences(), LABELS)
    twin = deepcopy(estimator)
    good_params = estimator.get_params()
    estimator.set_params(**{name: value})
    message = (
        f"{name}={value!r}, but the fitted network has {name}={fitted_value}: training continues only with "
        "the same architecture. To train a new network, call fit with warm_start=False."
    )
    assert_refuses(estimator, method.split()[0], sequences(), LABELS, message=re.escape(message))
    assert_continues_like(estimator.set_params(**good_params), twin, sequences(), LABELS)


def test_fit_without_warm_start_takes_another_architecture():
    estimator = classifier().fit(sequences(), LABELS)
    estimator.set_params(hidden_layer_sizes=(5,), cell="lstm").fit(sequences(), LABELS)
    assert estimator.weights_["layer_0.recurrent"].shape == (5, 20)


def test_partial_fit_after_lbfgs_begins_an_optimizer_of_its_own():
    estimator = regressor(solver="lbfgs", tol=1.0, max_iter=100).fit(sequences(), TARGETS)
    before = estimator.predict(sequences())
    estimator.set_params(solver="adam").partial_fit(sequences(), TARGETS)
    assert np.abs(estimator.predict(sequences()) - before).min() > 0
