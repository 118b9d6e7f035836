"""TrainingSession: everything that training continues from."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np

from sklearn_rnn._data.rows import check_rows
from sklearn_rnn._model import Model
from sklearn_rnn._network.network import RecurrentNetwork
from sklearn_rnn._training.carried_state import reset_rows
from sklearn_rnn._training.checkpoint import Keeper, Recorder
from sklearn_rnn._training.history import History
from sklearn_rnn._training.lbfgs import train_lbfgs
from sklearn_rnn._training.losses import Loss
from sklearn_rnn._training.memory.model import memory_estimate
from sklearn_rnn._training.monitor import Best, Monitor
from sklearn_rnn._training.optimizers import SOLVERS, LearningRate, Optimizer
from sklearn_rnn._training.progress import Progress
from sklearn_rnn._training.scaling import Scaling
from sklearn_rnn._training.settings import TrainingSettings
from sklearn_rnn._training.source import Source
from sklearn_rnn._training.trainer import train
from sklearn_rnn._training.truncation.policy import Truncation
from sklearn_rnn._utils.callbacks import FitTasks
from sklearn_rnn._utils.plain import Array, Items, Object, Optional, RandomBits, Text, plain_form, refuse_unless
from sklearn_rnn._utils.threads import threads


@plain_form(
    "session",
    random_state=RandomBits(),
    solver=Text(SOLVERS),
    optimizer=Optional(Object("sgd", "adam", "rmsprop")),
    schedule=Object("learning_rate"),
    truncation=Object("fixed", "adaptive", "unbiased"),
    scaling=Optional(Object("scaling")),
    history=Object("history"),
    carried_state=Optional(Items(Array(3))),
)
@dataclass
class TrainingSession:
    """What training continues from.

    Attributes
    ----------
    random_state : RandomState
        Draws order, dropout, windows.
    solver : str
    optimizer : Optimizer, or None for L-BFGS
    schedule : LearningRate
    truncation : Truncation
    scaling : Scaling, or None
        The coordinates of training; None for the network's own.
    history : History
    carried_state : list of ndarray, or None
        Network state in which the next stateful chunk begins, of its sequences in their order; None for zeros.
    """

    random_state: np.random.RandomState
    solver: str
    optimizer: Optimizer | None
    schedule: LearningRate
    truncation: Truncation
    scaling: Scaling | None = None
    history: History = field(default_factory=History)
    carried_state: list[np.ndarray] | None = None

    def copy(self) -> TrainingSession:
        """Return a session that can be trained without a change to this one."""
        # The history and the carried state are replaced, never changed.
        changing = (self.random_state, self.optimizer, self.schedule, self.truncation)
        random_state, optimizer, schedule, truncation = copy.deepcopy(changing)
        return replace(self, random_state=random_state, optimizer=optimizer, schedule=schedule, truncation=truncation)

    def check_fits(self, network: RecurrentNetwork, place: str) -> None:
        """Refuse a session, which was loaded, whose arrays do not go with a network."""
        vector = network.parameters.vector
        refuse_unless((self.optimizer is None) == (self.solver == "lbfgs"), f"{place}.optimizer", "must go with solver")
        moments = [value for value in vars(self.optimizer or self).values() if isinstance(value, np.ndarray)]
        is_right = all(value.shape == vector.shape and value.dtype == vector.dtype for value in moments)
        refuse_unless(is_right, f"{place}.optimizer", "must have an entry for each parameter")
        views = network.parameters.views
        for layer in [] if self.scaling is None else self.scaling.layers:
            is_known = layer.weight in views and layer.bias in views and views[layer.weight].ndim == 2
            is_right = is_known and views[layer.weight].shape[:1] == layer.mean.shape == layer.scale.shape
            refuse_unless(is_right, f"{place}.scaling", "must have an entry for each input of a layer")
        if self.carried_state is not None:
            n_sequences = self.carried_state[0].shape[1] if self.carried_state else 0
            shapes = [(network.cell.n_states, n_sequences, d.n_units) for d in network.directions]
            is_right = [state.shape for state in self.carried_state] == shapes
            refuse_unless(is_right, f"{place}.carried_state", "must have the states of every layer")

    def restore(self, earlier: TrainingSession, network: RecurrentNetwork, place: str) -> None:
        """Go on where a session with the same settings was, which was loaded."""
        earlier.check_fits(network, place)
        for name in ("optimizer", "truncation"):
            is_right = type(getattr(earlier, name)) is type(getattr(self, name))
            refuse_unless(is_right, place, f"has another {name} than the parameters say")
        self.random_state.set_state(earlier.random_state.get_state(legacy=False))
        if self.optimizer is not None:
            assert earlier.optimizer is not None
            self.optimizer.restore(earlier.optimizer)
        self.schedule.restore(earlier.schedule)
        self.truncation, self.scaling = earlier.truncation, earlier.scaling

    def with_reset_state(self, rows: Any = None) -> TrainingSession:
        """Return the session with the carried state reset for the sequences at ``rows``; None: for all."""
        state = self.carried_state
        if state is None and rows is not None:
            check_rows(rows)
        elif state is not None:
            state = None if rows is None else reset_rows(state, rows)
        return replace(self, carried_state=state)

    def train(
        self,
        model: Model,
        loss: Loss,
        settings: TrainingSettings,
        source: Source,
        *,
        is_partial: bool = False,
        begins: bool = False,
        tasks: FitTasks,
        snapshot: Callable[[History, Best], dict[str, Any]],
        keeper: Keeper | None = None,
        first_random_state: np.random.RandomState | None = None,
    ) -> Best:
        """Train a model in place; for one epoch if ``is_partial``.

        With ``begins`` the inputs of the layers that are to be scaled are measured first. ``tasks`` tell callbacks of
        the epochs; ``snapshot`` makes attributes for them of the history and the best score so far. ``keeper`` keeps
        states of the training, and may have one to continue from, which the session was restored to;
        ``first_random_state`` is the state before the network was drawn.

        Returns
        -------
        Best
            The best validation score; its parameters are the model's now.
        """
        if settings.memory_budget is not None:
            memory_estimate(model.network, source.lengths, settings)
        parameters = model.network.parameters.vector
        if begins:
            self.scaling = source.begin_scaling(model.network, settings)
        monitor = Monitor(
            self.history,
            parameters,
            tol=settings.tol,
            n_iter_no_change=settings.n_iter_no_change,
            early_stopping=settings.early_stopping,
            progress=Progress(settings.verbose, "" if is_partial or settings.verbose != 1 else source.header_of(model)),
            validate=partial(source.evaluate, model, loss, settings.n_jobs) if source.has_validation else None,
            tasks=tasks,
            snapshot=snapshot,
            watches_loss=self.solver != "lbfgs" and not is_partial and not self.schedule.has_end,
        )
        recorder = Recorder(keeper, self, parameters, monitor, len(source), first_random_state)
        n_epochs = 1 if is_partial else settings.max_iter
        is_complete = False
        with threads(settings.n_jobs) as run:
            trainer = source.trainer(
                network=model.network,
                loss=loss,
                optimizer=self.optimizer,
                settings=settings,
                random_state=self.random_state,
                run=run,
                scaling=self.scaling,
            )
            if self.solver == "lbfgs":
                train_lbfgs(trainer, source.data, n_epochs, settings.max_fun, settings.tol, monitor, recorder)
            else:
                schedule = self.schedule.for_single_epochs() if is_partial else self.schedule
                checks_scores = not is_partial and not source.has_validation
                is_complete = train(trainer, source.data, schedule, n_epochs, monitor, recorder, checks_scores)
        if trainer.is_updating and self.optimizer is not None:  # Ctrl-C left its averages half updated
            self.optimizer.reset()
        if monitor.best.parameters is not None:
            parameters[...] = monitor.best.parameters
        if is_partial and (is_complete or source.state is None):  # otherwise the state stays that of the chunk before
            self.carried_state = source.state
        self.history = monitor.history
        return monitor.best


@plain_form("closed_session", history=Object("history"), truncation=Object("fixed", "adaptive", "unbiased"))
class ClosedSession(TrainingSession):
    """The session of a model that was saved without the state of its training: records, and nothing to continue from.

    Parameters
    ----------
    history : History
    truncation : Truncation
    """

    def __init__(self, history: History, truncation: Truncation) -> None:
        self.history, self.truncation = history, truncation

    def check_fits(self, network: RecurrentNetwork, place: str) -> None:
        """Nothing here depends on the network."""
