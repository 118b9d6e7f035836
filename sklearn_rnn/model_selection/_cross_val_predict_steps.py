"""cross_val_predict_steps: scikit-learn's cross_val_predict for predictions at every step."""

from __future__ import annotations

import numpy as np
from sklearn.base import BaseEstimator, clone, is_classifier
from sklearn.model_selection import cross_val_predict
from sklearn.model_selection._validation import _enforce_prediction_order
from sklearn.utils._param_validation import StrOptions, validate_params

from sklearn_rnn._data.containers import unpack
from sklearn_rnn._data.missing import known_steps
from sklearn_rnn._data.reading import form_of
from sklearn_rnn._data.step_values import check_per_step, join, target_parts, without_objects

METHODS = ("predict", "predict_proba", "predict_log_proba", "decision_function")


@validate_params({"method": [StrOptions(set(METHODS))]}, prefer_skip_nested_validation=True)
def cross_val_predict_steps(
    estimator,
    X,
    y,
    *,
    groups=None,
    cv=None,
    n_jobs=None,
    verbose=0,
    params=None,
    pre_dispatch="2*n_jobs",
    method="predict",
):
    """Predict every step of every sequence with an estimator that was fitted without this sequence.

    This is :func:`sklearn.model_selection.cross_val_predict`, which cannot join predictions of sequences of different
    lengths. Whole sequences are split, never their steps.

    Parameters
    ----------
    estimator : estimator
        Predicts at every step: readout "each", perhaps in a pipeline or a search. It is cloned for every split.
    X : array-like or list
        Sequences, as for ``fit``.
    y : array-like or list
        Targets of every step, as for ``fit``.
    groups : array-like of shape (n_sequences,), default=None
        Groups of the sequences, for splitters such as :class:`~sklearn.model_selection.GroupKFold`. With metadata
        routing they go into ``params``.
    cv : int, splitter or iterable, default=None
        The splits, which must be a partition. An integer, or None (5): :class:`~sklearn.model_selection.KFold`, also
        for classifiers. A stratified splitter needs one label for each sequence: give ``cv=list(splitter.split(X,
        labels))``.
    n_jobs : int, default=None
        Number of splits that run at the same time.
    verbose : int, default=0
        The verbosity level.
    params : dict, default=None
        Passed to the estimator's ``fit``, as ``{"sample_weight": weights}``. Values with one entry for each sequence
        are split like X.
    pre_dispatch : int or str, default="2*n_jobs"
        Number of splits that are sent out in advance.
    method : {"predict", "predict_proba", "predict_log_proba", "decision_function"}, default="predict"
        The estimator's method.

    Returns
    -------
    ndarray of shape (n_sequences, n_steps) or (n_sequences, n_steps, k) for 2-D and 3-D X, otherwise a list (or \
            object array) of n_sequences arrays of shape (n_steps_i,) or (n_steps_i, k)
        k is the number of classes of y, or of outputs. The columns of classes are sorted. If a class is missing in the
        training data of a split, there is a RuntimeWarning, and the column has the probability 0 (for other methods
        the smallest number of the dtype).

    Raises
    ------
    ValueError, TypeError
        For bad data, for splits that are no partition, and for an estimator that predicts once for each sequence.

    See Also
    --------
    sklearn_rnn.metrics.make_step_scorer : Scores over the steps of all sequences.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_rnn import RNNRegressor
    >>> from sklearn_rnn.model_selection import cross_val_predict_steps
    >>> rng = np.random.default_rng(0)
    >>> X = [rng.normal(size=(n_steps, 2)) for n_steps in (5, 3, 8, 4, 6)]
    >>> y = [x.sum(axis=1) for x in X]
    >>> reg = RNNRegressor((8,), readout="each", max_iter=5, random_state=0)
    >>> [predicted.shape for predicted in cross_val_predict_steps(reg, X, y)]
    [(5,), (3,), (8,), (4,), (6,)]
    """
    targets = target_parts(y)
    classes = _classes_of(targets) if is_classifier(estimator) and method != "predict" else None
    predictions = cross_val_predict(
        OneObjectPerSequence(estimator, method, classes),
        X,
        y,
        groups=groups,
        cv=cv,
        n_jobs=n_jobs,
        verbose=verbose,
        params=params,
        pre_dispatch=pre_dispatch,
    )
    form = form_of(unpack(X, "X").X, None)
    if form == "object":
        return predictions
    return list(predictions) if form == "list" else np.stack(predictions)


def _classes_of(targets: list[np.ndarray]) -> np.ndarray:
    """Return the sorted labels of all steps."""
    joined = join(targets)
    return np.unique(without_objects(joined[known_steps(joined, [len(part) for part in targets], "y")]))


class OneObjectPerSequence(BaseEstimator):
    """An estimator's stand-in, whose ``predict`` returns an array of n_sequences objects: scikit-learn can join them.

    It is no classifier, so that scikit-learn does not try to stratify by y.

    Parameters
    ----------
    estimator : estimator
        Predicts at every step.
    method : str
        The estimator's method.
    classes : ndarray of shape (n_classes,) or None
        All labels, where the method returns a column for each.
    """

    def __init__(self, estimator, method, classes):
        self.estimator = estimator
        self.method = method
        self.classes = classes

    def get_metadata_routing(self):
        """Return the estimator's own metadata requests."""
        return self.estimator.get_metadata_routing()

    def fit(self, X, y, **params):
        """Fit a clone of the estimator."""
        self.estimator_ = clone(self.estimator).fit(X, y, **params)
        return self

    def predict(self, X):
        """Return the values of the method as an object array, (n_sequences,)."""
        parts = check_per_step(getattr(self.estimator_, self.method)(X), self.method, type(self.estimator).__name__)
        if self.classes is not None:
            columns = np.searchsorted(self.classes, self.estimator_.classes_)
            ends = np.cumsum([len(part) for part in parts])[:-1]
            joined = np.concatenate(parts)
            parts = np.split(_enforce_prediction_order(columns, joined, len(self.classes), self.method), ends)
        objects = np.empty(len(parts), dtype=object)
        objects[:] = parts
        return objects
