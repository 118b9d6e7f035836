"""RNNClassifier: classes and probabilities."""

from __future__ import annotations

import numpy as np
from sklearn.base import ClassifierMixin, _fit_context
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.class_weight import compute_class_weight
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import unique_labels

from sklearn_rnn._base import BaseRNN, can_partial_fit
from sklearn_rnn._data.targets import check_labels, check_weights, check_y
from sklearn_rnn._documentation import document_rnn
from sklearn_rnn._training.losses import BinaryLogLoss, MulticlassLogLoss


@document_rnn
class RNNClassifier(ClassifierMixin, BaseRNN):
    """Recurrent neural network classifier, trained by backpropagation through time.

    Minimises the log loss of binary, multiclass or multilabel targets: one label per sequence, or
    (``readout="each"``) one per step.

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
    >>> clf = RNNClassifier(max_iter=30, n_iter_no_change=30, learning_rate="cosine", random_state=0)
    >>> X_test, y_test = load_japanese_vowels(subset="test", return_X_y=True)
    >>> clf.fit(X, y).score(X_test, y_test) > 0.9
    True
    """

    _parameter_constraints: dict = {
        **BaseRNN._parameter_constraints,
        "class_weight": [dict, StrOptions({"balanced"}), None],
    }

    def __init__(
        self,
        hidden_layer_sizes=(64,),
        *,
        cell="gru",
        activation="tanh",
        bidirectional=False,
        readout="last",
        step_features=1,
        patch_size=1,
        dropout=0.0,
        truncation=None,
        truncation_stride=None,
        truncation_tolerance=0.5,
        memory_budget=None,
        stateful=False,
        clip_norm=1.0,
        clip_value=None,
        solver="adam",
        alpha=0.0001,
        batch_size="auto",
        learning_rate="constant",
        learning_rate_init=0.003,
        power_t=0.5,
        max_iter=200,
        shuffle=True,
        random_state=None,
        tol=1e-4,
        n_iter_no_change=10,
        early_stopping=False,
        validation_fraction=0.1,
        momentum=0.9,
        nesterovs_momentum=True,
        beta_1=0.9,
        beta_2=0.999,
        epsilon=1e-8,
        max_fun=15000,
        warm_start=False,
        verbose=False,
        n_jobs=None,
        class_weight=None,
    ):
        super().__init__(
            hidden_layer_sizes=hidden_layer_sizes,
            cell=cell,
            activation=activation,
            bidirectional=bidirectional,
            readout=readout,
            step_features=step_features,
            patch_size=patch_size,
            dropout=dropout,
            truncation=truncation,
            truncation_stride=truncation_stride,
            truncation_tolerance=truncation_tolerance,
            memory_budget=memory_budget,
            stateful=stateful,
            clip_norm=clip_norm,
            clip_value=clip_value,
            solver=solver,
            alpha=alpha,
            batch_size=batch_size,
            learning_rate=learning_rate,
            learning_rate_init=learning_rate_init,
            power_t=power_t,
            max_iter=max_iter,
            shuffle=shuffle,
            random_state=random_state,
            tol=tol,
            n_iter_no_change=n_iter_no_change,
            early_stopping=early_stopping,
            validation_fraction=validation_fraction,
            momentum=momentum,
            nesterovs_momentum=nesterovs_momentum,
            beta_1=beta_1,
            beta_2=beta_2,
            epsilon=epsilon,
            max_fun=max_fun,
            warm_start=warm_start,
            verbose=verbose,
            n_jobs=n_jobs,
        )
        self.class_weight = class_weight

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags

    @available_if(can_partial_fit)
    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X, y, classes=None, sample_weight=None, new_sequence=None):
        """Pass over the data once more, from the present weights and optimizer state.

        Parameters
        ----------
        X : array-like or list
            Sequences, as for ``fit``.
        y : array-like
            Targets, as for ``fit``.
        classes : array-like of shape (n_classes,), default=None
            All labels that any call will bring (for multilabel targets the labels' indices). Needed in the
            first call, where it is the first training.
        sample_weight : array-like of shape (n_sequences,), default=None
            Weights of the sequences. With ``stateful=True`` all may be 0, by ``class_weight`` too: the state moves on,
            no update is made, and the call's loss and gradient norm are NaN.
        new_sequence : array-like of shape (n_sequences,), bool, default=None
            With ``stateful=True``: which sequences begin anew with this chunk, rather than go on where they were. None
            is none of them.

        Returns
        -------
        self : object
            The trained estimator.

        Raises
        ------
        ValueError, TypeError
            For bad input; the estimator stays as it was.
        """
        classes = self._check_classes(classes)
        return self._partial_fit(X, y, sample_weight, new_sequence, classes)

    def _check_classes(self, classes):
        if self.class_weight == "balanced":
            raise ValueError(
                "class_weight='balanced' does not go with partial_fit, which does not know all of y: pass the "
                "weights as a dict."
            )
        if classes is not None:
            classes = unique_labels(classes)
        if hasattr(self, "classes_"):
            if classes is not None and not np.array_equal(classes, self.classes_):
                raise ValueError(f"classes={classes} are not those of the first call, {self.classes_}.")
        elif classes is None:
            raise ValueError("classes must be passed on the first call to partial_fit.")
        return classes

    def _check_targets(self, y, sequences, reset, classes):
        y = check_y(y, sequences, per_step=self.readout == "each", numeric=False)
        y = check_labels(y, per_step=self.readout == "each")
        if reset:
            self._set_classes(y, classes)
        if self._is_multilabel != (y.ndim == 2) or (y.ndim == 2 and y.shape[1] != len(self.classes_)):
            raise ValueError(
                f"y has shape {y.shape}, but {type(self).__name__} was fitted on "
                f"{f'{len(self.classes_)} labels a sequence' if self._is_multilabel else 'one label each'}."
            )
        if self._is_multilabel:
            return y.astype(self._dtype)
        codes = self._encode(y)
        if self.n_outputs_ == 1:
            return codes[:, None].astype(self._dtype)
        return np.eye(self.n_outputs_, dtype=self._dtype)[codes]

    def _set_classes(self, y, classes):
        self._is_multilabel = y.ndim == 2
        found = np.arange(y.shape[1]) if self._is_multilabel else np.unique(y)
        self.classes_ = found if classes is None else classes
        n_classes = len(self.classes_)
        if n_classes < 2 and not self._is_multilabel:
            raise ValueError(f"y has only one class, {self.classes_.tolist()[0]!r}: at least 2 classes are needed.")
        self.n_outputs_ = 1 if n_classes == 2 and not self._is_multilabel else n_classes

    def _encode(self, y):
        """Place of every label in ``classes_``."""
        unseen = np.setdiff1d(y, self.classes_)
        if len(unseen):
            raise ValueError(
                f"y contains labels that are not in classes_: {unseen.tolist()}; classes_ is {self.classes_.tolist()}."
            )
        return np.searchsorted(self.classes_, y)

    def _codes_of(self, targets):
        """Class index of every encoded target or row of raw scores."""
        return targets.argmax(axis=1) if self.n_outputs_ > 1 else (targets[:, 0] > 0).astype(np.intp)

    def _reweigh(self, weights, targets):
        if self.class_weight is None:
            return weights
        if self._is_multilabel:
            raise ValueError(f"class_weight={self.class_weight!r} does not go with multilabel y: use sample_weight.")
        codes = self._codes_of(targets)
        if self.class_weight == "balanced":
            counts = np.bincount(codes, weights, minlength=len(self.classes_))
            present = counts > 0
            class_weights = np.divide(counts.sum(), present.sum() * counts, out=np.zeros_like(counts), where=present)
        else:
            class_weights = compute_class_weight(self.class_weight, classes=self.classes_, y=self.classes_)
            if not np.isfinite(class_weights).all() or class_weights.min() < 0:
                raise ValueError(f"class_weight={self.class_weight}: weights must be finite and not negative.")
        return weights * class_weights[codes]

    def _strata(self, dataset):
        return None if dataset.per_step or self._is_multilabel else self._codes_of(dataset.targets)

    def _make_loss(self):
        return MulticlassLogLoss() if self.n_outputs_ > 1 and not self._is_multilabel else BinaryLogLoss()

    def _score_of(self, scores, targets, weights):
        if self._is_multilabel:
            hits = ((scores > 0) == (targets > 0)).all(axis=1)
        else:
            hits = self._codes_of(scores) == self._codes_of(targets)
        return float(np.average(hits, weights=weights))

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
        """
        scores, sequences = self._predict_scores(X)
        return self._in_form_of(sequences, self._predictions_of(scores))

    def _predictions_of(self, scores):
        return (scores > 0).astype(int) if self._is_multilabel else self.classes_[self._codes_of(scores)]

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
        """
        scores, sequences = self._predict_scores(X)
        return self._in_form_of(sequences, self._probabilities_of(scores))

    def _probabilities_of(self, scores):
        """Return what ``predict_proba`` gives, (n, n_classes), for raw scores (n, n_outputs)."""
        outputs = self._loss.predict(scores)
        if self.n_outputs_ == 1 and not self._is_multilabel:
            return np.hstack([1 - outputs, outputs])
        return outputs

    def predict_log_proba(self, X):
        """Predict logarithms of the probabilities of the classes.

        Parameters
        ----------
        X : array-like or list
            Sequences, as for ``fit``.

        Returns
        -------
        ndarray or list of ndarray
            Of the shapes that ``predict_proba`` has.
        """
        scores, sequences = self._predict_scores(X)
        with np.errstate(divide="ignore"):
            return self._in_form_of(sequences, np.log(self._probabilities_of(scores)))

    def score(self, X, y, sample_weight=None):
        """Return the accuracy; for readout "each" over all steps of all sequences.

        Parameters
        ----------
        X : array-like or list
            Sequences, as for ``fit``.
        y : array-like
            True labels, as for ``fit``.
        sample_weight : array-like of shape (n_sequences,), default=None
            Weights of the sequences.

        Returns
        -------
        float
            For multilabel targets the share of sequences whose labels are all right.
        """
        if self.readout != "each":
            return super().score(X, y, sample_weight)
        sequences = self._check_new_sequences(X)
        y = check_y(y, sequences, per_step=True, numeric=False)
        weights = np.repeat(check_weights(sample_weight, sequences, np.float64), sequences.lengths)
        from sklearn.metrics import accuracy_score  # here: importing it takes longer than all of this package

        return accuracy_score(y, np.concatenate(list(self.predict(X))), sample_weight=weights)
