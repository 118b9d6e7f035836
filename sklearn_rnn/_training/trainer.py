"""Training: epochs, batches, blocks, clipping, the optimizer's steps."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from scipy.optimize import minimize

from sklearn_rnn._network.blocks import training_blocks
from sklearn_rnn._training.bptt import Backpropagation, DropoutMasks
from sklearn_rnn._training.memory.budget import BlockMemory, over_budget, shares_of
from sklearn_rnn._training.memory.segments import OverBudget
from sklearn_rnn._training.truncation.fixed import BaseTruncation, FixedTruncation
from sklearn_rnn._utils.warnings import warn_user


@dataclass
class TrainingSettings:
    """How to train: the estimators' parameters by their names.

    Of these differ: ``batch_size``, which is a number; ``truncation``, which is a policy; ``memory_budget``, in bytes.
    """

    batch_size: int
    shuffle: bool = True
    truncation: BaseTruncation = field(default_factory=FixedTruncation)
    memory_budget: int | None = None
    clip_norm: float | None = None
    clip_value: float | None = None
    alpha: float = 0.0
    dropout: float = 0.0
    max_iter: int = 200
    max_fun: int = 15000
    tol: float = 1e-4
    n_iter_no_change: float = 10
    early_stopping: bool = False
    verbose: bool | int = False
    n_jobs: int | None = None


def without_overflow_warnings():
    """Silence NumPy in this thread: what overflows shows in the loss, and training stops with a message."""
    return np.errstate(over="ignore", invalid="ignore")


class Diverged(Exception):
    """A loss, a gradient, a parameter or a carried state is not finite."""


class Trainer:
    """Trains a network's parameters in place.

    Parameters
    ----------
    network : RecurrentNetwork
    loss : Loss
    optimizer : Optimizer, or None for L-BFGS
    settings : TrainingSettings
    random_state : RandomState
        Draws the order of the sequences and dropout.
    run : callable
        ``map``, or one that runs its calls side by side and gives the results in order.
    state : list of ndarray, or None
        Network state before the first step of every sequence, in their order; those that have been trained on have the
        state after their last step there. None for zeros, which are left as they are.

    Attributes
    ----------
    is_updating : bool
        Whether the optimizer is at work: an exception in the middle of it leaves its memory torn. The parameters change
        by one operation at its end, which no exception tears.
    """

    def __init__(self, network, loss, optimizer, settings, random_state, run=map, state=None):
        self.network = network
        self.loss = loss
        self.optimizer = optimizer
        self.settings = settings
        self.random_state = random_state
        self.state = state
        self._run = run
        self._weights = network.prepare()
        self.is_updating = False
        self._blocks = []  # one Backpropagation for each block of a batch

    def choose_truncation(self, dataset):
        """Let the truncation adapt to the network, before an epoch."""
        with without_overflow_warnings():
            self.settings.truncation.adapt(self.network, self.loss, dataset, self.random_state)

    def train_epoch(self, dataset, learning_rate, monitor):
        """Pass once over the data; raise Diverged, before the update, where something is not finite."""
        n, batch_size = len(dataset), self.settings.batch_size
        # Order does not matter to a full batch: keeping it spares rounding differences.
        shuffled = self.settings.shuffle and batch_size < n
        order = self.random_state.permutation(n) if shuffled else np.arange(n)
        for batch, start in enumerate(range(0, n, batch_size), 1):
            monitor.begin_batch(batch)
            with without_overflow_warnings():
                self.train_batch(dataset, order[start : start + batch_size], learning_rate, monitor)
        if not all(np.isfinite(array).all() for array in [self.network.parameters.vector, *(self.state or [])]):
            raise Diverged

    def train_batch(self, dataset, indices, learning_rate, monitor):
        """One update, or one at every window where each step has a loss."""
        for losses, weight, divisor in self.sums(dataset, indices):
            loss = self._penalize_and_divide(losses, weight, divisor)
            norm, is_clipped = self._clip()
            if not np.isfinite(loss) or not np.isfinite(norm):
                raise Diverged
            self.is_updating = True
            self.optimizer.update(self.network.parameters.vector, self._gradient.vector, learning_rate)
            self.is_updating = False
            monitor.end_update(loss, weight, norm, is_clipped)

    def sums(self, dataset, indices):
        """Yield (sum of weighted losses, sum of weights, what the gradient is to be divided by) of a batch's updates.

        The gradient of the sum is in ``self._gradient``: the blocks' gradients, added to the first in their order.
        """
        lengths, truncation = dataset.sequences.lengths, self.settings.truncation
        n_steps = dataset.sequences.common_length or int(lengths[indices].max())
        drawn = truncation.draw(n_steps, self.random_state)
        steps_at_once = truncation.length if dataset.per_step else None
        blocks = [dataset.pack(part) for part in training_blocks(self.network, lengths, indices, steps_at_once)]
        backpropagations = self._backpropagations(blocks, drawn)
        steps = [
            backpropagation.updates(block, drawn, self._draw_masks(block), self._state_of(block))
            for backpropagation, block in zip(backpropagations, blocks)
        ]
        n_updates = len(drawn.windows) if dataset.per_step else 1
        mean_weight = None
        if dataset.per_step and drawn.mean_length is not None:
            mean_weight = sum(float(block.weights.sum()) for block in blocks) * drawn.mean_length / n_steps
        for _ in range(n_updates):
            self._weights.refresh()
            losses, weight = (sum(sums) for sums in zip(*self._run_updates(steps)))
            if weight == 0:  # nothing in it counts: no update, not even the penalty's
                continue
            self._gradient = backpropagations[0].gradient
            for backpropagation in backpropagations[1:]:
                self._gradient.vector += backpropagation.gradient.vector
            yield losses, weight, weight if mean_weight is None else mean_weight
        if self.state is not None:
            self._keep_states(backpropagations, blocks)

    def _keep_states(self, backpropagations, blocks):
        """Write the states after the blocks' last steps where their sequences stand."""
        for backpropagation, block in zip(backpropagations, blocks):
            for states, ended in zip(self.state, backpropagation.state):
                states[:, block.order] = ended

    def _backpropagations(self, blocks, truncation):
        """One for each block of a batch, with its share of the memory."""
        n_blocks, budget = len(blocks), self.settings.memory_budget
        while len(self._blocks) < n_blocks:
            self._blocks.append(Backpropagation(self.network, self._weights, self.loss))
        if budget is not None:
            settings = (truncation, self.settings.dropout > 0)
            needs = [BlockMemory(self.network, block.packing.lengths, *settings) for block in blocks]
            del self._blocks[n_blocks:]  # with the tapes in their memory
            for backpropagation, share in zip(self._blocks, shares_of(budget, needs)):
                backpropagation.memory_budget = share
        return self._blocks[:n_blocks]

    def _run_updates(self, steps):
        try:
            return list(self._run(_next, steps))
        except OverBudget as error:
            raise over_budget(self.settings.memory_budget, error.args[0] * len(steps)) from error

    def _state_of(self, block):
        return None if self.state is None else [states.take(block.order, axis=1) for states in self.state]

    def _draw_masks(self, block):
        return DropoutMasks.draw(self.network, block.packing.n_sequences, self.settings.dropout, self.random_state)

    def _penalize_and_divide(self, losses, weight, divisor):
        """From sums to what is minimised: (losses + alpha / 2 |weights|^2) / weight, as MLPClassifier has it."""
        alpha, n_weights = self.settings.alpha, self._gradient.n_weights
        weights = self.network.parameters.vector[:n_weights]
        if alpha:
            self._gradient.vector[:n_weights] += alpha * weights
            losses = losses + 0.5 * alpha * float(np.dot(weights, weights))
        self._gradient.vector /= self.network.dtype.type(divisor)
        return losses / weight

    def _clip(self):
        """Clip the gradient by value, then by norm (Pascanu, Mikolov & Bengio 2013, algorithm 1).

        Returns
        -------
        norm : float
            Before clipping.
        is_clipped : bool
        """
        gradient, settings = self._gradient.vector, self.settings
        norm = clipped_norm = float(np.linalg.norm(gradient))
        is_clipped = False
        if settings.clip_value is not None and np.abs(gradient).max() > settings.clip_value:
            np.clip(gradient, -settings.clip_value, settings.clip_value, out=gradient)
            clipped_norm = float(np.linalg.norm(gradient))
            is_clipped = True
        if settings.clip_norm is not None and clipped_norm > settings.clip_norm:
            gradient *= settings.clip_norm / clipped_norm
            is_clipped = True
        return norm, is_clipped

    def loss_and_gradient(self, dataset):
        """Loss over the whole dataset, and its gradient as a new float64 vector; for L-BFGS.

        The data are taken batch by batch, so that the tape is that of a batch.
        """
        sum_of_gradients = np.zeros_like(self.network.parameters.vector)
        losses = weight = 0.0
        for start in range(0, len(dataset), self.settings.batch_size):
            indices = np.arange(start, min(start + self.settings.batch_size, len(dataset)))
            for batch_losses, batch_weight, _ in self.sums(dataset, indices):
                sum_of_gradients += self._gradient.vector
                losses, weight = losses + batch_losses, weight + batch_weight
        self._gradient.vector[...] = sum_of_gradients
        return self._penalize_and_divide(losses, weight, weight), self._gradient.vector.astype(np.float64)


def _next(updates):
    with without_overflow_warnings():
        return next(updates)


def train(trainer, dataset, learning_rate, n_epochs, monitor):
    """Train epoch by epoch until the monitor says stop, or ``n_epochs`` are over.

    A loss or gradient that is not finite ends training with a ConvergenceWarning and the parameters of
    the last good epoch; Ctrl-C ends it with those of the last update.

    Returns
    -------
    bool
        Whether training came to its end, its last epoch being complete.
    """
    parameters = trainer.network.parameters.vector
    last_good = parameters.copy()
    try:
        for _ in range(n_epochs):
            monitor.begin_epoch()
            trainer.choose_truncation(dataset)
            trainer.train_epoch(dataset, learning_rate.next_epoch(), monitor)
            monitor.end_epoch(len(dataset))
            last_good[...] = parameters
            if monitor.should_stop:
                if not learning_rate.reduce():
                    return True
                monitor.wait_again()
        if monitor.expects_convergence and learning_rate.schedule != "cosine":
            monitor.warn_not_converged("max_iter")
        return True
    except Diverged:
        parameters[...] = last_good
        monitor.warn_diverged()
    except KeyboardInterrupt:
        warn_user("Training interrupted by user.")
    return False


def train_lbfgs(trainer, dataset, n_epochs, max_fun, tol, monitor):
    """Train with L-BFGS on the whole data at once; an iteration counts as an epoch."""
    parameters = trainer.network.parameters.vector
    last_good = parameters.copy()

    def loss_and_gradient(vector):
        parameters[...] = vector
        loss, gradient = trainer.loss_and_gradient(dataset)
        norm = float(np.linalg.norm(gradient))
        if not np.isfinite(loss) or not np.isfinite(norm):
            raise Diverged
        monitor.end_evaluation(loss, norm)
        return loss, gradient

    def end_iteration(vector):
        parameters[...] = last_good[...] = vector
        monitor.end_epoch(len(dataset))
        if monitor.should_stop:
            raise _EarlyStop
        monitor.begin_epoch()

    monitor.begin_epoch()
    try:
        result = minimize(
            loss_and_gradient,
            parameters.astype(np.float64),
            jac=True,
            method="L-BFGS-B",
            callback=end_iteration,
            options={"maxiter": n_epochs, "maxfun": max_fun, "gtol": tol},
        )
        parameters[...] = result.x
        if result.status == 1:  # max_iter or max_fun is reached
            monitor.warn_not_converged("max_iter, max_fun")
    except Diverged:
        parameters[...] = last_good
        monitor.warn_diverged()
    except _EarlyStop:
        pass
    except KeyboardInterrupt:
        parameters[...] = last_good
        warn_user("Training interrupted by user.")


class _EarlyStop(Exception):
    """Ends scipy's minimize from its callback (it takes StopIteration only from SciPy 1.11 on)."""
