"""The parameters of the Dask estimators: their signatures, and what does not go with parts on workers."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from numbers import Integral
from typing import Any

from sklearn.utils._param_validation import Interval, StrOptions

from sklearn_rnn._documentation import document_rnn

CONSTRAINTS: dict[str, Any] = {
    "client": "no_validation",  # client_of says more
    "local_updates": [Interval(Integral, 1, None, closed="left"), StrOptions({"epoch"}), None],
    "by": [str, list, tuple, None],
    "order": [str, list, tuple, None],
}

DOCUMENTATION = """\
client : distributed.Client or None, default=None
    The client of the cluster; None: the current one. Pickles leave it out.
local_updates : int, "epoch" or None, default=None
    None: each update has a share of every part, and is that of one batch of ``batch_size`` sequences. An int or
    "epoch": each part trains by itself for so many updates, or an epoch, with batches of its own; then weights and
    the solver's averages are averaged. The workers wait for each other less often.
by : str, list of str or None, default=None
    Columns of a data frame that tell its sequences apart.
order : str, list of str or None, default=None
    Columns of a data frame that order the steps of a sequence; None: the order of the rows.
"""


def init_of(plain: type) -> Callable[..., None]:
    """Return an ``__init__`` with the parameters of a plain estimator, and those of CONSTRAINTS, which are None."""
    own = [inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None) for name in CONSTRAINTS]
    of_plain = inspect.signature(plain.__init__)  # type: ignore[misc]
    signature = of_plain.replace(parameters=[*of_plain.parameters.values(), *own])

    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:  # noqa: N807
        bound = signature.bind(self, *args, **kwargs)
        bound.apply_defaults()
        self._set_parameters(bound.arguments)

    __init__.__signature__ = signature  # type: ignore[attr-defined]
    return __init__


def document_dask_rnn(cls: type) -> type:
    """Fill ``{of_cluster}`` of a class's docstring, and what :func:`~sklearn_rnn._documentation.document_rnn` fills."""
    if cls.__doc__ is not None:  # it is under python -OO
        cls.__doc__ = inspect.cleandoc(cls.__doc__).replace("{of_cluster}", DOCUMENTATION.strip())
    return document_rnn(cls)


def check_dask_settings(estimator: Any) -> None:
    """Refuse parameters that do not go with parts on workers."""
    for name, is_refused, reason in _refusals(estimator):
        if is_refused:
            raise ValueError(f"{name}={getattr(estimator, name)!r} does not go with {type(estimator).__name__}{reason}")


def _refusals(estimator: Any) -> Iterator[tuple[str, bool, str]]:
    """Yield a parameter, whether its value is refused, and the reason."""
    yield "solver", estimator.solver == "lbfgs", ", which trains batch by batch: set solver='adam'."
    yield "stateful", bool(estimator.stateful), ", whose parts are whole sequences: set stateful=False."
    yield (
        "truncation",
        estimator.truncation == "auto",
        ", because it would measure gradients of all data at once: set truncation to a number of steps.",
    )
    yield (
        "truncation",
        estimator.truncation is not None and estimator.readout == "each" and estimator.local_updates is None,
        " and readout='each', which updates at every window, so that each window would wait for all workers: set "
        "local_updates, such as local_updates=10, or truncation=None.",
    )
    yield (
        "scoring",
        estimator.scoring not in (None, "loss"),
        ", because it cannot be added up over parts: set scoring=None or scoring='loss'.",
    )
