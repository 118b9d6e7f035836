"""Codings of targets: from y to the network's training targets, and from its raw scores to predictions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

# The output layer's activation g, from raw scores (n, n_outputs) to predictions of the same shape.
Activation = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class ClassCoding:
    """Class labels: one-hot for several classes, 0 or 1 for two, indicators for multilabel targets.

    Attributes
    ----------
    classes : ndarray of shape (n_classes,)
        For multilabel targets: the indices of the labels.
    is_multilabel : bool
    """

    classes: np.ndarray
    is_multilabel: bool

    @classmethod
    def learn(cls, y: np.ndarray, classes: np.ndarray | None, name: str = "y") -> ClassCoding:
        """Make the coding of checked labels, (n,) or (n, n_labels); ``classes`` are all classes, if they are known."""
        is_multilabel = y.ndim == 2
        if classes is None:
            classes = np.arange(y.shape[1]) if is_multilabel else np.unique(y)
        if len(classes) < 2 and not is_multilabel:
            raise ValueError(f"{name} has only one class, {classes.tolist()[0]!r}: at least 2 classes are needed.")
        return cls(classes, is_multilabel)

    @property
    def n_outputs(self) -> int:
        """Columns of the targets: 1 for two classes."""
        n_classes = len(self.classes)
        return 1 if n_classes == 2 and not self.is_multilabel else n_classes

    def encode(self, y: np.ndarray, dtype: Any, owner: str, name: str = "y") -> np.ndarray:
        """Return checked labels as targets, (n, n_outputs)."""
        if self.is_multilabel != (y.ndim == 2) or (y.ndim == 2 and y.shape[1] != len(self.classes)):
            wanted = f"{len(self.classes)} labels a sequence" if self.is_multilabel else "one label each"
            raise ValueError(f"{name} has shape {y.shape}, but {owner} was fitted on {wanted}.")
        if self.is_multilabel:
            return y.astype(dtype)
        unseen = np.setdiff1d(y, self.classes)
        if len(unseen):
            raise ValueError(
                f"{name} contains labels that are not in classes_: {unseen.tolist()}; classes_ is "
                f"{self.classes.tolist()}."
            )
        codes = np.searchsorted(self.classes, y)
        return codes[:, None].astype(dtype) if self.n_outputs == 1 else np.eye(self.n_outputs, dtype=dtype)[codes]

    def codes_of(self, targets: np.ndarray) -> np.ndarray:
        """Class index, (n,), of every row of targets or of raw scores; not for multilabel targets."""
        return targets.argmax(axis=1) if self.n_outputs > 1 else (targets[:, 0] > 0).astype(np.intp)

    def decode(self, scores: np.ndarray, activate: Activation) -> np.ndarray:
        """Return labels, (n,) or (n, n_labels), for raw scores (n, n_outputs)."""
        return (scores > 0).astype(int) if self.is_multilabel else self.classes[self.codes_of(scores)]

    def probabilities(self, scores: np.ndarray, activate: Activation) -> np.ndarray:
        """Return probabilities, (n, n_classes), for raw scores (n, n_outputs)."""
        outputs = activate(scores)
        return np.hstack([1 - outputs, outputs]) if self.n_outputs == 1 and not self.is_multilabel else outputs

    def score(self, scores: np.ndarray, targets: np.ndarray, weights: np.ndarray, activate: Activation) -> float:
        """Accuracy of raw scores against targets."""
        if self.is_multilabel:
            hits = ((scores > 0) == (targets > 0)).all(axis=1)
        else:
            hits = self.codes_of(scores) == self.codes_of(targets)
        return float(np.average(hits, weights=weights))

    def strata(self, targets: np.ndarray) -> np.ndarray | None:
        """Class of every row of targets, for a stratified split; None for multilabel targets."""
        return None if self.is_multilabel else self.codes_of(targets)


@dataclass(frozen=True)
class ValueCoding:
    """Real values, which are not coded.

    Attributes
    ----------
    n_outputs : int
    is_flat : bool
        Whether y had no axis for the outputs.
    """

    n_outputs: int
    is_flat: bool

    @classmethod
    def learn(cls, y: np.ndarray) -> ValueCoding:
        """Make the coding of checked values, (n,) or (n, n_outputs)."""
        return cls(1 if y.ndim == 1 else y.shape[1], y.ndim == 1)

    def encode(self, y: np.ndarray, dtype: Any, owner: str, name: str = "y") -> np.ndarray:
        """Return checked values as targets, (n, n_outputs)."""
        n_outputs = 1 if y.ndim == 1 else y.shape[1]
        if n_outputs != self.n_outputs:
            raise ValueError(f"{name} has {n_outputs} outputs, but {owner} was fitted on {self.n_outputs}.")
        return y.astype(dtype, copy=False).reshape(-1, n_outputs)

    def decode(self, scores: np.ndarray, activate: Activation) -> np.ndarray:
        """Return values, (n,) or (n, n_outputs), for raw scores (n, n_outputs)."""
        outputs = activate(scores)
        return outputs.ravel() if self.is_flat else outputs

    def score(self, scores: np.ndarray, targets: np.ndarray, weights: np.ndarray, activate: Activation) -> float:
        """R^2 of raw scores against targets."""
        from sklearn.metrics import r2_score  # not at the top: this import takes longer than that of the whole package

        return r2_score(targets, activate(scores), sample_weight=weights)

    def strata(self, targets: np.ndarray) -> None:
        """None: values have no classes for a stratified split."""
        return
