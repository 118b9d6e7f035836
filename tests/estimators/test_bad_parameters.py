"""Bad parameters: values out of range, and combinations that do not work together."""

from copy import deepcopy

import numpy as np
import pytest
from refusals import (
    TARGETS,
    assert_continues_like,
    assert_is_unfitted,
    assert_refuses,
    classifier,
    default_y,
    first_call,
    regressor,
    sequences,
)
from sklearn.utils._param_validation import InvalidParameterError

BAD_SETTINGS = {
    "stride above truncation": (
        {"truncation": 3, "truncation_stride": 4},
        r"truncation_stride=4 is more than truncation=3: the losses of the steps between windows would be "
        r"lost\. Choose truncation_stride <= truncation\.",
    ),
    "stride without truncation": (
        {"truncation_stride": 2},
        r"truncation_stride=2 is more than truncation=None",
    ),
    "bidirectional with truncation": (
        {"bidirectional": True, "truncation": 3},
        r"truncation=3 does not go with bidirectional=True, whose reverse pass begins at the end of "
        r"the whole sequence\. Set truncation=None\.",
    ),
    "bidirectional with truncation to one step": (
        {"bidirectional": True, "truncation": 1},
        r"truncation=1 does not go with bidirectional=True",
    ),
    "activation of an LSTM": (
        {"cell": "lstm", "activation": "relu"},
        r"activation='relu' is only for cell='rnn': cell='lstm' has fixed activations\. Set "
        r"activation='tanh'\.",
    ),
    "activation of a GRU": (
        {"cell": "gru", "activation": "identity"},
        r"activation='identity' is only for cell='rnn': cell='gru' has fixed activations",
    ),
    "patches for each": (
        {"patch_size": 2, "readout": "each"},
        r"patch_size=2 does not go with readout='each', which predicts at every step\. Set patch_size=1\.",
    ),
    "patches that leave gaps": (
        {"patch_size": 3, "patch_stride": 4},
        r"patch_stride=4 is more than patch_size=3: the steps between patches would be lost\. Choose patch_stride <= "
        r"patch_size\.",
    ),
    "overlapping patches of chunks": (
        {"patch_size": 4, "patch_stride": 2, "stateful": True},
        r"patch_stride=2 does not go with stateful=True, whose chunks would begin within a patch\. Set "
        r"patch_stride=None\.",
    ),
    "no readout": (
        {"readout": ()},
        r"readout=\(\) must be one name, or a tuple of names out of last, mean, max\.",
    ),
    "each among several readouts": (
        {"readout": ("last", "each")},
        r"readout=\('last', 'each'\) must be one name, or a tuple of names out of last, mean, max\.",
    ),
    "numbers as readouts": (
        {"readout": [1, 2]},
        r"readout=\[1, 2\] must be one name, or a tuple",
    ),
    "a readout twice": (
        {"readout": ("max", "last", "max")},
        r"readout=\('max', 'last', 'max'\) has a name twice: name each pool once\.",
    ),
    "no units": (
        {"hidden_layer_sizes": (3, 0)},
        r"hidden_layer_sizes must be integers of at least 1, got \(3, 0\)\.",
    ),
    "no layers": (
        {"hidden_layer_sizes": ()},
        r"hidden_layer_sizes must be integers of at least 1, got \(\)\.",
    ),
    "half a unit": (
        {"hidden_layer_sizes": [2.5]},
        r"hidden_layer_sizes must be integers of at least 1, got \[2\.5\]\.",
    ),
}
BAD_SETTINGS_OF_LBFGS = {
    "truncation": (
        {"solver": "lbfgs", "truncation": 3},
        r"truncation=3 does not go with solver='lbfgs', which needs the exact gradient of a fixed "
        r"loss\. Set truncation=None\.",
    ),
    "truncation to one step": (
        {"solver": "lbfgs", "truncation": 1},
        r"truncation=1 does not go with solver='lbfgs'",
    ),
    "dropout": (
        {"solver": "lbfgs", "dropout": 0.5},
        r"dropout=0\.5 does not go with solver='lbfgs'",
    ),
}


def assert_settings_are_refused(make_estimator, params, message, methods, error=ValueError):
    """A new estimator with these parameters refuses, and a fitted one after set_params."""
    for method in methods:
        unfitted = make_estimator(**params)
        y = default_y(unfitted)
        known = first_call(unfitted) if method == "partial_fit" else {}
        assert_refuses(unfitted, method, sequences(), y, message=message, error=error, **known)
        assert_is_unfitted(unfitted)
        fitted = make_estimator()
        good_params = fitted.get_params()
        good_y = default_y(fitted)
        twin = deepcopy(fitted.fit(sequences(), good_y))
        fitted.set_params(**params)
        assert_refuses(fitted, method, sequences(), y, message=message, error=error)
        assert_continues_like(fitted.set_params(**good_params), twin, sequences(), good_y)


@pytest.mark.parametrize("make_estimator", [classifier, regressor])
@pytest.mark.parametrize(("params", "message"), BAD_SETTINGS.values(), ids=BAD_SETTINGS)
def test_training_refuses_settings_that_do_not_go_together(make_estimator, params, message):
    assert_settings_are_refused(make_estimator, params, message, ("fit", "partial_fit"))


@pytest.mark.parametrize(("params", "message"), BAD_SETTINGS_OF_LBFGS.values(), ids=BAD_SETTINGS_OF_LBFGS)
def test_lbfgs_refuses_what_makes_its_loss_another_one_each_time(params, message):
    assert_settings_are_refused(classifier, params, message, ("fit",))


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("alpha", -1.0, "a float in the range"),
        ("alpha", "strong", "a float in the range"),
        ("batch_size", 0, "a str among"),
        ("batch_size", 2.5, "a str among"),
        ("cell", "transformer", "a str among"),
        ("readout", None, "a str among"),
        ("solver", "newton", "a str among"),
        ("activation", np.tanh, "a str among"),
        ("learning_rate", 0.1, "a str among"),
        ("learning_rate_init", 0.0, "a float in the range"),
        ("hidden_layer_sizes", 0, "an array-like or an int in the range"),
        ("hidden_layer_sizes", None, "an array-like or an int in the range"),
        ("bidirectional", "yes", "an instance of 'bool'"),
        ("dropout", 1.0, "a float in the range"),
        ("truncation", 0, "an int in the range"),
        ("truncation_stride", 1.5, "an int in the range"),
        ("clip_norm", 0.0, "a float in the range"),
        ("clip_value", -1.0, "a float in the range"),
        ("patch_size", 0, "an int in the range"),
        ("patch_size", "large", "an int in the range"),
        ("patch_stride", 0, "an int in the range"),
        ("patch_stride", "auto", "an int in the range"),
        ("step_features", "all", "an int in the range"),
        ("max_iter", 0, "an int in the range"),
        ("validation_fraction", 1.0, "a float in the range"),
        ("random_state", "seed", "an int in the range"),
        ("n_jobs", 1.5, "an instance of 'int' or None"),
    ],
)
def test_fit_refuses_parameters_of_other_types_and_ranges(name, value, expected):
    for make_estimator in (classifier, regressor):
        class_name = type(make_estimator()).__name__
        message = f"The '{name}' parameter of {class_name} must be {expected}"
        assert_settings_are_refused(make_estimator, {name: value}, message, ("fit",), error=InvalidParameterError)


def test_each_estimator_refuses_bad_values_of_its_own_parameters():
    message = "The 'class_weight' parameter of RNNClassifier must be"
    assert_settings_are_refused(classifier, {"class_weight": "even"}, message, ("fit",), error=InvalidParameterError)
    message = "The 'loss' parameter of RNNRegressor must be"
    assert_settings_are_refused(regressor, {"loss": "hinge"}, message, ("fit",), error=InvalidParameterError)


def test_the_first_partial_fit_checks_parameters_too():
    estimator = regressor(alpha=-1.0)
    message = "The 'alpha' parameter of RNNRegressor must be a float in the range"
    assert_refuses(estimator, "partial_fit", sequences(), TARGETS, message=message, error=InvalidParameterError)
    assert_is_unfitted(estimator)
