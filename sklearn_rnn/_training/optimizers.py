"""First-order optimizers and learning rate schedules. They work on vectors only."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from math import sqrt
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from sklearn_rnn._network import engines
from sklearn_rnn._utils.plain import Array, Flag, Number, Optional, Text, Whole, plain_form


class Optimizer(ABC):
    """Changes a parameter vector in place, given its gradient. Pickles include the moving averages."""

    @abstractmethod
    def update(self, parameters: np.ndarray, gradient: np.ndarray, learning_rate: float) -> None:
        """Take one step.

        Parameters
        ----------
        parameters : ndarray of shape (n_parameters,)
            Changed in place.
        gradient : ndarray of shape (n_parameters,)
        learning_rate : float
        """

    @abstractmethod
    def reset(self) -> None:
        """Forget all earlier updates."""

    def restore_mean_of(self, optimizers: Sequence[Optimizer], shares: Sequence[float]) -> None:
        """Take over the mean of the averages of optimizers with the same settings; ``shares`` sum to 1.

        The mean is taken in float64, in the given order.
        """
        for name, average in vars(self).items():
            if isinstance(average, np.ndarray):
                average[...] = weighted_sum([getattr(optimizer, name) for optimizer in optimizers], shares)

    def restore(self, earlier: Optimizer) -> None:
        """Take over the averages of an optimizer with the same settings.

        The settings stay this one's: a NumPy scalar among them may give another bit than the same number of Python.
        """
        for name, average in vars(earlier).items():
            if isinstance(average, np.ndarray):
                getattr(self, name)[...] = average


@plain_form("sgd", momentum=Number(0, 1), nesterov=Flag(), velocity=Array(1))
class SGD(Optimizer):
    """Gradient descent with momentum, classical (Polyak 1964) or Nesterov's (Sutskever et al. 2013).

    As in torch and Keras: v = momentum * v + gradient. The step is -learning_rate * v, or, with Nesterov,
    -learning_rate * (gradient + momentum * v).
    """

    def __init__(self, n_parameters: int, dtype: DTypeLike, momentum: float, nesterov: bool) -> None:
        self.momentum = momentum
        self.nesterov = nesterov
        self.velocity = np.zeros(n_parameters, dtype)

    def update(self, parameters: np.ndarray, gradient: np.ndarray, learning_rate: float) -> None:
        self.velocity *= self.momentum
        self.velocity += gradient
        if self.nesterov:
            parameters -= learning_rate * (gradient + self.momentum * self.velocity)
        else:
            parameters -= learning_rate * self.velocity

    def reset(self) -> None:
        self.velocity[...] = 0


@plain_form(
    "adam",
    beta_1=Number(0, 1),
    beta_2=Number(0, 1),
    epsilon=Number(0),
    clip_update=Optional(Number(0)),
    n_updates=Whole(),
    mean=Array(1),
    uncentered_variance=Array(1),
)
class Adam(Optimizer):
    """Adam (Kingma & Ba 2015, algorithm 1: bias-corrected moments, epsilon outside of the root).

    With ``clip_update`` the steps at sudden large gradients are shorter (Shazeer & Stern 2018, section 6, over all
    parameters together; on Adam: Wortsman et al. 2023, StableAdamW): if the root mean square of
    ``gradient / sqrt(uncentered_variance)`` is larger, the learning rate of this step is divided by the quotient of the
    two. The moments still see the whole gradient, so that the following steps are shorter too. A clipped gradient hides
    from them that the step was too long.
    """

    def __init__(
        self,
        n_parameters: int,
        dtype: DTypeLike,
        beta_1: float,
        beta_2: float,
        epsilon: float,
        clip_update: float | None = None,
    ) -> None:
        self.beta_1, self.beta_2, self.epsilon, self.clip_update = beta_1, beta_2, epsilon, clip_update
        self.n_updates = 0
        self.mean = np.zeros(n_parameters, dtype)
        self.uncentered_variance = np.zeros(n_parameters, dtype)

    def update(self, parameters: np.ndarray, gradient: np.ndarray, learning_rate: float) -> None:
        self.n_updates += 1
        scale = 1 / sqrt(1 - self.beta_2**self.n_updates)
        if self.clip_update is not None:
            of_variance = {"beta_2": self.beta_2, "epsilon": self.epsilon, "scale": scale}
            size = engines.serving.relative_size(gradient, self.uncentered_variance, **of_variance)
            learning_rate /= max(1.0, size / self.clip_update)
        engines.serving.adam(
            parameters,
            gradient,
            self.mean,
            self.uncentered_variance,
            beta_1=self.beta_1,
            beta_2=self.beta_2,
            epsilon=self.epsilon,
            step=learning_rate / (1 - self.beta_1**self.n_updates),
            scale=scale,
        )

    def reset(self) -> None:
        self.n_updates = 0
        self.mean[...] = self.uncentered_variance[...] = 0

    def restore_mean_of(self, optimizers: Sequence[Adam], shares: Sequence[float]) -> None:  # type: ignore[override]
        super().restore_mean_of(optimizers, shares)
        self.n_updates = max(optimizer.n_updates for optimizer in optimizers)

    def restore(self, earlier: Adam) -> None:  # type: ignore[override]
        super().restore(earlier)
        self.n_updates = earlier.n_updates


@plain_form(
    "rmsprop",
    beta_2=Number(0, 1),
    epsilon=Number(0),
    clip_update=Optional(Number(0)),
    uncentered_variance=Array(1),
)
class RMSprop(Optimizer):
    """RMSprop (Tieleman & Hinton 2012, lecture 6.5); ``beta_2`` is the decay of its average.

    The average begins at 0 and has no correction: the first steps are up to ``1 / sqrt(1 - beta_2)`` times as long as
    later ones. With ``clip_update`` they are not: if the root mean square of ``gradient / sqrt(average)`` is larger,
    the learning rate is divided by the quotient (Shazeer & Stern 2018, section 6, over all parameters together).
    """

    def __init__(
        self, n_parameters: int, dtype: DTypeLike, beta_2: float, epsilon: float, clip_update: float | None = None
    ) -> None:
        self.beta_2, self.epsilon, self.clip_update = beta_2, epsilon, clip_update
        self.uncentered_variance = np.zeros(n_parameters, dtype)

    def update(self, parameters: np.ndarray, gradient: np.ndarray, learning_rate: float) -> None:
        variance = self.uncentered_variance
        variance *= self.beta_2
        variance += (1 - self.beta_2) * gradient * gradient
        step = gradient / (np.sqrt(variance) + self.epsilon)
        if self.clip_update is not None:
            size = sqrt(np.mean(step * step, dtype=np.float64))
            learning_rate /= max(1.0, size / self.clip_update)
        parameters -= learning_rate * step

    def reset(self) -> None:
        self.uncentered_variance[...] = 0


def weighted_sum(vectors: Sequence[np.ndarray], shares: Sequence[float]) -> np.ndarray:
    """Return the sum of vectors times their shares, in float64 and in the given order."""
    total = np.zeros(len(vectors[0]))
    for vector, share in zip(vectors, shares):
        total += share * vector.astype(np.float64)
    return total


# From a solver's name to a function of the estimator's parameters that makes the optimizer. "lbfgs" has no optimizer:
# see lbfgs.py.
SOLVERS: dict[str, Callable[[int, np.dtype, Any], Optimizer | None]] = {
    "adam": lambda n, dtype, parameters: Adam(
        n, dtype, parameters.beta_1, parameters.beta_2, parameters.epsilon, parameters.clip_update
    ),
    "sgd": lambda n, dtype, parameters: SGD(n, dtype, parameters.momentum, parameters.nesterovs_momentum),
    "rmsprop": lambda n, dtype, parameters: RMSprop(
        n, dtype, parameters.beta_2, parameters.epsilon, parameters.clip_update
    ),
    "lbfgs": lambda n, dtype, parameters: None,
}


@plain_form(
    "learning_rate",
    schedule=Text(("constant", "invscaling", "adaptive", "cosine")),
    initial=Number(0),
    power_t=Number(0),
    n_epochs=Whole(1),
    reduced=Number(0),
    epoch=Whole(),
)
class LearningRate:
    """The learning rate of each epoch. A call of ``partial_fit`` counts as one epoch.

    Parameters
    ----------
    schedule : {"constant", "invscaling", "adaptive", "cosine"}
        With epochs counted from 1: "invscaling" is ``initial / epoch**power_t``; "adaptive" is constant
        until :meth:`reduce` divides it by 5; "cosine" is half a cosine from ``initial`` towards 0 over
        ``n_epochs`` (Loshchilov & Hutter 2017, eq. 5, without restarts).
    initial : float
    power_t : float
    n_epochs : int
    """

    SMALLEST = 1e-6

    def __init__(self, schedule: str, initial: float, power_t: float, n_epochs: int) -> None:
        self.schedule, self.initial, self.power_t, self.n_epochs = schedule, initial, power_t, n_epochs
        self.reduced = initial
        self.epoch = 0

    @property
    def has_end(self) -> bool:
        """Whether training ends when the rate does, after ``n_epochs``."""
        return self.schedule == "cosine"

    def for_single_epochs(self) -> LearningRate:
        """Return the schedule for epochs whose number is unknown: without an end."""
        if not self.has_end:
            return self
        return LearningRate("constant", self.initial, self.power_t, self.n_epochs)

    def next_epoch(self) -> float:
        """Begin an epoch; return its learning rate."""
        self.epoch += 1
        return self.of_epoch()

    def of_epoch(self) -> float:
        """Return the learning rate of the epoch that has begun."""
        if self.schedule == "invscaling":
            try:
                return self.initial / float(self.epoch) ** float(self.power_t)
            except OverflowError:  # the power is beyond all numbers
                return 0.0
        if self.schedule == "cosine":
            return self.initial * 0.5 * (1 + np.cos(np.pi * (self.epoch - 1) / self.n_epochs))
        return self.reduced

    def restore(self, earlier: LearningRate) -> None:
        """Take over the epoch and the reductions of a schedule with the same settings, which stay this one's."""
        self.epoch = earlier.epoch
        while self.reduced != earlier.reduced:
            if not self.reduce():
                raise ValueError(f"checkpoint has the learning rate {earlier.reduced}, which is none of this schedule.")

    def reduce(self) -> bool:
        """Divide an adaptive rate by 5. Return False for other schedules, and if the rate cannot become smaller."""
        if self.schedule != "adaptive" or self.reduced <= self.SMALLEST:
            return False
        self.reduced /= 5
        return True
