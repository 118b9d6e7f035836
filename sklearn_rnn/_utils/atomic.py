"""All or nothing: an estimator changes only if the whole call succeeds."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")


@contextmanager
def draft_of(estimator: T) -> Iterator[T]:
    """Give a shallow copy to change. If the block ends without an exception, the estimator becomes this copy.

    The draft's attributes may be assigned. The objects that they refer to must not be changed: the estimator refers to
    the same objects. The assignment at the end is atomic for Ctrl-C too: Python handles signals between bytecodes.
    After an exception, the estimator is therefore unchanged.
    """
    draft = type(estimator).__new__(type(estimator))
    draft.__dict__ = vars(estimator).copy()
    yield draft
    estimator.__dict__ = draft.__dict__
