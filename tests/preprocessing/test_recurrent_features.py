"""RecurrentFeatures: its features are those of a loop in NumPy, with the same bits for any blocks and threads."""

import pickle
import tracemalloc

import numpy as np
import pytest
from helpers import ENGINES, MORE_CHECKS_OF_TRANSFORMERS, RAGGED, each_engine, make_sequences
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import RidgeClassifierCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import estimator_checks
from sklearn.utils.estimator_checks import estimator_checks_generator

from sklearn_rnn._network import kernels, network
from sklearn_rnn.datasets import load_japanese_vowels
from sklearn_rnn.preprocessing import RecurrentFeatures, _recurrent_features, _share_counts

SMALL = RecurrentFeatures(16, n_scales=2, random_state=0)
EVERY_POOL = ("last", "mean", "max", "shares")
needs_kernels = pytest.mark.skipif(
    kernels.name == "numpy", reason="without kernels, BLAS may round a sequence's states differently in another batch"
)


def small(**params):
    return clone(SMALL).set_params(**params)


@pytest.fixture
def tiny_blocks(monkeypatch):
    """Cut sequences into many blocks and chunks."""
    monkeypatch.setattr("sklearn_rnn._network.blocks.SMALLEST_WORK", 1)
    monkeypatch.setattr(_recurrent_features, "USUAL_BLOCK", 3)
    monkeypatch.setattr(_recurrent_features, "SMALLEST_BLOCK", 1)
    monkeypatch.setattr(network, "CHUNK_VALUES", 50)


# ---- scikit-learn's checks -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("estimator", "check"),
    [pytest.param(*pair, id=pair[1].func.__name__) for pair in estimator_checks_generator(SMALL)],
)
def test_scikit_learn_finds_no_fault(estimator, check):
    check(estimator)


@pytest.mark.filterwarnings("ignore:X (has|does not have valid) feature names")  # they mix frames and arrays
@pytest.mark.parametrize("name", MORE_CHECKS_OF_TRANSFORMERS)
def test_scikit_learn_finds_no_fault_in_what_check_estimator_leaves_out(name):
    assert getattr(estimator_checks, name)("RecurrentFeatures", small()) is None


# ---- Values ----------------------------------------------------------------------------------------------------------


def expected_states(features, layer, x):
    """h of every step of a sequence, (n_steps, n_units), in the order in which the layer reads them."""
    values = (x - features._scale._mean) / features._scale._spread
    if layer.reads_changes:
        values = np.diff(values, axis=0, prepend=values[:1]) / features._scale._change
    weights = layer.network.parameters.group("layer_0")
    h, states = np.zeros(layer.n_units), []
    for x_t in values[::-1] if layer.is_reverse else values:
        h = np.tanh(x_t @ weights["input"] + h @ weights["recurrent"] + weights["bias"])
        states.append(h)
    return np.array(states)


def expected_features(features, x):
    """The features of a sequence, by the names of get_feature_names_out."""
    expected, unit = {}, 0
    for layer in features._layers:
        for h, thresholds in zip(expected_states(features, layer, x).T, layer.thresholds.T):
            expected[f"unit{unit}_last"] = h[-1]
            expected[f"unit{unit}_mean"] = h.mean()
            expected[f"unit{unit}_max"] = h.max()
            borders = [int(np.ceil(p * len(h) / features.n_parts)) for p in range(features.n_parts + 1)]
            for level, threshold in enumerate(thresholds):
                for part in range(features.n_parts):
                    h_part = h[borders[part] : borders[part + 1]]
                    name = f"unit{unit}_share{level}" + f"_part{part}" * (features.n_parts > 1)
                    expected[name] = (h_part > threshold).mean() if len(h_part) else 0.0
            unit += 1
    return expected


@each_engine
@pytest.mark.parametrize("lengths", [RAGGED, (6, 6, 6)], ids=str)
@pytest.mark.parametrize("n_parts", [1, 2, 5])
@pytest.mark.parametrize("is_deep_cut", [False, True])
def test_features_are_those_of_a_loop_over_the_steps(engine, lengths, n_parts, is_deep_cut, request):
    if is_deep_cut:
        request.getfixturevalue("tiny_blocks")
    # The thresholds are states of X: other sequences have no state that equals one but for rounding.
    features = small(pools=EVERY_POOL, n_parts=n_parts, n_levels=3).fit(make_sequences(seed=1))
    for layer in features._layers:
        layer.network.engine = ENGINES[engine]
    X = make_sequences(lengths)
    names = features.get_feature_names_out()
    for x, row in zip(X, features.transform(X), strict=True):
        expected = expected_features(features, x)
        assert set(names) == set(expected)
        assert_allclose(row, [expected[name] for name in names], rtol=1e-10, atol=1e-12)


def test_layers_read_values_and_changes_from_both_ends_at_every_scale():
    layers = small(n_scales=3, n_units=24).fit(make_sequences())._layers
    assert [layer.n_units for layer in layers] == [2] * 12
    kinds = [(layer.reads_changes, layer.is_reverse) for layer in layers[::3]]
    assert kinds == [(False, False), (False, True), (True, False), (True, True)]
    one_way = small(bidirectional=False, differences=False).fit(make_sequences())._layers
    assert [(layer.reads_changes, layer.is_reverse) for layer in one_way] == [(False, False)] * 2


@pytest.mark.parametrize("n_units", [1, 3, 5, 37])
def test_units_are_shared_out_among_the_layers(n_units):
    features = small(n_units=n_units, pools=("last",)).fit(make_sequences())
    sizes = [layer.n_units for layer in features._layers]
    assert sum(sizes) == n_units
    assert max(sizes) - min(sizes) <= 1
    assert features.transform(make_sequences()).shape == (len(RAGGED), n_units)


def test_recurrent_weights_shrink_every_state_by_the_time_scale():
    layers = small(n_units=40, n_scales=2).fit([np.zeros((160, 1)), np.ones((160, 1))])._layers
    for layer, scale in zip(layers, [1, 20] * 4, strict=True):
        recurrent = layer.network.parameters.views["layer_0.recurrent"]
        assert_allclose(recurrent @ recurrent.T, np.exp(-2 / (9 * scale)) * np.eye(5), rtol=1e-10, atol=1e-12)
        angles = np.abs(np.angle(np.linalg.eigvals(recurrent)))
        assert angles.max() <= np.pi / scale


def test_thresholds_are_quantiles_of_the_states_of_training_sequences():
    features = small(n_parts=1, n_levels=5).fit(X := make_sequences((40, 60, 50)))
    for layer in features._layers:
        states = np.concatenate([expected_states(features, layer, x) for x in X])
        shares = (states[:, np.newaxis] > layer.thresholds + 1e-12).mean(axis=0)  # (n_levels, n_units)
        levels = np.arange(1, 5 * layer.n_units + 1) * (1 + np.sqrt(5)) / 2 % 1
        expected = 1 - np.sort(levels.reshape(5, -1), axis=0)
        assert_allclose(shares, expected, rtol=0, atol=1 / len(states) + 1e-9)


def test_scale_and_offset_of_the_features_do_not_matter():
    X = make_sequences((8, 12, 9, 10))
    expected = small(pools=("last", "mean")).fit_transform(X)
    moved = [x * [1000.0, 0.01] + [5.0, -70.0] for x in X]
    assert_allclose(small(pools=("last", "mean")).fit_transform(moved), expected, rtol=1e-8, atol=1e-10)


def test_targets_are_not_read():
    X = make_sequences()
    assert_array_equal(small().fit(X, np.arange(5)).transform(X), small().fit_transform(X))


def test_a_linear_model_on_the_features_recognises_speakers():
    X, y = load_japanese_vowels(subset="train", return_X_y=True)
    X_test, y_test = load_japanese_vowels(subset="test", return_X_y=True)
    model = make_pipeline(
        RecurrentFeatures(64, random_state=0), StandardScaler(), RidgeClassifierCV(np.logspace(0, 4, 5))
    )
    assert model.fit(X, y).score(X_test, y_test) > 0.95


# ---- The same bits ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_n_jobs_does_not_change_a_bit(dtype, tiny_blocks):
    X = make_sequences((2, 9, 4, 4, 1, 7) * 5, dtype=dtype)
    expected = small(pools=EVERY_POOL).fit_transform(X)
    assert expected.dtype == dtype
    for n_jobs in (2, 3):
        assert_array_equal(small(pools=EVERY_POOL, n_jobs=n_jobs).fit_transform(X), expected)


@needs_kernels
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_batches_blocks_and_chunks_do_not_change_a_bit(dtype, request):
    X = make_sequences((2, 9, 4, 4, 1, 7) * 5, dtype=dtype)
    features = small(pools=EVERY_POOL).fit(X)
    expected = features.transform(X)
    request.getfixturevalue("tiny_blocks")
    assert_array_equal(features.transform(X), expected)
    for size in (1, 2, 7):
        batches = [features.transform(X[first : first + size]) for first in range(0, len(X), size)]
        assert_array_equal(np.concatenate(batches), expected)


def test_long_runs_are_counted_without_overflow(monkeypatch):
    X = make_sequences((1000, 700, 1000), 1)
    features = small().fit(X)
    expected = features.transform(X)
    monkeypatch.setattr(_share_counts, "LONGEST_RUN", 10)
    assert_array_equal(features.transform(X), expected)
    assert expected.max() == 1


def test_the_same_random_state_gives_the_same_features_and_another_gives_others():
    X = make_sequences()
    assert_array_equal(small().fit_transform(X), small().fit_transform(X))
    assert not np.array_equal(small(random_state=1).fit_transform(X), small().fit_transform(X))


def test_a_pickle_and_a_clone_give_the_same_bits():
    X = make_sequences()
    features = small().fit(X)
    expected = features.transform(X)
    assert_array_equal(pickle.loads(pickle.dumps(features)).transform(X), expected)
    assert_array_equal(clone(features).fit_transform(X), expected)


def test_parameters_that_change_after_fit_change_nothing_before_the_next_fit():
    X = np.random.default_rng(0).normal(size=(6, 8))
    features = small(step_features=2).fit(X)
    expected = features.transform(X)
    features.set_params(step_features=4, pools=("max",), n_parts=1, n_levels=2, n_units=3)
    assert_array_equal(features.transform(X), expected)
    assert len(features.get_feature_names_out()) == expected.shape[1]


# ---- Names and frames ------------------------------------------------------------------------------------------------


def test_names_say_unit_pool_threshold_and_part():
    features = small(n_units=2, pools=("shares", "max"), n_levels=2, n_parts=2).fit(make_sequences())
    of_unit = ["share0_part0", "share0_part1", "share1_part0", "share1_part1", "max"]
    expected = [f"unit{unit}_{suffix}" for unit in (0, 1) for suffix in of_unit]
    assert features.get_feature_names_out().tolist() == expected  # two layers of a unit each


def test_frames_have_the_names_as_columns_for_sequences_of_every_form():
    pandas = pytest.importorskip("pandas", reason="the test makes pandas data frames")
    for X in (make_sequences(), np.ones((3, 4, 2)), np.ones((3, 4))):
        frame = small().set_output(transform="pandas").fit_transform(X)
        assert isinstance(frame, pandas.DataFrame)
        assert frame.columns.tolist() == small().fit(X).get_feature_names_out().tolist()


# ---- Bad input and bad luck ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("X", "message"),
    [
        ([], r"X is an empty list"),
        ([[1.0, np.nan], [1.0]], r"X contains NaN in sequence 0, step 1, feature 0: RecurrentFeatures does not accept"),
        ([[1.0], []], r"X\[1\] has no steps"),
        ([np.ones((2, 2)), np.ones((2, 3))], r"X\[1\] has 3 features per step, but X\[0\] has 2"),
        (np.ones((2, 3, 4, 5)), r"X has 4 dimensions"),
        ([[1e200], [-1e200, 0.0]], r"X has numbers in feature 0 whose squares are too large for float64"),
    ],
)
def test_fit_refuses_bad_sequences_and_stays_as_it_was(X, message):
    features = small().fit(make_sequences())
    before = pickle.dumps(features)
    with pytest.raises(ValueError, match=f"^{message}"):
        features.fit(X)
    assert pickle.dumps(features) == before


@pytest.mark.parametrize(
    ("X", "message"),
    [
        ([np.ones((3, 3))], r"X has 3 features per step, but RecurrentFeatures is expecting 2 features per step"),
        (np.ones((3, 4)), r"X is 2-D, but this RecurrentFeatures was fitted on sequences with 2 features per step"),
        ([np.full((3, 2), np.inf)], r"X contains infinity in sequence 0, step 0"),
    ],
)
def test_transform_refuses_other_sequences(X, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        small().fit(make_sequences()).transform(X)


def test_transform_refuses_numbers_that_are_too_large_for_the_dtype_of_fit():
    features = small().fit(make_sequences(dtype=np.float32))
    with pytest.raises(ValueError, match=r"^X contains infinity in sequence 0, step 1"):
        features.transform([np.array([[1.0, 1.0], [1e39, 1.0]])])


@pytest.mark.parametrize(
    ("pools", "message"),
    [
        ((), r"pools=\(\) must be a tuple of names out of last, mean, max, shares"),
        (("last", "min"), r"pools=\('last', 'min'\) must be a tuple of names out of"),
        (("last", 3), r"pools=\('last', 3\) must be"),
        (("max", "max"), r"pools=\('max', 'max'\) has a name twice"),
    ],
)
def test_fit_refuses_bad_pools(pools, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        small(pools=pools).fit(make_sequences())


def test_transform_needs_a_fit():
    with pytest.raises(NotFittedError, match="RecurrentFeatures instance is not fitted"):
        small().transform(make_sequences())


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("value", [0.0, 0.1, 1e30])
def test_constant_sequences_have_features_without_noise(dtype, value):
    features = small(pools=EVERY_POOL).fit(np.full((4, 6, 2), value, dtype))
    table = features.transform(np.full((3, 9, 2), value, dtype))
    assert_array_equal(table, 0)  # all states are 0: none is above its threshold, which ties
    assert np.isfinite(features.transform(np.ones((3, 9, 2), dtype))).all()


def test_one_step_is_enough():
    features = small(pools=EVERY_POOL).fit([[1.0], [2.0], [3.0, 4.0]])
    table = features.transform([[5.0]])
    assert np.isfinite(table).all()
    columns = dict(zip(features.get_feature_names_out(), table[0]))
    for unit in range(16):
        assert columns[f"unit{unit}_last"] == columns[f"unit{unit}_max"]
        assert_allclose(columns[f"unit{unit}_mean"], columns[f"unit{unit}_last"], rtol=1e-12)
        assert columns[f"unit{unit}_share0_part1"] == columns[f"unit{unit}_share0_part2"] == 0
    assert np.isfinite(small().fit_transform([[1.0], [2.0]])).all()


def test_the_largest_numbers_of_float32_do_not_overflow():
    largest = np.finfo(np.float32).max
    X = [x * [1, 1e-30] for x in make_sequences(dtype=np.float32)]
    X = [x.astype(np.float32) for x in X]
    extremes = np.array([[largest, largest], [-largest, largest], [largest, -largest]], np.float32)
    for features in (small(pools=EVERY_POOL).fit(X), small(pools=EVERY_POOL).fit([*X, extremes])):
        table = features.transform([extremes, -extremes])
        assert np.abs(table).max() <= 1


def test_ctrl_c_leaves_the_estimator_as_it_was(monkeypatch):
    features = small().fit(make_sequences())
    before = pickle.dumps(features)

    def interrupted(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(_recurrent_features, "_quantiles", interrupted)
    with pytest.raises(KeyboardInterrupt):
        features.fit(make_sequences(seed=9))
    assert pickle.dumps(features) == before


# ---- Memory ----------------------------------------------------------------------------------------------------------


def test_fit_measures_drawn_sequences_of_a_limited_number_of_steps(monkeypatch):
    lengths = np.random.default_rng(0).integers(1, 9, size=500)
    monkeypatch.setattr(_recurrent_features, "SAMPLED_STEPS", 200)
    drawn = _recurrent_features._drawn_sequences(lengths, np.random.RandomState(0))
    assert 190 < lengths[drawn].sum() <= 200
    assert len(np.unique(drawn)) == len(drawn)
    long = _recurrent_features._drawn_sequences(np.full(50, 10**6), np.random.RandomState(0))
    assert len(long) == 16


def test_fit_measures_thresholds_on_a_limited_number_of_states(monkeypatch):
    shapes, quantiles = [], _recurrent_features._quantiles

    def recorded(states, n_levels):
        shapes.append(states.shape)
        return quantiles(states, n_levels)

    monkeypatch.setattr(_recurrent_features, "_quantiles", recorded)
    monkeypatch.setattr(_recurrent_features, "SAMPLED_STATES", 30)
    small().fit(make_sequences((9, 4, 12, 30)))
    assert shapes == [(30, 2)] * 8


def test_memory_does_not_grow_with_the_number_of_sequences():
    generator = np.random.default_rng(0)
    X = generator.normal(size=(3000, 50, 1)).astype(np.float32)
    features = RecurrentFeatures(64, n_levels=3, random_state=0).fit(X[:100])

    def peak_besides_the_table(X):
        tracemalloc.start()
        table = features.transform(X)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return peak - table.nbytes

    few, many = peak_besides_the_table(X[:600]), peak_besides_the_table(X)
    assert many < few + 2**18


def test_a_file_is_read_to_the_same_bits(tmp_path):
    X = np.random.default_rng(0).normal(size=(20, 6, 2))
    np.save(tmp_path / "X.npy", X)
    mapped = np.load(tmp_path / "X.npy", mmap_mode="r")
    assert_array_equal(small().fit_transform(mapped), small().fit_transform(X))
