"""Front: the transformers of a pipeline before its network, applied to the next steps of sequences."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from sklearn_rnn._data.containers.libraries import from_library
from sklearn_rnn._data.names import compare_names, labels_of, names_of_step
from sklearn_rnn._data.reading import check_finite, naming_argument
from sklearn_rnn._data.schema import InputSchema
from sklearn_rnn._inference.scalers import scaling_of
from sklearn_rnn._network.scaling_of_steps import StepScaling


@dataclass(frozen=True)
class Front:
    """The transformers before a network: some by their own code, then scalers in one pass.

    Attributes
    ----------
    schema : InputSchema
        How the stream reads the steps of the pipeline's X.
    stages : tuple of (str, transformer)
        Transformers that run by their own code, with their names in the pipeline. One that continues from step to step
        has ``start`` and ``continue_from`` (:class:`ContinuedFill`); all others have ``transform``.
    scaling : StepScaling or None
        Scalers of one step of data, after the stages.
    """

    schema: InputSchema
    stages: tuple[tuple[str, Any], ...]
    scaling: StepScaling | None

    def start(self, n_sequences: int) -> dict[str, np.ndarray]:
        """Return the arrays (n_sequences, ...) from which the stages continue, before the first step."""
        return {
            f"{name}.{array_name}": array
            for name, stage in self.stages
            if hasattr(stage, "start")
            for array_name, array in stage.start(n_sequences).items()
        }

    def read_chunk(
        self, X: Any, network: InputSchema, arrays: Mapping[str, np.ndarray], n_sequences: int
    ) -> tuple[Any, dict[str, np.ndarray]]:
        """Transform the next steps of every sequence.

        Parameters
        ----------
        X : array-like or list
            The steps in a form of the pipeline's X.
        network : InputSchema
            How the network reads them.
        arrays : mapping of str to ndarray
            From which the stages continue; not changed.
        n_sequences : int

        Returns
        -------
        sequences : Sequences or MappedSequences
            As ``network.read_chunk`` returns them.
        arrays : dict of str to ndarray
            From which the stages continue after these steps.
        """
        carried: dict[str, np.ndarray] = {}
        if self.stages:
            X, carried = self._run_stages(self.schema.rows_as_steps(X), arrays)
        if self.scaling is None:
            return network.read_chunk(X, n_sequences), carried
        sequences = self._before_scaling(network).read_chunk(X, n_sequences).load(slice(None))
        scaled = replace(sequences, rows=self._scaled(sequences.rows, network), name=sequences.name)
        check_finite(scaled, network.owner, ensure_all_finite=True)
        return scaled, carried

    def read_step(
        self, x: Any, network: InputSchema, arrays: Mapping[str, np.ndarray], n_sequences: int
    ) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Transform the new steps of a network step of every sequence; return them as ``network.read_step`` does.

        See :meth:`read_chunk`.
        """
        carried: dict[str, np.ndarray] = {}
        if self.stages:
            names = names_of_step(x)
            if names is not None and self.schema.feature_names is not None:
                compare_names(names, self.schema.feature_names, network.owner, "x")
            with _naming_step():
                chunk, carried = self._run_stages(self._chunk_of_step(x, n_sequences), arrays)
            x = np.concatenate(list(chunk)).reshape(n_sequences, -1)
        if self.scaling is None:
            return network.read_step(x, n_sequences), carried
        x = self._before_scaling(network).read_step(x, n_sequences)
        scaled = self._scaled(x.reshape(-1, self.scaling.n_inputs), network).reshape(n_sequences, -1)
        is_bad = ~np.isfinite(scaled)
        if is_bad.any():
            row = np.flatnonzero(is_bad.any(axis=1))[0]
            raise ValueError(
                f"x contains a number in sequence {row} that the pipeline's scalers make too large for "
                f"{network.dtype}: {network.owner} does not accept infinity. Impute it, or leave the step out."
            )
        return scaled, carried

    def _run_stages(self, X: Any, arrays: Mapping[str, np.ndarray]) -> tuple[Any, dict[str, np.ndarray]]:
        """Run the stages; return the steps after them, in the form of X, and the arrays to continue from."""
        carried: dict[str, np.ndarray] = {}
        for name, stage in self.stages:
            if hasattr(stage, "start"):
                own = {key.removeprefix(f"{name}."): arrays[key] for key in arrays if key.startswith(f"{name}.")}
                X, continued = stage.continue_from(X, own)
                carried |= {f"{name}.{key}": array for key, array in continued.items()}
            else:
                X = stage.transform(X)
        return X, carried

    def _chunk_of_step(self, x: Any, n_sequences: int) -> Any:
        """Return one step of every sequence as a chunk of one step each."""
        if hasattr(x, "to_frame") and hasattr(x, "index"):  # a row of a frame
            x = x.to_frame().T
        is_frame = labels_of(x) is not None and np.ndim(x) == 2
        if is_frame and not any(hasattr(stage, "start") for _, stage in self.stages):
            self.schema.check_shape_of_step(x, n_sequences)
            return [x]  # to transformers of single steps, one sequence or several are the same
        with naming_argument("x"):
            values = np.asarray(from_library(x, "x"))
            if values.dtype.kind not in "biuf":
                values = np.asarray(x, dtype=object)
        self.schema.check_shape_of_step(values, n_sequences)
        return values.reshape(n_sequences, self.schema.patches.stride, -1)

    def _before_scaling(self, network: InputSchema) -> InputSchema:
        """Return how the scalers read the steps."""
        assert self.scaling is not None
        if not self.stages:
            return self.schema
        return replace(network, step_features=self.scaling.n_inputs, dtype=None, feature_names=None)

    def _scaled(self, rows: np.ndarray, network: InputSchema) -> np.ndarray:
        """Return scaled rows in the network's dtype; too large numbers become infinite."""
        assert self.scaling is not None
        with np.errstate(over="ignore"):
            return self.scaling(rows).astype(network.dtype, copy=False)


@contextmanager
def _naming_step() -> Iterator[None]:
    """Raise errors about X, or its only sequence, in the name of x."""
    try:
        yield
    except (ValueError, TypeError) as error:
        if not re.match(r"X\b", str(error)):
            raise
        raise type(error)(re.sub(r"^X(\[0\])?", "x", str(error))) from error


def front_of(steps: list[tuple[str, Any]], network: InputSchema) -> Front | None:
    """Return the front of the steps of a fitted pipeline before its network; None without any.

    Raises
    ------
    TypeError, NotFittedError
        If a step cannot be applied to the next steps of sequences alone.
    """
    stages, scaling = list(steps), None
    while stages and network.categories is None:
        last = _scaling_of_step(stages[-1][1], network.step_features if scaling is None else scaling.n_inputs, network)
        if last is None:
            break
        scaling = last if scaling is None else last.then(scaling)
        first = stages.pop()[1]
    continued = tuple((name, _continued(name, step)) for name, step in stages)
    if not steps:
        return None
    _refuse_names_after_fill(continued)
    if continued:
        first = continued[0][1]
        n_features = first.n_features_in_
    else:
        assert scaling is not None
        n_features = scaling.n_inputs
    names = None if network.is_table else getattr(first, "feature_names_in_", None)
    schema = replace(network, step_features=n_features, feature_names=names, categories=None, dtype=None)
    return Front(schema, continued, scaling)


def _refuse_names_after_fill(stages: tuple[tuple[str, Any], ...]) -> None:
    """Refuse a transformer of data frames after one that continues, whose results are arrays."""
    places = [k for k, (_, stage) in enumerate(stages) if hasattr(stage, "start")]
    for name, stage in stages[places[0] + 1 :] if places else ():
        if getattr(stage, "feature_names_in_", None) is not None:
            raise TypeError(
                f"pipeline has the step {name!r}, a {type(stage).__name__}, which was fitted on data frames, after "
                f"{stages[places[0]][0]!r}, whose results are arrays in a stream: fit the pipeline on arrays."
            )


def _continued(name: str, step: Any) -> Any:
    """Return what applies a step of a pipeline to the next steps of sequences."""
    check_is_fitted(step)
    if hasattr(step, "__next_steps__"):
        return step.__next_steps__()
    if scaling_of(step) is not None:
        reason = "was fitted on the columns of 2-D X, and scales each step of a sequence in another way"
        remedy = f"Apply it to every step: TimeDistributed({type(step).__name__}(), step_features=...)."
    else:
        reason = "reads whole sequences, or its steps are not known to be independent of each other"
        remedy = (
            "A stream can run TimeDistributed of any transformer of steps, and ForwardFill. If the steps that you pass "
            "to the stream need not go through it, pass the pipeline without it, for example pipeline[1:]."
        )
    raise TypeError(f"pipeline has the step {name!r}, a {type(step).__name__}, which {reason}: no stream. {remedy}")


def _scaling_of_step(step: Any, n_features: int, network: InputSchema) -> StepScaling | None:
    """Return a step of a pipeline as scalers of one step of data with ``n_features`` results; None if it is none."""
    if hasattr(step, "__next_steps__"):
        check_is_fitted(step)
        return scaling_of(step.transformer_) if hasattr(step, "transformer_") else None
    scaling = scaling_of(step) if network.is_table else None
    if scaling is None or len(scaling.columns) % n_features:
        return None
    # The columns of 2-D X are those of all steps. One scaling of a step serves if it is that of every step.
    by_step = scaling.terms.reshape(*scaling.terms.shape[:3], -1, n_features)
    is_one = np.array_equal(scaling.columns, np.arange(scaling.n_inputs)) and (by_step == by_step[..., :1, :]).all()
    return StepScaling(n_features, scaling.columns[:n_features], by_step[..., 0, :].copy()) if is_one else None
