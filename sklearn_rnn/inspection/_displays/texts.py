"""The texts of displays: shortened, in lines, and figures with the decimals that they need."""

from __future__ import annotations

from typing import Any

import numpy as np

POINTS_PER_INCH, WIDTH_OF_LETTER = 72, 0.6  # the width in font sizes


def shortened(text: str, n_letters: int) -> str:
    """Return a text of at most so many letters."""
    return text if len(text) <= n_letters else text[: max(1, n_letters - 1)] + "…"


def in_lines(texts: list[str], n_letters: float) -> list[str]:
    """Return texts one after the other, in lines of at most so many letters; a longer text has its own line."""
    lines = texts[:1]
    for text in texts[1:]:
        if len(lines[-1]) + 1 + len(text) <= n_letters:
            lines[-1] += f" {text}"
        else:
            lines.append(text)
    return lines


def letters_of_title(ax: Any) -> float:
    """Return about the number of letters of a title that the width of the axes has room for."""
    from matplotlib.font_manager import FontProperties

    points = FontProperties(size="medium").get_size_in_points()
    return ax.bbox.width / ax.figure.dpi * POINTS_PER_INCH / (WIDTH_OF_LETTER * points)


def formatter(figures: list[float]) -> Any:
    """Return a function that formats figures with as many decimals as three digits of the largest one need."""
    largest = max([abs(float(figure)) for figure in figures if np.isfinite(figure)], default=0.0)
    exponent = int(np.floor(np.log10(largest))) if largest > 0 else 0
    style = f".{max(0, 2 - exponent)}f" if -4 <= exponent < 7 else ".2e"
    return lambda figure: f"{float(figure):{style}}".replace("-", "−")
