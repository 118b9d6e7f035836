"""How classifiers and regressors read y: check it, learn its coding, weigh its samples."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from sklearn.utils.class_weight import compute_class_weight

from sklearn_rnn._data.coding import ClassCoding, PositiveCoding, ValueCoding
from sklearn_rnn._data.sequences import BaseSequences
from sklearn_rnn._data.targets import check_labels, check_y, known_targets
from sklearn_rnn._data.weights import check_sum


class TargetReader(Protocol):
    """The contract: what an estimator says about its targets.

    Attributes
    ----------
    per_step : bool
        Whether every step has a target, rather than every sequence.
    """

    @property
    def per_step(self) -> bool:
        """See above."""

    def check(self, y: Any, sequences: BaseSequences, dtype: Any, name: str) -> tuple[np.ndarray, np.ndarray | None]:
        """Check y; return the rows of all known targets, and a mask of the steps that have one.

        The mask is None if every sequence or step has a target. ``name`` is the argument, for messages.
        """

    def learn(self, y: np.ndarray, classes: np.ndarray | None, weights: np.ndarray) -> ClassCoding | ValueCoding:
        """Return the coding of checked targets and their weights; ``classes`` are all that there will be, if known."""

    def reweigh(self, weights: np.ndarray, targets: np.ndarray, coding: Any) -> np.ndarray:
        """Return the samples' weights, class weights included."""


@dataclass(frozen=True)
class LabelReader:
    """Class labels.

    Attributes
    ----------
    per_step : bool
    class_weight : dict, "balanced" or None
    """

    per_step: bool
    class_weight: Any

    def check(self, y: Any, sequences: BaseSequences, dtype: Any, name: str) -> tuple[np.ndarray, np.ndarray | None]:
        y = check_y(y, sequences, per_step=self.per_step, numeric=False, name=name)
        y, is_known = known_targets(y, sequences, name) if self.per_step else (y, None)
        return check_labels(y, self.per_step, name), is_known

    def learn(self, y: np.ndarray, classes: np.ndarray | None, weights: np.ndarray) -> ClassCoding:
        return ClassCoding.learn(y, classes)

    def reweigh(self, weights: np.ndarray, targets: np.ndarray, coding: ClassCoding) -> np.ndarray:
        if self.class_weight is None:
            return weights
        if coding.is_multilabel:
            raise ValueError(f"class_weight={self.class_weight!r} does not go with multilabel y: use sample_weight.")
        codes = coding.codes_of(targets)
        if self.class_weight == "balanced":
            class_weights = balanced_class_weights(np.bincount(codes, weights, minlength=len(coding.classes)))
        else:
            class_weights = compute_class_weight(self.class_weight, classes=coding.classes, y=coding.classes)
            if not np.isfinite(class_weights).all() or class_weights.min() < 0:
                raise ValueError(f"class_weight={self.class_weight}: weights must be finite and not negative.")
        with np.errstate(over="ignore"):
            products = weights * class_weights[codes]
        check_sum(products, weights.dtype, f"class_weight={self.class_weight!r}, times sample_weight,")
        return products.astype(weights.dtype, copy=False)


def balanced_class_weights(counts: np.ndarray) -> np.ndarray:
    """Return the weight of each class, given the weighted number of its samples; 0 for absent classes."""
    present = counts > 0
    return np.divide(counts.sum(), present.sum() * counts, out=np.zeros_like(counts), where=present)


@dataclass(frozen=True)
class ValueReader:
    """Real values.

    Attributes
    ----------
    per_step : bool
    loss : str
        The estimator's loss: "poisson" needs values that are not negative.
    normalize : bool
        Whether the values are normalised for training.
    """

    per_step: bool
    loss: str
    normalize: bool

    def check(self, y: Any, sequences: BaseSequences, dtype: Any, name: str) -> tuple[np.ndarray, np.ndarray | None]:
        y = check_y(y, sequences, per_step=self.per_step, numeric=True, dtype=dtype, name=name)
        y, is_known = known_targets(y, sequences, name) if self.per_step else (y, None)
        if self.loss == "poisson" and y.min(initial=0) < 0:
            raise ValueError(f"{name} contains {y.min()}, but loss='poisson' needs targets that are not negative.")
        return y, is_known

    def learn(self, y: np.ndarray, classes: np.ndarray | None, weights: np.ndarray) -> ValueCoding:
        coding = PositiveCoding if self.loss == "poisson" else ValueCoding
        return coding.learn(y, weights, self.normalize)

    def reweigh(self, weights: np.ndarray, targets: np.ndarray, coding: ValueCoding) -> np.ndarray:
        return weights
