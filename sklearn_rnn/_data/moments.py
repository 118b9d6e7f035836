"""Mean and spread of the columns of rows that arrive in chunks."""

from __future__ import annotations

import numpy as np

from sklearn_rnn._data.sequences import VALUES_PER_CHECK


class Moments:
    """Weighted mean and spread of every column, in float64.

    A chunk has two passes: its mean, and the squared distances from this mean. Chunks are joined by the pairwise update
    of Chan, Golub and LeVeque ("Algorithms for computing the sample variance", The American Statistician 37, 1983,
    equation 2.1). All values are counted from the first row, so the spread of equal values is exactly 0.

    Parameters
    ----------
    n_columns : int

    Attributes
    ----------
    weight : float
        Sum of the weights so far.
    """

    def __init__(self, n_columns: int) -> None:
        self.weight = 0.0
        self._origin: np.ndarray | None = None
        self._mean = np.zeros(n_columns)  # counted from the origin, as all that follows
        self._squares = np.zeros(n_columns)

    def add(self, rows: np.ndarray, weights: np.ndarray | None = None) -> None:
        """Count rows, (n, n_columns), with positive ``weights``, (n,); None: 1 for each."""
        if self._origin is None and len(rows):
            self._origin = rows[0].astype(np.float64)
        n_rows = max(1, VALUES_PER_CHECK // rows.shape[1])
        for start in range(0, len(rows), n_rows):
            part = slice(start, start + n_rows)
            self._add_part(rows[part] - self._origin, None if weights is None else weights[part].astype(np.float64))

    def _add_part(self, distances: np.ndarray, weights: np.ndarray | None) -> None:
        weight = float(len(distances) if weights is None else weights.sum())
        mean = _weighted_sum(distances, weights) / weight
        distances -= mean
        shift = mean - self._mean
        total = self.weight + weight
        self._squares += _weighted_sum(distances * distances, weights) + shift * shift * (self.weight * weight / total)
        self._mean += shift * (weight / total)
        self.weight = total

    def join(self, others: Moments) -> None:
        """Count the rows of other moments after these, as if they had come here."""
        if self._origin is None or others._origin is None:
            if others._origin is not None:
                vars(self).update(weight=others.weight, _origin=others._origin)
                self._mean, self._squares = others._mean.copy(), others._squares.copy()
            return
        shift = (others._origin - self._origin) + others._mean - self._mean
        total = self.weight + others.weight
        self._squares += others._squares + shift * shift * (self.weight * others.weight / total)
        self._mean += shift * (others.weight / total)
        self.weight = total

    def times_power_of_two(self, exponents: np.ndarray) -> Moments:
        """Return the moments of all values times ``2**exponents``, (n_columns,)."""
        scaled = Moments(len(self._mean))
        scaled.weight = self.weight
        scaled._origin = None if self._origin is None else np.ldexp(self._origin, exponents)
        scaled._mean = np.ldexp(self._mean, exponents)
        scaled._squares = np.ldexp(self._squares, 2 * exponents)
        return scaled

    @property
    def mean(self) -> np.ndarray:
        """Weighted mean of every column, (n_columns,); 0 before the first row."""
        return self._mean if self._origin is None else self._origin + self._mean

    @property
    def spread(self) -> np.ndarray:
        """Standard deviation of every column, (n_columns,); the population's, so that weight 2 equals repetition."""
        return np.sqrt(self._squares / self.weight) if self.weight else self._squares

    def is_constant(self, precision: float) -> np.ndarray:
        """Whether the values of a column are equal up to rounding errors of relative size ``precision``."""
        return self.spread <= precision * np.abs(self.mean)


def _weighted_sum(values: np.ndarray, weights: np.ndarray | None) -> np.ndarray:
    return (values if weights is None else values * weights[:, None]).sum(axis=0)
