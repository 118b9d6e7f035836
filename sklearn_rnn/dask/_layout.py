"""Layout: how a worker turns the partitions of collections into X, y and weights, as the plain estimators read them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from sklearn_rnn._data.training_data import TRAINING, Names
from sklearn_rnn.preprocessing import frame_from_sequences, sequences_from_frame


class PartData(NamedTuple):
    """The sequences of a part.

    Attributes
    ----------
    X, y, sample_weight
        As for the plain estimators.
    keys : pandas.DataFrame or None
        What tells the sequences of a frame apart: the values of the columns ``by``, a row for each sequence.
    """

    X: Any
    y: Any = None
    sample_weight: Any = None
    keys: Any = None

    @property
    def is_empty(self) -> bool:
        """Whether there is no sequence."""
        return len(self.X) == 0


@dataclass(frozen=True)
class Layout:
    """The kind of a collection, and what is needed to read its partitions.

    Attributes
    ----------
    kind : {"array", "bag", "frame", "lazy"}
    has_pairs : bool
        Whether a partition is a tuple (X, y) or (X, y, sample_weight), and not X alone.
    by, order : list of str
        Of a frame: the columns that tell sequences apart, and those that order their steps.
    target, weight : str, list of str, or None
        Of a frame: the columns of y and of the weights.
    per_step : bool
        Whether each step has a target.
    names : Names
        The arguments, for messages.
    """

    kind: str
    has_pairs: bool = False
    by: tuple[str, ...] = ()
    order: tuple[str, ...] = ()
    target: Any = None
    weight: Any = None
    per_step: bool = False
    names: Names = TRAINING

    def read(self, raw: tuple[Any, Any, Any], features: list[str] | None = None) -> PartData:
        """Return the data of partitions of X, y and the weights.

        ``features`` are the columns of a frame that a fitted estimator reads; None: all that have no other role.
        """
        X, y, sample_weight = raw
        if self.has_pairs:
            X, y, sample_weight = self._unpack_pair(X)
        if self.kind == "frame":
            return self._read_frame(X, y, sample_weight, features)
        X, y, sample_weight = (list(value) if _is_of_bag(value) else value for value in (X, y, sample_weight))
        return PartData(X, y, sample_weight)

    def _unpack_pair(self, part: Any) -> tuple[Any, Any, Any]:
        name = self.names.X
        if not isinstance(part, tuple) or len(part) not in (2, 3):
            raise TypeError(
                f"{name} has a part that is a {type(part).__name__}, but without {self.names.y} each part must be a "
                f"tuple (X, y) or (X, y, sample_weight). Or pass {self.names.y} as a list of lazy parts too."
            )
        return (*part, None) if len(part) == 2 else part

    def _read_frame(self, frame: Any, y: Any, sample_weight: Any, features: list[str] | None) -> PartData:
        """Cut the partition of a long frame into sequences."""
        frame = with_columns(frame, self.by + self.order)
        if features is None:
            roles = {*self.by, *self.order, *_listed(self.target), *_listed(self.weight)}
            features = [column for column in frame.columns if column not in roles]
        if len(frame) == 0:
            return PartData([])
        cut = {"by": list(self.by), "order": list(self.order) or None, "features": features}
        target_per = "step" if self.per_step else "sequence"
        if self.target is None:
            X, _, _ = sequences_from_frame(frame, **cut)
        else:
            X, y, _ = sequences_from_frame(frame, **cut, target=self.target, target_per=target_per)
        if self.weight is not None:
            _, sample_weight, _ = sequences_from_frame(frame, **cut, target=self.weight, target_per=target_per)
        keys = frame[list(self.by)].drop_duplicates().reset_index(drop=True)
        return PartData(X, y, sample_weight, keys)

    def rows_of(self, values: Any, frame: Any, name: Any) -> Any:
        """Return values of the steps of sequences in the rows of a frame: a Series, or a frame for a list of names."""
        frame = with_columns(frame, self.by + self.order)
        order = list(self.order) or None
        return frame_from_sequences(values, frame, list(self.by), order, name=name)[name]


@contextmanager
def naming_part(names: Names, index: int) -> Iterator[None]:
    """Say in errors about the data which part they are of."""
    try:
        yield
    except Exception as error:
        if type(error) not in (ValueError, TypeError):
            raise
        message = str(error)
        argument = next((name for name in sorted(names, key=len, reverse=True) if message.startswith(name)), None)
        place = f"part {index}" if argument is None else f"{argument} of part {index}"
        named = type(error)(f"{place}: {message}")
        named.has_name_of_part = True  # type: ignore[attr-defined]
        raise named from error


def with_columns(frame: Any, columns: tuple[str, ...]) -> Any:
    """Return a frame in which these columns are columns, and not the index."""
    names = [name for name in frame.index.names if name is not None]
    return frame.reset_index() if any(name in columns and name not in frame.columns for name in names) else frame


def hashes_of(keys: Any) -> np.ndarray:
    """Return a number for each row of keys, (n,), uint64: the same in every process."""
    from pandas.util import hash_pandas_object  # here: pandas is needed for frames alone

    return hash_pandas_object(keys, index=False).to_numpy()


def _is_of_bag(value: Any) -> bool:
    """Whether a partition of a bag is still an iterator."""
    return hasattr(value, "__next__")


def _listed(names: Any) -> list[str]:
    if names is None:
        return []
    return [names] if isinstance(names, str) else list(names)
