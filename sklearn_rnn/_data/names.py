"""Names of the features of a step: found in the frames of X, recorded, and compared in scikit-learn's way."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from sklearn_rnn._data.containers import Unpacked
from sklearn_rnn._data.containers.named_dims import labels_of_features
from sklearn_rnn._utils.warnings import warn_user

N_SHOWN = 5  # names in an error, as in scikit-learn


def record_names(estimator: Any, names: np.ndarray | None) -> None:
    """Set ``feature_names_in_``; without names, remove the one of an earlier fit."""
    if names is not None:
        estimator.feature_names_in_ = names
    else:
        vars(estimator).pop("feature_names_in_", None)


def common_names(given: Unpacked, name: str, expected: np.ndarray | None = None) -> np.ndarray | None:
    """Return the names that the sequences of X share.

    Parameters
    ----------
    given : Unpacked
        The sequences. Those of a container with labels, and data frames, have names if all labels are strings.
    name : str
        The argument, for messages.
    expected : ndarray of str, or None
        The names of the fit.

    Returns
    -------
    ndarray of shape (n_features,), object; None if no sequence has names

    Raises
    ------
    ValueError
        If a frame has other names, or the same in another order, or a name twice. The message names it.
    TypeError
        If a frame has names of which only some are strings.
    """
    X, labels = given
    if labels is not None:
        return as_names(labels, name)
    if isinstance(X, np.ndarray) and X.dtype != object:
        return None
    names, source, unnamed = expected, "fit", None
    has_names = False
    for i, found in enumerate(_names_of_each(X, name)):
        if found is None:
            unnamed = i if unnamed is None else unnamed
            continue
        has_names = True
        if names is None:
            names, source = found, f"{name}[{i}]"
        elif not _are_equal(found, names):
            refuse_names(f"{name}[{i}]", found, names, source)
    if not has_names:
        return None
    if unnamed is not None:
        warn_user(
            f"{name}[{unnamed}] does not have valid feature names, but other sequences of {name} have: its features "
            "are read in their order."
        )
    return names


def names_of_step(x: Any) -> np.ndarray | None:
    """Return the names of the values of a step: the columns of a frame, or the index of one of its rows (a Series)."""
    is_row = hasattr(x, "to_frame") and hasattr(x, "index")
    return next(_names_of_each([x.to_frame().T if is_row else x], "x"))


def compare_names(names: np.ndarray | None, expected: np.ndarray | None, owner: str, name: str) -> None:
    """Compare the names of X with those of the fit: refuse other names, and warn if only one of the two has names."""
    if names is not None and expected is not None:
        if not _are_equal(names, expected):
            refuse_names(name, names, expected, "fit")
    elif names is not None:
        warn_user(f"{name} has feature names, but {owner} was fitted without feature names")
    elif expected is not None:
        warn_user(f"{name} does not have valid feature names, but {owner} was fitted with feature names")


def refuse_names(place: str, names: np.ndarray, expected: np.ndarray, source: str) -> None:
    """Raise scikit-learn's error for other names than ``expected``, which come from ``source``: "fit" or an item."""
    if source == "fit":
        those, where, order = "that were passed during fit", "at fit time", "as they were in fit"
    else:
        those, where, order = f"of {source}", f"in {source}", f"as in {source}"
    message = [f"{place}: The feature names should match those {those}."]
    unseen, missing = sorted(set(names) - set(expected)), sorted(set(expected) - set(names))
    if unseen:
        message += [f"Feature names unseen {where}:", *_listed(unseen)]
    if missing:
        message += [f"Feature names seen {where}, yet now missing:", *_listed(missing)]
    if not unseen and not missing:
        message.append(f"Feature names must be in the same order {order}.")
    raise ValueError("\n".join(message))


def _listed(names: list[str]) -> list[str]:
    return [f"- {name}" for name in names[:N_SHOWN]] + ["- ..."] * (len(names) > N_SHOWN)


def _are_equal(names: np.ndarray, others: np.ndarray) -> bool:
    return names is others or (len(names) == len(others) and bool((names == others).all()))


def _names_of_each(X: Iterable[Any], name: str) -> Iterator[np.ndarray | None]:
    """Yield the names of each sequence. Frames with the same columns yield the same array."""
    known_labels: list[Any] | None = None
    names = None
    for i, item in enumerate(X):
        labels = labels_of(item)
        if labels is None:
            yield None
            continue
        if labels != known_labels:
            known_labels, names = labels, as_names(labels, f"{name}[{i}]")
        yield names


def labels_of(item: Any) -> list[Any] | None:
    """Return the column labels of a frame (pandas, polars), a table (pyarrow) or a DataArray; None for others."""
    if isinstance(item, (np.ndarray, list, tuple)):
        return None
    if hasattr(item, "dims") and hasattr(item, "coords"):
        return labels_of_features(item)
    labels = getattr(item, "column_names", None)
    if labels is None:
        labels = getattr(item, "columns", None)
    return None if labels is None else list(labels)


def refuse_repeated(labels: list[Any], place: str) -> None:
    """Refuse columns with the same label: it is no name of one feature."""
    if len(set(labels)) < len(labels):
        repeated = next(label for i, label in enumerate(labels) if label in labels[:i])
        raise ValueError(f"{place} has several columns named {repeated!r}: give each column a name of its own.")


def as_names(labels: list[Any], place: str) -> np.ndarray | None:
    """Return labels as names, each a different one; None if there are none, or if none is a string."""
    types = sorted({type(label).__qualname__ for label in labels})
    if "str" not in types:
        return None
    if len(types) > 1:
        raise TypeError(
            f"{place}: Feature names are only supported if all input features have string names, but these have the "
            f"types {types}. Convert them all to strings, for example by X.columns = X.columns.astype(str)."
        )
    refuse_repeated(labels, place)
    return np.asarray(labels, dtype=object)
