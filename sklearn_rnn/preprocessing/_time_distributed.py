"""TimeDistributed: any transformer of scikit-learn, applied to every step."""

from __future__ import annotations

import copy
import os
from dataclasses import replace
from numbers import Integral

import numpy as np
import scipy.sparse as sp
from sklearn.base import _fit_context, clone
from sklearn.utils import get_tags
from sklearn.utils._param_validation import HasMethods, Interval
from sklearn.utils.metadata_routing import MetadataRouter, MethodMapping, _routing_enabled, process_routing
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import _check_feature_names_in, check_is_fitted

from sklearn_rnn._data.alignment import check_alignment
from sklearn_rnn._data.raw_steps import check_raw_sequences, raw_sequences
from sklearn_rnn._data.reading import check_sequences
from sklearn_rnn._utils.atomic import draft_of
from sklearn_rnn._utils.callbacks import CallbackSupportMixin, FitTasks
from sklearn_rnn._utils.estimators import SequenceEstimator
from sklearn_rnn.preprocessing._fit_arguments import FitArguments, fits_in_parts
from sklearn_rnn.preprocessing._mapped_data import in_parts
from sklearn_rnn.preprocessing._set_output import (
    SequenceTransformerMixin,
    as_fitted_on_sequences,
    in_container,
    refuse_container,
)
from sklearn_rnn.preprocessing._wrapped_transformer import allows_nan, naming_text, transformer_has


class TimeDistributed(CallbackSupportMixin, SequenceTransformerMixin, SequenceEstimator):
    """Apply a transformer of 2-D data to every step of sequences.

    The transformer is fitted on the steps of all sequences together: each step is a sample. So a
    scaler learns one mean for each feature, for all steps of all sequences. The result has the form
    of X.

    Parameters
    ----------
    transformer : transformer
        Any transformer of dense 2-D data, or a pipeline of such transformers. A clone of it is
        fitted. Its output must have one row per step. Sparse output is made dense.
    step_features : int, default=1
        Number of features per step, for 2-D X only. Each row of 2-D X is a sequence of n_columns /
        ``step_features`` steps, one after the other. Not used for 3-D X and lists.
    temp_folder : str, path-like or None, default=None
        Folder for the results of X in a memory-mapped file: the Notes say more. It needs room for
        them. None: the folder of :func:`tempfile.gettempdir`, which the environment variable
        ``TMPDIR`` sets.

    Attributes
    ----------
    transformer_ : transformer
        The fitted transformer.
    n_features_in_ : int
        Number of columns of 2-D X; number of features per step of any other X.
    feature_names_in_ : ndarray of shape (`n_features_in_`,), object
        Column names, if X was a data frame, or a list of data frames, whose column names are all
        strings.

    See Also
    --------
    sklearn_rnn.RNNClassifier : Classifier of sequences.
    sklearn_rnn.RNNRegressor : Regressor of sequences.

    Notes
    -----
    The accepted forms of X (axes: sequence, time, feature), and the results of ``transform`` if the
    transformer returns k features for each step:

    * 2-D, (n_sequences, n_columns): an array (n_sequences, n_steps * k), or the data frame that
      ``set_output`` or ``sklearn.set_config`` ask for;
    * 3-D, (n_sequences, n_steps, n_features): an array (n_sequences, n_steps, k);
    * a list or tuple of arrays (n_steps_i, n_features) or (n_steps_i,), or of data frames: a list
      of arrays (n_steps_i, k);
    * an object array of such arrays or data frames: an object array of arrays (n_steps_i, k).

    If the sequences are data frames (pandas, polars, pyarrow), the transformer gets one frame with
    the rows of all of them, so that a ColumnTransformer finds its columns by their names. If the
    sequences have strings, it gets an array of objects: encoders take lists, and 3-D arrays, of
    sequences of strings. 2-D X must have numbers. Otherwise it gets float32 for float32 X, and
    float64 for any other X. NaN is accepted if the transformer accepts it.

    X may be an array in a memory-mapped file (numpy.memmap or a view of one), or a list of such
    arrays. Then ``transform`` reads some sequences at a time, transforms their steps, and writes
    them to a temporary file in ``temp_folder``. It returns an array in this file, which disappears
    with the array. The estimators leave such an array in its file too, so that neither needs to
    fit into memory. The values are those for X in memory; only matrix products (PCA) may round in
    another way. ``fit`` reads the file in parts for StandardScaler, MinMaxScaler and MaxAbsScaler
    (by their ``partial_fit``; statistics agree up to rounding), and for transformers that learn
    nothing. For all others it reads all steps into memory, because a ``partial_fit`` on parts
    would learn something else (``fit_transform`` then returns an array in memory): fit them on a
    part of the file, ``fit(X[:1000])``. Each part has about 2 MB, or one sequence if it is longer;
    for ``fit``, parts in which a feature has no value are joined with their neighbours.
    ``inverse_transform`` returns arrays in memory.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.preprocessing import StandardScaler
    >>> from sklearn_rnn.preprocessing import TimeDistributed
    >>> X = [np.array([[0.0, 10.0]]), np.array([[4.0, 10.0], [2.0, 40.0]])]
    >>> scaler = TimeDistributed(StandardScaler()).fit(X)
    >>> scaler.transformer_.mean_
    array([ 2., 20.])
    >>> [sequence.shape for sequence in scaler.transform(X)]
    [(1, 2), (2, 2)]
    """

    _parameter_constraints: dict = {
        "transformer": [HasMethods(["fit", "transform"])],
        "step_features": [Interval(Integral, 1, None, closed="left")],
        "temp_folder": [str, os.PathLike, None],
    }

    def __init__(self, transformer, *, step_features=1, temp_folder=None):
        self.transformer = transformer
        self.step_features = step_features
        self.temp_folder = temp_folder

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        of_transformer = get_tags(self.transformer)
        tags.input_tags.two_d_array = True
        tags.input_tags.three_d_array = True
        tags.input_tags.allow_nan = allows_nan(self.transformer)
        tags.input_tags.positive_only = of_transformer.input_tags.positive_only
        tags.target_tags = of_transformer.target_tags
        tags.transformer_tags = of_transformer.transformer_tags or tags.transformer_tags
        tags.requires_fit = of_transformer.requires_fit
        tags.non_deterministic = of_transformer.non_deterministic
        return tags

    @_fit_context(prefer_skip_nested_validation=False)
    def fit(self, X, y=None, **fit_params):
        """Fit the transformer on the steps of all sequences.

        Parameters
        ----------
        X : array-like of shape (n_sequences, n_columns), array-like of shape \
                (n_sequences, n_steps, n_features), or list of arrays or data frames of shape \
                (n_steps_i, n_features) or (n_steps_i,)
            The sequences. Those in a list or a 3-D array may have strings, if the transformer
            takes them.
        y : array-like of shape (n_sequences,) or (n_sequences, n_outputs), array-like of shape \
                (n_sequences, n_steps) or (n_sequences, n_steps, n_outputs), or list of arrays \
                of shape (n_steps_i,) or (n_steps_i, n_outputs), default=None
            Targets, for transformers that read them. A target (or row) per sequence is repeated
            for each of its steps. If every entry of y is as long as its sequence, the entries hold
            a target (or row) per step.
        **fit_params : dict
            Passed to the transformer's ``fit``. Sample weights are ``sample_weight`` or, for a
            step of a pipeline, ``<step>__sample_weight``. Those of shape (n_sequences,) are
            repeated for each step of their sequence; an array of shape (n_sequences, n_steps),
            or a list of arrays of shape (n_steps_i,), has one for each step. With scikit-learn's
            metadata routing, the transformer gets what it requests, and any metadata with one
            entry for each sequence are repeated.

        Returns
        -------
        self : object
            The fitted estimator.

        Raises
        ------
        ValueError, TypeError
            For bad input, and for parameters that the transformer does not take. The estimator
            does not change.

        Examples
        --------
        >>> import numpy as np
        >>> from sklearn.preprocessing import MinMaxScaler
        >>> from sklearn_rnn.preprocessing import TimeDistributed
        >>> X = [np.array([[0.0], [10.0]]), np.array([[5.0]])]
        >>> TimeDistributed(MinMaxScaler()).fit(X).transformer_.data_max_
        array([10.])
        """
        tasks = FitTasks(self, "fit", 1, X, y)
        with draft_of(self) as draft:
            arguments = draft._check_for_fit(X, y, self._routed(fit_params, "fit"), reset=True)
            transformer = clone(self.transformer)
            with naming_text(transformer, arguments.sequences), tasks.inner_fit(transformer):
                arguments.fit(transformer, "fit")
            draft.transformer_ = transformer
        tasks.end()
        return self

    @available_if(transformer_has("partial_fit"))
    @_fit_context(prefer_skip_nested_validation=False)
    def partial_fit(self, X, y=None, **fit_params):
        """Fit the transformer to more sequences; for transformers with ``partial_fit``.

        Parameters
        ----------
        X : array-like or list
            Sequences, as for ``fit``.
        y : array-like or list, default=None
            Targets, as for ``fit``.
        **fit_params : dict
            Passed to the transformer's ``partial_fit``, as for ``fit``.

        Returns
        -------
        self : object
            The fitted estimator.

        Raises
        ------
        ValueError, TypeError
            For bad input, and for parameters that the transformer does not take. The estimator
            does not change.

        Examples
        --------
        >>> import numpy as np
        >>> from sklearn.preprocessing import MinMaxScaler
        >>> from sklearn_rnn.preprocessing import TimeDistributed
        >>> X = [np.array([[0.0], [10.0]]), np.array([[5.0]])]
        >>> scaler = TimeDistributed(MinMaxScaler()).partial_fit(X[:1]).partial_fit([[[20.0]]])
        >>> scaler.transformer_.data_max_
        array([20.])
        """
        tasks = FitTasks(self, "partial_fit", 1, X, y)
        with draft_of(self) as draft:
            is_first = not hasattr(self, "transformer_")
            params = self._routed(fit_params, "partial_fit")
            arguments = draft._check_for_fit(X, y, params, reset=is_first)
            transformer = clone(self.transformer) if is_first else copy.deepcopy(self.transformer_)
            with (
                naming_text(transformer, arguments.sequences),
                tasks.inner_fit(transformer),
            ):
                arguments.fit(transformer, "partial_fit")
            draft.transformer_ = transformer
        tasks.end()
        return self

    @_fit_context(prefer_skip_nested_validation=False)
    def fit_transform(self, X, y=None, **fit_params):
        """Fit the transformer on the steps of all sequences, and transform them.

        This calls the transformer's own ``fit_transform``. It can be faster than ``fit`` and
        ``transform``. For some transformers its result differs on purpose (``TargetEncoder``).

        Parameters
        ----------
        X : array-like or list
            Sequences, as for ``fit``.
        y : array-like or list, default=None
            Targets, as for ``fit``.
        **fit_params : dict
            Passed to the transformer's ``fit_transform``, as for ``fit``.

        Returns
        -------
        ndarray of shape (n_sequences, n_steps * n_features_out) for 2-D X, ndarray of shape \
                (n_sequences, n_steps, n_features_out) for 3-D X, else list or object array of \
                ndarrays of shape (n_steps_i, n_features_out)
            The transformed sequences, in the form of X and the dtype of the transformer's output.

        Raises
        ------
        ValueError, TypeError
            As ``fit`` and ``transform``. The estimator does not change.

        Examples
        --------
        >>> import numpy as np
        >>> from sklearn.preprocessing import MinMaxScaler
        >>> from sklearn_rnn.preprocessing import TimeDistributed
        >>> X = [np.array([[0.0], [10.0]]), np.array([[5.0]])]
        >>> TimeDistributed(MinMaxScaler()).fit_transform(X)
        [array([[0.],
               [1.]]), array([[0.5]])]
        """
        tasks = FitTasks(self, "fit_transform", 1, X, y)
        with draft_of(self) as draft:
            does_both = hasattr(self.transformer, "fit_transform")
            params = self._routed(fit_params, "fit_transform", "fit_transform" if does_both else "fit")
            arguments = draft._check_for_fit(X, y, params, reset=True)
            sequences = arguments.sequences
            refuse_container(draft, sequences.form == "rows")
            draft.transformer_ = transformer = clone(self.transformer)
            with naming_text(transformer, sequences), tasks.inner_fit(transformer):
                if does_both and not (arguments.are_mapped and fits_in_parts(transformer)):
                    values = arguments.call(transformer.fit_transform)
                    if isinstance(values, tuple):  # cross decomposition returns the scores of X and of y
                        values = values[0]
                    values = draft._check_values(values, sequences.n_rows)
                else:
                    arguments.fit(transformer, "fit")
                    values = draft._transformed(sequences)
            values = _in_form_of(sequences, values)
        tasks.end()
        return in_container(self, values, sequences.form == "rows", X)

    def transform(self, X):
        """Transform every step.

        Parameters
        ----------
        X : array-like or list
            Sequences, as for ``fit``: 2-D if the estimator was fitted on 2-D X, otherwise 3-D or
            a list.

        Returns
        -------
        ndarray of shape (n_sequences, n_steps * n_features_out) for 2-D X, ndarray of shape \
                (n_sequences, n_steps, n_features_out) for 3-D X, else list or object array of \
                ndarrays of shape (n_steps_i, n_features_out)
            The transformed sequences, in the form of X and the dtype of the transformer's output.

        Raises
        ------
        ValueError, TypeError
            For bad input; if the transformer does not return one row per step; if ``set_output``
            asks for data frames and X is not 2-D.

        Examples
        --------
        >>> import numpy as np
        >>> from sklearn.preprocessing import MinMaxScaler
        >>> from sklearn_rnn.preprocessing import TimeDistributed
        >>> X = [np.array([[0.0], [10.0]]), np.array([[5.0]])]
        >>> TimeDistributed(MinMaxScaler()).fit(X).transform([np.array([[1.0], [2.0]])])
        [array([[0.1],
               [0.2]])]
        """
        if not hasattr(self, "transformer_") and not get_tags(self).requires_fit:
            return clone(self).fit_transform(X)  # stateless: fit learns nothing
        check_is_fitted(self, "transformer_")
        sequences = self._check_sequences(X, reset=False)
        refuse_container(self, sequences.form == "rows")
        values = _in_form_of(sequences, self._transformed(sequences))
        return in_container(self, values, sequences.form == "rows", X)

    @available_if(transformer_has("inverse_transform"))
    def inverse_transform(self, X):
        """Invert ``transform``, for transformers with ``inverse_transform``.

        Parameters
        ----------
        X : array-like of shape (n_sequences, n_steps * n_features_out), array-like of shape \
                (n_sequences, n_steps, n_features_out), or list of arrays of shape \
                (n_steps_i, n_features_out)
            Sequences as ``transform`` returns them, with ``n_features_out`` features per step.

        Returns
        -------
        ndarray of shape (n_sequences, n_columns) for 2-D X, ndarray of shape \
                (n_sequences, n_steps, n_features) for 3-D X, else list or object array of \
                ndarrays of shape (n_steps_i, n_features)
            The sequences in the features of ``fit``, in the form of X.

        Raises
        ------
        ValueError, TypeError
            For bad input.

        Examples
        --------
        >>> import numpy as np
        >>> from sklearn.preprocessing import MinMaxScaler
        >>> from sklearn_rnn.preprocessing import TimeDistributed
        >>> X = [np.array([[0.0], [10.0]]), np.array([[5.0]])]
        >>> TimeDistributed(MinMaxScaler()).fit(X).inverse_transform([np.array([[0.5], [1.0]])])
        [array([[ 5.],
               [10.]])]
        """
        check_is_fitted(self, "transformer_")
        sequences = self._check_transformed(X)
        values = self.transformer_.inverse_transform(sequences.rows)
        values = self._check_values(values, sequences.n_rows)
        n_features = self.step_features if self._fitted_on_rows else self.n_features_in_
        # A scaler that was fitted on one feature broadcasts it to any number of features.
        if values.shape[1] != n_features:
            raise ValueError(
                f"X has {sequences.rows.shape[1]} features per step, but transformer={self.transformer} "
                f"returns another number for {n_features} features per step: pass the output of transform."
            )
        return _in_form_of(sequences, values)

    @available_if(transformer_has("get_feature_names_out"))
    def get_feature_names_out(self, input_features=None):
        """Names of the output features.

        Parameters
        ----------
        input_features : array-like of str of shape (`n_features_in_`,), default=None
            Names of the input features. None is ``feature_names_in_`` or, without them, x0, x1, ….

        Returns
        -------
        ndarray of shape (n_features_out,) or, for 2-D X, (n_steps * n_features_out,), object
            The transformer's names for the features of a step. For 2-D X, the names for all
            steps: the transformer makes those of a step from the names of the step's columns. If
            they are not unique (PCA ignores the columns), the step is put in front: step0_pca0,
            step1_pca0, ….

        Raises
        ------
        ValueError
            If ``input_features`` differ from ``feature_names_in_``, or their number is not
            ``n_features_in_``.

        Examples
        --------
        >>> import numpy as np
        >>> from sklearn.preprocessing import MinMaxScaler
        >>> from sklearn_rnn.preprocessing import TimeDistributed
        >>> X = [np.array([[0.0], [10.0]]), np.array([[5.0]])]
        >>> TimeDistributed(MinMaxScaler()).fit(X).get_feature_names_out(["speed"]).tolist()
        ['speed']
        """
        check_is_fitted(self, "transformer_")
        names_in = _check_feature_names_in(self, input_features)
        if not self._fitted_on_rows:
            return self.transformer_.get_feature_names_out(names_in)
        columns = names_in.reshape(-1, self.step_features)  # of each step
        by_step = [self.transformer_.get_feature_names_out(names) for names in columns]
        if len(set().union(*by_step)) < sum(map(len, by_step)):
            by_step = [[f"step{t}_{name}" for name in names] for t, names in enumerate(by_step)]
        return np.concatenate(by_step).astype(object)

    def __next_steps__(self):
        """Return what transforms the next steps of a stream."""
        return as_fitted_on_sequences(self)

    # ---- Metadata routing ------------------------------------------------------------------------

    def get_metadata_routing(self):
        """Return how metadata reach the transformer, for scikit-learn's metadata routing.

        Returns
        -------
        MetadataRouter

        Examples
        --------
        >>> from sklearn.preprocessing import StandardScaler
        >>> from sklearn_rnn.preprocessing import TimeDistributed
        >>> router = TimeDistributed(StandardScaler()).get_metadata_routing()
        >>> type(router).__name__
        'MetadataRouter'
        """
        mapping = MethodMapping().add(caller="fit", callee="fit").add(caller="partial_fit", callee="partial_fit")
        callee = "fit_transform" if hasattr(self.transformer, "fit_transform") else "fit"
        mapping.add(caller="fit_transform", callee=callee)
        router = MetadataRouter(owner=type(self).__name__)
        return router.add(transformer=self.transformer, method_mapping=mapping)

    def _routed(self, fit_params, method, callee=None):
        """Return the metadata that the transformer requests; without metadata routing, all of them."""
        if not _routing_enabled():
            return fit_params
        return process_routing(self, method, **fit_params)["transformer"][callee or method]

    # ---- Checks ----------------------------------------------------------------------------------

    def _check_sequences(self, X, *, reset):
        """Return the steps as the transformer gets them: numbers, or the rows of frames, or strings."""
        fitted_on_rows = None if reset else getattr(self, "_fitted_on_rows", None)
        expected = None if reset else getattr(self, "feature_names_in_", None)
        raw = None if fitted_on_rows else raw_sequences(X, "X", expected)
        if raw is not None and not raw.is_numeric:
            check_raw_sequences(self, raw, reset=reset)
            if reset:
                self._fitted_on_rows = False
            return raw
        try:
            sequences = check_sequences(
                self,
                X,
                reset=reset,
                fitted_on_rows=fitted_on_rows,
                step_features=self.step_features,
                ensure_all_finite="allow-nan" if get_tags(self).input_tags.allow_nan else True,
                may_stay_mapped=True,
            )
        except ValueError as error:
            if fitted_on_rows or not str(error).startswith("X is not numeric: could not convert string"):
                raise
            raise ValueError(
                f"{error}. 2-D X must have numbers: pass strings as a 3-D array, "
                f"numpy.asarray(X).reshape(len(X), -1, {self.step_features}), or as a list of sequences."
            ) from error
        if reset:
            self._fitted_on_rows = sequences.form == "rows"
        return sequences if raw is None else raw

    def _check_for_fit(self, X, y, fit_params, *, reset):
        """Return the arguments of the transformer's ``fit``."""
        sequences = self._check_sequences(X, reset=reset)
        if sequences.form != "rows":
            for name, values in [("y", y), *fit_params.items()]:
                check_alignment(X, values, name)
        return FitArguments.read(self.transformer, sequences, y, fit_params)

    def _transformed(self, sequences):
        """Return the transformed steps, (n_rows, k); those of a file in a temporary file."""

        def transformed(part, _):
            return self._check_values(self.transformer_.transform(part.rows), part.n_rows)

        return in_parts(transformed, sequences, self.temp_folder)

    def _check_values(self, values, n_rows):
        """Return the transformer's output as an array with one row per step."""
        if sp.issparse(values):
            values = values.toarray()  # sequences are dense
        # asarray converts data frames too. The transformer keeps its own set_output, because the
        # steps of a pipeline may need each other's column names.
        values = np.asarray(values)
        if values.ndim != 2 or len(values) != n_rows or values.shape[1] == 0:
            raise ValueError(
                f"transformer={self.transformer} returns an array of shape {values.shape} for "
                f"{n_rows} steps: it must return one row, with at least one feature, for each step."
            )
        return values

    def _check_transformed(self, X):
        """Check X in the form that ``transform`` returns; only the transformer knows its number of features."""
        other = TimeDistributed(self.transformer)
        sequences = check_sequences(other, X, reset=True, ensure_all_finite=False)
        is_table = sequences.form == "rows"
        if is_table != self._fitted_on_rows:
            raise ValueError(
                f"X is {_described(is_table)}, but this {type(self).__name__} was "
                f"fitted on {_described(self._fitted_on_rows)}: pass the output of transform."
            )
        if not self._fitted_on_rows:
            return sequences
        n_steps = self.n_features_in_ // self.step_features
        n_columns = other.n_features_in_
        if n_columns % n_steps:
            raise ValueError(
                f"X has {n_columns} columns, but this {type(self).__name__} was fitted on "
                f"sequences of {n_steps} steps: pass the same number of columns for each step."
            )
        return replace(
            sequences,
            rows=sequences.rows.reshape(-1, n_columns // n_steps),
            lengths=np.full(len(sequences), n_steps),
        )


def _described(is_table):
    return "2-D" if is_table else "a 3-D array or a list of sequences"


def _in_form_of(sequences, values):
    """Return values of every step, (n_rows, k), in the form of X: a table for 2-D X."""
    values = sequences.split(values)
    return values.reshape(len(values), -1) if sequences.form == "rows" else values
