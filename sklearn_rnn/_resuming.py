"""Checkpoints of ``fit``: the keeper of the states of its training, and the state that it continues from."""

from __future__ import annotations

from typing import Any

from sklearn.utils import check_random_state

from sklearn_rnn._identity import identity_of, texts_of_data
from sklearn_rnn._model import Model
from sklearn_rnn._training.checkpoint import KEEPERS
from sklearn_rnn._training.session import TrainingSession


class ResumingMixin:
    """The steps of BaseRNN's ``fit`` that a checkpoint adds; without one, they do nothing."""

    _takes_checkpoints = True

    _model: Model
    _session: TrainingSession

    random_state: Any

    def _keeper(self, checkpoint, known, dataset, validation, begins):
        """Return what keeps the states of this training, and has the one to continue from."""
        texts = texts_of_data(dataset, known)
        return self._keeper_of(checkpoint, texts, validation and texts_of_data(validation, known), begins)

    def _keeper_of(self, checkpoint, texts, texts_of_validation, begins):
        """Return the same for data with these texts, which identify them."""
        start = None if begins else (self._model, self._session)
        return KEEPERS["file"](checkpoint, identity_of(self, texts, texts_of_validation, start))

    def _first_random_state(self, keeper):
        """Return the generator of a new network; that of a training which continues is as it was at its start."""
        random_state = check_random_state(self.random_state)
        if keeper is None or keeper.earlier is None:
            return random_state
        first = keeper.earlier.first_random_state
        if self.random_state is None:  # NumPy's global generator stays as it is
            return first
        random_state.set_state(first.get_state(legacy=False))
        return random_state

    def _restore(self, options):
        """Bring the session to the state that training continues from, if the keeper in the options has one."""
        keeper = options.get("keeper")
        if keeper is not None and keeper.earlier is not None:
            self._session.restore(keeper.earlier.session, self._model.network, keeper.place)
            options["begins"] = False
