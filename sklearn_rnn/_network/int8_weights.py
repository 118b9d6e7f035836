"""Weights as integers of 8 bits, and their products with activations of 8 bits: for prediction streams.

A weight is a scale times an integer from -127 to 127, with one scale for each column, which is one gate of one unit. An
activation is too, with one scale for each row: one sequence at one step. Sums of products of integers are exact. So the
result does not depend on the order of a sum, on the other rows of a batch, or on the instructions that compute it.
"""

from __future__ import annotations

import numpy as np

PRECISIONS = ("int8",)
LARGEST = 127
# Columns and rows in which no number is larger than this count as zeros: 127 over a smaller one may overflow.
SMALLEST = 1e-30
# Rows of a matrix, so that no sum of kernels overflows: 32 bits hold 128 * 127 twice as many times.
MOST_ROWS = 2**16


def to_int8(values: np.ndarray, axis: int) -> tuple[np.ndarray, np.ndarray]:
    """Round a matrix to integers of 8 bits.

    Parameters
    ----------
    values : ndarray of shape (n_rows, n_columns), float32 or float64
    axis : {0, 1}
        0: one scale for each column; 1: one for each row.

    Returns
    -------
    integers : ndarray of shape (n_rows, n_columns), int8
        From -127 to 127.
    scales : ndarray of shape (n_columns,) or (n_rows,), the dtype of ``values``
        ``values`` are about ``scales * integers``: the error is at most half a scale. The scale of zeros is 0. Where a
        value is NaN or infinite, the scale is NaN: then every product is NaN too.
    """
    largest = np.abs(values).max(axis=axis, initial=0)
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        is_used = np.isfinite(largest) & (largest >= values.dtype.type(SMALLEST))
        factors = np.where(is_used, LARGEST / largest, 0).astype(values.dtype)
        rounded = np.rint(values * np.expand_dims(factors, axis))
        integers = np.where(np.expand_dims(is_used, axis), rounded, 0).astype(np.int8)
        scales = np.where(is_used, largest / LARGEST, largest * 0).astype(values.dtype)
    return integers, scales


class Int8Matrix:
    """A matrix of weights in 8 bits.

    Parameters
    ----------
    integers : ndarray of shape (n, n_columns), int8
    scales : ndarray of shape (n_columns,)

    Attributes
    ----------
    shape : tuple of int
        That of ``integers``.
    dtype : dtype
        That of ``scales``, and of all products.
    """

    def __init__(self, integers: np.ndarray, scales: np.ndarray, as_floats: np.ndarray | None = None) -> None:
        self.integers, self.scales = integers, scales
        self.shape, self.dtype = integers.shape, scales.dtype
        # NumPy multiplies integers without BLAS. float64 holds every sum exactly, in any order.
        self._as_floats = integers.astype(np.float64) if as_floats is None else as_floats

    @classmethod
    def of(cls, weights: np.ndarray) -> Int8Matrix:
        """Return weights, (n, n_columns), rounded."""
        return cls(*to_int8(weights, axis=0))

    def __len__(self) -> int:
        return len(self.integers)

    def __mul__(self, factors: np.ndarray) -> Int8Matrix:
        """Return the matrix with other scales: each column times its factor, (n_columns,)."""
        return Int8Matrix(self.integers, self.scales * factors, self._as_floats)

    def multiply(self, values: np.ndarray, out: np.ndarray) -> np.ndarray:
        """Write the products of rows, (n_rows, n), into ``out``, (n_rows, n_columns), and return it."""
        integers, scales = to_int8(values, axis=1)
        out[...] = integers.astype(np.float64) @ self._as_floats
        out *= self.scales * scales[:, np.newaxis]
        return out


def int8_weights(name: str, weights: dict[str, np.ndarray], is_first: bool) -> dict[str, np.ndarray | Int8Matrix]:
    """Return the weights of a layer with those of the hidden states in 8 bits; biases stay as they are.

    Parameters
    ----------
    name : str
        Name of the layer, for errors.
    weights : dict of ndarray
        "input" (n_features, n_columns), "recurrent" (n_units, n_columns), and biases.
    is_first : bool
        Whether its inputs are data: their weights stay as they are, because they are few, and data have no bounds.

    Raises
    ------
    ValueError
        If there are more than 65,536 units: the sums of kernels would not be exact.
    """
    rounded: dict[str, np.ndarray | Int8Matrix] = dict(weights)
    for key in ("recurrent",) if is_first else ("input", "recurrent"):
        if len(weights[key]) > MOST_ROWS:
            raise ValueError(
                f"precision='int8' is for layers of up to {MOST_ROWS} units, but {name} reads {len(weights[key])}: use "
                "precision=None."
            )
        rounded[key] = Int8Matrix.of(weights[key])
    return rounded
