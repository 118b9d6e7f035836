"""Objects that are no sequences as they are: each has a message with the remedy."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

READABLE = ("__array__", "__array_interface__", "__dlpack__", "shape", "__getitem__")


def refuse_other_objects(X: Any, name: str) -> None:
    """Refuse dicts, generators, groups of rows, lazy frames, data sets: objects that must be turned into a list."""
    kind = type(X).__name__
    if "GroupBy" in kind:
        raise TypeError(
            f"{name} is {kind}, which has its groups' keys too: pass the rows of every group as a list, "
            f"[rows[features] for _, rows in {name}], with the columns that are features."
        )
    if hasattr(X, "data_vars"):  # of xarray
        raise TypeError(f"{name} is a {kind} of several variables: pass {name}.to_dataarray('feature').")
    if isinstance(X, Mapping):
        raise TypeError(f"{name} is a {kind}: pass the sequences in it as a list, list({name}.values()).")
    if kind == "LazyFrame":
        raise TypeError(f"{name} is a LazyFrame, which has no data yet: pass {name}.collect().")
    is_once_only = isinstance(X, Iterator) or (
        isinstance(X, Iterable) and not any(hasattr(X, attribute) for attribute in READABLE)
    )
    if is_once_only:
        raise TypeError(f"{name} is a {kind}, but sequences are read several times, by index: pass list({name}).")


def refuse_pairs(X: list | tuple, name: str) -> None:
    """Refuse pairs of a key and the rows of its group: the items of a list of a groupby, or of a dict."""
    first = X[0] if len(X) else None
    if isinstance(first, tuple) and len(first) == 2 and len(getattr(first[1], "shape", ())) == 2:
        raise TypeError(
            f"{name}[0] is a pair of a key, {first[0]!r}, and rows: pass the rows alone, [rows for _, rows in {name}], "
            "with the columns that are features."
        )


def refuse_strings(cells: Iterable[Any], name: str) -> None:
    """Refuse cells that are all strings, unless all are numbers: those of the only column, or of a list."""
    first = None
    for cell in cells:
        if not isinstance(cell, (str, bytes)):
            return
        if first is None and not is_number(cell):
            first = cell
    if first is not None:
        raise ValueError(
            f"{name} has one string per row, such as {str(first)!r}, but a sequence has steps. If {name} is one "
            f"sequence, pass [{name}]. If each string is a text, pass its words, [text.split() for text in {name}], or "
            f"its characters, [list(text) for text in {name}]."
        )


def refuse_text(array: np.ndarray, place: str, labels: Sequence[Any] | None = None) -> None:
    """Refuse strings in a sequence, those of digits too: NumPy would read codes, such as "007", as numbers.

    Parameters
    ----------
    array : ndarray of shape (..., n_features)
    place : str
        The sequence, such as "X[3]", for messages.
    labels : sequence of length n_features, or None
        Labels of the columns of a data frame.
    """
    if array.dtype.kind not in "OSU" or not any(issubclass(cls, (str, bytes)) for cls in set(map(type, array.flat))):
        return
    strings = [i for i, cell in enumerate(array.flat) if isinstance(cell, (str, bytes))]
    i = next((i for i in strings if not is_number(array.flat[i])), strings[0])  # NumPy makes strings of numbers too
    text = str(array.flat[i])
    if labels is not None:
        raise ValueError(
            f"{place}[{labels[i % array.shape[-1]]!r}] is not numeric: it has the string {text!r}. Leave the column "
            "out, make numbers of it, name it in categorical_features of RNNClassifier or RNNRegressor, or encode it "
            "with TimeDistributed(ColumnTransformer(...))."
        )
    raise ValueError(
        f"{place} is not numeric: it has the string {text!r}. Make numbers of strings, choose their feature "
        "in categorical_features of RNNClassifier or RNNRegressor, or encode it with TimeDistributed(OneHotEncoder())."
    )


def is_number(text: str | bytes) -> bool:
    """Whether a string is that of a number."""
    try:
        float(text)
    except ValueError:
        return False
    return True
