"""attribute: the part of each value of each step in an output."""

from __future__ import annotations

from typing import Any

from sklearn.utils import Bunch
from sklearn.utils._param_validation import validate_params

from sklearn_rnn.inspection._explanations.explanation import SETTINGS, Comparison, explain


@validate_params(SETTINGS, prefer_skip_nested_validation=True)
def attribute(
    estimator,
    X,
    output=None,
    *,
    step=None,
    method="integrated_gradients",
    baseline="mean",
    n_points="auto",
    n_jobs=None,
):
    """Explain predictions: the part of each value of each step in an output.

    The output is one number for each sequence: the score of a class, or a predicted value. An attribution above 0 says
    that a value raised it.

    Parameters
    ----------
    estimator : RNNClassifier, RNNRegressor, or Pipeline that ends in one
        Fitted. It is not changed. Attributions go back through the last transformers of a pipeline that map each
        feature linearly: StandardScaler, MinMaxScaler, MaxAbsScaler and RobustScaler, and TimeDistributed with one of
        them or a pipeline of them. They are then by the features, and in the units, before these. If another
        transformer comes before, they are by the features that it returns, and ``features_of`` is its name.
    X : array-like or list
        Sequences, as for ``predict``.
    output : label, int, or array-like of shape (n_sequences,), default=None
        Which output is explained. For a classifier a class, by its label: its raw score, before the softmax. With two
        classes it is the log odds of the class against the other, and with multilabel targets (by the index of the
        label) the log odds of the label. For a regressor the index of a value: its prediction, in the units of y. An
        array has one for each sequence, such as the true class. None: the predicted class, or the only value.
    step : int or array-like of int of shape (n_sequences,), default=None
        For ``readout="each"``, the step whose output is explained; a negative one counts from the end. None: the last.
    method : {"gradient", "integrated_gradients", "occlusion", "step_occlusion", "step_removal"}, \
            default="integrated_gradients"
        How the parts are computed:

        * "integrated_gradients": the distance of each value from the baseline, times the mean gradient on the straight
          way from the baseline to X [1]_. For each sequence, the attributions sum to ``outputs - baseline_outputs``,
          but for the error of the integral (``completeness_errors``). For categories, the way is that of their vectors.
        * "gradient": the derivative of the output with respect to each value, in units of the output per unit of the
          feature. For a category, the derivative on the way from the vector of the baseline's category to its own.
        * "occlusion": the output, minus the output with this one value replaced by the baseline's. It runs the network
          once for each value: use it for short sequences.
        * "step_occlusion": the same with all values of a step replaced together.
        * "step_removal": the output, minus the output of the sequence without this step, which is one step shorter.

    baseline : "mean", float, array-like of shape (n_features,) or, for 2-D X, (n_columns,), or sequences, \
            default="mean"
        The values that stand for "nothing is known here". "mean" is the mean of each feature over all steps of X (of
        each column, if X is 2-D). With few sequences, pass the ``baseline`` of a result for many, or the mean of the
        training data; a single one would be compared with its own mean, which gives a warning. A float is the value of
        every feature. An array has the values of a step, and sequences, as long as those of X, one for each step. Units
        and features are those of the attributions. The baseline of a category is the unknown category, unless an array
        or sequences name another one; None is the unknown one.
    n_points : int or "auto", default="auto"
        Points of the Gauss-Legendre rule for "integrated_gradients". "auto" halves a sequence's way from the baseline,
        and again those sections whose attributions do not sum to the difference of the outputs at their ends (to
        0.1 % of the sum of all sizes) or differ from those of their halves (by 1 %), up to 20 times. It takes 44
        points where the output changes smoothly. It finds the sections in which the output changes at once: networks
        that remember an event have them, and readouts with "max". With a number, each sequence has so many points on
        its whole way.
    n_jobs : int, default=None
        Number of threads, by joblib's rules. The results have the same bits for any number.

    Returns
    -------
    explanation : Bunch
        It has the attributes

        attributions : ndarray or list of ndarray, float64
            In the form of X: (n_sequences, n_columns) for 2-D X, (n_sequences, n_steps, n_features) for 3-D X,
            otherwise a list (or object array) of arrays (n_steps_i, n_features). Categories have one number for each
            step, as other features do. For "step_occlusion" and "step_removal" without the axis of the features:
            (n_sequences, n_steps), or arrays (n_steps_i,).
        outputs : ndarray of shape (n_sequences,), float64
            The output that is explained.
        baseline_outputs : ndarray of shape (n_sequences,), float64
            The output of the baseline.
        completeness_errors : ndarray of shape (n_sequences,), float64
            For "integrated_gradients": ``outputs - baseline_outputs``, minus the sum of the attributions.
        output : ndarray of shape (n_sequences,)
            The class, or the index of the value, of each sequence.
        step : ndarray of shape (n_sequences,), int, or None
            For ``readout="each"``, the step whose output it is.
        baseline : ndarray of shape (n_features,) or (n_columns,), or sequences
            In the units of the attributions: another call takes it.
        feature_names : ndarray of str
            Names of the features of a step (of the columns, if X is 2-D); x0, x1, … if they have none.
        features_of : str
            "X", or the name of the transformer of the pipeline that returns these features.

    Raises
    ------
    NotFittedError, TypeError, ValueError

    See Also
    --------
    permutation_importance : Importance of features, steps or parts of sequences for a score.

    Notes
    -----
    Gradients need a forward and a backward pass for each point, in blocks of sequences, with the activation memory of
    a block for each thread, at most about 128 MB unless the network is bidirectional and a sequence very long. The
    passes are computed in the dtype of the network; in float32, ``completeness_errors`` are of the order of 1e-6 of
    the outputs. With ``patch_size``, attributions are by the steps of X and not by network steps.

    References
    ----------
    .. [1] M. Sundararajan, A. Taly and Q. Yan (2017). Axiomatic attribution for deep networks. ICML, PMLR 70,
       3319-3328.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_rnn import RNNRegressor
    >>> from sklearn_rnn.datasets import make_adding_problem
    >>> from sklearn_rnn.inspection import attribute
    >>> X, y = make_adding_problem(50, 20, random_state=0)
    >>> regressor = RNNRegressor((16,), readout="last", max_iter=5, random_state=0).fit(X, y)
    >>> explanation = attribute(regressor, X[:3], n_points=50)
    >>> explanation.attributions.shape
    (3, 20, 2)
    >>> sums = explanation.attributions.sum(axis=(1, 2))
    >>> bool(np.allclose(sums, explanation.outputs - explanation.baseline_outputs))
    True
    """
    comparison = Comparison.read(estimator, X, baseline)
    source, sequences = comparison.source, comparison.sequences
    explained = explain(comparison, output, step, method, n_points, n_jobs)
    result = Bunch(
        attributions=_in_form_of(sequences, explained.values),
        outputs=explained.outputs,
        baseline_outputs=explained.baseline_outputs,
        output=explained.explained.labels,
        step=explained.explained.steps,
        baseline=comparison.baseline.values,
        feature_names=source.feature_names(
            source.estimator.n_features_in_ if comparison.schema.is_table else sequences.n_features
        ),
        features_of=source.features_of,
    )
    if explained.completeness_errors is not None:
        result.completeness_errors = explained.completeness_errors
    return result


def _in_form_of(sequences: Any, values: Any) -> Any:
    """Return values of every step in the form of X."""
    in_form = sequences.split(values)
    is_table = sequences.form == "rows" and values.ndim == 2
    return in_form.reshape(len(sequences), -1) if is_table else in_form
