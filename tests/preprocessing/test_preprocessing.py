import pickle

import numpy as np
import pytest
import scipy.sparse as sp
from helpers import MORE_CHECKS_OF_TRANSFORMERS, RAGGED, make_sequences
from numpy.testing import assert_allclose, assert_array_equal
from sklearn import config_context
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.compose import ColumnTransformer
from sklearn.cross_decomposition import PLSRegression
from sklearn.decomposition import PCA, IncrementalPCA
from sklearn.exceptions import NotFittedError
from sklearn.feature_selection import SelectKBest, f_classif
from sklearn.impute import MissingIndicator, SimpleImputer
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import FeatureUnion, make_pipeline, make_union
from sklearn.preprocessing import (
    FunctionTransformer,
    MinMaxScaler,
    Normalizer,
    OneHotEncoder,
    PolynomialFeatures,
    StandardScaler,
    TargetEncoder,
)
from sklearn.utils import estimator_checks, get_tags
from sklearn.utils.estimator_checks import estimator_checks_generator

from sklearn_rnn import RNNClassifier
from sklearn_rnn.datasets import make_temporal_order
from sklearn_rnn.preprocessing import TimeDistributed

CHECKED = [
    TimeDistributed(StandardScaler()),
    TimeDistributed(MinMaxScaler()),
    TimeDistributed(PCA(n_components=1)),
    TimeDistributed(SimpleImputer(add_indicator=True)),
    TimeDistributed(SelectKBest(k=1)),
    TimeDistributed(Normalizer()),
    TimeDistributed(make_pipeline(StandardScaler(), MinMaxScaler())),
]


# Two features with different means and scales.
STEPS = np.concatenate(make_sequences(RAGGED, seed=3)) * [1.0, 5.0] + [2.0, -30.0]
SEQUENCES = np.split(STEPS, np.cumsum(RAGGED)[:-1])
LABELS = np.array([0, 1, 0, 1, 1])


def object_array(items):
    array = np.empty(len(items), dtype=object)
    array[:] = items
    return array


def joined(sequences):
    return np.concatenate(list(sequences))


class Halving(TransformerMixin, BaseEstimator):
    """A transformer that drops every second row."""

    def fit(self, X, y=None):
        self.n_features_in_ = X.shape[1]
        return self

    def transform(self, X):
        return X[::2]


class Recorder(TransformerMixin, BaseEstimator):
    """A transformer that stores the arguments of ``fit``."""

    def fit(self, X, y=None, sample_weight=None):
        self.X_, self.y_, self.sample_weight_ = X, y, sample_weight
        return self

    def transform(self, X):
        return X


class OtherWhenFitted(Recorder):
    """A transformer whose ``fit_transform`` differs from ``fit`` and ``transform``, like TargetEncoder."""

    def fit_transform(self, X, y=None):
        return 2 * self.fit(X, y).transform(X)


class FailingHalfWay(TransformerMixin, BaseEstimator):
    """A transformer whose ``partial_fit`` changes it, then refuses negative numbers."""

    def fit(self, X, y=None):
        self.seen_ = []
        return self.partial_fit(X)

    def partial_fit(self, X, y=None):
        self.seen_ = getattr(self, "seen_", [])
        self.seen_.append(len(X))
        if X.min() < 0:
            raise ValueError("negative")
        return self

    def transform(self, X):
        return X


# ---- scikit-learn's checks ---------------------------------------------------------------------------


# Not parametrize_with_checks, which in scikit-learn 1.6 gives pytest a generator: pytest 9 warns.
@pytest.mark.parametrize(
    ("estimator", "check"),
    [
        pytest.param(*pair, id=f"{type(pair[0].transformer).__name__}-{pair[1].func.__name__}")
        for estimator in CHECKED
        for pair in estimator_checks_generator(estimator)
    ],
)
def test_scikit_learn_finds_no_fault(estimator, check):
    check(estimator)


@pytest.mark.filterwarnings("ignore:X (has|does not have valid) feature names")  # they mix frames and arrays
@pytest.mark.parametrize("name", MORE_CHECKS_OF_TRANSFORMERS)
@pytest.mark.parametrize("estimator", CHECKED[:3], ids=str)
def test_scikit_learn_finds_no_fault_in_what_check_estimator_leaves_out(estimator, name):
    getattr(estimator_checks, name)("TimeDistributed", clone(estimator))


# ---- Values ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("transformer", [StandardScaler(), MinMaxScaler(), PCA(), PolynomialFeatures()], ids=str)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_ragged_sequences_give_the_numbers_of_their_stacked_steps(transformer, dtype):
    X = [sequence.astype(dtype) for sequence in SEQUENCES]
    expected = clone(transformer).fit_transform(joined(X))
    for values in (
        TimeDistributed(transformer).fit(X).transform(X),
        TimeDistributed(transformer).fit_transform(X),
    ):
        assert [len(sequence) for sequence in values] == list(RAGGED)
        assert {sequence.dtype for sequence in values} == {np.dtype(dtype)}
        assert_allclose(joined(values), expected, rtol=1e-5 if dtype == np.float32 else 1e-12, atol=1e-5)


def test_equal_lengths_give_the_numbers_of_their_stacked_steps():
    X = STEPS[:20].reshape(4, 5, 2)
    values = TimeDistributed(StandardScaler()).fit(X).transform(X)
    assert values.shape == (4, 5, 2)
    assert_array_equal(values.reshape(20, 2), StandardScaler().fit_transform(STEPS[:20]))


def test_rows_are_sequences_of_step_features_columns_each():
    X = STEPS[:20].reshape(4, 10)
    scaler = TimeDistributed(StandardScaler(), step_features=2).fit(X)
    assert scaler.n_features_in_ == 10
    assert scaler.transformer_.n_features_in_ == 2
    assert_array_equal(scaler.transform(X), StandardScaler().fit_transform(STEPS[:20]).reshape(4, 10))


@pytest.mark.parametrize(("transformer", "n_features_out"), [(PCA(n_components=1), 1), (PolynomialFeatures(), 6)])
def test_each_step_may_get_another_number_of_features(transformer, n_features_out):
    X = STEPS[:20].reshape(4, 5, 2)
    in_3d = TimeDistributed(transformer).fit_transform(X)
    in_2d = TimeDistributed(transformer, step_features=2).fit_transform(X.reshape(4, 10))
    assert in_3d.shape == (4, 5, n_features_out)
    assert_array_equal(in_2d, in_3d.reshape(4, 5 * n_features_out))


@pytest.mark.parametrize("form", [list, tuple, object_array])
def test_a_list_a_tuple_and_an_object_array_give_the_same(form):
    expected = TimeDistributed(StandardScaler()).fit_transform(SEQUENCES)
    values = TimeDistributed(StandardScaler()).fit_transform(form(SEQUENCES))
    if form is object_array:
        assert values.shape == (len(RAGGED),)
        assert values.dtype == object
    else:
        assert isinstance(values, list)
    for actual, sequence in zip(values, expected):
        assert_array_equal(actual, sequence)


def test_a_scaler_fitted_on_a_list_transforms_other_lengths_and_a_3d_array():
    scaler = TimeDistributed(StandardScaler()).fit(SEQUENCES)
    values = scaler.transform(np.ones((3, 40, 2)))
    assert values.shape == (3, 40, 2)
    assert_array_equal(values[2, 39], scaler.transform([np.ones((1, 2))])[0][0])


def test_univariate_sequences_may_be_1d():
    flat, columns = [s[:, 0] for s in SEQUENCES], [s[:, :1] for s in SEQUENCES]
    values = TimeDistributed(StandardScaler()).fit_transform(flat)
    assert [sequence.shape for sequence in values] == [(n, 1) for n in RAGGED]
    assert_array_equal(joined(values), joined(TimeDistributed(StandardScaler()).fit_transform(columns)))


def test_the_data_and_the_given_transformer_stay_as_they_were():
    X, transformer = [s.copy() for s in SEQUENCES], StandardScaler()
    TimeDistributed(transformer).fit(X).transform(X)
    assert_array_equal(joined(X), STEPS)
    assert vars(transformer) == vars(StandardScaler())


def test_nan_is_imputed_where_the_transformer_can():
    X = [s.copy() for s in SEQUENCES]
    X[2][4, 1] = np.nan
    expected = np.nanmean(joined(X)[:, 1])
    for imputer in (SimpleImputer(), make_pipeline("passthrough", SimpleImputer(), PCA())):
        assert np.isfinite(joined(TimeDistributed(imputer).fit_transform(X))).all()
    assert_allclose(TimeDistributed(SimpleImputer()).fit_transform(X)[2][4, 1], expected, rtol=1e-12)


def test_compositions_take_nan_where_all_that_read_it_do():
    X = [s.copy() for s in SEQUENCES]
    X[0][0, 0] = np.nan
    union = make_union(SimpleImputer(), MissingIndicator())
    columns = ColumnTransformer([("impute", SimpleImputer(), [0]), ("keep", "passthrough", [1])])
    assert TimeDistributed(union).fit_transform(X)[0].shape == (RAGGED[0], 3)
    assert TimeDistributed(columns).fit_transform(X)[0].shape == (RAGGED[0], 2)
    for refusing in (make_pipeline(PCA(), SimpleImputer()), FeatureUnion([("a", union), ("b", PCA())])):
        assert not get_tags(TimeDistributed(refusing)).input_tags.allow_nan
        with pytest.raises(ValueError, match="X contains NaN in sequence 0, step 0, feature 0"):
            TimeDistributed(refusing).fit(X)


def test_a_stateless_transformer_needs_no_fit():
    values = TimeDistributed(Normalizer()).transform(SEQUENCES)
    assert_allclose(np.linalg.norm(joined(values), axis=1), 1, rtol=1e-12)
    with pytest.raises(NotFittedError):
        TimeDistributed(StandardScaler()).transform(SEQUENCES)


# ---- inverse_transform -------------------------------------------------------------------------------


@pytest.mark.parametrize("form", [list, object_array, lambda s: np.stack([s[0], s[4]])], ids=["list", "object", "3-D"])
@pytest.mark.parametrize("transformer", [StandardScaler(), PCA()], ids=str)
def test_inverse_transform_undoes_transform(transformer, form):
    X = form(SEQUENCES)
    distributed = TimeDistributed(transformer).fit(X)
    restored = distributed.inverse_transform(distributed.transform(X))
    assert type(restored) is type(X)
    assert [s.shape for s in restored] == [s.shape for s in X]
    assert_allclose(joined(restored), joined(X), rtol=1e-9)


def test_inverse_transform_undoes_transform_of_rows():
    X = STEPS[:20].reshape(4, 10)
    for transformer in (StandardScaler(), PCA()):
        distributed = TimeDistributed(transformer, step_features=2).fit(X)
        assert_allclose(distributed.inverse_transform(distributed.transform(X)), X, rtol=1e-9)


def test_inverse_transform_gives_all_features_of_fewer_components():
    X = STEPS[:20].reshape(4, 10)
    distributed = TimeDistributed(PCA(n_components=1), step_features=2).fit(X)
    pca = PCA(n_components=1).fit(STEPS[:20])
    expected = pca.inverse_transform(pca.transform(STEPS[:20])).reshape(4, 10)
    assert_allclose(distributed.inverse_transform(distributed.transform(X)), expected, rtol=1e-9)


def test_inverse_transform_takes_the_data_frame_of_set_output():
    pytest.importorskip("pandas")
    X = STEPS[:20].reshape(4, 10)
    scaler = TimeDistributed(StandardScaler(), step_features=2).set_output(transform="pandas").fit(X)
    assert_allclose(scaler.inverse_transform(scaler.transform(X)), X, rtol=1e-12)


def test_inverse_transform_refuses_what_transform_does_not_give():
    one_feature = TimeDistributed(StandardScaler()).fit([s[:, 0] for s in SEQUENCES])
    with pytest.raises(ValueError, match=r"X has 2 features per step, but .* another number for 1 features"):
        one_feature.inverse_transform(SEQUENCES)
    with pytest.raises(ValueError, match="X is 2-D, but this TimeDistributed was fitted on a 3-D array or a list"):
        one_feature.inverse_transform(STEPS)
    rows = TimeDistributed(StandardScaler(), step_features=2).fit(STEPS[:20].reshape(4, 10))
    with pytest.raises(
        ValueError, match="X has 7 columns, but this TimeDistributed was fitted on sequences of 5 steps"
    ):
        rows.inverse_transform(np.ones((4, 7)))


def test_inverse_transform_is_there_only_if_the_transformer_has_it():
    assert not hasattr(TimeDistributed(PolynomialFeatures()), "inverse_transform")
    assert not hasattr(TimeDistributed(PCA()), "partial_fit")
    assert not hasattr(TimeDistributed(FunctionTransformer()), "get_feature_names_out")


# ---- partial_fit -------------------------------------------------------------------------------------


@pytest.mark.parametrize("transformer", [StandardScaler(), MinMaxScaler(), IncrementalPCA()], ids=str)
def test_partial_fit_in_pieces_is_the_transformers_own(transformer):
    distributed, own = TimeDistributed(transformer), clone(transformer)
    for X in (SEQUENCES[:3], SEQUENCES[3:]):
        assert distributed.partial_fit(X) is distributed
        own.partial_fit(joined(X))
    assert_array_equal(joined(distributed.transform(SEQUENCES)), own.transform(STEPS))


def test_partial_fit_goes_on_from_fit_and_fit_begins_anew():
    scaler = TimeDistributed(StandardScaler()).fit(SEQUENCES[:2]).partial_fit(SEQUENCES[2:])
    assert_allclose(scaler.transformer_.mean_, STEPS.mean(axis=0), rtol=1e-12)
    scaler.fit(SEQUENCES[:2])
    assert_allclose(scaler.transformer_.mean_, joined(SEQUENCES[:2]).mean(axis=0), rtol=1e-12)


# ---- y and sample_weight -----------------------------------------------------------------------------


Y_PER_STEP = np.arange(len(STEPS)) % 3


@pytest.mark.parametrize("y", [LABELS, LABELS.tolist(), LABELS.astype(str), np.eye(2)[LABELS]])
def test_y_of_a_sequence_is_repeated_for_its_steps(y):
    recorder = TimeDistributed(Recorder()).fit(SEQUENCES, y).transformer_
    assert_array_equal(recorder.y_, np.repeat(np.asarray(y), RAGGED, axis=0))


@pytest.mark.parametrize("form", [list, tuple, object_array])
def test_y_of_each_step_is_joined(form):
    y = form(np.split(Y_PER_STEP, np.cumsum(RAGGED)[:-1]))
    assert_array_equal(TimeDistributed(Recorder()).fit(SEQUENCES, y).transformer_.y_, Y_PER_STEP)


def test_y_of_each_step_of_equal_lengths_is_joined():
    X, y = STEPS[:20].reshape(4, 5, 2), Y_PER_STEP[:20].reshape(4, 5)
    for data in (X, X.reshape(4, 10)):
        recorder = TimeDistributed(Recorder(), step_features=2).fit(data, y).transformer_
        assert_array_equal(recorder.y_, Y_PER_STEP[:20])
    assert TimeDistributed(Recorder()).fit(X, y[:, :, np.newaxis]).transformer_.y_.shape == (20, 1)


def test_a_selector_chooses_by_the_labels_of_the_sequences():
    X = [np.column_stack([s[:, 0], np.full(len(s), 10.0 * label) + s[:, 0]]) for s, label in zip(SEQUENCES, LABELS)]
    selector = TimeDistributed(SelectKBest(f_classif, k=1)).fit(X, LABELS)
    assert_array_equal(selector.transformer_.get_support(), [False, True])
    in_pipeline = TimeDistributed(make_pipeline(StandardScaler(), SelectKBest(f_classif, k=1))).fit(X, LABELS)
    assert_array_equal(in_pipeline.transformer_[-1].get_support(), [False, True])


def test_fit_transform_is_the_transformers_own():
    distributed = TimeDistributed(OtherWhenFitted())
    assert_array_equal(joined(distributed.fit_transform(SEQUENCES)), 2 * STEPS)
    assert_array_equal(joined(distributed.transform(SEQUENCES)), STEPS)
    scores = TimeDistributed(PLSRegression(n_components=1)).fit_transform(SEQUENCES, LABELS)
    assert [s.shape for s in scores] == [(n, 1) for n in RAGGED]


def test_a_missing_y_is_named_and_a_short_one_is_counted():
    encoder = TimeDistributed(TargetEncoder())
    assert get_tags(encoder).target_tags.required
    with pytest.raises(ValueError, match="requires y to be passed, but the target y is None"):
        encoder.fit(SEQUENCES)
    with pytest.raises(ValueError, match="y has 4 entries, but X has 5 sequences"):
        encoder.fit(SEQUENCES, LABELS[:4])
    with pytest.raises(ValueError, match=r"y\[0\] has 4 targets, but X\[0\] has 5 steps"):
        encoder.fit(SEQUENCES, [np.zeros(4)] + [np.zeros(n) for n in RAGGED[1:]])


def test_weights_of_sequences_are_repeated_for_their_steps():
    weights = np.array([1.0, 0.5, 2.0, 0.0, 3.0])
    expected = np.average(STEPS, axis=0, weights=np.repeat(weights, RAGGED))
    scaler = TimeDistributed(StandardScaler())
    for fitted in (
        clone(scaler).fit(SEQUENCES, sample_weight=weights),
        clone(scaler).partial_fit(SEQUENCES, sample_weight=weights.tolist()),
    ):
        assert_allclose(fitted.transformer_.mean_, expected, rtol=1e-12)
    in_pipeline = TimeDistributed(make_pipeline(StandardScaler()))
    in_pipeline.fit(SEQUENCES, standardscaler__sample_weight=weights)
    assert_allclose(in_pipeline.transformer_[0].mean_, expected, rtol=1e-12)
    outer = make_pipeline(scaler).fit(SEQUENCES, timedistributed__sample_weight=weights)
    assert_allclose(outer[0].transformer_.mean_, expected, rtol=1e-12)
    assert_array_equal(
        joined(clone(scaler).fit_transform(SEQUENCES, sample_weight=weights)), joined(outer.transform(SEQUENCES))
    )


def test_weights_may_be_those_of_steps():
    weights = np.random.default_rng(0).uniform(0, 2, size=len(STEPS))
    of_steps = np.split(weights, np.cumsum(RAGGED)[:-1])
    fitted = TimeDistributed(StandardScaler()).fit(SEQUENCES, sample_weight=of_steps)
    assert_allclose(fitted.transformer_.mean_, np.average(STEPS, axis=0, weights=weights), rtol=1e-12)
    with pytest.raises(ValueError, match=r"^sample_weight\[0\] has shape \(2,\), but X\[0\] has 5 steps"):
        TimeDistributed(StandardScaler()).fit(SEQUENCES, sample_weight=np.ones((5, 2)))


def test_no_weights_are_none():
    assert TimeDistributed(Recorder()).fit(SEQUENCES, sample_weight=None).transformer_.sample_weight_ is None
    TimeDistributed(MinMaxScaler()).fit(SEQUENCES, sample_weight=None)


def test_weights_are_refused_where_the_transformer_takes_none_or_sequences_are_more():
    with pytest.raises(TypeError, match="sample_weight"):
        TimeDistributed(MinMaxScaler()).fit(SEQUENCES, sample_weight=np.ones(5))
    with pytest.raises(ValueError, match=r"sample_weight has shape \(4,\), but X has 5 sequences"):
        TimeDistributed(StandardScaler()).fit(SEQUENCES, sample_weight=np.ones(4))


# ---- Names and data frames ---------------------------------------------------------------------------


def test_the_names_of_sequences_are_the_transformers_names_of_a_step():
    scaler = TimeDistributed(StandardScaler()).fit(SEQUENCES)
    assert_array_equal(scaler.get_feature_names_out(), ["x0", "x1"])
    assert_array_equal(scaler.get_feature_names_out(["speed", "angle"]), ["speed", "angle"])
    polynomials = TimeDistributed(PolynomialFeatures(include_bias=False)).fit(STEPS[:20].reshape(4, 5, 2))
    assert_array_equal(polynomials.get_feature_names_out(["a", "b"]), ["a", "b", "a^2", "a b", "b^2"])


def test_the_names_of_rows_come_from_each_steps_columns():
    X = STEPS[:16].reshape(8, 4)
    polynomials = PolynomialFeatures(include_bias=False, interaction_only=True)
    distributed = TimeDistributed(polynomials, step_features=2).fit(X)
    assert_array_equal(distributed.get_feature_names_out(), ["x0", "x1", "x0 x1", "x2", "x3", "x2 x3"])
    assert_array_equal(distributed.get_feature_names_out(list("abcd")), ["a", "b", "a b", "c", "d", "c d"])


def test_names_that_repeat_from_step_to_step_follow_their_step():
    X = STEPS[:16].reshape(8, 4)
    pca = TimeDistributed(PCA(), step_features=2).fit(X)
    expected = ["step0_pca0", "step0_pca1", "step1_pca0", "step1_pca1"]
    assert_array_equal(pca.get_feature_names_out(), expected)
    assert pca.get_feature_names_out().dtype == object
    polynomials = TimeDistributed(PolynomialFeatures(degree=1), step_features=2).fit(X)
    expected = ["step0_1", "step0_x0", "step0_x1", "step1_1", "step1_x2", "step1_x3"]
    assert_array_equal(polynomials.get_feature_names_out(), expected)


def test_the_columns_of_a_data_frame_keep_their_names_and_their_index():
    pd = pytest.importorskip("pandas")
    X = pd.DataFrame(STEPS[:16].reshape(8, 4), columns=list("abcd"), index=range(10, 18))
    scaler = TimeDistributed(StandardScaler(), step_features=2).set_output(transform="pandas")
    values = scaler.fit_transform(X)
    assert_array_equal(scaler.feature_names_in_, list("abcd"))
    assert list(values.columns) == list("abcd")
    assert list(values.index) == list(range(10, 18))
    assert_array_equal(values.to_numpy(), clone(scaler).set_output(transform="default").fit_transform(X))


def test_data_frames_are_refused_for_sequences():
    pytest.importorskip("pandas")
    scaler = TimeDistributed(StandardScaler()).fit(SEQUENCES).set_output(transform="pandas")
    for X in (SEQUENCES, object_array(SEQUENCES), np.ones((2, 3, 2))):
        with pytest.raises(ValueError, match=r"call set_output\(transform='default'\)"):
            scaler.transform(X)
        with pytest.raises(ValueError, match=r"call set_output\(transform='default'\)"):
            clone(scaler).fit_transform(X)
        assert len(clone(scaler).set_output(transform="default").fit_transform(X)) == len(X)


@pytest.mark.parametrize("container", ["pandas", "polars"])
def test_sequences_stay_sequences_where_scikit_learn_is_set_to_return_data_frames(container):
    pytest.importorskip(container, reason=f"returns frames of {container}")
    for X in (SEQUENCES, object_array(SEQUENCES), np.arange(12.0).reshape(2, 3, 2)):
        expected = TimeDistributed(StandardScaler()).fit_transform(X)
        scaler = TimeDistributed(StandardScaler())
        with config_context(transform_output=container):
            for values in (scaler.fit_transform(X), scaler.transform(X)):
                assert type(values) is type(expected)
                assert_array_equal(joined(values), joined(expected))
            frame = TimeDistributed(StandardScaler()).fit_transform(STEPS)
            assert type(frame).__module__.startswith(container)
            assert type(TimeDistributed(StandardScaler()).fit(STEPS).transform(STEPS)) is type(frame)


def test_a_pipeline_passes_sequences_on_where_scikit_learn_returns_data_frames():
    pytest.importorskip("pandas", reason="returns frames of pandas")
    labels = np.arange(len(SEQUENCES)) % 2
    pipeline = make_pipeline(TimeDistributed(StandardScaler()), RNNClassifier((3,), max_iter=2, random_state=0))
    expected = clone(pipeline).fit(SEQUENCES, labels).predict_proba(SEQUENCES)
    with config_context(transform_output="pandas"):
        assert_array_equal(pipeline.fit(SEQUENCES, labels).predict_proba(SEQUENCES), expected)


def test_a_transformer_whose_own_output_is_a_data_frame_gives_arrays():
    pytest.importorskip("pandas")
    # The second transformer selects its column by the name that the first transformer gave it.
    by_name = ColumnTransformer([("scale", StandardScaler(), ["x1"])])
    transformer = make_pipeline(PolynomialFeatures(degree=1).set_output(transform="pandas"), by_name)
    values = TimeDistributed(transformer).fit_transform(SEQUENCES)
    assert_array_equal(joined(values), StandardScaler().fit_transform(STEPS[:, 1:]))
    with config_context(transform_output="pandas"):
        scaler = TimeDistributed(StandardScaler()).set_output(transform="default")
        assert type(scaler.fit_transform(STEPS)) is np.ndarray


# ---- Among other estimators --------------------------------------------------------------------------


def test_a_pipeline_with_a_classifier_is_searched_over_the_transformers_parameters():
    X, y = make_temporal_order(24, 12, random_state=0)
    X = [3 + 5 * sequence[: 8 + i % 5] for i, sequence in enumerate(X)]
    classifier = RNNClassifier(hidden_layer_sizes=4, n_iter_no_change=2, tol=1e9, random_state=0)
    grid = {"timedistributed__transformer__with_mean": [True, False]}
    search = GridSearchCV(make_pipeline(TimeDistributed(StandardScaler()), classifier), grid, cv=2, error_score="raise")
    search.fit(X, y)
    assert search.predict(X).shape == (24,)
    assert search.best_estimator_[0].transformer_.with_mean in (True, False)
    assert len(search.cv_results_["params"]) == 2


def test_transformers_can_be_stacked():
    X = [s.copy() for s in SEQUENCES]
    X[0][0, 0] = np.nan
    steps = make_pipeline(TimeDistributed(SimpleImputer()), TimeDistributed(StandardScaler()))
    assert_allclose(joined(steps.fit_transform(X)).mean(axis=0), 0, atol=1e-12)


@pytest.mark.parametrize("transformer", [StandardScaler(), PCA()], ids=str)
def test_a_clone_is_unfitted_and_a_pickle_gives_the_same_bits(transformer):
    distributed = TimeDistributed(transformer).fit(SEQUENCES)
    assert not hasattr(clone(distributed), "transformer_")
    restored = pickle.loads(pickle.dumps(distributed))
    assert_array_equal(joined(restored.transform(SEQUENCES)), joined(distributed.transform(SEQUENCES)))


def test_the_tags_are_the_transformers():
    tags = get_tags(TimeDistributed(StandardScaler()))
    assert (tags.input_tags.two_d_array, tags.input_tags.three_d_array) == (True, True)
    assert tags.input_tags.allow_nan
    assert not tags.input_tags.sparse
    assert tags.transformer_tags.preserves_dtype == ["float64", "float32"]
    assert not get_tags(TimeDistributed(Normalizer())).requires_fit
    assert not get_tags(TimeDistributed(PCA())).input_tags.allow_nan


# ---- Errors ------------------------------------------------------------------------------------------


def test_step_features_that_do_not_divide_the_columns_are_refused():
    with pytest.raises(ValueError, match="step_features=3 does not divide the 10 columns of X"):
        TimeDistributed(StandardScaler(), step_features=3).fit(np.ones((4, 10)))


def test_other_features_per_step_are_refused():
    scaler = TimeDistributed(StandardScaler()).fit(SEQUENCES)
    with pytest.raises(ValueError, match="X has 3 features per step, but TimeDistributed is expecting 2"):
        scaler.transform([np.ones((4, 3))])
    with pytest.raises(ValueError, match=r"X\[1\] has 3 features per step, but X\[0\] has 2"):
        scaler.transform([np.ones((4, 2)), np.ones((4, 3))])
    with pytest.raises(ValueError, match="X is 2-D, but this TimeDistributed was fitted on sequences"):
        scaler.transform(STEPS)


def test_nan_is_named_where_the_transformer_does_not_take_it():
    X = [s.copy() for s in SEQUENCES]
    X[2][4, 1] = np.nan
    with pytest.raises(ValueError, match="X contains NaN in sequence 2, step 4, feature 1"):
        TimeDistributed(PCA()).fit(X)
    X[2][4, 1] = np.inf
    with pytest.raises(ValueError, match="X contains infinity in sequence 2, step 4, feature 1"):
        TimeDistributed(SimpleImputer()).fit(X)


def test_sparse_output_becomes_dense():
    X = [np.rint(s) for s in SEQUENCES]
    expected = TimeDistributed(OneHotEncoder(sparse_output=False)).fit_transform(X)
    encoder = TimeDistributed(OneHotEncoder())
    for values in (encoder.fit_transform(X), encoder.transform(X)):
        assert_array_equal(joined(values), joined(expected))


def test_output_without_a_row_for_each_step_is_refused():
    with pytest.raises(ValueError, match=r"returns an array of shape \(11, 2\) for 21 steps: it must return one row"):
        TimeDistributed(Halving()).fit_transform(SEQUENCES)
    for function in (lambda X: X[:, 0], lambda X: X[:, :0]):
        with pytest.raises(ValueError, match="it must return one row, with at least one feature, for each step"):
            TimeDistributed(FunctionTransformer(function)).transform(SEQUENCES)


@pytest.mark.parametrize("transformer", [None, "passthrough", RNNClassifier(), sp.csr_matrix((2, 2))])
def test_what_is_no_transformer_is_refused(transformer):
    with pytest.raises(ValueError, match="The 'transformer' parameter of TimeDistributed must be"):
        TimeDistributed(transformer).fit(SEQUENCES)


@pytest.mark.parametrize("method", ["fit", "partial_fit", "fit_transform"])
def test_bad_input_changes_nothing(method):
    scaler = TimeDistributed(StandardScaler()).fit(SEQUENCES)
    before = vars(scaler).copy()
    for X, params in (
        ([np.ones((4, 2)), np.ones((4, 3))], {}),
        (np.full((2, 3, 2), np.inf), {}),
        (SEQUENCES, {"sample_weight": np.ones(3)}),
    ):
        with pytest.raises(ValueError, match=r"X|sample_weight"):
            getattr(scaler, method)(X, **params)
        assert vars(scaler) == before
    assert_array_equal(scaler.transformer_.mean_, StandardScaler().fit(STEPS).mean_)


def test_a_transformer_that_fails_half_way_through_partial_fit_is_left_out():
    distributed = TimeDistributed(FailingHalfWay()).partial_fit([np.ones((3, 1))])
    with pytest.raises(ValueError, match="negative"):
        distributed.partial_fit([-np.ones((4, 1))])
    assert distributed.transformer_.seen_ == [3]
    distributed.partial_fit([np.ones((5, 1))])
    assert distributed.transformer_.seen_ == [3, 5]
