"""The kinds of chart that a report has. Pure; colours come from the page's style.

A title must be the only one of its kind on a page: the chart's ids are made from it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from jobs.report.svg import LABELS, RIGHT, WIDTH, Scale, dot, line, padded, rect, row_label, shape, svg, ticks, words

ROW, HEAD = 24, 18
_HALF_A_NUMBER = 26  # as long as -0.0000 is

Show = Callable[[float], str]


@dataclass(frozen=True)
class Mark:
    """A row of a chart: a value and, perhaps, an interval around it. kind: a CSS class, such as good or bad."""

    label: str
    value: float
    interval: tuple[float, float] | None = None
    kind: str = ""


@dataclass(frozen=True)
class Rule:
    """A vertical line to compare with, and its name."""

    at: float
    label: str


def dots(
    marks: Sequence[Mark],
    *,
    title: str,
    show: Show,
    rule: Rule,
    band: tuple[float, float] | None = None,
) -> Markup:
    """A dot a row, with its interval, beside a rule; `band` shades what is as it should be."""
    reach = [value for mark in marks for value in (mark.value, *(mark.interval or ()))]
    scale = Scale(*padded([*reach, rule.at, *(band or ())]))
    bottom = HEAD + ROW * len(marks)
    parts = []
    if band:
        parts.append(rect(scale(band[0]), HEAD, scale(band[1]) - scale(band[0]), bottom - HEAD, "band"))
    for tick in ticks(scale.low, scale.high, 3):
        x = scale(tick)
        place = (x, "middle") if x + _HALF_A_NUMBER < WIDTH else (WIDTH - 2, "end")
        parts += [line(x, HEAD, x, bottom, "grid"), words(place[0], bottom + 15, show(tick), place[1])]
    at = scale(rule.at)
    beside = (at + 5, "start") if at < (LABELS + RIGHT) / 2 else (at - 5, "end")
    parts += [line(at, 2, at, bottom, "rule"), words(beside[0], 12, rule.label, beside[1])]
    for row, mark in enumerate(marks):
        y = HEAD + ROW * (row + 0.5)
        parts.append(row_label(mark.label, y))
        if mark.interval:
            parts.append(line(scale(mark.interval[0]), y, scale(mark.interval[1]), y, f"whisker {mark.kind}"))
        parts.append(dot(scale(mark.value), y, 4.5, f"dot {mark.kind}", f"{mark.label}: {show(mark.value)}"))
    return svg(bottom + 22, title, _told(marks, show), parts)


def bars(marks: Sequence[Mark], *, title: str, show: Show) -> Markup:
    """A bar a row, from 0, with its value and, where there is one, its interval."""
    largest = max((value for mark in marks for value in (mark.value, *(mark.interval or ()))), default=0.0)
    scale = Scale(0, largest if largest > 0 else 1, right=RIGHT - 46)
    parts = []
    for row, mark in enumerate(marks):
        y = ROW * (row + 0.5)
        parts += [row_label(mark.label, y), rect(LABELS, y - 7, scale(mark.value) - LABELS, 14, f"bar {mark.kind}")]
        if mark.interval:
            parts.append(line(scale(mark.interval[0]), y, scale(mark.interval[1]), y, "whisker"))
        end = max(scale(value) for value in (mark.value, *(mark.interval or ())))
        parts.append(words(end + 6, y + 4, show(mark.value), "start"))
    return svg(ROW * len(marks) + 4, title, _told(marks, show), parts)


def curve(points: Sequence[tuple[float, float, float]], *, title: str, across: str, up: str, show: Show) -> Markup:
    """(x, y, weight) as dots, larger with more weight, beside the line y = x on which they should lie."""
    low, high = padded([value for x, y, _ in points for value in (x, y)], within=(0.0, 1.0))
    left, top, side = 46, 8, 270
    bottom = top + side
    x_of, y_of = Scale(low, high, left=left, right=left + side), Scale(low, high, left=bottom, right=top)
    parts = []
    for tick in ticks(low, high):
        x, y = x_of(tick), y_of(tick)
        parts += [line(x, top, x, bottom, "grid"), line(left, y, left + side, y, "grid")]
        parts += [words(x, bottom + 15, show(tick), "middle"), words(left - 5, y + 4, show(tick), "end")]
    parts.append(line(left, bottom, left + side, top, "rule"))
    path = " ".join(f"{x_of(x):.1f},{y_of(y):.1f}" for x, y, _ in points)
    parts.append(shape("polyline", points=path, class_="path"))
    heaviest = max((weight for *_, weight in points), default=1) or 1
    for x, y, weight in points:
        told = f"{across} {show(x)}, {up} {show(y)}, {weight:,.0f} forms"
        parts.append(dot(x_of(x), y_of(y), 2.5 + 4.5 * math.sqrt(weight / heaviest), "dot", told))
    middle = top + side / 2
    parts.append(words(left + side / 2, bottom + 32, across, "middle"))
    parts.append(shape("text", up, transform="rotate(-90)", x=-middle, y=12.0, text_anchor="middle"))
    pairs = "; ".join(f"{show(x)} to {show(y)}" for x, y, _ in points)
    return svg(bottom + 40, title, f"{across} to {up}: {pairs}.", parts)


def _told(marks: Iterable[Mark], show: Show) -> str:
    """What the chart shows, for those who hear it."""
    said = []
    for mark in marks:
        around = f" ({show(mark.interval[0])} to {show(mark.interval[1])})" if mark.interval else ""
        said.append(f"{mark.label} {show(mark.value)}{around}")
    return "; ".join(said) + "."
