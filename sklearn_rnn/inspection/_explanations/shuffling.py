"""Parts of sequences (features, steps, windows) that are exchanged between sequences of like length."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from sklearn_rnn._data.containers import is_scalar
from sklearn_rnn._data.containers.libraries import is_of_class
from sklearn_rnn._data.names import labels_of
from sklearn_rnn._data.sequences import object_array

# A group of like lengths has at least so many sequences; a longer one than this share of the shortest begins the next.
SMALLEST_GROUP = 10
LARGEST_RATIO = 1.1


class SequenceList:
    """The sequences of X one by one, as they came, and how they are joined again.

    Parameters
    ----------
    X : array-like of shape (n_sequences, n_steps, n_features), or list, tuple or object array of sequences

    Attributes
    ----------
    sequences : list of ndarray of shape (n_steps_i, n_features) or (n_steps_i,), or of frames
        Frames of pandas whose numbers have one dtype are arrays too: to exchange them takes a hundredth of the time.
    lengths : ndarray of shape (n_sequences,), int
    n_features : int

    Raises
    ------
    TypeError, ValueError
    """

    def __init__(self, X: Any) -> None:
        if not isinstance(X, (list, tuple)) and not hasattr(X, "dtype"):
            _refuse(X)
        is_list = isinstance(X, (list, tuple)) or (X.dtype == object and X.ndim == 1)
        if (is_list and any(map(is_scalar, X))) or (not is_list and np.ndim(X) != 3):
            raise ValueError(
                f"X has shape {np.shape(X)}, but it must be 3-D or a list of sequences. For a 2-D table use "
                "sklearn.inspection.permutation_importance, which shuffles its columns."
            )
        self._kind = "array" if not is_list else "list" if isinstance(X, (list, tuple)) else "object"
        self._are_lists = [isinstance(x, (list, tuple)) for x in X]
        self.sequences = [_readable(x, f"X[{i}]") for i, x in enumerate(X)]
        self._labels = labels_of(self.sequences[0])
        self._frames = self.sequences if _have_one_dtype(self.sequences) else None
        if self._frames is not None:
            self.sequences = [frame.to_numpy() for frame in self._frames]
        self.lengths = np.array([len(x) for x in self.sequences])
        sizes = {1 if len(x.shape) == 1 else x.shape[1] for x in self.sequences}
        if len(sizes) != 1:
            raise ValueError(f"X has sequences of {sorted(sizes)} features: every sequence needs the same number.")
        self.n_features = sizes.pop()

    @property
    def feature_names(self) -> np.ndarray | None:
        """(n_features,) names of the columns, if the sequences are frames."""
        return None if self._labels is None else np.array(self._labels, dtype=object)

    def joined(self, sequences: list[Any]) -> Any:
        """Return sequences in the form of X."""
        if self._kind == "array":
            return np.stack(sequences)
        if self._frames is not None:
            pairs = zip(sequences, self.sequences, self._frames)
            sequences = [frame if x is before else _frame_like(frame, x) for x, before, frame in pairs]
        parts = [x.tolist() if was_list else x for x, was_list in zip(sequences, self._are_lists)]
        return parts if self._kind == "list" else object_array(parts)


def _refuse(X: Any) -> None:
    if is_of_class(X, "pandas.DataFrame") and X.index.nlevels > 1:
        raise TypeError(
            "X is a data frame with an index (instance, time): pass its sequences as a list of frames, [frame for _, "
            "frame in X.groupby(level=0, sort=False)], and fit on such a list too."
        )
    raise TypeError(
        f"X is a {type(X).__name__}, but it must be an array (n_sequences, n_steps, n_features) or a list of sequences."
    )


def _readable(x: Any, place: str) -> Any:
    """Return a sequence as an array, or as the frame that it is."""
    if is_of_class(x, "pandas.DataFrame") or is_of_class(x, "polars.DataFrame"):
        return x
    if labels_of(x) is not None:
        raise TypeError(f"{place} is a {type(x).__name__}: pass frames of pandas or polars, or arrays.")
    array = np.asarray(x)
    if array.dtype.kind in "US":
        array = np.asarray(x, dtype=object)
    if array.ndim not in (1, 2):
        raise ValueError(f"{place} has {array.ndim} dimensions, but a sequence is (n_steps, n_features) or (n_steps,).")
    return array


def _have_one_dtype(sequences: list[Any]) -> bool:
    """Whether all sequences are frames of pandas whose columns all have one dtype, of numbers."""
    frame_class = getattr(sys.modules.get("pandas"), "DataFrame", None)
    if not all(type(x) is frame_class and not x.attrs for x in sequences):
        return False
    dtypes = {dtype for x in sequences for dtype in x.dtypes}
    return len(dtypes) == 1 and all(isinstance(dtype, np.dtype) and dtype.kind in "iuf" for dtype in dtypes)


def _frame_like(frame: Any, values: np.ndarray) -> Any:
    return type(frame)(values, index=frame.index, columns=frame.columns)


# ---- The parts ---------------------------------------------------------------------------------------


class Part(NamedTuple):
    """A part of each sequence, and the sequences that exchange it.

    Attributes
    ----------
    feature : int or None
        None: all features.
    starts, stops : ndarray of shape (n_sequences,), int
        Its steps, from ``starts`` to ``stops - 1``; none in sequences that don't have it.
    groups : list of ndarray of int
        Sequences that exchange it among each other.
    """

    feature: int | None
    starts: np.ndarray
    stops: np.ndarray
    groups: list[np.ndarray]


def parts_of(sequences: SequenceList, by: str, n_windows: int) -> list[Part]:
    """Return all parts: features, steps counted from the start, or windows."""
    lengths = sequences.lengths
    none = np.zeros_like(lengths)
    groups = groups_of_like_length(lengths)
    if by == "feature":
        return [Part(j, none, lengths, groups) for j in range(sequences.n_features)]
    if by == "window":
        bounds = [k * lengths // n_windows for k in range(n_windows + 1)]
        return [Part(None, start, stop, groups) for start, stop in pairwise(bounds)]
    return [
        Part(None, none + t, np.minimum(t + 1, lengths), [np.flatnonzero(lengths > t)]) for t in range(lengths.max())
    ]


def groups_of_like_length(lengths: np.ndarray) -> list[np.ndarray]:
    """Return the groups of sequences that exchange parts: neighbours in the order of their lengths."""
    shortest_first = np.argsort(lengths, kind="stable")
    firsts = [0]
    for place, i in enumerate(shortest_first):
        is_longer = lengths[i] > LARGEST_RATIO * lengths[shortest_first[firsts[-1]]]
        if is_longer and place - firsts[-1] >= SMALLEST_GROUP:
            firsts.append(place)
    if len(firsts) > 1 and len(lengths) - firsts[-1] < SMALLEST_GROUP:
        firsts.pop()
    return np.split(shortest_first, firsts[1:])


def shuffled(sequences: SequenceList, part: Part, random_state: np.random.RandomState) -> Any:
    """Return X with one part of the sequences exchanged among those of each group."""
    result = list(sequences.sequences)
    for group in part.groups:
        having = group[part.stops[group] > part.starts[group]]
        for receiver, donor in zip(having, random_state.permutation(having)):
            if receiver != donor:
                result[receiver] = _exchanged(sequences.sequences, receiver, donor, part)
    return sequences.joined(result)


def _exchanged(sequences: list[Any], receiver: int, donor: int, part: Part) -> Any:
    """Return the receiver with the part of the donor, which is stretched if it has another number of steps."""
    n_steps, n_donated = part.stops[receiver] - part.starts[receiver], part.stops[donor] - part.starts[donor]
    rows = part.starts[receiver] + np.arange(n_steps)
    # The middle of each step of the receiver, in steps of the donor: equal lengths give each step itself.
    source = part.starts[donor] + (2 * np.arange(n_steps) + 1) * n_donated // (2 * n_steps)
    x, other = sequences[receiver], sequences[donor]
    if isinstance(x, np.ndarray) and isinstance(other, np.ndarray):
        return _with_values(x, other, rows, source, part.feature)
    columns = range(x.shape[1]) if part.feature is None else [part.feature]
    for j, column in zip(columns, _donated(x, other, rows, source, columns)):
        x = _with_column(x, j, column)
    return x


def _with_values(
    x: np.ndarray, other: np.ndarray, rows: np.ndarray, source: np.ndarray, feature: int | None
) -> np.ndarray:
    dtype = object if object in (x.dtype, other.dtype) else np.result_type(x, other)
    result = x.astype(dtype)
    if feature is None or x.ndim == 1:
        result[rows] = other[source]
    else:
        result[rows, feature] = other[source, feature]
    return result


def _donated(x: Any, other: Any, rows: np.ndarray, source: np.ndarray, columns: Any) -> Iterator[Any]:
    """Yield columns of a frame with the donor's values in some rows."""
    for j in columns:
        if is_of_class(x, "polars.DataFrame"):
            donated = other.to_series(j).gather(source)
            before, after = x.to_series(j)[: int(rows[0])], x.to_series(j)[int(rows[-1]) + 1 :]
            yield sys.modules["polars"].concat([before, donated, after])
            continue
        column, donated = x.iloc[:, j].reset_index(drop=True), other.iloc[source, j]
        parts = [column[: rows[0]], donated, column[rows[-1] + 1 :]]
        yield sys.modules["pandas"].concat([p for p in parts if len(p)]).set_axis(x.index)


def _with_column(x: Any, j: int, column: Any) -> Any:
    """Return a frame with another column."""
    if is_of_class(x, "polars.DataFrame"):
        return x.with_columns(column.alias(x.columns[j]))
    result = x.copy()
    result.isetitem(j, column)
    return result
