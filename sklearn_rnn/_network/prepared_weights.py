"""PreparedWeights: the weights of a network as its engine reads them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sklearn_rnn._network.buffers import NetworkBuffers
from sklearn_rnn._network.engines import Engine, OutputLayer, Recurrence
from sklearn_rnn._network.int8_weights import int8_weights
from sklearn_rnn._network.parameters import Parameters

# Of the work arrays that a prediction leaves for the next one: a thread's arrays of steps that fit into a cache.
MOST_KEPT_BYTES = 2**22


class PreparedWeights:
    """A network's weights as its engine reads them; passes in different threads share them.

    Parameters
    ----------
    engine : Engine
    recurrence : Recurrence
        Of this engine.
    parameters : Parameters
    directions : iterable of str
        The names of the directions of all layers.
    for_backward : bool
    precision : {"int8"} or None, default=None
        "int8": weights of hidden states have 8 bits, without ``for_backward`` and for one direction.

    Attributes
    ----------
    output : OutputLayer
        From pooled states or every step's h to raw scores, (n, n_outputs); with ``for_backward`` also back.
    uses_blas : bool
        Whether the passes multiply by BLAS.
    spare : list
        Work objects of earlier predictions with these weights. A thread that needs one takes it out.
    """

    output: OutputLayer

    def __init__(
        self,
        engine: Engine,
        recurrence: Recurrence,
        parameters: Parameters,
        directions: Iterable[str],
        for_backward: bool,
        precision: str | None = None,
    ) -> None:
        self.uses_blas = recurrence.uses_blas
        self._buffers: list[NetworkBuffers] = []
        # Not the network itself, which keeps the weights of predictions.
        self._engine, self._recurrence, self._parameters = engine, recurrence, parameters
        self._for_backward, self._precision, self.spare = for_backward, precision, list[Any]()
        self._prepared: dict[str, Any] = dict.fromkeys(directions)
        # Copied before they are prepared: the next call then sees a change by another thread in the meantime.
        self._vector = None if for_backward else self._parameters.vector.copy()
        self.refresh()

    def refresh(self) -> None:
        """Prepare the network's parameters again, after they have changed."""
        parameters = self._parameters
        for depth, (name, earlier) in enumerate(self._prepared.items()):
            weights: dict[str, Any] = parameters.group(name)
            if self._precision == "int8":
                weights = int8_weights(name, weights, is_first=depth == 0)
            self._prepared[name] = self._recurrence.prepare(weights, self._for_backward, earlier)
        readout, earlier = parameters.group("readout"), vars(self).get("output")
        self.output = self._engine.output_layer(**readout, for_backward=self._for_backward, earlier=earlier)

    def take_buffers(self) -> NetworkBuffers:
        """Return work arrays for a prediction; those of an earlier one, if there are any that no thread uses."""
        try:
            return self._buffers.pop()
        except IndexError:
            return NetworkBuffers()

    def keep_buffers(self, buffers: NetworkBuffers) -> None:
        """Keep work arrays for the next prediction, which would wait for new memory; but not large ones."""
        if buffers.n_bytes <= MOST_KEPT_BYTES:
            self._buffers.append(buffers)

    def are_up_to_date(self) -> bool:
        """Whether the parameters still have the bits from which the weights were prepared, without ``for_backward``."""
        assert self._vector is not None
        return self._engine.have_same_bits(self._vector, self._parameters.vector)

    def __getitem__(self, name: str) -> Any:
        return self._prepared[name]
