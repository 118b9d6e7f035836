"""GradientFlowDisplay: the error on its way back through the steps."""

from __future__ import annotations

import numpy as np

from sklearn_rnn.inspection._check import check_choice, check_names
from sklearn_rnn.inspection._displays.drawing import (
    add_legend,
    axes_to_draw_on,
    count_along,
    import_pyplot,
    line_arguments,
    marker_for,
    set_log_scale,
)
from sklearn_rnn.inspection._gradient_flow import gradient_flow

# Label of each quantity.
QUANTITIES = {
    "hidden_norms": r"norm of $\partial L\,/\,\partial h_t$",
    "preactivation_norms": r"norm of $\partial L\,/\,\partial a_t$",
    "recurrent_norms": r"norm of step's part of $\partial L\,/\,\partial U$",
    "dropped_share": r"share of $\partial L\,/\,\partial U$ dropped",
    "singular_values": r"largest factor of a step (mean)",
    "max_singular_values": r"largest factor of a step (maximum)",
}
SINGULAR_VALUES = ("singular_values", "max_singular_values")
STYLES = ("-", "--", "-.", ":")  # of the layers of one estimator


class GradientFlowDisplay:
    """The norm of the error at every step of backpropagation through time, layer by layer.

    Read it from left to right, as the error flows: from the last step of the sequences back to the first. On the
    logarithmic axis, a straight line means the same factor at every step. If it falls steeply, the gradient vanishes:
    the network does not learn from the steps further back. If it rises, the gradient explodes.

    Use :meth:`from_estimator` or :meth:`from_estimators` to create it. All parameters are stored as attributes.

    Parameters
    ----------
    flows : dict of str to Bunch
        Results of :func:`gradient_flow`, by the names of the estimators (or epochs) that they belong to.

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure
    lines_ : dict of str to list of matplotlib Line2D
        The lines of every name, one for each layer.

    See Also
    --------
    gradient_flow : Compute these figures, and explain each of them.
    TruncationBiasDisplay : Gradients of truncated backpropagation, compared with the full gradient.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> from sklearn_rnn import RNNRegressor
    >>> from sklearn_rnn.datasets import make_adding_problem
    >>> from sklearn_rnn.inspection import GradientFlowDisplay
    >>> X, y = make_adding_problem(20, 30, random_state=0)
    >>> settings = {"bidirectional": False, "readout": "last", "max_iter": 1, "random_state": 0}
    >>> estimators = {
    ...     cell: RNNRegressor((8,), cell=cell, **settings).fit(X, y) for cell in ("rnn", "gru")
    ... }
    >>> display = GradientFlowDisplay.from_estimators(estimators, X, y)
    >>> plt.show()
    """

    def __init__(self, *, flows):
        self.flows = flows

    @classmethod
    def from_estimator(
        cls,
        estimator,
        X,
        y,
        *,
        n_iterations=10,
        random_state=0,
        name=None,
        quantity="hidden_norms",
        ax=None,
        line_kw=None,
    ):
        """Draw the gradient flow of one fitted estimator.

        Parameters
        ----------
        estimator : RNNClassifier or RNNRegressor
            Fitted, not bidirectional.
        X, y, n_iterations, random_state
            As for :func:`gradient_flow`. ``n_iterations=0`` is faster, but there are no singular values then.
        name : str, default=None
            Name of the estimator, for the legend. None: the name of its class.
        quantity, ax, line_kw
            As for :meth:`plot`.

        Returns
        -------
        display : GradientFlowDisplay

        Raises
        ------
        NotFittedError, TypeError, ValueError

        Examples
        --------
        >>> from sklearn_rnn import RNNRegressor
        >>> from sklearn_rnn.datasets import make_adding_problem
        >>> from sklearn_rnn.inspection import GradientFlowDisplay
        >>> X, y = make_adding_problem(20, 30, random_state=0)
        >>> regressor = RNNRegressor((8,), bidirectional=False, max_iter=2, random_state=0).fit(
        ...     X, y
        ... )
        >>> display = GradientFlowDisplay.from_estimator(regressor, X, y, name="gru")
        >>> list(display.flows)
        ['gru']
        """
        return cls.from_estimators(
            {type(estimator).__name__ if name is None else name: estimator},
            X,
            y,
            n_iterations=n_iterations,
            random_state=random_state,
            quantity=quantity,
            ax=ax,
            line_kw=line_kw,
        )

    @classmethod
    def from_estimators(
        cls, estimators, X, y, *, n_iterations=10, random_state=0, quantity="hidden_norms", ax=None, line_kw=None
    ):
        """Draw the gradient flows of several fitted estimators on the same data.

        Parameters
        ----------
        estimators : dict of str to RNNClassifier or RNNRegressor
            Fitted, not bidirectional, by their names in the legend. For the epochs of one training, store a copy of the
            estimator (``copy.deepcopy``) after some calls of ``partial_fit``.
        X, y, n_iterations, random_state
            As for :func:`gradient_flow`. ``n_iterations=0`` is faster, but there are no singular values then.
        quantity, ax, line_kw
            As for :meth:`plot`.

        Returns
        -------
        display : GradientFlowDisplay

        Raises
        ------
        NotFittedError, TypeError, ValueError

        Examples
        --------
        >>> from sklearn_rnn import RNNRegressor
        >>> from sklearn_rnn.datasets import make_adding_problem
        >>> from sklearn_rnn.inspection import GradientFlowDisplay
        >>> X, y = make_adding_problem(20, 30, random_state=0)
        >>> regressor = RNNRegressor((8,), bidirectional=False, max_iter=2, random_state=0).fit(
        ...     X, y
        ... )
        >>> longer = RNNRegressor((8,), bidirectional=False, max_iter=20, random_state=0).fit(X, y)
        >>> models = {"2 epochs": regressor, "20 epochs": longer}
        >>> display = GradientFlowDisplay.from_estimators(models, X, y, n_iterations=0)
        >>> [line.get_label() for lines in display.lines_.values() for line in lines]
        ['2 epochs', '20 epochs']
        """
        import_pyplot(f"{cls.__name__}.from_estimators")
        check_choice(quantity, QUANTITIES, "quantity")
        flows = {
            name: gradient_flow(estimator, X, y, n_iterations=n_iterations, random_state=random_state)
            for name, estimator in check_names(estimators, "estimators").items()
        }
        return cls(flows=flows).plot(ax, quantity=quantity, line_kw=line_kw)

    def plot(self, ax=None, *, quantity="hidden_norms", line_kw=None):
        """Draw one quantity by steps back from the end of the sequences.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on; in a figure with ``layout="constrained"`` their legend has room. None: a new figure.
        quantity : {"hidden_norms", "preactivation_norms", "recurrent_norms", "dropped_share", "singular_values", \
                "max_singular_values"}, default="hidden_norms"
            The attribute of the layers in ``flows``, as :func:`gradient_flow` describes it.
        line_kw : dict, default=None
            Arguments of ``matplotlib.axes.Axes.plot`` for all lines.

        Returns
        -------
        self : GradientFlowDisplay

        Raises
        ------
        ValueError
            For an unknown quantity, and for singular values that were not computed.

        Examples
        --------
        >>> from sklearn_rnn import RNNRegressor
        >>> from sklearn_rnn.datasets import make_adding_problem
        >>> from sklearn_rnn.inspection import GradientFlowDisplay
        >>> X, y = make_adding_problem(20, 30, random_state=0)
        >>> regressor = RNNRegressor((8,), bidirectional=False, max_iter=2)
        >>> regressor = regressor.set_params(random_state=0).fit(X, y)
        >>> display = GradientFlowDisplay.from_estimator(regressor, X, y)
        >>> display.plot(quantity="singular_values").ax_.get_ylabel()
        'largest factor of a step (mean)'
        """
        check_choice(quantity, QUANTITIES, "quantity")
        flows = check_names(self.flows, "flows")
        for name, flow in flows.items():
            if quantity in SINGULAR_VALUES and np.isnan(flow.layers[0][quantity]).all():
                raise ValueError(
                    f"quantity={quantity!r} was not computed for {name!r}, because n_iterations is 0: set it to 10."
                )
        self.ax_ = axes_to_draw_on(ax, self, height=3.4)
        self.figure_ = self.ax_.figure
        line_kw = line_arguments(line_kw)
        self.lines_ = {name: self._draw(name, flow.layers, quantity, line_kw) for name, flow in flows.items()}
        if quantity in SINGULAR_VALUES:
            self.ax_.axhline(1, color="black", linewidth=0.8)
        is_share = quantity == "dropped_share"
        xlabel = "truncation (network steps)" if is_share else "network steps back from the end"
        self.ax_.set(xlabel=xlabel, ylabel=QUANTITIES[quantity])
        set_log_scale(self.ax_)
        count_along(self.ax_.xaxis)
        add_legend(self.ax_)
        return self

    def _draw(self, name, layers, quantity, line_kw):
        """Draw the layers of one estimator: one color, several styles, or several colors if there is one estimator."""
        lines: list = []
        for depth, layer in enumerate(layers):
            label = name if len(layers) == 1 else f"{name}, layer {depth + 1}"
            style = {"label": label, "marker": marker_for(len(layer[quantity]))}
            if lines and len(self.flows) > 1:
                style |= {"color": lines[0].get_color(), "linestyle": STYLES[depth % len(STYLES)]}
            # A logarithmic axis has no 0, which is the share at the last step: without NaN, the line would fall there.
            figures = np.where(layer[quantity] > 0, layer[quantity], np.nan)
            lines += self.ax_.plot(figures, **style | line_kw)
        return lines
