import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import expit, huber, softmax
from sklearn.metrics import (
    log_loss,
    mean_absolute_error,
    mean_poisson_deviance,
    mean_squared_error,
)

from sklearn_rnn._training.losses import (
    REGRESSION_LOSSES,
    AbsoluteError,
    BinaryLogLoss,
    Huber,
    MulticlassLogLoss,
    Poisson,
    SquaredError,
)

N = 30
LOSSES = {"multiclass": MulticlassLogLoss, "binary": BinaryLogLoss, **REGRESSION_LOSSES}

each_loss = pytest.mark.parametrize("kind", LOSSES)


def draw(n_outputs=3):
    """Scores, and weights; one weight is zero."""
    generator = np.random.default_rng(0)
    weights = generator.uniform(0.5, 2, N)
    weights[4] = 0
    return generator.normal(scale=2, size=(N, n_outputs)), weights


def draw_targets(kind, n_outputs=3, seed=1):
    generator = np.random.default_rng(seed)
    if kind == "multiclass":
        return np.eye(n_outputs)[generator.integers(n_outputs, size=N)]
    if kind == "binary":
        return generator.integers(2, size=(N, n_outputs)).astype(float)
    if kind == "poisson":
        return generator.poisson(1, size=(N, n_outputs)).astype(float)
    return generator.normal(size=(N, n_outputs))


def mean_of(loss, scores, targets, weights):
    return loss.value(scores, targets, weights) / weights.sum()


def test_the_multiclass_loss_is_the_log_loss_of_the_softmax():
    scores, weights = draw()
    targets = draw_targets("multiclass")
    expected = log_loss(targets.argmax(axis=1), softmax(scores, axis=1), sample_weight=weights)
    actual = mean_of(MulticlassLogLoss(), scores, targets, weights)
    assert_allclose(actual, expected, rtol=1e-12, atol=0)
    assert_allclose(MulticlassLogLoss().link.predict(scores), softmax(scores, axis=1), rtol=1e-14, atol=0)


def test_the_binary_loss_is_the_log_loss_of_the_sigmoid_summed_over_labels():
    scores, weights = draw()
    targets = draw_targets("binary")
    expected = sum(
        log_loss(label, expit(score), sample_weight=weights) for label, score in zip(targets.T, scores.T, strict=True)
    )
    actual = mean_of(BinaryLogLoss(), scores, targets, weights)
    assert_allclose(actual, expected, rtol=1e-12, atol=0)
    assert_allclose(BinaryLogLoss().link.predict(scores), expit(scores), rtol=1e-14, atol=0)


def test_two_classes_cost_the_same_as_a_sigmoid_or_a_softmax():
    scores, weights = draw(1)
    targets = draw_targets("binary", 1)
    binary = BinaryLogLoss().value(scores, targets, weights)
    as_softmax = MulticlassLogLoss().value(
        np.hstack([np.zeros_like(scores), scores]), np.hstack([1 - targets, targets]), weights
    )
    assert_allclose(binary, as_softmax, rtol=1e-13, atol=0)


@pytest.mark.parametrize("n_outputs", [1, 3])
def test_the_squared_error_is_half_the_mean_squared_error(n_outputs):
    scores, weights = draw(n_outputs)
    targets = draw_targets("squared_error", n_outputs)
    expected = mean_squared_error(targets, scores, sample_weight=weights) / 2
    assert_allclose(mean_of(SquaredError(), scores, targets, weights), expected, rtol=1e-13, atol=0)


@pytest.mark.parametrize("n_outputs", [1, 3])
def test_the_absolute_error_is_the_mean_absolute_error(n_outputs):
    scores, weights = draw(n_outputs)
    targets = draw_targets("absolute_error", n_outputs)
    expected = mean_absolute_error(targets, scores, sample_weight=weights)
    assert_allclose(mean_of(AbsoluteError(), scores, targets, weights), expected, rtol=1e-13, atol=0)


@pytest.mark.parametrize("n_outputs", [1, 3])
def test_hubers_loss_has_its_corner_at_1(n_outputs):
    scores, weights = draw(n_outputs)
    targets = draw_targets("huber", n_outputs)
    losses = huber(1, scores - targets).mean(axis=1)
    expected = np.average(losses, weights=weights)
    assert_allclose(mean_of(Huber(), scores, targets, weights), expected, rtol=1e-13, atol=0)


def test_the_poisson_loss_is_half_the_deviance_of_the_exponential():
    scores, weights = draw(1)
    targets = draw_targets("poisson", 1)
    assert (targets == 0).any()
    expected = mean_poisson_deviance(targets, np.exp(scores), sample_weight=weights) / 2
    assert_allclose(mean_of(Poisson(), scores, targets, weights), expected, rtol=1e-12, atol=0)
    assert_allclose(Poisson().link.predict(scores), np.exp(scores), rtol=1e-15, atol=0)


@each_loss
def test_integer_weights_are_repetitions_and_zero_is_removal(kind):
    loss = LOSSES[kind]()
    scores, _ = draw()
    targets = draw_targets(kind)
    repeats = np.random.default_rng(3).integers(3, size=N)
    assert set(repeats) == {0, 1, 2}
    repeated = np.repeat(scores, repeats, axis=0), np.repeat(targets, repeats, axis=0)
    ones = np.ones(repeats.sum())
    weights = repeats.astype(float)
    assert_allclose(loss.value(scores, targets, weights), loss.value(*repeated, ones), rtol=1e-13, atol=0)
    gradient = loss.value_and_gradient(scores, targets, weights)[1]
    once = loss.value_and_gradient(scores, targets, np.ones(N))[1]
    assert_allclose(gradient, repeats[:, None] * once, rtol=1e-14, atol=0)
    twice = loss.value_and_gradient(scores, targets, np.full(N, 2.0))[1]  # no weight is zero
    assert_allclose(twice, 2 * once, rtol=1e-14, atol=0)


@pytest.mark.parametrize("loss", [MulticlassLogLoss(), BinaryLogLoss()])
def test_log_losses_of_extreme_scores_are_finite(loss):
    scores = np.array([[1e4, -1e4], [-1e4, 1e4]])
    targets = np.array([[1.0, 0.0], [1.0, 0.0]])
    wrong = {MulticlassLogLoss: 2e4, BinaryLogLoss: 2e4}[type(loss)]
    assert_allclose(loss.per_sample(scores, targets), [0, wrong], rtol=1e-15, atol=0)
    sign = np.array([[0.0, 0.0], [-1.0, 1.0]])
    assert_array_equal(loss.derivative(scores, targets), sign)


def test_an_exponential_that_overflows_stays_visible_without_a_warning():
    scores, targets = np.array([[1e4]]), np.array([[1.0]])
    assert_array_equal(Poisson().per_sample(scores, targets), [np.inf])
    assert_array_equal(Poisson().derivative(scores, targets), [[np.inf]])


@each_loss
def test_float32_stays_float32_and_sums_are_float64(kind):
    loss = LOSSES[kind]()
    scores, weights = (array.astype(np.float32) for array in draw())
    targets = draw_targets(kind).astype(np.float32)
    gradient = loss.value_and_gradient(scores, targets, weights)[1]
    assert gradient.dtype == np.float32
    assert loss.link.predict(scores).dtype == np.float32
    double = [array.astype(np.float64) for array in (scores, targets, weights)]
    assert isinstance(loss.value(scores, targets, weights), float)
    assert_allclose(loss.value(scores, targets, weights), loss.value(*double), rtol=1e-6, atol=0)
    assert_allclose(gradient, loss.value_and_gradient(*double)[1], rtol=0, atol=1e-5)


def test_sums_of_float32_samples_do_not_round_in_float32():
    scores, targets = np.ones((2, 1), np.float32), np.zeros((2, 1), np.float32)
    scores[0] = 2**24  # float32 has no 2**24 + 1
    assert AbsoluteError().value(scores, targets, np.ones(2, np.float32)) == 2**24 + 1


@pytest.mark.parametrize(
    ("kind", "activation"),
    [
        ("multiclass", "softmax"),
        ("binary", "logistic"),
        ("squared_error", "identity"),
        ("absolute_error", "identity"),
        ("huber", "identity"),
        ("poisson", "exp"),
    ],
)
def test_losses_name_their_output_activation(kind, activation):
    assert LOSSES[kind].link.name == activation


@each_loss
def test_samples_of_weight_0_are_not_computed(kind):
    loss, (scores, weights) = LOSSES[kind](), draw()
    targets = draw_targets(kind)
    counting = weights > 0
    expected = loss.value(scores[counting], targets[counting], weights[counting])
    derivative = loss.derivative(scores, targets) * weights[:, None]
    scores[~counting] = [np.inf, np.nan, -np.inf]
    assert loss.value(scores, targets, weights) == expected
    gradient = loss.value_and_gradient(scores, targets, weights)[1]
    assert_allclose(gradient[counting], derivative[counting], rtol=1e-14, atol=0)
    assert not gradient[~counting].any()


def test_a_float32_loss_whose_squares_overflow_is_finite():
    scores, targets = np.array([[1.0], [-2e25]], np.float32), np.zeros((2, 1), np.float32)
    with np.errstate(over="ignore"):
        value = SquaredError().value(scores, targets, np.array([1, 0.5], np.float32))
        assert np.isnan(SquaredError().value(scores * np.float32(np.nan), targets, np.ones(2, np.float32)))
    assert_allclose(value, 1e50, rtol=1e-6)


# ---- Poisson in normalised units ---------------------------------------------------------------------


SCALES = np.array([0.02, 0.6, 1.5])


def test_the_poisson_loss_in_other_units_is_the_deviance_over_the_dispersion():
    scores, weights = draw()
    targets = draw_targets("poisson")
    predicted = np.exp(SCALES * scores)
    deviances = [
        mean_poisson_deviance(targets[:, i], predicted[:, i], sample_weight=weights) / np.expm1(SCALES[i] ** 2)
        for i in range(3)
    ]
    actual = mean_of(Poisson().in_units(SCALES), scores, targets, weights)
    assert_allclose(actual, np.mean(deviances) / 2, rtol=1e-12, atol=0)


def test_the_poisson_derivative_in_other_units_is_that_of_the_loss():
    scores, targets, loss = draw()[0], draw_targets("poisson"), Poisson().in_units(SCALES)
    step = 1e-6
    numerical = np.empty_like(scores)
    for i in range(3):
        shift = step * np.eye(3)[i]
        numerical[:, i] = (loss.per_sample(scores + shift, targets) - loss.per_sample(scores - shift, targets)) / (
            2 * step
        )
    assert_allclose(loss.derivative(scores, targets), numerical, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("variation", [1e-4, 0.01, 0.5])
def test_in_other_units_the_poisson_loss_of_the_mean_is_near_a_half(variation):
    targets = 1 + variation * np.random.default_rng(0).choice([-1.0, 1.0], size=(2000, 1))
    scale = np.sqrt(np.log1p([targets.std() ** 2])) / np.sqrt(targets.mean())
    loss, zeros = Poisson().in_units(scale), np.zeros((2000, 1))
    assert_allclose(loss.per_sample(zeros, targets).mean(), 0.5, rtol=0.15, atol=0)
    assert_allclose(loss.derivative(zeros, targets).std(), 1, rtol=0.15, atol=0)


def test_float32_is_enough_for_counts_that_vary_little():
    generator = np.random.default_rng(0)
    targets = 1 + 1e-3 * generator.normal(size=(100, 1))
    scores, loss = generator.normal(size=(100, 1)), Poisson().in_units(np.array([1e-3]))
    single = [array.astype(np.float32) for array in (scores, targets)]
    assert loss.derivative(*single).dtype == np.float32
    assert_allclose(loss.per_sample(*single), loss.per_sample(scores, targets), rtol=1e-2, atol=1e-4)
    assert_allclose(loss.derivative(*single), loss.derivative(scores, targets), rtol=0, atol=1e-3)


# ---- Scores to start from ----------------------------------------------------------------------------


@each_loss
def test_training_starts_from_the_best_constant_for_classes_and_counts(kind):
    loss = LOSSES[kind]()
    targets, (_, weights) = draw_targets(kind), draw()
    scores = loss.start_scores(targets, weights)
    assert scores.shape == (3,)
    if kind in REGRESSION_LOSSES and kind != "poisson":
        assert_array_equal(scores, np.zeros(3))
        return
    assert np.ptp(scores) > 0.05
    gradient = loss.value_and_gradient(np.tile(scores, (N, 1)), targets, weights)[1].sum(axis=0)
    assert_allclose(gradient, np.zeros(3), rtol=0, atol=1e-12)


def test_poisson_starts_from_the_mean_in_other_units_too():
    targets, (_, weights) = draw_targets("poisson"), draw()
    loss = Poisson().in_units(SCALES)
    scores = np.tile(loss.start_scores(targets, weights), (N, 1))
    assert_allclose(loss.value_and_gradient(scores, targets, weights)[1].sum(axis=0), np.zeros(3), rtol=0, atol=1e-9)


@each_loss
def test_start_scores_count_weights_as_repetitions(kind):
    loss, targets = LOSSES[kind](), draw_targets(kind)
    repeats = np.random.default_rng(3).integers(3, size=N)
    weighted = loss.start_scores(targets, repeats.astype(np.float32))
    repeated = loss.start_scores(np.repeat(targets, repeats, axis=0), np.ones(repeats.sum()))
    assert_allclose(weighted, repeated, rtol=1e-13, atol=0)


@pytest.mark.parametrize(("kind", "score"), [("multiclass", np.log(1e-3)), ("binary", np.log(1e-3 / 0.999))])
def test_absent_classes_start_as_rare_ones(kind, score):
    targets = np.array([[1.0, 0.0], [1.0, 0.0]])
    scores = LOSSES[kind]().start_scores(targets, np.ones(2))
    assert_allclose(scores[1], score, rtol=1e-12, atol=0)
    assert np.isfinite(scores).all()


def test_counts_that_are_all_0_start_as_rare_ones():
    assert_allclose(Poisson().start_scores(np.zeros((2, 1)), np.ones(2)), [np.log(1e-3)], rtol=1e-12, atol=0)


def test_rare_counts_start_from_their_mean():
    counts = np.array([[1.0], [0.0], [0.0], [0.0]])
    assert_allclose(Poisson().start_scores(counts, np.ones(4)), [np.log(0.25)], rtol=1e-12, atol=0)
