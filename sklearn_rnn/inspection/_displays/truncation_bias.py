"""TruncationBiasDisplay: truncated gradients compared with the full gradient."""

from __future__ import annotations

import numpy as np

from sklearn_rnn.inspection._check import check_list, check_problem
from sklearn_rnn.inspection._displays.drawing import (
    add_legend,
    axes_to_draw_on,
    import_pyplot,
    line_arguments,
    marker_for,
)
from sklearn_rnn.inspection._truncation_bias import truncation_bias

# Label of each quantity.
QUANTITIES = {
    "relative_bias": "bias",
    "cosine": "cosine",
    "relative_norm": "norm",
}


class TruncationBiasDisplay:
    """Truncated gradients, compared with the full gradient, by the number of steps of the truncation.

    The bias is the norm of the difference of both gradients, divided by the norm of the full gradient. Choose a
    truncation from which on it is small. A cosine near 1 means that both gradients have the same direction.

    Use :meth:`from_estimator` to create it. All parameters are stored as attributes.

    Parameters
    ----------
    truncations : array-like of shape (n_truncations,), int
    relative_bias, cosine, relative_norm : array-like of shape (n_truncations,)
        The attributes that :func:`truncation_bias` returns. So ``TruncationBiasDisplay(**truncation_bias(...))`` works.
    name : str, default=None
        Name of the estimator, for the legend.

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure
    lines_ : dict of str to matplotlib Line2D
        The line of each quantity.

    See Also
    --------
    truncation_bias : Compute these figures, and explain each of them.
    GradientFlowDisplay : The gradient step by step.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> from sklearn_rnn import RNNRegressor
    >>> from sklearn_rnn.datasets import make_adding_problem
    >>> from sklearn_rnn.inspection import TruncationBiasDisplay
    >>> X, y = make_adding_problem(20, 30, random_state=0)
    >>> settings = {"bidirectional": False, "readout": "last", "max_iter": 1, "random_state": 0}
    >>> regressor = RNNRegressor((8,), **settings).fit(X, y)
    >>> display = TruncationBiasDisplay.from_estimator(regressor, X, y)
    >>> display.truncations
    array([ 1,  2,  4,  8, 16, 30])
    >>> plt.show()
    """

    def __init__(self, *, truncations, relative_bias, cosine, relative_norm, name=None):
        self.truncations = truncations
        self.relative_bias = relative_bias
        self.cosine = cosine
        self.relative_norm = relative_norm
        self.name = name

    @classmethod
    def from_estimator(
        cls,
        estimator,
        X,
        y,
        *,
        truncations=None,
        truncation_stride=None,
        name=None,
        quantities=tuple(QUANTITIES),
        ax=None,
        line_kw=None,
    ):
        """Compute and draw the truncated gradients of a fitted estimator.

        Parameters
        ----------
        estimator : RNNClassifier or RNNRegressor
            Fitted, not bidirectional.
        X, y : array-like or list
            Sequences and targets, as for :func:`truncation_bias`.
        truncations : array-like of int of shape (n_truncations,), default=None
            Numbers of network steps. None: 1, 2, 4, 8 and so on, and the number of steps of the longest sequence. With
            ``truncation_stride`` they begin there.
        truncation_stride : int, default=None
            As for :func:`truncation_bias`.
        name : str, default=None
            Name of the estimator, for the legend. Give one to draw several estimators on the same axes.
        quantities, ax, line_kw
            As for :meth:`plot`.

        Returns
        -------
        display : TruncationBiasDisplay

        Raises
        ------
        NotFittedError, TypeError, ValueError

        Examples
        --------
        >>> from sklearn_rnn import RNNRegressor
        >>> from sklearn_rnn.datasets import make_adding_problem
        >>> from sklearn_rnn.inspection import TruncationBiasDisplay
        >>> X, y = make_adding_problem(20, 30, random_state=0)
        >>> regressor = RNNRegressor((8,), bidirectional=False, max_iter=2, random_state=0).fit(
        ...     X, y
        ... )
        >>> display = TruncationBiasDisplay.from_estimator(regressor, X, y, truncations=[5, 30])
        >>> print(display.relative_bias[1])  # 30 steps are all of them
        0.0
        """
        import_pyplot(f"{cls.__name__}.from_estimator")
        check_list(quantities, QUANTITIES, "quantities")
        if truncations is None:
            _, _, dataset = check_problem(estimator, X, y)
            # truncation_bias refuses a stride that is no number of steps.
            first = truncation_stride if isinstance(truncation_stride, (int, np.integer)) else 1
            truncations = _doubled(max(1, int(first)), int(dataset.sequences.lengths.max()))
        bias = truncation_bias(estimator, X, y, truncations, truncation_stride=truncation_stride)
        return cls(**bias, name=name).plot(ax, quantities=quantities, line_kw=line_kw)

    def plot(self, ax=None, *, quantities=tuple(QUANTITIES), line_kw=None):
        """Draw quantities by truncation, on a logarithmic axis of steps.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on; in a figure with ``layout="constrained"`` their legend has room. None: a new figure.
        quantities : list of {"relative_bias", "cosine", "relative_norm"}, \
                default=("relative_bias", "cosine", "relative_norm")
            The lines to draw.
        line_kw : dict, default=None
            Arguments of ``matplotlib.axes.Axes.plot`` for all lines.

        Returns
        -------
        self : TruncationBiasDisplay

        Raises
        ------
        ValueError
            For quantities that are not known.

        Examples
        --------
        >>> from sklearn_rnn import RNNRegressor
        >>> from sklearn_rnn.datasets import make_adding_problem
        >>> from sklearn_rnn.inspection import TruncationBiasDisplay
        >>> X, y = make_adding_problem(20, 30, random_state=0)
        >>> regressor = RNNRegressor((8,), bidirectional=False, max_iter=2)
        >>> regressor = regressor.set_params(random_state=0).fit(X, y)
        >>> display = TruncationBiasDisplay.from_estimator(regressor, X, y, truncations=[5, 30])
        >>> display.plot(quantities=["cosine"]).ax_.get_ylabel()
        'cosine'
        """
        check_list(quantities, QUANTITIES, "quantities")
        self.ax_ = axes_to_draw_on(ax, self, height=3.4)
        self.figure_ = self.ax_.figure
        self.lines_ = {}
        for quantity in quantities:
            words = [self.name, QUANTITIES[quantity] if len(quantities) > 1 or self.name is None else None]
            style = {"label": ": ".join(filter(None, words)), "marker": marker_for(len(self.truncations))}
            (self.lines_[quantity],) = self.ax_.plot(
                self.truncations, getattr(self, quantity), **style | line_arguments(line_kw)
            )
        ylabel = quantities[0].replace("_", " ") if len(quantities) == 1 else "relative to the full gradient"
        self.ax_.set(xscale="log", xlabel="truncation (network steps)", ylabel=ylabel)
        self.ax_.xaxis.set_major_formatter("{x:g}")
        add_legend(self.ax_)
        return self


def _doubled(first: int, last: int) -> np.ndarray:
    """Return first, 2 first, 4 first, ... below ``last``, and ``last``."""
    below = [first * 2**i for i in range(last.bit_length()) if first * 2**i < last]
    return np.array([*below, max(first, last)])
