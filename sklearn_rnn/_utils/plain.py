"""Plain values: objects as dicts of numbers, strings, lists, tuples and arrays, by names that outlive their classes.

A class that is kept in pickles and files is decorated with its name and its fields::

    @plain_form("adam", beta_1=Number(0, 1), mean=Array(1))

A field knows both ways: from the attribute to a plain value, and back, with a check of everything that came. An object
becomes a dict of its fields, with its name under "kind". Neither module nor class stands in a pickle or file, so that
private classes can move and be renamed.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import is_dataclass
from typing import Any, NamedTuple, TypeVar

import numpy as np

C = TypeVar("C", bound=type)
KIND = "kind"


class PlainClass(NamedTuple):
    """A class with a plain form.

    Attributes
    ----------
    type : type
    fields : dict of str to Field
        By the attribute that holds the value.
    """

    type: type
    fields: dict[str, Field]


_BY_KIND: dict[str, PlainClass] = {}
_KIND_OF: dict[type, str] = {}


def plain_form(kind: str, **fields: Field) -> Callable[[C], C]:
    """Give a class a plain form: ``kind``, and for each attribute the field that converts it.

    A class may have ``plain_fields``, which returns the values of the fields, and a classmethod ``from_plain_fields``,
    which makes an object of them. Otherwise the values are attributes; dataclasses and named tuples are called with
    them, and other objects get them without a call of ``__init__``.
    """

    def register(cls: C) -> C:
        _BY_KIND[kind] = PlainClass(cls, fields)
        _KIND_OF[cls] = kind
        return cls

    return register


def to_plain(value: Any) -> dict[str, Any]:
    """Return the plain form of an object of a class that is decorated with :func:`plain_form`."""
    kind = _KIND_OF.get(type(value))
    if kind is None:
        raise TypeError(
            f"{type(value).__qualname__} has no plain form, which pickles and files are made of: decorate the class "
            "with sklearn_rnn._utils.plain.plain_form, and name its fields."
        )
    fields = _BY_KIND[kind].fields
    values = value.plain_fields() if hasattr(value, "plain_fields") else {name: getattr(value, name) for name in fields}
    return {KIND: kind} | {name.lstrip("_"): field.to_plain(values[name]) for name, field in fields.items()}


def from_plain(state: Any, kinds: Iterable[str], place: str, thorough: bool = False) -> Any:
    """Return the object of a plain form.

    Parameters
    ----------
    state : dict
    kinds : iterable of str
        Allowed kinds.
    place : str
        Where the form stands, for messages.
    thorough : bool, default=False
        Whether the numbers of all arrays are checked too: a pass over the memory.

    Raises
    ------
    ValueError
        If anything is missing, unknown, of another type, or out of range. The message begins with its place.
    """
    kind = state.get(KIND) if isinstance(state, dict) else None
    if not isinstance(kind, str) or kind not in kinds or kind not in _BY_KIND:
        raise ValueError(f"{place} is {_shown(kind)}, but it must be one of {', '.join(sorted(kinds))}.")
    cls, fields = _BY_KIND[kind]
    by_name = {name.lstrip("_"): (name, field) for name, field in fields.items()}
    check_names(state, {KIND, *by_name}, place)
    values = {name: field.from_plain(state[key], f"{place}.{key}", thorough) for key, (name, field) in by_name.items()}
    if hasattr(cls, "from_plain_fields"):
        return cls.from_plain_fields(values, place)
    if is_dataclass(cls) or issubclass(cls, tuple):
        return cls(**values)
    result = cls.__new__(cls)
    vars(result).update(values)
    return result


def check_names(state: Mapping[str, Any], expected: set[str], place: str) -> None:
    """Refuse a dict that lacks a name, or has an unknown one."""
    missing, unknown = expected - state.keys(), state.keys() - expected
    if missing:
        raise ValueError(f"{place} has no {min(missing)!r}.")
    if unknown:
        raise ValueError(f"{place} has {_shown(min(unknown, key=str))}, which this version does not know.")


def refuse_unless(holds: bool, place: str, problem: str) -> None:
    """Raise the error that something in a plain form is wrong."""
    if not holds:
        raise ValueError(f"{place} {problem}.")


def _shown(value: Any) -> str:
    """Return a short text that shows a value."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


# ---- Fields ------------------------------------------------------------------------------------------


class Field(ABC):
    """Converts one attribute to a plain value and back."""

    def to_plain(self, value: Any) -> Any:
        """Return the plain value of an attribute."""
        return value

    @abstractmethod
    def from_plain(self, value: Any, place: str, thorough: bool) -> Any:
        """Check a plain value; return the attribute. See :func:`from_plain` for ``place`` and ``thorough``."""


class Flag(Field):
    """A bool."""

    def to_plain(self, value: Any) -> bool:
        return bool(value)

    def from_plain(self, value: Any, place: str, thorough: bool) -> bool:
        refuse_unless(isinstance(value, bool), place, f"is {_shown(value)}, but it must be True or False")
        return value


class Whole(Field):
    """An int, from ``low`` on; below 2^63, so that NumPy and the kernels can read it."""

    def __init__(self, low: int = 0) -> None:
        self.low = low

    def to_plain(self, value: Any) -> int:
        return int(value)

    def from_plain(self, value: Any, place: str, thorough: bool) -> int:
        is_right = isinstance(value, int) and not isinstance(value, bool) and self.low <= value < 2**63
        refuse_unless(is_right, place, f"is {_shown(value)}, but it must be an integer from {self.low} to 2^63 - 1")
        return value


class Number(Field):
    """A number from ``low`` to ``high``; infinite only if a limit is, and NaN only if ``may_be_nan``.

    Ints stay ints below 2^63, which NumPy can read; larger ones become floats.
    """

    def __init__(self, low: float = -math.inf, high: float = math.inf, may_be_nan: bool = False) -> None:
        self.low, self.high, self.may_be_nan = low, high, may_be_nan

    def to_plain(self, value: Any) -> float:
        return value if type(value) is int and abs(value) < 2**63 else float(value)

    def from_plain(self, value: Any, place: str, thorough: bool) -> float:
        is_number = isinstance(value, float) or (type(value) is int and abs(value) < 2**63)
        is_right = is_number and (self.low <= value <= self.high or (self.may_be_nan and value != value))
        refuse_unless(is_right, place, f"is {_shown(value)}, but it must be a number from {self.low} to {self.high}")
        return value


class Text(Field):
    """A string; one of ``choices``, if there are any."""

    def __init__(self, choices: Iterable[str] = ()) -> None:
        self.choices = choices  # not copied: a registry may grow

    def to_plain(self, value: Any) -> str:
        return str(value)

    def from_plain(self, value: Any, place: str, thorough: bool) -> str:
        refuse_unless(isinstance(value, str), place, f"is {_shown(value)}, but it must be a string")
        if self.choices:
            known = ", ".join(sorted(self.choices))
            refuse_unless(value in self.choices, place, f"is {_shown(value)}, but this version knows {known}")
        return value


class Named(Field):
    """An object that stands under a name in a registry."""

    def __init__(self, registry: Mapping[str, Any]) -> None:
        self.registry, self._text = registry, Text(registry)

    def to_plain(self, value: Any) -> str:
        return next(name for name, known in self.registry.items() if known == value)

    def from_plain(self, value: Any, place: str, thorough: bool) -> Any:
        return self.registry[self._text.from_plain(value, place, thorough)]


class Optional(Field):
    """None, or a value of another field."""

    def __init__(self, field: Field) -> None:
        self.field = field

    def to_plain(self, value: Any) -> Any:
        return None if value is None else self.field.to_plain(value)

    def from_plain(self, value: Any, place: str, thorough: bool) -> Any:
        return None if value is None else self.field.from_plain(value, place, thorough)


class Items(Field):
    """A list of values of one field, or a tuple of them."""

    def __init__(self, field: Field, container: type = list) -> None:
        self.field, self.container = field, container

    def to_plain(self, value: Any) -> list[Any]:
        return [self.field.to_plain(item) for item in value]

    def from_plain(self, value: Any, place: str, thorough: bool) -> Any:
        refuse_unless(isinstance(value, list), place, f"is {_shown(value)}, but it must be a list")
        items = enumerate(value)
        return self.container(self.field.from_plain(item, f"{place}[{i}]", thorough) for i, item in items)


class Object(Field):
    """An object with a plain form, of one of these kinds."""

    def __init__(self, *kinds: str) -> None:
        self.kinds = kinds

    def to_plain(self, value: Any) -> dict[str, Any]:
        return to_plain(value)

    def from_plain(self, value: Any, place: str, thorough: bool) -> Any:
        return from_plain(value, self.kinds, place, thorough)


class Array(Field):
    """An array of floats with ``ndim`` axes, all finite. It is neither copied nor, unless ``thorough``, read."""

    def __init__(self, ndim: int) -> None:
        self.ndim = ndim

    def from_plain(self, value: Any, place: str, thorough: bool) -> np.ndarray:
        is_right = isinstance(value, np.ndarray) and value.ndim == self.ndim and value.dtype in (np.float32, np.float64)
        refuse_unless(is_right, place, f"must be an array of floats with {self.ndim} axes")
        if thorough:
            refuse_unless(bool(np.isfinite(value).all()), place, "contains NaN or infinity")
        return value


class Floats(Field):
    """A list of floats, kept as an array of float64; any may be NaN or infinite."""

    def to_plain(self, value: Any) -> np.ndarray:
        return np.array(value, np.float64)

    def from_plain(self, value: Any, place: str, thorough: bool) -> list[float]:
        is_right = isinstance(value, np.ndarray) and value.ndim == 1 and value.dtype == np.float64
        refuse_unless(is_right, place, "must be an array of float64 with one axis")
        return value.tolist()


class Indices(Field):
    """An array of int64 with one axis, whose items are not negative."""

    def to_plain(self, value: Any) -> np.ndarray:
        return np.asarray(value, np.int64)

    def from_plain(self, value: Any, place: str, thorough: bool) -> np.ndarray:
        is_right = isinstance(value, np.ndarray) and value.ndim == 1 and value.dtype == np.int64
        refuse_unless(is_right and (value >= 0).all(), place, "must be an array of indices with one axis")
        return value


class Labels(Field):
    """A 1-D array of labels or names, of any dtype. An array of objects is kept as a list of them."""

    def __init__(self, of_strings: bool = False) -> None:
        self.of_strings = of_strings

    def to_plain(self, value: Any) -> Any:
        return [_scalar(item) for item in value.tolist()] if value.dtype.kind in "OT" else np.asarray(value)

    def from_plain(self, value: Any, place: str, thorough: bool) -> np.ndarray:
        if isinstance(value, list):
            allowed = str if self.of_strings else (str, int, float, bytes)
            for i, item in enumerate(value):
                refuse_unless(isinstance(item, allowed), f"{place}[{i}]", f"is {_shown(item)}, which is no label")
            labels = np.empty(len(value), object)
            labels[:] = value
            return labels
        is_right = isinstance(value, np.ndarray) and value.ndim == 1 and value.dtype != object and not self.of_strings
        refuse_unless(is_right, place, "must be a list or an array of labels with one axis")
        return value


class DType(Field):
    """float32 or float64."""

    def to_plain(self, value: Any) -> str:
        return np.dtype(value).name

    def from_plain(self, value: Any, place: str, thorough: bool) -> np.dtype:
        refuse_unless(value in ("float32", "float64"), place, f"is {_shown(value)}: it must be float32 or float64")
        return np.dtype(value)


class Value(Field):
    """Any nesting of lists, tuples and dicts of None, bools, numbers and strings."""

    def to_plain(self, value: Any) -> Any:
        return as_plain_value(value)

    def from_plain(self, value: Any, place: str, thorough: bool) -> Any:
        return value


def as_plain_value(value: Any) -> Any:
    """Return nested containers with NumPy's scalars and arrays as Python's; other objects stay as they are."""
    if isinstance(value, dict):
        return {_scalar(key): as_plain_value(item) for key, item in value.items()}
    if type(value) in (list, tuple):
        return type(value)(map(as_plain_value, value))
    if isinstance(value, np.ndarray):
        return as_plain_value(value.tolist())
    return _scalar(value)


def _scalar(value: Any) -> Any:
    """Return a scalar of NumPy as one of Python."""
    return value.item() if isinstance(value, np.generic) else value


class RandomBits(Field):
    """A RandomState, kept as the state of its generator."""

    N_WORDS = 624  # of the Mersenne Twister
    OTHERS = ("PCG64", "PCG64DXSM", "Philox", "SFC64")

    def to_plain(self, value: np.random.RandomState) -> dict[str, Any]:
        return value.get_state(legacy=False)

    def from_plain(self, value: Any, place: str, thorough: bool) -> np.random.RandomState:
        refuse_unless(isinstance(value, dict), place, "must be the state of a RandomState")
        name = value.get("bit_generator")
        if name == "MT19937":
            self._check_words(value, place)
        else:  # only of pickles: a user's RandomState with another generator, whose state NumPy does not check
            is_known = name in self.OTHERS and not thorough
            refuse_unless(is_known, place, f"is a generator {_shown(name)}, but it must be MT19937")
        generator = np.random.RandomState(getattr(np.random, name)(0))
        generator.set_state(value)
        return generator

    def _check_words(self, value: dict[str, Any], place: str) -> None:
        """Check the state of a Mersenne Twister: a wrong position would read outside of its words."""
        check_names(value, {"bit_generator", "state", "has_gauss", "gauss"}, place)
        state = value["state"]
        refuse_unless(isinstance(state, dict) and state.keys() == {"key", "pos"}, place, "must have a key and a pos")
        key, pos = state["key"], state["pos"]
        is_key = isinstance(key, np.ndarray) and key.dtype == np.uint32 and key.shape == (self.N_WORDS,)
        refuse_unless(is_key, f"{place}.key", f"must be an array of {self.N_WORDS} integers of type uint32")
        is_pos = isinstance(pos, int) and not isinstance(pos, bool) and 0 <= pos <= self.N_WORDS
        refuse_unless(is_pos, f"{place}.pos", f"is {_shown(pos)}, but it must be from 0 to {self.N_WORDS}")
        refuse_unless(value["has_gauss"] in (0, 1), f"{place}.has_gauss", "must be 0 or 1")
        refuse_unless(isinstance(value["gauss"], float), f"{place}.gauss", "must be a float")
