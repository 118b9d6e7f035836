"""Fitted networks in files: their attributes as plain values, and back."""

from __future__ import annotations

from typing import Any

import numpy as np

from sklearn_rnn._base import BaseRNN, fitted_twin
from sklearn_rnn._training.session import ClosedSession
from sklearn_rnn._utils.plain import Labels, Number, Object, Optional, Whole, check_names, refuse_unless

# What a file keeps of a fitted network: all other fitted attributes follow from these.
FITTED = {
    "model": Object("model"),
    "session": Object("session", "closed_session"),
    "n_features_in_": Whole(1),
    "feature_names_in_": Optional(Labels(of_strings=True)),
    "best_loss_": Optional(Number(may_be_nan=True)),
    "best_validation_score_": Optional(Number(may_be_nan=True)),
}


def fitted_parts(estimator: Any, attributes: dict[str, Any], with_training: bool) -> dict[str, Any]:
    """Return the plain values that a file keeps of an estimator with these attributes; none if it is not fitted."""
    if "_model" not in attributes:
        _refuse_unknown(attributes, set())
        return {}
    model, session = attributes["_model"], attributes["_session"]
    if not np.isfinite(model.network.parameters.vector).all():
        raise ValueError("estimator has weights that are NaN or infinite: its predictions mean nothing. Fit it again.")
    if not with_training:
        session = ClosedSession(session.history, session.truncation)
    twin = fitted_twin(estimator, model, session)
    _refuse_unknown(attributes, {*vars(twin), "n_features_in_", "feature_names_in_"})
    values = attributes | {"model": model, "session": session}
    return {name: field.to_plain(values[name]) for name, field in FITTED.items() if name in values}


def _refuse_unknown(attributes: dict[str, Any], known: set[str]) -> None:
    unknown = attributes.keys() - known
    if unknown:
        raise TypeError(
            f"estimator has the attribute {min(unknown)!r}, which is none of {BaseRNN.__name__}: files do not hold it. "
            "Delete it, or use joblib.dump."
        )


def restore_fitted(estimator: Any, parts: dict[str, Any], place: str) -> None:
    """Make an estimator the fitted one of which a file keeps these parts; none: it is not fitted.

    Raises
    ------
    ValueError
        If anything is missing, or wrong. The message begins with its place.
    """
    if not parts:
        return
    parts = {"feature_names_in_": None} | parts
    check_names(parts, set(FITTED), place)
    values = {name: field.from_plain(parts[name], f"{place}.{name}", True) for name, field in FITTED.items()}
    model, session = values.pop("model"), values.pop("session")
    session.check_fits(model.network, f"{place}.session")
    names, n_features, n_of_step = values["feature_names_in_"], values["n_features_in_"], model.schema.step_features
    is_right = n_features % n_of_step == 0 if model.schema.is_table else n_features == n_of_step
    refuse_unless(is_right, f"{place}.n_features_in_", f"is {n_features}, but a step has {n_of_step} features")
    is_right = names is None or len(names) == len(set(names.tolist())) == n_features
    refuse_unless(is_right, f"{place}.feature_names_in_", "must be a name of its own for each feature")
    if names is None:
        values.pop("feature_names_in_")
    restored = fitted_twin(estimator, model, session)
    vars(restored).update(values)
    vars(estimator).update(vars(restored))
