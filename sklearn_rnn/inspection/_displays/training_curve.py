"""TrainingCurveDisplay: losses, validation scores and gradient norms by epoch."""

from __future__ import annotations

from typing import Any

import numpy as np

from sklearn_rnn._settings import clip_norm_of
from sklearn_rnn._utils.warnings import warn_user
from sklearn_rnn.inspection._check import check_estimator, check_list
from sklearn_rnn.inspection._displays.drawing import (
    add_legend,
    count_along,
    import_pyplot,
    line_arguments,
    marker_for,
    panels_to_draw_on,
    set_log_scale,
)

PANELS = ("loss", "score", "gradient_norm")
VALIDATION = {"linestyle": "--", "markerfacecolor": "white"}  # the style of its curves
# A ratio of the largest and the smallest loss from which on their axis is logarithmic.
LARGE_RATIO = 10
# A threshold so many times above the largest norm is not drawn: the norms would be a flat line below it.
FAR_ABOVE = 100


class TrainingCurveDisplay:
    """Losses, validation scores and gradient norms of every epoch of training.

    The upper panel shows the training loss and, with validation data, the validation loss; the next one the validation
    score; the last one the mean norm of the gradients before clipping, the threshold ``clip_norm``, and the share of
    all updates that were clipped.

    Use :meth:`from_estimator` to create it. All parameters are stored as attributes.

    Parameters
    ----------
    losses : array-like of shape (n_epochs,)
        Training loss of every epoch, as in ``loss_curve_``.
    validation_losses, validation_scores : array-like of shape (n_epochs,), default=None
        Loss and score on the validation data after every epoch. None: there are none.
    gradient_norms : array-like of shape (n_epochs,), default=None
        Mean norm of the gradients of every epoch, before clipping.
    clip_norm : float, default=None
        The norm above which gradients are clipped. None: they are not.
    clipped_fraction : float, default=None
        Share of all updates whose gradient was clipped, from 0 to 1.
    first_epoch : int, default=1
        Number of the first epoch of these arrays.
    name : str, default=None
        Name of the estimator, for the legend.

    Attributes
    ----------
    axes_ : ndarray of shape (n_panels,) of matplotlib Axes
        The panels, from top to bottom.
    ax_ : matplotlib Axes
        The upper panel.
    figure_ : matplotlib Figure
    lines_ : dict of matplotlib Line2D
        The lines: "loss", "validation_loss", "score", "gradient_norm", "clip_norm", as far as they were drawn.

    See Also
    --------
    GradientFlowDisplay : The gradient step by step.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> from sklearn_rnn import RNNRegressor
    >>> from sklearn_rnn.datasets import make_noisy_sines
    >>> from sklearn_rnn.inspection import TrainingCurveDisplay
    >>> X, y = make_noisy_sines(80, random_state=0)
    >>> regressor = RNNRegressor((8,), max_iter=10, random_state=0)
    >>> regressor = regressor.fit(X[:60], y[:60], X_val=X[60:], y_val=y[60:])
    >>> display = TrainingCurveDisplay.from_estimator(regressor)
    >>> plt.show()
    """

    def __init__(
        self,
        *,
        losses,
        validation_losses=None,
        validation_scores=None,
        gradient_norms=None,
        clip_norm=None,
        clipped_fraction=None,
        first_epoch=1,
        name=None,
    ):
        self.losses = losses
        self.validation_losses = validation_losses
        self.validation_scores = validation_scores
        self.gradient_norms = gradient_norms
        self.clip_norm = clip_norm
        self.clipped_fraction = clipped_fraction
        self.first_epoch = first_epoch
        self.name = name

    @classmethod
    def from_estimator(cls, estimator, *, name=None, panels=None, ax=None, score_name="validation score", line_kw=None):
        """Draw the training of a fitted estimator.

        Parameters
        ----------
        estimator : RNNClassifier or RNNRegressor
            Fitted. The last 10,000 epochs are shown. The threshold is that of its present parameters.
        name : str, default=None
            Name of the estimator, for the legend. Give one to draw several estimators on the same axes.
        panels, ax, score_name, line_kw
            As for :meth:`plot`.

        Returns
        -------
        display : TrainingCurveDisplay

        Raises
        ------
        NotFittedError, TypeError, ValueError

        Warns
        -----
        UserWarning
            If only some of the calls that trained the estimator had validation data. Their epochs are not recorded, so
            validation losses and scores are left out.

        Examples
        --------
        >>> from sklearn_rnn import RNNRegressor
        >>> from sklearn_rnn.datasets import make_adding_problem
        >>> from sklearn_rnn.inspection import TrainingCurveDisplay
        >>> X, y = make_adding_problem(20, 30, random_state=0)
        >>> regressor = RNNRegressor((8,), bidirectional=False, max_iter=2, random_state=0).fit(
        ...     X, y
        ... )
        >>> display = TrainingCurveDisplay.from_estimator(regressor, panels=["loss"])
        >>> len(display.losses)
        2
        """
        import_pyplot(f"{cls.__name__}.from_estimator")
        check_estimator(estimator)
        losses = np.array(estimator.loss_curve_)
        validation_losses, validation_scores = _validation_records(estimator)
        display = cls(
            losses=losses,
            validation_losses=validation_losses,
            validation_scores=validation_scores,
            gradient_norms=np.array(estimator.gradient_norms_),
            clip_norm=None if estimator.solver == "lbfgs" else clip_norm_of(estimator),
            clipped_fraction=estimator.clipped_fraction_,
            first_epoch=estimator.n_iter_ - len(losses) + 1,
            name=name,
        )
        return display.plot(ax, panels=panels, score_name=score_name, line_kw=line_kw)

    def plot(self, ax=None, *, panels=None, score_name="validation score", line_kw=None):
        """Draw the curves.

        Parameters
        ----------
        ax : matplotlib Axes or array-like of Axes of shape (n_panels,), default=None
            Axes to draw on. A single one is divided into the panels. To draw another estimator beside the first, pass
            the first display's ``axes_``. In a figure with ``layout="constrained"`` the legends have room. None: a new
            figure.
        panels : list of {"loss", "score", "gradient_norm"}, default=None
            The panels, from top to bottom. None: all for which there are figures.
        score_name : str, default="validation score"
            The score's name, at its axis.
        line_kw : dict, default=None
            Arguments of ``matplotlib.axes.Axes.plot`` for all curves.

        Returns
        -------
        self : TrainingCurveDisplay

        Raises
        ------
        ValueError
            For panels that are not known or without figures, and another number of axes than panels.

        Examples
        --------
        >>> from sklearn_rnn.inspection import TrainingCurveDisplay
        >>> display = TrainingCurveDisplay(
        ...     losses=[1.0, 0.4, 0.2], validation_losses=[1.1, 0.6, 0.5]
        ... )
        >>> list(display.plot().lines_)
        ['loss', 'validation_loss']
        """
        panels = self._check_panels(panels)
        self.axes_ = panels_to_draw_on(ax, self, panels, height=1.7)
        self.ax_, self.figure_ = self.axes_[0], self.axes_[0].figure
        self.lines_ = {}
        curves = {"loss": self._draw_losses, "score": self._draw_scores, "gradient_norm": self._draw_norms}
        labels = {"loss": "loss", "score": score_name, "gradient_norm": "gradient norm\nbefore clipping"}
        for panel, axes in zip(panels, self.axes_):
            curves[panel](axes, line_arguments(line_kw))
            axes.set_ylabel(labels[panel])
            add_legend(axes)
        self.axes_[-1].set_xlabel("epoch")
        count_along(self.axes_[-1].xaxis)
        return self

    def _check_panels(self, panels):
        """Return the panels to draw; refuse those without figures."""
        figures = dict(zip(PANELS, (self.losses, self.validation_scores, self.gradient_norms)))
        available = [panel for panel in PANELS if figures[panel] is not None]
        if panels is None:
            return available
        check_list(panels, PANELS, "panels")
        for panel in panels:
            if panel not in available:
                raise ValueError(
                    f"panels has {panel!r}, but there are no such figures: pass X_val and y_val to fit, or leave the "
                    f"panel out, as in panels={available}."
                )
        return list(panels)

    def _draw_losses(self, axes, line_kw):
        self._draw(axes, "loss", self.losses, "training", line_kw)
        if self.validation_losses is not None:
            self._draw(axes, "validation_loss", self.validation_losses, "validation", VALIDATION | line_kw)
        if _has_large_ratio([line.get_ydata() for line in axes.lines]):
            set_log_scale(axes)

    def _draw_scores(self, axes, line_kw):
        self._draw(axes, "score", self.validation_scores, None, VALIDATION | line_kw)

    def _draw_norms(self, axes, line_kw):
        label = None if self.clipped_fraction is None else f"{100 * self.clipped_fraction:.3g} % clipped"
        self._draw(axes, "gradient_norm", self.gradient_norms, label, line_kw)
        largest = np.max(self.gradient_norms, initial=0.0, where=np.isfinite(self.gradient_norms))
        if self.clip_norm is not None and self.clip_norm <= FAR_ABOVE * largest:
            color = self.lines_["gradient_norm"].get_color()
            label = self._label(f"clip_norm={self.clip_norm:g}")
            self.lines_["clip_norm"] = axes.axhline(self.clip_norm, color=color, linestyle=":", label=label)
        set_log_scale(axes)

    def _draw(self, axes, key, figures, label, line_kw):
        """Draw one curve. All curves of an estimator have one color, that of the first panel's next line."""
        figures = np.asarray(figures, dtype=float)
        epochs = np.arange(self.first_epoch, self.first_epoch + len(figures))
        style = {"label": self._label(label), "marker": marker_for(len(figures))}
        if self.lines_:
            style["color"] = next(iter(self.lines_.values())).get_color()
        (self.lines_[key],) = axes.plot(epochs, figures, **style | line_kw)

    def _label(self, label):
        return ": ".join(filter(None, (self.name, label))) or None


def _validation_records(estimator: Any) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Return validation losses and scores of every epoch; None if there are none, or if their epochs are not known."""
    losses, n_epochs = estimator.validation_loss_curve_, len(estimator.loss_curve_)
    if losses is None:
        return None, None
    if len(losses) == n_epochs:
        return np.array(losses), np.array(estimator.validation_scores_)
    warn_user(
        f"validation_loss_curve_ has {len(losses)} entries for {n_epochs} epochs, because only some of the calls that "
        "trained the estimator had validation data. Their epochs are not recorded, so the display leaves out "
        "validation losses and scores."
    )
    return None, None


def _has_large_ratio(curves: list[Any]) -> bool:
    """Whether figures are all positive, and so different that only a logarithmic axis shows the small ones."""
    figures = np.concatenate([np.asarray(curve, dtype=float) for curve in curves])
    figures = figures[np.isfinite(figures)]
    return bool(len(figures) and figures.min() > 0 and figures.max() > LARGE_RATIO * figures.min())
