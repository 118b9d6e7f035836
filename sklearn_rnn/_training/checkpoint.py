"""Checkpoints: the state of a training between two batches, from which it continues with the same bits.

Data, settings and the form of the network are not part of it: whoever continues has the same. L-BFGS has no state of
its own here, because SciPy keeps it. But its way depends on nothing but the start and the results of its evaluations.
So these are kept, and a training that continues gives them to SciPy again instead of computing them.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from sklearn_rnn._training.monitor import Figures, Monitor, MonitorState
from sklearn_rnn._utils.plain import (
    Array,
    Indices,
    Items,
    Number,
    Object,
    Optional,
    RandomBits,
    Text,
    Whole,
    plain_form,
    refuse_unless,
)

if TYPE_CHECKING:
    from sklearn_rnn._training.session import TrainingSession


@plain_form("begun_epoch", order=Optional(Indices()), n_trained=Whole(), figures=Object("figures"))
@dataclass
class BegunEpoch:
    """An epoch that is not complete.

    Attributes
    ----------
    order : ndarray of shape (n_sequences,), int, or None
        The order of the sequences; None for that of the data.
    n_trained : int
        Number of sequences that have been trained on: a multiple of the batch size.
    figures : Figures
        Of the updates so far.
    """

    order: np.ndarray | None
    n_trained: int = 0
    figures: Figures = field(default_factory=Figures)

    def check_fits(self, n_sequences: int, place: str) -> None:
        """Refuse an epoch, which was loaded, of other data."""
        is_order = self.order is None or np.array_equal(np.sort(self.order), np.arange(n_sequences))
        refuse_unless(is_order, place, "has an order that is none of the sequences")
        figures = self.figures
        n_updates = {len(values) for values in (figures.losses, figures.weights, figures.norms)}
        refuse_unless(len(n_updates) == 1, place, "has an epoch without a figure for each update")


@plain_form("evaluation", place=Text(), loss=Number(), gradient=Array(1))
class Evaluation(NamedTuple):
    """An evaluation of L-BFGS.

    Attributes
    ----------
    place : str
        Digest of the parameters.
    loss : float
    gradient : ndarray of shape (n_parameters,)
        In the dtype of the network.
    """

    place: str
    loss: float
    gradient: np.ndarray


@plain_form(
    "training_state",
    first_random_state=Optional(RandomBits()),
    parameters=Array(1),
    last_good=Optional(Array(1)),
    session=Object("session"),
    monitor=Object("monitor"),
    epoch=Optional(Object("begun_epoch")),
    evaluations=Items(Object("evaluation")),
)
class TrainingState(NamedTuple):
    """The state of a training.

    Attributes
    ----------
    first_random_state : RandomState, or None
        As it was before the network was drawn; None for a warm start, which draws none.
    parameters : ndarray of shape (n_parameters,)
        The present ones; with L-BFGS the first ones.
    last_good : ndarray of shape (n_parameters,), or None
        Those of the last complete epoch; None if they are the present ones, between two epochs.
    session : TrainingSession
    monitor : MonitorState
    epoch : BegunEpoch, or None
    evaluations : list of Evaluation
        All evaluations of L-BFGS.
    """

    first_random_state: np.random.RandomState | None
    parameters: np.ndarray
    last_good: np.ndarray | None
    session: TrainingSession
    monitor: MonitorState
    epoch: BegunEpoch | None
    evaluations: list[Evaluation]


class Keeper(ABC):
    """Keeps the last state of one training.

    Attributes
    ----------
    place : str
        Where it keeps them, for messages.
    earlier : TrainingState or None
        The state to continue from; None: training begins, or has gone on from it.
    """

    place: str
    earlier: TrainingState | None

    @abstractmethod
    def is_due(self, n_epochs: int | None) -> bool:
        """Whether to keep the state now, after so many epochs of this training; None: inside of an epoch."""

    @abstractmethod
    def keep(self, state: TrainingState) -> None:
        """Keep a state instead of the earlier ones. It is not used after the call, and may change then."""


# Makes the keeper of a Checkpoint and of what identifies a training, by the kind of place. The files are on a higher
# floor.
KEEPERS: dict[str, Callable[[Any, dict[str, str]], Keeper]] = {}


class Recorder:
    """Hands the states of one training to its keeper, and brings the training back to the earlier one.

    Parameters
    ----------
    keeper : Keeper or None
        None: nothing is kept.
    session : TrainingSession
        It is already back in the earlier state.
    parameters : ndarray of shape (n_parameters,)
        The trained vector, which is overwritten.
    monitor : Monitor
    n_sequences : int
        Of an epoch.
    first_random_state : RandomState or None
        See TrainingState.

    Attributes
    ----------
    last_good : ndarray of shape (n_parameters,)
        The parameters of the last complete epoch; the trainer writes them here. With L-BFGS those of the start.
    epoch : BegunEpoch or None
        The epoch that training continues in.
    n_epochs : int
        Number of epochs of this training that were complete in the earlier state.
    """

    def __init__(
        self,
        keeper: Keeper | None,
        session: TrainingSession,
        parameters: np.ndarray,
        monitor: Monitor,
        n_sequences: int,
        first_random_state: np.random.RandomState | None = None,
    ) -> None:
        self._keeper, self._session, self._parameters, self._monitor = keeper, session, parameters, monitor
        self._first_random_state = first_random_state
        self.epoch: BegunEpoch | None = None
        self.last_good = parameters.copy()
        self._evaluations: list[Evaluation] = []
        self._n_known = self._n_replayed = 0  # evaluations of the earlier state, and those that SciPy has been given
        self._has_news = False
        if keeper is not None and keeper.earlier is None:
            self._keep()
        elif keeper is not None and keeper.earlier is not None:
            self._go_on_from(keeper.earlier, n_sequences, keeper.place)
            keeper.earlier = None  # its memory
        self.n_epochs = monitor.n_epochs_of_call

    def _go_on_from(self, state: TrainingState, n_sequences: int, place: str) -> None:
        shape, dtype = self._parameters.shape, self._parameters.dtype
        last_good = state.parameters if state.last_good is None else state.last_good
        best = last_good if state.monitor.best.parameters is None else state.monitor.best.parameters
        vectors = [state.parameters, last_good, best, *(evaluation.gradient for evaluation in state.evaluations)]
        is_right = all(vector.shape == shape and vector.dtype == dtype for vector in vectors)
        refuse_unless(is_right, place, "must have vectors with an entry for each parameter")
        if state.epoch is not None:
            state.epoch.check_fits(n_sequences, place)
        self._parameters[...], self.last_good[...] = state.parameters, last_good
        self._monitor.restore(state.monitor)
        self._evaluations, self._n_known = state.evaluations, len(state.evaluations)
        self.epoch = state.epoch
        begun = "" if state.epoch is None else f" and {state.epoch.n_trained} sequences"
        self._monitor.report(f"Training continues after epoch {self._monitor.n_epochs}{begun}, from {place}.")

    # ---- Epochs --------------------------------------------------------------------------------------

    def end_batch(self, epoch: BegunEpoch) -> None:
        """Keep the state inside of an epoch, if it is due."""
        if self._keeper is not None:
            self._has_news = True
            if self._keeper.is_due(None):
                self._keep(epoch)

    def end_epoch(self) -> None:
        """Keep the state after an epoch, if it is due."""
        self.epoch = None
        if self._keeper is not None:
            self._has_news = True
            if self._keeper.is_due(self._monitor.n_epochs_of_call):
                self._keep()

    def end(self) -> None:
        """Keep the last state."""
        if self._has_news:
            self._keep()

    def _keep(self, epoch: BegunEpoch | None = None) -> None:
        assert self._keeper is not None
        parameters = self.last_good if self._session.optimizer is None else self._parameters
        last_good = None if epoch is None else self.last_good
        state = (parameters, last_good, self._session, self._monitor.state(), epoch, self._evaluations)
        self._keeper.keep(TrainingState(self._first_random_state, *state))
        self._has_news = False

    # ---- Evaluations of L-BFGS -----------------------------------------------------------------------

    def next_evaluation(self, vector: np.ndarray) -> Evaluation | None:
        """Return the next evaluation of the earlier state, which is that of these parameters; None after the last."""
        if self._n_replayed == self._n_known:
            return None
        evaluation = self._evaluations[self._n_replayed]
        self._n_replayed += 1
        if evaluation.place != _digest_of(vector):
            assert self._keeper is not None
            raise ValueError(
                f"{self._keeper.place} cannot be continued: L-BFGS takes another way here, in evaluation "
                f"{self._n_replayed}, than where the file was written, perhaps on another processor. Delete the file, "
                "or pass another path."
            )
        return evaluation

    def end_evaluation(self, vector: np.ndarray, loss: float, gradient: np.ndarray) -> None:
        """Add an evaluation, and keep the state if it is due."""
        if self._keeper is not None:
            in_dtype_of_network = gradient.astype(self._parameters.dtype)  # as it was computed
            self._evaluations.append(Evaluation(_digest_of(vector), loss, in_dtype_of_network))
            self._has_news = True
            if self._keeper.is_due(None):
                self._keep()


def _digest_of(vector: np.ndarray) -> str:
    return hashlib.sha256(vector.tobytes()).hexdigest()[:32]
