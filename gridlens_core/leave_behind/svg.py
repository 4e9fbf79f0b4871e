"""Two charts of a brief as SVG: real text, no script, nothing from elsewhere; the XML writer escapes every name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from math import floor, log10
from typing import Any
from xml.etree import ElementTree as ET
from zoneinfo import ZoneInfo

from gridlens_core import colours
from gridlens_core.clock import DEFAULT_INTERVAL_MINUTES
from gridlens_core.display import figures
from gridlens_core.explanation.moment import CHART_HOURS
from gridlens_core.explanation.why import Why
from gridlens_core.leave_behind import brief_words
from gridlens_core.leave_behind.brief import Brief
from gridlens_core.meters.events import colour_of

INK, FAINT, LINE = "#0A161E", "#4F5F69", "#CBD5DB"
LETTERS = 10.5  # px, of a page drawn at its own size
TICKS = 4
MOST_TAGS = 3
LETTER_WIDTH = 0.56  # of the letters' height, a little more than a sans-serif's mean
Scale = Callable[[Any], float]
LABEL_LINES = 3
FEW_BARS = 5  # more of them have smaller letters


@dataclass(frozen=True)
class Look:
    """How letters look; size in px."""

    anchor: str = "start"
    fill: str = INK
    weight: str = "400"
    size: float = LETTERS


PLAIN = Look()


def energy_chart(brief: Brief, width: int, height: int) -> str:
    """Supplied and metered energy by interval with the event windows; the filled gap is the loss."""
    data = brief.room.energy
    root = _root(width, height, "Energy by interval", brief_words.energy_sentence(brief))
    if not data.read_at:
        _text(root, width / 2, height / 2, "no reads in the chart's hours", Look(anchor="middle", fill=FAINT))
        return _xml(root)
    _patterns(root)
    end = brief.grid_now
    start = max(data.read_at[0] - _step(data.read_at), end - timedelta(hours=CHART_HOURS))
    left, right, top, bottom = 34.0, width - 6.0, 46.0, height - 20.0
    most = max([*(data.supplied_kwh or ()), *data.metered_kwh, 0.1])
    tick = _tick(most)
    high = tick * (floor(most / tick) + 1)

    def x(at: datetime) -> float:
        return left + (right - left) * min(max((at - start) / (end - start), 0.0), 1.0)

    def y(kwh: float) -> float:
        return bottom - (bottom - top) * kwh / high

    _grid(root, [number * tick for number in range(round(high / tick) + 1)], y, left, right)
    _hours(root, start, end, x, bottom, ZoneInfo(brief.timezone))
    for event in brief_words.windows(brief):
        x0, x1 = x(event.starts_at), x(min(event.ends_at, end))
        colour = event.kind.colour
        _add(root, "rect", x=x0, y=top, width=max(x1 - x0, 1), height=bottom - top, fill=colour, fill_opacity=0.18)
        _add(root, "rect", x=x0, y=top - 3, width=max(x1 - x0, 1), height=3, fill=colour)

    def steps(values: Sequence[float]) -> list[tuple[float, float]]:
        return _steps(data.read_at, values, x, y)

    entries: list[tuple[str, str, str]] = []
    metered = steps(data.metered_kwh)
    if data.supplied_kwh is not None and data.unread_kwh is not None:
        read = steps([sum(pair) for pair in zip(data.metered_kwh, data.unread_kwh, strict=True)])
        supplied = steps(data.supplied_kwh)
        _add(root, "polygon", points=_points([*supplied, *read[::-1]]), fill=colours.SUPPLIED, fill_opacity=0.25)
        _add(root, "polygon", points=_points([*read, *metered[::-1]]), fill="url(#unread)")
        _line(root, supplied, colours.SUPPLIED, 1.8)
        entries.append(("supplied", colours.SUPPLIED, "none"))
    entries.append(("metered", colours.METERED, "none"))
    if data.honest_kwh is not None and brief.receipts:
        _line(root, steps(data.honest_kwh), FAINT, 1, dash="2 2")
        entries.append(("metered without events", FAINT, "2 2"))
    _line(root, metered, colours.METERED, 1.8)
    _legend(root, entries, left)
    for row, event in enumerate(reversed(brief_words.windows(brief)[-MOST_TAGS:])):
        colour = event.kind.colour
        words = brief_words.short(brief_words.event_name(event), 34)
        long = len(words) * LETTERS * LETTER_WIDTH
        middle = (x(event.starts_at) + x(min(event.ends_at, end))) / 2
        from_left = min(max(middle - long / 2, left), right - long - 6)
        _add(root, "rect", x=from_left - 3, y=top + 3 + 16 * row, width=long + 6, height=14, rx=2, fill=colour)
        _text(root, from_left, top + 14 + 16 * row, words, Look(fill="#101010", weight="600"))
    return _xml(root)


def waterfall_chart(brief: Brief, why: Why, width: int, height: int) -> str:
    """From before to after: natural drift and the effect of each event."""
    bars = figures.waterfall(why, brief.labels)
    low, high = figures.axis(bars, why.kpi)
    root = _root(width, height, "Why it moved", brief_words.why_sentence(brief))
    _patterns(root)
    top, bottom = 16.0, height - 54.0
    slot, small = width / len(bars), 9.5 if len(bars) <= FEW_BARS else 8.5

    def y(value: float) -> float:
        return bottom - (bottom - top) * (min(max(value, low), high) - low) / (high - low)

    _add(root, "line", x1=0, x2=width, y1=y(max(low, 0.0)), y2=y(max(low, 0.0)), stroke=LINE)
    for number, bar in enumerate(bars):
        x0, bar_width = slot * (number + 0.14), slot * 0.72
        colour = colours.SUPPLIED if bar.total else colour_of(bar.cause)
        tall = max(y(bar.low) - y(bar.high), 1.0)
        _add(root, "rect", x=x0, y=y(bar.high), width=bar_width, height=tall, fill=colour)
        middle = slot * (number + 0.5)
        _text(root, middle, y(bar.high) - 4, bar.text, Look(anchor="middle", weight="600", size=small + 0.5))
        for line, part in enumerate(_lines(bar.label, slot, small)):
            _text(root, middle, bottom + 12 + 11 * line, part, Look(anchor="middle", fill=FAINT, size=small))
    if low > 0:
        _text(root, 0, height - 2.0, brief_words.axis_note(why.kpi, low), Look(fill=FAINT, size=9))
    for number, bar in enumerate(bars[:-1]):
        ends = {"x1": slot * (number + 0.86), "x2": slot * (number + 1.14), "y1": y(bar.end), "y2": y(bar.end)}
        _add(root, "line", **ends, stroke=FAINT, stroke_dasharray="2 2")
    return _xml(root)


def _root(width: int, height: int, title: str, description: str) -> ET.Element:
    root = ET.Element(
        "svg", {"viewBox": f"0 0 {width} {height}", "role": "img", "aria-label": f"{title}. {description}"}
    )
    _add(root, "title").text = title
    _add(root, "desc").text = description
    return root


def _patterns(root: ET.Element) -> None:
    pattern = _add(_add(root, "defs"), "pattern", id="unread", width=5, height=5, patternUnits="userSpaceOnUse")
    _add(pattern, "circle", cx=2.5, cy=2.5, r=1.3, fill=colours.OUTAGE)


def _add(parent: ET.Element, tag: str, **attributes: object) -> ET.Element:
    given = {name.replace("_", "-"): _number(value) for name, value in attributes.items()}
    return ET.SubElement(parent, tag, given)


def _number(value: object) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)


def _text(parent: ET.Element, x: float, y: float, words: str, look: Look = PLAIN) -> None:
    found = _add(
        parent, "text", x=x, y=y, text_anchor=look.anchor, fill=look.fill, font_weight=look.weight, font_size=look.size
    )
    found.text = words


def _line(
    root: ET.Element, points: Sequence[tuple[float, float]], colour: str, width: float, dash: str = "none"
) -> None:
    _add(
        root, "polyline", points=_points(points), fill="none", stroke=colour, stroke_width=width, stroke_dasharray=dash
    )


def _points(points: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in points)


def _steps(read_at: Sequence[datetime], kwh: Sequence[float], x: Scale, y: Scale) -> list[tuple[float, float]]:
    """A level for each interval, drawn over the span the read covers; `read_at` is its end."""
    step = _step(read_at)
    spans = [(x(moment - step), x(moment), y(value)) for moment, value in zip(read_at, kwh, strict=True)]
    return [point for x0, x1, level in spans for point in ((x0, level), (x1, level))]


def _step(read_at: Sequence[datetime]) -> timedelta:
    between = [later - earlier for earlier, later in pairwise(read_at)]
    return min(between, default=timedelta(minutes=DEFAULT_INTERVAL_MINUTES))


def _tick(most: float) -> float:
    """A round distance between about TICKS lines."""
    rough = most / TICKS
    size: float = 10 ** floor(log10(rough))
    return next(factor * size for factor in (1, 2, 2.5, 5, 10) if factor * size >= rough)


def _grid(root: ET.Element, levels: Sequence[float], y: Scale, left: float, right: float) -> None:
    for level in levels:
        _add(root, "line", x1=left, x2=right, y1=y(level), y2=y(level), stroke=LINE, stroke_width=0.6)
        _text(root, left - 5, y(level) + 3.5, f"{level:,.10g}", Look(anchor="end", fill=FAINT))


def _hours(root: ET.Element, start: datetime, end: datetime, x: Scale, bottom: float, zone: ZoneInfo) -> None:
    hour = start.replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)
    while hour <= end:
        local = hour.astimezone(zone)
        if local.hour % 2 == 0:
            _add(root, "line", x1=x(hour), x2=x(hour), y1=bottom, y2=bottom + 4, stroke=FAINT)
            anchor = "middle" if end - hour > timedelta(minutes=30) else "end"
            _text(root, x(hour), bottom + 15, f"{local:%H:%M}", Look(anchor=anchor, fill=FAINT))
        hour += timedelta(hours=1)


def _legend(root: ET.Element, entries: Sequence[tuple[str, str, str]], left: float) -> None:
    """(word, colour, dash) of each line, side by side."""
    _text(root, left, 10, "kWh per interval", Look(fill=FAINT))
    at = left
    for word, colour, dash in entries:
        _add(root, "line", x1=at, x2=at + 16, y1=25.5, y2=25.5, stroke=colour, stroke_width=2.4, stroke_dasharray=dash)
        _text(root, at + 20, 29, word)
        at += 32 + len(word) * LETTERS * LETTER_WIDTH


def _lines(label: str, width: float, size: float) -> list[str]:
    """A bar's label in lines that fit under it; what is too long keeps its beginning and end."""
    most = int(width / (size * LETTER_WIDTH))
    lines: list[str] = []
    for word in label.split():
        if lines and len(lines[-1]) + 1 + len(word) <= most:
            lines[-1] += f" {word}"
        else:
            lines.append(brief_words.short(word, most))
    return lines[:LABEL_LINES]


def _xml(root: ET.Element) -> str:
    return ET.tostring(root, encoding="unicode")
