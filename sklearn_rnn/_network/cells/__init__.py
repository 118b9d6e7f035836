"""The recurrent cells: each file shows one recurrence's equations, forward and backward, in NumPy.

Where compiled kernels are there, they run the same recurrences.
"""

from sklearn_rnn._network import kernels
from sklearn_rnn._network.cells.cell import Buffers, Cell
from sklearn_rnn._network.cells.compiled import CompiledCell
from sklearn_rnn._network.cells.gru import GRUCell
from sklearn_rnn._network.cells.lstm import LSTMCell
from sklearn_rnn._network.cells.rnn import SimpleCell

__all__ = ["Buffers", "Cell", "make_cell", "make_numpy_cell"]


def make_cell(name, activation="tanh"):
    """Return the cell called "rnn", "lstm" or "gru"; ``activation`` is of "rnn" alone."""
    cell = make_numpy_cell(name, activation)
    return cell if kernels.name == "numpy" else CompiledCell(cell)


def make_numpy_cell(name, activation="tanh"):
    """Return the cell that needs no compiled kernels."""
    if name == "rnn":
        return SimpleCell(activation)
    return {"lstm": LSTMCell, "gru": GRUCell}[name]()
