"""diagnose: why a network does not learn, or not what it should."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from sklearn_rnn._base import training_problem
from sklearn_rnn._data.coding import ClassCoding, ValueCoding, plain_labels
from sklearn_rnn._data.moments import Moments
from sklearn_rnn._inference.prediction import hidden_states, predict_scores
from sklearn_rnn._network import kernels
from sklearn_rnn._training.gradient_trace import trace
from sklearn_rnn._utils.caching import cached
from sklearn_rnn._utils.threads import threads
from sklearn_rnn._utils.warnings import without_overflow_warnings
from sklearn_rnn.inspection._check import check_estimator
from sklearn_rnn.inspection._diagnosis import Diagnosis, Finding

# What is called a finding.
LARGEST_MEAN, SMALLEST_SPREAD, LARGEST_SPREAD = 10, 1e-2, 100  # of features and targets; the mean in spreads
CLIPPED = 0.9  # share of the updates
GONE = 1e-6  # of the error at the last step
FLAT = 0.01  # fall of the loss, of the first loss
RISE = 1.1  # of the last loss over the smallest one
FALLING = 0.05  # fall of the loss in the last tenth of the epochs, of the loss
FAR_ABOVE, ABOVE, N_FIRST = 10, 1.5, 10  # the loss in the first epochs and at the end, in losses of guessing; epochs
GAP = 0.15  # between the scores on training and on validation data
NEAR_CHANCE = 0.05  # of a validation score above that of the most frequent class, or of the mean
FREQUENT = 0.8  # share of the targets
SAME = 0.01  # spread of the predictions, of that of the targets
SATURATED, AT_LIMIT = 0.5, 0.99  # share of the states, and their size
N_TRACED, N_LOOKED_AT = 32, 1000  # sequences


def diagnose(estimator, X, y):
    """Look at a fitted network for reasons why it does not learn, or not what it should.

    Each finding has a name, a number that was measured, a sentence about it, and what to try. A healthy network has no
    findings; a finding is a hint, and not a proof.

    Parameters
    ----------
    estimator : RNNClassifier or RNNRegressor
        Fitted. Of a pipeline, pass the last step.
    X : array-like or list
        The training sequences, as for ``fit``, or some of them. Predictions and states are looked at for the first
        1,000 sequences, gradients for 32.
    y : array-like
        Their targets, as for ``fit``.

    Returns
    -------
    diagnosis : Diagnosis
        ``diagnosis.findings`` is a list of named tuples (name, number, text, advice). It prints as a table. The names:

        * "features out of scale" (without ``normalize_features``), "targets out of scale" (without ``normalize_y``)
        * "gradients clipped", "vanishing gradient" (of networks in one direction), "saturated units", "dead units"
        * "loss does not fall", "loss rises", "loss still falls", "loss not finite", "loss above guessing"
        * "overfitting" (with validation data in ``fit``)
        * "constant predictions", "classes never predicted"
        * "no compiled kernels"

    Raises
    ------
    NotFittedError, TypeError, ValueError

    Examples
    --------
    >>> from sklearn_rnn import RNNClassifier
    >>> from sklearn_rnn.datasets import make_temporal_order
    >>> from sklearn_rnn.inspection import diagnose
    >>> X, y = make_temporal_order(50, random_state=0)
    >>> clf = RNNClassifier(
    ...     4,
    ...     cell="rnn",
    ...     readout="last",
    ...     bidirectional=False,
    ...     patch_size=1,
    ...     max_iter=5,
    ...     random_state=0,
    ... )
    >>> "vanishing gradient" in diagnose(clf.fit(X, y), X, y).names
    True
    """
    case = Case(estimator, X, y)
    findings = [finding for check in CHECKS for finding in check(case)]
    return Diagnosis(findings)


class Case:
    """A fitted estimator with some of its data, and what several checks look at.

    Parameters
    ----------
    estimator, X, y
        As for :func:`diagnose`.

    Attributes
    ----------
    model : Model
    loss : Loss
    dataset : Dataset
        Of the first sequences.
    """

    def __init__(self, estimator: Any, X: Any, y: Any) -> None:
        self.estimator, self.model = estimator, check_estimator(estimator)
        self.loss, dataset = training_problem(estimator, X, y)
        self.dataset = dataset.subset(np.arange(min(len(dataset), N_LOOKED_AT)))

    @cached
    def predicted(self) -> np.ndarray:
        """Raw scores, (n, n_outputs), of the sequences or steps that count."""
        scores = predict_scores(self.model.network, self.dataset.sequences, self.estimator.n_jobs)
        return scores[self.dataset.weights > 0]

    @cached
    def targets(self) -> np.ndarray:
        """Targets of these sequences or steps, (n, n_outputs), as the network sees them."""
        return self.dataset.targets[self.dataset.weights > 0]

    @cached
    def weights(self) -> np.ndarray:
        """Weights of these sequences or steps, (n,)."""
        return self.dataset.weights[self.dataset.weights > 0]

    def loss_of(self, scores: np.ndarray) -> float:
        """Mean loss of raw scores, (n, n_outputs)."""
        with without_overflow_warnings():
            return self.loss.value(scores, self.targets, self.weights) / float(self.weights.sum())

    @cached
    def states(self) -> np.ndarray:
        """Hidden states of the last layer at every step, (n_rows, n_units)."""
        return hidden_states(self.model.network, self.dataset.sequences, self.estimator.n_jobs)


# ---- Data --------------------------------------------------------------------------------------------


def features_out_of_scale(case: Case) -> Iterator[Finding]:
    if case.estimator.normalize_features:
        return
    sequences = case.dataset.sequences.of_data
    schema, moments = case.model.schema, Moments(sequences.n_features)
    for _, rows in sequences.chunks():
        moments.add(rows)
    is_far = _is_far(moments.mean, moments.spread) & ~moments.is_constant(1e-6)
    if schema.categories is not None:
        is_far &= ~schema.categories.mask
    if is_far.any():
        j = int(np.flatnonzero(is_far)[0])
        name = f"feature {j}" if schema.feature_names is None else repr(schema.feature_names[j])
        yield Finding(
            "features out of scale",
            float(is_far.sum()),
            f"{is_far.sum()} of {len(is_far)} features are far from mean 0 and spread 1, first {name} (mean "
            f"{moments.mean[j]:.3g}, spread {moments.spread[j]:.3g}): units saturate, or do not see the feature.",
            "normalize_features=True, or TimeDistributed(StandardScaler()) in front of the network.",
        )


def targets_out_of_scale(case: Case) -> Iterator[Finding]:
    if not isinstance(case.model.coding, ValueCoding) or case.model.coding.is_normalized:
        return
    mean, spread = case.targets.mean(axis=0), case.targets.std(axis=0)
    is_far = _is_far(mean, spread) & (spread > 0)
    if is_far.any():
        j = int(np.flatnonzero(is_far)[0])
        yield Finding(
            "targets out of scale",
            float(spread[j]),
            f"Targets have mean {mean[j]:.3g} and spread {spread[j]:.3g}, but a new network's outputs are near 0, of a "
            "size near 1: most updates only move the outputs there.",
            "normalize_y=True, or TransformedTargetRegressor.",
        )


def _is_far(mean: np.ndarray, spread: np.ndarray) -> np.ndarray:
    return (np.abs(mean) > LARGEST_MEAN * spread) | (spread > LARGEST_SPREAD) | (spread < SMALLEST_SPREAD)


# ---- The way of training -----------------------------------------------------------------------------


def gradients_clipped(case: Case) -> Iterator[Finding]:
    share = case.estimator.clipped_fraction_
    if share > CLIPPED:
        norms = case.estimator.gradient_norms_
        yield Finding(
            "gradients clipped",
            share,
            f"{share:.0%} of the updates had a clipped gradient (norm before clipping: {np.nanmedian(norms):.2g}): its "
            "length no longer counts, only its direction.",
            "A larger clip_norm or clip_value (clip_norm='auto', clip_value=None), or features and targets in scale.",
        )


def vanishing_gradient(case: Case) -> Iterator[Finding]:
    network, sequences = case.model.network, case.dataset.sequences
    if network.is_bidirectional or network.readout not in ("last", "each"):
        return  # no single way back, or errors enter at all steps
    longest = np.argsort(-sequences.lengths, kind="stable")[:N_TRACED]
    dataset = case.dataset.subset(longest)
    with threads(1), without_overflow_warnings():
        traced = trace(network, case.loss, dataset)
    norms = np.min([layer.hidden_norms for layer in traced.layers], axis=0)
    gone = np.flatnonzero(norms < GONE * norms[0])
    if len(gone) and gone[0] < 0.5 * len(norms):
        yield Finding(
            "vanishing gradient",
            float(gone[0]),
            f"The error of the last step is below {GONE:g} of its size after {gone[0]} steps back, but the longest "
            f"sequences have {len(norms)} network steps: what happened before has no influence on the weights.",
            _advice_on_memory(case.estimator),
        )


def _advice_on_memory(estimator: Any) -> str:
    advice = [] if estimator.cell != "rnn" else ["cell='gru' or 'lstm'"]
    advice.append("patches (patch_size='auto' or larger), which shorten the way")
    if estimator.readout == "last":
        advice.append("readout=('last', 'mean', 'max')")
    if estimator.truncation is not None:
        advice.append("a longer truncation")
    return "; ".join(advice) + "."


def loss_curve(case: Case) -> Iterator[Finding]:
    losses = np.array(case.estimator.loss_curve_)
    if len(losses) < 2:
        return
    if not np.isfinite(losses).all() or not np.isfinite(case.model.network.parameters.vector).all():
        yield Finding("loss not finite", float(losses[-1]), "A loss or a weight is not finite.", LOWER_RATE)
        return
    first, last, least = losses[0], losses[-1], losses.min()
    if last > RISE * least and last - least > FLAT * abs(first):
        text = f"The loss rose from {least:.4g} in epoch {losses.argmin() + 1} to {last:.4g} in the last one."
        yield Finding("loss rises", float(last / least), text, LOWER_RATE)
    elif first - least < FLAT * abs(first) and not case.estimator.warm_start:
        fall = float((first - least) / abs(first))
        text = f"The loss fell by {fall:.1%} in {len(losses)} epochs, from {first:.4g}."
        yield Finding("loss does not fall", fall, text, RAISE_RATE)
    elif case.estimator.learning_rate != "cosine":
        before = losses[-max(2, len(losses) // 10)]
        if before - last > FALLING * abs(before):
            text = f"The loss fell by {1 - last / before:.1%} in the last tenth of the {len(losses)} epochs."
            yield Finding(
                "loss still falls", float(1 - last / before), text, "A larger max_iter, or learning_rate='cosine'."
            )


def loss_above_guessing(case: Case) -> Iterator[Finding]:
    losses, guessed = np.array(case.estimator.loss_curve_), _loss_of_guessing(case)
    reached = case.loss_of(case.predicted)
    if not np.isfinite(losses).all() or not np.isfinite(reached) or guessed == 0:
        return  # another finding; or constant targets, of which nothing can be said
    first = losses[:N_FIRST]
    highest = float(first.max(initial=0.0))
    if reached > ABOVE * guessed:
        text = f"The loss is {reached:.3g} at the end, and guessing has {guessed:.3g}: the steps are too long."
        yield Finding("loss above guessing", reached / guessed, text, MUCH_LOWER_RATE)
    elif highest > FAR_ABOVE * guessed + _largest_penalty(case):
        text = (
            f"The loss was {highest:.3g} in epoch {first.argmax() + 1}, and guessing has {guessed:.3g}: the first "
            "steps were too long."
        )
        yield Finding(
            "loss above guessing", highest / guessed, text, f"{MUCH_LOWER_RATE[:-1]}, even if the loss falls."
        )


def _loss_of_guessing(case: Case) -> float:
    """Return the loss of equal probabilities, or of the mean of the targets.

    Not that of the classes' shares: they depend on the sample weights of ``fit``, which are not known here.
    """
    is_classifier = isinstance(case.model.coding, ClassCoding)
    start = np.zeros(1) if is_classifier else case.loss.start_scores(case.targets, case.weights)
    return case.loss_of(np.broadcast_to(start.astype(case.predicted.dtype), case.targets.shape))


def _largest_penalty(case: Case) -> float:
    """Return a bound of the penalty in the loss of the first epochs: a new network's weights are below 1."""
    batch_size = 64 if case.estimator.batch_size == "auto" else case.estimator.batch_size
    n_weights = case.model.network.parameters.n_weights
    return 0.5 * case.estimator.alpha * n_weights / min(batch_size, len(case.dataset))


MUCH_LOWER_RATE = "A learning_rate_init ten times smaller."
LOWER_RATE = "A smaller learning_rate_init, clip_update=1.0 (with Adam), or features and targets in scale."
RAISE_RATE = (
    "A larger learning_rate_init or max_iter; other findings may say why. Are the targets those of these sequences?"
)


def overfitting(case: Case) -> Iterator[Finding]:
    scores = case.estimator.validation_scores_
    if not scores or case.estimator.scoring is not None:
        return
    on_training = case.model.score(case.predicted, case.targets, case.weights)
    best = case.estimator.best_validation_score_  # of the weights that were kept, with early stopping
    on_validation = scores[-1] if best is None else best
    if on_training - on_validation > GAP:
        text = f"The score is {on_training:.3f} on these data, and {on_validation:.3f} on the validation data"
        advice = "More sequences, early_stopping=True, dropout, a larger alpha, fewer units, or RecurrentFeatures."
        constant, chance = _best_constant(case)
        if on_validation < chance + NEAR_CHANCE:
            text += f", where {constant} alone has about {chance:.3g}: nothing that was learned holds for new data"
            advice = f"{CHECK_TARGETS} Then: {advice[0].lower()}{advice[1:]}"
        yield Finding("overfitting", on_training - on_validation, f"{text}.", advice)


CHECK_TARGETS = "First check that y belongs to these X, in the same order (after a sort, a merge, a groupby)."


def _best_constant(case: Case) -> tuple[str, float]:
    """Return the name and the score of the best prediction that is the same for all, which needs no X."""
    if not isinstance(case.model.coding, ClassCoding):
        return "the mean of the targets", 0.0  # R^2
    counts = np.unique(case.targets, axis=0, return_counts=True)[1]
    return "the most frequent class", float(counts.max() / counts.sum())


# ---- What the network does ---------------------------------------------------------------------------


def predictions(case: Case) -> Iterator[Finding]:
    if isinstance(case.model.coding, ClassCoding):
        if not case.model.coding.is_multilabel:
            yield from _predicted_classes(case, case.model.coding)
        return
    spread, wanted = case.predicted.std(axis=0), case.targets.std(axis=0)
    shares = spread[wanted > 0] / wanted[wanted > 0]
    if len(shares) and shares.min() < SAME:
        text = f"Predictions have {shares.min():.2%} of the spread of the targets: they are nearly constant."
        yield Finding("constant predictions", float(shares.min()), text, RAISE_RATE)


def _predicted_classes(case: Case, coding: ClassCoding) -> Iterator[Finding]:
    predicted, present = (set(coding.codes_of(values)) for values in (case.predicted, case.targets))
    missing = sorted(present - predicted)
    if len(predicted) == 1 and missing:
        only = plain_labels(coding.classes[list(predicted)])[0]
        text = f"All predictions are {only!r}, but the targets have {len(present)} classes."
        share = float(np.mean(np.isin(coding.codes_of(case.targets), list(predicted))))
        if share < FREQUENT:
            yield Finding("constant predictions", float(len(missing)), text, RAISE_RATE)
            return
        text = f"All predictions are {only!r}, which {share:.0%} of the targets are."
        advice = (
            "class_weight='balanced', or a threshold for predict_proba (FixedThresholdClassifier, "
            f"TunedThresholdClassifierCV): a rare class is seldom the more probable one. Then: {RAISE_RATE}"
        )
        yield Finding("constant predictions", float(len(missing)), text, advice)
    elif missing:
        names = ", ".join(repr(label) for label in plain_labels(coding.classes[missing[:3]]))
        text = f"{len(missing)} of {len(present)} classes are never predicted, such as {names}."
        yield Finding(
            "classes never predicted",
            float(len(missing)),
            text,
            "class_weight='balanced', or more sequences of these classes; then look at the confusion matrix.",
        )


def states_of_units(case: Case) -> Iterator[Finding]:
    has_limits = case.estimator.cell != "rnn" or case.estimator.activation in ("tanh", "logistic")
    if has_limits:
        at_limit = np.abs(case.states) > AT_LIMIT
        if case.estimator.activation == "logistic" and case.estimator.cell == "rnn":
            at_limit |= case.states < 1 - AT_LIMIT
        share = float(at_limit.mean())
        if share > SATURATED:
            text = f"{share:.0%} of the hidden states are at their limits: their derivatives are near 0."
            first = "A" if case.estimator.normalize_features else "normalize_features=True, a"
            advice = f"{first} smaller learning_rate_init, a larger alpha, or clip_update=1.0."
            yield Finding("saturated units", share, text, advice)
    is_dead = np.asarray(~case.states.any(axis=0))
    if is_dead.mean() > SATURATED:
        text = f"{is_dead.sum()} of {len(is_dead)} units are 0 at every step."
        yield Finding("dead units", float(is_dead.mean()), text, "activation='tanh', a gated cell, or a smaller rate.")


def engine(case: Case) -> Iterator[Finding]:
    if kernels.name == "numpy":
        text = "The network runs on NumPy, up to three times slower than on compiled kernels."
        yield Finding("no compiled kernels", 1.0, text, "sklearn_rnn.show_versions() says why.")


CHECKS: list[Callable[[Case], Iterator[Finding]]] = [
    features_out_of_scale,
    targets_out_of_scale,
    gradients_clipped,
    vanishing_gradient,
    loss_curve,
    loss_above_guessing,
    overfitting,
    predictions,
    states_of_units,
    engine,
]
