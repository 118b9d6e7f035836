"""make_step_scorer: scikit-learn's scorers, over the steps of all sequences."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
from sklearn.metrics import get_scorer, make_scorer
from sklearn.utils import get_tags

from sklearn_rnn._data.alignment import check_alignment
from sklearn_rnn._data.missing import known_steps
from sklearn_rnn._data.reading import naming_argument
from sklearn_rnn._data.step_values import check_per_step, join, parts_of, target_parts, without_objects
from sklearn_rnn._data.weights import check_sum, check_values

RESPONSES = ("predict", "predict_proba", "decision_function")


def make_step_scorer(score, **kwargs):
    """Make a scorer that compares all steps of all sequences, for estimators that predict at every step.

    It joins the predictions and the targets of all sequences, leaves out the steps whose target is unknown, and calls
    a scorer of scikit-learn. Use it as ``scoring`` in :class:`~sklearn.model_selection.GridSearchCV`,
    :func:`~sklearn.model_selection.cross_validate` and everywhere else; for several scores in a dict.

    Without it, scikit-learn's own scorers fail on ragged targets ("unknown is not supported"; a search then reports
    NaN). On targets of shape (n_sequences, n_steps) they take the steps for outputs: with binary labels,
    ``scoring="accuracy"`` counts the sequences that have all steps right.

    Parameters
    ----------
    score : str, callable or scorer
        The name of one of scikit-learn's scorers (:func:`~sklearn.metrics.get_scorer_names`), a metric
        ``score(y_true, y_pred, **kwargs)``, or a scorer that :func:`~sklearn.metrics.make_scorer` made.
    **kwargs
        For a metric: ``response_method``, ``greater_is_better`` and the metric's own arguments, as for
        :func:`~sklearn.metrics.make_scorer`. Names and scorers take none.

    Returns
    -------
    scorer : callable
        ``scorer(estimator, X, y, sample_weight=None)`` returns a float; greater is better. The estimator may be a
        pipeline or a search. It predicts once for each call.

        X : array-like or list
            Sequences, as the estimator reads them.
        y : array-like of shape (n_sequences, n_steps) or (n_sequences, n_steps, n_outputs), or a list or object \
                array of per-sequence arrays of shape (n_steps_i,) or (n_steps_i, n_outputs)
            True targets. None, NaN and pandas.NA are unknown: all outputs of a step, or none.
        sample_weight : array-like of shape (n_sequences,) or (n_sequences, n_steps), or a list or object array of \
                per-sequence arrays of shape (n_steps_i,), default=None
            Weights of the sequences, repeated for each step, or of the steps: finite and not negative, some above
            0. None: 1 for each step.

        The scorer has ``set_score_request``, for scikit-learn's metadata routing.

    Raises
    ------
    ValueError, TypeError
        For an unknown name, and for ``kwargs`` with a name or a scorer. The scorer raises them for bad data, for data
        without a known target, and for an estimator that predicts once for each sequence.

    See Also
    --------
    sklearn_rnn.model_selection.cross_val_predict_steps : Cross-validated predictions for every step.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.model_selection import cross_validate
    >>> from sklearn_rnn import RNNClassifier
    >>> from sklearn_rnn.metrics import make_step_scorer
    >>> rng = np.random.default_rng(0)
    >>> X = [rng.normal(size=(n_steps, 1)) for n_steps in rng.integers(5, 20, size=40)]
    >>> y = [(x[:, 0] > 0).astype(int) for x in X]
    >>> settings = {"learning_rate_init": 0.01, "max_iter": 50, "random_state": 0}
    >>> clf = RNNClassifier((8,), readout="each", **settings)
    >>> scoring = {"f1": make_step_scorer("f1_macro"), "auc": make_step_scorer("roc_auc")}
    >>> scores = cross_validate(clf, X, y, scoring=scoring, cv=3)
    >>> bool(scores["test_f1"].mean() > 0.9), bool(scores["test_auc"].mean() > 0.9)
    (True, True)
    """
    if isinstance(score, StepScorer):
        raise TypeError(f"score is {score!r}, which is a step scorer already.")
    if not isinstance(score, str) and not callable(score):
        raise TypeError(f"score is {score!r}, but it must be the name of a scorer, a metric or a scorer.")
    is_scorer = isinstance(score, str) or hasattr(score, "get_metadata_routing")
    if is_scorer and kwargs:
        raise TypeError(
            f"score is {score!r}, a scorer with arguments of its own, but {', '.join(kwargs)} came with it: pass the "
            "metric, as in make_step_scorer(f1_score, pos_label='yes')."
        )
    return StepScorer(copy.deepcopy(get_scorer(score)) if is_scorer else make_scorer(score, **kwargs))


class StepScorer:
    """A scorer over steps; see :func:`make_step_scorer`.

    Parameters
    ----------
    scorer : scorer
        Of scikit-learn. It gets the joined steps.
    """

    def __init__(self, scorer: Any) -> None:
        self._scorer = scorer

    def __call__(self, estimator, X, y, sample_weight=None, **params):
        """Score predictions for X against y; see :func:`make_step_scorer`."""
        check_alignment(X, y, "y")
        steps = KnownSteps(y)
        if sample_weight is not None:
            check_alignment(X, sample_weight, "sample_weight")
            params["sample_weight"] = steps.take_weights(sample_weight)
        return self._scorer(JoinedPredictions(estimator, steps), X, steps.targets, **params)

    def __repr__(self):
        return f"make_step_scorer({self._scorer!r})"

    def set_score_request(self, **kwargs):
        """Request metadata, as the scorers of scikit-learn do.

        Parameters
        ----------
        **kwargs
            ``sample_weight=True``, for example.

        Returns
        -------
        self : object
        """
        self._scorer.set_score_request(**kwargs)
        return self

    def get_metadata_routing(self):
        """Return the scorer's metadata requests."""
        return self._scorer.get_metadata_routing()

    def _accept_sample_weight(self) -> bool:
        """Tell newer searches of scikit-learn whether the metric takes weights."""
        return self._scorer._accept_sample_weight()


class KnownSteps:
    """The steps of y whose targets are known.

    Parameters
    ----------
    y : array-like or list
        Targets of every step.

    Attributes
    ----------
    lengths : list of int
        Number of steps of each sequence.
    known : ndarray of shape (n_steps,), bool
        Whether each step's target is known, over the steps of all sequences.
    targets : ndarray of shape (n_known,) or (n_known, n_outputs)
    """

    def __init__(self, y: Any) -> None:
        parts = target_parts(y)
        joined = join(parts)
        self.lengths = [len(part) for part in parts]
        self.known = known_steps(joined, self.lengths, "y")
        if not self.known.any():
            raise ValueError(f"y has {len(joined)} steps, but none with a known target: there is nothing to score.")
        self.targets = without_objects(joined[self.known])

    def take(self, parts: list[np.ndarray], name: str, noun: str) -> np.ndarray:
        """Join arrays with one entry for each step, and take the known steps."""
        self._check_number(parts, name)
        for i, (part, length) in enumerate(zip(parts, self.lengths)):
            if len(part) != length:
                raise ValueError(
                    f"{name}[{i}] has {len(part)} {noun}, but y[{i}] has {length} targets: one for each step is needed."
                )
        return np.concatenate(parts)[self.known]

    def take_weights(self, sample_weight: Any) -> np.ndarray:
        """Return the weights of the known steps, from weights of sequences or of steps."""
        parts = parts_of(sample_weight, "sample_weight")
        self._check_number(parts, "sample_weight")
        parts = [_read_weights(part, f"sample_weight[{i}]") for i, part in enumerate(parts)]
        n_axes = sorted({part.ndim for part in parts})
        if n_axes == [0]:
            parts = [np.full(length, part) for part, length in zip(parts, self.lengths)]
        elif n_axes != [1]:
            raise ValueError(
                f"sample_weight has entries with numbers of dimensions {n_axes}: pass one weight for each sequence, or "
                "one array (n_steps_i,) for each."
            )
        weights = self.take(parts, "sample_weight", "weights")
        check_sum(weights, np.float64, "sample_weight")
        if not weights.any():
            raise ValueError(
                "sample_weight is zero for every step whose target is known: at least one must be positive."
            )
        return weights

    def _check_number(self, parts: list[np.ndarray], name: str) -> None:
        if len(parts) != len(self.lengths):
            raise ValueError(f"{name} is for {len(parts)} sequences, but y is for {len(self.lengths)}.")


def _read_weights(part: np.ndarray, name: str) -> np.ndarray:
    """Return the weight of a sequence, or those of its steps, as floats that are finite and not negative."""
    with naming_argument(name):
        weights = part.astype(np.float64)
    check_values(weights.ravel(), lambda i: name + "".join(f"[{k}]" for k in np.unravel_index(i, weights.shape)))
    return weights


class JoinedPredictions:
    """An estimator's stand-in: it predicts the known steps of all sequences as if they were samples.

    scikit-learn's scorers choose among the estimator's methods and process classes and probabilities: so they get
    an estimator, and not predictions.

    Parameters
    ----------
    estimator : estimator
    steps : KnownSteps
    """

    def __init__(self, estimator: Any, steps: KnownSteps) -> None:
        self.estimator = estimator
        self.steps = steps

    @property  # type: ignore[misc]
    def __class__(self):
        """The estimator's class, for scikit-learn's messages."""
        return type(self.estimator)

    def __sklearn_tags__(self):
        return get_tags(self.estimator)

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self.estimator, name)
        if name not in RESPONSES:
            return attribute

        def joined(X):
            parts = check_per_step(attribute(X), name, type(self.estimator).__name__)
            return self.steps.take(parts, "X", f"steps in {name}")

        joined.__name__ = name  # the name of the method tells scikit-learn how to read its values
        return joined
