"""Parts: the partitions of Dask's collections of X, y and weights, and predictions in the form of X."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import dask
import distributed
import numpy as np
from dask.delayed import Delayed
from dask.highlevelgraph import HighLevelGraph

from sklearn_rnn._data.training_data import TRAINING, Names
from sklearn_rnn.dask._layout import Layout


@dataclass
class Parts:
    """Lazy parts of X, y and weights.

    Attributes
    ----------
    layout : Layout
    raw : list of tuple
        For each part: the partitions of X, y and the weights, each a Delayed, a Future or None.
    collection : object
        X, as the user passed it.
    """

    layout: Layout
    raw: list[tuple[Any, Any, Any]]
    collection: Any

    def __len__(self) -> int:
        return len(self.raw)

    def calls(self, function: Callable[..., Any], *arguments: Any) -> list[Delayed]:
        """Return lazy calls, ``function(index, (X, y, weights), layout, *arguments)``, one for each part."""
        call = dask.delayed(function, pure=False)
        lazy = [dask.delayed(argument, pure=False, traverse=False) for argument in (self.layout, *arguments)]
        return [call(index, raw, *lazy) for index, raw in enumerate(self.raw)]

    def places(self) -> list[str]:
        """Return the names of the parts, for messages."""
        return [f"part {index} of {self.layout.names.X}" for index in range(len(self))]


def is_collection(X: Any) -> bool:
    """Whether X is a collection of Dask, or a list of lazy parts."""
    if isinstance(X, (list, tuple)):
        return len(X) > 0 and all(isinstance(item, (Delayed, distributed.Future)) for item in X)
    return dask.is_dask_collection(X) and not isinstance(X, Delayed)


def parts_of(
    X: Any,
    y: Any = None,
    sample_weight: Any = None,
    *,
    by: Any = None,
    order: Any = None,
    per_step: bool = False,
    needs_y: bool = False,
    owner: str = "",
    names: Names = TRAINING,
) -> Parts:
    """Return the parts of collections.

    Parameters
    ----------
    X, y, sample_weight
        As for ``fit`` of the estimators.
    by, order : str, list of str, or None
        Of frames.
    per_step : bool
        Whether each step has a target.
    needs_y : bool
        Whether there must be targets: without y, the parts are tuples.
    owner : str
        The plain estimator, for messages.
    names : Names

    Raises
    ------
    TypeError, ValueError
        For data that are no collection, for collections that do not align, and for chunks that cut sequences.
    """
    _refuse_memory(X, names.X, owner)
    kind = _kind_of(X)
    target, weight = (value if _are_names(value) else None for value in (y, sample_weight))
    if kind == "frame" and by is None:
        raise ValueError(
            f"{names.X} is a data frame, but by=None: name the column that tells its sequences apart, such as "
            "by='patient', and in order the column that orders their steps."
        )
    if kind == "frame":
        _check_columns(X, names, {"by": by, "order": order, names.y: target, names.sample_weight: weight})
    elif target is not None or weight is not None:
        raise TypeError(
            f"{names.y if target is not None else names.sample_weight} names a column, but {names.X} is no data frame."
        )
    layout = Layout(
        kind,
        has_pairs=kind == "lazy" and y is None and needs_y,
        by=_as_tuple(by),
        order=_as_tuple(order),
        target=target,
        weight=weight,
        per_step=per_step,
        names=names,
    )
    if needs_y and y is None and not layout.has_pairs:
        raise ValueError(f"requires {names.y} to be passed, but the target {names.y} is None.")
    pieces = _pieces_of(X, names.X)
    others = []
    for value, column, name in ((y, target, names.y), (sample_weight, weight, names.sample_weight)):
        if value is None or column is not None:
            others.append([None] * len(pieces))
            continue
        _refuse_memory(value, name, owner)
        others.append(_pieces_of(_aligned(value, X, name, names.X), name))
        if len(others[-1]) != len(pieces):
            raise ValueError(
                f"{name} has {len(others[-1])} parts, but {names.X} has {len(pieces)}: pass a part of {name} for each."
            )
    return Parts(layout, list(zip(pieces, *others)), X)


def _check_columns(X: Any, names: Names, roles: dict[str, Any]) -> None:
    """Refuse names of columns that a frame does not have; the index counts as a column."""
    known = [*X.columns, X.index.name]
    for role, columns in roles.items():
        for column in _as_tuple(columns):
            if column not in known:
                raise ValueError(
                    f"{role}={column!r} is no column of {names.X}, whose columns are {list(map(str, X.columns))}."
                )


def _kind_of(X: Any) -> str:
    if isinstance(X, (list, tuple)):
        return "lazy"
    module = type(X).__module__
    if module.startswith("dask.array"):
        return "array"
    return "bag" if module.startswith("dask.bag") else "frame"


def _pieces_of(values: Any, name: str) -> list[Any]:
    """Return the partitions of a collection, lazily."""
    if isinstance(values, (list, tuple)):
        return list(values)
    if _kind_of(values) == "array":
        _check_chunks(values, name)
    return list(np.ravel(np.array(values.to_delayed(), dtype=object)))


def _check_chunks(array: Any, name: str) -> None:
    """Refuse chunks that cut steps or features off their sequences."""
    if array.ndim == 0 or any(n_blocks > 1 for n_blocks in array.numblocks[1:]):
        whole = ", ".join(f"{axis}: -1" for axis in range(1, array.ndim))
        raise ValueError(
            f"{name} has chunks {array.chunks}, but a sequence must be whole in one chunk: cut the first axis alone, "
            f"{name}.rechunk({{{whole}}})."
        )


def _aligned(values: Any, X: Any, name: str, X_name: str) -> Any:
    """Return an array of y or weights with the chunks of an array of X, if both are known."""
    if _kind_of(values) != "array" or _kind_of(X) != "array":
        return values
    own, wanted = values.chunks[0], X.chunks[0]
    if own == wanted or np.isnan(own).any() or np.isnan(wanted).any():
        return values
    if sum(own) != sum(wanted):
        raise ValueError(
            f"{name} has {sum(own)} entries, but {X_name} has {sum(wanted)} sequences: pass one entry for each "
            "sequence."
        )
    return values.rechunk({0: wanted})


def _refuse_memory(values: Any, name: str, owner: str) -> None:
    """Refuse data in the memory of the client, with the line that makes parts of them."""
    if is_collection(values):
        return
    raise TypeError(
        f"{name} is a {type(values).__name__} in the memory of this process, not a collection of Dask: "
        f"{_remedy_for_memory(values, name)}; or use {owner}, which trains here."
    )


def _remedy_for_memory(values: Any, name: str) -> str:
    """Return how to make parts of data in memory."""
    if isinstance(values, np.memmap):
        return (
            "make a list of lazy parts that open the file where they are used, by dask.delayed(numpy.load)(path, "
            "mmap_mode='r')"
        )
    if isinstance(values, np.ndarray) and values.dtype != object and values.ndim:
        chunks = (-(-len(values) // 4) or 1, *[-1] * (values.ndim - 1))
        return f"make parts of it, dask.array.from_array({name}, chunks={chunks})"
    if isinstance(values, (list, tuple, np.ndarray)):
        return f"make parts of it, dask.bag.from_sequence({name}, npartitions=4)"
    if hasattr(values, "iloc"):
        return f"make parts of it, dask.dataframe.from_pandas({name}, npartitions=4)"
    return "pass a dask.array, a dask.bag, a dask.dataframe, or a list of delayed parts"


def _are_names(value: Any) -> bool:
    """Whether a value names columns."""
    if isinstance(value, str):
        return True
    return isinstance(value, (list, tuple)) and len(value) > 0 and all(isinstance(item, str) for item in value)


def _as_tuple(names: Any) -> tuple[str, ...]:
    if names is None:
        return ()
    return (names,) if isinstance(names, str) else tuple(names)


# ---- Predictions, in the form of X -------------------------------------------------------------------


@dataclass
class Output:
    """What a method predicts for a sequence or a step.

    Attributes
    ----------
    name : str
        Of a column of a frame.
    dtype : dtype
    labels : sequence or None
        Of the values of a sequence or step, if it has several.
    n_steps : int or None
        Of the sequences of an array, if each step has a prediction.
    """

    name: str
    dtype: np.dtype
    labels: Sequence[Any] | None = None
    n_steps: int | None = None


def joined(parts: Parts, predicted: list[Delayed], output: Output) -> Any:
    """Return lazy predictions of the parts as a collection of the kind of X."""
    kind = parts.layout.kind
    if kind == "bag":
        from dask.bag import from_delayed as bag_of

        return bag_of(predicted)
    if kind == "array":
        return _joined_arrays(parts, predicted, output)
    return _joined_frames(parts, predicted, output) if kind == "frame" else predicted


def _joined_arrays(parts: Parts, predicted: list[Delayed], output: Output) -> Any:
    """Return an array with the chunks of X; dask.array.concatenate would leave out empty ones."""
    import dask.array as da

    name = f"predicted-{uuid4().hex}"
    inner = () if output.labels is None else (len(output.labels),)
    if output.n_steps is not None:
        inner = (output.n_steps, *inner)
    blocks = {(name, i, *[0] * len(inner)): (_same, block.key) for i, block in enumerate(predicted)}
    graph = HighLevelGraph.from_collections(name, blocks, dependencies=predicted)
    chunks = (parts.collection.chunks[0], *((n,) for n in inner))
    return da.Array(graph, name, chunks, dtype=output.dtype)


def _same(block: Any) -> Any:
    return block


def _joined_frames(parts: Parts, predicted: list[Delayed], output: Output) -> Any:
    import dask.dataframe as dd
    import pandas as pd

    if output.labels is None:
        meta: Any = pd.Series([], dtype=output.dtype, name=output.name)
    else:
        meta = pd.DataFrame({label: pd.Series([], dtype=output.dtype) for label in output.labels})
    return dd.from_delayed(predicted, meta=meta, verify_meta=False)
