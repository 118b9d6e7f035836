"""``set_output`` for transformers whose results are sequences: data frames for 2-D X alone."""

from __future__ import annotations

import copy

from sklearn.base import TransformerMixin
from sklearn.utils._set_output import _wrap_data_with_container


class SequenceTransformerMixin(TransformerMixin):
    """A transformer whose results scikit-learn does not wrap in data frames: sequences pass on through a pipeline.

    Its global ``transform_output`` would fail on every list. The methods wrap the results of 2-D X themselves
    (``in_container``).
    """

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(auto_wrap_output_keys=None, **kwargs)
        cls._sklearn_auto_wrap_output_keys = {"transform"}  # so that there is a set_output


def refuse_container(transformer, is_table):
    """Raise an error, before any computation, if ``set_output`` asks for data frames and X is not 2-D.

    scikit-learn's global setting does not.
    """
    container = getattr(transformer, "_sklearn_output_config", {}).get("transform", "default")
    is_wrapped = container != "default" and hasattr(transformer, "get_feature_names_out")
    if is_wrapped and not is_table:
        raise ValueError(
            f"X is a 3-D array or a list of sequences, but set_output(transform={container!r}) asks for one data "
            f"frame, which needs 2-D X: call set_output(transform='default') on this {type(transformer).__name__}."
        )


def in_container(transformer, values, is_table, X):
    """Return the values of 2-D X in the container that ``set_output`` or the global setting asks for."""
    return _wrap_data_with_container("transform", values, X, transformer) if is_table else values


def as_fitted_on_sequences(transformer):
    """Return a copy of a transformer that takes sequences of any numbers of steps, whatever X it was fitted on."""
    copied = copy.copy(transformer)
    fitted = vars(copied)
    if fitted["_fitted_on_rows"]:
        fitted |= {"_fitted_on_rows": False, "n_features_in_": transformer.step_features}
        for name in ("feature_names_in_", "_sklearn_output_config"):  # of the columns of 2-D X
            fitted.pop(name, None)
    return copied
