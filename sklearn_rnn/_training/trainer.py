"""Trainer: epochs, batches, blocks, clipping, the optimizer's steps."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from math import isfinite
from operator import methodcaller
from typing import Any

import numpy as np

from sklearn_rnn._data.batches import Dataset, PackedBatch
from sklearn_rnn._inference.prediction import predict_scores
from sklearn_rnn._network.blocks import training_blocks
from sklearn_rnn._network.network import RecurrentNetwork
from sklearn_rnn._network.parameters import Parameters
from sklearn_rnn._training.bptt import Backpropagation, Update
from sklearn_rnn._training.checkpoint import BegunEpoch, Recorder
from sklearn_rnn._training.dropout import DropoutMasks
from sklearn_rnn._training.losses import Loss
from sklearn_rnn._training.memory.budget import OverBudget, over_budget
from sklearn_rnn._training.memory.model import BlockMemory, shares_of
from sklearn_rnn._training.memory.revolve import State
from sklearn_rnn._training.monitor import Monitor
from sklearn_rnn._training.optimizers import LearningRate, Optimizer
from sklearn_rnn._training.scaling import Scaling
from sklearn_rnn._training.settings import TrainingSettings
from sklearn_rnn._training.truncation.policy import Windows
from sklearn_rnn._utils.callers import is_one_of_many_fits
from sklearn_rnn._utils.threads import number_of_threads
from sklearn_rnn._utils.warnings import without_overflow_warnings

# Sequences whose predictions are looked at after the last update: a small part of an epoch.
N_CHECKED = 4


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
    scaling : Scaling, or None
        The coordinates of training; None for the network's own.

    Attributes
    ----------
    random_state_of_windows : RandomState
        Draws windows of truncation: ``random_state``, unless another one is assigned.
    is_updating : bool
        Whether the optimizer is at work. An exception in the middle leaves its averages half updated. It changes the
        parameters by one operation at its end, which no exception interrupts.
    """

    def __init__(
        self,
        network: RecurrentNetwork,
        loss: Loss,
        optimizer: Optimizer | None,
        settings: TrainingSettings,
        random_state: np.random.RandomState,
        run: Callable[..., Iterable[Any]] = map,
        state: State | None = None,
        scaling: Scaling | None = None,
    ) -> None:
        self.network = network
        self._scaling = scaling
        self.loss = loss
        self.optimizer = optimizer
        self.settings = settings
        self.random_state = self.random_state_of_windows = random_state
        self.state = state
        self._run, self._n_threads = run, number_of_threads(settings.n_jobs)
        self._prepared = network.prepare()
        self.is_updating = False
        self._blocks: list[Backpropagation] = []  # one for each block of a batch
        self._trained: Parameters | None = None  # memory for the parameters in the coordinates of training

    def choose_truncation(self, dataset: Dataset) -> None:
        """Let the truncation adapt to the network, before an epoch."""
        with without_overflow_warnings():
            self.settings.truncation.adapt(self.network, self.loss, dataset, self.random_state)

    def begin_epoch(self, n_sequences: int) -> BegunEpoch:
        """Draw the order of the sequences."""
        # Order does not matter to a full batch: keeping it spares rounding differences.
        shuffled = self.settings.shuffle and self.settings.batch_size < n_sequences
        return BegunEpoch(self.random_state.permutation(n_sequences) if shuffled else None)

    def train_epoch(
        self, dataset: Dataset, epoch: BegunEpoch, learning_rate: float, monitor: Monitor, recorder: Recorder
    ) -> None:
        """Train on the rest of an epoch; raise Diverged, before the update, if a number is not finite."""
        for number, batch, n_trained in self.batches(len(dataset), epoch, 1 + monitor.n_epochs):
            monitor.begin_batch(number)
            with without_overflow_warnings():
                self.train_batch(dataset, batch, learning_rate, monitor)
            epoch.n_trained = n_trained
            recorder.end_batch(epoch)
        if not all(np.isfinite(array).all() for array in [self.network.parameters.vector, *(self.state or [])]):
            raise Diverged

    def batches(self, n_sequences: int, epoch: BegunEpoch, n_epochs: int) -> Iterator[tuple[int, Any, int]]:
        """Yield the rest of an epoch's batches, from 1: number, indices, and trained sequences at its end.

        The epoch is the ``n_epochs``-th one of the estimator.
        """
        batch_size = self.settings.batch_size
        order = np.arange(n_sequences) if epoch.order is None else epoch.order
        for start in range(epoch.n_trained, n_sequences, batch_size):
            yield 1 + start // batch_size, order[start : start + batch_size], start + batch_size

    def train_batch(self, dataset: Dataset, batch: Any, learning_rate: float, monitor: Monitor) -> None:
        """One update, or one at every window where each step has a loss."""
        assert self.optimizer is not None
        for update, divisor in self.updates(dataset, batch):
            trained = self._trained = self.trained_parameters(self._trained)
            loss = self._penalize_and_divide(update, divisor, trained)
            norm, is_clipped = self._clip(update.gradient.vector)
            if not isfinite(loss) or not isfinite(norm):
                raise Diverged
            self.is_updating = True
            self.optimizer.update(trained.vector, update.gradient.vector, learning_rate)
            self.assign(trained, trained)
            self.is_updating = False
            monitor.end_update(loss, update.weight, norm, is_clipped)

    def check_scores(self, dataset: Dataset) -> None:
        """Raise Diverged if scores of some of the longest sequences are not finite.

        Finite weights may give infinite scores: a recurrence without bounds multiplies by them at every step.
        """
        longest = np.argsort(dataset.sequences.lengths, kind="stable")[-N_CHECKED:]
        with without_overflow_warnings():
            scores = predict_scores(self.network, dataset.sequences.subset(longest), n_jobs=1)
        if not np.isfinite(scores).all():
            raise Diverged

    def trained_parameters(self, memory: Parameters | None = None) -> Parameters:
        """Return the parameters in the coordinates of training: the network's, or a copy, in ``memory`` if given."""
        parameters = self.network.parameters
        return parameters if self._scaling is None else self._scaling.as_trained(parameters, memory)

    def assign(self, trained: Parameters, memory: Parameters | None = None) -> None:
        """Give the network trained parameters, by one operation, which no exception interrupts.

        They are converted in ``memory``, if this is given, which may be that of ``trained``.
        """
        if self._scaling is not None:
            self.network.parameters.vector[...] = self._scaling.as_network(trained, memory)

    def updates(self, dataset: Dataset, indices: np.ndarray) -> Iterator[tuple[Update, float]]:
        """Yield a batch's updates, each with the weight to divide it by; the parameters may change between them."""
        lengths, truncation = dataset.sequences.lengths, self.settings.truncation
        n_steps = dataset.sequences.common_length or int(lengths[indices].max())
        windows = truncation.draw(n_steps, self.random_state_of_windows)
        steps_at_once = truncation.length if dataset.per_step else None
        batches = [
            dataset.pack(part) for part in training_blocks(self.network, lengths, indices, n_steps, steps_at_once)
        ]
        blocks = self._blocks_for(batches, windows)
        for block, batch in zip(blocks, batches):
            block.begin(batch, windows, self._draw_masks(batch), self._state_of(batch))
        if dataset.per_step:
            divisor = windows.shared_divisor(batches)
            for window, next_start in windows.with_next_starts():
                update = self._sum_over(blocks, methodcaller("update_of_window", window, next_start))
                if update.weight:  # otherwise no sample counts: no update, not even the penalty's
                    yield update, update.weight if divisor is None else divisor
        else:
            update = self._sum_over(blocks, methodcaller("update_of_batch"))
            if update.weight:
                yield update, update.weight
        self._end_batch(blocks, batches)

    def _sum_over(self, blocks: list[Backpropagation], function: Callable[[Backpropagation], Update]) -> Update:
        """Return the sum of the blocks' updates, in their order; the gradient is in the memory of the first."""

        def quietly(block: Backpropagation) -> Update:
            with without_overflow_warnings():  # in each thread
                return function(block)

        self._prepared.refresh()
        is_alone = len(blocks) == 1  # to ask other threads takes some microseconds
        try:
            first, *others = [function(blocks[0])] if is_alone else self._run(quietly, blocks)
        except OverBudget as error:
            assert self.settings.memory_budget is not None
            raise over_budget(self.settings.memory_budget, error.args[0] * len(blocks)) from error
        loss, weight = first.loss, first.weight
        for other in others:
            first.gradient.vector += other.gradient.vector
            loss, weight = loss + other.loss, weight + other.weight
        return Update(loss, weight, first.gradient)

    def _blocks_for(self, batches: list[PackedBatch], windows: Windows) -> list[Backpropagation]:
        """Return one Backpropagation for each block of a batch, with its share of the memory."""
        n_blocks, budget = len(batches), self.settings.memory_budget
        while len(self._blocks) < n_blocks:
            self._blocks.append(Backpropagation(self.network, self._prepared, self.loss))
        if budget is not None:
            settings = (windows, self.settings.dropout > 0)
            needs = [BlockMemory(self.network, batch.packing.lengths, *settings) for batch in batches]
            del self._blocks[n_blocks:]  # with the tapes in their memory
            for block, share in zip(self._blocks, shares_of(budget, needs)):
                block.memory.budget = share
        self._blocks[0].n_threads = self._n_threads if n_blocks == 1 else 1  # otherwise each thread has blocks
        return self._blocks[:n_blocks]

    def _state_of(self, batch: PackedBatch) -> State | None:
        return None if self.state is None else [states.take(batch.order, axis=1) for states in self.state]

    def _end_batch(self, blocks: list[Backpropagation], batches: list[PackedBatch]) -> None:
        """End the batch in all blocks; keep the states after their last steps, if states are carried."""
        for block, batch in zip(blocks, batches):
            for states, ended in zip(self.state or [], block.end()):
                states[:, batch.order] = ended

    def _draw_masks(self, batch: PackedBatch) -> DropoutMasks:
        return DropoutMasks.draw(self.network, batch.packing.n_sequences, self.settings.dropout, self.random_state)

    def _penalize_and_divide(self, update: Update, divisor: float, trained: Parameters) -> float:
        """Turn sums into the mean that is minimised: (losses + alpha / 2 |weights|^2) / weight, as in MLPClassifier.

        Both the weights of the penalty and the gradient are in the coordinates of training.

        Returns
        -------
        float
            The loss; the gradient is changed in place.
        """
        loss, gradient = update.loss, update.gradient
        if self._scaling is not None:
            self._scaling.transform_gradient(gradient)
        alpha, n_weights = self.settings.alpha, gradient.n_weights
        weights = trained.vector[:n_weights]
        if alpha:
            gradient.vector[:n_weights] += alpha * weights
            loss = loss + 0.5 * alpha * float(np.dot(weights, weights))
        gradient.vector /= self.network.dtype.type(divisor)
        return loss / update.weight

    def _clip(self, gradient: np.ndarray) -> tuple[float, bool]:
        """Clip the gradient by value, then by norm (Pascanu, Mikolov & Bengio 2013, algorithm 1).

        Returns
        -------
        norm : float
            Before clipping.
        is_clipped : bool
        """
        settings = self.settings
        norm = clipped_norm = norm_of(gradient)
        is_clipped = False
        if settings.clip_value is not None and np.abs(gradient).max() > settings.clip_value:
            np.clip(gradient, -settings.clip_value, settings.clip_value, out=gradient)
            clipped_norm = norm_of(gradient)
            is_clipped = True
        if settings.clip_norm is not None and clipped_norm > settings.clip_norm:
            _multiply(gradient, settings.clip_norm / clipped_norm)
            is_clipped = True
        return norm, is_clipped

    def loss_and_gradient(self, dataset: Dataset) -> tuple[float, np.ndarray]:
        """Loss over the whole dataset, and its gradient as a new float64 vector; for L-BFGS.

        The data are taken batch by batch, so that only the tapes of a batch are in memory.
        """
        gradient = self.network.parameters.like()
        loss = weight = 0.0
        for start in range(0, len(dataset), self.settings.batch_size):
            indices = np.arange(start, min(start + self.settings.batch_size, len(dataset)))
            for update, _ in self.updates(dataset, indices):
                gradient.vector += update.gradient.vector
                loss, weight = loss + update.loss, weight + update.weight
        loss = self._penalize_and_divide(Update(loss, weight, gradient), weight, self.trained_parameters())
        return loss, gradient.vector.astype(np.float64)


def norm_of(vector: np.ndarray) -> float:
    """Euclidean norm. It is finite for float32 vectors of finite values, though their squares may overflow."""
    norm = float(np.sqrt(np.dot(vector, vector)))
    if not isfinite(norm):
        largest = float(np.abs(vector).max())
        if isfinite(largest):
            scaled = vector / vector.dtype.type(largest)
            norm = largest * float(np.sqrt(np.dot(scaled, scaled)))
    return norm


def _multiply(vector: np.ndarray, factor: float) -> None:
    """Multiply a vector in place by a factor that may be too small for the vector's dtype."""
    if factor >= np.finfo(vector.dtype).tiny:
        vector *= factor
    else:
        vector *= factor**0.5
        vector *= factor**0.5


def train(
    trainer: Trainer,
    dataset: Dataset,
    learning_rate: LearningRate,
    n_epochs: int,
    monitor: Monitor,
    recorder: Recorder,
    checks_scores: bool = False,
) -> bool:
    """Train epoch by epoch until the monitor says stop, or ``n_epochs`` are over.

    A loss or gradient that is not finite ends training with a ConvergenceWarning and the parameters of the last good
    epoch. With ``checks_scores`` so do predictions after the last update, which no later loss would show. Ctrl-C ends
    it with the parameters of the last update; where this is one of many fits, as in a search, it is raised.

    Returns
    -------
    bool
        Whether training came to its end, with a complete last epoch.
    """
    parameters = trainer.network.parameters.vector
    try:
        while _goes_on(learning_rate, n_epochs, monitor):
            epoch = recorder.epoch
            if epoch is None:
                monitor.begin_epoch()
                trainer.choose_truncation(dataset)
                learning_rate.next_epoch()
                epoch = trainer.begin_epoch(len(dataset))
            else:
                monitor.begin_epoch(epoch.figures)
            epoch.figures = monitor.figures
            trainer.train_epoch(dataset, epoch, learning_rate.of_epoch(), monitor, recorder)
            if checks_scores and monitor.n_epochs_of_call == n_epochs - 1:
                trainer.check_scores(dataset)
            monitor.end_epoch(len(dataset))
            if checks_scores and (monitor.is_told_to_stop or monitor.should_stop):
                trainer.check_scores(dataset)
            recorder.last_good[...] = parameters
            recorder.end_epoch()
        recorder.end()
        return True
    except Diverged:
        parameters[...] = recorder.last_good
        monitor.warn_diverged()
        monitor.end("a number is not finite")
    except KeyboardInterrupt:
        if is_one_of_many_fits():
            raise
        monitor.end_by_interrupt()
    return False


def _goes_on(learning_rate: LearningRate, n_epochs: int, monitor: Monitor) -> bool:
    """Whether another epoch follows; otherwise report the reason."""
    if monitor.is_told_to_stop:
        monitor.end("a callback stopped it")
        return False
    if monitor.should_stop:
        if not learning_rate.reduce():
            monitor.end()
            return False
        monitor.wait_again()
    if monitor.n_epochs_of_call < n_epochs:
        return True
    if monitor.expects_convergence and not learning_rate.has_end:
        monitor.warn_not_converged("max_iter")
    monitor.end(f"max_iter={n_epochs} is reached")
    return False
