"""What training is told: history, when to stop, progress, warnings."""

from __future__ import annotations

import time
import warnings
from dataclasses import dataclass, field

import numpy as np
from sklearn.exceptions import ConvergenceWarning

# Epochs whose figures are kept: a stream that is trained on without end must not fill the memory with them.
N_REMEMBERED = 10_000


@dataclass
class History:
    """Figures of an estimator's training, over all its calls.

    Attributes
    ----------
    losses, gradient_norms, validation_losses, validation_scores : list of float
        One entry for each of the last ``N_REMEMBERED`` epochs. Gradient norms are means over the epoch's updates,
        before clipping. Loss and norm of an epoch without updates are NaN.
    best_loss : float
        The smallest of all epochs that had an update; inf where none had.
    n_epochs : int
    n_updates, n_clipped, n_samples : int
        Updates, those of them whose gradient was clipped, and sequences seen, since the first epoch.
    """

    losses: list = field(default_factory=list)
    gradient_norms: list = field(default_factory=list)
    validation_losses: list = field(default_factory=list)
    validation_scores: list = field(default_factory=list)
    best_loss: float = np.inf
    n_epochs: int = 0
    n_updates: int = 0
    n_clipped: int = 0
    n_samples: int = 0

    def add_epoch(self, loss, norm, validation):
        """Write down an epoch; ``validation`` is (loss, score) or None."""
        self.n_epochs += 1
        self.best_loss = min(self.best_loss, loss)  # NaN is no less than anything
        self._add(self.losses, loss)
        self._add(self.gradient_norms, norm)
        if validation is not None:
            self._add(self.validation_losses, validation[0])
            self._add(self.validation_scores, validation[1])

    @staticmethod
    def _add(figures, figure):
        figures.append(figure)
        del figures[:-N_REMEMBERED]


class Monitor:
    """Is told numbers, writes the history, answers ``should_stop``.

    Parameters
    ----------
    history : History
        Written to.
    parameters : ndarray
        The vector being trained, copied whenever the validation score is the best so far.
    tol, n_iter_no_change, early_stopping, verbose
        As the estimators have them.
    validate : callable or None
        Returns (loss, score) on the validation data.
    watches_loss : bool, default=True
        Whether a training loss that no longer falls is a reason to stop.
    """

    def __init__(
        self,
        history,
        parameters,
        *,
        tol,
        n_iter_no_change,
        early_stopping,
        verbose,
        validate=None,
        watches_loss=True,
    ):
        self.history = history
        self.best_score = -np.inf
        self.best_parameters = None
        self._parameters = parameters
        self._tol, self._patience = tol, n_iter_no_change
        self._early_stopping, self._verbose = early_stopping, verbose
        self._validate, self._watches_loss = validate, watches_loss
        self._best_loss = np.inf
        self._n_epochs_without_improvement = 0

    def begin_epoch(self):
        """Forget the last epoch's updates."""
        self._batch = 1
        self._losses, self._weights, self._norms, self._n_clipped = [], [], [], 0
        self._started = time.perf_counter()

    def begin_batch(self, batch):
        """Remember the batch's number, for the warning."""
        self._batch = batch

    def end_update(self, loss, weight, norm, is_clipped):
        """Take an update's loss, the weight of its samples, its gradient's norm before clipping."""
        self._losses.append(loss)
        self._weights.append(weight)
        self._norms.append(norm)
        self._n_clipped += is_clipped

    def end_evaluation(self, loss, norm):
        """Take an evaluation of L-BFGS: the last one before an iteration ends is the accepted one."""
        self._losses, self._weights, self._norms = [loss], [1.0], [norm]

    def end_epoch(self, n_samples):
        """Print the epoch if ``verbose``, and write it into the history; what may fail comes first."""
        loss = norm = np.nan  # of a chunk that has no weight, which moves the state alone
        if self._losses:
            loss = float(np.average(self._losses, weights=self._weights))
            norm = float(np.mean(self._norms))
        validation = None if self._validate is None else self._validate()
        if self._verbose:
            self._print_epoch(loss, norm, validation)
        history = self.history
        history.add_epoch(loss, norm, validation)
        history.n_updates += len(self._norms)
        history.n_clipped += self._n_clipped
        history.n_samples += n_samples
        self._look_for_improvement()

    def _look_for_improvement(self):
        if self._early_stopping:
            score = self.history.validation_scores[-1]
            is_improved = score > self.best_score + self._tol
            if score > self.best_score:
                self.best_score = score
                self.best_parameters = self._parameters.copy()
        else:
            loss = self.history.losses[-1]
            is_improved = loss < self._best_loss - self._tol
            self._best_loss = min(self._best_loss, loss)
        self._n_epochs_without_improvement = 0 if is_improved else self._n_epochs_without_improvement + 1

    @property
    def expects_convergence(self):
        """Whether want of improvement is to end training before its last epoch."""
        return (self._early_stopping or self._watches_loss) and self._patience < np.inf

    @property
    def should_stop(self):
        """Whether ``n_iter_no_change`` epochs brought no improvement of more than ``tol``."""
        return self.expects_convergence and self._n_epochs_without_improvement >= self._patience

    def wait_again(self):
        """Give a reduced learning rate its own ``n_iter_no_change`` epochs."""
        self._n_epochs_without_improvement = 0

    def _print_epoch(self, loss, norm, validation):
        columns = [f"Epoch {self.history.n_epochs + 1:4d}", f"loss {loss:.6f}"]
        if validation is not None:
            columns.append(f"validation score {validation[1]:.4f}")
        columns.append(f"gradient norm {norm:.2e}")
        columns.append(f"clipped {self._n_clipped / max(1, len(self._norms)):4.0%}")
        columns.append(f"{time.perf_counter() - self._started:.2f} s")
        print("  ".join(columns))

    def warn_not_converged(self, limits):
        """Warn that the parameters named in ``limits`` ended training."""
        self._warn(
            f"{limits}: training ended after {self.history.n_epochs} epochs, before it converged to within tol. "
            f"Raise {limits}, or tol; learning_rate='cosine' and n_iter_no_change=inf are meant to end there."
        )

    def warn_diverged(self):
        """Warn that training met a loss, gradient or weight that is not finite."""
        self._warn(
            f"learning_rate_init: training stopped in epoch {self.history.n_epochs + 1}, batch "
            f"{self._batch}, at a loss, gradient or weight that is not finite; the weights are those of the "
            "last good epoch. Lower learning_rate_init, set clip_norm, or scale the data."
        )

    @staticmethod
    def _warn(message):
        warnings.warn(message, ConvergenceWarning, stacklevel=2)
