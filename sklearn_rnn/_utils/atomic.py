"""All or nothing: an estimator changes only when everything went well."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")


@contextmanager
def draft_of(estimator: T) -> Iterator[T]:
    """Give a shallow copy to change; when the block ends without an exception, the estimator becomes that copy.

    Set attributes of the draft freely, but replace what they refer to instead of changing it: the estimator refers to
    the same objects. The one assignment at the end is atomic for Ctrl-C too: Python handles signals between
    bytecodes. So after an exception the estimator is exactly what it was.
    """
    draft = copy.copy(estimator)
    yield draft
    estimator.__dict__ = draft.__dict__
