"""Checkpoint: where the state of a training is kept, and how often."""

from __future__ import annotations

import os
import re
from typing import Any

import numpy as np

from sklearn_rnn._utils.callbacks import callbacks_of

SECONDS = {"s": 1, "min": 60, "h": 3600}


class Checkpoint:
    """Keeps the state of a training in a file, so that a killed process loses little.

    Pass it to ``fit`` as ``checkpoint``; with scikit-learn 1.9 and newer also to ``set_callbacks`` of a network. If the
    file exists and belongs to the same training, ``fit`` continues it, and ends with the same bits as a fit that nobody
    stopped. If the file has the end of the training, ``fit`` does not train at all.

    A file belongs to the same training if parameters, data, targets, weights, validation data and version of this
    package are the same. ``n_jobs``, ``verbose`` and ``memory_budget`` may differ: they change no bit.

    Parameters
    ----------
    path : str or path-like
        Name of the file; it is taken as it is. If it is a folder, or ends with a slash, every training has a file of
        its own there, with a name made of parameters and data: for searches, cross-validation and ensembles.
    every : int or str, default=1
        Number of epochs from one checkpoint to the next; or a time, such as "60s", "10min" or "1h", after which the
        state is kept after the next batch, also inside of an epoch. The first and the last state are always kept.
    resume : bool, default=True
        Whether to continue from the file. False: training begins anew, and replaces the file.

    Raises
    ------
    ValueError, TypeError
        For bad arguments.

    See Also
    --------
    sklearn_rnn.save : Save a fitted estimator.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from sklearn_rnn import RNNRegressor
    >>> from sklearn_rnn.callbacks import Checkpoint
    >>> from sklearn_rnn.datasets import make_noisy_sines
    >>> X, y = make_noisy_sines(20, random_state=0)
    >>> reg = RNNRegressor(
    ...     4, max_iter=3, n_iter_no_change=float("inf"), learning_rate="cosine", random_state=0
    ... )
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "sines.checkpoint"
    ...     reg = reg.fit(X, y, checkpoint=Checkpoint(path, every="60s"))
    ...     again = reg.fit(X, y, checkpoint=path)  # it has the end: nothing is trained
    >>> again.n_iter_
    3
    """

    def __init__(self, path, every=1, resume=True):
        if not isinstance(path, (str, os.PathLike)) or not os.fspath(path):
            raise TypeError(f"path={path!r} must be the name of a file or a folder.")
        if not isinstance(resume, bool):
            raise TypeError(f"resume={resume!r} must be True or False.")
        read_interval(every)
        self.path, self.every, self.resume = path, every, resume

    def __repr__(self):
        return f"Checkpoint({os.fspath(self.path)!r}, every={self.every!r}, resume={self.resume})"

    def setup(self, estimator, context):
        """Refuse an estimator that keeps no checkpoints; scikit-learn calls it at the beginning of ``fit``.

        Raises
        ------
        TypeError
            If the estimator is no network of this package.

        Examples
        --------
        >>> from sklearn_rnn import RNNClassifier
        >>> from sklearn_rnn.callbacks import Checkpoint
        >>> Checkpoint("letters.checkpoint").setup(RNNClassifier(), None)
        """
        if not getattr(estimator, "_takes_checkpoints", False):
            raise TypeError(
                f"Checkpoint is a callback of RNNClassifier and RNNRegressor, but it was set on "
                f"{type(estimator).__name__}: set it on the network inside."
            )

    def _do_nothing(self, estimator, context):
        """Do nothing: training keeps the states itself. scikit-learn demands this method of callbacks.

        Examples
        --------
        >>> from sklearn_rnn import RNNClassifier
        >>> from sklearn_rnn.callbacks import Checkpoint
        >>> Checkpoint("letters.checkpoint").teardown(RNNClassifier(), None)
        """

    on_fit_task_begin = on_fit_task_end = teardown = _do_nothing


def read_interval(every: Any) -> tuple[int | None, float | None]:
    """Return the number of epochs from one state to the next, and None, or None, and the number of seconds."""
    match = re.fullmatch(r"(\d{1,9}(?:\.\d{1,9})?) ?(s|min|h)", every) if isinstance(every, str) else None
    if match is not None and float(match[1]) > 0:
        return None, float(match[1]) * SECONDS[match[2]]
    is_number = isinstance(every, (int, np.integer)) and not isinstance(every, bool)
    if not is_number or every < 1:
        raise ValueError(f"every={every!r} must be a number of epochs from 1 on, or a time: '60s', '10min' or '1h'.")
    return int(every), None


def checkpoint_of(estimator: Any, argument: Any) -> Checkpoint | None:
    """Return the checkpoint of a fit: that of ``fit``'s argument, or among the callbacks; None if there is none."""
    found = callbacks_of(estimator, Checkpoint)
    if argument is not None:
        found.append(argument if isinstance(argument, Checkpoint) else _of_path(argument))
    if len(found) > 1:
        raise ValueError(f"checkpoint is given {len(found)} times, as an argument or as callbacks: give one.")
    return found[0] if found else None


def _of_path(argument: Any) -> Checkpoint:
    if not isinstance(argument, (str, os.PathLike)):
        raise TypeError(f"checkpoint={argument!r} must be a path or a sklearn_rnn.callbacks.Checkpoint.")
    return Checkpoint(argument)


def refuse_checkpoints(estimator: Any) -> None:
    """Refuse a checkpoint among the callbacks, for ``partial_fit``."""
    if callbacks_of(estimator, Checkpoint):
        raise ValueError(
            "checkpoint: partial_fit keeps none, because it does not know the data of earlier calls. Remove the "
            "callback, and save the estimator between the calls, by sklearn_rnn.save(..., with_training=True)."
        )
