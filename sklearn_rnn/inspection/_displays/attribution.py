"""AttributionDisplay: the part of each value of each step of one sequence in an output."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.utils._param_validation import validate_parameter_constraints

from sklearn_rnn.inspection._check import check_choice, check_place
from sklearn_rnn.inspection._displays.drawing import (
    axes_to_draw_on,
    count_along,
    import_pyplot,
    line_arguments,
    marker_for,
)
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
# More steps than these in an inch are drawn in groups, each with the sum of its parts: steps of less than a pixel would
# be lost.
COLUMNS_PER_INCH = 60
# Heights in inches: of a new figure without its rows and at most, of a row of numbers, of categories, and one of many
# rows; the least that a curve, a name of a category and a name of a feature need.
HEIGHT_OF_REST, LARGEST_HEIGHT, HEIGHT_OF_ONE = 1.3, 7.0, 1.7
HEIGHT_OF_ROW, HEIGHT_OF_CATEGORIES, HEIGHT_OF_SMALL_ROW = 0.65, 0.9, 0.17
HEIGHT_OF_CURVE, HEIGHT_OF_CATEGORY, HEIGHT_OF_NAME = 0.3, 0.5, 0.15
N_ROWS_WITH_CURVES = 8
# The least number of bars that fill the width of the axes.
N_BARS = 6
MOST_EDGES = 75  # of bars with an edge
# The part of a row's height in which its curve lies.
SHARE_OF_CURVE = 0.7
# Sizes of texts: of a category within a row, in points and in inches; the letters of an inch; the longest names.
POINTS_OF_CATEGORY, WIDTH_OF_CATEGORY, LETTERS_PER_INCH = 8, 0.14, 15
POINTS_PER_INCH, WIDTH_OF_LETTER = 72, 0.6  # the width in font sizes
N_LETTERS_OF_OUTPUT, N_LETTERS_OF_FEATURE, N_LETTERS_OF_TICK = 40, 24, 14
# The share of the axes' width that is left when names and the color bar have their room.
SHARE_OF_WIDTH = 0.8


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
        has_bars = attributions.shape[1] == 1 and self._has_categories(0)
        self.ax_ = axes_to_draw_on(ax, self, height=self._height(has_bars))
        self.figure_ = self.ax_.figure
        title = self._title(attributions.sum())  # for the width before the color bar takes its part
        parts, size = _in_groups(attributions, int(self._width() * COLUMNS_PER_INCH))
        largest = np.max(np.abs(parts), initial=0.0, where=np.isfinite(parts)) or 1.0
        style = {"cmap": cmap, "vmin": -largest, "vmax": largest} | (im_kw or {})
        label = LABELS[self.method] + (f"\n(sums of {size} steps)" if size > 1 else "")
        if has_bars:
            self._draw_bars(parts[:, 0], size, style, label)
        else:
            self._draw_image(parts, size, style, line_arguments(line_kw))
            self.colorbar_ = self.figure_.colorbar(self.image_, ax=self.ax_, label=label) if colorbar else None
        self.ax_.set_title(title, loc="left", fontsize="medium")
        return self

    # ---- Sizes, texts ------------------------------------------------------------------------------------

    def _has_categories(self, feature):
        """Whether a feature has categories, so that its values are names."""
        return self.values is not None and not _is_numeric(self.values[:, feature])

    def _height(self, has_bars):
        """Return the height in inches of a new figure."""
        n_rows = len(self.feature_names)
        if n_rows == 1:
            return HEIGHT_OF_REST + HEIGHT_OF_ONE + (0.4 if has_bars else 0)
        row = HEIGHT_OF_SMALL_ROW
        if n_rows <= N_ROWS_WITH_CURVES:
            row = HEIGHT_OF_CATEGORIES if any(map(self._has_categories, range(n_rows))) else HEIGHT_OF_ROW
        return min(max(HEIGHT_OF_REST + HEIGHT_OF_ONE, HEIGHT_OF_REST + row * n_rows), LARGEST_HEIGHT)

    def _title(self, total):
        """Return the name and the value of the output and, if the parts have a sum, where it comes from."""
        name = _shortened(self.output_name, N_LETTERS_OF_OUTPUT)
        if self.output is None:
            return name
        figures = [self.output, total] + ([] if self.baseline_output is None else [self.baseline_output])
        text = _formatter(figures)
        first = f"{name}: {text(self.output)}"
        if self.baseline_output is None:
            return first
        if self.method != "integrated_gradients":
            return f"{first}\nof the baseline: {text(self.baseline_output)}"
        error = self.output - self.baseline_output - total
        terms = [(self.baseline_output, "baseline"), (total, "sum of all parts"), (error, "error")]
        terms = terms if text(error).strip("0.−") else terms[:2]
        texts = [f"{sign} {text(value)} ({term})".replace("+ −", "− ") for sign, (value, term) in zip("=++", terms)]
        return "\n".join([first, *_in_lines(texts, self._letters_of_title())])

    def _letters_of_title(self):
        """Return about the number of letters of the title that the width of the axes has room for."""
        from matplotlib.font_manager import FontProperties

        points = FontProperties(size="medium").get_size_in_points()
        return self.ax_.bbox.width / self.figure_.dpi * POINTS_PER_INCH / (WIDTH_OF_LETTER * points)

    # ---- Bars of a single feature of categories ----------------------------------------------------------

    def _draw_bars(self, parts, size, style, label):
        from matplotlib import colormaps
        from matplotlib.colors import Normalize

        n_steps = len(self.attributions)
        colormap = colormaps[style["cmap"]] if isinstance(style["cmap"], str) else style["cmap"]
        colors = colormap(Normalize(style["vmin"], style["vmax"])(parts))
        left = np.arange(len(parts)) * size - 0.5
        widths = np.minimum(left + size, n_steps - 0.5) - left
        edges = {"edgecolor": "0.4", "linewidth": 0.5} if n_steps <= MOST_EDGES else {}
        self.bars_ = self.ax_.bar(left, parts, width=widths, align="edge", color=colors, **edges)
        self.ax_.axhline(0, color="0.4", linewidth=0.8)
        margin = max(0, N_BARS - n_steps) / 2
        self.ax_.set(ylabel=label, xlim=(-0.5 - margin, n_steps - 0.5 + margin))
        steps = _largest(np.abs(self.attributions[:, 0]), int(self._width() / WIDTH_OF_CATEGORY))
        names = [_shortened(_name(self.values[step, 0]), N_LETTERS_OF_TICK) for step in steps]
        self.ax_.set_xticks(steps, names, rotation=0 if self._has_room(names) else 90)
        named = "" if len(steps) == n_steps else f" ({n_steps} steps; the largest parts are named)"
        self.ax_.set_xlabel(self.feature_names[0] + named)

    # ---- Rows of an image --------------------------------------------------------------------------------

    def _draw_image(self, parts, size, style, line_kw):
        n_steps, n_rows = self.attributions.shape
        names = [_shortened(name, N_LETTERS_OF_FEATURE) for name in self.feature_names]
        # The last group may have fewer steps than the others: the limits cut it.
        extent = (-0.5, len(parts) * size - 0.5, n_rows - 0.5, -0.5)
        # Any other interpolation mixes the colors of features.
        style = {"aspect": "auto", "interpolation": "nearest", "extent": extent} | style
        image = self.image_ = self.ax_.imshow(parts.T, **style)
        self.ax_.set(xlabel="step", xlim=(-0.5, n_steps - 0.5))
        count_along(self.ax_.xaxis)
        if n_rows == 1:
            self._draw_single(image, names[0], line_kw)
            return
        height = self.ax_.bbox.height / self.figure_.dpi / n_rows
        if self.values is not None:
            names = [name + self._draw_row(row, height, line_kw) for row, name in enumerate(names)]
        if height < HEIGHT_OF_NAME:
            self.ax_.set_yticks([])
            self.ax_.set_ylabel(f"{n_rows} features")
            return
        self.ax_.set_yticks(range(n_rows), names)
        for row in range(1, n_rows):
            self.ax_.axhline(row - 0.5, color="white", linewidth=1)

    def _draw_single(self, image, name, line_kw):
        """Draw the values of a single feature over its colors, with their own axis."""
        self.ax_.set_ylabel(name)
        if self.values is None:
            self.ax_.set_yticks([])
            return
        values = self.values[:, 0].astype(float)
        low, high = _limits(values)
        margin = 0.08 * (high - low) or 0.5
        left, right, *_ = image.get_extent()
        image.set_extent((left, right, low - margin, high + margin))
        self.ax_.set(xlim=(-0.5, len(values) - 0.5), ylim=(low - margin, high + margin))
        self._draw_curve(values, line_kw)

    def _draw_row(self, row, height, line_kw):
        """Draw the values of one of several features within its row, of this height in inches, if there is room.

        Returns the text that stands after its name: the range of the curve.
        """
        if self._has_categories(row):
            if height >= HEIGHT_OF_CATEGORY:
                self._name_categories(row, height)
            return ""
        values = self.values[:, row].astype(float)
        if height < HEIGHT_OF_CURVE or not np.isfinite(values).any():
            return ""
        low, high = _limits(values)
        shares = (values - low) / (high - low) if high > low else np.full(len(values), 0.5)
        self._draw_curve(row + SHARE_OF_CURVE * (0.5 - shares), line_kw)
        text = _formatter([low, high])
        return f"\n{text(low)}{f' to {text(high)}' if high > low else ''}"

    def _draw_curve(self, heights, line_kw):
        from matplotlib.patheffects import Normal, Stroke

        marker = marker_for(len(heights))
        width = 1.2 if marker else 0.8
        style = {"color": "black", "linewidth": width, "marker": marker, "markersize": 4}
        style["path_effects"] = [Stroke(linewidth=width + 1.4, foreground="white"), Normal()]
        self.lines_ += self.ax_.plot(heights, **style | line_kw)

    def _name_categories(self, row, height):
        """Write the names of categories into their row."""
        from matplotlib.patheffects import Normal, Stroke

        n_steps, n_letters = len(self.attributions), int(0.9 * height * LETTERS_PER_INCH)
        n_names = int(self._width() / WIDTH_OF_CATEGORY)
        margin = 0
        if n_names < n_steps:  # fewer names are easier to read
            n_names = n_names // 2
            margin = n_steps // (2 * n_names)  # of the names, at both ends
        sizes = np.abs(self.attributions[margin : n_steps - margin, row])
        steps = [margin + step for step in _largest(sizes, n_names)]
        names = [_shortened(_name(self.values[step, row]), n_letters) for step in steps]
        for step, name in zip(steps, names):
            self.ax_.text(
                step,
                row,
                name,
                rotation=0 if self._has_room(names) else 90,
                ha="center",
                va="center",
                fontsize=POINTS_OF_CATEGORY,
                path_effects=[Stroke(linewidth=2, foreground="white"), Normal()],
            )

    def _has_room(self, names):
        """Whether the names of categories can stand side by side."""
        return max(map(len, names)) < self._width() / max(len(names), N_BARS) * LETTERS_PER_INCH

    def _width(self):
        """Return about the width of the axes, beside names and the color bar, in inches."""
        return SHARE_OF_WIDTH * self.ax_.bbox.width / self.figure_.dpi


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


def _is_numeric(values: np.ndarray) -> bool:
    """Whether all values are numbers."""
    if values.dtype.kind in "biuf":
        return True
    return values.dtype == object and all(isinstance(value, (int, float, np.number)) for value in values)


def _name(category: Any) -> str:
    """Return the name of a category. None is the unknown one."""
    return "unknown" if category is None else str(category)


def _shortened(text: str, n_letters: int) -> str:
    return text if len(text) <= n_letters else text[: max(1, n_letters - 1)] + "…"


def _in_lines(texts: list[str], n_letters: float) -> list[str]:
    """Return texts one after the other, in lines of at most so many letters; a longer text has its own line."""
    lines = texts[:1]
    for text in texts[1:]:
        if len(lines[-1]) + 1 + len(text) <= n_letters:
            lines[-1] += f" {text}"
        else:
            lines.append(text)
    return lines


def _limits(values: np.ndarray) -> tuple[float, float]:
    """Return the least and the largest of the finite values; zeros if there are none."""
    finite = values[np.isfinite(values)]
    return (float(finite.min()), float(finite.max())) if len(finite) else (0.0, 0.0)


def _in_groups(attributions: np.ndarray, n_groups: int) -> tuple[np.ndarray, int]:
    """Return the sums of at most ``n_groups`` groups of steps, by feature, and the number of steps of a group."""
    size = -(-len(attributions) // max(1, n_groups))
    return np.add.reduceat(attributions, np.arange(0, len(attributions), size), axis=0), size


def _largest(sizes: np.ndarray, n_names: int) -> list[int]:
    """Return about ``n_names`` steps with large parts, so far apart that their names don't overlap, in their order."""
    distance = -(-len(sizes) // max(1, n_names))
    chosen: list[int] = []
    for step in np.argsort(-sizes, kind="stable").tolist():
        if all(abs(step - other) >= distance for other in chosen):
            chosen.append(step)
    return sorted(chosen)


def _formatter(figures: list[float]) -> Any:
    """Return a function that formats figures with as many decimals as three digits of the largest one need."""
    largest = max([abs(float(figure)) for figure in figures if np.isfinite(figure)], default=0.0)
    exponent = int(np.floor(np.log10(largest))) if largest > 0 else 0
    style = f".{max(0, 2 - exponent)}f" if -4 <= exponent < 7 else ".2e"
    return lambda figure: f"{float(figure):{style}}".replace("-", "−")
