"""A cached property without a lock."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar, overload

T = TypeVar("T")


class cached(Generic[T]):  # noqa: N801
    """A property that is computed once for each instance.

    Until Python 3.12, ``functools.cached_property`` holds one lock for all instances: a child that is forked while
    another thread computes a property would wait for that lock forever. Here two threads may compute the same value.
    """

    def __init__(self, function: Callable[[Any], T]) -> None:
        self._function, self._name = function, function.__name__
        self.__doc__ = function.__doc__

    @overload
    def __get__(self, instance: None, owner: type) -> cached[T]: ...

    @overload
    def __get__(self, instance: object, owner: type) -> T: ...

    def __get__(self, instance: object | None, owner: type) -> cached[T] | T:
        if instance is None:
            return self
        # From now on the instance's own attribute hides this one.
        value = instance.__dict__[self._name] = self._function(instance)
        return value
