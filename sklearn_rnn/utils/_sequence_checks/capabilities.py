"""Capabilities: what an estimator says that it can do. They decide which checks apply."""

from __future__ import annotations

from sklearn.base import is_classifier, is_regressor
from sklearn.utils.validation import has_fit_parameter

from sklearn_rnn.preprocessing import RecurrentFeatures


def tag_of(estimator, name, default):
    """Return a tag of aeon or sktime; their estimators have ``get_tag``."""
    if not hasattr(estimator, "get_tag"):
        return default
    return estimator.get_tag(name, raise_error=False, tag_value_default=default)


def has_parameter(estimator, name):
    return name in estimator.get_params()


def kind_of(estimator):
    """Return "classifier", "regressor" or "transformer"."""
    if is_of_sktime(estimator):  # scikit-learn's functions refuse them
        kind = tag_of(estimator, "object_type", None)
        return kind if kind in ("classifier", "regressor") else "transformer"
    if is_classifier(estimator):
        return "classifier"
    return "regressor" if is_regressor(estimator) else "transformer"


def is_of_sktime(estimator):
    return type(estimator).__module__.split(".")[0] == "sktime"


def has_containers(estimator):
    """Estimators with tags as in aeon and sktime take the containers of their libraries alone."""
    return not hasattr(estimator, "get_tag")


def has_values_per_step(estimator):
    """Whether ``predict`` or ``transform`` returns values for every step."""
    if kind_of(estimator) == "transformer":
        return not isinstance(estimator, RecurrentFeatures)
    return has_targets_per_step(estimator)


def has_targets_per_step(estimator):
    return getattr(estimator, "readout", None) == "each"


def is_predictor(estimator):
    return kind_of(estimator) != "transformer"


def has_epochs(estimator):
    """Whether a call of ``partial_fit`` is one epoch of ``fit``."""
    return hasattr(estimator, "partial_fit") and has_parameter(estimator, "max_iter")


def has_weights(estimator):
    return has_fit_parameter(estimator, "sample_weight")


def has_exact_weights(estimator):
    """Each repetition of a sequence has its own dropout draw; with small batches, repetitions make more batches."""
    whole_batches = getattr(estimator, "batch_size", "auto") == "auto"
    return has_weights(estimator) and is_predictor(estimator) and whole_batches and not getattr(estimator, "dropout", 0)


def has_stream(estimator):
    """Whether a stream takes the steps of a sequence: bidirectional networks need all, others may read patches."""
    if getattr(estimator, "bidirectional", False) or getattr(estimator, "patch_size", None) not in (None, 1):
        return False
    return hasattr(estimator, "stream")


# What each means stands in the docstring of check_sequence_estimator.
DETECTORS = {
    "ragged": lambda estimator: bool(tag_of(estimator, "capability:unequal_length", True)),
    "multivariate": lambda estimator: bool(tag_of(estimator, "capability:multivariate", True)),
    "short": has_containers,
    "containers": has_containers,
    "dtypes": has_containers,
    "predictor": is_predictor,
    "steps": has_values_per_step,
    "partial_fit": lambda estimator: is_predictor(estimator) and hasattr(estimator, "partial_fit"),
    "epochs": has_epochs,
    "sample_weight": has_weights,
    "exact_weights": has_exact_weights,
    "n_jobs": lambda estimator: is_predictor(estimator) and has_parameter(estimator, "n_jobs"),
    "random_state": lambda estimator: any(name.endswith("random_state") for name in estimator.get_params()),
    "stream": has_stream,
}


def capabilities_of(estimator, declared=None):
    """Return the names of an estimator's capabilities: those that are declared as True, and those found."""
    declared = {} if declared is None else dict(declared)
    unknown = declared.keys() - DETECTORS.keys()
    if unknown:
        raise ValueError(f"capabilities has {sorted(unknown)}, but only these are known: {list(DETECTORS)}.")
    wrong = {name: value for name, value in declared.items() if not isinstance(value, bool)}
    if wrong:
        raise TypeError(f"capabilities has {wrong}: each value is True or False.")
    return {name for name, detect in DETECTORS.items() if (declared[name] if name in declared else detect(estimator))}
