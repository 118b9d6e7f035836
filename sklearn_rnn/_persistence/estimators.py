"""Estimators in the header: the name of a class, its parameters, and its fitted attributes."""

from __future__ import annotations

import inspect
from typing import Any

import sklearn

from sklearn_rnn._persistence.errors import ModelFileError, check
from sklearn_rnn._persistence.known_classes import KNOWN, NETWORKS, NOT_KEPT, OUTPUT_CONFIG, Attribute
from sklearn_rnn._persistence.networks import fitted_parts, restore_fitted
from sklearn_rnn._persistence.values import Decoder, Encoder

CONTAINERS = {"default", "pandas", "polars"}


class EstimatorWriter:
    """Turns estimators into JSON and arrays.

    Parameters
    ----------
    with_training : bool
        Whether networks keep what training continues from.
    """

    def __init__(self, with_training: bool) -> None:
        self._with_training = with_training
        self._encoder = Encoder(self.encode)

    @property
    def arrays(self) -> dict[str, Any]:
        """The arrays so far, by name."""
        return self._encoder.arrays

    def encode(self, estimator: Any, place: str) -> dict[str, Any]:
        """Return JSON for an estimator."""
        name = type(estimator).__name__
        known = KNOWN.get(name)
        if known is None or type(estimator) is not known.load(name):
            raise TypeError(
                f"{place} is of the class {type(estimator).__module__}.{name}, which files of sklearn_rnn.save cannot "
                f"hold. They hold {', '.join(KNOWN)}. Save the other steps, or use joblib.dump or skops.io.dump."
            )
        parameters = estimator.get_params(deep=False)
        attributes = {key: value for key, value in vars(estimator).items() if key not in parameters}
        config = attributes.pop(OUTPUT_CONFIG, {})
        for key in NOT_KEPT:
            attributes.pop(key, None)
        tree: dict[str, Any] = {"class": name} | {
            group: self._encode_all(values, place) for group, values in _in_groups(type(estimator), parameters).items()
        }
        if config:
            tree["output"] = self._encoder.encode(config, f"{place}.set_output")
        if name in NETWORKS:
            attributes = fitted_parts(estimator, attributes, self._with_training)
        else:
            attributes = {key: _to_plain(known.attributes, key, value, place) for key, value in attributes.items()}
        tree["fitted"] = self._encode_all(attributes, place)
        return tree

    def _encode_all(self, values: dict[str, Any], place: str) -> dict[str, Any]:
        return {key: self._encoder.encode(value, f"{place}.{key}") for key, value in values.items()}


def _in_groups(cls: type, parameters: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the parameters that were chosen, and those with the default.

    A version that does not know one of the latter can leave it out. Those of scikit-learn are not kept: an older or
    newer version often refuses the default of another one, such as "deprecated", and has its own.
    """
    signature = inspect.signature(cls).parameters
    are_default = {name: _is(value, signature[name].default) for name, value in parameters.items()}
    chosen = {name: value for name, value in parameters.items() if not are_default[name]}
    is_ours = cls.__module__.startswith("sklearn_rnn")
    rest = {name: value for name, value in parameters.items() if are_default[name] and is_ours}
    return {"parameters": chosen, "defaults": rest}


def _is(value: Any, default: Any) -> bool:
    return value is default or (type(value) is type(default) and not hasattr(value, "shape") and bool(value == default))


def _to_plain(attributes: dict[str, Attribute], key: str, value: Any, place: str) -> Any:
    if key not in attributes:
        raise TypeError(
            f"{place} has the attribute {key!r}, which files of sklearn_rnn.save do not know (scikit-learn "
            f"{sklearn.__version__}): delete it if it is yours, or use joblib.dump."
        )
    field = attributes[key].field
    return value if field is None else field.to_plain(value)


def decode_estimator(tree: Any, place: str, decoder: Decoder) -> Any:
    """Return the estimator of JSON."""
    check(isinstance(tree, dict), f"{place} is no estimator.")
    names = {"class", "parameters", "defaults", "fitted"}
    check(names <= tree.keys() <= names | {"output"}, f"{place} must have a class, parameters and fitted attributes.")
    name = tree["class"]
    check(isinstance(name, str) and name in KNOWN, f"{place} is of the unknown class {str(name)[:60]!r}.")
    place = f"{place}.{name}" if place else name
    defaults = _decode_dict(tree["defaults"], f"{place}.defaults", decoder)
    parameters = _decode_dict(tree["parameters"], f"{place}.parameters", decoder)
    fitted = _decode_dict(tree["fitted"], place, decoder)
    estimator = _make(name, parameters, defaults, place)
    try:
        if name in NETWORKS:
            restore_fitted(estimator, fitted, place)
        else:
            _restore_attributes(estimator, KNOWN[name].attributes, fitted, place)
        if "output" in tree:
            _set_output(estimator, decoder.decode(tree["output"], place), place)
    except ModelFileError:
        raise
    except ValueError as error:
        raise ModelFileError(str(error)) from error
    return estimator


def _decode_dict(tree: Any, place: str, decoder: Decoder) -> dict[str, Any]:
    value = decoder.decode(tree, place)
    check(isinstance(value, dict) and all(isinstance(key, str) for key in value), f"{place} must be named values.")
    return value


def _make(name: str, parameters: dict[str, Any], defaults: dict[str, Any], place: str) -> Any:
    """Return an estimator with these parameters, which are checked as ``fit`` checks them.

    Of the ``defaults``, which had the default when they were saved, those are left out that this version does not know.
    """
    cls = KNOWN[name].load(name)
    known = inspect.signature(cls).parameters
    try:
        estimator = cls(**{key: value for key, value in defaults.items() if key in known} | parameters)
        estimator._validate_params()
    except (ValueError, TypeError) as error:
        raise ModelFileError(f"{place}: {error}") from error
    if name == "Pipeline":
        _check_steps(estimator, place)
    return estimator


def _check_steps(pipeline: Any, place: str) -> None:
    """Refuse a pipeline whose steps are no transformers with a name of their own, and an estimator at the end."""
    steps = pipeline.steps
    are_pairs = all(isinstance(step, tuple) and len(step) == 2 and isinstance(step[0], str) for step in steps)
    check(are_pairs and len(steps) > 0, f"{place}.steps must be pairs of names and estimators.")
    names = [name for name, _ in steps]
    check(len(set(names)) == len(names) and not any("__" in n for n in names), f"{place}.steps must have names.")
    for name, step in steps:
        is_right = step in (None, "passthrough") if isinstance(step, (str, type(None))) else hasattr(step, "get_params")
        is_right &= step is steps[-1][1] or isinstance(step, (str, type(None))) or hasattr(step, "transform")
        check(is_right, f"{place}.steps has {name[:60]!r}, which is no step at its place.")


def _restore_attributes(estimator: Any, attributes: dict[str, Attribute], fitted: dict[str, Any], place: str) -> None:
    for key, value in fitted.items():
        check(key in attributes, f"{place} has the attribute {key[:60]!r}, which this version does not know.")
        is_right, field = attributes[key]
        if field is not None:
            fitted[key] = field.from_plain(value, f"{place}.{key}", True)
        check(is_right(value, fitted), f"{place}.{key} is not what it must be.")
    if "_label_binarizer" in fitted:  # scikit-learn 1.6 has no attribute classes_ besides, and 1.9 needs it
        fitted["classes_"] = fitted["_label_binarizer"].classes_
    if "_fit_dtype" in fitted:  # of an imputer: scikit-learn 1.6 has no _fill_dtype besides, and 1.9 needs it
        fitted["_fill_dtype"] = fitted["_fit_dtype"]
    vars(estimator).update(fitted)
    if fitted and hasattr(estimator, "__check_restored__"):  # what must go together, and with the parameters
        estimator.__check_restored__(fitted, place)


def _set_output(estimator: Any, config: Any, place: str) -> None:
    is_right = isinstance(config, dict) and config.keys() <= {"transform"}
    is_right = is_right and all(isinstance(name, str) and name in CONTAINERS for name in config.values())
    check(is_right, f"{place} has an output of set_output that is none of {', '.join(sorted(CONTAINERS))}.")
    vars(estimator)[OUTPUT_CONFIG] = config
