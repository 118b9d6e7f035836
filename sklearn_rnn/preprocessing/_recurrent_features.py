"""RecurrentFeatures: sequences as rows of a table, by untrained recurrent layers with pooled states."""

from __future__ import annotations

from numbers import Integral, Real

import numpy as np
from sklearn.base import TransformerMixin, _fit_context
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval
from sklearn.utils.validation import _check_feature_names_in, check_is_fitted

from sklearn_rnn._data.batches import Dataset
from sklearn_rnn._data.patches import Patches
from sklearn_rnn._data.reading import check_sequences
from sklearn_rnn._data.schema import InputSchema
from sklearn_rnn._inference.prediction import in_blocks
from sklearn_rnn._network.blocks import SMALLEST_BLOCK, blocks_of_work
from sklearn_rnn._network.buffers import NetworkBuffers
from sklearn_rnn._network.readouts import make_pool
from sklearn_rnn._utils.atomic import draft_of
from sklearn_rnn._utils.estimators import SequenceEstimator
from sklearn_rnn._utils.plain import Items, Object, check_names, refuse_unless
from sklearn_rnn._utils.threads import number_of_threads
from sklearn_rnn.preprocessing._input_scale import InputScale
from sklearn_rnn.preprocessing._random_layers import Inputs, draw_layers, time_scales
from sklearn_rnn.preprocessing._share_counts import Parts, ShareCounts

POOLS = ("last", "mean", "max", "shares")  # "shares" has a class of its own; the others are pools of networks
# fit measures scales and thresholds on drawn sequences of about so many steps, at least 16 sequences, and thresholds on
# so many states of each unit.
SAMPLED_STEPS = 2**16
SAMPLED_SEQUENCES = 16
SAMPLED_STATES = 2**13
# Sequences of a block: enough for fast products and comparisons, and fewer if they are long.
USUAL_BLOCK = 128
STEPS_OF_BLOCK = 2**16
# Features and parts of a loaded transformer: many more would fill the memory.
MOST_FEATURES, MOST_PARTS = 2**24, 2**12


class RecurrentFeatures(TransformerMixin, SequenceEstimator):
    """Features of sequences by untrained recurrent layers whose states are pooled.

    Random layers read each sequence. The features of a unit are its last state, and the shares of the steps in which
    its state is above thresholds. A linear model on these features is often as good as a trained network if the
    sequences are few, and takes seconds::

        make_pipeline(
            RecurrentFeatures(), StandardScaler(), RidgeClassifierCV(np.logspace(-2, 5, 15))
        )

    Sequences may have different lengths and any number of features per step. Their values need no scaling.

    Parameters
    ----------
    n_units : int, default=512
        Number of units of all layers together.
    n_scales : int, default=4
        Number of time scales, from 1 step to an eighth of the mean length of the training sequences. A layer of scale d
        sees oscillations of 2 d steps and longer, and remembers about 9 d steps.
    bidirectional : bool, default=True
        Whether half of the layers read from the last step to the first.
    differences : bool, default=True
        Whether half of the layers read the changes from step to step instead of the values.
    input_scale : float, default=0.03
        Size of the input weights, which read standardised values; at most 1e6. With small weights the states are nearly
        linear in the values, with large ones they saturate.
    pools : tuple or list of {"last", "mean", "max", "shares"}, default=("last", "shares")
        How the states of all steps are pooled, unit by unit: the last state, the mean, the maximum, or the shares of
        the steps in which the state is above each of ``n_levels`` thresholds. Several pools stand side by side.
    n_levels : int, default=7
        Number of thresholds of each unit. They are quantiles of its states in training sequences; each unit has
        quantiles of its own.
    n_parts : int, default=3
        Number of equal parts of a sequence in which the shares are counted one by one.
    step_features : int, default=1
        Number of features per step, for 2-D X only. Each row of 2-D X is a sequence of n_columns /
        ``step_features`` steps, one after the other. Not used for 3-D X and lists.
    random_state : int, RandomState instance or None, default=None
        Draws the weights, and the sequences that ``fit`` measures. Pass an int for the same bits at every call, for any
        ``n_jobs``.
    n_jobs : int or None, default=None
        Number of threads, which transform blocks of sequences. None is 1 unless a :func:`joblib.parallel_config` sets
        another number, -1 is all processors. The results have the same bits for any number.

    Attributes
    ----------
    n_features_in_ : int
        Number of columns of 2-D X; number of features per step of any other X.
    feature_names_in_ : ndarray of shape (`n_features_in_`,), object
        Column names, if X was a data frame, or a list of data frames, whose column names are all
        strings.

    See Also
    --------
    sklearn_rnn.RNNClassifier : Classifier of sequences, trained by backpropagation through time.
    sklearn_rnn.RNNRegressor : Regressor of sequences, trained by backpropagation through time.

    Notes
    -----
    A layer reads x_t with h_t = tanh(x_t W + h_{t-1} U). W is uniform in ±``input_scale``. U rotates random planes by
    random angles of at most pi / d, and shrinks by exp(-1 / (9 d)). So each unit is a random filter of one time scale,
    as the convolutions of MiniRocket [1]_, whose shares of positive values and thresholds are used here too. States are
    between -1 and 1: they cannot overflow.

    ``fit`` measures the mean and the spread of the features, of their changes, and the thresholds, on drawn sequences
    of about 65,000 steps together. It reads no targets. Memory does not grow with the number of sequences, but for the
    returned array: ``transform`` runs blocks of sequences and pools their states as it goes.

    The features have the dtype of the X of ``fit``: float32 for float32, and float64 for any other.

    References
    ----------
    .. [1] A. Dempster, D. F. Schmidt and G. I. Webb. "MiniRocket: A Very Fast (Almost) Deterministic Transform for Time
       Series Classification." KDD 2021.

    Examples
    --------
    >>> from sklearn.linear_model import RidgeClassifierCV
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from sklearn_rnn.datasets import load_japanese_vowels
    >>> from sklearn_rnn.preprocessing import RecurrentFeatures
    >>> X, y = load_japanese_vowels(subset="train", return_X_y=True)
    >>> X_test, y_test = load_japanese_vowels(subset="test", return_X_y=True)
    >>> features = RecurrentFeatures(n_units=128, random_state=0)
    >>> features.fit_transform(X).shape
    (270, 2816)
    >>> model = make_pipeline(features, StandardScaler(), RidgeClassifierCV()).fit(X, y)
    >>> model.score(X_test, y_test) > 0.9
    True
    """

    _plain_attributes = {
        "_schema": Object("input"),
        "_layers": Items(Object("random_layer")),
        "_scale": Object("input_scale"),
    }

    _parameter_constraints: dict = {
        "n_units": [Interval(Integral, 1, None, closed="left")],
        "n_scales": [Interval(Integral, 1, None, closed="left")],
        "bidirectional": ["boolean"],
        "differences": ["boolean"],
        "input_scale": [Interval(Real, 0, 1e6, closed="right")],  # weights stay finite in float32
        "pools": [tuple, list],
        "n_levels": [Interval(Integral, 1, None, closed="left")],
        "n_parts": [Interval(Integral, 1, None, closed="left")],
        "step_features": [Interval(Integral, 1, None, closed="left")],
        "random_state": ["random_state"],
        "n_jobs": [Integral, None],
    }

    def __init__(
        self,
        n_units=512,
        *,
        n_scales=4,
        bidirectional=True,
        differences=True,
        input_scale=0.03,
        pools=("last", "shares"),
        n_levels=7,
        n_parts=3,
        step_features=1,
        random_state=None,
        n_jobs=None,
    ):
        self.n_units = n_units
        self.n_scales = n_scales
        self.bidirectional = bidirectional
        self.differences = differences
        self.input_scale = input_scale
        self.pools = pools
        self.n_levels = n_levels
        self.n_parts = n_parts
        self.step_features = step_features
        self.random_state = random_state
        self.n_jobs = n_jobs

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = True
        tags.input_tags.three_d_array = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y=None):
        """Draw the layers, and measure the scale of the features and the thresholds.

        Parameters
        ----------
        X : array-like of shape (n_sequences, n_columns), array-like of shape \
                (n_sequences, n_steps, n_features), or list of arrays of shape \
                (n_steps_i, n_features) or (n_steps_i,)
            The sequences.
        y : object, default=None
            Not used.

        Returns
        -------
        self : object
            The fitted estimator.

        Raises
        ------
        ValueError, TypeError
            For bad input. The estimator does not change.

        Examples
        --------
        >>> import numpy as np
        >>> from sklearn_rnn.preprocessing import RecurrentFeatures
        >>> X = [np.sin(np.arange(30.0)), np.cos(np.arange(20.0)), np.sin(np.arange(25.0))]
        >>> features = RecurrentFeatures(n_units=16, pools=("last", "mean"), random_state=0).fit(X)
        >>> features.n_features_in_
        1
        """
        with draft_of(self) as draft:
            draft._fit(X)
        return self

    def transform(self, X):
        """Return the features of sequences.

        Parameters
        ----------
        X : array-like or list
            Sequences, as for ``fit``: 2-D if the estimator was fitted on 2-D X, otherwise 3-D or
            a list. An array in a memory-mapped file is read block by block.

        Returns
        -------
        ndarray of shape (n_sequences, n_features_out)
            The features. Their names are those of ``get_feature_names_out``.

        Raises
        ------
        ValueError, TypeError
            For bad input.

        Examples
        --------
        >>> import numpy as np
        >>> from sklearn_rnn.preprocessing import RecurrentFeatures
        >>> X = [np.sin(np.arange(30.0)), np.cos(np.arange(20.0)), np.sin(np.arange(25.0))]
        >>> features = RecurrentFeatures(n_units=16, pools=("last", "mean"), random_state=0).fit(X)
        >>> features.transform(X).shape
        (3, 32)
        """
        check_is_fitted(self, "_layers")
        sequences = self._schema.read(self, X)
        features = np.empty((len(sequences), self._n_features_out), self._schema.dtype)
        weights = [layer.network.prepare(for_backward=False) for layer in self._layers]

        def run_block(indices, buffers):
            batch = Dataset(sequences).pack(indices)
            inputs = Inputs(batch.rows, batch.packing, self._scale)
            parts = Parts(batch.packing, self._n_parts)
            first = 0
            for layer, prepared in zip(self._layers, weights):
                pooled = self._pool(layer, prepared, inputs, parts, buffers)
                features[batch.order, first : first + pooled.shape[1]] = pooled
                first += pooled.shape[1]

        work_per_row = sum(layer.network.work_per_row for layer in self._layers)
        mean_length = sequences.n_rows // len(sequences)
        usual_block = max(SMALLEST_BLOCK, min(USUAL_BLOCK, STEPS_OF_BLOCK // mean_length))
        blocks = blocks_of_work(sequences.lengths, work_per_row, usual_block)
        in_blocks(run_block, blocks, number_of_threads(self.n_jobs), weights[0])
        return features

    def get_feature_names_out(self, input_features=None):
        """Names of the features.

        Parameters
        ----------
        input_features : array-like of str of shape (`n_features_in_`,), default=None
            Names of the columns of X. They are checked, but not used.

        Returns
        -------
        ndarray of shape (n_features_out,), object
            ``unit3_last``, ``unit3_mean``, ``unit3_max``; ``unit3_share2`` for the share of states above the unit's
            threshold 2 or, in part 1 of the sequence, ``unit3_share2_part1``.

        Raises
        ------
        ValueError
            If ``input_features`` differ from ``feature_names_in_``, or their number is not
            ``n_features_in_``.

        Examples
        --------
        >>> import numpy as np
        >>> from sklearn_rnn.preprocessing import RecurrentFeatures
        >>> X = [np.sin(np.arange(30.0)), np.cos(np.arange(20.0)), np.sin(np.arange(25.0))]
        >>> features = RecurrentFeatures(n_units=16, pools=("last", "mean"), random_state=0).fit(X)
        >>> features.get_feature_names_out()[:2].tolist()
        ['unit0_last', 'unit0_mean']
        """
        check_is_fitted(self, "_layers")
        _check_feature_names_in(self, input_features)
        suffixes = [suffix for pool in self._pools for suffix in self._suffixes(pool)]
        names, first = [], 0
        for layer in self._layers:
            units = range(first, first := first + layer.n_units)
            names += [f"unit{unit}_{suffix}" for suffix in suffixes for unit in units]
        return np.array(names, dtype=object)

    # ---- fit -------------------------------------------------------------------------------------

    def _fit(self, X):
        self._check_pools()
        sequences = check_sequences(self, X, reset=True, step_features=self.step_features, may_stay_mapped=True)
        is_table = sequences.form == "rows"
        step_features = self.step_features if is_table else self.n_features_in_
        self._schema = InputSchema(type(self).__name__, is_table, step_features, Patches(), sequences.dtype)
        self._pools, self._n_parts = tuple(self.pools), self.n_parts
        random_state = check_random_state(self.random_state)
        self._layers = draw_layers(
            n_features=step_features,
            n_units=self.n_units,
            scales=time_scales(sequences.lengths.mean(), self.n_scales),
            differences=self.differences,
            bidirectional=self.bidirectional,
            input_scale=self.input_scale,
            dtype=sequences.dtype,
            random_state=random_state,
        )
        sample = sequences.load(_drawn_sequences(sequences.lengths, random_state))
        self._scale = InputScale(sample)
        if "shares" in self._pools:
            self._measure_thresholds(sample, random_state)
        n_levels = len(self._layers[0].thresholds)
        self._n_features_out = self.n_units * _n_suffixes(self._pools, n_levels, self._n_parts)

    def __check_restored__(self, fitted, place):
        """Refuse attributes from a file whose parts do not go together."""
        expected = {"_schema", "_layers", "_scale", "_pools", "_n_parts", "_n_features_out", "n_features_in_"}
        check_names(fitted, expected | fitted.keys() & {"feature_names_in_"}, place)
        schema, layers, pools, n_parts = (fitted[name] for name in ("_schema", "_layers", "_pools", "_n_parts"))
        schema.check_parts(f"{place}._schema")
        is_right = isinstance(pools, tuple) and len(pools) > 0 and all(isinstance(p, str) and p in POOLS for p in pools)
        refuse_unless(is_right, f"{place}._pools", f"must have names out of {', '.join(POOLS)}")
        refuse_unless(n_parts <= MOST_PARTS, f"{place}._n_parts", f"must be at most {MOST_PARTS}")
        n_levels = len(layers[0].thresholds) if layers else 0
        for layer in layers:
            network = layer.network
            is_right = len(network.directions) == 1 and network.embedding is None and network.dtype == schema.dtype
            is_right &= network.directions[0].n_features == schema.step_features and network.readout == "last"
            is_right &= layer.thresholds.shape == (n_levels, layer.n_units) and layer.thresholds.dtype == schema.dtype
            refuse_unless(is_right, f"{place}._layers", "must read the features of a step in one direction")
        n_features_out = sum(layer.n_units for layer in layers) * _n_suffixes(pools, n_levels, n_parts)
        refuse_unless(
            fitted["_n_features_out"] == n_features_out <= MOST_FEATURES,
            f"{place}._n_features_out",
            "must fit the layers",
        )
        n_in, n_of_step = fitted["n_features_in_"], schema.step_features
        is_right = n_in % n_of_step == 0 if schema.is_table else n_in == n_of_step
        refuse_unless(is_right, f"{place}.n_features_in_", f"is {n_in}, but a step has {n_of_step} features")
        fitted["_scale"].check_parts(n_of_step, schema.dtype, f"{place}._scale")

    def _check_pools(self):
        if not self.pools or not all(isinstance(pool, str) and pool in POOLS for pool in self.pools):
            raise ValueError(f"pools={self.pools!r} must be a tuple of names out of {', '.join(POOLS)}.")
        if len(set(self.pools)) < len(self.pools):
            raise ValueError(f"pools={self.pools!r} has a name twice: name each pool once.")

    def _measure_thresholds(self, sample, random_state):
        """Set the thresholds of every layer to quantiles of its states in a sample."""
        batch = Dataset(sample).pack(np.arange(len(sample)))
        inputs = Inputs(batch.rows, batch.packing, self._scale)
        drawn = np.arange(sample.n_rows)
        if sample.n_rows > SAMPLED_STATES:
            drawn = np.sort(random_state.choice(sample.n_rows, SAMPLED_STATES, replace=False))
        buffers = NetworkBuffers()
        for layer in self._layers:
            states = np.concatenate(list(_states_of_rows(layer, inputs, drawn, buffers)))
            layer.thresholds = _quantiles(states, self.n_levels)

    # ---- Features --------------------------------------------------------------------------------

    def _pool(self, layer, weights, inputs, parts, buffers):
        """Return the features of a layer, (n_sequences, n_pooled), in the order of the batch."""
        pools = [self._begin_pool(name, layer, inputs.packing.lengths, parts) for name in self._pools]
        state = layer.network.initial_state(inputs.packing.n_sequences)
        for first_step, chunk, hidden in layer.run(inputs, weights, state, buffers):
            for pool in pools:
                pool.add(hidden, chunk, first_step)
        final_hidden = layer.network.final_hidden(state)
        return np.concatenate([pool.finish(final_hidden) for pool in pools], axis=1)

    def _begin_pool(self, name, layer, lengths, parts):
        """Return a new pool for a batch."""
        if name == "shares":
            return ShareCounts(parts, layer.thresholds)
        pool = make_pool((name,), lengths, layer.n_units, self._schema.dtype, layer.network.engine.loops)
        assert pool is not None
        return pool

    def _suffixes(self, pool):
        """Return the names of a unit's features from a pool."""
        if pool != "shares":
            return [pool]
        parts = [f"_part{part}" for part in range(self._n_parts)] if self._n_parts > 1 else [""]
        n_levels = len(self._layers[0].thresholds)
        return [f"share{level}{part}" for level in range(n_levels) for part in parts]


def _n_suffixes(pools, n_levels, n_parts):
    """Return the number of features of a unit."""
    return sum(n_levels * n_parts if pool == "shares" else 1 for pool in pools)


def _drawn_sequences(lengths, random_state):
    """Return the indices, sorted, of drawn sequences of about SAMPLED_STEPS steps together, or of all sequences."""
    if lengths.sum() <= SAMPLED_STEPS or len(lengths) <= SAMPLED_SEQUENCES:
        return np.arange(len(lengths))
    order = random_state.permutation(len(lengths))
    n_drawn = max(SAMPLED_SEQUENCES, np.searchsorted(np.cumsum(lengths[order]), SAMPLED_STEPS))
    return np.sort(order[:n_drawn])


def _states_of_rows(layer, inputs, drawn, buffers):
    """Yield the states, (n, n_units), of drawn rows of a packed batch, chunk by chunk."""
    weights = layer.network.prepare(for_backward=False)
    state = layer.network.initial_state(inputs.packing.n_sequences)
    for first_step, chunk, hidden in layer.run(inputs, weights, state, buffers):
        first_row = inputs.packing.offsets[first_step]
        start, stop = np.searchsorted(drawn, [first_row, first_row + chunk.n_rows])
        yield hidden[drawn[start:stop] - first_row]


def _quantiles(states, n_levels):
    """Return thresholds, (n_levels, n_units): quantiles of the states that are spread evenly over levels and units.

    The multiples of the golden ratio, modulo 1, fill the unit interval evenly; MiniRocket chooses its quantiles so.
    """
    n_units = states.shape[1]
    golden_ratio = (1 + np.sqrt(5)) / 2
    levels = np.sort((np.arange(1, n_levels * n_units + 1) * golden_ratio % 1).reshape(n_levels, n_units), axis=0)
    return np.take_along_axis(np.sort(states, axis=0), (levels * len(states)).astype(np.intp), axis=0)
