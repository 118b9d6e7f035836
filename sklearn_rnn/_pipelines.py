"""The network at the end of a pipeline, for export and inspection."""

from __future__ import annotations

from typing import Any

from sklearn_rnn._base import BaseRNN
from sklearn_rnn._inference.scalers import flat_steps


def network_at_end(estimator: Any, of_regressor: str, otherwise: str = "") -> tuple[list[tuple[str, Any]], BaseRNN]:
    """Return the transformers of a pipeline before its network, each with its name, and the network.

    Parameters
    ----------
    estimator : RNNClassifier, RNNRegressor, or Pipeline that ends in one
    of_regressor, otherwise : str
        For messages: the remedy for a TransformedTargetRegressor, and for an estimator that has no network inside.

    Raises
    ------
    TypeError
    """
    *transformers, (_, network) = flat_steps("", estimator)
    if isinstance(network, BaseRNN):
        return transformers, network
    named = type(estimator).__name__
    if network is not estimator:
        named += f" whose last step is a {type(network).__name__}"
    remedy = otherwise
    if hasattr(network, "best_estimator_"):
        remedy = "Pass its best_estimator_."
    elif hasattr(network, "regressor_"):
        remedy = of_regressor
    needed = "it must be an RNNClassifier or RNNRegressor, or a pipeline that ends in one."
    raise TypeError(f"estimator is a {named}, but {needed} {remedy}".rstrip())
