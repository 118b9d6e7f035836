"""Truncation that is chosen from the decay of gradients."""

import math
import pickle
from copy import deepcopy

import numpy as np
import pytest
from helpers import make_network, make_regression, plain_classifier, plain_regressor, truncated
from numpy.testing import assert_allclose, assert_array_equal

from sklearn_rnn._base import model_of, training_problem
from sklearn_rnn._training.losses import SquaredError
from sklearn_rnn._training.truncation import adaptive
from sklearn_rnn._training.truncation.adaptive import AdaptiveTruncation, _dropped_bounds, draw_losses, smallest_length
from sklearn_rnn.inspection import truncation_bias


def geometric(decay, n_lags):
    """Norms of parts that decay by a factor per lag, and norms of their sums if all have the same direction."""
    own = decay ** np.arange(n_lags)
    return own, np.concatenate([[0], np.cumsum(own)])


def relative_bias(decay, h, longest):
    """Share of the parts from lag h on in the sum, if all have the same direction."""
    own = decay ** np.arange(longest)
    return own[h:].sum() / own.sum()


# ---- The choice --------------------------------------------------------------------------------------


@pytest.mark.parametrize("tolerance", [0.9, 0.5, 0.1, 0.01])
@pytest.mark.parametrize("decay", [0.3, 0.8, 0.95])
def test_the_smallest_h_within_the_tolerance_is_chosen(decay, tolerance):
    longest = 2000
    h = smallest_length(*geometric(decay, 2000), tolerance, longest, stride=1)
    # If all parts have the same direction, the bound of the full gradient's norm is exact.
    assert relative_bias(decay, h, longest) <= tolerance
    assert relative_bias(decay, h - 1, longest) > tolerance


@pytest.mark.parametrize("tolerance", [0.5, 0.1])
@pytest.mark.parametrize("decay", [0.8, 0.95, 0.99])
def test_lags_that_were_not_traced_are_assumed_to_decay(decay, tolerance):
    everything = smallest_length(*geometric(decay, 5000), tolerance, 5000, stride=1)
    # From 200 lags, the bound of the full gradient's norm is weaker: h is never smaller.
    from_some = smallest_length(*geometric(decay, 200), tolerance, 5000, stride=1)
    assert everything <= from_some <= everything + 60


def test_they_continue_the_second_half_of_the_traced_lags():
    own = np.concatenate([0.5 ** np.arange(50), 0.5**49 * 0.9 ** np.arange(1, 951)])
    expected = [own[h:].sum() for h in range(1001)]
    assert_allclose(_dropped_bounds(own[:100], 1000), expected, rtol=1e-9, atol=0)


def test_the_steps_that_a_window_sends_its_losses_through_are_averaged():
    norms = geometric(0.9, 500)
    left_out = np.array([relative_bias(0.9, h, 500) for h in range(501)])
    for stride in (None, 1, 7):
        h = smallest_length(*norms, 0.2, 500, stride)

        def mean(h, stride=stride):
            return left_out[h + 1 - (h if stride is None else min(h, stride)) : h + 1].mean()

        assert mean(h) <= 0.2 < mean(h - 1)


@pytest.mark.parametrize("decay", [1.0, 1.2])
def test_gradients_that_do_not_decay_need_all_steps(decay):
    assert smallest_length(*geometric(decay, 50), 0.5, 1000) == 1000


@pytest.mark.parametrize("stride", [None, 1, 7])
@pytest.mark.parametrize("decay", [1.0, 1.2])
def test_what_does_not_decay_beyond_what_was_looked_at_gives_no_warning(decay, stride):
    with np.errstate(all="raise"):
        assert smallest_length(*geometric(decay, 64), 0.5, 200, stride) == 200


def test_small_tolerances_lose_no_digits():
    own, kept = geometric(0.9, 1000)
    for stride in (None, 1, 7):
        h = smallest_length(own, kept, 1e-20, 1000, stride)

        def mean(h, stride=stride):
            first = h + 1 - (h if stride is None else min(h, stride))
            return math.fsum(own[k:].sum() for k in range(first, h + 1)) / (h + 1 - first)

        # Losses that flow back through a single step always drop a part of the gradient.
        assert h == 1000 if stride is None else mean(h) <= 1e-20 * own.sum() < mean(h - 1)


@pytest.mark.parametrize("value", [np.inf, np.nan])
def test_gradients_that_are_not_finite_need_all_steps(value):
    own, kept = geometric(0.5, 50)
    own[40:] = kept[41:] = value
    for longest in (50, 1000):
        for stride in (None, 1, 7):
            assert smallest_length(own, kept, 0.5, longest, stride) == longest


@pytest.mark.parametrize("end", [3, 30])  # in the first and in the second half of the traced lags
def test_gradients_that_end_need_no_more_steps(end):
    own, kept = geometric(0.5, 50)
    own[end:] = 0
    kept[end + 1 :] = kept[end]
    assert smallest_length(own, kept, 1e-12, 1000, stride=1) == end


def test_parts_that_cancel_need_more_steps():
    own, kept = geometric(0.9, 300)
    assert smallest_length(own, 0.3 * kept, 0.5, 300, 1) > smallest_length(own, kept, 0.5, 300, 1)


# ---- The traced losses -------------------------------------------------------------------------------


def test_losses_at_each_step_are_drawn_from_everywhere_with_their_steps_before():
    dataset = make_regression((300, 50), per_step=True)
    dataset.weights[...] = 1.5
    sample = draw_losses(dataset, 20, np.random.RandomState(0))
    assert len(sample) == adaptive.N_LOSSES
    assert not sample.per_step
    ends = set()
    for i in range(len(sample)):
        rows = sample.sequences.load([i]).rows
        assert len(rows) <= 40
        last = np.flatnonzero((dataset.sequences.rows == rows[-1]).all(axis=1)).item()
        assert_array_equal(dataset.sequences.rows[last - len(rows) + 1 : last + 1], rows)
        assert_array_equal(sample.targets[i], dataset.targets[last])
        assert sample.weights[i] == 1.5
        assert last >= 19 if last < 300 else last >= 319
        ends.add(last)
    assert len(ends) > 20


def test_losses_at_the_ends_are_drawn_once():
    dataset = make_regression((30, 50, 7))
    dataset.weights[...] = 1
    sample = draw_losses(dataset, 20, np.random.RandomState(0))
    assert sorted(sample.sequences.lengths) == [7, 30, 40]
    assert sorted(sample.targets[:, 0]) == sorted(dataset.targets[:, 0])


@pytest.mark.parametrize("per_step", [False, True])
def test_sequences_of_weight_0_are_as_if_they_were_not_there(per_step):
    lengths = (300, 90, 40, 60, 7, 250)
    dataset = make_regression(lengths, per_step=per_step)
    is_there = np.array([False, True, True, False, True, False])
    dataset.weights[...] = np.repeat(is_there, lengths) if per_step else is_there
    without = dataset.subset(np.flatnonzero(is_there))
    one, other = (draw_losses(data, 20, np.random.RandomState(0)) for data in (dataset, without))
    for name in ("targets", "weights"):
        assert_array_equal(getattr(one, name), getattr(other, name))
    assert_array_equal(one.sequences.rows, other.sequences.rows)
    network = make_network(readout="each" if per_step else "last")
    lengths = []
    for data in (dataset, without):
        truncation = AdaptiveTruncation(1e-9)
        truncation.adapt(network, SquaredError(), data, np.random.RandomState(0))
        lengths.append(truncation.length)
    assert lengths[0] == lengths[1] <= 90


def test_steps_of_weight_0_are_not_drawn():
    dataset = make_regression((300, 50), per_step=True)
    dataset.weights[...] = 0
    counting = np.array([3, 100, 180, 290, 300, 305])  # no loss of the second sequence has 20 steps up to it
    dataset.weights[counting] = 1
    sample = draw_losses(dataset, 20, np.random.RandomState(0))
    assert sample.weights.all()
    assert set(sample.targets[:, 0]) == set(dataset.targets[[100, 180, 290, 305], 0])


def test_without_any_weight_all_steps_are_taken_and_an_earlier_choice_is_kept():
    dataset = make_regression((30, 50))
    dataset.weights[...] = 0
    truncation, network = AdaptiveTruncation(0.5), make_network()
    truncation.adapt(network, SquaredError(), dataset, np.random.RandomState(0))
    assert truncation.length == 50
    truncation.length, truncation._n_epochs = 9, 0
    truncation.adapt(network, SquaredError(), dataset, np.random.RandomState(0))
    assert truncation.length == 9


@pytest.fixture
def epochs_of_choices(monkeypatch):
    """A list of the epochs before which h was chosen."""
    epochs, choose = [], AdaptiveTruncation._choose

    def remember(self, *arguments):
        epochs.append(self._n_epochs)
        choose(self, *arguments)

    monkeypatch.setattr(AdaptiveTruncation, "_choose", remember)
    return epochs


def adapt_to(truncation, *datasets):
    for dataset in datasets:
        truncation.adapt(make_network(), SquaredError(), dataset, np.random.RandomState(0))


def test_the_choice_is_made_again_every_few_epochs(epochs_of_choices):
    adapt_to(AdaptiveTruncation(0.5), *[make_regression((20, 200))] * 21)
    assert epochs_of_choices == [0, 10, 20]


def test_it_is_made_sooner_where_chunks_grow_beyond_what_capped_the_last_one(epochs_of_choices):
    truncation = AdaptiveTruncation(1e-6)
    adapt_to(truncation, *(make_regression((n_steps, 2)) for n_steps in (3, 2, 3, 5)))
    assert truncation.length == 5
    assert epochs_of_choices == [0, 3]
    adapt_to(truncation, make_regression((400, 2)), make_regression((500, 2)))
    assert 5 < truncation.length < 400
    assert epochs_of_choices == [0, 3, 4]


def test_twice_as_many_lags_as_the_last_choice_are_traced(monkeypatch):
    n_lags = []
    monkeypatch.setattr(
        adaptive, "draw_losses", lambda data, n, random: n_lags.append(n) or draw_losses(data, n, random)
    )
    truncation, dataset = AdaptiveTruncation(0.5), make_regression((400, 2))
    for length in (None, 10, 50, 300):
        truncation.length, truncation._n_epochs = length, 0
        adapt_to(truncation, dataset)
    assert n_lags == [adaptive.FEWEST_LAGS, adaptive.FEWEST_LAGS, 100, 400]


def test_it_is_made_as_soon_as_something_has_weight(epochs_of_choices):
    nothing, something = make_regression((30, 50)), make_regression((30, 10))
    nothing.weights[...] = 0
    truncation = AdaptiveTruncation(0.5)
    adapt_to(truncation, nothing, nothing, something, something)
    assert truncation.length < 50
    assert epochs_of_choices == [0, 2]


@pytest.mark.parametrize("stride", [None, 1])
def test_windows_have_some_steps_at_the_least(stride):
    truncation = AdaptiveTruncation(0.99, stride)
    network = make_network(readout="each")
    network.parameters.vector[...] = 0
    for length, shortest_length in ((90, adaptive.SHORTEST), (5, 5)):
        truncation._n_epochs = 0
        dataset = make_regression((length,), per_step=True)
        truncation.adapt(network, SquaredError(), dataset, np.random.RandomState(0))
        assert truncation.length == shortest_length
        assert truncation.stride == stride


def test_a_chosen_length_is_a_fixed_one_until_the_next_choice():
    truncation = AdaptiveTruncation(0.5, stride=3)
    truncation.adapt(
        make_network(readout="each"), SquaredError(), make_regression((90,), per_step=True), np.random.RandomState(0)
    )
    assert 1 <= truncation.length <= 90
    assert truncation.stride == min(3, truncation.length)
    assert list(truncation.draw(90, None)) == list(truncated(90, truncation.length, truncation.stride))


def test_a_choice_bounds_no_later_one():
    truncation, network = AdaptiveTruncation(0.5), make_network()
    truncation.adapt(network, SquaredError(), make_regression((30,)), np.random.RandomState(0))
    assert truncation.length <= 30
    assert not truncation.has_fixed_length


# ---- The estimators ----------------------------------------------------------------------------------


def lagged_data(lag, n_steps=200, n_sequences=12):
    """White noise, and the same noise ``lag`` steps later."""
    X = np.random.default_rng(0).normal(size=(n_sequences, n_steps, 1))
    return X, np.roll(X[..., 0], lag, axis=1)


def regressor(**settings):
    defaults = {"hidden_layer_sizes": (16,), "readout": "each", "truncation": "auto", "random_state": 0}
    defaults |= {"max_iter": 31, "n_iter_no_change": np.inf, "alpha": 0}
    return plain_regressor(**defaults | settings)


@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
@pytest.mark.parametrize("readout", ["each", "last"])
def test_the_bias_that_is_left_is_within_the_tolerance(cell, readout):
    X, y = lagged_data(2)
    y = y if readout == "each" else y[:, -1]
    estimator = regressor(cell=cell, readout=readout, truncation=None, max_iter=10).fit(X, y)
    truncation, (loss, dataset) = AdaptiveTruncation(0.3), training_problem(estimator, X, y)
    truncation.adapt(model_of(estimator).network, loss, dataset, np.random.RandomState(0))
    assert 1 < truncation.length <= 200
    bias = truncation_bias(estimator, X, y, [truncation.length, 1])
    assert bias.relative_bias[0] < 0.3 < bias.relative_bias[1]


def test_longer_memories_get_longer_windows_and_smaller_tolerances_too():
    def chosen(lag, **settings):
        return regressor(cell="rnn", learning_rate_init=0.01, **settings).fit(*lagged_data(lag)).truncation_

    assert chosen(1) < chosen(12)
    assert chosen(1, truncation_tolerance=0.9) < chosen(1, truncation_tolerance=0.1)


@pytest.mark.parametrize("readout", ["last", "mean", "max", "each"])
def test_the_same_random_state_gives_the_same_bits_for_any_n_jobs(readout):
    X, y = lagged_data(3, n_steps=90)
    y = y if readout == "each" else y[:, -1]
    one, two = (regressor(readout=readout, n_jobs=n_jobs, max_iter=12).fit(X, y) for n_jobs in (1, 2))
    assert one.truncation_ == two.truncation_
    for name, weights in one.weights_.items():
        assert_array_equal(two.weights_[name], weights)


def test_it_goes_on_through_partial_fit_and_pickles():
    X, y = lagged_data(3, n_steps=240)
    estimator = regressor(stateful=True)
    chunks = [(X[:, start : start + 40], y[:, start : start + 40]) for start in range(0, 240, 40)]
    for part in chunks[:3]:
        estimator.partial_fit(*part)
    assert estimator._session.truncation._n_epochs == 3
    copies = [deepcopy(estimator), pickle.loads(pickle.dumps(estimator))]
    for one in (estimator, *copies):
        for part in chunks[3:] * 3:
            one.partial_fit(*part)
    for one in copies:
        assert one.truncation_ == estimator.truncation_
        for name, weights in estimator.weights_.items():
            assert_array_equal(one.weights_[name], weights)
    assert estimator._session.truncation._n_epochs == 12


def test_other_settings_begin_a_new_choice():
    X, y = lagged_data(3)
    estimator = regressor().partial_fit(X, y)
    estimator.set_params(truncation_tolerance=0.01).partial_fit(X, y)
    assert estimator._session.truncation._n_epochs == 1
    estimator.set_params(truncation=7).partial_fit(X, y)
    assert estimator.truncation_ == 7


def test_a_mapped_array_gives_the_bits_of_one_in_memory(tmp_path):
    X, y = lagged_data(3, n_steps=90)
    np.save(tmp_path / "X.npy", X)
    mapped = np.load(tmp_path / "X.npy", mmap_mode="r")
    one, two = regressor(max_iter=3).fit(X, y), regressor(max_iter=3).fit(mapped, y)
    for name, weights in one.weights_.items():
        assert_array_equal(two.weights_[name], weights)


def test_gradients_that_do_not_decay_or_overflow_give_no_warnings():
    settings = {"cell": "rnn", "activation": "identity", "truncation": "auto", "random_state": 0}
    y = np.arange(4.0)
    still = plain_regressor((5,), max_iter=1, n_iter_no_change=np.inf, **settings).fit(np.zeros((4, 200, 1)), y)
    assert 1 <= still.truncation_ <= 200
    still.weights_["layer_0.recurrent"][...] = 1e30
    with pytest.warns(match="learning_rate_init: training stopped"):
        still.partial_fit(np.ones((4, 200, 1)), y)


def test_zero_weights_and_classes_are_no_obstacle():
    X, _ = lagged_data(1, n_steps=30)
    labels = (X[:, -1, 0] > 0).astype(int)
    weights = np.zeros(12)
    weights[[labels.argmin(), labels.argmax()]] = 1
    classifier = plain_classifier((4,), truncation="auto", max_iter=2, n_iter_no_change=np.inf, random_state=0)
    assert 1 <= classifier.fit(X, labels, sample_weight=weights).truncation_ <= 30


@pytest.mark.parametrize("tolerance", [0, 1, -0.5, "much"])
def test_tolerances_that_are_none(tolerance):
    with pytest.raises(ValueError, match="The 'truncation_tolerance' parameter"):
        regressor(truncation_tolerance=tolerance).fit(*lagged_data(1))


def test_bidirectional_networks_refuse():
    with pytest.raises(ValueError, match="truncation='auto' does not go with bidirectional=True"):
        regressor(bidirectional=True).fit(*lagged_data(1))
