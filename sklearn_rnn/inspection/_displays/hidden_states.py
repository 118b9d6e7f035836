"""HiddenStatesDisplay: the hidden states of one sequence, unit by unit and step by step."""

from __future__ import annotations

import numpy as np

from sklearn_rnn.inspection._check import check_choice, check_estimator, check_place
from sklearn_rnn.inspection._displays.drawing import axes_to_draw_on, count_along, import_pyplot

ORDERS = {"similarity": "units, similar ones side by side", "peak": "units, by step of their peak", None: "units"}
# The height in inches that the name of a unit needs.
HEIGHT_OF_NAME = 0.15
# Up to this number of units, the leaves of the clustering are ordered too: with 512 it takes a second, with 2,000 one
# minute.
N_OPTIMALLY_ORDERED = 512


class HiddenStatesDisplay:
    """The hidden states of the last layer along one sequence: a row for each unit, a column for each step.

    The order of a network's units means nothing. So similar units are drawn side by side, or all units in the order of
    the steps at which they are largest. One then sees which units follow the input, which ones keep a value for many
    steps, and which ones do nothing.

    Use :meth:`from_estimator` or :meth:`from_hidden_states` to create it. All parameters are stored as attributes.

    Parameters
    ----------
    hidden_states : ndarray of shape (n_steps, n_units)
        The states of one sequence.
    unit_order : ndarray of shape (n_units,), int
        The units in the order of the rows, from top to bottom.
    order : {"similarity", "peak", None}
        The rule that gave ``unit_order``, for the label.

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure
    image_ : matplotlib AxesImage
    colorbar_ : matplotlib Colorbar or None

    See Also
    --------
    StepPredictionDisplay : The predictions along one sequence.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> from sklearn_rnn import RNNRegressor
    >>> from sklearn_rnn.datasets import make_noisy_sines
    >>> from sklearn_rnn.inspection import HiddenStatesDisplay
    >>> X, y = make_noisy_sines(80, random_state=0)
    >>> regressor = RNNRegressor((8,), max_iter=10, bidirectional=False, random_state=0).fit(
    ...     X, y
    ... )
    >>> display = HiddenStatesDisplay.from_estimator(regressor, X, index=3)
    >>> plt.show()
    """

    def __init__(self, *, hidden_states, unit_order, order=None):
        self.hidden_states = hidden_states
        self.unit_order = unit_order
        self.order = order

    @classmethod
    def from_estimator(
        cls, estimator, X, *, index=0, order="similarity", ax=None, cmap="RdBu_r", colorbar=True, im_kw=None
    ):
        """Draw the hidden states of a fitted estimator along one sequence of X.

        Parameters
        ----------
        estimator : RNNClassifier or RNNRegressor
            Fitted.
        X : array-like or list
            Sequences, as for ``fit``. The network runs through all of them.
        index : int, default=0
            The place of the sequence in X; from the end if negative.
        order : {"similarity", "peak", None}, default="similarity"
            As for :meth:`from_hidden_states`.
        ax, cmap, colorbar, im_kw
            As for :meth:`plot`.

        Returns
        -------
        display : HiddenStatesDisplay

        Raises
        ------
        NotFittedError, TypeError, ValueError

        Examples
        --------
        >>> from sklearn_rnn import RNNRegressor
        >>> from sklearn_rnn.datasets import make_adding_problem
        >>> from sklearn_rnn.inspection import HiddenStatesDisplay
        >>> X, y = make_adding_problem(20, 30, random_state=0)
        >>> regressor = RNNRegressor((8,), bidirectional=False, max_iter=2, random_state=0).fit(
        ...     X, y
        ... )
        >>> display = HiddenStatesDisplay.from_estimator(regressor, X, index=3, order="peak")
        >>> display.hidden_states.shape
        (30, 8)
        """
        import_pyplot(f"{cls.__name__}.from_estimator")
        check_estimator(estimator)
        check_choice(order, ORDERS, "order")
        states = estimator.hidden_states(X)
        states = states[check_place(index, len(states), "index", "X", "sequences")]
        return cls.from_hidden_states(states, order=order, ax=ax, cmap=cmap, colorbar=colorbar, im_kw=im_kw)

    @classmethod
    def from_hidden_states(
        cls, hidden_states, *, order="similarity", ax=None, cmap="RdBu_r", colorbar=True, im_kw=None
    ):
        """Draw the hidden states of one sequence.

        Parameters
        ----------
        hidden_states : array-like of shape (n_steps, n_units)
            An entry of ``estimator.hidden_states(X)``.
        order : {"similarity", "peak", None}, default="similarity"
            The order of the units. "similarity": hierarchical clustering by the distances of their states (average
            linkage; up to 512 units, leaves ordered so that neighbours are close). "peak": by the step of the largest
            state. None: as in the network.
        ax, cmap, colorbar, im_kw
            As for :meth:`plot`.

        Returns
        -------
        display : HiddenStatesDisplay

        Raises
        ------
        ValueError
            For states of another shape, and an unknown order.

        Examples
        --------
        >>> from sklearn_rnn.inspection import HiddenStatesDisplay
        >>> states = [[0.9, 0.1, 0.5], [0.1, 0.8, 0.6], [0.0, 0.2, 0.7]]  # 3 steps, 3 units
        >>> HiddenStatesDisplay.from_hidden_states(states, order="peak").unit_order.tolist()
        [0, 1, 2]
        """
        check_choice(order, ORDERS, "order")
        hidden_states = np.asarray(hidden_states)
        if hidden_states.ndim != 2 or hidden_states.size == 0:
            raise ValueError(
                f"hidden_states has shape {hidden_states.shape}, but those of one sequence are needed, of shape "
                "(n_steps, n_units): pass estimator.hidden_states(X)[0]."
            )
        display = cls(hidden_states=hidden_states, unit_order=_ordered_units(hidden_states, order), order=order)
        return display.plot(ax, cmap=cmap, colorbar=colorbar, im_kw=im_kw)

    def plot(self, ax=None, *, cmap="RdBu_r", colorbar=True, im_kw=None):
        """Draw the states as an image.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on. None: a new figure.
        cmap : str or matplotlib Colormap, default="RdBu_r"
            A diverging map: its middle is the state 0.
        colorbar : bool, default=True
            Whether a bar shows the values of the colors.
        im_kw : dict, default=None
            Arguments of ``matplotlib.axes.Axes.imshow``.

        Returns
        -------
        self : HiddenStatesDisplay

        Examples
        --------
        >>> from sklearn_rnn.inspection import HiddenStatesDisplay
        >>> display = HiddenStatesDisplay.from_hidden_states([[0.9, 0.1], [0.1, 0.8]], order=None)
        >>> display.plot(cmap="PuOr", colorbar=False).ax_.get_ylabel()
        'units'
        """
        self.ax_ = axes_to_draw_on(ax, self, height=3.4)
        self.figure_ = self.ax_.figure
        states = np.asarray(self.hidden_states, dtype=float)
        largest = np.max(np.abs(states), initial=0.0, where=np.isfinite(states)) or 1.0
        style = {"cmap": cmap, "vmin": -largest, "vmax": largest, "aspect": "auto"}
        self.image_ = self.ax_.imshow(states[:, self.unit_order].T, **style | (im_kw or {}))
        self.colorbar_ = self.figure_.colorbar(self.image_, ax=self.ax_, label="hidden state") if colorbar else None
        self.ax_.set(xlabel="network step", ylabel=ORDERS[self.order])
        count_along(self.ax_.xaxis)
        self._name_units()
        return self

    def _name_units(self):
        """Name the units at their rows, if there is room; otherwise only their number."""
        n_units = len(self.unit_order)
        if n_units * HEIGHT_OF_NAME <= self.ax_.bbox.height / self.figure_.dpi:
            self.ax_.set_yticks(range(n_units), [str(unit) for unit in self.unit_order])
        else:
            self.ax_.set_yticks([])
            self.ax_.set_ylabel(f"{n_units} {ORDERS[self.order]}")


def _ordered_units(hidden_states: np.ndarray, order: str | None) -> np.ndarray:
    """Return the units in the order in which they are drawn."""
    n_units = hidden_states.shape[1]
    if order == "peak":
        return np.argsort(hidden_states.argmax(axis=0), kind="stable")
    if order is None or n_units <= 2:
        return np.arange(n_units)
    from scipy.cluster import hierarchy  # here: the import takes long

    rows = np.nan_to_num(hidden_states.T.astype(np.float64))
    is_ordered = n_units <= N_OPTIMALLY_ORDERED
    return hierarchy.leaves_list(hierarchy.linkage(rows, method="average", optimal_ordering=is_ordered))
