"""StepPredictionDisplay: the targets and the predictions along one sequence."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from sklearn.base import is_classifier

from sklearn_rnn._data.alignment import check_alignment
from sklearn_rnn._data.missing import is_missing
from sklearn_rnn._data.step_values import check_per_step, target_parts
from sklearn_rnn.inspection._check import check_place
from sklearn_rnn.inspection._displays.drawing import (
    WIDTH,
    add_legend,
    axes_to_draw_on,
    count_along,
    import_pyplot,
    legend_columns,
    line_arguments,
    marker_for,
)

BLACK = (0.0, 0.0, 0.0, 1.0)
TRANSPARENT = (1.0, 1.0, 1.0, 0.0)
N_NAMED_CLASSES = 30  # in the legend


class StepPredictionDisplay:
    """The true targets and the predictions at every step of one sequence.

    Values are lines. Classes are bands of colors: the upper one has the true classes, the next one the predicted
    classes, and the lower one is black at the steps where they differ. Steps without a known target stay empty.

    Use :meth:`from_estimator` or :meth:`from_predictions` to create it. All parameters are stored as attributes.

    Parameters
    ----------
    y_true, y_pred : ndarray of shape (n_steps,)
        Targets and predictions of one sequence.
    classes : ndarray of shape (n_classes,), default=None
        The classes. None: y has values.

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure
    lines_ : list of matplotlib Line2D, or None
        The lines of the true and of the predicted values.
    images_ : dict of str to matplotlib AxesImage, or None
        The bands "true", "predicted" and "wrong" of classes.

    See Also
    --------
    HiddenStatesDisplay : The hidden states along one sequence.
    sklearn_rnn.model_selection.cross_val_predict_steps : Cross-validated predictions for every step.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> import numpy as np
    >>> from sklearn_rnn import RNNClassifier
    >>> from sklearn_rnn.inspection import StepPredictionDisplay
    >>> rng = np.random.default_rng(0)
    >>> X = [rng.normal(size=(n_steps, 1)) for n_steps in rng.integers(5, 20, size=40)]
    >>> y = [np.where(x[:, 0] > 0, "up", "down") for x in X]
    >>> clf = RNNClassifier((8,), readout="each", max_iter=10, random_state=0).fit(
    ...     X[:30], y[:30]
    ... )
    >>> display = StepPredictionDisplay.from_estimator(clf, X[30:], y[30:], index=2)
    >>> plt.show()
    """

    def __init__(self, *, y_true, y_pred, classes=None):
        self.y_true = y_true
        self.y_pred = y_pred
        self.classes = classes

    @classmethod
    def from_estimator(cls, estimator, X, y, *, index=0, output=0, ax=None, line_kw=None, im_kw=None):
        """Predict X, and draw the targets and the predictions of one sequence.

        Parameters
        ----------
        estimator : estimator
            Fitted, with a prediction for every step: an RNNClassifier or RNNRegressor with ``readout="each"``, or a
            pipeline or search with one.
        X : array-like or list
            Sequences, as for the estimator's ``predict``, which reads all of them.
        y : array-like or list
            Targets of every step. None, NaN and pandas.NA are unknown.
        index : int, default=0
            The place of the sequence in X; from the end if negative.
        output : int, default=0
            The output to draw, if y has several.
        ax, line_kw, im_kw
            As for :meth:`plot`.

        Returns
        -------
        display : StepPredictionDisplay

        Raises
        ------
        NotFittedError, TypeError, ValueError

        Examples
        --------
        >>> import numpy as np
        >>> from sklearn_rnn import RNNRegressor
        >>> from sklearn_rnn.inspection import StepPredictionDisplay
        >>> X = [np.sin(np.arange(n_steps)) for n_steps in (20, 30)]
        >>> regressor = RNNRegressor((8,), readout="each", max_iter=5, random_state=0).fit(X, X)
        >>> display = StepPredictionDisplay.from_estimator(regressor, X, X, index=1)
        >>> display.y_pred.shape
        (30,)
        """
        import_pyplot(f"{cls.__name__}.from_estimator")
        predictions = check_per_step(estimator.predict(X), "predict", type(estimator).__name__)
        check_alignment(X, y, "y")
        targets = target_parts(y)
        if len(targets) != len(predictions):
            raise ValueError(f"y is for {len(targets)} sequences, but X is for {len(predictions)}.")
        index = check_place(index, len(predictions), "index", "X", "sequences")
        y_true, y_pred = targets[index], predictions[index]
        if y_true.shape != y_pred.shape:
            raise ValueError(
                f"y[{index}] has shape {y_true.shape}, but the predictions for X[{index}] have {y_pred.shape}: one "
                "target for each step is needed."
            )
        classes = estimator.classes_ if is_classifier(estimator) else None
        if y_true.ndim > 1:
            output = check_place(output, y_true.shape[1], "output", "y", "outputs")
            y_true, y_pred = y_true[:, output], y_pred[:, output]
        return cls.from_predictions(y_true, y_pred, classes=classes, ax=ax, line_kw=line_kw, im_kw=im_kw)

    @classmethod
    def from_predictions(cls, y_true, y_pred, *, classes=None, ax=None, line_kw=None, im_kw=None):
        """Draw the targets and the predictions of one sequence.

        Parameters
        ----------
        y_true, y_pred : array-like of shape (n_steps,)
            True targets, and predictions: of any estimator, or an entry of what
            :func:`~sklearn_rnn.model_selection.cross_val_predict_steps` returns.
        classes : array-like of shape (n_classes,), default=None
            All classes, in the order of their colors. None: y has values.
        ax, line_kw, im_kw
            As for :meth:`plot`.

        Returns
        -------
        display : StepPredictionDisplay

        Raises
        ------
        ValueError
            For targets and predictions of other shapes, labels without ``classes``, and labels that are no classes.

        Examples
        --------
        >>> from sklearn_rnn.inspection import StepPredictionDisplay
        >>> y_true, y_pred = ["idle", "load", None, "load"], ["idle", "idle", "load", "load"]
        >>> display = StepPredictionDisplay.from_predictions(
        ...     y_true, y_pred, classes=["idle", "load"]
        ... )
        >>> list(display.images_)
        ['true', 'predicted', 'wrong']
        """
        y_true, y_pred = np.asarray(y_true), np.asarray(y_pred)
        for name, values in (("y_true", y_true), ("y_pred", y_pred)):
            if values.ndim != 1 or len(values) == 0:
                raise ValueError(f"{name} has shape {values.shape}, but one value for each step is needed: (n_steps,).")
        if len(y_true) != len(y_pred):
            raise ValueError(f"y_pred has {len(y_pred)} steps, but y_true has {len(y_true)}.")
        if classes is None:
            y_true, y_pred = _numbers(y_true, "y_true"), _numbers(y_pred, "y_pred")
        else:
            classes = np.asarray(classes)
        return cls(y_true=y_true, y_pred=y_pred, classes=classes).plot(ax, line_kw=line_kw, im_kw=im_kw)

    def plot(self, ax=None, *, line_kw=None, im_kw=None):
        """Draw the lines, or the bands.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on; in a figure with ``layout="constrained"`` their legend has room. None: a new figure.
        line_kw : dict, default=None
            Arguments of ``matplotlib.axes.Axes.plot``, for values.
        im_kw : dict, default=None
            Arguments of ``matplotlib.axes.Axes.imshow``, for classes.

        Returns
        -------
        self : StepPredictionDisplay

        Raises
        ------
        ValueError
            For labels that are no classes.

        Examples
        --------
        >>> from sklearn_rnn.inspection import StepPredictionDisplay
        >>> display = StepPredictionDisplay.from_predictions([1.0, 2.0, 3.0], [1.1, 1.8, 3.2])
        >>> display = display.plot(line_kw={"linestyle": "--"})
        >>> [line.get_label() for line in display.lines_]
        ['true', 'predicted']
        """
        self.lines_ = self.images_ = None
        if self.classes is None:
            self.ax_ = axes_to_draw_on(ax, self, height=2.8)
            self._draw_values(line_arguments(line_kw))
        else:
            true = _codes(self.y_true, self.classes, "y_true")
            predicted = _codes(self.y_pred, self.classes, "y_pred")
            handles = _handles(np.concatenate([true, predicted]), self.classes)
            n_lines = len(handles) / legend_columns([handle.get_label() for handle in handles], WIDTH)
            self.ax_ = axes_to_draw_on(ax, self, height=1.8 + 0.22 * math.ceil(n_lines))
            self._draw_classes(true, predicted, im_kw or {})
            add_legend(self.ax_, handles)
        self.figure_ = self.ax_.figure
        self.ax_.set_xlabel("step")
        count_along(self.ax_.xaxis)
        return self

    def _draw_values(self, line_kw):
        # A known target between two unknown ones is no line: it needs a marker.
        marker = "." if np.isnan(self.y_true).any() else marker_for(len(self.y_true))
        self.lines_ = [
            *self.ax_.plot(self.y_true, **{"label": "true", "color": "black", "marker": marker} | line_kw),
            *self.ax_.plot(self.y_pred, **{"label": "predicted", "color": "C1", "marker": marker} | line_kw),
        ]
        self.ax_.set_ylabel("target")
        add_legend(self.ax_)

    def _draw_classes(self, true, predicted, im_kw):
        colors = _colors(len(self.classes))
        marks = np.where((true >= 0) & (true != predicted), 0, -1)
        bands = {
            "true": _painted(true, colors),
            "predicted": _painted(predicted, colors),
            "wrong": _painted(marks, np.array([BLACK])),
        }
        # Colors of steps that share a pixel are mixed. An image for each band, because bands shall not be mixed.
        style = {"aspect": "auto", "interpolation_stage": "rgba"} | im_kw
        self.images_ = {
            name: self.ax_.imshow(band[None], extent=(-0.5, len(band) - 0.5, row + 0.4, row - 0.4), **style)
            for row, (name, band) in enumerate(bands.items())
        }
        self.ax_.set(ylim=(len(bands) - 0.5, -0.5), yticks=range(len(bands)), yticklabels=list(bands))


def _painted(codes: np.ndarray, colors: np.ndarray) -> np.ndarray:
    """Return a color for each code, (n_steps, 4); none for the code -1."""
    return np.where((codes >= 0)[:, None], colors[codes], TRANSPARENT)


def _handles(codes: np.ndarray, classes: Any) -> list[Any]:
    """Return a patch for each class that is drawn, with its name; if there are too many, for the most frequent ones."""
    from matplotlib.patches import Patch

    counts = np.bincount(codes[codes >= 0], minlength=len(classes))
    drawn = np.flatnonzero(counts)
    named = np.sort(drawn[np.argsort(-counts[drawn], kind="stable")][:N_NAMED_CLASSES])
    colors = _colors(len(classes))
    handles = [Patch(color=colors[code], label=str(classes[code])) for code in named]
    if len(named) < len(drawn):
        handles.append(Patch(color=TRANSPARENT, label=f"and {len(drawn) - len(named)} more"))
    return handles


def _numbers(values: np.ndarray, name: str) -> np.ndarray:
    """Return values as float64, with NaN where they are unknown."""
    if values.dtype.kind in "US" or (values.dtype == object and any(isinstance(value, str) for value in values)):
        raise ValueError(f"{name} has labels, but classes=None: pass the classes, as in classes=estimator.classes_.")
    return np.where(is_missing(values), np.nan, values).astype(np.float64)


def _codes(labels: Any, classes: np.ndarray, name: str) -> np.ndarray:
    """Return the place of each label in ``classes``; -1 where it is unknown."""
    labels = np.asarray(labels)
    code_of = {label: code for code, label in enumerate(np.asarray(classes).tolist())}
    codes = np.full(len(labels), -1)
    for step in np.flatnonzero(~is_missing(labels)):
        label = labels[step].item() if isinstance(labels[step], np.generic) else labels[step]
        if label not in code_of:
            raise ValueError(
                f"{name}[{step}] is {label!r}, which is none of the {len(code_of)} classes (the first one is "
                f"{next(iter(code_of), None)!r}): pass all classes, of the type of the labels."
            )
        codes[step] = code_of[label]
    return codes


def _colors(n_classes: int) -> np.ndarray:
    """Return a color (r, g, b, a) for each class."""
    from matplotlib import colormaps

    if n_classes <= 20:
        return colormaps["tab10" if n_classes <= 10 else "tab20"](np.arange(n_classes))
    return colormaps["turbo"](np.linspace(0, 1, n_classes))
