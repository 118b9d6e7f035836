"""The decorator of a check: from a function of a Subject to a function of an estimator, as in scikit-learn."""

from __future__ import annotations

import functools
import inspect
from unittest import SkipTest

from sklearn_rnn.utils._sequence_checks.subject import Subject


def sequence_check(*needs, since="0.1.0"):
    """Make a check of a function of a Subject.

    The check is a function ``check(estimator, layout=..., capabilities=...)``. It clones the estimator, and raises an
    AssertionError that begins with the check's name and the promise that is broken. ``check.needs`` are the
    capabilities that it needs, ``check.since`` is the release of sklearn_rnn that it came with.
    """

    def decorate(function):
        @functools.wraps(function)
        def check(estimator, layout="case_time_channel", capabilities=None):
            subject = Subject(estimator, layout, capabilities)
            try:
                function(subject)
            except SkipTest:
                raise
            except Exception as error:
                detail = str(error).strip() or type(error).__name__
                kind = "" if isinstance(error, AssertionError) else f"{type(error).__name__}: "
                raise AssertionError(f"{function.__name__}: {promise_of(function)}\n{kind}{detail}") from error

        # The signature is that of the check, not of the function that it wraps.
        del check.__wrapped__
        vars(check).update(needs=needs, since=since)
        return check

    return decorate


def promise_of(check):
    """Return the first line of a check's docstring."""
    return inspect.cleandoc(check.__doc__).splitlines()[0]
