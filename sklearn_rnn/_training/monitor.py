"""Monitor: records the figures of training, decides when training stops, reports, warns."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from operator import mul
from typing import Any, NamedTuple

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from sklearn_rnn._training.history import N_REMEMBERED, Epoch, History
from sklearn_rnn._training.progress import Progress, best_of
from sklearn_rnn._utils.callbacks import FitTasks
from sklearn_rnn._utils.plain import Array, Flag, Floats, Number, Object, Optional, Whole, plain_form
from sklearn_rnn._utils.warnings import warn_user


@plain_form("best", score=Number(may_be_nan=True), parameters=Optional(Array(1)))
class Best(NamedTuple):
    """The best validation score so far, and its parameters; None before the first score."""

    score: float = -np.inf
    parameters: np.ndarray | None = None


@plain_form("figures", losses=Floats(), weights=Floats(), norms=Floats(), n_clipped=Whole())
@dataclass
class Figures:
    """Figures of the updates of an epoch.

    Attributes
    ----------
    losses, weights, norms : list of float
        Of each update: its loss, the weight of its samples, and its gradient's norm before clipping.
    n_clipped : int
        Number of updates with a clipped gradient.
    """

    losses: list[float] = field(default_factory=list)
    weights: list[float] = field(default_factory=list)
    norms: list[float] = field(default_factory=list)
    n_clipped: int = 0


@plain_form(
    "monitor",
    history=Object("history"),
    best=Object("best"),
    best_loss=Number(may_be_nan=True),
    n_epochs_without_improvement=Whole(),
    is_told_to_stop=Flag(),
)
class MonitorState(NamedTuple):
    """All that a monitor knows after a complete epoch.

    Attributes
    ----------
    history : History
        Of all calls, this one included.
    best : Best
    best_loss : float
        The smallest loss of this call.
    n_epochs_without_improvement : int
    is_told_to_stop : bool
    """

    history: History
    best: Best
    best_loss: float
    n_epochs_without_improvement: int
    is_told_to_stop: bool


class Records(NamedTuple):
    """The records of all complete epochs.

    Attributes
    ----------
    history : History
        History of earlier calls. If this call has very many epochs, its first epochs too.
    best : Best
        The best score at the end of ``history``.
    epochs : list of (Epoch, Best)
        The following epochs, and the best score after each. Ctrl-C cannot interrupt an append.
    """

    history: History
    best: Best
    epochs: list[tuple[Epoch, Best]]


class Monitor:
    """Records the figures of every epoch, and tells when training should stop.

    Parameters
    ----------
    history : History
        History of earlier calls.
    parameters : ndarray
        The trained vector. It is copied when the validation score is the best so far.
    tol, n_iter_no_change, early_stopping
        The estimators' parameters.
    progress : Progress
        Prints the epochs.
    validate : callable or None
        Returns (loss, score) on the validation data.
    tasks : FitTasks
        Tell callbacks of the epochs.
    snapshot : callable
        Makes attributes of a fitted estimator, for callbacks, of the history and the best score so far.
    watches_loss : bool, default=True
        Whether training stops when its loss no longer falls.

    Attributes
    ----------
    is_told_to_stop : bool
        Whether a callback wants training to stop.
    figures : Figures
        Of the updates since the epoch began.
    """

    def __init__(
        self,
        history: History,
        parameters: np.ndarray,
        *,
        tol: float,
        n_iter_no_change: float,
        early_stopping: bool,
        progress: Progress,
        tasks: FitTasks,
        snapshot: Callable[[History, Best], dict[str, Any]],
        validate: Callable[[], tuple[float, float]] | None = None,
        watches_loss: bool = True,
    ) -> None:
        self._records = Records(history, Best(), [])
        self._n_earlier_epochs = history.n_epochs
        self._parameters = parameters
        self._tol, self._patience = tol, n_iter_no_change
        self._early_stopping, self._progress = early_stopping, progress
        self._validate, self._watches_loss = validate, watches_loss
        self._tasks, self._snapshot, self.is_told_to_stop = tasks, snapshot, False
        self._best_loss = np.inf
        self._n_epochs_without_improvement = 0

    @property
    def history(self) -> History:
        """History of all calls, this one included."""
        history, _, epochs = self._records
        return history.extended([epoch for epoch, _ in epochs])

    @property
    def n_epochs(self) -> int:
        """Complete epochs of all calls."""
        return self._records.history.n_epochs + len(self._records.epochs)

    @property
    def n_epochs_of_call(self) -> int:
        """Complete epochs of this call."""
        return self.n_epochs - self._n_earlier_epochs

    @property
    def best(self) -> Best:
        """The best validation score so far, and its parameters; only with ``early_stopping``."""
        _, first, epochs = self._records
        return epochs[-1][1] if epochs else first

    # ---- Checkpoints ---------------------------------------------------------------------------------

    def state(self) -> MonitorState:
        """Return the state after the last complete epoch."""
        unchanged = (self._best_loss, self._n_epochs_without_improvement, self.is_told_to_stop)
        return MonitorState(self.history, self.best, *unchanged)

    def restore(self, state: MonitorState) -> None:
        """Go back to a state of the same call."""
        self._records = Records(state.history, state.best, [])
        self._best_loss, self._n_epochs_without_improvement, self.is_told_to_stop = state[2:]

    def report(self, text: str) -> None:
        """Print a sentence, if ``verbose``."""
        self._progress.note(text)

    # ---- Figures -------------------------------------------------------------------------------------

    def begin_epoch(self, figures: Figures | None = None) -> None:
        """Begin an epoch; ``figures`` are those of its earlier updates, if it began in an earlier process."""
        self._batch = 1
        self.figures = Figures() if figures is None else figures
        self._started = time.perf_counter()

    def begin_batch(self, batch: int) -> None:
        """Store the batch's number, for the warning."""
        self._batch = batch
        self._tasks.begin_epoch()

    def end_update(self, loss: float, weight: float, norm: float, is_clipped: bool) -> None:
        """Record an update: its loss, the weight of its samples, and its gradient's norm before clipping."""
        figures = self.figures
        figures.losses.append(loss)
        figures.weights.append(weight)
        figures.norms.append(norm)
        figures.n_clipped += is_clipped

    def end_evaluation(self, loss: float, norm: float) -> None:
        """Record an evaluation of L-BFGS. The last evaluation of an iteration is the accepted one."""
        self._tasks.begin_epoch()
        self.figures = Figures([loss], [1.0], [norm])

    def end_epoch(self, n_samples: int) -> None:
        """Record the epoch, print it if ``verbose``, check for an improvement, and tell callbacks."""
        figures = self.figures
        loss = norm = np.nan  # for a chunk without weights, which only changes the state
        if figures.losses:
            loss = float(sum(map(mul, figures.losses, figures.weights)) / sum(figures.weights))
            norm = float(sum(figures.norms) / len(figures.norms))
        validation = (None, None) if self._validate is None else tuple(map(float, self._validate()))
        epoch = Epoch(loss, norm, len(figures.norms), figures.n_clipped, n_samples, *validation)
        self._progress.epoch(self.n_epochs + 1, epoch, time.perf_counter() - self._started)
        before = self.best
        best = self._best_with(epoch)
        if len(self._records.epochs) >= N_REMEMBERED:
            self._records = Records(self.history, before, [])
        self._records.epochs.append((epoch, best))
        self._check_for_improvement(epoch, before)
        self._batch = 0
        self.is_told_to_stop = self._tasks.end_epoch(lambda: self._snapshot(self.history, self.best))

    def _best_with(self, epoch: Epoch) -> Best:
        score = epoch.validation_score
        if not self._early_stopping or score is None or not score > self.best.score:
            return self.best
        return Best(score, self._parameters.copy())

    def _check_for_improvement(self, epoch: Epoch, before: Best) -> None:
        if self._early_stopping:
            assert epoch.validation_score is not None
            is_improved = epoch.validation_score > before.score + self._tol
        else:
            is_improved = epoch.loss < self._best_loss - self._tol
            self._best_loss = min(self._best_loss, epoch.loss)
        self._n_epochs_without_improvement = 0 if is_improved else self._n_epochs_without_improvement + 1

    # ---- When training stops -------------------------------------------------------------------------

    @property
    def expects_convergence(self) -> bool:
        """Whether training should stop before its last epoch if there is no improvement."""
        return (self._early_stopping or self._watches_loss) and self._patience < np.inf

    @property
    def should_stop(self) -> bool:
        """Whether the last ``n_iter_no_change`` epochs brought no improvement by more than ``tol``."""
        return self.expects_convergence and self._n_epochs_without_improvement >= self._patience

    def wait_again(self) -> None:
        """Wait another ``n_iter_no_change`` epochs, after the learning rate was reduced."""
        self._n_epochs_without_improvement = 0

    def end(self, reason: str | None = None) -> None:
        """Report that training ended, and why; by default, because there was no improvement."""
        if reason is None:
            figure = "the validation score" if self._early_stopping else "the loss"
            reason = f"{figure} did not improve by more than tol={self._tol:g} in {self._patience:g} epochs"
        scores = self.history.validation_scores
        best = best_of(scores) if self._early_stopping and len(scores) == self.n_epochs_of_call > 0 else ""
        self._progress.end(f"Training ended after {self.n_epochs} epochs: {reason}.{best}")

    def end_by_interrupt(self) -> None:
        """Warn that Ctrl-C ended training."""
        warn_user("Training interrupted by user.")
        self.end("it was interrupted")

    # ---- Warnings ------------------------------------------------------------------------------------

    def warn_not_converged(self, limits: str) -> None:
        """Warn that the parameters named in ``limits`` ended training."""
        warn_user(
            f"{limits}: training ended after {self.n_epochs} epochs, before it converged to within tol. "
            f"Raise {limits}, or tol; learning_rate='cosine' and n_iter_no_change=inf are meant to end there.",
            ConvergenceWarning,
        )

    def warn_diverged(self) -> None:
        """Warn that a loss, a gradient, a weight or a prediction is not finite."""
        n_epochs = self.n_epochs
        place = f"in epoch {n_epochs + 1}, batch {self._batch}" if self._batch else f"after epoch {n_epochs}"
        warn_user(
            f"learning_rate_init: training stopped {place}, at a loss, gradient, weight or prediction that is not "
            "finite; the weights are those of the last good epoch. Lower learning_rate_init, set clip_norm, or scale "
            "the data.",
            ConvergenceWarning,
        )
