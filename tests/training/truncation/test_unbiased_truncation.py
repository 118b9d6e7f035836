"""Unbiased truncation: the mean gradient over all possible draws is the full gradient."""

import itertools
import re

import numpy as np
import pytest
from helpers import (
    NO_MASKS,
    Backpropagation,
    assert_all_close,
    copied,
    make_network,
    make_regression,
    plain_classifier,
    plain_regressor,
    updates_of,
)
from numpy.testing import assert_allclose, assert_array_equal

from sklearn_rnn._training.losses import SquaredError
from sklearn_rnn._training.settings import TrainingSettings
from sklearn_rnn._training.trainer import Trainer
from sklearn_rnn._training.truncation.policy import Window
from sklearn_rnn._training.truncation.unbiased import UnbiasedTruncation, UnbiasedWindows

LENGTHS = (8, 3, 6, 1)
READOUTS = ["last", "mean", "max", ("last", "max", "mean"), "each"]


class Chances:
    """A random state that returns given numbers."""

    def __init__(self, chances):
        self.chances = chances

    def uniform(self, size):
        assert size == len(self.chances)
        return np.array(self.chances)


def all_draws(length, n_steps):
    """(probability, random state) of every possible draw of windows with a short mean ``length``."""
    for chances in itertools.product([0.0, 1.0], repeat=n_steps - 1):
        probability, start = 1.0, 0
        for place, chance in enumerate(chances, 1):  # at a chance of 0, a window ends
            ending = 3 / (2 * length + place - start)
            probability *= 1 - ending if chance else ending
            start = start if chance else place
        yield probability, Chances(chances)


def gradient_of(network, dataset, plan):
    """Sum of the gradients of all updates of a pass with fixed weights."""
    backpropagation = Backpropagation(network, network.prepare(), SquaredError())
    total = np.zeros_like(network.parameters.vector)
    for _ in backpropagation.updates(dataset.pack(np.arange(len(dataset))), plan, NO_MASKS):
        total += backpropagation.gradient.vector
    return total


# ---- Draws -------------------------------------------------------------------------------------------


def test_windows_adjoin_and_gains_are_inside_of_them():
    generator = np.random.RandomState(0)
    for n_steps in (1, 2, 7, 40, 200):
        drawn = UnbiasedTruncation(12).draw(n_steps, generator)
        windows, gains = list(drawn), drawn.gains
        assert drawn.tail is None
        assert windows[0].start == 0
        assert windows[-1].stop == n_steps
        for one, following in itertools.pairwise(windows):
            assert one.stop == following.start
        assert all(window.loss_start == window.start for window in windows)
        ends = {window.stop for window in windows}
        assert ends | set(gains) == {*range(3, n_steps, 3), n_steps}
        assert not ends & set(gains)


def test_gains_are_one_over_the_probability_of_getting_through():
    gains = UnbiasedTruncation(8).draw(7, Chances([1.0, 0.0, 1.0])).gains  # places 2, 4, 6; an end at 4
    assert gains == {2: 1 / (1 - 6 / 18), 6: 1 / (1 - 6 / 18)}
    gains = UnbiasedTruncation(8).draw(7, Chances([1.0, 1.0, 1.0])).gains
    assert gains == {2: 1 / (1 - 6 / 18), 4: 1 / (1 - 6 / 20), 6: 1 / (1 - 6 / 22)}


@pytest.mark.parametrize("length", [2, 3, 16, 50])
def test_windows_have_their_mean_length(length):
    generator = np.random.RandomState(0)
    windows = UnbiasedTruncation(length).draw(400_000, generator)
    lengths = np.array([window.stop - window.start for window in windows])
    assert abs(lengths.mean() - length) < 5 * lengths.std() / np.sqrt(len(lengths))


# ---- The mean ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("readout", READOUTS)
@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
def test_the_mean_over_all_draws_is_the_full_gradient(cell, readout):
    network = make_network(cell, sizes=(3, 2), readout=readout)
    dataset = make_regression(LENGTHS, per_step=readout == "each")
    (full,) = updates_of(network, SquaredError(), dataset)
    mean = network.parameters.like()
    total_probability = 0.0
    for probability, random_state in all_draws(3, 8):
        mean.vector += probability * gradient_of(network, dataset, UnbiasedTruncation(3).draw(8, random_state))
        total_probability += probability
    assert_allclose(total_probability, 1, rtol=1e-12, atol=0)
    assert_all_close(copied(mean.views), full.gradient, rtol=1e-12)


@pytest.mark.parametrize("readout", READOUTS)
def test_a_gain_multiplies_the_errors_that_pass_its_step(readout):
    network = make_network(sizes=(3, 2), readout=readout)
    dataset = make_regression(LENGTHS, per_step=readout == "each")
    window, cut = [Window(0, 0, 8)], [Window(0, 0, 3), Window(3, 3, 8)]
    none, full = (gradient_of(network, dataset, UnbiasedWindows(windows, {}, 3)) for windows in (cut, window))
    assert np.abs(full - none).max() > 1e-3
    for gain in (0.0, 1.0, 2.5):
        actual = gradient_of(network, dataset, UnbiasedWindows(window, {3: gain}, 3))
        assert_allclose(actual, none + gain * (full - none), rtol=0, atol=1e-12)


@pytest.mark.parametrize("readout", ["last", "each"])
def test_the_mean_over_many_draws_approaches_the_full_gradient_and_that_of_fixed_windows_does_not(readout):
    network = make_network("rnn", readout=readout, sizes=(4,))
    network.parameters.views["layer_0.recurrent"][...] *= 1.6  # errors then pass many steps
    dataset = make_regression((40, 30), per_step=readout == "each")
    (full,) = updates_of(network, SquaredError(), dataset)
    full = np.concatenate([gradient.ravel() for gradient in full.gradient.values()])
    views = network.parameters.like()

    def flat(vector):
        views.vector[...] = vector
        return np.concatenate([view.ravel() for view in views.views.values()])

    generator = np.random.RandomState(0)
    draws = np.array(
        [flat(gradient_of(network, dataset, UnbiasedTruncation(4).draw(40, generator))) for _ in range(500)]
    )
    standard_error = draws.std(axis=0) / np.sqrt(len(draws))
    assert np.all(np.abs(draws.mean(axis=0) - full) <= 5 * standard_error + 1e-9)
    distances = [np.linalg.norm(draws[:n].mean(axis=0) - full) for n in (20, 500)]
    assert distances[1] < 0.3 * distances[0]
    fixed = updates_of(network, SquaredError(), dataset, 4)
    fixed = sum(np.concatenate([gradient.ravel() for gradient in update.gradient.values()]) for update in fixed)
    assert np.linalg.norm(fixed - full) > 3 * distances[1]
    assert np.abs((fixed - full) / (standard_error + 1e-9)).max() > 8


class Silent:
    """A monitor that does nothing."""

    def end_update(self, *figures):
        pass


class Remembering:
    """An optimizer that sums the gradients and does not change the parameters."""

    total = 0

    def update(self, parameters, gradient, learning_rate):
        self.total = self.total + gradient


@pytest.mark.parametrize("readout", READOUTS)
def test_the_mean_of_all_updates_of_a_batch_has_the_direction_of_the_full_gradient(readout):
    """The losses of long windows have the same weight as those of short windows."""
    network = make_network("gru", readout=readout)
    dataset = make_regression(LENGTHS, per_step=readout == "each")
    full = Remembering()
    full_settings = TrainingSettings(batch_size=4)
    Trainer(network, SquaredError(), full, full_settings, None).train_batch(dataset, np.arange(4), 1, Silent())
    total = 0
    for probability, random_state in all_draws(3, 8):
        optimizer, settings = Remembering(), TrainingSettings(batch_size=4, truncation=UnbiasedTruncation(3))
        trainer = Trainer(network, SquaredError(), optimizer, settings, random_state)
        trainer.train_batch(dataset, np.arange(4), 1, Silent())
        total = total + probability * optimizer.total
    scale = 8 / 3 if readout == "each" else 1
    assert_allclose(total, scale * full.total, rtol=0, atol=1e-12 * np.abs(full.total).max())


def test_the_forward_pass_is_that_of_full_backpropagation():
    network = make_network("lstm", readout="each")
    dataset = make_regression(LENGTHS, per_step=True)
    (full,) = updates_of(network, SquaredError(), dataset)
    backpropagation = Backpropagation(network, network.prepare(), SquaredError())
    plan = UnbiasedTruncation(3).draw(8, np.random.RandomState(1))
    assert len(plan) > 1
    updates = backpropagation.updates(dataset.pack(np.arange(4)), plan, NO_MASKS)
    sums = np.sum([(update.loss, update.weight) for update in updates], axis=0)
    assert_allclose(sums, [full.loss, full.weight], rtol=1e-12, atol=0)


# ---- The estimators ----------------------------------------------------------------------------------


def data(n_steps=40):
    X = np.random.default_rng(0).normal(size=(6, n_steps, 2))
    return X, np.roll(X[..., 0], 1, axis=1)


def regressor(**settings):
    defaults = {
        "readout": "each",
        "truncation": "unbiased",
        "random_state": 0,
        "max_iter": 3,
        "n_iter_no_change": np.inf,
    }
    return plain_regressor(**{"hidden_layer_sizes": (4,)} | defaults | settings)


@pytest.mark.parametrize("readout", READOUTS)
def test_the_same_random_state_gives_the_same_bits_for_any_n_jobs(readout):
    X, y = data()
    y = y if readout == "each" else y[:, 0]
    one, other, two = (
        regressor(readout=readout, n_jobs=n_jobs, random_state=seed).fit(X, y)
        for n_jobs, seed in ((1, 0), (1, 1), (2, 0))
    )
    for name, weights in one.weights_.items():
        assert_array_equal(two.weights_[name], weights)
    assert one.loss_curve_ != other.loss_curve_


def test_the_mean_length_is_reported_and_set_by_the_stride():
    X, y = data()
    assert regressor().fit(X, y).truncation_ == 32
    estimator = regressor(truncation_stride=5).fit(X, y)
    assert estimator.truncation_ == 5
    estimator.set_params(truncation_stride=9).partial_fit(X, y)
    assert estimator.truncation_ == 9


def test_it_learns_with_partial_fit_too():
    X, y = data(400)
    estimator = regressor(truncation_stride=8, stateful=True, hidden_layer_sizes=(16,), learning_rate_init=0.01)
    for start in list(range(0, 400, 40)) * 3:
        estimator.partial_fit(X[:, start : start + 40], y[:, start : start + 40])
    assert estimator.loss_ < 0.8 * estimator.loss_curve_[0]


def test_windows_of_one_step_are_refused():
    with pytest.raises(ValueError, match="truncation_stride=1 is too short for truncation='unbiased'"):
        regressor(truncation_stride=1).fit(*data())


@pytest.mark.parametrize("setting", [{"bidirectional": True}, {"solver": "lbfgs"}])
def test_what_it_does_not_go_with(setting):
    name, value = next(iter(setting.items()))
    message = re.escape(f"truncation='unbiased' does not go with {name}={value!r}")
    with pytest.raises(ValueError, match=message):
        plain_classifier(truncation="unbiased", **setting).fit([[0.0], [1.0]], [0, 1])


def test_a_window_is_a_named_tuple():
    assert list(UnbiasedTruncation(3).draw(1, np.random.RandomState(0))) == [Window(0, 0, 1)]
