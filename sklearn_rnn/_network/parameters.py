"""All parameters of a network in one flat vector, with a named view of each."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Any

import numpy as np
from numpy.typing import DTypeLike


class Parameters:
    """A flat vector and named views of it. A gradient has the same layout.

    Optimizers, clipping, the penalty, copies of the best weights and pickles all use this one vector. Weight matrices
    come first and biases last: the penalty needs only one slice.

    Parameters
    ----------
    shapes : dict of str to tuple of int
        Matrices are weights; one-dimensional parameters are biases.
    dtype : dtype

    Attributes
    ----------
    vector : ndarray of shape (n_parameters,)
    views : dict of str to ndarray
        Live views, in the order of ``shapes``: an assignment in place changes the vector.
    n_weights : int
        ``vector[:n_weights]`` are the weights, the rest are the biases.
    """

    def __init__(self, shapes: Mapping[str, tuple[int, ...]], dtype: DTypeLike) -> None:
        self.shapes = dict(shapes)
        self.n_weights = sum(prod(shape) for shape in self.shapes.values() if len(shape) > 1)
        self.vector = np.zeros(sum(map(prod, self.shapes.values())), dtype)
        self._make_views()

    @classmethod
    def of_vector(cls, shapes: Mapping[str, tuple[int, ...]], vector: np.ndarray) -> Parameters:
        """Return parameters whose values are those of a vector, which has as many numbers; it is not copied."""
        parameters = cls.__new__(cls)
        parameters.shapes, parameters.vector = dict(shapes), vector
        parameters.n_weights = sum(prod(shape) for shape in shapes.values() if len(shape) > 1)
        parameters._make_views()
        return parameters

    def _make_views(self) -> None:
        weights_first = sorted(self.shapes, key=lambda name: len(self.shapes[name]) == 1)
        views, start = {}, 0
        for name in weights_first:
            shape = self.shapes[name]
            stop = start + prod(shape)
            views[name] = self.vector[start:stop].reshape(shape)
            start = stop
        self.views = {name: views[name] for name in self.shapes}
        self._groups: dict[str, dict[str, np.ndarray]] = {}
        for name, view in self.views.items():
            prefix, _, word = name.rpartition(".")
            self._groups.setdefault(prefix, {})[word] = view

    def group(self, prefix: str) -> dict[str, np.ndarray]:
        """Return the views whose names are ``prefix.`` and one more word, by this word."""
        return self._groups[prefix]

    def like(self) -> Parameters:
        """Return zeros of the same layout: a gradient."""
        return self._of(np.zeros_like(self.vector))

    def copy(self, dtype: DTypeLike | None = None) -> Parameters:
        """Return parameters of the same values, in memory of their own; in another dtype if one is given."""
        return self._of(np.array(self.vector, dtype))

    def _of(self, vector: np.ndarray) -> Parameters:
        """Return parameters of the same layout, in a vector."""
        twin = Parameters.__new__(Parameters)
        twin.shapes, twin.n_weights, twin.vector = self.shapes, self.n_weights, vector
        twin._make_views()
        return twin

    # A copied or unpickled view would be an array of its own. So only the vector is kept, and views are made again.
    def __getstate__(self) -> dict[str, Any]:
        return {k: v for k, v in self.__dict__.items() if k not in ("views", "_groups")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._make_views()
