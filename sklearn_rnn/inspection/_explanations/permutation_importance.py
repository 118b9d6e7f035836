"""permutation_importance: how much worse a score gets when a feature, a step or a window is shuffled."""

from __future__ import annotations

from numbers import Integral
from typing import Any

import numpy as np
from sklearn.metrics import check_scoring
from sklearn.utils import Bunch, check_random_state
from sklearn.utils._param_validation import HasMethods, Interval, StrOptions, validate_params
from sklearn.utils.parallel import Parallel, delayed

from sklearn_rnn.inspection._explanations.shuffling import Part, SequenceList, parts_of, shuffled


@validate_params(
    {
        "estimator": [HasMethods(["fit"])],
        "by": [StrOptions({"feature", "step", "window"})],
        "n_windows": [Interval(Integral, 1, None, closed="left")],
        "n_repeats": [Interval(Integral, 1, None, closed="left")],
        "scoring": [str, callable, None],
        "n_jobs": [Integral, None],
        "random_state": ["random_state"],
    },
    prefer_skip_nested_validation=True,
)
def permutation_importance(
    estimator,
    X,
    y,
    *,
    by="feature",
    n_windows=10,
    n_repeats=5,
    scoring=None,
    sample_weight=None,
    n_jobs=None,
    random_state=None,
):
    """Measure how much worse a score gets when a part of the sequences is shuffled.

    As scikit-learn's function of this name [1]_, for sequences: its own takes 2-D X alone. A feature that the estimator
    does not use has importance 0. If two features say the same, the estimator can read each of them when the other is
    shuffled, and both seem unimportant.

    Parameters
    ----------
    estimator : estimator
        Fitted; any estimator or pipeline that takes these sequences.
    X : array-like of shape (n_sequences, n_steps, n_features), or list or object array of arrays or data frames of \
            shape (n_steps_i, n_features) or (n_steps_i,)
        Sequences on which the score is computed. Best those of a test set.
    y : array-like or list
        Their targets.
    by : {"feature", "step", "window"}, default="feature"
        The parts that are shuffled between sequences, one after the other:

        * "feature": the whole course of a feature, all steps together;
        * "step": all features of a step. Steps are counted from the start. Sequences that don't have the step do not
          take part;
        * "window": all features of a part of the steps, such as the first tenth of every sequence.

        Features and windows are exchanged between sequences of like length. All sequences of equal length are one
        group. Others are sorted by length; a group ends when it has at least 10 sequences, and the next one is more
        than 1.1 times as long as its shortest. (Fewer than 10 sequences at the end belong to the group before.) Within
        a group, values of a sequence with another number of steps are stretched: each step takes the value of the
        nearest step of the other.
    n_windows : int, default=10
        Number of windows, of about equally many steps, for ``by="window"``.
    n_repeats : int, default=5
        Number of times that each part is shuffled.
    scoring : str, callable or None, default=None
        As for scikit-learn's function: a scorer's name, a scorer, or None for ``estimator.score``. For
        ``readout="each"``, use :func:`~sklearn_rnn.metrics.make_step_scorer`.
    sample_weight : array-like of shape (n_sequences,), default=None
        Weights for the score.
    n_jobs : int, default=None
        Number of processes, by joblib's rules; each takes one part at a time. The results do not depend on it.
    random_state : int, RandomState instance or None, default=None
        Draws the permutations.

    Returns
    -------
    result : Bunch
        As scikit-learn's, with the attributes

        importances_mean, importances_std : ndarray of shape (n_parts,)
            Mean and standard deviation over the repeats. Parts are features, steps (as many as the longest sequence
            has) or windows.
        importances : ndarray of shape (n_parts, n_repeats)
            The score of X, minus the score of X with the part shuffled.
        baseline_score : float
            The score of X.
        feature_names : ndarray of str, or None
            With ``by="feature"``, the names of the columns, if the sequences are data frames.

    Raises
    ------
    ValueError, TypeError

    See Also
    --------
    attribute : The part of each value of each step in one prediction.

    References
    ----------
    .. [1] L. Breiman (2001). Random forests. Machine Learning 45(1), 5-32,
       section 10.

    Examples
    --------
    >>> from sklearn_rnn import RNNRegressor
    >>> from sklearn_rnn.datasets import make_adding_problem
    >>> from sklearn_rnn.inspection import permutation_importance
    >>> X, y = make_adding_problem(200, 10, random_state=0)
    >>> regressor = RNNRegressor((16,), max_iter=30, random_state=0).fit(X, y)
    >>> result = permutation_importance(regressor, X, y, random_state=0)
    >>> result.importances.shape
    (2, 5)
    >>> bool((result.importances_mean > 0.1).all())
    True
    """
    sequences = SequenceList(X)
    score = _Score(check_scoring(estimator, scoring=scoring), estimator, y, sample_weight)
    parts = parts_of(sequences, by, n_windows)
    baseline_score = score(X)
    seeds = check_random_state(random_state).randint(np.iinfo(np.int32).max, size=len(parts))
    scores = Parallel(n_jobs=n_jobs)(
        delayed(_scores_without)(score, sequences, part, n_repeats, seed) for part, seed in zip(parts, seeds)
    )
    importances = baseline_score - np.array(scores)
    return Bunch(
        importances_mean=importances.mean(axis=1),
        importances_std=importances.std(axis=1),
        importances=importances,
        baseline_score=baseline_score,
        feature_names=sequences.feature_names if by == "feature" else None,
    )


class _Score:
    """The score of X, without its targets and weights at hand."""

    def __init__(self, scorer: Any, estimator: Any, y: Any, sample_weight: Any) -> None:
        self._scorer, self._estimator, self._y = scorer, estimator, y
        self._weights = {} if sample_weight is None else {"sample_weight": sample_weight}

    def __call__(self, X: Any) -> float:
        return float(self._scorer(self._estimator, X, self._y, **self._weights))


def _scores_without(score: _Score, sequences: SequenceList, part: Part, n_repeats: int, seed: int) -> list[float]:
    """Return the scores of X with a part shuffled, one for each repeat."""
    random_state = np.random.RandomState(seed)
    return [score(shuffled(sequences, part, random_state)) for _ in range(n_repeats)]
