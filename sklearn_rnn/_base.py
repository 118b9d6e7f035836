"""BaseRNN, the base of both estimators: parameters in, fitted attributes out."""

from __future__ import annotations

from abc import ABCMeta, abstractmethod
from copy import deepcopy
from dataclasses import replace
from typing import Any

import numpy as np
from sklearn.base import _fit_context, clone
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from sklearn_rnn._data.batches import Dataset
from sklearn_rnn._data.patches import choose_patches
from sklearn_rnn._data.schema import InputSchema
from sklearn_rnn._data.target_readers import TargetReader
from sklearn_rnn._data.training_data import Known, read_sequences, read_training_data
from sklearn_rnn._data.validation import hold_out, read_validation_data
from sklearn_rnn._fitted import FittedRNN
from sklearn_rnn._model import Model
from sklearn_rnn._network.engines.notice import engine_name
from sklearn_rnn._resuming import ResumingMixin
from sklearn_rnn._scoring import validation_scorer
from sklearn_rnn._settings import (
    CONSTRAINTS,
    architecture_of,
    begin_session,
    check_architecture,
    check_settings,
    continue_session,
    make_network,
    make_truncation,
    restart_session,
    training_settings,
)
from sklearn_rnn._training.carried_state import carry_over
from sklearn_rnn._training.losses import Loss
from sklearn_rnn._training.memory.model import memory_estimate
from sklearn_rnn._training.monitor import Best
from sklearn_rnn._training.session import ClosedSession, TrainingSession
from sklearn_rnn._training.source import LocalSource
from sklearn_rnn._utils.atomic import draft_of
from sklearn_rnn._utils.callbacks import CallbackSupportMixin, FitTasks
from sklearn_rnn._utils.diagram import block_with_caption
from sklearn_rnn._utils.plain import Object
from sklearn_rnn._utils.threads import threads
from sklearn_rnn.callbacks._checkpoint import checkpoint_of, refuse_checkpoints


class BaseRNN(CallbackSupportMixin, ResumingMixin, FittedRNN, metaclass=ABCMeta):
    """Base of RNNClassifier and RNNRegressor; the parameters are documented there.

    A fitted estimator has a Model (``_model``) and a TrainingSession (``_session``). Methods that train work on a draft
    of the estimator with copies of both; the estimator takes them over when everything went well.
    """

    _parameter_constraints: dict = CONSTRAINTS

    _plain_attributes = {"_model": Object("model"), "_session": Object("session", "closed_session")}

    _model: Model
    _session: TrainingSession

    def __setstate__(self, state):
        super().__setstate__(state)
        if "_session" in vars(self):
            self._session.check_fits(self._model.network, f"{type(self).__name__}._session")

    def _set_parameters(self, arguments: dict[str, Any]) -> None:
        """Store the arguments of ``__init__``, its ``locals()``, as attributes of the same names."""
        self.__dict__.update({name: value for name, value in arguments.items() if name not in ("self", "__class__")})

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = True
        tags.input_tags.three_d_array = True
        return tags

    def _sk_visual_block_(self):
        """Name the engine in HTML diagrams."""
        return block_with_caption(self, f"engine: {engine_name()}")

    # ---- What the two estimators do differently ------------------------------------------------------

    @abstractmethod
    def _target_reader(self) -> TargetReader:
        """Return how y is read."""

    @abstractmethod
    def _make_loss(self, coding: Any) -> Loss:
        """Return the loss that is trained."""

    # ---- Training ------------------------------------------------------------------------------------

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y, sample_weight=None, X_val=None, y_val=None, sample_weight_val=None, checkpoint=None):
        """Train on sequences X and targets y.

        Parameters
        ----------
        X : array-like of shape (n_sequences, n_columns), array-like of shape \
                (n_sequences, n_steps, n_features), or list of arrays of shape (n_steps_i, n_features) or (n_steps_i,)
            The sequences: rows of a table, an array with axes sequence, time, feature, or a ragged list. An
            array in a memory-mapped file (numpy.memmap or a view of one, of any dtype and strides), or a list of
            such arrays, stays there: all methods read and convert one batch at a time. Also containers of sequences
            of pandas, polars, pyarrow, awkward, xarray, torch and jax, as the user guide lists them.
        y : array-like of shape (n_sequences,) or (n_sequences, n_outputs); for readout "each" of shape \
                (n_sequences, n_steps) or (n_sequences, n_steps, n_outputs), or a list of per-sequence arrays
            The targets. For readout "each" they may be unknown at some steps: NaN, for labels also None or
            pandas.NA. Such a step counts as one of weight 0. With several outputs, all are unknown or none.
        sample_weight : float or array-like of shape (n_sequences,); for readout "each" also array-like of shape \
                (n_sequences, n_steps) or a list of arrays of shape (n_steps_i,), default=None
            Weights of the sequences or of their steps. A list of numbers is one of sequences. Weight 2 equals
            repeating a sequence, weight 0 removing it; its class stays in ``classes_``. None: 1 for each.
        X_val, y_val, sample_weight_val : as X, y and sample_weight, default=None
            Validation data. Their loss and score are recorded after every epoch, and ``early_stopping`` uses
            them instead of a part of X.
        checkpoint : str, path-like or :class:`~sklearn_rnn.callbacks.Checkpoint`, default=None
            Where to keep the state of the training after every epoch. If the file exists, training continues from
            it, with the same bits as if nobody had stopped it. A folder gets a file for each training.

        Returns
        -------
        self : object
            The trained estimator.

        Raises
        ------
        ValueError, TypeError
            For bad input, and a checkpoint of another training. After any exception the estimator is as it was before
            the call.
        OSError
            If the checkpoint cannot be read, or not be written before training begins.

        Examples
        --------
        >>> from sklearn_rnn import RNNClassifier
        >>> X = [[0.1, 0.5, 0.9], [0.8, 0.3], [0.2, 0.4, 0.6, 0.7], [0.9, 0.1]]
        >>> y = ["up", "down", "up", "down"]
        >>> clf = RNNClassifier((8,), max_iter=50, random_state=0)
        >>> clf = clf.fit(X, y, sample_weight=[1, 1, 2, 1])
        >>> clf.predict([[0.3, 0.6], [0.7, 0.2]]).tolist()
        ['up', 'down']
        """
        tasks = FitTasks(self, "fit", self.max_iter, X, y, sample_weight)
        with draft_of(self) as draft:
            draft._fit(X, y, sample_weight, (X_val, y_val, sample_weight_val), tasks, checkpoint_of(self, checkpoint))
        tasks.end()
        return self

    def _fit(self, X, y, sample_weight, validation_data, tasks, checkpoint):
        check_settings(self)
        reader, earlier = self._target_reader(), self._known() if self.warm_start else None
        known, dataset = read_training_data(self, X, y, sample_weight, reader, known=earlier)
        validation = read_validation_data(self, validation_data, reader, known)
        begins = earlier is None
        keeper = None if checkpoint is None else self._keeper(checkpoint, known, dataset, validation, begins)
        options = self._begin_or_continue(known, dataset, keeper, begins)
        if self.early_stopping and validation is None:
            random_state = self._session.random_state
            dataset, validation = hold_out(dataset, known.coding, self.validation_fraction, random_state)
        self._train(dataset, validation, begins=begins, tasks=tasks, **options)

    def _partial_fit(self, X, y, sample_weight, new_sequence, classes=None):
        """Pass over the data once; see ``partial_fit`` of the estimators."""
        refuse_checkpoints(self)
        tasks = FitTasks(self, "partial_fit", 1, X, y, sample_weight)
        with draft_of(self) as draft:
            draft._fit_chunk(X, y, sample_weight, new_sequence, classes, tasks)
        tasks.end()
        return self

    def _fit_chunk(self, X, y, sample_weight, new_sequence, classes, tasks):
        if hasattr(self, "_model"):
            self._validate_params()  # _fit_context does so in the first call alone, and parameters may change
        check_settings(self)
        earlier, data = self._known(), (X, y, sample_weight, self._target_reader())
        known, dataset = read_training_data(self, *data, known=earlier, classes=classes, is_chunk=self.stateful)
        if earlier is None:
            self._begin_training(known, dataset, check_random_state(self.random_state))
        else:
            self._continue_training(known, dataset, continue_session)
        state = self._starting_state(len(dataset), new_sequence)
        self._train(dataset, is_partial=True, state=state, tasks=tasks)

    def _known(self):
        """Return how a model that training can continue with reads data; None before the first training."""
        if not hasattr(self, "_model"):
            return None
        self._refuse_closed_session("training cannot continue")
        check_architecture(self, self._model.architecture)
        return Known(self._model.schema, self._model.coding)

    def _refuse_closed_session(self, problem):
        """Refuse to go on with a model that was saved without the state of its training."""
        if isinstance(self._session, ClosedSession):
            raise ValueError(
                f"{type(self).__name__} was saved without the state of its training: {problem}. Save it by "
                "sklearn_rnn.save(..., with_training=True), or train a new network by fit with warm_start=False."
            )

    def _begin_or_continue(self, known, dataset, keeper, begins):
        """Make a new model, or go on with the last one; return the options of the training that a keeper adds."""
        options = {} if keeper is None else {"keeper": keeper}
        if not begins:
            self._continue_training(known, dataset, restart_session)
            return options
        random_state = self._first_random_state(keeper)
        if keeper is not None:
            options["first_random_state"] = deepcopy(random_state)
        self._begin_training(known, dataset, random_state)
        return options

    def _begin_training(self, known, dataset, random_state):
        """Make a new model, and the session of its training."""
        self._make_model(known, random_state)
        self._start_scores(dataset)

    def _make_model(self, known, random_state):
        """Make a new model with random start values, and a session that has not begun."""
        schema, coding = known
        with threads(1):  # the start values' QR decompositions, too, have other bits with other BLAS threads
            network = make_network(self, schema, coding.n_outputs, random_state)
        self._model = Model(schema, network, self._make_loss(coding).link, coding, architecture_of(self))
        self._session = begin_session(self, network, random_state)

    def _continue_training(self, known, dataset, next_session):
        """Copy the model to train it further; ``next_session`` makes the session from the earlier one."""
        self._model = self._model.copy()
        self._session = next_session(self, self._model.network, self._session)
        if self._model.coding.is_provisional:
            self._model.coding = known.coding
            self._start_scores(dataset)

    def _start_scores(self, dataset):
        """Start the output bias so that the first predictions are near the mean of the targets."""
        if dataset.weights.any():
            scores = self._make_loss(self._model.coding).start_scores(dataset.targets, dataset.weights)
            self._model.network.parameters.views["readout.bias"][...] = scores

    def _starting_state(self, n_sequences, new_sequence):
        """Return the network state in which a chunk begins; None where every call starts from zeros."""
        if self.stateful:
            return carry_over(self._session.carried_state, self._model.network, n_sequences, new_sequence)
        if new_sequence is not None:
            raise ValueError(
                "new_sequence was given, but stateful=False: every sequence starts again with each call. To continue "
                "from call to call, set stateful=True."
            )
        return None

    def _train(self, dataset, validation=None, state=None, **options):
        """Train the draft's own model and session on data of this process; see LocalSource."""
        self._restore(options)
        has_scorer = validation is not None and self.scoring is not None
        score = validation_scorer(self._while_training(), self._model) if has_scorer else None
        self._train_on(LocalSource(dataset, validation, state, score), **options)

    def _train_on(self, source, **options):
        """Train the draft's own model and session, and set the fitted attributes; see TrainingSession.train."""
        model, session = self._model, self._session
        settings = training_settings(self, session.truncation, len(source), in_one_batch=source.state is not None)
        loss = self._make_loss(model.coding)
        best = session.train(model, loss, settings, source, snapshot=self._snapshot, **options)
        self._set_fitted_attributes(best)

    def _while_training(self):
        """Return a fitted estimator with the model that is being trained, to predict with it."""
        twin = type(self).__new__(type(self))
        twin.__dict__ = {name: value for name, value in vars(self).items() if "callback" not in name}
        twin._set_fitted_attributes(Best())
        return twin

    def _snapshot(self, history, best):
        """Return the attributes of an estimator whose training stops now, for callbacks; they do not change later."""
        twin = self._while_training()
        twin._model = self._model.copy()
        if best.parameters is not None:
            twin._model.network.parameters.vector[...] = best.parameters
        twin._session = replace(self._session.copy(), history=history)
        twin._set_fitted_attributes(best)
        return vars(twin)

    def _set_fitted_attributes(self, best: Best) -> None:
        history = self._session.history
        self.loss_curve_ = history.losses
        self.loss_ = history.losses[-1] if history.losses else np.nan
        best_loss = history.best_loss if np.isfinite(history.best_loss) else np.nan
        self.best_loss_ = None if self.early_stopping or not history.losses else best_loss
        self.best_validation_score_ = best.score if self.early_stopping else None
        self.validation_loss_curve_ = history.validation_losses or None
        self.validation_scores_ = history.validation_scores or None
        self.gradient_norms_ = history.gradient_norms
        self.clipped_fraction_ = history.n_clipped / max(1, history.n_updates)
        self.n_iter_ = history.n_epochs
        schema = self._model.schema
        self.patch_size_, self.patch_stride_ = schema.patches
        self.is_categorical_ = None if schema.categories is None else schema.categories.mask
        self.categories_ = None if schema.categories is None else [f.values for f in schema.categories.features]
        self.truncation_ = self._session.truncation.length
        self.t_ = history.n_samples
        self.n_outputs_ = self._model.coding.n_outputs
        self.out_activation_ = self._model.link.name

    def reset_state(self, rows=None):
        """Reset sequences: their next ``partial_fit`` starts from zeros. For ``stateful=True``.

        Parameters
        ----------
        rows : int, array-like of int, or array-like of bool of shape (n_sequences,), default=None
            The sequences to reset, by their places in X. None: all; then their number may change too.

        Returns
        -------
        self : object

        Raises
        ------
        ValueError, TypeError
            For rows out of range, and with ``stateful=False``. The state does not change.

        Examples
        --------
        >>> import numpy as np
        >>> from sklearn_rnn import RNNRegressor
        >>> series = np.sin(np.arange(80.0)).reshape(2, 40, 1)
        >>> reg = RNNRegressor((8,), readout="each", stateful=True, random_state=0)
        >>> for start in (0, 20):
        ...     chunk = series[:, start : start + 20]
        ...     reg = reg.partial_fit(chunk, chunk[:, :, 0])
        >>> reg = reg.reset_state(rows=[0])  # the next chunk continues the second series alone
        """
        check_is_fitted(self)
        if not self.stateful:
            raise ValueError(
                "stateful=False: every sequence starts again with each call, so there is no state to reset. To "
                "continue from call to call, set stateful=True."
            )
        self._refuse_closed_session("there is no state to reset")
        self._session = self._session.with_reset_state(rows)
        return self

    def memory_estimate(self, X):
        """Estimate the memory of the activations that training stores for the backward pass.

        Parameters
        ----------
        X : array-like or list
            Sequences, as for ``fit``; with ``stateful=True`` a chunk, as for ``partial_fit``. The estimator need not be
            fitted, and does not change.

        Returns
        -------
        MemoryEstimate
            A named tuple of ``full`` and ``planned``, the bytes without and with ``memory_budget`` for a batch of the
            longest sequences; ``smallest``, the smallest budget that works; and ``n_forward_passes``, the planned
            number of forward passes over the batch. The data and the output layer's errors take memory besides.

        Raises
        ------
        ValueError
            For bad input, or a budget that is too small.

        Examples
        --------
        >>> import numpy as np
        >>> from sklearn_rnn import RNNRegressor
        >>> X = np.zeros((16, 2000, 3))
        >>> settings = {"patch_size": 1, "bidirectional": False}
        >>> RNNRegressor((32,), **settings).memory_estimate(X).full > 4 * 10**7
        True
        >>> estimate = RNNRegressor((32,), memory_budget="20MB", **settings).memory_estimate(X)
        >>> estimate.planned <= 2 * 10**7, 1 < estimate.n_forward_passes < 2
        (True, True)
        """
        estimator = clone(self)
        estimator._validate_params()
        check_settings(estimator)
        schema, sequences = read_sequences(estimator, X, warns=False)
        patches = choose_patches(estimator, sequences.lengths, np.ones(len(sequences)))
        # The number of outputs does not matter.
        network = make_network(self, replace(schema, patches=patches), 1, np.random.RandomState(0))
        settings = training_settings(self, make_truncation(self), len(sequences), in_one_batch=self.stateful)
        return memory_estimate(network, patches.count_in(sequences.lengths), settings)


def model_of(estimator: BaseRNN) -> Model:
    """Return the model of a fitted estimator."""
    check_is_fitted(estimator)
    return estimator._model


def fitted_twin(estimator: BaseRNN, model: Model, session: TrainingSession) -> Any:
    """Return an estimator with the parameters of another one, fitted: with this model and session."""
    twin = type(estimator)(**estimator.get_params(deep=False))
    twin._model, twin._session = model, session
    twin._set_fitted_attributes(Best())
    return twin


def with_weights(estimator: BaseRNN, schema: InputSchema, coding: Any, weights: dict[str, np.ndarray]) -> BaseRNN:
    """Return the estimator with a model that has these weights, by name; no training has taken place.

    ``schema`` is one of 3-D X and lists.
    """
    estimator._validate_params()
    check_settings(estimator)
    estimator._make_model((schema, coding), check_random_state(estimator.random_state))
    for name, view in estimator.weights_.items():
        view[...] = weights[name]
    estimator.n_features_in_ = schema.step_features
    estimator._set_fitted_attributes(Best())
    return estimator


def reader_of(estimator: BaseRNN) -> TargetReader:
    """Return how an estimator reads y."""
    return estimator._target_reader()


def training_problem(estimator: BaseRNN, X: Any, y: Any) -> tuple[Loss, Dataset]:
    """Return the loss of a fitted estimator, and X and y as a Dataset."""
    model = model_of(estimator)
    check_architecture(estimator, model.architecture)
    reader = estimator._target_reader()
    _, dataset = read_training_data(estimator, X, y, None, reader, known=Known(model.schema, model.coding))
    return estimator._make_loss(model.coding), dataset
