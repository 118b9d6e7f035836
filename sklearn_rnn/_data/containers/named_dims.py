"""Arrays whose dimensions have names (xarray), in the order of sequence, time and feature."""

from __future__ import annotations

from typing import Any

import numpy as np

# Names of dimensions, in lower case.
SEQUENCE, TIME, FEATURE = "sequence", "time", "feature"
MEANING = (
    dict.fromkeys(("sequence", "sequences", "case", "cases", "instance", "instances", "sample", "samples"), SEQUENCE)
    | dict.fromkeys(("trial", "trials", "batch", "episode", "episodes"), SEQUENCE)
    | dict.fromkeys(("time", "times", "t", "step", "steps", "timestep", "timesteps", "time_step", "timepoint"), TIME)
    | dict.fromkeys(("timepoints", "time_steps", "time_index"), TIME)
    | dict.fromkeys(("feature", "features", "channel", "channels", "variable", "variables", "sensor"), FEATURE)
    | dict.fromkeys(("sensors", "component", "dim"), FEATURE)
)


def in_order_of_sequences(X: Any, name: str) -> np.ndarray:
    """Return a DataArray of sequences, 3-D or 2-D, as an array with its axes in the usual order."""
    if X.ndim == 3:
        return _in_order(X, (SEQUENCE, TIME, FEATURE), name)
    meanings = _meanings(X)
    if X.ndim == 2 and SEQUENCE in meanings:  # the other one has the columns
        return np.asarray(X if meanings[0] == SEQUENCE else X.T)
    if X.ndim == 2 and TIME in meanings:
        raise ValueError(
            f"{name} has the dims {X.dims}: with two dims, one must be 'sequence'. A recording of one sequence is "
            f"[{name}] or {name}.expand_dims('sequence')."
        )
    return np.asarray(X)


def in_order_of_a_sequence(x: Any, place: str) -> np.ndarray:
    """Return the DataArray of one sequence as an array (n_steps, n_features) or (n_steps,)."""
    return _in_order(x, (TIME, FEATURE), place) if x.ndim == 2 else np.asarray(x)


def labels_of_features(X: Any) -> list[Any] | None:
    """Return the coordinates of the features of a DataArray; None without."""
    for dim, meaning in zip(X.dims, _meanings(X)):
        if meaning == FEATURE and dim in X.coords:
            return X.coords[dim].values.tolist()
    return None


def _meanings(X: Any) -> list[str | None]:
    return [MEANING.get(str(dim).lower()) for dim in X.dims]


def _in_order(X: Any, order: tuple[str, ...], place: str) -> np.ndarray:
    """Transpose X so that its dims have the meanings in ``order``; dims that all have other names stay."""
    meanings = _meanings(X)
    unknown = [axis for axis, meaning in enumerate(meanings) if meaning not in order]
    missing = [meaning for meaning in order if meaning not in meanings]
    if len(unknown) == len(missing) == 1:
        meanings[unknown[0]] = missing[0]
    elif all(axis in unknown or meaning == order[axis] for axis, meaning in enumerate(meanings)):
        return np.asarray(X)  # as far as they are known, they stand in their places
    if sorted(map(str, meanings)) != sorted(order):
        raise ValueError(
            f"{place} has the dims {X.dims}, whose order is not clear: rename them to {order}, or transpose them to "
            "this order and pass .values."
        )
    return np.asarray(X.transpose(*(X.dims[meanings.index(meaning)] for meaning in order)))
