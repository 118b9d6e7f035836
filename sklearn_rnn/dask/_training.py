"""The client's side of training: updates that are sums over parts, or rounds of local updates."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import reduce
from typing import Any

import numpy as np

from sklearn_rnn._data.moments import Moments
from sklearn_rnn._model import Model
from sklearn_rnn._network.network import RecurrentNetwork
from sklearn_rnn._training.bptt import Update
from sklearn_rnn._training.checkpoint import BegunEpoch
from sklearn_rnn._training.losses import Loss
from sklearn_rnn._training.monitor import Monitor
from sklearn_rnn._training.optimizers import weighted_sum
from sklearn_rnn._training.progress import header_of
from sklearn_rnn._training.scaling import ReadoutSums, Scaling, scaling_by
from sklearn_rnn._training.settings import TrainingSettings
from sklearn_rnn._training.source import Source
from sklearn_rnn._training.trainer import Diverged, Trainer
from sklearn_rnn.dask import _tasks as tasks
from sklearn_rnn.dask._cluster import Cluster, PreparedParts
from sklearn_rnn.dask._tasks import Job, n_held_out


class PartsSource(Source):
    """Data in parts on workers.

    Parameters
    ----------
    cluster : Cluster
    parts : PreparedParts
    validation : PreparedParts or None
    model : Model
    loss : Loss
    settings : TrainingSettings
    seed : int
    fraction : float
        Share of the sequences of each part that are held out.
    local_updates : int, "epoch" or None
    scores_by_loss : bool
        Whether the validation score is minus the loss.
    """

    def __init__(
        self,
        cluster: Cluster,
        parts: PreparedParts,
        validation: PreparedParts | None,
        *,
        model: Model,
        loss: Loss,
        settings: TrainingSettings,
        seed: int,
        fraction: float,
        local_updates: int | str | None,
        scores_by_loss: bool,
    ) -> None:
        self.cluster, self._parts, self._validation = cluster, parts, validation
        self.has_validation = validation is not None or fraction > 0
        self._local_updates, self._scores_by_loss = local_updates, scores_by_loss
        self._sizes = [d.n_sequences - n_held_out(d.n_sequences, fraction) for d in parts.descriptions]
        self.lengths = np.unique(np.concatenate([d.lengths for d in parts.descriptions]))
        self.data = range(sum(self._sizes))
        n_updates = -(-len(self.data) // settings.batch_size)
        # The settings of a worker: it does not print, and does not hold out.
        settings = replace(settings, verbose=False)
        self._job = Job(cluster.name, model, loss, settings, None, seed, fraction, n_updates)
        self._held_job = cluster.hold(self._job)

    def _describe_job(self, **changes: Any) -> None:
        """Tell the workers more about the training."""
        self._job = replace(self._job, **changes)
        self._held_job = self.cluster.hold(self._job)

    def _results(self, function: Any, parts: PreparedParts | None = None, **state: Any) -> list[Any]:
        """Return the results of a function of each part."""
        parts = self._parts if parts is None else parts
        return self.cluster.run(function, parts, self._held_job, **state)

    def round(self, function: Any, *arguments: Any, **state: Any) -> list[Any]:
        """Return the results of a function of each part, in one round of training."""
        return self.cluster.run_round(function, self._parts, self._held_job, *arguments, **state)

    def share_with_new_workers(self) -> None:
        """Let workers that have joined take parts."""
        self.cluster.share_with_new_workers(self._parts)

    def begin_scaling(self, network: RecurrentNetwork, settings: TrainingSettings) -> Scaling | None:
        def measure_features() -> Moments:
            first, *others = [moments for moments in self._results(tasks.moments_of) if moments is not None]
            for moments in others:
                first.join(moments)
            return first

        def measure_readout() -> ReadoutSums:
            of_parts = self._results(tasks.readout_sums_of, state=network.parameters.vector.copy())
            sums = [of_part for of_part in of_parts if of_part is not None]
            return reduce(ReadoutSums.plus, sums)

        return scaling_by(
            network,
            measure_features if settings.normalize_features else None,
            measure_readout if settings.normalize_readout else None,
        )

    def header_of(self, model: Model) -> str:
        steps = np.concatenate([description.steps for description in self._parts.descriptions])
        return header_of(model, len(self), int(steps.min()), int(steps.max()))

    def trainer(self, **arguments: Any) -> Trainer:
        if self._local_updates is None:
            return SummingTrainer(self, **arguments)
        self._describe_job(scaling=arguments["scaling"])
        n_updates = None if self._local_updates == "epoch" else int(self._local_updates)
        return AveragingTrainer(self, n_updates, self._sizes, **arguments)

    def has_finite_scores(self, network: RecurrentNetwork) -> bool:
        """Whether the scores of some of the longest sequences of each part are finite."""
        return all(self._results(tasks.has_finite_scores, state=network.parameters.vector.copy()))

    def evaluate(self, model: Model, loss: Loss, n_jobs: int | None) -> tuple[float, float]:
        of_parts = self._results(tasks.evaluate, self._validation, state=model.network.parameters.vector.copy())
        first, *others = [of_part for of_part in of_parts if of_part is not None]
        total, weight, score = first
        for other in others:
            total, weight = total + other.loss, weight + other.weight
            score.join(other.score)
        if not np.isfinite(total):
            raise Diverged
        mean_loss = total / weight
        return mean_loss, -mean_loss if self._scores_by_loss else score.value


class _PartsTrainer(Trainer):
    """A Trainer without data of its own."""

    def __init__(self, source: PartsSource, **arguments: Any) -> None:
        super().__init__(**arguments)
        self._source = source

    def choose_truncation(self, dataset: Any) -> None:
        """Do nothing: truncation that adapts to the data is refused."""

    def begin_epoch(self, n_sequences: int) -> BegunEpoch:
        """Begin an epoch. Each part draws the order of its sequences by itself."""
        self._source.share_with_new_workers()
        return BegunEpoch(None)

    def check_scores(self, dataset: Any) -> None:
        """Raise Diverged if scores of some of the longest sequences are not finite."""
        if not self._source.has_finite_scores(self.network):
            raise Diverged


class SummingTrainer(_PartsTrainer):
    """Each update has a batch of every part: their gradients are added in the order of the parts."""

    def batches(self, n_sequences: int, epoch: BegunEpoch, n_epochs: int) -> Iterator[tuple[int, Any, int]]:
        """Yield the rest of an epoch's updates, from 1: number, (epoch, update), and trained sequences at its end."""
        batch_size = self.settings.batch_size
        for start in range(epoch.n_trained, n_sequences, batch_size):
            update = start // batch_size
            yield 1 + update, (n_epochs, update), start + batch_size

    def updates(self, dataset: Any, indices: Any) -> Iterator[tuple[Update, float]]:
        """Yield the sum of the parts' shares of an update, and its weight."""
        shares = self._source.round(tasks.gradient, *indices, state=self.network.parameters.vector.copy())
        total, loss, weight = self.network.parameters.like(), 0.0, 0.0
        has_begun = False
        for share in shares:
            if share.vector is None:
                continue
            if has_begun:
                total.vector += share.vector
            else:
                total.vector[...], has_begun = share.vector, True
            loss, weight = loss + share.loss, weight + share.weight
        if weight:
            yield Update(loss, weight, total), weight


class AveragingTrainer(_PartsTrainer):
    """Each part trains by itself for some updates; then the weights and the optimizers' averages are averaged.

    Local SGD (Stich 2019; McMahan et al. 2017). The parts count by the sequences that they trained on.

    Parameters
    ----------
    source : PartsSource
    n_local : int or None
        Updates of a part from one mean to the next; None: those of an epoch.
    sizes : sequence of int
        Number of sequences of each part.
    """

    def __init__(self, source: PartsSource, n_local: int | None, sizes: Sequence[int], **arguments: Any) -> None:
        super().__init__(source, **arguments)
        self._n_local, self._sizes = n_local, np.asarray(sizes)

    def batches(self, n_sequences: int, epoch: BegunEpoch, n_epochs: int) -> Iterator[tuple[int, Any, int]]:
        """Yield the rest of an epoch's rounds, from 1: number, (epoch, first update), and sequences at its end."""
        of_round = int(self._sizes.max()) if self._n_local is None else self._n_local * self.settings.batch_size
        for number in range(-(-int(self._sizes.max()) // of_round)):
            n_trained = int(np.minimum(self._sizes, (number + 1) * of_round).sum())
            if n_trained > epoch.n_trained:
                yield 1 + number, (n_epochs, number * (self._n_local or 0)), n_trained

    def train_batch(self, dataset: Any, batch: Any, learning_rate: float, monitor: Monitor) -> None:
        """Train one round."""
        optimizer = self.optimizer
        assert optimizer is not None
        state = (self.network.parameters.vector.copy(), copy.deepcopy(optimizer), learning_rate)
        results = self._source.round(tasks.train_locally, *batch, self._n_local, state=state)
        rounds = [result for result in results if result is not None]
        vector = self.network.parameters.vector
        if any(result.is_diverged for result in rounds):
            raise Diverged
        n_trained = sum(result.n_sequences for result in rounds)
        shares = [result.n_sequences / n_trained for result in rounds]
        self.is_updating = True
        optimizer.restore_mean_of([result.optimizer for result in rounds], shares)
        vector[...] = weighted_sum([result.vector for result in rounds], shares)
        self.is_updating = False
        for result in rounds:
            figures = result.figures
            for figure in zip(figures.losses, figures.weights, figures.norms):
                monitor.end_update(*figure, is_clipped=False)
            monitor.figures.n_clipped += figures.n_clipped
