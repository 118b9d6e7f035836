"""Model: the parts of a fitted estimator that predictions, streams, inspection and export need."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from sklearn_rnn._data.coding import ClassCoding, PositiveCoding, ValueCoding
from sklearn_rnn._data.schema import InputSchema
from sklearn_rnn._network.links import LINKS, Link
from sklearn_rnn._network.network import RecurrentNetwork
from sklearn_rnn._utils.plain import Named, Object, Value, plain_form, refuse_unless
from sklearn_rnn._utils.warnings import warn_user


@plain_form(
    "model",
    schema=Object("input"),
    network=Object("network"),
    link=Named(LINKS),
    coding=Object("classes", "values", "positive_values"),
    architecture=Value(),
)
@dataclass
class Model:
    """A fitted estimator without its training.

    Attributes
    ----------
    schema : InputSchema
        The accepted form of X.
    network : RecurrentNetwork
    link : Link
        The output layer's activation.
    coding : ClassCoding or ValueCoding
        The meaning of the network's outputs: classes or values.
    architecture : dict
        The estimator's parameters that determine the network. Training continues only with the same values.
    """

    schema: InputSchema
    network: RecurrentNetwork
    link: Link
    coding: ClassCoding | ValueCoding
    architecture: dict[str, Any]

    @classmethod
    def from_plain_fields(cls, values: dict[str, Any], place: str) -> Model:
        """Return the model of a plain form, whose parts go together."""
        model = cls(**values)
        schema, network, coding = model.schema, model.network, model.coding
        schema.check_parts(f"{place}.schema")
        coding.check_parts(f"{place}.coding")
        refuse_unless(network.dtype == schema.dtype, f"{place}.network", f"must have parameters of {schema.dtype}")
        refuse_unless(
            network.n_outputs == coding.n_outputs, f"{place}.network", f"must have {coding.n_outputs} outputs"
        )
        refuse_unless(model.link.name == _link_of(coding), f"{place}.link", f"must be {_link_of(coding)!r}")
        refuse_unless(isinstance(model.architecture, dict), f"{place}.architecture", "must be a dict")
        refuse_unless(not model.is_per_step or schema.patches.size == 1, f"{place}.schema", "must have no patches")
        model._check_inputs(place)
        return model

    def _check_inputs(self, place: str) -> None:
        """Refuse a loaded network that reads other inputs than the schema makes."""
        schema, embedding = self.schema, self.network.embedding
        if embedding is None or schema.categories is None:
            n_inputs = schema.patches.size * schema.step_features
            is_right = embedding is None and schema.categories is None
            is_right &= self.network.layers[0][0].n_features == n_inputs
        else:
            features = [(f.name, f.column, 1 + len(f.codes)) for f in schema.categories.features]
            is_right = [(f.name, f.column, f.n_vectors) for f in embedding.features] == features
            is_right &= (embedding.n_features, embedding.n_steps) == (schema.step_features, schema.patches.size)
        refuse_unless(is_right, f"{place}.network", "must read the features of the schema")

    @property
    def is_per_step(self) -> bool:
        """Whether every step has a prediction (readout "each"), and not every sequence."""
        return self.network.readout == "each"

    def copy(self) -> Model:
        """Return a model with its own copy of the parameters, which is writeable."""
        return replace(self, network=self.network.copy())

    def decode(self, scores: np.ndarray) -> np.ndarray:
        """Return predictions, (n,) or (n, n_outputs), for raw scores (n, n_outputs).

        A label, unlike a value or a probability, does not show that a score is NaN: warn of it.
        """
        if isinstance(self.coding, ClassCoding):
            self._warn_of_nan(scores)
        return self.coding.decode(scores, self.link.predict)

    def _warn_of_nan(self, scores: np.ndarray) -> None:
        is_nan = np.isnan(scores)
        if is_nan.any():
            rows = np.flatnonzero(is_nan.any(axis=1))
            samples = "steps" if self.is_per_step else f"sequences, first of X[{rows[0]}],"
            warn_user(
                f"predict: the scores of {len(rows)} of {len(scores)} {samples} are NaN: their labels mean nothing. "
                "Values of X are too large for the network, or weights_ are not finite. predict_proba shows NaN there."
            )

    def probabilities(self, scores: np.ndarray) -> np.ndarray:
        """Return class probabilities, (n, n_classes), for raw scores (n, n_outputs); only for classifiers."""
        assert isinstance(self.coding, ClassCoding)
        return self.coding.probabilities(scores, self.link.predict)

    def score(self, scores: np.ndarray, targets: np.ndarray, weights: np.ndarray) -> float:
        """Accuracy or R^2 of raw scores against targets, both (n, n_outputs)."""
        return self.coding.score(scores, targets, weights, self.link.predict)

    def in_form_of(self, sequences: Any, values: np.ndarray) -> Any:
        """Return values per sequence unchanged, and values per step in the form of X."""
        return sequences.split(values) if self.is_per_step else values


def _link_of(coding: ClassCoding | ValueCoding) -> str:
    """Return the name of the link that goes with a coding."""
    if isinstance(coding, ClassCoding):
        return "softmax" if coding.n_outputs > 1 and not coding.is_multilabel else "logistic"
    return "exp" if isinstance(coding, PositiveCoding) else "identity"
