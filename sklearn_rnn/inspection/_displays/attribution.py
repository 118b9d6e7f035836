"""AttributionDisplay: the part of each value of each step of one sequence in an output."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.utils._param_validation import validate_parameter_constraints

from sklearn_rnn.inspection._check import check_choice, check_place
from sklearn_rnn.inspection._displays.attribution_picture import AttributionPicture, height_of
from sklearn_rnn.inspection._displays.drawing import axes_to_draw_on, import_pyplot, line_arguments
from sklearn_rnn.inspection._displays.texts import formatter, in_lines, letters_of_title, shortened
from sklearn_rnn.inspection._explanations.baselines import in_user_units
from sklearn_rnn.inspection._explanations.explanation import METHODS, SETTINGS, Comparison, explain

LABELS = {
    "integrated_gradients": "added to the output",
    "gradient": "derivative of the output",
    "occlusion": "output − output\nwithout the value",
    "step_occlusion": "output − output\nwithout the step",
    "step_removal": "output − output\nwithout the step",
}
OF_STEPS = ("step_occlusion", "step_removal")  # methods with one number for a step
N_LETTERS_OF_OUTPUT = 40  # the longest name


class AttributionDisplay:
    """The part of each value of each step of one sequence in an output.

    Red values raised the output, blue ones lowered it. Each feature is a row, each step a column. The curve in a row
    shows the values of the feature. For categories, their names stand in the row. A single feature of categories has
    bars, with the names of the categories below. Where there is no room for all names, those with the largest parts
    are named. More steps than columns fit (about 190) are drawn in groups, in the color of the sum of the group.

    Use :meth:`from_estimator` or :meth:`from_attributions` to create it. All parameters are stored as attributes.

    Parameters
    ----------
    attributions : ndarray of shape (n_steps, n_features), float
        The parts of the values; (n_steps, 1) if they are those of whole steps.
    values : ndarray of shape (n_steps, n_features), or None
        The values themselves: numbers, or an object array with strings for categories.
    feature_names : list of str
        A name for each feature of ``attributions``.
    output, baseline_output : float or None
        The output of the sequence and of the baseline, for the title.
    output_name : str
        The name of the output, for the title.
    method : str
        The method of :func:`~sklearn_rnn.inspection.attribute`, for the labels.

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure
    image_ : matplotlib AxesImage or None
        The colors. None with bars.
    bars_ : matplotlib BarContainer or None
        The bars of a single feature of categories.
    lines_ : list of matplotlib Line2D
        The curves of the values, as far as there is room for them.
    colorbar_ : matplotlib Colorbar or None

    See Also
    --------
    attribute : The parts, for many sequences.
    HiddenStatesDisplay : The hidden states along one sequence.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> from sklearn_rnn import RNNRegressor
    >>> from sklearn_rnn.datasets import make_adding_problem
    >>> from sklearn_rnn.inspection import AttributionDisplay
    >>> X, y = make_adding_problem(40, 20, random_state=0)
    >>> regressor = RNNRegressor((8,), max_iter=5, random_state=0).fit(X, y)
    >>> display = AttributionDisplay.from_estimator(
    ...     regressor, X, index=3, feature_names=["number", "mark"]
    ... )
    >>> display.attributions.shape
    (20, 2)
    >>> plt.show()
    """

    def __init__(
        self,
        *,
        attributions,
        values=None,
        feature_names,
        output=None,
        baseline_output=None,
        output_name="output",
        method="integrated_gradients",
    ):
        self.attributions = attributions
        self.values = values
        self.feature_names = feature_names
        self.output = output
        self.baseline_output = baseline_output
        self.output_name = output_name
        self.method = method

    @classmethod
    def from_estimator(
        cls,
        estimator,
        X,
        output=None,
        *,
        index=0,
        step=None,
        method="integrated_gradients",
        baseline="mean",
        n_points="auto",
        n_jobs=None,
        feature_names=None,
        ax=None,
        cmap="RdBu_r",
        colorbar=True,
        im_kw=None,
        line_kw=None,
    ):
        """Explain the output of a fitted estimator for one sequence of X, and draw the parts.

        Parameters
        ----------
        estimator : RNNClassifier, RNNRegressor, or Pipeline that ends in one
            Fitted. As for :func:`~sklearn_rnn.inspection.attribute`: through scalers the values have the user's units.
        X : array-like or list
            Sequences, as for ``predict``. One of them is explained; the baseline "mean" is that of all.
        output : label or int, default=None
            The class, or the index of the value, that is explained. None: the predicted class, or the only value.
        index : int, default=0
            The place of the sequence in X; from the end if negative.
        step : int, default=None
            For ``readout="each"``, the step whose output is explained. None: the last.
        method, baseline, n_points, n_jobs
            As for :func:`~sklearn_rnn.inspection.attribute`.
        feature_names : list of str, default=None
            Names of the features of a step. None: those that the estimator, or the transformer before it, knows.
        ax, cmap, colorbar, im_kw, line_kw
            As for :meth:`plot`.

        Returns
        -------
        display : AttributionDisplay

        Raises
        ------
        NotFittedError, TypeError, ValueError

        Examples
        --------
        >>> from sklearn_rnn import RNNClassifier
        >>> from sklearn_rnn.inspection import AttributionDisplay
        >>> X = [list("aab"), list("cb"), list("abca"), list("bb")]
        >>> y = ["no", "yes", "yes", "no"]
        >>> clf = RNNClassifier((8,), max_iter=10, random_state=0).fit(X, y)
        >>> display = AttributionDisplay.from_estimator(clf, X, "yes", index=2)
        >>> display.values.ravel().tolist()
        ['a', 'b', 'c', 'a']
        """
        import_pyplot(f"{cls.__name__}.from_estimator")
        settings = {"method": method, "n_points": n_points, "n_jobs": n_jobs}
        validate_parameter_constraints(SETTINGS, settings, caller_name=f"{cls.__name__}.from_estimator")
        comparison = Comparison.read(estimator, X, baseline)
        n_features, source = comparison.sequences.n_features, comparison.source
        if feature_names is None:
            # Names of the columns of a table are none of the features of a step.
            feature_names = [f"x{i}" for i in range(n_features)]
            feature_names = feature_names if comparison.schema.is_table else source.feature_names(n_features)
        comparison = comparison.only(check_place(index, len(comparison.sequences), "index", "X", "sequences"))
        explained = explain(comparison, output, step, method, n_points, n_jobs)
        return cls.from_attributions(
            explained.values,
            in_user_units(comparison.sequences.load([0]).rows, comparison.schema, source.units),
            feature_names=feature_names,
            output=explained.outputs[0],
            baseline_output=explained.baseline_outputs[0],
            output_name=explained.explained.name_of(0),
            method=method,
            ax=ax,
            cmap=cmap,
            colorbar=colorbar,
            im_kw=im_kw,
            line_kw=line_kw,
        )

    @classmethod
    def from_attributions(
        cls,
        attributions,
        values=None,
        *,
        feature_names=None,
        output=None,
        baseline_output=None,
        output_name="output",
        method="integrated_gradients",
        ax=None,
        cmap="RdBu_r",
        colorbar=True,
        im_kw=None,
        line_kw=None,
    ):
        """Draw the parts of one sequence.

        Parameters
        ----------
        attributions : array-like of shape (n_steps, n_features) or (n_steps,)
            An entry of the ``attributions`` of :func:`~sklearn_rnn.inspection.attribute`.
        values : array-like of shape (n_steps, n_features) or (n_steps,), default=None
            The sequence: numbers or, for categories, strings. None: no values are drawn.
        feature_names : list of str, default=None
            Names of the features of ``values``. None: x0, x1, …
        output, baseline_output : float, default=None
            An entry of ``outputs`` and of ``baseline_outputs``. None: the title is without them.
        output_name : str, default="output"
            Name of the output, such as "score of 'fails'".
        method : str, default="integrated_gradients"
            The method of the parts, for the labels.
        ax, cmap, colorbar, im_kw, line_kw
            As for :meth:`plot`.

        Returns
        -------
        display : AttributionDisplay

        Raises
        ------
        ValueError
            For attributions of another shape, and values or names that do not fit.

        Examples
        --------
        >>> from sklearn_rnn.inspection import AttributionDisplay
        >>> display = AttributionDisplay.from_attributions(
        ...     [0.1, -0.2, 0.9], ["not", "a", "failure"], output=1.3, baseline_output=0.5
        ... )
        >>> display.ax_.get_title(loc="left").splitlines()[0]
        'output: 1.30'
        """
        check_choice(method, METHODS, "method")
        attributions = _columns(attributions, "attributions").astype(np.float64)
        values = None if values is None else _columns(values, "values")
        if values is not None and len(values) != len(attributions):
            raise ValueError(f"values has {len(values)} steps, but attributions has {len(attributions)}.")
        n_features = attributions.shape[1] if values is None else values.shape[1]
        names = [f"x{i}" for i in range(n_features)] if feature_names is None else list(map(str, feature_names))
        if len(names) != n_features:
            raise ValueError(f"feature_names has {len(names)} names, but there are {n_features} features.")
        if method in OF_STEPS and attributions.shape[1] == 1 < n_features:
            values, names = None, ["all features"]  # the parts are those of whole steps
        elif attributions.shape[1] != n_features:
            raise ValueError(f"values has {n_features} features, but attributions has {attributions.shape[1]}.")
        display = cls(
            attributions=attributions,
            values=values,
            feature_names=names,
            output=output,
            baseline_output=baseline_output,
            output_name=output_name,
            method=method,
        )
        return display.plot(ax, cmap=cmap, colorbar=colorbar, im_kw=im_kw, line_kw=line_kw)

    def plot(self, ax=None, *, cmap="RdBu_r", colorbar=True, im_kw=None, line_kw=None):
        """Draw the parts and the values.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on. None: a new figure.
        cmap : str or matplotlib Colormap, default="RdBu_r"
            A diverging map: its middle is the part 0.
        colorbar : bool, default=True
            Whether a bar shows the values of the colors. Bars of categories have none: their height shows it.
        im_kw : dict, default=None
            Arguments of ``matplotlib.axes.Axes.imshow``.
        line_kw : dict, default=None
            Arguments of ``matplotlib.axes.Axes.plot`` for the curves of the values.

        Returns
        -------
        self : AttributionDisplay

        Examples
        --------
        >>> import numpy as np
        >>> from sklearn_rnn.inspection import AttributionDisplay
        >>> display = AttributionDisplay(
        ...     attributions=np.array([[0.5], [-0.1]]), feature_names=["pressure"]
        ... )
        >>> display.plot(colorbar=False).ax_.get_ylabel()
        'pressure'
        """
        attributions = np.asarray(self.attributions, dtype=float)
        self.lines_, self.image_, self.bars_, self.colorbar_ = [], None, None, None
        self.ax_ = axes_to_draw_on(ax, self, height=height_of(self.values, len(self.feature_names)))
        self.figure_ = self.ax_.figure
        picture = AttributionPicture(self.ax_, attributions, self.values, self.feature_names)
        title = self._title(attributions.sum())  # for the width before the color bar takes its part
        parts, size = picture.groups()
        largest = np.max(np.abs(parts), initial=0.0, where=np.isfinite(parts)) or 1.0
        style = {"cmap": cmap, "vmin": -largest, "vmax": largest} | (im_kw or {})
        label = LABELS[self.method] + (f"\n(sums of {size} steps)" if size > 1 else "")
        if picture.has_bars:
            self.bars_ = picture.draw_bars(parts[:, 0], size, style, label)
        else:
            self.image_ = picture.draw_image(parts, size, style, line_arguments(line_kw))
            self.lines_ = picture.lines
            self.colorbar_ = self.figure_.colorbar(self.image_, ax=self.ax_, label=label) if colorbar else None
        self.ax_.set_title(title, loc="left", fontsize="medium")
        return self

    def _title(self, total):
        """Return the name and the value of the output and, if the parts have a sum, where it comes from."""
        name = shortened(self.output_name, N_LETTERS_OF_OUTPUT)
        if self.output is None:
            return name
        figures = [self.output, total] + ([] if self.baseline_output is None else [self.baseline_output])
        text = formatter(figures)
        first = f"{name}: {text(self.output)}"
        if self.baseline_output is None:
            return first
        if self.method != "integrated_gradients":
            return f"{first}\nof the baseline: {text(self.baseline_output)}"
        error = self.output - self.baseline_output - total
        terms = [(self.baseline_output, "baseline"), (total, "sum of all parts"), (error, "error")]
        terms = terms if text(error).strip("0.−") else terms[:2]
        texts = [f"{sign} {text(value)} ({term})".replace("+ −", "− ") for sign, (value, term) in zip("=++", terms)]
        return "\n".join([first, *in_lines(texts, letters_of_title(self.ax_))])


def _columns(values: Any, name: str) -> np.ndarray:
    """Return an array (n_steps, n_features), of objects where strings and numbers are mixed."""
    array = values.to_numpy() if hasattr(values, "to_numpy") else np.asarray(values)
    if array.ndim == 1:
        array = array[:, None]
    if array.ndim != 2 or array.size == 0:
        raise ValueError(
            f"{name} has shape {np.shape(values)}, but that of one sequence is needed: (n_steps, n_features), or "
            "(n_steps,) for one number at each step."
        )
    return array
