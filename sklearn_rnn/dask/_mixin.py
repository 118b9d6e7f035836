"""DaskMixin: fit and predict on parts that stay on their workers, the same for classes and values."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import dask
from sklearn.base import _clone_parametrized
from sklearn.utils.validation import check_is_fitted

from sklearn_rnn._base import BaseRNN
from sklearn_rnn._data.names import record_names
from sklearn_rnn._data.target_readers import LabelReader
from sklearn_rnn._data.training_data import TRAINING, VALIDATION, Names
from sklearn_rnn._data.validation import INSTEAD
from sklearn_rnn._identity import digest_of
from sklearn_rnn._settings import (
    check_settings,
    continue_session,
    training_settings,
)
from sklearn_rnn._utils.warnings import warn_user
from sklearn_rnn.dask._cluster import Cluster, PreparedParts, client_of
from sklearn_rnn.dask._data import Recipe, describe, prepare
from sklearn_rnn.dask._parts import Parts, is_collection, joined, parts_of
from sklearn_rnn.dask._predictions import output_of, predict_part, score_part
from sklearn_rnn.dask._settings import CONSTRAINTS, check_dask_settings
from sklearn_rnn.dask._survey import class_weights, join, refuse_cut_sequences, summarize, warn_of_empty
from sklearn_rnn.dask._tasks import n_held_out
from sklearn_rnn.dask._training import PartsSource


class DaskMixin(BaseRNN):
    """What both Dask estimators do in another way than the plain ones."""

    _plain_class: type[BaseRNN]

    client: Any
    local_updates: Any
    by: Any
    order: Any

    # ---- Copies ----------------------------------------------------------------------------------------

    def __getstate__(self):
        return super().__getstate__() | {"client": None}

    def __sklearn_clone__(self):
        # scikit-learn would copy the client.
        twin = type(self).__new__(type(self))
        twin.__dict__ = vars(self) | {"client": None}
        clone = _clone_parametrized(twin)
        clone.client = self.client
        return clone

    def to_local(self):
        """Return the plain estimator, fitted, which needs no cluster.

        Returns
        -------
        estimator : RNNClassifier or RNNRegressor
            With copies of parameters and fitted attributes. Its predictions have the same bits.

        Examples
        --------
        >>> import dask.array as da
        >>> from distributed import Client
        >>> from sklearn_rnn.dask import DaskRNNRegressor
        >>> from sklearn_rnn.datasets import make_noisy_sines
        >>> X, y = make_noisy_sines(40, random_state=0)
        >>> X, y = da.from_array(X, chunks=(20, -1, -1)), da.from_array(y, chunks=20)
        >>> with Client(processes=False, dashboard_address=":0") as client:
        ...     reg = DaskRNNRegressor(4, max_iter=2, random_state=0, client=client).fit(X, y)
        >>> reg.to_local()
        RNNRegressor(hidden_layer_sizes=4, max_iter=2, random_state=0)
        """
        check_is_fitted(self)
        local = self._unfitted()
        fitted = {name: value for name, value in vars(self).items() if name not in self.get_params(deep=False)}
        for name in ("_skl_callbacks", "_callback_fit_ctx"):
            fitted.pop(name, None)
        for name, value in fitted.items():
            setattr(local, name, value.copy() if name in ("_model", "_session") else copy.deepcopy(value))
        return local

    def _unfitted(self):
        """Return the plain estimator with the same parameters."""
        parameters = self.get_params(deep=False)
        return self._plain_class(**{name: value for name, value in parameters.items() if name not in CONSTRAINTS})

    # ---- Training --------------------------------------------------------------------------------------

    def fit(self, X, y=None, sample_weight=None, X_val=None, y_val=None, sample_weight_val=None, checkpoint=None):
        """Train on the parts of collections, which stay on their workers.

        Parameters
        ----------
        X : dask.array of shape (n_sequences, n_columns) or (n_sequences, n_steps, n_features), dask.bag of \
                sequences, dask.dataframe with a row for each step, or list of Delayed or Future
            The sequences. An array is chunked along its first axis. A frame has the columns ``by`` and ``order``; each
            sequence is whole in one partition. Parts of a list are what the plain estimators take, or, without y,
            tuples (X, y) or (X, y, sample_weight).
        y : collection with a partition for each of X; for frames also str or list of str, default=None
            The targets, or the columns of a frame that have them.
        sample_weight : as y, default=None
            Weights of the sequences or, for readout "each", of their steps.
        X_val, y_val, sample_weight_val : as X, y and sample_weight, default=None
            Validation data, see :meth:`sklearn_rnn.RNNClassifier.fit`.
        checkpoint : str, path-like or :class:`~sklearn_rnn.callbacks.Checkpoint`, default=None
            Where the client keeps the state of the training, see :meth:`sklearn_rnn.RNNClassifier.fit`.

        Returns
        -------
        self : object
            The trained estimator.

        Raises
        ------
        ValueError, TypeError
            For bad input; the message names the part. After any exception the estimator is as it was before the call.
        RuntimeError
            If the workers have another version of this package, or die again and again.
        ConnectionError
            If the scheduler is lost.

        Examples
        --------
        >>> import dask.array as da
        >>> from distributed import Client
        >>> from sklearn_rnn.dask import DaskRNNRegressor
        >>> from sklearn_rnn.datasets import make_noisy_sines
        >>> X, y = make_noisy_sines(40, random_state=0)
        >>> X, y = da.from_array(X, chunks=(20, -1, -1)), da.from_array(y, chunks=20)
        >>> with Client(processes=False, dashboard_address=":0") as client:
        ...     reg = DaskRNNRegressor(4, max_iter=2, random_state=0).fit(X, y)
        >>> reg.n_iter_
        2
        """
        return super().fit(X, y, sample_weight, X_val, y_val, sample_weight_val, checkpoint)

    def _fit(self, X, y, sample_weight, validation_data, tasks, checkpoint):
        cluster = self._begin()
        earlier = self._known() if self.warm_start else None
        parts = self._parts_of(X, y, sample_weight)
        known, recipe = self._survey(cluster, parts, earlier)
        prepared = self._prepare(cluster, parts, recipe, checkpoint is not None)
        validation = self._prepare_validation(cluster, validation_data, recipe, checkpoint is not None)
        begins, keeper = earlier is None, None
        if checkpoint is not None:
            keeper = self._keeper_of(checkpoint, _joined_texts(prepared), _joined_texts(validation), begins)
        options = self._begin_or_continue(known, prepared, keeper, begins)
        fraction = self.validation_fraction if self.early_stopping and validation is None else 0.0
        self._check_held_out(prepared, fraction)
        self._train_parts(cluster, prepared, validation, fraction, begins=begins, tasks=tasks, **options)

    def _fit_chunk(self, X, y, sample_weight, new_sequence, classes, tasks):
        if hasattr(self, "_model"):
            self._validate_params()
        cluster, earlier = self._begin(), self._known()
        parts = self._parts_of(X, y, sample_weight)
        known, recipe = self._survey(cluster, parts, earlier, classes)
        prepared = self._prepare(cluster, parts, recipe)
        if earlier is None:
            self._begin_training(known, prepared, self._first_random_state(None))
        else:
            self._continue_training(known, prepared, continue_session)
        self._train_parts(cluster, prepared, None, 0.0, is_partial=True, tasks=tasks)

    def _begin(self):
        """Check the parameters and the workers."""
        check_settings(self)
        check_dask_settings(self)
        cluster = Cluster(client_of(self.client))
        cluster.check_versions()
        return cluster

    def _parts_of(self, X, y=None, sample_weight=None, *, names: Names = TRAINING, needs_y=True):
        return parts_of(
            X,
            y,
            sample_weight,
            by=self.by,
            order=self.order,
            per_step=self.readout == "each",
            needs_y=needs_y,
            owner=self._plain_class.__name__,
            names=names,
        )

    def _survey(self, cluster, parts, earlier, classes=None):
        """Learn schema and coding of all parts, unless they are known; return them, and how parts are read."""
        plain, reader = self._unfitted(), self._target_reader()
        summaries: Any = None
        if earlier is None or (isinstance(reader, LabelReader) and reader.class_weight == "balanced"):
            summaries = cluster.results(cluster.compute(parts.calls(summarize, plain)), parts.places())
        if earlier is None:
            known = join(summaries, plain, parts.layout.names, classes)
            self.n_features_in_ = plain.n_features_in_
            record_names(self, getattr(plain, "feature_names_in_", None))
        else:
            known = earlier
            plain.n_features_in_ = self.n_features_in_
            record_names(plain, getattr(self, "feature_names_in_", None))
        coding: Any = known.coding
        if summaries is not None and isinstance(reader, LabelReader):
            reader = replace(reader, class_weight=class_weights(summaries, coding, reader.class_weight))
        return known, Recipe(plain, known, reader)

    def _prepare(self, cluster, parts: Parts, recipe, with_texts=False):
        """Read the parts on their workers; return them, checked."""
        futures, names = cluster.compute(parts.calls(prepare, recipe)), parts.layout.names
        known = recipe.known if with_texts else None
        prepared = PreparedParts(futures, parts.places())
        prepared.descriptions = cluster.run(describe, prepared, known)
        descriptions = prepared.descriptions
        empty = [i for i, description in enumerate(descriptions) if description.is_empty]
        if len(empty) == len(descriptions):
            raise ValueError(f"{names.X} has no sequence in any of its {len(empty)} parts: at least one is needed.")
        if not len(prepared):
            raise ValueError(
                f"{names.sample_weight}, with class_weight, is zero for every sequence of every part: at least one "
                "must be positive."
            )
        warn_of_empty(len(descriptions), empty, names)
        refuse_cut_sequences({i: d.keys for i, d in enumerate(descriptions)}, names, parts.layout.by)
        for message, category in dict.fromkeys(warning for d in descriptions for warning in d.warnings):
            warn_user(message, category)
        return prepared

    def _prepare_validation(self, cluster, data, recipe, with_texts):
        """Read X_val, y_val and sample_weight_val; return None if all of them are."""
        if data[0] is None:
            for name, value in zip(VALIDATION[1:], data[1:]):
                if value is not None:
                    raise ValueError(f"{name} was given alone: X_val and y_val go together.")
            return None
        return self._prepare(cluster, self._parts_of(*data, names=VALIDATION), recipe, with_texts)

    def _check_held_out(self, prepared, fraction):
        """Refuse a fraction that leaves too few sequences to validate on."""
        sizes = [description.n_sequences for description in prepared.descriptions]
        held_out = sum(n_held_out(n, fraction) for n in sizes)
        if fraction and held_out < 2:
            raise ValueError(
                f"validation_fraction={fraction} of the {len(prepared)} sequences in {len(sizes)} parts leaves "
                f"{held_out} to validate on: raise it, make larger parts, or {INSTEAD}."
            )

    def _train_parts(self, cluster, prepared, validation, fraction, **options):
        """Train the draft's own model and session on the prepared parts."""
        session = self._session
        seed = int(session.random_state.randint(2**31 - 1))  # before a checkpoint brings back a later state
        self._restore(options)
        model = self._model
        n_sequences = len(prepared) - sum(n_held_out(d.n_sequences, fraction) for d in prepared.descriptions)
        source = PartsSource(
            cluster,
            prepared,
            validation,
            model=model,
            loss=self._make_loss(model.coding),
            settings=training_settings(self, session.truncation, n_sequences),
            seed=seed,
            fraction=fraction,
            local_updates=self.local_updates,
            scores_by_loss=self.scoring == "loss",
        )
        self._train_on(source, **options)

    # ---- Predictions -----------------------------------------------------------------------------------

    def _lazily(self, method, X):
        """Return the predictions of a method of the plain estimator for a collection, as a collection."""
        check_is_fitted(self)
        local, parts = self.to_local(), self._parts_of(X, needs_y=False)
        output = output_of(local, method)
        if local.readout == "each" and parts.layout.kind == "array":
            output.n_steps = X.shape[1] if X.ndim == 3 else X.shape[1] // local.step_features
        return joined(parts, parts.calls(predict_part, local, method, output), output)

    def predict(self, X):
        """Predict labels or values, lazily for collections.

        Parameters
        ----------
        X : collection of Dask, or array-like or list
            Sequences. Those in the memory of this process are predicted at once, as by the plain estimators.

        Returns
        -------
        collection of the kind of X, or ndarray
            A dask.array, a dask.bag with an item for each sequence, or a list of Delayed. For a frame a Series (a
            DataFrame for several columns): its index has the sequences or, for readout "each", is that of the frame.

        Examples
        --------
        >>> import dask.array as da
        >>> from distributed import Client
        >>> from sklearn_rnn.dask import DaskRNNRegressor
        >>> from sklearn_rnn.datasets import make_noisy_sines
        >>> X, y = make_noisy_sines(40, random_state=0)
        >>> X, y = da.from_array(X, chunks=(20, -1, -1)), da.from_array(y, chunks=20)
        >>> with Client(processes=False, dashboard_address=":0") as client:
        ...     reg = DaskRNNRegressor(4, max_iter=2, random_state=0).fit(X, y)
        ...     predicted = reg.predict(X)
        ...     predicted.chunks, predicted.compute().shape
        (((20, 20),), (40,))
        """
        return self._lazily("predict", X) if is_collection(X) else super().predict(X)

    def score(self, X, y=None, sample_weight=None):
        """Return accuracy or R^2, added up over the parts of collections.

        Parameters
        ----------
        X, y, sample_weight
            As for ``fit``, or in the memory of this process.

        Returns
        -------
        float

        Examples
        --------
        >>> import dask.array as da
        >>> from distributed import Client
        >>> from sklearn_rnn.dask import DaskRNNRegressor
        >>> from sklearn_rnn.datasets import make_noisy_sines
        >>> X, y = make_noisy_sines(40, random_state=0)
        >>> X, y = da.from_array(X, chunks=(20, -1, -1)), da.from_array(y, chunks=20)
        >>> with Client(processes=False, dashboard_address=":0") as client:
        ...     reg = DaskRNNRegressor(8, max_iter=20, random_state=0).fit(X, y)
        ...     reg.score(X, y) > 0.5
        True
        """
        if not is_collection(X):
            return super().score(X, y, sample_weight)
        check_is_fitted(self)
        parts = self._parts_of(X, y, sample_weight)
        calls = parts.calls(score_part, self.to_local())
        if self.client is None:
            results = dask.compute(*calls)
        else:
            cluster = Cluster(client_of(self.client))
            results = cluster.results(cluster.compute(calls), parts.places())
        sums = [of_part for of_part in results if of_part is not None]
        if not sums:
            raise ValueError(f"X has no sequence in any of its {len(parts)} parts: there is nothing to score.")
        for others in sums[1:]:
            sums[0].join(others)
        return sums[0].value


def _joined_texts(prepared):
    """Return the texts that identify the data of all parts; None without any."""
    if prepared is None:
        return None
    of_parts = zip(*(description.texts for description in prepared.descriptions))
    return [f"{len(texts)} parts, digest {digest_of(list(texts))}" for texts in of_parts]
