"""BaseRNN: what both estimators share. Parameters and their constraints; fit, partial_fit, predictions."""

from __future__ import annotations

import copy
import re
from abc import ABCMeta, abstractmethod
from numbers import Integral, Real

import numpy as np
from sklearn.base import BaseEstimator, _fit_context, clone
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, Options, StrOptions
from sklearn.utils.validation import check_is_fitted

from sklearn_rnn._data.packing import Dataset
from sklearn_rnn._data.sequences import as_dtype, check_sequences, unchanged_on_error
from sklearn_rnn._data.targets import check_weights
from sklearn_rnn._inference.prediction import hidden_states, predict_scores
from sklearn_rnn._inference.stream import PredictionStream
from sklearn_rnn._network.cells import CELLS
from sklearn_rnn._network.network import RecurrentNetwork
from sklearn_rnn._network.readouts import READOUTS
from sklearn_rnn._training.carried_state import carry_over, check_rows, reset_rows
from sklearn_rnn._training.losses import Loss
from sklearn_rnn._training.memory.budget import in_bytes, memory_estimate
from sklearn_rnn._training.monitor import History, Monitor
from sklearn_rnn._training.optimizers import SGD, Adam, LearningRate, Optimizer, RMSprop
from sklearn_rnn._training.trainer import (
    Diverged,
    Trainer,
    TrainingSettings,
    train,
    train_lbfgs,
    without_overflow_warnings,
)
from sklearn_rnn._training.truncation.adaptive import AdaptiveTruncation
from sklearn_rnn._training.truncation.fixed import MEAN_WINDOW, FixedTruncation, UnbiasedTruncation
from sklearn_rnn._utils.threads import threads


def can_partial_fit(estimator):
    """Whether the settings allow ``partial_fit``; for ``available_if``."""
    for parameter, value in (
        ("solver", "lbfgs"),
        ("early_stopping", True),
        ("learning_rate", "cosine"),
    ):
        if getattr(estimator, parameter) == value:
            raise AttributeError(
                f"{parameter}={value!r} does not go with partial_fit, which sees a part of the data at a time: use fit."
            )
    return True


def _bounded(n_steps):
    """Return a number of steps that NumPy's integers can hold; anything else as it is."""
    return min(n_steps, np.iinfo(np.intp).max) if isinstance(n_steps, Integral) else n_steps


class BaseRNN(BaseEstimator, metaclass=ABCMeta):
    """Base of RNNClassifier and RNNRegressor; the parameters are documented there."""

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
        "solver": [StrOptions({"adam", "sgd", "rmsprop", "lbfgs"})],
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

    _network: RecurrentNetwork
    _history: History
    _random_state: np.random.RandomState
    _optimizer: Optimizer | None
    _schedule: LearningRate
    _solver: str
    _loss: Loss

    @abstractmethod
    def __init__(
        self,
        hidden_layer_sizes,
        cell,
        activation,
        bidirectional,
        readout,
        step_features,
        patch_size,
        dropout,
        truncation,
        truncation_stride,
        truncation_tolerance,
        memory_budget,
        stateful,
        clip_norm,
        clip_value,
        solver,
        alpha,
        batch_size,
        learning_rate,
        learning_rate_init,
        power_t,
        max_iter,
        shuffle,
        random_state,
        tol,
        n_iter_no_change,
        early_stopping,
        validation_fraction,
        momentum,
        nesterovs_momentum,
        beta_1,
        beta_2,
        epsilon,
        max_fun,
        warm_start,
        verbose,
        n_jobs,
    ):
        self.hidden_layer_sizes = hidden_layer_sizes
        self.cell = cell
        self.activation = activation
        self.bidirectional = bidirectional
        self.readout = readout
        self.step_features = step_features
        self.patch_size = patch_size
        self.dropout = dropout
        self.truncation = truncation
        self.truncation_stride = truncation_stride
        self.truncation_tolerance = truncation_tolerance
        self.memory_budget = memory_budget
        self.stateful = stateful
        self.clip_norm = clip_norm
        self.clip_value = clip_value
        self.solver = solver
        self.alpha = alpha
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.learning_rate_init = learning_rate_init
        self.power_t = power_t
        self.max_iter = max_iter
        self.shuffle = shuffle
        self.random_state = random_state
        self.tol = tol
        self.n_iter_no_change = n_iter_no_change
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.momentum = momentum
        self.nesterovs_momentum = nesterovs_momentum
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self.max_fun = max_fun
        self.warm_start = warm_start
        self.verbose = verbose
        self.n_jobs = n_jobs

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = True
        tags.input_tags.three_d_array = True
        return tags

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
        with unchanged_on_error(self):
            self._check_settings()
            goes_on = self.warm_start and hasattr(self, "_network")
            dataset = self._check_data(X, y, sample_weight, reset=not goes_on)
            validation = self._check_validation_data(X_val, y_val, sample_weight_val)
            if goes_on:
                self._check_architecture()
                # Changed in place by training: an error leaves the estimator with the originals.
                self._history, self._random_state = copy.deepcopy((self._history, self._random_state))
            else:
                self._begin(dataset)
            self._make_optimizer()
            self._truncation = self._make_truncation()
            self._carried_state = None
            if self.early_stopping and validation is None:
                dataset, validation = self._hold_out(dataset)
            self._train(dataset, validation)
        return self

    def _partial_fit(self, X, y, sample_weight, new_sequence, classes=None):
        """Pass over the data once; see ``partial_fit`` of the estimators."""
        with unchanged_on_error(self):
            self._check_settings()
            is_first = not hasattr(self, "_network")
            dataset = self._check_data(X, y, sample_weight, reset=is_first, classes=classes, is_chunk=self.stateful)
            if is_first:
                self._begin(dataset)
                self._make_optimizer()
                self._truncation = self._make_truncation()
                self._carried_state = None
            else:
                self._check_architecture()
                # As in fit; the history is written to only when nothing can go wrong any more.
                self._optimizer, self._schedule, self._random_state, self._truncation = copy.deepcopy(
                    (self._optimizer, self._schedule, self._random_state, self._truncation)
                )
                if self.solver != self._solver:
                    self._make_optimizer()
                if self._truncation.settings != self._make_truncation().settings:
                    self._truncation = self._make_truncation()
            self._train(dataset, is_partial=True, state=self._starting_state(len(dataset), new_sequence))
        return self

    def _starting_state(self, n_sequences, new_sequence):
        """Network state that a chunk begins in; None where every call begins anew."""
        if self.stateful:
            return carry_over(self._carried_state, self._network, n_sequences, new_sequence)
        if new_sequence is not None:
            raise ValueError(
                "new_sequence was given, but stateful=False: every sequence begins anew with each call. To go on from "
                "call to call, set stateful=True."
            )
        return None

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
        if rows is None:
            self._carried_state = None
        elif self._carried_state is None:
            check_rows(rows)
        else:
            self._carried_state = reset_rows(self._carried_state, rows)
        return self

    def _check_settings(self):
        """Refuse parameters that do not go together."""
        sizes = self._layer_sizes()
        if not sizes or any(not isinstance(n, Integral) or n < 1 for n in sizes):
            raise ValueError(f"hidden_layer_sizes must be integers of at least 1, got {self.hidden_layer_sizes!r}.")
        if self.cell != "rnn" and self.activation != "tanh":
            raise ValueError(
                f"activation={self.activation!r} is for cell='rnn' alone: cell={self.cell!r} has fixed "
                "activations. Leave activation at 'tanh'."
            )
        in_bytes(self.memory_budget)
        if self.truncation == "unbiased" and self.truncation_stride == 1:
            raise ValueError(
                "truncation_stride=1 is too short for truncation='unbiased', whose windows have that many steps in the "
                "mean: set truncation_stride to 2 or more."
            )
        is_fixed = self.truncation is None or isinstance(self.truncation, Integral)
        if is_fixed and self.truncation_stride is not None and self.truncation_stride > (self.truncation or 0):
            raise ValueError(
                f"truncation_stride={self.truncation_stride} is more than truncation={self.truncation}: the losses "
                "of the steps between would be lost. Choose truncation_stride <= truncation."
            )
        for name, neutral, other, reason in self._exclusions():
            if getattr(self, name) != neutral:
                raise ValueError(
                    f"{name}={getattr(self, name)!r} does not go with {other}, {reason} Set {name}={neutral}."
                )

    def _exclusions(self):
        """Yield (parameter, its neutral value, what others do not go with, why) for the settings as they are."""
        if self.bidirectional:
            reason = "whose reverse pass begins at the end of the whole sequence."
            yield "truncation", None, "bidirectional=True", reason
            yield "memory_budget", None, "bidirectional=True", reason
            yield "stateful", False, "bidirectional=True", reason
        if self.readout == "each":
            yield "patch_size", 1, "readout='each'", "which predicts at every step."
        if self.solver == "lbfgs":
            reason = "which needs the exact gradient of a fixed loss."
            yield "truncation", None, "solver='lbfgs'", reason
            yield "dropout", 0.0, "solver='lbfgs'", reason

    def _layer_sizes(self):
        sizes = self.hidden_layer_sizes
        return (sizes,) if isinstance(sizes, Integral) else tuple(sizes)

    def _check_data(self, X, y, sample_weight, reset, classes=None, is_chunk=False):
        """Check X, y and the weights; set what they tell about the data; return a Dataset.

        ``is_chunk`` where the sequences may have begun before X: without any weight it moves the state all the same.
        """
        sequences = check_sequences(self, X, reset=reset, step_features=self.step_features, may_stay_mapped=True)
        if is_chunk and (sequences.lengths % self.patch_size).any():
            sequence = (sequences.lengths % self.patch_size).argmax()
            raise ValueError(
                f"X[{sequence}] has {sequences.lengths[sequence]} steps, but with stateful=True a chunk needs a "
                f"multiple of patch_size={self.patch_size}: zeros before a patch would come in mid-sequence."
            )
        if reset:
            self._dtype = sequences.dtype
        sequences = as_dtype(sequences, self, self._dtype)
        targets = self._check_targets(y, sequences, reset, classes)
        weights = check_weights(sample_weight, sequences, self._dtype, may_be_zero=is_chunk)
        per_step = self.readout == "each"
        if per_step:
            weights = np.repeat(weights, sequences.lengths)
        weights = self._reweigh(weights, targets).astype(self._dtype, copy=False)
        if not is_chunk and not weights.any():
            raise ValueError(f"class_weight={self.class_weight} leaves every sequence with weight 0.")
        return Dataset(sequences.patched(self.patch_size), targets, weights, per_step)

    def _check_validation_data(self, X_val, y_val, sample_weight_val):
        if X_val is not None and y_val is not None:
            try:
                return self._check_data(X_val, y_val, sample_weight_val, reset=False)
            except (TypeError, ValueError) as error:
                raise type(error)(re.sub(r"\b(X|y|sample_weight)\b", r"\1_val", str(error))) from error
        for name, value in (
            ("X_val", X_val),
            ("y_val", y_val),
            ("sample_weight_val", sample_weight_val),
        ):
            if value is not None:
                raise ValueError(f"{name} was given alone: X_val and y_val go together.")
        return None

    @abstractmethod
    def _check_targets(self, y, sequences, reset, classes):
        """Check y; return it encoded, (n_sequences or n_rows, n_outputs), in the estimator's dtype."""

    def _reweigh(self, weights, targets):
        """Return the samples' weights, class weights included."""
        return weights

    @abstractmethod
    def _make_loss(self):
        """Return the loss that is trained."""

    @abstractmethod
    def _score_of(self, scores, targets, weights):
        """Accuracy or R^2 of raw scores against encoded targets."""

    def _begin(self, dataset):
        """Start anew: random numbers, history, network."""
        self._random_state = check_random_state(self.random_state)
        self._history = History()
        self._architecture = self._describe_architecture()
        with threads(1):  # the start values' QR decompositions too have other bits with other BLAS threads
            self._network = self._make_network(dataset.sequences, self._random_state)

    def _make_network(self, sequences, random_state):
        return RecurrentNetwork(
            sequences.n_features,
            self._layer_sizes(),
            self.n_outputs_,
            cell=self.cell,
            activation=self.activation,
            bidirectional=self.bidirectional,
            readout=self.readout,
            dtype=self._dtype,
            random_state=random_state,
        )

    def _describe_architecture(self):
        names = ("cell", "activation", "bidirectional", "readout", "step_features", "patch_size")
        return {"hidden_layer_sizes": self._layer_sizes()} | {name: getattr(self, name) for name in names}

    def _check_architecture(self):
        """Refuse to go on training a network that the parameters no longer describe."""
        for name, value in self._describe_architecture().items():
            if value != self._architecture[name]:
                raise ValueError(
                    f"{name}={value!r}, but the fitted network has {name}={self._architecture[name]!r}: training "
                    "goes on with the same architecture only. Call fit with warm_start=False to start anew."
                )

    def _make_optimizer(self):
        """Begin a new optimizer (None for L-BFGS) and learning rate schedule."""
        layout = (len(self._network.parameters.vector), self._dtype)
        self._optimizer = {
            "adam": lambda: Adam(*layout, self.beta_1, self.beta_2, self.epsilon),
            "sgd": lambda: SGD(*layout, self.momentum, self.nesterovs_momentum),
            "rmsprop": lambda: RMSprop(*layout, self.beta_2, self.epsilon),
            "lbfgs": lambda: None,
        }[self.solver]()
        self._solver = self.solver
        self._schedule = LearningRate(self.learning_rate, self.learning_rate_init, self.power_t, self.max_iter)

    def _make_truncation(self):
        length, stride = _bounded(self.truncation), _bounded(self.truncation_stride)
        if length == "auto":
            return AdaptiveTruncation(self.truncation_tolerance, stride)
        if length == "unbiased":
            return UnbiasedTruncation(stride or MEAN_WINDOW)
        return FixedTruncation(length, stride)

    def _hold_out(self, dataset):
        """Split off ``validation_fraction`` of the sequences, by class where each has one."""
        from sklearn.model_selection import train_test_split  # here: importing it takes longer than all of this package

        training, held_out = train_test_split(
            np.arange(len(dataset)),
            test_size=self.validation_fraction,
            random_state=self._random_state,
            stratify=self._strata(dataset),
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

    def _strata(self, dataset):
        """Class of every sequence, or None."""
        return None

    def _train(self, dataset, validation=None, is_partial=False, state=None):
        """Train the network in place, for one epoch if ``is_partial``, and set the fitted attributes.

        From ``state`` on, which is written to, the sequences go on together, in one batch.
        """
        n_epochs = 1 if is_partial else self.max_iter
        settings = self._settings(len(dataset), state is not None)
        if settings.memory_budget is not None:
            memory_estimate(self._network, dataset.sequences.lengths, settings)
        self._loss = self._make_loss()
        parameters = self._network.parameters.vector
        before = parameters.copy()
        monitor = Monitor(
            self._history,
            parameters,
            tol=self.tol,
            n_iter_no_change=self.n_iter_no_change,
            early_stopping=self.early_stopping,
            verbose=self.verbose,
            validate=None if validation is None else lambda: self._evaluate(validation),
            watches_loss=self.solver != "lbfgs" and not is_partial,
        )
        try:
            with threads(self.n_jobs) as run:
                model = (self._network, self._loss, self._optimizer)
                trainer = Trainer(*model, settings, self._random_state, run, state)
                if self.solver == "lbfgs":
                    train_lbfgs(trainer, dataset, n_epochs, self.max_fun, self.tol, monitor)
                else:
                    is_complete = train(trainer, dataset, self._schedule, n_epochs, monitor)
        except BaseException:
            parameters[...] = before
            raise
        if monitor.best_parameters is not None:
            parameters[...] = monitor.best_parameters
        if is_partial and (is_complete or state is None):  # otherwise it is that of the chunk before, resets undone
            self._carried_state = state
        self._set_fitted_attributes(monitor)

    def _settings(self, n_sequences, in_one_batch):
        batch_size = min(64, n_sequences) if self.batch_size == "auto" else self.batch_size
        return TrainingSettings(
            batch_size=n_sequences if in_one_batch else batch_size,
            shuffle=self.shuffle,
            truncation=self._truncation,
            memory_budget=in_bytes(self.memory_budget),
            clip_norm=self.clip_norm,
            clip_value=self.clip_value,
            alpha=self.alpha,
            dropout=self.dropout,
        )

    def _evaluate(self, validation):
        """Return (loss, score) of the network on encoded data."""
        scores = predict_scores(self._network, validation.sequences, self.n_jobs)
        with without_overflow_warnings():
            loss = self._loss.value(scores, validation.targets, validation.weights)
            if not np.isfinite(loss):
                raise Diverged
            score = self._score_of(scores, validation.targets, validation.weights)
        return loss / validation.weights.sum(dtype=np.float64), score

    def _set_fitted_attributes(self, monitor):
        history = self._history
        self.loss_curve_ = history.losses
        self.loss_ = history.losses[-1] if history.losses else np.nan
        best_loss = history.best_loss if np.isfinite(history.best_loss) else np.nan
        self.best_loss_ = None if self.early_stopping or not history.losses else best_loss
        self.best_validation_score_ = monitor.best_score if self.early_stopping else None
        self.validation_loss_curve_ = history.validation_losses or None
        self.validation_scores_ = history.validation_scores or None
        self.gradient_norms_ = history.gradient_norms
        self.clipped_fraction_ = history.n_clipped / max(1, history.n_updates)
        self.n_iter_ = history.n_epochs
        self.truncation_ = self._truncation.length
        self.t_ = history.n_samples
        self.out_activation_ = self._loss.out_activation

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
        estimator._check_settings()
        sequences = check_sequences(estimator, X, reset=True, step_features=self.step_features, may_stay_mapped=True)
        sequences = sequences.patched(self.patch_size)
        # How many outputs there are does not matter.
        estimator._dtype, estimator.n_outputs_ = sequences.dtype, 1
        estimator._truncation = estimator._make_truncation()
        network = estimator._make_network(sequences, np.random.RandomState(0))
        return memory_estimate(network, sequences.lengths, estimator._settings(len(sequences), self.stateful))

    # ---- Predictions ---------------------------------------------------------------------------------

    def _check_new_steps(self, X):
        check_is_fitted(self)
        # As the network was built, whatever the parameters are now.
        step_features = self._architecture["step_features"]
        sequences = check_sequences(self, X, reset=False, step_features=step_features, may_stay_mapped=True)
        return as_dtype(sequences, self, self._dtype)

    def _check_new_sequences(self, X):
        """Check X; return its steps as the network takes them, in patches."""
        return self._check_new_steps(X).patched(self._architecture["patch_size"])

    def _predict_scores(self, X):
        """Raw scores h V + c, (n_sequences or n_rows, n_outputs), and the sequences they belong to."""
        sequences = self._check_new_sequences(X)
        return predict_scores(self._network, sequences, self.n_jobs), sequences

    @abstractmethod
    def _predictions_of(self, scores):
        """Return what ``predict`` gives, (n,) or (n, n_outputs), for raw scores (n, n_outputs)."""

    def _in_form_of(self, sequences, values):
        """One value (or row) per sequence as it is; one per step in the form of X."""
        return sequences.split(values) if self._network.readout == "each" else values

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
        sequences = self._check_new_sequences(X)
        return sequences.split(hidden_states(self._network, sequences, self.n_jobs))

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
        return PredictionStream(self, n_sequences)

    @property
    def weights_(self):
        """Live views of all parameters by name: assign in place (``weights_[name][...] = array``) to load weights."""
        check_is_fitted(self, "_network")
        return dict(self._network.parameters.views)
