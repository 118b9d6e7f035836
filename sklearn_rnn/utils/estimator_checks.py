"""Checks of estimators of sequences: scikit-learn's estimator checks of rows, for sequences of any length."""

from __future__ import annotations

import warnings
from functools import partial
from unittest import SkipTest

from sklearn.exceptions import SkipTestWarning

from sklearn_rnn.utils._sequence_checks.subject import Subject
from sklearn_rnn.utils._sequence_checks.suite import CHECKS, is_of_release, missing_capabilities

__all__ = ["check_sequence_estimator", "parametrize_with_sequence_checks"]


def check_sequence_estimator(
    estimator,
    *,
    layout="case_time_channel",
    capabilities=None,
    expected_failed_checks=None,
    release=None,
    on_skip="warn",
    on_fail="raise",
    callback=None,
):
    """Check what an estimator of sequences promises, with sequences.

    scikit-learn's ``check_estimator`` has 2-D data alone. These checks have sequences of different lengths, in all
    containers: that each sequence is its own, that dtype and strides do not matter, that copies train on to the same
    bits, that a weight of 2 is the sequence twice, and others. They check classifiers, regressors and transformers of
    any library. The docstring of each check begins with the promise that it checks.

    Parameters
    ----------
    estimator : estimator instance
        The estimator. It is cloned. ``fit`` must end by itself, without a warning. A random_state of None is set to 0,
        because most checks compare bits.
    layout : {"case_time_channel", "case_channel_time"} or callable, default="case_time_channel"
        The axes of X: (n_sequences, n_steps, n_features), as in this package and in tslearn, or (n_sequences,
        n_features, n_steps), as in aeon and sktime. A function gets a list of arrays (n_steps_i, n_features) and
        returns X in the container of the estimator.
    capabilities : dict of str to bool, default=None
        What the estimator can do, where it is not found out correctly. It decides which checks apply:

        - "ragged": reads sequences of different lengths. Found in the tags of aeon and sktime, otherwise True;
        - "multivariate": reads several features. Found in the same way;
        - "short": reads sequences of a single step. True, but for estimators of aeon and sktime;
        - "containers": reads lists, tuples, object arrays and nested lists. As "short";
        - "dtypes": returns float32 for float32, and reads integers as float64. As "short";
        - "predictor": has ``predict`` and ``score``;
        - "steps": ``predict`` or ``transform`` returns values for every step;
        - "partial_fit": classifiers and regressors that have this method;
        - "epochs": a call of ``partial_fit`` is an epoch of ``fit``, if there is a parameter ``max_iter``;
        - "sample_weight": ``fit`` takes weights;
        - "exact_weights": a weight of n is the sequence n times. False with ``dropout`` or a ``batch_size``;
        - "n_jobs", "random_state": has the parameter;
        - "stream": has this method, is not ``bidirectional`` and has no patches.
    expected_failed_checks : dict of str to str, default=None
        Names of checks that may fail, each with the reason.
    release : str, default=None
        Run the checks of this release of sklearn_rnn and of earlier ones alone, such as "0.1.0". So a new release with
        new checks does not end your tests. None: all checks.
    on_skip : "warn" or None, default="warn"
        Whether checks that do not apply give a ``SkipTestWarning``.
    on_fail : {"raise", "warn"} or None, default="raise"
        At a check that fails and is not expected to: raise its AssertionError, warn, or only note it.
    callback : callable, default=None
        Called with each result as keyword arguments. Not together with ``on_fail="raise"``.

    Returns
    -------
    results : list of dict
        For each check, as scikit-learn's ``check_estimator`` returns them: "estimator", "check_name", "exception",
        "status" ("passed", "failed", "xfail" or "skipped"), "expected_to_fail" and "expected_to_fail_reason".

    Raises
    ------
    AssertionError
        If a check fails and ``on_fail="raise"``. The message begins with the name of the check and the promise.
    TypeError
        If the estimator is a class, or a capability is neither True nor False.
    ValueError
        For an unknown layout, capability, ``on_skip`` or ``on_fail``.

    See Also
    --------
    parametrize_with_sequence_checks : The same checks as tests of pytest.
    sklearn.utils.estimator_checks.check_estimator : Checks with 2-D data.

    Notes
    -----
    All checks came with release 0.1.0. The attribute ``since`` of a check names its release.

    Examples
    --------
    >>> from sklearn.preprocessing import StandardScaler
    >>> from sklearn_rnn.preprocessing import TimeDistributed
    >>> from sklearn_rnn.utils.estimator_checks import check_sequence_estimator
    >>> scaler = TimeDistributed(StandardScaler())
    >>> results = check_sequence_estimator(scaler, on_skip=None)
    >>> [r["check_name"] for r in results if r["status"] == "passed"][1]
    'check_ragged_forms_are_the_same_data'
    >>> next(
    ...     r["exception"]
    ...     for r in results
    ...     if r["check_name"] == "check_grid_search_splits_lists"
    ... )
    SkipTest('the estimator has no predictor and no random_state')
    """
    check_choices(on_skip, on_fail, callback)
    subject = Subject(estimator, layout, capabilities)
    expected_failed_checks = expected_failed_checks or {}
    results = []
    for check in CHECKS:
        if not is_of_release(check, release):
            continue
        result = result_of(check, subject, capabilities, expected_failed_checks)
        results.append(result)
        report(result, on_skip, on_fail)
        if callback is not None:
            callback(**result)
    return results


def parametrize_with_sequence_checks(
    estimators, *, layout="case_time_channel", capabilities=None, expected_failed_checks=None, release=None
):
    """Parametrize a test of pytest with estimators and the checks that apply to each.

    Parameters
    ----------
    estimators : list of estimator instances, or dict of str to estimator
        The estimators; a dict gives them names, which the ids of the tests begin with.
    layout, capabilities, release
        As in :func:`check_sequence_estimator`, for all estimators.
    expected_failed_checks : callable, default=None
        Takes an estimator and returns a dict of names and reasons. These checks are marked with ``xfail``.

    Returns
    -------
    decorator : pytest.MarkDecorator
        The parameters of the test are ``estimator`` and ``check``.

    See Also
    --------
    check_sequence_estimator : The same checks in one call.

    Examples
    --------
    >>> from sklearn_rnn import RNNClassifier
    >>> from sklearn_rnn.utils.estimator_checks import parametrize_with_sequence_checks
    >>> @parametrize_with_sequence_checks(
    ...     [RNNClassifier((4,), max_iter=2, n_iter_no_change=float("inf"), random_state=0)]
    ... )
    ... def test_estimators_with_sequences(estimator, check):
    ...     check(estimator)
    """
    import pytest

    if not isinstance(estimators, dict):
        estimators = {f"{type(estimator).__name__}-{i}": estimator for i, estimator in enumerate(estimators)}
    parameters = []
    for name, estimator in estimators.items():
        expected = expected_failed_checks(estimator) if expected_failed_checks else {}
        subject = Subject(estimator, layout, capabilities)
        for check in CHECKS:
            if is_of_release(check, release) and not missing_capabilities(check, subject.capabilities):
                function = partial(check, layout=layout, capabilities=capabilities)
                reason = expected.get(check.__name__)
                marks = [] if reason is None else [pytest.mark.xfail(reason=reason)]
                parameters.append(pytest.param(estimator, function, id=f"{name}-{check.__name__}", marks=marks))
    return pytest.mark.parametrize(("estimator", "check"), parameters)


def check_choices(on_skip, on_fail, callback):
    """Refuse unknown choices."""
    if on_skip not in ("warn", None):
        raise ValueError(f'on_skip is {on_skip!r}: expected "warn" or None.')
    if on_fail not in ("raise", "warn", None):
        raise ValueError(f'on_fail is {on_fail!r}: expected "raise", "warn" or None.')
    if callback is not None and on_fail == "raise":
        raise ValueError('callback is given together with on_fail="raise": pass on_fail="warn" or None.')


def result_of(check, subject, capabilities, expected_failed_checks):
    """Run a check and return its result."""
    expected = check.__name__ in expected_failed_checks
    status = "passed"
    exception: Exception | None = None
    try:
        missing = missing_capabilities(check, subject.capabilities)
        if missing:
            raise SkipTest(f"the estimator has no {' and no '.join(missing)}")
        check(subject.estimator, layout=subject.layout, capabilities=capabilities)
    except SkipTest as skipped:
        status, exception = "skipped", skipped
    except AssertionError as error:
        status, exception = "xfail" if expected else "failed", error
    return {
        "estimator": subject.estimator,
        "check_name": check.__name__,
        "exception": exception,
        "status": status,
        "expected_to_fail": expected,
        "expected_to_fail_reason": expected_failed_checks.get(check.__name__, "Check is not expected to fail"),
    }


def report(result, on_skip, on_fail):
    """Raise or warn, as asked."""
    name = type(result["estimator"]).__name__
    if result["status"] == "skipped" and on_skip == "warn":
        warnings.warn(f"{result['check_name']} is skipped for {name}: {result['exception']}", SkipTestWarning, 3)
    elif result["status"] == "failed" and on_fail == "raise":
        raise result["exception"]
    elif result["status"] == "failed" and on_fail == "warn":
        warnings.warn(f"{name}: {result['exception']}", UserWarning, 3)
