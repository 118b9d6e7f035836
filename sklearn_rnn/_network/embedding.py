"""The embedding: a vector, which is learned, for each category; in NumPy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from sklearn_rnn._network.parameters import Parameters
from sklearn_rnn._utils.plain import Items, Object, Text, Whole, plain_form, refuse_unless

# Features of a step in a loaded embedding: many more would fill the memory before they are compared with the network.
MOST_FEATURES = 2**20


@plain_form("embedded_feature", name=Text(), column=Whole(), n_vectors=Whole(1), size=Whole(1))
class EmbeddedFeature(NamedTuple):
    """A categorical feature of a step.

    Attributes
    ----------
    name : str
        Of the feature; its table is the parameter "embedding.<name>".
    column : int
        Its place among the features of a step.
    n_vectors : int
        Rows of its table. Code k of a step has row k - 1; code 0, which stands for no step, has none, but zeros.
    size : int
        Numbers of a vector.
    """

    name: str
    column: int
    n_vectors: int
    size: int

    @property
    def table(self) -> str:
        """Name of the parameter that holds the vectors."""
        return f"embedding.{self.name}"


@plain_form("embedding", n_features=Whole(1), features=Items(Object("embedded_feature")), n_steps=Whole(1))
class Embedding:
    """Makes the inputs of the first layer of rows, in which codes stand for categories.

    The inputs of a step are its numbers, in their order, and then the vector of each categorical feature. A row of
    several steps (a patch) has the inputs of one step after the other.

    Parameters
    ----------
    n_features : int
        Features of a step.
    features : sequence of EmbeddedFeature
    n_steps : int, default=1
        Steps of a row.

    Attributes
    ----------
    numbers : list of int
        Columns of the features that are numbers.
    n_inputs : int
        Inputs of a row.
    """

    def __init__(self, n_features: int, features: Sequence[EmbeddedFeature], n_steps: int = 1) -> None:
        self.n_features, self.features, self.n_steps = n_features, list(features), n_steps
        categorical = {feature.column for feature in features}
        self.numbers = [column for column in range(n_features) if column not in categorical]
        self._n_inputs_of_step = len(self.numbers) + sum(feature.size for feature in features)
        self.n_inputs = n_steps * self._n_inputs_of_step

    @classmethod
    def from_plain_fields(cls, values: dict[str, Any], place: str) -> Embedding:
        """Return the embedding of a plain form."""
        refuse_unless(values["n_features"] <= MOST_FEATURES, f"{place}.n_features", f"must be at most {MOST_FEATURES}")
        columns = [feature.column for feature in values["features"]]
        is_right = bool(columns) and columns == sorted(set(columns)) and columns[-1] < values["n_features"]
        refuse_unless(is_right, f"{place}.features", "must have growing columns, which are features of a step")
        return cls(**values)

    # ---- Parameters ----------------------------------------------------------------------------------

    def parameter_shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the shape of each table by name."""
        return {feature.table: (feature.n_vectors, feature.size) for feature in self.features}

    def initialize(self, parameters: Parameters, random_state: np.random.RandomState) -> None:
        """Draw all vectors from the standard normal distribution, but for the first of each table, which is 0.

        The first one stands for unknown categories: where training has none, it stays the mean of the others.
        """
        for feature in self.features:
            table = parameters.views[feature.table]
            table[1:] = random_state.standard_normal((feature.n_vectors - 1, feature.size))

    def tables(self, parameters: Parameters) -> list[np.ndarray]:
        """Return the table of each categorical feature, or its gradient, out of a network's parameters."""
        return [parameters.views[feature.table] for feature in self.features]

    def in_inputs(self, values: np.ndarray, of_vectors: float) -> np.ndarray:
        """Return values of the features of a step, (n_features,), for the inputs of a row; one value for vectors."""
        n_of_vectors = self._n_inputs_of_step - len(self.numbers)
        of_step = np.append(values[self.numbers], np.full(n_of_vectors, of_vectors, values.dtype))
        return np.tile(of_step, self.n_steps)

    def by_feature(self, of_inputs: np.ndarray) -> np.ndarray:
        """Sum values of inputs, (n_rows, n_inputs), over each vector: one value for each feature of each step of a row.

        Returns
        -------
        ndarray of shape (n_rows, n_steps * n_features)
        """
        of_steps = of_inputs.reshape(-1, self._n_inputs_of_step)
        result = np.empty((len(of_steps), self.n_features), of_inputs.dtype)
        start = len(self.numbers)
        result[:, self.numbers] = of_steps[:, :start]
        for feature in self.features:
            result[:, feature.column] = of_steps[:, start : start + feature.size].sum(axis=1)
            start += feature.size
        return result.reshape(len(of_inputs), -1)

    # ---- Passes --------------------------------------------------------------------------------------

    def forward(self, rows: np.ndarray, tables: list[np.ndarray], inputs: np.ndarray) -> np.ndarray:
        """Return the inputs of the first layer.

        Parameters
        ----------
        rows : ndarray of shape (n_rows, n_steps * n_features)
            Codes are whole numbers, from 0 to the number of vectors.
        tables : list of ndarray of shape (n_vectors, size)
        inputs : ndarray of shape (n_rows, n_inputs)
            Memory for the result.
        """
        steps, of_steps = self._by_step(rows, inputs)
        start = len(self.numbers)
        of_steps[:, :start] = steps[:, self.numbers]
        for feature, table in zip(self.features, tables):
            vectors = of_steps[:, start : start + feature.size]
            codes = steps[:, feature.column].astype(np.intp)
            vectors[...] = table[np.maximum(codes, 1) - 1]
            vectors[codes == 0] = 0
            start += feature.size
        return inputs

    def backward(self, rows: np.ndarray, d_inputs: np.ndarray, d_tables: list[np.ndarray]) -> None:
        """Add the gradient of the vectors of each row, given the one with respect to the inputs, to ``d_tables``."""
        steps, of_steps = self._by_step(rows, d_inputs)
        start = len(self.numbers)
        for feature, d_table in zip(self.features, d_tables):
            codes = steps[:, feature.column].astype(np.intp)
            np.add.at(d_table, codes[codes > 0] - 1, of_steps[codes > 0, start : start + feature.size])
            start += feature.size

    def _by_step(self, rows: np.ndarray, inputs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return views of the rows, (n, n_features), and of their inputs, (n, n_inputs of a step), by step."""
        return rows.reshape(-1, self.n_features), inputs.reshape(-1, self._n_inputs_of_step)
