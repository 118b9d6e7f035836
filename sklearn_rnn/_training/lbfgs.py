"""L-BFGS on the whole data at once."""

from __future__ import annotations

import numpy as np
from scipy.optimize import minimize

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
    trained = trainer.trained_parameters()
    last_good = trained.vector.copy()
    n_iterations = 0

    def assign(vector: np.ndarray) -> None:
        trained.vector[...] = vector
        trainer.assign(trained)

    def loss_and_gradient(vector: np.ndarray) -> tuple[float, np.ndarray]:
        known = recorder.next_evaluation(vector)
        if known is not None:
            gradient = known.gradient.astype(np.float64)
            monitor.end_evaluation(known.loss, float(np.linalg.norm(gradient)))
            return known.loss, gradient
        assign(vector)
        loss, gradient = trainer.loss_and_gradient(dataset)
        norm = norm_of(gradient)
        if not np.isfinite(loss) or not np.isfinite(norm):
            raise Diverged
        monitor.end_evaluation(loss, norm)
        recorder.end_evaluation(vector, loss, gradient)
        return loss, gradient

    def end_iteration(vector: np.ndarray) -> None:
        nonlocal n_iterations
        n_iterations += 1
        last_good[...] = vector
        if n_iterations < recorder.n_epochs:  # of an earlier process
            monitor.begin_epoch()
            return
        assign(last_good)
        if n_iterations > recorder.n_epochs:
            monitor.end_epoch(len(dataset))
            recorder.end_epoch()
        if monitor.is_told_to_stop or monitor.should_stop:
            recorder.end()
            raise _EarlyStop
        monitor.begin_epoch()

    monitor.begin_epoch()
    try:
        with without_overflow_warnings():
            result = minimize(
                loss_and_gradient,
                trained.vector.astype(np.float64),
                jac=True,
                method="L-BFGS-B",
                callback=end_iteration,
                options={"maxiter": n_epochs, "maxfun": max_fun, "gtol": tol},
            )
        assign(result.x)
        recorder.end()
        if result.status == 1:  # max_iter or max_fun is reached
            monitor.warn_not_converged("max_iter, max_fun")
        monitor.end("max_iter or max_fun is reached" if result.status == 1 else "L-BFGS converged")
    except Diverged:
        assign(last_good)
        monitor.warn_diverged()
        monitor.end("a number is not finite")
    except _EarlyStop:
        monitor.end("a callback stopped it" if monitor.is_told_to_stop else None)
    except KeyboardInterrupt:
        if is_one_of_many_fits():
            raise
        assign(last_good)
        monitor.end_by_interrupt()
