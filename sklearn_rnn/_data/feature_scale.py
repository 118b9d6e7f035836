"""The warning about features that are far from scale: they saturate the network, or it does not see them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sklearn_rnn._data.moments import Moments
from sklearn_rnn._data.sequences import MappedSequences, Sequences
from sklearn_rnn._utils.warnings import warn_user

# A feature is far from scale outside of these limits.
LARGEST_MEAN = 100  # in spreads
SMALLEST_SPREAD, LARGEST_SPREAD = 1e-3, 100

N_SHOWN = 3


class ScaleCheck:
    """Looks at the rows of X, chunk by chunk, and then warns about features that are far from scale."""

    def __init__(self) -> None:
        self._moments: Moments | None = None

    def __call__(self, rows: np.ndarray, features: np.ndarray) -> None:
        """Count finite rows, (n, n_features), of these features of a step."""
        if self._moments is None:
            self._moments, self._features = Moments(rows.shape[1]), features
        self._precision = np.finfo(rows.dtype).eps
        with np.errstate(over="ignore", invalid="ignore"):  # squares may overflow: then the spread is inf or NaN
            self._moments.add(rows)

    def join(self, others: ScaleCheck) -> None:
        """Count the rows that another check of the same features has seen."""
        if others._moments is None:
            return
        if self._moments is None:
            self._moments, self._features = Moments(len(others._features)), others._features
            self._precision = others._precision
        self._precision = max(self._precision, others._precision)
        with np.errstate(over="ignore", invalid="ignore"):
            self._moments.join(others._moments)

    def warn(self, sequences: Sequences | MappedSequences, owner: str, names: Sequence[str] | None = None) -> None:
        """Warn if a feature is far from scale.

        Parameters
        ----------
        sequences : Sequences or MappedSequences
        owner : str
            Class of the estimator, for the message.
        names : sequence of str, or None
            Names of the features of a step; None: their indices.
        """
        far = self._far_features()
        if not len(far):
            return
        assert self._moments is not None
        mean, spread = self._moments.mean, np.nan_to_num(self._moments.spread, nan=np.inf, posinf=np.inf)
        shown = [
            f"{_label_of(self._features[i], names)} (mean {mean[i]:.3g}, spread {spread[i]:.3g})" for i in far[:N_SHOWN]
        ]
        others = "" if len(far) <= N_SHOWN else f" and {len(far) - N_SHOWN} more"
        warn_user(
            f"{sequences.name} has features that are far from scale, {len(far)} of {len(mean)}: {', '.join(shown)}"
            f"{others}. Their mean is more than {LARGEST_MEAN} spreads from 0, or their spread (standard deviation) is "
            f"above {LARGEST_SPREAD} or below {SMALLEST_SPREAD}. Check their units, and scale the features"
            f"{_remedy(sequences, owner, len(mean) < sequences.n_features)}."
        )

    def _far_features(self) -> np.ndarray:
        """Indices of the features that are far from scale, without the constant ones."""
        if self._moments is None:
            return np.empty(0, np.intp)
        with np.errstate(invalid="ignore", over="ignore"):
            mean, spread = self._moments.mean, self._moments.spread
            # A spread that is NaN or inf is not near.
            is_near = (spread >= SMALLEST_SPREAD) & (spread <= LARGEST_SPREAD)
            is_near &= np.abs(mean) <= LARGEST_MEAN * spread
            return np.flatnonzero(~is_near & ~self._moments.is_constant(self._precision))


def _label_of(feature: int, names: Sequence[str] | None) -> str:
    return f"feature {feature}" if names is None else repr(names[feature])


def _remedy(sequences: Sequences | MappedSequences, owner: str, has_categories: bool) -> str:
    if has_categories:
        return " in X itself, because a scaler of all features would not leave the categories as they are"
    if sequences.form != "rows":
        return f": make_pipeline(TimeDistributed(StandardScaler()), {owner}())"
    step_features = sequences.n_features
    if sequences.common_length == 1:
        return f": make_pipeline(StandardScaler(), {owner}(step_features={step_features}))"
    argument = "" if step_features == 1 else f"step_features={step_features}"
    for_steps = f"TimeDistributed(StandardScaler(){argument and ', '}{argument})"
    return (
        f": make_pipeline({for_steps}, {owner}({argument})), where a feature has one scale for all steps, or "
        f"make_pipeline(StandardScaler(), {owner}({argument})), where every column of {sequences.name} has its own"
    )
