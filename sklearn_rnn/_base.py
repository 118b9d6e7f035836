"""BaseRNN, the base of both estimators: parameters in, fitted attributes out."""

from __future__ import annotations

from abc import ABCMeta, abstractmethod
from dataclasses import replace
from numbers import Integral, Real
from typing import Any, NamedTuple

import numpy as np
from sklearn.base import BaseEstimator, _fit_context, clone, is_regressor
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, Options, StrOptions
from sklearn.utils.validation import check_is_fitted

from sklearn_rnn._data.coding import ClassCoding, ValueCoding
from sklearn_rnn._data.packing import Dataset
from sklearn_rnn._data.reading import check_sequences
from sklearn_rnn._data.schema import InputSchema
from sklearn_rnn._data.targets import check_weights, check_y
from sklearn_rnn._inference.prediction import hidden_states, predict_scores
from sklearn_rnn._inference.stream import PredictionStream
from sklearn_rnn._model import Model
from sklearn_rnn._network.cells import CELLS
from sklearn_rnn._network.readouts import READOUTS
from sklearn_rnn._settings import (
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
from sklearn_rnn._training.carried_state import carry_over, check_rows, reset_rows
from sklearn_rnn._training.losses import Loss
from sklearn_rnn._training.memory.model import memory_estimate
from sklearn_rnn._training.monitor import Best
from sklearn_rnn._training.optimizers import SOLVERS
from sklearn_rnn._training.session import TrainingSession
from sklearn_rnn._utils.atomic import draft_of
from sklearn_rnn._utils.threads import threads


class Names(NamedTuple):
    """The arguments that hold some data, for messages."""

    X: str = "X"
    y: str = "y"
    sample_weight: str = "sample_weight"


TRAINING, VALIDATION = Names(), Names("X_val", "y_val", "sample_weight_val")


class BaseRNN(BaseEstimator, metaclass=ABCMeta):
    """Base of RNNClassifier and RNNRegressor; the parameters are documented there.

    A fitted estimator has a Model (``_model``) and a TrainingSession (``_session``). Methods that train work on a draft
    of the estimator with copies of both; the estimator takes them over when everything went well.
    """

    _parameter_constraints: dict = {
        "hidden_layer_sizes": ["array-like", Interval(Integral, 1, None, closed="left")],
        "cell": [StrOptions(CELLS.keys())],
        "activation": [StrOptions({"tanh", "relu", "logistic", "identity"})],
        "bidirectional": ["boolean"],
        "readout": [StrOptions(READOUTS.keys())],
        "step_features": [Interval(Integral, 1, None, closed="left")],
        "patch_size": [Interval(Integral, 1, None, closed="left")],
        "dropout": [Interval(Real, 0, 1, closed="left")],
        "truncation": [Interval(Integral, 1, None, closed="left"), StrOptions({"auto", "unbiased"}), None],
        "truncation_stride": [Interval(Integral, 1, None, closed="left"), None],
        "truncation_tolerance": [Interval(Real, 0, 1, closed="neither")],
        "memory_budget": [Interval(Integral, 1, None, closed="left"), str, None],
        "stateful": ["boolean"],
        "clip_norm": [Interval(Real, 0, None, closed="neither"), None],
        "clip_value": [Interval(Real, 0, None, closed="neither"), None],
        "solver": [StrOptions(SOLVERS.keys())],
        "alpha": [Interval(Real, 0, None, closed="left")],
        "batch_size": [StrOptions({"auto"}), Interval(Integral, 1, None, closed="left")],
        "learning_rate": [StrOptions({"constant", "invscaling", "adaptive", "cosine"})],
        "learning_rate_init": [Interval(Real, 0, None, closed="neither")],
        "power_t": [Interval(Real, 0, None, closed="left")],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "shuffle": ["boolean"],
        "random_state": ["random_state"],
        "tol": [Interval(Real, 0, None, closed="left")],
        "n_iter_no_change": [Interval(Integral, 1, None, closed="left"), Options(Real, {np.inf})],
        "early_stopping": ["boolean"],
        "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
        "momentum": [Interval(Real, 0, 1, closed="both")],
        "nesterovs_momentum": ["boolean"],
        "beta_1": [Interval(Real, 0, 1, closed="left")],
        "beta_2": [Interval(Real, 0, 1, closed="left")],
        "epsilon": [Interval(Real, 0, None, closed="neither")],
        "max_fun": [Interval(Integral, 1, None, closed="left")],
        "warm_start": ["boolean"],
        "verbose": ["verbose"],
        "n_jobs": [Integral, None],
    }

    _model: Model
    _session: TrainingSession

    def _set_parameters(self, arguments: dict[str, Any]) -> None:
        """Store the arguments of ``__init__``, its ``locals()``, as attributes of the same names."""
        self.__dict__.update({name: value for name, value in arguments.items() if name not in ("self", "__class__")})

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = True
        tags.input_tags.three_d_array = True
        return tags

    # ---- What the two estimators make of y -----------------------------------------------------------

    @abstractmethod
    def _check_y(self, y: Any, sequences: Any, dtype: Any, name: str = "y") -> np.ndarray:
        """Check y; return it as one row per sequence or per step."""

    @abstractmethod
    def _learn_coding(self, y: np.ndarray, classes: np.ndarray | None) -> ClassCoding | ValueCoding:
        """Return the coding of checked targets."""

    @abstractmethod
    def _make_loss(self, coding: Any) -> Loss:
        """Return the loss that is trained."""

    def _reweigh(self, weights: np.ndarray, targets: np.ndarray, coding: Any) -> np.ndarray:
        """Return the samples' weights, class weights included."""
        return weights

    # ---- Training ------------------------------------------------------------------------------------

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y, sample_weight=None, X_val=None, y_val=None, sample_weight_val=None):
        """Train on sequences X and targets y.

        Parameters
        ----------
        X : array-like of shape (n_sequences, n_columns), array-like of shape \
                (n_sequences, n_steps, n_features), or list of arrays of shape (n_steps_i, n_features) or (n_steps_i,)
            The sequences: rows of a table, an array with axes sequence, time, feature, or a ragged list. An
            array in a memory-mapped file (numpy.memmap or a view of one, of any dtype and strides), or a list of
            such arrays, stays there: this and all other methods read, and convert, a batch at a time.
        y : array-like of shape (n_sequences,) or (n_sequences, n_outputs); for readout "each" of shape \
                (n_sequences, n_steps) or (n_sequences, n_steps, n_outputs), or a list of per-sequence arrays
            The targets.
        sample_weight : array-like of shape (n_sequences,), default=None
            Weights; a weight of 2 is the sequence twice, a weight of 0 is none. None is 1 for each.
        X_val, y_val, sample_weight_val : as X, y and sample_weight, default=None
            Validation data: loss and score are recorded after every epoch, and ``early_stopping`` looks
            at them rather than at a part of X.

        Returns
        -------
        self : object
            The trained estimator.

        Raises
        ------
        ValueError, TypeError
            For bad input; the estimator stays as it was.
        """
        with draft_of(self) as draft:
            draft._fit(X, y, sample_weight, (X_val, y_val, sample_weight_val))
        return self

    def _fit(self, X, y, sample_weight, validation_data):
        check_settings(self)
        known = self._known() if self.warm_start else None
        schema, coding, dataset = self._read(X, y, sample_weight, known=known)
        validation = self._read_validation(validation_data, (schema, coding))
        if known is None:
            self._make_model(schema, coding)
        else:
            self._model = self._model.copy()
            self._session = restart_session(self, self._model.network, self._session)
        if self.early_stopping and validation is None:
            dataset, validation = self._hold_out(dataset)
        self._train(dataset, validation)

    def _partial_fit(self, X, y, sample_weight, new_sequence, classes=None):
        check_settings(self)
        known = self._known()
        schema, coding, dataset = self._read(X, y, sample_weight, known=known, classes=classes, is_chunk=self.stateful)
        if known is None:
            self._make_model(schema, coding)
        else:
            self._model = self._model.copy()
            self._session = continue_session(self, self._model.network, self._session)
        self._train(dataset, is_partial=True, state=self._starting_state(len(dataset), new_sequence))

    def _known(self):
        """Return schema and coding of a model that training can continue with; None before the first training."""
        if not hasattr(self, "_model"):
            return None
        check_architecture(self, self._model.architecture)
        return self._model.schema, self._model.coding

    def _make_model(self, schema, coding):
        """Make a new model, and the session of its training."""
        random_state = check_random_state(self.random_state)
        with threads(1):  # the start values' QR decompositions, too, have other bits with other BLAS threads
            network = make_network(self, schema.n_inputs, coding.n_outputs, schema.dtype, random_state)
        self._model = Model(schema, network, self._make_loss(coding).link, coding, architecture_of(self))
        self._session = begin_session(self, network, random_state)

    def _starting_state(self, n_sequences, new_sequence):
        """Network state that a chunk begins in; None where every call begins anew."""
        if self.stateful:
            return carry_over(self._session.carried_state, self._model.network, n_sequences, new_sequence)
        if new_sequence is not None:
            raise ValueError(
                "new_sequence was given, but stateful=False: every sequence begins anew with each call. To go on from "
                "call to call, set stateful=True."
            )
        return None

    def _hold_out(self, dataset):
        """Split off ``validation_fraction`` of the sequences, by class where each has one."""
        from sklearn.model_selection import train_test_split  # here: importing it takes longer than all of this package

        training, held_out = train_test_split(
            np.arange(len(dataset)),
            test_size=self.validation_fraction,
            random_state=self._session.random_state,
            stratify=None if dataset.per_step else self._model.coding.strata(dataset.targets),
        )
        parts = dataset.subset(training), dataset.subset(held_out)
        if len(parts[1].targets) < 2:
            raise ValueError(
                f"validation_fraction={self.validation_fraction} of {len(dataset)} sequences leaves one to validate "
                "on: raise it, or pass X_val and y_val."
            )
        if not all(part.weights.any() for part in parts):
            raise ValueError(
                "sample_weight is zero for every sequence that early_stopping sets aside, or for all others: choose "
                "another random_state or validation_fraction, or pass X_val and y_val."
            )
        return parts

    def _train(self, dataset, validation=None, is_partial=False, state=None):
        """Train the draft's own model and session, and set the fitted attributes."""
        model, session = self._model, self._session
        settings = training_settings(self, session.truncation, len(dataset), in_one_batch=state is not None)
        loss = self._make_loss(model.coding)
        best = session.train(model, loss, settings, dataset, validation, is_partial=is_partial, state=state)
        self._set_fitted_attributes(best)

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
        self.truncation_ = self._session.truncation.length
        self.t_ = history.n_samples
        self.n_outputs_ = self._model.coding.n_outputs
        self.out_activation_ = self._model.link.name

    def reset_state(self, rows=None):
        """Let sequences begin anew with the next ``partial_fit`` of an estimator with ``stateful=True``.

        Parameters
        ----------
        rows : int, array-like of int, or array-like of bool of shape (n_sequences,), default=None
            Which ones, by their places in X; None for all, after which their number may change too.

        Returns
        -------
        self : object

        Raises
        ------
        ValueError, TypeError
            For rows that are not there, and with ``stateful=False``; the state stays as it was.
        """
        check_is_fitted(self)
        if not self.stateful:
            raise ValueError(
                "stateful=False: every sequence begins anew with each call, so that there is no state to reset. To go "
                "on from call to call, set stateful=True."
            )
        state = self._session.carried_state
        if state is None and rows is not None:
            check_rows(rows)
        elif state is not None:
            state = None if rows is None else reset_rows(state, rows)
        self._session = replace(self._session, carried_state=state)
        return self

    def memory_estimate(self, X):
        """Tell what the activations that training stores for the backward pass will take.

        Parameters
        ----------
        X : array-like or list
            Sequences, as for ``fit``; with ``stateful=True`` a chunk, as for ``partial_fit``. The estimator need not be
            fitted, and is not changed.

        Returns
        -------
        MemoryEstimate
            A named tuple of ``full`` and ``planned``, the bytes without and with ``memory_budget`` for a batch of the
            longest sequences; ``smallest``, the smallest budget that works; and ``n_forward_passes``, how often the
            batch is run forward as planned. Its data and the output layer's errors come on top.

        Raises
        ------
        ValueError
            For bad input, or a budget that does not suffice.
        """
        estimator = clone(self)
        estimator._validate_params()
        check_settings(estimator)
        sequences = check_sequences(estimator, X, reset=True, step_features=self.step_features, may_stay_mapped=True)
        sequences = sequences.patched(self.patch_size)
        # The number of outputs does not matter.
        network = make_network(self, sequences.n_features, 1, sequences.dtype, np.random.RandomState(0))
        settings = training_settings(self, make_truncation(self), len(sequences), in_one_batch=self.stateful)
        return memory_estimate(network, sequences.lengths, settings)

    # ---- Data ----------------------------------------------------------------------------------------

    def _read(self, X, y, sample_weight, names=TRAINING, *, known=None, classes=None, is_chunk=False):
        """Check X, y and the weights; return a schema, a coding (the ``known`` ones, or learned here) and a Dataset.

        ``is_chunk`` where the sequences may have begun before X: without any weight it still moves the state.
        """
        schema, sequences = self._read_sequences(X, names.X, None if known is None else known[0])
        if is_chunk:
            schema.check_whole_patches(
                sequences,
                f"but with stateful=True a chunk needs a multiple of patch_size={schema.patch_size}: zeros before a "
                "patch would come in mid-sequence.",
            )
        y = self._check_y(y, sequences, schema.dtype, names.y)
        coding = self._learn_coding(y, classes) if known is None else known[1]
        targets = coding.encode(y, schema.dtype, schema.owner, names.y)
        weights = check_weights(sample_weight, sequences, schema.dtype, is_chunk, names.sample_weight)
        per_step = self.readout == "each"
        if per_step:
            weights = np.repeat(weights, sequences.lengths)
        weights = self._reweigh(weights, targets, coding).astype(schema.dtype, copy=False)
        if not is_chunk and not weights.any():
            raise ValueError(f"class_weight={self.class_weight} leaves every sequence with weight 0.")
        return schema, coding, Dataset(sequences.patched(schema.patch_size), targets, weights, per_step)

    def _read_sequences(self, X, name, schema):
        """Check X; return its schema, learned here if it is None, and the steps, not yet in patches."""
        if schema is not None:
            return schema, schema.read(self, X, name)
        sequences = check_sequences(self, X, reset=True, step_features=self.step_features, may_stay_mapped=True)
        schema = InputSchema(
            owner=type(self).__name__,
            is_table=sequences.form == "rows",
            n_features=self.n_features_in_,
            step_features=sequences.n_features,
            patch_size=self.patch_size,
            dtype=sequences.dtype,
        )
        return schema, sequences

    def _read_validation(self, data, known):
        """Return the Dataset of (X_val, y_val, sample_weight_val); None where all are None."""
        X_val, y_val, sample_weight_val = data
        if X_val is not None and y_val is not None:
            return self._read(X_val, y_val, sample_weight_val, VALIDATION, known=known)[-1]
        for name, value in zip(VALIDATION, data):
            if value is not None:
                raise ValueError(f"{name} was given alone: X_val and y_val go together.")
        return None

    # ---- Predictions ---------------------------------------------------------------------------------

    def _read_new(self, X):
        """Check X for the network, whatever the parameters are now; return its network steps."""
        check_is_fitted(self)
        schema = self._model.schema
        return schema.read(self, X).patched(schema.patch_size)

    def _apply(self, X, function):
        """Return ``function`` of the raw scores h V + c, (n, n_outputs), by sequence or, in the form of X, by step."""
        sequences = self._read_new(X)
        scores = predict_scores(self._model.network, sequences, self.n_jobs)
        return self._model.in_form_of(sequences, function(scores))

    def _join_steps(self, X, y, sample_weight):
        """Return true and predicted values, and the weights, of all steps of all sequences (readout "each")."""
        sequences = self._read_new(X)
        y = check_y(y, sequences, per_step=True, numeric=is_regressor(self), dtype=np.float64)
        weights = np.repeat(check_weights(sample_weight, sequences, np.float64), sequences.lengths)
        return y, np.concatenate(list(self.predict(X))), weights

    def hidden_states(self, X):
        """Hidden states of the last layer after every step.

        Parameters
        ----------
        X : array-like or list
            Sequences, as for ``fit``.

        Returns
        -------
        ndarray of shape (n_sequences, n_steps, n_hidden), or a list of arrays (n_steps_i, n_hidden) for ragged X
            n_hidden is the number of units of the last layer, of both directions if bidirectional. Steps
            are network steps: of ``patch_size`` steps of X.
        """
        sequences = self._read_new(X)
        return sequences.split(hidden_states(self._model.network, sequences, self.n_jobs))

    def stream(self, n_sequences=1):
        """Begin predictions that go on step by step, at the same cost for each step.

        Parameters
        ----------
        n_sequences : int, default=1
            Sequences that go on side by side.

        Returns
        -------
        stream : PredictionStream
            Its ``step(x)`` takes the next step of every sequence, its ``predict(X)`` the next several. It has
            copies of the weights: training the estimator further does not change it.

        Raises
        ------
        NotFittedError
            Before ``fit``.
        ValueError
            For bidirectional networks, which need the whole sequence, and for ``n_sequences`` below 1.
        TypeError
            For ``n_sequences`` that is no integer.
        """
        check_is_fitted(self)
        return PredictionStream(self._model.copy(), n_sequences, self.n_jobs)

    @property
    def weights_(self):
        """Views of all parameters by name: assign in place (``weights_[name][...] = array``) to load weights.

        Training replaces the parameters: get the views anew after it.
        """
        check_is_fitted(self, "_model")
        return dict(self._model.network.parameters.views)


def model_of(estimator: BaseRNN) -> Model:
    """Return the model of a fitted estimator."""
    check_is_fitted(estimator)
    return estimator._model


def training_problem(estimator: BaseRNN, X: Any, y: Any) -> tuple[Loss, Dataset]:
    """Return the loss of a fitted estimator, and X and y as a Dataset."""
    model = model_of(estimator)
    check_architecture(estimator, model.architecture)
    dataset = estimator._read(X, y, None, known=(model.schema, model.coding))[-1]
    return estimator._make_loss(model.coding), dataset
