"""scikit-learn's callbacks (1.9 and newer): a fit and its epochs are tasks. Older versions have none."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

try:
    from sklearn.callback import CallbackSupportMixin
except ModuleNotFoundError:

    class CallbackSupportMixin:  # type: ignore[no-redef]
        """Nothing: this scikit-learn has no callbacks."""


Snapshot = Callable[[], dict[str, Any]]


def callbacks_of(estimator: Any, cls: type) -> list[Any]:
    """Return the callbacks of a class that are set on an estimator."""
    return [callback for callback in getattr(estimator, "_skl_callbacks", []) if isinstance(callback, cls)]


class FitTasks:
    """The tasks of one call of ``fit`` or ``partial_fit``: the call, and its epochs or the fit of an inner estimator.

    Without callbacks, or with a scikit-learn that has none, all methods do nothing.

    Parameters
    ----------
    estimator : estimator
        The one that the callbacks were set on.
    name : str
        The method.
    n_subtasks : int
        The most epochs that there will be, or 1 for an inner estimator.
    X, y, sample_weight
        As the user passed them.
    """

    def __init__(
        self, estimator: Any, name: str, n_subtasks: int, X: Any, y: Any = None, sample_weight: Any = None
    ) -> None:
        self._context: Any = None
        self._epoch: Any = None
        if not getattr(estimator, "_skl_callbacks", None):
            return
        metadata = None if sample_weight is None else {"sample_weight": sample_weight}
        self._arguments = {"estimator": estimator, "X": X, "y": y, "metadata": metadata}
        self._context = estimator._init_callback_context(task_name=name, max_subtasks=n_subtasks)
        self._context.call_on_fit_task_begin(**self._arguments)

    def begin_epoch(self) -> None:
        """Begin an epoch, unless it has begun."""
        if self._context is not None and self._epoch is None:
            self._epoch = self._context.subcontext(task_name="epoch")
            self._epoch.call_on_fit_task_begin(**self._arguments)

    def end_epoch(self, snapshot: Snapshot) -> bool:
        """End an epoch; return whether a callback wants training to stop.

        ``snapshot`` returns the attributes of an estimator whose training stopped now. It is called for callbacks that
        want such an estimator.
        """
        if self._context is None:
            return False
        self.begin_epoch()
        epoch, self._epoch = self._epoch, None
        return epoch.call_on_fit_task_end(**self._arguments, reconstruction_attributes=snapshot)

    @contextmanager
    def inner_fit(self, inner: Any) -> Iterator[None]:
        """Make the fit of an inner estimator a task; pass callbacks on to it, if it takes them."""
        if self._context is None or not hasattr(inner, "set_callbacks"):
            yield
            return
        subtask = self._context.subcontext(task_name="inner-fit")
        with subtask.propagate_callback_context(inner):
            subtask.call_on_fit_task_begin(**self._arguments)
            yield
            subtask.call_on_fit_task_end(**self._arguments)

    def end(self) -> None:
        """End the call; the estimator is fitted."""
        if self._context is not None:
            self._context.call_on_fit_task_end(**self._arguments, reconstruction_attributes={})
