"""L-BFGS on the whole data at once."""

from __future__ import annotations

import numpy as np
from scipy.optimize import OptimizeResult, minimize

from sklearn_rnn._data.batches import Dataset
from sklearn_rnn._training.checkpoint import Recorder
from sklearn_rnn._training.monitor import Monitor
from sklearn_rnn._training.trainer import Diverged, Trainer, norm_of
from sklearn_rnn._utils.callers import is_one_of_many_fits
from sklearn_rnn._utils.warnings import without_overflow_warnings


class _EarlyStop(Exception):
    """Ends SciPy's minimize from its callback. StopIteration does so only in SciPy 1.11 and newer."""


def train_lbfgs(
    trainer: Trainer,
    dataset: Dataset,
    n_epochs: int,
    max_fun: int,
    tol: float,
    monitor: Monitor,
    recorder: Recorder,
) -> None:
    """Train with L-BFGS on the whole data at once; an iteration counts as an epoch.

    If training continues, SciPy goes the same way again: evaluations and iterations of the earlier state take no time.

    A loss or gradient that is not finite ends training with a ConvergenceWarning. Ctrl-C ends training too. In both
    cases the parameters are those of the last complete iteration.
    """
    objective = _Objective(trainer, dataset, monitor, recorder)
    monitor.begin_epoch()
    try:
        with without_overflow_warnings():
            result = minimize(
                objective.loss_and_gradient,
                objective.start(),
                jac=True,
                method="L-BFGS-B",
                callback=objective.end_iteration,
                options={"maxiter": n_epochs, "maxfun": max_fun, "gtol": tol},
            )
        objective.assign(result.x)
        recorder.end()
        _report_end(result, monitor)
    except Diverged:
        objective.go_back()
        monitor.warn_diverged()
        monitor.end("a number is not finite")
    except _EarlyStop:
        monitor.end("a callback stopped it" if monitor.is_told_to_stop else None)
    except KeyboardInterrupt:
        if is_one_of_many_fits():
            raise
        objective.go_back()
        monitor.end_by_interrupt()


class _Objective:
    """The loss on the whole data as a function of the trained parameters, for SciPy.

    Parameters
    ----------
    trainer : Trainer
    dataset : Dataset
    monitor : Monitor
    recorder : Recorder
    """

    def __init__(self, trainer: Trainer, dataset: Dataset, monitor: Monitor, recorder: Recorder) -> None:
        self._trainer, self._dataset, self._monitor, self._recorder = trainer, dataset, monitor, recorder
        self._trained = trainer.trained_parameters()
        self._last_good = self._trained.vector.copy()  # after the last complete iteration
        self._n_iterations = 0

    def start(self) -> np.ndarray:
        """Return the present parameters as SciPy takes them."""
        return self._trained.vector.astype(np.float64)

    def assign(self, vector: np.ndarray) -> None:
        """Give the network these parameters."""
        self._trained.vector[...] = vector
        self._trainer.assign(self._trained)

    def go_back(self) -> None:
        """Give the network the parameters of the last complete iteration."""
        self.assign(self._last_good)

    def loss_and_gradient(self, vector: np.ndarray) -> tuple[float, np.ndarray]:
        """Return loss and gradient at these parameters: those of the earlier state, as far as it has them."""
        known = self._recorder.next_evaluation(vector)
        if known is not None:
            gradient = known.gradient.astype(np.float64)
            self._monitor.end_evaluation(known.loss, float(np.linalg.norm(gradient)))
            return known.loss, gradient
        self.assign(vector)
        loss, gradient = self._trainer.loss_and_gradient(self._dataset)
        norm = norm_of(gradient)
        if not np.isfinite(loss) or not np.isfinite(norm):
            raise Diverged
        self._monitor.end_evaluation(loss, norm)
        self._recorder.end_evaluation(vector, loss, gradient)
        return loss, gradient

    def end_iteration(self, vector: np.ndarray) -> None:
        """Record an iteration, and end training after it if it shall stop."""
        monitor, recorder = self._monitor, self._recorder
        self._n_iterations += 1
        self._last_good[...] = vector
        if self._n_iterations < recorder.n_epochs:  # of an earlier process
            monitor.begin_epoch()
            return
        self.go_back()
        if self._n_iterations > recorder.n_epochs:
            monitor.end_epoch(len(self._dataset))
            recorder.end_epoch()
        if monitor.is_told_to_stop or monitor.should_stop:
            recorder.end()
            raise _EarlyStop
        monitor.begin_epoch()


def _report_end(result: OptimizeResult, monitor: Monitor) -> None:
    """Say why SciPy ended training."""
    if result.status == 1:  # max_iter or max_fun is reached
        monitor.warn_not_converged("max_iter, max_fun")
    monitor.end("max_iter or max_fun is reached" if result.status == 1 else "L-BFGS converged")
