import copy
import pickle

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from sklearn_rnn._training.optimizers import SGD, Adam, LearningRate, RMSprop

N = 5
OPTIMIZERS = {
    "sgd": lambda dtype: SGD(N, dtype, momentum=0.9, nesterov=False),
    "nesterov": lambda dtype: SGD(N, dtype, momentum=0.9, nesterov=True),
    "adam": lambda dtype: Adam(N, dtype, beta_1=0.9, beta_2=0.999, epsilon=1e-8),
    "adam with clip_update": lambda dtype: Adam(N, dtype, beta_1=0.9, beta_2=0.999, epsilon=1e-8, clip_update=0.5),
    "rmsprop": lambda dtype: RMSprop(N, dtype, beta_2=0.9, epsilon=1e-8),
    "rmsprop with clip_update": lambda dtype: RMSprop(N, dtype, beta_2=0.9, epsilon=1e-8, clip_update=0.5),
}

each_optimizer = pytest.mark.parametrize("name", OPTIMIZERS)


def draw_gradients(n_updates, dtype=np.float64):
    return np.random.default_rng(0).normal(size=(n_updates, N)).astype(dtype)


def take_steps(optimizer, gradients, learning_rate=0.1):
    """Parameters after every update, starting from zero."""
    parameters = np.zeros(N, gradients.dtype)
    path = []
    for gradient in gradients:
        optimizer.update(parameters, gradient, learning_rate)
        path.append(parameters.copy())
    return np.array(path)


# ---- Optimizers --------------------------------------------------------------------------------------


def test_without_momentum_a_step_is_the_learning_rate_times_the_gradient():
    gradients = draw_gradients(3)
    path = take_steps(SGD(N, np.float64, momentum=0, nesterov=False), gradients, 0.2)
    assert_allclose(path, -0.2 * np.cumsum(gradients, axis=0), rtol=1e-14, atol=1e-15)


def test_momentum_sums_earlier_gradients_with_decaying_weights():
    g = draw_gradients(3)
    path = take_steps(SGD(N, np.float64, momentum=0.5, nesterov=False), g, 1.0)
    steps = np.array([g[0], g[1] + 0.5 * g[0], g[2] + 0.5 * g[1] + 0.25 * g[0]])
    assert_allclose(path, -np.cumsum(steps, axis=0), rtol=1e-13, atol=1e-15)


def test_nesterovs_momentum_looks_one_step_ahead():
    g = draw_gradients(2)
    path = take_steps(SGD(N, np.float64, momentum=0.5, nesterov=True), g, 1.0)
    steps = np.array([1.5 * g[0], 1.5 * g[1] + 0.25 * g[0]])
    assert_allclose(path, -np.cumsum(steps, axis=0), rtol=1e-13, atol=1e-15)


def test_adams_first_step_is_the_learning_rate_in_each_component():
    gradients = draw_gradients(1)
    path = take_steps(Adam(N, np.float64, 0.9, 0.999, epsilon=1e-12), gradients)
    assert_allclose(path[0], -0.1 * np.sign(gradients[0]), rtol=1e-9, atol=0)


def test_adam_is_algorithm_1_of_kingma_and_ba():
    beta_1, beta_2, epsilon, rate = 0.7, 0.9, 0.1, 0.2
    gradients = draw_gradients(4)
    theta = mean = variance = np.zeros(N)
    expected = []
    for t, gradient in enumerate(gradients, 1):
        mean = beta_1 * mean + (1 - beta_1) * gradient
        variance = beta_2 * variance + (1 - beta_2) * gradient**2
        corrected_mean, corrected_variance = mean / (1 - beta_1**t), variance / (1 - beta_2**t)
        theta = theta - rate * corrected_mean / (np.sqrt(corrected_variance) + epsilon)
        expected.append(theta)
    actual = take_steps(Adam(N, np.float64, beta_1, beta_2, epsilon), gradients, rate)
    assert_allclose(actual, expected, rtol=1e-12, atol=1e-15)


def test_clip_update_divides_the_rate_of_a_step_whose_gradient_is_suddenly_large():
    beta_1, beta_2, epsilon, limit, rate = 0.7, 0.9, 1e-8, 0.8, 0.2
    gradients = draw_gradients(6)
    gradients[4] *= 100
    mean = variance = np.zeros(N)
    expected, sizes = [np.zeros(N)], []
    for t, gradient in enumerate(gradients, 1):
        mean = beta_1 * mean + (1 - beta_1) * gradient
        variance = beta_2 * variance + (1 - beta_2) * gradient**2
        root = np.sqrt(variance / (1 - beta_2**t))
        sizes.append(np.sqrt(np.mean((gradient / root) ** 2)))
        step = rate / max(1, sizes[-1] / limit) * mean / (1 - beta_1**t)
        expected.append(expected[-1] - step / (root + epsilon))
    actual = take_steps(Adam(N, np.float64, beta_1, beta_2, epsilon, clip_update=limit), gradients, rate)
    assert_allclose(actual, expected[1:], rtol=1e-12, atol=1e-15)
    assert min(sizes) < limit
    assert np.argmax(sizes) == 4


@pytest.mark.parametrize("name", ["adam with clip_update", "rmsprop with clip_update"])
def test_clip_update_leaves_steps_at_gradients_of_zero_as_they_are(name):
    assert_array_equal(take_steps(OPTIMIZERS[name](np.float64), np.zeros((2, N))), np.zeros((2, N)))


def test_rmsprop_divides_by_the_root_of_the_mean_square():
    gradients = draw_gradients(2)
    actual = take_steps(RMSprop(N, np.float64, beta_2=0.75, epsilon=0.1), gradients, 0.2)
    squares = np.array([gradients[0] ** 2 / 4, (0.75 * gradients[0] ** 2 + gradients[1] ** 2) / 4])
    expected = -np.cumsum(0.2 * gradients / (np.sqrt(squares) + 0.1), axis=0)
    assert_allclose(actual, expected, rtol=1e-12, atol=1e-15)


def test_clip_update_divides_the_rate_of_rmsprop_s_long_first_steps():
    gradients, beta_2, limit, rate = draw_gradients(3), 0.99, 0.8, 0.2
    variance, path, sizes = np.zeros(N), [np.zeros(N)], []
    for gradient in gradients:
        variance = beta_2 * variance + (1 - beta_2) * gradient**2
        step = gradient / (np.sqrt(variance) + 1e-8)
        sizes.append(np.sqrt(np.mean(step**2)))
        path.append(path[-1] - rate / max(1, sizes[-1] / limit) * step)
    actual = take_steps(RMSprop(N, np.float64, beta_2, epsilon=1e-8, clip_update=limit), gradients, rate)
    assert_allclose(actual, path[1:], rtol=1e-12, atol=1e-15)
    assert_allclose(sizes[0], 10, rtol=1e-6)


@each_optimizer
def test_updates_change_the_parameters_in_place_and_not_the_gradient(name):
    optimizer = OPTIMIZERS[name](np.float64)
    (gradient,) = draw_gradients(1)
    before = gradient.copy()
    parameters = np.zeros(N)
    assert optimizer.update(parameters, gradient, 0.1) is None
    assert (np.sign(parameters) == -np.sign(gradient)).all()
    assert_array_equal(gradient, before)


@each_optimizer
def test_float32_stays_float32(name):
    optimizer = OPTIMIZERS[name](np.float32)
    single = take_steps(optimizer, draw_gradients(4, np.float32))
    double = take_steps(OPTIMIZERS[name](np.float64), draw_gradients(4))
    assert_allclose(single, double, rtol=0, atol=1e-6)
    memory = [value for value in vars(optimizer).values() if isinstance(value, np.ndarray)]
    assert len(memory) > 0
    assert {array.dtype for array in memory} == {np.dtype(np.float32)}


@each_optimizer
@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda optimizer: pickle.loads(pickle.dumps(optimizer))])
def test_copies_go_on_where_the_original_stood(name, duplicate):
    gradients = draw_gradients(4)
    optimizer = OPTIMIZERS[name](np.float64)
    first = take_steps(optimizer, gradients[:2])
    copied = duplicate(optimizer)
    rest = take_steps(optimizer, gradients[2:])
    assert_array_equal(take_steps(copied, gradients[2:]), rest)
    expected = take_steps(OPTIMIZERS[name](np.float64), gradients)
    assert_allclose(first[-1] + rest[-1], expected[-1], rtol=1e-12, atol=1e-15)


@each_optimizer
def test_after_a_reset_nothing_of_earlier_updates_is_left(name):
    optimizer, gradients = OPTIMIZERS[name](np.float64), draw_gradients(4)
    take_steps(optimizer, gradients[:2])
    optimizer.reset()
    assert_array_equal(take_steps(optimizer, gradients[2:]), take_steps(OPTIMIZERS[name](np.float64), gradients[2:]))


@each_optimizer
def test_a_restored_optimizer_goes_on_where_the_earlier_one_stood(name):
    earlier, later, gradients = OPTIMIZERS[name](np.float64), OPTIMIZERS[name](np.float64), draw_gradients(4)
    take_steps(earlier, gradients[:2])
    later.restore(earlier)
    assert_array_equal(take_steps(later, gradients[2:]), take_steps(earlier, gradients[2:]))


# ---- Learning rates ----------------------------------------------------------------------------------


def rates(schedule, n_epochs=4, **settings):
    settings = {"initial": 0.8, "power_t": 0.5, "n_epochs": n_epochs} | settings
    learning_rate = LearningRate(schedule, **settings)
    return [learning_rate.next_epoch() for _ in range(n_epochs)]


def test_a_constant_rate_stays():
    assert rates("constant") == [0.8] * 4


def test_an_invscaling_rate_falls_with_a_power_of_the_epoch():
    assert_allclose(rates("invscaling"), 0.8 / np.sqrt([1, 2, 3, 4]), rtol=1e-14, atol=0)
    expected = 0.8 / np.array([1, 2, 3, 4]) ** 0.3
    assert_allclose(rates("invscaling", power_t=0.3), expected, rtol=1e-14, atol=0)


def test_a_cosine_rate_falls_from_the_initial_one_towards_zero():
    expected = 0.8 * np.cos(np.pi / 8 * np.arange(4)) ** 2
    actual = rates("cosine")
    assert actual[0] == 0.8
    assert_allclose(actual, expected, rtol=1e-14, atol=0)


def test_an_adaptive_rate_is_divided_by_5_until_it_is_smallest():
    rate = LearningRate("adaptive", 0.8, 0.5, 100)
    seen = [rate.next_epoch(), rate.next_epoch()]
    while rate.reduce():
        seen.append(rate.next_epoch())
    n_divisions = len(seen) - 2
    expected = [0.8, *(0.8 / 5.0 ** np.arange(n_divisions + 1))]
    assert_allclose(seen, expected, rtol=1e-12, atol=0)
    assert seen[-1] <= 1e-6 < seen[-2]
    assert rate.next_epoch() == seen[-1]


@pytest.mark.parametrize("schedule", ["constant", "invscaling", "cosine"])
def test_other_rates_cannot_be_reduced(schedule):
    rate = LearningRate(schedule, 0.8, 0.5, 4)
    assert rate.reduce() is False
    assert rate.next_epoch() == 0.8


def test_only_a_cosine_ends_and_alone_becomes_constant_for_single_epochs():
    for schedule in ("constant", "invscaling", "adaptive", "cosine"):
        rate = LearningRate(schedule, 0.8, 0.5, 4)
        endless = rate.for_single_epochs()
        assert rate.has_end == (schedule == "cosine")
        assert (endless is rate) == (schedule != "cosine")
        assert not endless.has_end
        assert endless.next_epoch() == 0.8


def test_a_power_beyond_all_numbers_gives_a_rate_of_zero():
    assert rates("invscaling", power_t=1e308) == [0.8, 0.0, 0.0, 0.0]


def test_a_restored_rate_has_the_epoch_and_the_reductions_of_the_earlier_one():
    earlier, later = LearningRate("adaptive", 0.8, 0.5, 100), LearningRate("adaptive", 0.8, 0.5, 100)
    for _ in range(3):
        earlier.next_epoch()
        earlier.reduce()
    later.restore(earlier)
    assert (later.epoch, later.of_epoch()) == (3, earlier.of_epoch())


def test_a_rate_that_no_reduction_gives_is_not_restored():
    later = LearningRate("adaptive", 0.8, 0.5, 100)
    with pytest.raises(ValueError, match=r"^checkpoint has the learning rate 0\.5, which is none of this schedule"):
        later.restore(LearningRate("adaptive", 0.5, 0.5, 100))
