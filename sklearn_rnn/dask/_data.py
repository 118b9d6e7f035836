"""The data of a part: read on its worker, kept in its memory, and described to the client."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import distributed
import numpy as np
from dask.sizeof import sizeof

from sklearn_rnn._data.batches import Dataset
from sklearn_rnn._data.target_readers import TargetReader
from sklearn_rnn._data.training_data import Known, read_training_data
from sklearn_rnn._identity import texts_of_data
from sklearn_rnn._training.losses import weighted_mean
from sklearn_rnn._utils.state import package_version
from sklearn_rnn._utils.warnings import collected_warnings
from sklearn_rnn.dask._layout import Layout, hashes_of, naming_part


@dataclass
class Recipe:
    """How the data of a part are read.

    Attributes
    ----------
    estimator : BaseRNN
        A plain one, with the number and the names of features.
    known : Known
    reader : TargetReader
    version : str
        Of this package, on the client.
    """

    estimator: Any
    known: Known
    reader: TargetReader
    version: str = field(default_factory=package_version)


class Part:
    """The checked and encoded data of a part, in the memory of a worker.

    Attributes
    ----------
    index : int
    dataset : Dataset or None
        None without any sequence that has weight.
    keys : ndarray of uint64, or None
        Hashes of what tells the sequences of a frame apart.
    warnings : list
    is_empty : bool
        Whether there is no sequence, with or without weight.
    """

    def __init__(
        self,
        index: int,
        dataset: Dataset | None,
        keys: np.ndarray | None = None,
        warnings: list[Any] | None = None,
        is_empty: bool = False,
    ) -> None:
        self.index, self.dataset, self.keys, self.is_empty = index, dataset, keys, is_empty
        self.warnings = [] if warnings is None else warnings
        self._kept: tuple[Any, Any] = (None, None)  # key and value

    def __len__(self) -> int:
        return 0 if self.dataset is None else len(self.dataset)

    def __getstate__(self) -> dict[str, Any]:
        return vars(self) | {"_kept": (None, None)}

    def give_back_memory(self) -> None:
        """Let this process forget what it has read of the files that hold the sequences."""
        if self.dataset is not None:
            self.dataset.sequences.give_back_memory()

    def kept(self, key: Any, make: Callable[[], Any]) -> Any:
        """Return what was made before with the same key, or make it; the last one is kept."""
        kept_key, value = self._kept
        if kept_key != key:
            value = make()
            self._kept = key, value
        return value


@sizeof.register(Part)
def _size_of_part(part: Part) -> int:
    """Tell Dask how much memory a part takes, so that workers spill parts in time."""
    if part.dataset is None:
        return 0
    arrays = (getattr(part.dataset.sequences.of_data, "rows", None), part.dataset.targets, part.dataset.weights)
    return sum(array.nbytes for array in arrays if array is not None)


class Answer(NamedTuple):
    """What a worker returns of a call for a part.

    Attributes
    ----------
    seconds : float
        That the call took.
    worker : str
        Its address.
    result : object
    """

    seconds: float
    worker: str
    result: Any


def call_for_part(part: Part, function: Callable[..., Any], *arguments: Any) -> Answer:
    """Call a function of a part on its worker. What it has read of files is given back.

    Dask counts it as memory, and stops a worker with too much, though the system could take it at any time.
    """
    started = time.perf_counter()
    try:
        result = function(part, *arguments)
    finally:
        part.give_back_memory()
    return Answer(time.perf_counter() - started, distributed.get_worker().address, result)


def prepare(index: int, raw: Any, layout: Layout, recipe: Recipe) -> Part:
    """Read the data of a part."""
    if recipe.version != package_version():
        raise RuntimeError(
            f"A worker has the version {package_version()} of sklearn_rnn, but the client has {recipe.version}: "
            "install the same version on all of them."
        )
    estimator, known, names = recipe.estimator, recipe.known, layout.names
    with collected_warnings() as warnings, naming_part(names, index):
        features = getattr(estimator, "feature_names_in_", None)
        data = layout.read(raw, None if features is None else list(features))
        if data.is_empty:
            return Part(index, None, is_empty=True)
        keys = None if data.keys is None else hashes_of(data.keys)
        X, y, sample_weight = data.X, data.y, data.sample_weight
        _, dataset = read_training_data(
            estimator, X, y, sample_weight, recipe.reader, known=known, is_part=True, names=names
        )
    dataset.sequences.remember_files()
    part = Part(index, dataset if len(dataset) else None, keys, warnings)
    part.give_back_memory()
    return part


class Description(NamedTuple):
    """What the client knows of a part.

    Attributes
    ----------
    n_sequences : int
    lengths, steps : ndarray
        Each number of network steps, and of steps of X, once.
    weight : float
        Of all samples.
    mean : ndarray of shape (n_outputs,), or None
        Of the targets.
    is_empty : bool
    keys : ndarray or None
    warnings : list
    texts : tuple of three str
        See :func:`~sklearn_rnn._identity.texts_of_data`; empty unless they are wanted.
    """

    n_sequences: int
    lengths: np.ndarray
    steps: np.ndarray
    weight: float
    mean: np.ndarray | None
    is_empty: bool
    keys: np.ndarray | None
    warnings: list[Any]
    texts: tuple[str, ...]


def describe(part: Part, known: Known | None) -> Description:
    """Describe a part; with the texts that identify its data, if ``known`` is given."""
    common = (part.is_empty, part.keys, part.warnings)
    dataset = part.dataset
    if dataset is None:
        nothing = np.zeros(0, int)
        return Description(0, nothing, nothing, 0.0, None, *common, ("none",) * 3 if known is not None else ())
    sequences, weights = dataset.sequences, dataset.weights
    return Description(
        len(dataset),
        np.unique(sequences.lengths),
        np.unique(sequences.of_data.lengths),
        float(weights.sum(dtype=np.float64)),
        weighted_mean(dataset.targets, weights),
        *common,
        () if known is None else tuple(texts_of_data(dataset, known)),
    )
