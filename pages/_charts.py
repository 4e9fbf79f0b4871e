"""Plotly figures of days, feeders and events, each from plain values. Live charts are in `_live.py`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from math import ceil
from zoneinfo import ZoneInfo

import plotly.graph_objects as go
import streamlit as st

from gridlens_core import words
from gridlens_core.display.territory_svg import short
from gridlens_core.meters.events import EVENT_KINDS, Event
from pages import _look

CONFIG = {"displayModeBar": False, "scrollZoom": False}
MOST_FEEDERS, MOST_DAY_NAMES = 12, 10
TIMELINE_HOURS = 24
LETTERS_PX = 12  # at least, of everything written in a chart
TIMELINE_MARGIN = timedelta(hours=1)
US_LOSS_PCT = 5.0  # US transmission and distribution, 2018-2022: EIA, FAQ 105


def show(figure: go.Figure, key: str, alt: str) -> None:
    """Draws a figure with letters that can be read in the current theme."""
    written(figure, _look.ink())
    st.plotly_chart(figure, key=key, config=CONFIG, alt=alt)


def written(figure: go.Figure, ink: str) -> None:
    """Gives all letters of a figure their size and colour."""
    letters = {"color": ink, "size": LETTERS_PX}
    figure.update_layout(font=letters, legend_font=letters, hoverlabel_font_size=LETTERS_PX)
    figure.update_xaxes(title_font=letters, tickfont=letters)
    figure.update_yaxes(title_font=letters, tickfont=letters)


@dataclass(frozen=True)
class DaySeries:
    """One named series of values by day, newest day first as the views give them."""

    name: str
    days: Sequence[date]
    values: Sequence[float | None]
    colour: str


def days(
    series: Sequence[DaySeries], unit: str, height: int, *, at_least: float = 4, reference: float | None = None
) -> go.Figure:
    """Bars by day; the newest is today, still open and therefore pale.

    at_least : the axis reaches this far, so that a quiet week does not look like a busy one
    reference : a dotted line to compare with, the US average
    """
    figure = go.Figure()
    for one in series:
        newest = max(one.days, default=None)
        figure.add_bar(
            x=list(one.days), y=list(one.values), name=one.name,
            marker={
                "color": one.colour, "opacity": [0.6 if day == newest else 1.0 for day in one.days],
                "pattern": {
                    "shape": _look.HATCHING.get(one.colour, ""), "fillmode": "overlay", "size": 7,
                    "fgcolor": _look.ON_COLOUR, "fgopacity": 0.45,
                },
            },
            hovertemplate=f"%{{x|%a %d %b}}: %{{y:,.4~r}} {unit}<extra>{one.name}</extra>",
        )  # fmt: skip
    by_day: dict[date, float] = {}
    for one in series:
        for day, value in zip(one.days, one.values, strict=True):
            by_day[day] = by_day.get(day, 0.0) + float(value or 0)
    if reference is not None:
        figure.add_hline(
            y=reference, line={"color": "gray", "dash": "dot"}, annotation={
                "text": f"US average, about {words.percent(reference, 0)} (EIA)", "font_size": 12,
            }, annotation_position="top left",
        )  # fmt: skip
    figure.update_layout(
        height=height,
        margin={"l": 8, "r": 8, "t": 26, "b": 8},
        barmode="stack",
        showlegend=len(series) > 1,
        legend={"orientation": "h", "x": 1, "xanchor": "right", "y": 1.02, "yanchor": "bottom"},
        xaxis={
            "type": "date",
            "tickformat": "%a %d %b",
            "tickvals": sorted(by_day, reverse=True)[:: ceil(len(by_day) / MOST_DAY_NAMES) or 1],
        },
        yaxis={
            "title": unit,
            "range": [0, 1.1 * max([at_least, reference or 0, *by_day.values()])],
            "tickformat": ",~r",
            "nticks": 6,
        },
        uirevision="days",
    )
    return figure


def feeders_title(loss_pct: Mapping[str, float]) -> str:
    """What the chart of feeders shows, where it cannot show all."""
    which = "" if len(loss_pct) <= MOST_FEEDERS else f"; the {MOST_FEEDERS} largest of {len(loss_pct)}"
    return f"% of supplied energy{which}"


def feeders(loss_pct: Mapping[str, float], height: int) -> go.Figure:
    """Loss of each feeder today, the largest at the top; of many feeders only the first."""
    ordered = sorted(loss_pct.items(), key=lambda item: item[1])[-MOST_FEEDERS:]
    figure = go.Figure()
    figure.add_bar(
        x=[loss for _, loss in ordered], y=[_look.in_figure(short(feeder)) for feeder, _ in ordered],
        orientation="h",
        marker={"color": _look.SUPPLIED}, text=[words.percent(loss, 1) for _, loss in ordered],
        textposition="outside", hovertemplate="%{y}: %{x:.2f} %<extra></extra>", cliponaxis=False,
    )  # fmt: skip
    most = max((loss for _, loss in ordered), default=0)
    figure.update_layout(
        height=height,
        margin={"l": 8, "r": 8, "t": 8, "b": 8},
        xaxis={"title": "loss today, % of supplied", "range": [0, max(US_LOSS_PCT, ceil(most)) * 1.15]},
        uirevision="feeders",
    )
    return figure


def timeline(events: Sequence[Event], timezone: str, grid_now: datetime, height: int) -> go.Figure:
    """Each event as a bar from start to end, newest at the top."""
    zone = ZoneInfo(timezone)
    figure = go.Figure()
    real = [event for event in events if event.ends_at > event.starts_at]
    unknown = dict.fromkeys(event.kind for event in real if event.event_type not in EVENT_KINDS)
    for kind in (*EVENT_KINDS.values(), *unknown):
        chosen = [event for event in real if event.kind == kind]
        if chosen:
            figure.add_bar(
                base=[event.starts_at.astimezone(zone) for event in chosen],
                x=[(event.ends_at - event.starts_at).total_seconds() * 1000 for event in chosen],
                y=[_look.in_figure(event.where) for event in chosen],
                text=[_look.in_figure(_look.called(event)) for event in chosen],
                textfont={"color": _look.ON_COLOUR}, textposition="inside", insidetextanchor="start",
                orientation="h", name=chosen[0].name, marker={"color": kind.colour, "opacity": 0.9}, width=0.6,
                hovertemplate="%{text}<extra></extra>",
            )  # fmt: skip
    now = grid_now.astimezone(zone)
    figure.add_vline(x=now, line={"color": "gray", "dash": "dot"})
    earliest, latest = now - timedelta(hours=TIMELINE_HOURS), now + timedelta(hours=TIMELINE_HOURS)
    recent = [event for event in real if event.overlaps(earliest, latest)]
    first = max(min((event.starts_at.astimezone(zone) for event in recent), default=now), earliest) - TIMELINE_MARGIN
    last = min(max((event.ends_at.astimezone(zone) for event in recent), default=now), latest) + TIMELINE_MARGIN
    places = list(dict.fromkeys(_look.in_figure(event.where) for event in reversed(real)))
    figure.update_layout(
        height=max(height, 70 + 30 * len(places)),
        margin={"l": 8, "r": 8, "t": 26, "b": 8},
        barmode="overlay",
        showlegend=True,
        legend={"orientation": "h", "x": 1, "xanchor": "right", "y": 1.02, "yanchor": "bottom"},
        xaxis={"type": "date", "tickformat": "%a %H:%M", "nticks": 10, "range": [first, last]},
        yaxis={"categoryorder": "array", "categoryarray": places},
        uirevision="timeline",
    )
    return figure
