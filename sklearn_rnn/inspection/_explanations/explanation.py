"""From arguments to attributions: the network, the sequences and their baseline are read, then an output explained."""

from __future__ import annotations

from numbers import Integral
from typing import Any, NamedTuple

import numpy as np
from sklearn.utils._param_validation import Interval, StrOptions

from sklearn_rnn._base import model_of
from sklearn_rnn._data.schema import InputSchema
from sklearn_rnn._inference.prediction import predict_scores
from sklearn_rnn._model import Model
from sklearn_rnn._utils.warnings import warn_user
from sklearn_rnn.inspection._explanations.baselines import Baseline, make_baseline
from sklearn_rnn.inspection._explanations.explained_output import ExplainedOutput, chosen_places, chosen_steps
from sklearn_rnn.inspection._explanations.input_gradients import Sections, Ways
from sklearn_rnn.inspection._explanations.integrated_gradients import integrate
from sklearn_rnn.inspection._explanations.occlusion import occlusion
from sklearn_rnn.inspection._explanations.pipelines import ExplainedPipeline, explained_pipeline

METHODS = ("gradient", "integrated_gradients", "occlusion", "step_occlusion", "step_removal")
# The settings of an explanation, as scikit-learn validates them.
SETTINGS: dict[str, list[Any]] = {
    "method": [StrOptions(set(METHODS))],
    "n_points": [Interval(Integral, 1, None, closed="left"), StrOptions({"auto"})],
    "n_jobs": [Integral, None],
}


class Comparison(NamedTuple):
    """Sequences that a fitted network reads, beside the baseline with which they are compared.

    Attributes
    ----------
    source : ExplainedPipeline
    model : Model
    sequences : BaseSequences
        As the network reads them, not yet in patches.
    baseline : Baseline
    first : int
        The place in X of the first of the sequences, for messages.
    """

    source: ExplainedPipeline
    model: Model
    sequences: Any
    baseline: Baseline
    first: int = 0

    @classmethod
    def read(cls, estimator: Any, X: Any, baseline: Any) -> Comparison:
        """Read X and the baseline; the mean is that of all sequences of X."""
        source = explained_pipeline(estimator)
        network, model = source.estimator, model_of(source.estimator)
        sequences = model.schema.read(network, source.units.transform(source.transform(X)))
        if len(sequences) == 1 and isinstance(baseline, str) and baseline == "mean":
            warn_user(
                "X has a single sequence, which is compared with its own mean: what is the same at all steps has no "
                "part. To explain one of many, pass all of them, and choose it from the result (in AttributionDisplay "
                "by index). Or pass the values of a usual step as baseline."
            )
        return cls(source, model, sequences, make_baseline(network, model.schema, sequences, baseline, source.units))

    @property
    def schema(self) -> InputSchema:
        """How the network reads X."""
        return self.model.schema

    def only(self, index: int) -> Comparison:
        """Return one sequence, with the same baseline."""
        baseline = self.baseline._replace(sequences=self.baseline.sequences.subset([index]))
        return self._replace(sequences=self.sequences.subset([index]), baseline=baseline, first=index)


class Explained(NamedTuple):
    """The parts of one output of each sequence.

    Attributes
    ----------
    values : ndarray of shape (n_rows, n_features), or (n_rows,) for methods by step; float64
    outputs, baseline_outputs : ndarray of shape (n_sequences,), float64
    completeness_errors : ndarray of shape (n_sequences,), float64, or None
        Only of integrated gradients.
    explained : ExplainedOutput
    """

    values: np.ndarray
    outputs: np.ndarray
    baseline_outputs: np.ndarray
    completeness_errors: np.ndarray | None
    explained: ExplainedOutput


def explain(comparison: Comparison, output: Any, step: Any, method: str, n_points: Any, n_jobs: Any) -> Explained:
    """Explain an output of each sequence; the arguments are those of ``attribute``."""
    source, model, sequences = comparison.source, comparison.model, comparison.sequences
    baseline = comparison.baseline.sequences
    patches = model.schema.patches
    scores = predict_scores(model.network, patches.of(sequences), n_jobs)
    steps = chosen_steps(model, step, sequences.lengths, comparison.first)
    places = chosen_places(model, output, _scores_of_outputs(model, steps, scores, sequences))
    explained = ExplainedOutput(model, places, steps)
    baseline_scores = predict_scores(model.network, patches.of(baseline), n_jobs)
    outputs, baseline_outputs = (_outputs_of(explained, each, sequences) for each in (scores, baseline_scores))
    errors = None
    if method in ("gradient", "integrated_gradients"):
        ways = Ways(model, sequences, baseline, explained, n_jobs)
    if method == "gradient":
        values = ways.gradients(Sections.whole(np.arange(len(sequences))), None)
        values = _by_units(values, sequences, source.units.slope)  # the other methods give changes of the output
    elif method == "integrated_gradients":
        values, errors = integrate(ways, outputs - baseline_outputs, n_points)
    else:
        _check_removal(method, comparison)
        values = occlusion(model, sequences, baseline, explained, outputs, method, n_jobs)
    return Explained(values, outputs, baseline_outputs, errors, explained)


def _scores_of_outputs(model: Model, steps: np.ndarray | None, scores: np.ndarray, sequences: Any) -> np.ndarray:
    """Return the raw scores, (n_sequences, n_outputs), among which an output is chosen."""
    every = np.arange(len(sequences))
    return ExplainedOutput(model, np.zeros(len(sequences), np.intp), steps).scores_of(scores, sequences.lengths, every)


def _outputs_of(explained: ExplainedOutput, scores: np.ndarray, sequences: Any) -> np.ndarray:
    every = np.arange(len(sequences))
    return explained.values(explained.scores_of(scores, sequences.lengths, every), every)


def _check_removal(method: str, comparison: Comparison) -> None:
    if method != "step_removal":
        return
    if comparison.model.is_per_step:
        raise ValueError(
            "method='step_removal' does not go with readout='each': without a step, the others have other places. Use "
            "method='step_occlusion'."
        )
    short = np.flatnonzero(comparison.sequences.lengths == 1)
    if len(short):
        raise ValueError(
            f"X[{short[0] + comparison.first}] has 1 step, which method='step_removal' cannot remove. Use "
            "method='step_occlusion'."
        )


def _by_units(values: np.ndarray, sequences: Any, slope: Any) -> np.ndarray:
    """Return derivatives with respect to the user's features."""
    if np.ndim(slope) < 2:
        return values * slope
    return (values.reshape(len(sequences), *slope.shape) * slope).reshape(values.shape)
