"""The recurrent cells: each file shows one recurrence's equations, forward and backward, in NumPy.

Attributes
----------
CELLS : dict of str to callable
    By the name that estimators take: from the activation to the cell. A new cell is its file and a line here.
"""

from collections.abc import Callable

from sklearn_rnn._network.cells.cell import Cell
from sklearn_rnn._network.cells.gru import GRUCell
from sklearn_rnn._network.cells.lstm import LSTMCell
from sklearn_rnn._network.cells.rnn import SimpleCell

__all__ = ["CELLS", "Cell"]

CELLS: dict[str, Callable[[str], Cell]] = {"rnn": SimpleCell, "lstm": LSTMCell, "gru": GRUCell}
