"""Shapes and scales of the report's charts, as SVG whose texts are escaped. Pure.

A chart is 360 units wide: narrow enough for its text to be read on a phone.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence

from markupsafe import Markup

WIDTH, LABELS, RIGHT = 360, 122, 348
_LONGEST_LABEL = 16


class Scale:
    """From values to units of the drawing; what is out of range lies on its edge."""

    def __init__(self, low: float, high: float, *, left: float = LABELS, right: float = RIGHT) -> None:
        self.low, self.high, self._left = low, high, left
        self._factor = (right - left) / (high - low)

    def __call__(self, value: float) -> float:
        return self._left + (min(max(value, self.low), self.high) - self.low) * self._factor


def padded(values: Sequence[float], within: tuple[float, float] = (-math.inf, math.inf)) -> tuple[float, float]:
    """A range with some room around the values, never empty."""
    low, high = min(values, default=0.0), max(values, default=1.0)
    room = 0.06 * (high - low) or 0.05 * max(abs(high), 1e-6)
    return max(low - room, within[0]), min(high + room, within[1])


def ticks(low: float, high: float, wanted: int = 4) -> list[float]:
    """Round numbers in a range, about as many as wanted."""
    rough = (high - low) / wanted
    power = 10 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= rough)
    first = math.ceil(low / step - 1e-9)
    return [round(i * step, 12) for i in range(first, math.floor(high / step + 1e-9) + 1)]


def svg(height: float, title: str, description: str, parts: Iterable[Markup]) -> Markup:
    """A whole drawing. Its title and description are what a screen reader says."""
    name = re.sub(r"[^a-z0-9]+", "-", title.lower())
    said = shape("title", title, id=f"{name}-title") + shape("desc", description, id=f"{name}-text")
    return shape(
        "svg",
        said + Markup("").join(parts),
        class_="chart",
        viewBox=f"0 0 {WIDTH} {height:.0f}",
        role="img",
        aria_labelledby=f"{name}-title {name}-text",
    )


def shape(kind: str, content: str = "", **attributes: float | str) -> Markup:
    """An element: `class_` is the attribute class, `text_anchor` is text-anchor; what is no Markup is escaped."""
    pairs = [
        Markup(' {}="{}"').format(
            name.rstrip("_").replace("_", "-"), value if isinstance(value, str) else f"{value:.1f}"
        )
        for name, value in attributes.items()
    ]
    return Markup("<{0}{1}>{2}</{0}>").format(kind, Markup("").join(pairs), content)


def line(x1: float, y1: float, x2: float, y2: float, kind: str) -> Markup:
    return shape("line", x1=x1, y1=y1, x2=x2, y2=y2, class_=kind)


def rect(x: float, y: float, width: float, height: float, kind: str) -> Markup:
    return shape("rect", x=x, y=y, width=max(width, 1.0), height=height, class_=kind)


def dot(x: float, y: float, radius: float, kind: str, told: str) -> Markup:
    """A circle that says what it stands for when it is pointed at."""
    return shape("circle", shape("title", told), cx=x, cy=y, r=radius, class_=kind)


def words(x: float, y: float, said: str, anchor: str) -> Markup:
    """Text that starts, ends or has its middle at x."""
    return shape("text", said, x=x, y=y, text_anchor=anchor)


def row_label(said: str, y: float) -> Markup:
    short = said if len(said) <= _LONGEST_LABEL else said[: _LONGEST_LABEL - 1] + "…"
    return words(LABELS - 8, y + 4, short, "end")
