"""Charts as inline SVG: their colours come from the page's style sheet, so that they are dark where the page is.

Lines differ in their dashes as well as in colour. Each chart has a title that a screen reader says.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from evals.report.markup import Markup, el, join
from evals.scorers.calibration import Bin

WIDTH, HEIGHT = 640, 240
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 20, 12, 30
_MOST_POINTS = 600  # of a line: more than there are pixels
_FLAT = 0.002  # fraction; what moved by less is not blown up until it looks like much


@dataclass(frozen=True, slots=True)
class Line:
    """One line: `style` is its number in the style sheet; `points` are (x, y) with x ascending."""

    label: str
    points: Sequence[tuple[float, float]]
    style: int = 1
    filled: bool = False


@dataclass(frozen=True, slots=True)
class Axes:
    """From values to places on the chart."""

    low: tuple[float, float]
    high: tuple[float, float]
    height: int = HEIGHT

    def x(self, value: float) -> float:
        return _LEFT + (value - self.low[0]) / (self.high[0] - self.low[0] or 1) * (WIDTH - _LEFT - _RIGHT)

    def y(self, value: float) -> float:
        return self.height - _BOTTOM - (value - self.low[1]) / (self.high[1] - self.low[1] or 1) * (self.height - _TOP - _BOTTOM)


def lines(title: str, drawn: Sequence[Line], ends: tuple[str, str], *, height: int = HEIGHT, percent: bool = True) -> Markup:
    """Lines over time; `ends` are what stands below the first and the last point. Shares of something are drawn from zero."""
    drawn = [line for line in drawn if line.points]
    if not drawn:
        return el("p", f"{title}: nothing to draw.", class_="dim")
    ys = [y for line in drawn for _, y in line.points]
    xs = [x for line in drawn for x, _ in line.points]
    if percent:
        ys.append(0.0)
        ys.append(min(min(ys), max(ys) - _FLAT))
    axes = _axes((min(xs), max(xs)), (min(ys), max(ys)), height)
    parts = [
        *_grid_y(axes, percent=percent),
        *(part for line in drawn for part in _line(axes, line)),
        _text(_LEFT, height - 8, ends[0], "start"),
        _text(WIDTH - _RIGHT, height - 8, ends[1], "end"),
    ]
    return el("figure", _svg(title, parts, height), _legend(title, drawn))


def reliability(title: str, bins: Sequence[Bin]) -> Markup:
    """Share that came right over confidence, one dot for each bin with its count; on the diagonal the two agree."""
    axes = Axes((0.0, 0.0), (1.0, 1.0), 320)
    parts = [*_grid_y(axes, percent=True), *_grid_x(axes)]
    parts.append(el("path", class_="l9", d=f"M{axes.x(0):.1f},{axes.y(0):.1f}L{axes.x(1):.1f},{axes.y(1):.1f}"))
    found = [(one.confidence, one.right, one.count) for one in bins if one.confidence is not None and one.right is not None]
    most = max((times for _, _, times in found), default=1)
    for confidence, right, times in found:
        x, y = axes.x(confidence), axes.y(right)
        shown = el("title", f"{times} claims: said {confidence:.0%}, right {right:.0%}")
        parts.append(el("circle", shown, cx=f"{x:.1f}", cy=f"{y:.1f}", r=f"{3 + 7 * math.sqrt(times / most):.1f}", class_="p1"))
        # Where there is no room above a dot, its count stands below it.
        parts.append(_text(x, y - 14 if y > _TOP + 24 else y + 24, str(times), "middle"))
    parts.append(_text(WIDTH / 2, 318, "confidence", "middle"))
    return el(
        "figure", _svg(title, parts, 320), el("figcaption", f"{title}: share that came right; numbers are counts of claims.")
    )


def scatter(title: str, points: Sequence[tuple[float, float, str]], across: str, up: str) -> Markup:
    """Dots with a title each, over the diagonal on which `up` equals `across`. Values are fractions."""
    if not points:
        return el("p", f"{title}: nothing to draw.", class_="dim")
    values = [*(x for x, _, _ in points), *(y for _, y, _ in points), 0.0]
    axes = _axes((min(values), max(values)), (min(values), max(values)), 320)
    low, high = axes.low[0], axes.high[0]
    parts = [*_grid_y(axes, percent=True), *_grid_x(axes)]
    parts.append(el("path", class_="l9", d=f"M{axes.x(low):.1f},{axes.y(low):.1f}L{axes.x(high):.1f},{axes.y(high):.1f}"))
    parts += [
        el("circle", el("title", told), cx=f"{axes.x(x):.1f}", cy=f"{axes.y(y):.1f}", r=4, class_="p1") for x, y, told in points
    ]
    parts.append(_text(WIDTH / 2, 318, across, "middle"))
    return el("figure", _svg(title, parts, 320), el("figcaption", f"{title}: {up} (up) over {across} (across)."))


def shares(title: str, counts: Mapping[str, int]) -> Markup:
    """One bar that is split by counts, with its legend."""
    total = sum(counts.values())
    if not total:
        return el("p", f"{title}: nothing was counted.", class_="dim")
    parts, x = [], 0.0
    for number, (name, times) in enumerate(counts.items(), 1):
        width = WIDTH * times / total
        if times:
            told = el("title", f"{name}: {times} of {total}")
            parts.append(el("rect", told, x=f"{x:.1f}", y=0, width=f"{max(width - 1, 1):.1f}", height=22, class_=f"p{number}"))
        x += width
    labels = [
        el("span", el("i", class_=f"b{number}"), f"{name} {times} ({times / total:.0%})", class_="key")
        for number, (name, times) in enumerate(counts.items(), 1)
        if times
    ]
    return el("figure", el("figcaption", el("b", title), " ", *labels), _svg(title, parts, 22))


def _axes(x: tuple[float, float], y: tuple[float, float], height: int) -> Axes:
    room = (y[1] - y[0]) * 0.06 or abs(y[1]) * 0.01 or 0.01
    return Axes((x[0], y[0] - room), (x[1], y[1] + room), height)


def _line(axes: Axes, line: Line) -> list[Markup]:
    points = _thinned(line.points)
    path = "L".join(f"{axes.x(x):.1f},{axes.y(y):.1f}" for x, y in points)
    parts = [el("path", class_=f"l{line.style}", d=f"M{path}")]
    if line.filled:
        base = axes.y(min(max(0.0, axes.low[1]), axes.high[1]))
        closed = f"M{axes.x(points[0][0]):.1f},{base:.1f}L{path}L{axes.x(points[-1][0]):.1f},{base:.1f}Z"
        parts.insert(0, el("path", class_=f"a{line.style}", d=closed))
    return parts


def _thinned(points: Sequence[tuple[float, float]]) -> Sequence[tuple[float, float]]:
    """As many points as can be seen: the lowest and the highest of each stretch, so that no fall is lost."""
    if len(points) <= _MOST_POINTS:
        return points
    size = math.ceil(len(points) / (_MOST_POINTS / 2))
    kept = [points[0]]
    for start in range(0, len(points), size):
        stretch = points[start : start + size]
        ends = {min(stretch, key=lambda point: point[1]), max(stretch, key=lambda point: point[1])}
        kept += sorted(ends)
    return [*kept, points[-1]]


def _grid_y(axes: Axes, *, percent: bool) -> list[Markup]:
    parts, step = [], _step(axes.low[1], axes.high[1])
    for index in range(math.ceil(axes.low[1] / step), math.floor(axes.high[1] / step) + 1):
        value = index * step
        y = f"{axes.y(value):.1f}"
        parts.append(el("path", class_="g", d=f"M{_LEFT},{y}H{WIDTH - _RIGHT}"))
        parts.append(_text(_LEFT - 6, axes.y(value) + 4, _shown(value, step, percent=percent), "end"))
    return parts


def _grid_x(axes: Axes) -> list[Markup]:
    parts, step = [], _step(axes.low[0], axes.high[0])
    for index in range(math.ceil(axes.low[0] / step), math.floor(axes.high[0] / step) + 1):
        x = axes.x(index * step)
        parts.append(el("path", class_="g", d=f"M{x:.1f},{_TOP}V{axes.height - _BOTTOM}"))
        parts.append(_text(x, axes.height - _BOTTOM + 14, _shown(index * step, step, percent=True), "middle"))
    return parts


def _step(low: float, high: float) -> float:
    """A round distance of grid lines: 1, 2 or 5 times a power of ten, about five of them."""
    rough = max((high - low) / 5, 1e-9)
    power = 10.0 ** math.floor(math.log10(rough))
    return next((factor * power for factor in (1, 2, 5) if factor * power >= rough), 10 * power)


def _shown(value: float, step: float, *, percent: bool) -> str:
    if percent:
        return f"{value + 0.0:.{max(0, -math.floor(math.log10(step)) - 2)}%}"
    return f"{value + 0.0:,.{max(0, -math.floor(math.log10(step)))}f}"


def _svg(title: str, parts: Sequence[Markup], height: int) -> Markup:
    return el("svg", *parts, viewBox=f"0 0 {WIDTH} {height}", role="img", aria_label=title)


def _legend(title: str, drawn: Sequence[Line]) -> Markup:
    keys = [el("span", el("i", class_=f"k{line.style}"), line.label, class_="key") for line in drawn]
    return el("figcaption", title, ": ", join(keys, " "))


def _text(x: float, y: float, told: str, anchor: str) -> Markup:
    return el("text", told, x=f"{x:.1f}", y=f"{y:.1f}", text_anchor=anchor)
