"""The picture of an AttributionDisplay: bars of a single feature of categories, or rows of colors with values."""

from __future__ import annotations

from typing import Any

import numpy as np

from sklearn_rnn.inspection._displays.drawing import count_along, marker_for
from sklearn_rnn.inspection._displays.texts import formatter, shortened

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
N_LETTERS_OF_FEATURE, N_LETTERS_OF_TICK = 24, 14
# The share of the axes' width that is left when names and the color bar have their room.
SHARE_OF_WIDTH = 0.8


def has_categories(values: np.ndarray | None, feature: int) -> bool:
    """Whether a feature has categories, so that its values are names."""
    return values is not None and not _is_numeric(values[:, feature])


def height_of(values: np.ndarray | None, n_rows: int) -> float:
    """Return the height in inches of a new figure of the values of so many features."""
    if n_rows == 1:
        return HEIGHT_OF_REST + HEIGHT_OF_ONE + (0.4 if has_categories(values, 0) else 0)
    row = HEIGHT_OF_SMALL_ROW
    if n_rows <= N_ROWS_WITH_CURVES:
        row = HEIGHT_OF_CATEGORIES if any(has_categories(values, k) for k in range(n_rows)) else HEIGHT_OF_ROW
    return min(max(HEIGHT_OF_REST + HEIGHT_OF_ONE, HEIGHT_OF_REST + row * n_rows), LARGEST_HEIGHT)


class AttributionPicture:
    """The parts and the values of the steps of one sequence, drawn on axes.

    Parameters
    ----------
    ax : matplotlib Axes
    attributions : ndarray of shape (n_steps, n_features), float
    values : ndarray of shape (n_steps, n_features), or None
    feature_names : list of str

    Attributes
    ----------
    has_bars : bool
        Whether a single feature of categories is drawn, with bars.
    lines : list of matplotlib Line2D
        The curves of the values.
    """

    def __init__(self, ax: Any, attributions: np.ndarray, values: np.ndarray | None, feature_names: list[str]) -> None:
        self._ax, self._attributions, self._names = ax, attributions, feature_names
        self._values: Any = values
        self.has_bars = attributions.shape[1] == 1 and has_categories(values, 0)
        self.lines: list[Any] = []

    def groups(self) -> tuple[np.ndarray, int]:
        """Return the sums of groups of steps, (n_groups, n_features), as many as fit, and the size of a group."""
        return _in_groups(self._attributions, int(self._width() * COLUMNS_PER_INCH))

    # ---- Bars of a single feature of categories ----------------------------------------------------------

    def draw_bars(self, parts: np.ndarray, size: int, style: dict[str, Any], label: str) -> Any:
        """Draw a bar for each group of steps, (n_groups,); return the container."""
        from matplotlib import colormaps
        from matplotlib.colors import Normalize

        n_steps = len(self._attributions)
        colormap = colormaps[style["cmap"]] if isinstance(style["cmap"], str) else style["cmap"]
        colors = colormap(Normalize(style["vmin"], style["vmax"])(parts))
        left = np.arange(len(parts)) * size - 0.5
        widths = np.minimum(left + size, n_steps - 0.5) - left
        edges = {"edgecolor": "0.4", "linewidth": 0.5} if n_steps <= MOST_EDGES else {}
        bars = self._ax.bar(left, parts, width=widths, align="edge", color=colors, **edges)
        self._ax.axhline(0, color="0.4", linewidth=0.8)
        margin = max(0, N_BARS - n_steps) / 2
        self._ax.set(ylabel=label, xlim=(-0.5 - margin, n_steps - 0.5 + margin))
        steps = _largest(np.abs(self._attributions[:, 0]), int(self._width() / WIDTH_OF_CATEGORY))
        names = [shortened(_name(self._values[step, 0]), N_LETTERS_OF_TICK) for step in steps]
        self._ax.set_xticks(steps, names, rotation=0 if self._has_room(names) else 90)
        named = "" if len(steps) == n_steps else f" ({n_steps} steps; the largest parts are named)"
        self._ax.set_xlabel(self._names[0] + named)
        return bars

    # ---- Rows of an image --------------------------------------------------------------------------------

    def draw_image(self, parts: np.ndarray, size: int, style: dict[str, Any], line_kw: dict[str, Any]) -> Any:
        """Draw colors for each group of steps and feature, (n_groups, n_features), and the values; return the image."""
        n_steps, n_rows = self._attributions.shape
        # The last group may have fewer steps than the others: the limits cut it.
        extent = (-0.5, len(parts) * size - 0.5, n_rows - 0.5, -0.5)
        # Any other interpolation mixes the colors of features.
        style = {"aspect": "auto", "interpolation": "nearest", "extent": extent} | style
        image = self._ax.imshow(parts.T, **style)
        self._ax.set(xlabel="step", xlim=(-0.5, n_steps - 0.5))
        count_along(self._ax.xaxis)
        if n_rows == 1:
            self._draw_single(image, line_kw)
        else:
            self._draw_rows(line_kw)
        return image

    def _draw_rows(self, line_kw):
        """Draw the values of several features within their rows, with the names of the features beside them."""
        n_rows = self._attributions.shape[1]
        names = [shortened(name, N_LETTERS_OF_FEATURE) for name in self._names]
        height = self._ax.bbox.height / self._ax.figure.dpi / n_rows
        if self._values is not None:
            names = [name + self._draw_row(row, height, line_kw) for row, name in enumerate(names)]
        if height < HEIGHT_OF_NAME:
            self._ax.set_yticks([])
            self._ax.set_ylabel(f"{n_rows} features")
            return
        self._ax.set_yticks(range(n_rows), names)
        for row in range(1, n_rows):
            self._ax.axhline(row - 0.5, color="white", linewidth=1)

    def _draw_single(self, image, line_kw):
        """Draw the values of a single feature over its colors, with their own axis."""
        self._ax.set_ylabel(shortened(self._names[0], N_LETTERS_OF_FEATURE))
        if self._values is None:
            self._ax.set_yticks([])
            return
        values = self._values[:, 0].astype(float)
        low, high = _limits(values)
        margin = 0.08 * (high - low) or 0.5
        left, right, *_ = image.get_extent()
        image.set_extent((left, right, low - margin, high + margin))
        self._ax.set(xlim=(-0.5, len(values) - 0.5), ylim=(low - margin, high + margin))
        self._draw_curve(values, line_kw)

    def _draw_row(self, row, height, line_kw):
        """Draw the values of one of several features within its row, of this height in inches, if there is room.

        Returns the text that stands after its name: the range of the curve.
        """
        if has_categories(self._values, row):
            if height >= HEIGHT_OF_CATEGORY:
                self._name_categories(row, height)
            return ""
        values = self._values[:, row].astype(float)
        if height < HEIGHT_OF_CURVE or not np.isfinite(values).any():
            return ""
        low, high = _limits(values)
        shares = (values - low) / (high - low) if high > low else np.full(len(values), 0.5)
        self._draw_curve(row + SHARE_OF_CURVE * (0.5 - shares), line_kw)
        text = formatter([low, high])
        return f"\n{text(low)}{f' to {text(high)}' if high > low else ''}"

    def _draw_curve(self, heights, line_kw):
        from matplotlib.patheffects import Normal, Stroke

        marker = marker_for(len(heights))
        width = 1.2 if marker else 0.8
        style = {"color": "black", "linewidth": width, "marker": marker, "markersize": 4}
        style["path_effects"] = [Stroke(linewidth=width + 1.4, foreground="white"), Normal()]
        self.lines += self._ax.plot(heights, **style | line_kw)

    def _name_categories(self, row, height):
        """Write the names of categories into their row."""
        from matplotlib.patheffects import Normal, Stroke

        n_steps, n_letters = len(self._attributions), int(0.9 * height * LETTERS_PER_INCH)
        n_names = int(self._width() / WIDTH_OF_CATEGORY)
        margin = 0
        if n_names < n_steps:  # fewer names are easier to read
            n_names = n_names // 2
            margin = n_steps // (2 * n_names)  # of the names, at both ends
        sizes = np.abs(self._attributions[margin : n_steps - margin, row])
        steps = [margin + step for step in _largest(sizes, n_names)]
        names = [shortened(_name(self._values[step, row]), n_letters) for step in steps]
        for step, name in zip(steps, names):
            self._ax.text(
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
        return SHARE_OF_WIDTH * self._ax.bbox.width / self._ax.figure.dpi


def _is_numeric(values: np.ndarray) -> bool:
    """Whether all values are numbers."""
    if values.dtype.kind in "biuf":
        return True
    return values.dtype == object and all(isinstance(value, (int, float, np.number)) for value in values)


def _name(category: Any) -> str:
    """Return the name of a category. None is the unknown one."""
    return "unknown" if category is None else str(category)


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
