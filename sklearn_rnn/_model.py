"""Model: the parts of a fitted estimator that predictions, streams, inspection and export need."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from sklearn_rnn._data.coding import ClassCoding, ValueCoding
from sklearn_rnn._data.schema import InputSchema
from sklearn_rnn._network.links import Link
from sklearn_rnn._network.network import RecurrentNetwork
from sklearn_rnn._utils.warnings import warn_user


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
