"""The order of pandas targets and weights, compared with that of a frame with an index (instance, time)."""

from __future__ import annotations

from typing import Any

from sklearn_rnn._data.containers import has_sequences, plain_label


def check_alignment(X: Any, values: Any, name: str, X_name: str = "X") -> None:
    """Refuse targets or weights whose index has the instances, or the steps, of X in another order.

    Values are read by position. Their index is compared only if it may have the labels of X: an index of rows 0, 1, …,
    or one without any label of X, is accepted.

    Parameters
    ----------
    X : object
        Sequences. All but pandas data with an index (instance, time) are ignored.
    values : object
        Targets or weights of sequences or of steps. All but pandas data are ignored.
    name, X_name : str
        The arguments, for messages.

    Raises
    ------
    ValueError
    """
    index: Any = getattr(X, "index", None)
    given: Any = getattr(values, "index", None)
    n_levels = getattr(index, "nlevels", 1)
    if n_levels == 1 or not hasattr(given, "nlevels") or has_sequences(X.iloc[:1].to_numpy().reshape(-1)):
        return
    if given.nlevels == n_levels and len(given) == len(index):
        _check_steps(index, given, name, X_name)
    elif n_levels - 1 <= given.nlevels <= n_levels:
        _check_instances(index.droplevel(-1).unique(), given, name, X_name)


def _check_steps(index: Any, given: Any, name: str, X_name: str) -> None:
    """Refuse an index of steps that differs from that of X."""
    if given.equals(index) or given.tolist() == index.tolist():
        return
    i = _first_difference(index, given)
    raise ValueError(
        f"{name} has another index than {X_name}: row {i} is of {plain_label(given[i])!r}, but that of {X_name} is of "
        f"{plain_label(index[i])!r}. "
        f"Pass {name}.loc[{X_name}.index] or, if the rows are in the same order, {name}.set_axis({X_name}.index)."
    )


def _check_instances(instances: Any, given: Any, name: str, X_name: str) -> None:
    """Refuse an index of instances that has those of X in another order, or only some of them."""
    by_instance = name
    if given.nlevels > instances.nlevels:  # the index of one step of each instance
        given, by_instance = given.droplevel(-1), f"{name}.droplevel(-1)"
    labels = given.tolist()
    if len(labels) != len(instances) or labels == instances.tolist():
        return
    unknown = set(labels) - set(instances)
    if len(unknown) == len(set(labels)) or (unknown and labels == list(range(len(labels)))):
        return
    i = _first_difference(instances, given)
    raise ValueError(
        f"{name} has the instances in another order than {X_name}: entry {i} is of {plain_label(given[i])!r}, but "
        f"sequence {i} of {X_name} is of {plain_label(instances[i])!r}. Pass "
        f"{by_instance}.loc[{X_name}.index.droplevel(-1).unique()] or, if the entries are in the order of the "
        f"sequences, {name}.to_numpy()."
    )


def _first_difference(index: Any, given: Any) -> int:
    return next((i for i, (label, other) in enumerate(zip(index, given)) if label != other), 0)
