"""All parameters of a network in one flat vector, seen through named views."""

from __future__ import annotations

import numpy as np


class Parameters:
    """A flat vector and named views of it; a gradient is another one of the same layout.

    Optimizers, clipping, penalties, "restore the best" and pickles are operations on one vector. Weight
    matrices come first in it and biases last, so that the penalty needs one slice.

    Parameters
    ----------
    shapes : dict of str to tuple of int
        Matrices are weights; one-dimensional parameters are biases.
    dtype : dtype

    Attributes
    ----------
    vector : ndarray of shape (n_parameters,)
    views : dict of str to ndarray
        Live views: assigning in place changes the vector. In the order of ``shapes``.
    n_weights : int
        ``vector[:n_weights]`` are the weights, the rest biases.
    """

    def __init__(self, shapes, dtype):
        self.shapes = dict(shapes)
        self.n_weights = sum(int(np.prod(s)) for s in self.shapes.values() if len(s) > 1)
        self.vector = np.zeros(sum(int(np.prod(s)) for s in self.shapes.values()), dtype)
        self._make_views()

    def _make_views(self):
        weights_first = sorted(self.shapes, key=lambda name: len(self.shapes[name]) == 1)
        views, start = {}, 0
        for name in weights_first:
            shape = self.shapes[name]
            stop = start + int(np.prod(shape))
            views[name] = self.vector[start:stop].reshape(shape)
            start = stop
        self.views = {name: views[name] for name in self.shapes}
        self._groups: dict[str, dict[str, np.ndarray]] = {}
        for name, view in self.views.items():
            prefix, _, word = name.rpartition(".")
            self._groups.setdefault(prefix, {})[word] = view

    def group(self, prefix):
        """Views whose names are ``prefix.`` and one more word, by that word."""
        return self._groups[prefix]

    def like(self):
        """Return zeros of the same layout: a gradient."""
        return Parameters(self.shapes, self.vector.dtype)

    def copy(self, dtype=None):
        """Return parameters of the same values, in memory of their own; in another dtype if one is given."""
        twin = Parameters(self.shapes, self.vector.dtype if dtype is None else dtype)
        twin.vector[...] = self.vector
        return twin

    # A copied or unpickled view owns its memory: carry the vector alone and build the views again.
    def __getstate__(self):
        return {k: v for k, v in self.__dict__.items() if k not in ("views", "_groups")}

    def __setstate__(self, state):
        self.__dict__.update(state)
        self._make_views()
