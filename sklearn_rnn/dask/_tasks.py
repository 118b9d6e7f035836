"""What workers do in training: pure functions of a part, the description of the training, and the present weights.

All that is drawn comes from a generator that is made of the training's seed and the numbers of part, epoch and update.
So a task gives the same bits wherever, whenever and how often it runs.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from sklearn_rnn._data.batches import Dataset
from sklearn_rnn._data.coding import ClassCoding
from sklearn_rnn._data.moments import Moments
from sklearn_rnn._inference.prediction import predict_scores
from sklearn_rnn._model import Model
from sklearn_rnn._network.network import RecurrentNetwork
from sklearn_rnn._training.losses import Loss
from sklearn_rnn._training.monitor import Figures
from sklearn_rnn._training.optimizers import Optimizer
from sklearn_rnn._training.scaling import ReadoutSums, Scaling, feature_moments, readout_sums
from sklearn_rnn._training.settings import TrainingSettings
from sklearn_rnn._training.trainer import Diverged, Trainer
from sklearn_rnn._utils.threads import threads
from sklearn_rnn._utils.warnings import without_overflow_warnings
from sklearn_rnn.dask._data import Part
from sklearn_rnn.dask._scores import AccuracySums, R2Sums

# What a generator is for: the second number of its seed.
HELD_OUT, ORDER, UPDATE, WINDOWS = range(4)

# ---- The training ------------------------------------------------------------------------------------


@dataclass
class Job:
    """What does not change in a training.

    Attributes
    ----------
    name : str
        Another one for each training.
    model : Model
        Its parameters are not used.
    loss : Loss
    settings : TrainingSettings
    scaling : Scaling or None
    seed : int
    fraction : float
        Share of the sequences of a part that are held out, to validate on.
    n_updates : int
        Of an epoch, where all parts share each update.
    """

    name: str
    model: Model
    loss: Loss
    settings: TrainingSettings
    scaling: Scaling | None
    seed: int
    fraction: float
    n_updates: int
    # Trainers that no task of this worker uses now, with the memory of their passes. Parts must not keep one each: a
    # worker may have many more parts than threads.
    _spare: list[Trainer] = field(default_factory=list, init=False, repr=False, compare=False)

    def __getstate__(self) -> dict[str, Any]:
        return vars(self) | {"_spare": []}

    @contextmanager
    def trainer(self, run: Any) -> Iterator[Trainer]:
        """Yield a trainer that no other task uses; nothing that a result depends on stays in it."""
        try:
            trainer = self._spare.pop()
        except IndexError:
            network, seed = self.model.network.copy(), np.random.RandomState(0)
            trainer = Trainer(network, self.loss, None, self.settings, seed, run)
        yield trainer
        self._spare.append(trainer)

    def generator(self, purpose: int, *numbers: int) -> np.random.RandomState:
        """Return the generator for a purpose in a part, an epoch or an update."""
        return np.random.RandomState([self.seed, purpose, *numbers])


def n_held_out(n_sequences: int, fraction: float) -> int:
    """Return how many sequences of a part are held out: never all."""
    return max(0, min(int(np.ceil(fraction * n_sequences)), n_sequences - 1))


def split(part: Part, job: Job) -> tuple[np.ndarray, np.ndarray]:
    """Return the indices of the sequences of a part to train on, and of those to validate on.

    They are drawn by class, where each sequence has one.
    """
    n = len(part)
    m = n_held_out(n, job.fraction)
    if m == 0 or part.dataset is None:
        return np.arange(n), np.arange(0)
    order = job.generator(HELD_OUT, part.index).permutation(n)
    strata = None if part.dataset.per_step else job.model.coding.strata(part.dataset.targets)
    if strata is not None:
        order = order[np.argsort(strata[order], kind="stable")]
    chosen = np.zeros(n, bool)
    chosen[order[(2 * np.arange(m) + 1) * n // (2 * m)]] = True
    return np.flatnonzero(~chosen), np.flatnonzero(chosen)


def order_of(part: Part, job: Job, training: np.ndarray, epoch: int, is_full_batch: bool) -> np.ndarray:
    """Return the indices of a part's sequences in the order of an epoch."""
    # As in Trainer.begin_epoch: a full batch keeps the order of the data.
    if is_full_batch or not job.settings.shuffle:
        return training
    return training[job.generator(ORDER, part.index, epoch).permutation(len(training))]


def _network_of(job: Job, vector: np.ndarray) -> RecurrentNetwork:
    """Return the network with these parameters."""
    network = job.model.network.copy()
    network.parameters.vector[...] = vector
    return network


class Gradient(NamedTuple):
    """A part's share of an update: sums of losses and weights, and the gradient of the losses; None without samples."""

    loss: float
    weight: float
    vector: np.ndarray | None


def gradient(part: Part, job: Job, epoch: int, update: int, state: np.ndarray) -> Gradient:
    """Return a part's share of an update of all parts."""
    nothing = Gradient(0.0, 0.0, None)
    if part.dataset is None:
        return nothing
    training = part.kept(job.name, lambda: split(part, job)[0])
    with threads(job.settings.n_jobs) as run, job.trainer(run) as trainer:
        trainer.network.parameters.vector[...] = state
        trainer.random_state = job.generator(UPDATE, part.index, epoch, update)
        trainer.random_state_of_windows = job.generator(WINDOWS, epoch, update)
        n, n_updates = len(training), job.n_updates
        order = order_of(part, job, training, epoch, n_updates == 1)
        indices = order[n * update // n_updates : n * (update + 1) // n_updates]
        result = nothing
        if len(indices):
            with without_overflow_warnings():
                for sums, _ in trainer.updates(part.dataset, indices):
                    result = Gradient(sums.loss, sums.weight, sums.gradient.vector.copy())
    return result


class LocalTraining(NamedTuple):
    """The end of a part's local updates.

    Attributes
    ----------
    n_sequences : int
        That were trained on.
    vector : ndarray of shape (n_parameters,)
    optimizer : Optimizer
    figures : Figures
    is_diverged : bool
    """

    n_sequences: int
    vector: np.ndarray
    optimizer: Optimizer
    figures: Figures
    is_diverged: bool


class _Recorded(Figures):
    """Figures of updates, recorded as by a Monitor."""

    def end_update(self, loss: float, weight: float, norm: float, is_clipped: bool) -> None:
        """Record an update."""
        self.losses.append(loss)
        self.weights.append(weight)
        self.norms.append(norm)
        self.n_clipped += is_clipped


def train_locally(
    part: Part, job: Job, epoch: int, first: int, n_updates: int | None, state: tuple[np.ndarray, Optimizer, float]
) -> LocalTraining | None:
    """Train a part by itself: its updates of an epoch from ``first`` on, at most ``n_updates``; None without any."""
    if part.dataset is None:
        return None
    vector, optimizer, learning_rate = state
    training, _ = split(part, job)
    batch_size = job.settings.batch_size
    order = order_of(part, job, training, epoch, batch_size >= len(training))
    stop = len(order) if n_updates is None else (first + n_updates) * batch_size
    order = order[first * batch_size : stop]
    if not len(order):
        return None
    network, optimizer, figures = _network_of(job, vector), copy.deepcopy(optimizer), _Recorded()
    is_diverged = False
    with threads(job.settings.n_jobs) as run, without_overflow_warnings():
        generator = job.generator(UPDATE, part.index, epoch, first)
        trainer = Trainer(network, job.loss, optimizer, job.settings, generator, run, scaling=job.scaling)
        try:
            for start in range(0, len(order), batch_size):
                recorder: Any = figures
                trainer.train_batch(part.dataset, order[start : start + batch_size], learning_rate, recorder)
        except Diverged:
            is_diverged = True
    plain = Figures(figures.losses, figures.weights, figures.norms, figures.n_clipped)
    return LocalTraining(len(order), network.parameters.vector, optimizer, plain, is_diverged)


# ---- Statistics of a part ----------------------------------------------------------------------------


def _training_data_of(part: Part, job: Job) -> Dataset | None:
    """Return the data of a part without those that are held out."""
    training, held_out = split(part, job)
    if part.dataset is None or not len(held_out):
        return part.dataset
    return part.dataset.subset(training)


def moments_of(part: Part, job: Job) -> Moments | None:
    """Return the moments of the features."""
    dataset = _training_data_of(part, job)
    return None if dataset is None else feature_moments(dataset)


def readout_sums_of(part: Part, job: Job, state: np.ndarray) -> ReadoutSums | None:
    """Return the sums over the inputs of the output layer."""
    dataset = _training_data_of(part, job)
    return None if dataset is None else readout_sums(_network_of(job, state), dataset, job.settings.n_jobs)


def has_finite_scores(part: Part, job: Job, state: np.ndarray) -> bool:
    """Whether the scores of some of the longest sequences are finite."""
    if part.dataset is None:
        return True
    with threads(job.settings.n_jobs) as run:
        network = _network_of(job, state)
        trainer = Trainer(network, job.loss, None, job.settings, np.random.RandomState(0), run)
        try:
            trainer.check_scores(part.dataset)
        except Diverged:
            return False
    return True


class Evaluation(NamedTuple):
    """Sums over validation data: of the losses and the weights, and those of the score."""

    loss: float
    weight: float
    score: AccuracySums | R2Sums


def evaluate(part: Part, job: Job, state: np.ndarray) -> Evaluation | None:
    """Return the figures of the validation data of a part: those held out or, if none are, all."""
    dataset = part.dataset
    if dataset is None:
        return None
    if job.fraction:
        _, held_out = split(part, job)
        if not len(held_out):
            return None
        dataset = dataset.subset(held_out)
    scores = predict_scores(_network_of(job, state), dataset.sequences, job.settings.n_jobs)
    targets, weights = dataset.targets, dataset.weights
    with without_overflow_warnings():
        loss = job.loss.value(scores, targets, weights)
        coding, activate = job.model.coding, job.model.link.predict
        sums: AccuracySums | R2Sums
        if isinstance(coding, ClassCoding):
            sums = AccuracySums().add(coding.hits(scores, targets), weights)
        else:
            sums = R2Sums(targets.shape[1]).add(targets, coding.predicted_targets(scores, activate), weights)
    return Evaluation(loss, float(weights.sum(dtype=np.float64)), sums)
