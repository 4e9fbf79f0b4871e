"""Live charts of energy and cards, in ECharts, which changes a chart in place. (Streamlit builds a Plotly chart anew
whenever its figure changes, so the screen would blink with every interval.)"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from math import ceil, floor, log10
from typing import Any, Literal
from zoneinfo import ZoneInfo

import streamlit as st

from gridlens_core.display.cards import Card
from gridlens_core.display.control_room import ControlRoom
from gridlens_core.display.figures import IntervalEnergy
from gridlens_core.explanation.moment import CHART_HOURS
from gridlens_core.meters.events import Event
from pages import _look

ROOM_AHEAD = timedelta(hours=1)  # shown to the right of the grid clock, where events reach into
MOST_TAGS = 3
FONT_PX = 12
TAG_HEIGHT = 1.5  # of an event's name in the chart, in letters

Spec = dict[str, Any]


def show(spec: Spec, key: str, alt: str, height: int | Literal["stretch"]) -> None:
    """Draws a chart with letters that can be read in the current theme."""
    defaults = {
        "textStyle": {"color": _look.ink(), "fontSize": FONT_PX},
        "animationDuration": 0,
        "animationDurationUpdate": 300,
    }
    st.echarts_chart(defaults | spec, key=key, alt=alt, height=height, renderer="svg")


def spark(card: Card) -> Spec:
    """A card's sparkline, the latest value at the right edge."""
    low, high = card.spark_range
    edge = (high - low) * 0.08
    colour = _look.colour(card.cause)
    last = len(card.spark) - 1
    return {
        "grid": {"left": 0, "right": 4, "top": 2, "bottom": 2},
        "xAxis": {"type": "value", "show": False, "min": 0, "max": last},
        "yAxis": {"type": "value", "show": False, "min": low - edge, "max": high + edge},
        "series": [
            {
                "type": "line",
                "data": [[place, value] for place, value in enumerate(card.spark)],
                "showSymbol": False,
                "connectNulls": False,  # an interval that was not seen is a gap
                "silent": True,
                "lineStyle": {"color": colour, "width": 2},
            },
            {
                "type": "scatter",
                "data": [[last, card.spark[-1]]],
                "symbolSize": 6,
                "silent": True,
                "itemStyle": {"color": colour},
            },
        ],
    }


def energy_chart(
    room: ControlRoom,
    without: bool = True,
    hours: float = CHART_HOURS,
    letters: int = FONT_PX,
    compared: tuple[str, Sequence[float | None]] = ("", ()),
) -> Spec:
    """Supplied and metered energy by interval; the shaded gap is the loss, the bands are events.

    letters : px
    compared : the name of a further line, and its kWh in the intervals of the chart
    """
    zone, data = ZoneInfo(room.timezone), room.energy
    times = [_on_the_wall(moment, zone) for moment in data.read_at]
    now = _on_the_wall(room.grid_now, zone)
    series = [_line("metered", times, data.metered_kwh, _look.METERED)]
    if data.supplied_kwh is not None and data.unread_kwh is not None:
        unread, loss = data.unread_kwh, _loss_kwh(data)
        series += [
            _area("", times, data.metered_kwh, "transparent"),
            _area("unread, no loss", times, unread, _look.OUTAGE),
            _area("loss", times, loss, _look.SUPPLIED),
            _line("supplied", times, data.supplied_kwh, _look.SUPPLIED),
        ]
    if (
        without
        and data.honest_kwh is not None
        and any(running.event.starts_at < room.grid_now for running in room.running)
    ):
        series.append(_line("without events", times, data.honest_kwh, _look.quiet(), kind="dotted"))
    if any(kwh is not None for kwh in compared[1]):
        series.append(_line(compared[0], times, compared[1], _look.quiet(), kind="dashed"))
    shaded = [event for event in room.shaded if room.feeder_id is None or event.feeder_id in (None, room.feeder_id)]
    tagged = [event for event in shaded if event.ends_at > room.grid_now][-MOST_TAGS:] or shaded[-1:]
    rows = {event.id: row for row, event in enumerate(tagged)}
    series[0]["markArea"] = {
        "silent": True,
        "data": [_band(event, zone, rows.get(event.id), room.grid_now, letters) for event in shaded],
    }
    series[0]["markLine"] = {
        "silent": True,
        "symbol": "none",
        "label": {"show": False},
        "lineStyle": {"color": _look.quiet(), "type": "dotted"},
        "data": [{"xAxis": now}],
    }
    ink = _look.ink()
    return {
        "useUTC": True,  # times are those of the utility's clocks, wherever the browser is
        "grid": {"left": round(1.5 * letters), "right": 8, "top": round(2.4 * letters), "bottom": 2},
        "legend": {
            "data": [one["name"] for one in series if one["name"] and _stands_out(one, data)],
            "left": round(3.6 * letters),
            "top": 0,
            "icon": "roundRect",
            "itemWidth": 16,
            "itemHeight": 6,
            "itemGap": 8,
            "textStyle": {"color": ink, "fontSize": letters},
            "type": "scroll",
        },
        "tooltip": {"trigger": "axis", "valueFormatter": "%.1f kWh"},
        "xAxis": {
            "type": "time",
            "min": _on_the_wall(room.grid_now - timedelta(hours=hours), zone),
            "max": _on_the_wall(room.grid_now + ROOM_AHEAD, zone),
            "axisLabel": {"color": ink, "fontSize": letters, "formatter": "{HH}:{mm}"},
            "splitLine": {"show": False},
        },
        "yAxis": {
            "type": "value",
            "min": 0,
            "max": _top(data),
            "splitNumber": 3,
            "axisLabel": {"color": ink, "fontSize": letters, "showMaxLabel": False},
            "name": "kWh per interval",
            "nameLocation": "middle",
            "nameGap": 3 * letters,
            "nameTextStyle": {"color": ink, "fontSize": letters},
        },
        "series": series,
    }


def _on_the_wall(moment: datetime, zone: ZoneInfo) -> int:
    """The utility's local time as milliseconds that a chart in UTC draws as that time."""
    local = moment.astimezone(zone)
    offset = local.utcoffset() or timedelta()
    return round((local.timestamp() + offset.total_seconds()) * 1000)


def _line(name: str, times: Sequence[int], kwh: Sequence[float | None], colour: str, kind: str = "solid") -> Spec:
    return {
        "name": name,
        "type": "line",
        "step": "start",  # a read belongs to the interval before it
        "showSymbol": False,
        "data": _intervals(times, kwh),
        "lineStyle": {"width": 2.5 if kind == "solid" else 1.5, "type": kind, "color": colour},
        "itemStyle": {"color": colour},
        "z": 4,
    }


def _intervals(times: Sequence[int], kwh: Sequence[float | None]) -> list[list[float | None]]:
    """Points at the intervals' ends, for a line that steps at their starts; it breaks where an interval is missing."""
    step = min((later - earlier for earlier, later in pairwise(times)), default=0)
    points: list[list[float | None]] = []
    for before, time, value in zip((None, *times), times, kwh, strict=False):
        if before is None or time - before > step:
            points += [[time - step - 1, None], [time - step, _rounded(value)]]
        points.append([time, _rounded(value)])
    return points


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)


def _area(name: str, times: Sequence[int], kwh: Sequence[float], colour: str) -> Spec:
    """A layer between the metered energy and the supplied."""
    return _line(name, times, kwh, colour) | {
        "lineStyle": {"width": 0},
        "itemStyle": {"color": colour, "opacity": 0.5},
        "areaStyle": {"color": colour, "opacity": 0.25 if colour == _look.SUPPLIED else 0.6},
        "stack": "supplied",
        "stackStrategy": "all",
        "tooltip": {"show": bool(name)},
        "z": 3,
    }


def _loss_kwh(data: IntervalEnergy) -> list[float]:
    rows = zip(data.supplied_kwh or (), data.metered_kwh, data.unread_kwh or (), strict=True)
    return [supplied - metered - unread for supplied, metered, unread in rows]


def _stands_out(series: Spec, data: IntervalEnergy) -> bool:
    """Whether a series needs a name in the legend; the energy of a single silent meter cannot be seen."""
    if series["name"] != "unread, no loss":
        return True
    pairs = zip(data.unread_kwh or (), data.supplied_kwh or (), strict=True)
    return any(unread > 0.05 * supplied for unread, supplied in pairs)


def _top(data: IntervalEnergy) -> float:
    """A round upper end with room for names, so that the axis does not move with every interval."""
    most = max([*(data.supplied_kwh or ()), *data.metered_kwh, 0.1]) * 1.25
    step: float = 10 ** floor(log10(most)) / 2
    return ceil(most / step) * step


def _band(event: Event, zone: ZoneInfo, row: int | None, grid_now: datetime, letters: int) -> list[Spec]:
    """An event's window; its name stands in a row of its own, so that names never cover each other."""
    colour = _look.colour(event.event_type)
    end = min(event.ends_at, grid_now + ROOM_AHEAD)
    tag = {
        "show": row is not None,
        "position": ["100%", round(TAG_HEIGHT * letters * (row or 0))],
        "align": "right",
        "color": _look.ON_COLOUR,
        "backgroundColor": colour,
        "fontSize": letters,
        "padding": [2, 4],
    }
    return [
        {
            "name": _look.called(event),
            "xAxis": _on_the_wall(event.starts_at, zone),
            "itemStyle": {"color": colour, "opacity": 0.16},
            "label": tag,
        },
        {"xAxis": _on_the_wall(end, zone)},
    ]
