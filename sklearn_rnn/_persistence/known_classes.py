"""The classes that a file may name, each with its fitted attributes and what these must be.

A file names no module: a name stands for a class here, or the file is refused. So a class of scikit-learn is saved only
if its fitted attributes are plain values, and if they are listed here.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from sklearn_rnn._utils.plain import Field, Items, Object, refuse_unless

# Whether a value of an attribute is right, given all attributes of the object.
Check = Callable[[Any, dict[str, Any]], bool]
N_FEATURES = "n_features_in_"


class Attribute(NamedTuple):
    """What a fitted attribute must be.

    Attributes
    ----------
    is_right : callable
    field : Field or None
        Of a private object of this package: its plain form.
    """

    is_right: Check
    field: Field | None = None


class KnownClass(NamedTuple):
    """A class that a file may name.

    Attributes
    ----------
    module : str
        The public module that it comes from.
    attributes : dict of str to Attribute
        Those that it may have after ``fit``, apart from its parameters.
    """

    module: str
    attributes: dict[str, Attribute]

    def load(self, name: str) -> Any:
        """Return the class."""
        return getattr(importlib.import_module(self.module), name)


# ---- What attributes must be -------------------------------------------------------------------------


def flag() -> Attribute:
    """Return an attribute that is a bool."""
    return Attribute(lambda value, _: isinstance(value, bool))


def whole(low: int = 0, *, or_none: bool = False) -> Attribute:
    """Return an attribute that is an int from ``low`` on."""
    return Attribute(lambda value, _: (value is None and or_none) or (type(value) is int and value >= low))


def text() -> Attribute:
    """Return an attribute that is a string."""
    return Attribute(lambda value, _: isinstance(value, str))


def number() -> Attribute:
    """Return an attribute that is a number or None."""
    return Attribute(lambda value, _: value is None or type(value) in (int, float))


class _DTypeOfX(Field):
    """The dtype of X, as its name: of numbers or of objects, without strings of a fixed length and times."""

    NAMES = ("object", "float16", "float32", "float64", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32",
             "uint64")  # fmt: skip

    def to_plain(self, value: Any) -> str:
        return np.dtype(value).name

    def from_plain(self, value: Any, place: str, thorough: bool) -> np.dtype:
        refuse_unless(isinstance(value, str) and value in self.NAMES, place, "must be the name of a dtype")
        return np.dtype(value)


def array(*shape: str | int | None, kinds: str = "f", or_none: bool = False, or_number: bool = False) -> Attribute:
    """Return an attribute that is an array.

    ``shape`` has a number for each axis, the name of another attribute that is this number, or None for any.
    """

    def is_right(value: Any, others: dict[str, Any]) -> bool:
        if value is None or type(value) in (int, float):
            return or_none if value is None else or_number
        if not isinstance(value, np.ndarray) or value.dtype.kind not in kinds or value.ndim != len(shape):
            return False
        expected = [others.get(n) if isinstance(n, str) else n for n in shape]
        return all(n is None or n == given for n, given in zip(expected, value.shape))

    return Attribute(is_right)


def names() -> Attribute:
    """Return an attribute that is an array of one string for each feature."""

    def is_right(value: Any, others: dict[str, Any]) -> bool:
        is_array = isinstance(value, np.ndarray) and value.dtype == object and value.ndim == 1
        return is_array and all(isinstance(item, str) for item in value) and len(value) == others.get(N_FEATURES)

    return Attribute(is_right)


def places_of_features() -> Attribute:
    """Return an attribute that is an array of places of features."""
    of_places = array(None, kinds="i")

    def is_right(value: Any, others: dict[str, Any]) -> bool:
        n_features = others.get(N_FEATURES, others.get("_n_features", 0))
        is_right = type(n_features) is int and of_places.is_right(value, others)
        return is_right and bool(((value >= 0) & (value < n_features)).all())

    return Attribute(is_right)


def labels() -> Attribute:
    """Return an attribute that is an array of labels."""
    return Attribute(lambda value, _: isinstance(value, np.ndarray) and value.ndim == 1 and len(value) > 0)


def estimator(*allowed: str, or_none: bool = False) -> Attribute:
    """Return an attribute that is an estimator, of one of these classes."""

    def is_right(value: Any, _: dict[str, Any]) -> bool:
        if value is None:
            return or_none
        return hasattr(value, "get_params") and (not allowed or type(value).__name__ in allowed)

    return Attribute(is_right)


def nested() -> Attribute:
    """Return an attribute that is a list, tuple or dict of plain values and estimators."""
    return Attribute(lambda value, _: isinstance(value, (list, tuple, dict)))


def _are_columns(value: Any, others: dict[str, Any]) -> bool:
    """Whether a value selects columns that X has, by places, names, or a mask."""
    n_features, known = others.get(N_FEATURES, 0), others.get("feature_names_in_", ())
    if isinstance(value, np.ndarray):
        value = value.tolist() if value.ndim == 1 else None
    if isinstance(value, slice):
        return all(_are_columns(end, others) for end in (value.start, value.stop) if end not in (None, n_features))
    if isinstance(value, list):
        is_mask = all(isinstance(item, bool) for item in value) and len(value) == n_features
        return is_mask or all(type(item) in (int, str) and _are_columns(item, others) for item in value)
    return value in known if isinstance(value, str) else type(value) is int and -n_features <= value < n_features


def _is_transformer(value: Any, others: dict[str, Any]) -> bool:
    """Whether a value is a transformer with its name and its columns."""
    if not isinstance(value, tuple) or len(value) != 3 or not isinstance(value[0], str):
        return False
    is_step = hasattr(value[1], "transform") or value[1] in ("drop", "passthrough")
    return is_step and _are_columns(value[2], others)


def all_of(is_right: Check, *, of: type = list) -> Attribute:
    """Return an attribute that is a list, tuple or dict whose values are all right."""

    def are_right(value: Any, others: dict[str, Any]) -> bool:
        items = value.values() if isinstance(value, dict) else value
        return isinstance(value, of) and all(is_right(item, others) for item in items)

    return Attribute(are_right)


def _is_span(value: Any, others: dict[str, Any]) -> bool:
    """Whether a value is a slice with two ends."""
    return isinstance(value, slice) and type(value.start) is type(value.stop) is int and value.step is None


def plain(field: Field) -> Attribute:
    """Return an attribute that a file has in a plain form, which checks it: a private object, or a dtype."""
    return Attribute(lambda value, _: True, field)


def linear(*, of_classes: bool) -> dict[str, Attribute]:
    """Return the attributes of a linear model: its weights, of one row for each output, and its intercepts."""

    def has_rows(value: Any, others: dict[str, Any]) -> bool:
        is_array = isinstance(value, np.ndarray) and value.dtype.kind == "f" and value.ndim in (1, 2)
        if not is_array or value.shape[-1] != others.get(N_FEATURES):
            return False
        classes = _classes_of(others)
        n_rows = None if classes is None else 1 if len(classes) == 2 else len(classes)
        return not of_classes or n_rows == (len(value) if value.ndim == 2 else 1)

    def fits_rows(value: Any, others: dict[str, Any]) -> bool:
        rows = others.get("coef_")
        n_rows = len(rows) if isinstance(rows, np.ndarray) and rows.ndim == 2 else 1
        is_array = isinstance(value, np.ndarray) and value.dtype.kind == "f" and value.shape == (n_rows,)
        return type(value) in (int, float) or is_array

    return {"coef_": Attribute(has_rows), "intercept_": Attribute(fits_rows)}


def _classes_of(attributes: dict[str, Any]) -> Any:
    binarizer = attributes.get("_label_binarizer")
    classes = getattr(binarizer, "classes_", None) if binarizer is not None else attributes.get("classes_")
    return classes if isinstance(classes, np.ndarray) else None


# ---- The classes -------------------------------------------------------------------------------------

OURS = "sklearn_rnn.preprocessing"
INPUT = {N_FEATURES: whole(1), "feature_names_in_": names()}
OF_FEATURES = array(N_FEATURES)
OPTIONAL = array(N_FEATURES, or_none=True)
SEEN = {"n_samples_seen_": array(N_FEATURES, kinds="iuf", or_number=True)}
RIDGE = {
    "n_iter_": array(None, kinds="iu", or_none=True),
    "solver_": text(),
    "alpha_": array(None, or_number=True),
    "best_score_": array(None, or_number=True),
    "gcv_mode": Attribute(lambda value, _: value is None or isinstance(value, str)),
    "alpha_per_target": flag(),
    "_store_cv_results": flag(),
}
CLASSES = {"_label_binarizer": estimator("LabelBinarizer"), "classes_": labels()}

KNOWN: dict[str, KnownClass] = {
    # This package. The networks' attributes are those of networks.py.
    "RNNClassifier": KnownClass("sklearn_rnn", {}),
    "RNNRegressor": KnownClass("sklearn_rnn", {}),
    "TimeDistributed": KnownClass(OURS, INPUT | {"transformer_": estimator(), "_fitted_on_rows": flag()}),
    "ForwardFill": KnownClass(
        OURS,
        INPUT
        | {
            "missing_features_": array(None, kinds="i"),
            "_time_place": whole(or_none=True),
            "_fitted_on_rows": flag(),
        },
    ),
    "ToSequences": KnownClass(OURS, INPUT | {"n_steps_": whole(1), "_exogenous": places_of_features()}),
    "RecurrentFeatures": KnownClass(
        OURS,
        INPUT
        | {
            "_schema": plain(Object("input")),
            "_layers": plain(Items(Object("random_layer"))),
            "_scale": plain(Object("input_scale")),
            "_pools": nested(),
            "_n_parts": whole(1),
            "_n_features_out": whole(1),
        },
    ),
    # Scalers
    "StandardScaler": KnownClass(
        "sklearn.preprocessing", INPUT | SEEN | {"mean_": OPTIONAL, "var_": OPTIONAL, "scale_": OPTIONAL}
    ),
    "MinMaxScaler": KnownClass(
        "sklearn.preprocessing",
        INPUT | SEEN | dict.fromkeys(("min_", "scale_", "data_min_", "data_max_", "data_range_"), OF_FEATURES),
    ),
    "MaxAbsScaler": KnownClass(
        "sklearn.preprocessing", INPUT | SEEN | {"max_abs_": OF_FEATURES, "scale_": OF_FEATURES}
    ),
    "RobustScaler": KnownClass("sklearn.preprocessing", INPUT | {"center_": OPTIONAL, "scale_": OPTIONAL}),
    "Normalizer": KnownClass("sklearn.preprocessing", INPUT),
    "FunctionTransformer": KnownClass("sklearn.preprocessing", INPUT),  # with a function it is refused
    "PCA": KnownClass(
        "sklearn.decomposition",
        INPUT
        | {
            "components_": array("n_components_", N_FEATURES),
            "mean_": OF_FEATURES,
            "n_components_": whole(),
            "n_samples_": whole(),
            "noise_variance_": number(),
            "_fit_svd_solver": text(),
        }
        | dict.fromkeys(
            ("explained_variance_", "explained_variance_ratio_", "singular_values_"), array("n_components_")
        ),
    ),
    # Imputers
    "SimpleImputer": KnownClass(
        "sklearn.impute",
        INPUT
        | {
            "statistics_": array(N_FEATURES, kinds="biufO"),  # with text it is an array of objects
            "indicator_": estimator("MissingIndicator", or_none=True),
            "_fit_dtype": plain(_DTypeOfX()),
            "_fill_dtype": plain(_DTypeOfX()),  # the same, from scikit-learn 1.7 on
        },
    ),
    "MissingIndicator": KnownClass(
        "sklearn.impute",
        INPUT | {"features_": places_of_features(), "_n_features": whole(1), "_precomputed": flag()},
    ),
    # Linear models, after RecurrentFeatures
    "Ridge": KnownClass("sklearn.linear_model", INPUT | RIDGE | linear(of_classes=False)),
    "RidgeCV": KnownClass("sklearn.linear_model", INPUT | RIDGE | linear(of_classes=False)),
    "RidgeClassifier": KnownClass("sklearn.linear_model", INPUT | RIDGE | CLASSES | linear(of_classes=True)),
    "RidgeClassifierCV": KnownClass("sklearn.linear_model", INPUT | RIDGE | CLASSES | linear(of_classes=True)),
    "LinearRegression": KnownClass(
        "sklearn.linear_model",
        INPUT | linear(of_classes=False) | {"rank_": whole(), "singular_": array(None, or_none=True)},
    ),
    "LogisticRegression": KnownClass(
        "sklearn.linear_model",
        INPUT | linear(of_classes=True) | {"classes_": labels(), "n_iter_": array(None, kinds="iu")},
    ),
    "LabelBinarizer": KnownClass(
        "sklearn.preprocessing", {"classes_": labels(), "y_type_": text(), "sparse_input_": flag()}
    ),
    # What holds others
    "Pipeline": KnownClass("sklearn.pipeline", {}),
    "ColumnTransformer": KnownClass(
        "sklearn.compose",
        INPUT
        | {
            "sparse_output_": flag(),
            "_n_features": whole(1),
            "_columns": all_of(_are_columns),
            "_transformer_to_input_indices": all_of(_are_columns, of=dict),
            "_remainder": Attribute(_is_transformer),
            "transformers_": all_of(_is_transformer),
            "output_indices_": all_of(_is_span, of=dict),
            "_name_to_fitted_passthrough": all_of(lambda value, _: hasattr(value, "transform"), of=dict),
        },
    ),
}
NETWORKS = ("RNNClassifier", "RNNRegressor")
# Attributes that belong to a session and not to a model: callbacks, and requests of metadata.
NOT_KEPT = ("_skl_callbacks", "_metadata_request", "_parent_callback_ctx")
OUTPUT_CONFIG = "_sklearn_output_config"  # of set_output, as a dict of strings
