"""Categories: which features of a step have them, how they are learned, and the codes that stand for them in rows.

Code 0 stands for no step (before a sequence, in its first patch), code 1 for unknown and missing categories, and code
k + 2 for category k.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from numbers import Number
from typing import Any

import numpy as np

from sklearn_rnn._data.missing import is_missing_item
from sklearn_rnn._utils.caching import cached
from sklearn_rnn._utils.plain import Flag, Items, Labels, Object, Text, Whole, plain_form, refuse_unless

UNKNOWN, FIRST = 1, 2  # codes
MOST_IN_TABLE = 2**22  # numbers between the smallest and the largest category
LARGEST_CODE = 2**24  # whole numbers up to here are exact in float32


@plain_form("categorical_feature", name=Text(), column=Whole(), categories=Labels(), is_learned=Flag())
@dataclass(frozen=True)
class CategoricalFeature:
    """A categorical feature of a step.

    Attributes
    ----------
    name : str
        Its name, or its index if it has none.
    column : int
    codes : dict
        The code of each category.
    is_learned : bool
        Whether the categories are those of the training data, and not given.
    """

    name: str
    column: int
    codes: dict[Any, int]
    is_learned: bool

    @cached
    def values(self) -> np.ndarray:
        """(n_categories,) the categories, in the order of their codes."""
        values = list(self.codes)
        has_numbers = bool(values) and all(_kind_of(value) == "numbers" for value in values)
        return np.array(values) if has_numbers else np.array(values, object)

    def encode(self, values: np.ndarray, place_of: Callable[[int], str]) -> np.ndarray:
        """Return the code of each value of one column of data, (n,), as an integer.

        ``place_of`` returns where a value is, such as "X[3]", for messages.

        Raises
        ------
        TypeError
            If strings come where the categories are numbers, or numbers where they are strings.
        """
        if self._table is not None and values.dtype.kind in "biuf":
            return self._codes_of_numbers(values)
        get = self.codes.get
        codes = np.array([get(value, UNKNOWN) for value in values.tolist()], np.int64)
        if self._codes_of_fractions:
            self._add_fractions(values, codes)
        if self.codes and (codes == UNKNOWN).any():
            known = _kind_of(next(iter(self.codes)))
            for i in np.flatnonzero(codes == UNKNOWN):
                if not is_missing_item(values[i]) and _kind_of(values[i]) != known:
                    raise TypeError(
                        f"{place_of(int(i))} has {plain(values[i])!r} in the categorical feature {self.name!r}, whose "
                        f"categories are {known}, such as {next(iter(self.codes))!r}: pass {known}."
                    )
        return codes

    @cached
    def _codes_of_fractions(self) -> dict[float, int]:
        """The code of each category that is no whole number, by its value in float32."""
        return {float(np.float32(value)): code for value, code in self.codes.items() if _is_fraction(value)}

    def _add_fractions(self, values: np.ndarray, codes: np.ndarray) -> None:
        """Set the codes of fractions that equal a category in float32: 0.1 is one category in any dtype."""
        for i in np.flatnonzero(codes == UNKNOWN):
            if _is_fraction(values[i]):
                codes[i] = self._codes_of_fractions.get(float(np.float32(values[i])), UNKNOWN)

    @cached
    def _table(self) -> tuple[int, np.ndarray] | None:
        """The smallest category, and the codes of the whole numbers from it on; None if that were too many."""
        numbers = np.array(list(self.codes)) if self.codes else np.array(["none"])
        if numbers.dtype.kind not in "biuf" or not (np.isfinite(numbers) & (numbers == np.floor(numbers))).all():
            return None
        first, last = int(numbers.min()), int(numbers.max())
        if last - first > MOST_IN_TABLE:
            return None
        table = np.full(last - first + 2, UNKNOWN)  # and one for all other numbers
        table[numbers.astype(np.int64) - first] = list(self.codes.values())
        return first, table

    def _codes_of_numbers(self, values: np.ndarray) -> np.ndarray:
        """Return the codes of whole numbers: a table takes a tenth of the time of a dictionary."""
        assert self._table is not None
        first, table = self._table
        with np.errstate(invalid="ignore"):
            places = values.astype(np.float64) - first
            is_inside = (places >= 0) & (places < len(table) - 1) & (places == np.floor(places))
        return table[np.where(is_inside, places, len(table) - 1).astype(np.intp)]

    def __getstate__(self) -> dict[str, Any]:
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def plain_fields(self) -> dict[str, Any]:
        """Return the values of the plain form: the codes follow from the order of the categories."""
        categories = np.empty(len(self.codes), object)
        categories[:] = list(self.codes)
        return {"name": self.name, "column": self.column, "categories": categories, "is_learned": self.is_learned}

    @classmethod
    def from_plain_fields(cls, values: dict[str, Any], place: str) -> CategoricalFeature:
        """Return the feature of a plain form."""
        categories = values.pop("categories").tolist()
        kinds = {_kind_of(value) for value in categories}
        refuse_unless(len(set(categories)) == len(categories), place, "has a category twice")
        refuse_unless(len(kinds - {"other objects"}) < 2, place, "has strings and numbers among its categories")
        refuse_unless(FIRST + len(categories) <= LARGEST_CODE, place, "has too many categories")
        return cls(codes={value: FIRST + k for k, value in enumerate(categories)}, **values)

    def with_codes_in(self, seen: set[int]) -> CategoricalFeature:
        """Return the feature without the categories whose codes are not among ``seen``; the others move up."""
        return _with_codes(
            self.name, self.column, [v for v, code in self.codes.items() if code in seen], self.is_learned
        )

    def new_codes(self, later: CategoricalFeature) -> np.ndarray:
        """Return the code in a later feature, which may lack categories, for each code of this one."""
        codes = np.arange(FIRST + len(self.codes))
        codes[FIRST:] = [later.codes.get(value, UNKNOWN) for value in self.codes]
        return codes


@plain_form("categories", features=Items(Object("categorical_feature"), tuple), n_features=Whole(1))
@dataclass(frozen=True)
class Categories:
    """The categorical features of a step, in the order of their columns.

    Attributes
    ----------
    features : tuple of CategoricalFeature
    n_features : int
        Number of all features of a step.
    """

    features: tuple[CategoricalFeature, ...]
    n_features: int

    @property
    def mask(self) -> np.ndarray:
        """(n_features,) whether a feature is categorical."""
        mask = np.zeros(self.n_features, bool)
        mask[[feature.column for feature in self.features]] = True
        return mask

    @property
    def numbers(self) -> np.ndarray:
        """Indices of the other features."""
        return np.flatnonzero(~self.mask)

    def encode_rows(self, rows: np.ndarray, place_of: Callable[[int], str]) -> np.ndarray:
        """Return a copy of rows of numbers, (n_rows, n_features), with codes in the place of categories."""
        rows = rows.copy()
        for feature in self.features:
            rows[:, feature.column] = feature.encode(rows[:, feature.column], place_of)
        return rows


# ---- Which features are categorical ------------------------------------------------------------------


def selected_columns(selection: Any, n_features: int, names: Sequence[str] | None) -> list[int]:
    """Return the columns that ``categorical_features`` names, by names, indices or a mask.

    Parameters
    ----------
    selection : array-like of str, int or bool
    n_features : int
        Features of a step.
    names : sequence of str, or None
        Names of the features of a step.

    Raises
    ------
    ValueError
    """
    try:
        chosen = np.asarray(selection)
    except ValueError:  # lists of different lengths
        chosen = np.asarray(None)
    if chosen.size == 0:
        return []
    if chosen.ndim != 1 or chosen.dtype.kind not in "biuUO":
        raise ValueError(
            f"categorical_features={selection!r} must be 'from_dtype', None, or a list of names, of indices, or of "
            "booleans."
        )
    if chosen.dtype.kind == "b":
        if len(chosen) != n_features:
            raise ValueError(
                f"categorical_features is a mask of {len(chosen)} features, but X has {n_features} features per step."
            )
        return np.flatnonzero(chosen).tolist()
    if chosen.dtype.kind in "iu":
        outside = chosen[(chosen < -n_features) | (chosen >= n_features)]
        if len(outside):
            raise ValueError(
                f"categorical_features contains {outside[0]}, but X has {n_features} features per step: indices are 0 "
                f"to {n_features - 1}."
            )
        return sorted({int(column) % n_features for column in chosen})
    return _named_columns(chosen.tolist(), names)


def _named_columns(chosen: list[Any], names: Sequence[str] | None) -> list[int]:
    if names is None:
        raise ValueError(
            f"categorical_features={chosen} has names, but the steps of X have none: pass sequences that are data "
            "frames, or indices of the features."
        )
    unknown = [name for name in chosen if name not in list(names)]
    if unknown:
        raise ValueError(f"categorical_features contains {unknown[0]!r}, but the features of X are {list(names)}.")
    return sorted({list(names).index(name) for name in chosen})


# ---- Learning the categories -------------------------------------------------------------------------


def learn_categories(name: str, column: int, values: set[Any]) -> CategoricalFeature:
    """Return a feature with all categories among the values of the training data, sorted; missing ones are none.

    Raises
    ------
    TypeError
        If they are neither all strings nor all numbers.
    """
    present = {plain(value) for value in values if not is_missing_item(value)}
    _check_kinds(present, name, "X")
    return _with_codes(name, column, sorted(present), is_learned=True)


def declared_categories(name: str, column: int, values: Sequence[Any]) -> CategoricalFeature:
    """Return a feature with given categories, in their order."""
    return _with_codes(name, column, values, is_learned=False)


def given_categories(categories: Any, named_columns: Sequence[tuple[str, int]]) -> list[CategoricalFeature]:
    """Return features with the categories that the parameter ``categories`` lists for each.

    Raises
    ------
    ValueError
        If there is no list for each feature, or if a list has a category twice, or a missing one.
    TypeError
        For an item that is no list, and for categories that are neither all strings nor all numbers.
    """
    if len(categories) != len(named_columns):
        raise ValueError(
            f"categories has {len(categories)} lists, but there are {len(named_columns)} categorical features: "
            f"{[name for name, _ in named_columns]}."
        )
    features = []
    for k, ((name, column), of_feature) in enumerate(zip(named_columns, categories)):
        has_order = isinstance(of_feature, Iterable) and not isinstance(of_feature, (set, frozenset, Iterator))
        if not has_order or isinstance(of_feature, (str, bytes)):
            raise TypeError(
                f"categories[{k}] is a {type(of_feature).__name__}: pass a list of all categories of the feature "
                f"{name!r}, whose order is that of their vectors."
            )
        values = [plain(value) for value in of_feature]
        if any(map(is_missing_item, values)):
            raise ValueError(
                f"categories has a missing value for {name!r}: leave it out, unknown and missing categories have a "
                "vector of their own."
            )
        _check_kinds(values, name, "categories")
        if len(set(values)) < len(values):
            repeated = next(value for i, value in enumerate(values) if value in values[:i])
            raise ValueError(f"categories has {repeated!r} twice for {name!r}.")
        features.append(declared_categories(name, column, values))
    return features


def refuse_inexact(features: Iterable[CategoricalFeature], dtype: np.dtype, place: str) -> None:
    """Refuse categories that are numbers so large that values of a dtype of floats do not tell them apart."""
    limit = 2 ** (np.finfo(dtype).nmant + 1)
    for feature in features:
        large = next((v for v in feature.codes if _kind_of(v) == "numbers" and abs(v) >= limit), None)
        if large is not None:
            exact = "strings" if dtype == np.float64 else "integers or strings"
            raise ValueError(
                f"{place} has {large!r} among the categories of the feature {feature.name!r}, but {dtype} does not "
                f"tell whole numbers from {limit} on apart: make {exact} of them."
            )


def _check_kinds(values: Iterable[Any], name: str, place: str) -> None:
    """Refuse categories of a feature that are neither all strings nor all numbers."""
    examples = {_kind_of(value): value for value in values}
    if len(examples) > 1 or "other objects" in examples:
        shown = " and ".join(f"{kind} such as {examples[kind]!r}" for kind in sorted(examples))
        raise TypeError(
            f"{place} has {shown} in the categorical feature {name!r}: categories must be all strings or all numbers."
        )


def _with_codes(name: str, column: int, values: Sequence[Any], is_learned: bool) -> CategoricalFeature:
    if FIRST + len(values) > LARGEST_CODE:
        raise ValueError(
            f"categorical_features has {name!r} with {len(values)} categories: at most {LARGEST_CODE - FIRST} can be "
            "told apart in float32."
        )
    return CategoricalFeature(name, column, {value: FIRST + k for k, value in enumerate(values)}, is_learned)


def plain(value: Any) -> Any:
    """Return a scalar of NumPy as one of Python; any other value unchanged."""
    return value.item() if isinstance(value, np.generic) else value


def _kind_of(value: Any) -> str:
    if isinstance(value, str):
        return "strings"
    return "numbers" if isinstance(value, (Number, np.bool_)) else "other objects"


def _is_fraction(value: Any) -> bool:
    return isinstance(value, (float, np.floating)) and not float(value).is_integer()
