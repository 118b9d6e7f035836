"""RNNClassifier: classes and probabilities."""

from __future__ import annotations

import numpy as np
from sklearn.base import ClassifierMixin, _fit_context
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import unique_labels

from sklearn_rnn._base import BaseRNN
from sklearn_rnn._data.coding import ClassCoding
from sklearn_rnn._data.target_readers import LabelReader
from sklearn_rnn._data.targets import naming_targets
from sklearn_rnn._documentation import document_rnn
from sklearn_rnn._settings import CONSTRAINTS, can_partial_fit
from sklearn_rnn._training.losses import BinaryLogLoss, MulticlassLogLoss


@document_rnn
class RNNClassifier(ClassifierMixin, BaseRNN):
    """Recurrent neural network classifier, trained by backpropagation through time.

    Minimises the log loss of binary, multiclass or multilabel targets: one label per sequence, or
    (``readout="each"``) one per step.

    For a label at every step, don't score with scikit-learn's own scorers: on binary 2-D y, ``scoring="accuracy"``
    counts the sequences that have all steps right, and on ragged y they fail, so that a search reports NaN. Use
    :func:`~sklearn_rnn.metrics.make_step_scorer`, which scores all steps of all sequences.

    The parameters by group:

    {groups}

    Parameters
    ----------
    {parameters}
    class_weight : dict, "balanced" or None, default=None
        Weights of the classes, ``{{label: weight}}``; "balanced" weighs them by
        ``n / (n_classes * count)`` with weighted counts. Not for multilabel targets.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The class labels; for multilabel targets the labels' indices.
    {attributes}

    See Also
    --------
    RNNRegressor : Recurrent neural network for real-valued targets.

    References
    ----------
    {references}

    Examples
    --------
    >>> from sklearn_rnn import RNNClassifier
    >>> from sklearn_rnn.datasets import load_japanese_vowels
    >>> X, y = load_japanese_vowels(subset="train", return_X_y=True)
    >>> clf = RNNClassifier(max_iter=15, random_state=0)
    >>> X_test, y_test = load_japanese_vowels(subset="test", return_X_y=True)
    >>> clf.fit(X, y).score(X_test, y_test) > 0.9
    True
    """

    _parameter_constraints: dict = {
        **CONSTRAINTS,
        "class_weight": [dict, StrOptions({"balanced"}), None],
    }

    def __init__(
        self,
        # Architecture
        hidden_layer_sizes=(64,),
        *,
        cell="gru",
        activation="tanh",
        bidirectional="auto",
        readout=("last", "mean", "max"),
        normalize_readout=True,
        dropout=0.0,
        # Sequences
        step_features=1,
        categorical_features="from_dtype",
        categories="auto",
        embedding_size="auto",
        patch_size="auto",
        patch_stride=None,
        stateful=False,
        normalize_features=True,
        # BPTT
        truncation=None,
        truncation_stride=None,
        truncation_tolerance=0.5,
        memory_budget=None,
        # Optimizer
        solver="adam",
        alpha=0.0001,
        batch_size="auto",
        shuffle=True,
        learning_rate="cosine",
        learning_rate_init=0.003,
        power_t=0.5,
        clip_norm="auto",
        clip_value=None,
        clip_update=1.0,
        momentum=0.9,
        nesterovs_momentum=True,
        beta_1=0.9,
        beta_2=0.99,
        epsilon=1e-8,
        # Stopping
        max_iter=100,
        max_fun=15000,
        tol=1e-4,
        n_iter_no_change=10,
        early_stopping=False,
        validation_fraction=0.1,
        scoring=None,
        # Running
        random_state=None,
        n_jobs=None,
        warm_start=False,
        verbose=False,
        # Of this estimator
        class_weight=None,
    ):
        self._set_parameters(locals())

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags

    @available_if(can_partial_fit)
    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X, y, classes=None, sample_weight=None, new_sequence=None):
        """Pass over the data once, continuing from the current weights and optimizer state.

        Parameters
        ----------
        X : array-like or list
            Sequences, as for ``fit``.
        y : array-like
            Targets, as for ``fit``.
        classes : array-like of shape (n_classes,), default=None
            All labels of all calls (for multilabel targets the labels' indices). Required in the first call of an
            estimator that has not been fitted.
        sample_weight : float, array-like or list, default=None
            Weights of the sequences or, for readout "each", of their steps, as for ``fit``. With ``stateful=True``
            all may be 0, also through ``class_weight`` and unknown labels: then the state moves on without an
            update, and the call's loss and gradient norm are NaN.
        new_sequence : array-like of shape (n_sequences,), bool, default=None
            With ``stateful=True``: the sequences that start with this chunk, instead of continuing where they were.
            None: no sequence.

        Returns
        -------
        self : object
            The trained estimator.

        Raises
        ------
        ValueError, TypeError
            For bad input. The estimator does not change.

        Examples
        --------
        >>> from sklearn_rnn import RNNClassifier
        >>> X = [[0.1, 0.5, 0.9], [0.8, 0.3], [0.2, 0.4, 0.6, 0.7], [0.9, 0.1]]
        >>> y = ["up", "down", "up", "down"]
        >>> clf = RNNClassifier((8,), random_state=0)
        >>> for epoch in range(50):
        ...     clf = clf.partial_fit(X, y, classes=["down", "up"])
        >>> clf.predict([[0.3, 0.6], [0.7, 0.2]]).tolist()
        ['up', 'down']
        """
        return self._partial_fit(X, y, sample_weight, new_sequence, self._check_classes(classes))

    def _check_classes(self, classes):
        if self.class_weight == "balanced":
            raise ValueError(
                "class_weight='balanced' does not go with partial_fit, which does not know all of y: pass the "
                "weights as a dict."
            )
        if classes is not None:
            classes = self._distinct(classes)
        if hasattr(self, "classes_"):
            if classes is not None and not np.array_equal(classes, self.classes_):
                raise ValueError(f"classes={classes} are not those of the first call, {self.classes_}.")
        elif classes is None:
            raise ValueError("classes must be passed on the first call to partial_fit.")
        return classes

    def _distinct(self, classes):
        """Return the classes in order, each once."""
        try:
            if np.ndim(classes) == 1 and len(classes):
                if any(isinstance(label, float | np.floating) and not np.isfinite(label) for label in classes):
                    raise ValueError("NaN and infinity are no labels.")
                return unique_labels(classes)
        except (TypeError, ValueError) as error:
            raise type(error)(f"classes={classes!r} must be labels of one type: {error}") from error
        raise ValueError(f"classes={classes!r} must be a list of labels: pass all classes that y will ever have.")

    def _target_reader(self):
        return LabelReader(self.readout == "each", self.class_weight)

    def _make_loss(self, coding):
        return MulticlassLogLoss() if coding.n_outputs > 1 and not coding.is_multilabel else BinaryLogLoss()

    def _set_fitted_attributes(self, best):
        super()._set_fitted_attributes(best)
        coding = self._model.coding
        assert isinstance(coding, ClassCoding)
        self.classes_ = coding.classes

    def predict(self, X):
        """Predict class labels.

        Parameters
        ----------
        X : array-like or list
            Sequences, as for ``fit``.

        Returns
        -------
        ndarray of shape (n_sequences,), or (n_sequences, n_labels) for multilabel targets
            For readout "each" one label per step, in the form of X: (n_sequences, n_steps) or a list of
            arrays (n_steps_i,).

        Warns
        -----
        UserWarning
            If scores are NaN, because values of X are too large for the network or its weights are not finite. Labels
            mean nothing there. ``predict_proba`` shows NaN.

        Examples
        --------
        >>> from sklearn_rnn import RNNClassifier
        >>> X = [[0.1, 0.5, 0.9], [0.8, 0.3], [0.2, 0.4, 0.6, 0.7], [0.9, 0.1]]
        >>> y = ["up", "down", "up", "down"]
        >>> clf = RNNClassifier((8,), max_iter=50, random_state=0).fit(X, y)
        >>> clf.predict([[0.3, 0.6], [0.7, 0.2]]).tolist()
        ['up', 'down']
        """
        return self._apply(X, lambda scores: self._model.decode(scores))

    def predict_proba(self, X):
        """Predict probabilities of the classes.

        Parameters
        ----------
        X : array-like or list
            Sequences, as for ``fit``.

        Returns
        -------
        ndarray of shape (n_sequences, n_classes)
            In the order of ``classes_``; for multilabel targets each label's own probability. For readout
            "each" one row per step, in the form of X: (n_sequences, n_steps, n_classes) or a list of arrays
            (n_steps_i, n_classes).

        Examples
        --------
        >>> from sklearn_rnn import RNNClassifier
        >>> X = [[0.1, 0.5, 0.9], [0.8, 0.3], [0.2, 0.4, 0.6, 0.7], [0.9, 0.1]]
        >>> y = ["up", "down", "up", "down"]
        >>> clf = RNNClassifier((8,), max_iter=50, random_state=0).fit(X, y)
        >>> clf.classes_.tolist()
        ['down', 'up']
        >>> probabilities = clf.predict_proba([[0.3, 0.6], [0.7, 0.2]])
        >>> (probabilities > 0.5).tolist()
        [[False, True], [True, False]]
        """
        return self._apply(X, lambda scores: self._model.probabilities(scores))

    def predict_log_proba(self, X):
        """Predict logarithms of the probabilities of the classes.

        Parameters
        ----------
        X : array-like or list
            Sequences, as for ``fit``.

        Returns
        -------
        ndarray or list of ndarray
            In the shapes of ``predict_proba``.

        Examples
        --------
        >>> import numpy as np
        >>> from sklearn_rnn import RNNClassifier
        >>> X = [[0.1, 0.5, 0.9], [0.8, 0.3], [0.2, 0.4, 0.6, 0.7], [0.9, 0.1]]
        >>> y = ["up", "down", "up", "down"]
        >>> clf = RNNClassifier((8,), max_iter=50, random_state=0).fit(X, y)
        >>> np.allclose(np.exp(clf.predict_log_proba(X)), clf.predict_proba(X))
        True
        """
        with np.errstate(divide="ignore"):
            return self._apply(X, lambda scores: np.log(self._model.probabilities(scores)))

    def score(self, X, y, sample_weight=None):
        """Return the accuracy; for readout "each" over all steps of all sequences.

        Parameters
        ----------
        X : array-like or list
            Sequences, as for ``fit``.
        y : array-like
            True labels, as for ``fit``. Steps with an unknown one (readout "each") do not count.
        sample_weight : array-like of shape (n_sequences,); for readout "each" also array-like of shape \
                (n_sequences, n_steps) or a list of arrays of shape (n_steps_i,), default=None
            Weights of the sequences or of their steps.

        Returns
        -------
        float
            For multilabel targets, the share of sequences with all labels right.

        Examples
        --------
        >>> from sklearn_rnn import RNNClassifier
        >>> X = [[0.1, 0.5, 0.9], [0.8, 0.3], [0.2, 0.4, 0.6, 0.7], [0.9, 0.1]]
        >>> y = ["up", "down", "up", "down"]
        >>> clf = RNNClassifier((8,), max_iter=50, random_state=0).fit(X, y)
        >>> print(clf.score([[0.3, 0.6], [0.7, 0.2]], ["up", "up"]))
        0.5
        """
        from sklearn.metrics import accuracy_score  # here: importing it takes longer than all of this package

        y, predicted, weights = self._read_scored(X, y, sample_weight)
        with naming_targets("y"):
            unique_labels(y, predicted)  # older releases of scikit-learn and NumPy let strings beside numbers pass
            return accuracy_score(y, predicted, sample_weight=weights)
