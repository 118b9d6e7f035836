"""Truncated backpropagation: windows, and gradients compared with a slow sum over all allowed paths."""

import numpy as np
import pytest
from helpers import (
    NO_MASKS,
    assert_all_close,
    copied,
    make_dataset,
    make_network,
    make_regression,
    make_sequences,
    plain_classifier,
    plain_regressor,
    randomize,
    truncated,
    updates_of,
)
from numpy.testing import assert_allclose, assert_array_equal

from sklearn_rnn._network import blocks
from sklearn_rnn._training.bptt import Backpropagation
from sklearn_rnn._training.dropout import DropoutMasks
from sklearn_rnn._training.losses import SquaredError
from sklearn_rnn._training.optimizers import SGD
from sklearn_rnn._training.settings import TrainingSettings
from sklearn_rnn._training.trainer import Trainer
from sklearn_rnn._training.truncation.fixed import FixedTruncation, cut_windows
from sklearn_rnn._training.truncation.policy import Window

# Training ends after a fixed number of epochs, without a test for convergence.
pytestmark = pytest.mark.filterwarnings("ignore:max_iter:sklearn.exceptions.ConvergenceWarning")

LENGTHS = (5, 1, 9, 7)
READOUTS = ["last", "mean", "max", ("last", "max", "mean"), "each"]
# (h, h'): without overlap, with overlap, of one step, two windows, and windows that end after some sequences or within
# a stride.
TRUNCATIONS = [(3, None), (1, None), (3, 1), (4, 3), (6, 2), (5, None), (8, 8)]

each_truncation = pytest.mark.parametrize(("truncation", "stride"), TRUNCATIONS)
each_readout = pytest.mark.parametrize("readout", READOUTS)


# ---- windows() ---------------------------------------------------------------------------------------


def all_plans():
    """(n_steps, h, h', windows) for all short sequences."""
    for n_steps in range(1, 13):
        for truncation in range(1, 15):
            for stride in range(1, truncation + 1):
                yield n_steps, truncation, stride, cut_windows(n_steps, truncation, stride)


def test_every_loss_belongs_to_one_window():
    for n_steps, _, _, plan in all_plans():
        steps = [step for window in plan for step in range(window.loss_start, window.stop)]
        assert steps == list(range(n_steps))


def test_losses_flow_back_through_the_last_h_steps():
    for _, truncation, _, plan in all_plans():
        for window in plan:
            assert window.start == max(0, window.stop - truncation)
            assert window.start <= window.loss_start < window.stop


def test_updates_come_every_stride_and_at_the_end():
    for n_steps, truncation, stride, plan in all_plans():
        stops = {step for step in range(1, n_steps) if step % stride == 0} | {n_steps}
        if truncation >= n_steps:
            stops = {n_steps}
        assert [window.stop for window in plan] == sorted(stops)


def test_the_stride_is_the_truncation_by_default():
    assert cut_windows(10, 4) == cut_windows(10, 4, 4) == [(0, 0, 4), (4, 4, 8), (6, 8, 10)]


@pytest.mark.parametrize("truncation", [None, 7, 8])
def test_truncation_of_at_least_the_length_is_one_window(truncation):
    assert cut_windows(7, truncation, None) == [Window(0, 0, 7)]


# ---- No truncation -----------------------------------------------------------------------------------


@each_readout
@pytest.mark.parametrize(("truncation", "stride"), [(9, None), (9, 2), (100, 7)])
@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
def test_truncation_beyond_the_end_gives_the_bits_of_none(cell, readout, truncation, stride):
    sequences = make_sequences(LENGTHS)
    generator = np.random.default_rng(0)
    y = [
        generator.integers(3, size=len(sequence)) if readout == "each" else i % 3
        for i, sequence in enumerate(sequences)
    ]
    settings = {"cell": cell, "readout": readout, "dropout": 0.3, "max_iter": 3, "batch_size": 3}
    full, truncated = (
        plain_classifier((3, 2), random_state=0, **settings, **more).fit(sequences, y)
        for more in ({}, {"truncation": truncation, "truncation_stride": stride})
    )
    assert full.loss_curve_ == truncated.loss_curve_
    for name, weights in full.weights_.items():
        assert_array_equal(truncated.weights_[name], weights)


# ---- Simple cells, path by path ----------------------------------------------------------------------


def run(x, weights, state):
    """States of one sequence in Elman's cell, (1 + n_steps, n_units), the initial one in front."""
    states = [state]
    for x_t in x:
        a_t = x_t @ weights["layer_0.input"] + states[-1] @ weights["layer_0.recurrent"] + weights["layer_0.bias"]
        states.append(np.tanh(a_t))
    return np.array(states)


def add_path_of_loss(gradient, x, states, weights, error, step, first_step):
    """Add the gradient of the loss at ``step``, given ``error`` = dL/dh_step, back to ``first_step``."""
    delta = error * (1 - states[step + 1] ** 2)
    for s in range(step, first_step - 1, -1):
        gradient["layer_0.input"] += np.outer(x[s], delta)
        gradient["layer_0.recurrent"] += np.outer(states[s], delta)
        gradient["layer_0.bias"] += delta
        jacobian = weights["layer_0.recurrent"] * (1 - states[s] ** 2)[:, None]  # da_s / da_{s-1}
        delta = jacobian @ delta


def add_loss(gradient, seen, weights, target, sample_weight):
    """Add the output layer's share of half a squared error; return the loss and dL/d(seen)."""
    difference = seen @ weights["readout.weight"] + weights["readout.bias"] - target
    d_scores = sample_weight * difference / len(target)
    gradient["readout.weight"] += np.outer(seen, d_scores)
    gradient["readout.bias"] += d_scores
    loss = sample_weight * 0.5 * np.mean(difference**2)
    return loss, weights["readout.weight"] @ d_scores


def update_of_step(step, n_steps, truncation, stride):
    """The step (counted from 1) at which the loss of ``step`` flows back, and the first step that it reaches."""
    stride = stride or truncation
    update = n_steps if truncation >= n_steps else min(n_steps, (step // stride + 1) * stride)
    return update, max(0, update - truncation)


def stacked(gradients):
    """The gradients of several updates, by name."""
    return {name: np.stack([gradient[name] for gradient in gradients]) for name in gradients[0]}


def zeros_like(weights):
    return {name: np.zeros_like(array) for name, array in weights.items()}


@each_truncation
def test_with_a_loss_at_each_step_updates_are_sums_over_the_paths_inside_their_windows(truncation, stride):
    network = make_network("rnn", readout="each")
    weights = network.parameters.views
    dataset = make_regression(LENGTHS, per_step=True)
    sequences = np.split(dataset.sequences.rows, np.cumsum(LENGTHS)[:-1])
    rows = iter(zip(dataset.targets, dataset.weights, strict=True))
    expected = {}
    for x in sequences:
        states = run(x, weights, np.zeros(3))
        for step in range(len(x)):
            update, first_step = update_of_step(step, max(LENGTHS), truncation, stride)
            losses, gradient = expected.setdefault(update, ([], zeros_like(weights)))
            target, sample_weight = next(rows)
            loss, error = add_loss(gradient, states[step + 1], weights, target, sample_weight)
            losses.append(loss)
            add_path_of_loss(gradient, x, states, weights, error, step, first_step)
    updates = updates_of(network, SquaredError(), dataset, truncation, stride)
    losses, gradients = zip(*(expected[update] for update in sorted(expected)), strict=True)
    actual_losses = [update.loss for update in updates]
    assert_allclose(actual_losses, [sum(loss) for loss in losses], rtol=1e-12, atol=0)
    assert_all_close(stacked([update.gradient for update in updates]), stacked(gradients), rtol=1e-12)


@each_truncation
@pytest.mark.parametrize("readout", ["last", "mean", "max", ("max", "last", "mean")])
def test_with_one_loss_a_sequence_the_gradient_is_the_sum_over_the_paths_allowed(readout, truncation, stride):
    network = make_network("rnn", readout=readout)
    weights = network.parameters.views
    dataset = make_regression(LENGTHS)
    sequences = np.split(dataset.sequences.rows, np.cumsum(LENGTHS)[:-1])
    gradient, losses = zeros_like(weights), 0.0
    for x, target, sample_weight in zip(sequences, dataset.targets, dataset.weights, strict=True):
        n_steps = len(x)
        states = run(x, weights, np.zeros(3))
        pools = {"last": states[-1], "mean": states[1:].mean(axis=0), "max": states[1:].max(axis=0)}
        names = (readout,) if isinstance(readout, str) else readout
        pooled = np.concatenate([pools[name] for name in names])
        loss, d_pooled = add_loss(gradient, pooled, weights, target, sample_weight)
        losses += loss
        errors = dict(zip(names, np.split(d_pooled, len(names))))
        for step in range(n_steps):
            shares = {"last": step == n_steps - 1, "mean": 1 / n_steps, "max": states[step + 1] == pools["max"]}
            error = sum(errors[name] * shares[name] for name in names)
            _, first_step = update_of_step(step, max(LENGTHS), truncation, stride)
            if readout == "last":
                first_step = max(0, n_steps - truncation)
            add_path_of_loss(gradient, x, states, weights, error, step, first_step)
    (update,) = updates_of(network, SquaredError(), dataset, truncation, stride)
    assert_allclose(update.loss, losses, rtol=1e-12, atol=0)
    assert_all_close(update.gradient, gradient, rtol=1e-12)


@pytest.mark.parametrize(("truncation", "stride"), TRUNCATIONS[:-1])
@pytest.mark.parametrize("readout", READOUTS)
def test_truncation_changes_the_gradient(readout, truncation, stride):
    """The gradients in the tests above differ from those of full backpropagation."""
    network = make_network("rnn", readout=readout)
    dataset = make_regression(LENGTHS, per_step=readout == "each")
    (full,) = updates_of(network, SquaredError(), dataset)
    truncated = updates_of(network, SquaredError(), dataset, truncation, stride)
    total = sum(update.gradient["layer_0.recurrent"] for update in truncated)
    difference = np.abs(total - full.gradient["layer_0.recurrent"]).max()
    assert difference > 1e-6 * np.abs(total).max()


# ---- Invariants --------------------------------------------------------------------------------------


def make_masked_problem(cell, readout):
    """Two layers with dropout between them and before the output layer; data; masks by place in the batch."""
    network = make_network(cell, sizes=(3, 4), readout=readout)
    dataset = make_regression(LENGTHS, per_step=readout == "each")
    masks = DropoutMasks.draw(network, len(LENGTHS), 0.4, np.random.RandomState(0))
    return network, dataset, masks


@each_readout
@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
@pytest.mark.parametrize(("truncation", "stride"), [(3, 1), (4, 3)])
def test_truncation_cuts_the_gradient_and_not_the_forward_pass(cell, readout, truncation, stride):
    network, dataset, masks = make_masked_problem(cell, readout)
    (full,) = updates_of(network, SquaredError(), dataset, masks=masks)
    updates = updates_of(network, SquaredError(), dataset, truncation, stride, masks)
    assert_allclose(sum(update.loss for update in updates), full.loss, rtol=1e-12, atol=0)
    assert_allclose(sum(update.weight for update in updates), full.weight, rtol=1e-12, atol=0)


@each_readout
@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
@pytest.mark.parametrize(("truncation", "stride"), [(3, 1), (4, 3)])
def test_a_batch_is_its_sequences_one_at_a_time_in_the_same_windows(cell, readout, truncation, stride):
    network, dataset, masks = make_masked_problem(cell, readout)
    together = updates_of(network, SquaredError(), dataset, truncation, stride, masks)
    plan = truncated(max(LENGTHS), truncation, stride)
    expected = [zeros_like(network.parameters.views) for _ in together]
    for place, index in enumerate(dataset.pack(np.arange(4)).order):
        own_masks = DropoutMasks([mask[[place]] for mask in masks.layers], masks.readout[[place]])
        backpropagation = Backpropagation(network, network.prepare(), SquaredError())
        updates = backpropagation.updates(dataset.pack(np.array([index])), plan, own_masks)
        for _, gradient in zip(updates, expected, strict=True):
            for name, own in backpropagation.gradient.views.items():
                gradient[name] += own
    assert_all_close(stacked([update.gradient for update in together]), stacked(expected), rtol=1e-12)


# ---- Updates between windows -------------------------------------------------------------------------


@each_truncation
def test_weights_change_between_windows_and_states_are_carried_over(truncation, stride):
    sequences = make_sequences(LENGTHS)
    generator = np.random.default_rng(3)
    y = [generator.normal(size=(n, 2)) for n in LENGTHS]
    sample_weight = np.array([1, 0.5, 2, 1.5])
    regressor = plain_regressor(
        (3,),
        cell="rnn",
        readout="each",
        truncation=truncation,
        truncation_stride=stride,
        solver="sgd",
        momentum=0,
        learning_rate_init=0.3,
        alpha=0,
        clip_norm=None,
        max_iter=1,
        warm_start=True,
        normalize_y=False,  # the witness gets the targets themselves
        random_state=0,
    )
    regressor.fit(sequences, y)
    randomize(regressor.weights_)
    weights = copied(regressor.weights_)
    regressor.fit(sequences, y, sample_weight=sample_weight)

    states, last_update = [np.zeros(3)] * 4, 0
    updates = sorted({update_of_step(step, 9, truncation, stride)[0] for step in range(9)})
    starts = [update_of_step(update - 1, 9, truncation, stride)[1] for update in updates]
    for start, next_start, update in zip(starts, [*starts[1:], 9], updates, strict=True):
        gradient, total_weight = zeros_like(weights), 0.0
        for i, x in enumerate(sequences):
            x, targets = x[start:update], y[i][start:update]
            window_states = run(x, weights, states[i])
            for step in range(last_update - start, len(x)):
                _, error = add_loss(gradient, window_states[step + 1], weights, targets[step], sample_weight[i])
                add_path_of_loss(gradient, x, window_states, weights, error, step, 0)
                total_weight += sample_weight[i]
            # The next window begins in the state that this run, with these weights, had at that window's first step.
            states[i] = window_states[min(next_start - start, len(x))]
        for name in weights:
            weights[name] -= 0.3 * gradient[name] / total_weight
        last_update = update
    assert_all_close(regressor.weights_, weights, rtol=1e-12)


# ---- Blocks ------------------------------------------------------------------------------------------


class Updates:
    """A monitor that stores each update's loss and weight."""

    def __init__(self):
        self.losses, self.weights = [], []

    def end_update(self, loss, weight, norm, is_clipped):
        self.losses.append(loss)
        self.weights.append(weight)


def make_trainer(network, truncation=None, truncation_stride=None, **settings):
    settings["truncation"] = FixedTruncation(truncation, truncation_stride)
    optimizer = SGD(len(network.parameters.vector), network.dtype, momentum=0.5, nesterov=True)
    return Trainer(network, SquaredError(), optimizer, TrainingSettings(**settings), np.random.RandomState(0))


@pytest.mark.parametrize("readout", READOUTS)
@pytest.mark.parametrize(("truncation", "stride"), [(None, None), (3, None), (4, 1)])
def test_cutting_a_batch_into_blocks_changes_neither_windows_nor_weights(readout, truncation, stride, monkeypatch):
    trained = []
    monkeypatch.setattr(blocks, "SMALLEST_TRAINING", 1)
    monkeypatch.setattr(blocks, "SMALLEST_SHARED_TRAINING", 1)
    for smallest_block in (100, 1):  # one block for all sequences; one block for each
        monkeypatch.setattr(blocks, "SMALLEST_BLOCK", smallest_block)
        monkeypatch.setattr(blocks, "USUAL_BLOCK", smallest_block)
        network = make_network("gru", readout=readout)
        start = network.parameters.vector.copy()
        dataset = make_regression(LENGTHS, per_step=readout == "each")
        trainer = make_trainer(network, batch_size=4, truncation=truncation, truncation_stride=stride, alpha=0.1)
        updates = Updates()
        trainer.train_batch(dataset, np.arange(4), 0.1, updates)
        assert len(trainer._blocks) == (1 if smallest_block == 100 else 4)
        assert np.abs(network.parameters.vector - start).min() > 0
        results = {"losses": np.array(updates.losses), "weights": np.array(updates.weights)}
        trained.append(results | network.parameters.views)
    assert_all_close(trained[1], trained[0], rtol=1e-12)


@pytest.mark.parametrize("readout", READOUTS)
def test_a_block_that_is_over_takes_part_in_the_batchs_later_windows_with_nothing(readout):
    network = make_network("gru", readout=readout)
    dataset = make_regression((2, 1), per_step=readout == "each")
    (alone,) = updates_of(network, SquaredError(), dataset)
    backpropagation = Backpropagation(network, network.prepare(), SquaredError())
    updates = backpropagation.updates(dataset.pack(np.arange(2)), truncated(9, 3), NO_MASKS)
    assert next(updates)[:2] == (alone.loss, alone.weight)
    for name, gradient in alone.gradient.items():
        assert_array_equal(backpropagation.gradient.views[name], gradient)
    if readout == "each":
        assert [update[:2] for update in updates] == [(0, 0), (0, 0)]
        assert not backpropagation.gradient.vector.any()
    else:
        assert list(updates) == []


def test_windows_without_weight_update_nothing():
    sequences = make_sequences((3, 6))
    targets = np.random.default_rng(0).normal(size=(9, 2))
    weights = np.repeat([1.0, 0.0], [3, 6])
    dataset = make_dataset(sequences, targets, weights, per_step=True)
    network = make_network("rnn", readout="each")
    start = network.parameters.vector.copy()
    updates = Updates()
    make_trainer(network, batch_size=2, truncation=3, alpha=1.0).train_batch(dataset, np.arange(2), 0.1, updates)
    assert updates.weights == [3.0]  # of the first window; the other window has no weight

    alone = make_network("rnn", readout="each")
    trainer = make_trainer(alone, batch_size=1, truncation=3, alpha=1.0)
    trainer.train_batch(dataset.subset(np.array([0])), np.arange(1), 0.1, Updates())
    assert_allclose(network.parameters.vector, alone.parameters.vector, rtol=1e-12, atol=1e-15)
    assert (network.parameters.vector != start).any()


@pytest.mark.parametrize("readout", ["last", "each"])
@pytest.mark.parametrize("truncation", [10**30, "auto", "unbiased"])
def test_more_steps_than_integers_hold_are_all_steps(readout, truncation):
    X = np.random.default_rng(0).normal(size=(3, 20, 1))
    y = X[..., 0] if readout == "each" else X[:, -1, 0]
    settings = {"readout": readout, "max_iter": 2, "n_iter_no_change": np.inf, "random_state": 0}
    bounded = plain_regressor((4,), truncation=truncation, truncation_stride=10**30, **settings)
    bounded.fit(X, y).set_params(memory_budget="1MB").partial_fit(X, y)
    if truncation == 10**30:
        full = plain_regressor((4,), **settings).fit(X, y).partial_fit(X, y)
        for name, weights in full.weights_.items():
            assert_array_equal(bounded.weights_[name], weights)
