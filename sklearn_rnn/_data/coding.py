"""Codings of targets: from y to the network's training targets, and from its raw scores to predictions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from sklearn_rnn._data.moments import Moments
from sklearn_rnn._utils.plain import Array, Flag, Labels, plain_form, refuse_unless

# The output layer's activation g, from raw scores (n, n_outputs) to predictions of the same shape.
Activation = Callable[[np.ndarray], np.ndarray]


@plain_form("classes", classes=Labels(), is_multilabel=Flag())
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
    is_provisional = False  # all classes are known from the first call on

    @classmethod
    def learn(cls, y: np.ndarray, classes: np.ndarray | None, name: str = "y") -> ClassCoding:
        """Make the coding of checked labels, (n,) or (n, n_labels); ``classes`` are all classes, if they are known."""
        is_multilabel = y.ndim == 2
        if classes is None:
            classes = np.arange(y.shape[1]) if is_multilabel else np.unique(y)
        if len(classes) < 2 and not is_multilabel:
            raise ValueError(f"{name} has only one class, {plain_labels(classes)[0]!r}: at least 2 classes are needed.")
        return cls(classes, is_multilabel)

    def check_parts(self, place: str) -> None:
        """Refuse loaded classes that are no sorted, different labels."""
        if self.is_multilabel:
            is_right = np.array_equal(self.classes, np.arange(len(self.classes))) and len(self.classes) > 0
        else:
            try:
                is_right = len(self.classes) > 1 and bool((self.classes[1:] > self.classes[:-1]).all())
            except TypeError:  # labels of several types, which have no order
                is_right = False
        refuse_unless(is_right, f"{place}.classes", "must be two or more labels in their order")

    @property
    def n_outputs(self) -> int:
        """Columns of the targets: 1 for two classes."""
        n_classes = len(self.classes)
        return 1 if n_classes == 2 and not self.is_multilabel else n_classes

    def check_outputs(self, y: np.ndarray, owner: str, name: str = "y") -> None:
        """Refuse checked labels that are multilabel where those of the training were not, and the other way round."""
        if self.is_multilabel != (y.ndim == 2) or (y.ndim == 2 and y.shape[1] != len(self.classes)):
            wanted = f"{len(self.classes)} labels a sequence" if self.is_multilabel else "one label each"
            raise ValueError(f"{name} has shape {y.shape}, but {owner} was fitted on {wanted}.")

    def encode(self, y: np.ndarray, dtype: Any, owner: str, name: str = "y") -> np.ndarray:
        """Return checked labels as targets, (n, n_outputs)."""
        self.check_outputs(y, owner, name)
        if self.is_multilabel:
            return y.astype(dtype)
        unseen = np.setdiff1d(y, self.classes)
        if len(unseen):
            raise ValueError(
                f"{name} contains labels that are not in classes_: {plain_labels(unseen)}; classes_ is "
                f"{plain_labels(self.classes)}."
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

    def values_of(self, targets: np.ndarray) -> np.ndarray:
        """Return the labels, (n,) or (n, n_labels), that targets, (n, n_outputs), stand for."""
        return self.decode(targets, lambda outputs: outputs)

    def score(self, scores: np.ndarray, targets: np.ndarray, weights: np.ndarray, activate: Activation) -> float:
        """Accuracy of raw scores against targets."""
        return float(np.average(self.hits(scores, targets), weights=weights))

    def hits(self, scores: np.ndarray, targets: np.ndarray) -> np.ndarray:
        """Whether the class, or all labels, of each row of raw scores are those of targets, (n,)."""
        if self.is_multilabel:
            return ((scores > 0) == (targets > 0)).all(axis=1)
        return self.codes_of(scores) == self.codes_of(targets)

    def strata(self, targets: np.ndarray) -> np.ndarray | None:
        """Class of every row of targets, for a stratified split; None for multilabel targets."""
        return None if self.is_multilabel else self.codes_of(targets)


def plain_labels(labels: np.ndarray) -> list[Any]:
    """Return labels as Python's own objects, also those of an object array: a message shows 'a', not np.str_('a')."""
    return [label.item() if isinstance(label, np.generic) else label for label in labels.tolist()]


VALUES = {"mean": Array(1), "scale": Array(1), "is_flat": Flag(), "is_normalized": Flag(), "is_provisional": Flag()}


@plain_form("values", **VALUES)
@dataclass(frozen=True)
class ValueCoding:
    """Real values y = mean + scale * score. Targets are (y - mean) / scale.

    Attributes
    ----------
    mean, scale : ndarray of shape (n_outputs,), float64
        Zeros and ones for values that are not normalised.
    is_flat : bool
        Whether y had no axis for the outputs.
    is_normalized : bool
    is_provisional : bool, default=False
        Whether all values were without weight so far. Mean and scale are then learned from the next ones.
    """

    mean: np.ndarray
    scale: np.ndarray
    is_flat: bool
    is_normalized: bool
    is_provisional: bool = False
    _units_of: dict[str, tuple[np.ndarray, np.ndarray]] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        # Scale and mean by dtype: a conversion at each step of a stream takes as long as the step.
        with np.errstate(over="ignore"):  # in float32, of values that only float64 holds
            units = {np.dtype(t).char: (self.scale.astype(t), self.mean.astype(t)) for t in (np.float32, np.float64)}
        object.__setattr__(self, "_units_of", units)

    @classmethod
    def learn(cls, y: np.ndarray, weights: np.ndarray, normalize: bool) -> ValueCoding:
        """Make the coding of checked values, (n,) or (n, n_outputs), with weights, (n,)."""
        is_flat = y.ndim == 1
        y = y[:, None] if is_flat else y
        statistics = ValueStatistics(y.shape[1])
        if normalize:
            statistics.add(y, weights)
        return cls.of_statistics(statistics, is_flat, normalize)

    @classmethod
    def of_statistics(cls, statistics: ValueStatistics, is_flat: bool, normalize: bool) -> ValueCoding:
        """Make the coding of values with these statistics, which nothing is read of without ``normalize``."""
        mean, scale = np.zeros(statistics.n_outputs), np.ones(statistics.n_outputs)
        if normalize and statistics.has_weight:
            mean, scale = cls._mean_and_scale(*statistics.mean_and_spread())
        return cls(mean, scale, is_flat, normalize, is_provisional=normalize and not statistics.has_weight)

    def check_parts(self, place: str) -> None:
        """Refuse a loaded scale that is none."""
        is_right = self.mean.shape == self.scale.shape and self.mean.dtype == self.scale.dtype == np.float64
        refuse_unless(is_right and len(self.mean) > 0, f"{place}.mean", "must be of the shape of scale, and of float64")
        refuse_unless(not (self.scale < 0).any(), f"{place}.scale", "must not be negative")

    @staticmethod
    def _mean_and_scale(mean: np.ndarray, spread: np.ndarray, is_constant: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return mean and scale for statistics of the values."""
        # The rounding errors of large constants have a spread above 1. They must not become large targets.
        return mean, np.where(is_constant, np.maximum(spread, 1.0), spread)

    @property
    def n_outputs(self) -> int:
        """Columns of the targets."""
        return len(self.mean)

    def check_outputs(self, y: np.ndarray, owner: str, name: str = "y") -> None:
        """Refuse checked values with another number of outputs than those of the training."""
        n_outputs = 1 if y.ndim == 1 else y.shape[1]
        if n_outputs != self.n_outputs:
            raise ValueError(f"{name} has {n_outputs} outputs, but {owner} was fitted on {self.n_outputs}.")

    def encode(self, y: np.ndarray, dtype: Any, owner: str, name: str = "y") -> np.ndarray:
        """Return checked values as targets, (n, n_outputs)."""
        self.check_outputs(y, owner, name)
        y = y.reshape(-1, self.n_outputs)
        if not self.is_normalized:
            return y.astype(dtype, copy=False)
        with np.errstate(over="ignore"):
            targets = self._normalized(y).astype(dtype, copy=False)
        if not np.isfinite(targets).all():
            row, output = np.argwhere(~np.isfinite(targets))[0]
            raise ValueError(
                f"{name} contains {y[row, output]}, which is too far from the targets of the first training for "
                f"{dtype}: target_mean_ is {self.mean[output]:.3g} and target_scale_ {self.scale[output]:.3g}. Correct "
                "it, or call fit with warm_start=False."
            )
        return targets

    def _normalized(self, y: np.ndarray) -> np.ndarray:
        return (y - self.mean) / self.scale

    def decode(self, scores: np.ndarray, activate: Activation) -> np.ndarray:
        """Return values, (n,) or (n, n_outputs), for raw scores (n, n_outputs)."""
        if self.is_normalized:
            scale, mean = self.units_of(scores.dtype)
            scores = scores * scale
            scores += mean
        outputs = activate(scores)
        return outputs.ravel() if self.is_flat else outputs

    def units_of(self, dtype: np.dtype) -> tuple[np.ndarray, np.ndarray]:
        """Return scale and mean in a floating point type."""
        return self._units_of[dtype.char]

    def values_of(self, targets: np.ndarray) -> np.ndarray:
        """Return the values, (n,) or (n, n_outputs), that targets, (n, n_outputs), stand for."""
        values = self._in_units(targets)
        return values.ravel() if self.is_flat else values

    def _in_units(self, targets: np.ndarray) -> np.ndarray:
        return targets * self.scale + self.mean

    def score(self, scores: np.ndarray, targets: np.ndarray, weights: np.ndarray, activate: Activation) -> float:
        """R^2 of raw scores against targets. It is the same in all units."""
        from sklearn.metrics import r2_score  # not at the top: this import takes longer than that of the whole package

        return r2_score(targets, self.predicted_targets(scores, activate), sample_weight=weights)

    def predicted_targets(self, scores: np.ndarray, activate: Activation) -> np.ndarray:
        """Return the targets, (n, n_outputs), that raw scores predict."""
        return activate(scores)

    def strata(self, targets: np.ndarray) -> None:
        """None: values have no classes for a stratified split."""
        return


@plain_form("positive_values", **VALUES)
@dataclass(frozen=True)
class PositiveCoding(ValueCoding):
    """Values that are not negative, y = exp(mean + scale * score), for the log link. Targets are y / exp(mean).

    ``mean`` is the logarithm of the values' mean. ``scale`` is the spread that log y has if y is log-normal with the
    mean and the variance of the values: about their coefficient of variation where this is small. So scores have a
    spread of about 1, however little the values vary. A scale of the values alone does not achieve this.
    """

    @staticmethod
    def _mean_and_scale(mean: np.ndarray, spread: np.ndarray, is_constant: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        variation = np.divide(spread, mean, out=np.ones_like(mean), where=~is_constant)
        log_mean = np.log(mean, out=np.zeros_like(mean), where=mean > 0)
        return log_mean, np.where(is_constant, 1.0, np.sqrt(np.log1p(np.square(variation))))

    def _normalized(self, y: np.ndarray) -> np.ndarray:
        return y / np.exp(self.mean)

    def _in_units(self, targets: np.ndarray) -> np.ndarray:
        return targets * np.exp(self.mean)

    def predicted_targets(self, scores: np.ndarray, activate: Activation) -> np.ndarray:
        return activate(scores * self.scale)


class ValueStatistics:
    """Mean and spread of values, which may come in parts.

    Parameters
    ----------
    n_outputs : int

    Attributes
    ----------
    has_weight : bool
        Whether any value had a weight above 0.
    """

    def __init__(self, n_outputs: int) -> None:
        self.n_outputs, self.has_weight = n_outputs, False
        self._exponents, self._moments = np.zeros(n_outputs, np.int32), Moments(n_outputs)

    def add(self, y: np.ndarray, weights: np.ndarray) -> None:
        """Count values, (n, n_outputs), with weights, (n,); those of weight 0 are left out."""
        counting = weights > 0
        if not counting.any():
            return
        y, part = y[counting], ValueStatistics(self.n_outputs)
        # In units of a power of two, each output's squares neither overflow nor underflow. The division is exact.
        part._exponents = np.frexp(np.abs(y).max(axis=0))[1]
        part._moments.add(np.ldexp(y, -part._exponents), weights[counting])
        part.has_weight = True
        self.join(part)

    def join(self, others: ValueStatistics) -> None:
        """Count the values of other statistics."""
        if not others.has_weight:
            return
        exponents = np.maximum(self._exponents, others._exponents) if self.has_weight else others._exponents
        self._moments = self._moments.times_power_of_two(self._exponents - exponents)
        self._moments.join(others._moments.times_power_of_two(others._exponents - exponents))
        self._exponents, self.has_weight = exponents, True

    def mean_and_spread(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return mean and spread of each output, (n_outputs,), and whether its values are constant."""
        moments = self._moments
        is_constant = moments.is_constant(10 * np.finfo(np.float64).eps)
        return np.ldexp(moments.mean, self._exponents), np.ldexp(moments.spread, self._exponents), is_constant
