"""The recurrent cells: each file shows one recurrence's equations, forward and backward, in NumPy."""

from sklearn_rnn.cells._cell import Buffers, Cell
from sklearn_rnn.cells.gru import GRUCell
from sklearn_rnn.cells.lstm import LSTMCell
from sklearn_rnn.cells.rnn import SimpleCell

__all__ = ["Buffers", "Cell", "make_cell"]


def make_cell(name, activation="tanh"):
    """Return the cell called "rnn", "lstm" or "gru"; ``activation`` is of "rnn" alone."""
    if name == "rnn":
        return SimpleCell(activation)
    return {"lstm": LSTMCell, "gru": GRUCell}[name]()
