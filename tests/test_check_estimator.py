"""scikit-learn's own checks, with no expected failures: on plain defaults, and over a set of settings."""

import warnings

import pytest
from helpers import run_python
from sklearn.base import clone
from sklearn.utils import estimator_checks
from sklearn.utils.estimator_checks import check_estimator, parametrize_with_checks

from sklearn_rnn import RNNClassifier, RNNRegressor

ESTIMATORS = (RNNClassifier, RNNRegressor)

# Small and quick: the checks need correct behaviour and modest scores.
QUICK = {"hidden_layer_sizes": (12,), "learning_rate_init": 0.03, "max_iter": 40}
# Every value of a setting once; those of settings that do not touch each other together.
SETTINGS = [
    {"cell": "lstm", "readout": "mean"},
    {"cell": "rnn", "bidirectional": False, "normalize_readout": False, "clip_norm": 1.0, "clip_update": None},
    {"patch_size": 3, "patch_stride": 2, "readout": "last", "hidden_layer_sizes": (10, 6)},
    {"solver": "sgd", "cell": "rnn", "learning_rate_init": 0.01, "truncation": 2},
    {"solver": "rmsprop", "cell": "rnn", "learning_rate_init": 0.005},
    # In smaller networks rounding differences between a weight of 2 and two equal sequences grow.
    {"readout": "max", "truncation": "auto", "hidden_layer_sizes": (48,), "learning_rate_init": 0.02, "max_iter": 50},
    # Its windows are drawn anew in every epoch: the same differences grow.
    {
        "truncation": "unbiased",
        "truncation_stride": 4,
        "memory_budget": "4MB",
        "stateful": True,
        "readout": "last",
        "learning_rate": "constant",
        "clip_update": None,
        "beta_2": 0.999,
        "normalize_readout": False,
    },
    {"solver": "lbfgs", "cell": "rnn", "max_iter": 10},
]

# check_estimator does not run these checks: they belong to scikit-learn's own test suite.
CHECKS_LEFT_OUT = [
    "check_param_validation",
    "check_dataframe_column_names_consistency",
    "check_inplace_ensure_writeable",
]

pytestmark = [
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
    # Some checks draw features with a mean of 100 and a spread of 1.
    pytest.mark.filterwarnings("ignore:X has features that are far from scale:UserWarning"),
]


def assert_check_estimator_passes(estimator):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        results = check_estimator(estimator, on_fail=None)
    not_passed = {result["check_name"]: result["exception"] for result in results if result["status"] != "passed"}
    failed = {name: error for name, error in not_passed.items() if "SkipTest" not in type(error).__name__}
    assert failed == {}
    assert not any(result["expected_to_fail"] for result in results)
    assert len(results) > 50


@pytest.mark.parametrize("estimator_class", ESTIMATORS)
def test_check_estimator_passes_on_plain_defaults(estimator_class):
    assert_check_estimator_passes(estimator_class())


def test_check_estimator_passes_where_no_kernels_are_compiled():
    program = """
        import test_check_estimator
        from sklearn_rnn._network import kernels

        assert kernels.name == "numpy"
        for estimator_class, cell in zip(test_check_estimator.ESTIMATORS, ("gru", "rnn")):
            small = estimator_class((12,), cell=cell, bidirectional=False, max_iter=30, learning_rate_init=0.03)
            test_check_estimator.assert_check_estimator_passes(small)
            print(estimator_class.__name__)
    """
    assert run_python(program, kernel="numpy", timeout=500) == "RNNClassifier\nRNNRegressor\n"


# Each setting with one of the estimators, in turn: they share the network and its training.
@parametrize_with_checks([ESTIMATORS[i % 2](**QUICK | settings) for i, settings in enumerate(SETTINGS)])
def test_scikit_learn_s_checks_pass_with_other_settings(estimator, check):
    check(estimator)


@pytest.mark.parametrize("name", CHECKS_LEFT_OUT)
@pytest.mark.parametrize("estimator_class", ESTIMATORS)
def test_checks_that_check_estimator_leaves_out_pass(estimator_class, name):
    if name == "check_dataframe_column_names_consistency":
        pytest.importorskip("pandas", reason="the check makes pandas data frames")
    estimator = clone(estimator_class(**QUICK))
    assert getattr(estimator_checks, name)(estimator_class.__name__, estimator) is None
